package order

import (
	"errors"
	"fmt"
	"time"

	"orderbridge/shared/fault"
)

// Resolution is what a person decided about a failed order.
type Resolution struct {
	ID ID
	// Exactly one of the three: Adopt holds a WHMCS order id, None says that
	// there is none, Stop changes the code alone.
	Adopt string
	None  bool
	Stop  bool
	By    string // who; required
	Why   string // required
	Now   time.Time
}

// check refuses a resolution of which a part is missing.
func (s Resolution) check() error {
	chosen := 0
	for _, yes := range []bool{s.Adopt != "", s.None, s.Stop} {
		if yes {
			chosen++
		}
	}
	if s.ID.IsZero() || chosen != 1 || s.By == "" || s.Why == "" || s.Now.IsZero() {
		return fault.Wrap(fault.Internal, errors.New("a resolution needs an order, one of adopt, none and stop, a name, a reason and a time"))
	}
	return nil
}

// Resolve carries out what a person decided about a failed order:
//   - Adopt: the WHMCS order of that id is this order's, marker or not; it is
//     queued, and compared before anything is accepted.
//   - None: there is none, whatever dead orders a search finds; it is queued at
//     none, to be ordered again. Refused until the last AddOrder has ended
//     (Add.SettledAt).
//   - Stop: the error becomes stopped, and nothing else changes.
//
// Errors: order_not_found for the zero Record; state_changed when r is not
// failed, or AddOrder may still run; internal_error.
func (r Record) Resolve(s Resolution) (Record, error) {
	if err := s.check(); err != nil {
		return r, err
	}
	switch {
	case r.ID.IsZero():
		return r, fault.Wrap(fault.OrderNotFound, errors.New("no such order"))
	case r.State != Failed:
		return r, fault.Wrap(fault.StateChanged, fmt.Errorf("it is %s, not failed", r.State))
	case s.None && !r.Add.SettledAt.IsZero() && !r.Add.SettledAt.Before(s.Now):
		err := fault.New(fault.StateChanged, "AddOrder may still be running in WHMCS: wait for the settle time, then look again.")
		err.Err = fmt.Errorf("the last AddOrder may run until %s", r.Add.SettledAt)
		return r, err
	}
	now := ms(s.Now)
	e := Entry{At: now, By: s.By, Detail: s.Why}
	r.Version++
	if s.Stop {
		r.Signal, r.Seq, r.UpdatedAt = SignalStatus, r.Seq.Next(now), now
		r.ErrorCode, r.ErrorMessage, r.ErrorAt = fault.Stopped, "", now
		e.Event = "resolved_stop"
		return r.line(e), nil
	}
	r = r.reopen(now)
	r.AcceptedAt = time.Time{} // it is of the order that was known before
	if s.Adopt != "" {
		if r.WHMCSOrderID != s.Adopt {
			r.ServiceIDs = nil
		}
		r.RecoveryPoint, r.WHMCSOrderID, r.Word = r.AfterAdopting(s.Adopt), s.Adopt, WordNamed
		e.Event, e.Detail = "resolved_adopt", "WHMCS order "+s.Adopt+": "+s.Why
		return r.line(e), nil
	}
	r.RecoveryPoint, r.Add.Count, r.Plan, r.WHMCSOrderID, r.ServiceIDs, r.Word = PointNone, 0, nil, "", nil, WordAbsent
	e.Event = "resolved_none"
	return r.line(e), nil
}

// AfterAdopting is the recovery point of an order for which a person names a
// WHMCS order: added, so that it is compared and accepted. The order that is
// known already keeps the point at which AcceptOrder may have run: its name
// says nothing about that, and a second AcceptOrder would run the module twice.
func (r Record) AfterAdopting(whmcsOrderID string) RecoveryPoint {
	if r.WHMCSOrderID == whmcsOrderID && (r.RecoveryPoint == PointAccepting || r.RecoveryPoint == PointAccepted) {
		return r.RecoveryPoint
	}
	return PointAdded
}
