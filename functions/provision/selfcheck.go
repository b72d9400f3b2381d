package main

import (
	"context"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// selfCheck reads what an order needs: the table, its indexes, the queue, WHMCS
// and Salesforce with the secrets for them. It opens and closes no breaker.
func (h *handler) selfCheck(ctx context.Context) []fault.Finding {
	_, table := h.store.Control(ctx, order.SideWHMCS)
	now := h.now()
	_, due := h.store.Due(ctx, now, 1)
	_, failed := h.store.Failed(ctx, now, 1)
	_, queue := h.hints.Waiting(ctx)
	return []fault.Finding{
		fault.Check("AWS", "the table can be read", table),
		fault.Check("AWS", "the index of due orders can be read", due),
		fault.Check("AWS", "the index of failed orders can be read", failed),
		fault.Check("AWS", "the work queue can be read", queue),
		fault.Check("WHMCS", "it answers, and takes the credential", h.probes.whmcs(ctx)),
		fault.Check("Salesforce", "it answers, and the user may read and write what it must", h.probes.salesforce(ctx)),
	}
}

// probes are the cheapest reads that show whether a side serves.
type probes struct {
	whmcs, salesforce func(ctx context.Context) error
}
