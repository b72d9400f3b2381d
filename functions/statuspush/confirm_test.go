package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/salesforce/salesforcetest"
)

// line is a seed's one line; a second seed keeps the order's status fields.
var line = []salesforcetest.SeedItem{{WHMCSProductID: 1, BillingCycle: "monthly", Quantity: 1}}

// activating writes the status as a sender does that shows its click at once.
func (w *world) activating(n int) {
	w.t.Helper()
	if err := w.sim.PutOrder(orderID(n).String(), salesforcetest.Seed{AccountID: "001000000000001", WHMCSClientID: 7, Items: line,
		Fields: map[string]any{"Provisioning_Status__c": "Activating"}}); err != nil {
		w.t.Fatal(err)
	}
}

func failedBy(code fault.Code) func(*order.Record) {
	return func(r *order.Record) {
		r.ErrorCode, r.ErrorMessage, r.ErrorAt = code, "", time.Now()
	}
}

// push hands an image over as the stream does.
func (w *world) push(r order.Record) order.Record {
	w.t.Helper()
	w.deliver([]event{w.event(r)}, 100)
	return r
}

// TestSalesforceEndsAtTheTruthWhateverWasLost lets the pushes of an order be
// lost in each way that was seen, and the schedule run.
func TestSalesforceEndsAtTheTruthWhateverWasLost(t *testing.T) {
	const soon, anHour = 10, 70 // minutes of the schedule
	for name, c := range map[string]struct {
		// lose makes the history and returns what Salesforce must show.
		lose func(w *world, items []string) order.Record
		min  int
	}{
		"a first order whose sender writes no status": {func(w *world, _ []string) order.Record {
			return w.order(1, order.Provisioned)
		}, soon},
		"an old failure that was resolved, then provisioned": {func(w *world, _ []string) order.Record {
			w.push(w.order(1, order.Failed, failedBy(fault.AddOutcomeUnknown)))
			time.Sleep(66 * time.Hour)
			w.minutes(soon)
			return w.order(1, order.Provisioned)
		}, soon},
		"an old failure that was stopped": {func(w *world, _ []string) order.Record {
			w.push(w.order(1, order.Failed, failedBy(fault.AddOutcomeUnknown)))
			time.Sleep(66 * time.Hour)
			w.minutes(soon)
			return w.order(1, order.Failed, failedBy(fault.Stopped))
		}, soon},
		"an open order, Activating never shown": {func(w *world, _ []string) order.Record {
			return w.order(1, order.Waiting)
		}, soon},
		"a click that shows Activating, and a callout that never comes": {func(w *world, _ []string) order.Record {
			r := w.push(w.order(1, order.Failed, failedBy(fault.OrderEmpty)))
			time.Sleep(2 * time.Hour)
			w.activating(1)
			return r
		}, anHour},
		"a row that stays locked for 16 minutes": {func(w *world, _ []string) order.Record {
			w.fault(salesforcetest.Fault{Action: "update", Fault: "lock-row", Times: 1_000_000})
			r := w.push(w.order(1, order.Provisioned))
			w.minutes(16)
			w.sim.ClearFaults()
			return r
		}, 20},
		"a table restored to before the end": {func(w *world, _ []string) order.Record {
			before := w.order(1, order.Failed, failedBy(fault.AddOutcomeUnknown))
			w.push(before)
			w.minutes(anHour)
			marks, err := w.table.Control(w.t.Context(), order.SideSalesforce)
			if err != nil {
				w.t.Fatal(err)
			}
			time.Sleep(time.Hour)
			w.push(w.order(1, order.Provisioned))
			w.minutes(anHour * 2)
			w.table.Set(before)
			if _, err := w.table.ChangeControl(w.t.Context(), order.SideSalesforce, func(order.Control) (order.Control, bool) { return marks, true }); err != nil {
				w.t.Fatal(err)
			}
			w.minutes(anHour)
			return w.push(orderRecord(w.t, w, 1)) // the seq was raised, and the stream brings it
		}, soon},
		"an end that somebody wrote by hand": {func(w *world, _ []string) order.Record {
			r := w.push(w.order(1, order.Failed, failedBy(fault.OrderEmpty)))
			w.minutes(anHour)
			if err := w.sim.PutOrder(r.ID.String(), salesforcetest.Seed{Items: line, Fields: map[string]any{"Provisioning_Status__c": "Provisioned"}}); err != nil {
				w.t.Fatal(err)
			}
			w.minutes(anHour)
			raised := orderRecord(w.t, w, 1)
			if raised.Seq <= r.Seq {
				w.t.Errorf("seq %d, it was %d: an org that lets only a newer report change an end refuses that", raised.Seq, r.Seq)
			}
			return w.push(raised)
		}, soon},
		"an end shown by an earlier life of the order": {func(w *world, _ []string) order.Record {
			w.push(w.order(1, order.Provisioned))
			time.Sleep(401 * 24 * time.Hour)
			return w.order(1, order.Failed, failedBy(fault.OrderEmpty))
		}, soon},
		"a clock that was an hour ahead": {func(w *world, _ []string) order.Record {
			return w.order(1, order.Provisioned, func(r *order.Record) { r.Seq += 3_600_000 })
		}, anHour},
		"an image of services that commits long after a newer one": {func(w *world, items []string) order.Record {
			w.fault(salesforcetest.Fault{Action: "update", Fault: "commit-after-timeout", Times: 1, Delay: 10 * time.Minute})
			services := func(id string) func(*order.Record) {
				return func(r *order.Record) { r.ServiceIDs = map[string][]string{items[0]: {id}} }
			}
			w.invoke(w.handler, []event{w.event(w.order(1, order.Provisioned, services("501")))})
			time.Sleep(2 * time.Minute)
			return w.push(w.order(1, order.Provisioned, services("777")))
		}, 20},
		"a permission lost for longer than the stream tries": {func(w *world, _ []string) order.Record {
			w.sim.SetAccess("Order", "Provisioning_Status__c", salesforcetest.AccessRead)
			r := w.order(1, order.Provisioned)
			w.invoke(w.handler, []event{w.event(r)}) // it comes again for six hours, in vain
			w.minutes(7 * 60)
			w.sim.SetAccess("Order", "Provisioning_Status__c", salesforcetest.AccessEdit)
			return r
		}, soon + 5},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				items := w.seed(1, 1)
				w.minutes(5)
				want := c.lose(w, items)
				w.minutes(c.min)
				w.shows(want)
				if c, err := w.table.Control(t.Context(), order.SideSalesforce); err != nil || c.ConfirmedUntil.UnixMilli() < int64(want.Seq) {
					w.minutes(soon)
				}
				got := orderRecord(t, w, 1)
				c, err := w.table.Control(t.Context(), order.SideSalesforce)
				if err != nil || got.Refusal.Seq != 0 || c.ConfirmedUntil.UnixMilli() <= int64(got.Seq) {
					t.Errorf("the table does not know that Salesforce shows it: %+v, seq %d, confirmed until %s, %v", got.Refusal, got.Seq, c.ConfirmedUntil, err)
				}
			})
		})
	}
}

// The happy path costs no write of an order: the place of the look is one write
// of the switch for all.
func TestWhatSalesforceShowsCostsNoWriteOfAnOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var batch []event
		for n := range 20 {
			w.seed(n, 1)
			batch = append(batch, w.event(w.order(n, order.Provisioned)))
		}
		w.deliver(batch, 1)
		writes := 0
		w.table.Wrote = func(order.Record, order.Record) { writes++ }
		calls := w.sim.APICalls()
		w.minutes(60)
		if writes != 0 {
			t.Errorf("%d writes of orders", writes)
		}
		// One question of the first hour, and two that overlap of the 20 orders.
		if n := w.sim.APICalls() - calls; n > 4 {
			t.Errorf("%d calls for 20 orders", n)
		}
	})
}

func TestAStoredFailureIsShownAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.seed(1, 1)
		now := time.Now()
		click := func(key string) order.Record {
			got, err := w.table.Claim(t.Context(), order.Claim{ID: orderID(1), Nonce: "nonce-" + key + fmt.Sprint(time.Now()), NonceExpiry: now.Add(time.Hour),
				Key: key, By: order.NewToken(), AccountID: "001000000000001AAA", Now: time.Now()})
			if err != nil {
				t.Fatal(err)
			}
			return got.Record
		}
		r := click("one")
		r.State, r.ErrorCode, r.DueAt, r.Signal, r.Seq = order.Failed, fault.OrderEmpty, time.Time{}, order.SignalStatus, r.Seq+1
		w.table.Set(r)
		w.push(r)
		time.Sleep(time.Second)
		w.activating(1)
		r = click("one") // the same key: 422
		if r.State != order.Failed || !r.Signal.Visible() {
			t.Fatalf("%s by signal %s", r.State, r.Signal)
		}
		w.push(r)
		w.shows(r)
	})
}

// 5,100 orders are rightly Activating; the youngest failed unseen, and the
// table's side has passed it already.
func TestTheQuestionToTheOrgHasNoLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 5100
		w := newWorld(t)
		for i := range n {
			w.seed(i, 1)
			w.activating(i)
			w.order(i, order.Waiting, func(r *order.Record) { r.Seq = 0 })
		}
		time.Sleep(2 * time.Hour)
		last := w.order(n-1, order.Failed, failedBy(fault.OrderEmpty), func(r *order.Record) { r.Seq = 7 })
		if s := w.sweep().Org; s.Asked != n || s.Pushed != 1 {
			t.Errorf("%+v", s)
		}
		w.shows(last)
	})
}

func TestIDsThatAreGoneAreCleared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		items := w.seed(1, 1)
		w.push(w.order(1, order.Failed, failedBy(fault.WHMCSOrderMismatch), func(r *order.Record) {
			r.RecoveryPoint, r.WHMCSOrderID, r.ServiceIDs = order.PointAdded, "41", map[string][]string{items[0]: {"501"}}
		}))
		w.minutes(10)
		// A person says that there is none; the next try fails before it orders.
		r := w.push(w.order(1, order.Failed, failedBy(fault.OrderEmpty), func(r *order.Record) { r.Word = order.WordAbsent }))
		w.minutes(10)
		w.shows(r)
		v, _ := w.sim.Order(r.ID.String())
		if v.Fields["WHMCS_Order_ID__c"] != nil || v.Items[0]["WHMCS_Service_ID__c"] != nil {
			t.Errorf("nothing was made, and Salesforce shows order %v, services %v", v.Fields["WHMCS_Order_ID__c"], v.Items[0]["WHMCS_Service_ID__c"])
		}
		// An id that no person denied stays: it makes the next click search first.
		w.seed(2, 1)
		if err := w.sim.PutOrder(orderID(2).String(), salesforcetest.Seed{Items: line, Fields: map[string]any{"WHMCS_Order_ID__c": "42"}}); err != nil {
			t.Fatal(err)
		}
		w.push(w.order(2, order.Failed, failedBy(fault.AccountNotMapped)))
		w.minutes(10)
		if v, _ := w.sim.Order(orderID(2).String()); v.Fields["WHMCS_Order_ID__c"] != "42" {
			t.Errorf("Salesforce shows order %v", v.Fields["WHMCS_Order_ID__c"])
		}
	})
}

func TestOneLetterForOneChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.seed(1, 1)
		w.fault(salesforcetest.Fault{Action: "update", Fault: "row-refused", Times: 1_000_000})
		r := w.push(w.order(1, order.Provisioned))
		w.push(r) // the stream may bring it again
		w.minutes(72 * 60)
		got := orderRecord(t, w, 1)
		if n := len(w.letters.bodies()); n != 1 || len(got.History) != 1 || got.Refusal.Tries < 5 || got.Refusal.Tries > 80 {
			t.Fatalf("%d letters, history %v, %+v", n, got.History, got.Refusal)
		}
		w.sim.ClearFaults()
		w.minutes(25 * 60)
		w.shows(r)
		if got = orderRecord(t, w, 1); got.Refusal.Seq != 0 || len(got.History) != 2 || got.History[1].Event != "status_shown" {
			t.Errorf("%+v, %v", got.Refusal, got.History)
		}
	})
}

// A passing cause inside another code, and one that is not known here, are tried
// for minutes before they are letters.
func TestWhatMayPassIsTriedBeforeItIsALetter(t *testing.T) {
	for _, name := range []string{"lock-row-flow", "record-unavailable", "soql-limit", "row-unknown", "lock-row-nested"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.seed(1, 1)
				w.fault(salesforcetest.Fault{Action: "update", Fault: name, Times: 1_000_000})
				r := w.push(w.order(1, order.Provisioned))
				w.minutes(10)
				if got := w.letters.bodies(); len(got) > 0 {
					t.Fatalf("letters: %v", got)
				}
				w.sim.ClearFaults()
				w.minutes(10)
				w.shows(r)
				if got := orderRecord(t, w, 1); len(w.letters.bodies()) > 0 || len(got.History) > 0 || got.Refusal.Seq != 0 {
					t.Errorf("letters %v, history %v, %+v", w.letters.bodies(), got.History, got.Refusal)
				}
			})
		})
	}
}

// mapping is the event source mapping in virtual time: one batch at a time of
// what has come, read again from the lowest reported record on.
func (w *world) mapping(due []time.Duration, records []order.Record) (shownAfter []time.Duration) {
	w.t.Helper()
	start := time.Now()
	shownAfter = make([]time.Duration, len(records))
	var waiting []event
	ended := func() bool {
		for i, r := range records {
			v, _ := w.sim.Order(r.ID.String())
			if shownAfter[i] == 0 && v.Fields["Provisioning_Status__c"] == string(r.Status()) {
				shownAfter[i] = time.Since(start)
			}
		}
		return !slices.Contains(shownAfter, 0)
	}
	for next := 0; time.Since(start) < 10*time.Minute && !ended(); time.Sleep(time.Second) {
		for ; next < len(due) && due[next] <= time.Since(start); next++ {
			r := records[next]
			r.Seq = order.Seq(time.Now().UnixMilli())
			w.table.Set(r)
			waiting = append(waiting, w.event(r))
		}
		if len(waiting) == 0 {
			continue
		}
		failures := w.invoke(w.handler, waiting)
		if len(failures) == 0 {
			waiting = nil
			continue
		}
		i := slices.IndexFunc(waiting, func(e event) bool { return sequence(e) == slices.Min(failures) })
		waiting = waiting[i:]
	}
	ended()
	return shownAfter
}

// TestAPoisonedRecordHoldsBackNobodyElse puts one record that Salesforce refuses
// by each code among 20 good ones that come one every eight seconds.
func TestAPoisonedRecordHoldsBackNobodyElse(t *testing.T) {
	const good = 20
	run := func(t *testing.T, fault string) (after []time.Duration, letters []string) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			var due []time.Duration
			var records []order.Record
			add := func(n int, at time.Duration) {
				w.seed(n, 1)
				due, records = append(due, at), append(records, w.order(n, order.Provisioned))
			}
			add(0, time.Second)
			for n := 1; n <= good; n++ {
				add(n, time.Duration(n)*8*time.Second)
			}
			if fault != "" {
				w.fault(salesforcetest.Fault{Action: "update", Fault: fault, Times: 1_000_000, Match: orderID(0).String()})
			}
			after = w.mapping(due, records)[1:]
			w.minutes(20)
			letters = w.letters.bodies()
			if c, err := w.table.Control(t.Context(), order.SideSalesforce); err != nil || !c.OpenUntil.IsZero() || !c.ClosedAt.IsZero() {
				t.Errorf("the breaker was opened: %+v, %v", c, err)
			}
		})
		return after, letters
	}
	want, _ := run(t, "")
	for _, c := range []struct {
		fault string
		by    time.Duration // how much later a good one may be
	}{
		{"role-denied", 0}, {"row-hidden", 0}, {"row-cross-reference", 0}, {"row-type", 0}, {"row-refused", 0},
		// The row is locked: the same invocation tries once more, and the stream for
		// as long as Salesforce itself waits for a lock.
		{"lock-row", 12 * time.Second}, {"lock-row-flow", 12 * time.Second}, {"soql-limit", 12 * time.Second}, {"row-unknown", 12 * time.Second},
	} {
		t.Run(c.fault, func(t *testing.T) {
			got, letters := run(t, c.fault)
			for i := range got {
				if got[i] == 0 || got[i] > want[i]+c.by {
					t.Errorf("good order %d is shown after %s, without the poisoned one after %s", i+1, got[i], want[i])
				}
			}
			if len(letters) != 1 || !strings.Contains(letters[0], orderID(0).String()) {
				t.Errorf("letters: %v", letters)
			}
		})
	}
}
