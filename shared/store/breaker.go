package store

import (
	"context"
	"errors"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// OpenBreaker writes OpenUntil, Why and Fails of next's side, unless the
// breaker is open until later already. Errors: store_unavailable.
func (s *Store) OpenBreaker(ctx context.Context, next order.Control) error {
	if next.OpenUntil.IsZero() {
		return fault.Wrap(fault.Internal, errors.New("open breaker: no time"))
	}
	_, err := s.ChangeControl(ctx, next.Side, func(c order.Control) (order.Control, bool) { return c.Opened(next) })
	return err
}

// WinProbe moves an open_until that has passed to until; the worker whose write
// succeeds owns the probe. Errors: store_unavailable: it may have been won.
func (s *Store) WinProbe(ctx context.Context, seen order.Control, until time.Time) (bool, error) {
	mine := order.NewToken()
	c, err := s.ChangeControl(ctx, seen.Side, func(c order.Control) (order.Control, bool) { return c.Probed(seen, until, mine) })
	return err == nil && c.Probe == mine, err
}

// CloseBreaker removes open_until and fails and sets closed_at, if open_until
// is still what seen says; else it changes nothing. Errors: store_unavailable.
func (s *Store) CloseBreaker(ctx context.Context, seen order.Control, now time.Time) error {
	_, err := s.ChangeControl(ctx, seen.Side, func(c order.Control) (order.Control, bool) { return c.Closed(seen, now) })
	return err
}
