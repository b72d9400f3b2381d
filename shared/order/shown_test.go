package order_test

import (
	"testing"
	"time"

	"orderbridge/shared/order"
)

func TestAChangeIsListedWhenItWasMadeOrUpToHalfAMinuteLater(t *testing.T) {
	opened := time.Date(2026, 11, 24, 8, 0, 7, 123e6, time.UTC)
	end := opened.Add(30 * time.Second)
	for name, c := range map[string]struct {
		made, want time.Time
	}{
		"as the order is opened":            {opened, end},
		"half a minute later":               {end, end},
		"later":                             {end.Add(time.Millisecond), time.Date(2026, 11, 24, 8, 1, 0, 0, time.UTC)},
		"at the end of a half minute":       {time.Date(2026, 11, 24, 9, 0, 30, 0, time.UTC), time.Date(2026, 11, 24, 9, 0, 30, 0, time.UTC)},
		"by a clock that is behind":         {opened.Add(-time.Second), time.Date(2026, 11, 24, 8, 0, 30, 0, time.UTC)},
		"at the beginning of a half minute": {time.Date(2026, 11, 24, 9, 0, 30, 1e6, time.UTC), time.Date(2026, 11, 24, 9, 1, 0, 0, time.UTC)},
	} {
		if got := (order.Record{OpenedAt: opened, Seq: order.Seq(c.made.UnixMilli())}).Listed(); !got.Equal(c.want) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	made := time.Date(2026, 11, 24, 9, 0, 1, 0, time.UTC)
	if got := (order.Record{Seq: order.Seq(made.UnixMilli())}).Listed(); !got.Equal(made.Add(29 * time.Second)) {
		t.Errorf("opened at no known time: %s", got)
	}
}
