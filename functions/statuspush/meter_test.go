package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/salesforce/salesforcetest"
	"orderbridge/shared/telemetry"
	"orderbridge/shared/telemetry/telemetrytest"
)

// values are those of a metric since the last time, under the code.
func (w *world) values(name telemetry.Metric, code string) []float64 {
	w.t.Helper()
	got, err := telemetrytest.Values(w.out.String(), string(name), code)
	if err != nil {
		w.t.Fatal(err)
	}
	return got
}

// A push says how long the change took to Salesforce, and, where the change is an
// order's end, how long the order took since its callout; a push that a person asks
// for later does not count as that.
func TestAPushSaysHowLongItTook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.seed(1, 1)
		opened := time.Now()
		time.Sleep(40 * time.Second)
		r := w.order(1, order.Provisioned, func(r *order.Record) {
			r.OpenedAt, r.CorrelationID = opened, "r-1"
			r.History = []order.Entry{{At: time.UnixMilli(int64(r.Seq)), Event: "provisioned", By: order.ByEngine}}
		})
		change := w.event(r)
		time.Sleep(2 * time.Second)
		w.invoke(w.handler, []event{change})
		for name, want := range map[telemetry.Metric][]float64{
			telemetry.StatusPushed: {1}, telemetry.WriteBackLag: {2000}, telemetry.CalloutToShown: {42_000},
		} {
			if got := w.values(name, ""); !slices.Equal(got, want) {
				t.Errorf("%s is %v, want %v", name, got, want)
			}
		}
		if got := w.values(telemetry.SalesforceCalls, "ok"); !slices.Equal(got, []float64{2}) {
			t.Errorf("calls %v", got)
		}
		if s := w.out.String(); strings.Count(s, "\n") != 1 || !strings.Contains(s, `"order_id":"801000000000001AAA","correlation_id":"r-1"`) || !strings.Contains(s, `"SalesforceCallsBy":"token composite"`) {
			t.Errorf("not one line of the order: %s", s)
		}

		time.Sleep(time.Hour)
		r, err := r.Bump(0, time.Now(), order.Entry{At: time.Now(), Event: "pushed", By: "ann"})
		if err != nil {
			t.Fatal(err)
		}
		w.table.Set(r)
		w.invoke(w.handler, []event{w.event(r)})
		if got := w.values(telemetry.CalloutToShown, ""); len(got) != 1 {
			t.Errorf("a later push was taken for the order's end: %v", got)
		}
	})
}

// The line of a batch names each of its orders and its callout.
func TestABatchNamesItsCallouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var batch []event
		for n := range 3 {
			w.seed(n, 1)
			batch = append(batch, w.event(w.order(n, order.Queued, func(r *order.Record) { r.CorrelationID = fmt.Sprintf("r-%d", n) })))
		}
		w.invoke(w.handler, append(batch, batch[0]))
		if s := w.out.String(); !strings.Contains(s, `"order_ids":"801000000000000AAA 801000000000001AAA 801000000000002AAA","correlation_ids":"r-0 r-1 r-2"`) {
			t.Errorf("got %s", s)
		}
	})
}

// The gauges say each minute what Salesforce is not known to show.
func TestEachMinuteSaysWhatIsUnconfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		minute := func() {
			t.Helper()
			if _, err := w.handler.Handle(t.Context(), json.RawMessage(`{"source":"aws.scheduler"}`)); err != nil {
				t.Fatal(err)
			}
		}
		minute()
		w.seed(1, 1)
		w.fault(salesforcetest.Fault{Action: "update", Fault: "row-refused", Times: 100})
		w.invoke(w.handler, []event{w.event(w.order(1, order.Failed, failedBy(fault.OrderEmpty)))})
		time.Sleep(time.Minute)
		minute()
		if got := w.values(telemetry.Tick, ""); !slices.Equal(got, []float64{1, 1}) {
			t.Errorf("ticks %v", got)
		}
		if got := w.values(telemetry.UnconfirmedInSalesforce, ""); !slices.Equal(got, []float64{0, 1}) {
			t.Errorf("unconfirmed %v: %s", got, w.out)
		}
		if got := w.values(telemetry.OldestUnconfirmedSeconds, ""); !slices.Equal(got, []float64{0, 60}) {
			t.Errorf("for %v", got)
		}
		if got := w.values(telemetry.StatusSwept, ""); len(got) != 0 {
			t.Errorf("sweeps that had nothing to push were counted: %v", got)
		}
	})
}
