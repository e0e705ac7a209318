// Package integrations is the shape of a tenant's settings of its CRM and its
// mail: one document per tenant, kept as a secret because it holds credentials.
// It is pure data, so that the program in infra/stack checks at preview what
// the dispatcher reads.
//
// No error and no String of this package shows a value.
package integrations

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"slices"
)

// Settings are a tenant's settings, by provider. What is nil is not set up.
type Settings struct {
	HubSpot    *HubSpot    `json:"hubspot,omitempty"`
	Salesforce *Salesforce `json:"salesforce,omitempty"`
	MCP        *MCP        `json:"mcp,omitempty"`
	Webhook    *Webhook    `json:"webhook,omitempty"`
	SendGrid   *SendGrid   `json:"sendgrid,omitempty"`
}

// Mail is the name of the mail service among the providers.
const Mail = "sendgrid"

// Parse reads a document and checks it whole. Unknown fields and whatever
// follows it are errors.
func Parse(data []byte) (Settings, error) {
	var s Settings
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&s); err != nil {
		return Settings{}, fmt.Errorf("integrations: %w", withoutValue(err))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Settings{}, errors.New("integrations: more than one JSON value")
	}
	if err := errors.Join(s.Check("integrations")...); err != nil {
		return Settings{}, err
	}
	return s, nil
}

// withoutValue takes out of a decoding error what it quotes of the document: a
// number of the wrong type.
func withoutValue(err error) error {
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("%s must be a %s", e.Field, e.Type)
	}
	return err
}

// Document is s as Parse reads it.
func (s Settings) Document() ([]byte, error) { return json.Marshal(s) }

// Check says everything that is wrong with s, each with its place below path.
func (s Settings) Check(path string) []error {
	var errs []error
	for _, name := range s.Providers() {
		for _, err := range s.provider(name).check() {
			errs = append(errs, fmt.Errorf("%s.%s.%w", path, name, err))
		}
	}
	return errs
}

// Has says whether the provider is set up.
func (s Settings) Has(name string) bool { return s.provider(name) != nil }

// Providers are the names of what is set up, sorted.
func (s Settings) Providers() []string {
	all := []string{"hubspot", "mcp", "salesforce", Mail, "webhook"}
	return slices.DeleteFunc(all, func(name string) bool { return !s.Has(name) })
}

// checker is one provider's settings. Its errors begin with the field's name.
type checker interface{ check() []error }

func (s Settings) provider(name string) checker {
	// A nil pointer in an interface would not be nil.
	switch {
	case name == "hubspot" && s.HubSpot != nil:
		return s.HubSpot
	case name == "salesforce" && s.Salesforce != nil:
		return s.Salesforce
	case name == "mcp" && s.MCP != nil:
		return s.MCP
	case name == "webhook" && s.Webhook != nil:
		return s.Webhook
	case name == Mail && s.SendGrid != nil:
		return s.SendGrid
	}
	return nil
}

// Endpoints redirect the providers' APIs for every tenant. Empty fields
// redirect nothing.
type Endpoints struct {
	HubSpot    string
	Salesforce string // of the token endpoint; it names the instance itself
	MCP        string
	SendGrid   string
}

// At returns s with the addresses that e names.
func (s Settings) At(e Endpoints) Settings {
	if s.HubSpot != nil && e.HubSpot != "" {
		moved := *s.HubSpot
		moved.BaseURL, s.HubSpot = e.HubSpot, &moved
	}
	if s.Salesforce != nil && e.Salesforce != "" {
		moved := *s.Salesforce
		moved.LoginURL, s.Salesforce = e.Salesforce, &moved
	}
	if s.MCP != nil && e.MCP != "" {
		moved := *s.MCP
		moved.URL, s.MCP = e.MCP, &moved
	}
	if s.SendGrid != nil && e.SendGrid != "" {
		moved := *s.SendGrid
		moved.BaseURL, s.SendGrid = e.SendGrid, &moved
	}
	return s
}

// String keeps credentials out of messages.
func (s Settings) String() string { return fmt.Sprintf("settings of %v", s.Providers()) }

// GoString keeps credentials out of messages.
func (s Settings) GoString() string { return s.String() }

// LogValue keeps credentials out of logs.
func (s Settings) LogValue() slog.Value { return slog.StringValue(s.String()) }

// CheckURL says what is wrong with a configured address: it has to be absolute
// and https, or http on the loopback interface, without credentials or
// fragment.
func CheckURL(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return errors.New("is no URL")
	case u.Host == "":
		return errors.New("has no host")
	case u.User != nil:
		return errors.New("must not carry credentials")
	case u.Fragment != "":
		return errors.New("must not have a fragment")
	case u.Scheme == "https", u.Scheme == "http" && isLoopback(u.Hostname()):
		return nil
	default:
		return errors.New("must be https")
	}
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
