package dynamodb_test

import (
	"errors"
	"fmt"
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

func TestOfFiftyFirstWritersOneWins(t *testing.T) {
	r := start(t).orders()
	for round := range 5 {
		var won atomic.Int32
		pk := fmt.Sprint(round)
		together(50, func(int) {
			if !refused(t, r.insert(pk)) {
				won.Add(1)
			}
		})
		if won.Load() != 1 {
			t.Fatalf("round %d: %d winners", round, won.Load())
		}
	}
}

func TestAStockOfTwentySellsTwentyTimes(t *testing.T) {
	r := start(t).orders()
	r.put(values{"pk": s("stock"), "left": n("20"), "sold": n("0")})
	var sold atomic.Int32
	together(50, func(int) {
		_, err := r.client.UpdateItem(r.ctx, &dynamodb.UpdateItemInput{TableName: aws.String("Orders"), Key: values{"pk": s("stock")},
			UpdateExpression: aws.String("SET #left = #left + :minus, #sold = #sold + :one"), ConditionExpression: aws.String("#left >= :one"),
			ExpressionAttributeNames: names{"#left": "left", "#sold": "sold"}, ExpressionAttributeValues: values{":one": n("1"), ":minus": n("-1")}})
		if !refused(t, err) {
			sold.Add(1)
		}
	})
	if sold.Load() != 20 {
		t.Fatalf("sold %d", sold.Load())
	}
	wantItem(t, r.get("stock"), values{"pk": s("stock"), "left": n("0"), "sold": n("20")})
}

func TestFiftyCountersLoseNothing(t *testing.T) {
	r := start(t).orders()
	together(50, func(i int) {
		if _, err := r.update("1", "SET nonces = if_not_exists(nonces, :m), seen = if_not_exists(seen, :zero) + :one", values{":m": m(values{}), ":zero": n("0"), ":one": n("1")}); err != nil {
			t.Error(err)
		}
		if _, err := r.update("1", fmt.Sprint("SET nonces.n", i, " = :one"), values{":one": n("1")}); err != nil {
			t.Error(err)
		}
	})
	got := r.get("1")
	if seen := got["seen"].(*types.AttributeValueMemberN).Value; seen != "50" {
		t.Errorf("counted %s", seen)
	}
	if all := got["nonces"].(*types.AttributeValueMemberM).Value; len(all) != 50 {
		t.Errorf("%d of 50 nonces", len(all))
	}
}

func TestOfFiftyClaimsOnOneVersionOneWins(t *testing.T) {
	r := start(t).orders()
	r.put(values{"pk": s("1"), "version": n("7")})
	var won atomic.Int32
	together(50, func(i int) {
		_, err := r.client.UpdateItem(r.ctx, &dynamodb.UpdateItemInput{TableName: aws.String("Orders"), Key: values{"pk": s("1")},
			UpdateExpression: aws.String("SET #version = #version + :one, #lease = :me"), ConditionExpression: aws.String("#version = :seen"),
			ExpressionAttributeNames:  names{"#version": "version", "#lease": "lease"},
			ExpressionAttributeValues: values{":one": n("1"), ":seen": n("7"), ":me": s(fmt.Sprint(i))}})
		if !refused(t, err) {
			won.Add(1)
		}
	})
	if won.Load() != 1 {
		t.Fatalf("%d winners", won.Load())
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
