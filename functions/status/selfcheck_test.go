package main

import (
	"errors"
	"testing"

	"orderbridge/shared/fault"
)

func TestTheSelfCheckReadsTheTableOnce(t *testing.T) {
	for name, err := range map[string]error{"it can be read": nil, "it cannot": fault.Wrap(fault.StoreUnavailable, errors.New("access denied"))} {
		t.Run(name, func(t *testing.T) {
			orders := &shelf{err: err}
			h, _ := newHandler(orders)
			got := h.selfCheck(t.Context())
			if len(got) != 1 || got[0].OK != (err == nil) || orders.reads != 1 {
				t.Errorf("%+v after %d reads", got, orders.reads)
			}
		})
	}
}
