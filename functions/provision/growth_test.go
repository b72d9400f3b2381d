package main_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"orderbridge/shared/order"
	"orderbridge/shared/salesforce/salesforcetest"
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
