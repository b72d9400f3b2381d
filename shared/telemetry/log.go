// Package telemetry writes what the functions say of themselves: JSON log
// lines and metrics, which stand in the last line of an invocation.
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
	"math"
	"slices"
	"strconv"
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
// names it as order_id, and its callout (order.WithCorrelation) as correlation_id;
// one of a sampled trace names that as trace_id.
func NewLogger(w io.Writer, level slog.Leveler, function string) *slog.Logger {
	if level == nil {
		level = slog.LevelInfo
	}
	return slog.New(&handler{lines: &lines{w: w}, level: level}).With("function", function)
}

// The attributes that are taken from the context, unless the line names them.
const (
	orderKey       = "order_id"
	correlationKey = "correlation_id"
)

// handler writes log lines by appending. slog's JSON handler, which asks a function
// about each attribute, took 40 allocations for the line and one metric of a callout;
// this takes a few for the line with all its metrics.
type handler struct {
	*lines
	level slog.Leveler
	fixed []byte // the logger's attributes, with a comma before each
	open  int    // groups that fixed leaves open
	// ofOrder and ofCallout say that fixed names them.
	ofOrder, ofCallout bool
}

// lines is where lines go, each in one Write.
type lines struct {
	mu  sync.Mutex
	w   io.Writer
	buf []byte // of the line before, to be used again
}

// Enabled implements slog.Handler.
func (h *handler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.level.Level() }

// Handle implements slog.Handler.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := append(h.buf[:0], `{"time":"`...)
	b = r.Time.UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z")
	b = append(append(b, `","level":"`...), r.Level.String()...)
	b = appendText(append(b, `","msg":`...), r.Message)
	b = h.appendContext(ctx, b, r)
	b = append(b, h.fixed...)
	r.Attrs(func(a slog.Attr) bool {
		b = appendAttr(b, a)
		return true
	})
	for range h.open {
		b = append(b, '}')
	}
	b = append(b, "}\n"...)
	h.buf = b
	_, err := h.w.Write(b)
	return err
}

// appendContext names the order and the callout of the context, where neither
// the line nor the logger does.
func (h *handler) appendContext(ctx context.Context, b []byte, r slog.Record) []byte {
	id, ofOrder := order.IDFrom(ctx)
	callout := order.CorrelationFrom(ctx)
	ofOrder, ofCallout := ofOrder && !h.ofOrder, callout != "" && !h.ofCallout
	r.Attrs(func(a slog.Attr) bool {
		ofOrder, ofCallout = ofOrder && a.Key != orderKey, ofCallout && a.Key != correlationKey
		return ofOrder || ofCallout
	})
	if ofOrder {
		b = appendText(append(b, `,"`+orderKey+`":`...), id.String())
	}
	if ofCallout {
		b = appendText(append(b, `,"`+correlationKey+`":`...), callout)
	}
	if trace := traced(ctx); trace != "" {
		b = appendText(append(b, `,"trace_id":`...), trace)
	}
	return b
}

// traceKey is where the runtime keeps the invocation's X-Amzn-Trace-Id (aws-lambda-go
// v1, package lambda).
const traceKey = "x-amzn-trace-id"

// traced returns the root of the invocation's trace, if X-Ray keeps it: Lambda hands
// an id to every invocation, and only a sampled one can be looked up.
func traced(ctx context.Context) string {
	header, _ := ctx.Value(traceKey).(string)
	if !strings.Contains(header, "Sampled=1") {
		return ""
	}
	_, root, _ := strings.Cut(header, "Root=")
	root, _, _ = strings.Cut(root, ";")
	return root
}

// WithAttrs implements slog.Handler.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	next.fixed = slices.Clip(h.fixed)
	for _, a := range attrs {
		next.fixed = appendAttr(next.fixed, a)
		next.ofOrder, next.ofCallout = next.ofOrder || a.Key == orderKey, next.ofCallout || a.Key == correlationKey
	}
	return &next
}

// WithGroup implements slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	next := *h
	next.fixed = append(appendText(append(slices.Clip(h.fixed), ','), name), ":{"...)
	next.open++
	return &next
}

// appendAttr appends an attribute, with a comma before it unless it is the first
// of its object.
func appendAttr(b []byte, a slog.Attr) []byte {
	v := a.Value.Resolve()
	if len(b) == 0 || b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	if v.Kind() == slog.KindAny {
		if raw, ok := v.Any().(members); ok {
			return append(b, raw...)
		}
	}
	if Sensitive(a.Key) {
		return appendText(append(appendText(b, a.Key), ':'), fault.Redacted)
	}
	if v.Kind() == slog.KindDuration {
		b = append(appendText(b, a.Key+"_ms"), ':')
		return appendNumber(b, milliseconds(v.Duration()))
	}
	return appendValue(append(appendText(b, a.Key), ':'), v)
}

func appendValue(b []byte, v slog.Value) []byte {
	switch v.Kind() {
	case slog.KindString:
		return appendText(b, Scrub(v.String()))
	case slog.KindInt64:
		return strconv.AppendInt(b, v.Int64(), 10)
	case slog.KindUint64:
		return strconv.AppendUint(b, v.Uint64(), 10)
	case slog.KindBool:
		return strconv.AppendBool(b, v.Bool())
	case slog.KindFloat64:
		if f := v.Float64(); !math.IsNaN(f) && !math.IsInf(f, 0) {
			return appendNumber(b, f)
		}
		return appendText(b, v.String())
	case slog.KindTime:
		return append(v.Time().AppendFormat(append(b, '"'), time.RFC3339Nano), '"')
	case slog.KindGroup:
		b = append(b, '{')
		for _, a := range v.Group() {
			b = appendAttr(b, a)
		}
		return append(b, '}')
	}
	switch v := v.Any().(type) {
	case error:
		return appendText(b, Scrub(v.Error()))
	case []byte:
		return appendText(b, fault.Redacted)
	case fmt.Stringer:
		return appendText(b, Scrub(v.String()))
	}
	encoded, err := json.Marshal(v.Any())
	if err != nil {
		return appendText(b, "not written: "+err.Error())
	}
	return append(b, encoded...)
}

// appendText appends s as a JSON string.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '"' || c == '\\' {
			encoded, _ := json.Marshal(s) // a string is always written
			return append(b, encoded...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

// Sensitive reports whether an attribute of that name may not be written: one
// of its words, as snake_case, kebab-case or camelCase, or all of them together,
// is secret by its meaning.
func Sensitive(name string) bool {
	var word, whole [32]byte // longer than any of sensitive
	w, all := word[:0], whole[:0]
	for i := 0; i <= len(name); i++ {
		border := i == len(name) || name[i] == '_' || name[i] == '-' || name[i] == '.' || name[i] == ' '
		camel := !border && i > 0 && upper(name[i]) && !upper(name[i-1])
		if border || camel {
			if sensitive[string(w)] {
				return true
			}
			w = w[:0]
		}
		if border {
			continue
		}
		c := name[i]
		if upper(c) {
			c += 'a' - 'A'
		}
		w, all = append(w, c), append(all, c)
	}
	return sensitive[string(all)]
}

func upper(c byte) bool { return 'A' <= c && c <= 'Z' }

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

func hexDigit(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}
