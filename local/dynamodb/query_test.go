package dynamodb_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	dynamo "orderbridge/local/dynamodb"
)

// lines makes a table with a sort key of a type.
func (r *rig) lines(sortType string) {
	r.Helper()
	r.create(&dynamodb.CreateTableInput{
		TableName: aws.String("Lines"), BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: attrs("h", "S", "r", sortType), KeySchema: key("h", "r"),
	})
}

func (r *rig) line(h string, sort types.AttributeValue, more values) {
	r.Helper()
	item := values{"h": s(h), "r": sort}
	for k, v := range more {
		item[k] = v
	}
	if _, err := r.client.PutItem(r.ctx, &dynamodb.PutItemInput{TableName: aws.String("Lines"), Item: item}); err != nil {
		r.Fatal(err)
	}
}

func texts(items []values, name string) []string {
	var out []string
	for _, it := range items {
		switch v := it[name].(type) {
		case *types.AttributeValueMemberS:
			out = append(out, v.Value)
		case *types.AttributeValueMemberN:
			out = append(out, v.Value)
		}
	}
	return out
}

func TestQuerySortsNumbersAsNumbers(t *testing.T) {
	r := start(t)
	r.lines("N")
	for _, v := range []string{"10", "9", "-1", "0.5", "-20", "100", "9.99"} {
		r.line("a", n(v), nil)
	}
	r.line("b", n("1"), nil)
	for condition, want := range map[string]string{
		"h = :h":                              "-20 -1 0.5 9 9.99 10 100",
		"h = :h AND r > :low":                 "0.5 9 9.99 10 100",
		"h = :h AND r >= :low":                "-1 0.5 9 9.99 10 100",
		"r < :high AND h = :h":                "-20 -1 0.5 9 9.99",
		"h = :h AND r <= :high":               "-20 -1 0.5 9 9.99 10",
		"h = :h AND r = :high":                "10",
		"h = :h AND r BETWEEN :low AND :high": "-1 0.5 9 9.99 10",
		":h = h AND :high > r":                "-20 -1 0.5 9 9.99",
		"(h = :h) AND (r = :high)":            "10",
	} {
		for _, forward := range []bool{true, false} {
			out, err := r.client.Query(r.ctx, &dynamodb.QueryInput{
				TableName: aws.String("Lines"), KeyConditionExpression: &condition, ScanIndexForward: &forward,
				ExpressionAttributeValues: used(condition, values{":h": s("a"), ":low": n("-1"), ":high": n("10")}),
			})
			if err != nil {
				t.Fatalf("%s: %v", condition, err)
			}
			got := texts(out.Items, "r")
			if !forward {
				slices.Reverse(got)
			}
			if strings.Join(got, " ") != want {
				t.Errorf("%s: %v, want %s", condition, got, want)
			}
		}
	}
}

func TestQueryFiltersAfterTheLimit(t *testing.T) {
	r := start(t)
	r.lines("S")
	for i := range 10 {
		r.line("a", s(fmt.Sprintf("k%d", i)), values{"even": yes(i%2 == 0)})
	}
	var all []string
	var from values
	pages := 0
	for {
		out, err := r.client.Query(r.ctx, &dynamodb.QueryInput{
			TableName: aws.String("Lines"), KeyConditionExpression: aws.String("h = :h AND begins_with(r, :k)"), FilterExpression: aws.String("even = :t"),
			ExpressionAttributeValues: values{":h": s("a"), ":k": s("k"), ":t": yes(true)}, Limit: aws.Int32(3), ExclusiveStartKey: from,
		})
		if err != nil {
			t.Fatal(err)
		}
		pages++
		if out.ScannedCount > 3 || int(out.Count) != len(out.Items) {
			t.Fatalf("page of %d, scanned %d", out.Count, out.ScannedCount)
		}
		all = append(all, texts(out.Items, "r")...)
		if from = out.LastEvaluatedKey; from == nil {
			break
		}
		if len(from) != 2 {
			t.Fatalf("place %v", from)
		}
	}
	if got := strings.Join(all, " "); got != "k0 k2 k4 k6 k8" || pages != 4 {
		t.Fatalf("%s in %d pages", got, pages)
	}
}

func TestAPageThatFillsExactlyHasAPlaceToGoOn(t *testing.T) {
	r := start(t)
	r.lines("S")
	r.line("a", s("1"), nil)
	r.line("a", s("2"), nil)
	query := func(from values, forward bool) *dynamodb.QueryOutput {
		out, err := r.client.Query(r.ctx, &dynamodb.QueryInput{TableName: aws.String("Lines"), KeyConditionExpression: aws.String("h = :h"),
			ExpressionAttributeValues: values{":h": s("a")}, Limit: aws.Int32(2), ExclusiveStartKey: from, ScanIndexForward: &forward})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for _, forward := range []bool{true, false} {
		out := query(nil, forward)
		if out.LastEvaluatedKey == nil {
			t.Fatal("no place although the limit was reached")
		}
		if out = query(out.LastEvaluatedKey, forward); out.Count != 0 || out.LastEvaluatedKey != nil {
			t.Fatalf("after the last: %v", out)
		}
	}
	// The place need not exist any more.
	if out := query(values{"h": s("a"), "r": s("1x")}, true); strings.Join(texts(out.Items, "r"), "") != "2" {
		t.Fatalf("after a place where nothing is: %v", out.Items)
	}
	if out := query(values{"h": s("a"), "r": s("1x")}, false); strings.Join(texts(out.Items, "r"), "") != "1" {
		t.Fatalf("before a place where nothing is: %v", out.Items)
	}
}

func TestAPageEndsAtOneMegabyte(t *testing.T) {
	r := start(t)
	r.lines("S")
	for i := range 8 {
		r.line("a", s(strconv.Itoa(i)), values{"v": s(strings.Repeat("x", 300*1024))})
	}
	out, err := r.client.Query(r.ctx, &dynamodb.QueryInput{TableName: aws.String("Lines"), KeyConditionExpression: aws.String("h = :h"), ExpressionAttributeValues: values{":h": s("a")}})
	if err != nil {
		t.Fatal(err)
	}
	if out.Count != 4 || out.LastEvaluatedKey == nil {
		t.Fatalf("%d items, place %v", out.Count, out.LastEvaluatedKey)
	}
}

func TestAWrongQueryIsRefused(t *testing.T) {
	r := start(t).orders()
	r.lines("S")
	params := values{":h": s("a"), ":r": s("b"), ":n": n("1"), ":e": s("")}
	for condition, message := range map[string]string{
		"":                               "Invalid KeyConditionExpression: The expression can not be empty;",
		"h = :h AND":                     "Invalid KeyConditionExpression: Syntax error;",
		"r = :r":                         "Query condition missed key schema element: h",
		"h = :h AND x = :r":              "Query condition missed key schema element: r",
		"h > :h":                         "Query key condition not supported",
		"h = :n":                         "One or more parameter values were invalid: Condition parameter type does not match schema type",
		"h = :h AND r = :n":              "One or more parameter values were invalid: Condition parameter type does not match schema type",
		"h = :e":                         "cannot contain an empty string value. Key: h",
		"h = :h OR r = :r":               "Invalid operator used in KeyConditionExpression: OR",
		"NOT h = :h":                     "Invalid operator used in KeyConditionExpression: NOT",
		"h <> :h":                        "Invalid operator used in KeyConditionExpression: <>",
		"h IN (:h)":                      "Invalid operator used in KeyConditionExpression: IN",
		"attribute_exists(h)":            "Invalid operator used in KeyConditionExpression: attribute_exists",
		"h = :h AND contains(r, :r)":     "Invalid operator used in KeyConditionExpression: contains",
		"h = :h AND size(r) = :n":        "KeyConditionExpressions cannot contain nested operations",
		"h = r":                          "Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition",
		"h.x = :h":                       "KeyConditionExpressions cannot have conditions on nested attributes",
		":h = :r":                        "Invalid condition in KeyConditionExpression: No key attribute specified",
		":r BETWEEN r AND :h":            "Invalid condition in KeyConditionExpression: Multiple attribute names",
		"h = :h AND begins_with(:r, r)":  "Invalid condition in KeyConditionExpression: begins_with operator must have the key attribute as its first operand",
		"h = :h AND r = :r AND r = :h":   "KeyConditionExpressions must only contain one condition per key",
		"h = :h AND r = :r AND x = :r":   "Conditions can be of length 1 or 2 only",
		"h = :h AND r BETWEEN :r AND :h": "The BETWEEN operator requires upper bound to be greater than or equal to lower bound",
	} {
		if condition == ":r BETWEEN r AND :h" {
			message = "Invalid condition in KeyConditionExpression: BETWEEN operator must have the key attribute as its first operand"
		}
		t.Run(condition, func(t *testing.T) {
			_, err := r.client.Query(r.ctx, &dynamodb.QueryInput{TableName: aws.String("Lines"), KeyConditionExpression: &condition, ExpressionAttributeValues: used(condition, params)})
			wantInvalid(t, err, message)
		})
	}
	query := func(change func(in *dynamodb.QueryInput)) error {
		in := &dynamodb.QueryInput{TableName: aws.String("Lines"), KeyConditionExpression: aws.String("h = :h"), ExpressionAttributeValues: values{":h": s("a")}}
		change(in)
		_, err := r.client.Query(r.ctx, in)
		return err
	}
	due := func(in *dynamodb.QueryInput) {
		in.TableName, in.IndexName, in.KeyConditionExpression = aws.String("Orders"), aws.String("due"), aws.String("due_shard = :h")
	}
	wantInvalid(t, query(func(in *dynamodb.QueryInput) { in.KeyConditionExpression, in.ExpressionAttributeValues = nil, nil }),
		"Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.")
	wantInvalid(t, query(func(in *dynamodb.QueryInput) { in.FilterExpression = aws.String("r = :h") }),
		"Filter Expression can only contain non-primary key attributes: Primary key attribute: r")
	wantInvalid(t, query(func(in *dynamodb.QueryInput) { in.IndexName = aws.String("nosuch") }), "The table does not have the specified index: nosuch")
	wantInvalid(t, query(func(in *dynamodb.QueryInput) { in.Select = types.SelectAllProjectedAttributes }), "ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName")
	wantInvalid(t, query(func(in *dynamodb.QueryInput) { in.ExclusiveStartKey = values{"h": s("a")} }), "The provided starting key is invalid")
	wantInvalid(t, query(func(in *dynamodb.QueryInput) { in.ExclusiveStartKey = values{"h": s("b"), "r": s("1")} }),
		"The provided starting key is outside query boundaries based on provided conditions")
	wantInvalid(t, query(func(in *dynamodb.QueryInput) { in.Limit = aws.Int32(0) }),
		"1 validation error detected: Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1")
	wantInvalid(t, query(func(in *dynamodb.QueryInput) { due(in); in.ConsistentRead = aws.Bool(true) }), "Consistent reads are not supported on global secondary indexes")
	wantInvalid(t, query(func(in *dynamodb.QueryInput) { due(in); in.Select = types.SelectAllAttributes }),
		"Select type ALL_ATTRIBUTES is not supported for global secondary index due because its projection type is not ALL")
	wantInvalid(t, query(func(in *dynamodb.QueryInput) { due(in); in.ProjectionExpression = aws.String("pk, wrote") }),
		"One or more parameter values were invalid: Global secondary index due does not project [wrote]")
}

// due reads the index of a shard, oldest first.
func (r *rig) due(shard string) []string {
	r.Helper()
	out, err := r.client.Query(r.ctx, &dynamodb.QueryInput{TableName: aws.String("Orders"), IndexName: aws.String("due"),
		KeyConditionExpression: aws.String("due_shard = :s"), ExpressionAttributeValues: values{":s": s(shard)}})
	if err != nil {
		r.Fatal(err)
	}
	for _, it := range out.Items {
		if len(it) != 3 {
			r.Fatalf("KEYS_ONLY gives %v", it)
		}
	}
	return texts(out.Items, "pk")
}

func wantDue(t *testing.T, r *rig, want ...string) {
	t.Helper()
	if got := r.due("0"); !slices.Equal(got, want) {
		t.Fatalf("due: %v, want %v", got, want)
	}
}

func TestTheIndexIsSparseAndFollowsTheItem(t *testing.T) {
	r := start(t).orders()
	r.put(values{"pk": s("none"), "x": s("y")})
	r.put(values{"pk": s("half"), "due_shard": s("0")})
	r.put(values{"pk": s("b"), "due_shard": s("0"), "due_at": n("2")})
	r.put(values{"pk": s("a"), "due_shard": s("0"), "due_at": n("10")})
	r.put(values{"pk": s("c"), "due_shard": s("0"), "due_at": n("2")}) // the same key twice
	wantDue(t, r, "b", "c", "a")
	r.mustUpdate("b", "SET due_at = :t", nil, values{":t": n("11")})
	wantDue(t, r, "c", "a", "b")
	r.mustUpdate("c", "REMOVE due_at", nil, nil)
	wantDue(t, r, "a", "b")
	r.mustUpdate("half", "SET due_at = :t", nil, values{":t": n("1")})
	wantDue(t, r, "half", "a", "b")
	r.put(values{"pk": s("a")})
	wantDue(t, r, "half", "b")
	if _, err := r.client.DeleteItem(r.ctx, &dynamodb.DeleteItemInput{TableName: aws.String("Orders"), Key: values{"pk": s("b")}}); err != nil {
		t.Fatal(err)
	}
	wantDue(t, r, "half")
}

func TestIndexPagesGoOnByIndexAndTableKey(t *testing.T) {
	r := start(t).orders()
	var want []string
	for i := range 7 {
		pk := fmt.Sprintf("o%d", i)
		want = append(want, pk)
		r.put(values{"pk": s(pk), "due_shard": s("0"), "due_at": n(strconv.Itoa(i / 3))})
	}
	var got []string
	p := dynamodb.NewQueryPaginator(r.client, &dynamodb.QueryInput{TableName: aws.String("Orders"), IndexName: aws.String("due"), Limit: aws.Int32(2),
		KeyConditionExpression: aws.String("due_shard = :s AND due_at <= :t"), ExpressionAttributeValues: values{":s": s("0"), ":t": n("9")}})
	for p.HasMorePages() {
		out, err := p.NextPage(r.ctx)
		if err != nil {
			t.Fatal(err)
		}
		if k := out.LastEvaluatedKey; k != nil && len(k) != 3 {
			t.Fatalf("place %v", k)
		}
		got = append(got, texts(out.Items, "pk")...)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("%v, want %v", got, want)
	}
}

func TestAnIndexHoldsWhatItProjects(t *testing.T) {
	r := start(t)
	index := func(name string, p types.Projection) types.GlobalSecondaryIndex {
		return types.GlobalSecondaryIndex{IndexName: &name, KeySchema: key("g"), Projection: &p}
	}
	r.create(&dynamodb.CreateTableInput{
		TableName: aws.String("Views"), BillingMode: types.BillingModePayPerRequest, AttributeDefinitions: attrs("pk", "S", "g", "S"), KeySchema: key("pk"),
		GlobalSecondaryIndexes: []types.GlobalSecondaryIndex{
			index("all", types.Projection{ProjectionType: types.ProjectionTypeAll}),
			index("keys", types.Projection{ProjectionType: types.ProjectionTypeKeysOnly}),
			index("some", types.Projection{ProjectionType: types.ProjectionTypeInclude, NonKeyAttributes: []string{"x"}}),
		},
	})
	item := values{"pk": s("1"), "g": s("g"), "x": n("1"), "y": n("2")}
	if _, err := r.client.PutItem(r.ctx, &dynamodb.PutItemInput{TableName: aws.String("Views"), Item: item}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]values{
		"all": item, "keys": {"pk": s("1"), "g": s("g")}, "some": {"pk": s("1"), "g": s("g"), "x": n("1")},
	} {
		out, err := r.client.Query(r.ctx, &dynamodb.QueryInput{TableName: aws.String("Views"), IndexName: &name,
			KeyConditionExpression: aws.String("g = :g"), ExpressionAttributeValues: values{":g": s("g")}})
		if err != nil || len(out.Items) != 1 {
			t.Fatal(name, out, err)
		}
		wantItem(t, out.Items[0], want)
		scan, err := r.client.Scan(r.ctx, &dynamodb.ScanInput{TableName: aws.String("Views"), IndexName: &name})
		if err != nil || len(scan.Items) != 1 {
			t.Fatal(name, scan, err)
		}
		wantItem(t, scan.Items[0], want)
	}
}

func TestScanSeesEveryItemOnceInPagesAndSegments(t *testing.T) {
	r := start(t).orders()
	for i := range 50 {
		r.put(values{"pk": s(fmt.Sprint(i)), "i": n(fmt.Sprint(i))})
	}
	for _, segments := range []int32{0, 1, 4} {
		seen := map[string]int{}
		for segment := range max(1, segments) {
			in := &dynamodb.ScanInput{TableName: aws.String("Orders"), Limit: aws.Int32(7), FilterExpression: aws.String("i < :n"), ExpressionAttributeValues: values{":n": n("40")}}
			if segments > 0 {
				in.Segment, in.TotalSegments = &segment, &segments
			}
			p := dynamodb.NewScanPaginator(r.client, in)
			for p.HasMorePages() {
				out, err := p.NextPage(r.ctx)
				if err != nil {
					t.Fatal(err)
				}
				for _, pk := range texts(out.Items, "pk") {
					seen[pk]++
				}
			}
		}
		for i := range 50 {
			if got, want := seen[fmt.Sprint(i)], 1; i < 40 && got != want || i >= 40 && got != 0 {
				t.Errorf("%d segments: item %d seen %d times", segments, i, got)
			}
		}
	}
	_, err := r.client.Scan(r.ctx, &dynamodb.ScanInput{TableName: aws.String("Orders"), Segment: aws.Int32(2), TotalSegments: aws.Int32(2)})
	wantInvalid(t, err, "The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: 2 is not less than TotalSegments: 2")
	out, err := r.client.Scan(r.ctx, &dynamodb.ScanInput{TableName: aws.String("Orders"), Select: types.SelectCount})
	if err != nil || out.Count != 50 || out.Items != nil {
		t.Fatal(out, err)
	}
}

func TestAnIndexThatLagsShowsOldThingsAndHidesNewOnes(t *testing.T) {
	r := start(t).orders()
	r.put(values{"pk": s("old"), "due_shard": s("0"), "due_at": n("1")})
	r.db.Switches().SetIndexLag(2 * time.Second)
	r.put(values{"pk": s("new"), "due_shard": s("0"), "due_at": n("2")})
	r.mustUpdate("old", "REMOVE due_at, due_shard", nil, nil)
	wantDue(t, r, "old")
	if r.get("new") == nil || len(r.get("old")) != 1 {
		t.Fatal("the table itself lags")
	}
	r.clock.advance(1999 * time.Millisecond)
	wantDue(t, r, "old")
	r.clock.advance(time.Millisecond)
	wantDue(t, r, "new")
	r.mustUpdate("new", "SET due_at = :t", nil, values{":t": n("5")})
	r.db.Switches().SetIndexLag(0)
	wantDue(t, r, "new")
}

func TestAStaleIndexKeepsShowingWhatLeftIt(t *testing.T) {
	r := start(t).orders()
	r.put(values{"pk": s("a"), "due_shard": s("0"), "due_at": n("1")})
	r.put(values{"pk": s("b"), "due_shard": s("0"), "due_at": n("2")})
	r.db.Switches().SetStaleIndex(true)
	r.mustUpdate("a", "REMOVE due_at, due_shard", nil, nil)
	r.mustUpdate("b", "SET due_at = :t", nil, values{":t": n("3")})
	wantDue(t, r, "a", "b", "b")
	r.mustUpdate("a", "SET due_at = :t, due_shard = :s", nil, values{":t": n("1"), ":s": s("0")}) // it comes back
	r.db.Switches().SetStaleIndex(false)
	wantDue(t, r, "a", "b")
}

func TestUnitsAreCountedBySizeAndIndex(t *testing.T) {
	r := start(t).orders()
	write := func(in *dynamodb.UpdateItemInput) *types.ConsumedCapacity {
		t.Helper()
		in.TableName, in.ReturnConsumedCapacity = aws.String("Orders"), types.ReturnConsumedCapacityIndexes
		out, err := r.client.UpdateItem(r.ctx, in)
		if err != nil {
			t.Fatal(err)
		}
		return out.ConsumedCapacity
	}
	set := func(expression string, v values) *dynamodb.UpdateItemInput {
		return &dynamodb.UpdateItemInput{Key: values{"pk": s("1")}, UpdateExpression: &expression, ExpressionAttributeValues: v}
	}
	want := func(name string, c *types.ConsumedCapacity, table, index float64) {
		t.Helper()
		got := 0.0
		if x, ok := c.GlobalSecondaryIndexes["due"]; ok {
			got = *x.CapacityUnits
		}
		if *c.Table.CapacityUnits != table || got != index || *c.CapacityUnits != table+index {
			t.Errorf("%s: table %v, index %v, all %v; want %v and %v", name, *c.Table.CapacityUnits, got, *c.CapacityUnits, table, index)
		}
	}
	want("outside the index", write(set("SET x = :x", values{":x": n("1")})), 1, 0)
	want("into the index", write(set("SET due_at = :t, due_shard = :s", values{":t": n("1"), ":s": s("0")})), 1, 1)
	want("key unchanged", write(set("SET x = :x", values{":x": n("2")})), 1, 0)
	want("key set to what it is", write(set("SET due_at = :t", values{":t": n("1.0")})), 1, 0)
	want("key changed", write(set("SET due_at = :t", values{":t": n("2")})), 1, 2)
	want("3 KB", write(set("SET v = :v", values{":v": s(strings.Repeat("x", 2500))})), 3, 0)
	want("the larger of old and new", write(set("SET v = :v", values{":v": s("")})), 3, 0)
	want("out of the index", write(set("REMOVE due_at", nil)), 1, 1)

	r.db.ResetConsumed()
	if _, err := r.try("attribute_not_exists(pk)", nil, nil); err != nil {
		t.Fatal(err)
	}
	if u := r.db.Consumed()["Orders"]; u.WriteUnits != 1 || u.Operations["UpdateItem"].Calls != 1 {
		t.Errorf("a failed condition is charged %+v", u)
	}
	read := func(consistent bool, pk string) float64 {
		out, err := r.client.GetItem(r.ctx, &dynamodb.GetItemInput{TableName: aws.String("Orders"), Key: values{"pk": s(pk)}, ConsistentRead: &consistent,
			ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal})
		if err != nil {
			t.Fatal(err)
		}
		return *out.ConsumedCapacity.CapacityUnits
	}
	r.put(values{"pk": s("big"), "v": s(strings.Repeat("x", 5000))})
	for _, c := range []struct {
		consistent bool
		pk         string
		want       float64
	}{{true, "1", 1}, {false, "1", 0.5}, {true, "big", 2}, {false, "big", 1}, {false, "none", 0.5}, {true, "none", 1}} {
		if got := read(c.consistent, c.pk); got != c.want {
			t.Errorf("read %s, consistent %v: %v units, want %v", c.pk, c.consistent, got, c.want)
		}
	}
	out, err := r.client.Query(r.ctx, &dynamodb.QueryInput{TableName: aws.String("Orders"), IndexName: aws.String("due"), KeyConditionExpression: aws.String("due_shard = :s"),
		ExpressionAttributeValues: values{":s": s("0")}, ReturnConsumedCapacity: types.ReturnConsumedCapacityIndexes})
	if err != nil {
		t.Fatal(err)
	}
	if c := out.ConsumedCapacity; *c.CapacityUnits != 0.5 || *c.GlobalSecondaryIndexes["due"].CapacityUnits != 0.5 {
		t.Errorf("query of the index: %+v", c)
	}
	consumed := r.db.Consumed()["Orders"]
	if got := consumed.Operations["Query"]; got != (dynamo.OpsConsumed{Calls: 1, ReadUnits: 0.5}) {
		t.Errorf("counted %+v", got)
	}
	if consumed.Indexes["due"].ReadUnits != 0.5 || consumed.ReadUnits != 6.5 {
		t.Errorf("counted %+v", consumed)
	}
}
