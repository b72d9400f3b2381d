package eventsource

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"orderbridge/local/sqs"
)

// Work takes messages from a queue to a function.
type Work struct {
	Queue          *sqs.Queue
	Invoker        Invoker
	Function       string
	Region         string
	BatchSize      int
	MaxConcurrency int // invocations at a time; 0 = defaultWorkers
}

// defaultWorkers is how many batches the service starts with when a mapping
// has no maximum.
const defaultWorkers = 5

// Run takes messages until ctx ends: what a function carried out is deleted,
// anything else comes back when its visibility time-out is over.
func (w *Work) Run(ctx context.Context) {
	workers := w.MaxConcurrency
	if workers <= 0 {
		workers = defaultWorkers
	}
	var wait sync.WaitGroup
	for range workers {
		wait.Go(func() {
			for failed := 0; ctx.Err() == nil; {
				if w.once(ctx) {
					failed = 0
					continue
				}
				pause(ctx, min(firstPause<<min(failed, 10), longestPause), nil)
				failed++
			}
		})
	}
	wait.Wait()
}

// once takes one batch; false when the function failed on it.
func (w *Work) once(ctx context.Context) bool {
	const longPoll = 20 * time.Second
	batch := w.Queue.Receive(ctx, w.BatchSize, longPoll, -1)
	if len(batch) == 0 || ctx.Err() != nil {
		return true
	}
	events := make([]map[string]any, 0, len(batch))
	for _, m := range batch {
		events = append(events, map[string]any{
			"messageId": m.ID, "receiptHandle": m.Receipt, "body": m.Body, "md5OfBody": sqs.MD5OfBody(m.Body),
			"attributes": sqs.SystemAttributes(m), "messageAttributes": map[string]any{},
			"eventSource": "aws:sqs", "eventSourceARN": w.Queue.Settings().ARN, "awsRegion": w.Region,
		})
	}
	payload, err := json.Marshal(map[string]any{"Records": events})
	if err != nil {
		return false
	}
	if _, err := w.Invoker.Invoke(ctx, w.Function, payload); err != nil {
		return false
	}
	for _, m := range batch {
		w.Queue.Delete(m.Receipt)
	}
	return true
}
