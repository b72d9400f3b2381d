package main

import (
	"context"
	"fmt"
	"testing"
	"time"

	"orderbridge/shared/order"
	"orderbridge/shared/webhook"
)

// oneKey gives the one key that it is.
type oneKey []byte

// Keys implements webhook.Keys.
func (k oneKey) Keys(context.Context, bool) ([][]byte, error) { return [][]byte{k}, nil }

// verifyAllocations returns how many allocations the check of one callout takes,
// from the request to the Callout.
func verifyAllocations(ctx context.Context) (float64, error) {
	const tolerance = 5 * time.Minute
	v, err := webhook.New(oneKey(webhookSecret), webhook.Config{Tolerance: tolerance})
	if err != nil {
		return 0, fmt.Errorf("make verifier: %w", err)
	}
	now := time.Now()
	id, nonce, stamp := "801000000000001AAA", string(order.NewToken()), now.UTC().Format("2006-01-02T15:04:05.000Z")
	body := fmt.Appendf(nil, `{"orderId":%q,"timestamp":%q,"nonce":%q}`, id, stamp, nonce)
	r := webhook.Request{
		PathID: id, Body: body, Signature: webhook.Sign([]byte(webhookSecret), body), Timestamp: stamp, Nonce: nonce,
		ContentType: "application/json", IdempotencyKey: "provision-" + id,
	}
	if _, err := v.Verify(ctx, r, now); err != nil {
		return 0, fmt.Errorf("verify a callout: %w", err)
	}
	const runs = 1000
	return testing.AllocsPerRun(runs, func() { _, _ = v.Verify(ctx, r, now) }), nil
}
