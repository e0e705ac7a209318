package main

import (
	"net/http"
	"testing"

	"ingestion.internal/shared/telemetry/telemetrytest"
	"ingestion.internal/shared/topology"
)

// TestLog keeps what the alert on the assistant and the cost of models are made
// of.
func TestLog(t *testing.T) {
	log := telemetrytest.Capture(t, topology.ChatAPI)
	for _, gemini := range []http.HandlerFunc{
		model([]string{"Yes, we remodel kitchens."}, nil, nil),
		func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) },
	} {
		lets := assisted()
		lets.Chat.MaxAnswersPerDay = 1
		f := newFixtureWith(t, lets, gemini)
		g := f.open(`{"tenant_id":"acme"}`)
		g.say(`{"number":1,"text":"Do you do kitchens?"}`)
		g.say(`{"number":2,"text":"And bathrooms?"}`)
		g.closeChat()
	}
	log.Golden()
}
