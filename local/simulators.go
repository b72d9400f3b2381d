package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"

	"orderbridge/shared/salesforce/salesforcetest"
	"orderbridge/shared/whmcs/whmcstest"
)

// Credentials that the simulators take and the secrets hold. They open nothing
// but the simulators.
const (
	whmcsIdentifier = "local-identifier"
	whmcsSecret     = "local-secret"
	sfClientID      = "local-client"
	sfClientSecret  = "local-client-secret"
)

// simulators are the two vendors.
type simulators struct {
	whmcs      http.Handler
	salesforce http.Handler
	close      func()

	mu     sync.Mutex
	seeded []string // Salesforce order ids, in the order they were first put
}

func newSimulators(orgID string, seen *events, logf func(format string, args ...any)) (*simulators, error) {
	w := whmcstest.New(whmcstest.Options{
		Identifier: whmcsIdentifier,
		Secret:     whmcsSecret,
		Saw:        seen.sawWHMCS,
		Fail:       func(format string, args ...any) { logf("whmcs | BOOKS WRONG: "+format, args...) },
	})
	sf, err := salesforcetest.New(salesforcetest.Options{ClientID: sfClientID, ClientSecret: sfClientSecret, OrgID: orgID, Saw: seen.sawSalesforce})
	if err != nil {
		return nil, err
	}
	s := &simulators{whmcs: w, close: w.Close}
	s.salesforce = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if id, ok := strings.CutPrefix(r.URL.Path, "/_sim/orders/"); ok && r.Method == http.MethodPut {
			s.note(id)
		}
		sf.ServeHTTP(rw, r)
	})
	return s, nil
}

// maxSeeded bounds the list of the console page.
const maxSeeded = 200

func (s *simulators) note(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.seeded, id) {
		s.seeded = append(s.seeded, id)
		s.seeded = s.seeded[max(0, len(s.seeded)-maxSeeded):]
	}
}

// books are what both vendors hold, for the console page.
func (s *simulators) books(ctx context.Context) map[string]any {
	s.mu.Lock()
	ids := slices.Clone(s.seeded)
	s.mu.Unlock()
	orders := []any{}
	for _, id := range ids {
		if status, body := call(ctx, s.salesforce, http.MethodGet, "/_sim/orders/"+id, ""); status == http.StatusOK {
			orders = append(orders, map[string]any{"id": id, "order": json.RawMessage(body)})
		}
	}
	whmcs := json.RawMessage("[]")
	if status, body := call(ctx, s.whmcs, http.MethodGet, "/_sim/orders", ""); status == http.StatusOK {
		whmcs = body
	}
	return map[string]any{"salesforce": orders, "whmcs": whmcs}
}

// call asks a handler without a network between.
func call(ctx context.Context, h http.Handler, method, path, body string) (status int, answer []byte) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, method, path, strings.NewReader(body)))
	return w.Code, w.Body.Bytes()
}
