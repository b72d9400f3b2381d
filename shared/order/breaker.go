package order

import (
	"time"

	"orderbridge/shared/fault"
)

// The methods below are the states of a side's breaker: closed (OpenUntil is
// zero), open, and half open (OpenUntil has passed: one worker probes).

// Opened is c with its breaker open from now until then, after fails failed
// probes, unless it is open until later already; then changed is false.
func (c Control) Opened(now, until time.Time, why fault.Code, fails int) (opened Control, changed bool) {
	until = ms(until)
	if c.OpenUntil.After(until) {
		return c, false
	}
	if c.OpenUntil.IsZero() {
		c.OpenedAt = ms(now)
	}
	c.OpenUntil, c.Why, c.Fails, c.Faults = until, why, fails, 0
	return c, true
}

// Due is c with its breaker's probe, and the next try of each effect that is not
// answered, due at now; changed is false where none lies ahead.
func (c Control) Due(now time.Time) (due Control, changed bool) {
	if c.Open(now) {
		c.OpenUntil, changed = ms(now), true
	}
	for effect, d := range c.Unsure {
		if d.Until.After(now) {
			d.Until = ms(now)
			c, changed = c.with(effect, d), true
		}
	}
	return c, changed
}

// Probed is c with an OpenUntil that has passed (seen's) moved to until, and
// mine as the owner of the probe; changed is false where another worker won it.
func (c Control) Probed(seen Control, until time.Time, mine Token) (probed Control, changed bool) {
	if seen.OpenUntil.IsZero() || !until.After(seen.OpenUntil) || !c.OpenUntil.Equal(ms(seen.OpenUntil)) {
		return c, false
	}
	c.OpenUntil, c.Probe = ms(until), mine
	return c, true
}

// Closed is c with its breaker closed at now, if OpenUntil is still seen's.
func (c Control) Closed(seen Control, now time.Time) (closed Control, changed bool) {
	if seen.OpenUntil.IsZero() || !c.OpenUntil.Equal(ms(seen.OpenUntil)) {
		return c, false
	}
	if now.Sub(c.OpenedAt) >= LongOutage {
		c.ClosedAt = ms(now)
	}
	c.OpenUntil, c.OpenedAt, c.Probe, c.Fails, c.Faults = time.Time{}, time.Time{}, "", 0, 0
	return c, true
}

// Served is c without faults in a row; changed is false where there were none.
func (c Control) Served() (served Control, changed bool) {
	changed = c.Faults != 0
	c.Faults = 0
	return c, changed
}

// Blocked says that work of a side must wait.
type Blocked struct {
	Until time.Time
	Why   fault.Code // "" = paused
}

// Blocked returns why work must wait at now by this switch; nil: it need not. A
// breaker that waits for its probe blocks.
func (c Control) Blocked(now time.Time) *Blocked {
	switch {
	case c.Paused:
		return &Blocked{Until: now}
	case c.Open(now), c.ProbeDue(now):
		return &Blocked{Until: c.OpenUntil, Why: c.Why}
	}
	return nil
}

// Doubled returns base doubled that many times, at most most.
func Doubled(base time.Duration, times int, most time.Duration) time.Duration {
	for range times {
		if base >= most {
			break
		}
		base *= 2
	}
	return min(base, most)
}
