package whmcstest

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Field is one field of a call.
type Field struct{ Name, Value string }

// Form is a call's fields in the order in which they arrived, which is the
// order in which PHP walks its arrays.
type Form []Field

// maxInputVars is PHP's default: what comes later is dropped without an error.
const maxInputVars = 1000

// parseForm reads an urlencoded body as PHP does: what cannot be unescaped is
// kept as it is, and "name[]" takes the next index.
func parseForm(body string) Form {
	var f Form
	next := map[string]int{}
	for part := range strings.SplitSeq(body, "&") {
		if part == "" || len(f) == maxInputVars {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		name, value = unescape(name), unescape(value)
		if bare, ok := strings.CutSuffix(name, "[]"); ok {
			name = bare + "[" + strconv.Itoa(next[bare]) + "]"
			next[bare]++
		}
		f = append(f, Field{name, value})
	}
	return f
}

func unescape(s string) string {
	if u, err := url.QueryUnescape(s); err == nil {
		return u
	}
	return s
}

// Get returns the last value of a field, "" when it is absent.
func (f Form) Get(name string) string {
	for _, p := range slices.Backward(f) {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}

func (f Form) has(name string) bool {
	return slices.ContainsFunc(f, func(p Field) bool { return p.Name == name })
}

// Set appends a field.
func (f *Form) Set(name, value string) { *f = append(*f, Field{name, value}) }

// element is one element of a PHP array.
type element struct{ index, value string }

// array returns name[index] in the order of arrival.
func (f Form) array(name string) []element {
	var all []element
	for _, p := range f {
		rest, ok := strings.CutPrefix(p.Name, name+"[")
		index, closed := strings.CutSuffix(rest, "]")
		if !ok || !closed {
			continue
		}
		if i := slices.IndexFunc(all, func(e element) bool { return e.index == index }); i >= 0 {
			all[i].value = p.Value
			continue
		}
		all = append(all, element{index, p.Value})
	}
	return all
}

// int reads a field as PHP's (int) does for digits; 0 for everything else.
func (f Form) int(name string) int64 { return atoi(f.Get(name)) }

func atoi(s string) int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// truthy is PHP's idea of true: the text "false" is.
func truthy(s string) bool { return s != "" && s != "0" }

// serialize writes what unserialize reads; nothing for an empty map.
func serialize(values map[string]string) string {
	if len(values) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "a:%d:{", len(values))
	for _, k := range slices.Sorted(maps.Keys(values)) {
		fmt.Fprintf(&b, `i:%d;s:%d:"%s";`, atoi(k), len(values[k]), values[k])
	}
	return base64.StdEncoding.EncodeToString([]byte(b.String() + "}"))
}

// unserialize reads base64 of PHP's serialize of a flat array, as AddOrder's
// customfields are; "" is an empty one. Nested arrays keep their text.
func unserialize(encoded string) (map[string]string, error) {
	out := map[string]string{}
	if encoded == "" {
		return out, nil
	}
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, errNotSerialized
	}
	p := &phpReader{s: string(raw)}
	n, err := p.open()
	if err != nil {
		return nil, err
	}
	for range n {
		k, err := p.scalar()
		if err != nil {
			return nil, err
		}
		v, err := p.value()
		if err != nil {
			return nil, err
		}
		out[k] = v
	}
	if !p.eat("}") || p.s != "" {
		return nil, errNotSerialized
	}
	return out, nil
}

var errNotSerialized = errors.New("not PHP serialize")

type phpReader struct {
	s     string
	depth int
}

func (p *phpReader) eat(s string) bool {
	rest, ok := strings.CutPrefix(p.s, s)
	if ok {
		p.s = rest
	}
	return ok
}

func (p *phpReader) until(end string) (int, error) {
	digits, rest, ok := strings.Cut(p.s, end)
	n, err := strconv.Atoi(digits)
	if !ok || err != nil {
		return 0, errNotSerialized
	}
	p.s = rest
	return n, nil
}

func (p *phpReader) open() (int, error) {
	if !p.eat("a:") {
		return 0, errNotSerialized
	}
	n, err := p.until(":")
	if err != nil || n < 0 || !p.eat("{") {
		return 0, errNotSerialized
	}
	return n, nil
}

func (p *phpReader) scalar() (string, error) {
	switch {
	case p.eat("i:"):
		n, err := p.until(";")
		return strconv.Itoa(n), err
	case p.eat("s:"):
		n, err := p.until(":")
		if err != nil || n < 0 || n > len(p.s)-3 || p.s[0] != '"' || p.s[n+1:n+3] != `";` {
			return "", errNotSerialized
		}
		v := p.s[1 : n+1]
		p.s = p.s[n+3:]
		return v, nil
	}
	return "", errNotSerialized
}

func (p *phpReader) value() (string, error) {
	if !strings.HasPrefix(p.s, "a:") {
		return p.scalar()
	}
	if p.depth++; p.depth > 8 {
		return "", errNotSerialized
	}
	defer func() { p.depth-- }()
	whole := p.s
	n, err := p.open()
	if err != nil {
		return "", err
	}
	for range n {
		if _, err := p.scalar(); err != nil {
			return "", err
		}
		if _, err := p.value(); err != nil {
			return "", err
		}
	}
	if !p.eat("}") {
		return "", errNotSerialized
	}
	return whole[:len(whole)-len(p.s)], nil
}
