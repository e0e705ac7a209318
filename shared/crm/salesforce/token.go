package salesforce

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"ingestion.internal/shared/crm/vendorapi"
	"ingestion.internal/shared/integrations"
)

const (
	tokenPath       = "/services/oauth2/token"
	defaultAudience = "https://login.salesforce.com"
	jwtGrant        = "urn:ietf:params:oauth:grant-type:jwt-bearer"

	// Salesforce takes assertions that expire within the next few minutes.
	assertionLife = 3 * time.Minute

	// tokenLife bounds how long a token is used unasked. Salesforce does not
	// say when it ends: that depends on the org's session settings, the
	// shortest of which is 15 minutes. A token that ended earlier is replaced
	// on the 401 it meets.
	tokenLife = 10 * time.Minute

	opToken = "get token"
)

// token is an access token and the org's address it is good for.
type token struct {
	AccessToken string `json:"access_token"`
	InstanceURL string `json:"instance_url"`
}

// tokens gets tokens and keeps the current one.
type tokens struct {
	settings Settings
	signer   jose.Signer // nil: client credentials
	api      *vendorapi.Client

	mu      sync.Mutex // held while a token is being fetched, so that one is
	current token
	expires time.Time
}

func newTokens(s Settings, api *vendorapi.Client) (*tokens, error) {
	t := &tokens{settings: s, api: api}
	if s.PrivateKey == "" {
		return t, nil
	}
	key, err := s.Key()
	if err != nil {
		return nil, fmt.Errorf("private_key: %w", err)
	}
	t.signer, err = jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return nil, fmt.Errorf("private_key: %w", err)
	}
	return t, nil
}

// get returns the current token, or a new one.
func (t *tokens) get(ctx context.Context) (token, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if now.Before(t.expires) {
		return t.current, nil
	}
	fresh, err := t.fetch(ctx, now)
	if err != nil {
		return token{}, err
	}
	t.current, t.expires = fresh, now.Add(tokenLife)
	return fresh, nil
}

// drop forgets a token that was not accepted, unless another has come already.
func (t *tokens) drop(refused token) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current == refused {
		t.expires = time.Time{}
	}
}

// fetch asks Salesforce for a token.
func (t *tokens) fetch(ctx context.Context, now time.Time) (token, error) {
	form := url.Values{
		"grant_type":    {"client_credentials"},
		"client_id":     {t.settings.ClientID},
		"client_secret": {t.settings.ClientSecret},
	}
	if t.signer != nil {
		assertion, err := jwt.Signed(t.signer).Claims(map[string]any{
			"iss": t.settings.ClientID,
			"sub": t.settings.Username,
			"aud": t.settings.Audience, // one string: Salesforce's documentation shows no list
			"exp": now.Add(assertionLife).Unix(),
		}).Serialize()
		if err != nil {
			return token{}, &vendorapi.Error{Vendor: vendor, Op: opToken, Kind: vendorapi.Credentials, Err: err}
		}
		form = url.Values{"grant_type": {jwtGrant}, "assertion": {assertion}}
	}
	resp, err := t.api.Do(ctx, vendorapi.Request{
		Op:     opToken,
		Method: http.MethodPost,
		URL:    t.settings.LoginURL + tokenPath,
		Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"application/json"}},
		Body:   []byte(form.Encode()),
	})
	if err != nil {
		return token{}, err
	}
	if resp.Status != http.StatusOK {
		return token{}, t.refused(resp)
	}
	var fresh token
	if err := t.api.Decode(opToken, resp, &fresh); err != nil {
		return token{}, err
	}
	fresh.InstanceURL = strings.TrimRight(cmp.Or(fresh.InstanceURL, t.settings.LoginURL), "/")
	if err := integrations.CheckURL(fresh.InstanceURL); fresh.AccessToken == "" || err != nil {
		return token{}, &vendorapi.Error{Vendor: vendor, Op: opToken, Err: cmp.Or(err, errors.New("the answer has no token"))}
	}
	return fresh, nil
}

// refused is the error for a token that was not granted. OAuth answers 400 for
// wrong credentials and grants (RFC 6749, section 5.2), so a 400 is not for the
// lead to pay.
func (t *tokens) refused(resp vendorapi.Response) error {
	var body struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	// A body of another form leaves the status to speak.
	_ = json.Unmarshal(resp.Body, &body)
	reason := ""
	if body.Error != "" {
		reason = strings.TrimSuffix(body.Error+": "+body.Description, ": ")
	}
	refused := t.api.Refused(opToken, resp, reason)
	switch {
	// "retry your request" is Salesforce's invalid_grant for passing trouble.
	case body.Description == "retry your request", body.Error == "temporarily_unavailable", body.Error == "server_error":
		refused.Kind = vendorapi.Retryable
	case refused.Kind == vendorapi.Permanent:
		refused.Kind = vendorapi.Credentials
	}
	return refused
}
