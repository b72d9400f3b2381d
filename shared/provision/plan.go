package provision

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// maxEntries: PHP's max_input_vars is 1000 by default, about 150 lines of six
// fields; what is above is cut off silently, so we stay well below.
const maxEntries = 100

func productIDs(req order.Request) []int64 {
	var ids []int64
	for _, l := range req.Lines {
		if !slices.Contains(ids, l.ProductID) {
			ids = append(ids, l.ProductID)
		}
	}
	return ids
}

// makePlan says what AddOrder is to make of a request. A quantity above 1 is
// sent as such only where the product allows it; else the line is repeated. A
// plan that the item could not keep is refused.
func makePlan(req order.Request, products map[int64]order.ProductInfo, paymentMethod string) (order.Plan, error) {
	plan := order.Plan{ClientID: req.ClientID, PaymentMethod: paymentMethod, PromoCode: req.PromoCode}
	if len(req.Lines) == 0 {
		return plan, fault.New(fault.OrderEmpty, "")
	}
	for _, l := range req.Lines {
		product, ok := products[l.ProductID]
		if !ok {
			return plan, fault.Saw(fault.ProductNotMapped, "WHMCS has no product %d.", l.ProductID)
		}
		if product.Cycles != nil && !slices.Contains(product.Cycles, l.Cycle) {
			return plan, fault.Saw(fault.BillingCycleInvalid, "WHMCS sells product %d (%s) %s, not %s.", l.ProductID, product.Name, soldAs(product.Cycles), l.Cycle)
		}
		if l.Quantity < 1 {
			return plan, fault.New(fault.QuantityInvalid, "")
		}
		if l.Quantity > maxEntries && product.Quantity == order.QuantityNone || len(plan.Entries) >= maxEntries {
			return plan, tooMany()
		}
		entry := order.PlanEntry{Line: l, Services: 1}
		switch {
		case l.Quantity == 1 || product.Quantity == order.QuantityScaling:
			plan.Entries = append(plan.Entries, entry)
		case product.Quantity == order.QuantityMultiple:
			entry.Services = l.Quantity
			plan.Entries = append(plan.Entries, entry)
		default:
			n := entry.Quantity
			entry.Quantity = 1
			for range n {
				plan.Entries = append(plan.Entries, entry)
			}
		}
	}
	if len(plan.Entries) > maxEntries {
		return plan, tooMany()
	}
	return plan, fits(plan)
}

// maxPlan bounds the texts of a plan, in bytes: the item keeps the plan beside
// up to 50 kB of history and callouts, and DynamoDB takes no item of more than
// 400 kB (Developer Guide, "Service, account, and table quotas").
const maxPlan = 256 << 10

// fits refuses a plan that the item could not keep: not_processable.
func fits(p order.Plan) error {
	size := len(p.PaymentMethod) + len(p.PromoCode)
	for _, e := range p.Entries {
		const names = 200 // of the attributes, and the numbers
		size += names + len(e.ItemID) + len(e.Domain) + len(e.Hostname)
		for _, texts := range []map[string]string{e.CustomFields, e.ConfigOptions} {
			for name, value := range texts {
				size += len(name) + len(value) + 8
			}
		}
	}
	if size <= maxPlan {
		return nil
	}
	return &fault.Error{Code: fault.NotProcessable, Seen: fmt.Sprintf("The custom fields and options of the order's products have %d kB, at most %d kB can be kept.", size>>10, maxPlan>>10), Advice: "Shorten them, then click again."}
}

func soldAs(cycles []order.Cycle) string {
	if len(cycles) == 0 {
		return "at no price"
	}
	var words []string
	for _, c := range cycles {
		words = append(words, string(c))
	}
	return strings.Join(words, ", ")
}

func tooMany() error {
	return &fault.Error{Code: fault.QuantityInvalid, Seen: fmt.Sprintf("The order makes more than the %d rows that WHMCS takes in one.", maxEntries), Advice: "Split the order, then click again."}
}

// match compares what WHMCS made with the plan and returns the service ids of
// each order line. diff says in a few words where they differ; "" = equal.
// Services are taken in the order of their ids, as AddOrder made them. WHMCS
// leaves out without a word what it cannot use: a promotion, a domain, a custom
// field, an option. A person who named the order has looked at these.
func match(plan order.Plan, made order.BillingOrder, named bool) (services map[string][]string, diff string) {
	rest := slices.Clone(made.Services)
	slices.SortStableFunc(rest, func(a, b order.BillingService) int { // ids are decimal numbers
		return cmp.Or(cmp.Compare(len(a.ID), len(b.ID)), cmp.Compare(a.ID, b.ID))
	})
	services = map[string][]string{}
	want := 0
	for _, e := range plan.Entries {
		qty := e.Quantity
		if e.Services > 1 {
			qty = 1
		}
		for range e.Services {
			want++
			fits := func(s order.BillingService) bool {
				return s.ProductID == e.ProductID && s.Cycle == e.Cycle && max(s.Quantity, 1) == qty
			}
			at := slices.IndexFunc(rest, func(s order.BillingService) bool { return fits(s) && lacks(e.Line, s) == "" })
			if at < 0 {
				if at = slices.IndexFunc(rest, fits); at >= 0 && !named && diff == "" {
					diff = "service " + rest[at].ID + " " + lacks(e.Line, rest[at])
				}
			}
			if at < 0 {
				if diff == "" {
					diff = fmt.Sprintf("it lacks product %d, %s, quantity %d", e.ProductID, e.Cycle, qty)
				}
				continue
			}
			services[e.ItemID] = append(services[e.ItemID], rest[at].ID)
			rest = slices.Delete(rest, at, at+1)
		}
	}
	switch {
	case diff != "":
	case len(rest) > 0:
		diff = fmt.Sprintf("it has %d services, %d were ordered", len(made.Services), want)
	case !named && made.PromoKnown && plan.PromoCode != "" && !strings.EqualFold(strings.TrimSpace(plan.PromoCode), strings.TrimSpace(made.PromoCode)):
		diff = fmt.Sprintf("it has the promotion code %q, %q was ordered; perhaps WHMCS does not take it (expired, used up, another product)", made.PromoCode, plan.PromoCode)
	}
	return services, diff
}

// lacks says what of an order line a service that fits otherwise does not have;
// "" = nothing.
func lacks(l order.Line, s order.BillingService) string {
	if want := slices.DeleteFunc([]string{l.Domain, l.Hostname}, func(name string) bool { return name == "" }); len(want) > 0 &&
		!slices.ContainsFunc(want, func(name string) bool { return host(name) == host(s.Domain) }) {
		return fmt.Sprintf("has the domain %q, %s was ordered", s.Domain, want[0])
	}
	for _, id := range slices.Sorted(maps.Keys(l.CustomFields)) {
		if s.CustomFields != nil && l.CustomFields[id] != "" && strings.TrimSpace(s.CustomFields[id]) == "" {
			return fmt.Sprintf("lacks custom field %s", id)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(l.ConfigOptions)) {
		want := l.ConfigOptions[id]
		got, there := s.ConfigOptions[id]
		switch {
		case s.ConfigOptions == nil || want == "":
		case !there:
			return fmt.Sprintf("lacks configuration option %s", id)
		case got != "" && got != want:
			return fmt.Sprintf("has configuration option %s at %s, %s was ordered", id, got, want)
		}
	}
	return ""
}

// host is a name as WHMCS may write it: without case, a final dot and www.
func host(name string) string {
	return strings.TrimPrefix(strings.TrimSuffix(strings.ToLower(strings.TrimSpace(name)), "."), "www.")
}
