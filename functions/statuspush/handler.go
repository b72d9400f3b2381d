package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/store"
	"orderbridge/shared/telemetry"
	"orderbridge/shared/writeback"
)

// Handler answers the events of the stream and of the schedule.
type Handler struct {
	Pusher  *writeback.Pusher
	Log     *slog.Logger
	Metrics *telemetry.Metrics
	Now     func() time.Time
}

// answerTime is kept free of the invocation's deadline.
const answerTime = 3 * time.Second

// Sources of an event that asks for a sweep: the schedule itself, and whoever
// invokes the function by hand.
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
		Source  string            `json:"source"`
		Records []json.RawMessage `json:"Records"`
	}
	if err := json.Unmarshal(raw, &kind); err != nil {
		return nil, errors.New("the event is not a JSON object")
	}
	switch {
	case kind.Records != nil:
		var batch events.DynamoDBEvent
		if err := json.Unmarshal(raw, &batch); err != nil {
			return nil, fmt.Errorf("read stream batch: %w", err)
		}
		return h.stream(ctx, batch), nil
	case kind.Source == sourceScheduler || kind.Source == sourceSweep:
		return h.sweep(ctx)
	}
	return nil, fmt.Errorf("the event is neither a stream batch nor a schedule: source %.40q", kind.Source)
}

// stream pushes the newest images of a batch and reports the records to be
// read again. Lambda reads again from the lowest reported sequence number on;
// pushing twice is harmless.
func (h *Handler) stream(ctx context.Context, batch events.DynamoDBEvent) events.DynamoDBEventResponse {
	out := events.DynamoDBEventResponse{BatchItemFailures: []events.DynamoDBBatchItemFailure{}}
	report := func(sequence string) {
		out.BatchItemFailures = append(out.BatchItemFailures, events.DynamoDBBatchItemFailure{ItemIdentifier: sequence})
	}
	var changes []writeback.Change
	var sequence []string
	for _, r := range batch.Records {
		if r.Change.NewImage == nil || !visible(r.Change.NewImage) {
			continue // removed, or nothing that Salesforce must see
		}
		rec, err := h.record(r)
		if err != nil {
			// An id, where the key has one, lets a person find the order.
			id, _ := keyID(r.Change.Keys)
			if !h.Pusher.Bury(ctx, id, err) {
				report(r.Change.SequenceNumber)
			}
			continue
		}
		changes = append(changes, writeback.Change{Record: rec, At: r.Change.ApproximateCreationDateTime.Time})
		sequence = append(sequence, r.Change.SequenceNumber)
	}
	for i, again := range h.Pusher.Push(ctx, changes) {
		if again {
			report(sequence[i])
		}
	}
	h.Log.InfoContext(ctx, "stream batch", "records", len(batch.Records), "changes", len(changes), "again", len(out.BatchItemFailures))
	return out
}

func (h *Handler) record(r events.DynamoDBEventRecord) (order.Record, error) {
	image, err := convertMap(r.Change.NewImage)
	if err != nil {
		return order.Record{}, fault.Wrap(fault.Internal, err)
	}
	return store.Decode(image)
}

// visible reads the reason of the write. The event source mapping filters by
// it already; whoever invokes the function otherwise is held to it too.
func visible(image map[string]events.DynamoDBAttributeValue) bool {
	w, ok := image["signal"]
	return ok && w.DataType() == events.DataTypeString && order.Signal(w.String()).Visible()
}

// keyID returns the order of a record whose image cannot be read.
func keyID(keys map[string]events.DynamoDBAttributeValue) (order.ID, error) {
	pk, ok := keys["pk"]
	if !ok || pk.DataType() != events.DataTypeString {
		return order.ID{}, order.ErrID
	}
	_, id, _ := strings.Cut(pk.String(), "#")
	return order.ParseID(id)
}

func (h *Handler) sweep(ctx context.Context) (any, error) {
	s, err := h.Pusher.Sweep(ctx)
	h.Log.InfoContext(ctx, "sweep", "asked", s.Asked, "same", s.Same, "pushed", s.Pushed, "bumped", s.Bumped, "unknown", s.Unknown, "left", s.Left)
	h.Metrics.Count("StatusSwept", "", s.Pushed+s.Bumped)
	if err != nil {
		// The next hour asks again; failing now only marks this invocation.
		h.Metrics.Count("StatusSweepFailed", string(fault.CodeOf(err)), 1)
		return nil, fmt.Errorf("sweep: %w", err)
	}
	return s, nil
}
