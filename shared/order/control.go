package order

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"orderbridge/shared/fault"
)

// Side is one of the two systems that can be down or misconfigured.
type Side string

// The sides. Each has its own breaker.
const (
	SideWHMCS      Side = "whmcs"
	SideSalesforce Side = "salesforce"
)

// Control is the switch of one side. Paused and LookBefore are WHMCS's alone.
type Control struct {
	Side   Side
	Paused bool
	Reason string
	By     string
	At     time.Time // when paused or resumed last
	// Holds says who keeps it paused, oldest first. A switch that was paused
	// before there were holds has none: Held makes one of By.
	Holds []Hold
	// OpenUntil: no work before then; zero = breaker closed. The worker that
	// moves an OpenUntil that has passed owns the probe.
	OpenUntil time.Time
	Why       fault.Code
	// Probe names the worker that owns the probe, so that it knows its own
	// write when the answer was lost.
	Probe  Token
	Fails  int // probes, or canaries, failed in a row: 30 s doubling to 5 min
	Faults int // retryable faults in a row, while closed
	// Unsure says, by effect (AddOrder, AcceptOrder), how many in a row had an
	// unknown outcome, and who tries it then.
	Unsure   map[string]Doubt
	OpenedAt time.Time // since when the breaker is open, through all its probes; zero = closed
	// ClosedAt is when an outage of LongOutage or more ended: until then orders
	// waited, and were not tried.
	ClosedAt time.Time
	// LookBefore: orders created before it are searched in WHMCS even at none.
	// LookAlways where what a person wrote cannot be read.
	LookBefore time.Time
	// ConfirmedUntil and AskedUntil are Salesforce's alone: every change listed before
	// ConfirmedUntil has been looked for in Salesforce (what it does not show has
	// a Refusal), and what was changed in Salesforce before AskedUntil has been
	// compared with the table.
	ConfirmedUntil, AskedUntil time.Time
	// History has the lines of pause, resume and look_before, oldest first;
	// the breaker moves too often to be told there.
	History []Entry
}

// Hold is one person's reason why no work may begin.
type Hold struct {
	By, Reason string
	At         time.Time
}

// Held returns who keeps c paused, oldest first; none where it is not.
func (c Control) Held() []Hold {
	if c.Paused && len(c.Holds) == 0 {
		return []Hold{{By: c.By, Reason: c.Reason, At: c.At}}
	}
	return c.Holds
}

// LookAlways is a LookBefore that is after every order: a restore was meant, and
// when it was is not known.
func LookAlways() time.Time { return time.Date(9999, time.December, 31, 0, 0, 0, 0, time.UTC) }

// LongOutage is how long a breaker must have been open for the time to count as
// an outage: one that opens and closes again, since probes are answered and
// orders are not, must not keep an order for ever.
const LongOutage = 15 * time.Minute

// Normal returns c as a table gives it back: times in UTC, to the ms, rounded
// down.
func (c Control) Normal() Control {
	for _, t := range []*time.Time{&c.At, &c.OpenUntil, &c.OpenedAt, &c.ClosedAt, &c.LookBefore, &c.ConfirmedUntil, &c.AskedUntil} {
		*t = ms(*t)
	}
	c.History, c.Unsure = list(c.History), table(c.Unsure)
	c.Holds = list(c.Holds)
	for i := range c.Holds {
		c.Holds[i].At = ms(c.Holds[i].At)
	}
	for effect, d := range c.Unsure {
		d.Until, d.Since = ms(d.Until), ms(d.Since)
		c.Unsure[effect] = d
	}
	return c
}

// Open reports whether the breaker is open at now; a probe is due once it is
// not open although OpenUntil is set.
func (c Control) Open(now time.Time) bool { return c.OpenUntil.After(now) }

// ProbeDue reports whether the breaker waits for a probe at now.
func (c Control) ProbeDue(now time.Time) bool {
	return !c.OpenUntil.IsZero() && !c.OpenUntil.After(now)
}

// Pause keeps every order from being worked on until its hold is released;
// callouts are still accepted. Each name has one hold: a second pause of the
// same person changes the reason. Errors: internal_error without a time.
func (c Control) Pause(reason, by string, at time.Time) (Control, error) {
	h := Hold{By: Cut(by, MaxBy), Reason: Cut(reason, MaxDetail), At: ms(at)}
	c.Holds = append(without(c.Held(), h.By), h)
	c.Paused, c.Reason, c.By, c.At = true, h.Reason, h.By, h.At
	return c.line(Entry{At: at, Event: "paused", Detail: reason, By: by})
}

// Release ends the hold of one person; work goes on once nobody holds it.
// Errors: state_changed where that person holds nothing; internal_error without
// a time.
func (c Control) Release(of, by string, at time.Time) (Control, error) {
	held := c.Held()
	left := without(held, Cut(of, MaxBy))
	switch {
	case len(left) == len(held) && len(held) == 0:
		return c, fault.New(fault.StateChanged, "Nothing is paused.")
	case len(left) == len(held):
		return c, fault.New(fault.StateChanged, fmt.Sprintf("%s pauses nothing. Paused by %s.", of, names(held)))
	case len(left) == 0:
		return c.Resume(by, at)
	}
	last := left[len(left)-1]
	c.Holds, c.Reason, c.By, c.At = left, last.Reason, last.By, last.At
	return c.line(Entry{At: at, Event: "released", Detail: "the pause of " + of, By: by})
}

// Resume ends every hold. Errors: internal_error without a time.
func (c Control) Resume(by string, at time.Time) (Control, error) {
	c.Paused, c.Reason, c.By, c.At, c.Holds = false, "", Cut(by, MaxBy), ms(at), nil
	return c.line(Entry{At: at, Event: "resumed", By: by})
}

func without(held []Hold, by string) []Hold {
	var left []Hold
	for _, h := range held {
		if h.By != by {
			left = append(left, h)
		}
	}
	return left
}

func names(held []Hold) string {
	all := make([]string, 0, len(held))
	for _, h := range held {
		all = append(all, h.By)
	}
	return strings.Join(all, ", ")
}

// WithLookBefore makes orders created before that time be searched in WHMCS
// even at none; the zero time ends that. Errors: internal_error without a time.
func (c Control) WithLookBefore(before time.Time, by string, at time.Time) (Control, error) {
	e := Entry{At: at, Event: "look_before", By: by}
	if c.LookBefore = ms(before); !c.LookBefore.IsZero() {
		e.Detail = c.LookBefore.Format(time.RFC3339Nano)
	}
	return c.line(e)
}

// Restored returns c as it counts on a table that was brought back from a backup:
// the table has forgotten what reached WHMCS since, so nothing is sent until a
// person resumes, and every order is searched for first until a person ends that.
// from names the table that the backup was made of; "" = not known. Errors:
// internal_error without a time.
func (c Control) Restored(from string, at time.Time) (Control, error) {
	why := "the table has orders and no switch, as after a restore"
	if from != "" {
		why = "the table was restored from a backup of " + from
	}
	c, err := c.Pause(why+"; orderctl restore-check says what comes next", ByEngine, at)
	if err != nil {
		return c, err
	}
	return c.WithLookBefore(LookAlways(), ByEngine, at)
}

// Reconcile makes every change since a time be compared with Salesforce again,
// on both sides. Errors: internal_error without a time.
func (c Control) Reconcile(since time.Time, by string, at time.Time) (Control, error) {
	if since.IsZero() {
		return c, fault.Wrap(fault.Internal, errors.New("reconcile since no time"))
	}
	since = ms(since)
	for _, t := range []*time.Time{&c.ConfirmedUntil, &c.AskedUntil} {
		if t.After(since) {
			*t = since
		}
	}
	return c.line(Entry{At: at, Event: "reconcile", Detail: "since " + since.Format(time.RFC3339), By: by})
}

func (c Control) line(e Entry) (Control, error) {
	if e.At.IsZero() {
		return c, fault.Wrap(fault.Internal, errors.New("a command without time"))
	}
	c.History = lastCommands(append(slices.Clone(c.History), e.kept()))
	return c, nil
}
