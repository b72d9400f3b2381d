package main_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"orderbridge/shared/breaker"
	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/provision"
	"orderbridge/shared/provision/provisiontest"
	"orderbridge/shared/salesforce"
	"orderbridge/shared/salesforce/salesforcetest"
	"orderbridge/shared/whmcs"
	"orderbridge/shared/whmcs/whmcstest"
)

// The rig is the whole of provision but for AWS: the engine with the real
// clients of WHMCS and Salesforce, which speak HTTP over connections in memory
// to the simulators, and a table in memory. It lives in a testing/synctest
// bubble, so hours pass in milliseconds. Every call takes a time of its own, so
// that no two things happen at the same moment and a case is the same each time
// it runs.
type rig struct {
	*testing.T
	mem   *provisiontest.Memory
	whmcs *whmcstest.Server
	sf    *salesforcetest.Sim
	cfg   provision.Config
	opts  options

	servers [2]*http.Server
	doors   [2]*door

	mu       sync.Mutex
	procs    []*process
	byAddr   map[string]*process
	dialled  int
	calls    []string       // every call of every worker, in order
	made     map[string]int // how many of each name
	inject   *injection
	after    func() // called when a run has ended
	before   []beforehand
	refuse   string // the effect whose connections WHMCS refuses
	broken   bool   // an assumption is broken on purpose: the books may complain
	clicks   int
	consents map[order.ID]int
	running  sync.WaitGroup
	active   atomic.Int32 // invocations under way
}

// beforehand is something that happens once, just before the n-th call of a name.
type beforehand struct {
	call string
	n    int
	do   func()
}

// options of one rig; the zero value is a healthy installation.
type options struct {
	config   func(*provision.Config)
	whmcs    func(*whmcs.Config)
	switches whmcstest.Switches
	lines    []salesforcetest.SeedItem
	optional salesforce.Optional
}

// injection is one fault at one call.
type injection struct {
	site  int    // index into rig.calls
	fault string // one of the rows, or a fault of the simulator that is called
	fire  func() // called at the site, before anything else happens there
	fired bool
	// only: the next call of this process is the site, whatever its index.
	only *process
}

const (
	sideWHMCS = 0
	sideSF    = 1

	client = 7
	// invocation is how long the platform lets one run go on.
	invocation = 600 * time.Second
)

// the is the one order of most cases.
var the = mustID("801000000000001AAA")

func mustID(s string) order.ID {
	id, err := order.ParseID(s)
	if err != nil {
		panic(err)
	}
	return id
}

// newRig must be called inside a synctest bubble; close ends it.
func newRig(t *testing.T, o options) *rig {
	r := &rig{
		T: t, mem: provisiontest.NewMemory(), opts: o,
		byAddr: map[string]*process{}, made: map[string]int{}, consents: map[order.ID]int{},
		cfg: provision.Config{
			Lease: 150 * time.Second, Window: 15 * time.Second, Margin: 5 * time.Second,
			Settle: 300 * time.Second, AcceptSettle: 900 * time.Second,
			AddTimeout: 60 * time.Second, AcceptTimeout: 120 * time.Second,
			RetryBase: 60 * time.Second, GiveUp: provision.GiveUp, VerifyFor: provision.VerifyFor,
			Resend: true, PaymentMethod: "mailin", Retention: 400 * 24 * time.Hour,
		},
	}
	if o.config != nil {
		o.config(&r.cfg)
	}
	steps := provisiontest.Steps{Idempotent: r.cfg.Idempotent}
	r.mem.Wrote = func(from, to order.Record) {
		if err := steps.Write(from, to, time.Now()); err != nil {
			r.Errorf("wrong step: %v", err)
		}
	}
	r.whmcs = whmcstest.New(whmcstest.Options{Switches: o.switches, Fail: r.breach})
	r.whmcs.SetProduct(1, whmcstest.Product{Name: "Hosting", Module: "cpanel"})
	r.whmcs.SetProduct(2, whmcstest.Product{Name: "Setup", AllowQty: 1, Module: "cpanel"})
	sf, err := salesforcetest.New(salesforcetest.Options{ClientID: "app", ClientSecret: "secret"})
	r.ok(err)
	r.sf = sf
	r.seed(the, client)
	for side, h := range []http.Handler{r.whmcs, r.sf} {
		d := &door{conns: make(chan net.Conn), closed: make(chan struct{})}
		s := &http.Server{Handler: r.middle(side, h), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
		r.doors[side], r.servers[side] = d, s
		r.running.Go(func() { _ = s.Serve(d) }) // ends with ErrServerClosed
	}
	return r
}

// seed puts the order into Salesforce.
func (r *rig) seed(id order.ID, whmcsClient any, fields ...map[string]any) {
	r.Helper()
	lines := r.opts.lines
	if lines == nil {
		lines = []salesforcetest.SeedItem{
			{WHMCSProductID: 1, BillingCycle: "Monthly", Quantity: 1},
			{WHMCSProductID: 2, BillingCycle: "One-time", Quantity: 3},
		}
	}
	s := salesforcetest.Seed{AccountID: "001000000000001AAA", WHMCSClientID: whmcsClient, Items: lines}
	for _, f := range fields {
		s.Fields = f
	}
	r.ok(r.sf.PutOrder(id.String(), s))
}

// close ends everything that still runs, however long WHMCS takes.
func (r *rig) close() {
	for _, p := range r.procs {
		p.kill()
	}
	r.whmcs.Close()
	for side := range r.servers {
		_ = r.servers[side].Close()
	}
	time.Sleep(24 * time.Hour)
	r.running.Wait()
}

func (r *rig) ok(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// breach is told by WHMCS's books of a second live order or a second module run.
func (r *rig) breach(format string, args ...any) {
	if !r.broken {
		r.Errorf("WHMCS's books: "+format, args...)
	}
}

// --- the network

// door is a listener in memory.
type door struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (d *door) Accept() (net.Conn, error) {
	select {
	case c := <-d.conns:
		return c, nil
	case <-d.closed:
		return nil, net.ErrClosed
	}
}
func (d *door) Close() error   { d.once.Do(func() { close(d.closed) }); return nil }
func (d *door) Addr() net.Addr { return address("simulator") }

type address string

func (address) Network() string  { return "memory" }
func (a address) String() string { return string(a) }

// end is one end of a connection, with an address that names its worker.
type end struct {
	net.Conn
	from address
	p    *process // of the worker's end; nil at the server's
}

func (e *end) RemoteAddr() net.Addr { return e.from }

// Write of a worker that is frozen waits until it thaws.
func (e *end) Write(b []byte) (int, error) {
	if e.p != nil {
		e.p.thaw()
	}
	return e.Conn.Write(b)
}

// --- processes

// process is one warm Lambda sandbox: an engine with clients of its own.
type process struct {
	*rig
	kind   string
	name   string
	lag    time.Duration // of each of its calls; no other process has the same
	engine *provision.Engine

	state  sync.Mutex
	dead   bool
	busy   bool // in an invocation
	frozen time.Time
	effect string // the effect that is being sent
	conns  []net.Conn
	token  order.Token // of its last lease
}

var errDead = errors.New("the process is gone")

// process returns an idle sandbox of that kind: a warm one, or a fresh one.
func (r *rig) process(name string) *process {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.procs {
		if p.kind == name && p.take() {
			return p
		}
	}
	n := len(r.procs) + 1
	p := &process{rig: r, kind: name, busy: true, name: fmt.Sprintf("%s-%d", name, n), lag: 10*time.Millisecond + time.Duration(n)*137*time.Microsecond}
	r.procs = append(r.procs, p)
	wc := whmcs.Config{BaseURL: "http://whmcs.test/billing", Marker: whmcs.MarkerNotes}
	if r.opts.whmcs != nil {
		r.opts.whmcs(&wc)
	}
	log := slog.New(slog.DiscardHandler)
	billing, err := whmcs.New(whmcs.Deps{
		Credentials: func(context.Context) (whmcs.Credentials, error) {
			return whmcs.Credentials{Identifier: "id", Secret: "secret"}, nil
		},
		Log: log, Now: p.Now, Dial: p.dial(sideWHMCS),
	}, wc)
	if err != nil {
		panic(err)
	}
	orders, err := salesforce.New(salesforce.Deps{
		HTTP: &http.Client{Transport: &http.Transport{DialContext: p.dial(sideSF), MaxConnsPerHost: 2, IdleConnTimeout: 20 * time.Second}},
		Credentials: func(context.Context) (salesforce.Credentials, error) {
			return salesforce.Credentials{ClientID: "app", ClientSecret: "secret"}, nil
		},
		Now: p.Now, Log: log,
	}, salesforce.Config{LoginURL: "http://salesforce.test", APIVersion: "67.0", Optional: r.opts.optional})
	if err != nil {
		panic(err)
	}
	d := provision.Deps{
		Store: table{p}, Orders: orders, Billing: effects{billing, p}, Clock: p, Log: log, Random: func() float64 { return 0.5 },
		Token: func() order.Token {
			p.state.Lock()
			defer p.state.Unlock()
			p.token = order.NewToken()
			return p.token
		},
	}
	for _, side := range []struct {
		name  order.Side
		probe func(context.Context) error
		to    *provision.Breaker
	}{{order.SideWHMCS, billing.Probe, &d.WHMCS}, {order.SideSalesforce, orders.Probe, &d.Salesforce}} {
		if *side.to, err = breaker.New(breaker.Deps{Controls: table{p}, Side: side.name, Probe: side.probe, Now: p.Now, Log: log}, r.cfg.RetryBase); err != nil {
			panic(err)
		}
	}
	p.engine, err = provision.New(d, r.cfg)
	if err != nil {
		panic(err)
	}
	return p
}

// take makes the process busy, if it is idle.
func (p *process) take() bool {
	p.state.Lock()
	defer p.state.Unlock()
	if p.dead || p.busy {
		return false
	}
	p.busy = true
	return true
}

func (p *process) idle() {
	p.state.Lock()
	defer p.state.Unlock()
	p.busy = false
}

func (p *process) gone() bool {
	p.state.Lock()
	defer p.state.Unlock()
	return p.dead
}

// kill is SIGKILL: the process does nothing more, and its connections are closed.
func (p *process) kill() {
	p.state.Lock()
	defer p.state.Unlock()
	p.dead = true
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}

// freeze is SIGSTOP for d: from here on the process does nothing until then.
func (p *process) freeze(d time.Duration) {
	p.state.Lock()
	defer p.state.Unlock()
	p.frozen = time.Now().Add(d)
}

func (p *process) thaw() {
	for {
		p.state.Lock()
		d := time.Until(p.frozen)
		p.state.Unlock()
		if d <= 0 {
			return
		}
		time.Sleep(d)
	}
}

// step is passed by the worker's goroutine before and after all that it does.
func (p *process) step() {
	p.thaw()
	if p.gone() {
		runtime.Goexit()
	}
}

// Now implements provision.Clock.
func (p *process) Now() time.Time {
	p.step()
	return time.Now().Round(0)
}

// Sleep implements provision.Clock.
func (p *process) Sleep(ctx context.Context, d time.Duration) error {
	p.step()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
	p.step()
	return ctx.Err()
}

func (p *process) dial(side int) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		p.state.Lock()
		action := p.effect
		p.state.Unlock()
		if side == sideWHMCS && action != "" && p.refuse == action {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
		}
		if side == sideWHMCS && action != "" {
			switch in := p.ahead(); {
			case in == nil:
			case in.fault == faultRefusedRetryable:
				p.call(action)
				in.fire()
				return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
			case strings.HasPrefix(in.fault, faultFrozen):
				p.call(action)
				in.fire()
				p.freeze(frozenFor(in.fault))
				p.thaw()
			}
		}
		if p.gone() {
			return nil, errDead
		}
		p.mu.Lock()
		p.dialled++
		from := address(fmt.Sprintf("%s:%d", p.name, p.dialled))
		p.byAddr[string(from)] = p
		p.mu.Unlock()
		here, there := net.Pipe()
		c := &end{Conn: here, from: "simulator", p: p}
		select {
		case p.doors[side].conns <- &end{Conn: there, from: from}:
		case <-p.doors[side].closed:
			return nil, errors.New("connection refused")
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		p.state.Lock()
		defer p.state.Unlock()
		p.conns = append(p.conns, c)
		return c, nil
	}
}

// effects is the WHMCS client, with a note of which effect is on its way: a
// dial for it is the moment between the last check and the send.
type effects struct {
	provision.Billing
	p *process
}

func (e effects) on(action string) func() {
	e.p.step()
	e.p.state.Lock()
	defer e.p.state.Unlock()
	e.p.effect = action
	return func() {
		e.p.state.Lock()
		defer e.p.state.Unlock()
		e.p.effect = ""
	}
}

func (e effects) Add(ctx context.Context, gate order.SendWindow, id order.ID, plan order.Plan) (string, error) {
	defer e.on("AddOrder")()
	return e.Billing.Add(ctx, gate, id, plan)
}

func (e effects) Accept(ctx context.Context, gate order.SendWindow, id string) error {
	defer e.on("AcceptOrder")()
	return e.Billing.Accept(ctx, gate, id)
}

// --- calls and what happens to them

// ahead returns the injection if the next call is its site.
func (p *process) ahead() *injection {
	p.mu.Lock()
	defer p.mu.Unlock()
	if in := p.inject; in != nil && !in.fired && (in.only == nil && len(p.calls) == in.site || in.only == p) {
		return in
	}
	return nil
}

// call notes one call and returns the injection that is due at it.
func (p *process) call(name string) *injection {
	in := p.ahead()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = append(p.calls, name)
	if in != nil {
		in.fired = true
	}
	p.made[name]++
	for _, b := range p.before {
		if b.call == name && b.n == p.made[name] {
			p.mu.Unlock()
			b.do()
			p.mu.Lock()
		}
	}
	return in
}

// middle stands before a simulator.
func (r *rig) middle(side int, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		q.Body = io.NopCloser(bytes.NewReader(body))
		action, name := "query", ""
		if side == sideWHMCS {
			form, err := url.ParseQuery(string(body))
			if err != nil {
				r.Errorf("WHMCS got a form that cannot be read: %v", err)
			}
			action = form.Get("action")
			name = action + kindOf(action, form)
		} else if strings.HasSuffix(q.URL.Path, "/token") {
			action = "token"
		}
		r.mu.Lock()
		p := r.byAddr[q.RemoteAddr]
		r.mu.Unlock()
		time.Sleep(p.lag)
		in := p.call(cmp.Or(name, action))
		if action == "AddOrder" || action == "AcceptOrder" {
			r.mayArrive(p, action)
		}
		if in == nil {
			next.ServeHTTP(w, q)
			return
		}
		in.fire()
		switch {
		case in.fault == faultCrashBefore:
			p.kill()
			panic(http.ErrAbortHandler)
		case in.fault == faultCrashAfter:
			next.ServeHTTP(httptest.NewRecorder(), q)
			p.kill()
			panic(http.ErrAbortHandler)
		case in.fault == faultCrashDoneLate:
			r.arm(side, action, "commit-after-timeout")
			p.kill()
			next.ServeHTTP(w, q)
		case strings.HasPrefix(in.fault, faultFrozen):
			p.freeze(frozenFor(in.fault))
			p.thaw()
			next.ServeHTTP(w, q)
		default:
			r.arm(side, action, in.fault)
			next.ServeHTTP(w, q)
		}
	})
}

// kindOf tells the uses of GetOrders apart.
func kindOf(action string, form url.Values) string {
	switch {
	case action != "GetOrders":
		return ""
	case form.Has("id"):
		return ".one"
	case form.Has("userid"):
		return ".client"
	case form.Get("limitnum") == "2":
		return ".newest"
	}
	return ".all"
}

// mayArrive checks what must hold when an effect reaches WHMCS: its worker
// holds the order, and the table says that the effect may be there.
func (r *rig) mayArrive(p *process, action string) {
	for _, rec := range r.mem.Records() {
		p.state.Lock()
		token := p.token
		p.state.Unlock()
		if rec.Lease != token {
			continue
		}
		until, n, at := rec.Add.Until, rec.Add.Count, order.PointAdding
		if action == "AcceptOrder" {
			until, n, at = rec.Accept.Until, rec.Accept.Count, order.PointAccepting
		}
		if rec.State != order.Working || rec.RecoveryPoint != at || n < 1 || !time.Now().Before(until.Add(p.lag)) {
			r.Errorf("%s arrived while the table says %s at %s, %d sent, until %s", action, rec.State, rec.RecoveryPoint, n, until)
		}
		return
	}
	r.Errorf("%s arrived from %s, which holds no order", action, p.name)
}

// table is the store in memory as one process reaches it.
type table struct{ p *process }

var errTable = errors.New("the table did not answer")

// stored makes one call of the table, with the fault that is due at it.
// late makes the call's request arrive later, where that can be.
func stored[T any](ctx context.Context, p *process, name string, do func(context.Context) (T, error)) (T, error) {
	var none T
	p.step()
	time.Sleep(p.lag)
	p.step()
	in := p.call(name)
	if in == nil {
		got, err := do(ctx)
		p.step()
		return got, err
	}
	in.fire()
	lost := fault.Wrap(fault.StoreUnavailable, errTable)
	switch {
	case in.fault == faultCrashBefore:
		p.kill()
	case in.fault == faultCrashAfter:
		_, _ = do(ctx)
		p.kill()
	case in.fault == faultLostBefore:
		return none, lost
	case in.fault == faultReplyLost:
		_, _ = do(ctx)
		return none, lost
	case in.fault == faultSecondReplyLost:
		_, _ = do(ctx)
		p.again(faultReplyLost)
		return none, lost
	case in.fault == faultRefusedRetryable:
		p.again(in.fault + "+++")
		return none, lost
	case strings.HasPrefix(in.fault, faultRefusedRetryable):
		if left := strings.TrimSuffix(in.fault, "+"); left != faultRefusedRetryable {
			p.again(left)
		}
		return none, lost
	case in.fault == faultDoneLate:
		version := p.version()
		p.running.Go(func() {
			time.Sleep(30 * time.Second)
			// The table's own condition: a transition that comes late finds
			// another version, and changes nothing. The others are as they are.
			if p.version() == version || !strings.HasPrefix(name, "Write") {
				_, _ = do(context.Background())
			}
		})
		time.Sleep(5 * time.Second)
		p.step()
		return none, lost
	case strings.HasPrefix(in.fault, faultFrozen):
		p.freeze(frozenFor(in.fault))
		p.step()
		got, err := do(ctx)
		p.step()
		return got, err
	default:
		p.Errorf("the table knows no fault %s", in.fault)
	}
	p.step() // ends this goroutine
	return none, lost
}

// again lets the next call of the process meet a fault too.
func (p *process) again(fault string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inject = &injection{only: p, fault: fault, fire: func() {}}
}

func (r *rig) version() (n int64) {
	for _, rec := range r.mem.Records() {
		n += rec.Version
	}
	return n
}

func (s table) Lease(ctx context.Context, id order.ID, l order.Lease) (order.Record, error) {
	return stored(ctx, s.p, "Lease", func(ctx context.Context) (order.Record, error) { return s.p.mem.Lease(ctx, id, l) })
}

func (s table) Write(ctx context.Context, step order.Step) (order.Record, error) {
	name := "Write"
	if step.Entry.Event != "" {
		name += "." + step.Entry.Event
	}
	return stored(ctx, s.p, name, func(ctx context.Context) (order.Record, error) {
		before := s.p.record(step.From.ID)
		rec, err := s.p.mem.Write(ctx, step)
		if err == nil && (before.Lease != step.From.Lease || before.State != order.Working || rec.Fence != before.Fence) {
			s.p.Errorf("a write without the lease took effect: %s", step.Entry.Event)
		}
		return rec, err
	})
}

func (s table) Control(ctx context.Context, side order.Side) (order.Control, error) {
	return stored(ctx, s.p, "Control."+string(side), func(ctx context.Context) (order.Control, error) { return s.p.mem.Control(ctx, side) })
}

// ChangeControl is named for what it does to the breaker.
func (s table) ChangeControl(ctx context.Context, side order.Side, change func(order.Control) (order.Control, bool)) (order.Control, error) {
	before, err := s.p.mem.Control(ctx, side)
	if err != nil {
		return before, err
	}
	after, write := change(before)
	name := "CountFault"
	switch {
	case !write:
		name = "NoChange"
	case after.OpenUntil.IsZero() && !before.OpenUntil.IsZero():
		name = "CloseBreaker"
	case after.Probe != before.Probe:
		name = "WinProbe"
	case !after.OpenUntil.Equal(before.OpenUntil):
		name = "OpenBreaker"
	case after.Paused != before.Paused:
		name = "Pause"
	case after.Unsure["AddOrder"].InRow+after.Unsure["AcceptOrder"].InRow > before.Unsure["AddOrder"].InRow+before.Unsure["AcceptOrder"].InRow:
		name = "CountUnsure"
	case len(after.Unsure) < len(before.Unsure):
		name = "ResetUnsure"
	case len(after.Unsure) > 0:
		name = "WinCanary"
	case after.Faults == 0:
		name = "ResetFaults"
	}
	return stored(ctx, s.p, name, func(ctx context.Context) (order.Control, error) { return s.p.mem.ChangeControl(ctx, side, change) })
}

// unanswered makes an effect one of which no outcome was known of late; its next
// canary is due.
func (r *rig) unanswered(effect string) {
	r.Helper()
	for range order.UnsureInRow {
		_, err := r.mem.ChangeControl(r.Context(), order.SideWHMCS, func(c order.Control) (order.Control, bool) {
			c, _ = c.Uncertain(effect, "another", time.Now().Round(0), func(int) time.Time { return time.Now().Round(0) }, fault.WHMCSUnavailable)
			return c, true
		})
		r.ok(err)
	}
}

// --- what people and the platform do

// record reads an order as it stands in the table.
func (r *rig) record(id order.ID) order.Record {
	for _, rec := range r.mem.Records() {
		if rec.ID == id {
			return rec
		}
	}
	return order.Record{}
}

// click is a callout with a key of its own.
func (r *rig) click(id order.ID) order.Outcome {
	r.Helper()
	return r.callout(id, "")
}

// sameClick is a callout that is delivered again: the key of the last one.
func (r *rig) sameClick(id order.ID) order.Outcome {
	r.Helper()
	keys := r.record(id).Keys
	return r.callout(id, keys[len(keys)-1])
}

func (r *rig) callout(id order.ID, key string) order.Outcome {
	r.Helper()
	r.mu.Lock()
	r.clicks++
	n := r.clicks
	r.mu.Unlock()
	before := r.record(id)
	got, err := r.mem.Claim(context.Background(), order.Claim{
		ID: id, Nonce: fmt.Sprintf("nonce-%d", n), NonceExpiry: time.Now().Add(10 * time.Minute),
		Key: cmp.Or(key, fmt.Sprintf("key-%d", n)), By: order.NewToken(), Now: time.Now().Round(0),
	})
	if err != nil {
		r.Errorf("click: %v", err)
		return 0
	}
	if got.Outcome == order.Reopened && before.ErrorCode == fault.ModuleFailed {
		r.mu.Lock()
		r.consents[id]++
		r.mu.Unlock()
	}
	return got.Outcome
}

// start is one invocation of a process.
func (r *rig) start(name string, id order.ID) {
	r.active.Add(1)
	r.running.Go(func() {
		defer r.active.Add(-1)
		r.run(name, id)
	})
}

// run is one invocation of a process, to its end.
func (r *rig) run(name string, id order.ID) (res provision.Result) {
	p := r.process(name)
	done := make(chan struct{})
	r.running.Go(func() {
		defer close(done) // a killed process ends by runtime.Goexit
		defer p.idle()
		ctx, cancel := context.WithTimeout(context.Background(), invocation)
		defer cancel()
		got, err := p.engine.Run(ctx, id)
		if err != nil && fault.CodeOf(err) != fault.StoreUnavailable {
			r.Errorf("run: %v", err)
		}
		res = got
	})
	<-done
	r.mu.Lock()
	after := r.after
	r.mu.Unlock()
	if after != nil {
		after()
	}
	return res
}

// sweep is one tick of the clock, and what its hints lead to.
func (r *rig) sweep(name string) {
	var hints hintList
	if _, _, err := provision.Tick(context.Background(), r.mem, &hints, time.Now().Round(0), 2, slog.New(slog.DiscardHandler)); err != nil {
		r.Errorf("tick: %v", err)
	}
	for _, id := range hints {
		r.start(name, id)
	}
}

type hintList []order.ID

func (h *hintList) Waiting(context.Context) (int, error) { return 0, nil }
func (h *hintList) Send(_ context.Context, ids []order.ID) error {
	*h = append(*h, ids...)
	return nil
}

// recover lets the clock tick each minute until nothing is open, no worker runs,
// and WHMCS has ended what it may still be doing; it gives up after more than
// the 72 hours after which the engine does.
func (r *rig) recover() {
	quiet := 0
	for range 80 * 60 {
		if r.active.Load() == 0 && !slices.ContainsFunc(r.mem.Records(), func(rec order.Record) bool { return rec.State.Open() }) {
			if quiet++; quiet > 1 {
				return
			}
			time.Sleep(20 * time.Minute)
		}
		time.Sleep(time.Minute)
		r.sweep("clock")
	}
}

// arm makes the simulator's next call of that kind meet a fault.
func (r *rig) arm(side int, action, name string) {
	var err error
	if side == sideSF {
		err = r.sf.Fault(salesforcetest.Fault{Action: action, Fault: name, Delay: delayOf(action, name)})
	} else {
		f := whmcstest.Fault{Action: action, Fault: name, Delay: delayOf(action, name), Bytes: 10}
		if name, text, ok := strings.Cut(name, ":"); ok {
			f.Fault, f.Message = name, text
		}
		err = r.whmcs.Fault(f)
	}
	if err != nil {
		r.Errorf("arm %s on %s: %v", name, action, err)
	}
}

// delayOf is later than the client waits, and as late as the settle times allow.
func delayOf(action, fault string) time.Duration {
	if fault != "commit-after-timeout" {
		return 0
	}
	switch action {
	case "AddOrder":
		return 295 * time.Second
	case "AcceptOrder":
		return 895 * time.Second
	}
	return 40 * time.Second
}

func frozenFor(name string) time.Duration {
	d, err := time.ParseDuration(strings.TrimPrefix(name, faultFrozen))
	if err != nil {
		panic(err)
	}
	return d
}

// --- what must hold in the end

// judge checks every invariant of one order.
func (r *rig) judge(id order.ID) {
	r.Helper()
	rec := r.record(id)
	made := r.whmcs.Books().OrdersOf(id.String())
	live := slices.DeleteFunc(slices.Clone(made), func(o whmcstest.Order) bool { return !o.Live() })
	if len(live) > 1 {
		r.Errorf("%d live WHMCS orders", len(live))
	}
	for _, o := range made {
		if o.ModuleRuns > 1+r.consents[id] {
			r.Errorf("the module ran %d times for WHMCS order %d, with %d consents", o.ModuleRuns, o.ID, r.consents[id])
		}
	}
	if rec.State.Open() == rec.DueAt.IsZero() {
		r.Errorf("%s, but due %s", rec.State, rec.DueAt)
	}
	if !rec.ExpiresAt.IsZero() != order.Forgettable(rec.State, rec.RecoveryPoint) {
		r.Errorf("%s at %s, but expires %s", rec.State, rec.RecoveryPoint, rec.ExpiresAt)
	}
	switch rec.State {
	case order.Provisioned:
		r.judgeProvisioned(rec, live)
	case order.Failed:
		if !rec.ErrorCode.Listed() || rec.ErrorMessage == "" && !stoppedByAPerson(rec) || rec.ErrorAt.IsZero() {
			r.Errorf("failed with code %q and text %q at %s", rec.ErrorCode, rec.ErrorMessage, rec.ErrorAt)
		}
		if !rec.ErrorCode.Info().Review && len(made) > 0 {
			r.Errorf("a plain failure, %s, but WHMCS has order %d", rec.ErrorCode, made[0].ID)
		}
		if rec.ErrorCode.Info().Review && len(rec.ErrorCode.OnCall(string(rec.RecoveryPoint)).Steps) == 0 {
			r.Errorf("the table of codes has no guide for %s at %s", rec.ErrorCode, rec.RecoveryPoint)
		}
	default:
		r.Errorf("stuck: %s at %s, due %s, %s", rec.State, rec.RecoveryPoint, rec.DueAt, rec.ErrorCode)
	}
	r.judgeHistory(rec)
	if r.Failed() {
		r.Log(r.story(id))
	}
}

func (r *rig) judgeProvisioned(rec order.Record, live []whmcstest.Order) {
	r.Helper()
	if len(live) != 1 || live[0].Status != "Active" || fmt.Sprint(live[0].ID) != rec.WHMCSOrderID {
		r.Errorf("provisioned as WHMCS order %s, but the books have %+v", rec.WHMCSOrderID, live)
		return
	}
	var known []string
	for _, ids := range rec.ServiceIDs {
		known = append(known, ids...)
	}
	for _, s := range live[0].Services {
		if s.Status != "Active" && s.Status != "Completed" {
			r.Errorf("provisioned, but service %d is %s", s.ID, s.Status)
		}
		if !slices.Contains(known, fmt.Sprint(s.ID)) {
			r.Errorf("service %d belongs to no line: %v", s.ID, rec.ServiceIDs)
		}
	}
	if len(known) != len(live[0].Services) || rec.ErrorCode != "" || rec.RecoveryPoint != order.PointAccepted {
		r.Errorf("provisioned with services %v, code %q, at %s", rec.ServiceIDs, rec.ErrorCode, rec.RecoveryPoint)
	}
}

// judgeHistory: each effect that reached WHMCS was announced, and the end is told.
// stoppedByAPerson reports whether a person ended the order: the table's text is
// its text.
func stoppedByAPerson(rec order.Record) bool {
	return rec.ErrorCode == fault.Stopped || rec.ErrorCode == fault.StoppedInWHMCS
}

func (r *rig) judgeHistory(rec order.Record) {
	r.Helper()
	for action, event := range map[string]string{"AddOrder": "add_sending", "AcceptOrder": "accept_sending"} {
		announced := slices.DeleteFunc(slices.Clone(rec.History), func(e order.Entry) bool { return e.Event != event })
		for _, c := range r.whmcs.Journal() {
			if c.Action != action || c.At.Before(rec.CreatedAt) || r.concerns(c) != rec.ID.String() {
				continue // another order's, or of an earlier life that the table has forgotten
			}
			if !slices.ContainsFunc(announced, func(e order.Entry) bool { return !e.At.After(c.At) }) {
				r.Errorf("the history does not tell of the %s that reached WHMCS at %s", action, c.At)
			}
		}
		most := rec.Add.Count
		if action == "AcceptOrder" {
			most = rec.Accept.Count
		}
		for n := 1; n <= most; n++ {
			if !slices.ContainsFunc(announced, func(e order.Entry) bool {
				// Items of earlier versions say it without the word try.
				return strings.HasPrefix(e.Detail, fmt.Sprintf("%s, try %d", action, n)) || strings.HasPrefix(e.Detail, fmt.Sprintf("%s %d", action, n))
			}) {
				r.Errorf("the history does not tell of %s %d", action, n)
			}
		}
	}
	if n := len(rec.History); n == 0 || n >= order.MaxHistory || rec.History[0].Event != "callout" {
		r.Errorf("the history has %d lines and does not tell how it began", n)
	}
	var last order.Entry
	for _, e := range rec.History {
		if e.Event == "provisioned" || e.Event == "failed" || strings.HasPrefix(e.Event, "resolved_") {
			last = e
		}
	}
	if rec.State == order.Provisioned && last.Event != "provisioned" ||
		rec.State == order.Failed && !stoppedByAPerson(rec) && !strings.HasPrefix(last.Detail, string(rec.ErrorCode)+": ") {
		r.Errorf("the history ends with %+v", last)
	}
}

// concerns returns the Salesforce order of an effect's call.
func (r *rig) concerns(c whmcstest.Call) string {
	if c.Action == "AddOrder" {
		return string(order.ReadMarker(c.Params["notes"]))
	}
	id, err := strconv.ParseInt(c.Params["orderid"], 10, 64)
	if err != nil {
		return ""
	}
	o, _ := r.whmcs.Books().Order(id)
	return o.Salesforce
}

// story tells what happened, for a case that failed.
func (r *rig) story(id order.ID) string {
	rec := r.record(id)
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s at %s %s %q, adds %d, accepts %d, fence %d\n", id, rec.State, rec.RecoveryPoint, rec.ErrorCode, rec.ErrorMessage, rec.Add.Count, rec.Accept.Count, rec.Fence)
	for _, e := range rec.History {
		fmt.Fprintf(&b, "  %s %-14s %s\n", e.At.Format("02 15:04:05.000"), e.Event, e.Detail)
	}
	for _, c := range r.whmcs.Journal() {
		fmt.Fprintf(&b, "  %s WHMCS %s %s %s\n", c.At.Format("02 15:04:05.000"), c.Action, c.Fault, c.Effect)
	}
	for _, o := range r.whmcs.Orders() {
		fmt.Fprintf(&b, "  WHMCS order %+v\n", o)
	}
	return b.String()
}
