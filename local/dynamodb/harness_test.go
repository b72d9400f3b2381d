package dynamodb_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	streamtypes "github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	dynamo "orderbridge/local/dynamodb"
)

type (
	values = map[string]types.AttributeValue
	names  = map[string]string
)

// must ends a test whose setting fails.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func s(v string) types.AttributeValue { return &types.AttributeValueMemberS{Value: v} }

func n(v string) types.AttributeValue { return &types.AttributeValueMemberN{Value: v} }

func yes(v bool) types.AttributeValue { return &types.AttributeValueMemberBOOL{Value: v} }

func null() types.AttributeValue { return &types.AttributeValueMemberNULL{Value: true} }

func l(v ...types.AttributeValue) types.AttributeValue {
	if v == nil {
		v = []types.AttributeValue{}
	}
	return &types.AttributeValueMemberL{Value: v}
}

func m(v values) types.AttributeValue { return &types.AttributeValueMemberM{Value: v} }

// clock is a clock that tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// rig is a DB behind HTTP with the real clients before it.
type rig struct {
	*testing.T
	ctx     context.Context
	db      *dynamo.DB
	clock   *clock
	url     string
	client  *dynamodb.Client
	streams *dynamodbstreams.Client
}

// start makes a rig whose clients make no second attempt.
func start(t *testing.T) *rig {
	t.Helper()
	c := newClock()
	db := dynamo.New(dynamo.Options{Now: c.now, SweepEvery: -1})
	t.Cleanup(db.Close)
	srv := httptest.NewServer(db)
	t.Cleanup(srv.Close)
	cfg := aws.Config{BaseEndpoint: &srv.URL, Region: "eu-central-1", Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
		Retryer: func() aws.Retryer { return aws.NopRetryer{} }, HTTPClient: srv.Client()}
	return &rig{t, t.Context(), db, c, srv.URL, dynamodb.NewFromConfig(cfg), dynamodbstreams.NewFromConfig(cfg)}
}

// orders makes the table as the product has it: one key, a sparse KEYS_ONLY
// index, a stream of new images.
func (r *rig) orders() *rig {
	r.Helper()
	r.calls([3]string{"CreateTable", `{"TableName":"Orders","BillingMode":"PAY_PER_REQUEST","KeySchema":[{"AttributeName":"pk","KeyType":"HASH"}],
		"AttributeDefinitions":[{"AttributeName":"pk","AttributeType":"S"},{"AttributeName":"due_shard","AttributeType":"S"},{"AttributeName":"due_at","AttributeType":"N"}],
		"GlobalSecondaryIndexes":[{"IndexName":"due","KeySchema":[{"AttributeName":"due_shard","KeyType":"HASH"},{"AttributeName":"due_at","KeyType":"RANGE"}],"Projection":{"ProjectionType":"KEYS_ONLY"}}],
		"StreamSpecification":{"StreamEnabled":true,"StreamViewType":"NEW_IMAGE"}}`, `"TableStatus":"CREATING"`})
	return r
}

// put writes an item into Orders.
func (r *rig) put(item values) {
	r.Helper()
	must(r.client.PutItem(r.ctx, &dynamodb.PutItemInput{TableName: aws.String("Orders"), Item: item}))
}

// get reads an item of Orders; nil if there is none.
func (r *rig) get(pk string) values {
	r.Helper()
	out := must(r.client.GetItem(r.ctx, &dynamodb.GetItemInput{TableName: aws.String("Orders"), Key: values{"pk": s(pk)}, ConsistentRead: aws.Bool(true)}))
	return out.Item
}

// aliased puts a placeholder for each bare name of an expression, and returns
// the names, and of the values those that the expression has.
func aliased(expression string, all values) (string, names, values) {
	n, v := names{}, values{}
	out := regexp.MustCompile(`[#:]?\w+( *\()?`).ReplaceAllStringFunc(expression, func(word string) string {
		switch strings.ToUpper(word) {
		case "SET", "REMOVE", "ADD", "DELETE", "AND", "OR", "NOT", "IN", "BETWEEN", "AND (", "OR (", "NOT (", "IN (":
			return word
		}
		switch {
		case strings.HasPrefix(word, ":"):
			if value, ok := all[word]; ok {
				v[word] = value
			}
			return word
		case strings.HasSuffix(word, "("), strings.HasPrefix(word, "#"), word[0] <= '9':
			return word
		}
		n["#"+word] = word
		return "#" + word
	})
	if len(n) == 0 {
		n = nil
	}
	if len(v) == 0 {
		v = nil
	}
	return out, n, v
}

// update runs an update expression on an item of Orders.
func (r *rig) update(pk, expression string, v values) (*dynamodb.UpdateItemOutput, error) {
	expression, n, v := aliased(expression, v)
	return r.client.UpdateItem(r.ctx, &dynamodb.UpdateItemInput{
		TableName: aws.String("Orders"), Key: values{"pk": s(pk)}, UpdateExpression: &expression,
		ExpressionAttributeNames: n, ExpressionAttributeValues: v, ReturnValues: types.ReturnValueAllNew,
	})
}

func (r *rig) mustUpdate(pk, expression string, v values) values {
	r.Helper()
	out := must(r.update(pk, expression, v))
	return out.Attributes
}

// wantError checks code and message of a service error.
func wantError(t *testing.T, err error, code, message string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) {
		t.Fatalf("got %v, want %s", err, code)
	}
	if api.ErrorCode() != code || !strings.Contains(api.ErrorMessage(), message) {
		t.Fatalf("got %s: %q\nwant %s: %q", api.ErrorCode(), api.ErrorMessage(), code, message)
	}
}

func wantInvalid(t *testing.T, err error, message string) {
	t.Helper()
	wantError(t, err, "ValidationException", message)
}

var noState = cmp.Options{
	cmpopts.IgnoreUnexported(types.AttributeValueMemberS{}, types.AttributeValueMemberN{}, types.AttributeValueMemberBOOL{},
		types.AttributeValueMemberNULL{}, types.AttributeValueMemberL{}, types.AttributeValueMemberM{},
		streamtypes.AttributeValueMemberS{}, streamtypes.AttributeValueMemberN{}, streamtypes.AttributeValueMemberM{}),
	cmpopts.EquateEmpty(),
}

func wantItem(t *testing.T, got, want values) {
	t.Helper()
	if d := cmp.Diff(want, got, noState...); d != "" {
		t.Fatalf("item (-want +got):\n%s", d)
	}
}
