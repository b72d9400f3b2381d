package eventsource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"orderbridge/local/sqs"
)

// ToQueue delivers each record to a queue as the template says; records are
// lost, doubled and late by the switches of hints.
func ToQueue(q *sqs.Queue, input *Template, hints *Hints) Deliver {
	return func(_ context.Context, batch []Record) ([]string, error) {
		if hints.Refused() {
			return nil, errRefused
		}
		for _, r := range batch {
			body, err := input.Apply(r.Event)
			if err != nil {
				return nil, err
			}
			if hints.Lost() {
				continue
			}
			q.Send(body, hints.Late())
			if hints.Doubled() {
				q.Send(body, hints.Late())
			}
		}
		return nil, nil
	}
}

// errRefused: the queue does not take a batch, by the switch of Hints.
var errRefused = errors.New("the queue refuses the pipe")

// Template is a pipe's input template.
type Template struct{ parts []part }

// part is a literal, or a placeholder that stands inside a JSON text.
type part struct {
	literal string
	path    []string
}

// ParseTemplate reads an input template; placeholders are <$.a.b> inside JSON
// texts.
// (EventBridge User Guide, "Pipes input transformation".)
func ParseTemplate(text string) (*Template, error) {
	t := &Template{}
	for rest := text; ; {
		literal, after, found := strings.Cut(rest, "<")
		t.parts = append(t.parts, part{literal: literal})
		if !found {
			break
		}
		inner, tail, closed := strings.Cut(after, ">")
		path, ok := strings.CutPrefix(inner, "$.")
		if !closed || !ok || strings.ContainsAny(path, `[]*'" `) {
			return nil, fmt.Errorf("parse input template: <%s> is not supported", inner)
		}
		t.parts = append(t.parts, part{path: strings.Split(path, ".")})
		rest = tail
	}
	// A placeholder outside a text would not leave JSON behind.
	if filled, err := t.Apply(nil); err != nil || !json.Valid([]byte(filled)) {
		return nil, fmt.Errorf("parse input template: %s is not JSON with placeholders inside its texts", text)
	}
	return t, nil
}

// Apply fills the template in. What a path does not find is left out.
func (t *Template) Apply(event map[string]any) (string, error) {
	var out strings.Builder
	for _, p := range t.parts {
		out.WriteString(p.literal)
		if p.path == nil {
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
		text, ok := v.(string)
		if !ok {
			return "", fmt.Errorf("fill input template: %s is not a text", strings.Join(p.path, "."))
		}
		b, err := json.Marshal(text)
		if err != nil {
			return "", fmt.Errorf("fill input template: %w", err)
		}
		out.Write(b[1 : len(b)-1])
	}
	return out.String(), nil
}
