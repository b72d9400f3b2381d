package salesforcetest

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	"orderbridge/shared/order"
)

// Options describe the simulated org. The zero value of each member has a
// sensible default, except the credentials: an empty one is refused.
type Options struct {
	// ClientID and ClientSecret are the External Client App's. Both empty:
	// client credentials are refused.
	ClientID, ClientSecret string
	// Username and PublicKey are for the JWT bearer grant (with ClientID as
	// issuer). A nil key: that grant is refused.
	Username  string
	PublicKey *rsa.PublicKey
	// OrgID is the org's id, 15 or 18 characters (default 00Dxx0000000001EAA).
	OrgID string
	// Saw is told of each call once it has been answered, or its connection
	// cut, with what a fault's Match may name to fit it. nil = nobody is told.
	Saw func(c Call, about map[string]bool)
	// Now is the clock (default time.Now).
	Now func() time.Time
	// DailyLimit is the number of API calls in 24 hours (default 1,000,000).
	DailyLimit int
	// PageSize and ChildPageSize are the rows of one page of a query and of one
	// page of a subquery (defaults 2000 and 200).
	PageSize, ChildPageSize int
	// SessionLife ends a token that old; 0 = never.
	SessionLife time.Duration
	// NoRule: the org lacks the validation rule that refuses an older status.
	NoRule bool
}

// Sim is the simulated org. It is safe for concurrent use.
type Sim struct {
	opt Options

	mu       sync.Mutex
	schema   map[string]*object
	orders   map[string]*record // by 18-character id
	items    map[string]*record
	deleted  map[string]bool
	sessions map[string]time.Time // token -> issued
	cursors  map[string]*cursor
	serial   int
	journal  []*Call
	faults   []*armed
	used     int // API calls in the running 24 hours
	limit    int
	calls    int // API calls since the last reset
	logins   int
}

// Call is one call in the journal.
type Call struct {
	At     time.Time      `json:"at"`
	Action string         `json:"action"` // token, query or update
	Params map[string]any `json:"params"` // without credentials
	Fault  string         `json:"fault,omitempty"`
	Effect string         `json:"effect"` // what was committed or answered
}

// New returns an org without orders.
func New(o Options) (*Sim, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.OrgID == "" {
		o.OrgID = "00Dxx0000000001"
	}
	full, ok := order.To18(o.OrgID)
	if !ok || !strings.HasPrefix(full, "00D") {
		return nil, fmt.Errorf("org id %q is not an organization id", o.OrgID)
	}
	o.OrgID = full
	if o.DailyLimit == 0 {
		o.DailyLimit = 1_000_000
	}
	if o.PageSize == 0 {
		o.PageSize = 2000
	}
	if o.ChildPageSize == 0 {
		o.ChildPageSize = 200
	}
	if o.DailyLimit < 1 || o.PageSize < 1 || o.ChildPageSize < 1 {
		return nil, errors.New("a limit or page size is negative")
	}
	s := &Sim{opt: o}
	s.Reset()
	return s, nil
}

// Reset forgets orders, journal, faults, sessions and the API usage.
func (s *Sim) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.schema = newSchema()
	s.orders = map[string]*record{}
	s.items = map[string]*record{}
	s.deleted = map[string]bool{}
	s.sessions = map[string]time.Time{}
	s.cursors = map[string]*cursor{}
	s.journal, s.faults = nil, nil
	s.used, s.calls, s.logins = 0, 0, 0
	s.limit = s.opt.DailyLimit
}

// Journal returns the vendor calls so far, oldest first.
func (s *Sim) Journal() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Call, len(s.journal))
	for i, c := range s.journal {
		all[i] = *c
		all[i].Params = maps.Clone(c.Params)
	}
	return all
}

// APICalls returns how many calls counted against the API limit since the last
// reset: every authenticated one, a composite being one; logins do not count.
func (s *Sim) APICalls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

// Logins returns how many token requests came since the last reset, refused
// ones included.
func (s *Sim) Logins() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logins
}

// SetUsage sets the API calls used of the limit in the running 24 hours.
func (s *Sim) SetUsage(used, limit int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used, s.limit = used, limit
}

// ExpireSessions makes every token issued so far invalid.
func (s *Sim) ExpireSessions() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.sessions)
}

// Access is what the integration user may do with a field.
type Access int

// The accesses of field-level security.
const (
	AccessNone Access = iota // the field does not exist for this user
	AccessRead
	AccessEdit
)

// SetAccess changes field-level security; it reports whether object and field
// exist. Raising a read-only system field to AccessEdit has no effect.
func (s *Sim) SetAccess(objectName, fieldName string, a Access) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.schema[strings.ToLower(objectName)]
	if !ok {
		return false
	}
	f, ok := o.fields[strings.ToLower(fieldName)]
	if ok {
		f.access = a
	}
	return ok
}

// ServeHTTP implements http.Handler: the vendor's routes, and /_sim/ to set up
// and to inspect the org.
func (s *Sim) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/_sim/") {
		s.control(w, r)
		return
	}
	s.vendor(w, r)
}
