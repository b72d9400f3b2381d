// Package launch starts the built system as a process of its own, on free
// ports, reads from its screen where everything is, and ends it.
//
// The rule it keeps: what it started it ends, with every function process of
// it, and says so when something stayed; on Linux the system ends even when its
// starter is killed. It must not know what the system is started for.
package launch

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
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

	cmd    *exec.Cmd
	out    *output
	exited chan struct{}
	once   sync.Once
	end    error
}

// limit bounds how long a system may take until it is ready, and to end. It is
// there to end a run that would hang, not to measure.
const limit = time.Minute

// ErrEnded is Start's error when the system ended before it was ready.
var ErrEnded = errors.New("the system ended before it was ready")

// Start starts a system and returns when it is ready. Whenever it returns a
// System, the caller ends it; beside ErrEnded comes one that says what it said.
func Start(o Options) (*System, error) {
	cmd := exec.Command(o.Local, "-template", o.Template, "-bin", o.Bin) //nolint:noctx // its life is the System's: see finish
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "API_PORT=0", "WHMCS_PORT=0", "SF_PORT=0", "AWS_PORT=0", "SCREEN=json",
		// A starter measures or breaks the system, and not the gateway.
		"CALLOUT_RATE_LIMIT=10000", "CALLOUT_BURST_LIMIT=5000", "PORTAL_RATE_LIMIT=10000", "PORTAL_BURST_LIMIT=5000",
	}
	for k, v := range o.Env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	s := &System{cmd: cmd, out: newOutput(), exited: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = s.out, s.out
	cmd.SysProcAttr = attributes()
	started := make(chan error)
	go func() {
		// The kernel tells the child when the thread that forked it ends, so
		// this one lives as long as the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is read from its state
			close(s.exited)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", o.Local, err)
	}
	s.Pid = cmd.Process.Pid
	if !s.out.wait(limit, s.exited, "Ctrl-C ends it.") {
		select {
		case <-s.exited:
			return s, fmt.Errorf("%w:\n%s", ErrEnded, s.Logs())
		default:
			return s, fmt.Errorf("the system is not ready after %v:\n%s", limit, s.Logs())
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
	lines := bufio.NewScanner(strings.NewReader(s.Logs()))
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

// Printed waits until the system has printed a text; false: it ended, or did
// not within a minute.
func (s *System) Printed(text string) bool { return s.out.wait(limit, s.exited, text) }

// Exited is closed when the system's own process has ended.
func (s *System) Exited() <-chan struct{} { return s.exited }

// ExitCode is that of the system's own process; -1 while it runs and after a
// signal.
func (s *System) ExitCode() int {
	select {
	case <-s.exited:
		return s.cmd.ProcessState.ExitCode()
	default:
		return -1
	}
}

// Stop ends the system with SIGTERM to its group and waits until nothing of it
// is left. A second call returns what the first one did.
func (s *System) Stop() error { return s.finish(syscall.SIGTERM) }

// Crash ends the system's own process with SIGKILL and waits until nothing of
// it is left.
func (s *System) Crash() error { return s.finish(syscall.SIGKILL) }

func (s *System) finish(sig syscall.Signal) error {
	s.once.Do(func() { s.end = s.kill(sig) })
	return s.end
}

func (s *System) kill(sig syscall.Signal) error {
	var wrong []error
	select {
	case <-s.exited:
	default:
		pid := -s.Pid
		if sig == syscall.SIGKILL {
			pid = s.Pid // its children must follow by themselves
		}
		_ = syscall.Kill(pid, sig)
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-s.exited:
	case <-timer.C:
		_ = syscall.Kill(-s.Pid, syscall.SIGKILL)
		<-s.exited
		wrong = append(wrong, fmt.Errorf("the system did not end within %v of %v", limit, sig))
	}
	left := s.Processes()
	for until := time.Now().Add(limit); len(left) > 0 && time.Now().Before(until); left = s.Processes() {
		time.Sleep(5 * time.Millisecond) // the kernel has not reaped them yet
	}
	for _, p := range left {
		wrong = append(wrong, fmt.Errorf("process %d of %s is left behind", p.Pid, p.Function))
		_ = syscall.Kill(p.Pid, syscall.SIGKILL)
	}
	return errors.Join(wrong...)
}

// Process is one process of a function.
type Process struct {
	Pid      int
	Function string // the folder of its bootstrap
}

// Processes are the function processes of this very system: those whose
// environment names its address. Linux only; elsewhere it finds none.
func (s *System) Processes() []Process {
	if s.AWS == "" {
		return nil
	}
	files, _ := filepath.Glob("/proc/[0-9]*/environ") // the pattern is right
	var all []Process
	for _, f := range files {
		var pid int
		if _, err := fmt.Sscanf(f, "/proc/%d/environ", &pid); err != nil {
			continue
		}
		if name, ok := s.owns(pid); ok {
			all = append(all, Process{pid, name})
		}
	}
	return all
}

// owns reports whether a process is one of this system's functions, and which.
func (s *System) owns(pid int) (function string, ok bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return "", false
	}
	vars := bytes.Split(b, []byte{0})
	mine := false
	for _, v := range vars {
		if string(v) == "AWS_ENDPOINT_URL="+s.AWS {
			mine = true
		}
		if root, found := bytes.CutPrefix(v, []byte("LAMBDA_TASK_ROOT=")); found {
			function = filepath.Base(string(root))
		}
	}
	return function, mine && function != ""
}

// Signal sends a signal to one of this system's function processes. The
// process is checked again once a handle holds it, so that a process that was
// given the same pid meanwhile is not touched. false: it is gone.
func (s *System) Signal(p Process, sig syscall.Signal) bool {
	held, err := os.FindProcess(p.Pid) // on Linux a handle of this very process
	if err != nil {
		return false
	}
	defer held.Release() //nolint:errcheck // nothing depends on it
	if name, ok := s.owns(p.Pid); !ok || name != p.Function {
		return false
	}
	return held.Signal(sig) == nil
}

// Stopped reports whether a process is stopped: by a signal, or by its host
// because it waits for an event. A process that is gone is not.
func Stopped(p Process) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Pid))
	if err != nil {
		return false
	}
	_, rest, ok := bytes.Cut(b, []byte(") "))
	return ok && len(rest) > 0 && rest[0] == 'T'
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
