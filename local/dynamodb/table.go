package dynamodb

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Sizes that the service limits or counts by.
const (
	maxItemBytes     = 400 * 1024
	maxHashKeyBytes  = 2048
	maxRangeKeyBytes = 1024
	writeUnitBytes   = 1024
	readUnitBytes    = 4096
	maxPageBytes     = 1 << 20
)

// keyAttr is one attribute of a key.
type keyAttr struct {
	name string
	kind kind
}

// keySchema is a partition key and, if there is one, a sort key.
type keySchema []keyAttr

func (k keySchema) names() []string {
	names := make([]string, len(k))
	for i, a := range k {
		names[i] = a.name
	}
	return names
}

// in reports whether an item has all attributes of the key.
func (k keySchema) in(it item) bool {
	for _, a := range k {
		if it[a.name] == nil {
			return false
		}
	}
	return true
}

// entry is one row of a table or of an index, as it is sorted.
type entry struct {
	hash, sort *value // sort is nil where the schema has none
	// primary is the table's own key: it keeps entries of an index apart that
	// share its key. Empty in a table.
	primary string
	item    item
}

func (k keySchema) entry(it item, primary string) entry {
	e := entry{hash: it[k[0].name], primary: primary, item: it}
	if len(k) == 2 {
		e.sort = it[k[1].name]
	}
	return e
}

// less orders the entries of one partition.
func compareEntries(a, b entry) int {
	if a.sort != nil && b.sort != nil {
		if c, ok := a.sort.order(b.sort); ok && c != 0 {
			return c
		}
	}
	return strings.Compare(a.primary, b.primary)
}

// keyText is a value of a key as a map key: injective for each kind.
func keyText(v *value) string {
	if v.kind == kindN {
		return "N" + v.num.String()
	}
	return string(v.kind) + v.str
}

// rows are the entries of a table or index by partition, each sorted.
type rows struct {
	partitions map[string][]entry
	count      int
}

func newRows() rows { return rows{partitions: map[string][]entry{}} }

func (r *rows) find(e entry) (int, bool) {
	return slices.BinarySearchFunc(r.partitions[keyText(e.hash)], e, compareEntries)
}

func (r *rows) put(e entry) {
	key := keyText(e.hash)
	i, found := r.find(e)
	if found {
		r.partitions[key][i] = e
		return
	}
	r.partitions[key] = slices.Insert(r.partitions[key], i, e)
	r.count++
}

func (r *rows) remove(e entry) {
	key := keyText(e.hash)
	i, found := r.find(e)
	if !found {
		return
	}
	r.count--
	if rest := slices.Delete(r.partitions[key], i, i+1); len(rest) > 0 {
		r.partitions[key] = rest
	} else {
		delete(r.partitions, key)
	}
}

func (r *rows) get(e entry) item {
	if i, found := r.find(e); found {
		return r.partitions[keyText(e.hash)][i].item
	}
	return nil
}

// scanned is where a partition lies in the order of a scan: by a hash, as in
// the service, so that nobody comes to rely on any other order.
type scanned struct {
	hash uint64
	key  string
}

func scanPlace(key string) scanned {
	h := fnv.New64a()
	h.Write([]byte(key))
	return scanned{h.Sum64(), key}
}

func compareScanned(a, b scanned) int {
	return cmp.Or(cmp.Compare(a.hash, b.hash), strings.Compare(a.key, b.key))
}

// scan visits the entries after `from` (all, if nil) of the partitions of a
// segment, until visit returns false.
func (r *rows) scan(from *entry, segment, segments int, visit func(entry) bool) {
	places := make([]scanned, 0, len(r.partitions))
	for key := range r.partitions {
		if p := scanPlace(key); p.hash%uint64(segments) == uint64(segment) {
			places = append(places, p)
		}
	}
	slices.SortFunc(places, compareScanned)
	start := 0
	if from != nil {
		start, _ = slices.BinarySearchFunc(places, scanPlace(keyText(from.hash)), compareScanned)
	}
	for _, p := range places[start:] {
		entries := r.partitions[p.key]
		if from != nil && p.key == keyText(from.hash) {
			entries = after(entries, *from)
		}
		for _, e := range entries {
			if !visit(e) {
				return
			}
		}
	}
}

// after is what follows a place, whether or not something is still there.
func after(entries []entry, from entry) []entry {
	i, found := slices.BinarySearchFunc(entries, from, compareEntries)
	if found {
		i++
	}
	return entries[i:]
}

// index is a global secondary index. What a reader sees may lag behind.
type index struct {
	name       string
	arn        string
	key        keySchema
	projection string   // ALL, KEYS_ONLY, INCLUDE
	include    []string // further attributes of INCLUDE
	rows       rows
	pending    []indexChange
	stale      map[string]entry // removals held back, by place
}

// indexChange is a write that the index has not shown yet.
type indexChange struct {
	at  time.Time
	old *entry
	new *entry
}

// view is what the index holds of an item: nil when the item lacks one of the
// index's keys. An index is sparse by nature.
func (x *index) view(it item, table keySchema, primary string) *entry {
	if it == nil || !x.key.in(it) {
		return nil
	}
	view := it
	if x.projection != "ALL" {
		view = it.pick(slices.Concat(x.key.names(), table.names(), x.include))
	}
	e := x.key.entry(view, primary)
	return &e
}

// place names where an entry lies. The lengths keep two keys apart whatever
// bytes they hold.
func (e entry) place() string {
	hash, sort := keyText(e.hash), ""
	if e.sort != nil {
		sort = keyText(e.sort)
	}
	return strconv.Itoa(len(hash)) + ":" + strconv.Itoa(len(sort)) + ":" + hash + sort + e.primary
}

// settle shows what is due: changes older than the lag. With stale set, what
// leaves the index stays to be seen until stale is off again.
func (x *index) settle(now time.Time, lag time.Duration, stale bool) {
	if !stale {
		for place, e := range x.stale {
			x.rows.remove(e)
			delete(x.stale, place)
		}
	}
	done := 0
	for _, c := range x.pending {
		if c.at.Add(lag).After(now) {
			break
		}
		done++
		if c.old != nil && (c.new == nil || c.old.place() != c.new.place()) {
			if stale {
				x.stale[c.old.place()] = *c.old
			} else {
				x.rows.remove(*c.old)
			}
		}
		if c.new != nil {
			delete(x.stale, c.new.place())
			x.rows.put(*c.new)
		}
	}
	x.pending = slices.Delete(x.pending, 0, done)
}

// cost is what a write costs on this index, in write units: 1 per KB to insert,
// to remove, or to change what is projected, both for a changed key, nothing if
// the index does not change.
func cost(old, new *entry) float64 {
	switch {
	case old == nil && new == nil:
		return 0
	case old == nil:
		return writeUnits(new.item.size())
	case new == nil:
		return writeUnits(old.item.size())
	case old.place() != new.place():
		return writeUnits(old.item.size()) + writeUnits(new.item.size())
	case old.item.equal(new.item):
		return 0
	}
	return writeUnits(max(old.item.size(), new.item.size()))
}

func units(size, unit int) float64 { return float64(max(1, (size+unit-1)/unit)) }

func writeUnits(size int) float64 { return units(size, writeUnitBytes) }

// readUnits: an eventually consistent read costs half.
func readUnits(size int, consistent bool) float64 {
	u := units(size, readUnitBytes)
	if !consistent {
		u /= 2
	}
	return u
}

// table is one table. One lock guards all of it: a write is atomic with its
// condition, its indexes and its stream record, and the stream has the order
// of the writes.
type table struct {
	name    string
	arn     string
	id      string
	created time.Time
	billing string
	attrs   map[string]kind
	// attrOrder keeps AttributeDefinitions in the order they came.
	attrOrder []string
	key       keySchema
	indexes   []*index
	protected bool

	mu       sync.RWMutex
	rows     rows
	bytes    int
	stream   *stream // nil: none
	ttlAttr  string  // "": TTL is off
	recovery bool    // point-in-time recovery is on
	gone     bool    // deleted while somebody still held it
}

func (t *table) index(name string) *index {
	for _, x := range t.indexes {
		if x.name == name {
			return x
		}
	}
	return nil
}

// primary is an item's key as text.
func (t *table) primary(it item) string { return t.key.entry(it, "").place() }

// written is the effect of a write.
type written struct {
	table   float64
	indexes map[string]float64
}

func (w written) total() float64 {
	sum := w.table
	for _, u := range w.indexes {
		sum += u
	}
	return sum
}

// commit replaces an item (old or new may be nil) in the table, its indexes and
// its stream. The caller holds the lock and has checked everything.
func (t *table) commit(db *DB, old, new item, by *identity) written {
	w := written{indexes: map[string]float64{}}
	some := new
	if some == nil {
		some = old
	}
	if some == nil { // deletion of what is not there
		w.table = 1
		return w
	}
	e := t.key.entry(some, "")
	primary := e.place()
	size := 0
	if old != nil {
		size = old.size()
		t.bytes -= size
	}
	if new != nil {
		size = max(size, new.size())
		t.bytes += new.size()
		t.rows.put(e)
	} else {
		t.rows.remove(e)
	}
	w.table = writeUnits(size)
	now := db.now()
	lag, stale := db.switches.index()
	for _, x := range t.indexes {
		before, after := x.view(old, t.key, primary), x.view(new, t.key, primary)
		if c := cost(before, after); c > 0 {
			w.indexes[x.name] = c
			x.pending = append(x.pending, indexChange{now, before, after})
		}
		x.settle(now, lag, stale)
	}
	// A write that changes nothing leaves no record.
	if t.stream != nil && !(old != nil && new != nil && old.equal(new)) {
		t.stream.append(db, old, new, by)
	}
	return w
}

// checkKey checks the Key parameter of a request.
func (t *table) checkKey(key item) error {
	if len(key) != len(t.key) {
		return invalid("The provided key element does not match the schema")
	}
	for i, a := range t.key {
		v := key[a.name]
		if v == nil || v.kind != a.kind {
			return invalid("The provided key element does not match the schema")
		}
		if v.kind != kindN && v.str == "" {
			// An item that is put is refused in other words: see checkItem.
			return invalid("One or more parameter values were invalid: The AttributeValue for a key attribute cannot contain an empty " + emptyName(a.kind) + " value. Key: " + a.name)
		}
		if err := checkKeySize(v, i == 0); err != nil {
			return err
		}
	}
	return nil
}

func emptyName(k kind) string {
	if k == kindB {
		return "binary"
	}
	return "string"
}

func checkKeySize(v *value, isHash bool) error {
	switch {
	case v.kind == kindN:
		return nil
	case isHash && len(v.str) > maxHashKeyBytes:
		// The missing blank is the service's.
		return invalid("One or more parameter values were invalid: Size of hashkey has exceeded the maximum size limit of2048 bytes")
	case !isHash && len(v.str) > maxRangeKeyBytes:
		return invalid("One or more parameter values were invalid: Aggregated size of all range keys has exceeded the size limit of 1024 bytes")
	}
	return nil
}

// checkItem checks an item that is put.
func (t *table) checkItem(it item) error {
	for i, a := range t.key {
		v := it[a.name]
		switch {
		case v == nil:
			return invalid("One or more parameter values were invalid: Missing the key " + a.name + " in the item")
		case v.kind != a.kind:
			return invalid(fmt.Sprintf("One or more parameter values were invalid: Type mismatch for key %s expected: %s actual: %s", a.name, a.kind, v.kind))
		case v.kind != kindN && v.str == "":
			return invalid("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty " + emptyName(a.kind) + " value. Key: " + a.name)
		}
		if err := checkKeySize(v, i == 0); err != nil {
			return err
		}
	}
	return t.eachIndexKey(func(x *index, a keyAttr, isHash bool) error {
		v := it[a.name]
		switch {
		case v == nil:
			return nil
		case v.kind != a.kind:
			return indexTypeMismatch(x, a, v.kind)
		case v.kind != kindN && v.str == "":
			return invalid(fmt.Sprintf("One or more parameter values are not valid. A value specified for a secondary index key is not supported. The AttributeValue for a key attribute cannot contain an empty %s value. IndexName: %s, IndexKey: %s", emptyName(a.kind), x.name, a.name))
		}
		return checkKeySize(v, isHash)
	})
}

func indexTypeMismatch(x *index, a keyAttr, actual kind) error {
	return invalid(fmt.Sprintf("One or more parameter values were invalid: Type mismatch for Index Key %s Expected: %s Actual: %s IndexName: %s", a.name, a.kind, actual, x.name))
}

func (t *table) eachIndexKey(visit func(x *index, a keyAttr, isHash bool) error) error {
	for _, x := range t.indexes {
		for i, a := range x.key {
			if err := visit(x, a, i == 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkUpdate checks an update expression against the schema.
func (t *table) checkUpdate(clauses []clause) error {
	for _, a := range t.key {
		for _, c := range clauses {
			if c.path[0].name == a.name {
				return invalid("One or more parameter values were invalid: Cannot update attribute " + a.name + ". This attribute is part of the key")
			}
		}
	}
	err := t.eachIndexKey(func(x *index, a keyAttr, _ bool) error {
		for _, c := range clauses {
			if len(c.path) != 1 || c.path[0].name != a.name || c.value == nil || c.section == "DELETE" {
				continue
			}
			if k := c.value.result(); k != "" && k != a.kind {
				return indexTypeMismatch(x, a, k)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	var paths []path
	for _, c := range clauses {
		paths = append(paths, c.path)
		paths = append(paths, c.value.paths()...)
	}
	return t.checkNested(paths)
}

// paths are all document paths in an expression.
func (n *node) paths() []path {
	if n == nil {
		return nil
	}
	var all []path
	if n.op == opPath {
		all = append(all, n.path)
	}
	for _, a := range n.args {
		all = append(all, a.paths()...)
	}
	return all
}

// checkNested refuses paths that lead into a key: keys are scalars.
func (t *table) checkNested(paths []path) error {
	into := func(name string) bool {
		return slices.ContainsFunc(paths, func(p path) bool { return len(p) > 1 && p[0].name == name })
	}
	const text = "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: "
	for _, a := range t.key {
		if into(a.name) {
			return invalid(text + "Key: " + a.name)
		}
	}
	return t.eachIndexKey(func(_ *index, a keyAttr, _ bool) error {
		if into(a.name) {
			return invalid(text + "IndexKey: " + a.name)
		}
		return nil
	})
}

// checkUpdated checks an item after an update.
func (t *table) checkUpdated(it item) error {
	if it.size() > maxItemBytes {
		return invalid("Item size to update has exceeded the maximum allowed size")
	}
	if tooDeep(it) {
		return invalid("Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit")
	}
	return t.eachIndexKey(func(_ *index, a keyAttr, isHash bool) error {
		v := it[a.name]
		switch {
		case v == nil:
			return nil
		case v.kind != a.kind:
			return invalid("The update expression attempted to update the secondary index key to unsupported type")
		case v.kind != kindN && v.str == "":
			return invalid("One or more parameter values are not valid. The update expression attempted to update a secondary index key to a value that is not supported. The AttributeValue for a key attribute cannot contain an empty " + emptyName(a.kind) + " value.")
		}
		return checkKeySize(v, isHash)
	})
}

func tooDeep(it item) bool {
	var depth func(v *value) int
	depth = func(v *value) int {
		d := 0
		for _, e := range v.list {
			d = max(d, depth(e))
		}
		for _, e := range v.dict {
			d = max(d, depth(e))
		}
		if v.kind == kindL || v.kind == kindM {
			d++
		}
		return d
	}
	for _, v := range it {
		if depth(v) > maxNesting {
			return true
		}
	}
	return false
}
