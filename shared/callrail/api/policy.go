package api

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"ingestion.internal/shared/fault"
)

// policy says from where recordings may be fetched. A recording's address
// comes from outside (a webhook, a redirect), so without it anybody who can
// sign a webhook could make this service read from inside the platform's
// network.
type policy struct {
	hosts    []string                // lower case
	suffixes []string                // lower case, with the leading dot
	literals map[netip.AddrPort]bool // trusted as they stand, private or not, http or https
}

// errForbidden marks an address that the policy refuses.
var errForbidden = errors.New("not a place recordings may be fetched from")

var hostName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+$`)

// newPolicy reads entries of the form host, *.suffix or ip:port. Every bad
// entry is reported.
func newPolicy(entries []string) (*policy, error) {
	p := &policy{literals: map[netip.AddrPort]bool{}}
	var errs []error
	for _, entry := range entries {
		entry = strings.ToLower(strings.TrimSpace(entry))
		if literal, err := netip.ParseAddrPort(entry); err == nil {
			p.literals[unmap(literal)] = true
		} else if suffix, ok := strings.CutPrefix(entry, "*."); ok && isHostName(suffix) {
			p.suffixes = append(p.suffixes, "."+suffix)
		} else if isHostName(entry) {
			p.hosts = append(p.hosts, entry)
		} else {
			errs = append(errs, fmt.Errorf("recording host %q: want host.name, *.suffix.name or ip:port", entry))
		}
	}
	return p, errors.Join(errs...)
}

// isHostName reports whether s is a DNS name of at least two labels and no IP
// address.
func isHostName(s string) bool {
	_, err := netip.ParseAddr(s)
	return err != nil && len(s) <= 253 && hostName.MatchString(s)
}

func unmap(ap netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// check reports why u may not be fetched, as a permanent error, or nil.
func (p *policy) check(u *url.URL) error {
	refuse := func(why string) error {
		return fault.Permanent(fmt.Errorf("%s: %w: %s", redacted(u), errForbidden, why))
	}
	if u.Opaque != "" || u.Host == "" {
		return refuse("no host")
	}
	if u.User != nil {
		return refuse("it carries credentials")
	}
	if literal, err := netip.ParseAddrPort(u.Host); err == nil && p.literals[unmap(literal)] {
		if u.Scheme != "http" && u.Scheme != "https" {
			return refuse("scheme is not http or https")
		}
		return nil
	}
	if u.Scheme != "https" {
		return refuse("scheme is not https")
	}
	if port := u.Port(); port != "" && port != "443" || strings.HasSuffix(u.Host, ":") {
		return refuse("port is not 443")
	}
	host := strings.ToLower(u.Hostname())
	if slices.Contains(p.hosts, host) {
		return nil
	}
	for _, suffix := range p.suffixes {
		if strings.HasSuffix(host, suffix) && isHostName(host) {
			return nil
		}
	}
	return refuse("the host is not in the configured list")
}

// control is a net.Dialer's Control: it sees the address that a name resolved
// to, just before the connection, so a name that resolves differently the
// second time gains nothing.
func (p *policy) control(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fault.Permanent(fmt.Errorf("%s: %w: not an IP address", address, errForbidden))
	}
	ap = unmap(ap)
	if p.literals[ap] || isPublic(ap.Addr()) {
		return nil
	}
	return fault.Permanent(fmt.Errorf("%s: %w: the address is not public", ap.Addr(), errForbidden))
}

// dialer returns a dialer that connects only where the policy allows.
func (p *policy) dialer() *net.Dialer {
	return &net.Dialer{Timeout: dialTimeout, Control: p.control}
}

// notPublic lists what netip's own predicates leave of the special-purpose
// registries of IANA (RFC 6890 and successors).
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),       // this network
	netip.MustParsePrefix("100.64.0.0/10"),   // carrier NAT
	netip.MustParsePrefix("192.0.0.0/24"),    // protocol assignments
	netip.MustParsePrefix("192.0.2.0/24"),    // documentation
	netip.MustParsePrefix("192.88.99.0/24"),  // 6to4 relays
	netip.MustParsePrefix("198.18.0.0/15"),   // benchmarking
	netip.MustParsePrefix("198.51.100.0/24"), // documentation
	netip.MustParsePrefix("203.0.113.0/24"),  // documentation
	netip.MustParsePrefix("240.0.0.0/4"),     // reserved, broadcast
	netip.MustParsePrefix("2001::/23"),       // protocol assignments, Teredo
	netip.MustParsePrefix("2001:db8::/32"),   // documentation
	netip.MustParsePrefix("2002::/16"),       // 6to4: carries any IPv4 address
	netip.MustParsePrefix("3fff::/20"),       // documentation
}

// globalIPv6 is the only range of global unicast IPv6 addresses handed out;
// outside it lie ULA, NAT64 and IPv4-compatible addresses among others.
var globalIPv6 = netip.MustParsePrefix("2000::/3")

// isPublic reports whether addr is an address of the public internet: not
// loopback, private, link-local (where the metadata server is), multicast or
// otherwise special, IPv4 in IPv6 included.
func isPublic(addr netip.Addr) bool {
	addr = addr.Unmap()
	if !addr.IsGlobalUnicast() || addr.IsPrivate() || addr.Is6() && !globalIPv6.Contains(addr) {
		return false
	}
	return !slices.ContainsFunc(notPublic, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// redacted is u for messages and logs, without what may be a credential.
func redacted(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, Opaque: u.Opaque}).String()
}
