package httpapi_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"orderbridge/shared/fault"
	"orderbridge/shared/httpapi"
)

func TestHeadersAreFoundInAnyCase(t *testing.T) {
	r := httpapi.NewRequest(events.APIGatewayV2HTTPRequest{Headers: map[string]string{
		"x-sf-nonce": "a", "Content-Type": "b", "X-Twice": "1", "x-twice": "2", "X-TWICE": "3",
	}}, 10)
	for name, want := range map[string]string{"X-SF-Nonce": "a", "content-type": "b", "X-Twice": "3,1,2", "absent": ""} {
		if got := r.Header(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestTheSourceIsTheConnection(t *testing.T) {
	e := events.APIGatewayV2HTTPRequest{Headers: map[string]string{"x-forwarded-for": "13.108.0.9", "forwarded": "for=13.108.0.9"}}
	e.RequestContext.HTTP.SourceIP = "198.51.100.7"
	if got := httpapi.NewRequest(e, 10).SourceIP; got != "198.51.100.7" {
		t.Errorf("got %s", got)
	}
}

func TestBodies(t *testing.T) {
	for _, c := range []struct {
		name, body string
		encoded    bool
		want       string
		code       fault.Code
	}{
		{"plain", "abc", false, "abc", ""},
		{"empty", "", false, "", ""},
		{"as large as allowed", "0123456789", false, "0123456789", ""},
		{"too large", "0123456789a", false, "", fault.BodyTooLarge},
		{"encoded", "YWJj", true, "abc", ""},
		{"encoded, as large as allowed", "MDEyMzQ1Njc4OQ==", true, "0123456789", ""},
		{"encoded, one byte too large", "MDEyMzQ1Njc4OWE=", true, "", fault.BodyTooLarge},
		{"encoded, far too large", strings.Repeat("A", 1000), true, "", fault.BodyTooLarge},
		{"broken", "YWJ", true, "", fault.BodyMalformed},
		{"not base64", "{}", true, "", fault.BodyMalformed},
		{"line breaks", "YW\nJj", true, "", fault.BodyMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httpapi.NewRequest(events.APIGatewayV2HTTPRequest{Body: c.body, IsBase64Encoded: c.encoded}, 10)
			if string(r.Body) != c.want || fault.CodeOf(r.BodyErr) != c.code {
				t.Errorf("got %q, %v; want %q, %q", r.Body, r.BodyErr, c.want, c.code)
			}
		})
	}
}

func TestProblemsHoldNoCause(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		want string
	}{
		{"a code", fault.New(fault.NonceInvalid, ""),
			`{"type":"urn:orderbridge:problem:nonce_invalid","title":"Nonce invalid","status":401,"code":"nonce_invalid","detail":"The X-SF-Nonce header is not 16 to 128 characters of A-Z, a-z, 0-9, _ and -.","requestId":"r"}`},
		{"a cause", fault.Wrap(fault.TryAgain, errors.New("secret cause")),
			`{"type":"urn:orderbridge:problem:try_again","title":"Try again","status":503,"code":"try_again","detail":"The callout was not recorded; send it again.","requestId":"r"}`},
		{"a public text", fault.New(fault.WHMCSRejected, "Say this."),
			`{"type":"urn:orderbridge:problem:whmcs_rejected","title":"Rejected by WHMCS","status":422,"code":"whmcs_rejected","detail":"Say this.","requestId":"r"}`},
		{"no code", errors.New("secret cause"),
			`{"type":"urn:orderbridge:problem:internal_error","title":"Internal error","status":500,"code":"internal_error","detail":"Something went wrong here; the log has the request id.","requestId":"r"}`},
		{"a code that is not listed", fault.New("made_up", "secret cause"),
			`{"type":"urn:orderbridge:problem:internal_error","title":"Internal error","status":500,"code":"internal_error","detail":"Something went wrong here; the log has the request id.","requestId":"r"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			res := httpapi.Problem("r", c.err, map[string]string{"Retry-After": "1"})
			if res.Body != c.want || res.Headers["Content-Type"] != "application/problem+json" || res.Headers["Retry-After"] != "1" || res.StatusCode == 0 {
				t.Errorf("got %d %s %v\nwant %s", res.StatusCode, res.Body, res.Headers, c.want)
			}
		})
	}
}

func TestWhatCannotBeWrittenIsAnInternalError(t *testing.T) {
	if res := httpapi.JSON(200, func() {}, nil); res.StatusCode != 500 || !strings.Contains(res.Body, "internal_error") {
		t.Errorf("got %d %s", res.StatusCode, res.Body)
	}
}

func TestSecondsAreWholeAndNeverZero(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "1", -time.Second: "1", time.Millisecond: "1", time.Second: "1", 1001 * time.Millisecond: "2", time.Minute: "60",
	} {
		if got := httpapi.Seconds(d); got != want {
			t.Errorf("Seconds(%v) = %s, want %s", d, got, want)
		}
	}
}

// What a scope is, is decided by the issuer's words alone: RFC 6749, section 3.3,
// separates them by U+0020 and lets commas, brackets and everything else stand in
// one.
func TestScopes(t *testing.T) {
	for _, c := range []struct {
		name, scope, scp string
		want             []string
	}{
		{"words", "openid orders.read.any", "", []string{"openid", "orders.read.any"}},
		{"several spaces", " openid  email ", "", []string{"openid", "email"}},
		{"a list of the gateway's", "[openid orders.read.any email]", "", []string{"openid", "orders.read.any", "email"}},
		{"the first of a list", "[orders.read.any openid]", "", []string{"orders.read.any", "openid"}},
		{"the last of a list", "[openid orders.read.any]", "", []string{"openid", "orders.read.any"}},
		{"a list of one", "[orders.read.any]", "", []string{"orders.read.any"}},
		{"an empty list", "[]", "", nil},
		{"a list as JSON", `["openid","orders.read.any"]`, "", []string{"openid", "orders.read.any"}},
		{"scp", "", "orders.read.any", []string{"orders.read.any"}},
		{"a list of scp", "", "[orders.read.any openid]", []string{"orders.read.any", "openid"}},
		{"both", "openid", "[email]", []string{"openid", "email"}},
		{"neither", "", "", nil},
		{"a comma is part of a word", "x,orders.read.any", "", []string{"x,orders.read.any"}},
		{"a bracket inside is part of a word", "x[orders.read.any]", "", []string{"x[orders.read.any]"}},
		{"one pair of brackets alone", "[[orders.read.any]]", "", []string{"[orders.read.any]"}},
		{"a bracket that is not closed", "[orders.read.any", "", []string{"[orders.read.any"}},
		{"a no-break space", "x\u00a0orders.read.any", "", []string{"x\u00a0orders.read.any"}},
		{"an em space", "x\u2003orders.read.any", "", []string{"x\u2003orders.read.any"}},
		{"a tab", "x\torders.read.any", "", []string{"x\torders.read.any"}},
		{"a quote", `"orders.read.any"`, "", []string{`"orders.read.any"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := httpapi.Caller{Claims: map[string]string{"scope": c.scope, "scp": c.scp}}.Scopes()
			if !slices.Equal(got, c.want) {
				t.Errorf("%q %q: %q, want %q", c.scope, c.scp, got, c.want)
			}
		})
	}
}
