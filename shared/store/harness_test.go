package store_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	dynamo "orderbridge/local/dynamodb"
	"orderbridge/shared/lambdaenv"
	"orderbridge/shared/order"
	"orderbridge/shared/store"
)

// endpoint is one DynamoDB to test against.
type endpoint struct {
	name   string
	client *dynamodb.Client
	db     *dynamo.DB // nil: not the one of the local system
}

// embedded starts the DynamoDB of the local system.
func embedded(t *testing.T) endpoint {
	t.Helper()
	db := dynamo.New(dynamo.Options{SweepEvery: -1})
	server := httptest.NewServer(db)
	t.Cleanup(func() {
		server.Close()
		db.Close()
	})
	e := connect("embedded", server.URL)
	e.db = db
	return e
}

// endpoints returns the embedded DynamoDB, and those that STORE_ENDPOINTS names
// (name=url, comma separated).
func endpoints(t *testing.T) []endpoint {
	t.Helper()
	all := []endpoint{embedded(t)}
	for pair := range strings.SplitSeq(os.Getenv("STORE_ENDPOINTS"), ",") {
		if pair = strings.TrimSpace(pair); pair == "" {
			continue
		}
		name, url, ok := strings.Cut(pair, "=")
		if !ok || name == "" || url == "" {
			t.Fatalf("STORE_ENDPOINTS: %q is not name=url", pair)
		}
		all = append(all, connect(name, url))
	}
	return all
}

// connect makes a client that repeats a request whose answer was lost, as the
// functions' does, but is patient with a busy machine.
func connect(name, url string) endpoint {
	return endpoint{name: name, client: dynamodb.NewFromConfig(aws.Config{
		Region: "us-east-1",
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, nil
		}),
		BaseEndpoint: aws.String(url),
		HTTPClient:   lambdaenv.WholeBody(awshttp.NewBuildableClient().WithTimeout(30 * time.Second)),
		Retryer: func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) {
				o.MaxAttempts = 8
				o.MaxBackoff = 100 * time.Millisecond
				o.RateLimiter = noLimit{}
			})
		},
	})}
}

// noLimit lets a test with hundreds of calls at once retry each of them.
type noLimit struct{}

func (noLimit) GetToken(context.Context, uint) (func() error, error) {
	return func() error { return nil }, nil
}
func (noLimit) AddTokens(uint) error { return nil }

// table makes an empty table. Its name is random, so a table that is there or
// gone already was made or deleted by our own request, whose answer was lost.
func (e endpoint) table(t *testing.T) string {
	t.Helper()
	name := "orders-" + rand.Text()
	_, err := e.client.CreateTable(t.Context(), store.CreateTableInput(name))
	if there := new(types.ResourceInUseException); err != nil && !errors.As(err, &there) {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, err := e.client.DeleteTable(context.Background(), &dynamodb.DeleteTableInput{TableName: aws.String(name)})
		if gone := new(types.ResourceNotFoundException); err != nil && !errors.As(err, &gone) {
			t.Error(err)
		}
	})
	waiter := dynamodb.NewTableExistsWaiter(e.client, func(o *dynamodb.TableExistsWaiterOptions) { o.MinDelay = 10 * time.Millisecond })
	if err := waiter.Wait(t.Context(), &dynamodb.DescribeTableInput{TableName: aws.String(name)}, time.Minute); err != nil {
		t.Fatal(err)
	}
	return name
}

// open makes a store on an empty table of its own.
func (e endpoint) open(t *testing.T) (*store.Store, string) {
	t.Helper()
	name := e.table(t)
	return with(t, e.client, name), name
}

func with(t *testing.T, c store.Client, table string) *store.Store {
	t.Helper()
	s, err := store.New(c, table)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// item reads an order's item as it is stored.
func (e endpoint) item(t *testing.T, table string, id order.ID) map[string]types.AttributeValue {
	t.Helper()
	return e.get(t, table, "order#"+id.String())
}

// get reads an item as it is stored.
func (e endpoint) get(t *testing.T, table, pk string) map[string]types.AttributeValue {
	t.Helper()
	out, err := e.client.GetItem(t.Context(), &dynamodb.GetItemInput{
		TableName: aws.String(table), ConsistentRead: aws.Bool(true),
		Key: map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: pk}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.Item
}

// put stores an item as it is.
func (e endpoint) put(t *testing.T, table string, item map[string]types.AttributeValue) {
	t.Helper()
	if _, err := e.client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String(table), Item: item}); err != nil {
		t.Fatal(err)
	}
}

// spy passes calls on, records them, and lets a test step in.
type spy struct {
	store.Client
	mu    sync.Mutex
	calls []string
	// before a write; an error is its answer.
	before func(pk string) error
	// sent has every write that was passed on, to be sent again.
	sent []func(context.Context) error
	// twice sends every write that succeeded a second time, and gives back
	// the second answer: what the SDK does when the first was lost.
	twice bool
}

func (s *spy) count(call string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, call)
}

func (s *spy) keep(send func(context.Context) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent = append(s.sent, send)
}

func key(item map[string]types.AttributeValue) string {
	if pk, ok := item["pk"].(*types.AttributeValueMemberS); ok {
		return pk.Value
	}
	return ""
}

func (s *spy) PutItem(ctx context.Context, in *dynamodb.PutItemInput, o ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error) {
	s.count("PutItem")
	if s.before != nil {
		if err := s.before(key(in.Item)); err != nil {
			return nil, err
		}
	}
	out, err := s.Client.PutItem(ctx, in, o...)
	if err == nil && s.twice {
		out, err = s.Client.PutItem(ctx, in, o...)
	}
	s.keep(func(ctx context.Context) error { _, err := s.Client.PutItem(ctx, in); return err })
	return out, err
}

func (s *spy) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, o ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	s.count("UpdateItem")
	if s.before != nil {
		if err := s.before(key(in.Key)); err != nil {
			return nil, err
		}
	}
	out, err := s.Client.UpdateItem(ctx, in, o...)
	if err == nil && s.twice {
		out, err = s.Client.UpdateItem(ctx, in, o...)
	}
	s.keep(func(ctx context.Context) error { _, err := s.Client.UpdateItem(ctx, in); return err })
	return out, err
}

func (s *spy) GetItem(ctx context.Context, in *dynamodb.GetItemInput, o ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error) {
	s.count("GetItem")
	if !aws.ToBool(in.ConsistentRead) {
		return nil, errors.New("a read that may be stale")
	}
	return s.Client.GetItem(ctx, in, o...)
}

func (s *spy) Query(ctx context.Context, in *dynamodb.QueryInput, o ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	s.count("Query")
	return s.Client.Query(ctx, in, o...)
}

// took returns the calls since the last time.
func (s *spy) took() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := strings.Join(s.calls, " ")
	s.calls = nil
	return all
}

var epoch = time.Date(2026, 11, 24, 8, 0, 0, 123_000_000, time.UTC)

func id(t testing.TB, k int) order.ID {
	t.Helper()
	id, err := order.ParseID(fmt.Sprintf("801%012d", k))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func callout(id order.ID, n int, key string, now time.Time) order.Claim {
	return order.Claim{
		ID: id, Nonce: fmt.Sprintf("nonce-%06d-0123456789", n), NonceExpiry: now.Add(10 * time.Minute), Key: key,
		By: order.NewToken(), RequestedBy: "005000000000001AAA", Now: now,
	}
}
