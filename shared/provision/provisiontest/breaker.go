package provisiontest

import (
	"context"
	"errors"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// OpenBreaker opens a breaker, unless it is open until later already.
func (m *Memory) OpenBreaker(ctx context.Context, next order.Control) error {
	if next.OpenUntil.IsZero() {
		return fault.Wrap(fault.Internal, errors.New("open breaker: no time"))
	}
	_, err := m.changeControl(ctx, Op{Method: "OpenBreaker", Side: next.Side}, func(c order.Control) (order.Control, bool) { return c.Opened(next) })
	return err
}

// WinProbe reports whether the caller owns the probe.
func (m *Memory) WinProbe(ctx context.Context, seen order.Control, until time.Time) (bool, error) {
	mine := order.NewToken()
	c, err := m.changeControl(ctx, Op{Method: "WinProbe", Side: seen.Side}, func(c order.Control) (order.Control, bool) { return c.Probed(seen, until, mine) })
	return err == nil && c.Probe == mine, err
}

// CloseBreaker closes a breaker that is still as it was seen.
func (m *Memory) CloseBreaker(ctx context.Context, seen order.Control, now time.Time) error {
	_, err := m.changeControl(ctx, Op{Method: "CloseBreaker", Side: seen.Side}, func(c order.Control) (order.Control, bool) { return c.Closed(seen, now) })
	return err
}
