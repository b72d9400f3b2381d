package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/salesforce/salesforcetest"
	"orderbridge/shared/writeback"
)

func TestABatchShowsTheNewestImageOfEachOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		items := w.seed(1, 2)
		w.seed(2, 1)
		w.seed(3, 1)
		var batch []event
		batch = append(batch, w.event(w.order(1, order.Queued)))
		batch = append(batch, w.event(w.order(2, order.Queued)))
		time.Sleep(time.Second)
		one := w.order(1, order.Provisioned, func(r *order.Record) {
			r.ServiceIDs = map[string][]string{items[0]: {"501"}, items[1]: {"502", "503"}}
		})
		two := w.order(2, order.Failed, func(r *order.Record) {
			r.ErrorCode, r.ErrorMessage = fault.AccountNotMapped, "Set WHMCS_Client_ID__c on the account Acme, then click again: it is empty."
		})
		three := w.order(3, order.Queued)
		batch = append(batch, w.event(one), w.event(two), w.event(three))
		if failures := w.invoke(w.handler, batch); len(failures) > 0 {
			t.Fatalf("reported %v", failures)
		}
		w.shows(one)
		w.shows(two)
		w.shows(three)
		if n := w.sim.APICalls(); n != 1 {
			t.Errorf("%d API calls, want 1", n)
		}
		v, _ := w.sim.Order(two.ID.String())
		if v.Fields["Provisioning_Error_Code__c"] != "account_not_mapped" || !strings.HasPrefix(fmt.Sprint(v.Fields["Provisioning_Error_Message__c"]), "Set WHMCS_Client_ID__c on the account Acme") {
			t.Errorf("failed order shows %v", v.Fields)
		}
		if len(v.History) != 5 { // Activating was skipped: one status, time, seq, code, message
			t.Errorf("history of order 2: %+v", v.History)
		}

		// Reopened, it shows no error any more.
		time.Sleep(time.Second)
		two = w.order(2, order.Queued, func(r *order.Record) { r.ErrorCode, r.ErrorMessage = fault.WHMCSUnavailable, "x" })
		if failures := w.invoke(w.handler, []event{w.event(two)}); len(failures) > 0 {
			t.Fatalf("reported %v", failures)
		}
		w.shows(two)
		v, _ = w.sim.Order(two.ID.String())
		if v.Fields["Provisioning_Error_Code__c"] != nil || v.Fields["Provisioning_Error_Message__c"] != nil {
			t.Errorf("reopened order shows %v", v.Fields)
		}
	})
}

func TestRecordsThatSalesforceNeedNotSeeAreIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.seed(1, 1)
		removed := w.event(w.order(1, order.Provisioned))
		removed["eventName"] = "REMOVE"
		d, _ := removed["dynamodb"].(map[string]any)
		delete(d, "NewImage")
		lease := w.event(w.order(1, order.Working, func(r *order.Record) { r.Signal = order.SignalLease }))
		control := w.event(w.order(1, order.Queued))
		d, _ = control["dynamodb"].(map[string]any)
		d["NewImage"] = map[string]any{"pk": str("control#whmcs"), "paused": map[string]any{"BOOL": true}}
		if failures := w.invoke(w.handler, []event{removed, lease, control}); len(failures) > 0 {
			t.Fatalf("reported %v", failures)
		}
		if failures := w.invoke(w.handler, []event{}); len(failures) > 0 {
			t.Fatalf("reported %v of an empty batch", failures)
		}
		if n := w.sim.APICalls() + w.sim.Logins() + len(w.letters.bodies()); n != 0 {
			t.Errorf("%d calls and letters, want none", n)
		}
	})
}

func TestAnImageThatCannotBeReadBecomesADeadLetterThatNamesTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.seed(1, 1)
		w.seed(2, 1)
		bad := w.event(w.order(1, order.Queued))
		d, _ := bad["dynamodb"].(map[string]any)
		d["NewImage"].(map[string]any)["state"] = str("no such state")
		good := w.order(2, order.Queued)
		batch := []event{bad, w.event(good)}
		w.letters.fail = errors.New("the queue is away")
		if failures := w.invoke(w.handler, batch); !slices.Equal(failures, []string{sequence(bad)}) {
			t.Fatalf("reported %v while the queue is away", failures)
		}
		w.letters.fail = nil
		if failures := w.invoke(w.handler, batch); len(failures) > 0 {
			t.Fatalf("reported %v", failures)
		}
		w.shows(good)
		var l map[string]any
		if got := w.letters.bodies(); len(got) != 1 || json.Unmarshal([]byte(got[0]), &l) != nil || l["sfOrderId"] != orderID(1).String() || l["code"] != "internal_error" {
			t.Fatalf("letters: %v", got)
		}
	})
}

func TestEventsOfNeitherKindAreErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for _, raw := range []string{`{}`, `{"source":"aws.s3"}`, `[]`, `"x"`, `{"Records":{}}`} {
			if out, err := w.handler.Handle(t.Context(), json.RawMessage(raw)); err == nil {
				t.Errorf("%s: %v", raw, out)
			}
		}
	})
}

func TestRecordedEvents(t *testing.T) {
	for name, wantCalls := range map[string]int{"stream.json": 1, "schedule.json": 1, "sweep.json": 1} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.seed(1, 1)
			raw, err := os.ReadFile(filepath.Join("testdata", name))
			if err != nil {
				t.Fatal(err)
			}
			before := w.sim.APICalls()
			if _, err := w.handler.Handle(t.Context(), raw); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if n := w.sim.APICalls() - before; n != wantCalls {
				t.Errorf("%s: %d calls, want %d", name, n, wantCalls)
			}
		})
	}
}

// faultRow is one fault of the org and what must come of it.
type faultRow struct {
	name string
	// arm sets the fault for one order.
	arm func(w *world, target order.Record)
	// repair undoes what would not pass by itself, once the batch was handed over
	// the first time.
	repair func(w *world, target order.Record)
	// first is the code under which the target's push is tried again at first;
	// "" if it is settled at once.
	first fault.Code
	// letter: the target becomes a dead letter with this code.
	letter fault.Code
	// bumped: the table's seq is raised, and the org shows that one in the end.
	bumped bool
}

var faultTable = []faultRow{
	{name: "row locked, then free", arm: func(w *world, r order.Record) {
		w.fault(salesforcetest.Fault{Action: "update", Fault: "lock-row", Times: 1, Match: r.ID.String()})
	}},
	{name: "row locked for long", first: fault.SalesforceRowLocked, arm: func(w *world, r order.Record) {
		w.fault(salesforcetest.Fault{Action: "update", Fault: "lock-row", Times: 6, Match: r.ID.String()})
	}},
	{name: "row locked inside a trigger", first: fault.SalesforceRowLocked, arm: func(w *world, r order.Record) {
		w.fault(salesforcetest.Fault{Action: "update", Fault: "lock-row-nested", Times: 4, Match: r.ID.String()})
	}},
	{name: "trigger out of time with many rows", arm: func(w *world, r order.Record) {
		w.fault(salesforcetest.Fault{Action: "update", Fault: "cpu-limit", Times: 1, Match: r.ID.String()})
	}},
	{name: "API limit", first: fault.SalesforceLimit, arm: func(w *world, r order.Record) {
		w.fault(salesforcetest.Fault{Action: "update", Fault: "limit-exceeded", Times: 2, Match: r.ID.String()})
	}},
	{name: "session expired", arm: func(w *world, r order.Record) {
		w.fault(salesforcetest.Fault{Action: "update", Fault: "session-expired", Times: 1, Match: r.ID.String()})
	}},
	{name: "5xx", first: fault.SalesforceUnavailable, arm: func(w *world, r order.Record) {
		w.fault(salesforcetest.Fault{Action: "update", Fault: "http-500", Times: 2, Match: r.ID.String()})
	}},
	{name: "HTML", first: fault.SalesforceUnavailable, arm: func(w *world, r order.Record) {
		w.fault(salesforcetest.Fault{Action: "update", Fault: "html-503", Times: 2, Match: r.ID.String()})
	}},
	{name: "empty answer", first: fault.SalesforceUnavailable, arm: func(w *world, r order.Record) {
		w.fault(salesforcetest.Fault{Action: "update", Fault: "blank-200", Times: 2, Match: r.ID.String()})
	}},
	{name: "dropped before", first: fault.SalesforceUnavailable, arm: func(w *world, r order.Record) {
		w.fault(salesforcetest.Fault{Action: "update", Fault: "drop-before", Times: 2, Match: r.ID.String()})
	}},
	{name: "dropped after the commit", first: fault.SalesforceUnavailable, arm: func(w *world, r order.Record) {
		w.fault(salesforcetest.Fault{Action: "update", Fault: "commit-then-drop", Times: 1, Match: r.ID.String()})
	}},
	{name: "time-out before the commit", first: fault.SalesforceUnavailable, arm: func(w *world, r order.Record) {
		w.fault(salesforcetest.Fault{Action: "update", Fault: "commit-after-timeout", Times: 1, Match: r.ID.String()})
	}},
	{name: "commit long after the time-out", first: fault.SalesforceUnavailable, arm: func(w *world, r order.Record) {
		w.fault(salesforcetest.Fault{Action: "update", Fault: "commit-after-timeout", Times: 1, Match: r.ID.String(), Delay: 3 * time.Minute})
	}},
	{name: "row refused by another rule", letter: fault.SalesforceRowRefused, arm: func(w *world, r order.Record) {
		w.fault(salesforcetest.Fault{Action: "update", Fault: "row-refused", Times: 1, Match: r.ID.String()})
	}},
	{name: "order deleted", letter: fault.SalesforceRowRefused, arm: func(w *world, r order.Record) {
		w.sim.DeleteOrder(r.ID.String())
	}},
	{name: "access to one order lost", letter: fault.SalesforcePermission, arm: func(w *world, r order.Record) {
		w.fault(salesforcetest.Fault{Action: "update", Fault: "role-denied", Times: 1, Match: r.ID.String()})
	}},
	{name: "permission lost", first: fault.SalesforcePermission, arm: func(w *world, _ order.Record) {
		w.sim.SetAccess("Order", "Provisioning_Status__c", salesforcetest.AccessRead)
	}, repair: func(w *world, _ order.Record) {
		w.sim.SetAccess("Order", "Provisioning_Status__c", salesforcetest.AccessEdit)
	}},
	{name: "field hidden", first: fault.SalesforcePermission, arm: func(w *world, _ order.Record) {
		w.sim.SetAccess("Order", "Provisioning_Seq__c", salesforcetest.AccessNone)
	}, repair: func(w *world, _ order.Record) {
		w.sim.SetAccess("Order", "Provisioning_Seq__c", salesforcetest.AccessEdit)
	}},
	{name: "stale: the org is ahead of the table", bumped: true, arm: func(w *world, r order.Record) {
		w.ahead(r, int64(r.Seq)+5000)
	}},
}

// ahead makes the org show a seq that the table never had.
func (w *world) ahead(r order.Record, seq int64) {
	w.t.Helper()
	if err := w.sim.PutOrder(r.ID.String(), salesforcetest.Seed{AccountID: r.AccountID, WHMCSClientID: 7, Items: []salesforcetest.SeedItem{{WHMCSProductID: 1, BillingCycle: "monthly", Quantity: 1}},
		Fields: map[string]any{"Provisioning_Seq__c": seq}}); err != nil {
		w.t.Fatal(err)
	}
}

// TestFaultTable hands over a batch whose rows need three calls and lets one
// order of the first, the middle or the last call meet each fault.
func TestFaultTable(t *testing.T) {
	const rows, n = 3, 7
	targets := map[string]int{"first": 0, "middle": 4, "last": n - 1}
	for _, row := range faultTable {
		for where, at := range targets {
			t.Run(row.name+", "+where, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					w.handler = w.process(rows)
					all := make([]order.Record, n)
					batch := make([]event, n)
					for i := range all {
						w.seed(i, 1)
						// One account: the calls hold the orders in the order of their ids.
						all[i] = w.order(i, order.Provisioned, func(r *order.Record) { r.AccountID = "001000000000000AAA" })
						batch[i] = w.event(all[i])
					}
					target := all[at]
					row.arm(w, target)
					failures := w.invoke(w.handler, batch)
					if got := slices.Contains(failures, sequence(batch[at])); got != (row.first != "") {
						t.Fatalf("target reported: %v, want %v", got, row.first != "")
					}
					if row.first != "" && !strings.Contains(w.out.String(), `"code":"`+string(row.first)+`"`) {
						t.Errorf("no metric or log line with code %s", row.first)
					}
					// Nothing that the org took in an earlier call is reported.
					for _, f := range failures {
						if i := slices.IndexFunc(batch, func(e event) bool { return sequence(e) == f }); i < at/rows*rows && row.repair == nil {
							t.Fatalf("reported record %d, which an earlier call had settled", i)
						}
					}
					if row.repair != nil {
						if len(failures) != n {
							t.Errorf("%d reported, want all %d: nothing may be lost to a missing permission", len(failures), n)
						}
						calls := w.sim.APICalls()
						if got := w.invoke(w.handler, batch); len(got) != n || w.sim.APICalls() != calls {
							t.Errorf("breaker open: %d reported in %d calls, want all in none", len(got), w.sim.APICalls()-calls)
						}
						row.repair(w, target)
					}
					if len(failures) > 0 {
						w.deliver(batch[slices.IndexFunc(batch, func(e event) bool { return sequence(e) == slices.Min(failures) }):], 100)
					}
					time.Sleep(time.Hour) // virtual: what was held commits now

					letters := w.letters.bodies()
					if row.letter == "" && len(letters) > 0 {
						t.Errorf("dead letters: %v", letters)
					}
					if row.letter != "" {
						var l map[string]any
						if len(letters) != 1 || json.Unmarshal([]byte(letters[0]), &l) != nil || l["sfOrderId"] != target.ID.String() || l["seq"] != float64(target.Seq) || l["code"] != string(row.letter) {
							t.Errorf("dead letters: %v", letters)
						}
						rec, _, err := w.table.Get(t.Context(), target.ID)
						if err != nil || len(rec.History) != 1 || rec.History[0].Event != "status_push_failed" {
							t.Errorf("history: %+v, %v", rec.History, err)
						}
					}
					if row.bumped {
						rec, _, err := w.table.Get(t.Context(), target.ID)
						if err != nil || rec.Seq <= target.Seq || rec.Signal != order.SignalStatus {
							t.Fatalf("table has seq %d, want above %d (%v)", rec.Seq, target.Seq, err)
						}
						w.deliver([]event{w.event(rec)}, 3)
						all[at] = rec
					}
					for i, r := range all {
						if i != at || row.letter == "" {
							w.shows(r)
						}
					}
				})
			})
		}
	}
}

func TestAStaleRefusalOfAnOldImageIsDoneOnceTheOrgShowsANewerOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.seed(1, 1)
		old := w.order(1, order.Queued)
		time.Sleep(time.Second)
		now := w.order(1, order.Provisioned)
		w.deliver([]event{w.event(now)}, 1)
		w.deliver([]event{w.event(old)}, 1)
		w.shows(now)
		rec, _, err := w.table.Get(t.Context(), now.ID)
		if err != nil || rec.Seq != now.Seq || len(w.letters.bodies()) != 0 {
			t.Fatalf("seq %d, want %d untouched; letters %v; %v", rec.Seq, now.Seq, w.letters.bodies(), err)
		}
	})
}

func TestAnOrgThatKeepsRunningAheadEndsAsADeadLetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.seed(1, 1)
		rec := w.order(1, order.Provisioned)
		for range 10 {
			w.ahead(rec, int64(rec.Seq)+1_000_000)
			w.deliver([]event{w.event(rec)}, 1)
			var err error
			if rec, _, err = w.table.Get(t.Context(), rec.ID); err != nil {
				t.Fatal(err)
			}
			if rec.Signal != order.SignalStatus {
				break
			}
		}
		if got := w.letters.bodies(); len(got) != 1 || !strings.Contains(got[0], "salesforce_stale") {
			t.Fatalf("letters: %v", got)
		}
	})
}

func TestARowThatStaysLockedLetsTheOthersPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.seed(1, 1)
		w.seed(2, 1)
		locked, free := w.order(1, order.Provisioned), w.order(2, order.Provisioned)
		w.fault(salesforcetest.Fault{Action: "update", Fault: "lock-row", Times: 1_000_000, Match: locked.ID.String()})
		batch := []event{w.event(locked), w.event(free)}
		w.deliver(batch, 15*60)
		w.shows(free)
		if got := w.letters.bodies(); len(got) != 0 {
			t.Fatalf("letters at once: %v", got)
		}
		w.minutes(20)
		if got := w.letters.bodies(); len(got) != 1 || !strings.Contains(got[0], "salesforce_row_locked") {
			t.Fatalf("letters: %v", got)
		}
		// Once free, the hourly sweep shows it: Apex had written Activating.
		w.sim.ClearFaults()
		if err := w.sim.PutOrder(locked.ID.String(), salesforcetest.Seed{AccountID: locked.AccountID, WHMCSClientID: 7, Items: []salesforcetest.SeedItem{{WHMCSProductID: 1, BillingCycle: "monthly", Quantity: 1}},
			Fields: map[string]any{"Provisioning_Status__c": "Activating"}}); err != nil {
			t.Fatal(err)
		}
		w.sweep()
		w.shows(locked)
	})
}

func (w *world) sweep() Sweeps { return w.asks("orderbridge.sweep") }

// minutes lets the schedule run for that many minutes.
func (w *world) minutes(n int) {
	w.t.Helper()
	for range n {
		time.Sleep(time.Minute)
		w.asks("aws.scheduler")
	}
}

func (w *world) asks(source string) Sweeps {
	w.t.Helper()
	out, err := w.handler.Handle(w.t.Context(), json.RawMessage(`{"source":"`+source+`"}`))
	if err != nil {
		w.t.Fatal(err)
	}
	s, ok := out.(Sweeps)
	if !ok {
		w.t.Fatalf("answer is %T", out)
	}
	return s
}

func TestAFailedProductRowDoesNotHoldBackItsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		items := w.seed(1, 1)
		rec := w.order(1, order.Provisioned, func(r *order.Record) {
			r.ServiceIDs = map[string][]string{items[0]: {"501"}, "802999999999999AAA": {"502"}} // deleted in the org
		})
		w.deliver([]event{w.event(rec)}, 1)
		w.shows(rec)
		if got := w.letters.bodies(); len(got) != 1 || !strings.Contains(got[0], "802999999999999AAA") {
			t.Fatalf("letters: %v", got)
		}
	})
}

func TestTheSweepShowsWhatFellBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for n := range 6 {
			w.seed(n, 1)
		}
		// 0: its end was never pushed. 1: failed there, open here. 2: the org is
		// ahead. 3: still open, shown right. 4: unknown to the table. 5: fresh.
		var first []event
		for _, n := range []int{0, 2, 3} {
			first = append(first, w.event(w.order(n, order.Queued)))
		}
		first = append(first, w.event(w.order(1, order.Failed, func(r *order.Record) { r.ErrorCode = fault.OrderEmpty })))
		w.deliver(first, 1)
		if err := w.sim.PutOrder(orderID(4).String(), salesforcetest.Seed{Fields: map[string]any{"Provisioning_Status__c": "Activating"}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
		ended, reopened := w.order(0, order.Provisioned), w.order(1, order.Queued)
		w.ahead(orderRecord(t, w, 2), time.Now().UnixMilli()+1_000_000)
		w.deliver([]event{w.event(w.order(5, order.Queued))}, 1)
		if got, want := w.sweep().Org, (writeback.Swept{Asked: 5, Same: 1, Pushed: 2, Bumped: 1, Unknown: 1}); got != want {
			t.Errorf("swept %+v, want %+v", got, want)
		}
		w.shows(ended)
		w.shows(reopened)
		two := orderRecord(t, w, 2)
		if two.Signal != order.SignalStatus || int64(two.Seq) <= time.Now().UnixMilli()+1_000_000 {
			t.Errorf("order 2 has seq %d", two.Seq)
		}
	})
}

func orderRecord(t *testing.T, w *world, n int) order.Record {
	t.Helper()
	r, ok, err := w.table.Get(t.Context(), orderID(n))
	if err != nil || !ok {
		t.Fatalf("order %d: %v, %v", n, ok, err)
	}
	return r
}

func TestTheBreakerIsProbedByOneAndClosesOnlyWhenPushesCanWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.seed(1, 1)
		rec := w.order(1, order.Provisioned)
		w.sim.SetAccess("OrderItem", "WHMCS_Service_ID__c", salesforcetest.AccessRead)
		w.sim.SetAccess("Order", "Provisioning_Seq__c", salesforcetest.AccessRead)
		batch := []event{w.event(rec)}
		processes := []*Handler{w.handler, w.process(0), w.process(0)}
		w.invoke(w.handler, batch)
		updates := func() (n int) {
			for _, c := range w.sim.Journal() {
				if c.Action == "update" {
					n++
				}
			}
			return n
		}
		before := updates()
		for range 120 {
			for _, h := range processes {
				if got := w.invoke(h, batch); len(got) != 1 {
					t.Fatalf("reported %v", got)
				}
			}
			time.Sleep(5 * time.Second)
		}
		if n := updates(); n != before {
			t.Errorf("%d pushes while the permission is lost", n-before)
		}
		c, err := w.table.Control(t.Context(), order.SideSalesforce)
		if err != nil || c.Why != fault.SalesforcePermission || c.Fails < 3 || c.Fails > 8 {
			t.Errorf("breaker: %+v, %v", c, err)
		}
		if !strings.Contains(w.out.String(), "Order.Provisioning_Seq__c") || !strings.Contains(w.out.String(), "OrderItem.WHMCS_Service_ID__c") {
			t.Error("no log line names the fields")
		}
		if got := w.letters.bodies(); len(got) != 0 {
			t.Errorf("letters: %v", got)
		}
		w.sim.SetAccess("OrderItem", "WHMCS_Service_ID__c", salesforcetest.AccessEdit)
		w.sim.SetAccess("Order", "Provisioning_Seq__c", salesforcetest.AccessEdit)
		w.deliver(batch, 400)
		w.shows(rec)
	})
}

func TestAnEndingInvocationReportsWhatItDidNotPush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.seed(1, 1)
		rec := w.order(1, order.Provisioned)
		raw, err := json.Marshal(map[string]any{"Records": []event{w.event(rec)}})
		if err != nil {
			t.Fatal(err)
		}
		w.fault(salesforcetest.Fault{Action: "update", Fault: "slow", Delay: time.Hour})
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		start := time.Now()
		out, err := w.handler.Handle(ctx, raw)
		if err != nil || ctx.Err() != nil {
			t.Fatalf("%v after %s, %v", out, time.Since(start), err)
		}
		if b, _ := json.Marshal(out); !strings.Contains(string(b), `"itemIdentifier":"`+fmt.Sprintf("%021d", 1)+`"`) {
			t.Fatalf("answer %s", b)
		}
		time.Sleep(2 * time.Hour) // virtual: the simulator's call ends
	})
}
