package eventsource_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	lambdaevents "github.com/aws/aws-lambda-go/events"

	"orderbridge/local/eventsource"
	"orderbridge/local/sqs"
)

// bubble runs a queue mapping under virtual time; stop ends it.
func bubble(t *testing.T, change func(*eventsource.Work), set sqs.Settings, f *function) (q, dead *sqs.Queue, stop func()) {
	t.Helper()
	svc := sqs.New()
	dead = svc.Add(sqs.Settings{Name: "dead", ARN: "arn:dead"})
	set.Name, set.ARN = "work", "arn:work"
	q = svc.Add(set)
	w := &eventsource.Work{Queue: q, Invoker: f, Function: "provision", Region: "us-east-1", BatchSize: 1, MaxConcurrency: 2}
	if change != nil {
		change(w)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { w.Run(ctx) })
	return q, dead, func() {
		cancel()
		running.Wait()
	}
}

func TestCarriedOutMessagesAreDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFunction(nil)
		q, _, stop := bubble(t, nil, sqs.Settings{Visibility: time.Minute}, f)
		q.Send(`{"pk":"order#1"}`, 0)
		synctest.Wait()
		time.Sleep(time.Hour)
		stop()
		if c := q.Counts(); c != (sqs.Counts{}) {
			t.Errorf("left in the queue: %+v", c)
		}
		var e lambdaevents.SQSEvent
		if err := json.Unmarshal([]byte(f.calls[0]), &e); err != nil || len(f.calls) != 1 || len(e.Records) != 1 {
			t.Fatalf("calls %v, %v", f.calls, err)
		}
		if r := e.Records[0]; r.Body != `{"pk":"order#1"}` || r.EventSource != "aws:sqs" || r.EventSourceARN != "arn:work" || r.Attributes["ApproximateReceiveCount"] != "1" || r.MessageId == "" || r.Md5OfBody == "" {
			t.Errorf("record %+v", r)
		}
	})
}

func TestFailedMessagesComeBackAndEndInTheDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var at []time.Duration
		f := newFunction(func(int, []byte) ([]byte, error) {
			at = append(at, time.Since(began))
			return nil, errors.New("crashed")
		})
		q, dead, stop := bubble(t, nil, sqs.Settings{Visibility: time.Minute, DeadLetterARN: "arn:dead", MaxReceives: 3}, f)
		q.Send("x", 0)
		time.Sleep(time.Hour)
		stop()
		if len(at) != 3 || at[0] > time.Second || at[1] < time.Minute || at[2] < 2*time.Minute {
			t.Errorf("tried at %v, want three times, a minute apart", at)
		}
		if q.Counts() != (sqs.Counts{}) || dead.Counts() != (sqs.Counts{Visible: 1}) {
			t.Errorf("queue %+v, dead letters %+v", q.Counts(), dead.Counts())
		}
	})
}

func TestNoMoreInvocationsAtATimeThanAllowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int32
		f := newFunction(func(int, []byte) ([]byte, error) {
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			time.Sleep(time.Second)
			now.Add(-1)
			return nil, nil
		})
		q, _, stop := bubble(t, func(w *eventsource.Work) { w.MaxConcurrency = 3 }, sqs.Settings{Visibility: time.Minute}, f)
		for i := range 30 {
			q.Send(fmt.Sprint(i), 0)
		}
		time.Sleep(time.Minute)
		stop()
		if most.Load() != 3 || len(f.calls) != 30 {
			t.Errorf("%d at a time and %d calls, want 3 and 30", most.Load(), len(f.calls))
		}
	})
}
