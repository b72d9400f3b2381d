package eventsource_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	lambdaevents "github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"

	dynamo "orderbridge/local/dynamodb"
	mapping "orderbridge/local/eventsource"
	queue "orderbridge/local/sqs"
)

// table is a table with a stream, on the embedded DynamoDB.
func table(t *testing.T) (*dynamodb.Client, *dynamodbstreams.Client, *dynamo.DB) {
	t.Helper()
	db := dynamo.New(dynamo.Options{})
	t.Cleanup(db.Close)
	srv := httptest.NewServer(db)
	t.Cleanup(srv.Close)
	cfg := aws.Config{Region: "us-east-1", BaseEndpoint: &srv.URL, Credentials: credentials.NewStaticCredentialsProvider("local", "local", "")}
	c := dynamodb.NewFromConfig(cfg)
	_, err := c.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: aws.String("Orders"), BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("pk"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("pk"), KeyType: types.KeyTypeHash}},
		StreamSpecification:  &types.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: types.StreamViewTypeNewImage},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c, dynamodbstreams.NewFromConfig(cfg), db
}

func put(t *testing.T, c *dynamodb.Client, pk, wrote string) {
	t.Helper()
	_, err := c.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String("Orders"), Item: map[string]types.AttributeValue{
		"pk": &types.AttributeValueMemberS{Value: pk}, "signal": &types.AttributeValueMemberS{Value: wrote},
		"seq": &types.AttributeValueMemberN{Value: "12"}, "keys": &types.AttributeValueMemberL{Value: []types.AttributeValue{&types.AttributeValueMemberS{Value: "k"}}},
		"nonces": &types.AttributeValueMemberM{Value: map[string]types.AttributeValue{"n": &types.AttributeValueMemberN{Value: "1"}}},
		"yes":    &types.AttributeValueMemberBOOL{Value: true}, "null": &types.AttributeValueMemberNULL{Value: true},
	}})
	if err != nil {
		t.Fatal(err)
	}
}

// function is a fake function; do decides what it answers.
type function struct {
	mu    sync.Mutex
	calls []string
	do    func(call int, event []byte) ([]byte, error)
	came  chan struct{}
}

func newFunction(do func(int, []byte) ([]byte, error)) *function {
	return &function{do: do, came: make(chan struct{}, 1000)}
}

func (f *function) Invoke(_ context.Context, _ string, event []byte) ([]byte, error) {
	f.mu.Lock()
	f.calls = append(f.calls, string(event))
	n := len(f.calls)
	f.mu.Unlock()
	defer func() { f.came <- struct{}{} }()
	if f.do == nil {
		return []byte("null"), nil
	}
	return f.do(n, event)
}

func (f *function) wait(t *testing.T, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for range n {
		select {
		case <-f.came:
		case <-ctx.Done():
			t.Fatalf("%d calls, want %d more", len(f.calls), n)
		}
	}
}

// follow runs a stream until the test ends.
func follow(t *testing.T, s *mapping.Stream, p mapping.Policy, d mapping.Deliver) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	wait.Go(func() {
		if err := s.Run(ctx, p, d); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); wait.Wait() })
}

func TestFunctionSeesTheRecordsOfTheStream(t *testing.T) {
	c, streams, db := table(t)
	put(t, c, "order#1", "queued")
	f := newFunction(nil)
	follow(t, &mapping.Stream{Client: streams, Table: "Orders", Wake: db.Changed, Logf: t.Logf},
		mapping.Policy{Filters: []string{`{"dynamodb":{"NewImage":{"signal":{"S":["queued"]}}}}`}, BatchSize: 10, MaxRetries: -1, MaxAge: -1},
		mapping.ToFunction(f, "statuspush", &mapping.Hints{}))
	f.wait(t, 1) // written before the mapping was there: TRIM_HORIZON
	put(t, c, "order#2", "lease")
	put(t, c, "order#3", "queued")
	f.wait(t, 1)
	var e lambdaevents.DynamoDBEvent
	if err := json.Unmarshal([]byte(f.calls[1]), &e); err != nil {
		t.Fatal(err)
	}
	if len(e.Records) != 1 {
		t.Fatalf("%d records, want the one that the filter lets through", len(e.Records))
	}
	r := e.Records[0]
	if r.EventName != "INSERT" || r.EventSource != "aws:dynamodb" || r.Change.Keys["pk"].String() != "order#3" || r.Change.SequenceNumber == "" ||
		r.Change.NewImage["seq"].Number() != "12" || r.Change.NewImage["nonces"].Map()["n"].Number() != "1" ||
		r.Change.NewImage["keys"].List()[0].String() != "k" || !r.Change.NewImage["yes"].Boolean() ||
		time.Since(r.Change.ApproximateCreationDateTime.Time) > time.Hour || r.EventSourceArn == "" {
		t.Errorf("record %+v", r)
	}
}

func TestPollingWorksWithoutAWakeUp(t *testing.T) {
	c, streams, _ := table(t)
	f := newFunction(nil)
	follow(t, &mapping.Stream{Client: streams, Table: "Orders", Logf: t.Logf}, mapping.Policy{BatchSize: 10, MaxRetries: -1, MaxAge: -1},
		mapping.ToFunction(f, "x", &mapping.Hints{}))
	put(t, c, "order#1", "queued")
	f.wait(t, 1)
}

func TestReportedRecordsComeAgainAndTheRestDoesNot(t *testing.T) {
	c, streams, db := table(t)
	for i := range 4 {
		put(t, c, fmt.Sprintf("order#%d", i), "queued")
	}
	keysOf := func(event []byte) (keys, sequences []string) {
		var e lambdaevents.DynamoDBEvent
		if err := json.Unmarshal(event, &e); err != nil {
			t.Error(err)
		}
		for _, r := range e.Records {
			keys, sequences = append(keys, r.Change.Keys["pk"].String()), append(sequences, r.Change.SequenceNumber)
		}
		return keys, sequences
	}
	f := newFunction(func(call int, event []byte) ([]byte, error) {
		if call == 1 {
			_, seq := keysOf(event)
			return json.Marshal(map[string]any{"batchItemFailures": []any{map[string]string{"itemIdentifier": seq[2]}}})
		}
		return []byte(`{"batchItemFailures":[]}`), nil
	})
	follow(t, &mapping.Stream{Client: streams, Table: "Orders", Wake: db.Changed, Logf: t.Logf},
		mapping.Policy{BatchSize: 10, MaxRetries: -1, MaxAge: -1, ReportPartial: true}, mapping.ToFunction(f, "x", &mapping.Hints{}))
	f.wait(t, 2)
	if keys, _ := keysOf([]byte(f.calls[1])); !slices.Equal(keys, []string{"order#2", "order#3"}) {
		t.Errorf("second call had %v", keys)
	}
}

func TestGivenUpRecordsAreToldOf(t *testing.T) {
	c, streams, db := table(t)
	put(t, c, "order#1", "queued")
	said := make(chan string, 10)
	f := newFunction(func(int, []byte) ([]byte, error) { return nil, errors.New("no") })
	follow(t, &mapping.Stream{Client: streams, Table: "Orders", Wake: db.Changed, Logf: func(format string, args ...any) { said <- fmt.Sprintf(format, args...) }},
		mapping.Policy{BatchSize: 10, MaxRetries: 0, MaxAge: -1}, mapping.ToFunction(f, "x", &mapping.Hints{}))
	if got := <-said; !strings.HasPrefix(got, "1 records given up (RetryAttemptsExhausted), 1") {
		t.Errorf("said %q", got)
	}
}

func TestPipeCopiesKeysAndHintsCanBeUnreliable(t *testing.T) {
	c, streams, db := table(t)
	q := queue.New().Add(queue.Settings{Name: "work"})
	input, err := mapping.ParseTemplate(`{"pk": "<$.dynamodb.Keys.pk.S>"}`)
	if err != nil {
		t.Fatal(err)
	}
	hints := &mapping.Hints{}
	copied := make(chan string, 10)
	toQueue := mapping.ToQueue(q, input, hints)
	follow(t, &mapping.Stream{Client: streams, Table: "Orders", Wake: db.Changed, Logf: t.Logf},
		mapping.Policy{BatchSize: 1, MaxRetries: -1, MaxAge: -1}, func(ctx context.Context, batch []mapping.Record) ([]string, error) {
			failed, err := toQueue(ctx, batch)
			copied <- batch[0].Sequence
			return failed, err
		})
	take := func() string {
		t.Helper()
		got := q.Receive(t.Context(), 1, 30*time.Second, -1)
		if len(got) != 1 {
			t.Fatal("no message")
		}
		q.Delete(got[0].Receipt)
		return got[0].Body
	}
	put(t, c, "order#1", "queued")
	if body := take(); body != `{"pk": "order#1"}` {
		t.Errorf("message %s", body)
	}
	if err := hints.Set(mapping.HintSettings{Doubled: 1}); err != nil {
		t.Fatal(err)
	}
	put(t, c, "order#2", "queued")
	if first, second := take(), take(); first != second || first != `{"pk": "order#2"}` {
		t.Errorf("messages %s, %s", first, second)
	}
	if err := hints.Set(mapping.HintSettings{Lost: 1}); err != nil {
		t.Fatal(err)
	}
	put(t, c, "order#3", "queued")
	put(t, c, "order#4", "queued")
	for range 4 { // the two before, and the two that are lost
		<-copied
	}
	if err := hints.Set(mapping.HintSettings{}); err != nil {
		t.Fatal(err)
	}
	put(t, c, "order#5", "queued")
	if body := take(); body != `{"pk": "order#5"}` {
		t.Errorf("message %s", body)
	}
}
