package salesforce

import (
	"cmp"
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"orderbridge/shared/fault"
)

// Credentials are those of the External Client App: a secret for the client
// credentials grant, or a user and a key for the JWT bearer grant.
type Credentials struct {
	fault.Hidden
	ClientID     string
	ClientSecret string
	Username     string
	PrivateKey   *rsa.PrivateKey
}

// SecretMembers lists what the Salesforce secret may hold: clientId with
// clientSecret, or with username and privateKey.
func SecretMembers() []string { return []string{"clientId", "clientSecret", "username", "privateKey"} }

// leastKeyBits is the least length of an RSA key that Salesforce takes
// (Salesforce Help, "Create a Private Key and Self-Signed Digital Certificate").
const leastKeyBits = 2048

// ParseCredentials takes the members of the Salesforce secret; the key is PEM
// (PKCS #1 or #8, RSA). The error names the member and never its value.
func ParseCredentials(members map[string]string) (Credentials, error) {
	c := Credentials{ClientID: members["clientId"], ClientSecret: members["clientSecret"], Username: members["username"]}
	text := members["privateKey"]
	jwtGrant := c.Username != "" || text != ""
	switch {
	case c.ClientID == "":
		return Credentials{}, errors.New("has no clientId")
	case jwtGrant && c.ClientSecret != "":
		return Credentials{}, errors.New("has both a clientSecret and a username or privateKey: choose one grant")
	case !jwtGrant && c.ClientSecret == "":
		return Credentials{}, errors.New("has neither a clientSecret nor a username and a privateKey")
	case !jwtGrant:
		return c, nil
	case c.Username == "":
		return Credentials{}, errors.New("has a privateKey but no username")
	case text == "":
		return Credentials{}, errors.New("has a username but no privateKey")
	}
	key, err := jwt.ParseRSAPrivateKeyFromPEM([]byte(text))
	if err != nil {
		return Credentials{}, errors.New("has a privateKey that is not an RSA key in PEM, from -----BEGIN to -----END")
	}
	if key.N.BitLen() < leastKeyBits {
		return Credentials{}, fmt.Errorf("has a privateKey of fewer than %d bits", leastKeyBits)
	}
	c.PrivateKey = key
	return c, nil
}

// ValidateGrant refuses credentials whose grant cannot work at loginURL
// (configuration_invalid). Client credentials are answered at the org's My
// Domain alone (Salesforce Help, "OAuth 2.0 Client Credentials Flow").
func ValidateGrant(loginURL string, c Credentials) error {
	if host := loginHost(loginURL); c.PrivateKey == nil && (host == "login.salesforce.com" || host == "test.salesforce.com") {
		return fault.New(fault.ConfigurationInvalid, fmt.Sprintf("SF_LOGIN_URL is %s, which does not answer client credentials; use the org's My Domain (https://….my.salesforce.com)", loginURL))
	}
	return nil
}

func loginHost(loginURL string) string {
	u, err := url.Parse(loginURL)
	if err != nil {
		return ""
	}
	return strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
}

// audience is the "aud" of a JWT assertion: the login host of production or of
// sandboxes, also where the token is asked for at a My Domain (Salesforce Help,
// "OAuth 2.0 JWT Bearer Flow"). A host that is not Salesforce's, a simulator,
// is its own audience.
func audience(loginURL string) string {
	switch host := loginHost(loginURL); {
	case host == "test.salesforce.com", strings.HasSuffix(host, ".sandbox.my.salesforce.com"), strings.HasSuffix(host, ".scratch.my.salesforce.com"):
		return "https://test.salesforce.com"
	case host == "login.salesforce.com", strings.HasSuffix(host, ".my.salesforce.com"):
		return "https://login.salesforce.com"
	}
	return strings.TrimRight(loginURL, "/")
}

type session struct {
	token    string
	instance string // scheme and host
}

const (
	// assertionLife: exp may lie at most 3 minutes ahead; 2 leave a minute for
	// a clock that runs fast.
	assertionLife = 2 * time.Minute
	// Salesforce lets one user log in about 3,600 times an hour. A process may
	// log in 5 times at once and then every 10 s, so that tens of processes
	// stay below even while each new token is refused.
	loginBurst = 5
	loginEvery = 10 * time.Second
	// refusedFor: how long a refused login is answered from memory, so how long
	// new credentials wait at most.
	refusedFor = 10 * time.Second
)

// token returns the process's session. A caller whose session ended passes it
// as ended; of many such callers one logs in, the others get its result.
func (c *Client) token(ctx context.Context, ended *session) (*session, error) {
	if s := c.current(ended); s != nil {
		return s, nil
	}
	select {
	case <-c.login:
	case <-ctx.Done():
		return nil, fault.Wrap(fault.SalesforceUnavailable, fmt.Errorf("wait for login: %w", ctx.Err()))
	}
	defer func() { c.login <- struct{}{} }()
	if s := c.current(ended); s != nil {
		return s, nil
	}
	now := c.deps.Now()
	if c.refused != nil && now.Before(c.until) {
		return nil, c.refused
	}
	if !c.logins.room(now) {
		return nil, fault.Wrap(fault.SalesforceSession, errors.New("too many logins: the tokens are refused as soon as they are issued"))
	}
	s, err := c.logIn(ctx)
	c.refused = nil
	if err != nil {
		if fault.KindOf(err) == fault.Config {
			c.refused, c.until = err, now.Add(refusedFor)
		}
		return nil, err
	}
	c.logins.used++ // an outage in which no login is answered uses up none
	c.mu.Lock()
	c.session = s
	c.mu.Unlock()
	return s, nil
}

func (c *Client) current(ended *session) *session {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session != nil && c.session != ended {
		return c.session
	}
	return nil
}

func (c *Client) logIn(ctx context.Context) (_ *session, err error) {
	defer func() { c.deps.Called("token", err) }()
	cred, err := c.deps.Credentials(ctx)
	if err != nil {
		if fault.CodeOf(err) == fault.Internal {
			err = fault.Wrap(fault.SalesforceUnavailable, fmt.Errorf("read the Salesforce secret: %w", err))
		}
		return nil, err
	}
	if err := ValidateGrant(c.cfg.LoginURL, cred); err != nil {
		return nil, err
	}
	form := url.Values{}
	if cred.PrivateKey == nil {
		form.Set("grant_type", "client_credentials")
		form.Set("client_id", cred.ClientID)
		form.Set("client_secret", cred.ClientSecret)
	} else {
		assertion, err := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{
			"iss": cred.ClientID, "sub": cred.Username, "aud": audience(c.cfg.LoginURL),
			"exp": c.deps.Now().Add(assertionLife).Unix(),
		}).SignedString(cred.PrivateKey)
		if err != nil {
			return nil, fault.Wrap(fault.SalesforceCredentials, errors.New("sign the assertion"))
		}
		form.Set("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")
		form.Set("assertion", assertion)
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.cfg.LoginURL+"/services/oauth2/token", strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fault.Wrap(fault.Internal, errors.New("build token request"))
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	status, header, raw, err := c.exchange(r)
	if err != nil {
		return nil, err
	}
	if err := c.counted(status, raw, classifyLogin(status, header.Get("Location"), raw)); err != nil {
		return nil, err
	}
	var out struct {
		Token    string `json:"access_token"`
		Instance string `json:"instance_url"`
		ID       string `json:"id"`
	}
	if err := json.Unmarshal(raw, &out); err != nil || out.Token == "" {
		return nil, unreadable(status, raw)
	}
	instance, err := baseURL(out.Instance, c.cfg.LoginURL)
	if err != nil {
		return nil, fault.Wrap(fault.SalesforceCredentials, fmt.Errorf("instance_url of the token answer: %w", err))
	}
	if err := c.rightOrg(out.ID); err != nil {
		return nil, err
	}
	return &session{token: out.Token, instance: instance}, nil
}

// rightOrg compares the org in the identity URL of a token answer
// (…/id/<org>/<user>) with the configured one, or with that of the session
// before: a session may move to another instance, never to another org.
func (c *Client) rightOrg(identity string) error {
	org := ""
	if u, err := url.Parse(identity); err == nil {
		if part := strings.Split(strings.Trim(u.Path, "/"), "/"); len(part) == 3 && part[0] == "id" {
			org = part[1]
		}
	}
	const short = 15 // the two forms of an id agree in these characters
	c.mu.Lock()
	defer c.mu.Unlock()
	want := cmp.Or(c.cfg.OrgID, c.org)
	if want == "" {
		c.org = org
		return nil
	}
	if len(org) < short || len(want) < short || org[:short] != want[:short] {
		return &fault.Error{Code: fault.SalesforceCredentials, Seen: fmt.Sprintf("The credentials belong to the org %.18q, not to the one that is served (SF_ORG_ID, or the org of the first login).", org),
			Advice: "Ask the on-call engineer to put in those of the right org; orders wait until then."}
	}
	return nil
}

// baseURL reduces a URL to scheme and host, if a token may be sent there: over
// https, or over http to a loopback host or to the host of an http login URL,
// which config has allowed.
func baseURL(raw, loginURL string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || u.User != nil {
		return "", errors.New("is not an absolute URL")
	}
	login, err := url.Parse(loginURL)
	if err != nil {
		return "", errors.New("the login URL cannot be parsed")
	}
	switch {
	case u.Scheme == "https" && !(u.Hostname() == login.Hostname() || salesforceHost(u.Hostname())):
		return "", errors.New("is neither the login host nor one of Salesforce")
	case u.Scheme == "https":
	case u.Scheme == "http" && login.Scheme == "http" && (loopback(u.Hostname()) || u.Host == login.Host):
	default:
		return "", errors.New("is not https")
	}
	return u.Scheme + "://" + u.Host, nil
}

// salesforceHost reports whether Salesforce runs a host: the domains of My Domain
// and of instances (Salesforce Help, "My Domain URL formats", "Allow the required
// domains"), the government cloud's and China's among them.
func salesforceHost(host string) bool {
	for _, domain := range []string{"salesforce.com", "force.com", "cloudforce.com", "salesforce.mil", "sfcrmproducts.cn"} {
		if host == domain || strings.HasSuffix(host, "."+domain) {
			return true
		}
	}
	return false
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

// bucket allows loginBurst logins and one more each loginEvery.
type bucket struct {
	used float64
	at   time.Time
}

func (b *bucket) room(now time.Time) bool {
	if !b.at.IsZero() {
		b.used = max(0, b.used-float64(now.Sub(b.at))/float64(loginEvery))
	}
	b.at = now
	return b.used+1 <= loginBurst
}
