package order

import (
	"slices"
	"strconv"
	"time"
)

// Page is one page of WHMCS's list of orders, in WHMCS's order.
type Page struct {
	// Orders are the rows, without services; one without an id keeps its place.
	Orders []BillingOrder
	Total  int // rows of the whole list, as this page names it
}

// Way is how the ids of a list go. WHMCS documents no order of its lists, so
// each reading finds it out and holds the list to it.
type Way string

// The ways of a list.
const (
	Falling Way = "falling" // the newest order stands first
	Rising  Way = "rising"  // the newest order stands last
	Mixed   Way = "mixed"
)

// maxRows bounds one listing: 3,000 pages, and some 20 MB for the ids of a Mixed
// list.
const maxRows = 300_000

// Listing is one reading of WHMCS's list of orders, page by page. It is a plain
// value, so that it can go on under another lease; only one of a Mixed list
// cannot, since it has to know every id that it has read.
//
// What a complete listing has proven: each order that was there when it began,
// and is there still, was on one of its pages, unless it is old.
//
//   - A falling list is read from its front. Orders come in front of it, which
//     shows rows twice and hides none; a row is hidden only when more go than
//     come between two pages, and then the total falls. It ends at a page of old
//     orders if the last page of the list lies below it.
//   - A rising list is read whole, from its end, so that orders which come stand
//     behind what is still to be read.
//   - A mixed list is read whole, and is complete if its total never changed and
//     as many rows with different ids came.
type Listing struct {
	ClientID int64 // whose orders; 0 = those of every client
	// Old orders are not looked for: those with an id up to After, or, where
	// After is 0, of a date before Since. Both zero = none is old.
	After int64
	Since time.Time

	Way   Way // "" = no page was read
	Start int // of the next page
	Size  int // rows of a full page
	Total int // rows of the list, as the first page named them
	Last  int // as the last page named them
	Read  int // rows with different ids
	// Edge is the lowest id read so far; 0 = none, or Mixed.
	Edge   int64
	AtTail bool // Falling: the next page is the last one of the list
	Torn   bool // the list did more than grow
	Found  []BillingOrder

	read           map[int64]bool // Mixed
	done, complete bool
}

// Done reports whether no further page is wanted; complete, that the listing
// misses nothing.
func (l Listing) Done() (done, complete bool) { return l.done, l.complete }

// Old reports whether the listing does not look for an order of this id and date.
func (l Listing) Old(m BillingOrder) bool {
	if l.After > 0 {
		return m.Number() > 0 && m.Number() <= l.After
	}
	return m.Date.Before(l.Since) && !m.Date.IsZero()
}

// Number is the id as a number; 0 if it is none.
func (m BillingOrder) Number() int64 {
	n, err := strconv.ParseInt(m.ID, 10, 64)
	if err != nil {
		return 0
	}
	return max(n, 0)
}

// Resumable reports whether the listing can go on under another lease.
func (l Listing) Resumable() bool { return l.Way == Falling || l.Way == Rising }

// Take returns the listing after its page at Start. counts says which orders are
// kept in Found, old or not.
func (l Listing) Take(p Page, counts func(BillingOrder) bool) Listing {
	ids := make([]int64, len(p.Orders))
	for i, m := range p.Orders {
		ids[i] = m.Number()
	}
	first := l.Way == ""
	if first {
		l.Way, l.Size, l.Total, l.Last = wayOf(ids), len(ids), p.Total, p.Total
	}
	for _, m := range p.Orders {
		if counts(m) {
			l.Found = append(slices.DeleteFunc(slices.Clone(l.Found), func(f BillingOrder) bool { return f.ID == m.ID }), m)
		}
	}
	changed := p.Total != l.Last
	l.Torn = l.Torn || p.Total < l.Last && l.Way != Mixed
	l.Last = p.Total
	switch {
	case first && l.Way == Rising && len(ids) < p.Total:
		l.Start = l.fromEnd() // only now is it known which way it goes
		return l
	case l.Way == Mixed:
		l = l.mixed(ids)
	case !goes(ids, l.Way):
		return l.whole()
	case l.Way == Falling:
		l = l.fall(p, ids, changed)
	default:
		l = l.rise(ids, changed)
	}
	if l.Read > maxRows {
		return l.end(false)
	}
	return l
}

// fall takes a page of a list whose ids fall.
func (l Listing) fall(p Page, ids []int64, changed bool) Listing {
	if l.Edge == 0 && l.above(ids) {
		return l.unbound()
	}
	again := 0 // rows in front that were read before
	for again < len(ids) && l.Edge > 0 && ids[again] >= l.Edge {
		again++
	}
	joins := again == 0 || ids[again-1] == l.Edge || again == len(ids) && changed
	switch {
	case !joins && !changed:
		return l.whole()
	case !joins:
		l.Torn = true // the last row that was read has gone
	}
	if again < len(ids) {
		l.Read += len(ids) - again
		l.Edge = ids[len(ids)-1]
	}
	old := l.allOld(p)
	switch {
	case l.AtTail && l.Torn:
		return l.end(false)
	case l.AtTail && old:
		return l.end(true)
	case l.AtTail:
		return l.whole()
	}
	l.Start += len(ids)
	switch {
	case len(ids) == 0 || l.Start >= l.Last:
		return l.end(!l.Torn && l.Read >= l.Total)
	case old:
		l.AtTail, l.Start = true, max(l.Start, l.Last-l.Size)
	}
	return l
}

// rise takes a page of a list whose ids rise, which is read from its end.
func (l Listing) rise(ids []int64, changed bool) Listing {
	switch {
	case l.Edge == 0 && l.Start+len(ids) < l.Last && len(ids) > 0:
		l.Start = l.fromEnd() // more came meanwhile than the page had room for
		return l
	case l.Edge == 0 && l.above(ids):
		return l.unbound()
	}
	fresh := len(ids) // rows in front that were not read before
	for fresh > 0 && l.Edge > 0 && ids[fresh-1] >= l.Edge {
		fresh--
	}
	joins := fresh == len(ids) || ids[fresh] == l.Edge
	switch {
	case !joins && !changed:
		return l.whole()
	case !joins, len(ids) < min(l.Size, l.Last-l.Start):
		l.Torn = true // the last row that was read has gone, or a page was cut short
	}
	if fresh > 0 {
		l.Read += fresh
		l.Edge = ids[0]
	}
	if l.Start == 0 {
		return l.end(!l.Torn)
	}
	l.Start = max(0, l.Start-l.Size)
	return l
}

// fromEnd is where the last page of a rising list begins: half of it is left for
// orders that come before it is read.
func (l Listing) fromEnd() int { return max(0, l.Last-l.Size/2) }

// mixed takes a page of a list without an order.
func (l Listing) mixed(ids []int64) Listing {
	if l.Start == 0 {
		l.Total, l.read = l.Last, map[int64]bool{}
	}
	for _, n := range ids {
		if n > 0 {
			l.read[n] = true
		}
	}
	l.Torn = l.Torn || l.Last != l.Total
	l.Start, l.Read = l.Start+len(ids), len(l.read)
	if len(ids) == 0 || l.Start >= l.Total {
		return l.end(!l.Torn && l.Read == l.Total)
	}
	return l
}

// whole begins again with a list that is not sorted as it looked: it is read
// whole.
func (l Listing) whole() Listing {
	return Listing{ClientID: l.ClientID, After: l.After, Since: l.Since, Way: Mixed}
}

func (l Listing) end(complete bool) Listing {
	l.done, l.complete = true, complete
	return l
}

// above reports whether After lies above the newest order of all, which is among
// ids: WHMCS was restored, or its newest orders were deleted, and it gives their
// ids a second time.
func (l Listing) above(ids []int64) bool {
	return l.ClientID == 0 && len(ids) > 0 && slices.Max(ids) < l.After
}

// unbound begins again, with the date alone as the bound.
func (l Listing) unbound() Listing { return Listing{Since: l.Since} }

// allOld reports whether the page has rows, and each is old.
func (l Listing) allOld(p Page) bool {
	return len(p.Orders) > 0 && !slices.ContainsFunc(p.Orders, func(m BillingOrder) bool { return !l.Old(m) })
}

// wayOf is how ids go; one alone, or none, falls. A row without an id, 0, fits
// no way.
func wayOf(ids []int64) Way {
	for _, way := range []Way{Falling, Rising} {
		if goes(ids, way) {
			return way
		}
	}
	return Mixed
}

func goes(ids []int64, way Way) bool {
	for i, n := range ids {
		if n == 0 || i > 0 && (ids[i-1] > n) != (way == Falling) || i > 0 && ids[i-1] == n {
			return false
		}
	}
	return true
}
