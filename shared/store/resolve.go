package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// Resolve carries out what a person decided about a failed order and returns
// the new image:
//   - Adopt: the WHMCS order of that id is this order's, marker or not; it is
//     queued at added, and compared before anything is accepted.
//   - None: there is none, whatever dead orders a look finds; it is queued at
//     none, to be ordered afresh. Refused while the last AddOrder may still be
//     running (Add.SettledAt).
//   - Stop: the error becomes stopped, and nothing else changes.
//
// The write is conditional on the version that it was decided on. A version
// that a callout or a note moved is decided on afresh; an order that was worked
// on, reopened or resolved meanwhile is not what the person saw.
//
// Errors: order_not_found where there is no item; state_changed when the order
// is not failed, was changed meanwhile, or is not settled; store_unavailable.
func (s *Store) Resolve(ctx context.Context, r order.Resolution) (order.Record, error) {
	doing := "resolve order " + r.ID.String()
	if err := checkResolution(r); err != nil {
		return order.Record{}, fault.Wrap(fault.Internal, fmt.Errorf("%s: %w", doing, err))
	}
	first, ok, err := s.read(ctx, r.ID)
	if err != nil {
		return order.Record{}, err
	}
	if !ok {
		return order.Record{}, fault.Wrap(fault.OrderNotFound, fmt.Errorf("%s: no such order", doing))
	}
	random := order.NewToken()
	seen := first
	for range maxTries {
		if err := resolvable(r, first, seen); err != nil {
			return order.Record{}, err
		}
		name := historyName(r.Now, seen.rec.Version+1, random)
		got, err := s.update(ctx, orderKey(r.ID), resolution(r, seen, name), doing)
		if err != nil {
			return order.Record{}, err
		}
		if got.item == nil {
			return order.Record{}, fault.Wrap(fault.OrderNotFound, fmt.Errorf("%s: deleted meanwhile", doing))
		}
		img, err := decode(got.item)
		if err != nil {
			return order.Record{}, err
		}
		if got.applied || slices.Contains(img.history, name) {
			return img.rec, nil
		}
		seen = img
	}
	return order.Record{}, contended(doing)
}

func checkResolution(r order.Resolution) error {
	chosen := 0
	for _, yes := range []bool{r.Adopt != "", r.None, r.Stop} {
		if yes {
			chosen++
		}
	}
	switch {
	case r.ID.IsZero():
		return errors.New("no order")
	case chosen != 1:
		return errors.New("not exactly one of adopt, none and stop")
	case r.By == "" || r.Why == "":
		return errors.New("nobody vouches for it, or no reason is given")
	case r.Now.IsZero():
		return errors.New("no time")
	}
	return nil
}

// resolvable reports why an image cannot be resolved; first is the image on
// which the person's word was taken.
func resolvable(r order.Resolution, first, seen image) error {
	a, b := first.rec, seen.rec
	switch {
	case b.State != order.Failed:
		return fault.Wrap(fault.StateChanged, fmt.Errorf("resolve order %s: it is %s, not failed", r.ID, b.State))
	case a.Fence != b.Fence || a.RecoveryPoint != b.RecoveryPoint || a.ErrorCode != b.ErrorCode || !a.OpenedAt.Equal(b.OpenedAt):
		return fault.Wrap(fault.StateChanged, fmt.Errorf("resolve order %s: it was changed meanwhile", r.ID))
	case r.None && !b.Add.SettledAt.IsZero() && !b.Add.SettledAt.Before(r.Now):
		err := fault.New(fault.StateChanged, "AddOrder may still be running in WHMCS: wait for the settle time, then look again.")
		err.Err = fmt.Errorf("resolve order %s: the last AddOrder may run until %s", r.ID, show(b.Add.SettledAt))
		return err
	}
	return nil
}

func resolution(r order.Resolution, seen image, name string) *update {
	u := newUpdate()
	u.unmoved(seen.rec.Version)
	u.equal(u.path(attrState), text(string(order.Failed)))
	u.set(u.path(attrVersion), num(seen.rec.Version+1))
	e := order.Entry{By: r.By, Detail: r.Why}
	if r.Stop {
		e.Event = eventStopped
		u.set(u.path(attrSignal), text(string(order.SignalStatus)))
		u.set(u.path(attrSeq), num(int64(seen.rec.Seq.Next(r.Now))))
		u.set(u.path(attrUpdatedAt), iso(r.Now))
		u.set(u.path(attrErrorCode), text(string(fault.Stopped)))
		u.set(u.path(attrErrorAt), iso(r.Now))
		u.remove(u.path(attrErrorMessage)) // it is the former code's
		u.line(seen, name, e)
		return u
	}
	u.set(u.path(attrSignal), text(string(order.SignalQueued)))
	reopen(u, seen.rec, r.Now)
	// It speaks of an AcceptOrder of the order that was known before.
	u.remove(u.path(attrAcceptedAt))
	switch {
	case r.Adopt != "":
		e.Event, e.Detail = eventAdopted, "WHMCS order "+r.Adopt+": "+r.Why
		u.set(u.path(attrPoint), text(string(seen.rec.AfterAdopting(r.Adopt))))
		u.set(u.path(attrWHMCSOrderID), text(r.Adopt))
		u.set(u.path(attrWord), text(string(order.WordNamed)))
		if r.Adopt != seen.rec.WHMCSOrderID {
			u.remove(u.path(attrServiceIDs))
		}
	default:
		e.Event = eventNone
		u.set(u.path(attrPoint), text(string(order.PointNone)))
		u.set(u.path(attrWord), text(string(order.WordAbsent)))
		for _, a := range []string{attrAdds, attrPlan, attrWHMCSOrderID, attrServiceIDs} {
			u.remove(u.path(a))
		}
	}
	u.line(seen, name, e)
	return u
}
