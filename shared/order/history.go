package order

import "slices"

// line adds e to the history of r at its time, and drops the oldest line beyond
// MaxHistory. An entry without an event adds nothing.
func (r Record) line(e Entry) Record {
	if e.Event == "" {
		return r
	}
	e.At = ms(e.At)
	e.Detail, e.By = Cut(e.Detail, MaxDetail), Cut(e.By, MaxBy)
	r.History = addLine(r.History, e)
	return r
}

func addLine(history []Entry, e Entry) []Entry {
	kept := history[max(0, len(history)-(MaxHistory-1)):]
	at := len(kept)
	for at > 0 && kept[at-1].At.After(e.At) {
		at--
	}
	return slices.Insert(slices.Clone(kept), at, e)
}

// LastLines returns the newest MaxHistory lines, oldest first; lines of one
// moment keep their order.
func LastLines(history []Entry) []Entry {
	sorted := slices.Clone(history)
	slices.SortStableFunc(sorted, func(a, b Entry) int { return a.At.Compare(b.At) })
	return sorted[max(0, len(sorted)-MaxHistory):]
}
