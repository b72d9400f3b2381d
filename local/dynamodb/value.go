package dynamodb

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// kind is the type of an attribute value, named as on the wire.
type kind string

const (
	kindS    kind = "S"
	kindN    kind = "N"
	kindBool kind = "BOOL"
	kindNull kind = "NULL"
	kindL    kind = "L"
	kindM    kind = "M"
)

// maxNesting is how deep lists and maps may lie in each other.
const maxNesting = 32

// value is one attribute value. A value is never changed once it is made:
// images in the stream and in the index share it with the table.
type value struct {
	kind kind
	str  string // S
	num  number // N
	yes  bool   // BOOL
	list []*value
	dict item // M
}

// item is a set of named attributes: a table's row, or a map in it.
type item map[string]*value

// UnmarshalJSONFrom reads {"S":"text"} and the like; exactly one type.
func (v *value) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	var in struct {
		S, N       *string
		BOOL, NULL *bool
		L          []*value
		M          item
	}
	if err := json.UnmarshalDecode(dec, &in); err != nil {
		return err
	}
	found := 0
	set := func(there bool, read value) {
		if there {
			found++
			*v = read
		}
	}
	set(in.S != nil, value{kind: kindS, str: deref(in.S)})
	set(in.BOOL != nil, value{kind: kindBool, yes: deref(in.BOOL)})
	set(deref(in.NULL), value{kind: kindNull})
	set(in.L != nil, value{kind: kindL, list: in.L})
	set(in.M != nil, value{kind: kindM, dict: in.M})
	if in.N != nil {
		n, err := parseNumber(*in.N)
		if err != nil {
			return err
		}
		set(true, value{kind: kindN, num: n})
	}
	if found != 1 || slices.Contains(in.L, nil) {
		return invalid("an attribute value must have exactly one type")
	}
	return nil
}

// UnmarshalJSONFrom reads an object of attribute values.
func (it *item) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	var in map[string]*value
	if err := json.UnmarshalDecode(dec, &in); err != nil {
		return err
	}
	for name, v := range in {
		if v == nil {
			return invalid("attribute %q: an attribute value must have exactly one type", name)
		}
	}
	*it = in
	return nil
}

func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// wire is the value in the shape in which the protocol sends it.
func (v *value) wire() map[string]any {
	var inner any
	switch v.kind {
	case kindS:
		inner = v.str
	case kindN:
		inner = string(v.num)
	case kindBool:
		inner = v.yes
	case kindNull:
		inner = true
	case kindL:
		list := make([]any, len(v.list))
		for i, e := range v.list {
			list[i] = e.wire()
		}
		inner = list
	case kindM:
		inner = v.dict.wire()
	}
	return map[string]any{string(v.kind): inner}
}

func (it item) wire() map[string]any {
	m := make(map[string]any, len(it))
	for name, v := range it {
		m[name] = v.wire()
	}
	return m
}

// pick is the item with only those of the attributes that it has.
func (it item) pick(names ...string) item {
	c := make(item, len(names))
	for _, name := range names {
		if v, ok := it[name]; ok {
			c[name] = v
		}
	}
	return c
}

func (v *value) equal(w *value) bool {
	if v == nil || w == nil || v.kind != w.kind {
		return v == w
	}
	return v.str == w.str && v.num == w.num && v.yes == w.yes && slices.EqualFunc(v.list, w.list, (*value).equal) && v.dict.equal(w.dict)
}

func (it item) equal(other item) bool {
	return maps.EqualFunc(it, other, (*value).equal)
}

// order compares two strings or two numbers; ok is false for anything else.
func (v *value) order(w *value) (c int, ok bool) {
	switch {
	case v == nil || w == nil || v.kind != w.kind:
	case v.kind == kindS:
		return strings.Compare(v.str, w.str), true // by UTF-8 bytes
	case v.kind == kindN:
		return v.num.cmp(w.num), true
	}
	return 0, false
}

// length is the result of size(path); nil where the service knows none.
func (v *value) length() *value {
	n := 0
	switch {
	case v == nil:
		return nil
	case v.kind == kindS:
		// Not bytes: the service counts UTF-16 units, as Java does.
		n = len(utf16.Encode([]rune(v.str)))
	case v.kind == kindL:
		n = len(v.list)
	case v.kind == kindM:
		n = len(v.dict)
	default:
		return nil
	}
	return &value{kind: kindN, num: whole(int64(n))}
}

// size is what the value counts towards an item: bytes of text, about half a
// byte a digit, three bytes for a list or map and one for each of its members
// (Developer Guide, "Item sizes and formats").
func (v *value) size() int {
	switch v.kind {
	case kindS:
		return len(v.str)
	case kindN:
		return v.num.size()
	case kindL:
		n := 3
		for _, e := range v.list {
			n += 1 + e.size()
		}
		return n
	case kindM:
		return 3 + len(v.dict) + v.dict.size()
	}
	return 1
}

// size is the item's size in bytes: names and values.
func (it item) size() int {
	n := 0
	for name, v := range it {
		n += len(name) + v.size()
	}
	return n
}

// depth is how deep lists and maps lie in the value, itself included.
func (v *value) depth() int {
	d := 0
	for _, e := range v.list {
		d = max(d, e.depth())
	}
	for _, e := range v.dict {
		d = max(d, e.depth())
	}
	if v.kind == kindL || v.kind == kindM {
		d++
	}
	return d
}
