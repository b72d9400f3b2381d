package whmcs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// pageSize is limitnum of every list. WHMCS documents no maximum; the next
// page starts after what really came, so a smaller one of its own does no harm.
const pageSize = 100

// maxPages bounds one listing: with pageSize, 100,000 rows.
const maxPages = 1000

// pages reads a list page by page. It is complete when every page named the
// same total and as many rows with different ids came: a list that is changed
// while it is read shifts its pages, which either hides a row or shows one twice.
type pages struct {
	total    int64 // that the first page named
	last     int64 // that the last page named
	steady   bool
	torn     bool // a total fell, or a row has no id: the list did more than grow
	complete bool
	rows     map[string]object // by id
}

// add takes one page in and returns how many rows it had.
func (p *pages) add(o object, plural, singular string) (int, error) {
	total, ok := o.number("totalresults")
	if !ok || total < 0 {
		return 0, errors.New("a list without totalresults")
	}
	if p.rows == nil {
		p.rows, p.total, p.last, p.steady = map[string]object{}, total, total, true
	}
	p.steady = p.steady && total == p.total
	p.torn = p.torn || total < p.last
	p.last = total
	list := o.list(plural, singular)
	for _, row := range list {
		id := row.id("id")
		if id == "" {
			p.steady, p.torn = false, true
			continue
		}
		p.rows[id] = row
	}
	p.complete = p.steady && int64(len(p.rows)) == p.total
	return len(list), nil
}

func (c *Client) list(ctx context.Context, action, plural, singular string, filter form) (pages, error) {
	var p pages
	start := 0
	for range maxPages {
		o, err := c.read(ctx, action, page(filter, start))
		if err != nil {
			return pages{}, err
		}
		n, err := p.add(o, plural, singular)
		if err != nil {
			return pages{}, fault.Wrap(fault.WHMCSUnavailable, fmt.Errorf("%s: %w", action, err))
		}
		start += n
		if n == 0 || int64(start) >= p.total {
			return p, nil
		}
	}
	p.complete = false
	return p, nil
}

func page(filter form, start int) form {
	return append(slices.Clone(filter), number("limitstart", int64(start)), number("limitnum", pageSize))
}

// List reads one complete listing of the orders of a client, all pages, without
// services, deduplicated by id, newest id first, whatever order WHMCS lists
// them in. complete=false: the list changed while it was read, or the count
// did not equal totalresults.
func (c *Client) List(ctx context.Context, clientID int64) ([]order.BillingOrder, bool, error) {
	p, err := c.list(ctx, "GetOrders", "orders", "order", form{number("userid", clientID)})
	if err != nil {
		return nil, false, err
	}
	return c.assemble(ctx, p.rows, p.complete)
}

// ListSince reads the orders of every client whose date is not before the day
// of since (UTC; WHMCS's dates are in its own zone, so the caller goes back a
// day), as List does. An order without a readable date counts as young.
//
// WHMCS cannot filter by date and documents no order of the list. Where the
// ids fall strictly from page to page, and the last page lies below what was
// read, the reading ends at the first page that is too old throughout;
// otherwise every page is read.
//
// A list of falling ids may grow while it is read: a WHMCS at work gets orders
// all the time. They come in front, which shows rows twice and hides none: a row
// is hidden only when more go than come between two pages, and then the total
// falls.
func (c *Client) ListSince(ctx context.Context, since time.Time) ([]order.BillingOrder, bool, error) {
	r := sinceReading{c: c, day: since.UTC().Truncate(24 * time.Hour), falling: true, young: map[string]object{}}
	complete, err := r.walk(ctx)
	if err != nil {
		return nil, false, err
	}
	delete(r.young, "")
	return c.assemble(ctx, r.young, complete)
}

// sinceReading is one reading of the newest orders of every client.
type sinceReading struct {
	c       *Client
	day     time.Time
	p       pages
	young   map[string]object
	falling bool  // the ids of new rows fell so far
	lowest  int64 // id of the last new row
}

// page reads one page. old: it has rows, and every one is too old.
func (r *sinceReading) page(ctx context.Context, from int) (rows []object, old bool, err error) {
	o, err := r.c.read(ctx, "GetOrders", page(nil, from))
	if err != nil {
		return nil, false, err
	}
	rows = o.list("orders", "order")
	seen := map[string]bool{}
	for _, row := range rows {
		id := row.id("id")
		_, seen[id] = r.p.rows[id]
	}
	if _, err := r.p.add(o, "orders", "order"); err != nil {
		return nil, false, fault.Wrap(fault.WHMCSUnavailable, fmt.Errorf("GetOrders: %w", err))
	}
	old = len(rows) > 0
	for _, row := range rows {
		id := row.id("id")
		if n, ok := row.number("id"); !seen[id] {
			r.falling = r.falling && ok && (r.lowest == 0 || n < r.lowest)
			r.lowest = n
		}
		if when, ok := date(row); !ok || !when.Before(r.day) {
			r.young[id] = row
			old = false
		} else if id != "" {
			r.p.rows[id] = nil // counted; the list of a whole installation is long
		}
	}
	return rows, old, nil
}

// walk reads page by page and reports whether the listing is complete.
func (r *sinceReading) walk(ctx context.Context) (bool, error) {
	start := 0
	for range maxPages {
		rows, old, err := r.page(ctx, start)
		if err != nil {
			return false, err
		}
		start += len(rows)
		if len(rows) == 0 || int64(start) >= r.p.last {
			grew := r.falling && !r.p.torn && int64(len(r.p.rows)) >= r.p.total
			return r.p.complete || grew, nil
		}
		if !old || !r.falling {
			continue
		}
		edge := r.lowest
		tail, older, err := r.page(ctx, max(start, int(r.p.last)-pageSize))
		if err != nil {
			return false, err
		}
		for _, row := range tail {
			n, ok := row.number("id")
			older = older && ok && n < edge
		}
		if older {
			return !r.p.torn, nil
		}
		r.falling = false // not a list of falling ids after all: read it whole
	}
	return false, nil
}

// Order reads one WHMCS order with its services, following pages. The services
// are those of the client that WHMCS now says owns the order (clients can be
// merged); clientID is asked when WHMCS names none. ok=false: WHMCS has no such
// order.
func (c *Client) Order(ctx context.Context, whmcsOrderID string, clientID int64) (order.BillingOrder, bool, error) {
	n, ok := phpInteger(whmcsOrderID)
	if !ok || n <= 0 {
		return order.BillingOrder{}, false, nil
	}
	p, err := c.list(ctx, "GetOrders", "orders", "order", form{number("id", n)})
	if fault.CodeOf(err) == fault.StateChanged { // "Order ID Not Found"
		return order.BillingOrder{}, false, nil
	}
	if err != nil {
		return order.BillingOrder{}, false, err
	}
	row, ok := p.rows[whmcsOrderID]
	if !ok {
		if !p.complete || p.total > 0 {
			return order.BillingOrder{}, false, fault.Wrap(fault.ListingUnstable, errors.New("GetOrders by id shows other orders"))
		}
		return order.BillingOrder{}, false, nil
	}
	found := c.parseOrder(row)
	found.ClientID = cmp.Or(found.ClientID, clientID)
	services, complete, err := c.services(ctx, found.ClientID)
	if err != nil {
		return order.BillingOrder{}, false, err
	}
	if !complete {
		return order.BillingOrder{}, false, fault.Wrap(fault.ListingUnstable, errors.New("GetClientsProducts changed while it was read"))
	}
	for _, s := range services {
		if s.id("orderid") != whmcsOrderID {
			continue
		}
		service := parseService(s)
		if service.ConfigOptions, err = c.configOptions(ctx, s); err != nil {
			return order.BillingOrder{}, false, err
		}
		found.Services = append(found.Services, service)
		if found.Marker == "" {
			found.Marker = c.fieldMarker(s)
		}
	}
	return found, true, nil
}

// assemble turns rows of GetOrders into orders, newest id first. With the marker in
// a custom field it reads the services of each client too, because the field
// belongs to the service.
func (c *Client) assemble(ctx context.Context, rows map[string]object, complete bool) ([]order.BillingOrder, bool, error) {
	all := make([]order.BillingOrder, 0, len(rows))
	for _, row := range rows {
		all = append(all, c.parseOrder(row))
	}
	slices.SortFunc(all, func(a, b order.BillingOrder) int { return compareIDs(b.ID, a.ID) })
	if len(c.fields) == 0 {
		return all, complete, nil
	}
	markers := map[string]order.Marker{} // by order id
	read := map[int64]bool{}
	for _, m := range all {
		if read[m.ClientID] {
			continue
		}
		read[m.ClientID] = true
		services, whole, err := c.services(ctx, m.ClientID)
		if err != nil {
			return nil, false, err
		}
		complete = complete && whole
		for _, s := range services {
			if m := c.fieldMarker(s); m != "" && markers[s.id("orderid")] == "" {
				markers[s.id("orderid")] = m
			}
		}
	}
	for i := range all {
		all[i].Marker = markers[all[i].ID]
	}
	return all, complete, nil
}

// services reads all services of a client, by id in ascending order: WHMCS
// numbers them as it makes them, line by line.
func (c *Client) services(ctx context.Context, clientID int64) ([]object, bool, error) {
	p, err := c.list(ctx, "GetClientsProducts", "products", "product", form{number("clientid", clientID)})
	if err != nil {
		return nil, false, err
	}
	all := slices.SortedFunc(maps.Values(p.rows), func(a, b object) int { return compareIDs(a.id("id"), b.id("id")) })
	return all, p.complete, nil
}

func (c *Client) parseOrder(row object) order.BillingOrder {
	m := order.BillingOrder{ID: row.id("id"), Status: order.BillingStatus(row.text("status"))}
	m.ClientID, _ = row.number("userid")
	m.Date, _ = date(row)
	if _, there := row["promocode"]; there {
		m.PromoCode, m.PromoKnown = plain(row.text("promocode")), true
	}
	if len(c.fields) == 0 {
		m.Marker = order.ReadMarker(plain(row.text("notes")))
	}
	return m
}

func parseService(row object) order.BillingService {
	s := order.BillingService{ID: row.id("id"), Cycle: cycleOf(row.text("billingcycle")), Status: row.text("status"), Quantity: 1}
	s.ProductID, _ = row.number("pid")
	if n, ok := row.number("qty"); ok && n > 1 { // absent before 8.12
		s.Quantity = int(n)
	}
	s.Domain = plain(row.text("domain"))
	if _, there := row["customfields"]; there {
		s.CustomFields = map[string]string{}
		for _, f := range row.child("customfields").list("customfield", "") {
			s.CustomFields[f.id("id")] = plain(f.text("value"))
		}
	}
	return s
}

// cycleOf reads the display form of a billing cycle ("Semi-Annually"); one that
// is not known stays as it is, and matches no plan.
func cycleOf(shown string) order.Cycle {
	if c, ok := order.ParseCycle(shown); ok {
		return c
	}
	return order.Cycle(shown)
}

// fieldMarker reads the marker of a service's custom fields.
func (c *Client) fieldMarker(row object) order.Marker {
	for _, f := range row.child("customfields").list("customfield", "") {
		if slices.Contains(c.fields, f.id("id")) {
			if m := order.ReadMarker(plain(f.text("value"))); m != "" {
				return m
			}
		}
	}
	return ""
}

// date reads an order's date, "2006-01-02 15:04:05" in WHMCS's zone, as if it
// were UTC.
func date(row object) (time.Time, bool) {
	t, err := time.Parse("2006-01-02", strings.TrimSpace(order.Cut(row.text("date"), 10)))
	if err != nil {
		return time.Time{}, false
	}
	if whole, err := time.Parse(time.DateTime, row.text("date")); err == nil {
		t = whole
	}
	return t, true
}

func compareIDs(a, b string) int {
	x, _ := strconv.ParseInt(a, 10, 64)
	y, _ := strconv.ParseInt(b, 10, 64)
	return cmp.Compare(x, y)
}
