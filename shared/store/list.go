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

// Failed returns the orders that failed at since or later, newest first: all, or,
// where most is not 0, of each partition of the index at most that many, the
// newest. The index is eventually consistent. Errors: store_unavailable; then
// nothing is returned.
func (s *Store) Failed(ctx context.Context, since time.Time, most int) ([]FailedOrder, error) {
	from := number0 // sorts before every time
	if !since.IsZero() {
		from = string(isoOf(since))
	}
	rows, err := s.shards(ctx, keyRange{index: indexFailed, sort: attrFailed, from: text(from), newest: most})
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

// Open returns the open orders, the one that is due first at the top, and how many
// the index has. Where most is not 0 and there are more of them, it reads the items
// of most alone: half of them those that are due first, which no worker has taken
// for longest, and half those that are due last, which wait for longest after the
// most tries; and it counts at most 4 × most keys in each of the 8 partitions.
// The index is eventually consistent; an order that was closed since is left out.
// Of an item that cannot be read there is what it still says: it must not keep the
// others from being seen. Errors: store_unavailable; then nothing is returned.
func (s *Store) Open(ctx context.Context, most int) (all []order.Record, found int, err error) {
	rows, err := s.shards(ctx, keyRange{index: indexDue, sort: attrDueAt, from: number(0), oldest: 3 * most, newest: most})
	if err != nil {
		return nil, 0, err
	}
	slices.SortFunc(rows, func(a, b Item) int { return cmp.Or(cmp.Compare(a.DueAt, b.DueAt), cmp.Compare(a.PK, b.PK)) })
	rows = slices.CompactFunc(rows, func(a, b Item) bool { return a.PK == b.PK })
	found = len(rows)
	if most > 0 && found > most {
		rows = append(rows[:most/2:most/2], rows[found-(most-most/2):]...)
	}
	all = make([]order.Record, len(rows))
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(readsAtOnce)
	for i, v := range rows {
		id, ok := OrderID(v.PK)
		if !ok {
			continue
		}
		work.Go(func() (err error) {
			if all[i], _, err = s.Get(ctx, id); fault.CodeOf(err) == fault.Internal {
				all[i], err = s.remains(ctx, id, v)
			}
			return err
		})
	}
	if err := work.Wait(); err != nil {
		return nil, 0, err
	}
	all = slices.DeleteFunc(all, func(r order.Record) bool { return !r.State.Open() })
	slices.SortFunc(all, func(a, b order.Record) int {
		return cmp.Or(a.DueAt.Compare(b.DueAt), cmp.Compare(a.ID.String(), b.ID.String()))
	})
	return all, found, nil
}

// remains is what is known of an open order whose item cannot be read: that it is
// open and when it is due, by the index, and since when, if the item says that.
func (s *Store) remains(ctx context.Context, id order.ID, row Item) (order.Record, error) {
	r := order.Record{ID: id, State: order.Waiting, DueAt: row.DueAt.time(), OpenedAt: row.DueAt.time(), ErrorCode: fault.NotProcessable}
	p, err := s.Progress(ctx, id)
	switch {
	case fault.CodeOf(err) == fault.StoreUnavailable:
		return r, err
	case err == nil && !p.OpenedAt.IsZero():
		r.OpenedAt = p.OpenedAt
	}
	return r, nil
}

// readsAtOnce is how many items are read side by side: enough to hide the way
// to the table, few beside what the functions ask of it.
const readsAtOnce = 16

// keyRange says which keys of a sparse index are read of each partition: those
// whose sort key is from or more; all of them, or at most the oldest and the newest
// few, where one of these is not 0.
type keyRange struct {
	index, sort    string
	from           types.AttributeValue
	oldest, newest int
}

// shards reads all partitions of a sparse index side by side.
func (s *Store) shards(ctx context.Context, r keyRange) ([]Item, error) {
	var found [order.DueShards][]Item
	work, ctx := errgroup.WithContext(ctx)
	for shard := range found {
		work.Go(func() (err error) {
			more := true
			if r.oldest > 0 || r.newest == 0 {
				found[shard], more, err = s.keys(ctx, r, shard, true, r.oldest)
			}
			if err == nil && more && r.newest > 0 {
				var last []Item
				last, _, err = s.keys(ctx, r, shard, false, r.newest)
				found[shard] = append(found[shard], last...)
			}
			return err
		})
	}
	if err := work.Wait(); err != nil {
		return nil, err
	}
	return slices.Concat(found[:]...), nil
}

// keys reads the keys of one partition in one direction, at most limit of them
// (0 = all), and says whether there may be more.
func (s *Store) keys(ctx context.Context, r keyRange, shard int, forward bool, limit int) (found []Item, more bool, err error) {
	in := &dynamodb.QueryInput{
		TableName:                 aws.String(s.table),
		IndexName:                 aws.String(r.index),
		KeyConditionExpression:    aws.String("#s = :s AND #k >= :k"),
		ExpressionAttributeNames:  map[string]string{"#s": attrDueShard, "#k": r.sort},
		ExpressionAttributeValues: attributes{":s": number(int64(shard)), ":k": r.from},
		ScanIndexForward:          aws.Bool(forward),
	}
	for {
		if limit > 0 {
			in.Limit = aws.Int32(int32(limit - len(found))) //nolint:gosec // a few hundred
		}
		out, err := s.client.Query(ctx, in)
		if err != nil {
			return nil, false, classify(fmt.Sprintf("query shard %d of %s", shard, r.index), err)
		}
		for _, item := range out.Items {
			var v Item
			if err := unmarshal(item, &v); err != nil {
				return nil, false, errors.Join(err, errors.New("row of "+r.index))
			}
			found = append(found, v)
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
		if len(in.ExclusiveStartKey) == 0 || limit > 0 && len(found) >= limit {
			return found, len(in.ExclusiveStartKey) > 0, nil
		}
	}
}
