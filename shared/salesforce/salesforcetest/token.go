package salesforcetest

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const grantJWT = "urn:ietf:params:oauth:grant-type:jwt-bearer"

func oauthError(status int, code, description string) reply {
	return bare(jsonReply(status, map[string]string{"error": code, "error_description": description}, "refused: "+code))
}

func (s *Sim) tokenJob(r *http.Request, body []byte) job {
	j := job{action: actionToken, params: map[string]any{}}
	s.mu.Lock()
	s.logins++
	s.mu.Unlock()
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	form, err := url.ParseQuery(string(body))
	if r.Method != http.MethodPost || media != "application/x-www-form-urlencoded" || err != nil {
		j.run = func(*Fault) reply {
			return oauthError(400, "unsupported_grant_type", "grant type not supported")
		}
		return j
	}
	j.params["grant_type"] = form.Get("grant_type")
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	origin := scheme + "://" + r.Host
	if user, password, basic := r.BasicAuth(); basic {
		form.Set("client_id", user)
		form.Set("client_secret", password)
		// RFC 6749, section 2.3.1, wants both form-encoded first; clients of
		// Salesforce send them as they are, too.
		if id, err := url.QueryUnescape(user); err == nil && !equal(user, s.opt.ClientID) {
			form.Set("client_id", id)
		}
		if secret, err := url.QueryUnescape(password); err == nil && !equal(password, s.opt.ClientSecret) {
			form.Set("client_secret", secret)
		}
	}
	j.run = func(f *Fault) reply {
		if f != nil {
			switch f.Fault {
			case "bad-credentials":
				return oauthError(401, "invalid_client", "invalid client credentials")
			case "forbidden-ip":
				return oauthError(400, "invalid_grant", "ip restricted")
			case "role-denied":
				return oauthError(400, "invalid_grant", "user hasn't approved this consumer")
			}
		}
		switch form.Get("grant_type") {
		case "client_credentials":
			return s.clientCredentials(origin, form)
		case grantJWT:
			return s.jwtBearer(origin, form.Get("assertion"))
		}
		return oauthError(400, "unsupported_grant_type", "grant type not supported")
	}
	return j
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

func (s *Sim) clientCredentials(origin string, form url.Values) reply {
	id, secret := form.Get("client_id"), form.Get("client_secret")
	switch {
	case s.opt.ClientID == "" || !equal(id, s.opt.ClientID):
		return oauthError(400, "invalid_client_id", "client identifier invalid")
	case s.opt.ClientSecret == "":
		return oauthError(400, "invalid_grant", "no client credentials user enabled")
	case !equal(secret, s.opt.ClientSecret):
		return oauthError(400, "invalid_client", "invalid client credentials")
	}
	return s.session(origin)
}

// maxAssertion is the longest life of an assertion: "exp … must be within 3
// minutes" (OAuth 2.0 JWT Bearer Flow for Server-to-Server Integration); the
// slack is for clocks.
const (
	maxAssertion = 3 * time.Minute
	clockSlack   = 5 * time.Second
)

func (s *Sim) jwtBearer(origin, assertion string) reply {
	if s.opt.PublicKey == nil {
		return oauthError(400, "invalid_grant", "user hasn't approved this consumer")
	}
	claims := assertionClaims{}
	_, err := jwt.ParseWithClaims(assertion, &claims,
		func(*jwt.Token) (any, error) { return s.opt.PublicKey, nil },
		jwt.WithValidMethods([]string{"RS256"}), jwt.WithoutClaimsValidation())
	now := s.opt.Now()
	switch {
	case err != nil:
		return oauthError(400, "invalid_grant", "invalid assertion")
	case claims.Issuer != s.opt.ClientID:
		return oauthError(400, "invalid_client_id", "client identifier invalid")
	case claims.Expires.IsZero() || claims.Expires.Sub(now) > maxAssertion+clockSlack:
		return oauthError(400, "invalid_grant", "invalid assertion")
	case now.Sub(claims.Expires) > clockSlack:
		return oauthError(400, "invalid_grant", "expired authorization code")
	case claims.Audience != origin && claims.Audience != "https://login.salesforce.com" && claims.Audience != "https://test.salesforce.com":
		return oauthError(400, "invalid_grant", "audience is invalid")
	case claims.Subject != s.opt.Username:
		return oauthError(400, "invalid_grant", "user hasn't approved this consumer")
	}
	return s.session(origin)
}

// assertionClaims are the claims of an assertion. exp may be a number or, as
// some clients send it and the vendor takes it, the same number as a text.
type assertionClaims struct {
	jwt.RegisteredClaims
	Issuer, Subject, Audience string
	Expires                   time.Time
}

// UnmarshalJSON implements json.Unmarshaler.
func (c *assertionClaims) UnmarshalJSON(b []byte) error {
	var in struct {
		Issuer   string `json:"iss"`
		Subject  string `json:"sub"`
		Audience string `json:"aud"`
		Expires  any    `json:"exp"`
	}
	if err := json.Unmarshal(b, &in); err != nil {
		return fmt.Errorf("read claims: %w", err)
	}
	c.Issuer, c.Subject, c.Audience = in.Issuer, in.Subject, in.Audience
	if in.Expires == nil {
		return nil
	}
	seconds, err := strconv.ParseFloat(strings.TrimSpace(fmt.Sprint(in.Expires)), 64)
	if err != nil {
		return fmt.Errorf("read exp: %w", err)
	}
	c.Expires = time.UnixMilli(int64(seconds * 1000))
	return nil
}

// session issues a token. s.mu is held.
func (s *Sim) session(origin string) reply {
	token := s.opt.OrgID[:15] + "!" + rand.Text() + rand.Text()
	s.sessions[token] = s.opt.Now()
	return bare(jsonReply(200, map[string]string{
		"access_token": token,
		"instance_url": origin,
		"id":           origin + "/id/" + s.opt.OrgID + "/005xx000001Sv6AAAS",
		"token_type":   "Bearer",
		"scope":        "api",
	}, "token issued"))
}
