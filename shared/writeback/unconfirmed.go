package writeback

import (
	"context"
	"time"

	"orderbridge/shared/order"
)

const (
	// overdueLags is how many lags after its making a change is overdue: Confirm
	// looks for it after three at the latest, once a minute.
	overdueLags = 4
	// refusedRead bounds the items that are read for the age of a refusal; the
	// number of refusals is bounded by changesAtOnce.
	refusedRead = 50
	// anyTry lies behind the next try of every refused order.
	anyTry = 2 * retryMost
)

// Unconfirmed returns how many changes the org is not known to show although it
// should by now: those that it refuses, and those that Confirm has not looked for in
// time; and since when the oldest of them waits, zero where there is none. Both are
// lower bounds above some hundred. It reads the table alone. Errors:
// store_unavailable.
func (p *Pusher) Unconfirmed(ctx context.Context) (n int, since time.Time, err error) {
	now := p.d.Now()
	refused, err := p.d.Items.Refused(ctx, now.Add(anyTry), changesAtOnce)
	if err != nil {
		return 0, time.Time{}, err
	}
	older := func(t time.Time) {
		if since.IsZero() || t.Before(since) {
			since = t
		}
	}
	for _, id := range refused[:min(len(refused), refusedRead)] {
		r, there, err := p.d.Items.Get(ctx, id)
		if err != nil {
			return 0, time.Time{}, err
		}
		if there && !r.Refusal.Since.IsZero() {
			older(r.Refusal.Since)
		}
	}
	c, err := p.d.Items.ChangeControl(ctx, order.SideSalesforce, func(c order.Control) (order.Control, bool) { return c, false })
	if err != nil {
		return 0, time.Time{}, err
	}
	until := now.Add(-overdueLags * lagBases * p.d.RetryBase)
	if !c.ConfirmedUntil.Before(until) {
		return len(refused), since, nil
	}
	rows, _, err := p.d.Items.Changed(ctx, c.ConfirmedUntil, until, changesAtOnce)
	if err != nil {
		return 0, time.Time{}, err
	}
	for _, r := range rows {
		older(r.At)
	}
	return len(refused) + len(rows), since, nil
}
