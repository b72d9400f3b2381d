package samtemplate

import (
	"strconv"
	"time"
)

// Alarm is an AWS::CloudWatch::Alarm.
type Alarm struct {
	ID          string // logical id
	Name, ARN   string
	Description string
	// Queries are what the alarm looks at; exactly one of them returns data.
	Queries           []Query
	EvaluationPeriods int
	DatapointsToAlarm int
	Comparison        string // ComparisonOperator
	Threshold         float64
	Missing           string // TreatMissingData
}

// Query is one metric of an alarm, or an expression over its other queries.
type Query struct {
	ID         string
	Expression string // "" = a metric
	Metric     Metric
	Stat       string
	Period     time.Duration
	Returns    bool // ReturnData
}

// Metric names a metric of CloudWatch.
type Metric struct {
	Namespace, Name string
	Dimensions      map[string]string
}

// alarm reads what is evaluated. Whom an alarm tells has no counterpart here.
func (r *reader) alarm(res resource, p *props) {
	a := Alarm{ID: res.id, Name: r.physical(res), Description: p.text("AlarmDescription")}
	a.ARN = r.arn("cloudwatch", "alarm:"+a.Name)
	a.EvaluationPeriods = p.int("EvaluationPeriods", 0)
	a.DatapointsToAlarm = p.int("DatapointsToAlarm", a.EvaluationPeriods)
	a.Comparison = p.required("ComparisonOperator")
	a.Threshold = p.float("Threshold")
	if a.Missing = p.text("TreatMissingData"); a.Missing == "" {
		a.Missing = "missing" // CloudWatch's default
	}
	p.objects("Metrics", func(p *props) {
		q := Query{ID: p.required("Id"), Expression: p.text("Expression"), Returns: true, Period: p.seconds("Period", 0)}
		if _, given := p.take("ReturnData"); given {
			q.Returns = p.bool("ReturnData")
		}
		p.object("MetricStat", func(p *props) {
			p.object("Metric", func(p *props) { q.Metric = p.metric() })
			q.Stat, q.Period = p.required("Stat"), p.seconds("Period", 0)
			p.ignore("Unit")
		})
		p.ignore("Label")
		a.Queries = append(a.Queries, q)
	})
	if len(a.Queries) == 0 {
		q := Query{ID: "metric", Metric: p.metric(), Stat: p.text("Statistic"), Period: p.seconds("Period", 0), Returns: true}
		if q.Stat == "" {
			q.Stat = p.required("ExtendedStatistic")
		}
		a.Queries = []Query{q}
	}
	p.ignore("AlarmActions", "OKActions", "InsufficientDataActions", "ActionsEnabled", "Tags", "Unit")
	r.model.Alarms = append(r.model.Alarms, a)
}

func (p *props) metric() Metric {
	m := Metric{Namespace: p.required("Namespace"), Name: p.required("MetricName"), Dimensions: map[string]string{}}
	p.objects("Dimensions", func(p *props) { m.Dimensions[p.required("Name")] = p.required("Value") })
	return m
}

func (p *props) float(name string) float64 {
	f, err := strconv.ParseFloat(p.required(name), 64)
	if err != nil {
		p.fail(name, "want a number")
	}
	return f
}
