package api

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"ingestion.internal/shared/fault"
)

var testHosts = []string{"app.callrail.com", "*.cdn.example.net", "127.0.0.1:4010", "[::1]:4011"}

func TestPolicyCheck(t *testing.T) {
	t.Parallel()
	p, err := newPolicy(testHosts)
	if err != nil {
		t.Fatal(err)
	}
	for address, allowed := range map[string]bool{
		"https://app.callrail.com/calls/1/recording": true,
		"https://APP.callrail.com/x?access_key=1":    true,
		"https://app.callrail.com:443/x":             true,
		"https://a.cdn.example.net/x":                true,
		"https://a.b.cdn.example.net/x":              true,
		"http://127.0.0.1:4010/x":                    true,
		"https://127.0.0.1:4010/x":                   true,
		"http://[::1]:4011/x":                        true,
		"http://[::ffff:127.0.0.1]:4010/x":           true, // the same address

		"http://app.callrail.com/x":                  false,
		"https://app.callrail.com:8443/x":            false,
		"https://app.callrail.com:/x":                false,
		"https://app.callrail.com./x":                false,
		"https://callrail.com/x":                     false,
		"https://evilapp.callrail.com/x":             false,
		"https://app.callrail.com.evil.example/x":    false,
		"https://cdn.example.net/x":                  false, // a suffix is not the host itself
		"https://evilcdn.example.net/x":              false,
		"https://.cdn.example.net/x":                 false,
		"https://user@app.callrail.com/x":            false,
		"https://app.callrail.com@evil.example/x":    false,
		"https://evil.example\\@app.callrail.com/x":  false,
		"http://127.0.0.1/x":                         false,
		"http://127.0.0.1:4012/x":                    false,
		"ftp://127.0.0.1:4010/x":                     false,
		"https://127.1:4010/x":                       false,
		"https://2130706433/x":                       false,
		"https://169.254.169.254/computeMetadata/v1": false,
		"https://metadata.google.internal/":          false,
		"file:///etc/passwd":                         false,
		"https:app.callrail.com":                     false,
		"//app.callrail.com/x":                       false,
		"/x":                                         false,
		"":                                           false,
	} {
		u, err := url.Parse(address)
		if err != nil {
			if allowed {
				t.Errorf("%s: %v", address, err)
			}
			continue
		}
		switch err := p.check(u); {
		case allowed && err != nil:
			t.Errorf("%s: refused: %v", address, err)
		case !allowed && err == nil:
			t.Errorf("%s: allowed", address)
		case !allowed && !fault.IsPermanent(err):
			t.Errorf("%s: refused, but worth a retry: %v", address, err)
		}
	}
}

func TestPolicyRefusesBadEntries(t *testing.T) {
	t.Parallel()
	entries := []string{"*", "*.", "localhost", "https://app.callrail.com", "10.0.0.1", "*.*.com", "app.callrail.com:443", "*.10.0.0.1", ""}
	_, err := newPolicy(append(entries, testHosts...))
	if err == nil {
		t.Fatal("newPolicy accepted them")
	}
	if got := strings.Count(err.Error(), "\n") + 1; got != len(entries) {
		t.Errorf("%d entries reported, want %d:\n%v", got, len(entries), err)
	}
}

func TestDialCheck(t *testing.T) {
	t.Parallel()
	p, err := newPolicy(testHosts)
	if err != nil {
		t.Fatal(err)
	}
	for address, allowed := range map[string]bool{
		"8.8.8.8:443":                true,
		"[2606:4700::1111]:443":      true,
		"[::ffff:8.8.8.8]:443":       true,
		"127.0.0.1:4010":             true,
		"[::ffff:127.0.0.1]:4010":    true,
		"127.0.0.1:443":              false,
		"[::ffff:127.0.0.1]:443":     false,
		"[::1]:443":                  false,
		"10.1.2.3:443":               false,
		"172.16.0.1:443":             false,
		"192.168.1.1:443":            false,
		"[::ffff:192.168.1.1]:443":   false,
		"169.254.169.254:80":         false,
		"[fe80::1%eth0]:443":         false,
		"[fd00:ec2::254]:80":         false,
		"[fec0::1]:443":              false,
		"[64:ff9b::a9fe:a9fe]:443":   false, // NAT64 of the metadata server
		"[2002:a9fe:a9fe::1]:443":    false, // 6to4 of it
		"[2001:0:a9fe:a9fe::1]:443":  false, // Teredo
		"[::a9fe:a9fe]:443":          false, // IPv4-compatible
		"[ff02::1]:443":              false,
		"224.0.0.1:443":              false,
		"0.0.0.0:443":                false,
		"0.1.2.3:443":                false,
		"[::]:443":                   false,
		"100.64.0.1:443":             false,
		"192.0.0.192:443":            false,
		"198.18.0.1:443":             false,
		"203.0.113.5:443":            false,
		"255.255.255.255:443":        false,
		"240.0.0.1:443":              false,
		"[2001:db8::1]:443":          false,
		"metadata.google.internal:1": false,
	} {
		switch err := p.control("tcp", address, nil); {
		case allowed && err != nil:
			t.Errorf("%s: refused: %v", address, err)
		case !allowed && err == nil:
			t.Errorf("%s: allowed", address)
		case !allowed && !fault.IsPermanent(err):
			t.Errorf("%s: refused, but worth a retry: %v", address, err)
		}
	}
}

// FuzzPolicyCheck looks for an address that the policy lets through although
// the host that a client would connect to is none of the configured ones.
func FuzzPolicyCheck(f *testing.F) {
	p, err := newPolicy(testHosts)
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{
		"https://app.callrail.com/x", "https://a.cdn.example.net", "http://127.0.0.1:4010/x", "https://app.callrail.com\\@evil/",
		"https://app.callrail.com%2eevil.example/", "https://a\u3002cdn.example.net/", "https://app.callrail.com:443", "http://[::1%25lo]:4011/",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, address string) {
		u, err := url.Parse(address)
		if err != nil || p.check(u) != nil {
			return
		}
		again, err := url.Parse(u.String())
		if err != nil {
			t.Fatalf("allowed %q, whose own form cannot be read: %v", address, err)
		}
		if again.User != nil {
			t.Fatalf("allowed credentials in %q", address)
		}
		host := strings.ToLower(again.Host)
		if ap, err := netip.ParseAddrPort(host); err == nil {
			if s := ap.Addr().Unmap().String(); !(s == "127.0.0.1" && ap.Port() == 4010 || s == "::1" && ap.Port() == 4011) {
				t.Fatalf("allowed %q", address)
			}
			return
		}
		host = strings.TrimSuffix(host, ":443")
		if again.Scheme != "https" || host != "app.callrail.com" && !strings.HasSuffix(host, ".cdn.example.net") {
			t.Fatalf("allowed %q", address)
		}
		for _, r := range host {
			if !(r == '.' || r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z') {
				t.Fatalf("allowed host %q", host)
			}
		}
	})
}
