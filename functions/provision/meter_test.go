package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/provision"
	"orderbridge/shared/store"
	"orderbridge/shared/telemetry"
	"orderbridge/shared/telemetry/telemetrytest"
)

// Each end of a run is counted under its code, and what a person must correct or
// decide under a name of its own, held runs too.
func TestARunIsCountedByItsEnd(t *testing.T) {
	for _, c := range []struct {
		res  provision.Result
		late bool
		want string // metric{code} of value 1, besides the time of the run
	}{
		{res: provision.Result{End: provision.EndProvisioned}, want: "OrdersEnded"},
		{res: provision.Result{End: provision.EndProvisioned}, late: true, want: "OrdersEnded OrdersLate"},
		{res: provision.Result{End: provision.EndFailed, Code: fault.AccountNotMapped}, want: "OrdersEnded OrdersFailed{account_not_mapped}"},
		{res: provision.Result{End: provision.EndFailed, Code: fault.AddOutcomeUnknown}, want: "NeedsAPerson{add_outcome_unknown} OrdersEnded OrdersFailed{add_outcome_unknown}"},
		{res: provision.Result{End: provision.EndFailed, Code: fault.ModuleFailed}, want: "NeedsAPerson{module_failed} OrdersEnded OrdersFailed{module_failed}"},
		{res: provision.Result{End: provision.EndUnreadable, Code: fault.NotProcessable}, want: "RunsBroken{not_processable}"},
		{res: provision.Result{End: provision.EndParked, Code: fault.WHMCSBusy}, want: "RunsParked{whmcs_busy}"},
		{res: provision.Result{End: provision.EndParked, Code: fault.WHMCSIPDenied}, want: "NeedsMending{whmcs_ip_denied} RunsParked{whmcs_ip_denied}"},
		{res: provision.Result{End: provision.EndBlocked, Code: fault.WHMCSCredentials}, want: "NeedsMending{whmcs_credentials_refused} RunsHeld{whmcs_credentials_refused}"},
		{res: provision.Result{End: provision.EndBlocked}, want: "RunsHeld"},
		{res: provision.Result{End: provision.EndLost}, want: "RunsBroken{lease_lost}"},
		{res: provision.Result{End: provision.EndUnstored}, want: "RunsBroken{store_unavailable}"},
		{res: provision.Result{End: provision.EndNotDue}, want: ""},
	} {
		t.Run(fmt.Sprint(c.res.End, " ", c.res.Code, " late ", c.late), func(t *testing.T) {
			h, e, _, _, out := setup(t)
			e.res = c.res
			opened := h.now().Add(-time.Minute)
			if c.late {
				opened = opened.Add(-order.Late)
			}
			e.res.Record = order.Record{ID: ids(t, 1)[0], OpenedAt: opened, CorrelationID: "r-1", Fence: 3, State: order.Waiting}
			if _, err := h.Handle(t.Context(), recorded(t, "sqs.json")); err != nil {
				t.Fatal(err)
			}
			if got := once(t, out.String()); got != c.want {
				t.Errorf("counted %q, want %q", got, c.want)
			}
			if c.want == "" {
				return
			}
			if n := strings.Count(out.String(), "\n"); n != 1 || !strings.Contains(out.String(), `"order_id":"801000000000001AAA","correlation_id":"r-1"`) {
				t.Errorf("%d lines: %s", n, out)
			}
		})
	}
}

// once lists what was counted once, by name and code, in order.
func once(t *testing.T, out string) string {
	t.Helper()
	all, err := telemetrytest.Read(out)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range telemetry.Metrics() {
		if m.Info().Unit != telemetry.Count {
			continue
		}
		// The sum over codes stands before each code of its own.
		var found []string
		for _, s := range all {
			if s.Name != string(m) || s.Sum() != 1 {
				continue
			}
			if code := s.Dimensions["code"]; code != "" {
				found = append(slices.DeleteFunc(found, func(name string) bool { return name == s.Name }), s.Name+"{"+code+"}")
				continue
			}
			found = append(found, s.Name)
		}
		names = append(names, found...)
	}
	return strings.Join(names, " ")
}

// The gauges say each minute how things stand, whatever happened.
func TestATickSaysHowThingsStand(t *testing.T) {
	h, _, d, _, out := setup(t)
	tick := func() {
		t.Helper()
		out.Reset()
		if _, err := h.Handle(t.Context(), recorded(t, "schedule.json")); err != nil {
			t.Fatal(err)
		}
	}
	is := func(name telemetry.Metric, code string, want ...float64) {
		t.Helper()
		got, err := telemetrytest.Values(out.String(), string(name), code)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s{%s} is %v, want %v (%v)", name, code, got, want, err)
		}
	}
	tick()
	is(telemetry.Tick, "", 1)
	for _, m := range telemetry.Metrics() {
		if i := m.Info(); i.State && i.By[0] == "provision" && m != telemetry.Tick && m != telemetry.BreakerOpen {
			is(m, "", 0)
		}
	}
	is(telemetry.BreakerOpen, "whmcs", 0)
	is(telemetry.BreakerOpen, "salesforce", 0)
	is(telemetry.OrdersEnded, "", 0)
	is(telemetry.NeedsMending, "")

	// Held for an hour: the breaker is open, its probe is due, and the order's next
	// try lies ahead.
	now := h.now()
	d.control = order.Control{OpenUntil: now.Add(-time.Second), Why: fault.WHMCSCredentials, Paused: true}
	d.open = []order.Record{
		{ID: ids(t, 1)[0], State: order.Waiting, OpenedAt: now.Add(-time.Hour), DueAt: now.Add(time.Hour)},
		{ID: ids(t, 2)[1], State: order.Queued, OpenedAt: now.Add(-time.Minute), DueAt: now.Add(-time.Minute)},
	}
	d.ended = []store.FailedOrder{{Code: fault.AddOutcomeUnknown}, {Code: fault.OrderEmpty}, {Code: fault.ModuleFailed}}
	tick()
	is(telemetry.Tick, "", 1)
	is(telemetry.BreakerOpen, "whmcs", 1)
	is(telemetry.Paused, "", 1)
	is(telemetry.NeedsMending, "whmcs_credentials_refused", 2) // the fake has one switch for both sides
	is(telemetry.OpenOrders, "", 2)
	is(telemetry.WaitingOrders, "", 1)
	is(telemetry.OldestOpenSeconds, "", 3600)
	is(telemetry.OrdersForAPerson, "", 2)

	// Orders wait for an effect that is not answered, although work goes on.
	d.control = order.Control{Unsure: map[string]order.Doubt{"AddOrder": {InRow: order.UnsureInRow, Until: now.Add(-time.Minute)}}}
	tick()
	is(telemetry.BreakerOpen, "whmcs", 1)
	d.control.Unsure["AddOrder"] = order.Doubt{InRow: order.UnsureInRow, Until: now.Add(-order.Unheld)}
	tick()
	is(telemetry.BreakerOpen, "whmcs", 0)

	// What cannot be read is left out, and the orders get their hints.
	d.openErr, d.control, d.due = errors.New("throttled"), order.Control{}, ids(t, 1)
	tick()
	is(telemetry.OldestOpenSeconds, "")
	is(telemetry.Tick, "", 1)
	is(telemetry.HintsSent, "", 1)

	// A tick that did not do its work is none.
	d.due, d.failed = nil, errors.New("throttled")
	out.Reset()
	if _, err := h.Handle(t.Context(), recorded(t, "schedule.json")); err == nil {
		t.Error("no error")
	}
	is(telemetry.Tick, "")
}
