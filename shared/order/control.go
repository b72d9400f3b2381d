package order

import (
	"errors"
	"slices"
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
	// OpenUntil: no work before then; zero = breaker closed. The worker that
	// moves an OpenUntil that has passed owns the probe.
	OpenUntil time.Time
	Why       fault.Code
	// Probe names the worker that owns the probe, so that it knows its own
	// write when the answer was lost.
	Probe  Token
	Fails  int // probes, or canaries, failed in a row: 30 s doubling to 5 min
	Faults int // retryable faults in a row, while closed
	// Unsure counts, by effect (AddOrder, AcceptOrder), how many in a row had an
	// unknown outcome.
	Unsure   map[string]int
	OpenedAt time.Time // since when the breaker is open, through all its probes; zero = closed
	// ClosedAt is when an outage of LongOutage or more ended: until then orders
	// waited, and were not tried.
	ClosedAt time.Time
	// LookBefore: orders created before it are searched in WHMCS even at none.
	// LookAlways where what a person wrote cannot be read.
	LookBefore time.Time
	// ConfirmedUntil and AskedUntil are Salesforce's alone: every change before
	// ConfirmedUntil has been looked for in Salesforce (what it does not show has
	// a Refusal), and what was changed in Salesforce before AskedUntil has been
	// compared with the table.
	ConfirmedUntil, AskedUntil time.Time
	// History has the lines of pause, resume and look_before, oldest first;
	// the breaker moves too often to be told there.
	History []Entry
}

// LookAlways is a LookBefore that is after every order: a restore was meant, and
// when it was is not known.
func LookAlways() time.Time { return time.Date(9999, time.December, 31, 0, 0, 0, 0, time.UTC) }

// LongOutage is how long a breaker must have been open for the time to count as
// an outage: one that opens and closes again, since probes are answered and
// orders are not, must not keep an order for ever.
const LongOutage = 15 * time.Minute

// UnsureInRow is how many times in a row one effect must have an unknown outcome
// to open the breaker. From then on one order in each of its windows is let through, to see
// whether effects are answered again: a probe is a read, and cannot show it.
const UnsureInRow = 3

// Normal returns c as a table gives it back: times in UTC, to the ms, rounded
// down.
func (c Control) Normal() Control {
	for _, t := range []*time.Time{&c.At, &c.OpenUntil, &c.OpenedAt, &c.ClosedAt, &c.LookBefore, &c.ConfirmedUntil, &c.AskedUntil} {
		*t = ms(*t)
	}
	c.History, c.Unsure = list(c.History), table(c.Unsure)
	return c
}

// Open reports whether the breaker is open at now; a probe is due once it is
// not open although OpenUntil is set.
func (c Control) Open(now time.Time) bool { return c.OpenUntil.After(now) }

// ProbeDue reports whether the breaker waits for a probe at now.
func (c Control) ProbeDue(now time.Time) bool {
	return !c.OpenUntil.IsZero() && !c.OpenUntil.After(now)
}

// Pause keeps every order from being worked on until Resume; callouts are still
// accepted. Errors: internal_error without a time.
func (c Control) Pause(reason, by string, at time.Time) (Control, error) {
	c.Paused, c.Reason, c.By, c.At = true, Cut(reason, MaxDetail), Cut(by, MaxBy), ms(at)
	return c.line(Entry{At: at, Event: "paused", Detail: reason, By: by})
}

// Resume ends a pause. Errors: internal_error without a time.
func (c Control) Resume(by string, at time.Time) (Control, error) {
	c.Paused, c.Reason, c.By, c.At = false, "", Cut(by, MaxBy), ms(at)
	return c.line(Entry{At: at, Event: "resumed", By: by})
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
