package whmcs

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"orderbridge/shared/order"
)

// soldCycles returns the billing cycles for which a product of GetProducts has a
// price in any currency; nil where its row does not say. -1.00 is no price
// (developers.whmcs.com, GetProducts); a one-time price stands under monthly.
func soldCycles(row object) []order.Cycle {
	prices := row.child("pricing")
	priced := func(c order.Cycle) bool {
		for currency := range prices {
			if v, err := strconv.ParseFloat(strings.TrimSpace(prices.child(currency).text(string(c))), 64); err == nil && v >= 0 {
				return true
			}
		}
		return false
	}
	sold := []order.Cycle{}
	switch strings.ToLower(row.text("paytype")) {
	case "free":
		return []order.Cycle{order.Free}
	case "onetime":
		if len(prices) == 0 || priced(order.Monthly) {
			sold = append(sold, order.OneTime)
		}
		return sold
	case "recurring":
	default:
		return nil
	}
	if len(prices) == 0 {
		return nil
	}
	for _, c := range []order.Cycle{order.Monthly, order.Quarterly, order.SemiAnnually, order.Annually, order.Biennially, order.Triennially} {
		if priced(c) {
			sold = append(sold, c)
		}
	}
	return sold
}

// choices are the values of the options of one product, by option id and by
// their names in WHMCS's lists.
type choices map[string]map[string]string

// remember keeps the choices of a product of GetProducts.
func (c *Client) remember(pid int64, row object) {
	known := choices{}
	for _, o := range row.child("configoptions").list("configoption", "") {
		names := map[string]string{}
		for _, choice := range o.child("options").list("option", "") {
			for _, name := range []string{choice.text("name"), choice.text("rawName")} {
				if name = plain(name); name != "" {
					names[name] = choice.id("id")
				}
			}
		}
		known[o.id("id")] = names
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.choices[pid] = known
}

// configOptions reads the options of a service of GetClientsProducts in the
// values that AddOrder takes: the id of a choice, a number, 1 or 0. One that
// cannot be brought back to these is "". nil: the row does not say. A choice is
// shown by its name, so the product is read where it is not known yet.
func (c *Client) configOptions(ctx context.Context, row object) (map[string]string, error) {
	if _, there := row["configoptions"]; !there {
		return nil, nil
	}
	shown := row.child("configoptions").list("configoption", "")
	pid, _ := row.number("pid")
	isChoice := func(o object) bool {
		return slices.Contains([]string{"dropdown", "radio"}, strings.ToLower(o.text("type")))
	}
	c.mu.Lock()
	known, read := c.choices[pid]
	c.mu.Unlock()
	if !read && slices.ContainsFunc(shown, isChoice) {
		if _, err := c.Products(ctx, []int64{pid}); err != nil {
			return nil, err
		}
		c.mu.Lock()
		known = c.choices[pid]
		c.mu.Unlock()
	}
	values := map[string]string{}
	for _, o := range shown {
		text := strings.TrimSpace(plain(o.text("value")))
		value := ""
		switch {
		case isChoice(o):
			value = known[o.id("id")][text]
		case strings.EqualFold(o.text("type"), "quantity"):
			first, _, _ := strings.Cut(text, " ")
			if n, err := strconv.ParseInt(first, 10, 64); err == nil {
				value = strconv.FormatInt(n, 10)
			}
		case strings.EqualFold(o.text("type"), "yesno"):
			switch strings.ToLower(text) {
			case "1", "yes", "on", "true":
				value = "1"
			case "0", "no", "off", "false", "":
				value = "0"
			}
		}
		values[o.id("id")] = value
	}
	return values, nil
}
