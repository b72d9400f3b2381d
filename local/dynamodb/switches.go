package dynamodb

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"orderbridge/local/awsjson"
)

// Bounds of what can be set over HTTP.
const (
	maxIndexLag     = 2 * time.Second
	maxLatency      = 30 * time.Second
	maxControlBytes = 1 << 16
)

// Fault is a fault that hits the next requests of an operation.
type Fault struct {
	// Op is an operation ("UpdateItem"), or "*" for any.
	Op string `json:"op"`
	// Times is how many requests it hits.
	Times int `json:"times"`
	// Match limits it to requests whose body holds this text; empty means all.
	Match string `json:"match,omitempty"`
	// Error, for throttling only, is ProvisionedThroughputExceededException
	// (also when empty) or ThrottlingException.
	Error string `json:"error,omitempty"`
	// RetryAfterMs, for throttling only, is sent in the header
	// X-Amz-Retry-After if it is not 0: the SDK then waits that many
	// milliseconds before its next try, 5,000 at most.
	RetryAfterMs int64 `json:"retryAfterMs,omitempty"`
}

func (f Fault) throttled() error {
	e := &awsjson.Error{Type: prefixDynamo + throughputExceeded, Message: "The level of configured provisioned throughput for the table was exceeded."}
	if f.Error == throttling {
		e = &awsjson.Error{Type: "com.amazon.coral.availability#" + throttling, Message: "Throughput exceeds the current capacity of your table or index."}
	}
	if f.RetryAfterMs > 0 {
		e.Header = map[string]string{"X-Amz-Retry-After": strconv.FormatInt(f.RetryAfterMs, 10)}
	}
	return e
}

// faultPoint is where in a request a fault strikes.
type faultPoint string

const (
	pointThrottle    faultPoint = "throttle"    // refused, nothing written
	pointServerError faultPoint = "serverError" // 500, nothing written
	pointLoseRequest faultPoint = "loseRequest" // connection closed, nothing written
	pointLoseReply   faultPoint = "loseReply"   // written, connection closed
)

const (
	throughputExceeded = "ProvisionedThroughputExceededException"
	throttling         = "ThrottlingException"
)

// Settings are the switches that hold until they are set again.
type Settings struct {
	IndexLag   time.Duration // the indexes show a write only this long after it, by the DB's clock
	StaleIndex bool          // the indexes go on showing entries that were removed or moved
	Latency    time.Duration // of every answer
	TTLOff     bool          // items do not expire
}

// Switches are what emulators hide and the real service does: an index that
// lags or still shows what has left it, throttling, replies lost after the
// commit, errors, latency. All of it is off at first.
type Switches struct {
	mu     sync.Mutex
	set    Settings
	faults map[faultPoint][]Fault
}

// Reset puts all switches back.
func (s *Switches) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set, s.faults = Settings{}, nil
}

// Set changes the settings.
func (s *Switches) Set(change func(*Settings)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.set)
}

// Get returns the settings.
func (s *Switches) Get() Settings {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.set
}

// Throttle refuses requests as a table does that is over its throughput.
func (s *Switches) Throttle(f Fault) { s.add(pointThrottle, f) }

// ServerError answers requests with InternalServerError; nothing is written.
func (s *Switches) ServerError(f Fault) { s.add(pointServerError, f) }

// LoseRequest closes the connection of requests before anything is written.
func (s *Switches) LoseRequest(f Fault) { s.add(pointLoseRequest, f) }

// LoseReply closes the connection of requests that succeeded, after the commit.
func (s *Switches) LoseReply(f Fault) { s.add(pointLoseReply, f) }

// add queues a fault; times 0 takes the operation's faults of this point away.
func (s *Switches) add(point faultPoint, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.Times <= 0 {
		s.faults[point] = slices.DeleteFunc(s.faults[point], func(g Fault) bool { return g.Op == f.Op })
		return
	}
	if s.faults == nil {
		s.faults = map[faultPoint][]Fault{}
	}
	s.faults[point] = append(s.faults[point], f)
}

// strike uses up one of the faults that fit; ok is false if none does.
func (s *Switches) strike(point faultPoint, operation, body string) (f Fault, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, g := range s.faults[point] {
		if g.Op != "*" && g.Op != operation || !strings.Contains(body, g.Match) {
			continue
		}
		if s.faults[point][i].Times--; s.faults[point][i].Times == 0 {
			s.faults[point] = slices.Delete(s.faults[point], i, i+1)
		}
		return g, true
	}
	return Fault{}, false
}

// State is how the switches stand, and what was consumed.
type State struct {
	IndexLagMs  int64                    `json:"indexLagMs"`
	StaleIndex  bool                     `json:"staleIndex"`
	LatencyMs   int64                    `json:"latencyMs"`
	TTL         bool                     `json:"ttl"`
	Throttle    []Fault                  `json:"throttle"`
	ServerError []Fault                  `json:"serverError"`
	LoseRequest []Fault                  `json:"loseRequest"`
	LoseReply   []Fault                  `json:"loseReply"`
	Consumed    map[string]TableConsumed `json:"consumed"`
}

// State returns how the switches stand and what was consumed.
func (db *DB) State() State {
	s := db.switches
	s.mu.Lock()
	defer s.mu.Unlock()
	list := func(p faultPoint) []Fault { return append([]Fault{}, s.faults[p]...) }
	return State{
		IndexLagMs:  s.set.IndexLag.Milliseconds(),
		StaleIndex:  s.set.StaleIndex,
		LatencyMs:   s.set.Latency.Milliseconds(),
		TTL:         !s.set.TTLOff,
		Throttle:    list(pointThrottle),
		ServerError: list(pointServerError),
		LoseRequest: list(pointLoseRequest),
		LoseReply:   list(pointLoseReply),
		Consumed:    db.Consumed(),
	}
}

// control is the body of POST; what is absent stays as it is.
type control struct {
	IndexLagMs    *int64 `json:"indexLagMs"`
	StaleIndex    *bool  `json:"staleIndex"`
	LatencyMs     *int64 `json:"latencyMs"`
	TTL           *bool  `json:"ttl"`
	Throttle      *Fault `json:"throttle"`
	ServerError   *Fault `json:"serverError"`
	LoseRequest   *Fault `json:"loseRequest"`
	LoseReply     *Fault `json:"loseReply"`
	ResetConsumed bool   `json:"resetConsumed"`
	Sweep         bool   `json:"sweep"`
	Mark          bool   `json:"mark"`
	Back          bool   `json:"back"`
}

// Control returns the handler of the local control route: GET gives the State,
// POST a JSON object with the members that are to change (an unknown member, a
// wrong type or a value out of range is 400, and then nothing changes), DELETE
// resets the switches. Each answers with the State.
func (db *DB) Control() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodGet, http.MethodHead:
		case http.MethodDelete:
			db.switches.Reset()
		case http.MethodPost:
			if err := db.control(http.MaxBytesReader(w, r.Body, maxControlBytes)); err != nil {
				respond(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
				return
			}
		default:
			w.Header().Set("Allow", "GET, POST, DELETE")
			respond(w, http.StatusMethodNotAllowed, map[string]string{"error": "use GET, POST or DELETE"})
			return
		}
		respond(w, http.StatusOK, db.State())
	})
}

func respond(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// The status is out: a client that went away is no error.
	_ = json.NewEncoder(w).Encode(body)
}

func (db *DB) control(body io.Reader) error {
	dec := json.NewDecoder(body)
	dec.DisallowUnknownFields()
	var c *control
	if err := dec.Decode(&c); err != nil {
		return fmt.Errorf("read switches: %w", err)
	}
	if c == nil {
		return fmt.Errorf("read switches: no object")
	}
	if _, err := dec.Token(); err != io.EOF {
		return fmt.Errorf("read switches: more than one object")
	}
	if err := c.check(); err != nil {
		return err
	}
	db.switches.Set(func(s *Settings) {
		if c.IndexLagMs != nil {
			s.IndexLag = time.Duration(*c.IndexLagMs) * time.Millisecond
		}
		if c.StaleIndex != nil {
			s.StaleIndex = *c.StaleIndex
		}
		if c.LatencyMs != nil {
			s.Latency = time.Duration(*c.LatencyMs) * time.Millisecond
		}
		if c.TTL != nil {
			s.TTLOff = !*c.TTL
		}
	})
	for point, f := range c.faults() {
		if f != nil {
			db.switches.add(point, *f)
		}
	}
	if c.ResetConsumed {
		db.ResetConsumed()
	}
	if c.Sweep {
		db.Sweep()
	}
	if c.Mark {
		db.mark()
	}
	if c.Back {
		return db.back()
	}
	return nil
}

func (c *control) faults() map[faultPoint]*Fault {
	return map[faultPoint]*Fault{
		pointThrottle: c.Throttle, pointServerError: c.ServerError,
		pointLoseRequest: c.LoseRequest, pointLoseReply: c.LoseReply,
	}
}

func (c *control) check() error {
	for name, limit := range map[string]struct {
		ms  *int64
		max time.Duration
	}{"indexLagMs": {c.IndexLagMs, maxIndexLag}, "latencyMs": {c.LatencyMs, maxLatency}} {
		if limit.ms != nil && (*limit.ms < 0 || *limit.ms > limit.max.Milliseconds()) {
			return fmt.Errorf("%s must be from 0 to %d", name, limit.max.Milliseconds())
		}
	}
	for point, f := range c.faults() {
		switch {
		case f == nil:
		case f.Op != "*" && find("DynamoDB_20120810."+f.Op) == nil && find("DynamoDBStreams_20120810."+f.Op) == nil:
			return fmt.Errorf("%s: unknown op %q", point, f.Op)
		case f.Times < 0:
			return fmt.Errorf("%s: times must not be negative", point)
		case f.Error != "" && (point != pointThrottle || f.Error != throughputExceeded && f.Error != throttling):
			return fmt.Errorf("%s: unknown error %q", point, f.Error)
		case f.RetryAfterMs != 0 && point != pointThrottle, f.RetryAfterMs < 0, f.RetryAfterMs > maxLatency.Milliseconds():
			return fmt.Errorf("%s: retryAfterMs is for throttle, from 0 to %d", point, maxLatency.Milliseconds())
		}
	}
	return nil
}
