package breaker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"orderbridge/shared/breaker"
	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/provision/provisiontest"
)

const (
	side      = order.SideWHMCS
	retryBase = time.Minute // its half is the first opening
	first     = retryBase / 2
)

var (
	began = time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	busy  = fault.New(fault.WHMCSUnavailable, "busy")
	role  = fault.New(fault.WHMCSCredentials, "bad credentials")
)

// world is one table, one clock and one side; any number of breakers stand
// before them, as in processes of their own.
type world struct {
	*provisiontest.Memory
	t *testing.T

	mu     sync.Mutex
	now    time.Time
	probe  error // what a probe finds
	probes int
	writes int // calls of ChangeControl
	log    bytes.Buffer
}

func newWorld(t *testing.T) *world {
	w := &world{Memory: provisiontest.NewMemory(), t: t, now: began}
	w.Before = func(_ context.Context, op provisiontest.Op) error {
		if op.Method == "ChangeControl" {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.writes++
		}
		return nil
	}
	return w
}

func (w *world) breaker() *breaker.Breaker { return w.over(w) }

func (w *world) over(c breaker.Controls) *breaker.Breaker {
	w.t.Helper()
	b, err := breaker.New(breaker.Deps{
		Controls: c, Side: side, Log: slog.New(slog.NewJSONHandler(&w.log, nil)),
		Now: func() time.Time {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.now
		},
		Probe: func(context.Context) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.probes++
			return w.probe
		},
	}, retryBase)
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

func (w *world) control() order.Control {
	w.t.Helper()
	c, err := w.Control(w.t.Context(), side)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// lines are what was logged since the last call, by their messages.
func (w *world) lines() (lines []map[string]any) {
	w.t.Helper()
	for d := json.NewDecoder(&w.log); d.More(); {
		var line map[string]any
		if err := d.Decode(&line); err != nil {
			w.t.Fatal(err)
		}
		lines = append(lines, line)
	}
	return lines
}

func (w *world) wantLine(message, code string) {
	w.t.Helper()
	lines := w.lines()
	if len(lines) != 1 || lines[0]["msg"] != message || lines[0]["side"] != string(side) || code != "" && lines[0]["code"] != code {
		w.t.Errorf("logged %v, want one line %q with code %q", lines, message, code)
	}
}

// until is what Trip and Fault return, without its error.
func (w *world) until(at time.Time, err error) time.Time {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
	return at
}

func (w *world) admit(b *breaker.Breaker) *order.Blocked {
	w.t.Helper()
	_, blocked, err := b.Admit(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return blocked
}

func wantUntil(t *testing.T, got, want time.Time) {
	t.Helper()
	if !got.Equal(want) {
		t.Errorf("open until %v, want %v", got, want)
	}
}

func TestABreakerWithoutAPortOrATimeIsRefused(t *testing.T) {
	w := newWorld(t)
	whole := breaker.Deps{
		Controls: w, Side: side, Log: slog.New(slog.DiscardHandler),
		Now: time.Now, Probe: func(context.Context) error { return nil },
	}
	if _, err := breaker.New(whole, 0); fault.CodeOf(err) != fault.ConfigurationInvalid {
		t.Errorf("RETRY_BASE 0: %v", err)
	}
	for name, without := range map[string]func(*breaker.Deps){
		"Controls": func(d *breaker.Deps) { d.Controls = nil },
		"Side":     func(d *breaker.Deps) { d.Side = "" },
		"Probe":    func(d *breaker.Deps) { d.Probe = nil },
		"Now":      func(d *breaker.Deps) { d.Now = nil },
		"Log":      func(d *breaker.Deps) { d.Log = nil },
	} {
		d := whole
		without(&d)
		if _, err := breaker.New(d, retryBase); err == nil {
			t.Errorf("made without %s", name)
		}
	}
}

// The count is the table's: no process met more than two of the three faults.
func TestTheThirdFaultInARowOpensWhicheverProcessesMetThem(t *testing.T) {
	w := newWorld(t)
	a, b := w.breaker(), w.breaker()
	for n, met := range []*breaker.Breaker{a, b} {
		wantUntil(t, w.until(met.Fault(t.Context(), busy)), time.Time{})
		if blocked := w.admit(met); blocked != nil {
			t.Fatalf("blocked after %d faults: %+v", n+1, blocked)
		}
	}
	wantUntil(t, w.until(a.Fault(t.Context(), busy)), began.Add(first))
	for _, asks := range []*breaker.Breaker{a, b, w.breaker()} {
		blocked := w.admit(asks)
		if blocked == nil || blocked.Why != fault.WHMCSUnavailable {
			t.Fatalf("blocked: %+v", blocked)
		}
		wantUntil(t, blocked.Until, began.Add(first))
	}
	if w.probes != 0 {
		t.Errorf("%d probes of a breaker that has just opened", w.probes)
	}
	w.wantLine("breaker opened", "whmcs_unavailable")
}

func TestServedEndsTheRowAndWritesOnlyAfterFaults(t *testing.T) {
	w := newWorld(t)
	a, b := w.breaker(), w.breaker()
	if err := a.Served(t.Context(), w.control()); err != nil || w.writes != 0 {
		t.Fatalf("without faults: %d changes, %v", w.writes, err)
	}
	for range 2 {
		w.until(a.Fault(t.Context(), busy))
	}
	seen := w.control()
	w.writes = 0
	if err := b.Served(t.Context(), seen); err != nil || w.writes != 1 {
		t.Errorf("after faults: %d changes, %v", w.writes, err)
	}
	if c := w.control(); c.Faults != 0 {
		t.Errorf("%d faults are left", c.Faults)
	}
	for range 2 { // a new row
		wantUntil(t, w.until(b.Fault(t.Context(), busy)), time.Time{})
	}
	wantUntil(t, w.until(a.Fault(t.Context(), busy)), began.Add(first))
}

func TestTripOpensAtOnceAndDoesNotMoveAnOpenOne(t *testing.T) {
	w := newWorld(t)
	a, b := w.breaker(), w.breaker()
	wantUntil(t, w.until(a.Trip(t.Context(), role)), began.Add(first))
	w.wantLine("breaker opened", "whmcs_credentials_refused")
	was := w.control()
	w.now = began.Add(first - time.Second)
	wantUntil(t, w.until(b.Trip(t.Context(), busy)), began.Add(first))
	if c := w.control(); !c.OpenUntil.Equal(was.OpenUntil) || c.Why != was.Why || c.Fails != was.Fails {
		t.Errorf("an open breaker was moved: %+v, was %+v", c, was)
	}
	if lines := w.lines(); len(lines) != 0 {
		t.Errorf("logged %v", lines)
	}
}

func TestItOpensForTwiceAsLongAfterEachFailedProbeUpToFiveMinutes(t *testing.T) {
	w := newWorld(t)
	w.until(w.breaker().Trip(t.Context(), role))
	w.lines()
	w.probe = busy
	for n, want := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 5 * time.Minute, 5 * time.Minute} {
		w.now = w.control().OpenUntil
		blocked := w.admit(w.breaker())
		if blocked == nil || blocked.Why != fault.WHMCSUnavailable {
			t.Fatalf("blocked: %+v", blocked)
		}
		wantUntil(t, blocked.Until, w.now.Add(want))
		wantUntil(t, w.control().OpenUntil, w.now.Add(want))
		w.wantLine("probe failed", "whmcs_unavailable")
		if w.probes != n+1 {
			t.Errorf("%d probes, want %d", w.probes, n+1)
		}
	}
}

func TestASuccessfulProbeClosesAndForgetsWhatFailed(t *testing.T) {
	w := newWorld(t)
	w.until(w.breaker().Trip(t.Context(), role))
	w.probe = busy
	w.now = w.control().OpenUntil
	w.admit(w.breaker())
	w.lines()
	w.probe = nil
	w.now = w.control().OpenUntil
	c, blocked, err := w.breaker().Admit(t.Context())
	if err != nil || blocked != nil {
		t.Fatalf("blocked %+v, %v", blocked, err)
	}
	w.wantLine("probe succeeded: breaker closed", "")
	for where, c := range map[string]order.Control{"returned": c, "stored": w.control()} {
		if !c.OpenUntil.IsZero() || c.Fails != 0 || c.Faults != 0 || !c.OpenedAt.IsZero() {
			t.Errorf("%s: %+v", where, c)
		}
	}
	// The next opening is a first one again.
	wantUntil(t, w.until(w.breaker().Trip(t.Context(), role)), w.now.Add(first))
}

// unsure is an effect with an unknown outcome, sent under a lease.
func (w *world) unsure(lease order.Token) {
	w.t.Helper()
	if err := w.breaker().Unsure(w.t.Context(), "AddOrder", lease, busy); err != nil {
		w.t.Fatal(err)
	}
}

// mayTry asks to be the canary, and says whether that lease may send now.
func (w *world) mayTry(lease order.Token, lasts time.Duration) bool {
	w.t.Helper()
	c, err := w.breaker().Try(w.t.Context(), "AddOrder", lease, lasts)
	if err != nil {
		w.t.Fatal(err)
	}
	return c.Withheld("AddOrder", lease) == nil
}

// Effects of which nothing is known are no faults of reads, and a probe that is
// answered says nothing of them: work goes on, the effect alone is held, and one
// order in each window is its canary.
func TestUnknownOutcomesHoldTheEffectUntilACanaryIsAnswered(t *testing.T) {
	w := newWorld(t)
	for n := range order.UnsureInRow {
		w.unsure("lost")
		if held := len(w.control().Unanswered(w.now)) > 0; held != (n == order.UnsureInRow-1) {
			t.Fatalf("%d in a row: held %v", n+1, held)
		}
	}
	w.wantLine("effect is not answered: orders that send it wait", "whmcs_unavailable")
	until := func() time.Time { return w.control().Unsure["AddOrder"].Until }
	w.unsure("out already") // only counts
	wantUntil(t, until(), began.Add(first))
	if c := w.control(); c.Withheld("AcceptOrder", "x") != nil || !c.OpenUntil.IsZero() {
		t.Errorf("more than one effect is held: %+v", c)
	}
	if blocked := w.admit(w.breaker()); blocked != nil || w.probes != 0 {
		t.Errorf("work does not go on: %+v, %d probes", blocked, w.probes)
	}
	for n, want := range []time.Duration{2 * first, 4 * first, 8 * first, 5 * time.Minute, 5 * time.Minute} {
		if w.mayTry("too early", time.Second) {
			t.Fatalf("canary %d came inside the window", n)
		}
		w.now = until()
		w.lines()
		if !w.mayTry("canary", time.Second) || w.mayTry("another", time.Second) {
			t.Fatalf("canary %d is not one", n)
		}
		w.wantLine("effect is tried by one order", "")
		w.unsure("canary")
		wantUntil(t, until(), w.now.Add(want))
		w.wantLine("effect is not answered: orders that send it wait", "whmcs_unavailable")
		if w.control().Withheld("AddOrder", "canary") == nil {
			t.Fatal("a canary that was not answered may send again")
		}
	}
	// A read that is answered, and another effect, end nothing.
	if err := errors.Join(w.breaker().Served(t.Context(), w.control()), w.breaker().Sure(t.Context(), "AcceptOrder", w.control())); err != nil {
		t.Fatal(err)
	}
	w.now = until()
	if c := w.control(); c.Withheld("AddOrder", "x") == nil || !w.mayTry("canary", time.Second) {
		t.Fatalf("ended by something else: %+v", c)
	}
	if err := w.breaker().Sure(t.Context(), "AddOrder", w.control()); err != nil {
		t.Fatal(err)
	}
	if c := w.control(); len(c.Unsure) != 0 || !c.ClosedAt.Equal(w.now) {
		t.Errorf("after the canary's answer: %+v", c)
	}
}

// An effect takes a minute until it is given up, and the first window is half of
// one: the next canary waits for the one that is out, and knows what became of it.
func TestACanaryIsAloneUntilItsEffectHasEnded(t *testing.T) {
	w := newWorld(t)
	for range order.UnsureInRow {
		w.unsure("lost")
	}
	w.now = began.Add(first)
	if !w.mayTry("slow", 3*first) {
		t.Fatal("no canary")
	}
	w.now = w.now.Add(2 * first)
	if w.mayTry("second", 3*first) {
		t.Error("two canaries at once")
	}
	w.unsure("slow")
	wantUntil(t, w.control().Unsure["AddOrder"].Until, w.now.Add(2*first))
}

func TestAPersonsProbeMakesTheNextOrderTheCanary(t *testing.T) {
	w := newWorld(t)
	for range order.UnsureInRow {
		w.unsure("lost")
	}
	if blocked, err := w.breaker().ProbeNow(t.Context()); blocked != nil || err != nil || w.probes != 1 {
		t.Fatalf("%+v, %v, %d probes", blocked, err, w.probes)
	}
	if !w.mayTry("next", time.Second) {
		t.Error("the next order waits")
	}
}

func TestAnEffectThatNoOrderSendsIsHeldForNoOrder(t *testing.T) {
	w := newWorld(t)
	for range order.UnsureInRow {
		w.unsure("lost")
	}
	until := w.control().Unsure["AddOrder"].Until
	for at, want := range map[time.Time]int{until: 1, until.Add(order.Unheld - 1): 1, until.Add(order.Unheld): 0} {
		if got := len(w.control().Unanswered(at)); got != want {
			t.Errorf("%s after its window: %d", at.Sub(until), got)
		}
	}
}

func TestAnAnswerEndsTheCountOfUnknownOutcomes(t *testing.T) {
	w := newWorld(t)
	for range 5 {
		for range order.UnsureInRow - 1 {
			w.unsure("lost")
		}
		if err := w.breaker().Sure(t.Context(), "AddOrder", w.control()); err != nil {
			t.Fatal(err)
		}
	}
	if c := w.control(); len(c.Unsure) != 0 {
		t.Errorf("%+v", c)
	}
	writes := w.writes
	if err := w.breaker().Sure(t.Context(), "AddOrder", w.control()); err != nil || w.writes != writes {
		t.Errorf("an answer with nothing to end was written, %v", err)
	}
}

func TestHaltPausesOnceAndKeepsTheReason(t *testing.T) {
	w := newWorld(t)
	for _, cause := range []error{fault.New(fault.MarkerNotKept, "first"), fault.New(fault.MarkerNotKept, "second")} {
		if err := w.breaker().Halt(t.Context(), "provision", cause); err != nil {
			t.Fatal(err)
		}
	}
	c := w.control()
	if !c.Paused || c.By != "provision" || c.Reason != "marker_not_kept: first" || len(c.History) != 1 {
		t.Errorf("%+v", c)
	}
	w.wantLine("paused until a person resumes", "marker_not_kept")
	if blocked := w.admit(w.breaker()); blocked == nil {
		t.Error("work goes on")
	}
}

// All workers read the breaker before any of them takes the probe.
func TestOneOfManyMakesTheProbe(t *testing.T) {
	w := newWorld(t)
	w.until(w.breaker().Trip(t.Context(), role))
	w.now = began.Add(first)
	w.probe = busy
	const workers = 50
	var read, done sync.WaitGroup
	read.Add(workers)
	w.After = func(_ context.Context, op provisiontest.Op, _ order.Record, err error) error {
		if op.Method == "Control" {
			read.Done()
			read.Wait()
		}
		return nil
	}
	for range workers {
		b := w.breaker()
		done.Go(func() {
			if _, blocked, err := b.Admit(t.Context()); err != nil || blocked == nil || !blocked.Until.After(began.Add(first)) {
				t.Errorf("blocked %+v, %v", blocked, err)
			}
		})
	}
	done.Wait()
	if w.probes != 1 {
		t.Errorf("%d probes", w.probes)
	}
}

func TestPausedBlocksWithoutAProbe(t *testing.T) {
	w := newWorld(t)
	w.until(w.breaker().Trip(t.Context(), role))
	if err := w.Pause(t.Context(), "maintenance", "ops", began); err != nil {
		t.Fatal(err)
	}
	w.now = began.Add(time.Hour) // a probe would be due
	w.writes = 0
	blocked := w.admit(w.breaker())
	if blocked == nil || blocked.Why != "" {
		t.Fatalf("blocked: %+v", blocked)
	}
	if w.probes != 0 || w.writes != 0 {
		t.Errorf("%d probes, %d changes", w.probes, w.writes)
	}
	if err := w.Resume(t.Context(), "ops", w.now); err != nil {
		t.Fatal(err)
	}
	if blocked := w.admit(w.breaker()); blocked != nil || w.probes != 1 {
		t.Errorf("resumed: %+v, %d probes", blocked, w.probes)
	}
}

func TestATableThatIsAwayIsSaidSoAndNothingIsProbed(t *testing.T) {
	away := errors.New("away")
	for name, call := range map[string]struct {
		method string
		do     func(context.Context, *breaker.Breaker) error
	}{
		"Admit: the read":  {"Control", func(ctx context.Context, b *breaker.Breaker) error { _, _, err := b.Admit(ctx); return err }},
		"Admit: the claim": {"ChangeControl", func(ctx context.Context, b *breaker.Breaker) error { _, _, err := b.Admit(ctx); return err }},
		"Trip":             {"ChangeControl", func(ctx context.Context, b *breaker.Breaker) error { _, err := b.Trip(ctx, role); return err }},
		"Fault":            {"ChangeControl", func(ctx context.Context, b *breaker.Breaker) error { _, err := b.Fault(ctx, busy); return err }},
		"Try": {"ChangeControl", func(ctx context.Context, b *breaker.Breaker) error {
			_, err := b.Try(ctx, "AddOrder", "mine", time.Second)
			return err
		}},
		"Unsure": {"ChangeControl", func(ctx context.Context, b *breaker.Breaker) error { return b.Unsure(ctx, "AddOrder", "mine", busy) }},
		"Sure": {"ChangeControl", func(ctx context.Context, b *breaker.Breaker) error {
			return b.Sure(ctx, "AddOrder", order.Control{Side: side, Unsure: map[string]order.Doubt{"AddOrder": {InRow: 1}}})
		}},
		"Served": {"ChangeControl", func(ctx context.Context, b *breaker.Breaker) error {
			return b.Served(ctx, order.Control{Side: side, Faults: 1})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			b := w.breaker()
			w.until(b.Trip(t.Context(), role))
			w.now = w.control().OpenUntil
			was := w.control()
			before := w.Before
			w.Before = func(ctx context.Context, op provisiontest.Op) error {
				if op.Method == call.method {
					return away
				}
				return before(ctx, op)
			}
			if err := call.do(t.Context(), b); fault.CodeOf(err) != fault.StoreUnavailable || !errors.Is(err, away) {
				t.Errorf("got %v", err)
			}
			if w.probes != 0 {
				t.Errorf("%d probes", w.probes)
			}
			w.Before = nil
			if c := w.control(); !c.OpenUntil.Equal(was.OpenUntil) || c.Fails != was.Fails || c.Faults != was.Faults {
				t.Errorf("changed: %+v, was %+v", c, was)
			}
		})
	}
}

// resent is a table behind a network: the answer to the first change is lost,
// and the change runs again on the image that it made.
type resent struct {
	*world
	lost bool
}

func (r *resent) ChangeControl(ctx context.Context, s order.Side, change func(order.Control) (order.Control, bool)) (order.Control, error) {
	if !r.lost {
		r.lost = true
		if _, err := r.world.ChangeControl(ctx, s, change); err != nil {
			return order.Control{}, err
		}
	}
	return r.world.ChangeControl(ctx, s, change)
}

func TestAProbeWhoseReplyWasLostIsKnownAsOnesOwn(t *testing.T) {
	w := newWorld(t)
	w.until(w.breaker().Trip(t.Context(), role))
	w.now = began.Add(first)
	table := &resent{world: w}
	if blocked := w.admit(w.over(table)); blocked != nil {
		t.Errorf("blocked: %+v", blocked)
	}
	if w.probes != 1 || !table.lost {
		t.Errorf("%d probes, reply lost: %v", w.probes, table.lost)
	}
	if c := w.control(); !c.OpenUntil.IsZero() {
		t.Errorf("still open: %+v", c)
	}
}

func TestACanaryWhoseReplyWasLostIsKnownAsOnesOwn(t *testing.T) {
	w := newWorld(t)
	for range order.UnsureInRow {
		w.unsure("lost")
	}
	w.now = began.Add(first)
	table := &resent{world: w}
	c, err := w.over(table).Try(t.Context(), "AddOrder", "mine", time.Second)
	if err != nil || !table.lost || c.Withheld("AddOrder", "mine") != nil {
		t.Errorf("%+v, %v, reply lost: %v", c, err, table.lost)
	}
}

// A worker that was frozen in its probe does not close what has opened since.
func TestALateProbeClosesNothingThatOpenedSince(t *testing.T) {
	w := newWorld(t)
	w.until(w.breaker().Trip(t.Context(), role))
	w.now = began.Add(first)
	later := w.now.Add(time.Hour)
	frozen := true
	w.Before = func(ctx context.Context, op provisiontest.Op) error {
		if w.probes == 0 || !frozen || op.Method != "ChangeControl" {
			return nil
		}
		frozen = false
		w.now = later
		w.until(w.breaker().Trip(ctx, role))
		return nil
	}
	w.admit(w.breaker())
	if c := w.control(); !c.OpenUntil.After(later) {
		t.Errorf("a late probe closed the breaker: %+v", c)
	}
}
