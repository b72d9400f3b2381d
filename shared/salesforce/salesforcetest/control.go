package salesforcetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"orderbridge/shared/order"
)

// Fault is one entry of the fault queue.
type Fault struct {
	Action string // token, query or update
	Fault  string
	Times  int           // 0 counts as 1
	Delay  time.Duration // from the arrival of the call
	// Match restricts the fault to calls (for row faults: to rows) of one
	// order: a Salesforce order id, a WHMCS order id or a WHMCS client id.
	Match string
}

type armed struct {
	Fault
	left int
}

const (
	actionToken  = "token"
	actionQuery  = "query"
	actionUpdate = "update"
)

// faultsOf lists the fault names and the actions they apply to.
var faultsOf = map[string][]string{
	"drop-before":          {actionToken, actionQuery, actionUpdate},
	"http-500":             {actionToken, actionQuery, actionUpdate},
	"html-503":             {actionToken, actionQuery, actionUpdate},
	"blank-200":            {actionToken, actionQuery, actionUpdate},
	"commit-then-drop":     {actionToken, actionQuery, actionUpdate},
	"commit-after-timeout": {actionToken, actionQuery, actionUpdate},
	"slow":                 {actionToken, actionQuery, actionUpdate},
	"bad-credentials":      {actionToken},
	"forbidden-ip":         {actionToken},
	"role-denied":          {actionToken, actionQuery, actionUpdate}, // a lost permission
	"limit-exceeded":       {actionQuery, actionUpdate},
	"session-expired":      {actionQuery, actionUpdate},
	"page-401":             {actionQuery, actionUpdate},
	"page-403":             {actionToken, actionQuery, actionUpdate},
	"moved":                {actionToken, actionQuery, actionUpdate}, // to another instance or My Domain
	"bad-oauth-token":      {actionQuery, actionUpdate},
	"url-not-reset":        {actionQuery, actionUpdate},
	"column-missing":       {actionQuery},
	"version-unknown":      {actionQuery, actionUpdate},
	"version-retired":      {actionQuery, actionUpdate},
	"login-rate":           {actionToken},
	"no-run-as-user":       {actionToken},
	"other-domain":         {actionToken},
	"app-blocked":          {actionToken},
	"lock-row":             {actionUpdate},
	"lock-row-nested":      {actionUpdate}, // the lock reported from inside a trigger
	"row-refused":          {actionUpdate}, // another validation rule of the org
	"cpu-limit":            {actionUpdate}, // a trigger of the org ran out of CPU time
	"lock-row-flow":        {actionUpdate}, // the lock reported from inside a flow
	"record-unavailable":   {actionUpdate}, // the lock in the words that people are shown
	"soql-limit":           {actionUpdate}, // a managed package ran out of queries
	"row-unknown":          {actionUpdate}, // a code that no document lists
	"row-hidden":           {actionUpdate}, // the user may not edit this record
	"row-cross-reference":  {actionUpdate}, // nor one that it refers to
	"row-type":             {actionUpdate}, // a field of another type, told of the row
}

// Fault queues one fault: of the faults of an action whose Match fits, the
// first one that is left applies.
func (s *Sim) Fault(f Fault) error {
	actions, ok := faultsOf[f.Fault]
	if !ok {
		return fmt.Errorf("unknown fault %q: the faults are %s", f.Fault, strings.Join(slices.Sorted(maps.Keys(faultsOf)), ", "))
	}
	if f.Action != actionToken && f.Action != actionQuery && f.Action != actionUpdate {
		return fmt.Errorf("unknown action %q: the actions are %s, %s, %s", f.Action, actionToken, actionQuery, actionUpdate)
	}
	if !slices.Contains(actions, f.Action) {
		return fmt.Errorf("fault %q does not apply to action %q", f.Fault, f.Action)
	}
	if f.Times < 0 || f.Delay < 0 {
		return errors.New("times and delayMs must not be negative")
	}
	if f.Times == 0 {
		f.Times = 1
	}
	f.Match = long(f.Match)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &armed{f, f.Times})
	return nil
}

// left lists the faults that have not been used up.
func (s *Sim) left() []map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []map[string]any{}
	for _, a := range s.faults {
		all = append(all, map[string]any{"action": a.Action, "fault": a.Fault.Fault, "times": a.left, "delayMs": a.Delay.Milliseconds(), "match": a.Match})
	}
	return all
}

// ClearFaults empties the fault queue.
func (s *Sim) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// take uses up one fault for a call of action that concerns subjects.
func (s *Sim) take(action string, subjects map[string]bool) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, a := range s.faults {
		if a.Action != action || a.Match != "" && !subjects[a.Match] {
			continue
		}
		a.left--
		f := a.Fault
		if a.left == 0 {
			s.faults = slices.Delete(s.faults, i, i+1)
		}
		return &f
	}
	return nil
}

// control answers a route under /_sim/.
func (s *Sim) control(w http.ResponseWriter, r *http.Request) {
	status, v := s.controlRoute(r)
	if err, bad := v.(error); bad {
		v = map[string]string{"error": err.Error()}
	}
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client may be gone
}

var done = map[string]bool{"ok": true}

// doneOr answers a change that was asked for.
func doneOr(err error) (int, any) {
	if err != nil {
		return http.StatusBadRequest, err
	}
	return http.StatusOK, done
}

func (s *Sim) controlRoute(r *http.Request) (int, any) {
	path := strings.TrimPrefix(r.URL.Path, "/_sim/")
	if id, ok := strings.CutPrefix(path, "orders/"); ok {
		return s.controlOrder(r, id)
	}
	switch path + " " + r.Method {
	case "journal GET":
		return http.StatusOK, s.Journal()
	case "faults GET":
		return http.StatusOK, s.left()
	case "faults POST":
		return doneOr(s.controlFault(r))
	case "faults DELETE":
		s.ClearFaults()
		return http.StatusOK, done
	case "reset POST":
		s.Reset()
		return http.StatusOK, done
	case "usage POST":
		var in struct{ Used, Limit int }
		if err := readJSON(r, &in); err != nil || in.Limit < 1 || in.Used < 0 {
			return http.StatusBadRequest, errors.New("want used and limit, the API calls of the running 24 hours")
		}
		s.SetUsage(in.Used, in.Limit)
		return http.StatusOK, done
	}
	if path == "journal" || path == "faults" || path == "reset" || path == "usage" {
		return http.StatusMethodNotAllowed, errors.New("method not allowed")
	}
	return http.StatusNotFound, errors.New("no such control route")
}

func (s *Sim) controlOrder(r *http.Request, id string) (int, any) {
	if _, err := order.ParseID(id); err != nil {
		return http.StatusBadRequest, fmt.Errorf("%.40q is not an Order id", id)
	}
	switch r.Method {
	case http.MethodGet:
		if v, ok := s.Order(id); ok {
			return http.StatusOK, v
		}
		return http.StatusNotFound, errors.New("no such order")
	case http.MethodPut:
		var seed Seed
		if err := readJSON(r, &seed); err != nil {
			return http.StatusBadRequest, err
		}
		return doneOr(s.PutOrder(id, seed))
	case http.MethodDelete:
		if s.DeleteOrder(id) {
			return http.StatusOK, done
		}
		return http.StatusNotFound, errors.New("no such order")
	}
	return http.StatusMethodNotAllowed, errors.New("method not allowed")
}

func (s *Sim) controlFault(r *http.Request) error {
	var in struct {
		Action  string `json:"action"`
		Fault   string `json:"fault"`
		Times   *int   `json:"times"`
		DelayMs int64  `json:"delayMs"`
		Match   any    `json:"match"`
	}
	if err := readJSON(r, &in); err != nil {
		return err
	}
	f := Fault{Action: in.Action, Fault: in.Fault, Delay: time.Duration(in.DelayMs) * time.Millisecond}
	if in.Times != nil {
		if f.Times = *in.Times; f.Times < 1 {
			return errors.New("times must be 1 or more")
		}
	}
	if in.Match != nil {
		f.Match = fmt.Sprint(in.Match)
	}
	return s.Fault(f)
}

func readJSON(r *http.Request, into any) error {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxControlBody))
	if err != nil {
		return fmt.Errorf("the body cannot be read: %w", err)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("the body is not the JSON object expected: %w", err)
	}
	return nil
}

// maxControlBody is what is read of a body, in bytes; a longer one is no JSON.
const maxControlBody = 4 << 20

// FaultNames returns the names that Fault takes, each with its actions.
func FaultNames() map[string][]string {
	all := map[string][]string{}
	for name, actions := range faultsOf {
		all[name] = slices.Clone(actions)
	}
	return all
}
