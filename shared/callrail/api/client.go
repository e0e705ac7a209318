// Package api is a client of CallRail's API v3: the details of a call, and the
// audio of its recording.
//
// Rate limits are CallRail's, per account: 1,000 requests an hour and 10,000 a
// day, answered with 429 and no Retry-After (apidocs.callrail.com, "Rate
// Limiting"). The client does not wait: a 429 is an error worth a retry, and
// the queue that drives the caller spaces those out.
//
// Errors that a retry cannot mend are marked with package fault. No error
// carries a key or the query of an address, where CallRail puts access keys.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"ingestion.internal/shared/fault"
)

// DefaultBaseURL is CallRail's own API.
const DefaultBaseURL = "https://api.callrail.com"

const (
	dialTimeout    = 10 * time.Second
	headerTimeout  = 30 * time.Second
	maxDetailBytes = 1 << 20 // a call's details or a recording's JSON
)

// Config configures a Client.
type Config struct {
	BaseURL           string        // "" = DefaultBaseURL
	RecordingHosts    []string      // from where recordings may come: host, *.suffix, or a literal ip:port that may be private; the API's own host always may
	MaxRecordingBytes int64         // a larger recording is refused
	CallTimeout       time.Duration // for a call's details, whole
	RecordingTimeout  time.Duration // for a recording, whole, redirects and body included
	StallTimeout      time.Duration // for a recording's body to bring the next bytes
}

// Client talks to one CallRail API for any number of accounts.
type Client struct {
	cfg        Config
	base       *url.URL
	policy     *policy
	api        *http.Client // to base only
	recordings *http.Client // to where policy allows
}

// New returns a client. Everything wrong with cfg is reported.
func New(cfg Config) (*Client, error) {
	var errs []error
	if cfg.BaseURL == "" {
		cfg.BaseURL = DefaultBaseURL
	}
	base, err := url.Parse(strings.TrimSuffix(cfg.BaseURL, "/"))
	if err != nil || base.Host == "" || base.Scheme != "https" && base.Scheme != "http" {
		errs = append(errs, fmt.Errorf("CallRail API %q: not an http or https URL", cfg.BaseURL))
		base = &url.URL{}
	}
	hosts := cfg.RecordingHosts
	if base.Host != "" {
		hosts = append([]string{base.Host}, hosts...)
	}
	policy, err := newPolicy(hosts)
	errs = append(errs, err)
	if cfg.MaxRecordingBytes <= 0 {
		errs = append(errs, fmt.Errorf("largest recording must be more than 0 bytes, not %d", cfg.MaxRecordingBytes))
	}
	for name, d := range map[string]time.Duration{"call": cfg.CallTimeout, "recording": cfg.RecordingTimeout, "stall": cfg.StallTimeout} {
		if d <= 0 {
			errs = append(errs, fmt.Errorf("%s timeout must be positive, not %s", name, d))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}

	// No proxy: it would resolve and dial names in the dialer's place. No
	// compression: a small body that unpacks to a large one is no recording.
	transport := &http.Transport{
		DialContext:           policy.dialer().DialContext,
		ForceAttemptHTTP2:     true,
		TLSHandshakeTimeout:   dialTimeout,
		ResponseHeaderTimeout: headerTimeout,
		IdleConnTimeout:       time.Minute,
		DisableCompression:    true,
	}
	noRedirects := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{
		cfg:        cfg,
		base:       base,
		policy:     policy,
		api:        &http.Client{Timeout: cfg.CallTimeout, CheckRedirect: noRedirects},
		recordings: &http.Client{Transport: transport, CheckRedirect: noRedirects},
	}, nil
}

// Call is what the platform uses of a call's details.
type Call struct {
	ID                string
	CustomerName      string
	CustomerPhone     string // E.164
	CustomerCity      string
	CustomerState     string
	CustomerCountry   string
	PostalCode        string // the caller's, CallRail's guess from the number
	Direction         string // inbound or outbound
	Answered          bool
	Voicemail         bool
	StartTime         string        // RFC 3339
	Duration          time.Duration // of the call
	RecordingURL      string        // "" if the call was not recorded
	RecordingDuration time.Duration // 0 if CallRail does not say
	SourceName        string        // the tracking source, such as Google Ads
}

// callFields are the fields asked for beyond those always sent. zip_code is
// sent only when asked for.
const callFields = "zip_code,source_name"

var pathID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// Call gets a call's details with the account's API key.
func (c *Client) Call(ctx context.Context, accountID, callID, key string) (*Call, error) {
	for name, id := range map[string]string{"account": accountID, "call": callID} {
		if !pathID.MatchString(id) {
			return nil, fault.Permanent(fmt.Errorf("CallRail call: %q is no %s id", id, name))
		}
	}
	u := c.base.JoinPath("v3", "a", accountID, "calls", callID+".json")
	u.RawQuery = url.Values{"fields": {callFields}}.Encode()
	req, err := c.request(ctx, u, key)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := c.api.Do(req)
	if err != nil {
		return nil, fmt.Errorf("CallRail call %s: %w", callID, withoutURL(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("CallRail call %s: %w", callID, statusError(resp.StatusCode))
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxDetailBytes+1))
	if err != nil {
		return nil, fmt.Errorf("CallRail call %s: reading the answer: %w", callID, err)
	}
	call, err := parseCall(body)
	if err != nil {
		// A proxy's error page under status 200 passes; it is worth a retry.
		return nil, fmt.Errorf("CallRail call %s: %w", callID, err)
	}
	return call, nil
}

// request prepares a GET. The key goes to the API's own origin and nowhere
// else.
func (c *Client) request(ctx context.Context, u *url.URL, key string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, fault.Permanent(fmt.Errorf("%s: %w", redacted(u), withoutURL(err)))
	}
	req.Header.Set("User-Agent", "lead-ingestion/1")
	if key != "" && u.Scheme == c.base.Scheme && strings.EqualFold(u.Host, c.base.Host) {
		if strings.ContainsAny(key, "\"\r\n") {
			return nil, fault.Permanent(errors.New("the CallRail API key has characters that no key has"))
		}
		req.Header.Set("Authorization", `Token token="`+key+`"`)
	}
	return req, nil
}

// statusError explains a status other than 200.
func statusError(code int) error {
	why := http.StatusText(code)
	switch code {
	case http.StatusUnauthorized:
		why = "the API key is not accepted"
	case http.StatusForbidden:
		why = "the API key or link may not read this"
	case http.StatusNotFound, http.StatusGone:
		why = "it does not exist, or no longer"
	case http.StatusTooManyRequests:
		why = "the account's rate limit is used up"
	}
	return fault.HTTPStatus(code, fmt.Errorf("answered %d: %s", code, why))
}

// withoutURL takes the address off a transport error, because its query may
// hold an access key.
func withoutURL(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		return ue.Err
	}
	return err
}

// parseCall reads a call's details. CallRail sends ids and durations as
// numbers in some places and as strings in others.
func parseCall(body []byte) (*Call, error) {
	var raw struct {
		ID                scalar  `json:"id"`
		CustomerName      *string `json:"customer_name"`
		CustomerPhone     *string `json:"customer_phone_number"`
		CustomerCity      *string `json:"customer_city"`
		CustomerState     *string `json:"customer_state"`
		CustomerCountry   *string `json:"customer_country"`
		ZIPCode           scalar  `json:"zip_code"`
		Direction         string  `json:"direction"`
		Answered          bool    `json:"answered"`
		Voicemail         bool    `json:"voicemail"`
		StartTime         string  `json:"start_time"`
		Duration          scalar  `json:"duration"`
		Recording         *string `json:"recording"`
		RecordingDuration scalar  `json:"recording_duration"`
		SourceName        *string `json:"source_name"`
	}
	if len(body) > maxDetailBytes {
		return nil, fmt.Errorf("the answer is larger than %d bytes", maxDetailBytes)
	}
	if err := json.Unmarshal(body, &raw); err != nil {
		return nil, fmt.Errorf("the answer is not a call: %w", err)
	}
	if raw.ID == "" {
		return nil, errors.New("the answer is not a call: it has no id")
	}
	text := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	return &Call{
		ID:                string(raw.ID),
		CustomerName:      text(raw.CustomerName),
		CustomerPhone:     text(raw.CustomerPhone),
		CustomerCity:      text(raw.CustomerCity),
		CustomerState:     text(raw.CustomerState),
		CustomerCountry:   text(raw.CustomerCountry),
		PostalCode:        string(raw.ZIPCode),
		Direction:         raw.Direction,
		Answered:          raw.Answered,
		Voicemail:         raw.Voicemail,
		StartTime:         raw.StartTime,
		Duration:          raw.Duration.seconds(),
		RecordingURL:      text(raw.Recording),
		RecordingDuration: raw.RecordingDuration.seconds(),
		SourceName:        text(raw.SourceName),
	}, nil
}

// scalar is a JSON string or number, as text; null is "".
type scalar string

func (s *scalar) UnmarshalJSON(data []byte) error {
	var value any
	dec := json.NewDecoder(strings.NewReader(string(data)))
	dec.UseNumber()
	if err := dec.Decode(&value); err != nil {
		return err
	}
	switch v := value.(type) {
	case nil:
		*s = ""
	case string:
		*s = scalar(strings.TrimSpace(v))
	case json.Number:
		*s = scalar(v.String())
	default:
		return fmt.Errorf("%s is neither a string nor a number", data)
	}
	return nil
}

// seconds reads s as a number of seconds; 0 where it is none.
func (s scalar) seconds() time.Duration {
	d, err := time.ParseDuration(string(s) + "s")
	if err != nil || d < 0 {
		return 0
	}
	return d
}
