package cloudwatch_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"orderbridge/local/cloudwatch"
	"orderbridge/local/samtemplate"
)

// began is where the virtual time of these tests begins.
var began = time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)

func at(minute float64) time.Time { return began.Add(time.Duration(minute * float64(time.Minute))) }

var errs = samtemplate.Metric{Namespace: "trial", Name: "Errors", Dimensions: map[string]string{"function": "one"}}

// plain is an alarm over the sum of Errors of a minute being more than 0.
func plain(change func(*samtemplate.Alarm)) samtemplate.Alarm {
	a := samtemplate.Alarm{
		ID: "Trial", EvaluationPeriods: 1, DatapointsToAlarm: 1, Comparison: "GreaterThanThreshold", Missing: "missing",
		Queries: []samtemplate.Query{{ID: "metric", Metric: errs, Stat: "Sum", Period: time.Minute, Returns: true}},
	}
	if change != nil {
		change(&a)
	}
	return a
}

func service(t *testing.T, alarms ...samtemplate.Alarm) *cloudwatch.Service {
	t.Helper()
	s, err := cloudwatch.New(cloudwatch.Options{Alarms: alarms, Began: began})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The tables of the CloudWatch User Guide, "Configuring how CloudWatch alarms
// treat missing data": the newest data point stands on the right, X breaches, 0
// does not, - is missing; 3 evaluation periods.
func TestMissingDataIsTreatedAsTheUserGuideSays(t *testing.T) {
	const retained = "retained"
	treatments := []string{"missing", "ignore", "breaching", "notBreaching"}
	for _, row := range []struct {
		points  string
		toAlarm int
		want    [4]string
	}{
		{"0 - X - X", 3, [4]string{"OK", "OK", "OK", "OK"}},
		{"0 - - - -", 3, [4]string{"OK", "OK", "OK", "OK"}},
		{"- - - - -", 3, [4]string{"INSUFFICIENT_DATA", retained, "ALARM", "OK"}},
		{"0 X X - X", 3, [4]string{"ALARM", "ALARM", "ALARM", "ALARM"}},
		{"- - X - -", 3, [4]string{"ALARM", retained, "ALARM", "OK"}},
		{"0 - X - X", 2, [4]string{"ALARM", "ALARM", "ALARM", "ALARM"}},
		{"0 0 X 0 X", 2, [4]string{"ALARM", "ALARM", "ALARM", "ALARM"}},
		{"0 - X - -", 2, [4]string{"OK", "OK", "ALARM", "OK"}},
		{"- - - - 0", 2, [4]string{"OK", "OK", "ALARM", "OK"}},
		{"- - - X -", 2, [4]string{"ALARM", retained, "ALARM", "OK"}},
		// "Avoiding premature transitions to alarm state".
		{"- - - - X", 3, [4]string{retained, retained, "ALARM", "OK"}},
		{"- - - X -", 3, [4]string{retained, retained, "ALARM", "OK"}},
	} {
		for i, treatment := range treatments {
			want := row.want[i]
			if want == retained {
				want = cloudwatch.InsufficientData // what an alarm begins with
			}
			s := service(t, plain(func(a *samtemplate.Alarm) {
				a.Missing, a.EvaluationPeriods, a.DatapointsToAlarm = treatment, 3, row.toAlarm
			}))
			for minute, point := range strings.Fields(row.points) {
				if point != "-" {
					s.Put(errs, at(float64(minute)+0.5), map[string]float64{"0": 0, "X": 1}[point])
				}
			}
			s.Evaluate(at(5))
			if got := s.States()[0]; got.State != want {
				t.Errorf("%s, %d of 3, %s: %s, want %s (%s)", row.points, row.toAlarm, treatment, got.State, want, got.Reason)
			}
		}
	}
}

func TestComparisons(t *testing.T) {
	for comparison, want := range map[string][3]string{ // of 1, 2 and 3 with 2
		"GreaterThanThreshold":          {"OK", "OK", "ALARM"},
		"GreaterThanOrEqualToThreshold": {"OK", "ALARM", "ALARM"},
		"LessThanThreshold":             {"ALARM", "OK", "OK"},
		"LessThanOrEqualToThreshold":    {"ALARM", "ALARM", "OK"},
	} {
		for i, want := range want {
			s := service(t, plain(func(a *samtemplate.Alarm) { a.Comparison, a.Threshold = comparison, 2 }))
			s.Put(errs, at(0), float64(i+1))
			s.Evaluate(at(1))
			if got := s.States()[0]; got.State != want {
				t.Errorf("%d %s 2: %s, want %s", i+1, comparison, got.State, want)
			}
		}
	}
}

func TestStatistics(t *testing.T) {
	for statistic, want := range map[string]float64{"Sum": 16, "Maximum": 10, "Minimum": 1, "Average": 4, "SampleCount": 4, "p50": 2, "p75": 3, "p99": 10, "p100": 10, "p0": 1} {
		for _, of := range []struct {
			comparison string
			want       string
		}{{"GreaterThanOrEqualToThreshold", "ALARM"}, {"LessThanOrEqualToThreshold", "ALARM"}, {"GreaterThanThreshold", "OK"}} {
			s := service(t, plain(func(a *samtemplate.Alarm) {
				a.Queries[0].Stat, a.Comparison, a.Threshold = statistic, of.comparison, want
			}))
			for i, v := range []float64{3, 10, 1, 2} {
				s.Put(errs, at(float64(i)/10), v)
			}
			s.Evaluate(at(1))
			if got := s.States()[0]; got.State != of.want {
				t.Errorf("%s %s %g: %s, want %s (%s)", statistic, of.comparison, want, got.State, of.want, got.Reason)
			}
		}
	}
}

// "At the end of minute 6, the alarm is evaluated based on the data from minutes
// 2 to 6" (CloudWatch User Guide, "Evaluating an alarm").
func TestAPeriodSlidesWithTheMinutes(t *testing.T) {
	s := service(t, plain(func(a *samtemplate.Alarm) { a.Queries[0].Period, a.Missing = 5*time.Minute, "notBreaching" }))
	s.Put(errs, at(2.5), 1)
	last := ""
	for minute := range 24 {
		s.Evaluate(at(float64(minute)))
		state := s.States()[0]
		// A value counts from the end of its minute, for one period; then the
		// newest data point that is there is looked at again, as long as it is in
		// the evaluation range of three periods.
		want := cloudwatch.OK
		if minute >= 3 && minute < 3+3*5 {
			want = cloudwatch.Alarm
		}
		if state.State != want {
			t.Errorf("minute %d: %s, want %s", minute, state.State, want)
		}
		if state.State != last && !state.Since.Equal(at(float64(minute))) {
			t.Errorf("minute %d: since %v", minute, state.Since)
		}
		last = state.State
	}
}

func TestMetricMath(t *testing.T) {
	const missing = "INSUFFICIENT_DATA"
	for expression, want := range map[string]string{
		"1 + 2 * 3 - 8 / 4":        "5",
		"(1 + 2) * 3":              "9",
		"-a + 3":                   "1",
		"a + b":                    "7",
		"a / 0":                    missing,
		"a + none":                 missing,
		"FILL(none, 4)":            "4",
		"FILL(none, a)":            "2",
		"a + FILL(none, 0)":        "2",
		"SUM(METRICS())":           "7",
		"SUM([a, none, b])":        "7",
		"MAX([a, b])":              "5",
		"MIN(METRICS())":           "2",
		"AVG([a, b])":              "3.5",
		"SUM([none])":              missing,
		"SUM(FILL(METRICS(), 10))": "17",
		"IF(a >= 2, b / a, 0)":     "2.5",
		"IF(a > 2, b / a, 0)":      "0",
		"IF(none, 1, 0)":           missing,
		"a == 2":                   "1",
		"a != 2":                   "0",
		"none < 1":                 missing,
		"none < a":                 "1",
		"a > none":                 "1",
		"IF(none >= 1, 1, 0)":      missing,
		"a < b AND b <= 5":         "1",
		"a > b OR b > 9":           "0",
		"a > b || b == 5":          "1",
		"a < 3 && none":            "0",
		"IF(FILL(a,0)+FILL(none,0) >= 1, double, 0)": "4",
	} {
		queries := []samtemplate.Query{{ID: "all", Expression: expression, Returns: true}, {ID: "double", Expression: "a * 2"}}
		for _, id := range []string{"a", "b", "none"} {
			queries = append(queries, samtemplate.Query{ID: id, Stat: "Sum", Period: time.Minute, Metric: samtemplate.Metric{Namespace: "trial", Name: id}})
		}
		value := 0.0
		if want != missing {
			if _, err := fmt.Sscan(want, &value); err != nil {
				t.Fatal(err)
			}
		}
		for _, comparison := range []string{"GreaterThanOrEqualToThreshold", "LessThanOrEqualToThreshold"} {
			s := service(t, plain(func(a *samtemplate.Alarm) {
				a.Queries, a.Comparison, a.Threshold = queries, comparison, value
			}))
			s.Put(samtemplate.Metric{Namespace: "trial", Name: "a"}, at(0), 2)
			s.Put(samtemplate.Metric{Namespace: "trial", Name: "b"}, at(0), 5)
			s.Evaluate(at(1))
			got := s.States()[0]
			if state := got.State; want == missing && state != missing || want != missing && state != "ALARM" {
				t.Errorf("%s is not %s: %s, %s", expression, want, state, got.Reason)
			}
		}
	}
}

func TestWhatIsNotKnownIsRefused(t *testing.T) {
	formula := func(text string) func(*samtemplate.Alarm) {
		return func(a *samtemplate.Alarm) {
			a.Queries = append(a.Queries, samtemplate.Query{ID: "e", Expression: text, Returns: true})
			a.Queries[0].Returns = false
		}
	}
	for rule, c := range map[string]struct {
		change func(*samtemplate.Alarm)
		want   string
	}{
		"a band":                   {func(a *samtemplate.Alarm) { a.Comparison = "GreaterThanUpperThreshold" }, `"GreaterThanUpperThreshold" is not supported`},
		"a treatment":              {func(a *samtemplate.Alarm) { a.Missing = "maybe" }, `"maybe" is not known`},
		"a statistic":              {func(a *samtemplate.Alarm) { a.Queries[0].Stat = "TM(10%:90%)" }, `"TM(10%:90%)" is not supported`},
		"half a minute":            {func(a *samtemplate.Alarm) { a.Queries[0].Period = 30 * time.Second }, "a period of 30s is not supported"},
		"no period":                {func(a *samtemplate.Alarm) { a.Queries[0].Period = 0 }, "it has no period"},
		"no evaluation period":     {func(a *samtemplate.Alarm) { a.EvaluationPeriods = 0 }, "cannot be"},
		"more points than periods": {func(a *samtemplate.Alarm) { a.DatapointsToAlarm = 2 }, "cannot be"},
		"two results":              {func(a *samtemplate.Alarm) { a.Queries = append(a.Queries, a.Queries[0]) }, "2 of its queries return data"},
		"different periods": {func(a *samtemplate.Alarm) {
			q := a.Queries[0]
			q.Period, q.Returns = time.Hour, false
			a.Queries = append(a.Queries, q)
		}, "different periods"},
		"an unknown function":        {formula("RATE(metric)"), "RATE with 1 arguments of these kinds is not supported"},
		"an id that is not there":    {formula("metric + other"), `"other" is no id of the alarm's metrics`},
		"a sign":                     {formula("metric % 2"), "is not understood"},
		"a rest":                     {formula("metric 2"), `"2" is not understood`},
		"an open parenthesis":        {formula("(metric"), `")" is missing`},
		"an open call":               {formula("FILL(metric, 0"), `")" is missing`},
		"a list as the result":       {formula("METRICS()"), "wants one series"},
		"a sum of one series":        {formula("SUM(metric)"), "SUM with 1 arguments of these kinds"},
		"arithmetic of a list":       {formula("METRICS() / 2"), "of a list of series is not supported"},
		"a list in a list":           {formula("SUM([METRICS()])"), "a list in a list"},
		"an expression of itself":    {formula("e + 1"), "need each other"},
		"a metric without statistic": {formula(""), `statistic "" is not supported`},
	} {
		t.Run(rule, func(t *testing.T) {
			_, err := cloudwatch.New(cloudwatch.Options{Alarms: []samtemplate.Alarm{plain(c.change)}, Began: began})
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "read alarm Trial") {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestMetricsComeOutOfEmbeddedLines(t *testing.T) {
	s := service(t, plain(nil), plain(func(a *samtemplate.Alarm) {
		a.ID, a.Queries[0].Metric = "Stack", samtemplate.Metric{Namespace: "trial", Name: "Errors", Dimensions: map[string]string{"stack": "s"}}
		a.Threshold = 5
	}))
	for _, line := range []string{
		`{"msg":"no metric"}`, `not JSON`, ``,
		`{"function":"other","stack":"o","Errors":99,"_aws":{"Timestamp":1,"CloudWatchMetrics":[{"Namespace":"trial","Dimensions":[["stack"],["function"]],"Metrics":[{"Name":"Errors","Unit":"Count"}]}]}}`,
		`{"function":"one","stack":"s","Errors":[1,2],"_aws":{"Timestamp":1,"CloudWatchMetrics":[{"Namespace":"trial","Dimensions":[["stack"],["function"]],"Metrics":[{"Name":"Errors","Unit":"Count"}]}]}}`,
	} {
		s.Line([]byte(line), at(0))
	}
	s.Evaluate(at(1))
	for i, want := range []string{"ALARM", "OK"} {
		if got := s.States()[i]; got.State != want || !strings.Contains(got.Reason, "the newest is 3") {
			t.Errorf("%s: %s, %s", got.ID, got.State, got.Reason)
		}
	}
}

func TestAShortMinuteScalesPeriodsAndAges(t *testing.T) {
	old := samtemplate.Metric{Namespace: "trial", Name: "OldestOpenSeconds"}
	s, err := cloudwatch.New(cloudwatch.Options{Began: began, Minute: time.Second, Alarms: []samtemplate.Alarm{
		plain(func(a *samtemplate.Alarm) { a.Missing = "notBreaching" }),
		plain(func(a *samtemplate.Alarm) { a.ID, a.Queries[0].Metric, a.Threshold = "Old", old, 900 }),
	}})
	if err != nil {
		t.Fatal(err)
	}
	s.Put(errs, began, 1)
	s.Put(old, began, 16) // 16 s are 16 minutes
	s.Evaluate(began.Add(time.Second))
	if got := s.States(); got[0].State != "ALARM" || got[1].State != "ALARM" || !got[1].Since.Equal(began.Add(time.Second)) {
		t.Errorf("after a second: %+v", got)
	}
	s.Evaluate(began.Add(4 * time.Second))
	if got := s.States(); got[0].State != "OK" {
		t.Errorf("after four seconds: %+v", got[0])
	}
}

func TestChangesAreTold(t *testing.T) {
	var told []string
	s, err := cloudwatch.New(cloudwatch.Options{Began: began, Alarms: []samtemplate.Alarm{plain(func(a *samtemplate.Alarm) { a.Missing = "notBreaching" })},
		Changed: func(c cloudwatch.Change) { told = append(told, c.Before.State+" "+c.State.State) }})
	if err != nil {
		t.Fatal(err)
	}
	for minute := range 8 {
		if minute == 2 {
			s.Put(errs, at(1.5), 1)
		}
		s.Evaluate(at(float64(minute)))
	}
	if got := strings.Join(told, ", "); got != "INSUFFICIENT_DATA OK, OK ALARM, ALARM OK" {
		t.Errorf("told %s", got)
	}
}

func TestCompositeAlarmsFollowTheirRules(t *testing.T) {
	for rule, want := range map[string]string{
		`ALARM("s-High")`:                                        "ALARM",
		`ALARM("s-Low")`:                                         "OK",
		`OK("s-Low")`:                                            "ALARM",
		`INSUFFICIENT_DATA("s-None")`:                            "ALARM",
		`NOT ALARM("s-High")`:                                    "OK",
		`ALARM("s-High") AND ALARM("s-Low")`:                     "OK",
		`ALARM("s-High") OR ALARM("s-Low")`:                      "ALARM",
		`ALARM("s-Low") AND ALARM("s-Low") OR ALARM("s-High")`:   "ALARM",
		`ALARM("s-Low") AND (ALARM("s-Low") OR ALARM("s-High"))`: "OK",
		`TRUE AND NOT FALSE`:                                     "ALARM",
	} {
		named := func(name, metric string) samtemplate.Alarm {
			return plain(func(a *samtemplate.Alarm) { a.Name, a.Queries[0].Metric.Name = name, metric })
		}
		s := service(t, named("s-High", "High"), named("s-Low", "Low"), named("s-None", "None"), samtemplate.Alarm{ID: "All", Name: "s-All", Rule: rule})
		for name, v := range map[string]float64{"High": 1, "Low": 0} {
			m := errs
			m.Name = name
			s.Put(m, at(0), v)
		}
		s.Evaluate(at(1))
		if got := s.States()[3]; got.State != want {
			t.Errorf("%s: %s, want %s", rule, got.State, want)
		}
	}
	for rule, want := range map[string]string{
		`ALARM("s-Later")`: `there is no alarm "s-Later"`, `ALARM("s-High"`: "is not understood", `(TRUE`: "not closed", `TRUE TRUE`: "is not understood",
		`AND`: "is not understood", `NOT`: "ends too early", `%`: "is not understood",
	} {
		_, err := cloudwatch.New(cloudwatch.Options{Alarms: []samtemplate.Alarm{plain(func(a *samtemplate.Alarm) { a.Name = "s-High" }), {ID: "All", Rule: rule}}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", rule, err, want)
		}
	}
}

func TestLogLinesThatFitAreCounted(t *testing.T) {
	filter := samtemplate.LogFilter{LogGroup: "access", Pattern: `{ $.status = "429" }`, Metric: errs, Value: 2}
	s, err := cloudwatch.New(cloudwatch.Options{Began: began, Alarms: []samtemplate.Alarm{plain(nil)}, Filters: []samtemplate.LogFilter{filter}})
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{`{"status":"429"}`, `{"status":"200"}`, `{"status":429}`, `{}`, `429`} {
		s.Log("access", []byte(line), at(0))
		s.Log("other", []byte(line), at(0))
	}
	s.Evaluate(at(1))
	if got := s.States()[0]; !strings.Contains(got.Reason, "the newest is 2") {
		t.Errorf("reason %s", got.Reason)
	}
	for _, pattern := range []string{`429`, `{ $.status = 429 }`, `{ $.status = "4*" }`, `{ $.status = "429" || $.status = "503" }`} {
		filter.Pattern = pattern
		if _, err := cloudwatch.New(cloudwatch.Options{Filters: []samtemplate.LogFilter{filter}}); err == nil || !strings.Contains(err.Error(), "is not supported") {
			t.Errorf("pattern %s: %v", pattern, err)
		}
	}
}
