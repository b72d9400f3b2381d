package store_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// An item that cannot be read is tried for five hours, then it is failed and no
// hint is sent for it any more. Corrected, it can be clicked again.
func TestAnItemThatCannotBeReadIsSetAside(t *testing.T) {
	e := embedded(t)
	s, table := e.open(t)
	now := epoch
	if _, err := s.Claim(t.Context(), callout(id(t, 1), 1, "k1", now)); err != nil {
		t.Fatal(err)
	}
	now = now.Add(order.HintFirst)
	item := e.item(t, table, id(t, 1))
	item["add_until"] = &types.AttributeValueMemberS{Value: "tomorrow"}
	e.put(t, table, item)
	tries := 0
	var opened []time.Time // when the list of open orders says that it was
	for ; tries < 100; tries++ {
		due, err := s.Due(t.Context(), now, 10)
		if err != nil {
			t.Fatal(err)
		}
		if len(due) == 0 {
			break
		}
		for range 3 { // a tick, the stream and a click hint at once
			_, err = s.Lease(t.Context(), id(t, 1), order.Lease{Token: order.NewToken(), Now: now, Until: now.Add(time.Minute)})
			if code := fault.CodeOf(err); code != fault.NotProcessable && code != fault.NotDue {
				t.Fatalf("try %d: %v", tries, err)
			}
		}
		open, _, err := s.Open(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range open {
			opened = append(opened, r.OpenedAt)
		}
		now = now.Add(15 * time.Minute)
	}
	if len(opened) != 19 {
		t.Errorf("it was among the open orders %d times", len(opened))
	}
	for i, at := range opened {
		if !at.Equal(opened[0]) || at.After(now.Add(-4*time.Hour)) {
			t.Errorf("look %d: opened %s", i, at)
		}
	}
	item = e.item(t, table, id(t, 1))
	if tries != 20 || item["state"].(*types.AttributeValueMemberS).Value != "failed" || item["error_code"].(*types.AttributeValueMemberS).Value != "not_processable" {
		t.Fatalf("after %d tries: %v", tries, item)
	}
	if failed, err := s.Failed(t.Context(), time.Time{}, 0); err != nil || len(failed) != 1 || failed[0].Code != fault.NotProcessable {
		t.Errorf("listed: %+v, %v", failed, err)
	}
	delete(item, "add_until") // by hand
	e.put(t, table, item)
	got, err := s.Claim(t.Context(), callout(id(t, 1), 2, "k2", now))
	if err != nil || got.Outcome != order.Reopened {
		t.Fatalf("%+v, %v", got, err)
	}
	if _, err := s.Lease(t.Context(), id(t, 1), order.Lease{Token: "l", Now: now, Until: now.Add(time.Minute)}); err != nil {
		t.Error(err)
	}
	if _, there := e.item(t, table, id(t, 1))["unreadable"]; there {
		t.Error("the count of the unreadable item was kept")
	}
}
