package pipeline

import (
	"context"

	"ingestion.internal/shared/gcp"
	"ingestion.internal/shared/service"
	"ingestion.internal/shared/store"
)

// OpenDatabase connects a service to the database: the service is ready once
// that answers, and closes it at its end.
func OpenDatabase(ctx context.Context, s *service.Service, cfg store.Config) (*store.DB, error) {
	db, err := store.Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	s.OnClose("database", db.Close)
	s.WaitFor("database", db.Ping)
	return db, nil
}

// OpenQueues returns an enqueuer to the targets, whose client the service
// closes at its end.
func OpenQueues(ctx context.Context, s *service.Service, cfg TasksConfig, targets Targets) (*Enqueuer, error) {
	client, err := gcp.CloudTasks(ctx, cfg.Endpoint)
	if err != nil {
		return nil, err
	}
	s.OnClose("cloud tasks", client.Close)
	return NewEnqueuer(client, cfg, targets), nil
}
