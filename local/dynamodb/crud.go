package dynamodb

import (
	"fmt"
	"maps"
	"slices"
)

// Limits of BatchGetItem.
const (
	maxBatchKeys  = 100
	maxBatchBytes = 16 << 20
)

// writeRequest is what PutItem, UpdateItem and DeleteItem have in common.
type writeRequest struct {
	table     string
	operation string
	returns   string // ReturnValues
	onFailure bool   // ReturnValuesOnConditionCheckFailure is ALL_OLD
	capacity  string // ReturnConsumedCapacity
	condition *node
}

func (in *params) writeRequest() writeRequest {
	w := writeRequest{
		table:     in.tableName(),
		operation: in.operation,
		returns:   in.oneOf("ReturnValues", "ALL_NEW", "UPDATED_OLD", "ALL_OLD", "NONE", "UPDATED_NEW"),
		onFailure: in.oneOf("ReturnValuesOnConditionCheckFailure", "ALL_OLD", "NONE") == "ALL_OLD",
		capacity:  in.capacity(),
	}
	in.oneOf("ReturnItemCollectionMetrics", "SIZE", "NONE")
	return w
}

func (in *params) capacity() string {
	return in.oneOf("ReturnConsumedCapacity", "INDEXES", "TOTAL", "NONE")
}

// write runs one conditional write under the table's lock: change gets the old
// item (nil if there is none) and returns the new one (nil to delete).
func (db *DB) write(t *table, w writeRequest, key item, change func(old item) (item, error)) (old, new item, out map[string]any, err error) {
	unlock, err := t.lock()
	if err != nil {
		return nil, nil, nil, err
	}
	defer unlock()
	old = t.rows.get(t.key.entry(key, ""))
	if w.condition != nil && !w.condition.holds(old) {
		// A failed condition is charged by the size of what it looked at.
		db.meter.add(t.name, w.operation, 0, writeUnits(old.size()), nil, nil)
		e := conditionFailed(nil)
		if w.onFailure {
			e.item = old
		}
		return nil, nil, nil, e
	}
	new, err = change(old)
	if err != nil {
		return nil, nil, nil, err
	}
	cost := t.commit(db, old, new, nil)
	db.meter.add(t.name, w.operation, 0, cost.table, nil, cost.indexes)
	out = map[string]any{}
	if w.returns == "ALL_OLD" && old != nil {
		out["Attributes"] = old.wire()
	}
	consumed(out, w.capacity, t.name, cost)
	return old, new, out, nil
}

// consumed adds ConsumedCapacity to an answer, as far as it was asked for.
func consumed(out map[string]any, mode, table string, cost written) {
	if c := capacityOf(mode, table, cost); c != nil {
		out["ConsumedCapacity"] = c
	}
}

func capacityOf(mode, table string, cost written) map[string]any {
	if mode != "TOTAL" && mode != "INDEXES" {
		return nil
	}
	c := map[string]any{"TableName": table, "CapacityUnits": cost.total()}
	if mode == "INDEXES" {
		c["Table"] = map[string]any{"CapacityUnits": cost.table}
		indexes := map[string]any{}
		for name, u := range cost.indexes {
			indexes[name] = map[string]any{"CapacityUnits": u}
		}
		if len(indexes) > 0 {
			c["GlobalSecondaryIndexes"] = indexes
		}
	}
	return c
}

func (db *DB) putItem(in *params) (any, error) {
	w := in.writeRequest()
	raw := in.attributes("Item")
	if err := in.err(); err != nil {
		return nil, err
	}
	if err := in.checkExpressionUse("ConditionExpression"); err != nil {
		return nil, err
	}
	it, err := readItem(raw)
	if err != nil {
		return nil, err
	}
	if w.returns != "" && w.returns != "ALL_OLD" && w.returns != "NONE" {
		return nil, invalid("ReturnValues can only be ALL_OLD or NONE")
	}
	if it.size() > maxItemBytes {
		return nil, invalid("Item size has exceeded the maximum allowed size")
	}
	x, err := in.expressions()
	if err != nil {
		return nil, err
	}
	w.condition = x.condition
	t, err := db.table(w.table)
	if err != nil {
		return nil, err
	}
	if err := t.checkItem(it); err != nil {
		return nil, err
	}
	if err := t.checkNested(x.condition.paths()); err != nil {
		return nil, err
	}
	_, _, out, err := db.write(t, w, it, func(item) (item, error) { return it, nil })
	return out, err
}

func (db *DB) deleteItem(in *params) (any, error) {
	w := in.writeRequest()
	raw := in.attributes("Key")
	if err := in.err(); err != nil {
		return nil, err
	}
	if err := in.checkExpressionUse("ConditionExpression"); err != nil {
		return nil, err
	}
	key, err := readItem(raw)
	if err != nil {
		return nil, err
	}
	if w.returns != "" && w.returns != "ALL_OLD" && w.returns != "NONE" {
		return nil, invalid("ReturnValues can only be ALL_OLD or NONE")
	}
	x, err := in.expressions()
	if err != nil {
		return nil, err
	}
	w.condition = x.condition
	t, err := db.table(w.table)
	if err != nil {
		return nil, err
	}
	if err := t.checkKey(key); err != nil {
		return nil, err
	}
	if err := t.checkNested(x.condition.paths()); err != nil {
		return nil, err
	}
	_, _, out, err := db.write(t, w, key, func(item) (item, error) { return nil, nil })
	return out, err
}

func (db *DB) updateItem(in *params) (any, error) {
	w := in.writeRequest()
	raw := in.attributes("Key")
	if err := in.err(); err != nil {
		return nil, err
	}
	if err := in.checkExpressionUse("UpdateExpression", "ConditionExpression"); err != nil {
		return nil, err
	}
	key, err := readItem(raw)
	if err != nil {
		return nil, err
	}
	x, err := in.expressions()
	if err != nil {
		return nil, err
	}
	w.condition = x.condition
	t, err := db.table(w.table)
	if err != nil {
		return nil, err
	}
	if err := t.checkKey(key); err != nil {
		return nil, err
	}
	if err := t.checkUpdate(x.update); err != nil {
		return nil, err
	}
	if err := t.checkNested(x.condition.paths()); err != nil {
		return nil, err
	}
	old, new, out, err := db.write(t, w, key, func(old item) (item, error) {
		base := old
		if base == nil {
			base = key
		}
		next, err := apply(x.update, base)
		if err != nil {
			return nil, err
		}
		return next, t.checkUpdated(next)
	})
	if err != nil {
		return nil, err
	}
	attributes := item{}
	switch w.returns {
	case "ALL_NEW":
		attributes = new
	case "UPDATED_OLD":
		attributes = old.project(updated(x.update))
	case "UPDATED_NEW":
		attributes = new.project(updated(x.update))
	}
	if len(attributes) > 0 {
		out["Attributes"] = attributes.wire()
	}
	return out, nil
}

func updated(clauses []clause) []path {
	paths := make([]path, len(clauses))
	for i, c := range clauses {
		paths[i] = c.path
	}
	return paths
}

func (db *DB) getItem(in *params) (any, error) {
	name := in.tableName()
	raw := in.attributes("Key")
	consistent := in.boolean("ConsistentRead", false)
	mode := in.capacity()
	if err := in.err(); err != nil {
		return nil, err
	}
	if err := in.checkExpressionUse("ProjectionExpression"); err != nil {
		return nil, err
	}
	key, err := readItem(raw)
	if err != nil {
		return nil, err
	}
	x, err := in.expressions()
	if err != nil {
		return nil, err
	}
	t, err := db.table(name)
	if err != nil {
		return nil, err
	}
	if err := t.checkKey(key); err != nil {
		return nil, err
	}
	if err := t.checkNested(x.projection); err != nil {
		return nil, err
	}
	it, size := t.read(key)
	cost := written{table: readUnits(size, consistent)}
	db.meter.add(t.name, in.operation, cost.table, 0, nil, nil)
	out := map[string]any{}
	if it != nil {
		if x.projection != nil {
			it = it.project(x.projection)
		}
		out["Item"] = it.wire()
	}
	consumed(out, mode, t.name, cost)
	return out, nil
}

// read is a consistent read: there is no other kind here, eventual consistency
// on a table would have to be asked for and nothing may rely on it.
func (t *table) read(key item) (item, int) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	it := t.rows.get(t.key.entry(key, ""))
	return it, it.size()
}

func (db *DB) batchGetItem(in *params) (any, error) {
	mode := in.capacity()
	raw, ok := in.raw["RequestItems"].(map[string]any)
	switch {
	case !in.has("RequestItems"):
		in.violated("RequestItems", "null", "Member must not be null")
	case !ok:
		return nil, wrongShape(in.raw["RequestItems"], shapeTables)
	case len(raw) == 0:
		in.violated("RequestItems", "{}", "Member must have length greater than or equal to 1")
	}
	if err := in.err(); err != nil {
		return nil, err
	}
	var batches []*batch
	total := 0
	for _, name := range slices.Sorted(maps.Keys(raw)) {
		b, err := readBatch(in, name, raw[name])
		if err != nil {
			return nil, err
		}
		if total += len(b.keys); total > maxBatchKeys {
			return nil, invalid("Too many items requested for the BatchGetItem call")
		}
		batches = append(batches, b)
	}
	for _, b := range batches {
		if err := b.open(db); err != nil {
			return nil, err
		}
	}
	responses, unprocessed, capacity := map[string]any{}, map[string]any{}, []any{}
	bytes := 0
	for _, b := range batches {
		items, left := []any{}, []any{}
		cost := written{}
		for i, key := range b.keys {
			it, size := b.table.read(key)
			if it != nil && bytes+size > maxBatchBytes {
				left = append(left, b.raw[i])
				continue
			}
			bytes += size
			cost.table += readUnits(size, b.consistent)
			if it == nil {
				continue
			}
			if b.projection != nil {
				it = it.project(b.projection)
			}
			items = append(items, it.wire())
		}
		db.meter.add(b.table.name, in.operation, cost.table, 0, nil, nil)
		responses[b.name] = items
		if len(left) > 0 {
			again := maps.Clone(b.request)
			again["Keys"] = left
			unprocessed[b.name] = again
		}
		if c := capacityOf(mode, b.table.name, cost); c != nil {
			capacity = append(capacity, c)
		}
	}
	out := map[string]any{"Responses": responses, "UnprocessedKeys": unprocessed}
	if len(capacity) > 0 {
		out["ConsumedCapacity"] = capacity
	}
	return out, nil
}

// batch is the part of a BatchGetItem for one table.
type batch struct {
	name       string // as it was asked for: a name or an ARN
	tableName  string
	table      *table
	request    map[string]any
	raw        []any
	keys       []item
	consistent bool
	projection []path
}

func readBatch(in *params, name string, raw any) (*batch, error) {
	request, ok := raw.(map[string]any)
	if !ok {
		return nil, wrongShape(raw, "class "+shapeTables)
	}
	p := newParams(in.operation, request)
	b := &batch{name: name, request: request, consistent: p.boolean("ConsistentRead", false)}
	table := (&params{operation: in.operation, raw: map[string]any{"TableName": name}, shared: p.shared}).tableName()
	b.raw, ok = request["Keys"].([]any)
	switch n := len(b.raw); {
	case !ok:
		p.violated("RequestItems."+name+".member.keys", "null", "Member must not be null")
	case n == 0:
		p.violated("RequestItems."+name+".member.keys", "[]", "Member must have length greater than or equal to 1")
	case n > maxBatchKeys:
		p.violated("RequestItems."+name+".member.keys", "[...]", fmt.Sprintf("Member must have length less than or equal to %d", maxBatchKeys))
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	if err := p.checkExpressionUse("ProjectionExpression"); err != nil {
		return nil, err
	}
	x, err := p.expressions()
	if err != nil {
		return nil, err
	}
	b.projection = x.projection
	for _, rawKey := range b.raw {
		key, err := readItem(rawKey)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(b.keys, key.equal) {
			return nil, invalid("Provided list of item keys contains duplicates")
		}
		b.keys = append(b.keys, key)
	}
	b.tableName = table
	return b, nil
}

// open finds the batch's table and checks the keys against it.
func (b *batch) open(db *DB) error {
	t, err := db.table(b.tableName)
	if err != nil {
		return err
	}
	b.table = t
	for _, key := range b.keys {
		if err := t.checkKey(key); err != nil {
			return err
		}
	}
	return t.checkNested(b.projection)
}
