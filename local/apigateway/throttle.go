package apigateway

import (
	"sync"
	"time"

	"orderbridge/local/samtemplate"
)

// bucket is the token bucket of one route: it holds as many tokens as requests
// may come at once, gets as many a second as may come a second, and each
// request takes one. The callers of a route share it.
// (API Gateway Developer Guide, "Throttle requests to your HTTP APIs".)
type bucket struct {
	limit samtemplate.Throttle

	mu     sync.Mutex
	tokens float64
	at     time.Time // when tokens was right
}

// newBucket returns a full bucket, or nil where the limit is the zero one.
func newBucket(limit samtemplate.Throttle, now time.Time) *bucket {
	if limit == (samtemplate.Throttle{}) {
		return nil
	}
	return &bucket{limit: limit, tokens: float64(limit.Burst), at: now}
}

// take reports whether a request may pass now; a nil bucket lets all pass.
func (b *bucket) take(now time.Time) bool {
	if b == nil {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if past := now.Sub(b.at); past > 0 {
		b.tokens = min(float64(b.limit.Burst), b.tokens+past.Seconds()*b.limit.Rate)
		b.at = now
	}
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
