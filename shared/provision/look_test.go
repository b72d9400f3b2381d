package provision

import (
	"testing"
	"time"

	"orderbridge/shared/order"
)

// A suspect may be what a lost AddOrder made: of this client, alive, and made
// since.
func TestSuspectsAreNew(t *testing.T) {
	m := newMoment(t).at(order.PointAdding)
	sent := m.r.FirstAddAt
	other, err := order.ParseID("801000000000002")
	if err != nil {
		t.Fatal(err)
	}
	bare := order.BillingOrder{ID: "80", ClientID: 7, Status: order.BillingPending, Date: sent}
	for _, c := range []struct {
		name   string
		after  int64
		change func(*order.BillingOrder)
		want   bool
	}{
		{"without a marker", 0, func(*order.BillingOrder) {}, true},
		{"made the day before: WHMCS's dates have no time zone", 0, func(b *order.BillingOrder) { b.Date = sent.Add(-23 * time.Hour) }, true},
		{"made two days before", 0, func(b *order.BillingOrder) { b.Date = sent.Add(-48 * time.Hour) }, false},
		{"without a date", 0, func(b *order.BillingOrder) { b.Date = time.Time{} }, true},
		{"there before the first AddOrder, by its id", 80, func(*order.BillingOrder) {}, false},
		{"made after it, by its id", 79, func(b *order.BillingOrder) { b.Date = sent.Add(-48 * time.Hour) }, true},
		{"cancelled", 0, func(b *order.BillingOrder) { b.Status = order.BillingCancelled }, false},
		{"another order's", 0, func(b *order.BillingOrder) { b.Marker = order.ReadMarker(other.Marker()) }, false},
		{"a marker that cannot be read", 0, func(b *order.BillingOrder) { b.Marker = "?" }, true},
		{"ours", 0, func(b *order.BillingOrder) { b.Marker = order.ReadMarker(m.r.ID.Marker()) }, false},
	} {
		b := bare
		c.change(&b)
		r := m.r
		r.FirstAddAfter = c.after
		if got := suspect(r, b); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
		if counts := ofClient(r)(b); counts != (c.want || c.name == "ours") {
			t.Errorf("%s: counts %v", c.name, counts)
		}
	}
}

func TestASearchLooksAtTheClientThenAtEveryone(t *testing.T) {
	m := newMoment(t).at(order.PointAdding)
	over := func(all ...order.BillingOrder) order.Readings {
		return order.Readings{N: 2, Last: all, Complete: true, Stable: true}
	}
	ours := m.ours("77", order.BillingPending)
	bare := order.BillingOrder{ID: "80", ClientID: 7, Status: order.BillingPending, Date: noon}
	for _, c := range []struct {
		name   string
		search order.Search
		next   Read // 0: the search is over
		live   int
		stable bool
	}{
		{"nothing was read", order.Search{}, ReadClientOrders, 0, false},
		{"it is of another client", order.Search{ClientID: 8, OfClient: over(), OfAll: over()}, ReadClientOrders, 0, false},
		{"one listing", order.Search{ClientID: 7, OfClient: order.Readings{N: 1, Complete: true}}, ReadClientOrders, 0, false},
		{"a hit at the client", order.Search{ClientID: 7, OfClient: over(ours)}, 0, 1, true},
		{"none at the client", order.Search{ClientID: 7, OfClient: over()}, ReadAllOrders, 0, false},
		{"a suspect hides no hit elsewhere", order.Search{ClientID: 7, OfClient: over(bare)}, ReadAllOrders, 0, false},
		{"a hit elsewhere beside a suspect", order.Search{ClientID: 7, OfClient: over(bare), OfAll: over(ours)}, 0, 1, true},
		{"nowhere", order.Search{ClientID: 7, OfClient: over(), OfAll: over()}, 0, 0, true},
		{"the client's listings differ each time", order.Search{ClientID: 7, OfClient: order.Readings{N: order.MaxListings}}, 0, 0, false},
		{"everyone's listings differ each time", order.Search{ClientID: 7, OfClient: over(), OfAll: order.Readings{N: order.MaxListings}}, 0, 0, false},
	} {
		f, next, more := search(m.r, 7, c.search)
		if more != (c.next != 0) || next != c.next || len(f.live) != c.live || f.stable != c.stable {
			t.Errorf("%s: next %d (more %v), %d live, stable %v", c.name, next, more, len(f.live), f.stable)
		}
	}
}
