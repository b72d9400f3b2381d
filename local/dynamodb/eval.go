package dynamodb

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
)

// at is the value at a document path, nil where there is none.
func (it item) at(p path) *value {
	v := it[p[0].name]
	for _, s := range p[1:] {
		if v == nil {
			return nil
		}
		v = v.child(s)
	}
	return v
}

// child is the member that a step leads to, nil where there is none.
func (v *value) child(s step) *value {
	switch {
	case s.isList && v.kind == kindL && s.index < len(v.list):
		return v.list[s.index]
	case !s.isList && v.kind == kindM:
		return v.dict[s.name]
	}
	return nil
}

// holds evaluates a condition on an item. An operand that is not there makes
// every comparison false but <>, which is true when one side alone is missing.
func (n *node) holds(it item) bool {
	switch n.op {
	case opAnd:
		return n.args[0].holds(it) && n.args[1].holds(it)
	case opOr:
		return n.args[0].holds(it) || n.args[1].holds(it)
	case opNot:
		return !n.args[0].holds(it)
	case opCall:
		return n.call(it)
	case opBetween:
		v := n.args[0].operand(it)
		low, okLow := v.order(n.args[1].operand(it))
		high, okHigh := v.order(n.args[2].operand(it))
		return okLow && okHigh && low >= 0 && high <= 0
	case opIn:
		v := n.args[0].operand(it)
		return v != nil && slices.ContainsFunc(n.args[1:], func(a *node) bool { return v.equal(a.operand(it)) })
	}
	a, b := n.args[0].operand(it), n.args[1].operand(it)
	switch n.op {
	case opEq:
		return a != nil && a.equal(b)
	case opNe:
		return !a.equal(b)
	}
	c, ok := a.order(b)
	if !ok {
		return false
	}
	switch n.op {
	case opLt:
		return c < 0
	case opLe:
		return c <= 0
	case opGt:
		return c > 0
	}
	return c >= 0
}

// operand is the value of a path, a literal or size(); nil if there is none.
func (n *node) operand(it item) *value {
	switch n.op {
	case opPath:
		return it.at(n.path)
	case opValue:
		return n.value
	}
	v := n.args[0].operand(it)
	if v == nil {
		return nil
	}
	length := 0
	switch v.kind {
	case kindS:
		// Not bytes: the service counts as Java does, in UTF-16 units.
		for _, r := range v.str {
			length += max(1, utf16.RuneLen(r))
		}
	case kindB:
		length = len(v.str)
	case kindSS, kindBS:
		length = len(v.strs)
	case kindNS:
		length = len(v.nums)
	case kindL:
		length = len(v.list)
	case kindM:
		length = len(v.dict)
	default:
		return nil
	}
	digits := strconv.Itoa(length)
	return &value{kind: kindN, num: normal(false, digits, len(digits))}
}

func (n *node) call(it item) bool {
	first := n.args[0].operand(it)
	switch n.fn {
	case "attribute_exists":
		return first != nil
	case "attribute_not_exists":
		return first == nil
	}
	second := n.args[1].operand(it)
	if first == nil || second == nil {
		return false
	}
	switch n.fn {
	case "attribute_type":
		return string(first.kind) == second.str
	case "begins_with":
		return first.kind == second.kind && (first.kind == kindS || first.kind == kindB) && strings.HasPrefix(first.str, second.str)
	}
	return first.contains(second)
}

// contains looks for a part of a string or binary, or a member of a set or a
// list.
func (v *value) contains(w *value) bool {
	switch v.kind {
	case kindS, kindB:
		return w.kind == v.kind && strings.Contains(v.str, w.str)
	case kindSS:
		return w.kind == kindS && slices.Contains(v.strs, w.str)
	case kindBS:
		return w.kind == kindB && slices.Contains(v.strs, w.str)
	case kindNS:
		return w.kind == kindN && slices.Contains(v.nums, w.num)
	case kindL:
		return slices.ContainsFunc(v.list, w.equal)
	}
	return false
}

// project is the part of an item that lies on the paths. List members keep
// their order and close ranks.
func (it item) project(paths []path) item {
	tree := &pick{}
	for _, p := range paths {
		if it.at(p) != nil {
			tree.add(p)
		}
	}
	out := item{}
	for name, sub := range tree.names {
		out[name] = sub.cut(it[name])
	}
	return out
}

// pick is a set of paths as a tree; one without children stands for the whole
// value.
type pick struct {
	names   map[string]*pick
	indexes map[int]*pick
}

func (t *pick) add(p path) {
	for _, s := range p {
		var next *pick
		if s.isList {
			if t.indexes == nil {
				t.indexes = map[int]*pick{}
			}
			if next = t.indexes[s.index]; next == nil {
				next = &pick{}
				t.indexes[s.index] = next
			}
		} else {
			if t.names == nil {
				t.names = map[string]*pick{}
			}
			if next = t.names[s.name]; next == nil {
				next = &pick{}
				t.names[s.name] = next
			}
		}
		t = next
	}
}

func (t *pick) cut(v *value) *value {
	switch {
	case t.names != nil:
		out := &value{kind: kindM, dict: item{}}
		for name, sub := range t.names {
			out.dict[name] = sub.cut(v.dict[name])
		}
		return out
	case t.indexes != nil:
		out := &value{kind: kindL, list: []*value{}}
		for i, e := range v.list {
			if sub, ok := t.indexes[i]; ok {
				out.list = append(out.list, sub.cut(e))
			}
		}
		return out
	}
	return v
}
