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
	deep := s("bottom")
	for range 33 {
		deep = l(deep)
	}
	for name, c := range map[string]struct {
		value   types.AttributeValue
		message string
	}{
		"empty number":       {n(""), `"" is not a number`},
		"no number":          {n("b"), `"b" is not a number`},
		"an exponent":        {n("1e3"), `"1e3" is not a number in plain decimal notation`},
		"39 digits":          {n(strings.Repeat("1", 39)), "more than 38 significant digits"},
		"a set":              {&types.AttributeValueMemberSS{Value: []string{"a"}}, "does not support the parameter or type /Item/v/SS"},
		"binary":             {&types.AttributeValueMemberB{Value: []byte("a")}, "does not support the parameter or type /Item/v/B"},
		"null that is false": {&types.AttributeValueMemberNULL{Value: false}, "an attribute value must have exactly one type"},
		"33 levels":          {deep, "Nesting Levels have exceeded supported limits"},
		"deep in a list":     {l(m(values{"x": n("x")})), `"x" is not a number`},
		"more than 400 KB":   {s(strings.Repeat("x", 400*1024)), "Item size has exceeded the maximum allowed size"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := r.client.PutItem(r.ctx, &dynamodb.PutItemInput{TableName: aws.String("Orders"), Item: values{"pk": s("1"), "v": c.value}})
			wantInvalid(t, err, c.message)
		})
	}
	if got := r.get("1"); got != nil {
		t.Fatalf("a refused put left %v", got)
	}
}

func TestAnItemOfExactly400KBFits(t *testing.T) {
	r := start(t).orders()
	// pk + 1, v + rest
	r.put(values{"pk": s("1"), "v": s(strings.Repeat("x", 400*1024-4))})
	_, err := r.update("1", "SET w = :w", values{":w": s("")})
	wantInvalid(t, err, "Item size has exceeded the maximum allowed size")
}

func TestKeysAreChecked(t *testing.T) {
	r := start(t).orders()
	for name, c := range map[string]struct {
		item    values
		message string
	}{
		"no key":            {values{"x": s("a")}, "Missing the key pk in the item"},
		"wrong type":        {values{"pk": n("1")}, "Type mismatch for key pk expected: S actual: N"},
		"empty":             {values{"pk": s("")}, "cannot contain an empty string value. Key: pk"},
		"hash key too long": {values{"pk": s(strings.Repeat("k", 2049))}, "has exceeded the maximum size limit of 2048 bytes"},
		"index key type":    {values{"pk": s("1"), "due_at": s("x")}, "Type mismatch for key due_at expected: N actual: S"},
		"index key empty":   {values{"pk": s("1"), "due_shard": s("")}, "cannot contain an empty string value. Key: due_shard"},
	} {
		t.Run("put: "+name, func(t *testing.T) {
			_, err := r.client.PutItem(r.ctx, &dynamodb.PutItemInput{TableName: aws.String("Orders"), Item: c.item})
			wantInvalid(t, err, c.message)
		})
	}
	for name, k := range map[string]values{
		"missing": {}, "another": {"x": s("1")}, "one too many": {"pk": s("1"), "x": s("1")},
	} {
		t.Run("key: "+name, func(t *testing.T) {
			const message = "The provided key element does not match the schema"
			_, err := r.client.GetItem(r.ctx, &dynamodb.GetItemInput{TableName: aws.String("Orders"), Key: k})
			wantInvalid(t, err, message)
			_, err = r.client.DeleteItem(r.ctx, &dynamodb.DeleteItemInput{TableName: aws.String("Orders"), Key: k})
			wantInvalid(t, err, message)
			_, err = r.client.UpdateItem(r.ctx, &dynamodb.UpdateItemInput{TableName: aws.String("Orders"), Key: k})
			wantInvalid(t, err, message)
		})
	}
	_, err := r.client.GetItem(r.ctx, &dynamodb.GetItemInput{TableName: aws.String("Orders"), Key: values{"pk": s("")}})
	wantInvalid(t, err, "cannot contain an empty string value. Key: pk")
	_, err = r.client.GetItem(r.ctx, &dynamodb.GetItemInput{TableName: aws.String("Nowhere"), Key: values{"pk": s("1")}})
	wantError(t, err, "ResourceNotFoundException", "Requested resource not found")
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

	_, err = r.client.DeleteItem(r.ctx, &dynamodb.DeleteItemInput{
		TableName: aws.String("Orders"), Key: values{"pk": s("none")}, ConditionExpression: aws.String("attribute_exists(pk)"),
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	if failed = nil; !errors.As(err, &failed) || failed.Item != nil {
		t.Fatalf("no item, yet %v, %v", err, failed)
	}
	wantItem(t, r.get("1"), item)
}

func TestReturnValuesThatAreNotSupportedAreRefused(t *testing.T) {
	r := start(t).orders()
	for _, mode := range []types.ReturnValue{types.ReturnValueAllOld, types.ReturnValueAllNew, types.ReturnValueUpdatedNew, types.ReturnValueUpdatedOld} {
		_, err := r.client.PutItem(r.ctx, &dynamodb.PutItemInput{TableName: aws.String("Orders"), Item: values{"pk": s("1")}, ReturnValues: mode})
		wantInvalid(t, err, "does not support ReturnValues")
		_, err = r.client.DeleteItem(r.ctx, &dynamodb.DeleteItemInput{TableName: aws.String("Orders"), Key: values{"pk": s("1")}, ReturnValues: mode})
		wantInvalid(t, err, "does not support ReturnValues")
		if mode == types.ReturnValueAllNew {
			continue
		}
		_, err = r.client.UpdateItem(r.ctx, &dynamodb.UpdateItemInput{TableName: aws.String("Orders"), Key: values{"pk": s("1")}, ReturnValues: mode})
		wantInvalid(t, err, "does not support ReturnValues")
	}
	if r.get("1") != nil {
		t.Error("a refused request wrote")
	}
}

func TestAProjectionPicksTopLevelAttributes(t *testing.T) {
	r := start(t).orders()
	r.put(values{"pk": s("1"), "a": n("1"), "m": m(values{"x": n("1")})})
	get := func(projection string) (values, error) {
		projection, n, _ := aliased(projection, nil)
		out, err := r.client.GetItem(r.ctx, &dynamodb.GetItemInput{TableName: aws.String("Orders"), Key: values{"pk": s("1")}, ProjectionExpression: &projection, ExpressionAttributeNames: n})
		if err != nil {
			return nil, err
		}
		return out.Item, nil
	}
	got, err := get("m, pk, nothing")
	if err != nil {
		t.Fatal(err)
	}
	wantItem(t, got, values{"pk": s("1"), "m": m(values{"x": n("1")})})
	_, err = get("m.x")
	wantInvalid(t, err, "does not support a projection of members of a map")
	_, err = get("a,")
	wantInvalid(t, err, "Invalid ProjectionExpression: Syntax error")
}
