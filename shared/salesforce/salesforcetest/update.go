package salesforcetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
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

// subjectsOf returns what a fault's Match can name of the rows. s.mu is held.
func (s *Sim) subjectsOf(all ...change) map[string]bool {
	subjects := map[string]bool{}
	for _, c := range all {
		s.about(subjects, c.id)
		for _, f := range c.fields {
			if made, ok := f.value.(string); ok && strings.EqualFold(f.name, "WHMCS_Order_ID__c") {
				subjects[made] = true
			}
		}
	}
	return subjects
}

// updateJob is an update of rows, answered by then.
func (s *Sim) updateJob(all []change, then func(f *Fault) reply) job {
	s.mu.Lock()
	defer s.mu.Unlock()
	return job{action: actionUpdate, params: map[string]any{"records": journalled(all)}, subjects: s.subjectsOf(all...), run: then}
}

// refusedUpdate is an update that is refused before a row is looked at.
func refusedUpdate(out reply) job {
	return job{action: actionUpdate, params: map[string]any{}, run: func(*Fault) reply { return out }}
}

func journalled(all []change) []any {
	out := make([]any, len(all))
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
	c, err := readRecord(body)
	if err != nil {
		return refusedUpdate(parserError("Unexpected character or end of the body"))
	}
	if c.id != "" {
		return refusedUpdate(failed(400, "INVALID_FIELD", "The Id field should not be specified in the sobject data."))
	}
	c.object, c.id = objectName, id
	all := []change{c}
	return s.updateJob(all, func(f *Fault) reply {
		if _, _, bad := s.find(objectName, id); bad != nil {
			return *bad
		}
		out, bad := s.update(all, f)
		if bad != nil {
			return *bad
		}
		if !out[0].Success {
			e := out[0].Errors[0]
			return failed(400, e.StatusCode, e.Message, e.Fields...)
		}
		return reply{status: 204, effect: "1 row updated"}
	})
}

// readCollection reads the body of composite/sobjects.
func readCollection(body []byte) (all []change, bad *reply) {
	refuse := func(out reply) ([]change, *reply) { return nil, &out }
	var in struct {
		AllOrNone bool              `json:"allOrNone"`
		Records   []json.RawMessage `json:"records"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return refuse(parserError("The request body is not a collection"))
	}
	switch {
	case in.AllOrNone:
		return refuse(failed(400, "INVALID_INPUT", "allOrNone is not simulated"))
	case len(in.Records) == 0:
		return refuse(failed(400, "REQUIRED_FIELD_MISSING", "The 'records' collection is required"))
	case len(in.Records) > maxCollection:
		return refuse(failed(400, "EXCEEDED_ID_LIMIT", "record limit reached. cannot submit more than 200 records into this call"))
	}
	chunks := 0
	for i, raw := range in.Records {
		c, err := readRecord(raw)
		if err != nil {
			return refuse(parserError("Unexpected character in a record"))
		}
		if c.object == "" {
			return refuse(failed(400, "INVALID_INPUT", "SObject type is required: attributes.type"))
		}
		if i == 0 || !strings.EqualFold(c.object, all[i-1].object) {
			chunks++
		}
		all = append(all, c)
	}
	if chunks > maxChunks {
		// The text is the platform's; the code that the REST API puts beside it
		// is not documented.
		return refuse(failed(400, "LIMIT_EXCEEDED", "Cannot have more than 10 chunks in a single operation. Please rearrange the data to reduce chunking."))
	}
	return all, nil
}

func (s *Sim) collectionJob(body []byte) job {
	all, bad := readCollection(body)
	if bad != nil {
		return refusedUpdate(*bad)
	}
	return s.updateJob(all, func(f *Fault) reply {
		out, bad := s.update(all, f)
		if bad != nil {
			return *bad
		}
		return jsonReply(200, out, tally(out))
	})
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

var refName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_]*$`)

func (s *Sim) compositeJob(base string, body []byte) job {
	var in struct {
		AllOrNone bool         `json:"allOrNone"`
		Requests  []subrequest `json:"compositeRequest"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return refusedUpdate(parserError("The request body is not a composite request"))
	}
	switch {
	case in.AllOrNone:
		return refusedUpdate(failed(400, "INVALID_INPUT", "allOrNone is not simulated"))
	case len(in.Requests) == 0:
		return refusedUpdate(failed(400, "MISSING_ARGUMENT", "compositeRequest is required"))
	case len(in.Requests) > maxSubrequests:
		return refusedUpdate(failed(400, "LIMIT_EXCEEDED", "The composite request exceeds the limit of 25 subrequests"))
	}
	jobs := make([]job, len(in.Requests))
	subjects := map[string]bool{}
	var records []any
	heavy, refs := 0, map[string]bool{}
	for i, sub := range in.Requests {
		if !refName.MatchString(sub.ReferenceID) || refs[sub.ReferenceID] {
			return refusedUpdate(failed(400, "INVALID_INPUT", "The referenceId must be unique, of letters, digits and underscores: "+sub.ReferenceID))
		}
		refs[sub.ReferenceID] = true
		u, err := url.Parse(sub.URL)
		if err != nil || !strings.HasPrefix(u.Path, base+"/") {
			return refusedUpdate(failed(400, "INVALID_INPUT", "The url of a subrequest must begin with "+base+"/"))
		}
		rest := strings.Trim(strings.TrimPrefix(u.Path, base), "/")
		if rest == "composite" {
			return refusedUpdate(failed(400, "INVALID_INPUT", "A composite request may not be nested"))
		}
		if rest == "composite/sobjects" || strings.HasPrefix(rest, "query") {
			heavy++
		}
		jobs[i] = s.resource(sub.Method, base, rest, u.Query(), sub.Body)
		maps.Copy(subjects, jobs[i].subjects)
		rows, _ := jobs[i].params["records"].([]any)
		records = append(records, rows...)
	}
	if heavy > maxHeavy {
		return refusedUpdate(failed(400, "LIMIT_EXCEEDED", "The composite request exceeds the limit of 5 sObject Collections or query subrequests"))
	}
	return job{action: actionUpdate, params: map[string]any{"records": records}, subjects: subjects, run: func(f *Fault) reply {
		var parts []string
		all := make([]map[string]any, len(jobs))
		for i, j := range jobs {
			out := j.run(f)
			parts = append(parts, out.effect)
			if len(out.body) == 0 {
				out.body = []byte("null")
			}
			all[i] = map[string]any{"body": json.RawMessage(out.body), "httpHeaders": map[string]string{}, "httpStatusCode": out.status, "referenceId": in.Requests[i].ReferenceID}
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
			e := noType(c.object, 0)
			out := failed(400, e.code, e.message)
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

func notWritable(fields ...string) saved {
	return refusedRow("INVALID_FIELD_FOR_INSERT_UPDATE", fmt.Sprintf("Unable to create/update fields: %s. Please check the security settings of this field and verify that it is read/write for your profile or permission set.", strings.Join(fields, ", ")), fields...)
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
	rec, there := s.record(o, full)
	if !there {
		return refusedRow("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
	}
	if f != nil && (f.Match == "" || s.subjectsOf(c)[f.Match]) {
		if out, hit := rowFault(f.Fault, o, c, full); hit {
			return out
		}
	}
	owner, item := rec, ""
	if rec.order != "" {
		owner, item = s.orders[rec.order], full
	}
	if out, hit := rowFault(owner.poison, o, c, full); hit {
		return out
	}

	next := values{}
	for _, m := range c.fields {
		fl, _ := o.visible(m.name)
		if !fl.writable || fl.access != AccessEdit {
			return notWritable(fl.name)
		}
		v, bad := convert(fl, m.value)
		if bad != nil {
			return *bad
		}
		next[fl.name] = v
	}
	// The validation rule: Provisioning_Seq__c < PRIORVALUE(Provisioning_Seq__c),
	// a blank counting as zero; equal passes, so that a push may be repeated.
	if seq, set := next["Provisioning_Seq__c"]; set && !s.opt.NoRule && number(seq) < number(rec.fields["Provisioning_Seq__c"]) {
		return refusedRow("FIELD_CUSTOM_VALIDATION_EXCEPTION", "A newer status is already here. [OB-STALE]", "Provisioning_Seq__c")
	}

	now := s.opt.Now()
	for _, m := range c.fields {
		fl, _ := o.visible(m.name)
		v := next[fl.name]
		if rec.fields[fl.name] == v {
			continue
		}
		rec.fields[fl.name], rec.fields["LastModifiedDate"] = v, now
		if at, ok := v.(time.Time); ok {
			v = dateTime(at)
		}
		owner.history = append(owner.history, Change{Field: fl.name, Value: v, At: now.UTC().Format("2006-01-02T15:04:05.000Z"), Item: item})
	}
	return saved{ID: &full, Success: true, Errors: []rowError{}}
}

func number(v any) float64 {
	f, _ := v.(float64)
	return f
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
	case "lock-row-flow":
		return refusedRow("CANNOT_EXECUTE_FLOW_TRIGGER", "We can't save this record because the \"Order after save\" process failed. Give your Salesforce admin these details. UNABLE_TO_LOCK_ROW: "+lock+". You can look up ExceptionCode values in the SOAP API Developer Guide."), true
	case "record-unavailable":
		return refusedRow("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "OrderTrigger: Record Currently Unavailable: The record you are attempting to edit, or one of its related records, is currently being modified by another user. Please try again."), true
	case "soql-limit":
		return refusedRow("CANNOT_EXECUTE_FLOW_TRIGGER", "SBQQ:Too many SOQL queries: 101"), true
	case "row-unknown":
		return refusedRow("ORCHESTRATION_REJECTED", "The change was not accepted at this time."), true
	case "row-hidden":
		return refusedRow("INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object id"), true
	case "row-cross-reference":
		return refusedRow("INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY", "insufficient access rights on cross-reference id: "+id), true
	case "row-type":
		return refusedRow("JSON_PARSER_ERROR", "Cannot deserialize instance of double from VALUE_STRING value x"), true
	case "row-refused":
		return refusedRow("FIELD_CUSTOM_VALIDATION_EXCEPTION", "The order is closed for changes.", "Status"), true
	case "role-denied":
		var names []string
		for _, m := range c.fields {
			if f, ok := o.visible(m.name); ok && strings.HasSuffix(f.name, "__c") {
				names = append(names, f.name)
			}
		}
		return notWritable(names...), true
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
	text, isText := v.(string)
	switch f.kind {
	case kindDouble:
		_, ok = v.(json.Number)
		return "double", ok
	case kindDateTime:
		_, err := parseDateTime(text)
		return "datetime", err == nil
	}
	return "string", isText
}

// convert makes the stored value, or the row's refusal.
func convert(f *field, v any) (any, *saved) {
	refuse := func(code, message string, args ...any) (any, *saved) {
		out := refusedRow(code, f.label()+": "+fmt.Sprintf(message, args...), f.name)
		return nil, &out
	}
	switch x := v.(type) {
	case json.Number:
		n, err := x.Float64()
		if err != nil || math.Abs(n) >= math.Pow10(f.digits) {
			return refuse("NUMBER_OUTSIDE_VALID_RANGE", "value outside of valid range on numeric field: %s", x)
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
		if n := len(utf16.Encode([]rune(x))); n > f.length {
			return refuse("STRING_TOO_LONG", "data value too large: %.60s (max length=%d)", x, f.length)
		}
		if f.kind == kindPicklist && !slices.Contains(statuses, x) {
			return refuse("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "bad value for restricted picklist field: %s", x)
		}
	}
	return v, nil
}
