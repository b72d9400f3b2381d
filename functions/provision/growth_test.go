package main_test

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/salesforce/salesforcetest"
	"orderbridge/shared/whmcs"
	"orderbridge/shared/whmcs/whmcstest"
)

// ordered seeds and clicks n orders of a client for one product.
func (r *rig) ordered(first, n int, whmcsClient, product int64) []order.ID {
	r.Helper()
	var ids []order.ID
	for i := range n {
		id := mustID(fmt.Sprintf("801%012d", first+i))
		r.ok(r.sf.PutOrder(id.String(), salesforcetest.Seed{AccountID: "001000000000001AAA", WHMCSClientID: whmcsClient,
			Items: []salesforcetest.SeedItem{{WHMCSProductID: product, BillingCycle: "Monthly", Quantity: 1}}}))
		r.click(id)
		ids = append(ids, id)
	}
	return ids
}

// work lets workers take the hints one after the other, as the queue gives them.
func (r *rig) work(workers int, hints []order.ID) {
	var mu sync.Mutex
	var wait sync.WaitGroup
	for range workers {
		wait.Go(func() {
			for {
				mu.Lock()
				if len(hints) == 0 {
					mu.Unlock()
					return
				}
				id := hints[0]
				hints = hints[1:]
				mu.Unlock()
				r.run("worker", id)
			}
		})
	}
	wait.Wait()
}

// Half of all orders have a module that answers after five minutes; the others
// do not wait for it.
func TestHangingModulesDoNotHoldUpOtherOrders(t *testing.T) {
	const each = 30
	for name, pattern := range map[string]func(bad, good []order.ID) []order.ID{
		"in turn": func(bad, good []order.ID) (all []order.ID) {
			for i := range bad {
				all = append(all, bad[i], good[i])
			}
			return all
		},
		"those that hang first": func(bad, good []order.ID) []order.ID { return append(bad, good...) },
	} {
		t.Run(name, func(t *testing.T) {
			play(t, options{}, func(r *rig) {
				bad := r.ordered(100, each, 8, 2)
				good := r.ordered(200, each, client, 1)
				r.ok(r.whmcs.Fault(whmcstest.Fault{Action: "AcceptOrder", Fault: "slow", Match: "8", Times: 1000, Delay: 5 * time.Minute}))
				began := time.Now()
				r.work(2, pattern(bad, good))
				for !r.allProvisioned(good) && time.Since(began) < 2*time.Hour {
					time.Sleep(time.Minute)
					r.sweep("worker")
				}
				took := time.Since(began)
				t.Logf("the last of the %d other orders was provisioned after %s", each, took.Round(time.Second))
				// Two full waits at once, then 20 s each for two workers, and the ticks.
				if most := 2*time.Minute + each*20*time.Second/2 + 3*time.Minute; took > most {
					t.Errorf("more than %s", most)
				}
				r.recover()
				if !r.allProvisioned(bad) {
					t.Error("the orders whose module hung are not provisioned in the end")
				}
			})
		})
	}
}

func (r *rig) allProvisioned(ids []order.ID) bool {
	for _, id := range ids {
		if r.record(id).State != order.Provisioned {
			return false
		}
	}
	return true
}

// shop makes n orders of a client directly in the books, as a shop beside us
// does: without a marker.
func (r *rig) shop(whmcsClient int64, n int) {
	form := whmcstest.Form{{Name: "clientid", Value: fmt.Sprint(whmcsClient)}, {Name: "paymentmethod", Value: "mailin"}, {Name: "pid[0]", Value: "9"}}
	for range n {
		r.whmcs.Books().Begin("AddOrder", form).Finish(whmcstest.Twist{})
	}
}

// reads counts the calls of WHMCS that are no effect, since the n-th.
func (r *rig) reads(from int) (n int) {
	for _, c := range r.whmcs.Journal()[from:] {
		if c.Action != "AddOrder" && c.Action != "AcceptOrder" {
			n++
		}
	}
	return n
}

// The work of an order does not grow with WHMCS: 100,000 orders in it, 10,000
// services of the client, and 20 orders of that client, of which one loses its
// AddOrder's reply.
func TestWorkPerOrderDoesNotGrowWithWHMCS(t *testing.T) {
	type figures struct{ straight, lost, memory int }
	measure := func(t *testing.T, orders, services int, o options) (f figures) {
		play(t, o, func(r *rig) {
			r.shop(9, (orders-services)/2)
			r.shop(client, services)
			r.shop(9, (orders-services)/2)
			time.Sleep(48 * time.Hour)
			ids := r.ordered(100, 20, client, 1)
			from := len(r.whmcs.Journal())
			r.work(1, ids[:19])
			f.straight = (r.reads(from) + 18) / 19
			if !r.allProvisioned(ids[:19]) {
				t.Error("not provisioned")
			}
			r.lose()
			r.work(1, ids[19:])
			r.shop(9, 30) // the shop goes on
			from = len(r.whmcs.Journal())
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			r.recover()
			runtime.ReadMemStats(&after)
			f.lost, f.memory = r.reads(from), int(after.TotalAlloc-before.TotalAlloc)
			r.provisioned(ids[19])
			r.sent("AddOrder", 20)
		})
		return f
	}
	for name, o := range map[string]options{
		"newest first":     {},
		"marker in fields": {whmcs: func(c *whmcs.Config) { c.Marker = "5,6" }, switches: whmcstest.Switches{NotesOff: true}},
	} {
		t.Run(name, func(t *testing.T) {
			small, large := measure(t, 200, 100, o), measure(t, 100_000, 10_000, o)
			t.Logf("reads of an order %d, after a lost reply %d, allocated %d kB; in a small WHMCS %d, %d, %d kB",
				large.straight, large.lost, large.memory/1000, small.straight, small.lost, small.memory/1000)
			if large.straight > small.straight+1 || large.lost > small.lost+10 || large.memory > small.memory+64<<20 {
				t.Error("it grows")
			}
		})
	}
}

// A shop order of the same client from before the first AddOrder is no suspect:
// its id is lower than what ours can have.
func TestAnOlderShopOrderIsNoSuspect(t *testing.T) {
	play(t, options{}, func(r *rig) {
		r.shop(client, 1)
		time.Sleep(time.Minute)
		r.ok(r.whmcs.Fault(whmcstest.Fault{Action: "AddOrder", Fault: "drop-before"}))
		r.order(the)
		r.provisioned(the)
		r.sent("AddOrder", 2)
	})
	// One that came since is.
	play(t, options{}, func(r *rig) {
		r.ok(r.whmcs.Fault(whmcstest.Fault{Action: "AddOrder", Fault: "drop-before"}))
		r.click(the)
		r.start("worker", the)
		r.waits()
		r.shop(client, 1)
		r.recover()
		r.failed(the, fault.WHMCSOrderAmbiguous)
	})
}

// A list that does not fall is read whole, twice: one that rises over several
// runs, one without an order by one lease each; where that is too long a person
// is asked.
func TestAListThatDoesNotFallIsReadWhole(t *testing.T) {
	for _, c := range []struct {
		listOrder string
		page      time.Duration
		code      fault.Code
	}{
		{"asc", time.Second, ""},
		{"asc", 20 * time.Second, ""}, // 1,000 s a listing, 600 s an invocation
		{"mixed", time.Second, ""},
		{"mixed", 20 * time.Second, fault.AddOutcomeUnknown},
	} {
		t.Run(fmt.Sprint(c.listOrder, ", a page takes ", c.page), func(t *testing.T) {
			play(t, options{switches: whmcstest.Switches{ListOrder: c.listOrder}}, func(r *rig) {
				r.shop(9, 5_000)
				r.ok(r.whmcs.Fault(whmcstest.Fault{Action: "GetOrders", Fault: "slow", Delay: c.page, Times: 100_000}))
				r.ok(r.whmcs.Fault(whmcstest.Fault{Action: "AddOrder", Fault: "drop-before"}))
				r.order(the)
				if c.code != "" {
					r.failed(the, c.code, "changed each time")
					return
				}
				r.provisioned(the)
				r.sent("AddOrder", 2)
			})
		})
	}
}
