package writeback

import (
	"context"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// admit reports whether the org may be called. A breaker that cannot be read
// does not stop a push: it spares the org, it protects nothing else.
func (p *Pusher) admit(ctx context.Context) bool {
	c, blocked, err := p.d.Breaker.Admit(ctx)
	if err != nil {
		p.d.Log.WarnContext(ctx, "breaker not read", "error", err)
		return true
	}
	p.mu.Lock()
	p.control = c
	p.mu.Unlock()
	return blocked == nil
}

// trip opens the breaker for an error that a person must correct. The alarm
// goes by the metric; the breaker's log line has the cause.
func (p *Pusher) trip(ctx context.Context, cause error) {
	p.d.Metrics.Count(metricConfig, string(fault.CodeOf(cause)), 1)
	p.told(ctx, func() error {
		_, err := p.d.Breaker.Trip(ctx, cause)
		return err
	})
}

// failed counts a call that failed as a whole.
func (p *Pusher) failed(ctx context.Context, cause error) {
	p.told(ctx, func() error {
		_, err := p.d.Breaker.Fault(ctx, cause)
		return err
	})
}

// served ends the count of failed calls, which admit has seen.
func (p *Pusher) served(ctx context.Context) {
	p.mu.Lock()
	seen := p.control
	p.control = order.Control{}
	p.mu.Unlock()
	p.told(ctx, func() error { return p.d.Breaker.Served(ctx, seen) })
}

func (p *Pusher) told(ctx context.Context, tell func() error) {
	if err := tell(); err != nil {
		p.d.Log.ErrorContext(ctx, "breaker not written", "error", err)
	}
}
