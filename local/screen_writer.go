package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// lockedWriter writes whole lines, one at a time.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

// functionLines turns the lines of the functions into what a person reads. What
// happens to an order is told by events; what is left are warnings and errors.
// Metrics are for CloudWatch and are not shown.
type functionLines struct {
	w io.Writer
	// ready: until then a function that cannot start ends the system, and the
	// one line of that says why.
	ready *atomic.Bool
}

func (f functionLines) Write(b []byte) (int, error) {
	if !f.ready.Load() {
		return len(b), nil
	}
	function, line, ok := bytes.Cut(bytes.TrimSuffix(b, []byte("\n")), []byte(" | "))
	if !ok || !bytes.HasPrefix(line, []byte("{")) {
		return f.w.Write(b)
	}
	var members map[string]any
	if json.Unmarshal(line, &members) != nil {
		return f.w.Write(b)
	}
	level, _ := members["level"].(string)
	if level != "WARN" && level != "ERROR" {
		return len(b), nil
	}
	if _, err := fmt.Fprintf(f.w, "%s  %s\n", stamp(time.Now()), readable(string(function), level, members)); err != nil {
		return 0, fmt.Errorf("write to the screen: %w", err)
	}
	return len(b), nil
}

// readable writes a log line's message and what it says, in a fixed order.
func readable(function, level string, members map[string]any) string {
	var b strings.Builder
	id, _ := members["order_id"].(string)
	fmt.Fprintf(&b, "%-18s  %-10s  %s: %v", id, function, strings.ToLower(level), members["msg"])
	for _, name := range []string{"action", "code", "error", "text"} {
		if v, ok := members[name]; ok && v != "" {
			fmt.Fprintf(&b, ", %s %v", name, v)
		}
	}
	return b.String()
}

// readableEvent is one line of the screen.
func readableEvent(ev event) string {
	text := ev.Title
	if ev.Text != "" {
		text += ": " + ev.Text
	}
	return fmt.Sprintf("%s  %-18s  %-10s  %s", stamp(ev.At), ev.Order, ev.Source, text)
}

func stamp(at time.Time) string { return at.Local().Format("15:04:05.000") }
