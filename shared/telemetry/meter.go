package telemetry

import (
	"context"
	"io"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"

	"orderbridge/shared/fault"
)

// Namespace is where CloudWatch keeps the metrics.
const Namespace = "orderbridge"

// dimensionCode is the dimension, and the member of a log line, that holds a code.
const dimensionCode = "code"

// dimensions are the sets of dimensions that a value can be written under. Each
// combination of names and values is a metric of its own, and is charged for: a
// value without a code has one set.
const (
	ofStack    = iota // of the stack
	ofFunction        // of one function: Info.ByFunction
	ofCode            // of the stack, and of the function and the code
	kinds
)

// sets writes the dimensions as the format wants them.
var sets = [kinds]string{`["stack"]`, `["stack","function"]`, `["stack"],["stack","function","code"]`}

// maxValues is the most values that a metric may have in one line (embedded
// metric format, "Target members").
const maxValues = 100

// Meter collects the metrics of one invocation and writes them with its last
// log line, in the embedded metric format (CloudWatch User Guide, "Specification:
// Embedded metric format"): CloudWatch Logs turns the line into metrics. What
// happens between two Flushes is added up; a process that dies before the Flush
// loses these metrics, and nothing else. It is safe for concurrent use.
type Meter struct {
	w               io.Writer
	stack, function string
	now             func() time.Time

	mu      sync.Mutex
	samples []sample
	// Parts of a line, to be used again; definitions of metrics by their dimensions.
	definitions [kinds][]byte
	values, out []byte
}

// sample is a metric with one code ("" = none), as far as it was measured.
type sample struct {
	name   Metric
	code   string
	value  float64   // the sum of a counter, the last value of a gauge
	values []float64 // of times, instead of value
	// actions are what was counted, for the log alone.
	actions []string
}

// NewMeter returns a Meter that writes to w. stack names the installation.
func NewMeter(w io.Writer, stack, function string, now func() time.Time) *Meter {
	return &Meter{w: w, stack: stack, function: function, now: now}
}

// Count adds n to a counter. A code that is none of Codes counts as
// internal_error.
func (m *Meter) Count(name Metric, code string, n int) {
	m.with(name, code, func(s *sample) { s.value += float64(n) })
}

// Duration records how long something took.
func (m *Meter) Duration(name Metric, d time.Duration) {
	m.with(name, "", func(s *sample) { s.values = append(s.values, milliseconds(d)) })
}

// Gauge records what a value is now; of two in one invocation the later counts.
// A value that is no number is left out.
func (m *Meter) Gauge(name Metric, code string, v float64) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return // no JSON can say it, and the line must be written
	}
	m.with(name, code, func(s *sample) { s.value = v })
}

// slowEvery is how often a value that changes slowly is written.
const slowEvery = time.Minute

// Slowly returns a function that records a gauge at most once a minute: for a value
// that each call of another system tells, and that hours change.
func (m *Meter) Slowly(name Metric) func(v float64) {
	var mu sync.Mutex
	var last time.Time
	return func(v float64) {
		mu.Lock()
		defer mu.Unlock()
		if now := m.now(); last.IsZero() || now.Sub(last) >= slowEvery {
			last = now
			m.Gauge(name, "", v)
		}
	}
}

// Called returns a function that counts the calls of another system: by ok, or by
// the code of what the call ended with. Which actions they were stands in the line,
// for a person who reads it: no dimension, and no metric.
func (m *Meter) Called(name Metric) func(action string, err error) {
	return func(action string, err error) {
		code := CodeOK
		if err != nil {
			code = string(fault.CodeOf(err))
		}
		m.with(name, code, func(s *sample) {
			s.value++
			s.actions = append(s.actions, action)
		})
	}
}

func (m *Meter) with(name Metric, code string, change func(*sample)) {
	if code != "" {
		code = bounded(code)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.samples {
		if s := &m.samples[i]; s.name == name && s.code == code {
			change(s)
			return
		}
	}
	m.samples = append(m.samples, sample{name: name, code: code})
	change(&m.samples[len(m.samples)-1])
}

// Flush writes a log line of an invocation, with the metrics that were collected
// and have the code of the line, or none; each other code is a line of its own
// behind it. A line without a code takes the first that was met. Where the level
// is not logged the metrics are written all the same. A line that cannot be
// written is lost.
func (m *Meter) Flush(ctx context.Context, log *slog.Logger, level slog.Level, msg, code string, attrs ...slog.Attr) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if code != "" {
		code = bounded(code)
	}
	line, rest := m.line(m.samples, code)
	switch {
	case !log.Enabled(ctx, level):
		m.write(line)
	case line == nil && code != "":
		log.LogAttrs(ctx, level, msg, append(attrs, slog.String(dimensionCode, code))...)
	case line == nil:
		log.LogAttrs(ctx, level, msg, attrs...)
	default:
		log.LogAttrs(ctx, level, msg, append(attrs, slog.Any("", line))...)
	}
	m.finish(rest)
}

// FlushMetrics writes what was collected, without a log line.
func (m *Meter) FlushMetrics() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.finish(m.samples)
}

// finish writes what is left, each code a line of its own, and begins again.
func (m *Meter) finish(rest []sample) {
	for len(rest) > 0 {
		var line members
		line, rest = m.line(rest, rest[0].code)
		m.write(line)
	}
	m.samples = m.samples[:0]
}

// members are members of a JSON object, separated by commas.
type members []byte

// write writes a line of metrics alone.
func (m *Meter) write(line members) {
	if line == nil {
		return
	}
	b := append(appendText([]byte(`{"function":`), m.function), ',')
	_, _ = m.w.Write(append(append(b, line...), "}\n"...))
}

// line makes of the samples the members of one line that has the code ("": that
// of the first sample that has one), and returns what cannot stand in it: another
// code, a metric that the line has already, values beyond the most. nil = none.
// It is good until the next one is made.
func (m *Meter) line(samples []sample, code string) (line members, rest []sample) {
	if len(samples) == 0 {
		return nil, nil
	}
	if code == "" {
		if i := slices.IndexFunc(samples, func(s sample) bool { return s.code != "" }); i >= 0 {
			code = samples[i].code
		}
	}
	m.values = m.values[:0]
	for i := range m.definitions {
		m.definitions[i] = m.definitions[i][:0]
	}
	for _, s := range samples {
		if s.code != "" && s.code != code || s.code == "" && code != "" && slices.ContainsFunc(samples, func(o sample) bool { return o.name == s.name && o.code == code }) {
			rest = append(rest, s)
			continue
		}
		if len(s.values) > maxValues {
			rest = append(rest, sample{name: s.name, code: s.code, values: s.values[maxValues:]})
			s.values = s.values[:maxValues]
		}
		into := s.dimensions()
		m.definitions[into] = s.define(m.definitions[into])
		m.values = s.append(m.values)
	}
	line = appendText(append(m.out[:0], `"stack":`...), m.stack)
	if code != "" {
		line = appendText(append(line, `,"code":`...), code)
	}
	line = append(line, m.values...)
	line = strconv.AppendInt(append(line, `,"_aws":{"Timestamp":`...), m.now().UnixMilli(), 10)
	line = append(line, `,"CloudWatchMetrics":[`...)
	for i, definitions := range m.definitions {
		if len(definitions) == 0 {
			continue
		}
		line = append(append(line, `{"Namespace":"`+Namespace+`","Dimensions":[`...), sets[i]...)
		line = append(append(append(line, `],"Metrics":[`...), definitions[1:]...), `]},`...)
	}
	line[len(line)-1] = ']' // instead of the last comma
	m.out = append(line, '}')
	return m.out, rest
}

// dimensions returns what the value is written under.
func (s sample) dimensions() int {
	switch {
	case s.code != "":
		return ofCode
	case s.name.Info().ByFunction:
		return ofFunction
	}
	return ofStack
}

// define appends a comma and the definition of the metric.
func (s sample) define(b []byte) []byte {
	b = append(append(b, `,{"Name":"`...), s.name...)
	if unit := s.name.Info().Unit; unit != NoUnit {
		b = append(append(b, `","Unit":"`...), unit...)
	}
	return append(b, `"}`...)
}

// done appends a comma and the member with the actions, each once with how often it
// was done.
func (s sample) done(b []byte) []byte {
	b = append(append(append(b, `,"`...), s.name...), `By":"`...)
	for i, action := range s.actions {
		if slices.Contains(s.actions[:i], action) {
			continue
		}
		if i > 0 {
			b = append(b, ' ')
		}
		b = append(b, action...)
		n := 0
		for _, a := range s.actions[i:] {
			if a == action {
				n++
			}
		}
		if n > 1 {
			b = strconv.AppendInt(append(b, '*'), int64(n), 10)
		}
	}
	return append(b, '"')
}

// append appends a comma and the member with the value.
func (s sample) append(b []byte) []byte {
	if len(s.actions) > 0 {
		b = s.done(b)
	}
	b = append(append(append(b, `,"`...), s.name...), `":`...)
	switch len(s.values) {
	case 0:
		return appendNumber(b, s.value)
	case 1:
		return appendNumber(b, s.values[0])
	}
	for i, v := range s.values {
		b = appendNumber(append(b, "[,"[min(i, 1)]), v)
	}
	return append(b, ']')
}

// milliseconds is d in ms, to the µs.
func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }

func appendNumber(b []byte, v float64) []byte { return strconv.AppendFloat(b, v, 'f', -1, 64) }
