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
	TenantID          string          `json:"tenantId"`
	RequestID         string          `json:"requestId"`         // UUID; derived from source and external id where there is one
	OfficeID          string          `json:"officeId,omitzero"` // empty for a form that names no office
	Source            string          `json:"source,omitzero"`
	CommunicationMode string          `json:"communicationMode,omitzero"`
	Status            Status          `json:"status"`
	CallID            string          `json:"callId,omitzero"`
	RecordingURL      string          `json:"recordingUrl,omitzero"` // where the recording came from; the copy is in call_recordings
	CustomerName      string          `json:"customerName,omitzero"`
	CustomerPhone     string          `json:"customerPhone,omitzero"`
	CustomerEmail     string          `json:"customerEmail,omitzero"`
	PostalCode        string          `json:"postalCode,omitzero"`
	Payload           json.RawMessage `json:"payload,omitempty"`       // what arrived
	Transcription     json.RawMessage `json:"transcription,omitempty"` // speech.Transcript, column transcription_data
	Documents         json.RawMessage `json:"documents,omitempty"`     // documents.Reading, column document_data
	Analysis          json.RawMessage `json:"analysis,omitempty"`      // analysis.Analysis, column ai_analysis
	LeadScore         *int64          `json:"leadScore,omitzero"`      // 0-100
	SpamLikelihood    *float64        `json:"spamLikelihood,omitzero"` // 0-100
	Decision          string          `json:"decision,omitzero"`       // workflow.Decision
	DecisionReasons   []string        `json:"decisionReasons,omitempty"`
	FailureStage      topology.Stage  `json:"failureStage,omitzero"`
	FailureCause      string          `json:"failureCause,omitzero"`
	Revision          int64           `json:"revision,omitzero"` // events that have changed the request
	ReceivedAt        time.Time       `json:"receivedAt,omitzero"`
	UpdatedAt         time.Time       `json:"updatedAt,omitzero"`
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
	RecordingID         string `json:"recordingId,omitzero"` // UUID, derived from the call id
	CallID              string `json:"callId,omitzero"`
	StorageURL          string `json:"storageUrl,omitzero"` // gs://bucket/tenant/call...
	ContentType         string `json:"contentType,omitzero"`
	SizeBytes           int64  `json:"sizeBytes,omitzero"`
	SHA256              string `json:"sha256,omitzero"` // hex
	DurationSeconds     int64  `json:"durationSeconds,omitzero"`
	TranscriptionStatus string `json:"transcriptionStatus,omitzero"` // a speech.Status: completed, empty, failed or skipped
}

// Office is one row of offices, with its workflow already merged over the
// defaults by tenant-sync.
type Office struct {
	TenantID                  string          `json:"tenantId"`
	OfficeID                  string          `json:"officeId,omitzero"`
	Name                      string          `json:"name,omitzero"`
	CallRailCompanyID         string          `json:"callRailCompanyId,omitzero"`
	CallRailCompanyResourceID string          `json:"callRailCompanyResourceId,omitzero"`
	CallRailAccountID         string          `json:"callRailAccountId,omitzero"`
	CallRailAPIKeySecret      string          `json:"callRailApiKeySecret,omitzero"`     // Secret Manager id, column callrail_api_key
	CallRailSigningKeySecret  string          `json:"callRailSigningKeySecret,omitzero"` // Secret Manager id; empty = the platform's
	IntegrationSecret         string          `json:"integrationSecret,omitzero"`        // Secret Manager id of the tenant's integrations.Settings; empty = none
	Workflow                  workflow.Config `json:"workflow,omitzero"`
}
