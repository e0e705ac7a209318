package main

import (
	"net/http"
	"strings"
	"testing"

	"ingestion.internal/shared/telemetry/telemetrytest"
	"ingestion.internal/shared/topology"
)

// TestLog keeps what the alerts on webhooks are made of.
func TestLog(t *testing.T) {
	log := telemetrytest.Capture(t, topology.WebhookProcessor)
	f := withCalendars(t)
	f.accepted(f.post(delivery{body: platformPayload("CAL1")}), http.StatusAccepted)
	f.accepted(f.post(delivery{body: platformPayload("CAL1")}), http.StatusOK)
	for name, tc := range map[string]struct {
		delivery
		want int
	}{
		"not_json":        {delivery{body: "{"}, http.StatusBadRequest},
		"wrong_signature": {delivery{body: platformPayload("CAL2"), key: "another"}, http.StatusUnauthorized},
		"no_such_route":   {delivery{path: "/x", body: "{}"}, http.StatusNotFound},
	} {
		if rec := f.post(tc.delivery); rec.Code != tc.want {
			t.Errorf("%s: status %d, want %d", name, rec.Code, tc.want)
		}
	}
	f.google.Fail(http.StatusServiceUnavailable)
	f.notify("acme", "token-of-acme", "res-acme", "exists", "2")                     // due, its task is the clock's
	f.accepted(f.post(delivery{body: platformPayload("CAL3")}), http.StatusAccepted) // durable, its task is the sweeper's
	// Whose signing key is not known yet, and cannot be asked for.
	bolt := strings.NewReplacer("acme", "bolt", "1001", "2001").Replace(platformPayload("CAL4"))
	if rec := f.post(delivery{body: bolt, key: "key-of-bolt"}); rec.Code != http.StatusServiceUnavailable {
		t.Errorf("without Secret Manager: status %d, want 503", rec.Code)
	}
	log.Golden()
}
