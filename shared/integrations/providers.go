package integrations

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/mail"
	"regexp"
	"slices"
	"time"
)

// HubSpot are the settings of a HubSpot account.
type HubSpot struct {
	// Token is the access token of a private app with the scopes
	// crm.objects.contacts.read and crm.objects.contacts.write.
	Token string `json:"token"`
	// PhoneProperty is a custom contact property with unique values that holds
	// the telephone number in E.164. Without it, a lead without an e-mail
	// address cannot be pushed.
	PhoneProperty string `json:"phone_property,omitempty"`
	// NoteProperty is a custom property of notes with unique values that holds
	// the request's id. Without it, no notes are written.
	NoteProperty string `json:"note_property,omitempty"`
	// BaseURL is where the API is; empty = https://api.hubapi.com.
	BaseURL string `json:"base_url,omitempty"`
}

var propertyName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,99}$`)

func (s *HubSpot) check() []error {
	var errs []error
	if s.Token == "" {
		errs = append(errs, errors.New("token: is missing"))
	}
	for _, p := range []struct{ name, value string }{{"phone_property", s.PhoneProperty}, {"note_property", s.NoteProperty}} {
		if p.value != "" && !propertyName.MatchString(p.value) {
			errs = append(errs, fmt.Errorf("%s: is no name of a property (a-z, 0-9, _)", p.name))
		}
	}
	return append(errs, optionalURL("base_url", s.BaseURL)...)
}

// Validate joins what is wrong with s.
func (s *HubSpot) Validate() error { return errors.Join(s.check()...) }

// Salesforce are the settings of a Salesforce org. Either ClientSecret is set
// (client credentials flow) or Username and PrivateKey (JWT bearer flow).
type Salesforce struct {
	// LoginURL is where tokens come from: the My Domain address, as in
	// https://acme.my.salesforce.com.
	LoginURL string `json:"login_url"`
	ClientID string `json:"client_id"` // the External Client App's consumer key

	ClientSecret string `json:"client_secret,omitempty"`

	Username   string `json:"username,omitempty"`
	PrivateKey string `json:"private_key,omitempty"` // PEM, RSA; the app has its certificate
	// Audience of the JWT; empty = https://login.salesforce.com. For a sandbox
	// https://test.salesforce.com.
	Audience string `json:"audience,omitempty"`

	// ExternalIDField is a custom text field of Lead, "External ID" and
	// "Unique", that holds the request's id. Example: Ingestion_Request__c.
	ExternalIDField string `json:"external_id_field"`
	APIVersion      string `json:"api_version,omitempty"` // empty = v66.0, Spring '26
}

var (
	fieldName  = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,60}__c$`)
	apiVersion = regexp.MustCompile(`^v[1-9][0-9]{1,2}\.0$`)
)

func (s *Salesforce) check() []error {
	var errs []error
	fail := func(text string) { errs = append(errs, errors.New(text)) }
	if err := CheckURL(s.LoginURL); err != nil {
		errs = append(errs, fmt.Errorf("login_url: %w", err))
	}
	if s.ClientID == "" {
		fail("client_id: is missing")
	}
	switch jwt := s.Username != "" || s.PrivateKey != ""; {
	case jwt && s.ClientSecret != "":
		fail("client_secret: must not stand beside username and private_key")
	case jwt && (s.Username == "" || s.PrivateKey == ""):
		fail("username and private_key: both are needed")
	case !jwt && s.ClientSecret == "":
		fail("client_secret: is missing (or username and private_key)")
	}
	if s.PrivateKey != "" {
		if _, err := s.Key(); err != nil {
			errs = append(errs, fmt.Errorf("private_key: %w", err))
		}
	}
	if !fieldName.MatchString(s.ExternalIDField) {
		fail("external_id_field: is no name of a custom field such as Ingestion_Request__c")
	}
	if s.APIVersion != "" && !apiVersion.MatchString(s.APIVersion) {
		fail("api_version: is no version like v66.0")
	}
	return errs
}

// Key reads PrivateKey, an RSA key in PEM, PKCS#8 or PKCS#1. No error shows
// parts of it.
func (s *Salesforce) Key() (*rsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(s.PrivateKey))
	if block == nil {
		return nil, errors.New("is not PEM")
	}
	if block.Type == "RSA PRIVATE KEY" {
		key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
		if err != nil {
			return nil, errors.New("is no RSA key") // the parser's words could show parts of it
		}
		return key, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("is no PKCS#8 key")
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("is no RSA key")
	}
	return key, nil
}

// Validate joins what is wrong with s.
func (s *Salesforce) Validate() error { return errors.Join(s.check()...) }

// MCP are the settings of a CRM's MCP server.
type MCP struct {
	URL   string `json:"url"`
	Token string `json:"token,omitempty"` // bearer token; empty = none is sent
	Tool  string `json:"tool"`            // the tool to call for each lead
}

func (s *MCP) check() []error {
	var errs []error
	if err := CheckURL(s.URL); err != nil {
		errs = append(errs, fmt.Errorf("url: %w", err))
	}
	if s.Tool == "" {
		errs = append(errs, errors.New("tool: is missing"))
	}
	return errs
}

// Validate joins what is wrong with s.
func (s *MCP) Validate() error { return errors.Join(s.check()...) }

// Webhook are the settings of an address of the tenant's own.
type Webhook struct {
	URL    string `json:"url"`
	Secret string `json:"secret"` // at least 16 bytes
}

const minWebhookSecret = 16 // bytes

func (s *Webhook) check() []error {
	var errs []error
	if err := CheckURL(s.URL); err != nil {
		errs = append(errs, fmt.Errorf("url: %w", err))
	}
	if n := len(s.Secret); n < minWebhookSecret {
		errs = append(errs, fmt.Errorf("secret: has %d bytes, needs %d", n, minWebhookSecret))
	}
	return errs
}

// Validate joins what is wrong with s.
func (s *Webhook) Validate() error { return errors.Join(s.check()...) }

// SendGrid are the settings of a tenant's mail.
type SendGrid struct {
	// Key is an API key with the permission Mail Send. With Email Activity and
	// the reading of suppressions it also answers whether a mail was sent
	// before a crash, and which addresses want none.
	Key string `json:"key"`
	// From is the verified sender, with or without a name: Leads <leads@acme.example>.
	From     string `json:"from"`
	ReplyTo  string `json:"reply_to,omitempty"` // an address; empty = From
	Template string `json:"template,omitempty"` // empty = the newest; a name of package email
	// Digest collects a recipient's mails and sends one at the hours it names.
	Digest  *Digest `json:"digest,omitempty"`
	BaseURL string  `json:"base_url,omitempty"` // empty = https://api.sendgrid.com
}

// Digest says when collected mails are sent.
type Digest struct {
	Hours    []int  `json:"hours"`               // 0-23, local hours
	TimeZone string `json:"time_zone,omitempty"` // IANA name; empty = UTC
}

// Next is the first of the digest's hours after t.
func (d *Digest) Next(t time.Time) time.Time {
	zone, err := time.LoadLocation(d.TimeZone)
	if err != nil {
		zone = time.UTC // Check refuses it
	}
	local := t.In(zone)
	// One day more, for hours that a change of the clocks leaves out.
	for day := range 3 {
		for _, hour := range slices.Sorted(slices.Values(d.Hours)) {
			at := time.Date(local.Year(), local.Month(), local.Day()+day, hour, 0, 0, 0, zone)
			if at.After(t) {
				return at
			}
		}
	}
	return t.Add(24 * time.Hour)
}

func (s *SendGrid) check() []error {
	var errs []error
	if s.Key == "" {
		errs = append(errs, errors.New("key: is missing"))
	}
	if _, err := mail.ParseAddress(s.From); err != nil {
		errs = append(errs, errors.New("from: is no address"))
	}
	if s.ReplyTo != "" {
		if _, err := mail.ParseAddress(s.ReplyTo); err != nil {
			errs = append(errs, errors.New("reply_to: is no address"))
		}
	}
	if d := s.Digest; d != nil {
		if len(d.Hours) == 0 {
			errs = append(errs, errors.New("digest.hours: must name at least one hour"))
		}
		for i, hour := range d.Hours {
			if hour < 0 || hour > 23 {
				errs = append(errs, fmt.Errorf("digest.hours[%d]: must be 0 to 23", i))
			}
		}
		if _, err := time.LoadLocation(d.TimeZone); err != nil {
			errs = append(errs, errors.New("digest.time_zone: is no IANA time zone such as America/Los_Angeles"))
		}
	}
	return append(errs, optionalURL("base_url", s.BaseURL)...)
}

// Validate joins what is wrong with s.
func (s *SendGrid) Validate() error { return errors.Join(s.check()...) }

func optionalURL(field, address string) []error {
	if address == "" {
		return nil
	}
	if err := CheckURL(address); err != nil {
		return []error{fmt.Errorf("%s: %w", field, err)}
	}
	return nil
}
