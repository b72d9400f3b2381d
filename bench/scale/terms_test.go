package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	dynamo "orderbridge/local/dynamodb"
	"orderbridge/shared/breaker"
	"orderbridge/shared/lambdaenv"
	"orderbridge/shared/order"
	"orderbridge/shared/provision"
	"orderbridge/shared/salesforce"
	"orderbridge/shared/salesforce/salesforcetest"
	"orderbridge/shared/store"
	"orderbridge/shared/whmcs"
	"orderbridge/shared/whmcs/whmcstest"
)

// seen counts the changes that Salesforce must see, as the stream's filter does.
type seen struct {
	*store.Store
	changes int
}

func (s *seen) Write(ctx context.Context, step order.Step) (order.Record, error) {
	if step.Signal == order.SignalStatus {
		s.changes++
	}
	return s.Store.Write(ctx, step)
}

// trial is one order with one click.
type trial struct {
	items []salesforcetest.SeedItem
	late  time.Duration // from its click until a worker has it
	slow  time.Duration // how long AcceptOrder takes
}

// clock is the machine's, ahead by what a trial says.
type clock struct {
	lambdaenv.Clock
	ahead atomic.Int64
}

func (c *clock) Now() time.Time         { return c.Clock.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) passes(d time.Duration) { c.ahead.Add(int64(d)) }

// accepting lets the time pass that AcceptOrder takes.
func (c *clock) accepting(billing http.Handler, slow time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if bytes.Contains(body, []byte("action=AcceptOrder")) {
			c.passes(slow)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		billing.ServeHTTP(w, r)
	})
}

// lines are n order products, each with a domain name where named says so.
func lines(n int, named bool) (items []salesforcetest.SeedItem) {
	for i := range n {
		item := salesforcetest.SeedItem{WHMCSProductID: 1, BillingCycle: "Monthly", Quantity: 1}
		if named {
			item.Fields = map[string]any{"Domain__c": fmt.Sprintf("www%d.customer.example.com", i)}
		}
		items = append(items, item)
	}
	return items
}

// carry brings an order from its click to Provisioned, by the engine, the real
// clients and the simulators, on the embedded table; WHMCS has another order.
func carry(t *testing.T, o trial) taken {
	t.Helper()
	clock := &clock{}
	db := dynamo.New(dynamo.Options{SweepEvery: -1})
	billing := whmcstest.New(whmcstest.Options{Fail: t.Errorf, Now: clock.Now})
	billing.SetProduct(1, whmcstest.Product{Name: "Hosting", Module: "cpanel"})
	billing.SetProduct(2, whmcstest.Product{Name: "Setup", AllowQty: 1, Module: "cpanel"})
	billing.Books().BeginAdd(order.ID{}, order.Plan{ClientID: 8, Entries: []order.PlanEntry{{Line: order.Line{ProductID: 1, Cycle: order.Monthly, Quantity: 1}, Services: 1}}}).Finish(whmcstest.Twist{})
	org, err := salesforcetest.New(salesforcetest.Options{ClientID: "app", ClientSecret: "secret", Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	address := func(h http.Handler) string {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		return s.URL
	}
	t.Cleanup(func() { billing.Close(); db.Close() })
	client := dynamodb.NewFromConfig(aws.Config{Region: "us-east-1", BaseEndpoint: aws.String(address(db)), Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")})
	if _, err := client.CreateTable(t.Context(), store.CreateTableInput("orders")); err != nil {
		t.Fatal(err)
	}
	open, err := store.New(client, "orders")
	if err != nil {
		t.Fatal(err)
	}
	table := &seen{Store: open, changes: 1} // the claim is one
	id, err := order.ParseID("801000000000001AAA")
	if err != nil {
		t.Fatal(err)
	}
	for i := range o.items {
		if o.items[i].Fields == nil {
			o.items[i].Fields = map[string]any{"Domain__c": nil} // the field is there, and empty
		}
	}
	if err := org.PutOrder(id.String(), salesforcetest.Seed{AccountID: "001000000000001AAA", WHMCSClientID: 7, Items: o.items}); err != nil {
		t.Fatal(err)
	}
	engine := newEngine(t, clock, table, address(clock.accepting(billing, o.slow)), address(org))

	before := db.Consumed()["orders"]
	now := clock.Now()
	if _, err := table.Claim(t.Context(), order.Claim{
		ID: id, Key: "5f1c4d2e-8a39-4f0e-9d3a-0f8c2f6f7a11", Nonce: "5f1c4d2e-8a39-4f0e-9d3a-0f8c2f6f7a11", NonceExpiry: now.Add(10 * time.Minute),
		By: order.NewToken(), AccountID: "001000000000001AAA", RequestID: "JKJaXmPLvHcESHA=", RequestedBy: "005000000000001AAA", SignedAt: now, Now: now,
	}); err != nil {
		t.Fatal(err)
	}
	clock.passes(o.late)
	ctx, cancel := context.WithDeadline(t.Context(), clock.Now().Add(10*time.Minute)) // an invocation's
	defer cancel()
	if res, err := engine.Run(ctx, id); err != nil || res.End != provision.EndProvisioned {
		t.Fatalf("%+v, %v", res, err)
	}
	calls := 0
	for _, c := range billing.Journal() {
		if c.Action != "WhmcsDetails" { // once in a process
			calls++
		}
	}
	after := db.Consumed()["orders"]
	got := taken{
		TableUnits: after.WriteUnits - before.WriteUnits, IndexUnits: map[string]float64{}, ReadUnits: after.ReadUnits - before.ReadUnits,
		WhmcsCalls: calls, Changes: table.changes,
	}
	for name, x := range after.Indexes {
		if u := x.WriteUnits - before.Indexes[name].WriteUnits; u > 0 {
			got.IndexUnits[name] = u
			got.TableUnits -= u
		}
	}
	for name, o := range after.Operations {
		got.RunRequests += o.Calls - before.Operations[name].Calls
	}
	for _, c := range org.Journal() {
		if c.Action == "query" {
			got.Queries++
		}
	}
	return got
}

func TestAnOrderTakesWhatTheTermsSay(t *testing.T) {
	got := carry(t, trial{items: []salesforcetest.SeedItem{
		{WHMCSProductID: 1, BillingCycle: "Monthly", Quantity: 1},
		{WHMCSProductID: 2, BillingCycle: "One-time", Quantity: 3},
	}})
	want := measured
	want.ItemBytes = 0
	if !maps.Equal(got.IndexUnits, want.IndexUnits) || got.TableUnits != want.TableUnits || got.ReadUnits != want.ReadUnits ||
		got.WhmcsCalls != want.WhmcsCalls || got.Queries != want.Queries || got.Changes != want.Changes || got.RunRequests != want.RunRequests {
		t.Errorf("an order takes %+v, the terms say %+v", got, want)
	}
}

// units is an order and the write units that it takes.
type units struct {
	name                string
	order               trial
	table, due, confirm float64
}

// carried carries the order, and compares.
func (c units) carried(t *testing.T) taken {
	t.Helper()
	got := carry(t, c.order)
	if got.TableUnits != c.table || got.IndexUnits["due"] != c.due || got.IndexUnits["confirm"] != c.confirm {
		t.Errorf("table %v, indexes %v", got.TableUnits, got.IndexUnits)
	}
	return got
}

// The target is ten write units with the indexes, for an order that nothing
// disturbs and that ends in half a minute.
func TestAnUndisturbedOrderTakesAtMostTenWriteUnits(t *testing.T) {
	for _, c := range []units{
		{"one line", trial{items: lines(1, false)}, 5, 2, 1},
		{"one line with a domain name", trial{items: lines(1, true)}, 7, 2, 1},
		{"three lines", trial{items: lines(3, false)}, 7, 2, 1},
		{"one line, as slow as half a minute allows", trial{items: lines(1, false), late: 10 * time.Second, slow: 19 * time.Second}, 5, 2, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.carried(t); got.writeUnits() > 10 {
				t.Errorf("%v write units", got.writeUnits())
			}
		})
	}
}

// What else docs/data-model.md says of write units.
func TestWhatALongOrderTakes(t *testing.T) {
	for _, c := range []units{
		{"ten lines", trial{items: lines(10, false)}, 8, 2, 1},
		{"longer than half a minute", trial{items: lines(1, false), slow: 40 * time.Second}, 5, 2, 3},
		{"no worker for half a minute", trial{items: lines(1, false), late: 31 * time.Second}, 5, 4, 3},
	} {
		t.Run(c.name, func(t *testing.T) { c.carried(t) })
	}
}

func newEngine(t *testing.T, clock *clock, table *seen, billingURL, orgURL string) *provision.Engine {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	billing, err := whmcs.New(whmcs.Deps{
		Credentials: func(context.Context) (whmcs.Credentials, error) {
			return whmcs.Credentials{Identifier: "id", Secret: "secret"}, nil
		},
		Log: log, Now: clock.Now,
	}, whmcs.Config{BaseURL: billingURL, Marker: whmcs.MarkerNotes})
	if err != nil {
		t.Fatal(err)
	}
	orders, err := salesforce.New(salesforce.Deps{
		HTTP: http.DefaultClient,
		Credentials: func(context.Context) (salesforce.Credentials, error) {
			return salesforce.Credentials{ClientID: "app", ClientSecret: "secret"}, nil
		},
		Now: clock.Now, Log: log,
	}, salesforce.Config{LoginURL: orgURL, APIVersion: "67.0", Optional: salesforce.Optional{Domain: "Domain__c"}})
	if err != nil {
		t.Fatal(err)
	}
	d := provision.Deps{Store: table, Orders: orders, Billing: billing, Clock: clock, Log: log}
	for _, side := range []struct {
		name  order.Side
		probe func(context.Context) error
		to    *provision.Breaker
	}{{order.SideWHMCS, billing.Probe, &d.WHMCS}, {order.SideSalesforce, orders.Probe, &d.Salesforce}} {
		if *side.to, err = breaker.New(breaker.Deps{Controls: table, Side: side.name, Probe: side.probe, Now: clock.Now, Log: log}, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	engine, err := provision.New(d, provision.Config{
		Lease: 150 * time.Second, Window: 15 * time.Second, Margin: 5 * time.Second, Settle: 300 * time.Second, AcceptSettle: 900 * time.Second,
		AddTimeout: 60 * time.Second, AcceptTimeout: 120 * time.Second, RetryBase: time.Minute, GiveUp: provision.GiveUp, VerifyFor: provision.VerifyFor,
		Resend: true, PaymentMethod: "mailin", Retention: keptDays * 24 * time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	return engine
}

// What this package repeats of others, because they do not export it, is what
// they say.
func TestTheTermsAreThoseOfTheCode(t *testing.T) {
	for file, lines := range map[string][]string{
		"functions/status/handler.go":        {"youngPoll, oldPoll, pollShare = time.Second, time.Minute, 15"},
		"shared/writeback/sweep.go":          {"lagBases = 3", "ordersAtOnce  = 300", "askEvery   = time.Hour"},
		"shared/salesforce/limits.go":        {"brakeAbove = 0.9"},
		"template.yaml":                      {"  RetryBase:\n    Type: Number\n    Default: 60\n", "  OrderRetentionDays:\n    Type: Number\n    Default: 400\n"},
		"docs/data-model.md":                 {"So 16 units in a calm minute"},
		"functions/provision/growth_test.go": {"measure(t, 100_000, 10_000, o)"},
	} {
		b, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(file)))
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range lines {
			if !strings.Contains(string(b), line) {
				t.Errorf("%s does not say %q any more: change the terms", file, line)
			}
		}
	}
}

// docs/scale.md is what the command writes.
func TestThePageIsWhatTheCommandWrites(t *testing.T) {
	in, err := readTemplate("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/scale.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(page) != write(in) {
		t.Error("docs/scale.md is old: run make scale")
	}
}

// One worker and orders that come evenly wait as long as queueing theory says: not
// at all up to its capacity, and then for what is ahead of them.
func TestOrdersWaitForWorkers(t *testing.T) {
	evenly := func(n int, every float64) (at []float64) {
		for i := range n {
			at = append(at, float64(i)*every)
		}
		return at
	}
	if ends, w := work(evenly(100, orderSeconds), 1); w.p99 != 0 || ends[99] != 100*orderSeconds {
		t.Errorf("at capacity they wait %s, the last ends at %v", w.p99, ends[99])
	}
	if ends, _ := work(evenly(101, orderSeconds/2), 1); ends[100] != 101*orderSeconds {
		t.Errorf("above capacity the last ends at %v", ends[100])
	}
	if ends, w := work(evenly(101, orderSeconds/2), 2); w.p99 != 0 || ends[100] != 50*orderSeconds+orderSeconds {
		t.Errorf("with a second worker they wait %s, the last ends at %v", w.p99, ends[100])
	}
}

// Lone changes are a batch each, those within a window are one, a full batch does
// not wait for the window's end.
func TestChangesShareABatch(t *testing.T) {
	in := installation{batch: 3, window: 2 * time.Second}
	r := rand.New(rand.NewPCG(1, 1))
	if n, _ := push(r, []float64{0, 100}, []float64{50, 150}, in); n != 4 {
		t.Errorf("%d batches of lone changes", n)
	}
	var at, ends []float64
	for range 300 {
		at, ends = append(at, 0), append(ends, 1)
	}
	if n, _ := push(r, at, ends, in); n < 200 || n > 200+shards {
		t.Errorf("%d batches of 600 changes at once", n)
	}
}

// A customer's page asks each second at first, then ever less.
func TestPolls(t *testing.T) {
	for seconds, want := range map[float64]float64{0: 1, 8: 9, 15: 16} {
		if got := polls(seconds); got != want {
			t.Errorf("%v s: %v questions, want %v", seconds, got, want)
		}
	}
	if hour, day := polls(3600), polls(86400); hour > 130 || day-hour > 82800/60+1 {
		t.Errorf("%v in an hour, %v in a day", hour, day)
	}
}
