// Package webhook decides whether a callout is genuine, fresh and well formed,
// and turns it into a Callout.
//
// The rule it keeps: checks run in one fixed order over the raw bytes, and
// nothing is read or written before the signature holds, except that the
// secret is fetched. What was seen of a callout goes to the log; the sender
// learns it once its signature holds. It must not touch the table, know event
// types, keep anything of one callout for the next, or put a computed signature
// into any text.
package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/order"
)

// MaxBody is the largest body in bytes that is looked at. A callout of this
// system has about 200 bytes; the limit leaves room for members to come and
// bounds what an unsigned request can cost.
const MaxBody = 16_384

// ClockSkew is how far the clocks of two sandboxes may be apart. A nonce is
// remembered that much longer than the window, so that a sandbox whose clock
// is behind cannot accept what another one has forgotten.
const ClockSkew = 5 * time.Second

// Keys gives the secrets under which a signature is valid now.
type Keys interface {
	// Keys returns at least one key, the current one first, or an error: then
	// no signature can be judged. With refresh the keys are read again, at most
	// once a minute however often it is asked; in between, and when that read
	// fails, the keys that are still valid come back. It may be called
	// concurrently and must not be told anything of the request.
	Keys(ctx context.Context, refresh bool) ([][]byte, error)
}

// Request is a callout as it arrived. A header that is absent is "", one that
// was sent twice holds both values joined by a comma (API Gateway, "Working
// with AWS Lambda proxy integrations for HTTP APIs", payload version 2.0).
type Request struct {
	SourceIP string // of the connection, as the gateway saw it
	// PathID is the order id of the path, percent-decoded once.
	PathID string
	// Body holds the raw bytes; BodyErr says that they could not be had
	// (body_too_large, body_malformed).
	Body    []byte
	BodyErr error

	Signature      string // X-SF-Signature
	Timestamp      string // X-SF-Timestamp
	Nonce          string // X-SF-Nonce
	ContentType    string
	IdempotencyKey string
}

// Callout is a callout that passed every check.
type Callout struct {
	OrderID   order.ID
	Timestamp time.Time
	Nonce     string
	// NonceExpiry is when the nonce may be forgotten: from then on the window
	// alone refuses the callout, on every clock.
	NonceExpiry    time.Time
	Key            string
	RequestedBy    string // Salesforce user id, 18 characters; may be empty
	OrganizationID string // as written; may be empty
	AccountID      string // 18 characters; may be empty
}

// Config is what an installation may set.
type Config struct {
	// Tolerance is the half width of the timestamp window.
	Tolerance time.Duration
	// Allowlist holds the networks that may send; empty = all.
	Allowlist []netip.Prefix
	// OrgID is the Salesforce organization that may send, 15 or 18
	// characters; empty = any.
	OrgID string
}

// Verifier checks callouts. It is safe for concurrent use.
type Verifier struct {
	keys Keys
	Config
	// Signed, if not nil, is told of each signature that holds whether it was
	// made with a secret that is not the current one any more.
	Signed func(previous bool)

	decoders sync.Pool // of *jsontext.Decoder, for the bodies

	mu     sync.Mutex
	looked time.Time // when near misses of a signature were tried last
}

// lookEvery is the least time between two searches for near misses, so that a
// flood of wrong signatures costs two MACs each and no more.
const lookEvery = time.Minute

// New returns a Verifier, or an error when c cannot be kept.
func New(keys Keys, c Config) (*Verifier, error) {
	switch {
	case keys == nil:
		return nil, errors.New("webhook: no keys")
	case c.Tolerance <= 0:
		return nil, errors.New("webhook: the tolerance must be positive")
	case c.OrgID != "" && len(c.OrgID) != 15 && len(c.OrgID) != 18:
		return nil, errors.New("webhook: the organization id must have 15 or 18 characters")
	}
	return &Verifier{keys: keys, Config: c}, nil
}

// Verify runs the checks in their order and returns the callout, or a
// *fault.Error whose code names the first check that failed. The cause in it
// may be logged; none of its texts holds anything secret.
func (v *Verifier) Verify(ctx context.Context, r Request, now time.Time) (Callout, error) {
	b, at, err := v.genuine(ctx, r, now, true)
	if err != nil {
		return Callout{}, err
	}
	if v.OrgID != "" && !sameOrg(b.organizationID, v.OrgID) {
		return Callout{}, refuse(fault.OrgNotAllowed)
	}
	path, errPath := order.ParseID(r.PathID)
	body, errBody := order.ParseID(b.orderID)
	if errPath != nil || errBody != nil {
		return Callout{}, refuse(fault.OrderIDInvalid)
	}
	if path != body {
		return Callout{}, refuse(fault.OrderIDMismatch)
	}
	if !ValidKey(r.IdempotencyKey) {
		return Callout{}, refuse(fault.IdempotencyKeyMissing)
	}
	return Callout{
		OrderID:   body,
		Timestamp: at,
		Nonce:     b.nonce,
		// Until at+Tolerance the window lets the callout in; the further
		// Tolerance covers a clock that is as far behind as a sender may be
		// ahead.
		NonceExpiry:    at.Add(2*v.Tolerance + ClockSkew),
		Key:            r.IdempotencyKey,
		RequestedBy:    b.requestedBy,
		OrganizationID: b.organizationID,
		AccountID:      b.accountID,
	}, nil
}

// Ping runs the checks of a callout that concern no order: source, body,
// signature, timestamp, nonce, content type, and that both are signed. Nothing
// is remembered, so the same ping passes for as long as its timestamp does.
func (v *Verifier) Ping(ctx context.Context, r Request, now time.Time) error {
	_, _, err := v.genuine(ctx, r, now, false)
	return err
}

// genuine says whether r was made now by a holder of the secret, and returns
// what its body says and when it was signed.
func (v *Verifier) genuine(ctx context.Context, r Request, now time.Time, needsOrder bool) (body, time.Time, error) {
	no := func(err error) (body, time.Time, error) { return body{}, time.Time{}, err }
	if !v.sourceAllowed(r.SourceIP) {
		return no(refuse(fault.SourceNotAllowed))
	}
	if r.BodyErr != nil {
		return no(r.BodyErr)
	}
	if len(r.Body) > MaxBody {
		return no(refuse(fault.BodyTooLarge))
	}
	if err := v.checkSignature(ctx, r.Signature, r.Body, now); err != nil {
		return no(err)
	}

	at, ok := ParseTimestamp(r.Timestamp)
	if !ok {
		return no(seen(fault.TimestampInvalid, timestampForm(r.Timestamp)))
	}
	// Not now.Sub(at): a Duration saturates after 292 years.
	if at.Before(now.Add(-v.Tolerance)) || at.After(now.Add(v.Tolerance)) {
		return no(seen(fault.TimestampOutOfWindow, outOfWindow(at, now, v.Tolerance)))
	}
	if !ValidNonce(r.Nonce) {
		return no(refuse(fault.NonceInvalid))
	}

	if !JSONContent(r.ContentType) {
		return no(refuse(fault.ContentTypeUnsupported))
	}
	b, err := v.parseBody(r.Body, needsOrder)
	if err != nil {
		return no(&fault.Error{Code: fault.BodyMalformed, Err: err, Seen: sentence(err.Error())})
	}
	switch {
	case b.timestamp != r.Timestamp:
		return no(seen(fault.HeadersNotSigned, "The X-SF-Timestamp header differs from the timestamp of the signed body."))
	case b.nonce != r.Nonce:
		return no(seen(fault.HeadersNotSigned, "The X-SF-Nonce header differs from the nonce of the signed body."))
	}
	return b, at, nil
}

func (v *Verifier) sourceAllowed(source string) bool {
	if len(v.Allowlist) == 0 {
		return true
	}
	addr, err := netip.ParseAddr(source)
	if err != nil || addr.Zone() != "" {
		return false
	}
	addr = addr.Unmap() // ::ffff:192.0.2.1 is 192.0.2.1
	for _, p := range v.Allowlist {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

func (v *Verifier) checkSignature(ctx context.Context, signature string, body []byte, now time.Time) error {
	if signature == "" {
		return refuse(fault.SignatureMissing)
	}
	// Exactly the full MAC: no prefix, no second value, no shortened tag. What
	// has another form is refused before the secret is fetched.
	var mac [sha256.Size]byte
	if len(signature) != hex.EncodedLen(len(mac)) {
		return fault.Wrap(fault.SignatureInvalid, errors.New(signatureForm(signature)))
	}
	if _, err := hex.Decode(mac[:], []byte(signature)); err != nil {
		return fault.Wrap(fault.SignatureInvalid, errors.New(signatureForm(signature)))
	}
	var keys [][]byte
	for _, refresh := range []bool{false, true} {
		var err error
		if keys, err = v.keys.Keys(ctx, refresh); err != nil {
			return fault.Wrap(fault.SecretUnavailable, err)
		}
		if len(keys) == 0 {
			return refuse(fault.SecretUnavailable)
		}
		if key := signedByAny(keys, body, mac[:]); key >= 0 {
			if v.Signed != nil {
				v.Signed(key > 0)
			}
			return nil
		}
	}
	return fault.Wrap(fault.SignatureInvalid, errors.New(v.mismatch(keys, body, mac[:], now)))
}

// mismatch says of a well-formed signature that does not match what may be the
// matter, with the search for near misses once a minute.
func (v *Verifier) mismatch(keys [][]byte, body, mac []byte, now time.Time) string {
	v.mu.Lock()
	look := v.looked.IsZero() || now.Sub(v.looked).Abs() >= lookEvery
	if look {
		v.looked = now
	}
	v.mu.Unlock()
	if !look {
		return "the signature has the right form and does not match"
	}
	if near := nearMiss(keys, body, mac); near != "" {
		return near
	}
	return "the signature has the right form and matches under none of the usual slips: another secret, or a body that was changed on its way"
}

// signedByAny tries every key, also after one has matched: how long it takes
// tells nothing about which key it was. It returns the index of one that matches;
// -1 = none does.
func signedByAny(keys [][]byte, body, mac []byte) int {
	found := -1
	for i, k := range keys {
		if hmac.Equal(sum(k, body), mac) {
			found = i
		}
	}
	return found
}

func sum(key, body []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(body)
	return h.Sum(nil)
}

// Sign returns the X-SF-Signature of body: HMAC-SHA256 under the UTF-8 bytes
// of secret, as lower-case hex.
func Sign(secret, body []byte) string {
	return hex.EncodeToString(sum(secret, body))
}

// sameOrg compares by the first 15 characters: Salesforce writes organization
// ids in both forms.
func sameOrg(got, want string) bool {
	full, ok := order.To18(got)
	return ok && full[:15] == want[:15]
}

func refuse(c fault.Code) error { return fault.New(c, "") }

// seen refuses a callout whose signature holds, and tells its sender why.
func seen(c fault.Code, what string) error { return &fault.Error{Code: c, Seen: what} }

// sentence makes one of an error of the parser, which begins in lower case.
func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] + "." }
