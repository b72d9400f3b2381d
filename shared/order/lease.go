package order

import (
	"errors"
	"fmt"
	"time"

	"orderbridge/shared/fault"
)

// MaxSkew is how far the clocks of two workers may differ (assumption A1).
const MaxSkew = 2 * time.Second

// Lease is what a worker asks for.
type Lease struct {
	Token  Token
	Now    time.Time
	Until  time.Time     // never after the invocation's deadline
	Margin time.Duration // CLOCK_MARGIN
}

// TakeLease makes the caller the one worker of r, which must be open, due, and
// without a lease that still stands. One whose lease ran out adds to Aborted. What falls due within MaxSkew is due:
// another machine's clock said when, and a worker whose own is a little behind
// must not drop the wake-up. Attempts and Fence grow by 1; DueAt becomes the
// end of the lease and the margin, so that the clock comes back when this
// worker dies. A record that the caller has leased already returns unchanged.
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
	if !r.State.Open() || r.DueAt.IsZero() || r.DueAt.After(now.Add(MaxSkew)) || taken || used {
		return r, fault.Wrap(fault.NotDue, fmt.Errorf("%s, due %s, leased by %q until %s", r.State, r.DueAt, r.Lease, r.LeaseUntil))
	}
	if r.State != Working {
		r.Aborted = 0
	} else {
		r.Aborted++
	}
	r.State, r.Signal, r.Lease = Working, SignalLease, l.Token
	r.LeaseUntil, r.DueAt = ms(l.Until), ms(l.Until.Add(l.Margin))
	r.Fence++
	r.Attempts++
	r.Version++
	return r, nil
}
