package dynamodb

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxRequestBytes is the largest body the service reads.
const maxRequestBytes = 16 << 20

const contentType = "application/x-amz-json-1.0"

// operation serves one target.
type operation func(*DB, *params) (any, error)

// operations and streamOperations are what the two services here can do.
var (
	operations = map[string]operation{
		"BatchGetItem":              (*DB).batchGetItem,
		"CreateTable":               (*DB).createTable,
		"DeleteItem":                (*DB).deleteItem,
		"DeleteTable":               (*DB).deleteTable,
		"DescribeContinuousBackups": (*DB).describeContinuousBackups,
		"DescribeTable":             (*DB).describeTable,
		"DescribeTimeToLive":        (*DB).describeTimeToLive,
		"GetItem":                   (*DB).getItem,
		"ListTables":                (*DB).listTables,
		"PutItem":                   (*DB).putItem,
		"Query":                     (*DB).query,
		"Scan":                      (*DB).scan,
		"UpdateContinuousBackups":   (*DB).updateContinuousBackups,
		"UpdateItem":                (*DB).updateItem,
		"UpdateTimeToLive":          (*DB).updateTimeToLive,
	}
	streamOperations = map[string]operation{
		"DescribeStream":   (*DB).describeStream,
		"GetRecords":       (*DB).getRecords,
		"GetShardIterator": (*DB).getShardIterator,
		"ListStreams":      (*DB).listStreams,
	}
)

// ServeHTTP serves both services, DynamoDB_20120810 and
// DynamoDBStreams_20120810, told apart by X-Amz-Target.
func (db *DB) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Date", db.now().UTC().Format(http.TimeFormat))
	header.Set("X-Amzn-Requestid", requestID())
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequestBytes))
	if err != nil {
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		panic(http.ErrAbortHandler) // the client is gone
	}
	if r.Method == http.MethodGet {
		answer(w, http.StatusOK, "", []byte("healthy: dynamodb."+db.region+".amazonaws.com "))
		return
	}
	sent, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if sent = strings.TrimSpace(sent); r.Method != http.MethodPost || len(body) > 0 && sent != contentType && sent != "application/json" {
		answer(w, http.StatusNotFound, "", []byte("<UnknownOperationException/>\n"))
		return
	}
	out, err := db.serve(r, body)
	status := http.StatusOK
	if err != nil {
		e := (*wireError)(nil)
		if !errors.As(err, &e) {
			e = &wireError{status: http.StatusInternalServerError, kind: prefixDynamo + "InternalServerError", message: err.Error()}
		}
		status, out = e.status, e.body()
	}
	b, err := json.Marshal(out)
	if err != nil {
		panic(fmt.Errorf("write answer: %w", err)) // maps of plain values alone
	}
	if sent != "application/json" {
		sent = contentType
	}
	answer(w, status, sent, b)
}

func (e *wireError) body() map[string]any {
	b := map[string]any{"__type": e.kind}
	switch {
	case strings.HasSuffix(e.kind, "#SerializationException"):
		b["Message"] = e.message // this one alone has a capital M
	case e.message != "":
		b["message"] = e.message
	}
	if e.item != nil {
		b["Item"] = e.item.wire()
	}
	return b
}

func answer(w http.ResponseWriter, status int, contentType string, body []byte) {
	h := w.Header()
	if contentType != "" {
		h.Set("Content-Type", contentType)
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE(body)), 10))
	w.WriteHeader(status)
	// The status is out: a client that went away is no one's error.
	_, _ = w.Write(body)
}

func requestID() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return strings.TrimRight(base32.StdEncoding.EncodeToString(b[:]), "=")
}

// serve runs one request, with the faults that were put in for it.
func (db *DB) serve(r *http.Request, body []byte) (any, error) {
	raw := map[string]any{}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if err := dec.Decode(&raw); err != nil || raw == nil || dec.More() {
		return nil, serialization("")
	}
	service, name, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	var run operation
	switch service {
	case "DynamoDB_20120810":
		run = operations[name]
	case "DynamoDBStreams_20120810":
		run = streamOperations[name]
	}
	if run == nil {
		return nil, refuse(prefixCoral+"UnknownOperationException", "")
	}
	// The signature itself is not verified.
	if auth := r.Header.Get("Authorization"); !strings.HasPrefix(auth, "AWS4-") && !r.URL.Query().Has("X-Amz-Algorithm") {
		return nil, refuse(prefixCoral+"MissingAuthenticationTokenException", "Request is missing Authentication Token")
	}
	if err := db.pause(r.Context()); err != nil {
		panic(http.ErrAbortHandler)
	}
	text := string(body)
	if _, ok := db.switches.strike(pointLoseRequest, name, text); ok {
		panic(http.ErrAbortHandler)
	}
	if f, ok := db.switches.strike(pointThrottle, name, text); ok {
		if f.Error == throttling {
			return nil, refuse("com.amazon.coral.availability#"+throttling, "Throughput exceeds the current capacity of your table or index. DynamoDB is automatically scaling your table or index so please try again shortly. If exceptions persist, check if you have a hot key: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html")
		}
		return nil, refuse(prefixDynamo+throughputExceeded, "The level of configured provisioned throughput for the table was exceeded. Consider increasing your provisioning level with the UpdateTable API.")
	}
	if _, ok := db.switches.strike(pointServerError, name, text); ok {
		return nil, &wireError{status: http.StatusInternalServerError, kind: prefixDynamo + "InternalServerError", message: "Internal server error"}
	}
	if err := checkShapes(raw); err != nil {
		return nil, err
	}
	out, err := run(db, newParams(name, raw))
	if err != nil {
		return nil, err
	}
	if _, ok := db.switches.strike(pointLoseReply, name, text); ok {
		panic(http.ErrAbortHandler)
	}
	return out, nil
}

// shapes are the JSON types of the members of the data operations.
var shapes = map[string]shape{
	"TableName": shapeString, "IndexName": shapeString, "Select": shapeString, "ReturnValues": shapeString, "ReturnConsumedCapacity": shapeString,
	"ReturnItemCollectionMetrics": shapeString, "ReturnValuesOnConditionCheckFailure": shapeString,
	"ConditionExpression": shapeString, "UpdateExpression": shapeString, "KeyConditionExpression": shapeString, "FilterExpression": shapeString, "ProjectionExpression": shapeString,
	"ConsistentRead": shapeBoolean, "ScanIndexForward": shapeBoolean, "Limit": shapeInteger, "Segment": shapeInteger, "TotalSegments": shapeInteger,
	"Key": shapeValues, "Item": shapeValues, "ExclusiveStartKey": shapeValues, "ExpressionAttributeValues": shapeValues, "ExpressionAttributeNames": shapeNames,
}

// checkShapes looks at the JSON types of a request: the service does so before
// it looks at any value.
func checkShapes(raw map[string]any) error {
	for _, name := range slices.Sorted(maps.Keys(raw)) {
		v := raw[name]
		if v == nil {
			continue
		}
		if err := checkShape(v, shapes[name]); err != nil {
			return err
		}
	}
	return nil
}

func checkShape(v any, want shape) error {
	switch want {
	case shapeString:
		_, err := readString(v)
		return err
	case shapeBoolean:
		_, err := readBool(v)
		return err
	case shapeInteger:
		if _, ok := v.(json.Number); !ok {
			return wrongShape(v, want)
		}
	case shapeValues:
		return checkValuesShape(v)
	case shapeNames:
		m, ok := v.(map[string]any)
		if !ok {
			return wrongShape(v, want)
		}
		for _, key := range slices.Sorted(maps.Keys(m)) {
			if _, err := readString(m[key]); err != nil {
				return err
			}
		}
	}
	return nil
}

// pause waits for the latency that was put in; it fails when the client leaves
// or the DB ends first.
func (db *DB) pause(ctx context.Context) error {
	d := db.switches.delay()
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-db.done:
		return http.ErrServerClosed
	}
}

// params reads the members of a request. A wrong type is the first error that
// counts; what breaks a constraint is gathered, as the service does.
type params struct {
	operation string
	raw       map[string]any
	prefix    string // of names in messages, for objects in objects
	shared    *paramErrors
}

type paramErrors struct {
	first       error
	constraints []string
}

func newParams(operation string, raw map[string]any) *params {
	return &params{operation: operation, raw: raw, shared: &paramErrors{}}
}

func (p *params) err() error {
	if p.shared.first != nil {
		return p.shared.first
	}
	switch n := len(p.shared.constraints); n {
	case 0:
		return nil
	case 1:
		return invalid("1 validation error detected: " + p.shared.constraints[0])
	default:
		return invalid(fmt.Sprintf("%d validation errors detected: %s", n, strings.Join(p.shared.constraints, "; ")))
	}
}

func (p *params) fail(err error) {
	if p.shared.first == nil {
		p.shared.first = err
	}
}

// violated notes a broken constraint in the service's words.
func (p *params) violated(name, value, constraint string) {
	if value != "null" {
		value = "'" + value + "'"
	}
	name = strings.ToLower(name[:1]) + name[1:]
	p.shared.constraints = append(p.shared.constraints,
		fmt.Sprintf("Value %s at '%s%s' failed to satisfy constraint: %s", value, p.prefix, name, constraint))
}

func (p *params) has(name string) bool { return p.raw[name] != nil }

func (p *params) text(name string) string {
	v := p.raw[name]
	if v == nil {
		return ""
	}
	s, err := readString(v)
	if err != nil {
		p.fail(err)
	}
	return s
}

func (p *params) required(name string) string {
	if !p.has(name) {
		p.violated(name, "null", "Member must not be null")
	}
	return p.text(name)
}

func (p *params) boolean(name string, otherwise bool) bool {
	v := p.raw[name]
	if v == nil {
		return otherwise
	}
	b, err := readBool(v)
	if err != nil {
		p.fail(err)
	}
	return b
}

func (p *params) integer(name string, low, high, otherwise int) int {
	v := p.raw[name]
	if v == nil {
		return otherwise
	}
	n, ok := v.(json.Number)
	if !ok {
		p.fail(wrongShape(v, shapeInteger))
		return otherwise
	}
	f, err := n.Float64()
	if err != nil {
		p.fail(serialization("NUMBER_VALUE cannot be converted to Integer"))
		return otherwise
	}
	i := int(math.Floor(f))
	switch {
	case i < low:
		p.violated(name, strconv.Itoa(i), fmt.Sprintf("Member must have value greater than or equal to %d", low))
	case i > high:
		p.violated(name, strconv.Itoa(i), fmt.Sprintf("Member must have value less than or equal to %d", high))
	}
	return i
}

// oneOf returns a text of a closed set, or "".
func (p *params) oneOf(name string, allowed ...string) string {
	s := p.text(name)
	if p.has(name) && !slices.Contains(allowed, s) {
		p.violated(name, s, "Member must satisfy enum value set: ["+strings.Join(allowed, ", ")+"]")
	}
	return s
}

// tableName is the required TableName: a name or a table's ARN.
func (p *params) tableName() string {
	if !p.has("TableName") {
		p.violated("TableName", "null", "Member must not be null")
		return ""
	}
	return p.tableNameIfAny("TableName")
}

// ownTableName is TableName as the operations on tables themselves check it.
func (p *params) ownTableName() string {
	name := p.text("TableName")
	switch {
	case !p.has("TableName"):
		p.fail(invalid("The parameter 'TableName' is required but was not present in the request"))
	case len(name) < 3 || len(name) > 255 && !strings.HasPrefix(name, "arn:"):
		p.fail(invalid("TableName must be at least 3 characters long and at most 255 characters long"))
	default:
		return p.tableNameIfAny("TableName")
	}
	return ""
}

func (p *params) tableNameIfAny(member string) string {
	name := p.text(member)
	if name == "" && !p.has(member) {
		return ""
	}
	if strings.HasPrefix(name, "arn:") {
		_, name, _ = strings.Cut(name, ":table/")
	}
	return p.checkName(member, name)
}

func (p *params) checkName(member, name string) string {
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") != "" || name == "" {
		p.violated(member, name, "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+")
	}
	switch {
	case len(name) < 3:
		p.violated(member, name, "Member must have length greater than or equal to 3")
	case len(name) > 255:
		p.violated(member, name, "Member must have length less than or equal to 255")
	}
	return name
}

// object reads an object in the object; its errors are its parent's. An absent
// one reads as empty.
func (p *params) object(name string) (*params, bool) {
	child := &params{operation: p.operation, raw: map[string]any{}, prefix: p.prefix + strings.ToLower(name[:1]) + name[1:] + ".", shared: p.shared}
	v := p.raw[name]
	if v == nil {
		return child, false
	}
	m, ok := v.(map[string]any)
	if !ok {
		p.fail(wrongShape(v, shape("class "+model+name)))
		return child, false
	}
	child.raw = m
	return child, true
}

// objects reads a list of objects.
func (p *params) objects(name string) []*params {
	v := p.raw[name]
	if v == nil {
		return nil
	}
	list, ok := v.([]any)
	if !ok {
		p.fail(wrongShape(v, shapeList))
		return nil
	}
	var out []*params
	for i, e := range list {
		m, ok := e.(map[string]any)
		if !ok {
			p.fail(wrongShape(e, shape("class "+model+name)))
			return nil
		}
		out = append(out, &params{operation: p.operation, raw: m, shared: p.shared,
			prefix: fmt.Sprintf("%s%s.%d.member.", p.prefix, strings.ToLower(name[:1])+name[1:], i+1)})
	}
	return out
}

func (p *params) texts(name string) []string {
	v := p.raw[name]
	if v == nil {
		return nil
	}
	list, ok := v.([]any)
	if !ok {
		p.fail(wrongShape(v, shapeList))
		return nil
	}
	var out []string
	for _, e := range list {
		s, err := readString(e)
		if err != nil {
			p.fail(err)
		}
		out = append(out, s)
	}
	return out
}

// attributes reads a required map of attribute values. Values are checked after
// all constraints: see check.
func (p *params) attributes(name string) any {
	if !p.has(name) {
		p.violated(name, "null", "Member must not be null")
		return nil
	}
	if m, ok := p.raw[name].(map[string]any); ok {
		return m
	}
	p.fail(wrongShape(p.raw[name], shapeValues))
	return nil
}

// expressions are the parsed expressions of a request.
type expressions struct {
	update     []clause
	condition  *node
	key        *node
	filter     *node
	projection []path
}

// legacy are the parameters that expressions replaced, in the order in which
// messages list them. They are refused.
var legacy = []string{"AttributesToGet", "AttributeUpdates", "QueryFilter", "ScanFilter", "ConditionalOperator", "Expected", "KeyConditions"}

// checkExpressionUse checks which expression parameters stand together.
func (p *params) checkExpressionUse(names ...string) error {
	var old, used []string
	for _, name := range legacy {
		if p.has(name) {
			old = append(old, name)
		}
	}
	values := []string{}
	valuesUsed := false
	for _, name := range names {
		if p.has(name) {
			used = append(used, name)
		}
		if name != "ProjectionExpression" {
			values = append(values, name)
			valuesUsed = valuesUsed || p.has(name)
		}
	}
	switch {
	case len(old) > 0 && len(used) > 0:
		return invalid(fmt.Sprintf("Can not use both expression and non-expression parameters in the same request: Non-expression parameters: {%s} Expression parameters: {%s}",
			strings.Join(old, ", "), strings.Join(used, ", ")))
	case len(old) > 0:
		return invalid("Legacy parameters are not supported by this emulator, use expressions: {" + strings.Join(old, ", ") + "}")
	case p.has("ExpressionAttributeNames") && len(used) == 0:
		return invalid("ExpressionAttributeNames can only be specified when using expressions")
	case p.has("ExpressionAttributeValues") && len(values) > 0 && !valuesUsed:
		verb := " is null"
		if len(values) > 1 {
			verb = " are null"
		}
		return invalid("ExpressionAttributeValues can only be specified when using expressions: " + strings.Join(values, " and ") + verb)
	}
	return nil
}

// expressions parses all expressions of a request and checks that every
// placeholder is used.
func (p *params) expressions() (expressions, error) {
	var x expressions
	names, err := p.attributeNames()
	if err != nil {
		return x, err
	}
	values, err := p.attributeValues()
	if err != nil {
		return x, err
	}
	ph := newPlaceholders(names, values)
	steps := []struct {
		name  string
		parse func(src string) string
	}{
		{"UpdateExpression", func(src string) (m string) { x.update, m = parseUpdate(src, ph); return }},
		{"ConditionExpression", func(src string) (m string) { x.condition, m = parseCondition(src, ph); return }},
		{"KeyConditionExpression", func(src string) (m string) { x.key, m = parseCondition(src, ph); return }},
		{"FilterExpression", func(src string) (m string) { x.filter, m = parseCondition(src, ph); return }},
		{"ProjectionExpression", func(src string) (m string) { x.projection, m = parseProjection(src, ph); return }},
	}
	for _, s := range steps {
		if !p.has(s.name) {
			continue
		}
		if message := s.parse(p.text(s.name)); message != "" {
			return x, invalid("Invalid " + s.name + ": " + message)
		}
	}
	if unused := missing(names, ph.usedNames); unused != "" {
		return x, invalid("Value provided in ExpressionAttributeNames unused in expressions: keys: {" + unused + "}")
	}
	if unused := missing(values, ph.usedValues); unused != "" {
		return x, invalid("Value provided in ExpressionAttributeValues unused in expressions: keys: {" + unused + "}")
	}
	return x, p.err()
}

func missing[T any](given map[string]T, used map[string]struct{}) string {
	var unused []string
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if _, ok := used[name]; !ok {
			unused = append(unused, name)
		}
	}
	return strings.Join(unused, ", ")
}

// checkPlaceholder checks a key of the two maps.
func checkPlaceholder(member, key, sign string) error {
	if len(key) < 2 || key[:1] != sign || wordEnd(key, 1) != len(key) {
		return invalid(fmt.Sprintf("%s contains invalid key: Syntax error; key: \"%s\"", member, key))
	}
	return nil
}

func (p *params) attributeNames() (map[string]string, error) {
	const member = "ExpressionAttributeNames"
	if !p.has(member) {
		return nil, nil
	}
	raw, ok := p.raw[member].(map[string]any)
	if !ok {
		return nil, wrongShape(p.raw[member], shapeNames)
	}
	if len(raw) == 0 {
		return nil, invalid(member + " must not be empty")
	}
	names := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(raw)) {
		if err := checkPlaceholder(member, key, "#"); err != nil {
			return nil, err
		}
		name, err := readString(raw[key])
		if err != nil {
			return nil, err
		}
		if name == "" || len(name) > 65535 {
			return nil, invalid(member + " contains invalid value: Attribute name must be from 1 to 65535 bytes long for key " + key)
		}
		names[key] = name
	}
	return names, nil
}

func (p *params) attributeValues() (map[string]*value, error) {
	const member = "ExpressionAttributeValues"
	if !p.has(member) {
		return nil, nil
	}
	raw, ok := p.raw[member].(map[string]any)
	if !ok {
		return nil, wrongShape(p.raw[member], shapeValues)
	}
	if len(raw) == 0 {
		return nil, invalid(member + " must not be empty")
	}
	keys := slices.Sorted(maps.Keys(raw))
	for _, key := range keys {
		if err := checkPlaceholder(member, key, ":"); err != nil {
			return nil, err
		}
	}
	values := map[string]*value{}
	for _, key := range keys {
		v, err := readValue(raw[key], 0)
		if e := (*wireError)(nil); errors.As(err, &e) && strings.HasPrefix(e.kind, prefixValidate) {
			return nil, invalid(member + " contains invalid value: " + e.message + " for key " + key)
		}
		if err != nil {
			return nil, err
		}
		values[key] = v
	}
	return values, nil
}
