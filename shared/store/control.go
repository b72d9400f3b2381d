package store

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// control is the switch of one side as it is stored; docs/data-model.md
// describes each attribute.
type control struct {
	PK         string           `json:"pk"`
	Table      string           `json:"table,omitempty"`
	Version    int64            `json:"version,omitempty"`
	Marks      []order.Token    `json:"marks,omitempty"`
	Paused     bool             `json:"paused,omitempty"`
	Reason     string           `json:"reason,omitempty"`
	By         string           `json:"by,omitempty"`
	At         iso              `json:"at,omitempty"`
	Holds      []hold           `json:"holds,omitempty"`
	OpenUntil  millis           `json:"open_until,omitempty"`
	Why        string           `json:"why,omitempty"`
	Probe      string           `json:"probe,omitempty"`
	Fails      int              `json:"fails,omitempty"`
	Faults     int              `json:"faults,omitempty"`
	Unsure     map[string]int   `json:"unsure,omitempty"`
	Doubts     map[string]doubt `json:"doubts,omitempty"`
	OpenedAt   iso              `json:"open_since,omitempty"`
	ClosedAt   iso              `json:"closed_at,omitempty"`
	LookBefore iso              `json:"look_before,omitempty"`
	Confirmed  iso              `json:"confirmed_until,omitempty"`
	Asked      iso              `json:"asked_until,omitempty"`
	History    []entry          `json:"history,omitempty"`
}

type hold struct {
	By     string `json:"by"`
	Reason string `json:"reason"`
	At     iso    `json:"at"`
}

// doubt is what unsure does not say of an effect; a version of before it writes
// and reads unsure alone.
type doubt struct {
	Until  millis `json:"until,omitempty"`
	Canary string `json:"canary,omitempty"`
	Fails  int    `json:"fails,omitempty"`
	Since  iso    `json:"since,omitempty"`
	Why    string `json:"why,omitempty"`
}

func controlOf(c order.Control) control {
	v := control{
		PK: controlKey(c.Side), Paused: c.Paused, Reason: c.Reason, By: c.By, At: isoOf(c.At),
		OpenUntil: millisOf(c.OpenUntil), Why: string(c.Why), Probe: string(c.Probe), Fails: c.Fails, Faults: c.Faults,
		OpenedAt: isoOf(c.OpenedAt),
		ClosedAt: isoOf(c.ClosedAt), LookBefore: isoOf(c.LookBefore),
		Confirmed: isoOf(c.ConfirmedUntil), Asked: isoOf(c.AskedUntil), History: entries(c.History),
	}
	for _, h := range c.Holds {
		v.Holds = append(v.Holds, hold{h.By, h.Reason, isoOf(h.At)})
	}
	if len(c.Unsure) > 0 {
		v.Unsure, v.Doubts = map[string]int{}, map[string]doubt{}
	}
	for effect, d := range c.Unsure {
		v.Unsure[effect] = d.InRow
		v.Doubts[effect] = doubt{millisOf(d.Until), string(d.Canary), d.Fails, isoOf(d.Since), string(d.Why)}
	}
	return v
}

func (v control) control(side order.Side) order.Control {
	c := order.Control{
		Side: side, Paused: v.Paused, Reason: v.Reason, By: v.By, At: v.At.time(),
		OpenUntil: v.OpenUntil.time(), Why: fault.Code(v.Why), Probe: order.Token(v.Probe), Fails: v.Fails, Faults: v.Faults,
		OpenedAt: v.OpenedAt.time(),
		ClosedAt: v.ClosedAt.time(), LookBefore: v.LookBefore.time(),
		ConfirmedUntil: v.Confirmed.time(), AskedUntil: v.Asked.time(),
	}
	for _, h := range v.Holds {
		c.Holds = append(c.Holds, order.Hold{By: h.By, Reason: h.Reason, At: h.At.time()})
	}
	if len(v.Unsure) > 0 {
		c.Unsure = map[string]order.Doubt{}
	}
	for effect, n := range v.Unsure {
		d := v.Doubts[effect]
		c.Unsure[effect] = order.Doubt{InRow: n, Until: d.Until.time(), Canary: order.Token(d.Canary), Fails: d.Fails, Since: d.Since.time(), Why: fault.Code(d.Why)}
	}
	if len(v.History) > 0 {
		c.History = lines(v.History)
	}
	return c
}

// readControl decodes a switch. A person writes look_before by hand after a
// restore: one that cannot be read means that every order is searched for, since
// it must neither stop the work nor be passed over.
func readControl(item attributes) (control, error) {
	const name = "look_before"
	if a, ok := item[name]; ok {
		text, isText := a.(*types.AttributeValueMemberS)
		if !isText || text.Value != "" && iso(text.Value).time().IsZero() {
			item = maps.Clone(item)
			item[name] = &types.AttributeValueMemberS{Value: string(isoOf(order.LookAlways()))}
		}
	}
	var v control
	err := unmarshal(item, &v)
	return v, err
}

// Control reads the switch of one side, strongly consistent; a missing item is
// the zero Control of that side. Errors: store_unavailable, internal_error.
func (s *Store) Control(ctx context.Context, side order.Side) (order.Control, error) {
	item, err := s.get(ctx, controlKey(side), everything)
	var v control
	if err == nil {
		v, err = readControl(item)
	}
	if err != nil {
		return order.Control{Side: side}, err
	}
	return v.control(side), nil
}

// ChangeControl replaces the switch of one side by what do makes of it, unless
// do says that nothing is to be written, and returns the switch as it then is.
// do is called again, on the fresh switch, when another writer came first; it
// must not have effects. Errors: store_unavailable: it may have been written.
func (s *Store) ChangeControl(ctx context.Context, side order.Side, do func(order.Control) (next order.Control, write bool)) (order.Control, error) {
	return s.changeControl(ctx, "change control of "+string(side), side, func(seen control) (control, bool, error) {
		next, write := do(seen.control(side))
		v := controlOf(next)
		v.Table = seen.Table
		return v, write, nil
	})
}

// changeControl is ChangeControl on the item; an error of do ends it.
func (s *Store) changeControl(ctx context.Context, doing string, side order.Side, do func(seen control) (next control, write bool, err error)) (order.Control, error) {
	mark := newMark()
	item, err := s.get(ctx, controlKey(side), everything)
	for range maxTries {
		var seen control
		if err == nil {
			seen, err = readControl(item)
		}
		if err != nil {
			return order.Control{Side: side}, err
		}
		if slices.Contains(seen.Marks, mark) {
			return seen.control(side), nil
		}
		v, write, err := do(seen)
		if !write || err != nil {
			return seen.control(side), err
		}
		v.Version, v.Marks = seen.Version+1, addMark(seen.Marks, mark)
		next, applied, err := s.put(ctx, doing, marshal(v), unmoved(seen.PK != "", seen.Version))
		if applied || err != nil {
			return v.control(side), err
		}
		item = next
	}
	return order.Control{Side: side}, contended(doing)
}

// foundLate is how old a change must be for the table to count as one that was in
// use before its switch was made: the clock makes the switch in the first minute
// of an installation, when a first click may have been recorded already.
const foundLate = 10 * time.Minute

// Begin makes the switch of WHMCS belong to this table, once, before any work: a
// new installation gets one, and a table that was brought back from a backup is
// paused (Control.Restored). A restored table never has the name of the one that
// was backed up (DynamoDB Developer Guide, "Point-in-time recovery: how it
// works"), and its switch, if it has one, names that one. restored says that it
// was found to be so now. Errors: store_unavailable, internal_error.
func (s *Store) Begin(ctx context.Context, now time.Time) (restored bool, err error) {
	_, err = s.changeControl(ctx, "begin on table", order.SideWHMCS, func(seen control) (v control, write bool, err error) {
		restored = false
		if seen.Table == s.table {
			return v, false, nil
		}
		found := seen.Table != ""
		if !found {
			if found, err = s.usedBefore(ctx, now.Add(-foundLate)); err != nil {
				return v, false, err
			}
		}
		c := seen.control(order.SideWHMCS)
		if found {
			if c, err = c.Restored(seen.Table, now); err != nil {
				return v, false, err
			}
		}
		restored = found
		v = controlOf(c)
		v.Table = s.table
		return v, true, nil
	})
	return restored && err == nil, err
}

// usedBefore reports whether an order of the table was changed last before a time.
func (s *Store) usedBefore(ctx context.Context, at time.Time) (bool, error) {
	for shard := range int64(refusedShard + 1) {
		rows, _, err := s.indexed(ctx, indexConfirm, shard, time.Time{}, at, 1)
		if err != nil || len(rows) > 0 {
			return len(rows) > 0, err
		}
	}
	return false, nil
}

// Pause keeps every order from being worked on until its hold is released:
// callouts are still accepted. Errors: store_unavailable; internal_error without a time.
func (s *Store) Pause(ctx context.Context, reason, by string, at time.Time) error {
	return s.command(ctx, order.SideWHMCS, func(c order.Control) (order.Control, error) { return c.Pause(reason, by, at) })
}

// Release ends the hold of one person: Control.Release. Errors: state_changed;
// store_unavailable; internal_error without a time.
func (s *Store) Release(ctx context.Context, of, by string, at time.Time) error {
	return s.command(ctx, order.SideWHMCS, func(c order.Control) (order.Control, error) { return c.Release(of, by, at) })
}

// Resume ends every hold. Errors: store_unavailable; internal_error without a time.
func (s *Store) Resume(ctx context.Context, by string, at time.Time) error {
	return s.command(ctx, order.SideWHMCS, func(c order.Control) (order.Control, error) { return c.Resume(by, at) })
}

// LookBefore makes orders created before that time be searched in WHMCS even
// at none; the zero time ends that. Errors: store_unavailable; internal_error
// without a time.
func (s *Store) LookBefore(ctx context.Context, before time.Time, by string, at time.Time) error {
	return s.command(ctx, order.SideWHMCS, func(c order.Control) (order.Control, error) { return c.WithLookBefore(before, by, at) })
}

// Reconcile makes StatusPushFunction compare every change since that time with
// what Salesforce shows, within minutes. Errors: store_unavailable;
// internal_error without a time.
func (s *Store) Reconcile(ctx context.Context, since time.Time, by string, at time.Time) error {
	return s.command(ctx, order.SideSalesforce, func(c order.Control) (order.Control, error) { return c.Reconcile(since, by, at) })
}

func (s *Store) command(ctx context.Context, side order.Side, do func(order.Control) (order.Control, error)) error {
	var refused error
	_, err := s.ChangeControl(ctx, side, func(c order.Control) (next order.Control, write bool) {
		next, refused = do(c)
		return next, refused == nil
	})
	if err != nil {
		return err
	}
	return refused
}
