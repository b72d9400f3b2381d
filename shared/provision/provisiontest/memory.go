package provisiontest

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// Op names one call of the store, for the hooks of Memory.
type Op struct {
	Method string     // the name of the method, e.g. "Write"
	ID     order.ID   // of an order's methods
	Side   order.Side // of a control's methods
	Read   bool       // Get, Due and Control change nothing
}

// Memory is the table in memory: the pure methods of package order, applied under
// a lock. It is safe for concurrent use. It has no clock:
// every method is told the time.
//
// The hooks inject faults. They run without a lock held, so they may sleep and
// may call the Memory itself; set them before the first call. An error without
// a fault code reaches the caller as store_unavailable (try_again from Claim).
type Memory struct {
	// Before runs before each call; its error refuses the call: nothing is done.
	Before func(ctx context.Context, op Op) error
	// After runs after each call with its record (if it has one) and its
	// error; a non-nil result replaces them: an answer that was lost.
	After func(ctx context.Context, op Op, rec order.Record, err error) error

	// Wrote is told each write of an order: the image before it (the zero Record
	// where there was none) and the one after. It runs with the lock held, so
	// that it sees them in their order, and must not call the Memory.
	Wrote func(from, to order.Record)

	mu       sync.Mutex
	orders   map[order.ID]order.Record
	controls map[order.Side]order.Control
}

// NewMemory returns an empty table.
func NewMemory() *Memory {
	return &Memory{orders: map[order.ID]order.Record{}, controls: map[order.Side]order.Control{}}
}

// call wraps one method in the hooks and the lock.
func (m *Memory) call(ctx context.Context, op Op, do func() (order.Record, error)) (order.Record, error) {
	if m.Before != nil {
		if err := m.Before(ctx, op); err != nil {
			return order.Record{}, coded(op, err)
		}
	}
	if err := ctx.Err(); err != nil {
		return order.Record{}, coded(op, err)
	}
	rec, err := func() (order.Record, error) {
		m.mu.Lock()
		defer m.mu.Unlock()
		return do()
	}()
	if m.After != nil {
		if lost := m.After(ctx, op, rec, err); lost != nil {
			return order.Record{}, coded(op, lost)
		}
	}
	return rec, err
}

func coded(op Op, err error) error {
	var f *fault.Error
	if errors.As(err, &f) {
		return err
	}
	if op.Method == "Claim" {
		return fault.Wrap(fault.TryAgain, err)
	}
	return fault.Wrap(fault.StoreUnavailable, err)
}

// Records returns a copy of every order, sorted by id.
func (m *Memory) Records() []order.Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]order.Record, 0, len(m.orders))
	for _, r := range m.orders {
		all = append(all, r.Normal())
	}
	slices.SortFunc(all, func(a, b order.Record) int { return cmp.Compare(a.ID.String(), b.ID.String()) })
	return all
}

// Set puts an order there as it is, in place of what was there.
func (m *Memory) Set(rec order.Record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.orders[rec.ID] = rec.Normal()
}

// Expire deletes what the table's time-to-live would have deleted by now, and
// returns how many orders that were.
func (m *Memory) Expire(now time.Time) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := len(m.orders)
	maps.DeleteFunc(m.orders, func(_ order.ID, r order.Record) bool {
		return !r.ExpiresAt.IsZero() && !r.ExpiresAt.After(now)
	})
	return before - len(m.orders)
}

// change applies do to an order; the zero Record is an order that is not there.
func (m *Memory) change(ctx context.Context, method string, id order.ID, do func(order.Record) (order.Record, error)) (order.Record, error) {
	return m.call(ctx, Op{Method: method, ID: id}, func() (order.Record, error) {
		from := m.orders[id]
		next, err := do(from)
		if err != nil {
			return order.Record{}, err
		}
		m.orders[id] = next.Normal()
		if m.Wrote != nil && next.Version != from.Version {
			m.Wrote(from.Normal(), next.Normal())
		}
		return next.Normal(), nil
	})
}

// Claim records a callout.
func (m *Memory) Claim(ctx context.Context, c order.Claim) (order.Claimed, error) {
	var met order.Outcome
	rec, err := m.change(ctx, "Claim", c.ID, func(r order.Record) (next order.Record, err error) {
		next, met, err = r.Claim(c)
		return next, err
	})
	if err != nil {
		return order.Claimed{}, err
	}
	return order.Claimed{Outcome: met, Record: rec}, nil
}

// Get reads one order.
func (m *Memory) Get(ctx context.Context, id order.ID) (order.Record, bool, error) {
	rec, err := m.call(ctx, Op{Method: "Get", ID: id, Read: true}, func() (order.Record, error) { return m.orders[id].Normal(), nil })
	return rec, err == nil && !rec.ID.IsZero(), err
}

// Due returns what is due, oldest first.
func (m *Memory) Due(ctx context.Context, now time.Time, limit int) ([]order.ID, error) {
	rows, err := m.sorted(ctx, "Due", func(r order.Record) time.Time {
		if r.DueAt.After(now) {
			return time.Time{}
		}
		return r.DueAt
	})
	return idsOf(rows, limit), err
}

// sorted returns the orders of which when gives a time, by it.
func (m *Memory) sorted(ctx context.Context, method string, when func(order.Record) time.Time) ([]order.Changed, error) {
	var rows []order.Changed
	_, err := m.call(ctx, Op{Method: method, Read: true}, func() (order.Record, error) {
		for _, r := range m.orders {
			if at := when(r); !at.IsZero() {
				rows = append(rows, order.Changed{ID: r.ID, At: at})
			}
		}
		return order.Record{}, nil
	})
	slices.SortFunc(rows, func(a, b order.Changed) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.ID.String(), b.ID.String()))
	})
	return rows, err
}

func idsOf(rows []order.Changed, limit int) []order.ID {
	var ids []order.ID
	for _, r := range rows[:min(max(limit, 0), len(rows))] {
		ids = append(ids, r.ID)
	}
	return ids
}

// Changed returns what is listed from from until until, oldest first.
func (m *Memory) Changed(ctx context.Context, from, until time.Time, limit int) ([]order.Changed, time.Time, error) {
	rows, err := m.sorted(ctx, "Changed", func(r order.Record) time.Time {
		at := r.Listed()
		if r.Refusal.Seq == r.Seq || at.Before(from) || at.After(until) {
			return time.Time{}
		}
		return at
	})
	reached := until.Add(time.Millisecond)
	if len(rows) > limit {
		reached = rows[limit].At
		rows = slices.DeleteFunc(rows, func(r order.Changed) bool { return !r.At.Before(reached) })
	}
	return rows, reached, err
}

// Refused returns what Salesforce refuses and is to be tried again by now.
func (m *Memory) Refused(ctx context.Context, now time.Time, limit int) ([]order.ID, error) {
	rows, err := m.sorted(ctx, "Refused", func(r order.Record) time.Time {
		if r.Refusal.Seq != r.Seq || r.Refusal.Next.After(now) {
			return time.Time{}
		}
		return r.Refusal.Next
	})
	return idsOf(rows, limit), err
}

// Lease makes the caller the one worker of an order.
func (m *Memory) Lease(ctx context.Context, id order.ID, l order.Lease) (order.Record, error) {
	return m.change(ctx, "Lease", id, func(r order.Record) (order.Record, error) { return r.TakeLease(l) })
}

// Write makes one transition under the fence.
func (m *Memory) Write(ctx context.Context, s order.Step) (order.Record, error) {
	return m.change(ctx, "Write", s.From.ID, func(r order.Record) (order.Record, error) { return r.Step(s) })
}

// Resolve carries out what a person decided.
func (m *Memory) Resolve(ctx context.Context, s order.Resolution) (order.Record, error) {
	return m.change(ctx, "Resolve", s.ID, func(r order.Record) (order.Record, error) { return r.Resolve(s) })
}

// Note adds a line to the history.
func (m *Memory) Note(ctx context.Context, id order.ID, e order.Entry) error {
	_, err := m.change(ctx, "Note", id, func(r order.Record) (order.Record, error) { return r.Note(e) })
	return err
}

// Bump makes Salesforce hear of an order again.
func (m *Memory) Bump(ctx context.Context, id order.ID, atLeast order.Seq, now time.Time, e order.Entry) (order.Record, error) {
	return m.change(ctx, "Bump", id, func(r order.Record) (order.Record, error) { return r.Bump(atLeast, now, e) })
}

// Refuse notes that Salesforce refuses what it is to show.
func (m *Memory) Refuse(ctx context.Context, id order.ID, x order.Refusal, at time.Time, e order.Entry) error {
	_, err := m.change(ctx, "Refuse", id, func(r order.Record) (order.Record, error) { return r.Refuse(x, at, e) })
	return err
}

// Confirm notes that Salesforce shows the order as it is at seq.
func (m *Memory) Confirm(ctx context.Context, id order.ID, seq order.Seq, e order.Entry) error {
	_, err := m.change(ctx, "Confirm", id, func(r order.Record) (order.Record, error) { return r.Confirm(seq, e) })
	return err
}

// Control reads the switch of one side.
func (m *Memory) Control(ctx context.Context, side order.Side) (order.Control, error) {
	return m.changeControl(ctx, Op{Method: "Control", Side: side, Read: true}, func(c order.Control) (order.Control, bool) { return c, false })
}

func (m *Memory) control(side order.Side) order.Control {
	c := m.controls[side]
	c.Side, c.History = side, slices.Clone(c.History)
	return c
}

// ChangeControl replaces the switch of one side by what do makes of it.
func (m *Memory) ChangeControl(ctx context.Context, side order.Side, do func(order.Control) (next order.Control, write bool)) (order.Control, error) {
	return m.changeControl(ctx, Op{Method: "ChangeControl", Side: side}, do)
}

func (m *Memory) changeControl(ctx context.Context, op Op, do func(order.Control) (next order.Control, write bool)) (order.Control, error) {
	var c order.Control
	_, err := m.call(ctx, op, func() (order.Record, error) {
		if next, write := do(m.control(op.Side)); write {
			m.controls[op.Side] = next.Normal()
		}
		c = m.control(op.Side)
		return order.Record{}, nil
	})
	if err != nil {
		return order.Control{Side: op.Side}, err
	}
	return c, nil
}

func (m *Memory) command(ctx context.Context, method string, side order.Side, do func(order.Control) (order.Control, error)) error {
	var refused error
	_, err := m.changeControl(ctx, Op{Method: method, Side: side}, func(c order.Control) (next order.Control, write bool) {
		next, refused = do(c)
		return next, refused == nil
	})
	return cmp.Or(err, refused)
}

// Pause stops all work.
func (m *Memory) Pause(ctx context.Context, reason, by string, at time.Time) error {
	return m.command(ctx, "Pause", order.SideWHMCS, func(c order.Control) (order.Control, error) { return c.Pause(reason, by, at) })
}

// Resume ends a pause.
func (m *Memory) Resume(ctx context.Context, by string, at time.Time) error {
	return m.command(ctx, "Resume", order.SideWHMCS, func(c order.Control) (order.Control, error) { return c.Resume(by, at) })
}

// Release ends the hold of one person.
func (m *Memory) Release(ctx context.Context, of, by string, at time.Time) error {
	return m.command(ctx, "Release", order.SideWHMCS, func(c order.Control) (order.Control, error) { return c.Release(of, by, at) })
}

// LookBefore makes orders created before that time be searched.
func (m *Memory) LookBefore(ctx context.Context, before time.Time, by string, at time.Time) error {
	return m.command(ctx, "LookBefore", order.SideWHMCS, func(c order.Control) (order.Control, error) { return c.WithLookBefore(before, by, at) })
}

// Reconcile makes every change since that time be compared with Salesforce.
func (m *Memory) Reconcile(ctx context.Context, since time.Time, by string, at time.Time) error {
	return m.command(ctx, "Reconcile", order.SideSalesforce, func(c order.Control) (order.Control, error) { return c.Reconcile(since, by, at) })
}
