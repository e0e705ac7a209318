// Package publicapi is what the routes share that anybody may call: CORS, the
// check of a page's origin, and limits by tenant and by address. It slows
// callers down and keeps foreign pages out; it proves nothing about a caller.
package publicapi

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"ingestion.internal/shared/intake"
	"ingestion.internal/shared/problem"
)

// Config says where a caller's address is found.
type Config struct {
	// TrustedHops is how many of the last addresses in X-Forwarded-For are our
	// own front ends': the caller's is the one before them, and what stands
	// before that is the caller's word. 1 is API Gateway, which Cloud Run's
	// front end adds (seen in https://github.com/GoogleCloudPlatform/esp-v2/issues/140,
	// 2020-04-29). -1 means that it is not known, and callers' addresses are
	// not told apart.
	TrustedHops int `env:"TRUSTED_HOPS" envDefault:"-1"`
}

// maxKeys bounds the addresses that one instance remembers. Over it, their
// limits begin anew, which is to the callers' advantage; those of tenants do
// not.
const maxKeys = 50_000

// Guard lets requests of tenants in. It is safe for concurrent use.
type Guard struct {
	cfg Config
	now func() time.Time

	mu        sync.Mutex
	tenants   map[string]budget // by id: as many as there are
	addresses map[string]budget // by tenant and address: as many as strangers have
}

// budget is what one tenant, or one address, has left.
type budget struct {
	perMinute int
	limiter   *rate.Limiter
}

// NewGuard returns a guard. now is time.Now if nil.
func NewGuard(cfg Config, now func() time.Time) *Guard {
	if now == nil {
		now = time.Now
	}
	return &Guard{cfg: cfg, now: now, tenants: map[string]budget{}, addresses: map[string]budget{}}
}

// Admit checks a request to a tenant: whether its page may send, and whether
// the tenant and the caller's address are within their limits. A page that may
// is told so in the answer's headers. The error is of package problem.
func (g *Guard) Admit(w http.ResponseWriter, r *http.Request, tenantID string, cfg intake.Config) error {
	// The caller first: an address that is over its own budget takes nothing of
	// the tenant's, which is everybody's.
	if err := g.AdmitCaller(w, r, tenantID, cfg); err != nil {
		return err
	}
	return g.AdmitTenant(tenantID, cfg)
}

// AdmitCaller is the part of Admit that is about the caller: the page and the
// address. It is for requests that prove something before they may count among
// their tenant's.
func (g *Guard) AdmitCaller(w http.ResponseWriter, r *http.Request, tenantID string, cfg intake.Config) error {
	if err := g.AdmitPage(w, r, cfg); err != nil {
		return err
	}
	if caller := g.Address(r); caller != "" {
		return g.take(g.addresses, tenantID+"/"+caller, cfg.WithDefaults().PerAddress)
	}
	return nil
}

// AdmitPage is the part of Admit that is about the page. It is for requests that
// are proven to be their tenant's, whatever address they come from.
func (g *Guard) AdmitPage(w http.ResponseWriter, r *http.Request, cfg intake.Config) error {
	origin := r.Header.Get("Origin")
	if !cfg.AllowsOrigin(origin) {
		return problem.New(problem.Forbidden, "this page may not send to the tenant")
	}
	if origin != "" {
		allow(w, origin) // also for what is refused after this: the page has to read why
	}
	return nil
}

// AdmitTenant is the rest of Admit: the tenant's limit.
func (g *Guard) AdmitTenant(tenantID string, cfg intake.Config) error {
	return g.take(g.tenants, tenantID, cfg.WithDefaults().PerMinute)
}

// take takes one request from the key's budget, or says when there is one.
func (g *Guard) take(budgets map[string]budget, key string, perMinute int) error {
	if wait := g.wait(budgets, key, perMinute); wait > 0 {
		return problem.RetryAfter(problem.TooManyRequests, fmt.Sprintf("at most %d requests a minute", perMinute), wait)
	}
	return nil
}

// wait takes one request from the key's budget; it returns how long to wait
// where there is none.
func (g *Guard) wait(budgets map[string]budget, key string, perMinute int) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	b := budgets[key]
	if b.perMinute != perMinute { // new, or its tenant's config has changed
		if len(budgets) >= maxKeys {
			clear(budgets)
		}
		b = budget{perMinute, rate.NewLimiter(rate.Limit(float64(perMinute)/60), perMinute)}
		budgets[key] = b
	}
	now := g.now()
	reservation := b.limiter.ReserveN(now, 1)
	delay := reservation.DelayFrom(now)
	if delay > 0 {
		reservation.CancelAt(now)
	}
	return delay
}

// Address returns the caller's address; one of IPv6 by its network, because a
// household has billions of them. It is "" where it cannot be told: then it is
// better to limit nobody than to limit all callers as one.
func (g *Guard) Address(r *http.Request) string {
	forwarded := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	at := len(forwarded) - 1 - g.cfg.TrustedHops
	if g.cfg.TrustedHops < 0 || at < 0 {
		return ""
	}
	addr, err := netip.ParseAddr(strings.TrimSpace(forwarded[at]))
	if err != nil {
		return ""
	}
	addr = addr.Unmap()
	if addr.Is6() {
		if network, err := addr.WithZone("").Prefix(64); err == nil {
			return network.String()
		}
	}
	return addr.String()
}

// Preflight answers a browser's question whether a page may send at all. The
// question does not name the tenant, so the answer is yes; whether the page may
// send to its tenant is seen when it does.
// https://fetch.spec.whatwg.org/#cors-preflight-fetch
func Preflight(w http.ResponseWriter, r *http.Request) {
	if origin := r.Header.Get("Origin"); origin != "" {
		allow(w, origin)
		w.Header().Set("Access-Control-Allow-Methods", "GET, POST, OPTIONS")
		w.Header().Set("Access-Control-Allow-Headers", "Accept, Chat-Token, Content-Type, Idempotency-Key, Last-Event-ID")
		w.Header().Set("Access-Control-Max-Age", "3600")
	}
	w.WriteHeader(http.StatusNoContent)
}

func allow(w http.ResponseWriter, origin string) {
	w.Header().Set("Access-Control-Allow-Origin", origin)
	w.Header().Set("Access-Control-Expose-Headers", "Retry-After, X-Request-Id")
	w.Header().Add("Vary", "Origin")
}
