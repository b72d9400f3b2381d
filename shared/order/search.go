package order

import (
	"cmp"
	"slices"
)

// MaxListings is how often a listing that changes under the reader is read
// before a person is asked.
const MaxListings = 6

// Search is how far a search of WHMCS has come: readings of the orders of the
// client, then of the newest orders of every client.
type Search struct {
	ClientID        int64 // of WHMCS, whose orders are read first
	OfClient, OfAll Readings
}

// Readings are listings of one kind, one after the other. Two complete ones in
// a row that say the same of the orders that count are stable: deletions shift
// pages, and a hit could be missed. What other orders do meanwhile does not
// count: a WHMCS that is at work makes and accepts some during every reading,
// and would have a person asked after every lost AddOrder.
type Readings struct {
	N        int            // listings that were read to their end
	Last     []BillingOrder // of the last one, the orders that count
	Complete bool           // the last one was
	Stable   bool
	Under    Listing // the one that is being read
}

// Over reports that no further listing is read.
func (r Readings) Over() bool { return r.Stable || r.N >= MaxListings }

// Take returns the readings after one page of l, which is Under, or begins;
// counts says which orders count.
func (r Readings) Take(l Listing, p Page, counts func(BillingOrder) bool) Readings {
	l = l.Take(p, counts)
	done, complete := l.Done()
	if !done {
		r.Under = l
		return r
	}
	slices.SortFunc(l.Found, func(a, b BillingOrder) int { return cmp.Compare(b.Number(), a.Number()) })
	same := func(a, b BillingOrder) bool {
		return a.ID == b.ID && a.Status == b.Status && a.Marker == b.Marker && a.ClientID == b.ClientID
	}
	return Readings{
		N: r.N + 1, Last: l.Found, Complete: complete,
		Stable: complete && r.Complete && slices.EqualFunc(r.Last, l.Found, same),
	}
}

// maxKept bounds the orders that a search keeps between two leases.
const maxKept = 20

// Kept returns the search as another lease can go on with it, nil unless it is
// under way. A listing that one lease has to read whole, or that found too much,
// counts as one that was not complete: the search must end some day.
func (s Search) Kept() *Search {
	underWay := false
	for _, r := range []*Readings{&s.OfClient, &s.OfAll} {
		underWay = underWay || r.Under.Way != "" || r.N > 0 && !r.Over()
		if r.Under.Way != "" && !r.Under.Resumable() || max(len(r.Under.Found), len(r.Last)) > maxKept {
			*r = Readings{N: r.N + 1}
		}
	}
	if !underWay {
		return nil
	}
	return s.normal()
}

// normal returns s as a table gives it back, with nothing shared.
func (s Search) normal() *Search {
	for _, r := range []*Readings{&s.OfClient, &s.OfAll} {
		r.Last, r.Under.Found = kept(r.Last), kept(r.Under.Found)
		r.Under.Since, r.Under.read = ms(r.Under.Since), nil
	}
	return &s
}

// kept are orders as a table gives them back.
func kept(all []BillingOrder) []BillingOrder {
	all = list(all)
	for i := range all {
		all[i].Date, all[i].Services = ms(all[i].Date), nil
	}
	return all
}
