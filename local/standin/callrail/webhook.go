package callrail

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"ingestion.internal/local/standin/audio"
)

// SignatureHeader bears the signature of a webhook.
const SignatureHeader = "Signature"

// Sign returns the value of SignatureHeader for the body: base64 of its
// HMAC-SHA1 under the company's signing key, which CallRail uses as text.
func Sign(key string, body []byte) string {
	mac := hmac.New(sha1.New, []byte(key))
	mac.Write(body)
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// SampleCall is the phone call that a sample webhook reports.
type SampleCall struct {
	ID                string // digits, or CAL...
	CompanyID         string // digits
	CompanyResourceID string // COM...; empty leaves it out
	CompanyName       string
	TrackingPhone     string // E.164
	Recording         string // URL; empty = the call was not recorded
	Sample            audio.Sample
	At                time.Time // when the call started, and the payload's timestamp
}

// SamplePayload returns the body of the Post-Call webhook for the call, in the
// shape and with the types that CallRail sends. Its values are this package's
// own.
func SamplePayload(c SampleCall) ([]byte, error) {
	_, length := audio.Lay(c.Sample.Turns, 0)
	seconds := int(length.Seconds())
	caller := c.Sample.Caller
	at := c.At.Format("2006-01-02T15:04:05.000-07:00")
	kind := "voice_call"
	formattedKind := "Call"
	if c.Sample.Voicemail {
		kind, formattedKind = "voicemail", "Voicemail"
	}
	payload := map[string]any{
		"id":                        numberOrString(c.ID),
		"resource_id":               resourceID("CAL", c.ID),
		"company_id":                numberOrString(c.CompanyID),
		"company_name":              c.CompanyName,
		"company_time_zone":         "America/Los_Angeles",
		"answered":                  !c.Sample.Voicemail,
		"voicemail":                 c.Sample.Voicemail,
		"call_type":                 kind,
		"formatted_call_type":       formattedKind,
		"direction":                 "inbound",
		"first_call":                true,
		"prior_calls":               0,
		"total_calls":               1,
		"created_at":                at,
		"start_time":                at,
		"timestamp":                 at,
		"datetime":                  c.At.UTC().Format(time.DateTime),
		"duration":                  fmt.Sprint(seconds), // a string, other than recording_duration
		"recording_duration":        seconds,
		"recording":                 c.Recording,
		"recording_player":          c.Recording,
		"customer_name":             caller.Name,
		"customer_phone_number":     caller.Phone,
		"customer_city":             caller.City,
		"customer_state":            caller.State,
		"customer_country":          "US",
		"formatted_customer_name":   caller.Name,
		"formatted_duration":        fmt.Sprintf("%dm %ds", seconds/60, seconds%60),
		"formatted_value":           "--",
		"tracking_phone_number":     c.TrackingPhone,
		"source_name":               "Google Ads",
		"lead_status":               nil,
		"note":                      "",
		"value":                     "",
		"tags":                      []string{},
		"transcription":             nil, // null without Premium Conversation Intelligence
		"conversational_transcript": nil,
		"call_highlights":           []string{},
		"integration_data":          []any{map[string]any{"integration": "Webhooks", "data": nil}},
		"utm_source":                "google",
		"utm_medium":                "cpc",
		// The names of an older version of the webhook, still sent.
		"callername":  caller.Name,
		"callernum":   caller.Phone,
		"callercity":  caller.City,
		"callerstate": caller.State,
		"trackingnum": c.TrackingPhone,
	}
	if c.CompanyResourceID != "" {
		payload["company_resource_id"] = c.CompanyResourceID
	}
	body, err := json.Marshal(payload)
	if err != nil {
		return nil, fmt.Errorf("callrail: marshal sample payload: %w", err)
	}
	return body, nil
}

// numberOrString returns id as CallRail sends it: the older ids are numbers.
func numberOrString(id string) any {
	if id != "" && id[0] != '0' && strings.Trim(id, "0123456789") == "" {
		return json.Number(id)
	}
	return id
}

// resourceID returns the id with its resource prefix.
func resourceID(prefix, id string) string {
	if strings.HasPrefix(id, prefix) {
		return id
	}
	return prefix + id
}
