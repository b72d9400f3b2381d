package samtemplate

import (
	"encoding/json"
	"strconv"
	"time"
)

// Alarm is an AWS::CloudWatch::Alarm.
type Alarm struct {
	ID          string // logical id
	Name, ARN   string
	Description string
	Actions     []string // AlarmActions: who is told; none = it is a part of another alarm
	// Queries are what the alarm looks at; exactly one of them returns data.
	Queries           []Query
	EvaluationPeriods int
	DatapointsToAlarm int
	Comparison        string // ComparisonOperator
	Threshold         float64
	Missing           string // TreatMissingData
	// Rule is what a composite alarm is decided by, and all that it has.
	Rule string
}

// LogFilter is an AWS::Logs::MetricFilter: a log line that fits adds a value to
// a metric.
type LogFilter struct {
	LogGroup string // name
	Pattern  string
	Metric   Metric
	Value    float64
}

// EventRule is an AWS::Events::Rule with one target, an API destination.
type EventRule struct {
	ID, Pattern   string // the pattern is JSON
	TargetARN     string
	MaxAge        time.Duration
	MaxRetries    int
	DeadLetterARN string // "" = none
}

// Destination is an AWS::Events::ApiDestination; it takes POST.
type Destination struct{ ARN, URL, ConnectionARN string }

// Connection is an AWS::Events::Connection: the header that authorizes.
type Connection struct{ ARN, Header, Value string }

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
	a.Actions = p.texts("AlarmActions")
	p.ignore("OKActions", "InsufficientDataActions", "ActionsEnabled", "Tags", "Unit")
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

func (r *reader) composite(res resource, p *props) {
	a := Alarm{ID: res.id, Name: r.physical(res), Description: p.text("AlarmDescription"), Actions: p.texts("AlarmActions"), Rule: p.required("AlarmRule")}
	a.ARN = r.arn("cloudwatch", "alarm:"+a.Name)
	p.ignore("OKActions", "InsufficientDataActions", "ActionsEnabled", "Tags")
	r.model.Alarms = append(r.model.Alarms, a)
}

func (r *reader) metricFilter(p *props) {
	group, pattern := p.required("LogGroupName"), p.required("FilterPattern")
	p.objects("MetricTransformations", func(p *props) {
		f := LogFilter{LogGroup: group, Pattern: pattern, Value: p.float("MetricValue")}
		f.Metric = Metric{Namespace: p.required("MetricNamespace"), Name: p.required("MetricName"), Dimensions: map[string]string{}}
		p.ignore("Unit")
		r.model.LogFilters = append(r.model.LogFilters, f)
	})
}

func (r *reader) eventRule(res resource, p *props) {
	pattern, ok := p.take("EventPattern")
	if !ok {
		p.fail("EventPattern", "is missing")
		return
	}
	text, err := json.Marshal(pattern.plain())
	if err != nil {
		p.fail("EventPattern", "%v", err)
	}
	rule := EventRule{ID: res.id, Pattern: string(text), MaxAge: 24 * time.Hour, MaxRetries: 185} // EventBridge's defaults
	targets := 0
	p.objects("Targets", func(p *props) {
		targets++
		rule.TargetARN = p.required("Arn")
		p.object("RetryPolicy", func(p *props) {
			rule.MaxAge, rule.MaxRetries = p.seconds("MaximumEventAgeInSeconds", 86400), p.int("MaximumRetryAttempts", 185)
		})
		p.object("DeadLetterConfig", func(p *props) { rule.DeadLetterARN = p.queueOf("Arn") })
		p.ignore("Id", "RoleArn")
	})
	if targets != 1 {
		p.fail("Targets", "one is supported, not %d", targets)
	}
	p.ignore("Description", "State")
	r.model.EventRules = append(r.model.EventRules, rule)
}

func (r *reader) destination(res resource, p *props) {
	arn, _ := r.attribute(res, "Arn")
	if method := p.required("HttpMethod"); method != "POST" {
		p.fail("HttpMethod", "only POST is supported, not %q", method)
	}
	r.model.Destinations = append(r.model.Destinations, Destination{arn, p.required("InvocationEndpoint"), p.required("ConnectionArn")})
	p.ignore("Description", "InvocationRateLimitPerSecond")
}

func (r *reader) connection(res resource, p *props) {
	c := Connection{}
	c.ARN, _ = r.attribute(res, "Arn")
	if kind := p.required("AuthorizationType"); kind != "API_KEY" {
		p.fail("AuthorizationType", "only API_KEY is supported, not %q", kind)
	}
	p.object("AuthParameters", func(p *props) {
		p.object("ApiKeyAuthParameters", func(p *props) { c.Header, c.Value = p.required("ApiKeyName"), p.required("ApiKeyValue") })
	})
	p.ignore("Description")
	r.model.Connections = append(r.model.Connections, c)
}
