package salesforcetest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"orderbridge/shared/order"
)

const (
	maxVendorBody = 8 << 20
	// maxURI: "the combined length of the URI and headers cannot exceed 16,384
	// bytes" (REST API Developer Guide, Status Codes and Error Responses, 414
	// and 431); the headers are left out of the sum here.
	maxURI = 16384
	// holdLimit ends a held call whose client never goes away.
	holdLimit = 10 * time.Minute
)

// job is one understood vendor call.
type job struct {
	action   string
	params   map[string]any
	subjects map[string]bool // what a fault's Match is compared with
	// run does the work under s.mu. f is a row fault to apply, or nil.
	run func(f *Fault) reply
}

type reply struct {
	status int
	body   []byte
	effect string
	bare   bool // without the header of the API limit
}

// apiError is the vendor's error body: an array of these.
type apiError struct {
	Message   string   `json:"message"`
	ErrorCode string   `json:"errorCode"`
	Fields    []string `json:"fields,omitempty"`
}

func failed(status int, code, message string, fields ...string) reply {
	return jsonReply(status, []apiError{{message, code, fields}}, "refused: "+code)
}

func jsonReply(status int, v any, effect string) reply {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return reply{status: 500, body: []byte(err.Error()), effect: "error"}
	}
	return reply{status: status, body: bytes.TrimRight(b.Bytes(), "\n"), effect: effect}
}

var (
	notFound       = failed(404, "NOT_FOUND", "The requested resource does not exist")
	sessionInvalid = bare(failed(401, "INVALID_SESSION_ID", "Session expired or invalid"))
	headerMissing  = bare(failed(401, "INVALID_AUTH_HEADER", "INVALID_HEADER_TYPE"))
	limitExceeded  = failed(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")

	// faultReply holds the answers of the faults that keep a call from its work.
	faultReply = map[string]reply{
		"http-500":        {status: 500, effect: "none", body: failed(500, "UNKNOWN_EXCEPTION", "An unexpected error occurred. Please include this ErrorId if you contact support: 1732435200-1234 (1234567890)").body},
		"html-503":        {status: 503, effect: "none", bare: true, body: []byte("<!DOCTYPE html><html><head><title>Service Unavailable</title></head><body><h1>We're down for maintenance.</h1></body></html>")},
		"blank-200":       {status: 200, effect: "none", bare: true},
		"session-expired": sessionInvalid,
		"limit-exceeded":  limitExceeded,

		"page-401":        {status: 401, effect: "none", bare: true, body: []byte("<html><head><title>Login</title></head></html>")},
		"page-403":        {status: 403, effect: "none", bare: true, body: []byte("<html><head><title>Blocked by proxy</title></head></html>")},
		"moved":           {status: 301, effect: "none", bare: true},
		"bad-oauth-token": {status: 403, effect: "none", bare: true, body: []byte("Bad_OAuth_Token")},
		"url-not-reset":   {status: 404, effect: "none", bare: true, body: []byte("URL No Longer Exists: Destination URL not reset. The URL returned from login must be set")},
		"column-missing":  failed(400, "INVALID_FIELD", "\nSELECT Id\n       ^\nERROR at Row:1:Column:8\nNo such column 'WHMCS_Client_ID__c' on entity 'Account'. If you are attempting to use a custom field, be sure to append the '__c' after the custom field name."),
		"version-unknown": failed(404, "NOT_FOUND", "The requested resource does not exist"),
		"version-retired": failed(410, "GONE", "The requested API version is no longer available"),
		"login-rate":      oauthError(400, "invalid_grant", "login rate exceeded"),
		"no-run-as-user":  oauthError(400, "invalid_grant", "no client credentials user enabled"),
		"other-domain":    oauthError(400, "invalid_grant", "request not supported on this domain"),
		"app-blocked":     oauthError(400, "OAUTH_APP_BLOCKED", "this app is blocked by admin"),
	}
)

func bare(out reply) reply {
	out.bare = true
	return out
}

func (s *Sim) vendor(w http.ResponseWriter, r *http.Request) {
	arrived := s.opt.Now()
	body, err := io.ReadAll(io.LimitReader(r.Body, maxVendorBody+1))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if len(r.RequestURI) > maxURI {
		w.WriteHeader(http.StatusRequestURITooLong)
		return
	}
	if len(body) > maxVendorBody {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	var j job
	if r.URL.Path == "/services/oauth2/token" {
		j = s.tokenJob(r, body)
	} else {
		j = s.dataJob(r, body)
		if out, refused := s.admit(r); refused {
			s.effect(s.note(arrived, j, nil), out.effect)
			s.write(w, out)
			return
		}
	}

	f := s.take(j.action, j.subjects)
	call := s.note(arrived, j, f)
	if s.opt.Saw != nil {
		defer func() {
			s.mu.Lock()
			done := *call
			s.mu.Unlock()
			s.opt.Saw(done, j.subjects)
		}()
	}
	name := ""
	if f != nil {
		name = f.Fault
		s.hold(r.Context(), f, arrived)
	}
	if name == "drop-before" {
		s.effect(call, "none")
		panic(http.ErrAbortHandler)
	}
	s.mu.Lock()
	out, answered := faultReply[name]
	if !answered {
		out = j.run(f)
	}
	if name == "session-expired" {
		delete(s.sessions, bearer(r))
	}
	call.Effect = out.effect
	s.mu.Unlock()
	if name == "commit-then-drop" {
		panic(http.ErrAbortHandler)
	}
	s.write(w, out)
}

// hold waits as the fault says. A call that commits after its client's
// time-out is held until the delay is over, or, without one, until the client
// has gone.
func (s *Sim) hold(ctx context.Context, f *Fault, arrived time.Time) {
	wait := f.Delay - s.opt.Now().Sub(arrived)
	gone := ctx.Done()
	switch {
	case f.Fault == "commit-after-timeout" && f.Delay > 0:
		gone = nil
	case f.Fault == "commit-after-timeout":
		wait = holdLimit
	case f.Fault == "slow" && f.Delay == 0:
		wait = time.Second
	}
	if wait <= 0 {
		return
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
	case <-gone:
	}
}

func (s *Sim) note(at time.Time, j job, f *Fault) *Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &Call{At: at, Action: j.action, Params: j.params, Effect: "pending"}
	if f != nil {
		c.Fault = f.Fault
	}
	s.journal = append(s.journal, c)
	return c
}

func (s *Sim) effect(c *Call, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.Effect = text
}

// bearer returns the token of a call, "" where it has none.
func bearer(r *http.Request) string {
	kind, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(kind, "Bearer") && !strings.EqualFold(kind, "OAuth") {
		return ""
	}
	return strings.TrimSpace(token)
}

// admit takes one call of the data API from the limit, or refuses it.
func (s *Sim) admit(r *http.Request) (reply, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	token := bearer(r)
	if token == "" {
		return headerMissing, true
	}
	issued, ok := s.sessions[token]
	if !ok || s.opt.SessionLife > 0 && s.opt.Now().Sub(issued) >= s.opt.SessionLife {
		return sessionInvalid, true
	}
	s.calls++
	if s.used >= s.limit {
		return limitExceeded, true
	}
	s.used++
	return reply{}, false
}

func (s *Sim) write(w http.ResponseWriter, out reply) {
	if !out.bare {
		s.mu.Lock()
		w.Header().Set("Sforce-Limit-Info", fmt.Sprintf("api-usage=%d/%d", s.used, s.limit))
		s.mu.Unlock()
	}
	if len(out.body) > 0 {
		w.Header().Set("Content-Type", "application/json;charset=UTF-8")
		if out.body[0] == '<' {
			w.Header().Set("Content-Type", "text/html; charset=UTF-8")
		}
	}
	if out.status == http.StatusMovedPermanently {
		w.Header().Set("Location", "https://moved.my.salesforce.com/")
	}
	w.WriteHeader(out.status)
	_, _ = w.Write(out.body) // the client may be gone
}

const (
	firstVersion = 31
	lastVersion  = 67
)

var versionPath = regexp.MustCompile(`^/services/data/v([0-9]{2})\.0(/.*)?$`)

// refuseCall is a call that is not understood: a query that answers the vendor's
// refusal, so that it is journalled too.
func refuseCall(path string, out reply) job {
	return job{action: actionQuery, params: map[string]any{"path": path}, run: func(*Fault) reply { return out }}
}

// dataJob understands one call of the data API.
func (s *Sim) dataJob(r *http.Request, body []byte) job {
	m := versionPath.FindStringSubmatch(r.URL.Path)
	if m == nil || m[1] < fmt.Sprint(firstVersion) || m[1] > fmt.Sprint(lastVersion) {
		return refuseCall(r.URL.Path, notFound)
	}
	return s.resource(r.Method, "/services/data/v"+m[1]+".0", strings.Trim(m[2], "/"), r.URL.Query(), body)
}

func (s *Sim) resource(method, base, rest string, params url.Values, body []byte) job {
	part := strings.Split(rest, "/")
	allowed := ""
	read := func(what map[string]any, run func() reply) job {
		return job{action: actionQuery, params: what, run: func(f *Fault) reply {
			if f != nil && f.Fault == "role-denied" {
				return failed(403, "INSUFFICIENT_ACCESS", "insufficient access rights on resource")
			}
			return run()
		}}
	}
	switch {
	case part[0] == "query":
		switch allowed = "GET"; {
		case method != allowed:
		case len(part) == 2:
			return s.moreJob(base, part[1])
		default:
			return s.queryJob(base, params.Get("q"))
		}
	case rest == "tooling/query":
		if allowed = "GET"; method == allowed {
			return read(map[string]any{"tooling": params.Get("q")}, func() reply { return s.rules(params.Get("q")) })
		}
	case rest == "composite/sobjects":
		if allowed = "PATCH"; method == allowed {
			return s.collectionJob(body)
		}
	case rest == "composite":
		if allowed = "POST"; method == allowed {
			return s.compositeJob(base, body)
		}
	case part[0] == "sobjects" && len(part) == 3 && part[2] == "describe":
		if allowed = "GET"; method == allowed {
			return read(map[string]any{"describe": part[1]}, func() reply { return s.describe(part[1]) })
		}
	case part[0] == "sobjects" && len(part) == 3:
		switch allowed = "GET,PATCH"; method {
		case "GET":
			return read(map[string]any{"type": part[1], "id": long(part[2])}, func() reply { return s.retrieve(base, part[1], part[2]) })
		case "PATCH":
			return s.singleJob(part[1], part[2], body)
		}
	default:
		return refuseCall(rest, notFound)
	}
	return refuseCall(rest, failed(405, "METHOD_NOT_ALLOWED", fmt.Sprintf("HTTP Method '%s' not allowed. Allowed are %s", method, allowed)))
}

// long brings an id to 18 characters where it is one.
func long(id string) string {
	if full, ok := order.To18(id); ok {
		return full
	}
	return id
}

func (s *Sim) describe(name string) reply {
	o, ok := s.schema[strings.ToLower(name)]
	if !ok {
		return notFound
	}
	fields := []map[string]any{}
	for _, low := range o.order {
		if f, ok := o.visible(low); ok {
			fields = append(fields, map[string]any{
				"name": f.name, "label": f.label(), "type": f.kind, "length": f.length, "precision": f.digits,
				"custom": strings.HasSuffix(f.name, "__c"), "updateable": f.writable && f.access == AccessEdit, "filterable": f.kind != kindTextArea,
			})
		}
	}
	return jsonReply(200, map[string]any{"name": o.name, "label": o.label, "keyPrefix": o.prefix, "queryable": true, "updateable": true, "fields": fields}, "described "+o.name)
}

// rules answers the one query of the Tooling API that is understood: the
// messages of the active validation rules of Order.
func (s *Sim) rules(q string) reply {
	if !strings.HasPrefix(q, "SELECT ErrorMessage FROM ValidationRule WHERE ") {
		return failed(400, "MALFORMED_QUERY", "this simulator knows one query of the Tooling API")
	}
	rows := []map[string]any{}
	if !s.opt.NoRule {
		rows = append(rows, map[string]any{"attributes": map[string]any{"type": "ValidationRule"}, "ErrorMessage": "A newer status is already here. [OB-STALE]"})
	}
	return jsonReply(200, map[string]any{"size": len(rows), "totalSize": len(rows), "done": true, "records": rows}, "rules shown")
}

// find returns the order or order product that a resource names, or its refusal.
func (s *Sim) find(objectName, id string) (*object, *record, *reply) {
	o, ok := s.schema[strings.ToLower(objectName)]
	out := notFound
	full := long(id)
	switch {
	case !ok:
	case !strings.HasPrefix(full, o.prefix) || len(full) != 18:
		out = failed(404, "NOT_FOUND", "Provided external ID field does not exist or is not accessible: "+id)
	case s.deleted[full]:
		out = failed(404, "ENTITY_IS_DELETED", "entity is deleted")
	default:
		if rec, there := s.record(o, full); there {
			return o, rec, nil
		}
	}
	return nil, nil, &out
}

func (s *Sim) retrieve(base, objectName, id string) reply {
	o, rec, bad := s.find(objectName, id)
	if bad != nil {
		return *bad
	}
	out := pairs{{"attributes", attributes(base, o.name, rec.id)}}
	for _, low := range o.order {
		if f, ok := o.visible(low); ok {
			out = append(out, pair{f.name, render(f, rec.fields[f.name])})
		}
	}
	return jsonReply(200, out, "1 row")
}
