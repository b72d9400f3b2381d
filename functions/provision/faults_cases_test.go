package main_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/provision"
	"orderbridge/shared/salesforce"
	"orderbridge/shared/salesforce/salesforcetest"
	"orderbridge/shared/whmcs/whmcstest"
)

// play runs one case on a rig of its own; every order must keep the invariants.
func play(t *testing.T, o options, body func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, o)
		defer r.close()
		body(r)
		for _, rec := range r.mem.Records() {
			r.judge(rec.ID)
		}
	})
}

// go on with what the case is about: click, the stream's hint, recovery.
func (r *rig) order(id order.ID) {
	r.Helper()
	if out := r.click(id); out == order.Created || out == order.Reopened {
		r.start("worker", id)
	}
	r.recover()
}

// straight is the path of an order on which nothing goes wrong.
func (r *rig) straight() []string {
	return []string{
		"Control.whmcs", "Lease", "Control.salesforce", "token", "query", "GetClientsDetails", "GetProducts", "WhmcsDetails",
		"GetOrders.newest",
		"Write.add_sending", "AddOrder", "GetOrders.one", "GetClientsProducts",
		"Write.accept_sending", "AcceptOrder", "GetOrders.one", "GetClientsProducts", "GetModuleQueue", "Write.provisioned",
	}
}

// site is the index of the first call of that name on it.
func (r *rig) site(call string) int { return slices.Index(r.straight(), call) }

// at makes something happen once, just before the n-th call of that name.
func (r *rig) at(call string, n int, do func()) {
	r.before = append(r.before, beforehand{call, n, do})
}

func (r *rig) provisioned(id order.ID) {
	r.Helper()
	if rec := r.record(id); rec.State != order.Provisioned {
		r.Fatalf("%s %s, want provisioned\n%s", rec.State, rec.ErrorCode, r.story(id))
	}
}

// failed wants a code, and a text that holds what is said.
func (r *rig) failed(id order.ID, code fault.Code, says ...string) {
	r.Helper()
	rec := r.record(id)
	if rec.State != order.Failed || rec.ErrorCode != code {
		r.Fatalf("%s %s, want failed %s\n%s", rec.State, rec.ErrorCode, code, r.story(id))
	}
	for _, s := range says {
		if !strings.Contains(rec.ErrorMessage, s) {
			r.Errorf("the text %q does not say %q", rec.ErrorMessage, s)
		}
	}
	r.judge(id)
}

// sent wants this many calls of an effect to have reached WHMCS.
func (r *rig) sent(action string, n int) {
	r.Helper()
	if got := r.whmcs.Calls(action); got != n {
		r.Fatalf("%d %s reached WHMCS, want %d\n%s", got, action, n, r.story(the))
	}
}

func (r *rig) resolve(id order.ID, how func(*order.Resolution)) error {
	now := time.Now().Round(0)
	res := order.Resolution{ID: id, By: "ann", Why: "looked", Now: now}
	how(&res)
	_, err := r.mem.Resolve(context.Background(), res)
	return err
}

func none(s *order.Resolution) { s.None = true }
func stop(s *order.Resolution) { s.Stop = true }
func undo(s *order.Resolution) { s.UndoAdopt = true }
func adopt(id int64) func(*order.Resolution) {
	return func(s *order.Resolution) { s.Adopt = fmt.Sprint(id) }
}

// patch edits the one WHMCS order of the books that is live.
func (r *rig) patch(e whmcstest.Edit) int64 {
	r.Helper()
	for _, o := range r.whmcs.Orders() {
		if o.Live() {
			r.whmcs.Books().Patch(o.ID, e)
			return o.ID
		}
	}
	r.Fatal("WHMCS has no live order")
	return 0
}

func text(s string) *string { return &s }

// crowd fills the books with orders of other Salesforce orders of the client.
func (r *rig) crowd(n int) {
	for i := range n {
		id := mustID(fmt.Sprintf("801%012d", 5000+len(r.whmcs.Orders())+i))
		r.whmcs.Books().BeginAdd(id, order.Plan{ClientID: client, Entries: []order.PlanEntry{{Line: order.Line{ProductID: 9, Cycle: order.Monthly, Quantity: 1}, Services: 1}}}).Finish(whmcstest.Twist{})
	}
}

// lose makes the next AddOrder succeed without an answer.
func (r *rig) lose() { r.arm(sideWHMCS, "AddOrder", "commit-then-drop") }

// waitPlace lets time pass until the order waits.
func (r *rig) waits() {
	r.Helper()
	for range 60 {
		if r.record(the).State == order.Waiting {
			return
		}
		time.Sleep(time.Second)
	}
	r.Fatalf("it does not wait\n%s", r.story(the))
}

func TestAddOrderUnknown(t *testing.T) {
	t.Run("reply after reply lost: five sends, then a person is asked", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			r.ok(r.whmcs.Fault(whmcstest.Fault{Action: "AddOrder", Fault: "drop-before", Times: 5}))
			r.order(the)
			r.failed(the, fault.AddOutcomeUnknown)
			r.sent("AddOrder", 5)
			r.order(the) // a click alone sends nothing
			r.failed(the, fault.AddOutcomeUnknown)
			r.sent("AddOrder", 5)
			r.ok(r.resolve(the, none))
			r.recover()
			r.provisioned(the)
			r.sent("AddOrder", 6)
		})
	})
	t.Run("the look starts after settle, however often somebody comes before", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			r.inject = &injection{site: r.site("AddOrder"), fault: faultCrashDoneLate, fire: func() {}}
			r.click(the)
			r.start("worker", the)
			for range 10 {
				time.Sleep(30 * time.Second)
				r.click(the)
				r.start("hint", the)
				r.sweep("clock")
			}
			r.recover()
			r.provisioned(the)
			r.sent("AddOrder", 1)
			for _, c := range r.whmcs.Journal() {
				if settled := r.record(the).Add.Until.Add(r.cfg.Margin + r.cfg.Settle); c.Action == "GetOrders" && c.Params["limitnum"] != "2" && c.At.Before(settled) {
					r.Errorf("looked at %s, before %s", c.At, settled)
				}
			}
		})
	})
	t.Run("ask: nothing is sent a second time, a person is asked", func(t *testing.T) {
		play(t, options{config: func(c *provision.Config) { c.Resend = false }}, func(r *rig) {
			r.arm(sideWHMCS, "AddOrder", "drop-before")
			r.order(the)
			r.failed(the, fault.AddOutcomeUnknown, "Ask the on-call engineer")
			r.sent("AddOrder", 1)
			r.ok(r.resolve(the, none))
			r.recover()
			r.provisioned(the)
			r.sent("AddOrder", 2)
		})
	})
	t.Run("ask: what was certainly not sent is sent", func(t *testing.T) {
		play(t, options{config: func(c *provision.Config) { c.Resend = false }}, func(r *rig) {
			r.inject = &injection{site: r.site("AddOrder"), fault: faultRefusedRetryable, fire: func() {}}
			r.order(the)
			r.provisioned(the)
			r.sent("AddOrder", 1)
		})
	})
	// A3 broken: WHMCS makes the first order after the second was sent. The order
	// must not read provisioned.
	t.Run("A3 broken, found by the look", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, options{})
			defer r.close()
			r.broken = true // the books will see two orders, which this case is about
			r.ok(r.whmcs.Fault(whmcstest.Fault{Action: "AddOrder", Fault: "commit-after-timeout", Delay: 420 * time.Second}))
			r.lose()
			r.order(the)
			if rec := r.record(the); rec.State != order.Failed || rec.ErrorCode != fault.WHMCSOrderAmbiguous {
				t.Errorf("%s %s\n%s", rec.State, rec.ErrorCode, r.story(the))
			}
			r.sent("AcceptOrder", 0)
		})
	})
	t.Run("A3 broken, found before the end", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, options{})
			defer r.close()
			r.broken = true
			r.arm(sideWHMCS, "AddOrder", "drop-before")
			r.at("GetModuleQueue", 1, func() { r.whmcs.Books().BeginAdd(the, *r.record(the).Plan).Finish(whmcstest.Twist{}) })
			r.order(the)
			if rec := r.record(the); rec.State != order.Failed || rec.ErrorCode != fault.WHMCSOrderAmbiguous {
				t.Errorf("%s %s\n%s", rec.State, rec.ErrorCode, r.story(the))
			}
		})
	})
}

func TestEditedInWHMCS(t *testing.T) {
	t.Run("notes edited, the marker gone: a person is asked", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			r.lose()
			r.click(the)
			r.start("worker", the)
			r.waits()
			id := r.patch(whmcstest.Edit{Notes: text("called the customer")})
			r.recover()
			r.failed(the, fault.WHMCSOrderAmbiguous, fmt.Sprint(id), "the customer's own purchase")
			r.order(the)
			r.failed(the, fault.WHMCSOrderAmbiguous)
			r.ok(r.resolve(the, adopt(id)))
			r.recover()
			r.provisioned(the)
			r.sent("AddOrder", 1)
		})
	})
	t.Run("notes edited, the marker kept: it is found", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			r.lose()
			r.click(the)
			r.start("worker", the)
			r.waits()
			r.patch(whmcstest.Edit{Notes: text("called the customer & <b>agreed</b>\n" + the.Marker() + "\nbye")})
			r.recover()
			r.provisioned(the)
			r.sent("AddOrder", 1)
		})
	})
	for edit, kept := range map[string]bool{
		the.Marker() + ", called the customer":          true,
		"see " + the.Marker() + ".":                     true,
		"sfOrderId=801000000000002AAA\n" + the.Marker(): true,
		"SFORDERID = " + the.String() + " (cpanel)":     true,
		the.String():                                      true,
		"sfOrderId=801000000000001AA":                     false,
		"sfOrderId=801000000000001XAA":                    false,
		"sfOrderId=801000000000001":                       false,
		"sfOrderId=":                                      false,
		"order 801000000000001 beside 801000000000002AAA": false,
		"called the customer":                             false,
	} {
		t.Run("after a lost answer the notes read "+edit, func(t *testing.T) {
			play(t, options{}, func(r *rig) {
				r.lose()
				r.click(the)
				r.start("worker", the)
				r.waits()
				r.patch(whmcstest.Edit{Notes: text(edit)})
				r.recover()
				if kept {
					r.provisioned(the)
				} else {
					r.failed(the, fault.WHMCSOrderAmbiguous, "no marker in it says whose it is")
				}
				r.sent("AddOrder", 1)
			})
		})
	}
	t.Run("the marker written back: a click finds it", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			r.arm(sideWHMCS, "AddOrder", whmcstest.MarkerLost)
			r.order(the)
			r.failed(the, fault.WHMCSOrderAmbiguous)
			r.patch(whmcstest.Edit{Notes: text(the.Marker())})
			r.order(the)
			r.provisioned(the)
			r.sent("AddOrder", 1)
		})
	})
	t.Run("HTML-escaped notes are read", func(t *testing.T) {
		play(t, options{switches: whmcstest.Switches{NotesEscaped: true}}, func(r *rig) {
			r.lose()
			r.order(the)
			r.provisioned(the)
			r.sent("AddOrder", 1)
		})
	})
	t.Run("client merged into another: the order is found among everybody's", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			r.lose()
			r.click(the)
			r.start("worker", the)
			r.waits()
			other := int64(8)
			r.patch(whmcstest.Edit{UserID: &other})
			r.seed(the, other)
			r.recover()
			r.provisioned(the)
			r.sent("AddOrder", 1)
		})
	})
	t.Run("mapping corrected and lines changed meanwhile: the pinned plan counts", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			r.lose()
			r.click(the)
			r.start("worker", the)
			r.waits()
			r.opts.lines = []salesforcetest.SeedItem{{WHMCSProductID: 5, BillingCycle: "Annually", Quantity: 9}}
			r.seed(the, 99)
			r.recover()
			r.provisioned(the)
			r.sent("AddOrder", 1)
		})
	})
	for _, status := range []string{"Cancelled", "Fraud"} {
		t.Run(status+" before it is accepted: none orders afresh", func(t *testing.T) {
			play(t, options{}, func(r *rig) {
				r.at("GetOrders.one", 1, func() { r.patch(whmcstest.Edit{Status: &status}) })
				r.order(the)
				r.failed(the, fault.WHMCSOrderCancelled, status)
				r.order(the)
				r.failed(the, fault.WHMCSOrderCancelled)
				r.sent("AcceptOrder", 0)
				r.ok(r.resolve(the, none))
				r.recover()
				r.provisioned(the)
				r.sent("AddOrder", 2)
			})
		})
		t.Run(status+", found by the look: none orders afresh", func(t *testing.T) {
			play(t, options{}, func(r *rig) {
				r.lose()
				r.click(the)
				r.start("worker", the)
				r.waits()
				id := r.patch(whmcstest.Edit{Status: &status})
				r.recover()
				r.failed(the, fault.WHMCSOrderCancelled, fmt.Sprint(id))
				// Salesforce shows the dead order, as the write-back would have it.
				r.seed(the, client, map[string]any{"WHMCS_Order_ID__c": fmt.Sprint(id)})
				r.order(the)
				r.failed(the, fault.WHMCSOrderCancelled)
				r.ok(r.resolve(the, none))
				r.recover()
				r.provisioned(the)
				r.sent("AddOrder", 2)
				if r.record(the).Word.Absent() {
					t.Error("the word of the person was not used up by the send")
				}
			})
		})
		t.Run(status+" while AcceptOrder is not known", func(t *testing.T) {
			play(t, options{}, func(r *rig) {
				r.arm(sideWHMCS, "AcceptOrder", "drop-before")
				r.click(the)
				r.start("worker", the)
				r.waits()
				r.patch(whmcstest.Edit{Status: &status})
				r.recover()
				r.failed(the, fault.WHMCSOrderCancelled)
			})
		})
	}
	t.Run("none, and the fresh AddOrder is lost: the look passes the dead order over", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			r.at("GetOrders.one", 1, func() { r.patch(whmcstest.Edit{Status: text("Cancelled")}) })
			r.order(the)
			r.failed(the, fault.WHMCSOrderCancelled)
			r.ok(r.resolve(the, none))
			r.lose()
			r.recover()
			r.provisioned(the)
			r.sent("AddOrder", 2)
		})
	})
	t.Run("deleted: none orders afresh", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			r.at("GetOrders.one", 1, func() { r.whmcs.Books().Delete(r.whmcs.Orders()[0].ID) })
			r.order(the)
			r.failed(the, fault.WHMCSOrderCancelled, "gone")
			r.ok(r.resolve(the, none))
			r.recover()
			r.provisioned(the)
		})
	})
	t.Run("accepted by a person before us: it is verified", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			r.at("GetOrders.one", 1, func() { r.patch(whmcstest.Edit{Status: text("Active")}) })
			r.order(the)
			r.provisioned(the)
			r.sent("AcceptOrder", 0)
		})
	})
	t.Run("accepted by a person while AcceptOrder is on its way: not Pending, and a read says Active", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			r.at("AcceptOrder", 1, func() { r.patch(whmcstest.Edit{Status: text("Active")}) })
			r.order(the)
			r.provisioned(the)
			r.sent("AcceptOrder", 1)
		})
	})
	t.Run("a product vanished, WHMCS dropped it: the order is repaired there and clicked", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			r.at("AddOrder", 1, func() { r.whmcs.SetProduct(1, whmcstest.Product{Missing: true}) })
			r.order(the)
			r.failed(the, fault.WHMCSOrderMismatch, "lacks product 1")
			r.order(the)
			r.failed(the, fault.WHMCSOrderMismatch)
			r.sent("AcceptOrder", 0)
			r.whmcs.SetProduct(1, whmcstest.Product{Name: "Hosting", Module: "cpanel"})
			r.whmcs.Books().AddService(r.patch(whmcstest.Edit{}), whmcstest.Service{PID: 1, BillingCycle: "monthly"})
			r.order(the)
			r.provisioned(the)
			r.sent("AddOrder", 1)
		})
	})
	t.Run("a service too many", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			r.at("GetOrders.one", 1, func() {
				r.whmcs.Books().AddService(r.patch(whmcstest.Edit{}), whmcstest.Service{PID: 1, BillingCycle: "monthly"})
			})
			r.order(the)
			r.failed(the, fault.WHMCSOrderMismatch, "5 services, 4 were ordered")
			r.sent("AcceptOrder", 0)
		})
	})
	t.Run("a status of the installation's own: a person sets Pending and clicks", func(t *testing.T) {
		play(t, options{switches: whmcstest.Switches{OrderStatus: "Awaiting Check"}}, func(r *rig) {
			r.order(the)
			r.failed(the, fault.WHMCSOrderMismatch, "Awaiting Check")
			r.sent("AcceptOrder", 0)
			r.patch(whmcstest.Edit{Status: text("Pending")})
			r.order(the)
			r.provisioned(the)
			r.sent("AddOrder", 1)
		})
	})
}

func TestMarkerNotKept(t *testing.T) {
	play(t, options{switches: whmcstest.Switches{NotesOff: true}}, func(r *rig) {
		r.click(the)
		r.run("worker", the)
		r.failed(the, fault.MarkerNotKept, the.Marker())
		c, err := r.mem.Control(context.Background(), order.SideWHMCS)
		r.ok(err)
		if !c.Paused || c.By != "provision" || !strings.Contains(c.Reason, string(fault.MarkerNotKept)) || !strings.Contains(c.Reason, the.String()) {
			t.Errorf("not paused: %+v", c)
		}
		// Meanwhile no other order is made.
		other := mustID("801000000000002AAA")
		r.seed(other, client)
		r.click(other)
		r.sweep("clock")
		if res := r.run("worker", other); res.End != provision.EndBlocked {
			t.Errorf("the other order ran: %+v", res)
		}
		r.sent("AddOrder", 1)
		r.ok(r.mem.Resume(context.Background(), "ann", time.Now()))
		r.whmcs.Books().Switch(func(s *whmcstest.Switches) { s.NotesOff = false })
		r.recover()
		r.provisioned(other)
		r.failed(the, fault.MarkerNotKept)
		for _, o := range r.whmcs.Books().OrdersOf(the.String()) {
			r.whmcs.Books().Patch(o.ID, whmcstest.Edit{Notes: text(the.Marker())})
		}
		r.order(the)
		r.provisioned(the)
		r.sent("AddOrder", 2)
	})
}

// P12: an installation that keeps no markers makes one order, and then none
// until a person resumes; one order whose notes are emptied later is its own.
func TestMarkersAreKeptNowhere(t *testing.T) {
	play(t, options{switches: whmcstest.Switches{NotesOff: true}}, func(r *rig) {
		for i := range 60 {
			id := mustID(fmt.Sprintf("801%012d", 100+i))
			r.seed(id, client)
			r.click(id)
			r.start("worker", id)
			time.Sleep(30 * time.Second)
			r.sweep("clock")
		}
		r.sent("AddOrder", 1)
		r.ok(r.mem.Resume(context.Background(), "ann", time.Now()))
		time.Sleep(time.Minute)
		r.sweep("clock")
		time.Sleep(time.Minute)
		if n := r.whmcs.Calls("AddOrder"); n < 2 || n > 10 { // those that were sent before the first was read
			t.Errorf("%d AddOrder after a resume, want a handful", n)
		}
		r.whmcs.Books().Switch(func(s *whmcstest.Switches) { s.NotesOff = false })
		r.ok(r.mem.Resume(context.Background(), "ann", time.Now()))
		r.recover()
		r.sent("AddOrder", 60)
	})
	play(t, options{}, func(r *rig) {
		r.ok(r.whmcs.Fault(whmcstest.Fault{Action: "GetOrders", Fault: "http-500", Times: 12}))
		r.click(the)
		r.start("worker", the)
		r.waits()
		time.Sleep(provision.VerifyFor)
		r.patch(whmcstest.Edit{Notes: text("called the customer")})
		r.recover()
		r.failed(the, fault.MarkerNotKept)
		c, err := r.mem.Control(context.Background(), order.SideWHMCS)
		r.ok(err)
		if c.Paused {
			t.Errorf("paused by one order's notes: %+v", c)
		}
	})
}

func TestSalesforceHoldsAnID(t *testing.T) {
	t.Run("a clone carries its original's: foreign, cleared, ordered", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			r.order(the)
			r.provisioned(the)
			clone := mustID("801000000000002AAA")
			r.seed(clone, client, map[string]any{"WHMCS_Order_ID__c": r.record(the).WHMCSOrderID})
			r.order(clone)
			r.failed(clone, fault.WHMCSIDForeign, "cloned")
			r.sent("AddOrder", 1)
			r.order(clone)
			r.failed(clone, fault.WHMCSIDForeign)
			r.seed(clone, client, map[string]any{"WHMCS_Order_ID__c": nil})
			r.order(clone)
			r.provisioned(clone)
			r.sent("AddOrder", 2)
		})
	})
	t.Run("an id that WHMCS does not know", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			r.seed(the, client, map[string]any{"WHMCS_Order_ID__c": "4711"})
			r.order(the)
			r.failed(the, fault.WHMCSIDForeign, "4711")
			r.sent("AddOrder", 0)
		})
	})
	t.Run("our own of an earlier life: adopted, not ordered again", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			r.order(the)
			r.provisioned(the)
			r.seed(the, client, map[string]any{"WHMCS_Order_ID__c": r.record(the).WHMCSOrderID})
			r.mem.Expire(r.record(the).ExpiresAt)
			r.order(the)
			r.provisioned(the)
			r.sent("AddOrder", 1)
			r.sent("AcceptOrder", 1)
		})
	})
	t.Run("the mapping breaks before the look: no plain failure", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			r.order(the)
			r.seed(the, client, map[string]any{"WHMCS_Order_ID__c": r.record(the).WHMCSOrderID})
			r.mem.Expire(r.record(the).ExpiresAt)
			r.ok(r.whmcs.Fault(whmcstest.Fault{Action: "GetOrders", Fault: "http-500", Times: 3}))
			r.click(the)
			r.start("worker", the)
			r.waits()
			r.seed(the, nil, map[string]any{"WHMCS_Order_ID__c": r.record(the).WHMCSOrderID})
			r.recover()
			r.failed(the, fault.AddOutcomeUnknown, "WHMCS_Client_ID__c")
			r.seed(the, client)
			r.order(the)
			r.provisioned(the)
			r.sent("AddOrder", 1)
		})
	})
}

func TestAfterARestore(t *testing.T) {
	// lost: the table was restored to a moment before the order was made.
	lost := func(r *rig) {
		r.order(the)
		r.provisioned(the)
		r.mem.Expire(r.record(the).ExpiresAt)
		time.Sleep(time.Hour)
		r.ok(r.mem.LookBefore(context.Background(), time.Now().Add(time.Hour), "ann", time.Now()))
	}
	t.Run("what exists is found and adopted", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			lost(r)
			r.order(the)
			r.provisioned(the)
			r.sent("AddOrder", 1)
		})
	})
	t.Run("what does not exist is ordered", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			r.ok(r.mem.LookBefore(context.Background(), time.Now().Add(time.Hour), "ann", time.Now()))
			r.order(the)
			r.provisioned(the)
			r.sent("AddOrder", 1)
		})
	})
	t.Run("what was cancelled since asks a person", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			lost(r)
			r.patch(whmcstest.Edit{Status: text("Cancelled")})
			r.order(the)
			r.failed(the, fault.WHMCSOrderCancelled)
			r.ok(r.resolve(the, none))
			r.recover()
			r.provisioned(the)
			r.sent("AddOrder", 2)
		})
	})
	t.Run("a mapping that broke since is no plain failure", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			lost(r)
			r.seed(the, nil)
			r.order(the)
			r.failed(the, fault.AddOutcomeUnknown, "WHMCS_Client_ID__c")
			r.seed(the, client)
			r.order(the)
			r.provisioned(the)
			r.sent("AddOrder", 1)
		})
	})
	t.Run("after the moment nothing is searched", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			r.ok(r.mem.LookBefore(context.Background(), time.Now().Add(-time.Second), "ann", time.Now()))
			r.order(the)
			r.provisioned(the)
			if slices.Contains(r.calls, "GetOrders.client") {
				t.Error("it looked")
			}
		})
	})
}

func TestListings(t *testing.T) {
	t.Run("the hit is on the last of several pages", func(t *testing.T) {
		for _, by := range []string{"desc", "asc", "mixed"} {
			play(t, options{switches: whmcstest.Switches{ListOrder: by}}, func(r *rig) {
				r.crowd(130)
				r.lose()
				r.click(the)
				r.start("worker", the)
				r.waits()
				r.crowd(120)
				r.recover()
				r.provisioned(the)
				r.sent("AddOrder", 1)
			})
		}
	})
	for _, shift := range []string{"list-shift-up", "list-shift-down"} {
		t.Run(shift+" once: it is read again", func(t *testing.T) {
			play(t, options{}, func(r *rig) {
				r.crowd(150)
				r.lose()
				r.ok(r.whmcs.Fault(whmcstest.Fault{Action: "GetOrders", Fault: shift}))
				r.order(the)
				r.provisioned(the)
				r.sent("AddOrder", 1)
			})
		})
		t.Run(shift+" always: a click looks once more", func(t *testing.T) {
			o := options{}
			if shift == "list-shift-down" { // it hides nothing in a list that falls
				o.switches.ListOrder = "mixed"
			}
			play(t, o, func(r *rig) {
				r.crowd(150)
				r.lose()
				r.ok(r.whmcs.Fault(whmcstest.Fault{Action: "GetOrders", Fault: shift, Times: 100}))
				r.order(the)
				r.failed(the, fault.AddOutcomeUnknown, "Click again", "changed each time")
				r.whmcs.ClearFaults()
				r.order(the)
				r.provisioned(the)
				r.sent("AddOrder", 1)
			})
		})
	}
	for _, bare := range []bool{false, true} {
		t.Run(fmt.Sprintf("services shift while they are compared, without line items %v", bare), func(t *testing.T) {
			play(t, options{switches: whmcstest.Switches{NoLineItems: bare}}, func(r *rig) {
				r.crowd(150)
				r.ok(r.whmcs.Fault(whmcstest.Fault{Action: "GetClientsProducts", Fault: "list-shift-up"}))
				r.order(the)
				r.provisioned(the)
				r.sent("AddOrder", 1)
			})
		})
	}
}

func TestTransport(t *testing.T) {
	for _, redirect := range []string{"redirect-307", "redirect-308"} {
		t.Run("AddOrder is not sent along a "+redirect, func(t *testing.T) {
			play(t, options{}, func(r *rig) {
				r.arm(sideWHMCS, "AddOrder", redirect)
				r.click(the)
				r.run("worker", the)
				r.sent("AddOrder", 1)
				r.recover()
				r.provisioned(the)
			})
		})
		t.Run("a read's "+redirect+" stops the installation", func(t *testing.T) {
			play(t, options{}, func(r *rig) {
				r.arm(sideWHMCS, "GetClientsDetails", redirect)
				r.click(the)
				if res := r.run("worker", the); res.End != provision.EndParked || res.Code != fault.WHMCSMisconfigured || res.Record.Attempts != 0 {
					t.Errorf("%s %s after %d tries", res.End, res.Code, res.Record.Attempts)
				}
				r.recover()
				r.provisioned(the)
			})
		})
	}
	t.Run("a reset meets a read on a kept-alive connection", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			r.arm(sideWHMCS, "GetProducts", "reset-kept-alive")
			r.click(the)
			r.run("worker", the)
			r.provisioned(the)
			if n := r.whmcs.Calls("GetProducts"); n != 2 {
				t.Errorf("%d GetProducts, want the one that was reset and its repetition", n)
			}
		})
	})
	t.Run("effects leave on connections of their own", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			r.arm(sideWHMCS, "AddOrder", "reset-kept-alive")
			r.arm(sideWHMCS, "AcceptOrder", "reset-kept-alive")
			r.order(the)
			r.provisioned(the)
			if n := len(r.whmcs.Faults()); n != 2 {
				t.Errorf("%d faults are left: an effect used a kept-alive connection", n)
			}
		})
	})
	t.Run("a click during each of the worker's writes", func(t *testing.T) {
		for _, write := range []string{"Lease", "Write.add_sending", "Write.accept_sending", "Write.provisioned"} {
			play(t, options{}, func(r *rig) {
				r.at(write, 1, func() { r.click(the) })
				r.click(the)
				r.run("worker", the)
				r.provisioned(the)
				rec := r.record(the)
				if len(rec.Keys) != 2 || len(rec.Nonces) != 2 {
					t.Errorf("%s: the click left keys %v", write, rec.Keys)
				}
				r.sent("AddOrder", 1)
			})
		}
	})
}

func TestModules(t *testing.T) {
	t.Run("fails, the order stays Pending: a click consents to one more run", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			r.arm(sideWHMCS, "AcceptOrder", whmcstest.ModuleFailPending+":no free server")
			r.order(the)
			r.failed(the, fault.ModuleFailed, "no free server")
			time.Sleep(3 * time.Hour)
			r.sweep("clock")
			r.sent("AcceptOrder", 1)
			if out := r.sameClick(the); out != order.StoredFailure {
				t.Errorf("a repeated callout met %d", out)
			}
			r.recover()
			r.failed(the, fault.ModuleFailed)
			r.click(the)
			r.click(the) // one consent, however often
			r.start("hint", the)
			r.recover()
			r.provisioned(the)
			r.sent("AcceptOrder", 2)
			r.sent("AddOrder", 1)
		})
	})
	t.Run("the consent is used up by a send of unknown outcome", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			r.arm(sideWHMCS, "AcceptOrder", whmcstest.ModuleFailPending)
			r.arm(sideWHMCS, "AcceptOrder", "drop-before")
			r.order(the)
			r.failed(the, fault.ModuleFailed)
			r.order(the)
			r.failed(the, fault.AcceptOutcomeUnknown)
			r.order(the)
			r.failed(the, fault.AcceptOutcomeUnknown)
			r.sent("AcceptOrder", 2)
		})
	})
	t.Run("the consent outlives a send that was refused", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			r.arm(sideWHMCS, "AcceptOrder", whmcstest.ModuleFailPending)
			r.order(the)
			r.failed(the, fault.ModuleFailed)
			r.arm(sideWHMCS, "AcceptOrder", "forbidden-ip")
			r.order(the)
			r.provisioned(the)
			r.sent("AcceptOrder", 3)
		})
	})
	t.Run("repaired by hand after module_failed: a click finds it Active", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			r.arm(sideWHMCS, "AcceptOrder", whmcstest.ModuleFailPending)
			r.order(the)
			r.failed(the, fault.ModuleFailed)
			r.patch(whmcstest.Edit{Status: text("Active")})
			r.order(the)
			r.provisioned(the)
			r.sent("AcceptOrder", 1)
		})
	})
	for _, twist := range []string{whmcstest.ModuleFailActive, whmcstest.ModuleFailMixed} {
		t.Run(twist+": the module is run in WHMCS, then a click", func(t *testing.T) {
			play(t, options{}, func(r *rig) {
				r.arm(sideWHMCS, "AcceptOrder", twist+":disk full")
				r.order(the)
				r.failed(the, fault.ModuleFailed, "disk full")
				r.order(the)
				r.failed(the, fault.ModuleFailed)
				repaired := map[int64]string{}
				for _, s := range r.whmcs.Orders()[0].Services {
					repaired[s.ID] = "Active"
				}
				r.patch(whmcstest.Edit{Services: repaired})
				r.order(the)
				r.provisioned(the)
				r.sent("AcceptOrder", 1)
			})
		})
	}
	t.Run("made, but left Pending: not verified, activated, clicked", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			r.arm(sideWHMCS, "AcceptOrder", whmcstest.ModuleMadePending)
			began := time.Now()
			r.order(the)
			r.failed(the, fault.NotVerified)
			if waited := r.record(the).ErrorAt.Sub(began); waited < provision.VerifyFor {
				t.Errorf("given up after %s", waited)
			}
			repaired := map[int64]string{}
			for _, s := range r.whmcs.Orders()[0].Services {
				repaired[s.ID] = "Active"
			}
			r.patch(whmcstest.Edit{Services: repaired})
			r.order(the)
			r.provisioned(the)
			r.sent("AcceptOrder", 1)
		})
	})
	t.Run("slow services are waited for, without spending tries", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			r.arm(sideWHMCS, "AcceptOrder", whmcstest.ModuleMadePending)
			r.click(the)
			r.start("worker", the)
			r.waits()
			time.Sleep(8 * time.Minute)
			repaired := map[int64]string{}
			for _, s := range r.whmcs.Orders()[0].Services {
				repaired[s.ID] = "Active"
			}
			r.patch(whmcstest.Edit{Services: repaired})
			r.recover()
			r.provisioned(the)
		})
	})
	t.Run("not known whether it ran: accepted by a person, then a click", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			r.arm(sideWHMCS, "AcceptOrder", "drop-before")
			r.order(the)
			r.failed(the, fault.AcceptOutcomeUnknown, "not known whether its module ran")
			r.patch(whmcstest.Edit{Status: text("Active")})
			r.order(the)
			r.provisioned(the)
			r.sent("AcceptOrder", 1)
		})
	})
	t.Run("not known whether it ran, and every product may run twice: accepted again", func(t *testing.T) {
		play(t, options{config: func(c *provision.Config) { c.Idempotent = []int64{1, 2} }}, func(r *rig) {
			r.arm(sideWHMCS, "AcceptOrder", "drop-before")
			r.order(the)
			r.provisioned(the)
			r.sent("AcceptOrder", 2)
		})
	})
	t.Run("one product may not run twice: a person is asked", func(t *testing.T) {
		play(t, options{config: func(c *provision.Config) { c.Idempotent = []int64{2} }}, func(r *rig) {
			r.arm(sideWHMCS, "AcceptOrder", "drop-before")
			r.order(the)
			r.failed(the, fault.AcceptOutcomeUnknown)
		})
	})
}

func TestResolve(t *testing.T) {
	t.Run("refused while the order is worked on or waits", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			r.lose()
			refused := func() {
				for _, how := range []func(*order.Resolution){none, stop, adopt(1)} {
					if err := r.resolve(the, how); fault.CodeOf(err) != fault.StateChanged {
						t.Errorf("resolved: %v", err)
					}
				}
			}
			r.at("AddOrder", 1, refused)
			r.click(the)
			r.start("worker", the)
			r.waits()
			refused()
			r.recover()
			r.provisioned(the)
			refused()
			r.sent("AddOrder", 1)
		})
	})
	t.Run("none is refused while an AddOrder may still run", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			// A second AddOrder goes out and is found to differ at once: its own
			// settle time is not over when the order fails.
			r.at("AddOrder", 1, func() { r.whmcs.SetProduct(1, whmcstest.Product{Missing: true}) })
			r.click(the)
			r.run("worker", the)
			r.failed(the, fault.WHMCSOrderMismatch)
			if err := r.resolve(the, none); fault.CodeOf(err) != fault.StateChanged {
				t.Errorf("none: %v", err)
			}
			r.whmcs.SetProduct(1, whmcstest.Product{Name: "Hosting"})
			r.patch(whmcstest.Edit{Status: text("Cancelled")})
			time.Sleep(r.cfg.Window + r.cfg.Margin + r.cfg.Settle)
			r.ok(r.resolve(the, none))
			r.recover()
			r.provisioned(the)
			r.sent("AddOrder", 2)
		})
	})
	t.Run("stopped, then clicked: it looks first", func(t *testing.T) {
		play(t, options{config: func(c *provision.Config) { c.Resend = false }}, func(r *rig) {
			r.ok(r.whmcs.Fault(whmcstest.Fault{Action: "AddOrder", Fault: "commit-after-timeout", Delay: 1000 * time.Second}))
			r.click(the)
			r.start("worker", the)
			for r.record(the).State != order.Failed {
				time.Sleep(time.Minute)
				r.sweep("clock")
			}
			r.failed(the, fault.AddOutcomeUnknown)
			r.ok(r.resolve(the, stop))
			r.failed(the, fault.StoppedInWHMCS)
			time.Sleep(time.Hour) // the AddOrder, later than A3 allows, was done after all
			r.order(the)
			r.provisioned(the)
			r.sent("AddOrder", 1)
		})
	})
	t.Run("adopt: an order that differs is compared, not accepted", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			r.crowd(1)
			id := r.whmcs.Orders()[0].ID
			r.at("AddOrder", 1, func() { r.whmcs.SetProduct(1, whmcstest.Product{Missing: true}) })
			r.order(the)
			r.failed(the, fault.WHMCSOrderMismatch)
			r.ok(r.resolve(the, adopt(id)))
			r.recover()
			r.failed(the, fault.WHMCSOrderMismatch, fmt.Sprint(id))
			r.sent("AcceptOrder", 0)
		})
	})
	t.Run("adopt of what was never sent: compared with Salesforce", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			r.seed(the, nil)
			r.order(the)
			r.failed(the, fault.AccountNotMapped)
			// A person ordered by hand.
			plan := order.Plan{ClientID: client, Entries: []order.PlanEntry{
				{Line: order.Line{ProductID: 1, Cycle: order.Monthly, Quantity: 1}, Services: 1},
				{Line: order.Line{ProductID: 2, Cycle: order.OneTime, Quantity: 3}, Services: 3},
			}}
			run := r.whmcs.Books().BeginAdd(the, plan)
			run.Finish(whmcstest.Twist{})
			r.patch(whmcstest.Edit{Notes: text("by hand")})
			r.ok(r.resolve(the, adopt(run.OrderID)))
			r.recover()
			r.failed(the, fault.WHMCSOrderMismatch, "WHMCS_Client_ID__c")
			r.seed(the, client)
			r.order(the)
			r.provisioned(the)
			r.sent("AddOrder", 0)
		})
	})
	t.Run("adopt of an order that WHMCS does not have", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			r.arm(sideWHMCS, "AddOrder", whmcstest.MarkerLost)
			r.order(the)
			r.ok(r.resolve(the, adopt(4711)))
			r.recover()
			r.failed(the, fault.WHMCSOrderCancelled, "4711", "gone")
		})
	})
}

func TestPause(t *testing.T) {
	ctx := context.Background()
	t.Run("before a send, by a switch read more than 5 s ago: nothing leaves, no try is spent", func(t *testing.T) {
		for effect, before := range map[string]string{"AddOrder": "GetProducts", "AcceptOrder": "GetClientsProducts"} {
			play(t, options{}, func(r *rig) {
				r.at(before, 1, func() {
					time.Sleep(6 * time.Second)
					r.ok(r.mem.Pause(ctx, "upgrade", "ann", time.Now()))
				})
				r.click(the)
				res := r.run("worker", the)
				if res.End != provision.EndParked || res.Record.Attempts != 0 {
					t.Errorf("%s: %s after %d tries", effect, res.End, res.Record.Attempts)
				}
				r.sent(effect, 0)
				for range 30 {
					time.Sleep(time.Minute)
					r.sweep("clock")
				}
				r.sent(effect, 0)
				r.ok(r.mem.Resume(ctx, "ann", time.Now()))
				r.recover()
				r.provisioned(the)
				r.sent("AddOrder", 1)
				r.sent("AcceptOrder", 1)
			})
		}
	})
	t.Run("for four days: clicks are taken, nothing is lost or given up", func(t *testing.T) {
		// 6: WHMCS is busy for the first two runs after it. Their 72 hours begin
		// when work may go on, not when the order was opened.
		play(t, options{}, func(r *rig) {
			r.ok(r.mem.Pause(ctx, "upgrade", "ann", time.Now()))
			r.click(the)
			for range 4 * 24 {
				time.Sleep(time.Hour)
				if res := r.run("worker", the); res.End != provision.EndBlocked {
					t.Fatalf("%s while paused", res.End)
				}
				r.sweep("clock")
			}
			if n := len(r.whmcs.Journal()); n > 0 {
				t.Errorf("%d calls while paused", n)
			}
			r.ok(r.mem.Resume(ctx, "ann", time.Now()))
			r.ok(r.whmcs.Fault(whmcstest.Fault{Action: "GetClientsDetails", Fault: "http-429", Times: 6}))
			r.recover()
			r.provisioned(the)
		})
	})
}

// P10: 20 orders that a long pause, or a long outage, saved are not given up by
// the first bad minutes after it.
func TestALongWaitIsNoTry(t *testing.T) {
	ctx := context.Background()
	const busy, orders = 40, 20 // 429 to so many calls after it
	for name, wait := range map[string]struct{ begin, end func(r *rig) }{
		"pause": {func(r *rig) { r.ok(r.mem.Pause(ctx, "upgrade", "ann", time.Now())) }, func(r *rig) { r.ok(r.mem.Resume(ctx, "ann", time.Now())) }},
		"WHMCS away": {func(r *rig) {
			r.whmcs.Books().Switch(func(s *whmcstest.Switches) { s.DenyIP = "203.0.113.9" })
		}, func(r *rig) { r.whmcs.Books().Switch(func(s *whmcstest.Switches) { s.DenyIP = "" }) }},
		"Salesforce away": {func(r *rig) {
			r.ok(r.sf.Fault(salesforcetest.Fault{Action: "token", Fault: "bad-credentials", Times: 100_000}))
		}, func(r *rig) { r.sf.ClearFaults() }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play(t, options{}, func(r *rig) {
				wait.begin(r)
				var ids []order.ID
				for i := range orders {
					id := mustID(fmt.Sprintf("801%012d", 100+i))
					r.seed(id, client)
					r.click(id)
					ids = append(ids, id)
				}
				for range 73 * 12 {
					time.Sleep(5 * time.Minute)
					r.sweep("clock")
				}
				wait.end(r)
				r.ok(r.whmcs.Fault(whmcstest.Fault{Action: "GetClientsDetails", Fault: "http-429", Times: busy}))
				r.recover()
				for _, id := range ids {
					r.provisioned(id)
				}
			})
		})
	}
}

// P11: an AddOrder, or an AcceptOrder, that is dead for hours while reads are
// answered makes a handful of cases for people, not one of each order.
func TestEffectsThatAreNotAnswered(t *testing.T) {
	for _, c := range []struct {
		effect, fault      string
		dead               time.Duration
		orders             int
		every              time.Duration
		mostSent, mostCase int
	}{
		{"AddOrder", "drop-before", 4 * time.Hour, 240, time.Minute, 60, 12},
		{"AddOrder", "drop-before", 30 * time.Minute, 20, 0, 30, 0},
		{"AddOrder", "hold", 4 * time.Hour, 240, time.Minute, 60, 12},
		{"AcceptOrder", "http-500", 5 * time.Minute, 60, 5 * time.Second, 10, 10},
	} {
		t.Run(fmt.Sprintf("%s %s for %s", c.effect, c.fault, c.dead), func(t *testing.T) {
			t.Parallel()
			play(t, options{}, func(r *rig) {
				r.ok(r.whmcs.Fault(whmcstest.Fault{Action: c.effect, Fault: c.fault, Times: 100_000}))
				var ids []order.ID
				due := time.Now()
				for began := due; time.Since(began) < c.dead; time.Sleep(5 * time.Second) {
					for len(ids) < c.orders && !due.After(time.Now()) {
						id := mustID(fmt.Sprintf("801%012d", 100+len(ids)))
						r.seed(id, client)
						r.click(id)
						r.start("worker", id)
						ids, due = append(ids, id), due.Add(c.every)
					}
					if time.Since(began)%time.Minute < 5*time.Second {
						r.sweep("clock")
					}
				}
				if sent := r.whmcs.Calls(c.effect); sent > c.mostSent {
					t.Errorf("%d %s were sent into the hole, want at most %d", sent, c.effect, c.mostSent)
				}
				r.whmcs.ClearFaults()
				r.recover()
				cases := 0
				for _, id := range ids {
					if rec := r.record(id); rec.State == order.Failed && rec.ErrorCode.Info().Review {
						cases++
					} else {
						r.provisioned(id)
					}
				}
				t.Logf("%d sent into the hole, %d of %d orders need a person", r.whmcs.Calls(c.effect)-len(ids), cases, len(ids))
				if cases > c.mostCase {
					t.Errorf("%d of %d orders need a person, want at most %d", cases, len(ids), c.mostCase)
				}
			})
		})
	}
}

// Twenty orders were made in WHMCS, and no AddOrder was answered. None of them
// has an AddOrder to send any more: they are searched for and accepted without a
// window of the breaker, and a twenty-first order, which has one, is the canary.
func TestAnEffectThatIsNotAnsweredHoldsNoOrderThatDoesNotSendIt(t *testing.T) {
	t.Parallel()
	play(t, options{}, func(r *rig) {
		const lost = 20
		r.ok(r.whmcs.Fault(whmcstest.Fault{Action: "AddOrder", Fault: "commit-after-timeout", Times: lost}))
		var ids []order.ID
		begin := func() {
			id := mustID(fmt.Sprintf("801%012d", 100+len(ids)))
			r.seed(id, client)
			r.click(id)
			r.start("worker", id)
			ids = append(ids, id)
		}
		for range lost {
			begin()
		}
		time.Sleep(r.cfg.AddTimeout + r.cfg.Window + r.cfg.Margin + r.cfg.Settle)
		for range 2 {
			for _, id := range ids {
				r.start("worker", id)
			}
			time.Sleep(time.Minute)
		}
		for _, id := range ids {
			r.provisioned(id)
		}
		if calls := r.whmcs.Calls("AddOrder"); calls != lost {
			t.Errorf("%d AddOrder, want %d", calls, lost)
		}
		begin()
		time.Sleep(time.Minute)
		r.provisioned(ids[lost])
		if c, err := r.mem.Control(t.Context(), order.SideWHMCS); err != nil || len(c.Unsure) != 0 {
			t.Errorf("after an AddOrder that was answered: %+v, %v", c, err)
		}
	})
}

func TestBreaker(t *testing.T) {
	ctx := context.Background()
	orders := func(r *rig, n int) (ids []order.ID) {
		for i := range n {
			id := mustID(fmt.Sprintf("801%012d", 100+i))
			r.seed(id, client)
			ids = append(ids, id)
			r.click(id)
		}
		return ids
	}
	t.Run("WHMCS, opened by a fault of the installation, closed by one probe", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			r.whmcs.Books().Switch(func(s *whmcstest.Switches) { s.DenyIP = "203.0.113.9" })
			ids := orders(r, 3)
			res := r.run("worker", ids[0])
			if res.End != provision.EndParked || res.Code != fault.WHMCSIPDenied || res.Record.Attempts != 0 || !strings.Contains(res.Record.ErrorMessage, "203.0.113.9") {
				t.Errorf("%s %s after %d tries: %s", res.End, res.Code, res.Record.Attempts, res.Record.ErrorMessage)
			}
			calls := len(r.whmcs.Journal())
			if res := r.run("worker", ids[1]); res.End != provision.EndBlocked || len(r.whmcs.Journal()) != calls {
				t.Errorf("%s, %d calls more", res.End, len(r.whmcs.Journal())-calls)
			}
			// Ten minutes: each open window ends in one probe, whichever worker comes.
			for range 120 {
				time.Sleep(5 * time.Second)
				for _, id := range ids {
					r.start("worker", id)
				}
			}
			time.Sleep(time.Minute)
			last := time.Time{}
			for _, c := range r.whmcs.Journal()[calls:] {
				if c.Action != "WhmcsDetails" {
					t.Fatalf("%s while the breaker was open", c.Action)
				}
				if c.At.Sub(last) < 30*time.Second {
					t.Errorf("two probes within %s", c.At.Sub(last))
				}
				last = c.At
			}
			r.whmcs.Books().Switch(func(s *whmcstest.Switches) { s.DenyIP = "" })
			r.recover()
			for _, id := range ids {
				r.provisioned(id)
			}
			c, err := r.mem.Control(ctx, order.SideWHMCS)
			r.ok(err)
			if !c.OpenUntil.IsZero() || !c.OpenedAt.IsZero() || c.Fails != 0 {
				t.Errorf("the breaker is left %+v", c)
			}
		})
	})
	t.Run("Salesforce, not opened by one order whose account is hidden", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			hide := func(id order.ID, hidden bool, fields map[string]any) {
				r.ok(r.sf.PutOrder(id.String(), salesforcetest.Seed{AccountID: "001000000000009AAA", AccountHidden: hidden, WHMCSClientID: client, Fields: fields,
					Items: []salesforcetest.SeedItem{{WHMCSProductID: 1, BillingCycle: "Monthly", Quantity: 1}}}))
			}
			shown := map[string]any{"Provisioning_Seq__c": 1.0} // an order of some earlier day
			hide(mustID("801000000000900"), false, shown)
			hide(the, true, nil)
			r.click(the)
			ids := orders(r, 12)
			res := r.run("worker", the)
			if res.End != provision.EndFailed || res.Code != fault.AccountNotReadable || !strings.Contains(res.Record.ErrorMessage, "001000000000009AAA") {
				t.Errorf("%s %s: %s", res.End, res.Code, res.Record.ErrorMessage)
			}
			for _, id := range ids {
				if res := r.run("worker", id); res.End != provision.EndProvisioned {
					t.Errorf("a good order: %s %s", res.End, res.Code)
				}
			}
			c, err := r.mem.Control(ctx, order.SideSalesforce)
			r.ok(err)
			if !c.OpenUntil.IsZero() || c.Faults != 0 {
				t.Errorf("the breaker is left %+v", c)
			}
			// All accounts hidden is the installation: it waits, whatever the order.
			hide(mustID("801000000000900"), true, shown)
			r.click(the)
			if res := r.run("worker", the); res.End != provision.EndParked || res.Code != fault.SalesforcePermission || res.Record.Attempts != 0 {
				t.Errorf("%s %s after %d tries", res.End, res.Code, res.Record.Attempts)
			}
			time.Sleep(time.Hour)
			if res := r.run("worker", the); res.Record.State != order.Waiting {
				t.Errorf("the probe does not see it: %s %s", res.End, res.Code)
			}
			hide(mustID("801000000000900"), false, shown)
			hide(the, false, nil)
			r.recover()
			r.provisioned(the)
		})
	})
	t.Run("WHMCS, opened by a run of faults that pass", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			ids := orders(r, 3)
			r.ok(r.whmcs.Fault(whmcstest.Fault{Action: "GetClientsDetails", Fault: "http-500", Times: 9}))
			for i, id := range ids {
				res := r.run("worker", id)
				c, err := r.mem.Control(ctx, order.SideWHMCS)
				r.ok(err)
				if res.Code != fault.WHMCSUnavailable || res.Record.Attempts != 1 || c.Open(time.Now()) != (i == 2) {
					t.Errorf("run %d: %s after %d tries, breaker %+v", i+1, res.Code, res.Record.Attempts, c)
				}
			}
			r.recover()
			for _, id := range ids {
				r.provisioned(id)
			}
		})
	})
	t.Run("a good answer between faults: it stays closed", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			for i := range 5 {
				r.ok(r.whmcs.Fault(whmcstest.Fault{Action: "GetClientsDetails", Fault: "http-500", Times: 3}))
				id := orders(r, i+1)[i]
				r.run("worker", id)
				good := mustID(fmt.Sprintf("801%012d", 200+i))
				r.seed(good, client)
				r.click(good)
				r.run("worker", good)
			}
			c, err := r.mem.Control(ctx, order.SideWHMCS)
			r.ok(err)
			if !c.OpenUntil.IsZero() {
				t.Errorf("open: %+v", c)
			}
			r.recover()
		})
	})
	t.Run("Salesforce away: what is ordered already goes on", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			r.lose()
			r.click(the)
			r.run("worker", the)
			ids := orders(r, 2)
			r.sf.ExpireSessions()
			r.ok(r.sf.Fault(salesforcetest.Fault{Action: "token", Fault: "bad-credentials", Times: 100}))
			r.run("worker", ids[0])
			r.run("worker", ids[1])
			for _, id := range ids {
				if rec := r.record(id); rec.State != order.Waiting || rec.Attempts != 0 {
					t.Errorf("%s %s after %d tries", rec.State, rec.ErrorCode, rec.Attempts)
				}
			}
			for range 20 {
				time.Sleep(time.Minute)
				r.sweep("clock")
			}
			r.provisioned(the)
			r.sf.ClearFaults()
			r.recover()
			for _, id := range ids {
				r.provisioned(id)
			}
		})
	})
}

// Given up after 72 hours: plainly only where nothing can have reached WHMCS.
func TestGivenUp(t *testing.T) {
	always := 100_000
	for i, c := range []struct {
		name string
		arm  func(r *rig)
		code fault.Code
	}{
		{"at none, WHMCS", func(r *rig) {
			r.ok(r.whmcs.Fault(whmcstest.Fault{Action: "GetClientsDetails", Fault: "http-500", Times: always}))
		}, fault.RetriesExhausted},
		{"at none, Salesforce", func(r *rig) {
			r.ok(r.sf.Fault(salesforcetest.Fault{Action: "query", Fault: "http-500", Match: the.String(), Times: always}))
		}, fault.RetriesExhausted},
		{"at none, AddOrder never left", func(r *rig) { r.refuse = "AddOrder" }, fault.RetriesExhausted},
		{"at adding", func(r *rig) {
			r.lose()
			r.ok(r.whmcs.Fault(whmcstest.Fault{Action: "GetOrders", Fault: "http-500", Times: always}))
		}, fault.AddOutcomeUnknown},
		{"at added", func(r *rig) {
			r.ok(r.whmcs.Fault(whmcstest.Fault{Action: "GetOrders", Fault: "http-500", Times: always}))
		}, fault.AcceptOutcomeUnknown},
		{"at added, AcceptOrder never left", func(r *rig) { r.refuse = "AcceptOrder" }, fault.AcceptOutcomeUnknown},
		{"at accepting", func(r *rig) {
			r.arm(sideWHMCS, "AcceptOrder", "commit-then-drop")
			r.at("AcceptOrder", 1, func() {
				r.ok(r.whmcs.Fault(whmcstest.Fault{Action: "GetOrders", Fault: "http-500", Times: always}))
			})
		}, fault.AcceptOutcomeUnknown},
		{"at accepted", func(r *rig) {
			r.ok(r.whmcs.Fault(whmcstest.Fault{Action: "GetModuleQueue", Fault: "http-500", Times: always}))
		}, fault.NotVerified},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			// The first case takes the whole three days; the others differ only
			// in the point, and are given up sooner.
			giveUp := provision.GiveUp
			if i > 0 {
				giveUp = 12 * time.Hour
			}
			play(t, options{config: func(c *provision.Config) { c.GiveUp = giveUp }}, func(r *rig) {
				c.arm(r)
				r.order(the)
				r.failed(the, c.code)
				rec := r.record(the)
				if tried := rec.ErrorAt.Sub(rec.OpenedAt); tried < giveUp || tried > giveUp+time.Hour {
					t.Errorf("given up after %s", tried)
				}
				r.whmcs.ClearFaults()
				r.sf.ClearFaults()
				r.refuse = ""
				r.order(the) // a click begins again
				r.provisioned(the)
				r.sent("AddOrder", 1)
			})
		})
	}
	t.Run("WHMCS away for four days: given up by none", func(t *testing.T) {
		t.Parallel()
		play(t, options{}, func(r *rig) {
			down := []string{"WhmcsDetails", "GetClientsDetails"}
			for _, action := range down {
				r.ok(r.whmcs.Fault(whmcstest.Fault{Action: action, Fault: "http-500", Times: always}))
			}
			r.click(the)
			for range 96 * 60 {
				time.Sleep(time.Minute)
				r.sweep("clock")
			}
			if rec := r.record(the); !rec.State.Open() {
				t.Fatalf("%s %s", rec.State, rec.ErrorCode)
			}
			r.whmcs.ClearFaults()
			r.recover()
			r.provisioned(the)
		})
	})
}

func TestQuantities(t *testing.T) {
	item := func(pid, n int) salesforcetest.SeedItem {
		return salesforcetest.SeedItem{WHMCSProductID: pid, BillingCycle: "Monthly", Quantity: n}
	}
	for _, c := range []struct {
		name     string
		rule     int
		version  string
		n        int
		rows     int // pid[…] of AddOrder
		services int
		qty      int // of each service
	}{
		{"none: the line is repeated", 0, "", 3, 3, 3, 1},
		{"multiple: one row makes several services", 1, "", 3, 1, 3, 1},
		{"scaling: one service of that quantity", 2, "", 3, 1, 1, 3},
		{"before 8.12 every line is repeated", 2, "8.11.2-release.1", 3, 3, 3, 1},
		{"100 rows are taken", 0, "", 100, 100, 100, 1},
		{"100 services of one row", 1, "", 250, 1, 250, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			play(t, options{lines: []salesforcetest.SeedItem{item(3, c.n)}, switches: whmcstest.Switches{Version: c.version}}, func(r *rig) {
				r.whmcs.SetProduct(3, whmcstest.Product{Name: "Seat", AllowQty: c.rule, Module: "seats"})
				r.order(the)
				r.provisioned(the)
				for _, call := range r.whmcs.Journal() {
					if call.Action != "AddOrder" {
						continue
					}
					rows := 0
					for name := range call.Params {
						if strings.HasPrefix(name, "pid[") {
							rows++
						}
					}
					if rows != c.rows {
						t.Errorf("%d rows, want %d", rows, c.rows)
					}
				}
				o := r.whmcs.Orders()[0]
				if len(o.Services) != c.services || o.Services[0].Qty != c.qty {
					t.Errorf("%d services of %d", len(o.Services), o.Services[0].Qty)
				}
			})
		})
	}
	for name, lines := range map[string][]salesforcetest.SeedItem{
		"101 of one line":   {item(3, 101)},
		"101 over all rows": {item(3, 60), item(4, 41)},
		"101 lines":         slices.Repeat([]salesforcetest.SeedItem{item(3, 1)}, 101),
	} {
		t.Run(name+" are too many, and nothing is ordered", func(t *testing.T) {
			play(t, options{lines: lines}, func(r *rig) {
				r.order(the)
				r.failed(the, fault.QuantityInvalid, "more than the 100 rows")
				r.sent("AddOrder", 0)
			})
		})
	}
}

// byHand is an order that a person made in WHMCS, without a marker.
func (r *rig) byHand() int64 { return r.byHandFor(client) }

func (r *rig) byHandFor(client int64) int64 {
	plan := order.Plan{ClientID: client, Entries: []order.PlanEntry{
		{Line: order.Line{ProductID: 1, Cycle: order.Monthly, Quantity: 1}, Services: 1},
		{Line: order.Line{ProductID: 2, Cycle: order.OneTime, Quantity: 3}, Services: 3},
	}}
	run := r.whmcs.Books().BeginAdd(mustID("801000000000009AAA"), plan)
	run.Finish(whmcstest.Twist{})
	r.whmcs.Books().Patch(run.OrderID, whmcstest.Edit{Notes: text("by hand")})
	return run.OrderID
}

// unmarked orders, and lets WHMCS lose the marker of what it made.
func (r *rig) unmarked() {
	r.Helper()
	r.at("GetOrders.one", 1, func() { r.patch(whmcstest.Edit{Notes: text("")}) })
	r.click(the)
	r.run("worker", the)
	r.failed(the, fault.MarkerNotKept)
	r.ok(r.mem.Resume(context.Background(), "ann", time.Now()))
	time.Sleep(time.Hour) // AddOrder has ended
}

// While an order waits for longer than one attempt, Salesforce is told why, once
// for each reason; the end clears it.
func TestSalesforceIsToldWhyAnOrderWaits(t *testing.T) {
	play(t, options{}, func(r *rig) {
		var told []string
		steps := r.mem.Wrote
		r.mem.Wrote = func(from, to order.Record) {
			steps(from, to)
			if to.Signal.Visible() {
				told = append(told, fmt.Sprintf("%s %s", to.State, to.Told.Code))
			}
		}
		r.ok(r.whmcs.Fault(whmcstest.Fault{Action: "GetClientsDetails", Fault: "http-429", Times: 12})) // four runs of three calls
		r.click(the)
		for range 40 {
			r.sweep("clock")
			time.Sleep(time.Minute)
		}
		if len(told) < 2 || told[1] != "waiting whmcs_busy" {
			t.Fatalf("told %v", told)
		}
		r.recover()
		r.provisioned(the)
		if want := []string{"queued ", "waiting whmcs_busy", "provisioned "}; !slices.Equal(told, want) {
			t.Errorf("told %v, want %v", told, want)
		}
	})
}

// P2: WHMCS answers an error although the order was made: a hook's or PHP's, in
// the words of a refusal, or WHMCS's own after a free order (9.0.5). The search
// finds it.
func TestAnErrorAfterTheOrderWasMade(t *testing.T) {
	for _, name := range []string{"commit-then-refuse", "commit-then-refuse-500"} {
		for _, text := range []string{"Access denied for user 'whmcs'@'localhost'", "Invalid IP 203.0.113.9", "Authentication Failed", "Command Not Found", "Expecting parameter invoiceid", "Invoice ID Not Found"} {
			t.Run(name+"/"+text, func(t *testing.T) {
				play(t, options{}, func(r *rig) {
					r.ok(r.whmcs.Fault(whmcstest.Fault{Action: "AddOrder", Fault: name, Message: text}))
					r.order(the)
					r.provisioned(the)
					r.sent("AddOrder", 1)
				})
			})
		}
	}
}

// P13: no order is tried for ever.
func TestEveryOrderEnds(t *testing.T) {
	for _, c := range []struct {
		call string // at which every worker dies
		code fault.Code
	}{
		{"GetProducts", fault.NotProcessable}, {"GetOrders.one", fault.AddOutcomeUnknown}, {"GetModuleQueue", fault.AcceptOutcomeUnknown},
	} {
		t.Run("every worker dies at "+c.call, func(t *testing.T) {
			play(t, options{}, func(r *rig) {
				for n := range 100 {
					r.at(c.call, n+1, func() {
						for _, p := range r.procs {
							p.kill()
						}
					})
				}
				began := time.Now()
				r.order(the)
				r.failed(the, c.code, "20 runs", "ended at")
				if took := time.Since(began); took > 3*time.Hour {
					t.Errorf("it took %s", took)
				}
				r.before = nil
				r.order(the)
				r.provisioned(the)
				r.sent("AddOrder", 1)
				r.sent("AcceptOrder", 1)
			})
		})
	}
	t.Run("an order that the table could not keep", func(t *testing.T) {
		long := strings.Repeat("x", 100_000)
		var lines []salesforcetest.SeedItem
		for range 4 {
			lines = append(lines, salesforcetest.SeedItem{WHMCSProductID: 1, BillingCycle: "Monthly", Quantity: 1, Fields: map[string]any{"WHMCS_Custom_Fields__c": `{"1":"` + long + `"}`}})
		}
		play(t, options{lines: lines, optional: salesforce.Optional{CustomFields: "WHMCS_Custom_Fields__c"}}, func(r *rig) {
			r.order(the)
			r.failed(the, fault.NotProcessable, "256 kB", "391 kB")
			r.sent("AddOrder", 0)
		})
	})
}

// P5: the table has forgotten the order, and nobody in Salesforce knows its
// WHMCS id any more; that something was shown of it is enough to search first.
func TestForgottenIsNotAbsent(t *testing.T) {
	play(t, options{}, func(r *rig) {
		r.order(the)
		r.provisioned(the)
		shown := map[string]any{"Provisioning_Seq__c": int64(r.record(the).Seq)}
		r.mem.Expire(r.record(the).ExpiresAt)
		time.Sleep(100 * 24 * time.Hour)
		r.seed(the, client, shown)
		r.order(the)
		r.provisioned(the)
		r.sent("AddOrder", 1)
	})
}

func TestThePersonsWord(t *testing.T) {
	t.Run("none outlives a send that was refused", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			r.at("GetOrders.one", 1, func() { r.patch(whmcstest.Edit{Status: text("Cancelled")}) })
			r.order(the)
			r.failed(the, fault.WHMCSOrderCancelled)
			r.seed(the, client, map[string]any{"WHMCS_Order_ID__c": r.record(the).WHMCSOrderID})
			time.Sleep(time.Hour)
			r.ok(r.resolve(the, none))
			r.arm(sideWHMCS, "AddOrder", "forbidden-ip")
			r.recover()
			r.provisioned(the)
			r.sent("AddOrder", 3)
		})
	})
	t.Run("an adopted order needs no marker, however many AddOrder were sent", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			r.arm(sideWHMCS, "AddOrder", "drop-before")
			r.arm(sideWHMCS, "AddOrder", whmcstest.MarkerLost)
			r.order(the)
			r.failed(the, fault.WHMCSOrderAmbiguous)
			r.ok(r.resolve(the, adopt(r.whmcs.Orders()[0].ID)))
			r.recover()
			r.provisioned(the)
			r.sent("AddOrder", 2)
		})
	})
	t.Run("adopted beside a live order of ours: not provisioned before one is cancelled", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			r.arm(sideWHMCS, "AddOrder", whmcstest.HalfAdded)
			r.order(the)
			r.failed(the, fault.WHMCSOrderMismatch)
			half := r.whmcs.Orders()[0].ID
			r.broken = true // by the person, who let both live
			r.ok(r.resolve(the, adopt(r.byHand())))
			r.recover()
			r.failed(the, fault.WHMCSOrderAmbiguous, fmt.Sprint(half))
			r.whmcs.Books().Patch(half, whmcstest.Edit{Status: text("Cancelled")})
			r.order(the)
			rec := r.record(the)
			if rec.State != order.Provisioned || rec.WHMCSOrderID == fmt.Sprint(half) {
				t.Errorf("%s as WHMCS order %s", rec.State, rec.WHMCSOrderID)
			}
			r.sent("AddOrder", 1)
			r.mem.Expire(rec.ExpiresAt) // the books know it under another marker
		})
	})
	t.Run("none, said by mistake of an order that lives and has lost its marker: it beats the word", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			r.unmarked()
			lost := r.whmcs.Orders()[0].ID
			r.ok(r.resolve(the, none))
			r.recover()
			r.failed(the, fault.WHMCSOrderAmbiguous, fmt.Sprint(lost), "although it was said")
			r.sent("AddOrder", 1)
			r.whmcs.Books().Patch(lost, whmcstest.Edit{Status: text("Cancelled")})
			r.order(the)
			r.provisioned(the)
			r.sent("AddOrder", 2)
		})
	})
	t.Run("none, said by mistake of an order whose module may have run: a person is asked again, no module runs twice", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			r.arm(sideWHMCS, "AcceptOrder", "drop-before")
			r.order(the)
			r.failed(the, fault.AcceptOutcomeUnknown)
			r.ok(r.resolve(the, none))
			r.recover()
			r.failed(the, fault.AcceptOutcomeUnknown)
			r.sent("AddOrder", 1)
			r.sent("AcceptOrder", 1)
		})
	})
	t.Run("none after marker_not_kept, and Salesforce still shows the dead unmarked id", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			r.unmarked()
			lost := r.patch(whmcstest.Edit{Status: text("Cancelled")})
			r.seed(the, client, map[string]any{"WHMCS_Order_ID__c": fmt.Sprint(lost)})
			r.ok(r.resolve(the, none))
			r.recover()
			r.provisioned(the)
			r.sent("AddOrder", 2)
		})
	})
	t.Run("adopt with a typo: another order's marker is refused, and the adoption can be undone", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			r.lose()
			r.click(the)
			r.start("worker", the)
			r.waits()
			lost := r.patch(whmcstest.Edit{Notes: text("called the customer")})
			r.recover()
			r.failed(the, fault.WHMCSOrderAmbiguous)
			r.crowd(1)
			typo := r.whmcs.Orders()[1].ID
			r.ok(r.resolve(the, adopt(typo)))
			r.recover()
			r.failed(the, fault.WHMCSOrderMismatch, fmt.Sprint(typo), "marker of another order")
			r.sent("AcceptOrder", 0)
			r.ok(r.resolve(the, undo))
			r.recover()
			r.failed(the, fault.WHMCSOrderAmbiguous, fmt.Sprint(lost))
			r.ok(r.resolve(the, adopt(lost)))
			r.recover()
			r.provisioned(the)
			r.sent("AddOrder", 1)
			r.sent("AcceptOrder", 1)
		})
	})
	t.Run("adopt of another client's order, only with any-client", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			r.arm(sideWHMCS, "AddOrder", whmcstest.HalfAdded)
			r.order(the)
			r.failed(the, fault.WHMCSOrderMismatch)
			r.patch(whmcstest.Edit{Status: text("Cancelled")})
			other := r.byHandFor(99)
			r.ok(r.resolve(the, adopt(other)))
			r.recover()
			r.failed(the, fault.WHMCSOrderMismatch, "client 99", "client 7")
			r.sent("AcceptOrder", 0)
			r.ok(r.resolve(the, func(s *order.Resolution) { adopt(other)(s); s.AnyClient = true }))
			r.recover()
			r.provisioned(the)
			r.sent("AddOrder", 1)
			r.mem.Expire(r.record(the).ExpiresAt) // the books know it under another marker
		})
	})
	t.Run("an adoption is undone after the order was provisioned by it: its own order is found", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			r.lose()
			r.click(the)
			r.start("worker", the)
			r.waits()
			lost := r.patch(whmcstest.Edit{Notes: text("called the customer")})
			r.recover()
			r.failed(the, fault.WHMCSOrderAmbiguous)
			r.broken = true // by the person, who adopts what is not this order's
			wrong := r.byHand()
			r.whmcs.Books().Patch(lost, whmcstest.Edit{Status: text("Cancelled")})
			r.ok(r.resolve(the, adopt(wrong)))
			r.recover()
			if rec := r.record(the); rec.State != order.Provisioned || rec.WHMCSOrderID != fmt.Sprint(wrong) {
				t.Fatalf("%s as WHMCS order %s", rec.State, rec.WHMCSOrderID)
			}
			r.whmcs.Books().Patch(lost, whmcstest.Edit{Status: text("Pending"), Notes: text(the.Marker())})
			r.ok(r.resolve(the, undo))
			r.recover()
			// AcceptOrder has left for the wrong one; which one it was is not asked.
			r.failed(the, fault.AcceptOutcomeUnknown, fmt.Sprint(lost))
		})
	})
	t.Run("undo is refused where nothing was adopted", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			r.order(the)
			r.provisioned(the)
			if err := r.resolve(the, undo); fault.CodeOf(err) != fault.StateChanged {
				t.Errorf("undone: %v", err)
			}
		})
	})
	t.Run("what Salesforce holds is ours, although the client has changed", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			r.order(the)
			r.provisioned(the)
			held := map[string]any{"WHMCS_Order_ID__c": r.record(the).WHMCSOrderID}
			r.mem.Expire(r.record(the).ExpiresAt)
			time.Sleep(100 * time.Hour)
			r.seed(the, 8, held)
			r.order(the)
			r.provisioned(the)
			r.sent("AddOrder", 1)
		})
	})
	t.Run("what Salesforce holds is ours and dead, and the client has changed", func(t *testing.T) {
		play(t, options{}, func(r *rig) {
			r.order(the)
			r.provisioned(the)
			held := map[string]any{"WHMCS_Order_ID__c": r.record(the).WHMCSOrderID}
			r.mem.Expire(r.record(the).ExpiresAt)
			r.patch(whmcstest.Edit{Status: text("Fraud")})
			time.Sleep(100 * time.Hour)
			r.seed(the, 8, held)
			r.order(the)
			r.failed(the, fault.WHMCSOrderCancelled, "Fraud")
			r.sent("AddOrder", 1)
			r.ok(r.resolve(the, none))
			r.recover()
			r.provisioned(the)
			r.sent("AddOrder", 2)
		})
	})
}
