package provision

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

var noon = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// moment is what decide is asked in one row; a row starts from an order that
// was leased a second ago and of which everything is known that can be.
type moment struct {
	r order.Record
	f facts
	c Config
}

func newMoment(t *testing.T) *moment {
	t.Helper()
	id, err := order.ParseID("801000000000001")
	if err != nil {
		t.Fatal(err)
	}
	lines := []order.Line{{ItemID: "802000000000001AAA", ProductID: 1, Cycle: order.Monthly, Quantity: 1}}
	return &moment{
		r: order.Record{ID: id, State: order.Working, RecoveryPoint: order.PointNone, Lease: "mine", Fence: 1, Attempts: 1,
			LeaseUntil: noon.Add(149 * time.Second), CreatedAt: noon.Add(-time.Minute), OpenedAt: noon.Add(-time.Minute)},
		f: facts{deadline: noon.Add(10 * time.Minute), renewed: noon.Add(-time.Second), random: 0.5, whmcsAt: noon.Add(-time.Second),
			salesforce: &admission{}, request: &order.Request{ID: id, ClientID: 7, AccountID: "001000000000001AAA", Lines: lines},
			account: "001000000000001AAA", products: map[int64]order.ProductInfo{1: {ProductID: 1}}},
		c: Config{Lease: 150 * time.Second, Window: 15 * time.Second, Margin: 5 * time.Second, Settle: 300 * time.Second, AcceptSettle: 900 * time.Second,
			AddTimeout: 60 * time.Second, AcceptTimeout: 120 * time.Second, RetryBase: 60 * time.Second, GiveUp: GiveUp, VerifyFor: VerifyFor,
			Resend: true, PaymentMethod: "mailin", Retention: 400 * 24 * time.Hour},
	}
}

// at puts the order at a recovery point that it reached undisturbed.
func (m *moment) at(p order.RecoveryPoint) *moment {
	m.r.RecoveryPoint = p
	if p == order.PointNone {
		return m
	}
	m.r.Plan = &order.Plan{ClientID: 7, PaymentMethod: "mailin", Entries: []order.PlanEntry{{Line: m.f.request.Lines[0], Services: 1}}}
	m.r.FirstAddAt = noon.Add(-time.Minute)
	m.r.Add = order.Sent{Count: 1, Until: noon.Add(-10 * time.Minute), SettledAt: noon.Add(-time.Minute)}
	if p == order.PointAdding {
		return m
	}
	m.r.WHMCSOrderID = "77"
	if p != order.PointAdded {
		m.r.Accept = order.Sent{Count: 1, Until: noon.Add(-20 * time.Minute), SettledAt: noon.Add(-time.Minute)}
	}
	status := order.BillingPending
	if p == order.PointAccepted {
		status, m.r.AcceptedAt = order.BillingActive, noon.Add(-time.Second)
	}
	m.shows(status)
	m.f.seen.failures = map[string]string{}
	return m
}

// shows makes WHMCS show the known order.
func (m *moment) shows(status order.BillingStatus) {
	service := order.BillingService{ID: "5", ProductID: 1, Cycle: order.Monthly, Quantity: 1, Status: string(status)}
	m.f.seen.order = &lookup{order.BillingOrder{ID: "77", ClientID: 7, Status: status, Marker: order.ReadMarker(m.r.ID.Marker()), Services: []order.BillingService{service}}, true}
}

// finds makes the listings of WHMCS stable, with these orders.
func (m *moment) finds(all ...order.BillingOrder) {
	over := order.Readings{N: 2, Last: all, Complete: true, Stable: true}
	m.f.seen.search = order.Search{ClientID: 7, OfClient: over, OfAll: over}
}

func (m *moment) ours(id string, status order.BillingStatus) order.BillingOrder {
	return order.BillingOrder{ID: id, ClientID: 7, Status: status, Marker: order.ReadMarker(m.r.ID.Marker()), Date: noon}
}

// sent makes an effect have been sent a second ago, with this answer.
func (m *moment) sent(e *Effect, err error) {
	before := m.r
	m.r, _ = e.stamp(m.r, noon.Add(-time.Second), m.c)
	m.f.seen = seen{}
	m.f.answer = &answer{effect: e, before: before, result: "77", err: err}
}

func (m *moment) fails(err error, tries int) {
	m.f.failed = &failure{side: order.SideWHMCS, err: err, tries: tries}
}

// summary is a move in one line: what is written (or staged), and what follows.
func summary(m Move, c Config) string {
	var b strings.Builder
	if m.Signal == "" {
		b.WriteString("stage")
	}
	fmt.Fprintf(&b, "%s %s %s", m.Signal, m.To.State, m.To.RecoveryPoint)
	for _, s := range []struct {
		name string
		sent order.Sent
	}{{"add", m.To.Add}, {"accept", m.To.Accept}} {
		switch {
		case s.sent.Count == 0 && s.sent.Until.IsZero():
		case s.sent.Until.IsZero():
			fmt.Fprintf(&b, " %s=%d", s.name, s.sent.Count)
		default:
			fmt.Fprintf(&b, " %s=%d until %s", s.name, s.sent.Count, after(s.sent.Until))
		}
	}
	if m.To.WHMCSOrderID != "" {
		b.WriteString(" whmcs=" + m.To.WHMCSOrderID)
	}
	if m.To.State == order.Waiting {
		fmt.Fprintf(&b, " due %s tries %d", after(m.To.DueAt), m.To.Attempts)
	}
	if m.To.ErrorCode != "" {
		b.WriteString(" " + string(m.To.ErrorCode))
	}
	switch m.Then {
	case Send:
		b.WriteString(" → " + m.Effect.Name)
	case Ask:
		fmt.Fprintf(&b, " → read %d", m.Read)
	case Pause:
		b.WriteString(" → again in " + m.For.String())
	case Trip, Count:
		fmt.Fprintf(&b, " → %s of %s", map[Next]string{Trip: "trip the breaker", Count: "count a fault"}[m.Then], m.Side)
	case Finish:
		b.WriteString(" → end")
	default:
		b.WriteString(" → again")
	}
	return strings.TrimSpace(b.String())
}

func after(t time.Time) string { return t.Sub(noon).Round(time.Second).String() }

var errNet = errors.New("connection reset")

func unavailable() error { return fault.Wrap(fault.WHMCSUnavailable, errNet) }

// rows is the table of doc.go, row by row: what is known, and what is decided.
var rows = []struct {
	row  string
	know func(m *moment)
	want string
}{
	{"none/look-before", func(m *moment) { m.f.whmcs.LookBefore = noon }, "lease working adding → again"},
	{"none/word-absent", func(m *moment) { m.r.Word, m.r.WHMCSOrderID = order.WordAbsent, "41" }, "lease working adding whmcs=41 → again"},
	{"none/salesforce-blocked", func(m *moment) {
		m.f.request, m.f.salesforce.blocked = nil, &order.Blocked{Until: noon.Add(30 * time.Second), Why: fault.SalesforcePermission}
	}, "lease waiting none due 30s tries 0 → end"},
	{"none/salesforce-holds-id", func(m *moment) { m.f.request.WHMCSOrderID = "77" }, "lease working adding → again"},
	{"none/shown-before", func(m *moment) { m.f.request.ShownSeq = order.Seq(m.r.CreatedAt.UnixMilli() - 1) }, "lease working adding → again"},
	{"none/send", func(*moment) {}, "lease working adding add=1 until 15s → AddOrder"},

	{"adding/unsettled", func(m *moment) { m.at(order.PointAdding).r.Add.SettledAt = noon.Add(time.Minute) }, "lease waiting adding add=1 until -10m0s due 1m0s tries 0 → end"},
	{"adding/held-absent", func(m *moment) {
		m.at(order.PointAdding).f.request.WHMCSOrderID, m.f.seen.held = "9", map[string]*lookup{"9": {}}
	}, "status failed adding add=1 whmcs_id_foreign → end"},
	{"adding/held-foreign", func(m *moment) {
		m.at(order.PointAdding).f.request.WHMCSOrderID, m.f.seen.held = "9", map[string]*lookup{"9": {order.BillingOrder{ID: "9", Marker: "801000000000002AAA"}, true}}
	}, "status failed adding add=1 whmcs_id_foreign → end"},
	{"adding/known-lives", func(m *moment) {
		m.r.RecoveryPoint, m.r.Word, m.r.WHMCSOrderID = order.PointAdding, order.WordAbsent, "41"
		m.f.seen.held = map[string]*lookup{"41": {order.BillingOrder{ID: "41", Status: order.BillingPending}, true}}
	}, "status failed adding whmcs=41 whmcs_order_ambiguous → end"},
	{"adding/unstable", func(m *moment) {
		m.at(order.PointAdding).f.seen.search = order.Search{ClientID: 7, OfClient: order.Readings{N: order.MaxListings}}
	}, "status failed adding add=1 add_outcome_unknown → end"},
	{"adding/several", func(m *moment) {
		m.at(order.PointAdding).finds(m.ours("77", order.BillingPending), m.ours("78", order.BillingActive))
	}, "status failed adding add=1 whmcs_order_ambiguous → end"},
	{"adding/dead", func(m *moment) { m.at(order.PointAdding).finds(m.ours("77", order.BillingCancelled)) }, "status failed adding add=1 whmcs=77 whmcs_order_cancelled → end"},
	{"adding/suspect", func(m *moment) {
		m.at(order.PointAdding).finds(order.BillingOrder{ID: "80", ClientID: 7, Status: order.BillingPending, Date: noon})
	}, "status failed adding add=1 whmcs_order_ambiguous → end"},
	{"adding/differs", func(m *moment) {
		m.at(order.PointAdding).finds(m.ours("77", order.BillingPending))
		m.shows(order.BillingPending)
		m.f.seen.order.Services[0].ProductID = 2
	}, "status failed adding add=1 whmcs_order_mismatch → end"},
	{"adding/found", func(m *moment) {
		m.at(order.PointAdding).finds(m.ours("77", order.BillingPending))
		m.shows(order.BillingPending)
	}, "lease working added add=1 until -10m0s whmcs=77 → again"},
	{"adding/absent", func(m *moment) { m.at(order.PointAdding).finds() }, "lease working adding add=2 until 15s → AddOrder"},
	{"adding/unknown", func(m *moment) {
		m.at(order.PointAdding).finds()
		m.c.Resend = false
	}, "status failed adding add=1 add_outcome_unknown → end"},

	{"added/marker-missing", func(m *moment) {
		m.at(order.PointAdded).f.seen.order.Marker = ""
		m.f.told = true
	}, "status failed added add=1 until -10m0s whmcs=77 marker_not_kept → end"},
	{"added/differs", func(m *moment) { m.at(order.PointAdded).f.seen.order.Services = nil }, "status failed added add=1 until -10m0s whmcs=77 whmcs_order_mismatch → end"},
	{"added/active", func(m *moment) { m.at(order.PointAdded).shows(order.BillingActive) }, "stage working accepted add=1 until -10m0s whmcs=77 → again"},
	{"added/send", func(m *moment) { m.at(order.PointAdded) }, "lease working accepting add=1 accept=1 until 15s whmcs=77 → AcceptOrder"},
	{"past/cancelled", func(m *moment) { m.at(order.PointAdded).shows(order.BillingFraud) }, "status failed added add=1 until -10m0s whmcs=77 whmcs_order_cancelled → end"},
	{"past/foreign", func(m *moment) {
		m.at(order.PointAdded).f.seen.order.Marker = "801000000000002AAA"
		m.r.Word = order.WordNamedAnyClient
	}, "status failed added add=1 until -10m0s whmcs=77 whmcs_order_mismatch → end"},
	{"past/other-client", func(m *moment) {
		m.at(order.PointAdded).f.seen.order.Marker = ""
		m.f.seen.order.ClientID, m.r.Word = 99, order.WordNamed
	}, "status failed added add=1 until -10m0s whmcs=77 whmcs_order_mismatch → end"},

	{"accepting/unsettled", func(m *moment) { m.at(order.PointAccepting).r.Accept.SettledAt = noon.Add(time.Minute) }, "lease waiting accepting add=1 until -10m0s accept=1 until -20m0s whmcs=77 due 1m0s tries 0 → end"},
	{"accepting/active", func(m *moment) { m.at(order.PointAccepting).shows(order.BillingActive) }, "stage working accepted add=1 until -10m0s accept=1 until -20m0s whmcs=77 → again"},
	{"accepting/differs", func(m *moment) { m.at(order.PointAccepting).shows("On Hold") }, "status failed accepting add=1 until -10m0s accept=1 until -20m0s whmcs=77 whmcs_order_mismatch → end"},
	{"accepting/consent", func(m *moment) { m.at(order.PointAccepting).r.Word = order.WordRerun }, "lease working accepting add=1 accept=2 until 15s whmcs=77 → AcceptOrder"},
	{"accepting/unknown", func(m *moment) { m.at(order.PointAccepting) }, "status failed accepting add=1 until -10m0s accept=1 until -20m0s whmcs=77 accept_outcome_unknown → end"},

	{"accepted/module-queue", func(m *moment) { m.at(order.PointAccepted).f.seen.failures["5"] = "no free server" }, "status failed accepted add=1 until -10m0s accept=1 until -20m0s whmcs=77 module_failed → end"},
	{"accepted/not-yet", func(m *moment) { m.at(order.PointAccepted).f.seen.order.Services[0].Status = "Pending" }, "lease waiting accepted add=1 until -10m0s accept=1 until -20m0s whmcs=77 due 1m0s tries 0 → end"},
	{"accepted/not-verified", func(m *moment) {
		m.at(order.PointAccepted).f.seen.order.Services[0].Status = "Pending"
		m.r.AcceptedAt, m.r.OpenedAt = noon.Add(-VerifyFor), noon.Add(-time.Hour)
	}, "status failed accepted add=1 until -10m0s accept=1 until -20m0s whmcs=77 not_verified → end"},
	{"accepted/marker-missing", func(m *moment) {
		m.at(order.PointAccepted).finds()
		m.r.Add.Count = 2
	}, "status failed accepted add=2 until -10m0s accept=1 until -20m0s whmcs=77 marker_not_kept → end"},
	{"accepted/several", func(m *moment) {
		m.at(order.PointAccepted).finds(m.ours("77", order.BillingActive), m.ours("78", order.BillingPending))
		m.r.Add.Count = 2
	}, "status failed accepted add=2 until -10m0s accept=1 until -20m0s whmcs=77 whmcs_order_ambiguous → end"},
	{"accepted/suspect", func(m *moment) {
		m.at(order.PointAccepted).finds(m.ours("77", order.BillingActive), order.BillingOrder{ID: "78", ClientID: 7, Status: order.BillingPending, Marker: "?", Date: noon})
		m.r.Add.Count = 2
	}, "status failed accepted add=2 until -10m0s accept=1 until -20m0s whmcs=77 whmcs_order_ambiguous → end"},
	{"accepted/verified", func(m *moment) { m.at(order.PointAccepted) }, "status provisioned accepted add=1 until -10m0s accept=1 whmcs=77 → end"},

	{"sent/held-back", func(m *moment) {
		m.sent(addOrder(), nil)
		m.f.answer.blocked = &order.Blocked{Until: noon, Why: fault.ClockSkewed}
	}, "lease waiting none due 0s tries 0 → end"},
	{"sent/done", func(m *moment) { m.at(order.PointAdding).sent(addOrder(), nil) }, "stage working added add=2 until 14s whmcs=77 → again"},
	{"sent/unsure", func(m *moment) {
		m.at(order.PointAdding).sent(addOrder(), &fault.Unsure{Err: unavailable()})
		m.f.told = true
	}, "lease waiting adding add=2 until 14s due 5m19s tries 1 whmcs_unavailable → end"},
	{"sent/module-failed", func(m *moment) {
		m.at(order.PointAdded).sent(acceptOrder(), &fault.Refused{Err: &fault.Error{Code: fault.ModuleFailed, Vendor: "no free server"}})
	}, "status failed accepting add=1 accept=1 whmcs=77 module_failed → end"},
	{"sent/not-pending-active", func(m *moment) {
		m.at(order.PointAdded).sent(acceptOrder(), &fault.Refused{Err: fault.New(fault.StateChanged, "")})
		m.shows(order.BillingActive)
	}, "stage working accepted add=1 accept=1 until 14s whmcs=77 → again"},
	{"sent/not-pending", func(m *moment) {
		m.at(order.PointAdded).sent(acceptOrder(), &fault.Refused{Err: fault.New(fault.StateChanged, "")})
		m.shows(order.BillingPending)
	}, "lease waiting accepting add=1 accept=1 until 14s whmcs=77 due 15m19s tries 1 state_changed → end"},
	{"sent/refused", func(m *moment) { m.sent(addOrder(), &fault.Refused{Err: fault.New(fault.WHMCSRejected, "")}) }, "status failed none whmcs_rejected → end"},
	{"sent/not-done", func(m *moment) {
		m.at(order.PointAdding).sent(addOrder(), &fault.NotSent{Err: unavailable()})
		m.r.LeaseUntil = noon.Add(149 * time.Second)
	}, "stage working adding add=1 → again in 500ms"},

	{"any/read", func(m *moment) { m.f.request = nil }, "stage working none → read 1"},
	{"any/renew", func(m *moment) { m.f.request, m.f.renewed = nil, noon.Add(-time.Minute) }, "lease working none → again"},
	{"any/no-time", func(m *moment) { m.f.deadline = noon.Add(time.Minute) }, "lease waiting none due 0s tries 0 no_time_left → end"},
	{"any/blocked", func(m *moment) { m.f.whmcs.Paused = true }, "lease waiting none due 0s tries 0 → end"},
	{"any/read-again", func(m *moment) { m.fails(unavailable(), 1) }, "stage working none → again in 500ms"},
	{"any/tell-breaker", func(m *moment) { m.fails(unavailable(), readTries) }, "stage working none → count a fault of whmcs"},
	{"any/retry", func(m *moment) {
		m.fails(unavailable(), readTries)
		m.f.told = true
	}, "lease waiting none due 30s tries 1 whmcs_unavailable → end"},
	{"any/config", func(m *moment) {
		m.fails(fault.New(fault.WHMCSIPDenied, ""), 1)
		m.f.told, m.f.openUntil = true, noon.Add(30*time.Second)
	}, "lease waiting none due 30s tries 0 whmcs_ip_denied → end"},
	{"any/permanent", func(m *moment) { m.at(order.PointAdded).fails(fault.New(fault.WHMCSClientNotFound, ""), 1) }, "status failed added add=1 until -10m0s whmcs=77 whmcs_order_mismatch → end"},
	{"any/aborted", func(m *moment) { m.r.Aborted = maxAborted }, "status failed none not_processable → end"},
	{"any/exhausted", func(m *moment) {
		m.at(order.PointAccepting).fails(unavailable(), readTries)
		m.f.told, m.r.OpenedAt = true, noon.Add(-GiveUp-time.Second)
	}, "status failed accepting add=1 until -10m0s accept=1 until -20m0s whmcs=77 accept_outcome_unknown → end"},
}

func TestEachRowDecides(t *testing.T) {
	for _, row := range rows {
		t.Run(row.row, func(t *testing.T) {
			m := newMoment(t)
			row.know(m)
			got := decide(m.r, m.f, noon, m.c)
			if got.Row != row.row {
				t.Errorf("decided by row %s", got.Row)
			}
			if s := summary(got, m.c); s != row.want {
				t.Errorf("\n got %s\nwant %s", s, row.want)
			}
		})
	}
}

// An order that was sent in vain says what came back the last time, and advises
// by what is known now.
func TestAnOrderSentInVainSaysWhatCameBack(t *testing.T) {
	m := newMoment(t)
	lost := &fault.Error{Code: fault.WHMCSUnavailable, Seen: "A page came.", Vendor: "HTTP 403", Advice: "Wait: the bridge searches WHMCS before it sends again."}
	m.r.Add.Count, m.r.ErrorCode, m.r.ErrorMessage = maxSends, lost.Code, fault.TextOf(lost)
	d := decision{r: m.r, c: m.c}
	want := "WHMCS may have made the order: 5 sent, no order with its marker was found. The last time: A page came. WHMCS: HTTP 403. " + fault.AddOutcomeUnknown.Info().Do
	if got := fault.TextOf(d.sentInVain()); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

// A run that has too little time comes again at once; one after another waits.
func TestTooLittleTimeTwiceInARowBacksOff(t *testing.T) {
	m := newMoment(t)
	m.f.deadline, m.r.ErrorCode = noon.Add(time.Minute), fault.NoTimeLeft
	got := decide(m.r, m.f, noon, m.c)
	if s, want := summary(got, m.c), "lease waiting none due 1m0s tries 0 no_time_left → end"; s != want {
		t.Errorf("\n got %s\nwant %s", s, want)
	}
}

func TestTheSeventyTwoHoursBeginWhenWorkMayGoOn(t *testing.T) {
	ago := func(h int) time.Time { return noon.Add(-time.Duration(h) * time.Hour) }
	for _, c := range []struct {
		name            string
		opened, resumed time.Time
		row             string
	}{
		{"opened 71 hours ago", ago(71), time.Time{}, "any/retry"},
		{"opened 73 hours ago", ago(73), time.Time{}, "any/exhausted"},
		{"resumed 71 hours ago", ago(100), ago(71), "any/retry"},
		{"resumed 73 hours ago", ago(100), ago(73), "any/exhausted"},
		{"resumed before it was opened", ago(73), ago(100), "any/exhausted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMoment(t)
			m.fails(unavailable(), readTries)
			m.f.told, m.r.OpenedAt, m.f.whmcs.At = true, c.opened, c.resumed
			if got := decide(m.r, m.f, noon, m.c); got.Row != c.row {
				t.Errorf("row %s, want %s", got.Row, c.row)
			}
		})
	}
}

// While an effect is not answered one order in each window sends it, the canary;
// a worker that was under way when the window began waits. The other effect is
// sent by all.
func TestOnlyTheCanarySendsWhileEffectsAreNotAnswered(t *testing.T) {
	for _, c := range []struct {
		name, effect string
		until        time.Time
		canary       order.Token
		row          string
		read         Read
	}{
		{"the canary", "AddOrder", noon.Add(time.Minute), "mine", "none/send", 0},
		{"another's window", "AddOrder", noon.Add(time.Minute), "another's", "any/blocked", 0},
		{"the first window", "AddOrder", noon.Add(time.Minute), "", "any/blocked", 0},
		{"the window is over", "AddOrder", noon, "another's", "any/read", ReadTurn},
		{"another effect", "AcceptOrder", noon.Add(time.Minute), "another's", "none/send", 0},
	} {
		m := newMoment(t)
		m.f.whmcs.Unsure = map[string]order.Doubt{c.effect: {InRow: order.UnsureInRow, Until: c.until, Canary: c.canary, Why: fault.WHMCSUnavailable}}
		if got := decide(m.r, m.f, noon, m.c); got.Row != c.row || got.Read != c.read {
			t.Errorf("%s: row %s, read %d", c.name, got.Row, got.Read)
		}
	}
	// What is not to be sent is not read either: the next window may be the order's.
	m := newMoment(t)
	m.f.request = nil
	m.f.whmcs.Unsure = map[string]order.Doubt{"AddOrder": {InRow: order.UnsureInRow, Until: noon.Add(time.Minute)}}
	if got := decide(m.r, m.f, noon, m.c); got.Row != "any/blocked" || !got.To.DueAt.Equal(noon.Add(time.Minute)) || got.To.Attempts != 0 {
		t.Errorf("before the order is read: row %s, due %s, %d tries", got.Row, got.To.DueAt, got.To.Attempts)
	}
	// The next canary is rather an order that has not sent it yet.
	m.r.Add.Count = 2
	if got := decide(m.r, m.f, noon, m.c); !got.To.DueAt.Equal(noon.Add(time.Minute).Add(2 * m.c.RetryBase)) {
		t.Errorf("sent twice: due %s", got.To.DueAt)
	}
	m.r.Add.Count = 0
	// Who waits for a second window is told why.
	m.f.whmcs.Unsure["AddOrder"] = order.Doubt{InRow: order.UnsureInRow, Until: noon.Add(time.Minute), Why: fault.WHMCSUnavailable}
	first := decide(m.r, m.f, noon, m.c)
	m.r.ErrorCode, m.r.ErrorAt = first.To.ErrorCode, first.To.ErrorAt
	second := decide(m.r, m.f, noon, m.c)
	if first.Signal != order.SignalLease || second.Signal != order.SignalStatus || second.To.Told.Code != fault.WHMCSUnavailable || !second.To.Told.NextTry.Equal(noon.Add(time.Minute)) {
		t.Errorf("told %q %+v, then %q %+v", first.Signal, first.To.Told, second.Signal, second.To.Told)
	}
}

// A1 and rule 3: no effect is stamped by a clock that is off, and no call lasts
// longer than the lease, less the margin, or than the invocation.
func TestTheClockAndTheLeaseBoundWhatIsDone(t *testing.T) {
	m := newMoment(t)
	m.f.skewed = fault.ClockSkewed
	if got := decide(m.r, m.f, noon, m.c); got.Row != "any/blocked" {
		t.Errorf("a clock that is off: row %s", got.Row)
	}
	for _, c := range []struct {
		name            string
		lease, deadline time.Duration // from now
		row             string
		within          time.Duration
		until           time.Duration // of the renewed lease
	}{
		{"the lease ends", 65 * time.Second, 10 * time.Minute, "any/read", 60 * time.Second, 0},
		{"only the margin is left", 5 * time.Second, 10 * time.Minute, "any/renew", 0, 150 * time.Second},
		{"the invocation ends before the lease", 4 * time.Second, 20 * time.Second, "any/renew", 0, 20 * time.Second},
		{"only the margin is left of the invocation", 4 * time.Second, 5 * time.Second, "any/no-time", 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMoment(t)
			m.f.request, m.f.salesforce = nil, nil // the next thing is a read
			m.r.LeaseUntil, m.f.deadline = noon.Add(c.lease), noon.Add(c.deadline)
			got := decide(m.r, m.f, noon, m.c)
			if got.Row != c.row || got.Within != c.within {
				t.Errorf("row %s, within %s", got.Row, got.Within)
			}
			if c.until > 0 && !got.To.LeaseUntil.Equal(noon.Add(c.until)) {
				t.Errorf("leased until %s", after(got.To.LeaseUntil))
			}
		})
	}
	m = newMoment(t)
	m.f.renewed = noon.Add(-61 * time.Second)
	m.f.request = nil
	if got := decide(m.r, m.f, noon, m.c); got.Row != "any/renew" {
		t.Errorf("a minute of reading is over: row %s", got.Row)
	}
}

// A failure ends a consent: a person who has not seen it has not consented.
func TestAFailureEndsAConsent(t *testing.T) {
	for _, word := range []order.Word{order.WordRerun, order.WordNamedRerun, order.WordNamedAnyClientRerun} {
		m := newMoment(t).at(order.PointAccepting)
		m.r.Word = word
		m.f.seen.order.Status = order.BillingCancelled
		if got := decide(m.r, m.f, noon, m.c); got.To.State != order.Failed || got.To.Word.Rerun() || got.To.Word.Named() != word.Named() {
			t.Errorf("%s: %s with word %q", word, got.To.State, got.To.Word)
		}
	}
}

// The table of doc.go, the rows of decide and the cases above are one thing.
func TestTheTableIsWhole(t *testing.T) {
	var cases []string
	for _, row := range rows {
		cases = append(cases, row.row)
	}
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, m := range regexp.MustCompile(`(?m)^//\t([a-z]+/[a-z-]+) `).FindAllStringSubmatch(string(text), -1) {
		documented = append(documented, m[1])
	}
	if !slices.Equal(documented, cases) {
		t.Errorf("doc.go has rows\n%v\nthe cases are\n%v", documented, cases)
	}
	decided := map[string]bool{}
	f, err := parser.ParseFile(token.NewFileSet(), "decide.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && regexp.MustCompile(`^"[a-z]+/[a-z-]+"$`).MatchString(lit.Value) {
			decided[strings.Trim(lit.Value, `"`)] = true
		}
		return true
	})
	slices.Sort(cases)
	if all := slices.Sorted(maps.Keys(decided)); !slices.Equal(all, cases) {
		t.Errorf("decide has rows\n%v\nthe cases are\n%v", all, cases)
	}
}

// The window of AddOrder goes once it is known to have ended, and where a search
// stops goes with the last search. A person may name a WHMCS order while AddOrder is
// running, and may take that back of an order that was provisioned.
func TestAnAdoptedOrderKeepsWhatASearchNeeds(t *testing.T) {
	for _, word := range []order.Word{order.WordNone, order.WordNamed, order.WordNamedAnyClient} {
		m := newMoment(t).at(order.PointAdded)
		m.r.Word = word
		before := m.r.Add
		sends := decide(m.r, m.f, noon, m.c)
		if sends.Row != "added/send" || sends.To.Add.Count != before.Count || (sends.To.Add == before) != word.Named() {
			t.Errorf("%q: %s leaves of AddOrder %+v", word, sends.Row, sends.To.Add)
		}
		m = newMoment(t).at(order.PointAccepted)
		m.r.Word, m.r.FirstAddAfter, m.r.Add.Count = word, 12, 0
		ends := decide(m.r, m.f, noon, m.c)
		if ends.Row != "accepted/verified" || (ends.To.FirstAddAfter == 12) != word.Named() || !ends.To.FirstAddAt.Equal(m.r.FirstAddAt) {
			t.Errorf("%q: %s leaves %d", word, ends.Row, ends.To.FirstAddAfter)
		}
	}
}
