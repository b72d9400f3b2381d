package dynamodb_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	streamtypes "github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
)

// together runs f on n goroutines that start at once.
func together(n int, f func(i int)) {
	var wg sync.WaitGroup
	gate := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-gate
			f(i)
		})
	}
	close(gate)
	wg.Wait()
}

// refused tells a failed condition from any other error.
func refused(t *testing.T, err error) bool {
	t.Helper()
	var failed *types.ConditionalCheckFailedException
	if err != nil && !errors.As(err, &failed) {
		t.Error(err)
	}
	return err != nil
}

func TestOfManyWritersAsManyWinAsMay(t *testing.T) {
	for rule, c := range map[string]struct {
		before                  values
		condition, update, want string
		winners                 int32
	}{
		"one first writer":         {nil, "attribute_not_exists(pk)", "SET seen = :one", "1", 1},
		"twenty of a stock":        {values{"left": n("20"), "seen": n("0")}, "left >= :one", "SET left = left + :minus, seen = seen + :one", "20", 20},
		"one claim on one version": {values{"version": n("7"), "seen": n("0")}, "version = :seven", "SET version = version + :one, seen = seen + :one", "1", 1},
	} {
		r := start(t).orders()
		if c.before != nil {
			c.before["pk"] = s("1")
			r.put(c.before)
		}
		// One set of placeholders serves both expressions.
		both, names, v := aliased(c.condition+" | "+c.update, values{":one": n("1"), ":minus": n("-1"), ":seven": n("7")})
		condition, update, _ := strings.Cut(both, " | ")
		var won atomic.Int32
		together(50, func(int) {
			_, err := r.client.UpdateItem(r.ctx, &dynamodb.UpdateItemInput{TableName: aws.String("Orders"), Key: values{"pk": s("1")},
				UpdateExpression: &update, ConditionExpression: &condition, ExpressionAttributeNames: names, ExpressionAttributeValues: v})
			if !refused(t, err) {
				won.Add(1)
			}
		})
		if seen := r.get("1")["seen"].(*types.AttributeValueMemberN).Value; won.Load() != c.winners || seen != c.want {
			t.Errorf("%s: %d winners, %s seen", rule, won.Load(), seen)
		}
	}
}

// Reads, index reads, sweeps and stream reads while others write: for
// the race detector, and for images that never change under a reader's hand.
func TestReadersMeetNoHalfWrittenItem(t *testing.T) {
	r := start(t).orders()
	together(24, func(i int) {
		for k := range 10 {
			v := n(fmt.Sprint(k))
			switch i % 4 {
			case 0:
				if _, err := r.update("1", "SET a = :v, b = :v, m = :m, due_at = :v, due_shard = :s", values{":v": v, ":m": m(values{"a": v, "b": v}), ":s": s("0")}); err != nil {
					t.Error(err)
				}
			case 1:
				it := r.get("1")
				if it != nil && it["a"].(*types.AttributeValueMemberN).Value != it["b"].(*types.AttributeValueMemberN).Value {
					t.Errorf("half an item: %v", it)
				}
			case 2:
				r.due("0")
				r.db.Sweep()
				r.db.State()
			default:
				r.records(r.iterator(streamtypes.ShardIteratorTypeTrimHorizon, nil))
			}
		}
	})
}
