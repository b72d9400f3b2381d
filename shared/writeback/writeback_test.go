package writeback_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"orderbridge/shared/breaker"
	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/provision/provisiontest"
	"orderbridge/shared/writeback"
)

func orderID(n int) order.ID {
	id, err := order.ParseID(fmt.Sprintf("801%012d", n))
	if err != nil {
		panic(err)
	}
	return id
}

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func record(n int, state order.State) order.Record {
	return order.Record{ID: orderID(n), State: state, Seq: order.Seq(noon.UnixMilli()), UpdatedAt: noon, AccountID: fmt.Sprintf("001%012dAAA", n%3)}
}

func TestShow(t *testing.T) {
	base := func(status order.Status, change ...func(*order.Shown)) order.Shown {
		x := order.Shown{ID: orderID(1), Status: status, At: noon, Seq: order.Seq(noon.UnixMilli())}
		for _, f := range change {
			f(&x)
		}
		return x
	}
	learnt := func(r *order.Record) {
		r.WHMCSOrderID = "991"
		r.ServiceIDs = map[string][]string{"802b": {"502", "503"}, "802a": {"501"}, "802c": nil}
	}
	seq := order.Seq(noon.UnixMilli())
	items := []order.Shown{{ID: orderID(1), Item: "802a", Seq: seq, Services: []string{"501"}}, {ID: orderID(1), Item: "802b", Seq: seq, Services: []string{"502", "503"}}}
	moduleText := fault.TextOf(&fault.Error{Code: fault.ModuleFailed, Vendor: "Quota reached"})
	for name, c := range map[string]struct {
		state  order.State
		change func(*order.Record)
		want   order.Shown
		items  []order.Shown
	}{
		"open shows its status alone": {order.Waiting, func(r *order.Record) {
			learnt(r)
			r.ErrorCode, r.ErrorMessage = fault.WHMCSUnavailable, "x"
		}, base(order.StatusActivating), nil},
		"provisioned": {order.Provisioned, learnt, base(order.StatusProvisioned, func(x *order.Shown) { x.WHMCSOrderID = "991" }), items},
		"failed with nothing made": {order.Failed, func(r *order.Record) {
			r.ErrorCode, r.ErrorMessage = fault.OrderEmpty, ""
		}, base(order.StatusFailed, func(x *order.Shown) {
			x.Code, x.Message = fault.OrderEmpty, fault.OrderEmpty.Info().Advice
		}), nil},
		"failed after a person said that nothing was made": {order.Failed, func(r *order.Record) {
			r.ErrorCode, r.ErrorMessage, r.Word = fault.OrderEmpty, "", order.WordAbsent
		}, base(order.StatusFailed, func(x *order.Shown) {
			x.Gone, x.Code, x.Message = true, fault.OrderEmpty, fault.OrderEmpty.Info().Advice
		}), nil},
		"failed with something made": {order.Failed, func(r *order.Record) {
			learnt(r)
			r.ErrorCode, r.ErrorMessage = fault.ModuleFailed, moduleText
		}, base(order.StatusFailed, func(x *order.Shown) {
			x.WHMCSOrderID, x.Code, x.Message = "991", fault.ModuleFailed, moduleText
		}), items},
		"a seq ahead of the clock": {order.Provisioned, func(r *order.Record) { r.Seq += 5000 }, base(order.StatusProvisioned, func(x *order.Shown) { x.Seq += 5000 }), nil},
		"a note after the change":  {order.Provisioned, func(r *order.Record) { r.UpdatedAt = noon.Add(time.Hour) }, base(order.StatusProvisioned), nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := record(1, c.state)
			c.change(&r)
			head, items := writeback.Show(r)
			if !head.At.Equal(c.want.At) {
				t.Errorf("at %s, want %s", head.At, c.want.At)
			}
			head.At = c.want.At
			if !reflect.DeepEqual(head, c.want) {
				t.Errorf("head %+v\nwant %+v", head, c.want)
			}
			if !reflect.DeepEqual(items, c.items) {
				t.Errorf("items %v, want %v", items, c.items)
			}
		})
	}
}

func TestALetterHoldsTheOrderAndNoField(t *testing.T) {
	body, err := writeback.Letter{ID: orderID(1), Seq: 7, Code: fault.SalesforceRowRefused, Message: `says "no"`}.Encode()
	if want := `{"sfOrderId":"801000000000001AAA","seq":7,"code":"salesforce_row_refused","message":"says \"no\""}`; err != nil || body != want {
		t.Fatalf("%s, %v", body, err)
	}
}

func TestReadLetter(t *testing.T) {
	want := writeback.Letter{ID: orderID(1), Seq: 7, Code: fault.SalesforceRowRefused, Message: "no"}
	body, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if l, since, err := writeback.ReadLetter(body); l != want || !since.IsZero() || err != nil {
		t.Errorf("%+v, %s, %v", l, since, err)
	}
	// As the Lambda Developer Guide shows it.
	given := `{"requestContext":{"requestId":"316aa6d0-8154-xmpl-9af7-85d5f4a6bc81","functionArn":"arn:aws:lambda:us-east-2:123456789012:function:my-function","condition":"RetryAttemptsExhausted","approximateInvokeCount":1},"responseContext":{"statusCode":200,"executedVersion":"$LATEST","functionError":"Unhandled"},"version":"1.0","timestamp":"2019-11-14T00:13:49.717Z","DDBStreamBatchInfo":{"shardId":"shardId-00000001573689847184-864758bb","startSequenceNumber":"800000000003126276362","endSequenceNumber":"800000000003126276362","approximateArrivalOfFirstRecord":"2019-11-14T00:13:19Z","approximateArrivalOfLastRecord":"2019-11-14T00:13:19Z","batchSize":1,"streamArn":"arn:aws:dynamodb:us-east-2:123456789012:table/mytable/stream/2019-11-14T00:04:06.388"}}`
	if l, since, err := writeback.ReadLetter(given); !l.ID.IsZero() || !since.Equal(time.Date(2019, 11, 14, 0, 13, 19, 0, time.UTC)) || err != nil {
		t.Errorf("%+v, %s, %v", l, since, err)
	}
	for _, bad := range []string{"", "{}", `{"sfOrderId":"x"}`, `{"DDBStreamBatchInfo":{}}`} {
		if _, _, err := writeback.ReadLetter(bad); err == nil {
			t.Errorf("%s is read", bad)
		}
	}
}

// fake is an org that records its calls and answers each row by say.
type fake struct {
	calls [][]order.Shown
	say   func(order.Shown) error
	fail  func(call int) error
	shows map[order.ID]order.View
	probe error
	// spoils, in a call with others, has all of them refused; alone it is refused.
	spoils order.ID
}

func (f *fake) Update(_ context.Context, rows []order.Shown) ([]error, error) {
	f.calls = append(f.calls, slices.Clone(rows))
	if f.fail != nil {
		if err := f.fail(len(f.calls)); err != nil {
			return nil, err
		}
	}
	out := make([]error, len(rows))
	spoilt := slices.ContainsFunc(rows, func(r order.Shown) bool { return !f.spoils.IsZero() && r.ID == f.spoils })
	for i, r := range rows {
		switch {
		case spoilt && len(rows) > 1:
			out[i] = fault.New(fault.SalesforceLimit, "")
		case spoilt:
			out[i] = fault.New(fault.SalesforceRowRefused, "")
		case f.say != nil:
			out[i] = f.say(r)
		}
	}
	return out, nil
}

func (f *fake) Shows(context.Context, []order.ID) (map[order.ID]order.View, error) {
	return f.shows, nil
}
func (f *fake) Changed(context.Context, time.Time, time.Time) (map[order.ID]order.View, error) {
	return f.shows, nil
}
func (f *fake) Probe(context.Context) error { return f.probe }

type letters []writeback.Letter

func (l *letters) Send(_ context.Context, x writeback.Letter) error { *l = append(*l, x); return nil }

type counter map[string]int

func (c counter) Shown(writeback.Change, time.Duration) { c["shown"]++ }
func (c counter) Retried(code fault.Code, n int)        { c["retried "+string(code)] += n }
func (c counter) Refused(code fault.Code)               { c["refused "+string(code)]++ }
func (c counter) Stale(n int)                           { c["stale"] += n }
func (c counter) Misconfigured(code fault.Code)         { c["misconfigured "+string(code)]++ }

type bench struct {
	org     *fake
	table   *provisiontest.Memory
	dead    letters
	metrics counter
	now     time.Time
	pusher  *writeback.Pusher
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{org: &fake{}, table: provisiontest.NewMemory(), metrics: counter{}, now: noon}
	var err error
	b.pusher, err = writeback.New(writeback.Deps{
		Salesforce: b.org, Items: b.table, Breaker: b.breaker(t, b.table), Dead: &b.dead, Meter: b.metrics, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		RetryBase: time.Minute, Now: func() time.Time { return b.now }, Sleep: func(_ context.Context, d time.Duration) error { b.now = b.now.Add(d); return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) breaker(t *testing.T, c breaker.Controls) *breaker.Breaker {
	t.Helper()
	switches, err := breaker.New(breaker.Deps{Controls: c, Side: order.SideSalesforce, Probe: b.org.Probe, Now: func() time.Time { return b.now }, Log: slog.New(slog.DiscardHandler)}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return switches
}

func TestTheLayoutOfCalls(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := newBench(t)
		b.org.say = func(r order.Shown) error {
			if r.ID.IsZero() {
				return errors.New("no order")
			}
			return nil
		}
		n := rapid.IntRange(1, 700).Draw(rt, "changes")
		orders := rapid.IntRange(1, 700).Draw(rt, "orders")
		newest := map[order.ID]order.Record{}
		changes := make([]writeback.Change, n)
		for i := range changes {
			r := record(rapid.IntRange(1, orders).Draw(rt, "order"), order.Provisioned)
			r.Seq += order.Seq(rapid.IntRange(0, 3).Draw(rt, "seq"))
			for k := range rapid.IntRange(0, 3).Draw(rt, "lines") {
				if r.ServiceIDs == nil {
					r.ServiceIDs = map[string][]string{}
				}
				r.ServiceIDs[fmt.Sprintf("802%s%d", r.ID.String()[9:15], k)] = []string{"1"}
			}
			changes[i] = writeback.Change{Record: r}
			if old, ok := newest[r.ID]; !ok || r.Seq >= old.Seq {
				newest[r.ID] = r
			}
		}
		if slices.Contains(b.pusher.Push(t.Context(), changes), true) {
			rt.Fatal("a change is to be pushed again")
		}
		rows, items := 0, 0
		seen := map[string]bool{}
		last := ""
		for _, call := range b.org.calls {
			if len(call) > 1000 {
				rt.Fatalf("%d rows in a call", len(call))
			}
			for part := range slices.Chunk(call, 200) {
				chunks := 1
				for i := 1; i < len(part); i++ {
					if (part[i].Item == "") != (part[i-1].Item == "") {
						chunks++
					}
				}
				if chunks > 10 {
					rt.Fatalf("%d chunks in a collection", chunks)
				}
			}
			for _, r := range call {
				rows++
				key := cmp.Or(r.Item, r.ID.String())
				if seen[key] {
					rt.Fatalf("%s twice", key)
				}
				seen[key] = true
				if r.Item != "" {
					items++
					continue
				}
				if items > 0 {
					rt.Fatal("an order after a line")
				}
				rec := newest[r.ID]
				if r.Seq != rec.Seq {
					rt.Fatalf("%s with seq %d, the newest is %d", r.ID, r.Seq, rec.Seq)
				}
				place := rec.AccountID + r.ID.String()
				if place <= last {
					rt.Fatalf("%s after %s: not sorted by account and id", place, last)
				}
				last = place
			}
		}
		want := len(newest)
		for _, r := range newest {
			want += len(r.ServiceIDs)
		}
		if rows != want {
			rt.Fatalf("%d rows, want %d", rows, want)
		}
	})
}

func TestALineThatTwoOrdersClaimIsWrittenOnceForTheNewer(t *testing.T) {
	b := newBench(t)
	older, newer := record(1, order.Provisioned), record(2, order.Provisioned)
	newer.Seq++
	older.ServiceIDs, newer.ServiceIDs = map[string][]string{"802a": {"1"}}, map[string][]string{"802a": {"2"}}
	for _, changes := range [][]writeback.Change{{{Record: older}, {Record: newer}}, {{Record: newer}, {Record: older}}} {
		b.org.calls = nil
		b.pusher.Push(t.Context(), changes)
		if rows := b.org.calls[0]; len(rows) != 3 || !slices.Equal(rows[2].Services, []string{"2"}) {
			t.Errorf("%+v", rows)
		}
	}
}

func TestACallThatTimesOutMakesTheNextOnesSmaller(t *testing.T) {
	b := newBench(t)
	b.org.fail = func(int) error {
		if len(b.org.calls[len(b.org.calls)-1]) > 100 {
			return fault.New(fault.SalesforceUnavailable, "")
		}
		return nil
	}
	changes := make([]writeback.Change, 600)
	for i := range changes {
		changes[i] = writeback.Change{Record: record(i, order.Provisioned)}
	}
	rounds := 0
	for ; len(changes) > 0 && rounds < 40; rounds++ {
		var left []writeback.Change
		for i, again := range b.pusher.Push(t.Context(), changes) {
			if again {
				left = append(left, changes[i])
			}
		}
		changes = left
	}
	if len(changes) > 0 {
		t.Fatalf("%d changes left after %d rounds", len(changes), rounds)
	}
	if b.now.Sub(noon) < 3*time.Second {
		t.Errorf("only %s passed: no pause after failed calls", b.now.Sub(noon))
	}
}

func TestARowRefusedForGoodNeverComesAgain(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		at   time.Time
		dead fault.Code
	}{
		"refused":               {fault.New(fault.SalesforceRowRefused, "Correct it: STRING_TOO_LONG"), noon, fault.SalesforceRowRefused},
		"locked":                {fault.New(fault.SalesforceRowLocked, ""), noon, ""},
		"locked for an hour":    {fault.New(fault.SalesforceRowLocked, ""), noon.Add(-time.Hour), fault.SalesforceRowLocked},
		"locked, no time known": {fault.New(fault.SalesforceRowLocked, ""), time.Time{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			rec := record(1, order.Provisioned)
			b.table.Set(rec)
			b.org.say = func(order.Shown) error { return c.err }
			again := b.pusher.Push(t.Context(), []writeback.Change{{Record: rec, At: c.at}})
			if again[0] != (c.dead == "") {
				t.Errorf("again: %v", again)
			}
			if c.dead == "" {
				if len(b.dead) > 0 || b.metrics["retried "+string(fault.CodeOf(c.err))] != 1 {
					t.Errorf("letters %+v, metrics %v", b.dead, b.metrics)
				}
				return
			}
			if len(b.dead) != 1 || b.dead[0].ID != rec.ID || b.dead[0].Seq != rec.Seq || b.dead[0].Code != c.dead || b.metrics["refused "+string(c.dead)] != 1 {
				t.Errorf("letters %+v, metrics %v", b.dead, b.metrics)
			}
			got, _, err := b.table.Get(t.Context(), rec.ID)
			if err != nil || len(got.History) != 1 || got.Signal != order.SignalNote || got.Seq != rec.Seq {
				t.Errorf("item %+v, %v", got, err)
			}
		})
	}
}

// One row spoils each call that holds another one too, as a malformed row does.
func TestARowThatSpoilsItsCallIsFoundAlone(t *testing.T) {
	const n = 30
	b := newBench(t)
	b.org.shows = map[order.ID]order.View{}
	b.org.spoils = orderID(7)
	var changes []writeback.Change
	for i := range n {
		r := record(i, order.Provisioned)
		r.AccountID = ""
		b.table.Set(r)
		changes = append(changes, writeback.Change{Record: r, At: noon.Add(-time.Minute)})
	}
	if again := b.pusher.Push(t.Context(), changes); slices.Contains(again, true) {
		t.Fatalf("the stream is held back: %v", again)
	}
	for range 60 {
		b.now = b.now.Add(time.Minute)
		if _, err := b.pusher.Confirm(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range b.table.Records() {
		if refused := r.Refusal.Seq != 0; refused != (r.ID == b.org.spoils) {
			t.Errorf("%s: %+v", r.ID, r.Refusal)
		}
	}
	if len(b.dead) != 1 || b.dead[0].ID != b.org.spoils {
		t.Errorf("letters %+v", b.dead)
	}
}

func TestAConfigErrorOfEveryRowOpensTheBreakerAndCountsForTheAlarm(t *testing.T) {
	b := newBench(t)
	b.org.say = func(order.Shown) error { return fault.New(fault.SalesforcePermission, "") }
	b.org.probe = fault.New(fault.SalesforcePermission, "Order.Provisioning_Seq__c")
	changes := []writeback.Change{{Record: record(1, order.Provisioned)}, {Record: record(2, order.Failed)}}
	if again := b.pusher.Push(t.Context(), changes); !again[0] || !again[1] {
		t.Errorf("again: %v", again)
	}
	c, err := b.table.Control(t.Context(), order.SideSalesforce)
	if err != nil || !c.Open(b.now) || c.Why != fault.SalesforcePermission || b.metrics["misconfigured salesforce_permission_lost"] != 1 || len(b.dead) > 0 {
		t.Errorf("breaker %+v, %v, metrics %v, letters %v", c, err, b.metrics, b.dead)
	}
	n := len(b.org.calls)
	if again := b.pusher.Push(t.Context(), changes); !again[0] || len(b.org.calls) != n {
		t.Errorf("breaker open: again %v, %d calls", again, len(b.org.calls)-n)
	}
	b.org.say, b.org.probe = nil, nil
	b.now = b.now.Add(time.Minute)
	if again := b.pusher.Push(t.Context(), changes); again[0] || again[1] {
		t.Errorf("permission given back: again %v", again)
	}
}

// lost is a breaker whose probe another process wins.
type lost struct{ *provisiontest.Memory }

func (l lost) ChangeControl(ctx context.Context, side order.Side, _ func(order.Control) (order.Control, bool)) (order.Control, error) {
	return l.Control(ctx, side)
}

func TestTheLoserOfTheProbeMakesNoCall(t *testing.T) {
	b := newBench(t)
	pusher, err := writeback.New(writeback.Deps{
		Salesforce: b.org, Items: b.table, Breaker: b.breaker(t, lost{b.table}), Dead: &b.dead, Meter: b.metrics, Log: slog.New(slog.DiscardHandler),
		RetryBase: time.Minute, Now: func() time.Time { return b.now }, Sleep: func(context.Context, time.Duration) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.table.ChangeControl(t.Context(), order.SideSalesforce, func(c order.Control) (order.Control, bool) {
		return c.Opened(b.now.Add(-time.Minute), b.now.Add(-time.Second), fault.SalesforcePermission, 1)
	}); err != nil {
		t.Fatal(err)
	}
	if again := pusher.Push(t.Context(), []writeback.Change{{Record: record(1, order.Provisioned)}}); !again[0] || len(b.org.calls) != 0 {
		t.Errorf("again %v after %d calls", again, len(b.org.calls))
	}
	if _, err := pusher.Sweep(t.Context(), true); fault.CodeOf(err) != fault.SalesforceUnavailable {
		t.Errorf("sweep: %v", err)
	}
	if again := b.pusher.Push(t.Context(), []writeback.Change{{Record: record(1, order.Provisioned)}}); again[0] || len(b.org.calls) != 1 {
		t.Errorf("the winner: again %v after %d calls", again, len(b.org.calls))
	}
}

func TestNewNeedsEveryPort(t *testing.T) {
	if _, err := writeback.New(writeback.Deps{}); err == nil {
		t.Error("no error without ports")
	}
}

// What the org is not known to show is counted from the time on at which it should:
// a refusal at once, another change when Confirm should have looked for it.
func TestWhatIsUnconfirmedIsMeasured(t *testing.T) {
	b := newBench(t)
	is := func(what string, want int, age time.Duration) {
		t.Helper()
		n, since, err := b.pusher.Unconfirmed(t.Context())
		got := time.Duration(0)
		if !since.IsZero() {
			got = b.now.Sub(since)
		}
		if err != nil || n != want || got != age {
			t.Errorf("%s: %d unconfirmed, the oldest for %s, want %d for %s (%v)", what, n, got, want, age, err)
		}
	}
	is("nothing was ever changed", 0, 0)
	rec := record(1, order.Provisioned)
	rec.Seq = order.Seq(b.now.UnixMilli())
	b.table.Set(rec)
	is("a change of this moment", 0, 0)
	b.now = b.now.Add(11 * time.Minute)
	is("a change that Confirm is about to look for", 0, 0)
	b.now = b.now.Add(2 * time.Minute)
	is("Confirm does not look", 1, 13*time.Minute)
	b.now = b.now.Add(time.Hour)
	is("it goes on", 1, 73*time.Minute)
	_, err := b.table.ChangeControl(t.Context(), order.SideSalesforce, func(c order.Control) (order.Control, bool) {
		c.ConfirmedUntil = b.now.Add(-8 * time.Minute)
		return c, true
	})
	if err != nil {
		t.Fatal(err)
	}
	is("Confirm has looked", 0, 0)
	since := b.now
	if err := b.table.Refuse(t.Context(), rec.ID, order.Refusal{Seq: rec.Seq, Since: since, Next: since.Add(24 * time.Hour), Code: fault.SalesforceRowRefused}, since, order.Entry{At: since, Event: "status_push_failed"}); err != nil {
		t.Fatal(err)
	}
	is("a refusal", 1, 0)
	b.now = b.now.Add(20 * time.Minute)
	_, err = b.table.ChangeControl(t.Context(), order.SideSalesforce, func(c order.Control) (order.Control, bool) {
		c.ConfirmedUntil = b.now
		return c, true
	})
	if err != nil {
		t.Fatal(err)
	}
	is("it is refused still", 1, 20*time.Minute)
}

// A refusal of an older change than the table holds tells nothing: the newer one
// is on its way.
func TestARefusalOfAnOlderChangeIsDropped(t *testing.T) {
	b := newBench(t)
	older, newer := record(1, order.Failed), record(1, order.Provisioned)
	newer.Seq++
	b.table.Set(newer)
	b.org.say = func(order.Shown) error { return fault.New(fault.SalesforceRowRefused, "") }
	if again := b.pusher.Push(t.Context(), []writeback.Change{{Record: older}}); again[0] || len(b.dead) > 0 {
		t.Errorf("again %t, %d letters", again[0], len(b.dead))
	}
	if r, _, err := b.table.Get(t.Context(), newer.ID); err != nil || r.Refusal != (order.Refusal{}) {
		t.Errorf("%+v, %v", r.Refusal, err)
	}
}

// busy is a queue of dead letters that takes none while it is set.
type busy struct {
	*letters
	busy bool
}

func (q *busy) Send(ctx context.Context, x writeback.Letter) error {
	if q.busy {
		return errors.New("the queue does not answer")
	}
	return q.letters.Send(ctx, x)
}

// A letter that the queue does not take is not told: the change comes again, and
// the letter with it.
func TestALetterThatIsNotTakenIsSentAgain(t *testing.T) {
	b := newBench(t)
	queue := &busy{letters: &b.dead, busy: true}
	pusher, err := writeback.New(writeback.Deps{
		Salesforce: b.org, Items: b.table, Breaker: b.breaker(t, b.table), Dead: queue, Meter: b.metrics, Log: slog.New(slog.DiscardHandler),
		RetryBase: time.Minute, Now: func() time.Time { return b.now }, Sleep: func(context.Context, time.Duration) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	r := record(1, order.Provisioned)
	b.table.Set(r)
	b.org.say = func(order.Shown) error { return fault.New(fault.SalesforceRowRefused, "") }
	change := []writeback.Change{{Record: r}}
	if again := pusher.Push(t.Context(), change); !again[0] {
		t.Error("the change does not come again")
	}
	if got, _, err := b.table.Get(t.Context(), r.ID); err != nil || got.Refusal.Letter {
		t.Errorf("a letter is said to be sent: %+v, %v", got.Refusal, err)
	}
	queue.busy = false
	if again := pusher.Push(t.Context(), change); again[0] || len(b.dead) != 1 {
		t.Errorf("again %t, %d letters", again[0], len(b.dead))
	}
}

// Where Salesforce is ahead of the table, the next seq is beyond both.
func TestTheSeqIsRaisedBeyondWhatSalesforceShows(t *testing.T) {
	b := newBench(t)
	r := record(1, order.Provisioned)
	b.table.Set(r)
	ahead := order.View{Shown: order.Shown{ID: r.ID, Status: order.StatusActivating, Seq: r.Seq + 5_000_000}}
	b.org.shows = map[order.ID]order.View{r.ID: ahead}
	b.org.say = func(order.Shown) error { return fault.New(fault.SalesforceStale, "") }
	if again := b.pusher.Push(t.Context(), []writeback.Change{{Record: r}}); again[0] {
		t.Error("the old image comes again")
	}
	if got, _, err := b.table.Get(t.Context(), r.ID); err != nil || got.Seq <= ahead.Seq {
		t.Errorf("seq %d, Salesforce shows %d, %v", got.Seq, ahead.Seq, err)
	}
}

// confirmed runs one look at what was changed, and returns until when every
// change has been looked for.
func (b *bench) confirmed(t *testing.T) (until time.Time, err error) {
	t.Helper()
	_, err = b.pusher.Confirm(t.Context())
	c, failed := b.table.Control(t.Context(), order.SideSalesforce)
	if failed != nil {
		t.Fatal(failed)
	}
	return c.ConfirmedUntil, err
}

// The mark of what was looked for does not pass a change that is not shown yet.
func TestTheMarkWaitsForWhatIsNotShown(t *testing.T) {
	b := newBench(t)
	r := record(1, order.Provisioned)
	b.table.Set(r)
	b.org.shows = map[order.ID]order.View{r.ID: {Shown: order.Shown{ID: r.ID, Status: order.StatusActivating, Seq: r.Seq - 1}}}
	b.org.fail = func(int) error { return fault.New(fault.SalesforceUnavailable, "") }
	b.now = noon.Add(20 * time.Minute)
	if until, err := b.confirmed(t); err == nil || until.After(noon) {
		t.Errorf("looked until %s, %v", until, err)
	}
	b.org.fail = nil
	b.now = b.now.Add(time.Hour) // the breaker is closed again
	if until, err := b.confirmed(t); err != nil || !until.After(noon) {
		t.Errorf("looked until %s, %v", until, err)
	}
}

// A write may commit some minutes after the time that it bears: the look covers
// that time once more.
func TestAChangeThatCommitsLateIsLookedFor(t *testing.T) {
	b := newBench(t)
	b.now = noon.Add(4 * time.Minute)
	if _, err := b.confirmed(t); err != nil {
		t.Fatal(err)
	}
	late := record(1, order.Provisioned) // of noon
	b.table.Set(late)
	b.org.shows = map[order.ID]order.View{late.ID: {Shown: order.Shown{ID: late.ID, Status: order.StatusActivating, Seq: late.Seq - 1}}}
	b.now = b.now.Add(6 * time.Minute)
	if _, err := b.confirmed(t); err != nil {
		t.Fatal(err)
	}
	if len(b.org.calls) != 1 {
		t.Errorf("%d calls: the change is not shown", len(b.org.calls))
	}
}
