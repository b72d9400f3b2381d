package eventsource_test

import (
	"encoding/json"
	"strings"
	"testing"

	"orderbridge/local/eventsource"
)

func event(t *testing.T, text string) map[string]any {
	t.Helper()
	var e map[string]any
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		t.Fatal(err)
	}
	return e
}

func TestFilters(t *testing.T) {
	const queued = `{"dynamodb":{"NewImage":{"signal":{"S":["queued","status"]}}}}`
	for _, c := range []struct {
		rule, pattern, event string
		want                 bool
	}{
		{"one of the values", queued, `{"dynamodb":{"NewImage":{"signal":{"S":"status"}}}}`, true},
		{"none of the values", queued, `{"dynamodb":{"NewImage":{"signal":{"S":"lease"}}}}`, false},
		{"another type of attribute", queued, `{"dynamodb":{"NewImage":{"signal":{"N":"1"}}}}`, false},
		{"no image, as in a removal", queued, `{"eventName":"REMOVE","dynamodb":{"Keys":{}}}`, false},
		{"case matters", queued, `{"dynamodb":{"NewImage":{"signal":{"S":"Queued"}}}}`, false},
		{"every field must match", `{"a":["1"],"b":["2"]}`, `{"a":"1","b":"3"}`, false},
		{"every field does match", `{"a":["1"],"b":["2"]}`, `{"a":"1","b":"2","c":"3"}`, true},
		{"a number is not its text", `{"a":["1"]}`, `{"a":1}`, false},
		{"a list matches by one element", `{"a":["x"]}`, `{"a":["w","x"]}`, true},
	} {
		t.Run(c.rule, func(t *testing.T) {
			f, err := eventsource.ParseFilter([]string{c.pattern})
			if err != nil {
				t.Fatal(err)
			}
			if got := f.Match(event(t, c.event)); got != c.want {
				t.Errorf("%s on %s: %v, want %v", c.pattern, c.event, got, c.want)
			}
		})
	}
}

func TestOneOfSeveralPatternsIsEnough(t *testing.T) {
	f, err := eventsource.ParseFilter([]string{`{"a":["1"]}`, `{"a":["2"]}`})
	if err != nil {
		t.Fatal(err)
	}
	if !f.Match(event(t, `{"a":"2"}`)) || f.Match(event(t, `{"a":"3"}`)) {
		t.Error("patterns are not alternatives")
	}
	if none, err := eventsource.ParseFilter(nil); err != nil || !none.Match(event(t, `{}`)) {
		t.Error("no pattern must match everything")
	}
}

func TestUnknownPatternsAreRefused(t *testing.T) {
	for _, pattern := range []string{
		``, `[]`, `"x"`, `{}`, `{"a":{}}`, `{"a":[]}`, `{"a":"x"}`, `{"a":1}`, `{"a":[["x"]]}`, `{"a":[1]}`, `{"a":[null]}`, `{"a":[{"prefix":"x"}]}`, `{"a":[{"exists":true}]}`,
		`{"a":[{"numeric":[">",1]}]}`, `{"a":[{"suffix":"x"}]}`, `{"a":[{"prefix":1}]}`, `{"a":[{"prefix":{"equals-ignore-case":"x"}}]}`,
		`{"a":[{"exists":"yes"}]}`, `{"a":[{"anything-but":{"prefix":"x"}}]}`, `{"a":[{"equals-ignore-case":"x"}]}`, `{"a":[{"cidr":"10.0.0.0/8"}]}`,
		`{"a":[{"wildcard":"x*"}]}`, `{"$or":[{"a":["1"]},{"b":["2"]}]}`, `{"a":[{"prefix":"x","exists":true}]}`, `{"a":["x"]} {"b":["y"]}`,
	} {
		if _, err := eventsource.ParseFilter([]string{pattern}); err == nil || !strings.HasPrefix(err.Error(), "parse filter") {
			t.Errorf("%s: error %v", pattern, err)
		}
	}
}

func TestInputTemplates(t *testing.T) {
	e := event(t, `{"dynamodb":{"Keys":{"pk":{"S":"order#1 \"<&"}},"SizeBytes":7}}`)
	for _, c := range []struct{ template, want string }{
		{`{"pk": "<$.dynamodb.Keys.pk.S>"}`, `{"pk": "order#1 \"\u003c\u0026"}`},
		{`{"gone": "<$.dynamodb.Keys.sk.S>"}`, `{"gone": ""}`},
	} {
		p, err := eventsource.ParseTemplate(c.template)
		if err != nil {
			t.Errorf("%s: %v", c.template, err)
			continue
		}
		if got, err := p.Apply(e); err != nil || got != c.want {
			t.Errorf("%s: %s, %v, want %s", c.template, got, err, c.want)
		}
	}
	number, err := eventsource.ParseTemplate(`{"n": "<$.dynamodb.SizeBytes>"}`)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := number.Apply(e); err == nil {
		t.Errorf("a number was filled in: %s", got)
	}
	for _, bad := range []string{`<aws.pipes.event.json>`, `<$.a[0]>`, `<$.a`, `"<$.a>`, `<$>`, `{"pk": <$.a>}`, ``} {
		if _, err := eventsource.ParseTemplate(bad); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
}
