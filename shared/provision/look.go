package provision

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// looks is how often a listing that changes under the reader is read again
// before a person is asked.
const looks = 3

// look searches WHMCS for what an AddOrder may have made. It is only called
// when every AddOrder that may have left has settled; so what it does not find
// does not exist (A3, A6).
func (w *worker) look(ctx context.Context) error {
	plan := w.cur.Plan
	if plan == nil {
		plan = w.plan
	}
	// What Salesforce holds is adopted only if it carries our marker: a clone
	// carries its original's id.
	var held *order.BillingOrder
	if w.req != nil && w.req.WHMCSOrderID != "" {
		var err error
		if held, err = w.heldID(ctx, plan.ClientID); err != nil {
			return err
		}
	}
	live, dead, suspects, stable, err := w.search(ctx, plan.ClientID)
	if err != nil {
		return err
	}
	// It counts even where the search does not reach: it may be of another
	// client by now, and older than the newest orders.
	if held != nil {
		into := &live
		if held.Status.Dead() {
			into = &dead
		}
		if !slices.ContainsFunc(*into, func(m order.BillingOrder) bool { return m.ID == held.ID }) {
			*into = append(*into, *held)
		}
	}
	switch {
	case !stable:
		return w.fail(ctx, &fault.Error{Code: fault.AddOutcomeUnknown,
			Advice: "Click again to look once more: the list of orders in WHMCS changed each time it was read."})
	case len(live) == 1:
		// one live hit, lines as planned → added, then compare.
		w.cur.RecoveryPoint = order.PointAdded
		w.cur.WHMCSOrderID = live[0].ID
		w.cur.Plan = plan
		return w.adopt(ctx, live[0])
	case len(live) > 1:
		return w.fail(ctx, &fault.Error{Code: fault.WHMCSOrderAmbiguous,
			Advice: fmt.Sprintf("Cancel the wrong ones in WHMCS, then resolve with adopt: orders %s carry this order's marker.", idsOf(live))})
	case len(dead) > 0 && !w.cur.Word.Absent():
		w.cur.WHMCSOrderID = dead[0].ID
		return w.cancelled(ctx, string(dead[0].Status))
	case len(suspects) > 0 && w.cur.Add.Count > 0:
		return w.fail(ctx, &fault.Error{Code: fault.WHMCSOrderAmbiguous,
			Advice: fmt.Sprintf("Look whether WHMCS order %s belongs to this one, then resolve with adopt or none: it is this client's, new, and has no marker.", idsOf(suspects))})
	}
	return w.notFound(ctx)
}

// adopt compares a hit with the plan before it is taken as ours.
func (w *worker) adopt(ctx context.Context, hit order.BillingOrder) error {
	made, err := w.readOrder(ctx, hit.ID, hit.ClientID)
	if err != nil {
		return err
	}
	if made == nil {
		return w.cancelled(ctx, "gone")
	}
	if _, diff := match(*w.cur.Plan, made.Services); diff != "" {
		// one hit that differs → failed whmcs_order_mismatch; nothing is
		// adopted, so the next look compares again.
		w.cur.RecoveryPoint, w.cur.WHMCSOrderID, w.cur.Plan = w.base.RecoveryPoint, w.base.WHMCSOrderID, w.base.Plan
		return w.mismatch(ctx, hit.ID, diff)
	}
	return w.write(ctx, order.SignalLease, "adopted", "WHMCS order "+hit.ID+" found by its marker")
}

// heldID judges the WHMCS order id that Salesforce already shows, and returns
// the order if it is ours.
func (w *worker) heldID(ctx context.Context, client int64) (*order.BillingOrder, error) {
	id := w.req.WHMCSOrderID
	made, err := w.readOrder(ctx, id, client)
	if err != nil {
		return nil, err
	}
	switch {
	case made != nil && w.ours(made.Marker):
		return made, nil
	case made == nil && w.cur.Word.Absent():
		return nil, nil // a person said that nothing is left of it
	case made == nil:
		return nil, w.fail(ctx, &fault.Error{Code: fault.WHMCSIDForeign,
			Advice: fmt.Sprintf("Clear WHMCS_Order_ID__c, then click again: WHMCS has no order %s.", id)})
	}
	return nil, w.fail(ctx, &fault.Error{Code: fault.WHMCSIDForeign,
		Advice: fmt.Sprintf("Clear WHMCS_Order_ID__c, then click again: WHMCS order %s does not carry this order's marker; was this order cloned?", id)})
}

// search reads the orders of the client until two complete listings agree about
// this order; if none is ours, also the newest orders of every client back to a
// day before the first send, since clients are merged and mappings corrected.
func (w *worker) search(ctx context.Context, client int64) (live, dead, suspects []order.BillingOrder, stable bool, err error) {
	since := w.cur.FirstAddAt
	if since.IsZero() {
		since = w.cur.CreatedAt
	}
	since = since.Add(-24 * time.Hour)

	ours := func(m order.BillingOrder) bool { return w.ours(m.Marker) }
	suspect := func(m order.BillingOrder) bool { return m.Marker == "" && !m.Status.Dead() && !m.Date.Before(since) }
	all, stable, err := w.listing(ctx, func(m order.BillingOrder) bool { return ours(m) || suspect(m) },
		func(ctx context.Context) ([]order.BillingOrder, bool, error) { return w.billing.List(ctx, client) })
	if err != nil || !stable {
		return nil, nil, nil, stable, err
	}
	live, dead = w.hits(all)
	for _, m := range all {
		if suspect(m) {
			suspects = append(suspects, m)
		}
	}
	if len(live) > 0 || len(dead) > 0 {
		return live, dead, suspects, true, nil
	}
	all, stable, err = w.listing(ctx, ours, func(ctx context.Context) ([]order.BillingOrder, bool, error) { return w.billing.ListSince(ctx, since) })
	if err != nil || !stable {
		return nil, nil, nil, stable, err
	}
	live, dead = w.hits(all)
	return live, dead, suspects, true, nil
}

// hits are the orders of a listing that carry our marker.
func (w *worker) hits(all []order.BillingOrder) (live, dead []order.BillingOrder) {
	for _, m := range all {
		switch {
		case !w.ours(m.Marker):
		case m.Status.Dead():
			dead = append(dead, m)
		default:
			live = append(live, m)
		}
	}
	return live, dead
}

// listing reads until two complete listings in a row say the same of the orders
// that count, and returns those; it gives up after a few: deletions shift pages,
// and a hit could be missed. What other orders do meanwhile does not count: a
// WHMCS that is at work makes and accepts some during every reading, and would
// have a person asked after every lost AddOrder.
func (w *worker) listing(ctx context.Context, counts func(order.BillingOrder) bool, list func(context.Context) ([]order.BillingOrder, bool, error)) ([]order.BillingOrder, bool, error) {
	var last []order.BillingOrder
	have := false
	for range 2 * looks {
		var all []order.BillingOrder
		var complete bool
		err := w.read(ctx, order.SideWHMCS, func(ctx context.Context) (err error) {
			all, complete, err = list(ctx)
			return err
		})
		if err != nil {
			return nil, false, err
		}
		all = slices.DeleteFunc(all, func(m order.BillingOrder) bool { return !counts(m) })
		if complete && have && slices.EqualFunc(last, all, sameMade) {
			return all, true, nil
		}
		last, have = all, complete
	}
	return nil, false, nil
}

func sameMade(a, b order.BillingOrder) bool {
	return a.ID == b.ID && a.Status == b.Status && a.Marker == b.Marker && a.ClientID == b.ClientID
}

// onlyOne is the last look of an order of which WHMCS may hold another one: more
// than one AddOrder may have left, or a person named an order beside what ours
// may have made. It is provisioned only if there is none.
func (w *worker) onlyOne(ctx context.Context) error {
	live, _, _, stable, err := w.search(ctx, w.cur.Plan.ClientID)
	others := slices.DeleteFunc(slices.Clone(live), func(m order.BillingOrder) bool { return m.ID == w.cur.WHMCSOrderID })
	switch {
	case err != nil:
		return err
	case !stable:
		return w.retry(ctx, order.SideWHMCS, fault.New(fault.ListingUnstable, ""))
	case len(live) == 0 && !w.cur.Word.Named():
		return w.fail(ctx, &fault.Error{Code: fault.MarkerNotKept,
			Advice: fmt.Sprintf("Restore the marker of WHMCS order %s (%s), then click again: it is not found by it any more.", w.cur.WHMCSOrderID, w.cur.ID.Marker())})
	case len(others) > 0:
		return w.fail(ctx, &fault.Error{Code: fault.WHMCSOrderAmbiguous,
			Advice: fmt.Sprintf("Cancel the wrong ones in WHMCS, then click again: beside order %s, %s carry this order's marker.", w.cur.WHMCSOrderID, idsOf(others))})
	}
	return nil
}

func idsOf(all []order.BillingOrder) string {
	ids := make([]string, 0, len(all))
	for _, m := range all {
		ids = append(ids, m.ID)
	}
	return strings.Join(ids, ", ")
}
