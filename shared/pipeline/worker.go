package pipeline

import (
	"context"

	"ingestion.internal/shared/store"
	"ingestion.internal/shared/topology"
)

// Task is the body of every Cloud Tasks task. It carries ids only: state is in
// Spanner.
type Task struct {
	TenantID  string `json:"tenant_id"`
	RequestID string `json:"request_id"`
}

// Job is what a worker gets: the request it has claimed and the tenant data it
// needs. All of it belongs to one tenant.
type Job struct {
	Request *store.Request
	Office  *store.Office // the request's office, or the tenant's first where it names none
	Attempt int           // 1 for the first
	Round   int           // of the stage, see store.Step
}

// Claim is the job's claim of its stage, for what is kept before the stage is
// done.
func (j Job) Claim(stage topology.Stage) *store.Claim {
	return &store.Claim{Stage: stage, Request: j.Request, Office: j.Office, Attempt: j.Attempt, Round: j.Round}
}

// Outcome is what a stage commits: its result, its part of the audit trail and
// the next stage, together.
type Outcome = store.Outcome

// Worker does the work of one stage. Work must be idempotent: it runs at least
// once. An error wrapped by Permanent fails the request at once; any other is
// retried until the stage's attempts run out.
type Worker interface {
	Stage() topology.Stage
	Work(ctx context.Context, job Job) (Outcome, error)
}
