package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// An item keeps the marks of its last writes: maxMarks random names of markLen
// hex digits. 48 bits tell a write from the few beside it, and each byte of an
// item is paid for by each of its writes. An SDK repeats a request within a
// second or two; of one order, fewer than maxMarks whole writes succeed in
// that time.
const (
	maxMarks = 4
	markLen  = 12
)

func newMark() order.Token { return order.NewToken()[:markLen] }

func addMark[T ~string](marks []T, mark order.Token) []T {
	return append(slices.Clone(marks[max(0, len(marks)-(maxMarks-1)):]), T(mark))
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
	v, err := decode(item)
	if err != nil {
		return image{}, err
	}
	r, _ := v.record()
	return image{r, v.Version > 0 && v.Keys != nil && v.Nonces != nil && v.History != nil &&
		len(v.Nonces) < order.MaxNonces && len(v.History) < maxLines}, nil
}

// change applies do to the order that the table holds, and writes what it
// returns, until no other write came in between. seen is the image to begin
// with. do is a pure method of order.Record; where it leaves the version alone
// there is nothing to write.
func (s *Store) change(ctx context.Context, doing string, seen image, write writer, do func(order.Record) (order.Record, error)) (order.Record, error) {
	mark := newMark()
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
	return s.put(ctx, doing, next, unmoved(!seen.ID.IsZero(), seen.Version))
}

// fenced is replace under the fence: also lease and state are as they were seen.
func (s *Store) fenced(ctx context.Context, doing string, seen image, next order.Record) (attributes, bool, error) {
	c := unmoved(true, seen.Version)
	c.expr += " AND #lease = :lease AND #state = :working"
	c.names["#lease"], c.names["#state"] = attrLease, attrState
	c.values[":lease"], c.values[":working"] = text(string(seen.Lease)), text(string(order.Working))
	return s.put(ctx, doing, next, c)
}

func (s *Store) put(ctx context.Context, doing string, next order.Record, c condition) (attributes, bool, error) {
	item, err := Encode(next)
	if err != nil {
		return nil, false, err
	}
	return s.putItem(ctx, doing, item, c)
}

// maxLines is the number of history lines from which a click does not commute
// any more: a whole write then trims the history to order.MaxHistory and the
// keys to order.MaxKeys. It leaves room for as many clicks at once as an order
// can remember.
const maxLines = order.MaxHistory + order.MaxNonces

// click records a callout on an open or provisioned order without a condition
// on the version, so that clicks commute with each other and with a worker's
// writes. It does what Record.Claim does, but for the trimming of keys and
// history. The limit of nonces is part of the condition, or a flood could pass
// it between image and write. Elsewhere click is replace.
func (s *Store) click(c order.Claim) writer {
	return func(ctx context.Context, doing string, seen image, next order.Record) (attributes, bool, error) {
		_, there := seen.Nonces[c.Nonce]
		if !seen.commutes || there || next.State != seen.State || next.State == order.Failed {
			return s.replace(ctx, doing, seen, next)
		}
		line := next.History[len(next.History)-1]
		return s.clickOpen(ctx, doing, c, seen, next, line)
	}
}

func (s *Store) clickOpen(ctx context.Context, doing string, c order.Claim, seen image, next order.Record, line order.Entry) (attributes, bool, error) {
	states := []order.State{order.Queued, order.Working, order.Waiting}
	if !seen.State.Open() {
		states = []order.State{seen.State}
	}
	nonce, err := marshal(nonceOf(next.Nonces[c.Nonce]))
	if err != nil {
		return nil, false, err
	}
	added, err := marshal(entryOf(line))
	if err != nil {
		return nil, false, err
	}
	in := &dynamodb.UpdateItemInput{
		TableName: aws.String(s.table), Key: attributes{attrPK: text(orderKey(c.ID))},
		ExpressionAttributeNames: map[string]string{
			"#state": attrState, "#nonces": attrNonces, "#n": c.Nonce, "#history": attrHistory, "#keys": attrKeys,
			"#version": attrVersion, "#signal": attrSignal,
		},
		ExpressionAttributeValues: attributes{
			":nonce": &types.AttributeValueMemberM{Value: nonce},
			":line":  &types.AttributeValueMemberL{Value: []types.AttributeValue{&types.AttributeValueMemberM{Value: added}}},
			":key":   &types.AttributeValueMemberL{Value: []types.AttributeValue{text(c.Key)}},
			":one":   number(1), ":signal": text(string(next.Signal)),
			":nonces": number(order.MaxNonces), ":lines": number(maxLines),
		},
		ReturnValues:                        types.ReturnValueAllNew,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}
	var is string
	for i, state := range states {
		name := ":state" + strconv.Itoa(i)
		in.ExpressionAttributeValues[name] = text(string(state))
		if is += name; i < len(states)-1 {
			is += ", "
		}
	}
	in.ConditionExpression = aws.String("#state IN (" + is + ") AND attribute_not_exists(#nonces.#n) AND size(#nonces) < :nonces AND size(#history) < :lines")
	expr := "SET #nonces.#n = :nonce, #history = list_append(#history, :line), #keys = list_append(#keys, :key), #version = #version + :one, #signal = :signal"
	if c.AccountID != "" {
		expr += ", #account = if_not_exists(#account, :account)"
		in.ExpressionAttributeNames["#account"], in.ExpressionAttributeValues[":account"] = attrAccountID, text(c.AccountID)
	}
	before := " REMOVE "
	for i, n := range slices.Sorted(maps.Keys(seen.Nonces)) {
		if _, kept := next.Nonces[n]; kept {
			continue
		}
		name := "#gone" + strconv.Itoa(i)
		expr, before = expr+before+"#nonces."+name, ", "
		in.ExpressionAttributeNames[name] = n
	}
	in.UpdateExpression = aws.String(expr)
	out, err := s.client.UpdateItem(ctx, in)
	if err != nil {
		return failure(doing, err)
	}
	return out.Attributes, true, nil
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

func (s *Store) putItem(ctx context.Context, doing string, item attributes, c condition) (attributes, bool, error) {
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

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func number(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
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
	r, err := s.change(ctx, "record callout of order "+c.ID.String(), image{}, s.click(c), func(r order.Record) (next order.Record, err error) {
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
	return s.readAndChange(ctx, "lease order", id, l.Check(), func(r order.Record) (order.Record, error) { return r.TakeLease(l) })
}

// Write makes one transition under the fence: Record.Step. It begins with
// step.From, which must be what the table returned last; where a callout or a
// note came in between, the same transition is made on the fresh image.
// Errors: lease_lost; store_unavailable: it may have been written;
// internal_error for a step that order.Step.Check refuses.
func (s *Store) Write(ctx context.Context, step order.Step) (order.Record, error) {
	return s.change(ctx, "write order "+step.From.ID.String(), image{Record: step.From}, s.fenced,
		func(r order.Record) (order.Record, error) { return r.Step(step) })
}

// Resolve carries out what a person decided about a failed order:
// Record.Resolve. An order that was worked on, reopened or resolved between
// the read and the write is not what the person saw.
// Errors: order_not_found; state_changed; store_unavailable; internal_error.
func (s *Store) Resolve(ctx context.Context, d order.Resolution) (order.Record, error) {
	var first *order.Record
	return s.readAndChange(ctx, "resolve order", d.ID, d.Check(), func(r order.Record) (order.Record, error) {
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
	_, err := s.readAndChange(ctx, "note on order", id, nil, func(r order.Record) (order.Record, error) { return r.Note(e) })
	return err
}

// Bump makes Salesforce hear of an order again: Record.Bump.
// Errors: order_not_found; store_unavailable; internal_error.
func (s *Store) Bump(ctx context.Context, id order.ID, atLeast order.Seq, now time.Time, e order.Entry) (order.Record, error) {
	return s.readAndChange(ctx, "bump order", id, nil, func(r order.Record) (order.Record, error) { return r.Bump(atLeast, now, e) })
}

// readAndChange is change on the order as it is read first.
func (s *Store) readAndChange(ctx context.Context, doing string, id order.ID, refused error, do func(order.Record) (order.Record, error)) (order.Record, error) {
	doing += " " + id.String()
	if refused != nil {
		return order.Record{}, fmt.Errorf("%s: %w", doing, refused)
	}
	seen, err := s.read(ctx, id)
	if err != nil {
		return order.Record{}, err
	}
	return s.change(ctx, doing, seen, s.replace, do)
}
