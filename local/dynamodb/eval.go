package dynamodb

import (
	"maps"
	"slices"
)

// at is the value at a document path, nil where there is none.
func (it item) at(p path) *value {
	for ; len(p) > 1; p = p[1:] {
		v := it[p[0]]
		if v == nil || v.kind != kindM {
			return nil
		}
		it = v.dict
	}
	return it[p[0]]
}

// in is the operand's value in an item; nil if it has none.
func (o operand) in(it item) *value {
	switch {
	case o.value != nil:
		return o.value
	case o.size:
		return it.at(o.path).length()
	}
	return it.at(o.path)
}

// holds evaluates a condition on an item. An operand that is not there makes
// every comparison false but <>, which is true when one side alone is missing.
func (c *condition) holds(it item) bool {
	switch c.op {
	case "AND":
		return c.parts[0].holds(it) && c.parts[1].holds(it)
	case "OR":
		return c.parts[0].holds(it) || c.parts[1].holds(it)
	case "NOT":
		return !c.parts[0].holds(it)
	case "attribute_exists":
		return c.left.in(it) != nil
	case "attribute_not_exists":
		return c.left.in(it) == nil
	case "IN":
		v := c.left.in(it)
		return v != nil && slices.ContainsFunc(c.right, func(o operand) bool { return v.equal(o.in(it)) })
	}
	return compare(c.op, c.left.in(it), c.right[0].in(it))
}

func compare(op string, a, b *value) bool {
	switch op {
	case "=":
		return a != nil && a.equal(b)
	case "<>":
		return !a.equal(b)
	}
	n, ok := a.order(b)
	if !ok {
		return false
	}
	switch op {
	case "<":
		return n < 0
	case "<=":
		return n <= 0
	case ">":
		return n > 0
	}
	return n >= 0
}

// apply returns a changed copy of an item. Every right-hand side refers to the
// item as it was before.
func apply(all []assignment, before item) (item, error) {
	after := maps.Clone(before)
	for _, a := range all {
		var v *value
		if a.value != nil {
			var err error
			if v, err = a.value(before); err != nil {
				return nil, err
			}
		}
		if err := after.set(a.path, v); err != nil {
			return nil, err
		}
	}
	return after, nil
}

// set puts a value at a path, or takes away what is there if the value is nil.
// The maps on the way must be there, and are copied.
func (it item) set(p path, v *value) error {
	if len(p) == 1 {
		it[p[0]] = v
		if v == nil {
			delete(it, p[0])
		}
		return nil
	}
	parent := it[p[0]]
	if parent == nil || parent.kind != kindM {
		return invalid("The document path provided in the update expression is invalid for update")
	}
	changed := maps.Clone(parent.dict)
	it[p[0]] = &value{kind: kindM, dict: changed}
	return changed.set(p[1:], v)
}
