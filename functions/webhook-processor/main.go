// Command webhook-processor is the Cloud Run service that webhooks reach,
// CallRail's, those of bookings and Google Calendar's: it proves whose an event
// is, makes it durable and starts what follows from it.
package main

import (
	"context"
	"time"

	"ingestion.internal/shared/gcp"
	"ingestion.internal/shared/pipeline"
	"ingestion.internal/shared/secrets"
	"ingestion.internal/shared/service"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/topology"
)

type config struct {
	service.Config
	Store           store.Config
	Secrets         secrets.Config
	Tasks           pipeline.TasksConfig
	AudioProcessing pipeline.Target `envPrefix:"AUDIO_PROCESSING_"`
	AIAnalysis      pipeline.Target `envPrefix:"AI_ANALYSIS_"`
	Calendars       pipeline.Target `envPrefix:"CALENDAR_SYNC_"`

	// PlatformSecret is the signing key of offices without one of their own.
	PlatformSecret string `env:"CALLRAIL_WEBHOOK_SECRET_NAME,required,notEmpty"`
	// ReplayWindow is how old a payload's timestamp may be; 0 = any age.
	ReplayWindow time.Duration `env:"WEBHOOK_REPLAY_WINDOW,required,notEmpty"`
}

func main() { service.Main(topology.WebhookProcessor, setup) }

func setup(ctx context.Context, cfg config, s *service.Service) error {
	db, err := pipeline.OpenDatabase(ctx, s, cfg.Store)
	if err != nil {
		return err
	}
	secretClient, err := gcp.SecretManager(ctx, cfg.Secrets.Endpoint)
	if err != nil {
		return err
	}
	s.OnClose("secret manager", secretClient.Close)
	enqueuer, err := pipeline.OpenQueues(ctx, s, cfg.Tasks, pipeline.Targets{
		topology.AudioProcessing.Queue(): cfg.AudioProcessing,
		topology.AIAnalysis.Queue():      cfg.AIAnalysis,
		topology.Calendars:               cfg.Calendars,
	})
	if err != nil {
		return err
	}

	h := &handler{
		db:             db,
		secrets:        secrets.NewManager(secretClient, cfg.Secrets),
		enqueuer:       enqueuer,
		platformSecret: cfg.PlatformSecret,
		replayWindow:   cfg.ReplayWindow,
		now:            time.Now,
	}
	h.mount(s.Router)
	return nil
}
