package order

import "slices"

// line adds e to the history of r. An entry without an event adds nothing.
func (r Record) line(e Entry) Record {
	if e.Event != "" {
		r.History = LastLines(append(slices.Clone(r.History), e.kept()))
	}
	return r
}

// kept is e as a table keeps it.
func (e Entry) kept() Entry {
	return Entry{At: ms(e.At), Event: e.Event, Detail: Cut(e.Detail, MaxDetail), By: Cut(e.By, MaxBy)}
}

// LastLines returns the newest MaxHistory lines, oldest first; lines of one
// moment keep their order.
func LastLines(history []Entry) []Entry {
	sorted := slices.Clone(history)
	slices.SortStableFunc(sorted, func(a, b Entry) int { return a.At.Compare(b.At) })
	return sorted[max(0, len(sorted)-MaxHistory):]
}
