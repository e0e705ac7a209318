// Package mcp pushes leads to a CRM's MCP server: one tool call per lead, with
// the arguments that the field_mapping makes. The tool has to be idempotent by
// an argument that the mapping fills with request_id; the protocol itself has
// no such notion.
//
// The transport is streamable HTTP (modelcontextprotocol.io/specification),
// spoken by the official SDK, with a bearer token.
package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"ingestion.internal/shared/crm"
	"ingestion.internal/shared/crm/vendorapi"
	"ingestion.internal/shared/integrations"
)

const (
	vendor  = "mcp"
	op      = "call tool"
	maxBody = 4 << 20 // bytes of one answer of the server
	timeout = 45 * time.Second
)

// Settings are a tenant's settings of its MCP server.
type Settings = integrations.MCP

// Connector is a [crm.BatchConnector]: a batch shares one session.
type Connector struct {
	settings  Settings
	mapping   *crm.Mapping
	transport http.RoundTripper
}

var (
	_ crm.BatchConnector = (*Connector)(nil)
	_ crm.Previewer      = (*Connector)(nil)
)

// New returns the connector of one tenant. mapping is compiled for "mcp". A nil
// transport is the default one.
func New(settings Settings, mapping *crm.Mapping, transport http.RoundTripper) (*Connector, error) {
	var errs []error
	if err := settings.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("mcp: %w", err))
	}
	if mapping.Len() == 0 {
		errs = append(errs, errors.New("mcp: field_mapping: is empty, so the tool would get no arguments"))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if transport == nil {
		transport = http.DefaultTransport
	}
	return &Connector{settings: settings, mapping: mapping, transport: transport}, nil
}

// Upsert calls the tool for the lead.
func (c *Connector) Upsert(ctx context.Context, lead crm.Lead) (crm.Result, error) {
	outcome := c.UpsertBatch(ctx, []crm.Lead{lead})[0]
	return outcome.Result, outcome.Err
}

// UpsertBatch calls the tool for one lead after the other. What the tool
// refuses does not hold up the others; what breaks the session does.
func (c *Connector) UpsertBatch(ctx context.Context, leads []crm.Lead) []crm.Outcome {
	outcomes := make([]crm.Outcome, len(leads))
	failFrom := func(i int, err error) []crm.Outcome {
		for ; i < len(outcomes); i++ {
			outcomes[i].Err = err
		}
		return outcomes
	}
	if len(leads) == 0 {
		return outcomes
	}
	seen := &recorder{base: c.transport, token: c.settings.Token}
	session, err := c.connect(ctx, seen)
	if err != nil {
		return failFrom(0, seen.classify("connect", err))
	}
	// The answers are in: that the session ends properly is the server's affair.
	defer func() { _ = session.Close() }()
	for i := range leads {
		arguments, notes := c.mapping.Apply(&leads[i])
		result, err := c.call(ctx, session, arguments)
		if err != nil {
			return failFrom(i, seen.classify(op, err))
		}
		if result.IsError {
			outcomes[i].Err = &vendorapi.Error{Vendor: vendor, Op: op + " " + c.settings.Tool, Kind: vendorapi.Permanent, Reason: vendorapi.Clean(textOf(result))}
			continue
		}
		outcomes[i].Result = crm.Result{RecordID: idOf(result), Notes: notes}
	}
	return outcomes
}

func (c *Connector) connect(ctx context.Context, transport http.RoundTripper) (*sdk.ClientSession, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	client := sdk.NewClient(&sdk.Implementation{Name: "ingestion", Version: "1"}, nil)
	return client.Connect(ctx, &sdk.StreamableClientTransport{
		Endpoint:   c.settings.URL,
		HTTPClient: vendorapi.HTTPClient(transport),
		// Retries are the queue's, and nothing the server may say on its own is
		// of interest.
		MaxRetries:           -1,
		DisableStandaloneSSE: true,
		MaxEventSize:         maxBody,
	}, nil)
}

func (c *Connector) call(ctx context.Context, session *sdk.ClientSession, arguments map[string]any) (*sdk.CallToolResult, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return session.CallTool(ctx, &sdk.CallToolParams{Name: c.settings.Tool, Arguments: arguments})
}

// Preview shows the tool call that [Connector.Upsert] makes.
func (c *Connector) Preview(lead crm.Lead) ([]crm.Call, error) {
	arguments, _ := c.mapping.Apply(&lead)
	body, err := json.Marshal(map[string]any{"name": c.settings.Tool, "arguments": arguments})
	if err != nil {
		return nil, fmt.Errorf("mcp: %w", err)
	}
	return []crm.Call{{Op: op, Method: "tools/call", URL: c.settings.URL, Body: body}}, nil
}

// textOf is what a tool says in words.
func textOf(result *sdk.CallToolResult) string {
	var texts []string
	for _, content := range result.Content {
		if t, ok := content.(*sdk.TextContent); ok {
			texts = append(texts, t.Text)
		}
	}
	if len(texts) == 0 {
		return "the tool reports an error without words"
	}
	return strings.Join(texts, " ")
}

// idOf is the record's id, where the tool's structured result has an "id".
func idOf(result *sdk.CallToolResult) string {
	document, ok := result.StructuredContent.(map[string]any)
	if !ok {
		return ""
	}
	return crm.Text(document["id"])
}

// recorder adds the token, bounds answers, and remembers the last refusal: the
// SDK's errors do not tell status and headers.
type recorder struct {
	base  http.RoundTripper
	token string

	mu      sync.Mutex
	refused *vendorapi.Error
}

// RoundTrip implements [http.RoundTripper].
func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	if r.token != "" {
		req = req.Clone(req.Context())
		req.Header.Set("Authorization", "Bearer "+r.token)
	}
	resp, err := r.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(resp.Body, maxBody), resp.Body}
	if req.Method == http.MethodPost {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.refused = nil
		if resp.StatusCode > 299 {
			r.refused = &vendorapi.Error{
				Vendor:     vendor,
				Kind:       vendorapi.StatusKind(resp.StatusCode),
				Status:     resp.StatusCode,
				RetryAfter: vendorapi.ParseRetryAfter(resp.Header.Get("Retry-After"), time.Now()),
			}
		}
	}
	return resp, nil
}

// permanentCodes are JSON-RPC's codes for a request that is wrong in itself:
// unknown method or tool, bad arguments.
var permanentCodes = []int64{jsonrpc.CodeInvalidRequest, jsonrpc.CodeMethodNotFound, jsonrpc.CodeInvalidParams}

// classify makes err a [vendorapi.Error]: by the HTTP status if the last
// request was refused with one, else by the protocol's own error.
func (r *recorder) classify(op string, err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := &vendorapi.Error{Vendor: vendor}
	wire, ok := errors.AsType[*jsonrpc.Error](err)
	switch {
	case r.refused != nil:
		*out = *r.refused
	case ok && slices.Contains(permanentCodes, wire.Code):
		out.Kind = vendorapi.Permanent
	}
	out.Op, out.Err = op, err
	return out
}
