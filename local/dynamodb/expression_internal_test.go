package dynamodb

import (
	"fmt"
	"math/big"
	"reflect"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"pgregory.net/rapid"
)

// Whatever the text, each grammar gives a tree or an error, and what it accepts
// can be evaluated and changes no item.
func FuzzExpressions(f *testing.F) {
	for _, s := range []string{
		"", "a", "a = :v", "SET a = :v", "attribute_not_exists(pk) OR (a.b.#n >= :v AND NOT size(d) < :v)", "SET m.#n = :v REMOVE m.#a, s", "set a = if_not_exists(b, :v) + :v",
		"a IN (:v, :w, size(c))", "a, b", "((a))", "SET a = list_append(if_not_exists(a, :w), :w)", "\x00", "ä = :v", "\xff", strings.Repeat("(", 2000), strings.Repeat("a.", 1000) + "a", "a<>:v", "#:",
	} {
		f.Add(s)
	}
	bare := map[string]kind{"a": kindS, "b": kindS, "c": kindS, "d": kindS, "m": kindS, "n": kindS, "pk": kindS, "s": kindS}
	f.Fuzz(func(t *testing.T, src string) {
		var sample, again item
		for _, it := range []*item{&sample, &again} {
			if err := json.Unmarshal([]byte(`{"a":{"L":[{"N":"1"}]},"n":{"N":"2"},"s":{"S":"x"},"m":{"M":{"n":{"M":{}}}}}`), it); err != nil {
				t.Fatal(err)
			}
		}
		ph := func() *placeholders {
			return &placeholders{ExpressionAttributeNames: map[string]string{"#n": "n", "#a": "a"}, ExpressionAttributeValues: item{":v": sample["s"], ":w": sample["a"], ":n": sample["n"]}}
		}
		if c, err := parse("Condition", src, ph(), bare, (*parser).condition); err == nil {
			_ = c.holds(sample)
			_ = c.holds(nil)
		}
		if update, err := parse("Update", src, ph(), bare, (*parser).update); err == nil {
			if after, err := apply(update, sample); err == nil {
				_ = after.wire()
			}
			if !sample.equal(again) {
				t.Errorf("%q changed the item it started from", src)
			}
		}
		_, _ = parse("Projection", src, ph(), bare, (*parser).projection)
	})
}

// decimals draws numbers that collide often.
func decimals() *rapid.Generator[string] {
	return rapid.OneOf(rapid.StringMatching(`-?(0|[1-9][0-9]{0,3})(\.[0-9]{1,3})?`), rapid.StringMatching(`-?0{0,3}[0-9]{1,30}(\.[0-9]{1,8})?`), rapid.StringMatching(`-?[0-9]{1,18}`))
}

func TestNumbersAgreeWithRationals(t *testing.T) {
	rat := func(s string) *big.Rat { r, _ := new(big.Rat).SetString(s); return r }
	rapid.Check(t, func(t *rapid.T) {
		x, y := decimals().Draw(t, "x"), decimals().Draw(t, "y")
		a, errA := parseNumber(x)
		b, errB := parseNumber(y)
		if errA != nil || errB != nil {
			t.Fatalf("%q: %v, %q: %v", x, errA, y, errB)
		}
		p, q := rat(x), rat(y)
		if rat(string(a)).Cmp(p) != 0 || a.cmp(b) != p.Cmp(q) || (a == b) != (p.Cmp(q) == 0) {
			t.Fatalf("%s reads as %s, %s as %s; compare to %d", x, a, y, b, a.cmp(b))
		}
		sum := new(big.Rat).Add(p, q)
		fits := p.IsInt() && q.IsInt() && p.Num().IsInt64() && q.Num().IsInt64() && sum.Num().IsInt64()
		if got, err := a.add(b); (err == nil) != fits || fits && rat(string(got)).Cmp(sum) != 0 {
			t.Fatalf("%s + %s = %s, %v", a, b, got, err)
		}
	})
}

func TestSizesAreTheServices(t *testing.T) {
	for _, c := range []struct {
		text string
		want int
	}{{"0", 1}, {"1", 2}, {"10", 2}, {"11", 2}, {"110", 3}, {"-1", 3}, {"1" + strings.Repeat("0", 125), 2}, {strings.Repeat("1", 38), 20}, {"11111" + strings.Repeat("0", 121), 4}} {
		n, err := parseNumber(c.text)
		if err != nil {
			t.Fatal(err)
		}
		if got := n.size(); got != c.want {
			t.Errorf("%s takes %d bytes, want %d", c.text, got, c.want)
		}
	}
	it := item{"ä": {kind: kindM, dict: item{"k": {kind: kindL, list: []*value{{kind: kindNull}, {kind: kindS, str: "ab"}}}}}}
	// name 2; map 3+1; k 1; list 3 + (1+1) + (1+2)
	if got := it.size(); got != 15 {
		t.Errorf("size %d", got)
	}
}

// A condition and what it means for an item of plain Go values: int64, string,
// and map[string]any.
type predicate struct {
	text  string
	holds func(map[string]any) bool
}

func modelValue(v any) *value {
	switch v := v.(type) {
	case int64:
		return &value{kind: kindN, num: whole(v)}
	case string:
		return &value{kind: kindS, str: v}
	}
	dict := item{}
	for name, member := range v.(map[string]any) {
		dict[name] = modelValue(member)
	}
	return &value{kind: kindM, dict: dict}
}

func modelScalar() *rapid.Generator[any] {
	return rapid.OneOf(rapid.Map(rapid.Int64Range(-3, 3), func(i int64) any { return i }), rapid.Map(rapid.StringMatching(`[ab]{0,2}`), func(s string) any { return s }))
}

type drawn struct {
	*rapid.T
	values item
}

// operand is a path or a literal, and its value in an item (nil: none).
func (d drawn) operand(name string) (string, func(map[string]any) any) {
	switch rapid.IntRange(0, 3).Draw(d.T, "operand") {
	case 0:
		return name + ".k", func(m map[string]any) any {
			in, _ := m[name].(map[string]any)
			return in["k"]
		}
	case 1:
		v, placeholder := modelScalar().Draw(d.T, "literal"), fmt.Sprintf(":v%d", len(d.values))
		d.values[placeholder] = modelValue(v)
		return placeholder, func(map[string]any) any { return v }
	}
	return name, func(m map[string]any) any { return m[name] }
}

func less(a, b any) (less, comparable bool) {
	if a, ok := a.(int64); ok {
		b, ok := b.(int64)
		return a < b, ok
	}
	x, okX := a.(string)
	y, okY := b.(string)
	return x < y, okX && okY
}

func (d drawn) predicate(depth int) predicate {
	choice := rapid.IntRange(0, 7).Draw(d.T, "form")
	if depth == 0 {
		choice %= 5
	}
	switch choice {
	case 5:
		a := d.predicate(depth - 1)
		return predicate{"NOT (" + a.text + ")", func(m map[string]any) bool { return !a.holds(m) }}
	case 6:
		a, b := d.predicate(depth-1), d.predicate(depth-1)
		return predicate{"(" + a.text + ") AND (" + b.text + ")", func(m map[string]any) bool { return a.holds(m) && b.holds(m) }}
	case 7:
		// Without parentheses, because OR binds least.
		a, b := d.predicate(depth-1), d.predicate(depth-1)
		return predicate{a.text + " OR (" + b.text + ")", func(m map[string]any) bool { return a.holds(m) || b.holds(m) }}
	case 4:
		return predicate{"attribute_exists(r)", func(m map[string]any) bool { return m["r"] != nil }}
	}
	x, get := d.operand("p")
	y, with := d.operand("q")
	switch choice {
	case 0:
		return predicate{x + " = " + y, func(m map[string]any) bool { return get(m) != nil && reflect.DeepEqual(get(m), with(m)) }}
	case 1:
		return predicate{x + " <> " + y, func(m map[string]any) bool { return !reflect.DeepEqual(get(m), with(m)) }}
	case 2:
		return predicate{x + " < " + y, func(m map[string]any) bool { l, ok := less(get(m), with(m)); return ok && l }}
	}
	return predicate{x + " >= " + y, func(m map[string]any) bool { l, ok := less(get(m), with(m)); return ok && !l }}
}

func TestConditionsAgreeWithAModel(t *testing.T) {
	bare := map[string]kind{"p": kindS, "q": kindS, "r": kindS, "k": kindS}
	rapid.Check(t, func(t *rapid.T) {
		d := drawn{t, item{}}
		p := d.predicate(3)
		c, err := parse("Condition", p.text, &placeholders{ExpressionAttributeValues: d.values}, bare, (*parser).condition)
		if err != nil {
			t.Fatalf("%s: %v", p.text, err)
		}
		m := map[string]any{}
		for _, name := range []string{"p", "q", "r"} {
			switch rapid.IntRange(0, 2).Draw(t, "shape of "+name) {
			case 1:
				m[name] = map[string]any{"k": modelScalar().Draw(t, name)}
			case 2:
				m[name] = modelScalar().Draw(t, name)
			}
		}
		if got, want := c.holds(modelValue(m).dict), p.holds(m); got != want {
			t.Fatalf("%s on %v (values %v): %v, want %v", p.text, m, d.values.wire(), got, want)
		}
	})
}
