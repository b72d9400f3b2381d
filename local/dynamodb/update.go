package dynamodb

import (
	"slices"
)

const (
	badOperandType = "An operand in the update expression has an incorrect data type"
	badUpdatePath  = "The document path provided in the update expression is invalid for update"
	noSuchOperand  = "The provided expression refers to an attribute that does not exist in the item"
)

// apply returns a changed copy of an item. Every right-hand side and every
// list index refers to the item as it was before.
func apply(clauses []clause, old item) (item, error) {
	it := old.clone()
	values := make([]*value, len(clauses))
	for i, c := range clauses {
		if c.section != "SET" {
			continue
		}
		v, err := c.value.assign(old)
		if err != nil {
			return nil, err
		}
		values[i] = v.clone()
	}
	lists := map[*value]*listEdit{}
	for i, c := range clauses {
		if err := applyOne(c, values[i], it, lists); err != nil {
			return nil, err
		}
	}
	for list, edit := range lists {
		edit.finish(list)
	}
	return it, nil
}

// listEdit gathers what happens to a list, so that removals do not shift the
// indexes of the other clauses.
type listEdit struct {
	removed map[int]struct{}
	added   map[int]*value // beyond the end: appended in the order of their indexes
}

func (e *listEdit) finish(list *value) {
	kept := make([]*value, 0, len(list.list)+len(e.added))
	for i, v := range list.list {
		if _, gone := e.removed[i]; !gone {
			kept = append(kept, v)
		}
	}
	indexes := make([]int, 0, len(e.added))
	for i := range e.added {
		indexes = append(indexes, i)
	}
	slices.Sort(indexes)
	for _, i := range indexes {
		kept = append(kept, e.added[i])
	}
	list.list = kept
}

// place is where a clause writes: a member of a map or of a list.
type place struct {
	dict  item
	list  *value
	last  step
	lists map[*value]*listEdit
}

func (p place) get() *value {
	if p.list == nil {
		return p.dict[p.last.name]
	}
	return p.list.child(p.last)
}

func (p place) edit() *listEdit {
	e := p.lists[p.list]
	if e == nil {
		e = &listEdit{removed: map[int]struct{}{}, added: map[int]*value{}}
		p.lists[p.list] = e
	}
	return e
}

func (p place) set(v *value) {
	switch {
	case p.list == nil:
		p.dict[p.last.name] = v
	case p.last.index < len(p.list.list):
		p.list.list[p.last.index] = v
	default:
		p.edit().added[p.last.index] = v
	}
}

func (p place) remove() {
	if p.list == nil {
		delete(p.dict, p.last.name)
		return
	}
	p.edit().removed[p.last.index] = struct{}{}
}

// find walks to the parent of a path, which must be there and of the right
// type.
func find(it item, p path, lists map[*value]*listEdit) (place, error) {
	parent := &value{kind: kindM, dict: it}
	for _, s := range p[:len(p)-1] {
		if parent = parent.child(s); parent == nil {
			return place{}, invalid(badUpdatePath)
		}
	}
	last := p[len(p)-1]
	switch {
	case last.isList && parent.kind == kindL:
		return place{list: parent, last: last, lists: lists}, nil
	case !last.isList && parent.kind == kindM:
		return place{dict: parent.dict, last: last, lists: lists}, nil
	}
	return place{}, invalid(badUpdatePath)
}

func applyOne(c clause, assigned *value, it item, lists map[*value]*listEdit) error {
	where, err := find(it, c.path, lists)
	if err != nil {
		return err
	}
	switch c.section {
	case "SET":
		where.set(assigned)
		return nil
	case "REMOVE":
		where.remove()
		return nil
	}
	old, operand := where.get(), c.value.value
	if old != nil && old.kind != operand.kind {
		return invalid(badOperandType)
	}
	if c.section == "ADD" {
		sum, err := old.plus(operand)
		if err != nil {
			return err
		}
		where.set(sum)
		return nil
	}
	if old == nil {
		return nil
	}
	if rest := old.without(operand); rest != nil {
		where.set(rest)
	} else {
		where.remove() // sets are never empty
	}
	return nil
}

// plus is ADD: a sum, or the union of two sets. A missing attribute counts as
// zero or as the empty set.
func (v *value) plus(w *value) (*value, error) {
	if v == nil {
		return w.clone(), nil
	}
	r := v.clone()
	switch v.kind {
	case kindN:
		n, err := v.num.add(w.num)
		if err != nil {
			return nil, invalid(err.Error())
		}
		r.num = n
	case kindNS:
		r.nums = union(r.nums, w.nums)
	default:
		r.strs = union(r.strs, w.strs)
	}
	return r, nil
}

// without is DELETE: the set without the members of the other; nil when none
// is left.
func (v *value) without(w *value) *value {
	r := v.clone()
	if v.kind == kindNS {
		r.nums = slices.DeleteFunc(r.nums, func(n number) bool { return slices.Contains(w.nums, n) })
	} else {
		r.strs = slices.DeleteFunc(r.strs, func(s string) bool { return slices.Contains(w.strs, s) })
	}
	if len(r.nums)+len(r.strs) == 0 {
		return nil
	}
	return r
}

func union[T comparable](a, b []T) []T {
	for _, e := range b {
		if !slices.Contains(a, e) {
			a = append(a, e)
		}
	}
	return a
}

// assign is the value of a right-hand side of SET.
func (n *node) assign(it item) (*value, error) {
	switch n.op {
	case opValue:
		return n.value, nil
	case opPath:
		if v := it.at(n.path); v != nil {
			return v, nil
		}
		return nil, invalid(noSuchOperand)
	case opCall:
		if n.fn == "if_not_exists" {
			if v := it.at(n.args[0].path); v != nil {
				return v, nil
			}
			return n.args[1].assign(it)
		}
	}
	a, err := n.args[0].assign(it)
	if err != nil {
		return nil, err
	}
	b, err := n.args[1].assign(it)
	if err != nil {
		return nil, err
	}
	if n.op == opCall { // list_append
		if a.kind != kindL || b.kind != kindL {
			return nil, invalid(badOperandType)
		}
		return &value{kind: kindL, list: slices.Concat(a.list, b.list)}, nil
	}
	if a.kind != kindN || b.kind != kindN {
		return nil, invalid(badOperandType)
	}
	second := b.num
	if n.op == opMinus {
		second = second.negate()
	}
	sum, err := a.num.add(second)
	if err != nil {
		return nil, invalid(err.Error())
	}
	return &value{kind: kindN, num: sum}, nil
}
