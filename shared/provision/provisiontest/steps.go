package provisiontest

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// Steps says whether a write of an order is a step of the protocol. It is told
// every write of an order, in their order, and knows neither the engine nor the
// methods of order.Record: what they may do is written here a second time. It
// is safe for concurrent use.
type Steps struct {
	Idempotent []int64 // products whose module may run twice

	mu     sync.Mutex
	stamps map[order.ID]stamp // of the effects whose answer is not written yet
}

// stamp is a write after which its worker may have sent an effect.
type stamp struct {
	fence  order.Fence
	before order.Record // the record that the stamp was decided on
	sent   order.RecoveryPoint
}

// change is one write as an engine decided it.
type change struct {
	base order.Record // what the table held, or what an answer made of it without a write
	to   order.Record
	line order.Entry // of the history; the zero Entry is none
	// answered: an effect of this lease was answered, and the answer is not
	// written yet; undone: it certainly did nothing, and base says so.
	answered, undone bool
	idempotent       []int64
}

// step is one kind of write.
type step struct {
	name   string
	rows   []string // of the engine's table
	signal order.Signal
	events []string // of the history's line; "" = it may have none; nil = any
	allows func(c change) string
	// frees gives want, the base of the change, what the step may change.
	frees func(want *order.Record, c change)
}

// Write returns nil if the write that made to of from is a step, else what is
// wrong with it. from is the zero Record where the table held no such order.
// seen is a moment at which the write had been made.
func (s *Steps) Write(from, to order.Record, seen time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stamps == nil {
		s.stamps = map[order.ID]stamp{}
	}
	line, why := invariants(from, to, seen)
	if why == "" {
		why = s.find(from, to, line)
	}
	if why != "" {
		return fmt.Errorf("order %s, version %d, %s at %s to %s at %s: %s", to.ID, to.Version, from.State, from.RecoveryPoint, to.State, to.RecoveryPoint, why)
	}
	return nil
}

// find looks for a step that allows the write, and says why there is none.
func (s *Steps) find(from, to order.Record, line order.Entry) string {
	byPerson, byWorker := steps()
	var reasons []string // of the steps that the signal and the history's line allow
	try := func(all []step, c change) (found string) {
		for _, st := range all {
			if st.signal != to.Signal || st.events != nil && !slices.Contains(st.events, line.Event) {
				continue
			}
			why := st.refuses(c)
			if why == "" {
				return st.name
			}
			if reason := st.name + ": " + why; !slices.Contains(reasons, reason) {
				reasons = append(reasons, reason)
			}
		}
		return ""
	}
	if try(byPerson, change{base: from, to: to, line: line}) != "" {
		return ""
	}
	if from.State == order.Working {
		for _, c := range s.bases(from, to) {
			c.line, c.idempotent = line, s.Idempotent
			switch name := try(byWorker, c); name {
			case "":
				continue
			case stampAdd, stampAccept:
				s.stamps[to.ID] = stamp{to.Fence, c.base, to.RecoveryPoint}
			case renewal, repeated:
				if c.base.RecoveryPoint != from.RecoveryPoint {
					delete(s.stamps, to.ID)
				}
			default:
				delete(s.stamps, to.ID)
			}
			return ""
		}
	}
	return fmt.Sprintf("no step by signal %s with the line %q: %q", to.Signal, line.Event, reasons)
}

// bases are the records that the worker may have decided on: the table's, and
// what it knows from an answer and has not written.
func (s *Steps) bases(from, to order.Record) []change {
	all := []change{{base: from, to: to}}
	if st, ok := s.stamps[to.ID]; ok && st.fence == from.Fence && st.sent == from.RecoveryPoint {
		all[0].answered = true
		undone, done := from, from
		if st.sent == order.PointAdding {
			undone.Add, undone.Word, undone.Accept = order.Sent{Count: st.before.Add.Count}, st.before.Word, st.before.Accept
			if st.before.Add.Count == 0 {
				undone.RecoveryPoint, undone.Plan = st.before.RecoveryPoint, st.before.Plan
				undone.FirstAddAt, undone.FirstAddAfter = st.before.FirstAddAt, st.before.FirstAddAfter
			}
			done.RecoveryPoint, done.WHMCSOrderID = order.PointAdded, to.WHMCSOrderID
		} else {
			undone.RecoveryPoint, undone.Accept = order.PointAdded, order.Sent{Count: st.before.Accept.Count}
		}
		all = append(all, change{base: undone, to: to, undone: true})
		if done.RecoveryPoint == order.PointAdded && done.WHMCSOrderID != "" {
			all = append(all, change{base: done, to: to})
		}
	}
	for _, c := range all {
		b := c.base
		known := b.RecoveryPoint == order.PointAdded || b.RecoveryPoint == order.PointAccepting && (c.answered || over(b.Accept, to.UpdatedAt))
		if known && (!to.AcceptedAt.IsZero() || to.State == order.Provisioned) {
			free := b
			planned(&free, change{base: b, to: to})
			free.RecoveryPoint, free.Word, free.AcceptedAt = order.PointAccepted, b.Word.WithoutRerun(), to.AcceptedAt
			all = append(all, change{base: free, to: to})
		}
	}
	return all
}

func over(s order.Sent, now time.Time) bool { return !s.SettledAt.After(now) }

// refuses says why the step is not this write; "" = it is.
func (s step) refuses(c change) string {
	if why := s.allows(c); why != "" {
		return why
	}
	want := c.base
	want.Version, want.Signal, want.Seq, want.History, want.Marks = c.to.Version, c.to.Signal, c.to.Seq, c.to.History, c.to.Marks
	s.frees(&want, c)
	a, b := reflect.ValueOf(want), reflect.ValueOf(c.to)
	for i := range a.NumField() {
		if x, y := a.Field(i).Interface(), b.Field(i).Interface(); !reflect.DeepEqual(x, y) {
			return fmt.Sprintf("%s is %v, want %v", a.Type().Field(i).Name, y, x)
		}
	}
	return ""
}

// invariants says what no write may do, and returns the line that the write
// added to the history.
func invariants(from, to order.Record, seen time.Time) (line order.Entry, why string) {
	line, grown := grew(from.History, to.History)
	created := from.ID.IsZero()
	leased := to.Fence == from.Fence+1 && to.Lease != from.Lease
	switch {
	case !created && from.ID != to.ID:
		why = "another order"
	case to.Version != from.Version+1:
		why = fmt.Sprintf("version %d after %d", to.Version, from.Version)
	case !grown:
		why = "the history lost or changed a line"
	case to.Signal.Visible() && to.Seq <= from.Seq, !to.Signal.Visible() && to.Seq != from.Seq:
		why = fmt.Sprintf("seq %d after %d by signal %s", to.Seq, from.Seq, to.Signal)
	case !leased && (to.Fence != from.Fence || to.Lease != from.Lease):
		why = fmt.Sprintf("fence %d after %d without a lease", to.Fence, from.Fence)
	case !created && !to.CreatedAt.Equal(from.CreatedAt), to.UpdatedAt.Before(to.CreatedAt.Add(-order.MaxSkew)):
		why = "created_at or updated_at moved back"
	case to.State.Status() == order.StatusPendingReview, !to.RecoveryPoint.Valid(), !to.Word.Valid():
		why = fmt.Sprintf("state %q, point %q, word %q", to.State, to.RecoveryPoint, to.Word)
	case to.State.Open() == to.DueAt.IsZero():
		why = fmt.Sprintf("%s, but due %s", to.State, to.DueAt)
	case (to.State == order.Working) == to.LeaseUntil.IsZero():
		why = fmt.Sprintf("%s, but leased until %s", to.State, to.LeaseUntil)
	case order.Forgettable(to.State, to.RecoveryPoint) == to.ExpiresAt.IsZero():
		why = fmt.Sprintf("%s at %s, but expires %s", to.State, to.RecoveryPoint, to.ExpiresAt)
	case to.Add.Count < 0 || to.Accept.Count < 0 || to.Attempts < 0:
		why = "a negative count"
	case to.Add.Until.IsZero() != to.Add.SettledAt.IsZero() || to.Accept.Until.IsZero() != to.Accept.SettledAt.IsZero():
		why = "the end of a window without its settle time"
	case leased && !from.LeaseUntil.IsZero() && !from.LeaseUntil.Before(seen):
		why = fmt.Sprintf("leased by %s until %s", from.Lease, from.LeaseUntil)
	case to.RecoveryPoint == order.PointNone && to.Add.Count > 0:
		why = "none, and AddOrder may have left"
	}
	return line, why
}

// grew finds the one line that was added; lines are kept by their time, and
// only the oldest are dropped.
func grew(from, to []order.Entry) (line order.Entry, ok bool) {
	from, to = order.LastLines(from), order.LastLines(to)
	if slices.Equal(from, to) {
		return line, true
	}
	for _, e := range slices.Backward(to) {
		if e.Times > 1 { // one more of the same
			e.Times, e.First = 0, time.Time{}
		}
		if slices.Equal(order.LastLines(append(slices.Clone(from), e)), to) {
			return e, true
		}
	}
	return line, false
}

// called says what is wrong with the nonces and keys of a callout.
func called(c change, keyed bool) string {
	var fresh order.Nonce
	for name, n := range c.to.Nonces {
		if c.base.Nonces[name] != n {
			if fresh.By != "" {
				return "two nonces at once"
			}
			fresh = n
		}
	}
	if fresh.By == "" {
		return "no new nonce"
	}
	now := c.line.At
	if now.IsZero() {
		now = fresh.Expiry
	}
	for name, n := range c.base.Nonces {
		if c.to.Nonces[name] != n && n.Expiry.After(now) {
			return "a live nonce was dropped"
		}
	}
	keys := c.base.Keys
	if keyed && len(c.to.Keys) > 0 {
		keys = append(slices.Clone(keys), c.to.Keys[len(c.to.Keys)-1])
	}
	if !slices.Equal(order.LastKeys(keys), order.LastKeys(c.to.Keys)) {
		return "a key was lost"
	}
	return ""
}

// planned frees what a worker may learn of an order: its account, the plan
// while none is pinned, and the services of the WHMCS order just found.
func planned(want *order.Record, c change) {
	want.AccountID, want.UpdatedAt, want.Search = c.to.AccountID, c.to.UpdatedAt, nil
	switch at := c.base.RecoveryPoint; {
	case at == order.PointNone, c.base.Plan == nil:
		want.Plan = c.to.Plan
	}
	if c.base.RecoveryPoint == order.PointAdded {
		want.ServiceIDs = c.to.ServiceIDs
	}
}

// searching frees what a search under way leaves to the next lease.
func searching(want *order.Record, c change) {
	if at := c.base.RecoveryPoint; at == order.PointAdding || at == order.PointAccepted {
		want.Search = c.to.Search
	}
}

// stamped says what is wrong with the stamp of an effect.
func stamped(before, after order.Sent, c change) string {
	switch {
	case after.Count != before.Count+1:
		return fmt.Sprintf("count %d after %d", after.Count, before.Count)
	case !after.Until.After(c.to.UpdatedAt) || !after.SettledAt.After(after.Until):
		return fmt.Sprintf("a window until %s, settled at %s", after.Until, after.SettledAt)
	case !over(before, c.to.UpdatedAt):
		return fmt.Sprintf("the last one is settled at %s", before.SettledAt)
	case c.to.Plan == nil:
		return "no plan"
	}
	return ""
}

// lacks says which line of the plan has not all of its services.
func lacks(r order.Record) string {
	want, seen := map[string]int{}, map[string]bool{}
	if r.Plan == nil || r.WHMCSOrderID == "" {
		return "no plan, or no WHMCS order"
	}
	for _, e := range r.Plan.Entries {
		want[e.ItemID] += e.Services
	}
	for item, ids := range r.ServiceIDs {
		for _, id := range ids {
			if id == "" || seen[id] {
				return "a service without id, or twice"
			}
			seen[id] = true
		}
		want[item] -= len(ids)
	}
	maps.DeleteFunc(want, func(_ string, n int) bool { return n == 0 })
	if len(want) > 0 {
		return fmt.Sprintf("lines and services differ: %v", want)
	}
	return ""
}

// failed says what is wrong with a failure.
func failed(c change) string {
	code, at := c.to.ErrorCode, c.base.RecoveryPoint
	places := map[fault.Code][]order.RecoveryPoint{
		fault.RetriesExhausted: {order.PointNone}, fault.NotProcessable: {order.PointNone}, fault.AddOutcomeUnknown: {order.PointAdding},
		fault.AcceptOutcomeUnknown: {order.PointAdded, order.PointAccepting}, fault.NotVerified: {order.PointAccepted},
		fault.ModuleFailed: {order.PointAccepting, order.PointAccepted},
	}
	switch only, ok := places[code]; {
	case !code.Listed() || !c.to.ErrorAt.Equal(c.to.UpdatedAt):
		return fmt.Sprintf("code %q at %s", code, c.to.ErrorAt)
	case ok && !slices.Contains(only, at):
		return fmt.Sprintf("%s at %s", code, at)
	case !code.Info().Review && at != order.PointNone && !(at == order.PointAdding && c.undone):
		return fmt.Sprintf("the plain code %s at %s", code, at)
	case at == order.PointAdding && !over(c.base.Add, c.to.UpdatedAt):
		return "AddOrder may be running"
	case at == order.PointAccepting && code == fault.AcceptOutcomeUnknown && !over(c.base.Accept, c.to.UpdatedAt):
		return "AcceptOrder may be running"
	case at == order.PointAccepting && code == fault.ModuleFailed && !c.answered:
		return "no AcceptOrder was answered"
	}
	return ""
}

// when returns why unless yes.
func when(yes bool, why string) string {
	if yes {
		return ""
	}
	return why
}
