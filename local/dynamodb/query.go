package dynamodb

import "slices"

type queryInput struct {
	TableName              string
	IndexName              string
	KeyConditionExpression string
	Limit                  *int
	ExclusiveStartKey      item
	ScanIndexForward       *bool
	placeholders
}

// keyCondition is a comparison of a key attribute with a value.
type keyCondition struct {
	op    string
	value *value
}

// query reads one partition of an index, in the order of the sort key.
func (db *DB) query(in *queryInput) (any, error) {
	t, err := db.table(in.TableName)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(t.indexes, func(x *index) bool { return x.name == in.IndexName })
	switch {
	case in.IndexName == "":
		return nil, unsupported("Query without IndexName: no table has a sort key")
	case i < 0:
		return nil, invalid("The table does not have the specified index: %s", in.IndexName)
	case in.Limit != nil && *in.Limit < 1:
		return nil, invalid("Limit must be 1 or more")
	}
	x := t.indexes[i]
	hash, sort, err := x.keyConditions(in)
	if err != nil {
		return nil, err
	}
	if err := in.unused(); err != nil {
		return nil, err
	}
	var from *entry
	if in.ExclusiveStartKey != nil {
		from = x.view(in.ExclusiveStartKey)
		if from == nil || len(in.ExclusiveStartKey) != len(from.item) || from.key == nil || t.checkItem(in.ExclusiveStartKey) != nil || !from.hash.equal(hash) {
			return nil, invalid("The provided starting key is invalid, or outside query boundaries")
		}
	}
	forward := in.ScanIndexForward == nil || *in.ScanIndexForward

	t.mu.Lock() // not for reading: what is due shows first
	defer t.mu.Unlock()
	set := db.switches.Get()
	x.show(db.now(), set.IndexLag, set.StaleIndex)
	entries := slices.Clone(x.rows[keyText(hash)])
	if !forward {
		slices.Reverse(entries)
	}
	items, bytes := []any{}, 0
	out := map[string]any{}
	for _, e := range entries {
		if from != nil {
			// The place need not exist any more.
			if c := compareEntries(e, *from); c == 0 || (c < 0) == forward {
				continue
			}
		}
		if sort != nil && !compare(sort.op, e.sort, sort.value) {
			continue
		}
		items = append(items, e.item.wire())
		bytes += e.item.size()
		// A full page gives a place to go on from, even if nothing follows.
		if in.Limit != nil && len(items) >= *in.Limit || bytes >= maxPageBytes {
			out["LastEvaluatedKey"] = e.item.wire()
			break
		}
	}
	out["Items"], out["Count"], out["ScannedCount"] = items, len(items), len(items)
	db.meter.read(t.name, "Query", readUnits(bytes, false), x.name)
	return out, nil
}

// keyConditions reads a KeyConditionExpression: the hash key equal to a value
// and, if there is a second condition, the sort key compared with one.
func (x *index) keyConditions(in *queryInput) (hash *value, sort *keyCondition, err error) {
	c, err := parse("KeyConditionExpression", &in.KeyConditionExpression, &in.placeholders, x.table.attrs, (*parser).condition)
	if err != nil {
		return nil, nil, err
	}
	parts := []*condition{c}
	if c.op == "AND" {
		parts = c.parts
	}
	for _, c := range parts {
		if len(c.right) != 1 || c.op == "IN" || c.op == "<>" || len(c.left.path) != 1 || c.left.size || c.right[0].value == nil {
			return nil, nil, invalid("Invalid KeyConditionExpression: of each key one comparison (=, <, <=, >, >=) with a value is supported, joined by AND")
		}
		name, v := c.left.path[0], c.right[0].value
		if v.kind != x.table.attrs[name] {
			return nil, nil, invalid("One or more parameter values were invalid: Condition parameter type does not match schema type: %s", name)
		}
		switch {
		case name == x.hash && c.op == "=" && hash == nil:
			hash = v
		case name == x.sort && sort == nil:
			sort = &keyCondition{c.op, v}
		default:
			return nil, nil, invalid("Query key condition not supported: %s %s", name, c.op)
		}
	}
	if hash == nil {
		return nil, nil, invalid("Query condition missed key schema element: %s", x.hash)
	}
	return hash, sort, nil
}
