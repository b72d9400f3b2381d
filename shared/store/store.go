// Package store is the one DynamoDB table: one item per order, one control
// item per side.
//
// The rule it keeps: every change of an order is a pure method of order.Record,
// applied to the image that the table holds and written only if no other write
// came in between (the condition is on version). When the condition fails, the
// image that comes back with the failure is the next one to decide on; an image
// that shows one's own mark, or one's own nonce, was written by an earlier copy
// of the same request, and that is success. A request that is delivered late
// changes nothing. It must not decide business: which change is made is the
// caller's word, and it must not import the engine.
package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// Client is what the store uses of the SDK's client. Attempts, time-outs and
// backoff are the client's.
type Client interface {
	PutItem(context.Context, *dynamodb.PutItemInput, ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error)
	UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error)
	GetItem(context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error)
	Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error)
}

// maxTries bounds how often one call decides again. Each failed try means that
// another writer succeeded on this one item; an order has at most 100 live
// callouts and one worker, so 200 are never reached by honest traffic, and the
// context's deadline ends a run that is merely slow.
const maxTries = 200

// Store reads and writes the table. It is safe for concurrent use and keeps
// nothing between calls.
type Store struct {
	client Client
	table  string
}

// New returns a Store on the table.
func New(client Client, table string) (*Store, error) {
	if client == nil {
		return nil, errors.New("open store: no client")
	}
	if table == "" {
		return nil, errors.New("open store: no table name")
	}
	return &Store{client: client, table: table}, nil
}

// Get reads one order, strongly consistent; false where there is no item.
// Errors: store_unavailable, or internal_error for an item that cannot be read.
func (s *Store) Get(ctx context.Context, id order.ID) (order.Record, bool, error) {
	seen, err := s.read(ctx, id)
	return seen.Record, err == nil && !seen.ID.IsZero(), err
}

// progress is the part of Item that Progress reads.
type progress struct {
	State        string `json:"state"`
	AccountID    string `json:"account_id,omitempty"`
	WHMCSOrderID string `json:"whmcs_order_id,omitempty"`
	OpenedAt     millis `json:"opened_at,omitempty"`
	UpdatedAt    iso    `json:"updated_at,omitempty"`
}

var progressAttributes = projectionOf(progress{})

// Progress reads how far an order is in one read of five attributes: the answer
// has the same size however long the order's history is. It is strongly
// consistent: an eventually consistent one could show a status that is older
// than the one before it, or no order right after the click. The read units
// are those of the whole item, which a projection does not change.
//
// The zero Progress is an order that has no item. Errors: store_unavailable, or
// internal_error for an item that cannot be read.
func (s *Store) Progress(ctx context.Context, id order.ID) (order.Progress, error) {
	item, err := s.get(ctx, OrderKey(id), progressAttributes)
	if err != nil || item == nil {
		return order.Progress{}, err
	}
	var v progress
	if err := unmarshal(item, &v); err != nil {
		return order.Progress{}, err
	}
	p := order.Progress{State: order.State(v.State), AccountID: v.AccountID, WHMCSOrderID: v.WHMCSOrderID, OpenedAt: v.OpenedAt.time(), UpdatedAt: v.UpdatedAt.time()}
	if p.Status() == order.StatusPendingReview {
		return order.Progress{}, fault.Wrap(fault.Internal, fmt.Errorf("read progress of %s: unknown state %q", id, v.State))
	}
	return p, nil
}

func (s *Store) read(ctx context.Context, id order.ID) (image, error) {
	item, err := s.get(ctx, OrderKey(id), everything)
	if err != nil {
		return image{}, err
	}
	return imageOf(item)
}

// projection is which attributes of an item are read.
type projection struct {
	expression *string
	names      map[string]string
}

// everything is the whole item.
var everything projection

// projectionOf returns the attributes that the tags of a struct name.
func projectionOf(v any) projection {
	t := reflect.TypeOf(v)
	p := projection{names: map[string]string{}}
	var all []string
	for i := range t.NumField() {
		name, _ := tag(t.Field(i))
		p.names["#"+name] = name // state is a reserved word
		all = append(all, "#"+name)
	}
	p.expression = aws.String(strings.Join(all, ", "))
	return p
}

// get reads of one item what is asked for; nil where there is no item.
func (s *Store) get(ctx context.Context, pk string, only projection) (attributes, error) {
	out, err := s.client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: aws.String(s.table), Key: attributes{attrPK: text(pk)}, ConsistentRead: aws.Bool(true),
		ProjectionExpression: only.expression, ExpressionAttributeNames: only.names,
	})
	if err != nil {
		return nil, classify("read "+pk, err)
	}
	return out.Item, nil
}

// Connect opens a connection to the table: it reads half a unit of an item that no
// order has, and of it the key alone, which every role may. Errors:
// store_unavailable.
func (s *Store) Connect(ctx context.Context) error {
	_, err := s.client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: aws.String(s.table), Key: attributes{attrPK: text(orderPrefix)}, ProjectionExpression: aws.String(attrPK),
	})
	if err != nil {
		return classify("connect", err)
	}
	return nil
}

// Claim records a callout: nonce, idempotency key and order in one atomic
// write. The first callout of an order is one PutItem and no more; its failed
// condition brings the image of an order that exists.
//
// Errors: nonce_replayed; too_many_requests when order.MaxNonces live nonces
// are remembered (this one is not); try_again when the table is throttled or
// away (the callout may be recorded: the same request sent again with a new
// nonce meets the same order); internal_error.
func (s *Store) Claim(ctx context.Context, c order.Claim) (order.Claimed, error) {
	var met order.Outcome
	r, err := s.change(ctx, "record callout of order "+c.ID.String(), "", image{}, s.click(c), func(r order.Record) (next order.Record, err error) {
		next, met, err = r.Claim(c)
		return next, err
	})
	if fault.CodeOf(err) == fault.StoreUnavailable {
		err = fault.Wrap(fault.TryAgain, err)
	}
	if err != nil {
		return order.Claimed{}, err
	}
	return order.Claimed{Outcome: met, Record: r}, nil
}

// Lease makes the caller the one worker of an order: Record.TakeLease.
// Errors: not_due; store_unavailable: the lease may have been given, and ends
// by itself; internal_error.
func (s *Store) Lease(ctx context.Context, id order.ID, l order.Lease) (order.Record, error) {
	item, err := s.get(ctx, OrderKey(id), everything)
	if err != nil {
		return order.Record{}, err
	}
	seen, err := imageOf(item)
	if err != nil {
		return order.Record{}, s.setAside(ctx, id, item, l.Now, err)
	}
	return s.change(ctx, "lease order "+id.String(), l.Token, seen, s.replace, func(r order.Record) (order.Record, error) { return r.TakeLease(l) })
}

// Write makes one transition under the fence: Record.Step. It begins with
// step.From, which must be what the table returned last; where a callout or a
// note came in between, the same transition is made on the fresh image.
// Errors: lease_lost; store_unavailable: it may have been written;
// internal_error for a step that order.Step.Check refuses.
func (s *Store) Write(ctx context.Context, step order.Step) (order.Record, error) {
	return s.change(ctx, "write order "+step.From.ID.String(), step.From.Lease, image{Record: step.From}, s.fenced,
		func(r order.Record) (order.Record, error) { return r.Step(step) })
}

// Resolve carries out what a person decided about a failed order:
// Record.Resolve. An order that was worked on, reopened or resolved between
// the read and the write is not what the person saw.
// Errors: order_not_found; state_changed; store_unavailable; internal_error.
func (s *Store) Resolve(ctx context.Context, d order.Resolution) (order.Record, error) {
	var first *order.Record
	return s.readAndChange(ctx, "resolve order", d.ID, func(r order.Record) (order.Record, error) {
		if first == nil {
			first = &r
		}
		if !r.ID.IsZero() && (r.Fence != first.Fence || r.RecoveryPoint != first.RecoveryPoint || r.ErrorCode != first.ErrorCode || !r.OpenedAt.Equal(first.OpenedAt)) {
			return r, fault.Wrap(fault.StateChanged, errors.New("it was changed meanwhile"))
		}
		return r.Resolve(d)
	})
}

// Note adds a line to the history of an order: Record.Note.
// Errors: order_not_found; store_unavailable; internal_error.
func (s *Store) Note(ctx context.Context, id order.ID, e order.Entry) error {
	_, err := s.readAndChange(ctx, "note on order", id, func(r order.Record) (order.Record, error) { return r.Note(e) })
	return err
}

// Bump makes Salesforce hear of an order again: Record.Bump.
// Errors: order_not_found; store_unavailable; internal_error.
func (s *Store) Bump(ctx context.Context, id order.ID, atLeast order.Seq, now time.Time, e order.Entry) (order.Record, error) {
	return s.readAndChange(ctx, "bump order", id, func(r order.Record) (order.Record, error) { return r.Bump(atLeast, now, e) })
}

// Refuse notes that Salesforce refuses what it is to show: Record.Refuse.
// Errors: order_not_found; store_unavailable; internal_error.
func (s *Store) Refuse(ctx context.Context, id order.ID, x order.Refusal, at time.Time, e order.Entry) error {
	_, err := s.readAndChange(ctx, "note refusal of order", id, func(r order.Record) (order.Record, error) { return r.Refuse(x, at, e) })
	return err
}

// Confirm notes that Salesforce shows the order as it is at seq: Record.Confirm.
// Errors: order_not_found; store_unavailable; internal_error.
func (s *Store) Confirm(ctx context.Context, id order.ID, seq order.Seq, e order.Entry) error {
	_, err := s.readAndChange(ctx, "confirm order", id, func(r order.Record) (order.Record, error) { return r.Confirm(seq, e) })
	return err
}

// readAndChange is change on the order as it is read first.
func (s *Store) readAndChange(ctx context.Context, doing string, id order.ID, do func(order.Record) (order.Record, error)) (order.Record, error) {
	seen, err := s.read(ctx, id)
	if err != nil {
		return order.Record{}, err
	}
	return s.change(ctx, doing+" "+id.String(), "", seen, s.replace, do)
}

// Due returns up to limit orders whose work is due at now, oldest first. The
// index is eventually consistent: an order may be missing that became due a
// moment ago, or be there although another worker has it; Lease decides.
// Errors: store_unavailable; then the ids found so far are returned too.
func (s *Store) Due(ctx context.Context, now time.Time, limit int) ([]order.ID, error) {
	if limit <= 0 {
		return nil, nil
	}
	var rows []order.Changed
	var failed error
	for shard := range int64(order.DueShards) {
		found, _, err := s.indexed(ctx, indexDue, shard, time.Time{}, now, limit)
		rows, failed = append(rows, found...), errors.Join(failed, err)
	}
	slices.SortFunc(rows, earlier)
	return idsOf(rows[:min(limit, len(rows))]), failed
}

// Changed returns up to limit orders whose last change that Salesforce must see
// is listed (order.Record.Listed) from from until until, oldest first, but for those
// that Salesforce refuses. All of them are there that are listed before reached;
// it is after until where none is missing. The index is eventually consistent.
// Errors: store_unavailable.
func (s *Store) Changed(ctx context.Context, from, until time.Time, limit int) (rows []order.Changed, reached time.Time, err error) {
	reached = until.Add(time.Millisecond)
	for shard := range int64(order.DueShards) {
		found, more, err := s.indexed(ctx, indexConfirm, shard, from, until, limit)
		if err != nil {
			return nil, time.Time{}, err
		}
		if last := len(found) - 1; more && last >= 0 && found[last].At.Before(reached) {
			reached = found[last].At
		}
		rows = append(rows, found...)
	}
	slices.SortFunc(rows, earlier)
	rows = slices.DeleteFunc(rows, func(r order.Changed) bool { return !r.At.Before(reached) })
	if len(rows) > limit {
		reached = rows[limit].At
		rows = slices.DeleteFunc(rows, func(r order.Changed) bool { return !r.At.Before(reached) })
	}
	return rows, reached, nil
}

// Refused returns up to limit orders that Salesforce refuses and that are to be
// tried again by now, the one that waits longest first. Errors: store_unavailable.
func (s *Store) Refused(ctx context.Context, now time.Time, limit int) ([]order.ID, error) {
	rows, _, err := s.indexed(ctx, indexConfirm, refusedShard, time.Time{}, now, limit)
	return idsOf(rows), err
}

func earlier(a, b order.Changed) int {
	return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.ID.String(), b.ID.String()))
}

func idsOf(rows []order.Changed) []order.ID {
	ids := make([]order.ID, len(rows))
	for i, r := range rows {
		ids[i] = r.ID
	}
	return ids
}

// indexed reads up to limit keys of one partition of an index, from from (zero:
// the first) until until, oldest first, and says whether there are more. A
// condition compares the sort key once, so that a range is read from its start.
// Errors: store_unavailable, beside the keys found so far.
func (s *Store) indexed(ctx context.Context, index string, shard int64, from, until time.Time, limit int) (rows []order.Changed, more bool, err error) {
	hash, at := attrDueShard, attrDueAt
	if index == indexConfirm {
		hash, at = attrConfirmShard, attrConfirmAt
	}
	in := &dynamodb.QueryInput{
		TableName:                aws.String(s.table),
		IndexName:                aws.String(index),
		KeyConditionExpression:   aws.String("#s = :s AND #at <= :at"),
		ExpressionAttributeNames: map[string]string{"#s": hash, "#at": at},
		ExpressionAttributeValues: map[string]types.AttributeValue{
			":s": number(shard), ":at": number(until.UnixMilli()),
		},
		ScanIndexForward: aws.Bool(true),
	}
	if !from.IsZero() {
		in.KeyConditionExpression = aws.String("#s = :s AND #at >= :at")
		in.ExpressionAttributeValues[":at"] = number(from.UnixMilli())
	}
	for found := 0; found < limit; {
		in.Limit = aws.Int32(int32(min(limit-found, 1000)))
		out, err := s.client.Query(ctx, in)
		if err != nil {
			return rows, true, classify(fmt.Sprintf("query shard %d of %s", shard, index), err)
		}
		found += len(out.Items)
		for _, item := range out.Items {
			// A row that is no order's is skipped: no writer makes one, and it
			// must not keep the others from being seen.
			var v Item
			if err := unmarshal(item, &v); err != nil {
				continue
			}
			if id, ok := OrderID(v.PK); ok {
				due := v.DueAt
				if index == indexConfirm {
					due = v.ConfirmAt
				}
				if due.time().After(until) {
					return rows, false, nil
				}
				rows = append(rows, order.Changed{ID: id, At: due.time()})
			}
		}
		if len(out.LastEvaluatedKey) == 0 {
			return rows, false, nil
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
	}
	return rows, true, nil
}
