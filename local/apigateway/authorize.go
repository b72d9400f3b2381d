package apigateway

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/golang-jwt/jwt/v5"

	"orderbridge/local/samtemplate"
	"orderbridge/shared/httpapi"
)

// refusal is a token that does not open a route.
type refusal struct {
	status    int
	text      string
	challenge string
}

func (r *refusal) write(w http.ResponseWriter) {
	if r.challenge != "" {
		w.Header().Set("Www-Authenticate", r.challenge)
	}
	message(w, r.status, r.text)
}

func unauthorized(why string) *refusal {
	challenge := "Bearer"
	if why != "" {
		challenge = fmt.Sprintf(`Bearer scope="" error="invalid_token" error_description=%q`, why)
	}
	return &refusal{http.StatusUnauthorized, "Unauthorized", challenge}
}

// checkToken does what a JWT authorizer does: signature by the issuer's key
// (RSA only), iss, aud, exp, nbf, iat, and one of the scopes, in scope or scp.
// (API Gateway Developer Guide, "Control access to HTTP APIs with JWT
// authorizers".)
func (g *Gateway) checkToken(r *http.Request, a *samtemplate.JWT) (*jwtContext, *refusal) {
	raw := r.Header.Get(strings.TrimPrefix(a.IdentitySource, "$request.header."))
	if raw == "" {
		return nil, unauthorized("")
	}
	if scheme, rest, ok := strings.Cut(raw, " "); ok && strings.EqualFold(scheme, "Bearer") {
		raw = strings.TrimSpace(rest)
	}
	claims := jwt.MapClaims{}
	_, err := jwt.NewParser(
		jwt.WithValidMethods([]string{"RS256", "RS384", "RS512"}),
		jwt.WithIssuer(a.Issuer),
		jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(),
		jwt.WithTimeFunc(g.opts.Now),
		jwt.WithJSONNumber(),
		jwt.WithStrictDecoding(),
	).ParseWithClaims(raw, claims, func(t *jwt.Token) (any, error) {
		id, _ := t.Header["kid"].(string)
		if key := g.opts.Key(a.Issuer, id); key != nil {
			return key, nil
		}
		return nil, errors.New("unknown key")
	})
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return nil, unauthorized("the token has expired")
	case errors.Is(err, jwt.ErrTokenInvalidIssuer):
		return nil, unauthorized("the token has an invalid issuer")
	case err != nil:
		return nil, unauthorized("the token is not valid")
	}
	audience, err := claims.GetAudience()
	if err != nil {
		return nil, unauthorized("the token has an invalid audience")
	}
	if !slices.ContainsFunc(audience, func(s string) bool { return slices.Contains(a.Audience, s) }) {
		return nil, unauthorized("the token has an invalid audience")
	}
	c := &jwtContext{Claims: map[string]string{}}
	for k, v := range claims {
		c.Claims[k] = fmt.Sprint(v) // the gateway hands every claim on as a text
	}
	if len(a.Scopes) > 0 {
		c.Scopes = slices.Clone(a.Scopes)
		held := httpapi.Caller{Claims: c.Claims}.Scopes()
		if !slices.ContainsFunc(held, func(s string) bool { return slices.Contains(a.Scopes, s) }) {
			return nil, &refusal{http.StatusForbidden, "Forbidden", `Bearer scope="` + strings.Join(a.Scopes, " ") + `" error="insufficient_scope"`}
		}
	}
	return c, nil
}

// skew is how far the time of a signature may be off (Signature Version 4).
const skew = 5 * time.Minute

// checkSignature verifies Signature Version 4 by signing the same request again
// with the SDK's signer.
func (g *Gateway) checkSignature(r *http.Request, body []byte) bool {
	given := r.Header.Get("Authorization")
	fields, ok := strings.CutPrefix(given, "AWS4-HMAC-SHA256 ")
	if !ok {
		return false
	}
	parts := map[string]string{}
	for part := range strings.SplitSeq(fields, ",") {
		k, v, _ := strings.Cut(strings.TrimSpace(part), "=")
		parts[k] = v
	}
	scope := strings.Split(parts["Credential"], "/")
	if len(scope) != 5 || scope[0] != g.opts.AccessKey || scope[2] != g.opts.Region || scope[3] != "execute-api" || scope[4] != "aws4_request" {
		return false
	}
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil || at.Format("20060102") != scope[1] || g.opts.Now().Sub(at).Abs() > skew {
		return false
	}
	sum := sha256.Sum256(body)
	again, err := http.NewRequestWithContext(r.Context(), r.Method, "http://"+r.Host+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return false
	}
	again.Host, again.ContentLength = r.Host, 0
	names := strings.Split(parts["SignedHeaders"], ";")
	if !slices.Contains(names, "host") {
		return false
	}
	for _, name := range names {
		switch name {
		case "host", "x-amz-date":
		case "content-length":
			again.ContentLength = int64(len(body))
		default:
			again.Header[http.CanonicalHeaderKey(name)] = r.Header.Values(name)
		}
	}
	creds := aws.Credentials{AccessKeyID: g.opts.AccessKey, SecretAccessKey: g.opts.SecretKey}
	if err := v4.NewSigner().SignHTTP(r.Context(), creds, again, hex.EncodeToString(sum[:]), "execute-api", g.opts.Region, at); err != nil {
		return false
	}
	_, want, _ := strings.Cut(again.Header.Get("Authorization"), "Signature=")
	return hmac.Equal([]byte(want), []byte(parts["Signature"]))
}
