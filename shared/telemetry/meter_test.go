package telemetry_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/telemetry"
	"orderbridge/shared/telemetry/telemetrytest"
)

func newMeter() (*telemetry.Meter, *slog.Logger, *bytes.Buffer) {
	var out bytes.Buffer
	return telemetry.NewMeter(&out, "prod", "fulfill", func() time.Time { return time.UnixMilli(1795521600000) }),
		telemetry.NewLogger(&out, slog.LevelInfo, "fulfill"), &out
}

// The last line of an invocation holds its metrics: one line where one code was met.
func TestAnInvocationIsOneLine(t *testing.T) {
	m, log, out := newMeter()
	m.Count(telemetry.CalloutsSlow, "", 1)
	m.Count(telemetry.CalloutsRecorded, "created", 1)
	m.Duration(telemetry.CalloutTime, 1500*time.Microsecond)
	m.Flush(t.Context(), log, slog.LevelInfo, "callout recorded", "", slog.String("request_id", "r"))
	s := out.String()
	_, s, _ = strings.Cut(s, `","level"`) // the time of the line
	want := `:"INFO","msg":"callout recorded","function":"fulfill","request_id":"r","stack":"prod","code":"created",` +
		`"CalloutsSlow":1,"CalloutsRecorded":1,"CalloutTime":1.5,"_aws":{"Timestamp":1795521600000,"CloudWatchMetrics":[` +
		`{"Namespace":"orderbridge","Dimensions":[["stack"]],"Metrics":[{"Name":"CalloutsSlow","Unit":"Count"},{"Name":"CalloutTime","Unit":"Milliseconds"}]},` +
		`{"Namespace":"orderbridge","Dimensions":[["stack"],["stack","function","code"]],"Metrics":[{"Name":"CalloutsRecorded","Unit":"Count"}]}]}}` + "\n"
	if s != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
	if _, err := telemetrytest.Read(out.String()); err != nil {
		t.Error(err)
	}
	out.Reset()
	m.Flush(t.Context(), log, slog.LevelInfo, "again", "")
	if strings.Contains(out.String(), "_aws") {
		t.Errorf("metrics were written twice: %s", out.String())
	}
}

// What was counted is what CloudWatch sees, whatever codes were met together and
// whether the log line itself is written.
func TestEveryCodeIsWrittenAndNoneTwice(t *testing.T) {
	for _, level := range []slog.Level{slog.LevelInfo, slog.LevelDebug} {
		for _, code := range []string{"", "whmcs_busy", "ok", "state_changed"} {
			m, log, out := newMeter()
			m.Count(telemetry.WhmcsCalls, "ok", 2)
			m.Count(telemetry.WhmcsCalls, "whmcs_busy", 1)
			m.Count(telemetry.WhmcsCalls, "ok", 1)
			m.Count(telemetry.NeedsMending, "", 4)
			m.Count(telemetry.NeedsMending, "whmcs_busy", 5)
			for i := range 250 {
				m.Duration(telemetry.CalloutToShown, time.Duration(i)*time.Millisecond)
			}
			m.Gauge(telemetry.OldestOpenSeconds, "", 7)
			m.Gauge(telemetry.OldestOpenSeconds, "", 3)
			m.Gauge(telemetry.SalesforceAPIUsage, "", math.NaN()) // no line rather than a broken one
			m.Flush(t.Context(), log, level, "x", code, slog.Int("n", 1))
			for _, c := range []struct {
				name, code string
				want       []float64
			}{
				{"WhmcsCalls", "ok", []float64{3}}, {"WhmcsCalls", "whmcs_busy", []float64{1}},
				{"NeedsMending", "whmcs_busy", []float64{5}}, {"OldestOpenSeconds", "", []float64{3}}, {"SalesforceAPIUsage", "", nil},
			} {
				got, err := telemetrytest.Values(out.String(), c.name, c.code)
				if err != nil || !slices.Equal(got, c.want) {
					t.Errorf("level %s, code %q: %s{%s} is %v, want %v (%v)", level, code, c.name, c.code, got, c.want, err)
				}
			}
			for name, want := range map[string]int{"CalloutToShown": 250, "NeedsMending": 2, "WhmcsCalls": 2} {
				if got, err := telemetrytest.Values(out.String(), name, ""); len(got) != want || err != nil {
					t.Errorf("level %s, code %q: %s has %d values for the stack, want %d (%v)", level, code, name, len(got), want, err)
				}
			}
			for line := range strings.Lines(out.String()) {
				if n := strings.Count(line, `"code":`); n > 1 || strings.Count(line, `"function":`) != 1 {
					t.Errorf("a member stands twice: %s", line)
				}
			}
			if first, _, _ := strings.Cut(out.String(), "\n"); level == slog.LevelInfo && code != "" && !strings.Contains(first, `"code":"`+code+`"`) {
				t.Errorf("the line has not its code %s: %s", code, first)
			}
		}
	}
}

// A code that the error table does not have would be a metric that is charged for
// and that no alarm knows.
func TestCodesAreBounded(t *testing.T) {
	m, _, out := newMeter()
	m.Count(telemetry.CalloutsRejected, "801000000000001AAA", 1)
	m.FlushMetrics()
	if got, err := telemetrytest.Values(out.String(), "CalloutsRejected", string(fault.Internal)); err != nil || !slices.Equal(got, []float64{1}) {
		t.Errorf("got %v, %v: %s", got, err, out.String())
	}
	codes := telemetry.Codes()
	if n := len(codes) - len(fault.Codes()); n < 1 || n > 20 {
		t.Errorf("%d values beside the error table", n)
	}
	for _, code := range codes {
		m, _, out := newMeter()
		m.Count(telemetry.CalloutsRejected, code, 1)
		m.FlushMetrics()
		if got, err := telemetrytest.Values(out.String(), "CalloutsRejected", code); err != nil || len(got) != 1 {
			t.Errorf("%s: got %v, %v", code, got, err)
		}
	}
}

func TestEveryMetricIsDescribed(t *testing.T) {
	for _, m := range telemetry.Metrics() {
		if i := m.Info(); i.Unit == "" || len(i.By) == 0 {
			t.Errorf("%s: %+v", m, i)
		}
	}
}

// A callout writes one line; the garbage of it is part of the callout's time.
func TestALineIsCheap(t *testing.T) {
	m, log, out := newMeter()
	err := json.Unmarshal([]byte("{"), &struct{}{})
	write := func() {
		out.Reset()
		m.Count(telemetry.CalloutsSlow, "", 1)
		m.Count(telemetry.CalloutsRecorded, "created", 1)
		m.Duration(telemetry.CalloutTime, 1500*time.Microsecond)
		m.Flush(t.Context(), log, slog.LevelInfo, "callout recorded", "", slog.String("request_id", "r"), slog.Any("err", err))
	}
	write()
	if n := testing.AllocsPerRun(100, write); n > 8 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkFlush(b *testing.B) {
	m, log, out := newMeter()
	for b.Loop() {
		out.Reset()
		m.Count(telemetry.CalloutsSlow, "", 1)
		m.Count(telemetry.CalloutsRecorded, "created", 1)
		m.Duration(telemetry.CalloutTime, 1500*time.Microsecond)
		m.Flush(b.Context(), log, slog.LevelInfo, "callout recorded", "", slog.String("request_id", "r"))
	}
}
