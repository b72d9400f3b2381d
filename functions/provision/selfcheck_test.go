package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/store"
)

// parts are what the self-check reads; each fails with the error under its name.
type parts map[string]error

func (p parts) Control(context.Context, order.Side) (order.Control, error) {
	return order.Control{}, p["table"]
}

func (p parts) Due(context.Context, time.Time, int) ([]order.ID, error) { return nil, p["due"] }

func (p parts) Failed(context.Context, time.Time, int) ([]store.FailedOrder, error) {
	return nil, p["failed"]
}

func (parts) Open(context.Context, int) ([]order.Record, int, error) { return nil, 0, nil }

func (p parts) Waiting(context.Context) (int, error) { return 0, p["queue"] }

func (parts) Send(context.Context, []order.ID) error {
	return errors.New("the self-check sends nothing")
}

func (p parts) probe(side string) func(context.Context) error {
	return func(context.Context) error { return p[side] }
}

func TestTheSelfCheckNamesEachPartThatCannotBeRead(t *testing.T) {
	away := fault.Wrap(fault.StoreUnavailable, errors.New("access denied"))
	for part, want := range map[string]string{
		"nothing":    "",
		"table":      "the table can be read",
		"due":        "the index of due orders can be read",
		"failed":     "the index of failed orders can be read",
		"queue":      "the work queue can be read",
		"whmcs":      "it answers, and takes the credential",
		"salesforce": "it answers, and the user may read and write what it must",
	} {
		t.Run(part, func(t *testing.T) {
			p := parts{part: away}
			h := &handler{store: p, hints: p, probes: probes{p.probe("whmcs"), p.probe("salesforce")}, now: time.Now}
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
