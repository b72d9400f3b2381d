package main

import (
	"context"
	"log/slog"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/provision"
	"orderbridge/shared/store"
	"orderbridge/shared/telemetry"
)

// ledger is the table as the clock sees it.
type ledger interface {
	provision.DueStore
	// Open returns open orders, at most some of them, and how many there are.
	Open(ctx context.Context, most int) (open []order.Record, found int, err error)
	// Failed returns failed orders, newest first, at most some of each part.
	Failed(ctx context.Context, since time.Time, most int) ([]store.FailedOrder, error)
}

// Bounds of what one tick reads, so that a backlog of 10,000 orders costs each
// minute no more than one of a few hundred: the items of openMost open orders and
// 4 × openMost keys in each part of the index; of the failed ones failedMost keys
// in each part. Beyond them a gauge is a lower bound.
const (
	openMost   = 100
	failedMost = 200
)

// ended writes the line of a run and its metrics.
func (h *handler) ended(ctx context.Context, res provision.Result, took time.Duration) {
	code, r := string(res.Code), res.Record
	ctx = order.WithCorrelation(ctx, r.CorrelationID)
	switch res.End {
	case provision.EndProvisioned:
		code = telemetry.CodeOK
		h.meter.Duration(telemetry.CalloutToProvisioned, h.now().Sub(r.OpenedAt))
		h.endedOrder(r)
	case provision.EndFailed:
		h.meter.Count(telemetry.OrdersFailed, code, 1)
		if res.Code.NeedsPerson() {
			h.meter.Count(telemetry.NeedsAPerson, code, 1)
		}
		h.endedOrder(r)
	case provision.EndParked:
		h.meter.Count(telemetry.RunsParked, code, 1)
	case provision.EndBlocked:
		h.meter.Count(telemetry.RunsHeld, code, 1)
	case provision.EndUnreadable: // the table tries it again, some hours long
		h.meter.Count(telemetry.RunsBroken, code, 1)
	case provision.EndLost:
		h.meter.Count(telemetry.RunsBroken, string(fault.LeaseLost), 1)
	case provision.EndUnstored:
		h.meter.Count(telemetry.RunsBroken, string(fault.StoreUnavailable), 1)
	case provision.EndNotDue: // another worker has it, or it is done
		h.meter.FlushMetrics()
		return
	}
	h.mending(res.Code)
	attrs := []slog.Attr{slog.String("end", string(res.End))}
	if r.Fence > 0 {
		attrs = append(attrs, slog.Duration("took", took.Round(time.Millisecond)), slog.Int64("fence", int64(r.Fence)), slog.Int("attempts", r.Attempts))
		if res.End != provision.EndProvisioned {
			attrs = append(attrs, slog.String("state", string(r.State)), slog.String("point", string(r.RecoveryPoint)))
		}
	}
	h.meter.Flush(ctx, h.log, slog.LevelInfo, "run ended", code, attrs...)
}

// endedOrder counts an order that is at its end.
func (h *handler) endedOrder(r order.Record) {
	h.meter.Count(telemetry.OrdersEnded, "", 1)
	if !r.OpenedAt.IsZero() && h.now().Sub(r.OpenedAt) > order.Late {
		h.meter.Count(telemetry.OrdersLate, "", 1)
	}
}

// mending counts a code that a person must correct in the installation.
func (h *handler) mending(code fault.Code) {
	if code != "" && code.Kind() == fault.Config {
		h.meter.Count(telemetry.NeedsMending, string(code), 1)
	}
}

// gauge measures how things stand, for alarms that stay while a cause stays. What
// the table does not say now is left out, and the tick goes on.
func (h *handler) gauge(ctx context.Context, now time.Time) {
	// The rates of orders that ended have a value each minute.
	for _, m := range []telemetry.Metric{telemetry.OrdersEnded, telemetry.OrdersFailed} {
		h.meter.Count(m, "", 0)
	}
	for _, side := range []order.Side{order.SideWHMCS, order.SideSalesforce} {
		c, err := h.store.Control(ctx, side)
		if err != nil {
			h.unmeasured(ctx, "switch of "+string(side), err)
			continue
		}
		open := !c.OpenUntil.IsZero() // while a probe is due, too: nothing has been served since
		h.meter.Gauge(telemetry.BreakerOpen, string(side), oneIf(open || len(c.Unanswered(now)) > 0))
		if open {
			h.mending(c.Why)
		}
		if side == order.SideWHMCS {
			h.meter.Gauge(telemetry.Paused, "", oneIf(c.Paused))
		}
	}
	if open, found, err := h.store.Open(ctx, openMost); err != nil {
		h.unmeasured(ctx, "open orders", err)
	} else {
		b := order.BacklogOf(open, now)
		h.meter.Gauge(telemetry.OpenOrders, "", float64(found))
		h.meter.Gauge(telemetry.WaitingOrders, "", float64(b.ByState[order.Waiting]))
		h.meter.Gauge(telemetry.OldestOpenSeconds, "", b.Age(now).Truncate(time.Second).Seconds())
	}
	if failed, err := h.store.Failed(ctx, time.Time{}, failedMost); err != nil {
		h.unmeasured(ctx, "failed orders", err)
	} else {
		n := 0
		for _, f := range failed {
			if f.Code.NeedsPerson() {
				n++
			}
		}
		h.meter.Gauge(telemetry.OrdersForAPerson, "", float64(n))
	}
}

func (h *handler) unmeasured(ctx context.Context, what string, err error) {
	h.log.LogAttrs(ctx, slog.LevelWarn, "not measured", slog.String("what", what), slog.Any("err", err))
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
