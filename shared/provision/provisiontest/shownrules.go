package provisiontest

import (
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// shownRules say how a Store keeps what Salesforce shows and refuses.
var shownRules = []rule{
	{"shown/each change is listed once, by its time, and none is skipped by a limit", func(b *bench) {
		start := b.now
		var all []order.Record
		for n := range 5 {
			b.after(time.Minute)
			all = append(all, b.failed(n+1, fault.OrderEmpty, nil))
		}
		end := all[4].Listed()
		listed := func(from, until time.Time, limit int) (ids []order.ID, reached time.Time) {
			rows, reached, err := b.Changed(b.ctx, from, until, limit)
			b.ok(err)
			for _, r := range rows {
				ids = append(ids, r.ID)
			}
			return ids, reached
		}
		ids, reached := listed(start, end.Add(time.Hour), 100)
		if len(ids) != 5 || ids[0] != all[0].ID || ids[4] != all[4].ID || !reached.After(end.Add(time.Hour)) {
			b.Fatalf("%v until %s", ids, reached)
		}
		var paged []order.ID
		for from := start; !from.After(end); {
			some, reached := listed(from, end, 2)
			if len(some) > 2 || !reached.After(from) {
				b.Fatalf("%v from %s until %s", some, from, reached)
			}
			paged, from = append(paged, some...), reached
		}
		b.same(paged, ids)
		if ids, _ := listed(end.Add(time.Millisecond), end.Add(time.Hour), 100); len(ids) != 0 {
			b.Fatalf("%v after the last change", ids)
		}
	}},
	{"shown/a change that follows soon keeps the order's place in the list", func(b *bench) {
		first := b.failed(1, fault.OrderEmpty, nil)
		b.now = first.OpenedAt.Add(30 * time.Second)
		_, err := b.Bump(b.ctx, first.ID, 0, b.now, order.Entry{})
		b.ok(err)
		if now := b.record(first.ID); now.Seq <= first.Seq || !now.Listed().Equal(first.Listed()) || first.Listed().Before(b.now) {
			b.Fatalf("%d is listed under %s, %d under %s", first.Seq, first.Listed(), now.Seq, now.Listed())
		}
	}},
	{"shown/a refusal is counted, told once, and ends when the org shows the order", func(b *bench) {
		rec := b.failed(1, fault.OrderEmpty, nil)
		line := func(event string) order.Entry { return order.Entry{At: b.now, Event: event, By: "statuspush"} }
		refuse := func(x order.Refusal) {
			b.after(time.Minute)
			x.Next = b.now.Add(time.Minute)
			b.ok(b.Refuse(b.ctx, rec.ID, x, b.now, line("status_push_failed")))
		}
		first := b.now.Add(time.Minute)
		refuse(order.Refusal{Seq: rec.Seq, Code: fault.SalesforceRowLocked})
		refuse(order.Refusal{Seq: rec.Seq, Code: fault.SalesforceRowRefused, Letter: true})
		refuse(order.Refusal{Seq: rec.Seq, Code: fault.SalesforceRowRefused, Letter: true})
		got := b.record(rec.ID)
		b.same(got.Refusal, order.Refusal{Seq: rec.Seq, Since: first, Next: b.now.Add(time.Minute), Tries: 3, Code: fault.SalesforceRowRefused, Letter: true})
		if len(got.History) != len(rec.History)+1 || got.Signal != order.SignalNote || got.Seq != rec.Seq {
			b.Fatalf("history %v, signal %s", got.History, got.Signal)
		}
		refuse(order.Refusal{Seq: rec.Seq - 1, Code: fault.SalesforceRowRefused}) // of an older change
		b.same(b.record(rec.ID), got)
		refused := func(want int) {
			ids, err := b.Refused(b.ctx, b.now, 10)
			b.ok(err)
			if len(ids) != want {
				b.Fatalf("%v are to be tried again, want %d", ids, want)
			}
		}
		refused(1) // its next try was set two minutes ago
		if rows, _, err := b.Changed(b.ctx, epoch, b.now, 10); err != nil || len(rows) != 0 {
			b.Fatalf("%v are listed as changed, %v", rows, err)
		}
		b.ok(b.Confirm(b.ctx, rec.ID, rec.Seq-1, line("status_shown")))
		refused(1)
		b.ok(b.Confirm(b.ctx, rec.ID, rec.Seq, line("status_shown")))
		refused(0)
		got = b.record(rec.ID)
		if got.Refusal != (order.Refusal{}) || len(got.History) != len(rec.History)+2 {
			b.Fatalf("%+v", got)
		}
		b.ok(b.Confirm(b.ctx, rec.ID, rec.Seq, line("status_shown")))
		b.same(b.record(rec.ID), got)
		b.refused(b.Confirm(b.ctx, b.id(2), 1, line("status_shown")), fault.OrderNotFound)
		b.refused(b.Refuse(b.ctx, b.id(2), order.Refusal{Seq: 1, Next: b.now}, b.now, order.Entry{}), fault.OrderNotFound)
		b.refused(b.Refuse(b.ctx, rec.ID, order.Refusal{Seq: 1}, b.now, order.Entry{}), fault.Internal)
	}},
	{"shown/a change after a refused one is looked for like any other", func(b *bench) {
		rec := b.failed(1, fault.OrderEmpty, nil)
		b.ok(b.Refuse(b.ctx, rec.ID, order.Refusal{Seq: rec.Seq, Next: b.now.Add(24 * time.Hour), Code: fault.SalesforceRowRefused}, b.now, order.Entry{}))
		b.after(time.Second)
		_, err := b.Bump(b.ctx, rec.ID, 0, b.now, order.Entry{})
		b.ok(err)
		b.after(time.Minute)
		rows, _, err := b.Changed(b.ctx, epoch, b.now, 10)
		b.ok(err)
		if len(rows) != 1 {
			b.Fatalf("%v are listed as changed", rows)
		}
		b.after(48 * time.Hour)
		ids, err := b.Refused(b.ctx, b.now, 10)
		b.ok(err)
		if len(ids) != 0 {
			b.Fatalf("%v are to be tried again", ids)
		}
	}},
	{"shown/reconcile moves both marks back, never forward", func(b *bench) {
		c, err := b.ChangeControl(b.ctx, order.SideSalesforce, func(c order.Control) (order.Control, bool) {
			c.ConfirmedUntil, c.AskedUntil = b.now, b.now.Add(-time.Hour)
			return c, true
		})
		b.ok(err)
		b.same([]time.Time{c.ConfirmedUntil, c.AskedUntil}, []time.Time{b.now, b.now.Add(-time.Hour)})
		b.ok(b.Reconcile(b.ctx, b.now.Add(-time.Minute), "ann", b.now))
		c, err = b.Control(b.ctx, order.SideSalesforce)
		b.ok(err)
		b.same([]time.Time{c.ConfirmedUntil, c.AskedUntil}, []time.Time{b.now.Add(-time.Minute), b.now.Add(-time.Hour)})
		if len(c.History) != 1 || c.History[0].Event != "reconcile" || c.History[0].By != "ann" {
			b.Fatalf("%v", c.History)
		}
		b.refused(b.Reconcile(b.ctx, time.Time{}, "ann", b.now), fault.Internal)
	}},
}
