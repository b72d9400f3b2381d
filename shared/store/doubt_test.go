package store_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"orderbridge/shared/order"
)

// A version of before the canaries counts unknown outcomes and writes nothing
// else of them; what this one writes besides must stay readable to it.
func TestUnknownOutcomesThatAnOlderVersionCountedHaveTheirCanaryAtOnce(t *testing.T) {
	for _, e := range endpoints(t) {
		s, table := e.open(t)
		e.put(t, table, map[string]types.AttributeValue{
			"pk":         &types.AttributeValueMemberS{Value: "control#whmcs"},
			"unsure":     &types.AttributeValueMemberM{Value: map[string]types.AttributeValue{"AddOrder": &types.AttributeValueMemberN{Value: "3"}}},
			"open_until": &types.AttributeValueMemberN{Value: "1795521600000"},
		})
		c, err := s.ChangeControl(t.Context(), order.SideWHMCS, func(c order.Control) (order.Control, bool) {
			return c.Canary("AddOrder", epoch, epoch.Add(time.Minute), "mine")
		})
		if err != nil || c.Withheld("AddOrder", "mine") != nil || c.Withheld("AddOrder", "another") == nil {
			t.Errorf("%+v, %v", c, err)
		}
		item := e.get(t, table, "control#whmcs")
		counts, _ := item["unsure"].(*types.AttributeValueMemberM)
		if counts == nil {
			t.Fatalf("unsure is %v", item["unsure"])
		}
		if n, _ := counts.Value["AddOrder"].(*types.AttributeValueMemberN); n == nil || n.Value != "3" {
			t.Errorf("unsure is %v", counts.Value)
		}
	}
}
