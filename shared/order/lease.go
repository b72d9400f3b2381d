package order

import (
	"errors"
	"fmt"
	"time"

	"orderbridge/shared/fault"
)

// MaxSkew is how far the clocks of two workers may differ (assumption A1).
const MaxSkew = 2 * time.Second

// HintFirst is how long after it was queued the clock leaves an order to the hint
// of the queue, which wakes a worker within a second. An order that ends in this
// time stays where it is in the index of due orders, which saves two write units;
// where the hint is lost, the clock finds the order this much later.
const HintFirst = 30 * time.Second

// Lease is what a worker asks for.
type Lease struct {
	Token  Token
	Now    time.Time
	Until  time.Time     // never after the invocation's deadline
	Margin time.Duration // CLOCK_MARGIN
}

// TakeLease makes the caller the one worker of r, which must be open, due, and
// without a lease that still stands. One whose lease ran out adds to Aborted. What
// is queued is due at once. What falls due within MaxSkew is due: another machine's
// clock said when, and a worker whose own is a little behind must not drop the
// wake-up. Attempts and Fence grow by 1. DueAt becomes the end of the lease and the
// margin, so that the clock comes back when this worker dies; the DueAt of a queued
// order stays while it lies ahead, and before that end. Once it has passed the
// clock sends hints in vain until the lease is over, and then the one that counts.
// A record that the caller has leased already returns unchanged.
//
// Errors: not_due, its cause says who has the order and until when;
// internal_error.
func (r Record) TakeLease(l Lease) (Record, error) {
	switch {
	case l.Token == "" || l.Now.IsZero() || !l.Until.After(l.Now):
		return r, fault.Wrap(fault.Internal, errors.New("a lease without token, or without time"))
	case r.ID.IsZero():
		return r, fault.Wrap(fault.NotDue, errors.New("no such order"))
	case r.State == Working && r.Lease == l.Token:
		return r, nil
	}
	now := ms(l.Now)
	taken := !r.LeaseUntil.IsZero() && !r.LeaseUntil.Add(l.Margin.Truncate(time.Millisecond)).Before(now)
	used := r.Lease == l.Token // a late copy of a request that was carried out
	ahead := r.DueAt.After(now.Add(MaxSkew))
	if !r.State.Open() || r.DueAt.IsZero() || ahead && r.State != Queued || taken || used {
		return r, fault.Wrap(fault.NotDue, fmt.Errorf("%s, due %s, leased by %q until %s", r.State, r.DueAt, r.Lease, r.LeaseUntil))
	}
	if r.State != Working {
		r.Aborted = 0
	} else {
		r.Aborted++
	}
	r.State, r.Signal, r.Lease, r.LeaseUntil = Working, SignalLease, l.Token, ms(l.Until)
	if end := ms(l.Until.Add(l.Margin)); !ahead || r.DueAt.After(end) {
		r.DueAt = end
	}
	r.Fence++
	r.Attempts++
	r.Version++
	return r, nil
}
