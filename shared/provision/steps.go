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

// The steps below are the rows of the table in doc.go, in its order: one row,
// one place. A step that returns nil has moved cur to another point (written
// or staged); anything else ended the run.

// --- none: nothing can have reached WHMCS.

func (w *worker) atNone(ctx context.Context) error {
	control, err := w.store.Control(ctx, order.SideWHMCS)
	if err != nil {
		return err
	}
	// look_before applies → adding, adds 0: look. An order may exist in WHMCS,
	// so even a load that fails must not end as if nothing were there.
	if w.cur.CreatedAt.Before(control.LookBefore) {
		return w.lookFirst(ctx, "created before the restore")
	}
	// load fails, retryable → waiting; permanent → failed (both inside load).
	if err := w.load(ctx); err != nil {
		return err
	}
	// Salesforce holds a WHMCS id → adding, adds 0: look.
	if w.req.WHMCSOrderID != "" {
		return w.lookFirst(ctx, "Salesforce holds WHMCS order "+w.req.WHMCSOrderID)
	}
	// loaded → adding, adds 1: send.
	return w.sendAdd(ctx)
}

func (w *worker) lookFirst(ctx context.Context, why string) error {
	w.cur.RecoveryPoint = order.PointAdding
	w.cur.Add = order.Sent{}
	return w.write(ctx, order.SignalLease, "look_first", why)
}

// load fills req and plan. What it reads is used for this run alone; the plan
// is pinned by the write that precedes the send.
func (w *worker) load(ctx context.Context) error {
	if w.req != nil {
		return nil
	}
	// Salesforce has a breaker of its own; only loading needs Salesforce.
	stop, err := w.held(ctx, order.SideSalesforce)
	if err != nil {
		return err
	}
	if stop != nil {
		return w.park(ctx, stop.until, nil, unspent, "salesforce: "+string(stop.why))
	}
	var req order.Request
	err = w.read(ctx, order.SideSalesforce, func(ctx context.Context) (err error) {
		req, err = w.orders.Load(ctx, w.cur.ID)
		if req.AccountID != "" {
			w.cur.AccountID = req.AccountID // Salesforce has the last word
		}
		return err
	})
	if err != nil {
		return err
	}
	var products map[int64]order.ProductInfo
	err = w.read(ctx, order.SideWHMCS, func(ctx context.Context) (err error) {
		if err := w.billing.Client(ctx, req.ClientID); err != nil {
			return err
		}
		products, err = w.billing.Products(ctx, productIDs(req))
		return err
	})
	if err != nil {
		return err
	}
	plan, err := makePlan(req, products, w.cfg.PaymentMethod)
	if err != nil {
		return w.fail(ctx, err)
	}
	w.req, w.plan = &req, &plan
	return nil
}

// --- adding: AddOrder may have reached WHMCS.

func (w *worker) atAdding(ctx context.Context) error {
	// not settled → waiting until the end of settle.
	if end := w.addSettled(); !end.Before(w.clock.Now()) && !w.off.lookLater {
		return w.park(ctx, end.Add(time.Millisecond), nil, unspent, "until AddOrder has settled")
	}
	if w.cur.Plan == nil { // nothing was sent yet by this life of the order
		if err := w.load(ctx); err != nil {
			return err
		}
	}
	return w.look(ctx)
}

// addSettled is when the last AddOrder that may have left has ended; the zero
// time when none may have.
func (w *worker) addSettled() time.Time { return w.cur.Add.SettledAt }

func (w *worker) acceptSettled() time.Time { return w.cur.Accept.SettledAt }

// notFound follows a look that found nothing. It looked after settle.
func (w *worker) notFound(ctx context.Context) error {
	switch {
	case w.off.lookLater && !w.addSettled().Before(w.clock.Now()):
		return w.park(ctx, w.addSettled().Add(time.Millisecond), nil, unspent, "")
	case w.cur.Add.Count == 0, w.cfg.Resend && w.cur.Add.Count < maxSends:
		// adds 0, or adds < 5 and auto → adds+1: send.
		if w.cur.Plan != nil {
			w.plan = w.cur.Plan
		}
		return w.sendAdd(ctx)
	default:
		// otherwise → failed add_outcome_unknown.
		return w.fail(ctx, fault.New(fault.AddOutcomeUnknown, ""))
	}
}

// sendAdd writes the stamp and sends AddOrder once.
func (w *worker) sendAdd(ctx context.Context) error {
	before, now := w.cur, w.clock.Now()
	w.cur.RecoveryPoint = order.PointAdding
	w.cur.Plan = w.plan
	w.cur.Add.Count++
	until := now.Add(w.cfg.Window)
	if !w.off.stamp || w.cur.Add.Count == 1 {
		w.cur.Add.Until, w.cur.Add.SettledAt = until, until.Add(w.cfg.Margin).Add(w.cfg.Settle)
	}
	w.cur.Word = w.cur.Word.WithoutAbsent()
	if w.cur.FirstAddAt.IsZero() {
		w.cur.FirstAddAt = now
	}
	if err := w.stamp(ctx, before, now, w.cfg.AddTimeout, "add_sending", fmt.Sprintf("AddOrder %d", w.cur.Add.Count)); err != nil {
		return err
	}
	// takeBack undoes the stamp of a send that certainly did nothing.
	takeBack := func() {
		w.cur.Add, w.cur.Word = order.Sent{Count: before.Add.Count}, before.Word
		if before.Add.Count == 0 { // it was the first
			w.cur.RecoveryPoint, w.cur.Plan, w.cur.FirstAddAt = before.RecoveryPoint, before.Plan, before.FirstAddAt
		}
	}
	if stop, err := w.maySend(ctx, w.cfg.AddTimeout); err != nil || stop != nil {
		takeBack()
		return w.unsent(ctx, stop, err)
	}

	id, err := w.billing.Add(ctx, w.gate(until, w.cfg.AddTimeout), w.cur.ID, *w.cur.Plan)
	switch kind := judge(err); kind {
	case effectDone:
		// success with id → added, then compare. The write of accepting holds it.
		w.served(order.SideWHMCS)
		w.cur.RecoveryPoint = order.PointAdded
		w.cur.WHMCSOrderID = id
		return nil
	case effectUnsure:
		// anything else → waiting until the end of settle.
		return w.park(ctx, w.addSettled().Add(time.Millisecond), err, spent, "")
	default:
		// certainly not done → adds−1, and park, or failed if permanent.
		takeBack()
		return w.refused(ctx, kind, err)
	}
}

// --- added: the WHMCS order is known.

func (w *worker) atAdded(ctx context.Context) error {
	if w.cur.Plan == nil { // adopted by a person before anything was sent
		if err := w.load(ctx); err != nil {
			return err
		}
		w.cur.Plan = w.plan
	}
	made, err := w.readLive(ctx)
	if err != nil {
		return err
	}
	switch {
	case !w.ours(made.Marker) && !w.cur.Word.Named():
		// marker missing → failed marker_not_kept, and the breaker opens.
		if _, err := w.trip(ctx, order.SideWHMCS, fault.MarkerNotKept); err != nil {
			return err
		}
		return w.fail(ctx, &fault.Error{Code: fault.MarkerNotKept,
			Advice: fmt.Sprintf("Mend the WHMCS installation, restore the marker of WHMCS order %s (%s), then click again: WHMCS did not keep it.", made.ID, w.cur.ID.Marker())})
	}
	services, diff := match(*w.cur.Plan, made.Services)
	if diff != "" {
		// differs → failed whmcs_order_mismatch.
		return w.mismatch(ctx, made.ID, diff)
	}
	w.cur.ServiceIDs = services
	switch made.Status {
	case order.BillingActive: // accepted by a person, or adopted so
		w.accepted()
		return nil
	case order.BillingPending:
		// what WHMCS made = plan, marker there → accepting: send AcceptOrder.
		return w.sendAccept(ctx)
	}
	return w.mismatch(ctx, made.ID, fmt.Sprintf("its status is %q", made.Status))
}

func (w *worker) mismatch(ctx context.Context, id, diff string) error {
	return w.fail(ctx, &fault.Error{Code: fault.WHMCSOrderMismatch,
		Advice: fmt.Sprintf("Compare WHMCS order %s with this one, mend it there, then click again: %s.", id, diff)})
}

func (w *worker) cancelled(ctx context.Context, how string) error {
	return w.fail(ctx, &fault.Error{Code: fault.WHMCSOrderCancelled,
		Advice: fmt.Sprintf("Resolve with adopt or none: WHMCS order %s is %s.", w.cur.WHMCSOrderID, how)})
}

// readLive reads the known WHMCS order.
//
//	read: cancelled, fraud, gone → failed whmcs_order_cancelled.
func (w *worker) readLive(ctx context.Context) (order.BillingOrder, error) {
	var client int64
	if w.cur.Plan != nil {
		client = w.cur.Plan.ClientID
	}
	made, err := w.readOrder(ctx, w.cur.WHMCSOrderID, client)
	switch {
	case err != nil:
		return order.BillingOrder{}, err
	case made == nil:
		return order.BillingOrder{}, w.cancelled(ctx, "gone")
	case made.Status.Dead():
		return order.BillingOrder{}, w.cancelled(ctx, string(made.Status))
	}
	return *made, nil
}

// readOrder reads one WHMCS order; nil: there is no such order.
func (w *worker) readOrder(ctx context.Context, id string, client int64) (*order.BillingOrder, error) {
	var found *order.BillingOrder
	err := w.read(ctx, order.SideWHMCS, func(ctx context.Context) error {
		made, ok, err := w.billing.Order(ctx, id, client)
		if err == nil && ok {
			found = &made
		}
		return err
	})
	return found, err
}

// ours reports whether a marker names this order.
func (w *worker) ours(marker string) bool {
	id, err := order.ParseID(marker)
	return err == nil && id == w.cur.ID
}

// sendAccept writes the stamp and sends AcceptOrder once.
func (w *worker) sendAccept(ctx context.Context) error {
	before, now := w.cur, w.clock.Now()
	w.cur.RecoveryPoint = order.PointAccepting
	w.cur.Accept.Count++
	w.cur.Accept.Until = now.Add(w.cfg.Window)
	w.cur.Accept.SettledAt = w.cur.Accept.Until.Add(w.cfg.Margin).Add(w.cfg.AcceptSettle)
	w.cur.Word = w.cur.Word.WithoutRerun()
	if err := w.stamp(ctx, before, now, w.cfg.AcceptTimeout, "accept_sending",
		fmt.Sprintf("AcceptOrder %d of WHMCS order %s", w.cur.Accept.Count, w.cur.WHMCSOrderID)); err != nil {
		return err
	}
	takeBack := func() {
		w.cur.RecoveryPoint = order.PointAdded
		w.cur.Accept = order.Sent{Count: w.cur.Accept.Count - 1}
	}
	if stop, err := w.maySend(ctx, w.cfg.AcceptTimeout); err != nil || stop != nil {
		takeBack()
		return w.unsent(ctx, stop, err)
	}

	err := w.billing.Accept(ctx, w.gate(w.cur.Accept.Until, w.cfg.AcceptTimeout), w.cur.WHMCSOrderID)
	switch kind := judge(err); kind {
	case effectDone:
		// success → accepted, then verify.
		w.served(order.SideWHMCS)
		w.accepted()
		return nil
	case effectUnsure:
		// anything else → waiting until the end of settle.
		return w.park(ctx, w.acceptSettled().Add(time.Millisecond), err, spent, "")
	case effectRefused:
		switch fault.CodeOf(err) {
		case fault.ModuleFailed:
			// module text → failed module_failed. The module has ended: its
			// answer is the text.
			w.cur.Accept.Until, w.cur.Accept.SettledAt = time.Time{}, time.Time{}
			return w.fail(ctx, err)
		case fault.StateChanged:
			// "not Pending": a read decides.
			return w.notPending(ctx, err)
		}
		takeBack()
		return w.refused(ctx, kind, err)
	default:
		// certainly not done → added, and park.
		takeBack()
		return w.refused(ctx, kind, err)
	}
}

// notPending follows WHMCS's ambiguous "not found or not Pending".
func (w *worker) notPending(ctx context.Context, cause error) error {
	made, err := w.readLive(ctx)
	switch {
	case err != nil:
		return err
	case made.Status == order.BillingActive:
		w.accepted()
		return nil
	}
	return w.park(ctx, w.acceptSettled().Add(time.Millisecond), cause, spent, "")
}

func (w *worker) accepted() {
	w.cur.RecoveryPoint = order.PointAccepted
	w.cur.Word = w.cur.Word.WithoutRerun()
	w.cur.AcceptedAt = w.clock.Now()
}

// --- accepting: AcceptOrder may have reached WHMCS.

func (w *worker) atAccepting(ctx context.Context) error {
	// not settled → waiting until the end of settle.
	if end := w.acceptSettled(); !end.Before(w.clock.Now()) {
		return w.park(ctx, end.Add(time.Millisecond), nil, unspent, "until AcceptOrder has settled")
	}
	made, err := w.readLive(ctx)
	switch {
	case err != nil:
		return err
	case made.Status == order.BillingActive:
		// read: Active → accepted.
		w.accepted()
		return nil
	case made.Status != order.BillingPending:
		return w.mismatch(ctx, made.ID, fmt.Sprintf("its status is %q", made.Status))
	case w.cur.Word.Rerun(), w.idempotent():
		// still Pending, and reopened after module_failed (the click is the
		// consent) or of products whose module may run twice → accepting: send.
		return w.sendAccept(ctx)
	}
	// still Pending → failed accept_outcome_unknown.
	return w.fail(ctx, &fault.Error{Code: fault.AcceptOutcomeUnknown,
		Advice: fmt.Sprintf("Look whether the services of WHMCS order %s exist, accept it there if not, then click again: it is not known whether the module ran.", w.cur.WHMCSOrderID)})
}

// idempotent reports whether every product of the plan is listed as one whose
// module may run twice.
func (w *worker) idempotent() bool {
	if w.cur.Plan == nil || len(w.cfg.Idempotent) == 0 {
		return false
	}
	for _, e := range w.cur.Plan.Entries {
		if !slices.Contains(w.cfg.Idempotent, e.ProductID) {
			return false
		}
	}
	return true
}

// --- accepted: AcceptOrder answered; the services are to be verified.

func (w *worker) atAccepted(ctx context.Context) error {
	made, err := w.readLive(ctx)
	if err != nil {
		return err
	}
	if w.cur.Plan == nil {
		return w.mismatch(ctx, made.ID, "it was adopted without a plan")
	}
	services, diff := match(*w.cur.Plan, made.Services)
	var ids []string
	live := diff == ""
	for _, s := range made.Services {
		ids = append(ids, s.ID)
		live = live && (s.Live() || !expected(services, s.ID))
	}
	var queue map[string]string
	err = w.read(ctx, order.SideWHMCS, func(ctx context.Context) (err error) {
		queue, err = w.billing.ModuleFailures(ctx, ids)
		return err
	})
	if err != nil {
		return err
	}
	// one of ours is in the module queue → failed module_failed.
	for _, id := range ids {
		if text, failed := queue[id]; failed {
			return w.fail(ctx, &fault.Error{Code: fault.ModuleFailed, Vendor: fmt.Sprintf("service %s: %s", id, text)})
		}
	}
	now := w.clock.Now()
	if !live {
		// not yet, < 15 min → waiting; later → failed not_verified.
		since := w.cur.AcceptedAt
		if w.cur.OpenedAt.After(since) {
			since = w.cur.OpenedAt
		}
		if now.Sub(since) < w.cfg.VerifyFor {
			return w.park(ctx, now.Add(w.cfg.RetryBase), nil, unspent, "the services are not active yet")
		}
		if diff == "" {
			diff = "a service is not active"
		}
		return w.fail(ctx, &fault.Error{Code: fault.NotVerified,
			Advice: fmt.Sprintf("Check the services of WHMCS order %s, activate them, then click again: %s.", made.ID, diff)})
	}
	// adds ≥ 2, or an order was adopted beside what our AddOrder may have made:
	// a look with exactly one hit, or it is not provisioned.
	if w.cur.Add.Count >= 2 || w.cur.Word.Named() && w.cur.Add.Count > 0 {
		if err := w.onlyOne(ctx); err != nil {
			return err
		}
	}
	// every service Active or Completed, module queue empty → provisioned.
	w.cur.State = order.Provisioned
	w.cur.ServiceIDs = services
	w.cur.DueAt, w.cur.LeaseUntil = time.Time{}, time.Time{}
	w.cur.ErrorCode, w.cur.ErrorMessage, w.cur.ErrorAt = "", "", time.Time{}
	w.cur.ExpiresAt = w.clock.Now().Add(w.cfg.Retention)
	if err := w.write(ctx, order.SignalStatus, "provisioned", "WHMCS order "+w.cur.WHMCSOrderID); err != nil {
		return err
	}
	return errStop
}

func expected(services map[string][]string, id string) bool {
	for _, ids := range services {
		if slices.Contains(ids, id) {
			return true
		}
	}
	return false
}

// --- what both sends share.

// stamp renews the lease and writes what must be in the table before a send:
// the point, the count and until when it may leave.
func (w *worker) stamp(ctx context.Context, before order.Record, now time.Time, timeout time.Duration, event, detail string) error {
	if earlier(now.Add(w.cfg.Lease), w.deadline).Add(-w.cfg.Margin).Sub(now) < timeout {
		// No effect starts with less than its time-out and the margin left.
		w.cur = before
		return w.park(ctx, now, nil, unspent, "no time left in this invocation")
	}
	w.stageRenewal(now)
	return w.write(ctx, order.SignalLease, event, detail)
}

// gate is the window of a stamped send; its answer is not awaited past the lease.
func (w *worker) gate(until time.Time, timeout time.Duration) order.SendWindow {
	return order.SendWindow{Until: until, Timeout: min(timeout, w.left())}
}

// maySend asks once more, just before the first byte: the switch, the clock
// and what is left of the lease.
func (w *worker) maySend(ctx context.Context, timeout time.Duration) (*hold, error) {
	c, err := w.store.Control(ctx, order.SideWHMCS)
	if err != nil {
		return nil, err
	}
	now := w.clock.Now()
	if w.skewed != nil {
		if err := w.skewed(); err != nil {
			return &hold{now, fault.CodeOf(err)}, nil
		}
	}
	switch {
	case c.Paused:
		return &hold{until: now}, nil
	case c.Open(now) || c.ProbeDue(now):
		return &hold{c.OpenUntil, c.Why}, nil
	case w.left() < timeout*9/10:
		// Slow writes ate the lease; the next run starts afresh.
		return &hold{until: now}, nil
	}
	return nil, nil
}

// unsent parks an order whose effect was stamped and then not sent.
func (w *worker) unsent(ctx context.Context, stop *hold, cause error) error {
	now := w.clock.Now()
	if stop == nil { // the switch could not be read
		return w.park(ctx, now, cause, unspent, "")
	}
	return w.park(ctx, stop.until, nil, unspent, "held before the send: "+string(stop.why))
}

// effect is what the answer to a send means.
type effect uint8

const (
	effectDone    effect = iota
	effectUnsure         // may have happened
	effectRefused        // answered, nothing done
	effectNotSent        // nothing left
)

func judge(err error) effect {
	var notSent *fault.NotSent
	var refused *fault.Refused
	switch {
	case err == nil:
		return effectDone
	case errors.As(err, &notSent):
		return effectNotSent
	case errors.As(err, &refused):
		return effectRefused
	}
	return effectUnsure
}

// refused follows an effect that certainly did nothing; its stamp is taken
// back in cur.
func (w *worker) refused(ctx context.Context, kind effect, err error) error {
	switch fault.KindOf(err) {
	case fault.Config:
		return w.hold(ctx, order.SideWHMCS, err)
	case fault.Permanent:
		if kind == effectRefused {
			return w.fail(ctx, err)
		}
	}
	if w.resends+1 < readTries && w.trusted(w.pauseMost(w.resends)+w.cfg.AcceptTimeout) {
		try := w.resends
		w.resends++
		if w.clock.Sleep(ctx, w.pause(try)) == nil {
			return nil // the loop comes back to the same point and stamps anew
		}
	}
	return w.retry(ctx, order.SideWHMCS, err)
}
