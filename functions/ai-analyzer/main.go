// Ai-analyzer works the second stage of every request: it has Gemini describe
// and score the enquiry.
package main

import (
	"context"
	"log/slog"
	"time"

	"ingestion.internal/shared/analysis"
	"ingestion.internal/shared/pipeline"
	"ingestion.internal/shared/service"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/topology"
)

// modelTimeout bounds one request to the model. An attempt makes one, as a rule;
// more where the model has to be changed, its answer repaired or the content
// shortened first. All of them end with the attempt.
const modelTimeout = 60 * time.Second

type config struct {
	service.Config
	Store store.Config
	Stage pipeline.StageConfig
	Tasks pipeline.TasksConfig
	Next  pipeline.Target `envPrefix:"WORKFLOW_"`

	VertexProject  string `env:"VERTEX_AI_PROJECT,required,notEmpty"`
	VertexLocation string `env:"VERTEX_AI_LOCATION,required,notEmpty"`
	VertexEndpoint string `env:"VERTEX_AI_ENDPOINT"`
	Model          string `env:"GEMINI_MODEL,required,notEmpty"`
	// HistoryWindow is how far back a customer's earlier requests are shown to
	// the model; 0 = none are.
	HistoryWindow time.Duration `env:"HISTORY_WINDOW,required,notEmpty"`
}

// Validate reports every value out of range.
func (c config) Validate() error { return c.Stage.Validate() }

func main() { service.Main(topology.AIAnalyzer, setup) }

func setup(ctx context.Context, cfg config, s *service.Service) error {
	db, err := pipeline.OpenDatabase(ctx, s, cfg.Store)
	if err != nil {
		return err
	}
	enqueuer, err := pipeline.OpenQueues(ctx, s, cfg.Tasks, pipeline.Targets{topology.Workflow.Queue(): cfg.Next})
	if err != nil {
		return err
	}
	analyzer, err := analysis.New(ctx, analysis.Config{
		Project:  cfg.VertexProject,
		Location: cfg.VertexLocation,
		Endpoint: cfg.VertexEndpoint,
		Model:    cfg.Model,
		Timeout:  modelTimeout,
	}, slog.Default())
	if err != nil {
		return err
	}
	pipeline.NewRunner(db, &worker{analyzer: analyzer, earlier: within(db, cfg.HistoryWindow, time.Now)}, enqueuer, cfg.Stage).Mount(s.Router)
	return nil
}
