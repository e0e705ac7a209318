package breaker

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ingestion.internal/shared/crm"
	"ingestion.internal/shared/crm/vendorapi"
)

// provider answers with err and counts.
type provider struct {
	err   error
	calls int
}

func (p *provider) Upsert(context.Context, crm.Lead) (crm.Result, error) {
	p.calls++
	return crm.Result{RecordID: "1"}, p.err
}

func kind(k vendorapi.Kind) error { return &vendorapi.Error{Vendor: "hubspot", Op: "try", Kind: k} }

func try(t *testing.T, c crm.Connector, n int) (last error) {
	t.Helper()
	for range n {
		_, last = c.Upsert(t.Context(), crm.Lead{})
	}
	return last
}

func TestOpensAndCloses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var g Group
		p := &provider{err: kind(vendorapi.Retryable)}
		c := g.Wrap("acme", "hubspot", p)
		if err := try(t, c, failures); err == nil {
			t.Error("the provider's failure is hidden")
		}
		err := try(t, c, 3)
		if p.calls != failures {
			t.Errorf("the provider was called %d times, want %d", p.calls, failures)
		}
		if vendorapi.KindOf(err) != vendorapi.Retryable || vendorapi.RetryAfter(err) != openFor || !strings.Contains(err.Error(), "not tried") {
			t.Errorf("open: %v, want it to say when to come back", err)
		}
		other := &provider{}
		if err := try(t, g.Wrap("other", "hubspot", other), 1); err != nil || other.calls != 1 {
			t.Errorf("another tenant's lead: %v, want it to arrive", err)
		}
		if err := try(t, g.Wrap("acme", "salesforce", other), 1); err != nil || other.calls != 2 {
			t.Errorf("another provider's lead: %v, want it to arrive", err)
		}
		anew := &provider{}
		if err := try(t, g.Wrap("acme", "hubspot", anew), 1); err == nil || anew.calls != 0 {
			t.Errorf("a new connector of the same provider: %v after %d calls, want the breaker open", err, anew.calls)
		}
		time.Sleep(openFor + time.Second)
		p.err = nil
		if err := try(t, c, 2); err != nil {
			t.Errorf("after the wait: %v", err)
		}
	})
}

func TestWhatCounts(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		err  error
		open bool
		kind vendorapi.Kind
	}{
		"network":     {errors.New("eof"), true, vendorapi.Retryable},
		"credentials": {kind(vendorapi.Credentials), true, vendorapi.Credentials},
		"permanent":   {kind(vendorapi.Permanent), false, vendorapi.Permanent},
		"conflict":    {kind(vendorapi.Conflict), false, vendorapi.Conflict},
		"canceled":    {&vendorapi.Error{Err: context.Canceled}, false, vendorapi.Retryable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &provider{err: tc.err}
			err := try(t, new(Group).Wrap("acme", "hubspot", p), failures+1)
			if open := p.calls == failures; open != tc.open || vendorapi.KindOf(err) != tc.kind {
				t.Errorf("after %d calls: %v, want open %t and kind %v", p.calls, err, tc.open, tc.kind)
			}
		})
	}
}

func TestRetryAfterIsRespected(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &provider{err: &vendorapi.Error{Status: 429, RetryAfter: time.Hour}}
		c := new(Group).Wrap("acme", "hubspot", p)
		if err := try(t, c, 1); vendorapi.RetryAfter(err) != time.Hour {
			t.Errorf("first: %v, want to wait an hour", err)
		}
		time.Sleep(40 * time.Minute)
		err := try(t, c, 1)
		if p.calls != 1 || vendorapi.RetryAfter(err) != 20*time.Minute {
			t.Errorf("after 40 minutes of 60: %d calls, %v; want to wait 20m more", p.calls, err)
		}
		time.Sleep(20 * time.Minute)
		p.err = nil
		if err := try(t, c, 1); err != nil || p.calls != 2 {
			t.Errorf("after the hour: %v", err)
		}
	})
}

func TestBatch(t *testing.T) {
	t.Parallel()
	p := &provider{}
	c := new(Group).Wrap("acme", "hubspot", p)
	if out := c.UpsertBatch(t.Context(), nil); len(out) != 0 || p.calls != 0 {
		t.Errorf("no leads: %v", out)
	}
	if out := c.UpsertBatch(t.Context(), make([]crm.Lead, 3)); len(out) != 3 || out[2].Result.RecordID != "1" || p.calls != 3 {
		t.Errorf("three leads: %v", out)
	}
	p.err = kind(vendorapi.Retryable)
	for range failures {
		c.UpsertBatch(t.Context(), make([]crm.Lead, 1))
	}
	if out := c.UpsertBatch(t.Context(), make([]crm.Lead, 2)); len(out) != 2 || out[0].Err == nil || out[1].Err == nil {
		t.Errorf("open: %v, want an error for each", out)
	}
}

// half refuses every second lead.
type half struct{ provider }

func (h *half) UpsertBatch(_ context.Context, leads []crm.Lead) []crm.Outcome {
	h.calls++
	out := make([]crm.Outcome, len(leads))
	for i := range out {
		if i%2 == 1 {
			out[i].Err = kind(vendorapi.Retryable)
		}
	}
	return out
}

func TestABatchOfWhichAPartArrivesIsNoFailure(t *testing.T) {
	t.Parallel()
	h := &half{}
	c := new(Group).Wrap("acme", "hubspot", h)
	for range failures + 1 {
		c.UpsertBatch(t.Context(), make([]crm.Lead, 2))
	}
	if h.calls != failures+1 {
		t.Errorf("%d calls, want %d", h.calls, failures+1)
	}
}
