// Package telemetry writes what the functions say of themselves: JSON log
// lines and metrics, both one line each, both to one writer.
//
// The rule it keeps: no line holds a secret, a signature or a body, and a
// metric has a bounded number of dimensions. It must not decide anything, and
// a line that cannot be written must not fail a request.
package telemetry

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// sensitive lists the words of attribute names whose values are never written.
var sensitive = map[string]bool{
	"secret": true, "secrets": true, "signature": true, "authorization": true, "token": true,
	"body": true, "password": true, "passwd": true, "mac": true, "hmac": true, "credential": true,
	"credentials": true, "cookie": true, "assertion": true, "jwt": true, "bearer": true,
	"accesskey": true, "privatekey": true, "clientsecret": true, "apikey": true,
}

// NewLogger returns a logger of JSON lines. Attributes, at any depth, whose
// names speak of something secret lose their values; so does, in every string
// and error text, what looks like a SHA-256 MAC. A duration is written in ms,
// with the unit in its name. A line whose context is of an order (order.WithID)
// names it as order_id.
func NewLogger(w io.Writer, level slog.Leveler, function string) *slog.Logger {
	h := slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: redact})
	return slog.New(ofOrder{Handler: h}).With("function", function)
}

// orderKey is the attribute that names an order.
const orderKey = "order_id"

// ofOrder adds the order of the context to a line that does not name one.
type ofOrder struct {
	slog.Handler
	named bool // by an attribute of the logger
}

// Handle implements slog.Handler.
func (h ofOrder) Handle(ctx context.Context, r slog.Record) error {
	named := h.named
	r.Attrs(func(a slog.Attr) bool {
		named = named || a.Key == orderKey
		return !named
	})
	if id, ok := order.IDFrom(ctx); ok && !named {
		r = r.Clone()
		r.AddAttrs(slog.String(orderKey, id.String()))
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h ofOrder) WithAttrs(attrs []slog.Attr) slog.Handler {
	named := h.named || slices.ContainsFunc(attrs, func(a slog.Attr) bool { return a.Key == orderKey })
	return ofOrder{h.Handler.WithAttrs(attrs), named}
}

// WithGroup implements slog.Handler.
func (h ofOrder) WithGroup(name string) slog.Handler {
	return ofOrder{h.Handler.WithGroup(name), h.named}
}

func redact(_ []string, a slog.Attr) slog.Attr {
	if Sensitive(a.Key) {
		return slog.String(a.Key, fault.Redacted)
	}
	switch a.Value.Kind() {
	case slog.KindDuration:
		return slog.Float64(a.Key+"_ms", float64(a.Value.Duration())/float64(time.Millisecond))
	case slog.KindString:
		return slog.String(a.Key, Scrub(a.Value.String()))
	case slog.KindAny:
		switch v := a.Value.Any().(type) {
		case error:
			return slog.String(a.Key, Scrub(v.Error()))
		case []byte:
			return slog.String(a.Key, fault.Redacted)
		case fmt.Stringer:
			return slog.String(a.Key, Scrub(v.String()))
		}
	}
	return a
}

// Sensitive reports whether an attribute of that name may not be written: one
// of its words, as snake_case, kebab-case or camelCase, is secret by its
// meaning.
func Sensitive(name string) bool {
	start := 0
	for i := 0; i <= len(name); i++ {
		border := i == len(name) || name[i] == '_' || name[i] == '-' || name[i] == '.' || name[i] == ' '
		camel := !border && i > 0 && 'A' <= name[i] && name[i] <= 'Z' && !('A' <= name[i-1] && name[i-1] <= 'Z')
		if !border && !camel {
			continue
		}
		if sensitive[strings.ToLower(name[start:i])] {
			return true
		}
		start = i
		if border {
			start = i + 1
		}
	}
	return sensitive[strings.ToLower(strings.ReplaceAll(strings.ReplaceAll(name, "_", ""), "-", ""))]
}

// macDigits is the length of a SHA-256 MAC in hex.
const macDigits = 64

// Scrub returns s with every run of 64 or more hex digits replaced.
func Scrub(s string) string {
	var b strings.Builder
	done, run := 0, 0
	for i := 0; i <= len(s); i++ {
		if i < len(s) && hexDigit(s[i]) {
			run++
			continue
		}
		if run >= macDigits {
			b.WriteString(s[done : i-run])
			b.WriteString(fault.Redacted)
			done = i
		}
		run = 0
	}
	if done == 0 {
		return s
	}
	b.WriteString(s[done:])
	return b.String()
}

func hexDigit(c byte) bool { return strings.IndexByte("0123456789abcdefABCDEF", c) >= 0 }

// Namespace is where CloudWatch keeps the metrics.
const Namespace = "orderbridge"

// Metrics writes metrics in the embedded metric format (CloudWatch User Guide,
// "Specification: Embedded metric format"): one JSON line each, which
// CloudWatch Logs turns into a metric. The dimensions are the function and,
// where there is one, a code of the error table: both bounded, since every
// combination is charged for.
type Metrics struct {
	mu       sync.Mutex
	w        io.Writer
	function string
	now      func() time.Time
}

// NewMetrics returns Metrics that write to w.
func NewMetrics(w io.Writer, function string, now func() time.Time) *Metrics {
	return &Metrics{w: w, function: function, now: now}
}

// Count adds n to a counter. An empty code leaves that dimension out.
func (m *Metrics) Count(name, code string, n int) { m.put(name, "Count", code, float64(n)) }

// Duration records how long something took, in milliseconds.
func (m *Metrics) Duration(name, code string, d time.Duration) {
	m.put(name, "Milliseconds", code, float64(d)/float64(time.Millisecond))
}

// Gauge records a value without a unit.
func (m *Metrics) Gauge(name, code string, v float64) { m.put(name, "None", code, v) }

func (m *Metrics) put(name, unit, code string, value float64) {
	dimensions := `"function"`
	line := map[string]any{"function": m.function, name: value}
	if code != "" {
		dimensions += `,"code"`
		line["code"] = code
	}
	line["_aws"] = json.RawMessage(fmt.Sprintf(
		`{"Timestamp":%d,"CloudWatchMetrics":[{"Namespace":%q,"Dimensions":[[%s]],"Metrics":[{"Name":%q,"Unit":%q}]}]}`,
		m.now().UnixMilli(), Namespace, dimensions, name, unit))
	b, err := json.Marshal(line)
	if err != nil { // a NaN: no metric rather than a failed request
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	_, _ = m.w.Write(append(b, '\n'))
}
