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
)

// receipt is the body of the answer to an accepted event.
type receipt struct {
	RequestID string       `json:"request_id"`
	Status    store.Status `json:"status"`
}

// Record makes the event durable, has the pipeline work on what is new in its
// request, and answers: 202 for an event that is new, 200 for one that is
// known, 422 for one that is known and says something else. That a task could
// not be enqueued does not change the answer, because its stage is in the
// outbox. mode is the request's communication mode.
//
// An error that is the caller's own (4xx) means that nothing was written. After
// any other the event may be in the database all the same: a commit's answer
// can be lost after the commit. Whoever sends it again is told which; and where
// nobody does, the outbox is swept as if the answer had arrived.
func Record(ctx context.Context, w http.ResponseWriter, db *store.DB, enqueuer *Enqueuer, tenantID, requestID, mode string, event store.Event, fold store.Fold) error {
	accepted, err := RecordEvent(ctx, db, enqueuer, tenantID, requestID, mode, event, fold)
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

// RecordEvent is [Record] for events that nobody waits for an answer to: it
// records the event, sends what follows from it and logs both. Errors are those
// of [store.Tenant.Record].
func RecordEvent(ctx context.Context, db *store.DB, enqueuer *Enqueuer, tenantID, requestID, mode string, event store.Event, fold store.Fold) (store.Acceptance, error) {
	ctx = logging.With(logging.WithTenant(ctx, tenantID), slog.String("request_id", requestID), slog.String(telemetry.Channel, mode))
	accepted, err := db.Tenant(tenantID).Record(ctx, requestID, event, fold)
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
