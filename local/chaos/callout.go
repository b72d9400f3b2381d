package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/webhook"
)

// callout is one signed request, ready to be sent any number of times.
type callout struct {
	id                               order.ID
	key, timestamp, nonce, signature string
	body                             []byte
}

func (r *run) sign(s *sale, key string) (callout, error) {
	c := callout{id: s.id, key: key, timestamp: time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), nonce: string(order.NewToken())}
	var err error
	if c.body, err = json.Marshal(map[string]string{"orderId": s.id.String(), "timestamp": c.timestamp, "nonce": c.nonce}); err != nil {
		return c, fmt.Errorf("write callout: %w", err)
	}
	c.signature = webhook.Sign(r.secret, c.body)
	return c, nil
}

// send sends a callout once. status 0: no answer came.
func (r *run) send(ctx context.Context, c callout) (status int, code string) {
	r.seen.add("callouts", 1)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.sys.API+"/orders/"+c.id.String()+"/fulfill", bytes.NewReader(c.body))
	if err != nil {
		return 0, err.Error()
	}
	for name, v := range map[string]string{"Content-Type": "application/json", "Idempotency-Key": c.key, "Prefer": "respond-async",
		"X-SF-Signature": c.signature, "X-SF-Timestamp": c.timestamp, "X-SF-Nonce": c.nonce} {
		req.Header.Set(name, v)
	}
	res, err := r.client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	var p struct {
		Code string `json:"code"`
	}
	_ = json.Unmarshal(b, &p) // the gateway's own answers have no code
	return res.StatusCode, p.Code
}

// recorded reports whether an answer says that the callout is in the table.
func recorded(status int) bool { return status == 200 || status == 202 || status == 422 }

// click sends a callout until an answer says that it was recorded, as an
// operator does who reads "not delivered, click again".
func (r *run) click(ctx context.Context, s *sale, key string, rng *rand.Rand) error {
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		c, err := r.sign(s, key)
		if err != nil {
			return err
		}
		status, code := r.send(ctx, c)
		switch {
		case recorded(status):
			return nil
		case status == 0, status == 429, status >= 500:
			r.seen.add("callouts sent again", 1)
		default:
			return fmt.Errorf("callout of %s: %d %s", s.id, status, code)
		}
		wait(ctx, between(rng, 100*time.Millisecond, time.Second))
	}
}

// twice sends one and the same request twice at once: a nonce is good for one
// of them.
func (r *run) twice(ctx context.Context, s *sale, key string) {
	c, err := r.sign(s, key)
	if err != nil {
		return // a click follows and says so
	}
	var both sync.WaitGroup
	var status [2]int
	var code [2]string
	for i := range status {
		both.Go(func() { status[i], code[i] = r.send(ctx, c) })
	}
	both.Wait()
	if recorded(status[0]) && recorded(status[1]) {
		r.found(s.id, "one nonce was taken twice: %v", status)
	}
	for i := range status {
		if code[i] == string(fault.NonceReplayed) {
			r.seen.add("replays refused", 1)
		}
	}
}
