package store_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"orderbridge/shared/order"
)

// A person writes look_before by hand after a restore. What cannot be read must
// neither stop every order nor be passed over: every order is searched for.
func TestALookBeforeThatCannotBeReadMeansAlways(t *testing.T) {
	for _, e := range endpoints(t) {
		s, table := e.open(t)
		for name, value := range map[string]types.AttributeValue{
			"a number":      &types.AttributeValueMemberN{Value: "1795521600000"},
			"another form":  &types.AttributeValueMemberS{Value: "24.11.2026 12:00"},
			"without zone":  &types.AttributeValueMemberS{Value: "2026-11-24T12:00:00"},
			"a wrong type":  &types.AttributeValueMemberBOOL{Value: true},
			"a day alone":   &types.AttributeValueMemberS{Value: "2026-11-24"},
			"not there":     nil,
			"as it must be": &types.AttributeValueMemberS{Value: "2026-11-24T12:00:00Z"},
		} {
			item := map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: "control#whmcs"}}
			if value != nil {
				item["look_before"] = value
			}
			e.put(t, table, item)
			c, err := s.Control(t.Context(), order.SideWHMCS)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			readable := name == "not there" || name == "as it must be"
			if c.LookBefore.Equal(order.LookAlways()) == readable {
				t.Errorf("%s: look before %s", name, c.LookBefore)
			}
			if err := s.Pause(t.Context(), "r", "me", epoch); err != nil {
				t.Errorf("%s: pause: %v", name, err)
			}
		}
	}
}
