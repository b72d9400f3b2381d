package store_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/store"
)

// reads remembers what was asked of GetItem and what came back.
type reads struct {
	store.Client
	in  []*dynamodb.GetItemInput
	out []*dynamodb.GetItemOutput
}

func (r *reads) GetItem(ctx context.Context, in *dynamodb.GetItemInput, o ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error) {
	out, err := r.Client.GetItem(ctx, in, o...)
	r.in, r.out = append(r.in, in), append(r.out, out)
	return out, err
}

// One consistent read brings what the portal shows, and the same attributes for
// an order with a long history as for a new one.
func TestProgressIsOneConsistentReadOfConstantSize(t *testing.T) {
	for _, e := range endpoints(t) {
		t.Run(e.name, func(t *testing.T) {
			spy := &reads{Client: e.client}
			s := with(t, spy, e.table(t))
			order1 := id(t, 1)
			if p, err := s.Progress(t.Context(), order1); err != nil || p != (order.Progress{}) {
				t.Fatalf("without an item: %+v, %v", p, err)
			}
			c := callout(order1, 1, "k1", epoch)
			c.AccountID = "001000000000001AAA"
			if _, err := s.Claim(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			young, err := s.Progress(t.Context(), order1)
			want := order.Progress{State: order.Queued, AccountID: "001000000000001AAA", OpenedAt: epoch, UpdatedAt: epoch}
			if d := cmp.Diff(want, young); err != nil || d != "" {
				t.Fatalf("%v, differs (-want +got):\n%s", err, d)
			}
			for n := range 60 {
				if err := s.Note(t.Context(), order1, order.Entry{At: epoch.Add(time.Duration(n) * time.Second), Event: "note", Detail: "a long line of the history", By: "test"}); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := s.Progress(t.Context(), order1); err != nil {
				t.Fatal(err)
			}
			projected := 0
			for i, in := range spy.in {
				if in.ProjectionExpression == nil {
					continue // Note reads the whole item
				}
				if !aws.ToBool(in.ConsistentRead) {
					t.Error("the read is not consistent")
				}
				if projected++; projected == 1 {
					continue // there was no item
				}
				got := slices.Sorted(maps.Keys(spy.out[i].Item))
				if want := []string{"account_id", "opened_at", "state", "updated_at"}; !slices.Equal(got, want) {
					t.Errorf("read %v, want %v", got, want)
				}
			}
			if projected != 3 {
				t.Errorf("%d reads, want 3", projected)
			}
		})
	}
}

// What Progress says of an order is what its record says, whatever is stored.
func TestProgressAgreesWithTheRecord(t *testing.T) {
	e := embedded(t)
	s, table := e.open(t)
	item, rec := full(t, e)
	for _, state := range []order.State{order.Queued, order.Working, order.Waiting, order.Provisioned, order.Failed} {
		item["state"] = &types.AttributeValueMemberS{Value: string(state)}
		e.put(t, table, item)
		got, err := s.Progress(t.Context(), rec.ID)
		want := order.Progress{State: state, AccountID: rec.AccountID, WHMCSOrderID: rec.WHMCSOrderID, OpenedAt: rec.OpenedAt, UpdatedAt: rec.UpdatedAt}
		if d := cmp.Diff(want, got); err != nil || d != "" {
			t.Errorf("%s: %v, differs (-want +got):\n%s", state, err, d)
		}
	}
	item["state"] = &types.AttributeValueMemberS{Value: "melted"}
	e.put(t, table, item)
	if _, err := s.Progress(t.Context(), rec.ID); fault.CodeOf(err) != fault.Internal {
		t.Errorf("an unknown state: %v", err)
	}
}

// The role of StatusFunction refuses a read that names no attribute, or another
// one than these (.ci/template_test.py compares them with the template).
func TestThePortalsReadsNameTheirAttributes(t *testing.T) {
	e := embedded(t)
	spy := &reads{Client: e.client}
	s := with(t, spy, e.table(t))
	if err := s.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Progress(t.Context(), id(t, 1)); err != nil {
		t.Fatal(err)
	}
	allowed := []string{"pk", "state", "account_id", "whmcs_order_id", "opened_at", "updated_at"}
	for _, in := range spy.in {
		if in.ProjectionExpression == nil {
			t.Error("a read asks for the whole item")
			continue
		}
		for name := range strings.SplitSeq(*in.ProjectionExpression, ", ") {
			if full, ok := in.ExpressionAttributeNames[name]; ok {
				name = full
			}
			if !slices.Contains(allowed, name) {
				t.Errorf("a read asks for %s", name)
			}
		}
	}
	if len(spy.in) != 2 {
		t.Errorf("%d reads, want 2", len(spy.in))
	}
}
