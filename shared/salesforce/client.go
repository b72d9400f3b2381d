package salesforce

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"orderbridge/shared/fault"
)

// Config says which org is spoken to and how.
type Config struct {
	// LoginURL is scheme and host of the token endpoint: the org's My Domain,
	// or, for the JWT bearer grant alone, login. or test.salesforce.com.
	LoginURL string
	// APIVersion like "67.0".
	APIVersion string
	// OrgID is the only org that is spoken to (15 or 18 characters; compared by
	// the first 15); empty = any.
	OrgID string
	// Optional names fields that an org may have; the zero value asks for none.
	Optional Optional
	// Timeout of one call; 0 = 30 s.
	Timeout time.Duration
}

// Deps are what the client needs from outside.
type Deps struct {
	// HTTP makes the calls. Its CheckRedirect is replaced: a redirect is never
	// followed, because the bearer token would travel along.
	HTTP *http.Client
	// Credentials returns the current credentials; called before each login.
	Credentials func(context.Context) (Credentials, error)
	// Now is the wall clock, without a monotonic reading, which stands still
	// while a sandbox is frozen.
	Now func() time.Time
	Log *slog.Logger
	// Called, if not nil, is told of each call that was made or tried: the
	// resource of the API (query, composite, sobjects, tooling) or token.
	Called func(action string, err error)
	// Usage, if not nil, is told the org's API usage after each call that
	// states it (Sforce-Limit-Info).
	Usage func(Usage)
}

// Client speaks to one org. It is safe for concurrent use; one per process, so
// that there is one token.
type Client struct {
	cfg  Config
	deps Deps
	http *http.Client

	login   chan struct{} // holds one value: the right to log in
	mu      sync.Mutex
	session *session
	logins  bucket
	refused error     // the last login's config error
	until   time.Time // refused is answered without a call until then
	brake   brake
	used    time.Time // when the last answer came
	odd     int       // answers in a row that were none of the API
	org     string    // of the first session: a later one belongs to the same
}

const (
	defaultTimeout = 30 * time.Second
	// idleMost is how long a connection may rest before it is not trusted any
	// more: a sandbox that was frozen meanwhile finds it dead, and the call
	// would be lost on it.
	idleMost = 20 * time.Second
	// dialTimeout bounds the TLS handshake; an org that is near takes 50 ms.
	dialTimeout = 10 * time.Second
	// connections that one process keeps to the org; its calls are few and
	// follow one another.
	connections = 4
)

// maxBody is the largest answer that is read, in bytes. A page of 2,000 orders
// and the describe of Order stay well below.
const maxBody = 4 << 20

var (
	apiName    = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,79}$`)
	apiVersion = regexp.MustCompile(`^[1-9][0-9]\.0$`)
)

// New returns a client, or an error that names what is wrong with cfg.
func New(deps Deps, cfg Config) (*Client, error) {
	if deps.HTTP == nil || deps.Credentials == nil || deps.Now == nil || deps.Log == nil {
		return nil, errors.New("salesforce client: HTTP, Credentials, Now and Log are needed")
	}
	if _, err := baseURL(cfg.LoginURL, cfg.LoginURL); err != nil {
		return nil, fault.New(fault.ConfigurationInvalid, "SF_LOGIN_URL is not the address of a token endpoint")
	}
	if !apiVersion.MatchString(cfg.APIVersion) {
		return nil, fault.New(fault.ConfigurationInvalid, "SF_API_VERSION must be like 67.0")
	}
	o := cfg.Optional
	for _, name := range []string{o.CustomFields, o.ConfigOptions, o.Domain, o.Hostname, o.PromoCode} {
		if name != "" && !apiName.MatchString(name) {
			return nil, fault.New(fault.ConfigurationInvalid, fmt.Sprintf("SF_OPTIONAL_FIELDS: %.60q is not the API name of a field", name))
		}
	}
	cfg.Timeout = cmp.Or(cfg.Timeout, defaultTimeout)
	cfg.LoginURL = strings.TrimRight(cfg.LoginURL, "/")
	h := *deps.HTTP
	h.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if deps.Called == nil {
		deps.Called = func(string, error) {}
	}
	c := &Client{cfg: cfg, deps: deps, http: &h, login: make(chan struct{}, 1)}
	c.login <- struct{}{}
	return c, nil
}

// Connect is New for a function at its start. A login host that the
// credentials cannot use is refused now, not with the first order
// (configuration_invalid, naming SF_LOGIN_URL); a secret that cannot be read
// now may be later, and is only logged. A nil d.HTTP becomes a client of its
// own that goes by no proxy of the environment.
func Connect(ctx context.Context, d Deps, c Config) (*Client, error) {
	if cred, err := d.Credentials(ctx); err == nil {
		if err := ValidateGrant(c.LoginURL, cred); err != nil {
			return nil, err
		}
	} else {
		d.Log.WarnContext(ctx, "Salesforce secret not read at start", "code", string(fault.CodeOf(err)), "error", err)
	}
	if d.HTTP == nil {
		d.HTTP = &http.Client{Transport: &http.Transport{
			ForceAttemptHTTP2: true, MaxConnsPerHost: connections, TLSHandshakeTimeout: dialTimeout,
		}}
	}
	return New(d, c)
}

// data makes one call of the data API and decodes its answer into out. path
// begins behind the instance, e.g. "/services/data/v67.0/query?q=…".
// It logs in first where there is no token, and once more where the org says
// that the token has ended.
func (c *Client) data(ctx context.Context, method, path string, body, out any) error {
	s, err := c.token(ctx, nil)
	if err != nil {
		return err
	}
	err = c.call(ctx, s, method, path, body, out)
	if fault.CodeOf(err) != fault.SalesforceSession {
		return err
	}
	if s, err = c.token(ctx, s); err != nil {
		return err
	}
	return c.call(ctx, s, method, path, body, out)
}

func (c *Client) call(ctx context.Context, s *session, method, path string, body, out any) (err error) {
	defer func() { c.deps.Called(resource(path), err) }()
	var payload io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return fault.Wrap(fault.Internal, fmt.Errorf("encode request: %w", err))
		}
		payload = bytes.NewReader(b)
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, s.instance+path, payload)
	if err != nil {
		return fault.Wrap(fault.Internal, errors.New("build request"))
	}
	r.Header.Set("Authorization", "Bearer "+s.token)
	r.Header.Set("Accept", "application/json")
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	status, header, raw, err := c.exchange(r)
	if err != nil {
		return err
	}
	// The refusal of a row that the answer does not name is no refusal of any
	// order: the call is tried again, and the log shows what was refused.
	err = c.counted(status, raw, classify(status, header.Get("Location"), raw, fault.SalesforceUnavailable))
	c.usage(header.Get("Sforce-Limit-Info"), err)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return unreadable(status, raw)
	}
	return nil
}

// resource names what a path of the data API is of: the part behind the version.
func resource(path string) string {
	path, _, _ = strings.Cut(path, "?")
	if parts := strings.Split(path, "/"); len(parts) > 4 {
		return parts[4]
	}
	return "other"
}

// oddMost is how many answers in a row that are none of the API's are a fault of
// the installation; fewer may be a front end's bad minute.
const oddMost = 3

// counted returns err, as salesforce_misconfigured where it is the last of a row
// of answers that came from something other than the API. A server's own fault
// passes, and breaks no row.
func (c *Client) counted(status int, raw []byte, err error) error {
	isJSON := json.Valid(raw)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case isJSON:
		c.odd = 0
	case status/100 != 5 && status != http.StatusTooManyRequests && len(raw) > 0, status/100 == 3:
		c.odd++
	}
	var e *fault.Error
	if c.odd < oddMost || !errors.As(err, &e) {
		return err
	}
	odd := *e
	odd.Code, odd.Seen = fault.SalesforceMisconfigured, "Something other than the API of Salesforce answers the bridge."
	return &odd
}

// exchange makes one HTTP call and reads its answer up to maxBody. Errors are
// salesforce_unavailable: whether the call took effect is not known, and every
// call here may be repeated.
func (c *Client) exchange(r *http.Request) (int, http.Header, []byte, error) {
	c.mu.Lock()
	rested := !c.used.IsZero() && c.deps.Now().Sub(c.used) > idleMost
	c.mu.Unlock()
	if rested {
		c.http.CloseIdleConnections()
	}
	resp, err := c.http.Do(r)
	c.mu.Lock()
	c.used = c.deps.Now()
	c.mu.Unlock()
	if err != nil {
		return 0, nil, nil, &fault.Error{Code: fault.SalesforceUnavailable, Vendor: "no answer" + inTime(err), Err: fmt.Errorf("call %s: %w", r.URL.Path, withoutURL(err))}
	}
	defer func() { _ = resp.Body.Close() }() // read to its end or given up
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return 0, nil, nil, fault.Wrap(fault.SalesforceUnavailable, fmt.Errorf("read answer of %s: %w", r.URL.Path, err))
	}
	if len(raw) > maxBody {
		return 0, nil, nil, fault.Wrap(fault.SalesforceUnavailable, fmt.Errorf("answer of %s is larger than %d bytes", r.URL.Path, maxBody))
	}
	return resp.StatusCode, resp.Header, raw, nil
}

// inTime says in a few words why there was no answer; "" = not known.
func inTime(err error) string {
	var name *net.DNSError
	var timeout net.Error
	switch {
	case errors.As(err, &name):
		return ": its name cannot be resolved"
	case errors.Is(err, syscall.ECONNREFUSED):
		return ": the connection was refused"
	case errors.As(err, &timeout) && timeout.Timeout():
		return " in time"
	}
	return ""
}

// withoutURL drops the URL from a net/http error: a query holds order ids, and
// the path is named already.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

func (c *Client) base() string { return "/services/data/v" + c.cfg.APIVersion }
