package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/google/go-cmp/cmp"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/store"
)

// stored writes a record as it is, in place of what is there.
func (e endpoint) stored(t *testing.T, table string, r order.Record) {
	t.Helper()
	if _, err := e.client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &table, Item: store.Encode(r)}); err != nil {
		t.Fatal(err)
	}
}

func failedAt(t *testing.T, k int, at time.Time, code fault.Code) order.Record {
	return order.Record{
		ID: id(t, k), State: order.Failed, RecoveryPoint: order.PointAdding, Signal: order.SignalStatus, Version: 1,
		ErrorCode: code, ErrorAt: at, CreatedAt: at, UpdatedAt: at, AccountID: "001000000000001AAA", WHMCSOrderID: "77",
	}
}

func TestFailedOrdersAreListedNewestFirst(t *testing.T) {
	e := embedded(t)
	s, table := e.open(t)
	var want []store.FailedOrder
	for k := range 50 {
		at := epoch.Add(time.Duration(k) * time.Minute).UTC().Truncate(time.Millisecond)
		e.stored(t, table, failedAt(t, k+1, at, fault.AddOutcomeUnknown))
		want = append([]store.FailedOrder{{ID: id(t, k+1), At: at, Code: fault.AddOutcomeUnknown, Point: order.PointAdding, AccountID: "001000000000001AAA", WHMCSOrderID: "77"}}, want...)
	}
	open := failedAt(t, 60, epoch, "")
	open.State, open.DueAt = order.Waiting, epoch.Add(time.Hour)
	e.stored(t, table, open)

	got, err := s.Failed(t.Context(), time.Time{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(order.ID{})); d != "" {
		t.Errorf("failed (-want +got):\n%s", d)
	}
	if got, err = s.Failed(t.Context(), want[9].At, 0); err != nil || len(got) != 10 {
		t.Errorf("since the tenth: %d, %v", len(got), err)
	}
	all, _, err := s.Open(t.Context(), 0)
	if err != nil || len(all) != 1 || all[0].ID != open.ID {
		t.Errorf("open: %v, %v", all, err)
	}
	// Reopened, it leaves the one index and enters the other.
	if _, err := s.Resolve(t.Context(), order.Resolution{ID: want[0].ID, Retry: true, By: "ann", Why: "w", Now: epoch.Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	got, err = s.Failed(t.Context(), time.Time{}, 0)
	all, _, errOpen := s.Open(t.Context(), 0)
	if err != nil || errOpen != nil || len(got) != 49 || len(all) != 2 {
		t.Errorf("after a retry: %d failed, %d open, %v %v", len(got), len(all), err, errOpen)
	}
}

// The index of failed orders costs the way to Provisioned nothing, and a
// failure one write unit.
func TestWhatTheIndexOfFailedOrdersCosts(t *testing.T) {
	e := embedded(t)
	_, table := e.open(t)
	r := failedAt(t, 1, epoch, fault.OrderEmpty)
	for i, c := range []struct {
		state order.State
		units float64
	}{
		{order.Queued, 0}, {order.Working, 0}, {order.Provisioned, 0}, {order.Queued, 0}, {order.Working, 0}, {order.Failed, 1}, {order.Failed, 0}, {order.Queued, 1},
	} {
		r.State, r.DueAt = c.state, time.Time{}
		if c.state.Open() {
			r.DueAt = epoch.Add(time.Duration(i) * time.Second)
		}
		r.Version++
		before := e.db.Consumed()[table].Indexes["failed"].WriteUnits
		e.stored(t, table, r)
		if got := e.db.Consumed()[table].Indexes["failed"].WriteUnits - before; got != c.units {
			t.Errorf("write %d (%s): %v units, want %v", i, c.state, got, c.units)
		}
	}
}

// One page of an answer holds 1 MB: 10,000 rows are several.
func TestTenThousandFailedOrdersAreListed(t *testing.T) {
	e := embedded(t)
	s, table := e.open(t)
	for k := range 10_000 {
		e.stored(t, table, failedAt(t, k+1, epoch.Add(time.Duration(k)*time.Second), fault.Code(fmt.Sprintf("code_%d", k%7))))
	}
	reads := e.db.Consumed()[table].Operations["Query"].Calls
	got, err := s.Failed(t.Context(), time.Time{}, 0)
	if err != nil || len(got) != 10_000 {
		t.Fatalf("%d, %v", len(got), err)
	}
	if calls := e.db.Consumed()[table].Operations["Query"].Calls - reads; calls > 2*order.DueShards {
		t.Errorf("%d queries", calls)
	}
	if calls := e.db.Consumed()[table].Operations["GetItem"].Calls; calls > 0 {
		t.Errorf("%d items were read", calls)
	}
}

// What the clock reads each minute to say how things stand is bounded, whatever
// waits; and an order that was opened long ago, whose next try lies ahead, is found
// among many that were opened now.
func TestTheBacklogIsMeasuredAtABoundedCost(t *testing.T) {
	const most = 100
	for _, c := range []struct {
		open, read int
		least      int // that are counted
		units      float64
	}{
		{0, 0, 0, 8 * 0.5},
		{1, 1, 1, 8*0.5 + 1},
		{60, 60, 60, 8*0.5 + 60},
		// 400 keys of about 70 bytes in each of the 8 parts, and the items.
		{10_000, most, 3000, 100 + most},
	} {
		t.Run(fmt.Sprint(c.open, " open"), func(t *testing.T) {
			e := embedded(t)
			s, table := e.open(t)
			old := id(t, 1)
			for k := range c.open {
				r := order.Record{ID: id(t, k+1), State: order.Queued, RecoveryPoint: order.PointNone, Signal: order.SignalQueued, Version: 1,
					OpenedAt: epoch, DueAt: epoch.Add(time.Duration(k) * time.Millisecond), CreatedAt: epoch, UpdatedAt: epoch}
				if r.ID == old {
					r.State, r.OpenedAt, r.DueAt = order.Waiting, epoch.Add(-time.Hour), epoch.Add(time.Hour)
				}
				e.stored(t, table, r)
			}
			before := e.db.Consumed()[table].ReadUnits
			open, found, err := s.Open(t.Context(), most)
			if err != nil || len(open) != c.read || found < c.least || found > c.open {
				t.Fatalf("%d orders, %d found, %v", len(open), found, err)
			}
			units := e.db.Consumed()[table].ReadUnits - before
			t.Logf("%v read units", units)
			if units > c.units {
				t.Errorf("%v read units, want %v at most", units, c.units)
			}
			if b := order.BacklogOf(open, epoch); c.open > 0 && (b.Oldest.ID != old || b.Age(epoch) != time.Hour) {
				t.Errorf("the oldest is %s, of %s", b.Oldest.ID, b.Age(epoch))
			}
		})
	}
}
