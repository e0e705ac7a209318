package publicapi

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"ingestion.internal/shared/intake"
	"ingestion.internal/shared/problem"
)

func TestAddress(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		hops      int
		forwarded []string
		want      string
	}{
		"no_front_end":    {0, []string{"203.0.113.7"}, "203.0.113.7"},
		"forged_in_front": {0, []string{"1.1.1.1, 203.0.113.7"}, "203.0.113.7"},
		"two_headers":     {0, []string{"1.1.1.1", "203.0.113.7"}, "203.0.113.7"},
		"behind_gateway":  {1, []string{"1.1.1.1, 203.0.113.7,2600:1900:2000:91::"}, "203.0.113.7"},
		"fewer_than_hops": {1, []string{"2600:1900:2000:91::"}, ""},
		"not_known":       {-1, []string{"203.0.113.7"}, ""},
		"ipv6_network":    {0, []string{"2001:db8:1:2:3::4"}, "2001:db8:1:2::/64"},
		"mapped":          {0, []string{"::ffff:192.0.2.1"}, "192.0.2.1"},
		"nonsense":        {0, []string{"y"}, ""},
		"none":            {0, nil, ""},
	} {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.Header["X-Forwarded-For"] = tt.forwarded
		if got := NewGuard(Config{TrustedHops: tt.hops}, nil).Address(r); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

func TestBudgets(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	g := NewGuard(Config{}, func() time.Time { return now })
	admit := func(tenant, address string, cfg intake.Config) error {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.Header.Set("X-Forwarded-For", address)
		return g.Admit(httptest.NewRecorder(), r, tenant, cfg)
	}
	cfg := intake.Config{PerMinute: 4, PerAddress: 2}
	for i, want := range []bool{true, true, false} {
		if err := admit("acme", "192.0.2.1", cfg); (err == nil) != want || err != nil && !errors.Is(err, problem.TooManyRequests) {
			t.Errorf("request %d: %v", i, err)
		}
	}
	if err := admit("acme", "192.0.2.2", cfg); err != nil {
		t.Errorf("another address: %v", err)
	}
	// The refused one took nothing of the tenant's budget, or one address could
	// use it up for everybody.
	if err := admit("acme", "192.0.2.3", cfg); err != nil {
		t.Errorf("a third address: %v", err)
	}
	if err := admit("acme", "192.0.2.4", cfg); err == nil {
		t.Error("the tenant's budget has no end")
	}
	if err := admit("bolt", "192.0.2.1", cfg); err != nil {
		t.Errorf("another tenant: %v", err)
	}
	if err := admit("bolt", "", intake.Config{PerAddress: 1}); err != nil {
		t.Errorf("an address that is not known: %v", err)
	}
	if err := admit("bolt", "", intake.Config{PerAddress: 1}); err != nil {
		t.Errorf("two of them: %v", err)
	}
	now = now.Add(30 * time.Second)
	if err := admit("acme", "192.0.2.1", cfg); err != nil {
		t.Errorf("half a minute later: %v", err)
	}
	if err := admit("acme", "192.0.2.9", intake.Config{PerMinute: 100, PerAddress: 2}); err != nil {
		t.Errorf("with a larger budget: %v", err)
	}
}

// The memory that strangers can make an instance use is bounded, and who has
// many addresses does not get a tenant's budget anew by them.
func TestBudgetsAreBounded(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	g := NewGuard(Config{}, func() time.Time { return now })
	cfg := intake.Config{PerMinute: 1, PerAddress: 1}
	for i := range maxKeys + 10 {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.Header.Set("X-Forwarded-For", fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255))
		if err := g.Admit(httptest.NewRecorder(), r, "acme", cfg); (err == nil) != (i == 0) {
			t.Fatalf("request %d of a tenant's one a minute: %v", i, err)
		}
	}
	if n := len(g.addresses); n > maxKeys || n == 0 {
		t.Errorf("%d addresses", n)
	}
}

func TestRefusedPageIsNotCounted(t *testing.T) {
	t.Parallel()
	g := NewGuard(Config{}, nil)
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	r.Header.Set("Origin", "https://evil.example")
	err := g.Admit(httptest.NewRecorder(), r, "acme", intake.Config{Origins: []string{"https://a.example"}})
	if !errors.Is(err, problem.Forbidden) || len(g.addresses)+len(g.tenants) != 0 {
		t.Errorf("%v, %d budgets", err, len(g.addresses)+len(g.tenants))
	}
}
