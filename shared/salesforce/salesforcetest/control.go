package salesforcetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
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
	"lock-row":             {actionUpdate},
	"lock-row-nested":      {actionUpdate}, // the lock reported from inside a trigger
	"row-refused":          {actionUpdate}, // another validation rule of the org
	"cpu-limit":            {actionUpdate}, // a trigger of the org ran out of CPU time
}

// Fault queues one fault: of the faults of an action whose Match fits, the
// first one that is left applies.
func (s *Sim) Fault(f Fault) error {
	actions, ok := faultsOf[f.Fault]
	if !ok {
		return fmt.Errorf("unknown fault %q", f.Fault)
	}
	if f.Action != actionToken && f.Action != actionQuery && f.Action != actionUpdate {
		return fmt.Errorf("unknown action %q", f.Action)
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
	if full, ok := order.To18(f.Match); ok {
		f.Match = full
	}
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

const maxControlBody = 4 << 20

func (s *Sim) control(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.EscapedPath(), "/_sim/")
	name, rest, _ := strings.Cut(path, "/")
	switch {
	case name == "orders" && rest != "" && !strings.Contains(rest, "/"):
		id, err := url.PathUnescape(rest)
		if err != nil {
			refuse(w, http.StatusBadRequest, "the id is badly escaped")
			return
		}
		s.controlOrder(w, r, id)
	case path == "journal" && r.Method == http.MethodGet:
		answer(w, http.StatusOK, s.Journal())
	case path == "faults" && r.Method == http.MethodGet:
		answer(w, http.StatusOK, s.left())
	case path == "faults" && r.Method == http.MethodPost:
		s.controlFault(w, r)
	case path == "faults" && r.Method == http.MethodDelete:
		s.ClearFaults()
		answer(w, http.StatusOK, map[string]bool{"ok": true})
	case path == "reset" && r.Method == http.MethodPost:
		s.Reset()
		answer(w, http.StatusOK, map[string]bool{"ok": true})
	case path == "journal" || path == "faults" || path == "reset":
		refuse(w, http.StatusMethodNotAllowed, "method not allowed")
	default:
		refuse(w, http.StatusNotFound, "no such control route")
	}
}

func (s *Sim) controlOrder(w http.ResponseWriter, r *http.Request, id string) {
	if _, err := order.ParseID(id); err != nil {
		refuse(w, http.StatusBadRequest, fmt.Sprintf("%.40q is not an Order id", id))
		return
	}
	switch r.Method {
	case http.MethodGet:
		v, ok := s.Order(id)
		if !ok {
			refuse(w, http.StatusNotFound, "no such order")
			return
		}
		answer(w, http.StatusOK, v)
	case http.MethodPut:
		var seed Seed
		if err := readJSON(r, &seed); err != nil {
			refuse(w, http.StatusBadRequest, err.Error())
			return
		}
		if err := s.PutOrder(id, seed); err != nil {
			refuse(w, http.StatusBadRequest, err.Error())
			return
		}
		answer(w, http.StatusOK, map[string]bool{"ok": true})
	case http.MethodDelete:
		if !s.DeleteOrder(id) {
			refuse(w, http.StatusNotFound, "no such order")
			return
		}
		answer(w, http.StatusOK, map[string]bool{"ok": true})
	default:
		refuse(w, http.StatusMethodNotAllowed, "method not allowed")
	}
}

func (s *Sim) controlFault(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Action  string `json:"action"`
		Fault   string `json:"fault"`
		Times   *int   `json:"times"`
		DelayMs int64  `json:"delayMs"`
		Match   any    `json:"match"`
	}
	if err := readJSON(r, &in); err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	f := Fault{Action: in.Action, Fault: in.Fault, Times: 1, Delay: time.Duration(in.DelayMs) * time.Millisecond}
	if in.Times != nil {
		if f.Times = *in.Times; f.Times < 1 {
			refuse(w, http.StatusBadRequest, "times must be 1 or more")
			return
		}
	}
	if in.Match != nil {
		f.Match = fmt.Sprint(in.Match)
	}
	if err := s.Fault(f); err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	answer(w, http.StatusOK, map[string]bool{"ok": true})
}

func readJSON(r *http.Request, into any) error {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxControlBody+1))
	if err != nil {
		return fmt.Errorf("the body cannot be read: %w", err)
	}
	if len(body) > maxControlBody {
		return errors.New("the body is too large")
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("the body is not the JSON object expected: %w", err)
	}
	return nil
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client may be gone
}

func refuse(w http.ResponseWriter, status int, why string) {
	answer(w, status, map[string]string{"error": why})
}
