package dynamodb

import (
	"bytes"
	"fmt"
	"maps"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

var seeds = []string{
	"", " ", "a", "a = :v", "SET a = :v", "attribute_not_exists(pk) OR (a.b[3].#c >= :v AND NOT begins_with(d, :v))",
	"SET nonces.#n = :v REMOVE nonces.#a, l[0] ADD v :v DELETE s :v", "set a = ((b.c.d)+(e))", "a BETWEEN :v AND :w AND b IN (:v, :w, size(c))",
	"a, b.c, d[0][1]", "((a))", "SET a = list_append(if_not_exists(a, :v), :w)", "a[999999999999999999999] = :v", "\x00", "ä = :v", "\xff = :v",
	"NOT NOT NOT a = :v", strings.Repeat("(", 2000), "SET a = " + strings.Repeat("(", 2000), strings.Repeat("a.", 1000) + "a", "size(size(a)) = :v", "a<>:v", "#:", "a = : v",
}

func fuzzPlaceholders() *placeholders {
	return newPlaceholders(map[string]string{"#n": "n", "#a": "a", "#c": "c"}, map[string]*value{
		":v": {kind: kindS, str: "v"}, ":w": {kind: kindL, list: []*value{}}, ":n": {kind: kindN}, ":s": {kind: kindSS, strs: []string{"a"}},
	})
}

// Whatever the text, each grammar gives a tree or a message of valid UTF-8, and
// what it accepts can be evaluated.
func FuzzExpressions(f *testing.F) {
	for _, s := range seeds {
		f.Add(s)
	}
	sample := item{"a": {kind: kindL, list: []*value{{kind: kindN}}}, "n": {kind: kindN}, "s": {kind: kindSS, strs: []string{"a", "b"}}, "m": {kind: kindM, dict: item{}}}
	f.Fuzz(func(t *testing.T, src string) {
		n, message := parseCondition(src, fuzzPlaceholders())
		check := func(message string) bool {
			if utf8.ValidString(src) && !utf8.ValidString(message) {
				t.Errorf("message %q of %q", message, src)
			}
			return message == ""
		}
		if check(message) {
			_ = n.holds(sample)
			_ = n.holds(nil)
			_ = gatherKeyConditions(n, map[string]keyCondition{})
		}
		if clauses, message := parseUpdate(src, fuzzPlaceholders()); check(message) {
			before := sample.clone()
			if after, err := apply(clauses, sample); err == nil {
				_ = sample.project(updated(clauses))
				_ = after.project(updated(clauses))
				_ = after.wire()
			}
			if !sample.equal(before) {
				t.Errorf("%q changed the item it started from", src)
			}
		}
		if paths, message := parseProjection(src, fuzzPlaceholders()); check(message) {
			_ = sample.project(paths).wire()
		}
	})
}

func FuzzNumber(f *testing.F) {
	for _, s := range []string{"", "0", "-0", "1", "-1.5e3", "1e-130", "1e126", "9e99999999999999999999", ".", "+.5", "5.", "1e", "0x1", "1_0", " 1", strings.Repeat("9", 39)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := parseNumber(s)
		if err != nil {
			return
		}
		again, err := parseNumber(n.String())
		if err != nil || again != n {
			t.Errorf("%q became %q, which became %+v, %v", s, n, again, err)
		}
	})
}

// decimal draws numbers that collide often.
func decimal() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.StringMatching(`-?(0|[1-9][0-9]{0,3})(\.[0-9]{1,3})?`),
		rapid.StringMatching(`-?0{0,3}[0-9]{1,30}(\.[0-9]{1,8})?`),
		rapid.StringMatching(`-?[0-9]{1,5}e-?[0-9]{1,2}`),
	)
}

func rat(t *rapid.T, s string) *big.Rat {
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		t.Fatalf("%q is no number", s)
	}
	return r
}

func TestNumbersAgreeWithRationals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, y := decimal().Draw(t, "x"), decimal().Draw(t, "y")
		a, errA := parseNumber(x)
		b, errB := parseNumber(y)
		if errA != nil || errB != nil {
			t.Fatalf("%q: %v, %q: %v", x, errA, y, errB)
		}
		p, q := rat(t, x), rat(t, y)
		if rat(t, a.String()).Cmp(p) != 0 {
			t.Fatalf("%q reads as %s", x, a)
		}
		if got, want := a.cmp(b), p.Cmp(q); (got < 0) != (want < 0) || (got > 0) != (want > 0) {
			t.Fatalf("%s against %s: %d, want %d", a, b, got, want)
		}
		if (a == b) != (p.Cmp(q) == 0) {
			t.Fatalf("%+v == %+v", a, b)
		}
		for _, m := range []number{b, b.negate()} {
			sum, err := a.add(m)
			want := new(big.Rat).Add(p, rat(t, m.String()))
			switch {
			case err == nil && rat(t, sum.String()).Cmp(want) != 0:
				t.Fatalf("%s + %s = %s", a, m, sum)
			case err != nil && err != errNumberDigits:
				t.Fatalf("%s + %s: %v", a, m, err)
			case err == errNumberDigits:
				// Refused only if it really has more digits than fit.
				digits := strings.Trim(strings.NewReplacer(".", "", "-", "").Replace(want.FloatString(140)), "0")
				if len(digits) <= maxDigits {
					t.Fatalf("%s + %s refused although it is %s", a, m, want.FloatString(20))
				}
			}
		}
	})
}

// The model: conditions as Go closures over plain Go values, written without
// the evaluator.
type modelItem map[string]any // int64, string, bool, map[string]any

func (m modelItem) item() item {
	it := item{}
	for name, v := range m {
		it[name] = modelValue(v)
	}
	return it
}

func modelValue(v any) *value {
	switch v := v.(type) {
	case int64:
		n, err := parseNumber(fmt.Sprint(v))
		if err != nil {
			panic(err)
		}
		return &value{kind: kindN, num: n}
	case string:
		return &value{kind: kindS, str: v}
	case bool:
		return &value{kind: kindBool, yes: v}
	case map[string]any:
		return &value{kind: kindM, dict: modelItem(v).item()}
	}
	panic(fmt.Sprintf("%T", v))
}

func modelScalar() *rapid.Generator[any] {
	return rapid.OneOf(rapid.Map(rapid.Int64Range(-3, 3), func(i int64) any { return i }), rapid.Map(rapid.StringMatching(`[ab]{0,2}`), func(s string) any { return s }))
}

func modelItems() *rapid.Generator[modelItem] {
	return rapid.Custom(func(t *rapid.T) modelItem {
		m := modelItem{}
		for _, name := range []string{"p", "q", "r"} {
			switch rapid.IntRange(0, 3).Draw(t, "shape of "+name) {
			case 0:
			case 1:
				m[name] = rapid.Bool().Draw(t, name)
			case 2:
				m[name] = map[string]any{"k": modelScalar().Draw(t, name)}
			default:
				m[name] = modelScalar().Draw(t, name)
			}
		}
		return m
	})
}

// predicate is a condition and what it means.
type predicate struct {
	text  string
	holds func(modelItem) bool
}

type drawn struct {
	*rapid.T
	values map[string]*value
}

func (d drawn) placeholder(v any) string {
	name := fmt.Sprintf(":v%d", len(d.values))
	d.values[name] = modelValue(v)
	return name
}

// operand is a path or a literal, and its value in an item (nil: none).
func (d drawn) operand() (string, func(modelItem) any) {
	name := rapid.SampledFrom([]string{"p", "q", "r"}).Draw(d.T, "attribute")
	switch rapid.IntRange(0, 3).Draw(d.T, "operand") {
	case 0:
		return name + ".k", func(m modelItem) any {
			if in, ok := m[name].(map[string]any); ok {
				return in["k"]
			}
			return nil
		}
	case 1:
		v := modelScalar().Draw(d.T, "literal")
		return d.placeholder(v), func(modelItem) any { return v }
	}
	return name, func(m modelItem) any { return m[name] }
}

func less(a, b any) (less, comparable bool) {
	switch a := a.(type) {
	case int64:
		if b, ok := b.(int64); ok {
			return a < b, true
		}
	case string:
		if b, ok := b.(string); ok {
			return bytes.Compare([]byte(a), []byte(b)) < 0, true
		}
	}
	return false, false
}

func (d drawn) predicate(depth int) predicate {
	choice := rapid.IntRange(0, 7).Draw(d.T, "form")
	if depth == 0 {
		choice %= 5
	}
	switch choice {
	case 5:
		a := d.predicate(depth - 1)
		return predicate{"NOT (" + a.text + ")", func(m modelItem) bool { return !a.holds(m) }}
	case 6, 7:
		a, b := d.predicate(depth-1), d.predicate(depth-1)
		if choice == 6 {
			return predicate{"(" + a.text + ") AND (" + b.text + ")", func(m modelItem) bool { return a.holds(m) && b.holds(m) }}
		}
		// Without parentheses: OR binds least, so this holds for any a and b
		// that contain no bare OR, and for OR itself.
		return predicate{a.text + " OR (" + b.text + ")", func(m modelItem) bool { return a.holds(m) || b.holds(m) }}
	case 4:
		name := rapid.SampledFrom([]string{"p", "q.k", "r"}).Draw(d.T, "path")
		get := func(m modelItem) any {
			if name == "q.k" {
				in, _ := m["q"].(map[string]any)
				return in["k"]
			}
			return m[name]
		}
		return predicate{"attribute_exists(" + name + ")", func(m modelItem) bool { return get(m) != nil }}
	}
	x, get := d.operand()
	y, with := d.operand()
	if x == y || strings.HasPrefix(x, ":") && strings.HasPrefix(y, ":") {
		v := modelScalar().Draw(d.T, "instead")
		x, get = "p", func(m modelItem) any { return m["p"] }
		y, with = d.placeholder(v), func(modelItem) any { return v }
	}
	switch choice {
	case 0:
		return predicate{x + " = " + y, func(m modelItem) bool { return get(m) != nil && reflect.DeepEqual(get(m), with(m)) }}
	case 1:
		return predicate{x + " <> " + y, func(m modelItem) bool { return !reflect.DeepEqual(get(m), with(m)) }}
	case 2:
		return predicate{x + " < " + y, func(m modelItem) bool { l, ok := less(get(m), with(m)); return ok && l }}
	}
	return predicate{x + " >= " + y, func(m modelItem) bool { l, ok := less(get(m), with(m)); return ok && !l }}
}

func TestConditionsAgreeWithAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawn{t, map[string]*value{}}
		p := d.predicate(3)
		n, message := parseCondition(p.text, newPlaceholders(nil, d.values))
		if message != "" {
			t.Fatalf("%s: %s", p.text, message)
		}
		m := modelItems().Draw(t, "item")
		if got, want := n.holds(m.item()), p.holds(m); got != want {
			t.Fatalf("%s on %v (values %v): %v, want %v", p.text, m, d.values, got, want)
		}
	})
}

// Updates of distinct attributes commute with their order in the text, leave
// the rest alone, and never touch the item they started from.
func TestUpdatesAgreeWithAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := modelItems().Draw(t, "item")
		d := drawn{t, map[string]*value{}}
		want := maps.Clone(before)
		actions := map[string][]string{}
		for _, name := range []string{"p", "q", "r", "s"} {
			number, isNumber := before[name].(int64)
			absent := before[name] == nil
			switch rapid.IntRange(0, 4).Draw(t, "action on "+name) {
			case 1:
				v := modelScalar().Draw(t, "value")
				want[name] = v
				actions["SET"] = append(actions["SET"], name+" = "+d.placeholder(v))
			case 2:
				delete(want, name)
				actions["REMOVE"] = append(actions["REMOVE"], name)
			case 3:
				if !isNumber && !absent {
					continue
				}
				by := rapid.Int64Range(-5, 5).Draw(t, "by")
				want[name] = number + by
				actions["ADD"] = append(actions["ADD"], name+" "+d.placeholder(by))
			case 4:
				if other, ok := before["p"]; ok {
					want[name] = other
					actions["SET"] = append(actions["SET"], name+" = p")
				}
			}
		}
		if len(actions) == 0 {
			return
		}
		var sections []string
		for section, list := range actions {
			sections = append(sections, section+" "+strings.Join(list, ", "))
		}
		slices.Sort(sections)
		sections = rapid.Permutation(sections).Draw(t, "order")
		text := strings.Join(sections, " ")
		clauses, message := parseUpdate(text, newPlaceholders(nil, d.values))
		if message != "" {
			t.Fatalf("%s: %s", text, message)
		}
		old := before.item()
		got, err := apply(clauses, old)
		if err != nil {
			t.Fatalf("%s on %v: %v", text, before, err)
		}
		if !got.equal(want.item()) {
			t.Fatalf("%s on %v: %v, want %v", text, before, got.wire(), want)
		}
		if !old.equal(before.item()) {
			t.Fatalf("%s changed the old item", text)
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
		if got := n.storedSize(); got != c.want {
			t.Errorf("%s takes %d bytes, want %d", c.text, got, c.want)
		}
	}
	it := item{"ä": {kind: kindM, dict: item{"k": {kind: kindL, list: []*value{{kind: kindNull}, {kind: kindS, str: "ab"}}}}}}
	// name 2; map 3+1; k 1; list 3 + (1+1) + (1+2)
	if got := it.size(); got != 15 {
		t.Errorf("size %d", got)
	}
}

// Two keys never share a place, whatever bytes they hold.
func TestPlacesAreInjective(t *testing.T) {
	text := rapid.StringMatching(`[a:0-9SNB\x00]{1,6}`)
	rapid.Check(t, func(t *rapid.T) {
		key := keySchema{{"h", kindS}, {"r", kindS}}
		draw := func(name string) item {
			return item{"h": {kind: kindS, str: text.Draw(t, name+" hash")}, "r": {kind: kindS, str: text.Draw(t, name+" sort")}}
		}
		a, b := draw("a"), draw("b")
		if same := key.entry(a, "").place() == key.entry(b, "").place(); same != a.equal(b) {
			t.Fatalf("%v and %v", a.wire(), b.wire())
		}
	})
}
