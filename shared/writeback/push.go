package writeback

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// Change is one image to be shown.
type Change struct {
	Record order.Record
	// At is when the change was made, as the stream says. A row that is locked is
	// tried again by the stream for a moment after it; zero: for ever.
	At time.Time
	// clear names order products whose services are gone.
	clear []string
}

// Deps are the ports and instruments of a Pusher.
type Deps struct {
	Salesforce Salesforce
	Items      Items
	Breaker    Breaker
	Dead       DeadLetters
	Meter      Meter
	Log        *slog.Logger
	Now        func() time.Time
	// Sleep returns after d or with the error of ctx.
	Sleep func(ctx context.Context, d time.Duration) error
	// RetryBase is the first wait of a row that is refused for a reason that may
	// pass (RETRY_BASE). Three times as long after a change it is looked for in
	// the org.
	RetryBase time.Duration
	// MaxRows is the most rows of one call; 0 = 1,000, what one call takes. An
	// org with slow triggers gets fewer by itself after a time-out.
	MaxRows int
}

// Pusher shows changes to the org. It is safe for concurrent use; one per
// process, since it learns how many rows the org takes at once.
type Pusher struct {
	d Deps

	mu    sync.Mutex
	size  int // rows of the next call
	least int // to which it shrinks
	fails int // calls failed in a row
	// proved is when the probe succeeded last after rows were refused for a
	// permission.
	proved time.Time
	// control is the switch as the last push saw it, until a call has worked.
	control order.Control
}

// New returns a Pusher.
func New(d Deps) (*Pusher, error) {
	if d.Salesforce == nil || d.Items == nil || d.Breaker == nil || d.Dead == nil || d.Meter == nil || d.Log == nil || d.Now == nil || d.Sleep == nil {
		return nil, errors.New("pusher: a port is missing")
	}
	if d.RetryBase <= 0 {
		return nil, fault.New(fault.ConfigurationInvalid, "RETRY_BASE must be positive")
	}
	d.MaxRows = cmp.Or(d.MaxRows, maxRows)
	if d.MaxRows < 0 || d.MaxRows > maxRows {
		return nil, fmt.Errorf("pusher: %d rows a call, the most are %d", d.MaxRows, maxRows)
	}
	return &Pusher{d: d, size: d.MaxRows, least: min(minRows, d.MaxRows)}, nil
}

const (
	// minRows is the least to which a call shrinks: one collection's worth of
	// slow triggers, an eighth.
	minRows = 25
	// lockWait is how long a row that was locked, or too much for one
	// transaction of the org, is left alone before the second try of the same
	// invocation. Salesforce itself has waited up to 10 s for the lock.
	lockWait = time.Second
	// secondTries bounds the calls of that second try.
	secondTries = 8
	// streamFor is how long after a change the stream brings a row again that is
	// locked: as long as Salesforce itself waits for a lock. Later changes wait
	// behind it, those of other orders too; so from then on the table remembers
	// it, and Confirm tries it again.
	streamFor = 10 * time.Second
	// stuckAfter is when a row that is refused for a reason that may pass becomes
	// a dead letter; it is tried again all the same.
	stuckAfter = 15 * time.Minute
	// A refused row is tried again after RetryBase, or, where a person must
	// correct something first, permanentWait times that; doubling to retryMost.
	permanentWait = 60
	retryMost     = 24 * time.Hour
	// After a failed call the process waits before it returns, pauseFirst
	// doubling to pauseMost, so that a stream that is read again at once does
	// not become a storm on an org that is down.
	pauseFirst = 500 * time.Millisecond
	pauseMost  = 8 * time.Second
	// closedPause is the same while the breaker is open.
	closedPause = time.Second
	// callTime is the least time that must be left for a call to begin.
	callTime = 2 * time.Second
	// staleMost in staleSpan is how often an order's seq is raised because the
	// org refused it, before a person has to look: something else raises the
	// org's seq each time, or its rule refuses everything.
	staleMost = 3
	staleSpan = time.Hour

	eventRaised = "status_pushed_again"
	eventFailed = "status_push_failed"
	eventShown  = "status_shown"
	by          = "statuspush"
)

// Push shows the newest image of each order in changes. It returns, for each
// change, whether it must be pushed again: a change that a newer one in the
// list supersedes need not. Every other change is shown, known to be superseded
// by what the org shows, or refused: then the table says when it is tried again.
func (p *Pusher) Push(ctx context.Context, changes []Change) (retry []bool) {
	return p.push(ctx, changes, true)
}

// push is Push; stream says that the stream brings again what it returns.
func (p *Pusher) push(ctx context.Context, changes []Change, stream bool) (retry []bool) {
	retry = make([]bool, len(changes))
	top := newest(changes)
	if len(top) == 0 {
		return retry
	}
	b := &batch{p: p, stream: stream, changes: make([]Change, len(top)), retryCode: make([]fault.Code, len(top))}
	for k, i := range top {
		b.changes[k] = changes[i]
	}
	if _, open, _ := p.admit(ctx); open {
		b.run(ctx)
	} else {
		for k := range b.retryCode {
			b.retryCode[k] = fault.SalesforceUnavailable
		}
		_ = p.d.Sleep(ctx, closedPause) // an ended context is seen by the caller
	}
	n := map[fault.Code]int{}
	for k, i := range top {
		if code := b.retryCode[k]; code != "" {
			retry[i] = true
			n[code]++
		}
	}
	for code, k := range n {
		p.d.Meter.Retried(code, k)
	}
	return retry
}

// batch is one Push.
type batch struct {
	p         *Pusher
	stream    bool
	changes   []Change
	retryCode []fault.Code // by change: why it must be pushed again; "" = it need not
	results   []result
}

type result struct {
	cell
	err  error
	done bool // the org answered for this row
}

func (b *batch) run(ctx context.Context) {
	for _, c := range layout(b.changes) {
		b.results = append(b.results, result{cell: c})
	}
	if b.send(ctx, upTo(len(b.results)), b.p.rows()) == nil {
		b.secondTry(ctx)
	}
	b.judge(ctx)
}

// send updates the rows with the given indexes. An error of a whole call ends
// it: the rows not answered stay so.
func (b *batch) send(ctx context.Context, indexes []int, size int) error {
	p := b.p
	for len(indexes) > 0 {
		part := indexes[:min(size, len(indexes))]
		if until, ok := ctx.Deadline(); ok && until.Sub(p.d.Now()) < callTime {
			return b.unanswered(indexes, fault.Wrap(fault.SalesforceUnavailable, errors.New("no time left for the call")))
		}
		rows := make([]order.Shown, len(part))
		for k, i := range part {
			rows[k] = b.results[i].row
		}
		errs, err := p.d.Salesforce.Update(ctx, rows)
		if err == nil && len(errs) != len(rows) {
			err = fault.Wrap(fault.Internal, fmt.Errorf("%d results for %d rows", len(errs), len(rows)))
		}
		if err != nil {
			p.callFailed(ctx, err, len(rows))
			return b.unanswered(indexes, err)
		}
		p.callWorked(ctx)
		for k, i := range part {
			b.results[i].err, b.results[i].done = errs[k], true
			if fault.CodeOf(errs[k]) == fault.SalesforceLimit {
				p.shrink()
			}
		}
		indexes = indexes[len(part):]
	}
	return nil
}

// unanswered notes that the org did not answer for the rows, and returns err.
func (b *batch) unanswered(indexes []int, err error) error {
	for _, i := range indexes {
		b.results[i].err, b.results[i].done = err, false
	}
	return err
}

// secondTry sends once more, after a moment and in smaller calls, the rows
// that were locked or too much for one transaction of the org.
func (b *batch) secondTry(ctx context.Context) {
	var left []int
	size := b.p.rows()
	for i, r := range b.results {
		switch {
		case !r.done:
		case fault.CodeOf(r.err) == fault.SalesforceLimit:
			size = b.p.least
			if !b.stream {
				size = 1 // one of them may spoil the call of the others
			}
			left = append(left, i)
		case fault.KindOf(r.err) == fault.Retryable && r.err != nil:
			left = append(left, i)
		}
	}
	if len(left) == 0 || b.p.d.Sleep(ctx, lockWait) != nil {
		return
	}
	left = left[:min(len(left), size*secondTries)]
	// A failure of this call as a whole must not undo what the first one told.
	before := slices.Clone(b.results)
	if b.send(ctx, left, size) != nil {
		for _, i := range left {
			if !b.results[i].done {
				b.results[i] = before[i]
			}
		}
	}
}

// isProduct reports whether the row is of an order's product.
func (r result) isProduct() bool { return r.row.Item != "" }

// judge decides what follows for each change from the answers to its rows.
func (b *batch) judge(ctx context.Context) {
	worked := map[bool]bool{} // the org took at least one row of an order, of a product
	for _, r := range b.results {
		if r.done && r.err == nil {
			worked[r.isProduct()] = true
		}
	}
	var doubtful []*result // a lost permission explains them, or the row itself
	refusals := make([]*result, len(b.changes))
	outdated := make([]bool, len(b.changes)) // refused as older than what the org shows
	for i := range b.results {
		r := &b.results[i]
		code := fault.CodeOf(r.err)
		switch {
		case r.err == nil && r.done:
		case !r.done:
			b.again(r.change, code)
		case code == fault.SalesforceStale:
			outdated[r.change] = true
		case code.Kind() == fault.Config && !worked[r.isProduct()]:
			doubtful = append(doubtful, r)
		case code.Kind() == fault.Retryable && b.young(r.change):
			b.again(r.change, code)
		case refusals[r.change] == nil:
			// The row's own: permanent; or the org refuses this row alone while it
			// takes others of the same kind; or it must not hold back the stream any
			// longer. The first refusal counts: orders come before products.
			refusals[r.change] = r
		}
	}
	if len(doubtful) > 0 {
		verdict := b.p.installation(ctx)
		for _, r := range doubtful {
			switch {
			case verdict != nil:
				b.again(r.change, fault.CodeOf(verdict))
			case refusals[r.change] == nil || !r.isProduct():
				refusals[r.change] = r
			}
		}
	}
	b.settle(ctx, refusals, outdated)
}

// again has the change pushed again, because of the first code that is given.
func (b *batch) again(i int, code fault.Code) { b.retryCode[i] = cmp.Or(b.retryCode[i], code) }

// settle keeps what was refused, ends refusals of what is shown now, and asks
// about what the org refused as older.
func (b *batch) settle(ctx context.Context, refusals []*result, outdated []bool) {
	p := b.p
	var stale []int
	for i, r := range refusals {
		if r != nil && !p.refused(ctx, b.changes[i], nameOf(r.row)+": ", r.err) {
			b.again(i, fault.CodeOf(r.err))
		}
		switch {
		case b.retryCode[i] != "":
		case outdated[i]:
			stale = append(stale, i)
		case r == nil:
			p.d.Meter.Shown(b.changes[i], p.d.Now().Sub(changedAt(b.changes[i].Record)))
			p.confirm(ctx, b.changes[i].Record)
		}
	}
	b.resolveStale(ctx, stale)
}

func nameOf(row order.Shown) string {
	if row.Item != "" {
		return "order product " + row.Item
	}
	return "order " + row.ID.String()
}

// young reports whether the stream is to bring the change again.
func (b *batch) young(i int) bool {
	at := b.changes[i].At
	return b.stream && (at.IsZero() || b.p.d.Now().Sub(at) < streamFor)
}

// refused keeps in the table that the org does not take a change, and when it
// is tried again. A dead letter tells of it once: at once where a person must
// correct something, else when it has been refused for stuckAfter. what stands
// before the text of cause. false: this could not be written, so the change must
// come again.
func (p *Pusher) refused(ctx context.Context, c Change, what string, cause error) bool {
	rec, now, code := c.Record, p.d.Now(), fault.CodeOf(cause)
	item, there, err := p.d.Items.Get(ctx, rec.ID)
	switch {
	case err != nil:
		p.d.Log.ErrorContext(ctx, "refusal not written", "order_id", rec.ID.String(), "code", string(code), "error", err)
		return false
	case there && item.Seq > rec.Seq:
		return true // a newer change is on its way
	}
	x := order.Refusal{Seq: rec.Seq, Code: code}
	since, tries, told := now, 0, false
	if item.Refusal.Seq == rec.Seq {
		since, tries, told = item.Refusal.Since, item.Refusal.Tries, item.Refusal.Letter
	}
	if !c.At.IsZero() && c.At.Before(since) {
		since = c.At
	}
	wait := p.d.RetryBase
	if code.Kind() != fault.Retryable {
		wait *= permanentWait
	}
	x.Next = now.Add(order.Doubled(wait, tries, retryMost))
	l := letterOf(rec.ID, rec.Seq, what, cause)
	if !told && (code.Kind() != fault.Retryable || now.Sub(since) >= stuckAfter) {
		if !p.send(ctx, l, cause) {
			return false
		}
		x.Letter = true
	}
	err = p.d.Items.Refuse(ctx, rec.ID, x, now, l.entry(now))
	if err != nil && fault.CodeOf(err) != fault.OrderNotFound {
		p.d.Log.ErrorContext(ctx, "refusal not written", "order_id", rec.ID.String(), "code", string(code), "error", err)
		return false
	}
	return true
}

// confirm ends the refusal of an order that the org now shows as rec. An error
// leaves it there: the next try finds that the org shows it.
func (p *Pusher) confirm(ctx context.Context, rec order.Record) {
	if rec.Refusal.Seq == 0 {
		return
	}
	if err := p.d.Items.Confirm(ctx, rec.ID, rec.Seq, order.Entry{At: p.d.Now(), Event: eventShown, By: by}); err != nil && fault.CodeOf(err) != fault.OrderNotFound {
		p.d.Log.WarnContext(ctx, "refusal not ended", "order_id", rec.ID.String(), "error", err)
	}
}

func letterOf(id order.ID, seq order.Seq, what string, cause error) Letter {
	return Letter{id, seq, fault.CodeOf(cause), what + fault.TextOf(cause)}
}

// entry is the line of the history that tells of the letter.
func (l Letter) entry(at time.Time) order.Entry {
	return order.Entry{At: at, Event: eventFailed, Detail: order.Cut(string(l.Code)+": "+l.Message, order.MaxDetail), By: by}
}

// send sends a dead letter, and tells of it in metrics and log. false: it could
// not be sent.
func (p *Pusher) send(ctx context.Context, l Letter, cause error) bool {
	if err := p.d.Dead.Send(ctx, l); err != nil {
		p.d.Log.ErrorContext(ctx, "dead letter not sent", "order_id", l.ID.String(), "code", string(l.Code), "error", err)
		return false
	}
	p.d.Meter.Refused(l.Code)
	p.d.Log.ErrorContext(ctx, "status cannot be shown", "order_id", l.ID.String(), "seq", int64(l.Seq), "code", string(l.Code), "error", cause)
	return true
}

// DeadLetter sends a dead letter for a record of the stream that cannot be read;
// id is zero where not even the order is known. false: the letter could not be
// sent, so the record must come again.
func (p *Pusher) DeadLetter(ctx context.Context, id order.ID, cause error) bool {
	l := letterOf(id, 0, "", cause)
	if !p.send(ctx, l, cause) {
		return false
	}
	if id.IsZero() {
		return true
	}
	if err := p.d.Items.Note(ctx, id, l.entry(p.d.Now())); err != nil && fault.CodeOf(err) != fault.OrderNotFound {
		p.d.Log.WarnContext(ctx, "history not written", "order_id", id.String(), "error", err)
	}
	return true
}

// resolveStale asks the org what it shows for the orders whose push it refused
// as older. Where that is a newer change of ours, nothing is left to do. Where
// the org is ahead of the table, or not ahead at all, the order's seq is raised
// beyond it, and the stream brings the newest image again.
func (b *batch) resolveStale(ctx context.Context, stale []int) {
	if len(stale) == 0 {
		return
	}
	p := b.p
	p.d.Meter.Stale(len(stale))
	ids := make([]order.ID, len(stale))
	for k, i := range stale {
		ids[k] = b.changes[i].Record.ID
	}
	views, err := p.d.Salesforce.Shows(ctx, ids)
	if err != nil {
		if fault.KindOf(err) == fault.Config {
			p.trip(ctx, err)
		}
		for _, i := range stale {
			b.retryCode[i] = fault.CodeOf(err)
		}
		return
	}
	for _, i := range stale {
		rec := b.changes[i].Record
		view, there := views[rec.ID]
		if !there {
			gone := fault.New(fault.SalesforceRowRefused, "The order is gone from Salesforce.")
			if !p.refused(ctx, b.changes[i], "", gone) {
				b.retryCode[i] = gone.Code
			}
			continue
		}
		if err := p.raiseSeq(ctx, rec, view.Seq); err != nil {
			b.retryCode[i] = fault.CodeOf(err)
		}
	}
}

// raiseSeq raises the seq of rec's order beyond shows, unless the org shows a
// change that the table knows. After an error the change must come again.
func (p *Pusher) raiseSeq(ctx context.Context, rec order.Record, shows order.Seq) error {
	now := p.d.Now()
	item, ok, err := p.d.Items.Get(ctx, rec.ID)
	if err != nil {
		return err
	}
	if !ok {
		return nil // removed after its retention: nothing newer will come of it
	}
	if rec.Seq <= shows && shows <= item.Seq {
		return nil
	}
	lately := 0
	for _, e := range item.History {
		if e.Event == eventRaised && now.Sub(e.At) < staleSpan {
			lately++
		}
	}
	if lately >= staleMost {
		err := fault.New(fault.SalesforceStale, fmt.Sprintf("Look what else writes the seq of this order, or refuses it: Salesforce shows seq %d and refused %d as older, %d times within an hour.", shows, rec.Seq, lately+1))
		if !p.refused(ctx, Change{Record: rec}, "", err) {
			return err
		}
		return nil
	}
	_, err = p.d.Items.Bump(ctx, rec.ID, max(shows, rec.Seq)+1, now, order.Entry{
		At: now, Event: eventRaised, Detail: fmt.Sprintf("Salesforce showed seq %d", shows), By: by,
	})
	if fault.CodeOf(err) == fault.OrderNotFound {
		return nil
	}
	return err
}

func (p *Pusher) rows() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.size
}

func (p *Pusher) shrink() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.size = max(p.size/2, p.least)
}

func (p *Pusher) callWorked(ctx context.Context) {
	p.mu.Lock()
	p.fails = 0
	p.size = min(2*p.size, p.d.MaxRows)
	p.mu.Unlock()
	p.served(ctx)
}

// callFailed makes the next calls smaller and waits, after a call that failed as
// a whole; a config error opens the breaker instead.
func (p *Pusher) callFailed(ctx context.Context, err error, rows int) {
	p.d.Log.WarnContext(ctx, "call to Salesforce failed", "code", string(fault.CodeOf(err)), "rows", rows, "error", err)
	if fault.KindOf(err) == fault.Config {
		p.trip(ctx, err)
		return
	}
	p.mu.Lock()
	// It may have been too much for the time-out, or for the org's.
	p.size = max(min(p.size, rows)/2, p.least)
	pause := min(pauseFirst<<min(p.fails, 10), pauseMost)
	p.fails++
	p.mu.Unlock()
	if rows <= p.least { // a smaller call would not help: the org does not serve
		p.failed(ctx, err)
	}
	if until, ok := ctx.Deadline(); ok {
		pause = min(pause, until.Sub(p.d.Now())-callTime)
	}
	if pause > 0 {
		_ = p.d.Sleep(ctx, pause) // an ended context is seen by the caller
	}
}
