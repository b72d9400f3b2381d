package main

import (
	"context"
	"fmt"
	"maps"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	dynamo "orderbridge/local/dynamodb"
	"orderbridge/shared/fault"
	"orderbridge/shared/lambdaenv"
	"orderbridge/shared/order"
	"orderbridge/shared/provision/provisiontest"
	"orderbridge/shared/store"
	"orderbridge/shared/webhook"
)

// table is what these tests do with a table beside claiming: a worker's part.
type table interface {
	Claims
	Lease(ctx context.Context, id order.ID, l order.Lease) (order.Record, error)
	Write(ctx context.Context, s order.Step) (order.Record, error)
}

// onEachTable runs a test on the table in memory, on the embedded DynamoDB,
// and on each DynamoDB that STORE_ENDPOINTS names (name=url, separated by
// commas), as the store's own suite does.
func onEachTable(t *testing.T, test func(t *testing.T, claims table)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) { test(t, provisiontest.NewMemory()) })
	t.Run("embedded", func(t *testing.T) {
		db := dynamo.New(dynamo.Options{SweepEvery: -1})
		t.Cleanup(db.Close)
		srv := httptest.NewServer(db)
		t.Cleanup(srv.Close)
		test(t, openTable(t, srv.URL))
	})
	for pair := range strings.SplitSeq(os.Getenv("STORE_ENDPOINTS"), ",") {
		if pair == "" {
			continue
		}
		name, endpoint, ok := strings.Cut(pair, "=")
		if !ok {
			t.Fatalf("STORE_ENDPOINTS: %q is not name=url", pair)
		}
		t.Run(name, func(t *testing.T) { test(t, openTable(t, endpoint)) })
	}
}

func openTable(t *testing.T, endpoint string) *store.Store {
	t.Helper()
	client := dynamodb.New(dynamodb.Options{
		BaseEndpoint: aws.String(endpoint), Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
		HTTPClient: lambdaenv.WholeBody(awshttp.NewBuildableClient().WithTimeout(30 * time.Second)),
	})
	name := "Orders-" + string(order.NewToken())
	if _, err := client.CreateTable(t.Context(), store.CreateTableInput(name)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := client.DeleteTable(context.WithoutCancel(t.Context()), &dynamodb.DeleteTableInput{TableName: aws.String(name)}); err != nil {
			t.Error(err)
		}
	})
	s, err := store.New(client, name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// click is a callout of its own: nonce and key that no other has.
func click(orderID string, n int) events.APIGatewayV2HTTPRequest {
	nonce := fmt.Sprintf("nonce-of-click-%08d", n)
	e := callout(`{"orderId":"` + orderID + `","timestamp":"2026-11-24T12:00:00.000Z","nonce":"` + nonce + `"}`)
	e.PathParameters["sfOrderId"] = orderID
	e.Headers["x-sf-nonce"] = nonce
	e.Headers["idempotency-key"] = fmt.Sprintf("key-%d", n)
	return e
}

// together sends all events at once and counts the answers by status and code.
func together(t *testing.T, h *Handler, all []events.APIGatewayV2HTTPRequest) map[string]int {
	t.Helper()
	var wg sync.WaitGroup
	var mu sync.Mutex
	count := map[string]int{}
	start := make(chan struct{})
	for _, e := range all {
		wg.Go(func() {
			<-start
			res, err := h.Handle(t.Context(), e)
			if err != nil {
				t.Errorf("the handler failed: %v", err)
				return
			}
			key := fmt.Sprint(res.StatusCode)
			if res.StatusCode >= 300 {
				key += " " + fmt.Sprint(members(t, res)["code"])
			}
			mu.Lock()
			count[key]++
			mu.Unlock()
		})
	}
	close(start)
	wg.Wait()
	return count
}

func wantCount(t *testing.T, got, want map[string]int) {
	t.Helper()
	if !maps.Equal(got, want) {
		t.Errorf("answers %v, want %v", got, want)
	}
}

func wantItem(t *testing.T, claims table, id string) order.Record {
	t.Helper()
	oid, err := order.ParseID(id)
	if err != nil {
		t.Fatal(err)
	}
	r, ok, err := claims.Get(t.Context(), oid)
	if err != nil || !ok {
		t.Fatalf("order %s: %v, %v", id, ok, err)
	}
	return r
}

func TestOfManyCopiesOneIsAccepted(t *testing.T) {
	onEachTable(t, func(t *testing.T, claims table) {
		b := newBench(t, claims, bothKeys, webhook.Config{})
		copies := make([]events.APIGatewayV2HTTPRequest, 200)
		for i := range copies {
			copies[i] = callout(goodBody())
		}
		wantCount(t, together(t, b.Handler, copies), map[string]int{"202": 1, "401 nonce_replayed": 199})
		if r := wantItem(t, claims, testOrder); len(r.Nonces) != 1 || len(r.Keys) != 1 || r.State != order.Queued {
			t.Errorf("the item is %+v", r)
		}
	})
}

// 200 clicks at once, 100 on each of two orders: what one order may hold.
func TestManyClicksAreAllAcceptedAsOneOrder(t *testing.T) {
	onEachTable(t, func(t *testing.T, claims table) {
		b := newBench(t, claims, bothKeys, webhook.Config{})
		orders := []string{"801000000000001AAA", "801000000000002AAA"}
		var clicks []events.APIGatewayV2HTTPRequest
		for n := range order.MaxNonces {
			for _, id := range orders {
				clicks = append(clicks, click(id, n))
			}
		}
		wantCount(t, together(t, b.Handler, clicks), map[string]int{"202": 2 * order.MaxNonces})
		for _, id := range orders {
			if r := wantItem(t, claims, id); len(r.Nonces) != order.MaxNonces || r.State != order.Queued || r.Add.Count != 0 {
				t.Errorf("the item is %+v", r)
			}
		}
	})
}

// Past 100 live nonces of one order every further click is 429, and nothing
// of it is kept; none is a 5xx, however many come at once.
func TestAFloodOnOneOrderIsRefused(t *testing.T) {
	onEachTable(t, func(t *testing.T, claims table) {
		b := newBench(t, claims, bothKeys, webhook.Config{})
		clicks := make([]events.APIGatewayV2HTTPRequest, 200)
		for n := range clicks {
			clicks[n] = click(testOrder, n)
		}
		wantCount(t, together(t, b.Handler, clicks), map[string]int{"202": order.MaxNonces, "429 too_many_requests": 200 - order.MaxNonces})
		if r := wantItem(t, claims, testOrder); len(r.Nonces) != order.MaxNonces {
			t.Errorf("%d nonces are kept, want %d", len(r.Nonces), order.MaxNonces)
		}
	})
}

// Clicks on an order that a worker is writing at the same time: neither makes
// the other fail.
func TestClicksAndAWorkersWritesDoNotMeet(t *testing.T) {
	onEachTable(t, func(t *testing.T, claims table) {
		b := newBench(t, claims, bothKeys, webhook.Config{})
		if res := b.do(t, click(testOrder, 0)); res.StatusCode != 202 {
			t.Fatalf("got %d %s", res.StatusCode, res.Body)
		}
		r, err := claims.Lease(t.Context(), orderID(t), order.Lease{Token: order.NewToken(), Now: noon, Until: noon.Add(time.Minute)})
		if err != nil {
			t.Fatal(err)
		}
		const writes = 50
		var worker sync.WaitGroup
		worker.Go(func() {
			for n := range writes {
				to := r
				to.Attempts++
				next, err := claims.Write(t.Context(), order.Step{From: r, To: to, Signal: order.SignalLease, Now: noon, Entry: order.Entry{At: noon, Event: "note", Detail: fmt.Sprint(n)}})
				if err != nil {
					t.Errorf("the worker's write %d failed: %v", n, err)
					return
				}
				r = next
			}
		})
		clicks := make([]events.APIGatewayV2HTTPRequest, order.MaxNonces-1)
		for n := range clicks {
			clicks[n] = click(testOrder, n+1)
		}
		got := together(t, b.Handler, clicks)
		worker.Wait()
		wantCount(t, got, map[string]int{"202": len(clicks)})
		if end := wantItem(t, claims, testOrder); end.Attempts != 1+writes || len(end.Nonces) != order.MaxNonces || end.State != order.Working {
			t.Errorf("%d attempts, %d nonces, state %s; want %d, %d, %s", end.Attempts, len(end.Nonces), end.State, 1+writes, order.MaxNonces, order.Working)
		}
	})
}

// The life of an order as its callouts see it, through the handler.
func TestCalloutsThroughTheLifeOfAnOrder(t *testing.T) {
	onEachTable(t, func(t *testing.T, claims table) {
		b := newBench(t, claims, bothKeys, webhook.Config{})
		send := func(n int, key string, status int, code fault.Code) {
			t.Helper()
			e := click(testOrder, n)
			e.Headers["idempotency-key"] = key
			res := b.do(t, e)
			if res.StatusCode != status || (code != "" && members(t, res)["code"] != string(code)) {
				t.Errorf("click %d: got %d %s, want %d %s", n, res.StatusCode, res.Body, status, code)
			}
		}
		end := func(change func(*order.Record)) {
			t.Helper()
			r, err := claims.Lease(t.Context(), orderID(t), order.Lease{Token: order.NewToken(), Now: noon, Until: noon.Add(time.Minute)})
			if err != nil {
				t.Fatal(err)
			}
			to := r
			to.DueAt, to.LeaseUntil = time.Time{}, time.Time{}
			change(&to)
			if _, err := claims.Write(t.Context(), order.Step{From: r, To: to, Signal: order.SignalStatus, Now: noon}); err != nil {
				t.Fatal(err)
			}
		}
		send(1, "a", 202, "")
		send(1, "a", 401, fault.NonceReplayed)
		send(2, "a", 202, "")
		send(3, "b", 202, "")
		end(func(r *order.Record) {
			r.State, r.ErrorCode, r.ErrorMessage, r.ErrorAt = order.Failed, fault.AccountNotMapped, "Set the client id.", noon
		})
		send(4, "a", 422, fault.AccountNotMapped)
		send(5, "b", 422, fault.AccountNotMapped)
		send(5, "c", 401, fault.NonceReplayed)
		send(6, "c", 202, "")
		send(7, "a", 202, "")
		end(func(r *order.Record) {
			r.State, r.RecoveryPoint, r.WHMCSOrderID = order.Provisioned, order.PointAccepted, "4711"
			r.ErrorCode, r.ErrorMessage, r.ErrorAt = "", "", time.Time{}
		})
		send(8, "d", 200, "")
		send(9, "a", 200, "")
		send(9, "a", 401, fault.NonceReplayed)
	})
}

// The answer of a recorded callout may be lost on its way, or its process may
// die: the nonce is used up, and a new one meets the same order.
func TestACrashAfterTheClaimIsHealedByANewNonce(t *testing.T) {
	claims := provisiontest.NewMemory()
	lost := true
	claims.After = func(_ context.Context, op provisiontest.Op, _ order.Record, err error) error {
		if op.Method == "Claim" && lost {
			lost = false
			return fault.New(fault.TryAgain, "")
		}
		return err
	}
	b := newBench(t, claims, bothKeys, webhook.Config{})
	wantProblem(t, b.do(t, click(testOrder, 1)), 503, fault.TryAgain)
	wantProblem(t, b.do(t, click(testOrder, 1)), 401, fault.NonceReplayed)
	if res := b.do(t, click(testOrder, 2)); res.StatusCode != 202 {
		t.Errorf("got %d %s, want 202", res.StatusCode, res.Body)
	}
	if n := len(claims.Records()); n != 1 {
		t.Errorf("%d items, want 1", n)
	}
}

// A stored answer belongs to one order and is only given for a callout that
// passed every check; the same key on another order is a first callout there.
func TestAStoredAnswerIsNotGivenToAnotherCallout(t *testing.T) {
	onEachTable(t, func(t *testing.T, claims table) {
		b := newBench(t, claims, bothKeys, webhook.Config{})
		first := click(testOrder, 1)
		b.do(t, first)
		r, err := claims.Lease(t.Context(), orderID(t), order.Lease{Token: order.NewToken(), Now: noon, Until: noon.Add(time.Minute)})
		if err != nil {
			t.Fatal(err)
		}
		to := r
		to.State, to.ErrorCode, to.DueAt, to.LeaseUntil = order.Failed, fault.OrderEmpty, time.Time{}, time.Time{}
		if _, err := claims.Write(t.Context(), order.Step{From: r, To: to, Signal: order.SignalStatus, Now: noon}); err != nil {
			t.Fatal(err)
		}
		second := click(testOrder, 2)
		second.Headers["idempotency-key"] = first.Headers["idempotency-key"]
		wantProblem(t, b.do(t, second), 422, fault.OrderEmpty)

		other := click("801000000000002AAA", 3)
		other.Headers["idempotency-key"] = first.Headers["idempotency-key"]
		if res := b.do(t, other); res.StatusCode != 202 {
			t.Errorf("another order got %d %s, want 202", res.StatusCode, res.Body)
		}
		forged := click(testOrder, 4)
		forged.Headers["idempotency-key"] = first.Headers["idempotency-key"]
		forged.Body = strings.Replace(forged.Body, "nonce-of-click", "nonce-of-flick", 1)
		wantProblem(t, b.do(t, forged), 401, fault.SignatureInvalid)
	})
}

// Nonces and keys are members of maps, never parts of a joined text: whatever
// characters they hold, two of them are never taken for one.
func TestNoTwoKeysOrNoncesAreConfused(t *testing.T) {
	onEachTable(t, func(t *testing.T, claims table) {
		b := newBench(t, claims, bothKeys, webhook.Config{})
		odd := []string{"a", "a.b", "a#b", "a|b", "a b", `a"b`, "#a", ":a", "keys.a", "nonces", "a[0]", "A", "~", strings.Repeat("k", 255), strings.Repeat("k", 254)}
		for i, key := range odd {
			e := click(testOrder, i)
			e.Headers["idempotency-key"] = key
			if res := b.do(t, e); res.StatusCode != 202 {
				t.Fatalf("key %q: got %d %s", key, res.StatusCode, res.Body)
			}
		}
		if r := wantItem(t, claims, testOrder); len(r.Keys) != len(odd) || len(r.Nonces) != len(odd) {
			t.Errorf("%d keys and %d nonces, want %d: %q", len(r.Keys), len(r.Nonces), len(odd), r.Keys)
		}
	})
}
