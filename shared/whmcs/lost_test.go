package whmcs_test

import (
	"strings"
	"testing"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/whmcs/whmcstest"
)

// An answer that was lost is no WHMCS that does not answer: the text says which.
func TestALostAnswerIsSaidAsOne(t *testing.T) {
	w := newWorld(t, nil)
	if err := w.sim.Fault(whmcstest.Fault{Action: "AddOrder", Fault: "commit-then-drop"}); err != nil {
		t.Fatal(err)
	}
	_, err := w.Add(t.Context(), gate(), orderID(t, 1), plan())
	if want := "The answer of WHMCS was lost: it may have done what was asked. WHMCS: no answer to AddOrder: the connection was closed. Wait: the bridge searches WHMCS before it sends again."; outcome(err) != "unsure whmcs_unavailable" || fault.TextOf(err) != want {
		t.Errorf("%v shows %q", err, fault.TextOf(err))
	}
	_, err = w.Add(t.Context(), order.SendWindow{}, orderID(t, 1), plan())
	if want := "Nothing was sent to WHMCS. WHMCS: no answer to AddOrder: the send window was over."; !strings.HasPrefix(fault.TextOf(err), want) {
		t.Errorf("%v shows %q", err, fault.TextOf(err))
	}
}
