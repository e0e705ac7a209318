package store_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ingestion.internal/shared/store"
	"ingestion.internal/shared/store/storetest"
	"ingestion.internal/shared/topology"
)

func TestContacts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		phone, email string
		want         []string
	}{
		{"(310) 555-0142", " Robin@Example.com", []string{"+13105550142", "robin@example.com"}},
		{"anonymous", "robin at example", nil},
		{"", "", nil},
	} {
		if diff := cmp.Diff(tt.want, store.Contacts(tt.phone, tt.email)); diff != "" {
			t.Errorf("%q, %q (-want +got)\n%s", tt.phone, tt.email, diff)
		}
	}
}

// enquiry accepts a request of somebody who can be reached so.
func enquiry(t *testing.T, db *store.DB, tenantID, name, phone, email string) *store.Request {
	t.Helper()
	h := db.Tenant(tenantID)
	id := store.RequestID(tenantID, store.SourceForm, name)
	if _, err := storetest.Accept(t.Context(), h, store.Request{
		TenantID: tenantID, RequestID: id, Source: store.SourceForm, CommunicationMode: store.ModeForm,
		CustomerName: name, CustomerPhone: phone, CustomerEmail: email, Payload: []byte(`{}`),
	}, topology.AIAnalysis); err != nil {
		t.Fatal(err)
	}
	r, err := h.Request(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// history lists the names of the person's other requests.
func history(t *testing.T, db *store.DB, of *store.Request, since time.Time) []string {
	t.Helper()
	h := db.Tenant(of.TenantID)
	links, err := h.History(t.Context(), of, since)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, l := range links {
		r, err := h.Request(t.Context(), l.RequestID)
		if err != nil {
			t.Fatalf("a link to what is not the tenant's: %v", err)
		}
		names = append(names, r.CustomerName)
	}
	return names
}

func TestHistory(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	first := enquiry(t, db, storetest.Acme, "by phone", "310 555 0142", "")
	both := enquiry(t, db, storetest.Acme, "by both", "+1 (310) 555-0142", "Robin@example.com")
	mail := enquiry(t, db, storetest.Acme, "by mail", "anonymous", "robin@EXAMPLE.com")
	stranger := enquiry(t, db, storetest.Acme, "stranger", "310 555 0199", "")
	nobody := enquiry(t, db, storetest.Acme, "nobody", "", "")
	elsewhere := enquiry(t, db, storetest.Bolt, "elsewhere", "310 555 0142", "robin@example.com")

	for _, tt := range []struct {
		of    *store.Request
		since time.Time
		want  []string
	}{
		{first, time.Time{}, []string{"by both"}},
		{both, time.Time{}, []string{"by mail", "by phone"}},
		{both, mail.ReceivedAt, []string{"by mail"}},
		{both, mail.ReceivedAt.Add(time.Nanosecond), nil},
		{mail, time.Time{}, []string{"by both"}},
		{stranger, time.Time{}, nil},
		{nobody, time.Time{}, nil},
		{elsewhere, time.Time{}, nil}, // another tenant's request of the same person is none of its business
	} {
		if diff := cmp.Diff(tt.want, history(t, db, tt.of, tt.since)); diff != "" {
			t.Errorf("%s since %s (-want +got)\n%s", tt.of.CustomerName, tt.since, diff)
		}
	}

	// A handle finds its own tenant's, whatever request it is asked about.
	links, err := db.Tenant(storetest.Bolt).History(t.Context(), both, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if len(links) != 1 || links[0].RequestID != elsewhere.RequestID {
		t.Errorf("bolt's handle finds %+v", links)
	}

	story, err := db.Tenant(storetest.Acme).Story(t.Context(), both.RequestID)
	if err != nil {
		t.Fatal(err)
	}
	want := []store.Link{
		{RequestID: mail.RequestID, CommunicationMode: store.ModeForm, Status: store.StatusReceived, By: []string{"robin@example.com"}},
		{RequestID: first.RequestID, CommunicationMode: store.ModeForm, Status: store.StatusReceived, By: []string{"+13105550142"}},
	}
	if diff := cmp.Diff(want, story.Links, cmpopts.IgnoreFields(store.Link{}, "ReceivedAt")); diff != "" {
		t.Errorf("the story's links (-want +got)\n%s", diff)
	}
}

// What a stage learns, and what a later event says, links the request too; the
// number that it had before still finds it.
func TestLearnedContactsLink(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	h := db.Tenant(storetest.Acme)
	old := enquiry(t, db, storetest.Acme, "old number", "310 555 0142", "")
	again := enquiry(t, db, storetest.Acme, "mail", "", "robin@example.com")
	unknown := enquiry(t, db, storetest.Acme, "unknown", "310 555 0142", "")

	c := claim(t, h, unknown.RequestID, topology.AIAnalysis, store.Claimed)
	email, intent, decision := "Robin@example.com", []byte(`{"intent":"quote_request"}`), "qualified"
	if _, err := h.Finish(t.Context(), c, store.Outcome{Update: store.RequestUpdate{CustomerEmail: &email, Analysis: intent, Decision: &decision}}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Record(t.Context(), unknown.RequestID, store.Event{ID: "moved", Source: store.SourceForm}, func(current *store.Request, _ []store.Event) (store.Revision, error) {
		moved := *current
		moved.CustomerPhone = "310 555 0199"
		return store.Revision{Request: moved}, nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, of := range []*store.Request{old, again} {
		links, err := h.History(t.Context(), of, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		want := []store.Link{{
			RequestID: unknown.RequestID, CommunicationMode: store.ModeForm, Status: store.StatusCompleted, Decision: "qualified", Intent: "quote_request",
			ReceivedAt: unknown.ReceivedAt, By: store.Contacts(of.CustomerPhone, of.CustomerEmail),
		}}
		if diff := cmp.Diff(want, links); diff != "" {
			t.Errorf("%s (-want +got)\n%s", of.CustomerName, diff)
		}
	}
}
