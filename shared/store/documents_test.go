package store_test

import (
	"errors"
	"testing"

	"ingestion.internal/shared/store"
	"ingestion.internal/shared/store/storetest"
	"ingestion.internal/shared/topology"
)

// TestKeepDocuments: what an attempt has read is there for the next one, and an
// attempt that has lost its claim writes nothing.
func TestKeepDocuments(t *testing.T) {
	t.Parallel()
	h := storetest.Open(t).Tenant(storetest.Acme)
	id := store.RequestID(storetest.Acme, store.SourceForm, "sheet")
	if _, err := storetest.Accept(t.Context(), h, store.Request{TenantID: storetest.Acme, RequestID: id, Source: store.SourceForm, CommunicationMode: store.ModeForm}, topology.DocumentProcessing); err != nil {
		t.Fatal(err)
	}
	if err := h.KeepDocuments(t.Context(), &store.Claim{Stage: topology.DocumentProcessing, Request: &store.Request{RequestID: id}}, []byte(`{}`)); !errors.Is(err, store.ErrLostClaim) {
		t.Errorf("before a claim: %v", err)
	}
	first := claim(t, h, id, topology.DocumentProcessing, store.Claimed)
	if err := h.KeepDocuments(t.Context(), first, []byte(`{"processor":"a"}`)); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Fail(t.Context(), first, "x", false, maxAttempts); err != nil {
		t.Fatal(err)
	}
	second := claim(t, h, id, topology.DocumentProcessing, store.Claimed)
	if got := string(second.Request.Documents); got != `{"processor":"a"}` {
		t.Errorf("the next attempt finds %s", got)
	}
	if err := h.KeepDocuments(t.Context(), first, []byte(`{"processor":"b"}`)); !errors.Is(err, store.ErrLostClaim) {
		t.Errorf("of an attempt before: %v", err)
	}
	again(t, h, id, topology.DocumentProcessing)
	live := claim(t, h, id, topology.DocumentProcessing, store.Claimed)
	if live.Attempt != first.Attempt {
		t.Fatalf("attempt %d of the next round", live.Attempt)
	}
	if err := h.KeepDocuments(t.Context(), live, []byte(`{"processor":"c"}`)); err != nil {
		t.Fatal(err)
	}
	if err := h.KeepDocuments(t.Context(), first, []byte(`{"processor":"d"}`)); !errors.Is(err, store.ErrLostClaim) {
		t.Errorf("of an attempt of an earlier round: %v", err)
	}
	nobody := &store.Claim{Stage: topology.DocumentProcessing, Request: &store.Request{RequestID: "00000000-0000-4000-8000-000000000009"}, Attempt: 1}
	if err := h.KeepDocuments(t.Context(), nobody, []byte(`{}`)); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("of no request: %v", err)
	}
}

// again has an event begin the stage of a request anew.
func again(t *testing.T, h *store.Tenant, id string, stage topology.Stage) {
	t.Helper()
	event := store.Event{ID: store.EventID(h.ID(), "again", id), Source: store.SourceForm, Payload: []byte(`{}`)}
	if _, err := h.Record(t.Context(), id, event, func(c *store.Request, _ []store.Event) (store.Revision, error) {
		return store.Revision{Request: *c, Begin: stage}, nil
	}); err != nil {
		t.Fatal(err)
	}
}
