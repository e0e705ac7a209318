package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"ingestion.internal/shared/logging"
	"ingestion.internal/shared/problem"
	"ingestion.internal/shared/service"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/telemetry"
	"ingestion.internal/shared/topology"
)

// receipt is the body of the answer to an accepted event.
type receipt struct {
	RequestID string       `json:"request_id"`
	Status    store.Status `json:"status"`
}

// Accept makes the request durable, starts its pipeline at the first stage and
// answers: 202 for a new request, 200 for one that is known, 422 for one that
// is known and holds something else. See [Record].
func Accept(ctx context.Context, w http.ResponseWriter, db *store.DB, enqueuer *Enqueuer, req store.Request, first topology.Stage) error {
	return answer(ctx, w, db, enqueuer, req.TenantID, req.RequestID, req.CommunicationMode, func(ctx context.Context, handle *store.Tenant) (store.Acceptance, error) {
		return handle.Accept(ctx, req, first)
	})
}

// Record makes the event durable, has the pipeline work on what is new in its
// request, and answers: 202 for an event that is new, 200 for one that is
// known. That a task could not be enqueued does not change the answer, because
// its stage is in the outbox. An error means that nothing was written. mode is
// the request's communication mode.
func Record(ctx context.Context, w http.ResponseWriter, db *store.DB, enqueuer *Enqueuer, tenantID, requestID, mode string, event store.Event, fold store.Fold) error {
	return answer(ctx, w, db, enqueuer, tenantID, requestID, mode, func(ctx context.Context, handle *store.Tenant) (store.Acceptance, error) {
		return handle.Record(ctx, requestID, event, fold)
	})
}

// RecordEvent is [Record] for events that nobody waits for an answer to. Errors
// are those of [store.Tenant.Record].
func RecordEvent(ctx context.Context, db *store.DB, enqueuer *Enqueuer, tenantID, requestID, mode string, event store.Event, fold store.Fold) (store.Acceptance, error) {
	return take(ctx, db, enqueuer, tenantID, requestID, mode, func(ctx context.Context, handle *store.Tenant) (store.Acceptance, error) {
		return handle.Record(ctx, requestID, event, fold)
	})
}

func answer(ctx context.Context, w http.ResponseWriter, db *store.DB, enqueuer *Enqueuer, tenantID, requestID, mode string,
	record func(context.Context, *store.Tenant) (store.Acceptance, error),
) error {
	accepted, err := take(ctx, db, enqueuer, tenantID, requestID, mode, record)
	switch {
	case errors.Is(err, store.ErrNotFound): // it became inactive since the caller looked
		return problem.Wrap(problem.Unauthorized, "", err)
	case errors.Is(err, store.ErrDifferentEvent):
		return problem.Wrap(problem.Unprocessable, "this was sent before with another content", err)
	case err != nil:
		return err
	}
	status := http.StatusAccepted
	if accepted.Duplicate {
		status = http.StatusOK
	}
	service.WriteJSON(w, status, receipt{accepted.RequestID, accepted.Status})
	return nil
}

// take records an event, sends what follows from it and logs both.
func take(ctx context.Context, db *store.DB, enqueuer *Enqueuer, tenantID, requestID, mode string,
	record func(context.Context, *store.Tenant) (store.Acceptance, error),
) (store.Acceptance, error) {
	ctx = logging.With(logging.WithTenant(ctx, tenantID), slog.String("request_id", requestID), slog.String(telemetry.Channel, mode))
	accepted, err := record(ctx, db.Tenant(tenantID))
	if err != nil {
		return store.Acceptance{}, err
	}
	task := Task{TenantID: tenantID, RequestID: requestID}
	if err := Send(ctx, db, enqueuer, task, accepted.Unsent); err != nil {
		slog.ErrorContext(ctx, "accepted, but not enqueued", slog.String(telemetry.Event, telemetry.RequestUnsent), slog.Any("stages", accepted.Unsent), slog.Any("error", err))
	}
	outcome := "new"
	if accepted.Duplicate {
		outcome = "duplicate"
	} else if accepted.Revised {
		outcome = "revised"
	}
	slog.InfoContext(ctx, "accepted", slog.String(telemetry.Event, telemetry.RequestAccepted), slog.String(telemetry.Outcome, outcome),
		slog.String("status", string(accepted.Status)))
	return accepted, nil
}
