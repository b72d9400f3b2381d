package eventsource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
)

const (
	// pollEvery is how often a quiet shard is read. The service reads four
	// times a second; one machine wants to be quicker.
	pollEvery = 25 * time.Millisecond
	// discoverEvery is how often new shards are looked for.
	discoverEvery = 5 * time.Second
	// readAtOnce is the most records of one read (GetRecords' own limit).
	readAtOnce = 1000
)

// Stream reads the stream of one table.
type Stream struct {
	Client *dynamodbstreams.Client
	Table  string
	// Wake returns a channel that is closed by the next record, where the
	// table can say so; nil = the shards are polled.
	Wake func() <-chan struct{}
	// GivenUp, if not nil, is told of records that are given up, as the service
	// tells an on-failure destination that is a queue: where they are in the
	// stream, never what they hold.
	GivenUp func(message string)
	Logf    func(format string, args ...any)
}

// Run reads every shard, parents before children, and delivers by the policy.
// It returns when ctx ends.
func (s *Stream) Run(ctx context.Context, policy Policy, deliver Deliver) error {
	filter, err := ParseFilter(policy.Filters)
	if err != nil {
		return err
	}
	var (
		wait    sync.WaitGroup
		mu      sync.Mutex
		started = map[string]bool{}
		ended   = map[string]bool{}
		done    = make(chan struct{}, 1)
	)
	defer wait.Wait()
	for ctx.Err() == nil {
		arn, shards, err := s.discover(ctx)
		if err != nil {
			if ctx.Err() == nil {
				s.Logf("find the stream of %s: %v", s.Table, err)
			}
			pause(ctx, time.Second, nil)
			continue
		}
		known := map[string]bool{}
		for _, sh := range shards {
			known[aws.ToString(sh.ShardId)] = true
		}
		for _, sh := range shards {
			id, parent := aws.ToString(sh.ShardId), aws.ToString(sh.ParentShardId)
			mu.Lock()
			ready := !started[id] && (parent == "" || !known[parent] || ended[parent])
			if ready {
				started[id] = true
			}
			mu.Unlock()
			if !ready {
				continue
			}
			b := &batcher{policy: policy, filter: filter, deliver: deliver, logf: s.Logf,
				discard: func(batch []Record, why string) { s.discard(arn, id, batch, why) }}
			wait.Go(func() {
				s.shard(ctx, arn, id, b)
				mu.Lock()
				ended[id] = true
				mu.Unlock()
				select {
				case done <- struct{}{}:
				default:
				}
			})
		}
		pause(ctx, discoverEvery, done)
	}
	return nil
}

func (s *Stream) discover(ctx context.Context) (arn string, shards []types.Shard, err error) {
	list, err := s.Client.ListStreams(ctx, &dynamodbstreams.ListStreamsInput{TableName: &s.Table})
	if err != nil {
		return "", nil, fmt.Errorf("list streams: %w", err)
	}
	// A table that was made again has an old stream too; the newest label wins.
	var newest string
	for _, st := range list.Streams {
		if label := aws.ToString(st.StreamLabel); label >= newest {
			newest, arn = label, aws.ToString(st.StreamArn)
		}
	}
	if arn == "" {
		return "", nil, errors.New("the table has no stream")
	}
	in := &dynamodbstreams.DescribeStreamInput{StreamArn: &arn}
	for {
		out, err := s.Client.DescribeStream(ctx, in)
		if err != nil {
			return "", nil, fmt.Errorf("describe stream: %w", err)
		}
		shards = append(shards, out.StreamDescription.Shards...)
		if in.ExclusiveStartShardId = out.StreamDescription.LastEvaluatedShardId; in.ExclusiveStartShardId == nil {
			return arn, shards, nil
		}
	}
}

// discard tells of records that are given up. The message has the members that
// a reader needs of the service's (Lambda Developer Guide, "Retain discarded
// batches for a DynamoDB Streams event source").
func (s *Stream) discard(arn, shard string, batch []Record, why string) {
	first, last := batch[0], batch[len(batch)-1]
	s.Logf("%d records given up (%s), %s to %s", len(batch), why, first.Sequence, last.Sequence)
	if s.GivenUp == nil {
		return
	}
	message, err := json.Marshal(map[string]any{
		"requestContext": map[string]any{"condition": why},
		"version":        "1.0", "timestamp": time.Now().UTC().Format("2006-01-02T15:04:05.000Z"),
		"DDBStreamBatchInfo": map[string]any{
			"shardId": shard, "startSequenceNumber": first.Sequence, "endSequenceNumber": last.Sequence,
			"approximateArrivalOfFirstRecord": first.Created.UTC().Format(time.RFC3339), "approximateArrivalOfLastRecord": last.Created.UTC().Format(time.RFC3339),
			"batchSize": len(batch), "streamArn": arn,
		},
	})
	if err != nil {
		panic(err) // texts and numbers alone
	}
	s.GivenUp(string(message))
}

// shard reads one shard to its end, or until ctx ends.
func (s *Stream) shard(ctx context.Context, arn, id string, b *batcher) {
	position := dynamodbstreams.GetShardIteratorInput{StreamArn: &arn, ShardId: &id, ShardIteratorType: types.ShardIteratorTypeTrimHorizon}
	var iterator *string
	for ctx.Err() == nil {
		if iterator == nil {
			out, err := s.Client.GetShardIterator(ctx, &position)
			if err != nil {
				s.recover(ctx, &position, err)
				continue
			}
			iterator = out.ShardIterator
		}
		var wake <-chan struct{}
		if s.Wake != nil {
			wake = s.Wake() // before the read, so that nothing slips through
		}
		out, err := s.Client.GetRecords(ctx, &dynamodbstreams.GetRecordsInput{ShardIterator: iterator, Limit: aws.Int32(readAtOnce)})
		if err != nil {
			iterator = nil
			s.recover(ctx, &position, err)
			continue
		}
		iterator = out.NextShardIterator
		if n := len(out.Records); n > 0 {
			position.ShardIteratorType = types.ShardIteratorTypeAfterSequenceNumber
			position.SequenceNumber = out.Records[n-1].Dynamodb.SequenceNumber
		}
		records := make([]Record, 0, len(out.Records))
		for _, r := range out.Records {
			records = append(records, s.record(arn, r))
		}
		b.add(records)
		b.flush(ctx)
		if iterator == nil {
			s.drain(ctx, b)
			return
		}
		if len(out.Records) > 0 {
			continue
		}
		idle := pollEvery
		if wake != nil {
			idle = time.Second
		}
		if d, any := b.wait(); any {
			idle = min(idle, max(d, time.Millisecond))
		}
		pause(ctx, idle, wake)
	}
}

// drain delivers what the window still held back when the shard ended.
func (s *Stream) drain(ctx context.Context, b *batcher) {
	for ctx.Err() == nil {
		d, any := b.wait()
		if !any {
			return
		}
		pause(ctx, d, nil)
		b.flush(ctx)
	}
}

// recover decides where to go on after a read that failed.
func (s *Stream) recover(ctx context.Context, position *dynamodbstreams.GetShardIteratorInput, err error) {
	if ctx.Err() != nil {
		return
	}
	var expired *types.ExpiredIteratorException
	var trimmed *types.TrimmedDataAccessException
	switch {
	case errors.As(err, &expired):
		return
	case errors.As(err, &trimmed):
		position.ShardIteratorType, position.SequenceNumber = types.ShardIteratorTypeTrimHorizon, nil
		return
	}
	s.Logf("read the stream of %s: %v", s.Table, err)
	pause(ctx, time.Second, nil)
}

// record turns what the SDK read into what a function sees.
func (s *Stream) record(arn string, r types.Record) Record {
	change := map[string]any{
		"Keys":           attributes(r.Dynamodb.Keys),
		"SequenceNumber": aws.ToString(r.Dynamodb.SequenceNumber),
		"SizeBytes":      aws.ToInt64(r.Dynamodb.SizeBytes),
		"StreamViewType": string(r.Dynamodb.StreamViewType),
	}
	created := time.Now()
	if r.Dynamodb.ApproximateCreationDateTime != nil {
		created = *r.Dynamodb.ApproximateCreationDateTime
		change["ApproximateCreationDateTime"] = created.Unix()
	}
	if r.Dynamodb.NewImage != nil {
		change["NewImage"] = attributes(r.Dynamodb.NewImage)
	}
	if r.Dynamodb.OldImage != nil {
		change["OldImage"] = attributes(r.Dynamodb.OldImage)
	}
	event := map[string]any{
		"eventID": aws.ToString(r.EventID), "eventName": string(r.EventName), "eventVersion": "1.1", "eventSource": "aws:dynamodb",
		"awsRegion": aws.ToString(r.AwsRegion), "dynamodb": change, "eventSourceARN": arn,
	}
	if r.UserIdentity != nil {
		event["userIdentity"] = map[string]any{"principalId": aws.ToString(r.UserIdentity.PrincipalId), "type": aws.ToString(r.UserIdentity.Type)}
	}
	return Record{Event: event, Sequence: aws.ToString(r.Dynamodb.SequenceNumber), Created: created}
}

func attributes(all map[string]types.AttributeValue) map[string]any {
	out := map[string]any{}
	for k, v := range all {
		out[k] = attribute(v)
	}
	return out
}

// attribute writes a value in DynamoDB's JSON.
func attribute(v types.AttributeValue) map[string]any {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return map[string]any{"S": v.Value}
	case *types.AttributeValueMemberN:
		return map[string]any{"N": v.Value}
	case *types.AttributeValueMemberBOOL:
		return map[string]any{"BOOL": v.Value}
	case *types.AttributeValueMemberNULL:
		return map[string]any{"NULL": v.Value}
	case *types.AttributeValueMemberM:
		return map[string]any{"M": attributes(v.Value)}
	case *types.AttributeValueMemberL:
		list := []any{}
		for _, e := range v.Value {
			list = append(list, attribute(e))
		}
		return map[string]any{"L": list}
	}
	return map[string]any{"unsupported": fmt.Sprintf("%T", v)} // sets and binary values: no writer of the table has them
}
