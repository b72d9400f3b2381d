package order

import (
	"errors"
	"time"

	"orderbridge/shared/fault"
)

// Refusal says that Salesforce does not take what it is to show of an order: the
// status of Seq is tried again at Next. The zero Refusal is none.
type Refusal struct {
	// Seq is the change that was refused.
	Seq Seq
	// Since is when that change was refused first.
	Since time.Time
	// Next is when it is tried again.
	Next time.Time
	// Tries is how often it was refused.
	Tries int
	// Code is why, the last time.
	Code fault.Code
	// Letter: a dead letter tells of this change; there is no second one.
	Letter bool
}

// Refuse notes that Salesforce does not take the change of x.Seq; x.Tries and
// x.Since are counted here, from the time at. A dead letter adds the line e to
// the history, once for each change. A record that has changed since is left as
// it is: its newer change is on its way.
// Errors: order_not_found for the zero Record; internal_error without times.
func (r Record) Refuse(x Refusal, at time.Time, e Entry) (Record, error) {
	switch {
	case at.IsZero() || x.Next.IsZero():
		return r, fault.Wrap(fault.Internal, errors.New("a refusal without time, or without the next one"))
	case r.ID.IsZero():
		return r, fault.Wrap(fault.OrderNotFound, errors.New("no such order"))
	case r.Seq != x.Seq:
		return r, nil
	}
	before := r.Refusal
	x.Since, x.Tries, x.Next = ms(at), 1, ms(x.Next)
	if before.Seq == x.Seq {
		x.Since, x.Tries = before.Since, before.Tries+1
	}
	told := before.Seq == x.Seq && before.Letter
	if !x.Letter || told {
		e = Entry{}
	}
	x.Letter = x.Letter || told
	r.Refusal, r.Signal = x, SignalNote
	r.Version++
	return r.line(e), nil
}

// Confirm notes that Salesforce has been seen to show the order as it is at
// seq: what it refused until then is over. e is the line for the history where
// a dead letter had told of the refusal. A record without a refusal, or with a
// newer one, is left as it is. Errors: order_not_found for the zero Record.
func (r Record) Confirm(seq Seq, e Entry) (Record, error) {
	switch {
	case r.ID.IsZero():
		return r, fault.Wrap(fault.OrderNotFound, errors.New("no such order"))
	case r.Refusal.Seq == 0 || r.Refusal.Seq > seq:
		return r, nil
	}
	if !r.Refusal.Letter {
		e = Entry{}
	}
	r.Refusal, r.Signal = Refusal{}, SignalNote
	r.Version++
	return r.line(e), nil
}

// Confirmed reports whether Salesforce has been seen to show the order as it is.
// salesforce is that side's Control: every change listed before its mark has been
// looked for, and what Salesforce refused stands in the order.
func (r Record) Confirmed(salesforce Control) bool {
	return r.Refusal.Seq == 0 && r.Listed().Before(salesforce.ConfirmedUntil)
}
