package main

import (
	"net/http"
	"testing"
	"time"

	"ingestion.internal/shared/form"
	"ingestion.internal/shared/intake"
	"ingestion.internal/shared/keyring"
	"ingestion.internal/shared/signature"
	"ingestion.internal/shared/topology"
)

const formKey = "key-of-acme-for-forms"

// A form that the tenant's server signed is the tenant's; one that it did not
// is refused where the tenant wants a signature, and in any case where a
// signature is there and does not prove it.
func TestSignedForms(t *testing.T) {
	const body = `{"tenant_id":"acme","message":"A new roof"}`
	now := time.Now()
	sign := func(key string, body string, at time.Time) string {
		return signature.Sign([]byte(key), []byte(body), at)
	}
	for name, tt := range map[string]struct {
		wanted bool
		header string
		want   int
	}{
		"wanted":                {true, sign(formKey, body, now), http.StatusAccepted},
		"with_the_older_key":    {true, sign("older-key", body, now), http.StatusAccepted},
		"wanted_and_not_there":  {true, "", http.StatusUnauthorized},
		"not_wanted":            {false, sign(formKey, body, now), http.StatusAccepted},
		"neither":               {false, "", http.StatusAccepted},
		"not_wanted_but_forged": {false, sign("another", body, now), http.StatusUnauthorized},
		"of_another_body":       {true, sign(formKey, body+" ", now), http.StatusUnauthorized},
		"replayed":              {true, sign(formKey, body, now.Add(-6*time.Minute)), http.StatusUnauthorized},
		"key_of_bookings":       {true, sign("key-of-acme-for-bookings", body, now), http.StatusUnauthorized},
		"nonsense":              {true, "yes", http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, intake.Config{Signed: tt.wanted})
			f.google.SetSecret(topology.FormKeySecret("acme"), keyring.Label(formKey+" older-key", keyring.Form)+"\nbooking:key-of-acme-for-bookings")
			var headers []string
			if tt.header != "" {
				headers = []string{form.SignatureHeader, tt.header}
			}
			if rec := f.send(http.MethodPost, "application/json", body, headers...); rec.Code != tt.want {
				t.Errorf("status %d, want %d: %s", rec.Code, tt.want, rec.Body)
			}
		})
	}
}

// A tenant without a key takes no signed forms, and a store of secrets that
// fails is nobody's proof.
func TestSignedWithoutKey(t *testing.T) {
	const body = `{"tenant_id":"acme","message":"A new roof"}`
	f := newFixture(t, intake.Config{})
	header := signature.Sign([]byte(formKey), []byte(body), time.Now())
	if rec := f.send(http.MethodPost, "application/json", body, form.SignatureHeader, header); rec.Code != http.StatusUnauthorized {
		t.Errorf("no key: status %d: %s", rec.Code, rec.Body)
	}
	f = newFixture(t, intake.Config{})
	f.google.Fail(http.StatusServiceUnavailable)
	if rec := f.send(http.MethodPost, "application/json", body, form.SignatureHeader, header); rec.Code != http.StatusServiceUnavailable {
		t.Errorf("secrets away: status %d: %s", rec.Code, rec.Body)
	}
}

// A site's server has one address for all of its customers, so only the tenant's
// budget bounds what it signed; and what is not proven uses up none of that.
func TestSignedFormsAndBudgets(t *testing.T) {
	const body = `{"tenant_id":"acme","message":"A new roof"}`
	f := newFixture(t, intake.Config{Signed: true, PerMinute: 3, PerAddress: 1})
	f.google.SetSecret(topology.FormKeySecret("acme"), keyring.Label(formKey, keyring.Form))
	send := func(headers ...string) int {
		return f.send(http.MethodPost, "application/json", body, append(headers, "X-Forwarded-For", "203.0.113.6")...).Code
	}
	for range 5 {
		if code := send(); code != http.StatusUnauthorized {
			t.Errorf("unsigned: status %d", code)
		}
	}
	for i, want := range []int{http.StatusAccepted, http.StatusAccepted, http.StatusAccepted, http.StatusTooManyRequests} {
		if code := send(form.SignatureHeader, signature.Sign([]byte(formKey), []byte(body), time.Now())); code != want {
			t.Errorf("signed form %d: status %d, want %d", i, code, want)
		}
	}
}
