package provision

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// facts are what a run knows besides the record: what it has read, what came
// back from an effect, and how much time it has.
type facts struct {
	deadline time.Time // of the invocation
	renewed  time.Time // when the lease was renewed last
	random   float64   // in [0,1), fresh for each decision
	skewed   fault.Code

	whmcs      order.Control // the switch of WHMCS, as it was at whmcsAt
	whmcsAt    time.Time
	salesforce *admission // its breaker's word; nil: not asked yet

	request  *order.Request // nil: not loaded
	account  string         // as Salesforce has it, also where the load failed
	products map[int64]order.ProductInfo
	newest   int64 // an order that WHMCS had when the products were read
	seen     seen

	failed *failure // the last read, where it failed
	answer *answer  // to the last effect
	// What the breaker of the side said to failed or answer: until when it is
	// open (zero: closed).
	told      bool
	openUntil time.Time
	resends   int // effects repeated inside this run after they were not sent
}

// admission is what a breaker said; blocked is nil where work may go on.
type admission struct {
	control order.Control
	blocked *order.Blocked
}

// seen is what WHMCS showed. It holds for one recovery point, and until the
// next effect.
type seen struct {
	held     map[string]*lookup // the orders that Salesforce, or the record of a person's word, names
	order    *lookup            // the known order, or the one hit of a search
	search   order.Search
	failures map[string]string // of the module queue, by service id; nil: not read
}

// lookup is the answer to a read of one WHMCS order.
type lookup struct {
	order.BillingOrder
	exists bool
}

// failure is a read that failed, tries times in a row.
type failure struct {
	side  order.Side
	err   error
	tries int
}

// answer is what came back from an effect.
type answer struct {
	effect *Effect
	before order.Record // the record that the stamp was decided on
	result string
	err    error
	// hangs: a module of the order was known to hang when the effect was sent;
	// that it hung again says nothing new about WHMCS.
	hangs bool
	// blocked: nothing was sent, because the time left, or the clock, did not
	// allow it any more when the stamp was written.
	blocked *order.Blocked
}

// Read is one thing to be read.
type Read uint8

// The reads, in the order in which an undisturbed order makes them.
const (
	ReadRequest   Read = iota + 1 // Salesforce's switch, then what was ordered
	ReadCatalog                   // the client and the products of the request
	ReadSwitch                    // WHMCS's
	ReadTurn                      // the same, and whether this order tries the effect that is not answered
	ReadHeldOrder                 // a WHMCS order that Salesforce or the record names
	ReadOrder                     // a WHMCS order
	ReadServices                  // a WHMCS order, and which of its services stand in the module queue
	ReadClientOrders
	ReadAllOrders
)

// Next says what follows a move.
type Next uint8

// What follows.
const (
	Again  Next = iota // decide again; what came back from a read or an effect has been used
	Repeat             // decide again by the same facts
	Ask                // make a read
	Send               // send the effect; the move has written its stamp
	Pause              // wait, then decide again
	Trip               // open the breaker of a side, then decide again
	Count              // count a fault of a side, then decide again
	Doubt              // count an effect of which the outcome is not known, then decide again
	Halt               // pause WHMCS until a person resumes, then decide again
	Finish             // the run is over
)

// Move is one decision: the record as it is to be from now on, whether that is
// written, and what follows.
type Move struct {
	Row string // of the table in doc.go
	To  order.Record
	// Signal is why To is written; "" = it is not written: a crash before the
	// next write leads back to where the table is.
	Signal        order.Signal
	Event, Detail string // the history's line; an empty Event adds none
	Then          Next
	Read          Read
	ID            string        // of the WHMCS order to read
	Client        int64         // of that order, or whose orders are to be listed; 0: not known
	Effect        *Effect       // of Send, and of ReadTurn
	For           time.Duration // of Pause
	Within        time.Duration // of Ask: how long the read may take
	Side          order.Side    // of Trip, Count, Doubt and Halt
	Cause         error         // of the same
}

// decision is decide's view of one moment.
type decision struct {
	facts
	r   order.Record
	now time.Time
	c   Config
	// left is how long this worker may still act on its own: until its lease
	// ends, less the margin. lease is how long one that begins now may last: it
	// never outlives the invocation.
	left, lease time.Duration
	client      int64 // of WHMCS, by the plan; 0: no plan
}

// decide is the table of the protocol: what the record, and what is known
// besides, ask for now. It is pure, and the only place that decides.
func decide(r order.Record, f facts, now time.Time, c Config) Move {
	if f.account != "" {
		r.AccountID = f.account // Salesforce has the last word
	}
	r.Search = nil // f.seen has it; only a wait and a renewal keep it
	d := decision{facts: f, r: r, now: now, c: c, left: r.LeaseUntil.Sub(now) - c.Margin, lease: min(c.Lease, f.deadline.Sub(now))}
	if r.Plan != nil {
		d.client = r.Plan.ClientID
	}
	switch {
	case f.failed != nil:
		return d.readFailed()
	case f.answer != nil:
		return d.answered()
	}
	if m, stop := d.aborted(); stop {
		return m
	}
	switch r.RecoveryPoint {
	case order.PointNone:
		return d.atNone()
	case order.PointAdding:
		return d.atAdding()
	case order.PointAdded:
		return d.atAdded()
	case order.PointAccepting:
		return d.atAccepting()
	}
	return d.atAccepted()
}

// aborted ends an order on which every worker dies: it would be tried for ever.
// An effect that may still be running is waited for first.
func (d decision) aborted() (m Move, stop bool) {
	said := d.r.RecoveryPoint == order.PointNone && d.r.Word.Absent() // not known yet to be so
	if d.r.Aborted < maxAborted || said || running(d.r.Add, d.now) || running(d.r.Accept, d.now) {
		return Move{}, false
	}
	code := fault.NotProcessable
	if d.r.RecoveryPoint != order.PointNone {
		code = exhausted(d.r.RecoveryPoint)
	}
	return d.fail("any/aborted", d.r, fault.New(code,
		fmt.Sprintf("Ask the on-call: %d runs of this order in a row ended at %s without a word.", d.r.Aborted, d.r.RecoveryPoint))), true
}

func running(s order.Sent, now time.Time) bool {
	return !s.SettledAt.IsZero() && !s.SettledAt.Before(now)
}

// --- none: nothing can have reached WHMCS.

func (d decision) atNone() Move {
	switch {
	case d.r.CreatedAt.Before(d.whmcs.LookBefore):
		// An order may exist in WHMCS, so even a load that fails must not end as
		// if nothing were there.
		return d.searchFirst("none/look-before", "created before the restore")
	case d.r.Word.Absent():
		// People err, and a search costs nothing.
		return d.searchFirst("none/word-absent", "a person says that WHMCS has no order of this one")
	}
	if m, wait := d.withheld(addOrder()); wait {
		return m // before it reads what it may not send
	}
	plan, m := d.load()
	switch {
	case m != nil:
		return *m
	case d.request.WHMCSOrderID != "":
		return d.searchFirst("none/salesforce-holds-id", "Salesforce holds WHMCS order "+d.request.WHMCSOrderID)
	case d.request.ShownSeq != 0 && d.request.ShownSeq < order.Seq(0).Next(d.r.CreatedAt):
		return d.searchFirst("none/shown-before", "Salesforce was told of this order before the table knew it")
	}
	d.r.Plan = plan
	return d.send("none/send", addOrder())
}

func (d decision) searchFirst(row, why string) Move {
	to := d.r
	to.RecoveryPoint, to.Add = order.PointAdding, order.Sent{}
	return d.write(row, to, Again, "look_first", why)
}

// load returns the plan of what Salesforce holds, or the move that comes first.
// The plan is used for this run alone; the stamp of the first send pins it.
func (d decision) load() (*order.Plan, *Move) {
	var m Move
	switch {
	case d.salesforce != nil && d.salesforce.blocked != nil:
		// Salesforce has a breaker of its own; only loading needs Salesforce.
		m = d.park("none/salesforce-blocked", d.r, d.salesforce.blocked.Until, nil, unspent, "salesforce: "+string(d.salesforce.blocked.Why))
	case d.request == nil:
		m = d.ask(ReadRequest, "", 0)
	case d.products == nil:
		m = d.ask(ReadCatalog, "", 0)
	default:
		plan, err := makePlan(*d.request, d.products, d.c.PaymentMethod)
		if err == nil {
			return &plan, nil
		}
		m = d.fail("any/permanent", d.r, err)
	}
	return nil, &m
}

// --- adding: AddOrder may have reached WHMCS.

func (d decision) atAdding() Move {
	if m, wait := d.unsettled("adding/unsettled", addOrder()); wait {
		return m
	}
	plan := d.r.Plan
	if plan == nil { // nothing was sent yet by this life of the order
		var m *Move
		if plan, m = d.load(); m != nil {
			return *m
		}
	}
	if m, stop := d.disclaimed(plan); stop {
		return m
	}
	if m, stop := d.foreign(plan); stop {
		return m
	}
	f, next, more := search(d.r, plan.ClientID, d.seen.search)
	if more {
		return d.ask(next, "", plan.ClientID)
	}
	for _, h := range d.seen.held {
		if h.exists && f.stable && h.Marker.Names(d.r.ID) {
			f = f.with(h.BillingOrder)
		}
	}
	switch {
	case !f.stable:
		return d.fail("adding/unstable", d.r, &fault.Error{Code: fault.AddOutcomeUnknown,
			Seen: "WHMCS may have made the order: the list of its orders changed each time it was read.", Advice: "Click again to search once more."})
	case len(f.live) == 1:
		return d.hit(plan, f.live[0])
	case len(f.live) > 1:
		return d.fail("adding/several", d.r, fault.Saw(fault.WHMCSOrderAmbiguous, "WHMCS orders %s all carry this order's marker.", idsOf(f.live)))
	case len(f.dead) > 0 && !d.r.Word.Absent():
		return d.cancelled("adding/dead", f.dead[0].ID, string(f.dead[0].Status))
	case len(f.suspects) > 0 && d.r.Add.Count > 0:
		return d.fail("adding/suspect", d.r, fault.Saw(fault.WHMCSOrderAmbiguous,
			"WHMCS order %s is this client's and new, and no marker in it says whose it is: it may be this order, or the customer's own purchase.", idsOf(f.suspects)))
	case d.r.Add.Count == 0, d.c.Resend && d.r.Add.Count < maxSends:
		d.r.Plan = plan
		return d.send("adding/absent", addOrder())
	}
	return d.fail("adding/unknown", d.r, d.sentInVain())
}

// sentInVain is why an order is given up that was sent and not found, with what
// came back from the last send.
func (d decision) sentInVain() error {
	e := fault.Saw(fault.AddOutcomeUnknown, "WHMCS may have made the order: %d sent, no order with its marker was found.", d.r.Add.Count)
	if last := d.r.ErrorCode.Info(); last.Group == fault.GroupSide && d.r.ErrorMessage != "" {
		// Without what was to be done then: the advice of now follows.
		seen, _, _ := strings.Cut(d.r.ErrorMessage, " Wait: ")
		seen, _, _ = strings.Cut(seen, " Ask the on-call engineer")
		e.Seen += " The last time: " + seen
	}
	return e
}

// disclaimed judges the order that was known when a person said that there is
// none: while it lives, and is not marked as another one's, nothing is ordered.
func (d decision) disclaimed(plan *order.Plan) (m Move, stop bool) {
	id := d.r.WHMCSOrderID
	if id == "" || !d.r.Word.Absent() {
		return Move{}, false
	}
	h := d.seen.held[id]
	switch {
	case h == nil:
		return d.ask(ReadHeldOrder, id, plan.ClientID), true
	case h.exists && !h.Status.Dead() && !h.Marker.Names(d.r.ID) && h.Marker.MayName(d.r.ID):
		return d.fail("adding/known-lives", d.r, fault.Saw(fault.WHMCSOrderAmbiguous,
			"WHMCS order %s was made for this order and is %s, although it was said that there is none.", id, h.Status)), true
	}
	return Move{}, false
}

// foreign judges the WHMCS order of which Salesforce holds the id: it is
// adopted only if it carries our marker, since a clone carries its original's id.
func (d decision) foreign(plan *order.Plan) (m Move, stop bool) {
	if d.request == nil || d.request.WHMCSOrderID == "" {
		return Move{}, false
	}
	id := d.request.WHMCSOrderID
	h := d.seen.held[id]
	switch {
	case h == nil:
		return d.ask(ReadHeldOrder, id, plan.ClientID), true
	case h.exists && h.Marker.Names(d.r.ID), d.r.Word.Absent() && (!h.exists || h.Status.Dead()):
		return Move{}, false
	case !h.exists:
		return d.fail("adding/held-absent", d.r, fault.Saw(fault.WHMCSIDForeign, "WHMCS has no order %s, which WHMCS_Order_ID__c names.", id)), true
	}
	return d.fail("adding/held-foreign", d.r, fault.Saw(fault.WHMCSIDForeign,
		"WHMCS order %s, which WHMCS_Order_ID__c names, does not carry this order's marker; was this order cloned?", id)), true
}

// hit compares the one live hit with the plan before it is taken as ours. Where
// they differ nothing is adopted, so that the next search compares again.
func (d decision) hit(plan *order.Plan, m order.BillingOrder) Move {
	switch o := d.seen.order; {
	case o == nil:
		return d.ask(ReadOrder, m.ID, m.ClientID)
	case !o.exists:
		return d.cancelled("adding/dead", m.ID, "gone")
	default:
		if _, diff := match(*plan, o.BillingOrder, false); diff != "" {
			return d.mismatch("adding/differs", m.ID, diff)
		}
	}
	to := d.r
	to.RecoveryPoint, to.WHMCSOrderID, to.Plan, to.Word = order.PointAdded, m.ID, plan, to.Word.WithoutAbsent()
	if to.Accept.Count > 0 {
		to.RecoveryPoint = order.PointAccepting // it may be this one that was accepted
	}
	return d.write("adding/found", to, Again, "adopted", "WHMCS order "+m.ID+" found by its marker")
}

// --- added: the WHMCS order is known.

func (d decision) atAdded() Move {
	o, m := d.known(ReadOrder)
	if m != nil {
		return *m
	}
	if !o.Marker.Names(d.r.ID) && !d.r.Word.Named() {
		missing := fault.Saw(fault.MarkerNotKept, "WHMCS did not keep the marker of its order %s (%s).", o.ID, d.r.ID.Marker())
		// An installation that keeps no markers shows it at once, in the run that
		// sent AddOrder; later it is one order's notes that were edited.
		if !d.told && d.now.Sub(d.r.Add.Until) < d.c.Lease {
			return d.tell(Halt, order.SideWHMCS, missing)
		}
		return d.fail("added/marker-missing", d.r, missing)
	}
	services, diff := match(*d.r.Plan, o, d.r.Word.Named())
	if diff != "" {
		return d.mismatch("added/differs", o.ID, diff)
	}
	d.r.ServiceIDs = services
	switch o.Status {
	case order.BillingActive: // accepted by a person, or adopted so
		return d.stage("added/active", accepted(d.r, d.now))
	case order.BillingPending:
		return d.send("added/send", acceptOrder())
	}
	return d.mismatch("added/differs", o.ID, fmt.Sprintf("its status is %q", o.Status))
}

// known returns the known WHMCS order, alive, or the move that comes first. One
// that a person named needs no marker, but it must not carry another order's,
// and must be the client's.
func (d *decision) known(read Read) (order.BillingOrder, *Move) {
	if d.r.Plan == nil { // named by a person before anything was sent
		plan, m := d.load()
		if m != nil {
			return order.BillingOrder{}, m
		}
		d.r.Plan, d.client = plan, plan.ClientID
	}
	var m Move
	switch o := d.seen.order; {
	case o == nil:
		m = d.ask(read, d.r.WHMCSOrderID, d.client)
	case !o.exists:
		m = d.cancelled("past/cancelled", d.r.WHMCSOrderID, "gone")
	case o.Status.Dead():
		m = d.cancelled("past/cancelled", d.r.WHMCSOrderID, string(o.Status))
	case !d.r.Word.Named() || o.Marker.Names(d.r.ID):
		return o.BillingOrder, nil
	case !o.Marker.MayName(d.r.ID):
		m = d.mismatch("past/foreign", o.ID, "it carries the marker of another order")
	case o.ClientID != d.client && !d.r.Word.AnyClient():
		m = d.mismatch("past/other-client", o.ID, fmt.Sprintf("it belongs to client %d, and this order to client %d", o.ClientID, d.client))
	default:
		return o.BillingOrder, nil
	}
	return order.BillingOrder{}, &m
}

// --- accepting: AcceptOrder may have reached WHMCS.

func (d decision) atAccepting() Move {
	if m, wait := d.unsettled("accepting/unsettled", acceptOrder()); wait {
		return m
	}
	o, m := d.known(ReadOrder)
	switch {
	case m != nil:
		return *m
	case o.Status == order.BillingActive:
		return d.stage("accepting/active", accepted(d.r, d.now))
	case o.Status != order.BillingPending:
		return d.mismatch("accepting/differs", o.ID, fmt.Sprintf("its status is %q", o.Status))
	case d.r.Word.Rerun(), mayRunTwice(d.r.Plan, d.c.Idempotent):
		return d.send("accepting/consent", acceptOrder())
	}
	return d.fail("accepting/unknown", d.r, fault.Saw(fault.AcceptOutcomeUnknown,
		"WHMCS order %s is still Pending, and it is not known whether its module ran.", d.r.WHMCSOrderID))
}

// --- accepted: AcceptOrder answered; the services are to be verified.

func (d decision) atAccepted() Move {
	o, m := d.known(ReadServices)
	if m != nil {
		return *m
	}
	services, diff := match(*d.r.Plan, o, d.r.Word.Named())
	live := diff == ""
	for _, s := range o.Services {
		if text, failed := d.seen.failures[s.ID]; failed {
			return d.fail("accepted/module-queue", d.r, &fault.Error{Code: fault.ModuleFailed, Vendor: fmt.Sprintf("service %s: %s", s.ID, text)})
		}
		live = live && (s.Live() || !expected(services, s.ID))
	}
	if !live {
		since := d.r.AcceptedAt
		if d.r.OpenedAt.After(since) {
			since = d.r.OpenedAt
		}
		if d.now.Sub(since) < d.c.VerifyFor {
			return d.park("accepted/not-yet", d.r, d.now.Add(d.c.RetryBase), nil, unspent, "the services are not active yet")
		}
		if diff == "" {
			diff = "a service is not active"
		}
		return d.fail("accepted/not-verified", d.r, fault.Saw(fault.NotVerified, "WHMCS accepted order %s, and %s.", o.ID, diff))
	}
	if d.r.Add.Count >= 2 || d.r.Word.Named() && d.r.Add.Count > 0 {
		if m, stop := d.onlyOne(); stop {
			return m
		}
	}
	to := d.r
	to.State, to.ServiceIDs, to.Told = order.Provisioned, services, order.Wait{}
	to.DueAt, to.LeaseUntil = time.Time{}, time.Time{}
	to.Accept, to.AcceptedAt = to.Accept.Ended(), time.Time{} // by its answer, or it was waited for
	if !to.Word.Named() {
		to.FirstAddAfter = 0 // only an adoption can be undone: there is no search any more
	}
	to.ErrorCode, to.ErrorMessage, to.ErrorAt = "", "", time.Time{}
	to.ExpiresAt = d.now.Add(d.c.Retention)
	return d.write("accepted/verified", to, Finish, "provisioned", "WHMCS order "+to.WHMCSOrderID)
}

// onlyOne is the last search of an order of which WHMCS may hold another one:
// more than one AddOrder may have left, or a person named an order beside what
// ours may have made. It is provisioned only if there is none.
func (d decision) onlyOne() (m Move, stop bool) {
	f, next, more := search(d.r, d.client, d.seen.search)
	known := func(m order.BillingOrder) bool { return m.ID == d.r.WHMCSOrderID }
	others, suspects := slices.DeleteFunc(slices.Clone(f.live), known), slices.DeleteFunc(slices.Clone(f.suspects), known)
	switch {
	case more:
		return d.ask(next, "", d.client), true
	case !f.stable:
		return d.retry(d.r, order.SideWHMCS, fault.New(fault.ListingUnstable, "")), true
	case len(f.live) == 0 && !d.r.Word.Named():
		return d.fail("accepted/marker-missing", d.r, fault.Saw(fault.MarkerNotKept,
			"WHMCS order %s is not found by its marker (%s) any more.", d.r.WHMCSOrderID, d.r.ID.Marker())), true
	case len(others) > 0:
		return d.fail("accepted/several", d.r, fault.Saw(fault.WHMCSOrderAmbiguous,
			"Beside WHMCS order %s, %s carry this order's marker.", d.r.WHMCSOrderID, idsOf(others))), true
	case len(suspects) > 0:
		return d.fail("accepted/suspect", d.r, fault.Saw(fault.WHMCSOrderAmbiguous,
			"Beside WHMCS order %s, %s may be this order too: no marker in it says whose it is.", d.r.WHMCSOrderID, idsOf(suspects))), true
	}
	return Move{}, false
}

func expected(services map[string][]string, id string) bool {
	for _, ids := range services {
		if slices.Contains(ids, id) {
			return true
		}
	}
	return false
}

// --- effects: the same rows for each.

// unsettled parks an order whose effect may still be running in WHMCS.
func (d decision) unsettled(row string, e *Effect) (m Move, wait bool) {
	sent := *e.sent(&d.r)
	if !running(sent, d.now) {
		return Move{}, false
	}
	return d.park(row, d.r, sent.SettledAt.Add(time.Millisecond), nil, unspent, "until "+e.Name+" has settled"), true
}

// send stamps an effect and sends it, if the time, the switch of WHMCS and the
// clock allow it. The switch is read before the stamp, so that an order that is
// held back is not marked as sent.
func (d decision) send(row string, e *Effect) Move {
	if d.lease-d.c.Margin < e.timeout(d.c) {
		// No effect starts with less than its time-out and the margin left.
		return d.noTime()
	}
	if d.now.Sub(d.whmcsAt) > switchAge {
		return d.ask(ReadSwitch, "", 0)
	}
	blocked := d.whmcs.Blocked(d.now)
	if d.skewed != "" {
		blocked = &order.Blocked{Until: d.now, Why: d.skewed}
	}
	if blocked != nil {
		return d.heldBack(*blocked, nil)
	}
	if m, wait := d.withheld(e); wait {
		return m
	}
	if d.whmcs.Withheld(e.Name, d.r.Lease) != nil {
		m := d.ask(ReadTurn, "", 0)
		m.Effect = e
		return m
	}
	to, detail := e.stamp(d.r, d.now, d.c)
	if d.r.FirstAddAt.IsZero() && !to.FirstAddAt.IsZero() {
		to.FirstAddAfter = d.newest
	}
	to.LeaseUntil = d.now.Add(d.lease)
	m := d.write(row, to, Send, e.event, detail)
	m.Effect = e
	return m
}

// withheld parks an order whose effect is not answered these days, until the
// window of the order that tries it is over. One that has sent it comes later, for
// each time: the next canary is rather an order that loses nothing by it. The
// operator reads why: that can take as long as an outage.
func (d decision) withheld(e *Effect) (m Move, wait bool) {
	blocked := d.whmcs.Withheld(e.Name, d.r.Lease)
	if blocked == nil || !blocked.Until.After(d.now) {
		return Move{}, false
	}
	var cause error
	if blocked.Why != "" {
		cause = fault.New(blocked.Why, "")
	}
	by := *blocked
	by.Until = by.Until.Add(time.Duration(e.sent(&d.r).Count) * d.c.RetryBase)
	return d.heldBack(by, cause), true
}

func (d decision) heldBack(by order.Blocked, cause error) Move {
	return d.park("any/blocked", d.r, by.Until, cause, unspent, "held before the send: "+string(by.Why))
}

// answered is what follows the answer to an effect.
func (d decision) answered() Move {
	a := d.answer
	undone := a.effect.unstamped(d.r, a.before)
	if a.blocked != nil {
		return d.park("sent/held-back", undone, a.blocked.Until, nil, unspent, "held before the send: "+string(a.blocked.Why))
	}
	kind := outcomeOf(a.err)
	switch kind {
	case outcomeDone:
		to := d.r
		to.RecoveryPoint = a.effect.done
		a.effect.succeeded(&to, a.result, d.now)
		return d.stage("sent/done", to)
	case outcomeUnsure:
		if !d.told && !a.hangs {
			return d.tell(Doubt, order.SideWHMCS, a.err)
		}
		return d.park("sent/unsure", d.r, a.effect.sent(&d.r).SettledAt.Add(time.Millisecond), a.err, spent, "")
	case outcomeRefused:
		switch fault.CodeOf(a.err) {
		case fault.ModuleFailed:
			// The module has ended: its answer is the text.
			sent := a.effect.sent(&d.r)
			*sent = sent.Ended()
			return d.fail("sent/module-failed", d.r, a.err)
		case fault.StateChanged:
			return d.notPending()
		}
	}
	return d.notDone(undone, kind, a.err)
}

// notPending follows WHMCS's ambiguous "not found or not Pending": a read decides.
func (d decision) notPending() Move {
	o, m := d.known(ReadOrder)
	switch {
	case m != nil:
		return *m
	case o.Status == order.BillingActive:
		return d.stage("sent/not-pending-active", accepted(d.r, d.now))
	}
	return d.park("sent/not-pending", d.r, d.answer.effect.sent(&d.r).SettledAt.Add(time.Millisecond), d.answer.err, spent, "")
}

// notDone follows an effect that certainly did nothing: the record is as before
// its stamp.
func (d decision) notDone(undone order.Record, kind outcome, err error) Move {
	switch fault.KindOf(err) {
	case fault.Config:
		return d.config(undone, order.SideWHMCS, err)
	case fault.Permanent:
		if kind == outcomeRefused {
			return d.fail("sent/refused", undone, err)
		}
	}
	if d.resends+1 < readTries && d.left > pauseMost(d.c, d.resends)+d.c.AcceptTimeout {
		m := d.stage("sent/not-done", undone)
		m.Then, m.For = Pause, d.pause(d.resends)
		return m
	}
	return d.retry(undone, order.SideWHMCS, err)
}

// --- faults

// readFailed is what follows a read that failed: its kind decides.
func (d decision) readFailed() Move {
	f := d.failed
	switch fault.KindOf(f.err) {
	case fault.Config:
		return d.config(d.r, f.side, f.err)
	case fault.Permanent:
		return d.fail("any/permanent", d.r, f.err)
	}
	if f.tries < readTries && d.left > pauseMost(d.c, f.tries-1) {
		m := d.stage("any/read-again", d.r)
		m.Then, m.For = Pause, d.pause(f.tries-1)
		return m
	}
	return d.retry(d.r, f.side, f.err)
}

// config parks an order whose side's installation is at fault, until its
// breaker closes; no try is spent. An order that meets it for GiveUp, while
// probes are answered, is given up: a person must see it.
func (d decision) config(to order.Record, side order.Side, cause error) Move {
	if !d.told {
		return d.tell(Trip, side, cause)
	}
	if d.triedTooLong(to) {
		return d.giveUp(to, cause)
	}
	return d.park("any/config", to, d.openUntil, cause, unspent, "")
}

// retry parks an order after a fault that may pass, or gives it up when it has
// been tried for GiveUp: this very try was the one last search or read.
func (d decision) retry(to order.Record, side order.Side, cause error) Move {
	if !d.told {
		return d.tell(Count, side, cause)
	}
	if d.triedTooLong(to) {
		return d.giveUp(to, cause)
	}
	most := order.Doubled(d.c.RetryBase, max(to.Attempts-1, 0), maxBackoff)
	due := d.now.Add(time.Duration(d.random * float64(most)))
	if d.openUntil.After(due) {
		due = d.openUntil
	}
	return d.park("any/retry", to, due, cause, spent, "")
}

// giveUp ends an order that was tried for too long, and says what stood in the way.
func (d decision) giveUp(to order.Record, cause error) Move {
	code := exhausted(to.RecoveryPoint)
	return d.fail("any/exhausted", to, &fault.Error{Code: code, Seen: code.Info().Seen + " The last time: " + fault.SeenOf(cause), Err: cause})
}

// triedTooLong reports whether the order is given up: GiveUp after it was
// opened, or after work was resumed, or a side came back, since: neither a
// pause nor an outage is a try of the order.
func (d decision) triedTooLong(r order.Record) bool {
	since := r.OpenedAt
	back := []time.Time{d.whmcs.At, d.whmcs.ClosedAt}
	if d.salesforce != nil {
		back = append(back, d.salesforce.control.ClosedAt)
	}
	for _, t := range back {
		if t.After(since) {
			since = t
		}
	}
	return !since.IsZero() && d.now.Sub(since) > d.c.GiveUp
}

// exhausted is the code of an order that was tried for too long: a plain one
// only where nothing can have reached WHMCS.
func exhausted(at order.RecoveryPoint) fault.Code {
	switch at {
	case order.PointNone:
		return fault.RetriesExhausted
	case order.PointAdding:
		return fault.AddOutcomeUnknown
	case order.PointAccepted:
		return fault.NotVerified
	}
	return fault.AcceptOutcomeUnknown
}

// reviewCode is the code under which an order fails. A plain one says that
// nothing was made; past none that is known only from WHMCS's own refusal of
// the AddOrder that a search had shown to be needed. Any other cause then fails
// under the review code of the point; the text stays the cause's.
func reviewCode(at order.RecoveryPoint, cause error) fault.Code {
	code := fault.CodeOf(cause)
	var refused *fault.Refused
	switch {
	case code.Info().Review, at == order.PointNone, at == order.PointAdding && errors.As(cause, &refused):
		return code
	case at == order.PointAdded:
		return fault.WHMCSOrderMismatch
	}
	return exhausted(at)
}

func (d decision) mismatch(row, id, diff string) Move {
	return d.fail(row, d.r, fault.Saw(fault.WHMCSOrderMismatch, "WHMCS order %s is not what was ordered: %s.", id, diff))
}

func (d decision) cancelled(row, id, how string) Move {
	d.r.WHMCSOrderID = id
	return d.fail(row, d.r, fault.Saw(fault.WHMCSOrderCancelled, "WHMCS order %s is %s.", id, how))
}

// --- what every move is made of

// ask makes a read, after the lease was renewed where a minute of reading is
// over; id and client are those of the WHMCS orders to be read.
func (d decision) ask(what Read, id string, client int64) Move {
	switch {
	case d.left > 0 && (d.now.Sub(d.renewed) < min(renewEvery, d.c.Lease/2) || !d.now.Add(d.lease).After(d.r.LeaseUntil)):
		return Move{Row: "any/read", To: d.r, Then: Ask, Read: what, ID: id, Client: client, Within: d.left}
	case d.lease <= d.c.Margin:
		return d.park("any/no-time", d.r, d.now, nil, unspent, "no time left in this invocation")
	}
	to := d.r
	to.LeaseUntil, to.Search = d.now.Add(d.lease), d.seen.search.Kept()
	return d.write("any/renew", to, Repeat, "", "")
}

// noTime parks an order whose effect needs more time than this run has left. A
// fresh run has more, so it comes at once; where that one had too little too,
// something is slow or set too long, and the order waits before it tries again.
func (d decision) noTime() Move {
	due := d.now
	if d.r.ErrorCode == fault.NoTimeLeft {
		due = due.Add(d.c.RetryBase)
	}
	return d.park("any/no-time", d.r, due, fault.New(fault.NoTimeLeft, ""), unspent, "")
}

// tell reports a fault to the breaker of a side; what it says decides then.
func (d decision) tell(how Next, side order.Side, cause error) Move {
	return Move{Row: "any/tell-breaker", To: d.r, Then: how, Side: side, Cause: cause}
}

// stage goes on without a write.
func (d decision) stage(row string, to order.Record) Move { return Move{Row: row, To: to} }

// write writes the record. The history gets a line, unless it says since the
// order last moved on what a wait or a send would say again: three days of
// retries must not push out the first lines.
func (d decision) write(row string, to order.Record, then Next, event, detail string) Move {
	m := Move{Row: row, To: to, Signal: order.SignalLease, Then: then}
	if !to.State.Open() || to.Told != d.r.Told {
		m.Signal = order.SignalStatus
	}
	if !alreadyLogged(d.r.History, event, detail) {
		m.Event, m.Detail = event, detail
	}
	return m
}

// spending says whether a wait counts as a try.
type spending bool

const (
	spent   spending = true
	unspent spending = false // paused, breaker, settling: not the order's fault
)

// park ends the run with the order waiting until due.
func (d decision) park(row string, to order.Record, due time.Time, cause error, s spending, why string) Move {
	to.State, to.DueAt, to.LeaseUntil, to.Search = order.Waiting, due, time.Time{}, d.seen.search.Kept()
	if s == unspent {
		to.Attempts = max(to.Attempts-1, 0)
	}
	if cause != nil {
		to.ErrorCode, to.ErrorMessage, to.ErrorAt = fault.CodeOf(cause), fault.TextOf(cause), d.now
		if why == "" {
			why = string(to.ErrorCode)
		}
		if again := !d.r.ErrorAt.IsZero() && !d.r.ErrorAt.Before(d.r.OpenedAt); again && to.Told.Code != to.ErrorCode {
			// It waits for longer than one attempt: the operator reads why, once
			// for each reason.
			to.Told = order.Wait{Code: to.ErrorCode, Message: to.ErrorMessage, NextTry: due}
		}
	}
	return d.write(row, to, Finish, "waiting", fmt.Sprintf("at %s until %s: %s", to.RecoveryPoint, due.UTC().Format(time.RFC3339), why))
}

// fail ends the order. Only a failure at none is forgotten one day: everywhere
// else the item is the evidence of what may exist in WHMCS.
func (d decision) fail(row string, to order.Record, cause error) Move {
	to.State, to.Word, to.Told = order.Failed, to.Word.WithoutRerun(), order.Wait{}
	to.DueAt, to.LeaseUntil = time.Time{}, time.Time{}
	if to.RecoveryPoint == order.PointAdding && to.Add.SettledAt.Before(d.now) {
		to.Add = to.Add.Ended() // a person need not wait for it
	}
	to.ErrorCode, to.ErrorMessage, to.ErrorAt = reviewCode(to.RecoveryPoint, cause), fault.TextOf(cause), d.now
	if to.RecoveryPoint == order.PointNone {
		to.ExpiresAt = d.now.Add(d.c.Retention)
	}
	return d.write(row, to, Finish, "failed", string(to.ErrorCode)+": "+to.ErrorMessage)
}

func alreadyLogged(history []order.Entry, event, detail string) bool {
	repeating := []string{"waiting", "add_sending", "accept_sending"}
	if !slices.Contains(repeating, event) {
		return false
	}
	detail = order.Cut(detail, order.MaxDetail)
	for _, e := range slices.Backward(history) {
		switch {
		case e.Event == event && withoutTime(e.Detail) == withoutTime(detail):
			return true
		case e.By == order.ByEngine && !slices.Contains(repeating, e.Event), e.Decides():
			return false
		}
	}
	return false
}

// withoutTime is the detail of a wait without its end.
func withoutTime(detail string) string {
	point, rest, ok := strings.Cut(detail, " until ")
	if !ok {
		return detail
	}
	_, why, _ := strings.Cut(rest, ": ")
	return point + ": " + why
}

// pause is the wait before another try inside the invocation.

func (d decision) pause(try int) time.Duration {
	return time.Duration(d.random * float64(pauseMost(d.c, try)))
}

// pauseMost is the longest such wait: 1 s, then 4 s, at the default RetryBase.
func pauseMost(c Config, try int) time.Duration { return c.RetryBase / 60 << (2 * min(try, 2)) }
