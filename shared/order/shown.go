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

	// Of an order.
	Status Status
	At     time.Time // when the change was made that Seq stands for
	Seq    Seq
	// WHMCSOrderID: "" leaves what Salesforce shows.
	WHMCSOrderID string
	// Code and Message say why an order failed; "" clears what Salesforce shows.
	Code    fault.Code
	Message string

	// Services are the WHMCS service ids of a product.
	Services []string
}
