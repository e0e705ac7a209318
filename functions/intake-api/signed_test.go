package main

import (
	"net/http"
	"strings"
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
	// Who guesses is held to the limit of addresses.
	if code := send(); code != http.StatusUnauthorized {
		t.Errorf("unsigned: status %d", code)
	}
	for _, headers := range [][]string{nil, {form.SignatureHeader, "t=1,v1=00"}, nil} {
		if code := send(headers...); code != http.StatusTooManyRequests {
			t.Errorf("unproven with %q: status %d", headers, code)
		}
	}
	now := time.Now()
	for i, want := range []int{http.StatusAccepted, http.StatusAccepted, http.StatusAccepted, http.StatusTooManyRequests} {
		if code := send(form.SignatureHeader, signature.Sign([]byte(formKey), []byte(body), now.Add(time.Duration(i)*time.Second))); code != want {
			t.Errorf("signed form %d: status %d, want %d", i, code, want)
		}
	}
}

// A signature proves its time and the body. Nothing else of a request may make
// another form of them: who has read a signed form on its way can send it again
// in every way, and there is one request.
func TestSignedReplay(t *testing.T) {
	const (
		keyless = `{"tenant_id":"acme","message":"A new roof"}`
		keyed   = `{"tenant_id":"acme","message":"A new roof","_idempotency_key":"order-1"}`
		// What a customer writes may itself look like a form.
		nested = `{"tenant_id":"acme","message":"&tenant_id=acme&message=x&_idempotency_key=other&"}`
		parts  = "--b\r\nContent-Disposition: form-data; name=\"tenant_id\"\r\n\r\nacme\r\n" +
			"--b\r\nContent-Disposition: form-data; name=\"message\"\r\n\r\n\r\n" +
			"--c\r\nContent-Disposition: form-data; name=\"tenant_id\"\r\n\r\nacme\r\n" +
			"--c\r\nContent-Disposition: form-data; name=\"message\"\r\n\r\nx\r\n--c--\r\n--b--\r\n"
		asJSON, asParts = "application/json", "multipart/form-data; boundary=b"
	)
	now := time.Now()
	for name, tt := range map[string]struct {
		contentType, body string
		again             string   // content type of the second try
		headers           []string // of the second try
		want              int      // of the second try
	}{
		"as_it_is":               {asJSON, keyless, asJSON, nil, http.StatusOK},
		"multipart":              {asParts, parts, asParts, nil, http.StatusOK},
		"with_its_key":           {asJSON, keyed, asJSON, nil, http.StatusOK},
		"with_its_key_twice":     {asJSON, keyed, asJSON, []string{"Idempotency-Key", "order-1"}, http.StatusOK},
		"with_a_key":             {asJSON, keyless, asJSON, []string{"Idempotency-Key", "another"}, http.StatusBadRequest},
		"with_another_key":       {asJSON, keyed, asJSON, []string{"Idempotency-Key", "another"}, http.StatusBadRequest},
		"from_a_page":            {asJSON, keyless, asJSON, []string{"Origin", page}, http.StatusOK},
		"of_another_type":        {asJSON, nested, encoded, nil, http.StatusBadRequest},
		"with_another_boundary":  {asParts, parts, "multipart/form-data; boundary=c", nil, http.StatusBadRequest},
		"multipart_not_its_type": {asParts, parts, encoded, nil, http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, intake.Config{Signed: true})
			f.google.SetSecret(topology.FormKeySecret("acme"), keyring.Label(formKey, keyring.Form))
			signed := []string{form.SignatureHeader, signature.Sign([]byte(formKey), []byte(tt.body), now)}
			first := f.request(f.send(http.MethodPost, tt.contentType, tt.body, signed...), http.StatusAccepted)
			rec := f.send(http.MethodPost, tt.again, tt.body, append(signed, tt.headers...)...)
			if rec.Code != tt.want {
				t.Fatalf("sent again: status %d, want %d: %s", rec.Code, tt.want, rec.Body)
			}
			if tt.want == http.StatusOK {
				if again := f.request(rec, tt.want); again.RequestID != first.RequestID {
					t.Errorf("sent again: request %s, want %s", again.RequestID, first.RequestID)
				}
			}
			if n := len(f.google.Tasks(queue)); n != 1 {
				t.Errorf("%d tasks, want 1", n)
			}
		})
	}
}

// A form that is signed does not give its sender's address a new budget for those
// that are not.
func TestSignedFormsDoNotRenewBudgets(t *testing.T) {
	const body = `{"tenant_id":"acme","message":"A new roof"}`
	f := newFixture(t, intake.Config{PerAddress: 1})
	f.google.SetSecret(topology.FormKeySecret("acme"), keyring.Label(formKey, keyring.Form))
	signed := []string{form.SignatureHeader, signature.Sign([]byte(formKey), []byte(body), time.Now())}
	for i, tt := range []struct {
		headers []string
		want    int
	}{{nil, http.StatusAccepted}, {signed, http.StatusAccepted}, {nil, http.StatusTooManyRequests}} {
		if rec := f.send(http.MethodPost, "application/json", body, append(tt.headers, "X-Forwarded-For", "203.0.113.6")...); rec.Code != tt.want {
			t.Errorf("form %d: status %d, want %d: %s", i, rec.Code, tt.want, rec.Body)
		}
	}
}

// Two forms that say the same are two if they were signed at another time, and
// one key is one form whenever it was signed.
func TestSignedTwice(t *testing.T) {
	f := newFixture(t, intake.Config{})
	f.google.SetSecret(topology.FormKeySecret("acme"), keyring.Label(formKey, keyring.Form))
	now := time.Now()
	send := func(body string, at time.Time, want int) string {
		t.Helper()
		return f.request(f.send(http.MethodPost, "application/json", body, form.SignatureHeader, signature.Sign([]byte(formKey), []byte(body), at)), want).RequestID
	}
	const keyless, keyed = `{"tenant_id":"acme","message":"A new roof"}`, `{"tenant_id":"acme","message":"A new roof","_idempotency_key":"order-1"}`
	if a, b := send(keyless, now, http.StatusAccepted), send(keyless, now.Add(time.Second), http.StatusAccepted); a == b {
		t.Error("two forms are one")
	}
	// Nobody who cannot sign takes a signed form's key away.
	stranger := f.request(f.send(http.MethodPost, "application/json", `{"tenant_id":"acme","message":"x","_idempotency_key":"order-1"}`), http.StatusAccepted).RequestID
	first := send(keyed, now, http.StatusAccepted)
	if again := send(keyed, now.Add(time.Second), http.StatusOK); again != first || first == stranger {
		t.Errorf("one key made %s and %s, a stranger's %s", first, again, stranger)
	}
}

// The signature is of the whole body, of a form's files too.
func TestSignedFiles(t *testing.T) {
	body := "--b\r\nContent-Disposition: form-data; name=\"tenant_id\"\r\n\r\nacme\r\n" +
		"--b\r\nContent-Disposition: form-data; name=\"plan\"; filename=\"plan.pdf\"\r\n\r\n" + plan + "\r\n--b--\r\n"
	f, objects := withFiles(t, false)
	f.google.SetSecret(topology.FormKeySecret("acme"), keyring.Label(formKey, keyring.Form))
	header := signature.Sign([]byte(formKey), []byte(body), time.Now())
	const asParts = "multipart/form-data; boundary=b"
	other := strings.Replace(body, "1 0 obj", "2 0 obj", 1)
	if rec := f.send(http.MethodPost, asParts, other, form.SignatureHeader, header); rec.Code != http.StatusUnauthorized {
		t.Errorf("another file: status %d: %s", rec.Code, rec.Body)
	}
	if got := objectsIn(t, objects); len(got) != 0 {
		t.Errorf("stored: %v", got)
	}
	first := f.request(f.send(http.MethodPost, asParts, body, form.SignatureHeader, header), http.StatusAccepted)
	if again := f.request(f.send(http.MethodPost, asParts, body, form.SignatureHeader, header), http.StatusOK); again.RequestID != first.RequestID {
		t.Errorf("sent again: request %s, want %s", again.RequestID, first.RequestID)
	}
	if got := objectsIn(t, objects); len(got) != 1 {
		t.Errorf("stored: %v", got)
	}
}
