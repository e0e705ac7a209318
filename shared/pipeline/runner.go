// Package pipeline carries requests from stage to stage. The tasks in the
// queues carry ids only; which stages a request has reached, and how each went,
// is in the database, which is the outbox: a stage's row is committed before
// its task is made, so a lost task is found and a doubled one does nothing.
package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"ingestion.internal/shared/fault"
	"ingestion.internal/shared/logging"
	"ingestion.internal/shared/problem"
	"ingestion.internal/shared/service"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/telemetry"
	"ingestion.internal/shared/tenant"
)

const (
	minLease = 2 * time.Second
	// recordTimeout bounds the writing of an attempt's result. It is counted
	// from the attempt's end, even where the request itself was cancelled.
	recordTimeout = 5 * time.Second
	claimTimeout  = 10 * time.Second
)

// Runner serves the tasks of one stage. What it answers is for Cloud Tasks:
// 2xx ends the task, anything else brings it back.
//
//	200  the stage is done, failed or a dead letter; "state" says which
//	409  another attempt has the stage
//	503  the attempt failed and another is allowed, or the database is away
type Runner struct {
	db       *store.DB
	worker   Worker
	enqueuer *Enqueuer
	cfg      StageConfig
}

// NewRunner returns the runner of the worker's stage. The enqueuer reaches the
// stages that the worker names as next; it is nil where there is none.
func NewRunner(db *store.DB, worker Worker, enqueuer *Enqueuer, cfg StageConfig) *Runner {
	return &Runner{db: db, worker: worker, enqueuer: enqueuer, cfg: cfg}
}

// Mount routes the stage's tasks to the runner.
func (r *Runner) Mount(router chi.Router) {
	router.Method(http.MethodPost, r.worker.Stage().Path(), service.Handler(r.serve))
}

// result is the body of a 200.
type result struct {
	State string `json:"state"`
}

func (r *Runner) serve(w http.ResponseWriter, req *http.Request) error {
	task, err := readTask(req)
	if err != nil {
		return err
	}
	stage := r.worker.Stage()
	ctx := logging.With(logging.WithTenant(req.Context(), task.TenantID),
		slog.String("request_id", task.RequestID), slog.String("stage", string(stage)))
	handle := r.db.Tenant(task.TenantID)

	claimCtx, cancel := context.WithTimeout(ctx, claimTimeout)
	defer cancel()
	claim, err := handle.Claim(claimCtx, task.RequestID, stage, r.cfg.Lease, r.cfg.MaxAttempts)
	if errors.Is(err, store.ErrNotFound) {
		// No retry finds it: rows are committed before their task is made.
		slog.ErrorContext(ctx, "task for a stage that is not in the database", slog.String(telemetry.Event, telemetry.StageUnknown), slog.Any("error", err))
		service.WriteJSON(w, http.StatusOK, result{"unknown"})
		return nil
	}
	if err != nil {
		return err
	}
	switch claim.State {
	case store.Busy:
		return problem.New(problem.Conflict, "another attempt has the stage")
	case store.Superseded:
		slog.InfoContext(ctx, "task for a stage whose turn comes again")
		service.WriteJSON(w, http.StatusOK, result{store.StateSuperseded})
		return nil
	case store.Dead:
		slog.InfoContext(ctx, "task for a stage that has failed", slog.String("cause", claim.Cause))
		service.WriteJSON(w, http.StatusOK, result{"failed"})
		return nil
	case store.Exhausted:
		slog.ErrorContext(ctx, "stage is a dead letter", slog.String(telemetry.Event, telemetry.StageDead),
			slog.String(telemetry.Outcome, store.StateDeadLetter), slog.Int("attempts", claim.Attempt), slog.String("cause", claim.Cause))
		service.WriteJSON(w, http.StatusOK, result{store.StateDeadLetter})
		return nil
	case store.Done:
		if err := r.enqueue(ctx, task, claim.Unsent); err != nil {
			return problem.Wrap(problem.Unavailable, "", err)
		}
		service.WriteJSON(w, http.StatusOK, result{store.StateDone})
		return nil
	}
	ctx = logging.With(ctx, slog.String(telemetry.Channel, claim.Request.CommunicationMode))
	return r.attempt(ctx, w, handle, task, claim)
}

// attempt works the claimed stage and commits what came of it.
func (r *Runner) attempt(ctx context.Context, w http.ResponseWriter, handle *store.Tenant, task Task, claim *store.Claim) error {
	start := time.Now()
	// The attempt ends before its lease, so that its result is still its own.
	workCtx, cancel := context.WithTimeout(ctx, r.cfg.Lease-r.cfg.Lease/8)
	defer cancel()
	outcome, workErr := r.work(workCtx, Job{Request: claim.Request, Office: claim.Office, Attempt: claim.Attempt, Round: claim.Round})

	recordCtx, cancelRecord := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancelRecord()
	facts := []any{slog.Int("attempt", claim.Attempt), slog.Float64(telemetry.Seconds, time.Since(start).Seconds())}
	if workErr != nil {
		return r.fail(recordCtx, w, handle, claim, workErr, facts)
	}
	unsent, err := handle.Finish(recordCtx, claim, outcome)
	if err != nil {
		return recordFailure(err)
	}
	slog.InfoContext(ctx, "stage done", append(facts, slog.String(telemetry.Event, telemetry.StageDone), slog.String("next", string(outcome.Next)))...)
	if outcome.Next == "" {
		slog.InfoContext(ctx, "request completed", slog.String(telemetry.Event, telemetry.RequestCompleted),
			slog.Float64(telemetry.Seconds, time.Since(claim.Request.ReceivedAt).Seconds()))
	}
	if err := r.enqueue(ctx, task, unsent); err != nil {
		// The task comes back, finds the stage done, and enqueues again.
		return problem.Wrap(problem.Unavailable, "", err)
	}
	service.WriteJSON(w, http.StatusOK, result{store.StateDone})
	return nil
}

func (r *Runner) work(ctx context.Context, job Job) (outcome Outcome, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicError{value: v, stack: debug.Stack()}
		}
	}()
	return r.worker.Work(ctx, job)
}

func (r *Runner) fail(ctx context.Context, w http.ResponseWriter, handle *store.Tenant, claim *store.Claim, workErr error, facts []any) error {
	cause := Cause(workErr)
	facts = append(facts, slog.String("cause", cause))
	var panicked *panicError
	if errors.As(workErr, &panicked) {
		facts = append(facts, slog.String("stack_trace", string(panicked.stack)))
	}
	state, err := handle.Fail(ctx, claim, cause, fault.IsPermanent(workErr), r.cfg.MaxAttempts)
	if err != nil {
		slog.ErrorContext(ctx, "stage failed, and that could not be recorded", append(facts, slog.String(telemetry.Event, telemetry.StageRetried))...)
		return recordFailure(err)
	}
	if state == store.StatePending {
		slog.WarnContext(ctx, "attempt failed, another will follow", append(facts, slog.String(telemetry.Event, telemetry.StageRetried))...)
		problem.Write(w, problem.New(problem.Unavailable, "the attempt failed"))
		return nil
	}
	slog.ErrorContext(ctx, "stage failed for good", append(facts, slog.String(telemetry.Event, telemetry.StageDead), slog.String(telemetry.Outcome, state))...)
	service.WriteJSON(w, http.StatusOK, result{state})
	return nil
}

// recordFailure classes an error of writing an attempt's result.
func recordFailure(err error) error {
	if errors.Is(err, store.ErrLostClaim) {
		return problem.Wrap(problem.Conflict, "another attempt has the stage", err)
	}
	return problem.Wrap(problem.Unavailable, "", err)
}

func (r *Runner) enqueue(ctx context.Context, task Task, steps []store.Step) error {
	return Send(ctx, r.db, r.enqueuer, task, steps)
}

// Send enqueues the steps' tasks and records that in the outbox. It outlives
// the caller's context for a short time, because what it sends is committed. A
// nil error means that every task is in its queue.
func Send(ctx context.Context, db *store.DB, enqueuer *Enqueuer, task Task, steps []store.Step) error {
	ctx = context.WithoutCancel(ctx)
	var errs []error
	for _, step := range steps {
		if err := enqueuer.Enqueue(ctx, step, task); err != nil {
			errs = append(errs, err)
			continue
		}
		markCtx, cancel := context.WithTimeout(ctx, recordTimeout)
		if err := db.Tenant(task.TenantID).MarkEnqueued(markCtx, task.RequestID, step); err != nil {
			// Enqueuing it once more will do nothing, so this is no failure.
			slog.WarnContext(ctx, "enqueued, but not recorded", slog.String("next", string(step.Stage)), slog.Any("error", err))
		}
		cancel()
	}
	return errors.Join(errs...)
}

func readTask(req *http.Request) (Task, error) {
	var task Task
	if err := json.NewDecoder(req.Body).Decode(&task); err != nil {
		return Task{}, problem.Wrap(problem.BadRequest, "the body is not a task", err)
	}
	if _, err := uuid.Parse(task.RequestID); err != nil || !tenant.ValidID(task.TenantID) {
		return Task{}, problem.New(problem.BadRequest, "the body is not a task")
	}
	return task, nil
}
