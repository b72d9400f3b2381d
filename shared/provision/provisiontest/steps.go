package provisiontest

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"orderbridge/shared/order"
)

// Steps says whether each write of an order is a step of the protocol: a row of
// the table in package provision, a callout, a lease, or a person's word. It
// reads images alone, so it watches the real table's stream as well as the
// store in memory. It is safe for concurrent use.
type Steps struct {
	mu   sync.Mutex
	last map[order.ID]order.Record
	// flying names the effect whose stamp is the last write of the worker that
	// holds the order: its answer is not known to the table yet. Only directly
	// after it may a count fall, because only its sender knows that nothing left.
	flying map[order.ID]string
}

// NewSteps returns a Steps that has seen nothing.
func NewSteps() *Steps {
	return &Steps{last: map[order.ID]order.Record{}, flying: map[order.ID]string{}}
}

// Saw judges the write that made the image; at is when it was made, or the zero
// time if that is not known. An image that was seen before says nothing. The
// error says which write is no step, and what it changed.
func (s *Steps) Saw(to order.Record, at time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	from := s.last[to.ID]
	if !from.ID.IsZero() && to.Version <= from.Version && to.CreatedAt.Equal(from.CreatedAt) {
		if to.Version == from.Version && len(changed(from, to)) > 0 {
			return fmt.Errorf("order %s: version %d was written twice: %v", to.ID, to.Version, changed(from, to))
		}
		return nil
	}
	if !to.CreatedAt.Equal(from.CreatedAt) {
		from = order.Record{} // another life of the order: the table has forgotten the former
	}
	c := change{from: from, to: to, at: at, flying: s.flying[to.ID], fields: changed(from, to)}
	s.last[to.ID] = to
	name, err := c.judge()
	switch {
	case name == "stamp AddOrder":
		s.flying[to.ID] = "AddOrder"
	case name == "stamp AcceptOrder":
		s.flying[to.ID] = "AcceptOrder"
	case !slices.Contains([]string{"click", "note", "bump", "again"}, name): // these change nothing of it
		delete(s.flying, to.ID)
	}
	if err != nil {
		return fmt.Errorf("order %s, version %d: %w", to.ID, to.Version, err)
	}
	return nil
}

// change is one write: from the image before it (zero: no item) to the one after.
type change struct {
	from, to order.Record
	at       time.Time
	flying   string
	fields   []string // that differ, but for those that every write may change
}

// changed returns the names of the record's fields that differ. Version, Marks,
// Signal, UpdatedAt, Seq and History are judged for every write alike.
func changed(from, to order.Record) (names []string) {
	a, b := reflect.ValueOf(from.Normal()), reflect.ValueOf(to.Normal())
	for i := range a.NumField() {
		switch name := a.Type().Field(i).Name; name {
		case "Version", "Marks", "Signal", "UpdatedAt", "Seq", "History":
		default:
			if !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
				names = append(names, name)
			}
		}
	}
	return names
}

// step is one kind of write: the fields that it may change, and what must hold.
type step struct {
	name string
	may  string // fields, separated by blanks
	why  func(c change) string
}

// judge returns the name of the step that the write is.
func (c change) judge() (string, error) {
	if why := c.always(); why != "" {
		return "", fmt.Errorf("%s (changed %s)", why, strings.Join(c.fields, ", "))
	}
	var reasons []string
	for _, s := range steps() {
		may := strings.Fields(s.may)
		if i := slices.IndexFunc(c.fields, func(f string) bool { return !slices.Contains(may, f) }); i >= 0 {
			continue
		}
		why := s.why(c)
		if why == "" {
			return s.name, nil
		}
		reasons = append(reasons, s.name+": "+why)
	}
	return "", fmt.Errorf("no step changes %s (%s to %s, %s to %s, signal %s): %s", strings.Join(c.fields, ", "),
		c.from.State, c.to.State, c.from.RecoveryPoint, c.to.RecoveryPoint, c.to.Signal, strings.Join(reasons, "; "))
}

// first returns the reason of the first rule that is broken.
func first(rules ...any) string {
	for i := 0; i < len(rules); i += 2 {
		if !rules[i].(bool) {
			return rules[i+1].(string)
		}
	}
	return ""
}

// always are the rules of every write.
func (c change) always() string {
	a, b := c.from, c.to
	created := a.ID.IsZero()
	return first(
		b.Version == a.Version+1, "the version does not grow by one",
		created || b.ID == a.ID && b.CreatedAt.Equal(a.CreatedAt), "id or creation changed",
		b.Seq >= a.Seq, "seq falls",
		b.Signal.Visible() == (b.Seq > a.Seq), "seq and signal disagree",
		b.Fence == a.Fence || b.Fence == a.Fence+1 && b.Lease != a.Lease, "the fence jumps, or grows without a lease",
		(b.Lease == a.Lease) == (b.Fence == a.Fence), "lease and fence disagree",
		b.State.Open() == !b.DueAt.IsZero(), "due_at and state disagree",
		(b.State == order.Working) == !b.LeaseUntil.IsZero() || b.State == order.Failed, "lease_until and state disagree",
		b.RecoveryPoint.Valid() && b.Word.Valid() && b.State.Status() != order.StatusPendingReview, "unknown state, point or word",
		b.ExpiresAt.IsZero() || order.Forgettable(b.State, b.RecoveryPoint), "an order that may exist in WHMCS will be forgotten",
		b.State.Open() || !order.Forgettable(b.State, b.RecoveryPoint) || !b.ExpiresAt.IsZero(), "an ended order is never forgotten",
		b.Add.Until.IsZero() == b.Add.SettledAt.IsZero() && !b.Add.SettledAt.Before(b.Add.Until), "AddOrder ends before its window",
		b.Accept.Until.IsZero() == b.Accept.SettledAt.IsZero() && !b.Accept.SettledAt.Before(b.Accept.Until), "AcceptOrder ends before its window",
		b.RecoveryPoint == order.PointNone || b.RecoveryPoint == order.PointAdding || b.WHMCSOrderID != "", "past adding without a WHMCS order",
		historyGrows(a.History, b.History), "a line of the history is lost or changed",
	)
}

// historyGrows reports whether b is a, perhaps with one line more, less the
// oldest ones beyond the limit.
func historyGrows(a, b []order.Entry) bool {
	left, more := slices.Clone(a), []order.Entry{}
	for _, e := range b {
		if i := slices.Index(left, e); i >= 0 {
			left = slices.Delete(left, i, i+1)
		} else {
			more = append(more, e)
		}
	}
	if len(more) > 1 {
		return false
	}
	want := order.LastLines(append(slices.Clone(a), more...))
	return slices.Equal(b, want) || slices.Equal(b, append(slices.Clone(a), more...)) // a click does not trim
}

// fenced says that the holder of the lease wrote.
func (c change) fenced() bool {
	return c.from.State == order.Working && c.to.Lease == c.from.Lease && c.to.Fence == c.from.Fence
}

// settled reports whether an effect that may have left has ended.
func (c change) settled(s order.Sent) bool {
	return s.SettledAt.IsZero() || c.at.IsZero() || s.SettledAt.Before(c.at.Add(2*order.MaxSkew))
}

// planPinned reports whether the plan is as it was, or was not pinned yet.
func (c change) planPinned() bool {
	return c.from.Plan == nil || c.from.RecoveryPoint == order.PointNone || reflect.DeepEqual(c.from.Plan, c.to.Plan)
}

// sentKept reports whether what may have left is as it was; a count falls, by
// one, only directly after its own stamp, and a window is dropped only then or
// when it is over.
func (c change) sentKept() string {
	one := func(name string, a, b order.Sent) string {
		if a == b {
			return ""
		}
		flying := c.flying == name
		return first(
			b.Until.IsZero(), name+": a window changes without a stamp",
			b.Count == a.Count || flying && b.Count == a.Count-1, name+": its count changes",
			flying || c.settled(a), name+": it is forgotten before it has ended",
		)
	}
	if why := one("AddOrder", c.from.Add, c.to.Add); why != "" {
		return why
	}
	return one("AcceptOrder", c.from.Accept, c.to.Accept)
}

// moved reports whether the worker may have gone from the one point to the other
// without a stamp: forward by what it read or was answered, or back directly
// after a stamp that did nothing.
func (c change) moved() bool {
	type way [2]order.RecoveryPoint
	at := way{c.from.RecoveryPoint, c.to.RecoveryPoint}
	forward := []way{{order.PointAdding, order.PointAdded}, {order.PointAdded, order.PointAccepted}, {order.PointAccepting, order.PointAccepted}}
	back := map[string][]way{
		"AddOrder":    {{order.PointAdding, order.PointNone}, {order.PointAdding, order.PointAccepted}},
		"AcceptOrder": {{order.PointAccepting, order.PointAdded}},
	}
	return at[0] == at[1] || slices.Contains(forward, at) || slices.Contains(back[c.flying], at)
}

// nonceAdded reports whether exactly one nonce was added, and none dropped that
// another callout could still replay.
func (c change) nonceAdded() bool {
	added := 0
	for n, v := range c.to.Nonces {
		if old, there := c.from.Nonces[n]; !there || old != v {
			added++
		}
	}
	for n, v := range c.from.Nonces {
		if _, kept := c.to.Nonces[n]; !kept && !c.at.IsZero() && v.Expiry.After(c.at.Add(2*order.MaxSkew)) {
			return false
		}
	}
	return added == 1
}

// effectStamp is the write before a send.
func effectStamp(name string, sending order.RecoveryPoint, sent func(order.Record) order.Sent, before ...order.RecoveryPoint) step {
	return step{"stamp " + name, "RecoveryPoint LeaseUntil Plan Add Accept FirstAddAt Word WHMCSOrderID ServiceIDs AcceptedAt AccountID", func(c change) string {
		a, b := sent(c.from), sent(c.to)
		again := c.flying == name // the former one was not sent: the same count is stamped once more
		return first(
			c.fenced() && c.to.State == order.Working && c.to.RecoveryPoint == sending, "not the worker's",
			c.to.Signal == order.SignalLease, "it wakes others",
			again || slices.Contains(before, c.from.RecoveryPoint) || c.flying == "AddOrder" && c.from.RecoveryPoint == order.PointAdding, "from the wrong point",
			b.Count == a.Count+1 || again && b.Count == a.Count, "the count does not grow by one",
			b.Until.After(a.Until), "the window does not move",
			!b.SettledAt.Before(a.SettledAt), "it ends before the former one",
			again || c.from.RecoveryPoint != sending || c.settled(a), "the former one has not ended",
			c.to.Plan != nil && c.planPinned(), "the plan is not pinned",
			!c.to.Word.Absent() && (name != "AcceptOrder" || !c.to.Word.Rerun()), "a person's word is not used up",
			name == "AddOrder" && c.to.Accept == c.from.Accept || name == "AcceptOrder" && c.to.Add.Count == c.from.Add.Count, "it touches the other effect",
			name == "AcceptOrder" || c.to.WHMCSOrderID == c.from.WHMCSOrderID && !c.to.FirstAddAt.IsZero(), "AddOrder with a WHMCS order, or without its first time",
		)
	}}
}

// steps are the kinds of writes; the names in brackets are rows of the table in
// package provision.
func steps() []step {
	const work = "RecoveryPoint LeaseUntil DueAt Plan Add Accept FirstAddAt Word WHMCSOrderID ServiceIDs AcceptedAt AccountID Attempts ErrorCode ErrorMessage ErrorAt State"
	open := func(r order.Record) bool { return r.State.Open() }
	return []step{
		{"first callout", "ID State RecoveryPoint OpenedAt DueAt Keys Nonces AccountID CreatedAt", func(c change) string {
			return first(
				c.from.ID.IsZero() && c.to.State == order.Queued && c.to.RecoveryPoint == order.PointNone, "not the first",
				len(c.to.Keys) == 1 && len(c.to.Nonces) == 1 && c.to.DueAt.Equal(c.to.OpenedAt), "without key, nonce or time",
			)
		}},
		{"click", "Keys Nonces AccountID", func(c change) string {
			return first(
				!c.from.ID.IsZero() && c.to.Signal == order.SignalNote && c.nonceAdded(), "no callout",
				c.from.AccountID == "" || c.to.AccountID == c.from.AccountID, "the account changes",
			)
		}},
		{"reopen", "State Keys Nonces AccountID OpenedAt DueAt Attempts LeaseUntil ExpiresAt Word", func(c change) string {
			word := c.from.Word
			if c.from.ErrorCode == "module_failed" && c.from.RecoveryPoint == order.PointAccepting {
				word = word.WithRerun()
			}
			return first(
				c.from.State == order.Failed && c.to.State == order.Queued && c.to.Signal == order.SignalQueued, "not failed",
				c.nonceAdded() && !slices.Contains(c.from.Keys, c.to.Keys[len(c.to.Keys)-1]), "by a key that was seen",
				c.to.Attempts == 0 && c.to.LeaseUntil.IsZero() && c.to.Word == word, "tries, lease or word",
			)
		}},
		{"lease", "State Lease Fence LeaseUntil DueAt Attempts", func(c change) string {
			return first(
				open(c.from) && c.to.State == order.Working && c.to.Fence == c.from.Fence+1, "not of an open order",
				c.to.Attempts == c.from.Attempts+1 && !c.to.DueAt.Before(c.to.LeaseUntil), "without a try, or due before its end",
				c.from.LeaseUntil.IsZero() || c.at.IsZero() || c.from.LeaseUntil.Before(c.at.Add(order.MaxSkew)), "the former one still stands",
			)
		}},
		{"renew [any/renew]", "LeaseUntil AccountID RecoveryPoint Plan Add Accept FirstAddAt Word WHMCSOrderID ServiceIDs AcceptedAt", func(c change) string {
			return first(
				c.fenced() && c.to.LeaseUntil.After(c.from.LeaseUntil) && c.to.Signal == order.SignalLease, "not longer",
				c.moved() && c.planPinned(), "point or plan", c.sentKept() == "", c.sentKept())
		}},
		effectStamp("AddOrder", order.PointAdding, func(r order.Record) order.Sent { return r.Add }, order.PointNone, order.PointAdding),
		effectStamp("AcceptOrder", order.PointAccepting, func(r order.Record) order.Sent { return r.Accept }, order.PointAdded, order.PointAccepting),
		{"search first [none/look-before, none/salesforce-holds-id]", "RecoveryPoint Add AccountID Plan FirstAddAt Word", func(c change) string {
			return first(
				c.fenced() && c.to.RecoveryPoint == order.PointAdding && c.to.Add == order.Sent{} && c.to.Signal == order.SignalLease, "not a search",
				c.from.RecoveryPoint == order.PointNone || c.flying == "AddOrder" && c.from.Add.Count == 1, "something may have left")
		}},
		{"adopt [adding/found]", "RecoveryPoint WHMCSOrderID Plan AccountID Add Word FirstAddAt", func(c change) string {
			return first(
				c.fenced() && c.from.RecoveryPoint == order.PointAdding && c.to.RecoveryPoint == order.PointAdded && c.to.Signal == order.SignalLease, "not at adding",
				c.to.Plan != nil && c.planPinned(), "the plan is not pinned", c.sentKept() == "", c.sentKept())
		}},
		{"park [waiting]", work, func(c change) string {
			return first(
				c.fenced() && c.to.State == order.Waiting && c.to.Signal == order.SignalLease, "not parked",
				c.to.Attempts == c.from.Attempts || c.to.Attempts == max(c.from.Attempts-1, 0), "tries",
				c.moved(), "the point jumps",
				c.planPinned() || c.flying == "AddOrder" && c.to.Add.Count == 0, "the plan changes",
				c.to.Word == c.from.Word || c.flying != "" || c.to.Word == c.from.Word.WithoutRerun() && c.to.RecoveryPoint == order.PointAccepted, "a word is lost",
				c.to.WHMCSOrderID == c.from.WHMCSOrderID || c.from.RecoveryPoint == order.PointAdding && c.to.RecoveryPoint != order.PointAdding, "the WHMCS order changes",
				c.sentKept() == "", c.sentKept())
		}},
		{"fail [failed]", work + " ExpiresAt", func(c change) string {
			info := c.to.ErrorCode.Info()
			refused := c.flying == "AddOrder" && c.to.Add.Count < c.from.Add.Count
			return first(
				c.fenced() && c.to.State == order.Failed && c.to.Signal == order.SignalStatus, "not failed",
				c.to.ErrorCode.Listed() && c.to.ErrorMessage != "" && !c.to.ErrorAt.IsZero(), "without code, text or time",
				info.Review || c.to.RecoveryPoint == order.PointNone || c.to.RecoveryPoint == order.PointAdding && refused, "a plain code although something may exist",
				c.moved(), "the point jumps",
				c.planPinned() || refused, "the plan changes",
				!c.to.Word.Rerun(), "the consent is kept",
				c.to.Attempts == c.from.Attempts, "tries",
				c.sentKept() == "", c.sentKept())
		}},
		{"provisioned [accepted/verified]", work + " ExpiresAt", func(c change) string {
			return first(
				c.fenced() && c.to.State == order.Provisioned && c.to.Signal == order.SignalStatus && c.to.RecoveryPoint == order.PointAccepted, "not provisioned",
				c.from.RecoveryPoint != order.PointNone && (c.from.RecoveryPoint != order.PointAdding || c.flying == "AddOrder"), "never accepted",
				c.to.Plan != nil && c.planPinned() && servicesOf(c.to), "services are missing",
				c.to.ErrorCode == "" && c.to.WHMCSOrderID != "", "with an error, or without a WHMCS order",
				c.from.RecoveryPoint == order.PointAdding || c.to.WHMCSOrderID == c.from.WHMCSOrderID, "the WHMCS order changes",
				c.to.Add.Count == c.from.Add.Count && c.to.Accept.Count == c.from.Accept.Count, "a count changes")
		}},
		{"resolve adopt", "State OpenedAt DueAt Attempts LeaseUntil ExpiresAt RecoveryPoint WHMCSOrderID Word ServiceIDs AcceptedAt", func(c change) string {
			return first(
				c.from.State == order.Failed && c.to.State == order.Queued && c.to.Signal == order.SignalQueued, "not failed",
				c.to.Word == order.WordNamed && c.to.WHMCSOrderID != "" && c.to.RecoveryPoint == c.from.AfterAdopting(c.to.WHMCSOrderID), "without the order named")
		}},
		{"resolve none", "State OpenedAt DueAt Attempts LeaseUntil ExpiresAt RecoveryPoint WHMCSOrderID Word ServiceIDs AcceptedAt Add Plan", func(c change) string {
			return first(
				c.from.State == order.Failed && c.to.State == order.Queued && c.to.Signal == order.SignalQueued, "not failed",
				c.to.Word == order.WordAbsent && c.to.RecoveryPoint == order.PointNone && c.to.Add.Count == 0 && c.to.Plan == nil && c.to.WHMCSOrderID == "", "something is left",
				c.settled(c.from.Add), "AddOrder may still run")
		}},
		{"resolve stop", "ErrorCode ErrorMessage ErrorAt", func(c change) string {
			return first(c.from.State == order.Failed && c.to.ErrorCode == "stopped" && c.to.Signal == order.SignalStatus, "not a stop")
		}},
		{"again", "", func(c change) string { // the table's answer was lost, and the worker wrote the same once more
			return first(c.fenced() && c.to.State == order.Working && c.to.Signal == order.SignalLease, "not the worker's")
		}},
		{"bump", "", func(c change) string {
			return first(!c.from.ID.IsZero() && c.to.Signal == order.SignalStatus, "not a bump")
		}},
		{"note", "", func(c change) string {
			return first(!c.from.ID.IsZero() && c.to.Signal == order.SignalNote, "not a note")
		}},
	}
}

// servicesOf reports whether each line of the plan has its services.
func servicesOf(r order.Record) bool {
	want := map[string]int{}
	for _, e := range r.Plan.Entries {
		want[e.ItemID] += e.Services
	}
	got := map[string]int{}
	for item, ids := range r.ServiceIDs {
		got[item] = len(ids)
	}
	return maps.Equal(want, got)
}
