// Package topology names the parts of the platform: services, stages, queues,
// secrets and the environment variables by which the program in infra/stack
// configures the handlers in functions. It is pure data, imported on both
// sides, so that a name is written once.
package topology

import (
	"slices"
	"strings"
)

// Services and jobs. One folder below functions/ each.
const (
	WebhookProcessor  = "webhook-processor"
	IntakeAPI         = "intake-api"
	ChatAPI           = "chat-api"
	AudioProcessor    = "audio-processor"
	DocumentProcessor = "document-processor"
	AIAnalyzer        = "ai-analyzer"
	WorkflowEngine    = "workflow-engine"
	Dispatcher        = "dispatcher"
	CalendarSync      = "calendar-sync"
	TenantSync        = "tenant-sync"
	Sweeper           = "sweeper"
	Backup            = "backup"
)

// SweepPath is the path on the sweeper to which its schedule posts.
const SweepPath = "/tasks/sweep"

// DatabaseRole returns the role of the database, declared in ddl, that a service
// or job takes on. Spanner's names have no hyphens.
func DatabaseRole(service string) string { return strings.ReplaceAll(service, "-", "_") }

// DispatchPath is the path on the dispatcher to which its schedule posts.
const DispatchPath = "/tasks/dispatch"

// BackupPath is the path on the backup service to which its schedule posts.
const BackupPath = "/tasks/backup"

// CalendarsPath is the path on the calendar service to which its schedule posts
// [CalendarsRun].
const CalendarsPath = "/tasks/calendars"

// CalendarNotifications is the public path to which Google Calendar posts.
const CalendarNotifications = "/api/v1/calendar/notifications"

// CalendarsRun is the body of the schedule's call of the calendar service. The
// address is known once there is a gateway, which comes after the services, so
// the schedule brings it.
type CalendarsRun struct {
	Address string `json:"address"` // the whole URL for notifications
}

// Stage is one step of a request's way through the pipeline. Its value is the
// id of the Cloud Tasks queue that feeds it and the key of its row in
// request_stages.
type Stage string

// The stages. AudioProcessing is for calls with a recording and
// DocumentProcessing for forms with files; a request that nothing follows from
// ends with Workflow.
const (
	AudioProcessing    Stage = "audio-processing"
	DocumentProcessing Stage = "document-processing"
	AIAnalysis         Stage = "ai-analysis"
	Workflow           Stage = "workflow"
	Delivery           Stage = "delivery"
)

// Queue is the id of a Cloud Tasks queue. One service works it. Every stage has
// one; others carry work that is no request's.
type Queue string

// Calendars is the queue of calendars that have changed.
const Calendars Queue = "calendar-sync"

// works says which service works which queue. A queue is a row here, a stage's
// in the stages' order and before the others.
var works = []struct {
	queue   Queue
	service string
	stage   bool
}{
	{AudioProcessing.Queue(), AudioProcessor, true},
	{DocumentProcessing.Queue(), DocumentProcessor, true},
	{AIAnalysis.Queue(), AIAnalyzer, true},
	{Workflow.Queue(), WorkflowEngine, true},
	{Delivery.Queue(), Dispatcher, true},
	{Calendars, CalendarSync, false},
}

// Stages lists every stage in order, Queues every queue, those of the stages
// first.
var Stages, Queues = func() (stages []Stage, queues []Queue) {
	for _, w := range works {
		queues = append(queues, w.queue)
		if w.stage {
			stages = append(stages, Stage(w.queue))
		}
	}
	return stages, queues
}()

// Before tells whether the stage comes before the other. "" is before none.
func (s Stage) Before(other Stage) bool {
	at := slices.Index(Stages, s)
	return at >= 0 && at < slices.Index(Stages, other)
}

// Queue returns the stage's queue.
func (s Stage) Queue() Queue { return Queue(s) }

// Path is the URL path on the stage's service to which its queue posts tasks.
func (s Stage) Path() string { return s.Queue().Path() }

// StageQueues returns the queues of the stages.
func StageQueues(stages ...Stage) []Queue {
	queues := make([]Queue, len(stages))
	for i, s := range stages {
		queues[i] = s.Queue()
	}
	return queues
}

// IsStage tells whether the queue is a stage's.
func (q Queue) IsStage() bool { return slices.Contains(Stages, Stage(q)) }

// Service returns the Cloud Run service that works the queue, or "" for an
// unknown one.
func (q Queue) Service() string {
	for _, w := range works {
		if w.queue == q {
			return w.service
		}
	}
	return ""
}

// Path is the URL path on the queue's service to which it posts tasks.
func (q Queue) Path() string { return "/tasks/" + string(q) }

// Prefixes of per-tenant secret ids. Access to them is granted by prefix with
// an IAM condition, so no grant is needed per tenant.
const (
	SigningKeyPrefix = "callrail-signing-key-"
	APIKeyPrefix     = "callrail-api-key-"
	// IntegrationPrefix begins the secret of a tenant's settings of its CRM
	// and its mail, see package integrations.
	IntegrationPrefix = "tenant-integration-"
	// FormKeyPrefix begins the secret of a tenant's keys for forms. It is not
	// part of the signing keys' secret, because who reads it faces the world and
	// must not be able to sign calls and bookings.
	FormKeyPrefix = "form-signing-key-"
)

// WebhookSecret is the id of the platform's own CallRail webhook secret: the
// signing key of offices that have none of their own.
const WebhookSecret = "callrail-webhook-secret"

// SigningKeySecret returns the Secret Manager id of a tenant's CallRail
// signing key.
func SigningKeySecret(tenantID string) string { return SigningKeyPrefix + tenantID }

// FormKeySecret returns the Secret Manager id of a tenant's keys for forms.
func FormKeySecret(tenantID string) string { return FormKeyPrefix + tenantID }

// APIKeySecret returns the Secret Manager id of a tenant's CallRail API key.
func APIKeySecret(tenantID string) string { return APIKeyPrefix + tenantID }

// IntegrationSecret returns the Secret Manager id of a tenant's settings of its
// CRM and its mail.
func IntegrationSecret(tenantID string) string { return IntegrationPrefix + tenantID }

// Environment variables of the handlers. The first group has the names of the
// owner's description; every value is set by the service catalogue in
// infra/stack.
const (
	EnvProject             = "GOOGLE_CLOUD_PROJECT"
	EnvLocation            = "GOOGLE_CLOUD_LOCATION"
	EnvSpannerInstance     = "SPANNER_INSTANCE"
	EnvSpannerDatabase     = "SPANNER_DATABASE"
	EnvDatabaseRole        = "SPANNER_DATABASE_ROLE" // see DatabaseRole
	EnvBackupRetention     = "BACKUP_RETENTION"      // Go duration, from a backup's making to its end
	EnvBackupMaxAge        = "BACKUP_MAX_AGE"        // Go duration: of the newest complete backup
	EnvVertexProject       = "VERTEX_AI_PROJECT"
	EnvVertexLocation      = "VERTEX_AI_LOCATION"
	EnvSpeechProject       = "SPEECH_TO_TEXT_PROJECT"
	EnvWebhookSecretName   = "CALLRAIL_WEBHOOK_SECRET_NAME"
	EnvAudioBucket         = "AUDIO_STORAGE_BUCKET"
	EnvDocumentBucket      = "DOCUMENT_STORAGE_BUCKET" // of files that come with forms
	EnvDocumentAI          = "DOCUMENT_AI_PROCESSOR"   // full name of the processor's version, projects/P/locations/L/processors/ID/processorVersions/V; "" = off
	EnvDocumentConfidence  = "DOCUMENT_MIN_CONFIDENCE" // 0 to 1: from which on what a document says counts as the customer's
	EnvTasksLocation       = "CLOUD_TASKS_LOCATION"
	EnvTasksServiceAccount = "CLOUD_TASKS_SERVICE_ACCOUNT" // email whose OIDC token the queues present to the workers
	EnvStageMaxAttempts    = "STAGE_MAX_ATTEMPTS"          // attempts of one stage before its request is a dead letter
	EnvStageLease          = "STAGE_LEASE"                 // Go duration: how long a claimed stage is its worker's alone
	EnvDeliveryBatchEvery  = "DELIVERY_BATCH_EVERY"        // Go duration: how often leads leave that are not pushed at once
	EnvDeliveryGiveUpAfter = "DELIVERY_GIVE_UP_AFTER"      // Go duration: how long an effect is tried
	EnvDispatchBatch       = "DISPATCH_BATCH"              // effects that one run of the dispatcher takes up at most
	EnvCalendarBatch       = "CALENDAR_BATCH"              // calendars that one run of the calendar service takes up at most
	EnvCalendarLease       = "CALENDAR_LEASE"              // Go duration: how long a claimed calendar is its worker's alone
	EnvSweepBatch          = "SWEEP_BATCH"                 // stages that one run of the sweeper enqueues at most
	EnvReplayWindow        = "WEBHOOK_REPLAY_WINDOW"       // Go duration, 0 = off
	EnvTenantCacheTTL      = "TENANT_CACHE_TTL"            // Go duration
	EnvHistoryWindow       = "HISTORY_WINDOW"              // Go duration: of a person's earlier requests that the analysis sees, 0 = none
	EnvMaxBodyBytes        = "MAX_BODY_BYTES"              // largest accepted request body
	EnvTrustedHops         = "TRUSTED_HOPS"                // front ends between a caller and the service; -1 = not known
	EnvMaxAttachmentBytes  = "MAX_ATTACHMENT_BYTES"        // of MAX_BODY_BYTES, those of a form's files
	EnvMaxRecordingBytes   = "MAX_RECORDING_BYTES"         // largest recording that is downloaded
	EnvSpeechLocation      = "SPEECH_TO_TEXT_LOCATION"     // "us"
	EnvSpeechModel         = "SPEECH_TO_TEXT_MODEL"        // "chirp_3"
	EnvSpeechLanguage      = "SPEECH_TO_TEXT_LANGUAGE"     // BCP-47
	EnvGeminiModel         = "GEMINI_MODEL"
	EnvGeocoding           = "GEOCODING_ENABLED" // "true" where addresses may be looked up
	EnvGeocodingTimeout    = "GEOCODING_TIMEOUT" // Go duration, of one look-up with its retries
	EnvTenantsManifest     = "TENANTS_MANIFEST"  // gs://bucket/object, see package tenant
	EnvLogLevel            = "LOG_LEVEL"         // debug, info, warn, error
)

// Endpoint overrides. Each is empty in the cloud, where the official client's
// default or the regional host in the matching location setting applies; the
// local cloud sets them to its own addresses (REST over http).
const (
	EnvTasksEndpoint         = "CLOUD_TASKS_ENDPOINT"
	EnvSecretManagerEndpoint = "SECRET_MANAGER_ENDPOINT"
	EnvStorageEndpoint       = "STORAGE_ENDPOINT"
	EnvSpeechEndpoint        = "SPEECH_ENDPOINT"
	EnvVertexEndpoint        = "VERTEX_AI_ENDPOINT"
	EnvDocumentAIEndpoint    = "DOCUMENT_AI_ENDPOINT"
	EnvGeocodingEndpoint     = "GEOCODING_ENDPOINT"
	EnvCallRailAPIURL        = "CALLRAIL_API_URL"         // default https://api.callrail.com
	EnvCallRailRecordingHost = "CALLRAIL_RECORDING_HOSTS" // comma list: host, *.suffix, or a literal ip:port that may be private
	EnvCalendarURL           = "CALENDAR_API_URL"         // default https://www.googleapis.com
	EnvHubSpotURL            = "HUBSPOT_API_URL"          // default https://api.hubapi.com; it and the next three go over tenants' settings
	EnvSalesforceURL         = "SALESFORCE_LOGIN_URL"     // default: the tenant's own
	EnvMCPURL                = "MCP_SERVER_URL"           // default: the tenant's own
	EnvSendGridURL           = "SENDGRID_API_URL"         // default https://api.sendgrid.com
	EnvSpannerEmulator       = "SPANNER_EMULATOR_HOST"    // read by the Spanner client itself
)

// EnvQueue is the variable that carries the full name of a queue,
// projects/P/locations/L/queues/Q, for example AI_ANALYSIS_QUEUE.
func (q Queue) EnvQueue() string { return q.envPrefix() + "QUEUE" }

// EnvServiceURL is the variable that carries the base URL of the queue's
// service, for example AI_ANALYSIS_URL.
func (q Queue) EnvServiceURL() string { return q.envPrefix() + "URL" }

func (q Queue) envPrefix() string {
	return strings.ToUpper(strings.ReplaceAll(string(q), "-", "_")) + "_"
}
