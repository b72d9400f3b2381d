package writeback

import (
	"cmp"
	"maps"
	"slices"

	"orderbridge/shared/order"
)

// Limits of one call of the org (REST API Developer Guide): 200 rows a
// collection, 5 collections a composite.
const maxRows = 1000

// cell is one row of the layout and the change that it belongs to.
type cell struct {
	row    order.Shown
	change int // index in the changes
}

// layout puts the rows of changes in the order of the calls: all orders first,
// then their products, each sorted by account, order and product. So rows that lock
// the same account stand together, a collection holds at most two types, and a
// failed product never stands before an order. An id is there once: of two
// orders that claim one product (a clone whose ids were copied), the newer one
// wins.
func layout(changes []Change) []cell {
	turn := upTo(len(changes))
	slices.SortFunc(turn, func(a, b int) int {
		x, y := changes[a].Record, changes[b].Record
		return cmp.Or(cmp.Compare(x.AccountID, y.AccountID), cmp.Compare(x.ID.String(), y.ID.String()))
	})
	var heads, items []cell
	at := map[string]int{} // product id -> index in items
	for _, i := range turn {
		head, lines := Show(changes[i].Record)
		heads = append(heads, cell{head, i})
		for _, item := range changes[i].clear {
			lines = append(lines, order.Shown{ID: head.ID, Item: item, Seq: head.Seq})
		}
		for _, line := range lines {
			if j, twice := at[line.Item]; twice {
				if changes[items[j].change].Record.Seq < changes[i].Record.Seq {
					items[j] = cell{line, i}
				}
				continue
			}
			at[line.Item] = len(items)
			items = append(items, cell{line, i})
		}
	}
	return append(heads, items...)
}

// upTo returns the indexes of n things.
func upTo(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// newest returns the indexes of the changes that hold the newest image of
// their order. Of two with the same seq the later one counts.
func newest(changes []Change) []int {
	at := map[order.ID]int{}
	for i, c := range changes {
		if j, seen := at[c.Record.ID]; !seen || c.Record.Seq >= changes[j].Record.Seq {
			at[c.Record.ID] = i
		}
	}
	return slices.Sorted(maps.Values(at))
}
