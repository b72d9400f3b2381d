package order

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

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

// Step is one transition: From is the image it was decided on, To what it
// becomes.
type Step struct {
	From, To Record
	Signal   Signal
	Now      time.Time
	// Entry is the line for the history; a zero Event appends none.
	Entry Entry
}

// Check refuses a step that would lose an order or its fence, whatever the
// table says: no lease, an unknown state, point or reason, another order's
// image, open work without a time when it is due, a worker without an end of
// its lease. The error carries internal_error: only a fault in the engine
// makes such a step.
func (s Step) Check() error {
	var why error
	switch {
	case s.From.ID.IsZero() || s.From.ID != s.To.ID:
		why = errors.New("two orders, or none")
	case s.From.Lease == "":
		why = errors.New("no lease")
	case s.To.State.Status() == StatusPendingReview:
		why = fmt.Errorf("unknown state %q", s.To.State)
	case !s.To.RecoveryPoint.Valid():
		why = fmt.Errorf("unknown point %q", s.To.RecoveryPoint)
	case s.Signal != SignalQueued && s.Signal != SignalStatus && s.Signal != SignalLease && s.Signal != SignalNote:
		why = fmt.Errorf("unknown reason %q", s.Signal)
	case s.To.State.Open() && s.To.DueAt.IsZero():
		why = errors.New("open, but never due")
	case s.To.State == Working && s.To.LeaseUntil.IsZero():
		why = errors.New("working, but the lease has no end")
	}
	if why == nil {
		return nil
	}
	return fault.Wrap(fault.Internal, fmt.Errorf("write order %s: %w", s.From.ID, why))
}

// Valid reports whether p is one of the recovery points.
func (p RecoveryPoint) Valid() bool {
	switch p {
	case PointNone, PointAdding, PointAdded, PointAccepting, PointAccepted:
		return true
	}
	return false
}

// Forgettable reports whether an order in this state and at this point may be
// deleted after the retention time. An unknown outcome is never forgotten: a
// failed order past AtNone is the only evidence of what may exist in WHMCS.
func Forgettable(s State, p RecoveryPoint) bool {
	return s == Provisioned || s == Failed && p == PointNone
}

// Limits of the free text that an item keeps, in bytes. Salesforce shows at
// most 255 characters of a message; a vendor's page as an error message must
// not make the item too large to be written.
const (
	MaxMessage = 1024
	MaxDetail  = 300
	MaxBy      = 100
)

// Cut returns s as valid UTF-8 of at most limit bytes, cut at a rune boundary.
func Cut(s string, limit int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}
