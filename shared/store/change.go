package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"orderbridge/shared/order"
)

// An item keeps the marks of its last writes: maxMarks random names of markLen
// characters. 48 bits tell a write from the few beside it, and each byte of an
// item is paid for by each of its writes. An SDK repeats a request within a
// second or two; fewer than maxMarks marked writes of one order succeed in that
// time, even where 20 notes meet. A worker makes no write before the one before
// was answered or given up, so that of its marks the last one is enough: they begin
// with leaseLen characters of its lease. Another worker's mark that begins so by
// chance is dropped with them: that worker's lease is over.
const (
	maxMarks = 32
	markLen  = 8
	leaseLen = 4
)

// newMark returns the mark of one write of a worker; lease is "" for all others.
func newMark(lease order.Token) order.Token {
	return lease[:min(len(lease), leaseLen)] + order.NewToken()[:markLen]
}

// addMark adds a mark to those of the last writes; a worker's takes the place of its
// former one.
func addMark(marks []order.Token, mark order.Token) []order.Token {
	marks = slices.Clone(marks)
	if lease := string(mark[:len(mark)-markLen]); lease != "" {
		marks = slices.DeleteFunc(marks, func(m order.Token) bool { return len(m) == len(mark) && strings.HasPrefix(string(m), lease) })
	}
	return append(marks[max(0, len(marks)-(maxMarks-1)):], mark)
}

// image is a stored order: the zero image is that of no item.
type image struct {
	order.Record
	// commutes: a click can be written without a condition on the version. The
	// collections that it adds to are there, and have room.
	commutes bool
}

func imageOf(item attributes) (image, error) {
	if len(item) == 0 {
		return image{}, nil
	}
	v, r, err := decode(item)
	if err != nil {
		return image{}, err
	}
	return image{r, v.Version > 0 && v.Keys != nil && v.Nonces != nil && v.History != nil &&
		len(v.Nonces) < order.MaxNonces && len(v.History) < maxLines}, nil
}

// change applies do to the order that the table holds, and writes what it
// returns, until no other write came in between. seen is the image to begin
// with. do is a pure method of order.Record; where it leaves the version alone
// there is nothing to write. lease is that of the worker that writes; "" = it is
// none.
func (s *Store) change(ctx context.Context, doing string, lease order.Token, seen image, write writer, do func(order.Record) (order.Record, error)) (order.Record, error) {
	mark := newMark(lease)
	for range maxTries {
		next, err := do(seen.Record)
		if err != nil {
			return order.Record{}, fmt.Errorf("%s: %w", doing, err)
		}
		if next.Version == seen.Version && next.ID == seen.ID {
			return seen.Record, nil
		}
		next.Marks = addMark(next.Marks, mark)
		stands, applied, err := write(ctx, doing, seen, next)
		if err != nil {
			return order.Record{}, err
		}
		if seen, err = imageOf(stands); err != nil {
			return order.Record{}, err
		}
		if applied || slices.Contains(seen.Marks, mark) {
			return seen.Record, nil
		}
	}
	return order.Record{}, contended(doing)
}

// writer makes one conditional write of next in place of seen. It returns the
// item that stands there now (nil: none), and whether that is its own.
type writer func(ctx context.Context, doing string, seen image, next order.Record) (stands attributes, applied bool, err error)

// replace puts the whole of next in place of the version that was seen.
func (s *Store) replace(ctx context.Context, doing string, seen image, next order.Record) (attributes, bool, error) {
	return s.put(ctx, doing, Encode(next), unmoved(!seen.ID.IsZero(), seen.Version))
}

// fenced is replace under the fence: also lease and state are as they were seen.
func (s *Store) fenced(ctx context.Context, doing string, seen image, next order.Record) (attributes, bool, error) {
	c := unmoved(true, seen.Version)
	c.expr += " AND #lease = :lease AND #state = :working"
	c.names["#lease"], c.names["#state"] = attrLease, attrState
	c.values[":lease"], c.values[":working"] = text(string(seen.Lease)), text(string(order.Working))
	return s.put(ctx, doing, Encode(next), c)
}

// condition is the condition of one write.
type condition struct {
	expr   string
	names  map[string]string
	values attributes
}

// unmoved requires that no write came since the version that was seen, or that
// there is still no item.
func unmoved(exists bool, version int64) condition {
	switch {
	case !exists:
		return condition{expr: "attribute_not_exists(#pk)", names: map[string]string{"#pk": attrPK}}
	case version == 0: // written without one
		return condition{
			expr: "attribute_exists(#pk) AND attribute_not_exists(#version)", names: map[string]string{"#pk": attrPK, "#version": attrVersion}, values: attributes{},
		}
	}
	return condition{expr: "#version = :version", names: map[string]string{"#version": attrVersion}, values: attributes{":version": number(version)}}
}

func (s *Store) put(ctx context.Context, doing string, item attributes, c condition) (attributes, bool, error) {
	if len(c.values) == 0 {
		c.values = nil // DynamoDB takes no empty map
	}
	_, err := s.client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: aws.String(s.table), Item: item,
		ConditionExpression: aws.String(c.expr), ExpressionAttributeNames: c.names, ExpressionAttributeValues: c.values,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	if err != nil {
		return failure(doing, err)
	}
	return item, true, nil
}

// failure returns the image that comes back with a failed condition; every
// other error gets its code.
func failure(doing string, err error) (attributes, bool, error) {
	var failed *types.ConditionalCheckFailedException
	if errors.As(err, &failed) {
		return failed.Item, false, nil
	}
	return nil, false, classify(doing, err)
}
