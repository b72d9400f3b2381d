package main

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/salesforce/salesforcetest"
)

// history plays orders, the stream and the org against each other.
type history struct {
	w       *world
	rt      *rapid.T
	orders  int
	past    []hint                                  // every visible change, oldest first
	pending []hint                                  // not yet handed over
	truth   map[order.ID]map[order.Seq]order.Record // what the table held at each seq
	highest map[order.ID]order.Seq                  // what the org showed at most
	clicked map[order.ID]bool                       // Activating written by the click itself
}

// hint is one record of the stream.
type hint struct {
	event event
	id    order.ID
	seq   order.Seq
	at    time.Time
}

func batchOf(all []hint) []event {
	out := make([]event, len(all))
	for i, x := range all {
		out[i] = x.event
	}
	return out
}

// change makes the table's next image of an order and its record in the stream.
func (h *history) change(n int, do func(*order.Record)) {
	now := time.Now().UTC().Truncate(time.Millisecond)
	rec, ok, err := h.w.table.Get(h.w.t.Context(), orderID(n))
	if err != nil {
		h.rt.Fatal(err)
	}
	if !ok {
		rec = order.Record{ID: orderID(n), State: order.Queued, RecoveryPoint: order.PointNone, CreatedAt: now, AccountID: "001000000000001AAA"}
	}
	rec.Signal, rec.Seq, rec.UpdatedAt = order.SignalStatus, rec.Seq.Next(now), now
	rec.Version++
	do(&rec)
	h.w.table.Set(rec)
	h.stream(rec)
}

func (h *history) stream(rec order.Record) {
	e := hint{h.w.event(rec), rec.ID, rec.Seq, time.Now()}
	h.past, h.pending = append(h.past, e), append(h.pending, e)
	if h.truth[rec.ID] == nil {
		h.truth[rec.ID] = map[order.Seq]order.Record{}
	}
	h.truth[rec.ID][rec.Seq] = rec
}

// catchUp puts into the stream what the function itself wrote to the table.
func (h *history) catchUp() {
	for _, rec := range h.w.table.Records() {
		if _, known := h.truth[rec.ID][rec.Seq]; !known {
			h.stream(rec)
		}
	}
}

// settle lets hours pass without a fault and without a hint: held calls commit,
// and the two sweeps alone must find what no hint told. What they find that
// only the table's own seq can heal comes by the stream.
func (h *history) settle() {
	h.w.sim.ClearFaults()
	h.pending = nil
	for range 4 {
		time.Sleep(25 * time.Hour) // the longest wait of a refused row
		h.w.sweep()
		h.check()
		h.catchUp()
		batch := h.pending
		h.pending = nil
		if len(batch) > 0 {
			h.w.deliver(batchOf(batch), 100)
		}
		h.check()
	}
}

// inBubble runs f in virtual time. A panic, by which rapid ends a test, is
// carried to the goroutine that rapid listens in.
func inBubble(t *testing.T, f func(*testing.T)) {
	var thrown any
	synctest.Test(t, func(t *testing.T) {
		defer func() { thrown = recover() }()
		f(t)
	})
	if thrown != nil {
		panic(thrown)
	}
}

// check holds what the org shows against the truth: a state that the table
// held at that seq, and never an older one than before.
func (h *history) check() {
	for n := range h.orders {
		id := orderID(n)
		v, _ := h.w.sim.Order(id.String())
		shown, _ := v.Fields["Provisioning_Seq__c"].(float64)
		seq := order.Seq(shown)
		if seq < h.highest[id] {
			h.rt.Fatalf("order %d went back from seq %d to %d", n, h.highest[id], seq)
		}
		if seq > h.highest[id] {
			h.clicked[id] = false
		}
		h.highest[id] = seq
		status := v.Fields["Provisioning_Status__c"]
		if seq == 0 {
			if status != "Pending Review" && status != "Activating" {
				h.rt.Fatalf("order %d shows %v before any push", n, status)
			}
			continue
		}
		rec, known := h.truth[id][seq]
		if !known {
			h.rt.Fatalf("order %d shows seq %d, which the table never held", n, seq)
		}
		if status != string(rec.Status()) && !(h.clicked[id] && status == "Activating") {
			h.rt.Fatalf("order %d shows %v with seq %d, the table said %s", n, status, seq, rec.Status())
		}
	}
}

// TestTheOrgEndsAtTheTruthAndNeverMovesBackwards shuffles, doubles and drops
// hints, hands over old ones again, raises seqs as a redrive does, forgets
// orders and makes them once more, under faults of the org.
func TestTheOrgEndsAtTheTruthAndNeverMovesBackwards(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		inBubble(t, func(t *testing.T) {
			h := &history{
				w: newWorld(t), rt: rt, orders: rapid.IntRange(1, 4).Draw(rt, "orders"),
				truth: map[order.ID]map[order.Seq]order.Record{}, highest: map[order.ID]order.Seq{}, clicked: map[order.ID]bool{},
			}
			h.w.handler = h.w.process(rapid.SampledFrom([]int{0, 1, 2, 3}).Draw(rt, "rows of a call"))
			lines := map[int][]string{}
			for n := range h.orders {
				lines[n] = h.w.seed(n, 1)
			}
			some := rapid.IntRange(0, h.orders-1)
			hand := func(batch []hint) {
				h.w.invoke(h.w.handler, batchOf(batch))
				h.catchUp()
			}
			rt.Repeat(map[string]func(*rapid.T){
				"click": func(rt *rapid.T) {
					n := some.Draw(rt, "order")
					rec, ok, _ := h.w.table.Get(h.w.t.Context(), orderID(n))
					if ok && rec.State != order.Failed {
						rt.Skip("open or done")
					}
					// A sender may write Activating with the click, and no seq.
					if !rapid.Bool().Draw(rt, "the sender writes Activating") {
						h.change(n, func(r *order.Record) { r.State, r.ErrorCode, r.ErrorMessage = order.Queued, "", "" })
						return
					}
					if err := h.w.sim.PutOrder(orderID(n).String(), salesforcetest.Seed{
						AccountID: "001000000000001", WHMCSClientID: 7, Items: []salesforcetest.SeedItem{{WHMCSProductID: 1, BillingCycle: "monthly"}},
						Fields: map[string]any{"Provisioning_Status__c": "Activating"},
					}); err != nil {
						rt.Fatal(err)
					}
					h.clicked[orderID(n)] = true
					h.change(n, func(r *order.Record) { r.State, r.ErrorCode, r.ErrorMessage = order.Queued, "", "" })
				},
				"end": func(rt *rapid.T) {
					n := some.Draw(rt, "order")
					rec, ok, _ := h.w.table.Get(h.w.t.Context(), orderID(n))
					if !ok || !rec.State.Open() {
						rt.Skip("not open")
					}
					good := rapid.Bool().Draw(rt, "provisioned")
					h.change(n, func(r *order.Record) {
						if good {
							r.State, r.RecoveryPoint, r.WHMCSOrderID = order.Provisioned, order.PointAccepted, "991"
							r.ServiceIDs = map[string][]string{lines[n][0]: {"501"}}
							return
						}
						r.State, r.ErrorCode = order.Failed, fault.OrderEmpty
					})
				},
				"forget": func(rt *rapid.T) {
					n := some.Draw(rt, "order")
					rec, ok, _ := h.w.table.Get(h.w.t.Context(), orderID(n))
					if !ok || rec.State.Open() {
						rt.Skip("not over")
					}
					h.settle()
					rec, _, _ = h.w.table.Get(h.w.t.Context(), orderID(n))
					rec.ExpiresAt = time.Now().Add(400 * 24 * time.Hour)
					h.w.table.Set(rec)
					time.Sleep(401 * 24 * time.Hour)
					h.w.table.Expire(time.Now())
				},
				"hand over": func(rt *rapid.T) {
					if len(h.pending) == 0 {
						rt.Skip("nothing pending")
					}
					turn := make([]int, len(h.pending))
					for i := range turn {
						turn[i] = i
					}
					mixed := make([]hint, len(turn))
					for i, k := range rapid.Permutation(turn).Draw(rt, "shuffled") {
						mixed[i] = h.pending[k]
					}
					k := rapid.IntRange(1, len(mixed)).Draw(rt, "taken")
					batch := mixed[:k]
					if rapid.Bool().Draw(rt, "doubled") {
						batch = append(slices.Clone(batch), batch...)
					}
					h.pending = slices.Clone(mixed[k:])
					hand(batch)
				},
				"hand over old ones": func(rt *rapid.T) {
					// The stream keeps a hint for a day; one that is older still must be
					// seen to be so. (Its very own seq alone could bring a status back
					// that a click has covered since, and that only till the next push.)
					known := slices.DeleteFunc(slices.Clone(h.past), func(x hint) bool {
						return time.Since(x.at) > 24*time.Hour && x.seq >= h.highest[x.id]
					})
					if len(known) == 0 {
						rt.Skip("nothing past")
					}
					at := rapid.SliceOfN(rapid.IntRange(0, len(known)-1), 1, 5).Draw(rt, "old")
					old := make([]hint, len(at))
					for i, k := range at {
						old[i] = known[k]
					}
					hand(old)
				},
				"a click that is not called": func(rt *rapid.T) {
					n := some.Draw(rt, "order")
					rec, ok, _ := h.w.table.Get(h.w.t.Context(), orderID(n))
					if !ok || rec.State != order.Failed {
						rt.Skip("not failed")
					}
					h.w.activating(n)
					h.clicked[orderID(n)] = true
				},
				"the schedule": func(rt *rapid.T) {
					h.w.minutes(rapid.IntRange(1, 10).Draw(rt, "minutes"))
					h.catchUp()
				},
				"drop": func(rt *rapid.T) {
					h.pending = nil
				},
				"redrive": func(rt *rapid.T) {
					_, err := h.w.table.Bump(h.w.t.Context(), orderID(some.Draw(rt, "order")), 0, time.Now(), order.Entry{Event: "push"})
					if err != nil && fault.CodeOf(err) != fault.OrderNotFound {
						rt.Fatal(err)
					}
					h.catchUp()
				},
				"another process": func(rt *rapid.T) {
					h.w.handler = h.w.process(0)
				},
				"fault": func(rt *rapid.T) {
					f := salesforcetest.Fault{Action: "update", Times: rapid.IntRange(1, 3).Draw(rt, "times")}
					f.Fault = rapid.SampledFrom([]string{"lock-row", "http-500", "html-503", "blank-200", "drop-before", "commit-then-drop", "commit-after-timeout", "session-expired", "limit-exceeded", "cpu-limit", "row-refused", "role-denied", "row-hidden", "row-unknown", "lock-row-flow"}).Draw(rt, "fault")
					if f.Fault == "commit-after-timeout" && rapid.Bool().Draw(rt, "late") {
						f.Delay = rapid.SampledFrom([]time.Duration{61_007 * time.Millisecond, 601_003 * time.Millisecond}).Draw(rt, "delay")
					}
					if rapid.Bool().Draw(rt, "one order") {
						f.Match = orderID(some.Draw(rt, "of order")).String()
					}
					h.w.fault(f)
				},
				"time": func(rt *rapid.T) {
					time.Sleep(rapid.SampledFrom([]time.Duration{time.Millisecond, time.Second, time.Minute, time.Hour}).Draw(rt, "time"))
				},
				"": func(*rapid.T) { h.check() },
			})

			h.settle()
			for _, rec := range h.w.table.Records() {
				v, _ := h.w.sim.Order(rec.ID.String())
				if got := fmt.Sprint(v.Fields["Provisioning_Status__c"]); got != string(rec.Status()) {
					rt.Fatalf("%s ends as %s, the table says %s (seq %v and %d; table ever: %v)", rec.ID, got, rec.Status(), v.Fields["Provisioning_Seq__c"], rec.Seq, slices.Sorted(maps.Keys(h.truth[rec.ID])))
				}
			}
		})
	})
}
