package store

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// Lease makes the caller the one worker of an open order that is due and whose
// former lease has ended, and returns the new image. What falls due within
// order.MaxSkew is due: another machine's clock said when, and a worker whose
// own is a little behind must not drop the hint. attempts and fence grow
// by 1; due_at becomes the end of the lease plus the margin, so that the clock
// comes back when this worker dies.
//
// Errors: not_due (also where there is no item), its cause says who holds the
// order and until when; store_unavailable: the lease may have been given, and
// ends by itself.
func (s *Store) Lease(ctx context.Context, id order.ID, l order.Lease) (order.Record, error) {
	doing := "lease order " + id.String()
	if l.Token == "" || l.Now.IsZero() || !l.Until.After(l.Now) {
		return order.Record{}, fault.Wrap(fault.Internal, fmt.Errorf("%s: no token, or no time", doing))
	}
	u := newUpdate()
	until := u.path(attrLeaseUntil)
	u.require(u.path(attrState) + " IN (" + u.val(str(string(order.Queued))) + ", " +
		u.val(str(string(order.Working))) + ", " + u.val(str(string(order.Waiting))) + ")")
	u.require(u.path(attrDueAt) + " <= " + u.val(millis(l.Now.Add(order.MaxSkew))))
	u.require("(attribute_not_exists(" + until + ") OR " + until + " < " + u.val(num(leaseEnd(l))) + ")")
	// A late copy of this request must not lease the order a second time.
	mine := u.path(attrLease)
	u.require("(attribute_not_exists(" + mine + ") OR " + mine + " <> " + u.val(str(string(l.Token))) + ")")
	u.set(u.path(attrState), text(string(order.Working)))
	u.set(u.path(attrSignal), text(string(order.SignalLease)))
	u.set(mine, text(string(l.Token)))
	u.set(until, millis(l.Until))
	u.set(u.path(attrDueAt), millis(l.Until.Add(l.Margin)))
	u.set(u.path(attrDueShard), num(dueShard(id)))
	u.grow(attrFence)
	u.grow(attrAttempts)
	u.grow(attrVersion)

	got, err := s.update(ctx, orderKey(id), u, doing)
	if err != nil {
		return order.Record{}, err
	}
	if got.item == nil {
		return order.Record{}, fault.Wrap(fault.NotDue, fmt.Errorf("%s: no such order", doing))
	}
	img, err := decode(got.item)
	if err != nil {
		return order.Record{}, err
	}
	if got.applied || img.rec.Lease == l.Token && img.rec.State == order.Working {
		return img.rec, nil
	}
	return order.Record{}, fault.Wrap(fault.NotDue, fmt.Errorf("%s: %s, due %s, leased by %q until %s", doing,
		img.rec.State, show(img.rec.DueAt), img.rec.Lease, show(img.rec.LeaseUntil)))
}

// leaseEnd is the ms before which a lease must have ended: now − margin.
func leaseEnd(l order.Lease) int64 { return l.Now.UnixMilli() - l.Margin.Milliseconds() }

// Write makes one transition under the fence and returns the new image.
//
// The write is conditional on the lease, on state working, and on the version
// that it was decided on, so that a copy of it that arrives late finds another
// version and changes nothing. A version that moved on while the lease still
// stands was moved by a callout or a note, which the fence does not concern:
// then the same transition is made on the fresh image, with a seq after that
// image's. A write that finds its own mark was made by an earlier copy of it.
//
// Times are kept to the ms, rounded down; error message and detail are cut.
// Errors: lease_lost; internal_error for a step that order.Step.Check refuses;
// store_unavailable: the write may have happened.
func (s *Store) Write(ctx context.Context, step order.Step) (order.Record, error) {
	if err := step.Check(); err != nil {
		return order.Record{}, err
	}
	doing := "write order " + step.From.ID.String()
	random := order.NewToken()[:markLen]
	seen := image{rec: step.From, hasHistory: len(step.From.History) > 0}
	if step.Entry.Event != "" && len(step.From.History) >= order.MaxHistory {
		// A full history: a record does not tell what the oldest line is
		// called, so the table is asked, which is cheaper than a failed write.
		img, ok, err := s.read(ctx, step.From.ID)
		if err != nil {
			return order.Record{}, err
		}
		if !ok || !holds(img, step) {
			return order.Record{}, lost(doing, img)
		}
		seen = img
	}
	for range maxTries {
		got, err := s.update(ctx, orderKey(step.From.ID), transition(step, seen, random), doing)
		if err != nil {
			return order.Record{}, err
		}
		if got.item == nil {
			return order.Record{}, lost(doing, image{})
		}
		img, err := decode(got.item)
		if err != nil {
			return order.Record{}, err
		}
		switch {
		case got.applied || img.writeID == random:
			return img.rec, nil
		case !holds(img, step):
			return order.Record{}, lost(doing, img)
		}
		seen = img
	}
	return order.Record{}, contended(doing)
}

// transition is the update of a step, decided on seen.
func transition(step order.Step, seen image, random order.Token) *update {
	to := step.To
	if to.State != order.Working {
		to.LeaseUntil = time.Time{}
	}
	if !to.State.Open() {
		to.DueAt = time.Time{}
	}
	u := newUpdate()
	u.equal(u.path(attrLease), text(string(step.From.Lease)))
	u.equal(u.path(attrState), text(string(order.Working)))
	u.unmoved(seen.rec.Version)
	if !order.Forgettable(to.State, to.RecoveryPoint) {
		to.ExpiresAt = time.Time{}
	}
	for _, a := range engine {
		was, is := a.encode(&step.From), a.encode(&to)
		if is == nil && mustGo[a.name] || !reflect.DeepEqual(was, is) {
			u.set(u.path(a.name), is)
		}
	}
	u.set(u.path(attrState), text(string(to.State)))
	u.set(u.path(attrSignal), text(string(step.Signal)))
	u.set(u.path(attrVersion), num(seen.rec.Version+1))
	u.set(u.path(attrWriteID), text(string(random)))
	u.set(u.path(attrUpdatedAt), iso(step.Now))
	if step.Signal.Visible() {
		u.set(u.path(attrSeq), num(int64(seen.rec.Seq.Next(step.Now))))
	}
	if e := step.Entry; e.Event != "" {
		if e.At.IsZero() {
			e.At = step.Now
		}
		u.line(seen, historyName(e.At, seen.rec.Version+1, random), e)
	}
	return u
}

// mustGo names what is removed even if From did not show it: left behind, each
// of them would keep an order from being worked on, or delete it.
var mustGo = map[string]bool{attrLeaseUntil: true, attrDueAt: true, attrDueShard: true, attrExpiresAt: true}

// holds is the fence, read from an image.
func holds(img image, step order.Step) bool {
	return img.rec.Lease == step.From.Lease && img.rec.State == order.Working
}

func lost(doing string, img image) error {
	if img.rec.ID.IsZero() {
		return fault.Wrap(fault.LeaseLost, fmt.Errorf("%s: no such order", doing))
	}
	return fault.Wrap(fault.LeaseLost, fmt.Errorf("%s: %s, leased by %q until %s", doing,
		img.rec.State, img.rec.Lease, show(img.rec.LeaseUntil)))
}

func show(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(isoLayout)
}

// Bump makes Salesforce hear of an order again: seq becomes the largest of its
// successor, atLeast and now in ms; wrote is status. It returns the new image.
// Errors: order_not_found where there is no item; store_unavailable.
func (s *Store) Bump(ctx context.Context, id order.ID, atLeast order.Seq, now time.Time, e order.Entry) (order.Record, error) {
	doing := "bump order " + id.String()
	if now.IsZero() {
		return order.Record{}, fault.Wrap(fault.Internal, fmt.Errorf("%s: no time", doing))
	}
	floor := max(atLeast, order.Seq(now.UnixMilli()))
	mine := order.NewToken()[:markLen]
	img, err := s.amend(ctx, id, doing, now, e, mine, func(u *update, seen *image) {
		seq := floor
		if seen != nil {
			seq = max(seen.rec.Seq+1, floor)
		}
		// seq only grows, so a seq below the new one makes it the successor.
		u.require(u.path(attrSeq) + " < " + u.val(num(int64(seq))))
		u.set(u.path(attrSeq), num(int64(seq)))
		u.set(u.path(attrBumpID), text(string(mine)))
		u.set(u.path(attrSignal), text(string(order.SignalStatus)))
	})
	return img.rec, err
}

// Note adds a line to the history of an order; it wakes nobody.
// Errors: order_not_found where there is no item; store_unavailable.
func (s *Store) Note(ctx context.Context, id order.ID, e order.Entry) error {
	if e.Event == "" || e.At.IsZero() {
		return fault.Wrap(fault.Internal, fmt.Errorf("note on order %s: no event, or no time", id))
	}
	_, err := s.amend(ctx, id, "note on order "+id.String(), e.At, e, order.NewToken(), func(u *update, _ *image) {
		u.set(u.path(attrSignal), text(string(order.SignalNote)))
	})
	return err
}

// amend makes a small change that does not depend on the order's state: first
// without knowing the image, then, where that failed, on the image that came
// back. An earlier copy of the same write is known by its line in the history,
// or by its bump_id.
func (s *Store) amend(ctx context.Context, id order.ID, doing string, now time.Time, e order.Entry, mine order.Token, change func(*update, *image)) (image, error) {
	if e.At.IsZero() {
		e.At = now
	}
	name := historyName(e.At, 0, mine)
	var seen *image
	for range maxTries {
		u := newUpdate()
		u.require("attribute_exists(" + u.path(attrPK) + ")")
		change(u, seen)
		u.grow(attrVersion)
		if e.Event != "" {
			switch seen {
			case nil:
				u.lineBlind(name, e)
			default:
				u.line(*seen, name, e)
			}
			u.require("attribute_not_exists(" + u.path(attrHistory, name) + ")")
		}
		got, err := s.update(ctx, orderKey(id), u, doing)
		if err != nil {
			return image{}, err
		}
		if got.item == nil {
			return image{}, fault.Wrap(fault.OrderNotFound, fmt.Errorf("%s: no such order", doing))
		}
		img, err := decode(got.item)
		if err != nil {
			return image{}, err
		}
		if got.applied || slices.Contains(img.history, name) || img.bumpID == mine {
			return img, nil
		}
		seen = &img
	}
	return image{}, contended(doing)
}
