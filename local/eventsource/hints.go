package eventsource

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// Hints are the switches that make hints unreliable, as they are in the cloud
// and never are on a quiet machine: doubled, late and lost. The zero value
// delivers each hint once, at once; no write and no answer is ever harmed. Its
// methods are safe for concurrent use.
type Hints struct {
	mu  sync.Mutex
	set HintSettings
}

// HintSettings of the switches; Doubled, Lost and Refused are
// probabilities from 0 to 1.
type HintSettings struct {
	Doubled float64 `json:"doubled"`
	LateMs  int     `json:"lateMs"` // each hint is late by 0 to this
	Lost    float64 `json:"lost"`
	Refused float64 `json:"refused,omitempty"` // the queue refuses the pipe, which tries again
}

// Set replaces all switches.
func (h *Hints) Set(s HintSettings) error {
	if s.Doubled < 0 || s.Doubled > 1 || s.Lost < 0 || s.Lost > 1 || s.Refused < 0 || s.Refused > 1 || s.LateMs < 0 || s.LateMs > 900_000 {
		return fmt.Errorf("set hints: want doubled, lost and refused from 0 to 1, lateMs from 0 to 900000")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.set = s
	return nil
}

// Get returns the switches.
func (h *Hints) Get() HintSettings {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.set
}

// Lost decides whether the next hint is lost.
func (h *Hints) Lost() bool { return rand.Float64() < h.Get().Lost }

// Refused decides whether the queue refuses the next batch.
func (h *Hints) Refused() bool { return rand.Float64() < h.Get().Refused }

// Doubled decides whether the next hint comes twice.
func (h *Hints) Doubled() bool { return rand.Float64() < h.Get().Doubled }

// Late decides by how much the next hint is late.
func (h *Hints) Late() time.Duration {
	if ms := h.Get().LateMs; ms > 0 {
		return time.Duration(rand.IntN(ms+1)) * time.Millisecond
	}
	return 0
}

// ServeHTTP sets the switches from a JSON body (members left out become 0) and
// answers with what holds; GET only answers.
func (h *Hints) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		var s HintSettings
		err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4096)).Decode(&s)
		if errors.Is(err, io.EOF) {
			err = nil
		}
		if err == nil {
			err = h.Set(s)
		}
		if err != nil {
			respond(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
			return
		}
	}
	respond(w, http.StatusOK, h.Get())
}

func respond(w http.ResponseWriter, status int, body any) {
	b, err := json.Marshal(body)
	if err != nil {
		status, b = http.StatusInternalServerError, nil
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(b)
}
