package writeback

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"orderbridge/shared/order"
)

// Show returns what Salesforce must show of r: the row of the order, and one
// for each order product whose services are known, sorted by product.
//
// What is shown depends on nothing but what changes together with seq. So an
// open order shows its status alone: the WHMCS order id that it may know by
// then came with a write that Salesforce does not see.
//
// The message of a failed order is the text that the record holds, or, where it
// holds none, the advice of the code.
func Show(r order.Record) (head order.Shown, items []order.Shown) {
	head = order.Shown{ID: r.ID, Status: r.Status(), At: changedAt(r), Seq: r.Seq}
	if r.State.Open() {
		return head, nil
	}
	if r.State == order.Failed {
		head.Code = r.ErrorCode
		head.Message = cmp.Or(r.ErrorMessage, r.ErrorCode.Info().Advice)
	}
	head.WHMCSOrderID = r.WHMCSOrderID
	for _, item := range slices.Sorted(maps.Keys(r.ServiceIDs)) {
		if ids := r.ServiceIDs[item]; len(ids) > 0 {
			items = append(items, order.Shown{ID: r.ID, Item: item, Services: ids})
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
