package eventsource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"orderbridge/local/sqs"
)

// ToQueue delivers each record to a queue as the template says; records are
// lost, doubled and late by the switches of hints.
func ToQueue(q *sqs.Queue, input *Template, hints *Hints) Deliver {
	return func(_ context.Context, batch []Record) ([]string, error) {
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
