package writeback

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

const (
	// lagBases is how many RetryBase a change is left to the stream before it is
	// looked for in the org, and how much two looks overlap: a write may commit
	// that much after the time that it bears.
	lagBases = 3
	// changesAtOnce is how many changes of the table are taken at once;
	// ordersAtOnce of how many of them the org is asked in one query.
	changesAtOnce = 1000
	ordersAtOnce  = 300
	// askEvery is how often the org is asked what was changed there; askOverlap
	// is the overlap of two questions, since the org's clock is another one.
	askEvery   = time.Hour
	askOverlap = 15 * time.Minute
	// quietAfter: an order that shows Activating is asked about once its last
	// push is that old. Salesforce queues callouts for minutes.
	quietAfter = time.Hour
	// firstAsked is how far back the first question goes.
	firstAsked = 48 * time.Hour
	// leastTime must be left of the invocation for one more order.
	leastTime = 15 * time.Second
)

// Swept is what one sweep found.
type Swept struct {
	Asked   int // orders that were compared
	Same    int // shown as they are
	Pushed  int // shown now, because Salesforce showed something else
	Bumped  int // the org was ahead of the table: sent again with a newer seq
	Unknown int // the table has no such order: its callout never came, or it was forgotten
	Left    int // to be shown still; a later sweep finds them again
}

// Confirm looks from the table's side: it tries again what the org refused and
// is due, and looks in the org for every change that is some minutes old and was
// not looked for yet. What the org does not show is pushed. The place is kept in
// the switch of Salesforce: no order is written for it. The error says why it
// could not go on; the next call does.
func (p *Pusher) Confirm(ctx context.Context) (Swept, error) {
	var s Swept
	c, err := p.admitted(ctx)
	if err != nil {
		return s, err
	}
	now, lag := p.d.Now(), lagBases*p.d.RetryBase
	due, err := p.d.Items.Refused(ctx, now, changesAtOnce)
	if err != nil {
		return s, err
	}
	if err := p.look(ctx, due, time.Time{}, &s); err != nil {
		return s, err
	}
	until := now.Add(-lag)
	for from, limit := c.ConfirmedUntil, changesAtOnce; until.Sub(from) >= 2*lag; {
		rows, reached, err := p.d.Items.Changed(ctx, from, until, limit)
		switch {
		case err != nil:
			return s, err
		case !reached.After(from): // more than limit of one moment
			limit *= 2
			continue
		}
		ids := make([]order.ID, len(rows))
		for i, r := range rows {
			ids[i] = r.ID
		}
		if err := p.look(ctx, ids, until, &s); err != nil {
			return s, err
		}
		next := until.Add(-lag)
		if reached.Before(next) {
			next = reached
		}
		moved, err := p.moved(ctx, func(c *order.Control) *time.Time { return &c.ConfirmedUntil }, from, next)
		if err != nil || !moved {
			return s, err
		}
		from = next
	}
	return s, nil
}

// moved moves one of the marks of the switch, unless somebody else has moved it
// since it was read.
func (p *Pusher) moved(ctx context.Context, mark func(*order.Control) *time.Time, seen, next time.Time) (bool, error) {
	moved := false
	_, err := p.d.Items.ChangeControl(ctx, order.SideSalesforce, func(c order.Control) (order.Control, bool) {
		at := mark(&c)
		if moved = at.Equal(seen); moved {
			*at = next
		}
		return c, moved
	})
	return moved, err
}

// admitted reads the switch; an error says that the org is not to be called.
func (p *Pusher) admitted(ctx context.Context) (order.Control, error) {
	c, open, err := p.admit(ctx)
	if err == nil && !open {
		err = fault.New(fault.SalesforceUnavailable, "the breaker of Salesforce is open")
	}
	return c, err
}

// look asks the org what it shows of orders, and compares.
func (p *Pusher) look(ctx context.Context, ids []order.ID, fresh time.Time, s *Swept) error {
	for part := range slices.Chunk(ids, ordersAtOnce) {
		views, err := p.d.Salesforce.Shows(ctx, part)
		if err != nil {
			return p.asked(ctx, err)
		}
		if err := p.compare(ctx, part, views, fresh, s); err != nil {
			return err
		}
	}
	return nil
}

// asked opens the breaker for a config error of a question.
func (p *Pusher) asked(ctx context.Context, err error) error {
	if fault.KindOf(err) == fault.Config {
		p.trip(ctx, err)
	}
	return err
}

// Sweep looks from the org's side, once an hour, or at once where now is set: it
// asks what was changed there since the last time, and what has shown Activating
// for long, and pushes what differs from the table. It reads the items, never an
// old image. A restored table asks from the restored mark on. The error says why
// the org, or the table, could not be asked.
func (p *Pusher) Sweep(ctx context.Context, atOnce bool) (Swept, error) {
	var s Swept
	c, err := p.admitted(ctx)
	if err != nil {
		return s, err
	}
	now := p.d.Now()
	since := c.AskedUntil.Add(-askOverlap)
	switch {
	case !atOnce && now.Sub(c.AskedUntil) < askEvery:
		return s, nil
	case c.AskedUntil.IsZero():
		since = now.Add(-firstAsked)
	}
	views, err := p.d.Salesforce.Changed(ctx, now.Add(-quietAfter), since)
	if err != nil {
		return s, p.asked(ctx, err)
	}
	ids := slices.SortedFunc(maps.Keys(views), func(a, b order.ID) int { return cmp.Compare(a.String(), b.String()) })
	if err := p.compare(ctx, ids, views, time.Time{}, &s); err != nil {
		return s, err
	}
	_, err = p.moved(ctx, func(c *order.Control) *time.Time { return &c.AskedUntil }, c.AskedUntil, now)
	return s, err
}

// compare holds what the org shows of orders against the table, and pushes what
// differs. A change that is newer than fresh is on its way and left alone; zero:
// none is. An error says that some are left to be shown.
func (p *Pusher) compare(ctx context.Context, ids []order.ID, views map[order.ID]order.View, fresh time.Time, s *Swept) error {
	var behind []Change
	for _, id := range ids {
		if until, ok := ctx.Deadline(); ok && until.Sub(p.d.Now()) < leastTime {
			return fault.Wrap(fault.SalesforceUnavailable, errors.New("no time left to compare more orders"))
		}
		s.Asked++
		rec, ok, err := p.d.Items.Get(ctx, id)
		view, there := views[id]
		switch {
		case fault.CodeOf(err) == fault.StoreUnavailable:
			return err
		case err != nil: // this one item cannot be read; the others can
			p.d.Log.ErrorContext(ctx, "item not read", "order_id", id.String(), "error", err)
			s.Left++
		case !ok:
			s.Unknown++
		case !fresh.IsZero() && time.UnixMilli(int64(rec.Seq)).After(fresh):
			s.Same++
		case there && view.Seq > rec.Seq:
			if err := p.raiseSeq(ctx, rec, view.Seq); err != nil {
				return err
			}
			s.Bumped++
		case there && !differs(view, rec):
			s.Same++
			p.confirm(ctx, rec)
		case there && view.Seq == rec.Seq && view.Status != rec.Status() && view.Status.Final():
			// Somebody wrote an end by hand; an org may let only a newer seq change it.
			e := order.Entry{At: p.d.Now(), Event: eventRaised, Detail: "Salesforce showed " + string(view.Status), By: by}
			if _, err := p.d.Items.Bump(ctx, id, rec.Seq+1, e.At, e); err != nil && fault.CodeOf(err) != fault.OrderNotFound {
				return err
			}
			s.Bumped++
		default:
			behind = append(behind, Change{Record: rec, clear: gone(view, rec)})
		}
	}
	left := 0
	for part := range slices.Chunk(behind, ordersAtOnce) {
		for _, retry := range p.push(ctx, part, false) {
			if retry {
				left++
			} else {
				s.Pushed++
			}
		}
	}
	s.Left += left
	if left > 0 {
		return fault.Wrap(fault.SalesforceUnavailable, fmt.Errorf("%d orders are not shown yet", left))
	}
	return nil
}
