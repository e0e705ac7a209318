// Command intake-api is the Cloud Run service that website forms reach: it
// checks what they hold, makes it durable and starts its pipeline.
package main

import (
	"context"
	"errors"
	"time"

	"ingestion.internal/shared/attachment"
	"ingestion.internal/shared/gcp"
	"ingestion.internal/shared/pipeline"
	"ingestion.internal/shared/publicapi"
	"ingestion.internal/shared/secrets"
	"ingestion.internal/shared/service"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/topology"
)

type config struct {
	service.Config
	Store      store.Config
	Tasks      pipeline.TasksConfig
	Documents  pipeline.Target `envPrefix:"DOCUMENT_PROCESSING_"`
	AIAnalysis pipeline.Target `envPrefix:"AI_ANALYSIS_"`
	Public     publicapi.Config
	Secrets    secrets.Config

	Bucket          string `env:"DOCUMENT_STORAGE_BUCKET,required,notEmpty"`
	StorageEndpoint string `env:"STORAGE_ENDPOINT"`
	// MaxAttachmentBytes is how much of MAX_BODY_BYTES is for a form's files.
	MaxAttachmentBytes int64 `env:"MAX_ATTACHMENT_BYTES" envDefault:"0"`
}

// Validate reports every value out of range.
func (c config) Validate() error {
	if c.MaxAttachmentBytes < 0 || c.MaxAttachmentBytes >= c.MaxBodyBytes {
		return errors.New("MAX_ATTACHMENT_BYTES must be at least 0 and below MAX_BODY_BYTES")
	}
	return nil
}

func main() { service.Main(topology.IntakeAPI, setup) }

func setup(ctx context.Context, cfg config, s *service.Service) error {
	db, err := pipeline.OpenDatabase(ctx, s, cfg.Store)
	if err != nil {
		return err
	}
	enqueuer, err := pipeline.OpenQueues(ctx, s, cfg.Tasks, pipeline.Targets{
		topology.DocumentProcessing.Queue(): cfg.Documents,
		topology.AIAnalysis.Queue():         cfg.AIAnalysis,
	})
	if err != nil {
		return err
	}

	objects, err := gcp.Storage(ctx, cfg.StorageEndpoint)
	if err != nil {
		return err
	}
	s.OnClose("storage", objects.Close)

	secretClient, err := gcp.SecretManager(ctx, cfg.Secrets.Endpoint)
	if err != nil {
		return err
	}
	s.OnClose("secret manager", secretClient.Close)

	h := &handler{
		documents: &documents{
			bucket: attachment.Bucket{Handle: objects.Bucket(cfg.Bucket), Name: cfg.Bucket}, limit: cfg.MaxAttachmentBytes,
			slots: make(chan struct{}, uploadsAtOnce),
		},
		maxFields: cfg.MaxBodyBytes - cfg.MaxAttachmentBytes,
		db:        db,
		enqueuer:  enqueuer,
		guard:     publicapi.NewGuard(cfg.Public, nil),
		secrets:   secrets.NewManager(secretClient, cfg.Secrets),
		now:       time.Now,
	}
	h.mount(s.Router)
	return mountScripts(s.Router)
}
