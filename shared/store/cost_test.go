package store_test

import (
	"net/http/httptest"
	"testing"
	"time"

	dynamo "orderbridge/local/dynamodb"
	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// What it costs that each change can be looked for in Salesforce: units of the
// index, and no request more. Only a refusal is written.
func TestWhatTheIndexOfChangesCosts(t *testing.T) {
	db := dynamo.New(dynamo.Options{SweepEvery: -1})
	server := httptest.NewServer(db)
	t.Cleanup(func() {
		server.Close()
		db.Close()
	})
	s, table := connect("embedded", server.URL).open(t)
	units := func(want float64, what string) {
		t.Helper()
		if got := db.Consumed()[table].Indexes["confirm"].WriteUnits; got != want {
			t.Errorf("%s: %v write units of the index since the claim, want %v", what, got, want)
		}
	}
	ctx := t.Context()
	got, err := s.Claim(ctx, callout(id(t, 1), 1, "k1", epoch))
	if err != nil {
		t.Fatal(err)
	}
	units(1, "the claim")
	rec, err := s.Lease(ctx, got.Record.ID, order.Lease{Token: order.NewToken(), Now: epoch, Until: epoch.Add(time.Minute), Margin: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	step := func(signal order.Signal, change func(*order.Record)) {
		t.Helper()
		to := rec
		change(&to)
		if rec, err = s.Write(ctx, order.Step{From: rec, To: to, Signal: signal, Now: epoch.Add(30 * time.Second)}); err != nil {
			t.Fatal(err)
		}
	}
	step(order.SignalLease, func(r *order.Record) { r.RecoveryPoint = order.PointAdding })
	step(order.SignalLease, func(r *order.Record) { r.RecoveryPoint = order.PointAccepting })
	units(1, "lease and stamps")
	step(order.SignalStatus, func(r *order.Record) {
		r.State, r.RecoveryPoint, r.WHMCSOrderID = order.Provisioned, order.PointAccepted, "77"
	})
	units(1, "an end in the half minute after the claim")
	if _, err := s.Bump(ctx, rec.ID, 0, epoch.Add(time.Minute), order.Entry{}); err != nil {
		t.Fatal(err)
	}
	if rec, _, err = s.Get(ctx, rec.ID); err != nil {
		t.Fatal(err)
	}
	units(3, "a change after it")
	if err := s.Refuse(ctx, rec.ID, order.Refusal{Seq: rec.Seq, Next: epoch.Add(time.Hour), Code: fault.SalesforceRowLocked}, epoch.Add(time.Minute), order.Entry{}); err != nil {
		t.Fatal(err)
	}
	units(5, "a refusal")
}
