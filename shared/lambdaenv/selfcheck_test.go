package lambdaenv_test

import (
	"context"
	"strings"
	"testing"

	"orderbridge/shared/fault"
	"orderbridge/shared/lambdaenv"
)

// echo answers an event with itself.
type echo struct{}

func (echo) Invoke(_ context.Context, payload []byte) ([]byte, error) { return payload, nil }

func TestOnlyTheSelfCheckIsAnsweredByTheCheck(t *testing.T) {
	var findings []fault.Finding
	h := lambdaenv.SelfChecked(echo{}, func(context.Context) []fault.Finding { return findings })
	answer := func(payload string) string {
		t.Helper()
		b, err := h.Invoke(t.Context(), []byte(payload))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	findings = []fault.Finding{{Of: "AWS", What: "the table can be read", OK: true}}
	for _, asks := range []string{lambdaenv.SelfCheckEvent, " {\n \"selfcheck\": true }\n"} {
		if got := answer(asks); got != `{"ok":true,"findings":[{"of":"AWS","what":"the table can be read","ok":true}]}` {
			t.Errorf("%s: %s", asks, got)
		}
	}
	for _, other := range []string{
		`{}`, `null`, `[]`, `{"selfcheck":false}`, `{"doctor":true}`, `not JSON`,
		`{"version":"2.0","routeKey":"POST /ping","body":"{\"selfcheck\":true}"}`,
		`{"selfcheck":true,"body":"` + strings.Repeat("x", 64) + `"}`,
	} {
		if got := answer(other); got != other {
			t.Errorf("%s was answered by the check: %s", other, got)
		}
	}
	findings = append(findings, fault.Red("WHMCS", "it answers", fault.New(fault.WHMCSUnavailable, "")))
	if got := answer(lambdaenv.SelfCheckEvent); !strings.HasPrefix(got, `{"ok":false`) || !strings.Contains(got, `"seen":"whmcs_unavailable: `) {
		t.Errorf("with a bad finding: %s", got)
	}
}
