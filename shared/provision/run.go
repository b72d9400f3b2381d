package provision

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// Deps are the ports of an Engine and what it takes from the machine.
type Deps struct {
	Store   Store
	Orders  Orders
	Billing Billing
	// WHMCS and Salesforce are the breakers of the two sides.
	WHMCS, Salesforce Breaker
	Clock             Clock
	Log               *slog.Logger
	// Skewed reports that this worker's clock cannot be trusted (A1); nil = no
	// check. It is asked before each lease and each effect.
	Skewed func() error
	// Random gives a number in [0,1) for jitter; nil = math/rand.
	Random func() float64
	// Token names a lease; nil = order.NewToken.
	Token func() order.Token
}

// Engine carries orders to their end. It holds no order state: any number of
// engines may run the same order, and the table decides who acts.
type Engine struct {
	d       Deps
	cfg     Config
	modules *modules
}

// New returns an engine. It fails with configuration_invalid when a time is
// missing or contradictory, and when a port is missing.
func New(d Deps, cfg Config) (*Engine, error) {
	if d.Store == nil || d.Orders == nil || d.Billing == nil || d.WHMCS == nil || d.Salesforce == nil || d.Clock == nil || d.Log == nil {
		return nil, errors.New("engine: a port is missing")
	}
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if d.Skewed == nil {
		d.Skewed = func() error { return nil }
	}
	if d.Random == nil {
		d.Random = rand.Float64
	}
	if d.Token == nil {
		d.Token = order.NewToken
	}
	return &Engine{d: d, cfg: cfg, modules: &modules{hung: map[int64]time.Time{}}}, nil
}

// End says how a run ended. It is for logs and metrics; what woke the engine
// need not look at it.
type End string

// The ends of a run.
const (
	EndProvisioned End = "provisioned"
	EndFailed      End = "failed"
	EndParked      End = "parked"   // waits; the clock will come back
	EndBlocked     End = "held"     // paused or a breaker is open; not leased
	EndNotDue      End = "not_due"  // nothing to do, or another worker does it
	EndLost        End = "lost"     // the lease went to another worker
	EndUnstored    End = "unstored" // the table did not take the last write
	EndUnreadable  End = "unreadable"
)

// Result is what became of one run.
type Result struct {
	End  End
	Code fault.Code // of the failure or the wait; may be empty
	// Record is the last image this worker wrote or read; zero if it had no lease.
	Record order.Record
}

// Run carries the order as far as it can go now. It is the only entrance:
// queue, clock and operator hint, and recovery is the normal path. The context
// must have a deadline: that of the invocation, after which the platform kills
// the process.
//
// An error means that the table could not be asked; the order is unchanged or
// its lease will run out. Everything else is a Result.
func (e *Engine) Run(ctx context.Context, id order.ID) (Result, error) {
	until, ok := ctx.Deadline()
	if !ok {
		return Result{}, errors.New("run engine: the context has no deadline")
	}
	ctx = order.WithID(ctx, id)
	deadline := until.Round(0)
	asked := e.d.Clock.Now()
	whmcs, blocked, err := e.d.WHMCS.Admit(ctx)
	if err != nil {
		return Result{End: EndBlocked}, err
	}
	if blocked != nil {
		return Result{End: EndBlocked, Code: blocked.Why}, nil
	}
	// Asked after the table has answered: a cold worker knows of its clock by
	// that answer alone.
	if err := e.d.Skewed(); err != nil {
		return Result{End: EndBlocked, Code: fault.CodeOf(err)}, nil
	}
	now := e.d.Clock.Now()
	lease := order.Lease{Token: e.d.Token(), Now: now, Until: now.Add(min(e.cfg.Lease, deadline.Sub(now))), Margin: e.cfg.Margin}
	if lease.Until.Sub(now) <= e.cfg.Margin {
		return Result{End: EndNotDue}, nil
	}
	rec, err := e.d.Store.Lease(ctx, id, lease)
	switch fault.CodeOf(err) {
	case "":
	case fault.NotDue, fault.OrderNotFound:
		return Result{End: EndNotDue}, nil
	case fault.NotProcessable:
		// No worker can read it; the table has set it aside.
		e.d.Log.LogAttrs(ctx, slog.LevelError, "order cannot be read", slog.String("order_id", id.String()),
			slog.String("code", string(fault.NotProcessable)), slog.Any("error", err))
		return Result{End: EndUnreadable, Code: fault.NotProcessable}, nil
	default:
		return Result{}, err
	}
	ctx = order.WithCorrelation(ctx, rec.CorrelationID)
	w := &worker{Deps: e.d, cfg: e.cfg, modules: e.modules, stored: rec, rec: rec,
		facts: facts{deadline: deadline, renewed: now, whmcs: whmcs, whmcsAt: asked}}
	if rec.Search != nil {
		w.facts.seen.search = *rec.Search
	}
	end, err := w.run(ctx)
	switch fault.CodeOf(err) {
	case fault.LeaseLost:
		end, err = EndLost, nil
	case fault.StoreUnavailable:
		// The lease runs out and the clock comes back: nothing is lost.
		end, err = EndUnstored, nil
	}
	return Result{End: end, Code: w.stored.ErrorCode, Record: w.stored}, err
}

// worker is one lease on one order.
type worker struct {
	Deps
	cfg     Config
	modules *modules
	// stored is the image in the table as this worker last wrote it; rec is what
	// it has learnt since and not yet written. They differ only between an
	// answer and the write that follows it: a crash in between is what the
	// recovery points are for.
	stored, rec order.Record
	facts       facts
	tries       int // of the current read that failed
}

// run decides and acts until the order ends or waits. Here is the only write
// and, in its two methods, the only I/O.
func (w *worker) run(ctx context.Context) (End, error) {
	if !w.rec.RecoveryPoint.Valid() {
		return EndUnstored, fault.Wrap(fault.Internal, fmt.Errorf("run order: unknown recovery point %q", w.rec.RecoveryPoint))
	}
	for {
		w.facts.random, w.facts.skewed = w.Random(), fault.CodeOf(w.Skewed())
		now := w.Clock.Now()
		before := w.rec
		m := decide(before, w.facts, now, w.cfg)
		w.rec = m.To
		if m.Signal != "" {
			if err := w.write(ctx, m, now); err != nil {
				return EndUnstored, err
			}
		}
		if m.To.RecoveryPoint != before.RecoveryPoint {
			w.facts.seen = seen{}
		}
		if m.Then == Pause && w.facts.answer != nil {
			w.facts.resends++
		}
		if m.Then == Again || m.Then == Pause {
			w.facts.failed, w.facts.answer = nil, nil
			w.facts.told, w.facts.openUntil = false, time.Time{}
		}
		switch m.Then {
		case Ask:
			w.ask(ctx, m)
		case Send:
			w.send(ctx, m.Effect, before)
		case Pause:
			if w.Clock.Sleep(ctx, m.For) != nil {
				w.tries, w.facts.resends = readTries, readTries // no time for another
			}
		case Trip, Count, Doubt, Halt:
			if err := w.tell(ctx, m); err != nil {
				return EndUnstored, err
			}
		case Finish:
			return map[order.State]End{order.Provisioned: EndProvisioned, order.Failed: EndFailed, order.Waiting: EndParked}[w.stored.State], nil
		}
	}
}

// write makes the move's record the table's image under the fence. A write that
// the table did not answer is sent again: the same step twice is the same image.
func (w *worker) write(ctx context.Context, m Move, now time.Time) error {
	step := order.Step{From: w.stored, To: m.To, Signal: m.Signal, Now: now}
	if m.Event != "" {
		step.Entry = order.Entry{At: now, Event: m.Event, Detail: m.Detail, By: order.ByEngine}
	}
	if !m.To.LeaseUntil.Equal(w.stored.LeaseUntil) {
		w.facts.renewed = now
	}
	for try := 0; ; try++ {
		rec, err := w.Store.Write(ctx, step)
		if err == nil {
			w.stored, w.rec = rec, rec
			return nil
		}
		if fault.CodeOf(err) != fault.StoreUnavailable || try+1 == readTries || w.stored.LeaseUntil.Add(-w.cfg.Margin).Sub(w.Clock.Now()) <= time.Second {
			return err
		}
		if err := w.Clock.Sleep(ctx, time.Duration(w.Random()*float64(pauseMost(w.cfg, try)))); err != nil {
			return fault.Wrap(fault.StoreUnavailable, err)
		}
	}
}

// ask makes one read and keeps what it says, or how it failed.
func (w *worker) ask(ctx context.Context, m Move) {
	f := &w.facts
	ctx, cancel := context.WithTimeout(ctx, m.Within)
	defer cancel()
	side := order.SideWHMCS
	var err error
	switch m.Read {
	case ReadSwitch:
		side = "" // the table's
		asked := w.Clock.Now()
		if f.whmcs, _, err = w.WHMCS.Admit(ctx); err == nil {
			f.whmcsAt = asked
		}
	case ReadTurn:
		side = ""
		asked := w.Clock.Now()
		if f.whmcs, err = w.WHMCS.Try(ctx, m.Effect.Name, w.rec.Lease, w.cfg.Window+m.Effect.timeout(w.cfg)); err == nil {
			f.whmcsAt = asked
		}
	case ReadRequest:
		side, err = w.load(ctx)
	case ReadCatalog:
		if err = w.Billing.Client(ctx, f.request.ClientID); err == nil {
			if f.products, err = w.Billing.Products(ctx, productIDs(*f.request)); f.products == nil && err == nil {
				f.products = map[int64]order.ProductInfo{}
			}
			if err == nil {
				f.newest, err = w.Billing.Newest(ctx)
			}
		}
	case ReadHeldOrder:
		var o lookup
		if o.BillingOrder, o.exists, err = w.Billing.Order(ctx, m.ID, m.Client); err == nil {
			if f.seen.held == nil {
				f.seen.held = map[string]*lookup{}
			}
			f.seen.held[m.ID] = &o
		}
	case ReadOrder, ReadServices:
		var o lookup
		if o.BillingOrder, o.exists, err = w.Billing.Order(ctx, m.ID, m.Client); err == nil && m.Read == ReadServices && o.exists && !o.Status.Dead() {
			ids := []string{}
			for _, s := range o.Services {
				ids = append(ids, s.ID)
			}
			f.seen.failures, err = w.Billing.ModuleFailures(ctx, ids)
		}
		if err == nil {
			f.seen.order = &o
		}
	case ReadClientOrders:
		if f.seen.search.ClientID != m.Client {
			f.seen.search = order.Search{ClientID: m.Client}
		}
		f.seen.search.OfClient, err = w.page(ctx, f.seen.search.OfClient, listing(w.rec, m.Client), ofClient(w.rec))
	case ReadAllOrders:
		f.seen.search.OfAll, err = w.page(ctx, f.seen.search.OfAll, listing(w.rec, 0), ofAll(w.rec))
	}
	if side != "" && (err == nil || fault.KindOf(err) == fault.Permanent) {
		w.served(ctx, side)
	}
	if err == nil {
		w.tries = 0
		return
	}
	w.tries++
	f.failed = &failure{side: side, err: err, tries: w.tries}
}

// page reads one page of the listing under way; where there is none, l begins.
func (w *worker) page(ctx context.Context, r order.Readings, l order.Listing, counts func(order.BillingOrder) bool) (order.Readings, error) {
	if r.Under.Way != "" {
		l = r.Under
	}
	p, err := w.Billing.Page(ctx, l)
	if err != nil {
		return r, err
	}
	return r.Take(l, p, counts), nil
}

// load reads what was ordered, unless Salesforce's breaker is open.
func (w *worker) load(ctx context.Context) (side order.Side, err error) {
	f := &w.facts
	if f.salesforce == nil {
		control, blocked, err := w.Salesforce.Admit(ctx)
		if err != nil {
			return "", err
		}
		f.salesforce = &admission{control, blocked}
		if blocked != nil {
			return "", nil
		}
	}
	request, err := w.Orders.Load(ctx, w.rec.ID)
	f.account = request.AccountID
	if err == nil {
		f.request = &request
	}
	return order.SideSalesforce, err
}

// send sends the effect whose stamp has been written; before is the record that
// the stamp was decided on. It asks once more what may have changed while the
// stamp was written: the clock, and what is left of the lease.
func (w *worker) send(ctx context.Context, e *Effect, before order.Record) {
	a := &answer{effect: e, before: before}
	w.facts.seen, w.facts.answer = seen{}, a
	now := w.Clock.Now()
	left, longest := w.rec.LeaseUntil.Sub(now)-w.cfg.Margin, e.timeout(w.cfg)
	if err := w.Skewed(); err != nil {
		a.blocked = &order.Blocked{Until: now, Why: fault.CodeOf(err)}
		return
	}
	if left < longest*9/10 {
		a.blocked = &order.Blocked{Until: now} // slow writes used up the lease
		return
	}
	window := order.SendWindow{Until: e.sent(&w.rec).Until, Timeout: min(longest, left)}
	if e.runsModules {
		window.Timeout, a.hangs = w.modules.wait(w.rec.Plan, window.Timeout, now)
	}
	a.result, a.err = e.send(ctx, w.Billing, window, w.rec)
	kind, ended := outcomeOf(a.err), w.Clock.Now()
	if answered := kind == outcomeDone || kind == outcomeRefused; e.runsModules && (answered || ended.Sub(now) >= window.Timeout) {
		w.modules.learn(w.rec.Plan, answered, ended)
	}
	switch kind {
	case outcomeDone:
		w.served(ctx, order.SideWHMCS)
		w.sure(ctx, e)
	case outcomeRefused:
		w.sure(ctx, e)
	}
}

// sure ends the count of effects with an unknown outcome; a table that does not
// take it keeps a count that ends with the next answer.
func (w *worker) sure(ctx context.Context, e *Effect) {
	if err := w.WHMCS.Sure(ctx, e.Name, w.facts.whmcs); err != nil {
		w.Log.LogAttrs(ctx, slog.LevelWarn, "count of unknown outcomes not reset", slog.Any("error", err))
	}
}

// tell reports a fault, or an unknown outcome, to the breaker of a side.
func (w *worker) tell(ctx context.Context, m Move) (err error) {
	w.facts.told = true
	b := w.WHMCS
	switch {
	case m.Side == "":
		return nil // the table's fault, no side's
	case m.Side == order.SideSalesforce:
		b = w.Salesforce
	}
	switch m.Then {
	case Trip:
		w.facts.openUntil, err = b.Trip(ctx, m.Cause)
	case Doubt:
		err = b.Unsure(ctx, w.facts.answer.effect.Name, w.rec.Lease, m.Cause)
	case Halt:
		err = b.Halt(ctx, order.ByEngine, m.Cause)
	default:
		w.facts.openUntil, err = b.Fault(ctx, m.Cause)
	}
	return err
}

// served ends the count of faults of a side that has answered. A table that
// does not take it keeps a count that ends with the next answer.
func (w *worker) served(ctx context.Context, side order.Side) {
	b, seen := w.WHMCS, &w.facts.whmcs
	if side == order.SideSalesforce {
		b, seen = w.Salesforce, &w.facts.salesforce.control
	}
	if err := b.Served(ctx, *seen); err != nil {
		w.Log.LogAttrs(ctx, slog.LevelWarn, "faults of a side not reset", slog.String("side", string(side)), slog.Any("error", err))
	}
	seen.Faults = 0
}
