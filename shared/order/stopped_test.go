package order_test

import (
	"strings"
	"testing"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// An order that is stopped while something of it may live in WHMCS stays a case
// for a person, and its text names what is known.
func TestAStoppedOrderNamesWhatLivesInWHMCS(t *testing.T) {
	for name, c := range map[string]struct {
		rec  order.Record
		code fault.Code
		says string
	}{
		"nothing was sent":       {order.Record{RecoveryPoint: order.PointNone, ErrorCode: fault.AccountNotMapped}, fault.Stopped, ""},
		"an AddOrder was lost":   {order.Record{RecoveryPoint: order.PointAdding, ErrorCode: fault.AddOutcomeUnknown}, fault.StoppedInWHMCS, ""},
		"its module failed":      {order.Record{RecoveryPoint: order.PointAccepted, ErrorCode: fault.ModuleFailed, WHMCSOrderID: "1014"}, fault.StoppedInWHMCS, "WHMCS order 1014 was not cancelled. If the customer is not to be served, cancel it in WHMCS."},
		"its WHMCS order is off": {order.Record{RecoveryPoint: order.PointAdded, ErrorCode: fault.WHMCSOrderCancelled, WHMCSOrderID: "1014"}, fault.StoppedInWHMCS, "after its WHMCS order 1014 was cancelled. Click again"},
	} {
		t.Run(name, func(t *testing.T) {
			code, text := c.rec.Stopped()
			if code != c.code || !strings.Contains(text, c.says) || (text == "") != (c.says == "") {
				t.Errorf("%s %q, want %s %q", code, text, c.code, c.says)
			}
			if code.Info().Review != (code == fault.StoppedInWHMCS) {
				t.Errorf("review %t", code.Info().Review)
			}
		})
	}
}
