package main

import (
	"testing"
	"testing/synctest"

	"orderbridge/shared/order"
)

// TestTenThousandChangesCostFewCalls counts at the simulator what ten batches
// of a thousand records cost of the org's API limit: 2,000 rows (an order and
// its one line) are 2 calls, 4,000 rows (three lines) are 4.
func TestTenThousandChangesCostFewCalls(t *testing.T) {
	for name, c := range map[string]struct {
		lines, calls int /* of one batch */
	}{
		"one line":    {1, 2},
		"three lines": {3, 4},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				const size = 1000
				for b := range batches {
					batch := make([]event, size)
					for i := range batch {
						n := b*size + i
						services := map[string][]string{}
						for _, item := range w.seed(n, c.lines) {
							services[item] = []string{item[3:15]}
						}
						rec := w.order(n, order.Provisioned, func(r *order.Record) { r.ServiceIDs = services })
						batch[i] = w.event(rec)
					}
					if failures := w.invoke(w.handler, batch); len(failures) > 0 {
						t.Fatalf("reported %d", len(failures))
					}
				}
				for _, rec := range w.table.Records() {
					w.shows(rec)
				}
				t.Logf("%d changes: %d API calls, %d login", batches*size, w.sim.APICalls(), w.sim.Logins())
				if n := w.sim.APICalls(); n != c.calls*batches {
					t.Errorf("%d API calls, want %d", n, c.calls*batches)
				}
				if n := w.sim.Logins(); n != 1 {
					t.Errorf("%d logins, want 1", n)
				}
			})
		})
	}
}
