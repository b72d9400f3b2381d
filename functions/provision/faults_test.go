package main_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/whmcs/whmcstest"
)

// The rows of the fault table that the rig itself makes happen. The others are
// named as the simulators name them.
const (
	faultLostBefore       = "lost before"
	faultReplyLost        = "reply lost"
	faultSecondReplyLost  = "second reply lost"
	faultDoneLate         = "done late"
	faultRefusedRetryable = "refused retryable"
	faultFrozen           = "frozen "
	faultCrashBefore      = "crash before"
	faultCrashAfter       = "crash after"
	faultCrashDoneLate    = "crash, done late" // the work goes on without the worker
)

// row is one way for a call to go wrong.
type row struct {
	name string
	// fault is what the rig or the simulator is told; "" where set does it all.
	fault string
	// before arms what one fault at one call does not say.
	before func(r *rig)
	// code is that of a refusal that ends the order.
	code fault.Code
	// variant: another face of a row that has met everybody; it is met alone.
	variant bool
	// correct is what a person does about it before the next click.
	correct func(r *rig)
	// none says why there is no such row.
	none string
}

// rows returns the whole column of one call: every fault of the table, or the
// reason why it cannot be.
func rows(call string) []row {
	switch {
	case call == "ResetUnsure", call == "ResetFaults":
		return append(common(faultLostBefore, faultReplyLost, faultDoneLate, ""),
			row{name: "second reply lost", none: "it is not tried again: the next answer resets the count"},
			row{name: "refused retryable", none: "it is not tried again: the next answer resets the count"},
			row{name: "refused permanent", none: "the table refuses a write by its condition alone, and the switch is then read again"},
			row{name: "config error", none: "access to the table is granted by the template; without it no lease is taken at all, as when it is away"},
			row{name: "garbage reply", none: "the SDK checks what the table answers; what it cannot read is a reply lost"},
		)
	case call == "Lease", strings.HasPrefix(call, "Write"), strings.HasPrefix(call, "Control"), strings.HasSuffix(call, "Breaker"), strings.HasSuffix(call, "Fault"), strings.HasSuffix(call, "Faults"), strings.HasSuffix(call, "Unsure"), call == "WinProbe", call == "WinCanary", call == "NoChange":
		return append(common(faultLostBefore, faultReplyLost, faultDoneLate, faultSecondReplyLost),
			row{name: "refused retryable", fault: faultRefusedRetryable},
			row{name: "refused permanent", none: "the table refuses a write by its condition alone: not_due and lease_lost, which the second worker shows"},
			row{name: "config error", none: "access to the table is granted by the template; without it no lease is taken at all, as when it is away"},
			row{name: "garbage reply", none: "the SDK checks what the table answers; what it cannot read is a reply lost"},
		)
	case call == "token":
		return append(common("drop-before", "commit-then-drop", "commit-after-timeout", ""),
			row{name: "second reply lost", fault: "commit-then-drop", before: twice("token", "commit-then-drop")},
			row{name: "refused retryable", fault: "http-500"},
			row{name: "refused permanent", none: "a login concerns no order: it is refused for all, as a config error"},
			row{name: "config error/bad-credentials", fault: "bad-credentials"},
			row{name: "config error/forbidden-ip", fault: "forbidden-ip"},
			row{name: "garbage reply/blank", fault: "blank-200"},
			row{name: "garbage reply/html", fault: "html-503"},
		)
	case call == "query":
		return append(common("drop-before", "commit-then-drop", "commit-after-timeout", ""),
			row{name: "second reply lost", fault: "commit-then-drop", before: twice("query", "commit-then-drop")},
			row{name: "refused retryable/limit", fault: "limit-exceeded"},
			row{name: "refused retryable/session", fault: "session-expired"},
			row{name: "refused permanent", fault: "slow", before: func(r *rig) { r.seed(the, nil) }, code: fault.AccountNotMapped, correct: func(r *rig) { r.seed(the, client) }},
			row{name: "config error", fault: "role-denied"},
			row{name: "garbage reply/blank", fault: "blank-200"},
			row{name: "garbage reply/html", fault: "html-503"},
		)
	}
	action, _, _ := strings.Cut(call, ".")
	all := append(common("drop-before", "commit-then-drop", "commit-after-timeout", ""),
		row{name: "second reply lost", fault: "commit-then-drop", before: twice(action, "commit-then-drop")},
		row{name: "config error/ip", fault: "forbidden-ip"},
		row{name: "config error/credentials", fault: "bad-credentials", variant: true},
		row{name: "config error/role", fault: "role-denied", variant: true},
	)
	for i, f := range []string{"garbage-200", "blank-200", "warning-only", "html-503", "http-500", "commit-502", "drop-after-bytes", "notice-prefix"} {
		all = append(all, row{name: "garbage reply/" + f, fault: f, variant: i > 0})
	}
	if call == "AddOrder" {
		all = append(all, row{name: "garbage reply/no-id", fault: "no-id"}, row{name: "garbage reply/half-added", fault: whmcstest.HalfAdded, code: fault.WHMCSOrderMismatch},
			row{name: "garbage reply/marker-lost", fault: whmcstest.MarkerLost, code: fault.WHMCSOrderAmbiguous})
	}
	switch call {
	case "AddOrder", "AcceptOrder":
		all = append(all, row{name: "refused retryable", fault: faultRefusedRetryable}, row{name: "crash, done late", fault: faultCrashDoneLate})
	default:
		all = append(all, row{name: "refused retryable", fault: "http-429"})
	}
	permanent := row{name: "refused permanent", none: "WHMCS documents no refusal of this call that concerns one order"}
	switch call {
	case "GetClientsDetails":
		permanent = row{fault: "error-text:Client Not Found", code: fault.WHMCSClientNotFound}
	case "GetProducts":
		permanent = row{fault: "slow", code: fault.ProductNotMapped,
			before:  func(r *rig) { r.whmcs.SetProduct(1, whmcstest.Product{Missing: true}) },
			correct: func(r *rig) { r.whmcs.SetProduct(1, whmcstest.Product{Name: "Hosting", Module: "cpanel"}) }}
	case "GetOrders.one":
		permanent = row{fault: "error-text:Order ID Not Found", code: fault.WHMCSOrderCancelled}
	case "GetClientsProducts":
		permanent = row{fault: "error-text:Client ID Not Found", code: fault.WHMCSClientNotFound}
	case "AddOrder":
		permanent = row{fault: "error-text:Invalid Payment Method", code: fault.WHMCSRejected}
	case "AcceptOrder":
		permanent = row{fault: whmcstest.ModuleFailPending, code: fault.ModuleFailed}
	}
	permanent.name = "refused permanent"
	return append(all, permanent)
}

// common are the rows that every call has.
func common(lost, replyLost, late, second string) []row {
	all := []row{
		{name: "lost before", fault: lost},
		{name: "reply lost", fault: replyLost},
		{name: "done late", fault: late},
		{name: "frozen 20s", fault: faultFrozen + "20s"},
		{name: "frozen 200s", fault: faultFrozen + "200s"},
		{name: "crash before", fault: faultCrashBefore},
		{name: "crash after", fault: faultCrashAfter},
	}
	if second != "" {
		all = append(all, row{name: "second reply lost", fault: second})
	}
	return all
}

// twice arms the same fault for the call after the one that meets it.
func twice(action, fault string) func(*rig) {
	return func(r *rig) {
		side := sideWHMCS
		if action == "token" || action == "query" {
			side = sideSF
		}
		r.arm(side, action, fault)
	}
}

// companions are those who come at once.
var companions = []string{"alone", "second worker", "sweep", "click"}

// scenarios are the ways on which faults are met. What is armed beforehand
// leads the order past a look, a second AddOrder, or a settled AcceptOrder.
var scenarios = []struct {
	name string
	arm  func(r *rig)
	from string     // faults are met after the first call of this name
	only []string   // faults are met at these calls alone; nil = at all
	code fault.Code // with which the path ends; "" = provisioned
}{
	{name: "straight", arm: func(*rig) {}},
	{name: "found", arm: func(r *rig) { r.arm(sideWHMCS, "AddOrder", "commit-then-drop") }, from: "AddOrder"},
	{name: "resent", arm: func(r *rig) { r.arm(sideWHMCS, "AddOrder", "drop-before") }, from: "AddOrder"},
	{name: "settled", arm: func(r *rig) { r.arm(sideWHMCS, "AcceptOrder", "commit-then-drop") }, from: "AcceptOrder"},
	{
		name: "breaker", arm: func(r *rig) { r.arm(sideWHMCS, "GetClientsDetails", "forbidden-ip") }, from: "query",
		only: []string{"OpenBreaker", "Write.waiting", "WinProbe", "WhmcsDetails", "CloseBreaker"},
	},
	{
		name: "canary", arm: func(r *rig) { r.unanswered("AddOrder") }, from: "query",
		only: []string{"WinCanary", "AddOrder", "ResetUnsure"},
	},
	{
		name: "refused", arm: func(r *rig) { r.arm(sideWHMCS, "AcceptOrder", whmcstest.ModuleFailPending) }, from: "AcceptOrder",
		only: []string{"Write.failed"}, code: fault.ModuleFailed,
	},
	{
		// The table has forgotten the order; Salesforce and WHMCS have not.
		name: "reborn", arm: func(r *rig) {
			r.order(the)
			r.seed(the, client, map[string]any{"WHMCS_Order_ID__c": r.record(the).WHMCSOrderID})
			r.mem.Expire(r.record(the).ExpiresAt)
			r.calls = nil
		},
		only: []string{"Write.look_first", "GetOrders.one", "GetOrders.client", "GetClientsProducts", "Write.adopted", "Write.provisioned"},
	},
}

func isRead(call string) bool {
	return strings.HasPrefix(call, "Get") || strings.HasPrefix(call, "Control")
}

// path returns the calls of a scenario in which nothing else goes wrong.
func path(t *testing.T, scenario int) (calls []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, options{})
		defer r.close()
		scenarios[scenario].arm(r)
		r.click(the)
		r.run("worker", the)
		r.recover()
		r.judge(the)
		if rec := r.record(the); rec.State.Open() || rec.ErrorCode != scenarios[scenario].code {
			t.Errorf("the path ends %s %s", rec.State, rec.ErrorCode)
		}
		calls = r.calls
	})
	return calls
}

// Every fault at every call of an order, each alone and with everybody who may
// come at once. (A read that an earlier scenario makes too is the same read, and
// meets its faults alone.) After each, recovery runs until nothing is due; then the
// invariants must hold and the order must have ended as the fault demands.
// One case alone:
//
//	go test ./functions/provision -run 'TestFaults/straight/AddOrder#1/reply_lost/second_worker'
func TestFaults(t *testing.T) {
	cases := 0
	met := map[string]string{} // by call, the scenario in which it meets everybody
	for s, scenario := range scenarios {
		calls := path(t, s)
		first := 0
		if scenario.from != "" {
			first = slices.Index(calls, scenario.from) + 1
		}
		seen := map[string]int{}
		for site, call := range calls {
			seen[call]++
			if site < first || scenario.only != nil && !slices.Contains(scenario.only, call) {
				continue
			}
			if met[call] == "" {
				met[call] = scenario.name
			}
			again := isRead(call) && met[call] != scenario.name
			next := ""
			if site+1 < len(calls) {
				next = calls[site+1]
			}
			for _, row := range rows(call) {
				if row.none != "" {
					continue
				}
				for _, companion := range companions {
					if companion != "alone" && (row.variant || again) {
						continue
					}
					cases++
					name := fmt.Sprintf("%s/%s#%d/%s/%s", scenario.name, call, seen[call], row.name, companion)
					t.Run(name, func(t *testing.T) {
						t.Parallel()
						synctest.Test(t, func(t *testing.T) {
							r := newRig(t, options{})
							defer r.close()
							scenario.arm(r)
							r.suffer(site, row, companion)
							r.judge(the)
							r.end(want(scenario.code, call, next, row, companion)...)
						})
					})
				}
			}
		}
	}
	t.Logf("%d cases", cases)
}

// Every call has every row of the table: met, or with the reason why it cannot be.
func TestFaultTableIsComplete(t *testing.T) {
	names := []string{
		"lost before", "reply lost", "done late", "refused retryable", "refused permanent", "config error", "garbage reply",
		"second reply lost", "frozen", "crash before", "crash after",
	}
	calls := path(t, 0)
	r := &rig{}
	if !slices.Equal(calls, r.straight()) {
		t.Errorf("the path is %v", calls)
	}
	for s := range scenarios {
		calls = append(calls, path(t, s)...)
	}
	slices.Sort(calls)
	for _, call := range slices.Compact(calls) {
		for _, name := range names {
			at := slices.IndexFunc(rows(call), func(w row) bool { return strings.HasPrefix(w.name, name) })
			if at < 0 {
				t.Errorf("%s has no row %s", call, name)
				continue
			}
			if w := rows(call)[at]; w.none == "" == (w.fault == "") {
				t.Errorf("%s/%s: neither a fault nor a reason", call, name)
			} else if w.none != "" {
				t.Logf("%s/%s cannot be: %s", call, name, w.none)
			}
		}
	}
}

// want returns how an order may end that met a fault at a call; usual is how it
// ends without, next the call that follows. What is not named here ends
// provisioned.
func want(usual fault.Code, call, next string, w row, companion string) []fault.Code {
	unknown := []fault.Code{fault.AcceptOutcomeUnknown}
	switch {
	case call == "AcceptOrder" && slices.Contains([]string{
		"lost before", "crash before", "frozen 200s", "garbage reply/blank-200", "garbage reply/warning-only",
		"garbage reply/garbage-200", "garbage reply/html-503", "garbage reply/http-500",
	}, w.name):
		// Not executed, which only WHMCS can know: the order still reads
		// Pending, and the module may have run. A click looks again.
		return unknown
	case call == "Write.accept_sending" && w.name == "crash after":
		return unknown // it may have been sent
	case call == "Control.whmcs" && next == "AcceptOrder" && slices.Contains([]string{
		"crash before", "crash after", "frozen 200s", "refused retryable",
	}, w.name):
		return unknown // announced, and the table does not hear that it was not sent
	case w.fault == whmcstest.HalfAdded, w.fault == whmcstest.MarkerLost:
		return []fault.Code{w.code} // until a person corrects the order
	case call == "Write.failed" && slices.Contains([]string{"crash before", "frozen 200s", "refused retryable"}, w.name):
		return unknown // the module said no, and the table does not hear of it
	case companion == "click":
		return nil
	case w.code == "" && usual != "":
		return []fault.Code{usual}
	case w.code == "":
		return nil
	case call == "GetClientsProducts": // the review code of the point
		return []fault.Code{fault.AddOutcomeUnknown, fault.WHMCSOrderMismatch, fault.AcceptOutcomeUnknown, fault.NotVerified}
	case call == "GetOrders.one": // of what Salesforce holds, where it is not known to be ours
		return []fault.Code{w.code, fault.WHMCSIDForeign}
	}
	return []fault.Code{w.code}
}

// end wants the order to have failed with one of these codes; none: to be
// provisioned.
func (r *rig) end(codes ...fault.Code) {
	r.Helper()
	rec := r.record(the)
	if len(codes) == 0 && rec.State == order.Provisioned || rec.State == order.Failed && slices.Contains(codes, rec.ErrorCode) {
		return
	}
	r.Errorf("%s %s, want %v\n%s", rec.State, rec.ErrorCode, codes, r.story(the))
}

// suffer brings one order through one fault, with a companion, until nothing is
// due; a companion that clicks clicks again whatever the end.
func (r *rig) suffer(site int, w row, companion string) {
	r.Helper()
	come := func() {
		switch companion {
		case "second worker":
			r.start("second", the)
		case "sweep":
			r.sweep("sweep")
		case "click":
			if r.click(the) == order.Reopened { // the stream's hint
				r.start("hint", the)
			}
		}
	}
	var met atomic.Bool
	r.inject = &injection{site: site, fault: w.fault, fire: func() {
		met.Store(true)
		if w.before != nil {
			w.before(r)
		}
		if companion != "alone" {
			r.running.Go(func() {
				time.Sleep(time.Millisecond) // while the call is under way
				come()
			})
		}
	}}
	var came sync.Once
	r.after = func() {
		if met.Load() { // and when the run that met it has ended
			came.Do(come)
		}
	}
	r.click(the)
	r.start("worker", the)
	r.recover()
	if w.correct != nil {
		w.correct(r)
	}
	if companion == "click" && r.record(the).State == order.Failed {
		r.judge(the)
		come()
		r.recover()
	}
	if !met.Load() {
		r.Errorf("the call was not made")
	}
}
