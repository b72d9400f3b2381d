package store_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/store"
)

func TestEachCallIsAsFewWritesAsItCanBe(t *testing.T) {
	e := embedded(t)
	sp := &spy{Client: e.client}
	s := with(t, sp, e.table(t))
	ctx, now := t.Context(), epoch
	var rec order.Record
	for _, c := range []struct {
		name, want string
		call       func() error
	}{
		{"the first callout", "PutItem", func() error {
			_, err := s.Claim(ctx, callout(id(t, 1), 1, "k1", now))
			return err
		}},
		{"a click on an order that exists", "PutItem UpdateItem", func() error {
			_, err := s.Claim(ctx, callout(id(t, 1), 2, "k2", now))
			return err
		}},
		{"a lease", "GetItem PutItem", func() (err error) {
			rec, err = s.Lease(ctx, id(t, 1), order.Lease{Token: "t", Now: now, Until: now.Add(time.Minute)})
			return err
		}},
		{"a transition", "PutItem", func() (err error) {
			rec, err = s.Write(ctx, order.Step{From: rec, To: rec, Signal: order.SignalStatus, Now: now, Entry: order.Entry{Event: "e"}})
			return err
		}},
		{"a note", "GetItem PutItem", func() error {
			return s.Note(ctx, id(t, 1), order.Entry{At: now, Event: "e"})
		}},
		{"a transition past a note that the worker did not see", "PutItem PutItem", func() (err error) {
			rec, err = s.Write(ctx, order.Step{From: rec, To: rec, Signal: order.SignalStatus, Now: now, Entry: order.Entry{Event: "e"}})
			return err
		}},
		{"a bump", "GetItem PutItem", func() error {
			_, err := s.Bump(ctx, id(t, 1), rec.Seq+5, now, order.Entry{At: now, Event: "e"})
			return err
		}},
		{"a read", "GetItem", func() error {
			_, _, err := s.Get(ctx, id(t, 1))
			return err
		}},
		{"the switch", "GetItem", func() error {
			_, err := s.Control(ctx, order.SideWHMCS)
			return err
		}},
		{"what is due", strings.Repeat("Query ", 7) + "Query", func() error {
			_, err := s.Due(ctx, now, 10)
			return err
		}},
	} {
		if err := c.call(); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if got := sp.took(); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// A request can arrive after its caller gave it up and went on: every write of
// a whole life is sent again after each later one, and changes nothing.
func TestARequestThatArrivesLateChangesNothing(t *testing.T) {
	e := embedded(t)
	sp := &spy{Client: e.client}
	table := e.table(t)
	s := with(t, sp, table)
	ctx, now := t.Context(), epoch
	order1 := id(t, 1)
	var rec order.Record
	write := func(wrote order.Signal, event string, change func(*order.Record)) func() error {
		return func() (err error) {
			to := rec
			change(&to)
			rec, err = s.Write(ctx, order.Step{From: rec, To: to, Signal: wrote, Now: now, Entry: order.Entry{Event: event}})
			return err
		}
	}
	claim := func(n int, key string) func() error {
		return func() error {
			_, err := s.Claim(ctx, callout(order1, n, key, now))
			return err
		}
	}
	lease := func() (err error) {
		rec, err = s.Lease(ctx, order1, order.Lease{Token: order.NewToken(), Now: now, Until: now.Add(time.Minute), Margin: time.Second})
		return err
	}
	life := []func() error{
		claim(1, "k1"),
		claim(2, "k2"),
		lease,
		write(order.SignalLease, "add_sent", func(r *order.Record) { r.RecoveryPoint, r.Add.Count, r.Add.Until = order.PointAdding, 1, now }),
		// Back to where it was: the sent-again request must not bring it forward.
		write(order.SignalLease, "add_not_sent", func(r *order.Record) { r.RecoveryPoint, r.Add.Count, r.Add.Until = order.PointNone, 0, time.Time{} }),
		claim(3, "k3"),
		func() error { return s.Note(ctx, order1, order.Entry{At: now, Event: "pushed"}) },
		write(order.SignalNote, "parked", func(r *order.Record) { r.State, r.DueAt = order.Waiting, now.Add(time.Second) }),
		lease,
		func() error {
			_, err := s.Bump(ctx, order1, 0, now, order.Entry{})
			return err
		},
		write(order.SignalStatus, "failed", func(r *order.Record) { r.State, r.ErrorCode = order.Failed, fault.OrderEmpty }),
		claim(4, "k3"),
		claim(5, "k5"),
		lease,
		write(order.SignalStatus, "failed", func(r *order.Record) {
			r.State, r.RecoveryPoint, r.ErrorCode = order.Failed, order.PointAdding, fault.AddOutcomeUnknown
		}),
		func() error {
			_, err := s.Resolve(ctx, order.Resolution{ID: order1, Stop: true, By: "me", Why: "wait", Now: now})
			return err
		},
		func() error {
			_, err := s.Resolve(ctx, order.Resolution{ID: order1, Adopt: "5", By: "me", Why: "found", Now: now})
			return err
		},
		lease,
		write(order.SignalStatus, "provisioned", func(r *order.Record) { r.State, r.RecoveryPoint = order.Provisioned, order.PointAccepted }),
		claim(6, "k6"),
	}
	for n, do := range life {
		now = now.Add(2 * time.Second)
		if err := do(); err != nil {
			t.Fatalf("step %d: %v", n, err)
		}
		want := e.item(t, table, order1)
		for k, again := range sp.sent {
			err := again(ctx)
			if failed := new(types.ConditionalCheckFailedException); !errors.As(err, &failed) {
				t.Fatalf("after step %d, request %d sent again: %v, want a failed condition", n, k, err)
			}
		}
		if got := e.item(t, table, order1); !reflect.DeepEqual(got, want) {
			t.Fatalf("after step %d the item changed:\n%v\n%v", n, got, want)
		}
	}
}

// The same for the commands of the operator: a pause that arrives after the
// resume does not stop the system.
func TestACommandThatArrivesLateChangesNothing(t *testing.T) {
	e := embedded(t)
	sp := &spy{Client: e.client}
	s := with(t, sp, e.table(t))
	ctx, now := t.Context(), epoch
	for n, do := range []func() error{
		func() error { return s.Pause(ctx, "upgrade", "me", now) },
		func() error { return s.LookBefore(ctx, now, "me", now) },
		func() error { return s.Resume(ctx, "me", now) },
		func() error { return s.LookBefore(ctx, time.Time{}, "me", now) },
	} {
		if err := do(); err != nil {
			t.Fatal(err)
		}
		want, err := s.Control(ctx, order.SideWHMCS)
		if err != nil {
			t.Fatal(err)
		}
		for k, again := range sp.sent {
			_ = again(ctx) // refused or not: what counts is what stands there
			if got, err := s.Control(ctx, order.SideWHMCS); err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("after command %d, request %d sent again: %+v, %v; want %+v", n, k, got, err, want)
			}
		}
	}
}

func TestErrorsCarryTheirCode(t *testing.T) {
	api := func(code string) error { return &smithy.GenericAPIError{Code: code, Message: "m"} }
	for _, c := range []struct {
		name              string
		err               error
		claim, write, get fault.Code
	}{
		{"throttled", &types.ProvisionedThroughputExceededException{}, fault.TryAgain, fault.StoreUnavailable, fault.StoreUnavailable},
		{"throttled by the account", api("ThrottlingException"), fault.TryAgain, fault.StoreUnavailable, fault.StoreUnavailable},
		{"away", &net.OpError{Op: "dial", Err: errors.New("refused")}, fault.TryAgain, fault.StoreUnavailable, fault.StoreUnavailable},
		{"time over", context.DeadlineExceeded, fault.TryAgain, fault.StoreUnavailable, fault.StoreUnavailable},
		{"failing", &types.InternalServerError{}, fault.TryAgain, fault.StoreUnavailable, fault.StoreUnavailable},
		{"no table", &types.ResourceNotFoundException{}, fault.TryAgain, fault.StoreUnavailable, fault.StoreUnavailable},
		{"permission lost", api("AccessDeniedException"), fault.TryAgain, fault.StoreUnavailable, fault.StoreUnavailable},
		{"our own fault", api("ValidationException"), fault.Internal, fault.Internal, fault.Internal},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := with(t, broken{c.err}, "t")
			ctx := t.Context()
			_, err := s.Claim(ctx, callout(id(t, 1), 1, "k", epoch))
			check(t, "claim", err, c.claim)
			rec := order.Record{ID: id(t, 1), State: order.Working, RecoveryPoint: order.PointNone, Lease: "l", LeaseUntil: epoch, DueAt: epoch}
			_, err = s.Write(ctx, order.Step{From: rec, To: rec, Signal: order.SignalNote, Now: epoch})
			check(t, "write", err, c.write)
			_, err = s.Lease(ctx, id(t, 1), order.Lease{Token: "t", Now: epoch, Until: epoch.Add(1)})
			check(t, "lease", err, c.write)
			_, _, err = s.Get(ctx, id(t, 1))
			check(t, "get", err, c.get)
			_, err = s.Due(ctx, epoch, 1)
			check(t, "due", err, c.get)
			_, err = s.Resolve(ctx, order.Resolution{ID: id(t, 1), Stop: true, By: "b", Why: "w", Now: epoch})
			check(t, "resolve", err, c.get)
			_, err = s.Bump(ctx, id(t, 1), 0, epoch, order.Entry{})
			check(t, "bump", err, c.write)
			check(t, "note", s.Note(ctx, id(t, 1), order.Entry{At: epoch, Event: "e"}), c.write)
			check(t, "pause", s.Pause(ctx, "r", "b", epoch), c.write)
			_, err = s.ChangeControl(ctx, order.SideWHMCS, func(c order.Control) (order.Control, bool) { return c.Opened(epoch, epoch, "", 1) })
			check(t, "open breaker", err, c.write)
			if strings.Contains(fault.TextOf(err), "refused") {
				t.Error("the cause is public")
			}
		})
	}
}

func check(t *testing.T, what string, err error, want fault.Code) {
	t.Helper()
	if err == nil || fault.CodeOf(err) != want {
		t.Errorf("%s: %v, want code %s", what, err, want)
	}
}

// broken answers every call with the same error.
type broken struct{ err error }

func (b broken) PutItem(context.Context, *dynamodb.PutItemInput, ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error) {
	return nil, b.err
}
func (b broken) UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	return nil, b.err
}
func (b broken) GetItem(context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error) {
	return nil, b.err
}
func (b broken) Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	return nil, b.err
}

// A table on which each condition fails for ever ends the call; it does not spin.
func TestContentionIsBounded(t *testing.T) {
	e := embedded(t)
	s, table := e.open(t)
	c := callout(id(t, 1), 1, "k1", epoch)
	if _, err := s.Claim(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	rec, err := s.Lease(t.Context(), id(t, 1), order.Lease{Token: "l", Now: epoch, Until: epoch.Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	sp := &spy{Client: contended{e.item(t, table, id(t, 1))}}
	s = with(t, sp, table)
	bounded := func(what string, err error, want fault.Code) {
		t.Helper()
		check(t, what, err, want)
		if n := len(strings.Fields(sp.took())); n < 2 || n > 250 {
			t.Errorf("%s: %d calls", what, n)
		}
	}
	_, err = s.Claim(t.Context(), callout(id(t, 1), 2, "k2", epoch))
	bounded("claim", err, fault.TryAgain)
	_, err = s.Write(t.Context(), order.Step{From: rec, To: rec, Signal: order.SignalNote, Now: epoch})
	bounded("write", err, fault.StoreUnavailable)
	bounded("note", s.Note(t.Context(), id(t, 1), order.Entry{At: epoch, Event: "e"}), fault.StoreUnavailable)
	bounded("pause", s.Pause(t.Context(), "r", "b", epoch), fault.StoreUnavailable)
}

// contended is a table in which each condition meets another writer.
type contended struct {
	item map[string]types.AttributeValue
}

func (c contended) PutItem(context.Context, *dynamodb.PutItemInput, ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error) {
	return nil, &types.ConditionalCheckFailedException{Item: c.item}
}
func (c contended) UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	return nil, &types.ConditionalCheckFailedException{Item: c.item}
}
func (c contended) GetItem(_ context.Context, in *dynamodb.GetItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error) {
	if strings.HasPrefix(key(in.Key), "control#") {
		return &dynamodb.GetItemOutput{}, nil
	}
	return &dynamodb.GetItemOutput{Item: c.item}, nil
}
func (c contended) Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	return nil, errors.New("not asked")
}

// race is a table on which something happens between the image that a call
// decides on and the write that it makes of it.
func race(t *testing.T) (sp *spy, calling, meanwhile *store.Store) {
	t.Helper()
	e := embedded(t)
	table := e.table(t)
	sp = &spy{Client: e.client}
	return sp, with(t, sp, table), with(t, e.client, table)
}

// afterImage runs what once, before the write that follows the image: the
// second call, after a PutItem that failed or a GetItem.
func (s *spy) afterImage(what func() error) {
	s.took()
	done := false
	s.before = func(string) error {
		if done || len(strings.Fields(s.tookSoFar())) != 2 {
			return nil
		}
		done = true
		return what()
	}
}

// fail brings an order to failed.
func fail(ctx context.Context, s *store.Store, id order.ID, now time.Time, change func(*order.Record)) (order.Record, error) {
	rec, err := s.Lease(ctx, id, order.Lease{Token: order.NewToken(), Now: now, Until: now.Add(time.Minute)})
	if err != nil {
		return rec, err
	}
	to := rec
	to.State, to.ErrorCode = order.Failed, fault.OrderEmpty
	change(&to)
	return s.Write(ctx, order.Step{From: rec, To: to, Signal: order.SignalStatus, Now: now, Entry: order.Entry{Event: "failed"}})
}

// The limit of nonces holds although other callouts used up the room that this
// one saw.
func TestRoomThatOthersTookMeanwhileIsNotTakenTwice(t *testing.T) {
	sp, s, others := race(t)
	ctx, now := t.Context(), epoch
	click := func(s *store.Store, n int) error {
		_, err := s.Claim(ctx, callout(id(t, 1), n, "k", now))
		return err
	}
	for n := range order.MaxNonces {
		if n == 50 {
			now = now.Add(5 * time.Minute)
		}
		if err := click(others, n); err != nil {
			t.Fatal(err)
		}
	}
	now = epoch.Add(10 * time.Minute) // the first 50 are over
	sp.afterImage(func() error {
		for n := range 50 {
			if err := click(others, 1000+n); err != nil {
				return err
			}
		}
		return nil
	})
	check(t, "claim", click(s, 2000), fault.TooManyRequests)
	rec, _, err := s.Get(ctx, id(t, 1))
	if err != nil || len(rec.Nonces) != order.MaxNonces {
		t.Errorf("%d nonces, %v", len(rec.Nonces), err)
	}
}

// A reopening is decided on the failure that stands there, not on an older one.
func TestAReopeningSeesTheFailureThatStands(t *testing.T) {
	sp, s, others := race(t)
	ctx, now := t.Context(), epoch
	if _, err := others.Claim(ctx, callout(id(t, 1), 1, "k1", now)); err != nil {
		t.Fatal(err)
	}
	if _, err := fail(ctx, others, id(t, 1), now, func(*order.Record) {}); err != nil {
		t.Fatal(err)
	}
	var last order.Record
	sp.afterImage(func() (err error) {
		if _, err = others.Claim(ctx, callout(id(t, 1), 2, "k2", now.Add(time.Hour))); err != nil {
			return err
		}
		last, err = fail(ctx, others, id(t, 1), now.Add(time.Hour), func(r *order.Record) {
			r.RecoveryPoint, r.ErrorCode = order.PointAccepting, fault.ModuleFailed
		})
		return err
	})
	got, err := s.Claim(ctx, callout(id(t, 1), 3, "k3", now))
	if err != nil || got.Outcome != order.Reopened || !got.Record.Word.Rerun() || got.Record.Seq != last.Seq+1 {
		t.Errorf("%+v, %v; want reopened, consent to AcceptOrder, seq %d", got, err, last.Seq+1)
	}
}

// The oldest key is not forgotten when another callout has just used it again.
func TestAKeyInUseIsNotForgotten(t *testing.T) {
	sp, s, others := race(t)
	ctx := t.Context()
	for n := range order.MaxKeys {
		if _, err := others.Claim(ctx, callout(id(t, 1), n, fmt.Sprintf("k%02d", n), epoch)); err != nil {
			t.Fatal(err)
		}
	}
	sp.afterImage(func() error {
		_, err := others.Claim(ctx, callout(id(t, 1), 100, "k00", epoch))
		return err
	})
	got, err := s.Claim(ctx, callout(id(t, 1), 101, "new", epoch))
	if err != nil {
		t.Fatal(err)
	}
	if keys := got.Record.Keys; keys[0] != "k02" || keys[18] != "k00" || keys[19] != "new" {
		t.Errorf("keys %v", keys)
	}
}

// What a person saw is not what stands there: he is told so.
func TestAResolutionOfAnotherFailureIsRefused(t *testing.T) {
	for name, meanwhile := range map[string]func(ctx context.Context, s *store.Store) error{
		"reopened and failed again": func(ctx context.Context, s *store.Store) error {
			if _, err := s.Claim(ctx, callout(id(t, 1), 2, "k2", epoch)); err != nil {
				return err
			}
			_, err := fail(ctx, s, id(t, 1), epoch, func(*order.Record) {})
			return err
		},
		"resolved by another": func(ctx context.Context, s *store.Store) error {
			_, err := s.Resolve(ctx, order.Resolution{ID: id(t, 1), Stop: true, By: "b", Why: "w", Now: epoch})
			return err
		},
		"reopened": func(ctx context.Context, s *store.Store) error {
			_, err := s.Claim(ctx, callout(id(t, 1), 2, "k2", epoch))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			sp, s, others := race(t)
			ctx := t.Context()
			if _, err := others.Claim(ctx, callout(id(t, 1), 1, "k1", epoch)); err != nil {
				t.Fatal(err)
			}
			if _, err := fail(ctx, others, id(t, 1), epoch, func(*order.Record) {}); err != nil {
				t.Fatal(err)
			}
			sp.afterImage(func() error { return meanwhile(ctx, others) })
			_, err := s.Resolve(ctx, order.Resolution{ID: id(t, 1), None: true, By: "me", Why: "looked", Now: epoch})
			check(t, "resolve", err, fault.StateChanged)
		})
	}
}

// A retention that ends between the two writes of a click: the order is made again.
func TestAnOrderDeletedDuringAClickIsMadeAnew(t *testing.T) {
	e := embedded(t)
	sp := &spy{Client: e.client}
	table := e.table(t)
	s := with(t, sp, table)
	if _, err := s.Claim(t.Context(), callout(id(t, 1), 1, "k1", epoch)); err != nil {
		t.Fatal(err)
	}
	sp.before = func(pk string) error {
		if n := len(strings.Fields(sp.tookSoFar())); n != 3 { // Put, Put: its image; Update
			return nil
		}
		_, err := e.client.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{
			TableName: aws.String(table), Key: map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: pk}},
		})
		return err
	}
	got, err := s.Claim(t.Context(), callout(id(t, 1), 2, "k2", epoch.Add(time.Hour)))
	if err != nil || got.Outcome != order.Created || got.Record.Seq != order.Seq(epoch.Add(time.Hour).UnixMilli()) {
		t.Fatalf("%+v, %v", got, err)
	}
	if calls := sp.took(); calls != "PutItem PutItem UpdateItem PutItem" {
		t.Errorf("calls: %s", calls)
	}
}

func (s *spy) tookSoFar() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.calls, " ")
}

// An order that goes away under a worker or a person: they are told so.
func TestAnOrderDeletedUnderItsWorker(t *testing.T) {
	e := embedded(t)
	sp := &spy{Client: e.client}
	table := e.table(t)
	s := with(t, sp, table)
	ctx := t.Context()
	if _, err := s.Claim(ctx, callout(id(t, 1), 1, "k1", epoch)); err != nil {
		t.Fatal(err)
	}
	rec, err := s.Lease(ctx, id(t, 1), order.Lease{Token: "l", Now: epoch, Until: epoch.Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	remove := func(pk string) error {
		_, err := e.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
			TableName: aws.String(table), Key: map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: pk}},
		})
		return err
	}
	to := rec
	to.State, to.ErrorCode = order.Failed, fault.OrderEmpty
	if rec, err = s.Write(ctx, order.Step{From: rec, To: to, Signal: order.SignalStatus, Now: epoch}); err != nil {
		t.Fatal(err)
	}
	sp.before = remove
	_, err = s.Resolve(ctx, order.Resolution{ID: id(t, 1), Stop: true, By: "b", Why: "w", Now: epoch})
	check(t, "resolve", err, fault.OrderNotFound)
	from := rec
	from.State, from.DueAt, from.LeaseUntil = order.Working, epoch, epoch
	_, err = s.Write(ctx, order.Step{From: from, To: from, Signal: order.SignalNote, Now: epoch})
	check(t, "write", err, fault.LeaseLost)
	if item := e.item(t, table, id(t, 1)); item != nil {
		t.Errorf("a write brought it back: %v", item)
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	if _, err := store.New(nil, "t"); err == nil {
		t.Error("no client")
	}
	if _, err := store.New(broken{}, ""); err == nil {
		t.Error("no table")
	}
}

// Due: several pages, a shard that fails, a row that is no order's.
func TestDueReadsOnPastPagesAndFaults(t *testing.T) {
	pages := &paged{t: t, rows: map[string][]string{}, fail: "3"}
	for k := range 30 {
		shard := fmt.Sprint(k % 8)
		pages.rows[shard] = append(pages.rows[shard], "order#"+id(t, k).String())
	}
	pages.rows["0"] = append(pages.rows["0"], "control#whmcs", "order#nonsense")
	s := with(t, pages, "t")
	got, err := s.Due(t.Context(), epoch, 100)
	check(t, "due", err, fault.StoreUnavailable)
	seen := map[order.ID]bool{}
	for _, id := range got {
		seen[id] = true
	}
	for k := range 30 {
		if seen[id(t, k)] != (k%8 != 3) {
			t.Errorf("order %d: %v", k, seen[id(t, k)])
		}
	}
	if len(got) != len(seen) {
		t.Errorf("%d rows, %d orders", len(got), len(seen))
	}
}

// paged is an index that gives one row a page.
type paged struct {
	broken
	t    *testing.T
	rows map[string][]string // by shard
	fail string
}

func (p *paged) Query(_ context.Context, in *dynamodb.QueryInput, _ ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	shard := in.ExpressionAttributeValues[":s"].(*types.AttributeValueMemberN).Value
	if shard == p.fail {
		return nil, &types.ProvisionedThroughputExceededException{}
	}
	at := 0
	if in.ExclusiveStartKey != nil {
		for i, pk := range p.rows[shard] {
			if pk == key(in.ExclusiveStartKey) {
				at = i + 1
			}
		}
	}
	out := &dynamodb.QueryOutput{}
	if at < len(p.rows[shard]) {
		item := map[string]types.AttributeValue{
			"pk":     &types.AttributeValueMemberS{Value: p.rows[shard][at]},
			"due_at": &types.AttributeValueMemberN{Value: fmt.Sprint(at)},
		}
		out.Items = append(out.Items, item)
		if at+1 < len(p.rows[shard]) {
			out.LastEvaluatedKey = item
		}
	}
	return out, nil
}
