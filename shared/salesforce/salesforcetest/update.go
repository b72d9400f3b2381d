package salesforcetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf16"

	"orderbridge/shared/order"
)

// Limits of the update resources.
const (
	// maxCollection: "up to 200 records" (Update Records Using sObject Collections).
	maxCollection = 200
	// maxChunks: "a single request can process up to 10 chunks"; a chunk ends
	// where the type changes (same page).
	maxChunks = 10
	// maxSubrequests and maxHeavy: "up to 25 subrequests in a single call. Up
	// to 5 of these subrequests can be sObject Collections or query operations"
	// (Composite).
	maxSubrequests = 25
	maxHeavy       = 5
)

// change is one record of an update.
type change struct {
	object string
	id     string
	fields []pair // in the order of the request
}

// saved is the vendor's SaveResult.
type saved struct {
	ID      *string    `json:"id,omitempty"`
	Success bool       `json:"success"`
	Errors  []rowError `json:"errors"`
}

type rowError struct {
	StatusCode string   `json:"statusCode"`
	Message    string   `json:"message"`
	Fields     []string `json:"fields"`
}

// readRecord reads one JSON object keeping the order of its members.
func readRecord(raw json.RawMessage) (change, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	t, err := d.Token()
	if err != nil || t != json.Delim('{') {
		return change{}, fmt.Errorf("a record must be an object")
	}
	var c change
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return change{}, err
		}
		name, _ := t.(string)
		var v any
		if err := d.Decode(&v); err != nil {
			return change{}, err
		}
		switch {
		case name == "attributes":
			if m, ok := v.(map[string]any); ok {
				c.object, _ = m["type"].(string)
			}
		case strings.EqualFold(name, "id"):
			c.id, _ = v.(string)
		default:
			c.fields = append(c.fields, pair{name, v})
		}
	}
	return c, nil
}

func parserError(message string) reply {
	return failed(400, "JSON_PARSER_ERROR", message+" at [line:1, column:1]")
}

func (s *Sim) subjectsOf(all []change) map[string]bool {
	subjects := map[string]bool{}
	for _, c := range all {
		s.about(subjects, c.id)
		for _, f := range c.fields {
			if made, ok := f.value.(string); ok && strings.EqualFold(f.name, "WHMCS_Order_ID__c") && made != "" {
				subjects[made] = true
			}
		}
	}
	return subjects
}

func journalled(all []change) []map[string]any {
	out := make([]map[string]any, len(all))
	for i, c := range all {
		fields := map[string]any{}
		for _, f := range c.fields {
			fields[f.name] = f.value
		}
		out[i] = map[string]any{"type": c.object, "id": long(c.id), "fields": fields}
	}
	return out
}

func (s *Sim) singleJob(objectName, id string, body []byte) job {
	refused := func(out reply) job {
		return job{action: actionUpdate, params: map[string]any{"type": objectName, "id": long(id)}, run: func(*Fault) reply { return out }}
	}
	c, err := readRecord(body)
	if err != nil {
		return refused(parserError("Unexpected character or end of the body"))
	}
	if c.id != "" {
		return refused(failed(400, "INVALID_FIELD", "The Id field should not be specified in the sobject data."))
	}
	c.object, c.id = objectName, id
	all := []change{c}
	return job{action: actionUpdate, params: map[string]any{"records": journalled(all)}, subjects: s.subjectsOf(all), run: func(f *Fault) reply {
		o, ok := s.schema[strings.ToLower(objectName)]
		if !ok {
			return notFound
		}
		if full, ok := order.To18(id); !ok || !strings.HasPrefix(full, o.prefix) {
			return failed(404, "NOT_FOUND", "Provided external ID field does not exist or is not accessible: "+id)
		} else if _, there := s.record(o.name, full); !there && !s.deleted[full] {
			return notFound
		}
		out, bad := s.update(all, f)
		if bad != nil {
			return *bad
		}
		if !out[0].Success {
			e := out[0].Errors[0]
			status := 400
			if e.StatusCode == "ENTITY_IS_DELETED" {
				status = 404
			}
			return failed(status, e.StatusCode, e.Message, e.Fields...)
		}
		return reply{status: 204, effect: "1 row updated"}
	}}
}

// collection is the body of composite/sobjects.
type collection struct {
	AllOrNone bool              `json:"allOrNone"`
	Records   []json.RawMessage `json:"records"`
}

func readCollection(body []byte) ([]change, *reply) {
	var in collection
	if err := json.Unmarshal(body, &in); err != nil {
		out := parserError("The request body is not a collection")
		return nil, &out
	}
	if in.AllOrNone {
		out := failed(400, "INVALID_INPUT", "allOrNone is not simulated")
		return nil, &out
	}
	if len(in.Records) == 0 {
		out := failed(400, "REQUIRED_FIELD_MISSING", "The 'records' collection is required")
		return nil, &out
	}
	if len(in.Records) > maxCollection {
		out := failed(400, "EXCEEDED_ID_LIMIT", "record limit reached. cannot submit more than 200 records into this call")
		return nil, &out
	}
	all := make([]change, len(in.Records))
	chunks := 0
	for i, raw := range in.Records {
		c, err := readRecord(raw)
		if err != nil {
			out := parserError("Unexpected character in a record")
			return nil, &out
		}
		if c.object == "" {
			out := failed(400, "INVALID_INPUT", "SObject type is required: attributes.type")
			return nil, &out
		}
		if i == 0 || !strings.EqualFold(c.object, all[i-1].object) {
			chunks++
		}
		all[i] = c
	}
	if chunks > maxChunks {
		// The text is the platform's; the code that the REST API puts beside it
		// is not documented.
		out := failed(400, "LIMIT_EXCEEDED", "Cannot have more than 10 chunks in a single operation. Please rearrange the data to reduce chunking.")
		return nil, &out
	}
	return all, nil
}

func (s *Sim) collectionJob(body []byte) job {
	all, bad := readCollection(body)
	if bad != nil {
		return job{action: actionUpdate, params: map[string]any{}, run: func(*Fault) reply { return *bad }}
	}
	return job{action: actionUpdate, params: map[string]any{"records": journalled(all)}, subjects: s.subjectsOf(all), run: func(f *Fault) reply {
		out, bad := s.update(all, f)
		if bad != nil {
			return *bad
		}
		return jsonReply(200, out, tally(out))
	}}
}

func tally(all []saved) string {
	n := 0
	for _, r := range all {
		if r.Success {
			n++
		}
	}
	return fmt.Sprintf("%d rows updated, %d refused", n, len(all)-n)
}

type subrequest struct {
	Method      string          `json:"method"`
	URL         string          `json:"url"`
	ReferenceID string          `json:"referenceId"`
	Body        json.RawMessage `json:"body"`
}

type subreply struct {
	Body   json.RawMessage   `json:"body"`
	Header map[string]string `json:"httpHeaders"`
	Status int               `json:"httpStatusCode"`
	Ref    string            `json:"referenceId"`
}

var refName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_]*$`)

func (s *Sim) compositeJob(base string, body []byte) job {
	var in struct {
		AllOrNone bool         `json:"allOrNone"`
		Requests  []subrequest `json:"compositeRequest"`
	}
	refused := func(out reply) job {
		return job{action: actionUpdate, params: map[string]any{}, run: func(*Fault) reply { return out }}
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return refused(parserError("The request body is not a composite request"))
	}
	switch {
	case in.AllOrNone:
		return refused(failed(400, "INVALID_INPUT", "allOrNone is not simulated"))
	case len(in.Requests) == 0:
		return refused(failed(400, "MISSING_ARGUMENT", "compositeRequest is required"))
	case len(in.Requests) > maxSubrequests:
		return refused(failed(400, "LIMIT_EXCEEDED", "The composite request exceeds the limit of 25 subrequests"))
	}
	jobs := make([]job, len(in.Requests))
	subjects := map[string]bool{}
	var records []any
	heavy, refs := 0, map[string]bool{}
	for i, sub := range in.Requests {
		if !refName.MatchString(sub.ReferenceID) || refs[sub.ReferenceID] {
			return refused(failed(400, "INVALID_INPUT", "The referenceId must be unique, of letters, digits and underscores: "+sub.ReferenceID))
		}
		refs[sub.ReferenceID] = true
		u, err := url.Parse(sub.URL)
		if err != nil || !strings.HasPrefix(u.Path, base+"/") {
			return refused(failed(400, "INVALID_INPUT", "The url of a subrequest must begin with "+base+"/"))
		}
		rest := strings.Trim(strings.TrimPrefix(u.Path, base), "/")
		if rest == "composite" {
			return refused(failed(400, "INVALID_INPUT", "A composite request may not be nested"))
		}
		if rest == "composite/sobjects" || strings.HasPrefix(rest, "query") {
			heavy++
		}
		jobs[i] = s.resource(sub.Method, base, rest, u.Query(), sub.Body, "", func(out reply) job {
			return job{action: actionUpdate, run: func(*Fault) reply { return out }}
		})
		for k := range jobs[i].subjects {
			subjects[k] = true
		}
		if rows, ok := jobs[i].params["records"].([]map[string]any); ok {
			for _, r := range rows {
				records = append(records, r)
			}
		}
	}
	if heavy > maxHeavy {
		return refused(failed(400, "LIMIT_EXCEEDED", "The composite request exceeds the limit of 5 sObject Collections or query subrequests"))
	}
	return job{action: actionUpdate, params: map[string]any{"records": records}, subjects: subjects, run: func(f *Fault) reply {
		var parts []string
		all := make([]subreply, len(jobs))
		for i, j := range jobs {
			out := j.run(f)
			parts = append(parts, out.effect)
			if len(out.body) == 0 {
				out.body = []byte("null")
			}
			all[i] = subreply{Body: out.body, Header: map[string]string{}, Status: out.status, Ref: in.Requests[i].ReferenceID}
		}
		return jsonReply(200, map[string]any{"compositeResponse": all}, strings.Join(parts, "; "))
	}}
}

// update saves each record on its own. A refusal that concerns the request as
// a whole comes back as a reply. s.mu is held.
func (s *Sim) update(all []change, f *Fault) ([]saved, *reply) {
	// A field that the user cannot see makes the whole request malformed
	// (probably; a sandbox has to show it).
	for _, c := range all {
		o, ok := s.schema[strings.ToLower(c.object)]
		if !ok {
			out := failed(400, "INVALID_TYPE", fmt.Sprintf("sObject type '%s' is not supported.", c.object))
			return nil, &out
		}
		for _, m := range c.fields {
			fl, ok := o.visible(m.name)
			if !ok {
				out := failed(400, "INVALID_FIELD", fmt.Sprintf("No such column '%s' on sobject of type %s", m.name, o.name))
				return nil, &out
			}
			if want, ok := jsonType(fl, m.value); !ok {
				out := failed(400, "JSON_PARSER_ERROR", fmt.Sprintf("Cannot deserialize instance of %s from %s value %.40v or request may be missing a required field at [line:1, column:1]", want, jsonName(m.value), m.value))
				return nil, &out
			}
		}
	}
	times := map[string]int{}
	for _, c := range all {
		times[long(c.id)]++
	}
	out := make([]saved, len(all))
	for i, c := range all {
		out[i] = s.save(c, times[long(c.id)] > 1, f)
	}
	return out, nil
}

func refusedRow(code, message string, fields ...string) saved {
	if fields == nil {
		fields = []string{}
	}
	return saved{Errors: []rowError{{code, message, fields}}}
}

func (s *Sim) save(c change, twice bool, f *Fault) saved {
	o := s.schema[strings.ToLower(c.object)]
	full, ok := order.To18(c.id)
	switch {
	case c.id == "":
		return refusedRow("MISSING_ARGUMENT", "Id not specified in an update call")
	case !ok || !strings.HasPrefix(full, o.prefix):
		return refusedRow("MALFORMED_ID", fmt.Sprintf("%s ID: id value of incorrect type: %s", o.label, c.id), "Id")
	case twice:
		// "An id may be there once": the message of the platform's update call.
		return refusedRow("DUPLICATE_VALUE", "duplicate id specified: "+full)
	case s.deleted[full]:
		return refusedRow("ENTITY_IS_DELETED", "entity is deleted")
	}
	rec, there := s.record(o.name, full)
	if !there || o.name != "Order" && o.name != "OrderItem" {
		return refusedRow("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
	}
	if f != nil && s.hits(f, o, full, c) {
		if out, hit := rowFault(f.Fault, o, c, full); hit {
			return out
		}
	}

	next := values{}
	for _, m := range c.fields {
		fl, _ := o.visible(m.name)
		if !fl.writable || fl.access != AccessEdit {
			return refusedRow("INVALID_FIELD_FOR_INSERT_UPDATE", fmt.Sprintf("Unable to create/update fields: %s. Please check the security settings of this field and verify that it is read/write for your profile or permission set.", fl.name), fl.name)
		}
		v, bad := convert(fl, m.value)
		if bad != nil {
			return *bad
		}
		next[fl.name] = v
	}
	// The validation rule: Provisioning_Seq__c < PRIORVALUE(Provisioning_Seq__c),
	// a blank counting as zero; equal passes, so that a push may be repeated.
	if seq, set := next["Provisioning_Seq__c"]; set && number(seq) < number(rec["Provisioning_Seq__c"]) {
		return refusedRow("FIELD_CUSTOM_VALIDATION_EXCEPTION", "A newer status is already here. [OB-STALE]", "Provisioning_Seq__c")
	}

	now := s.opt.Now()
	changed := false
	for _, m := range c.fields {
		fl, _ := o.visible(m.name)
		v := next[fl.name]
		if equalValue(rec[fl.name], v) {
			continue
		}
		rec[fl.name] = v
		changed = true
		s.remember(o.name, full, fl.name, v, now)
	}
	if changed {
		rec["LastModifiedDate"], rec["SystemModstamp"] = now, now
	}
	return saved{ID: &full, Success: true, Errors: []rowError{}}
}

func (s *Sim) remember(objectName, id, name string, v any, now time.Time) {
	ch := Change{Field: name, Value: v, At: now.UTC().Format("2006-01-02T15:04:05.000Z")}
	if at, ok := v.(time.Time); ok {
		ch.Value = dateTime(at)
	}
	owner := id
	if objectName == "OrderItem" {
		ch.Item, owner = id, s.items[id].order
	}
	if r := s.orders[owner]; r != nil {
		r.history = append(r.history, ch)
	}
}

func equalValue(a, b any) bool {
	if x, ok := a.(time.Time); ok {
		y, ok := b.(time.Time)
		return ok && x.Equal(y)
	}
	return a == b
}

func number(v any) float64 {
	f, _ := v.(float64)
	return f
}

// hits reports whether a row fault concerns this row.
func (s *Sim) hits(f *Fault, o *object, id string, c change) bool {
	if f.Match == "" || f.Match == id {
		return true
	}
	owner := id
	if it := s.items[id]; it != nil {
		owner = it.order
	}
	if owner == f.Match {
		return true
	}
	r := s.orders[owner]
	if r == nil {
		return false
	}
	if r.fields["WHMCS_Order_ID__c"] == f.Match {
		return true
	}
	if r.account != nil && r.account["WHMCS_Client_ID__c"] != nil && fmt.Sprint(r.account["WHMCS_Client_ID__c"]) == f.Match {
		return true
	}
	return slices.ContainsFunc(c.fields, func(p pair) bool {
		return strings.EqualFold(p.name, "WHMCS_Order_ID__c") && p.value == f.Match
	})
}

func rowFault(name string, o *object, c change, id string) (saved, bool) {
	lock := "unable to obtain exclusive access to this record or 1 records: " + id
	switch name {
	case "lock-row":
		return refusedRow("UNABLE_TO_LOCK_ROW", lock), true
	case "lock-row-nested":
		return refusedRow("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "OrderTrigger: execution of AfterUpdate\n\ncaused by: System.DmlException: Update failed. First exception on row 0 with id "+id+"; first error: UNABLE_TO_LOCK_ROW, "+lock+": []"), true
	case "cpu-limit":
		return refusedRow("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "OrderTrigger: System.LimitException: Apex CPU time limit exceeded"), true
	case "row-refused":
		return refusedRow("FIELD_CUSTOM_VALIDATION_EXCEPTION", "The order is closed for changes.", "Status"), true
	case "role-denied":
		var names []string
		for _, m := range c.fields {
			if f, ok := o.visible(m.name); ok && strings.HasSuffix(f.name, "__c") {
				names = append(names, f.name)
			}
		}
		return refusedRow("INVALID_FIELD_FOR_INSERT_UPDATE", fmt.Sprintf("Unable to create/update fields: %s. Please check the security settings of this field and verify that it is read/write for your profile or permission set.", strings.Join(names, ", ")), names...), true
	}
	return saved{}, false
}

func jsonName(v any) string {
	switch v.(type) {
	case string:
		return "VALUE_STRING"
	case json.Number:
		return "VALUE_NUMBER"
	case bool:
		return "VALUE_BOOLEAN"
	case []any:
		return "START_ARRAY"
	}
	return "START_OBJECT"
}

// jsonType reports whether the JSON value can be one of the field at all.
func jsonType(f *field, v any) (want string, ok bool) {
	if v == nil {
		return "", true
	}
	switch f.kind {
	case kindDouble, kindCurrency:
		_, ok = v.(json.Number)
		return "double", ok
	case kindBoolean:
		_, ok = v.(bool)
		return "boolean", ok
	case kindDateTime:
		text, isText := v.(string)
		if isText {
			_, err := parseDateTime(text)
			ok = err == nil
		}
		return "datetime", ok
	case kindAny:
		switch v.(type) {
		case string, json.Number:
			return "", true
		}
		return "string", false
	}
	_, ok = v.(string)
	return "string", ok
}

// convert makes the stored value, or the row's refusal.
func convert(f *field, v any) (any, *saved) {
	switch x := v.(type) {
	case json.Number:
		n, err := x.Float64()
		if err != nil || f.digits > 0 && math.Abs(n) >= math.Pow10(f.digits) {
			out := refusedRow("NUMBER_OUTSIDE_VALID_RANGE", fmt.Sprintf("%s: value outside of valid range on numeric field: %s", f.label, x), f.name)
			return nil, &out
		}
		return n, nil
	case string:
		if f.kind == kindDateTime {
			at, _ := parseDateTime(x)
			return at, nil
		}
		if x == "" {
			return nil, nil // a blank text is null
		}
		if n := len(utf16.Encode([]rune(x))); f.length > 0 && n > f.length {
			out := refusedRow("STRING_TOO_LONG", fmt.Sprintf("%s: data value too large: %.60s (max length=%d)", f.label, x, f.length), f.name)
			return nil, &out
		}
		if len(f.values) > 0 && !slices.Contains(f.values, x) {
			out := refusedRow("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", fmt.Sprintf("%s: bad value for restricted picklist field: %s", f.label, x), f.name)
			return nil, &out
		}
		if f.kind == kindReference {
			full, ok := order.To18(x)
			if !ok {
				out := refusedRow("MALFORMED_ID", fmt.Sprintf("%s: id value of incorrect type: %s", f.label, x), f.name)
				return nil, &out
			}
			return full, nil
		}
	}
	return v, nil
}
