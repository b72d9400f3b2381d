// Package provisiontest holds what every keeper of the orders must do alike: a
// table in memory, and one suite of rules that runs on it and on the real one.
//
// The rule it keeps: the suite speaks of what a caller can see, never of how a
// store does it. It must not be linked into a function.
package provisiontest

import (
	"context"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/provision"
)

// Store is everything that is done with the table: the engine's port, and the
// ports of the callout, of the status, of the write-back and of the operator.
type Store interface {
	provision.Store

	Claim(ctx context.Context, c order.Claim) (order.Claimed, error)
	Get(ctx context.Context, id order.ID) (order.Record, bool, error)
	Due(ctx context.Context, now time.Time, limit int) ([]order.ID, error)

	Control(ctx context.Context, side order.Side) (order.Control, error)
	ChangeControl(ctx context.Context, side order.Side, change func(order.Control) (order.Control, bool)) (order.Control, error)
	Pause(ctx context.Context, reason, by string, at time.Time) error
	Release(ctx context.Context, of, by string, at time.Time) error
	Resume(ctx context.Context, by string, at time.Time) error
	LookBefore(ctx context.Context, before time.Time, by string, at time.Time) error

	Resolve(ctx context.Context, r order.Resolution) (order.Record, error)
	Note(ctx context.Context, id order.ID, e order.Entry) error
	Bump(ctx context.Context, id order.ID, atLeast order.Seq, now time.Time, e order.Entry) (order.Record, error)

	Refuse(ctx context.Context, id order.ID, x order.Refusal, at time.Time, e order.Entry) error
	Confirm(ctx context.Context, id order.ID, seq order.Seq, e order.Entry) error
	Changed(ctx context.Context, from, until time.Time, limit int) (rows []order.Changed, reached time.Time, err error)
	Refused(ctx context.Context, now time.Time, limit int) ([]order.ID, error)
	Reconcile(ctx context.Context, since time.Time, by string, at time.Time) error
}

// Conformance checks every rule that a Store keeps. newStore returns an empty
// table of its own for each rule, and cleans up by t.Cleanup.
func Conformance(t *testing.T, newStore func(t *testing.T) Store) {
	for _, rules := range [][]rule{claimRules, workRules, operatorRules, controlRules, shownRules} {
		for _, r := range rules {
			t.Run(r.name, func(t *testing.T) {
				r.check(&bench{T: t, Store: newStore(t), ctx: t.Context(), now: epoch})
			})
		}
	}
}

type rule struct {
	name  string
	check func(b *bench)
}

// epoch is when every rule begins; not a full second, so that rounding shows.
var epoch = time.Date(2026, 11, 24, 8, 0, 0, 123_000_000, time.UTC)

// The times that the rules use; the store is told them and has none of its own.
const (
	window = 10 * time.Minute // how long a nonce lives
	lease  = 150 * time.Second
	margin = 5 * time.Second
)

// bench is one rule at work on one empty table.
type bench struct {
	*testing.T
	Store
	ctx context.Context
	now time.Time
	n   int
}

// id returns the k-th order id.
func (b *bench) id(k int) order.ID {
	b.Helper()
	id, err := order.ParseID(fmt.Sprintf("801%012d", k))
	if err != nil {
		b.Fatal(err)
	}
	return id
}

// callout returns a callout with a nonce and a request of its own.
func (b *bench) callout(id order.ID, key string) order.Claim {
	b.n++
	return order.Claim{
		ID: id, Nonce: fmt.Sprintf("nonce-%06d-0123456789", b.n), NonceExpiry: b.now.Add(window), Key: key,
		By: order.NewToken(), RequestedBy: "005000000000001AAA", RequestID: fmt.Sprintf("request-%d", b.n), Now: b.now,
	}
}

// claimed records a callout that must be accepted with this outcome.
func (b *bench) claimed(c order.Claim, want order.Outcome) order.Record {
	b.Helper()
	got, err := b.Claim(b.ctx, c)
	if err != nil || got.Outcome != want {
		b.Fatalf("claim: outcome %d, %v; want %d", got.Outcome, err, want)
	}
	b.sound(got.Record)
	return got.Record
}

// refused wants a code.
func (b *bench) refused(err error, want fault.Code) {
	b.Helper()
	if err == nil || fault.CodeOf(err) != want {
		b.Fatalf("got %v, want code %s", err, want)
	}
}

func (b *bench) ok(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// record reads an order that must be there.
func (b *bench) record(id order.ID) order.Record {
	b.Helper()
	rec, ok, err := b.Get(b.ctx, id)
	if err != nil || !ok {
		b.Fatalf("get %s: there=%v, %v", id, ok, err)
	}
	b.sound(rec)
	return rec
}

// open makes the k-th order by its first callout, with the key "first".
func (b *bench) open(k int) order.Record {
	b.Helper()
	return b.claimed(b.callout(b.id(k), "first"), order.Created)
}

// leased takes the lease of an order that is due.
func (b *bench) leased(id order.ID) order.Record {
	b.Helper()
	rec, err := b.Lease(b.ctx, id, b.ask())
	b.ok(err)
	b.sound(rec)
	return rec
}

func (b *bench) ask() order.Lease {
	return order.Lease{Token: order.NewToken(), Now: b.now, Until: b.now.Add(lease), Margin: margin}
}

// step is a transition from a record.
func (b *bench) step(from order.Record, wrote order.Signal, event string, change func(*order.Record)) order.Step {
	to := from
	if change != nil {
		change(&to)
	}
	return order.Step{From: from, To: to, Signal: wrote, Now: b.now, Entry: order.Entry{Event: event, By: "provision"}}
}

// wrote makes a transition that must succeed.
func (b *bench) wrote(from order.Record, wrote order.Signal, event string, change func(*order.Record)) order.Record {
	b.Helper()
	rec, err := b.Write(b.ctx, b.step(from, wrote, event, change))
	b.ok(err)
	b.sound(rec)
	return rec
}

// failed brings the k-th order to failed, through a worker.
func (b *bench) failed(k int, code fault.Code, change func(*order.Record)) order.Record {
	b.Helper()
	rec := b.leased(b.open(k).ID)
	b.after(time.Second)
	return b.wrote(rec, order.SignalStatus, "failed", func(r *order.Record) {
		r.State, r.ErrorCode, r.ErrorMessage, r.ErrorAt = order.Failed, code, "it went wrong", b.now
		if change != nil {
			change(r)
		}
	})
}

// provisioned brings the k-th order to its good end.
func (b *bench) provisioned(k int) order.Record {
	b.Helper()
	rec := b.leased(b.open(k).ID)
	b.after(time.Second)
	return b.wrote(rec, order.SignalStatus, "provisioned", func(r *order.Record) {
		r.State, r.RecoveryPoint, r.WHMCSOrderID = order.Provisioned, order.PointAccepted, "77"
		r.ServiceIDs = map[string][]string{"802000000000001AAA": {"5", "6"}}
		r.ExpiresAt = b.now.Add(400 * 24 * time.Hour)
	})
}

func (b *bench) after(d time.Duration) { b.now = b.now.Add(d) }

// same wants two values to be equal to the last member.
func (b *bench) same(got, want any) {
	b.Helper()
	got, want = unmarked(got), unmarked(want)
	if !reflect.DeepEqual(got, want) {
		b.Fatalf("got\n\t%+v\nwant\n\t%+v", got, want)
	}
}

// unmarked leaves out the marks of writes, which are a store's own.
func unmarked(v any) any {
	if r, ok := v.(order.Record); ok {
		r.Marks = nil
		return r
	}
	return v
}

// unchanged wants the table to hold rec still.
func (b *bench) unchanged(rec order.Record) {
	b.Helper()
	b.same(b.record(rec.ID), rec)
}

// sound checks what holds of every record at every moment.
func (b *bench) sound(r order.Record) {
	b.Helper()
	switch {
	case r.State.Open() == r.DueAt.IsZero():
		b.Fatalf("state %s, due %v: due exactly while open", r.State, r.DueAt)
	case (r.State == order.Working) == r.LeaseUntil.IsZero():
		b.Fatalf("state %s, lease until %v: leased exactly while working", r.State, r.LeaseUntil)
	case !r.ExpiresAt.IsZero() && !order.Forgettable(r.State, r.RecoveryPoint):
		b.Fatalf("state %s, point %s would be forgotten", r.State, r.RecoveryPoint)
	case len(r.Keys) > order.MaxKeys || len(r.History) > order.MaxHistory || len(r.Nonces) > order.MaxNonces:
		b.Fatalf("%d keys, %d lines, %d nonces", len(r.Keys), len(r.History), len(r.Nonces))
	case len(r.Keys) == 0 || len(r.History) == 0 || r.Version == 0 || r.Seq == 0 || r.CreatedAt.IsZero():
		b.Fatalf("incomplete: %+v", r)
	}
	for i := range r.History[1:] {
		if r.History[i+1].At.Before(r.History[i].At) {
			b.Fatalf("history out of order: %v", r.History)
		}
	}
}

// together runs n calls at once and waits for them all.
func together(n int, call func(i int)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			call(i)
		})
	}
	close(start)
	wg.Wait()
}

// tally counts outcomes and codes of concurrent calls.
type tally struct {
	mu    sync.Mutex
	count map[string]int
}

func (t *tally) add(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count == nil {
		t.count = map[string]int{}
	}
	t.count[what]++
}

// code names an error for a tally: its code, with the text where that is a surprise.
func code(err error) string {
	switch c := fault.CodeOf(err); c {
	case "":
		return "ok"
	case fault.Internal, fault.StoreUnavailable, fault.TryAgain:
		return err.Error()
	default:
		return string(c)
	}
}
