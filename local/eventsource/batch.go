package eventsource

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Record is one record of a stream.
type Record struct {
	Event    map[string]any // as a function sees it
	Sequence string
	Created  time.Time
}

// Policy says how batches are made and what happens to one that fails.
type Policy struct {
	Filters       []string
	BatchSize     int
	Window        time.Duration // how long a batch may wait to fill
	Bisect        bool
	MaxRetries    int           // of one batch; -1 = until its records are too old
	MaxAge        time.Duration // of a record; -1 = none
	ReportPartial bool          // Deliver's identifiers count
}

// Deliver hands a batch on. With ReportPartial the identifiers (sequence
// numbers) of what failed come back. A panic-free error fails the whole batch.
type Deliver func(ctx context.Context, batch []Record) (failed []string, err error)

// Discard is told of records that are given up, and why in the service's word.
type Discard func(batch []Record, why string)

// Why records are given up.
const (
	RetriesExhausted = "RetryAttemptsExhausted"
	TooOld           = "RecordAgeExceeded"
)

// The pause before the first retry of a batch, and the longest. The service
// does not publish its own.
const firstPause, longestPause = 100 * time.Millisecond, 5 * time.Second

// batcher delivers the records of one shard in order.
type batcher struct {
	policy  Policy
	filter  *Filter
	deliver Deliver
	discard Discard
	logf    func(format string, args ...any)

	buffer []Record
	since  time.Time // when the oldest record in the buffer came
}

// add takes records that were read, in order; those that the filter does not
// let through are done with.
func (b *batcher) add(records []Record) {
	for _, r := range records {
		if !b.filter.Match(r.Event) {
			continue
		}
		if len(b.buffer) == 0 {
			b.since = time.Now()
		}
		b.buffer = append(b.buffer, r)
	}
}

// wait tells how long the buffer may still fill; 0 = a batch is due.
func (b *batcher) wait() (d time.Duration, any bool) {
	switch {
	case len(b.buffer) == 0:
		return 0, false
	case len(b.buffer) >= b.policy.BatchSize:
		return 0, true
	}
	return max(0, time.Until(b.since.Add(b.policy.Window))), true
}

// flush delivers what is due, and returns when it is done with.
func (b *batcher) flush(ctx context.Context) {
	for ctx.Err() == nil {
		if d, any := b.wait(); !any || d > 0 {
			return
		}
		n := min(len(b.buffer), b.policy.BatchSize)
		batch := slices.Clone(b.buffer[:n])
		b.buffer = slices.Delete(b.buffer, 0, n)
		b.since = time.Now()
		b.process(ctx, batch, 0)
	}
}

// process delivers a batch until each of its records was delivered or given
// up. attempts is how often the batch, or the one it was cut from, has failed;
// cutting a batch in two costs no attempt.
func (b *batcher) process(ctx context.Context, batch []Record, attempts int) {
	for pauses := 0; len(batch) > 0 && ctx.Err() == nil; pauses++ {
		batch = b.dropOld(batch)
		if len(batch) == 0 {
			return
		}
		failed, err := b.deliver(ctx, batch)
		if ctx.Err() != nil {
			return
		}
		lowest := -1
		if err == nil {
			lowest, err = b.lowest(batch, failed)
		}
		switch {
		case err == nil && lowest < 0:
			return
		case err == nil && lowest > 0:
			// The checkpoint moves to the lowest that failed; what follows it
			// comes again too, delivered or not.
			batch = batch[lowest:]
			if !b.policy.Bisect {
				attempts++
			}
			pauses = 0
		case err != nil && b.policy.Bisect && len(batch) > 1:
			half := len(batch) / 2
			pause(ctx, firstPause, nil)
			b.process(ctx, batch[:half], attempts)
			b.process(ctx, batch[half:], attempts)
			return
		default:
			attempts++
		}
		if b.policy.MaxRetries >= 0 && attempts > b.policy.MaxRetries {
			b.discard(batch, RetriesExhausted)
			return
		}
		if err != nil {
			b.logf("batch of %d failed (attempt %d): %v", len(batch), attempts, err)
		}
		pause(ctx, min(firstPause<<min(pauses, 10), longestPause), nil)
	}
}

// dropOld gives up the records at the front that are older than allowed.
func (b *batcher) dropOld(batch []Record) []Record {
	if b.policy.MaxAge < 0 {
		return batch
	}
	n := 0
	for n < len(batch) && time.Since(batch[n].Created) > b.policy.MaxAge {
		n++
	}
	if n > 0 {
		b.discard(batch[:n], TooOld)
	}
	return batch[n:]
}

// lowest returns the index of the first record that failed, -1 when none did.
// An identifier that is not of this batch fails the whole batch, as the service
// has it.
func (b *batcher) lowest(batch []Record, failed []string) (int, error) {
	if !b.policy.ReportPartial || len(failed) == 0 {
		return -1, nil
	}
	low := len(batch)
	for _, id := range failed {
		i := slices.IndexFunc(batch, func(r Record) bool { return r.Sequence == id })
		if i < 0 {
			return 0, fmt.Errorf("read batch failures: %q is not in the batch", id)
		}
		low = min(low, i)
	}
	return low, nil
}

// pause returns after d, or earlier when sooner is closed or sends, or ctx ends.
func pause(ctx context.Context, d time.Duration, sooner <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-sooner:
	case <-ctx.Done():
	}
}
