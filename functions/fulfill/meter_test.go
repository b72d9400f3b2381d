package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/telemetry"
	"orderbridge/shared/telemetry/telemetrytest"
	"orderbridge/shared/webhook"
)

// Every outcome of a callout is a value that the dimension may have.
func TestOutcomesAreCodesOfMetrics(t *testing.T) {
	for o := order.Created; o.String() != ""; o++ {
		if !slices.Contains(telemetry.Codes(), outcomes[o]) {
			t.Errorf("%s is none of the codes of metrics", o)
		}
	}
}

// slowly is a table that takes its time, on the handler's clock.
type slowly struct {
	*book
	take time.Duration
	now  *time.Time
}

func (s slowly) Claim(ctx context.Context, c order.Claim) (order.Claimed, error) {
	*s.now = s.now.Add(s.take)
	return s.book.Claim(ctx, c)
}

// What a callout writes: how it went, how long it took beyond the wait that was
// asked for, and whether it was too slow.
func TestACalloutIsMeasured(t *testing.T) {
	type row struct {
		name     string
		take     time.Duration
		prefer   string
		claimed  order.Claimed
		err      error
		want     map[telemetry.Metric]float64
		time     float64 // ms
		previous bool
	}
	open := order.Record{ID: orderID(t), State: order.Queued}
	for _, c := range []row{
		{name: "the first", take: 40 * time.Millisecond, time: 40, want: map[telemetry.Metric]float64{telemetry.CalloutsRecorded: 1}},
		{name: "an open order", claimed: order.Claimed{Outcome: order.AlreadyOpen, Record: open}, want: map[telemetry.Metric]float64{telemetry.CalloutsRecorded: 1}},
		{name: "reopened", claimed: order.Claimed{Outcome: order.Reopened, Record: open}, want: map[telemetry.Metric]float64{telemetry.CalloutsRecorded: 1}},
		{name: "slow", take: 1200 * time.Millisecond, time: 1200, want: map[telemetry.Metric]float64{telemetry.CalloutsSlow: 1, telemetry.CalloutsRecorded: 1}},
		{name: "a wait that was asked for is not slow", take: 100 * time.Millisecond, time: 100, prefer: "wait=10", want: map[telemetry.Metric]float64{telemetry.CalloutsRecorded: 1}},
		{name: "not recorded", err: fault.Wrap(fault.TryAgain, errors.New("away")), want: map[telemetry.Metric]float64{telemetry.CalloutsSlow: 1, telemetry.CalloutsRejected: 1}},
		{name: "replayed", err: fault.New(fault.NonceReplayed, ""), want: map[telemetry.Metric]float64{telemetry.CalloutsRejected: 1, telemetry.SecurityEvents: 1}},
		{name: "signed with the previous secret", previous: true, want: map[telemetry.Metric]float64{telemetry.PreviousSecretUsed: 1, telemetry.CalloutsRecorded: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			now := noon
			b := newBench(t, slowly{&book{claimed: c.claimed, err: c.err}, c.take, &now}, bothKeys, webhook.Config{})
			b.Now = func() time.Time { return now }
			b.Sleep = func(_ context.Context, d time.Duration) error { now = now.Add(d); return nil }
			e := callout(goodBody())
			if c.prefer != "" {
				e.Headers["prefer"] = c.prefer
			}
			if c.previous {
				e.Headers["x-sf-signature"] = webhook.Sign([]byte(testPrevious), []byte(e.Body))
			}
			b.do(t, e)
			for _, m := range telemetry.Metrics() {
				if m.Info().By[0] != "fulfill" || m == telemetry.CalloutTime {
					continue
				}
				values, err := telemetrytest.Values(b.out.String(), string(m), "")
				if err != nil {
					t.Fatal(err)
				}
				sum := 0.0
				for _, v := range values {
					sum += v
				}
				if sum != c.want[m] {
					t.Errorf("%s is %v, want %v", m, sum, c.want[m])
				}
			}
			if got, err := telemetrytest.Values(b.out.String(), "CalloutTime", ""); err != nil || !slices.Equal(got, []float64{c.time}) {
				t.Errorf("CalloutTime is %v, want %v (%v)", got, c.time, err)
			}
			if n, want := strings.Count(b.out.String(), "\n"), 1; c.prefer == "" && n != want {
				t.Errorf("%d lines: %s", n, b.out)
			}
		})
	}
}
