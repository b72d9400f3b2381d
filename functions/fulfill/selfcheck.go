package main

import (
	"context"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// selfCheck reads what a callout needs: the signing secret and the table.
func (h *Handler) selfCheck(ctx context.Context) []fault.Finding {
	_, secret := h.Keys.Keys(ctx, false)
	_, table := h.Claims.Control(ctx, order.SideWHMCS)
	return []fault.Finding{
		fault.Check("AWS", "the signing secret can be read", secret),
		fault.Check("AWS", "the table can be read", table),
	}
}
