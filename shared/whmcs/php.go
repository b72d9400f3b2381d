package whmcs

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// AddOrder takes customfields[i] and configoptions[i] as base64 of PHP's
// serialize (developers.whmcs.com, AddOrder). The encoder is our own: the
// libraries at hand escape apostrophes, which serialize does not, so PHP
// would refuse the string, and they walk maps in Go's order.

// customFields encodes field id -> text. An empty map is "", which keeps the
// index of a line without fields.
func customFields(m map[string]string) string { return encodePHP(m, phpString) }

// configOptions encodes option id -> choice. Digits become an integer (the id
// of the chosen option, or the quantity); a JSON object such as
// {"optionid":12,"qty":3} becomes the array form of a quantity option; other
// text stays a string.
func configOptions(m map[string]string) string { return encodePHP(m, phpOption) }

func encodePHP(m map[string]string, value func(string) string) string {
	if len(m) == 0 {
		return ""
	}
	return base64.StdEncoding.EncodeToString([]byte(phpMap(m, value)))
}

// phpMap serializes m in ascending order of its keys, integers first, so that
// the same order always makes the same body.
func phpMap(m map[string]string, value func(string) string) string {
	keys := slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		x, xok := phpInteger(a)
		y, yok := phpInteger(b)
		switch {
		case xok && yok:
			return cmp.Compare(x, y)
		case xok:
			return -1
		case yok:
			return 1
		}
		return strings.Compare(a, b)
	})
	var b strings.Builder
	b.WriteString("a:" + strconv.Itoa(len(keys)) + ":{")
	for _, k := range keys {
		b.WriteString(phpScalar(k) + value(m[k]))
	}
	b.WriteString("}")
	return b.String()
}

func phpOption(s string) string {
	var object map[string]json.Number
	if err := json.Unmarshal([]byte(s), &object); err == nil && len(object) > 0 {
		fields := make(map[string]string, len(object))
		for k, n := range object {
			fields[k] = n.String()
		}
		return phpMap(fields, phpOption)
	}
	return phpScalar(s)
}

// phpScalar writes what PHP makes an integer as one, other text as a string.
func phpScalar(s string) string {
	if _, ok := phpInteger(s); ok {
		return "i:" + s + ";"
	}
	return phpString(s)
}

// phpString writes a string; its length counts bytes.
func phpString(s string) string { return "s:" + strconv.Itoa(len(s)) + `:"` + s + `";` }

// phpInteger reports whether PHP makes s an integer when it is an array key:
// decimal, without leading zeros, plus sign or "-0", inside 64 bits.
func phpInteger(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && strconv.FormatInt(n, 10) == s
}
