package provisiontest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
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

// Memory is the table in memory: the semantics of the real one, said once more
// as plainly as they can be. It is safe for concurrent use. It has no clock:
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

	mu       sync.Mutex
	orders   map[order.ID]*row
	controls map[order.Side]order.Control
}

// row is one stored order.
type row struct {
	order.Record
	met map[string]order.Outcome // per nonce, what its callout met
}

// NewMemory returns an empty table.
func NewMemory() *Memory {
	return &Memory{orders: map[order.ID]*row{}, controls: map[order.Side]order.Control{}}
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

func refuse(code fault.Code, format string, args ...any) (order.Record, error) {
	return order.Record{}, fault.Wrap(code, fmt.Errorf(format, args...))
}

// Records returns a copy of every order, sorted by id.
func (m *Memory) Records() []order.Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]order.Record, 0, len(m.orders))
	for _, r := range m.orders {
		all = append(all, clone(r.Record))
	}
	slices.SortFunc(all, func(a, b order.Record) int { return cmp.Compare(a.ID.String(), b.ID.String()) })
	return all
}

// Set puts an order there as it is, in place of what was there.
func (m *Memory) Set(rec order.Record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := normal(rec)
	m.orders[r.ID] = &row{Record: r, met: map[string]order.Outcome{}}
}

// Expire deletes what the table's time-to-live would have deleted by now, and
// returns how many orders that were.
func (m *Memory) Expire(now time.Time) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := len(m.orders)
	maps.DeleteFunc(m.orders, func(_ order.ID, r *row) bool {
		return !r.ExpiresAt.IsZero() && !r.ExpiresAt.After(now)
	})
	return before - len(m.orders)
}

// Claim records a callout.
func (m *Memory) Claim(ctx context.Context, c order.Claim) (order.Claimed, error) {
	var outcome order.Outcome
	rec, err := m.call(ctx, Op{Method: "Claim", ID: c.ID}, func() (order.Record, error) {
		var err error
		if outcome, err = m.claim(c); err != nil {
			return order.Record{}, err
		}
		return clone(m.orders[c.ID].Record), nil
	})
	if err != nil {
		return order.Claimed{}, err
	}
	return order.Claimed{Outcome: outcome, Record: rec}, nil
}

func (m *Memory) claim(c order.Claim) (order.Outcome, error) {
	if c.ID.IsZero() || c.Nonce == "" || c.Key == "" || c.By == "" || c.NonceExpiry.IsZero() || c.Now.IsZero() {
		return 0, fault.Wrap(fault.Internal, errors.New("claim: a part is missing"))
	}
	now := ms(c.Now)
	nonce := order.Nonce{Expiry: ms(c.NonceExpiry), By: c.By}
	r, ok := m.orders[c.ID]
	if !ok {
		r = &row{met: map[string]order.Outcome{c.Nonce: order.Created}}
		r.Record = order.Record{
			ID: c.ID, State: order.Queued, RecoveryPoint: order.PointNone, Signal: order.SignalQueued,
			Seq: order.Seq(now.UnixMilli()), Version: 1, OpenedAt: now, DueAt: now,
			Keys: []string{c.Key}, Nonces: map[string]order.Nonce{c.Nonce: nonce},
			AccountID: c.AccountID, CreatedAt: now, UpdatedAt: now,
		}
		r.line(order.Entry{At: now, Event: "callout", By: c.RequestedBy})
		m.orders[c.ID] = r
		return order.Created, nil
	}

	outcome, detail := order.Reopened, "after "+string(r.ErrorCode)
	switch {
	case r.State.Open():
		outcome, detail = order.AlreadyOpen, "open"
	case r.State == order.Provisioned:
		outcome, detail = order.AlreadyProvisioned, "provisioned"
	case slices.Contains(r.Keys, c.Key):
		outcome = order.StoredFailure
	}
	if old, there := r.Nonces[c.Nonce]; there {
		if old.By == c.By {
			return cmp.Or(r.met[c.Nonce], outcome), nil
		}
		if old.Expiry.After(now) {
			return 0, fault.Wrap(fault.NonceReplayed, fmt.Errorf("order %s: nonce seen", c.ID))
		}
	}
	live := map[string]order.Nonce{}
	for n, v := range r.Nonces {
		if v.Expiry.After(now) {
			live[n] = v
		}
	}
	if len(live) >= order.MaxNonces {
		return 0, fault.Wrap(fault.TooManyRequests, fmt.Errorf("order %s: %d live nonces", c.ID, len(live)))
	}

	live[c.Nonce] = nonce
	r.Nonces = live
	maps.DeleteFunc(r.met, func(n string, _ order.Outcome) bool { _, ok := live[n]; return !ok })
	r.met[c.Nonce] = outcome
	r.Version++
	r.Signal = order.SignalNote
	if outcome == order.StoredFailure {
		return outcome, nil
	}
	event := "callout"
	if outcome == order.Reopened {
		event = "reopened"
		if r.ErrorCode == fault.ModuleFailed && r.RecoveryPoint == order.PointAccepting {
			r.Word = r.Word.WithRerun()
		}
		r.reopen(now)
	}
	keys := slices.DeleteFunc(slices.Clone(r.Keys), func(k string) bool { return k == c.Key })
	keys = append(keys, c.Key)
	r.Keys = keys[max(0, len(keys)-order.MaxKeys):]
	r.AccountID = cmp.Or(r.AccountID, c.AccountID)
	r.line(order.Entry{At: now, Event: event, Detail: detail, By: c.RequestedBy})
	return outcome, nil
}

// reopen queues a failed order at its recovery point.
func (r *row) reopen(now time.Time) {
	r.State, r.Signal, r.Seq = order.Queued, order.SignalQueued, r.Seq.Next(now)
	r.OpenedAt, r.DueAt, r.UpdatedAt, r.Attempts = now, now, now, 0
	r.LeaseUntil, r.ExpiresAt = time.Time{}, time.Time{}
}

// line adds a line to the history, in the order of time.
func (r *row) line(e order.Entry) {
	e.At = ms(e.At)
	e.Detail, e.By = order.Cut(e.Detail, order.MaxDetail), order.Cut(e.By, order.MaxBy)
	kept := r.History[max(0, len(r.History)-(order.MaxHistory-1)):]
	at := len(kept)
	for at > 0 && kept[at-1].At.After(e.At) {
		at--
	}
	r.History = slices.Insert(slices.Clone(kept), at, e)
}

// Get reads one order.
func (m *Memory) Get(ctx context.Context, id order.ID) (order.Record, bool, error) {
	found := false
	rec, err := m.call(ctx, Op{Method: "Get", ID: id, Read: true}, func() (order.Record, error) {
		r, ok := m.orders[id]
		if !ok {
			return order.Record{}, nil
		}
		found = true
		return clone(r.Record), nil
	})
	return rec, found && err == nil, err
}

// Due returns what is due, oldest first.
func (m *Memory) Due(ctx context.Context, now time.Time, limit int) ([]order.ID, error) {
	var ids []order.ID
	_, err := m.call(ctx, Op{Method: "Due", Read: true}, func() (order.Record, error) {
		var due []*row
		for _, r := range m.orders {
			if !r.DueAt.IsZero() && !r.DueAt.After(now) {
				due = append(due, r)
			}
		}
		slices.SortFunc(due, func(a, b *row) int {
			return cmp.Or(a.DueAt.Compare(b.DueAt), cmp.Compare(a.ID.String(), b.ID.String()))
		})
		for _, r := range due[:min(max(limit, 0), len(due))] {
			ids = append(ids, r.ID)
		}
		return order.Record{}, nil
	})
	return ids, err
}

// Lease makes the caller the one worker of an order.
func (m *Memory) Lease(ctx context.Context, id order.ID, l order.Lease) (order.Record, error) {
	return m.call(ctx, Op{Method: "Lease", ID: id}, func() (order.Record, error) {
		if l.Token == "" || l.Now.IsZero() || !l.Until.After(l.Now) {
			return refuse(fault.Internal, "lease order %s: no token, or no time", id)
		}
		r, ok := m.orders[id]
		if !ok {
			return refuse(fault.NotDue, "lease order %s: no such order", id)
		}
		if r.State == order.Working && r.Lease == l.Token {
			return clone(r.Record), nil
		}
		now := ms(l.Now)
		held := !r.LeaseUntil.IsZero() && !r.LeaseUntil.Add(l.Margin.Truncate(time.Millisecond)).Before(now)
		used := r.Lease == l.Token // a late copy of a request that was carried out
		if !r.State.Open() || r.DueAt.After(now.Add(order.MaxSkew)) || held || used {
			return refuse(fault.NotDue, "lease order %s: %s, due %s, leased by %q until %s", id, r.State, r.DueAt, r.Lease, r.LeaseUntil)
		}
		r.State, r.Signal, r.Lease = order.Working, order.SignalLease, l.Token
		r.LeaseUntil, r.DueAt = ms(l.Until), ms(l.Until.Add(l.Margin))
		r.Fence++
		r.Attempts++
		r.Version++
		return clone(r.Record), nil
	})
}

// Write makes one transition under the fence.
func (m *Memory) Write(ctx context.Context, s order.Step) (order.Record, error) {
	return m.call(ctx, Op{Method: "Write", ID: s.From.ID}, func() (order.Record, error) {
		if err := s.Check(); err != nil {
			return order.Record{}, err
		}
		r, ok := m.orders[s.From.ID]
		if !ok {
			return refuse(fault.LeaseLost, "write order %s: no such order", s.From.ID)
		}
		if r.State != order.Working || r.Lease != s.From.Lease {
			return refuse(fault.LeaseLost, "write order %s: %s, leased by %q until %s", s.From.ID, r.State, r.Lease, r.LeaseUntil)
		}
		r.advance(s)
		return clone(r.Record), nil
	})
}

// advance takes over what the step changed, and nothing else.
func (r *row) advance(s order.Step) {
	from, to, now := &s.From, &s.To, ms(s.Now)
	take(&r.RecoveryPoint, from.RecoveryPoint, to.RecoveryPoint)
	take(&r.LeaseUntil, ms(from.LeaseUntil), ms(to.LeaseUntil))
	take(&r.Add.Count, from.Add.Count, to.Add.Count)
	take(&r.Add.Until, ms(from.Add.Until), ms(to.Add.Until))
	take(&r.Add.SettledAt, ms(from.Add.SettledAt), ms(to.Add.SettledAt))
	take(&r.Accept.Count, from.Accept.Count, to.Accept.Count)
	take(&r.Accept.Until, ms(from.Accept.Until), ms(to.Accept.Until))
	take(&r.Accept.SettledAt, ms(from.Accept.SettledAt), ms(to.Accept.SettledAt))
	take(&r.FirstAddAt, ms(from.FirstAddAt), ms(to.FirstAddAt))
	take(&r.Word, from.Word, to.Word)
	take(&r.AcceptedAt, ms(from.AcceptedAt), ms(to.AcceptedAt))
	take(&r.Attempts, from.Attempts, to.Attempts)
	take(&r.OpenedAt, ms(from.OpenedAt), ms(to.OpenedAt))
	take(&r.DueAt, ms(from.DueAt), ms(to.DueAt))
	take(&r.AccountID, from.AccountID, to.AccountID)
	take(&r.WHMCSOrderID, from.WHMCSOrderID, to.WHMCSOrderID)
	take(&r.ErrorCode, from.ErrorCode, to.ErrorCode)
	take(&r.ErrorMessage, message(from.ErrorMessage), message(to.ErrorMessage))
	take(&r.ErrorAt, ms(from.ErrorAt), ms(to.ErrorAt))
	take(&r.ExpiresAt, seconds(from.ExpiresAt), seconds(to.ExpiresAt))
	if from.Plan != to.Plan { // the same pointer is the same plan
		if was, is := planOf(from.Plan), planOf(to.Plan); !reflect.DeepEqual(was, is) {
			r.Plan = is
		}
	}
	if was, is := servicesOf(from.ServiceIDs), servicesOf(to.ServiceIDs); !reflect.DeepEqual(was, is) {
		r.ServiceIDs = is
	}
	r.State = to.State
	if r.State != order.Working {
		r.LeaseUntil = time.Time{}
	}
	if !r.State.Open() {
		r.DueAt = time.Time{}
	}
	if !order.Forgettable(r.State, to.RecoveryPoint) {
		r.ExpiresAt = time.Time{}
	}
	r.Signal, r.UpdatedAt = s.Signal, now
	r.Version++
	if s.Signal.Visible() {
		r.Seq = r.Seq.Next(now)
	}
	if e := s.Entry; e.Event != "" {
		if e.At.IsZero() {
			e.At = now
		}
		r.line(e)
	}
}

func take[T comparable](is *T, from, to T) {
	if from != to {
		*is = to
	}
}

// Control reads the switch of one side.
func (m *Memory) Control(ctx context.Context, side order.Side) (order.Control, error) {
	c := order.Control{Side: side}
	_, err := m.call(ctx, Op{Method: "Control", Side: side, Read: true}, func() (order.Record, error) {
		c = m.control(side)
		return order.Record{}, nil
	})
	if err != nil {
		return order.Control{Side: side}, err
	}
	return c, nil
}

func (m *Memory) control(side order.Side) order.Control {
	c := m.controls[side]
	c.Side = side
	return c
}

// switchOver wraps a write of a control item.
func (m *Memory) switchOver(ctx context.Context, method string, side order.Side, change func(*order.Control)) error {
	_, err := m.call(ctx, Op{Method: method, Side: side}, func() (order.Record, error) {
		c := m.control(side)
		change(&c)
		m.controls[side] = c
		return order.Record{}, nil
	})
	return err
}

func noTime(method string) error {
	return fault.Wrap(fault.Internal, errors.New(method+": no time"))
}

// OpenBreaker opens a breaker, unless it is open until later already.
func (m *Memory) OpenBreaker(ctx context.Context, next order.Control) error {
	if next.OpenUntil.IsZero() {
		return noTime("OpenBreaker")
	}
	return m.switchOver(ctx, "OpenBreaker", next.Side, func(c *order.Control) {
		if until := ms(next.OpenUntil); !c.OpenUntil.After(until) {
			c.OpenUntil, c.Why, c.Fails = until, next.Why, next.Fails
		}
	})
}

// WinProbe reports whether the caller owns the probe.
func (m *Memory) WinProbe(ctx context.Context, seen order.Control, until time.Time) (bool, error) {
	won := false
	if seen.OpenUntil.IsZero() || !until.After(seen.OpenUntil) {
		return false, nil
	}
	err := m.switchOver(ctx, "WinProbe", seen.Side, func(c *order.Control) {
		if won = c.OpenUntil.Equal(ms(seen.OpenUntil)); won {
			c.OpenUntil = ms(until)
		}
	})
	return won && err == nil, err
}

// CloseBreaker closes a breaker that is still as it was seen.
func (m *Memory) CloseBreaker(ctx context.Context, seen order.Control, now time.Time) error {
	if seen.OpenUntil.IsZero() {
		return nil
	}
	return m.switchOver(ctx, "CloseBreaker", seen.Side, func(c *order.Control) {
		if c.OpenUntil.Equal(ms(seen.OpenUntil)) {
			c.OpenUntil, c.Fails, c.ClosedAt = time.Time{}, 0, ms(now)
		}
	})
}

// Pause stops all work.
func (m *Memory) Pause(ctx context.Context, reason, by string, at time.Time) error {
	if at.IsZero() {
		return noTime("Pause")
	}
	return m.switchOver(ctx, "Pause", order.SideWHMCS, func(c *order.Control) {
		c.Paused, c.At = true, ms(at)
		c.Reason, c.By = order.Cut(reason, order.MaxDetail), order.Cut(by, order.MaxBy)
	})
}

// Resume ends a pause.
func (m *Memory) Resume(ctx context.Context, by string, at time.Time) error {
	if at.IsZero() {
		return noTime("Resume")
	}
	return m.switchOver(ctx, "Resume", order.SideWHMCS, func(c *order.Control) {
		c.Paused, c.Reason, c.By, c.At = false, "", order.Cut(by, order.MaxBy), ms(at)
	})
}

// LookBefore makes orders created before that time be searched.
func (m *Memory) LookBefore(ctx context.Context, before time.Time, _ string, at time.Time) error {
	if at.IsZero() {
		return noTime("LookBefore")
	}
	return m.switchOver(ctx, "LookBefore", order.SideWHMCS, func(c *order.Control) { c.LookBefore = ms(before) })
}

// Resolve carries out what a person decided.
func (m *Memory) Resolve(ctx context.Context, s order.Resolution) (order.Record, error) {
	return m.call(ctx, Op{Method: "Resolve", ID: s.ID}, func() (order.Record, error) {
		ways := 0
		for _, yes := range []bool{s.Adopt != "", s.None, s.Stop} {
			if yes {
				ways++
			}
		}
		if s.ID.IsZero() || ways != 1 || s.By == "" || s.Why == "" || s.Now.IsZero() {
			return refuse(fault.Internal, "resolve order %s: a part is missing", s.ID)
		}
		r, ok := m.orders[s.ID]
		if !ok {
			return refuse(fault.OrderNotFound, "resolve order %s: no such order", s.ID)
		}
		if r.State != order.Failed {
			return refuse(fault.StateChanged, "resolve order %s: it is %s", s.ID, r.State)
		}
		if s.None && !r.Add.SettledAt.IsZero() && !r.Add.SettledAt.Before(s.Now) {
			return refuse(fault.StateChanged, "resolve order %s: not settled", s.ID)
		}
		now := ms(s.Now)
		r.Version++
		e := order.Entry{At: now, By: s.By, Detail: s.Why}
		if s.Stop {
			r.Signal, r.Seq, r.UpdatedAt = order.SignalStatus, r.Seq.Next(now), now
			r.ErrorCode, r.ErrorMessage, r.ErrorAt = fault.Stopped, "", now
			e.Event = "resolved_stop"
			r.line(e)
			return clone(r.Record), nil
		}
		r.reopen(now)
		r.AcceptedAt = time.Time{}
		if s.Adopt != "" {
			if r.WHMCSOrderID != s.Adopt {
				r.ServiceIDs = nil
			}
			r.RecoveryPoint, r.WHMCSOrderID = r.AfterAdopting(s.Adopt), s.Adopt
			r.Word = order.WordNamed
			e.Event, e.Detail = "resolved_adopt", "WHMCS order "+s.Adopt+": "+s.Why
		} else {
			r.RecoveryPoint, r.Add.Count, r.Plan, r.WHMCSOrderID, r.ServiceIDs = order.PointNone, 0, nil, "", nil
			r.Word = order.WordAbsent
			e.Event = "resolved_none"
		}
		r.line(e)
		return clone(r.Record), nil
	})
}

// Note adds a line to the history.
func (m *Memory) Note(ctx context.Context, id order.ID, e order.Entry) error {
	_, err := m.call(ctx, Op{Method: "Note", ID: id}, func() (order.Record, error) {
		if e.Event == "" || e.At.IsZero() {
			return refuse(fault.Internal, "note on order %s: no event, or no time", id)
		}
		r, ok := m.orders[id]
		if !ok {
			return refuse(fault.OrderNotFound, "note on order %s: no such order", id)
		}
		r.Version++
		r.Signal = order.SignalNote
		r.line(e)
		return clone(r.Record), nil
	})
	return err
}

// Bump makes Salesforce hear of an order again.
func (m *Memory) Bump(ctx context.Context, id order.ID, atLeast order.Seq, now time.Time, e order.Entry) (order.Record, error) {
	return m.call(ctx, Op{Method: "Bump", ID: id}, func() (order.Record, error) {
		if now.IsZero() {
			return refuse(fault.Internal, "bump order %s: no time", id)
		}
		r, ok := m.orders[id]
		if !ok {
			return refuse(fault.OrderNotFound, "bump order %s: no such order", id)
		}
		r.Version++
		r.Signal, r.Seq = order.SignalStatus, max(atLeast, r.Seq.Next(now))
		if e.Event != "" {
			if e.At.IsZero() {
				e.At = now
			}
			r.line(e)
		}
		return clone(r.Record), nil
	})
}

// ms brings a time to what a table keeps of it: UTC, to the ms, rounded down.
func ms(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Millisecond)
}

// seconds is the same for the retention.
func seconds(t time.Time) time.Time { return ms(t).Truncate(time.Second) }

func message(s string) string { return order.Cut(s, order.MaxMessage) }

// normal brings a record to what a table gives back of it.
func normal(r order.Record) order.Record {
	r = clone(r)
	for _, t := range []*time.Time{&r.LeaseUntil, &r.Add.Until, &r.Add.SettledAt, &r.Accept.Until, &r.Accept.SettledAt, &r.FirstAddAt, &r.AcceptedAt,
		&r.OpenedAt, &r.DueAt, &r.ErrorAt, &r.CreatedAt, &r.UpdatedAt} {
		*t = ms(*t)
	}
	r.ExpiresAt = seconds(r.ExpiresAt)
	r.ErrorMessage = message(r.ErrorMessage)
	return r
}

// clone copies a record so deeply that nobody shares anything, with nil for
// everything that is empty.
func clone(r order.Record) order.Record {
	r.Keys = sliceOf(r.Keys)
	r.History = sliceOf(r.History)
	r.Nonces = mapOf(r.Nonces)
	r.ServiceIDs = servicesOf(r.ServiceIDs)
	r.Plan = planOf(r.Plan)
	return r
}

func servicesOf(m map[string][]string) map[string][]string {
	m = mapOf(m)
	for item, ids := range m {
		m[item] = sliceOf(ids)
	}
	return m
}

func planOf(p *order.Plan) *order.Plan {
	if p == nil {
		return nil
	}
	c := *p
	c.Entries = sliceOf(c.Entries)
	for i := range c.Entries {
		c.Entries[i].CustomFields = mapOf(c.Entries[i].CustomFields)
		c.Entries[i].ConfigOptions = mapOf(c.Entries[i].ConfigOptions)
	}
	return &c
}

func sliceOf[T any](s []T) []T {
	if len(s) == 0 {
		return nil
	}
	return slices.Clone(s)
}

func mapOf[K comparable, V any](m map[K]V) map[K]V {
	if len(m) == 0 {
		return nil
	}
	return maps.Clone(m)
}
