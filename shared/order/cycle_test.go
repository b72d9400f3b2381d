package order_test

import (
	"testing"

	"orderbridge/shared/order"
)

// One reader for both sides: what Salesforce's picklist holds and what WHMCS shows.
func TestOneReaderOfBillingCycles(t *testing.T) {
	for want, spellings := range map[order.Cycle][]string{
		order.Monthly:      {"monthly", "Monthly", " MONTHLY "},
		order.OneTime:      {"onetime", "One Time", "One-Time", "One-time", "one time"},
		order.Quarterly:    {"Quarterly"},
		order.SemiAnnually: {"semiannually", "Semi-Annually", "Semi Annually", "Semi-Annual", "SemiAnnual"},
		order.Annually:     {"Annually", "Annual"},
		order.Biennially:   {"Biennially", "Biennial"},
		order.Triennially:  {"Triennially", "Triennial"},
		order.Free:         {"free", "Free Account", "freeaccount"},
	} {
		for _, s := range spellings {
			if got, ok := order.ParseCycle(s); !ok || got != want {
				t.Errorf("%q is read as %q, %t, want %q", s, got, ok, want)
			}
		}
	}
	for _, s := range []string{"", " ", "yearly", "weekly", "one", "month", "free trial", "monthly annually"} {
		if got, ok := order.ParseCycle(s); ok || got != "" {
			t.Errorf("%q is read as %q", s, got)
		}
	}
}
