// Package webhook pushes leads to an address of the tenant's, signed.
//
// # The request
//
// A POST with a JSON document: what the field_mapping makes of the lead or,
// without a mapping, the whole lead (see [Document]). It carries
//
//	Idempotency-Key:  the request's id; the same for every try
//	X-Lead-Timestamp: seconds since 1970, when this try was signed
//	X-Lead-Signature: v1=hex(HMAC-SHA256(secret, timestamp + "." + body))
//
// A receiver recomputes the signature over the raw body, compares in constant
// time, and refuses timestamps more than five minutes away from its clock;
// [Verify] does all of it. Every 2xx accepts the lead; if its body is a JSON
// object with an "id" (string), that is kept as the record's id.
package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"ingestion.internal/shared/crm"
	"ingestion.internal/shared/crm/vendorapi"
	"ingestion.internal/shared/integrations"
)

// The headers of a signed request.
const (
	HeaderTimestamp = "X-Lead-Timestamp"
	HeaderSignature = "X-Lead-Signature"
)

const (
	// Tolerance is how far a timestamp may be from the receiver's clock.
	Tolerance = 5 * time.Minute

	scheme = "v1="
	op     = "push lead"
)

// Settings are a tenant's settings of its webhook.
type Settings = integrations.Webhook

// Connector is a [crm.Connector].
type Connector struct {
	settings Settings
	mapping  *crm.Mapping
	api      *vendorapi.Client
	now      func() time.Time
}

var (
	_ crm.Connector = (*Connector)(nil)
	_ crm.Previewer = (*Connector)(nil)
)

// New returns the connector of one tenant. mapping is compiled for "webhook".
// A nil transport is the default one.
func New(settings Settings, mapping *crm.Mapping, transport http.RoundTripper) (*Connector, error) {
	if err := settings.Validate(); err != nil {
		return nil, fmt.Errorf("webhook: %w", err)
	}
	return &Connector{settings: settings, mapping: mapping, api: vendorapi.NewClient("webhook", transport), now: time.Now}, nil
}

// Document is what is sent without a mapping. What is not known is left out.
type Document struct {
	RequestID      string         `json:"request_id"`
	TenantID       string         `json:"tenant_id"`
	OfficeID       string         `json:"office_id,omitempty"`
	Source         string         `json:"source"`
	Mode           string         `json:"communication_mode"`
	CallID         string         `json:"call_id,omitempty"`
	ReceivedAt     time.Time      `json:"received_at"`
	Name           string         `json:"name,omitempty"`
	Phone          string         `json:"phone,omitempty"`
	Email          string         `json:"email,omitempty"`
	PostalCode     string         `json:"postal_code,omitempty"`
	LeadScore      *int64         `json:"lead_score,omitempty"`
	SpamLikelihood *float64       `json:"spam_likelihood,omitempty"`
	Decision       string         `json:"decision,omitempty"`
	Reasons        []string       `json:"reasons,omitempty"`
	Summary        string         `json:"summary,omitempty"`
	Analysis       map[string]any `json:"analysis,omitempty"`
}

// body is the document for lead.
func (c *Connector) body(lead *crm.Lead) ([]byte, []crm.Note, error) {
	var document any
	var notes []crm.Note
	if c.mapping.Len() > 0 {
		document, notes = c.mapping.Apply(lead)
	} else {
		document = Document{
			RequestID: lead.RequestID, TenantID: lead.TenantID, OfficeID: lead.OfficeID, Source: lead.Source, Mode: lead.Mode,
			CallID: lead.CallID, ReceivedAt: lead.ReceivedAt.UTC(), Name: lead.Customer.Name, Phone: lead.Customer.Phone,
			Email: lead.Customer.Email, PostalCode: lead.Customer.PostalCode, LeadScore: lead.LeadScore,
			SpamLikelihood: lead.SpamLikelihood, Decision: lead.Decision, Reasons: lead.Reasons, Summary: lead.Summary, Analysis: lead.Analysis,
		}
	}
	body, err := json.Marshal(document)
	if err != nil {
		return nil, nil, &vendorapi.Error{Vendor: "webhook", Op: op, Kind: vendorapi.Permanent, Err: err}
	}
	return body, notes, nil
}

// Upsert posts the lead.
func (c *Connector) Upsert(ctx context.Context, lead crm.Lead) (crm.Result, error) {
	body, notes, err := c.body(&lead)
	if err != nil {
		return crm.Result{}, err
	}
	timestamp := strconv.FormatInt(c.now().Unix(), 10)
	resp, err := c.api.Do(ctx, vendorapi.Request{
		Op:     op,
		Method: http.MethodPost,
		URL:    c.settings.URL,
		Header: http.Header{
			"Content-Type":    {"application/json"},
			"Idempotency-Key": {lead.RequestID},
			HeaderTimestamp:   {timestamp},
			HeaderSignature:   {scheme + hex.EncodeToString(sign(c.settings.Secret, timestamp, body))},
		},
		Body: body,
	})
	if err != nil {
		return crm.Result{}, err
	}
	if resp.Status < 200 || resp.Status > 299 {
		return crm.Result{}, c.api.Refused(op, resp, "")
	}
	var answer struct {
		ID string `json:"id"`
	}
	// What else a receiver answers is its own affair.
	_ = json.Unmarshal(resp.Body, &answer)
	return crm.Result{RecordID: answer.ID, Created: resp.Status == http.StatusCreated, Notes: notes}, nil
}

// Preview shows the call that [Connector.Upsert] makes, the signature aside.
func (c *Connector) Preview(lead crm.Lead) ([]crm.Call, error) {
	body, _, err := c.body(&lead)
	if err != nil {
		return nil, err
	}
	// The address may hold a secret in its query, as many hooks do.
	address, _, hidden := strings.Cut(c.settings.URL, "?")
	if hidden {
		address += "?..."
	}
	return []crm.Call{{Op: op, Method: http.MethodPost, URL: address, Body: body}}, nil
}

func sign(secret, timestamp string, body []byte) []byte {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(timestamp + "."))
	mac.Write(body)
	return mac.Sum(nil)
}

// Verify says what is wrong with the signature of a request that was received
// at now; nil if it is the sender's and fresh.
func Verify(secret string, header http.Header, body []byte, now time.Time) error {
	timestamp := header.Get(HeaderTimestamp)
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil {
		return fmt.Errorf("webhook: %s is no number of seconds", HeaderTimestamp)
	}
	if age := now.Sub(time.Unix(seconds, 0)); age > Tolerance || age < -Tolerance {
		return fmt.Errorf("webhook: signed %s ago, more than %s from now", age, Tolerance)
	}
	given, ok := strings.CutPrefix(header.Get(HeaderSignature), scheme)
	mac, err := hex.DecodeString(given)
	if !ok || err != nil || !hmac.Equal(mac, sign(secret, timestamp, body)) {
		return fmt.Errorf("webhook: %s does not fit", HeaderSignature)
	}
	return nil
}
