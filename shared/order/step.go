package order

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"orderbridge/shared/fault"
)

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

// Step makes one transition under the fence: what the engine decides is taken
// from s.To; what callouts, notes and bumps write meanwhile stays as r has it.
// Leaving working ends the lease (its token stays, so that a repeated request
// is recognised); a state that is not open is not due; only what Forgettable
// allows keeps its ExpiresAt. A visible Signal makes Seq grow past r's.
//
// Errors: lease_lost unless r is leased by s.From.Lease and working;
// internal_error for a step that Check refuses.
func (r Record) Step(s Step) (Record, error) {
	if err := s.Check(); err != nil {
		return r, err
	}
	switch {
	case r.ID.IsZero():
		return r, fault.Wrap(fault.LeaseLost, errors.New("no such order"))
	case r.State != Working || r.Lease != s.From.Lease:
		return r, fault.Wrap(fault.LeaseLost, fmt.Errorf("%s, leased by %q until %s", r.State, r.Lease, r.LeaseUntil))
	}
	now, to := ms(s.Now), s.To
	r.State, r.RecoveryPoint, r.Signal, r.UpdatedAt = to.State, to.RecoveryPoint, s.Signal, now
	r.LeaseUntil, r.DueAt, r.ExpiresAt = to.LeaseUntil, to.DueAt, to.ExpiresAt
	r.Plan, r.Add, r.Accept, r.Word, r.AcceptedAt = to.Plan, to.Add, to.Accept, to.Word, to.AcceptedAt
	r.FirstAddAt, r.FirstAddAfter, r.Search = to.FirstAddAt, to.FirstAddAfter, to.Search
	r.Attempts, r.OpenedAt, r.WHMCSOrderID, r.ServiceIDs = to.Attempts, to.OpenedAt, to.WHMCSOrderID, to.ServiceIDs
	r.ErrorCode, r.ErrorMessage, r.ErrorAt = to.ErrorCode, to.ErrorMessage, to.ErrorAt
	r.Told = to.Told
	if to.AccountID != s.From.AccountID { // else a callout may have brought it
		r.AccountID = to.AccountID
	}
	if r.State != Working {
		r.LeaseUntil = time.Time{}
	}
	if !r.State.Open() {
		r.DueAt = time.Time{}
	}
	if !Forgettable(r.State, r.RecoveryPoint) {
		r.ExpiresAt = time.Time{}
	}
	if s.Signal.Visible() {
		r.Seq = r.Seq.Next(now)
	}
	r.Version++
	e := s.Entry
	if e.At.IsZero() {
		e.At = now
	}
	return r.Normal().line(e), nil
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
// failed order past PointNone is the only evidence of what may exist in WHMCS.
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
