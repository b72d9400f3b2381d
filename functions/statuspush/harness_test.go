package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"orderbridge/shared/breaker"
	"orderbridge/shared/lambdaenv"
	"orderbridge/shared/order"
	"orderbridge/shared/provision/provisiontest"
	"orderbridge/shared/salesforce"
	"orderbridge/shared/salesforce/salesforcetest"
	"orderbridge/shared/store"
	"orderbridge/shared/telemetry"
	"orderbridge/shared/writeback"
)

const (
	testClient = "3MVG9-test-client"
	testSecret = "test-client-secret-0123456789"
)

// world is the function between a simulated org and a table in memory. It is
// made inside a testing/synctest bubble: its clock is virtual.
type world struct {
	t       *testing.T
	sim     *salesforcetest.Sim
	table   *provisiontest.Memory
	handler *Handler
	letters *letterBox
	out     *lockedBuffer
	serial  int
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// letterBox is the dead-letter queue.
type letterBox struct {
	mu   sync.Mutex
	all  []string
	fail error
}

func (l *letterBox) SendMessage(_ context.Context, in *sqs.SendMessageInput, _ ...func(*sqs.Options)) (*sqs.SendMessageOutput, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail != nil {
		return nil, l.fail
	}
	l.all = append(l.all, aws.ToString(in.MessageBody))
	return &sqs.SendMessageOutput{}, nil
}

func (l *letterBox) bodies() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all)
}

func newWorld(t *testing.T) *world {
	t.Helper()
	sim, err := salesforcetest.New(salesforcetest.Options{ClientID: testClient, ClientSecret: testSecret})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, sim: sim, table: provisiontest.NewMemory(), letters: &letterBox{}, out: &lockedBuffer{}}
	w.handler = w.process(0)
	return w
}

// process is a fresh process of the function: no token, nothing learnt.
func (w *world) process(maxRows int) *Handler {
	w.t.Helper()
	log := telemetry.NewLogger(w.out, nil, "statuspush")
	metrics := telemetry.NewMeter(w.out, "test", "statuspush", time.Now)
	org, err := salesforce.New(salesforce.Deps{
		HTTP: &http.Client{Transport: w.sim.Transport()},
		Credentials: func(context.Context) (salesforce.Credentials, error) {
			return salesforce.Credentials{ClientID: testClient, ClientSecret: testSecret}, nil
		},
		Now: time.Now, Log: log, Called: metrics.Called(telemetry.SalesforceCalls),
	}, salesforce.Config{LoginURL: "http://127.0.0.1:8082", APIVersion: "67.0", Timeout: callTimeout})
	if err != nil {
		w.t.Fatal(err)
	}
	switches, err := breaker.New(breaker.Deps{Controls: w.table, Side: order.SideSalesforce, Probe: org.Probe, Now: time.Now, Log: log}, time.Minute)
	if err != nil {
		w.t.Fatal(err)
	}
	pusher, err := writeback.New(writeback.Deps{
		Salesforce: org, Items: w.table, Breaker: switches, Dead: deadLetters{w.letters, "queue"},
		Meter: meter{metrics, time.Now}, Log: log, Now: time.Now, Sleep: lambdaenv.Clock{}.Sleep, RetryBase: time.Minute, MaxRows: maxRows,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return &Handler{Pusher: pusher, Log: log, Metrics: metrics, Now: time.Now}
}

func orderID(n int) order.ID {
	id, err := order.ParseID(fmt.Sprintf("801%012d", n))
	if err != nil {
		panic(err)
	}
	return id
}

// seed puts order n with lines into the org and returns its product ids.
func (w *world) seed(n, lines int) []string {
	w.t.Helper()
	seed := salesforcetest.Seed{AccountID: fmt.Sprintf("001%012d", n%7), WHMCSClientID: 7}
	for range lines {
		seed.Items = append(seed.Items, salesforcetest.SeedItem{WHMCSProductID: 1, BillingCycle: "monthly", Quantity: 1})
	}
	if err := w.sim.PutOrder(orderID(n).String(), seed); err != nil {
		w.t.Fatal(err)
	}
	var ids []string
	v, _ := w.sim.Order(orderID(n).String())
	for _, it := range v.Items {
		id, _ := it["Id"].(string)
		ids = append(ids, id)
	}
	return ids
}

// order makes a record of order n in the table.
func (w *world) order(n int, state order.State, change ...func(*order.Record)) order.Record {
	w.t.Helper()
	now := time.Now().UTC().Truncate(time.Millisecond)
	r := order.Record{
		ID: orderID(n), State: state, RecoveryPoint: order.PointNone, Signal: order.SignalStatus, Version: 1,
		Seq: order.Seq(now.UnixMilli()), AccountID: fmt.Sprintf("001%012dAAA", n%7), CreatedAt: now, UpdatedAt: now,
	}
	if state == order.Provisioned {
		r.RecoveryPoint, r.WHMCSOrderID = order.PointAccepted, fmt.Sprint(1000+n)
	}
	for _, f := range change {
		f(&r)
	}
	w.table.Set(r)
	return r
}

// event is one record of the stream, as Lambda hands it over.
type event map[string]any

func str(s string) map[string]any { return map[string]any{"S": s} }
func (w *world) event(r order.Record) event {
	w.t.Helper()
	w.serial++
	return event{
		"eventID": fmt.Sprint(w.serial), "eventName": "MODIFY", "eventSource": "aws:dynamodb", "eventVersion": "1.1", "awsRegion": "eu-central-1",
		"dynamodb": map[string]any{
			"ApproximateCreationDateTime": time.Now().Unix(), "Keys": map[string]any{"pk": str("order#" + r.ID.String())},
			"NewImage": attributes(w.t, store.Encode(r)), "SequenceNumber": fmt.Sprintf("%021d", w.serial), "StreamViewType": "NEW_IMAGE",
		},
	}
}

func sequence(e event) string {
	d, _ := e["dynamodb"].(map[string]any)
	s, _ := d["SequenceNumber"].(string)
	return s
}

// invoke hands one batch to the function as raw JSON and returns the reported
// sequence numbers.
func (w *world) invoke(h *Handler, batch []event) []string {
	w.t.Helper()
	raw, err := json.Marshal(map[string]any{"Records": batch})
	if err != nil {
		w.t.Fatal(err)
	}
	out, err := h.Handle(w.t.Context(), raw)
	if err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait() // calls that the client gave up may have to commit still
	resp, ok := out.(events.DynamoDBEventResponse)
	if !ok {
		w.t.Fatalf("answer is %T", out)
	}
	var failures []string
	for _, f := range resp.BatchItemFailures {
		failures = append(failures, f.ItemIdentifier)
	}
	return failures
}

// deliver does as Lambda's event source mapping does: it reads again from the
// lowest reported record on until nothing is reported. rounds bounds it.
func (w *world) deliver(batch []event, rounds int) {
	w.t.Helper()
	for range rounds {
		failures := w.invoke(w.handler, batch)
		if len(failures) == 0 {
			return
		}
		first := slices.Min(failures)
		i := slices.IndexFunc(batch, func(e event) bool { return sequence(e) == first })
		if i < 0 {
			w.t.Fatalf("reported %q, which is not in the batch", first)
		}
		batch = batch[i:]
		time.Sleep(time.Second) // virtual: the mapping's back-off
	}
	w.t.Fatalf("still reported after %d rounds", rounds)
}

// shows compares the org with a record.
func (w *world) shows(r order.Record) {
	w.t.Helper()
	v, ok := w.sim.Order(r.ID.String())
	if !ok {
		w.t.Fatalf("%s is not in the org", r.ID)
	}
	if got := v.Fields["Provisioning_Status__c"]; got != string(r.Status()) {
		w.t.Errorf("%s shows %v, want %s", r.ID, got, r.Status())
	}
	if got := v.Fields["Provisioning_Seq__c"]; got != float64(r.Seq) {
		w.t.Errorf("%s shows seq %v, want %d", r.ID, got, r.Seq)
	}
	if r.State == order.Provisioned && v.Fields["WHMCS_Order_ID__c"] != r.WHMCSOrderID {
		w.t.Errorf("%s shows WHMCS order %v, want %s", r.ID, v.Fields["WHMCS_Order_ID__c"], r.WHMCSOrderID)
	}
	for _, it := range v.Items {
		id, _ := it["Id"].(string)
		if want := strings.Join(r.ServiceIDs[id], ","); want != "" && it["WHMCS_Service_ID__c"] != want {
			w.t.Errorf("%s shows services %v, want %s", id, it["WHMCS_Service_ID__c"], want)
		}
	}
}

func (w *world) fault(f salesforcetest.Fault) {
	w.t.Helper()
	if err := w.sim.Fault(f); err != nil {
		w.t.Fatal(err)
	}
}
