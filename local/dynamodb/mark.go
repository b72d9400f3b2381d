package dynamodb

import (
	"errors"
	"maps"
)

// mark remembers the items of every table as they are, as a backup does.
func (db *DB) mark() {
	db.tables.Lock()
	defer db.tables.Unlock()
	db.tables.marked = map[string]map[string]item{}
	for name, t := range db.tables.byName {
		t.mu.RLock()
		// An item is replaced by a write, never changed.
		db.tables.marked[name] = maps.Clone(t.items)
		t.mu.RUnlock()
	}
}

// back gives every table the items that were marked. Its stream says nothing of
// it, as that of a table that was restored from a backup.
func (db *DB) back() error {
	db.tables.RLock()
	defer db.tables.RUnlock()
	if db.tables.marked == nil {
		return errors.New("back: nothing was marked")
	}
	for name, items := range db.tables.marked {
		t := db.tables.byName[name]
		if t == nil {
			return errors.New("back: table " + name + " is gone")
		}
		t.replace(items)
	}
	return nil
}

// replace exchanges all items, and makes the indexes again.
func (t *table) replace(items map[string]item) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.items = maps.Clone(items)
	for _, x := range t.indexes {
		x.rows, x.pending, x.stale = map[string][]entry{}, nil, map[place]entry{}
		for _, it := range t.items {
			if e := x.view(it); e != nil {
				x.put(*e)
			}
		}
	}
}
