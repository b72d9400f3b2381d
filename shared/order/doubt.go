package order

import (
	"maps"
	"slices"
	"time"

	"orderbridge/shared/fault"
)

// UnsureInRow is how many times in a row one effect must have an unknown outcome
// to be held. From then on one order in each window is let through, the canary,
// to see whether the effect is answered again: a probe is a read, and cannot show
// it. An order that does not send the effect is not held.
const UnsureInRow = 3

// Unheld is how long after its last window an effect still counts as one that
// orders wait for: the next order that sends it comes within the longest window,
// unless there is none.
const Unheld = 5 * time.Minute

// Doubt is how one effect stands since it was answered last.
type Doubt struct {
	InRow int // how many had an unknown outcome
	// Until: from UnsureInRow on it does not leave before then, but for the
	// canary's. The worker that moves an Until that has passed is the canary.
	Until  time.Time
	Canary Token      // the lease of that worker
	Fails  int        // canaries in a row with an unknown outcome
	Since  time.Time  // when it was held first
	Why    fault.Code // what came back last
}

func (d Doubt) held() bool { return d.InRow >= UnsureInRow }

// Withheld says why a worker with that lease must not send an effect at now,
// although work may go on; nil: it may. One whose Until has passed waits for a
// canary (Canary).
func (c Control) Withheld(effect string, lease Token) *Blocked {
	d := c.Unsure[effect]
	if !d.held() || d.Canary != "" && d.Canary == lease {
		return nil
	}
	return &Blocked{Until: d.Until, Why: d.Why}
}

// Canary is c with lease as the canary of an effect until then; changed is false
// where the effect is not held, or another worker is its canary at now.
func (c Control) Canary(effect string, now, until time.Time, lease Token) (won Control, changed bool) {
	d := c.Unsure[effect]
	if !d.held() || d.Until.After(now) {
		return c, false
	}
	d.Until, d.Canary = ms(until), lease
	return c.with(effect, d), true
}

// Uncertain is c after an effect with an unknown outcome, sent under a lease; open
// gives the end of the window after so many canaries. held says whether this
// began a window.
func (c Control) Uncertain(effect string, lease Token, now time.Time, open func(fails int) time.Time, why fault.Code) (after Control, held bool) {
	d := c.Unsure[effect]
	canary := d.held() && d.Canary == lease
	d.InRow++
	switch {
	case !d.held(), d.Until.After(now) && !canary:
		return c.with(effect, d), false // or it was out already when the window began
	case canary:
		d.Fails++
	}
	if d.Since.IsZero() {
		d.Since = ms(now)
	}
	d.Until, d.Canary, d.Why = ms(open(d.Fails)), "", why
	return c.with(effect, d), true
}

// Certain is c after an effect that was answered: it is held no more. changed is
// false where nothing was counted.
func (c Control) Certain(effect string, now time.Time) (after Control, changed bool) {
	d, counted := c.Unsure[effect]
	if !counted {
		return c, false
	}
	if !d.Since.IsZero() && now.Sub(d.Since) >= LongOutage {
		c.ClosedAt = ms(now)
	}
	c.Unsure = maps.Clone(c.Unsure)
	delete(c.Unsure, effect)
	return c, true
}

// Unanswered returns the effects that orders wait for at now, by name.
func (c Control) Unanswered(now time.Time) (effects []string) {
	for effect, d := range c.Unsure {
		if d.held() && now.Before(d.Until.Add(Unheld)) {
			effects = append(effects, effect)
		}
	}
	slices.Sort(effects)
	return effects
}

func (c Control) with(effect string, d Doubt) Control {
	c.Unsure = maps.Clone(c.Unsure)
	if c.Unsure == nil {
		c.Unsure = map[string]Doubt{}
	}
	c.Unsure[effect] = d
	return c
}
