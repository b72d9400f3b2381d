package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"

	"orderbridge/local/eventsource"
	"orderbridge/shared/order"
	"orderbridge/shared/salesforce/salesforcetest"
	"orderbridge/shared/store"
	"orderbridge/shared/whmcs/whmcstest"
)

// Where an event was seen.
const (
	atCallout    = "callout"
	atOrder      = "order" // a write of the order's item
	atWHMCS      = "whmcs"
	atSalesforce = "salesforce"
)

// event is one thing that happened to an order, as a person reads it.
type event struct {
	At     time.Time `json:"at"`
	Order  string    `json:"order"`
	Source string    `json:"source"`
	Title  string    `json:"title"`
	Text   string    `json:"text,omitempty"`
	Bad    bool      `json:"bad,omitempty"`  // it did not go well
	Data   any       `json:"data,omitempty"` // what was sent
	minor  bool      // a read: for the page, not for the screen
}

// Bounds of what is remembered for the console page.
const (
	maxOrders = 200 // those that were touched last
	maxEvents = 300 // of each
)

// events remembers what happened to each order: it is seen at the edges, at the
// gateway, in the table's stream and in the two simulators, not told by the
// functions.
type events struct {
	say func(event)

	mu      sync.Mutex
	touched []string // orders, the one touched last at the end
	of      map[string][]event
	records map[string]order.Record // the newest images
}

func newEvents(say func(event)) *events {
	return &events{say: say, of: map[string][]event{}, records: map[string]order.Record{}}
}

func (e *events) add(ev event) {
	e.say(ev)
	e.mu.Lock()
	defer e.mu.Unlock()
	i := slices.Index(e.touched, ev.Order)
	switch {
	case ev.minor && i < 0:
		return // a sweep reads hundreds of orders, which must not put out those of now
	case !ev.minor && i >= 0:
		e.touched = slices.Delete(e.touched, i, i+1)
		fallthrough
	case !ev.minor:
		e.touched = append(e.touched, ev.Order)
	}
	all := append(e.of[ev.Order], ev)
	e.of[ev.Order] = all[max(0, len(all)-maxEvents):]
	for len(e.touched) > maxOrders {
		delete(e.of, e.touched[0])
		delete(e.records, e.touched[0])
		e.touched = e.touched[1:]
	}
}

// timeline returns what happened to an order, oldest first, and its newest
// image; false: it has none.
func (e *events) timeline(id string) ([]event, order.Record, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := slices.Clone(e.of[id])
	slices.SortStableFunc(all, func(a, b event) int { return a.At.Compare(b.At) })
	r, there := e.records[id]
	return all, r, there
}

// inWork returns the one order that is queued or held by a worker, "" when it is
// none or more than one: whose reads of WHMCS these are cannot be told then.
func (e *events) inWork() (id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, r := range e.records {
		if r.State == order.Queued || r.State == order.Working {
			if id != "" {
				return ""
			}
			id = r.ID.String()
		}
	}
	return id
}

// sawWHMCS is told of each call of the WHMCS simulator.
func (e *events) sawWHMCS(c whmcstest.Call, about map[string]bool) {
	ev := event{At: c.At, Order: e.subject(about), Source: atWHMCS, Title: c.Action, Text: c.Effect, Data: c.Params, minor: c.Effect == "" && c.Fault == ""}
	if c.Fault != "" {
		ev.Bad = true
		ev.Text = strings.TrimPrefix(c.Effect+"; fault "+c.Fault, "; ")
	}
	if ev.Order != "" {
		e.add(ev)
	}
}

// sawSalesforce is told of each call of the Salesforce simulator.
func (e *events) sawSalesforce(c salesforcetest.Call, about map[string]bool) {
	title := map[string]string{"token": "token", "query": "read the order", "update": "write the status"}[c.Action]
	for id := range about {
		if _, err := order.ParseID(id); err != nil {
			continue
		}
		ev := event{At: c.At, Order: id, Source: atSalesforce, Title: title, Text: c.Effect, Data: c.Params, minor: c.Action != "update" && c.Fault == ""}
		if c.Fault != "" {
			ev.Bad, ev.Text = true, c.Effect+"; fault "+c.Fault
		}
		e.add(ev)
	}
}

// subject is the order that a call to WHMCS is about: the one that it names, or
// the one in work, since a read of a client names all the client's orders.
func (e *events) subject(about map[string]bool) string {
	var named []string
	for id := range about {
		if parsed, err := order.ParseID(id); err == nil {
			named = append(named, parsed.String())
		}
	}
	if len(named) == 1 {
		return named[0]
	}
	return e.inWork()
}

// follow tells each write of an order's item, from the table's stream, until
// ctx ends.
func (e *events) follow(ctx context.Context, stream *eventsource.Stream) error {
	return stream.Run(ctx, eventsource.Policy{BatchSize: 100, MaxRetries: 0, MaxAge: -1}, func(_ context.Context, batch []eventsource.Record) ([]string, error) {
		for _, r := range batch {
			if err := e.image(r); err != nil {
				return nil, err
			}
		}
		return nil, nil
	})
}

// image tells one write of the table.
func (e *events) image(r eventsource.Record) error {
	change, _ := r.Event["dynamodb"].(map[string]any)
	raw, err := json.Marshal(change["NewImage"])
	if err != nil {
		return fmt.Errorf("read an image of the stream: %w", err)
	}
	item, err := attributevalue.UnmarshalMapJSON(raw)
	if err != nil {
		return fmt.Errorf("read an image of the stream: %w", err)
	}
	// What is no order is a switch, a removal, or something that a test wrote.
	if to, err := store.Decode(item); err == nil {
		e.wrote(to)
	}
	return nil
}

// wrote tells one write of an order.
func (e *events) wrote(to order.Record) {
	id := to.ID.String()
	e.mu.Lock()
	from := e.records[id]
	e.records[id] = to
	e.mu.Unlock()
	// A lease leaves updated_at alone, and the stream's own times are seconds.
	at := to.UpdatedAt
	if at.Equal(from.UpdatedAt) {
		at = time.Now()
	}
	if title := headline(from, to); title != "" {
		e.add(event{At: at, Order: id, Source: atOrder, Title: title, Text: details(from, to), Bad: to.State == order.Failed || to.State == order.Waiting && to.ErrorCode != ""})
	}
}

// headline says what a write changed, "" when it is nothing that a person
// follows.
func headline(from, to order.Record) string {
	switch {
	case from.ID.IsZero():
		return "recorded, waits for a worker"
	case to.State == order.Provisioned && from.State != to.State:
		return "provisioned"
	case to.State == order.Failed && from.State != to.State:
		return "failed"
	case to.State == order.Waiting && from.State != to.State:
		return "waits, next try at " + to.DueAt.Local().Format(time.TimeOnly)
	case to.State == order.Queued && from.State != to.State:
		return "queued again"
	case to.RecoveryPoint != from.RecoveryPoint:
		return "recovery point " + string(to.RecoveryPoint)
	case to.State == order.Working && (from.State != to.State || from.Lease != to.Lease):
		return "a worker holds it"
	case len(newLines(from, to)) > 0:
		return newLines(from, to)[0].Event
	}
	return ""
}

// details are the lines of the history that a write added, and why an order
// waits.
func details(from, to order.Record) string {
	var all []string
	for _, l := range newLines(from, to) {
		text := l.Detail
		if text == "" && l.Event != "callout" {
			text = l.Event
		}
		if l.By != "" && l.By != "provision" {
			text += " (" + l.By + ")"
		}
		if text != "" {
			all = append(all, text)
		}
	}
	if to.State == order.Waiting && from.State != to.State && to.ErrorMessage != "" && len(all) == 0 {
		all = append(all, string(to.ErrorCode)+": "+to.ErrorMessage)
	}
	return strings.Join(all, "; ")
}

func newLines(from, to order.Record) []order.Entry {
	var last time.Time
	if n := len(from.History); n > 0 {
		last = from.History[n-1].At
	}
	var added []order.Entry
	for _, l := range to.History {
		if l.At.After(last) || !slices.Contains(from.History, l) {
			added = append(added, l)
		}
	}
	return added
}
