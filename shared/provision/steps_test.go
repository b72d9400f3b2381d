package provision_test

import (
	"slices"
	"testing"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/provision/provisiontest"
)

// image is one write as the table's stream would show it.
type image struct {
	order.Record
	at time.Time
}

// histories are the writes of simulated orders, one list an order.
func histories(t *testing.T, seeds uint64) (all [][]image) {
	t.Helper()
	for seed := range seeds {
		w := newWorld(seed+1, simOptions{orders: ordersPerRun, storm: seed%2 == 0})
		of := map[order.ID][]image{}
		w.mem.Wrote = func(to order.Record) { of[to.ID] = append(of[to.ID], image{to, w.now}) }
		w.start()
		w.run()
		for _, id := range w.ids {
			all = append(all, of[id])
		}
	}
	return all
}

// saw returns the error of the first write that is no step.
func saw(history []image) error {
	steps := provisiontest.NewSteps()
	for _, i := range history {
		if err := steps.Saw(i.Record, i.at); err != nil {
			return err
		}
	}
	return nil
}

// Each of these is a write that a careless change of the engine, or of the
// store, could make. The histories are of real runs; in each that has a place
// for it, one write is changed, and the checker must say so at once.
var wrongSteps = map[string]func(from, to *order.Record) bool{
	"a stamp left out before AddOrder": func(from, to *order.Record) bool {
		return stamped(from.Add, to.Add) && set(&to.Add, from.Add)
	},
	"a window that does not move": func(from, to *order.Record) bool {
		return stamped(from.Accept, to.Accept) && set(&to.Accept.Until, from.Accept.Until)
	},
	"a stamp that forgets when its effect has ended": func(from, to *order.Record) bool {
		return stamped(from.Add, to.Add) && set(&to.Add.SettledAt, time.Time{})
	},
	"a settled time before the window's end": func(from, to *order.Record) bool {
		return stamped(from.Accept, to.Accept) && set(&to.Accept.SettledAt, to.Accept.Until.Add(-time.Second))
	},
	"adds lowered after an unsure answer": func(from, to *order.Record) bool {
		return from.State == order.Waiting && from.Add.Count > 0 && set(&to.Add.Count, from.Add.Count-1)
	},
	"accepts lowered later than directly after the stamp": func(from, to *order.Record) bool {
		return from.State == order.Waiting && from.Accept.Count > 0 && set(&to.Accept.Count, from.Accept.Count-1)
	},
	"a window dropped before its effect has ended": func(from, to *order.Record) bool {
		return to.State == order.Working && from.State == order.Waiting && from.Add.SettledAt.After(to.UpdatedAt.Add(time.Minute)) && set(&to.Add, order.Sent{Count: to.Add.Count})
	},
	"a fence set back": func(from, to *order.Record) bool {
		return to.Fence == from.Fence+1 && from.Fence > 0 && set(&to.Fence, from.Fence)
	},
	"a lease without a fence": func(from, to *order.Record) bool {
		return to.Fence == from.Fence && to.State == order.Working && set(&to.Lease, "another")
	},
	"a lease without a try": func(from, to *order.Record) bool {
		return to.Fence == from.Fence+1 && set(&to.Attempts, from.Attempts)
	},
	"a lease that will not come due again": func(from, to *order.Record) bool {
		return to.Fence == from.Fence+1 && set(&to.DueAt, time.Time{})
	},
	"seq set back": func(from, to *order.Record) bool {
		return from.Seq > 0 && to.Signal.Visible() && set(&to.Seq, from.Seq-1)
	},
	"a change that Salesforce is not told": func(from, to *order.Record) bool {
		return to.State == order.Failed && from.State != order.Failed && set(&to.Signal, order.SignalNote) && set(&to.Seq, from.Seq)
	},
	"a version skipped": func(from, to *order.Record) bool { return from.Version > 2 && set(&to.Version, to.Version+1) },
	"provisioned without a line's services": func(_, to *order.Record) bool {
		return to.State == order.Provisioned && set(&to.ServiceIDs, map[string][]string{"a": {"1001"}})
	},
	"provisioned without a WHMCS order": func(from, to *order.Record) bool {
		return to.State == order.Provisioned && from.State == order.Working && set(&to.WHMCSOrderID, "")
	},
	"provisioned as another WHMCS order": func(from, to *order.Record) bool {
		return to.State == order.Provisioned && from.State == order.Working && from.WHMCSOrderID != "" && from.RecoveryPoint != order.PointAdding && set(&to.WHMCSOrderID, "4711")
	},
	"provisioned at the wrong point": func(from, to *order.Record) bool {
		return to.State == order.Provisioned && from.State == order.Working && set(&to.RecoveryPoint, order.PointAccepting)
	},
	"an unknown outcome that will be forgotten": func(_, to *order.Record) bool {
		return to.State == order.Failed && to.RecoveryPoint != order.PointNone && set(&to.ExpiresAt, to.UpdatedAt.Add(time.Hour))
	},
	"an end that is never forgotten": func(from, to *order.Record) bool {
		return to.State == order.Provisioned && from.State == order.Working && set(&to.ExpiresAt, time.Time{})
	},
	"a plain code past none": func(from, to *order.Record) bool {
		return to.State == order.Failed && from.State == order.Working && to.RecoveryPoint == order.PointAccepting && set(&to.ErrorCode, fault.RetriesExhausted)
	},
	"a failure without a text": func(from, to *order.Record) bool {
		return to.State == order.Failed && from.State == order.Working && set(&to.ErrorMessage, "")
	},
	"a failure that keeps the consent": func(from, to *order.Record) bool {
		return to.State == order.Failed && from.State == order.Working && set(&to.Word, order.WordRerun)
	},
	"a plan changed after the send": func(from, to *order.Record) bool {
		if from.Plan == nil || from.RecoveryPoint == order.PointNone || to.State != order.Waiting || to.RecoveryPoint == order.PointNone {
			return false
		}
		plan := *from.Plan
		plan.ClientID++
		return set(&to.Plan, &plan)
	},
	"a point that jumps": func(from, to *order.Record) bool {
		return from.RecoveryPoint == order.PointNone && to.State == order.Waiting && set(&to.RecoveryPoint, order.PointAdded) && set(&to.WHMCSOrderID, "77")
	},
	"a point that falls back": func(from, to *order.Record) bool {
		return from.RecoveryPoint == order.PointAccepting && to.State == order.Working && to.Fence > from.Fence && set(&to.RecoveryPoint, order.PointAdded)
	},
	"a consent that is not used up": func(from, to *order.Record) bool {
		return stamped(from.Accept, to.Accept) && from.Word.Rerun() && set(&to.Word, from.Word)
	},
	"a live nonce forgotten": func(from, to *order.Record) bool {
		for n, v := range from.Nonces {
			if len(from.Nonces) == 1 && len(to.Nonces) == 2 && v.Expiry.After(to.History[len(to.History)-1].At.Add(time.Minute)) {
				delete(to.Nonces, n)
				return true
			}
		}
		return false
	},
	"a nonce written by a worker": func(from, to *order.Record) bool {
		if from.State != order.Working || to.State != order.Working || len(from.Nonces) != len(to.Nonces) {
			return false
		}
		to.Nonces["stray"] = order.Nonce{Expiry: to.UpdatedAt.Add(time.Hour), By: "stray"}
		return true
	},
	"reopened by a key that was seen": func(from, to *order.Record) bool {
		return from.State == order.Failed && to.State == order.Queued && set(&to.Keys, from.Keys)
	},
	"a line of the history lost": func(from, to *order.Record) bool {
		return len(from.History) > 2 && set(&to.History, slices.Delete(slices.Clone(to.History), 1, 2))
	},
	"an open order that is never due": func(_, to *order.Record) bool {
		return to.State == order.Waiting && set(&to.DueAt, time.Time{})
	},
	"a park that costs two tries": func(from, to *order.Record) bool {
		return to.State == order.Waiting && from.State == order.Working && set(&to.Attempts, from.Attempts+1)
	},
}

func stamped(from, to order.Sent) bool { return to.Count == from.Count+1 }

func set[T any](field *T, v T) bool { *field = v; return true }

func TestEachWrongStepIsFound(t *testing.T) {
	all := histories(t, 120)
	for _, h := range all {
		if err := saw(h); err != nil {
			t.Fatalf("a history of a real run: %v", err)
		}
	}
	for name, plant := range wrongSteps {
		t.Run(name, func(t *testing.T) {
			planted := 0
			for _, h := range all {
				for i := 1; i < len(h); i++ {
					from, to := h[i-1].Record.Normal(), h[i].Record.Normal()
					if !plant(&from, &to) {
						continue
					}
					planted++
					if saw(append(slices.Clone(h[:i]), image{to, h[i].at})) == nil {
						t.Fatalf("not found: %s %s to %s %s, version %d", from.State, from.RecoveryPoint, to.State, to.RecoveryPoint, to.Version)
					}
					break
				}
			}
			if planted == 0 {
				t.Error("no history has a place for it")
			}
		})
	}
	t.Logf("%d wrong steps, %d histories", len(wrongSteps), len(all))
}
