package writeback

import (
	"context"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// admit reads the switch, and reports whether the org may be called. A breaker
// that cannot be read (err) does not stop a push: it spares the org, it protects
// nothing else.
func (p *Pusher) admit(ctx context.Context) (c order.Control, open bool, err error) {
	c, blocked, err := p.d.Breaker.Admit(ctx)
	if err != nil {
		p.d.Log.WarnContext(ctx, "breaker not read", "error", err)
		return c, true, err
	}
	p.mu.Lock()
	p.control = c
	p.mu.Unlock()
	return c, blocked == nil, nil
}

// installation judges a config error of rows alone, of which no row of the same
// type worked. It is the installation's, and opens the breaker, only where the
// probe fails too; nil says that it is the rows' own. Any other error says that
// it is not known.
func (p *Pusher) installation(ctx context.Context) error {
	now := p.d.Now()
	p.mu.Lock()
	proved := now.Sub(p.proved) < p.d.RetryBase/2
	p.mu.Unlock()
	if proved {
		return nil
	}
	err := p.d.Salesforce.Probe(ctx)
	switch {
	case err == nil:
		p.mu.Lock()
		p.proved = now
		p.mu.Unlock()
	case fault.KindOf(err) == fault.Config:
		p.trip(ctx, err)
	}
	return err
}

// trip opens the breaker for an error that a person must correct. The alarm
// goes by the metric; the breaker's log line has the cause.
func (p *Pusher) trip(ctx context.Context, cause error) {
	p.d.Meter.Misconfigured(fault.CodeOf(cause))
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
