// Package workflow is what happens to an analysed request: the tenant's
// configuration of it and the decision it leads to. It is pure: no I/O.
package workflow

// Methods of finding out where a customer is, the values of
// service_area.validation_method.
const (
	MethodZIP     = "zip_code" // by the postal code alone
	MethodGeocode = "geocode"  // by the address, where the postal code settles nothing
)

// Config is a tenant's workflow_config, in the JSON shape of the owner's
// description. Every field has a default, see [Default]; what the fields may
// hold is said by the [Schema], and what they do in docs/workflow.md.
type Config struct {
	CommunicationDetection CommunicationDetection `json:"communication_detection"`
	Validation             Validation             `json:"validation"`
	ServiceArea            ServiceArea            `json:"service_area"`
	CRMIntegration         CRMIntegration         `json:"crm_integration"`
	EmailNotifications     EmailNotifications     `json:"email_notifications"`
}

// CommunicationDetection configures what is done with content.
type CommunicationDetection struct {
	Enabled         bool            `json:"enabled"`
	PhoneProcessing PhoneProcessing `json:"phone_processing"`
}

// PhoneProcessing configures the processing of calls.
type PhoneProcessing struct {
	TranscribeAudio    bool `json:"transcribe_audio"`
	ExtractDetails     bool `json:"extract_details"`
	SentimentAnalysis  bool `json:"sentiment_analysis"`
	SpeakerDiarization bool `json:"speaker_diarization"`
}

// Validation configures the gates before the workflow.
type Validation struct {
	SpamDetection SpamDetection `json:"spam_detection"`
}

// SpamDetection configures the spam gate.
type SpamDetection struct {
	Enabled             bool   `json:"enabled"`
	ConfidenceThreshold int    `json:"confidence_threshold"` // 0-100: a spam likelihood at or above it is spam
	MLModel             string `json:"ml_model"`             // empty = the stack's model
}

// ServiceArea configures where the tenant works.
type ServiceArea struct {
	Enabled          bool     `json:"enabled"`
	ValidationMethod string   `json:"validation_method"` // MethodZIP or MethodGeocode
	AllowedAreas     []string `json:"allowed_areas"`     // ZIP codes of 5 digits, Canadian prefixes of 3 characters
	BufferMiles      float64  `json:"buffer_miles"`      // around the ZIP codes in AllowedAreas
}

// CRMIntegration configures the push of leads to the tenant's CRM.
type CRMIntegration struct {
	Enabled         bool              `json:"enabled"`
	Provider        string            `json:"provider"` // one of Providers, "" while not enabled
	FieldMapping    map[string]string `json:"field_mapping"`
	PushImmediately bool              `json:"push_immediately"`
}

// EmailNotifications configures mail about leads.
type EmailNotifications struct {
	Enabled    bool            `json:"enabled"`
	Recipients []string        `json:"recipients"`
	Conditions EmailConditions `json:"conditions"`
}

// EmailConditions says which leads are mailed.
type EmailConditions struct {
	MinLeadScore int `json:"min_lead_score"` // 0-100
}

// Providers are the values of crm_integration.provider.
var Providers = []string{"hubspot", "mcp", "salesforce", "webhook"}
