package salesforcetest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const grantJWT = "urn:ietf:params:oauth:grant-type:jwt-bearer"

func oauthError(status int, code, description string) reply {
	return jsonReply(status, map[string]string{"error": code, "error_description": description}, "refused: "+code)
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
	user, password, basic := r.BasicAuth()
	if basic {
		// RFC 6749, section 2.3.1: both are form-encoded first.
		user, _ = url.QueryUnescape(user)
		password, _ = url.QueryUnescape(password)
		form.Set("client_id", user)
		form.Set("client_secret", password)
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
	out := s.session(origin)
	out["issued_at"] = fmt.Sprint(s.opt.Now().UnixMilli())
	out["signature"] = base64.StdEncoding.EncodeToString(random(32))
	return jsonReply(200, out, "token issued")
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
	claims := jwt.RegisteredClaims{}
	_, err := jwt.ParseWithClaims(assertion, &claims,
		func(*jwt.Token) (any, error) { return (*rsa.PublicKey)(s.opt.PublicKey), nil },
		jwt.WithValidMethods([]string{"RS256"}), jwt.WithExpirationRequired(),
		jwt.WithTimeFunc(s.opt.Now), jwt.WithLeeway(clockSlack))
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return oauthError(400, "invalid_grant", "expired authorization code")
	case err != nil:
		return oauthError(400, "invalid_grant", "invalid assertion")
	case claims.Issuer != s.opt.ClientID:
		return oauthError(400, "invalid_client_id", "client identifier invalid")
	case claims.ExpiresAt.Sub(s.opt.Now()) > maxAssertion+clockSlack:
		return oauthError(400, "invalid_grant", "invalid assertion")
	case !slices.ContainsFunc(claims.Audience, func(a string) bool {
		return a == origin || a == "https://login.salesforce.com" || a == "https://test.salesforce.com"
	}):
		return oauthError(400, "invalid_grant", "audience is invalid")
	case claims.Subject != s.opt.Username:
		return oauthError(400, "invalid_grant", "user hasn't approved this consumer")
	}
	return jsonReply(200, s.session(origin), "token issued")
}

// session issues a token. s.mu is held.
func (s *Sim) session(origin string) map[string]string {
	token := s.opt.OrgID[:15] + "!" + base64.RawURLEncoding.EncodeToString(random(60))
	s.sessions[token] = s.opt.Now()
	return map[string]string{
		"access_token": token,
		"instance_url": origin,
		"id":           origin + "/id/" + s.opt.OrgID + "/005xx000001Sv6AAAS",
		"token_type":   "Bearer",
		"scope":        "api",
	}
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // documented never to fail
	return b
}
