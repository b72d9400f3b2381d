package cloudwatch

import (
	"fmt"
	"math"
	"slices"

	"orderbridge/local/samtemplate"
)

// The states of an alarm.
const (
	OK               = "OK"
	Alarm            = "ALARM"
	InsufficientData = "INSUFFICIENT_DATA"
)

// extraPoints are the data points that an alarm looks at beyond its evaluation
// periods, for those that are missing. The service does not say how many they
// are; its examples have two.
const extraPoints = 2

// alarm is an alarm that can be evaluated.
type alarm struct {
	samtemplate.Alarm
	period   int64 // minutes
	value    expression
	metrics  map[string]query // by id
	formulas map[string]expression
	breaches func(v float64) bool
	sign     string
}

type query struct {
	metric     samtemplate.Metric
	of         stat
	percentile bool
}

// comparisons of a data point with the threshold.
var comparisons = map[string]struct {
	sign  string
	holds func(v, threshold float64) bool
}{
	"GreaterThanThreshold":          {">", func(v, t float64) bool { return v > t }},
	"GreaterThanOrEqualToThreshold": {">=", func(v, t float64) bool { return v >= t }},
	"LessThanThreshold":             {"<", func(v, t float64) bool { return v < t }},
	"LessThanOrEqualToThreshold":    {"<=", func(v, t float64) bool { return v <= t }},
}

// metric makes an alarm on metrics; it refuses what it does not know.
func metric(of samtemplate.Alarm) (*alarm, error) {
	a := &alarm{Alarm: of, metrics: map[string]query{}, formulas: map[string]expression{}}
	compare, known := comparisons[of.Comparison]
	switch {
	case !known:
		return nil, fmt.Errorf("ComparisonOperator %q is not supported", of.Comparison)
	case !slices.Contains([]string{"missing", "ignore", "breaching", "notBreaching"}, of.Missing):
		return nil, fmt.Errorf("TreatMissingData %q is not known", of.Missing)
	case of.EvaluationPeriods < 1 || of.DatapointsToAlarm < 1 || of.DatapointsToAlarm > of.EvaluationPeriods:
		return nil, fmt.Errorf("%d data points of %d evaluation periods cannot be", of.DatapointsToAlarm, of.EvaluationPeriods)
	}
	a.sign, a.breaches = compare.sign, func(v float64) bool { return compare.holds(v, of.Threshold) }
	if err := a.queries(); err != nil {
		return nil, err
	}
	return a, nil
}

func (a *alarm) queries() error {
	var metrics, known []string
	for _, q := range a.Queries {
		known = append(known, q.ID)
		if q.Expression == "" {
			metrics = append(metrics, q.ID)
		}
	}
	returned := 0
	for _, q := range a.Queries {
		if q.Period != 0 {
			period, err := minutes(q.Period)
			if err != nil {
				return err
			}
			if a.period != 0 && a.period != period {
				return fmt.Errorf("its metrics have different periods")
			}
			a.period = period
		}
		if q.Expression == "" {
			of, percentile, err := statistic(q.Stat)
			if err != nil {
				return err
			}
			a.metrics[q.ID] = query{q.Metric, of, percentile}
		} else {
			e, err := parseExpression(q.Expression, metrics, known)
			if err != nil {
				return err
			}
			a.formulas[q.ID] = e
		}
		if q.Returns {
			returned++
			id := q.ID
			a.value = expression{value: func(at lookup) float64 { return at(id) }}
		}
	}
	switch {
	case returned != 1:
		return fmt.Errorf("%d of its queries return data, one must", returned)
	case a.period == 0:
		return fmt.Errorf("it has no period")
	}
	return a.noCycle()
}

// noCycle refuses expressions that need each other.
func (a *alarm) noCycle() error {
	for id := range a.formulas {
		depth := 0
		var at lookup
		at = func(name string) float64 {
			if depth++; depth > len(a.Queries)*len(a.Queries) {
				return math.NaN()
			}
			if e, ok := a.formulas[name]; ok {
				return e.value(at)
			}
			return 0
		}
		if at(id); depth > len(a.Queries)*len(a.Queries) {
			return fmt.Errorf("its expressions need each other")
		}
	}
	return nil
}

// span is how many periods the alarm looks back.
func (a *alarm) span() int { return a.EvaluationPeriods + extraPoints }

// points are the data points that end at a minute, the newest first; NaN where
// there is none. A period slides: it ends now, not at a full hour (CloudWatch
// User Guide, "Evaluating an alarm").
func (a *alarm) points(now int64, of func(samtemplate.Metric) *series) []float64 {
	all := make([]float64, a.span())
	for i := range all {
		to := now - int64(i)*a.period
		var at lookup
		at = func(id string) float64 {
			if q, ok := a.metrics[id]; ok {
				return of(q.metric).over(to-a.period, to, q.of)
			}
			return a.formulas[id].value(at)
		}
		all[i] = a.value.value(at)
	}
	return all
}

// decide returns the state for data points, the newest first, NaN for one that
// is missing (CloudWatch User Guide, "Configuring how CloudWatch alarms treat
// missing data", whose tables are its tests).
func (a *alarm) decide(points []float64, was string) string {
	var there []float64
	breaching, oldest := 0, 0
	for age, v := range points {
		if math.IsNaN(v) {
			continue
		}
		there = append(there, v)
		if len(there) <= a.EvaluationPeriods && a.breaches(v) {
			breaching++
			oldest = age + 1
		}
	}
	filled := a.EvaluationPeriods - len(there)
	verdict := func(n int) string {
		if n >= a.DatapointsToAlarm {
			return Alarm
		}
		return OK
	}
	switch {
	case filled <= 0 || a.Missing == "notBreaching":
		return verdict(breaching)
	case a.Missing == "breaching":
		return verdict(breaching + filled)
	case len(there) == 0 && a.Missing == "ignore":
		return was
	case len(there) == 0:
		return InsufficientData
	case breaching < len(there) || breaching >= a.DatapointsToAlarm:
		return verdict(breaching)
	case a.Missing == "missing" && oldest >= a.DatapointsToAlarm:
		// All that is there breaches, and for long enough.
		return Alarm
	}
	// All that is there breaches, but the next one may not: too early to say.
	return was
}

// reason says why an alarm is as it is.
func (a *alarm) reason(points []float64) string {
	breaching, there := 0, 0
	var newest float64
	for _, v := range points {
		if math.IsNaN(v) || there == a.EvaluationPeriods {
			continue
		}
		if there++; there == 1 {
			newest = v
		}
		if a.breaches(v) {
			breaching++
		}
	}
	if there == 0 {
		return fmt.Sprintf("no data point in %d periods of %d min: missing data is %s", len(points), a.period, a.Missing)
	}
	return fmt.Sprintf("%d of %d data points of %d min %s %g; the newest is %.6g", breaching, a.EvaluationPeriods, a.period, a.sign, a.Threshold, newest)
}
