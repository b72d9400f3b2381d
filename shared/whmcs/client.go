package whmcs

import (
	"cmp"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"orderbridge/shared/fault"
)

// MarkerNotes, as Config.Marker, keeps the marker in the order's notes.
const MarkerNotes = "notes"

// Deps are what the client needs from outside.
type Deps struct {
	// Credentials is asked before each call, so that a rotated secret is taken
	// up.
	Credentials func(context.Context) (Credentials, error)
	Log         *slog.Logger
	Now         func() time.Time
	// Called, if not nil, is told of each call that was made or tried, by
	// WHMCS's name of the action; err is what the caller gets.
	Called func(action string, err error)
	// Dial replaces the TCP dialler, for tests; nil = net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// TLS is the base of the TLS settings; nil = the system's roots.
	TLS *tls.Config
}

// Config is how one WHMCS installation is called.
type Config struct {
	// BaseURL is the address of WHMCS, with the sub-path it lives under, if
	// any; "includes/api.php" is added. http is for loopback alone (the caller
	// sees to that).
	BaseURL string
	// Marker is MarkerNotes, or the id of the product custom field that keeps
	// the marker. Custom fields belong to one product: with several products
	// it is their ids, separated by commas; WHMCS ignores those of others.
	Marker string
	// Zero takes the default: 30 s, 60 s, 120 s. AddTimeout and AcceptTimeout
	// bound an effect whose send window names no time-out.
	ReadTimeout, AddTimeout, AcceptTimeout time.Duration
	// RequirePayMethod makes Client ask for a stored pay method.
	RequirePayMethod bool
}

// Credentials is what WHMCS asks for with each call. AccessKey may be empty;
// when set it stands for an allowed IP address (configuration.php,
// $api_access_key).
type Credentials struct {
	fault.Hidden
	Identifier, Secret, AccessKey string
}

// SecretMembers lists what the WHMCS secret may hold; accessKey may be absent.
func SecretMembers() []string { return []string{"identifier", "secret", "accessKey"} }

// ParseCredentials takes the members of the WHMCS secret. The error says what
// is missing, and quotes nothing.
func ParseCredentials(members map[string]string) (Credentials, error) {
	c := Credentials{Identifier: members["identifier"], Secret: members["secret"], AccessKey: members["accessKey"]}
	switch {
	case c.Identifier == "":
		return Credentials{}, errors.New("has no identifier")
	case c.Secret == "":
		return Credentials{}, errors.New("has no secret")
	}
	return c, nil
}

// Client calls one WHMCS. It is safe for concurrent use.
type Client struct {
	cfg    Config
	deps   Deps
	api    *url.URL
	fields []string // ids of the marker's custom fields; none = notes
	reads  *http.Client

	mu        sync.Mutex
	version   version
	versionAt time.Time // zero = not read yet
	odds      map[string]int
	choices   map[int64]choices // by product
	used      time.Time         // when the last answer to a read came
	newest    int64             // the highest order id seen since newestAt
	newestAt  time.Time         // zero = none was seen
	skew      time.Duration     // of WHMCS's clock, by the Date of the last answer to a read
	dated     bool              // that answer had a Date
}

// Time-outs and limits.
const (
	// connectTimeout covers dial and TLS handshake together.
	connectTimeout = 10 * time.Second
	// userTimeout is how long the kernel sends bytes of an effect again that
	// the peer does not acknowledge. Without it the kernel could deliver them
	// minutes after the send window.
	userTimeout = 20 * time.Second
	// maxBody bounds an answer: 100 orders with their fraud reports stay below.
	maxBody = 4 << 20
	// maxHead bounds the status line and headers of an effect's answer.
	maxHead = 64 << 10
	// idle is shorter than the keep-alive of the usual front ends (Apache 5 s,
	// nginx 65 s), so that few reads meet a connection that is being closed.
	idle = 4 * time.Second
)

// New returns a client, or an error that says what is wrong with cfg.
func New(deps Deps, cfg Config) (*Client, error) {
	if deps.Credentials == nil || deps.Log == nil || deps.Now == nil {
		return nil, errors.New("whmcs: credentials, logger and clock are needed")
	}
	base, err := url.Parse(cfg.BaseURL)
	if err != nil {
		return nil, errors.New("whmcs: the base URL cannot be parsed")
	}
	if base.Scheme != "https" && base.Scheme != "http" || base.Hostname() == "" || base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		return nil, errors.New("whmcs: the base URL must be http(s)://host[/path] without user, query and fragment")
	}
	c := &Client{cfg: cfg, deps: deps, odds: map[string]int{}, choices: map[int64]choices{}}
	c.api = base.JoinPath("includes", "api.php")
	if cfg.Marker != MarkerNotes {
		for id := range strings.SplitSeq(cfg.Marker, ",") {
			n, ok := phpInteger(strings.TrimSpace(id))
			if !ok || n <= 0 {
				return nil, fmt.Errorf("whmcs: the marker must be %q or custom field ids, not %q", MarkerNotes, cfg.Marker)
			}
			c.fields = append(c.fields, strconv.FormatInt(n, 10))
		}
	}
	if min(cfg.ReadTimeout, cfg.AddTimeout, cfg.AcceptTimeout) < 0 {
		return nil, errors.New("whmcs: a time-out is negative")
	}
	c.cfg.ReadTimeout = cmp.Or(cfg.ReadTimeout, 30*time.Second)
	c.cfg.AddTimeout = cmp.Or(cfg.AddTimeout, 60*time.Second)
	c.cfg.AcceptTimeout = cmp.Or(cfg.AcceptTimeout, 120*time.Second)
	if c.deps.Dial == nil {
		c.deps.Dial = (&net.Dialer{Timeout: connectTimeout}).DialContext
	}
	c.reads = &http.Client{
		// A redirect would carry the credentials to another address.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:                  nil,
			DialContext:            c.deps.Dial,
			TLSClientConfig:        deps.TLS.Clone(),
			TLSHandshakeTimeout:    connectTimeout,
			MaxIdleConnsPerHost:    2,
			IdleConnTimeout:        idle,
			MaxResponseHeaderBytes: maxHead,
		},
	}
	if c.deps.Called == nil {
		c.deps.Called = func(string, error) {}
	}
	return c, nil
}

// Close drops the idle connections of the reads.
func (c *Client) Close() { c.reads.CloseIdleConnections() }

// clock returns the time without a monotonic reading, which stands still in a
// frozen sandbox.
func (c *Client) clock() time.Time { return c.deps.Now().Round(0) }

// sign returns the fields that name the caller. They go into the body alone,
// because proxies and servers log URLs.
func (c *Client) sign(ctx context.Context) (form, error) {
	k, err := c.deps.Credentials(ctx)
	if err != nil {
		return nil, err
	}
	f := form{{"identifier", k.Identifier}, {"secret", k.Secret}}
	if k.AccessKey != "" {
		f.set("accesskey", k.AccessKey)
	}
	f.set("responsetype", "json")
	return f, nil
}

// read makes one read and returns the answer's object, or an error with a
// fault code.
func (c *Client) read(ctx context.Context, action string, params form) (_ object, err error) {
	defer func() { c.deps.Called(action, err) }()
	ctx, cancel := context.WithTimeout(ctx, c.cfg.ReadTimeout)
	defer cancel()
	signed, err := c.sign(ctx)
	if err != nil {
		return nil, withCode(err)
	}
	body := append(signed, params...)
	body.set("action", action)
	started := c.deps.Now()
	a, err := c.post(ctx, body.encode())
	if err != nil {
		c.deps.Log.WarnContext(ctx, "whmcs read lost", "action", action, "took", c.deps.Now().Sub(started), "error", err.Error())
		return nil, lost(action, err)
	}
	if err := readError(action, a, c.odd("reads", a, oddReads)); err != nil {
		c.deps.Log.WarnContext(ctx, "whmcs read refused", "action", action, "status", a.status, "took", c.deps.Now().Sub(started), "code", fault.CodeOf(err), "text", a.refusal())
		return nil, err
	}
	c.deps.Log.DebugContext(ctx, "whmcs read", "action", action, "status", a.status, "took", c.deps.Now().Sub(started))
	return a.body, nil
}

// How many answers in a row that are none of WHMCS's API are a fault of the
// installation. Reads come several in one run; effects minutes apart.
const (
	oddReads   = 3
	oddEffects = 2
)

// odd counts the answers of one kind of call in a row that are none of the API,
// and reports whether there are as many as limit. One that says of itself that
// it passes counts for nothing.
func (c *Client) odd(kind string, a answer, limit int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case a.isAPI():
		delete(c.odds, kind)
	case a.odd():
		c.odds[kind]++
	}
	return c.odds[kind] >= limit
}

// post sends one read, and a second time on a fresh connection if it failed on
// a reused one before any answer.
func (c *Client) post(ctx context.Context, body string) (answer, error) {
	c.mu.Lock()
	// The transport's own timer stands still in a frozen sandbox: a connection
	// that rested for long by the wall clock may be dead without a sign of it.
	rested := !c.used.IsZero() && c.clock().Sub(c.used) > idle
	c.mu.Unlock()
	if rested {
		c.reads.CloseIdleConnections()
	}
	defer func() {
		c.mu.Lock()
		c.used = c.clock()
		c.mu.Unlock()
	}()
	for again := false; ; again = true {
		reused := false
		trace := &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused }}
		req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), http.MethodPost, c.api.String(), strings.NewReader(body))
		if err != nil {
			return answer{}, errors.New("the request cannot be built")
		}
		setHeader(req)
		if again {
			c.reads.CloseIdleConnections()
		}
		began := c.clock()
		res, err := c.reads.Do(req)
		if err != nil {
			if reused && !again && ctx.Err() == nil {
				continue
			}
			var u *url.Error
			if errors.As(err, &u) {
				err = u.Err
			}
			return answer{}, err
		}
		c.noteDate(res.Header.Get("Date"), began, c.clock())
		return readAnswer(res)
	}
}

// noteDate compares the Date of an answer with our clock. Date is cut to the
// second and was written between began and ended; what that leaves open is no skew.
func (c *Client) noteDate(text string, began, ended time.Time) {
	date, err := http.ParseTime(text)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dated = err == nil
	c.skew = 0
	switch {
	case !c.dated:
	case date.After(ended):
		c.skew = date.Sub(ended)
	case began.Sub(date) > time.Second:
		c.skew = date.Add(time.Second).Sub(began)
	}
}

func setHeader(req *http.Request) {
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "orderbridge")
}

// readAnswer reads one answer to its end, or to maxBody: what is longer counts
// as no JSON.
func readAnswer(res *http.Response) (answer, error) {
	defer res.Body.Close()
	var body io.Reader = res.Body
	// The transport of the reads decodes what it asked for. An effect asks for no
	// encoding and may meet a front end that compresses all the same.
	if e := res.Header.Get("Content-Encoding"); !res.Uncompressed && (strings.EqualFold(e, "gzip") || strings.EqualFold(e, "x-gzip")) {
		z, err := gzip.NewReader(body)
		if err != nil {
			return answer{}, fmt.Errorf("read compressed answer: %w", err)
		}
		body = z
	}
	b, err := io.ReadAll(io.LimitReader(body, maxBody+1))
	if err != nil {
		return answer{}, fmt.Errorf("read answer: %w", err)
	}
	a := answer{status: res.StatusCode}
	if l, err := res.Location(); err == nil {
		a.location = (&url.URL{Scheme: l.Scheme, Host: l.Host, Path: l.Path}).String()
	}
	if len(b) <= maxBody {
		a.body, a.disputed = decode(b)
	}
	if a.body == nil {
		a.page = describe(b)
	}
	return a, nil
}

// withCode gives an error of the credentials' source a code. One that has none
// becomes whmcs_secret_unavailable.
func withCode(err error) error {
	var e *fault.Error
	if errors.As(err, &e) {
		return err
	}
	return fault.Wrap(fault.WHMCSSecretUnavailable, err)
}
