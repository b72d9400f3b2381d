package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func environment(name string) string {
	return map[string]string{
		"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "TABLE_NAME": "Orders", "PORTAL_ACCOUNT_CLAIM": "account", "PORTAL_RESOURCE_SERVER": "https://orders.example/",
	}[name]
}

func TestWire(t *testing.T) {
	h, err := wire(t.Context(), environment, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if h.Orders == nil || h.Now == nil || h.Log == nil || h.Metrics == nil || h.AccountClaim != "account" || h.ResourceServer != "https://orders.example" {
		t.Errorf("wired %+v", h)
	}
	for _, name := range []string{"TABLE_NAME", "AWS_REGION", "AWS_ACCESS_KEY_ID"} {
		h, err := wire(t.Context(), func(n string) string {
			if n == name {
				return ""
			}
			return environment(n)
		}, io.Discard)
		if h != nil || err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

// The function does not start with a wrong value: one line that names it, exit 1.
func TestStartFailureIsOneLine(t *testing.T) {
	if os.Getenv("BE_STATUS") == "1" {
		main()
		t.Fatal("main returned") // it exits, or serves for ever
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, "-test.run=^TestStartFailureIsOneLine$")
	cmd.Env = []string{"BE_STATUS=1", "AWS_REGION=us-east-1", "LOG_LEVEL=loud", "TABLE_NAME=Orders"}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	err = cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Fatalf("got %v, want exit status 1", err)
	}
	if s := stderr.String(); strings.Count(s, "\n") != 1 || !strings.Contains(s, "LOG_LEVEL") {
		t.Errorf("wrote %q, want one line that names the variable", s)
	}
}
