package eventsource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"orderbridge/local/faults"
	"orderbridge/local/lambda"
	"orderbridge/local/sqs"
)

// Invoker runs a function, by its short name.
type Invoker interface {
	Invoke(ctx context.Context, function string, event []byte) ([]byte, error)
}

// ToFunction delivers batches to a function. Batches come late and twice by
// the switches of hints; none is lost, since the service loses none.
func ToFunction(inv Invoker, function string, hints *faults.Hints) Deliver {
	return func(ctx context.Context, batch []Record) ([]string, error) {
		events := make([]map[string]any, 0, len(batch))
		for _, r := range batch {
			events = append(events, r.Event)
		}
		payload, err := json.Marshal(map[string]any{"Records": events})
		if err != nil {
			return nil, fmt.Errorf("write event for %s: %w", function, err)
		}
		pause(ctx, hints.Late())
		if hints.Doubled() {
			if _, err := inv.Invoke(ctx, function, payload); err != nil {
				return nil, err
			}
		}
		result, err := inv.Invoke(ctx, function, payload)
		for errors.Is(err, lambda.ErrThrottled) && ctx.Err() == nil {
			// No room is no failure of the function and uses no retry up.
			pause(ctx, time.Second)
			result, err = inv.Invoke(ctx, function, payload)
		}
		if err != nil {
			return nil, err
		}
		return failures(result)
	}
}

// failures reads what a function reports; anything that is not a report means
// that nothing failed.
func failures(result []byte) ([]string, error) {
	var report struct {
		Failures []struct {
			ID *string `json:"itemIdentifier"`
		} `json:"batchItemFailures"`
	}
	if err := json.Unmarshal(result, &report); err != nil {
		var typeErr *json.UnmarshalTypeError
		if errors.As(err, &typeErr) && typeErr.Field == "" {
			return nil, nil // a text, a number, a list: no report at all
		}
		return nil, fmt.Errorf("read batch failures: %w", err)
	}
	var ids []string
	for _, f := range report.Failures {
		if f.ID == nil || *f.ID == "" {
			return nil, errors.New("read batch failures: an itemIdentifier is empty")
		}
		ids = append(ids, *f.ID)
	}
	return ids, nil
}

// ToQueue delivers each record to a queue as the template says; records are
// lost, doubled and late by the switches of hints.
func ToQueue(q *sqs.Queue, input *Template, hints *faults.Hints) Deliver {
	return func(_ context.Context, batch []Record) ([]string, error) {
		for _, r := range batch {
			body, err := input.Apply(r.Event)
			if err != nil {
				return nil, err
			}
			if hints.Lost() {
				continue
			}
			q.Send(body, nil, hints.Late())
			if hints.Doubled() {
				q.Send(body, nil, hints.Late())
			}
		}
		return nil, nil
	}
}

// ToDeadLetters tells a queue which records of a shard were given up, in the
// service's format: it names the records but does not hold them.
func ToDeadLetters(q *sqs.Queue, functionARN string, logf func(format string, args ...any)) func(shard, arn string) Discard {
	return func(shard, arn string) Discard {
		return func(batch []Record, why Reason, attempts int) {
			first, last := batch[0], batch[len(batch)-1]
			logf("%d records given up (%s), %s to %s", len(batch), why, first.Sequence, last.Sequence)
			if q == nil {
				return
			}
			const at = "2006-01-02T15:04:05.000Z"
			b, err := json.Marshal(map[string]any{
				"requestContext":  map[string]any{"requestId": newID(), "functionArn": functionARN, "condition": why, "approximateInvokeCount": attempts},
				"responseContext": map[string]any{"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
				"version":         "1.0",
				"timestamp":       time.Now().UTC().Format(at),
				"DDBStreamBatchInfo": map[string]any{
					"shardId": shard, "startSequenceNumber": first.Sequence, "endSequenceNumber": last.Sequence,
					"approximateArrivalOfFirstRecord": first.Created.UTC().Format(at), "approximateArrivalOfLastRecord": last.Created.UTC().Format(at),
					"batchSize": len(batch), "streamArn": arn,
				},
			})
			if err != nil {
				logf("write dead letter: %v", err)
				return
			}
			q.Send(string(b), nil, -1)
		}
	}
}

// Template is a pipe's input template.
type Template struct{ parts []part }

type part struct {
	literal string
	path    []string // of a placeholder
	quoted  bool     // it stands inside a JSON text
}

// ParseTemplate reads an input template; placeholders are <$.a.b>. The empty
// template hands the record on as it is.
// (EventBridge User Guide, "Pipes input transformation".)
func ParseTemplate(text string) (*Template, error) {
	t := &Template{}
	quoted := false
	rest := text
	for rest != "" {
		i := strings.IndexByte(rest, '<')
		literal := rest
		if i >= 0 {
			literal = rest[:i]
		}
		for j := 0; j < len(literal); j++ {
			switch {
			case literal[j] == '\\' && quoted:
				j++
			case literal[j] == '"':
				quoted = !quoted
			}
		}
		t.parts = append(t.parts, part{literal: literal})
		if i < 0 {
			break
		}
		inner, tail, closed := strings.Cut(rest[i+1:], ">")
		path, ok := strings.CutPrefix(inner, "$.")
		if !closed || !ok || strings.ContainsAny(path, `[]*'" `) {
			return nil, fmt.Errorf("parse input template: <%s> is not supported", inner)
		}
		t.parts = append(t.parts, part{path: strings.Split(path, "."), quoted: quoted})
		rest = tail
	}
	if quoted {
		return nil, errors.New("parse input template: a text is not closed")
	}
	return t, nil
}

// Apply fills the template in. What a path does not find is left out.
func (t *Template) Apply(event map[string]any) (string, error) {
	if len(t.parts) == 0 {
		b, err := json.Marshal(event)
		return string(b), err
	}
	var out strings.Builder
	for _, p := range t.parts {
		if p.path == nil {
			out.WriteString(p.literal)
			continue
		}
		var v any = event
		for _, name := range p.path {
			object, _ := v.(map[string]any)
			v = object[name]
		}
		if v == nil {
			continue
		}
		b, err := json.Marshal(v)
		if err != nil {
			return "", fmt.Errorf("fill input template: %w", err)
		}
		s := string(b)
		if p.quoted {
			if _, text := v.(string); text {
				s = s[1 : len(s)-1]
			} else {
				s = strconv.Quote(s)
				s = s[1 : len(s)-1]
			}
		}
		out.WriteString(s)
	}
	return out.String(), nil
}

// Work takes messages from a queue to a function.
type Work struct {
	Queue          *sqs.Queue
	Invoker        Invoker
	Function       string
	Region         string
	BatchSize      int
	Window         time.Duration
	MaxConcurrency int // invocations at a time; 0 = defaultWorkers
	ReportPartial  bool
	Filters        []string
}

// defaultWorkers is how many batches the service starts with when a mapping
// has no maximum.
const defaultWorkers = 5

// Run takes messages until ctx ends: what a function carried out is deleted,
// anything else comes back when its visibility time-out is over.
func (w *Work) Run(ctx context.Context) error {
	filter, err := ParseFilter(w.Filters)
	if err != nil {
		return err
	}
	workers := w.MaxConcurrency
	if workers <= 0 {
		workers = defaultWorkers
	}
	var wait sync.WaitGroup
	for range workers {
		wait.Go(func() {
			for failed := 0; ctx.Err() == nil; {
				if w.once(ctx, filter) {
					failed = 0
					continue
				}
				pause(ctx, min(firstPause<<min(failed, 10), longestPause))
				failed++
			}
		})
	}
	wait.Wait()
	return nil
}

// once takes one batch; false when the function failed on it.
func (w *Work) once(ctx context.Context, filter *Filter) bool {
	const longPoll = 20 * time.Second
	batch := w.Queue.Receive(ctx, w.BatchSize, longPoll, -1)
	for until := time.Now().Add(w.Window); len(batch) > 0 && len(batch) < w.BatchSize && time.Now().Before(until) && ctx.Err() == nil; {
		batch = append(batch, w.Queue.Receive(ctx, w.BatchSize-len(batch), time.Until(until), -1)...)
	}
	var events []map[string]any
	receipts := map[string]string{}
	for _, m := range batch {
		e := w.event(m)
		if !filter.Match(withBody(e)) {
			w.Queue.Delete(m.Receipt) // filtered out is done with
			continue
		}
		events = append(events, e)
		receipts[m.ID] = m.Receipt
	}
	if len(events) == 0 || ctx.Err() != nil {
		return true
	}
	payload, err := json.Marshal(map[string]any{"Records": events})
	if err != nil {
		return false
	}
	result, err := w.Invoker.Invoke(ctx, w.Function, payload)
	if err != nil {
		return false
	}
	if w.ReportPartial {
		failed, err := failures(result)
		if err != nil {
			return false
		}
		for _, id := range failed {
			if receipts[id] == "" {
				return false // not of this batch: the whole batch failed
			}
		}
		for _, id := range failed {
			delete(receipts, id)
		}
	}
	for _, receipt := range receipts {
		w.Queue.Delete(receipt)
	}
	return true
}

func (w *Work) event(m sqs.Message) map[string]any {
	own := map[string]any{}
	for name, a := range m.Attributes {
		v := map[string]any{"dataType": a.DataType, "stringListValues": []any{}, "binaryListValues": []any{}}
		if len(a.BinaryValue) > 0 {
			v["binaryValue"] = a.BinaryValue
		} else {
			v["stringValue"] = a.StringValue
		}
		own[name] = v
	}
	system := map[string]any{}
	for k, v := range sqs.SystemAttributes(m) {
		system[k] = v
	}
	e := map[string]any{
		"messageId": m.ID, "receiptHandle": m.Receipt, "body": m.Body, "md5OfBody": sqs.MD5OfBody(m.Body),
		"attributes": system, "messageAttributes": own,
		"eventSource": "aws:sqs", "eventSourceARN": w.Queue.Settings().ARN, "awsRegion": w.Region,
	}
	if sum := sqs.MD5OfAttributes(m.Attributes); sum != "" {
		e["md5OfMessageAttributes"] = sum
	}
	return e
}

// withBody is what a filter sees: a body that is JSON as JSON.
func withBody(e map[string]any) map[string]any {
	text, _ := e["body"].(string)
	body, err := decode([]byte(text))
	if err != nil {
		return e
	}
	seen := map[string]any{}
	for k, v := range e {
		seen[k] = v
	}
	seen["body"] = body
	return seen
}
