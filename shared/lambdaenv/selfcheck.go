package lambdaenv

import (
	"context"
	"encoding/json"
	"fmt"

	"orderbridge/shared/fault"
)

// SelfCheckEvent asks a function whether it can work with the settings that it
// was started with. A gateway, queue, stream or schedule cannot send it: each
// puts what a caller says inside an envelope of its own.
const SelfCheckEvent = `{"selfcheck":true}`

// maxSelfCheck is longer than SelfCheckEvent in any spelling, and shorter than
// every other event: those are not decoded twice.
const maxSelfCheck = 64

// SelfCheck is the answer to SelfCheckEvent. OK: every finding is good.
type SelfCheck struct {
	OK       bool      `json:"ok"`
	Findings []Finding `json:"findings"`
}

// Finding is a fault.Finding on the wire.
type Finding struct {
	Of   string `json:"of"`
	What string `json:"what"`
	OK   bool   `json:"ok"`
	Seen string `json:"seen,omitempty"`
	Do   string `json:"do,omitempty"`
}

// Handler is the handler of a function, as lambda.Handler says it.
type Handler interface {
	Invoke(ctx context.Context, payload []byte) ([]byte, error)
}

// SelfChecked returns a Handler that answers SelfCheckEvent with what check
// finds, which must only read, and gives every other event to next.
func SelfChecked(next Handler, check func(ctx context.Context) []fault.Finding) Handler {
	return selfChecked{next, check}
}

type selfChecked struct {
	next  Handler
	check func(ctx context.Context) []fault.Finding
}

// Invoke implements Handler.
func (h selfChecked) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	if !asksForSelfCheck(payload) {
		return h.next.Invoke(ctx, payload)
	}
	answer := SelfCheck{OK: true}
	for _, f := range h.check(ctx) {
		answer.OK = answer.OK && f.OK
		answer.Findings = append(answer.Findings, Finding(f))
	}
	b, err := json.Marshal(answer)
	if err != nil {
		return nil, fmt.Errorf("write self-check: %w", err)
	}
	return b, nil
}

func asksForSelfCheck(payload []byte) bool {
	if len(payload) > maxSelfCheck {
		return false
	}
	var e struct {
		SelfCheck bool `json:"selfcheck"`
	}
	return json.Unmarshal(payload, &e) == nil && e.SelfCheck
}
