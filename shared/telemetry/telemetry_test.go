package telemetry_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"orderbridge/shared/telemetry"
)

const mac = "b175b57d89ea6cb606fb3363f2538abd73a4c00b4a1386905bac809004cf1933"

func TestLogLinesAreRedacted(t *testing.T) {
	var out bytes.Buffer
	log := telemetry.NewLogger(&out, slog.LevelInfo, "fulfill").With("request_id", "r-1", "client_secret", "hidden-1")
	log.Debug("not written", "x", "hidden-0")
	log.Info("a line",
		"secret", "hidden-2", "X-SF-Signature", "hidden-3", "authorization", "hidden-4", "accessToken", "hidden-5",
		"body", "hidden-6", "raw", []byte("hidden-7"), "privateKey", "hidden-8", "APIKey", "hidden-9",
		slog.Group("request", "password", "hidden-10", slog.Group("deep", "cookie", "hidden-11", "path", "/orders")),
		"err", fmt.Errorf("expected %s", mac), "note", "got "+strings.ToUpper(mac)+"!", "text", []error{errors.New("x")},
		"order_id", "801000000000001AAA", "nobody", "kept", "count", 3)
	s := out.String()
	if strings.Contains(s, "hidden") || strings.Contains(strings.ToLower(s), mac) {
		t.Errorf("something was not redacted: %s", s)
	}
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("not one JSON line: %s", s)
	}
	for name, want := range map[string]any{
		"function": "fulfill", "request_id": "r-1", "msg": "a line", "order_id": "801000000000001AAA", "nobody": "kept", "count": 3.0,
		"err": "expected [redacted]", "note": "got [redacted]!", "secret": "[redacted]",
	} {
		if line[name] != want {
			t.Errorf("%s is %v, want %v", name, line[name], want)
		}
	}
	if deep := line["request"].(map[string]any)["deep"].(map[string]any); deep["path"] != "/orders" {
		t.Errorf("the group lost an attribute: %v", deep)
	}
}

func TestSensitive(t *testing.T) {
	for name, want := range map[string]bool{
		"secret": true, "webhook_secret": true, "X-SF-Signature": true, "requestBody": true, "Authorization": true,
		"set-cookie": true, "access_key": true, "accessKey": true, "clientSecret": true, "hmac": true, "token": true, "JWT": true,
		"nobody": false, "somebody": false, "machine": false, "tokens_left": false, "order_id": false, "code": false, "": false,
	} {
		if got := telemetry.Sensitive(name); got != want {
			t.Errorf("Sensitive(%q) = %v, want %v", name, got, want)
		}
	}
}

func TestScrub(t *testing.T) {
	for in, want := range map[string]string{
		"":                      "",
		"no digits":             "no digits",
		mac:                     "[redacted]",
		mac[:63]:                mac[:63],
		"a " + mac + " b":       "a [redacted] b",
		mac + mac + "x" + mac:   "[redacted]x[redacted]",
		"801000000000001AAA":    "801000000000001AAA",
		"x" + mac + "\n" + "yz": "x[redacted]\nyz",
	} {
		if got := telemetry.Scrub(in); got != want {
			t.Errorf("Scrub(%q) = %q, want %q", in, got, want)
		}
	}
}
