// Package cloudwatch is Amazon CloudWatch on one machine, as far as alarms need
// it: it keeps the metrics that the template's alarms name, evaluates the alarms
// each minute as the service does, and answers DescribeAlarms over the real wire
// protocol.
//
// The rule it keeps: an alarm that it cannot evaluate as the service would is
// refused by name. Its memory is bounded by the alarms: of every other metric
// nothing is kept. It must not know what the metrics mean.
package cloudwatch

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"orderbridge/local/samtemplate"
)

// Options are what a Service evaluates.
type Options struct {
	Alarms []samtemplate.Alarm
	// Minute is how long a minute of the alarms takes; 0 = a minute. A shorter
	// one makes alarms quick to try: periods, and what is measured as an age,
	// pass by as much faster.
	Minute time.Duration
	// Began is where the two clocks agree; before it nothing was measured.
	Began time.Time
	// Changed, if not nil, is told of each change of a state.
	Changed func(Change)
}

// State is how an alarm stands.
type State struct {
	samtemplate.Alarm
	State  string
	Since  time.Time // of the last change
	Reason string
}

// Change is an alarm whose state has changed.
type Change struct {
	State
	Before State
}

// Service keeps metrics and evaluates alarms. Its methods are safe for
// concurrent use.
type Service struct {
	opts Options

	mu     sync.Mutex
	alarms []*alarm
	states []State
	series map[string]*series // by key; only those that an alarm looks at
}

// New returns a Service whose alarms have no data yet. It fails on an alarm that
// it cannot evaluate.
func New(opts Options) (*Service, error) {
	if opts.Minute == 0 {
		opts.Minute = time.Minute
	}
	s := &Service{opts: opts, series: map[string]*series{}}
	for _, of := range opts.Alarms {
		a, err := compile(of)
		if err != nil {
			return nil, fmt.Errorf("read alarm %s: %w", of.ID, err)
		}
		s.alarms = append(s.alarms, a)
		s.states = append(s.states, State{Alarm: of, State: InsufficientData, Since: opts.Began, Reason: "not evaluated yet"})
		for _, q := range a.metrics {
			k := key(q.metric)
			if s.series[k] == nil {
				s.series[k] = &series{buckets: map[int64]*bucket{}}
			}
			s.series[k].keep = max(s.series[k].keep, int64(a.span())*a.period)
			s.series[k].values = s.series[k].values || q.percentile
		}
	}
	return s, nil
}

// minute is the minute of the alarms' clock at a moment.
func (s *Service) minute(at time.Time) int64 { return int64(at.Sub(s.opts.Began) / s.opts.Minute) }

// age reports whether a metric measures for how long something has lasted, which
// then counts by the alarms' clock.
func age(metric string) bool {
	return strings.HasSuffix(metric, "Seconds") || metric == "IteratorAge" || metric == "ApproximateAgeOfOldestMessage"
}

// Put adds a value to a metric. One that no alarm looks at is dropped.
func (s *Service) Put(m samtemplate.Metric, at time.Time, v float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := s.series[key(m)]
	if of == nil || math.IsNaN(v) {
		return
	}
	if age(m.Name) {
		v *= float64(time.Minute) / float64(s.opts.Minute)
	}
	of.add(s.minute(at), v)
}

// Evaluate evaluates every alarm over the minutes that are over.
func (s *Service) Evaluate(now time.Time) {
	var changes []Change
	s.mu.Lock()
	minute := s.minute(now)
	for i, a := range s.alarms {
		points := a.points(minute, func(m samtemplate.Metric) *series { return s.series[key(m)] })
		was := s.states[i]
		is := State{Alarm: a.Alarm, State: a.decide(points, was.State), Since: was.Since, Reason: a.reason(points)}
		if is.State != was.State {
			is.Since = now
			changes = append(changes, Change{is, was})
		}
		s.states[i] = is
	}
	for _, of := range s.series {
		of.forget(minute)
	}
	s.mu.Unlock()
	if s.opts.Changed == nil {
		return
	}
	for _, c := range changes {
		s.opts.Changed(c)
	}
}

// States returns how the alarms stand, in the order of the template.
func (s *Service) States() []State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]State(nil), s.states...)
}
