package intake

import (
	"net/url"
	"strings"
	"testing"
)

// A redirect that is allowed leads to the host that the tenant named, and below
// its path: as a browser reads the address too, for which \\ is /.
func FuzzRedirect(f *testing.F) {
	for _, address := range []string{
		"https://www.acme.example/thanks", "https://www.acme.example/thanks/a?b#c", "https://www.acme.example.evil.example/thanks",
		"https://www.acme.example/thanks/../admin", "https://www.acme.example/thanks/%2e%2e/admin", "//www.acme.example/thanks",
		"https://user@www.acme.example/thanks", "https:\\\\www.acme.example/thanks", "https://evil.example\\@www.acme.example/thanks",
		"javascript:alert(1)", "https://WWW.ACME.EXAMPLE/thanks", "https://www.acme.example/thanksgiving",
	} {
		f.Add(address)
	}
	cfg := Config{Redirects: []string{"https://www.acme.example/thanks"}}
	f.Fuzz(func(t *testing.T, address string) {
		if !cfg.AllowsRedirect(address) {
			return
		}
		rest, ok := strings.CutPrefix(strings.ToLower(address), "https://www.acme.example/thanks")
		if !ok || rest != "" && !strings.ContainsRune("/?#", rune(rest[0])) {
			t.Errorf("%q is allowed", address)
		}
		u, err := url.Parse(address)
		if err != nil || strings.Contains(u.Path, "/../") || strings.HasSuffix(u.Path, "/..") || strings.Contains(u.Path, "\\") {
			t.Errorf("%q is allowed: path %q, %v", address, u.Path, err)
		}
	})
}
