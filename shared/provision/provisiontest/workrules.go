package provisiontest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

var workRules = []rule{
	{"lease/a due order gets one worker", func(b *bench) {
		before := b.open(1)
		b.after(time.Second)
		l := b.ask()
		rec, err := b.Lease(b.ctx, before.ID, l)
		b.ok(err)
		want := before
		want.State, want.Signal, want.Lease, want.Fence = order.Working, order.SignalLease, l.Token, 1
		want.LeaseUntil = l.Until // due when it was: the clock asks for it early, in vain, and again after the lease
		want.Attempts, want.Version = 1, 2
		b.same(rec, want)
		b.unchanged(want)
		_, err = b.Lease(b.ctx, before.ID, b.ask())
		b.refused(err, fault.NotDue)
		b.unchanged(want)
		// One's own request, repeated, is no second attempt.
		again, err := b.Lease(b.ctx, before.ID, l)
		b.ok(err)
		b.same(again, want)
	}},
	{"lease/what is not due has no worker", func(b *bench) {
		_, err := b.Lease(b.ctx, b.id(1), b.ask())
		b.refused(err, fault.NotDue)
		b.open(2)
		rec := b.wrote(b.leased(b.id(2)), order.SignalNote, "parked", func(r *order.Record) {
			r.State, r.DueAt = order.Waiting, b.now.Add(time.Minute)
		})
		// A little early is due: the worker's clock may be behind the one that said when.
		b.after(time.Minute - order.MaxSkew - time.Millisecond)
		_, err = b.Lease(b.ctx, b.id(2), b.ask())
		b.refused(err, fault.NotDue)
		b.unchanged(rec)
		b.after(time.Millisecond)
		b.same(b.leased(b.id(2)).Attempts, 2)
		for _, ended := range []order.Record{b.failed(3, fault.OrderEmpty, nil), b.provisioned(4)} {
			b.after(time.Hour)
			_, err = b.Lease(b.ctx, ended.ID, b.ask())
			b.refused(err, fault.NotDue)
			b.unchanged(ended)
		}
	}},
	{"lease/an order that was queued a moment ago keeps its time, every other one is due at the lease's end", func(b *bench) {
		end := func(r order.Record) time.Time { return r.LeaseUntil.Add(margin) }
		queued := b.open(1)
		b.after(order.HintFirst - order.MaxSkew - time.Millisecond)
		b.same(b.leased(b.id(1)).DueAt, queued.DueAt)
		b.open(2)
		b.after(order.HintFirst - order.MaxSkew)
		late := b.leased(b.id(2))
		b.same(late.DueAt, end(late))
		// A lease that ends before it: the clock must not come later than after the lease.
		b.open(3)
		l := b.ask()
		l.Until = l.Now.Add(order.HintFirst - margin - time.Second)
		short, err := b.Lease(b.ctx, b.id(3), l)
		b.ok(err)
		b.same(short.DueAt, end(short))
		parked := b.wrote(late, order.SignalNote, "parked", func(r *order.Record) { r.State, r.DueAt = order.Waiting, b.now.Add(order.MaxSkew) })
		waited := b.leased(parked.ID)
		b.same(waited.DueAt, end(waited))
	}},
	{"lease/of a worker that died the clock hears until another one has the order", func(b *bench) {
		rec := b.open(1)
		first := b.leased(rec.ID)
		for b.now = rec.DueAt; !b.now.After(first.LeaseUntil.Add(margin)); b.after(time.Second) {
			due, err := b.Due(b.ctx, b.now, 1)
			b.ok(err)
			b.same(due, []order.ID{rec.ID})
			_, err = b.Lease(b.ctx, rec.ID, b.ask())
			b.refused(err, fault.NotDue)
		}
		b.now = first.LeaseUntil.Add(margin + time.Millisecond)
		second := b.leased(rec.ID)
		b.same(second.DueAt, second.LeaseUntil.Add(margin))
		due, err := b.Due(b.ctx, b.now, 1)
		b.ok(err)
		b.same(len(due), 0)
	}},
	{"lease/a request without token or time is refused", func(b *bench) {
		b.open(1)
		for _, l := range []order.Lease{
			{Now: b.now, Until: b.now.Add(lease)}, {Token: "t", Until: b.now}, {Token: "t", Now: b.now, Until: b.now},
		} {
			_, err := b.Lease(b.ctx, b.id(1), l)
			b.refused(err, fault.Internal)
		}
	}},
	{"lease/50 workers at once: one wins", func(b *bench) {
		b.open(1)
		var t tally
		asks := make([]order.Lease, 50)
		for i := range asks {
			asks[i] = b.ask()
		}
		together(len(asks), func(i int) {
			rec, err := b.Lease(b.ctx, b.id(1), asks[i])
			t.add(code(err))
			if err == nil && rec.Lease != asks[i].Token {
				t.add("won with another's token")
			}
		})
		b.same(t.count, map[string]int{"ok": 1, "not_due": 49})
		if rec := b.record(b.id(1)); rec.Fence != 1 || rec.Attempts != 1 {
			b.Fatalf("fence %d, attempts %d", rec.Fence, rec.Attempts)
		}
	}},
	{"lease/a dead worker's order is taken over after the margin, not before", func(b *bench) {
		b.open(1)
		first := b.leased(b.id(1))
		b.now = first.LeaseUntil.Add(margin)
		_, err := b.Lease(b.ctx, b.id(1), b.ask())
		b.refused(err, fault.NotDue)
		b.after(time.Millisecond)
		second := b.leased(b.id(1))
		if second.Lease == first.Lease || second.Fence != 2 || second.Attempts != 2 {
			b.Fatalf("got %+v", second)
		}
	}},
	{"lease/due early does not shorten another's lease", func(b *bench) {
		b.open(1)
		rec := b.leased(b.id(1))
		rec = b.wrote(rec, order.SignalLease, "", func(r *order.Record) { r.DueAt = b.now })
		_, err := b.Lease(b.ctx, b.id(1), b.ask())
		b.refused(err, fault.NotDue)
		b.unchanged(rec)
	}},
	{"lease/a request that comes late does not lease the order again", func(b *bench) {
		b.open(1)
		l := b.ask()
		rec, err := b.Lease(b.ctx, b.id(1), l)
		b.ok(err)
		rec = b.wrote(rec, order.SignalNote, "parked", func(r *order.Record) { r.State, r.DueAt = order.Waiting, b.now })
		_, err = b.Lease(b.ctx, b.id(1), l)
		b.refused(err, fault.NotDue)
		b.unchanged(rec)
		b.leased(b.id(1))
	}},
	{"lease/the fence is never reset", func(b *bench) {
		rec := b.failed(1, fault.OrderEmpty, nil)
		b.same(rec.Fence, order.Fence(1))
		b.claimed(b.callout(rec.ID, "k2"), order.Reopened)
		rec = b.leased(rec.ID)
		b.same([]any{rec.Fence, rec.Attempts}, []any{order.Fence(2), 1})
		rec = b.wrote(rec, order.SignalStatus, "failed", func(r *order.Record) { r.State, r.ErrorCode = order.Failed, fault.OrderEmpty })
		_, err := b.Resolve(b.ctx, order.Resolution{ID: rec.ID, None: true, By: "me", Why: "looked", Now: b.now})
		b.ok(err)
		b.same(b.leased(rec.ID).Fence, order.Fence(3))
	}},
	{"write/what differs is written, and every member comes back", func(b *bench) {
		b.open(1)
		from := b.leased(b.id(1))
		b.after(time.Second)
		at := func(n int) time.Time { return b.now.Add(time.Duration(n)*time.Second + 789*time.Microsecond) }
		step := b.step(from, order.SignalStatus, "everything", func(r *order.Record) {
			r.RecoveryPoint, r.Plan, r.FirstAddAt = order.PointAccepting, plan(), at(2)
			r.Add = order.Sent{Count: 2, Until: at(1), SettledAt: at(9)}
			r.Accept = order.Sent{Count: 1, Until: at(3), SettledAt: at(10)}
			r.Word, r.AcceptedAt = order.WordNamedRerun, at(4)
			r.Attempts, r.OpenedAt, r.DueAt, r.LeaseUntil = 7, at(5), at(6), at(7)
			r.AccountID, r.WHMCSOrderID = "001000000000001AAA", "77"
			r.ServiceIDs = map[string][]string{"802000000000001AAA": {"5", "6"}, "802000000000002AAA": {"7"}}
			r.ErrorCode, r.ErrorMessage, r.ErrorAt = fault.WHMCSBusy, "busy", at(8)
		})
		step.Entry.Detail = "all of it"
		rec, err := b.Write(b.ctx, step)
		b.ok(err)
		want := step.To
		want.Signal, want.Seq, want.Version, want.UpdatedAt = order.SignalStatus, order.Seq(b.now.UnixMilli()), from.Version+1, b.now
		for _, t := range []*time.Time{&want.Add.Until, &want.Add.SettledAt, &want.FirstAddAt, &want.Accept.Until, &want.Accept.SettledAt, &want.AcceptedAt, &want.OpenedAt,
			&want.DueAt, &want.LeaseUntil, &want.ErrorAt} {
			*t = t.Truncate(time.Millisecond)
		}
		want.History = append(slices.Clone(from.History), order.Entry{At: b.now, Event: "everything", Detail: "all of it", By: "provision"})
		b.same(rec, want)
		b.unchanged(want)

		// And back: what became zero is removed.
		b.after(time.Second)
		gone := b.wrote(rec, order.SignalLease, "", func(r *order.Record) {
			*r = order.Record{ID: r.ID, State: order.Working, RecoveryPoint: order.PointNone, DueAt: r.DueAt, LeaseUntil: r.LeaseUntil}
		})
		want = from
		want.Signal, want.Seq, want.Version, want.UpdatedAt = order.SignalLease, rec.Seq, rec.Version+1, b.now
		want.Attempts, want.OpenedAt, want.DueAt, want.LeaseUntil = 0, time.Time{}, rec.DueAt, rec.LeaseUntil
		want.History = rec.History
		b.same(gone, want)
		b.unchanged(want)
	}},
	{"write/what others wrote meanwhile stays", func(b *bench) {
		b.open(1)
		from := b.leased(b.id(1))
		b.after(time.Second)
		c := b.callout(from.ID, "k2")
		c.AccountID = "001000000000001AAA"
		b.claimed(c, order.AlreadyOpen)
		b.ok(b.Note(b.ctx, from.ID, order.Entry{At: b.now, Event: "pushed"}))
		b.after(time.Second)
		rec := b.wrote(from, order.SignalLease, "add_sent", func(r *order.Record) { r.RecoveryPoint, r.Add.Count = order.PointAdding, 1 })
		if rec.AccountID != c.AccountID || len(rec.Keys) != 2 || len(rec.Nonces) != 2 || len(rec.History) != 4 || rec.Version != from.Version+3 {
			b.Fatalf("got %+v", rec)
		}
		// But the engine has the last word on what it wrote itself.
		rec = b.wrote(rec, order.SignalNote, "", func(r *order.Record) { r.AccountID = "001000000000002AAA" })
		b.same(rec.AccountID, "001000000000002AAA")
	}},
	{"write/leaving working ends the lease, and an end takes the order off the index", func(b *bench) {
		for k, to := range []order.State{order.Queued, order.Waiting, order.Provisioned, order.Failed} {
			b.open(k + 1)
			from := b.leased(b.id(k + 1))
			rec := b.wrote(from, order.SignalStatus, "left", func(r *order.Record) { r.State, r.RecoveryPoint = to, order.PointAccepted })
			if !rec.LeaseUntil.IsZero() || rec.Lease != from.Lease || rec.Fence != from.Fence || rec.DueAt.IsZero() == to.Open() {
				b.Fatalf("%s: %+v", to, rec)
			}
			// It is over for this worker, whatever he still holds in his hands.
			_, err := b.Write(b.ctx, b.step(from, order.SignalStatus, "again", nil))
			b.refused(err, fault.LeaseLost)
			_, err = b.Write(b.ctx, b.step(rec, order.SignalStatus, "again", func(r *order.Record) { r.State = order.Failed; r.DueAt = time.Time{} }))
			b.refused(err, fault.LeaseLost)
			b.unchanged(rec)
		}
	}},
	{"write/a stale image does not keep an ended lease or a due time alive", func(b *bench) {
		b.open(1)
		from := b.leased(b.id(1))
		stale := from
		stale.LeaseUntil, stale.DueAt = time.Time{}, time.Time{}
		b.wrote(stale, order.SignalStatus, "failed", func(r *order.Record) { r.State, r.ErrorCode = order.Failed, fault.OrderEmpty })
	}},
	{"write/only what is known is forgotten", func(b *bench) {
		k := 0
		for _, state := range []order.State{order.Queued, order.Working, order.Waiting, order.Provisioned, order.Failed} {
			for _, point := range []order.RecoveryPoint{order.PointNone, order.PointAdding, order.PointAdded, order.PointAccepting, order.PointAccepted} {
				k++
				b.open(k)
				rec := b.wrote(b.leased(b.id(k)), order.SignalStatus, "to", func(r *order.Record) {
					r.State, r.RecoveryPoint, r.ExpiresAt = state, point, b.now.Add(400*24*time.Hour)
				})
				want := time.Time{}
				if state == order.Provisioned || state == order.Failed && point == order.PointNone {
					want = b.now.Add(400 * 24 * time.Hour).Truncate(time.Second)
				}
				b.same(rec.ExpiresAt, want)
			}
		}
	}},
	{"write/a worker that lost its lease has no effect", func(b *bench) {
		b.open(1)
		zombie := b.leased(b.id(1))
		b.now = zombie.LeaseUntil.Add(margin + time.Millisecond)
		second := b.leased(b.id(1))
		late := b.step(zombie, order.SignalStatus, "late", func(r *order.Record) { r.RecoveryPoint, r.Add.Count = order.PointAdding, 9 })
		try := func(rec order.Record) {
			b.Helper()
			_, err := b.Write(b.ctx, late)
			b.refused(err, fault.LeaseLost)
			b.unchanged(rec)
		}
		try(second)
		second = b.wrote(second, order.SignalNote, "parked", func(r *order.Record) { r.State, r.DueAt = order.Waiting, b.now })
		try(second)
		second = b.wrote(b.leased(b.id(1)), order.SignalStatus, "failed", func(r *order.Record) { r.State, r.ErrorCode = order.Failed, fault.OrderEmpty })
		try(second)
		try(b.claimed(b.callout(b.id(1), "k2"), order.Reopened))
		late.From.ID, late.To.ID = b.id(2), b.id(2)
		_, err := b.Write(b.ctx, late)
		b.refused(err, fault.LeaseLost)
	}},
	{"write/the newest image does not stand in for the lease", func(b *bench) {
		b.open(1)
		rec := b.leased(b.id(1))
		thief := b.step(rec, order.SignalNote, "stolen", nil)
		thief.From.Lease = order.NewToken()
		_, err := b.Write(b.ctx, thief)
		b.refused(err, fault.LeaseLost)
		b.unchanged(rec)
	}},
	{"write/a lease that ran out still stands while no other worker took it over", func(b *bench) {
		b.open(1)
		rec := b.leased(b.id(1))
		b.after(24 * time.Hour)
		b.wrote(rec, order.SignalNote, "parked", func(r *order.Record) { r.State = order.Waiting })
	}},
	{"write/a step that would lose an order is refused", func(b *bench) {
		b.open(1)
		rec := b.leased(b.id(1))
		for _, spoil := range []func(*order.Step){
			func(s *order.Step) { s.From.Lease = "" },
			func(s *order.Step) { s.To.State = "lost" },
			func(s *order.Step) { s.To.State, s.To.DueAt = order.Waiting, time.Time{} },
			func(s *order.Step) { s.Signal = "" },
		} {
			s := b.step(rec, order.SignalNote, "bad", nil)
			spoil(&s)
			_, err := b.Write(b.ctx, s)
			b.refused(err, fault.Internal)
		}
		b.unchanged(rec)
	}},
	{"write/what is shown grows with every visible write, and with no other", func(b *bench) {
		b.open(1)
		rec := b.leased(b.id(1))
		b.same(rec.Seq, order.Seq(epoch.UnixMilli()))
		for _, c := range []struct {
			wrote order.Signal
			after time.Duration
			want  order.Seq
		}{
			{order.SignalNote, time.Second, 0},
			{order.SignalLease, time.Second, 0},
			{order.SignalStatus, 0, 2000},
			{order.SignalStatus, 0, 2001},    // the same moment
			{order.SignalQueued, -1e9, 2002}, // a clock that is behind
			{order.SignalStatus, 1e10, 11000},
		} {
			b.after(c.after)
			rec = b.wrote(rec, c.wrote, "", nil)
			b.same(rec.Seq-order.Seq(epoch.UnixMilli()), c.want)
			b.same(rec.Signal, c.wrote)
		}
	}},
	{"write/what is shown grows past a bump that the worker did not see", func(b *bench) {
		b.open(1)
		from := b.leased(b.id(1))
		bumped, err := b.Bump(b.ctx, from.ID, from.Seq+500_000, b.now, order.Entry{})
		b.ok(err)
		b.same(bumped.Seq, from.Seq+500_000)
		rec := b.wrote(from, order.SignalStatus, "added", func(r *order.Record) { r.RecoveryPoint = order.PointAdded })
		b.same(rec.Seq, bumped.Seq+1)
	}},
	{"write/bumps and writes at once never show two things under one number", func(b *bench) {
		b.open(1)
		rec := b.leased(b.id(1))
		var t tally
		together(9, func(i int) {
			last := order.Seq(0)
			note := func(r order.Record, err error) {
				t.add(code(err))
				if err == nil && r.Seq <= last {
					t.add("the number did not grow")
				}
				last = r.Seq
			}
			if i > 0 {
				for range 5 {
					note(b.Bump(b.ctx, b.id(1), 0, b.now, order.Entry{Event: "bumped"}))
				}
				return
			}
			for range 20 {
				next, err := b.Write(b.ctx, b.step(rec, order.SignalStatus, "step", func(r *order.Record) { r.Add.Count++ }))
				note(next, err)
				if err == nil {
					rec = next
				}
			}
		})
		b.same(t.count, map[string]int{"ok": 60})
		// 60 writes in one ms: each took a number of its own.
		last := order.Seq(epoch.UnixMilli()) + 60
		if got := b.record(b.id(1)); got.Seq != last || got.Add.Count != 20 {
			b.Fatalf("seq %d, want %d; adds %d", got.Seq, last, got.Add.Count)
		}
	}},
	{"write/clicks during a worker's writes make neither fail", func(b *bench) {
		b.open(1)
		rec := b.leased(b.id(1))
		claims := make([]order.Claim, 90)
		for i := range claims {
			claims[i] = b.callout(b.id(1), fmt.Sprintf("k%d", i))
		}
		var t tally
		together(7, func(i int) {
			if i > 0 {
				for _, c := range claims[(i-1)*15 : i*15] {
					_, err := b.Claim(b.ctx, c)
					t.add("click " + code(err))
				}
				return
			}
			for range 30 {
				next, err := b.Write(b.ctx, b.step(rec, order.SignalLease, "step", func(r *order.Record) { r.Add.Count++ }))
				t.add("write " + code(err))
				if err == nil {
					rec = next
				}
			}
		})
		b.same(t.count, map[string]int{"click ok": 90, "write ok": 30})
		got := b.record(b.id(1))
		if got.Version != 2+120 || got.Add.Count != 30 || len(got.Nonces) != 91 || got.Lease != rec.Lease || got.State != order.Working {
			b.Fatalf("got %+v", got)
		}
		// Now at most a few lines too many lie there; the end sweeps them.
		rec = b.wrote(got, order.SignalStatus, "provisioned", func(r *order.Record) { r.State, r.RecoveryPoint = order.Provisioned, order.PointAccepted })
		counted := slices.IndexFunc(rec.History, func(e order.Entry) bool { return e.Times == 90 }) // the clicks are one line
		if last := rec.History[len(rec.History)-1]; counted < 0 || rec.History[counted].Event != "callout" || last.Event != "provisioned" {
			b.Fatalf("got %v", rec.History)
		}
	}},
	{"history/50 lines are kept, of them 30 of the engine, whichever writer adds them", func(b *bench) {
		rec := b.open(1)
		engine, others := []string{}, []string{"callout"}
		note := func(event string, byEngine bool, got []order.Entry) {
			b.Helper()
			if byEngine {
				engine = append(engine, event)
			} else {
				others = append(others, event)
			}
			free := order.MaxHistory - min(len(engine), order.EngineLines)
			others = others[max(0, len(others)-free):]
			engine = engine[max(0, len(engine)-(order.MaxHistory-len(others))):]
			var ofEngine, ofOthers []string
			for _, e := range got {
				if e.By == order.ByEngine {
					ofEngine = append(ofEngine, e.Event)
				} else {
					ofOthers = append(ofOthers, e.Event)
				}
			}
			b.same(ofEngine, engine)
			b.same(ofOthers, others)
			b.after(time.Second)
		}
		rec = b.leased(rec.ID)
		for i := range order.MaxHistory + 10 {
			event := fmt.Sprintf("step%d", i)
			rec = b.wrote(rec, order.SignalNote, event, nil)
			note(event, true, rec.History)
		}
		for i := range order.MaxHistory {
			event := fmt.Sprintf("note%d", i)
			b.ok(b.Note(b.ctx, rec.ID, order.Entry{At: b.now, Event: event}))
			note(event, false, b.record(rec.ID).History)
			event = fmt.Sprintf("bump%d", i)
			got, err := b.Bump(b.ctx, rec.ID, 0, b.now, order.Entry{Event: event})
			b.ok(err)
			note(event, false, got.History)
		}
		rec = b.wrote(b.record(rec.ID), order.SignalStatus, "failed", func(r *order.Record) { r.State, r.ErrorCode = order.Failed, fault.OrderEmpty })
		note("failed", true, rec.History)
		rec, err := b.Resolve(b.ctx, order.Resolution{ID: rec.ID, Stop: true, By: "me", Why: "enough", Now: b.now})
		b.ok(err)
		note("resolved_stop", false, rec.History)
		note("reopened", false, b.claimed(b.callout(rec.ID, "another"), order.Reopened).History)
	}},
	{"history/clicks, pushes and notes that say the same are counted; no noise erases what the engine did", func(b *bench) {
		rec := b.leased(b.open(1).ID)
		for i := range order.EngineLines {
			rec = b.wrote(rec, order.SignalNote, fmt.Sprintf("step%d", i), nil)
		}
		first := b.now
		for i := range 3 * order.MaxHistory {
			b.claimed(b.callout(rec.ID, fmt.Sprint(i)), order.AlreadyOpen)
			b.ok(b.Note(b.ctx, rec.ID, order.Entry{At: b.now, Event: "status_push_failed", Detail: "a rule refused it", By: "statuspush"}))
			b.after(10 * time.Second)
		}
		got := b.record(rec.ID).History
		b.same(len(got), 1+order.EngineLines+2)
		for _, e := range got[len(got)-2:] {
			b.same([]any{e.Times, e.First, e.At}, []any{3 * order.MaxHistory, first, b.now.Add(-10 * time.Second)})
		}
	}},
	{"history/a line tells when, what and who, cut to a bearable length", func(b *bench) {
		b.open(1)
		long := strings.Repeat("é", order.MaxMessage)
		at := b.now.Add(time.Minute + 999*time.Microsecond)
		b.ok(b.Note(b.ctx, b.id(1), order.Entry{At: at, Event: "pushed", Detail: long, By: "statuspush"}))
		rec := b.record(b.id(1))
		b.same(rec.History[1], order.Entry{At: b.now.Add(time.Minute), Event: "pushed", Detail: long[:order.MaxDetail], By: "statuspush"})
		rec = b.wrote(b.leased(b.id(1)), order.SignalNote, "", func(r *order.Record) { r.ErrorCode, r.ErrorMessage = fault.WHMCSBusy, "\xff"+long })
		b.same(rec.ErrorMessage, order.Cut("\xff"+long, order.MaxMessage))
	}},
	{"history/lines of one moment keep the order in which they were caused", func(b *bench) {
		b.open(1)
		rec := b.leased(b.id(1))
		var want []string
		for i := range 12 {
			event := fmt.Sprintf("step%d", 12-i)
			rec = b.wrote(rec, order.SignalNote, event, nil)
			want = append(want, event)
		}
		var got []string
		for _, e := range rec.History[1:] {
			got = append(got, e.Event)
		}
		b.same(got, want)
	}},
	{"due/what is open and due is there, oldest first, over all shards", func(b *bench) {
		const n = 40
		var want []order.ID
		for k := range n {
			b.open(k)
			b.after(time.Second)
		}
		none, err := b.Due(b.ctx, epoch.Add(order.HintFirst-time.Millisecond), n)
		b.ok(err)
		b.same(len(none), 0) // the hint of the queue comes first
		b.after(order.HintFirst)
		for k := range n {
			id := b.id(k)
			switch k % 4 {
			case 0: // still queued
				want = append(want, id)
			case 1:
				b.leased(id)
			case 2:
				b.wrote(b.leased(id), order.SignalNote, "parked", func(r *order.Record) { r.State, r.DueAt = order.Waiting, b.now.Add(time.Hour) })
			case 3:
				b.wrote(b.leased(id), order.SignalStatus, "failed", func(r *order.Record) { r.State, r.ErrorCode = order.Failed, fault.OrderEmpty })
			}
		}
		due := func(limit int, want []order.ID) {
			b.Helper()
			got, err := b.Due(b.ctx, b.now, limit)
			b.ok(err)
			b.same(append([]order.ID{}, got...), append([]order.ID{}, want...))
		}
		due(1000, want)
		due(n, want)
		due(3, want[:3])
		due(1, want[:1])
		due(0, nil)
		// The dead worker's come back after their lease, then what was parked, then what was reopened.
		b.after(lease + margin)
		for k := 1; k < n; k += 4 {
			want = append(want, b.id(k))
		}
		due(n, want)
		b.after(time.Hour)
		for k := 2; k < n; k += 4 {
			want = append(want, b.id(k))
		}
		due(n, want)
		b.claimed(b.callout(b.id(3), "k2"), order.Reopened)
		due(n, want)
		b.after(order.HintFirst)
		due(n, append(want, b.id(3)))
	}},
}
