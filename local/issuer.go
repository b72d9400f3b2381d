package main

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"math/big"
	"net/http"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// issuer stands for the portal's identity provider.
type issuer struct {
	url     string
	private *rsa.PrivateKey
}

const (
	keyID     = "local-1"
	tokenLife = time.Hour
)

func newIssuer(url string) (*issuer, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("make the issuer's key: %w", err)
	}
	return &issuer{url: url, private: key}, nil
}

func (i *issuer) key(issuer, id string) *rsa.PublicKey {
	if issuer != i.url || id != keyID {
		return nil
	}
	return &i.private.PublicKey
}

// token is what the portal would get for a user of the account.
func (i *issuer) token(accountClaim, accountID, scope string) (string, error) {
	now := time.Now()
	claims := jwt.MapClaims{"iss": i.url, "aud": audience, "sub": "local-user", "iat": now.Unix(), "exp": now.Add(tokenLife).Unix()}
	if accountID != "" {
		claims[accountClaim] = accountID
	}
	if scope != "" {
		claims["scope"] = scope
	}
	t := jwt.NewWithClaims(jwt.SigningMethodRS256, claims)
	t.Header["kid"] = keyID
	return t.SignedString(i.private)
}

// ServeHTTP serves the discovery document and the keys.
func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case issuerPath + "/.well-known/openid-configuration":
		answer(w, map[string]any{"issuer": i.url, "jwks_uri": i.url + "/jwks.json", "id_token_signing_alg_values_supported": []string{"RS256"}})
	case issuerPath + "/jwks.json":
		pub := i.private.PublicKey
		answer(w, map[string]any{"keys": []any{map[string]string{
			"kty": "RSA", "use": "sig", "alg": "RS256", "kid": keyID,
			"n": base64.RawURLEncoding.EncodeToString(pub.N.Bytes()),
			"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(pub.E)).Bytes()),
		}}})
	default:
		refuse(w, http.StatusNotFound, "no such document")
	}
}
