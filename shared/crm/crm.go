// Package crm is how leads come into a tenant's CRM: the [Lead], the mapping
// of its fields to the provider's properties ([Compile], [Check]), and the
// [Connector] that a provider's package implements. It is pure; the packages
// below it do the talking, and package connectors knows them all.
//
// # Errors
//
// A connector's errors are [ingestion.internal/shared/crm/vendorapi.Error]s.
// Their kind says whether to retry (after how long), to park the work until
// credentials are mended, or to give up with the provider's reason. Connectors
// do not wait and retry by themselves.
//
// # Idempotence
//
// Pushing a lead again writes the same record again: connectors use the
// provider's upsert, keyed by the customer or by the request's id.
package crm

import (
	"context"
	"time"
)

// Lead is an analysed request as a CRM, or a mail, is told about it. Strings
// that are not known are empty.
type Lead struct {
	TenantID   string
	RequestID  string // UUID; the record's external id where the provider has one
	OfficeID   string
	OfficeName string
	Source     string // as in store.Request
	Mode       string // as in store.Request: phone_call, form
	CallID     string
	ReceivedAt time.Time

	Customer Customer

	LeadScore      *int64   // 0-100; nil: not analysed
	SpamLikelihood *float64 // 0-100; nil: not analysed
	Decision       string   // a workflow.Outcome
	Reasons        []string // of the decision, in its order
	Summary        string
	// Analysis is the analysis' JSON document, decoded. Mappings reach into it
	// with paths like analysis.project_type.
	Analysis map[string]any
}

// Customer is who asked.
type Customer struct {
	Name       string
	Phone      string
	Email      string
	PostalCode string
}

// Result is what became of a lead in the CRM.
type Result struct {
	RecordID string // the provider's; empty where it tells none
	Created  bool   // false: there was a record, it was updated; or the provider does not say
	Notes    []Note // what could not be mapped as configured
}

// Outcome is one lead's part of a batch: its result or its error.
type Outcome struct {
	Result Result
	Err    error
}

// Connector pushes leads to one tenant's CRM. Implementations may be used
// concurrently.
type Connector interface {
	// Upsert creates or updates the lead's record. See the package comment for
	// its errors.
	Upsert(ctx context.Context, lead Lead) (Result, error)
}

// BatchConnector is a connector whose provider takes many leads at once.
type BatchConnector interface {
	Connector
	// UpsertBatch pushes any number of leads and answers with one outcome for
	// each, in their order.
	UpsertBatch(ctx context.Context, leads []Lead) []Outcome
}

// UpsertAll pushes leads in as few calls as c is able to, and answers with one
// outcome for each, in their order.
func UpsertAll(ctx context.Context, c Connector, leads []Lead) []Outcome {
	if b, ok := c.(BatchConnector); ok {
		return b.UpsertBatch(ctx, leads)
	}
	outcomes := make([]Outcome, len(leads))
	for i, lead := range leads {
		outcomes[i].Result, outcomes[i].Err = c.Upsert(ctx, lead)
	}
	return outcomes
}

// Call is one request that a connector would send, for dry runs. It carries no
// credentials.
type Call struct {
	Op     string // as errors name it
	Method string
	URL    string
	Body   []byte // JSON
}

// Previewer is a connector that can show what it would send. What depends on
// an answer of the provider stands in angle brackets, like <contact id>.
type Previewer interface {
	Preview(lead Lead) ([]Call, error)
}
