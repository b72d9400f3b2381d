package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"orderbridge/shared/order"
	"orderbridge/shared/store"
)

// sqsAPI is what the clock needs of SQS.
type sqsAPI interface {
	GetQueueAttributes(context.Context, *sqs.GetQueueAttributesInput, ...func(*sqs.Options)) (*sqs.GetQueueAttributesOutput, error)
	SendMessageBatch(context.Context, *sqs.SendMessageBatchInput, ...func(*sqs.Options)) (*sqs.SendMessageBatchOutput, error)
}

// queue is Work as the clock sees it.
type queue struct {
	client sqsAPI
	url    string
}

// maxBatch is the most messages one call takes (SQS quotas, "Batched message").
const maxBatch = 10

// Waiting returns the approximate number of messages that no worker has taken.
func (q *queue) Waiting(ctx context.Context) (int, error) {
	out, err := q.client.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl:       aws.String(q.url),
		AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameApproximateNumberOfMessages},
	})
	if err != nil {
		return 0, fmt.Errorf("read queue attributes: %w", err)
	}
	n, err := strconv.Atoi(out.Attributes[string(types.QueueAttributeNameApproximateNumberOfMessages)])
	if err != nil {
		return 0, fmt.Errorf("read queue attributes: %w", err)
	}
	return n, nil
}

// Send adds a hint per order. What the queue refuses comes with the next tick.
func (q *queue) Send(ctx context.Context, ids []order.ID) error {
	for some := range slices.Chunk(ids, maxBatch) {
		in := &sqs.SendMessageBatchInput{QueueUrl: aws.String(q.url)}
		for i, id := range some {
			body, err := json.Marshal(hint{PK: store.OrderKey(id)})
			if err != nil {
				return fmt.Errorf("write hint: %w", err)
			}
			in.Entries = append(in.Entries, types.SendMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), MessageBody: aws.String(string(body))})
		}
		if _, err := q.client.SendMessageBatch(ctx, in); err != nil {
			return fmt.Errorf("send hints: %w", err)
		}
	}
	return nil
}
