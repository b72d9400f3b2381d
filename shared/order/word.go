package order

// Word is what a person said about an order that still counts. The values are
// stored: they may be added to, not changed.
type Word string

// The words.
const (
	// WordNone: no person has said anything that still counts.
	WordNone Word = ""
	// WordAbsent: WHMCS holds nothing of this order; a dead or missing order is
	// then no reason to ask again. The next AddOrder uses it up.
	WordAbsent Word = "absent"
	// WordNamed: a person named the WHMCS order; it needs no marker.
	WordNamed Word = "named"
	// WordRerun: a click after module_failed consents to one more AcceptOrder.
	// The write before that AcceptOrder uses it up.
	WordRerun Word = "rerun"
	// WordNamedRerun: WordNamed and WordRerun, of a named order whose module failed.
	WordNamedRerun Word = "named_rerun"
	// WordNamedAnyClient: WordNamed, and the order may be another client's than
	// the plan's.
	WordNamedAnyClient Word = "named_any_client"
	// WordNamedAnyClientRerun: the same of an order whose module failed.
	WordNamedAnyClientRerun Word = "named_any_client_rerun"
)

// Valid reports whether w is one of the words.
func (w Word) Valid() bool {
	switch w {
	case WordNone, WordAbsent, WordNamed, WordRerun, WordNamedRerun, WordNamedAnyClient, WordNamedAnyClientRerun:
		return true
	}
	return false
}

// Absent reports whether a person said that WHMCS holds nothing of the order.
func (w Word) Absent() bool { return w == WordAbsent }

// Named reports whether a person named the WHMCS order.
func (w Word) Named() bool { return w == WordNamed || w == WordNamedRerun || w.AnyClient() }

// AnyClient reports whether the WHMCS order that a person named may belong to
// another client than the plan's.
func (w Word) AnyClient() bool { return w == WordNamedAnyClient || w == WordNamedAnyClientRerun }

// Rerun reports whether a person consents to one more AcceptOrder.
func (w Word) Rerun() bool {
	return w == WordRerun || w == WordNamedRerun || w == WordNamedAnyClientRerun
}

// WithRerun returns w with the consent to one more AcceptOrder. It replaces
// WordAbsent: an order whose module ran is there.
func (w Word) WithRerun() Word {
	switch {
	case w.AnyClient():
		return WordNamedAnyClientRerun
	case w.Named():
		return WordNamedRerun
	}
	return WordRerun
}

// WithoutRerun returns w without the consent to one more AcceptOrder.
func (w Word) WithoutRerun() Word {
	switch w {
	case WordRerun:
		return WordNone
	case WordNamedRerun:
		return WordNamed
	case WordNamedAnyClientRerun:
		return WordNamedAnyClient
	}
	return w
}

// WithoutAbsent returns w without WordAbsent.
func (w Word) WithoutAbsent() Word {
	if w == WordAbsent {
		return WordNone
	}
	return w
}
