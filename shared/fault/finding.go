package fault

// Finding is one thing of an installation that was examined.
type Finding struct {
	Of   string // the system that it is of
	What string // what must hold
	OK   bool
	Seen string // what was seen; "" = what must hold says it
	Do   string // what to correct; only where OK is false
}

// Check is the finding that err says; nil is a good one.
func Check(of, what string, err error) Finding {
	if err != nil {
		return Red(of, what, err)
	}
	return Finding{Of: of, What: what, OK: true}
}

// Red is a bad finding: its text is that of err, and what to do is that of the
// on-call engineer for its code.
func Red(of, what string, err error) Finding {
	f := Finding{Of: of, What: what, Seen: string(CodeOf(err)) + ": " + TextOf(err)}
	for i, step := range CodeOf(err).OnCall("").Steps {
		if i > 0 {
			f.Do += " "
		}
		f.Do += step
	}
	return f
}
