package cloudwatch

import (
	"testing"
	"time"

	"orderbridge/local/samtemplate"
)

// What is kept is bounded by the alarms: other metrics, minutes that no alarm
// looks at, and values beyond maxValues are forgotten.
func TestMemoryIsBoundedByTheAlarms(t *testing.T) {
	m := samtemplate.Metric{Namespace: "trial", Name: "Took"}
	s, err := New(Options{Alarms: []samtemplate.Alarm{{
		EvaluationPeriods: 3, DatapointsToAlarm: 3, Comparison: "GreaterThanThreshold", Missing: "missing",
		Queries: []samtemplate.Query{{ID: "m", Metric: m, Stat: "p99", Period: 5 * time.Minute, Returns: true}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	for minute := range 1000 {
		at := time.Time{}.Add(time.Duration(minute) * time.Minute)
		s.Put(m, at, 1)
		s.Put(samtemplate.Metric{Namespace: "trial", Name: "Other"}, at, 1)
		s.Evaluate(at)
	}
	for range 2 * maxValues {
		s.Put(m, time.Time{}.Add(1000*time.Minute), 1)
	}
	of := s.series[key(m)]
	if len(s.series) != 1 || len(of.buckets) > 5*5+2 || len(of.buckets[1000].values) != maxValues {
		t.Errorf("%d metrics, %d minutes, %d values", len(s.series), len(of.buckets), len(of.buckets[1000].values))
	}
}
