package salesforce

import (
	"context"
	"net/http"
	"time"

	"orderbridge/shared/fault"
)

// Bounds of the connections of a function.
const (
	// dialTimeout bounds the TLS handshake; an org that is near takes 50 ms.
	dialTimeout = 10 * time.Second
	// connections that one process keeps to the org; its calls are few and
	// follow one another.
	connections = 4
)

// Connect is New for a function at its start. A login host that the
// credentials cannot use is refused now, not with the first order
// (configuration_invalid, naming SF_LOGIN_URL); a secret that cannot be read
// now may be later, and is only logged. A nil d.HTTP becomes a client of its
// own that goes by no proxy of the environment.
func Connect(ctx context.Context, d Deps, c Config) (*Client, error) {
	if cred, err := d.Credentials(ctx); err == nil {
		if err := ValidateGrant(c.LoginURL, cred); err != nil {
			return nil, err
		}
	} else {
		d.Log.WarnContext(ctx, "Salesforce secret not read at start", "code", string(fault.CodeOf(err)), "error", err)
	}
	if d.HTTP == nil {
		d.HTTP = &http.Client{Transport: &http.Transport{
			ForceAttemptHTTP2: true, MaxConnsPerHost: connections, TLSHandshakeTimeout: dialTimeout,
		}}
	}
	return New(d, c)
}
