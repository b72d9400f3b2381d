// Package localtest starts the built system for tests, on free ports, and ends
// it with them.
//
// The rule it keeps: a test that ends leaves no process behind, and one that
// does is failed. It must not be imported by anything but tests.
package localtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"orderbridge/local/launch"
)

// Options say what to start.
type Options = launch.Options

// System is a running system.
type System struct {
	*launch.System
	t testing.TB
}

// startLimit bounds how long a condition may take. It is there to end a test
// that would hang, not to measure.
const startLimit = time.Minute

// Start starts a system, waits until it is ready, and ends it with the test.
// The log of a test that failed is printed.
func Start(t testing.TB, o Options) *System {
	t.Helper()
	inner, err := launch.Start(o)
	if inner != nil {
		s := &System{inner, t}
		t.Cleanup(func() {
			s.Stop()
			if t.Failed() {
				t.Logf("log of the system:\n%s", s.Logs())
			}
		})
		if err == nil {
			return s
		}
	}
	t.Fatal(err)
	return nil
}

// StartFails starts a system that must refuse to start, and returns its exit
// code and what it said.
func StartFails(t testing.TB, o Options) (code int, said string) {
	t.Helper()
	s, err := launch.Start(o)
	if s != nil {
		t.Cleanup(func() { (&System{s, t}).Stop() })
	}
	if err == nil {
		t.Fatal("the system started")
	}
	if s == nil || !errors.Is(err, launch.ErrEnded) {
		t.Fatal(err)
	}
	return s.ExitCode(), s.Logs()
}

// WaitLog waits until the system has printed a text.
func (s *System) WaitLog(text string) {
	s.t.Helper()
	if !s.Printed(text) {
		s.t.Fatalf("the system never printed %q:\n%s", text, s.Logs())
	}
}

// Stop ends the system with SIGTERM to its group and waits until nothing of it
// is left. A second call does nothing.
func (s *System) Stop() {
	s.t.Helper()
	if err := s.System.Stop(); err != nil {
		s.t.Error(err)
	}
}

// Crash ends the system's own process with SIGKILL and waits until nothing of
// it is left.
func (s *System) Crash() {
	s.t.Helper()
	if err := s.System.Crash(); err != nil {
		s.t.Error(err)
	}
}

// Children are the ids of the function processes of this very system.
func (s *System) Children() []int {
	var pids []int
	for _, p := range s.Processes() {
		pids = append(pids, p.Pid)
	}
	return pids
}

// Do sends a request and returns the answer's status, headers and body. body
// may be nil, a []byte, a string, or a value to be written as JSON.
func (s *System) Do(method, url string, body any, headers ...string) (int, http.Header, []byte) {
	s.t.Helper()
	var in io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		in = strings.NewReader(b)
	case []byte:
		in = bytes.NewReader(b)
	default:
		j, err := json.Marshal(b)
		if err != nil {
			s.t.Fatal(err)
		}
		in = bytes.NewReader(j)
	}
	r, err := http.NewRequestWithContext(s.t.Context(), method, url, in)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	out, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res.StatusCode, res.Header, out
}

// JSON sends a request, wants a 2xx answer, and reads its body into out when
// out is not nil.
func (s *System) JSON(method, url string, body, out any) {
	s.t.Helper()
	status, _, b := s.Do(method, url, body, "Content-Type", "application/json")
	if status < 200 || status > 299 {
		s.t.Fatalf("%s %s: %d %s", method, url, status, b)
	}
	if out != nil {
		if err := json.Unmarshal(b, out); err != nil {
			s.t.Fatalf("%s %s: %v in %s", method, url, err, b)
		}
	}
}

// Eventually waits for a condition that the system brings about.
func (s *System) Eventually(what string, ok func() bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), startLimit)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			s.t.Fatalf("never happened: %s", what)
		}
	}
}

// Build builds packages of this module (such as ./local) into dir, each to the
// path that targets gives it.
func Build(root, dir string, targets map[string]string) error {
	for pkg, to := range targets {
		cmd := exec.Command("go", "build", "-tags", "lambda.norpc", "-o", filepath.Join(dir, to), pkg)
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", pkg, err, out)
		}
	}
	return nil
}
