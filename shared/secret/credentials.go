package secret

import (
	"errors"
	"log/slog"

	"github.com/go-json-experiment/json"
)

// WHMCS is the API credential of WHMCS.
type WHMCS struct {
	Identifier string `json:"identifier"`
	Secret     string `json:"secret"`
	// AccessKey is set where the installation has an API access key, which
	// stands in for its IP allowlist.
	AccessKey string `json:"accessKey"`
}

// ParseWHMCS reads {"identifier","secret","accessKey"?}.
func ParseWHMCS(text string) (WHMCS, error) {
	var c WHMCS
	if !strict(text, &c) {
		return WHMCS{}, errors.New("the WHMCS secret is not a JSON object of identifier, secret and perhaps accessKey")
	}
	if c.Identifier == "" || c.Secret == "" {
		return WHMCS{}, errors.New("the WHMCS secret lacks identifier or secret")
	}
	return c, nil
}

// strict refuses members that it does not know: a misspelt one would otherwise
// be an absent one. What the library says is dropped, since it may quote the
// secret.
func strict(text string, into any) bool {
	return json.Unmarshal([]byte(text), into, json.RejectUnknownMembers(true)) == nil
}

const redacted = "[redacted]"

// String keeps the credential out of formatted text.
func (WHMCS) String() string { return redacted }

// GoString keeps the credential out of %#v.
func (WHMCS) GoString() string { return redacted }

// LogValue keeps the credential out of logs.
func (WHMCS) LogValue() slog.Value { return slog.StringValue(redacted) }
