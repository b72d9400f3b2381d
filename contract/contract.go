// Package contract holds the OpenAPI description of both routes and checks
// answers against it.
//
// The rule it keeps: it reads the description and nothing else, so that an
// answer that passes is one that the description promises. It is for tests and
// the local system; no function may link it.
package contract

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

//go:embed openapi.yaml
var openapi []byte

// Doc is a parsed OpenAPI description.
type Doc struct{ root map[string]any }

// Load parses the description.
func Load() (*Doc, error) {
	var root map[string]any
	if err := yaml.Unmarshal(openapi, &root); err != nil {
		return nil, fmt.Errorf("read openapi.yaml: %w", err)
	}
	return &Doc{root}, nil
}

// Check reports how an answer to method and path (the template, like
// /orders/{sfOrderId}) departs from the description: a status or content type
// that is not there, a header that is missing or malformed, a body that does
// not fit its schema.
func (d *Doc) Check(method, path string, status int, headers map[string]string, body string) error {
	op, ok := lookup(d.root, "paths", path, strings.ToLower(method))
	if !ok {
		return fmt.Errorf("the contract has no %s %s", method, path)
	}
	res, ok := lookup(op, "responses", fmt.Sprint(status))
	if !ok {
		return fmt.Errorf("the contract has no status %d for %s %s", status, method, path)
	}
	res, err := d.resolve(res)
	if err != nil {
		return err
	}
	lower := map[string]string{}
	for name, v := range headers {
		lower[strings.ToLower(name)] = v
	}
	described, _ := lookup(res, "headers")
	for name, h := range object(described) {
		if h, err = d.resolve(h); err != nil {
			return err
		}
		v, sent := lower[strings.ToLower(name)]
		if required, _ := object(h)["required"].(bool); required && !sent {
			return fmt.Errorf("header %s is missing", name)
		}
		if sent {
			if err := d.schema(object(h)["schema"], v, "header "+name); err != nil {
				return err
			}
		}
	}
	content, hasBody := lookup(res, "content")
	if !hasBody {
		if body != "" || lower["content-type"] != "" {
			return errors.New("there must be no body")
		}
		return nil
	}
	media, _, err := mime.ParseMediaType(lower["content-type"])
	if err != nil {
		return fmt.Errorf("read content type %q: %w", lower["content-type"], err)
	}
	s, ok := lookup(content, media, "schema")
	if !ok {
		return fmt.Errorf("the contract has no %s for status %d", media, status)
	}
	var v any
	dec := json.NewDecoder(strings.NewReader(body))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil || dec.More() {
		return errors.New("the body is not one JSON value")
	}
	return d.schema(s, v, "body")
}

// Codes returns the codes that the description lists for an operation.
func (d *Doc) Codes(method, path string) map[string]bool {
	all := map[string]bool{}
	op, _ := lookup(d.root, "paths", path, strings.ToLower(method))
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if enum, ok := lookup(v, "code", "enum"); ok {
				list, _ := enum.([]any)
				for _, c := range list {
					all[fmt.Sprint(c)] = true
				}
			}
			for _, e := range v {
				walk(e)
			}
		case []any:
			for _, e := range v {
				walk(e)
			}
		}
	}
	walk(op)
	return all
}

// resolve follows a $ref into this document.
func (d *Doc) resolve(v any) (any, error) {
	for range 8 {
		ref, ok := object(v)["$ref"].(string)
		if !ok {
			return v, nil
		}
		path, ours := strings.CutPrefix(ref, "#/")
		if v, ok = lookup(d.root, strings.Split(path, "/")...); !ours || !ok {
			return nil, fmt.Errorf("the reference %s leads nowhere", ref)
		}
	}
	return nil, errors.New("references in a circle")
}

// keywords are those of JSON Schema that the description uses. Another one is
// an error rather than a check that is not made.
var keywords = []string{"type", "const", "enum", "required", "properties", "additionalProperties", "pattern", "minimum", "maximum", "allOf", "description"}

func (d *Doc) schema(s, v any, where string) error {
	s, err := d.resolve(s)
	if err != nil {
		return err
	}
	rules := object(s)
	for k := range rules {
		if !slices.Contains(keywords, k) {
			return fmt.Errorf("%s: the contract uses %s, which is not checked here", where, k)
		}
	}
	if t, ok := rules["type"]; ok && !slices.Contains(list(t), any(kind(v))) && !(kind(v) == "integer" && slices.Contains(list(t), any("number"))) {
		return fmt.Errorf("%s is %s, want %v", where, kind(v), t)
	}
	if c, ok := rules["const"]; ok && !equal(c, v) {
		return fmt.Errorf("%s is %v, want %v", where, v, c)
	}
	if e, ok := rules["enum"]; ok && !slices.ContainsFunc(list(e), func(c any) bool { return equal(c, v) }) {
		return fmt.Errorf("%s is %v, want one of %v", where, v, e)
	}
	if p, ok := rules["pattern"].(string); ok {
		re, err := regexp.Compile(p)
		if err != nil {
			return fmt.Errorf("%s: read pattern: %w", where, err)
		}
		if text, isText := v.(string); isText && !re.MatchString(text) {
			return fmt.Errorf("%s is %q, want %s", where, text, p)
		}
	}
	if n, isNumber := v.(json.Number); isNumber {
		f, err := n.Float64()
		if err != nil {
			return fmt.Errorf("%s: read number: %w", where, err)
		}
		if least, ok := number(rules["minimum"]); ok && f < least {
			return fmt.Errorf("%s is %v, want at least %v", where, f, least)
		}
		if most, ok := number(rules["maximum"]); ok && f > most {
			return fmt.Errorf("%s is %v, want at most %v", where, f, most)
		}
	}
	if m, isObject := v.(map[string]any); isObject {
		for _, name := range list(rules["required"]) {
			if _, ok := m[fmt.Sprint(name)]; !ok {
				return fmt.Errorf("%s has no %v", where, name)
			}
		}
		properties := object(rules["properties"])
		for name, e := range m {
			p, known := properties[name]
			if !known {
				if open, ok := rules["additionalProperties"].(bool); ok && !open {
					return fmt.Errorf("%s has a member %s too many", where, name)
				}
				continue
			}
			if err := d.schema(p, e, where+"."+name); err != nil {
				return err
			}
		}
	}
	for _, part := range list(rules["allOf"]) {
		if err := d.schema(part, v, where); err != nil {
			return err
		}
	}
	return nil
}

func lookup(v any, path ...string) (any, bool) {
	for _, name := range path {
		next, ok := object(v)[name]
		if !ok {
			return nil, false
		}
		v = next
	}
	return v, true
}

func object(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

// list returns a list as it is and anything else as the only entry of one.
func list(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return v
	}
	return []any{v}
}

func kind(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case json.Number:
		if _, err := v.Int64(); err == nil {
			return "integer"
		}
		return "number"
	case []any:
		return "array"
	}
	return "object"
}

// equal compares a value of the description with one of an answer.
func equal(want, got any) bool {
	if n, ok := got.(json.Number); ok {
		f, err := n.Float64()
		w, isNumber := number(want)
		return err == nil && isNumber && f == w
	}
	return reflect.DeepEqual(want, got)
}

func number(v any) (float64, bool) {
	r := reflect.ValueOf(v)
	switch {
	case !r.IsValid():
		return 0, false
	case r.CanInt():
		return float64(r.Int()), true
	case r.CanUint():
		return float64(r.Uint()), true
	case r.CanFloat():
		return r.Float(), true
	}
	return 0, false
}
