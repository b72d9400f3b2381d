package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"orderbridge/contract"
	"orderbridge/shared/fault"
	"orderbridge/shared/httpapi"
	"orderbridge/shared/lambdaenv"
	"orderbridge/shared/order"
	"orderbridge/shared/telemetry"
	"orderbridge/shared/telemetry/telemetrytest"
	"orderbridge/shared/webhook"
)

const (
	testSecret   = "correct-horse-battery-staple-0123456789"
	testPrevious = "the-secret-before-it-was-rotated-987654321"
	testOrder    = "801000000000001AAA"
)

// noon is the clock of the vectors and of the recorded events.
var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// book is a Claims that answers what a test tells it and keeps what it was told.
type book struct {
	mu      sync.Mutex
	claims  []order.Claim
	claimed order.Claimed
	err     error
	images  []order.Record // what Get returns, one after the other; the last stays
	getErr  error
	gets    []time.Time
	now     func() time.Time
	control order.Control
}

func (b *book) Claim(_ context.Context, c order.Claim) (order.Claimed, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.claims = append(b.claims, c)
	if b.err != nil {
		return order.Claimed{}, b.err
	}
	if b.claimed.Outcome == 0 {
		return order.Claimed{Outcome: order.Created, Record: order.Record{ID: c.ID, State: order.Queued}}, nil
	}
	return b.claimed, nil
}

func (b *book) Get(context.Context, order.ID) (order.Record, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.now != nil {
		b.gets = append(b.gets, b.now())
	}
	if b.getErr != nil || len(b.images) == 0 {
		return order.Record{}, false, b.getErr
	}
	r := b.images[0]
	if len(b.images) > 1 {
		b.images = b.images[1:]
	}
	return r, true, nil
}

func (b *book) Control(context.Context, order.Side) (order.Control, error) { return b.control, nil }

// keys hands out fixed keys.
type keys struct {
	all [][]byte
	err error
}

func (k keys) Keys(context.Context, bool) ([][]byte, error) { return k.all, k.err }

var bothKeys = keys{all: [][]byte{[]byte(testSecret), []byte(testPrevious)}}

// bench is a handler whose log and metrics can be read.
type bench struct {
	*Handler
	out *bytes.Buffer
}

func newBench(t testing.TB, claims Claims, k webhook.Keys, c webhook.Config) bench {
	t.Helper()
	if c.Tolerance == 0 {
		c.Tolerance = 5 * time.Minute
	}
	v, err := webhook.New(k, c)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := &lockedWriter{w: &out}
	clock := func() time.Time { return noon }
	metrics := telemetry.NewMeter(w, "test", "fulfill", clock)
	v.Signed = signed(metrics)
	return bench{&Handler{
		Verifier: v, Claims: claims, Now: clock, Sleep: func(context.Context, time.Duration) error { return nil },
		Log:     telemetry.NewLogger(w, slog.LevelDebug, "fulfill"),
		Metrics: metrics,
	}, &out}
}

type lockedWriter struct {
	mu sync.Mutex
	w  *bytes.Buffer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// counted returns how often the metric was written with the code.
func (b bench) counted(t testing.TB, metric, code string) int {
	t.Helper()
	values, err := telemetrytest.Values(b.out.String(), metric, code)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, v := range values {
		n += int(v)
	}
	return n
}

func (b bench) do(t testing.TB, e events.APIGatewayV2HTTPRequest) httpapi.Response {
	t.Helper()
	res, err := b.Handle(t.Context(), e)
	if err != nil {
		t.Fatalf("the handler failed: %v", err)
	}
	path := "/orders/{sfOrderId}/fulfill"
	if e.RouteKey == routePing {
		path = "/ping"
	}
	if err := described(t).Check("POST", path, res.StatusCode, res.Headers, res.Body); err != nil {
		t.Errorf("the answer is not that of the contract: %v: %d %v %s", err, res.StatusCode, res.Headers, res.Body)
	}
	return res
}

// described is the contract, read once.
func described(t testing.TB) *contract.Doc {
	t.Helper()
	d, err := openapi()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

var openapi = sync.OnceValues(contract.Load)

func recorded(t testing.TB, file string) events.APIGatewayV2HTTPRequest {
	t.Helper()
	b, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var e events.APIGatewayV2HTTPRequest
	if err := json.Unmarshal(b, &e); err != nil {
		t.Fatal(err)
	}
	return e
}

// callout is an event as a sender would make it: signed over body.
func callout(body string) events.APIGatewayV2HTTPRequest {
	e := events.APIGatewayV2HTTPRequest{
		Version: "2.0",
		Headers: map[string]string{
			"content-type":    "application/json",
			"x-sf-signature":  webhook.Sign([]byte(testSecret), []byte(body)),
			"x-sf-timestamp":  "2026-11-24T12:00:00.000Z",
			"x-sf-nonce":      "0123456789abcdef0123456789abcdef",
			"idempotency-key": "provision-" + testOrder + "-1",
		},
		PathParameters: map[string]string{"sfOrderId": testOrder},
		Body:           body,
	}
	e.RequestContext.RequestID = "request-1"
	e.RequestContext.HTTP.SourceIP = "13.108.0.9"
	return e
}

func goodBody() string {
	return `{"orderId":"` + testOrder + `","timestamp":"2026-11-24T12:00:00.000Z","nonce":"0123456789abcdef0123456789abcdef"}`
}

func orderID(t testing.TB) order.ID {
	t.Helper()
	id, err := order.ParseID(testOrder)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// members decodes a body strictly enough to compare its members.
func members(t testing.TB, res httpapi.Response) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(res.Body), &m); err != nil {
		t.Fatalf("the body is no JSON object: %q", res.Body)
	}
	return m
}

// wantProblem checks a whole problem document.
func wantProblem(t testing.TB, res httpapi.Response, status int, code fault.Code) {
	t.Helper()
	m := members(t, res)
	if res.StatusCode != status || m["code"] != string(code) {
		t.Fatalf("got %d %v, want %d %s", res.StatusCode, m["code"], status, code)
	}
	if got := slices.Sorted(maps.Keys(m)); !slices.Equal(got, []string{"code", "detail", "requestId", "status", "title", "type"}) {
		t.Errorf("the problem has members %v", got)
	}
	if res.Headers["Content-Type"] != "application/problem+json" || m["status"] != float64(status) || m["type"] != "urn:orderbridge:problem:"+string(code) || m["title"] == "" || m["detail"] == "" {
		t.Errorf("the problem is %v with %v", m, res.Headers)
	}
}

func TestRecordedEventsAreAccepted(t *testing.T) {
	for _, file := range []string{"gateway.json", "gateway-base64.json", "sam-local.json"} {
		t.Run(file, func(t *testing.T) {
			claims := &book{}
			b := newBench(t, claims, bothKeys, webhook.Config{})
			e := recorded(t, file)
			res := b.do(t, e)
			if res.StatusCode != 202 {
				t.Fatalf("got %d %s", res.StatusCode, res.Body)
			}
			if len(claims.claims) != 1 {
				t.Fatalf("%d claims, want 1", len(claims.claims))
			}
			c := claims.claims[0]
			want := order.Claim{
				ID: orderID(t), Nonce: "0123456789abcdef0123456789abcdef", NonceExpiry: noon.Add(10*time.Minute + webhook.ClockSkew),
				Key: "provision-801000000000001AAA-1", By: c.By, SignedAt: noon, Now: noon, RequestID: e.RequestContext.RequestID,
			}
			if c != want || len(c.By) != 16 {
				t.Errorf("claimed %+v, want %+v", c, want)
			}
			if b.counted(t, "CalloutsRecorded", "created") != 1 {
				t.Errorf("no metric of the recorded callout: %s", b.out)
			}
		})
	}
}

// The two tests of the guide that this system grew from.
func TestGuideNoValidSignatureIs401(t *testing.T) {
	for name, change := range map[string]func(*events.APIGatewayV2HTTPRequest){
		"none":    func(e *events.APIGatewayV2HTTPRequest) { delete(e.Headers, "x-sf-signature") },
		"invalid": func(e *events.APIGatewayV2HTTPRequest) { e.Headers["x-sf-signature"] = "invalid" },
		"another": func(e *events.APIGatewayV2HTTPRequest) { e.Headers["x-sf-signature"] = strings.Repeat("ab", 32) },
	} {
		t.Run(name, func(t *testing.T) {
			claims := &book{}
			e := callout(goodBody())
			change(&e)
			if res := newBench(t, claims, bothKeys, webhook.Config{}).do(t, e); res.StatusCode != 401 {
				t.Errorf("got %d %s, want 401", res.StatusCode, res.Body)
			}
			if len(claims.claims) != 0 {
				t.Error("the table was written")
			}
		})
	}
}

func TestGuideTenMinutesOldIs401(t *testing.T) {
	claims := &book{}
	const old = "2026-11-24T11:50:00.000Z"
	e := callout(`{"orderId":"` + testOrder + `","timestamp":"` + old + `"}`) // no nonce in the body
	e.Headers["x-sf-timestamp"] = old
	if res := newBench(t, claims, bothKeys, webhook.Config{}).do(t, e); res.StatusCode != 401 {
		t.Errorf("got %d %s, want 401", res.StatusCode, res.Body)
	}
	if len(claims.claims) != 0 {
		t.Error("the table was written")
	}
}

// vectors are the contract's callouts, read as events.
func vectors(t testing.TB) (all []struct {
	name, code string
	event      events.APIGatewayV2HTTPRequest
	config     webhook.Config
}) {
	t.Helper()
	raw, err := os.ReadFile("../../contract/vectors/callouts.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Vectors []struct {
			Name, Code, PathID, SourceIP, OrgID string
			Body, BodyBase64                    *string
			Headers                             map[string]string
			Allowlist                           []string
		}
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	for _, v := range file.Vectors {
		e := events.APIGatewayV2HTTPRequest{Version: "2.0", Headers: v.Headers, PathParameters: map[string]string{"sfOrderId": v.PathID}}
		e.RequestContext.HTTP.SourceIP = v.SourceIP
		e.RequestContext.RequestID = "request-of-vector"
		switch {
		case v.Body != nil:
			e.Body = *v.Body
		case v.BodyBase64 != nil:
			e.Body, e.IsBase64Encoded = *v.BodyBase64, true
		}
		c := webhook.Config{Tolerance: 5 * time.Minute, OrgID: v.OrgID}
		for _, p := range v.Allowlist {
			c.Allowlist = append(c.Allowlist, netip.MustParsePrefix(p))
		}
		all = append(all, struct {
			name, code string
			event      events.APIGatewayV2HTTPRequest
			config     webhook.Config
		}{v.Name, v.Code, e, c})
	}
	if len(all) < 200 {
		t.Fatalf("read %d vectors", len(all))
	}
	return all
}

// Each vector gets its status and code through the handler; a refusal leaves
// no trace in the table, is counted under its code and logged.
func TestVectorsThroughTheHandler(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(v.name, func(t *testing.T) {
			claims := &book{}
			b := newBench(t, claims, bothKeys, v.config)
			res := b.do(t, v.event)
			if v.code == "" {
				if res.StatusCode != 202 || len(claims.claims) != 1 {
					t.Errorf("got %d %s and %d claims, want 202 and 1", res.StatusCode, res.Body, len(claims.claims))
				}
				return
			}
			wantProblem(t, res, fault.Code(v.code).Info().Status, fault.Code(v.code))
			if len(claims.claims) != 0 {
				t.Error("a refusal left a trace in the table")
			}
			if b.counted(t, "CalloutsRejected", v.code) != 1 {
				t.Errorf("no metric with the code: %s", b.out)
			}
			if security := b.counted(t, "SecurityEvents", v.code) == 1; security != fault.Code(v.code).Info().Security {
				t.Errorf("counted as a security event: %v", security)
			}
			if !strings.Contains(b.out.String(), `"msg":"callout rejected"`) || !strings.Contains(b.out.String(), `"request_id":"request-of-vector"`) {
				t.Errorf("no log line: %s", b.out)
			}
		})
	}
}

// A ping is checked like a callout and touches no order, whatever it is answered.
func TestAPingIsCheckedAndRecordedNowhere(t *testing.T) {
	for _, org := range []string{"", "00D000000000001EAA"} {
		claims := &book{err: errors.New("a ping must not get here")}
		b := newBench(t, claims, bothKeys, webhook.Config{OrgID: org})
		body := `{"timestamp":"2026-11-24T12:00:00.000Z","nonce":"0123456789abcdef0123456789abcdef"}`
		e := events.APIGatewayV2HTTPRequest{RouteKey: routePing, Body: body, Headers: map[string]string{
			"content-type": "application/json", "x-sf-timestamp": "2026-11-24T12:00:00.000Z",
			"x-sf-nonce": "0123456789abcdef0123456789abcdef", "x-sf-signature": webhook.Sign([]byte(testSecret), []byte(body)),
		}}
		for range 2 { // the nonce is not remembered
			if res := b.do(t, e); res.StatusCode != 200 || res.Body != `{"ok":true,"organizationId":"`+org+`"}` {
				t.Errorf("got %d %s", res.StatusCode, res.Body)
			}
		}
		e.Headers["x-sf-signature"] = webhook.Sign([]byte("another secret, 32 bytes or more"), []byte(body))
		wantProblem(t, b.do(t, e), 401, fault.SignatureInvalid)
		if len(claims.claims) != 0 {
			t.Error("a ping was recorded")
		}
		if b.counted(t, "CalloutsRejected", string(fault.SignatureInvalid)) != 1 {
			t.Errorf("no metric with the code: %s", b.out)
		}
	}
}

// No line that the handler writes and no answer holds a secret, the MAC that
// would be right, the one that was sent, or the body.
func TestLogsAndAnswersHoldNoSecret(t *testing.T) {
	for _, v := range vectors(t) {
		b := newBench(t, &book{err: fault.Wrap(fault.TryAgain, errors.New("away"))}, bothKeys, v.config)
		res := b.do(t, v.event)
		body := []byte(v.event.Body)
		if v.event.IsBase64Encoded {
			body, _ = base64.StdEncoding.DecodeString(v.event.Body)
		}
		written := strings.ToLower(b.out.String() + res.Body)
		for what, s := range map[string]string{
			"the secret":          testSecret,
			"the previous secret": testPrevious,
			"the right MAC":       webhook.Sign([]byte(testSecret), body),
			"the signature":       v.event.Headers["X-SF-Signature"],
			"the body":            string(body),
		} {
			if len(s) >= 16 && strings.Contains(written, strings.ToLower(s)) {
				t.Errorf("%s: %s was written: %s", v.name, what, written)
			}
		}
	}
}

func TestBase64FlagIsHonouredOnce(t *testing.T) {
	encoded := base64.StdEncoding.EncodeToString([]byte(goodBody()))
	for _, c := range []struct {
		name, body string
		flag       bool
		code       fault.Code
	}{
		{"encoded with the flag", encoded, true, ""},
		{"plain without the flag", goodBody(), false, ""},
		{"encoded without the flag", encoded, false, fault.SignatureInvalid},
		{"encoded twice", base64.StdEncoding.EncodeToString([]byte(encoded)), true, fault.SignatureInvalid},
		{"plain with the flag", goodBody(), true, fault.BodyMalformed},
		{"a line break inside", encoded[:8] + "\n" + encoded[8:], true, fault.BodyMalformed},
		{"trailing bits", "QUJ=", true, fault.BodyMalformed},
		{"the URL alphabet", "__8=", true, fault.BodyMalformed},
		{"too large when decoded", base64.StdEncoding.EncodeToString(make([]byte, webhook.MaxBody+1)), true, fault.BodyTooLarge},
		{"far too large", strings.Repeat("A", 6_000_000), true, fault.BodyTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := callout(goodBody())
			e.Body, e.IsBase64Encoded = c.body, c.flag
			res := newBench(t, &book{}, bothKeys, webhook.Config{}).do(t, e)
			if c.code != "" {
				wantProblem(t, res, c.code.Info().Status, c.code)
			} else if res.StatusCode != 202 {
				t.Errorf("got %d %s", res.StatusCode, res.Body)
			}
		})
	}
}

// A header that was sent twice is as an invalid one, however the gateway
// hands it over.
func TestDoubledHeadersAreInvalid(t *testing.T) {
	for header, code := range map[string]fault.Code{
		"x-sf-signature":  fault.SignatureInvalid,
		"x-sf-timestamp":  fault.TimestampInvalid,
		"x-sf-nonce":      fault.NonceInvalid,
		"content-type":    fault.ContentTypeUnsupported,
		"idempotency-key": fault.IdempotencyKeyMissing,
	} {
		t.Run(header, func(t *testing.T) {
			for _, joint := range []string{",", ", "} {
				e := callout(goodBody())
				e.Headers[header] += joint + e.Headers[header]
				wantProblem(t, newBench(t, &book{}, bothKeys, webhook.Config{}).do(t, e), code.Info().Status, code)
			}
			e := callout(goodBody())
			e.Headers[strings.ToUpper(header)] = e.Headers[header]
			wantProblem(t, newBench(t, &book{}, bothKeys, webhook.Config{}).do(t, e), code.Info().Status, code)
		})
	}
}

func TestAnEmptyEventIsRefused(t *testing.T) {
	res := newBench(t, &book{}, bothKeys, webhook.Config{}).do(t, events.APIGatewayV2HTTPRequest{})
	wantProblem(t, res, 401, fault.SignatureMissing)
}

func TestSecretAwayFailsClosed(t *testing.T) {
	claims := &book{}
	b := newBench(t, claims, keys{err: errors.New("secrets manager is away")}, webhook.Config{})
	wantProblem(t, b.do(t, callout(goodBody())), 503, fault.SecretUnavailable)
	if len(claims.claims) != 0 {
		t.Error("the table was written")
	}
}

func TestAnswersOfTheClaimThatAreRefusals(t *testing.T) {
	for _, c := range []struct {
		code       fault.Code
		status     int
		retryAfter bool
	}{
		{fault.NonceReplayed, 401, false},
		{fault.TooManyRequests, 429, true},
		{fault.TryAgain, 503, true},
		{fault.Internal, 500, false},
	} {
		t.Run(string(c.code), func(t *testing.T) {
			b := newBench(t, &book{err: fault.Wrap(c.code, errors.New("the table said so"))}, bothKeys, webhook.Config{})
			res := b.do(t, callout(goodBody()))
			wantProblem(t, res, c.status, c.code)
			if _, ok := res.Headers["Retry-After"]; ok != c.retryAfter {
				t.Errorf("headers %v, Retry-After wanted: %v", res.Headers, c.retryAfter)
			}
			if strings.Contains(res.Body, "the table said so") {
				t.Errorf("the answer tells the cause: %s", res.Body)
			}
			if b.counted(t, "CalloutsRejected", string(c.code)) != 1 {
				t.Errorf("no metric: %s", b.out)
			}
		})
	}
}

// The second table of the contract: exactly these members and headers.
func TestAnswersOnceRecorded(t *testing.T) {
	id := orderID(t)
	for _, c := range []struct {
		name   string
		record order.Record
		status int
		body   string
		header map[string]string
	}{
		{"queued", order.Record{ID: id, State: order.Queued}, 202,
			`{"success":false,"status":"Activating","sfOrderId":"801000000000001AAA"}`,
			map[string]string{"Content-Type": "application/json", "Location": "/orders/801000000000001AAA", "Retry-After": "5"}},
		{"working", order.Record{ID: id, State: order.Working}, 202,
			`{"success":false,"status":"Activating","sfOrderId":"801000000000001AAA"}`,
			map[string]string{"Content-Type": "application/json", "Location": "/orders/801000000000001AAA", "Retry-After": "5"}},
		{"waiting", order.Record{ID: id, State: order.Waiting, ErrorCode: fault.WHMCSUnavailable, ErrorMessage: "x"}, 202,
			`{"success":false,"status":"Activating","sfOrderId":"801000000000001AAA"}`,
			map[string]string{"Content-Type": "application/json", "Location": "/orders/801000000000001AAA", "Retry-After": "5"}},
		{"provisioned", order.Record{ID: id, State: order.Provisioned, WHMCSOrderID: "4711"}, 200,
			`{"success":true,"status":"Provisioned","sfOrderId":"801000000000001AAA","whmcsOrderId":"4711"}`,
			map[string]string{"Content-Type": "application/json"}},
		{"failed", order.Record{ID: id, State: order.Failed, ErrorCode: fault.ModuleFailed, ErrorMessage: "The module said: quota reached."}, 422,
			`{"type":"urn:orderbridge:problem:module_failed","title":"Module failed","status":422,"code":"module_failed","detail":"The module said: quota reached.","requestId":"request-1"}`,
			map[string]string{"Content-Type": "application/problem+json"}},
		{"failed without a text", order.Record{ID: id, State: order.Failed, ErrorCode: fault.AccountNotMapped}, 422,
			`{"type":"urn:orderbridge:problem:account_not_mapped","title":"Account not mapped","status":422,"code":"account_not_mapped","detail":"The account has no valid WHMCS client id. Set WHMCS_Client_ID__c on the account, then click again.","requestId":"request-1"}`,
			map[string]string{"Content-Type": "application/problem+json"}},
		{"failed with a code that is no order code", order.Record{ID: id, State: order.Failed, ErrorCode: fault.WHMCSUnavailable}, 422,
			`{"type":"urn:orderbridge:problem:whmcs_unavailable","title":"WHMCS unavailable","status":422,"code":"whmcs_unavailable","detail":"WHMCS does not answer. Wait: the bridge tries again.","requestId":"request-1"}`,
			map[string]string{"Content-Type": "application/problem+json"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, &book{claimed: order.Claimed{Outcome: order.AlreadyOpen, Record: c.record}}, bothKeys, webhook.Config{})
			res := b.do(t, callout(goodBody()))
			if res.StatusCode != c.status || res.Body != c.body || !maps.Equal(res.Headers, c.header) {
				t.Errorf("got %d %s %v\nwant %d %s %v", res.StatusCode, res.Body, res.Headers, c.status, c.body, c.header)
			}
		})
	}
}

// watching runs one callout under virtual time and returns the answer, the
// times of the reads, and when the answer came.
func watching(t *testing.T, wait time.Duration, prefer string, claims *book) (res httpapi.Response, reads []time.Duration, took time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, claims, bothKeys, webhook.Config{})
		start := time.Now()
		claims.now = time.Now
		b.Wait, b.Sleep = wait, lambdaenv.Clock{}.Sleep
		b.Now = func() time.Time { return noon.Add(time.Since(start)) }
		e := callout(goodBody())
		if prefer != "" {
			e.Headers["prefer"] = prefer
		}
		res = b.do(t, e)
		took = time.Since(start)
		for _, at := range claims.gets {
			reads = append(reads, at.Sub(start))
		}
	})
	return res, reads, took
}

func TestPreferDecidesTheWait(t *testing.T) {
	id := orderID(t)
	open := []order.Record{{ID: id, State: order.Working}}
	for _, c := range []struct {
		name, prefer, applied string
		fulfillWait, took     time.Duration
	}{
		{"none, and no wait configured", "", "", 0, 0},
		{"none, and a wait configured", "", "", 20 * time.Second, 20 * time.Second},
		{"respond-async", "respond-async", "respond-async", 20 * time.Second, 0},
		{"wait", "wait=3", "wait=3", 0, 3 * time.Second},
		{"a shorter wait than configured", "wait=1", "wait=1", 20 * time.Second, time.Second},
		{"no wait", "wait=0", "wait=0", 20 * time.Second, 0},
		{"a longer wait than is possible", "wait=3600", "wait=25", 0, 25 * time.Second},
		{"both", "respond-async, wait=2", "respond-async, wait=2", 0, 2 * time.Second},
		{"unknown ones", "return=minimal, wait=x", "", 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			res, _, took := watching(t, c.fulfillWait, c.prefer, &book{images: open})
			if res.StatusCode != 202 || res.Headers["Preference-Applied"] != c.applied || took != c.took {
				t.Errorf("got %d, applied %q after %v; want 202, %q after %v", res.StatusCode, res.Headers["Preference-Applied"], took, c.applied, c.took)
			}
		})
	}
}

func TestWatchReadsLessAndLessOften(t *testing.T) {
	_, reads, _ := watching(t, 0, "wait=25", &book{images: []order.Record{{ID: orderID(t), State: order.Working}}})
	want := []time.Duration{250 * time.Millisecond, 750 * time.Millisecond, 1750 * time.Millisecond, 3750 * time.Millisecond, 5750 * time.Millisecond}
	if len(reads) < len(want) || !slices.Equal(reads[:len(want)], want) || len(reads) > 15 {
		t.Errorf("read at %v, want %v and then every 2 s", reads, want)
	}
}

func TestWatchEndsWithTheOrder(t *testing.T) {
	id := orderID(t)
	working := order.Record{ID: id, State: order.Working}
	for _, c := range []struct {
		name   string
		claims *book
		status int
		took   time.Duration
	}{
		{"provisioned", &book{images: []order.Record{working, {ID: id, State: order.Provisioned, WHMCSOrderID: "1"}}}, 200, 750 * time.Millisecond},
		{"failed", &book{images: []order.Record{working, {ID: id, State: order.Failed, ErrorCode: fault.OrderEmpty}}}, 422, 750 * time.Millisecond},
		{"parked", &book{images: []order.Record{working, {ID: id, State: order.Waiting}}}, 202, 750 * time.Millisecond},
		{"parked before", &book{claimed: order.Claimed{Outcome: order.AlreadyOpen, Record: order.Record{ID: id, State: order.Waiting}}}, 202, 0},
		{"paused", &book{control: order.Control{Paused: true}}, 202, 0},
		{"the breaker is open", &book{control: order.Control{OpenUntil: noon.Add(time.Minute)}}, 202, 0},
		{"the table is away", &book{getErr: errors.New("throttled")}, 202, 250 * time.Millisecond},
		{"the order is gone", &book{}, 202, 250 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			res, _, took := watching(t, 0, "wait=20", c.claims)
			if res.StatusCode != c.status || took != c.took {
				t.Errorf("got %d after %v, want %d after %v", res.StatusCode, took, c.status, c.took)
			}
		})
	}
}

// The answer leaves before the invocation's deadline.
func TestWatchKeepsTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		b := newBench(t, &book{images: []order.Record{{ID: orderID(t), State: order.Working}}}, bothKeys, webhook.Config{Tolerance: 100 * 365 * 24 * time.Hour})
		b.Now, b.Sleep = time.Now, lambdaenv.Clock{}.Sleep
		e := callout(goodBody())
		e.Headers["prefer"] = "wait=25"
		start := time.Now()
		res, err := b.Handle(ctx, e)
		if err != nil || res.StatusCode != 202 || time.Since(start) != 4*time.Second {
			t.Errorf("got %d, %v after %v, want 202 after 4 s", res.StatusCode, err, time.Since(start))
		}
	})
}

// discard is the part of a handler that a property does not look at.
var discard = Handler{
	Now:     func() time.Time { return noon },
	Sleep:   func(context.Context, time.Duration) error { return nil },
	Log:     slog.New(slog.DiscardHandler),
	Metrics: telemetry.NewMeter(io.Discard, "test", "fulfill", func() time.Time { return noon }),
}
