package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// An order that cannot be read is tried again every asideFor, at most maxAside
// times: five hours, in which a roll-back can be noticed. Then it is failed, and
// due no more.
const (
	maxAside = 20
	asideFor = 15 * time.Minute

	attrUnreadable   = "unreadable"
	attrErrorCode    = "error_code"
	attrErrorMessage = "error_message"
	attrErrorAt      = "error_at"
	attrLeaseUntil   = "lease_until"
)

// setAside makes an order whose item cannot be read due later, or ends it. It
// touches nothing of the item but what the due index, the state and the error
// need, so that the item can be corrected by hand; the next whole write of a
// readable item drops the count. cause is what was wrong with it. The error
// carries not_processable, not_due where somebody else has set it aside, or
// internal_error where it was not due at all.
func (s *Store) setAside(ctx context.Context, id order.ID, item attributes, now time.Time, cause error) error {
	due, ok := item[attrDueAt].(*types.AttributeValueMemberN)
	if _, ended := item[attrUnreadable]; !ok && !ended {
		return cause // no hint is sent for it
	}
	if !ok {
		return fault.Wrap(fault.NotDue, cause)
	}
	at, err := strconv.ParseInt(due.Value, 10, 64)
	if err == nil && at > now.Add(order.MaxSkew).UnixMilli() {
		return fault.Wrap(fault.NotDue, cause)
	}
	tried := 0
	if n, ok := item[attrUnreadable].(*types.AttributeValueMemberN); ok {
		tried, _ = strconv.Atoi(n.Value) // what is no number begins at 0
	}
	in := &dynamodb.UpdateItemInput{
		TableName: aws.String(s.table), Key: attributes{attrPK: text(OrderKey(id))},
		ConditionExpression:       aws.String("#due = :seen"),
		UpdateExpression:          aws.String("SET #due = :later, #unreadable = :tried"),
		ExpressionAttributeNames:  map[string]string{"#due": attrDueAt, "#unreadable": attrUnreadable},
		ExpressionAttributeValues: attributes{":seen": due, ":later": number(now.Add(asideFor).UnixMilli()), ":tried": number(int64(tried) + 1)},
	}
	if tried+1 >= maxAside {
		in.UpdateExpression = aws.String("SET #unreadable = :tried, #state = :failed, #code = :code, #text = :text, #at = :now, #shard = :shard, #failed = :key REMOVE #due, #until")
		in.ExpressionAttributeNames = map[string]string{
			"#due": attrDueAt, "#unreadable": attrUnreadable, "#state": attrState, "#code": attrErrorCode, "#text": attrErrorMessage, "#at": attrErrorAt,
			"#shard": attrDueShard, "#failed": attrFailed, "#until": attrLeaseUntil,
		}
		in.ExpressionAttributeValues = attributes{
			":seen": due, ":tried": number(int64(tried) + 1), ":failed": text(string(order.Failed)), ":code": text(string(fault.NotProcessable)),
			":text": text(order.Cut("Ask the on-call: the order's item in the table cannot be read: "+cause.Error()+".", order.MaxMessage)),
			":now":  text(string(isoOf(now))), ":shard": number(dueShard(id)),
			":key": text(failedKey(order.Record{ErrorAt: now, ErrorCode: fault.NotProcessable})), // what else it holds cannot be read
		}
	}
	_, err = s.client.UpdateItem(ctx, in)
	var moved *types.ConditionalCheckFailedException
	switch {
	case errors.As(err, &moved):
		return fault.Wrap(fault.NotDue, cause)
	case err != nil:
		return classify("set aside order "+id.String(), err)
	}
	return fault.Wrap(fault.NotProcessable, fmt.Errorf("%d of %d tries: %w", tried+1, maxAside, cause))
}
