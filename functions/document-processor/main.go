// Document-processor works the first stage of a form that brings files: it has
// Document AI read them.
package main

import (
	"context"
	"encoding/json"
	"errors"

	"cloud.google.com/go/storage"

	"ingestion.internal/shared/documents"
	"ingestion.internal/shared/gcp"
	"ingestion.internal/shared/pipeline"
	"ingestion.internal/shared/service"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/topology"
)

// storageAttempts bounds the storage client's own retries: beyond them the
// queue retries the whole stage.
const storageAttempts = 3

type config struct {
	service.Config
	Store store.Config
	Stage pipeline.StageConfig
	Tasks pipeline.TasksConfig
	Next  pipeline.Target `envPrefix:"AI_ANALYSIS_"`

	Bucket          string `env:"DOCUMENT_STORAGE_BUCKET,required,notEmpty"`
	StorageEndpoint string `env:"STORAGE_ENDPOINT"`
	// Processor is the full name of the processor's version; "" = documents
	// are not read.
	Processor     string  `env:"DOCUMENT_AI_PROCESSOR"`
	Endpoint      string  `env:"DOCUMENT_AI_ENDPOINT"`
	MinConfidence float64 `env:"DOCUMENT_MIN_CONFIDENCE,required,notEmpty"`
}

// Validate reports every value out of range.
func (c config) Validate() error {
	var errs []error
	if c.Processor != "" && !documents.ValidProcessor(c.Processor) {
		errs = append(errs, errors.New("DOCUMENT_AI_PROCESSOR must be projects/P/locations/L/processors/ID/processorVersions/V"))
	}
	if !(c.MinConfidence >= 0 && c.MinConfidence <= 1) {
		errs = append(errs, errors.New("DOCUMENT_MIN_CONFIDENCE must be 0 to 1"))
	}
	return errors.Join(append(errs, c.Stage.Validate())...)
}

func main() { service.Main(topology.DocumentProcessor, setup) }

func setup(ctx context.Context, cfg config, s *service.Service) error {
	db, err := pipeline.OpenDatabase(ctx, s, cfg.Store)
	if err != nil {
		return err
	}
	enqueuer, err := pipeline.OpenQueues(ctx, s, cfg.Tasks, pipeline.Targets{topology.AIAnalysis.Queue(): cfg.Next})
	if err != nil {
		return err
	}
	w, err := newWorker(ctx, cfg, s, db)
	if err != nil {
		return err
	}
	pipeline.NewRunner(db, w, enqueuer, cfg.Stage).Mount(s.Router)
	return nil
}

// newWorker returns the worker, whose clients the service closes at its end.
func newWorker(ctx context.Context, cfg config, s *service.Service, db *store.DB) (*worker, error) {
	objects, err := gcp.Storage(ctx, cfg.StorageEndpoint)
	if err != nil {
		return nil, err
	}
	s.OnClose("storage", objects.Close)
	objects.SetRetry(storage.WithMaxAttempts(storageAttempts))
	w := &worker{bucket: objects.Bucket(cfg.Bucket), bucketName: cfg.Bucket, names: db.Directory(), minConfidence: cfg.MinConfidence, maxAttempts: cfg.Stage.MaxAttempts,
		keep: func(ctx context.Context, job pipeline.Job, documents json.RawMessage) error {
			return db.Tenant(job.Request.TenantID).KeepDocuments(ctx, job.Claim(topology.DocumentProcessing), documents)
		}}
	if cfg.Processor != "" {
		client, err := documents.New(ctx, cfg.Processor, gcp.Options(cfg.Endpoint)...)
		if err != nil {
			return nil, err
		}
		s.OnClose("document AI", client.Close)
		w.reader = client
	}
	return w, nil
}
