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

// Target is a queue and the service that works it.
type Target struct {
	ID         topology.Queue
	Queue      string // projects/P/locations/L/queues/Q
	ServiceURL string // base URL; also the audience of the queue's tokens
}

// AudioProcessingTarget configures a service that enqueues to that stage.
type AudioProcessingTarget struct {
	Queue      string `env:"AUDIO_PROCESSING_QUEUE,required,notEmpty"`
	ServiceURL string `env:"AUDIO_PROCESSOR_URL,required,notEmpty"`
}

// Target returns the stage's target.
func (t AudioProcessingTarget) Target() Target {
	return Target{topology.AudioProcessing.Queue(), t.Queue, t.ServiceURL}
}

// DocumentProcessingTarget configures a service that enqueues to that stage.
type DocumentProcessingTarget struct {
	Queue      string `env:"DOCUMENT_PROCESSING_QUEUE,required,notEmpty"`
	ServiceURL string `env:"DOCUMENT_PROCESSOR_URL,required,notEmpty"`
}

// Target returns the stage's target.
func (t DocumentProcessingTarget) Target() Target {
	return Target{topology.DocumentProcessing.Queue(), t.Queue, t.ServiceURL}
}

// AIAnalysisTarget configures a service that enqueues to that stage.
type AIAnalysisTarget struct {
	Queue      string `env:"AI_ANALYSIS_QUEUE,required,notEmpty"`
	ServiceURL string `env:"AI_ANALYZER_URL,required,notEmpty"`
}

// Target returns the stage's target.
func (t AIAnalysisTarget) Target() Target {
	return Target{topology.AIAnalysis.Queue(), t.Queue, t.ServiceURL}
}

// WorkflowTarget configures a service that enqueues to that stage.
type WorkflowTarget struct {
	Queue      string `env:"WORKFLOW_QUEUE,required,notEmpty"`
	ServiceURL string `env:"WORKFLOW_ENGINE_URL,required,notEmpty"`
}

// Target returns the stage's target.
func (t WorkflowTarget) Target() Target {
	return Target{topology.Workflow.Queue(), t.Queue, t.ServiceURL}
}

// DeliveryTarget configures a service that enqueues to that stage.
type DeliveryTarget struct {
	Queue      string `env:"DELIVERY_QUEUE,required,notEmpty"`
	ServiceURL string `env:"DISPATCHER_URL,required,notEmpty"`
}

// Target returns the stage's target.
func (t DeliveryTarget) Target() Target {
	return Target{topology.Delivery.Queue(), t.Queue, t.ServiceURL}
}

// CalendarsTarget configures a service that says that a calendar has changed.
type CalendarsTarget struct {
	Queue      string `env:"CALENDAR_SYNC_QUEUE,required,notEmpty"`
	ServiceURL string `env:"CALENDAR_SYNC_URL,required,notEmpty"`
}

// Target returns the queue's target.
func (t CalendarsTarget) Target() Target {
	return Target{topology.Calendars, t.Queue, t.ServiceURL}
}
