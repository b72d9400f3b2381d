package provisiontest

import (
	"fmt"
	"slices"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

var operatorRules = []rule{
	{"resolve/adopt queues the order at added", func(b *bench) {
		before := b.failed(1, fault.WHMCSOrderCancelled, func(r *order.Record) { r.RecoveryPoint = order.PointAdding })
		b.after(time.Minute)
		rec, err := b.Resolve(b.ctx, b.resolution(before.ID, func(r *order.Resolution) { r.Adopt = "91" }))
		b.ok(err)
		want := b.queued(before, "resolved_adopt", "WHMCS order 91: looked")
		want.RecoveryPoint, want.WHMCSOrderID, want.ServiceIDs = order.PointAdded, "91", nil
		want.Word = order.WordNamed
		b.same(rec, want)
		b.unchanged(want)
		b.leased(rec.ID)
	}},
	{"resolve/adopt where AcceptOrder has ever left: it may have been of this order", func(b *bench) {
		before := b.unknown(1)
		rec, err := b.Resolve(b.ctx, b.resolution(before.ID, func(r *order.Resolution) { r.Adopt, r.AnyClient = "91", true }))
		b.ok(err)
		b.same([]any{rec.RecoveryPoint, rec.Word}, []any{order.PointAccepting, order.WordNamedAnyClient})
	}},
	{"resolve/undo takes an adoption back: the order searches for its own", func(b *bench) {
		before := b.failed(1, fault.WHMCSOrderMismatch, func(r *order.Record) {
			r.RecoveryPoint, r.WHMCSOrderID, r.Word = order.PointAdded, "91", order.WordNamedRerun
		})
		b.after(time.Minute)
		rec, err := b.Resolve(b.ctx, b.resolution(before.ID, func(r *order.Resolution) { r.UndoAdopt = true }))
		b.ok(err)
		want := b.queued(before, "adoption_undone", "WHMCS order 91: looked")
		want.RecoveryPoint, want.WHMCSOrderID, want.ServiceIDs, want.Word = order.PointAdding, "", nil, order.WordNone
		if want.Add.Count == 0 {
			want.Plan = nil
		}
		b.same(rec, want)
		b.unchanged(want)
		b.leased(rec.ID)
	}},
	{"resolve/undo where no order was named is refused", func(b *bench) {
		before := b.unknown(1)
		_, err := b.Resolve(b.ctx, b.resolution(before.ID, func(r *order.Resolution) { r.UndoAdopt = true }))
		b.refused(err, fault.StateChanged)
		b.unchanged(before)
	}},
	{"resolve/adopting the order that is known keeps its services", func(b *bench) {
		before := b.unknown(1)
		rec, err := b.Resolve(b.ctx, b.resolution(before.ID, func(r *order.Resolution) { r.Adopt = before.WHMCSOrderID }))
		b.ok(err)
		b.same(rec.ServiceIDs, before.ServiceIDs)
	}},
	{"resolve/adopting the order that is known does not forget that AcceptOrder may have run", func(b *bench) {
		before := b.unknown(1)
		rec, err := b.Resolve(b.ctx, b.resolution(before.ID, func(r *order.Resolution) { r.Adopt = before.WHMCSOrderID }))
		b.ok(err)
		if before.RecoveryPoint != order.PointAccepting && before.RecoveryPoint != order.PointAccepted {
			b.Fatalf("the order is at %s: this rule needs one that AcceptOrder may have reached", before.RecoveryPoint)
		}
		b.same(rec.RecoveryPoint, before.RecoveryPoint)
	}},
	{"resolve/none queues the order at none; the WHMCS order that was known stays known", func(b *bench) {
		before := b.unknown(1)
		b.after(time.Minute)
		rec, err := b.Resolve(b.ctx, b.resolution(before.ID, func(r *order.Resolution) { r.None = true }))
		b.ok(err)
		want := b.queued(before, "resolved_none", "looked")
		want.RecoveryPoint, want.Add.Count, want.Plan, want.ServiceIDs = order.PointNone, 0, nil, nil
		want.Word = order.WordAbsent
		b.same(rec, want)
		b.unchanged(want)
	}},
	{"resolve/the last word of a person stands alone", func(b *bench) {
		for k, spoken := range []order.Word{order.WordAbsent, order.WordNamed, order.WordRerun, order.WordNamedRerun, order.WordNamedAnyClient} {
			adopted := b.failed(2*k+1, fault.WHMCSOrderCancelled, func(r *order.Record) {
				r.RecoveryPoint, r.Word = order.PointAdding, spoken
			})
			rec, err := b.Resolve(b.ctx, b.resolution(adopted.ID, func(r *order.Resolution) { r.Adopt = "91" }))
			b.ok(err)
			b.same(rec.Word, order.WordNamed)
			none := b.failed(2*k+2, fault.WHMCSOrderCancelled, func(r *order.Record) {
				r.RecoveryPoint, r.Word = order.PointAdding, spoken
			})
			rec, err = b.Resolve(b.ctx, b.resolution(none.ID, func(r *order.Resolution) { r.None = true }))
			b.ok(err)
			b.same(rec.Word, order.WordAbsent)
		}
	}},
	{"resolve/none is refused while AddOrder may still run", func(b *bench) {
		before := b.unknown(1)
		for _, now := range []time.Time{before.Add.SettledAt.Add(-time.Hour), before.Add.SettledAt.Add(-time.Millisecond), before.Add.SettledAt} {
			_, err := b.Resolve(b.ctx, b.resolution(before.ID, func(r *order.Resolution) { r.None, r.Now = true, now }))
			b.refused(err, fault.StateChanged)
			b.unchanged(before)
		}
		never := b.failed(2, fault.OrderEmpty, nil)
		_, err := b.Resolve(b.ctx, b.resolution(never.ID, func(r *order.Resolution) { r.None = true }))
		b.ok(err)
	}},
	{"resolve/stop changes the error alone, and Salesforce hears of it", func(b *bench) {
		for k, before := range []order.Record{
			b.unknown(1),
			b.failed(2, fault.OrderEmpty, func(r *order.Record) { r.ExpiresAt = b.now.Add(time.Hour) }),
		} {
			b.after(time.Minute)
			rec, err := b.Resolve(b.ctx, b.resolution(before.ID, func(r *order.Resolution) { r.Stop = true }))
			b.ok(err)
			want := before
			want.Signal, want.Seq, want.Version = order.SignalStatus, order.Seq(b.now.UnixMilli()), before.Version+1
			want.ErrorCode, want.ErrorMessage = before.Stopped()
			want.ErrorAt, want.UpdatedAt = b.now, b.now
			b.same(want.ErrorCode, []fault.Code{fault.StoppedInWHMCS, fault.Stopped}[k])
			want.History = append(slices.Clone(before.History), order.Entry{At: b.now, Event: "resolved_stop", Detail: "looked", By: "ops@example.org"})
			b.same(rec, want)
			b.unchanged(want)
			if k == 1 && rec.ExpiresAt.IsZero() {
				b.Fatal("the retention is gone")
			}
			b.claimed(b.callout(rec.ID, "k2"), order.Reopened)
		}
	}},
	{"resolve/retry queues the order where it stands, with the consent of a click", func(b *bench) {
		before := b.unknown(1)
		b.after(time.Minute)
		rec, err := b.Resolve(b.ctx, b.resolution(before.ID, func(r *order.Resolution) { r.Retry = true }))
		b.ok(err)
		want := b.queued(before, "retried", "after add_outcome_unknown: looked")
		want.Word, want.AcceptedAt = before.Word, before.AcceptedAt
		b.same(rec, want)
		b.unchanged(want)
		b.leased(rec.ID)
		module := b.failed(2, fault.ModuleFailed, func(r *order.Record) { r.RecoveryPoint, r.WHMCSOrderID = order.PointAccepting, "91" })
		rec, err = b.Resolve(b.ctx, b.resolution(module.ID, func(r *order.Resolution) { r.Retry = true }))
		b.ok(err)
		b.same(rec.Word, order.WordRerun)
	}},
	{"resolve/only a failed order can be resolved", func(b *bench) {
		_, err := b.Resolve(b.ctx, b.resolution(b.id(9), func(r *order.Resolution) { r.Stop = true }))
		b.refused(err, fault.OrderNotFound)
		b.open(2)
		b.open(3)
		for _, rec := range []order.Record{
			b.open(1), b.leased(b.id(2)), b.provisioned(4),
			b.wrote(b.leased(b.id(3)), order.SignalNote, "parked", func(r *order.Record) { r.State = order.Waiting }),
		} {
			for _, how := range ways {
				_, err := b.Resolve(b.ctx, b.resolution(rec.ID, how))
				b.refused(err, fault.StateChanged)
				b.unchanged(rec)
			}
		}
	}},
	{"resolve/exactly one way, by somebody, for a reason", func(b *bench) {
		before := b.unknown(1)
		for _, how := range []func(*order.Resolution){
			func(*order.Resolution) {},
			func(r *order.Resolution) { r.Stop, r.None = true, true },
			func(r *order.Resolution) { r.Stop, r.Adopt = true, "1" },
			func(r *order.Resolution) { r.Stop, r.By = true, "" },
			func(r *order.Resolution) { r.Stop, r.Why = true, "" },
			func(r *order.Resolution) { r.Stop, r.Now = true, time.Time{} },
			func(r *order.Resolution) { r.Stop, r.ID = true, order.ID{} },
		} {
			_, err := b.Resolve(b.ctx, b.resolution(before.ID, how))
			b.refused(err, fault.Internal)
		}
		b.unchanged(before)
	}},
	{"resolve/20 people at once: one is heard", func(b *bench) {
		before := b.unknown(1)
		var t tally
		together(20, func(i int) {
			rec, err := b.Resolve(b.ctx, b.resolution(before.ID, func(r *order.Resolution) { r.Adopt = fmt.Sprint(100 + i) }))
			t.add(code(err))
			if err == nil && rec.WHMCSOrderID != fmt.Sprint(100+i) {
				t.add("another's order")
			}
		})
		b.same(t.count, map[string]int{"ok": 1, "state_changed": 19})
		b.same(b.record(before.ID).Version, before.Version+1)
	}},
	{"resolve/notes and repeated callouts at once do not stand in the way", func(b *bench) {
		before := b.unknown(1)
		claims := make([]order.Claim, 20)
		for i := range claims {
			claims[i] = b.callout(before.ID, "first")
		}
		var t tally
		together(41, func(i int) {
			var err error
			switch {
			case i == 0:
				_, err = b.Resolve(b.ctx, b.resolution(before.ID, func(r *order.Resolution) { r.Stop = true }))
			case i <= 20:
				_, err = b.Claim(b.ctx, claims[i-1])
			default:
				err = b.Note(b.ctx, before.ID, order.Entry{At: b.now, Event: "pushed", Detail: fmt.Sprint(i)})
			}
			t.add(code(err))
		})
		b.same(t.count, map[string]int{"ok": 41})
		rec := b.record(before.ID)
		b.same([]any{rec.ErrorCode, rec.Version}, []any{fault.StoppedInWHMCS, before.Version + 41})
	}},
	{"resolve/a person and a click at once: the order is queued once", func(b *bench) {
		for k := range 10 {
			before := b.unknown(k + 1)
			c := b.callout(before.ID, "k2")
			var resolved, clicked error
			var got order.Claimed
			together(2, func(i int) {
				if i == 0 {
					_, resolved = b.Resolve(b.ctx, b.resolution(before.ID, func(r *order.Resolution) { r.Adopt = "91" }))
				} else {
					got, clicked = b.Claim(b.ctx, c)
				}
			})
			b.ok(clicked)
			rec := b.record(before.ID)
			switch fault.CodeOf(resolved) {
			case "": // the click met an open order
				b.same([]any{got.Outcome, rec.RecoveryPoint, rec.WHMCSOrderID}, []any{order.AlreadyOpen, order.PointAccepting, "91"})
			case fault.StateChanged:
				b.same([]any{got.Outcome, rec.RecoveryPoint}, []any{order.Reopened, before.RecoveryPoint})
			default:
				b.Fatal(resolved)
			}
			b.same([]any{rec.State, rec.Seq}, []any{order.Queued, max(before.Seq+1, order.Seq(b.now.UnixMilli()))})
		}
	}},
	{"note/a note changes nothing else and wakes no function", func(b *bench) {
		before := b.failed(1, fault.OrderEmpty, func(r *order.Record) { r.ExpiresAt = b.now.Add(time.Hour) })
		b.after(time.Minute)
		b.ok(b.Note(b.ctx, before.ID, order.Entry{At: b.now, Event: "pushed", Detail: "row refused", By: "statuspush"}))
		want := before
		want.Signal, want.Version = order.SignalNote, before.Version+1
		want.History = append(slices.Clone(before.History), order.Entry{At: b.now, Event: "pushed", Detail: "row refused", By: "statuspush"})
		b.unchanged(want)
		b.refused(b.Note(b.ctx, b.id(2), order.Entry{At: b.now, Event: "pushed"}), fault.OrderNotFound)
		b.refused(b.Note(b.ctx, before.ID, order.Entry{At: b.now}), fault.Internal)
		b.refused(b.Note(b.ctx, before.ID, order.Entry{Event: "pushed"}), fault.Internal)
		b.unchanged(want)
	}},
	{"bump/the number grows past the last one, the one asked for, and the clock", func(b *bench) {
		before := b.open(1)
		want := before
		for i, c := range []struct {
			atLeast order.Seq
			after   time.Duration
			want    order.Seq
		}{
			{0, 0, before.Seq + 1},
			{before.Seq - 5, 0, before.Seq + 2},
			{before.Seq + 2, 0, before.Seq + 3},
			{before.Seq + 7000, time.Second, before.Seq + 7000},
			{0, time.Hour, before.Seq + 3_601_000},
		} {
			b.after(c.after)
			rec, err := b.Bump(b.ctx, before.ID, c.atLeast, b.now, order.Entry{})
			b.ok(err)
			want.Signal, want.Seq, want.Version = order.SignalStatus, c.want, before.Version+int64(i)+1
			b.same(rec, want)
			b.unchanged(want)
		}
		_, err := b.Bump(b.ctx, b.id(2), 0, b.now, order.Entry{})
		b.refused(err, fault.OrderNotFound)
		_, err = b.Bump(b.ctx, before.ID, 0, time.Time{}, order.Entry{})
		b.refused(err, fault.Internal)
	}},
}

var ways = []func(*order.Resolution){
	func(r *order.Resolution) { r.Adopt = "91" },
	func(r *order.Resolution) { r.None = true },
	func(r *order.Resolution) { r.Stop = true },
	func(r *order.Resolution) { r.Retry = true },
}

// unknown is a failed order of which it is not known what WHMCS made.
func (b *bench) unknown(k int) order.Record {
	b.Helper()
	return b.failed(k, fault.AddOutcomeUnknown, func(r *order.Record) {
		r.RecoveryPoint, r.Plan, r.FirstAddAt = order.PointAccepting, plan(), b.now
		r.Add = order.Sent{Count: 2, Until: b.now, SettledAt: b.now.Add(30 * time.Second)}
		r.Accept = order.Sent{Count: 1, Until: b.now, SettledAt: b.now.Add(40 * time.Second)}
		r.Word, r.AcceptedAt = order.WordRerun, b.now
		r.WHMCSOrderID, r.ServiceIDs = "77", map[string][]string{"802000000000001AAA": {"5"}}
	})
}

func (b *bench) resolution(id order.ID, how func(*order.Resolution)) order.Resolution {
	r := order.Resolution{ID: id, By: "ops@example.org", Why: "looked", Now: b.now}
	how(&r)
	return r
}

// queued is what a resolution that queues makes of a record, but for the point.
func (b *bench) queued(before order.Record, event, detail string) order.Record {
	want := before
	want.State, want.Signal = order.Queued, order.SignalQueued
	want.Seq, want.Version = order.Seq(b.now.UnixMilli()), before.Version+1
	want.OpenedAt, want.DueAt, want.UpdatedAt, want.Attempts = b.now, b.now.Add(order.HintFirst), b.now, 0
	want.Word, want.AcceptedAt = order.WordNone, time.Time{}
	want.History = append(slices.Clone(before.History), order.Entry{At: b.now, Event: event, Detail: detail, By: "ops@example.org"})
	return want
}
