package e2e_test

import (
	"fmt"
	"strings"
	"testing"
)

// What one undisturbed order costs in log, in all functions together, metrics
// included.
func TestAnUndisturbedOrderLogsLittle(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	const orders = 5
	bytes := 0
	for i := range orders {
		id := fmt.Sprintf("80100000000000%dAAA", i)
		s.seed(id, "7")
		if out, code := s.orderctl("callout", id); code != 0 {
			t.Fatalf("callout: %d %s", code, out)
		}
		s.shows(id, "Provisioned")
	}
	for line := range strings.Lines(s.Logs()) {
		_, line, ok := strings.Cut(line, " | ")
		if ok && strings.HasPrefix(line, "{") && !strings.Contains(line, `"Tick":1`) {
			bytes += len(line)
			t.Log(len(line), line)
		}
	}
	t.Logf("%d bytes an order", bytes/orders)
}
