package dynamodb

import (
	"strconv"
	"time"
)

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
	if !db.switches.ttlOn() {
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
	latest, oldest := epoch(now), epoch(now.Add(-ttlOldest))
	var expired []item
	for _, entries := range t.rows.partitions {
		for _, e := range entries {
			v := e.item[t.ttlAttr]
			if v != nil && v.kind == kindN && v.num.cmp(latest) <= 0 && v.num.cmp(oldest) >= 0 {
				expired = append(expired, e.item)
			}
		}
	}
	for _, it := range expired {
		t.commit(db, it, nil, ttlIdentity) // not charged
	}
	return len(expired)
}

func epoch(at time.Time) number {
	n, err := parseNumber(strconv.FormatInt(at.Unix(), 10))
	if err != nil {
		panic(err) // an int64 is a number
	}
	return n
}

func (db *DB) updateTimeToLive(in *params) (any, error) {
	name := in.tableName()
	spec, _ := in.object("TimeToLiveSpecification")
	attr := spec.required("AttributeName")
	on := spec.boolean("Enabled", false)
	if err := in.err(); err != nil {
		return nil, err
	}
	t, err := db.table(name)
	if err != nil {
		return nil, err
	}
	unlock, err := t.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	switch {
	case on && t.ttlAttr != "":
		return nil, invalid("TimeToLive is already enabled")
	case !on && t.ttlAttr == "":
		return nil, invalid("TimeToLive is already disabled")
	case !on && t.ttlAttr != attr:
		return nil, invalid("TimeToLive is active on a different AttributeName: current AttributeName is " + t.ttlAttr)
	}
	t.ttlAttr = ""
	if on {
		t.ttlAttr = attr
	}
	return map[string]any{"TimeToLiveSpecification": map[string]any{"AttributeName": attr, "Enabled": on}}, nil
}

func (db *DB) describeTimeToLive(in *params) (any, error) {
	t, err := db.tableToDescribe(in)
	if err != nil {
		return nil, err
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	out := map[string]any{"TimeToLiveStatus": "DISABLED"}
	if t.ttlAttr != "" {
		out = map[string]any{"TimeToLiveStatus": "ENABLED", "AttributeName": t.ttlAttr}
	}
	return map[string]any{"TimeToLiveDescription": out}, nil
}
