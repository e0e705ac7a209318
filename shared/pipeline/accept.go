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
// answers: 202 for a new request, 200 for one that is known. That its task
// could not be enqueued does not change the answer, because its stage is in
// the outbox. An error means that nothing was written.
func Accept(ctx context.Context, w http.ResponseWriter, db *store.DB, enqueuer *Enqueuer, req store.Request, first topology.Stage) error {
	ctx = logging.With(logging.WithTenant(ctx, req.TenantID), slog.String("request_id", req.RequestID), slog.String(telemetry.Channel, req.CommunicationMode))
	accepted, err := db.Tenant(req.TenantID).Accept(ctx, req, first)
	if errors.Is(err, store.ErrNotFound) { // it became inactive since the caller looked
		return problem.Wrap(problem.Unauthorized, "", err)
	}
	if err != nil {
		return err
	}
	task := Task{TenantID: req.TenantID, RequestID: req.RequestID}
	if err := Send(ctx, db, enqueuer, task, accepted.Unsent); err != nil {
		slog.ErrorContext(ctx, "accepted, but not enqueued", slog.String(telemetry.Event, telemetry.RequestUnsent), slog.Any("stages", accepted.Unsent), slog.Any("error", err))
	}
	status, outcome := http.StatusAccepted, "new"
	if accepted.Duplicate {
		status, outcome = http.StatusOK, "duplicate"
	}
	slog.InfoContext(ctx, "accepted", slog.String(telemetry.Event, telemetry.RequestAccepted), slog.String(telemetry.Outcome, outcome),
		slog.String("status", string(accepted.Status)))
	service.WriteJSON(w, status, receipt{accepted.RequestID, accepted.Status})
	return nil
}
