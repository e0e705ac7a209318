package mcp

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"ingestion.internal/shared/crm"
	"ingestion.internal/shared/crm/vendorapi/vendortest"
	"ingestion.internal/shared/wirefake"
)

// oneMethod is an MCP server that is as it should be but for its answers to one
// method.
type oneMethod struct {
	method string
	answer wirefake.Always
}

// RoundTrip implements http.RoundTripper.
func (s oneMethod) RoundTrip(r *http.Request) (*http.Response, error) {
	var message struct {
		ID     json.RawMessage `json:"id"`
		Method string          `json:"method"`
	}
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		if r.Method == http.MethodPost {
			if err := json.Unmarshal(body, &message); err != nil {
				return nil, err
			}
		}
	}
	result := ""
	switch message.Method {
	case s.method:
		// The id that the client has given is not for chance to find.
		answer := s.answer
		answer.Body = strings.ReplaceAll(answer.Body, "ID", string(message.ID))
		return answer.RoundTrip(r)
	case "initialize":
		result = `{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"crm","version":"1"}}`
	case "tools/call":
		result = `{"content":[],"structuredContent":{"id":"L1"}}`
	default:
		return wirefake.Always{Status: http.StatusAccepted}.RoundTrip(r)
	}
	return wirefake.Always{Status: http.StatusOK, Body: `{"jsonrpc":"2.0","id":` + string(message.ID) + `,"result":` + result + `}`}.RoundTrip(r)
}

// Whatever the server answers, to the beginning of a session or to a call, each
// lead has an outcome: a record's id, or an error that the dispatcher can act by.
func FuzzAnswers(f *testing.F) {
	const inJSON, inEvents = false, true
	f.Add(true, inJSON, 200, `{"jsonrpc":"2.0","id":ID,"result":{"content":[{"type":"text","text":"ok"}],"structuredContent":{"id":"L1"}}}`)
	f.Add(true, inJSON, 200, `{"jsonrpc":"2.0","id":ID,"result":{"isError":true,"content":[{"type":"text","text":"the pipeline\nis closed"},{"type":"image","data":"","mimeType":"image/png"}]}}`)
	f.Add(true, inJSON, 200, `{"jsonrpc":"2.0","id":ID,"error":{"code":-32602,"message":"no such stage"}}`)
	f.Add(true, inEvents, 200, "event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":ID,\"result\":{\"content\":[],\"structuredContent\":{\"id\":7}}}\n\n")
	f.Add(true, inEvents, 200, "id: 1\nretry: 1\n\n: nothing\n\n")
	f.Add(true, inJSON, 200, `{"jsonrpc":"2.0","method":"ping","id":1}`)
	f.Add(true, inJSON, 404, `gone`)
	f.Add(false, inJSON, 200, `{"jsonrpc":"2.0","id":ID,"result":{"protocolVersion":"1","capabilities":{},"serverInfo":{"name":"","version":""}}}`)
	f.Add(false, inJSON, 401, `{"error":"x"}`)
	f.Add(false, inEvents, 200, "data: []\n\n")
	f.Fuzz(func(t *testing.T, call, events bool, status int, body string) {
		if status < 200 || status > 599 {
			t.Skip("no status of an answer")
		}
		server := oneMethod{method: "initialize", answer: wirefake.Always{Status: status, Body: body}}
		if call {
			server.method = "tools/call"
		}
		if events {
			server.answer.Type = "text/event-stream"
		}
		m, err := crm.Compile(map[string]string{"request_id": "request_id"}, vendor)
		if err != nil {
			t.Fatal(err)
		}
		c, err := New(Settings{URL: "https://crm.example/mcp", Token: "tok", Tool: "upsert_lead"}, m, server)
		if err != nil {
			t.Fatal(err)
		}
		vendortest.CheckOutcomes(t, c.UpsertBatch(t.Context(), []crm.Lead{lead("r1"), lead("r2")}), 2)
	})
}
