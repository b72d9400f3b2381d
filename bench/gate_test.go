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
				fault: fault, kill: func() { killed++ }, seen: map[string]int{}, frozen: make(chan struct{}),
			}
			s := httptest.NewServer(g)
			defer s.Close()
			if !send(t, s, "GetOrders") || send(t, s, addOrder) || !send(t, s, addOrder) {
				t.Error("want the read answered, the first AddOrder not, the second one answered")
			}
			if served != want.served || killed != want.killed {
				t.Errorf("served %d calls and killed %d times, want %d and %d", served, killed, want.served, want.killed)
			}
		})
	}
}

func TestAWorkerIsFrozenAtTheReplyBeforeItsAddOrder(t *testing.T) {
	learn := &gate{next: http.NotFoundHandler(), seen: map[string]int{}, frozen: make(chan struct{})}
	for _, kind := range []string{"GetOrders", "GetClientsDetails", "GetOrders", addOrder, "GetOrders"} {
		learn.strikes(kind)
	}
	if want := (mark{"GetOrders", 2}); learn.before != want {
		t.Fatalf("the call before AddOrder is %v, want %v", learn.before, want)
	}
	frozen := false
	g := &gate{next: http.NotFoundHandler(), fault: faultFrozen, point: learn.before, freeze: func() { frozen = true }, seen: map[string]int{}, frozen: make(chan struct{})}
	s := httptest.NewServer(g)
	defer s.Close()
	if !send(t, s, "GetOrders") || frozen {
		t.Error("the first read is answered and freezes nothing")
	}
	if !send(t, s, "GetOrders") || !frozen {
		t.Error("the second read is answered after the worker was frozen")
	}
	select {
	case <-g.frozen:
	default:
		t.Error("the gate does not say that the worker is frozen")
	}
}
