package main

import (
	"net/http"
	"testing"
	"time"

	"ingestion.internal/shared/store"
	"ingestion.internal/shared/telemetry/telemetrytest"
	"ingestion.internal/shared/topology"
)

// TestLog keeps what is logged of effects that are sent, tried again, parked,
// refused, suppressed, and of which nobody knows how they went.
func TestLog(t *testing.T) {
	log := telemetrytest.Capture(t, topology.Dispatcher)
	w := newWorld(t, nil)
	w.send(w.decided("sent"))
	w.vendors.answerInstead(func(rw http.ResponseWriter, r *http.Request) bool {
		return on("/contacts/", 1, http.StatusServiceUnavailable)(rw, r) || on("/mail/send", 1, http.StatusServiceUnavailable)(rw, r)
	})
	w.send(w.decided("retry"))
	w.vendors.answerInstead(func(rw http.ResponseWriter, r *http.Request) bool {
		return on("/contacts/", 1, http.StatusBadRequest)(rw, r) || on("/mail/send", 1, http.StatusBadRequest)(rw, r)
	})
	w.send(w.decided("refused"))
	w.vendors.answerInstead(nil)
	w.vendors.suppressed = "sales@acme.example"
	w.send(w.decided("suppressed"))
	w.vendors.suppressed = ""
	w.secret.set(badSettings)
	w.send(w.decided("parked"))
	w.secret.set(goodSettings)
	if e := w.effect(w.loseMail("lost", true), store.EffectEmail); e.State != store.EffectSending {
		t.Errorf("effect %+v", e)
	}
	w.tick(time.Minute)
	log.Golden()
}
