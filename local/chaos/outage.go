package main

import (
	"context"
	"time"
)

// outage takes Salesforce away in the middle of the run, for as long as asked,
// while processes of statuspush are killed in the middle of their batches, from
// the first order to the last.
func (r *run) outage(ctx context.Context) error {
	return r.together(ctx,
		hunt{"statuspush", 300 * time.Millisecond, 1500 * time.Millisecond, 0.8}.in(r),
		r.away,
		r.slowUpdates,
	)
}

// away is the outage itself.
func (r *run) away(ctx context.Context) error {
	feed := time.Duration(float64(r.o.orders) / r.o.rate * float64(time.Second))
	if !wait(ctx, max(0, (feed-r.o.outage)/2)) {
		return nil
	}
	rng := r.random("outage")
	const allCalls = 1_000_000
	for _, action := range []string{"token", "query", "update"} {
		b := breakage{Action: action, Fault: one(rng, []string{"html-503", "http-500", "drop-before"}), Times: allCalls}
		if err := r.ask(ctx, "POST", r.sys.Salesforce+"/_sim/faults", b, nil); err != nil {
			return err
		}
	}
	r.seen.add("outages", 1)
	r.say("Salesforce is away for %v", r.o.outage)
	wait(ctx, r.o.outage)
	r.say("Salesforce is back")
	// ctx may have ended; the orders must find Salesforce back all the same.
	return r.ask(context.WithoutCancel(ctx), "DELETE", r.sys.Salesforce+"/_sim/faults", nil, nil)
}

// slowUpdates makes batches take long enough to be killed in their middle, and
// loses answers of some that were committed.
func (r *run) slowUpdates(ctx context.Context) error {
	rng := r.random("slow updates")
	for wait(ctx, between(rng, 200*time.Millisecond, time.Second)) {
		b := breakage{Action: "update", Fault: one(rng, []string{"slow", "slow", "commit-then-drop"}), Times: 1, DelayMs: ms(between(rng, 100*time.Millisecond, time.Second))}
		if err := r.breakage(ctx, r.sys.Salesforce, b, false); err != nil {
			return err
		}
	}
	return nil
}
