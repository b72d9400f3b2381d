package main

import (
	"context"
	"log/slog"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/telemetry"
	"orderbridge/shared/writeback"
)

// meter implements writeback.Meter.
type meter struct {
	*telemetry.Meter
	now func() time.Time
}

// Shown implements writeback.Meter. How long a whole order took is measured where
// the change is the end that the engine gave it: what a person pushes again later
// says nothing of it.
func (m meter) Shown(c writeback.Change, lag time.Duration) {
	m.Count(telemetry.StatusPushed, "", 1)
	if c.At.IsZero() {
		return // a sweep's: found late, and counted as swept
	}
	m.Duration(telemetry.WriteBackLag, max(0, lag))
	if r := c.Record; endedBy(r) {
		m.Duration(telemetry.CalloutToShown, m.now().Sub(r.OpenedAt))
	}
}

// endedBy reports whether the newest change of r is the end that the engine gave it.
func endedBy(r order.Record) bool {
	n := len(r.History)
	if r.State.Open() || r.OpenedAt.IsZero() || n == 0 {
		return false
	}
	last := r.History[n-1]
	return last.By == order.ByEngine && time.UnixMilli(int64(r.Seq)).Sub(last.At).Abs() < time.Second
}

// Retried implements writeback.Meter.
func (m meter) Retried(code fault.Code, n int) { m.Count(telemetry.StatusRetried, string(code), n) }

// Refused implements writeback.Meter.
func (m meter) Refused(code fault.Code) { m.Count(telemetry.StatusDead, string(code), 1) }

// Stale implements writeback.Meter.
func (m meter) Stale(n int) { m.Count(telemetry.StatusStale, "", n) }

// Misconfigured implements writeback.Meter.
func (m meter) Misconfigured(code fault.Code) { m.Count(telemetry.NeedsMending, string(code), 1) }

// gauge measures, once a minute, what Salesforce is not known to show, for alarms
// that stay while a cause stays. Tick tells that the schedule runs and the table
// answers.
func (h *Handler) gauge(ctx context.Context) {
	n, since, err := h.Pusher.Unconfirmed(ctx)
	if err != nil {
		h.Log.LogAttrs(ctx, slog.LevelWarn, "not measured", slog.String("what", "unconfirmed changes"), slog.Any("err", err))
		return
	}
	age := 0.0
	if !since.IsZero() {
		age = max(0, h.Now().Sub(since).Truncate(time.Second).Seconds())
	}
	h.Metrics.Gauge(telemetry.UnconfirmedInSalesforce, "", float64(n))
	h.Metrics.Gauge(telemetry.OldestUnconfirmedSeconds, "", age)
	h.Metrics.Count(telemetry.Tick, "", 1)
}
