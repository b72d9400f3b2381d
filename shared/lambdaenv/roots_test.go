package lambdaenv

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// The public keys that Amazon Trust Services lists as those of its roots
// (www.amazontrust.com/repository, "SHA-256 Hash of Subject Public Key
// Information").
func TestTheRootsAreAmazons(t *testing.T) {
	want := []string{
		"fbe3018031f9586bcbf41727e417b7d1c45c2f47f93be372a17b96b50757d5a2",
		"7f4296fc5b6a4e3b35d3c369623e364ab1af381d8fa7121533c9d6c633ea2461",
		"36abc32656acfc645c61b71613c4bf21c787f5cabbee48348d58597803d7abc9",
		"f7ecded5c66047d28ed6466b543c40e0743abe81d109254dcf845d4c2c7853c5",
		"2b071c59a0a0ae76b0eadb2bad23bad4580b69c3601b630c2eaf0613afa83f92",
	}
	var got []string
	for rest := amazonRoots; len(bytes.TrimSpace(rest)) > 0; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			t.Fatal("not PEM")
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
		got = append(got, hex.EncodeToString(sum[:]))
		if !c.IsCA || c.CheckSignatureFrom(c) != nil {
			t.Errorf("%s is not a root", c.Subject)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

// A server is trusted if its certificate is under the first roots or under those
// of the system, and otherwise not.
func TestWhoIsTrusted(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	own := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	pool := func(certs []byte) *x509.CertPool {
		p := x509.NewCertPool()
		p.AppendCertsFromPEM(certs)
		return p
	}
	none := x509.UnknownAuthorityError{}
	for name, c := range map[string]struct {
		first, system []byte
		refused       bool
	}{
		"by the first":    {own, nil, false},
		"by the system":   {amazonRoots, own, false},
		"by both":         {own, own, false},
		"by none":         {amazonRoots, amazonRoots, true},
		"by none at all":  {nil, nil, true},
		"first is broken": {[]byte("x"), own, false},
	} {
		t.Run(name, func(t *testing.T) {
			tr := &http.Transport{DialContext: (&net.Dialer{}).DialContext, TLSClientConfig: &tls.Config{RootCAs: pool(c.system)}, ForceAttemptHTTP2: true} //nolint:gosec // a client's default
			trustFirst(tr, c.first)
			defer tr.CloseIdleConnections()
			client := &http.Client{Transport: tr}
			for range 2 {
				res, err := client.Get(server.URL)
				if c.refused {
					if !errors.As(err, &none) {
						t.Fatalf("got %v, want an unknown authority", err)
					}
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				proto, _ := io.ReadAll(res.Body)
				res.Body.Close()
				if string(proto) != "HTTP/2.0" {
					t.Errorf("spoke %s", proto)
				}
			}
		})
	}
}

// A certificate for another host is refused, whoever signed it.
func TestTheHostIsVerified(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	own := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	tr := &http.Transport{DialContext: (&net.Dialer{}).DialContext, TLSClientConfig: &tls.Config{}} //nolint:gosec // a client's default
	trustFirst(tr, own)
	_, port, _ := bytes.Cut([]byte(server.Listener.Addr().String()), []byte(":"))
	_, err := (&http.Client{Transport: tr}).Get("https://localhost:" + string(port))
	if wrong := (x509.HostnameError{}); !errors.As(err, &wrong) {
		t.Errorf("got %v, want a refused name", err)
	}
}

// A server that takes connections and says nothing, as a side that is overloaded
// does: a connection is given up after the transport's time for a handshake, although
// the call that wanted it has ended long before. A process has 1,024 of them.
func TestAServerThatSaysNothingKeepsNoConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ends := make(chan net.Conn, 1)
		tr := &http.Transport{
			TLSClientConfig: &tls.Config{}, TLSHandshakeTimeout: 10 * time.Second, //nolint:gosec // a client's default
			DialContext: func(context.Context, string, string) (net.Conn, error) {
				ours, theirs := net.Pipe()
				go io.Copy(io.Discard, theirs) //nolint:errcheck // it ends with the connection
				ends <- ours
				return ours, nil
			},
		}
		trustFirst(tr, amazonRoots)
		client := &http.Client{Transport: tr, Timeout: attemptTimeout}
		if res, err := client.Get("https://dynamodb.example"); err == nil {
			res.Body.Close()
			t.Fatal("answered")
		}
		time.Sleep(tr.TLSHandshakeTimeout)
		synctest.Wait()
		if err := (<-ends).SetDeadline(time.Time{}); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("the connection is open after %s: %v", tr.TLSHandshakeTimeout, err)
		}
	})
}
