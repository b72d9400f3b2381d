package whmcs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// Client returns nil when orders can be added for the client, or
// whmcs_client_not_found, whmcs_client_closed, payment_method_missing (only
// when the installation asks for a stored pay method).
func (c *Client) Client(ctx context.Context, clientID int64) error {
	f := form{number("clientid", clientID)}
	o, err := c.read(ctx, "GetClientsDetails", f)
	if err != nil {
		return err
	}
	details := o.child("client")
	if len(details) == 0 {
		details = o // before 8.0, and still beside it
	}
	if cmp.Or(details.id("id"), details.id("userid")) != strconv.FormatInt(clientID, 10) {
		return fault.Wrap(fault.WHMCSUnavailable, errors.New("GetClientsDetails answered without this client"))
	}
	switch strings.ToLower(details.text("status")) {
	case "closed":
		return fault.New(fault.WHMCSClientClosed, "")
	case "active", "inactive":
	default:
		return fault.Wrap(fault.WHMCSUnavailable, errors.New("GetClientsDetails answered without a status"))
	}
	if !c.cfg.RequirePayMethod {
		return nil
	}
	if o, err = c.read(ctx, "GetPayMethods", f); err != nil {
		return err
	}
	if len(o.list("paymethods", "paymethod")) > 0 {
		return nil
	}
	if _, listed := o["paymethods"]; !listed {
		return fault.Wrap(fault.WHMCSUnavailable, errors.New("GetPayMethods answered without a list"))
	}
	return fault.New(fault.PaymentMethodMissing, "")
}

// Products returns what is known of the products; one that WHMCS does not list
// is absent from the map. A WHMCS before 8.12 takes no quantity: there every
// product reads QuantityNone.
func (c *Client) Products(ctx context.Context, ids []int64) (map[int64]order.ProductInfo, error) {
	found := map[int64]order.ProductInfo{}
	if len(ids) == 0 {
		return found, nil
	}
	asked := slices.Compact(slices.Sorted(slices.Values(ids)))
	names := make([]string, len(asked))
	for i, id := range asked {
		names[i] = strconv.FormatInt(id, 10)
	}
	o, err := c.read(ctx, "GetProducts", form{{"pid", strings.Join(names, ",")}})
	if err != nil {
		return nil, err
	}
	_, listed := o["products"]
	if total, ok := o.number("totalresults"); !listed && !(ok && total == 0) {
		return nil, fault.Wrap(fault.WHMCSUnavailable, errors.New("GetProducts answered without a list"))
	}
	quantities := false
	for _, row := range o.list("products", "product") {
		pid, ok := row.number("pid")
		if !ok || !slices.Contains(asked, pid) {
			continue
		}
		p := order.ProductInfo{ProductID: pid, Name: plain(row.text("name")), Module: row.text("module"), Cycles: soldCycles(row)}
		c.remember(pid, row)
		if n, ok := row.number("allowqty"); ok && (n == 1 || n == 2) {
			p.Quantity = order.QuantityRule(n)
			quantities = true
		}
		found[pid] = p
	}
	if !quantities {
		return found, nil
	}
	v, err := c.installedVersion(ctx)
	if err != nil {
		return nil, err
	}
	if !v.takesQuantity() {
		for pid, p := range found {
			p.Quantity = order.QuantityNone
			found[pid] = p
		}
	}
	return found, nil
}

// ModuleFailures returns, of the given services, those that stand in the module
// queue, with the module's text. WHMCS removes a row once the action succeeded.
func (c *Client) ModuleFailures(ctx context.Context, serviceIDs []string) (map[string]string, error) {
	failed := map[string]string{}
	if len(serviceIDs) == 0 {
		return failed, nil
	}
	f := form{{"serviceType", "service"}}
	if len(serviceIDs) == 1 {
		f.set("relatedId", serviceIDs[0])
	}
	o, err := c.read(ctx, "GetModuleQueue", f)
	if err != nil {
		return nil, err
	}
	queue := o.list("queue", "item")
	if n, ok := o.number("count"); ok && n != int64(len(queue)) || !ok && len(queue) == 0 {
		return nil, fault.Wrap(fault.WHMCSUnavailable, fmt.Errorf("GetModuleQueue shows %d rows of %s", len(queue), o.text("count")))
	}
	for _, row := range queue {
		id := row.id("serviceId")
		kind := row.text("serviceType")
		if !slices.Contains(serviceIDs, id) || kind != "" && !strings.EqualFold(kind, "service") || row.on("completed") {
			continue
		}
		failed[id] = cmp.Or(tidy(plain(row.text("lastAttemptError"))), "the module gave no text")
	}
	return failed, nil
}
