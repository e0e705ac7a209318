// Package intake is what a tenant lets in by its public channels: from which
// pages, how often, and by which names its forms call things. It is pure data,
// validated when a stack is previewed and kept with the tenant.
//
// None of it proves who sends. A public page names its tenant for everybody to
// read, so what is configured here keeps honest pages apart from foreign ones
// and slows robots down; see docs/channels.md.
package intake

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Config is a tenant's own. The zero value of a field is its default.
type Config struct {
	// Origins are the pages' origins from which browsers may send, such as
	// https://www.acme.example. None: any origin. One of this machine without a
	// port, http://127.0.0.1, stands for every port, since a page in development
	// takes the one that is free (as RFC 8252, section 7.3, has it).
	Origins []string `json:"origins,omitempty"`
	// Redirects are the addresses to which a form without script may ask to be
	// sent on, each with everything below it. None: none. The port of this
	// machine's is as in Origins.
	Redirects []string `json:"redirects,omitempty"`
	// Aliases are names of a form's fields and what they are: one of Fields.
	// They go before those that are known to everybody.
	Aliases map[string]string `json:"aliases,omitempty"`
	// Honeypot is the name of a field that people do not see. Default website.
	Honeypot string `json:"honeypot,omitempty"`
	// MinSeconds is how long a person needs to fill in a form at least. A form
	// that says that it took less is likely a robot's. Default 3, -1 for any.
	MinSeconds int `json:"minSeconds,omitempty"`
	// PerMinute is how many requests a minute are taken in of the tenant, and
	// PerAddress of one address. Each instance of a service counts for itself.
	// Default 1200 and 30.
	PerMinute  int `json:"perMinute,omitempty"`
	PerAddress int `json:"perAddress,omitempty"`
	// Chat is of the chat on the tenant's pages.
	Chat Chat `json:"chat,omitzero"`
	// Signed refuses forms that the tenant's own server has not signed. A
	// signature that is there is looked at in any case.
	Signed bool `json:"signed,omitempty"`
}

// Fields are what aliases may stand for.
var Fields = []string{Name, Phone, Email, Zip, Address, Message}

// What a form tells.
const (
	Name    = "name"
	Phone   = "phone"
	Email   = "email"
	Zip     = "zip"
	Address = "address"
	Message = "message"
)

// WithDefaults returns the config with its defaults filled in.
func (c Config) WithDefaults() Config {
	if c.Honeypot == "" {
		c.Honeypot = "website"
	}
	if c.MinSeconds == 0 {
		c.MinSeconds = 3
	}
	if c.PerMinute == 0 {
		c.PerMinute = 1200
	}
	if c.PerAddress == 0 {
		c.PerAddress = 30
	}
	c.Chat = c.Chat.WithDefaults()
	return c
}

var fieldName = regexp.MustCompile(`^[^\s.\[\]][^.\[\]]{0,63}$`)

// Validate joins every mistake, each with its path below path.
func (c Config) Validate(path string) error {
	var errs []error
	add := func(at, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s.%s: %s", path, at, fmt.Sprintf(format, args...)))
	}
	for i, origin := range c.Origins {
		u, err := url.Parse(origin)
		if err != nil || u.Scheme != "https" && !(u.Scheme == "http" && isLocal(u.Hostname())) || u.Host == "" || origin != u.Scheme+"://"+strings.ToLower(u.Host) {
			add(fmt.Sprintf("origins[%d]", i), "must be an origin such as https://www.acme.example, without a path, not %q", origin)
		}
	}
	for i, address := range c.Redirects {
		u, err := url.Parse(address)
		if err != nil || u.Scheme != "https" && !(u.Scheme == "http" && isLocal(u.Hostname())) || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path == "" {
			add(fmt.Sprintf("redirects[%d]", i), "must be an https address with a path, such as https://www.acme.example/thanks, not %q", address)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Aliases)) {
		if !fieldName.MatchString(name) {
			add("aliases."+name, "is not the name of a form's field")
		}
		if !slices.Contains(Fields, c.Aliases[name]) {
			add("aliases."+name, "must be one of %s, not %q", strings.Join(Fields, ", "), c.Aliases[name])
		}
	}
	if c.Honeypot != "" && !fieldName.MatchString(c.Honeypot) {
		add("honeypot", "is not the name of a form's field")
	}
	if c.MinSeconds < -1 || c.MinSeconds > 60 {
		add("minSeconds", "must be -1 to 60, not %d", c.MinSeconds)
	}
	if c.PerMinute < 0 || c.PerMinute > 100_000 {
		add("perMinute", "must be 1 to 100000, not %d", c.PerMinute)
	}
	if c.PerAddress < 0 || c.PerAddress > 10_000 {
		add("perAddress", "must be 1 to 10000, not %d", c.PerAddress)
	}
	errs = append(errs, c.Chat.validate(path+".chat"))
	return errors.Join(errs...)
}

// isLocal tells the addresses for which http will do.
func isLocal(host string) bool { return host == "localhost" || host == "127.0.0.1" || host == "::1" }

// AllowsOrigin tells whether browsers may send from a page of the origin. ""
// is no browser's, and is not held back here.
func (c Config) AllowsOrigin(origin string) bool {
	if origin == "" || len(c.Origins) == 0 {
		return true
	}
	origin = strings.ToLower(origin)
	return slices.ContainsFunc(c.Origins, func(allowed string) bool {
		if allowed == origin {
			return true
		}
		a, err := url.Parse(allowed)
		if err != nil {
			return false
		}
		o, err := url.Parse(origin)
		return err == nil && origin == o.Scheme+"://"+o.Host && a.Scheme == o.Scheme && sameHost(a, o)
	})
}

// sameHost compares host and port. An allowed address of this machine without a
// port has every port.
func sameHost(allowed, u *url.URL) bool {
	if isLocal(allowed.Hostname()) && allowed.Port() == "" {
		return strings.EqualFold(allowed.Hostname(), u.Hostname())
	}
	return strings.EqualFold(allowed.Host, u.Host)
}

// AllowsRedirect tells whether a form may be answered with the address.
func (c Config) AllowsRedirect(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.User != nil {
		return false
	}
	u.RawQuery, u.Fragment = "", ""
	for _, allowed := range c.Redirects {
		a, err := url.Parse(allowed)
		if err != nil || a.Scheme != u.Scheme || !sameHost(a, u) {
			continue
		}
		at, base := u.EscapedPath(), strings.TrimSuffix(a.EscapedPath(), "/")
		// Browsers take %2e for a full stop and \ for a slash, and then go up.
		if !strings.Contains(u.Path, "..") && !strings.Contains(u.Path, `\`) && (at == a.EscapedPath() || at == base || strings.HasPrefix(at, base+"/")) {
			return true
		}
	}
	return false
}
