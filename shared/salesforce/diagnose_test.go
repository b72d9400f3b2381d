package salesforce_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/salesforce"
	"orderbridge/shared/salesforce/salesforcetest"
)

// red are the bad findings, each as "what: do".
func red(all []fault.Finding) (bad []string) {
	for _, f := range all {
		if !f.OK {
			bad = append(bad, f.What)
		}
	}
	return bad
}

// What was not compared is not said to hold.
func TestTheOrgIsSaidToBeTheRightOneOnlyWhereItWasCompared(t *testing.T) {
	for org, want := range map[string]string{
		"":    "it lets the bridge in; which org may answer is not checked, since SF_ORG_ID is not set",
		orgID: "it lets the bridge in, and is the org of SF_ORG_ID",
	} {
		w := newWorld(t, salesforcetest.Options{})
		got := w.client(func(c *salesforce.Config) { c.OrgID = org }).Diagnose(t.Context())
		if len(got) == 0 || !got[0].OK || got[0].What != want {
			t.Errorf("SF_ORG_ID %q: %+v, want %q", org, got, want)
		}
	}
}

func TestEachPlantedFaultOfTheOrgIsFoundAndNoneInvented(t *testing.T) {
	for name, c := range map[string]struct {
		opt    salesforcetest.Options
		change func(w *world)
		config func(*salesforce.Config)
		want   string // of the one red finding; "" = none
	}{
		"a sound org":        {},
		"no validation rule": {opt: salesforcetest.Options{NoRule: true}, want: "[OB-STALE]"},
		"a field that can only be read": {change: func(w *world) { w.sim.SetAccess("Order", "Provisioning_Seq__c", salesforcetest.AccessRead) },
			want: "Order.Provisioning_Seq__c can be written"},
		"a field that is hidden": {change: func(w *world) { w.sim.SetAccess("OrderItem", "WHMCS_Service_ID__c", salesforcetest.AccessNone) },
			want: "OrderItem.WHMCS_Service_ID__c can be written"},
		"a field that must be readable": {change: func(w *world) { w.sim.SetAccess("Account", "WHMCS_Client_ID__c", salesforcetest.AccessNone) },
			want: "every field that an order is read from is there and readable"},
		"another org":    {config: func(c *salesforce.Config) { c.OrgID = "00Dxx0000009gPL" }, want: "it lets the bridge in"},
		"a wrong secret": {change: func(w *world) { w.cred.ClientSecret = "wrong" }, want: "it lets the bridge in"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.opt)
			if c.change != nil {
				c.change(w)
			}
			config := c.config
			if config == nil {
				config = func(*salesforce.Config) {}
			}
			got := red(w.client(config).Diagnose(t.Context()))
			if c.want == "" && len(got) == 0 || len(got) == 1 && c.want != "" && strings.Contains(got[0], c.want) {
				return
			}
			t.Errorf("red: %q, want %q", got, c.want)
		})
	}
}

func TestAnOrderIsExaminedWhole(t *testing.T) {
	w := newWorld(t, salesforcetest.Options{})
	bad := w.put(1, salesforcetest.Seed{AccountID: account, Items: []salesforcetest.SeedItem{
		{BillingCycle: "Monthly", Quantity: 1}, {WHMCSProductID: 2, BillingCycle: "fortnightly", Quantity: 1}, {WHMCSProductID: 3, BillingCycle: "Monthly", Quantity: 1},
	}, Fields: map[string]any{"OrderNumber": "00000107"}})
	req, problems := w.client().Examine(t.Context(), bad)
	var codes []fault.Code
	for _, p := range problems {
		codes = append(codes, fault.CodeOf(p))
	}
	if d := cmp.Diff([]fault.Code{fault.AccountNotMapped, fault.ProductNotMapped, fault.BillingCycleInvalid}, codes); d != "" {
		t.Errorf("problems (-want +got):\n%s", d)
	}
	if len(req.Lines) != 1 || req.Lines[0].ProductID != 3 {
		t.Errorf("lines %+v", req.Lines)
	}
	good := w.put(2, salesforcetest.Seed{AccountID: account, WHMCSClientID: 42, Items: []salesforcetest.SeedItem{{WHMCSProductID: 3, BillingCycle: "Annually", Quantity: 1}},
		Fields: map[string]any{"WHMCS_Order_ID__c": "1001"}})
	if _, problems = w.client().Examine(t.Context(), good); len(problems) > 0 {
		t.Errorf("problems %v", problems)
	}
	ids, err := w.client().Numbered(t.Context(), "00000107")
	if err != nil || len(ids) != 1 || ids[0] != bad {
		t.Errorf("by its number: %v, %v", ids, err)
	}
	sold, made, err := w.client().Sold(t.Context())
	if err != nil || made["1001"] != good {
		t.Errorf("made %v, %v", made, err)
	}
	if d := cmp.Diff(map[int64][]order.Cycle{3: {order.Monthly, order.Annually}}, sold); d != "" {
		t.Errorf("sold (-want +got):\n%s", d)
	}
}
