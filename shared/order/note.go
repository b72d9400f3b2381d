package order

import (
	"errors"
	"time"

	"orderbridge/shared/fault"
)

// Note adds a line to the history; it wakes no function. Errors:
// order_not_found for the zero Record; internal_error for an entry without
// event or time.
func (r Record) Note(e Entry) (Record, error) {
	switch {
	case e.Event == "" || e.At.IsZero():
		return r, fault.Wrap(fault.Internal, errors.New("a note without event, or without time"))
	case r.ID.IsZero():
		return r, fault.Wrap(fault.OrderNotFound, errors.New("no such order"))
	}
	r.Signal = SignalNote
	r.Version++
	return r.line(e), nil
}

// Bump makes Salesforce hear of the order again: Seq becomes the largest of its
// successor, atLeast and now in ms. An entry without event adds no line.
// Errors: order_not_found for the zero Record; internal_error without a time.
func (r Record) Bump(atLeast Seq, now time.Time, e Entry) (Record, error) {
	switch {
	case now.IsZero():
		return r, fault.Wrap(fault.Internal, errors.New("a bump without time"))
	case r.ID.IsZero():
		return r, fault.Wrap(fault.OrderNotFound, errors.New("no such order"))
	}
	if e.At.IsZero() {
		e.At = now
	}
	r.Signal, r.Seq = SignalStatus, max(atLeast, r.Seq.Next(now))
	r.Version++
	return r.line(e), nil
}
