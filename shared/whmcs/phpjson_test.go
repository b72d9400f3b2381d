package whmcs

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"orderbridge/shared/fault"
)

func objectOf(body []byte) object {
	o, _ := decode(body)
	return o
}

func TestSeveralResultsInOneBody(t *testing.T) {
	for body, want := range map[string]struct {
		result   string
		disputed bool
	}{
		`{"result":"success","orderid":5}`:                                                   {"success", false},
		`{"result":"success","orderid":5}{"result":"success","orderid":5}`:                   {"success", false},
		`{"result":"success","orderid":5}` + "\n" + `{"result":"success","orderid":6}`:       {"success", true},
		`{"result":"error","message":"Client Not Found"}{"result":"success","orderid":5}`:    {"success", true},
		`{"result":"success","orderid":5}{"result":"error","message":"Client ID Not Found"}`: {"error", true},
		`{"warning":"x"}{"result":"success","orderid":5}{"note":1}`:                          {"success", false},
	} {
		o, disputed := decode([]byte(body))
		if o.text("result") != want.result || disputed != want.disputed {
			t.Errorf("%s is read as %v, disputed %t", body, o, disputed)
		}
		if !want.disputed {
			continue
		}
		a := answer{status: 200, body: o, disputed: disputed}
		for _, err := range []error{addError(a, false), acceptError(a, false)} {
			if unsure := new(fault.Unsure); !errors.As(err, &unsure) {
				t.Errorf("%s is taken as %v: it may have been done", body, err)
			}
			if !strings.Contains(fault.TextOf(err), "two results that differ") {
				t.Errorf("%s shows %q", body, fault.TextOf(err))
			}
		}
	}
}

func TestDecodeFindsTheAnswer(t *testing.T) {
	for _, c := range []struct{ name, in, result string }{
		{"plain", `{"result":"success","a":1}`, "success"},
		{"byte order mark", "\ufeff{\"result\":\"success\"}", "success"},
		{"a notice before it", "<br />\n<b>Notice</b>: Undefined index: x in /a.php on line <b>3</b><br />\n{\"result\":\"error\"}", "error"},
		{"braces in the notice", `Warning: called in {closure}() {main} {"a":1} {"result":"success"}`, "success"},
		{"something after it", `{"result":"success"}<!-- 0.1 s -->`, "success"},
		{"a style sheet before it", "<style>" + strings.Repeat("b{color:red} ", 5000) + `</style>{"result":"success"}`, "success"},
		{"many braces before it", strings.Repeat("{", 70) + ` {"result":"success"}`, "success"},
		{"many broken objects before it", strings.Repeat(`{"a":1,`, 70) + ` {"result":"error"}`, "error"},
		{"a warning alone", `{"warning":"not done"}`, ""},
	} {
		o := objectOf([]byte(c.in))
		if o == nil || o.text("result") != c.result {
			t.Errorf("%s: got %v, want result %q", c.name, o, c.result)
		}
	}
	for _, in := range []string{"", "null", "[]", "[1]", "{}", "{", `"x"`, "<html>{ not json }</html>", strings.Repeat("{", 1000), `{"result":"succ`} {
		if o := objectOf([]byte(in)); o != nil {
			t.Errorf("%.20q: got %v, want nothing", in, o)
		}
	}
}

func TestListTakesEveryShape(t *testing.T) {
	want := []string{"1", "2"}
	for name, in := range map[string]string{
		"nested":            `{"orders":{"order":[{"id":1},{"id":"2"}]}}`,
		"nested, indexed":   `{"orders":{"order":{"0":{"id":1},"1":{"id":2}}}}`,
		"indexed":           `{"orders":{"0":{"id":1},"1":{"id":2}}}`,
		"indexed, by value": `{"orders":{"10":{"id":2},"9":{"id":1}}}`,
		"bare":              `{"orders":[{"id":1},{"id":2}]}`,
		"flattened":         `{"orders[1][id]":2,"orders[0][id]":1}`,
		"flattened, nested": `{"orders[order][0][id]":"1","orders[order][1][id]":"2"}`,
		"rubbish between":   `{"orders":{"order":[{"id":1},null,"x",{"id":2}]}}`,
	} {
		var got []string
		for _, row := range objectOf([]byte(`{"result":"success",`+in[1:])).list("orders", "order") {
			got = append(got, row.id("id"))
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
	for name, in := range map[string]string{
		"single": `{"orders":{"order":{"id":1}}}`, "single, bare": `{"orders":{"id":1}}`,
	} {
		if got := objectOf([]byte(in)).list("orders", "order"); len(got) != 1 || got[0].id("id") != "1" {
			t.Errorf("%s: got %v, want one row", name, got)
		}
	}
	for _, in := range []string{`""`, `[]`, `{}`, `null`, `{"order":""}`, `{"order":[]}`, `{"order":{}}`, `{"order":null}`, `7`, `true`} {
		if got := objectOf([]byte(`{"result":"success","orders":`+in+`}`)).list("orders", "order"); len(got) != 0 {
			t.Errorf("%s: got %v, want no row", in, got)
		}
	}
}

func TestNumbersComeInManyForms(t *testing.T) {
	for in, want := range map[string]string{
		`1`: "1", `"1"`: "1", `" 7 "`: "7", `12.0`: "12", `"0"`: "", `0`: "", `-1`: "", `null`: "", `""`: "", `"x"`: "",
		`1.5`: "", `1e3`: "1000", `true`: "1", `[]`: "", `99999999999999999999`: "", `9007199254740993`: "9007199254740993",
	} {
		if got := objectOf([]byte(`{"id":` + in + `}`)).id("id"); got != want {
			t.Errorf("%s: got %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]bool{`true`: true, `"1"`: true, `1`: true, `"on"`: true, `false`: false, `"0"`: false, `0`: false, `""`: false, `null`: false, `"off"`: false} {
		if got := objectOf([]byte(`{"a":` + in + `}`)).on("a"); got != want {
			t.Errorf("%s: got %v, want %v", in, got, want)
		}
	}
}

// FuzzDecode: whatever comes, the readers end without a panic, an id is a
// positive number, and success is never read out of a body that does not say it.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		``, `{}`, `{"result":"success","orderid":1,"serviceids":"1,2"}`, `{"result":"success","orderid":"1"}`,
		`{"result":"error","message":"Client ID Not Found"}`, `{"warning":"x"}`, `{"result":"success","totalresults":"2","orders":{"order":[{"id":1},{"id":"2"}]}}`,
		`{"result":"success","totalresults":0,"orders":""}`, `{"result":"success","queue[0][id]":1,"queue[0][serviceId]":2,"queue[x][id]":3,"queue[":4}`,
		"<b>Notice</b>: {closure}\n{\"result\":\"success\"}", `{"orders":{"0":{"id":1}}}`, `{"result":["success"]}`, `{"result":"success"`, "{{{{{{{{", `{"a":{"b":{"c":[[[{}]]]}}}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		o := objectOf(body)
		for _, plural := range []string{"orders", "products", "queue", "result"} {
			for _, row := range o.list(plural, strings.TrimSuffix(plural, "s")) {
				if id := row.id("id"); id != "" && (strings.HasPrefix(id, "-") || id == "0") {
					t.Errorf("id %q", id)
				}
				_ = parseService(row)
				_, _ = date(row)
			}
		}
		a := answer{status: 200, body: o}
		if a.ok() && !strings.Contains(string(body), "success") && !strings.Contains(string(body), `\u`) {
			t.Errorf("success out of %q", body)
		}
		for _, err := range []error{addError(a, false), acceptError(a, true), readError("GetOrders", a, true)} {
			if (err == nil) != a.ok() {
				t.Errorf("ok %v, error %v", a.ok(), err)
			}
		}
		_ = a.observed("GetOrders")
		for _, row := range o.list("orders", "order") {
			_, _ = lineServices(row)
		}
	})
}
