package lambda

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"orderbridge/local/uuid"
)

const (
	// MaxPayload is the largest event or answer, in bytes (AWS Lambda quotas:
	// 6 MB for a synchronous invocation).
	MaxPayload = 6 << 20
	// initTimeout is how long a process may take until it asks for its first
	// event (AWS Lambda: 10 s for the init phase).
	initTimeout = 10 * time.Second
	// defaultConcurrency bounds the processes of one function. The platform
	// would start a thousand; one machine cannot, so further invocations wait.
	defaultConcurrency = 20
	// A function whose init fails is not started again at once: the first
	// pause, and the longest.
	firstHold, longestHold = 100 * time.Millisecond, 5 * time.Second
	// finishGrace is how long an invocation waits for a process that has just
	// answered and is about to ask for more, before it starts another.
	finishGrace = 25 * time.Millisecond
)

// Errors that Invoke returns besides *Error.
var (
	// ErrUnknownFunction: no function has that name.
	ErrUnknownFunction = errors.New("no such function")
	// ErrThrottled: the function's reserved concurrency is used up
	// (TooManyRequestsException, 429).
	ErrThrottled = errors.New("rate exceeded")
	// ErrTooLarge: the event is larger than MaxPayload
	// (RequestTooLargeException, 413).
	ErrTooLarge = errors.New("the event is too large")

	errClosed = errors.New("the host is closed")
)

// Error is a function that failed: it said so, could not start, overran its
// time-out or died. To a caller of Lambda this is an answer with FunctionError.
type Error struct {
	Type    string // such as Runtime.ExitError or Sandbox.Timedout
	Message string
	Payload []byte // the body that the function posted, if it posted one
	Said    string // the last line of a process that ended in its init phase
}

func (e *Error) Error() string { return e.Type + ": " + e.Message }

// Function is what the host must know of a function.
type Function struct {
	Name      string // key of all calls here, and the prefix of its log lines
	LogicalID string // in the template; the Invoke API takes it for a name
	FullName  string // AWS_LAMBDA_FUNCTION_NAME
	ARN       string
	Alias     string // the alias that callers may name; "" = none
	Bootstrap string // path of the executable
	Handler   string
	MemoryMB  int
	Timeout   time.Duration // of one invocation; the process is killed after it
	// Reserved is the reserved concurrency: further invocations are throttled.
	// 0 = none; then more than Concurrency invocations wait for a process.
	Reserved    int
	Concurrency int               // 0 = 20
	Environment map[string]string // its own variables; the AWS_LAMBDA_* ones are added
}

// Stats counts what became of a function's invocations.
type Stats struct {
	Invocations int `json:"invocations"` // begun
	ColdStarts  int `json:"coldStarts"`  // processes started
	Errors      int `json:"errors"`      // invocations that failed
	Running     int `json:"running"`     // invocations going on now
	Processes   int `json:"processes"`   // processes alive, frozen ones too
}

// Seen is what became of one invocation. What was throttled did not begin.
type Seen struct {
	Function          string
	Took              time.Duration
	Running           int // invocations of the function that went on with it
	Failed, Throttled bool
}

// Host runs functions. Its methods are safe for concurrent use.
type Host struct {
	region  string
	logf    func(format string, args ...any)
	saw     func(Seen)
	spawner *spawner
	done    chan struct{}
	wait    sync.WaitGroup // one per process

	mu        sync.Mutex
	closed    bool
	functions map[string]*function
}

type function struct {
	Function
	dir   string
	slots chan struct{} // one per invocation that may run

	// guarded by Host.mu
	limit     *int       // as many invocations as Limit allows; nil = as the function says
	idle      []*process // the one used last is used next
	alive     map[*process]bool
	stats     Stats
	finishing int           // processes about to ask for an event
	freed     chan struct{} // closed and replaced when one of them is done
	failures  int           // inits failed in a row
	holdUntil time.Time
	holdError *Error
}

type invocation struct {
	id       string
	trace    string
	payload  []byte
	deadline time.Time
	once     sync.Once
	done     chan struct{}
	answer   []byte
	err      *Error
}

func (i *invocation) finish(answer []byte, err *Error) {
	i.once.Do(func() {
		i.answer, i.err = answer, err
		close(i.done)
	})
}

// New returns a host for the given region whose log lines go to out, one write
// each.
func New(region string, out io.Writer) *Host {
	var mu sync.Mutex
	return &Host{
		region:    region,
		saw:       func(Seen) {},
		spawner:   newSpawner(),
		done:      make(chan struct{}),
		functions: map[string]*function{},
		logf: func(format string, args ...any) {
			mu.Lock()
			defer mu.Unlock()
			fmt.Fprintf(out, format+"\n", args...)
		},
	}
}

// Add makes a function known. It fails when its bootstrap is not an executable
// file.
func (h *Host) Add(f Function) error {
	path, err := filepath.Abs(f.Bootstrap)
	if err != nil {
		return fmt.Errorf("find bootstrap of %s: %w", f.Name, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("find bootstrap of %s: %w", f.Name, err)
	}
	if info.IsDir() || info.Mode()&0o111 == 0 {
		return fmt.Errorf("find bootstrap of %s: %s is not executable", f.Name, f.Bootstrap)
	}
	f.Bootstrap = path
	limit := f.Concurrency
	if limit <= 0 {
		limit = defaultConcurrency
	}
	if f.Reserved > 0 {
		limit = f.Reserved
	}
	if f.Timeout <= 0 {
		f.Timeout = 3 * time.Second
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.functions[f.Name] != nil {
		return fmt.Errorf("add function: %s is there already", f.Name)
	}
	h.functions[f.Name] = &function{Function: f, dir: filepath.Dir(path), slots: make(chan struct{}, limit), alive: map[*process]bool{}, freed: make(chan struct{})}
	return nil
}

// Watch has saw told of every invocation that ends or is throttled. It is called
// before the first one.
func (h *Host) Watch(saw func(Seen)) { h.saw = saw }

// Limit throttles invocations of a function beyond so many at a time, as an
// account does that has no more concurrency; negative = no longer.
func (h *Host) Limit(name string, most int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.functions[name]
	if f == nil {
		return ErrUnknownFunction
	}
	f.limit = nil
	if most >= 0 {
		f.limit = &most
	}
	return nil
}

// throttled reports whether a function has no room under its limit.
func (h *Host) throttled(f *function) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return f.limit != nil && f.stats.Running >= *f.limit
}

// Names lists the functions, sorted.
func (h *Host) Names() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Sorted(maps.Keys(h.functions))
}

// Stats returns the counters of every function.
func (h *Host) Stats() map[string]Stats {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := map[string]Stats{}
	for name, f := range h.functions {
		s := f.stats
		s.Processes = len(f.alive)
		all[name] = s
	}
	return all
}

// Pids returns the process ids of a function's processes, frozen and busy ones,
// sorted.
func (h *Host) Pids(name string) []int {
	h.mu.Lock()
	defer h.mu.Unlock()
	var pids []int
	if f := h.functions[name]; f != nil {
		for p := range f.alive {
			pids = append(pids, p.cmd.Process.Pid)
		}
	}
	slices.Sort(pids)
	return pids
}

// Kill sends SIGKILL to every process of a function, frozen and busy ones, and
// returns how many there were. A caller that waits for an invocation gets an Error.
func (h *Host) Kill(name string) (int, error) {
	h.mu.Lock()
	f := h.functions[name]
	if f == nil {
		h.mu.Unlock()
		return 0, ErrUnknownFunction
	}
	all := slices.Collect(maps.Keys(f.alive))
	f.idle = nil
	h.mu.Unlock()
	for _, p := range all {
		p.kill("signal: killed")
	}
	for _, p := range all {
		<-p.exited
	}
	return len(all), nil
}

// Warm starts one process of a function and returns when it is ready for its
// first event, or has failed to get there. A process that is there already is
// enough.
func (h *Host) Warm(ctx context.Context, name string) error {
	h.mu.Lock()
	f := h.functions[name]
	if f == nil {
		h.mu.Unlock()
		return ErrUnknownFunction
	}
	if len(f.alive) > 0 {
		h.mu.Unlock()
		return nil
	}
	f.finishing++ // an invocation that comes now had better wait for this one
	h.mu.Unlock()
	defer h.finished(f)
	p, err := h.boot(ctx, f)
	if err != nil {
		return err
	}
	h.release(p)
	return nil
}

// finished tells those who wait for a process that one of them is idle or gone.
func (h *Host) finished(f *function) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f.finishing--
	close(f.freed)
	f.freed = make(chan struct{})
}

// Invoke runs a function on an event (JSON) and returns its answer (JSON).
// The invocation ends when the function answers, fails, or overruns its
// time-out, in which case its process is killed. When ctx ends first, Invoke
// returns its error while the function goes on, as on the platform.
func (h *Host) Invoke(ctx context.Context, name string, event []byte) ([]byte, error) {
	h.mu.Lock()
	f := h.functions[name]
	h.mu.Unlock()
	switch {
	case f == nil:
		return nil, fmt.Errorf("invoke %q: %w", name, ErrUnknownFunction)
	case len(event) > MaxPayload:
		return nil, ErrTooLarge
	case h.throttled(f):
		h.saw(Seen{Function: name, Throttled: true})
		return nil, ErrThrottled
	}
	if f.Reserved > 0 {
		select {
		case f.slots <- struct{}{}:
		default:
			h.saw(Seen{Function: name, Throttled: true})
			return nil, ErrThrottled
		}
	} else {
		select {
		case f.slots <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-h.done:
			return nil, errClosed
		}
	}
	type result struct {
		answer []byte
		err    error
	}
	ch := make(chan result, 1)
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		<-f.slots
		return nil, errClosed
	}
	f.stats.Invocations++
	f.stats.Running++
	seen := Seen{Function: name, Running: f.stats.Running}
	h.wait.Go(func() { //nolint:contextcheck // an invocation outlives a caller that leaves
		answer, took, err := h.run(f, event)
		seen.Took, seen.Failed = took, err != nil
		h.saw(seen)
		h.count(f, func(s *Stats) {
			s.Running--
			if err != nil {
				s.Errors++
			}
		})
		<-f.slots
		ch <- result{answer, err}
	})
	h.mu.Unlock()
	select {
	case r := <-ch:
		return r.answer, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (h *Host) count(f *function, do func(*Stats)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	do(&f.stats)
}

// run carries one invocation to its end, even when its caller has left, and
// says how long it took without the start of a process.
func (h *Host) run(f *function, event []byte) (answer []byte, took time.Duration, err error) {
	inv := &invocation{id: uuid.New(), trace: newTrace(), payload: event, done: make(chan struct{})}
	for {
		p, err := h.acquire(f)
		if err != nil {
			return nil, 0, err
		}
		// The time-out covers the invocation alone; init has its own.
		began := time.Now()
		inv.deadline = began.Add(f.Timeout)
		select {
		case p.next <- inv:
		case <-p.exited:
			continue // a frozen process died before it got the event: the next one takes it
		}
		timer := time.NewTimer(f.Timeout)
		select {
		case <-inv.done:
		case <-p.exited:
			inv.finish(nil, &Error{Type: "Runtime.ExitError", Message: fmt.Sprintf("RequestId: %s Error: Runtime exited with error: %s", inv.id, p.end())})
		case <-timer.C:
			inv.finish(nil, &Error{Type: "Sandbox.Timedout", Message: fmt.Sprintf("RequestId: %s Error: Task timed out after %.2f seconds", inv.id, f.Timeout.Seconds())})
			p.kill("timed out")
			<-p.exited
		case <-h.done:
			inv.finish(nil, &Error{Type: "Runtime.ExitError", Message: errClosed.Error()})
		}
		timer.Stop()
		<-inv.done
		took = time.Since(began)
		h.retire(p, f.Timeout)
		if inv.err != nil {
			h.logf("%s | %s %s", f.Name, inv.err.Type, firstLine(inv.err.Message))
			return nil, took, inv.err
		}
		return inv.answer, took, nil
	}
}

// retire brings a process that has answered back among the idle ones as soon
// as it asks for the next event. It does not hold up the answer.
func (h *Host) retire(p *process, grace time.Duration) {
	h.count(p.fn, func(*Stats) { p.fn.finishing++ })
	h.wait.Go(func() {
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-p.asked:
			h.release(p)
		case <-p.exited:
		case <-h.done:
		case <-timer.C: // it answered and then hung
			p.kill("did not ask for the next event")
		}
		h.finished(p.fn)
	})
}

// acquire returns a process that waits for an event: a warm one, or a new one.
func (h *Host) acquire(f *function) (*process, error) {
	var timer *time.Timer
	for {
		h.mu.Lock()
		if h.closed {
			h.mu.Unlock()
			return nil, errClosed
		}
		if n := len(f.idle); n > 0 {
			p := f.idle[n-1]
			f.idle = f.idle[:n-1]
			h.mu.Unlock()
			return p, nil
		}
		held, finishing, freed := f.holdError, f.finishing, f.freed
		if time.Now().After(f.holdUntil) {
			held = nil
		}
		h.mu.Unlock()
		if held != nil {
			return nil, held
		}
		if finishing == 0 {
			return h.boot(context.Background(), f)
		}
		if timer == nil {
			timer = time.NewTimer(finishGrace)
			defer timer.Stop()
		}
		select {
		case <-freed:
		case <-timer.C:
			return h.boot(context.Background(), f)
		case <-h.done:
			return nil, errClosed
		}
	}
}

// boot starts a process and sees it through its init phase.
func (h *Host) boot(ctx context.Context, f *function) (*process, error) {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil, errClosed
	}
	p, err := h.startProcess(f) //nolint:contextcheck // a process outlives the call that needed it
	if err == nil {
		f.alive[p] = true
		f.stats.ColdStarts++
	}
	h.mu.Unlock()
	if err != nil {
		return nil, h.hold(f, &Error{Type: "Runtime.InvalidEntrypoint", Message: err.Error()})
	}
	timer := time.NewTimer(initTimeout)
	defer timer.Stop()
	select {
	case <-p.asked:
		h.mu.Lock()
		f.failures, f.holdError = 0, nil
		h.mu.Unlock()
		return p, nil
	case e := <-p.failed:
		p.kill("init failed")
		<-p.exited
		return nil, h.hold(f, e)
	case <-p.exited:
		e := &Error{Type: "Runtime.ExitError", Message: "init: Runtime exited with error: " + p.end(), Said: p.lastLine()}
		if p.wasKilled() {
			return nil, e // the host closed: no sign that the next start would fail
		}
		return nil, h.hold(f, e)
	case <-timer.C:
		p.kill("init timed out")
		<-p.exited
		return nil, h.hold(f, &Error{Type: "Sandbox.Timedout", Message: fmt.Sprintf("init: timed out after %v", initTimeout)})
	case <-ctx.Done():
		p.kill("no longer wanted")
		return nil, ctx.Err()
	case <-h.done:
		return nil, errClosed
	}
}

// hold remembers a failed init, so that callers in a loop do not start
// processes that cannot work one after the other.
func (h *Host) hold(f *function, e *Error) *Error {
	h.mu.Lock()
	f.failures++
	pause := min(firstHold<<min(f.failures-1, 10), longestHold)
	f.holdUntil, f.holdError = time.Now().Add(pause), e
	h.mu.Unlock()
	h.logf("%s | init failed: %s %s", f.Name, e.Type, firstLine(e.Message))
	return e
}

// release puts a process that waits for an event among the idle ones.
func (h *Host) release(p *process) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p.fn.alive[p] {
		p.fn.idle = append(p.fn.idle, p)
	}
}

// forget drops a process that ended.
func (h *Host) forget(p *process) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(p.fn.alive, p)
	p.fn.idle = slices.DeleteFunc(p.fn.idle, func(q *process) bool { return q == p })
}

// Close kills every process and returns when all are gone.
func (h *Host) Close() {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return
	}
	h.closed = true
	var all []*process
	for _, f := range h.functions {
		all = slices.AppendSeq(all, maps.Keys(f.alive))
	}
	h.mu.Unlock()
	close(h.done)
	for _, p := range all {
		p.kill("the host is closing")
	}
	h.wait.Wait()
	h.spawner.close()
}

// environment is what a bootstrap sees: the platform's reserved variables and
// the function's own, nothing of the host's.
// (AWS Lambda Developer Guide, "Defined runtime environment variables".)
func (h *Host) environment(f *function, api string) []string {
	memory := f.MemoryMB
	if memory <= 0 {
		memory = 128
	}
	env := map[string]string{
		"PATH":     "/usr/local/bin:/usr/bin:/bin:/opt/bin",
		"LANG":     "en_US.UTF-8",
		"TZ":       ":UTC",
		"_HANDLER": f.Handler,

		"AWS_REGION":         h.region,
		"AWS_DEFAULT_REGION": h.region,
	}
	maps.Copy(env, f.Environment)
	maps.Copy(env, map[string]string{
		"AWS_EXECUTION_ENV":               "AWS_Lambda_provided.al2023",
		"AWS_LAMBDA_FUNCTION_NAME":        f.FullName,
		"AWS_LAMBDA_FUNCTION_VERSION":     latest,
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": fmt.Sprint(memory),
		"AWS_LAMBDA_INITIALIZATION_TYPE":  "on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME":       "/aws/lambda/" + f.FullName,
		"AWS_LAMBDA_LOG_STREAM_NAME":      time.Now().UTC().Format("2006/01/02") + "/[" + latest + "]" + newHex(16),
		"AWS_LAMBDA_RUNTIME_API":          api,
		"LAMBDA_TASK_ROOT":                f.dir,
		"LAMBDA_RUNTIME_DIR":              f.dir,
	})
	list := make([]string, 0, len(env))
	for _, k := range slices.Sorted(maps.Keys(env)) {
		list = append(list, k+"="+env[k])
	}
	return list
}

func newHex(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// newTrace is an X-Ray trace header, not sampled.
func newTrace() string {
	return fmt.Sprintf("Root=1-%08x-%s;Parent=%s;Sampled=0", time.Now().Unix(), newHex(12), newHex(8))
}

func firstLine(s string) string {
	first, _, _ := strings.Cut(s, "\n")
	return first
}
