package order

import (
	"slices"
	"strings"
	"time"
)

// ByEngine names the engine in the history. Its lines are the evidence of what
// may exist in WHMCS.
const ByEngine = "provision"

// line adds e to the history of r. An entry without an event adds nothing.
func (r Record) line(e Entry) Record {
	if e.Event != "" {
		r.History = LastLines(append(slices.Clone(r.History), e.kept()))
	}
	return r
}

// kept is e as a table keeps it.
func (e Entry) kept() Entry {
	return Entry{At: ms(e.At), Event: e.Event, Detail: Cut(e.Detail, MaxDetail), By: Cut(e.By, MaxBy), Times: e.Times, First: ms(e.First)}
}

// Decides reports whether the line is what a person decided about an order that
// had ended: a click, a retry, a resolution.
func (e Entry) Decides() bool {
	switch e.Event {
	case "reopened", "retried", "adoption_undone":
		return true
	}
	return strings.HasPrefix(e.Event, "resolved_")
}

// counted reports whether further lines that say the same are counted in one:
// not those of the engine, nor what a person decided.
func (e Entry) counted() bool { return e.By != ByEngine && !e.Decides() }

func (e Entry) says(other Entry) bool {
	return e.Event == other.Event && e.Detail == other.Detail && e.By == other.By
}

// with is e, the later one of two lines that say the same, with what old counted.
func (e Entry) with(old Entry) Entry {
	if e.First.IsZero() {
		e.First = e.At
	}
	for _, t := range []time.Time{old.At, old.First} {
		if !t.IsZero() && t.Before(e.First) {
			e.First = t
		}
	}
	e.Times = max(e.Times, 1) + max(old.Times, 1)
	return e
}

// LastLines returns the history as it is kept, oldest first; lines of one moment
// keep their order. Clicks, pushes and notes that say the same are one line,
// where the last of them stands. Of the MaxHistory lines EngineLines are the
// engine's own: no noise erases what was sent.
func LastLines(history []Entry) []Entry {
	sorted := slices.Clone(history)
	slices.SortStableFunc(sorted, func(a, b Entry) int { return a.At.Compare(b.At) })
	newest := make([]Entry, 0, len(sorted)) // newest first
	for _, e := range slices.Backward(sorted) {
		if at := slices.IndexFunc(newest, e.says); at >= 0 && e.counted() {
			newest[at] = newest[at].with(e)
			continue
		}
		newest = append(newest, e)
	}
	engine := 0
	for _, e := range newest {
		if e.By == ByEngine {
			engine++
		}
	}
	// What the engine does not need of its places the others may use.
	places := MaxHistory - min(engine, EngineLines)
	others := min(len(newest)-engine, places)
	left := map[bool]int{true: MaxHistory - others, false: others}
	newest = slices.DeleteFunc(newest, func(e Entry) bool {
		left[e.By == ByEngine]--
		return left[e.By == ByEngine] < 0
	})
	slices.Reverse(newest)
	return newest
}

// lastCommands returns the newest MaxHistory lines of a switch, oldest first.
func lastCommands(history []Entry) []Entry {
	return history[max(0, len(history)-MaxHistory):]
}
