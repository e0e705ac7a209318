// Package mcp is a small CRM that is reached by the Model Context Protocol,
// over streamable HTTP with a bearer token. It is built on the official SDK.
//
// It has one tool, upsert_lead: request_id (required, string) and any other
// arguments. A second call with the same request_id updates the lead.
//
// Served paths:
//
//	/mcp                              the protocol
//	GET /_admin/leads                 what was received, a list of Lead
//	GET, PUT, DELETE /faults          see package fault
package mcp

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"ingestion.internal/local/standin/fault"
)

// Tool is the name of the server's tool.
const Tool = "upsert_lead"

// Config is what a Server needs.
type Config struct {
	// Authorize returns the account that a bearer token belongs to.
	Authorize func(token string) (account string, ok bool)
}

// Lead is one record.
type Lead struct {
	ID        string         `json:"id"`
	Account   string         `json:"account"`
	RequestID string         `json:"requestId"`
	Arguments map[string]any `json:"arguments"`
	Calls     int            `json:"calls"`
}

// Server is the stand-in. Its methods may be called at the same time.
type Server struct {
	Faults *fault.Injector

	cfg     Config
	handler http.Handler

	mu    sync.Mutex
	leads []*Lead
}

// New returns a server without leads.
func New(cfg Config) *Server {
	s := &Server{cfg: cfg, Faults: fault.New(fault.Shape{Error: func(w http.ResponseWriter, status int, message string) { http.Error(w, message, status) }})}
	server := sdk.NewServer(&sdk.Implementation{Name: "local-crm", Version: "1"}, nil)
	server.AddTool(&sdk.Tool{
		Name:        Tool,
		Description: "Creates or updates the lead of a request.",
		InputSchema: map[string]any{"type": "object", "required": []string{"request_id"},
			"properties": map[string]any{"request_id": map[string]any{"type": "string", "minLength": 1}}},
	}, s.upsert)
	protocol := sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return server }, nil)
	mux := http.NewServeMux()
	mux.Handle("/mcp", s.Faults.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, ok := s.account(r.Header); !ok {
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
			http.Error(w, "invalid token", http.StatusUnauthorized)
			return
		}
		protocol.ServeHTTP(w, r)
	})))
	mux.Handle("/faults", s.Faults)
	mux.HandleFunc("GET /_admin/leads", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(s.Leads())
	})
	s.handler = mux
	return s
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// account is whose the call is.
func (s *Server) account(h http.Header) (string, bool) {
	token, _ := strings.CutPrefix(h.Get("Authorization"), "Bearer ")
	return s.cfg.Authorize(token)
}

// Leads returns the records in the order they came.
func (s *Server) Leads() []Lead {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Lead, len(s.leads))
	for i, l := range s.leads {
		out[i] = *l
	}
	return out
}

func (s *Server) upsert(_ context.Context, req *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
	var arguments map[string]any
	if err := json.Unmarshal(req.Params.Arguments, &arguments); err != nil {
		return nil, err
	}
	requestID, _ := arguments["request_id"].(string)
	if requestID == "" {
		return &sdk.CallToolResult{IsError: true, Content: []sdk.Content{&sdk.TextContent{Text: "request_id is required and a string"}}}, nil
	}
	account, _ := s.account(req.Extra.Header) // it was let in
	lead := s.keep(account, requestID, arguments)
	return &sdk.CallToolResult{StructuredContent: map[string]any{"id": lead.ID, "created": lead.Calls == 1}}, nil
}

func (s *Server) keep(account, requestID string, arguments map[string]any) Lead {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.leads {
		if l.Account == account && l.RequestID == requestID {
			l.Arguments = arguments
			l.Calls++
			return *l
		}
	}
	l := &Lead{ID: fmt.Sprintf("lead-%d", len(s.leads)+1), Account: account, RequestID: requestID, Arguments: arguments, Calls: 1}
	s.leads = append(s.leads, l)
	return *l
}
