package eventsource

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Filter is a list of event patterns of which one must match. An empty one
// matches everything.
type Filter struct{ patterns []pattern }

// pattern is an object of an event pattern: every field must match.
type pattern map[string]any // pattern or []matcher

// matcher is one element of a leaf: one of them must match.
type matcher func(value any, there bool) bool

// ParseFilter reads event patterns. Known are exact values, prefix, exists and
// anything-but (of values); any other is refused rather than misread.
// (EventBridge User Guide, "Comparison operators".)
func ParseFilter(patterns []string) (*Filter, error) {
	f := &Filter{}
	for _, text := range patterns {
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		var v any
		if err := d.Decode(&v); err != nil {
			return nil, fmt.Errorf("parse filter %s: %w", text, err)
		}
		object, ok := v.(map[string]any)
		if !ok || d.More() {
			return nil, fmt.Errorf("parse filter %s: want one object", text)
		}
		p, err := parsePattern(object, "")
		if err != nil {
			return nil, fmt.Errorf("parse filter %s: %w", text, err)
		}
		f.patterns = append(f.patterns, p)
	}
	return f, nil
}

func parsePattern(object map[string]any, path string) (pattern, error) {
	if len(object) == 0 {
		return nil, fmt.Errorf("%s is empty", orRoot(path))
	}
	p := pattern{}
	for name, v := range object {
		at := path + "." + name
		if strings.HasPrefix(name, "$") {
			return nil, fmt.Errorf("operator %s is not supported", name)
		}
		switch v := v.(type) {
		case map[string]any:
			inner, err := parsePattern(v, at)
			if err != nil {
				return nil, err
			}
			p[name] = inner
		case []any:
			if len(v) == 0 {
				return nil, fmt.Errorf("%s is an empty list", at)
			}
			var all []matcher
			for _, e := range v {
				m, err := parseMatcher(e, at)
				if err != nil {
					return nil, err
				}
				all = append(all, m)
			}
			p[name] = all
		default:
			return nil, fmt.Errorf("%s must be an object or a list", at)
		}
	}
	return p, nil
}

func orRoot(path string) string {
	if path == "" {
		return "the pattern"
	}
	return path
}

func parseMatcher(v any, at string) (matcher, error) {
	operator, ok := v.(map[string]any)
	if !ok {
		if _, list := v.([]any); list {
			return nil, fmt.Errorf("%s: a list in a list is not supported", at)
		}
		return anyOf(func(value any) bool { return same(value, v) }), nil
	}
	if len(operator) != 1 {
		return nil, fmt.Errorf("%s: want one operator", at)
	}
	for name, arg := range operator {
		switch name {
		case "prefix":
			prefix, ok := arg.(string)
			if !ok {
				return nil, fmt.Errorf("%s: prefix wants a text", at)
			}
			return anyOf(func(value any) bool {
				s, ok := value.(string)
				return ok && strings.HasPrefix(s, prefix)
			}), nil
		case "exists":
			want, ok := arg.(bool)
			if !ok {
				return nil, fmt.Errorf("%s: exists wants true or false", at)
			}
			return func(value any, there bool) bool {
				// It looks at leaves only: an object does not exist for it.
				if _, object := value.(map[string]any); object {
					there = false
				}
				return there == want
			}, nil
		case "anything-but":
			values, ok := arg.([]any)
			if !ok {
				values = []any{arg}
			}
			for _, e := range values {
				switch e.(type) {
				case string, json.Number:
				default:
					return nil, fmt.Errorf("%s: anything-but of %v is not supported", at, e)
				}
			}
			return anyOf(func(value any) bool {
				return !slices.ContainsFunc(values, func(e any) bool { return same(value, e) })
			}), nil
		default:
			return nil, fmt.Errorf("%s: operator %s is not supported", at, name)
		}
	}
	return nil, nil
}

// anyOf matches a leaf that is there; of a list, one element must match.
func anyOf(match func(any) bool) matcher {
	return func(value any, there bool) bool {
		if !there {
			return false
		}
		switch v := value.(type) {
		case []any:
			return slices.ContainsFunc(v, match)
		case map[string]any:
			return false
		}
		return match(value)
	}
}

func same(a, b any) bool {
	if n, ok := a.(json.Number); ok {
		m, ok := b.(json.Number)
		if !ok {
			return false
		}
		x, errX := n.Float64()
		y, errY := m.Float64()
		return errX == nil && errY == nil && x == y
	}
	switch a.(type) {
	case string, bool, nil:
		return a == b
	}
	return false
}

// Match tells whether an event, as encoding/json decodes it with UseNumber,
// passes.
func (f *Filter) Match(event map[string]any) bool {
	if len(f.patterns) == 0 {
		return true
	}
	return slices.ContainsFunc(f.patterns, func(p pattern) bool { return p.match(event) })
}

func (p pattern) match(object map[string]any) bool {
	for name, want := range p {
		value, there := object[name]
		switch want := want.(type) {
		case pattern:
			inner, ok := value.(map[string]any)
			if !ok {
				inner = nil // so that {"exists": false} further down can hold
			}
			if !want.match(inner) {
				return false
			}
		case []matcher:
			if !slices.ContainsFunc(want, func(m matcher) bool { return m(value, there) }) {
				return false
			}
		}
	}
	return true
}

// decode reads JSON the way Match wants it.
func decode(b []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v map[string]any
	err := d.Decode(&v)
	return v, err
}
