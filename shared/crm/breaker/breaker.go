// Package breaker keeps leads away from a CRM that does not work, per tenant
// and provider: after five failures in a row nothing is tried for half a
// minute, then one lead at a time until one arrives. A provider that says when
// to come back is left alone until then.
//
// Only what is the provider's or the credentials' fault counts. A lead that is
// refused for what it says shows that the provider works.
package breaker

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"ingestion.internal/shared/crm"
	"ingestion.internal/shared/crm/vendorapi"
)

const (
	failures = 5
	openFor  = 30 * time.Second
)

// NotTried is the Op of errors about leads that were kept away: the provider
// has not seen them.
const NotTried = "not tried"

// Group holds the breakers of a process. The zero value is ready for use, also
// concurrently.
type Group struct {
	mu       sync.Mutex
	breakers map[key]*state
}

type key struct{ tenant, provider string }

// state is what is known of one tenant's provider.
type state struct {
	provider string
	circuit  *gobreaker.CircuitBreaker[[]crm.Outcome]

	mu        sync.Mutex
	last      error     // the failure that counted last
	notBefore time.Time // the provider asked to be left alone until then
}

// Wrap puts the breaker of tenant and provider before c. Connectors that are
// made anew, for example after a change of settings, share it.
func (g *Group) Wrap(tenant, provider string, c crm.Connector) crm.BatchConnector {
	g.mu.Lock()
	defer g.mu.Unlock()
	k := key{tenant, provider}
	s, ok := g.breakers[k]
	if !ok {
		s = &state{provider: provider, circuit: gobreaker.NewCircuitBreaker[[]crm.Outcome](gobreaker.Settings{
			Name:        tenant + "/" + provider,
			Timeout:     openFor,
			ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= failures },
			// Our own end says nothing of the provider.
			IsExcluded: func(err error) bool { return errors.Is(err, context.Canceled) },
		})}
		if g.breakers == nil {
			g.breakers = map[key]*state{}
		}
		g.breakers[k] = s
	}
	return &connector{inner: c, state: s}
}

type connector struct {
	inner crm.Connector
	state *state
}

// Upsert implements [crm.Connector].
func (c *connector) Upsert(ctx context.Context, lead crm.Lead) (crm.Result, error) {
	o := c.UpsertBatch(ctx, []crm.Lead{lead})[0]
	return o.Result, o.Err
}

// UpsertBatch implements [crm.BatchConnector].
func (c *connector) UpsertBatch(ctx context.Context, leads []crm.Lead) []crm.Outcome {
	if len(leads) == 0 {
		return nil
	}
	if wait := c.state.wait(); wait > 0 {
		return c.state.refuse(len(leads), wait)
	}
	outcomes, err := c.state.circuit.Execute(func() ([]crm.Outcome, error) {
		outcomes := crm.UpsertAll(ctx, c.inner, leads)
		return outcomes, c.state.judge(outcomes)
	})
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		return c.state.refuse(len(leads), openFor)
	}
	return outcomes
}

// judge returns the first error that is the provider's fault, unless a lead
// arrived, and notes how long the provider wants to be left alone.
func (s *state) judge(outcomes []crm.Outcome) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var fault error
	arrived := false
	for _, o := range outcomes {
		if o.Err == nil {
			arrived = true
			continue
		}
		if kind := vendorapi.KindOf(o.Err); fault == nil && (kind == vendorapi.Retryable || kind == vendorapi.Credentials) {
			fault = o.Err
		}
		if until := time.Now().Add(vendorapi.RetryAfter(o.Err)); until.After(s.notBefore) {
			s.notBefore = until
		}
	}
	if fault == nil || arrived {
		return nil
	}
	s.last = fault
	return fault
}

// wait is how long the provider asked to be left alone from now.
func (s *state) wait() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Until(s.notBefore)
}

// refuse is the outcome of n leads that are not tried. It is of the kind of the
// failure that led to it, so that leads are parked as long as the credentials
// are what fails.
func (s *state) refuse(n int, wait time.Duration) []crm.Outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := &vendorapi.Error{Vendor: s.provider, Op: NotTried, Kind: vendorapi.KindOf(s.last), RetryAfter: wait, Err: s.last}
	outcomes := make([]crm.Outcome, n)
	for i := range outcomes {
		outcomes[i].Err = err
	}
	return outcomes
}
