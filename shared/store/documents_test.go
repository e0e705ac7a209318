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
	if _, err := h.Accept(t.Context(), store.Request{TenantID: storetest.Acme, RequestID: id, Source: store.SourceForm, CommunicationMode: store.ModeForm}, topology.DocumentProcessing); err != nil {
		t.Fatal(err)
	}
	if err := h.KeepDocuments(t.Context(), id, topology.DocumentProcessing, 0, []byte(`{}`)); !errors.Is(err, store.ErrLostClaim) {
		t.Errorf("before a claim: %v", err)
	}
	first := claim(t, h, id, topology.DocumentProcessing, store.Claimed)
	if err := h.KeepDocuments(t.Context(), id, topology.DocumentProcessing, first.Attempt, []byte(`{"processor":"a"}`)); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Fail(t.Context(), first, "x", false, maxAttempts); err != nil {
		t.Fatal(err)
	}
	second := claim(t, h, id, topology.DocumentProcessing, store.Claimed)
	if got := string(second.Request.Documents); got != `{"processor":"a"}` {
		t.Errorf("the next attempt finds %s", got)
	}
	if err := h.KeepDocuments(t.Context(), id, topology.DocumentProcessing, first.Attempt, []byte(`{"processor":"b"}`)); !errors.Is(err, store.ErrLostClaim) {
		t.Errorf("of an attempt before: %v", err)
	}
	if err := h.KeepDocuments(t.Context(), "00000000-0000-4000-8000-000000000009", topology.DocumentProcessing, 1, []byte(`{}`)); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("of no request: %v", err)
	}
}
