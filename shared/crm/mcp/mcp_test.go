package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"ingestion.internal/shared/crm"
	"ingestion.internal/shared/crm/vendorapi"
)

// crmServer is an MCP server with a tool that keeps leads by request_id.
type crmServer struct {
	mu    sync.Mutex
	leads map[string]map[string]any
}

func (s *crmServer) upsert(_ context.Context, req *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
	var arguments map[string]any
	if err := json.Unmarshal(req.Params.Arguments, &arguments); err != nil {
		return nil, err
	}
	id, _ := arguments["request_id"].(string)
	switch id {
	case "refused":
		return &sdk.CallToolResult{IsError: true, Content: []sdk.Content{&sdk.TextContent{Text: "the pipeline\nis closed"}}}, nil
	case "wordless":
		return &sdk.CallToolResult{IsError: true}, nil
	case "plain":
		return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: "ok"}}}, nil
	case "broken":
		return nil, &jsonrpc.Error{Code: jsonrpc.CodeInternalError, Message: "database is down"}
	case "invalid":
		return nil, &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: "no such stage"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leads[id] = arguments
	return &sdk.CallToolResult{StructuredContent: map[string]any{"id": "lead-" + id}}, nil
}

// start serves the tool behind wrap (nil = as it is).
func (s *crmServer) start(t *testing.T, wrap func(http.Handler) http.Handler) string {
	t.Helper()
	s.leads = map[string]map[string]any{}
	server := sdk.NewServer(&sdk.Implementation{Name: "crm", Version: "1"}, nil)
	server.AddTool(&sdk.Tool{Name: "upsert_lead", InputSchema: map[string]any{"type": "object"}}, s.upsert)
	var h http.Handler = sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return server }, nil)
	if wrap != nil {
		h = wrap(h)
	}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL
}

func newConnector(t *testing.T, url, tool string) *Connector {
	t.Helper()
	m, err := crm.Compile(map[string]string{"request_id": "request_id", "name": "contact.name", "reasons": "why", "phone|e164": "phone"}, vendor)
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(Settings{URL: url, Token: "tok", Tool: tool}, m, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func lead(id string) crm.Lead {
	return crm.Lead{RequestID: id, Customer: crm.Customer{Name: "Mary", Phone: "?"}, Reasons: []string{"a", "b"}}
}

func TestUpsert(t *testing.T) {
	t.Parallel()
	s := &crmServer{}
	url := s.start(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer tok" {
				t.Errorf("%s without the token", r.Method)
			}
			next.ServeHTTP(w, r)
		})
	})
	c := newConnector(t, url, "upsert_lead")
	for range 2 { // again is the same
		got, err := c.Upsert(t.Context(), lead("r1"))
		if err != nil {
			t.Fatal(err)
		}
		want := crm.Result{RecordID: "lead-r1", Notes: []crm.Note{{Property: "phone", Source: "phone|e164", Reason: "e164: is no telephone number"}}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("result (-want +got):\n%s", diff)
		}
	}
	want := map[string]map[string]any{"r1": {"request_id": "r1", "contact": map[string]any{"name": "Mary"}, "why": []any{"a", "b"}}}
	if diff := cmp.Diff(want, s.leads); diff != "" {
		t.Errorf("the server's leads (-want +got):\n%s", diff)
	}
}

func TestBatchGoesOnAfterWhatTheToolRefuses(t *testing.T) {
	t.Parallel()
	s := &crmServer{}
	c := newConnector(t, s.start(t, nil), "upsert_lead")
	got := c.UpsertBatch(t.Context(), []crm.Lead{lead("refused"), lead("wordless"), lead("plain"), lead("r4")})
	for i, want := range []string{"the pipeline is closed", "without words", "", ""} {
		err := got[i].Err
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || vendorapi.KindOf(err) != vendorapi.Permanent) {
			t.Errorf("outcome %d = %v, want %q", i, err, want)
		}
	}
	if got[2].Result.RecordID != "" || got[3].Result.RecordID != "lead-r4" {
		t.Errorf("outcomes = %+v", got)
	}
	if out := c.UpsertBatch(t.Context(), nil); len(out) != 0 {
		t.Errorf("no leads: %v", out)
	}
}

func TestProtocolErrors(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		id, tool string
		kind     vendorapi.Kind
		reason   string
	}{
		"internal":     {"broken", "upsert_lead", vendorapi.Retryable, "database is down"},
		"invalid":      {"invalid", "upsert_lead", vendorapi.Permanent, "no such stage"},
		"unknown_tool": {"r1", "no_such_tool", vendorapi.Permanent, "no_such_tool"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newConnector(t, new(crmServer).start(t, nil), tc.tool)
			for i, o := range c.UpsertBatch(t.Context(), []crm.Lead{lead(tc.id), lead("r2")}) {
				if o.Err == nil || vendorapi.KindOf(o.Err) != tc.kind || !strings.Contains(o.Err.Error(), tc.reason) {
					t.Errorf("outcome %d = %v, want kind %v and %q", i, o.Err, tc.kind, tc.reason)
				}
			}
		})
	}
}

func TestHTTPRefusals(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		status int
		after  int // requests that go through first
		kind   vendorapi.Kind
	}{
		"token":         {401, 0, vendorapi.Credentials},
		"scope":         {403, 0, vendorapi.Credentials},
		"no_server":     {404, 0, vendorapi.Permanent},
		"limit":         {429, 0, vendorapi.Retryable},
		"down":          {503, 0, vendorapi.Retryable},
		"token_at_call": {401, 2, vendorapi.Credentials},
		"limit_at_call": {429, 2, vendorapi.Retryable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			posts := 0
			url := new(crmServer).start(t, func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					mu.Lock()
					n := posts
					if r.Method == http.MethodPost {
						posts++
					}
					mu.Unlock()
					if n >= tc.after {
						w.Header().Set("Retry-After", "9")
						http.Error(w, "no", tc.status)
						return
					}
					next.ServeHTTP(w, r)
				})
			})
			_, err := newConnector(t, url, "upsert_lead").Upsert(t.Context(), lead("r1"))
			e, ok := errors.AsType[*vendorapi.Error](err)
			if !ok || e.Kind != tc.kind || e.Status != tc.status || e.RetryAfter != 9*time.Second {
				t.Errorf("Upsert = %v, want HTTP %d of kind %v", err, tc.status, tc.kind)
			}
		})
	}
	t.Run("unreachable", func(t *testing.T) {
		t.Parallel()
		_, err := newConnector(t, "http://127.0.0.1:1", "upsert_lead").Upsert(t.Context(), lead("r1"))
		if err == nil || vendorapi.KindOf(err) != vendorapi.Retryable {
			t.Errorf("Upsert = %v, want a retryable error", err)
		}
	})
}

func TestPreview(t *testing.T) {
	t.Parallel()
	calls, err := newConnector(t, "https://mcp.example.com/mcp", "upsert_lead").Preview(lead("r1"))
	want := []crm.Call{{Op: "call tool", Method: "tools/call", URL: "https://mcp.example.com/mcp", Body: []byte(`{"arguments":{"contact":{"name":"Mary"},"request_id":"r1","why":["a","b"]},"name":"upsert_lead"}`)}}
	if err != nil || !cmp.Equal(want, calls) {
		t.Errorf("Preview: %v\n%s", err, cmp.Diff(want, calls))
	}
}

func TestNewReportsAllMistakes(t *testing.T) {
	t.Parallel()
	m, err := crm.Compile(nil, vendor)
	if err != nil {
		t.Fatal(err)
	}
	_, err = New(Settings{URL: "mcp"}, m, nil)
	for _, want := range []string{"url: has no host", "tool: is missing", "field_mapping: is empty"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New = %v, want %q", err, want)
		}
	}
}
