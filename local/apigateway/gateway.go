package apigateway

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"orderbridge/local/lambda"
	"orderbridge/local/samtemplate"
)

const (
	// maxBody is the largest request body, in bytes (HTTP API quotas).
	maxBody = 10 << 20
	// maxHead is the most that request line and headers may have, in bytes
	// (HTTP API quotas).
	maxHead = 10240
)

// Invoker runs a function, by its short name, with the errors of lambda.Host.
type Invoker interface {
	Invoke(ctx context.Context, function string, event []byte) ([]byte, error)
}

// Options are what a Gateway serves and needs.
type Options struct {
	APIs    []samtemplate.API
	Routes  []samtemplate.Route
	Invoker Invoker

	Region, Account string
	// Key returns the public key of an issuer by its id, or nil.
	Key func(issuer, id string) *rsa.PublicKey
	// AccessKey and SecretKey are the credentials that may sign for routes
	// with IAM authorization.
	AccessKey, SecretKey string

	Now  func() time.Time                 // nil = time.Now
	Logf func(format string, args ...any) // nil = nothing is logged
}

// Gateway is the http.Handler of all APIs.
type Gateway struct {
	opts   Options
	routes []route
	cors   map[string]*samtemplate.CORS
}

type route struct {
	samtemplate.Route
	method   string
	segments []string
	bucket   *bucket
}

// New checks the routes: two APIs share one address here, so no two routes may
// be the same.
func New(opts Options) (*Gateway, error) {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Logf == nil {
		opts.Logf = func(string, ...any) {}
	}
	g := &Gateway{opts: opts, cors: map[string]*samtemplate.CORS{}}
	limits := map[string]samtemplate.Throttle{}
	for _, a := range opts.APIs {
		g.cors[a.ID], limits[a.ID] = a.CORS, a.Throttle
	}
	seen := map[string]bool{}
	for _, r := range opts.Routes {
		if seen[r.Key] {
			return nil, fmt.Errorf("serve routes: %s is there twice", r.Key)
		}
		seen[r.Key] = true
		method, path, ok := strings.Cut(r.Key, " ")
		if !ok || method == "ANY" || !strings.HasPrefix(path, "/") || strings.Contains(path, "+}") {
			return nil, fmt.Errorf("serve routes: %q is not supported: a method and a path of texts and {names} is", r.Key)
		}
		if r.JWT != nil && opts.Key == nil {
			return nil, fmt.Errorf("serve routes: %s wants tokens, and there is no issuer", r.Key)
		}
		limit := cmp.Or(r.Throttle, limits[r.API])
		g.routes = append(g.routes, route{Route: r, method: method, segments: strings.Split(path[1:], "/"), bucket: newBucket(limit, opts.Now())})
	}
	return g, nil
}

// match tells whether a path fits, and how many of its segments by text.
func (rt *route) match(segments []string) (params map[string]string, exact int, ok bool) {
	if len(segments) != len(rt.segments) {
		return nil, 0, false
	}
	params = map[string]string{}
	for i, want := range rt.segments {
		name, isParam := strings.CutPrefix(want, "{")
		switch {
		case isParam && segments[i] != "":
			params[strings.TrimSuffix(name, "}")] = unescapePath(segments[i])
		case !isParam && unescapePath(segments[i]) == want:
			exact++
		default:
			return nil, 0, false
		}
	}
	return params, exact, true
}

func unescapePath(s string) string {
	if d, err := url.PathUnescape(s); err == nil {
		return d
	}
	return s
}

// find returns the route for a request, the one with most texts first, and,
// when only the method does not fit, the API whose path it is.
func (g *Gateway) find(method, escapedPath string) (rt *route, params map[string]string, api string) {
	best := -1
	segments := strings.Split(strings.TrimPrefix(escapedPath, "/"), "/")
	for i := range g.routes {
		r := &g.routes[i]
		p, exact, ok := r.match(segments)
		if !ok {
			continue
		}
		if r.method == method && exact > best {
			rt, params, best, api = r, p, exact, r.API
		} else if rt == nil {
			api = r.API
		}
	}
	return rt, params, api
}

// bodyTime is how long a body may take: that of the integration, as a caller that
// drips one byte a minute would otherwise hold a connection for ever.
const bodyTime = 30 * time.Second

// readBody reads the whole body within bodyTime. The deadline ends with it: the
// answer may take longer.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	connection := http.NewResponseController(w)
	_ = connection.SetReadDeadline(time.Now().Add(bodyTime)) // a writer without a connection has none
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err == nil {
		_ = connection.SetReadDeadline(time.Time{})
	}
	return body, err
}

func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	requestID := newRequestID()
	w.Header().Set("Apigw-Requestid", requestID)
	if headSize(r) > maxHead {
		message(w, http.StatusRequestHeaderFieldsTooLarge, "Request Header Fields Too Large")
		return
	}
	escaped := r.URL.EscapedPath()
	path, ok := decodePath(escaped)
	if !ok {
		message(w, http.StatusBadRequest, "Bad Request")
		return
	}
	rt, params, api := g.find(r.Method, escaped)
	if cors := g.cors[api]; cors != nil && g.crossOrigin(w, r, cors, rt) {
		return
	}
	if rt == nil {
		message(w, http.StatusNotFound, "Not Found")
		return
	}
	if !rt.bucket.take(g.opts.Now()) {
		message(w, http.StatusTooManyRequests, "Too Many Requests")
		return
	}
	body, err := readBody(w, r)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		message(w, http.StatusRequestEntityTooLarge, "Request Entity Too Large")
		return
	case errors.Is(err, os.ErrDeadlineExceeded):
		message(w, http.StatusRequestTimeout, "Request Time-out")
		return
	case err != nil:
		message(w, http.StatusBadRequest, "Bad Request")
		return
	}
	e := newEvent(r, path, body, g.opts.Now(), requestID)
	e.RouteKey, e.RequestContext.RouteKey = rt.Key, rt.Key
	e.RequestContext.AccountID = g.opts.Account
	e.RequestContext.APIID = strings.ToLower(rt.API)
	if len(params) > 0 {
		e.PathParameters = params
	}
	switch {
	case rt.JWT != nil:
		j, refusal := g.checkToken(r, rt.JWT)
		if refusal != nil {
			refusal.write(w)
			return
		}
		e.RequestContext.Authorizer = &authorized{JWT: j}
	case rt.IAM:
		if !g.checkSignature(r, body) {
			message(w, http.StatusForbidden, "Forbidden")
			return
		}
		e.RequestContext.Authorizer = &authorized{IAM: &iamContext{
			AccessKey: g.opts.AccessKey, AccountID: g.opts.Account, CallerID: g.opts.AccessKey, UserID: g.opts.AccessKey,
			UserARN: fmt.Sprintf("arn:aws:iam::%s:user/local", g.opts.Account),
		}}
	}
	g.invoke(w, r, rt, e)
}

func (g *Gateway) invoke(w http.ResponseWriter, r *http.Request, rt *route, e event) {
	payload, err := json.Marshal(e)
	if err != nil {
		message(w, http.StatusInternalServerError, "Internal Server Error")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), rt.Timeout)
	defer cancel()
	result, err := g.opts.Invoker.Invoke(ctx, rt.Function, payload)
	var failed *lambda.Error
	switch {
	case errors.Is(err, lambda.ErrTooLarge):
		message(w, http.StatusRequestEntityTooLarge, "Request Entity Too Large")
		return
	case errors.As(err, &failed):
		message(w, http.StatusInternalServerError, "Internal Server Error")
		return
	case err != nil: // a throttle, the time-out here, or a host that is closing
		g.opts.Logf("gateway | %s %s: %v", r.Method, r.URL.Path, err)
		message(w, http.StatusServiceUnavailable, "Service Unavailable")
		return
	}
	a, err := readAnswer(result)
	if err != nil {
		g.opts.Logf("gateway | %s %s: %v", r.Method, r.URL.Path, err)
		message(w, http.StatusInternalServerError, "Internal Server Error")
		return
	}
	h := w.Header()
	for k, v := range a.headers {
		// The gateway's own CORS headers replace those of an integration.
		if g.cors[rt.API] != nil && strings.HasPrefix(k, "access-control-") {
			continue
		}
		switch k {
		case "content-length", "transfer-encoding", "connection", "apigw-requestid":
			continue
		}
		h.Set(k, v)
	}
	for _, c := range a.cookies {
		h.Add("Set-Cookie", c)
	}
	w.WriteHeader(a.status)
	if a.status != http.StatusNoContent && a.status != http.StatusNotModified {
		_, _ = w.Write(a.body) // a client that went away is no error
	}
}

// crossOrigin adds the CORS headers; it answers a preflight itself, and says so.
// (API Gateway Developer Guide, "Configure CORS for HTTP APIs".)
func (g *Gateway) crossOrigin(w http.ResponseWriter, r *http.Request, c *samtemplate.CORS, rt *route) (answered bool) {
	origin := r.Header.Get("Origin")
	preflight := r.Method == http.MethodOptions && rt == nil
	allowed := origin != "" && (slices.Contains(c.Origins, origin) || slices.Contains(c.Origins, "*"))
	if allowed {
		h := w.Header()
		if slices.Contains(c.Origins, "*") {
			h.Set("Access-Control-Allow-Origin", "*")
		} else {
			h.Set("Access-Control-Allow-Origin", origin)
			h.Add("Vary", "Origin")
		}
		if preflight {
			setList(h, "Access-Control-Allow-Methods", c.Methods)
			setList(h, "Access-Control-Allow-Headers", c.Headers)
			if c.MaxAge > 0 {
				h.Set("Access-Control-Max-Age", fmt.Sprint(c.MaxAge))
			}
		} else {
			setList(h, "Access-Control-Expose-Headers", c.Expose)
		}
	}
	if preflight {
		w.WriteHeader(http.StatusNoContent)
	}
	return preflight
}

func setList(h http.Header, name string, values []string) {
	if len(values) > 0 {
		h.Set(name, strings.ToLower(strings.Join(values, ",")))
		if strings.HasSuffix(name, "Methods") {
			h.Set(name, strings.Join(values, ","))
		}
	}
}

// headSize counts the request line and the headers as they were sent.
func headSize(r *http.Request) int {
	n := len(r.Method) + 1 + len(r.RequestURI) + 1 + len(r.Proto) + 2
	n += len("host: ") + len(r.Host) + 2
	for name, values := range r.Header {
		for _, v := range values {
			n += len(name) + 2 + len(v) + 2
		}
	}
	return n
}

// message is how the gateway answers by itself.
func message(w http.ResponseWriter, status int, text string) {
	body := fmt.Sprintf(`{"message":%q}`, text)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

func newRequestID() string {
	b := make([]byte, 10)
	rand.Read(b)
	return base64.URLEncoding.EncodeToString(b)
}

func hexID(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return hex.EncodeToString(b)
}
