package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"testing"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/provision"
	"orderbridge/shared/telemetry"
)

// office is everything that a desk asks, in memory.
type office struct {
	rec      order.Record
	checkup  provision.Checkup
	billing  map[string]order.BillingOrder
	numbered []order.ID
	blocked  *order.Blocked
	failure  error
	red      []fault.Finding
}

func (o *office) Check(context.Context, provision.Examiner, order.ID, order.Record) provision.Checkup {
	return o.checkup
}

func (o *office) Get(context.Context, order.ID) (order.Record, bool, error) {
	return o.rec, !o.rec.ID.IsZero(), o.failure
}

func (o *office) ProbeNow(context.Context) (*order.Blocked, error) { return o.blocked, o.failure }

type salesforceOffice struct{ *office }

func (o salesforceOffice) Examine(context.Context, order.ID) (order.Request, []error) {
	return order.Request{}, nil
}
func (o salesforceOffice) Numbered(context.Context, string) ([]order.ID, error) {
	return o.numbered, o.failure
}
func (o salesforceOffice) Diagnose(context.Context) []fault.Finding { return o.red }
func (o salesforceOffice) Sold(context.Context) (map[int64][]order.Cycle, map[string]order.ID, error) {
	return nil, nil, o.failure
}

type whmcsOffice struct{ *office }

func (o whmcsOffice) Order(_ context.Context, id string, _ int64) (order.BillingOrder, bool, error) {
	made, ok := o.billing[id]
	return made, ok, o.failure
}
func (o whmcsOffice) Diagnose(context.Context, map[int64][]order.Cycle, map[string]order.ID) []fault.Finding {
	return nil
}

func (o *office) ask(t *testing.T, event string) string {
	t.Helper()
	h := &handler{meter: telemetry.NewMeter(io.Discard, "test", "provision", time.Now), desk: &desk{
		engine: o, table: o, orders: salesforceOffice{o}, billing: whmcsOffice{o}, sides: map[string]prober{"whmcs": o}, skewed: func() error { return nil },
	}}
	out, err := h.Handle(t.Context(), json.RawMessage(event))
	if err != nil {
		return "error: " + err.Error()
	}
	text, err := json.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestQuestionsAreAnswered(t *testing.T) {
	id := mustParse(t, "801000000000001AAA")
	plan := order.Plan{ClientID: 42, PaymentMethod: "mailin", Entries: []order.PlanEntry{{Line: order.Line{ItemID: "802000000000001AAA", ProductID: 3, Cycle: order.Monthly, Quantity: 2}, Services: 2}}}
	away := fault.Wrap(fault.StoreUnavailable, errors.New("throttled"))
	for name, c := range map[string]struct {
		office office
		event  string
		want   string
	}{
		"what would be ordered": {office{checkup: provision.Checkup{Plan: &plan, Products: map[int64]order.ProductInfo{3: {Name: "Hosting"}}}}, `{"check":"801000000000001AAA"}`,
			`{"order_id":"801000000000001AAA","plan":{"client_id":42,"payment_method":"mailin","lines":[{"item_id":"802000000000001AAA","product_id":3,"name":"Hosting","cycle":"monthly","quantity":2,"services":2}]}}`},
		"why it would fail": {office{checkup: provision.Checkup{Problems: []error{fault.New(fault.OrderEmpty, "It is empty.")}}}, `{"check":"801000000000001"}`,
			`{"order_id":"801000000000001AAA","problems":[{"error_code":"order_empty","text":"It is empty."}]}`},
		"an order that is there": {office{rec: order.Record{ID: id, State: order.Provisioned, WHMCSOrderID: "77"}}, `{"check":"801000000000001AAA"}`,
			`{"order_id":"801000000000001AAA","state":"provisioned","note":"Nothing would be ordered: it is Provisioned, by WHMCS order 77."}`},
		"a table that is away": {office{failure: away}, `{"check":"801000000000001AAA"}`,
			`{"error_code":"store_unavailable","error_text":"The table does not answer. Wait: the bridge tries again. (throttled)"}`},
		"a WHMCS order id":    {office{billing: map[string]order.BillingOrder{"1001": {Marker: order.Marker(id.String())}}}, `{"find":"1001"}`, `{"orders":["801000000000001AAA"]}`},
		"a number of both":    {office{billing: map[string]order.BillingOrder{"101": {Marker: order.Marker(id.String())}}, numbered: []order.ID{id}}, `{"find":"00000101"}`, `{"orders":["801000000000001AAA"]}`},
		"a number of none":    {office{}, `{"find":"4711"}`, `{"orders":[]}`},
		"a side that serves":  {office{}, `{"probe":"whmcs"}`, `{"serves":true,"side":"whmcs"}`},
		"a side that refuses": {office{failure: fault.New(fault.WHMCSRoleDenied, "")}, `{"probe":"whmcs"}`, `{"error_code":"whmcs_role_denied","serves":false,"side":"whmcs"}`},
		"a side whose effects decide": {office{blocked: &order.Blocked{Until: time.UnixMilli(0), Why: fault.WHMCSUnavailable}}, `{"probe":"whmcs"}`,
			`{"error_code":"whmcs_unavailable","open_until":"1970-01-01T00:00:00Z","serves":false,"side":"whmcs"}`},
		"a paused side that serves": {office{blocked: &order.Blocked{}}, `{"probe":"whmcs"}`, `{"serves":true,"side":"whmcs"}`},
		"a side that there is not":  {office{}, `{"probe":"both"}`, `error: probe: there is no side "both"`},
		"the installation": {office{red: []fault.Finding{{Of: "Salesforce", What: "x", Do: "y"}}}, `{"doctor":true}`,
			`{"findings":[{"of":"Salesforce","what":"x","ok":false,"do":"y"},{"of":"clock","what":"it agrees with the table's","ok":true}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.office.ask(t, c.event); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func mustParse(t *testing.T, s string) order.ID {
	t.Helper()
	id, err := order.ParseID(s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}
