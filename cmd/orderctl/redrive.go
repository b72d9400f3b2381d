package main

import (
	"context"
	"flag"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/writeback"
)

const (
	// receiveBatch is what one ReceiveMessage returns at most.
	receiveBatch = 10
	// hideFor keeps a message from a second redrive at the same time; one that
	// could not be pushed comes back after it.
	hideFor = 60 // seconds
	// writtenWithin is how much older than its place in the stream a change may
	// say that it is.
	writtenWithin = 5 * time.Minute
)

// queue is the dead-letter queue as redrive needs it.
type queue interface {
	ReceiveMessage(ctx context.Context, in *sqs.ReceiveMessageInput, options ...func(*sqs.Options)) (*sqs.ReceiveMessageOutput, error)
	DeleteMessage(ctx context.Context, in *sqs.DeleteMessageInput, options ...func(*sqs.Options)) (*sqs.DeleteMessageOutput, error)
}

func redriveCommand() command {
	return command{
		name:     "redrive",
		synopsis: "[--by WHO]",
		summary:  "push every order whose status Salesforce refused, once the cause is corrected; what the stream gave up is compared with Salesforce",
		needs:    "TABLE_NAME, STATUSPUSH_DEAD_LETTER_URL",
		examples: []string{"redrive --by ann"},
		setup: func(flags *flag.FlagSet) action {
			by := flags.String("by", "orderctl", usageBy)
			return func(ctx context.Context, c console, args []string) error {
				if len(args) > 0 {
					return usagef("redrive takes no argument; one order is pushed by orderctl push ID")
				}
				url, err := c.setting("STATUSPUSH_DEAD_LETTER_URL", "the dead letters of statuspush")
				if err != nil {
					return err
				}
				table, err := c.ledger(ctx)
				if err != nil {
					return err
				}
				letters, err := c.letters(ctx)
				if err != nil {
					return err
				}
				return redrive(ctx, c, table, letters, url, *by)
			}
		},
	}
}

// redrive empties the queue. A message that names an order pushes it; one that
// says that the stream gave up records has all changes since compared. A message is deleted after its order was pushed,
// never before: an interruption pushes an order twice, which is harmless. What
// is pushed is the item as it is, never what the message says of it.
func redrive(ctx context.Context, c console, table ledger, letters queue, url, by string) error {
	read, kept := 0, 0
	seen := map[order.ID]bool{}
	for {
		out, err := letters.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
			QueueUrl: aws.String(url), MaxNumberOfMessages: receiveBatch, VisibilityTimeout: hideFor, WaitTimeSeconds: 1,
		})
		if err != nil {
			return fault.Wrap(fault.StoreUnavailable, fmt.Errorf("receive dead letters: %w", err))
		}
		if len(out.Messages) == 0 {
			break
		}
		read += len(out.Messages)
		for _, m := range out.Messages {
			letter, givenUp, err := writeback.ReadLetter(aws.ToString(m.Body))
			if err != nil {
				fmt.Fprintf(c.err, "message %s stays: %v\n", aws.ToString(m.MessageId), err)
				kept++
				continue
			}
			id := letter.ID
			if !givenUp.IsZero() {
				if err := reconcile(ctx, c, table, givenUp.Add(-writtenWithin), by); err != nil {
					return err
				}
			} else if !seen[id] {
				err := push(ctx, c, table, id, by)
				if fault.CodeOf(err) == fault.OrderNotFound {
					fmt.Fprintf(c.out, "%s: forgotten since, nothing to push\n", id)
				} else if err != nil {
					return err
				}
				seen[id] = true
			}
			if _, err := letters.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: aws.String(url), ReceiptHandle: m.ReceiptHandle}); err != nil {
				return fault.Wrap(fault.StoreUnavailable, fmt.Errorf("delete dead letter: %w", err))
			}
		}
	}
	fmt.Fprintf(c.out, "%d orders pushed, %d messages read\n", len(seen), read)
	if kept > 0 {
		return fmt.Errorf("%d messages stay in the queue: they name no order", kept)
	}
	return nil
}
