package provisiontest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

var claimRules = []rule{
	{"claim/the first callout makes the order", func(b *bench) {
		c := b.callout(b.id(1), "k1")
		c.AccountID = "001000000000001AAA"
		c.Now = c.Now.Add(456 * time.Microsecond).In(time.FixedZone("", 3600))
		rec := b.claimed(c, order.Created)
		b.same(rec, order.Record{
			ID: c.ID, State: order.Queued, RecoveryPoint: order.PointNone, Signal: order.SignalQueued,
			Seq: order.Seq(b.now.UnixMilli()), Version: 1, OpenedAt: b.now, DueAt: b.now.Add(order.HintFirst),
			Keys: []string{"k1"}, Nonces: map[string]order.Nonce{c.Nonce: {Expiry: c.NonceExpiry, By: c.By, Met: order.Created}},
			AccountID: "001000000000001AAA", CorrelationID: c.RequestID,
			History:   []order.Entry{{At: b.now, Event: "callout", By: c.RequestedBy}},
			CreatedAt: b.now, UpdatedAt: b.now,
		})
		b.unchanged(rec)
		if _, ok, err := b.Get(b.ctx, b.id(2)); ok || err != nil {
			b.Fatalf("another order is there: %v, %v", ok, err)
		}
	}},
	{"claim/a part that is missing is refused and leaves no trace", func(b *bench) {
		for _, spoil := range []func(*order.Claim){
			func(c *order.Claim) { c.Nonce = "" }, func(c *order.Claim) { c.Key = "" }, func(c *order.Claim) { c.By = "" },
			func(c *order.Claim) { c.NonceExpiry = time.Time{} }, func(c *order.Claim) { c.Now = time.Time{} },
		} {
			c := b.callout(b.id(1), "k1")
			spoil(&c)
			_, err := b.Claim(b.ctx, c)
			b.refused(err, fault.Internal)
		}
		_, err := b.Claim(b.ctx, b.callout(order.ID{}, "k1"))
		b.refused(err, fault.Internal)
		if _, ok, err := b.Get(b.ctx, b.id(1)); ok || err != nil {
			b.Fatalf("there is an order: %v, %v", ok, err)
		}
	}},
	{"claim/any nonce and key that the edge lets in can be kept", func(b *bench) {
		first := b.callout(b.id(1), "a.b#c:d[0] \\\"'`$ ~")
		first.Nonce = "a-b_c-0123456789-#.:[0]"
		b.claimed(first, order.Created)
		second := b.callout(b.id(1), "keys.#k = :v")
		second.Nonce = "nonces.#n-0123456789"
		rec := b.claimed(second, order.AlreadyOpen)
		b.same(rec.Keys, []string{first.Key, second.Key})
		for _, c := range []order.Claim{first, second} {
			c.By = order.NewToken()
			_, err := b.Claim(b.ctx, c)
			b.refused(err, fault.NonceReplayed)
		}
	}},
	{"claim/a nonce seen before is a replay, whatever else differs", func(b *bench) {
		c := b.callout(b.id(1), "k1")
		rec := b.claimed(c, order.Created)
		b.after(time.Minute)
		again := b.callout(b.id(1), "k2")
		again.Nonce = c.Nonce
		_, err := b.Claim(b.ctx, again)
		b.refused(err, fault.NonceReplayed)
		b.unchanged(rec)
		again.Now = c.NonceExpiry.Add(-time.Millisecond)
		_, err = b.Claim(b.ctx, again)
		b.refused(err, fault.NonceReplayed)
		b.unchanged(rec)
		again.ID = b.id(2)
		b.claimed(again, order.Created) // the signature binds a nonce to its order
	}},
	{"claim/one's own request, repeated, is answered as before and writes nothing", func(b *bench) {
		twice := func(c order.Claim, want order.Outcome) {
			b.Helper()
			rec := b.claimed(c, want)
			b.claimed(c, want)
			b.unchanged(rec)
		}
		twice(b.callout(b.id(1), "k1"), order.Created)
		twice(b.callout(b.id(1), "k2"), order.AlreadyOpen)
		b.provisioned(2)
		twice(b.callout(b.id(2), "k2"), order.AlreadyProvisioned)
		b.failed(3, fault.OrderEmpty, nil)
		twice(b.callout(b.id(3), "first"), order.StoredFailure)
		twice(b.callout(b.id(3), "k3"), order.Reopened)
	}},
	{"claim/one's own request, repeated after the order moved on, is still answered as before", func(b *bench) {
		c := b.callout(b.id(1), "k1")
		rec := b.claimed(c, order.Created)
		rec = b.leased(rec.ID)
		rec = b.wrote(rec, order.SignalStatus, "failed", func(r *order.Record) {
			r.State, r.ErrorCode, r.ErrorAt = order.Failed, fault.OrderEmpty, b.now
		})
		b.claimed(c, order.Created)
		b.unchanged(rec)
	}},
	{"claim/200 copies of one callout at once: one is accepted", func(b *bench) {
		for k, prepare := range map[int]func(){
			1: func() {},
			2: func() { b.open(2) },
			3: func() { b.failed(3, fault.OrderEmpty, nil) },
		} {
			prepare()
			c := b.callout(b.id(k), "k1")
			var t tally
			together(200, func(int) {
				mine := c
				mine.By = order.NewToken()
				_, err := b.Claim(b.ctx, mine)
				t.add(code(err))
			})
			b.same(t.count, map[string]int{"ok": 1, "nonce_replayed": 199})
			b.record(b.id(k))
		}
	}},
	{"claim/200 clicks at once on one order are all accepted", func(b *bench) {
		// Their window ends as they arrive, so that 200 can be accepted at all.
		first := b.open(1)
		var t tally
		claims := make([]order.Claim, 200)
		for i := range claims {
			claims[i] = b.callout(b.id(1), fmt.Sprintf("k%d", i))
			claims[i].NonceExpiry = b.now
		}
		together(len(claims), func(i int) {
			got, err := b.Claim(b.ctx, claims[i])
			t.add(fmt.Sprint(code(err), got.Outcome))
		})
		b.same(t.count, map[string]int{fmt.Sprint("ok", order.AlreadyOpen): 200})
		rec := b.record(b.id(1))
		// (A request that the SDK repeats after its nonce was dropped is recorded again.)
		if rec.Version < 201 || len(rec.Keys) != order.MaxKeys || slices.Contains(rec.Keys, "first") {
			b.Fatalf("version %d, keys %v", rec.Version, rec.Keys)
		}
		if rec.State != first.State || rec.Seq != first.Seq || !rec.DueAt.Equal(first.DueAt) {
			b.Fatalf("the clicks changed the order: %+v", rec)
		}
		// What crowds beyond the limits the next callout has swept away.
		b.after(time.Second)
		last := b.callout(b.id(1), "last")
		rec = b.claimed(last, order.AlreadyOpen)
		b.same(rec.Nonces[last.Nonce], order.Nonce{Expiry: last.NonceExpiry, By: last.By, Met: order.AlreadyOpen})
		b.same(rec.Keys[order.MaxKeys-1], "last")
	}},
	{"claim/a flood in one window: as many are accepted as are remembered", func(b *bench) {
		b.open(1)
		var t tally
		claims := make([]order.Claim, 200)
		for i := range claims {
			claims[i] = b.callout(b.id(1), fmt.Sprintf("k%d", i))
		}
		together(len(claims), func(i int) {
			_, err := b.Claim(b.ctx, claims[i])
			t.add(code(err))
		})
		b.same(t.count, map[string]int{"ok": order.MaxNonces - 1, "too_many_requests": 200 - order.MaxNonces + 1})
		if rec := b.record(b.id(1)); len(rec.Nonces) != order.MaxNonces {
			b.Fatalf("%d nonces", len(rec.Nonces))
		}
		// The window passes, and the flood with it: room is made once.
		b.after(window)
		t = tally{}
		for i := range claims {
			claims[i] = b.callout(b.id(1), fmt.Sprintf("k%d", i))
		}
		together(order.MaxNonces, func(i int) {
			_, err := b.Claim(b.ctx, claims[i])
			t.add(code(err))
		})
		b.same(t.count, map[string]int{"ok": order.MaxNonces})
	}},
	{"claim/one nonce too many is refused and not remembered", func(b *bench) {
		b.open(1)
		var rec order.Record
		for i := range order.MaxNonces - 1 {
			b.after(time.Second)
			rec = b.claimed(b.callout(b.id(1), fmt.Sprintf("k%d", i)), order.AlreadyOpen)
		}
		b.same(len(rec.Nonces), order.MaxNonces)
		over := b.callout(b.id(1), "over")
		_, err := b.Claim(b.ctx, over)
		b.refused(err, fault.TooManyRequests)
		b.unchanged(rec)
		// A replay is told as one even then.
		var old string
		for n := range rec.Nonces {
			old = n
		}
		replay := over
		replay.Nonce = old
		_, err = b.Claim(b.ctx, replay)
		b.refused(err, fault.NonceReplayed)
		b.unchanged(rec)
		// The first nonce leaves the window: there is room for one.
		b.now = epoch.Add(window)
		over.Now = b.now
		rec = b.claimed(over, order.AlreadyOpen)
		b.same(len(rec.Nonces), order.MaxNonces)
		_, err = b.Claim(b.ctx, b.callout(b.id(1), "over again"))
		b.refused(err, fault.TooManyRequests)
		b.unchanged(rec)
	}},
	{"claim/nonces that left the window are dropped, the others stay", func(b *bench) {
		b.open(1)
		b.after(time.Minute)
		second := b.callout(b.id(1), "k2")
		b.claimed(second, order.AlreadyOpen)
		b.now = epoch.Add(window) // the first nonce ends at this very moment
		third := b.callout(b.id(1), "k3")
		rec := b.claimed(third, order.AlreadyOpen)
		b.same(rec.Nonces, map[string]order.Nonce{
			second.Nonce: {Expiry: second.NonceExpiry, By: second.By, Met: order.AlreadyOpen},
			third.Nonce:  {Expiry: third.NonceExpiry, By: third.By, Met: order.AlreadyOpen},
		})
	}},
	{"claim/a nonce that left the window and still lies there may come again", func(b *bench) {
		c := b.callout(b.id(1), "k1")
		b.claimed(c, order.Created)
		b.now = c.NonceExpiry
		again := b.callout(b.id(1), "k2")
		again.Nonce = c.Nonce
		rec := b.claimed(again, order.AlreadyOpen)
		b.same(rec.Nonces, map[string]order.Nonce{again.Nonce: {Expiry: again.NonceExpiry, By: again.By, Met: order.AlreadyOpen}})
	}},
	{"claim/the last 20 keys are kept, the one used last at the end", func(b *bench) {
		b.open(1)
		want := []string{"first"}
		for i := range order.MaxKeys + 5 {
			k := fmt.Sprintf("k%d", i)
			want = append(want, k)
			rec := b.claimed(b.callout(b.id(1), k), order.AlreadyOpen) // all at one moment
			want = want[max(0, len(want)-order.MaxKeys):]
			b.same(rec.Keys, want)
		}
		again := want[0]
		rec := b.claimed(b.callout(b.id(1), again), order.AlreadyOpen)
		b.same(rec.Keys, append(slices.Clone(want[1:]), again))
	}},
	{"claim/a click on an open order changes nothing of the work", func(b *bench) {
		check := func(before order.Record) {
			b.Helper()
			b.after(time.Second)
			c := b.callout(before.ID, "k2")
			rec := b.claimed(c, order.AlreadyOpen)
			want := before
			want.Signal, want.Version = order.SignalNote, before.Version+1
			want.Keys = append(slices.Clone(before.Keys), "k2")
			want.Nonces = map[string]order.Nonce{c.Nonce: {Expiry: c.NonceExpiry, By: c.By, Met: order.AlreadyOpen}}
			for n, v := range before.Nonces {
				want.Nonces[n] = v
			}
			want.History = append(slices.Clone(before.History), order.Entry{At: b.now, Event: "callout", Detail: "open", By: c.RequestedBy})
			b.same(rec, want)
			b.unchanged(want)
		}
		check(b.open(1))
		b.open(2)
		check(b.leased(b.id(2)))
		b.open(3)
		check(b.wrote(b.leased(b.id(3)), order.SignalNote, "parked", func(r *order.Record) {
			r.State, r.RecoveryPoint, r.DueAt = order.Waiting, order.PointAdding, b.now.Add(time.Minute)
		}))
	}},
	{"claim/what a click makes of an order is what the pure method says", func(b *bench) {
		click := func(before order.Record, key string) order.Record {
			b.Helper()
			c := b.callout(before.ID, key)
			c.AccountID = "001000000000001AAA"
			want, met, err := before.Claim(c)
			b.ok(err)
			rec := b.claimed(c, met)
			b.same(rec, want)
			b.unchanged(want)
			return rec
		}
		b.open(1)
		for k, before := range []order.Record{
			b.open(2), b.leased(b.id(1)), b.provisioned(3), b.failed(4, fault.OrderEmpty, nil),
			b.wrote(b.leased(b.open(5).ID), order.SignalNote, "parked", func(r *order.Record) { r.State, r.DueAt = order.Waiting, b.now }),
		} {
			rec := before
			for n := range 3 * order.MaxHistory { // past every limit of keys and lines
				b.after(30 * time.Second) // each click drops a nonce or two
				if n%10 == 9 {
					b.after(-50 * time.Second) // from a machine whose clock is behind
				}
				rec = click(rec, fmt.Sprintf("k%d", n%(order.MaxKeys+7+k)))
			}
			b.after(2 * window) // all of them at once
			rec = click(rec, "last")
			b.same(len(rec.Nonces), 1)
		}
	}},
	{"claim/a click on a provisioned order changes nothing that is shown", func(b *bench) {
		before := b.provisioned(1)
		b.after(time.Hour)
		rec := b.claimed(b.callout(b.id(1), "k2"), order.AlreadyProvisioned)
		if rec.State != before.State || rec.Seq != before.Seq || rec.Signal != order.SignalNote || rec.WHMCSOrderID != "77" ||
			!rec.ExpiresAt.Equal(before.ExpiresAt) || !rec.UpdatedAt.Equal(before.UpdatedAt) || len(rec.Nonces) != 1 {
			b.Fatalf("got %+v", rec)
		}
	}},
	{"claim/the account is taken over only where none is known", func(b *bench) {
		c := b.callout(b.id(1), "k1")
		b.claimed(c, order.Created)
		c = b.callout(b.id(1), "k2")
		c.AccountID = "001000000000001AAA"
		b.same(b.claimed(c, order.AlreadyOpen).AccountID, "001000000000001AAA")
		c = b.callout(b.id(1), "k3")
		c.AccountID = "001000000000002AAA"
		b.same(b.claimed(c, order.AlreadyOpen).AccountID, "001000000000001AAA")
	}},
	{"claim/a failed order tells its failure again to a key that was seen", func(b *bench) {
		before := b.failed(1, fault.WHMCSRejected, func(r *order.Record) { r.ExpiresAt = b.now.Add(time.Hour) })
		b.after(time.Minute)
		c := b.callout(b.id(1), "first")
		c.AccountID = "001000000000001AAA"
		rec := b.claimed(c, order.StoredFailure)
		want := before
		// Salesforce is told again: the sender may show Activating since its click.
		want.Signal, want.Seq, want.Version = order.SignalStatus, order.Seq(b.now.UnixMilli()), before.Version+1
		want.Nonces = map[string]order.Nonce{c.Nonce: {Expiry: c.NonceExpiry, By: c.By, Met: order.StoredFailure}}
		for n, v := range before.Nonces {
			want.Nonces[n] = v
		}
		b.same(rec, want)
		b.unchanged(want)
	}},
	{"claim/a new key reopens a failed order at its recovery point", func(b *bench) {
		before := b.failed(1, fault.AddOutcomeUnknown, func(r *order.Record) {
			r.RecoveryPoint, r.Add.Count, r.Add.Until, r.FirstAddAt = order.PointAdding, 2, b.now, b.now.Add(-time.Second)
			r.Accept.Count, r.Accept.Until = 1, b.now.Add(time.Second)
			r.Plan = plan()
		})
		b.after(time.Minute)
		c := b.callout(b.id(1), "k2")
		rec := b.claimed(c, order.Reopened)
		want := before
		want.State, want.Signal = order.Queued, order.SignalQueued
		want.Seq, want.Version = order.Seq(b.now.UnixMilli()), before.Version+1
		want.OpenedAt, want.DueAt, want.UpdatedAt, want.Attempts = b.now, b.now.Add(order.HintFirst), b.now, 0
		want.Keys, want.CorrelationID = []string{"first", "k2"}, c.RequestID
		want.Nonces = rec.Nonces
		want.History = append(slices.Clone(before.History), order.Entry{At: b.now, Event: "reopened", Detail: "after add_outcome_unknown", By: c.RequestedBy})
		b.same(rec, want)
		b.unchanged(want)
		b.same(rec.Nonces[c.Nonce], order.Nonce{Expiry: c.NonceExpiry, By: c.By, Met: order.Reopened})
	}},
	{"claim/a callout signed before the failure meets it, whatever its key", func(b *bench) {
		before := b.failed(1, fault.ModuleFailed, func(r *order.Record) {
			r.RecoveryPoint, r.Plan, r.WHMCSOrderID = order.PointAccepting, plan(), "77"
		})
		b.after(2 * time.Second)
		late := b.callout(b.id(1), "double click")
		late.SignedAt = before.ErrorAt.Add(-time.Second)
		rec := b.claimed(late, order.StoredFailure)
		b.same([]any{rec.State, rec.ErrorCode, rec.Word, rec.Keys}, []any{before.State, before.ErrorCode, before.Word, before.Keys})
		b.same([]any{rec.Signal, rec.Seq}, []any{order.SignalStatus, order.Seq(b.now.UnixMilli())})
		click := b.callout(b.id(1), "after reading it")
		click.SignedAt = b.now
		if rec := b.claimed(click, order.Reopened); !rec.Word.Rerun() {
			b.Fatalf("the word is %q", rec.Word)
		}
	}},
	{"claim/one signed in the second of the failure reopens", func(b *bench) {
		before := b.failed(1, fault.OrderEmpty, func(*order.Record) {})
		c := b.callout(b.id(1), "k2")
		c.SignedAt = before.ErrorAt.Truncate(time.Second)
		b.claimed(c, order.Reopened)
	}},
	{"claim/reopening takes the retention away, and what is shown grows past a fast clock", func(b *bench) {
		before := b.failed(1, fault.OrderEmpty, func(r *order.Record) { r.ExpiresAt = b.now.Add(time.Hour) })
		if before.ExpiresAt.IsZero() {
			b.Fatal("no retention to take away")
		}
		b.now = b.now.Add(-time.Hour) // this machine's clock is behind
		rec := b.claimed(b.callout(b.id(1), "k2"), order.Reopened)
		if !rec.ExpiresAt.IsZero() || rec.Seq != before.Seq+1 {
			b.Fatalf("expires %v, seq %d after %d", rec.ExpiresAt, rec.Seq, before.Seq)
		}
	}},
	{"claim/a click after a module failure consents to one more AcceptOrder", func(b *bench) {
		for k, c := range []struct {
			code  fault.Code
			point order.RecoveryPoint
			want  bool
		}{
			{fault.ModuleFailed, order.PointAccepting, true},
			{fault.ModuleFailed, order.PointAccepted, false},
			{fault.AcceptOutcomeUnknown, order.PointAccepting, false},
			{fault.OrderEmpty, order.PointNone, false},
		} {
			rec := b.failed(k+1, c.code, func(r *order.Record) { r.RecoveryPoint = c.point })
			b.same(rec.Word.Rerun(), false)
			rec = b.claimed(b.callout(rec.ID, "k2"), order.Reopened)
			b.same(rec.Word.Rerun(), c.want)
		}
	}},
	{"claim/clicks at once on a failed order reopen it once", func(b *bench) {
		for k, key := range map[int]func(i int) string{
			1: func(i int) string { return fmt.Sprintf("k%d", i) },
			2: func(int) string { return "k" },
		} {
			before := b.failed(k, fault.OrderEmpty, nil)
			claims := make([]order.Claim, 50)
			for i := range claims {
				claims[i] = b.callout(b.id(k), key(i))
			}
			var t tally
			together(len(claims), func(i int) {
				got, err := b.Claim(b.ctx, claims[i])
				t.add(fmt.Sprint(code(err), got.Outcome))
			})
			b.same(t.count, map[string]int{fmt.Sprint("ok", order.Reopened): 1, fmt.Sprint("ok", order.AlreadyOpen): 49})
			if rec := b.record(b.id(k)); rec.Version != before.Version+50 || rec.State != order.Queued {
				b.Fatalf("got %+v", rec)
			}
		}
	}},
	{"claim/an ended context refuses and says so", func(b *bench) {
		ctx, cancel := context.WithCancel(b.ctx)
		cancel()
		_, err := b.Claim(ctx, b.callout(b.id(1), "k1"))
		b.refused(err, fault.TryAgain)
		_, _, err = b.Get(ctx, b.id(1))
		b.refused(err, fault.StoreUnavailable)
		_, err = b.Due(ctx, b.now, 10)
		b.refused(err, fault.StoreUnavailable)
		_, err = b.Lease(ctx, b.id(1), b.ask())
		b.refused(err, fault.StoreUnavailable)
		_, err = b.Control(ctx, order.SideWHMCS)
		b.refused(err, fault.StoreUnavailable)
		b.refused(b.Pause(ctx, "why", "who", b.now), fault.StoreUnavailable)
		b.refused(b.Note(ctx, b.id(1), order.Entry{At: b.now, Event: "note"}), fault.StoreUnavailable)
	}},
}

// plan is one with every member filled.
func plan() *order.Plan {
	return &order.Plan{ClientID: 42, PaymentMethod: "mailin", PromoCode: "SPRING", Entries: []order.PlanEntry{
		{Line: order.Line{ItemID: "802000000000001AAA", ProductID: 3, Cycle: order.Monthly, Quantity: 1}, Services: 1},
		{Line: order.Line{
			ItemID: "802000000000002AAA", ProductID: 4, Cycle: order.OneTime, Quantity: 3, Domain: "exämple.org", Hostname: "h.example.org",
			CustomFields: map[string]string{"1": "", "2": "a=b&c"}, ConfigOptions: map[string]string{"9": "1"},
		}, Services: 3},
	}}
}
