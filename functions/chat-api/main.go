// Command chat-api is the Cloud Run service behind the chat on tenants' pages.
// It takes in what visitors write, in order and once, answers it, and makes a
// request of the conversation. docs/channels.md, "Chat", has its contract.
//
// Browsers reach it directly, or by the edge: API Gateway would hold an answer
// back until it is whole.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"ingestion.internal/shared/analysis"
	"ingestion.internal/shared/assistant"
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
	AIAnalysis pipeline.Target `envPrefix:"AI_ANALYSIS_"`
	Public     publicapi.Config

	VertexProject  string `env:"VERTEX_AI_PROJECT,required,notEmpty"`
	VertexLocation string `env:"VERTEX_AI_LOCATION,required,notEmpty"`
	VertexEndpoint string `env:"VERTEX_AI_ENDPOINT"`
	Model          string `env:"GEMINI_MODEL,required,notEmpty"`
	// Stall is how long the model may say nothing before a fixed sentence goes
	// out in its place.
	Stall time.Duration `env:"CHAT_STALL" envDefault:"8s"`
}

// Validate reports every value out of range.
func (c config) Validate() error {
	if c.Stall <= 0 || c.Stall >= answerTimeout {
		return fmt.Errorf("CHAT_STALL must be positive and below %s", answerTimeout)
	}
	return nil
}

func main() { service.Main(topology.ChatAPI, setup) }

func setup(ctx context.Context, cfg config, s *service.Service) error {
	db, err := pipeline.OpenDatabase(ctx, s, cfg.Store)
	if err != nil {
		return err
	}
	enqueuer, err := pipeline.OpenQueues(ctx, s, cfg.Tasks, pipeline.Targets{topology.AIAnalysis.Queue(): cfg.AIAnalysis})
	if err != nil {
		return err
	}
	client, err := analysis.NewClient(ctx, analysis.Config{Project: cfg.VertexProject, Location: cfg.VertexLocation, Endpoint: cfg.VertexEndpoint})
	if err != nil {
		return err
	}
	speaker, err := assistant.New(client, assistant.Config{Model: cfg.Model, Stall: cfg.Stall}, slog.Default())
	if err != nil {
		return err
	}
	h := &handler{
		assistant: speaker,
		db:        db,
		enqueuer:  enqueuer,
		guard:     publicapi.NewGuard(cfg.Public, nil),
		running:   newHub(),
		answers:   newAllowance(time.Now),
	}
	h.mount(s.Router)
	return nil
}
