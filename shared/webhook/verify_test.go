package webhook_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/webhook"
)

// keys hands out fixed keys and counts how often it was asked.
type keys struct {
	all, refreshed [][]byte // refreshed: from the first refresh on, if set
	err            error
	asked, forced  int
}

func (k *keys) Keys(_ context.Context, refresh bool) ([][]byte, error) {
	k.asked++
	if refresh {
		k.forced++
		if k.refreshed != nil {
			k.all = k.refreshed
		}
	}
	return k.all, k.err
}

func fixed(secrets ...string) *keys {
	k := &keys{}
	for _, s := range secrets {
		k.all = append(k.all, []byte(s))
	}
	return k
}

type vectorFile struct {
	About, Secret, PreviousSecret string
	Now                           string
	ToleranceMS                   int64 `json:"toleranceMs"`
	Vectors                       []vector
}

type vector struct {
	Name, Code, PathID, Body, BodyBase64 string
	Headers                              map[string]string
	OrgID, SourceIP                      string
	Allowlist                            []string
}

func readVectors(t testing.TB) (vectorFile, time.Time) {
	t.Helper()
	b, err := os.ReadFile("../../contract/vectors/callouts.json")
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	var f vectorFile
	if err := dec.Decode(&f); err != nil {
		t.Fatal(err)
	}
	now, err := time.Parse(time.RFC3339, f.Now)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Vectors) < 200 {
		t.Fatalf("read %d vectors: the file is cut", len(f.Vectors))
	}
	return f, now
}

func (v vector) request(t testing.TB) webhook.Request {
	t.Helper()
	body := []byte(v.Body)
	if v.BodyBase64 != "" {
		b, err := base64.StdEncoding.DecodeString(v.BodyBase64)
		if err != nil {
			t.Fatal(err)
		}
		body = b
	}
	return webhook.Request{
		SourceIP: v.SourceIP, PathID: v.PathID, Body: body,
		Signature: v.Headers["X-SF-Signature"], Timestamp: v.Headers["X-SF-Timestamp"], Nonce: v.Headers["X-SF-Nonce"],
		ContentType: v.Headers["Content-Type"], IdempotencyKey: v.Headers["Idempotency-Key"],
	}
}

func (v vector) config(t testing.TB, tolerance time.Duration) webhook.Config {
	t.Helper()
	c := webhook.Config{Tolerance: tolerance, OrgID: v.OrgID}
	for _, p := range v.Allowlist {
		c.Allowlist = append(c.Allowlist, netip.MustParsePrefix(p))
	}
	return c
}

func newVerifier(t testing.TB, k webhook.Keys, c webhook.Config) *webhook.Verifier {
	t.Helper()
	v, err := webhook.New(k, c)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestEveryVectorGetsItsCode(t *testing.T) {
	f, now := readVectors(t)
	for _, vec := range f.Vectors {
		t.Run(vec.Name, func(t *testing.T) {
			k := fixed(f.Secret, f.PreviousSecret)
			v := newVerifier(t, k, vec.config(t, time.Duration(f.ToleranceMS)*time.Millisecond))
			c, err := v.Verify(t.Context(), vec.request(t), now)
			if got := string(fault.CodeOf(err)); got != vec.Code {
				t.Fatalf("code %q (%v), want %q", got, err, vec.Code)
			}
			if vec.Code != "" {
				if c != (webhook.Callout{}) {
					t.Errorf("a refusal came with a callout: %+v", c)
				}
				return
			}
			if c.OrderID.String() != "801000000000001AAA" || c.Key != vec.Headers["Idempotency-Key"] || c.Nonce != vec.Headers["X-SF-Nonce"] {
				t.Errorf("got %+v", c)
			}
		})
	}
}

// A ping meets what a callout meets, as far as it concerns no order; it takes a
// body without one.
func TestAPingMeetsTheRefusalsThatConcernNoOrder(t *testing.T) {
	f, now := readVectors(t)
	ofOrder := map[fault.Code]bool{fault.OrgNotAllowed: true, fault.OrderIDInvalid: true, fault.OrderIDMismatch: true, fault.IdempotencyKeyMissing: true}
	for _, vec := range f.Vectors {
		t.Run(vec.Name, func(t *testing.T) {
			v := newVerifier(t, fixed(f.Secret, f.PreviousSecret), vec.config(t, time.Duration(f.ToleranceMS)*time.Millisecond))
			r := vec.request(t)
			want := fault.Code(vec.Code)
			if ofOrder[want] || vec.Name == "body: no orderId" {
				want = ""
			}
			if got := fault.CodeOf(v.Ping(t.Context(), r, now)); got != want {
				t.Errorf("code %q, want %q", got, want)
			}
		})
	}
}

func TestAPingNeedsNoOrderAndSignsTimestampAndNonce(t *testing.T) {
	f, now := readVectors(t)
	v := newVerifier(t, fixed(f.Secret), webhook.Config{Tolerance: time.Minute, OrgID: "00D000000000001EAA"})
	at, nonce := now.Format("2006-01-02T15:04:05.000Z"), "0123456789abcdef"
	for body, want := range map[string]fault.Code{
		`{"timestamp":"` + at + `","nonce":"` + nonce + `"}`:                "",
		`{"timestamp":"` + at + `","nonce":"` + nonce + `","more":[1]}`:     "",
		`{"nonce":"` + nonce + `"}`:                                         fault.BodyMalformed,
		`{"timestamp":"` + at + `"}`:                                        fault.BodyMalformed,
		`{"timestamp":"` + at + `","nonce":"another-nonce-0123"}`:           fault.HeadersNotSigned,
		`{"timestamp":"` + at + `","nonce":"` + nonce + `"}{"timestamp":1}`: fault.BodyMalformed,
	} {
		r := webhook.Request{Body: []byte(body), Signature: webhook.Sign([]byte(f.Secret), []byte(body)), Timestamp: at, Nonce: nonce, ContentType: "application/json"}
		if got := fault.CodeOf(v.Ping(t.Context(), r, now)); got != want {
			t.Errorf("%s: code %q, want %q", body, got, want)
		}
		if _, err := v.Verify(t.Context(), r, now); err == nil {
			t.Errorf("%s: a ping was taken for a callout", body)
		}
	}
}

// Every code that the checks can give has a vector.
func TestVectorsCoverEveryCheck(t *testing.T) {
	f, _ := readVectors(t)
	have := map[string]bool{}
	for _, v := range f.Vectors {
		have[v.Code] = true
	}
	for _, c := range []fault.Code{"", fault.SourceNotAllowed, fault.BodyTooLarge, fault.SignatureMissing, fault.SignatureInvalid,
		fault.TimestampInvalid, fault.TimestampOutOfWindow, fault.NonceInvalid, fault.ContentTypeUnsupported, fault.BodyMalformed,
		fault.HeadersNotSigned, fault.OrgNotAllowed, fault.OrderIDInvalid, fault.OrderIDMismatch, fault.IdempotencyKeyMissing} {
		if !have[string(c)] {
			t.Errorf("no vector for %q", c)
		}
	}
}

func TestWycheproof(t *testing.T) {
	accepted, rejected := 0, 0
	for _, w := range wycheproof(t) {
		v := newVerifier(t, &keys{all: [][]byte{w.key}}, webhook.Config{Tolerance: time.Minute})
		_, err := v.Verify(t.Context(), webhook.Request{Body: w.msg, Signature: hex.EncodeToString(w.tag)}, time.Unix(0, 0))
		// A signature that holds leads to the next check, which misses its header.
		want := fault.SignatureInvalid
		if w.valid && len(w.tag) == 32 {
			want = fault.TimestampInvalid
			accepted++
		} else {
			rejected++
		}
		if got := fault.CodeOf(err); got != want {
			t.Errorf("case %d (%s): %s, want %s", w.id, w.comment, got, want)
		}
	}
	if accepted != 33 || rejected != 141 {
		t.Errorf("%d accepted and %d rejected, want 33 and 141", accepted, rejected)
	}
}

type wycheproofCase struct {
	id            int
	comment       string
	key, msg, tag []byte
	valid         bool
}

func wycheproof(t testing.TB) []wycheproofCase {
	t.Helper()
	b, err := os.ReadFile("../../contract/vectors/wycheproof_hmac_sha256.json")
	if err != nil {
		t.Fatal(err)
	}
	var f struct {
		TestGroups []struct {
			Tests []struct {
				TCID                           int
				Comment, Key, Msg, Tag, Result string
			}
		}
	}
	if err := json.Unmarshal(b, &f); err != nil {
		t.Fatal(err)
	}
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var all []wycheproofCase
	for _, g := range f.TestGroups {
		for _, c := range g.Tests {
			all = append(all, wycheproofCase{c.TCID, c.Comment, unhex(c.Key), unhex(c.Msg), unhex(c.Tag), c.Result == "valid"})
		}
	}
	if len(all) != 174 {
		t.Fatalf("read %d cases, want 174", len(all))
	}
	return all
}

// What can be refused by its form is refused before the secret is fetched.
func TestSecretIsFetchedOnlyForASignature(t *testing.T) {
	f, now := readVectors(t)
	for _, vec := range f.Vectors {
		k := fixed(f.Secret, f.PreviousSecret)
		v := newVerifier(t, k, vec.config(t, time.Duration(f.ToleranceMS)*time.Millisecond))
		_, err := v.Verify(t.Context(), vec.request(t), now)
		switch code := fault.CodeOf(err); code {
		case fault.SourceNotAllowed, fault.BodyTooLarge, fault.SignatureMissing:
			if k.asked != 0 {
				t.Errorf("%s: the secret was fetched for %s", vec.Name, code)
			}
		case fault.SignatureInvalid:
			if k.asked > 2 {
				t.Errorf("%s: the secret was asked for %d times", vec.Name, k.asked)
			}
		default:
			if k.asked != 1 || k.forced != 0 {
				t.Errorf("%s: asked %d times, forced %d, want 1 and 0", vec.Name, k.asked, k.forced)
			}
		}
	}
}

func plain(t testing.TB) (webhook.Request, vectorFile, time.Time) {
	t.Helper()
	f, now := readVectors(t)
	return f.Vectors[0].request(t), f, now
}

func TestUnknownSignatureForcesARefresh(t *testing.T) {
	r, f, now := plain(t)
	k := fixed("the-secret-that-was-cached-before-it-changed")
	k.refreshed = [][]byte{[]byte(f.Secret)}
	v := newVerifier(t, k, webhook.Config{Tolerance: time.Minute})
	if _, err := v.Verify(t.Context(), r, now); err != nil {
		t.Fatal(err)
	}
	if k.forced != 1 {
		t.Errorf("forced %d refreshes, want 1", k.forced)
	}
}

func TestNoSecretFailsClosed(t *testing.T) {
	r, _, now := plain(t)
	for name, k := range map[string]*keys{
		"an error": {err: errors.New("away")},
		"no key":   {},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVerifier(t, k, webhook.Config{Tolerance: time.Minute})
			if _, err := v.Verify(t.Context(), r, now); fault.CodeOf(err) != fault.SecretUnavailable {
				t.Errorf("got %v, want %s", err, fault.SecretUnavailable)
			}
		})
	}
}

func TestBrokenTransportEncodingIsItsOwnAnswer(t *testing.T) {
	r, f, now := plain(t)
	r.BodyErr = fault.New(fault.BodyMalformed, "")
	v := newVerifier(t, fixed(f.Secret), webhook.Config{Tolerance: time.Minute})
	if _, err := v.Verify(t.Context(), r, now); fault.CodeOf(err) != fault.BodyMalformed {
		t.Errorf("got %v, want %s", err, fault.BodyMalformed)
	}
}

// A nonce must be known for as long as any clock may let its callout in.
func TestNonceOutlivesTheWindow(t *testing.T) {
	r, f, now := plain(t)
	const tolerance = time.Minute
	v := newVerifier(t, fixed(f.Secret), webhook.Config{Tolerance: tolerance})
	for _, skew := range []time.Duration{-tolerance, 0, tolerance} {
		c, err := v.Verify(t.Context(), r, now.Add(skew))
		if err != nil {
			t.Fatal(err)
		}
		// At its expiry the callout must be out of the window, also for a
		// sandbox that is ClockSkew behind.
		_, err = v.Verify(t.Context(), r, c.NonceExpiry.Add(-webhook.ClockSkew))
		if fault.CodeOf(err) != fault.TimestampOutOfWindow {
			t.Errorf("seen %v after the signed time: still let in when its nonce is forgotten: %v", skew, err)
		}
		if want := c.Timestamp.Add(2*tolerance + webhook.ClockSkew); !c.NonceExpiry.Equal(want) {
			t.Errorf("nonce expires at %v, want %v", c.NonceExpiry, want)
		}
	}
}

func TestWhatSendersMayAddIsCanonical(t *testing.T) {
	const at, nonce, secret = "2026-11-24T12:00:00Z", "0123456789abcdef", "correct-horse-battery-staple-0123456789"
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	v := newVerifier(t, fixed(secret), webhook.Config{Tolerance: time.Minute})
	for _, c := range []struct{ name, members, requestedBy, accountID string }{
		{"short ids", `"requestedBy":"005000000000001","accountId":"001000000000001"`, "005000000000001AAA", "001000000000001AAA"},
		{"long ids", `"requestedBy":"005000000000001AAA","accountId":"001000000000001AAA"`, "005000000000001AAA", "001000000000001AAA"},
		{"no user id", `"requestedBy":"Mallory\nprovisioned"`, "", ""},
		{"another object's id", `"requestedBy":"001000000000001"`, "", ""},
		{"a very long text", `"requestedBy":"` + strings.Repeat("x", 10_000) + `"`, "", ""},
		{"empty", `"requestedBy":"","accountId":""`, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			body := []byte(`{"orderId":"801000000000001","timestamp":"` + at + `","nonce":"` + nonce + `",` + c.members + `}`)
			got, err := v.Verify(t.Context(), webhook.Request{
				PathID: "801000000000001", Body: body, Signature: webhook.Sign([]byte(secret), body),
				Timestamp: at, Nonce: nonce, ContentType: "application/json", IdempotencyKey: "k",
			}, now)
			if err != nil {
				t.Fatal(err)
			}
			if got.RequestedBy != c.requestedBy || got.AccountID != c.accountID {
				t.Errorf("got %q and %q, want %q and %q", got.RequestedBy, got.AccountID, c.requestedBy, c.accountID)
			}
		})
	}
}

func TestNewRefusesWhatCannotBeKept(t *testing.T) {
	k := fixed("x")
	for name, try := range map[string]func() (*webhook.Verifier, error){
		"no keys":         func() (*webhook.Verifier, error) { return webhook.New(nil, webhook.Config{Tolerance: 1}) },
		"no tolerance":    func() (*webhook.Verifier, error) { return webhook.New(k, webhook.Config{}) },
		"half an org id":  func() (*webhook.Verifier, error) { return webhook.New(k, webhook.Config{Tolerance: 1, OrgID: "00D"}) },
		"wrong tolerance": func() (*webhook.Verifier, error) { return webhook.New(k, webhook.Config{Tolerance: -1}) },
	} {
		if v, err := try(); err == nil || v != nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// No text of a refusal holds the secret, a signature that would be right, or
// what the body said.
func TestRefusalsTellNothing(t *testing.T) {
	f, now := readVectors(t)
	for _, vec := range f.Vectors {
		r := vec.request(t)
		v := newVerifier(t, fixed(f.Secret, f.PreviousSecret), vec.config(t, time.Minute))
		_, err := v.Verify(t.Context(), r, now)
		if err == nil {
			continue
		}
		for what, s := range map[string]string{
			"the secret": f.Secret, "the previous secret": f.PreviousSecret,
			"the right signature": webhook.Sign([]byte(f.Secret), r.Body),
		} {
			if strings.Contains(strings.ToLower(err.Error()), strings.ToLower(s)) {
				t.Errorf("%s: the error tells %s: %v", vec.Name, what, err)
			}
		}
		if len(err.Error()) > 200 {
			t.Errorf("%s: the error has %d characters: %.80s", vec.Name, len(err.Error()), err)
		}
	}
}

func codeOf(err error) string { return string(fault.CodeOf(err)) }

// What a genuine callout allocates: the two MACs' hashes, the id, and the texts of
// its body. A door that faces the internet does no more than it must.
func TestAVerifiedCalloutAllocatesLittle(t *testing.T) {
	r, f, now := plain(t)
	v := newVerifier(t, fixed(f.Secret), webhook.Config{Tolerance: 5 * time.Minute})
	allocs := testing.AllocsPerRun(200, func() {
		if _, err := v.Verify(t.Context(), r, now); err != nil {
			t.Fatal(err)
		}
	})
	if allocs > 10 {
		t.Errorf("%v allocations", allocs)
	}
}
