package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"orderbridge/contract"
	"orderbridge/shared/fault"
	"orderbridge/shared/httpapi"
	"orderbridge/shared/order"
	"orderbridge/shared/telemetry"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

const (
	mine   = "801000000000001AAA"
	absent = "801000000000009AAA"
	theirs = "801000000000002AAA"
	// nobodys is an order whose account is not known yet.
	nobodys = "801000000000003AAA"
	myAcct  = "001000000000001AAA"
)

// shelf is an Orders that counts its reads.
type shelf struct {
	orders map[string]order.Progress
	err    error
	reads  int
}

func (s *shelf) Progress(_ context.Context, id order.ID) (order.Progress, error) {
	s.reads++
	return s.orders[id.String()], s.err
}

func full() *shelf {
	return &shelf{orders: map[string]order.Progress{
		mine:   {State: order.Provisioned, AccountID: myAcct, WHMCSOrderID: "4711", UpdatedAt: noon.Add(-time.Minute), OpenedAt: noon.Add(-time.Hour)},
		theirs: {State: order.Failed, AccountID: "001000000000002AAA", UpdatedAt: noon},
	}}
}

func newHandler(orders Orders) (*Handler, *bytes.Buffer) {
	var out bytes.Buffer
	clock := func() time.Time { return noon }
	return &Handler{
		Orders: orders, Now: clock,
		Log: telemetry.NewLogger(&out, slog.LevelDebug, "status"), Metrics: telemetry.NewMeter(&out, "test", "status", clock),
		AccountClaim: "sf_account_id", ResourceServer: "https://orders.example",
	}, &out
}

func get(id string) events.APIGatewayV2HTTPRequest {
	e := events.APIGatewayV2HTTPRequest{Version: "2.0", Headers: map[string]string{}, PathParameters: map[string]string{"sfOrderId": id}}
	e.RequestContext.RequestID = "request-1"
	return e
}

func withToken(e events.APIGatewayV2HTTPRequest, claims map[string]string) events.APIGatewayV2HTTPRequest {
	e.RequestContext.Authorizer = &events.APIGatewayV2HTTPRequestContextAuthorizerDescription{
		JWT: &events.APIGatewayV2HTTPRequestContextAuthorizerJWTDescription{Claims: claims},
	}
	return e
}

func withIAM(e events.APIGatewayV2HTTPRequest) events.APIGatewayV2HTTPRequest {
	e.RequestContext.Authorizer = &events.APIGatewayV2HTTPRequestContextAuthorizerDescription{
		IAM: &events.APIGatewayV2HTTPRequestContextAuthorizerIAMDescription{AccessKey: "AKIAEXAMPLE", UserARN: "arn:aws:iam::123456789012:role/portal"},
	}
	return e
}

func owner() map[string]string { return map[string]string{"sub": "u1", "sf_account_id": myAcct} }

func do(t testing.TB, h *Handler, e events.APIGatewayV2HTTPRequest) httpapi.Response {
	t.Helper()
	res, err := h.Handle(t.Context(), e)
	if err != nil {
		t.Fatalf("the handler failed: %v", err)
	}
	d, err := openapi()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Check("GET", "/orders/{sfOrderId}", res.StatusCode, res.Headers, res.Body); err != nil {
		t.Errorf("the answer is not that of the contract: %v: %d %v %s", err, res.StatusCode, res.Headers, res.Body)
	}
	return res
}

// openapi is the contract, read once.
var openapi = sync.OnceValues(contract.Load)

func TestRecordedEvents(t *testing.T) {
	for file, want := range map[string]string{
		"jwt.json": `{"sfOrderId":"801000000000001AAA","status":"Provisioned","whmcsOrderId":"4711","updatedAt":"2026-11-24T11:59:00Z","final":true}`,
		"iam.json": `{"sfOrderId":"801000000000001AAA","status":"Provisioned","whmcsOrderId":"4711","updatedAt":"2026-11-24T11:59:00Z","final":true}`,
	} {
		t.Run(file, func(t *testing.T) {
			b, err := os.ReadFile("testdata/" + file)
			if err != nil {
				t.Fatal(err)
			}
			var e events.APIGatewayV2HTTPRequest
			if err := json.Unmarshal(b, &e); err != nil {
				t.Fatal(err)
			}
			h, _ := newHandler(full())
			if res := do(t, h, e); res.StatusCode != 200 || res.Body != want {
				t.Errorf("got %d %s, want 200 %s", res.StatusCode, res.Body, want)
			}
		})
	}
}

func TestWhoMaySeeWhat(t *testing.T) {
	id := func(id string) events.APIGatewayV2HTTPRequest { return get(id) }
	for _, c := range []struct {
		name   string
		event  events.APIGatewayV2HTTPRequest
		status order.Status
	}{
		{"the owner", withToken(id(mine), owner()), order.StatusProvisioned},
		{"the owner by the short form of both ids", withToken(id(mine[:15]), map[string]string{"sf_account_id": myAcct[:15]}), order.StatusProvisioned},
		{"another account", withToken(id(theirs), owner()), order.StatusPendingReview},
		{"no account in the token", withToken(id(mine), map[string]string{"sub": "u1"}), order.StatusPendingReview},
		{"an empty account in the token", withToken(id(mine), map[string]string{"sf_account_id": ""}), order.StatusPendingReview},
		{"an account of the wrong case", withToken(id(mine), map[string]string{"sf_account_id": strings.ToLower(myAcct)}), order.StatusPendingReview},
		{"the scope for all", withToken(id(theirs), map[string]string{"scope": "openid orders.read.any"}), order.StatusFailed},
		{"a scope that contains it", withToken(id(theirs), map[string]string{"scope": "orders.read.anything xorders.read.any"}), order.StatusPendingReview},
		{"the scope in scp", withToken(id(theirs), map[string]string{"scp": "orders.read.any"}), order.StatusFailed},
		{"the scope in a list", withToken(id(theirs), map[string]string{"scope": "[openid orders.read.any]"}), order.StatusFailed},
		{"the scope in a list of scp", withToken(id(theirs), map[string]string{"scp": "[orders.read.any openid]"}), order.StatusFailed},
		{"the scope in a list with commas", withToken(id(theirs), map[string]string{"scp": `["openid","orders.read.any"]`}), order.StatusFailed},
		{"the scope of the resource server", withToken(id(theirs), map[string]string{"scope": "https://orders.example/orders.read.any"}), order.StatusFailed},
		{"the scope of another resource server", withToken(id(theirs), map[string]string{"scope": "https://evil.example/orders.read.any"}), order.StatusPendingReview},
		{"the scope in another claim", withToken(id(theirs), map[string]string{"roles": "orders.read.any"}), order.StatusPendingReview},
		{"an IAM caller", withIAM(id(theirs)), order.StatusFailed},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, _ := newHandler(full())
			res := do(t, h, c.event)
			var got struct{ Status order.Status }
			if err := json.Unmarshal([]byte(res.Body), &got); err != nil || res.StatusCode != 200 || got.Status != c.status {
				t.Errorf("got %d %s, want %s", res.StatusCode, res.Body, c.status)
			}
		})
	}
}

// An order whose account is not known yet is shown to no account, not to all.
func TestAnOrderWithoutAccountIsNobodys(t *testing.T) {
	orders := &shelf{orders: map[string]order.Progress{mine: {State: order.Queued, OpenedAt: noon}}}
	for _, claims := range []map[string]string{{"sf_account_id": ""}, {"sub": "u1"}, owner()} {
		h, _ := newHandler(orders)
		if res := do(t, h, withToken(get(mine), claims)); !strings.Contains(res.Body, `"Pending Review"`) {
			t.Errorf("%v sees %s", claims, res.Body)
		}
	}
}

// Whether an order exists is not to be told by any part of the answer, nor by
// the work that it takes.
func TestUnknownAndForeignOrdersLookTheSame(t *testing.T) {
	orders := full()
	foreign := orders.orders[theirs]
	foreign.State, foreign.OpenedAt = order.Waiting, noon.Add(-48*time.Hour)
	orders.orders[theirs] = foreign
	var got []httpapi.Response
	orders.orders[nobodys] = order.Progress{State: order.Working, OpenedAt: noon, UpdatedAt: noon}
	for _, id := range []string{theirs, absent, nobodys} {
		orders.reads = 0
		h, out := newHandler(orders)
		res := do(t, h, withToken(get(id), owner()))
		if orders.reads != 1 {
			t.Errorf("%s: %d reads, want 1", id, orders.reads)
		}
		if out.Len() != 0 {
			t.Errorf("%s: wrote %s", id, out)
		}
		res.Body = strings.ReplaceAll(res.Body, id, "ID")
		if res.Headers["ETag"] == "" {
			t.Errorf("%s: no ETag", id)
		}
		delete(res.Headers, "ETag") // a hash of the id
		got = append(got, res)
	}
	a := got[0]
	for _, b := range got {
		if b.StatusCode != 200 || a.Body != b.Body || !maps.Equal(a.Headers, b.Headers) {
			t.Errorf("they differ:\n%+v\n%+v", a, b)
		}
	}
	if a.Headers["Retry-After"] != "10" {
		t.Errorf("Retry-After: %q", a.Headers["Retry-After"])
	}
	if a.Body != `{"sfOrderId":"ID","status":"Pending Review","final":false}` {
		t.Errorf("got %s", a.Body)
	}
	// And the same order's ETag is that of an order that does not exist.
	h, _ := newHandler(orders)
	before := do(t, h, withToken(get(theirs), owner())).Headers["ETag"]
	delete(orders.orders, theirs)
	if after := do(t, h, withToken(get(theirs), owner())).Headers["ETag"]; after != before {
		t.Errorf("the ETag tells: %s, %s", before, after)
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name  string
		event events.APIGatewayV2HTTPRequest
		err   error
		code  fault.Code
		reads int
	}{
		{"no authorizer", get(mine), nil, fault.CallerUnknown, 0},
		{"an empty authorizer", func() events.APIGatewayV2HTTPRequest {
			e := get(mine)
			e.RequestContext.Authorizer = &events.APIGatewayV2HTTPRequestContextAuthorizerDescription{}
			return e
		}(), nil, fault.CallerUnknown, 0},
		{"no claims", withToken(get(mine), nil), nil, fault.CallerUnknown, 0},
		{"an empty IAM identity", func() events.APIGatewayV2HTTPRequest {
			e := get(mine)
			e.RequestContext.Authorizer = &events.APIGatewayV2HTTPRequestContextAuthorizerDescription{IAM: &events.APIGatewayV2HTTPRequestContextAuthorizerIAMDescription{}}
			return e
		}(), nil, fault.CallerUnknown, 0},
		{"the identity before the id", get("nonsense"), nil, fault.CallerUnknown, 0},
		{"no id", withToken(get(""), owner()), nil, fault.OrderIDInvalid, 0},
		{"another object's id", withToken(get("001000000000001AAA"), owner()), nil, fault.OrderIDInvalid, 0},
		{"wrong check characters", withIAM(get("801000000000001AAB")), nil, fault.OrderIDInvalid, 0},
		{"an id that is still encoded", withIAM(get("%38" + mine[1:])), nil, fault.OrderIDInvalid, 0},
		{"the table is away", withToken(get(mine), owner()), fault.Wrap(fault.StoreUnavailable, errors.New("throttled by the table")), fault.TryAgain, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			orders := full()
			orders.err = c.err
			h, out := newHandler(orders)
			res := do(t, h, c.event)
			var p struct {
				Code      fault.Code
				Status    int
				RequestID string
			}
			if err := json.Unmarshal([]byte(res.Body), &p); err != nil {
				t.Fatal(err)
			}
			if p.Code != c.code || p.Status != c.code.Info().Status || res.StatusCode != p.Status || p.RequestID != "request-1" || res.Headers["Content-Type"] != "application/problem+json" {
				t.Errorf("got %d %s %v, want %s", res.StatusCode, res.Body, res.Headers, c.code)
			}
			if orders.reads != c.reads {
				t.Errorf("%d reads, want %d", orders.reads, c.reads)
			}
			if strings.Contains(res.Body, "throttled by the table") {
				t.Errorf("the answer tells the cause: %s", res.Body)
			}
			if c.code == fault.TryAgain && res.Headers["Retry-After"] == "" {
				t.Error("no Retry-After")
			}
			if !strings.Contains(out.String(), `"code":"`+string(c.code)+`"`) || !strings.Contains(out.String(), `"ReadsRejected":1`) {
				t.Errorf("no log line or metric: %s", out)
			}
		})
	}
}

func TestConditionalRequests(t *testing.T) {
	h, _ := newHandler(full())
	first := do(t, h, withToken(get(mine), owner()))
	tag := first.Headers["ETag"]
	if !strings.HasPrefix(tag, `"`) || first.Headers["Cache-Control"] != "private, no-cache" {
		t.Fatalf("headers %v", first.Headers)
	}
	for _, c := range []struct {
		name, field string
		matches     bool
	}{
		{"the tag", tag, true},
		{"the tag as a weak one", "W/" + tag, true},
		{"a star", "*", true},
		{"a list", `"a", W/"b",` + tag, true},
		{"a list with a comma in a tag", `"a,b", ` + tag, true},
		{"empty elements", `, ,"a",,` + tag + `,`, true},
		{"white space", "  " + tag + "\t", true},
		{"absent", "", false},
		{"another tag", `"a"`, false},
		{"without quotes", strings.Trim(tag, `"`), false},
		{"a part of it", tag[:len(tag)-2] + `"`, false},
		{"broken before it", `x, ` + tag, false},
		{"broken after it", tag + ` x`, false},
		{"a star in a list", `*, "a"`, false},
		{"a small w", "w/" + tag, false},
		{"not closed", tag[:len(tag)-1], false},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := withToken(get(mine), owner())
			e.Headers["If-None-Match"] = c.field
			res := do(t, h, e)
			want := 200
			if c.matches {
				want = 304
			}
			if res.StatusCode != want {
				t.Fatalf("got %d, want %d", res.StatusCode, want)
			}
			if want == 304 && (res.Body != "" || res.Headers["ETag"] != tag || res.Headers["Cache-Control"] == "" || res.Headers["Content-Type"] != "") {
				t.Errorf("304 with body %q and headers %v", res.Body, res.Headers)
			}
		})
	}
}

func TestTheTagChangesWithTheOrder(t *testing.T) {
	orders := full()
	h, _ := newHandler(orders)
	seen := map[string]string{}
	for _, change := range []func(*order.Progress){
		func(*order.Progress) {},
		func(r *order.Progress) { r.State = order.Waiting },
		func(r *order.Progress) { r.WHMCSOrderID = "" },
		func(r *order.Progress) { r.UpdatedAt = r.UpdatedAt.Add(time.Millisecond) },
	} {
		r := orders.orders[mine]
		change(&r)
		orders.orders[mine] = r
		res := do(t, h, withToken(get(mine), owner()))
		if body, ok := seen[res.Headers["ETag"]]; ok {
			t.Errorf("%s and %s have one tag", body, res.Body)
		}
		seen[res.Headers["ETag"]] = res.Body
	}
}

func TestRetryAfterGrowsWhileNotFinal(t *testing.T) {
	for _, c := range []struct {
		name  string
		state order.State
		age   time.Duration
		want  string
	}{
		{"new", order.Queued, 0, "1"},
		{"a clock ahead of ours", order.Queued, -time.Minute, "1"},
		{"14.9 seconds old", order.Working, 14900 * time.Millisecond, "1"},
		{"half a minute old", order.Working, 30 * time.Second, "2"},
		{"five minutes old", order.Waiting, 5 * time.Minute, "20"},
		{"a quarter of an hour old", order.Waiting, 15 * time.Minute, "60"},
		{"a day old", order.Waiting, 24 * time.Hour, "60"},
		{"provisioned", order.Provisioned, time.Hour, ""},
		{"failed", order.Failed, time.Hour, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, _ := newHandler(&shelf{orders: map[string]order.Progress{mine: {State: c.state, AccountID: myAcct, OpenedAt: noon.Add(-c.age)}}})
			if got := do(t, h, withToken(get(mine), owner())).Headers["Retry-After"]; got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// Any If-None-Match leads to 200 or 304, and to 304 only if the tag, or a
// star, is in it.
func FuzzIfNoneMatch(f *testing.F) {
	const tag = `"0123456789abcdef"`
	for _, s := range []string{"", "*", tag, "W/" + tag, `"a", ` + tag, `"a,b",,` + tag, `"`, `W/`, `"a"x`, `x,` + tag} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if matches(s, tag) && !strings.Contains(s, tag) && strings.Trim(s, " \t") != "*" {
			t.Fatalf("%q matches", s)
		}
	})
}
