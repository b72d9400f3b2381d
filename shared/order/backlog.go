package order

import "time"

// Late is how long after its callout an order must have ended, or wait for a
// person. A due order that no worker has taken for as long shows that something is
// wrong with the workers: the clock tops the queue up every minute.
const Late = 15 * time.Minute

// Backlog is what open orders tell together.
type Backlog struct {
	ByState map[State]int
	Oldest  Record // the one that was opened first; zero = none is open
	Overdue int    // due for more than Late, and no worker takes them
}

// Age is how long ago the oldest open order was opened; 0 = none is open.
func (b Backlog) Age(now time.Time) time.Duration {
	if b.Oldest.ID.IsZero() {
		return 0
	}
	return max(0, now.Sub(b.Oldest.OpenedAt))
}

// BacklogOf counts open orders.
func BacklogOf(open []Record, now time.Time) Backlog {
	b := Backlog{ByState: map[State]int{}}
	for _, r := range open {
		b.ByState[r.State]++
		if b.Oldest.ID.IsZero() || r.OpenedAt.Before(b.Oldest.OpenedAt) {
			b.Oldest = r
		}
		if r.State != Working && !r.DueAt.IsZero() && now.Sub(r.DueAt) > Late {
			b.Overdue++
		}
	}
	return b
}
