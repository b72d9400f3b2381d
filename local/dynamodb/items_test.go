package dynamodb_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

func TestAnItemComesBackAsItWasPut(t *testing.T) {
	r := start(t).orders()
	inner := values{
		"s": s("ä€😀<&>"), "empty": s(""), "n": n("-56.789"), "yes": yes(true), "no": yes(false), "null": null(),
		"l": l(s("a"), l(), m(values{})), "m": m(values{"k": n("1")}),
	}
	item := values{"pk": s("1"), "m": m(inner), "l": l(m(inner), m(inner))}
	for k, v := range inner {
		item["top_"+k] = v
	}
	r.put(item)
	wantItem(t, r.get("1"), item)
}

func TestNumbersAreExact(t *testing.T) {
	r := start(t).orders()
	for given, want := range map[string]string{
		"0000012345678901234567890123456789012345678": "12345678901234567890123456789012345678",
		"-00001.23456789012345678901234567890000":     "-1.2345678901234567890123456789",
		"9223372036854775807":                         "9223372036854775807",
		"-0":                                          "0",
		"-0.50":                                       "-0.5",
	} {
		r.put(values{"pk": s("1"), "n": n(given)})
		wantItem(t, r.get("1"), values{"pk": s("1"), "n": n(want)})
	}
}

func TestAWrongValueIsRefused(t *testing.T) {
	r := start(t).orders()
	deep := strings.Repeat(`{"L":[`, 33) + `{"S":"bottom"}` + strings.Repeat(`]}`, 33)
	largest := strings.Repeat("x", 400*1024-4) // pk + 1, v + the rest
	const key = "400 ValidationException: The provided key element does not match the schema"
	r.calls([][3]string{
		{"PutItem", `{"Item":{"pk":{"S":"1"},"v":{"N":""}}}`, `"" is not a number`},
		{"PutItem", `{"Item":{"pk":{"S":"1"},"v":{"N":"b"}}}`, `"b" is not a number`},
		{"PutItem", `{"Item":{"pk":{"S":"1"},"v":{"N":"1e3"}}}`, `"1e3" is not a number in plain decimal notation`},
		{"PutItem", `{"Item":{"pk":{"S":"1"},"v":{"L":[{"M":{"x":{"N":"x"}}}]}}}`, `"x" is not a number`},
		{"PutItem", `{"Item":{"pk":{"S":"1"},"v":{"N":"` + strings.Repeat("1", 39) + `"}}}`, "more than 38 significant digits"},
		{"PutItem", `{"Item":{"pk":{"S":"1"},"v":` + deep + `}}`, "Nesting Levels have exceeded supported limits"},
		{"PutItem", `{"Item":{"pk":{"S":"1"},"v":{"S":"` + largest + `x"}}}`, "Item size has exceeded the maximum allowed size"},
		{"PutItem", `{"Item":{"x":{"S":"1"}}}`, "Missing the key pk in the item"},
		{"PutItem", `{"Item":{"pk":{"N":"1"}}}`, "Type mismatch for key pk expected: S actual: N"},
		{"PutItem", `{"Item":{"pk":{"S":""}}}`, "cannot contain an empty string value. Key: pk"},
		{"PutItem", `{"Item":{"pk":{"S":"` + strings.Repeat("k", 2049) + `"}}}`, "has exceeded the maximum size limit of 2048 bytes"},
		{"PutItem", `{"Item":{"pk":{"S":"1"},"due_at":{"S":"x"}}}`, "Type mismatch for key due_at expected: N actual: S"},
		{"PutItem", `{"Item":{"pk":{"S":"1"},"due_shard":{"S":""}}}`, "cannot contain an empty string value. Key: due_shard"},
		{"GetItem", `{"Key":{"pk":{"S":""}}}`, "cannot contain an empty string value. Key: pk"},
		{"GetItem", `{"Key":{"pk":{"S":"1"}}}`, "{}"},
	}...)
	for _, wrong := range []string{`{}`, `{"x":{"S":"1"}}`, `{"pk":{"S":"1"},"x":{"S":"1"}}`} {
		for _, operation := range []string{"GetItem", "DeleteItem", "UpdateItem"} {
			r.calls([3]string{operation, `{"Key":` + wrong + `}`, key})
		}
	}
	r.calls([3]string{"PutItem", `{"Item":{"pk":{"S":"1"},"v":{"S":"` + largest + `"}}}`, "{}"}) // exactly 400 KB
	_, err := r.update("1", "SET w = :w", values{":w": s("")})
	wantInvalid(t, err, "Item size has exceeded the maximum allowed size")
}

func TestAFailedConditionGivesTheImageOnRequest(t *testing.T) {
	r := start(t).orders()
	item := values{"pk": s("1"), "v": n("7"), "m": m(values{"a": s("b")})}
	r.put(item)
	in := &dynamodb.PutItemInput{TableName: aws.String("Orders"), Item: values{"pk": s("1")}, ConditionExpression: aws.String("attribute_not_exists(pk)")}
	_, err := r.client.PutItem(r.ctx, in)
	var failed *types.ConditionalCheckFailedException
	if !errors.As(err, &failed) || failed.Item != nil {
		t.Fatalf("without being asked: %v, %v", err, failed)
	}
	wantError(t, err, "ConditionalCheckFailedException", "The conditional request failed")
	in.ReturnValuesOnConditionCheckFailure = types.ReturnValuesOnConditionCheckFailureAllOld
	_, err = r.client.PutItem(r.ctx, in)
	if !errors.As(err, &failed) {
		t.Fatal(err)
	}
	wantItem(t, failed.Item, item)
	_, err = r.client.UpdateItem(r.ctx, &dynamodb.UpdateItemInput{
		TableName: aws.String("Orders"), Key: values{"pk": s("1")}, UpdateExpression: aws.String("SET #v = :v"),
		ConditionExpression: aws.String("#v <> #w AND #v = :v"), ExpressionAttributeNames: names{"#v": "v", "#w": "w"}, ExpressionAttributeValues: values{":v": n("8")},
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	if failed = nil; !errors.As(err, &failed) {
		t.Fatal(err)
	}
	wantItem(t, failed.Item, item)
	r.calls([3]string{"DeleteItem", `{"Key":{"pk":{"S":"none"}},"ConditionExpression":"attribute_exists(pk)","ReturnValuesOnConditionCheckFailure":"ALL_OLD"}`, "400 ConditionalCheckFailedException"})
	wantItem(t, r.get("1"), item)
}

func TestWhatIsReturned(t *testing.T) {
	r := start(t).orders()
	for _, mode := range []string{"ALL_OLD", "ALL_NEW", "UPDATED_NEW", "UPDATED_OLD"} {
		r.calls([3]string{"PutItem", `{"Item":{"pk":{"S":"1"}},"ReturnValues":"` + mode + `"}`, "does not support ReturnValues"},
			[3]string{"DeleteItem", `{"Key":{"pk":{"S":"1"}},"ReturnValues":"` + mode + `"}`, "does not support ReturnValues"})
		if mode != "ALL_NEW" {
			r.calls([3]string{"UpdateItem", `{"Key":{"pk":{"S":"1"}},"ReturnValues":"` + mode + `"}`, "does not support ReturnValues"})
		}
	}
	const get = `{"Key":{"pk":{"S":"1"}},"ExpressionAttributeNames":{"#m":"m"},"ProjectionExpression":`
	r.calls([][3]string{
		{"GetItem", `{"Key":{"pk":{"S":"1"}}}`, "{}"}, // a refused request wrote nothing
		{"PutItem", `{"Item":{"pk":{"S":"1"},"a":{"N":"1"},"m":{"M":{"x":{"N":"1"}}}}}`, "{}"},
		{"GetItem", get + `"#m, pk"}`, `{"Item":{"m":{"M":{"x":{"N":"1"}}},"pk":{"S":"1"}}}`},
		{"GetItem", get + `"pk, #m.#m"}`, "does not support a projection of members of a map"},
		{"GetItem", get + `"#m,"}`, "Invalid ProjectionExpression: Syntax error"},
	}...)
}
