package provision

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// Config holds the times and policies of the engine. All durations are
// positive except Margin, which may be 0 where all clocks are one.
type Config struct {
	Lease  time.Duration // how long one worker may act without renewing
	Window time.Duration // how long after its write an effect may still leave
	Margin time.Duration // allowance for clock error between workers (A1)

	Settle       time.Duration // AddOrder has ended this long after its window (A3)
	AcceptSettle time.Duration // the same for AcceptOrder

	AddTimeout    time.Duration // until the answer of AddOrder is given up
	AcceptTimeout time.Duration

	RetryBase time.Duration // first wait after a retryable fault
	GiveUp    time.Duration // an order stops retrying this long after it was opened
	VerifyFor time.Duration // how long services may take to become active

	Resend        bool // false: never send a second AddOrder, ask a person
	PaymentMethod string
	Idempotent    []int64       // products whose module may run twice
	Retention     time.Duration // of provisioned orders and plain failures
}

// The numbers that no environment sets.
const (
	// GiveUp is Stripe's and rocket-rides-atomic's horizon: three days cover a
	// weekend on which nobody mends WHMCS.
	GiveUp = 72 * time.Hour
	// VerifyFor covers the slowest module that was seen to build a service
	// after AcceptOrder had answered.
	VerifyFor = 15 * time.Minute

	// maxSends bounds AddOrder requests whose outcome had to be looked up;
	// after five a person knows more than a sixth would show.
	maxSends = 5
	// maxBackoff and maxOpen bound how late an order notices that a side is back.
	maxBackoff = 15 * time.Minute
	maxOpen    = 5 * time.Minute
	// renewEvery: a renewal each minute of reading keeps the lease well ahead.
	renewEvery = 60 * time.Second
	// faultRun: this many runs in a row that ended by a retryable fault of one
	// side open its breaker.
	faultRun = 3
	// readTries: one call and the two retries inside the invocation.
	readTries = 3
)

// Engine carries orders to their end. It holds no order state: any number of
// engines may run the same order, and the table decides who acts.
type Engine struct {
	store   Store
	orders  Orders
	billing Billing
	clock   Clock
	log     *slog.Logger
	cfg     Config

	// skewed reports that this worker's clock cannot be trusted (A1); nil = no check.
	skewed func() error
	// random gives a number in [0,1) for jitter; token names a lease.
	random func() float64
	token  func() order.Token

	// off switches safeguards off, one at a time, in the tests that prove that
	// each of them is needed. Nothing else can set it.
	off struct {
		stamp     bool // a second AddOrder does not move add_until
		lookLater bool // the look may start before AddOrder has settled
	}

	mu     sync.Mutex
	faults map[order.Side]int // runs in a row that a side ended by a retryable fault
}

// Option changes how an Engine is built; simulations inject what production
// takes from the machine.
type Option func(*Engine)

// WithSkewCheck makes the engine ask before each lease and each effect whether
// its clock can be trusted.
func WithSkewCheck(check func() error) Option { return func(e *Engine) { e.skewed = check } }

// WithRandom replaces the source of jitter, a number in [0,1).
func WithRandom(random func() float64) Option { return func(e *Engine) { e.random = random } }

// WithTokens replaces the source of lease tokens.
func WithTokens(token func() order.Token) Option { return func(e *Engine) { e.token = token } }

// New returns an engine. It fails when a time is missing or contradictory.
func New(store Store, orders Orders, billing Billing, clock Clock, log *slog.Logger, cfg Config, opts ...Option) (*Engine, error) {
	for _, d := range []time.Duration{cfg.Lease, cfg.Window, cfg.Settle, cfg.AcceptSettle, cfg.AddTimeout, cfg.AcceptTimeout, cfg.RetryBase, cfg.GiveUp, cfg.VerifyFor, cfg.Retention} {
		if d <= 0 {
			return nil, fault.New(fault.ConfigurationInvalid, "every time of the engine must be positive")
		}
	}
	if cfg.Lease < max(cfg.AddTimeout, cfg.AcceptTimeout)+cfg.Margin {
		return nil, fault.New(fault.ConfigurationInvalid, "the lease is shorter than an effect's time-out plus the margin")
	}
	e := &Engine{
		store: store, orders: orders, billing: billing, clock: clock, log: log, cfg: cfg,
		random: rand.Float64, token: order.NewToken, faults: map[order.Side]int{},
	}
	for _, o := range opts {
		o(e)
	}
	return e, nil
}

// End says how a run ended. It is for logs and metrics; whoever hints need not
// look at it.
type End string

// The ends of a run.
const (
	EndProvisioned End = "provisioned"
	EndFailed      End = "failed"
	EndParked      End = "parked"   // waits; the clock will come back
	EndHeld        End = "held"     // paused or a breaker is open; not leased
	EndNotDue      End = "not_due"  // nothing to do, or another worker does it
	EndLost        End = "lost"     // the lease went to another worker
	EndUnstored    End = "unstored" // the table did not take the last write
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
	deadline, ok := ctx.Deadline()
	if !ok {
		return Result{}, errors.New("run engine: the context has no deadline")
	}
	if e.skewed != nil {
		if err := e.skewed(); err != nil {
			return Result{End: EndHeld, Code: fault.CodeOf(err)}, nil
		}
	}
	if stop, err := e.held(ctx, order.SideWHMCS); err != nil || stop != nil {
		return Result{End: EndHeld, Code: stop.code()}, err
	}

	now := e.clock.Now()
	until := earlier(now.Add(e.cfg.Lease), deadline.Round(0))
	if until.Sub(now) <= e.cfg.Margin {
		return Result{End: EndNotDue}, nil
	}
	token := e.token()
	rec, err := e.store.Lease(ctx, id, Lease{Token: token, Now: now, Until: until, Margin: e.cfg.Margin})
	switch fault.CodeOf(err) {
	case "":
	case fault.NotDue, fault.OrderNotFound:
		return Result{End: EndNotDue}, nil
	default:
		return Result{}, err
	}
	w := &worker{Engine: e, base: rec, cur: rec, deadline: deadline.Round(0), renewed: now}
	end, err := w.run(ctx)
	switch {
	case err == nil:
	case fault.CodeOf(err) == fault.LeaseLost:
		end, err = EndLost, nil
	case fault.CodeOf(err) == fault.StoreUnavailable:
		// The lease runs out and the clock comes back: nothing is lost.
		end, err = EndUnstored, nil
	}
	e.log.LogAttrs(ctx, slog.LevelInfo, "run ended",
		slog.String("order_id", id.String()), slog.String("end", string(end)),
		slog.String("state", string(w.base.State)), slog.String("point", string(w.base.RecoveryPoint)),
		slog.Int64("fence", int64(w.base.Fence)), slog.Int("attempts", w.base.Attempts),
		slog.String("code", string(w.base.ErrorCode)))
	return Result{End: end, Code: w.base.ErrorCode, Record: w.base}, err
}

// hold says that work of a side must wait, until when, and why ("" = paused).
type hold struct {
	until time.Time
	why   fault.Code
}

func (h *hold) code() fault.Code {
	if h == nil {
		return ""
	}
	return h.why
}

// held returns a hold when work of a side must wait: paused, breaker open, or
// its probe failed or belongs to another worker. nil = go on.
func (e *Engine) held(ctx context.Context, side order.Side) (*hold, error) {
	c, err := e.store.Control(ctx, side)
	if err != nil {
		return nil, err
	}
	now := e.clock.Now()
	switch {
	case c.Paused:
		return &hold{until: now}, nil
	case c.Open(now):
		return &hold{c.OpenUntil, c.Why}, nil
	case !c.ProbeDue(now):
		return nil, nil
	}
	// The next window is taken by one conditional write; the winner asks the
	// side with a read, never with an effect.
	until := now.Add(e.openFor(c.Fails))
	won, err := e.store.WinProbe(ctx, c, until)
	if err != nil || !won {
		return &hold{until, c.Why}, err
	}
	seen := c
	seen.OpenUntil = until
	if err := e.probe(ctx, side); err != nil {
		seen.Fails++
		seen.OpenUntil = e.clock.Now().Add(e.openFor(seen.Fails))
		seen.Why = fault.CodeOf(err)
		return &hold{seen.OpenUntil, seen.Why}, e.store.OpenBreaker(ctx, seen)
	}
	e.served(side)
	return nil, e.store.CloseBreaker(ctx, seen, e.clock.Now())
}

func (e *Engine) probe(ctx context.Context, side order.Side) error {
	if side == order.SideSalesforce {
		return e.orders.Probe(ctx)
	}
	return e.billing.Probe(ctx)
}

// openFor is how long a breaker stays open after that many failed probes:
// half of RetryBase (30 s), doubling to 5 min.
func (e *Engine) openFor(fails int) time.Duration {
	return doubled(e.cfg.RetryBase/2, fails, maxOpen)
}

// trip opens the breaker of a side and returns until when.
func (e *Engine) trip(ctx context.Context, side order.Side, why fault.Code) (time.Time, error) {
	c, err := e.store.Control(ctx, side)
	if err != nil {
		return time.Time{}, err
	}
	now := e.clock.Now()
	if c.Open(now) {
		return c.OpenUntil, nil
	}
	c.OpenUntil, c.Why, c.Fails = now.Add(e.openFor(c.Fails)), why, max(c.Fails, 1)
	e.log.LogAttrs(ctx, slog.LevelError, "breaker opened",
		slog.String("side", string(side)), slog.String("code", string(why)), slog.Time("until", c.OpenUntil))
	return c.OpenUntil, e.store.OpenBreaker(ctx, c)
}

// faulted counts one more run that a side ended by a retryable fault and
// reports whether that makes the run of faults long enough to open its breaker.
func (e *Engine) faulted(side order.Side) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.faults[side]++
	if e.faults[side] < faultRun {
		return false
	}
	e.faults[side] = 0
	return true
}

// served notes that a side has just answered as it should.
func (e *Engine) served(side order.Side) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.faults[side] = 0
}

func doubled(base time.Duration, times int, most time.Duration) time.Duration {
	for range times {
		if base >= most {
			break
		}
		base *= 2
	}
	return min(base, most)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
