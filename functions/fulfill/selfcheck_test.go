package main

import (
	"context"
	"errors"
	"strings"
	"testing"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// lost is a table whose control item cannot be read.
type lost struct{ Claims }

func (lost) Control(context.Context, order.Side) (order.Control, error) {
	return order.Control{}, fault.Wrap(fault.StoreUnavailable, errors.New("access denied"))
}

func TestTheSelfCheckNamesWhatCannotBeRead(t *testing.T) {
	noSecret := keys{err: fault.New(fault.SecretUnavailable, "")}
	for name, c := range map[string]struct {
		h    Handler
		want string
	}{
		"all can be read": {Handler{Keys: bothKeys, Claims: &book{}}, ""},
		"the secret not":  {Handler{Keys: noSecret, Claims: &book{}}, "the signing secret can be read secret_unavailable"},
		"the table not":   {Handler{Keys: bothKeys, Claims: lost{}}, "the table can be read store_unavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			var bad []string
			for _, f := range c.h.selfCheck(t.Context()) {
				if !f.OK {
					code, _, _ := strings.Cut(f.Seen, ":")
					bad = append(bad, f.What+" "+code)
				}
			}
			if got := strings.Join(bad, ","); got != c.want {
				t.Errorf("bad: %q, want %q", got, c.want)
			}
		})
	}
}
