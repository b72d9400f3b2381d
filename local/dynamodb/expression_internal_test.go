package dynamodb

import (
	"math/big"
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
		if c, err := parse("Condition", &src, ph(), bare, (*parser).condition); err == nil {
			_ = c.holds(sample)
			_ = c.holds(nil)
		}
		if update, err := parse("Update", &src, ph(), bare, (*parser).update); err == nil {
			if after, err := apply(update, sample); err == nil {
				_ = after.wire()
			}
			if !sample.equal(again) {
				t.Errorf("%q changed the item it started from", src)
			}
		}
		_, _ = parse("Projection", &src, ph(), bare, (*parser).projection)
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
