package whmcs_test

import (
	"strconv"
	"testing"

	"orderbridge/shared/order"
	"orderbridge/shared/provision"
	"orderbridge/shared/provision/provisiontest"
	"orderbridge/shared/whmcs/whmcstest"
)

// The client keeps the rules of the engine's port.
func TestTheClientConforms(t *testing.T) {
	provisiontest.BillingConformance(t, func(t *testing.T) provisiontest.Installation {
		w := newWorld(t, nil, func(o *whmcstest.Options) { o.Fail = func(string, ...any) {} })
		return installation{w.Client, w.sim, t}
	})
}

// installation arranges the simulator for the rules.
type installation struct {
	provision.Billing
	sim *whmcstest.Server
	t   *testing.T
}

func (i installation) fault(f whmcstest.Fault) {
	i.t.Helper()
	if err := i.sim.Fault(f); err != nil {
		i.t.Fatal(err)
	}
}

func (i installation) PutClient(id int64, closed bool) {
	i.sim.SetClient(id, whmcstest.Client{Status: map[bool]string{true: "Closed", false: "Active"}[closed], PayMethods: 1})
}

func (i installation) PutProduct(id int64, rule order.QuantityRule) {
	i.sim.SetProduct(id, whmcstest.Product{Name: "Web Hosting S", AllowQty: int(rule), Module: "cpanel"})
}

func (i installation) Lose(effect string, done bool) {
	i.t.Helper()
	i.fault(whmcstest.Fault{Action: effect, Fault: map[bool]string{true: "commit-then-drop", false: "drop-before"}[done]})
}

func (i installation) FailModule(text string, queued bool) {
	i.t.Helper()
	i.fault(whmcstest.Fault{Action: "AcceptOrder", Fault: map[bool]string{true: "module-fail-active", false: "module-fail-pending"}[queued], Message: text})
}

func (i installation) Refuse(refuse bool) {
	i.sim.ClearFaults()
	if !refuse {
		return
	}
	const every = 100
	for _, action := range whmcstest.Actions() {
		i.fault(whmcstest.Fault{Action: action, Fault: "bad-credentials", Times: every})
	}
}

func (i installation) Cancel(id string) {
	i.t.Helper()
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		i.t.Fatal(err)
	}
	status := "Cancelled"
	if _, ok := i.sim.Books().Patch(n, whmcstest.Edit{Status: &status}); !ok {
		i.t.Fatalf("no order %s", id)
	}
}

func (i installation) Received(effect string) int { return i.sim.Calls(effect) }
