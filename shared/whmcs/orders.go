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

// fieldPageSize is limitnum of a list of orders whose marker is in a custom
// field: each order asks for a read of its own, and a page must fit in what is
// left of a lease.
const fieldPageSize = 20

// Page reads the page of a listing that it wants next. With the marker in a
// custom field it reads that of each order that the listing looks for, by the
// order's services.
func (c *Client) Page(ctx context.Context, l order.Listing) (order.Page, error) {
	f := form{number("limitstart", int64(l.Start)), number("limitnum", pageSize)}
	if len(c.fields) > 0 {
		f.set("limitnum", strconv.Itoa(fieldPageSize))
	}
	if l.ClientID > 0 {
		f = append(f, number("userid", l.ClientID))
	}
	rows, total, err := c.list(ctx, "GetOrders", "orders", "order", f)
	if err != nil {
		return order.Page{}, err
	}
	p := order.Page{Total: total, Orders: make([]order.BillingOrder, 0, len(rows))}
	for _, row := range rows {
		m := c.parseOrder(row)
		if len(c.fields) > 0 && !l.Old(m) {
			if m, err = c.withFieldMarker(ctx, m, row); err != nil {
				return order.Page{}, err
			}
		}
		p.Orders = append(p.Orders, m)
	}
	return p, nil
}

// list reads one page of a list, and the total that it names.
func (c *Client) list(ctx context.Context, action, plural, singular string, f form) ([]object, int, error) {
	o, err := c.read(ctx, action, f)
	if err != nil {
		return nil, 0, err
	}
	total, ok := o.number("totalresults")
	if !ok || total < 0 {
		return nil, 0, fault.Wrap(fault.WHMCSUnavailable, fmt.Errorf("%s: a list without totalresults", action))
	}
	return o.list(plural, singular), int(total), nil
}

// seenFor is how long an id that WHMCS gave is a good answer of Newest: within
// it a process at work asks nothing, and no WHMCS is restored from a backup and
// back at work.
const seenFor = 10 * time.Minute

// Newest returns an id that WHMCS had already given to an order when it was
// asked: each later order has a higher one. It is the highest that this client
// saw in the last minutes; else WHMCS is asked for the front of its list and,
// where that rises, for its end. 0: it has no order.
func (c *Client) Newest(ctx context.Context) (int64, error) {
	now := c.clock()
	c.mu.Lock()
	id, fresh := c.newest, now.Sub(c.newestAt) < seenFor
	c.mu.Unlock()
	if fresh {
		return id, nil
	}
	front, total, err := c.edge(ctx, 0)
	if err != nil || len(front) < 2 || front[0] > front[1] {
		return slices.Max(append(front, 0)), err
	}
	end, _, err := c.edge(ctx, total-1)
	return slices.Max(append(end, front...)), err
}

// edge returns the ids of two rows of the list of all orders, and its total.
func (c *Client) edge(ctx context.Context, start int) (ids []int64, total int, err error) {
	rows, total, err := c.list(ctx, "GetOrders", "orders", "order", form{number("limitstart", int64(start)), number("limitnum", 2)})
	for _, row := range rows {
		ids = append(ids, c.parseOrder(row).Number())
	}
	return ids, total, err
}

// saw notes an id that WHMCS has given to an order.
func (c *Client) saw(id int64) {
	now := c.clock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if id >= c.newest || now.Sub(c.newestAt) >= seenFor {
		c.newest, c.newestAt = id, now
	}
}

// Order reads one WHMCS order with its services. clientID is asked when WHMCS
// names none (clients can be merged). ok=false: WHMCS has no such order.
func (c *Client) Order(ctx context.Context, whmcsOrderID string, clientID int64) (order.BillingOrder, bool, error) {
	n, ok := phpInteger(whmcsOrderID)
	if !ok || n <= 0 {
		return order.BillingOrder{}, false, nil
	}
	rows, total, err := c.list(ctx, "GetOrders", "orders", "order", form{number("id", n)})
	if fault.CodeOf(err) == fault.StateChanged { // "Order ID Not Found"
		return order.BillingOrder{}, false, nil
	}
	if err != nil {
		return order.BillingOrder{}, false, err
	}
	i := slices.IndexFunc(rows, func(row object) bool { return row.id("id") == whmcsOrderID })
	if i < 0 {
		if total > 0 || len(rows) > 0 {
			return order.BillingOrder{}, false, fault.Wrap(fault.ListingUnstable, errors.New("GetOrders by id shows other orders"))
		}
		return order.BillingOrder{}, false, nil
	}
	found := c.parseOrder(rows[i])
	found.ClientID = cmp.Or(found.ClientID, clientID)
	services, err := c.services(ctx, found, rows[i])
	if err != nil {
		return order.BillingOrder{}, false, err
	}
	for _, s := range services {
		service := parseService(s)
		if service.ConfigOptions, err = c.configOptions(ctx, s); err != nil {
			return order.BillingOrder{}, false, err
		}
		found.Services = append(found.Services, service)
		found.Marker = found.Marker.With(c.fieldMarker(s))
	}
	return found, true, nil
}

// withFieldMarker returns the order with the marker of its services' fields.
func (c *Client) withFieldMarker(ctx context.Context, m order.BillingOrder, row object) (order.BillingOrder, error) {
	services, err := c.services(ctx, m, row)
	for _, s := range services {
		m.Marker = m.Marker.With(c.fieldMarker(s))
	}
	return m, err
}

// services reads the services of an order, by id in ascending order: WHMCS
// numbers them as it makes them, line by line. The order's row names them
// (developers.whmcs.com, GetOrders, "lineitems"), and GetClientsProducts takes
// the id of one ("serviceid"), so that the work does not grow with what else the
// client has. Several stand mostly on the first or the last page of the client's;
// only a WHMCS whose rows name no line items is asked for all of them.
func (c *Client) services(ctx context.Context, m order.BillingOrder, row object) ([]object, error) {
	found := map[string]object{}
	keep := func(rows []object) {
		for _, s := range rows {
			if s.id("orderid") == m.ID && s.id("id") != "" {
				found[s.id("id")] = s
			}
		}
	}
	lines, named := lineServices(row)
	if !named {
		if err := c.allServices(ctx, m.ClientID, keep); err != nil {
			return nil, err
		}
	}
	missing := func() []string {
		return slices.DeleteFunc(slices.Clone(lines), func(id string) bool { _, ok := found[id]; return ok })
	}
	for first, start := true, 0; len(missing()) > 1; first = false {
		rows, total, err := c.servicePage(ctx, number("clientid", m.ClientID), start)
		if err != nil {
			return nil, err
		}
		keep(rows)
		if start = max(len(rows), total-pageSize); !first || start >= total {
			break
		}
	}
	for _, id := range missing() {
		rows, _, err := c.servicePage(ctx, field{"serviceid", id}, 0)
		if err != nil {
			return nil, err
		}
		keep(rows)
	}
	return slices.SortedFunc(maps.Values(found), func(a, b object) int { return compareIDs(a.id("id"), b.id("id")) }), nil
}

// servicePage reads one page of the services that a filter takes.
func (c *Client) servicePage(ctx context.Context, filter field, start int) ([]object, int, error) {
	return c.list(ctx, "GetClientsProducts", "products", "product", form{filter, number("limitstart", int64(start)), number("limitnum", pageSize)})
}

// lineServices returns the ids of the services among the line items of an order's
// row. named: the row has line items, be it none.
func lineServices(row object) (ids []string, named bool) {
	_, named = row["lineitems"]
	for _, item := range row.list("lineitems", "lineitem") {
		if id := item.id("relid"); id != "" && strings.EqualFold(item.text("type"), "product") && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids, named
}

// allServices gives keep each page of the services of a client. The error is
// listing_unstable when the list changed while it was read.
func (c *Client) allServices(ctx context.Context, clientID int64, keep func([]object)) error {
	ids := map[string]bool{}
	for start, first := 0, -1; ; {
		rows, total, err := c.servicePage(ctx, number("clientid", clientID), start)
		if err != nil {
			return err
		}
		if first < 0 {
			first = total
		}
		for _, s := range rows {
			ids[s.id("id")] = true
		}
		keep(rows)
		start += len(rows)
		if len(rows) > 0 && start < total && total == first {
			continue
		}
		if total != first || len(ids) != total || ids[""] {
			return fault.Wrap(fault.ListingUnstable, errors.New("GetClientsProducts changed while it was read"))
		}
		return nil
	}
}

func (c *Client) parseOrder(row object) order.BillingOrder {
	m := order.BillingOrder{ID: row.id("id"), Status: order.BillingStatus(row.text("status"))}
	m.ClientID, _ = row.number("userid")
	m.Date, _ = date(row)
	if _, there := row["promocode"]; there {
		m.PromoCode, m.PromoKnown = plain(row.text("promocode")), true
	}
	m.Marker = order.ReadMarker(plain(row.text("notes")))
	c.saw(m.Number())
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
