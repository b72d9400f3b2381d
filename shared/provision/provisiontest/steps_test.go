package provisiontest_test

import (
	"testing"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/provision/provisiontest"
)

// What operators do is a step; what differs from it in one respect is none.
func TestStepsOfOperators(t *testing.T) {
	now := time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
	id, err := order.ParseID("801000000000001AAA")
	if err != nil {
		t.Fatal(err)
	}
	failed := order.Record{
		ID: id, State: order.Failed, RecoveryPoint: order.PointAdding, Seq: 1, Version: 7, Fence: 2, Lease: "one", Attempts: 2,
		Plan: &order.Plan{ClientID: 7}, Add: order.Sent{Count: 1}, WHMCSOrderID: "5", ErrorCode: fault.WHMCSOrderCancelled, ErrorMessage: "gone",
		OpenedAt: now, CreatedAt: now, UpdatedAt: now, History: []order.Entry{{At: now, Event: "failed"}},
	}
	running := failed
	running.Add.Until, running.Add.SettledAt = now.Add(time.Second), now.Add(time.Hour)
	later := now.Add(time.Minute)
	resolve := func(r order.Record, s order.Resolution) order.Record {
		s.ID, s.By, s.Why, s.Now = id, "ann", "looked", later
		to, err := r.Resolve(s)
		if err != nil {
			t.Fatal(err)
		}
		return to
	}
	bumped, err := failed.Bump(0, later, order.Entry{})
	if err != nil {
		t.Fatal(err)
	}
	noted, err := failed.Note(order.Entry{At: later, Event: "seen"})
	if err != nil {
		t.Fatal(err)
	}
	none := resolve(failed, order.Resolution{None: true})
	for name, c := range map[string]struct {
		from, to order.Record
		spoil    func(*order.Record)
	}{
		"adopt with the services of another order": {failed, resolve(failed, order.Resolution{Adopt: "9"}), func(r *order.Record) { r.ServiceIDs = map[string][]string{"a": {"1"}} }},
		"adopt that keeps the point":               {failed, resolve(failed, order.Resolution{Adopt: "9"}), func(r *order.Record) { r.RecoveryPoint = order.PointAdding }},
		"none that keeps the plan":                 {failed, none, func(r *order.Record) { r.Plan = failed.Plan }},
		"none without the word":                    {failed, none, func(r *order.Record) { r.Word = order.WordNone }},
		"stop that moves the point":                {failed, resolve(failed, order.Resolution{Stop: true}), func(r *order.Record) { r.RecoveryPoint = order.PointNone }},
		"stop under another code":                  {failed, resolve(failed, order.Resolution{Stop: true}), func(r *order.Record) { r.ErrorCode = fault.OrderEmpty }},
		"a bump that changes the error":            {failed, bumped, func(r *order.Record) { r.ErrorMessage = "" }},
		"a note that changes seq":                  {failed, noted, func(r *order.Record) { r.Seq++ }},
	} {
		t.Run(name, func(t *testing.T) {
			var s provisiontest.Steps
			if err := s.Write(c.from, c.to, later); err != nil {
				t.Fatalf("as it is: %v", err)
			}
			c.spoil(&c.to)
			if s.Write(c.from, c.to, later) == nil {
				t.Error("not found")
			}
		})
	}
	var s provisiontest.Steps
	none.Add = order.Sent{Until: running.Add.Until, SettledAt: running.Add.SettledAt}
	if s.Write(running, none, later) == nil {
		t.Error("none while AddOrder may be running: not found")
	}
}
