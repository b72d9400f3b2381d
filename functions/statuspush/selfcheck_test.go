package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// parts are what the self-check reads; each fails with the error under its name.
type parts map[string]error

func (p parts) Control(context.Context, order.Side) (order.Control, error) {
	return order.Control{}, p["table"]
}

func (p parts) Changed(context.Context, time.Time, time.Time, int) ([]order.Changed, time.Time, error) {
	return nil, time.Time{}, p["index"]
}

func TestTheSelfCheckNamesEachPartThatCannotBeRead(t *testing.T) {
	away := fault.Wrap(fault.StoreUnavailable, errors.New("access denied"))
	for part, want := range map[string]string{
		"nothing":    "",
		"table":      "the table can be read",
		"index":      "the index of what Salesforce must see can be read",
		"salesforce": "it answers, and the user may read and write what it must",
	} {
		t.Run(part, func(t *testing.T) {
			p := parts{part: away}
			h := &Handler{Table: p, Probe: func(context.Context) error { return p["salesforce"] }, Now: time.Now}
			var bad []string
			for _, f := range h.selfCheck(t.Context()) {
				if !f.OK {
					bad = append(bad, f.What)
				}
			}
			if got := strings.Join(bad, ","); got != want {
				t.Errorf("bad: %q, want %q", got, want)
			}
		})
	}
}
