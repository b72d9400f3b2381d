package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"orderbridge/shared/fault"
	"orderbridge/shared/lambdaenv"
	"orderbridge/shared/order"
	"orderbridge/shared/provision"
	"orderbridge/shared/question"
	"orderbridge/shared/store"
	"orderbridge/shared/telemetry"
)

// runner carries one order as far as it can go.
type runner interface {
	Run(ctx context.Context, id order.ID) (provision.Result, error)
}

// counter counts what happened (telemetry.Meter).
type counter interface {
	Count(name telemetry.Metric, code string, n int)
}

// handler turns queue messages and clock ticks into hints for the engine.
type handler struct {
	lambdaenv.Init
	engine runner
	desk   *desk
	store  ledger
	// begin makes the switch of WHMCS belong to the table; restored says that the
	// table was brought back from a backup, and that work is paused therefore.
	begin   func(ctx context.Context, now time.Time) (restored bool, err error)
	begun   bool // in this process
	hints   provision.Hints
	probes  probes
	workers int
	every   time.Duration // between two ticks
	meter   *telemetry.Meter
	log     *slog.Logger
	now     func() time.Time
	sleep   func(ctx context.Context, d time.Duration) error
}

// A tick that finds more due than the queue has room for looks again, looks times
// until the next tick is due: a backlog must drain at the workers' speed, not at a
// few orders a minute. It ends some looks before, since ticks side by side would
// take from the workers what concurrency is reserved.
const (
	looks      = 30
	looksSpare = 5
)

// hint is the body of a message: the key of an item, as the pipe and the clock
// write it.
type hint struct {
	PK string `json:"pk"`
}

// wake is what all events of this function share: a queue's has Records, a
// tick's has none.
type wake struct {
	Records []events.SQSMessage `json:"Records"`
	Source  string              `json:"source"`
	question.Question
}

// Handle takes an SQS event (one hint), a schedule's tick, or a question of
// orderctl, which alone is answered. It returns an error only when the table
// could not be asked: then the queue keeps the hint.
func (h *handler) Handle(ctx context.Context, raw json.RawMessage) (any, error) {
	var e wake
	if err := json.Unmarshal(raw, &e); err != nil {
		return nil, fmt.Errorf("read event: %w", err)
	}
	if e.Asked() {
		defer h.meter.FlushMetrics()
		return h.desk.answer(ctx, e.Question)
	}
	if err := h.start(ctx); err != nil {
		return nil, err
	}
	if e.Records == nil {
		return nil, h.tick(ctx)
	}
	for _, m := range e.Records {
		if err := h.message(ctx, m); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// start makes sure, before the first work of this process, that the table is the
// one that its switch was made for. Lambda gives a process one event at a time.
func (h *handler) start(ctx context.Context) error {
	if h.begun {
		return nil
	}
	restored, err := h.begin(ctx, h.now())
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	if h.begun = true; restored {
		h.meter.Count(telemetry.TableRestored, "", 1)
		h.meter.Flush(ctx, h.log, slog.LevelError, "the table was restored: work is paused, and every order is searched for first", "")
	}
	return nil
}

func (h *handler) message(ctx context.Context, m events.SQSMessage) error {
	var body hint
	readable := json.Unmarshal([]byte(m.Body), &body) == nil
	id, ok := store.OrderID(body.PK)
	if !readable || !ok {
		// No redelivery can make it readable; the order, if there is one, is
		// found by the clock.
		h.meter.Count(telemetry.HintsUnreadable, "", 1)
		h.meter.Flush(ctx, h.log, slog.LevelError, "hint dropped: not readable", "", slog.String("messageId", m.MessageId))
		return nil
	}
	ctx = order.WithID(ctx, id)
	began := h.now()
	res, err := h.engine.Run(ctx, id)
	if err != nil {
		code := string(fault.CodeOf(err))
		h.meter.Count(telemetry.RunsBroken, code, 1)
		h.meter.Flush(ctx, h.log, slog.LevelError, "run broken", code, slog.Any("err", err))
		return fmt.Errorf("run order %s: %w", id, err)
	}
	h.ended(ctx, res, h.now().Sub(began))
	return nil
}

func (h *handler) tick(ctx context.Context) error {
	began, look := h.now(), h.every/looks
	h.gauge(ctx, began)
	for first := true; ; first = false {
		sent, more, err := provision.Tick(ctx, h.store, h.hints, h.now(), h.workers, h.log)
		if first && err == nil {
			h.meter.Count(telemetry.Tick, "", 1)
		}
		if sent > 0 {
			h.meter.Count(telemetry.HintsSent, "", sent)
		}
		// Each time, not at the end alone: what the minute's alarms read must not
		// wait for a backlog.
		h.meter.FlushMetrics()
		if err != nil {
			return fmt.Errorf("tick: %w", err)
		}
		if !more || h.now().Sub(began) > h.every-looksSpare*look {
			return nil
		}
		if err := h.sleep(ctx, look); err != nil {
			return nil //nolint:nilerr // the invocation ends; the next tick goes on
		}
	}
}
