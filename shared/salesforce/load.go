package salesforce

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

type wireOrder struct {
	ID        string          `json:"Id"`
	AccountID string          `json:"AccountId"`
	Account   *wireAccount    `json:"Account"`
	Reduction bool            `json:"IsReductionOrder"`
	WHMCSID   loose           `json:"WHMCS_Order_ID__c"`
	Items     *page[wireItem] `json:"OrderItems"`
	extra     map[string]json.RawMessage
}

type wireAccount struct {
	Name     string `json:"Name"`
	ClientID loose  `json:"WHMCS_Client_ID__c"`
}

type wireItem struct {
	ID       string       `json:"Id"`
	Quantity *float64     `json:"Quantity"`
	Product  *wireProduct `json:"Product2"`
	extra    map[string]json.RawMessage
}

type wireProduct struct {
	Name      string `json:"Name"`
	ProductID loose  `json:"WH_Product_ID__c"`
	Cycle     string `json:"Billing_Cycle__c"`
}

// UnmarshalJSON implements json.Unmarshaler; it keeps the optional fields.
func (o *wireOrder) UnmarshalJSON(b []byte) error {
	type plain wireOrder
	if err := json.Unmarshal(b, (*plain)(o)); err != nil {
		return fmt.Errorf("read order: %w", err)
	}
	return json.Unmarshal(b, &o.extra)
}

// UnmarshalJSON implements json.Unmarshaler; it keeps the optional fields.
func (i *wireItem) UnmarshalJSON(b []byte) error {
	type plain wireItem
	if err := json.Unmarshal(b, (*plain)(i)); err != nil {
		return fmt.Errorf("read order product: %w", err)
	}
	return json.Unmarshal(b, &i.extra)
}

// Load reads one order and maps it to what WHMCS is to make.
//
// Errors carry order_not_found, account_not_mapped, reduction_order,
// order_empty, product_not_mapped, billing_cycle_invalid or quantity_invalid
// with a text for the operator, or a salesforce_* code. A permanent error comes
// beside a Request that holds AccountID where the order has one.
func (c *Client) Load(ctx context.Context, id order.ID) (order.Request, error) {
	if id.IsZero() {
		return order.Request{}, fault.New(fault.OrderNotFound, "")
	}
	if err := c.braked(); err != nil {
		return order.Request{}, err
	}
	found, err := query[wireOrder](ctx, c, c.loadQuery()+quote(id.String()))
	if err != nil {
		return order.Request{}, err
	}
	if len(found) == 0 {
		return order.Request{}, fault.New(fault.OrderNotFound, "")
	}
	o := found[0]
	req := order.Request{ID: id, WHMCSOrderID: wholeText(string(o.WHMCSID))}
	if o.AccountID != "" {
		account, ok := order.To18(o.AccountID)
		if !ok {
			return order.Request{}, fault.Wrap(fault.SalesforceUnavailable, fmt.Errorf("AccountId %.20q is no id", o.AccountID))
		}
		req.AccountID = account
	}
	var items []wireItem
	if o.Items != nil {
		if items, err = follow(ctx, c, *o.Items); err != nil {
			return req, err
		}
	}
	return c.mapped(req, o, items)
}

func (c *Client) loadQuery() string {
	heads := []string{"Id", "AccountId", "Account.Name", "Account.WHMCS_Client_ID__c", "IsReductionOrder", "WHMCS_Order_ID__c"}
	lines := []string{"Id", "Quantity", "Product2.Name", "Product2.WH_Product_ID__c", "Product2.Billing_Cycle__c"}
	opt := c.cfg.Optional
	if opt.PromoCode != "" {
		heads = append(heads, opt.PromoCode)
	}
	for _, name := range []string{opt.CustomFields, opt.ConfigOptions, opt.Domain, opt.Hostname} {
		if name != "" {
			lines = append(lines, name)
		}
	}
	return "SELECT " + strings.Join(heads, ", ") +
		", (SELECT " + strings.Join(lines, ", ") + " FROM OrderItems ORDER BY Id)" +
		" FROM Order" + whereID
}

const whereID = " WHERE Id = "

// mapped is the mapping table: it checks the account first, then the lines in
// their order, and stops at the first thing that a person must mend.
func (c *Client) mapped(req order.Request, o wireOrder, items []wireItem) (order.Request, error) {
	refuse := func(code fault.Code, format string, args ...any) (order.Request, error) {
		return order.Request{ID: req.ID, AccountID: req.AccountID}, fault.New(code, fmt.Sprintf(format, args...))
	}
	switch {
	case o.AccountID == "":
		return refuse(fault.AccountNotMapped, "Set an account on the order, then click again: it has none.")
	case o.Account == nil:
		// The order has an account that this user may not read: sharing, not data.
		return order.Request{ID: req.ID, AccountID: req.AccountID}, fault.Wrap(fault.SalesforcePermission, fmt.Errorf("account %s is not readable: the integration user needs View All on Account", req.AccountID))
	case o.Account.ClientID == "":
		return refuse(fault.AccountNotMapped, "Set WHMCS_Client_ID__c on the account %s, then click again: it is empty.", clean(o.Account.Name, maxName))
	}
	client, ok := whole(string(o.Account.ClientID), math.MaxInt64)
	if !ok {
		return refuse(fault.AccountNotMapped, "Correct WHMCS_Client_ID__c on the account %s, then click again: %s is not a client number.", clean(o.Account.Name, maxName), clean(string(o.Account.ClientID), maxValue))
	}
	req.ClientID = client
	if o.Reduction {
		return refuse(fault.ReductionOrder, "Order anew instead: reduction orders are not provisioned.")
	}
	if len(items) == 0 {
		return refuse(fault.OrderEmpty, "Add products to the order, then click again: it has no lines.")
	}
	opt := c.cfg.Optional
	req.PromoCode = text(o.extra, opt.PromoCode)
	for _, it := range items {
		line, bad := c.line(it)
		if bad != nil {
			return order.Request{ID: req.ID, AccountID: req.AccountID}, bad
		}
		req.Lines = append(req.Lines, line)
	}
	return req, nil
}

const (
	maxName     = 80 // runes of a name in a message of 255
	maxValue    = 40
	maxQuantity = 1_000_000
)

func (c *Client) line(it wireItem) (order.Line, error) {
	bad := func(code fault.Code, format string, args ...any) (order.Line, error) {
		return order.Line{}, fault.New(code, fmt.Sprintf(format, args...))
	}
	id, ok := order.To18(it.ID)
	if !ok {
		return order.Line{}, fault.Wrap(fault.SalesforceUnavailable, fmt.Errorf("OrderItem.Id %.20q is no id", it.ID))
	}
	if it.Product == nil {
		return order.Line{}, fault.Wrap(fault.SalesforcePermission, fmt.Errorf("product of order product %s is not readable: the integration user needs read access to Product2", id))
	}
	name := clean(it.Product.Name, maxName)
	if it.Product.ProductID == "" {
		return bad(fault.ProductNotMapped, "Set WH_Product_ID__c on the product %s, then click again: it is empty.", name)
	}
	pid, ok := whole(string(it.Product.ProductID), math.MaxInt64)
	if !ok {
		return bad(fault.ProductNotMapped, "Correct WH_Product_ID__c on the product %s, then click again: %s is not a product number.", name, clean(string(it.Product.ProductID), maxValue))
	}
	cycle, ok := billingCycle(it.Product.Cycle)
	if !ok {
		return bad(fault.BillingCycleInvalid, "Correct Billing_Cycle__c on the product %s, then click again: %s is not a billing cycle of WHMCS.", name, shown(it.Product.Cycle))
	}
	if it.Quantity == nil || *it.Quantity < 1 || *it.Quantity > maxQuantity || *it.Quantity != math.Trunc(*it.Quantity) {
		q := "it is empty"
		if it.Quantity != nil {
			q = strconv.FormatFloat(*it.Quantity, 'g', 10, 64) + " is not a whole number of 1 or more"
		}
		return bad(fault.QuantityInvalid, "Correct the quantity of the product %s, then click again: %s.", name, q)
	}
	opt := c.cfg.Optional
	line := order.Line{ItemID: id, ProductID: pid, Cycle: cycle, Quantity: int(*it.Quantity), Domain: text(it.extra, opt.Domain), Hostname: text(it.extra, opt.Hostname)}
	var err error
	if line.CustomFields, err = object(text(it.extra, opt.CustomFields)); err != nil {
		return bad(fault.ProductNotMapped, "Correct %s on the line of product %s, then click again: it is not a JSON object of ids and values.", opt.CustomFields, name)
	}
	if line.ConfigOptions, err = object(text(it.extra, opt.ConfigOptions)); err != nil {
		return bad(fault.ProductNotMapped, "Correct %s on the line of product %s, then click again: it is not a JSON object of ids and values.", opt.ConfigOptions, name)
	}
	return line, nil
}

func shown(s string) string {
	if strings.TrimSpace(s) == "" {
		return "an empty one"
	}
	return clean(s, maxValue)
}

var cycles = []order.Cycle{order.Monthly, order.OneTime, order.Quarterly, order.SemiAnnually, order.Annually, order.Biennially, order.Triennially, order.Free}

// billingCycle maps a picklist value; "One-time" is the one spelling of
// Salesforce's that differs from WHMCS's by more than its case.
func billingCycle(s string) (order.Cycle, bool) {
	low := strings.ToLower(strings.TrimSpace(s))
	if low == "one-time" {
		return order.OneTime, true
	}
	c := order.Cycle(low)
	return c, slices.Contains(cycles, c)
}

// whole reads a positive whole number, written as an integer or as Salesforce
// writes a number field (7.0, 1.2E7).
func whole(s string, most int64) (int64, bool) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, n >= 1 && n <= most
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f != math.Trunc(f) || f < 1 || f >= 1<<53 || int64(f) > most || strings.ContainsAny(s, "xXpP_") {
		return 0, false
	}
	return int64(f), true
}

// wholeText drops the fraction that a number field shows ("991.0").
func wholeText(s string) string {
	if n, ok := whole(s, math.MaxInt64); ok {
		return strconv.FormatInt(n, 10)
	}
	return s
}

func text(extra map[string]json.RawMessage, name string) string {
	if name == "" {
		return ""
	}
	for k, raw := range extra {
		if strings.EqualFold(k, name) {
			var l loose
			if err := l.UnmarshalJSON(raw); err == nil {
				return string(l)
			}
		}
	}
	return ""
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
