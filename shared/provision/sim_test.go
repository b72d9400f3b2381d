package provision_test

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"orderbridge/shared/breaker"
	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/provision"
	"orderbridge/shared/provision/provisiontest"
)

// The simulation runs the real engine on the memory store under virtual time.
// One process runs at a time and every choice comes from one seeded source, so
// a seed is a run: the same seed gives the same schedule on every machine.

// epoch lies far ahead of the wall clock, so that no real context ends in a run.
var epoch = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)

// killed unwinds a simulated process: the platform's SIGKILL.
type killed struct{}

// process is one simulated process; wake hands it the only turn there is.
type process struct {
	wake   chan struct{}
	killAt time.Time // zero = never
}

type event struct {
	at  time.Time
	seq int
	do  *process
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	if !e[i].at.Equal(e[j].at) {
		return e[i].at.Before(e[j].at)
	}
	return e[i].seq < e[j].seq
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	last := old[len(old)-1]
	*e = old[:len(old)-1]
	return last
}

// world is one run: a table, a WHMCS, some orders and everything that goes wrong.
type world struct {
	now    time.Time
	rng    *rand.Rand
	queue  events
	seq    int
	turn   chan struct{} // back to the scheduler
	active *process

	opt  simOptions
	cfg  provision.Config
	mem  *provisiontest.Memory
	ids  []order.ID
	seen map[order.ID]*course

	books  []*booked
	people int // who may still click

	steps  provisiontest.Steps
	writes []write  // every write of an order, as the table took it
	wrong  []string // writes that are no step of the protocol
}

// write is one write of an order.
type write struct {
	from, to order.Record
	seen     time.Time
}

// course is what the run knows of one order besides the table.
type course struct {
	id       order.ID
	consents int // clicks after module_failed that reopened the order
	keys     int
	rejects  bool // WHMCS refuses it in a documented pre-check
	zombie   []string
}

// vague reports whether WHMCS holds a live order of this one whose notes do not
// say so.
func (f *course) vague(w *world) bool {
	return slices.ContainsFunc(w.books, func(b *booked) bool {
		return b.sf == f.id && !b.status.Dead() && !order.ReadMarker(b.notes).Names(f.id)
	})
}

// booked is one order in WHMCS's books.
type booked struct {
	id       string
	sf       order.ID
	notes    string
	status   order.BillingStatus
	made     time.Time
	runs     int
	live     bool
	queued   string // text in the module queue
	services []order.BillingService
}

// simOptions says which safeguard or assumption is broken; the zero value
// breaks none.
type simOptions struct {
	orders int
	// safeguards
	noSettle, noGate, noFence bool
	noStamp                   bool          // a second AddOrder does not move the stamp in the table
	earlySearch               time.Duration // a search sees WHMCS as it was so long ago, before settle was over
	ask                       bool          // WHMCS_RESEND=ask
	noWord                    bool          // no person resolves an order
	settle                    time.Duration // 0 = the default of 300 s
	// assumptions
	slowAdd bool          // A3: WHMCS runs longer than settle
	skew    time.Duration // A1: clock error of a worker, either way
	calm    bool          // no faults at all
	// storm makes crashes, slow reads and slow runs common, for the races that
	// need several of them at once.
	storm bool
}

// broken reports whether a safeguard or an assumption is.
func (o simOptions) broken() bool {
	return o.noSettle || o.noGate || o.noFence || o.noStamp || o.earlySearch > 0 || o.slowAdd || o.skew > 0
}

func newWorld(seed uint64, opt simOptions) *world {
	w := &world{now: epoch, rng: rand.New(rand.NewPCG(seed, 0x6f72646572)), turn: make(chan struct{}), opt: opt, seen: map[order.ID]*course{}}
	w.cfg = provision.Config{
		Lease: 150 * time.Second, Window: 15 * time.Second, Margin: 5 * time.Second,
		Settle: 300 * time.Second, AcceptSettle: 900 * time.Second,
		AddTimeout: 60 * time.Second, AcceptTimeout: 120 * time.Second,
		RetryBase: 60 * time.Second, GiveUp: provision.GiveUp, VerifyFor: provision.VerifyFor,
		Resend: !opt.ask, PaymentMethod: "mailin", Retention: 400 * 24 * time.Hour,
	}
	if opt.settle > 0 {
		w.cfg.Settle = opt.settle
	}
	if opt.noSettle {
		w.cfg.Settle, w.cfg.AcceptSettle = time.Millisecond, time.Millisecond
	}
	w.mem = provisiontest.NewMemory()
	w.mem.Wrote = func(from, to order.Record) {
		w.writes = append(w.writes, write{from, to, w.now})
		if err := w.steps.Write(from, to, w.now); err != nil {
			w.wrong = append(w.wrong, "wrong step: "+err.Error())
		}
	}
	return w
}

// spawn starts a process at now+d.
func (w *world) spawn(d time.Duration, killAt time.Time, body func()) {
	p := &process{wake: make(chan struct{}), killAt: killAt}
	w.at(w.now.Add(d), p)
	go func() {
		<-p.wake
		defer func() {
			if r := recover(); r != nil {
				if _, ok := r.(killed); !ok {
					panic(r)
				}
			}
			w.turn <- struct{}{}
		}()
		body()
	}()
}

func (w *world) at(t time.Time, p *process) {
	w.seq++
	heap.Push(&w.queue, event{t, w.seq, p})
}

// sleep lets virtual time pass for the running process.
func (w *world) sleep(d time.Duration) {
	p := w.active
	w.at(w.now.Add(d), p)
	w.turn <- struct{}{}
	<-p.wake
	if !p.killAt.IsZero() && !w.now.Before(p.killAt) {
		panic(killed{})
	}
}

// run hands out turns until nothing is left to happen.
func (w *world) run() {
	for w.queue.Len() > 0 {
		e := heap.Pop(&w.queue).(event)
		w.now = e.at
		w.active = e.do
		e.do.wake <- struct{}{}
		<-w.turn
	}
}

func (w *world) chance(p float64) bool { return !w.opt.calm && w.rng.Float64() < p }

// often is the chance of something in calm weather, or in a storm.
func (w *world) often(usual, storm float64) float64 {
	if w.opt.storm {
		return storm
	}
	return usual
}

func (w *world) between(a, b time.Duration) time.Duration {
	return a + time.Duration(w.rng.Int64N(int64(b-a)+1))
}

// --- the people and the clock

func (w *world) start() {
	n := w.opt.orders
	for i := range n {
		id, err := order.ParseID(fmt.Sprintf("8010000000%05d", i))
		if err != nil {
			panic(err)
		}
		w.ids = append(w.ids, id)
		w.seen[id] = &course{id: id, rejects: w.chance(0.03)}
		w.people++
		w.spawn(w.between(0, time.Minute), time.Time{}, func() {
			w.person(id)
			w.people--
		})
	}
	w.spawn(0, time.Time{}, w.ticks)
}

// person clicks, sometimes twice, and clicks again after a failure.
func (w *world) person(id order.ID) {
	w.click(id)
	if w.chance(0.1) {
		w.click(id) // a double click
	}
	for range 1 + w.rng.IntN(3) {
		w.sleep(w.between(time.Second, 40*time.Minute))
		rec, ok := w.get(id)
		switch {
		case ok && !w.opt.noWord && w.chance(0.15) && w.resolve(rec):
			w.hint(id, w.between(0, 3*time.Second))
		case ok && (rec.State == order.Failed || w.chance(0.2)):
			w.click(id)
		}
	}
}

// resolve is what an on-call engineer says of an order that failed, or of one
// that was adopted. The engineer errs: says "none" of an order that lives,
// names another order's number, takes an adoption back.
func (w *world) resolve(rec order.Record) bool {
	s := order.Resolution{ID: rec.ID, By: "ann", Why: "looked", Now: w.now}
	switch n := w.rng.IntN(3); {
	case n == 0 && len(w.books) > 0:
		s.Adopt = w.books[w.rng.IntN(len(w.books))].id
	case n == 1:
		s.UndoAdopt = true
	default:
		s.None = true
	}
	if s.None && w.seen[rec.ID].vague(w) {
		return false // that word is the person's own: nothing in WHMCS can show that it is wrong
	}
	if _, err := w.mem.Resolve(context.Background(), s); err != nil && fault.CodeOf(err) != fault.StateChanged {
		panic(err)
	}
	return true
}

// click is a callout; Salesforce may hold one back for minutes, and an order may
// fail in between: the person has not read that failure, so it is no consent.
func (w *world) click(id order.ID) {
	f := w.seen[id]
	f.keys++
	key, signed := f.keys, w.now
	if w.chance(0.1) {
		w.sleep(w.between(0, 4*time.Minute))
	}
	before, _ := w.get(id)
	got, err := w.mem.Claim(context.Background(), order.Claim{
		ID: id, Nonce: fmt.Sprintf("nonce-%s-%d", id, key), NonceExpiry: w.now.Add(10 * time.Minute),
		Key: strconv.Itoa(key), By: order.Token(fmt.Sprintf("click-%d", w.rng.Uint64())), SignedAt: signed, Now: w.now,
	})
	if err != nil {
		panic(err)
	}
	if got.Outcome == order.Reopened && before.ErrorCode == fault.ModuleFailed && !signed.Before(before.ErrorAt.Truncate(time.Second)) {
		f.consents++
	}
	for range 1 + w.rng.IntN(2) { // the hint, perhaps doubled, perhaps lost
		if !w.chance(0.1) {
			w.hint(id, w.between(0, 3*time.Second))
		}
	}
}

func (w *world) get(id order.ID) (order.Record, bool) {
	rec, ok, err := w.mem.Get(context.Background(), id)
	if err != nil {
		panic(err)
	}
	return rec, ok
}

// ticks is the clock: each minute it hints what is due, while anything is open
// or anybody may still click.
func (w *world) ticks() {
	for w.now.Sub(epoch) < 120*time.Hour {
		w.sleep(time.Minute)
		w.resume()
		for _, id := range w.due(w.now) {
			w.hint(id, w.between(0, 2*time.Second))
		}
		if w.people == 0 && len(w.due(w.now.Add(1000*time.Hour))) == 0 {
			return
		}
	}
}

// resume is the on-call engineer who is called by a pause that the engine made.
func (w *world) resume() {
	c, err := w.mem.Control(context.Background(), order.SideWHMCS)
	if err == nil && c.Paused && w.now.Sub(c.At) > 20*time.Minute {
		err = w.mem.Resume(context.Background(), "ann", w.now)
	}
	if err != nil {
		panic(err)
	}
}

func (w *world) due(at time.Time) []order.ID {
	ids, err := w.mem.Due(context.Background(), at, len(w.ids))
	if err != nil {
		panic(err)
	}
	return ids
}

// hint starts a worker after d: an invocation with a deadline and a clock of
// its own.
func (w *world) hint(id order.ID, d time.Duration) {
	deadline := w.now.Add(d + 600*time.Second)
	kill := deadline
	if w.chance(0.3) {
		kill = time.Time{} // even a platform that forgets to kill must do no harm
	}
	skew := time.Duration(0)
	switch {
	case w.opt.skew > 0:
		skew = w.between(0, 2*w.opt.skew) - w.opt.skew
	case !w.opt.calm:
		skew = w.between(0, 2*time.Second) - time.Second // two workers differ by ≤ 2 s
	}
	w.spawn(d, kill, func() {
		h := &hand{world: w, skew: skew}
		e, err := h.engine()
		if err != nil {
			panic(err)
		}
		ctx, cancel := context.WithDeadline(context.Background(), deadline)
		defer cancel()
		if _, err := e.Run(ctx, id); err != nil && fault.CodeOf(err) != fault.StoreUnavailable {
			w.seen[id].zombie = append(w.seen[id].zombie, "run: "+err.Error())
		}
	})
}

// hand is one worker's view of the world.
type hand struct {
	*world
	skew time.Duration
}

func (h *hand) engine() (*provision.Engine, error) {
	log := slog.New(slog.DiscardHandler)
	d := provision.Deps{
		Store: simStore{h}, Orders: simOrders{h}, Billing: simBilling{h}, Clock: simClock{h}, Log: log, Random: h.rng.Float64,
		Token: func() order.Token { return order.Token(fmt.Sprintf("lease-%d", h.rng.Uint64())) },
	}
	var err error
	d.WHMCS, err = breaker.New(breaker.Deps{Controls: simStore{h}, Side: order.SideWHMCS, Probe: d.Billing.Probe, Now: d.Clock.Now, Log: log}, h.cfg.RetryBase)
	if err != nil {
		return nil, err
	}
	d.Salesforce, err = breaker.New(breaker.Deps{Controls: simStore{h}, Side: order.SideSalesforce, Probe: d.Orders.Probe, Now: d.Clock.Now, Log: log}, h.cfg.RetryBase)
	if err != nil {
		return nil, err
	}
	return provision.New(d, h.cfg)
}

// step is the moment before or after a call at which anything may happen to a
// process: it is killed, or frozen for seconds or for longer than its lease.
func (h *hand) step() {
	switch {
	case h.chance(h.often(0.01, 0.03)):
		panic(killed{})
	case h.chance(0.008):
		h.sleep(h.between(time.Second, 12*time.Minute))
	default:
		h.sleep(h.between(time.Millisecond, 20*time.Millisecond))
	}
}

type simClock struct{ *hand }

func (c simClock) Now() time.Time { return c.now.Add(c.skew) }
func (c simClock) Sleep(_ context.Context, d time.Duration) error {
	c.sleep(d)
	return nil
}

// --- the table

type simStore struct{ *hand }

var errTable = fault.Wrap(fault.StoreUnavailable, errors.New("simulated"))

func guarded[T any](h *hand, call func() (T, error)) (T, error) {
	var none T
	h.step()
	if h.chance(0.01) {
		return none, errTable // refused
	}
	got, err := call()
	h.step()
	if h.chance(0.01) {
		return none, errTable // done, reply lost
	}
	return got, err
}

func (s simStore) Lease(ctx context.Context, id order.ID, l order.Lease) (order.Record, error) {
	return guarded(s.hand, func() (order.Record, error) { return s.mem.Lease(ctx, id, l) })
}

func (s simStore) Write(ctx context.Context, step order.Step) (order.Record, error) {
	stamp := step.To.Add
	if s.opt.noStamp && stamp.Count > 1 && stamp.Count > step.From.Add.Count {
		step.To.Add.Until, step.To.Add.SettledAt = step.From.Add.Until, step.From.Add.SettledAt
	}
	rec, err := guarded(s.hand, func() (order.Record, error) { return s.mem.Write(ctx, step) })
	if s.opt.noStamp {
		rec.Add = stamp
	}
	if s.opt.noFence && fault.CodeOf(err) == fault.LeaseLost {
		return step.To, nil // a worker that does not ask whether it may
	}
	return rec, err
}

func (s simStore) Control(ctx context.Context, side order.Side) (order.Control, error) {
	return guarded(s.hand, func() (order.Control, error) { return s.mem.Control(ctx, side) })
}

func (s simStore) ChangeControl(ctx context.Context, side order.Side, change func(order.Control) (order.Control, bool)) (order.Control, error) {
	return guarded(s.hand, func() (order.Control, error) { return s.mem.ChangeControl(ctx, side, change) })
}

// --- Salesforce

type simOrders struct{ *hand }

func (s simOrders) Load(_ context.Context, id order.ID) (order.Request, error) {
	s.sleep(s.between(20*time.Millisecond, 2*time.Second))
	s.step()
	switch {
	case s.chance(0.03):
		return order.Request{}, fault.Wrap(fault.SalesforceUnavailable, errors.New("simulated"))
	case s.chance(0.005):
		return order.Request{}, fault.New(fault.SalesforcePermission, "")
	case s.chance(0.005):
		return order.Request{}, fault.New(fault.AccountNotMapped, "")
	}
	return order.Request{ID: id, AccountID: "001000000000001AAA", ClientID: 7, Lines: []order.Line{
		{ItemID: "a", ProductID: 1, Cycle: order.Monthly, Quantity: 1},
		{ItemID: "b", ProductID: 2, Cycle: order.OneTime, Quantity: 3},
	}}, nil
}

func (s simOrders) Probe(context.Context) error { return s.read() }

// --- WHMCS

type simBilling struct{ *hand }

// read is how long one read takes and how it ends.
func (h *hand) read() error {
	h.step()
	if h.chance(h.often(0.02, 0.3)) {
		h.sleep(h.between(time.Second, 100*time.Second)) // slow, but it answers
	} else {
		h.sleep(h.between(20*time.Millisecond, time.Second))
	}
	switch {
	case h.chance(0.03):
		return fault.Wrap(fault.WHMCSUnavailable, errors.New("simulated"))
	case h.chance(0.003):
		return fault.New(fault.WHMCSIPDenied, "")
	}
	return nil
}

func (s simBilling) Client(context.Context, int64) error { return s.hand.read() }
func (s simBilling) Probe(context.Context) error         { return s.hand.read() }

func (s simBilling) Products(context.Context, []int64) (map[int64]order.ProductInfo, error) {
	if err := s.hand.read(); err != nil {
		return nil, err
	}
	return map[int64]order.ProductInfo{1: {ProductID: 1}, 2: {ProductID: 2, Quantity: order.QuantityMultiple}}, nil
}

func (s simBilling) Order(_ context.Context, id string, _ int64) (order.BillingOrder, bool, error) {
	b := s.find(id) // the answer is made first and may be old when it arrives
	var m order.BillingOrder
	if b != nil {
		m = b.view()
	}
	if err := s.hand.read(); err != nil {
		return order.BillingOrder{}, false, err
	}
	return m, b != nil, nil
}

// Page lists what was made so long ago, falling, a few on a page, so that a
// search is interrupted between its pages too.
func (s simBilling) Page(_ context.Context, l order.Listing) (order.Page, error) {
	const size = 3
	all := []order.BillingOrder{}
	for _, b := range slices.Backward(s.books) {
		if s.opt.earlySearch == 0 || s.now.Sub(b.made) > s.opt.earlySearch {
			all = append(all, b.view())
		}
	}
	p := order.Page{Orders: all[min(l.Start, len(all)):min(l.Start+size, len(all))], Total: len(all)}
	return p, s.hand.read()
}

func (s simBilling) Newest(context.Context) (int64, error) {
	newest := int64(len(s.books))
	return newest, s.hand.read()
}

func (s simBilling) ModuleFailures(_ context.Context, ids []string) (map[string]string, error) {
	failed := map[string]string{}
	for _, b := range s.books {
		if b.queued != "" && len(ids) > 0 && len(b.services) > 0 && ids[0] == b.services[0].ID {
			failed[ids[0]] = b.queued
		}
	}
	return failed, s.hand.read()
}

func (w *world) find(id string) *booked {
	for _, b := range w.books {
		if b.id == id {
			return b
		}
	}
	return nil
}

func (b *booked) view() order.BillingOrder {
	m := order.BillingOrder{ID: b.id, ClientID: 7, Status: b.status, Marker: order.ReadMarker(b.notes), Date: b.made}
	for _, s := range b.services {
		s.Status = "Pending"
		if b.live {
			s.Status = "Active"
		}
		m.Services = append(m.Services, s)
	}
	return m
}

// send is what both effects share: the gate, the way there and the way back.
// arrive runs in WHMCS; its answer comes back, or not.
func (s simBilling) send(gate order.SendWindow, longest time.Duration, arrive func(run time.Duration) (any, error)) (any, error) {
	unavailable := fault.Wrap(fault.WHMCSUnavailable, errors.New("simulated"))
	s.step() // between the worker's check and the socket's
	if s.chance(0.02) {
		return nil, &fault.NotSent{Err: unavailable}
	}
	// The socket's own check and the write are one moment: what lies between
	// them is A2's.
	if !s.opt.noGate && !s.now.Add(s.skew).Before(gate.Until) {
		return nil, &fault.NotSent{Err: unavailable}
	}
	if s.chance(0.03) {
		s.sleep(s.between(0, gate.Timeout))
		return nil, &fault.Unsure{Err: unavailable} // lost before WHMCS
	}
	run := s.between(50*time.Millisecond, 5*time.Second)
	if s.chance(s.often(0.05, 0.6)) {
		run = s.between(time.Second, longest) // slow, up to all that A3 allows
	}
	type reply struct {
		got any
		err error
	}
	var answer *reply
	sent := s.now
	w := s.world
	w.spawn(0, time.Time{}, func() {
		got, err := arrive(run)
		answer = &reply{got, err}
	})
	lost := s.chance(0.04)
	for answer == nil && s.now.Sub(sent) < gate.Timeout {
		s.sleep(s.between(100*time.Millisecond, 2*time.Second))
	}
	s.step()
	if answer == nil || lost {
		return nil, &fault.Unsure{Err: unavailable}
	}
	return answer.got, answer.err
}

func (s simBilling) Add(_ context.Context, gate order.SendWindow, id order.ID, plan order.Plan) (string, error) {
	w := s.world
	longest := w.longestAdd()
	got, err := s.send(gate, longest, func(run time.Duration) (any, error) {
		if w.seen[id].rejects {
			return nil, &fault.Refused{Err: fault.New(fault.WHMCSRejected, "Invalid Payment Method")}
		}
		if w.chance(0.01) {
			return nil, &fault.Refused{Err: fault.New(fault.WHMCSCredentials, "")}
		}
		w.sleep(run)
		b := &booked{id: strconv.Itoa(len(w.books) + 1), sf: id, notes: id.Marker(), status: order.BillingPending, made: w.now}
		for _, e := range plan.Entries {
			for range e.Services {
				b.services = append(b.services, order.BillingService{ID: fmt.Sprintf("%s%03d", b.id, len(b.services)), ProductID: e.ProductID, Cycle: e.Cycle, Quantity: 1})
			}
		}
		w.books = append(w.books, b)
		if w.chance(0.05) {
			w.spawn(w.between(0, 30*time.Minute), time.Time{}, func() { w.edit(b) })
		}
		return b.id, nil
	})
	if err != nil {
		return "", err
	}
	return got.(string), nil
}

// edit is an admin who writes into an order's notes, and perhaps damages the
// marker.
func (w *world) edit(b *booked) {
	id := b.sf.String()
	notes := []string{
		b.notes + ", called the customer", "see " + b.notes + ".", "sfOrderId=801999999999999AAA\n" + b.notes, "SFORDERID=" + id,
		"sfOrderId=" + id[:17], "sfOrderId=" + id[:15], "sfOrderId=" + id[:16] + "X" + id[17:], "called the customer", "",
	}
	b.notes = notes[w.rng.IntN(len(notes))]
}

// longestAdd is how long after the window AddOrder may still run: all of
// settle, or more where A3 is broken. The send itself used up none of it.
func (w *world) longestAdd() time.Duration {
	if w.opt.slowAdd {
		return 900 * time.Second
	}
	if w.opt.settle > 0 {
		return w.opt.settle
	}
	return 300 * time.Second
}

func (s simBilling) Accept(_ context.Context, gate order.SendWindow, whmcsID string) error {
	w := s.world
	_, err := s.send(gate, 900*time.Second, func(run time.Duration) (any, error) {
		b := w.find(whmcsID)
		if b == nil || b.status != order.BillingPending {
			return nil, &fault.Refused{Err: fault.New(fault.StateChanged, "Order ID not found or Status not Pending")}
		}
		b.runs++
		w.sleep(run)
		switch {
		case w.chance(0.03): // B: the module says no, the order stays Pending
			return nil, &fault.Refused{Err: fault.New(fault.ModuleFailed, "no free server")}
		case w.chance(0.02): // A: the order reads Active, nothing was built
			b.status, b.queued = order.BillingActive, "no free server"
			return "", nil
		case w.chance(0.02): // PHP dies after the remote account was made
			return nil, &fault.Unsure{Err: fault.New(fault.WHMCSUnavailable, "")}
		}
		b.status, b.live = order.BillingActive, true
		return "", nil
	})
	return err
}
