package salesforce_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
	"orderbridge/shared/provision"
	"orderbridge/shared/salesforce"
	"orderbridge/shared/salesforce/salesforcetest"
)

var _ provision.Orders = (*salesforce.Client)(nil)

const (
	clientID = "3MVG9-test-client"
	secret   = "9205371918321623741-test"
	username = "bridge@example.invalid"
	orgID    = "00Dxx0000001gPLEAY"
	account  = "001xx000003DGb2AAG"
)

type world struct {
	t    *testing.T
	sim  *salesforcetest.Sim
	log  *bytes.Buffer
	mu   sync.Mutex
	now  time.Time
	cred salesforce.Credentials
	seen []salesforce.Usage
	told []string // calls, each with the code of its error
}

func newWorld(t *testing.T, opt salesforcetest.Options) *world {
	t.Helper()
	w := &world{t: t, log: &bytes.Buffer{}, now: time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)}
	w.cred = salesforce.Credentials{ClientID: clientID, ClientSecret: secret}
	opt.ClientID, opt.ClientSecret, opt.Username, opt.OrgID, opt.Now = clientID, secret, username, orgID, w.clock
	sim, err := salesforcetest.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	w.sim = sim
	return w
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *world) client(change ...func(*salesforce.Config)) *salesforce.Client {
	w.t.Helper()
	cfg := salesforce.Config{LoginURL: "http://127.0.0.1:8082", APIVersion: "67.0", OrgID: orgID}
	for _, f := range change {
		f(&cfg)
	}
	c, err := salesforce.New(salesforce.Deps{
		HTTP:        &http.Client{Transport: w.sim.Transport()},
		Credentials: func(context.Context) (salesforce.Credentials, error) { return w.cred, nil },
		Now:         w.clock,
		Log:         slog.New(slog.NewTextHandler(w.log, nil)),
		Called: func(action string, err error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.told = append(w.told, strings.TrimSpace(action+" "+string(fault.CodeOf(err))))
		},
		Usage: func(u salesforce.Usage) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.seen = append(w.seen, u)
		},
	}, cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func id(n int) order.ID {
	i, err := order.ParseID(fmt.Sprintf("801%012d", n))
	if err != nil {
		panic(err)
	}
	return i
}

func (w *world) put(n int, seed salesforcetest.Seed) order.ID {
	w.t.Helper()
	if err := w.sim.PutOrder(id(n).String(), seed); err != nil {
		w.t.Fatal(err)
	}
	return id(n)
}

func (w *world) fault(f salesforcetest.Fault) {
	w.t.Helper()
	if err := w.sim.Fault(f); err != nil {
		w.t.Fatal(err)
	}
}

func good() salesforcetest.Seed {
	return salesforcetest.Seed{AccountID: account[:15], AccountName: "Acme", WHMCSClientID: 7, Items: []salesforcetest.SeedItem{
		{WHMCSProductID: 11, BillingCycle: "Monthly", Quantity: 1},
		{WHMCSProductID: "12", BillingCycle: "One-time", Quantity: 3},
	}}
}

func wantCode(t *testing.T, err error, want fault.Code) {
	t.Helper()
	if got := fault.CodeOf(err); got != want {
		t.Fatalf("code = %q (%v), want %q", got, err, want)
	}
}

func TestLoadMapsTheOrder(t *testing.T) {
	w := newWorld(t, salesforcetest.Options{})
	oid := w.put(1, good())
	req, err := w.client().Load(t.Context(), oid)
	if err != nil {
		t.Fatal(err)
	}
	if req.ID != oid || req.AccountID != account || req.ClientID != 7 || req.WHMCSOrderID != "" || len(req.Lines) != 2 {
		t.Fatalf("request = %+v", req)
	}
	for i, want := range []order.Line{
		{ProductID: 11, Cycle: order.Monthly, Quantity: 1},
		{ProductID: 12, Cycle: order.OneTime, Quantity: 3},
	} {
		got := req.Lines[i]
		if got.ProductID != want.ProductID || got.Cycle != want.Cycle || got.Quantity != want.Quantity || !strings.HasPrefix(got.ItemID, "802") || len(got.ItemID) != 18 {
			t.Errorf("line %d = %+v, want %+v", i, got, want)
		}
	}
}

func TestLoadFollowsThePagesOfTheSubquery(t *testing.T) {
	w := newWorld(t, salesforcetest.Options{ChildPageSize: 3})
	seed := good()
	seed.Items = nil
	for i := range 10 {
		seed.Items = append(seed.Items, salesforcetest.SeedItem{WHMCSProductID: 100 + i, BillingCycle: "Annually", Quantity: 1})
	}
	req, err := w.client().Load(t.Context(), w.put(1, seed))
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range req.Lines {
		if l.ProductID != int64(100+i) {
			t.Errorf("line %d is product %d", i, l.ProductID)
		}
	}
	if len(req.Lines) != 10 || w.sim.APICalls() != 4 {
		t.Fatalf("%d lines in %d calls, want 10 in 4", len(req.Lines), w.sim.APICalls())
	}
}

func TestLoadReadsOptionalFieldsOnlyWhenConfigured(t *testing.T) {
	w := newWorld(t, salesforcetest.Options{})
	seed := good()
	seed.Fields = map[string]any{"Promo_Code__c": "SPRING", "WHMCS_Order_ID__c": "991"}
	seed.Items[0].Fields = map[string]any{"Domain__c": "example.invalid", "Hostname__c": "h1", "WHMCS_Custom_Fields__c": `{"5":"blue","6":7}`, "WHMCS_Config_Options__c": `{"9":true}`}
	oid := w.put(1, seed)
	plain, err := w.client().Load(t.Context(), oid)
	if err != nil || plain.PromoCode != "" || plain.Lines[0].Domain != "" || plain.WHMCSOrderID != "991" {
		t.Fatalf("without optional fields: %+v, %v", plain, err)
	}
	all := salesforce.Optional{PromoCode: "Promo_Code__c", CustomFields: "WHMCS_Custom_Fields__c", ConfigOptions: "WHMCS_Config_Options__c", Domain: "Domain__c", Hostname: "Hostname__c"}
	req, err := w.client(func(c *salesforce.Config) { c.Optional = all }).Load(t.Context(), oid)
	if err != nil {
		t.Fatal(err)
	}
	l := req.Lines[0]
	if req.PromoCode != "SPRING" || l.Domain != "example.invalid" || l.Hostname != "h1" || l.CustomFields["5"] != "blue" || l.CustomFields["6"] != "7" || l.ConfigOptions["9"] != "true" {
		t.Fatalf("with optional fields: %+v", req)
	}
	seed.Items[1].Fields = map[string]any{"WHMCS_Custom_Fields__c": "[1]"}
	w.put(1, seed)
	_, err = w.client(func(c *salesforce.Config) { c.Optional = all }).Load(t.Context(), oid)
	wantCode(t, err, fault.ProductNotMapped)
}

func TestLoadOfAnOrgWithoutAConfiguredFieldIsAMatterOfTheInstallation(t *testing.T) {
	w := newWorld(t, salesforcetest.Options{})
	oid := w.put(1, good())
	_, err := w.client(func(c *salesforce.Config) { c.Optional.PromoCode = "Promo_Code__c" }).Load(t.Context(), oid)
	wantCode(t, err, fault.SalesforcePermission)
	if !strings.Contains(err.Error(), "Promo_Code__c") {
		t.Fatalf("error does not name the field: %v", err)
	}
}

func TestLoadRefusals(t *testing.T) {
	item := func(pid, cycle, quantity any) []salesforcetest.SeedItem {
		return []salesforcetest.SeedItem{{WHMCSProductID: pid, BillingCycle: cycle, Quantity: quantity, ProductName: "Mail"}}
	}
	for name, c := range map[string]struct {
		change func(*salesforcetest.Seed)
		code   fault.Code
		says   string
		noAcc  bool
	}{
		"no account":                 {func(s *salesforcetest.Seed) { s.AccountID = "" }, fault.AccountNotMapped, "account", true},
		"account without client":     {func(s *salesforcetest.Seed) { s.WHMCSClientID = nil }, fault.AccountNotMapped, "Acme", false},
		"account with a word":        {func(s *salesforcetest.Seed) { s.WHMCSClientID = "seven" }, fault.AccountNotMapped, "seven", false},
		"account with a fraction":    {func(s *salesforcetest.Seed) { s.WHMCSClientID = 7.5 }, fault.AccountNotMapped, "7.5", false},
		"account with zero":          {func(s *salesforcetest.Seed) { s.WHMCSClientID = 0 }, fault.AccountNotMapped, "Acme", false},
		"account hidden":             {func(s *salesforcetest.Seed) { s.AccountHidden = true }, fault.SalesforcePermission, "", false},
		"reduction order":            {func(s *salesforcetest.Seed) { s.Fields = map[string]any{"IsReductionOrder": true} }, fault.ReductionOrder, "", false},
		"no lines":                   {func(s *salesforcetest.Seed) { s.Items = nil }, fault.OrderEmpty, "", false},
		"product without id":         {func(s *salesforcetest.Seed) { s.Items = item(nil, "monthly", 1) }, fault.ProductNotMapped, "Mail", false},
		"product with a word":        {func(s *salesforcetest.Seed) { s.Items = item("x1", "monthly", 1) }, fault.ProductNotMapped, "Mail", false},
		"unknown billing cycle":      {func(s *salesforcetest.Seed) { s.Items = item(1, "weekly", 1) }, fault.BillingCycleInvalid, "weekly", false},
		"no billing cycle":           {func(s *salesforcetest.Seed) { s.Items = item(1, nil, 1) }, fault.BillingCycleInvalid, "Mail", false},
		"half a piece":               {func(s *salesforcetest.Seed) { s.Items = item(1, "monthly", 1.5) }, fault.QuantityInvalid, "1.5", false},
		"no piece":                   {func(s *salesforcetest.Seed) { s.Items = item(1, "monthly", 0) }, fault.QuantityInvalid, "Mail", false},
		"minus one piece":            {func(s *salesforcetest.Seed) { s.Items = item(1, "monthly", -1) }, fault.QuantityInvalid, "Mail", false},
		"more pieces than are sound": {func(s *salesforcetest.Seed) { s.Items = item(1, "monthly", 1e15) }, fault.QuantityInvalid, "Mail", false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, salesforcetest.Options{})
			seed := good()
			c.change(&seed)
			oid := w.put(1, seed)
			req, err := w.client().Load(t.Context(), oid)
			wantCode(t, err, c.code)
			if !strings.Contains(fault.TextOf(err), c.says) {
				t.Errorf("message %q does not say %q", fault.TextOf(err), c.says)
			}
			if n := len([]rune(fault.TextOf(err))); n > 255 {
				t.Errorf("message of %d runes", n)
			}
			if want := account; (req.AccountID == want) == c.noAcc {
				t.Errorf("AccountID = %q", req.AccountID)
			}
		})
	}
}

// An account that is hidden is the fault of its order, unless all are.
func TestAHiddenAccountIsJudgedBesideOthers(t *testing.T) {
	w := newWorld(t, salesforcetest.Options{})
	put := func(n int, hidden bool, seq any) order.ID {
		seed := good()
		seed.AccountHidden = hidden
		seed.Fields = map[string]any{"Provisioning_Seq__c": seq}
		return w.put(n, seed)
	}
	own := put(1, true, nil)
	put(2, true, 5)
	put(3, false, 5)
	client := w.client()
	_, err := client.Load(t.Context(), own)
	wantCode(t, err, fault.AccountNotReadable)
	if !strings.Contains(fault.TextOf(err), account) {
		t.Errorf("%q does not name the account", fault.TextOf(err))
	}
	wantCode(t, client.Probe(t.Context()), "")
	put(3, true, 5)
	_, err = client.Load(t.Context(), own)
	wantCode(t, err, fault.SalesforcePermission)
	wantCode(t, client.Probe(t.Context()), fault.SalesforcePermission)
}

func TestLoadOfAnAbsentOrder(t *testing.T) {
	w := newWorld(t, salesforcetest.Options{})
	_, err := w.client().Load(t.Context(), id(404))
	wantCode(t, err, fault.OrderNotFound)
}

func TestBillingCyclesAreReadWithoutRegardToCase(t *testing.T) {
	for in, want := range map[string]order.Cycle{
		"Monthly": "monthly", "ONETIME": "onetime", "Onetime": "onetime", "One-time": "onetime", "one-Time": "onetime", "quarterly": "quarterly",
		"SemiAnnually": "semiannually", "Annually": "annually", "Biennially": "biennially", "triennially": "triennially", " Free ": "free",
	} {
		w := newWorld(t, salesforcetest.Options{})
		seed := good()
		seed.Items = []salesforcetest.SeedItem{{WHMCSProductID: 1, BillingCycle: in, Quantity: 1}}
		req, err := w.client().Load(t.Context(), w.put(1, seed))
		if err != nil || req.Lines[0].Cycle != want {
			t.Errorf("%q is %+v, %v", in, req.Lines, err)
		}
	}
}

func rsaKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestJWTBearerLogsIn(t *testing.T) {
	key := rsaKey(t)
	w := newWorld(t, salesforcetest.Options{PublicKey: &key.PublicKey})
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	w.cred, err = salesforce.ParseCredentials(map[string]string{"clientId": clientID, "username": username, "privateKey": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.client().Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*salesforce.Credentials){
		"another key":  func(c *salesforce.Credentials) { c.PrivateKey = rsaKey(t) },
		"another user": func(c *salesforce.Credentials) { c.Username = "x" },
		"another app":  func(c *salesforce.Credentials) { c.ClientID = "x" },
	} {
		t.Run(name, func(t *testing.T) {
			before := w.cred
			defer func() { w.cred = before }()
			spoil(&w.cred)
			wantCode(t, w.client().Probe(t.Context()), fault.SalesforceCredentials)
		})
	}
}

func TestParseCredentialsRefusals(t *testing.T) {
	for says, in := range map[string]map[string]string{
		"has no clientId": {"clientSecret": "hush"},
		"neither":         {"clientId": "a"},
		"both":            {"clientId": "a", "clientSecret": "hush", "username": "u"},
		"no privateKey":   {"clientId": "a", "username": "u"},
		"no username":     {"clientId": "a", "privateKey": "hush"},
		"-----BEGIN":      {"clientId": "a", "username": "u", "privateKey": "hush"},
	} {
		_, err := salesforce.ParseCredentials(in)
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "hush") {
			t.Errorf("got %v, want %q", err, says)
		}
	}
	if c, err := salesforce.ParseCredentials(map[string]string{"clientId": "a", "clientSecret": "b"}); err != nil || c.ClientSecret != "b" {
		t.Errorf("good credentials: %+v, %v", c, err)
	}
}

func TestValidateGrantRefusesSharedLoginHostsForClientCredentials(t *testing.T) {
	for _, host := range []string{"https://login.salesforce.com", "https://test.salesforce.com", "https://TEST.salesforce.com"} {
		err := salesforce.ValidateGrant(host, salesforce.Credentials{ClientID: "a", ClientSecret: "b"})
		wantCode(t, err, fault.ConfigurationInvalid)
		if !strings.Contains(err.Error(), "SF_LOGIN_URL") || strings.Contains(err.Error(), "\n") {
			t.Errorf("not one line that names SF_LOGIN_URL: %v", err)
		}
		if err := salesforce.ValidateGrant(host, salesforce.Credentials{ClientID: "a", Username: "u", PrivateKey: rsaKey(t)}); err != nil {
			t.Errorf("JWT at %s: %v", host, err)
		}
	}
	if err := salesforce.ValidateGrant("https://acme.my.salesforce.com", salesforce.Credentials{ClientID: "a", ClientSecret: "b"}); err != nil {
		t.Error(err)
	}
}

func TestLoginRefusedIsNotRepeatedAtOnce(t *testing.T) {
	w := newWorld(t, salesforcetest.Options{})
	w.cred.ClientSecret = "wrong"
	c := w.client()
	for range 20 {
		wantCode(t, c.Probe(t.Context()), fault.SalesforceCredentials)
	}
	if n := w.sim.Logins(); n != 1 {
		t.Fatalf("%d logins, want 1", n)
	}
	w.cred.ClientSecret = secret
	w.pass(11 * time.Second)
	if err := c.Probe(t.Context()); err != nil {
		t.Fatalf("after the credentials were corrected: %v", err)
	}
}

func TestAnotherOrgIsRefused(t *testing.T) {
	w := newWorld(t, salesforcetest.Options{})
	err := w.client(func(c *salesforce.Config) { c.OrgID = "00Dxx0000009999" }).Probe(t.Context())
	wantCode(t, err, fault.SalesforceCredentials)
	if !strings.Contains(fault.TextOf(err), "SF_ORG_ID") {
		t.Errorf("message does not name SF_ORG_ID: %q", fault.TextOf(err))
	}
	if err := w.client(func(c *salesforce.Config) { c.OrgID = orgID[:15] }).Probe(t.Context()); err != nil {
		t.Errorf("15-character form: %v", err)
	}
}

func TestExpiredSessionsAreRenewedOnceForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, salesforcetest.Options{})
		c := w.client()
		if err := c.Probe(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.sim.ExpireSessions()
		w.fault(salesforcetest.Fault{Action: "token", Fault: "slow", Times: 100})
		var all sync.WaitGroup
		errs := make([]error, 50)
		for i := range errs {
			all.Go(func() { errs[i] = c.Probe(t.Context()) })
		}
		all.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		if n := w.sim.Logins(); n != 2 {
			t.Fatalf("%d logins, want 2", n)
		}
	})
}

func TestASessionThatEndsAgainAtOnceMakesNoLoginStorm(t *testing.T) {
	w := newWorld(t, salesforcetest.Options{})
	w.fault(salesforcetest.Fault{Action: "query", Fault: "session-expired", Times: 1000})
	c := w.client()
	for range 100 {
		wantCode(t, c.Probe(t.Context()), fault.SalesforceSession)
	}
	if n := w.sim.Logins(); n > 5 {
		t.Fatalf("%d logins in an instant", n)
	}
	w.sim.ClearFaults()
	w.pass(time.Minute)
	if err := c.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestClassificationOfWholeCalls(t *testing.T) {
	for _, c := range []struct {
		action, fault string
		want          fault.Code
	}{
		{"token", "drop-before", fault.SalesforceUnavailable},
		{"token", "http-500", fault.SalesforceUnavailable},
		{"token", "html-503", fault.SalesforceUnavailable},
		{"token", "blank-200", fault.SalesforceUnavailable},
		{"token", "commit-then-drop", fault.SalesforceUnavailable},
		{"token", "bad-credentials", fault.SalesforceCredentials},
		{"token", "forbidden-ip", fault.SalesforceCredentials},
		{"token", "role-denied", fault.SalesforceCredentials},
		{"query", "drop-before", fault.SalesforceUnavailable},
		{"query", "http-500", fault.SalesforceUnavailable},
		{"query", "html-503", fault.SalesforceUnavailable},
		{"query", "blank-200", fault.SalesforceUnavailable},
		{"query", "commit-then-drop", fault.SalesforceUnavailable},
		{"query", "role-denied", fault.SalesforcePermission},
		{"query", "limit-exceeded", fault.SalesforceLimit},
	} {
		t.Run(c.action+" "+c.fault, func(t *testing.T) {
			w := newWorld(t, salesforcetest.Options{})
			oid := w.put(1, good())
			w.fault(salesforcetest.Fault{Action: c.action, Fault: c.fault})
			_, err := w.client().Load(t.Context(), oid)
			wantCode(t, err, c.want)
			if j := w.sim.Journal(); j[len(j)-1].Fault != c.fault {
				t.Errorf("journal: %+v", j)
			}
		})
	}
}

func TestATimeOutIsUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, salesforcetest.Options{})
		oid := w.put(1, good())
		w.fault(salesforcetest.Fault{Action: "query", Fault: "slow", Delay: time.Hour})
		_, err := w.client(func(c *salesforce.Config) { c.Timeout = 5 * time.Second }).Load(t.Context(), oid)
		wantCode(t, err, fault.SalesforceUnavailable)
		time.Sleep(2 * time.Hour) // virtual: the simulator's goroutine ends
	})
}

func TestTheBrakeSpacesCallsAboveNineTenthsOfTheLimit(t *testing.T) {
	w := newWorld(t, salesforcetest.Options{})
	c := w.client()
	w.sim.SetUsage(13600, 15000)
	if err := c.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	if u := w.seen[0]; u.Used != 13601 || u.Limit != 15000 {
		t.Fatalf("usage = %+v", u)
	}
	before := w.sim.APICalls()
	wantCode(t, c.Probe(t.Context()), fault.SalesforceLimit)
	if n := w.sim.APICalls(); n != before {
		t.Fatalf("%d calls while braked", n-before)
	}
	w.pass(30 * time.Second)
	w.sim.SetUsage(100, 15000)
	for range 3 {
		if err := c.Probe(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAnExceededLimitIsNotAskedAgainAtOnce(t *testing.T) {
	w := newWorld(t, salesforcetest.Options{})
	w.sim.SetUsage(15000, 15000)
	c := w.client()
	for range 10 {
		wantCode(t, c.Probe(t.Context()), fault.SalesforceLimit)
	}
	if n := w.sim.APICalls(); n != 1 {
		t.Fatalf("%d calls, want 1", n)
	}
	w.pass(6 * time.Second)
	wantCode(t, c.Probe(t.Context()), fault.SalesforceLimit)
	w.pass(6 * time.Second)
	wantCode(t, c.Probe(t.Context()), fault.SalesforceLimit)
	if n := w.sim.APICalls(); n != 2 {
		t.Fatalf("%d calls after two waits of 6 s, want 2: the second wait doubles", n)
	}
}

func TestParseUsage(t *testing.T) {
	for in, want := range map[string]salesforce.Usage{
		"api-usage=18/15000": {Used: 18, Limit: 15000},
		"api-usage=25/5000; per-app-api-usage=17/250(appName=sample)":  {Used: 25, Limit: 5000},
		"per-app-api-usage=17/250(appName=sample); api-usage=25/5000 ": {Used: 25, Limit: 5000},
	} {
		if got, ok := salesforce.ParseUsage(in); !ok || got != want {
			t.Errorf("%q: %+v, %v", in, got, ok)
		}
	}
	for _, in := range []string{"", "api-usage=", "api-usage=1", "api-usage=a/b", "api-usage=1/0", "per-app-api-usage=17/250"} {
		if got, ok := salesforce.ParseUsage(in); ok {
			t.Errorf("%q: %+v", in, got)
		}
	}
}

func TestNothingSecretIsLogged(t *testing.T) {
	w := newWorld(t, salesforcetest.Options{})
	c := w.client()
	w.fault(salesforcetest.Fault{Action: "query", Fault: "html-503"})
	err := c.Probe(t.Context())
	if err == nil {
		t.Fatal("no error")
	}
	for _, s := range []string{secret, "maintenance", "Bearer"} {
		if strings.Contains(w.log.String()+err.Error(), s) {
			t.Errorf("%q in log or error: %v %s", s, err, w.log)
		}
	}
}

func TestCredentialsAreNeverPrinted(t *testing.T) {
	c := salesforce.Credentials{ClientID: "hush", ClientSecret: "hush", Username: "hush"}
	var b strings.Builder
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "credentials", c)
	if all := fmt.Sprintf("%v %+v %#v %s", c, c, c, c) + b.String(); strings.Contains(all, "hush") {
		t.Errorf("printed as %s", all)
	}
}

// Each call is told once, by the resource of the API and by what its caller gets.
func TestCallsAreTold(t *testing.T) {
	w := newWorld(t, salesforcetest.Options{})
	c := w.client()
	order := w.put(1, salesforcetest.Seed{AccountID: "001000000000001", WHMCSClientID: 7, Items: []salesforcetest.SeedItem{{WHMCSProductID: 1, BillingCycle: "monthly", Quantity: 1}}})
	_, _ = c.Load(t.Context(), order)
	w.fault(salesforcetest.Fault{Action: "query", Fault: "html-503", Times: 1})
	_, _ = c.Load(t.Context(), order)
	if want := []string{"token", "query", "query salesforce_unavailable"}; !slices.Equal(w.told, want) {
		t.Errorf("told %q, want %q", w.told, want)
	}
}
