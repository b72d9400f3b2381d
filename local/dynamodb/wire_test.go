package dynamodb_test

import (
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
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

func TestErrorsOnTheWire(t *testing.T) {
	r := start(t).orders()
	const (
		validation = "com.amazon.coral.validate#ValidationException"
		serial     = "com.amazon.coral.service#SerializationException"
		unknown    = "com.amazon.coral.service#UnknownOperationException"
	)
	for _, c := range []struct{ target, body, kind, message string }{
		{"DynamoDB_20120810.TransactWriteItems", `{}`, unknown, ""},
		{"DynamoDB_20120810.Nonsense", `{}`, unknown, ""},
		{"DynamoDB_20120810.ListStreams", `{}`, unknown, ""},
		{"DynamoDBStreams_20120810.ListTables", `{}`, unknown, ""},
		{"SQS.SendMessage", `{}`, unknown, ""},
		{"", `{}`, unknown, ""},
		{"DynamoDB_20120810.GetItem", ``, serial, ""},
		{"DynamoDB_20120810.DescribeTable", `{}`, validation, "The parameter 'TableName' is required but was not present in the request"},
		{"DynamoDB_20120810.Query", `{"TableName":"Orders","ScanIndexForward":5}`, serial, "NUMBER_VALUE cannot be converted to Boolean"},
		{"DynamoDB_20120810.GetItem", `{"Key":{"pk":[]}}`, serial, "Unrecognized collection type class com.amazonaws.dynamodb.v20120810.AttributeValue"},
		{"DynamoDB_20120810.GetItem", `{"ExpressionAttributeNames":{"#a":1.5}}`, serial, "DECIMAL_VALUE cannot be converted to String"},
		{"DynamoDB_20120810.GetItem", `{`, serial, ""},
		{"DynamoDB_20120810.GetItem", `null`, serial, ""},
		{"DynamoDB_20120810.GetItem", `{} {}`, serial, ""},
		{"DynamoDB_20120810.GetItem", `{"TableName":5}`, serial, "NUMBER_VALUE cannot be converted to String"},
		{"DynamoDB_20120810.GetItem", `{"TableName":"Orders","Key":"x"}`, serial, "Unexpected field type"},
		{"DynamoDB_20120810.GetItem", `{"TableName":"Orders","Key":{"pk":{"S":true}}}`, serial, "TRUE_VALUE cannot be converted to String"},
		{"DynamoDB_20120810.PutItem", `{"TableName":"Orders","Item":{"pk":{"B":"abc"}}}`, serial, "Base64 encoded length is expected a multiple of 4 bytes but found: 3"},
		{"DynamoDB_20120810.PutItem", `{"TableName":"Orders","Item":{"pk":{"B":"====" }}}`, serial, "Invalid last non-pad Base64 character dectected"},
		{"DynamoDB_20120810.Query", `{"TableName":"Orders","Limit":"5"}`, serial, "STRING_VALUE cannot be converted to Integer"},
		{"DynamoDB_20120810.GetItem", `{}`, validation, "2 validation errors detected: Value null at 'tableName' failed to satisfy constraint: Member must not be null; Value null at 'key' failed to satisfy constraint: Member must not be null"},
		{"DynamoDB_20120810.GetItem", `{"TableName":"a;","Key":{}}`, validation, "2 validation errors detected: Value 'a;' at 'tableName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+; Value 'a;' at 'tableName' failed to satisfy constraint: Member must have length greater than or equal to 3"},
		{"DynamoDB_20120810.PutItem", `{"TableName":"Orders","Item":{"pk":{"S":"1"}},"ReturnValues":"hi"}`, validation, "1 validation error detected: Value 'hi' at 'returnValues' failed to satisfy constraint: Member must satisfy enum value set: [ALL_NEW, UPDATED_OLD, ALL_OLD, NONE, UPDATED_NEW]"},
		{"DynamoDB_20120810.PutItem", `{"TableName":"Orders","Item":{"pk":{}}}`, validation, "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"},
		{"DynamoDB_20120810.PutItem", `{"TableName":"Orders","Item":{"pk":{"S":"a","N":"1"}}}`, validation, "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"},
		{"DynamoDB_20120810.GetItem", `{"TableName":"nosuch","Key":{"pk":{"S":"1"}}}`, "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException", "Requested resource not found"},
		{"DynamoDB_20120810.DescribeTable", `{"TableName":"nosuch"}`, "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException", "Requested resource not found: Table: nosuch not found"},
	} {
		code, body := r.raw(c.target, c.body)
		message := body["message"]
		if c.kind == serial {
			message = body["Message"]
		}
		if message == nil {
			message = ""
		}
		if code != 400 || body["__type"] != c.kind || message != c.message {
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
	good := map[string]string{"X-Amz-Target": "DynamoDB_20120810.ListTables", "Content-Type": "application/x-amz-json-1.0", "Authorization": "AWS4-HMAC-SHA256 Credential=a, SignedHeaders=b, Signature=c"}
	if resp, body := send("POST", "{}", good); resp.StatusCode != 200 || body != `{"TableNames":[]}` || resp.Header.Get("Content-Type") != "application/x-amz-json-1.0" {
		t.Errorf("%s %s %s", resp.Status, body, resp.Header)
	}
	if resp, body := send("GET", "", nil); resp.StatusCode != 200 || body != "healthy: dynamodb.us-east-1.amazonaws.com " {
		t.Errorf("%s %s", resp.Status, body)
	}
	if resp, _ := send("PUT", "{}", good); resp.StatusCode != 404 {
		t.Error(resp.Status)
	}
	delete(good, "Authorization")
	if resp, body := send("POST", "{}", good); resp.StatusCode != 400 || !strings.Contains(body, "MissingAuthenticationTokenException") {
		t.Errorf("%s %s", resp.Status, body)
	}
	good["Content-Type"] = "text/plain"
	if resp, body := send("POST", "{}", good); resp.StatusCode != 404 || body != "<UnknownOperationException/>\n" {
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
	// By its ARN too.
	out, err := r.client.DescribeTable(r.ctx, &dynamodb.DescribeTableInput{TableName: aws.String("arn:aws:dynamodb:us-east-1:000000000000:table/Orders")})
	if err != nil {
		t.Fatal(err)
	}
	d := out.Table
	if *d.TableArn != "arn:aws:dynamodb:us-east-1:000000000000:table/Orders" || d.TableStatus != types.TableStatusActive || *d.ItemCount != 2 ||
		d.BillingModeSummary.BillingMode != types.BillingModePayPerRequest || !d.CreationDateTime.Equal(r.clock.now()) || *d.DeletionProtectionEnabled {
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

	pitr := func(on bool) types.PointInTimeRecoveryStatus {
		out, err := r.client.UpdateContinuousBackups(r.ctx, &dynamodb.UpdateContinuousBackupsInput{TableName: aws.String("Orders"),
			PointInTimeRecoverySpecification: &types.PointInTimeRecoverySpecification{PointInTimeRecoveryEnabled: &on}})
		if err != nil {
			t.Fatal(err)
		}
		again, err := r.client.DescribeContinuousBackups(r.ctx, &dynamodb.DescribeContinuousBackupsInput{TableName: aws.String("Orders")})
		if err != nil || again.ContinuousBackupsDescription.PointInTimeRecoveryDescription.PointInTimeRecoveryStatus != out.ContinuousBackupsDescription.PointInTimeRecoveryDescription.PointInTimeRecoveryStatus {
			t.Fatal(again, err)
		}
		return out.ContinuousBackupsDescription.PointInTimeRecoveryDescription.PointInTimeRecoveryStatus
	}
	if pitr(true) != types.PointInTimeRecoveryStatusEnabled || pitr(false) != types.PointInTimeRecoveryStatusDisabled {
		t.Error("point-in-time recovery")
	}
	_, err = r.client.DescribeContinuousBackups(r.ctx, &dynamodb.DescribeContinuousBackupsInput{TableName: aws.String("nosuch")})
	wantError(t, err, "TableNotFoundException", "Table not found: nosuch")

	if _, err := r.client.DeleteTable(r.ctx, &dynamodb.DeleteTableInput{TableName: aws.String("Orders")}); err != nil {
		t.Fatal(err)
	}
	_, err = r.client.GetItem(r.ctx, &dynamodb.GetItemInput{TableName: aws.String("Orders"), Key: values{"pk": s("1")}})
	wantError(t, err, "ResourceNotFoundException", "Requested resource not found")
}

func TestListTablesInPages(t *testing.T) {
	r := start(t)
	for i := range 5 {
		r.create(&dynamodb.CreateTableInput{TableName: aws.String(fmt.Sprintf("table-%d", i)), BillingMode: types.BillingModePayPerRequest, AttributeDefinitions: attrs("pk", "S"), KeySchema: key("pk")})
	}
	var got []string
	p := dynamodb.NewListTablesPaginator(r.client, &dynamodb.ListTablesInput{Limit: aws.Int32(2)})
	for p.HasMorePages() {
		out, err := p.NextPage(r.ctx)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, out.TableNames...)
	}
	if strings.Join(got, " ") != "table-0 table-1 table-2 table-3 table-4" {
		t.Fatal(got)
	}
}

func TestAProtectedTableIsNotDeleted(t *testing.T) {
	r := start(t)
	r.create(&dynamodb.CreateTableInput{TableName: aws.String("Orders"), BillingMode: types.BillingModePayPerRequest, AttributeDefinitions: attrs("pk", "S"), KeySchema: key("pk"), DeletionProtectionEnabled: aws.Bool(true)})
	_, err := r.client.DeleteTable(r.ctx, &dynamodb.DeleteTableInput{TableName: aws.String("Orders")})
	wantInvalid(t, err, "Resource cannot be deleted as it is currently protected against deletion")
}

func TestAWrongTableIsRefused(t *testing.T) {
	r := start(t)
	gsi := func(name, attr string, p *types.Projection) []types.GlobalSecondaryIndex {
		return []types.GlobalSecondaryIndex{{IndexName: &name, KeySchema: key(attr), Projection: p}}
	}
	keysOnly := &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly}
	for name, c := range map[string]struct {
		change  func(in *dynamodb.CreateTableInput)
		message string
	}{
		"short name":    {func(in *dynamodb.CreateTableInput) { in.TableName = aws.String("ab") }, "TableName must be at least 3 characters long and at most 255 characters long"},
		"no throughput": {func(in *dynamodb.CreateTableInput) { in.BillingMode = "" }, "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED"},
		"throughput": {func(in *dynamodb.CreateTableInput) {
			in.ProvisionedThroughput = &types.ProvisionedThroughput{ReadCapacityUnits: aws.Int64(1), WriteCapacityUnits: aws.Int64(1)}
		}, "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST"},
		"undefined key":     {func(in *dynamodb.CreateTableInput) { in.KeySchema = key("x") }, "Some index key attributes are not defined in AttributeDefinitions. Keys: [x], AttributeDefinitions: [pk]"},
		"unused definition": {func(in *dynamodb.CreateTableInput) { in.AttributeDefinitions = attrs("pk", "S", "x", "S") }, "Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions"},
		"same key twice": {func(in *dynamodb.CreateTableInput) {
			in.KeySchema, in.AttributeDefinitions = key("pk", "pk"), attrs("pk", "S", "x", "S")
		}, "Both the Hash Key and the Range Key element in the KeySchema have the same name"},
		"range first":        {func(in *dynamodb.CreateTableInput) { in.KeySchema[0].KeyType = types.KeyTypeRange }, "Invalid KeySchema: The first KeySchemaElement is not a HASH key type"},
		"three keys":         {func(in *dynamodb.CreateTableInput) { in.KeySchema = append(key("pk", "a"), key("b")...) }, "Member must have length less than or equal to 2"},
		"unknown type":       {func(in *dynamodb.CreateTableInput) { in.AttributeDefinitions = attrs("pk", "X") }, "Value 'X' at 'attributeDefinitions.1.member.attributeType' failed to satisfy constraint: Member must satisfy enum value set: [B, N, S]"},
		"no projection type": {func(in *dynamodb.CreateTableInput) { in.GlobalSecondaryIndexes = gsi("due", "pk", &types.Projection{}) }, "Unknown ProjectionType: null"},
		"names without include": {func(in *dynamodb.CreateTableInput) {
			in.GlobalSecondaryIndexes = gsi("due", "pk", &types.Projection{ProjectionType: types.ProjectionTypeAll, NonKeyAttributes: []string{"x"}})
		}, "ProjectionType is ALL, but NonKeyAttributes is specified"},
		"index twice": {func(in *dynamodb.CreateTableInput) {
			in.GlobalSecondaryIndexes = append(gsi("due", "pk", keysOnly), gsi("due", "pk", keysOnly)...)
		}, "Duplicate index name: due"},
		"stream without view": {func(in *dynamodb.CreateTableInput) {
			in.StreamSpecification = &types.StreamSpecification{StreamEnabled: aws.Bool(true)}
		}, "StreamViewType must be specified"},
		"local index": {func(in *dynamodb.CreateTableInput) {
			in.LocalSecondaryIndexes = []types.LocalSecondaryIndex{{IndexName: aws.String("local"), KeySchema: key("pk"), Projection: keysOnly}}
		}, "Local secondary indexes are not supported"},
	} {
		t.Run(name, func(t *testing.T) {
			in := &dynamodb.CreateTableInput{TableName: aws.String("Orders"), BillingMode: types.BillingModePayPerRequest, AttributeDefinitions: attrs("pk", "S"), KeySchema: key("pk")}
			c.change(in)
			_, err := r.client.CreateTable(r.ctx, in)
			wantInvalid(t, err, c.message)
		})
	}
}
