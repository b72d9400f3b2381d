// Package watch reads the stream of the Orders table of a running system and
// asks of every write whether it is a step of the protocol.
//
// The rule it keeps: it only reads. It must not miss a write: it begins at the
// oldest record and ends when it has read all.
package watch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"

	streamtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"orderbridge/shared/order"
	"orderbridge/shared/provision/provisiontest"
	"orderbridge/shared/store"
)

// pollEvery is how often the stream is read; it keeps records for a day.
const pollEvery = 200 * time.Millisecond

// Watcher reads one table's stream in the background.
type Watcher struct {
	client *dynamodbstreams.Client
	arn    *string
	steps  *provisiontest.Steps
	// next are the iterators of the shards that were seen; nil: read to the end.
	next map[string]*string

	stop   chan struct{}
	done   chan struct{}
	writes int
	wrong  []string
	failed error
}

// Start begins to read the stream of a table.
func Start(ctx context.Context, cfg aws.Config, table string) (*Watcher, error) {
	d, err := dynamodb.NewFromConfig(cfg).DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &table})
	if err != nil {
		return nil, fmt.Errorf("watch table %s: %w", table, err)
	}
	w := &Watcher{
		client: dynamodbstreams.NewFromConfig(cfg), arn: d.Table.LatestStreamArn, steps: provisiontest.NewSteps(),
		next: map[string]*string{}, stop: make(chan struct{}), done: make(chan struct{}),
	}
	go w.loop(context.WithoutCancel(ctx))
	return w, nil
}

// Stop reads what is left, and returns how many writes of orders were read and
// those that were no step. The error says that the stream could not be read.
func (w *Watcher) Stop() (writes int, wrong []string, err error) {
	close(w.stop)
	<-w.done
	return w.writes, w.wrong, w.failed
}

func (w *Watcher) loop(ctx context.Context) {
	defer close(w.done)
	for {
		last := false
		select {
		case <-w.stop:
			last = true
		case <-time.After(pollEvery):
		}
		for more := true; more; { // until the stream shows nothing new
			var err error
			more, err = w.poll(ctx)
			w.failed = err
		}
		if last {
			return
		}
	}
}

// poll reads each shard once; more says that there was something.
func (w *Watcher) poll(ctx context.Context) (more bool, err error) {
	d, err := w.client.DescribeStream(ctx, &dynamodbstreams.DescribeStreamInput{StreamArn: w.arn})
	if err != nil {
		return false, err
	}
	for _, s := range d.StreamDescription.Shards {
		if _, seen := w.next[*s.ShardId]; seen {
			continue
		}
		it, err := w.client.GetShardIterator(ctx, &dynamodbstreams.GetShardIteratorInput{StreamArn: w.arn, ShardId: s.ShardId, ShardIteratorType: types.ShardIteratorTypeTrimHorizon})
		if err != nil {
			return false, err
		}
		w.next[*s.ShardId] = it.ShardIterator
	}
	for shard, it := range w.next {
		if it == nil {
			continue
		}
		out, err := w.client.GetRecords(ctx, &dynamodbstreams.GetRecordsInput{ShardIterator: it})
		if err != nil {
			var expired *types.ExpiredIteratorException
			if errors.As(err, &expired) {
				delete(w.next, shard) // it begins anew; what was seen says nothing
			}
			return false, err
		}
		w.next[shard] = out.NextShardIterator
		for _, r := range out.Records {
			w.see(r)
		}
		more = more || len(out.Records) > 0
	}
	return more, nil
}

func (w *Watcher) see(r types.Record) {
	if r.EventName == types.OperationTypeRemove {
		return
	}
	item := make(map[string]streamtypes.AttributeValue, len(r.Dynamodb.NewImage))
	for name, v := range r.Dynamodb.NewImage {
		item[name] = plain(v)
	}
	rec, err := store.Decode(item)
	if err != nil || rec.ID.IsZero() {
		return // a control item
	}
	w.writes++
	if err := w.steps.Saw(rec, at(r)); err != nil {
		w.wrong = append(w.wrong, err.Error())
	}
}

func at(r types.Record) time.Time {
	if t := r.Dynamodb.ApproximateCreationDateTime; t != nil {
		return t.Add(time.Second) // it is cut to the second
	}
	return time.Time{}
}

// plain is a stream's value as the table's types have it.
func plain(v types.AttributeValue) streamtypes.AttributeValue {
	switch v := v.(type) {
	case *types.AttributeValueMemberN:
		return &streamtypes.AttributeValueMemberN{Value: v.Value}
	case *types.AttributeValueMemberS:
		return &streamtypes.AttributeValueMemberS{Value: v.Value}
	case *types.AttributeValueMemberBOOL:
		return &streamtypes.AttributeValueMemberBOOL{Value: v.Value}
	case *types.AttributeValueMemberL:
		l := make([]streamtypes.AttributeValue, len(v.Value))
		for i, e := range v.Value {
			l[i] = plain(e)
		}
		return &streamtypes.AttributeValueMemberL{Value: l}
	case *types.AttributeValueMemberM:
		m := make(map[string]streamtypes.AttributeValue, len(v.Value))
		for name, e := range v.Value {
			m[name] = plain(e)
		}
		return &streamtypes.AttributeValueMemberM{Value: m}
	}
	return &streamtypes.AttributeValueMemberNULL{Value: true}
}

// ID returns the order of a wrong step's text, for those who look it up.
func ID(wrong string) (order.ID, bool) {
	var id string
	if _, err := fmt.Sscanf(wrong, "order %18s", &id); err != nil {
		return order.ID{}, false
	}
	parsed, err := order.ParseID(id)
	return parsed, err == nil
}
