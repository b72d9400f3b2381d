package main

import (
	"bytes"
	"crypto/rand"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"orderbridge/shared/store"
	"orderbridge/shared/webhook"
)

//go:embed console
var assets embed.FS

// console serves the page at / and the local routes. Nothing of it exists in a
// deployed function.
type console struct {
	s     *system
	mux   *http.ServeMux
	table *store.Store
}

// policy lets the page load what is served here, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

func newConsole(s *system) (*console, error) {
	c := &console{s: s, mux: http.NewServeMux()}
	files, err := fs.Sub(assets, "console")
	if err != nil {
		return nil, fmt.Errorf("read the console page: %w", err)
	}
	for _, t := range s.model.Tables {
		if t.ID == "OrdersTable" {
			if c.table, err = store.New(dynamodb.NewFromConfig(s.dynamoConfig()), t.Name); err != nil {
				return nil, err
			}
		}
	}
	page := http.FileServerFS(files)
	c.mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { serveFile(w, r, page) })
	c.mux.Handle("GET /_local/console/", http.StripPrefix("/_local/console", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { serveFile(w, r, page) })))
	c.mux.HandleFunc("GET /_local/token", c.token)
	c.mux.HandleFunc("GET /_local/secret", c.secret)
	c.mux.HandleFunc("GET /_local/functions", c.functions)
	c.mux.HandleFunc("POST /_local/kill", c.kill)
	c.mux.HandleFunc("POST /_local/tick", c.tick)
	c.mux.HandleFunc("POST /_local/schedule", c.schedule)
	c.mux.HandleFunc("POST /_local/limit", c.limit)
	c.mux.HandleFunc("GET /_local/alarms", func(w http.ResponseWriter, _ *http.Request) { answer(w, s.alarms()) })
	c.mux.HandleFunc("GET /_local/orders", c.orders)
	c.mux.HandleFunc("GET /_local/orders/{id}", c.timeline)
	c.mux.HandleFunc("GET /_local/system", c.overview)
	c.mux.HandleFunc("POST /_local/operate", c.operate)
	c.mux.HandleFunc("/_local/sim/{vendor}/{route...}", c.simulator)
	c.mux.HandleFunc("PUT /_local/orders/{id}", c.seed)
	c.mux.HandleFunc("POST /_local/callout", c.callout)
	c.mux.Handle("GET /_local/hints", s.hints)
	c.mux.Handle("POST /_local/hints", s.hints)
	c.mux.Handle("GET "+issuerPath+"/", s.issuer)
	if s.db != nil {
		c.mux.Handle("/_local/dynamo", s.db.Control())
	}
	c.mux.HandleFunc("/_local/", func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusNotFound, "no such local route")
	})
	return c, nil
}

// front tells the page and the local routes from the APIs, which share a port.
func front(apis, console http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" && (r.Method == http.MethodGet || r.Method == http.MethodHead) || strings.HasPrefix(r.URL.Path, "/_local/") {
			console.ServeHTTP(w, r)
			return
		}
		apis.ServeHTTP(w, r)
	})
}

// ServeHTTP answers only callers that mean this machine: here are the secret and
// buttons to press.
func (c *console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	forThisMachine(c.mux).ServeHTTP(w, r)
}

// forThisMachine refuses a page of another origin, and one that has its name
// resolved to loopback.
func forThisMachine(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		switch host {
		case loopback, "localhost", "::1", "[::1]", bridge, "host.docker.internal":
		default:
			refuse(w, http.StatusForbidden, "only for this machine")
			return
		}
		if origin := r.Header.Get("Origin"); origin != "" && origin != "http://"+r.Host {
			refuse(w, http.StatusForbidden, "only for pages of this origin")
			return
		}
		h.ServeHTTP(w, r)
	})
}

func serveFile(w http.ResponseWriter, r *http.Request, files http.Handler) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	files.ServeHTTP(w, r)
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Cache-Control", "no-store")
	respond(w, http.StatusOK, body)
}

func refuse(w http.ResponseWriter, status int, text string) {
	respond(w, status, map[string]string{"error": text})
}

func respond(w http.ResponseWriter, status int, body any) {
	b, err := json.Marshal(body)
	if err != nil {
		status, b = http.StatusInternalServerError, []byte(`{"error":"the answer cannot be written"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // a client that went away is no error
}

// readBody reads a small JSON object; an empty body is an empty object.
func readBody(w http.ResponseWriter, r *http.Request, into any) bool {
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(into)
	if err != nil && !errors.Is(err, io.EOF) {
		refuse(w, http.StatusBadRequest, "the body is not the JSON object that is wanted")
		return false
	}
	return true
}

func (c *console) token(w http.ResponseWriter, r *http.Request) {
	claim := "sf_account_id"
	for _, f := range c.s.model.Functions {
		env := environment(f, c.s.at, c.s.settings)
		if v := env["PORTAL_ACCOUNT_CLAIM"]; v != "" {
			claim = v
		}
	}
	q := r.URL.Query()
	if q.Get("account") == "" && q.Get("scope") == "" {
		refuse(w, http.StatusBadRequest, "account is missing")
		return
	}
	t, err := c.s.issuer.token(claim, q.Get("account"), q.Get("scope"))
	if err != nil {
		refuse(w, http.StatusInternalServerError, "the token could not be signed")
		return
	}
	answer(w, map[string]string{"token": t})
}

// webhookSecret is the secret that callouts are signed with now.
func (c *console) webhookSecret() string {
	for _, sec := range c.s.model.Secrets {
		if sec.ID == "WebhookSecret" {
			return c.s.secrets.Value(sec.ARN)
		}
	}
	return ""
}

func (c *console) secret(w http.ResponseWriter, _ *http.Request) {
	answer(w, map[string]string{"secret": c.webhookSecret()})
}

func (c *console) functions(w http.ResponseWriter, _ *http.Request) {
	answer(w, c.s.host.Stats())
}

func (c *console) kill(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Function string `json:"function"`
	}
	if !readBody(w, r, &in) {
		return
	}
	n, err := c.s.host.Kill(in.Function)
	if err != nil {
		refuse(w, http.StatusNotFound, fmt.Sprintf("no function is called %.60q", in.Function))
		return
	}
	answer(w, map[string]any{"function": in.Function, "killed": n})
}

// tick fires the clock, or the schedule that is named.
func (c *console) tick(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Schedule string `json:"schedule"`
	}
	if !readBody(w, r, &in) {
		return
	}
	fired := []string{}
	for _, s := range c.s.model.Schedules {
		if (in.Schedule == "" && s.Every == time.Minute || in.Schedule == s.ID) && c.s.clock.Fire(s.ID) {
			fired = append(fired, s.ID)
		}
	}
	if len(fired) == 0 {
		refuse(w, http.StatusNotFound, fmt.Sprintf("no schedule is called %.60q", in.Schedule))
		return
	}
	answer(w, map[string]any{"fired": fired})
}

// schedule switches the clock, or the schedule that is named, on or off.
func (c *console) schedule(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Schedule string `json:"schedule"`
		On       bool   `json:"on"`
	}
	if !readBody(w, r, &in) {
		return
	}
	switched := []string{}
	for _, s := range c.s.model.Schedules {
		if (in.Schedule == "" && s.Every == time.Minute || in.Schedule == s.ID) && c.s.clock.Switch(s.ID, in.On) {
			switched = append(switched, s.ID)
		}
	}
	if len(switched) == 0 {
		refuse(w, http.StatusNotFound, fmt.Sprintf("no schedule is called %.60q", in.Schedule))
		return
	}
	answer(w, map[string]any{"on": in.On, "switched": switched})
}

// limit throttles a function, or does so no longer.
func (c *console) limit(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Function string `json:"function"`
		Most     *int   `json:"most"`
	}
	if !readBody(w, r, &in) {
		return
	}
	most := -1
	if in.Most != nil {
		most = max(*in.Most, 0)
	}
	if err := c.s.host.Limit(in.Function, most); err != nil {
		refuse(w, http.StatusNotFound, fmt.Sprintf("no function is called %.60q", in.Function))
		return
	}
	answer(w, map[string]any{"function": in.Function, "most": in.Most})
}

func (c *console) orders(w http.ResponseWriter, r *http.Request) {
	answer(w, c.s.sims.books(r.Context()))
}

// seed hands an order to the Salesforce simulator.
func (c *console) seed(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<16))
	if err != nil {
		refuse(w, http.StatusBadRequest, "the body is too large")
		return
	}
	status, out := call(r.Context(), c.s.sims.salesforce, http.MethodPut, "/_sim/orders/"+url.PathEscape(r.PathValue("id")), string(body))
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(out)
}

// callout signs and sends what Salesforce would.
func (c *console) callout(w http.ResponseWriter, r *http.Request) {
	var in struct {
		OrderID string `json:"orderId"`
	}
	if !readBody(w, r, &in) {
		return
	}
	now := time.Now().UTC().Format("2006-01-02T15:04:05.000Z")
	nonce := rand.Text()
	signed := map[string]string{"orderId": in.OrderID, "timestamp": now, "nonce": nonce}
	if org, ok := c.s.settings.lookup("SF_ORG_ID"); ok && org != "" {
		signed["organizationId"] = org
	}
	// As Salesforce's package does, so that the customer sees the order at once.
	var of struct{ Fields struct{ AccountID string } }
	if status, seeded := call(r.Context(), c.s.sims.salesforce, http.MethodGet, "/_sim/orders/"+url.PathEscape(in.OrderID), ""); status == http.StatusOK && json.Unmarshal(seeded, &of) == nil {
		signed["accountId"] = of.Fields.AccountID
	}
	body, err := json.Marshal(signed)
	if err != nil {
		refuse(w, http.StatusBadRequest, "the order id cannot be written")
		return
	}
	req, err := http.NewRequestWithContext(r.Context(), http.MethodPost, c.s.at.api+"/orders/"+url.PathEscape(in.OrderID)+"/fulfill", bytes.NewReader(body))
	if err != nil {
		refuse(w, http.StatusBadRequest, "the order id does not fit into an address")
		return
	}
	h := req.Header
	h.Set("Content-Type", "application/json")
	h.Set("X-SF-Signature", webhook.Sign([]byte(c.webhookSecret()), body))
	h.Set("X-SF-Timestamp", now)
	h.Set("X-SF-Nonce", nonce)
	h.Set("Idempotency-Key", rand.Text())
	h.Set("Prefer", "respond-async")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		refuse(w, http.StatusBadGateway, "the callout did not get an answer")
		return
	}
	defer res.Body.Close()
	out, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		refuse(w, http.StatusBadGateway, "the callout's answer broke off")
		return
	}
	if !json.Valid(out) {
		if out, err = json.Marshal(string(out)); err != nil {
			refuse(w, http.StatusBadGateway, "the callout's answer cannot be shown")
			return
		}
	}
	answer(w, map[string]any{"status": res.StatusCode, "body": json.RawMessage(out)})
}
