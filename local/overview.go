package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/salesforce/salesforcetest"
	"orderbridge/shared/store"
	"orderbridge/shared/whmcs/whmcstest"
)

// overview is everything that the console page shows beside one order.
func (c *console) overview(w http.ResponseWriter, r *http.Request) {
	all := c.s.sims.books(r.Context())
	all["functions"] = c.s.host.Stats()
	queues := []map[string]any{}
	for _, q := range c.s.model.Queues {
		n := c.s.queues.ByARN(q.ARN).Counts()
		queues = append(queues, map[string]any{"id": q.ID, "waiting": n.Visible + n.Delayed, "inFlight": n.InFlight})
	}
	all["queues"] = queues
	sides := map[string]any{}
	for _, side := range []order.Side{order.SideWHMCS, order.SideSalesforce} {
		control, err := c.table.Control(r.Context(), side)
		if err != nil {
			refuse(w, http.StatusServiceUnavailable, "the table does not answer: "+string(fault.CodeOf(err)))
			return
		}
		sides[string(side)] = map[string]any{"paused": control.Paused, "reason": control.Reason, "by": control.By, "openUntil": moment(control.OpenUntil), "why": control.Why, "unanswered": control.Unanswered(time.Now())}
	}
	all["sides"] = sides
	all["faults"] = map[string]any{"whmcs": c.faults(r.Context(), c.s.sims.whmcs), "salesforce": c.faults(r.Context(), c.s.sims.salesforce)}
	all["faultNames"] = map[string]any{"whmcs": whmcstest.FaultNames(), "salesforce": salesforcetest.FaultNames()}
	all["alarms"] = c.s.alarms()
	all["demo"] = c.s.settings.demo
	answer(w, all)
}

func (c *console) faults(ctx context.Context, sim http.Handler) json.RawMessage {
	if status, body := call(ctx, sim, http.MethodGet, "/_sim/faults", ""); status == http.StatusOK {
		return body
	}
	return json.RawMessage("[]")
}

func moment(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t
}

// timeline is what happened to one order, and where it is now.
func (c *console) timeline(w http.ResponseWriter, r *http.Request) {
	id, err := order.ParseID(r.PathValue("id"))
	if err != nil {
		refuse(w, http.StatusBadRequest, "that is not an Order id: 801, then 12 letters or digits, then 3 check characters")
		return
	}
	all, record, there := c.s.events.timeline(id.String())
	if all == nil {
		all = []event{}
	}
	out := map[string]any{"id": id.String(), "events": all}
	if there {
		out["item"] = store.ItemOf(record)
		out["review"] = record.State == order.Failed && record.ErrorCode.Info().Review
	}
	answer(w, out)
}

// simulator hands a request to a simulator's own control routes, which listen
// on other ports: a page may call its own origin alone.
func (c *console) simulator(w http.ResponseWriter, r *http.Request) {
	sim := map[string]http.Handler{"whmcs": c.s.sims.whmcs, "salesforce": c.s.sims.salesforce}[r.PathValue("vendor")]
	if sim == nil {
		refuse(w, http.StatusNotFound, "the simulators are whmcs and salesforce")
		return
	}
	r.URL.Path = "/_sim/" + r.PathValue("route")
	sim.ServeHTTP(w, r)
}

// operations are the verbs of orderctl that the page may run. They are those of
// the on-call engineer; the page says who it is.
var operations = []string{"pause", "resume", "resolve", "retry", "push", "redrive", "show"}

// operateLimit bounds one run of orderctl.
const operateLimit = time.Minute

// operate runs orderctl, so that the page does what an engineer does and says
// what an engineer reads.
func (c *console) operate(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Args []string `json:"args"`
	}
	if !readBody(w, r, &in) {
		return
	}
	if len(in.Args) == 0 || !slices.Contains(operations, in.Args[0]) {
		refuse(w, http.StatusBadRequest, "args must begin with one of "+strings.Join(operations, ", "))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), operateLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(c.s.bin, "orderctl"), in.Args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	for _, kv := range c.s.exports() {
		cmd.Env = append(cmd.Env, kv[0]+"="+kv[1])
	}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
	case err != nil:
		refuse(w, http.StatusInternalServerError, "orderctl could not be run: make build builds it")
		return
	}
	answer(w, map[string]any{"code": cmd.ProcessState.ExitCode(), "said": strings.TrimSpace(said.String())})
}

// watchCallouts tells each callout of an order: what was sent, and what was
// answered.
func (s *system) watchCallouts(apis http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, callout := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, "/orders/"), "/fulfill")
		parsed, err := order.ParseID(id)
		if !callout || err != nil || r.Method != http.MethodPost {
			apis.ServeHTTP(w, r)
			return
		}
		at := time.Now()
		seen := &answered{ResponseWriter: w}
		apis.ServeHTTP(seen, r)
		headers := map[string]string{}
		for _, name := range []string{"X-SF-Signature", "X-SF-Timestamp", "X-SF-Nonce", "Idempotency-Key", "Prefer"} {
			if v := r.Header.Get(name); v != "" {
				headers[name] = v
			}
		}
		code, text := seen.says()
		headers["checks"] = checked(code)
		s.events.add(event{At: at, Order: parsed.String(), Source: atCallout, Title: fmt.Sprintf("answered %d", seen.status), Text: text, Bad: seen.status >= http.StatusBadRequest, Data: headers})
	})
}

// answered keeps what was answered to a callout.
type answered struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (a *answered) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

func (a *answered) Write(b []byte) (int, error) {
	a.body.Write(b)
	return a.ResponseWriter.Write(b)
}

// says is the code of a refusal, and the answer in a few words.
func (a *answered) says() (code, text string) {
	var out struct{ Status, Code, Detail, Message any }
	_ = json.Unmarshal(a.body.Bytes(), &out) // whatever it is, the status was said
	switch {
	case out.Code != nil:
		return fmt.Sprint(out.Code), fmt.Sprintf("%v: %v", out.Code, out.Detail)
	case out.Message != nil:
		return "", fmt.Sprint(out.Message)
	case out.Status != nil:
		return "", fmt.Sprint(out.Status)
	}
	return "", ""
}

// checks are those of a callout, in their order, each with the codes by which
// it refuses (contract/openapi.yaml).
var checks = []struct {
	name  string
	codes []fault.Code
}{
	{"source address", []fault.Code{fault.SourceNotAllowed}},
	{"signature", []fault.Code{fault.BodyTooLarge, fault.SignatureMissing, fault.SignatureInvalid}},
	{"timestamp", []fault.Code{fault.TimestampInvalid, fault.TimestampOutOfWindow}},
	{"nonce", []fault.Code{fault.NonceInvalid}},
	{"body", []fault.Code{fault.ContentTypeUnsupported, fault.BodyMalformed}},
	{"headers signed", []fault.Code{fault.HeadersNotSigned}},
	{"organization", []fault.Code{fault.OrgNotAllowed}},
	{"order id", []fault.Code{fault.OrderIDInvalid, fault.OrderIDMismatch}},
	{"idempotency key", []fault.Code{fault.IdempotencyKeyMissing}},
	{"nonce not used before", []fault.Code{fault.NonceReplayed, fault.TooManyRequests}},
}

// checked says which checks a callout passed, and which one refused it.
func checked(code string) string {
	var said []string
	for _, c := range checks {
		if slices.Contains(c.codes, fault.Code(code)) {
			return strings.Join(append(said, c.name+" refused"), ", ")
		}
		said = append(said, c.name+" ok")
	}
	return strings.Join(said, ", ")
}
