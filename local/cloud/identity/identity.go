// Package identity stands for the parts of Google Cloud that know who is
// calling: it issues access tokens and OIDC ID tokens for service accounts,
// reads them back, and serves each instance a metadata server through which
// the official libraries get them as they do on Cloud Run.
package identity

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"ingestion.internal/local/cloud"
	"ingestion.internal/local/cloud/gapi"
)

const (
	tokenLife = time.Hour       // of both kinds of token, as Google's
	renewAt   = 5 * time.Minute // a token with less life than this is not handed out again
	keyID     = "local"
)

// Config describes the cloud in which the tokens are good.
type Config struct {
	Project       string // id
	ProjectNumber string
	Region        string // us-central1
	Issuer        string // iss of the ID tokens; default https://accounts.google.com
}

// Identity issues and reads tokens. They are good for as long as it lives. It
// is safe for concurrent use.
type Identity struct {
	config Config
	now    func() time.Time
	key    *rsa.PrivateKey
	signer jose.Signer

	mu       sync.Mutex
	byToken  map[string]grant
	byHolder map[string]string // email to its newest access token
}

type grant struct {
	email   string
	expires time.Time
}

// New returns an Identity with a signing key of its own.
func New(config Config) (*Identity, error) {
	if config.Issuer == "" {
		config.Issuer = "https://accounts.google.com"
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("making the key that signs ID tokens: %w", err)
	}
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: keyID}},
		(&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return nil, fmt.Errorf("making the signer of ID tokens: %w", err)
	}
	return &Identity{
		config: config, now: time.Now, key: key, signer: signer,
		byToken: map[string]grant{}, byHolder: map[string]string{},
	}, nil
}

// AccessToken implements cloud.Identity. It returns the account's current
// token until that has little life left.
func (i *Identity) AccessToken(email string) (string, time.Duration) {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := i.now()
	token := i.byHolder[email]
	if g, ok := i.byToken[token]; ok && g.expires.Sub(now) > renewAt {
		return token, g.expires.Sub(now)
	}
	for old, g := range i.byToken {
		if !g.expires.After(now) {
			delete(i.byToken, old)
		}
	}
	var secret [32]byte
	// Read never returns an error.
	_, _ = rand.Read(secret[:])
	token = "ya29.local." + base64.RawURLEncoding.EncodeToString(secret[:])
	i.byToken[token] = grant{email: email, expires: now.Add(tokenLife)}
	i.byHolder[email] = token
	return token, tokenLife
}

// claims are those of a Google ID token of a service account.
type claims struct {
	jwt.Claims
	AuthorizedParty string `json:"azp,omitempty"`
	Email           string `json:"email"`
	EmailVerified   bool   `json:"email_verified"`
}

// IDToken implements cloud.Identity.
func (i *Identity) IDToken(email, audience string) (string, error) {
	if audience == "" {
		return "", errors.New("an ID token needs an audience")
	}
	now := i.now()
	token, err := jwt.Signed(i.signer).Claims(claims{
		Claims: jwt.Claims{
			Issuer: i.config.Issuer, Subject: email, Audience: jwt.Audience{audience},
			IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(tokenLife)),
		},
		AuthorizedParty: email, Email: email, EmailVerified: true,
	}).Serialize()
	if err != nil {
		return "", fmt.Errorf("signing an ID token for %s: %w", email, err)
	}
	return token, nil
}

// Caller implements cloud.Identity: it returns the principal of the bearer
// access token. The error says what is wrong with the request's credentials.
func (i *Identity) Caller(r *http.Request) (string, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", errors.New("the request bears no access token")
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	g, ok := i.byToken[strings.TrimSpace(token)]
	switch {
	case !ok:
		return "", errors.New("the access token is not one of this local cloud")
	case !g.expires.After(i.now()):
		return "", errors.New("the access token has expired")
	}
	return "serviceAccount:" + g.email, nil
}

// VerifyIDToken implements cloud.Identity.
func (i *Identity) VerifyIDToken(token string, audiences ...string) (string, error) {
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return "", fmt.Errorf("the ID token is malformed: %w", err)
	}
	var c claims
	if err := parsed.Claims(&i.key.PublicKey, &c); err != nil {
		return "", fmt.Errorf("the ID token is not one of this local cloud: %w", err)
	}
	if err := c.Validate(jwt.Expected{Issuer: i.config.Issuer, Time: i.now()}); err != nil {
		return "", fmt.Errorf("the ID token is not valid: %w", err)
	}
	if !slices.ContainsFunc(audiences, c.Audience.Contains) {
		return "", fmt.Errorf("the ID token is for %q, not for %q", []string(c.Audience), audiences)
	}
	return "serviceAccount:" + c.Email, nil
}

// JWKS serves the public keys of the ID tokens, as
// https://www.googleapis.com/oauth2/v3/certs does.
func (i *Identity) JWKS() http.Handler {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{
		Key: &i.key.PublicKey, KeyID: keyID, Algorithm: string(jose.RS256), Use: "sig",
	}}}
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=3600")
		gapi.Write(w, set)
	})
}

var _ cloud.Identity = (*Identity)(nil)
