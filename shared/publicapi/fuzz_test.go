package publicapi

import (
	"net/http"
	"net/netip"
	"testing"
)

// A caller's address is one, or a network, or not known; never what a caller
// wrote.
func FuzzAddress(f *testing.F) {
	f.Add("203.0.113.7", 0)
	f.Add("1.1.1.1, 203.0.113.7,2600:1900:2000:91::", 1)
	f.Add("fe80::1%eth0, ::ffff:192.0.2.1", 1)
	f.Add(",,,", 2)
	f.Fuzz(func(t *testing.T, forwarded string, hops int) {
		r := &http.Request{Header: http.Header{"X-Forwarded-For": {forwarded}}}
		got := NewGuard(Config{TrustedHops: hops}, nil).Address(r)
		if got == "" {
			return
		}
		if addr, err := netip.ParseAddr(got); err == nil {
			if !addr.Is4() {
				t.Errorf("%q with %d hops: %q is no IPv4 address", forwarded, hops, got)
			}
			return
		}
		if network, err := netip.ParsePrefix(got); err != nil || network.Bits() != 64 || network != network.Masked() {
			t.Errorf("%q with %d hops: %q", forwarded, hops, got)
		}
	})
}
