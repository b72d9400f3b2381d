// Package question is what orderctl asks ProvisionFunction, and what that answers,
// as both stand on the wire. It holds shapes alone: who asks and who answers turn
// them into what they work with, and nothing else may take them for its own.
package question

import "time"

// Question is an event of orderctl. One member is set.
type Question struct {
	Check  string `json:"check,omitempty"` // an order
	Find   string `json:"find,omitempty"`  // a WHMCS order id, or a Salesforce order number
	Probe  string `json:"probe,omitempty"` // a side
	Doctor bool   `json:"doctor,omitempty"`
	Audit  *Audit `json:"audit,omitempty"`
}

// Asked reports whether the event is a question at all.
func (q Question) Asked() bool { return q != Question{} }

// Audit asks for a comparison of the three books.
type Audit struct {
	After string    `json:"after"`          // the order to go on behind: Next of the answer before
	Days  int       `json:"days,omitempty"` // instead of Since, for the schedule
	Since time.Time `json:"since,omitzero"` // what is older is not judged
}

// Refusal is the answer to a question that could not be answered.
type Refusal struct {
	Code string `json:"error_code"`
	Text string `json:"error_text"`
}

// Checked is the answer to Check.
type Checked struct {
	ID string `json:"order_id"`
	// State is what the table holds; "" = no callout was recorded.
	State string `json:"state,omitempty"`
	// Problems are all the reasons why the order would fail now.
	Problems []Problem `json:"problems,omitempty"`
	// Plan is what AddOrder would be asked for; nil where nothing would be.
	Plan *Plan `json:"plan,omitempty"`
	// Note says what the table's record changes of that.
	Note string `json:"note,omitempty"`
}

// Problem is one reason why an order would fail.
type Problem struct {
	Code string `json:"error_code"`
	Text string `json:"text"`
}

// Plan is what would be ordered.
type Plan struct {
	ClientID      int64  `json:"client_id"`
	PaymentMethod string `json:"payment_method"`
	PromoCode     string `json:"promo_code,omitempty"`
	Lines         []Line `json:"lines"`
}

// Line is what would be ordered for one product of the order.
type Line struct {
	ItemID    string `json:"item_id"`
	ProductID int64  `json:"product_id"`
	Name      string `json:"name,omitempty"`
	Cycle     string `json:"cycle"`
	Quantity  int    `json:"quantity"`
	Services  int    `json:"services"` // that WHMCS makes of it
	Domain    string `json:"domain,omitempty"`
	Hostname  string `json:"hostname,omitempty"`
}

// Found is the answer to Find.
type Found struct {
	Orders []string `json:"orders"`
}

// Probed is the answer to Probe. Code and Until say why the side's breaker stays
// open, and until when.
type Probed struct {
	Code   string    `json:"error_code,omitempty"`
	Until  time.Time `json:"open_until,omitzero"`
	Serves bool      `json:"serves"`
	Side   string    `json:"side"`
}

// Audited is a part of a comparison.
type Audited struct {
	Differences []Difference `json:"differences"`
	Orders      int          `json:"orders"` // that were compared
	// Next is behind which order the next question goes on; "" = that was all.
	Next string `json:"next,omitempty"`
}

// Difference is an order about which the books differ.
type Difference struct {
	Class         string   `json:"class"`
	ID            string   `json:"order_id"`
	WHMCSOrderIDs []string `json:"whmcs_order_ids,omitempty"`
	Text          string   `json:"text"`
}
