package dynamodb_test

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

func TestErrorsOnTheWire(t *testing.T) {
	r := start(t).orders()
	for _, target := range []string{"DynamoDB_20120810.TransactWriteItems", "DynamoDB_20120810.Scan", "DynamoDB_20120810.ListStreams", "DynamoDBStreams_20120810.GetItem", "SQS.SendMessage", ""} {
		code, out := r.raw("POST", target, "AWS4-", "{}")
		if message, _ := out["message"].(string); code != 400 || out["__type"] != "com.amazon.coral.service#UnknownOperationException" || !strings.Contains(message, target) {
			t.Errorf("%s: %d %v", target, code, out)
		}
	}
	const serial, one, unsupported = "400 SerializationException: ", "400 ValidationException: an attribute value must have exactly one type", "400 ValidationException: this emulator does not support the parameter or type "
	r.calls([][3]string{
		{"GetItem", ``, serial},
		{"GetItem", `{`, serial},
		{"GetItem", `{"Key":{}} {}`, serial},
		{"GetItem", `{"TableName":5}`, "/TableName"},
		{"GetItem", `{"Key":{"pk":[]}}`, "/Key/pk"},
		{"GetItem", `{"ExpressionAttributeNames":{"#a":1.5}}`, "/ExpressionAttributeNames"},
		{"GetItem", `{"Key":"x"}`, "/Key"},
		{"GetItem", `{"Key":{"pk":{"S":true}}}`, "/Key/pk/S"},
		{"Query", `{"Limit":"5"}`, "/Limit"},
		{"Query", `{"ScanIndexForward":5}`, "/ScanIndexForward"},
		{"PutItem", `{"Expected":{}}`, unsupported + "/Expected"},
		{"PutItem", `{"ReturnConsumedCapacity":"TOTAL"}`, unsupported + "/ReturnConsumedCapacity"},
		{"Query", `{"FilterExpression":"a = :a"}`, unsupported + "/FilterExpression"},
		{"Query", `{"ConsistentRead":true}`, unsupported + "/ConsistentRead"},
		{"Query", `{"Select":"COUNT"}`, unsupported + "/Select"},
		{"PutItem", `{"Item":{"pk":{"S":"1"}},"ReturnValuesOnConditionCheckFailure":"hi"}`, "must be ALL_OLD or NONE"},
		{"PutItem", `{"Item":{"pk":{}}}`, one},
		{"PutItem", `{"Item":{"pk":null}}`, "exactly one type"},
		{"PutItem", `{"Item":{"pk":{"S":"1"},"l":{"L":[null]}}}`, one},
		{"PutItem", `{"Item":{"pk":{"S":"a","N":"1"}}}`, one},
		{"PutItem", `{"Item":{"pk":{"NULL":false}}}`, one},
		{"PutItem", `{"Item":{"pk":{"X":"a"}}}`, unsupported + "/Item/pk/X"},
		{"PutItem", `{"Item":{"pk":{"SS":["a"]}}}`, unsupported + "/Item/pk/SS"},
		{"PutItem", `{"Item":{"pk":{"B":"YQ=="}}}`, unsupported + "/Item/pk/B"},
		{"GetItem", `{"TableName":"nosuch","Key":{"pk":{"S":"1"}}}`, "400 ResourceNotFoundException: Requested resource not found: Table: nosuch not found"},
	}...)
}

// raw sends a request as it is, checks the headers that every answer has, and
// returns status and decoded body.
func (r *rig) raw(method, target, authorization, body string) (int, map[string]any) {
	r.Helper()
	req := must(http.NewRequestWithContext(r.ctx, method, r.url, strings.NewReader(body)))
	for name, v := range map[string]string{"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.0", "Authorization": authorization} {
		req.Header.Set(name, v)
	}
	resp := must(http.DefaultClient.Do(req))
	defer resp.Body.Close()
	b := must(io.ReadAll(resp.Body))
	h := resp.Header
	if h.Get("X-Amz-Crc32") != strconv.FormatUint(uint64(crc32.ChecksumIEEE(b)), 10) || h.Get("X-Amzn-Requestid") == "" || !must(http.ParseTime(h.Get("Date"))).Equal(r.clock.now()) ||
		h.Get("Content-Type") != "application/x-amz-json-1.0" {
		r.Errorf("%s: %v", target, h)
	}
	var out map[string]any
	if err := json.Unmarshal(b, &out); err != nil {
		r.Fatalf("%s: %v in %q", target, err, b)
	}
	return resp.StatusCode, out
}

// calls sends requests, each an operation, its body and what is wanted: a part
// of the answer, written with sorted members, or of "Type: message" of an error.
// A body without a table is for Orders.
func (r *rig) calls(all ...[3]string) {
	r.Helper()
	for _, c := range all {
		operation, body := "DynamoDB_20120810."+c[0], c[1]
		if strings.HasPrefix(body, "{") && !strings.Contains(body, "TableName") {
			body = `{"TableName":"Orders",` + body[1:]
		}
		code, out := r.raw("POST", operation, "AWS4-", body)
		got := string(must(json.Marshal(out)))
		if kind, failed := out["__type"].(string); failed {
			got = fmt.Sprintf("%d %s: %s", code, kind[strings.Index(kind, "#")+1:], out["message"])
		}
		if !strings.Contains(got, c[2]) {
			r.Errorf("%s %.300s: %.500s, want %s", c[0], c[1], got, c[2])
		}
	}
}

func TestARequestNeedsItsMethodAndASignature(t *testing.T) {
	r := start(t)
	const list, signed = "DynamoDBStreams_20120810.ListStreams", "AWS4-HMAC-SHA256 Credential=a, SignedHeaders=b, Signature=c"
	if code, body := r.raw("POST", list, signed, "{}"); code != 200 || body["Streams"] == nil {
		t.Errorf("%d %v", code, body)
	}
	if code, body := r.raw("PUT", list, signed, "{}"); code != 400 || body["__type"] != "com.amazon.coral.service#UnknownOperationException" {
		t.Errorf("%d %v", code, body)
	}
	if code, body := r.raw("POST", list, "", "{}"); code != 400 || body["__type"] != "com.amazon.coral.service#MissingAuthenticationTokenException" {
		t.Errorf("%d %v", code, body)
	}
}

func TestTables(t *testing.T) {
	r := start(t)
	r.calls([3]string{"DescribeTable", `{"TableName":"Orders"}`, "400 ResourceNotFoundException: Requested resource not found: Table: Orders not found"})
	r.orders()
	if err := dynamodb.NewTableExistsWaiter(r.client).Wait(r.ctx, &dynamodb.DescribeTableInput{TableName: aws.String("Orders")}, time.Minute); err != nil {
		t.Fatal(err)
	}
	r.put(values{"pk": s("1"), "due_shard": s("0"), "due_at": n("1")})
	r.put(values{"pk": s("2")})
	for _, want := range []string{
		`"TableArn":"arn:aws:dynamodb:us-east-1:000000000000:table/Orders"`, `"TableStatus":"ACTIVE"`, `"ItemCount":2`, `"BillingModeSummary":{"BillingMode":"PAY_PER_REQUEST"}`, fmt.Sprintf(`"CreationDateTime":%d`, r.clock.now().Unix()),
		`"ItemCount":1,"KeySchema":[{"AttributeName":"due_shard","KeyType":"HASH"},{"AttributeName":"due_at","KeyType":"RANGE"}],"Projection":{"ProjectionType":"KEYS_ONLY"}}`,
		`"StreamSpecification":{"StreamEnabled":true,"StreamViewType":"NEW_IMAGE"}`, `"LatestStreamArn":"arn:aws:dynamodb:us-east-1:000000000000:table/Orders/stream/2026-`,
	} {
		r.calls([3]string{"DescribeTable", `{"TableName":"Orders"}`, want})
	}
	r.calls([][3]string{
		{"CreateTable", `{"TableName":"Orders","BillingMode":"PAY_PER_REQUEST","KeySchema":[{"AttributeName":"pk","KeyType":"HASH"}],"AttributeDefinitions":[{"AttributeName":"pk","AttributeType":"S"}]}`, "400 ResourceInUseException: Table already exists: Orders"},
		{"DeleteTable", `{"TableName":"Orders"}`, `"TableStatus":"DELETING"`},
		{"GetItem", `{"Key":{"pk":{"S":"1"}}}`, "400 ResourceNotFoundException"},
	}...)
}

func TestAWrongTableIsRefused(t *testing.T) {
	r := start(t)
	index := func(keys, projection string) string {
		return `"GlobalSecondaryIndexes":[{"IndexName":"due","KeySchema":[` + keys + `],"Projection":{"ProjectionType":"` + projection + `"}}]`
	}
	const both = `{"AttributeName":"a","KeyType":"HASH"},{"AttributeName":"b","KeyType":"RANGE"}`
	twice := strings.TrimSuffix(index(both, "KEYS_ONLY"), "]") + "," + strings.TrimPrefix(index(both, "KEYS_ONLY"), `"GlobalSecondaryIndexes":[`)
	for _, c := range []struct{ change, message string }{
		{`"TableName":"ab"`, "TableName must be at least 3 characters long"},
		{`"BillingMode":"PROVISIONED"`, "does not support a BillingMode other than PAY_PER_REQUEST"},
		{`"KeySchema":[{"AttributeName":"x","KeyType":"HASH"}]`, "not defined in AttributeDefinitions, or used twice: x"},
		{`"KeySchema":[{"AttributeName":"pk","KeyType":"RANGE"}]`, "pk is not a HASH key type"},
		{`"KeySchema":[` + both + `]`, "does not support a KeySchema here that is not of [HASH]"},
		{`"AttributeDefinitions":[{"AttributeName":"pk","AttributeType":"B"}]`, `does not support a key of type "B"`},
		{`"StreamSpecification":{}`, "Some AttributeDefinitions are not used"},
		{index(`{"AttributeName":"a","KeyType":"HASH"}`, "KEYS_ONLY"), "does not support a KeySchema here that is not of [HASH RANGE]"},
		{index(`{"AttributeName":"a","KeyType":"HASH"},{"AttributeName":"a","KeyType":"RANGE"}`, "KEYS_ONLY"), "used twice: a"},
		{index(both, "ALL"), "does not support an index with a projection other than KEYS_ONLY"},
		{twice, "Duplicate index name: due"},
		{`"StreamSpecification":{"StreamEnabled":true,"StreamViewType":"OLD_IMAGE"}`, `does not support StreamViewType "OLD_IMAGE"`},
		{`"DeletionProtectionEnabled":true`, "does not support the parameter or type /DeletionProtectionEnabled"},
	} {
		var in map[string]json.RawMessage
		for _, part := range []string{`{"TableName":"Orders","BillingMode":"PAY_PER_REQUEST","KeySchema":[{"AttributeName":"pk","KeyType":"HASH"}],
			"AttributeDefinitions":[{"AttributeName":"pk","AttributeType":"S"},{"AttributeName":"a","AttributeType":"S"},{"AttributeName":"b","AttributeType":"N"}]}`, "{" + c.change + "}"} {
			if err := json.Unmarshal([]byte(part), &in); err != nil {
				t.Fatal(err)
			}
		}
		code, body := r.raw("POST", "DynamoDB_20120810.CreateTable", "AWS4-", string(must(json.Marshal(in))))
		if message, _ := body["message"].(string); code != 400 || !strings.Contains(message, c.message) {
			t.Errorf("%s: %d %s, want %s", c.change, code, message, c.message)
		}
	}
}
