package lambdaenv

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	_ "embed"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
)

// amazonRoots holds the five roots of Amazon Trust Services
// (www.amazontrust.com/repository), under which AWS has the certificates of its
// services. Each is among the roots of the system as well.
//
//go:embed amazon-roots.pem
var amazonRoots []byte

// trustFirst makes a transport verify a server against the roots of first alone,
// and against those of the system only where that does not do. With Amazon's
// roots, who is trusted stays the same; what is saved is reading some 140
// certificates at a cold start, which takes half of its processor time.
//
// What goes through a proxy from the environment is not dialled this way: it is
// verified against the roots of the system.
func trustFirst(t *http.Transport, first []byte) {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(first)
	system := t.TLSClientConfig.Clone()
	system.NextProtos = []string{"h2", "http/1.1"} // as the transport's own dial offers
	amazon := system.Clone()
	amazon.RootCAs = roots
	var other atomic.Bool // a server showed a certificate that is not under Amazon's roots
	t.DialTLSContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if !other.Load() {
			conn, err := handshake(ctx, t, amazon, network, address)
			if unknown := (x509.UnknownAuthorityError{}); !errors.As(err, &unknown) {
				return conn, err
			}
			other.Store(true)
		}
		return handshake(ctx, t, system, network, address)
	}
}

// handshake opens a connection. The transport leaves its time for a handshake to
// who dials, and dials on when the call that wanted the connection has ended.
func handshake(ctx context.Context, t *http.Transport, with *tls.Config, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	raw, err := t.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	with = with.Clone()
	with.ServerName = host
	conn := tls.Client(raw, with)
	if most := t.TLSHandshakeTimeout; most > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, most)
		defer cancel()
	}
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	return conn, nil
}
