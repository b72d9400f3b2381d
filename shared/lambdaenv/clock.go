package lambdaenv

import (
	"context"
	"time"
)

// Clock is the machine's clock. Its times carry no monotonic reading: that clock
// stops while the platform freezes a sandbox, and a deadline must not.
type Clock struct{}

// Now returns the time without a monotonic reading.
func (Clock) Now() time.Time { return time.Now().Round(0) }

// Sleep returns nil after d, or the error of ctx when that ends first.
func (Clock) Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
