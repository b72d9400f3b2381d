package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/provision/provisiontest"
)

// Random lives of a few orders, told to the table and to the store in memory:
// both answer the same, and hold the same, after every call.
func TestTheTableBehavesAsTheMemoryDoes(t *testing.T) {
	for _, e := range endpoints(t) {
		t.Run(e.name, func(t *testing.T) {
			rapid.Check(t, func(r *rapid.T) {
				table, _ := e.open(t)
				m := &machine{T: r, outer: t, table: table, memory: provisiontest.NewMemory(), now: epoch, held: map[order.ID]order.Record{}}
				m.claim(r)
				r.Repeat(map[string]func(*rapid.T){
					"claim": m.claim, "click": m.claim, "lease": m.lease, "write": m.write, "end": m.end,
					"note": m.note, "bump": m.bump, "resolve": m.resolve, "due": m.due, "control": m.control,
					"": m.agree,
				})
			})
		})
	}
}

type machine struct {
	*rapid.T
	outer  *testing.T
	table  provisiontest.Store
	memory provisiontest.Store
	now    time.Time
	n      int
	// touched is the order of the last call.
	touched order.ID
	// held has, per order, the last image that a worker was given: fresh or
	// stale, its lease standing or long lost.
	held map[order.ID]order.Record
	last order.Claim
}

// tick moves the clock, so that no two lines of a history share a moment.
func (m *machine) tick(r *rapid.T) {
	m.now = m.now.Add(time.Millisecond + rapid.SampledFrom([]time.Duration{0, 0, 456 * time.Microsecond, time.Second, time.Minute, 11 * time.Minute}).Draw(r, "pass"))
	m.n++
}

func (m *machine) id(r *rapid.T) order.ID {
	m.touched = id(m.outer, rapid.IntRange(1, 2).Draw(r, "order"))
	return m.touched
}

// compare wants both to have said the same.
func (m *machine) compare(what string, got, want any, gotErr, wantErr error) {
	m.Helper()
	if g, w := fault.CodeOf(gotErr), fault.CodeOf(wantErr); g != w {
		m.Fatalf("%s: the table says %v, the memory %v", what, gotErr, wantErr)
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(order.ID{}, order.Listing{}), cmpopts.IgnoreFields(order.Record{}, "Marks"), cmpopts.IgnoreFields(order.Control{}, "Probe")); d != "" {
		m.Fatalf("%s (-memory +table):\n%s", what, d)
	}
}

// agree compares what both hold of the order that was touched last.
func (m *machine) agree(*rapid.T) {
	ctx := m.outer.Context()
	got, ok, err := m.table.Get(ctx, m.touched)
	want, wok, werr := m.memory.Get(ctx, m.touched)
	m.compare("order", []any{got, ok}, []any{want, wok}, err, werr)
}

func (m *machine) claim(r *rapid.T) {
	m.tick(r)
	c := callout(m.id(r), m.n, fmt.Sprintf("k%d", rapid.SampledFrom([]int{1, 2, 3, m.n}).Draw(r, "key")), m.now)
	c.AccountID = rapid.SampledFrom([]string{"", "001000000000001AAA", "001000000000002AAA"}).Draw(r, "account")
	switch {
	case m.last.Nonce == "":
	case rapid.IntRange(0, 4).Draw(r, "repeat") == 0: // the SDK's own
		c = m.last
	case rapid.IntRange(0, 4).Draw(r, "replay") == 0:
		c.ID, c.Nonce = m.last.ID, m.last.Nonce
	}
	m.last, m.touched = c, c.ID
	got, err := m.table.Claim(m.outer.Context(), c)
	want, werr := m.memory.Claim(m.outer.Context(), c)
	m.compare("claim", got, want, err, werr)
}

func (m *machine) lease(r *rapid.T) {
	m.tick(r)
	id := m.id(r)
	l := order.Lease{Token: order.NewToken(), Now: m.now, Until: m.now.Add(2 * time.Minute), Margin: 5 * time.Second}
	if own, ok := m.held[id]; ok && rapid.IntRange(0, 5).Draw(r, "again") == 0 {
		l.Token = own.Lease
	}
	got, err := m.table.Lease(m.outer.Context(), id, l)
	want, werr := m.memory.Lease(m.outer.Context(), id, l)
	m.compare("lease", got, want, err, werr)
	if err == nil {
		m.held[id] = got
	}
}

func (m *machine) write(r *rapid.T) {
	m.tick(r)
	id := m.id(r)
	from, ok := m.held[id]
	if !ok {
		return
	}
	to := from
	at := func(name string) time.Time {
		return rapid.SampledFrom([]time.Time{{}, m.now, m.now.Add(time.Minute), epoch.Add(789 * time.Microsecond)}).Draw(r, name)
	}
	to.State = rapid.SampledFrom([]order.State{order.Working, order.Working, order.Waiting, order.Waiting, order.Failed, order.Provisioned}).Draw(r, "state")
	to.RecoveryPoint = rapid.SampledFrom([]order.RecoveryPoint{order.PointNone, order.PointAdding, order.PointAdded, order.PointAccepting, order.PointAccepted}).Draw(r, "point")
	for range rapid.IntRange(0, 4).Draw(r, "changes") {
		switch rapid.IntRange(0, 11).Draw(r, "change") {
		case 0:
			to.Add = order.Sent{Count: rapid.IntRange(0, 2).Draw(r, "adds"), Until: at("until"), SettledAt: at("settled")}
		case 1:
			to.Accept = order.Sent{Count: rapid.IntRange(0, 2).Draw(r, "accepts"), Until: at("until"), SettledAt: at("settled")}
		case 2:
			to.DueAt, to.LeaseUntil = at("due"), at("lease")
		case 3:
			to.ErrorCode, to.ErrorAt = rapid.SampledFrom([]fault.Code{"", fault.ModuleFailed, fault.WHMCSBusy}).Draw(r, "code"), at("at")
			to.ErrorMessage = rapid.StringN(0, 20, -1).Draw(r, "message")
		case 4:
			to.WHMCSOrderID = rapid.SampledFrom([]string{"", "77", "78"}).Draw(r, "whmcs")
		case 5:
			to.ServiceIDs = rapid.SampledFrom([]map[string][]string{nil, {}, {"i": {"1", "2"}}, {"i": {"1"}, "j": nil}}).Draw(r, "services")
		case 6:
			to.Plan = rapid.SampledFrom([]*order.Plan{nil, {}, {ClientID: 4, Entries: []order.PlanEntry{{Services: 1, Line: order.Line{CustomFields: map[string]string{"1": ""}}}}}}).Draw(r, "plan")
		case 7:
			to.ExpiresAt = at("expires")
		case 8:
			to.AccountID = rapid.SampledFrom([]string{"", "001000000000003AAA"}).Draw(r, "account")
		case 9:
			to.Word = rapid.SampledFrom([]order.Word{order.WordNone, order.WordAbsent, order.WordNamed, order.WordRerun, order.WordNamedRerun}).Draw(r, "word")
		case 10:
			to.Attempts, to.OpenedAt = rapid.IntRange(0, 3).Draw(r, "attempts"), at("opened")
		case 11:
			to.FirstAddAt, to.AcceptedAt = at("first"), at("accepted")
		}
	}
	s := order.Step{
		From: from, To: to, Now: m.now, Signal: rapid.SampledFrom([]order.Signal{order.SignalStatus, order.SignalLease, order.SignalNote, order.SignalQueued}).Draw(r, "signal"),
		Entry: order.Entry{Event: rapid.SampledFrom([]string{"", "step"}).Draw(r, "event"), Detail: rapid.StringN(0, 10, -1).Draw(r, "detail"), By: "provision"},
	}
	got, err := m.table.Write(m.outer.Context(), s)
	want, werr := m.memory.Write(m.outer.Context(), s)
	m.compare("write", got, want, err, werr)
	if err == nil && rapid.IntRange(0, 3).Draw(r, "stale") > 0 {
		m.held[id] = got
	}
}

// end leads the work of an order to one of its ends, so that failed and
// provisioned orders are met often.
func (m *machine) end(r *rapid.T) {
	m.tick(r)
	id := m.id(r)
	l := order.Lease{Token: order.NewToken(), Now: m.now, Until: m.now.Add(time.Minute), Margin: time.Second}
	from, err := m.table.Lease(m.outer.Context(), id, l)
	want, werr := m.memory.Lease(m.outer.Context(), id, l)
	m.compare("lease", from, want, err, werr)
	if err != nil {
		return
	}
	m.tick(r)
	to := from
	to.State = rapid.SampledFrom([]order.State{order.Failed, order.Failed, order.Failed, order.Provisioned}).Draw(r, "state")
	to.RecoveryPoint = rapid.SampledFrom([]order.RecoveryPoint{order.PointNone, order.PointAdding, order.PointAccepting}).Draw(r, "point")
	to.Add.Count, to.Add.Until, to.WHMCSOrderID = 1, m.now.Add(-30*time.Second), "77"
	to.ErrorCode, to.ErrorAt, to.ExpiresAt = rapid.SampledFrom([]fault.Code{fault.ModuleFailed, fault.OrderEmpty}).Draw(r, "code"), m.now, m.now.Add(time.Hour)
	s := order.Step{From: from, To: to, Now: m.now, Signal: order.SignalStatus, Entry: order.Entry{Event: "end"}}
	got, err := m.table.Write(m.outer.Context(), s)
	want, werr = m.memory.Write(m.outer.Context(), s)
	m.compare("write", got, want, err, werr)
	m.held[id] = got
}

func (m *machine) note(r *rapid.T) {
	id := m.id(r)
	for range rapid.SampledFrom([]int{1, 1, 1, 1, 1, 30}).Draw(r, "times") { // enough to fill a history now and then
		m.tick(r)
		e := order.Entry{At: m.now.Add(rapid.SampledFrom([]time.Duration{0, -time.Hour}).Draw(r, "skew")), Event: "note", Detail: fmt.Sprint(m.n)}
		m.compare("note", nil, nil, m.table.Note(m.outer.Context(), id, e), m.memory.Note(m.outer.Context(), id, e))
	}
}

func (m *machine) bump(r *rapid.T) {
	m.tick(r)
	id := m.id(r)
	atLeast := order.Seq(m.now.UnixMilli()) + rapid.SampledFrom([]order.Seq{-1, 0, 1, 1_000_000}).Draw(r, "atLeast")
	e := order.Entry{Event: rapid.SampledFrom([]string{"", "bumped"}).Draw(r, "event")}
	got, err := m.table.Bump(m.outer.Context(), id, atLeast, m.now, e)
	want, werr := m.memory.Bump(m.outer.Context(), id, atLeast, m.now, e)
	m.compare("bump", got, want, err, werr)
}

func (m *machine) resolve(r *rapid.T) {
	m.tick(r)
	s := order.Resolution{ID: m.id(r), By: "me", Why: "looked", Now: m.now}
	switch rapid.IntRange(0, 2).Draw(r, "way") {
	case 0:
		s.Adopt = "78"
	case 1:
		s.None = true
	case 2:
		s.Stop = true
	}
	got, err := m.table.Resolve(m.outer.Context(), s)
	want, werr := m.memory.Resolve(m.outer.Context(), s)
	m.compare("resolve", got, want, err, werr)
}

func (m *machine) due(r *rapid.T) {
	limit := rapid.IntRange(0, 4).Draw(r, "limit")
	got, err := m.table.Due(m.outer.Context(), m.now, limit)
	want, werr := m.memory.Due(m.outer.Context(), m.now, limit)
	m.compare("due", append([]order.ID{}, got...), append([]order.ID{}, want...), err, werr)
}

func (m *machine) control(r *rapid.T) {
	m.tick(r)
	ctx := m.outer.Context()
	side := rapid.SampledFrom([]order.Side{order.SideWHMCS, order.SideSalesforce}).Draw(r, "side")
	seen, err := m.table.Control(ctx, side)
	want, werr := m.memory.Control(ctx, side)
	m.compare("control", seen, want, err, werr)
	until := m.now.Add(rapid.SampledFrom([]time.Duration{0, 333 * time.Microsecond, 30 * time.Second}).Draw(r, "until"))
	if rapid.IntRange(0, 3).Draw(r, "stale") == 0 {
		seen.OpenUntil = seen.OpenUntil.Add(-time.Millisecond)
	}
	both := func(what string, call func(s provisiontest.Store) (bool, error)) {
		got, err := call(m.table)
		want, werr := call(m.memory)
		m.compare(what, got, want, err, werr)
	}
	change := func(s provisiontest.Store, do func(order.Control) (order.Control, bool)) (changed bool, err error) {
		_, err = s.ChangeControl(ctx, side, func(c order.Control) (next order.Control, write bool) {
			next, write = do(c)
			changed = write
			return next, write
		})
		return changed, err
	}
	switch rapid.IntRange(0, 6).Draw(r, "command") {
	case 0:
		both("pause", func(s provisiontest.Store) (bool, error) { return false, s.Pause(ctx, "why", "who", m.now) })
	case 1:
		both("resume", func(s provisiontest.Store) (bool, error) { return false, s.Resume(ctx, "who", m.now) })
	case 2:
		both("look before", func(s provisiontest.Store) (bool, error) { return false, s.LookBefore(ctx, until, "who", m.now) })
	case 3:
		both("open", func(s provisiontest.Store) (bool, error) {
			return change(s, func(c order.Control) (order.Control, bool) { return c.Opened(m.now, until, fault.WHMCSBusy, m.n) })
		})
	case 4:
		both("probe", func(s provisiontest.Store) (bool, error) {
			return change(s, func(c order.Control) (order.Control, bool) { return c.Probed(seen, until, "mine") })
		})
	case 5:
		both("close", func(s provisiontest.Store) (bool, error) {
			return change(s, func(c order.Control) (order.Control, bool) { return c.Closed(seen, m.now) })
		})
	case 6:
		both("fault", func(s provisiontest.Store) (bool, error) {
			return change(s, func(c order.Control) (order.Control, bool) { c.Faults++; return c, true })
		})
	}
	seen, err = m.table.Control(ctx, side)
	want, werr = m.memory.Control(ctx, side)
	m.compare("control", seen, want, err, werr)
}
