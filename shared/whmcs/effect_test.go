package whmcs_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/whmcs"
	"orderbridge/shared/whmcs/whmcstest"
)

// clock is a wall clock that a test moves, as a frozen sandbox does: the time
// jumps while the process stood still.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time         { return time.Now().Add(time.Duration(c.offset.Load())) }
func (c *clock) freeze(d time.Duration) { c.offset.Add(int64(d)) }

// dialer makes connections on which a test can do something before a write.
type dialer struct {
	beforeWrite func(n int) // n-th write of the connection, from 0
	afterDial   func()
	mu          sync.Mutex
	conns       []*conn
}

type conn struct {
	net.Conn
	d      *dialer
	writes int
	bytes  int
	closed atomic.Bool
	linger atomic.Int64
}

func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	inner, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: inner, d: d}
	c.linger.Store(-1)
	d.mu.Lock()
	d.conns = append(d.conns, c)
	d.mu.Unlock()
	if d.afterDial != nil {
		d.afterDial()
	}
	return c, nil
}

func (c *conn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.bytes += n
	c.writes++
	if c.d.beforeWrite != nil {
		c.d.beforeWrite(c.writes)
	}
	return n, err
}

func (c *conn) SetLinger(sec int) error {
	c.linger.Store(int64(sec))
	return c.Conn.(*net.TCPConn).SetLinger(sec)
}

func (c *conn) Close() error {
	c.closed.Store(true)
	return c.Conn.Close()
}

// effects are the two, as one thing to table-test. The order that Accept wants
// is made in the books beforehand.
func effects(t *testing.T, w *world) map[string]func(*whmcs.Client, order.SendWindow) error {
	t.Helper()
	run := w.sim.Books().BeginAdd(orderID(t, 77), plan())
	run.Finish(whmcstest.Twist{})
	return map[string]func(*whmcs.Client, order.SendWindow) error{
		"AddOrder": func(c *whmcs.Client, g order.SendWindow) error {
			_, err := c.Add(t.Context(), g, orderID(t, 1), plan())
			return err
		},
		"AcceptOrder": func(c *whmcs.Client, g order.SendWindow) error {
			return c.Accept(t.Context(), g, fmt.Sprint(run.OrderID))
		},
	}
}

func newClient(t *testing.T, baseURL string, d whmcs.Deps) *whmcs.Client {
	t.Helper()
	d.Credentials, d.Log = credentials, slog.New(slog.DiscardHandler)
	c, err := whmcs.New(d, whmcs.Config{BaseURL: baseURL, Marker: "notes"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestNothingLeavesAfterTheWindow(t *testing.T) {
	window := 15 * time.Second
	for name, freeze := range map[string]func(*clock, *dialer){
		"over before the dial":                 func(c *clock, d *dialer) { c.freeze(window) },
		"frozen between the dial and the send": func(c *clock, d *dialer) { d.afterDial = func() { c.freeze(window) } },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			for action, send := range effects(t, w) {
				var c clock
				var d dialer
				until := c.now().Add(window)
				client := newClient(t, w.url, whmcs.Deps{Dial: d.dial, Now: c.now})
				freeze(&c, &d)
				err := send(client, order.SendWindow{Until: until, Timeout: time.Minute})
				if outcome(err) != "not sent whmcs_unavailable" {
					t.Errorf("%s: %v", action, err)
				}
				for _, conn := range d.conns {
					if conn.bytes != 0 || !conn.closed.Load() || conn.linger.Load() != 0 {
						t.Errorf("%s: %d bytes written, closed %v, linger %d", action, conn.bytes, conn.closed.Load(), conn.linger.Load())
					}
				}
				if n := w.sim.Calls(action); n != 0 {
					t.Errorf("%d %s arrived", n, action)
				}
			}
		})
	}
}

// The same pause, with a client that checks the clock and then sends: it does
// send. What the gate prevents is real.
func TestACheckBeforeTheSendIsNotEnough(t *testing.T) {
	w := newWorld(t, nil)
	var c clock
	until := c.now().Add(15 * time.Second)
	d := dialer{afterDial: func() { c.freeze(time.Minute) }}
	hc := &http.Client{Transport: &http.Transport{DialContext: d.dial, DisableKeepAlives: true}}
	if !c.now().Before(until) {
		t.Fatal("the window is over")
	}
	res, err := hc.Post(w.url+"/includes/api.php", "application/x-www-form-urlencoded", strings.NewReader(rawAdd(t, 1).Encode()))
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if n := w.sim.Calls("AddOrder"); n != 1 || c.now().Before(until) {
		t.Errorf("%d AddOrder arrived", n)
	}
}

func rawAdd(t *testing.T, n int) url.Values {
	return url.Values{"action": {"AddOrder"}, "identifier": {"id"}, "secret": {secret}, "responsetype": {"json"},
		"clientid": {"7"}, "paymentmethod": {"mailin"}, "pid[0]": {"11"}, "billingcycle[0]": {"monthly"}, "notes": {orderID(t, n).Marker()}}
}

func TestAWindowThatEndsInTheMiddleOfTheBodyDoesNothing(t *testing.T) {
	w := newWorld(t, nil)
	var c clock
	d := dialer{}
	d.beforeWrite = func(n int) {
		if n == 1 {
			c.freeze(time.Minute)
		}
	}
	client := newClient(t, w.url, whmcs.Deps{Dial: d.dial, Now: c.now})
	entries := make([]order.PlanEntry, 90)
	for i := range entries {
		entries[i] = entry(11, order.Monthly, 1)
	}
	_, err := client.Add(t.Context(), order.SendWindow{Until: c.now().Add(15 * time.Second), Timeout: time.Minute}, orderID(t, 1), plan(entries...))
	if outcome(err) != "unsure whmcs_unavailable" {
		t.Errorf("add: %v", err)
	}
	if d.conns[0].writes != 1 || d.conns[0].linger.Load() != 0 || !d.conns[0].closed.Load() {
		t.Errorf("%d writes, linger %d", d.conns[0].writes, d.conns[0].linger.Load())
	}
	if n := len(w.sim.Orders()); n != 0 {
		t.Errorf("%d orders were made", n)
	}
}

func TestTheHandshakeIsNoSend(t *testing.T) {
	sim := whmcstest.New(whmcstest.Options{Fail: t.Errorf})
	server := httptest.NewTLSServer(sim)
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	var c clock
	var d dialer
	client := newClient(t, server.URL, whmcs.Deps{Dial: d.dial, Now: c.now, TLS: &tls.Config{RootCAs: roots}})
	g := func() order.SendWindow {
		return order.SendWindow{Until: c.now().Add(15 * time.Second), Timeout: time.Minute}
	}

	if _, err := client.Add(t.Context(), g(), orderID(t, 1), plan()); err != nil {
		t.Fatal(err)
	}
	if err := client.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.conns = nil
	// The client's last handshake message is written, then the sandbox freezes.
	d.beforeWrite = func(n int) {
		if n == 2 {
			c.freeze(time.Minute)
		}
	}
	if _, err := client.Add(t.Context(), g(), orderID(t, 2), plan()); outcome(err) != "not sent whmcs_unavailable" {
		t.Errorf("frozen after the handshake: %v", err)
	}
	if d.conns[0].writes != 2 {
		t.Errorf("%d writes, want the two of the handshake", d.conns[0].writes)
	}
	d.beforeWrite = nil
	untrusting := newClient(t, server.URL, whmcs.Deps{Now: c.now})
	if _, err := untrusting.Add(t.Context(), g(), orderID(t, 3), plan()); outcome(err) != "not sent whmcs_unavailable" {
		t.Errorf("unknown authority: %v", err)
	}
	if n := sim.Calls("AddOrder"); n != 1 {
		t.Errorf("%d AddOrder arrived, want 1", n)
	}
}

func TestARefusedConnectionIsNotSent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	client := newClient(t, "http://"+address, whmcs.Deps{Now: time.Now})
	if _, err := client.Add(t.Context(), gate(), orderID(t, 1), plan()); outcome(err) != "not sent whmcs_unavailable" {
		t.Errorf("add: %v", err)
	}
	if err := client.Accept(t.Context(), gate(), "12"); outcome(err) != "not sent whmcs_unavailable" {
		t.Errorf("accept: %v", err)
	}
	for _, id := range []string{"", "0", "-3", "1 OR 1", "0012"} {
		if err := client.Accept(t.Context(), gate(), id); outcome(err) != "not sent internal_error" {
			t.Errorf("accept %q: %v", id, err)
		}
	}
}

// net/http repeats a POST that carries an Idempotency-Key when a kept-alive
// connection is reset, and sends the body again after a 307. Both are shown
// with net/http, then that the effects do not.
func TestEffectsAreNeverRepeatedOnTheWay(t *testing.T) {
	plainPost := func(t *testing.T, w *world, hc *http.Client, body url.Values) {
		req, err := http.NewRequest("POST", w.url+"/includes/api.php", strings.NewReader(body.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Idempotency-Key", "1")
		res, err := hc.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
	}
	doubled := func(o *whmcstest.Options) { o.Fail = func(string, ...any) {} }

	t.Run("reset on a kept-alive connection, net/http", func(t *testing.T) {
		w := newWorld(t, nil, doubled)
		hc := &http.Client{Transport: &http.Transport{}}
		defer hc.CloseIdleConnections()
		must(t, w.sim.Fault(whmcstest.Fault{Action: "AddOrder", Fault: "reset-kept-alive"}))
		plainPost(t, w, hc, url.Values{"action": {"WhmcsDetails"}, "identifier": {"id"}, "secret": {secret}})
		plainPost(t, w, hc, rawAdd(t, 1))
		if n := len(w.sim.Orders()); n != 2 {
			t.Errorf("%d orders, want the trap's 2", n)
		}
	})
	t.Run("307, net/http", func(t *testing.T) {
		w := newWorld(t, nil, doubled)
		hc := &http.Client{Transport: &http.Transport{}}
		defer hc.CloseIdleConnections()
		must(t, w.sim.Fault(whmcstest.Fault{Action: "AddOrder", Fault: "redirect-307"}))
		plainPost(t, w, hc, rawAdd(t, 1))
		if n := w.sim.Calls("AddOrder"); n != 2 {
			t.Errorf("%d calls, want the trap's 2", n)
		}
	})
	t.Run("our effects", func(t *testing.T) {
		w := newWorld(t, nil)
		for action, send := range effects(t, w) {
			if err := w.Probe(t.Context()); err != nil { // a kept-alive connection is there to be misused
				t.Fatal(err)
			}
			must(t, w.sim.Fault(whmcstest.Fault{Action: action, Fault: "reset-kept-alive"}))
			if err := send(w.Client, gate()); err != nil {
				t.Errorf("%s: %v", action, err)
			}
			if n := len(w.sim.Faults()); n != 1 {
				t.Errorf("%s went over a connection that was used before", action)
			}
			w.sim.ClearFaults()
			if n := w.sim.Calls(action); n != 1 {
				t.Errorf("%d %s arrived, want 1", n, action)
			}
		}
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestAnEffectOnTheWire(t *testing.T) {
	type seen struct {
		proto, connection, path string
		header                  http.Header
		names                   []string
		remote                  string
	}
	var mu sync.Mutex
	var all []seen
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s := seen{proto: r.Proto, path: r.URL.RequestURI(), header: r.Header, remote: r.RemoteAddr}
		if r.Close {
			s.connection = "close"
		}
		for f := range strings.SplitSeq(string(body), "&") {
			name, _, _ := strings.Cut(f, "=")
			name, _ = url.QueryUnescape(name)
			s.names = append(s.names, name)
		}
		mu.Lock()
		all = append(all, s)
		mu.Unlock()
		_, _ = io.WriteString(w, `{"result":"success","orderid":"12"}`)
	})
	var entries []order.PlanEntry
	for range 12 {
		entries = append(entries, entry(11, order.Monthly, 1))
	}
	p := plan(entries...)
	p.PromoCode = "X"
	for range 2 {
		if made, err := client.Add(t.Context(), gate(), orderID(t, 1), p); err != nil || made != "12" {
			t.Fatal(made, err)
		}
	}
	must(t, client.Accept(t.Context(), gate(), "12"))
	for _, s := range all {
		if s.proto != "HTTP/1.1" || s.connection != "close" || s.path != "/includes/api.php" || s.header.Get("Idempotency-Key") != "" ||
			s.header.Get("Content-Type") != "application/x-www-form-urlencoded" {
			t.Errorf("sent %+v", s)
		}
	}
	if all[0].remote == all[1].remote {
		t.Error("two effects shared a connection")
	}
	want := []string{"notes", "identifier", "secret", "responsetype", "clientid", "paymentmethod"}
	for _, name := range []string{"pid", "qty", "billingcycle"} {
		for i := range 12 {
			want = append(want, fmt.Sprintf("%s[%d]", name, i))
		}
	}
	want = append(want, "promocode", "noinvoice", "noemail", "action")
	if !slices.Equal(all[0].names, want) {
		t.Errorf("AddOrder %v,\nwant     %v", all[0].names, want)
	}
	if want := []string{"identifier", "secret", "responsetype", "orderid", "autosetup", "action"}; !slices.Equal(all[2].names, want) {
		t.Errorf("AcceptOrder %v, want %v", all[2].names, want)
	}
}

func TestTheMarkersFieldGoesFirst(t *testing.T) {
	var first string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		first, _, _ = strings.Cut(string(body), "=")
		_, _ = io.WriteString(w, `{"result":"success","orderid":12}`)
	}))
	defer server.Close()
	c, err := whmcs.New(quiet(), whmcs.Config{BaseURL: server.URL, Marker: "4"})
	must(t, err)
	_, err = c.Add(t.Context(), gate(), orderID(t, 1), plan())
	must(t, err)
	if first != "customfields%5B0%5D" {
		t.Errorf("the body begins with %s", first)
	}
}

func TestInterimAnswersAreNotTheAnswer(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusProcessing)
		_, _ = io.WriteString(w, `{"result":"success","orderid":12}`)
	})
	if made, err := c.Add(t.Context(), gate(), orderID(t, 1), plan()); err != nil || made != "12" {
		t.Errorf("add: %q, %v", made, err)
	}
}

func TestWhatIsNotAnHTTPAnswerIsUnsure(t *testing.T) {
	for _, answer := range []string{"", "HTTP/1.1", "garbage\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{\"result\":\"success\",\"orderid\":1}",
		"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("a", 8<<20)} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		done := make(chan struct{})
		go func() {
			defer close(done)
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			if req, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				_, _ = io.Copy(io.Discard, req.Body)
			}
			_, _ = io.WriteString(c, answer)
		}()
		client := newClient(t, "http://"+l.Addr().String(), whmcs.Deps{Now: time.Now})
		if _, err := client.Add(t.Context(), gate(), orderID(t, 1), plan()); outcome(err) != "unsure whmcs_unavailable" {
			t.Errorf("%.40q: %v", answer, err)
		}
		_ = l.Close()
		<-done
	}
}

// TestTimeOutsUnderVirtualTime: an answer that does not come ends the call at
// its time-out, with the connection closed and nothing left running (synctest
// fails on a goroutine that outlives it).
func TestTimeOutsUnderVirtualTime(t *testing.T) {
	for _, c := range []struct {
		name         string
		timeout      time.Duration // of the gate
		want         time.Duration
		accept       bool
		stall, serve bool // the peer takes nothing; the dial works
		outcome      string
	}{
		{"the gate's", 20 * time.Second, 20 * time.Second, false, false, true, "unsure whmcs_unavailable"},
		{"AddOrder's own", 0, 60 * time.Second, false, false, true, "unsure whmcs_unavailable"},
		{"AcceptOrder's own", 0, 120 * time.Second, true, false, true, "unsure whmcs_unavailable"},
		{"a dial", 0, 10 * time.Second, false, false, false, "not sent whmcs_unavailable"},
		{"a peer that takes no byte", 0, 60 * time.Second, false, true, true, "not sent whmcs_unavailable"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := net.Pipe()
				defer theirs.Close()
				dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
					if !c.serve {
						<-ctx.Done()
						return nil, ctx.Err()
					}
					return ours, nil
				}
				if c.serve && !c.stall {
					go func() { _, _ = io.Copy(io.Discard, theirs) }()
				}
				client := newClient(t, "http://whmcs.example", whmcs.Deps{Dial: dial, Now: time.Now})
				var err error
				start := time.Now()
				g := order.SendWindow{Until: start.Add(15 * time.Second), Timeout: c.timeout}
				if c.accept {
					err = client.Accept(t.Context(), g, "12")
				} else {
					_, err = client.Add(t.Context(), g, orderID(t, 1), plan())
				}
				if outcome(err) != c.outcome || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%v, want %s", err, c.outcome)
				}
				if took := time.Since(start); took != c.want {
					t.Errorf("took %v, want %v", took, c.want)
				}
				if c.serve {
					if _, err := ours.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
						t.Errorf("the connection is still open: %v", err)
					}
				} else {
					_ = ours.Close()
				}
			})
		})
	}
}

func TestACallersEndIsUnsureOnceSent(t *testing.T) {
	w := newWorld(t, nil)
	must(t, w.sim.Fault(whmcstest.Fault{Action: "AddOrder", Fault: "hold"}))
	ctx, cancel := context.WithCancel(t.Context())
	d := dialer{beforeWrite: func(int) { cancel() }}
	client := newClient(t, w.url, whmcs.Deps{Dial: d.dial, Now: time.Now})
	if _, err := client.Add(ctx, gate(), orderID(t, 1), plan()); outcome(err) != "unsure whmcs_unavailable" || !errors.Is(err, context.Canceled) {
		t.Errorf("add: %v", err)
	}
	if !d.conns[0].closed.Load() || d.conns[0].linger.Load() != 0 {
		t.Error("the connection was not aborted")
	}
	if _, err := client.Add(ctx, gate(), orderID(t, 1), plan()); outcome(err) != "not sent whmcs_unavailable" {
		t.Errorf("add after the end: %v", err)
	}
}

// TestMain sets a proxy before the first request of any test: net/http reads
// these variables once in the life of a process.
func TestMain(m *testing.M) {
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"} {
		if err := os.Setenv(name, "http://proxy.example:3128"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

func TestNoProxyFromTheEnvironment(t *testing.T) {
	if proxy, err := http.ProxyFromEnvironment(&http.Request{URL: &url.URL{Scheme: "http", Host: "whmcs.example"}}); err != nil || proxy == nil {
		t.Fatalf("the environment's proxy is %v, %v: the test shows nothing", proxy, err)
	}
	server := httptest.NewServer(whmcstest.New(whmcstest.Options{}))
	defer server.Close()
	// Proxies are never used for loopback names, so the host is another one
	// and the dial leads back here.
	var dialled []string
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		dialled = append(dialled, address)
		return (&net.Dialer{}).DialContext(ctx, network, server.Listener.Addr().String())
	}
	client := newClient(t, "http://whmcs.example", whmcs.Deps{Dial: dial, Now: time.Now})
	_, err := client.Add(t.Context(), gate(), orderID(t, 1), plan())
	must(t, err)
	must(t, client.Probe(t.Context()))
	if want := []string{"whmcs.example:80", "whmcs.example:80"}; !slices.Equal(dialled, want) {
		t.Errorf("dialled %v, want %v", dialled, want)
	}
}

// HTTP/2 would let a request wait inside a shared connection, beyond the reach of
// the window.
func TestEffectsSpeakHTTP1(t *testing.T) {
	sim := whmcstest.New(whmcstest.Options{})
	var spoken []string
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		spoken = append(spoken, r.Proto)
		sim.ServeHTTP(w, r)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	client := newClient(t, server.URL, whmcs.Deps{Now: time.Now, TLS: &tls.Config{RootCAs: roots, NextProtos: []string{"h2", "http/1.1"}}})
	made, err := client.Add(t.Context(), gate(), orderID(t, 1), plan())
	must(t, err)
	must(t, client.Accept(t.Context(), gate(), made))
	if want := []string{"HTTP/1.1", "HTTP/1.1"}; !slices.Equal(spoken, want) {
		t.Errorf("spoke %v", spoken)
	}
}

func TestTheLogHoldsTextsAndNoBodies(t *testing.T) {
	w := newWorld(t, nil)
	made, err := w.Add(t.Context(), gate(), orderID(t, 1), plan())
	must(t, err)
	must(t, w.sim.Fault(whmcstest.Fault{Action: "AcceptOrder", Fault: "module-fail-pending", Message: "licence used up"}))
	if err := w.Accept(t.Context(), gate(), made); fault.CodeOf(err) != fault.ModuleFailed {
		t.Fatal(err)
	}
	_, _, err = w.Order(t.Context(), made, clientID)
	must(t, err)
	log := w.log.String()
	if !strings.Contains(log, "licence used up") {
		t.Error("the log misses the module's text")
	}
	for _, private := range []string{secret, "not-for-logs", "A Client", "203.0.113.7", "sfOrderId"} {
		if bytes.Contains([]byte(log), []byte(private)) {
			t.Errorf("the log holds %q", private)
		}
	}
}
