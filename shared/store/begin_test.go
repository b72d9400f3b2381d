package store_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"orderbridge/shared/order"
)

// A table that was brought back from a backup is paused before any work, and
// every order is searched for first; a new one is not.
func TestBeginPausesARestoredTable(t *testing.T) {
	const by = string(order.ByEngine)
	text := func(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
	for _, e := range endpoints(t) {
		for _, c := range []struct {
			name     string
			control  map[string]types.AttributeValue // without pk; nil = none
			clicked  time.Duration                   // before now, of one order; 0 = none
			restored bool
		}{
			{"a new installation", nil, 0, false},
			{"a click before the first tick", nil, time.Minute, false},
			{"orders and no switch", nil, time.Hour, true},
			{"a switch of another table", map[string]types.AttributeValue{"table": text("orders-of-yesterday")}, 0, true},
			{"a switch of another table, with orders", map[string]types.AttributeValue{"table": text("orders-of-yesterday")}, time.Hour, true},
			{"a pause before the first tick", map[string]types.AttributeValue{"paused": &types.AttributeValueMemberBOOL{Value: true}, "by": text("ann")}, 0, false},
			{"a pause, and orders that no switch was made for", map[string]types.AttributeValue{"paused": &types.AttributeValueMemberBOOL{Value: true}, "by": text("ann")}, time.Hour, true},
		} {
			t.Run(e.name+", "+c.name, func(t *testing.T) {
				s, table := e.open(t)
				if c.control != nil {
					c.control["pk"] = text("control#whmcs")
					e.put(t, table, c.control)
				}
				if c.clicked > 0 {
					if _, err := s.Claim(t.Context(), callout(id(t, 1), 1, "k1", epoch.Add(-c.clicked))); err != nil {
						t.Fatal(err)
					}
				}
				before, err := s.Control(t.Context(), order.SideWHMCS)
				if err != nil {
					t.Fatal(err)
				}
				if restored, err := s.Begin(t.Context(), epoch); err != nil || restored != c.restored {
					t.Fatalf("restored %t, %v; want %t", restored, err, c.restored)
				}
				after, err := s.Control(t.Context(), order.SideWHMCS)
				if err != nil {
					t.Fatal(err)
				}
				if after.Paused != (c.restored || before.Paused) || after.LookBefore.Equal(order.LookAlways()) != c.restored {
					t.Errorf("paused %t, look before %v", after.Paused, after.LookBefore)
				}
				// What a person held is held, too.
				if held := after.Held(); c.restored && held[len(held)-1].By != by || len(held) != len(before.Held())+map[bool]int{true: 1}[c.restored] {
					t.Errorf("held by %v", held)
				}
				// A person goes on, and no later start stops the work again.
				if err := s.Resume(t.Context(), "ann", epoch.Add(time.Hour)); err != nil {
					t.Fatal(err)
				}
				if restored, err := s.Begin(t.Context(), epoch.Add(2*time.Hour)); err != nil || restored {
					t.Errorf("the second start: restored %t, %v", restored, err)
				}
				if after, err = s.Control(t.Context(), order.SideWHMCS); err != nil || after.Paused {
					t.Errorf("after the resume: paused %t, %v", after.Paused, err)
				}
			})
		}
	}
}
