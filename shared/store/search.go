package store

import "orderbridge/shared/order"

// search is how far a search of WHMCS has come, as it is stored.
type search struct {
	ClientID int64    `json:"client_id,omitempty"`
	OfClient readings `json:"of_client"`
	OfAll    readings `json:"of_all"`
}

type readings struct {
	N        int     `json:"n,omitempty"`
	Last     []found `json:"last,omitempty"`
	Complete bool    `json:"complete,omitempty"`
	Stable   bool    `json:"stable,omitempty"`
	Under    listing `json:"under"`
}

type listing struct {
	ClientID int64   `json:"client_id,omitempty"`
	After    int64   `json:"after,omitempty"`
	Since    millis  `json:"since,omitempty"`
	Way      string  `json:"way,omitempty"`
	Start    int     `json:"start,omitempty"`
	Size     int     `json:"size,omitempty"`
	Total    int     `json:"total,omitempty"`
	Last     int     `json:"last,omitempty"`
	Read     int     `json:"read,omitempty"`
	Edge     int64   `json:"edge,omitempty"`
	AtTail   bool    `json:"at_tail,omitempty"`
	Torn     bool    `json:"torn,omitempty"`
	Found    []found `json:"found,omitempty"`
}

// found is an order that a search came upon.
type found struct {
	ID       string `json:"id"`
	ClientID int64  `json:"client_id,omitempty"`
	Status   string `json:"status,omitempty"`
	Marker   string `json:"marker,omitempty"`
	Date     millis `json:"date,omitempty"`
}

func searchOf(s *order.Search) *search {
	if s == nil {
		return nil
	}
	of := func(r order.Readings) readings {
		l := r.Under
		return readings{N: r.N, Last: foundOf(r.Last), Complete: r.Complete, Stable: r.Stable, Under: listing{
			ClientID: l.ClientID, After: l.After, Since: millisOf(l.Since), Way: string(l.Way), Start: l.Start, Size: l.Size, Total: l.Total,
			Last: l.Last, Read: l.Read, Edge: l.Edge, AtTail: l.AtTail, Torn: l.Torn, Found: foundOf(l.Found),
		}}
	}
	return &search{ClientID: s.ClientID, OfClient: of(s.OfClient), OfAll: of(s.OfAll)}
}

// value is the inverse of searchOf.
func (s *search) value() *order.Search {
	if s == nil {
		return nil
	}
	of := func(r readings) order.Readings {
		l := r.Under
		return order.Readings{N: r.N, Last: billingOrders(r.Last), Complete: r.Complete, Stable: r.Stable, Under: order.Listing{
			ClientID: l.ClientID, After: l.After, Since: l.Since.time(), Way: order.Way(l.Way), Start: l.Start, Size: l.Size, Total: l.Total,
			Last: l.Last, Read: l.Read, Edge: l.Edge, AtTail: l.AtTail, Torn: l.Torn, Found: billingOrders(l.Found),
		}}
	}
	return &order.Search{ClientID: s.ClientID, OfClient: of(s.OfClient), OfAll: of(s.OfAll)}
}

func foundOf(all []order.BillingOrder) (out []found) {
	for _, m := range all {
		out = append(out, found{ID: m.ID, ClientID: m.ClientID, Status: string(m.Status), Marker: string(m.Marker), Date: millisOf(m.Date)})
	}
	return out
}

func billingOrders(all []found) (out []order.BillingOrder) {
	for _, m := range all {
		out = append(out, order.BillingOrder{ID: m.ID, ClientID: m.ClientID, Status: order.BillingStatus(m.Status), Marker: order.Marker(m.Marker), Date: m.Date.time()})
	}
	return out
}
