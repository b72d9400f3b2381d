package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// worker is one lease on one order.
type worker struct {
	*Engine
	// base is the image in the table as this worker last wrote it; cur is what
	// it has learnt since and not yet written. They differ only between an
	// answer and the write that follows it: a crash in between is what the
	// recovery points are for.
	base, cur order.Record
	deadline  time.Time // of the invocation
	renewed   time.Time // when the lease was renewed last

	req  *order.Request // loaded in this run
	plan *order.Plan    // made of req in this run, not yet pinned

	resends int // effects repeated inside this run after NotSent
}

// errStop ends a run that has written its end.
var errStop = errors.New("stop")

// run loops over the recovery points until the order ends or waits. Each step
// either moves to another point, or writes an end and returns errStop.
func (w *worker) run(ctx context.Context) (End, error) {
	for {
		var err error
		switch w.cur.RecoveryPoint {
		case order.PointNone:
			err = w.atNone(ctx)
		case order.PointAdding:
			err = w.atAdding(ctx)
		case order.PointAdded:
			err = w.atAdded(ctx)
		case order.PointAccepting:
			err = w.atAccepting(ctx)
		case order.PointAccepted:
			err = w.atAccepted(ctx)
		default:
			return EndUnstored, fault.Wrap(fault.Internal, fmt.Errorf("run order: unknown recovery point %q", w.cur.RecoveryPoint))
		}
		if errors.Is(err, errStop) {
			switch w.base.State {
			case order.Provisioned:
				return EndProvisioned, nil
			case order.Failed:
				return EndFailed, nil
			}
			return EndParked, nil
		}
		if err != nil {
			return EndUnstored, err
		}
	}
}

// write makes cur the table's image under the fence F. A lost answer of the
// table is asked again: the same step twice is the same image.
func (w *worker) write(ctx context.Context, wrote order.Signal, event, detail string) error {
	now := w.clock.Now()
	step := Step{From: w.base, To: w.cur, Signal: wrote, Now: now}
	if !said(w.base.History, event, detail) {
		step.Entry = order.Entry{At: now, Event: event, Detail: detail, By: "provision"}
	}
	for try := 0; ; try++ {
		rec, err := w.store.Write(ctx, step)
		if err == nil {
			w.base, w.cur = rec, rec
			return nil
		}
		if fault.CodeOf(err) != fault.StoreUnavailable || try+1 == readTries || !w.trusted(time.Second) {
			return err
		}
		if err := w.clock.Sleep(ctx, w.pause(try)); err != nil {
			return fault.Wrap(fault.StoreUnavailable, err)
		}
	}
}

// said reports whether the history says already, since the order last moved on,
// what a wait or a send would say again: three days of retries must not push
// out how they began.
func said(history []order.Entry, event, detail string) bool {
	if !repeats(event) {
		return false
	}
	for _, e := range slices.Backward(history) {
		switch {
		case e.Event == event && gist(e.Detail) == gist(order.Cut(detail, order.MaxDetail)):
			return true
		case e.By == "provision" && !repeats(e.Event), e.Event == "reopened", strings.HasPrefix(e.Event, "resolved_"):
			return false
		}
	}
	return false
}

func repeats(event string) bool {
	return event == "waiting" || event == "add_sending" || event == "accept_sending"
}

// gist is the detail of a wait without its end.
func gist(detail string) string {
	point, rest, ok := strings.Cut(detail, " until ")
	if !ok {
		return detail
	}
	_, why, _ := strings.Cut(rest, ": ")
	return point + ": " + why
}

// left is how long this worker may still act on its own: until the lease or
// the invocation ends, less the margin.
func (w *worker) left() time.Duration {
	return earlier(w.base.LeaseUntil, w.deadline).Add(-w.cfg.Margin).Sub(w.clock.Now())
}

func (w *worker) trusted(d time.Duration) bool { return w.left() > d }

// stageRenewal moves the lease's end in cur; the next write makes it so.
func (w *worker) stageRenewal(now time.Time) {
	w.cur.LeaseUntil = earlier(now.Add(w.cfg.Lease), w.deadline)
	w.renewed = now
}

// keep renews the lease once a minute of reading. Where the invocation has no
// time left, the order is parked for the next one.
func (w *worker) keep(ctx context.Context) error {
	now := w.clock.Now()
	if now.Sub(w.renewed) < min(renewEvery, w.cfg.Lease/2) && w.trusted(0) {
		return nil
	}
	if earlier(now.Add(w.cfg.Lease), w.deadline).Sub(now) <= w.cfg.Margin {
		return w.park(ctx, now, nil, unspent, "no time left in this invocation")
	}
	w.stageRenewal(now)
	return w.write(ctx, order.SignalLease, "", "")
}

// read makes one read of a side, twice again inside the invocation if it fails
// in a way that may pass. An error that it returns has the order parked,
// failed or lost already: the caller passes it on.
func (w *worker) read(ctx context.Context, side order.Side, call func(context.Context) error) error {
	for try := 0; ; try++ {
		if err := w.keep(ctx); err != nil {
			return err
		}
		bounded, cancel := context.WithTimeout(ctx, w.left())
		err := call(bounded)
		cancel()
		if err == nil {
			w.served(side)
			return nil
		}
		switch fault.KindOf(err) {
		case fault.Config:
			return w.hold(ctx, side, err)
		case fault.Permanent:
			w.served(side)
			return w.fail(ctx, err)
		}
		if try+1 < readTries && w.trusted(w.pauseMost(try)) {
			if w.clock.Sleep(ctx, w.pause(try)) == nil {
				continue
			}
		}
		return w.retry(ctx, side, err)
	}
}

// pauseMost is the longest wait before another try inside the invocation:
// 1 s, then 4 s, at the default RetryBase.
func (w *worker) pauseMost(try int) time.Duration {
	return w.cfg.RetryBase / 60 << (2 * min(try, 2))
}

func (w *worker) pause(try int) time.Duration {
	return time.Duration(w.random() * float64(w.pauseMost(try)))
}

// backoff is the wait before the clock tries again: RetryBase doubling to
// 15 min, full jitter.
func (w *worker) backoff() time.Duration {
	most := doubled(w.cfg.RetryBase, max(w.cur.Attempts-1, 0), maxBackoff)
	return time.Duration(w.random() * float64(most))
}

// spending says whether a wait counts as a try.
type spending bool

const (
	spent   spending = true
	unspent spending = false // paused, breaker, settling: not the order's fault
)

// park ends the run with the order waiting at cur's point until due.
func (w *worker) park(ctx context.Context, due time.Time, cause error, s spending, detail string) error {
	now := w.clock.Now()
	w.cur.State = order.Waiting
	w.cur.DueAt = due
	w.cur.LeaseUntil = time.Time{}
	if s == unspent {
		w.cur.Attempts = max(w.base.Attempts-1, 0)
	}
	if cause != nil {
		w.setError(cause, now)
		if detail == "" {
			detail = string(w.cur.ErrorCode)
		}
	}
	if err := w.write(ctx, order.SignalLease, "waiting", fmt.Sprintf("at %s until %s: %s", w.cur.RecoveryPoint, due.UTC().Format(time.RFC3339), detail)); err != nil {
		return err
	}
	return errStop
}

// retry parks after a fault that may pass, or gives the order up when it has
// been tried for GiveUp: this very try is the one last look or read.
func (w *worker) retry(ctx context.Context, side order.Side, cause error) error {
	now := w.clock.Now()
	due := now.Add(w.backoff())
	if w.faulted(side) {
		until, err := w.trip(ctx, side, fault.CodeOf(cause))
		if err != nil {
			return err
		}
		if until.After(due) {
			due = until
		}
	}
	if !w.cur.OpenedAt.IsZero() && now.Sub(w.cur.OpenedAt) > w.cfg.GiveUp {
		return w.fail(ctx, &fault.Error{Code: w.exhausted(), Err: cause})
	}
	return w.park(ctx, due, cause, spent, "")
}

// exhausted is the code of an order that was tried for too long: a plain one
// only where nothing can have reached WHMCS.
func (w *worker) exhausted() fault.Code {
	switch w.cur.RecoveryPoint {
	case order.PointNone:
		return fault.RetriesExhausted
	case order.PointAdding:
		return fault.AddOutcomeUnknown
	case order.PointAccepted:
		return fault.NotVerified
	}
	return fault.AcceptOutcomeUnknown
}

// hold opens the breaker of a side whose installation is at fault; the order
// waits and no try is spent.
func (w *worker) hold(ctx context.Context, side order.Side, cause error) error {
	until, err := w.trip(ctx, side, fault.CodeOf(cause))
	if err != nil {
		return err
	}
	return w.park(ctx, until, cause, unspent, "")
}

// fail ends the order. Only a failure at none is forgotten one day: everywhere
// else the item is the evidence of what may exist in WHMCS.
func (w *worker) fail(ctx context.Context, cause error) error {
	now := w.clock.Now()
	w.cur.State = order.Failed
	w.cur.DueAt, w.cur.LeaseUntil = time.Time{}, time.Time{}
	w.cur.Word = w.cur.Word.WithoutRerun()
	if w.cur.RecoveryPoint == order.PointAdding && w.addSettled().Before(now) {
		// It is known to have settled; whoever resolves it need not wait.
		w.cur.Add.Until, w.cur.Add.SettledAt = time.Time{}, time.Time{}
	}
	w.setError(cause, now)
	w.cur.ErrorCode = w.reviewed(cause)
	if w.cur.RecoveryPoint == order.PointNone {
		w.cur.ExpiresAt = now.Add(w.cfg.Retention)
	}
	if err := w.write(ctx, order.SignalStatus, "failed", string(w.cur.ErrorCode)+": "+w.cur.ErrorMessage); err != nil {
		return err
	}
	return errStop
}

// reviewed is the code under which the order fails. A plain one says that
// nothing was made; past none that is known only from WHMCS's own refusal of
// the AddOrder that a look had shown to be needed. Any other cause that a
// person must mend then fails under the review code of the point; the text
// stays the cause's.
func (w *worker) reviewed(cause error) fault.Code {
	code := fault.CodeOf(cause)
	var refused *fault.Refused
	if code.Info().Review || w.cur.RecoveryPoint == order.PointNone || w.cur.RecoveryPoint == order.PointAdding && errors.As(cause, &refused) {
		return code
	}
	if w.cur.RecoveryPoint == order.PointAdded {
		return fault.WHMCSOrderMismatch
	}
	return w.exhausted()
}

func (w *worker) setError(cause error, now time.Time) {
	w.cur.ErrorCode = fault.CodeOf(cause)
	w.cur.ErrorMessage = fault.TextOf(cause)
	w.cur.ErrorAt = now
}
