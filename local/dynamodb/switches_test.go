package dynamodb_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	dynamo "orderbridge/local/dynamodb"
)

// retrying makes the clients try again at once.
func (r *rig) retrying() *rig {
	o := r.client.Options()
	o.Retryer = retry.NewStandard(func(s *retry.StandardOptions) {
		s.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
	})
	r.client = dynamodb.New(o)
	return r
}

func (r *rig) insert(pk string) error {
	_, err := r.client.PutItem(r.ctx, &dynamodb.PutItemInput{TableName: aws.String("Orders"), Item: values{"pk": s(pk)}, ConditionExpression: aws.String("attribute_not_exists(pk)")})
	return err
}

// lost stands for a request that got no answer.
const lost = "lost"

// Each rule arms faults and then inserts items one after the other: the error's
// code (empty: none) and whether the item is there afterwards.
func TestFaultsDoWhatTheySay(t *testing.T) {
	const exceeded, internal, conflict = "ProvisionedThroughputExceededException", "InternalServerError", "ConditionalCheckFailedException"
	put := func(times int) dynamo.Fault { return dynamo.Fault{Op: "PutItem", Times: times} }
	type insert struct {
		pk, want string
		there    bool
	}
	for rule, c := range map[string]struct {
		retrying bool // the client tries again at once
		arm      func(*dynamo.Switches)
		inserts  []insert
	}{
		"throttling writes nothing":                {false, func(s *dynamo.Switches) { s.Throttle(put(1)) }, []insert{{"1", exceeded, false}, {"1", "", true}}},
		"throttling has two names":                 {false, func(s *dynamo.Switches) { s.Throttle(dynamo.Fault{Op: "*", Times: 1, Error: "ThrottlingException"}) }, []insert{{"1", "ThrottlingException", false}}},
		"the SDK gets through a throttling":        {true, func(s *dynamo.Switches) { s.Throttle(put(1)) }, []insert{{"1", "", true}}},
		"the SDK gets through a server error":      {true, func(s *dynamo.Switches) { s.ServerError(put(1)) }, []insert{{"1", "", true}}},
		"a server error writes nothing":            {true, func(s *dynamo.Switches) { s.ServerError(put(3)) }, []insert{{"1", internal, false}}},
		"a reply is lost after the commit":         {false, func(s *dynamo.Switches) { s.LoseReply(put(1)) }, []insert{{"1", lost, true}}},
		"the SDK's retry meets its own write":      {true, func(s *dynamo.Switches) { s.LoseReply(put(1)) }, []insert{{"1", conflict, true}}},
		"a request is lost before the commit":      {false, func(s *dynamo.Switches) { s.LoseRequest(put(1)) }, []insert{{"1", lost, false}, {"1", "", true}}},
		"a fault hits what it matches":             {false, func(s *dynamo.Switches) { s.LoseRequest(dynamo.Fault{Op: "PutItem", Times: 1, Match: `"2"`}) }, []insert{{"1", "", true}, {"2", lost, false}}},
		"a reply is not lost with a refused write": {false, func(s *dynamo.Switches) { s.LoseReply(dynamo.Fault{Op: "PutItem", Times: 2}) }, []insert{{"1", lost, true}, {"1", conflict, true}, {"2", lost, true}, {"3", "", true}}},
	} {
		t.Run(rule, func(t *testing.T) {
			r := start(t).orders()
			if c.retrying {
				r.retrying()
			}
			c.arm(r.db.Switches())
			for _, in := range c.inserts {
				err := r.insert(in.pk)
				got := ""
				if api := smithy.APIError(nil); errors.As(err, &api) {
					got = api.ErrorCode()
				} else if err != nil {
					got = lost
				}
				there := r.get(in.pk) != nil
				if got != in.want || there != in.there {
					t.Errorf("insert %s: %q, there %v; want %+v (%v)", in.pk, got, there, in, err)
				}
			}
		})
	}
}

// The header goes out with the throttling that asks for it, and no other.
func TestAThrottledAnswerSaysWhenToComeBack(t *testing.T) {
	r := start(t).orders()
	r.db.Switches().Throttle(dynamo.Fault{Op: "PutItem", Times: 1, RetryAfterMs: 1500})
	r.db.Switches().Throttle(dynamo.Fault{Op: "PutItem", Times: 1})
	for _, want := range []string{"1500", ""} {
		err := r.insert("1")
		wantError(t, err, "ProvisionedThroughputExceededException", "")
		var response *awshttp.ResponseError
		if !errors.As(err, &response) || response.Response.Header.Get("X-Amz-Retry-After") != want {
			t.Errorf("%v: headers %v, want %q", err, response.Response.Header, want)
		}
	}
}

// post sends a request without a network, for tests under virtual time.
func post(db *dynamo.DB, target, body string) *httptest.ResponseRecorder {
	req := httptest.NewRequest("POST", "/", strings.NewReader(body))
	req.Header.Set("X-Amz-Target", target)
	req.Header.Set("Authorization", "AWS4-")
	rec := httptest.NewRecorder()
	db.ServeHTTP(rec, req)
	return rec
}

func TestLatencyDelaysAnswersAndEndsWithTheDB(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := dynamo.New(dynamo.Options{})
		db.Switches().Set(func(s *dynamo.Settings) { s.Latency = 3 * time.Second })
		call := func() *httptest.ResponseRecorder { return post(db, "DynamoDBStreams_20120810.ListStreams", "{}") }
		began := time.Now()
		if rec := call(); rec.Code != 200 || time.Since(began) != 3*time.Second {
			t.Fatalf("%d after %v", rec.Code, time.Since(began))
		}
		gone := make(chan any)
		go func() {
			defer func() { gone <- recover() }()
			call()
		}()
		synctest.Wait()
		db.Close()
		db.Close()
		if v := <-gone; v != http.ErrAbortHandler {
			t.Fatalf("the request ended with %v", v)
		}
	})
}

func TestTheBackgroundSweepRunsAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := dynamo.New(dynamo.Options{SweepEvery: 2 * time.Second})
		for _, c := range [][2]string{
			{"CreateTable", `{"TableName":"Orders","BillingMode":"PAY_PER_REQUEST","AttributeDefinitions":[{"AttributeName":"pk","AttributeType":"S"}],
			"KeySchema":[{"AttributeName":"pk","KeyType":"HASH"}],"StreamSpecification":{"StreamEnabled":true,"StreamViewType":"NEW_IMAGE"}}`},
			{"UpdateTimeToLive", `{"TableName":"Orders","TimeToLiveSpecification":{"AttributeName":"t","Enabled":true}}`},
			{"PutItem", `{"TableName":"Orders","Item":{"pk":{"S":"1"},"t":{"N":"946684801"}}}`}, // the bubble begins at 946684800
		} {
			if rec := post(db, "DynamoDB_20120810."+c[0], c[1]); rec.Code != 200 {
				t.Fatal(rec.Body)
			}
		}
		changed := db.Changed()
		<-changed
		db.Close()
	})
}

func (r *rig) control(method, body string) (int, dynamo.State, string) {
	r.Helper()
	rec := httptest.NewRecorder()
	r.db.Control().ServeHTTP(rec, httptest.NewRequest(method, "/_local/dynamo", strings.NewReader(body)))
	var state dynamo.State
	if rec.Code == 200 {
		dec := json.NewDecoder(bytes.NewReader(rec.Body.Bytes()))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&state); err != nil {
			r.Fatal(err)
		}
	}
	return rec.Code, state, rec.Body.String()
}

func TestTheControlRoute(t *testing.T) {
	r := start(t).orders()
	code, state, _ := r.control("POST", `{"indexLagMs":1500,"staleIndex":true,"latencyMs":0,"ttl":false,"throttle":{"op":"UpdateItem","times":3,"retryAfterMs":5000},
		"loseReply":{"op":"PutItem","times":1,"match":"order#8"},"serverError":{"op":"*","times":2},"loseRequest":{"op":"GetRecords","times":1}}`)
	if code != 200 || state.IndexLagMs != 1500 || !state.StaleIndex || state.TTL || state.LatencyMs != 0 {
		t.Fatalf("%d %+v", code, state)
	}
	for name, got := range map[string]struct{ got, want []dynamo.Fault }{
		"throttle":    {state.Throttle, []dynamo.Fault{{Op: "UpdateItem", Times: 3, RetryAfterMs: 5000}}},
		"loseReply":   {state.LoseReply, []dynamo.Fault{{Op: "PutItem", Times: 1, Match: "order#8"}}},
		"serverError": {state.ServerError, []dynamo.Fault{{Op: "*", Times: 2}}},
		"loseRequest": {state.LoseRequest, []dynamo.Fault{{Op: "GetRecords", Times: 1}}},
	} {
		if !slices.Equal(got.got, got.want) {
			t.Errorf("%s: %+v, want %+v", name, got.got, got.want)
		}
	}
	// What is absent stays; times 0 takes away.
	code, state, _ = r.control("POST", `{"staleIndex":false,"throttle":{"op":"UpdateItem","times":0}}`)
	if code != 200 || state.IndexLagMs != 1500 || state.StaleIndex || len(state.Throttle) != 0 || len(state.LoseReply) != 1 {
		t.Fatalf("%d %+v", code, state)
	}
	if code, state, _ = r.control("DELETE", ""); code != 200 || state.IndexLagMs != 0 || !state.TTL || len(state.LoseReply) != 0 {
		t.Fatalf("%d %+v", code, state)
	}
	r.put(values{"pk": s("1")})
	if code, state, _ = r.control("GET", ""); code != 200 || state.Consumed["Orders"].WriteUnits != 1 || state.Consumed["Orders"].Operations["PutItem"].Calls != 1 {
		t.Fatalf("%d %+v", code, state)
	}
	if code, state, _ = r.control("POST", `{"resetConsumed":true,"sweep":true}`); code != 200 || len(state.Consumed) != 0 {
		t.Fatalf("%d %+v", code, state)
	}
}

func TestTheControlRouteRefusesWhatItDoesNotKnow(t *testing.T) {
	r := start(t)
	for text, bodies := range map[string][]string{
		"read switches":                                 {``, `[]`, `{"staleIndex":1}`},
		"no object":                                     {`null`},
		`unknown field \"indexLag\"`:                    {`{"indexLag":1}`},
		"more than one object":                          {`{"staleIndex":true}{}`},
		"indexLagMs must be from 0 to 2000":             {`{"indexLagMs":2001}`, `{"indexLagMs":-1}`},
		"latencyMs must be from 0 to 30000":             {`{"latencyMs":30001}`},
		`unknown op \"Nope\"`:                           {`{"throttle":{"op":"Nope"}}`},
		`unknown op \"\"`:                               {`{"throttle":{"times":1}}`},
		"times must not be negative":                    {`{"throttle":{"op":"*","times":-1}}`},
		`unknown field \"kind\"`:                        {`{"throttle":{"op":"*","kind":"x"}}`},
		`unknown error \"x\"`:                           {`{"throttle":{"op":"*","error":"x"}}`},
		"unknown error":                                 {`{"loseReply":{"op":"*","times":1,"error":"ThrottlingException"}}`},
		"retryAfterMs is for throttle":                  {`{"loseReply":{"op":"*","times":1,"retryAfterMs":1}}`},
		"retryAfterMs is for throttle, from 0 to 30000": {`{"throttle":{"op":"*","times":1,"retryAfterMs":-1}}`},
		"indexLagMs":                                    {`{"staleIndex":true,"indexLagMs":5000}`},
	} {
		for _, body := range bodies {
			if code, _, got := r.control("POST", body); code != 400 || !strings.Contains(got, text) {
				t.Errorf("%s: %d %s, want 400 and %s", body, code, got, text)
			}
		}
	}
	if r.db.State().StaleIndex {
		t.Error("a refused body changed something")
	}
	if code, _, _ := r.control("PUT", "{}"); code != 405 {
		t.Errorf("PUT: %d", code)
	}
}

// A table that is set back has the items of the mark in itself and in its
// indexes, and its stream says nothing of it, as that of a restored table.
func TestBackGivesTheItemsOfTheMark(t *testing.T) {
	r := start(t).orders()
	if status, _, _ := r.control("POST", `{"back":true}`); status != http.StatusBadRequest {
		t.Errorf("back without a mark: %d", status)
	}
	r.put(values{"pk": s("1"), "due_shard": s("a"), "due_at": n("1")})
	r.put(values{"pk": s("2"), "due_shard": s("a"), "due_at": n("2")})
	if status, _, text := r.control("POST", `{"mark":true}`); status != http.StatusOK {
		t.Fatalf("mark: %d %s", status, text)
	}
	r.put(values{"pk": s("1"), "due_shard": s("b"), "due_at": n("1")})
	r.put(values{"pk": s("3"), "due_shard": s("a"), "due_at": n("3")})
	changed := r.db.Changed()
	if status, _, text := r.control("POST", `{"back":true}`); status != http.StatusOK {
		t.Fatalf("back: %d %s", status, text)
	}
	if got := r.due("a"); !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("the index has %v, want 1 and 2", got)
	}
	if got := r.due("b"); len(got) > 0 {
		t.Errorf("the index shows %v, which came after the mark", got)
	}
	if r.get("3") != nil || r.get("1")["due_shard"].(*types.AttributeValueMemberS).Value != "a" {
		t.Errorf("the table has %v and %v", r.get("1"), r.get("3"))
	}
	select {
	case <-changed:
		t.Error("the stream has a record of it")
	default:
	}
}
