package provision

import (
	"slices"
	"strings"
	"time"

	"orderbridge/shared/order"
)

// maxListings is how often a listing that changes under the reader is read
// before a person is asked.
const maxListings = 6

// readings are listings of one kind, one after the other. Two complete ones in
// a row that say the same of the orders that count are stable: deletions shift
// pages, and a hit could be missed. What other orders do meanwhile does not
// count: a WHMCS that is at work makes and accepts some during every reading,
// and would have a person asked after every lost AddOrder.
type readings struct {
	n        int
	last     []order.BillingOrder // of the orders that count
	complete bool                 // the last one was
	stable   bool
}

// add returns the readings with one more; counts says which orders count.
func (l readings) add(all []order.BillingOrder, complete bool, counts func(order.BillingOrder) bool) readings {
	all = slices.DeleteFunc(slices.Clone(all), func(m order.BillingOrder) bool { return !counts(m) })
	same := func(a, b order.BillingOrder) bool {
		return a.ID == b.ID && a.Status == b.Status && a.Marker == b.Marker && a.ClientID == b.ClientID
	}
	return readings{n: l.n + 1, last: all, complete: complete, stable: complete && l.complete && slices.EqualFunc(l.last, all, same)}
}

// over reports that no further reading is made.
func (l readings) over() bool { return l.stable || l.n == maxListings }

// found is what a search of WHMCS has found: what carries our marker, alive or
// dead, and new orders of the client that may be ours. It was made after every
// AddOrder that may have left has ended; so what it does not find does not
// exist (A3, A6).
type found struct {
	stable               bool
	live, dead, suspects []order.BillingOrder
}

// searchedSince is how far back a search goes: a day before the first AddOrder
// may have left, because WHMCS's dates have no time zone.
func searchedSince(r order.Record) time.Time {
	since := r.FirstAddAt
	if since.IsZero() {
		since = r.CreatedAt
	}
	return since.Add(-24 * time.Hour)
}

// suspect reports whether a live, new WHMCS order may be this one although its
// marker does not name it.
func suspect(r order.Record, m order.BillingOrder) bool {
	return !m.Marker.Names(r.ID) && m.Marker.MayName(r.ID) && !m.Status.Dead() && !m.Date.Before(searchedSince(r))
}

// search says what the readings have found, or which listing is to be read
// next: first the orders of the client; where none is ours, also the newest
// orders of every client, since clients are merged and mappings corrected.
func search(r order.Record, s seen) (result found, next Read, more bool) {
	if !s.ofClient.over() {
		return found{}, ReadClientOrders, true
	}
	live, dead := hits(r, s.ofClient.last)
	for _, m := range s.ofClient.last {
		if suspect(r, m) {
			result.suspects = append(result.suspects, m)
		}
	}
	result.stable, result.live, result.dead = s.ofClient.stable, live, dead
	if !result.stable || len(live)+len(dead) > 0 {
		return result, 0, false
	}
	if !s.ofAll.over() {
		return found{}, ReadAllOrders, true
	}
	result.stable = s.ofAll.stable
	result.live, result.dead = hits(r, s.ofAll.last)
	return result, 0, false
}

// hits are the orders of a listing that carry our marker.
func hits(r order.Record, all []order.BillingOrder) (live, dead []order.BillingOrder) {
	for _, m := range all {
		switch {
		case !m.Marker.Names(r.ID):
		case m.Status.Dead():
			dead = append(dead, m)
		default:
			live = append(live, m)
		}
	}
	return live, dead
}

// with adds an order of which Salesforce holds the id. It counts even where the
// listings do not reach: it may be another client's by now, or older than they go.
func (f found) with(m order.BillingOrder) found {
	into := &f.live
	if m.Status.Dead() {
		into = &f.dead
	}
	if !slices.ContainsFunc(*into, func(o order.BillingOrder) bool { return o.ID == m.ID }) {
		*into = append(slices.Clip(*into), m)
	}
	return f
}

func idsOf(all []order.BillingOrder) string {
	ids := make([]string, 0, len(all))
	for _, m := range all {
		ids = append(ids, m.ID)
	}
	return strings.Join(ids, ", ")
}
