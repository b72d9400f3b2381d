package dynamodb

import (
	"maps"
	"sync"
)

// TableConsumed is what was consumed on one table since the start or since
// ResetConsumed, in capacity units. Refused requests count where the service
// charges for them: a failed condition does.
type TableConsumed struct {
	ReadUnits  float64                `json:"readUnits"`
	WriteUnits float64                `json:"writeUnits"`
	Indexes    map[string]Consumed    `json:"indexes"` // part of the above
	Operations map[string]OpsConsumed `json:"operations"`
}

// Consumed is read and write units.
type Consumed struct {
	ReadUnits  float64 `json:"readUnits"`
	WriteUnits float64 `json:"writeUnits"`
}

// OpsConsumed is what one operation did.
type OpsConsumed struct {
	Calls      int     `json:"calls"`
	ReadUnits  float64 `json:"readUnits"`
	WriteUnits float64 `json:"writeUnits"`
}

type meter struct {
	mu     sync.Mutex
	tables map[string]TableConsumed
}

// write counts a call of an operation that wrote.
func (m *meter) write(table, operation string, onTable float64, onIndexes map[string]float64) {
	m.count(table, operation, func(t *TableConsumed, o *OpsConsumed) {
		sum := onTable
		for name, u := range onIndexes {
			c := t.Indexes[name]
			c.WriteUnits += u
			t.Indexes[name] = c
			sum += u
		}
		t.WriteUnits += sum
		o.WriteUnits += sum
	})
}

// read counts a call of an operation that read a table, or an index of it.
func (m *meter) read(table, operation string, units float64, index string) {
	m.count(table, operation, func(t *TableConsumed, o *OpsConsumed) {
		if index != "" {
			c := t.Indexes[index]
			c.ReadUnits += units
			t.Indexes[index] = c
		}
		t.ReadUnits += units
		o.ReadUnits += units
	})
}

func (m *meter) count(table, operation string, add func(*TableConsumed, *OpsConsumed)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.tables == nil {
		m.tables = map[string]TableConsumed{}
	}
	t, ok := m.tables[table]
	if !ok {
		t.Indexes, t.Operations = map[string]Consumed{}, map[string]OpsConsumed{}
	}
	o := t.Operations[operation]
	o.Calls++
	add(&t, &o)
	t.Operations[operation] = o
	m.tables[table] = t
}

// Consumed returns the units consumed so far, by table.
func (db *DB) Consumed() map[string]TableConsumed {
	db.meter.mu.Lock()
	defer db.meter.mu.Unlock()
	out := map[string]TableConsumed{}
	for name, t := range db.meter.tables {
		t.Indexes, t.Operations = maps.Clone(t.Indexes), maps.Clone(t.Operations)
		out[name] = t
	}
	return out
}

// ResetConsumed sets the count of consumed units to zero.
func (db *DB) ResetConsumed() {
	db.meter.mu.Lock()
	defer db.meter.mu.Unlock()
	db.meter.tables = nil
}
