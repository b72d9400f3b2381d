package provision

import (
	"strings"
	"testing"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// whole is a plan of one line that asks for everything a line can hold, and the
// WHMCS order that has it all.
func whole() (order.Plan, order.BillingOrder) {
	line := order.Line{
		ItemID: "802a", ProductID: 1, Cycle: order.Monthly, Quantity: 1, Domain: "Example.com", Hostname: "www.example.com",
		CustomFields: map[string]string{"7": "blue"}, ConfigOptions: map[string]string{"4": "9", "5": "3"},
	}
	return order.Plan{ClientID: 7, PromoCode: "SPRING", Entries: []order.PlanEntry{{Line: line, Services: 1}}},
		order.BillingOrder{ID: "77", PromoCode: "spring", PromoKnown: true, Services: []order.BillingService{{
			ID: "5", ProductID: 1, Cycle: order.Monthly, Quantity: 1, Domain: "example.com",
			CustomFields: map[string]string{"7": "blue"}, ConfigOptions: map[string]string{"4": "9", "5": "3", "6": "1"},
		}}}
}

// What was ordered is compared: WHMCS leaves out without a word what it cannot use.
func TestWhatWHMCSLeftOutIsSeen(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*order.BillingOrder)
		diff  string
	}{
		"everything is there":          {func(*order.BillingOrder) {}, ""},
		"the promotion":                {func(o *order.BillingOrder) { o.PromoCode = "" }, `it has the promotion code "", "SPRING" was ordered`},
		"another promotion":            {func(o *order.BillingOrder) { o.PromoCode = "AUTUMN" }, `it has the promotion code "AUTUMN"`},
		"a promotion that is not read": {func(o *order.BillingOrder) { o.PromoCode, o.PromoKnown = "", false }, ""},
		"the domain":                   {func(o *order.BillingOrder) { o.Services[0].Domain = "" }, `service 5 has the domain "", Example.com was ordered`},
		"the host name in its place":   {func(o *order.BillingOrder) { o.Services[0].Domain = "WWW.example.com." }, ""},
		"a custom field":               {func(o *order.BillingOrder) { o.Services[0].CustomFields = map[string]string{"7": " "} }, "service 5 lacks custom field 7"},
		"all custom fields":            {func(o *order.BillingOrder) { o.Services[0].CustomFields = map[string]string{} }, "service 5 lacks custom field 7"},
		"fields that are not read":     {func(o *order.BillingOrder) { o.Services[0].CustomFields, o.Services[0].ConfigOptions = nil, nil }, ""},
		"an option":                    {func(o *order.BillingOrder) { delete(o.Services[0].ConfigOptions, "4") }, "service 5 lacks configuration option 4"},
		"an option at its least":       {func(o *order.BillingOrder) { o.Services[0].ConfigOptions["5"] = "1" }, "service 5 has configuration option 5 at 1, 3 was ordered"},
		"an option in other words":     {func(o *order.BillingOrder) { o.Services[0].ConfigOptions["4"] = "" }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			plan, made := whole()
			c.spoil(&made)
			services, diff := match(plan, made, false)
			if (diff == "") != (c.diff == "") || !strings.HasPrefix(diff, c.diff) {
				t.Errorf("differs by %q, want %q", diff, c.diff)
			}
			if got := services["802a"]; len(got) != 1 || got[0] != "5" {
				t.Errorf("services %v", services)
			}
			if _, diff := match(plan, made, true); diff != "" {
				t.Errorf("a person has named it, and it differs by %q", diff)
			}
		})
	}
}

// Two lines of one product are told apart by their domains, whatever the order
// in which WHMCS made them.
func TestLinesOfOneProductAreToldApartByDomain(t *testing.T) {
	line := func(item, domain string) order.PlanEntry {
		return order.PlanEntry{Services: 1, Line: order.Line{ItemID: item, ProductID: 1, Cycle: order.Monthly, Quantity: 1, Domain: domain}}
	}
	made := func(id, domain string) order.BillingService {
		return order.BillingService{ID: id, ProductID: 1, Cycle: order.Monthly, Quantity: 1, Domain: domain}
	}
	services, diff := match(order.Plan{Entries: []order.PlanEntry{line("a", "a.example"), line("b", "b.example")}},
		order.BillingOrder{Services: []order.BillingService{made("5", "b.example"), made("6", "a.example")}}, false)
	if diff != "" || services["a"][0] != "6" || services["b"][0] != "5" {
		t.Errorf("%v, %q", services, diff)
	}
}

// A cycle without a price is refused before anything is sent.
func TestACycleThatWHMCSDoesNotSellIsRefused(t *testing.T) {
	request := order.Request{ClientID: 7, Lines: []order.Line{{ItemID: "802a", ProductID: 1, Cycle: order.Monthly, Quantity: 1}}}
	for name, c := range map[string]struct {
		cycles []order.Cycle
		says   string
	}{
		"not known":       {nil, ""},
		"sold":            {[]order.Cycle{order.Monthly, order.Annually}, ""},
		"one-time":        {[]order.Cycle{order.OneTime}, "WHMCS sells product 1 (Web S) onetime, not monthly."},
		"other cycles":    {[]order.Cycle{order.Annually, order.Biennially}, "WHMCS sells product 1 (Web S) annually, biennially, not monthly."},
		"no price at all": {[]order.Cycle{}, "WHMCS sells product 1 (Web S) at no price, not monthly."},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := makePlan(request, map[int64]order.ProductInfo{1: {ProductID: 1, Name: "Web S", Cycles: c.cycles}}, "mailin")
			if c.says == "" && err != nil || c.says != "" && (fault.CodeOf(err) != fault.BillingCycleInvalid || !strings.Contains(fault.TextOf(err), c.says)) {
				t.Errorf("%v, want %q", err, c.says)
			}
		})
	}
}
