package order

import "time"

// Progress is what the portal needs to know of an order. The zero Progress is
// an order that nobody has asked to provision.
type Progress struct {
	State        State
	AccountID    string // Salesforce Account id, 18 characters; "" = not known yet
	WHMCSOrderID string
	// OpenedAt is when the present try began.
	OpenedAt  time.Time
	UpdatedAt time.Time
}

// Status returns what people are shown of p.
func (p Progress) Status() Status { return p.State.Status() }
