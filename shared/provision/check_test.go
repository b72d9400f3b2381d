package provision_test

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/provision"
	"orderbridge/shared/provision/provisiontest"
)

// counter is Salesforce and WHMCS as a check meets them.
type counter struct {
	provision.Orders
	provision.Billing
	provision.Breaker
	req      order.Request
	problems []error
	client   error
	products map[int64]order.ProductInfo
	held     map[string]order.Marker
}

func (c counter) Examine(context.Context, order.ID) (order.Request, []error) {
	return c.req, c.problems
}
func (c counter) Probe(context.Context) error         { return nil }
func (c counter) Client(context.Context, int64) error { return c.client }
func (c counter) Products(context.Context, []int64) (map[int64]order.ProductInfo, error) {
	return c.products, nil
}
func (c counter) Order(_ context.Context, id string, _ int64) (order.BillingOrder, bool, error) {
	m, ok := c.held[id]
	return order.BillingOrder{ID: id, Marker: m}, ok, nil
}

// wall is a clock that nobody asks.
type wall struct{}

func (wall) Now() time.Time                             { return time.Time{} }
func (wall) Sleep(context.Context, time.Duration) error { return nil }

func TestACheckNamesEveryReason(t *testing.T) {
	id, err := order.ParseID("801000000000001AAA")
	if err != nil {
		t.Fatal(err)
	}
	line := func(pid int64, quantity int) order.Line {
		return order.Line{ItemID: "802000000000001AAA", ProductID: pid, Cycle: order.Monthly, Quantity: quantity}
	}
	products := map[int64]order.ProductInfo{3: {ProductID: 3, Name: "Hosting"}}
	req := order.Request{ID: id, AccountID: "001000000000001AAA", ClientID: 42, Lines: []order.Line{line(3, 1)}}
	with := func(change func(*counter)) counter {
		c := counter{req: req, products: products}
		change(&c)
		return c
	}
	for name, c := range map[string]struct {
		counter
		rec  order.Record
		want []fault.Code // none: it would be ordered
	}{
		"nothing is wrong": {counter: with(func(*counter) {})},
		"the mapping and the client": {counter: with(func(c *counter) {
			c.problems, c.client = []error{fault.New(fault.BillingCycleInvalid, "")}, fault.New(fault.WHMCSClientClosed, "")
		}), want: []fault.Code{fault.BillingCycleInvalid, fault.WHMCSClientClosed}},
		"two products that WHMCS does not have": {counter: with(func(c *counter) { c.req.Lines = []order.Line{line(3, 1), line(8, 1), line(9, 1)} }),
			want: []fault.Code{fault.ProductNotMapped, fault.ProductNotMapped}},
		"a quantity that makes too many rows": {counter: with(func(c *counter) { c.req.Lines = []order.Line{line(3, 100_000)} }), want: []fault.Code{fault.QuantityInvalid}},
		"texts that the table could not keep": {counter: with(func(c *counter) {
			large := line(3, 1)
			large.CustomFields = map[string]string{"1": strings.Repeat("x", 300<<10)}
			c.req.Lines = []order.Line{large}
		}), want: []fault.Code{fault.NotProcessable}},
		"a clone's WHMCS order": {counter: with(func(c *counter) {
			c.req.WHMCSOrderID, c.held = "77", map[string]order.Marker{"77": "801000000000002AAA"}
		}), want: []fault.Code{fault.WHMCSIDForeign}},
		"a WHMCS order that is gone": {counter: with(func(c *counter) { c.req.WHMCSOrderID = "77" }), want: []fault.Code{fault.WHMCSIDForeign}},
		"its own WHMCS order": {counter: with(func(c *counter) {
			c.req.WHMCSOrderID, c.held = "77", map[string]order.Marker{"77": order.Marker(id.String())}
		})},
		"a WHMCS order that the table knows": {counter: with(func(c *counter) { c.req.WHMCSOrderID = "77" }), rec: order.Record{ID: id, WHMCSOrderID: "77"}},
		"Salesforce does not answer":         {counter: counter{problems: []error{fault.New(fault.SalesforceUnavailable, "")}}, want: []fault.Code{fault.SalesforceUnavailable}},
	} {
		t.Run(name, func(t *testing.T) {
			engine, err := provision.New(provision.Deps{
				Store: provisiontest.NewMemory(), Orders: c.counter, Billing: c.counter, WHMCS: c.counter, Salesforce: c.counter, Clock: wall{}, Log: slog.New(slog.DiscardHandler),
			}, usual())
			if err != nil {
				t.Fatal(err)
			}
			got := engine.Check(t.Context(), c.counter, id, c.rec)
			var codes []fault.Code
			for _, p := range got.Problems {
				codes = append(codes, fault.CodeOf(p))
			}
			if !slices.Equal(codes, c.want) || (got.Plan != nil) != (len(c.want) == 0) {
				t.Errorf("problems %q, a plan: %t", codes, got.Plan != nil)
			}
		})
	}
}
