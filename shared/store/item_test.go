package store_test

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/store"
)

// full brings an order through a life that fills every attribute, and returns
// its item beside its record.
func full(t *testing.T, e endpoint) (map[string]types.AttributeValue, order.Record) {
	t.Helper()
	s, table := e.open(t)
	ctx := t.Context()
	c := callout(id(t, 1), 1, "k1", epoch)
	c.AccountID = "001000000000001AAA"
	if _, err := s.Claim(ctx, c); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Lease(ctx, id(t, 1), order.Lease{Token: order.NewToken(), Now: epoch, Until: epoch.Add(time.Minute), Margin: time.Second}); err != nil {
		t.Fatal(err)
	}
	rec, err := s.Bump(ctx, id(t, 1), 0, epoch, order.Entry{})
	if err != nil {
		t.Fatal(err)
	}
	to := rec
	to.RecoveryPoint, to.Plan = order.PointAccepting, &order.Plan{
		ClientID: 42, PaymentMethod: "mailin", PromoCode: "SPRING",
		Entries: []order.PlanEntry{{
			Line: order.Line{
				ItemID: "802000000000001AAA", ProductID: 3, Cycle: order.Monthly, Quantity: 2, Domain: "example.org", Hostname: "h",
				CustomFields: map[string]string{"1": "a"}, ConfigOptions: map[string]string{"2": "b"},
			},
			Services: 2,
		}},
	}
	to.FirstAddAt = epoch
	to.Add = order.Sent{Count: 1, Until: epoch, SettledAt: epoch}
	to.Accept = order.Sent{Count: 1, Until: epoch, SettledAt: epoch}
	to.Word, to.AcceptedAt = order.WordNamedRerun, epoch
	to.WHMCSOrderID, to.ServiceIDs = "77", map[string][]string{"802000000000001AAA": {"5", "6"}}
	to.ErrorCode, to.ErrorMessage, to.ErrorAt = fault.WHMCSBusy, "busy", epoch
	rec, err = s.Write(ctx, order.Step{From: rec, To: to, Signal: order.SignalStatus, Now: epoch,
		Entry: order.Entry{Event: "accept_sent", Detail: "d", By: "provision"}})
	if err != nil {
		t.Fatal(err)
	}
	return e.item(t, table, id(t, 1)), rec
}

// The layout is read by stream filters, by the template and by people.
func TestTheItemIsLaidOutAsDocumented(t *testing.T) {
	item, rec := full(t, embedded(t))
	ms := "1795507200123"
	iso := "2026-11-24T08:00:00.123Z"
	want := map[string]string{
		"pk": "S order#801000000000001AAA", "state": "S working", "point": "S accepting", "signal": "S status",
		"seq": "N 1795507200125", "version": "N 4", "lease": "S " + string(rec.Lease), "fence": "N 1",
		"lease_until": "N 1795507260123", "plan": "M", "adds": "N 1", "add_until": "N " + ms, "accepts": "N 1",
		"accept_until": "N " + ms, "first_add_at": "N " + ms, "add_settled_at": "N " + ms, "accept_settled_at": "N " + ms, "word": "S named_rerun", "accepted_at": "N " + ms,
		"attempts": "N 1", "opened_at": "N " + ms, "due_at": "N 1795507230123", "due_shard": "N 0",
		"confirm_at": "N 1795507230123", "confirm_shard": "N 0",
		"keys": "L", "nonces": "M", "marks": "L", "account_id": "S 001000000000001AAA", "whmcs_order_id": "S 77",
		"whmcs_service_ids": "M", "error_code": "S whmcs_busy", "error_message": "S busy", "error_at": "S " + iso,
		"history": "L", "created_at": "S " + iso, "updated_at": "S " + iso,
	}
	got := map[string]string{}
	for name, v := range item {
		got[name] = show(v)
	}
	marks := elements(t, item["marks"])
	if len(marks) != 2 { // of the worker's writes the last one, and the bump's
		t.Errorf("%d marks", len(marks))
	}
	for _, mark := range marks {
		if !regexp.MustCompile(`^S [0-9A-Za-z_-]{8}([0-9A-Za-z_-]{4})?$`).MatchString(show(mark)) {
			t.Errorf("mark %s", show(mark))
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("item (-want +got):\n%s", d)
	}
	if keys := elements(t, item["keys"]); len(keys) != 1 || show(keys[0]) != "S k1" {
		t.Errorf("keys: %v", keys)
	}
	for name, v := range members(t, item["nonces"]) {
		m := shown(members(t, v))
		if name != "nonce-000001-0123456789" || m["expiry"] != "N 1795507800123" || !strings.HasPrefix(m["by"], "S ") || m["met"] != "S created" {
			t.Errorf("nonce %s: %v", name, m)
		}
	}
	lines := elements(t, item["history"])
	if len(lines) != 2 {
		t.Fatalf("history: %v", lines)
	}
	for i, want := range []map[string]string{
		{"at": "N " + ms, "event": "S callout", "by": "S 005000000000001AAA"},
		{"at": "N " + ms, "event": "S accept_sent", "detail": "S d", "by": "S provision"},
	} {
		if d := cmp.Diff(want, shown(members(t, lines[i]))); d != "" {
			t.Errorf("line %d: %s", i, d)
		}
	}
	services := members(t, item["whmcs_service_ids"])
	if l, ok := services["802000000000001AAA"].(*types.AttributeValueMemberL); !ok || len(l.Value) != 2 {
		t.Errorf("services: %v", services)
	}
}

func TestTheRetentionIsANumberOfSeconds(t *testing.T) {
	e := embedded(t)
	s, table := e.open(t)
	if _, err := s.Claim(t.Context(), callout(id(t, 1), 1, "k1", epoch)); err != nil {
		t.Fatal(err)
	}
	rec, err := s.Lease(t.Context(), id(t, 1), order.Lease{Token: "l", Now: epoch, Until: epoch.Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	to := rec
	to.State, to.RecoveryPoint, to.ExpiresAt = order.Provisioned, order.PointAccepted, epoch.Add(time.Hour)
	if _, err = s.Write(t.Context(), order.Step{From: rec, To: to, Signal: order.SignalStatus, Now: epoch}); err != nil {
		t.Fatal(err)
	}
	item := e.item(t, table, id(t, 1))
	if got := show(item["expires_at"]); got != "N 1795510800" {
		t.Errorf("expires_at: %s", got)
	}
	for _, gone := range []string{"due_at", "due_shard", "lease_until"} {
		if v, there := item[gone]; there {
			t.Errorf("%s is still %s", gone, show(v))
		}
	}
}

// A plain order stays within one write unit: each write pays for the whole item.
func TestAPlainOrderStaysWithinOneKilobyte(t *testing.T) {
	e := embedded(t)
	s, table := e.open(t)
	ctx, now := t.Context(), epoch
	c := callout(id(t, 1), 1, "a4b7c1d2-0f3e-4c5d-8e9f-001122334455", now)
	c.AccountID = "001000000000001AAA"
	if _, err := s.Claim(ctx, c); err != nil {
		t.Fatal(err)
	}
	t.Logf("claimed: %d bytes", size(t, e.item(t, table, id(t, 1))))
	rec, err := s.Lease(ctx, id(t, 1), order.Lease{Token: order.NewToken(), Now: now, Until: now.Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		event string
		to    func(r *order.Record)
	}{
		{"add_sent", func(r *order.Record) {
			r.RecoveryPoint, r.Add.Count, r.Add.Until, r.FirstAddAt = order.PointAdding, 1, now, now
			r.Plan = &order.Plan{ClientID: 42, PaymentMethod: "mailin", Entries: []order.PlanEntry{
				{Line: order.Line{ItemID: "802000000000001AAA", ProductID: 3, Cycle: order.Monthly, Quantity: 1}, Services: 1},
			}}
		}},
		{"accept_sent", func(r *order.Record) {
			r.RecoveryPoint, r.Accept.Count, r.Accept.Until, r.WHMCSOrderID = order.PointAccepting, 1, now, "77"
			r.ServiceIDs = map[string][]string{"802000000000001AAA": {"5"}}
		}},
		{"provisioned", func(r *order.Record) {
			r.State, r.RecoveryPoint, r.AcceptedAt, r.ExpiresAt = order.Provisioned, order.PointAccepted, now, now.Add(time.Hour)
		}},
	} {
		now = now.Add(time.Second)
		to := rec
		step.to(&to)
		rec, err = s.Write(ctx, order.Step{From: rec, To: to, Signal: order.SignalStatus, Now: now, Entry: order.Entry{Event: step.event, By: "provision"}})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d bytes", step.event, size(t, e.item(t, table, id(t, 1))))
	}
	if n := size(t, e.item(t, table, id(t, 1))); n > 1024 {
		t.Errorf("%d bytes", n)
	}
}

func TestDecodeIgnoresWhatAnotherVersionWrote(t *testing.T) {
	item, want := full(t, embedded(t))
	item["tenant"] = &types.AttributeValueMemberS{Value: "t"}
	item["shape"] = &types.AttributeValueMemberM{Value: map[string]types.AttributeValue{"x": &types.AttributeValueMemberNULL{Value: true}}}
	item["plan"].(*types.AttributeValueMemberM).Value["notes"] = &types.AttributeValueMemberS{Value: "n"}
	for _, v := range members(t, item["nonces"]) {
		members(t, v)["via"] = &types.AttributeValueMemberBOOL{Value: true}
	}
	for _, v := range elements(t, item["history"]) {
		members(t, v)["ms"] = &types.AttributeValueMemberN{Value: "1"}
	}
	got, err := store.Decode(item)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(order.ID{}, order.Listing{})); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// Shards are spread, and stay what they are: an item keeps the one it was given.
func TestOrdersAreSpreadOverTheShards(t *testing.T) {
	e := embedded(t)
	s, table := e.open(t)
	count := map[string]int{}
	first := ""
	for k := range 160 {
		if _, err := s.Claim(t.Context(), callout(id(t, k), 1, "k1", epoch)); err != nil {
			t.Fatal(err)
		}
		shard := show(e.item(t, table, id(t, k))["due_shard"])
		count[shard]++
		if k < 8 {
			first += shard[2:]
		}
	}
	if len(count) != order.DueShards {
		t.Errorf("shards: %v", count)
	}
	for shard, n := range count {
		if n < 10 || n > 30 {
			t.Errorf("shard %s has %d of 160", shard, n)
		}
	}
	if first != "10325476" {
		t.Errorf("the first orders are in shards %s", first)
	}
}

// The least that an item can hold, and every method on it.
func TestAnItemOfAnOlderVersionIsWorkedOn(t *testing.T) {
	bare := func(state string) map[string]types.AttributeValue {
		return map[string]types.AttributeValue{
			"pk":     &types.AttributeValueMemberS{Value: "order#" + id(t, 1).String()},
			"state":  &types.AttributeValueMemberS{Value: state},
			"point":  &types.AttributeValueMemberS{Value: "none"},
			"seq":    &types.AttributeValueMemberN{Value: "5"},
			"due_at": &types.AttributeValueMemberN{Value: "1"},
		}
	}
	for name, do := range map[string]func(s *store.Store) error{
		"queued claim": func(s *store.Store) error {
			got, err := s.Claim(t.Context(), callout(id(t, 1), 1, "k1", epoch))
			if err == nil && (got.Outcome != order.AlreadyOpen || len(got.Record.Keys) != 1 || len(got.Record.Nonces) != 1 || len(got.Record.History) != 1) {
				err = fmt.Errorf("got %+v", got)
			}
			return err
		},
		"failed claim": func(s *store.Store) error {
			got, err := s.Claim(t.Context(), callout(id(t, 1), 1, "k1", epoch))
			if err == nil && got.Outcome != order.Reopened {
				err = fmt.Errorf("got %+v", got)
			}
			return err
		},
		"queued lease and write": func(s *store.Store) error {
			rec, err := s.Lease(t.Context(), id(t, 1), order.Lease{Token: "l", Now: epoch, Until: epoch.Add(1e9)})
			if err != nil {
				return err
			}
			rec, err = s.Write(t.Context(), order.Step{From: rec, To: rec, Signal: order.SignalStatus, Now: epoch, Entry: order.Entry{Event: "e"}})
			if err == nil && (len(rec.History) != 1 || rec.Fence != 1 || rec.Attempts != 1) {
				err = fmt.Errorf("got %+v", rec)
			}
			return err
		},
		"failed resolve": func(s *store.Store) error {
			_, err := s.Resolve(t.Context(), order.Resolution{ID: id(t, 1), None: true, By: "b", Why: "w", Now: epoch})
			return err
		},
		"failed note": func(s *store.Store) error {
			return s.Note(t.Context(), id(t, 1), order.Entry{At: epoch, Event: "e"})
		},
		"failed bump": func(s *store.Store) error {
			_, err := s.Bump(t.Context(), id(t, 1), 0, epoch, order.Entry{At: epoch, Event: "e"})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := embedded(t)
			s, table := e.open(t)
			item := bare(strings.Fields(name)[0])
			e.put(t, table, item)
			if err := do(s); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// Whatever stands in an attribute: a record, or internal_error, never a panic.
func TestDecodeRefusesACorruptItem(t *testing.T) {
	item, _ := full(t, embedded(t))
	odd := []types.AttributeValue{
		&types.AttributeValueMemberNULL{Value: true}, &types.AttributeValueMemberBOOL{Value: true},
		&types.AttributeValueMemberN{Value: "1.5"}, &types.AttributeValueMemberN{Value: "1e400"},
		&types.AttributeValueMemberS{Value: "?"}, &types.AttributeValueMemberSS{Value: []string{"a"}},
		&types.AttributeValueMemberL{Value: []types.AttributeValue{&types.AttributeValueMemberNULL{Value: true}}},
		&types.AttributeValueMemberM{Value: map[string]types.AttributeValue{"?": &types.AttributeValueMemberNULL{Value: true}}},
		&types.AttributeValueMemberB{Value: []byte{0}}, nil,
	}
	fitting := map[string][]string{ // text that a string attribute may hold
		"S": {"signal", "lease", "account_id", "whmcs_order_id", "error_code", "error_message"},
		"-": {"due_shard"}, // the index's alone
	}
	for name := range item {
		for _, v := range odd {
			bad := maps.Clone(item)
			bad[name] = v
			_, err := store.Decode(bad)
			_, text := v.(*types.AttributeValueMemberS)
			switch {
			case v == nil, slices.Contains(fitting["-"], name):
				continue // may be read or not: it must only not panic
			case text && slices.Contains(fitting["S"], name):
				if err != nil {
					t.Errorf("%s = %s: %v", name, show(v), err)
				}
			case fault.CodeOf(err) != fault.Internal:
				t.Errorf("%s = %s: %v, want internal_error", name, show(v), err)
			}
		}
	}
	for _, name := range []string{"pk", "state", "point"} {
		bad := maps.Clone(item)
		delete(bad, name)
		if _, err := store.Decode(bad); fault.CodeOf(err) != fault.Internal {
			t.Errorf("without %s: %v, want internal_error", name, err)
		}
	}
	for _, pk := range []string{"", "order#", "order#801000000000001", "order#801000000000001AAB", "control#whmcs", "801000000000001AAA"} {
		bad := maps.Clone(item)
		bad["pk"] = &types.AttributeValueMemberS{Value: pk}
		if _, err := store.Decode(bad); fault.CodeOf(err) != fault.Internal {
			t.Errorf("pk %q: %v, want internal_error", pk, err)
		}
	}
	if _, err := store.Decode(nil); fault.CodeOf(err) != fault.Internal {
		t.Errorf("nothing: %v", err)
	}
}

func TestDecodeNeverPanics(t *testing.T) {
	item, _ := full(t, embedded(t))
	names := slices.Sorted(maps.Keys(item))
	rapid.Check(t, func(r *rapid.T) {
		bad := maps.Clone(item)
		for range rapid.IntRange(1, 4).Draw(r, "n") {
			bad[rapid.SampledFrom(names).Draw(r, "name")] = value(r, 3)
		}
		_, err := store.Decode(bad)
		if err != nil && fault.CodeOf(err) != fault.Internal {
			r.Fatalf("code %s", fault.CodeOf(err))
		}
	})
}

func value(r *rapid.T, depth int) types.AttributeValue {
	kinds := 6
	if depth == 0 {
		kinds = 4
	}
	switch rapid.IntRange(0, kinds-1).Draw(r, "kind") {
	case 0:
		return &types.AttributeValueMemberS{Value: rapid.String().Draw(r, "s")}
	case 1:
		return &types.AttributeValueMemberN{Value: rapid.SampledFrom([]string{"", "0", "-1", "9223372036854775808", "1795507200123"}).Draw(r, "n")}
	case 2:
		return &types.AttributeValueMemberBOOL{}
	case 3:
		return nil
	case 4:
		l := make([]types.AttributeValue, rapid.IntRange(0, 2).Draw(r, "len"))
		for i := range l {
			l[i] = value(r, depth-1)
		}
		return &types.AttributeValueMemberL{Value: l}
	default:
		m := map[string]types.AttributeValue{}
		for range rapid.IntRange(0, 2).Draw(r, "len") {
			m[rapid.SampledFrom([]string{"by", "expiry", "event", "entries", "client_id", "at"}).Draw(r, "name")] = value(r, depth-1)
		}
		return &types.AttributeValueMemberM{Value: m}
	}
}

// A corrupt item is told by every method that has to read it.
func TestACorruptItemIsToldAsOne(t *testing.T) {
	e := embedded(t)
	s, table := e.open(t)
	e.put(t, table, map[string]types.AttributeValue{
		"pk":    &types.AttributeValueMemberS{Value: "order#" + id(t, 1).String()},
		"state": &types.AttributeValueMemberS{Value: "broken"},
		"seq":   &types.AttributeValueMemberS{Value: "x"},
	})
	ctx := t.Context()
	_, err := s.Claim(ctx, callout(id(t, 1), 1, "k", epoch))
	check(t, "claim", err, fault.Internal)
	_, ok, err := s.Get(ctx, id(t, 1))
	check(t, "get", err, fault.Internal)
	if ok {
		t.Error("get found it")
	}
	_, err = s.Lease(ctx, id(t, 1), order.Lease{Token: "l", Now: epoch, Until: epoch.Add(1)})
	check(t, "lease", err, fault.Internal)
	_, err = s.Resolve(ctx, order.Resolution{ID: id(t, 1), Stop: true, By: "b", Why: "w", Now: epoch})
	check(t, "resolve", err, fault.Internal)
	e.put(t, table, map[string]types.AttributeValue{
		"pk": &types.AttributeValueMemberS{Value: "control#whmcs"}, "paused": &types.AttributeValueMemberS{Value: "yes"},
	})
	_, err = s.Control(ctx, order.SideWHMCS)
	check(t, "control", err, fault.Internal)
}

func members(t *testing.T, v types.AttributeValue) map[string]types.AttributeValue {
	t.Helper()
	m, ok := v.(*types.AttributeValueMemberM)
	if !ok {
		t.Fatalf("%s is no map", show(v))
	}
	return m.Value
}

func elements(t *testing.T, v types.AttributeValue) []types.AttributeValue {
	t.Helper()
	l, ok := v.(*types.AttributeValueMemberL)
	if !ok {
		t.Fatalf("%s is no list", show(v))
	}
	return l.Value
}

func shown(m map[string]types.AttributeValue) map[string]string {
	out := map[string]string{}
	for k, v := range m {
		out[k] = show(v)
	}
	return out
}

func show(v types.AttributeValue) string {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return "S " + v.Value
	case *types.AttributeValueMemberN:
		return "N " + v.Value
	case *types.AttributeValueMemberBOOL:
		return fmt.Sprint("BOOL ", v.Value)
	case *types.AttributeValueMemberM:
		return "M"
	case *types.AttributeValueMemberL:
		return "L"
	}
	return fmt.Sprint(reflect.TypeOf(v))
}

// size is an item's size by the rules of DynamoDB (Developer Guide, "DynamoDB
// item sizes and formats"): names and strings in UTF-8, about half a byte a
// digit plus one, 3 bytes a map or list and 1 an element.
func size(t *testing.T, m map[string]types.AttributeValue) int {
	t.Helper()
	n := 0
	var of func(v types.AttributeValue) int
	of = func(v types.AttributeValue) int {
		switch v := v.(type) {
		case *types.AttributeValueMemberS:
			return len(v.Value)
		case *types.AttributeValueMemberN:
			return (len(v.Value)+1)/2 + 1
		case *types.AttributeValueMemberBOOL:
			return 1
		case *types.AttributeValueMemberM:
			n := 3
			for k, c := range v.Value {
				n += 1 + len(k) + of(c)
			}
			return n
		case *types.AttributeValueMemberL:
			n := 3
			for _, c := range v.Value {
				n += 1 + of(c)
			}
			return n
		}
		t.Fatalf("no size of %s", show(v))
		return 0
	}
	for k, v := range m {
		n += len(k) + of(v)
	}
	return n
}
