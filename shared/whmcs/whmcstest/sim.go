package whmcstest

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Options of a simulator. The zero value is a healthy WHMCS that takes any
// credential.
type Options struct {
	// Identifier and Secret are the one API credential; empty = any that is
	// not empty.
	Identifier, Secret string
	// AccessKey, when a call carries it, stands for an allowed address.
	AccessKey string
	Switches  Switches
	// Fail is told when one Salesforce order gets a second live WHMCS order or
	// a module runs twice for a service: (*testing.T).Errorf, or a log. It must
	// not call the simulator.
	Fail func(format string, args ...any)
	// Saw is told of each call once it has been answered, or its connection cut,
	// with what a fault's match may name to fit it: the Salesforce order id, the
	// WHMCS order id and the client id. nil = nobody is told.
	Saw func(c Call, about map[string]bool)
	// Now and After replace the clock; nil = the time package (which follows
	// the virtual time of testing/synctest by itself).
	Now   func() time.Time
	After func(time.Duration) <-chan time.Time
}

// Call is one entry of the journal.
type Call struct {
	At     time.Time         `json:"at"`
	Action string            `json:"action"` // as the vendor spells it; as sent, when there is none
	Params map[string]string `json:"params"` // without credentials
	Fault  string            `json:"fault,omitempty"`
	Effect string            `json:"effect"` // what was done to the books; "" = nothing (yet)
}

// Fault is a fault that waits for a call.
type Fault struct {
	Action  string        // a WHMCS action, in any case
	Fault   string        // one of FaultNames
	Times   int           // how many calls it applies to; 0 = 1
	Delay   time.Duration // from the arrival of the call
	Match   string        // Salesforce order id, WHMCS order id or client id; "" fits every call
	Bytes   int           // drop-after-bytes: so many bytes of the body are sent
	Message string        // error-text, module-fail-…: WHMCS's or the module's text; forbidden-ip: the address
	Status  int           // error-text: the HTTP status; 0 = 200
}

// FaultNames returns the names that Fault takes. Nothing is committed by:
//
//	drop-before        the connection is closed without an answer
//	reset              the same with a TCP reset
//	hold               no answer until the caller goes away
//	http-500           an empty 500
//	http-403, http-502, http-504, http-429   a proxy's page
//	html-503           WHMCS's maintenance page
//	blank-200          an empty 200 (PHP died)
//	warning-only       a 200 with nothing but a warning
//	garbage-200        a 200 with a page of HTML
//	license-200        a 200 with WHMCS's license page
//	waf-403            a firewall's page
//	ip-banned          403 with a text that is none of the documented ones
//	forbidden-ip, bad-credentials, role-denied   403 with WHMCS's text
//	error-text         result=error with Message, under Status
//	redirect-307, redirect-308   to the same address
//
// Committed, as if nothing were wrong, by:
//
//	slow                  answers after Delay
//	commit-then-drop      the connection is closed without an answer
//	commit-after-timeout  done after Delay, after the connection is gone
//	reset-kept-alive      a TCP reset, on a connection that was used before
//	drop-after-bytes      the answer is cut after Bytes
//	commit-502            a proxy's page
//	commit-then-refuse    a hook's error, under 200 (commit-then-refuse-500: under 500): its text is the message
//	no-id                 AddOrder: success without ids
//	notice-prefix         PHP notices stand before the JSON
//	gzip                  the answer is compressed although it was not asked for
//
// Pages of GetOrders and GetClientsProducts after the first: list-shift-up (a
// row before the page has gone, the total is one less) and list-shift-down (one
// came before it, the total is one more). On AcceptOrder the module twists and
// on AddOrder half-added and marker-lost.
func FaultNames() []string {
	return []string{
		"drop-before", "reset", "hold", "http-500", "http-403", "http-502", "http-504", "http-429", "html-503", "blank-200", "warning-only", "garbage-200", "license-200", "waf-403", "ip-banned",
		"forbidden-ip", "bad-credentials", "role-denied", "error-text", "redirect-307", "redirect-308",
		"slow", "commit-then-drop", "commit-after-timeout", "reset-kept-alive", "drop-after-bytes", "commit-502", "commit-then-refuse", "commit-then-refuse-500", "no-id", "notice-prefix", "gzip",
		"list-shift-up", "list-shift-down",
		ModuleFailActive, ModuleFailPending, ModuleFailMixed, ModuleMadePending, HalfAdded, MarkerLost,
	}
}

// Server is the simulator over HTTP. Close ends what it still waits for.
type Server struct {
	opts  Options
	books *Books
	done  chan struct{}
	once  sync.Once

	mu      sync.Mutex
	journal []*Call
	faults  []Fault
	used    map[string]bool // remote addresses of connections that carried a call
}

// New returns a simulator with empty books.
func New(o Options) *Server {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.After == nil {
		o.After = time.After
	}
	return &Server{opts: o, books: NewBooks(o.Now, o.Fail, o.Switches), done: make(chan struct{}), used: map[string]bool{}}
}

// Close makes calls that wait give up without doing their work.
func (s *Server) Close() { s.once.Do(func() { close(s.done) }) }

// Books returns the books.
func (s *Server) Books() *Books { return s.books }

// Orders returns copies of all orders.
func (s *Server) Orders() []Order { return s.books.Orders() }

// SetClient puts a client.
func (s *Server) SetClient(id int64, c Client) { s.books.SetClient(id, c) }

// SetProduct puts a product.
func (s *Server) SetProduct(id int64, p Product) { s.books.SetProduct(id, p) }

// Journal returns a copy of every vendor call in order of arrival.
func (s *Server) Journal() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Call, len(s.journal))
	for i, c := range s.journal {
		all[i] = *c
	}
	return all
}

// Calls returns how many calls of an action arrived.
func (s *Server) Calls(action string) int {
	n := 0
	for _, c := range s.Journal() {
		if c.Action == action {
			n++
		}
	}
	return n
}

// Fault queues a fault. It refuses an action or a name that does not exist, and
// a twist of another action.
func (s *Server) Fault(f Fault) error {
	if known(f.Action) == "" {
		return fmt.Errorf("unknown action %q: the actions are %s", f.Action, strings.Join(Actions(), ", "))
	}
	f.Action = known(f.Action)
	if !slices.Contains(FaultNames(), f.Fault) {
		return fmt.Errorf("unknown fault %q: the faults are %s", f.Fault, strings.Join(slices.Sorted(slices.Values(FaultNames())), ", "))
	}
	if only, ok := onlyFor(f.Fault); ok && !slices.Contains(only, f.Action) {
		return fmt.Errorf("the fault %s is none of %s", f.Fault, f.Action)
	}
	if f.Times < 0 || f.Delay < 0 || f.Bytes < 0 {
		return errors.New("times, delayMs and bytes are not negative")
	}
	if f.Fault == "error-text" && f.Message == "" {
		return errors.New("error-text needs a message")
	}
	f.Times = max(1, f.Times)
	f.Match = canonical(f.Match)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, f)
	return nil
}

func onlyFor(fault string) ([]string, bool) {
	switch fault {
	case ModuleFailActive, ModuleFailPending, ModuleFailMixed, ModuleMadePending:
		return []string{"AcceptOrder"}, true
	case HalfAdded, MarkerLost, "no-id":
		return []string{"AddOrder"}, true
	case "list-shift-up", "list-shift-down":
		return []string{"GetOrders", "GetClientsProducts"}, true
	}
	return nil, false
}

// Faults returns the faults that are left.
func (s *Server) Faults() []Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.faults)
}

// ClearFaults drops the faults that are left.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// Reset forgets books, journal and faults.
func (s *Server) Reset() {
	s.books.Reset()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.journal, s.faults = nil, nil
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasPrefix(r.URL.Path, "/_sim/"):
		s.control(w, r)
	case strings.HasSuffix(r.URL.Path, "/includes/api.php"):
		s.api(w, r)
	default:
		page(w, 404, "<h1>Oops!</h1><p>We couldn't find that page.</p>")
	}
}

// maxPost is PHP's post_max_size; a larger body leaves no fields at all.
const maxPost = 8 << 20

func (s *Server) api(w http.ResponseWriter, r *http.Request) {
	arrived := s.opts.Now()
	raw, err := io.ReadAll(io.LimitReader(r.Body, maxPost+1))
	if err != nil {
		panic(http.ErrAbortHandler) // cut short: PHP never sees it
	}
	var form Form
	if r.Method == http.MethodPost && len(raw) <= maxPost && strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		form = parseForm(string(raw))
	}
	c := &call{s: s, w: w, r: r, form: form, arrived: arrived, action: known(form.Get("action"))}
	c.entry = &Call{At: arrived.UTC().Round(0), Action: cmp.Or(c.action, form.Get("action")), Params: params(form)}
	names := map[string]bool{}
	if c.action == "AddOrder" {
		s.books.ask(form)
	}
	if s.matches(c.action) {
		names = s.books.names(c.action, form)
	}
	reused := s.connection(r)
	s.mu.Lock()
	c.fault = s.pick(c, names, reused)
	c.entry.Fault = c.fault.Fault
	s.journal = append(s.journal, c.entry)
	s.mu.Unlock()
	if s.opts.Saw != nil {
		defer func() {
			s.mu.Lock()
			done := *c.entry
			s.mu.Unlock()
			s.opts.Saw(done, names)
		}()
	}
	c.serve()
}

// connection reports whether the connection carried a call before.
func (s *Server) connection(r *http.Request) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.used[r.RemoteAddr]
	if r.Close {
		delete(s.used, r.RemoteAddr)
	} else {
		s.used[r.RemoteAddr] = true
	}
	return before
}

// matches reports whether a fault waits for particular calls of the action:
// what a call is about is found out only then.
func (s *Server) matches(action string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.faults, func(f Fault) bool { return f.Action == action && f.Match != "" })
}

// ask remembers an AddOrder that arrives for the reads that follow, whatever
// becomes of it.
func (b *Books) ask(f Form) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.st.ask(f)
}

// names returns what a fault's match may say to fit this call.
func (b *Books) names(action string, f Form) map[string]bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	found := map[string]bool{}
	for n := range b.st.names(action, f) {
		found[canonical(n)] = true
	}
	return found
}

// pick takes the fault for a call out of the queue.
func (s *Server) pick(c *call, names map[string]bool, reused bool) Fault {
	for i, f := range s.faults {
		if f.Action != c.action || f.Match != "" && !names[f.Match] {
			continue
		}
		if f.Fault == "reset-kept-alive" && !reused {
			continue
		}
		if strings.HasPrefix(f.Fault, "list-shift-") && c.form.int("limitstart") == 0 {
			continue
		}
		if s.faults[i].Times--; s.faults[i].Times == 0 {
			s.faults = slices.Delete(s.faults, i, i+1)
		}
		return f
	}
	return Fault{}
}

// params returns the fields of a call without those that are secret.
func params(f Form) map[string]string {
	m := map[string]string{}
	for _, p := range f {
		name, _, _ := strings.Cut(p.Name, "[")
		switch strings.ToLower(name) {
		case "identifier", "secret", "username", "password", "accesskey", "api_token", "servicepassword", "rootpw", "password2":
		default:
			m[p.Name] = p.Value
		}
	}
	return m
}

// call is one vendor call being answered.
type call struct {
	s       *Server
	w       http.ResponseWriter
	r       *http.Request
	form    Form
	action  string
	arrived time.Time
	fault   Fault
	entry   *Call
}

func (c *call) serve() {
	switch c.fault.Fault {
	case "drop-before":
		c.wait()
		panic(http.ErrAbortHandler)
	case "reset":
		c.wait()
		c.reset()
	case "hold":
		select {
		case <-c.r.Context().Done():
		case <-c.s.done:
		}
		panic(http.ErrAbortHandler)
	case "http-500":
		c.wait()
		c.w.WriteHeader(500)
	case "http-403", "http-429", "http-502", "http-504":
		c.wait()
		status, _ := strconv.Atoi(strings.TrimPrefix(c.fault.Fault, "http-"))
		proxyPage(c.w, status)
	case "html-503":
		c.wait()
		page(c.w, 503, "<h1>Down for Maintenance</h1><p>An upgrade is currently in progress. Please come back soon.</p>")
	case "blank-200":
		c.wait()
		c.w.WriteHeader(200)
	case "garbage-200":
		c.wait()
		page(c.w, 200, "<p>{ this is not JSON</p>")
	case "license-200":
		c.wait()
		page(c.w, 200, "<head><title>License Invalid</title></head><p>Your license key is invalid.</p>")
	case "waf-403":
		c.wait()
		page(c.w, 403, "<head><title>Attention Required!</title></head><p>You have been blocked.</p>")
	case "ip-banned":
		c.wait()
		c.answer(refuseWith(403, "Your IP has been banned"))
	case "warning-only":
		c.wait()
		c.answer(Reply{200, obj{{"warning", "The operation could not be completed"}}})
	case "forbidden-ip":
		c.wait()
		c.answer(denyIP(c.fault.Message))
	case "bad-credentials":
		c.wait()
		c.answer(badCredentials())
	case "role-denied":
		c.wait()
		c.answer(denyRole(c.action))
	case "error-text":
		c.wait()
		c.answer(refuseWith(cmp.Or(c.fault.Status, 200), c.fault.Message))
	case "redirect-307", "redirect-308":
		c.wait()
		status, _ := strconv.Atoi(strings.TrimPrefix(c.fault.Fault, "redirect-"))
		http.Redirect(c.w, c.r, c.r.URL.Path, status)
	default:
		c.work()
	}
}

// work does the call.
func (c *call) work() {
	if reply, ok := c.admit(); !ok {
		c.wait()
		c.answer(reply)
		return
	}
	form := c.form
	shift := map[string]int{"list-shift-up": 1, "list-shift-down": -1}[c.fault.Fault]
	if shift != 0 {
		form = append(slices.Clone(form), Field{"limitstart", strconv.FormatInt(form.int("limitstart")+int64(shift), 10)})
	}
	run := c.s.books.Begin(c.action, form)
	c.wait()
	var t Twist
	switch c.fault.Fault {
	case ModuleFailActive, ModuleFailPending, ModuleFailMixed, ModuleMadePending, HalfAdded, MarkerLost:
		t = Twist{c.fault.Fault, c.fault.Message}
	}
	reply := run.Finish(t)
	reply.Body.add("totalresults", -shift)
	c.s.mu.Lock()
	c.entry.Effect = run.Effect
	c.s.mu.Unlock()

	switch c.fault.Fault {
	case "commit-then-drop", "commit-after-timeout":
		panic(http.ErrAbortHandler)
	case "reset-kept-alive":
		c.reset()
	case "commit-502":
		proxyPage(c.w, 502)
	case "commit-then-refuse":
		c.answer(refuseWith(200, cmp.Or(c.fault.Message, "Access denied for user 'whmcs'@'localhost'")))
	case "commit-then-refuse-500":
		c.answer(refuseWith(500, cmp.Or(c.fault.Message, "Invalid IP 203.0.113.9")))
	case "no-id":
		c.answer(success())
	default:
		c.answer(reply)
	}
}

// admit makes the checks that come before any action.
func (c *call) admit() (Reply, bool) {
	o, sw := c.s.opts, c.s.books.Switches()
	byKey := o.AccessKey != "" && same(c.form.Get("accesskey"), o.AccessKey)
	identifier := cmp.Or(c.form.Get("identifier"), c.form.Get("username"))
	secret := cmp.Or(c.form.Get("secret"), c.form.Get("password"))
	switch {
	case c.form.Get("action") == "":
		return refuseWith(400, "Empty action request"), false
	case sw.DenyIP != "" && !byKey:
		return denyIP(sw.DenyIP), false
	case identifier == "" || secret == "" || o.Identifier != "" && !same(identifier, o.Identifier) || o.Secret != "" && !same(secret, o.Secret):
		return badCredentials(), false
	case slices.ContainsFunc(sw.DenyActions, func(a string) bool { return strings.EqualFold(a, c.form.Get("action")) }):
		return denyRole(c.form.Get("action")), false
	case c.action == "":
		return refuseWith(400, "Command Not Found"), false
	}
	return Reply{}, true
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

func denyIP(address string) Reply {
	return refuseWith(403, "Invalid IP "+cmp.Or(address, "203.0.113.7"))
}

func badCredentials() Reply { return refuseWith(403, "Invalid or missing credentials") }

func denyRole(action string) Reply {
	return refuseWith(403, `Invalid Permissions: API action "`+strings.ToLower(action)+`" is not allowed`)
}

// wait lets the fault's delay pass, counted from the arrival, whether or not the
// caller is still there.
func (c *call) wait() {
	d := c.fault.Delay - c.s.opts.Now().Sub(c.arrived)
	if c.fault.Delay == 0 || d <= 0 {
		return
	}
	select {
	case <-c.s.opts.After(d):
	case <-c.s.done:
		panic(http.ErrAbortHandler)
	}
}

// reset breaks the connection with a TCP reset.
func (c *call) reset() {
	h, ok := c.w.(http.Hijacker)
	if !ok {
		panic(http.ErrAbortHandler)
	}
	conn, _, err := h.Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if t, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = t.NetConn()
	}
	if t, ok := conn.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = conn.Close()
}

// answer writes a reply as WHMCS does.
func (c *call) answer(r Reply) {
	var body []byte
	switch {
	case r.Body == nil: // PHP died
	case strings.EqualFold(c.form.Get("responsetype"), "json"):
		body = c.s.books.Switches().render(r.Body)
		c.w.Header().Set("Content-Type", "application/json")
	default:
		body = []byte(r.Body.nvp())
		c.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	}
	switch c.fault.Fault {
	case "notice-prefix":
		c.w.Header().Set("Content-Type", "text/html; charset=utf-8")
		body = append([]byte("<br />\n<b>Warning</b>:  Undefined array key \"x\" in /var/www/whmcs/includes/hooks/a.php on line <b>12</b><br />\n"+
			"<b>Notice</b>:  called in {closure}() {main}<br />\n"), body...)
	case "gzip":
		var z bytes.Buffer
		w := gzip.NewWriter(&z)
		_, _ = w.Write(body)
		_ = w.Close()
		c.w.Header().Set("Content-Encoding", "gzip")
		body = z.Bytes()
	case "drop-after-bytes":
		c.w.Header().Set("Content-Length", strconv.Itoa(max(len(body), c.fault.Bytes+1)))
		c.w.WriteHeader(r.Status)
		_, _ = c.w.Write(body[:min(len(body), c.fault.Bytes)])
		_ = http.NewResponseController(c.w).Flush()
		panic(http.ErrAbortHandler)
	}
	c.w.WriteHeader(r.Status)
	_, _ = c.w.Write(body)
}

func page(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, "<!DOCTYPE html>\n<html><body>"+body+"</body></html>\n")
}

func proxyPage(w http.ResponseWriter, status int) {
	title := strconv.Itoa(status) + " " + http.StatusText(status)
	page(w, status, "<center><h1>"+title+"</h1></center><hr><center>nginx</center>")
}
