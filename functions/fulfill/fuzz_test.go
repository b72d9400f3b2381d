package main

import (
	"encoding/hex"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"pgregory.net/rapid"

	"orderbridge/shared/fault"
	"orderbridge/shared/provision/provisiontest"
	"orderbridge/shared/secret"
	"orderbridge/shared/webhook"
)

// Whatever event arrives: no panic, no error, an answer of the contract, and a
// refusal leaves no trace. With sign the body is signed, so that the fuzzer
// gets past the signature.
func FuzzHandler(f *testing.F) {
	for _, v := range vectors(f) {
		if len(v.event.Body) > 2000 {
			continue
		}
		h := v.event.Headers
		f.Add(v.event.Body, v.event.IsBase64Encoded, false, v.event.PathParameters["sfOrderId"], h["X-SF-Signature"], h["X-SF-Timestamp"], h["X-SF-Nonce"], h["Idempotency-Key"], h["Content-Type"], "wait=0")
		f.Add(v.event.Body, v.event.IsBase64Encoded, true, v.event.PathParameters["sfOrderId"], "", h["X-SF-Timestamp"], h["X-SF-Nonce"], h["Idempotency-Key"], h["Content-Type"], "respond-async, wait=x")
	}
	allowed := map[int]bool{202: true, 400: true, 401: true, 413: true, 415: true}
	f.Fuzz(func(t *testing.T, body string, encoded, sign bool, path, signature, timestamp, nonce, key, contentType, prefer string) {
		e := events.APIGatewayV2HTTPRequest{
			Body: body, IsBase64Encoded: encoded, PathParameters: map[string]string{"sfOrderId": path},
			Headers: map[string]string{
				"x-sf-signature": signature, "x-sf-timestamp": timestamp, "x-sf-nonce": nonce,
				"idempotency-key": key, "content-type": contentType, "prefer": prefer,
			},
		}
		if sign {
			e.Headers["x-sf-signature"] = webhook.Sign([]byte(testSecret), []byte(body))
		}
		claims := &book{}
		b := newBench(t, claims, bothKeys, webhook.Config{})
		res := b.do(t, e)
		if !allowed[res.StatusCode] {
			t.Fatalf("status %d: %s", res.StatusCode, res.Body)
		}
		var m map[string]any
		if err := json.Unmarshal([]byte(res.Body), &m); err != nil {
			t.Fatalf("the answer is no JSON: %q", res.Body)
		}
		if accepted := res.StatusCode == 202; accepted != (len(claims.claims) == 1) {
			t.Fatalf("status %d and %d claims", res.StatusCode, len(claims.claims))
		}
		if res.StatusCode != 202 && !fault.Code(m["code"].(string)).Listed() {
			t.Fatalf("code %v is not listed", m["code"])
		}
		for line := range strings.Lines(b.out.String()) {
			if !json.Valid([]byte(line)) {
				t.Fatalf("a line is no JSON: %s", line)
			}
		}
	})
}

// Wycheproof's messages and keys as body and secret: through the handler where
// the key passes the secret's own rules, through the verifier otherwise (in
// shared/webhook).
func TestWycheproofThroughTheHandler(t *testing.T) {
	raw, err := os.ReadFile("../../contract/vectors/wycheproof_hmac_sha256.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		TestGroups []struct {
			Tests []struct {
				TCID                           int
				Comment, Key, Msg, Tag, Result string
			}
		}
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	accepted, rejected, short := 0, 0, 0
	for _, g := range file.TestGroups {
		for _, c := range g.Tests {
			key, err := hex.DecodeString(c.Key)
			if err != nil {
				t.Fatal(err)
			}
			if secret.CheckStrength(string(key)) != nil {
				short++
				continue
			}
			msg, err := hex.DecodeString(c.Msg)
			if err != nil {
				t.Fatal(err)
			}
			e := callout(string(msg))
			e.Headers["x-sf-signature"] = c.Tag
			delete(e.Headers, "x-sf-timestamp")
			// A signature that holds leads to the next check, which misses its header.
			want := fault.SignatureInvalid
			if c.Result == "valid" && len(c.Tag) == 64 {
				want = fault.TimestampInvalid
				accepted++
			} else {
				rejected++
			}
			res := newBench(t, &book{}, keys{all: [][]byte{key}}, webhook.Config{}).do(t, e)
			if got := members(t, res)["code"]; got != string(want) {
				t.Errorf("case %d (%s): %v, want %s", c.TCID, c.Comment, got, want)
			}
		}
	}
	if accepted == 0 || rejected == 0 || accepted+rejected+short != 174 {
		t.Errorf("%d accepted, %d rejected, %d with a weak key; want 174 together", accepted, rejected, short)
	}
}

// A valid callout that was changed anywhere is refused, or is the same callout
// (case of a hex digit, an unsigned header that is still valid): it is never
// accepted as another one. It runs on one table, so that what is accepted
// twice shows as a replay.
func TestAMutatedCalloutIsNeverAnother(t *testing.T) {
	good := callout(goodBody())
	headers := slices.Sorted(maps.Keys(good.Headers))
	rapid.Check(t, func(t *rapid.T) {
		e := good
		e.Headers = maps.Clone(good.Headers)
		e.PathParameters = maps.Clone(good.PathParameters)
		mutate := func(s string) string {
			i := rapid.IntRange(0, len(s)).Draw(t, "at")
			switch rapid.IntRange(0, 3).Draw(t, "how") {
			case 0:
				return s[:i] + string(rapid.Byte().Draw(t, "byte")) + s[min(i+1, len(s)):]
			case 1:
				return s[:i] + string(rapid.Byte().Draw(t, "byte")) + s[i:]
			case 2:
				return s[:i] + s[min(i+1, len(s)):]
			}
			return s[:i]
		}
		what := rapid.SampledFrom(append([]string{"body", "path", "flag"}, headers...)).Draw(t, "what")
		unsigned := false // what may change without becoming another callout
		switch what {
		case "body":
			e.Body = mutate(e.Body)
			unsigned = e.Body == good.Body
		case "path":
			e.PathParameters["sfOrderId"] = mutate(testOrder)
			unsigned = strings.HasPrefix(testOrder, e.PathParameters["sfOrderId"]) && len(e.PathParameters["sfOrderId"]) >= 15
		case "flag":
			e.IsBase64Encoded = true
		default:
			e.Headers[what] = mutate(e.Headers[what])
			unsigned = what == "idempotency-key" || what == "content-type" || strings.EqualFold(e.Headers[what], good.Headers[what])
		}
		claims := &book{}
		v, err := webhook.New(bothKeys, webhook.Config{Tolerance: 300_000_000_000})
		if err != nil {
			t.Fatal(err)
		}
		h := discard
		h.Verifier, h.Claims = v, claims
		res, err := h.Handle(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode == 202 && !unsigned {
			t.Fatalf("accepted with another %s: %+v", what, e)
		}
		if res.StatusCode == 202 && (claims.claims[0].ID.String() != testOrder || claims.claims[0].Nonce != good.Headers["x-sf-nonce"]) {
			t.Fatalf("accepted as another callout: %+v", claims.claims[0])
		}
		if res.StatusCode != 202 && len(claims.claims) != 0 {
			t.Fatalf("%d left a trace", res.StatusCode)
		}
	})
}

// A callout refused before the claim does not use up its nonce or key: the
// right one is accepted afterwards.
func TestARefusedCalloutDoesNotUseItsNonceUp(t *testing.T) {
	claims := provisiontest.NewMemory()
	b := newBench(t, claims, bothKeys, webhook.Config{})
	for _, header := range []string{"x-sf-signature", "x-sf-timestamp", "x-sf-nonce", "content-type", "idempotency-key"} {
		e := callout(goodBody())
		delete(e.Headers, header)
		if res := b.do(t, e); res.StatusCode < 400 {
			t.Fatalf("accepted without %s", header)
		}
	}
	if n := len(claims.Records()); n != 0 {
		t.Fatalf("%d items after refusals alone", n)
	}
	if res := b.do(t, callout(goodBody())); res.StatusCode != 202 {
		t.Errorf("got %d %s, want 202", res.StatusCode, res.Body)
	}
}
