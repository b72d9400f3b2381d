package salesforce

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// Load reads one order and maps it to what WHMCS is to make.
//
// Errors carry order_not_found, account_not_mapped, reduction_order,
// order_empty, product_not_mapped, billing_cycle_invalid or quantity_invalid
// with a text for the operator, or a salesforce_* code. A permanent error comes
// beside a Request that holds AccountID where the order has one.
func (c *Client) Load(ctx context.Context, id order.ID) (order.Request, error) {
	req, o, items, err := c.fetch(ctx, id)
	if err != nil {
		return req, err
	}
	if err := c.mapInto(&req, o, items); err != nil {
		if code := fault.CodeOf(err); code == fault.AccountNotReadable || code == fault.ProductNotReadable {
			err = c.hidden(ctx, err)
		}
		return order.Request{ID: req.ID, AccountID: req.AccountID}, err
	}
	return req, nil
}

// fetch reads one order with its lines; of the request only what needs no
// mapping is set.
func (c *Client) fetch(ctx context.Context, id order.ID) (req order.Request, o record, items []record, err error) {
	if id.IsZero() {
		return order.Request{}, nil, nil, fault.New(fault.OrderNotFound, "")
	}
	if err := c.braked(); err != nil {
		return order.Request{}, nil, nil, err
	}
	found, err := c.query(ctx, selectOrders(c.cfg.Optional)+" WHERE "+fieldID+" = "+quote(id.String()))
	if err != nil {
		return order.Request{}, nil, nil, err
	}
	if len(found) == 0 {
		return order.Request{}, nil, nil, fault.New(fault.OrderNotFound, "")
	}
	o = found[0]
	req = order.Request{ID: id, WHMCSOrderID: wholeText(o.text(fieldWHMCSOrder))}
	if n, ok := whole(o.text(fieldSeq), 1); ok {
		req.ShownSeq = order.Seq(n)
	}
	if raw := o.text(fieldAccountID); raw != "" {
		account, ok := order.To18(raw)
		if !ok {
			return order.Request{}, nil, nil, fault.Wrap(fault.SalesforceUnavailable, fmt.Errorf("AccountId %.20q is no id", raw))
		}
		req.AccountID = account
	}
	if items, err = c.follow(ctx, o.raw(fieldItems)); err != nil {
		return req, nil, nil, err
	}
	return req, o, items, nil
}

// mapInto is the mapping table: it checks the account first, then the lines in
// their order, and stops at the first thing that a person must correct.
func (c *Client) mapInto(req *order.Request, o record, items []record) error {
	if req.AccountID == "" {
		return &fault.Error{Code: fault.AccountNotMapped, Seen: "The order has no account.", Advice: "Set one on it, then click again."}
	}
	account := o.related(fieldAccount)
	if account == nil { // the order has one that this user may not read
		return &fault.Error{Code: fault.AccountNotReadable, Seen: "The integration user cannot read the account " + req.AccountID + ".", Advice: "Share it with that user, then click again."}
	}
	name, number := oneLine(account.text(fieldName), maxName), account.text(fieldClientID)
	if number == "" {
		return fault.Saw(fault.AccountNotMapped, "The account %s has no WHMCS client id.", name)
	}
	client, ok := whole(number, 1)
	if !ok {
		return fault.Saw(fault.AccountNotMapped, "The account %s has the WHMCS client id %s, which is not a number of 1 or more.", name, oneLine(number, maxValue))
	}
	req.ClientID = client
	if o.text(fieldReduction) == "true" {
		return fault.New(fault.ReductionOrder, "")
	}
	if len(items) == 0 {
		return fault.New(fault.OrderEmpty, "")
	}
	req.PromoCode = o.text(c.cfg.Optional.PromoCode)
	for _, it := range items {
		line, err := c.line(it)
		if err != nil {
			return err
		}
		req.Lines = append(req.Lines, line)
	}
	return nil
}

// hidden judges an account or a product that cannot be read: alone it is the
// fault of this order, and own stands. Where no account, or no product, of the
// orders that were provisioned before can be read either, a permission of the
// installation is lost.
func (c *Client) hidden(ctx context.Context, own error) error {
	accounts, products, err := c.sample(ctx)
	switch account := fault.CodeOf(own) == fault.AccountNotReadable; {
	case err != nil:
		return err
	case account && accounts.readable == 0:
		return accountsHidden()
	case !account && products.readable == 0:
		return productsHidden()
	}
	return own
}

func accountsHidden() error {
	return &fault.Error{Code: fault.SalesforcePermission, Seen: "The integration user cannot read the account of any order.", Advice: "Give it View All on Account, or ask the on-call engineer; orders wait until then."}
}

func productsHidden() error {
	return &fault.Error{Code: fault.SalesforcePermission, Seen: "The integration user cannot read the product of any order.", Advice: "Give it read access to Product2, or ask the on-call engineer; orders wait until then."}
}

// reach is how many related records of a sample there are, and are readable.
type reach struct{ named, readable int }

func (r *reach) add(related record) {
	r.named++
	if related != nil {
		r.readable++
	}
}

// sample counts the accounts and products of orders that were provisioned before.
func (c *Client) sample(ctx context.Context) (accounts, products reach, err error) {
	found, err := c.query(ctx, selectSample)
	for _, o := range found {
		items, err := c.follow(ctx, o.raw(fieldItems))
		if err != nil {
			return accounts, products, err
		}
		accounts.add(o.related(fieldAccount))
		for _, it := range items {
			products.add(it.related(fieldProduct))
		}
	}
	return accounts, products, err
}

const (
	maxName     = 80 // UTF-16 units of a name in a message of 255
	maxValue    = 40
	maxQuantity = 1_000_000
)

func (c *Client) line(it record) (order.Line, error) {
	id, ok := order.To18(it.text(fieldID))
	if !ok {
		return order.Line{}, fault.Wrap(fault.SalesforceUnavailable, fmt.Errorf("OrderItem.Id %.20q is no id", it.text(fieldID)))
	}
	product := it.related(fieldProduct)
	if product == nil {
		return order.Line{}, &fault.Error{Code: fault.ProductNotReadable, Seen: "The integration user cannot read the product of the order product " + id + ".", Advice: "Give that user access to it, then click again."}
	}
	name, number := oneLine(product.text(fieldName), maxName), product.text(fieldProductID)
	if number == "" {
		return order.Line{}, fault.Saw(fault.ProductNotMapped, "The product %s has no WHMCS product id.", name)
	}
	pid, ok := whole(number, 1)
	if !ok {
		return order.Line{}, fault.Saw(fault.ProductNotMapped, "The product %s has the WHMCS product id %s, which is not a number of 1 or more.", name, oneLine(number, maxValue))
	}
	cycle, ok := order.ParseCycle(product.text(fieldCycle))
	if !ok {
		return order.Line{}, fault.Saw(fault.BillingCycleInvalid, "The product %s has %s.", name, cycleText(product.text(fieldCycle)))
	}
	quantity, ok := whole(it.text(fieldQuantity), 1)
	if !ok || quantity > maxQuantity {
		if q := it.text(fieldQuantity); q != "" {
			return order.Line{}, fault.Saw(fault.QuantityInvalid, "The quantity %s of the product %s is not a whole number from 1 to %d.", oneLine(q, maxValue), name, maxQuantity)
		}
		return order.Line{}, fault.Saw(fault.QuantityInvalid, "The product %s has no quantity.", name)
	}
	opt := c.cfg.Optional
	l := order.Line{ItemID: id, ProductID: pid, Cycle: cycle, Quantity: int(quantity), Domain: it.text(opt.Domain), Hostname: it.text(opt.Hostname)}
	for _, f := range []struct {
		name string
		into *map[string]string
	}{{opt.CustomFields, &l.CustomFields}, {opt.ConfigOptions, &l.ConfigOptions}} {
		var err error
		if *f.into, err = object(it.text(f.name)); err != nil {
			return order.Line{}, &fault.Error{Code: fault.ProductNotMapped, Seen: fmt.Sprintf("%s on the line of the product %s is not a JSON object of ids and values.", f.name, name), Advice: "Correct it, then click again."}
		}
	}
	return l, nil
}

// cycleText says which billing cycle a product has that is none of WHMCS's.
func cycleText(s string) string {
	if s == "" {
		return "no billing cycle"
	}
	return "the billing cycle " + oneLine(s, maxValue) + ", which WHMCS does not know"
}

// whole reads a whole number of at least least, written as an integer or as
// Salesforce writes a number field (7.0, 1.2E7).
func whole(s string, least int64) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || f != math.Trunc(f) || math.Abs(f) >= math.MaxInt64 || strings.ContainsAny(s, "xXpP_") {
			return 0, false
		}
		n = int64(f)
	}
	return n, n >= least
}

// wholeText drops the fraction that a number field shows ("991.0").
func wholeText(s string) string {
	if n, ok := whole(s, 1); ok {
		return strconv.FormatInt(n, 10)
	}
	return s
}

// object reads a JSON object of texts, numbers and booleans; "" is none.
func object(s string) (map[string]string, error) {
	if s == "" {
		return nil, nil
	}
	var in map[string]any
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	if err := d.Decode(&in); err != nil {
		return nil, fmt.Errorf("read object: %w", err)
	}
	out := make(map[string]string, len(in))
	for k, v := range in {
		switch x := v.(type) {
		case string:
			out[k] = x
		case json.Number:
			out[k] = x.String()
		case bool:
			out[k] = strconv.FormatBool(x)
		default:
			return nil, fmt.Errorf("read object: %q is neither text, number nor boolean", k)
		}
	}
	return out, nil
}
