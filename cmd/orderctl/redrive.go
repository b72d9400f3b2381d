package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/store"
	"orderbridge/shared/writeback"
)

const (
	// receiveBatch is what one ReceiveMessage returns at most.
	receiveBatch = 10
	// hideFor keeps a message from a second redrive at the same time; one that
	// stays in the queue is given back at the end, or comes back after it.
	hideFor = 60 // seconds
	// writtenWithin is how much older than its place in the stream a change may
	// say that it is.
	writtenWithin = 5 * time.Minute
)

// deadLetterQueue is one of the two.
type deadLetterQueue struct {
	name, variable string
	what           string // a letter is
}

func deadLetterQueues() []deadLetterQueue {
	return []deadLetterQueue{
		{"statuspush", "STATUSPUSH_DEAD_LETTER_URL", "a status that Salesforce refused for good"},
		{"work", "WORK_DEAD_LETTER_URL", "a hint that failed five times"},
	}
}

// letter is a dead letter.
type letter struct {
	Queue   string `json:"queue"`
	ID      string `json:"order_id,omitempty"` // "" = it names no order
	Seq     int64  `json:"seq,omitempty"`
	Code    string `json:"error_code,omitempty"`
	Message string `json:"message,omitempty"`
	Problem string `json:"problem,omitempty"` // why it names no order

	id      order.ID
	givenUp time.Time // of the first record that the stream gave up; zero = none
	url     string
	receipt *string
	name    string // the message id
}

func (a *app) redriveCommand() *cobra.Command {
	var by, which string
	return a.verb(spec{
		group: groupMend, use: "redrive [--queue statuspush|work|all] [--by WHO]", short: "empty the dead-letter queues, once the cause is corrected",
		long:  "It shows the letters first (--dry-run: nothing else). A letter of statuspush pushes its\norder, or has what the stream gave up compared with Salesforce; a letter of work goes back\nto the work queue. It is deleted after that, never before.",
		needs: "TABLE_NAME, STATUSPUSH_DEAD_LETTER_URL, WORK_DEAD_LETTER_URL, WORK_QUEUE_URL", writes: true,
		examples: []string{"redrive --dry-run", "redrive --by ann", "redrive --queue work --by ann"},
		flags: func(flags *pflag.FlagSet) {
			flags.StringVar(&which, "queue", "all", "`NAME` of the queue: statuspush, work or all")
			flags.StringVar(&by, "by", "orderctl", usageBy)
		},
		check: func(args []string) error {
			if len(args) > 0 {
				return usagef("redrive takes no argument; one order is pushed by orderctl push ID")
			}
			if which != "all" && !slices.ContainsFunc(deadLetterQueues(), func(q deadLetterQueue) bool { return q.name == which }) {
				return usagef("--queue is statuspush, work or all, not %q", which)
			}
			return nil
		},
		do: func(ctx context.Context, _ []string) error { return a.redrive(ctx, which, by) },
	})
}

func (a *app) redrive(ctx context.Context, which, by string) error {
	var letters []letter
	for _, q := range deadLetterQueues() {
		if which != "all" && which != q.name {
			continue
		}
		url, err := a.setting(ctx, q.variable)
		if err != nil {
			return err
		}
		some, err := a.receive(ctx, q.name, url)
		letters = append(letters, some...)
		if err != nil {
			return a.giveBack(ctx, letters, err)
		}
	}
	if err := a.print(append([]letter{}, letters...), func(p *printer) { letterRows(p, letters) }); err != nil || len(letters) == 0 {
		return err
	}
	yes, err := a.write(ctx, fmt.Sprintf("redrive %d dead letters", len(letters)))
	if err != nil || !yes {
		return a.giveBack(ctx, letters, err)
	}
	return a.deliver(ctx, letters, by)
}

func letterRows(p *printer, letters []letter) {
	if len(letters) == 0 {
		fmt.Fprintln(p, "no dead letter")
		return
	}
	var rows [][]string
	for _, l := range letters {
		rows = append(rows, []string{dash(l.ID), l.Queue, dash(l.Code), oneLine(dash(l.Message + l.Problem))})
	}
	p.rows([]string{"ORDER", "QUEUE", "CODE", "MESSAGE"}, rows)
}

// receive takes every letter that is in a queue now, and hides it.
func (a *app) receive(ctx context.Context, name, url string) (all []letter, err error) {
	c, err := a.cloud(ctx)
	if err != nil {
		return nil, err
	}
	for {
		out, err := c.queues.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
			QueueUrl: aws.String(url), MaxNumberOfMessages: receiveBatch, VisibilityTimeout: hideFor, WaitTimeSeconds: 1,
		})
		if err != nil {
			return all, fmt.Errorf("receive dead letters of %s: %w", name, err)
		}
		if len(out.Messages) == 0 {
			return all, nil
		}
		for _, m := range out.Messages {
			l := readLetter(name, m)
			l.url, l.receipt, l.name = url, m.ReceiptHandle, aws.ToString(m.MessageId)
			all = append(all, l)
		}
	}
}

// readLetter reads a message: {"pk"} as the pipe and the clock write it, or what
// statuspush or its stream gave up.
func readLetter(queue string, m types.Message) letter {
	l := letter{Queue: queue}
	var hint struct {
		PK string `json:"pk"`
	}
	body := aws.ToString(m.Body)
	if err := json.Unmarshal([]byte(body), &hint); err == nil && hint.PK != "" {
		l.id, _ = store.OrderID(hint.PK)
		l.ID = l.id.String()
		return l
	}
	refused, givenUp, err := writeback.ReadLetter(body)
	switch {
	case err != nil:
		l.Problem = err.Error()
	case !givenUp.IsZero():
		l.givenUp = givenUp
		l.Message = "the stream gave up records since " + jsonTime(givenUp)
	default:
		l.id, l.ID, l.Seq, l.Code, l.Message = refused.ID, refused.ID.String(), int64(refused.Seq), string(refused.Code), refused.Message
	}
	return l
}

// giveBack shows letters to others again, and returns err.
func (a *app) giveBack(ctx context.Context, letters []letter, err error) error {
	for _, l := range letters {
		if _, failed := a.aws.queues.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{QueueUrl: aws.String(l.url), ReceiptHandle: l.receipt, VisibilityTimeout: 0}); failed != nil {
			fmt.Fprintf(a.err, "a letter of %s comes back after %d s\n", l.Queue, hideFor)
		}
	}
	return err
}

// deliver does what each letter asks for. A letter is deleted after that: an
// interruption pushes an order twice, which is harmless. What is pushed is the
// item as it is, never what the letter says of it.
func (a *app) deliver(ctx context.Context, letters []letter, by string) error {
	table, err := a.ledger(ctx)
	if err != nil {
		return a.giveBack(ctx, letters, err)
	}
	pushed, kept := map[order.ID]bool{}, 0
	for i, l := range letters {
		switch {
		case !l.givenUp.IsZero():
			err = a.reconcile(ctx, table, l.givenUp.Add(-writtenWithin), by)
		case l.id.IsZero():
			fmt.Fprintf(a.err, "message %s stays: %s\n", l.name, l.Problem)
			kept++
			continue
		case l.Queue == "work":
			err = a.hint(ctx, l.id)
		case !pushed[l.id]:
			err = a.push(ctx, table, l.id, by)
			if fault.CodeOf(err) == fault.OrderNotFound {
				fmt.Fprintf(a.err, "%s: forgotten since, nothing to push\n", l.id)
				err = nil
			}
			pushed[l.id] = true
		}
		if err == nil {
			_, err = a.aws.queues.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: aws.String(l.url), ReceiptHandle: l.receipt})
		}
		if err != nil {
			return a.giveBack(ctx, letters[i:], fmt.Errorf("redrive letter of %s: %w", l.id, err))
		}
	}
	fmt.Fprintf(a.err, "%d letters delivered\n", len(letters)-kept)
	if kept > 0 {
		return fmt.Errorf("%d messages stay in the queue: they name no order", kept)
	}
	return nil
}

// hint puts an order's key into the work queue again.
func (a *app) hint(ctx context.Context, id order.ID) error {
	url, err := a.setting(ctx, "WORK_QUEUE_URL")
	if err != nil {
		return err
	}
	body, err := json.Marshal(map[string]string{"pk": store.OrderKey(id)})
	if err != nil {
		return fmt.Errorf("write hint: %w", err)
	}
	_, err = a.aws.queues.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: aws.String(url), MessageBody: aws.String(string(body))})
	return err
}
