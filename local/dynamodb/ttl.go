package dynamodb

import "time"

// ttlOldest: an item that expired more than five years ago is left alone, so
// that a wrong unit does not wipe a table (Developer Guide, "Using time to
// live").
const ttlOldest = 5 * 365 * 24 * time.Hour

func (db *DB) sweepLoop(every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-db.done:
			return
		case <-tick.C:
			db.Sweep()
		}
	}
}

// Sweep deletes the items whose time to live is over, and returns how many
// they were. Only a top-level attribute of type Number counts, in epoch
// seconds. It does nothing while the switch ttl is off.
func (db *DB) Sweep() int {
	if db.switches.Get().TTLOff {
		return 0
	}
	db.tables.RLock()
	tables := make([]*table, 0, len(db.tables.byName))
	for _, t := range db.tables.byName {
		tables = append(tables, t)
	}
	db.tables.RUnlock()
	n := 0
	for _, t := range tables {
		n += t.sweep(db)
	}
	return n
}

func (t *table) sweep(db *DB) int {
	unlock, err := t.lock()
	if err != nil {
		return 0
	}
	defer unlock()
	if t.ttlAttr == "" {
		return 0
	}
	now := db.now()
	latest, oldest := whole(now.Unix()), whole(now.Add(-ttlOldest).Unix())
	var expired []item
	for _, it := range t.items {
		if v := it[t.ttlAttr]; v != nil && v.kind == kindN && v.num.cmp(latest) <= 0 && v.num.cmp(oldest) >= 0 {
			expired = append(expired, it)
		}
	}
	for _, it := range expired {
		t.commit(db, it, nil, true) // not charged
	}
	return len(expired)
}

type updateTimeToLiveInput struct {
	TableName               string
	TimeToLiveSpecification struct {
		AttributeName string
		Enabled       bool
	}
}

func (db *DB) updateTimeToLive(in *updateTimeToLiveInput) (any, error) {
	t, err := db.table(in.TableName)
	if err != nil {
		return nil, err
	}
	unlock, err := t.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	spec := in.TimeToLiveSpecification
	switch {
	case spec.AttributeName == "":
		return nil, invalid("TimeToLiveSpecification needs an AttributeName")
	case !spec.Enabled:
		return nil, unsupported("switching TTL off")
	case t.ttlAttr != "":
		return nil, invalid("TimeToLive is already enabled")
	}
	t.ttlAttr = spec.AttributeName
	return map[string]any{"TimeToLiveSpecification": spec}, nil
}
