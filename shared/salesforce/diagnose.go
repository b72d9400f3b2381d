package salesforce

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// of is the system of the findings of this package.
const of = "Salesforce"

// Diagnose examines the org, and changes nothing.
func (c *Client) Diagnose(ctx context.Context) []fault.Finding {
	_, err := c.token(ctx, nil)
	in := "it lets the bridge in, and is the org of SF_ORG_ID"
	if c.cfg.OrgID == "" {
		in = "it lets the bridge in; which org may answer is not checked, since SF_ORG_ID is not set"
	}
	entered := fault.Check(of, in, err)
	if err != nil {
		return []fault.Finding{entered}
	}
	all := []fault.Finding{entered, fault.Check(of, "API requests of the day are left", c.braked())}
	var found page
	err = c.data(ctx, http.MethodGet, c.base()+"/query?q="+url.QueryEscape(selectOrders(c.cfg.Optional)+" LIMIT 1"), nil, &found)
	all = append(all, fault.Check(of, "every field that an order is read from is there and readable", err))
	all = append(all, c.diagnoseFields(ctx)...)
	return append(all, c.diagnoseRule(ctx))
}

// diagnoseFields looks at each field that the write-back writes.
func (c *Client) diagnoseFields(ctx context.Context) (all []fault.Finding) {
	for _, object := range []string{objectOrder, objectItem} {
		fields, err := c.describe(ctx, object)
		if err != nil {
			all = append(all, fault.Red(of, "the fields of "+object+" can be seen", err))
			continue
		}
		for _, f := range written {
			if f.object != object {
				continue
			}
			finding := fault.Finding{Of: of, What: object + "." + f.name + " can be written", Seen: "it is not there, or not visible",
				Do: "Give the integration user the permission set OrderBridge_Integration; if the field is missing, deploy the package of sfdx/."}
			for name, writable := range fields {
				if strings.EqualFold(name, f.name) {
					finding.OK, finding.Seen = writable, map[bool]string{false: "it can only be read"}[writable]
				}
			}
			all = append(all, finding)
		}
	}
	return all
}

// diagnoseRule looks for the validation rule without which a late write shows an
// older status. It is metadata: a user who may not see it is no proof that there is none.
func (c *Client) diagnoseRule(ctx context.Context) fault.Finding {
	f := fault.Finding{Of: of, What: "a validation rule of Order refuses older statuses, with " + staleToken + " in its message",
		Do: "Deploy the package of sfdx/ again, which has the rule; without it a late write can show an older status."}
	const rules = "SELECT ErrorMessage FROM ValidationRule WHERE EntityDefinition.QualifiedApiName = 'Order' AND Active = true"
	var found page
	if err := c.data(ctx, http.MethodGet, c.base()+"/tooling/query?q="+url.QueryEscape(rules), nil, &found); err != nil {
		f.OK, f.Seen = true, "the integration user may not see validation rules: "+string(fault.CodeOf(err))+"; look in the org"
		return f
	}
	f.OK = slices.ContainsFunc(found.Records, func(r record) bool { return strings.Contains(r.text("ErrorMessage"), staleToken) })
	return f
}

// soldMost bounds the orders whose products are taken for those that are sold.
const soldMost = 200

// Sold returns the WHMCS products that orders of this org name, with their
// cycles, and the WHMCS orders that were made of them. Products that cannot be
// mapped are left out: an order says so.
func (c *Client) Sold(ctx context.Context) (sold map[int64][]order.Cycle, made map[string]order.ID, err error) {
	orders, err := c.query(ctx, fmt.Sprintf("SELECT %s, %s, (SELECT %s, %s.%s, %s.%s FROM %s) FROM %s LIMIT %d",
		fieldID, fieldWHMCSOrder, fieldID, fieldProduct, fieldProductID, fieldProduct, fieldCycle, fieldItems, objectOrder, soldMost))
	if err != nil {
		return nil, nil, err
	}
	sold, made = map[int64][]order.Cycle{}, map[string]order.ID{}
	for _, o := range orders {
		if id, err := order.ParseID(o.text(fieldID)); err == nil && o.text(fieldWHMCSOrder) != "" {
			made[wholeText(o.text(fieldWHMCSOrder))] = id
		}
		for _, it := range o.page(fieldItems).Records {
			product := it.related(fieldProduct)
			pid, ok := whole(product.text(fieldProductID), 1)
			cycle, known := order.ParseCycle(product.text(fieldCycle))
			if ok && known && !slices.Contains(sold[pid], cycle) {
				sold[pid] = append(sold[pid], cycle)
			}
		}
	}
	return sold, made, nil
}
