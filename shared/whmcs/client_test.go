package whmcs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/provision"
	"orderbridge/shared/whmcs"
	"orderbridge/shared/whmcs/whmcstest"
)

// The engine's port is satisfied without either package knowing the other.
var _ provision.Billing = (*whmcs.Client)(nil)

const (
	secret   = "s3cr3t-0123456789-abcdef"
	clientID = 7
)

// world is a client before a simulator, on loopback.
type world struct {
	*whmcs.Client
	sim *whmcstest.Server
	url string
	log *syncBuffer
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// anyID lets every client and product exist.
func anyID(o *whmcstest.Options) { o.Switches.AnyID = true }

func newWorld(t *testing.T, change func(*whmcs.Config), opts ...func(*whmcstest.Options)) *world {
	t.Helper()
	o := whmcstest.Options{Identifier: "id", Secret: secret, Fail: t.Errorf}
	for _, f := range opts {
		f(&o)
	}
	sim := whmcstest.New(o)
	server := httptest.NewServer(sim)
	w := &world{sim: sim, url: server.URL + "/billing", log: &syncBuffer{}}
	cfg := whmcs.Config{BaseURL: w.url, Marker: whmcs.MarkerNotes}
	if change != nil {
		change(&cfg)
	}
	c, err := whmcs.New(deps(slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))), cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.Client = c
	t.Cleanup(func() {
		c.Close()
		sim.Close()
		server.Close()
		if strings.Contains(w.log.String(), secret) {
			t.Error("the log holds the secret")
		}
	})
	return w
}

// deps are those of a client with the simulator's credentials.
func deps(log *slog.Logger) whmcs.Deps {
	return whmcs.Deps{Credentials: credentials, Log: log, Now: time.Now}
}

// quiet is deps without a log.
func quiet() whmcs.Deps { return deps(slog.New(slog.DiscardHandler)) }

func credentials(context.Context) (whmcs.Credentials, error) {
	return whmcs.Credentials{Identifier: "id", Secret: secret}, nil
}

func orderID(t testing.TB, n int) order.ID {
	t.Helper()
	id, err := order.ParseID(fmt.Sprintf("801Wx%010d", n))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// gate is a window that is open for as long as a test runs.
func gate() order.SendWindow {
	return order.SendWindow{Until: time.Now().Add(time.Hour), Timeout: time.Minute}
}

func plan(entries ...order.PlanEntry) order.Plan {
	if len(entries) == 0 {
		entries = []order.PlanEntry{entry(11, order.Monthly, 1)}
	}
	return order.Plan{ClientID: clientID, PaymentMethod: "mailin", Entries: entries}
}

func entry(pid int64, cycle order.Cycle, qty int) order.PlanEntry {
	return order.PlanEntry{Line: order.Line{ItemID: "802", ProductID: pid, Cycle: cycle, Quantity: qty}, Services: 1}
}

func TestAnOrderIsAddedReadAcceptedAndVerified(t *testing.T) {
	w := newWorld(t, nil)
	w.sim.SetProduct(11, whmcstest.Product{Name: "Web & Mail", AllowQty: 2, Module: "cpanel"})
	w.sim.SetProduct(12, whmcstest.Product{Name: "Setup", AllowQty: 1})
	ctx, id := t.Context(), orderID(t, 1)

	products, err := w.Products(ctx, []int64{11, 12, 11, 14, 999})
	if err != nil {
		t.Fatal(err)
	}
	want := map[int64]order.ProductInfo{
		11: {ProductID: 11, Name: "Web & Mail", Quantity: order.QuantityScaling, Module: "cpanel"},
		12: {ProductID: 12, Name: "Setup", Quantity: order.QuantityMultiple},
		14: {ProductID: 14, Name: "Online Backup M"}, // 999 is not sold
	}
	if !reflect.DeepEqual(products, want) {
		t.Errorf("products %+v, want %+v", products, want)
	}
	if err := w.Client.Client(ctx, clientID); err != nil {
		t.Fatal(err)
	}
	made, err := w.Add(ctx, gate(), id, plan(entry(11, order.Monthly, 4), entry(12, order.OneTime, 3)))
	if err != nil {
		t.Fatal(err)
	}
	got, ok, err := w.Order(ctx, made, clientID)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	if string(got.Marker) != id.String() || got.ClientID != clientID || got.Status != order.BillingPending || got.Date.IsZero() {
		t.Errorf("made %+v", got)
	}
	var lines []string
	for _, s := range got.Services {
		lines = append(lines, fmt.Sprint(s.ProductID, " ", s.Cycle, " ", s.Quantity, " ", s.Status))
	}
	if want := []string{"11 monthly 4 Pending", "12 onetime 1 Pending", "12 onetime 1 Pending", "12 onetime 1 Pending"}; !reflect.DeepEqual(lines, want) {
		t.Errorf("services %v, want %v", lines, want)
	}
	if err := w.Accept(ctx, gate(), made); err != nil {
		t.Fatal(err)
	}
	got, _, err = w.Order(ctx, made, clientID)
	if err != nil || got.Status != order.BillingActive {
		t.Fatal(got.Status, err)
	}
	for _, s := range got.Services {
		if !s.Live() {
			t.Errorf("service %+v is not live", s)
		}
	}
	if failed, err := w.ModuleFailures(ctx, []string{got.Services[0].ID, got.Services[1].ID}); err != nil || len(failed) != 0 {
		t.Errorf("module failures %v, %v", failed, err)
	}
	if all, complete, err := list(ctx, w.Client, order.Listing{ClientID: clientID}); err != nil || !complete || len(all) != 1 || string(all[0].Marker) != id.String() {
		t.Errorf("list %v %v %v", all, complete, err)
	}
	if err := w.Accept(ctx, gate(), made); outcome(err) != "refused state_changed" {
		t.Errorf("second accept: %v", err)
	}
}

// outcome names the type of an effect's error and its code.
func outcome(err error) string {
	var n *fault.NotSent
	var r *fault.Refused
	var u *fault.Unsure
	kind := "untyped"
	switch {
	case err == nil:
		return "done"
	case errors.As(err, &n):
		kind = "not sent"
	case errors.As(err, &r):
		kind = "refused"
	case errors.As(err, &u):
		kind = "unsure"
	}
	return kind + " " + string(fault.CodeOf(err))
}

func TestEveryDocumentedTextHasItsMeaning(t *testing.T) {
	const na = "" // the text does not occur there
	for _, c := range []struct {
		status            int
		text              string
		add, accept, read string
		public            string // what the operator must read in it
	}{
		{403, "Invalid IP 203.0.113.9", "refused whmcs_ip_denied", "refused whmcs_ip_denied", "whmcs_ip_denied", "203.0.113.9"},
		{400, "Invalid IP 203.0.113.9", "refused whmcs_ip_denied", "refused whmcs_ip_denied", "whmcs_ip_denied", "203.0.113.9"},
		{403, "Forbidden IP 2001:db8::7", "refused whmcs_ip_denied", "refused whmcs_ip_denied", "whmcs_ip_denied", "2001:db8::7"},
		{403, "Invalid or missing credentials", "refused whmcs_credentials_refused", "refused whmcs_credentials_refused", "whmcs_credentials_refused", ""},
		{403, "Authentication Failed", "refused whmcs_credentials_refused", "refused whmcs_credentials_refused", "whmcs_credentials_refused", ""},
		{403, "Invalid password provided", "refused whmcs_credentials_refused", "refused whmcs_credentials_refused", "whmcs_credentials_refused", ""},
		{403, "Administrator Account Disabled", "refused whmcs_credentials_refused", "refused whmcs_credentials_refused", "whmcs_credentials_refused", ""},
		{403, "Access Denied", "refused whmcs_credentials_refused", "refused whmcs_credentials_refused", "whmcs_credentials_refused", ""},
		{403, `Invalid Permissions: API action "getclients" is not allowed`, "refused whmcs_role_denied", "refused whmcs_role_denied", "whmcs_role_denied", "getclients"},
		{400, "Empty action request", "refused whmcs_misconfigured", "refused whmcs_misconfigured", "whmcs_misconfigured", "Empty action request"},
		{400, "Command Not Found", "refused whmcs_misconfigured", "refused whmcs_misconfigured", "whmcs_misconfigured", "Command Not Found"},

		{200, "Client ID Not Found", "refused whmcs_client_not_found", "refused module_failed", "whmcs_client_not_found", ""},
		{200, "client id not found", "refused whmcs_client_not_found", "refused module_failed", "whmcs_client_not_found", ""},
		{200, "Unable to add order when client status is Closed", "refused whmcs_client_closed", na, na, ""},
		{200, "Invalid Payment Method. Valid options include paypal,mailin", "refused whmcs_rejected", na, na, "Valid options include paypal,mailin"},
		{200, "No items added to cart so order cannot proceed", "refused whmcs_rejected", na, na, "No items added to cart"},
		{200, "Expecting parameter 'pid' to be an array", "refused whmcs_rejected", na, na, "'pid'"},
		{200, "Expecting parameter &#039;pid&#039; to be an array", "refused whmcs_rejected", na, na, "'pid'"},
		{200, "Addon ID invalid", "refused whmcs_rejected", na, na, "Addon ID invalid"},
		{200, "Service ID not owned by Client ID provided", "refused whmcs_rejected", na, "whmcs_rejected", "Service ID not owned"},
		{200, "Service ID 12 can not be renewed at this time.", "refused whmcs_rejected", na, "whmcs_rejected", "can not be renewed"},
		{200, "Client Not Found", "refused whmcs_client_not_found", na, "whmcs_client_not_found", ""},
		{200, "Either clientid Or email Is Required", "unsure whmcs_unavailable", na, "whmcs_rejected", ""},
		{200, "Client ID Is Required", "refused whmcs_rejected", na, "whmcs_rejected", ""},
		{200, "Service ID is required", "unsure whmcs_unavailable", na, "whmcs_rejected", ""},
		{200, "Service ID not found", "unsure whmcs_unavailable", na, "whmcs_rejected", ""},
		{200, "Service not assigned to a module", "unsure whmcs_unavailable", na, "whmcs_rejected", ""},

		{200, "Order ID not found or Status not Pending", "unsure whmcs_unavailable", "refused state_changed", "state_changed", ""},
		{200, "Order ID Not Found", "unsure whmcs_unavailable", "refused state_changed", "state_changed", ""},
		{200, "The order status must be in Cancelled or Fraud to be deleted", "unsure whmcs_unavailable", na, "state_changed", ""},
		{200, "Account 12 already exists on server", "unsure whmcs_unavailable", "refused module_failed", "whmcs_unavailable", ""},
		{200, "Function Aborted by Action Hook Code", "unsure whmcs_unavailable", "refused module_failed", "whmcs_unavailable", ""},
		// Under HTTP 200 an AcceptOrder speaks with the module's voice.
		// Under HTTP 200 or 500 an AddOrder may have made the order: the words are
		// a hook's, a registrar's or PHP's, however WHMCS's they look.
		{200, "Access denied", "unsure whmcs_unavailable", "refused module_failed", "whmcs_credentials_refused", ""},
		{200, "Access denied for user 'x'@'localhost'", "unsure whmcs_unavailable", "refused module_failed", "whmcs_credentials_refused", ""},
		{200, "Authentication failed", "unsure whmcs_unavailable", "refused module_failed", "whmcs_credentials_refused", ""},
		{200, "Command Not Found", "unsure whmcs_unavailable", "refused module_failed", "whmcs_misconfigured", ""},
		{500, "Invalid IP 198.51.100.4", "unsure whmcs_unavailable", "unsure whmcs_unavailable", "whmcs_ip_denied", ""},
		{500, "Client ID Not Found", "unsure whmcs_unavailable", "unsure whmcs_unavailable", "whmcs_client_not_found", ""},
		{200, "Expecting parameter 'domain' in registrar module", "unsure whmcs_unavailable", "refused module_failed", "whmcs_rejected", ""},
		{200, "Client Not Found in LDAP", "unsure whmcs_unavailable", "refused module_failed", "whmcs_client_not_found", ""},
		{500, "Something else", "unsure whmcs_unavailable", "unsure whmcs_unavailable", "whmcs_unavailable", ""},
		{403, "Something else", "unsure whmcs_unavailable", "unsure whmcs_unavailable", "whmcs_unavailable", ""},
	} {
		t.Run(fmt.Sprint(c.status, " ", c.text), func(t *testing.T) {
			w := newWorld(t, nil)
			for _, action := range []string{"AddOrder", "AcceptOrder", "GetOrders"} {
				if err := w.sim.Fault(whmcstest.Fault{Action: action, Fault: "error-text", Status: c.status, Message: c.text}); err != nil {
					t.Fatal(err)
				}
			}
			_, err := w.Add(t.Context(), gate(), orderID(t, 1), plan())
			if got := outcome(err); got != c.add {
				t.Errorf("add: %s, want %s", got, c.add)
			}
			if c.public != "" && !strings.Contains(fault.TextOf(err), c.public) {
				t.Errorf("add shows %q, want %q in it", fault.TextOf(err), c.public)
			}
			if !strings.HasPrefix(c.text, "Expecting parameter &") && !strings.Contains(err.Error(), c.text) {
				t.Errorf("the log misses WHMCS's text: %v", err)
			}
			err = w.Accept(t.Context(), gate(), "1001")
			if c.accept != na {
				if got := outcome(err); got != c.accept {
					t.Errorf("accept: %s, want %s", got, c.accept)
				}
				if fault.CodeOf(err) == fault.ModuleFailed && !strings.Contains(fault.TextOf(err), " WHMCS: "+strings.TrimSuffix(c.text, ".")+". Ask ") {
					t.Errorf("accept shows %q, want %q", fault.TextOf(err), c.text)
				}
			}
			if c.read != na {
				if _, _, err := list(t.Context(), w.Client, order.Listing{ClientID: clientID}); string(fault.CodeOf(err)) != c.read {
					t.Errorf("read: %v, want %s", err, c.read)
				}
			}
		})
	}
}

// TestEveryFaultOfAnEffect: what the effect answers, and what is in the books.
func TestEveryFaultOfAnEffect(t *testing.T) {
	const unsure = "unsure whmcs_unavailable"
	for _, c := range []struct {
		fault       whmcstest.Fault
		add, accept string
		made        bool // something was committed
	}{
		{whmcstest.Fault{Fault: "drop-before"}, unsure, unsure, false},
		{whmcstest.Fault{Fault: "reset"}, unsure, unsure, false},
		{whmcstest.Fault{Fault: "hold"}, unsure, unsure, false},
		{whmcstest.Fault{Fault: "http-500"}, unsure, unsure, false},
		{whmcstest.Fault{Fault: "http-403"}, unsure, unsure, false},
		{whmcstest.Fault{Fault: "http-502"}, unsure, unsure, false},
		{whmcstest.Fault{Fault: "http-504"}, unsure, unsure, false},
		{whmcstest.Fault{Fault: "http-429"}, "unsure whmcs_busy", "unsure whmcs_busy", false},
		{whmcstest.Fault{Fault: "html-503"}, unsure, unsure, false},
		{whmcstest.Fault{Fault: "blank-200"}, unsure, unsure, false},
		{whmcstest.Fault{Fault: "garbage-200"}, unsure, unsure, false},
		{whmcstest.Fault{Fault: "warning-only"}, unsure, unsure, false},
		{whmcstest.Fault{Fault: "redirect-307"}, unsure, unsure, false},
		{whmcstest.Fault{Fault: "redirect-308"}, unsure, unsure, false},
		{whmcstest.Fault{Fault: "forbidden-ip"}, "refused whmcs_ip_denied", "refused whmcs_ip_denied", false},
		{whmcstest.Fault{Fault: "bad-credentials"}, "refused whmcs_credentials_refused", "refused whmcs_credentials_refused", false},
		{whmcstest.Fault{Fault: "role-denied"}, "refused whmcs_role_denied", "refused whmcs_role_denied", false},
		{whmcstest.Fault{Fault: "slow", Delay: 10 * time.Millisecond}, "done", "done", true},
		{whmcstest.Fault{Fault: "notice-prefix"}, "done", "done", true},
		{whmcstest.Fault{Fault: "commit-then-drop"}, unsure, unsure, true},
		{whmcstest.Fault{Fault: "commit-after-timeout", Delay: 20 * time.Millisecond}, unsure, unsure, true},
		{whmcstest.Fault{Fault: "drop-after-bytes", Bytes: 5}, unsure, unsure, true},
		{whmcstest.Fault{Fault: "drop-after-bytes", Bytes: 0}, unsure, unsure, true},
		{whmcstest.Fault{Fault: "commit-502"}, unsure, unsure, true},
		{whmcstest.Fault{Fault: "no-id"}, unsure, "", true},
		{whmcstest.Fault{Fault: "half-added"}, unsure, "", true},
		{whmcstest.Fault{Fault: "marker-lost"}, unsure, "", true},
		{whmcstest.Fault{Fault: "module-fail-active"}, "", "done", true},
		{whmcstest.Fault{Fault: "module-fail-mixed"}, "", "done", true},
		{whmcstest.Fault{Fault: "module-made-pending"}, "", "done", true},
		{whmcstest.Fault{Fault: "module-fail-pending", Message: "no licence"}, "", "refused module_failed", false},
	} {
		t.Run(fmt.Sprint(c.fault.Fault, c.fault.Bytes), func(t *testing.T) {
			w := newWorld(t, nil)
			g := gate()
			if c.fault.Fault == "hold" {
				g.Timeout = 50 * time.Millisecond
			}
			if c.add != "" {
				f := c.fault
				f.Action, f.Match = "AddOrder", orderID(t, 1).String()[:15]
				if err := w.sim.Fault(f); err != nil {
					t.Fatal(err)
				}
				_, err := w.Add(t.Context(), g, orderID(t, 1), plan())
				if got := outcome(err); got != c.add {
					t.Errorf("add: %s (%v), want %s", got, err, c.add)
				}
				if n := len(w.sim.Orders()); (n == 1) != c.made || n > 1 {
					t.Errorf("%d orders, want made %v", n, c.made)
				}
				if n := w.sim.Calls("AddOrder"); n != 1 {
					t.Errorf("%d AddOrder arrived, want 1", n)
				}
			}
			if c.accept != "" {
				made, err := w.Add(t.Context(), gate(), orderID(t, 2), plan())
				if err != nil {
					t.Fatal(err)
				}
				f := c.fault
				f.Action, f.Match = "AcceptOrder", orderID(t, 2).String()
				if err := w.sim.Fault(f); err != nil {
					t.Fatal(err)
				}
				err = w.Accept(t.Context(), g, made)
				if got := outcome(err); got != c.accept {
					t.Errorf("accept: %s (%v), want %s", got, err, c.accept)
				}
				o := w.sim.Books().OrdersOf(orderID(t, 2).String())[0]
				if (o.Status == "Active") != c.made {
					t.Errorf("order is %s, want made %v", o.Status, c.made)
				}
				if n := w.sim.Calls("AcceptOrder"); n != 1 {
					t.Errorf("%d AcceptOrder arrived, want 1", n)
				}
			}
			if left := w.sim.Faults(); len(left) != 0 {
				t.Errorf("faults left: %+v", left)
			}
		})
	}
}

func TestEveryFaultOfARead(t *testing.T) {
	for name, want := range map[string]fault.Code{
		"drop-before": fault.WHMCSUnavailable, "reset": fault.WHMCSUnavailable, "hold": fault.WHMCSUnavailable,
		"http-500": fault.WHMCSUnavailable, "http-502": fault.WHMCSUnavailable, "http-504": fault.WHMCSUnavailable, "http-403": fault.WHMCSUnavailable,
		"http-429": fault.WHMCSBusy, "html-503": fault.WHMCSUnavailable, "blank-200": fault.WHMCSUnavailable, "garbage-200": fault.WHMCSUnavailable,
		"warning-only": fault.WHMCSUnavailable, "forbidden-ip": fault.WHMCSIPDenied, "bad-credentials": fault.WHMCSCredentials,
		"role-denied": fault.WHMCSRoleDenied, "redirect-307": fault.WHMCSMisconfigured, "redirect-308": fault.WHMCSMisconfigured,
		"commit-then-drop": fault.WHMCSUnavailable, "commit-after-timeout": fault.WHMCSUnavailable, "commit-502": fault.WHMCSUnavailable,
		"drop-after-bytes": fault.WHMCSUnavailable, "slow": "", "notice-prefix": "", "reset-kept-alive": "",
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(c *whmcs.Config) {
				if name == "hold" {
					c.ReadTimeout = 50 * time.Millisecond
				}
				c.RequirePayMethod = true
			})
			made, err := w.Add(t.Context(), gate(), orderID(t, 1), plan())
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := list(t.Context(), w.Client, order.Listing{ClientID: clientID}); err != nil { // leaves a kept-alive connection
				t.Fatal(err)
			}
			w.sim.SetProduct(11, whmcstest.Product{AllowQty: 2})
			for action, call := range map[string]func() error{
				"GetOrders":          func() error { _, _, err := list(t.Context(), w.Client, order.Listing{ClientID: clientID}); return err },
				"GetClientsProducts": func() error { _, _, err := w.Order(t.Context(), made, clientID); return err },
				"GetModuleQueue":     func() error { _, err := w.ModuleFailures(t.Context(), []string{"5001"}); return err },
				"GetClientsDetails":  func() error { return w.Client.Client(t.Context(), clientID) },
				"GetPayMethods":      func() error { return w.Client.Client(t.Context(), clientID) },
				"GetProducts":        func() error { _, err := w.Products(t.Context(), []int64{11}); return err },
				"WhmcsDetails":       func() error { return w.Probe(t.Context()) },
			} {
				// A read that dies on a reused connection is made once more.
				times := 1
				if name == "drop-before" || name == "reset" || strings.HasPrefix(name, "commit-") || name == "hold" {
					times = 2
				}
				w.sim.ClearFaults()
				if err := w.sim.Fault(whmcstest.Fault{Action: action, Fault: name, Times: times, Bytes: 9}); err != nil {
					t.Fatal(err)
				}
				if err := call(); fault.CodeOf(err) != want {
					t.Errorf("%s: %v, want %q", action, err, want)
				}
				// An answer of the API in between: none of these is one of a run.
				w.sim.ClearFaults()
				if err := w.Probe(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if _, ok, err := w.Order(t.Context(), made, clientID); !ok || err != nil {
				t.Errorf("after the faults: %v, %v", ok, err)
			}
		})
	}
}

func TestARoleRefusalNamesTheAction(t *testing.T) {
	w := newWorld(t, nil)
	w.sim.Books().Switch(func(s *whmcstest.Switches) { s.DenyActions = []string{"WhmcsDetails", "addorder"} })
	if err := w.Probe(t.Context()); fault.CodeOf(err) != fault.WHMCSRoleDenied || !strings.Contains(fault.TextOf(err), "WhmcsDetails") {
		t.Errorf("probe: %v shows %q", err, fault.TextOf(err))
	}
	if _, err := w.Add(t.Context(), gate(), orderID(t, 1), plan()); outcome(err) != "refused whmcs_role_denied" || !strings.Contains(fault.TextOf(err), "AddOrder") {
		t.Errorf("add: %v", err)
	}
}

func TestWrongCredentialsAndTheAccessKey(t *testing.T) {
	w := newWorld(t, nil, func(o *whmcstest.Options) { o.Secret = "other"; o.AccessKey = "k(1)" })
	if err := w.Probe(t.Context()); fault.CodeOf(err) != fault.WHMCSCredentials {
		t.Errorf("probe: %v", err)
	}
	creds := whmcs.Credentials{Identifier: "id", Secret: "other"}
	c, err := whmcs.New(whmcs.Deps{
		Credentials: func(context.Context) (whmcs.Credentials, error) { return creds, nil }, Log: slog.New(slog.DiscardHandler), Now: time.Now,
	}, whmcs.Config{BaseURL: w.url, Marker: "notes"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	w.sim.Books().Switch(func(s *whmcstest.Switches) { s.DenyIP = "198.51.100.4" })
	if err := c.Probe(t.Context()); fault.CodeOf(err) != fault.WHMCSIPDenied || !strings.Contains(fault.TextOf(err), "198.51.100.4") {
		t.Errorf("probe: %v", err)
	}
	creds.AccessKey = "k(1)" // a rotated secret is taken up by the next call
	if err := c.Probe(t.Context()); err != nil {
		t.Errorf("probe with the access key: %v", err)
	}
	for _, call := range w.sim.Journal() {
		for name, v := range call.Params {
			if strings.Contains(v, "other") || strings.Contains(v, "k(1)") || v == "id" {
				t.Errorf("the journal holds a credential under %s", name)
			}
		}
	}
}

func TestCredentialsThatCannotBeHadSendNothing(t *testing.T) {
	w := newWorld(t, nil)
	cause := errors.New("no secret today")
	c, err := whmcs.New(whmcs.Deps{
		Credentials: func(context.Context) (whmcs.Credentials, error) { return whmcs.Credentials{}, cause }, Log: slog.New(slog.DiscardHandler), Now: time.Now,
	}, whmcs.Config{BaseURL: w.url, Marker: "notes"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Add(t.Context(), gate(), orderID(t, 1), plan())
	if outcome(err) != "not sent whmcs_secret_unavailable" || !errors.Is(err, cause) {
		t.Errorf("add: %v", err)
	}
	if err := c.Probe(t.Context()); fault.CodeOf(err) != fault.WHMCSSecretUnavailable {
		t.Errorf("probe: %v", err)
	}
	if n := len(w.sim.Journal()); n != 0 {
		t.Errorf("%d calls arrived", n)
	}
}

func TestClientsAndPayMethods(t *testing.T) {
	w := newWorld(t, func(c *whmcs.Config) { c.RequirePayMethod = true })
	w.sim.SetClient(1, whmcstest.Client{Status: "Closed", PayMethods: 1})
	w.sim.SetClient(2, whmcstest.Client{Status: "missing"})
	w.sim.SetClient(3, whmcstest.Client{Status: "Inactive", PayMethods: 2})
	w.sim.SetClient(4, whmcstest.Client{Status: "Active"})
	for id, want := range map[int64]fault.Code{1: fault.WHMCSClientClosed, 2: fault.WHMCSClientNotFound, 3: "", 4: fault.PaymentMethodMissing, 5: ""} {
		if err := w.Client.Client(t.Context(), id); fault.CodeOf(err) != want {
			t.Errorf("client %d: %v, want %q", id, err, want)
		}
	}
	p := plan()
	for id, want := range map[int64]string{1: "refused whmcs_client_closed", 2: "refused whmcs_client_not_found", 4: "done"} {
		p.ClientID = id
		if _, err := w.Add(t.Context(), gate(), orderID(t, int(id)), p); outcome(err) != want {
			t.Errorf("add for client %d: %v, want %s", id, err, want)
		}
	}
	p = plan()
	p.PaymentMethod = "nonsense"
	if _, err := w.Add(t.Context(), gate(), orderID(t, 9), p); outcome(err) != "refused whmcs_rejected" {
		t.Errorf("add: %v", err)
	}
	p = plan()
	w.sim.SetProduct(11, whmcstest.Product{Missing: true})
	if _, err := w.Add(t.Context(), gate(), orderID(t, 9), p); outcome(err) != "refused whmcs_rejected" {
		t.Errorf("add: %v", err)
	}
	if found, err := w.Products(t.Context(), []int64{11}); err != nil || len(found) != 0 {
		t.Errorf("products %v, %v", found, err)
	}
}

func TestAnOldVersionTakesNoQuantity(t *testing.T) {
	for version, want := range map[string]order.QuantityRule{
		"8.11.2-release.1": order.QuantityNone, "8.12.0-release.1": order.QuantityScaling, "9.0.4-release.1": order.QuantityScaling, "10.1": order.QuantityScaling, "7.10.3": order.QuantityNone,
	} {
		w := newWorld(t, nil)
		w.sim.SetProduct(11, whmcstest.Product{AllowQty: 2})
		w.sim.Books().Switch(func(s *whmcstest.Switches) { s.Version = version })
		p, err := w.Products(t.Context(), []int64{11})
		if err != nil || p[11].Quantity != want {
			t.Errorf("%s: %+v, %v, want rule %d", version, p, err, want)
		}
	}
	// A list of products that shows allowqty is not believed by itself.
	api := func(r *http.Request) string {
		if r.FormValue("action") == "WhmcsDetails" {
			return `{"result":"success","whmcs":{"version":"8.11.0","canonicalversion":"8.11.0-release.1"}}`
		}
		return `{"result":"success","totalresults":1,"products":{"product":[{"pid":11,"name":"a","allowqty":2}]}}`
	}
	c := serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, api(r)) })
	if p, err := c.Products(t.Context(), []int64{11}); err != nil || p[11].Quantity != order.QuantityNone {
		t.Errorf("products %+v, %v", p, err)
	}
}

// serve returns a client of a handler of the test's own.
func serve(t *testing.T, h http.HandlerFunc) *whmcs.Client {
	t.Helper()
	server := httptest.NewServer(h)
	c, err := whmcs.New(quiet(), whmcs.Config{BaseURL: server.URL + "/", Marker: "notes"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); server.Close() })
	return c
}

func TestModuleFailures(t *testing.T) {
	for _, flat := range []bool{false, true} {
		for _, kind := range []string{"module-fail-active", "module-fail-mixed"} {
			w := newWorld(t, nil)
			w.sim.Books().Switch(func(s *whmcstest.Switches) { s.FlattenQueue = flat; s.NumbersAsStrings = flat })
			if err := w.sim.Fault(whmcstest.Fault{Action: "AcceptOrder", Fault: kind, Times: 2, Message: "409 O&#039;Brien exists"}); err != nil {
				t.Fatal(err)
			}
			var ids []string
			for n := range 2 {
				made, err := w.Add(t.Context(), gate(), orderID(t, n), plan(entry(11, order.Monthly, 1), entry(12, order.Monthly, 1)))
				if err != nil {
					t.Fatal(err)
				}
				if err := w.Accept(t.Context(), gate(), made); err != nil {
					t.Fatal(err)
				}
				m, _, err := w.Order(t.Context(), made, clientID)
				if err != nil {
					t.Fatal(err)
				}
				ids = []string{m.Services[0].ID, m.Services[1].ID}
			}
			want := map[string]string{ids[0]: "409 O'Brien exists", ids[1]: "409 O'Brien exists"}
			if kind == "module-fail-mixed" {
				delete(want, ids[0])
			}
			got, err := w.ModuleFailures(t.Context(), ids)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("flat %v, %s: %v, %v, want %v", flat, kind, got, err, want)
			}
			if got, err := w.ModuleFailures(t.Context(), ids[1:]); err != nil || len(got) != 1 {
				t.Errorf("one service: %v, %v", got, err)
			}
		}
	}
}

func TestLinesKeepTheirOrderBeyondTen(t *testing.T) {
	w := newWorld(t, nil, anyID)
	var entries []order.PlanEntry
	for i := range 13 {
		e := entry(int64(100+i), order.Monthly, 1)
		e.Domain = fmt.Sprintf("d%d.example", i)
		if i%3 == 0 {
			e.CustomFields = map[string]string{"5": fmt.Sprint("v+/=&", i)}
		}
		entries = append(entries, e)
	}
	made, err := w.Add(t.Context(), gate(), orderID(t, 1), plan(entries...))
	if err != nil {
		t.Fatal(err)
	}
	m, _, err := w.Order(t.Context(), made, clientID)
	if err != nil || len(m.Services) != 13 {
		t.Fatal(m, err)
	}
	for i, s := range m.Services {
		if s.ProductID != int64(100+i) {
			t.Errorf("service %d is of product %d", i, s.ProductID)
		}
	}
	for i, s := range w.sim.Orders()[0].Services {
		want := map[bool]string{true: fmt.Sprint("v+/=&", i)}[i%3 == 0]
		if s.Domain != entries[i].Domain || s.CustomFields["5"] != want {
			t.Errorf("service %d: %+v", i, s)
		}
	}
}

func TestAnOrderTooLargeForPHPIsNotSent(t *testing.T) {
	w := newWorld(t, nil)
	entries := make([]order.PlanEntry, 400)
	for i := range entries {
		entries[i] = entry(11, order.Monthly, 1)
	}
	if _, err := w.Add(t.Context(), gate(), orderID(t, 1), plan(entries...)); outcome(err) != "refused whmcs_rejected" {
		t.Errorf("add: %v", err)
	}
	if n := len(w.sim.Journal()); n != 0 {
		t.Errorf("%d calls arrived", n)
	}
}

func TestFieldsArriveAsTheyWere(t *testing.T) {
	w := newWorld(t, nil, anyID)
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		e := entry(rapid.Int64Range(1, 1<<40).Draw(t, "pid"), order.Monthly, 1)
		e.CustomFields = rapid.MapOfN(rapid.StringMatching(`[1-9][0-9]{0,5}`), rapid.StringN(0, 40, 100), 0, 5).Draw(t, "fields")
		e.Domain = rapid.StringMatching(`[a-z0-9-]{1,20}\.example`).Draw(t, "domain")
		id, err := order.ParseID(fmt.Sprintf("801Wy%010d", n))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Add(context.Background(), gate(), id, plan(e)); err != nil {
			t.Fatal(err)
		}
		o := w.sim.Books().OrdersOf(id.String())
		if len(o) != 1 || len(o[0].Services) != 1 {
			t.Fatalf("made %+v", o)
		}
		s := o[0].Services[0]
		if s.PID != e.ProductID || s.Domain != e.Domain || len(s.CustomFields) != len(e.CustomFields) {
			t.Fatalf("made %+v of %+v", s, e)
		}
		for k, v := range e.CustomFields {
			if s.CustomFields[k] != v {
				t.Fatalf("field %s is %q, want %q", k, s.CustomFields[k], v)
			}
		}
	})
}

func TestAnswersTooLargeAreNoAnswers(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, `{"result":"success","orderid":1,"x":"`+strings.Repeat("a", 5<<20)+`"}`)
	})
	if _, err := c.Add(t.Context(), gate(), orderID(t, 1), plan()); outcome(err) != "unsure whmcs_unavailable" {
		t.Errorf("add: %v", err)
	}
	if err := c.Probe(t.Context()); fault.CodeOf(err) != fault.WHMCSUnavailable {
		t.Errorf("probe: %v", err)
	}
}

func TestReadsWantWhatTheyAskedFor(t *testing.T) {
	body := ""
	c := serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, body) })
	for name, call := range map[string]func() error{
		"List":           func() error { _, _, err := list(t.Context(), c, order.Listing{ClientID: 7}); return err },
		"ListSince":      func() error { _, _, err := listSince(t.Context(), c, time.Now()); return err },
		"Order":          func() error { _, _, err := c.Order(t.Context(), "5", 7); return err },
		"Client":         func() error { return c.Client(t.Context(), 7) },
		"Products":       func() error { _, err := c.Products(t.Context(), []int64{1}); return err },
		"ModuleFailures": func() error { _, err := c.ModuleFailures(t.Context(), []string{"1"}); return err },
		"Probe":          func() error { return c.Probe(t.Context()) },
	} {
		for _, body = range []string{`{"result":"success"}`, `{"status":"success"}`, `{"result":"success","client":{"id":8,"status":"Active"},"totalresults":"x","count":3}`} {
			if err := call(); fault.CodeOf(err) != fault.WHMCSUnavailable {
				t.Errorf("%s of %s: %v", name, body, err)
			}
		}
	}
}

func TestAWrongAddressIsAConfigurationError(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) })
	if err := c.Probe(t.Context()); fault.CodeOf(err) != fault.WHMCSMisconfigured {
		t.Errorf("probe: %v", err)
	}
	c = serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://u:p@whmcs.example/includes/api.php?x=1", http.StatusMovedPermanently)
	})
	err := c.Probe(t.Context())
	if fault.CodeOf(err) != fault.WHMCSMisconfigured || !strings.Contains(fault.TextOf(err), "(https://whmcs.example/includes/api.php)") {
		t.Errorf("probe: %v shows %q", err, fault.TextOf(err))
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	for _, c := range []whmcs.Config{
		{Marker: "notes"}, {BaseURL: "whmcs.example", Marker: "notes"}, {BaseURL: "ftp://whmcs.example", Marker: "notes"},
		{BaseURL: "https://u:p@whmcs.example", Marker: "notes"}, {BaseURL: "https://whmcs.example?a=1", Marker: "notes"},
		{BaseURL: "https://whmcs.example"}, {BaseURL: "https://whmcs.example", Marker: "note"}, {BaseURL: "https://whmcs.example", Marker: "0"},
		{BaseURL: "https://whmcs.example", Marker: "12,x"}, {BaseURL: "https://whmcs.example", Marker: "notes", ReadTimeout: -1},
	} {
		if _, err := whmcs.New(quiet(), c); err == nil {
			t.Errorf("%+v was taken", c)
		}
	}
	if _, err := whmcs.New(quiet(), whmcs.Config{BaseURL: "https://whmcs.example/billing/", Marker: "12, 13"}); err != nil {
		t.Error(err)
	}
	if _, err := whmcs.New(whmcs.Deps{Log: slog.New(slog.DiscardHandler), Now: time.Now}, whmcs.Config{BaseURL: "https://whmcs.example", Marker: "notes"}); err == nil {
		t.Error("a client without credentials was made")
	}
}

func TestCredentialsAreNeverPrinted(t *testing.T) {
	c := whmcs.Credentials{Identifier: "hush", Secret: "hush", AccessKey: "hush"}
	var b strings.Builder
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "credentials", c)
	if all := fmt.Sprintf("%v %+v %#v %s", c, c, c, c) + b.String(); strings.Contains(all, "hush") {
		t.Errorf("printed as %s", all)
	}
}

func TestParseCredentials(t *testing.T) {
	for _, c := range []struct {
		name    string
		members map[string]string
		want    whmcs.Credentials // zero: refused
	}{
		{"identifier and secret", map[string]string{"identifier": "i", "secret": "s"}, whmcs.Credentials{Identifier: "i", Secret: "s"}},
		{"with an access key", map[string]string{"identifier": "i", "secret": "s", "accessKey": "k"}, whmcs.Credentials{Identifier: "i", Secret: "s", AccessKey: "k"}},
		{"without its secret", map[string]string{"identifier": "top-secret-value"}, whmcs.Credentials{}},
		{"without its identifier", map[string]string{"secret": "top-secret-value"}, whmcs.Credentials{}},
		{"empty", nil, whmcs.Credentials{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := whmcs.ParseCredentials(c.members)
			if c.want.Identifier == "" {
				if err == nil || strings.Contains(err.Error(), "top-secret-value") {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || got != c.want {
				t.Errorf("got an error %v, or other values", err)
			}
			if s := fmt.Sprintf("%v %+v %#v %s", got, got, got, got); s != "[redacted] [redacted] [redacted] [redacted]" {
				t.Errorf("printed as %s", s)
			}
		})
	}
}

// Each call is told once, by its action and by what its caller gets.
func TestCallsAreTold(t *testing.T) {
	w := newWorld(t, nil, anyID)
	var told []string
	c := newClient(t, w.url, whmcs.Deps{Now: time.Now, Called: func(action string, err error) {
		told = append(told, strings.TrimSpace(action+" "+string(fault.CodeOf(err))))
	}})
	if err := w.sim.Fault(whmcstest.Fault{Action: "GetProducts", Fault: "http-500", Times: 1}); err != nil {
		t.Fatal(err)
	}
	if err := w.sim.Fault(whmcstest.Fault{Action: "AcceptOrder", Fault: "drop-before", Times: 1}); err != nil {
		t.Fatal(err)
	}
	_ = c.Client(t.Context(), 7)
	_, _ = c.Products(t.Context(), []int64{1})
	_, _ = c.Products(t.Context(), []int64{1})
	made, err := c.Add(t.Context(), gate(), orderID(t, 1), plan())
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Accept(t.Context(), gate(), made)
	want := []string{"GetClientsDetails", "GetProducts whmcs_unavailable", "GetProducts", "AddOrder", "AcceptOrder whmcs_unavailable"}
	if !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}
