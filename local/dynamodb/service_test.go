package dynamodb_test

import (
	"encoding/json"
	"hash/crc32"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

func TestErrorsOnTheWire(t *testing.T) {
	r := start(t).orders()
	const (
		validation = "com.amazon.coral.validate#ValidationException"
		serial     = "com.amazon.coral.service#SerializationException"
		unknown    = "com.amazon.coral.service#UnknownOperationException"
		missing    = "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException"
	)
	for _, c := range []struct{ target, body, kind, message string }{
		{"DynamoDB_20120810.TransactWriteItems", `{}`, unknown, "TransactWriteItems"},
		{"DynamoDB_20120810.Scan", `{}`, unknown, "Scan"},
		{"DynamoDB_20120810.ListStreams", `{}`, unknown, "ListStreams"},
		{"DynamoDBStreams_20120810.GetItem", `{}`, unknown, "GetItem"},
		{"SQS.SendMessage", `{}`, unknown, "SQS.SendMessage"},
		{"", `{}`, unknown, ""},
		{"DynamoDB_20120810.GetItem", ``, serial, ""},
		{"DynamoDB_20120810.GetItem", `{`, serial, ""},
		{"DynamoDB_20120810.GetItem", `{} {}`, serial, ""},
		{"DynamoDB_20120810.GetItem", `{"TableName":5}`, serial, "/TableName"},
		{"DynamoDB_20120810.GetItem", `{"Key":{"pk":[]}}`, serial, "/Key/pk"},
		{"DynamoDB_20120810.GetItem", `{"ExpressionAttributeNames":{"#a":1.5}}`, serial, "/ExpressionAttributeNames"},
		{"DynamoDB_20120810.GetItem", `{"TableName":"Orders","Key":"x"}`, serial, "/Key"},
		{"DynamoDB_20120810.GetItem", `{"TableName":"Orders","Key":{"pk":{"S":true}}}`, serial, "/Key/pk/S"},
		{"DynamoDB_20120810.Query", `{"TableName":"Orders","Limit":"5"}`, serial, "/Limit"},
		{"DynamoDB_20120810.Query", `{"TableName":"Orders","ScanIndexForward":5}`, serial, "/ScanIndexForward"},
		{"DynamoDB_20120810.PutItem", `{"TableName":"Orders","Expected":{}}`, validation, "does not support the parameter or type /Expected"},
		{"DynamoDB_20120810.PutItem", `{"TableName":"Orders","Item":{"pk":{"S":"1"}},"ReturnConsumedCapacity":"TOTAL"}`, validation, "does not support the parameter or type /ReturnConsumedCapacity"},
		{"DynamoDB_20120810.PutItem", `{"TableName":"Orders","Item":{"pk":{"S":"1"}},"ReturnValuesOnConditionCheckFailure":"hi"}`, validation, "must be ALL_OLD or NONE"},
		{"DynamoDB_20120810.PutItem", `{"TableName":"Orders","Item":{"pk":{}}}`, validation, "exactly one type"},
		{"DynamoDB_20120810.PutItem", `{"TableName":"Orders","Item":{"pk":null}}`, validation, "exactly one type"},
		{"DynamoDB_20120810.PutItem", `{"TableName":"Orders","Item":{"pk":{"S":"1"},"l":{"L":[null]}}}`, validation, "exactly one type"},
		{"DynamoDB_20120810.PutItem", `{"TableName":"Orders","Item":{"pk":{"S":"a","N":"1"}}}`, validation, "exactly one type"},
		{"DynamoDB_20120810.PutItem", `{"TableName":"Orders","Item":{"pk":{"X":"a"}}}`, validation, "/Item/pk/X"},
		{"DynamoDB_20120810.GetItem", `{"TableName":"nosuch","Key":{"pk":{"S":"1"}}}`, missing, "Requested resource not found"},
		{"DynamoDB_20120810.DescribeTable", `{"TableName":"nosuch"}`, missing, "Requested resource not found: Table: nosuch not found"},
	} {
		code, body := r.raw("POST", c.target, "AWS4-", c.body)
		message, _ := body["message"].(string)
		if code != 400 || body["__type"] != c.kind || !strings.Contains(message, c.message) {
			t.Errorf("%s %s: %d %v", c.target, c.body, code, body)
		}
	}
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
	if _, err := r.client.DescribeTable(r.ctx, &dynamodb.DescribeTableInput{TableName: aws.String("Orders")}); err == nil {
		t.Fatal("a table from nowhere")
	}
	r.orders()
	waiter := dynamodb.NewTableExistsWaiter(r.client)
	if err := waiter.Wait(r.ctx, &dynamodb.DescribeTableInput{TableName: aws.String("Orders")}, time.Minute); err != nil {
		t.Fatal(err)
	}
	r.put(values{"pk": s("1"), "due_shard": s("0"), "due_at": n("1")})
	r.put(values{"pk": s("2")})
	out := must(r.client.DescribeTable(r.ctx, &dynamodb.DescribeTableInput{TableName: aws.String("Orders")}))
	d := out.Table
	if *d.TableArn != "arn:aws:dynamodb:us-east-1:000000000000:table/Orders" || d.TableStatus != types.TableStatusActive || *d.ItemCount != 2 ||
		d.BillingModeSummary.BillingMode != types.BillingModePayPerRequest || !d.CreationDateTime.Equal(r.clock.now()) {
		t.Errorf("%+v", d)
	}
	if len(d.GlobalSecondaryIndexes) != 1 || *d.GlobalSecondaryIndexes[0].ItemCount != 1 || d.GlobalSecondaryIndexes[0].IndexStatus != types.IndexStatusActive ||
		d.GlobalSecondaryIndexes[0].Projection.ProjectionType != types.ProjectionTypeKeysOnly || len(d.GlobalSecondaryIndexes[0].KeySchema) != 2 {
		t.Errorf("%+v", d.GlobalSecondaryIndexes)
	}
	if d.StreamSpecification.StreamViewType != types.StreamViewTypeNewImage || !strings.HasPrefix(*d.LatestStreamArn, *d.TableArn+"/stream/2026-") {
		t.Errorf("%+v, %v", d.StreamSpecification, d.LatestStreamArn)
	}
	_, err := r.client.CreateTable(r.ctx, &dynamodb.CreateTableInput{TableName: aws.String("Orders"), BillingMode: types.BillingModePayPerRequest, AttributeDefinitions: attrs("pk", "S"), KeySchema: key("pk")})
	wantError(t, err, "ResourceInUseException", "Table already exists: Orders")

	must(r.client.DeleteTable(r.ctx, &dynamodb.DeleteTableInput{TableName: aws.String("Orders")}))
	_, err = r.client.GetItem(r.ctx, &dynamodb.GetItemInput{TableName: aws.String("Orders"), Key: values{"pk": s("1")}})
	wantError(t, err, "ResourceNotFoundException", "Requested resource not found")
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
