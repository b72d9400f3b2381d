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
// with the id of its callout. StatusPushFunction writes one a batch: its two changes
// are one batch where the order ends within the batching window, and else two, of
// which the longer one counts.
func TestAnUndisturbedOrderIsThreeLines(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	const id = "801000000000001AAA"
	s.seed(id, "7")
	if out, code := s.orderctl("callout", id); code != 0 {
		t.Fatalf("callout: %d %s", code, out)
	}
	s.shows(id, "Provisioned")
	var lines map[string][]string
	s.Eventually("each function has written its lines", func() bool {
		var changes int
		lines, changes = linesOf(t, s.Logs(), id)
		return len(lines["fulfill"]) > 0 && len(lines["provision"]) > 0 && changes >= 2
	})
	whole, text := 0, 0
	callouts := map[any]bool{}
	for function, all := range lines {
		if len(all) != 1 && function != "statuspush" || len(all) > 2 {
			t.Errorf("%d lines of %s", len(all), function)
		}
		longest, longestText := 0, 0
		for _, line := range all {
			members := membersOf(t, line)
			callouts[members["correlation_id"]] = true
			longest, longestText = max(longest, len(line)), max(longestText, withoutMetrics(t, members))
		}
		whole, text = whole+longest, text+longestText
	}
	said := fmt.Sprintf("%d bytes, %d without metrics:\n%v", whole, text, lines)
	t.Log(said)
	if len(lines) != 3 || whole > orderBytes || text > textBytes {
		t.Error(said)
	}
	if len(callouts) != 1 || callouts[nil] {
		t.Errorf("the lines name the callouts %v, want one: %s", callouts, said)
	}
}

// linesOf returns the lines of a log that name an order, by function, and how many
// changes of it StatusPushFunction says it has read.
func linesOf(t *testing.T, log, id string) (lines map[string][]string, changes int) {
	t.Helper()
	lines = map[string][]string{}
	for line := range strings.Lines(log) {
		_, line, ok := strings.Cut(line, " | ")
		if !ok || !strings.Contains(line, id) {
			continue
		}
		members := membersOf(t, line)
		function, _ := members["function"].(string)
		lines[function] = append(lines[function], line)
		if records, ok := members["records"].(float64); ok {
			changes += int(records)
		}
	}
	return lines, changes
}

func membersOf(t *testing.T, line string) (members map[string]any) {
	t.Helper()
	if _, err := telemetrytest.Line(strings.TrimSuffix(line, "\n")); err != nil {
		t.Error(err)
	}
	if err := json.Unmarshal([]byte(line), &members); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	return members
}

// withoutMetrics is the length of a line without what its metrics add.
func withoutMetrics(t *testing.T, members map[string]any) int {
	t.Helper()
	delete(members, "_aws")
	delete(members, "stack")
	for _, m := range telemetry.Metrics() {
		delete(members, string(m))
	}
	b, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return len(b) + 1
}
