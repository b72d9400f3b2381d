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
	// Exactly one of the five: Adopt holds a WHMCS order id, None says that
	// there is none, Stop changes the code alone, UndoAdopt takes Adopt back,
	// Retry asks for one more try, as a click does.
	Adopt     string
	None      bool
	Stop      bool
	UndoAdopt bool
	Retry     bool
	// AnyClient, beside Adopt: the order may be another client's than the plan's.
	AnyClient bool
	By        string // who; required
	Why       string // required
	Now       time.Time
}

// check refuses a resolution of which a part is missing.
func (s Resolution) check() error {
	chosen := 0
	for _, yes := range []bool{s.Adopt != "", s.None, s.Stop, s.UndoAdopt, s.Retry} {
		if yes {
			chosen++
		}
	}
	if s.ID.IsZero() || chosen != 1 || s.AnyClient && s.Adopt == "" || s.By == "" || s.Why == "" || s.Now.IsZero() {
		return fault.Wrap(fault.Internal, errors.New("a resolution needs an order, one of adopt, none, stop, undo and retry, a name, a reason and a time"))
	}
	return nil
}

// Resolve carries out what a person decided about a failed order:
//   - Adopt: the WHMCS order of that id is this order's, also without a marker;
//     it is queued, and compared before anything is accepted.
//   - None: there is none, whatever dead orders a search finds; it is queued at
//     none, to be searched for once more and then ordered again. The WHMCS order
//     that was known stays known: while it lives it is stronger than the word.
//     Refused until the last AddOrder has ended (Add.SettledAt).
//   - Stop: the error becomes that of Stopped, and nothing else changes.
//   - UndoAdopt: the WHMCS order that a person named is not this order's; it is
//     queued, to search for its own. An order that was provisioned by the wrong
//     one is open again.
//   - Retry: it is queued at its recovery point, with the consent of a click.
//
// Errors: order_not_found for the zero Record; state_changed when r is not
// failed (UndoAdopt: neither failed nor provisioned, or no order was named), or
// AddOrder may still run; internal_error.
func (r Record) Resolve(s Resolution) (Record, error) {
	if err := s.check(); err != nil {
		return r, err
	}
	switch {
	case r.ID.IsZero():
		return r, fault.Wrap(fault.OrderNotFound, errors.New("no such order"))
	case r.State != Failed && (!s.UndoAdopt || r.State != Provisioned):
		return r, fault.Wrap(fault.StateChanged, fmt.Errorf("it is %s, not failed", r.State))
	case s.UndoAdopt && !r.Word.Named():
		return r, fault.New(fault.StateChanged, "No WHMCS order was adopted for it.")
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
		r.ErrorCode, r.ErrorMessage = r.Stopped()
		r.ErrorAt = now
		e.Event = "resolved_stop"
		return r.line(e), nil
	}
	if s.Retry {
		e.Event, e.Detail = "retried", "after "+string(r.ErrorCode)+": "+s.Why
		return r.again(now).line(e), nil
	}
	r = r.reopen(now)
	r.AcceptedAt = time.Time{} // it is of the order that was known before
	switch {
	case s.Adopt != "":
		if r.WHMCSOrderID != s.Adopt {
			r.ServiceIDs = nil
		}
		r.RecoveryPoint, r.WHMCSOrderID, r.Word = r.AfterAdopting(s.Adopt), s.Adopt, WordNamed
		if s.AnyClient {
			r.Word = WordNamedAnyClient
		}
		e.Event, e.Detail = "resolved_adopt", "WHMCS order "+s.Adopt+": "+s.Why
	case s.UndoAdopt:
		e.Event, e.Detail = "adoption_undone", "WHMCS order "+r.WHMCSOrderID+": "+s.Why
		r.RecoveryPoint, r.WHMCSOrderID, r.ServiceIDs, r.Word = PointAdding, "", nil, WordNone
		if r.Add.Count == 0 {
			r.Plan = nil // it was made after the adoption; Salesforce may have changed since
		}
	default:
		r.RecoveryPoint, r.Add.Count, r.Plan, r.ServiceIDs, r.Word = PointNone, 0, nil, nil, WordAbsent
		e.Event = "resolved_none"
	}
	return r.line(e), nil
}

// Stopped is the code and the text of a failed order that a person stops. Past
// none something may exist in WHMCS that nothing will look after from then on:
// that stays a case for a person, and the text names what is known. "" is the
// table's text.
func (r Record) Stopped() (code fault.Code, text string) {
	switch {
	case r.RecoveryPoint == PointNone:
		return fault.Stopped, ""
	case r.WHMCSOrderID == "":
		return fault.StoppedInWHMCS, ""
	case r.ErrorCode == fault.WHMCSOrderCancelled:
		return fault.StoppedInWHMCS, fault.TextOf(&fault.Error{Code: fault.StoppedInWHMCS, Advice: "Click again to resume; the bridge searches WHMCS first.",
			Seen: "An operator stopped the order after its WHMCS order " + r.WHMCSOrderID + " was cancelled."})
	}
	return fault.StoppedInWHMCS, fault.TextOf(fault.Saw(fault.StoppedInWHMCS, "An operator stopped the order, and WHMCS order %s was not cancelled.", r.WHMCSOrderID))
}

// AfterAdopting is the recovery point of an order for which a person names a
// WHMCS order: added, so that it is compared and accepted. The order that is
// known already keeps the point at which AcceptOrder may have run. Where an
// AcceptOrder has ever left, any order is at accepting: it may be the one that
// was accepted before another was named, and a second AcceptOrder would run its
// module twice.
func (r Record) AfterAdopting(whmcsOrderID string) RecoveryPoint {
	switch {
	case r.WHMCSOrderID == whmcsOrderID && (r.RecoveryPoint == PointAccepting || r.RecoveryPoint == PointAccepted):
		return r.RecoveryPoint
	case r.Accept.Count > 0:
		return PointAccepting
	}
	return PointAdded
}
