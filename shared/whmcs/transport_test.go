package whmcs_test

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"orderbridge/shared/whmcs"
)

// A front end may compress what nobody asked it to: reads and effects read it alike.
func TestACompressedAnswerIsReadByEveryCall(t *testing.T) {
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		defer z.Close()
		_, _ = io.WriteString(z, map[string]string{
			"WhmcsDetails": `{"result":"success","whmcs":{"version":"8.13.0"}}`,
			"AddOrder":     `{"result":"success","orderid":77}`,
			"AcceptOrder":  `{"result":"success"}`,
		}[r.FormValue("action")])
	})
	if err := client.Probe(t.Context()); err != nil {
		t.Errorf("read: %v", err)
	}
	if made, err := client.Add(t.Context(), gate(), orderID(t, 1), plan()); err != nil || made != "77" {
		t.Errorf("AddOrder: %q, %v", made, err)
	}
	if err := client.Accept(t.Context(), gate(), "77"); err != nil {
		t.Errorf("AcceptOrder: %v", err)
	}
}

// A connection that rested while the sandbox was frozen is not used again: the
// clock on the wall says so, the transport's own timer stood still.
func TestARestedConnectionIsNotUsedAgain(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, `{"result":"success","whmcs":{"version":"8.13.0"}}`)
	}))
	defer server.Close()
	now, dials := time.Now(), 0
	client, err := whmcs.New(whmcs.Deps{
		Credentials: func(context.Context) (whmcs.Credentials, error) {
			return whmcs.Credentials{Identifier: "i", Secret: "s"}, nil
		},
		Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return now },
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			dials++
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}, whmcs.Config{BaseURL: server.URL, Marker: whmcs.MarkerNotes})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, step := range []struct {
		later time.Duration
		dials int
	}{{0, 1}, {time.Second, 1}, {time.Minute, 2}, {time.Second, 2}} {
		now = now.Add(step.later)
		if err := client.Probe(t.Context()); err != nil || dials != step.dials {
			t.Errorf("after %s: %d connections, want %d (%v)", step.later, dials, step.dials, err)
		}
	}
}
