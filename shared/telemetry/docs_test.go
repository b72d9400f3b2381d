package telemetry_test

import (
	"os"
	"strings"
	"testing"

	"orderbridge/shared/telemetry"
)

// docs/metrics.md has one row for each metric, with its unit, its codes and who
// writes it, and says of each gauge that it is one.
func TestThePageOfMetricsIsComplete(t *testing.T) {
	page, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[telemetry.Metric][]string{}
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(line, "|")
		if len(cells) != 7 || !strings.HasPrefix(cells[1], " `") {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		name := telemetry.Metric(strings.Trim(cells[1], "`"))
		if rows[name] != nil {
			t.Errorf("%s has two rows", name)
		}
		rows[name] = cells
	}
	for _, m := range telemetry.Metrics() {
		row, i := rows[m], m.Info()
		delete(rows, m)
		switch {
		case row == nil:
			t.Errorf("%s has no row", m)
		case row[2] != string(i.Unit) || row[3] != i.Code || row[4] != strings.Join(i.By, ", ") || strings.HasPrefix(row[5], "Gauge") != i.State:
			t.Errorf("%s: the row says %q, the table %+v", m, row[2:6], i)
		}
	}
	for name := range rows {
		t.Errorf("%s is no metric", name)
	}
}
