package provision

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"orderbridge/shared/order"
)

// DueStore tells the clock what is due.
type DueStore interface {
	// Control is Store's.
	Control(ctx context.Context, side order.Side) (order.Control, error)
	// Due returns at most limit orders whose due_at has passed, oldest first;
	// beside an error, those of the parts that did answer.
	// It reads the index, which lags: a stale entry is a hint that comes to
	// nothing, a missing one comes a minute later.
	Due(ctx context.Context, now time.Time, limit int) ([]order.ID, error)
}

// Hints is the queue that wakes the engine.
type Hints interface {
	// Waiting is about how many hints no worker has taken yet.
	Waiting(ctx context.Context) (int, error)
	// Send adds one hint per order; losing some is harmless.
	Send(ctx context.Context, ids []order.ID) error
}

// Tick is one beat of the clock: it tops the queue up with what is due, unless
// WHMCS is paused, its breaker is open, or twice as many hints as workers wait
// already (else a day's pause with 10,000 orders would make millions of hints).
// It makes no call to WHMCS or Salesforce. It returns how many hints it sent, and
// whether more may be due than the queue has room for: then it is worth looking
// again before the next beat, since the hints that wait may be used up by then. An
// order that a worker holds may be among those that are due, and gets one hint in
// vain with each beat.
func Tick(ctx context.Context, store DueStore, hints Hints, now time.Time, workers int, log *slog.Logger) (sent int, more bool, err error) {
	c, err := store.Control(ctx, order.SideWHMCS)
	if err != nil {
		return 0, false, err
	}
	if c.Paused || c.Open(now) {
		log.LogAttrs(ctx, slog.LevelInfo, "clock holds", slog.Bool("paused", c.Paused), slog.String("code", string(c.Why)))
		return 0, false, nil
	}
	waiting, err := hints.Waiting(ctx)
	if err != nil {
		return 0, false, err
	}
	room := 2*workers - waiting
	if room <= 0 {
		return 0, true, nil
	}
	// A part of the index that does not answer keeps no other order waiting.
	due, failed := store.Due(ctx, now, room)
	if len(due) == 0 {
		return 0, false, failed
	}
	log.LogAttrs(ctx, slog.LevelInfo, "clock hints", slog.Int("orders", len(due)), slog.Int("waiting", waiting))
	return len(due), len(due) == room, errors.Join(failed, hints.Send(ctx, due))
}
