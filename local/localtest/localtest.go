// Package localtest starts the built system for tests, on free ports, and ends
// it with them.
//
// The rule it keeps: a test that ends leaves no process behind, and one that
// does is failed. It must not be imported by anything but tests.
package localtest

import (
	"bufio"
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
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Options say what to start.
type Options struct {
	Local    string // the binary of the local system
	Bin      string // folder of the bootstraps
	Template string
	// Env is added to an environment that is otherwise clean.
	Env map[string]string
}

// System is a running system.
type System struct {
	API, WHMCS, Salesforce, AWS string            // base URLs
	Exports                     map[string]string // what the screen says to export
	Pid                         int

	t      testing.TB
	cmd    *exec.Cmd
	out    *output
	exited chan struct{}
	once   sync.Once
}

// startLimit bounds how long a system may take until it is ready, and to end.
// It is there to end a test that would hang, not to measure.
const startLimit = time.Minute

// Start starts a system, waits until it is ready, and ends it with the test.
// The log of a test that failed is printed.
func Start(t testing.TB, o Options) *System {
	t.Helper()
	s, err := start(t, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// StartFails starts a system that must refuse to start, and returns its exit
// code and what it said.
func StartFails(t testing.TB, o Options) (code int, said string) {
	t.Helper()
	s, err := start(t, o)
	if err == nil {
		t.Fatal("the system started")
	}
	if s == nil || !errors.Is(err, errEnded) {
		t.Fatal(err)
	}
	return s.cmd.ProcessState.ExitCode(), s.out.String()
}

var errEnded = errors.New("the system ended before it was ready")

func start(t testing.TB, o Options) (*System, error) {
	cmd := exec.Command(o.Local, "-template", o.Template, "-bin", o.Bin)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "API_PORT=0", "WHMCS_PORT=0", "SF_PORT=0", "AWS_PORT=0"}
	for k, v := range o.Env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	s := &System{t: t, cmd: cmd, out: newOutput(), exited: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = s.out, s.out
	// A group of its own, as a shell gives it: signals go to the group.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", o.Local, err)
	}
	s.Pid = cmd.Process.Pid
	go func() {
		_ = cmd.Wait()
		close(s.exited)
	}()
	t.Cleanup(func() {
		s.Stop()
		if t.Failed() {
			t.Logf("log of the system:\n%s", s.out.String())
		}
	})
	if !s.out.wait(startLimit, s.exited, "Ctrl-C ends it.") {
		select {
		case <-s.exited:
			return s, fmt.Errorf("%w:\n%s", errEnded, s.out.String())
		default:
			return s, fmt.Errorf("the system is not ready after %v:\n%s", startLimit, s.out.String())
		}
	}
	s.read()
	return s, nil
}

var (
	exported  = regexp.MustCompile(`^\s*export ([A-Z_]+)=(\S*)$`)
	addressed = regexp.MustCompile(`^\s*(http://\S+)\s+(.*)$`)
)

// read takes the addresses from the screen.
func (s *System) read() {
	s.Exports = map[string]string{}
	lines := bufio.NewScanner(strings.NewReader(s.out.String()))
	for lines.Scan() {
		if m := exported.FindStringSubmatch(lines.Text()); m != nil {
			s.Exports[m[1]] = m[2]
		} else if m := addressed.FindStringSubmatch(lines.Text()); m != nil {
			switch {
			case strings.HasPrefix(m[2], "both APIs"):
				s.API = m[1]
			case strings.HasPrefix(m[2], "WHMCS"):
				s.WHMCS = m[1]
			case strings.HasPrefix(m[2], "Salesforce"):
				s.Salesforce = m[1]
			case strings.HasPrefix(m[2], "DynamoDB"):
				s.AWS = m[1]
			}
		}
	}
}

// Logs is all that the system has printed.
func (s *System) Logs() string { return s.out.String() }

// WaitLog waits until the system has printed a text.
func (s *System) WaitLog(text string) {
	s.t.Helper()
	if !s.out.wait(startLimit, s.exited, text) {
		s.t.Fatalf("the system never printed %q:\n%s", text, s.out.String())
	}
}

// Stop ends the system with SIGTERM to its group and waits until nothing of it
// is left. A second call does nothing.
func (s *System) Stop() {
	s.t.Helper()
	s.end(syscall.SIGTERM)
}

// Crash ends the system's own process with SIGKILL and waits until nothing of
// it is left.
func (s *System) Crash() {
	s.t.Helper()
	s.end(syscall.SIGKILL)
}

func (s *System) end(sig syscall.Signal) {
	s.once.Do(func() {
		select {
		case <-s.exited:
		default:
			pid := -s.Pid
			if sig == syscall.SIGKILL {
				pid = s.Pid // its children must follow by themselves
			}
			_ = syscall.Kill(pid, sig)
		}
		timer := time.NewTimer(startLimit)
		defer timer.Stop()
		select {
		case <-s.exited:
		case <-timer.C:
			_ = syscall.Kill(-s.Pid, syscall.SIGKILL)
			<-s.exited
			s.t.Errorf("the system did not end within %v of %v", startLimit, sig)
		}
		left := s.Children()
		for limit := time.Now().Add(startLimit); len(left) > 0 && time.Now().Before(limit); left = s.Children() {
			time.Sleep(5 * time.Millisecond) // the kernel is still burying them
		}
		if len(left) > 0 {
			s.t.Errorf("processes are left behind: %v", left)
			for _, pid := range left {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	})
}

// Children are the ids of the function processes of this very system: those
// whose environment names its address. Linux only; elsewhere it finds none.
func (s *System) Children() []int {
	if s.AWS == "" {
		return nil
	}
	mark := []byte("\x00AWS_ENDPOINT_URL=" + s.AWS + "\x00")
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	var all []int
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil || !bytes.Contains(append([]byte{0}, b...), mark) || !bytes.Contains(b, []byte("AWS_LAMBDA_RUNTIME_API=")) {
			continue
		}
		var pid int
		if _, err := fmt.Sscanf(f, "/proc/%d/environ", &pid); err == nil {
			all = append(all, pid)
		}
	}
	return all
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

// Root is the folder of the module.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the test")
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

// output keeps what a process prints and tells who waits for a text.
type output struct {
	mu      sync.Mutex
	b       bytes.Buffer
	changed chan struct{}
}

func newOutput() *output { return &output{changed: make(chan struct{})} }

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.changed)
	o.changed = make(chan struct{})
	return o.b.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

func (o *output) wait(limit time.Duration, ended <-chan struct{}, text string) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		o.mu.Lock()
		there, changed := strings.Contains(o.b.String(), text), o.changed
		o.mu.Unlock()
		if there {
			return true
		}
		select {
		case <-changed:
		case <-ended:
			return strings.Contains(o.String(), text)
		case <-timer.C:
			return false
		}
	}
}
