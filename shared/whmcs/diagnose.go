package whmcs

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// of is the system of the findings of this package.
const of = "WHMCS"

// Diagnose examines the installation, and makes nothing: sold holds the products
// that Salesforce orders, and the cycles that they are ordered by; made the WHMCS
// orders that it knows.
func (c *Client) Diagnose(ctx context.Context, sold map[int64][]order.Cycle, made map[string]order.ID) []fault.Finding {
	v, err := c.details(ctx)
	served := fault.Check(of, "it answers, at the address and with the credentials of the bridge", err)
	if err != nil {
		return []fault.Finding{served} // every other call would meet the same
	}
	served.Seen = fmt.Sprintf("version %d.%d", v.major, v.minor)
	all := append([]fault.Finding{served, c.diagnoseClock()}, c.diagnoseRole(ctx)...)
	all = append(all, c.diagnoseList(ctx, made)...)
	return append(all, c.diagnoseProducts(ctx, v, sold)...)
}

// maxSkew is how far WHMCS's clock may be off before doctor says so. A search
// lists from a day before the first AddOrder, so this is no limit of the protocol;
// a clock that is off by more is kept by nothing, and goes on to be off by more.
const maxSkew = time.Minute

// diagnoseClock judges WHMCS's clock by its last answer to a read.
func (c *Client) diagnoseClock() fault.Finding {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := fault.Finding{Of: of, What: "its clock agrees with ours", OK: c.skew.Abs() <= maxSkew, Do: "Set the clock of the WHMCS server (NTP)."}
	switch {
	case !c.dated:
		f.Seen = "not known: its answers carry no Date"
	case c.skew > 0:
		f.Seen = fmt.Sprintf("ahead of ours by %s", c.skew.Round(time.Second))
	case c.skew < 0:
		f.Seen = fmt.Sprintf("behind ours by %s", c.skew.Abs().Round(time.Second))
	}
	return f
}

// diagnoseRole asks for each action in a way that WHMCS answers with its
// documented refusal: there is no client 0 and no order 0, so AddOrder ("Client
// ID Not Found") and AcceptOrder ("Order ID Not Found") do nothing
// (developers.whmcs.com, "Error Responses" of both).
func (c *Client) diagnoseRole(ctx context.Context) (all []fault.Finding) {
	actions := map[string]form{
		addOrder: {number("clientid", 0)}, acceptOrder: {number("orderid", 0)}, "GetOrders": {number("limitnum", 1)},
		"GetClientsDetails": {number("clientid", 0)}, "GetClientsProducts": {number("limitnum", 1)}, "GetProducts": {number("pid", 0)}, "GetModuleQueue": {{"relatedId", "0"}},
	}
	if c.cfg.RequirePayMethod {
		actions["GetPayMethods"] = form{number("clientid", 0)}
	}
	for _, action := range slices.Sorted(maps.Keys(actions)) {
		_, err := c.read(ctx, action, actions[action])
		switch fault.CodeOf(err) {
		case fault.WHMCSRoleDenied, fault.WHMCSMisconfigured, fault.WHMCSBusy, fault.WHMCSUnavailable:
		default:
			err = nil // it was allowed, and refused client or order 0
		}
		all = append(all, fault.Check(of, "the API role allows "+action, err))
	}
	return all
}

// diagnoseList looks at one page of the newest orders: its size, and whether
// markers are kept.
func (c *Client) diagnoseList(ctx context.Context, made map[string]order.ID) []fault.Finding {
	const sized = "a page holds as many orders as are asked for"
	o, err := c.read(ctx, "GetOrders", form{number("limitstart", 0), number("limitnum", pageSize)})
	if err != nil {
		return []fault.Finding{fault.Red(of, sized, err)}
	}
	list := o.list("orders", "order")
	total, _ := o.number("totalresults")
	size := fault.Finding{Of: of, What: sized, OK: int64(len(list)) == min(total, pageSize), Seen: fmt.Sprintf("%d of %d", len(list), min(total, pageSize)),
		Do: "Find what cuts the pages of the API (a hook, or what stands in front of WHMCS): a search would take many more calls."}
	if len(c.fields) > 0 {
		return []fault.Finding{size} // the fields belong to products: diagnoseProducts
	}
	ours, bare := 0, []string{}
	for _, row := range list {
		id, known := made[row.id("id")]
		if !known {
			continue
		}
		ours++
		if m := c.parseOrder(row).Marker; m == "" || m.MayName(id) && !m.Names(id) {
			bare = append(bare, row.id("id"))
		}
	}
	kept := fault.Finding{Of: of, What: "markers are kept in the notes", OK: len(bare) == 0, Seen: fmt.Sprintf("%d of the bridge's newest orders were looked at", ours),
		Do: "Find what empties or replaces the admin notes of new orders (a hook, an addon): guide of marker_not_kept."}
	if !kept.OK {
		kept.Seen = "WHMCS orders without their marker: " + strings.Join(bare, " ")
	}
	return []fault.Finding{size, kept}
}

// diagnoseProducts looks at what Salesforce sells.
func (c *Client) diagnoseProducts(ctx context.Context, v version, sold map[int64][]order.Cycle) (all []fault.Finding) {
	if len(sold) == 0 {
		return nil
	}
	var ids []string
	for _, id := range slices.Sorted(maps.Keys(sold)) {
		ids = append(ids, strconv.FormatInt(id, 10))
	}
	o, err := c.read(ctx, "GetProducts", form{{"pid", strings.Join(ids, ",")}})
	if err != nil {
		return []fault.Finding{fault.Red(of, "the mapped products can be read", err)}
	}
	rows := map[int64]object{}
	for _, row := range o.list("products", "product") {
		if pid, ok := row.number("pid"); ok {
			rows[pid] = row
		}
	}
	for _, id := range slices.Sorted(maps.Keys(sold)) {
		all = append(all, c.diagnoseProduct(v, id, rows[id], sold[id])...)
	}
	return all
}

func (c *Client) diagnoseProduct(v version, id int64, row object, cycles []order.Cycle) []fault.Finding {
	name := fmt.Sprintf("product %d", id)
	if len(row) == 0 {
		return []fault.Finding{{Of: of, What: name + " exists", Do: "Correct WH_Product_ID__c in Salesforce, or make the product in WHMCS."}}
	}
	quantities := "a line of more than one is repeated"
	if n, ok := row.number("allowqty"); ok && n > 0 && v.takesQuantity() {
		quantities = map[int64]string{1: "a quantity makes so many services", 2: "a quantity makes one service of it"}[n]
	}
	all := []fault.Finding{{Of: of, What: name + " exists", OK: true, Seen: plain(row.text("name")) + "; " + quantities}}
	for _, cycle := range cycles {
		offered := soldCycles(row)
		all = append(all, fault.Finding{
			Of: of, What: fmt.Sprintf("%s is sold %s", name, cycle), OK: offered == nil || slices.Contains(offered, cycle),
			Do: "Give the product a price for this cycle in WHMCS, or correct Billing_Cycle__c in Salesforce.",
		})
	}
	for _, field := range c.fields {
		if !slices.ContainsFunc(row.child("customfields").list("customfield", ""), func(f object) bool { return f.id("id") == field }) {
			continue
		}
		return append(all, fault.Finding{Of: of, What: name + " has the custom field of the marker", OK: true, Seen: "field " + field})
	}
	if len(c.fields) > 0 {
		all = append(all, fault.Finding{Of: of, What: name + " has the custom field of the marker", Do: "Add a custom field for the marker to the product, and its id to WHMCS_MARKER."})
	}
	return all
}
