package dynamodb

import (
	"fmt"
	"slices"
	"strings"
)

// readRequest is what Query and Scan have in common.
type readRequest struct {
	operation  string
	tableName  string
	indexName  string
	consistent bool
	limit      int // 0: none
	selects    string
	capacity   string
	rawStart   any
	x          expressions
	start      item // ExclusiveStartKey
}

func (in *params) readRequest(uses ...string) (readRequest, error) {
	r := readRequest{
		operation:  in.operation,
		tableName:  in.tableName(),
		consistent: in.boolean("ConsistentRead", false),
		limit:      in.integer("Limit", 1, 1<<31-1, 0),
		selects:    in.oneOf("Select", "SPECIFIC_ATTRIBUTES", "COUNT", "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES"),
		capacity:   in.capacity(),
	}
	if in.has("IndexName") {
		r.indexName = in.checkName("IndexName", in.text("IndexName"))
	}
	if in.has("ExclusiveStartKey") {
		r.rawStart = in.attributes("ExclusiveStartKey")
	}
	if err := in.err(); err != nil {
		return r, err
	}
	if err := in.checkExpressionUse(uses...); err != nil {
		return r, err
	}
	if r.rawStart != nil {
		start, err := readItem(r.rawStart)
		if err != nil {
			return r, wrongStart(err)
		}
		r.start = start
	}
	if in.has("ProjectionExpression") && r.selects != "" && r.selects != "SPECIFIC_ATTRIBUTES" {
		what := r.selects
		if what == "COUNT" {
			what = "only the Count"
		}
		return r, invalid("Cannot specify the ProjectionExpression when choosing to get " + what)
	}
	return r, nil
}

const badStart = "The provided starting key is invalid"

// wrongStart puts the service's words before the fault of a value in an
// ExclusiveStartKey; before some faults it puts none.
func wrongStart(err error) error {
	e, ok := err.(*wireError)
	if !ok || !strings.HasPrefix(e.kind, prefixValidate) {
		return err
	}
	for _, bare := range []string{"contains duplicates", "number set", "numeric value", "significant digits", "number with magnitude"} {
		if strings.Contains(e.message, bare) {
			return err
		}
	}
	return invalid(badStart + ": " + e.message)
}

// source is what a read goes through: a table or one of its indexes.
type source struct {
	table *table
	index *index // nil: the table
	key   keySchema
	rows  *rows
}

func (db *DB) source(r readRequest) (source, error) {
	t, err := db.table(r.tableName)
	if err != nil {
		return source{}, err
	}
	s := source{table: t, key: t.key, rows: &t.rows}
	if r.indexName == "" {
		if r.selects == "ALL_PROJECTED_ATTRIBUTES" {
			return s, invalid("ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName")
		}
		return s, nil
	}
	x := t.index(r.indexName)
	switch {
	case x == nil:
		return s, invalid("The table does not have the specified index: " + r.indexName)
	case r.consistent:
		return s, invalid("Consistent reads are not supported on global secondary indexes")
	}
	s.index, s.key, s.rows = x, x.key, &x.rows
	return s, nil
}

// names are the attributes of a place in the source.
func (s source) names() []string {
	names := s.table.key.names()
	for _, name := range s.key.names() {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// checkProjected refuses to read from an index what it does not hold.
func (s source) checkProjected(paths []path) error {
	if s.index == nil || s.index.projection == "ALL" {
		return nil
	}
	held := slices.Concat(s.names(), s.index.include)
	var lacking []string
	for _, p := range paths {
		if name := p[0].name; !slices.Contains(held, name) {
			lacking = append(lacking, name)
		}
	}
	if len(lacking) > 0 {
		return invalid("One or more parameter values were invalid: Global secondary index " + s.index.name + " does not project [" + strings.Join(lacking, ", ") + "]")
	}
	return nil
}

// checkStartAttr checks one key attribute of an ExclusiveStartKey.
func checkStartAttr(start item, a keyAttr) error {
	switch v := start[a.name]; {
	case start == nil:
		return nil
	case v == nil:
		return invalid(badStart)
	case v.kind != a.kind:
		return invalid("The provided key element does not match the schema")
	}
	return nil
}

// checkStartSize checks that an ExclusiveStartKey has as many attributes as a
// place in the source.
func (s source) checkStartSize(start item, otherwise string) error {
	if start != nil && len(start) != len(s.names()) {
		return invalid(badStart + otherwise)
	}
	return nil
}

// startEntry turns a checked ExclusiveStartKey into a place.
func (s source) startEntry(start item) (*entry, error) {
	if start == nil {
		return nil, nil
	}
	own := start.pick(s.table.key.names())
	if err := s.table.checkKey(own); err != nil {
		return nil, invalid(badStart + ": " + err.(*wireError).message)
	}
	primary := ""
	if s.index != nil {
		primary = s.table.primary(own)
	}
	e := s.key.entry(start, primary)
	return &e, nil
}

// page gathers the entries of one answer.
type page struct {
	r       readRequest
	s       source
	items   []any
	count   int
	scanned int
	bytes   int
	last    *entry
	full    bool
}

// visit takes an entry; false means that the page is full.
func (p *page) visit(e entry) bool {
	p.scanned++
	p.bytes += e.item.size()
	p.last = &e
	if p.r.x.filter == nil || p.r.x.filter.holds(e.item) {
		p.count++
		if p.r.selects != "COUNT" {
			it := e.item
			if p.r.x.projection != nil {
				it = it.project(p.r.x.projection)
			}
			p.items = append(p.items, it.wire())
		}
	}
	p.full = p.r.limit > 0 && p.scanned >= p.r.limit || p.bytes >= maxPageBytes
	return !p.full
}

func (p *page) answer(db *DB) map[string]any {
	out := map[string]any{"Count": p.count, "ScannedCount": p.scanned}
	if p.r.selects != "COUNT" {
		if p.items == nil {
			p.items = []any{}
		}
		out["Items"] = p.items
	}
	// A full page gives a place to go on from, even if nothing follows.
	if p.full {
		out["LastEvaluatedKey"] = p.last.item.pick(p.s.names()).wire()
	}
	u := readUnits(p.bytes, p.r.consistent)
	cost := written{table: u}
	if p.s.index != nil {
		cost = written{indexes: map[string]float64{p.s.index.name: u}}
	}
	db.meter.add(p.s.table.name, p.r.operation, cost.table, 0, cost.indexes, nil)
	consumed(out, p.r.capacity, p.s.table.name, cost)
	return out
}

// lockForRead takes the table's lock; for an index the full one, because what
// is due shows first.
func (s source) lockForRead(db *DB) (unlock func()) {
	if s.index == nil {
		s.table.mu.RLock()
		return s.table.mu.RUnlock
	}
	s.table.mu.Lock()
	lag, stale := db.switches.index()
	s.index.settle(db.now(), lag, stale)
	return s.table.mu.Unlock
}

func (db *DB) query(in *params) (any, error) {
	r, err := in.readRequest("ProjectionExpression", "FilterExpression", "KeyConditionExpression")
	if err != nil {
		return nil, err
	}
	forward := in.boolean("ScanIndexForward", true)
	if err := in.err(); err != nil {
		return nil, err
	}
	if !in.has("KeyConditionExpression") {
		return nil, invalid("Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.")
	}
	if r.x, err = in.expressions(); err != nil {
		return nil, err
	}
	conditions := map[string]keyCondition{}
	if err := gatherKeyConditions(r.x.key, conditions); err != nil {
		return nil, err
	}
	if n := len(conditions); n != 1 && n != 2 {
		return nil, invalid("Conditions can be of length 1 or 2 only")
	}
	s, err := db.source(r)
	if err != nil {
		return nil, err
	}
	if err := s.checkStartSize(r.start, ""); err != nil {
		return nil, err
	}
	if err := s.checkConditions(conditions, r.start); err != nil {
		return nil, err
	}
	start, err := s.startEntry(r.start)
	if err != nil {
		return nil, err
	}
	hash := conditions[s.key[0].name].values[0]
	var sort *keyCondition
	if len(s.key) == 2 {
		if c, ok := conditions[s.key[1].name]; ok {
			sort = &c
		}
	}
	if err := checkStart(start, hash, sort); err != nil {
		return nil, err
	}
	if err := s.checkRead(r, s.key.names()); err != nil {
		return nil, err
	}
	defer s.lockForRead(db)()
	entries := s.rows.partitions[keyText(hash)]
	if !forward {
		if start != nil {
			i, _ := slices.BinarySearchFunc(entries, *start, compareEntries)
			entries = entries[:i]
		}
		entries = slices.Clone(entries)
		slices.Reverse(entries)
	} else if start != nil {
		entries = after(entries, *start)
	}
	pg := &page{r: r, s: s}
	for _, e := range entries {
		if sort != nil && !sort.holds(e.sort) {
			continue
		}
		if !pg.visit(e) {
			break
		}
	}
	return pg.answer(db), nil
}

// checkRead checks projection and filter; unfiltered are the attributes that a
// filter may not name.
func (s source) checkRead(r readRequest, unfiltered []string) error {
	if err := s.table.checkNested(r.x.projection); err != nil {
		return err
	}
	for _, p := range r.x.filter.paths() {
		if slices.Contains(unfiltered, p[0].name) {
			return invalid("Filter Expression can only contain non-primary key attributes: Primary key attribute: " + p[0].name)
		}
	}
	if s.index != nil && s.index.projection != "ALL" && r.selects == "ALL_ATTRIBUTES" {
		return invalid("One or more parameter values were invalid: Select type ALL_ATTRIBUTES is not supported for global secondary index " + s.index.name + " because its projection type is not ALL")
	}
	if err := s.table.checkNested(r.x.filter.paths()); err != nil {
		return err
	}
	return s.checkProjected(r.x.projection)
}

func checkStart(start *entry, hash *value, sort *keyCondition) error {
	switch {
	case start == nil:
		return nil
	case sort == nil:
		if !start.hash.equal(hash) {
			return invalid("The provided starting key is outside query boundaries based on provided conditions")
		}
	case !sort.holds(start.sort):
		return invalid("The provided starting key does not match the range key predicate")
	case !start.hash.equal(hash):
		return invalid("The query can return at most one row and cannot be restarted")
	}
	return nil
}

// keyCondition is one condition on one key attribute.
type keyCondition struct {
	op     op // opCall stands for begins_with
	values []*value
}

func (c keyCondition) holds(v *value) bool {
	if c.op == opCall {
		return v.kind == c.values[0].kind && strings.HasPrefix(v.str, c.values[0].str)
	}
	n := &node{op: c.op, args: []*node{{op: opValue, value: v}}}
	for _, w := range c.values {
		n.args = append(n.args, &node{op: opValue, value: w})
	}
	return n.holds(nil)
}

// gatherKeyConditions takes a KeyConditionExpression apart: conditions on single
// attributes, joined by AND.
func gatherKeyConditions(n *node, into map[string]keyCondition) error {
	switch n.op {
	case opAnd:
		if err := gatherKeyConditions(n.args[0], into); err != nil {
			return err
		}
		return gatherKeyConditions(n.args[1], into)
	case opOr, opNot, opIn, opNe:
		return invalid("Invalid operator used in KeyConditionExpression: " + string(n.op))
	case opCall:
		if n.fn != "begins_with" {
			return invalid("Invalid operator used in KeyConditionExpression: " + n.fn)
		}
	}
	name := string(n.op)
	if n.op == opCall {
		name = n.fn
	}
	if (n.op == opBetween || n.op == opCall) && n.args[0].op != opPath {
		return invalid("Invalid condition in KeyConditionExpression: " + name + " operator must have the key attribute as its first operand")
	}
	attr, at := "", 0
	var values []*value
	for i, a := range n.args {
		switch {
		case a.op == opCall:
			return invalid("KeyConditionExpressions cannot contain nested operations")
		case a.op == opValue:
			values = append(values, a.value)
		case attr != "":
			return invalid("Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition")
		case len(a.path) > 1:
			return invalid("KeyConditionExpressions cannot have conditions on nested attributes")
		default:
			attr, at = a.path[0].name, i
		}
	}
	if attr == "" {
		return invalid("Invalid condition in KeyConditionExpression: No key attribute specified")
	}
	c := keyCondition{op: n.op, values: values}
	if at != 0 {
		c.op = map[op]op{opEq: opEq, opLt: opGt, opLe: opGe, opGt: opLt, opGe: opLe}[n.op]
	}
	if _, again := into[attr]; again {
		return invalid("KeyConditionExpressions must only contain one condition per key")
	}
	into[attr] = c
	return nil
}

// checkConditions checks key conditions and starting key against the source's
// key, one attribute after the other.
func (s source) checkConditions(conditions map[string]keyCondition, start item) error {
	for i, a := range s.key {
		if err := checkStartAttr(start, a); err != nil {
			return err
		}
		c, ok := conditions[a.name]
		switch {
		case i == 0 && len(s.key) == 1 && len(conditions) > 1:
			return invalid("Query key condition not supported")
		case !ok && (i == 0 || len(conditions) > 1):
			return invalid("Query condition missed key schema element: " + a.name)
		case !ok:
			continue
		}
		for _, v := range c.values {
			if v.kind != a.kind {
				return invalid("One or more parameter values were invalid: Condition parameter type does not match schema type")
			}
			if v.kind != kindN && v.str == "" {
				return invalid(fmt.Sprintf("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty %s value. Key: %s", emptyName(a.kind), a.name))
			}
		}
		if i == 0 && c.op != opEq {
			return invalid("Query key condition not supported")
		}
	}
	return nil
}

func (db *DB) scan(in *params) (any, error) {
	segment := in.integer("Segment", 0, 999999, 0)
	segments := in.integer("TotalSegments", 1, 1000000, 1)
	r, err := in.readRequest("ProjectionExpression", "FilterExpression")
	if err != nil {
		return nil, err
	}
	switch {
	case in.has("Segment") && !in.has("TotalSegments"):
		return nil, invalid("The TotalSegments parameter is required but was not present in the request when Segment parameter is present")
	case in.has("TotalSegments") && !in.has("Segment"):
		return nil, invalid("The Segment parameter is required but was not present in the request when parameter TotalSegments is present")
	case segment >= segments:
		return nil, invalid(fmt.Sprintf("The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: %d is not less than TotalSegments: %d", segment, segments))
	}
	if r.x, err = in.expressions(); err != nil {
		return nil, err
	}
	s, err := db.source(r)
	if err != nil {
		return nil, err
	}
	otherwise := ""
	if s.index == nil {
		otherwise = ": The provided key element does not match the schema"
	}
	if err := s.checkStartSize(r.start, otherwise); err != nil {
		return nil, err
	}
	for _, a := range s.key {
		if s.index == nil {
			break // startEntry says it in other words
		}
		if err := checkStartAttr(r.start, a); err != nil {
			return nil, err
		}
	}
	start, err := s.startEntry(r.start)
	if err != nil {
		return nil, err
	}
	if err := s.checkRead(r, nil); err != nil {
		return nil, err
	}
	defer s.lockForRead(db)()
	pg := &page{r: r, s: s}
	s.rows.scan(start, segment, segments, pg.visit)
	return pg.answer(db), nil
}
