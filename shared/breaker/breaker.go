// Package breaker spares a side, WHMCS or Salesforce, that does not serve: one
// policy for both sides, whichever function meets the fault.
//
// The rule it keeps: all that decides (how many faults in a row, until when it
// is open, who probes) is in the table's control item, never in a process, and
// the probe is a read, made by the one worker that won it by a conditional
// write. It must not decide what becomes of an order.
package breaker

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// Controls are the control items of the table. Errors carry store_unavailable
// or internal_error.
type Controls interface {
	// Control reads the switch of one side, strongly consistent; a missing item
	// is the zero Control with Side set.
	Control(ctx context.Context, side order.Side) (order.Control, error)
	// ChangeControl writes what change makes of the switch, if its second result
	// says so, by one conditional write; on a conflict change runs again on the
	// fresh image, so it must be pure. It returns the image after it.
	ChangeControl(ctx context.Context, side order.Side, change func(order.Control) (next order.Control, write bool)) (order.Control, error)
}

// Deps are the ports of a Breaker.
type Deps struct {
	Controls Controls
	Side     order.Side
	// Probe is the cheapest read that shows whether the side serves.
	Probe func(ctx context.Context) error
	Now   func() time.Time
	Log   *slog.Logger
}

// Breaker is the breaker of one side. It keeps nothing between calls.
type Breaker struct {
	d     Deps
	first time.Duration
}

const (
	// faultsInRow opens the breaker: one more than the tries that one
	// invocation makes of its own would hide a fault of one order.
	faultsInRow = 3
	// longest bounds how late an order notices that a side serves again.
	longest = 5 * time.Minute
	// probeTime bounds one probe; a read of WHMCS may take 30 s, the probe of a
	// side that serves takes far less than a second.
	probeTime = 20 * time.Second
)

// New returns the breaker of a side. It opens for half of retryBase
// (RETRY_BASE: 60 s), doubling to 5 min while probes fail.
func New(d Deps, retryBase time.Duration) (*Breaker, error) {
	if d.Controls == nil || d.Side == "" || d.Probe == nil || d.Now == nil || d.Log == nil {
		return nil, errors.New("breaker: a port is missing")
	}
	if retryBase <= 0 {
		return nil, fault.New(fault.ConfigurationInvalid, "RETRY_BASE must be positive")
	}
	return &Breaker{d: d, first: retryBase / 2}, nil
}

// Admit reads the switch of the side, and makes the probe where one is due and
// this caller wins it. blocked is nil where work may go on; an effect of it may
// have to wait all the same (order.Control.Withheld). Errors: store_unavailable,
// internal_error: nothing is known of the side.
func (b *Breaker) Admit(ctx context.Context) (c order.Control, blocked *order.Blocked, err error) {
	c, err = b.d.Controls.Control(ctx, b.d.Side)
	if err != nil {
		return c, nil, err
	}
	now := b.d.Now()
	if c.Paused || !c.ProbeDue(now) {
		return c, c.Blocked(now), nil
	}
	until, mine := now.Add(b.openFor(c.Fails)), order.NewToken()
	won, err := b.d.Controls.ChangeControl(ctx, b.d.Side, func(now order.Control) (order.Control, bool) { return now.Probed(c, until, mine) })
	if err != nil || won.Probe != mine {
		return c, &order.Blocked{Until: until, Why: c.Why}, err
	}
	probe, cancel := context.WithTimeout(ctx, probeTime)
	failure := b.d.Probe(probe)
	cancel()
	if failure != nil {
		until, err := b.open(ctx, "probe failed", failure, won.Fails+1)
		return won, &order.Blocked{Until: until, Why: fault.CodeOf(failure)}, err
	}
	closed, err := b.d.Controls.ChangeControl(ctx, b.d.Side, func(now order.Control) (order.Control, bool) { return now.Closed(won, b.d.Now()) })
	if err != nil {
		return won, nil, err
	}
	b.d.Log.LogAttrs(ctx, slog.LevelInfo, "probe succeeded: breaker closed", slog.String("side", string(b.d.Side)))
	return closed, nil, nil
}

// ProbeNow asks the side at once whether it serves, for a person who does not
// wait for the next window, and closes the breaker if it does; an open breaker
// is then due for its probe, which this caller makes unless a worker wins it.
// The next order that sends an effect which is not answered is its canary at
// once. blocked says that work must wait all the same: it is paused. Errors: what
// the probe found; store_unavailable, internal_error.
func (b *Breaker) ProbeNow(ctx context.Context) (blocked *order.Blocked, err error) {
	now := b.d.Now()
	c, err := b.d.Controls.ChangeControl(ctx, b.d.Side, func(c order.Control) (order.Control, bool) { return c.Due(now) })
	if err != nil {
		return nil, err
	}
	if c.OpenUntil.IsZero() || c.Paused { // nothing to close, or not to be closed now
		probe, cancel := context.WithTimeout(ctx, probeTime)
		defer cancel()
		return c.Blocked(now), b.d.Probe(probe)
	}
	_, blocked, err = b.Admit(ctx)
	return blocked, err
}

// Trip opens the breaker at once, for a fault of the installation, and returns
// until when. One that is open already stays as it is. Errors: store_unavailable.
func (b *Breaker) Trip(ctx context.Context, cause error) (until time.Time, err error) {
	return b.open(ctx, "breaker opened", cause, 0)
}

// Fault counts one more run that the side ended by a retryable fault. The third
// in a row opens the breaker; until is zero while it stays closed. Errors:
// store_unavailable.
func (b *Breaker) Fault(ctx context.Context, cause error) (until time.Time, err error) {
	c, err := b.d.Controls.ChangeControl(ctx, b.d.Side, func(c order.Control) (order.Control, bool) {
		c.Faults++
		return c, true
	})
	if err != nil || c.Faults < faultsInRow {
		return time.Time{}, err
	}
	return b.Trip(ctx, cause)
}

// Try makes the worker with that lease the canary of an effect that is held
// (order.UnsureInRow), if it comes first in this window; lasts is how long the
// effect may take, and no other worker tries it for as long. It returns the switch
// as it is then, which says whether the worker may send (order.Control.Withheld).
// Errors: store_unavailable.
func (b *Breaker) Try(ctx context.Context, effect string, lease order.Token, lasts time.Duration) (order.Control, error) {
	now := b.d.Now()
	c, err := b.d.Controls.ChangeControl(ctx, b.d.Side, func(c order.Control) (order.Control, bool) {
		return c.Canary(effect, now, now.Add(max(lasts, b.openFor(c.Unsure[effect].Fails))), lease)
	})
	if err == nil && c.Unsure[effect].Canary == lease {
		b.d.Log.LogAttrs(ctx, slog.LevelInfo, "effect is tried by one order", slog.String("side", string(b.d.Side)),
			slog.String("effect", effect), slog.Time("until", c.Unsure[effect].Until))
	}
	return c, err
}

// Unsure counts an effect of which the outcome is not known, sent by the worker
// with that lease. From the third in a row on the effect is held: one order in
// each window tries it, and each that is not answered makes the next window
// longer. Errors: store_unavailable.
func (b *Breaker) Unsure(ctx context.Context, effect string, lease order.Token, cause error) error {
	now, held := b.d.Now(), false
	c, err := b.d.Controls.ChangeControl(ctx, b.d.Side, func(c order.Control) (order.Control, bool) {
		c, held = c.Uncertain(effect, lease, now, func(fails int) time.Time { return now.Add(b.openFor(fails)) }, fault.CodeOf(cause))
		return c, true
	})
	if err == nil && held {
		d := c.Unsure[effect]
		b.d.Log.LogAttrs(ctx, slog.LevelError, "effect is not answered: orders that send it wait", slog.String("side", string(b.d.Side)),
			slog.String("effect", effect), slog.String("code", string(d.Why)), slog.Time("until", d.Until), slog.Int("failed_canaries", d.Fails), slog.Any("error", cause))
	}
	return err
}

// Sure notes that an effect was answered: effects are counted in a row, and one
// that is held goes on. It writes only where seen, the switch as the worker read
// it, counts some. Errors: store_unavailable.
func (b *Breaker) Sure(ctx context.Context, effect string, seen order.Control) error {
	if seen.Unsure[effect].InRow == 0 {
		return nil
	}
	_, err := b.d.Controls.ChangeControl(ctx, b.d.Side, func(c order.Control) (order.Control, bool) { return c.Certain(effect, b.d.Now()) })
	return err
}

// Halt pauses the side until a person resumes it: more work would do harm. One
// that is paused already keeps its reason. Errors: store_unavailable.
func (b *Breaker) Halt(ctx context.Context, by string, cause error) error {
	now, halted := b.d.Now(), false
	var refused error
	_, err := b.d.Controls.ChangeControl(ctx, b.d.Side, func(c order.Control) (order.Control, bool) {
		if halted = !c.Paused; halted {
			c, refused = c.Pause(string(fault.CodeOf(cause))+": "+fault.TextOf(cause), by, now)
		}
		return c, halted && refused == nil
	})
	if err == nil {
		err = refused
	}
	if err == nil && halted {
		b.d.Log.LogAttrs(ctx, slog.LevelError, "paused until a person resumes", slog.String("side", string(b.d.Side)),
			slog.String("code", string(fault.CodeOf(cause))), slog.Any("error", cause))
	}
	return err
}

// Served notes that the side has answered as it should: faults are counted in a
// row. It writes only where seen, the switch as it was read, has some. Errors:
// store_unavailable.
func (b *Breaker) Served(ctx context.Context, seen order.Control) error {
	if seen.Faults == 0 {
		return nil
	}
	_, err := b.d.Controls.ChangeControl(ctx, b.d.Side, order.Control.Served)
	return err
}

// open opens the breaker after fails failed probes (0: by a fault), unless it is
// open already; a failed probe moves the end of its own window.
func (b *Breaker) open(ctx context.Context, event string, cause error, fails int) (time.Time, error) {
	now, why := b.d.Now(), fault.CodeOf(cause)
	opened := false
	c, err := b.d.Controls.ChangeControl(ctx, b.d.Side, func(c order.Control) (order.Control, bool) {
		if fails == 0 && c.Open(now) {
			return c, false
		}
		after := max(fails, c.Fails)
		c, opened = c.Opened(now, now.Add(b.openFor(after)), why, after)
		return c, opened
	})
	if err != nil {
		return time.Time{}, err
	}
	if opened {
		b.logOpen(ctx, event, c, cause)
	}
	return c.OpenUntil, nil
}

func (b *Breaker) logOpen(ctx context.Context, event string, c order.Control, cause error) {
	b.d.Log.LogAttrs(ctx, slog.LevelError, event, slog.String("side", string(b.d.Side)),
		slog.String("code", string(c.Why)), slog.Time("until", c.OpenUntil), slog.Int("failed_probes", c.Fails), slog.Any("error", cause))
}

// openFor is how long the breaker stays open after that many failed probes.
func (b *Breaker) openFor(fails int) time.Duration { return order.Doubled(b.first, fails, longest) }
