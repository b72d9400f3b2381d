package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// send makes one call through a gate and reports whether it was answered.
func send(t *testing.T, s *httptest.Server, action string) bool {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/includes/api.php", strings.NewReader("action="+action))
	if err != nil {
		t.Fatal(err)
	}
	r.Close = true // a client that keeps connections would send again
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return false
	}
	return res.Body.Close() == nil
}

func TestAGateStrikesOnceAtAddOrder(t *testing.T) {
	for fault, want := range map[string]struct{ served, killed int }{
		faultKillBefore: {served: 2, killed: 1}, // the read, and the second AddOrder
		faultKillAfter:  {served: 3, killed: 1},
		faultLostReply:  {served: 3},
	} {
		t.Run(fault, func(t *testing.T) {
			served, killed := 0, 0
			g := &gate{
				next:  http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served++ }),
				fault: fault, kill: func() { killed++ }, frozen: make(chan struct{}),
			}
			s := httptest.NewServer(g)
			defer s.Close()
			if !send(t, s, "GetOrders") || send(t, s, callAdd) || !send(t, s, callAdd) {
				t.Error("want the read answered, the first AddOrder not, the second one answered")
			}
			if served != want.served || killed != want.killed {
				t.Errorf("served %d calls and killed %d times, want %d and %d", served, killed, want.served, want.killed)
			}
		})
	}
}

func TestAWorkerIsFrozenAtTheAnswerBeforeItsAddOrder(t *testing.T) {
	stamp := func(point string) string { return `{"Item":{"point":{"S":"` + point + `"}}}` }
	for _, c := range []struct {
		target, path, body, want string
	}{
		{"DynamoDB_20120810.PutItem", "/", stamp("adding"), callStamp},
		{"DynamoDB_20120810.PutItem", "/", stamp("none"), ""},
		{"", "/services/data/v67.0/query", "", callQuery},
		{"", "/services/oauth2/token", "grant_type=client_credentials", ""},
		{"", "/includes/api.php", "action=AddOrder", callAdd},
		{"", "/includes/api.php", "action=AcceptOrder", ""},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, c.path, nil)
		r.Header.Set("X-Amz-Target", c.target)
		if got := kindOf(r, []byte(c.body)); got != c.want {
			t.Errorf("%s %s %s is of kind %q, want %q", c.target, c.path, c.body, got, c.want)
		}
	}
	// A call that takes longer than its caller waits is made again meanwhile: what is
	// stopped later has gone on.
	stopped, served := false, false
	next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served = stopped
		http.NotFound(w, r)
	})
	g := &gate{next: next, fault: faultFrozen, point: callQuery, freeze: func() { stopped = true }, frozen: make(chan struct{})}
	w := httptest.NewRecorder()
	g.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/services/data/v67.0/query", nil))
	if !served {
		t.Error("the call was carried out before the stop")
	}
	if !stopped || w.Code != http.StatusNotFound {
		t.Errorf("stopped: %v, answered %d; want the answer to come after the stop", stopped, w.Code)
	}
	select {
	case <-g.frozen:
	default:
		t.Error("the gate does not say that the worker is frozen")
	}
}
