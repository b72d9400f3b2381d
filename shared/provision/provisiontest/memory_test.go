package provisiontest_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/provision/provisiontest"
)

func TestMemoryConforms(t *testing.T) {
	provisiontest.Conformance(t, func(*testing.T) provisiontest.Store { return provisiontest.NewMemory() })
}

var now = time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)

func claim(t *testing.T, k string) order.Claim {
	t.Helper()
	id, err := order.ParseID("80100000000000" + k)
	if err != nil {
		t.Fatal(err)
	}
	return order.Claim{ID: id, Nonce: "nonce-0123456789-" + k, NonceExpiry: now.Add(time.Minute), Key: "k", By: order.NewToken(), Now: now}
}

// The hooks see every call, in order, with what it made.
func TestHooksSeeEveryCall(t *testing.T) {
	m := provisiontest.NewMemory()
	var seen []string
	m.Before = func(_ context.Context, op provisiontest.Op) error {
		kind := "write"
		if op.Read {
			kind = "read"
		}
		seen = append(seen, kind+" "+op.Method+" "+op.ID.String()+string(op.Side))
		return nil
	}
	m.After = func(_ context.Context, op provisiontest.Op, rec order.Record, err error) error {
		if err != nil {
			seen = append(seen, string(fault.CodeOf(err)))
		} else {
			seen = append(seen, string(rec.Signal))
		}
		return nil
	}
	ctx, c := t.Context(), claim(t, "1")
	if _, err := m.Claim(ctx, c); err != nil {
		t.Fatal(err)
	}
	rec, err := m.Lease(ctx, c.ID, order.Lease{Token: "t", Now: now, Until: now.Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	rec.Lease = "another"
	if _, err := m.Write(ctx, order.Step{From: rec, To: rec, Signal: order.SignalNote, Now: now}); err == nil {
		t.Fatal("written without the lease")
	}
	if _, _, err := m.Get(ctx, c.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Due(ctx, now, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Control(ctx, order.SideSalesforce); err != nil {
		t.Fatal(err)
	}
	if err := m.Pause(ctx, "r", "b", now); err != nil {
		t.Fatal(err)
	}
	id := c.ID.String()
	want := []string{
		"write Claim " + id, "queued", "write Lease " + id, "lease", "write Write " + id, "lease_lost", "read Get " + id, "lease",
		"read Due ", "", "read Control salesforce", "", "write Pause whmcs", "",
	}
	if !slices.Equal(seen, want) {
		t.Errorf("got  %q\nwant %q", seen, want)
	}
}

// Refused: nothing was done. Answer lost: it was, and the caller does not know.
func TestHooksRefuseAndLose(t *testing.T) {
	m := provisiontest.NewMemory()
	ctx, c := t.Context(), claim(t, "1")
	away := errors.New("away")
	m.Before = func(context.Context, provisiontest.Op) error { return away }
	if _, err := m.Claim(ctx, c); fault.CodeOf(err) != fault.TryAgain || !errors.Is(err, away) {
		t.Errorf("claim refused: %v", err)
	}
	if len(m.Records()) != 0 {
		t.Error("a refused claim was made")
	}
	m.Before, m.After = nil, func(context.Context, provisiontest.Op, order.Record, error) error { return away }
	if _, err := m.Claim(ctx, c); fault.CodeOf(err) != fault.TryAgain {
		t.Errorf("claim lost: %v", err)
	}
	if len(m.Records()) != 1 {
		t.Error("a claim whose answer was lost was not made")
	}
	l := order.Lease{Token: "t", Now: now, Until: now.Add(time.Minute)}
	if _, err := m.Lease(ctx, c.ID, l); fault.CodeOf(err) != fault.StoreUnavailable {
		t.Errorf("lease lost: %v", err)
	}
	if r := m.Records()[0]; r.State != order.Working {
		t.Errorf("state %s", r.State)
	}
	if _, err := m.ChangeControl(ctx, order.SideWHMCS, order.Control.Served); fault.CodeOf(err) != fault.StoreUnavailable {
		t.Errorf("change of a control item lost: %v", err)
	}
	if _, ok, err := m.Get(ctx, c.ID); ok || fault.CodeOf(err) != fault.StoreUnavailable {
		t.Errorf("get lost: %v, %v", ok, err)
	}
	m.After = func(context.Context, provisiontest.Op, order.Record, error) error {
		return fault.New(fault.LeaseLost, "")
	}
	if _, err := m.Lease(ctx, c.ID, l); fault.CodeOf(err) != fault.LeaseLost {
		t.Errorf("a code of the hook's own: %v", err)
	}
}

// A hook may call the Memory: another worker steps in between.
func TestAHookMayStepIn(t *testing.T) {
	m := provisiontest.NewMemory()
	ctx, c := t.Context(), claim(t, "1")
	if _, err := m.Claim(ctx, c); err != nil {
		t.Fatal(err)
	}
	first := true
	m.Before = func(ctx context.Context, op provisiontest.Op) error {
		if !first {
			return nil
		}
		first = false
		_, err := m.Lease(ctx, op.ID, order.Lease{Token: "other", Now: now, Until: now.Add(time.Minute)})
		return err
	}
	if _, err := m.Lease(ctx, c.ID, order.Lease{Token: "mine", Now: now, Until: now.Add(time.Minute)}); fault.CodeOf(err) != fault.NotDue {
		t.Errorf("got %v", err)
	}
}

// No caller shares memory with the table.
func TestMemoryGivesAndTakesCopies(t *testing.T) {
	m := provisiontest.NewMemory()
	ctx, c := t.Context(), claim(t, "1")
	got, err := m.Claim(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	got.Record.Nonces["x"] = order.Nonce{}
	got.Record.Keys[0], got.Record.History[0].Event = "x", "x"
	rec := got.Record
	rec.State, rec.ServiceIDs, rec.Plan = order.Provisioned, map[string][]string{"i": {"1"}}, &order.Plan{Entries: []order.PlanEntry{{Services: 1}}}
	rec.ExpiresAt = now.Add(time.Hour)
	other := claim(t, "2")
	rec.ID = other.ID
	m.Set(rec)
	rec.ServiceIDs["i"][0], rec.Plan.Entries[0].Services = "2", 2
	all := m.Records()
	if all[0].Keys[0] != "k" || all[0].History[0].Event != "callout" || len(all[0].Nonces) != 1 {
		t.Errorf("claimed: %+v", all[0])
	}
	if all[1].ServiceIDs["i"][0] != "1" || all[1].Plan.Entries[0].Services != 1 {
		t.Errorf("set: %+v", all[1])
	}
	if n := m.Expire(now.Add(time.Hour - 1)); n != 0 {
		t.Errorf("%d expired too early", n)
	}
	if n := m.Expire(now.Add(time.Hour)); n != 1 || len(m.Records()) != 1 {
		t.Errorf("%d expired", n)
	}
}

func BenchmarkMemory(b *testing.B) {
	m := provisiontest.NewMemory()
	ctx := b.Context()
	id, err := order.ParseID("801000000000001")
	if err != nil {
		b.Fatal(err)
	}
	if _, err := m.Claim(ctx, order.Claim{ID: id, Nonce: "n", NonceExpiry: now.Add(1), Key: "k", By: "b", Now: now}); err != nil {
		b.Fatal(err)
	}
	rec, err := m.Lease(ctx, id, order.Lease{Token: "t", Now: now, Until: now.Add(time.Minute)})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		to := rec
		to.Add.Count++
		if rec, err = m.Write(ctx, order.Step{From: rec, To: to, Signal: order.SignalLease, Now: now}); err != nil {
			b.Fatal(err)
		}
	}
}
