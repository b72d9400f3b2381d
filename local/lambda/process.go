package lambda

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is one sandbox: a bootstrap and the Runtime API that it talks to.
type process struct {
	fn  *function
	api *http.Server
	cmd *exec.Cmd

	next   chan *invocation // the event handed to a waiting process
	asked  chan struct{}    // one signal each time it asks for the next event
	failed chan *Error      // its own report that it could not start
	exited chan struct{}    // closed once it is gone and reaped

	mu      sync.Mutex
	gone    bool
	current *invocation
	waiting bool
	why     string // what killed it, when that was us
	status  string // how it ended
	said    string // its last line
}

// startProcess starts a bootstrap; it is in its init phase when this returns.
func (h *Host) startProcess(fn *function) (*process, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("open a runtime api for %s: %w", fn.Name, err)
	}
	p := &process{
		fn:     fn,
		next:   make(chan *invocation),
		asked:  make(chan struct{}, 1),
		failed: make(chan *Error, 1),
		exited: make(chan struct{}),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", p.handleNext)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/response", p.handleResponse)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/error", p.handleError)
	mux.HandleFunc("POST /2018-06-01/runtime/init/error", p.handleInitError)
	p.api = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}

	cmd := exec.Command(fn.Bootstrap) //nolint:noctx // its life is the host's: see kill
	cmd.Dir = fn.dir
	cmd.Env = h.environment(fn, l.Addr().String())
	out := &lineWriter{write: func(line string) {
		p.mu.Lock()
		p.said = line
		p.mu.Unlock()
		h.logf("%s | %s", fn.Name, line)
	}}
	cmd.Stdout, cmd.Stderr = out, out // one pipe: lines keep their order
	if err := h.spawner.run(cmd); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("start %s: %w", fn.Name, err)
	}
	p.cmd = cmd
	go func() { _ = p.api.Serve(l) }() // ends when the process does
	h.wait.Go(func() {
		waitNoReap(cmd.Process.Pid)
		p.mu.Lock()
		p.gone = true
		// The group may hold what the bootstrap started; its id is ours until
		// the leader is reaped.
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		p.mu.Unlock()
		err := cmd.Wait()
		out.flush()
		p.mu.Lock()
		p.status = "exit status 0"
		if err != nil {
			p.status = err.Error()
		}
		p.mu.Unlock()
		_ = p.api.Close()
		close(p.exited)
		h.forget(p)
	})
	return p, nil
}

// kill ends the process and its group at once, stopped or not.
func (p *process) kill(why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone {
		return
	}
	if p.why == "" {
		p.why = why
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
}

// wasKilled tells whether it ended because the host ended it.
func (p *process) wasKilled() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.why != ""
}

// end tells how the process ended; to be called after exited is closed.
func (p *process) end() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.why != "" {
		return p.why
	}
	return p.status
}

// lastLine is the last line that it printed.
func (p *process) lastLine() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said
}

func (p *process) handleNext(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	if p.waiting {
		p.mu.Unlock()
		refuse(w, http.StatusForbidden, "InvalidStateTransition", "the next event was already asked for")
		return
	}
	p.waiting = true
	p.current = nil
	if !p.gone {
		// Frozen until there is an event, as the platform freezes a sandbox:
		// what a function left running in the background stands still, and its
		// idle connections grow old.
		_ = syscall.Kill(p.cmd.Process.Pid, syscall.SIGSTOP)
	}
	p.mu.Unlock()
	select {
	case p.asked <- struct{}{}:
	default:
	}
	select {
	case inv := <-p.next:
		p.mu.Lock()
		p.waiting = false
		p.current = inv
		if !p.gone {
			_ = syscall.Kill(p.cmd.Process.Pid, syscall.SIGCONT)
		}
		p.mu.Unlock()
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Lambda-Runtime-Aws-Request-Id", inv.id)
		h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(inv.deadline.UnixMilli(), 10))
		h.Set("Lambda-Runtime-Invoked-Function-Arn", p.fn.ARN)
		h.Set("Lambda-Runtime-Trace-Id", inv.trace)
		h.Set("Content-Length", strconv.Itoa(len(inv.payload)))
		_, _ = w.Write(inv.payload) // a process that died ends the invocation
	case <-p.exited:
	case <-r.Context().Done():
		p.mu.Lock()
		p.waiting = false
		p.mu.Unlock()
	}
}

// take returns the invocation that the process may answer, if id names it.
func (p *process) take(id string) *invocation {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current == nil || p.current.id != id {
		return nil
	}
	return p.current
}

func (p *process) handleResponse(w http.ResponseWriter, r *http.Request) {
	inv := p.take(r.PathValue("id"))
	if inv == nil {
		refuse(w, http.StatusBadRequest, "InvalidRequestID", "no such invocation is running here")
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, MaxPayload+1))
	if err != nil {
		return // the process died while it answered: its end is the answer
	}
	if len(body) > MaxPayload {
		inv.finish(nil, &Error{Type: "Function.ResponseSizeTooLarge", Message: fmt.Sprintf("Response payload size exceeded maximum allowed payload size (%d bytes).", MaxPayload)})
		refuse(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", "the response is too large")
		return
	}
	inv.finish(body, nil)
	accepted(w)
}

func (p *process) handleError(w http.ResponseWriter, r *http.Request) {
	inv := p.take(r.PathValue("id"))
	if inv == nil {
		refuse(w, http.StatusBadRequest, "InvalidRequestID", "no such invocation is running here")
		return
	}
	inv.finish(nil, readError(r))
	accepted(w)
}

func (p *process) handleInitError(w http.ResponseWriter, r *http.Request) {
	select {
	case p.failed <- readError(r):
	default:
	}
	accepted(w)
}

func readError(r *http.Request) *Error {
	body, _ := io.ReadAll(io.LimitReader(r.Body, MaxPayload))
	var e struct {
		Type    string `json:"errorType"`
		Message string `json:"errorMessage"`
	}
	if err := json.Unmarshal(body, &e); err != nil || e.Type == "" {
		e.Type = r.Header.Get("Lambda-Runtime-Function-Error-Type")
	}
	if e.Type == "" {
		e.Type = "Unhandled"
	}
	return &Error{Type: e.Type, Message: e.Message, Payload: body}
}

func accepted(w http.ResponseWriter) {
	answer(w, http.StatusAccepted, map[string]string{"status": "OK"})
}

func refuse(w http.ResponseWriter, status int, kind, message string) {
	answer(w, status, json.RawMessage(errorBody(kind, message)))
}

// errorBody is how Lambda describes a failure.
func errorBody(kind, message string) []byte {
	b, _ := json.Marshal(map[string]string{"errorType": kind, "errorMessage": message}) // texts alone
	return b
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a client that went away is no error
}

// lineWriter cuts what a process prints into lines. exec.Cmd writes to it from
// one goroutine.
type lineWriter struct {
	write func(string)
	rest  []byte
}

// maxLine bounds what is kept of one line; the platform cuts at 256 KB.
const maxLine = 256 << 10

func (w *lineWriter) Write(b []byte) (int, error) {
	w.rest = append(w.rest, b...)
	for {
		i := bytes.IndexByte(w.rest, '\n')
		if i < 0 && len(w.rest) < maxLine {
			return len(b), nil
		}
		cut := i + 1
		if i < 0 {
			i, cut = maxLine, maxLine
		}
		w.write(strings.TrimSuffix(string(w.rest[:i]), "\r"))
		w.rest = append(w.rest[:0], w.rest[cut:]...)
	}
}

// flush hands on a last line that has no end.
func (w *lineWriter) flush() {
	if len(w.rest) > 0 {
		w.write(string(w.rest))
		w.rest = nil
	}
}
