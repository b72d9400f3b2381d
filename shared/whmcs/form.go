package whmcs

import (
	"net/url"
	"strconv"
	"strings"
)

// form is an application/x-www-form-urlencoded body in the order of its
// fields. url.Values cannot stand in: it sorts pid[10] before pid[2], and PHP
// keeps arrays in the order of arrival.
type form []field

type field struct{ name, value string }

func number(name string, n int64) field { return field{name, strconv.FormatInt(n, 10)} }

func (f *form) set(name, value string) { *f = append(*f, field{name, value}) }

// array appends name[0], name[1], … in numeric order. An array without any
// value is left out whole; otherwise empty values keep the indexes aligned.
func (f *form) array(name string, values []string) {
	if strings.Join(values, "") == "" {
		return
	}
	for i, v := range values {
		f.set(name+"["+strconv.Itoa(i)+"]", v)
	}
}

// encode returns the body, escaped as PHP's http_build_query does.
func (f form) encode() string {
	var b strings.Builder
	for i, p := range f {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(url.QueryEscape(p.name))
		b.WriteByte('=')
		b.WriteString(url.QueryEscape(p.value))
	}
	return b.String()
}
