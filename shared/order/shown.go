package order

import (
	"time"

	"orderbridge/shared/fault"
)

// Shown is what Salesforce is to show of one of its records: of an order, or,
// where Item is set, of one of the order's products. writeback says it in these
// terms, salesforce knows the fields.
type Shown struct {
	ID   ID     // of the order
	Item string // Salesforce OrderItem id; "" = the order itself

	// Seq is of the order and of each of its products: Salesforce refuses an
	// older one on either.
	Seq Seq

	// Of an order.
	Status Status
	At     time.Time // when the change was made that Seq stands for
	// WHMCSOrderID: "" leaves what Salesforce shows, or, where Gone is set,
	// clears it.
	WHMCSOrderID string
	// Gone: a person said that there is no WHMCS order, and none was made since.
	Gone bool
	// Code and Message say why an order failed, or why it waits; "" clears what
	// Salesforce shows.
	Code    fault.Code
	Message string
	// NextTry is when an order that waits is tried again; zero clears it.
	NextTry time.Time

	// Services are the WHMCS service ids of a product; none clears what
	// Salesforce shows.
	Services []string
}

// View is what Salesforce shows of an order: the order's own row, of which Seq
// is the newest that the order or one of its products shows, and the products
// that show services.
type View struct {
	Shown
	Items []Shown
}

// listStep: the changes of one such span are listed under its end. An order that
// ends so soon after it was opened keeps its place in the list, which saves two of
// the table's write units; nothing looks for a change that is younger than
// minutes.
const listStep = 30 * time.Second

// Listed is the time under which the last change of r that Salesforce must see is
// listed: when it was made, or up to half a minute later, never before.
func (r Record) Listed() time.Time {
	made := time.UnixMilli(int64(r.Seq)).UTC()
	if end := r.OpenedAt.Add(listStep); !made.Before(r.OpenedAt) && !made.After(end) {
		return end
	}
	end := made.Truncate(listStep)
	if end.Before(made) {
		end = end.Add(listStep)
	}
	return end
}

// Changed is an order and the time under which its last change is listed that
// Salesforce must see.
type Changed struct {
	ID ID
	At time.Time
}
