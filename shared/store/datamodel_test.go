package store_test

import (
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/store"
)

// everything is a record of which no member is zero.
func everything(t *testing.T) order.Record {
	sent := order.Sent{Count: 2, Until: epoch.Add(1e9), SettledAt: epoch.Add(2e9)}
	hits := []order.BillingOrder{{ID: "77", ClientID: 42, Status: order.BillingPending, Marker: "m", Date: epoch}}
	readings := order.Readings{N: 1, Last: hits, Complete: true, Stable: true, Under: order.Listing{
		ClientID: 42, After: 1004, Since: epoch.Add(11e9), Way: order.Falling, Start: 100, Size: 100, Total: 300, Last: 301, Read: 99,
		Edge: 900, AtTail: true, Torn: true, Found: hits,
	}}
	return order.Record{
		ID: id(t, 1), State: order.Working, RecoveryPoint: order.PointAccepting, Signal: order.SignalStatus, Seq: 7, Version: 8,
		Marks: []order.Token{"0123456789ab"}, Lease: "l", Fence: 3, LeaseUntil: epoch.Add(3e9),
		Plan: &order.Plan{ClientID: 42, PaymentMethod: "mailin", PromoCode: "SPRING", Entries: []order.PlanEntry{{
			Line: order.Line{
				ItemID: "802000000000001AAA", ProductID: 3, Cycle: order.Monthly, Quantity: 2, Domain: "example.org", Hostname: "h",
				CustomFields: map[string]string{"1": "a"}, ConfigOptions: map[string]string{"2": "b"},
			},
			Services: 2,
		}}},
		Add: sent, Accept: sent, FirstAddAt: epoch.Add(4e9), Word: order.WordNamedRerun, AcceptedAt: epoch.Add(5e9),
		Attempts: 4, Aborted: 5, OpenedAt: epoch.Add(6e9), DueAt: epoch.Add(7e9),
		Keys: []string{"k"}, Nonces: map[string]order.Nonce{"n": {Expiry: epoch, By: "b", Met: order.Reopened}},
		AccountID: "001000000000001AAA", WHMCSOrderID: "77", ServiceIDs: map[string][]string{"802000000000001AAA": {"5"}},
		ErrorCode: fault.WHMCSBusy, ErrorMessage: "busy", ErrorAt: epoch.Add(8e9),
		FirstAddAfter: 1004, Search: &order.Search{ClientID: 7, OfClient: readings, OfAll: readings},
		History:       []order.Entry{{At: epoch, Event: "callout", Detail: "d", By: "b", Times: 2, First: epoch}},
		Told:          order.Wait{Code: fault.WHMCSBusy, Message: "m", NextTry: epoch.Add(8e9)},
		Refusal:       order.Refusal{Seq: 7, Since: epoch, Next: epoch.Add(1e9), Tries: 1, Code: fault.SalesforceRowLocked, Letter: true},
		CorrelationID: "r-1", CreatedAt: epoch.Add(9e9), UpdatedAt: epoch.Add(10e9), ExpiresAt: epoch.Add(time.Hour).Truncate(time.Second),
	}
}

// zeros names the members of v that are zero, at any depth.
func zeros(v reflect.Value, name string) []string {
	switch {
	case v.IsZero():
		return []string{name}
	case v.Type() == reflect.TypeFor[time.Time](), v.Type() == reflect.TypeFor[order.ID]():
		return nil
	}
	var all []string
	switch v.Kind() {
	case reflect.Pointer:
		return zeros(v.Elem(), name)
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			// What a listing does not need is read with the one order that it has found.
			ofOne := f.Type == reflect.TypeFor[[]order.BillingService]() || f.Name == "PromoCode" || f.Name == "PromoKnown"
			if f.IsExported() && !ofOne {
				all = append(all, zeros(v.Field(i), name+"."+f.Name)...)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			all = append(all, zeros(v.Index(i), name)...)
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			all = append(all, zeros(v.MapIndex(k), name)...)
		}
	}
	return all
}

// Every field of a record is stored, shown by orderctl show --json under the
// same name, and described.
func TestEachFieldOfARecordIsStoredShownAndDescribed(t *testing.T) {
	want := everything(t)
	if z := zeros(reflect.ValueOf(want), "Record"); len(z) > 0 {
		t.Fatalf("this test does not fill %v", z)
	}
	item := store.Encode(want)
	got, err := store.Decode(item)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(order.ID{}, order.Listing{})); d != "" {
		t.Errorf("not stored (-want +got):\n%s", d)
	}
	raw, err := json.Marshal(store.ItemOf(want))
	if err != nil {
		t.Fatal(err)
	}
	var shown map[string]any
	if err := json.Unmarshal(raw, &shown); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(slices.Sorted(maps.Keys(item)), slices.Sorted(maps.Keys(shown))); d != "" {
		t.Errorf("shown (-stored +shown):\n%s", d)
	}
	if shown["due_at"] != "2026-11-24T08:00:07.123Z" || shown["expires_at"] != "2026-11-24T09:00:00.000Z" {
		t.Errorf("times are shown as %v and %v", shown["due_at"], shown["expires_at"])
	}
	failed := want
	failed.State = order.Failed
	maps.Copy(item, store.Encode(failed)) // what an order has only while it is failed
	described(t, "## An order", item)
}

// The same of the switch of a side, but that orderctl shows it in words.
func TestEachFieldOfAControlIsStoredAndDescribed(t *testing.T) {
	e := embedded(t)
	s, table := e.open(t)
	want := order.Control{
		Side: order.SideWHMCS, Paused: true, Reason: "r", By: "b", At: epoch, Holds: []order.Hold{{By: "b", Reason: "r", At: epoch}}, OpenUntil: epoch.Add(1e9), Why: fault.WHMCSBusy,
		Probe: "p", Fails: 2, Faults: 3, Unsure: map[string]order.Doubt{"AddOrder": {InRow: 4, Until: epoch.Add(6e9), Canary: "c", Fails: 5, Since: epoch.Add(7e9), Why: fault.WHMCSUnavailable}}, OpenedAt: epoch.Add(15e8), ClosedAt: epoch.Add(2e9), LookBefore: epoch.Add(3e9),
		ConfirmedUntil: epoch.Add(4e9), AskedUntil: epoch.Add(5e9),
		History: []order.Entry{{At: epoch, Event: "paused", Detail: "r", By: "b", Times: 2, First: epoch}},
	}
	if z := zeros(reflect.ValueOf(want), "Control"); len(z) > 0 {
		t.Fatalf("this test does not fill %v", z)
	}
	if _, err := s.Begin(t.Context(), epoch); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ChangeControl(t.Context(), want.Side, func(order.Control) (order.Control, bool) { return want, true }); err != nil {
		t.Fatal(err)
	}
	got, err := s.Control(t.Context(), want.Side)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("not stored (-want +got):\n%s", d)
	}
	described(t, "## A control item", e.get(t, table, "control#whmcs"))
}

// described wants a row of each attribute, and of each member of those that
// have members, in the section of the data model; and no row of another one.
func described(t *testing.T, section string, item map[string]types.AttributeValue) {
	t.Helper()
	doc, err := os.ReadFile("../../docs/data-model.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, there := strings.Cut(string(doc), "\n"+section+"\n")
	if !there {
		t.Fatalf("docs/data-model.md has no section %q", section)
	}
	text, _, _ := strings.Cut(rest, "\n## ")
	rows := map[string]bool{}
	for row := range strings.SplitSeq(text, "\n") {
		if name, ok := strings.CutPrefix(row, "| `"); ok {
			name, _, _ = strings.Cut(name, "`")
			rows[name] = true
		}
	}
	if d := cmp.Diff(slices.Sorted(maps.Keys(item)), slices.Sorted(maps.Keys(rows))); d != "" {
		t.Errorf("docs/data-model.md, %s (-stored +described):\n%s", section, d)
	}
	for _, name := range memberNames(item) {
		if !strings.Contains(text, "`"+name+"`") {
			t.Errorf("docs/data-model.md, %s: the member %s is not described", section, name)
		}
	}
}

// memberNames are the names inside the collections of an item that our code
// chose; those that a caller or WHMCS chose are keys of maps.
func memberNames(item map[string]types.AttributeValue) []string {
	var names []string
	var of func(v types.AttributeValue, chosen bool)
	of = func(v types.AttributeValue, chosen bool) {
		switch v := v.(type) {
		case *types.AttributeValueMemberL:
			for _, c := range v.Value {
				of(c, true)
			}
		case *types.AttributeValueMemberM:
			for name, c := range v.Value {
				if chosen {
					names = append(names, name)
				}
				of(c, name != "custom_fields" && name != "config_options")
			}
		}
	}
	for name, v := range item {
		of(v, name != "nonces" && name != "whmcs_service_ids")
	}
	return names
}
