package sqs_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"

	queue "orderbridge/local/sqs"
)

func bodies(got []queue.Message) (all []string) {
	for _, m := range got {
		all = append(all, m.Body)
	}
	return all
}

func TestReceivedMessagesAreHiddenForTheirTimeOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := queue.New("r").Add(queue.Settings{Name: "q", Visibility: time.Minute})
		q.Send("a", nil, -1)
		first := q.Receive(t.Context(), 10, 0, -1)
		if len(first) != 1 || first[0].Receives != 1 {
			t.Fatalf("first receive %+v", first)
		}
		if again := q.Receive(t.Context(), 10, 0, -1); len(again) != 0 {
			t.Errorf("a hidden message came: %v", bodies(again))
		}
		began := time.Now()
		second := q.Receive(t.Context(), 10, 2*time.Minute, -1)
		if len(second) != 1 || second[0].Receives != 2 || time.Since(began) != time.Minute || second[0].Receipt == first[0].Receipt {
			t.Errorf("second receive %+v after %v", second, time.Since(began))
		}
		q.Delete(first[0].Receipt) // an old handle deletes nothing
		if c := q.Counts(); c.InFlight != 1 {
			t.Errorf("counts %+v", c)
		}
		q.Delete(second[0].Receipt)
		if c := q.Counts(); c != (queue.Counts{}) {
			t.Errorf("counts %+v", c)
		}
	})
}

func TestDelayAndChangedVisibility(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := queue.New("r").Add(queue.Settings{Name: "q", Visibility: time.Minute, Delay: 5 * time.Second})
		q.Send("late", nil, -1)
		q.Send("at once", nil, 0)
		if c := q.Counts(); c != (queue.Counts{Visible: 1, Delayed: 1}) {
			t.Errorf("counts %+v", c)
		}
		got := q.Receive(t.Context(), 10, 0, -1)
		if !slices.Equal(bodies(got), []string{"at once"}) {
			t.Fatalf("received %v", bodies(got))
		}
		began := time.Now()
		if late := q.Receive(t.Context(), 10, time.Minute, -1); !slices.Equal(bodies(late), []string{"late"}) || time.Since(began) != 5*time.Second {
			t.Errorf("received %v after %v", bodies(late), time.Since(began))
		}
		if !q.ChangeVisibility(got[0].Receipt, 0) {
			t.Error("the message is not in flight")
		}
		if back := q.Receive(t.Context(), 1, 0, -1); !slices.Equal(bodies(back), []string{"at once"}) {
			t.Errorf("received %v", bodies(back))
		}
		if q.ChangeVisibility(got[0].Receipt, 0) {
			t.Error("an old handle changed something")
		}
	})
}

func TestLongPollIsWokenByASend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := queue.New("r").Add(queue.Settings{Name: "q"})
		done := make(chan []queue.Message, 1)
		go func() { done <- q.Receive(t.Context(), 1, 20*time.Second, -1) }()
		time.Sleep(3 * time.Second)
		began := time.Now()
		q.Send("a", nil, -1)
		if got := <-done; len(got) != 1 || time.Since(began) != 0 {
			t.Errorf("received %v after %v", bodies(got), time.Since(began))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if got := q.Receive(ctx, 1, 20*time.Second, -1); len(got) != 0 || time.Since(began) != 0 {
			t.Error("a receive that was called off waited")
		}
	})
}

func TestRetentionEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := queue.New("r").Add(queue.Settings{Name: "q", Retention: time.Hour})
		q.Send("a", nil, -1)
		time.Sleep(time.Hour + time.Second)
		if got := q.Receive(t.Context(), 1, 0, -1); len(got) != 0 {
			t.Error("an expired message came")
		}
	})
}

func TestTooOftenReceivedGoesToTheDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := queue.New("r")
		dead := s.Add(queue.Settings{Name: "dead", ARN: "arn:dead"})
		q := s.Add(queue.Settings{Name: "q", Visibility: time.Minute, DeadLetterARN: "arn:dead", MaxReceives: 2})
		q.Send("poison", nil, -1)
		for range 2 {
			if got := q.Receive(t.Context(), 1, time.Hour, -1); len(got) != 1 {
				t.Fatal("not received")
			}
		}
		if got := q.Receive(t.Context(), 1, time.Hour, -1); len(got) != 0 {
			t.Error("received a third time")
		}
		if got := dead.Receive(t.Context(), 1, 0, -1); !slices.Equal(bodies(got), []string{"poison"}) {
			t.Errorf("dead letters %v", bodies(got))
		}
	})
}

func client(t *testing.T) *sqs.Client {
	t.Helper()
	s := queue.New("us-east-1")
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	for _, name := range []string{"Dead", "Work"} {
		set := queue.Settings{Name: name, URL: srv.URL + "/000000000000/" + name, ARN: "arn:aws:sqs:us-east-1:000000000000:" + name, Visibility: time.Minute}
		if name == "Work" {
			set.DeadLetterARN, set.MaxReceives = "arn:aws:sqs:us-east-1:000000000000:Dead", 5
		}
		s.Add(set)
	}
	return sqs.NewFromConfig(aws.Config{Region: "us-east-1", BaseEndpoint: &srv.URL, Credentials: credentials.NewStaticCredentialsProvider("local", "local", "")})
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	var e smithy.APIError
	if !errors.As(err, &e) || e.ErrorCode() != code {
		t.Errorf("error %v, want code %s", err, code)
	}
}

func TestSDKSendsReceivesAndDeletes(t *testing.T) {
	c, ctx := client(t), t.Context()
	u, err := c.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: aws.String("Work")})
	if err != nil {
		t.Fatal(err)
	}
	// The SDK compares the digests of bodies by itself.
	sent, err := c.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: u.QueueUrl, MessageBody: aws.String(`{"pk":"order#ü"}`),
		MessageAttributes: map[string]types.MessageAttributeValue{"seq": {DataType: aws.String("Number"), StringValue: aws.String("12")}, "raw": {DataType: aws.String("Binary"), BinaryValue: []byte{1}}}})
	if err != nil {
		t.Fatal(err)
	}
	batch, err := c.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{QueueUrl: u.QueueUrl, Entries: []types.SendMessageBatchRequestEntry{
		{Id: aws.String("1"), MessageBody: aws.String("one")}, {Id: aws.String("2"), MessageBody: aws.String("two"), DelaySeconds: 900}, {Id: aws.String("3"), MessageBody: aws.String("bad"), DelaySeconds: 901}}})
	if err != nil || len(batch.Successful) != 2 || len(batch.Failed) != 1 || aws.ToString(batch.Failed[0].Id) != "3" {
		t.Fatalf("batch %+v, %v", batch, err)
	}
	got, err := c.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: u.QueueUrl, MaxNumberOfMessages: 10, MessageAttributeNames: []string{"All"}, MessageSystemAttributeNames: []types.MessageSystemAttributeName{"All"}})
	if err != nil || len(got.Messages) != 2 {
		t.Fatalf("received %+v, %v", got, err)
	}
	m := got.Messages[0]
	if aws.ToString(m.Body) != `{"pk":"order#ü"}` || aws.ToString(m.MessageId) != aws.ToString(sent.MessageId) || m.Attributes["ApproximateReceiveCount"] != "1" ||
		aws.ToString(m.MessageAttributes["seq"].StringValue) != "12" || !slices.Equal(m.MessageAttributes["raw"].BinaryValue, []byte{1}) || aws.ToString(m.MD5OfMessageAttributes) != aws.ToString(sent.MD5OfMessageAttributes) {
		t.Errorf("message %+v", m)
	}
	attrs, err := c.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: u.QueueUrl, AttributeNames: []types.QueueAttributeName{"All"}})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"ApproximateNumberOfMessages": "0", "ApproximateNumberOfMessagesNotVisible": "2", "ApproximateNumberOfMessagesDelayed": "1", "VisibilityTimeout": "60",
		"RedrivePolicy": `{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:Dead","maxReceiveCount":5}`} {
		if attrs.Attributes[name] != want {
			t.Errorf("%s: %q, want %q", name, attrs.Attributes[name], want)
		}
	}
	if _, err := c.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{QueueUrl: u.QueueUrl, ReceiptHandle: m.ReceiptHandle, VisibilityTimeout: 0}); err != nil {
		t.Error(err)
	}
	if again, err := c.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: u.QueueUrl}); err != nil || len(again.Messages) != 1 {
		t.Errorf("after a change to 0: %+v, %v", again, err)
	} else {
		m = again.Messages[0]
	}
	if _, err := c.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: u.QueueUrl, ReceiptHandle: m.ReceiptHandle}); err != nil {
		t.Error(err)
	}
	if out, err := c.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{QueueUrl: u.QueueUrl, Entries: []types.DeleteMessageBatchRequestEntry{{Id: aws.String("1"), ReceiptHandle: got.Messages[1].ReceiptHandle}}}); err != nil || len(out.Successful) != 1 {
		t.Errorf("delete batch %+v, %v", out, err)
	}
	if _, err := c.PurgeQueue(ctx, &sqs.PurgeQueueInput{QueueUrl: u.QueueUrl}); err != nil {
		t.Error(err)
	}
	few, err := c.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: u.QueueUrl, AttributeNames: []types.QueueAttributeName{"ApproximateNumberOfMessagesDelayed"}})
	if err != nil || len(few.Attributes) != 1 || few.Attributes["ApproximateNumberOfMessagesDelayed"] != "0" {
		t.Errorf("attributes %+v, %v", few, err)
	}
	if list, err := c.ListQueues(ctx, &sqs.ListQueuesInput{QueueNamePrefix: aws.String("W")}); err != nil || !slices.Equal(list.QueueUrls, []string{*u.QueueUrl}) {
		t.Errorf("queues %+v, %v", list, err)
	}
}

func TestSDKSeesTheServicesErrors(t *testing.T) {
	c, ctx := client(t), t.Context()
	u, err := c.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: aws.String("Work")})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: aws.String(*u.QueueUrl + "x"), MessageBody: aws.String("a")})
	wantCode(t, err, "AWS.SimpleQueueService.NonExistentQueue")
	var gone *types.QueueDoesNotExist
	if !errors.As(err, &gone) {
		t.Errorf("error %T is not typed", err)
	}
	_, err = c.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: aws.String("Nobody")})
	wantCode(t, err, "AWS.SimpleQueueService.NonExistentQueue")
	_, err = c.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: u.QueueUrl, MaxNumberOfMessages: 11})
	wantCode(t, err, "InvalidParameterValue")
	_, err = c.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: u.QueueUrl, WaitTimeSeconds: 21})
	wantCode(t, err, "InvalidParameterValue")
	_, err = c.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: u.QueueUrl, MessageBody: aws.String(strings.Repeat("x", 1<<20+1))})
	wantCode(t, err, "InvalidParameterValue")
	_, err = c.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{QueueUrl: u.QueueUrl, ReceiptHandle: aws.String("x"), VisibilityTimeout: 1})
	wantCode(t, err, "AWS.SimpleQueueService.MessageNotInflight")
	var entries []types.SendMessageBatchRequestEntry
	for i := range 11 {
		entries = append(entries, types.SendMessageBatchRequestEntry{Id: aws.String(fmt.Sprint(i)), MessageBody: aws.String("a")})
	}
	_, err = c.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{QueueUrl: u.QueueUrl, Entries: entries})
	wantCode(t, err, "AWS.SimpleQueueService.TooManyEntriesInBatchRequest")
	entries[1].Id = entries[0].Id
	_, err = c.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{QueueUrl: u.QueueUrl, Entries: entries[:2]})
	wantCode(t, err, "AWS.SimpleQueueService.BatchEntryIdsNotDistinct")
	_, err = c.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: u.QueueUrl, AttributeNames: []types.QueueAttributeName{"Nonsense"}})
	wantCode(t, err, "InvalidAttributeName")
	_, err = c.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String("x")})
	wantCode(t, err, "InvalidAction")
}
