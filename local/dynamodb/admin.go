package dynamodb

import (
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Limits of a table (Developer Guide, "Service quotas").
const (
	maxIndexes = 20
	maxTables  = 100 // in one answer of ListTables
)

func (k keySchema) wire() []any {
	out := []any{map[string]any{"AttributeName": k[0].name, "KeyType": "HASH"}}
	if len(k) == 2 {
		out = append(out, map[string]any{"AttributeName": k[1].name, "KeyType": "RANGE"})
	}
	return out
}

// arns of what the DB holds.
func (db *DB) arn(table string) string {
	return "arn:aws:dynamodb:" + db.region + ":" + db.account + ":table/" + table
}

// readSchema reads a KeySchema and gives its attributes their types.
func readSchema(in *params, attrs map[string]kind, order []string) (keySchema, error) {
	elements := in.objects("KeySchema")
	if n := len(elements); !in.has("KeySchema") {
		in.violated("KeySchema", "null", "Member must not be null")
	} else if n < 1 {
		in.violated("KeySchema", "[]", "Member must have length greater than or equal to 1")
	} else if n > 2 {
		in.violated("KeySchema", "[...]", "Member must have length less than or equal to 2")
	}
	var key keySchema
	var types []string
	for _, e := range elements {
		key = append(key, keyAttr{name: e.required("AttributeName")})
		e.required("KeyType")
		types = append(types, e.oneOf("KeyType", "HASH", "RANGE"))
	}
	if err := in.err(); err != nil {
		return nil, err
	}
	if len(key) > len(attrs) {
		return nil, invalid("Invalid KeySchema: Some index key attribute have no definition")
	}
	for i := range key {
		k, ok := attrs[key[i].name]
		if !ok {
			return nil, invalid(fmt.Sprintf("One or more parameter values were invalid: Some index key attributes are not defined in AttributeDefinitions. Keys: [%s], AttributeDefinitions: [%s]",
				strings.Join(key.names(), ", "), strings.Join(order, ", ")))
		}
		key[i].kind = k
	}
	switch {
	case len(key) == 2 && key[0].name == key[1].name:
		return nil, invalid("Both the Hash Key and the Range Key element in the KeySchema have the same name")
	case types[0] != "HASH":
		return nil, invalid("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")
	case len(types) == 2 && types[1] != "RANGE":
		return nil, invalid("Invalid KeySchema: The second KeySchemaElement is not a RANGE key type")
	}
	return key, nil
}

func readIndex(in *params, attrs map[string]kind, order []string, onDemand bool) (*index, error) {
	x := &index{rows: newRows(), stale: map[string]entry{}}
	in.required("IndexName")
	if in.has("IndexName") {
		x.name = in.checkName("IndexName", in.text("IndexName"))
	}
	projection, ok := in.object("Projection")
	if !ok {
		in.violated("Projection", "null", "Member must not be null")
	}
	x.projection = projection.oneOf("ProjectionType", "ALL", "INCLUDE", "KEYS_ONLY")
	x.include = projection.texts("NonKeyAttributes")
	key, err := readSchema(in, attrs, order)
	if err != nil {
		return nil, err
	}
	x.key = key
	switch {
	case x.projection == "":
		return nil, invalid("One or more parameter values were invalid: Unknown ProjectionType: null")
	case len(x.include) > 0 && x.projection != "INCLUDE":
		return nil, invalid("One or more parameter values were invalid: ProjectionType is " + x.projection + ", but NonKeyAttributes is specified")
	case x.projection == "INCLUDE" && len(x.include) == 0:
		return nil, invalid("One or more parameter values were invalid: ProjectionType is INCLUDE, but NonKeyAttributes is not specified")
	case onDemand && in.has("ProvisionedThroughput"):
		return nil, invalid("One or more parameter values were invalid: ProvisionedThroughput should not be specified for index: " + x.name + " when BillingMode is PAY_PER_REQUEST")
	}
	return x, nil
}

func (db *DB) createTable(in *params) (any, error) {
	t := &table{rows: newRows(), attrs: map[string]kind{}, created: db.now(), id: uuid()}
	t.name = in.ownTableName()
	t.billing = in.oneOf("BillingMode", "PROVISIONED", "PAY_PER_REQUEST")
	t.protected = in.boolean("DeletionProtectionEnabled", false)
	if !in.has("AttributeDefinitions") {
		in.violated("AttributeDefinitions", "null", "Member must not be null")
	}
	for _, a := range in.objects("AttributeDefinitions") {
		name := a.required("AttributeName")
		a.required("AttributeType")
		t.attrs[name] = kind(a.oneOf("AttributeType", "B", "N", "S"))
		t.attrOrder = append(t.attrOrder, name)
	}
	throughput, given := in.object("ProvisionedThroughput")
	throughput.integer("ReadCapacityUnits", 1, 1<<40, 1)
	throughput.integer("WriteCapacityUnits", 1, 1<<40, 1)
	spec, _ := in.object("StreamSpecification")
	streamed := spec.boolean("StreamEnabled", false)
	view := spec.oneOf("StreamViewType", "NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES", "KEYS_ONLY")
	if err := in.err(); err != nil {
		return nil, err
	}
	onDemand := t.billing == "PAY_PER_REQUEST"
	switch {
	case onDemand && given:
		return nil, invalid("One or more parameter values were invalid: Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST")
	case !onDemand && !given:
		return nil, invalid("One or more parameter values were invalid: ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED")
	case in.has("LocalSecondaryIndexes"):
		return nil, invalid("Local secondary indexes are not supported by this emulator")
	case streamed && view == "", !streamed && view != "":
		return nil, invalid("One or more parameter values were invalid: StreamViewType must be specified exactly when StreamEnabled is true")
	}
	key, err := readSchema(in, t.attrs, t.attrOrder)
	if err != nil {
		return nil, err
	}
	t.key = key
	used := map[string]struct{}{}
	for _, name := range key.names() {
		used[name] = struct{}{}
	}
	indexes := in.objects("GlobalSecondaryIndexes")
	if in.has("GlobalSecondaryIndexes") && len(indexes) == 0 {
		return nil, invalid("One or more parameter values were invalid: List of GlobalSecondaryIndexes is empty")
	}
	if len(indexes) > maxIndexes {
		return nil, invalid("One or more parameter values were invalid: GlobalSecondaryIndex count exceeds the per-table limit of 20")
	}
	for _, p := range indexes {
		x, err := readIndex(p, t.attrs, t.attrOrder, onDemand)
		if err != nil {
			return nil, err
		}
		if t.index(x.name) != nil {
			return nil, invalid("One or more parameter values were invalid: Duplicate index name: " + x.name)
		}
		x.arn = db.arn(t.name) + "/index/" + x.name
		for _, name := range x.key.names() {
			used[name] = struct{}{}
		}
		t.indexes = append(t.indexes, x)
	}
	if len(t.indexes) == 0 && len(t.key) != len(t.attrOrder) {
		return nil, invalid("One or more parameter values were invalid: Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions")
	}
	if len(used) != len(t.attrs) || len(t.attrs) != len(t.attrOrder) {
		return nil, invalid(fmt.Sprintf("One or more parameter values were invalid: Some AttributeDefinitions are not used. AttributeDefinitions: [%s], keys used: [%s]",
			strings.Join(t.attrOrder, ", "), strings.Join(slices.Sorted(maps.Keys(used)), ", ")))
	}
	t.arn = db.arn(t.name)
	db.tables.Lock()
	defer db.tables.Unlock()
	if db.tables.byName[t.name] != nil {
		return nil, inUse("Table already exists: " + t.name)
	}
	if streamed {
		t.stream = db.openStream(t, view)
	}
	db.tables.byName[t.name] = t
	return map[string]any{"TableDescription": t.describe("CREATING")}, nil
}

// openStream makes a table's stream. The caller holds the lock of the tables.
func (db *DB) openStream(t *table, view string) *stream {
	start := db.sequence.Add(1)
	// The label is the time of creation; the number keeps two streams of one
	// moment apart.
	label := t.created.UTC().Format("2006-01-02T15:04:05.000")
	for slices.ContainsFunc(db.tables.streams, func(s *stream) bool { return s.table == t.name && s.label == label }) {
		label = t.created.Add(time.Duration(start) * time.Millisecond).UTC().Format("2006-01-02T15:04:05.000")
		start++
	}
	s := &stream{
		arn: t.arn + "/stream/" + label, label: label, table: t.name, view: view, key: t.key,
		shard:  fmt.Sprintf("shardId-%020d-%08x", t.created.UnixMilli(), start),
		opened: t.created, start: start,
	}
	db.tables.streams = append(db.tables.streams, s)
	return s
}

func uuid() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// describe is a TableDescription. The caller holds the table's lock, or is the
// only one who knows the table.
func (t *table) describe(status string) map[string]any {
	attrs := []any{}
	for _, name := range t.attrOrder {
		attrs = append(attrs, map[string]any{"AttributeName": name, "AttributeType": string(t.attrs[name])})
	}
	throughput := map[string]any{"ReadCapacityUnits": 0, "WriteCapacityUnits": 0, "NumberOfDecreasesToday": 0}
	d := map[string]any{
		"TableName":                 t.name,
		"TableArn":                  t.arn,
		"TableId":                   t.id,
		"TableStatus":               status,
		"CreationDateTime":          float64(t.created.UnixMilli()) / 1000,
		"KeySchema":                 t.key.wire(),
		"AttributeDefinitions":      attrs,
		"ItemCount":                 t.rows.count,
		"TableSizeBytes":            t.bytes,
		"ProvisionedThroughput":     throughput,
		"DeletionProtectionEnabled": t.protected,
	}
	if t.billing == "PAY_PER_REQUEST" {
		d["BillingModeSummary"] = map[string]any{"BillingMode": t.billing, "LastUpdateToPayPerRequestDateTime": float64(t.created.UnixMilli()) / 1000}
	}
	if t.stream != nil {
		d["StreamSpecification"] = map[string]any{"StreamEnabled": true, "StreamViewType": t.stream.view}
		d["LatestStreamArn"] = t.stream.arn
		d["LatestStreamLabel"] = t.stream.label
	}
	indexes := []any{}
	for _, x := range t.indexes {
		projection := map[string]any{"ProjectionType": x.projection}
		if len(x.include) > 0 {
			projection["NonKeyAttributes"] = x.include
		}
		bytes := 0
		for _, entries := range x.rows.partitions {
			for _, e := range entries {
				bytes += e.item.size()
			}
		}
		indexes = append(indexes, map[string]any{
			"IndexName": x.name, "IndexArn": x.arn, "IndexStatus": status, "KeySchema": x.key.wire(),
			"Projection": projection, "ItemCount": x.rows.count, "IndexSizeBytes": bytes, "ProvisionedThroughput": throughput,
		})
	}
	if len(indexes) > 0 {
		d["GlobalSecondaryIndexes"] = indexes
	}
	return d
}

// tableToDescribe finds a table for the operations that name it in the error.
func (db *DB) tableToDescribe(in *params) (*table, error) {
	name := in.ownTableName()
	if err := in.err(); err != nil {
		return nil, err
	}
	t, err := db.table(name)
	if err != nil {
		return nil, notFound("Requested resource not found: Table: " + name + " not found")
	}
	return t, nil
}

func (db *DB) describeTable(in *params) (any, error) {
	t, err := db.tableToDescribe(in)
	if err != nil {
		return nil, err
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	return map[string]any{"Table": t.describe("ACTIVE")}, nil
}

func (db *DB) deleteTable(in *params) (any, error) {
	t, err := db.tableToDescribe(in)
	if err != nil {
		return nil, err
	}
	if t.protected {
		return nil, invalid("Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first.")
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

func (db *DB) listTables(in *params) (any, error) {
	limit := in.integer("Limit", 1, maxTables, maxTables)
	from := in.tableNameIfAny("ExclusiveStartTableName")
	if err := in.err(); err != nil {
		return nil, err
	}
	db.tables.RLock()
	defer db.tables.RUnlock()
	names := []string{}
	for _, name := range slices.Sorted(maps.Keys(db.tables.byName)) {
		if name > from {
			names = append(names, name)
		}
	}
	out := map[string]any{}
	if len(names) > limit {
		names = names[:limit]
		out["LastEvaluatedTableName"] = names[limit-1]
	}
	out["TableNames"] = names
	return out, nil
}

func (db *DB) tableForBackups(name string) (*table, error) {
	t, err := db.table(name)
	if err != nil {
		return nil, refuse(prefixDynamo+"TableNotFoundException", "Table not found: "+name)
	}
	return t, nil
}

func (db *DB) updateContinuousBackups(in *params) (any, error) {
	name := in.tableName()
	spec, ok := in.object("PointInTimeRecoverySpecification")
	if !ok {
		in.violated("PointInTimeRecoverySpecification", "null", "Member must not be null")
	}
	on := spec.boolean("PointInTimeRecoveryEnabled", false)
	if err := in.err(); err != nil {
		return nil, err
	}
	t, err := db.tableForBackups(name)
	if err != nil {
		return nil, err
	}
	unlock, err := t.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	t.recovery = on
	return t.backups(db), nil
}

func (db *DB) describeContinuousBackups(in *params) (any, error) {
	name := in.tableName()
	if err := in.err(); err != nil {
		return nil, err
	}
	t, err := db.tableForBackups(name)
	if err != nil {
		return nil, err
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.backups(db), nil
}

func (t *table) backups(db *DB) map[string]any {
	recovery := map[string]any{"PointInTimeRecoveryStatus": "DISABLED"}
	if t.recovery {
		recovery = map[string]any{
			"PointInTimeRecoveryStatus":  "ENABLED",
			"RecoveryPeriodInDays":       35,
			"EarliestRestorableDateTime": t.created.Unix(),
			"LatestRestorableDateTime":   db.now().Unix(),
		}
	}
	return map[string]any{"ContinuousBackupsDescription": map[string]any{
		"ContinuousBackupsStatus":        "ENABLED",
		"PointInTimeRecoveryDescription": recovery,
	}}
}
