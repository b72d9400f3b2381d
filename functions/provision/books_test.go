package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"orderbridge/shared/audit"
	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/question"
	"orderbridge/shared/store"
	"orderbridge/shared/telemetry"
)

// shelf holds the three books in memory.
type shelf struct {
	t        *testing.T
	table    map[order.ID]order.Record
	made     []order.BillingOrder
	shown    map[order.ID]order.Shown
	unstable bool // the list changes while it is read
	pages    int
	gets     int
	counts   map[string]int
}

func (s *shelf) Get(_ context.Context, id order.ID) (order.Record, bool, error) {
	r, ok := s.table[id]
	return r, ok, nil
}
func (s *shelf) Failed(context.Context, time.Time, int) ([]store.FailedOrder, error) { return nil, nil }
func (s *shelf) ShownSince(context.Context, time.Time) (map[order.ID]order.Shown, error) {
	return s.shown, nil
}

// Page gives rows of a list whose ids fall, 1000 at a time.
func (s *shelf) Page(_ context.Context, l order.Listing) (order.Page, error) {
	s.pages++
	all := slices.Clone(s.made)
	slices.Reverse(all)
	total := len(all)
	if s.unstable {
		total += s.pages // it changes while it is read
		all[0], all[1] = all[1], all[0]
	}
	return order.Page{Total: total, Orders: all[min(l.Start, len(all)):min(l.Start+1000, len(all))]}, nil
}
func (s *shelf) Order(_ context.Context, id string, _ int64) (order.BillingOrder, bool, error) {
	s.gets++
	return order.BillingOrder{ID: id, Status: order.BillingActive}, id == "1007", nil
}
func (s *shelf) Count(_ telemetry.Metric, code string, n int) { s.counts[code] += n }

var auditedAt = time.Date(2026, 11, 28, 3, 0, 0, 0, time.UTC)

// newShelf holds n orders that were provisioned yesterday.
func newShelf(t *testing.T, n int) *shelf {
	s := &shelf{t: t, table: map[order.ID]order.Record{}, shown: map[order.ID]order.Shown{}, counts: map[string]int{}}
	at := auditedAt.Add(-24 * time.Hour)
	for k := range n {
		id, whmcs := mustParse(t, fmt.Sprintf("801%012d", k+1)), fmt.Sprint(1001+k)
		s.table[id] = order.Record{ID: id, State: order.Provisioned, WHMCSOrderID: whmcs, FirstAddAt: at, UpdatedAt: at}
		s.made = append(s.made, order.BillingOrder{ID: whmcs, Status: order.BillingActive, Marker: order.Marker(id.String())})
		s.shown[id] = order.Shown{ID: id, Status: order.StatusProvisioned, WHMCSOrderID: whmcs}
	}
	return s
}

func (s *shelf) ask(q question.Audit) (question.Audited, error) { return s.askWithin(s.t.Context(), q) }

func (s *shelf) askWithin(ctx context.Context, q question.Audit) (question.Audited, error) {
	c := &clerk{table: s, orders: s, billing: s, meter: s, now: func() time.Time { return auditedAt }}
	out, err := c.audit(ctx, q)
	if err != nil {
		return question.Audited{}, err
	}
	a, ok := out.(question.Audited)
	if !ok {
		s.t.Fatalf("answer %T", out)
	}
	return a, nil
}

func TestAnAuditComparesAllOrdersAsFarAsItsTimeGoes(t *testing.T) {
	s := newShelf(t, 2*auditPart+10)
	for k := range s.made {
		if k%1000 == 0 {
			s.made[k].Status = order.BillingCancelled
		}
	}
	whole, err := s.ask(question.Audit{Days: 2})
	if err != nil || whole.Orders != len(s.table) || len(whole.Differences) != 11 || whole.Next != "" {
		t.Fatalf("%d orders, %d differences, next %q, %v", whole.Orders, len(whole.Differences), whole.Next, err)
	}
	if s.counts[string(audit.Missing)] != 11 || s.counts[string(audit.Doubled)] != 0 {
		t.Errorf("counted %v", s.counts)
	}

	// With no time left, each invocation compares a few and says where to go on.
	s = newShelf(t, 500)
	s.made[0].Status, s.made[499].Status = order.BillingCancelled, order.BillingCancelled
	ctx, cancel := context.WithDeadline(t.Context(), auditedAt)
	defer cancel()
	total, found, parts := 0, 0, 0
	for next := ""; ; {
		part, err := s.askWithin(ctx, question.Audit{Days: 2, After: next})
		if err != nil || part.Orders == 0 {
			t.Fatalf("%+v, %v", part, err)
		}
		total, found, parts = total+part.Orders, found+len(part.Differences), parts+1
		if next = part.Next; next == "" {
			break
		}
	}
	if total != 500 || found != 2 || parts < 3 {
		t.Errorf("%d orders in %d parts, %d differences", total, parts, found)
	}
}

func TestAnOrderThatTheListDidNotShowIsAskedFor(t *testing.T) {
	s := newShelf(t, 10)
	s.made = s.made[:6] // 1007 to 1010 were not listed; WHMCS has 1007
	part, err := s.ask(question.Audit{Since: auditedAt.Add(-48 * time.Hour)})
	if err != nil || len(part.Differences) != 3 || s.gets != 4 {
		t.Errorf("%+v, %v, %d reads", part, err, s.gets)
	}
}

func TestAListThatChangesIsRefused(t *testing.T) {
	s := newShelf(t, 3)
	s.unstable = true
	if _, err := s.ask(question.Audit{Days: 1}); fault.CodeOf(err) != fault.ListingUnstable {
		t.Errorf("error %v", err)
	}
	d := &desk{clerk: &clerk{table: s, orders: s, billing: s, meter: s, now: func() time.Time { return auditedAt }}}
	if _, err := d.answer(t.Context(), question.Question{Audit: &question.Audit{Days: 1}}); fault.CodeOf(err) != fault.ListingUnstable {
		t.Errorf("the schedule's audit ended as if it had been made: %v", err)
	}
	if _, err := d.answer(t.Context(), question.Question{Audit: &question.Audit{Since: auditedAt.Add(-time.Hour)}}); err != nil {
		t.Errorf("a person's question has no answer: %v", err)
	}
	for _, q := range []question.Audit{{}, {Since: auditedAt.Add(time.Hour)}} {
		if _, err := s.ask(q); err == nil {
			t.Errorf("%+v was answered", q)
		}
	}
	var e wake
	if err := json.Unmarshal([]byte(`{"audit":{"days":2}}`), &e); err != nil || !e.Asked() || e.Audit.Days != 2 {
		t.Errorf("the schedule's event is read as %+v, %v", e, err)
	}
}
