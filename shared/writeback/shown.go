package writeback

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"orderbridge/shared/order"
)

// Show returns what Salesforce must show of r: the row of the order, and one
// for each order product whose services are known, sorted by product.
//
// What is shown depends on nothing but what changes together with seq. So an
// open order shows its status, and why it waits where it was told so: the WHMCS order id that it may know by
// then came with a write that Salesforce does not see.
//
// The message of a failed order is the text that the record holds, or, where it
// holds none, the advice of the code.
func Show(r order.Record) (head order.Shown, items []order.Shown) {
	head = order.Shown{ID: r.ID, Status: r.Status(), At: changedAt(r), Seq: r.Seq}
	if r.State.Open() {
		head.Code, head.Message, head.NextTry = r.Told.Code, r.Told.Message, r.Told.NextTry
		return head, nil
	}
	if r.State == order.Failed {
		head.Code = r.ErrorCode
		head.Message = cmp.Or(r.ErrorMessage, r.ErrorCode.Info().Advice)
	}
	head.WHMCSOrderID = r.WHMCSOrderID
	// Only where a person said so: an id that Salesforce holds of another life of
	// the order, or of the order that this one was cloned from, is evidence, and
	// makes the engine search before it orders.
	head.Gone = r.WHMCSOrderID == "" && r.Word.Absent()
	for _, item := range slices.Sorted(maps.Keys(r.ServiceIDs)) {
		if ids := r.ServiceIDs[item]; len(ids) > 0 {
			items = append(items, order.Shown{ID: r.ID, Item: item, Seq: r.Seq, Services: ids})
		}
	}
	return head, items
}

// changedAt is when the change that seq stands for was made. seq is that time
// in ms, unless it had to run ahead of the clock; later writes that Salesforce
// does not see move UpdatedAt, not seq.
func changedAt(r order.Record) time.Time {
	at := time.UnixMilli(int64(r.Seq))
	if at.After(r.UpdatedAt) {
		return r.UpdatedAt
	}
	return at
}

// differs reports whether the org shows an order otherwise than r is: its
// status too, since a sender writes that without a seq.
func differs(view order.View, r order.Record) bool {
	head, items := Show(r)
	if view.Status != head.Status || view.Seq != head.Seq || view.Code != head.Code {
		return true
	}
	if head.WHMCSOrderID != "" && view.WHMCSOrderID != head.WHMCSOrderID || head.Gone && (view.WHMCSOrderID != "" || len(view.Items) > 0) {
		return true
	}
	return slices.ContainsFunc(items, func(want order.Shown) bool {
		return !slices.ContainsFunc(view.Items, func(shows order.Shown) bool {
			return shows.Item == want.Item && sameServices(shows.Services, want.Services)
		})
	})
}

// sameServices compares the services that the org shows of a product, of which
// the last ones may have been cut off, with those that it should show.
func sameServices(shows, want []string) bool {
	if n := len(shows) - 1; n >= 0 && strings.HasSuffix(shows[n], "…") {
		return len(want) >= n && slices.Equal(shows[:n], want[:n])
	}
	return slices.Equal(shows, want)
}

// gone names the products that show services of a WHMCS order that is gone.
func gone(view order.View, r order.Record) []string {
	if head, _ := Show(r); !head.Gone {
		return nil
	}
	var items []string
	for _, it := range view.Items {
		items = append(items, it.Item)
	}
	return items
}
