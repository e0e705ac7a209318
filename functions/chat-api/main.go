// Command chat-api is the Cloud Run service behind the chat on tenants' pages.
// It takes in what visitors write, in order and once, answers it, and makes a
// request of the conversation. docs/channels.md, "Chat", has its contract.
//
// Browsers reach it directly, or by the edge: API Gateway would hold an answer
// back until it is whole.
package main

import (
	"context"

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

func main() { service.Main(topology.ChatAPI, setup) }

func setup(ctx context.Context, cfg config, s *service.Service) error {
	db, err := pipeline.OpenDatabase(ctx, s, cfg.Store)
	if err != nil {
		return err
	}
	enqueuer, err := pipeline.OpenQueues(ctx, s, cfg.Tasks, cfg.AIAnalysis.Target())
	if err != nil {
		return err
	}
	h := &handler{
		db:       db,
		enqueuer: enqueuer,
		guard:    publicapi.NewGuard(cfg.Public, nil),
		running:  newHub(),
	}
	h.mount(s.Router)
	return nil
}
