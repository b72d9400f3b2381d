package whmcs

import (
	"bytes"
	"encoding/json"
	"html"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// WHMCS answers are JSON made by PHP from arrays: numbers come as strings,
// empty lists as "", [], {} or null, lists as objects keyed "0", "1", or as the
// one object they hold, and notices may stand before the JSON. object and its
// readers take all of these.

// object is one JSON object of an answer.
type object map[string]any

// maxStarts bounds how many objects are tried that turn out to be none. A '{'
// that no name follows, as in a style sheet or in PHP's "{closure}()", is passed
// over and does not count; a megabyte of the others is not WHMCS.
const maxStarts = 4096

// decode finds the answer's JSON object in body; nil when there is none. What
// stands before it (PHP notices, a byte order mark) and after it is dropped.
// An object with a result wins over one that stands in a notice; of several
// results the last is WHMCS's, since it writes its answer when all hooks have
// spoken. disputed says that they differ.
func decode(body []byte) (answer object, disputed bool) {
	var found object
	at, results := 0, 0
	for tries := 0; tries < maxStarts; {
		i := bytes.IndexByte(body[at:], '{')
		if i < 0 {
			break
		}
		at += i
		if rest := bytes.TrimLeft(body[at+1:], " \t\r\n"); len(rest) == 0 || rest[0] != '"' {
			at++
			continue
		}
		d := json.NewDecoder(bytes.NewReader(body[at:]))
		d.UseNumber()
		var o object
		if err := d.Decode(&o); err != nil || len(o) == 0 {
			at++
			tries++
			continue
		}
		at += int(d.InputOffset())
		if _, ok := o["result"]; ok {
			disputed = disputed || results > 0 && !reflect.DeepEqual(found, o)
			found = o
			results++
		} else if found == nil {
			found = o
		}
	}
	return found, disputed
}

// text reads a member as text: strings as they are, numbers in decimal, true
// as "1"; everything else is "".
func (o object) text(name string) string {
	switch v := o[name].(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		if v {
			return "1"
		}
	}
	return ""
}

// number reads a member as a whole number, from a JSON number or a string.
// false: it is not there or not a whole number.
func (o object) number(name string) (int64, bool) {
	s := strings.TrimSpace(o.text(name))
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, true
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return 0, false
	}
	return int64(f), true
}

// id reads a member as a positive id in its plain decimal form, "" if it is
// none.
func (o object) id(name string) string {
	n, ok := o.number(name)
	if !ok || n <= 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// on reads a PHP truth: true, a number other than 0, "on", "yes", "true".
func (o object) on(name string) bool {
	switch strings.ToLower(o.text(name)) {
	case "", "0", "off", "no", "false":
		return false
	}
	return true
}

// child reads a member as an object; an empty one when it is anything else.
func (o object) child(name string) object {
	m, _ := o[name].(map[string]any)
	return m
}

// list reads plural.singular[] in every shape it is seen in; rows that are not
// objects are dropped. Flattened members plural[0][id] or
// plural[singular][0][id] are read too (developers.whmcs.com, the sample of
// GetModuleQueue).
func (o object) list(plural, singular string) []object {
	v, ok := o[plural]
	if !ok {
		return o.flattened(plural, singular)
	}
	if m, ok := v.(map[string]any); ok {
		if inner, ok := m[singular]; ok {
			if _, scalar := inner.(string); !scalar || inner == "" {
				return rows(inner)
			}
		}
	}
	return rows(v)
}

// rows returns the objects of a list, or of an object that stands for one.
func rows(v any) []object {
	list, _ := v.([]any)
	if m, ok := v.(map[string]any); ok {
		keys, ok := indexes(m)
		if !ok {
			return []object{m}
		}
		for _, k := range keys {
			list = append(list, m[strconv.FormatInt(k, 10)])
		}
	}
	var all []object
	for _, e := range list {
		if m, ok := e.(map[string]any); ok {
			all = append(all, m)
		}
	}
	return all
}

// indexes returns the keys of m in ascending order when all are PHP integers.
func indexes(m map[string]any) ([]int64, bool) {
	keys := make([]int64, 0, len(m))
	for k := range m {
		n, ok := phpInteger(k)
		if !ok {
			return nil, false
		}
		keys = append(keys, n)
	}
	slices.Sort(keys)
	return keys, true
}

func (o object) flattened(plural, singular string) []object {
	found := map[string]any{}
	for k, v := range o {
		rest, ok := strings.CutPrefix(k, plural+"[")
		if !ok {
			continue
		}
		rest = strings.TrimPrefix(rest, singular+"][")
		index, name, ok := strings.Cut(rest, "][")
		name, closed := strings.CutSuffix(name, "]")
		if _, isIndex := phpInteger(index); !ok || !closed || !isIndex {
			continue
		}
		row, _ := found[index].(map[string]any)
		if row == nil {
			row = map[string]any{}
			found[index] = row
		}
		row[name] = v
	}
	return rows(found)
}

// plain undoes what PHP's HTML escaping did to free text, line breaks included.
func plain(s string) string {
	s = html.UnescapeString(s)
	if !strings.ContainsRune(s, '<') {
		return s
	}
	return strings.NewReplacer("<br />", "\n", "<br/>", "\n", "<br>", "\n").Replace(s)
}
