package lambda_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"orderbridge/local/lambda"
)

// bin is the test bootstrap, built once.
var bin string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		if os.Getenv("HOST_TO_KILL") != "" {
			return hostToKill()
		}
		dir, err := os.MkdirTemp("", "bootstrap")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		bin = filepath.Join(dir, "bootstrap")
		if out, err := exec.Command("go", "build", "-tags", "lambda.norpc", "-o", bin, "./testdata/bootstrap").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build the test bootstrap: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

func newHost(t *testing.T, change func(*lambda.Function)) (*lambda.Host, *output) {
	t.Helper()
	out := &output{}
	h := lambda.New("us-east-1", out)
	t.Cleanup(h.Close)
	f := lambda.Function{Name: "trial", LogicalID: "TrialFunction", FullName: "local-TrialFunction", ARN: "arn:aws:lambda:us-east-1:000000000000:function:local-TrialFunction", Bootstrap: bin, Timeout: 20 * time.Second, Environment: map[string]string{"MINE": "yes"}}
	if change != nil {
		change(&f)
	}
	if err := h.Add(f); err != nil {
		t.Fatal(err)
	}
	return h, out
}

func pidOf(t *testing.T, answer []byte) int {
	t.Helper()
	var a struct {
		Pid int `json:"pid"`
	}
	if err := json.Unmarshal(answer, &a); err != nil || a.Pid == 0 {
		t.Fatalf("answer %s: %v", answer, err)
	}
	return a.Pid
}

func invoke(t *testing.T, h *lambda.Host, event string) []byte {
	t.Helper()
	b, err := h.Invoke(t.Context(), "trial", []byte(event))
	if err != nil {
		t.Fatalf("invoke %s: %v", event, err)
	}
	return b
}

func wantError(t *testing.T, err error, kind string) {
	t.Helper()
	var e *lambda.Error
	if !errors.As(err, &e) || e.Type != kind {
		t.Fatalf("error %v, want one of type %s", err, kind)
	}
}

// eventually waits for a condition that other processes bring about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("never happened: %s", what)
		}
	}
}

// state is the process state letter of /proc/PID/stat, "" when it is gone.
func state(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	s := string(b)
	return s[strings.LastIndexByte(s, ')')+2:][:1]
}

func TestWarmProcessServesTheNextInvocation(t *testing.T) {
	h, _ := newHost(t, nil)
	first := pidOf(t, invoke(t, h, `{}`))
	eventually(t, "the process asks for the next event", func() bool { return state(first) == "T" })
	if second := pidOf(t, invoke(t, h, `{}`)); second != first {
		t.Errorf("second invocation ran in process %d, want the warm one %d", second, first)
	}
	if s := h.Stats()["trial"]; s.Invocations != 2 || s.ColdStarts != 1 || s.Errors != 0 || s.Running != 0 || s.Processes != 1 {
		t.Errorf("stats %+v", s)
	}
}

func TestAWarmedProcessTakesTheFirstInvocation(t *testing.T) {
	h, _ := newHost(t, nil)
	if err := h.Warm(t.Context(), "trial"); err != nil {
		t.Fatal(err)
	}
	warm := h.Pids("trial")
	if pid := pidOf(t, invoke(t, h, `{}`)); len(warm) != 1 || pid != warm[0] {
		t.Errorf("served by %d, warm were %v", pid, warm)
	}
	if err := h.Warm(t.Context(), "trial"); err != nil || h.Stats()["trial"].ColdStarts != 1 {
		t.Errorf("warming again started another: %+v, %v", h.Stats()["trial"], err)
	}
	if err := h.Warm(t.Context(), "nobody"); !errors.Is(err, lambda.ErrUnknownFunction) {
		t.Errorf("warm an unknown function: %v", err)
	}
}

func TestProcessIsStoppedBetweenInvocations(t *testing.T) {
	h, _ := newHost(t, nil)
	if err := h.Warm(t.Context(), "trial"); err != nil {
		t.Fatal(err)
	}
	pid := h.Pids("trial")[0]
	for range 3 {
		eventually(t, "stopped", func() bool { return state(pid) == "T" })
		invoke(t, h, `{}`)
	}
}

func TestConcurrentInvocationsEachGetAProcess(t *testing.T) {
	h, _ := newHost(t, nil)
	gate := filepath.Join(t.TempDir(), "gate")
	pids := make(chan int, 3)
	for range 3 {
		go func() {
			b, err := h.Invoke(t.Context(), "trial", fmt.Appendf(nil, `{"until":%q}`, gate))
			if err != nil {
				t.Error(err)
			}
			var a struct{ Pid int }
			json.Unmarshal(b, &a)
			pids <- a.Pid
		}()
	}
	eventually(t, "three running", func() bool { return h.Stats()["trial"].Running == 3 && h.Stats()["trial"].Processes == 3 })
	os.WriteFile(gate, nil, 0o600)
	seen := map[int]bool{}
	for range 3 {
		seen[<-pids] = true
	}
	if len(seen) != 3 {
		t.Errorf("processes %v, want three", seen)
	}
}

func TestReservedConcurrencyThrottles(t *testing.T) {
	h, _ := newHost(t, func(f *lambda.Function) { f.Reserved = 1 })
	gate := filepath.Join(t.TempDir(), "gate")
	done := make(chan error, 1)
	go func() {
		_, err := h.Invoke(t.Context(), "trial", fmt.Appendf(nil, `{"until":%q}`, gate))
		done <- err
	}()
	eventually(t, "running", func() bool { return h.Stats()["trial"].Running == 1 })
	if _, err := h.Invoke(t.Context(), "trial", []byte(`{}`)); !errors.Is(err, lambda.ErrThrottled) {
		t.Errorf("error %v, want ErrThrottled", err)
	}
	os.WriteFile(gate, nil, 0o600)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestWithoutReservedConcurrencyTheNextOneWaits(t *testing.T) {
	h, _ := newHost(t, func(f *lambda.Function) { f.Concurrency = 1 })
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			if _, err := h.Invoke(t.Context(), "trial", []byte(`{}`)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if s := h.Stats()["trial"]; s.Invocations != 5 {
		t.Errorf("stats %+v", s)
	}
}

func TestKilledWhileBusyIsAnErrorForTheCaller(t *testing.T) {
	h, _ := newHost(t, nil)
	done := make(chan error, 1)
	go func() {
		_, err := h.Invoke(t.Context(), "trial", []byte(`{"do":"hang","text":"here"}`))
		done <- err
	}()
	eventually(t, "running", func() bool { return h.Stats()["trial"].Running == 1 && h.Stats()["trial"].Processes == 1 })
	if n, err := h.Kill("trial"); n != 1 || err != nil {
		t.Fatalf("kill: %d, %v", n, err)
	}
	wantError(t, <-done, "Runtime.ExitError")
	pidOf(t, invoke(t, h, `{}`)) // and the next caller gets a new process
}

func TestKillReachesFrozenProcesses(t *testing.T) {
	h, _ := newHost(t, nil)
	first := pidOf(t, invoke(t, h, `{}`))
	eventually(t, "stopped", func() bool { return state(first) == "T" })
	if n, err := h.Kill("trial"); n != 1 || err != nil {
		t.Fatalf("kill: %d, %v", n, err)
	}
	if s := state(first); s != "" {
		t.Errorf("process %d is still there, state %s", first, s)
	}
	if second := pidOf(t, invoke(t, h, `{}`)); second == first {
		t.Error("the killed process answered")
	}
	if s := h.Stats()["trial"]; s.ColdStarts != 2 || s.Errors != 0 {
		t.Errorf("stats %+v", s)
	}
	if _, err := h.Kill("nobody"); !errors.Is(err, lambda.ErrUnknownFunction) {
		t.Errorf("kill an unknown function: %v", err)
	}
}

func TestTimeOutKillsTheProcess(t *testing.T) {
	h, _ := newHost(t, func(f *lambda.Function) { f.Timeout = 100 * time.Millisecond })
	_, err := h.Invoke(t.Context(), "trial", []byte(`{"do":"hang"}`))
	wantError(t, err, "Sandbox.Timedout")
	if !strings.Contains(err.Error(), "Task timed out after 0.10 seconds") {
		t.Errorf("error %v", err)
	}
	eventually(t, "no process is left", func() bool { return h.Stats()["trial"].Processes == 0 })
}

func TestFunctionErrorsAndPanicsAndExits(t *testing.T) {
	for do, kind := range map[string]string{"fail": "errorString", "panic": "string", "exit": "Runtime.ExitError"} {
		t.Run(do, func(t *testing.T) {
			h, _ := newHost(t, nil)
			_, err := h.Invoke(t.Context(), "trial", fmt.Appendf(nil, `{"do":%q}`, do))
			wantError(t, err, kind)
			pidOf(t, invoke(t, h, `{}`))
			if s := h.Stats()["trial"]; s.Errors != 1 || s.Invocations != 2 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

func TestInitFailureIsReportedAndNotRepeatedAtOnce(t *testing.T) {
	h, out := newHost(t, func(f *lambda.Function) { f.Environment["INIT"] = "refuse" })
	for range 50 {
		_, err := h.Invoke(t.Context(), "trial", []byte(`{}`))
		wantError(t, err, "Runtime.ExitError")
	}
	if !strings.Contains(out.String(), "trial | configuration_invalid: TABLE_NAME is missing\n") {
		t.Errorf("the refusal is not in the output:\n%s", out)
	}
	if s := h.Stats()["trial"]; s.ColdStarts >= 50 || s.Errors != 50 {
		t.Errorf("stats %+v: every invocation started a process", s)
	}
}

func TestEnvironmentIsClean(t *testing.T) {
	t.Setenv("SECRET_OF_THE_HOST", "x")
	t.Setenv("AWS_PROFILE", "x")
	h, _ := newHost(t, nil)
	var env []string
	if err := json.Unmarshal(invoke(t, h, `{"do":"env"}`), &env); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, kv := range env {
		k, v, _ := strings.Cut(kv, "=")
		got[k] = v
	}
	for _, k := range []string{"AWS_LAMBDA_RUNTIME_API", "AWS_LAMBDA_LOG_STREAM_NAME", "LAMBDA_TASK_ROOT", "PATH", "TZ"} {
		if got[k] == "" {
			t.Errorf("%s is missing", k)
		}
	}
	if got["MINE"] != "yes" || got["AWS_LAMBDA_FUNCTION_NAME"] != "local-TrialFunction" || got["AWS_REGION"] != "us-east-1" || got["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] != "128" {
		t.Errorf("environment %v", got)
	}
	for _, k := range []string{"SECRET_OF_THE_HOST", "AWS_PROFILE", "HOME"} {
		if _, there := got[k]; there {
			t.Errorf("the host's %s reached the function", k)
		}
	}
}

func TestInvocationLearnsItsDeadline(t *testing.T) {
	h, _ := newHost(t, nil)
	var left int64
	if err := json.Unmarshal(invoke(t, h, `{"do":"deadline"}`), &left); err != nil || left <= 0 || left > 20_000 {
		t.Errorf("%d ms left (%v), want within 20 s", left, err)
	}
}

func TestEventTooLarge(t *testing.T) {
	h, _ := newHost(t, nil)
	if _, err := h.Invoke(t.Context(), "trial", make([]byte, lambda.MaxPayload+1)); !errors.Is(err, lambda.ErrTooLarge) {
		t.Errorf("error %v, want ErrTooLarge", err)
	}
}

func TestCallerThatLeavesDoesNotStopTheFunction(t *testing.T) {
	h, out := newHost(t, nil)
	gate := filepath.Join(t.TempDir(), "gate")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := h.Invoke(ctx, "trial", fmt.Appendf(nil, `{"text":"begun","until":%q}`, gate))
		done <- err
	}()
	eventually(t, "begun", func() bool { return strings.Contains(out.String(), "trial | begun") })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	os.WriteFile(gate, nil, 0o600)
	eventually(t, "it ends well", func() bool { s := h.Stats()["trial"]; return s.Running == 0 && s.Errors == 0 && s.Processes == 1 })
}

func TestMissingBootstrapIsRefused(t *testing.T) {
	h := lambda.New("us-east-1", &output{})
	defer h.Close()
	if err := h.Add(lambda.Function{Name: "x", Bootstrap: filepath.Join(t.TempDir(), "bootstrap")}); err == nil || !strings.Contains(err.Error(), "find bootstrap of x") {
		t.Errorf("error %v", err)
	}
}

func TestCloseLeavesNoProcess(t *testing.T) {
	h, _ := newHost(t, nil)
	first := pidOf(t, invoke(t, h, `{}`))
	go h.Invoke(context.Background(), "trial", []byte(`{"do":"hang"}`))
	eventually(t, "running", func() bool { s := h.Stats()["trial"]; return s.Running == 1 && s.Processes >= 1 })
	h.Close()
	if len(h.Pids("trial")) != 0 || state(first) != "" {
		t.Error("processes are left after Close")
	}
	if _, err := h.Invoke(t.Context(), "trial", []byte(`{}`)); err == nil {
		t.Error("a closed host took an invocation")
	}
}

// hostToKill is the child of TestChildrenDieWithTheHost: a host with a frozen
// and a busy process, that waits to be killed.
func hostToKill() int {
	h := lambda.New("us-east-1", os.Stderr)
	if err := h.Add(lambda.Function{Name: "trial", Bootstrap: os.Getenv("HOST_TO_KILL"), Timeout: time.Minute}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx := context.Background()
	if err := h.Warm(ctx, "trial"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for range 2 {
		go h.Invoke(ctx, "trial", []byte(`{"do":"hang"}`))
	}
	for h.Stats()["trial"].Processes < 2 {
		time.Sleep(time.Millisecond)
	}
	if err := h.Add(lambda.Function{Name: "idle", Bootstrap: os.Getenv("HOST_TO_KILL"), Timeout: time.Minute}); err != nil {
		return 1
	}
	if err := h.Warm(ctx, "idle"); err != nil {
		return 1
	}
	json.NewEncoder(os.Stdout).Encode(append(h.Pids("trial"), h.Pids("idle")...))
	select {}
}

func TestChildrenDieWithTheHost(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), "HOST_TO_KILL="+bin)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pids []int
	err = json.NewDecoder(stdout).Decode(&pids)
	if err == nil {
		eventually(t, "the idle process is frozen", func() bool { return state(pids[len(pids)-1]) == "T" })
	}
	cmd.Process.Kill()
	cmd.Wait()
	if err != nil || len(pids) != 3 {
		t.Fatalf("children %v: %v", pids, err)
	}
	for _, pid := range pids {
		eventually(t, fmt.Sprintf("child %d is gone", pid), func() bool { s := state(pid); return s == "" || s == "Z" })
	}
}

func TestALimitThrottlesAndIsWatched(t *testing.T) {
	h, _ := newHost(t, nil)
	var mu sync.Mutex
	var seen []lambda.Seen
	h.Watch(func(s lambda.Seen) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, s)
	})
	if err := h.Limit("nobody", 1); !errors.Is(err, lambda.ErrUnknownFunction) {
		t.Errorf("an unknown function: %v", err)
	}
	for _, c := range []struct {
		most  int
		event string
		fails bool
	}{{0, `{}`, true}, {1, `{}`, false}, {-1, `{"do":"fail"}`, true}} {
		if err := h.Limit("trial", c.most); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Invoke(t.Context(), "trial", []byte(c.event)); (err != nil) != c.fails || c.most == 0 && !errors.Is(err, lambda.ErrThrottled) {
			t.Errorf("a limit of %d: %v", c.most, err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(seen) != 3 || !seen[0].Throttled || seen[1].Failed || seen[1].Took <= 0 || seen[1].Running != 1 || !seen[2].Failed || seen[2].Throttled {
		t.Errorf("seen %+v", seen)
	}
}
