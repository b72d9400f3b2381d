package order_test

import (
	"testing"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

func TestStepCheckRefusesWhatWouldLoseAnOrder(t *testing.T) {
	id, err := order.ParseID("801000000000001")
	if err != nil {
		t.Fatal(err)
	}
	other, err := order.ParseID("801000000000002")
	if err != nil {
		t.Fatal(err)
	}
	now := time.UnixMilli(1_790_000_000_000)
	good := func() order.Step {
		r := order.Record{ID: id, State: order.Working, RecoveryPoint: order.PointNone, Lease: "l", LeaseUntil: now, DueAt: now}
		return order.Step{From: r, To: r, Signal: order.SignalLease, Now: now}
	}
	for name, spoil := range map[string]func(*order.Step){
		"another order":              func(s *order.Step) { s.To.ID = other },
		"no order":                   func(s *order.Step) { s.From.ID, s.To.ID = order.ID{}, order.ID{} },
		"no lease":                   func(s *order.Step) { s.From.Lease = "" },
		"no state":                   func(s *order.Step) { s.To.State = "" },
		"an unknown state":           func(s *order.Step) { s.To.State = "done" },
		"an unknown point":           func(s *order.Step) { s.To.RecoveryPoint = "sent" },
		"an unknown reason":          func(s *order.Step) { s.Signal = "because" },
		"open without a due time":    func(s *order.Step) { s.To.State, s.To.DueAt = order.Waiting, time.Time{} },
		"working without an end":     func(s *order.Step) { s.To.LeaseUntil = time.Time{} },
		"working without a due time": func(s *order.Step) { s.To.DueAt = time.Time{} },
	} {
		t.Run(name, func(t *testing.T) {
			s := good()
			spoil(&s)
			if err := s.Check(); fault.CodeOf(err) != fault.Internal {
				t.Errorf("got %v, want internal_error", err)
			}
		})
	}
	if err := good().Check(); err != nil {
		t.Errorf("a good step: %v", err)
	}
	end := good()
	end.To.State, end.To.DueAt, end.To.LeaseUntil = order.Provisioned, time.Time{}, time.Time{}
	if err := end.Check(); err != nil {
		t.Errorf("an end: %v", err)
	}
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		in    string
		limit int
		want  string
	}{
		{"", 3, ""},
		{"abc", 3, "abc"},
		{"abcd", 3, "abc"},
		{"aéb", 2, "a"},
		{"aéb", 3, "aé"},
		{"é", 1, ""},
		{"a\xffb", 10, "a\uFFFDb"},
	} {
		if got := order.Cut(c.in, c.limit); got != c.want {
			t.Errorf("Cut(%q, %d) = %q, want %q", c.in, c.limit, got, c.want)
		}
	}
}
