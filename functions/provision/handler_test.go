package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/provision"
	"orderbridge/shared/store"
	"orderbridge/shared/telemetry"
	"orderbridge/shared/telemetry/telemetrytest"
)

type engine struct {
	ran []string
	res provision.Result
	err error
}

func (e *engine) Run(_ context.Context, id order.ID) (provision.Result, error) {
	e.ran = append(e.ran, id.String())
	return e.res, e.err
}

type dueStore struct {
	failed  error
	control order.Control
	due     []order.ID
	asked   []int
	open    []order.Record
	openErr error
	ended   []store.FailedOrder
}

func (d *dueStore) Control(context.Context, order.Side) (order.Control, error) { return d.control, nil }
func (d *dueStore) Due(_ context.Context, _ time.Time, limit int) ([]order.ID, error) {
	d.asked = append(d.asked, limit)
	n := min(limit, len(d.due))
	some := d.due[:n]
	d.due = d.due[n:]
	return some, d.failed
}

type sqsFake struct {
	waiting string
	sent    []string
	calls   int
}

func (q *sqsFake) GetQueueAttributes(context.Context, *sqs.GetQueueAttributesInput, ...func(*sqs.Options)) (*sqs.GetQueueAttributesOutput, error) {
	return &sqs.GetQueueAttributesOutput{Attributes: map[string]string{"ApproximateNumberOfMessages": q.waiting}}, nil
}

func (q *sqsFake) SendMessageBatch(_ context.Context, in *sqs.SendMessageBatchInput, _ ...func(*sqs.Options)) (*sqs.SendMessageBatchOutput, error) {
	q.calls++
	for _, e := range in.Entries {
		q.sent = append(q.sent, aws.ToString(e.MessageBody))
	}
	return &sqs.SendMessageBatchOutput{Successful: make([]types.SendMessageBatchResultEntry, len(in.Entries))}, nil
}

func (d *dueStore) Open(_ context.Context, most int) ([]order.Record, int, error) {
	return d.open[:min(most, len(d.open))], len(d.open), d.openErr
}
func (d *dueStore) Failed(context.Context, time.Time, int) ([]store.FailedOrder, error) {
	return d.ended, nil
}

// written is what the function wrote.
type written struct {
	bytes.Buffer
	t *testing.T
}

// sum adds up a metric; code "" takes every code.
func (w *written) sum(name telemetry.Metric, code string) (sum float64) {
	w.t.Helper()
	values, err := telemetrytest.Values(w.String(), string(name), code)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, v := range values {
		sum += v
	}
	return sum
}

func setup(t *testing.T) (*handler, *engine, *dueStore, *sqsFake, *written) {
	e, d, q, out := &engine{}, &dueStore{}, &sqsFake{waiting: "0"}, &written{t: t}
	now := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	return &handler{
		engine: e, store: d, hints: &queue{client: q, url: "q"}, workers: 2, every: time.Minute,
		meter: telemetry.NewMeter(out, "test", "provision", clock), log: telemetry.NewLogger(out, slog.LevelInfo, "provision"),
		begin: func(context.Context, time.Time) (bool, error) { return false, nil },
		now:   clock,
		sleep: func(_ context.Context, d time.Duration) error { now = now.Add(d); return nil },
	}, e, d, q, out
}

func recorded(t *testing.T, name string) json.RawMessage {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func message(t *testing.T, body string) json.RawMessage {
	t.Helper()
	b, err := json.Marshal(map[string]any{"Records": []map[string]string{{"messageId": "m", "body": body}}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestMessageRunsItsOrder(t *testing.T) {
	h, e, _, _, c := setup(t)
	e.res = provision.Result{End: provision.EndProvisioned}
	if _, err := h.Handle(t.Context(), recorded(t, "sqs.json")); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(e.ran, []string{"801000000000001AAA"}) || c.sum(telemetry.OrdersEnded, "") != 1 {
		t.Errorf("ran %v, metrics %s", e.ran, c)
	}
}

func TestUnreadableMessageIsDroppedLoudly(t *testing.T) {
	for _, body := range []string{"", "{", `{"pk":"control#whmcs"}`, `{"pk":"order#001000000000001AAA"}`, `{"pk":7}`, `{}`} {
		h, e, _, _, c := setup(t)
		if _, err := h.Handle(t.Context(), message(t, body)); err != nil {
			t.Errorf("%q: %v", body, err)
		}
		if len(e.ran) != 0 || c.sum(telemetry.HintsUnreadable, "") != 1 {
			t.Errorf("%q: ran %v, metrics %s", body, e.ran, c)
		}
	}
}

func TestTableAwayKeepsTheHint(t *testing.T) {
	h, e, _, _, _ := setup(t)
	e.err = fault.New(fault.StoreUnavailable, "")
	if _, err := h.Handle(t.Context(), recorded(t, "sqs.json")); !errors.Is(err, fault.New(fault.StoreUnavailable, "")) {
		t.Errorf("got %v", err)
	}
}

func ids(t *testing.T, n int) []order.ID {
	t.Helper()
	var all []order.ID
	for i := range n {
		id, err := order.ParseID("80100000000000" + string(rune('A'+i)))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, id)
	}
	return all
}

func TestTickTopsUpUntilNothingIsDue(t *testing.T) {
	h, _, d, q, _ := setup(t)
	d.due = ids(t, 10)
	if _, err := h.Handle(t.Context(), recorded(t, "schedule.json")); err != nil {
		t.Fatal(err)
	}
	if len(q.sent) != 10 || q.sent[0] != `{"pk":"order#80100000000000AAAQ"}` {
		t.Errorf("sent %v", q.sent)
	}
	if d.asked[0] != 4 {
		t.Errorf("asked for %d, want twice the workers", d.asked[0])
	}
}

// held is an index in which some orders stay due, since workers hold them.
type held struct{ dueStore }

func (h *held) Due(_ context.Context, _ time.Time, limit int) ([]order.ID, error) {
	return h.due[:min(limit, len(h.due))], nil
}

// An order that a worker still has when it is due gets one hint in a minute, not
// one each time that the clock looks for room.
func TestTickHintsAnOrderThatIsHeldOnce(t *testing.T) {
	h, _, _, q, _ := setup(t)
	h.store = &held{dueStore{due: ids(t, 2*h.workers-1)}}
	if _, err := h.Handle(t.Context(), recorded(t, "schedule.json")); err != nil {
		t.Fatal(err)
	}
	if len(q.sent) != 2*h.workers-1 {
		t.Errorf("sent %v", q.sent)
	}
}

// One shard of the index that does not answer keeps no order of the others
// waiting.
func TestTickHintsWhatTheOtherShardsHave(t *testing.T) {
	h, _, d, q, _ := setup(t)
	d.due, d.failed = ids(t, 3), fault.Wrap(fault.StoreUnavailable, errors.New("shard 5"))
	if _, err := h.Handle(t.Context(), recorded(t, "schedule.json")); fault.CodeOf(err) != fault.StoreUnavailable {
		t.Errorf("got %v", err)
	}
	if len(q.sent) != 3 {
		t.Errorf("sent %v", q.sent)
	}
}

// backlog is the index of due orders, the queue and the workers in one: an order
// is due until a worker takes it, and each takes one of them for a while.
type backlog struct {
	dueStore
	now   func() time.Time
	all   []order.ID
	taken map[order.ID]bool
	hints []order.ID
	free  []time.Time // when each worker is free
	each  time.Duration
}

// goOn has the free workers take what waits.
func (b *backlog) goOn() {
	for len(b.hints) > 0 {
		next := 0
		for i, at := range b.free {
			if at.Before(b.free[next]) {
				next = i
			}
		}
		if b.free[next].After(b.now()) {
			return
		}
		if id := b.hints[0]; !b.taken[id] {
			b.taken[id] = true
			b.free[next] = b.now().Add(b.each)
		}
		b.hints = b.hints[1:]
	}
}

func (b *backlog) Due(_ context.Context, _ time.Time, limit int) (due []order.ID, err error) {
	b.goOn()
	for len(b.all) > 0 && b.taken[b.all[0]] {
		b.all = b.all[1:]
	}
	for _, id := range b.all {
		if len(due) == limit {
			break
		}
		if !b.taken[id] {
			due = append(due, id)
		}
	}
	return due, nil
}

func (b *backlog) Waiting(context.Context) (int, error) {
	b.goOn()
	return len(b.hints), nil
}

func (b *backlog) Send(_ context.Context, ids []order.ID) error {
	b.hints = append(b.hints, ids...)
	return nil
}

// 10,000 orders that are due at once, as after an outage, are carried as fast as the
// workers can: a tenth of the time at most is lost between two ticks.
func TestABacklogDrainsAtTheWorkersRate(t *testing.T) {
	const orders, each = 10_000, 8 * time.Second
	for _, workers := range []int{2, 10, 40} {
		h, _, _, _, _ := setup(t)
		sleep := h.sleep
		b := &backlog{now: h.now, taken: map[order.ID]bool{}, free: make([]time.Time, workers), each: each}
		for i := range orders {
			id, err := order.ParseID(fmt.Sprintf("801%012d", i))
			if err != nil {
				t.Fatal(err)
			}
			b.all = append(b.all, id)
		}
		h.store, h.hints, h.workers = b, b, workers
		// The workers go on while the clock sleeps.
		h.sleep = func(ctx context.Context, d time.Duration) error { b.goOn(); return sleep(ctx, d) }
		began := h.now()
		for minute := 1; len(b.taken) < orders && minute < 3000; minute++ {
			if _, err := h.Handle(t.Context(), recorded(t, "schedule.json")); err != nil {
				t.Fatal(err)
			}
			for end := began.Add(time.Duration(minute) * time.Minute); h.now().Before(end); {
				if err := h.sleep(t.Context(), time.Second); err != nil {
					t.Fatal(err)
				}
			}
		}
		took := slices.MaxFunc(b.free, time.Time.Compare).Sub(began)
		if least := orders / time.Duration(workers) * each; len(b.taken) != orders || took > least+least/10 {
			t.Errorf("%d workers: %d of %d orders in %s, they need %s", workers, len(b.taken), orders, took, least)
		}
	}
}

// Ticks side by side would hold the concurrency that the workers need.
func TestTickEndsBeforeTheNextOne(t *testing.T) {
	for _, every := range []time.Duration{50 * time.Millisecond, time.Minute, time.Hour} {
		h, _, d, q, _ := setup(t)
		h.every = every
		for range 10 {
			d.due = append(d.due, ids(t, 20)...)
		}
		began := h.now()
		if _, err := h.Handle(t.Context(), recorded(t, "schedule.json")); err != nil {
			t.Fatal(err)
		}
		if n := len(q.sent); n < 40 || n >= 200 {
			t.Errorf("sent %d: the tick must drain for a while and end", n)
		}
		if took := h.now().Sub(began); took < every/2 || took >= every {
			t.Errorf("a tick each %s took %s", every, took)
		}
	}
}

func TestTickSendsNothingWhile(t *testing.T) {
	for name, set := range map[string]func(*handler, *dueStore, *sqsFake){
		"paused":              func(_ *handler, d *dueStore, _ *sqsFake) { d.control.Paused = true },
		"the breaker is open": func(h *handler, d *dueStore, _ *sqsFake) { d.control.OpenUntil = h.now().Add(time.Second) },
		"enough hints wait":   func(_ *handler, _ *dueStore, q *sqsFake) { q.waiting = "4" },
	} {
		t.Run(name, func(t *testing.T) {
			h, _, d, q, _ := setup(t)
			d.due = ids(t, 3)
			set(h, d, q)
			if _, err := h.Handle(t.Context(), recorded(t, "schedule.json")); err != nil {
				t.Fatal(err)
			}
			if len(q.sent) != 0 {
				t.Errorf("sent %v", q.sent)
			}
		})
	}
}

func TestHintsGoInBatchesOfTen(t *testing.T) {
	h, _, _, q, _ := setup(t)
	if err := h.hints.Send(t.Context(), ids(t, 23)); err != nil {
		t.Fatal(err)
	}
	if q.calls != 3 || len(q.sent) != 23 {
		t.Errorf("%d calls, %d sent", q.calls, len(q.sent))
	}
}

// No order is worked on before the table is known to be the one that the switch
// was made for; that is asked once in a process.
func TestTheFirstEventAsksWhetherTheTableWasRestored(t *testing.T) {
	h, e, _, _, c := setup(t)
	e.res = provision.Result{End: provision.EndProvisioned}
	asked, away := 0, true
	h.begin = func(context.Context, time.Time) (bool, error) {
		if asked++; away {
			return false, fault.New(fault.StoreUnavailable, "")
		}
		return true, nil
	}
	if _, err := h.Handle(t.Context(), recorded(t, "sqs.json")); fault.CodeOf(err) != fault.StoreUnavailable || len(e.ran) > 0 {
		t.Fatalf("%v, ran %v", err, e.ran)
	}
	away = false
	for range 3 {
		if _, err := h.Handle(t.Context(), recorded(t, "sqs.json")); err != nil {
			t.Fatal(err)
		}
	}
	if asked != 2 || c.sum(telemetry.TableRestored, "") != 1 || len(e.ran) != 3 {
		t.Errorf("asked %d times, metrics %s, ran %v", asked, c, e.ran)
	}
}
