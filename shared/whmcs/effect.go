package whmcs

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

const (
	addOrder    = "AddOrder"
	acceptOrder = "AcceptOrder"
)

// maxInputVars is PHP's default of max_input_vars. PHP drops the fields beyond
// it without an error, and action is the last field of an effect.
const maxInputVars = 1000

// Add sends one AddOrder for plan, with the marker of id, inside window, and
// returns the WHMCS order id. It is one attempt. The errors:
//
//   - *fault.NotSent: no byte of the request left (credentials not to be had,
//     dial or TLS failed, the window was over);
//   - *fault.Refused: WHMCS answered that it did nothing: one of the
//     installation's codes (whmcs_ip_denied, whmcs_credentials_refused,
//     whmcs_role_denied, whmcs_misconfigured), whmcs_client_not_found,
//     whmcs_client_closed or whmcs_rejected with WHMCS's text;
//   - *fault.Unsure: anything else; the order may exist now or later.
func (c *Client) Add(ctx context.Context, window order.SendWindow, id order.ID, plan order.Plan) (_ string, err error) {
	defer func() { c.deps.Called(addOrder, err) }()
	if id.IsZero() || plan.ClientID <= 0 || len(plan.Entries) == 0 {
		return "", &fault.Refused{Err: fault.New(fault.OrderEmpty, "")}
	}
	marked, rest := c.addForm(id, plan)
	a, err := c.effect(ctx, window, c.cfg.AddTimeout, addOrder, marked, rest)
	if err != nil {
		return "", err
	}
	if err := addError(a, c.odd(addOrder, a, oddEffects)); err != nil {
		return "", err
	}
	created := a.body.id("orderid")
	if created == "" {
		return "", &fault.Unsure{Err: &fault.Error{Code: fault.WHMCSUnavailable, Seen: "WHMCS says that it made the order, and names none.", Vendor: a.observed(addOrder), Advice: searches, Err: errNoID}}
	}
	c.saw(order.BillingOrder{ID: created}.Number())
	return created, nil
}

// Accept sends one AcceptOrder for a WHMCS order, with autosetup, inside window.
// It is one attempt. nil means that WHMCS answered success, which does not say
// that the services exist. The errors are those of Add, of which Refused holds
// state_changed ("Order ID not found or Status not Pending": a read decides),
// module_failed with the module's text, or one of the installation's codes.
func (c *Client) Accept(ctx context.Context, window order.SendWindow, whmcsOrderID string) (err error) {
	defer func() { c.deps.Called(acceptOrder, err) }()
	n, ok := phpInteger(whmcsOrderID)
	if !ok || n <= 0 {
		return &fault.NotSent{Err: fault.Wrap(fault.Internal, errors.New("not a WHMCS order id"))}
	}
	a, err := c.effect(ctx, window, c.cfg.AcceptTimeout, acceptOrder, nil, form{number("orderid", n), {"autosetup", "1"}})
	if err != nil {
		return err
	}
	return acceptError(a, c.odd(acceptOrder, a, oddEffects))
}

// addForm returns the fields that carry the marker, which go first, and the
// others of AddOrder.
func (c *Client) addForm(id order.ID, plan order.Plan) (marked, rest form) {
	column := func(of func(order.PlanEntry) string) []string {
		all := make([]string, len(plan.Entries))
		for i, e := range plan.Entries {
			all[i] = of(e)
		}
		return all
	}
	fields := column(func(e order.PlanEntry) string {
		if len(c.fields) == 0 {
			return customFields(e.CustomFields)
		}
		with := map[string]string{}
		maps.Copy(with, e.CustomFields)
		for _, f := range c.fields {
			with[f] = id.Marker()
		}
		return customFields(with)
	})
	if len(c.fields) == 0 {
		marked.set("notes", id.Marker())
		rest.array("customfields", fields)
	} else {
		marked.array("customfields", fields)
	}
	rest = append(rest, number("clientid", plan.ClientID), field{"paymentmethod", plan.PaymentMethod})
	rest.array("pid", column(func(e order.PlanEntry) string { return strconv.FormatInt(e.ProductID, 10) }))
	rest.array("qty", column(func(e order.PlanEntry) string { return strconv.Itoa(e.Quantity) }))
	rest.array("billingcycle", column(func(e order.PlanEntry) string { return string(e.Cycle) }))
	rest.array("domain", column(func(e order.PlanEntry) string { return e.Domain }))
	rest.array("hostname", column(func(e order.PlanEntry) string { return e.Hostname }))
	rest.array("configoptions", column(func(e order.PlanEntry) string { return configOptions(e.ConfigOptions) }))
	if plan.PromoCode != "" {
		rest.set("promocode", plan.PromoCode)
	}
	// Customers hear from the portal, and are invoiced by Salesforce.
	return marked, append(rest, field{"noinvoice", "1"}, field{"noemail", "1"})
}

// effect sends one effect over a connection of its own and reads the answer.
// The body has the marker first and action last, so that a request cut short
// does nothing. The connection is closed, and nothing runs on, when it returns.
func (c *Client) effect(ctx context.Context, window order.SendWindow, standard time.Duration, action string, marked, rest form) (answer, error) {
	timeout := window.Timeout
	if timeout <= 0 {
		timeout = standard
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	started := c.deps.Now()

	signed, err := c.sign(ctx)
	if err != nil {
		return answer{}, &fault.NotSent{Err: withCode(err)}
	}
	body := append(append(append(form{}, marked...), signed...), rest...)
	body.set("action", action)
	if len(body) > maxInputVars {
		return answer{}, &fault.Refused{Err: &fault.Error{Code: fault.WHMCSRejected, Seen: "The order has more lines than WHMCS takes at once, about 100.", Advice: "Split it, then click again."}}
	}
	request, err := c.render(body.encode())
	if err != nil {
		return answer{}, &fault.NotSent{Err: fault.Wrap(fault.Internal, err)}
	}

	a, wrote, err := c.exchange(ctx, window.Until, request)
	switch {
	case err == nil:
		level := slog.LevelDebug // the run's line names the action
		if !a.isAPI() || a.refusal() != "" {
			level = slog.LevelInfo
		}
		c.deps.Log.Log(ctx, level, "whmcs effect answered", "action", action, "status", a.status, "took", c.deps.Now().Sub(started), "text", a.refusal())
		return a, nil
	case !wrote:
		c.deps.Log.WarnContext(ctx, "whmcs effect not sent", "action", action, "took", c.deps.Now().Sub(started), "error", err.Error())
		e := lost(action, err)
		e.Seen = "Nothing was sent to WHMCS."
		return answer{}, &fault.NotSent{Err: e}
	default:
		c.deps.Log.WarnContext(ctx, "whmcs effect unanswered", "action", action, "took", c.deps.Now().Sub(started), "error", err.Error())
		e := lost(action, err)
		e.Seen, e.Advice = "The answer of WHMCS was lost: it may have done what was asked.", searches
		return answer{}, &fault.Unsure{Err: e}
	}
}

// render returns the whole request as bytes: no layer between it and the
// connection can send it a second time.
func (c *Client) render(body string) ([]byte, error) {
	req, err := http.NewRequest(http.MethodPost, c.api.String(), strings.NewReader(body))
	if err != nil {
		return nil, errors.New("the request cannot be built")
	}
	req.GetBody = nil
	req.Close = true
	setHeader(req)
	var b bytes.Buffer
	if err := req.Write(&b); err != nil {
		return nil, errors.New("the request cannot be built")
	}
	return b.Bytes(), nil
}

// exchange dials, sends request and reads the answer. wrote reports whether
// any byte of the request was given to the connection.
func (c *Client) exchange(ctx context.Context, until time.Time, request []byte) (a answer, wrote bool, err error) {
	left := until.Sub(c.clock())
	if left <= 0 {
		return answer{}, false, errWindow
	}
	dialing, cancel := context.WithTimeout(ctx, min(connectTimeout, left))
	defer cancel()
	port := cmp.Or(c.api.Port(), map[string]string{"http": "80", "https": "443"}[c.api.Scheme])
	inner, err := c.deps.Dial(dialing, "tcp", net.JoinHostPort(c.api.Hostname(), port))
	if err != nil {
		return answer{}, false, fmt.Errorf("dial: %w", err)
	}
	g := &windowConn{Conn: inner, until: until, clock: c.clock}
	if s, ok := inner.(syscall.Conn); ok {
		raw, err := s.SyscallConn()
		if err == nil {
			err = limitUnacknowledged(raw, userTimeout)
		}
		if err != nil {
			g.abort()
			return answer{}, false, fmt.Errorf("prepare connection: %w", err)
		}
	}
	stop := closeWith(ctx, g)
	defer stop()

	var conn net.Conn = g
	if c.api.Scheme == "https" {
		t := tls.Client(g, c.tlsConfig())
		if err := t.HandshakeContext(dialing); err != nil {
			g.abort()
			return answer{}, false, fmt.Errorf("tls: %w", err)
		}
		conn = t
	}
	g.application.Store(true)
	if _, err := conn.Write(request); err != nil {
		g.abort()
		return answer{}, g.sent.Load(), fmt.Errorf("send: %w", cause(ctx, err))
	}
	a, err = readEffect(conn)
	if err != nil {
		g.abort()
		return answer{}, true, cause(ctx, err)
	}
	if a.ok() {
		g.close()
	} else {
		g.abort() // the server may have answered before it read the whole request
	}
	return a, true, nil
}

// cause returns why ctx ended, when it ended, instead of err: the connection
// was closed because of that, and err is only how the call noticed.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func (c *Client) tlsConfig() *tls.Config {
	t := c.deps.TLS.Clone()
	if t == nil {
		t = &tls.Config{}
	}
	if t.ServerName == "" {
		t.ServerName = c.api.Hostname()
	}
	t.NextProtos = []string{"http/1.1"}
	return t
}

// readEffect reads the final answer and skips interim ones (1xx).
func readEffect(conn io.Reader) (answer, error) {
	in := bufio.NewReader(io.LimitReader(conn, maxHead+maxBody+1))
	for range 5 {
		res, err := http.ReadResponse(in, &http.Request{Method: http.MethodPost})
		if err != nil {
			return answer{}, fmt.Errorf("read answer: %w", err)
		}
		if res.StatusCode >= 200 {
			return readAnswer(res)
		}
	}
	return answer{}, errors.New("read answer: interim answers without end")
}

// closeWith aborts g when ctx ends, until stop is called. When stop returns, no
// goroutine of it runs.
func closeWith(ctx context.Context, g *windowConn) (stop func()) {
	done := make(chan struct{})
	cancel := context.AfterFunc(ctx, func() {
		defer close(done)
		g.abort()
	})
	return func() {
		if !cancel() {
			<-done
		}
	}
}

var errWindow = errors.New("the send window is over")

// windowConn is a connection that writes only inside the send window. Each
// write compares the clock with until first; the first that is too late fails,
// and every later one with it. TLS writes through it as well, so a worker that
// was frozen at any point before the write does not send late.
type windowConn struct {
	net.Conn
	until time.Time
	clock func() time.Time

	mu          sync.Mutex
	shut        bool
	application atomic.Bool // what is written from now on is the request
	sent        atomic.Bool // some of the request was given to the kernel
	closing     sync.Once
}

// chunk is the most bytes of one write. A request that is larger than the
// socket buffer waits for the peer between chunks, and each chunk compares the
// clock again.
const chunk = 4 << 10

// Write implements net.Conn.
func (g *windowConn) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := 0
	for n < len(p) {
		if g.shut || !g.clock().Before(g.until) {
			g.shut = true
			return n, errWindow
		}
		m, err := g.Conn.Write(p[n:min(n+chunk, len(p))])
		n += m
		if m > 0 && g.application.Load() {
			g.sent.Store(true)
		}
		if err != nil {
			g.shut = true
			return n, err
		}
	}
	return n, nil
}

// abort closes the connection and discards what the kernel has not sent yet.
func (g *windowConn) abort() {
	g.closing.Do(func() {
		if t, ok := g.Conn.(interface{ SetLinger(int) error }); ok {
			_ = t.SetLinger(0)
		}
		_ = g.Conn.Close()
	})
}

// close ends a connection after the exchange; the kernel still delivers what
// was written.
func (g *windowConn) close() { g.closing.Do(func() { _ = g.Conn.Close() }) }
