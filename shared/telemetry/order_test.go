package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strconv"
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
	log.InfoContext(order.WithCorrelation(ctx, "r-1"), "x")
	if !strings.Contains(out.String(), `"order_id":"801000000000001AAA","correlation_id":"r-1"`) {
		t.Errorf("the callout is not named: %s", out.String())
	}
	for header, want := range map[string]string{
		"Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1": "1-5759e988-bd862e3fe1be46a994272793",
		"Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0": "", "": "",
	} {
		out.Reset()
		log.InfoContext(context.WithValue(t.Context(), "x-amzn-trace-id", header), "x") //nolint:staticcheck,revive // the runtime's own key
		if _, rest, _ := strings.Cut(out.String(), `"trace_id":`); (want == "") != (rest == "") || !strings.HasPrefix(rest, strconv.Quote(want)) && want != "" {
			t.Errorf("%q: %s", header, out.String())
		}
	}
	out.Reset()
	log.InfoContext(t.Context(), "x")
	if strings.Contains(out.String(), "order_id") {
		t.Errorf("a call of no order: %s", out.String())
	}
}
