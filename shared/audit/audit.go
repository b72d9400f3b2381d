// Package audit compares the three books that speak of an order: the table,
// WHMCS by its markers, and Salesforce.
//
// The rule it keeps: it is pure and reports what is certain. An order that is
// being worked on, or that a person has to decide about anyway, is no
// difference, unless WHMCS has two of it. It must not correct anything.
package audit

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"orderbridge/shared/order"
)

// Class is a way in which books differ.
type Class string

// The classes. An order is reported once, under the first that fits.
const (
	// Doubled: two or more live WHMCS orders carry its marker.
	Doubled Class = "doubled"
	// Foreign: the WHMCS order that is named for it carries another order's marker.
	Foreign Class = "foreign"
	// Missing: it is provisioned, and its WHMCS order is dead or not there.
	Missing Class = "missing"
	// Orphaned: a live WHMCS order carries its marker, and the table does not name it.
	Orphaned Class = "orphaned"
	// Drifted: Salesforce shows something else than the table holds.
	Drifted Class = "drifted"
)

// Classes are all classes, in the order in which they are looked for.
func Classes() []Class { return []Class{Doubled, Foreign, Missing, Orphaned, Drifted} }

// Difference is one order about which the books differ.
type Difference struct {
	Class         Class
	ID            order.ID
	WHMCSOrderIDs []string // those that it is about
	Text          string   // what was seen
}

// Books are the three books.
type Books struct {
	// Since: WHMCS and Salesforce were read from then on. What is older is not judged.
	Since time.Time
	// Table holds the orders that are compared; one that the table does not have
	// is the zero Record.
	Table      map[order.ID]order.Record
	Billing    []order.BillingOrder
	Salesforce map[order.ID]order.Shown
}

// quiet is how long ago an order must have changed for Salesforce to have been
// told: the write-back takes seconds, and tries again for minutes.
const quiet = 15 * time.Minute

// Compare returns the differences, sorted by class and order.
func Compare(b Books, now time.Time) []Difference {
	byID := make(map[string]order.BillingOrder, len(b.Billing))
	live := map[string][]string{} // by the order that the marker names
	for _, o := range b.Billing {
		byID[o.ID] = o
		for word := range strings.FieldsSeq(string(o.Marker)) {
			if !o.Status.Dead() {
				live[word] = append(live[word], o.ID)
			}
		}
	}
	var all []Difference
	for id, rec := range b.Table {
		c := comparison{id: id, rec: rec, live: live[id.String()], byID: byID, since: b.Since, now: now}
		c.shown, c.inSalesforce = b.Salesforce[id]
		if d, differs := c.judge(); differs {
			all = append(all, d)
		}
	}
	slices.SortFunc(all, func(x, y Difference) int {
		return cmp.Or(slices.Index(Classes(), x.Class)-slices.Index(Classes(), y.Class), cmp.Compare(x.ID.String(), y.ID.String()))
	})
	return all
}

// comparison is one order in the three books.
type comparison struct {
	id           order.ID
	rec          order.Record // zero: the table has none
	live         []string     // live WHMCS orders that carry its marker
	byID         map[string]order.BillingOrder
	shown        order.Shown
	inSalesforce bool
	since, now   time.Time
}

func (c comparison) judge() (Difference, bool) {
	known := !c.rec.ID.IsZero()
	review := c.rec.State == order.Failed && c.rec.ErrorCode.Info().Review
	if len(c.live) > 1 {
		return c.differ(Doubled, c.live, "%d live WHMCS orders carry its marker", len(c.live))
	}
	if c.rec.State.Open() || review {
		return Difference{}, false
	}
	if d, differs := c.judgeNamed(); differs {
		return d, true
	}
	if len(c.live) == 1 && c.live[0] != c.rec.WHMCSOrderID {
		if !known {
			return c.differ(Orphaned, c.live, "the table has no such order")
		}
		return c.differ(Orphaned, c.live, "the table says %s, WHMCS order %s", c.rec.State, cmp.Or(c.rec.WHMCSOrderID, "none"))
	}
	return c.judgeShown(known)
}

// judgeNamed looks at the WHMCS order that is named for it.
func (c comparison) judgeNamed() (Difference, bool) {
	named := cmp.Or(c.rec.WHMCSOrderID, c.shown.WHMCSOrderID)
	made, listed := c.byID[named]
	switch {
	case named == "":
	case listed && !made.Marker.Names(c.id) && !made.Marker.MayName(c.id):
		return c.differ(Foreign, []string{named}, "WHMCS order %s carries the marker of %s", named, made.Marker)
	case c.rec.State != order.Provisioned:
	case listed && made.Status.Dead():
		return c.differ(Missing, []string{named}, "WHMCS order %s is %s", named, made.Status)
	case !listed && !c.rec.FirstAddAt.IsZero() && c.rec.FirstAddAt.After(c.since):
		return c.differ(Missing, []string{named}, "WHMCS has no order %s", named)
	}
	return Difference{}, false
}

// judgeShown looks at what Salesforce shows, once it must have been told.
func (c comparison) judgeShown(known bool) (Difference, bool) {
	if c.now.Sub(c.rec.UpdatedAt) < quiet {
		return Difference{}, false
	}
	switch {
	case !known && c.shown.Status == order.StatusProvisioned:
		return c.differ(Drifted, nil, "Salesforce shows %s, the table has no such order", c.shown.Status)
	case !known, !c.inSalesforce && !c.rec.UpdatedAt.After(c.since):
		return Difference{}, false
	case !c.inSalesforce:
		return c.differ(Drifted, nil, "Salesforce does not show it, the table says %s", c.rec.Status())
	case c.shown.Status != c.rec.Status():
		return c.differ(Drifted, nil, "Salesforce shows %s, the table says %s", cmp.Or(string(c.shown.Status), "nothing"), c.rec.Status())
	case c.rec.WHMCSOrderID != "" && c.shown.WHMCSOrderID != c.rec.WHMCSOrderID:
		return c.differ(Drifted, []string{c.rec.WHMCSOrderID}, "Salesforce shows WHMCS order %s, the table says %s", cmp.Or(c.shown.WHMCSOrderID, "none"), c.rec.WHMCSOrderID)
	}
	return Difference{}, false
}

func (c comparison) differ(class Class, ids []string, format string, args ...any) (Difference, bool) {
	return Difference{Class: class, ID: c.id, WHMCSOrderIDs: ids, Text: fmt.Sprintf(format, args...)}, true
}
