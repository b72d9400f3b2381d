package provision

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

func planLine(item string, product int64, cycle order.Cycle, quantity int) order.Line {
	return order.Line{ItemID: item, ProductID: product, Cycle: cycle, Quantity: quantity}
}

func TestMakePlan(t *testing.T) {
	products := map[int64]order.ProductInfo{
		1: {ProductID: 1, Quantity: order.QuantityNone}, 2: {ProductID: 2, Quantity: order.QuantityMultiple}, 3: {ProductID: 3, Quantity: order.QuantityScaling},
	}
	type entry struct {
		product            int64
		quantity, services int
	}
	for _, c := range []struct {
		name  string
		lines []order.Line
		want  []entry
		code  fault.Code
	}{
		{"one of each", []order.Line{planLine("a", 1, order.Monthly, 1), planLine("b", 2, order.Monthly, 1), planLine("c", 3, order.Monthly, 1)},
			[]entry{{1, 1, 1}, {2, 1, 1}, {3, 1, 1}}, ""},
		{"a product without quantities is repeated", []order.Line{planLine("a", 1, order.Monthly, 3)}, []entry{{1, 1, 1}, {1, 1, 1}, {1, 1, 1}}, ""},
		{"multiple services", []order.Line{planLine("a", 2, order.Monthly, 3)}, []entry{{2, 3, 3}}, ""},
		{"a scaling service", []order.Line{planLine("a", 3, order.Monthly, 3)}, []entry{{3, 3, 1}}, ""},
		{"no lines", nil, nil, fault.OrderEmpty},
		{"an unknown product", []order.Line{planLine("a", 9, order.Monthly, 1)}, nil, fault.ProductNotMapped},
		{"no quantity", []order.Line{planLine("a", 1, order.Monthly, 0)}, nil, fault.QuantityInvalid},
		{"too many repeated", []order.Line{planLine("a", 1, order.Monthly, maxEntries+1)}, nil, fault.QuantityInvalid},
		{"too many lines", slices.Repeat([]order.Line{planLine("a", 1, order.Monthly, 60)}, 2), nil, fault.QuantityInvalid},
		{"as many as fit", []order.Line{planLine("a", 1, order.Monthly, maxEntries)}, slices.Repeat([]entry{{1, 1, 1}}, maxEntries), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			plan, err := makePlan(order.Request{ClientID: 7, PromoCode: "SPRING", Lines: c.lines}, products, "mailin")
			if fault.CodeOf(err) != c.code {
				t.Fatalf("%v, want %s", err, c.code)
			}
			if err != nil {
				return
			}
			var got []entry
			for _, e := range plan.Entries {
				got = append(got, entry{e.ProductID, e.Quantity, e.Services})
			}
			if !slices.Equal(got, c.want) || plan.ClientID != 7 || plan.PromoCode != "SPRING" || plan.PaymentMethod != "mailin" {
				t.Errorf("%+v", plan)
			}
		})
	}
}

func service(id string, product int64, cycle order.Cycle, quantity int) order.BillingService {
	return order.BillingService{ID: id, ProductID: product, Cycle: cycle, Quantity: quantity, Status: "Pending"}
}

// AcceptOrder is safe because each service was compared with the plan first:
// WHMCS drops or defaults what it does not take, without an error.
func TestMatchComparesEachService(t *testing.T) {
	plan := order.Plan{ClientID: 7, Entries: []order.PlanEntry{
		{Line: planLine("a", 1, order.Monthly, 1), Services: 1},
		{Line: planLine("b", 1, order.Monthly, 1), Services: 1},
		{Line: planLine("c", 2, order.Annually, 3), Services: 3}, // multiple services
		{Line: planLine("d", 3, order.Monthly, 4), Services: 1},  // a scaling service
	}}
	planned := func() []order.BillingService {
		return []order.BillingService{
			service("9", 1, order.Monthly, 1), service("10", 1, order.Monthly, 1), service("11", 2, order.Annually, 1),
			service("12", 2, order.Annually, 1), service("13", 2, order.Annually, 1), service("14", 3, order.Monthly, 4),
		}
	}
	for _, c := range []struct {
		name   string
		change func([]order.BillingService) []order.BillingService
		diff   string
	}{
		{"as planned", func(s []order.BillingService) []order.BillingService { return s }, ""},
		{"in another order", func(s []order.BillingService) []order.BillingService { slices.Reverse(s); return s }, ""},
		{"without quantities, as before WHMCS 8.12", func(s []order.BillingService) []order.BillingService { s[0].Quantity = 0; return s }, ""},
		{"another product", func(s []order.BillingService) []order.BillingService { s[0].ProductID = 5; return s }, "it lacks product 1, monthly, quantity 1"},
		{"another cycle", func(s []order.BillingService) []order.BillingService { s[2].Cycle = order.Monthly; return s }, "it lacks product 2, annually, quantity 1"},
		{"the quantity is lost", func(s []order.BillingService) []order.BillingService { s[5].Quantity = 1; return s }, "it lacks product 3, monthly, quantity 4"},
		{"a quantity too high", func(s []order.BillingService) []order.BillingService { s[0].Quantity = 2; return s }, "it lacks product 1, monthly, quantity 1"},
		{"one of several services", func(s []order.BillingService) []order.BillingService { return slices.Delete(s, 3, 4) }, "it lacks product 2, annually, quantity 1"},
		{"one too many", func(s []order.BillingService) []order.BillingService {
			return append(s, service("15", 1, order.Monthly, 1))
		}, "it has 7 services, 6 were ordered"},
		{"none", func([]order.BillingService) []order.BillingService { return nil }, "it lacks product 1, monthly, quantity 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			services, diff := match(plan, order.BillingOrder{Services: c.change(planned())}, false)
			if diff != c.diff {
				t.Fatalf("%q, want %q", diff, c.diff)
			}
			want := map[string][]string{"a": {"9"}, "b": {"10"}, "c": {"11", "12", "13"}, "d": {"14"}}
			if diff == "" && !maps.EqualFunc(services, want, slices.Equal) {
				t.Errorf("lines have %v, want %v", services, want)
			}
		})
	}
	if _, diff := match(order.Plan{}, order.BillingOrder{Services: planned()}, false); !strings.Contains(diff, "0 were ordered") {
		t.Errorf("an empty plan: %q", diff)
	}
}
