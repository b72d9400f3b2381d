package provision

import (
	"cmp"
	"fmt"
	"slices"

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
// sent as such only where the product allows it; else the line is repeated.
func makePlan(req order.Request, products map[int64]order.ProductInfo, paymentMethod string) (order.Plan, error) {
	plan := order.Plan{ClientID: req.ClientID, PaymentMethod: paymentMethod, PromoCode: req.PromoCode}
	if len(req.Lines) == 0 {
		return plan, fault.New(fault.OrderEmpty, "")
	}
	for _, l := range req.Lines {
		product, ok := products[l.ProductID]
		if !ok {
			return plan, fault.New(fault.ProductNotMapped, fmt.Sprintf("Correct WH_Product_ID__c, then click again: WHMCS has no product %d.", l.ProductID))
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
	return plan, nil
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
	return fault.New(fault.NotProcessable, fmt.Sprintf(
		"Shorten the custom fields and options of the order's products to %d kB in all, then click again: they have %d kB.", maxPlan>>10, size>>10))
}

func tooMany() error {
	return fault.New(fault.QuantityInvalid, fmt.Sprintf("Split the order, then click again: WHMCS takes at most %d rows in one.", maxEntries))
}

// match compares what WHMCS made with the plan and returns the service ids of
// each order line. diff says in a few words where they differ; "" = equal.
// Services are taken in the order of their ids, as AddOrder made them.
func match(plan order.Plan, made []order.BillingService) (services map[string][]string, diff string) {
	rest := slices.Clone(made)
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
			at := slices.IndexFunc(rest, func(s order.BillingService) bool {
				return s.ProductID == e.ProductID && s.Cycle == e.Cycle && max(s.Quantity, 1) == qty
			})
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
	if diff == "" && len(rest) > 0 {
		diff = fmt.Sprintf("it has %d services, %d were ordered", len(made), want)
	}
	return services, diff
}
