package provision

import (
	"slices"
	"strings"
	"time"

	"orderbridge/shared/order"
)

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

// listing is a reading of the orders of one client, or, with 0, of the newest
// ones of every client. Both stop at the orders that were there before the
// first AddOrder left. Where that is not known, all orders of the client are
// read, and those of every client back to searchedSince.
func listing(r order.Record, client int64) order.Listing {
	l := order.Listing{ClientID: client, After: r.FirstAddAfter}
	if client == 0 {
		l.Since = searchedSince(r).UTC().Truncate(24 * time.Hour)
	}
	return l
}

// suspect reports whether a live, new WHMCS order may be this one although its
// marker does not name it.
func suspect(r order.Record, m order.BillingOrder) bool {
	young := order.Listing{After: r.FirstAddAfter, Since: searchedSince(r)}
	return !m.Marker.Names(r.ID) && m.Marker.MayName(r.ID) && !m.Status.Dead() && !young.Old(m)
}

// ofClient and ofAll say which orders count in the readings of the client and
// in those of every client.
func ofClient(r order.Record) func(order.BillingOrder) bool {
	return func(m order.BillingOrder) bool { return m.Marker.Names(r.ID) || suspect(r, m) }
}

func ofAll(r order.Record) func(order.BillingOrder) bool {
	return func(m order.BillingOrder) bool { return m.Marker.Names(r.ID) }
}

// search says what the readings have found, or which listing is to be read
// next: first the orders of the client; where none is ours, also the newest
// orders of every client, since clients are merged and mappings corrected.
func search(r order.Record, clientID int64, s order.Search) (result found, next Read, more bool) {
	if s.ClientID != clientID {
		return found{}, ReadClientOrders, true
	}
	if !s.OfClient.Over() {
		return found{}, ReadClientOrders, true
	}
	live, dead := hits(r, s.OfClient.Last)
	for _, m := range s.OfClient.Last {
		if suspect(r, m) {
			result.suspects = append(result.suspects, m)
		}
	}
	result.stable, result.live, result.dead = s.OfClient.Stable, live, dead
	if !result.stable || len(live)+len(dead) > 0 {
		return result, 0, false
	}
	if !s.OfAll.Over() {
		return found{}, ReadAllOrders, true
	}
	result.stable = s.OfAll.Stable
	result.live, result.dead = hits(r, s.OfAll.Last)
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
