package e2e_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"orderbridge/shared/telemetry"
	"orderbridge/shared/telemetry/telemetrytest"
)

// What one undisturbed order may cost in log, in all functions together, in bytes:
// as it is written by functions that were just started, and without its metrics. The
// format of these repeats name, unit and dimensions in each line.
const (
	orderBytes = 2432
	textBytes  = 1024
)

// An undisturbed order writes one line in each function that it passes, all of them
// with the id of its callout.
func TestAnUndisturbedOrderIsThreeLines(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	const id = "801000000000001AAA"
	s.seed(id, "7")
	if out, code := s.orderctl("callout", id); code != 0 {
		t.Fatalf("callout: %d %s", code, out)
	}
	s.shows(id, "Provisioned")
	var all []string
	s.Eventually("each function has written its line", func() bool {
		all = nil
		for line := range strings.Lines(s.Logs()) {
			if _, line, ok := strings.Cut(line, " | "); ok && strings.Contains(line, id) {
				all = append(all, line)
			}
		}
		return len(all) > 2
	})
	whole, text := 0, 0
	callouts := map[any]bool{}
	for _, line := range all {
		if _, err := telemetrytest.Line(strings.TrimSuffix(line, "\n")); err != nil {
			t.Error(err)
		}
		var members map[string]any
		if err := json.Unmarshal([]byte(line), &members); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		callouts[members["correlation_id"]] = true
		delete(members, "_aws")
		delete(members, "stack")
		for _, m := range telemetry.Metrics() {
			delete(members, string(m))
		}
		b, err := json.Marshal(members)
		if err != nil {
			t.Fatal(err)
		}
		whole, text = whole+len(line), text+len(b)+1
	}
	said := fmt.Sprintf("%d lines of %d bytes, %d without metrics:\n%s", len(all), whole, text, strings.Join(all, ""))
	t.Log(said)
	if len(all) != 3 || whole > orderBytes || text > textBytes {
		t.Error(said)
	}
	if len(callouts) != 1 || callouts[nil] {
		t.Errorf("the lines name the callouts %v, want one: %s", callouts, said)
	}
}
