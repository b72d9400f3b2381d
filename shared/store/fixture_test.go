package store_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/store"
)

var update = flag.Bool("update", false, "write the fixtures that are not there yet; one that is there is never written again")

// lives are orders at every recovery point, in every state that they can have
// there, as the release of this layout stores them.
func lives(t *testing.T) map[string]order.Record {
	base := order.Record{
		ID: id(t, 1), State: order.Queued, RecoveryPoint: order.PointNone, Signal: order.SignalQueued, Seq: order.Seq(epoch.UnixMilli()), Version: 1,
		OpenedAt: epoch, DueAt: epoch, Keys: []string{"key-1"},
		Nonces:    map[string]order.Nonce{"nonce-000001-0123456789": {Expiry: epoch.Add(10 * time.Minute), By: "00000000000000000000000000000001", Met: order.Created}},
		AccountID: "001000000000001AAA", History: []order.Entry{{At: epoch, Event: "callout", By: "005000000000001AAA"}},
		CreatedAt: epoch, UpdatedAt: epoch,
	}
	now := epoch.Add(time.Minute)
	all := map[string]order.Record{"none_queued": base}
	add := func(name string, from order.Record, event string, change func(r *order.Record)) order.Record {
		r := from.Normal()
		r.Version++
		r.Marks = append(r.Marks, order.Token(fmt.Sprintf("%012x", r.Version)))
		r.UpdatedAt, r.Signal = now, order.SignalLease
		r.History = append(r.History, order.Entry{At: now, Event: event, By: "provision"})
		change(&r)
		all[name] = r
		return r
	}
	failed := func(name string, from order.Record, code fault.Code) {
		add(name, from, "failed", func(r *order.Record) {
			r.State, r.Signal, r.DueAt, r.LeaseUntil = order.Failed, order.SignalStatus, time.Time{}, time.Time{}
			r.ErrorCode, r.ErrorMessage, r.ErrorAt = code, "it went wrong", now
			r.Seq++
			if r.RecoveryPoint == order.PointNone {
				r.ExpiresAt = now.Add(400 * 24 * time.Hour).Truncate(time.Second)
			}
		})
	}
	waiting := func(name string, from order.Record, code fault.Code) {
		add(name, from, "waiting", func(r *order.Record) {
			r.State, r.DueAt, r.LeaseUntil = order.Waiting, now.Add(time.Minute), time.Time{}
			r.ErrorCode, r.ErrorMessage, r.ErrorAt = code, "it will be tried again", now
		})
	}
	working := add("none_working", base, "", func(r *order.Record) {
		r.History = r.History[:1]
		r.UpdatedAt = epoch
		r.State, r.Lease, r.Fence, r.Attempts = order.Working, "00000000000000000000000000000002", 1, 1
		r.LeaseUntil, r.DueAt = now.Add(150*time.Second), now.Add(155*time.Second)
	})
	waiting("none_waiting", working, fault.SalesforceUnavailable)
	failed("none_failed_permanent", working, fault.OrderEmpty)
	failed("none_failed_retries_exhausted", working, fault.RetriesExhausted)
	adding := add("adding", working, "add_sending", func(r *order.Record) {
		r.RecoveryPoint, r.FirstAddAt = order.PointAdding, now
		r.Add = order.Sent{Count: 1, Until: now.Add(15 * time.Second), SettledAt: now.Add(320 * time.Second)}
		r.Plan = &order.Plan{ClientID: 42, PaymentMethod: "mailin", PromoCode: "SPRING", Entries: []order.PlanEntry{
			{Line: order.Line{ItemID: "802000000000001AAA", ProductID: 3, Cycle: order.Monthly, Quantity: 2, Domain: "example.org", Hostname: "h",
				CustomFields: map[string]string{"1": "a"}, ConfigOptions: map[string]string{"2": "b"}}, Services: 2},
			{Line: order.Line{ItemID: "802000000000002AAA", ProductID: 4, Cycle: order.OneTime, Quantity: 1}, Services: 1},
		}}
	})
	waiting("adding_waiting", adding, fault.WHMCSUnavailable)
	searching := add("adding_working_search", adding, "", func(r *order.Record) {
		r.History = r.History[:len(r.History)-1]
		r.Add, r.FirstAddAfter = order.Sent{Count: 1}, 1004
		hits := []order.BillingOrder{{ID: "1006", ClientID: 42, Status: order.BillingPending, Marker: "?", Date: epoch}}
		r.Search = &order.Search{ClientID: 42, OfClient: order.Readings{N: 2, Last: hits, Complete: true, Stable: true}, OfAll: order.Readings{N: 1, Complete: true,
			Under: order.Listing{After: 1004, Since: epoch, Way: order.Falling, Start: 100, Size: 100, Total: 300, Last: 301, Read: 99, Edge: 1105}}}
	})
	waiting("adding_waiting_search", searching, fault.WHMCSUnavailable)
	failed("adding_failed_unknown", adding, fault.AddOutcomeUnknown)
	failed("adding_failed_refused", adding, fault.WHMCSRejected)
	add("none_queued_resolved_none", all["adding_failed_unknown"], "resolved_none", func(r *order.Record) {
		r.State, r.RecoveryPoint, r.Signal, r.Word = order.Queued, order.PointNone, order.SignalQueued, order.WordAbsent
		r.Add.Count, r.Plan, r.Attempts, r.OpenedAt, r.DueAt = 0, nil, 0, now, now
	})
	added := add("added", adding, "adopted", func(r *order.Record) { r.RecoveryPoint, r.WHMCSOrderID = order.PointAdded, "77" })
	waiting("added_waiting", added, fault.WHMCSBusy)
	failed("added_failed_mismatch", added, fault.WHMCSOrderMismatch)
	failed("added_failed_marker_not_kept", added, fault.MarkerNotKept)
	add("added_queued_resolved_adopt", all["adding_failed_unknown"], "resolved_adopt", func(r *order.Record) {
		r.State, r.RecoveryPoint, r.Signal, r.Word, r.WHMCSOrderID = order.Queued, order.PointAdded, order.SignalQueued, order.WordNamed, "91"
		r.Attempts, r.OpenedAt, r.DueAt = 0, now, now
	})
	accepting := add("accepting", added, "accept_sending", func(r *order.Record) {
		r.RecoveryPoint, r.ServiceIDs = order.PointAccepting, map[string][]string{"802000000000001AAA": {"5", "6"}, "802000000000002AAA": {"7"}}
		r.Accept = order.Sent{Count: 1, Until: now.Add(15 * time.Second), SettledAt: now.Add(920 * time.Second)}
	})
	waiting("accepting_waiting", accepting, fault.WHMCSUnavailable)
	failed("accepting_failed_unknown", accepting, fault.AcceptOutcomeUnknown)
	failed("accepting_failed_module", accepting, fault.ModuleFailed)
	add("accepting_queued_rerun", all["accepting_failed_module"], "reopened", func(r *order.Record) {
		r.State, r.Signal, r.Word, r.Attempts, r.OpenedAt, r.DueAt = order.Queued, order.SignalQueued, order.WordRerun, 0, now, now
	})
	accepted := add("accepted", accepting, "", func(r *order.Record) {
		r.History = r.History[:len(r.History)-1]
		r.RecoveryPoint, r.AcceptedAt = order.PointAccepted, now
	})
	waiting("accepted_waiting", accepted, "")
	failed("accepted_failed_not_verified", accepted, fault.NotVerified)
	add("provisioned", accepted, "provisioned", func(r *order.Record) {
		r.State, r.Signal, r.DueAt, r.LeaseUntil = order.Provisioned, order.SignalStatus, time.Time{}, time.Time{}
		r.ExpiresAt = now.Add(400 * 24 * time.Hour).Truncate(time.Second)
	})
	return all
}

// An item of the first layout is read by all later code.
func TestStoredItemsAreStillRead(t *testing.T) {
	dir := filepath.Join("testdata", "items", "v1")
	all := lives(t)
	for name, want := range all {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, name+".json")
			if _, err := os.Stat(path); os.IsNotExist(err) && *update {
				write(t, path, want)
			}
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			item, err := attributevalue.UnmarshalMapJSON(raw)
			if err != nil {
				t.Fatal(err)
			}
			got, err := store.Decode(item)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got, cmp.AllowUnexported(order.ID{}, order.Listing{})); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			carried(t, item, want)
		})
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != len(all) {
		t.Errorf("%d files for %d lives, %v", len(files), len(all), err)
	}
}

// carried puts a stored item into a table and wants it to take the next steps.
func carried(t *testing.T, item map[string]types.AttributeValue, was order.Record) {
	t.Helper()
	e := embedded(t)
	s, table := e.open(t)
	e.put(t, table, item)
	ctx, now := t.Context(), epoch.Add(time.Hour)
	got, err := s.Claim(ctx, callout(was.ID, 2, "key-2", now))
	if err != nil || got.Record.Version != was.Version+1 || len(got.Record.Keys) != 2 {
		t.Fatalf("a click: %+v, %v", got, err)
	}
	if was.State == order.Provisioned {
		return
	}
	rec, err := s.Lease(ctx, was.ID, order.Lease{Token: order.NewToken(), Now: now, Until: now.Add(time.Minute)})
	if err != nil || rec.Fence != was.Fence+1 || rec.RecoveryPoint != was.RecoveryPoint {
		t.Fatalf("a lease: %+v, %v", rec, err)
	}
	to := rec
	to.State, to.RecoveryPoint = order.Provisioned, order.PointAccepted
	if rec, err = s.Write(ctx, order.Step{From: rec, To: to, Signal: order.SignalStatus, Now: now, Entry: order.Entry{Event: "provisioned"}}); err != nil || rec.Seq <= was.Seq {
		t.Fatalf("an end: %+v, %v", rec, err)
	}
}

// write keeps a record as an item in DynamoDB JSON.
func write(t *testing.T, path string, r order.Record) {
	t.Helper()
	raw, err := attributevalue.MarshalMapJSON(store.Encode(r))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(raw, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}
