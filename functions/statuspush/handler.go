package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"orderbridge/shared/fault"
	"orderbridge/shared/lambdaenv"
	"orderbridge/shared/order"
	"orderbridge/shared/store"
	"orderbridge/shared/telemetry"
	"orderbridge/shared/writeback"
)

// Handler answers the events of the stream and of the schedule.
type Handler struct {
	lambdaenv.Init
	Pusher  *writeback.Pusher
	Table   books
	Probe   func(ctx context.Context) error // of Salesforce, for the self-check
	Log     *slog.Logger
	Metrics *telemetry.Meter
	Now     func() time.Time
}

// answerTime is kept free of the invocation's deadline.
const answerTime = 3 * time.Second

// Sources of an event that asks for a sweep: the schedule, once a minute, and an
// operator who invokes the function by hand; then the org is asked at once.
const (
	sourceScheduler = "aws.scheduler"
	sourceSweep     = "orderbridge.sweep"
)

// Handle answers one event: a batch of the table's stream, or the schedule. An
// event of neither kind is an error.
func (h *Handler) Handle(ctx context.Context, raw json.RawMessage) (any, error) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-answerTime))
		defer cancel()
	}
	var kind struct {
		Source  string         `json:"source"`
		Records []streamRecord `json:"Records"`
	}
	if err := json.Unmarshal(raw, &kind); err != nil {
		return nil, fmt.Errorf("read event: %w", err)
	}
	switch {
	case kind.Records != nil:
		return h.stream(ctx, kind.Records), nil
	case kind.Source == sourceScheduler || kind.Source == sourceSweep:
		defer h.Metrics.FlushMetrics()
		out, err := h.sweep(ctx, kind.Source == sourceSweep)
		if kind.Source == sourceScheduler {
			h.gauge(ctx)
		}
		return out, err
	}
	return nil, fmt.Errorf("the event is neither a stream batch nor a schedule: source %.40q", kind.Source)
}

// streamRecord is what is read of one record of the table's stream. The image
// stays as it came: the table's adapter reads it.
type streamRecord struct {
	Change struct {
		At       events.SecondsEpochTime `json:"ApproximateCreationDateTime"`
		NewImage json.RawMessage         `json:"NewImage"`
		Sequence string                  `json:"SequenceNumber"`
	} `json:"dynamodb"`
}

// stream pushes the newest images of a batch and reports the records to be
// read again. Lambda reads again from the lowest reported sequence number on;
// pushing twice is harmless.
func (h *Handler) stream(ctx context.Context, batch []streamRecord) events.DynamoDBEventResponse {
	out := events.DynamoDBEventResponse{BatchItemFailures: []events.DynamoDBBatchItemFailure{}}
	report := func(sequence string) {
		out.BatchItemFailures = append(out.BatchItemFailures, events.DynamoDBBatchItemFailure{ItemIdentifier: sequence})
	}
	var changes []writeback.Change
	var sequence []string
	for _, r := range batch {
		if r.Change.NewImage == nil {
			continue // the item was removed
		}
		rec, visible, err := store.FromStream(r.Change.NewImage)
		switch {
		case !visible: // the mapping's filter lets none of these pass
		case err != nil:
			if !h.Pusher.DeadLetter(ctx, rec.ID, err) {
				report(r.Change.Sequence)
			}
		default:
			changes = append(changes, writeback.Change{Record: rec, At: r.Change.At.Time})
			sequence = append(sequence, r.Change.Sequence)
		}
	}
	for i, retry := range h.Pusher.Push(ctx, changes) {
		if retry {
			report(sequence[i])
		}
	}
	attrs := []slog.Attr{slog.Int("records", len(batch))}
	if again := len(out.BatchItemFailures); again > 0 {
		attrs = append(attrs, slog.Int("again", again))
	}
	ctx, attrs = ofOrders(ctx, changes, attrs)
	h.Metrics.Flush(ctx, h.Log, slog.LevelInfo, "stream batch", "", attrs...)
	return out
}

// ofOrders makes the line of a batch name its orders and their callouts: the one, or
// each of several. What has no callout on record is a "-".
func ofOrders(ctx context.Context, changes []writeback.Change, attrs []slog.Attr) (context.Context, []slog.Attr) {
	var ids, callouts []string
	seen := map[order.ID]bool{}
	for _, c := range changes {
		if r := c.Record; !seen[r.ID] {
			seen[r.ID] = true
			ids, callouts = append(ids, r.ID.String()), append(callouts, cmp.Or(r.CorrelationID, "-"))
		}
	}
	switch len(ids) {
	case 0:
		return ctx, attrs
	case 1:
		r := changes[0].Record
		return order.WithCorrelation(order.WithID(ctx, r.ID), r.CorrelationID), attrs
	}
	return ctx, append(attrs, slog.String("order_ids", strings.Join(ids, " ")), slog.String("correlation_ids", strings.Join(callouts, " ")))
}

// Sweeps is the answer to an event that asks for a sweep: what was found from
// the side of the table, and of the org.
type Sweeps struct {
	Table, Org writeback.Swept
}

// sweep looks from both sides. The one does not wait for the other to succeed.
func (h *Handler) sweep(ctx context.Context, atOnce bool) (any, error) {
	var all Sweeps
	var failed error
	for _, side := range []struct {
		name string
		into *writeback.Swept
		look func() (writeback.Swept, error)
	}{
		{"org", &all.Org, func() (writeback.Swept, error) { return h.Pusher.Sweep(ctx, atOnce) }},
		{"table", &all.Table, func() (writeback.Swept, error) { return h.Pusher.Confirm(ctx) }},
	} {
		s, err := side.look()
		*side.into = s
		if s.Asked > 0 {
			h.Log.InfoContext(ctx, "sweep", "side", side.name, "asked", s.Asked, "same", s.Same, "pushed", s.Pushed, "bumped", s.Bumped, "unknown", s.Unknown, "left", s.Left)
		}
		if n := s.Pushed + s.Bumped; n > 0 {
			h.Metrics.Count(telemetry.StatusSwept, "", n)
		}
		if err != nil {
			h.Log.WarnContext(ctx, "sweep not finished", "side", side.name, "code", string(fault.CodeOf(err)), "error", err)
			h.Metrics.Count(telemetry.StatusSweepFailed, string(fault.CodeOf(err)), 1)
		}
		// A side that does not serve has an alarm of its own, and the next minute
		// goes on; a person who asks is told.
		if err != nil && (atOnce || fault.KindOf(err) == fault.Unknown) {
			failed = errors.Join(failed, fmt.Errorf("sweep, %s: %w", side.name, err))
		}
	}
	if failed != nil {
		return nil, failed
	}
	return all, nil
}
