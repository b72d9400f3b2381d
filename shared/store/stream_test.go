package store

import (
	"testing"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

func TestFromStream(t *testing.T) {
	const id = "801000000000001AAA"
	image := func(signal, state string) string {
		return `{"pk":{"S":"order#` + id + `"},"state":{"S":"` + state + `"},"point":{"S":"none"},"signal":{"S":"` + signal + `"},"seq":{"N":"5"},"version":{"N":"1"},"fence":{"N":"0"},"created_at":{"S":"2026-11-24T08:00:00Z"},"updated_at":{"S":"2026-11-24T08:00:00Z"}}`
	}
	for name, c := range map[string]struct {
		image   string
		visible bool
		id      string
		code    fault.Code
	}{
		"a status":           {image("status", "failed"), true, id, ""},
		"a click":            {image("queued", "queued"), true, id, ""},
		"a lease":            {image("lease", "working"), false, "", ""},
		"a control item":     {`{"pk":{"S":"control#whmcs"},"paused":{"BOOL":true}}`, false, "", ""},
		"an unknown state":   {image("status", "no such state"), true, id, fault.Internal},
		"no id":              {`{"pk":{"S":"order#x"},"signal":{"S":"status"}}`, true, "", fault.Internal},
		"no attribute value": {`{"pk":"order#x"}`, true, "", fault.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			rec, visible, err := FromStream([]byte(c.image))
			var want order.ID
			if c.id != "" {
				want, _ = order.ParseID(c.id)
			}
			if visible != c.visible || rec.ID != want || fault.CodeOf(err) != c.code {
				t.Errorf("%v, visible %v, %v", rec.ID, visible, err)
			}
		})
	}
}
