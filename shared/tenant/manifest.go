// Package tenant holds the tenant manifest: the list of tenants and offices
// that stack config declares. The program writes it to Cloud Storage, the job
// tenant-sync brings Spanner to it. It names secrets and never holds a secret
// value.
package tenant

import (
	"ingestion.internal/shared/intake"
	"ingestion.internal/shared/workflow"
)

// Manifest lists every tenant of a stack, ordered by id.
type Manifest struct {
	// Protect says that an active tenant may not vanish: it is offboarded
	// first, and leaves the list after that.
	Protect bool     `json:"protect"`
	Tenants []Tenant `json:"tenants"`
}

// Tenant is one customer of the platform.
type Tenant struct {
	ID      string   `json:"id"`
	Name    string   `json:"name"`
	State   string   `json:"state"` // active or offboarded
	Offices []Office `json:"offices"`

	Intake    intake.Config `json:"intake,omitzero"` // what its public channels let in
	Calendars []Calendar    `json:"calendars,omitempty"`
}

// Office is one location of a tenant, with its own CallRail company.
type Office struct {
	ID                        string          `json:"id"`
	Name                      string          `json:"name"`
	CallRailAccountID         string          `json:"callrailAccountId,omitempty"`
	CallRailCompanyID         string          `json:"callrailCompanyId,omitempty"`
	CallRailCompanyResourceID string          `json:"callrailCompanyResourceId,omitempty"`
	CallRailAPIKeySecret      string          `json:"callrailApiKeySecret,omitempty"`     // Secret Manager id
	CallRailSigningKeySecret  string          `json:"callrailSigningKeySecret,omitempty"` // Secret Manager id; empty = the platform's
	IntegrationSecret         string          `json:"integrationSecret,omitempty"`        // Secret Manager id; empty = no CRM and no mail
	Workflow                  workflow.Config `json:"workflow"`                           // complete: defaults, tenant and office merged
}
