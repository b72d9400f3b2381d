package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"

	"orderbridge/local/apigateway"
	"orderbridge/local/cloudwatch"
	"orderbridge/local/eventsource"
	"orderbridge/local/lambda"
	"orderbridge/local/samtemplate"
)

// measuredLines takes the metrics out of the functions' lines on their way to
// the screen.
type measuredLines struct {
	next    interface{ Write([]byte) (int, error) }
	metrics *cloudwatch.Service
}

func (m measuredLines) Write(b []byte) (int, error) {
	if _, line, ok := bytes.Cut(b, []byte(" | ")); ok && bytes.Contains(line, []byte(`"_aws"`)) {
		m.metrics.Line(line, time.Now())
	}
	return m.next.Write(b)
}

// measure adds a value to a metric that AWS itself writes.
func (s *system) measure(namespace, name, dimension, of string, v float64) {
	s.metrics.Put(samtemplate.Metric{Namespace: namespace, Name: name, Dimensions: map[string]string{dimension: of}}, time.Now(), v)
}

// measureInvocations writes the metrics of Lambda (AWS Lambda Developer Guide,
// "Types of metrics for Lambda functions").
func (s *system) measureInvocations() {
	names := map[string]string{}
	for _, f := range s.model.Functions {
		names[f.Short] = f.Name
	}
	s.host.Watch(func(seen lambda.Seen) {
		put := func(name string, v float64) { s.measure("AWS/Lambda", name, "FunctionName", names[seen.Function], v) }
		put("Throttles", one(seen.Throttled))
		if seen.Throttled {
			return
		}
		put("Invocations", 1)
		put("Errors", one(seen.Failed))
		put("Duration", float64(seen.Took.Milliseconds()))
		put("ConcurrentExecutions", float64(seen.Running))
	})
}

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// measureAnswers writes the metrics of the APIs (API Gateway Developer Guide,
// "Working with metrics for HTTP APIs").
func (s *system) measureAnswers(a apigateway.Answer) {
	put := func(name string, v float64) { s.measure("AWS/ApiGateway", name, "ApiId", a.API, v) }
	put("Count", 1)
	put("4xx", one(a.Status >= http.StatusBadRequest && a.Status < http.StatusInternalServerError))
	put("5xx", one(a.Status >= http.StatusInternalServerError))
	put("Latency", float64(a.Took.Milliseconds()))
	for _, api := range s.model.APIs {
		if api.ID == a.API && api.LogGroup != "" {
			s.metrics.Log(api.LogGroup, accessLine(api.LogFormat, a), time.Now())
		}
	}
}

var contextVariable = regexp.MustCompile(`\$context\.[A-Za-z.]+`)

// accessLine is a line of an access log, as far as an alarm may need it: what is
// not known here is a hyphen, as in the service what has no value.
func accessLine(format string, a apigateway.Answer) []byte {
	known := map[string]string{"$context.status": strconv.Itoa(a.Status), "$context.routeKey": a.Route, "$context.responseLatency": strconv.FormatInt(a.Took.Milliseconds(), 10)}
	return []byte(contextVariable.ReplaceAllStringFunc(format, func(name string) string { return cmp.Or(known[name], "-") }))
}

// streamExact is how exact the times of a stream's records are: an age that is
// taken from them is up to this too high.
const streamExact = time.Second

// measureAge writes the age of what a function reads from a stream, after each
// try; while a batch is tried again and again, each minute too (measureStuck): the
// service tries about that often, this machine with pauses of its own.
func (s *system) measureAge(function string, deliver eventsource.Deliver) eventsource.Deliver {
	name := s.model.Functions[slices.IndexFunc(s.model.Functions, func(f samtemplate.Function) bool { return f.Short == function })].Name
	return func(ctx context.Context, batch []eventsource.Record) ([]string, error) {
		if len(batch) == 0 {
			return deliver(ctx, batch)
		}
		created := batch[len(batch)-1].Created
		s.stuck.Store(name, created)
		failed, err := deliver(ctx, batch)
		s.measureIterator(name, created)
		if err == nil && len(failed) == 0 {
			s.stuck.Delete(name)
		}
		return failed, err
	}
}

func (s *system) measureIterator(function string, created time.Time) {
	age := max(time.Since(created)-streamExact, 0)
	s.measure("AWS/Lambda", "IteratorAge", "FunctionName", function, float64(age.Milliseconds()))
}

func (s *system) measureStuck() {
	s.stuck.Range(func(function, created any) bool {
		if at, ok := created.(time.Time); ok {
			s.measureIterator(fmt.Sprint(function), at)
		}
		return true
	})
}

// inAlarmTime is how long a time of the template takes where the minutes of the
// alarms are shorter: what it makes late must not look later to them.
func (s *system) inAlarmTime(d time.Duration) time.Duration {
	return time.Duration(float64(d) * s.settings.alarmMinute.Minutes())
}

// measurePipe writes the metrics of a pipe.
func (s *system) measurePipe(pipe string, deliver eventsource.Deliver) eventsource.Deliver {
	return func(ctx context.Context, batch []eventsource.Record) ([]string, error) {
		failed, err := deliver(ctx, batch)
		s.measure("AWS/EventBridge/Pipes", "Invocations", "PipeName", pipe, 1)
		s.measure("AWS/EventBridge/Pipes", "ExecutionFailed", "PipeName", pipe, one(err != nil))
		return failed, err
	}
}

// measureQueues writes the metrics of the queues as they are now.
func (s *system) measureQueues() {
	for _, q := range s.model.Queues {
		of := s.queues.ByARN(q.ARN)
		n := of.Counts()
		put := func(name string, v float64) { s.measure("AWS/SQS", name, "QueueName", q.Name, v) }
		put("ApproximateNumberOfMessagesVisible", float64(n.Visible))
		put("ApproximateNumberOfMessagesNotVisible", float64(n.InFlight))
		put("ApproximateNumberOfMessagesDelayed", float64(n.Delayed))
		put("ApproximateAgeOfOldestMessage", of.Age().Seconds())
	}
}

// firstEvaluation is the minute after which alarms are evaluated first: an alarm
// on the clock's silence would otherwise go off before its first tick.
const firstEvaluation = 2

// watchAlarms evaluates the alarms each minute until ctx ends.
func (s *system) watchAlarms(ctx context.Context) {
	each := time.NewTicker(s.settings.alarmMinute)
	defer each.Stop()
	for minute := 1; ; minute++ {
		select {
		case now := <-each.C:
			s.measureQueues()
			s.measureStuck()
			if minute >= firstEvaluation {
				s.metrics.Evaluate(now)
			}
		case <-ctx.Done():
			return
		}
	}
}

// alarms lists the alarms as they stand.
func (s *system) alarms() []map[string]any {
	all := []map[string]any{}
	for _, a := range s.metrics.States() {
		all = append(all, map[string]any{"name": a.ID, "state": a.State, "since": a.Since, "reason": a.Reason, "description": a.Description, "tells": len(a.Actions) > 0})
	}
	return all
}
