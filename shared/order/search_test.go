package order_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"orderbridge/shared/order"
)

// read takes one page that holds the whole list, or, torn, all but one row of it.
func read(r order.Readings, torn bool, rows ...order.BillingOrder) order.Readings {
	p := order.Page{Orders: rows, Total: len(rows)}
	if torn {
		p.Total++
	}
	r = r.Take(order.Listing{ClientID: 7}, p, func(order.BillingOrder) bool { return true })
	if torn {
		r = r.Take(r.Under, order.Page{Total: p.Total}, func(order.BillingOrder) bool { return true })
	}
	return r
}

func TestTwoEqualCompleteListingsAreStable(t *testing.T) {
	hit := order.BillingOrder{ID: "77", ClientID: 7, Status: order.BillingPending, Marker: "m"}
	changed := func(change func(*order.BillingOrder)) []order.BillingOrder {
		m := hit
		change(&m)
		return []order.BillingOrder{m}
	}
	type reading struct {
		torn bool
		rows []order.BillingOrder
	}
	whole := reading{rows: []order.BillingOrder{hit}}
	for _, c := range []struct {
		name   string
		read   []reading
		stable bool
	}{
		{"one listing", []reading{whole}, false},
		{"two", []reading{whole, whole}, true},
		{"two empty ones", []reading{{}, {}}, true},
		{"an incomplete one first", []reading{{true, whole.rows}, whole}, false},
		{"an incomplete one last", []reading{whole, {true, whole.rows}}, false},
		{"two incomplete ones", []reading{{true, whole.rows}, {true, whole.rows}}, false},
		{"an incomplete one between", []reading{whole, {true, whole.rows}, whole}, false},
		{"the hit appears", []reading{{}, whole}, false},
		{"the hit appears, and stays", []reading{{}, whole, whole}, true},
		{"its status changed", []reading{whole, {rows: changed(func(m *order.BillingOrder) { m.Status = order.BillingActive })}}, false},
		{"its marker changed", []reading{whole, {rows: changed(func(m *order.BillingOrder) { m.Marker = "?" })}}, false},
		{"its client changed", []reading{whole, {rows: changed(func(m *order.BillingOrder) { m.ClientID = 8 })}}, false},
		{"another one", []reading{whole, {rows: changed(func(m *order.BillingOrder) { m.ID = "78" })}}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r order.Readings
			for i, one := range c.read {
				if r = read(r, one.torn, one.rows...); r.N != i+1 || r.Complete == one.torn {
					t.Fatalf("after listing %d: %+v", i+1, r)
				}
			}
			if r.Stable != c.stable || r.Over() != c.stable {
				t.Errorf("stable %v, over %v", r.Stable, r.Over())
			}
		})
	}
	var r order.Readings
	for range order.MaxListings {
		r = read(r, true, hit)
	}
	if r.Stable || !r.Over() {
		t.Errorf("after %d incomplete listings: stable %v, over %v", r.N, r.Stable, r.Over())
	}
}

// falling is a page of a list whose ids fall.
func falling(from, to int64, total int) order.Page {
	p := order.Page{Total: total}
	for id := from; id >= to; id-- {
		p.Orders = append(p.Orders, order.BillingOrder{ID: fmt.Sprint(id), Date: time.Unix(id, 0)})
	}
	return p
}

func none(order.BillingOrder) bool { return false }

func TestASearchGoesOnUnderAnotherLease(t *testing.T) {
	s := order.Search{ClientID: 7}
	if s.Kept() != nil {
		t.Error("nothing was read, and something is kept")
	}
	l := order.Listing{ClientID: 7}
	s.OfClient = s.OfClient.Take(l, falling(300, 201, 300), none)
	kept := s.Kept()
	if kept == nil {
		t.Fatal("a listing under way is not kept")
	}
	for _, p := range []order.Page{falling(200, 101, 300), falling(100, 1, 300)} {
		kept.OfClient = kept.OfClient.Take(kept.OfClient.Under, p, none)
	}
	if r := kept.OfClient; r.N != 1 || !r.Complete {
		t.Errorf("read to its end: %+v", r)
	}
	if again := kept.Kept(); again == nil || again.OfClient.N != 1 {
		t.Errorf("between two listings: %+v", again)
	}
	kept.OfClient.Stable = true
	if again := kept.Kept(); again != nil {
		t.Errorf("a search that is over is kept: %+v", again)
	}
}

// A listing that only one lease can read counts as one that was not complete,
// or an order of a WHMCS too large for it would wait for ever.
func TestAListingThatCannotBeKeptIsCounted(t *testing.T) {
	mixed := order.Page{Total: 300, Orders: []order.BillingOrder{{ID: "3"}, {ID: "9"}, {ID: "4"}}}
	crowd := order.Readings{Under: order.Listing{Way: order.Falling, Found: make([]order.BillingOrder, 100)}}
	for name, r := range map[string]order.Readings{
		"mixed": order.Readings{N: 2, Complete: true}.Take(order.Listing{}, mixed, none),
		"crowd": {N: 2, Complete: true, Under: crowd.Under},
	} {
		kept := order.Search{OfClient: r}.Kept()
		if kept == nil || kept.OfClient.N != 3 || kept.OfClient.Complete || kept.OfClient.Under.Way != "" {
			t.Errorf("%s: %+v", name, kept)
		}
	}
}

func TestAListingStopsAtWhatWasThereBefore(t *testing.T) {
	l := order.Listing{After: 950}
	l = l.Take(falling(1000, 901, 1000), none)
	l = l.Take(falling(900, 801, 1000), none) // a whole page of old orders
	if done, _ := l.Done(); done || l.Start != 900 {
		t.Fatalf("the last page is wanted, not %d (done %v)", l.Start, done)
	}
	if done, complete := l.Take(falling(100, 1, 1000), none).Done(); !done || !complete {
		t.Errorf("done %v, complete %v", done, complete)
	}
	// The last page holds a young order: the list only looks sorted.
	odd := falling(100, 2, 1000)
	odd.Orders = append(odd.Orders, order.BillingOrder{ID: "1001"})
	if after := l.Take(odd, none); after.Way != order.Mixed || after.Start != 0 {
		t.Errorf("goes on as %s at %d", after.Way, after.Start)
	}
}

// The database of a WHMCS that was restored gives the ids of lost orders again:
// what is new may lie below the highest id that was seen.
func TestAnIDAboveTheListIsNoBound(t *testing.T) {
	rising := func(from, to int64) order.Page {
		p := falling(to, from, 1000)
		slices.Reverse(p.Orders)
		return p
	}
	for name, pages := range map[string][]order.Page{
		"newest first": {falling(1000, 901, 1000)},
		"newest last":  {rising(1, 100), rising(951, 1000)},
	} {
		l := order.Listing{After: 1200, Since: time.Unix(940, 0)}
		for _, p := range pages {
			l = l.Take(p, none)
		}
		if done, _ := l.Done(); done || l.After != 0 || l.Way != "" || !l.Since.Equal(time.Unix(940, 0)) {
			t.Errorf("%s: done %v, %+v", name, done, l)
		}
	}
}
