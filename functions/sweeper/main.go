// Sweeper is the service that Cloud Scheduler calls to find stages that were
// committed and have no task, and to enqueue them again. It also finds the
// conversations that have gone quiet and makes requests of them.
//
// It is a service of its own, and no endpoint of a worker, because it alone
// adds to every queue: no worker gets rights that only the sweeper needs, and
// no worker's address has to be known before the worker is there. It scales to
// zero between two calls.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"ingestion.internal/shared/pipeline"
	"ingestion.internal/shared/problem"
	"ingestion.internal/shared/service"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/telemetry"
	"ingestion.internal/shared/topology"
)

type config struct {
	service.Config
	Store           store.Config
	Tasks           pipeline.TasksConfig
	AudioProcessing pipeline.Target `envPrefix:"AUDIO_PROCESSING_"`
	Documents       pipeline.Target `envPrefix:"DOCUMENT_PROCESSING_"`
	AIAnalysis      pipeline.Target `envPrefix:"AI_ANALYSIS_"`
	Workflow        pipeline.Target `envPrefix:"WORKFLOW_"`
	Delivery        pipeline.Target `envPrefix:"DELIVERY_"`
	Batch           int             `env:"SWEEP_BATCH,required,notEmpty"` // stages of one run
}

// Validate reports every value out of range.
func (c config) Validate() error {
	if c.Batch < 1 {
		return errors.New("SWEEP_BATCH must be at least 1")
	}
	return nil
}

func main() { service.Main(topology.Sweeper, setup) }

func setup(ctx context.Context, cfg config, s *service.Service) error {
	db, err := pipeline.OpenDatabase(ctx, s, cfg.Store)
	if err != nil {
		return err
	}
	enqueuer, err := pipeline.OpenQueues(ctx, s, cfg.Tasks, pipeline.Targets{
		topology.AudioProcessing.Queue():    cfg.AudioProcessing,
		topology.DocumentProcessing.Queue(): cfg.Documents,
		topology.AIAnalysis.Queue():         cfg.AIAnalysis,
		topology.Workflow.Queue():           cfg.Workflow,
		topology.Delivery.Queue():           cfg.Delivery,
	})
	if err != nil {
		return err
	}
	mount(s, pipeline.NewSweeper(db, enqueuer, cfg.Batch))
	return nil
}

// swept is the answer to the scheduler.
type swept struct {
	pipeline.Sweep
	Chats pipeline.ChatSweep `json:"chats"`
}

// mount routes the scheduler's call. It is answered 200 with what was done, or
// 503 if a stage stayed without a task or a conversation without its request.
func mount(s *service.Service, sweeper *pipeline.Sweeper) {
	s.Router.Method(http.MethodPost, topology.SweepPath, service.Handler(func(w http.ResponseWriter, r *http.Request) error {
		// Conversations first: a stage that one begins and cannot enqueue is the
		// next run's.
		chats, chatErr := sweeper.SweepChats(r.Context())
		did, sweepErr := sweeper.Sweep(r.Context())
		err := errors.Join(chatErr, sweepErr)
		outcome := telemetry.OK
		if err != nil {
			outcome = telemetry.Failed
		}
		slog.InfoContext(r.Context(), "sweep ended", slog.String(telemetry.Event, telemetry.SweepEnded), slog.String(telemetry.Outcome, outcome),
			slog.Int("found", did.Found), slog.Int("enqueued", did.Enqueued), slog.Int("failed", did.Failed))
		if err != nil {
			return problem.Wrap(problem.Unavailable, fmt.Sprintf("%d of %d stages were not enqueued, %d of %d conversations not recorded",
				did.Found-did.Enqueued, did.Found, chats.Failed, chats.Found), err)
		}
		service.WriteJSON(w, http.StatusOK, swept{did, chats})
		return nil
	}))
}
