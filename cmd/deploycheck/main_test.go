package main

import (
	"io"
	"strings"
	"testing"
)

func TestTheFunctionStartsOrSaysInOneLineWhyNot(t *testing.T) {
	for _, c := range []struct{ name, value string }{
		{"CHECKED_VERSIONS", "arn:aws:lambda:eu-central-1:1:function:f:1"}, // it starts
		{"CHECKED_VERSIONS", ""},
		{"AWS_REGION", ""},
	} {
		t.Run(c.name+"="+c.value, func(t *testing.T) {
			env := map[string]string{"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "CHECKED_VERSIONS": "arn:aws:lambda:eu-central-1:1:function:f:1"}
			env[c.name] = c.value
			h, err := wire(t.Context(), func(k string) string { return env[k] }, io.Discard)
			if c.value != "" {
				if err != nil || len(h.Versions) != 1 {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.name) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want one line that names %s", err, c.name)
			}
		})
	}
}
