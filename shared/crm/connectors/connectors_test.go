package connectors

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ingestion.internal/shared/crm"
	"ingestion.internal/shared/integrations"
	"ingestion.internal/shared/workflow"
)

func TestTablesAgree(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff(workflow.Providers, Providers()); diff != "" {
		t.Errorf("providers of the workflow and of connectors differ:\n%s", diff)
	}
	if diff := cmp.Diff(crm.Providers(), Providers()); diff != "" {
		t.Errorf("providers with a schema and with a connector differ:\n%s", diff)
	}
}

// openDocument opens a provider by the text of the tenant's document.
func openDocument(document, provider string, mapping map[string]string) (crm.Connector, error) {
	settings, err := integrations.Parse([]byte(document))
	if err != nil {
		return nil, err
	}
	return Open(provider, settings, mapping, nil)
}

func TestOpen(t *testing.T) {
	t.Parallel()
	name := map[string]string{"name": "name"}
	for title, tc := range map[string]struct {
		provider, settings string
		mapping            map[string]string
		want               string // part of the error
	}{
		"hubspot":          {"hubspot", `{"hubspot":{"token":"t"}}`, map[string]string{"name": "firstname"}, ""},
		"salesforce":       {"salesforce", `{"salesforce":{"login_url":"https://acme.my.salesforce.com","client_id":"i","client_secret":"s","external_id_field":"Request__c"}}`, map[string]string{"=X": "Company", "=Y": "LastName"}, ""},
		"mcp":              {"mcp", `{"mcp":{"url":"https://mcp.example.com","tool":"upsert"}}`, name, ""},
		"webhook":          {"webhook", `{"webhook":{"url":"https://hooks.example.com","secret":"0123456789abcdef"}}`, nil, ""},
		"unknown_provider": {"zoho", `{}`, nil, `unknown CRM provider "zoho"; known are hubspot, mcp, salesforce, webhook`},
		"unknown_setting":  {"hubspot", `{"hubspot":{"secret":"t"}}`, nil, `unknown field "secret"`},
		"bad_setting":      {"webhook", `{"webhook":{"url":"http://example.com","secret":"short"}}`, nil, "secret: has 5 bytes"},
		"trailing":         {"hubspot", `{"hubspot":{"token":"t"}}{}`, nil, "more than one JSON value"},
		"no_settings":      {"hubspot", `{}`, nil, "the tenant has no settings for hubspot"},
		"bad_mapping":      {"hubspot", `{"hubspot":{"token":"t"}}`, map[string]string{"nickname": "firstname"}, `field_mapping["nickname"]`},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			c, err := openDocument(tc.settings, tc.provider, tc.mapping)
			if tc.want == "" {
				if err != nil || c == nil {
					t.Errorf("Open = %v, %v", c, err)
				}
				return
			}
			if c != nil || err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Open = %v, %v, want an error with %q", c, err, tc.want)
			}
		})
	}
}
