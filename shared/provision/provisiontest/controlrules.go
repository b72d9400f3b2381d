package provisiontest

import (
	"strconv"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

var controlRules = []rule{
	{"control/nothing written yet is a closed, running side", func(b *bench) {
		for _, side := range []order.Side{order.SideWHMCS, order.SideSalesforce} {
			b.switchIs(order.Control{Side: side})
		}
	}},
	{"control/pause, resume and look-before leave the breaker alone, and it them", func(b *bench) {
		want := order.Control{Side: order.SideWHMCS}
		b.ok(b.Pause(b.ctx, "WHMCS upgrade", "ops", b.now))
		want.Paused, want.Reason, want.By, want.At = true, "WHMCS upgrade", "ops", b.now
		want.Holds = []order.Hold{{By: "ops", Reason: "WHMCS upgrade", At: b.now}}
		b.switchIs(want)
		until := b.now.Add(30 * time.Second)
		b.ok(b.trip(order.SideWHMCS, until, fault.WHMCSCredentials, 2))
		want.OpenUntil, want.Why, want.Fails, want.OpenedAt = until, fault.WHMCSCredentials, 2, b.now
		b.switchIs(want)
		b.after(time.Minute)
		b.ok(b.LookBefore(b.ctx, b.now, "ops", b.now))
		want.LookBefore = b.now
		b.switchIs(want)
		b.ok(b.Resume(b.ctx, "boss", b.now))
		want.Paused, want.Reason, want.By, want.At, want.Holds = false, "", "boss", b.now, nil
		b.switchIs(want)
		b.ok(b.shut(want))
		want.OpenUntil, want.Fails, want.OpenedAt = time.Time{}, 0, time.Time{}
		b.switchIs(want)
		b.ok(b.LookBefore(b.ctx, time.Time{}, "ops", b.now))
		want.LookBefore = time.Time{}
		b.switchIs(want)
		b.switchIs(order.Control{Side: order.SideSalesforce})
	}},
	{"control/work goes on once the last of those who paused it says so", func(b *bench) {
		b.refused(b.Release(b.ctx, "ops", "ops", b.now), fault.StateChanged)
		b.ok(b.Pause(b.ctx, "WHMCS upgrade", "ops", b.now))
		b.ok(b.Pause(b.ctx, "audit", "ann", b.now))
		b.ok(b.Pause(b.ctx, "WHMCS upgrade, part two", "ops", b.now))
		ann, ops := order.Hold{By: "ann", Reason: "audit", At: b.now}, order.Hold{By: "ops", Reason: "WHMCS upgrade, part two", At: b.now}
		b.switchIs(order.Control{Side: order.SideWHMCS, Paused: true, Reason: ops.Reason, By: "ops", At: b.now, Holds: []order.Hold{ann, ops}})
		b.refused(b.Release(b.ctx, "bob", "bob", b.now), fault.StateChanged)
		b.ok(b.Release(b.ctx, "ops", "bob", b.now))
		b.switchIs(order.Control{Side: order.SideWHMCS, Paused: true, Reason: "audit", By: "ann", At: b.now, Holds: []order.Hold{ann}})
		b.ok(b.Release(b.ctx, "ann", "ann", b.now))
		b.switchIs(order.Control{Side: order.SideWHMCS, By: "ann", At: b.now})
	}},
	{"control/a command without a time is refused", func(b *bench) {
		b.refused(b.Pause(b.ctx, "why", "ops", time.Time{}), fault.Internal)
		b.refused(b.Resume(b.ctx, "ops", time.Time{}), fault.Internal)
		b.refused(b.LookBefore(b.ctx, b.now, "ops", time.Time{}), fault.Internal)
		b.switchIs(order.Control{Side: order.SideWHMCS})
	}},
	{"control/a switch that is thrown often still works", func(b *bench) {
		for i := range 120 {
			b.after(time.Second)
			b.ok(b.Pause(b.ctx, strconv.Itoa(i), "ops", b.now))
			b.ok(b.Resume(b.ctx, "ops", b.now))
		}
		b.switchIs(order.Control{Side: order.SideWHMCS, By: "ops", At: b.now})
	}},
	{"control/commands at once are all carried out", func(b *bench) {
		var t tally
		together(30, func(i int) {
			var err error
			switch i % 3 {
			case 0:
				err = b.Pause(b.ctx, strconv.Itoa(i), "ops", b.now)
			case 1:
				err = b.LookBefore(b.ctx, b.now, "ops", b.now)
			default:
				err = b.trip(order.SideWHMCS, b.now.Add(time.Duration(i)*time.Second), "", i)
			}
			t.add(code(err))
		})
		b.same(t.count, map[string]int{"ok": 30})
		c, err := b.Control(b.ctx, order.SideWHMCS)
		b.ok(err)
		if !c.Paused || !c.LookBefore.Equal(b.now) || c.Fails != 29 || !c.OpenUntil.Equal(b.now.Add(29*time.Second)) {
			b.Fatalf("got %+v", c)
		}
	}},
	{"breaker/the longest opening stands", func(b *bench) {
		open := func(d time.Duration, fails int) {
			b.Helper()
			b.ok(b.trip(order.SideSalesforce, b.now.Add(d), fault.SalesforceCredentials, fails))
		}
		open(time.Minute, 1)
		open(time.Second, 7)
		want := order.Control{Side: order.SideSalesforce, OpenUntil: b.now.Add(time.Minute), OpenedAt: b.now, Why: fault.SalesforceCredentials, Fails: 1}
		b.switchIs(want)
		open(2*time.Minute, 2)
		want.OpenUntil, want.Fails = b.now.Add(2*time.Minute), 2
		b.switchIs(want)
		b.switchIs(order.Control{Side: order.SideWHMCS})
	}},
	{"breaker/50 workers at once: one wins the probe", func(b *bench) {
		b.ok(b.trip(order.SideWHMCS, b.now, fault.WHMCSIPDenied, 1))
		seen, err := b.Control(b.ctx, order.SideWHMCS)
		b.ok(err)
		until := b.now.Add(time.Minute)
		var t tally
		together(50, func(int) {
			won, err := b.win(seen, until)
			t.add(code(err) + " " + strconv.FormatBool(won))
		})
		b.same(t.count, map[string]int{"ok true": 1, "ok false": 49})
		want := seen
		want.OpenUntil = until
		b.switchIs(want)
		// Who saw it before has no say any more.
		b.ok(b.shut(seen))
		b.switchIs(want)
		won, err := b.win(seen, until.Add(time.Minute))
		b.ok(err)
		b.same(won, false)
		b.switchIs(want)
		b.ok(b.shut(want))
		closed := want
		closed.OpenUntil, closed.Fails, closed.OpenedAt = time.Time{}, 0, time.Time{}
		b.switchIs(closed)
		won, err = b.win(want, until.Add(time.Minute))
		b.ok(err)
		b.same(won, false)
		b.switchIs(closed)
	}},
	{"breaker/closed_at tells of outages of 15 minutes and more, however many probes they had", func(b *bench) {
		for _, c := range []struct {
			lasted time.Duration
			told   bool
		}{{order.LongOutage - time.Second, false}, {order.LongOutage, true}} {
			opened := b.now
			b.ok(b.trip(order.SideWHMCS, b.now.Add(time.Minute), fault.WHMCSIPDenied, 0))
			b.after(c.lasted / 2)
			b.ok(b.trip(order.SideWHMCS, b.now.Add(time.Minute), fault.WHMCSIPDenied, 1))
			b.after(c.lasted - c.lasted/2)
			seen, err := b.Control(b.ctx, order.SideWHMCS)
			b.ok(err)
			b.same(seen.OpenedAt, opened)
			b.ok(b.shut(seen))
			closed, err := b.Control(b.ctx, order.SideWHMCS)
			b.ok(err)
			b.same([]any{closed.OpenedAt, closed.ClosedAt.Equal(b.now)}, []any{time.Time{}, c.told})
		}
	}},
	{"breaker/an effect that is not answered: 50 workers at once, one is the canary", func(b *bench) {
		change := func(do func(order.Control) (order.Control, bool)) order.Control {
			b.Helper()
			c, err := b.ChangeControl(b.ctx, order.SideWHMCS, do)
			b.ok(err)
			return c
		}
		until := b.now.Add(time.Minute)
		for range order.UnsureInRow {
			change(func(c order.Control) (order.Control, bool) {
				c, _ = c.Uncertain("AddOrder", "lost", b.now, func(int) time.Time { return b.now }, fault.WHMCSUnavailable)
				return c, true
			})
		}
		var t tally
		together(50, func(int) {
			mine := order.NewToken()
			c := change(func(c order.Control) (order.Control, bool) { return c.Canary("AddOrder", b.now, until, mine) })
			t.add(strconv.FormatBool(c.Withheld("AddOrder", mine) == nil))
		})
		b.same(t.count, map[string]int{"true": 1, "false": 49})
		c, err := b.Control(b.ctx, order.SideWHMCS)
		b.ok(err)
		d := c.Unsure["AddOrder"]
		d.Canary = ""
		b.same(d, order.Doubt{InRow: order.UnsureInRow, Until: until, Since: b.now, Why: fault.WHMCSUnavailable})
		change(func(c order.Control) (order.Control, bool) { return c.Certain("AddOrder", b.now) })
		b.switchIs(order.Control{Side: order.SideWHMCS})
	}},
	{"breaker/a closed one has no probe to win", func(b *bench) {
		won, err := b.win(order.Control{Side: order.SideWHMCS}, b.now)
		b.ok(err)
		b.same(won, false)
		b.ok(b.shut(order.Control{Side: order.SideWHMCS}))
		b.switchIs(order.Control{Side: order.SideWHMCS})
	}},
}

// trip, win and shut change a breaker as shared/breaker does.
func (b *bench) trip(side order.Side, until time.Time, why fault.Code, fails int) error {
	_, err := b.ChangeControl(b.ctx, side, func(c order.Control) (order.Control, bool) { return c.Opened(b.now, until, why, fails) })
	return err
}

func (b *bench) win(seen order.Control, until time.Time) (bool, error) {
	mine := order.NewToken()
	c, err := b.ChangeControl(b.ctx, seen.Side, func(c order.Control) (order.Control, bool) { return c.Probed(seen, until, mine) })
	return err == nil && c.Probe == mine, err
}

func (b *bench) shut(seen order.Control) error {
	_, err := b.ChangeControl(b.ctx, seen.Side, func(c order.Control) (order.Control, bool) { return c.Closed(seen, b.now) })
	return err
}

func (b *bench) switchIs(want order.Control) {
	b.Helper()
	got, err := b.Control(b.ctx, want.Side)
	b.ok(err)
	got.History, got.Probe = nil, ""
	b.same(got, want)
}
