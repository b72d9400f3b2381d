package eventsource

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Filter is a list of event patterns of which one must match. An empty one
// matches everything.
type Filter struct{ patterns []pattern }

// pattern is an object of an event pattern: every field must match. A field is
// a pattern or a list of texts, one of which must be the value.
type pattern map[string]any

// ParseFilter reads event patterns. Known are exact texts alone; an operator or
// another type is refused rather than misread.
// (EventBridge User Guide, "Event patterns".)
func ParseFilter(patterns []string) (*Filter, error) {
	f := &Filter{}
	for _, text := range patterns {
		var p pattern
		if err := json.Unmarshal([]byte(text), &p); err != nil {
			return nil, fmt.Errorf("parse filter %s: %w", text, err)
		}
		if err := p.check("the pattern"); err != nil {
			return nil, fmt.Errorf("parse filter %s: %w", text, err)
		}
		f.patterns = append(f.patterns, p)
	}
	return f, nil
}

// check refuses what match does not know, and turns nested objects into
// patterns.
func (p pattern) check(at string) error {
	if len(p) == 0 {
		return fmt.Errorf("%s is empty", at)
	}
	for name, v := range p {
		switch v := v.(type) {
		case map[string]any:
			inner := pattern(v)
			if err := inner.check(name); err != nil {
				return err
			}
			p[name] = inner
		case []any:
			if len(v) == 0 {
				return fmt.Errorf("%s is an empty list", name)
			}
			for _, e := range v {
				if _, ok := e.(string); !ok {
					return fmt.Errorf("%s: %v is not supported, a text is", name, e)
				}
			}
		default:
			return fmt.Errorf("%s must be an object or a list", name)
		}
	}
	return nil
}

// Match tells whether an event passes.
func (f *Filter) Match(event map[string]any) bool {
	return len(f.patterns) == 0 || slices.ContainsFunc(f.patterns, func(p pattern) bool { return p.match(event) })
}

func (p pattern) match(object map[string]any) bool {
	for name, want := range p {
		switch want := want.(type) {
		case pattern:
			inner, _ := object[name].(map[string]any)
			if !want.match(inner) {
				return false
			}
		case []any:
			// Of a list, one element must match.
			values, ok := object[name].([]any)
			if !ok {
				values = []any{object[name]}
			}
			if !slices.ContainsFunc(values, func(v any) bool { text, ok := v.(string); return ok && slices.Contains(want, any(text)) }) {
				return false
			}
		}
	}
	return true
}
