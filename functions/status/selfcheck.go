package main

import (
	"context"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// noOrder is a well-formed order id that no org gives.
const noOrder = "801000000000000AAA"

// selfCheck reads what a request needs: one order of the table.
func (h *Handler) selfCheck(ctx context.Context) []fault.Finding {
	id, err := order.ParseID(noOrder)
	if err == nil {
		_, err = h.Orders.Progress(ctx, id)
	}
	return []fault.Finding{fault.Check("AWS", "the table can be read", err)}
}
