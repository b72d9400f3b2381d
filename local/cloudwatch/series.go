package cloudwatch

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"orderbridge/local/samtemplate"
)

// maxValues bounds the values that one minute keeps for percentiles; later ones
// count in the other statistics alone.
const maxValues = 4096

// series is one metric, a bucket for each minute in which it had a value.
type series struct {
	buckets map[int64]*bucket // by minute
	keep    int64             // minutes that an alarm looks back
	values  bool              // an alarm takes a percentile of it
}

// bucket is what one minute saw of a metric.
type bucket struct {
	n             int
	sum, min, max float64
	values        []float64
}

// key names a metric: two with the same dimensions in another order are one.
func key(m samtemplate.Metric) string {
	var b strings.Builder
	b.WriteString(m.Namespace + "\x00" + m.Name)
	for _, name := range slices.Sorted(maps.Keys(m.Dimensions)) {
		b.WriteString("\x00" + name + "\x00" + m.Dimensions[name])
	}
	return b.String()
}

func (s *series) add(minute int64, v float64) {
	b := s.buckets[minute]
	if b == nil {
		b = &bucket{min: v, max: v}
		s.buckets[minute] = b
	}
	b.n++
	b.sum += v
	b.min, b.max = min(b.min, v), max(b.max, v)
	if s.values && len(b.values) < maxValues {
		b.values = append(b.values, v)
	}
}

// forget drops what no alarm looks at any more.
func (s *series) forget(now int64) {
	maps.DeleteFunc(s.buckets, func(minute int64, _ *bucket) bool { return minute < now-s.keep })
}

// over returns the statistic of the minutes from..to-1; NaN: there is no value.
func (s *series) over(from, to int64, statistic stat) float64 {
	all := bucket{}
	for minute := from; minute < to; minute++ {
		b := s.buckets[minute]
		if b == nil {
			continue
		}
		if all.n == 0 {
			all.min, all.max = b.min, b.max
		}
		all.n += b.n
		all.sum += b.sum
		all.min, all.max = min(all.min, b.min), max(all.max, b.max)
		all.values = append(all.values, b.values...)
	}
	if all.n == 0 {
		return math.NaN()
	}
	return statistic(all)
}

// stat computes a statistic of a bucket that is not empty.
type stat func(bucket) float64

// statistic returns a statistic by its name (CloudWatch User Guide, "CloudWatch
// statistics definitions"): the five basic ones, and percentiles.
func statistic(name string) (of stat, percentile bool, err error) {
	switch name {
	case "Sum":
		return func(b bucket) float64 { return b.sum }, false, nil
	case "Maximum":
		return func(b bucket) float64 { return b.max }, false, nil
	case "Minimum":
		return func(b bucket) float64 { return b.min }, false, nil
	case "SampleCount":
		return func(b bucket) float64 { return float64(b.n) }, false, nil
	case "Average":
		return func(b bucket) float64 { return b.sum / float64(b.n) }, false, nil
	}
	if digits, ok := strings.CutPrefix(name, "p"); ok {
		if p, err := strconv.ParseFloat(digits, 64); err == nil && p >= 0 && p <= 100 {
			return func(b bucket) float64 {
				sorted := slices.Sorted(slices.Values(b.values))
				rank := int(math.Ceil(p / 100 * float64(len(sorted))))
				return sorted[max(rank-1, 0)]
			}, true, nil
		}
	}
	return nil, false, fmt.Errorf("statistic %q is not supported", name)
}

// minutes are those of a period, which is one minute or several.
func minutes(d time.Duration) (int64, error) {
	if d < time.Minute || d%time.Minute != 0 {
		return 0, fmt.Errorf("a period of %v is not supported: whole minutes are", d)
	}
	return int64(d / time.Minute), nil
}
