package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"golang.org/x/sync/errgroup"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// failedSep joins the parts of the attribute failed; none of them can hold it.
const failedSep = "|"

// failedKey is the sort key of the index failed: the time first, so that the
// index is in the order of the failures, then what a list shows, so that no
// item has to be read for it.
func failedKey(r order.Record) string {
	at := cmp.Or(isoOf(r.ErrorAt), isoOf(r.UpdatedAt), isoOf(r.CreatedAt), "-")
	return strings.Join([]string{string(at), string(r.ErrorCode), string(r.RecoveryPoint), r.AccountID, r.WHMCSOrderID}, failedSep)
}

// FailedOrder is a failed order as the index knows it.
type FailedOrder struct {
	ID           order.ID
	At           time.Time // of the failure; zero = not known
	Code         fault.Code
	Point        order.RecoveryPoint
	AccountID    string // "" = not known
	WHMCSOrderID string // "" = none known
}

// Failed returns the orders that failed at since or later, newest first. The
// index is eventually consistent. Errors: store_unavailable; then nothing is
// returned.
func (s *Store) Failed(ctx context.Context, since time.Time) ([]FailedOrder, error) {
	from := number0 // sorts before every time
	if !since.IsZero() {
		from = string(isoOf(since))
	}
	rows, err := s.shards(ctx, indexFailed, attrFailed, ">=", text(from))
	if err != nil {
		return nil, err
	}
	all := make([]FailedOrder, 0, len(rows))
	for _, v := range rows {
		if f, ok := v.failedOrder(); ok {
			all = append(all, f)
		}
	}
	slices.SortFunc(all, func(a, b FailedOrder) int {
		return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.ID.String(), b.ID.String()))
	})
	return all, nil
}

// number0 is smaller than any digit of a time and any "-".
const number0 = "!"

func (v Item) failedOrder() (FailedOrder, bool) {
	id, ok := OrderID(v.PK)
	parts := strings.Split(v.Failed, failedSep)
	if !ok || len(parts) < 5 {
		return FailedOrder{}, false
	}
	return FailedOrder{
		ID: id, At: iso(parts[0]).time(), Code: fault.Code(parts[1]), Point: order.RecoveryPoint(parts[2]), AccountID: parts[3], WHMCSOrderID: parts[4],
	}, true
}

// Open returns every open order, the one that is due first at the top. The
// index is eventually consistent; an order that was closed since is left out.
// Errors: store_unavailable, internal_error; then nothing is returned.
func (s *Store) Open(ctx context.Context) ([]order.Record, error) {
	rows, err := s.shards(ctx, indexDue, attrDueAt, ">=", number(0))
	if err != nil {
		return nil, err
	}
	all := make([]order.Record, len(rows))
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(readsAtOnce)
	for i, v := range rows {
		id, ok := OrderID(v.PK)
		if !ok {
			continue
		}
		work.Go(func() (err error) {
			all[i], _, err = s.Get(ctx, id)
			return err
		})
	}
	if err := work.Wait(); err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(r order.Record) bool { return !r.State.Open() })
	slices.SortFunc(all, func(a, b order.Record) int {
		return cmp.Or(a.DueAt.Compare(b.DueAt), cmp.Compare(a.ID.String(), b.ID.String()))
	})
	return all, nil
}

// readsAtOnce is how many items are read side by side: enough to hide the way
// to the table, few beside what the functions ask of it.
const readsAtOnce = 16

// shards reads all partitions of a sparse index side by side, where the sort
// key compares with value.
func (s *Store) shards(ctx context.Context, index, sort, op string, value types.AttributeValue) ([]Item, error) {
	var found [order.DueShards][]Item
	work, ctx := errgroup.WithContext(ctx)
	for shard := range found {
		work.Go(func() error {
			in := &dynamodb.QueryInput{
				TableName:                 aws.String(s.table),
				IndexName:                 aws.String(index),
				KeyConditionExpression:    aws.String("#s = :s AND #k " + op + " :k"),
				ExpressionAttributeNames:  map[string]string{"#s": attrDueShard, "#k": sort},
				ExpressionAttributeValues: attributes{":s": number(int64(shard)), ":k": value},
			}
			for {
				out, err := s.client.Query(ctx, in)
				if err != nil {
					return classify(fmt.Sprintf("query shard %d of %s", shard, index), err)
				}
				for _, item := range out.Items {
					var v Item
					if err := unmarshal(item, &v); err != nil {
						return errors.Join(err, errors.New("row of "+index))
					}
					found[shard] = append(found[shard], v)
				}
				if in.ExclusiveStartKey = out.LastEvaluatedKey; len(in.ExclusiveStartKey) == 0 {
					return nil
				}
			}
		})
	}
	if err := work.Wait(); err != nil {
		return nil, err
	}
	return slices.Concat(found[:]...), nil
}
