// Package connectors knows all CRM connectors: one row per provider. A new one
// is a folder beside this one, a row here and one in crm's schemas.
package connectors

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"ingestion.internal/shared/crm"
	"ingestion.internal/shared/crm/hubspot"
	"ingestion.internal/shared/crm/mcp"
	"ingestion.internal/shared/crm/salesforce"
	"ingestion.internal/shared/crm/vendorapi"
	"ingestion.internal/shared/crm/webhook"
)

// opener makes a connector of a tenant's settings, a JSON document.
type opener func(settings []byte, mapping *crm.Mapping, transport http.RoundTripper) (crm.Connector, error)

var rows = map[string]opener{
	"hubspot":    row(hubspot.New),
	"mcp":        row(mcp.New),
	"salesforce": row(salesforce.New),
	"webhook":    row(webhook.New),
}

// Providers are the names that [Open] knows, sorted.
func Providers() []string { return slices.Sorted(maps.Keys(rows)) }

// Open returns a tenant's connector. settings is the provider's Settings as
// JSON, the payload of the tenant's secret; unknown fields are errors. No error
// shows a secret. A nil transport is the default one.
func Open(provider string, settings []byte, fieldMapping map[string]string, transport http.RoundTripper) (crm.Connector, error) {
	open, ok := rows[provider]
	if !ok {
		return nil, fmt.Errorf("unknown CRM provider %q; known are %s", provider, strings.Join(Providers(), ", "))
	}
	mapping, err := crm.Compile(fieldMapping, provider)
	if err != nil {
		return nil, err
	}
	return open(settings, mapping, transport)
}

// row adapts a provider's constructor.
func row[S any, C crm.Connector](newConnector func(S, *crm.Mapping, http.RoundTripper) (C, error)) opener {
	return func(settings []byte, mapping *crm.Mapping, transport http.RoundTripper) (crm.Connector, error) {
		var s S
		if err := vendorapi.DecodeSettings(settings, &s); err != nil {
			return nil, err
		}
		c, err := newConnector(s, mapping, transport)
		if err != nil {
			return nil, fmt.Errorf("settings: %w", err)
		}
		return c, nil
	}
}
