package store

import (
	"encoding/json"
	"time"

	"ingestion.internal/shared/topology"
	"ingestion.internal/shared/workflow"
)

// Status is the state of a request as an operator sees it.
type Status string

// The states of a request. Every request ends in one of the last three.
const (
	StatusReceived   Status = "received"
	StatusProcessing Status = "processing"
	StatusCompleted  Status = "completed"
	StatusFailed     Status = "failed"      // a stage met an error that no retry can mend
	StatusDeadLetter Status = "dead_letter" // a stage ran out of attempts
)

// Sources of requests.
const (
	SourceCallRail = "callrail_webhook"
	SourceForm     = "website_form"
	SourceBooking  = "booking_webhook"
	SourceCalendar = "google_calendar"
	SourceChat     = "website_chat"
)

// Communication modes.
const (
	ModePhoneCall = "phone_call"
	ModeForm      = "form"
	ModeChat      = "chat"
	ModeText      = "text_message"
	ModeBooking   = "calendar_booking"
)

// Request is one row of requests: one enquiry of one customer to one tenant.
type Request struct {
	TenantID          string
	RequestID         string // UUID; derived from source and external id where there is one
	OfficeID          string // empty for a form that names no office
	Source            string
	CommunicationMode string
	Status            Status
	CallID            string
	RecordingURL      string // where the recording came from; the copy is in call_recordings
	CustomerName      string
	CustomerPhone     string
	CustomerEmail     string
	PostalCode        string
	Payload           json.RawMessage // what arrived
	Transcription     json.RawMessage // speech.Transcript, column transcription_data
	Documents         json.RawMessage // documents.Reading, column document_data
	Analysis          json.RawMessage // analysis.Analysis, column ai_analysis
	LeadScore         *int64          // 0-100
	SpamLikelihood    *float64        // 0-100
	Decision          string          // workflow.Decision
	DecisionReasons   []string
	FailureStage      topology.Stage
	FailureCause      string
	Revision          int64 // events that have changed the request
	ReceivedAt        time.Time
	UpdatedAt         time.Time
}

// RequestUpdate is what a stage sets on its request. A nil field is left as
// it is.
type RequestUpdate struct {
	RecordingURL    *string
	CustomerName    *string
	CustomerPhone   *string
	CustomerEmail   *string
	PostalCode      *string
	Transcription   json.RawMessage
	Documents       json.RawMessage
	Analysis        json.RawMessage
	LeadScore       *int64
	SpamLikelihood  *float64
	Decision        *string
	DecisionReasons []string
}

// Recording is one row of call_recordings.
type Recording struct {
	RecordingID         string // UUID, derived from the call id
	CallID              string
	StorageURL          string // gs://bucket/tenant/call...
	ContentType         string
	SizeBytes           int64
	SHA256              string // hex
	DurationSeconds     int64
	TranscriptionStatus string // a speech.Status: completed, empty, failed or skipped
}

// Office is one row of offices, with its workflow already merged over the
// defaults by tenant-sync.
type Office struct {
	TenantID                  string
	OfficeID                  string
	Name                      string
	CallRailCompanyID         string
	CallRailCompanyResourceID string
	CallRailAccountID         string
	CallRailAPIKeySecret      string // Secret Manager id, column callrail_api_key
	CallRailSigningKeySecret  string // Secret Manager id; empty = the platform's
	IntegrationSecret         string // Secret Manager id of the tenant's integrations.Settings; empty = none
	Workflow                  workflow.Config
}
