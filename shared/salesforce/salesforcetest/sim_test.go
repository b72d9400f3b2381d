package salesforcetest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"orderbridge/shared/salesforce/salesforcetest"
)

const (
	first  = "801000000000001AAA"
	second = "801000000000002AAA"
	base   = "/services/data/v67.0"
)

// org is a simulator behind a real server, with a token for it.
type org struct {
	t     *testing.T
	sim   *salesforcetest.Sim
	url   string
	token string
	now   time.Time
}

func newOrg(t *testing.T, change ...func(*salesforcetest.Options)) *org {
	t.Helper()
	o := &org{t: t, now: time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)}
	opt := salesforcetest.Options{ClientID: "app", ClientSecret: "hush", Now: func() time.Time { return o.now }}
	for _, f := range change {
		f(&opt)
	}
	sim, err := salesforcetest.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(sim)
	t.Cleanup(server.Close)
	o.sim, o.url = sim, server.URL
	o.logIn()
	return o
}

func (o *org) logIn() {
	o.t.Helper()
	resp, err := http.PostForm(o.url+"/services/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {"app"}, "client_secret": {"hush"}})
	if err != nil {
		o.t.Fatal(err)
	}
	defer resp.Body.Close()
	var in map[string]string
	if err := json.NewDecoder(resp.Body).Decode(&in); err != nil || in["access_token"] == "" || in["instance_url"] != o.url || !strings.Contains(in["id"], "/id/00D") {
		o.t.Fatalf("token answer %v, %v", in, err)
	}
	o.token = in["access_token"]
}

// call makes one vendor or control call; in is nil, a string or a JSON value.
func (o *org) call(method, path string, in any) (int, string) {
	o.t.Helper()
	var body io.Reader
	switch x := in.(type) {
	case nil:
	case string:
		body = strings.NewReader(x)
	default:
		b, err := json.Marshal(x)
		if err != nil {
			o.t.Fatal(err)
		}
		body = strings.NewReader(string(b))
	}
	r, err := http.NewRequestWithContext(o.t.Context(), method, o.url+path, body)
	if err != nil {
		o.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+o.token)
	r.Header.Set("Content-Type", "application/json")
	r.Close = true // on a kept connection net/http repeats a GET that was dropped
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, strings.TrimSpace(string(b))
}

func (o *org) put(id, body string) {
	o.t.Helper()
	if status, out := o.call("PUT", "/_sim/orders/"+id, body); status != 200 {
		o.t.Fatalf("PUT: %d %s", status, out)
	}
}

func (o *org) query(soql string) (int, string) {
	o.t.Helper()
	return o.call("GET", base+"/query?q="+url.QueryEscape(soql), nil)
}

func row(typ, id string, fields map[string]any) map[string]any {
	m := map[string]any{"attributes": map[string]string{"type": typ}, "id": id}
	for k, v := range fields {
		m[k] = v
	}
	return m
}

// errorCode reads the code of the first error of a call, a row or a token.
func errorCode(body string) string {
	var all []struct {
		ErrorCode string
		Errors    []struct{ StatusCode string }
	}
	if json.Unmarshal([]byte(body), &all) != nil || len(all) == 0 {
		return ""
	}
	if all[0].ErrorCode == "" && len(all[0].Errors) > 0 {
		return all[0].Errors[0].StatusCode
	}
	return all[0].ErrorCode
}

const seed = `{"accountId":"001000000000001","whmcsClientId":7,"items":[{"whmcsProductId":11,"billingCycle":"Monthly","quantity":1},{"whmcsProductId":null,"billingCycle":"One-time","quantity":3}],"more":"ignored"}`

func TestControlRoutes(t *testing.T) {
	o := newOrg(t)
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/_sim/orders/" + first, "", 404},
		{"PUT", "/_sim/orders/801000000000001", seed, 200},
		{"GET", "/_sim/orders/" + first, "", 200},
		{"PUT", "/_sim/orders/801000000000001AAB", seed, 400},
		{"PUT", "/_sim/orders/001000000000001AAA", seed, 400},
		{"PUT", "/_sim/orders/nonsense", seed, 400},
		{"PUT", "/_sim/orders/" + first, `{"accountId":"xyz"}`, 400},
		{"PUT", "/_sim/orders/" + first, `{"accountId":5}`, 400},
		{"PUT", "/_sim/orders/" + first, `{"items":[{"quantity":"two"}]}`, 400},
		{"PUT", "/_sim/orders/" + first, `{"fields":{"NoSuchField":1}}`, 400},
		{"PUT", "/_sim/orders/" + first, `not json`, 400},
		{"PUT", "/_sim/orders/" + first, `[]`, 400},
		{"POST", "/_sim/orders/" + first, seed, 405},
		{"POST", "/_sim/faults", `{"action":"update","fault":"lock-row","times":2,"delayMs":5,"match":"` + first + `","x":1}`, 200},
		{"POST", "/_sim/faults", `{"action":"query","fault":"http-500","match":7}`, 200},
		{"POST", "/_sim/faults", `{"action":"update","fault":"no-such-fault"}`, 400},
		{"POST", "/_sim/faults", `{"action":"no-such-action","fault":"http-500"}`, 400},
		{"POST", "/_sim/faults", `{"action":"token","fault":"lock-row"}`, 400},
		{"POST", "/_sim/faults", `{"action":"update","fault":"http-500","times":0}`, 400},
		{"POST", "/_sim/faults", `{"action":"update","fault":"http-500","delayMs":-1}`, 400},
		{"POST", "/_sim/faults", `{`, 400},
		{"GET", "/_sim/faults", "", 200},
		{"DELETE", "/_sim/faults", "", 200},
		{"GET", "/_sim/journal", "", 200},
		{"POST", "/_sim/journal", "", 405},
		{"GET", "/_sim/nonsense", "", 404},
		{"POST", "/_sim/reset", "", 200},
		{"GET", "/_sim/orders/" + first, "", 404},
	} {
		status, body := o.call(c.method, c.path, c.body)
		if status != c.status {
			t.Errorf("%s %s %s: %d %s, want %d", c.method, c.path, c.body, status, body, c.status)
		}
		var in map[string]string
		if c.status >= 400 && (json.Unmarshal([]byte(body), &in) != nil || in["error"] == "") {
			t.Errorf("%s %s: not a JSON error: %s", c.method, c.path, body)
		}
	}
}

func TestASecondPutKeepsStatusFieldsAndLineIDs(t *testing.T) {
	o := newOrg(t)
	o.put(first, seed)
	before, _ := o.sim.Order(first)
	if status, out := o.call("PATCH", base+"/sobjects/Order/"+first, `{"Provisioning_Status__c":"Activating","Provisioning_Seq__c":5}`); status != 204 {
		t.Fatalf("%d %s", status, out)
	}
	o.put(first, `{"accountId":"001000000000002","whmcsClientId":"8","items":[{"whmcsProductId":12,"billingCycle":"Free","quantity":2}],"fields":{"Promo_Code__c":"SPRING","IsReductionOrder":true}}`)
	v, _ := o.sim.Order(first)
	if v.Fields["Provisioning_Status__c"] != "Activating" || v.Fields["Provisioning_Seq__c"] != 5.0 || v.Fields["AccountId"] != "001000000000002AAA" || v.Fields["Promo_Code__c"] != "SPRING" || v.Fields["IsReductionOrder"] != true {
		t.Errorf("fields %v", v.Fields)
	}
	if len(v.Items) != 1 || v.Items[0]["Id"] != before.Items[0]["Id"] || v.Items[0]["WH_Product_ID__c"] != 12.0 || v.Items[0]["Quantity"] != 2.0 {
		t.Errorf("items %v", v.Items)
	}
	want := []string{"Provisioning_Status__c Activating", "Provisioning_Seq__c 5"}
	var got []string
	for _, h := range v.History {
		got = append(got, fmt.Sprintf("%s %v", h.Field, h.Value))
		if h.At != "2026-11-24T10:00:00.000Z" {
			t.Errorf("history at %q", h.At)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("history %v, want %v", got, want)
	}
}

func TestQueries(t *testing.T) {
	o := newOrg(t)
	o.put(first, seed)
	o.put(second, `{"accountId":null,"whmcsClientId":null,"items":[],"fields":{"Provisioning_Status__c":"Failed","Last_Provisioning_At__c":"2026-11-24T09:00:00Z","Provisioning_Seq__c":1795507200000,"WHMCS_Order_ID__c":"99'1"}}`)
	attr := func(typ, id string) string {
		return fmt.Sprintf(`"attributes":{"type":%q,"url":"%s/sobjects/%s/%s"}`, typ, base, typ, id)
	}
	rows := func(all ...string) string {
		return fmt.Sprintf(`{"totalSize":%d,"done":true,"records":[%s]}`, len(all), strings.Join(all, ","))
	}
	id := func(n string) string { return `{` + attr("Order", n) + `,"Id":"` + n + `"}` }
	for soql, want := range map[string]string{
		"SELECT Id FROM Order WHERE Id = '801000000000001'":                                 rows(id(first)),
		"select id from order where id in ('" + first + "','801000000000009')":              rows(id(first)),
		"SELECT Id FROM Order ORDER BY Id ASC":                                              rows(id(first), id(second)),
		"SELECT Id FROM Order ORDER BY Last_Provisioning_At__c ASC NULLS FIRST":             rows(id(first), id(second)),
		"SELECT Id FROM Order ORDER BY Id LIMIT 1":                                          rows(id(first)),
		"SELECT Id FROM Order WHERE Provisioning_Status__c = 'failed'":                      rows(id(second)),
		"SELECT Id FROM Order WHERE WHMCS_Order_ID__c = '99\\'1'":                           rows(id(second)),
		"SELECT Id FROM Order WHERE Provisioning_Seq__c > 5 AND Provisioning_Seq__c < 2e12": rows(id(second)),
		"SELECT Id FROM Order WHERE Last_Provisioning_At__c < 2026-11-24T10:00:00Z":         rows(id(second)),
		"SELECT Id FROM Order WHERE Last_Provisioning_At__c = null":                         rows(id(first)),
		"SELECT Id FROM Order WHERE Provisioning_Status__c = 'Pending Review' OR Id = null": rows(id(first)),
		"SELECT Id FROM Order WHERE Account.WHMCS_Client_ID__c = 7":                         rows(id(first)),
		"SELECT Id FROM Order WHERE (Provisioning_Status__c = 'Activating' AND (Last_Provisioning_At__c = null OR Provisioning_Seq__c > 5)) OR (Provisioning_Status__c = 'Failed' AND Last_Provisioning_At__c > 2026-11-24T08:00:00Z)": rows(id(second)),
		"SELECT Id FROM Order WHERE Provisioning_Seq__c > 1795507200000":                                                                                                     rows(),
		"SELECT Id, Account.Name, Provisioning_Seq__c, (SELECT Id FROM OrderItems) FROM Order WHERE Id = '" + second + "'":                                                   rows(`{` + attr("Order", second) + `,"Id":"` + second + `","Account":null,"Provisioning_Seq__c":1.7955072E12,"OrderItems":null}`),
		"SELECT Account.WHMCS_Client_ID__c, (SELECT Quantity, Product2.WH_Product_ID__c FROM OrderItems WHERE Quantity > 2) FROM Order WHERE Account.WHMCS_Client_ID__c = 7": "",
	} {
		status, body := o.query(soql)
		if want == "" {
			var in struct{ Records []map[string]any }
			if json.Unmarshal([]byte(body), &in) != nil || len(in.Records) != 1 || !strings.Contains(body, `"WHMCS_Client_ID__c":7.0`) || !strings.Contains(body, `"Quantity":3.0`) || !strings.Contains(body, `"WH_Product_ID__c":null`) {
				t.Errorf("%s: %d %s", soql, status, body)
			}
			continue
		}
		if status != 200 || body != want {
			t.Errorf("%s:\n%d %s\nwant %s", soql, status, body, want)
		}
	}
}

func TestRefusedQueries(t *testing.T) {
	o := newOrg(t)
	o.put(first, seed)
	for soql, want := range map[string]string{
		"":                                       "MALFORMED_QUERY",
		"garbage":                                "MALFORMED_QUERY",
		"SELECT FROM Order":                      "MALFORMED_QUERY",
		"SELECT Id FROM":                         "MALFORMED_QUERY",
		"SELECT Id FROM Order x y":               "MALFORMED_QUERY",
		"SELECT Id FROM Order WHERE Id = 'a":     "MALFORMED_QUERY",
		"SELECT Id FROM Order WHERE Id = 'a\\q'": "MALFORMED_QUERY",
		"SELECT Id FROM Order WHERE Id ~ 'a'":    "MALFORMED_QUERY",
		"SELECT Id FROM Order WHERE Id = null AND Id = null OR Id = null":               "MALFORMED_QUERY",
		"SELECT Id FROM Order LIMIT x":                                                  "MALFORMED_QUERY",
		"SELECT Promo_Code__c FROM Order":                                               "INVALID_FIELD",
		"SELECT Id FROM Order WHERE Nope__c = 1":                                        "INVALID_FIELD",
		"SELECT Id FROM Order ORDER BY Nope__c":                                         "INVALID_FIELD",
		"SELECT Nope.Name FROM Order":                                                   "INVALID_FIELD",
		"SELECT (SELECT Nope__c FROM OrderItems) FROM Order":                            "INVALID_FIELD",
		"SELECT (SELECT Id FROM Nopes) FROM Order":                                      "INVALID_TYPE",
		"SELECT Id FROM Nope":                                                           "INVALID_TYPE",
		"SELECT Id FROM Order WHERE Provisioning_Seq__c = '5'":                          "INVALID_FIELD",
		"SELECT Id FROM Order WHERE Provisioning_Status__c = 5":                         "INVALID_FIELD",
		"SELECT Id FROM Order WHERE Last_Provisioning_At__c < 'yesterday'":              "INVALID_FIELD",
		"SELECT (SELECT Id FROM OrderItems WHERE WHMCS_Service_ID__c = '5') FROM Order": "INVALID_FIELD",
		"SELECT COUNT() FROM Order":                                                     "MALFORMED_QUERY",
		"SELECT o.Id FROM Order o":                                                      "MALFORMED_QUERY",
		"SELECT Id FROM Order WHERE Provisioning_Status__c LIKE 'Pend%'":                "MALFORMED_QUERY",
		"SELECT Id FROM Order WHERE NOT (Last_Provisioning_At__c = null)":               "MALFORMED_QUERY",
		"SELECT Id FROM Order WHERE Id NOT IN ('801000000000001')":                      "MALFORMED_QUERY",
		"SELECT Id FROM Order WHERE Provisioning_Seq__c <= 5":                           "MALFORMED_QUERY",
		"SELECT Id FROM Order WHERE IsReductionOrder = true":                            "MALFORMED_QUERY",
		"SELECT Id FROM Order ORDER BY Id DESC":                                         "MALFORMED_QUERY",
		"SELECT Id FROM Order LIMIT 1 OFFSET 1":                                         "MALFORMED_QUERY",
		"SELECT Id FROM OrderItem":                                                      "INVALID_TYPE",
		"SELECT Id FROM Order WHERE Id = 'short'":                                       "INVALID_QUERY_FILTER_OPERATOR",
	} {
		status, body := o.query(soql)
		if status != 400 || errorCode(body) != want {
			t.Errorf("%s: %d %s, want %s", soql, status, body, want)
		}
	}
	if status, body := o.call("GET", base+"/query/01g000000000000009-2", nil); status != 400 || errorCode(body) != "INVALID_QUERY_LOCATOR" {
		t.Errorf("locator: %d %s", status, body)
	}
	if status, _ := o.query("SELECT Id FROM Order WHERE WHMCS_Order_ID__c = '" + strings.Repeat("x", 17000) + "'"); status != 414 {
		t.Errorf("long URL: %d", status)
	}
}

func TestHiddenFieldsDoNotExist(t *testing.T) {
	o := newOrg(t)
	o.put(first, seed)
	if !o.sim.SetAccess("order", "provisioning_seq__c", salesforcetest.AccessNone) || o.sim.SetAccess("Order", "Nope", salesforcetest.AccessNone) {
		t.Fatal("SetAccess")
	}
	if status, body := o.query("SELECT Provisioning_Seq__c FROM Order"); status != 400 || errorCode(body) != "INVALID_FIELD" {
		t.Errorf("query: %d %s", status, body)
	}
	if status, body := o.call("PATCH", base+"/composite/sobjects", map[string]any{"records": []any{row("Order", first, map[string]any{"Provisioning_Seq__c": 1})}}); status != 400 || errorCode(body) != "INVALID_FIELD" {
		t.Errorf("update: %d %s", status, body)
	}
	if status, body := o.call("GET", base+"/sobjects/Order/describe", nil); status != 200 || strings.Contains(body, "Provisioning_Seq__c") {
		t.Errorf("describe: %d %.300s", status, body)
	}
}

func TestRowsOfACollection(t *testing.T) {
	o := newOrg(t)
	o.put(first, seed)
	o.put(second, seed)
	o.put("801000000000003AAA", seed)
	o.sim.DeleteOrder("801000000000003AAA")
	v, _ := o.sim.Order(first)
	item, _ := v.Items[0]["Id"].(string)
	long := strings.Repeat("😀", 127) + "x" // 255 units
	for name, c := range map[string]struct {
		row  map[string]any
		want string // "" = saved
	}{
		"saved":              {row("Order", first, map[string]any{"Provisioning_Status__c": "Activating", "Provisioning_Error_Message__c": long}), ""},
		"short id":           {row("Order", first[:15], map[string]any{"Provisioning_Status__c": "Failed"}), ""},
		"line":               {row("OrderItem", item, map[string]any{"WHMCS_Service_ID__c": strings.Repeat("1", 4096)}), ""},
		"256 units":          {row("Order", first, map[string]any{"Provisioning_Error_Message__c": long + "x"}), "STRING_TOO_LONG"},
		"order id too long":  {row("Order", first, map[string]any{"WHMCS_Order_ID__c": strings.Repeat("1", 21)}), "STRING_TOO_LONG"},
		"bad status":         {row("Order", first, map[string]any{"Provisioning_Status__c": "Done"}), "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"},
		"number too large":   {row("Order", first, map[string]any{"Provisioning_Seq__c": 1e18}), "NUMBER_OUTSIDE_VALID_RANGE"},
		"system field":       {row("Order", first, map[string]any{"CreatedDate": "2026-01-01T00:00:00Z"}), "INVALID_FIELD_FOR_INSERT_UPDATE"},
		"no id":              {map[string]any{"attributes": map[string]string{"type": "Order"}}, "MISSING_ARGUMENT"},
		"id of another type": {row("Order", item, nil), "MALFORMED_ID"},
		"no such order":      {row("Order", "801000000000009AAA", nil), "INVALID_CROSS_REFERENCE_KEY"},
		"deleted order":      {row("Order", "801000000000003AAA", nil), "ENTITY_IS_DELETED"},
	} {
		status, body := o.call("PATCH", base+"/composite/sobjects", map[string]any{"allOrNone": false, "records": []any{c.row, row("Order", second, map[string]any{"Provisioning_Error_Code__c": "x"})}})
		var in []struct{ Success bool }
		if status != 200 || errorCode(body) != c.want || json.Unmarshal([]byte(body), &in) != nil || len(in) != 2 || in[0].Success != (c.want == "") || !in[1].Success {
			t.Errorf("%s: %d %s, want %q and a second row that is saved", name, status, body, c.want)
		}
	}
}

func TestRefusedCollections(t *testing.T) {
	o := newOrg(t)
	o.put(first, seed)
	v, _ := o.sim.Order(first)
	item, _ := v.Items[0]["Id"].(string)
	var mixed, many []any
	for i := range 201 {
		many = append(many, row("Order", fmt.Sprintf("801%012dAAA", i), nil))
	}
	for range 6 {
		mixed = append(mixed, row("Order", first, nil), row("OrderItem", item, nil))
	}
	for name, c := range map[string]struct {
		body any
		want string
	}{
		"201 rows":                {map[string]any{"records": many}, "EXCEEDED_ID_LIMIT"},
		"11 chunks":               {map[string]any{"records": mixed[:11]}, "LIMIT_EXCEEDED"},
		"no rows":                 {map[string]any{"records": []any{}}, "REQUIRED_FIELD_MISSING"},
		"no type":                 {map[string]any{"records": []any{map[string]any{"id": first}}}, "INVALID_INPUT"},
		"unknown type":            {map[string]any{"records": []any{row("Nope", first, nil)}}, "INVALID_TYPE"},
		"unknown field":           {map[string]any{"records": []any{row("Order", first, map[string]any{"Nope__c": 1})}}, "INVALID_FIELD"},
		"text in a number field":  {map[string]any{"records": []any{row("Order", first, map[string]any{"Provisioning_Seq__c": "5"})}}, "JSON_PARSER_ERROR"},
		"text in a datetime":      {map[string]any{"records": []any{row("Order", first, map[string]any{"Last_Provisioning_At__c": "today"})}}, "JSON_PARSER_ERROR"},
		"number in a text field":  {map[string]any{"records": []any{row("Order", first, map[string]any{"WHMCS_Order_ID__c": 5})}}, "JSON_PARSER_ERROR"},
		"garbage":                 {"{", "JSON_PARSER_ERROR"},
		"a record that is a list": {map[string]any{"records": []any{[]any{}}}, "JSON_PARSER_ERROR"},
	} {
		if status, body := o.call("PATCH", base+"/composite/sobjects", c.body); status != 400 || errorCode(body) != c.want {
			t.Errorf("%s: %d %s, want %s", name, status, body, c.want)
		}
	}
	status, body := o.call("PATCH", base+"/composite/sobjects", map[string]any{"records": []any{row("Order", first, nil), row("Order", first[:15], nil)}})
	if status != 200 || strings.Count(body, "DUPLICATE_VALUE") != 2 {
		t.Errorf("an id twice: %d %s", status, body)
	}
}

func TestTheValidationRule(t *testing.T) {
	o := newOrg(t)
	o.put(first, seed)
	push := func(seq any) string {
		t.Helper()
		_, body := o.call("PATCH", base+"/sobjects/Order/"+first, map[string]any{"Provisioning_Seq__c": seq, "Provisioning_Status__c": "Activating"})
		return body
	}
	for _, c := range []struct {
		seq  any
		want string
	}{{10, ""}, {10, ""}, {11, ""}, {10, "FIELD_CUSTOM_VALIDATION_EXCEPTION"}, {nil, "FIELD_CUSTOM_VALIDATION_EXCEPTION"}, {12, ""}} {
		body := push(c.seq)
		if errorCode(body) != c.want || c.want != "" && (!strings.Contains(body, "[OB-STALE]") || !strings.Contains(body, `"fields":["Provisioning_Seq__c"]`)) {
			t.Errorf("seq %v: %s, want %q", c.seq, body, c.want)
		}
	}
	if status, body := o.call("PATCH", base+"/sobjects/Order/"+first, `{"Provisioning_Status__c":"Failed"}`); status != 204 {
		t.Errorf("without a seq: %d %s", status, body)
	}
}

func TestComposite(t *testing.T) {
	o := newOrg(t)
	o.put(first, seed)
	o.put(second, seed)
	sub := func(ref, method, path string, body any) map[string]any {
		return map[string]any{"referenceId": ref, "method": method, "url": base + path, "body": body}
	}
	rows := func(id string) any {
		return map[string]any{"records": []any{row("Order", id, map[string]any{"Provisioning_Seq__c": 3})}}
	}
	before := o.sim.APICalls()
	status, body := o.call("POST", base+"/composite", map[string]any{"compositeRequest": []any{
		sub("a", "PATCH", "/composite/sobjects", rows(first)),
		sub("b", "PATCH", "/composite/sobjects", map[string]any{"records": []any{row("Order", second, map[string]any{"Nope__c": 1})}}),
		sub("c", "GET", "/query?q=SELECT+Id+FROM+Order", nil),
		sub("d", "PATCH", "/sobjects/Order/"+second, map[string]any{"Provisioning_Seq__c": 4}),
		sub("e", "DELETE", "/sobjects/Order/"+second, nil),
	}})
	var in struct {
		CompositeResponse []struct {
			HTTPStatusCode int
			ReferenceID    string
		}
	}
	if status != 200 || json.Unmarshal([]byte(body), &in) != nil {
		t.Fatalf("%d %s", status, body)
	}
	var got []string
	for _, r := range in.CompositeResponse {
		got = append(got, fmt.Sprint(r.ReferenceID, r.HTTPStatusCode))
	}
	if want := []string{"a200", "b400", "c200", "d204", "e405"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v: %s", got, want, body)
	}
	j := o.sim.Journal()
	if last := j[len(j)-1]; o.sim.APICalls() != before+1 || last.Action != "update" || len(last.Params["records"].([]any)) != 3 {
		t.Errorf("one update call: %+v", j)
	}

	var many []any
	for i := range 6 {
		many = append(many, sub(fmt.Sprint("r", i), "PATCH", "/composite/sobjects", rows(first)))
	}
	for name, body := range map[string]any{
		"six collections":   map[string]any{"compositeRequest": many},
		"a reference twice": map[string]any{"compositeRequest": []any{many[0], many[0]}},
		"nested":            map[string]any{"compositeRequest": []any{sub("a", "POST", "/composite", map[string]any{})}},
		"another version":   map[string]any{"compositeRequest": []any{map[string]any{"referenceId": "a", "method": "GET", "url": "/services/data/v60.0/limits"}}},
		"nothing":           map[string]any{},
		"garbage":           "[",
	} {
		if status, out := o.call("POST", base+"/composite", body); status != 400 || errorCode(out) == "" {
			t.Errorf("%s: %d %s", name, status, out)
		}
	}
}

func TestUnknownResources(t *testing.T) {
	o := newOrg(t)
	for _, c := range []struct {
		method, path, code string
		status             int
	}{
		{"GET", "/", "NOT_FOUND", 404},
		{"GET", "/services/data/v99.0/query?q=x", "NOT_FOUND", 404},
		{"GET", base + "/nonsense", "NOT_FOUND", 404},
		{"GET", base + "/sobjects/Nope/describe", "NOT_FOUND", 404},
		{"GET", base + "/sobjects/Order/" + first, "NOT_FOUND", 404},
		{"PATCH", base + "/sobjects/Order/" + first, "NOT_FOUND", 404},
		{"POST", base + "/query", "METHOD_NOT_ALLOWED", 405},
		{"POST", base + "/composite/sobjects", "METHOD_NOT_ALLOWED", 405},
		{"DELETE", base + "/sobjects/Order/" + first, "METHOD_NOT_ALLOWED", 405},
	} {
		if status, body := o.call(c.method, c.path, "{}"); status != c.status || errorCode(body) != c.code {
			t.Errorf("%s %s: %d %s, want %d %s", c.method, c.path, status, body, c.status, c.code)
		}
	}
}

func TestSessionsAndLimits(t *testing.T) {
	o := newOrg(t, func(opt *salesforcetest.Options) { opt.SessionLife = time.Hour; opt.DailyLimit = 3 })
	soql := "SELECT Id FROM Order"
	if status, _ := o.query(soql); status != 200 {
		t.Fatalf("%d", status)
	}
	o.now = o.now.Add(time.Hour)
	if status, body := o.query(soql); status != 401 || errorCode(body) != "INVALID_SESSION_ID" {
		t.Errorf("old session: %d %s", status, body)
	}
	o.logIn()
	for i, want := range []int{200, 200, 403} {
		if status, body := o.query(soql); status != want {
			t.Errorf("call %d: %d %s", i, status, body)
		}
	}
	o.token = "other"
	if status, body := o.query(soql); status != 401 || errorCode(body) != "INVALID_SESSION_ID" {
		t.Errorf("unknown token: %d %s", status, body)
	}
	for name, form := range map[string]url.Values{
		"no grant":     {},
		"password":     {"grant_type": {"password"}, "client_id": {"app"}, "client_secret": {"hush"}},
		"wrong secret": {"grant_type": {"client_credentials"}, "client_id": {"app"}, "client_secret": {"x"}},
		"wrong app":    {"grant_type": {"client_credentials"}, "client_id": {"x"}, "client_secret": {"hush"}},
		"garbage JWT":  {"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {"a.b.c"}},
	} {
		resp, err := http.PostForm(o.url+"/services/oauth2/token", form)
		if err != nil {
			t.Fatal(err)
		}
		var in map[string]string
		err = json.NewDecoder(resp.Body).Decode(&in)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != 400 || in["error"] == "" || in["access_token"] != "" {
			t.Errorf("%s: %d %v %v", name, resp.StatusCode, in, err)
		}
	}
}

func TestFaultsAreAQueueAndMatch(t *testing.T) {
	o := newOrg(t)
	o.put(first, seed)
	o.put(second, strings.Replace(seed, "7", "8", 1))
	fault := func(body string) {
		t.Helper()
		if status, out := o.call("POST", "/_sim/faults", body); status != 200 {
			t.Fatalf("%d %s", status, out)
		}
	}
	push := func(id string) string {
		_, body := o.call("PATCH", base+"/composite/sobjects", map[string]any{"records": []any{row("Order", first, nil), row("Order", id, map[string]any{"Provisioning_Error_Code__c": "x"})}})
		return body
	}
	fault(`{"action":"update","fault":"lock-row","times":1,"match":8}`)
	if out := push("801000000000009AAA"); strings.Contains(out, "UNABLE_TO_LOCK_ROW") {
		t.Errorf("no row of client 8, and yet: %s", out)
	}
	if out := push(second); strings.Count(out, "UNABLE_TO_LOCK_ROW") != 1 || errorCode(out) != "" {
		t.Errorf("the row of client 8 alone: %s", out)
	}
	if out := push(second); strings.Contains(out, "UNABLE_TO_LOCK_ROW") {
		t.Errorf("used up, and yet: %s", out)
	}
	fault(`{"action":"query","fault":"html-503"}`)
	fault(`{"action":"query","fault":"blank-200"}`)
	fault(`{"action":"query","fault":"drop-before"}`)
	var got []int
	for range 4 {
		status, _ := o.query("SELECT Id FROM Order")
		got = append(got, status)
	}
	if want := []int{503, 200, 0, 200}; !slices.Equal(got, want) {
		t.Errorf("queue of faults: %v, want %v", got, want)
	}
	fault(`{"action":"update","fault":"commit-then-drop"}`)
	if status, _ := o.call("PATCH", base+"/sobjects/Order/"+first, `{"Provisioning_Error_Code__c":"y"}`); status != 0 {
		t.Errorf("dropped: %d", status)
	}
	v, _ := o.sim.Order(first)
	if v.Fields["Provisioning_Error_Code__c"] != "y" {
		t.Error("commit-then-drop did not commit")
	}
	j := o.sim.Journal()
	last := j[len(j)-1]
	if last.Fault != "commit-then-drop" || last.Effect != "1 row updated" || j[0].Action != "token" {
		t.Errorf("journal %+v", j)
	}
	if b, _ := json.Marshal(j); strings.Contains(string(b), "hush") || strings.Contains(string(b), o.token) {
		t.Error("the journal holds a credential")
	}
}
