// Package sendgrid sends mail through SendGrid's v3 API.
//
// The API: www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send and
// its page of errors, read 2026-11-22. SendGrid's suppressions (bounces,
// unsubscribes, reports as spam) are respected: nothing here bypasses them.
//
// SendGrid has no idempotence. A mail carries its own id as a custom argument,
// and [Client.Find] asks for it where an answer was lost.
package sendgrid

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/mail"
	"slices"
	"strconv"
	"strings"
	"time"

	"ingestion.internal/shared/crm"
	"ingestion.internal/shared/crm/vendorapi"
	"ingestion.internal/shared/email"
	"ingestion.internal/shared/integrations"
)

const (
	// DefaultBaseURL is SendGrid's global API; https://api.eu.sendgrid.com is
	// that of EU subusers.
	DefaultBaseURL = "https://api.sendgrid.com"

	sendPath = "/v3/mail/send"
	op       = "send mail"
	vendor   = "sendgrid"

	// maxReset bounds what X-RateLimit-Reset can ask for.
	maxReset = time.Hour
)

// Settings are a tenant's settings of SendGrid.
type Settings = integrations.SendGrid

// Client sends mail. It may be used concurrently.
type Client struct {
	settings Settings
	from     mail.Address
	api      *vendorapi.Client
}

// New returns a client. A nil transport is the default one.
func New(settings Settings, transport http.RoundTripper) (*Client, error) {
	settings.BaseURL = strings.TrimRight(cmp.Or(settings.BaseURL, DefaultBaseURL), "/")
	if err := settings.Validate(); err != nil {
		return nil, fmt.Errorf("sendgrid: %w", err)
	}
	if settings.Template != "" && !slices.Contains(email.Templates(), settings.Template) {
		return nil, fmt.Errorf("sendgrid: template: unknown %.40q; known are %s", settings.Template, strings.Join(email.Templates(), ", "))
	}
	from, err := mail.ParseAddress(settings.From)
	if err != nil {
		return nil, fmt.Errorf("sendgrid: from: %w", err)
	}
	return &Client{settings: settings, from: *from, api: vendorapi.NewClient(vendor, transport)}, nil
}

// Compose makes the tenant's mails about lead, see [email.Compose].
func (c *Client) Compose(recipients []string, lead crm.Lead) ([]email.Message, error) {
	messages, err := email.Compose(c.settings.Template, c.from, recipients, lead)
	for i := range messages {
		messages[i].ReplyTo = c.settings.ReplyTo
	}
	return messages, err
}

// ComposeDigest makes the tenant's mail about several leads, with the given id.
func (c *Client) ComposeDigest(id, recipient string, leads []crm.Lead) (email.Message, error) {
	m, err := email.ComposeDigest(id, c.from, recipient, leads)
	m.ReplyTo = c.settings.ReplyTo
	return m, err
}

// Receipt is SendGrid's word for a mail it took.
type Receipt struct {
	// ProviderID is SendGrid's X-Message-Id, by which its event log knows the
	// mail.
	ProviderID string
	// Queued is false if SendGrid took the mail in sandbox mode: it is valid and
	// will not be delivered.
	Queued bool
}

// CustomArg is the custom argument that carries [email.Message.ID] into
// SendGrid's events.
const CustomArg = "message_id"

type (
	address struct {
		Email string `json:"email"`
		Name  string `json:"name,omitempty"`
	}
	personalization struct {
		To         []address         `json:"to"`
		CustomArgs map[string]string `json:"custom_args"`
	}
	content struct {
		Type  string `json:"type"`
		Value string `json:"value"`
	}
	request struct {
		Personalizations []personalization `json:"personalizations"`
		From             address           `json:"from"`
		ReplyTo          *address          `json:"reply_to,omitempty"`
		Subject          string            `json:"subject"`
		Content          []content         `json:"content"` // text/plain has to be first
		Categories       []string          `json:"categories,omitempty"`
	}
)

// Body is the document that sends m.
func Body(m email.Message) ([]byte, error) {
	if _, err := mail.ParseAddress(m.To); err != nil {
		return nil, fmt.Errorf("sendgrid: recipient: %w", err)
	}
	r := request{
		Personalizations: []personalization{{To: []address{{Email: m.To}}, CustomArgs: map[string]string{CustomArg: m.ID}}},
		From:             address{Email: m.From.Address, Name: m.From.Name},
		Subject:          m.Subject,
		Content:          []content{{"text/plain", m.Text}, {"text/html", m.HTML}},
	}
	if m.ReplyTo != "" {
		r.ReplyTo = &address{Email: m.ReplyTo}
	}
	if m.Template != "" {
		r.Categories = []string{m.Template}
	}
	return json.Marshal(r)
}

// Send hands m to SendGrid. Errors are [vendorapi.Error]s. SendGrid knows no
// idempotence: a retryable error without a status may mean that it took the
// mail all the same.
func (c *Client) Send(ctx context.Context, m email.Message) (Receipt, error) {
	body, err := Body(m)
	if err != nil {
		return Receipt{}, &vendorapi.Error{Vendor: vendor, Op: op, Kind: vendorapi.Permanent, Err: err}
	}
	resp, err := c.api.Do(ctx, vendorapi.Request{
		Op:     op,
		Method: http.MethodPost,
		URL:    c.settings.BaseURL + sendPath,
		Header: http.Header{
			"Authorization": {"Bearer " + c.settings.Key},
			"Content-Type":  {"application/json"},
			"Accept":        {"application/json"},
		},
		Body: body,
	})
	if err != nil {
		return Receipt{}, err
	}
	switch resp.Status {
	case http.StatusAccepted, http.StatusOK:
		return Receipt{ProviderID: resp.Header.Get("X-Message-Id"), Queued: resp.Status == http.StatusAccepted}, nil
	default:
		return Receipt{}, c.refused(op, resp, time.Now())
	}
}

// refused is the error for what SendGrid did not grant.
func (c *Client) refused(op string, resp vendorapi.Response, now time.Time) error {
	var answer struct {
		Errors []struct {
			Message string `json:"message"`
			Field   string `json:"field"`
		} `json:"errors"`
	}
	// A body of another form leaves the status to speak.
	_ = json.Unmarshal(resp.Body, &answer)
	reasons := make([]string, len(answer.Errors))
	for i, e := range answer.Errors {
		reasons[i] = e.Message
		if e.Field != "" {
			reasons[i] = e.Field + ": " + e.Message
		}
	}
	refused := c.api.Refused(op, resp, strings.Join(reasons, "; "))
	if resp.Status == http.StatusTooManyRequests && refused.RetryAfter == 0 {
		refused.RetryAfter = untilReset(resp.Header.Get("X-RateLimit-Reset"), now)
	}
	return refused
}

// untilReset reads the header that says when the limit is lifted, in seconds
// since 1970.
func untilReset(value string, now time.Time) time.Duration {
	seconds, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return 0
	}
	return min(max(time.Unix(seconds, 0).Sub(now), 0), maxReset)
}
