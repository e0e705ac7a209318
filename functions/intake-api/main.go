// Command intake-api is the Cloud Run service that website forms reach: it
// checks what they hold, makes it durable and starts its pipeline.
package main

import (
	"context"

	"ingestion.internal/shared/gcp"
	"ingestion.internal/shared/pipeline"
	"ingestion.internal/shared/publicapi"
	"ingestion.internal/shared/service"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/topology"
)

type config struct {
	service.Config
	Store      store.Config
	Tasks      pipeline.TasksConfig
	AIAnalysis pipeline.AIAnalysisTarget
	Public     publicapi.Config
}

func main() { service.Main(topology.IntakeAPI, setup) }

func setup(ctx context.Context, cfg config, s *service.Service) error {
	db, err := store.Open(ctx, cfg.Store)
	if err != nil {
		return err
	}
	s.OnClose("database", db.Close)
	s.WaitFor("database", db.Ping)
	tasks, err := gcp.CloudTasks(ctx, cfg.Tasks.Endpoint)
	if err != nil {
		return err
	}
	s.OnClose("cloud tasks", tasks.Close)

	h := &handler{
		db:       db,
		enqueuer: pipeline.NewEnqueuer(tasks, cfg.Tasks, cfg.AIAnalysis.Target()),
		guard:    publicapi.NewGuard(cfg.Public, nil),
	}
	h.mount(s.Router)
	return nil
}
