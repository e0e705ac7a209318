package pipeline

import (
	"errors"
	"time"

	"ingestion.internal/shared/topology"
)

// StageConfig is how a worker's service treats its stage.
type StageConfig struct {
	MaxAttempts int           `env:"STAGE_MAX_ATTEMPTS,required,notEmpty"` // before the request is a dead letter
	Lease       time.Duration `env:"STAGE_LEASE,required,notEmpty"`        // longer than one attempt may take
}

// Validate reports every value out of range.
func (c StageConfig) Validate() error {
	var errs []error
	if c.MaxAttempts < 1 {
		errs = append(errs, errors.New("STAGE_MAX_ATTEMPTS must be at least 1"))
	}
	if c.Lease < minLease {
		errs = append(errs, errors.New("STAGE_LEASE must be at least 2s"))
	}
	return errors.Join(errs...)
}

// TasksConfig is how a service that enqueues reaches Cloud Tasks.
type TasksConfig struct {
	Endpoint       string `env:"CLOUD_TASKS_ENDPOINT"`
	ServiceAccount string `env:"CLOUD_TASKS_SERVICE_ACCOUNT,required,notEmpty"` // whose identity the queues present to workers
}

// Target is a queue and the service that works it. A service that enqueues has a
// field of it for each of its queues, with the tag envPrefix:"AI_ANALYSIS_" for
// the queue ai-analysis, and so on.
type Target struct {
	Queue      string `env:"QUEUE,required,notEmpty"` // projects/P/locations/L/queues/Q
	ServiceURL string `env:"URL,required,notEmpty"`   // base URL; also the audience of the queue's tokens
}

// Targets are the queues that a service enqueues to.
type Targets map[topology.Queue]Target
