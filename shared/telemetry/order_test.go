package telemetry_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"orderbridge/shared/order"
	"orderbridge/shared/telemetry"
)

// A line of a call that is of an order names it, once, and a duration has a unit.
func TestALineNamesItsOrderAndItsUnits(t *testing.T) {
	id, err := order.ParseID("801000000000001AAA")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	log := telemetry.NewLogger(&out, slog.LevelDebug, "provision")
	ctx := order.WithID(t.Context(), id)
	for name, write := range map[string]func(){
		"by the context":             func() { log.InfoContext(ctx, "x", "took", 1500*time.Microsecond) },
		"by the line":                func() { log.InfoContext(ctx, "x", "order_id", id.String(), "took", 1500*time.Microsecond) },
		"by the logger":              func() { log.With("order_id", id.String()).InfoContext(ctx, "x", "took", 1500*time.Microsecond) },
		"by the logger and the line": func() { log.With("a", 1).InfoContext(ctx, "x", "took", 1500*time.Microsecond) },
	} {
		out.Reset()
		write()
		var line map[string]any
		if err := json.Unmarshal(out.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		if line["order_id"] != id.String() || strings.Count(out.String(), "order_id") != 1 || line["took_ms"] != 1.5 || line["took"] != nil {
			t.Errorf("%s: %s", name, out.String())
		}
	}
	out.Reset()
	log.InfoContext(t.Context(), "x")
	if strings.Contains(out.String(), "order_id") {
		t.Errorf("a call of no order: %s", out.String())
	}
}
