package webhook_test

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"orderbridge/shared/order"
	"orderbridge/shared/webhook"
)

func TestParsePrefer(t *testing.T) {
	type want struct {
		async bool
		wait  time.Duration // -1: none
	}
	none := want{false, -1}
	for _, c := range []struct {
		name, header string
		want         want
	}{
		{"absent", "", none},
		{"respond-async", "respond-async", want{true, -1}},
		{"wait", "wait=10", want{false, 10 * time.Second}},
		{"both", "respond-async, wait=10", want{true, 10 * time.Second}},
		{"two headers joined", "wait=10,respond-async", want{true, 10 * time.Second}},
		{"another case", "Respond-Async, WAIT=3", want{true, 3 * time.Second}},
		{"white space around the equals sign", "wait = 3", want{false, 3 * time.Second}},
		{"a quoted value", `wait="3"`, want{false, 3 * time.Second}},
		{"a quoted pair", `wait="\3"`, want{false, 3 * time.Second}},
		{"parameters", "respond-async; x=1; y, wait=2;z", want{true, 2 * time.Second}},
		{"unknown ones are ignored", "return=minimal, handling=lenient, wait=2", want{false, 2 * time.Second}},
		{"the first of two counts", "wait=2, wait=9", want{false, 2 * time.Second}},
		{"the first of two counts even if it is void", "wait=x, wait=9", none},
		{"an empty value is no value", `respond-async=""`, want{true, -1}},
		{"a value where none belongs", "respond-async=no", none},
		{"wait without a value", "wait", none},
		{"a negative wait", "wait=-1", none},
		{"a fraction", "wait=1.5", none},
		{"zero", "wait=0", want{false, 0}},
		{"a very long wait", "wait=99999999999999999999999999", want{false, 24 * time.Hour}},
		{"a comma in quotes", `x="a, wait=9", wait=1`, want{false, time.Second}},
		{"an escaped quote", `x="a\", wait=9", wait=1`, want{false, time.Second}},
		{"a quote that does not end", `x="a, wait=9`, none},
		{"empty elements", ",, wait=1 ,", want{false, time.Second}},
		{"no token", "wäit=1, (x)=2", none},
		{"a backslash at the end", `x="\`, none},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := webhook.ParsePrefer(c.header)
			got := want{p.RespondAsync, p.Wait}
			if !p.HasWait {
				got.wait = -1
			}
			if got != c.want {
				t.Errorf("ParsePrefer(%q) = %+v, want %+v", c.header, got, c.want)
			}
		})
	}
}

// seeds adds what the vectors hold for one input of the grammar.
func seeds(f *testing.F, pick func(vector) string) {
	f.Helper()
	file, _ := readVectors(f)
	for _, v := range file.Vectors {
		if s := pick(v); len(s) < 2000 {
			f.Add(s)
		}
	}
}

func FuzzTimestamp(f *testing.F) {
	seeds(f, func(v vector) string { return v.Headers["X-SF-Timestamp"] })
	f.Add("2024-02-29T23:59:59.999Z")
	form := regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{3})?Z$`)
	f.Fuzz(func(t *testing.T, s string) {
		at, ok := webhook.ParseTimestamp(s)
		// time.Parse is more generous in form and right about dates.
		want, err := time.Parse(time.RFC3339, s)
		if should := form.MatchString(s) && err == nil; ok != should {
			t.Fatalf("%q: %v, want %v", s, ok, should)
		}
		if !ok {
			return
		}
		if !at.Equal(want) {
			t.Fatalf("%q is %v, want %v", s, at, want)
		}
		layout := "2006-01-02T15:04:05Z"
		if len(s) > len(layout) {
			layout = "2006-01-02T15:04:05.000Z"
		}
		if at.Format(layout) != s {
			t.Fatalf("%q reads back as %q", s, at.Format(layout))
		}
	})
}

func FuzzNonce(f *testing.F) {
	seeds(f, func(v vector) string { return v.Headers["X-SF-Nonce"] })
	form := regexp.MustCompile(`\A[A-Za-z0-9_-]{16,128}\z`)
	f.Fuzz(func(t *testing.T, s string) {
		if got := webhook.ValidNonce(s); got != form.MatchString(s) {
			t.Fatalf("%q: %v", s, got)
		}
	})
}

func FuzzIdempotencyKey(f *testing.F) {
	seeds(f, func(v vector) string { return v.Headers["Idempotency-Key"] })
	form := regexp.MustCompile(`\A[ -+\--~]{1,255}\z`)
	f.Fuzz(func(t *testing.T, s string) {
		if got := webhook.ValidKey(s); got != form.MatchString(s) {
			t.Fatalf("%q: %v", s, got)
		}
	})
}

func FuzzContentType(f *testing.F) {
	seeds(f, func(v vector) string { return v.Headers["Content-Type"] })
	f.Add(`application/json; a="b,c"`)
	f.Add("APPLICATION/JSON;charset=utf-8 ; q=1")
	f.Fuzz(func(t *testing.T, s string) {
		if !webhook.JSONContent(s) {
			return
		}
		first, _, _ := strings.Cut(s, ";")
		if !strings.EqualFold(strings.Trim(first, " \t"), "application/json") {
			t.Fatalf("%q is taken for application/json", s)
		}
	})
}

func FuzzOrderID(f *testing.F) {
	seeds(f, func(v vector) string { return v.PathID })
	form := regexp.MustCompile(`\A801[A-Za-z0-9]{12}([A-Z0-5]{3})?\z`)
	f.Fuzz(func(t *testing.T, s string) {
		id, err := order.ParseID(s)
		if err != nil {
			if len(s) == 15 && form.MatchString(s) {
				t.Fatalf("%q is refused", s)
			}
			return
		}
		if !form.MatchString(s) || len(id.String()) != 18 || id.String()[:len(s)] != s {
			t.Fatalf("%q is taken as %q", s, id)
		}
		again, err := order.ParseID(id.String())
		if err != nil || again != id {
			t.Fatalf("%q is not its own canonical form: %v", id, err)
		}
	})
}

func FuzzPrefer(f *testing.F) {
	for _, s := range []string{"", "respond-async", "wait=10", `wait="3"; x=y, respond-async`, `x="\`, ",,;=,", `wait=1,"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p := webhook.ParsePrefer(s)
		if p.Wait < 0 || p.Wait > 24*time.Hour || !p.HasWait && p.Wait != 0 {
			t.Fatalf("%q: %+v", s, p)
		}
		// What is asked for is named in the header, whatever stands around it.
		lower := strings.ToLower(s)
		if p.RespondAsync && !strings.Contains(lower, "respond-async") || p.HasWait && !strings.Contains(lower, "wait") {
			t.Fatalf("%q: %+v", s, p)
		}
	})
}

// A signed body of any bytes is refused with one of three codes, or read
// exactly as a second, independent reader of JSON reads it.
func FuzzBody(f *testing.F) {
	file, now := readVectors(f)
	for _, v := range file.Vectors {
		if b := v.request(f).Body; len(b) < 2000 {
			f.Add(b)
		}
	}
	k := fixed(file.Secret)
	v := newVerifier(f, k, webhook.Config{Tolerance: 5 * time.Minute})
	good := file.Vectors[0].request(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		r := good
		r.Body, r.Signature = body, webhook.Sign([]byte(file.Secret), body)
		c, err := v.Verify(t.Context(), r, now)
		if err != nil {
			switch code := codeOf(err); code {
			case "body_malformed", "headers_not_signed", "order_id_invalid", "order_id_mismatch":
			case "body_too_large":
				if len(body) <= webhook.MaxBody {
					t.Fatalf("%d bytes are too large", len(body))
				}
			default:
				t.Fatalf("code %s for %q", code, body)
			}
			return
		}
		var m map[string]any
		if !utf8.Valid(body) {
			t.Fatalf("accepted invalid UTF-8: %q", body)
		}
		dec := json.NewDecoder(bytes.NewReader(body))
		dec.UseNumber()
		if err := dec.Decode(&m); err != nil {
			t.Fatalf("accepted what is no JSON: %q: %v", body, err)
		}
		id, err := order.ParseID(m["orderId"].(string))
		if err != nil || id != c.OrderID || m["timestamp"] != r.Timestamp || m["nonce"] != c.Nonce {
			t.Fatalf("%q read as %+v", body, c)
		}
		for name := range m {
			for _, ours := range []string{"orderId", "timestamp", "nonce", "requestedBy", "organizationId", "accountId"} {
				if name != ours && strings.EqualFold(name, ours) {
					t.Fatalf("accepted member %q", name)
				}
			}
		}
	})
}

// Any signature header is refused, or is the one right MAC.
func FuzzSignature(f *testing.F) {
	file, now := readVectors(f)
	for _, v := range file.Vectors {
		f.Add(v.Headers["X-SF-Signature"])
	}
	v := newVerifier(f, fixed(file.Secret), webhook.Config{Tolerance: 5 * time.Minute})
	good := file.Vectors[0].request(f)
	f.Fuzz(func(t *testing.T, s string) {
		r := good
		r.Signature = s
		_, err := v.Verify(t.Context(), r, now)
		switch code := codeOf(err); {
		case code == "" && strings.EqualFold(s, good.Signature):
		case code == "signature_missing" && s == "":
		case code == "signature_invalid" && s != "" && !strings.EqualFold(s, good.Signature):
		default:
			t.Fatalf("%q: %q", s, code)
		}
	})
}
