package eventsource

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"orderbridge/shared/writeback"
)

var errFunction = errors.New("the function failed")

// trial delivers records to a fake function and writes down what happened.
type trial struct {
	t        *testing.T
	log      []string // "a b c" per delivery; "!a b (Reason)" per discard
	function func(call int, batch []string) (failed []string, err error)
	calls    int
}

func names(batch []Record) []string {
	var all []string
	for _, r := range batch {
		all = append(all, r.Sequence)
	}
	return all
}

func (tr *trial) batcher(p Policy) *batcher {
	f, err := ParseFilter(p.Filters)
	if err != nil {
		tr.t.Fatal(err)
	}
	return &batcher{policy: p, filter: f, logf: tr.t.Logf,
		deliver: func(_ context.Context, batch []Record) ([]string, error) {
			tr.log = append(tr.log, strings.Join(names(batch), " "))
			tr.calls++
			return tr.function(tr.calls, names(batch))
		},
		discard: func(batch []Record, why string) {
			tr.log = append(tr.log, fmt.Sprintf("!%s (%s)", strings.Join(names(batch), " "), why))
		},
	}
}

func records(text string) []Record {
	var all []Record
	for _, s := range strings.Fields(text) {
		all = append(all, Record{Event: map[string]any{"id": s}, Sequence: s, Created: time.Now()})
	}
	return all
}

// The message is the service's, as far as a reader needs it.
func TestWhatIsGivenUpIsToldWithoutItsContent(t *testing.T) {
	var told []string
	s := &Stream{Logf: t.Logf, GivenUp: func(message string) { told = append(told, message) }}
	batch := records("a b c")
	batch[0].Created = time.Date(2026, 11, 28, 3, 0, 0, 0, time.UTC)
	s.discard("arn:of:the:stream", "shard-1", batch, TooOld)
	if len(told) != 1 {
		t.Fatalf("told %q", told)
	}
	for _, want := range []string{`"condition":"` + TooOld + `"`, `"startSequenceNumber":"a"`, `"endSequenceNumber":"c"`, `"batchSize":3`, `"shardId":"shard-1"`} {
		if !strings.Contains(told[0], want) {
			t.Errorf("%s lacks %s", told[0], want)
		}
	}
	if l, since, err := writeback.ReadLetter(told[0]); err != nil || !l.ID.IsZero() || !since.Equal(batch[0].Created) {
		t.Errorf("read as %+v, %s, %v", l, since, err)
	}
}

func TestBatchesThatFail(t *testing.T) {
	policy := Policy{BatchSize: 10, MaxRetries: -1, MaxAge: -1}
	// poison fails each batch that holds c.
	poison := func(_ int, batch []string) ([]string, error) {
		if slices.Contains(batch, "c") {
			return nil, errFunction
		}
		return nil, nil
	}
	// reporter reports c for as long as it is there.
	reporter := func(_ int, batch []string) ([]string, error) {
		if slices.Contains(batch, "c") {
			return []string{"c"}, nil
		}
		return nil, nil
	}
	times := func(n int, then func(int, []string) ([]string, error)) func(int, []string) ([]string, error) {
		return func(call int, batch []string) ([]string, error) {
			if call <= n {
				return then(call, batch)
			}
			return nil, nil
		}
	}
	for _, c := range []struct {
		rule     string
		change   func(*Policy)
		function func(int, []string) ([]string, error)
		want     []string
	}{
		{"a good batch is delivered once", nil, times(0, nil), []string{"a b c d"}},
		{"an error brings the whole batch again until it works", nil, times(2, poison), []string{"a b c d", "a b c d", "a b c d"}},
		{"retries are counted, then the batch is given up", func(p *Policy) { p.MaxRetries = 2 }, poison,
			[]string{"a b c d", "a b c d", "a b c d", "!a b c d (RetryAttemptsExhausted)"}},
		{"no retries means one try", func(p *Policy) { p.MaxRetries = 0 }, poison, []string{"a b c d", "!a b c d (RetryAttemptsExhausted)"}},
		{"bisect isolates the bad record, in order, without using retries up", func(p *Policy) { p.Bisect = true; p.MaxRetries = 1 }, poison,
			[]string{"a b c d", "a b", "c d", "c", "c", "!c (RetryAttemptsExhausted)", "d"}},
		{"a report moves the checkpoint to the lowest that failed", func(p *Policy) { p.ReportPartial = true; p.MaxRetries = 1 }, reporter,
			[]string{"a b c d", "c d", "!c d (RetryAttemptsExhausted)"}},
		{"a report of several counts the lowest, in any order", func(p *Policy) { p.ReportPartial = true }, times(1, func(int, []string) ([]string, error) { return []string{"d", "b"}, nil }),
			[]string{"a b c d", "b c d"}},
		{"without ReportBatchItemFailures a report means nothing", nil, reporter, []string{"a b c d"}},
		{"an identifier of another batch fails the whole batch", func(p *Policy) { p.ReportPartial = true }, times(1, func(int, []string) ([]string, error) { return []string{"z"}, nil }),
			[]string{"a b c d", "a b c d"}},
		{"with bisect the cut of a report costs no retry", func(p *Policy) { p.ReportPartial, p.Bisect, p.MaxRetries = true, true, 1 }, reporter,
			[]string{"a b c d", "c d", "c d", "!c d (RetryAttemptsExhausted)"}},
		{"batches are as long as allowed", func(p *Policy) { p.BatchSize = 3 }, times(0, nil), []string{"a b c", "d"}},
		{"a batch that fails holds back what follows", func(p *Policy) { p.BatchSize = 2 }, times(1, func(int, []string) ([]string, error) { return nil, errFunction }),
			[]string{"a b", "a b", "c d"}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := policy
				if c.change != nil {
					c.change(&p)
				}
				tr := &trial{t: t, function: c.function}
				b := tr.batcher(p)
				b.add(records("a b c d"))
				b.flush(t.Context())
				if !slices.Equal(tr.log, c.want) {
					t.Errorf("have %q\nwant %q", tr.log, c.want)
				}
			})
		})
	}
}

func TestRecordsThatAreTooOldAreGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := &trial{t: t, function: func(int, []string) ([]string, error) { return nil, errFunction }}
		b := tr.batcher(Policy{BatchSize: 10, MaxRetries: -1, MaxAge: time.Minute})
		old := records("a b")
		time.Sleep(45 * time.Second) // virtual
		b.add(append(old, records("c")...))
		began := time.Now()
		b.flush(t.Context())
		n := len(tr.log)
		if tr.log[n-1] != "!c (RecordAgeExceeded)" || !slices.Contains(tr.log, "!a b (RecordAgeExceeded)") || tr.log[0] != "a b c" {
			t.Errorf("log %q", tr.log)
		}
		if took := time.Since(began); took < time.Minute || took > time.Minute+longestPause {
			t.Errorf("gave up after %v, want when the youngest is a minute old", took)
		}
		if tr.calls > 40 {
			t.Errorf("%d tries in a minute: the pause does not grow", tr.calls)
		}
	})
}

func TestWindowWaitsForMoreButNotLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := &trial{t: t, function: func(int, []string) ([]string, error) { return nil, nil }}
		b := tr.batcher(Policy{BatchSize: 3, Window: 2 * time.Second, MaxRetries: -1, MaxAge: -1})
		b.add(records("a"))
		b.flush(t.Context())
		time.Sleep(time.Second)
		b.add(records("b"))
		b.flush(t.Context())
		if len(tr.log) != 0 {
			t.Fatalf("delivered early: %q", tr.log)
		}
		if d, any := b.wait(); !any || d != time.Second {
			t.Errorf("waits %v, want 1 s more", d)
		}
		time.Sleep(time.Second)
		b.flush(t.Context())
		b.add(records("c d e")) // full: no waiting
		b.flush(t.Context())
		if want := []string{"a b", "c d e"}; !slices.Equal(tr.log, want) {
			t.Errorf("have %q, want %q", tr.log, want)
		}
	})
}

func TestFilteredRecordsAreDoneWith(t *testing.T) {
	tr := &trial{t: t, function: func(int, []string) ([]string, error) { return nil, nil }}
	b := tr.batcher(Policy{Filters: []string{`{"id":["b","xy"]}`}, BatchSize: 10, MaxRetries: -1, MaxAge: -1})
	b.add(records("a b c xy"))
	b.flush(t.Context())
	if want := []string{"b xy"}; !slices.Equal(tr.log, want) {
		t.Errorf("have %q, want %q", tr.log, want)
	}
}

func TestStopEndsARetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		tr := &trial{t: t, function: func(int, []string) ([]string, error) { return nil, errFunction }}
		b := tr.batcher(Policy{BatchSize: 10, MaxRetries: -1, MaxAge: -1})
		b.add(records("a"))
		done := make(chan struct{})
		go func() { b.flush(ctx); close(done) }()
		time.Sleep(time.Hour)
		cancel()
		<-done
		if slices.ContainsFunc(tr.log, func(s string) bool { return strings.HasPrefix(s, "!") }) {
			t.Errorf("gave records up because it was stopped: %q", tr.log)
		}
	})
}
