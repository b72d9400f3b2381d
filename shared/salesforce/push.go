package salesforce

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// Limits of one update call (REST API Developer Guide): rows of a collection,
// collections of a composite.
const (
	rowsPerCollection  = 200
	collectionsPerCall = 5
	MaxRows            = rowsPerCollection * collectionsPerCall // of one Update
	idsPerQuery        = 300                                    // keeps the URL below 16,384 bytes
)

type subrequest struct {
	Method string `json:"method"`
	URL    string `json:"url"`
	Ref    string `json:"referenceId"`
	Body   struct {
		AllOrNone bool  `json:"allOrNone"`
		Records   []row `json:"records"`
	} `json:"body"`
}

type composite struct {
	AllOrNone bool         `json:"allOrNone"`
	Requests  []subrequest `json:"compositeRequest"`
}

type subanswer struct {
	Body   json.RawMessage `json:"body"`
	Status int             `json:"httpStatusCode"`
	Ref    string          `json:"referenceId"`
}

type compositeAnswer struct {
	Responses []subanswer `json:"compositeResponse"`
}

// Update shows up to MaxRows rows in one API call, each on its own. It returns
// one error or nil per row, in their order, or an error for the whole call:
// then nothing is known of any row. Repeating it is harmless.
//
// The codes of a row: salesforce_row_locked, salesforce_limit_exceeded (a
// governor limit of the org's own code: fewer rows would fit),
// salesforce_unavailable, salesforce_row_unclear (a reason that is not known
// here), salesforce_permission_lost, salesforce_stale (the org shows a newer
// seq), salesforce_row_refused. Vendor holds the org's reason.
func (c *Client) Update(ctx context.Context, shown []order.Shown) ([]error, error) {
	if len(shown) == 0 {
		return nil, nil
	}
	if len(shown) > MaxRows {
		return nil, fault.Wrap(fault.Internal, fmt.Errorf("%d rows in one update, the most are %d", len(shown), MaxRows))
	}
	if err := c.braked(); err != nil {
		return nil, err
	}
	rows := make([]row, len(shown))
	for i, x := range shown {
		rows[i] = rowOf(x)
	}
	var body composite
	for part := range slices.Chunk(rows, rowsPerCollection) {
		sub := subrequest{Method: http.MethodPatch, URL: c.base() + "/composite/sobjects", Ref: "rows" + strconv.Itoa(len(body.Requests))}
		sub.Body.Records = part
		body.Requests = append(body.Requests, sub)
	}
	var out compositeAnswer
	if err := c.data(ctx, http.MethodPost, c.base()+"/composite", body, &out); err != nil {
		return nil, err
	}
	results := make([]error, 0, len(rows))
	for _, req := range body.Requests {
		results = append(results, c.collectionResults(req, out)...)
	}
	return results, nil
}

func (c *Client) collectionResults(req subrequest, out compositeAnswer) []error {
	all := make([]error, len(req.Body.Records))
	fill := func(err error) []error {
		for i := range all {
			all[i] = err
		}
		return all
	}
	i := slices.IndexFunc(out.Responses, func(r subanswer) bool { return r.Ref == req.Ref })
	if i < 0 {
		return fill(fault.Wrap(fault.SalesforceUnavailable, fmt.Errorf("composite answer lacks %s", req.Ref)))
	}
	sub := out.Responses[i]
	// A row that is refused without being named takes its whole collection
	// along: a smaller one loses fewer.
	if err := classify(sub.Status, "", sub.Body, fault.SalesforceLimit); err != nil {
		return fill(err)
	}
	var saved []struct {
		Success bool        `json:"success"`
		Errors  []wireError `json:"errors"`
	}
	if err := json.Unmarshal(sub.Body, &saved); err != nil || len(saved) != len(all) {
		return fill(fault.Wrap(fault.SalesforceUnavailable, fmt.Errorf("collection answer has %d rows, want %d", len(saved), len(all))))
	}
	for i, s := range saved {
		switch {
		case s.Success:
		case len(s.Errors) == 0:
			all[i] = fault.Wrap(fault.SalesforceUnavailable, errors.New("row refused without an error"))
		default:
			all[i] = rowError(s.Errors)
		}
	}
	return all
}

// rowError picks of a row's errors the one that decides: stale before what a
// person must correct, that before what passes by itself.
func rowError(all []wireError) error {
	rank := func(e wireError) int {
		switch code := e.of(fault.SalesforceRowUnclear); {
		case code == fault.SalesforceStale:
			return 0
		case code.Kind() == fault.Config:
			return 1
		case code.Kind() == fault.Permanent:
			return 2
		}
		return 3
	}
	best := slices.MinFunc(all, func(a, b wireError) int { return cmp.Compare(rank(a), rank(b)) })
	return best.as(best.of(fault.SalesforceRowUnclear), 0)
}

// Probe checks that the org answers, that the credentials hold, that every
// field that Load reads is there, that accounts and products can be read at
// all, and that every field that Update writes may be written.
// salesforce_permission_lost names the fields that may not.
func (c *Client) Probe(ctx context.Context) error {
	if err := c.braked(); err != nil {
		return err
	}
	var found page
	if err := c.data(ctx, http.MethodGet, c.base()+"/query?q="+url.QueryEscape(selectOrders(c.cfg.Optional)+" LIMIT 1"), nil, &found); err != nil {
		return err
	}
	switch accounts, products, err := c.sample(ctx); {
	case err != nil:
		return err
	case accounts.named > 0 && accounts.readable == 0:
		return accountsHidden()
	case products.named > 0 && products.readable == 0:
		return productsHidden()
	}
	may := map[string]bool{} // by object and field: there, and writable
	for _, object := range []string{objectOrder, objectItem} {
		fields, err := c.describe(ctx, object)
		if err != nil {
			return err
		}
		for name, writable := range fields {
			may[object+"."+name] = writable
		}
	}
	var lost []string
	for _, f := range written {
		if name := f.object + "." + f.name; !may[name] {
			lost = append(lost, name)
		}
	}
	if len(lost) > 0 {
		return fault.New(fault.SalesforcePermission, fmt.Sprintf("Give the integration user the permission set OrderBridge_Integration: these fields are not there or not writable: %s. Orders wait until then.", strings.Join(lost, ", ")))
	}
	return nil
}

// describe returns the fields of an object that the user sees, and whether each
// may be written.
func (c *Client) describe(ctx context.Context, object string) (fields map[string]bool, err error) {
	var out struct {
		Fields []struct {
			Name       string `json:"name"`
			Updateable bool   `json:"updateable"`
		} `json:"fields"`
	}
	if err := c.data(ctx, http.MethodGet, c.base()+"/sobjects/"+object+"/describe", nil, &out); err != nil {
		return nil, err
	}
	fields = make(map[string]bool, len(out.Fields))
	for _, f := range out.Fields {
		fields[f.Name] = f.Updateable
	}
	return fields, nil
}

// Shows returns what the org shows of each order. An order that the org does
// not have is absent.
func (c *Client) Shows(ctx context.Context, ids []order.ID) (map[order.ID]order.View, error) {
	if err := c.braked(); err != nil {
		return nil, err
	}
	all := make(map[order.ID]order.View, len(ids))
	for part := range slices.Chunk(ids, idsPerQuery) {
		quoted := make([]string, len(part))
		for i, id := range part {
			quoted[i] = quote(id.String())
		}
		err := c.views(ctx, selectShown+fieldID+" IN ("+strings.Join(quoted, ",")+")", func(v order.View) { all[v.ID] = v })
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Changed returns what the org shows of the orders that may differ from the
// table: those Activating whose last push is older than quiet (or that never
// saw one), and those with an end that anything changed in the org since since.
// There is no limit to their number.
func (c *Client) Changed(ctx context.Context, quiet, since time.Time) (map[order.ID]order.View, error) {
	if err := c.braked(); err != nil {
		return nil, err
	}
	all := map[order.ID]order.View{}
	err := c.views(ctx, selectShown+
		"("+fieldStatus+" = "+quote(string(order.StatusActivating))+" AND ("+fieldAt+" = null OR "+fieldAt+" < "+literal(quiet)+"))"+
		" OR ("+fieldStatus+" IN ("+quote(string(order.StatusProvisioned))+","+quote(string(order.StatusFailed))+") AND "+fieldModified+" > "+literal(since)+")",
		func(v order.View) { all[v.ID] = v })
	if err != nil {
		return nil, err
	}
	return all, nil
}

// views hands over the orders that a query of selectShown finds.
func (c *Client) views(ctx context.Context, soql string, take func(order.View)) error {
	return c.each(ctx, soql, func(page []record) error {
		for _, r := range page {
			v, err := c.view(ctx, r)
			if err != nil {
				return err
			}
			take(v)
		}
		return nil
	})
}

func (c *Client) view(ctx context.Context, r record) (order.View, error) {
	id, err := order.ParseID(r.text(fieldID))
	if err != nil {
		return order.View{}, fault.Wrap(fault.SalesforceUnavailable, fmt.Errorf("Order.Id %.20q: %w", r.text(fieldID), err))
	}
	items, err := c.follow(ctx, r.raw(fieldItems))
	if err != nil {
		return order.View{}, err
	}
	v := order.View{Shown: order.Shown{
		ID: id, Status: order.Status(r.text(fieldStatus)), Code: fault.Code(r.text(fieldErrorCode)), WHMCSOrderID: wholeText(r.text(fieldWHMCSOrder)),
	}}
	for _, row := range append(items, r) {
		seq, ok := whole(cmp.Or(row.text(fieldSeq), "0"), 0)
		if !ok {
			return order.View{}, fault.New(fault.SalesforcePermission, fmt.Sprintf("Make %s a number field: that of %s is %.40q, not a whole number.", fieldSeq, id, row.text(fieldSeq)))
		}
		v.Seq = max(v.Seq, order.Seq(seq))
	}
	for _, it := range items {
		item, ok := order.To18(it.text(fieldID))
		if services := it.text(fieldServices); ok && services != "" {
			v.Items = append(v.Items, order.Shown{ID: id, Item: item, Services: strings.Split(services, ",")})
		}
	}
	return v, nil
}
