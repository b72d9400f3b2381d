package dynamodb_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

func TestAnItemComesBackAsItWasPut(t *testing.T) {
	r := start(t).orders()
	inner := values{
		"s": s("ä€😀"), "empty": s(""), "n": n("-56.789"), "b": b("\x00\xff"), "yes": yes(true), "no": yes(false), "null": null(),
		"ss": ss("a", "b"), "ns": ns("1", "2.5"), "bs": bs("x", "y"), "l": l(s("a"), l(), m(values{})), "m": m(values{"k": n("1")}),
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
		"0000012345678901234567890123456789012345678":        "12345678901234567890123456789012345678",
		"-00001.23456789012345678901234567890123456780000":   "-1.2345678901234567890123456789012345678",
		"0009.99999999999999999999999999999999999990000e125": strings.Repeat("9", 38) + strings.Repeat("0", 88),
		"0001.000e-130": "0." + strings.Repeat("0", 129) + "1",
		"-0":            "0",
		"1e3":           "1000",
		"+.5":           "0.5",
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
		"empty number":       {n(""), "The parameter cannot be converted to a numeric value"},
		"no number":          {n("b"), "The parameter cannot be converted to a numeric value: b"},
		"39 digits":          {n(strings.Repeat("1", 39)), "Attempting to store more than 38 significant digits in a Number"},
		"too large":          {n("1e126"), "Number overflow. Attempting to store a number with magnitude larger than supported range"},
		"absurdly large":     {n("1e99999999999"), "Number overflow."},
		"too small":          {n("1e-131"), "Number underflow. Attempting to store a number with magnitude smaller than supported range"},
		"empty string set":   {ss(), "One or more parameter values were invalid: An string set  may not be empty"},
		"empty number set":   {ns(), "One or more parameter values were invalid: An number set  may not be empty"},
		"empty binary set":   {bs(), "One or more parameter values were invalid: Binary sets should not be empty"},
		"doubled strings":    {ss("a", "a"), "One or more parameter values were invalid: Input collection [a, a] contains duplicates."},
		"doubled numbers":    {ns("1", "1.0"), "Input collection contains duplicates"},
		"doubled binaries":   {bs("b", "b"), "One or more parameter values were invalid: Input collection [Yg==, Yg==]of type BS contains duplicates."},
		"null that is false": {&types.AttributeValueMemberNULL{Value: false}, "Null attribute value types must have the value of true"},
		"33 levels":          {deep, "Nesting Levels have exceeded supported limits"},
		"deep in a list":     {l(m(values{"x": n("x")})), "The parameter cannot be converted to a numeric value: x"},
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
	_, err := r.update("1", "SET w = :w", nil, values{":w": s("")})
	wantInvalid(t, err, "Item size to update has exceeded the maximum allowed size")
}

func TestKeysAreChecked(t *testing.T) {
	r := start(t).orders()
	r.create(&dynamodb.CreateTableInput{
		TableName: aws.String("Ranged"), BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: attrs("a", "S", "b", "B"), KeySchema: key("a", "b"),
	})
	for name, c := range map[string]struct {
		table   string
		item    values
		message string
	}{
		"no key":            {"Orders", values{"x": s("a")}, "One or more parameter values were invalid: Missing the key pk in the item"},
		"wrong type":        {"Orders", values{"pk": n("1")}, "One or more parameter values were invalid: Type mismatch for key pk expected: S actual: N"},
		"empty":             {"Orders", values{"pk": s("")}, "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: pk"},
		"empty binary":      {"Ranged", values{"a": s("a"), "b": b("")}, "cannot contain an empty binary value. Key: b"},
		"no range key":      {"Ranged", values{"a": s("a")}, "Missing the key b in the item"},
		"hash key too long": {"Orders", values{"pk": s(strings.Repeat("k", 2049))}, "Size of hashkey has exceeded the maximum size limit of2048 bytes"},
		"range too long":    {"Ranged", values{"a": s("a"), "b": b(strings.Repeat("k", 1025))}, "Aggregated size of all range keys has exceeded the size limit of 1024 bytes"},
		"index key type":    {"Orders", values{"pk": s("1"), "due_at": s("x")}, "One or more parameter values were invalid: Type mismatch for Index Key due_at Expected: N Actual: S IndexName: due"},
		"index key empty":   {"Orders", values{"pk": s("1"), "due_shard": s("")}, "A value specified for a secondary index key is not supported. The AttributeValue for a key attribute cannot contain an empty string value. IndexName: due, IndexKey: due_shard"},
	} {
		t.Run("put: "+name, func(t *testing.T) {
			_, err := r.client.PutItem(r.ctx, &dynamodb.PutItemInput{TableName: &c.table, Item: c.item})
			wantInvalid(t, err, c.message)
		})
	}
	for name, k := range map[string]values{
		"missing": {}, "another": {"x": s("1")}, "one too many": {"pk": s("1"), "x": s("1")}, "wrong type": {"pk": n("1")},
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
		TableName: aws.String("Orders"), Key: values{"pk": s("1")}, UpdateExpression: aws.String("SET v = :v"),
		ConditionExpression: aws.String("v <> v2 AND v = :v"), ExpressionAttributeValues: values{":v": n("8")},
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

func TestReturnValues(t *testing.T) {
	r := start(t).orders()
	before := values{"pk": s("1"), "a": n("1"), "m": m(values{"x": n("1"), "y": n("2")}), "l": l(n("1"), n("2")), "gone": s("g")}
	const expression = "SET a = a + :one, m.x = :one, m.z = :one, l[1] = :one REMOVE gone"
	for mode, want := range map[types.ReturnValue]values{
		types.ReturnValueNone:       nil,
		types.ReturnValueAllOld:     before,
		types.ReturnValueAllNew:     {"pk": s("1"), "a": n("2"), "m": m(values{"x": n("1"), "y": n("2"), "z": n("1")}), "l": l(n("1"), n("1"))},
		types.ReturnValueUpdatedOld: {"a": n("1"), "m": m(values{"x": n("1")}), "l": l(n("2")), "gone": s("g")},
		types.ReturnValueUpdatedNew: {"a": n("2"), "m": m(values{"x": n("1"), "z": n("1")}), "l": l(n("1"))},
	} {
		r.put(before)
		out, err := r.client.UpdateItem(r.ctx, &dynamodb.UpdateItemInput{
			TableName: aws.String("Orders"), Key: values{"pk": s("1")}, UpdateExpression: aws.String(expression),
			ExpressionAttributeValues: values{":one": n("1")}, ReturnValues: mode,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Log(mode)
		wantItem(t, out.Attributes, want)
	}
	for _, mode := range []types.ReturnValue{types.ReturnValueAllNew, types.ReturnValueUpdatedNew, types.ReturnValueUpdatedOld} {
		_, err := r.client.PutItem(r.ctx, &dynamodb.PutItemInput{TableName: aws.String("Orders"), Item: before, ReturnValues: mode})
		wantInvalid(t, err, "ReturnValues can only be ALL_OLD or NONE")
	}
	out, err := r.client.PutItem(r.ctx, &dynamodb.PutItemInput{TableName: aws.String("Orders"), Item: values{"pk": s("new")}, ReturnValues: types.ReturnValueAllOld})
	if err != nil || out.Attributes != nil {
		t.Fatalf("ALL_OLD of nothing: %v, %v", out, err)
	}
	del, err := r.client.DeleteItem(r.ctx, &dynamodb.DeleteItemInput{TableName: aws.String("Orders"), Key: values{"pk": s("new")}, ReturnValues: types.ReturnValueAllOld})
	if err != nil {
		t.Fatal(err)
	}
	wantItem(t, del.Attributes, values{"pk": s("new")})
}

func TestAnUpdateWithoutExpressionMakesTheItem(t *testing.T) {
	r := start(t).orders()
	if _, err := r.client.UpdateItem(r.ctx, &dynamodb.UpdateItemInput{TableName: aws.String("Orders"), Key: values{"pk": s("1")}}); err != nil {
		t.Fatal(err)
	}
	wantItem(t, r.get("1"), values{"pk": s("1")})
}

func TestProjectionsPickPaths(t *testing.T) {
	r := start(t).orders()
	r.put(values{"pk": s("1"), "a": n("1"), "m": m(values{"x": n("1"), "y": l(n("1"), n("2"), n("3"))})})
	get := func(projection string, n names) (values, error) {
		out, err := r.client.GetItem(r.ctx, &dynamodb.GetItemInput{TableName: aws.String("Orders"), Key: values{"pk": s("1")},
			ProjectionExpression: &projection, ExpressionAttributeNames: n})
		if err != nil {
			return nil, err
		}
		return out.Item, nil
	}
	got, err := get("a, #m.y[2], #m.y[0], nothing", names{"#m": "m"})
	if err != nil {
		t.Fatal(err)
	}
	wantItem(t, got, values{"a": n("1"), "m": m(values{"y": l(n("1"), n("3"))})})

	_, err = get("a, a", nil)
	wantInvalid(t, err, "Invalid ProjectionExpression: Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [a], path two: [a]")
	_, err = get("m.y, m[1]", nil)
	wantInvalid(t, err, "Invalid ProjectionExpression: Two document paths conflict with each other; must remove or rewrite one of these paths; path one: [m, y], path two: [m, [1]]")
	_, err = get("pk.x", nil)
	wantInvalid(t, err, "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: Key: pk")
}

func TestBatchGetItem(t *testing.T) {
	r := start(t).orders()
	r.put(values{"pk": s("1"), "v": n("1")})
	r.put(values{"pk": s("2"), "v": n("2")})
	batch := func(pks ...string) (*dynamodb.BatchGetItemOutput, error) {
		var keys []map[string]types.AttributeValue
		for _, pk := range pks {
			keys = append(keys, values{"pk": s(pk)})
		}
		return r.client.BatchGetItem(r.ctx, &dynamodb.BatchGetItemInput{
			RequestItems:           map[string]types.KeysAndAttributes{"Orders": {Keys: keys, ConsistentRead: aws.Bool(true), ProjectionExpression: aws.String("v")}},
			ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
		})
	}
	out, err := batch("1", "none", "2")
	if err != nil {
		t.Fatal(err)
	}
	if got := out.Responses["Orders"]; len(got) != 2 || len(out.UnprocessedKeys) != 0 {
		t.Fatalf("got %v, unprocessed %v", got, out.UnprocessedKeys)
	}
	wantItem(t, out.Responses["Orders"][0], values{"v": n("1")})
	if u := *out.ConsumedCapacity[0].CapacityUnits; u != 3 {
		t.Errorf("consumed %v units, want 3", u)
	}
	_, err = batch("1", "1")
	wantInvalid(t, err, "Provided list of item keys contains duplicates")
	many := make([]string, 101)
	for i := range many {
		many[i] = strconv.Itoa(i)
	}
	_, err = batch(many...)
	wantInvalid(t, err, "Member must have length less than or equal to 100")
}
