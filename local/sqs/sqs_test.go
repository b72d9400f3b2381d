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
		q := queue.New().Add(queue.Settings{Name: "q", Visibility: time.Minute})
		q.Send("a", 0)
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

func TestDelayAndVisibility(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := queue.New().Add(queue.Settings{Name: "q", Visibility: time.Minute})
		q.Send("late", 5*time.Second)
		q.Send("at once", 0)
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
		if back := q.Receive(t.Context(), 1, time.Minute, 0); !slices.Equal(bodies(back), []string{"at once"}) || back[0].Receipt == got[0].Receipt {
			t.Errorf("received %v", bodies(back))
		}
		if again := q.Receive(t.Context(), 1, 0, -1); !slices.Equal(bodies(again), []string{"at once"}) {
			t.Errorf("a message received for 0 s is hidden: %v", bodies(again))
		}
	})
}

func TestLongPollIsWokenByASend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := queue.New().Add(queue.Settings{Name: "q"})
		done := make(chan []queue.Message, 1)
		go func() { done <- q.Receive(t.Context(), 1, 20*time.Second, -1) }()
		time.Sleep(3 * time.Second)
		began := time.Now()
		q.Send("a", 0)
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
		q := queue.New().Add(queue.Settings{Name: "q", Retention: time.Hour})
		q.Send("a", 0)
		time.Sleep(time.Hour + time.Second)
		if got := q.Receive(t.Context(), 1, 0, -1); len(got) != 0 {
			t.Error("an expired message came")
		}
	})
}

func TestTooOftenReceivedGoesToTheDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := queue.New()
		dead := s.Add(queue.Settings{Name: "dead", ARN: "arn:dead"})
		q := s.Add(queue.Settings{Name: "q", Visibility: time.Minute, DeadLetterARN: "arn:dead", MaxReceives: 2})
		q.Send("poison", 0)
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

// client returns the SDK's client and the URL of the queue Work.
func client(t *testing.T) (*sqs.Client, *string) {
	t.Helper()
	s := queue.New()
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	for _, name := range []string{"Dead", "Work"} {
		set := queue.Settings{Name: name, URL: srv.URL + "/000000000000/" + name, ARN: "arn:aws:sqs:us-east-1:000000000000:" + name, Visibility: time.Minute}
		if name == "Work" {
			set.DeadLetterARN, set.MaxReceives = "arn:aws:sqs:us-east-1:000000000000:Dead", 5
		}
		s.Add(set)
	}
	return sqs.NewFromConfig(aws.Config{Region: "us-east-1", BaseEndpoint: &srv.URL, Credentials: credentials.NewStaticCredentialsProvider("local", "local", "")}), aws.String(srv.URL + "/000000000000/Work")
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	var e smithy.APIError
	if !errors.As(err, &e) || e.ErrorCode() != code {
		t.Errorf("error %v, want code %s", err, code)
	}
}

func TestSDKSendsReceivesAndDeletes(t *testing.T) {
	c, url := client(t)
	ctx := t.Context()
	// The SDK compares the digests of bodies by itself.
	sent, err := c.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: url, MessageBody: aws.String(`{"pk":"order#ü"}`)})
	if err != nil {
		t.Fatal(err)
	}
	batch, err := c.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{QueueUrl: url, Entries: []types.SendMessageBatchRequestEntry{
		{Id: aws.String("1"), MessageBody: aws.String("one")}, {Id: aws.String("2"), MessageBody: aws.String("two"), DelaySeconds: 900}, {Id: aws.String("3"), MessageBody: aws.String("bad"), DelaySeconds: 901}}})
	if err != nil || len(batch.Successful) != 2 || len(batch.Failed) != 1 || aws.ToString(batch.Failed[0].Id) != "3" {
		t.Fatalf("batch %+v, %v", batch, err)
	}
	got, err := c.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: url, MaxNumberOfMessages: 10, MessageSystemAttributeNames: []types.MessageSystemAttributeName{"All"}})
	if err != nil || len(got.Messages) != 2 {
		t.Fatalf("received %+v, %v", got, err)
	}
	m := got.Messages[0]
	if aws.ToString(m.Body) != `{"pk":"order#ü"}` || aws.ToString(m.MessageId) != aws.ToString(sent.MessageId) || m.Attributes["ApproximateReceiveCount"] != "1" {
		t.Errorf("message %+v", m)
	}
	attrs, err := c.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: url, AttributeNames: []types.QueueAttributeName{"All"}})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"ApproximateNumberOfMessages": "0", "ApproximateNumberOfMessagesNotVisible": "2", "ApproximateNumberOfMessagesDelayed": "1", "VisibilityTimeout": "60",
		"RedrivePolicy": `{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:Dead","maxReceiveCount":5}`} {
		if attrs.Attributes[name] != want {
			t.Errorf("%s: %q, want %q", name, attrs.Attributes[name], want)
		}
	}
	if _, err := c.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: url, ReceiptHandle: m.ReceiptHandle}); err != nil {
		t.Error(err)
	}
	few, err := c.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: url, AttributeNames: []types.QueueAttributeName{"ApproximateNumberOfMessagesDelayed"}})
	if err != nil || len(few.Attributes) != 1 || few.Attributes["ApproximateNumberOfMessagesDelayed"] != "1" {
		t.Errorf("attributes %+v, %v", few, err)
	}
}

func TestSDKShowsAHiddenMessageAgain(t *testing.T) {
	c, url := client(t)
	ctx := t.Context()
	if _, err := c.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: url, MessageBody: aws.String("one")}); err != nil {
		t.Fatal(err)
	}
	receive := func() []types.Message {
		got, err := c.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: url, VisibilityTimeout: 600})
		if err != nil {
			t.Fatal(err)
		}
		return got.Messages
	}
	first := receive()
	if len(first) != 1 || len(receive()) != 0 {
		t.Fatalf("received %+v", first)
	}
	if _, err := c.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{QueueUrl: url, ReceiptHandle: first[0].ReceiptHandle, VisibilityTimeout: 0}); err != nil {
		t.Fatal(err)
	}
	if second := receive(); len(second) != 1 || aws.ToString(second[0].Body) != "one" {
		t.Errorf("shown again: %+v", second)
	}
}

func TestSDKSeesTheServicesErrors(t *testing.T) {
	c, url := client(t)
	ctx := t.Context()
	_, err := c.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: aws.String(*url + "x"), MessageBody: aws.String("a")})
	wantCode(t, err, "AWS.SimpleQueueService.NonExistentQueue")
	var gone *types.QueueDoesNotExist
	if !errors.As(err, &gone) {
		t.Errorf("error %T is not typed", err)
	}
	_, err = c.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: url, MaxNumberOfMessages: 11})
	wantCode(t, err, "InvalidParameterValue")
	_, err = c.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: url, WaitTimeSeconds: 21})
	wantCode(t, err, "InvalidParameterValue")
	_, err = c.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: url, MessageBody: aws.String(strings.Repeat("x", 1<<20+1))})
	wantCode(t, err, "InvalidParameterValue")
	_, err = c.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: url, MessageBody: aws.String("a"), MessageAttributes: map[string]types.MessageAttributeValue{"a": {DataType: aws.String("String"), StringValue: aws.String("b")}}})
	wantCode(t, err, "UnsupportedOperation")
	var entries []types.SendMessageBatchRequestEntry
	for i := range 11 {
		entries = append(entries, types.SendMessageBatchRequestEntry{Id: aws.String(fmt.Sprint(i)), MessageBody: aws.String("a")})
	}
	_, err = c.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{QueueUrl: url, Entries: entries})
	wantCode(t, err, "AWS.SimpleQueueService.TooManyEntriesInBatchRequest")
	entries[1].Id = entries[0].Id
	_, err = c.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{QueueUrl: url, Entries: entries[:2]})
	wantCode(t, err, "AWS.SimpleQueueService.BatchEntryIdsNotDistinct")
	_, err = c.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: url, AttributeNames: []types.QueueAttributeName{"Nonsense"}})
	wantCode(t, err, "InvalidAttributeName")
	_, err = c.PurgeQueue(ctx, &sqs.PurgeQueueInput{QueueUrl: url})
	wantCode(t, err, "UnknownOperationException")
}

func TestTheAgeIsThatOfTheOldestMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := queue.New().Add(queue.Settings{Name: "q", Visibility: time.Minute})
		if age := q.Age(); age != 0 {
			t.Errorf("an empty queue is %v old", age)
		}
		q.Send("a", 0)
		time.Sleep(10 * time.Second)
		q.Send("b", 0)
		time.Sleep(5 * time.Second)
		first := q.Receive(t.Context(), 1, 0, -1)
		if age := q.Age(); age != 15*time.Second {
			t.Errorf("the age is %v, though a message in work counts", age)
		}
		q.Delete(first[0].Receipt)
		if age := q.Age(); age != 5*time.Second {
			t.Errorf("the age is %v after the oldest is gone", age)
		}
	})
}
