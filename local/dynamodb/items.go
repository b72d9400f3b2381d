package dynamodb

// writeInput is what PutItem, UpdateItem and DeleteItem have in common.
type writeInput struct {
	TableName                           string
	ConditionExpression                 *string
	ReturnValues                        string
	ReturnValuesOnConditionCheckFailure string
	placeholders
}

type putItemInput struct {
	writeInput
	Item item
}

type updateItemInput struct {
	writeInput
	Key              item
	UpdateExpression *string
}

type deleteItemInput struct {
	writeInput
	Key item
}

type getItemInput struct {
	TableName            string
	Key                  item
	ConsistentRead       bool
	ProjectionExpression *string
	placeholders
}

// write runs one conditional write under the table's lock: change gets the old
// item (nil if there is none) and returns the new one (nil to delete).
func (db *DB) write(operation string, t *table, in *writeInput, key *value, change func(old item) (item, error)) (new item, err error) {
	switch in.ReturnValuesOnConditionCheckFailure {
	case "", "NONE", "ALL_OLD":
	default:
		return nil, invalid("ReturnValuesOnConditionCheckFailure must be ALL_OLD or NONE: %q", in.ReturnValuesOnConditionCheckFailure)
	}
	required, err := parse("ConditionExpression", in.ConditionExpression, &in.placeholders, t.attrs, (*parser).condition)
	if err != nil {
		return nil, err
	}
	if err := in.unused(); err != nil {
		return nil, err
	}
	unlock, err := t.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	old := t.items[keyText(key)]
	if required != nil && !required.holds(old) {
		// A failed condition is charged by the size of what it looked at.
		db.meter.write(t.name, operation, writeUnits(old.size()), nil)
		if in.ReturnValuesOnConditionCheckFailure != "ALL_OLD" {
			old = nil
		}
		return nil, conditionFailed(old)
	}
	if new, err = change(old); err != nil {
		return nil, err
	}
	onTable, onIndexes := t.commit(db, old, new, false)
	db.meter.write(t.name, operation, onTable, onIndexes)
	return new, nil
}

// keyed finds the table of a request and checks the request's Key against it.
func (db *DB) keyed(name string, key item) (*table, error) {
	t, err := db.table(name)
	if err == nil {
		err = t.checkKey(key)
	}
	return t, err
}

// noReturn refuses the ReturnValues that an operation does not support here.
func (in *writeInput) noReturn() error {
	if in.ReturnValues != "" && in.ReturnValues != "NONE" {
		return unsupported("ReturnValues %q of this operation", in.ReturnValues)
	}
	return nil
}

func (db *DB) putItem(in *putItemInput) (any, error) {
	if err := in.noReturn(); err != nil {
		return nil, err
	}
	t, err := db.table(in.TableName)
	if err != nil {
		return nil, err
	}
	if err := t.checkItem(in.Item); err != nil {
		return nil, err
	}
	_, err = db.write("PutItem", t, &in.writeInput, in.Item[t.key], func(item) (item, error) { return in.Item, nil })
	return struct{}{}, err
}

func (db *DB) deleteItem(in *deleteItemInput) (any, error) {
	if err := in.noReturn(); err != nil {
		return nil, err
	}
	t, err := db.keyed(in.TableName, in.Key)
	if err != nil {
		return nil, err
	}
	_, err = db.write("DeleteItem", t, &in.writeInput, in.Key[t.key], func(item) (item, error) { return nil, nil })
	return struct{}{}, err
}

func (db *DB) updateItem(in *updateItemInput) (any, error) {
	if in.ReturnValues != "ALL_NEW" {
		if err := in.noReturn(); err != nil {
			return nil, err
		}
	}
	t, err := db.keyed(in.TableName, in.Key)
	if err != nil {
		return nil, err
	}
	update, err := parse("UpdateExpression", in.UpdateExpression, &in.placeholders, t.attrs, (*parser).update)
	if err != nil {
		return nil, err
	}
	for _, a := range update {
		if a.path[0] == t.key {
			return nil, invalid("One or more parameter values were invalid: Cannot update attribute %s. This attribute is part of the key", t.key)
		}
	}
	new, err := db.write("UpdateItem", t, &in.writeInput, in.Key[t.key], func(old item) (item, error) {
		if old == nil {
			old = in.Key
		}
		next, err := apply(update, old)
		if err != nil {
			return nil, err
		}
		return next, t.checkItem(next)
	})
	if err != nil || in.ReturnValues != "ALL_NEW" {
		return struct{}{}, err
	}
	return map[string]any{"Attributes": new.wire()}, nil
}

// getItem is a consistent read in any case: nothing may rely on an eventually
// consistent one.
func (db *DB) getItem(in *getItemInput) (any, error) {
	t, err := db.keyed(in.TableName, in.Key)
	if err != nil {
		return nil, err
	}
	names, err := parse("ProjectionExpression", in.ProjectionExpression, &in.placeholders, t.attrs, (*parser).projection)
	if err != nil {
		return nil, err
	}
	if err := in.unused(); err != nil {
		return nil, err
	}
	t.mu.RLock()
	it, there := t.items[keyText(in.Key[t.key])]
	t.mu.RUnlock()
	db.meter.read(t.name, "GetItem", readUnits(it.size(), in.ConsistentRead), "")
	if !there {
		return struct{}{}, nil
	}
	if names != nil {
		it = it.pick(names...)
	}
	return map[string]any{"Item": it.wire()}, nil
}
