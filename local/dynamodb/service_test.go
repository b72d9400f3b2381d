package dynamodb_test

import (
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
		code, body := r.raw(c.target, c.body)
		message, _ := body["message"].(string)
		if code != 400 || body["__type"] != c.kind || !strings.Contains(message, c.message) {
			t.Errorf("%s %s: %d %v", c.target, c.body, code, body)
		}
	}
}

func TestHTTPItself(t *testing.T) {
	r := start(t)
	send := func(method, body string, header map[string]string) (*http.Response, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(r.ctx, method, r.url+"/", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range header {
			req.Header.Set(k, v)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := resp.Header.Get("X-Amz-Crc32"), strconv.FormatUint(uint64(crc32.ChecksumIEEE(b)), 10); got != want {
			t.Errorf("checksum %s of %q, want %s", got, b, want)
		}
		if resp.Header.Get("X-Amzn-Requestid") == "" {
			t.Error("no request id")
		}
		if d, err := http.ParseTime(resp.Header.Get("Date")); err != nil || !d.Equal(r.clock.now()) {
			t.Errorf("Date: %v, %v", d, err)
		}
		return resp, string(b)
	}
	r.clock.advance(7 * time.Hour)
	good := map[string]string{"X-Amz-Target": "DynamoDBStreams_20120810.ListStreams", "Content-Type": "application/x-amz-json-1.0", "Authorization": "AWS4-HMAC-SHA256 Credential=a, SignedHeaders=b, Signature=c"}
	if resp, body := send("POST", "{}", good); resp.StatusCode != 200 || body != `{"Streams":[]}` || resp.Header.Get("Content-Type") != "application/x-amz-json-1.0" {
		t.Errorf("%s %s %s", resp.Status, body, resp.Header)
	}
	if resp, body := send("PUT", "{}", good); resp.StatusCode != 400 || !strings.Contains(body, "UnknownOperationException") {
		t.Errorf("%s %s", resp.Status, body)
	}
	delete(good, "Authorization")
	if resp, body := send("POST", "{}", good); resp.StatusCode != 400 || !strings.Contains(body, "MissingAuthenticationTokenException") {
		t.Errorf("%s %s", resp.Status, body)
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
	out, err := r.client.DescribeTable(r.ctx, &dynamodb.DescribeTableInput{TableName: aws.String("Orders")})
	if err != nil {
		t.Fatal(err)
	}
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
	_, err = r.client.CreateTable(r.ctx, &dynamodb.CreateTableInput{TableName: aws.String("Orders"), BillingMode: types.BillingModePayPerRequest, AttributeDefinitions: attrs("pk", "S"), KeySchema: key("pk")})
	wantError(t, err, "ResourceInUseException", "Table already exists: Orders")

	if _, err := r.client.DeleteTable(r.ctx, &dynamodb.DeleteTableInput{TableName: aws.String("Orders")}); err != nil {
		t.Fatal(err)
	}
	_, err = r.client.GetItem(r.ctx, &dynamodb.GetItemInput{TableName: aws.String("Orders"), Key: values{"pk": s("1")}})
	wantError(t, err, "ResourceNotFoundException", "Requested resource not found")
}

func TestAWrongTableIsRefused(t *testing.T) {
	r := start(t)
	index := func(keys []types.KeySchemaElement, p types.ProjectionType) func(*dynamodb.CreateTableInput) {
		return func(in *dynamodb.CreateTableInput) {
			in.GlobalSecondaryIndexes = append(in.GlobalSecondaryIndexes, types.GlobalSecondaryIndex{IndexName: aws.String("due"), KeySchema: keys, Projection: &types.Projection{ProjectionType: p}})
			in.AttributeDefinitions = attrs("pk", "S", "a", "S", "b", "N")
		}
	}
	for name, c := range map[string]struct {
		change  func(in *dynamodb.CreateTableInput)
		message string
	}{
		"short name":        {func(in *dynamodb.CreateTableInput) { in.TableName = aws.String("ab") }, "TableName must be at least 3 characters long"},
		"no billing mode":   {func(in *dynamodb.CreateTableInput) { in.BillingMode = "" }, "does not support a BillingMode other than PAY_PER_REQUEST"},
		"undefined key":     {func(in *dynamodb.CreateTableInput) { in.KeySchema = key("x") }, "not defined in AttributeDefinitions, or used twice: x"},
		"unused definition": {func(in *dynamodb.CreateTableInput) { in.AttributeDefinitions = attrs("pk", "S", "x", "S") }, "Some AttributeDefinitions are not used"},
		"range first":       {func(in *dynamodb.CreateTableInput) { in.KeySchema[0].KeyType = types.KeyTypeRange }, "pk is not a HASH key type"},
		"a sort key":        {func(in *dynamodb.CreateTableInput) { in.KeySchema = key("pk", "a") }, "does not support a KeySchema here that is not of [HASH]"},
		"a binary key":      {func(in *dynamodb.CreateTableInput) { in.AttributeDefinitions = attrs("pk", "B") }, `does not support a key of type "B"`},
		"one index key":     {index(key("a"), types.ProjectionTypeKeysOnly), "does not support a KeySchema here that is not of [HASH RANGE]"},
		"same key twice":    {index(key("a", "a"), types.ProjectionTypeKeysOnly), "used twice: a"},
		"projection":        {index(key("a", "b"), types.ProjectionTypeAll), "does not support an index with a projection other than KEYS_ONLY"},
		"index twice": {func(in *dynamodb.CreateTableInput) {
			index(key("a", "b"), types.ProjectionTypeKeysOnly)(in)
			index(key("a", "b"), types.ProjectionTypeKeysOnly)(in)
		}, "Duplicate index name: due"},
		"stream without view": {func(in *dynamodb.CreateTableInput) {
			in.StreamSpecification = &types.StreamSpecification{StreamEnabled: aws.Bool(true)}
		}, `unknown StreamViewType ""`},
		"protection": {func(in *dynamodb.CreateTableInput) { in.DeletionProtectionEnabled = aws.Bool(true) }, "does not support the parameter or type /DeletionProtectionEnabled"},
	} {
		t.Run(name, func(t *testing.T) {
			in := &dynamodb.CreateTableInput{TableName: aws.String("Orders"), BillingMode: types.BillingModePayPerRequest, AttributeDefinitions: attrs("pk", "S"), KeySchema: key("pk")}
			c.change(in)
			_, err := r.client.CreateTable(r.ctx, in)
			wantInvalid(t, err, c.message)
		})
	}
}
