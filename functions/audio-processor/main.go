// Audio-processor works the first stage of what CallRail has more of than it
// tells: it keeps a call's recording in Cloud Storage and has it transcribed, and
// it keeps the pictures of text messages.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"cloud.google.com/go/storage"

	"ingestion.internal/shared/attachment"
	"ingestion.internal/shared/callrail/api"
	"ingestion.internal/shared/gcp"
	"ingestion.internal/shared/pipeline"
	"ingestion.internal/shared/secrets"
	"ingestion.internal/shared/service"
	"ingestion.internal/shared/speech"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/topology"
)

// Bounds of what is asked of CallRail. Together with the transcription they
// have to fit into the stage's lease; a hundred megabytes, hours of audio,
// arrive in far less.
const (
	callTimeout      = 20 * time.Second
	recordingTimeout = 5 * time.Minute
	stallTimeout     = 30 * time.Second
)

// storageAttempts bounds the storage client's own retries: beyond them the
// queue retries the whole stage.
const storageAttempts = 3

type config struct {
	service.Config
	Store   store.Config
	Secrets secrets.Config
	Stage   pipeline.StageConfig
	Tasks   pipeline.TasksConfig
	Next    pipeline.Target `envPrefix:"AI_ANALYSIS_"`

	Bucket            string   `env:"AUDIO_STORAGE_BUCKET,required,notEmpty"`
	DocumentBucket    string   `env:"DOCUMENT_STORAGE_BUCKET,required,notEmpty"`
	StorageEndpoint   string   `env:"STORAGE_ENDPOINT"`
	MaxRecordingBytes int64    `env:"MAX_RECORDING_BYTES" envDefault:"524288000"`
	CallRailURL       string   `env:"CALLRAIL_API_URL" envDefault:"https://api.callrail.com"`
	RecordingHosts    []string `env:"CALLRAIL_RECORDING_HOSTS" envDefault:"app.callrail.com,*.callrail.com"`
	SpeechProject     string   `env:"SPEECH_TO_TEXT_PROJECT,required,notEmpty"`
	SpeechLocation    string   `env:"SPEECH_TO_TEXT_LOCATION" envDefault:"us"`
	SpeechModel       string   `env:"SPEECH_TO_TEXT_MODEL" envDefault:"chirp_3"`
	SpeechLanguage    string   `env:"SPEECH_TO_TEXT_LANGUAGE" envDefault:"en-US"`
	SpeechEndpoint    string   `env:"SPEECH_ENDPOINT"`
}

// Validate reports every value out of range.
func (c config) Validate() error {
	var errs []error
	if c.MaxRecordingBytes <= 0 {
		errs = append(errs, errors.New("MAX_RECORDING_BYTES must be positive"))
	}
	return errors.Join(append(errs, c.Stage.Validate())...)
}

func main() { service.Main(topology.AudioProcessor, setup) }

func setup(ctx context.Context, cfg config, s *service.Service) error {
	db, err := pipeline.OpenDatabase(ctx, s, cfg.Store)
	if err != nil {
		return err
	}

	secretManager, err := gcp.SecretManager(ctx, cfg.Secrets.Endpoint)
	if err != nil {
		return err
	}
	s.OnClose("secret manager", secretManager.Close)
	enqueuer, err := pipeline.OpenQueues(ctx, s, cfg.Tasks, pipeline.Targets{topology.AIAnalysis.Queue(): cfg.Next})
	if err != nil {
		return err
	}
	objects, err := gcp.Storage(ctx, cfg.StorageEndpoint)
	if err != nil {
		return err
	}
	s.OnClose("storage", objects.Close)
	objects.SetRetry(storage.WithMaxAttempts(storageAttempts))
	transcriber, err := speech.New(ctx, speech.Config{
		Project:  cfg.SpeechProject,
		Location: cfg.SpeechLocation,
		Model:    cfg.SpeechModel,
		Language: cfg.SpeechLanguage,
	}, gcp.Options(cfg.SpeechEndpoint)...)
	if err != nil {
		return err
	}
	s.OnClose("speech", transcriber.Close)
	callrail, err := api.New(api.Config{
		BaseURL:           cfg.CallRailURL,
		RecordingHosts:    cfg.RecordingHosts,
		MaxRecordingBytes: cfg.MaxRecordingBytes,
		CallTimeout:       callTimeout,
		RecordingTimeout:  recordingTimeout,
		StallTimeout:      stallTimeout,
	})
	if err != nil {
		return fmt.Errorf("CallRail client: %w", err)
	}

	w := &worker{
		callrail:    callrail,
		secrets:     secrets.NewManager(secretManager, cfg.Secrets),
		archive:     &archive{bucket: objects.Bucket(cfg.Bucket), name: cfg.Bucket},
		transcriber: transcriber,
		documents:   attachment.Bucket{Handle: objects.Bucket(cfg.DocumentBucket), Name: cfg.DocumentBucket},
		keep: func(ctx context.Context, job pipeline.Job, documents json.RawMessage) error {
			return db.Tenant(job.Request.TenantID).KeepDocuments(ctx, job.Claim(topology.AudioProcessing), documents)
		},
		maxAttempts: cfg.Stage.MaxAttempts,
		log:         slog.Default(),
	}
	pipeline.NewRunner(db, w, enqueuer, cfg.Stage).Mount(s.Router)
	return nil
}
