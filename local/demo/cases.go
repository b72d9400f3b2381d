package main

import (
	"context"
	"errors"
	"fmt"
)

// demoCase is one thing that is shown.
type demoCase struct {
	title string
	// before is done once the order is in Salesforce.
	before func(context.Context, *demo, string) error
	clicks int
	// after is done once the click was answered.
	after func(context.Context, *demo, string) error
}

func cases() []demoCase {
	return []demoCase{
		{title: "An order: the operator clicks once.", clicks: 1},
		{title: "A double click: two callouts at the same moment.", clicks: 2},
		{
			title:  "A lost answer: WHMCS makes the order, and the connection breaks before it can say so.",
			before: fault("whmcs", map[string]any{"action": "AddOrder", "fault": "commit-then-drop"}), clicks: 1,
			after: func(ctx context.Context, d *demo, id string) error {
				return d.until(ctx, "the order waits", id, func(o seen) bool { return o.state == "waiting" }, "Nothing is sent again: the bridge waits until WHMCS must have ended, then searches there.")
			},
		},
		{
			title:  "A killed worker: kill -9 while AddOrder is under way.",
			before: fault("whmcs", map[string]any{"action": "AddOrder", "fault": "slow", "delayMs": 1500}), clicks: 1,
			after: func(ctx context.Context, d *demo, id string) error {
				if err := d.until(ctx, "AddOrder is under way", id, func(o seen) bool { return o.point == "adding" }, ""); err != nil {
					return err
				}
				var killed struct{ Killed int }
				if err := d.call(ctx, "POST", "/_local/kill", map[string]string{"function": "provision"}, &killed); err != nil {
					return err
				}
				if killed.Killed == 0 {
					return errors.New("no worker was there to be killed")
				}
				d.say("   The worker is dead. Another takes the order when its lease ends, and searches WHMCS first.")
				return nil
			},
		},
		{
			title:  "Salesforce is locked: another process holds the order's row for three updates.",
			before: fault("salesforce", map[string]any{"action": "update", "fault": "lock-row", "times": 3}), clicks: 1,
		},
		{
			title:  "A module that says no, is corrected, and the operator clicks again.",
			before: fault("whmcs", map[string]any{"action": "AcceptOrder", "fault": "module-fail-pending", "times": 9}), clicks: 1,
			after: func(ctx context.Context, d *demo, id string) error {
				if err := d.until(ctx, "the order has failed", id, func(o seen) bool { return o.salesforce == "Failed" }, "Salesforce reads Failed, with the module's own words. The customer reads that someone takes care of it."); err != nil {
					return err
				}
				if err := d.call(ctx, "DELETE", "/_local/sim/whmcs/faults", nil, nil); err != nil {
					return err
				}
				d.say("   The module is corrected; the operator clicks again. The same WHMCS order is accepted.")
				return d.click(ctx, id)
			},
		},
	}
}

// fault sets a fault for the order.
func fault(vendor string, body map[string]any) func(context.Context, *demo, string) error {
	return func(ctx context.Context, d *demo, id string) error {
		own := map[string]any{"match": id}
		for k, v := range body {
			own[k] = v
		}
		return d.call(ctx, "POST", "/_local/sim/"+vendor+"/faults", own, nil)
	}
}

// show runs a case to its end and says what every book shows then.
func (d *demo) show(ctx context.Context, c demoCase) error {
	d.serial++
	id := fmt.Sprintf("8010000000000%02dAAA", d.serial)
	if err := d.call(ctx, "PUT", "/_local/orders/"+id, map[string]any{
		"accountId": account, "whmcsClientId": 42,
		"items": []any{
			map[string]any{"whmcsProductId": 1, "billingCycle": "Monthly", "quantity": 1},
			map[string]any{"whmcsProductId": 2, "billingCycle": "One-time", "quantity": 3},
		},
	}, nil); err != nil {
		return err
	}
	if c.before != nil {
		if err := c.before(ctx, d, id); err != nil {
			return err
		}
	}
	clicked := make(chan error, c.clicks)
	for range c.clicks {
		go func() { clicked <- d.click(ctx, id) }()
	}
	for range c.clicks {
		if err := <-clicked; err != nil {
			return err
		}
	}
	if c.after != nil {
		if err := c.after(ctx, d, id); err != nil {
			return err
		}
	}
	last, err := d.settled(ctx, id)
	if err != nil {
		return err
	}
	d.say("   WHMCS: %d order, %s, %s.  Salesforce: %s, WHMCS order %s.  The customer reads: %s.", len(last.whmcs), last.whmcs[0].id, last.whmcs[0].status, last.salesforce, last.salesforceID, last.portal)
	return nil
}
