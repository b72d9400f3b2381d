package dynamodb

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"orderbridge/local/awsjson"
)

type keyElement struct{ AttributeName, KeyType string }

type createTableInput struct {
	TableName            string
	BillingMode          string
	AttributeDefinitions []struct {
		AttributeName string
		AttributeType kind
	}
	KeySchema              []keyElement
	GlobalSecondaryIndexes []struct {
		IndexName  string
		KeySchema  []keyElement
		Projection struct{ ProjectionType string }
	}
	StreamSpecification struct {
		StreamEnabled  bool
		StreamViewType string
	}
}

type tableInput struct{ TableName string }

// createTable makes a table that is active at once: billed on demand, with a
// partition key alone, and with indexes of two keys and projection KEYS_ONLY.
func (db *DB) createTable(in *createTableInput) (any, error) {
	t := &table{name: in.TableName, arn: db.tableARN(in.TableName), created: db.now(), attrs: map[string]kind{}, items: map[string]item{}}
	switch {
	case len(in.TableName) < 3 || len(in.TableName) > 255:
		return nil, invalid("TableName must be at least 3 characters long and at most 255 characters long")
	case in.BillingMode != "PAY_PER_REQUEST":
		return nil, unsupported("a BillingMode other than PAY_PER_REQUEST")
	case in.StreamSpecification.StreamEnabled && in.StreamSpecification.StreamViewType != viewType:
		return nil, unsupported("StreamViewType %q", in.StreamSpecification.StreamViewType)
	}
	for _, a := range in.AttributeDefinitions {
		if a.AttributeType != kindS && a.AttributeType != kindN {
			return nil, unsupported("a key of type %q", a.AttributeType)
		}
		t.attrs[a.AttributeName] = a.AttributeType
	}
	names, err := t.keys(in.KeySchema, "HASH")
	if err != nil {
		return nil, err
	}
	t.key = names[0]
	used := map[string]bool{t.key: true}
	for _, i := range in.GlobalSecondaryIndexes {
		names, err := t.keys(i.KeySchema, "HASH", "RANGE")
		if err != nil {
			return nil, err
		}
		if i.Projection.ProjectionType != "KEYS_ONLY" {
			return nil, unsupported("an index with a projection other than KEYS_ONLY")
		}
		if slices.ContainsFunc(t.indexes, func(x *index) bool { return x.name == i.IndexName }) {
			return nil, invalid("One or more parameter values were invalid: Duplicate index name: %s", i.IndexName)
		}
		used[names[0]], used[names[1]] = true, true
		t.indexes = append(t.indexes, &index{name: i.IndexName, hash: names[0], sort: names[1], table: t, rows: map[string][]entry{}, stale: map[place]entry{}})
	}
	if len(used) != len(t.attrs) {
		return nil, invalid("One or more parameter values were invalid: Some AttributeDefinitions are not used")
	}
	db.tables.Lock()
	defer db.tables.Unlock()
	if db.tables.byName[t.name] != nil {
		return nil, &awsjson.Error{Type: prefixDynamo + "ResourceInUseException", Message: "Table already exists: " + t.name}
	}
	if in.StreamSpecification.StreamEnabled {
		t.stream = db.openStream(t)
	}
	db.tables.byName[t.name] = t
	return map[string]any{"TableDescription": t.describe("CREATING")}, nil
}

// keys reads a KeySchema that must have exactly these types.
func (t *table) keys(schema []keyElement, types ...string) (names []string, err error) {
	if len(schema) != len(types) {
		return nil, unsupported("a KeySchema here that is not of %v", types)
	}
	for i, want := range types {
		e := schema[i]
		if e.KeyType != want {
			return nil, invalid("Invalid KeySchema: The KeySchemaElement %s is not a %s key type", e.AttributeName, want)
		}
		if t.attrs[e.AttributeName] == "" || slices.Contains(names, e.AttributeName) {
			return nil, invalid("One or more parameter values were invalid: Some key attributes are not defined in AttributeDefinitions, or used twice: %s", e.AttributeName)
		}
		names = append(names, e.AttributeName)
	}
	return names, nil
}

// openStream makes a table's stream. The caller holds the lock of the tables.
func (db *DB) openStream(t *table) *stream {
	start := db.sequence.Add(1)
	// The label is the time of creation; the number keeps two streams of one
	// moment apart.
	label := t.created.Add(time.Duration(start) * time.Millisecond).UTC().Format("2006-01-02T15:04:05.000")
	s := &stream{
		arn: t.arn + "/stream/" + label, label: label, table: t.name, key: t.key,
		shard:  fmt.Sprintf("shardId-%020d-%08x", t.created.UnixMilli(), start),
		opened: t.created, start: start,
	}
	db.tables.streams = append(db.tables.streams, s)
	return s
}

// keySchema is a KeySchema as the service sends it.
func keySchema(hash string, sort ...string) []keyElement {
	out := []keyElement{{hash, "HASH"}}
	for _, name := range sort {
		out = append(out, keyElement{name, "RANGE"})
	}
	return out
}

// describe is a TableDescription. The caller holds the table's lock, or is the
// only one who knows the table.
func (t *table) describe(status string) map[string]any {
	attrs := []any{}
	for _, name := range slices.Sorted(maps.Keys(t.attrs)) {
		attrs = append(attrs, map[string]any{"AttributeName": name, "AttributeType": t.attrs[name]})
	}
	d := map[string]any{
		"TableName":            t.name,
		"TableArn":             t.arn,
		"TableStatus":          status,
		"CreationDateTime":     float64(t.created.UnixMilli()) / 1000,
		"KeySchema":            keySchema(t.key),
		"AttributeDefinitions": attrs,
		"ItemCount":            len(t.items),
		"BillingModeSummary":   map[string]any{"BillingMode": "PAY_PER_REQUEST"},
	}
	if t.stream != nil {
		d["StreamSpecification"] = map[string]any{"StreamEnabled": true, "StreamViewType": viewType}
		d["LatestStreamArn"] = t.stream.arn
		d["LatestStreamLabel"] = t.stream.label
	}
	indexes := []any{}
	for _, x := range t.indexes {
		count := 0
		for _, entries := range x.rows {
			count += len(entries)
		}
		indexes = append(indexes, map[string]any{
			"IndexName": x.name, "IndexArn": t.arn + "/index/" + x.name, "IndexStatus": status, "KeySchema": keySchema(x.hash, x.sort),
			"Projection": map[string]any{"ProjectionType": "KEYS_ONLY"}, "ItemCount": count,
		})
	}
	if len(indexes) > 0 {
		d["GlobalSecondaryIndexes"] = indexes
	}
	return d
}

func (db *DB) describeTable(in *tableInput) (any, error) {
	t, err := db.table(in.TableName)
	if err != nil {
		return nil, err
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	return map[string]any{"Table": t.describe("ACTIVE")}, nil
}

func (db *DB) deleteTable(in *tableInput) (any, error) {
	t, err := db.table(in.TableName)
	if err != nil {
		return nil, err
	}
	db.tables.Lock()
	if db.tables.byName[t.name] == t {
		delete(db.tables.byName, t.name)
	}
	db.tables.Unlock()
	unlock, err := t.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	t.gone = true
	if t.stream != nil {
		t.stream.close()
	}
	return map[string]any{"TableDescription": t.describe("DELETING")}, nil
}
