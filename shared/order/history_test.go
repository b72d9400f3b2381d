package order

import (
	"testing"
	"time"
)

// A line that says what the one before it said is counted there; what a person
// decided, and what the engine did, is told each time.
func TestDecisionsAreToldEachTime(t *testing.T) {
	at := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	for event, want := range map[string]int{"reopened": 2, "retried": 2, "resolved_none": 2, "adoption_undone": 2, "callout": 1, "push": 1, "status_push_failed": 1} {
		e := Entry{At: at, Event: event, Detail: "the same", By: "ann"}
		later := e
		later.At = at.Add(time.Hour)
		if got := LastLines([]Entry{e, later}); len(got) != want {
			t.Errorf("%s: %v, want %d lines", event, got, want)
		}
	}
	sent := Entry{At: at, Event: "waiting", By: ByEngine}
	if got := LastLines([]Entry{sent, sent}); len(got) != 2 {
		t.Errorf("the engine's: %v", got)
	}
}
