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

// query reads the index with a condition on the names #s and #d.
func (r *rig) query(condition string, v values, change func(*dynamodb.QueryInput)) (*dynamodb.QueryOutput, error) {
	n := names{}
	for placeholder, name := range map[string]string{"#s": "due_shard", "#d": "due_at"} {
		if strings.Contains(condition, placeholder) {
			n[placeholder] = name
		}
	}
	_, _, v = aliased(condition, v)
	in := &dynamodb.QueryInput{TableName: aws.String("Orders"), IndexName: aws.String("due"), KeyConditionExpression: &condition,
		ExpressionAttributeNames: n, ExpressionAttributeValues: v}
	if change != nil {
		change(in)
	}
	return r.client.Query(r.ctx, in)
}

func TestQuerySortsNumbersAsNumbers(t *testing.T) {
	r := start(t).orders()
	for _, v := range []string{"10", "9", "-1", "0.5", "-20", "100", "9.99"} {
		r.put(values{"pk": s("o" + v), "due_shard": s("a"), "due_at": n(v)})
	}
	r.put(values{"pk": s("other"), "due_shard": s("b"), "due_at": n("1")})
	for condition, want := range map[string]string{
		"#s = :h":                 "-20 -1 0.5 9 9.99 10 100",
		"#s = :h AND #d > :low":   "0.5 9 9.99 10 100",
		"#s = :h AND #d >= :low":  "-1 0.5 9 9.99 10 100",
		"#d < :high AND #s = :h":  "-20 -1 0.5 9 9.99",
		"#s = :h AND #d <= :high": "-20 -1 0.5 9 9.99 10",
		"#s = :h AND #d = :high":  "10",
	} {
		for _, forward := range []bool{true, false} {
			out, err := r.query(condition, values{":h": s("a"), ":low": n("-1"), ":high": n("10")}, func(in *dynamodb.QueryInput) { in.ScanIndexForward = &forward })
			if err != nil {
				t.Fatalf("%s: %v", condition, err)
			}
			got := texts(out.Items, "due_at")
			if !forward {
				slices.Reverse(got)
			}
			if strings.Join(got, " ") != want {
				t.Errorf("%s: %v, want %s", condition, got, want)
			}
		}
	}
}

func TestAPageThatFillsExactlyHasAPlaceToGoOn(t *testing.T) {
	r := start(t).orders()
	place := func(pk, at string) string {
		return `{"due_at":{"N":"` + at + `"},"due_shard":{"S":"a"},"pk":{"S":"` + pk + `"}}`
	}
	one, two, gone := place("one", "1"), place("two", "2"), place("gone", "1.5")
	const query = `{"IndexName":"due","KeyConditionExpression":"due_shard = :s","ExpressionAttributeValues":{":s":{"S":"a"}},"Limit":2`
	const back, none = `,"ScanIndexForward":false`, `{"Count":0,"Items":[],"ScannedCount":0}`
	r.calls([][3]string{
		{"PutItem", `{"Item":` + one + `}`, "{}"},
		{"PutItem", `{"Item":` + two + `}`, "{}"},
		{"Query", query + `}`, `{"Count":2,"Items":[` + one + `,` + two + `],"LastEvaluatedKey":` + two + `,"ScannedCount":2}`},
		{"Query", query + back + `}`, `{"Count":2,"Items":[` + two + `,` + one + `],"LastEvaluatedKey":` + one + `,"ScannedCount":2}`},
		{"Query", query + `,"ExclusiveStartKey":` + two + `}`, none},
		{"Query", query + back + `,"ExclusiveStartKey":` + one + `}`, none},
		// The place need not exist any more.
		{"Query", query + `,"ExclusiveStartKey":` + gone + `}`, `{"Count":1,"Items":[` + two + `],"ScannedCount":1}`},
		{"Query", query + back + `,"ExclusiveStartKey":` + gone + `}`, `{"Count":1,"Items":[` + one + `],"ScannedCount":1}`},
	}...)
}

func TestAPageEndsAtOneMegabyte(t *testing.T) {
	r := start(t).orders()
	for i := range 600 {
		r.put(values{"pk": s(fmt.Sprintf("%03d", i) + strings.Repeat("x", 2000)), "due_shard": s("a"), "due_at": n("1")})
	}
	out := must(r.query("#s = :h", values{":h": s("a")}, nil))
	if out.Count != 519 || out.LastEvaluatedKey == nil { // 2,023 bytes each
		t.Fatalf("%d items, place %v", out.Count, out.LastEvaluatedKey != nil)
	}
}

func TestAWrongQueryIsRefused(t *testing.T) {
	r := start(t).orders()
	for message, conditions := range map[string][]string{
		"Invalid KeyConditionExpression: Syntax error;":             {"", "#s = :h AND", "#s = :h AND #d BETWEEN :n AND :n"},
		"Query condition missed key schema element: due_shard":      {"#d = :n"},
		"Query key condition not supported: ":                       {"#s = :h AND pk = :h", "#s > :h", "#s = :h AND #s = :h"},
		"Condition parameter type does not match schema type: due_": {"#s = :n", "#s = :h AND #d = :h"},
		"of each key one comparison (=, <, <=, >, >=) with a value": {"#s = :h OR #d = :n", "NOT #s = :h", "#s <> :h", "#s IN (:h)", "attribute_exists(#s)", ":h = #s", "#s = #d", "#s = :h AND size(#d) = :n", "#s = :h AND #d > :n AND #d< :n"},
	} {
		for _, condition := range conditions {
			_, err := r.query(condition, values{":h": s("a"), ":n": n("1")}, nil)
			wantInvalid(t, err, message)
		}
	}
	const query = `{"IndexName":"due","KeyConditionExpression":"due_shard = :s","ExpressionAttributeValues":{":s":{"S":"a"}},`
	r.calls([][3]string{
		{"Query", `{"KeyConditionExpression":"due_shard = :s","ExpressionAttributeValues":{":s":{"S":"a"}}}`, "does not support Query without IndexName"},
		{"Query", `{"IndexName":"nosuch","KeyConditionExpression":"due_shard = :s"}`, "The table does not have the specified index: nosuch"},
		{"Query", query + `"Limit":0}`, "Limit must be 1 or more"},
		{"Query", query + `"ExclusiveStartKey":{"pk":{"S":"1"},"due_shard":{"S":"a"}}}`, "The provided starting key is invalid"},
		{"Query", query + `"ExclusiveStartKey":{"pk":{"S":"1"},"due_shard":{"S":"a"},"due_at":{"N":"1"},"x":{"N":"1"}}}`, "The provided starting key is invalid"},
		{"Query", query + `"ExclusiveStartKey":{"pk":{"S":"1"},"due_shard":{"S":"b"},"due_at":{"N":"1"}}}`, "The provided starting key is invalid"},
	}...)
}

// due reads the index of a shard, oldest first.
func (r *rig) due(shard string) []string {
	r.Helper()
	out := must(r.query("#s = :s", values{":s": s(shard)}, nil))
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
	r.mustUpdate("b", "SET due_at = :t", values{":t": n("11")})
	wantDue(t, r, "c", "a", "b")
	r.mustUpdate("c", "REMOVE due_at", nil)
	wantDue(t, r, "a", "b")
	r.mustUpdate("half", "SET due_at = :t", values{":t": n("1")})
	wantDue(t, r, "half", "a", "b")
	r.put(values{"pk": s("a")})
	wantDue(t, r, "half", "b")
	must(r.client.DeleteItem(r.ctx, &dynamodb.DeleteItemInput{TableName: aws.String("Orders"), Key: values{"pk": s("b")}}))
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
		out := must(p.NextPage(r.ctx))
		if k := out.LastEvaluatedKey; k != nil && len(k) != 3 {
			t.Fatalf("place %v", k)
		}
		got = append(got, texts(out.Items, "pk")...)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("%v, want %v", got, want)
	}
}

func TestAnIndexThatLagsShowsOldThingsAndHidesNewOnes(t *testing.T) {
	r := start(t).orders()
	r.put(values{"pk": s("old"), "due_shard": s("0"), "due_at": n("1")})
	r.db.Switches().Set(func(s *dynamo.Settings) { s.IndexLag = 2 * time.Second })
	r.put(values{"pk": s("new"), "due_shard": s("0"), "due_at": n("2")})
	r.mustUpdate("old", "REMOVE due_at, due_shard", nil)
	wantDue(t, r, "old")
	if r.get("new") == nil || len(r.get("old")) != 1 {
		t.Fatal("the table itself lags")
	}
	r.clock.advance(1999 * time.Millisecond)
	wantDue(t, r, "old")
	r.clock.advance(time.Millisecond)
	wantDue(t, r, "new")
	r.mustUpdate("new", "SET due_at = :t", values{":t": n("5")})
	r.db.Switches().Set(func(s *dynamo.Settings) { s.IndexLag = 0 })
	wantDue(t, r, "new")
}

func TestAStaleIndexKeepsShowingWhatLeftIt(t *testing.T) {
	r := start(t).orders()
	r.put(values{"pk": s("a"), "due_shard": s("0"), "due_at": n("1")})
	r.put(values{"pk": s("b"), "due_shard": s("0"), "due_at": n("2")})
	r.db.Switches().Set(func(s *dynamo.Settings) { s.StaleIndex = true })
	r.mustUpdate("a", "REMOVE due_at, due_shard", nil)
	r.mustUpdate("b", "SET due_at = :t", values{":t": n("3")})
	wantDue(t, r, "a", "b", "b")
	r.mustUpdate("a", "SET due_at = :t, due_shard = :s", values{":t": n("1"), ":s": s("0")}) // it comes back
	r.db.Switches().Set(func(s *dynamo.Settings) { s.StaleIndex = false })
	wantDue(t, r, "a", "b")
}

func TestUnitsAreCountedBySizeAndIndex(t *testing.T) {
	r := start(t).orders()
	// counted runs f and returns what it consumed on Orders.
	counted := func(f func()) dynamo.TableConsumed {
		r.db.ResetConsumed()
		f()
		return r.db.Consumed()["Orders"]
	}
	for _, c := range []struct {
		name, expression string
		values           values
		table, index     float64
	}{
		{"outside the index", "SET x = :x", values{":x": n("1")}, 1, 0},
		{"into the index", "SET due_at = :t, due_shard = :s", values{":t": n("1"), ":s": s("0")}, 1, 1},
		{"key unchanged", "SET x = :x", values{":x": n("2")}, 1, 0},
		{"key set to what it is", "SET due_at = :t", values{":t": n("1.0")}, 1, 0},
		{"key changed", "SET due_at = :t", values{":t": n("2")}, 1, 2},
		{"3 KB", "SET v = :v", values{":v": s(strings.Repeat("x", 2500))}, 3, 0},
		{"the larger of old and new", "SET v = :v", values{":v": s("")}, 3, 0},
		{"out of the index", "REMOVE due_at", nil, 1, 1},
	} {
		got := counted(func() { r.mustUpdate("1", c.expression, c.values) })
		if got.WriteUnits != c.table+c.index || got.Indexes["due"].WriteUnits != c.index {
			t.Errorf("%s: %+v, want %v and %v", c.name, got, c.table, c.index)
		}
	}
	failed := counted(func() { must(r.try("attribute_not_exists(pk)", nil)) })
	if failed.WriteUnits != 1 || failed.Operations["UpdateItem"].Calls != 1 {
		t.Errorf("a failed condition is charged %+v", failed)
	}
	r.put(values{"pk": s("big"), "v": s(strings.Repeat("x", 5000))})
	for _, c := range []struct {
		consistent bool
		pk         string
		want       float64
	}{{true, "1", 1}, {false, "1", 0.5}, {true, "big", 2}, {false, "big", 1}, {false, "none", 0.5}, {true, "none", 1}} {
		got := counted(func() {
			must(r.client.GetItem(r.ctx, &dynamodb.GetItemInput{TableName: aws.String("Orders"), Key: values{"pk": s(c.pk)}, ConsistentRead: &c.consistent}))
		})
		if got.ReadUnits != c.want {
			t.Errorf("read %s, consistent %v: %v units, want %v", c.pk, c.consistent, got.ReadUnits, c.want)
		}
	}
	query := counted(func() { r.due("0") })
	if query.Operations["Query"] != (dynamo.OpsConsumed{Calls: 1, ReadUnits: 0.5}) || query.Indexes["due"].ReadUnits != 0.5 || query.ReadUnits != 0.5 {
		t.Errorf("query of the index: %+v", query)
	}
}
