package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// Attributes of a control item. Its history has the lines of pause, resume and
// look_before; the breaker moves too often to be told there.
const (
	attrPaused     = "paused"
	attrReason     = "reason"
	attrBy         = "by"
	attrAt         = "at"
	attrOpenUntil  = "open_until"
	attrWhy        = "why"
	attrFails      = "fails"
	attrClosedAt   = "closed_at"
	attrLookBefore = "look_before"
	// attrProbe names the one who won the probe, so that he knows his own
	// write when the answer was lost.
	attrProbe = "probe"
)

// Events of a control item's history.
const (
	eventPaused     = "paused"
	eventResumed    = "resumed"
	eventLookBefore = "look_before"
)

// Control reads the switch of one side, strongly consistent; a missing item is
// the zero Control of that side. Errors: store_unavailable, internal_error.
func (s *Store) Control(ctx context.Context, side order.Side) (order.Control, error) {
	item, err := s.getItem(ctx, controlKey(side))
	if err != nil {
		return order.Control{Side: side}, err
	}
	d := decoder{item: item}
	c := order.Control{
		Side:   side,
		Paused: d.flag(attrPaused), Reason: d.str(attrReason), By: d.str(attrBy), At: d.iso(attrAt),
		OpenUntil: d.millis(attrOpenUntil), Why: fault.Code(d.str(attrWhy)), Fails: int(d.int(attrFails)),
		ClosedAt: d.iso(attrClosedAt), LookBefore: d.iso(attrLookBefore),
	}
	if d.err != nil {
		return order.Control{Side: side}, fault.Wrap(fault.Internal, fmt.Errorf("read %s: %w", controlKey(side), d.err))
	}
	return c, nil
}

// OpenBreaker writes OpenUntil, Why and Fails of next's side, unless the
// breaker is open until later already. Errors: store_unavailable.
func (s *Store) OpenBreaker(ctx context.Context, next order.Control) error {
	if next.OpenUntil.IsZero() {
		return fault.Wrap(fault.Internal, fmt.Errorf("open breaker of %s: no time", next.Side))
	}
	u := newUpdate()
	until := u.path(attrOpenUntil)
	u.require("(attribute_not_exists(" + until + ") OR " + until + " <= " + u.val(num(next.OpenUntil.UnixMilli())) + ")")
	u.set(until, millis(next.OpenUntil))
	u.set(u.path(attrWhy), text(string(next.Why)))
	u.set(u.path(attrFails), count(next.Fails))
	u.grow(attrVersion)
	_, err := s.update(ctx, controlKey(next.Side), u, "open breaker of "+string(next.Side))
	return err
}

// WinProbe moves an open_until that has passed to until; the one whose write
// succeeds owns the probe. Errors: store_unavailable: it may have been won.
func (s *Store) WinProbe(ctx context.Context, seen order.Control, until time.Time) (bool, error) {
	if seen.OpenUntil.IsZero() || !until.After(seen.OpenUntil) {
		return false, nil
	}
	mine := string(order.NewToken())
	u := newUpdate()
	u.equal(u.path(attrOpenUntil), millis(seen.OpenUntil))
	u.set(u.path(attrOpenUntil), millis(until))
	u.set(u.path(attrProbe), str(mine))
	u.grow(attrVersion)
	got, err := s.update(ctx, controlKey(seen.Side), u, "win probe of "+string(seen.Side))
	if err != nil {
		return false, err
	}
	d := decoder{item: got.item}
	return got.applied || d.str(attrProbe) == mine, nil
}

// CloseBreaker removes open_until and fails and sets closed_at, if open_until
// is still what seen says; else it changes nothing. Errors: store_unavailable.
func (s *Store) CloseBreaker(ctx context.Context, seen order.Control, now time.Time) error {
	if seen.OpenUntil.IsZero() {
		return nil
	}
	u := newUpdate()
	u.equal(u.path(attrOpenUntil), millis(seen.OpenUntil))
	u.set(u.path(attrClosedAt), iso(now))
	u.remove(u.path(attrOpenUntil))
	u.remove(u.path(attrFails))
	u.grow(attrVersion)
	_, err := s.update(ctx, controlKey(seen.Side), u, "close breaker of "+string(seen.Side))
	return err
}

// Pause keeps every order from being worked on until Resume: callouts are
// still accepted. Errors: store_unavailable.
func (s *Store) Pause(ctx context.Context, reason, by string, at time.Time) error {
	return s.command(ctx, order.Entry{At: at, Event: eventPaused, Detail: reason, By: by}, func(u *update) {
		u.set(u.path(attrPaused), flag(true))
		u.set(u.path(attrReason), text(order.Cut(reason, order.MaxDetail)))
		u.set(u.path(attrBy), text(order.Cut(by, order.MaxBy)))
		u.set(u.path(attrAt), iso(at))
	})
}

// Resume ends a pause. Errors: store_unavailable.
func (s *Store) Resume(ctx context.Context, by string, at time.Time) error {
	return s.command(ctx, order.Entry{At: at, Event: eventResumed, By: by}, func(u *update) {
		u.remove(u.path(attrPaused))
		u.remove(u.path(attrReason))
		u.set(u.path(attrBy), text(order.Cut(by, order.MaxBy)))
		u.set(u.path(attrAt), iso(at))
	})
}

// LookBefore says, after a restore, that orders created before that time are
// searched in WHMCS even at none; the zero time ends it. Errors:
// store_unavailable.
func (s *Store) LookBefore(ctx context.Context, before time.Time, by string, at time.Time) error {
	return s.command(ctx, order.Entry{At: at, Event: eventLookBefore, Detail: show(before), By: by}, func(u *update) {
		u.set(u.path(attrLookBefore), iso(before))
	})
}

// command changes the switch of WHMCS by a person's word, and tells it in the
// item's history. A copy of the command that arrives late finds its own line
// there and changes nothing.
func (s *Store) command(ctx context.Context, e order.Entry, change func(*update)) error {
	if e.At.IsZero() {
		return fault.Wrap(fault.Internal, fmt.Errorf("%s: no time", e.Event))
	}
	pk := controlKey(order.SideWHMCS)
	name := historyName(e.At, 0, order.NewToken())
	var seen *image
	for range maxTries {
		u := newUpdate()
		change(u)
		u.grow(attrVersion)
		switch seen {
		case nil:
			u.lineBlind(name, e)
		default:
			u.line(*seen, name, e)
		}
		u.require("attribute_not_exists(" + u.path(attrHistory, name) + ")")
		got, err := s.update(ctx, pk, u, e.Event)
		if err != nil || got.applied {
			return err
		}
		lines, ok := got.item[attrHistory].(*types.AttributeValueMemberM)
		if !ok {
			seen = &image{} // no item, or one that only the breaker wrote
			continue
		}
		seen = &image{hasHistory: true, history: slices.Sorted(maps.Keys(lines.Value))}
		if slices.Contains(seen.history, name) {
			return nil
		}
	}
	return contended(e.Event)
}
