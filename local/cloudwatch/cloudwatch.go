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
	Alarms  []samtemplate.Alarm
	Filters []samtemplate.LogFilter
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
	opts    Options
	filters []filter

	mu     sync.Mutex
	alarms []evaluated
	states []State
	index  map[string]int     // of a state, by the alarm's name
	series map[string]*series // by key; only those that an alarm looks at
}

// evaluated is an alarm on metrics or one on alarms.
type evaluated struct {
	metric    *alarm
	composite *composite
}

// New returns a Service whose alarms have no data yet. It fails on an alarm that
// it cannot evaluate.
func New(opts Options) (*Service, error) {
	if opts.Minute == 0 {
		opts.Minute = time.Minute
	}
	s := &Service{opts: opts, series: map[string]*series{}, index: map[string]int{}}
	known := map[string]bool{}
	for i, of := range opts.Alarms {
		e, err := compile(of, known)
		if err != nil {
			return nil, fmt.Errorf("read alarm %s: %w", of.ID, err)
		}
		if e.metric != nil {
			s.keep(e.metric)
		}
		s.alarms, s.index[of.Name], known[of.Name] = append(s.alarms, e), i, true
		s.states = append(s.states, State{Alarm: of, State: InsufficientData, Since: opts.Began, Reason: "not evaluated yet"})
	}
	for _, of := range opts.Filters {
		f, err := compileFilter(of)
		if err != nil {
			return nil, err
		}
		s.filters = append(s.filters, f)
	}
	return s, nil
}

// compile refuses what it does not know. known are the names of the alarms before.
func compile(of samtemplate.Alarm, known map[string]bool) (evaluated, error) {
	if of.Rule == "" {
		a, err := metric(of)
		return evaluated{metric: a}, err
	}
	r, err := parseRule(of.Rule, known)
	return evaluated{composite: &composite{of, r}}, err
}

// keep has the metrics of an alarm kept for as long as it looks back.
func (s *Service) keep(a *alarm) {
	for _, q := range a.metrics {
		k := key(q.metric)
		if s.series[k] == nil {
			s.series[k] = &series{buckets: map[int64]*bucket{}}
		}
		s.series[k].keep = max(s.series[k].keep, int64(a.span())*a.period)
		s.series[k].values = s.series[k].values || q.percentile
	}
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
	for i, e := range s.alarms {
		was := s.states[i]
		is := was
		is.State, is.Reason = s.evaluate(e, minute, was.State)
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

func (s *Service) evaluate(e evaluated, minute int64, was string) (state, reason string) {
	if c := e.composite; c != nil {
		if c.holds(func(name string) string { return s.states[s.index[name]].State }) {
			return Alarm, "its rule holds: " + c.Rule
		}
		return OK, "its rule does not hold: " + c.Rule
	}
	points := e.metric.points(minute, func(m samtemplate.Metric) *series { return s.series[key(m)] })
	return e.metric.decide(points, was), e.metric.reason(points)
}

// States returns how the alarms stand, in the order of the template.
func (s *Service) States() []State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]State(nil), s.states...)
}
