package order

import "time"

// Opened is c with its breaker open as next says, unless it is open until later
// already; then changed is false.
func (c Control) Opened(next Control) (opened Control, changed bool) {
	until := ms(next.OpenUntil)
	if c.OpenUntil.After(until) {
		return c, false
	}
	c.OpenUntil, c.Why, c.Fails = until, next.Why, next.Fails
	return c, true
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
	c.OpenUntil, c.Probe, c.Fails, c.ClosedAt = time.Time{}, "", 0, ms(now)
	return c, true
}
