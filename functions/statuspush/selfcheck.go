package main

import (
	"context"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// books are the parts of the table that the self-check reads.
type books interface {
	Control(ctx context.Context, side order.Side) (order.Control, error)
	Changed(ctx context.Context, from, until time.Time, limit int) (rows []order.Changed, reached time.Time, err error)
}

// selfCheck reads what the write-back needs: the table, its index, and
// Salesforce with the secret for it. It opens and closes no breaker.
func (h *Handler) selfCheck(ctx context.Context) []fault.Finding {
	_, table := h.Table.Control(ctx, order.SideSalesforce)
	now := h.Now()
	_, _, index := h.Table.Changed(ctx, now.Add(-time.Hour), now, 1)
	return []fault.Finding{
		fault.Check("AWS", "the table can be read", table),
		fault.Check("AWS", "the index of what Salesforce must see can be read", index),
		fault.Check("Salesforce", "it answers, and the user may read and write what it must", h.Probe(ctx)),
	}
}
