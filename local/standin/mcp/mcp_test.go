package mcp_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ingestion.internal/local/standin/fault"
	"ingestion.internal/local/standin/mcp"
	"ingestion.internal/shared/crm"
	"ingestion.internal/shared/crm/connectors"
	"ingestion.internal/shared/crm/vendorapi"
	"ingestion.internal/shared/integrations"
)

func start(t *testing.T) (*mcp.Server, string) {
	t.Helper()
	s := mcp.New(mcp.Config{Authorize: func(token string) (string, bool) { return "acme", token == "good" }})
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	return s, srv.URL + "/mcp"
}

func open(t *testing.T, url, token, tool string, mapping map[string]string) crm.Connector {
	t.Helper()
	c, err := connectors.Open("mcp", integrations.Settings{MCP: &integrations.MCP{URL: url, Token: token, Tool: tool}}, mapping, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var fields = map[string]string{"request_id": "request_id", "name": "contact.name"}

var lead = crm.Lead{RequestID: "r1", Customer: crm.Customer{Name: "Mary"}}

func TestUpsertIsIdempotent(t *testing.T) {
	t.Parallel()
	s, url := start(t)
	c := open(t, url, "good", mcp.Tool, fields)
	for range 2 {
		if got, err := c.Upsert(t.Context(), lead); err != nil || got.RecordID != "lead-1" {
			t.Fatalf("Upsert = %+v, %v", got, err)
		}
	}
	want := []mcp.Lead{{ID: "lead-1", Account: "acme", RequestID: "r1", Calls: 2, Arguments: map[string]any{"request_id": "r1", "contact": map[string]any{"name": "Mary"}}}}
	if diff := cmp.Diff(want, s.Leads()); diff != "" {
		t.Errorf("leads (-want +got):\n%s", diff)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	s, url := start(t)
	for name, tc := range map[string]struct {
		connector crm.Connector
		fault     fault.Mode
		kind      vendorapi.Kind
		want      string
	}{
		"token":    {open(t, url, "bad", mcp.Tool, fields), "", vendorapi.Credentials, "HTTP 401"},
		"tool":     {open(t, url, "good", "delete_all", fields), "", vendorapi.Permanent, "delete_all"},
		"argument": {open(t, url, "good", mcp.Tool, map[string]string{"name": "name"}), "", vendorapi.Permanent, "request_id"},
		"limit":    {open(t, url, "good", mcp.Tool, fields), fault.RateLimit, vendorapi.Retryable, "retry after 1s"},
		"down":     {open(t, url, "good", mcp.Tool, fields), fault.Fail, vendorapi.Retryable, "HTTP 503"},
		"nonsense": {open(t, url, "good", mcp.Tool, fields), fault.Nonsense, vendorapi.Retryable, "mcp: connect"},
	} {
		if tc.fault != "" {
			if err := s.Faults.Set(fault.Fault{Mode: tc.fault}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := tc.connector.Upsert(t.Context(), lead); err == nil || vendorapi.KindOf(err) != tc.kind || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want kind %v and %q", name, err, tc.kind, tc.want)
		}
		s.Faults.Clear()
	}
	if n := len(s.Leads()); n != 0 {
		t.Errorf("%d leads after refusals", n)
	}
}
