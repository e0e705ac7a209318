package integrations

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
)

// TestKey: both forms of an RSA key are read, and nothing else; no error shows
// what was given.
func TestKey(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := x509.MarshalPKCS8PrivateKey(curve)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	for name, tc := range map[string]struct{ text, want string }{
		"pkcs8":             {block("PRIVATE KEY", pkcs8), ""},
		"pkcs1":             {block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)), ""},
		"another_algorithm": {block("PRIVATE KEY", other), "is no RSA key"},
		"broken_pkcs8":      {block("PRIVATE KEY", []byte("hunter2")), "is no PKCS#8 key"},
		"broken_pkcs1":      {block("RSA PRIVATE KEY", []byte("hunter2")), "is no RSA key"},
		"no_pem":            {"hunter2", "is not PEM"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := (&Salesforce{PrivateKey: tc.text}).Key()
			if tc.want == "" {
				if err != nil || !got.Equal(key) {
					t.Errorf("Key: %v, or it is another key", err)
				}
				return
			}
			if err == nil || err.Error() != tc.want || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("Key = %v, want %q", err, tc.want)
			}
		})
	}
}

// TestValidateSaysWhatCheckFinds: a connector refuses what a preview refuses.
func TestValidateSaysWhatCheckFinds(t *testing.T) {
	t.Parallel()
	good := parsed(t)
	for name, tc := range map[string]struct{ good, empty interface{ Validate() error } }{
		"hubspot":    {good.HubSpot, &HubSpot{}},
		"salesforce": {good.Salesforce, &Salesforce{}},
		"mcp":        {good.MCP, &MCP{}},
		"webhook":    {good.Webhook, &Webhook{}},
		"sendgrid":   {good.SendGrid, &SendGrid{}},
	} {
		if err := tc.good.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := tc.empty.Validate(); err == nil {
			t.Errorf("%s: settings without credentials are accepted", name)
		}
	}
}
