package provision_test

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"orderbridge/shared/breaker"
	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/provision"
	"orderbridge/shared/provision/provisiontest"
)

// atWork is a WHMCS that takes and accepts other orders between any two reads,
// and loses the first AddOrder on its way.
type atWork struct {
	others []order.BillingOrder
	made   *order.BillingOrder
	sent   int
	onPage func(order.Listing) // each page
}

func (b *atWork) turn() {
	b.others = append([]order.BillingOrder{{ID: strconv.Itoa(1000 + len(b.others)), ClientID: 9, Status: order.BillingPending, Marker: "sfOrderId of another", Date: epoch}}, b.others...)
	b.others[len(b.others)/2].Status = order.BillingActive
}

func (b *atWork) Client(context.Context, int64) error { return nil }

func (b *atWork) Products(context.Context, []int64) (map[int64]order.ProductInfo, error) {
	return map[int64]order.ProductInfo{1: {ProductID: 1}}, nil
}

func (b *atWork) Add(_ context.Context, _ order.SendWindow, id order.ID, plan order.Plan) (string, error) {
	if b.sent++; b.sent == 1 {
		return "", &fault.Unsure{Err: fault.Wrap(fault.WHMCSUnavailable, errors.New("connection reset"))}
	}
	b.made = &order.BillingOrder{ID: "77", ClientID: plan.ClientID, Status: order.BillingPending, Marker: order.ReadMarker(id.Marker()), Date: epoch,
		Services: []order.BillingService{{ID: "5", ProductID: 1, Cycle: order.Monthly, Quantity: 1, Status: "Pending"}}}
	return b.made.ID, nil
}

func (b *atWork) Accept(context.Context, order.SendWindow, string) error {
	b.made.Status, b.made.Services[0].Status = order.BillingActive, "Active"
	return nil
}

func (b *atWork) Order(context.Context, string, int64) (order.BillingOrder, bool, error) {
	if b.made == nil {
		return order.BillingOrder{}, false, nil
	}
	return *b.made, true, nil
}

func (b *atWork) Page(_ context.Context, l order.Listing) (order.Page, error) {
	if b.onPage != nil {
		b.onPage(l)
	}
	var all []order.BillingOrder
	if l.ClientID == 0 {
		b.turn()
		all = append(all, b.others...)
	}
	if b.made != nil {
		all = append(all, *b.made)
	}
	return order.Page{Orders: all[min(l.Start, len(all)):min(l.Start+pageSize, len(all))], Total: len(all)}, nil
}

// pageSize is the rows of a page of atWork.
const pageSize = 20

func (b *atWork) Newest(context.Context) (int64, error) { return 0, nil }

func (b *atWork) ModuleFailures(context.Context, []string) (map[string]string, error) {
	return nil, nil
}

func (b *atWork) Probe(context.Context) error { return nil }

// asked is what Salesforce says of every order.
type asked struct{}

func (asked) Load(_ context.Context, id order.ID) (order.Request, error) {
	return order.Request{ID: id, AccountID: "001000000000001AAA", ClientID: 7,
		Lines: []order.Line{{ItemID: "802000000000001AAA", ProductID: 1, Cycle: order.Monthly, Quantity: 1}}}, nil
}

func (asked) Probe(context.Context) error { return nil }

// ticking is a clock that moves only when it is told to.
type ticking struct{ now time.Time }

func (c *ticking) Now() time.Time { return c.now }

func (c *ticking) Sleep(_ context.Context, d time.Duration) error {
	c.now = c.now.Add(d)
	return nil
}

// engineOn returns a run, of ten minutes at most, of an engine on the memory store.
func engineOn(t *testing.T, mem *provisiontest.Memory, billing *atWork, clock *ticking, skewed func() error) func(order.ID) provision.Result {
	t.Helper()
	run := invocations(t, mem, billing, clock, skewed)
	return func(id order.ID) provision.Result { return run(id, 10*time.Minute) }
}

// invocations returns a run of an engine on the memory store, of which the
// platform lets an invocation last so long.
func invocations(t *testing.T, mem *provisiontest.Memory, billing *atWork, clock *ticking, skewed func() error) func(order.ID, time.Duration) provision.Result {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	deps := provision.Deps{Store: mem, Orders: asked{}, Billing: billing, Clock: clock, Log: log, Skewed: skewed}
	for side, b := range map[order.Side]*provision.Breaker{order.SideWHMCS: &deps.WHMCS, order.SideSalesforce: &deps.Salesforce} {
		var err error
		if *b, err = breaker.New(breaker.Deps{Controls: mem, Side: side, Probe: billing.Probe, Now: clock.Now, Log: log}, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	engine, err := provision.New(deps, usual())
	if err != nil {
		t.Fatal(err)
	}
	return func(id order.ID, long time.Duration) provision.Result {
		t.Helper()
		ctx, cancel := context.WithDeadline(t.Context(), clock.now.Add(long))
		defer cancel()
		res, err := engine.Run(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
}

// clicked returns an order that was clicked at the clock's time.
func clicked(t *testing.T, mem *provisiontest.Memory, now time.Time) order.ID {
	t.Helper()
	id, err := order.ParseID("801000000000001")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := mem.Claim(t.Context(), order.Claim{ID: id, Nonce: "n", NonceExpiry: now.Add(time.Hour), Key: "k", By: order.NewToken(), Now: now}); err != nil {
		t.Fatal(err)
	}
	return id
}

func TestSearchIsNotDisturbedByOtherOrders(t *testing.T) {
	clock, billing, mem := &ticking{epoch}, &atWork{}, provisiontest.NewMemory()
	id := clicked(t, mem, epoch)
	run := engineOn(t, mem, billing, clock, nil)
	if res := run(id); res.End != provision.EndParked || res.Record.RecoveryPoint != order.PointAdding {
		t.Fatalf("after the lost AddOrder: %+v", res)
	}
	clock.now = clock.now.Add(time.Hour)
	if res := run(id); res.End != provision.EndProvisioned || billing.sent != 2 {
		t.Errorf("after the search: %s %s, %d AddOrder", res.End, res.Code, billing.sent)
	}
}

// A cold worker learns from the first answer of the table that its clock is
// wrong; by then it must not have taken a lease.
func TestAWorkerWhoseClockIsOffTakesNoLease(t *testing.T) {
	clock, billing, mem := &ticking{epoch}, &atWork{}, provisiontest.NewMemory()
	id := clicked(t, mem, epoch)
	answers := 0
	mem.After = func(_ context.Context, _ provisiontest.Op, _ order.Record, err error) error {
		answers++
		return err
	}
	run := engineOn(t, mem, billing, clock, func() error {
		if answers == 0 {
			return nil
		}
		return fault.New(fault.ClockSkewed, "")
	})
	if res := run(id); res.End != provision.EndBlocked || res.Code != fault.ClockSkewed {
		t.Errorf("%s %s", res.End, res.Code)
	}
	if rec := mem.Records()[0]; rec.State != order.Queued || rec.Fence != 0 || billing.sent != 0 {
		t.Errorf("%s, fence %d, %d AddOrder", rec.State, rec.Fence, billing.sent)
	}
}

// A worker whose invocation ends before a whole lease does leases until that
// end: afterwards the platform has killed it, and another may take the order at
// once. One with no more than the margin takes none.
func TestALeaseEndsWithItsInvocation(t *testing.T) {
	c := usual()
	for long, want := range map[time.Duration]time.Duration{
		10 * time.Minute:       c.Lease,
		c.Lease - time.Second:  c.Lease - time.Second,
		c.Margin + time.Second: c.Margin + time.Second,
		c.Margin:               0,
	} {
		clock, mem := &ticking{epoch}, provisiontest.NewMemory()
		id := clicked(t, mem, epoch)
		var leased time.Duration
		mem.Wrote = func(from, to order.Record) {
			if from.State != order.Working && to.State == order.Working {
				leased = to.LeaseUntil.Sub(clock.now)
			}
		}
		invocations(t, mem, &atWork{}, clock, nil)(id, long)
		if leased.Truncate(time.Millisecond) != want {
			t.Errorf("an invocation of %s leases for %s, want %s", long, leased, want)
		}
	}
}

// usual is the configuration of an installation that set nothing.
func usual() provision.Config {
	return provision.Config{
		Lease: 150 * time.Second, Window: 15 * time.Second, Margin: 5 * time.Second, Settle: 5 * time.Minute, AcceptSettle: 15 * time.Minute,
		AddTimeout: time.Minute, AcceptTimeout: 2 * time.Minute, RetryBase: time.Minute, GiveUp: provision.GiveUp, VerifyFor: provision.VerifyFor,
		Resend: true, PaymentMethod: "mailin", Retention: time.Hour,
	}
}

// A search of many pages keeps its lease, and goes on in the next invocation
// where the first one had no time left: it is never read from its beginning
// again, and both listings are whole.
func TestALongSearchKeepsItsLeaseAndGoesOnInTheNextRun(t *testing.T) {
	clock, mem := &ticking{epoch}, provisiontest.NewMemory()
	billing := &atWork{}
	const others = 600
	for range others {
		billing.turn()
	}
	id := clicked(t, mem, epoch)
	run := engineOn(t, mem, billing, clock, nil)
	run(id) // its AddOrder is lost
	clock.now = clock.now.Add(time.Hour)
	last := map[int64]int{} // the last page of each scope
	pages, runs := 0, 1
	billing.onPage = func(l order.Listing) {
		pages++
		if l.Start < last[l.ClientID] && l.Start != 0 {
			t.Errorf("page %d after page %d", l.Start, last[l.ClientID])
		}
		last[l.ClientID] = l.Start
		if rec := mem.Records()[0]; !rec.LeaseUntil.After(clock.now) {
			t.Fatalf("a page is read at %s under a lease until %s", clock.now, rec.LeaseUntil)
		}
		clock.now = clock.now.Add(20 * time.Second)
	}
	for ; runs < 20; runs++ {
		res := run(id)
		if res.End == provision.EndProvisioned {
			break
		}
		if res.Code != fault.WHMCSUnavailable || res.Record.RecoveryPoint != order.PointAdding || res.Record.Search == nil {
			t.Fatalf("run %d ended %s %s, search %+v", runs, res.End, res.Code, res.Record.Search)
		}
		clock.now = res.Record.DueAt.Add(time.Second)
	}
	// Two listings of the client, of one page, and two of everyone.
	if most := 2 + 2*(others+pages)/pageSize + 4; runs < 3 || billing.sent != 2 || pages > most {
		t.Errorf("%d runs, %d AddOrder, %d pages of at most %d", runs, billing.sent, pages, most)
	}
	if rec := mem.Records()[0]; rec.Search != nil {
		t.Errorf("an ended order keeps %+v", rec.Search)
	}
}

// What is asked last, between the stamp and the send: the clock, and what the
// writes have left of the lease. The stamp is taken back, and nothing leaves.
func TestTheStampIsTakenBackWhereTheSendIsTooLate(t *testing.T) {
	for name, late := range map[string]struct {
		wrote  func(clock *ticking)
		skewed error
	}{
		"the clock is off since": {func(*ticking) {}, fault.New(fault.ClockSkewed, "")},
		"the write was slow":     {func(c *ticking) { c.now = c.now.Add(150*time.Second - 5*time.Second - 53*time.Second) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			clock, billing, mem := &ticking{epoch}, &atWork{}, provisiontest.NewMemory()
			id := clicked(t, mem, epoch)
			stamped := false
			mem.Wrote = func(_, to order.Record) {
				if to.Add.Count == 1 && !stamped {
					stamped = true
					late.wrote(clock)
				}
			}
			run := engineOn(t, mem, billing, clock, func() error {
				if stamped {
					return late.skewed
				}
				return nil
			})
			res := run(id)
			if !stamped || res.End != provision.EndParked || billing.sent != 0 {
				t.Errorf("stamped %t, %s, %d AddOrder sent", stamped, res.End, billing.sent)
			}
			if r := res.Record; r.RecoveryPoint != order.PointNone || r.Add.Count != 0 || r.Plan != nil || r.Attempts != 0 {
				t.Errorf("not as before the stamp: %+v", r)
			}
		})
	}
}
