package whmcs_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"orderbridge/shared/whmcs"
	"orderbridge/shared/whmcs/whmcstest"
)

// tcpUserTimeout is TCP_USER_TIMEOUT of linux/tcp.h.
const tcpUserTimeout = 0x12

// Without the option the kernel sends again for minutes what the peer did not
// acknowledge, long after the window.
func TestTheKernelGivesUpAnEffectEarly(t *testing.T) {
	var conn *net.TCPConn
	var limits []int
	sim := whmcstest.New(whmcstest.Options{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, err := conn.SyscallConn()
		if err != nil {
			t.Error(err)
		}
		if err := raw.Control(func(fd uintptr) {
			ms, err := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout)
			if err != nil {
				t.Error(err)
			}
			limits = append(limits, ms)
		}); err != nil {
			t.Error(err)
		}
		sim.ServeHTTP(w, r)
	}))
	defer server.Close()
	client := newClient(t, server.URL, whmcs.Deps{Now: time.Now, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, address)
		conn, _ = c.(*net.TCPConn)
		return c, err
	}})
	made, err := client.Add(t.Context(), gate(), orderID(t, 1), plan())
	must(t, err)
	must(t, client.Accept(t.Context(), gate(), made))
	const most = 20_000 // ms, beside a window of 15 s
	if len(limits) != 2 || limits[0] < 1 || limits[0] > most || limits[1] < 1 || limits[1] > most {
		t.Errorf("the kernel gives up after %v ms, want at most %d each", limits, most)
	}
}
