// Package connectors knows all CRM connectors: one row per provider. A new one
// is a folder beside this one, a row here, one in crm's schemas and its
// settings in package integrations.
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
	"ingestion.internal/shared/crm/webhook"
	"ingestion.internal/shared/integrations"
)

// opener makes a connector of a tenant's settings.
type opener func(settings integrations.Settings, mapping *crm.Mapping, transport http.RoundTripper) (crm.Connector, error)

var rows = map[string]opener{
	"hubspot":    row(hubspot.New, func(s integrations.Settings) *integrations.HubSpot { return s.HubSpot }),
	"mcp":        row(mcp.New, func(s integrations.Settings) *integrations.MCP { return s.MCP }),
	"salesforce": row(salesforce.New, func(s integrations.Settings) *integrations.Salesforce { return s.Salesforce }),
	"webhook":    row(webhook.New, func(s integrations.Settings) *integrations.Webhook { return s.Webhook }),
}

// Providers are the names that [Open] knows, sorted.
func Providers() []string { return slices.Sorted(maps.Keys(rows)) }

// Open returns a tenant's connector. The settings have to be set up for the
// provider. No error shows a secret. A nil transport is the default one.
func Open(provider string, settings integrations.Settings, fieldMapping map[string]string, transport http.RoundTripper) (crm.Connector, error) {
	open, ok := rows[provider]
	if !ok {
		return nil, fmt.Errorf("unknown CRM provider %q; known are %s", provider, strings.Join(Providers(), ", "))
	}
	if !settings.Has(provider) {
		return nil, fmt.Errorf("the tenant has no settings for %s", provider)
	}
	mapping, err := crm.Compile(fieldMapping, provider)
	if err != nil {
		return nil, err
	}
	return open(settings, mapping, transport)
}

// row adapts a provider's constructor.
func row[S any, C crm.Connector](newConnector func(S, *crm.Mapping, http.RoundTripper) (C, error), own func(integrations.Settings) *S) opener {
	return func(settings integrations.Settings, mapping *crm.Mapping, transport http.RoundTripper) (crm.Connector, error) {
		c, err := newConnector(*own(settings), mapping, transport)
		if err != nil {
			return nil, fmt.Errorf("settings: %w", err)
		}
		return c, nil
	}
}
