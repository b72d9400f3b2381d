package order

import "testing"

func TestWordsOfAPerson(t *testing.T) {
	for _, c := range []struct {
		word                                   Word
		absent, named, rerun                   bool
		withRerun, withoutRerun, withoutAbsent Word
	}{
		{word: WordNone, withRerun: WordRerun, withoutRerun: WordNone, withoutAbsent: WordNone},
		{word: WordAbsent, absent: true, withRerun: WordRerun, withoutRerun: WordAbsent, withoutAbsent: WordNone},
		{word: WordNamed, named: true, withRerun: WordNamedRerun, withoutRerun: WordNamed, withoutAbsent: WordNamed},
		{word: WordRerun, rerun: true, withRerun: WordRerun, withoutRerun: WordNone, withoutAbsent: WordRerun},
		{word: WordNamedRerun, named: true, rerun: true, withRerun: WordNamedRerun, withoutRerun: WordNamed, withoutAbsent: WordNamedRerun},
	} {
		w := c.word
		if !w.Valid() || w.Absent() != c.absent || w.Named() != c.named || w.Rerun() != c.rerun {
			t.Errorf("%q: valid %v, absent %v, named %v, rerun %v", w, w.Valid(), w.Absent(), w.Named(), w.Rerun())
		}
		if w.WithRerun() != c.withRerun || w.WithoutRerun() != c.withoutRerun || w.WithoutAbsent() != c.withoutAbsent {
			t.Errorf("%q: with rerun %q, without %q, without absent %q", w, w.WithRerun(), w.WithoutRerun(), w.WithoutAbsent())
		}
	}
	if Word("maybe").Valid() {
		t.Error("an unknown word is valid")
	}
}

func TestOutcomesAreStoredByName(t *testing.T) {
	for _, o := range []Outcome{Created, AlreadyOpen, AlreadyProvisioned, StoredFailure, Reopened} {
		if o.String() == "" || ParseOutcome(o.String()) != o {
			t.Errorf("%d is stored as %q, read as %d", o, o, ParseOutcome(o.String()))
		}
	}
	if ParseOutcome("") != 0 || ParseOutcome("else") != 0 || Outcome(99).String() != "" {
		t.Error("an unknown outcome has a name")
	}
}
