package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"ingestion.internal/shared/logging"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/telemetry"
)

// maxSweepFailures is after how many failures in a row a sweep gives up: then
// the queues are away, and the next sweep comes soon.
const maxSweepFailures = 5

// Sweep is what one run of the sweeper did.
type Sweep struct {
	Found    int `json:"found"`    // overdue stages, at most the batch
	Enqueued int `json:"enqueued"` // again
	Failed   int `json:"failed"`   // to be enqueued; another sweep tries again
}

// Sweeper enqueues again what has no task: stages that were committed and not
// enqueued, and stages whose task or worker is gone. It may run any number of
// times at once. What it enqueues without need does nothing, because a task
// whose stage is done, or another's, ends.
type Sweeper struct {
	db       *store.DB
	enqueuer *Enqueuer
	batch    int
}

// NewSweeper returns a sweeper that enqueues at most batch stages a run. The
// enqueuer reaches every stage.
func NewSweeper(db *store.DB, enqueuer *Enqueuer, batch int) *Sweeper {
	return &Sweeper{db: db, enqueuer: enqueuer, batch: batch}
}

// Sweep makes one run. The error joins what kept stages from their queues;
// those that were enqueued stay so.
func (s *Sweeper) Sweep(ctx context.Context) (Sweep, error) {
	overdue, err := s.db.Overdue(ctx, s.batch)
	if err != nil {
		return Sweep{}, err
	}
	did := Sweep{Found: len(overdue)}
	var errs []error
	row := 0 // failures in a row
	for _, open := range overdue {
		if row == maxSweepFailures {
			errs = append(errs, fmt.Errorf("gave up after %d failures in a row", row))
			break
		}
		enqueued, err := s.takeUp(ctx, open)
		switch {
		case err != nil:
			errs = append(errs, err)
			did.Failed++
			row++
		case enqueued:
			did.Enqueued++
			row = 0
		}
	}
	return did, errors.Join(errs...)
}

func (s *Sweeper) takeUp(ctx context.Context, open store.OpenStage) (enqueued bool, err error) {
	ctx = logging.With(logging.WithTenant(logging.Apart(ctx), open.TenantID),
		slog.String("request_id", open.RequestID), slog.String("stage", string(open.Stage)))
	handle := s.db.Tenant(open.TenantID)
	taken, err := handle.TakeUp(ctx, open.RequestID, open.Stage)
	if err != nil || taken == nil {
		return false, err
	}
	task := Task{TenantID: open.TenantID, RequestID: open.RequestID}
	facts := []any{slog.String("state", taken.State), slog.Bool("never_enqueued", taken.Waiting), slog.Int("generation", taken.Generation)}
	if err := s.enqueuer.enqueue(ctx, taken.Step, task, taken.Generation); err != nil {
		slog.ErrorContext(ctx, "swept, but not enqueued", append(facts, slog.Any("error", err))...)
		return false, err
	}
	slog.WarnContext(ctx, "stage enqueued again", append(facts, slog.String(telemetry.Event, telemetry.StageSwept))...)
	if err := handle.MarkEnqueued(ctx, open.RequestID, taken.Step); err != nil {
		slog.WarnContext(ctx, "enqueued, but not recorded", slog.Any("error", err))
	}
	return true, nil
}
