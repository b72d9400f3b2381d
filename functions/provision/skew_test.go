package main

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"orderbridge/shared/fault"
)

type answer struct{ date string }

func (a answer) Do(*http.Request) (*http.Response, error) {
	return &http.Response{Header: http.Header{"Date": {a.date}}, Body: http.NoBody}, nil
}

func TestClockIsComparedWithTheTable(t *testing.T) {
	date := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name   string
		ours   time.Duration // our clock at the call, relative to the Date
		took   time.Duration
		skewed bool
	}{
		{"equal", 0, 0, false},
		{"the Date is cut to the second", 999 * time.Millisecond, 0, false},
		{"two seconds ahead", 2900 * time.Millisecond, 0, false},
		{"ahead", 3100 * time.Millisecond, 0, true},
		{"two seconds behind", -2 * time.Second, 0, false},
		{"behind", -2100 * time.Millisecond, 0, true},
		{"a slow answer is no skew", -5 * time.Second, 5 * time.Second, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			times := []time.Time{date.Add(c.ours), date.Add(c.ours + c.took)}
			check := &clockCheck{next: answer{date.Format(http.TimeFormat)}, now: func() time.Time {
				now := times[0]
				times = times[1:]
				return now
			}}
			if _, err := check.Do(nil); err != nil {
				t.Fatal(err)
			}
			if err := check.Check(); errors.Is(err, fault.New(fault.ClockSkewed, "")) != c.skewed {
				t.Errorf("got %v, want skewed %v", err, c.skewed)
			}
		})
	}
}

func TestAnswerWithoutADateIsNotJudged(t *testing.T) {
	check := &clockCheck{next: answer{""}, now: time.Now}
	if _, err := check.Do(nil); err != nil {
		t.Fatal(err)
	}
	if err := check.Check(); err != nil {
		t.Error(err)
	}
}
