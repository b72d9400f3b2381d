package salesforcetest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"orderbridge/shared/order"
)

// pairs is a JSON object whose members keep their order, as the vendor's do.
type pairs []pair

type pair struct {
	name  string
	value any
}

// MarshalJSON implements json.Marshaler.
func (p pairs) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range p {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(m.name)
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		value, err := json.Marshal(m.value)
		if err != nil {
			return nil, err
		}
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

func attributes(base, objectName, id string) pairs {
	return pairs{{"type", objectName}, {"url", base + "/sobjects/" + objectName + "/" + id}}
}

// render writes a value as the vendor does; doubles by Java's rules.
func render(f *field, v any) any {
	switch x := v.(type) {
	case time.Time:
		return dateTime(x)
	case float64:
		if f.kind == kindDouble || f.kind == kindCurrency || f.kind == kindAny {
			return json.RawMessage(javaDouble(x))
		}
	}
	return v
}

// javaDouble is Java's Double.toString: 3.0, 1.5, 1.7324352E12.
func javaDouble(x float64) string {
	if a := math.Abs(x); x == 0 || a >= 1e-3 && a < 1e7 {
		s := strconv.FormatFloat(x, 'f', -1, 64)
		if !strings.Contains(s, ".") {
			s += ".0"
		}
		return s
	}
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(x, 'E', -1, 64), "E")
	if !strings.Contains(mantissa, ".") {
		mantissa += ".0"
	}
	n, _ := strconv.Atoi(exponent)
	return mantissa + "E" + strconv.Itoa(n)
}

type cursor struct {
	rows []pairs
	size int // rows of one page
}

var idLiteral = regexp.MustCompile(`'([A-Za-z0-9]{15}|[A-Za-z0-9]{18})'`)

// about adds to the subjects what is known by the id of an order or an order
// product: the order's id, its WHMCS order and its WHMCS client.
func (s *Sim) about(subjects map[string]bool, id string) {
	full, ok := order.To18(id)
	if !ok {
		return
	}
	subjects[full] = true
	s.mu.Lock()
	defer s.mu.Unlock()
	if it := s.items[full]; it != nil {
		full = it.order
		subjects[full] = true
	}
	if r := s.orders[full]; r != nil {
		if made, ok := r.fields["WHMCS_Order_ID__c"].(string); ok && made != "" {
			subjects[made] = true
		}
		if r.account != nil && r.account["WHMCS_Client_ID__c"] != nil {
			subjects[fmt.Sprint(r.account["WHMCS_Client_ID__c"])] = true
		}
	}
}

func (s *Sim) queryJob(base, text, options string) job {
	subjects := map[string]bool{}
	for _, m := range idLiteral.FindAllStringSubmatch(text, -1) {
		s.about(subjects, m[1])
	}
	return job{action: actionQuery, params: map[string]any{"q": text}, subjects: subjects, run: func(f *Fault) reply {
		return s.query(base, text, options, f)
	}}
}

var batchSize = regexp.MustCompile(`(?i)batchSize\s*=\s*([0-9]+)`)

func (s *Sim) query(base, text, options string, f *Fault) reply {
	if strings.TrimSpace(text) == "" {
		return failed(400, "MALFORMED_QUERY", "SOQL string is empty")
	}
	q, err := parseSOQL(text)
	var rows []pairs
	if err == nil {
		if f != nil && f.Fault == "role-denied" {
			// Field-level security hides a field as if it did not exist.
			err = hidden(q)
		} else {
			rows, err = s.run(base, text, q)
		}
	}
	var e *soqlError
	if errors.As(err, &e) {
		return failed(400, e.code, place(text, e))
	}
	if err != nil {
		return failed(500, "UNKNOWN_EXCEPTION", err.Error())
	}
	if q.count {
		return jsonReply(200, pairs{{"totalSize", len(rows)}, {"done", true}, {"records", []any{}}}, fmt.Sprintf("%d rows", len(rows)))
	}
	size := s.opt.PageSize
	if m := batchSize.FindStringSubmatch(options); m != nil {
		// "the minimum is 200, the maximum 2,000" (Query Options Header); a page
		// size of the simulator that is smaller stays.
		n, _ := strconv.Atoi(m[1])
		size = min(size, max(n, 200))
	}
	return jsonReply(200, s.page(base, &cursor{rows, size}, "", 0), fmt.Sprintf("%d rows", len(rows)))
}

func hidden(q *query) error {
	for _, sel := range q.selected {
		if sel.child == nil && strings.HasSuffix(sel.path[len(sel.path)-1], "__c") {
			return noColumn(q.from, sel.path[len(sel.path)-1], sel.at)
		}
	}
	return &soqlError{"INVALID_TYPE", fmt.Sprintf("sObject type '%s' is not supported.", q.from), 0}
}

func noColumn(entity, column string, at int) error {
	return &soqlError{"INVALID_FIELD", fmt.Sprintf("No such column '%s' on entity '%s'. If you are attempting to use a custom field, be sure to append the '__c' after the custom field name. Please reference your WSDL or the describe call for the appropriate names.", column, entity), at}
}

// place writes a SOQL error as the vendor does: an excerpt, a caret, the place.
func place(text string, e *soqlError) string {
	from, to := max(0, e.at-40), min(len(text), e.at+30)
	excerpt := strings.NewReplacer("\n", " ", "\r", " ").Replace(text[from:to])
	return "\n" + excerpt + "\n" + strings.Repeat(" ", e.at-from) + "^\nERROR at Row:1:Column:" + strconv.Itoa(e.at+1) + "\n" + e.message
}

// page renders the rows of c from offset on; a rest gets a locator.
func (s *Sim) page(base string, c *cursor, locator string, offset int) pairs {
	end := min(offset+c.size, len(c.rows))
	out := pairs{{"totalSize", len(c.rows)}, {"done", end == len(c.rows)}}
	if end < len(c.rows) {
		if locator == "" {
			s.serial++
			locator = fmt.Sprintf("01g%015d", s.serial)
			s.cursors[locator] = c
		}
		out = append(out, pair{"nextRecordsUrl", fmt.Sprintf("%s/query/%s-%d", base, locator, end)})
	}
	records := c.rows[offset:end]
	if records == nil {
		records = []pairs{}
	}
	return append(out, pair{"records", records})
}

func (s *Sim) moreJob(base, locator string) job {
	return job{action: actionQuery, params: map[string]any{"more": locator}, run: func(f *Fault) reply {
		name, at, _ := strings.Cut(locator, "-")
		offset, err := strconv.Atoi(at)
		c := s.cursors[name]
		if err != nil || c == nil || offset < 0 || offset > len(c.rows) {
			return failed(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
		}
		p := s.page(base, c, name, offset)
		return jsonReply(200, p, fmt.Sprintf("rows from %d", offset))
	}}
}

// run answers q against the whole org.
func (s *Sim) run(base, text string, q *query) ([]pairs, error) {
	o, ok := s.schema[strings.ToLower(q.from)]
	if !ok {
		return nil, &soqlError{"INVALID_TYPE", fmt.Sprintf("sObject type '%s' is not supported. If you are attempting to use a custom object, be sure to append the '__c' after the entity name. Please reference your WSDL or the describe call for the appropriate names.", q.from), strings.Index(strings.ToLower(text), "from")}
	}
	var all []values
	switch o.name {
	case "Order":
		for _, r := range s.sortedOrders() {
			all = append(all, r.fields)
		}
	case "OrderItem":
		for _, id := range slices.Sorted(maps.Keys(s.items)) {
			all = append(all, s.items[id].fields)
		}
	case "Account":
		seen := map[string]bool{}
		for _, r := range s.sortedOrders() {
			if id, ok := r.account["Id"].(string); ok && !seen[id] {
				seen[id] = true
				all = append(all, r.account)
			}
		}
	case "Product2":
		for _, id := range slices.Sorted(maps.Keys(s.items)) {
			all = append(all, s.items[id].product)
		}
	}
	return s.answer(base, q, o, all)
}

// answer filters, sorts, cuts and renders the records of one object.
func (s *Sim) answer(base string, q *query, o *object, all []values) ([]pairs, error) {
	if err := s.check(q, o); err != nil {
		return nil, err
	}
	keep, err := s.condition(q, o, q.where)
	if err != nil {
		return nil, err
	}
	var rows []values
	for _, v := range all {
		if keep(v) {
			rows = append(rows, v)
		}
	}
	if err := s.sortRows(q, o, rows); err != nil {
		return nil, err
	}
	rows = rows[min(q.offset, len(rows)):]
	if q.limit >= 0 {
		rows = rows[:min(q.limit, len(rows))]
	}
	out := make([]pairs, 0, len(rows))
	for _, v := range rows {
		p, err := s.renderRow(base, q, o, v)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// path follows a path of relationships to a field.
func (s *Sim) path(q *query, o *object, path []string, at int) (via []string, f *field, owner *object, err error) {
	if len(path) > 1 && (strings.EqualFold(path[0], q.alias) && q.alias != "" || strings.EqualFold(path[0], q.from)) {
		if _, isRelation := o.relation(path[0]); !isRelation {
			path = path[1:]
		}
	}
	owner = o
	for _, step := range path[:len(path)-1] {
		rel, ok := owner.relation(step)
		if !ok {
			return nil, nil, nil, &soqlError{"INVALID_FIELD", fmt.Sprintf("Didn't understand relationship '%s' in field path. If you are attempting to use a custom relationship, be sure to append the '__r' after the custom relationship name. Please reference your WSDL or the describe call for the appropriate names.", step), at}
		}
		via = append(via, rel.relation)
		owner = s.schema[strings.ToLower(rel.refTo)]
	}
	f, ok := owner.visible(path[len(path)-1])
	if !ok {
		return nil, nil, nil, noColumn(owner.name, path[len(path)-1], at)
	}
	return via, f, owner, nil
}

// parent is the record that rec points to by a relationship; nil = none.
func (s *Sim) parent(o *object, rec values, relation string) values {
	id, _ := rec["Id"].(string)
	switch o.name + "." + relation {
	case "Order.Account":
		if r := s.orders[id]; r != nil {
			return r.account
		}
	case "OrderItem.Product2":
		if r := s.items[id]; r != nil {
			return r.product
		}
	case "OrderItem.Order":
		if r := s.items[id]; r != nil && s.orders[r.order] != nil {
			return s.orders[r.order].fields
		}
	}
	return nil
}

func (s *Sim) value(o *object, rec values, via []string, f *field) any {
	for _, step := range via {
		rel, _ := o.relation(step)
		rec = s.parent(o, rec, step)
		if rec == nil {
			return nil
		}
		o = s.schema[strings.ToLower(rel.refTo)]
	}
	return rec[f.name]
}

func (s *Sim) check(q *query, o *object) error {
	if len(q.selected) == 0 && !q.count {
		return &soqlError{"MALFORMED_QUERY", "unexpected token: 'from'", 0}
	}
	for _, sel := range q.selected {
		if sel.child == nil {
			if _, _, _, err := s.path(q, o, sel.path, sel.at); err != nil {
				return err
			}
			continue
		}
		c, ok := o.children[strings.ToLower(sel.child.from)]
		if !ok {
			return &soqlError{"INVALID_TYPE", fmt.Sprintf("Didn't understand relationship '%s' in FROM part of query call. If you are attempting to use a custom relationship, be sure to append the '__r' after the custom relationship name. Please reference your WSDL or the describe call for the appropriate names.", sel.child.from), sel.at}
		}
		if err := s.check(sel.child, s.schema[strings.ToLower(c.object)]); err != nil {
			return err
		}
	}
	return nil
}

func (s *Sim) renderRow(base string, q *query, o *object, rec values) (pairs, error) {
	id, _ := rec["Id"].(string)
	out := pairs{{"attributes", attributes(base, o.name, id)}}
	for _, sel := range q.selected {
		if sel.child != nil {
			c := o.children[strings.ToLower(sel.child.from)]
			kids, err := s.answer(base, sel.child, s.schema[strings.ToLower(c.object)], s.kids(c, id))
			if err != nil {
				return nil, err
			}
			if len(kids) == 0 {
				out = append(out, pair{c.name, nil})
				continue
			}
			out = append(out, pair{c.name, s.page(base, &cursor{kids, s.opt.ChildPageSize}, "", 0)})
			continue
		}
		via, f, _, err := s.path(q, o, sel.path, sel.at)
		if err != nil {
			return nil, err
		}
		out = s.put1(base, out, o, rec, via, f)
	}
	return out, nil
}

// put1 adds the field behind via to out, in the nested records of its way.
func (s *Sim) put1(base string, out pairs, o *object, rec values, via []string, f *field) pairs {
	if len(via) == 0 {
		return append(out, pair{f.name, render(f, rec[f.name])})
	}
	rel, _ := o.relation(via[0])
	next := s.schema[strings.ToLower(rel.refTo)]
	i := slices.IndexFunc(out, func(p pair) bool { return p.name == via[0] })
	up := s.parent(o, rec, via[0])
	if up == nil {
		if i < 0 {
			out = append(out, pair{via[0], nil})
		}
		return out
	}
	if i < 0 {
		id, _ := up["Id"].(string)
		out = append(out, pair{via[0], pairs{{"attributes", attributes(base, next.name, id)}}})
		i = len(out) - 1
	}
	inner, _ := out[i].value.(pairs)
	out[i].value = s.put1(base, inner, next, up, via[1:], f)
	return out
}

func (s *Sim) kids(c child, id string) []values {
	var all []values
	if c.object == "Order" {
		for _, r := range s.sortedOrders() {
			if r.fields[c.by] == id {
				all = append(all, r.fields)
			}
		}
		return all
	}
	if r := s.orders[id]; r != nil {
		for _, itemID := range r.items {
			all = append(all, s.items[itemID].fields)
		}
	}
	return all
}

func (s *Sim) sortRows(q *query, o *object, rows []values) error {
	type key struct {
		via []string
		f   *field
		sortKey
	}
	var keys []key
	for _, k := range q.sort {
		via, f, _, err := s.path(q, o, k.path, k.at)
		if err != nil {
			return err
		}
		if f.kind == kindTextArea {
			return &soqlError{"INVALID_FIELD", fmt.Sprintf("field '%s' can not be sorted in a query call", f.name), k.at}
		}
		keys = append(keys, key{via, f, k})
	}
	slices.SortStableFunc(rows, func(a, b values) int {
		for _, k := range keys {
			x, y := s.value(o, a, k.via, k.f), s.value(o, b, k.via, k.f)
			c := 0
			switch {
			case x == nil && y == nil:
			case x == nil || y == nil:
				c = 1
				if (x == nil) != k.nullsLast {
					c = -1
				}
				return c
			default:
				c = order2(x, y)
			}
			if k.desc {
				c = -c
			}
			if c != 0 {
				return c
			}
		}
		return 0
	})
	return nil
}

// order2 compares two values of one type; different types are unequal.
func order2(x, y any) int {
	switch a := x.(type) {
	case string:
		if b, ok := y.(string); ok {
			return strings.Compare(strings.ToLower(a), strings.ToLower(b))
		}
	case float64:
		if b, ok := y.(float64); ok {
			return cmp.Compare(a, b)
		}
	case time.Time:
		if b, ok := y.(time.Time); ok {
			return a.Truncate(time.Millisecond).Compare(b.Truncate(time.Millisecond))
		}
	case bool:
		if b, ok := y.(bool); ok && a == b {
			return 0
		}
	}
	return -1
}

func (s *Sim) condition(q *query, o *object, c condition) (func(values) bool, error) {
	switch x := c.(type) {
	case nil:
		return func(values) bool { return true }, nil
	case not:
		in, err := s.condition(q, o, x.of)
		return func(v values) bool { return !in(v) }, err
	case both:
		l, err := s.condition(q, o, x.left)
		if err != nil {
			return nil, err
		}
		r, err := s.condition(q, o, x.right)
		return func(v values) bool { return l(v) && r(v) }, err
	case either:
		l, err := s.condition(q, o, x.left)
		if err != nil {
			return nil, err
		}
		r, err := s.condition(q, o, x.right)
		return func(v values) bool { return l(v) || r(v) }, err
	case compare:
		return s.comparison(q, o, x)
	}
	return nil, errors.New("unknown condition")
}

func (s *Sim) comparison(q *query, o *object, c compare) (func(values) bool, error) {
	via, f, _, err := s.path(q, o, c.path, c.at)
	if err != nil {
		return nil, err
	}
	if f.kind == kindTextArea {
		return nil, &soqlError{"INVALID_FIELD", fmt.Sprintf("field '%s' can not be filtered in a query call", f.name), c.at}
	}
	with := slices.Clone(c.with)
	for i, w := range with {
		if err := literalFits(f, w, c.at); err != nil {
			return nil, err
		}
		if text, ok := w.(string); ok && (f.kind == kindID || f.kind == kindReference) {
			full, ok := order.To18(text)
			if !ok {
				return nil, &soqlError{"INVALID_QUERY_FILTER_OPERATOR", "invalid ID field: " + text, c.at}
			}
			with[i] = full
		}
	}
	same := func(v, w any) bool {
		if v == nil || w == nil {
			return v == nil && w == nil
		}
		if f.kind == kindID || f.kind == kindReference {
			return v == w
		}
		return order2(v, w) == 0
	}
	ordered := func(test func(int) bool) func(values) bool {
		return func(rec values) bool {
			v := s.value(o, rec, via, f)
			return v != nil && with[0] != nil && test(order2(v, with[0]))
		}
	}
	switch c.op {
	case "=", "in":
		return func(rec values) bool {
			v := s.value(o, rec, via, f)
			return slices.ContainsFunc(with, func(w any) bool { return same(v, w) })
		}, nil
	case "!=", "not in":
		return func(rec values) bool {
			v := s.value(o, rec, via, f)
			return !slices.ContainsFunc(with, func(w any) bool { return same(v, w) })
		}, nil
	case "<":
		return ordered(func(n int) bool { return n < 0 }), nil
	case "<=":
		return ordered(func(n int) bool { return n <= 0 }), nil
	case ">":
		return ordered(func(n int) bool { return n > 0 }), nil
	case ">=":
		return ordered(func(n int) bool { return n >= 0 }), nil
	case "like":
		pattern, _ := with[0].(string)
		quoted := regexp.QuoteMeta(pattern)
		quoted = strings.NewReplacer("%", ".*", "_", ".").Replace(quoted)
		re, err := regexp.Compile("(?is)^" + quoted + "$")
		if err != nil {
			return nil, &soqlError{"MALFORMED_QUERY", "invalid pattern", c.at}
		}
		return func(rec values) bool {
			text, ok := s.value(o, rec, via, f).(string)
			return ok && re.MatchString(text)
		}, nil
	}
	return nil, &soqlError{"MALFORMED_QUERY", "unexpected token: '" + c.op + "'", c.at}
}

func literalFits(f *field, w any, at int) error {
	if w == nil || f.kind == kindAny {
		return nil
	}
	want, quoted, fits := "string", "should be enclosed in quotes", false
	switch f.kind {
	case kindDouble, kindCurrency:
		want, quoted = string(f.kind), "should not be enclosed in quotes"
		_, fits = w.(float64)
	case kindBoolean:
		want, quoted = "boolean", "should not be enclosed in quotes"
		_, fits = w.(bool)
	case kindDateTime:
		want, quoted = "dateTime", "should not be enclosed in quotes"
		_, fits = w.(time.Time)
	default:
		_, fits = w.(string)
	}
	if fits {
		return nil
	}
	return &soqlError{"INVALID_FIELD", fmt.Sprintf("value of filter criterion for field '%s' must be of type %s and %s", f.name, want, quoted), at}
}
