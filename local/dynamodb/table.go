package dynamodb

import (
	"cmp"
	"slices"
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

// table is one table with a partition key and no sort key. One lock guards all
// of it: a write is atomic with its condition, its indexes and its stream
// record, and the stream has the order of the writes.
type table struct {
	name    string
	arn     string
	created time.Time
	attrs   map[string]kind // of the keys of the table and of its indexes
	key     string          // the attribute that is the key
	indexes []*index

	mu      sync.RWMutex
	items   map[string]item // by keyText of the key
	stream  *stream         // nil: none
	ttlAttr string          // "": TTL is off
	gone    bool            // deleted while a request still held it
}

// lock takes a table for writing; it refuses one that was deleted meanwhile.
func (t *table) lock() (unlock func(), err error) {
	t.mu.Lock()
	if t.gone {
		t.mu.Unlock()
		return nil, notFound("Table: %s not found", t.name)
	}
	return t.mu.Unlock, nil
}

// keyText is a value of a key as a map key: injective.
func keyText(v *value) string { return string(v.kind) + v.str + string(v.num) }

// index is a global secondary index with both keys and the projection
// KEYS_ONLY. What a reader sees may lag behind the table.
type index struct {
	name       string
	hash, sort string
	table      *table
	rows       map[string][]entry // by keyText of the hash, each sorted
	pending    []indexChange
	stale      map[place]entry // removals held back
}

// entry is one row of an index: the attributes of the index's and of the
// table's key.
type entry struct {
	hash, sort, key *value
	item            item
}

// place says where an entry lies.
type place struct{ hash, sort, key string }

func (e entry) place() place { return place{keyText(e.hash), keyText(e.sort), keyText(e.key)} }

// compareEntries orders the entries of one partition.
func compareEntries(a, b entry) int {
	c, _ := a.sort.order(b.sort)
	return cmp.Or(c, strings.Compare(keyText(a.key), keyText(b.key)))
}

// indexChange is a write that the index has not shown yet.
type indexChange struct {
	at       time.Time
	old, new *entry
}

func (x *index) names() []string { return []string{x.table.key, x.hash, x.sort} }

// view is what the index holds of an item: nil when the item lacks one of the
// index's keys. An index is sparse by nature.
func (x *index) view(it item) *entry {
	if it[x.hash] == nil || it[x.sort] == nil {
		return nil
	}
	return &entry{hash: it[x.hash], sort: it[x.sort], key: it[x.table.key], item: it.pick(x.names()...)}
}

func (x *index) put(e entry) {
	hash := keyText(e.hash)
	i, found := slices.BinarySearchFunc(x.rows[hash], e, compareEntries)
	if found {
		x.rows[hash][i] = e
		return
	}
	x.rows[hash] = slices.Insert(x.rows[hash], i, e)
}

func (x *index) remove(e entry) {
	hash := keyText(e.hash)
	if i, found := slices.BinarySearchFunc(x.rows[hash], e, compareEntries); found {
		x.rows[hash] = slices.Delete(x.rows[hash], i, i+1)
	}
}

// show applies what is due: changes older than the lag. With stale set, what
// leaves the index is shown until stale is off again.
func (x *index) show(now time.Time, lag time.Duration, stale bool) {
	if !stale {
		for where, e := range x.stale {
			x.remove(e)
			delete(x.stale, where)
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
				x.remove(*c.old)
			}
		}
		if c.new != nil {
			delete(x.stale, c.new.place())
			x.put(*c.new)
		}
	}
	x.pending = slices.Delete(x.pending, 0, done)
}

// cost is what a write costs on an index, in write units: 1 per KB to insert or
// to remove, both for a changed key, nothing if the index does not change.
func cost(old, new *entry) float64 {
	switch {
	case old == nil && new == nil, old != nil && new != nil && old.place() == new.place():
		return 0
	case old == nil:
		return writeUnits(new.item.size())
	case new == nil:
		return writeUnits(old.item.size())
	}
	return writeUnits(old.item.size()) + writeUnits(new.item.size())
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

// commit replaces an item (old or new may be nil) in the table, its indexes and
// its stream, and returns the write units of the table and of each index. The
// caller holds the lock and has checked everything.
func (t *table) commit(db *DB, old, new item, expired bool) (tableUnits float64, indexUnits map[string]float64) {
	indexUnits = map[string]float64{}
	switch {
	case new != nil:
		t.items[keyText(new[t.key])] = new
	case old != nil:
		delete(t.items, keyText(old[t.key]))
	default: // deletion of what is not there
		return 1, indexUnits
	}
	now := db.now()
	set := db.switches.Get()
	for _, x := range t.indexes {
		before, after := x.view(old), x.view(new)
		if c := cost(before, after); c > 0 {
			indexUnits[x.name] = c
			x.pending = append(x.pending, indexChange{now, before, after})
		}
		x.show(now, set.IndexLag, set.StaleIndex)
	}
	// A write that changes nothing leaves no record.
	if t.stream != nil && !(old != nil && new != nil && old.equal(new)) {
		t.stream.append(db, old, new, expired)
	}
	return writeUnits(max(old.size(), new.size())), indexUnits
}

// checkKey checks the Key parameter of a request.
func (t *table) checkKey(key item) error {
	if len(key) != 1 || key[t.key] == nil {
		return invalid("The provided key element does not match the schema")
	}
	return t.checkKeyAttribute(key, t.key, maxHashKeyBytes)
}

// checkItem checks an item as it is to be stored.
func (t *table) checkItem(it item) error {
	if it[t.key] == nil {
		return invalid("One or more parameter values were invalid: Missing the key %s in the item", t.key)
	}
	if it.size() > maxItemBytes {
		return invalid("Item size has exceeded the maximum allowed size")
	}
	if (&value{kind: kindM, dict: it}).depth() > maxNesting+1 {
		return invalid("Nesting Levels have exceeded supported limits")
	}
	if err := t.checkKeyAttribute(it, t.key, maxHashKeyBytes); err != nil {
		return err
	}
	for _, x := range t.indexes {
		if err := cmp.Or(t.checkKeyAttribute(it, x.hash, maxHashKeyBytes), t.checkKeyAttribute(it, x.sort, maxRangeKeyBytes)); err != nil {
			return err
		}
	}
	return nil
}

func (t *table) checkKeyAttribute(it item, name string, maxBytes int) error {
	switch v := it[name]; {
	case v == nil:
	case v.kind != t.attrs[name]:
		return invalid("One or more parameter values were invalid: Type mismatch for key %s expected: %s actual: %s", name, t.attrs[name], v.kind)
	case v.kind == kindS && v.str == "":
		return invalid("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: %s", name)
	case len(v.str) > maxBytes:
		return invalid("One or more parameter values were invalid: Size of key %s has exceeded the maximum size limit of %d bytes", name, maxBytes)
	}
	return nil
}
