package apigateway_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"orderbridge/local/apigateway"
	"orderbridge/local/lambda"
	"orderbridge/local/samtemplate"
)

var now = time.UnixMilli(1783711145766)

// fake is a function that keeps the last event.
type fake struct {
	function string
	event    []byte
	answer   string
	err      error
}

func (f *fake) Invoke(_ context.Context, function string, event []byte) ([]byte, error) {
	f.function, f.event = function, event
	return []byte(f.answer), f.err
}

const origin = "http://127.0.0.1:8080"

func newGateway(t *testing.T, f apigateway.Invoker, change func(*apigateway.Options)) *apigateway.Gateway {
	t.Helper()
	o := apigateway.Options{
		APIs: []samtemplate.API{{ID: "CalloutApi"}, {ID: "PortalApi", CORS: &samtemplate.CORS{Origins: []string{origin}, Methods: []string{"GET"}, Headers: []string{"authorization", "if-none-match"}, Expose: []string{"ETag", "Retry-After"}, MaxAge: 600}}},
		Routes: []samtemplate.Route{
			{API: "CalloutApi", Key: "POST /orders/{sfOrderId}/fulfill", Function: "fulfill", Timeout: 30 * time.Second},
			{API: "PortalApi", Key: "GET /orders/{sfOrderId}", Function: "status", Timeout: 30 * time.Second},
		},
		Invoker: f, Region: "us-east-1", Account: "000000000000", AccessKey: "local", SecretKey: "local",
		Now:  func() time.Time { return now },
		Logf: t.Logf,
	}
	if change != nil {
		change(&o)
	}
	g, err := apigateway.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func request(method, target, body string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.RemoteAddr, r.Host = "192.0.2.7:50000", "127.0.0.1:8080"
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

func serve(g http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	return w
}

func wantMessage(t *testing.T, w *httptest.ResponseRecorder, status int, text string) {
	t.Helper()
	if want := fmt.Sprintf(`{"message":%q}`, text); w.Code != status || w.Body.String() != want || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("answer %d %s %s, want %d %s", w.Code, w.Header().Get("Content-Type"), w.Body, status, want)
	}
}

func TestEventIsThatOfTheRealGateway(t *testing.T) {
	f := &fake{answer: `{"statusCode":200}`}
	r := request("POST", "/orders/801%20x/fulfill?repeat=one&repeat=two&redirect=https%3A%2F%2Fexample.com%2Fa&plus=a+b&empty=",
		`{"message":"hello","unicode":"lambda-λ"}     `, "Accept", "*/*", "Content-Type", "application/json", "User-Agent", "curl/8.7.1",
		"Cookie", "session=abc123; theme=dark", "X-Probe", "first", "x-probe", "second", "X-Amzn-Trace-Id", "Root=1-6a5145a9-1bae89e2512ec92d5d9438a0")
	serve(newGateway(t, f, nil), r)
	if f.function != "fulfill" {
		t.Fatalf("function %q ran", f.function)
	}
	b, err := os.ReadFile("testdata/event-post.json")
	if err != nil {
		t.Fatal(err)
	}
	var want, got map[string]any
	if err := json.Unmarshal(b, &want); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(f.event, &got); err != nil {
		t.Fatal(err)
	}
	c := got["requestContext"].(map[string]any)
	if c["requestId"] == "" {
		t.Error("no request id")
	}
	c["requestId"] = "*"
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("event differs (-want +got):\n%s", d)
	}
	// Nothing in it is unknown to the library that functions read it with.
	dec := json.NewDecoder(bytes.NewReader(f.event))
	dec.DisallowUnknownFields()
	var typed events.APIGatewayV2HTTPRequest
	if err := dec.Decode(&typed); err != nil {
		t.Error(err)
	}
}

func TestBodiesAreTextOrBase64(t *testing.T) {
	for _, c := range []struct {
		rule, contentType, body string
		encoded                 bool
	}{
		{"json is text", "application/json", `{}`, false},
		{"json with parameters is text", "application/json; charset=utf-8", `{}`, false},
		{"any text type is text", "text/csv", `a,b`, false},
		{"xml is text", "application/xml", `<a/>`, false},
		{"script is text", "application/javascript", `1`, false},
		{"a form is not", "application/x-www-form-urlencoded", `a=b`, true},
		{"problem+json is not", "application/problem+json", `{}`, true},
		{"octets are not", "application/octet-stream", "abc", true},
		{"no type is not", "", "abc", true},
		{"invalid UTF-8 is not, whatever it says", "application/json", "{\"a\":\"\xff\"}", true},
	} {
		t.Run(c.rule, func(t *testing.T) {
			f := &fake{answer: `{"statusCode":200}`}
			r := request("POST", "/orders/801/fulfill", c.body)
			if c.contentType != "" {
				r.Header.Set("Content-Type", c.contentType)
			}
			serve(newGateway(t, f, nil), r)
			var e events.APIGatewayV2HTTPRequest
			if err := json.Unmarshal(f.event, &e); err != nil {
				t.Fatal(err)
			}
			got := e.Body
			if e.IsBase64Encoded {
				b, err := base64.StdEncoding.DecodeString(e.Body)
				if err != nil {
					t.Fatal(err)
				}
				got = string(b)
			}
			if e.IsBase64Encoded != c.encoded || got != c.body {
				t.Errorf("base64 %v, body %q", e.IsBase64Encoded, got)
			}
		})
	}
}

func TestNoBodyIsNoMember(t *testing.T) {
	f := &fake{answer: `{"statusCode":200}`}
	serve(newGateway(t, f, nil), request("GET", "/orders/801", ""))
	for _, member := range []string{`"body"`, `"cookies"`, `"queryStringParameters"`, `"authorizer"`} {
		if bytes.Contains(f.event, []byte(member)) {
			t.Errorf("event has %s: %s", member, f.event)
		}
	}
}

// The pairs come from captures of live HTTP APIs.
func TestPathsAreDecodedAsTheRealGatewayDoes(t *testing.T) {
	for sent, want := range map[string]string{
		"/orders/plain":             "/orders/plain",
		"/orders/space%20value":     "/orders/space value",
		"/orders/question%3Fvalue":  "/orders/question",
		"/orders/hash%23value":      "/orders/hash#value",
		"/orders/slash%2Fvalue":     "/orders/slash/value",
		"/orders/unicode-%CE%BB":    "/orders/unicode-λ",
		"/orders/literal%252Fvalue": "/orders/literal/value",
		"/orders/literal%253Fvalue": "/orders/literal?value",
		"/orders/literal%2525value": "/orders/literal%value",
	} {
		f := &fake{answer: `{"statusCode":200}`}
		serve(newGateway(t, f, nil), request("GET", sent, ""))
		var e events.APIGatewayV2HTTPRequest
		if err := json.Unmarshal(f.event, &e); err != nil || e.RawPath != want {
			t.Errorf("%s: rawPath %q, want %q (%v)", sent, e.RawPath, want, err)
		}
	}
	wantMessage(t, serve(newGateway(t, &fake{}, nil), request("GET", "/orders/percent%25done", "")), 400, "Bad Request")
}

func TestUnknownRoutesAre404(t *testing.T) {
	g := newGateway(t, &fake{answer: `{"statusCode":200}`}, nil)
	for _, c := range [][2]string{{"GET", "/"}, {"GET", "/orders"}, {"GET", "/orders/"}, {"POST", "/orders/801"}, {"GET", "/orders/801/fulfill"},
		{"DELETE", "/orders/801"}, {"HEAD", "/orders/801"}, {"POST", "/orders/801/fulfill/"}, {"POST", "/orders//fulfill"}, {"POST", "/ORDERS/801/fulfill"}, {"POST", "/orders/a/b/fulfill"}} {
		r := request(c[0], c[1], "")
		wantMessage(t, serve(g, r), 404, "Not Found")
	}
}

func TestRoutesByTheirRank(t *testing.T) {
	f := &fake{answer: `{"statusCode":200}`}
	g := newGateway(t, f, func(o *apigateway.Options) {
		for _, key := range []string{"GET /a/{x}", "GET /a/b", "PUT /a/{x}", "GET /{y}/b"} {
			o.Routes = append(o.Routes, samtemplate.Route{API: "CalloutApi", Key: key, Function: key, Timeout: time.Second})
		}
	})
	for sent, want := range map[string]string{"GET /a/b": "GET /a/b", "PUT /a/b": "PUT /a/{x}", "GET /a/c": "GET /a/{x}", "GET /z/b": "GET /{y}/b"} {
		method, path, _ := strings.Cut(sent, " ")
		serve(g, request(method, path, ""))
		if f.function != want {
			t.Errorf("%s went to %s, want %s", sent, f.function, want)
		}
	}
	for rule, routes := range map[string][]samtemplate.Route{
		"two equal routes": {{Key: "GET /a"}, {Key: "GET /a"}}, "a default route": {{Key: "$default"}}, "any method": {{Key: "ANY /a"}}, "the rest of a path": {{Key: "GET /a/{proxy+}"}},
	} {
		if _, err := apigateway.New(apigateway.Options{Routes: routes}); err == nil {
			t.Errorf("%s: accepted", rule)
		}
	}
}

func TestLimits(t *testing.T) {
	g := newGateway(t, &fake{answer: `{"statusCode":200}`}, nil)
	wantMessage(t, serve(g, request("POST", "/orders/801/fulfill", strings.Repeat("x", 10<<20+1))), 413, "Request Entity Too Large")
	if w := serve(g, request("POST", "/orders/801/fulfill", strings.Repeat("x", 10<<20))); w.Code != 200 {
		t.Errorf("10 MB: %d", w.Code)
	}
	wantMessage(t, serve(g, request("GET", "/orders/801", "", "X-Long", strings.Repeat("x", 10240))), 431, "Request Header Fields Too Large")
	if w := serve(g, request("GET", "/orders/801", "", "X-Long", strings.Repeat("x", 10000))); w.Code != 200 {
		t.Errorf("10,000 bytes of header: %d", w.Code)
	}
	wantMessage(t, serve(newGateway(t, &fake{err: lambda.ErrTooLarge}, nil), request("POST", "/orders/801/fulfill", "x")), 413, "Request Entity Too Large")
}

func TestWhatFunctionsAnswer(t *testing.T) {
	for _, c := range []struct {
		rule, answer string
		err          error
		status       int
		contentType  string
		body         string
	}{
		{"a response", `{"statusCode":202,"headers":{"Content-Type":"application/problem+json","Retry-After":"5"},"body":"{}"}`, nil, 202, "application/problem+json", "{}"},
		{"base64", `{"statusCode":200,"body":"aGk=","isBase64Encoded":true}`, nil, 200, "text/plain; charset=utf-8", "hi"},
		{"no status", `{"a":1}`, nil, 500, "application/json", `{"message":"Internal Server Error"}`},
		{"304 without a body", `{"statusCode":304,"headers":{"ETag":"\"1\""},"body":""}`, nil, 304, "", ""},
		{"garbage", `oops`, nil, 500, "application/json", `{"message":"Internal Server Error"}`},
		{"a status that is none", `{"statusCode":42}`, nil, 500, "application/json", `{"message":"Internal Server Error"}`},
		{"broken base64", `{"statusCode":200,"body":"%","isBase64Encoded":true}`, nil, 500, "application/json", `{"message":"Internal Server Error"}`},
		{"headers of the wrong type", `{"statusCode":200,"headers":{"a":[1]}}`, nil, 500, "application/json", `{"message":"Internal Server Error"}`},
		{"a failed function", ``, &lambda.Error{Type: "Runtime.ExitError"}, 500, "application/json", `{"message":"Internal Server Error"}`},
		{"a throttled function", ``, lambda.ErrThrottled, 503, "application/json", `{"message":"Service Unavailable"}`},
	} {
		t.Run(c.rule, func(t *testing.T) {
			w := serve(newGateway(t, &fake{answer: c.answer, err: c.err}, nil), request("POST", "/orders/801/fulfill", "{}"))
			if w.Code != c.status || w.Body.String() != c.body || w.Header().Get("Content-Type") != c.contentType {
				t.Errorf("%d %q %q", w.Code, w.Header().Get("Content-Type"), w.Body)
			}
		})
	}
	w := serve(newGateway(t, &fake{answer: `{"statusCode":200,"cookies":["a=1","b=2"]}`}, nil), request("GET", "/orders/801", ""))
	if c := w.Header().Values("Set-Cookie"); len(c) != 2 {
		t.Errorf("cookies %v", c)
	}
}

// slow answers only when its caller has gone.
type slow struct{}

func (slow) Invoke(ctx context.Context, _ string, _ []byte) ([]byte, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestIntegrationTimeOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		wantMessage(t, serve(newGateway(t, slow{}, nil), request("POST", "/orders/801/fulfill", "{}")), 503, "Service Unavailable")
		if d := time.Since(began); d != 30*time.Second {
			t.Errorf("gave up after %v, want 30 s", d)
		}
	})
}

func TestCORS(t *testing.T) {
	f := &fake{answer: `{"statusCode":200,"headers":{"Access-Control-Allow-Origin":"https://evil.example","ETag":"1"}}`}
	g := newGateway(t, f, nil)
	w := serve(g, request("OPTIONS", "/orders/801", "", "Origin", origin, "Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "authorization"))
	for name, want := range map[string]string{"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Methods": "GET", "Access-Control-Allow-Headers": "authorization,if-none-match", "Access-Control-Max-Age": "600"} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if w.Code != 204 || f.function != "" {
		t.Errorf("preflight: %d, function %q", w.Code, f.function)
	}
	w = serve(g, request("GET", "/orders/801", "", "Origin", origin))
	if w.Header().Get("Access-Control-Allow-Origin") != origin || w.Header().Get("Access-Control-Expose-Headers") != "etag,retry-after" {
		t.Errorf("headers %v", w.Header())
	}
	w = serve(g, request("GET", "/orders/801", "", "Origin", "https://other.example"))
	if got := w.Header().Get("Access-Control-Allow-Origin"); got != "" {
		t.Errorf("another origin is allowed: %q", got)
	}
	wantMessage(t, serve(g, request("OPTIONS", "/orders/801/fulfill", "", "Origin", origin)), 404, "Not Found") // this API has no CORS
}

func newKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestJWTAuthorizer(t *testing.T) {
	key, other := newKey(t), newKey(t)
	const issuer = "https://issuer.example"
	good := func() jwt.MapClaims {
		return jwt.MapClaims{"iss": issuer, "aud": "portal", "sub": "user", "iat": now.Add(-time.Minute).Unix(), "exp": now.Add(time.Hour).Unix(),
			"sf_account_id": "001x", "groups": []string{"a", "b"}, "admin": true}
	}
	gate := func(f *fake, scopes ...string) *apigateway.Gateway {
		return newGateway(t, f, func(o *apigateway.Options) {
			o.Routes[1].JWT = &samtemplate.JWT{Issuer: issuer, Audience: []string{"portal"}, Scopes: scopes, IdentitySource: "$request.header.Authorization"}
			o.Key = func(iss, id string) *rsa.PublicKey {
				if iss == issuer && id == "k1" {
					return &key.PublicKey
				}
				return nil
			}
		})
	}
	sign := func(method jwt.SigningMethod, k any, id string, claims jwt.MapClaims) string {
		tok := jwt.NewWithClaims(method, claims)
		if id != "" {
			tok.Header["kid"] = id
		}
		s, err := tok.SignedString(k)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	with := func(name string, v any) jwt.MapClaims {
		c := good()
		if v == nil {
			delete(c, name)
		} else {
			c[name] = v
		}
		return c
	}
	valid := sign(jwt.SigningMethodRS256, key, "k1", good())
	for rule, header := range map[string]string{
		"no token":                   "",
		"garbage":                    "Bearer x.y.z",
		"signed by another key":      "Bearer " + sign(jwt.SigningMethodRS256, other, "k1", good()),
		"unknown key id":             "Bearer " + sign(jwt.SigningMethodRS256, key, "k2", good()),
		"no key id":                  "Bearer " + sign(jwt.SigningMethodRS256, key, "", good()),
		"HMAC with the public key":   "Bearer " + sign(jwt.SigningMethodHS256, key.PublicKey.N.Bytes(), "k1", good()),
		"no signature":               "Bearer " + sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, "k1", good()),
		"expired":                    "Bearer " + sign(jwt.SigningMethodRS256, key, "k1", with("exp", now.Add(-time.Second).Unix())),
		"no expiry":                  "Bearer " + sign(jwt.SigningMethodRS256, key, "k1", with("exp", nil)),
		"not yet valid":              "Bearer " + sign(jwt.SigningMethodRS256, key, "k1", with("nbf", now.Add(time.Minute).Unix())),
		"issued in the future":       "Bearer " + sign(jwt.SigningMethodRS256, key, "k1", with("iat", now.Add(time.Minute).Unix())),
		"another issuer":             "Bearer " + sign(jwt.SigningMethodRS256, key, "k1", with("iss", "https://evil.example")),
		"another audience":           "Bearer " + sign(jwt.SigningMethodRS256, key, "k1", with("aud", "other")),
		"no audience":                "Bearer " + sign(jwt.SigningMethodRS256, key, "k1", with("aud", nil)),
		"payload changed afterwards": "Bearer " + strings.Split(valid, ".")[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"https://issuer.example"}`)) + "." + strings.Split(valid, ".")[2],
	} {
		t.Run(rule, func(t *testing.T) {
			f := &fake{answer: `{"statusCode":200}`}
			r := request("GET", "/orders/801", "")
			if header != "" {
				r.Header.Set("Authorization", header)
			}
			w := serve(gate(f), r)
			wantMessage(t, w, 401, "Unauthorized")
			if !strings.HasPrefix(w.Header().Get("Www-Authenticate"), "Bearer") || f.event != nil {
				t.Errorf("challenge %q, function ran: %v", w.Header().Get("Www-Authenticate"), f.event != nil)
			}
		})
	}
	for _, header := range []string{"Bearer " + valid, "bearer " + valid, valid} {
		f := &fake{answer: `{"statusCode":200}`}
		if w := serve(gate(f), request("GET", "/orders/801", "", "Authorization", header)); w.Code != 200 {
			t.Errorf("%.20s…: %d %s", header, w.Code, w.Body)
			continue
		}
		var e events.APIGatewayV2HTTPRequest
		if err := json.Unmarshal(f.event, &e); err != nil {
			t.Fatal(err)
		}
		a := e.RequestContext.Authorizer.JWT
		if a.Claims["sf_account_id"] != "001x" || a.Claims["groups"] != "[a b]" || a.Claims["admin"] != "true" || a.Claims["exp"] != fmt.Sprint(now.Add(time.Hour).Unix()) || a.Scopes != nil {
			t.Errorf("authorizer %+v", a)
		}
	}
	wantMessage(t, serve(gate(&fake{}, "orders.read"), request("GET", "/orders/801", "", "Authorization", "Bearer "+valid)), 403, "Forbidden")
	for _, claims := range []jwt.MapClaims{with("scope", "x orders.read"), with("scp", "x orders.read"), with("scope", []string{"x", "orders.read"}), with("scp", []string{"orders.read"})} {
		scoped := sign(jwt.SigningMethodRS256, key, "k1", claims)
		if w := serve(gate(&fake{answer: `{"statusCode":200}`}, "orders.read"), request("GET", "/orders/801", "", "Authorization", "Bearer "+scoped)); w.Code != 200 {
			t.Errorf("one of the scopes: %d, scope %v, scp %v", w.Code, claims["scope"], claims["scp"])
		}
	}
}

func TestIAMRoutesTakeOnlyTheirOwnSignature(t *testing.T) {
	f := &fake{answer: `{"statusCode":200}`}
	g := newGateway(t, f, func(o *apigateway.Options) { o.Routes[0].IAM, o.Routes[1].IAM = true, true })
	signed := func(method, target, body, access, secret, service, region string, at time.Time) *http.Request {
		r := request(method, target, body, "Content-Type", "application/json")
		r.URL.Host, r.URL.Scheme = r.Host, "http"
		sum := sha256.Sum256([]byte(body))
		creds := aws.Credentials{AccessKeyID: access, SecretAccessKey: secret}
		if err := v4.NewSigner().SignHTTP(context.Background(), creds, r, hex.EncodeToString(sum[:]), service, region, at); err != nil {
			t.Fatal(err)
		}
		return r
	}
	for _, target := range []string{"/orders/801", "/orders/801%20x?b=2&a=1"} {
		if w := serve(g, signed("GET", target, "", "local", "local", "execute-api", "us-east-1", now)); w.Code != 200 {
			t.Errorf("%s: %d %s", target, w.Code, w.Body)
		}
	}
	if w := serve(g, signed("POST", "/orders/801/fulfill", `{"a":1}`, "local", "local", "execute-api", "us-east-1", now)); w.Code != 200 {
		t.Errorf("post: %d %s", w.Code, w.Body)
	}
	var e events.APIGatewayV2HTTPRequest
	if err := json.Unmarshal(f.event, &e); err != nil || e.RequestContext.Authorizer.IAM.AccessKey != "local" {
		t.Errorf("authorizer %+v, %v", e.RequestContext.Authorizer, err)
	}
	changed := func(r *http.Request, do func(*http.Request)) *http.Request { do(r); return r }
	fresh := func() *http.Request {
		return signed("GET", "/orders/801", "", "local", "local", "execute-api", "us-east-1", now)
	}
	for rule, r := range map[string]*http.Request{
		"no signature":       request("GET", "/orders/801", ""),
		"a bearer token":     request("GET", "/orders/801", "", "Authorization", "Bearer x"),
		"another key":        signed("GET", "/orders/801", "", "other", "local", "execute-api", "us-east-1", now),
		"another secret":     signed("GET", "/orders/801", "", "local", "other", "execute-api", "us-east-1", now),
		"another service":    signed("GET", "/orders/801", "", "local", "local", "s3", "us-east-1", now),
		"another region":     signed("GET", "/orders/801", "", "local", "local", "execute-api", "eu-west-1", now),
		"too old":            signed("GET", "/orders/801", "", "local", "local", "execute-api", "us-east-1", now.Add(-6*time.Minute)),
		"another path":       changed(fresh(), func(r *http.Request) { r.URL.Path = "/orders/802" }),
		"another query":      changed(fresh(), func(r *http.Request) { r.URL.RawQuery = "a=1" }),
		"another body":       changed(signed("POST", "/orders/801/fulfill", `{"a":1}`, "local", "local", "execute-api", "us-east-1", now), func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(`{"a":2}`)) }),
		"a header changed":   changed(signed("POST", "/orders/801/fulfill", `{}`, "local", "local", "execute-api", "us-east-1", now), func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }),
		"a broken signature": changed(fresh(), func(r *http.Request) { r.Header.Set("Authorization", r.Header.Get("Authorization")[:100]) }),
	} {
		t.Run(rule, func(t *testing.T) { wantMessage(t, serve(g, r), 403, "Forbidden") })
	}
}

func TestEveryAnswerIsWatched(t *testing.T) {
	f := &fake{answer: `{"statusCode":202}`}
	var seen []apigateway.Answer
	h := newGateway(t, f, nil).Watch(func(a apigateway.Answer) { seen = append(seen, a) })
	for _, r := range []*http.Request{
		httptest.NewRequest("POST", "/orders/801/fulfill", strings.NewReader("{}")), httptest.NewRequest("DELETE", "/orders/801/fulfill", nil), httptest.NewRequest("GET", "/nothing", nil),
	} {
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	want := []apigateway.Answer{
		{API: "CalloutApi", Route: "POST /orders/{sfOrderId}/fulfill", Status: 202}, {API: "CalloutApi", Status: 404}, {Status: 404},
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Error(diff)
	}
}

// onePipe is a listener of one connection in memory.
type onePipe struct {
	conns chan net.Conn
	end   chan struct{}
}

func (l onePipe) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.end:
		return nil, net.ErrClosed
	}
}
func (l onePipe) Close() error   { close(l.end); return nil }
func (l onePipe) Addr() net.Addr { return &net.TCPAddr{} }

// A body that never ends does not hold its connection for ever.
func TestABodyHasHalfAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: `{"statusCode":200}`}
		here, there := net.Pipe()
		l := onePipe{make(chan net.Conn, 1), make(chan struct{})}
		l.conns <- there
		srv := &http.Server{Handler: newGateway(t, f, nil), ReadHeaderTimeout: time.Minute}
		done := make(chan struct{})
		go func() { defer close(done); _ = srv.Serve(l) }()
		began := time.Now()
		if _, err := io.WriteString(here, "POST /orders/801/fulfill HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345"); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(bufio.NewReader(here), nil)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != http.StatusRequestTimeout || time.Since(began) != 30*time.Second || f.event != nil {
			t.Errorf("answered %d after %v, invoked with %s", res.StatusCode, time.Since(began), f.event)
		}
		_ = here.Close()
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
		<-done
	})
}
