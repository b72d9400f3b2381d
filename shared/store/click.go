package store

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"orderbridge/shared/order"
)

// maxLines is the number of history lines from which a click does not commute
// any more: a whole write then trims the history to order.MaxHistory and the
// keys to order.MaxKeys. It leaves room for as many clicks at once as an order
// can remember.
const maxLines = order.MaxHistory + order.MaxNonces

// click writes a callout on an open or provisioned order without a condition on
// the version, so that clicks commute with each other and with a worker's
// writes. It does what Record.Claim does, but for the trimming of keys and
// history. Where it cannot, it is replace.
func (s *Store) click(c order.Claim) writer {
	return func(ctx context.Context, doing string, seen image, next order.Record) (attributes, bool, error) {
		_, there := seen.Nonces[c.Nonce] // one that left the window; it is replaced
		if !seen.commutes || there || next.State != seen.State || next.State == order.Failed {
			next.Marks = seen.Marks // a callout is known by its nonce
			return s.replace(ctx, doing, seen, next)
		}
		out, err := s.client.UpdateItem(ctx, s.clickInput(c, seen, next))
		if err != nil {
			return failure(doing, err)
		}
		return out.Attributes, true, nil
	}
}

// clickInput adds what a callout adds, and drops the nonces that next dropped.
// The limits are in the condition, or a flood could pass them between image and
// write.
func (s *Store) clickInput(c order.Claim, seen image, next order.Record) *dynamodb.UpdateItemInput {
	nonce := next.Nonces[c.Nonce]
	names := map[string]string{
		"#state": attrState, "#nonces": attrNonces, "#n": c.Nonce, "#history": attrHistory, "#keys": attrKeys, "#version": attrVersion, "#signal": attrSignal,
	}
	values := attributes{
		":nonce": &types.AttributeValueMemberM{Value: marshal(nonceOf(nonce))},
		":line":  listOf(&types.AttributeValueMemberM{Value: marshal(entryOf(c.Entry(nonce.Met, "")))}),
		":key":   listOf(text(c.Key)), ":one": number(1), ":signal": text(string(next.Signal)),
		":nonces": number(order.MaxNonces), ":lines": number(maxLines),
	}
	set := []string{
		"#nonces.#n = :nonce", "#history = list_append(#history, :line)", "#keys = list_append(#keys, :key)",
		"#version = #version + :one", "#signal = :signal",
	}
	if c.AccountID != "" {
		names["#account"], values[":account"] = attrAccountID, text(c.AccountID)
		set = append(set, "#account = if_not_exists(#account, :account)")
	}
	expr := "SET " + strings.Join(set, ", ")
	var gone []string
	for _, n := range slices.Sorted(maps.Keys(seen.Nonces)) {
		if _, kept := next.Nonces[n]; !kept {
			name := "#gone" + strconv.Itoa(len(gone))
			names[name] = n
			gone = append(gone, "#nonces."+name)
		}
	}
	if len(gone) > 0 {
		expr += " REMOVE " + strings.Join(gone, ", ")
	}
	states := []order.State{order.Provisioned}
	if next.State.Open() {
		states = []order.State{order.Queued, order.Working, order.Waiting}
	}
	var in []string
	for _, state := range states {
		in = append(in, ":"+string(state))
		values[":"+string(state)] = text(string(state))
	}
	return &dynamodb.UpdateItemInput{
		TableName: aws.String(s.table), Key: attributes{attrPK: text(OrderKey(c.ID))},
		ConditionExpression: aws.String("#state IN (" + strings.Join(in, ", ") +
			") AND attribute_not_exists(#nonces.#n) AND size(#nonces) < :nonces AND size(#history) < :lines"),
		UpdateExpression: aws.String(expr), ExpressionAttributeNames: names, ExpressionAttributeValues: values,
		ReturnValues:                        types.ReturnValueAllNew,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}
}

func listOf(v types.AttributeValue) types.AttributeValue {
	return &types.AttributeValueMemberL{Value: []types.AttributeValue{v}}
}
