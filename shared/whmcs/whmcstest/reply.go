package whmcstest

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// Reply is what WHMCS answers.
type Reply struct {
	Status int // HTTP
	Body   obj
}

// Success reports whether the reply says success.
func (r Reply) Success() bool { return r.Body.get("result") == "success" }

// Message returns the error text.
func (r Reply) Message() string { s, _ := r.Body.get("message").(string); return s }

func refuse(message string) Reply { return refuseWith(200, message) }

func refuseWith(status int, message string) Reply {
	return Reply{status, obj{{"result", "error"}, {"message", message}}}
}

func success(members ...member) Reply {
	return Reply{200, append(obj{{"result", "success"}}, members...)}
}

// obj is a JSON object in the order in which WHMCS writes its members.
type obj []member

type member struct {
	name  string
	value any
}

func (o obj) get(name string) any {
	for _, m := range o {
		if m.name == name {
			return m.value
		}
	}
	return nil
}

// add changes a member that is a number, or a text of one.
func (o obj) add(name string, n int) {
	for i, m := range o {
		switch v := m.value.(type) {
		case int:
			if m.name == name {
				o[i].value = v + n
			}
		case string:
			if m.name == name {
				o[i].value = strconv.FormatInt(atoi(v)+int64(n), 10)
			}
		}
	}
}

// rows is a list that WHMCS nests as plural.singular[].
type rows struct {
	singular string
	list     []obj
}

// render turns a reply into bytes under the switches.
func (s Switches) render(o obj) []byte {
	var b bytes.Buffer
	s.write(&b, s.flatten(o))
	return b.Bytes()
}

func (s Switches) flatten(o obj) obj {
	if !s.FlattenQueue {
		return o
	}
	var out obj
	for _, m := range o {
		list, ok := m.value.([]obj)
		if m.name != "queue" || !ok {
			out = append(out, m)
			continue
		}
		for i, row := range list {
			for _, f := range row {
				out = append(out, member{"queue[" + strconv.Itoa(i) + "][" + f.name + "]", f.value})
			}
		}
	}
	return out
}

func (s Switches) write(b *bytes.Buffer, v any) {
	switch v := v.(type) {
	case obj:
		b.WriteByte('{')
		for i, m := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			s.write(b, m.name)
			b.WriteByte(':')
			s.write(b, m.value)
		}
		b.WriteByte('}')
	case []obj:
		b.WriteByte('[')
		for i, o := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			s.write(b, o)
		}
		b.WriteByte(']')
	case rows:
		s.writeRows(b, v)
	case int:
		s.write(b, int64(v))
	case int64:
		if s.NumbersAsStrings {
			b.WriteString(`"` + strconv.FormatInt(v, 10) + `"`)
			return
		}
		b.WriteString(strconv.FormatInt(v, 10))
	case string:
		// PHP's json_encode: "/" escaped, non-ASCII as \u escapes; a reader
		// must take both, and Go's form differs from it only there.
		e, _ := json.Marshal(v)
		b.WriteString(strings.ReplaceAll(string(e), "/", `\/`))
	default:
		e, err := json.Marshal(v)
		if err != nil {
			e = []byte("null")
		}
		b.Write(e)
	}
}

func (s Switches) writeRows(b *bytes.Buffer, r rows) {
	if len(r.list) == 0 {
		switch s.EmptyList {
		case "string":
			b.WriteString(`""`)
			return
		case "array":
			b.WriteString(`[]`)
			return
		case "object":
			b.WriteString(`{}`)
			return
		}
	}
	var inner any = r.list
	switch {
	case s.ListForm == "single" && len(r.list) == 1:
		inner = r.list[0]
	case s.ListForm == "indexed":
		var o obj
		for i, row := range r.list {
			o = append(o, member{strconv.Itoa(i), row})
		}
		inner = o
	}
	if s.ListForm == "bare" {
		s.write(b, inner)
		return
	}
	s.write(b, obj{{r.singular, inner}})
}

// nvp is the answer to a call that did not ask for JSON.
func (o obj) nvp() string {
	var b strings.Builder
	for _, m := range o {
		switch v := m.value.(type) {
		case string:
			b.WriteString(m.name + "=" + v + ";")
		case int:
			b.WriteString(m.name + "=" + strconv.Itoa(v) + ";")
		case int64:
			b.WriteString(m.name + "=" + strconv.FormatInt(v, 10) + ";")
		}
	}
	return b.String()
}
