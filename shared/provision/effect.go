package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// Effect is one request that changes WHMCS. Every effect follows the same rows:
// a stamp (the write that says that it may leave, and until when), the send
// inside that window, and what its answer means.
type Effect struct {
	Name  string // WHMCS's action
	event string // the history's word for the stamp
	// sending: it may have reached WHMCS; done: it is known to have succeeded.
	sending, done order.RecoveryPoint
	timeout       func(Config) time.Duration // until its answer is given up
	settle        func(Config) time.Duration // it has ended this long after its window
	sent          func(*order.Record) *order.Sent
	runsModules   bool // it ends when the provisioning modules of the products have
	// stamped makes what else the stamp writes; detail is the history's.
	stamped func(r *order.Record, now time.Time) (detail string)
	// unstamped is the record after a send that certainly did nothing; before is
	// the record that the stamp was decided on.
	unstamped func(r, before order.Record) order.Record
	// succeeded makes what the answer says of the record.
	succeeded func(r *order.Record, answer string, now time.Time)
	send      func(ctx context.Context, b Billing, w order.SendWindow, r order.Record) (answer string, err error)
}

// stamp returns the record that says that the effect may leave until the end of
// its window, and the history's detail.
func (e *Effect) stamp(r order.Record, now time.Time, c Config) (order.Record, string) {
	s := e.sent(&r)
	s.Count++
	s.Until = now.Add(c.Window)
	s.SettledAt = s.Until.Add(c.Margin).Add(e.settle(c))
	r.RecoveryPoint = e.sending
	return r, e.stamped(&r, now)
}

// addOrder makes the order in WHMCS. A count that falls back to 0 leads back to
// none: then nothing can have reached WHMCS.
func addOrder() *Effect {
	return &Effect{
		Name: "AddOrder", event: "add_sending", sending: order.PointAdding, done: order.PointAdded,
		timeout: func(c Config) time.Duration { return c.AddTimeout },
		settle:  func(c Config) time.Duration { return c.Settle },
		sent:    func(r *order.Record) *order.Sent { return &r.Add },
		stamped: func(r *order.Record, now time.Time) string {
			// What was known is dead, or not this order's: this AddOrder makes an
			// order of its own, and no AcceptOrder of that one has left.
			r.Word, r.WHMCSOrderID, r.Accept = r.Word.WithoutAbsent(), "", order.Sent{}
			if r.FirstAddAt.IsZero() {
				r.FirstAddAt = now
			}
			return fmt.Sprintf("AddOrder, try %d", r.Add.Count)
		},
		unstamped: func(r, before order.Record) order.Record {
			r.Add, r.Word, r.Accept = before.Add.Ended(), before.Word, before.Accept
			if before.Add.Count == 0 {
				r.RecoveryPoint, r.Plan = before.RecoveryPoint, before.Plan
				r.FirstAddAt, r.FirstAddAfter = before.FirstAddAt, before.FirstAddAfter
			}
			return r
		},
		succeeded: func(r *order.Record, answer string, _ time.Time) { r.WHMCSOrderID = answer },
		send: func(ctx context.Context, b Billing, w order.SendWindow, r order.Record) (string, error) {
			return b.Add(ctx, w, r.ID, *r.Plan)
		},
	}
}

// acceptOrder makes WHMCS build the services of the order: its modules run.
func acceptOrder() *Effect {
	return &Effect{
		Name: "AcceptOrder", event: "accept_sending", sending: order.PointAccepting, done: order.PointAccepted,
		timeout: func(c Config) time.Duration { return c.AcceptTimeout },
		settle:  func(c Config) time.Duration { return c.AcceptSettle },
		sent:    func(r *order.Record) *order.Sent { return &r.Accept }, runsModules: true,
		stamped: func(r *order.Record, _ time.Time) string {
			r.Word = r.Word.WithoutRerun()
			if !r.Word.Named() { // by its answer, or found by a search that had waited for it
				r.Add = r.Add.Ended()
			}
			return fmt.Sprintf("AcceptOrder, try %d, of WHMCS order %s", r.Accept.Count, r.WHMCSOrderID)
		},
		unstamped: func(r, before order.Record) order.Record {
			r.RecoveryPoint, r.Accept = order.PointAdded, before.Accept.Ended()
			return r
		},
		succeeded: func(r *order.Record, _ string, now time.Time) { *r = accepted(*r, now) },
		send: func(ctx context.Context, b Billing, w order.SendWindow, r order.Record) (string, error) {
			return "", b.Accept(ctx, w, r.WHMCSOrderID)
		},
	}
}

// accepted is the record of an order that AcceptOrder, or a person, is known to
// have accepted; its services are still to be verified.
func accepted(r order.Record, now time.Time) order.Record {
	r.RecoveryPoint, r.Word, r.AcceptedAt = order.PointAccepted, r.Word.WithoutRerun(), now
	return r
}

// outcome is what the answer to a send means.
type outcome uint8

const (
	outcomeDone    outcome = iota
	outcomeUnsure          // may have happened
	outcomeRefused         // answered, nothing done
	outcomeNotSent         // nothing left
)

func outcomeOf(err error) outcome {
	var notSent *fault.NotSent
	var refused *fault.Refused
	switch {
	case err == nil:
		return outcomeDone
	case errors.As(err, &notSent):
		return outcomeNotSent
	case errors.As(err, &refused):
		return outcomeRefused
	}
	return outcomeUnsure
}

// mayRunTwice reports whether every product of the plan is listed as one whose
// module may run twice.
func mayRunTwice(plan *order.Plan, idempotent []int64) bool {
	return plan != nil && len(idempotent) > 0 && !slices.ContainsFunc(plan.Entries, func(e order.PlanEntry) bool {
		return !slices.Contains(idempotent, e.ProductID)
	})
}
