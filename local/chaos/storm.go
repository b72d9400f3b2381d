package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"time"

	"orderbridge/local/launch"
	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// storm breaks everything at random until ctx ends.
func (r *run) storm(ctx context.Context) error {
	return r.together(ctx,
		hunt{"provision", 100 * time.Millisecond, 700 * time.Millisecond, 1. / 3}.in(r),
		hunt{"statuspush", time.Second, 5 * time.Second, 1. / 2}.in(r),
		hunt{"fulfill", 2 * time.Second, 6 * time.Second, 1. / 3}.in(r),
		r.crashes,
		r.whmcsFaults,
		r.salesforceFaults,
		r.tableFaults,
		r.hints,
		r.edits,
		r.poisons,
		r.resumes,
	)
}

// together runs all until ctx ends or one of them fails.
func (r *run) together(ctx context.Context, all ...func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var running sync.WaitGroup
	errs := make([]error, len(all))
	for i, f := range all {
		running.Go(func() {
			if errs[i] = f(ctx); errs[i] != nil && ctx.Err() == nil {
				cancel(errs[i])
			} else {
				errs[i] = nil // a request that ctx ended
			}
		})
	}
	running.Wait()
	return errors.Join(errs...)
}

// freezes says how long a frozen process stays so. Most workers wake when their
// lease has gone to another one, and when what they were about to send has
// settled: that is what the fences are for.
func freezes(rng *rand.Rand, function string) time.Duration {
	switch {
	case function == "fulfill":
		return between(rng, 50*time.Millisecond, 2*time.Second)
	case function == "statuspush":
		return between(rng, 200*time.Millisecond, 6*time.Second)
	case rng.IntN(4) == 0:
		return between(rng, 50*time.Millisecond, lease)
	}
	return between(rng, lease+margin, window+margin+settle+lease+4*time.Second)
}

// hunt kills and freezes processes of one function at random moments.
type hunt struct {
	function    string
	least, most time.Duration // between two of them
	kill        float64       // how many are killed; the others are frozen
}

func (h hunt) in(r *run) func(context.Context) error {
	return func(ctx context.Context) error {
		h.run(ctx, r)
		return nil
	}
}

func (h hunt) run(ctx context.Context, r *run) {
	rng := r.random("processes of " + h.function)
	var thaw sync.WaitGroup
	defer thaw.Wait()
	frozen := make(chan struct{}, workers/2)
	for wait(ctx, between(rng, h.least, h.most)) {
		kill, busy, d := rng.Float64() < h.kill, rng.IntN(8) != 0, freezes(rng, h.function)
		p, ok := r.pick(ctx, rng, h.function, busy || !kill)
		if !ok {
			continue
		}
		if kill {
			if r.sys.Signal(p, syscall.SIGKILL) {
				r.seen.add("kills", 1)
				r.seen.add("killed "+h.function, 1)
			}
			continue
		}
		select {
		case frozen <- struct{}{}:
		default:
			continue // enough of them are stopped
		}
		if !r.sys.Signal(p, syscall.SIGSTOP) {
			<-frozen
			continue
		}
		r.seen.add("freezes", 1)
		r.seen.add("froze "+h.function, 1)
		thaw.Go(func() {
			defer func() { <-frozen }()
			whole := wait(ctx, d)
			if r.sys.Signal(p, syscall.SIGCONT) && whole && h.function == "provision" && d > lease+margin {
				r.seen.add("woke after the lease", 1)
			}
		})
	}
}

// pick finds a process of a function; a busy one if that is asked for, for
// which it waits: one that waits for its next event is stopped by its host.
func (r *run) pick(ctx context.Context, rng *rand.Rand, function string, busy bool) (launch.Process, bool) {
	const patience = 3 * time.Second // statuspush works once in two seconds
	var all []launch.Process
	began := time.Now()
	for i := 0; time.Since(began) < patience; i++ {
		if i%10 == 0 { // it reads /proc, which takes longer than to ask which are busy
			all = r.sys.Processes()
		}
		var some []launch.Process
		for _, p := range all {
			if p.Function == function && !(busy && launch.Stopped(p)) {
				some = append(some, p)
			}
		}
		if len(some) > 0 {
			return one(rng, some), true
		}
		if !wait(ctx, 10*time.Millisecond) {
			break
		}
	}
	return launch.Process{}, false
}

// crashes takes all processes of a function at once, as a bad deployment does.
func (r *run) crashes(ctx context.Context) error {
	rng := r.random("crashes")
	for wait(ctx, between(rng, 10*time.Second, 30*time.Second)) {
		function := one(rng, []string{"provision", "statuspush", "fulfill"})
		var got struct {
			Killed int `json:"killed"`
		}
		if err := r.ask(ctx, "POST", r.sys.API+"/_local/kill", map[string]string{"function": function}, &got); err != nil {
			return err
		}
		r.seen.add("kills", got.Killed)
		r.seen.add("killed "+function, got.Killed)
	}
	return nil
}

// breakage is a fault as the simulators take it.
type breakage struct {
	Action  string `json:"action"`
	Fault   string `json:"fault"`
	Times   int    `json:"times"`
	DelayMs int64  `json:"delayMs,omitempty"`
	Bytes   int    `json:"bytes,omitempty"`
	Message string `json:"message,omitempty"`
}

// breakage orders a fault. With fresh, those that struck nothing yet are taken
// back first: an action that is not called for a while, such as a breaker's
// probe, would otherwise meet all the faults that were ordered meanwhile.
func (r *run) breakage(ctx context.Context, base string, b breakage, fresh bool) error {
	if fresh {
		if err := r.ask(ctx, "DELETE", base+"/_sim/faults", nil, nil); err != nil {
			return err
		}
	}
	r.seen.add("faults", b.Times)
	return r.ask(ctx, "POST", base+"/_sim/faults", b, nil)
}

func ms(d time.Duration) int64 { return d.Milliseconds() }

// edits is an admin who writes into the notes of WHMCS orders. Most edits leave
// our id in them, and must change nothing; the others damage the marker, and
// may make a case for a person.
func (r *run) edits(ctx context.Context) error {
	rng := r.random("edits")
	for wait(ctx, between(rng, 200*time.Millisecond, 800*time.Millisecond)) {
		all, err := r.orders(ctx)
		if err != nil {
			return err
		}
		if len(all) == 0 {
			continue
		}
		// The newest are those that are still being worked on.
		o := all[len(all)-1-rng.IntN(min(len(all), 2*workers))]
		id := o.salesforce
		if id == "" || !order.ReadMarker(o.Notes).Names(mustID(id)) {
			continue
		}
		notes := one(rng, []string{
			o.Notes + ", called the customer", "see " + o.Notes + ".", "sfOrderId=801999999999999AAA\n" + o.Notes, "SFORDERID=" + id,
			"<b>" + o.Notes + "</b>", "\"" + id + "\"",
		})
		what := "notes edited"
		if rng.IntN(6) == 0 {
			what = "markers damaged"
			notes = one(rng, []string{"sfOrderId=" + id[:17], "sfOrderId=" + id[:15], "sfOrderId=" + id[:16] + "X" + id[17:]})
		}
		r.seen.add(what, 1)
		if err := r.ask(ctx, "PATCH", fmt.Sprintf("%s/_sim/orders/%d", r.sys.WHMCS, o.ID), map[string]any{"notes": notes}, nil); err != nil {
			return err
		}
	}
	return nil
}

// poisons lets Salesforce refuse single records, each for a while: for a reason
// that passes, or one that a person must correct. No other order may wait for it.
func (r *run) poisons(ctx context.Context) error {
	rng := r.random("poisons")
	passing := []string{"lock-row-flow", "record-unavailable", "soql-limit", "cpu-limit", "row-unknown"}
	permanent := []string{"row-hidden", "row-refused", "row-type"}
	for wait(ctx, between(rng, 500*time.Millisecond, 2*time.Second)) {
		s, poison := one(rng, r.sales), one(rng, passing)
		if rng.IntN(8) == 0 {
			poison = one(rng, permanent)
			r.seen.add("records refused for good", 1)
		}
		r.seen.add("records poisoned", 1)
		if err := r.poison(ctx, s, poison); err != nil {
			return err
		}
		held := wait(ctx, between(rng, 500*time.Millisecond, 4*time.Second))
		if err := r.poison(context.WithoutCancel(ctx), s, ""); err != nil || !held {
			return err
		}
	}
	return nil
}

func (r *run) poison(ctx context.Context, s *sale, row string) error {
	seed := s.seed()
	if row != "" {
		seed["poison"] = row
	}
	return r.ask(ctx, "PUT", r.sys.Salesforce+"/_sim/orders/"+s.id.String(), seed, nil)
}

func mustID(s string) order.ID {
	id, err := order.ParseID(s)
	if err != nil {
		panic(err) // it is one of this run's own
	}
	return id
}

// resumes is the on-call engineer whom a pause by the engine calls.
func (r *run) resumes(ctx context.Context) error {
	for wait(ctx, 3*time.Second) {
		if err := r.resume(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) resume(ctx context.Context) error {
	c, err := r.table.Control(ctx, order.SideWHMCS)
	if err == nil && c.Paused {
		r.seen.add("pauses", 1)
		err = r.table.Resume(ctx, "chaos", time.Now())
	}
	if fault.CodeOf(err) == fault.StoreUnavailable {
		return nil // a table that does not answer is asked again
	}
	return err
}

func (r *run) whmcsFaults(ctx context.Context) error {
	rng := r.random("whmcs")
	actions := []string{"AddOrder", "AddOrder", "AddOrder", "AcceptOrder", "AcceptOrder", "AcceptOrder",
		"GetOrders", "GetOrders", "GetClientsProducts", "GetModuleQueue", "GetProducts", "GetClientsDetails", "WhmcsDetails"}
	answers := []string{"drop-before", "reset", "http-500", "html-503", "blank-200", "warning-only", "garbage-200",
		"commit-then-drop", "commit-then-drop", "commit-502", "drop-after-bytes", "notice-prefix", "slow", "slow"}
	effects := append([]string{"commit-after-timeout", "commit-after-timeout", "commit-after-timeout", "commit-then-refuse", "commit-then-refuse-500"}, answers...)
	// What a hook, a registrar or PHP says after the order was made, in the words
	// of WHMCS's own refusals.
	refusals := []string{"Access denied for user 'whmcs'@'localhost'", "Invalid IP 203.0.113.9", "Authentication Failed", "Command Not Found"}
	// What WHMCS does late is done within the settle time of the window's end,
	// with room for a machine that is busy: that is assumption A3.
	bound := map[string]time.Duration{"AddOrder": settle - 800*time.Millisecond, "AcceptOrder": acceptSettle - 800*time.Millisecond}
	if r.o.late {
		bound["AddOrder"] = 2 * (window + margin + settle)
	}
	for i := 0; wait(ctx, between(rng, 50*time.Millisecond, 350*time.Millisecond)); i++ {
		b := breakage{Action: one(rng, actions), Times: 1}
		late, effect := bound[b.Action]
		switch {
		case !effect:
			b.Fault, b.Times = one(rng, answers), 1+rng.IntN(3)
		case b.Action == "AcceptOrder" && rng.IntN(8) == 0:
			b.Fault = one(rng, []string{"module-fail-active", "module-fail-pending"})
		case b.Action == "AddOrder" && rng.IntN(12) == 0:
			b.Fault = "no-id"
		default:
			b.Fault = one(rng, effects)
		}
		switch b.Fault {
		case "commit-after-timeout":
			b.DelayMs = ms(between(rng, effectTimeout+100*time.Millisecond, late))
		case "slow":
			b.DelayMs = ms(between(rng, 50*time.Millisecond, 2*effectTimeout))
		case "commit-then-drop":
			b.DelayMs = ms(between(rng, 0, effectTimeout/2))
		case "commit-then-refuse", "commit-then-refuse-500":
			b.Message = one(rng, refusals)
		case "drop-after-bytes":
			b.Bytes = 1 + rng.IntN(60)
		}
		if err := r.breakage(ctx, r.sys.WHMCS, b, i%5 == 0); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) salesforceFaults(ctx context.Context) error {
	rng := r.random("salesforce")
	calls := []string{"http-500", "html-503", "blank-200", "drop-before", "commit-then-drop", "slow"}
	sessions := append([]string{"limit-exceeded", "session-expired"}, calls...)
	rows := append([]string{"lock-row", "lock-row", "lock-row-nested", "cpu-limit", "commit-then-drop"}, sessions...)
	for wait(ctx, between(rng, 150*time.Millisecond, 1200*time.Millisecond)) {
		b := breakage{Action: one(rng, []string{"token", "query", "query", "update", "update", "update"}), Times: 1 + rng.IntN(2)}
		switch b.Action {
		case "token":
			b.Fault = one(rng, calls)
		case "query":
			b.Fault = one(rng, sessions)
		default:
			b.Fault = one(rng, rows)
		}
		if b.Fault == "slow" || b.Fault == "commit-then-drop" {
			b.DelayMs = ms(between(rng, 20*time.Millisecond, time.Second))
		}
		if err := r.breakage(ctx, r.sys.Salesforce, b, true); err != nil {
			return err
		}
	}
	return nil
}

// tableFaults sets the switches of the embedded DynamoDB.
func (r *run) tableFaults(ctx context.Context) error {
	rng := r.random("table")
	slow := false
	for wait(ctx, between(rng, 200*time.Millisecond, 1200*time.Millisecond)) {
		set := map[string]any{}
		if slow {
			set["latencyMs"], slow = 0, false
		}
		switch rng.IntN(8) {
		case 0:
			set["indexLagMs"] = rng.IntN(2001)
		case 1:
			set["staleIndex"] = rng.IntN(3) == 0
		case 2:
			// A slow table widens the moments between a write and the send that
			// it allows.
			set["latencyMs"] = one(rng, []int{0, 10, 30, 60, 100})
		case 3:
			// For a moment it is so slow that a send's window has ended when its
			// stamp is written.
			set["latencyMs"], slow = ms(window)+300, true
		default:
			point := one(rng, []string{"throttle", "serverError", "loseRequest", "loseReply", "loseReply", "loseReply"})
			n := 1 + rng.IntN(3)
			set[point] = map[string]any{"op": one(rng, []string{"UpdateItem", "UpdateItem", "UpdateItem", "GetItem", "PutItem", "Query"}), "times": n}
			r.seen.add("faults", n)
		}
		if err := r.ask(ctx, "POST", r.sys.API+"/_local/dynamo", set, nil); err != nil {
			return err
		}
	}
	return nil
}

// hints makes wake-ups come twice, late or never.
func (r *run) hints(ctx context.Context) error {
	rng := r.random("hints")
	for wait(ctx, between(rng, time.Second, 5*time.Second)) {
		set := map[string]any{"doubled": rng.Float64() / 2, "lateMs": rng.IntN(2000), "lost": rng.Float64() / 2}
		if rng.IntN(3) == 0 {
			set = map[string]any{}
		}
		if err := r.ask(ctx, "POST", r.sys.API+"/_local/hints", set, nil); err != nil {
			return err
		}
	}
	return nil
}

// quiet ends all faults.
func (r *run) quiet(ctx context.Context) error {
	for _, call := range []struct{ method, url string }{
		{"DELETE", r.sys.WHMCS + "/_sim/faults"}, {"DELETE", r.sys.Salesforce + "/_sim/faults"},
		{"DELETE", r.sys.API + "/_local/dynamo"}, {"POST", r.sys.API + "/_local/hints"},
	} {
		if err := r.ask(ctx, call.method, call.url, nil, nil); err != nil {
			return fmt.Errorf("end the faults: %w", err)
		}
	}
	return nil
}
