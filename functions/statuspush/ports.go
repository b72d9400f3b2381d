package main

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"orderbridge/shared/fault"
	"orderbridge/shared/writeback"
)

// queue is the one call of SQS that is made.
type queue interface {
	SendMessage(context.Context, *sqs.SendMessageInput, ...func(*sqs.Options)) (*sqs.SendMessageOutput, error)
}

type deadLetters struct {
	queue queue
	url   string
}

// Send implements writeback.DeadLetters.
func (d deadLetters) Send(ctx context.Context, l writeback.Letter) error {
	body, err := l.Encode()
	if err != nil {
		return err
	}
	if _, err := d.queue.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: aws.String(d.url), MessageBody: aws.String(body)}); err != nil {
		return fault.Wrap(fault.StoreUnavailable, fmt.Errorf("send dead letter: %w", err))
	}
	return nil
}
