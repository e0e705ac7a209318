// Package daemonapi is the contract between the local cloud's daemon and the
// commands that talk to it: the file in which the daemon announces itself and
// its admin API over loopback HTTP.
//
// A daemon is alive exactly as long as it holds the lock on
// .local/state/daemon.lock, which the kernel releases when it dies; the file
// daemon.json beside it then says where it listens. The admin API is open to
// whoever can read that file (mode 0600): every request bears its token.
package daemonapi

import (
	"encoding/json"
	"time"
)

// Info is .local/state/daemon.json: what a running daemon says about itself.
type Info struct {
	PID          int               `json:"pid"` // also the id of the session that all its processes belong to
	BuildID      string            `json:"buildId"`
	Admin        string            `json:"admin"`        // base URL of the admin API
	Token        string            `json:"token"`        // bearer token of the admin API
	ProviderPort int               `json:"providerPort"` // loopback gRPC port of the Pulumi provider "gcp"
	Addresses    map[string]string `json:"addresses"`    // local service to base URL or host:port
	StartedAt    time.Time         `json:"startedAt"`
}

// Status is GET /status.
type Status struct {
	BuildID   string            `json:"buildId"`
	PID       int               `json:"pid"`
	StartedAt time.Time         `json:"startedAt"`
	Gateway   string            `json:"gateway"`  // base URL of the deployed API Gateway; empty before the first deployment
	Database  string            `json:"database"` // projects/P/instances/I/databases/D; empty before the first deployment
	Emulator  Emulator          `json:"emulator"`
	Services  []Service         `json:"services"` // Cloud Run services and jobs, ordered by name
	Queues    []Queue           `json:"queues"`   // ordered by name
	Resources Resources         `json:"resources"`
	Addresses map[string]string `json:"addresses"`
	Faults    []Fault           `json:"faults"` // what is set to fail now
}

// Emulator is the Spanner emulator.
type Emulator struct {
	State   string `json:"state"`   // running or stopped
	Address string `json:"address"` // host:port, the value of SPANNER_EMULATOR_HOST
}

// Service is a Cloud Run service or job.
type Service struct {
	Name     string `json:"name"`
	Kind     string `json:"kind"` // service or job
	Revision string `json:"revision"`
	Image    string `json:"image"`
	URL      string `json:"url,omitempty"`
	State    string `json:"state"` // ready, starting, failed, stopped; succeeded for a job
	Restarts int    `json:"restarts"`
	Error    string `json:"error,omitempty"` // why it is not ready
}

// Queue is a Cloud Tasks queue.
type Queue struct {
	Name  string `json:"name"` // last part of the queue's name
	Depth int    `json:"depth"`
	State string `json:"state"` // RUNNING, PAUSED or DISABLED
}

// Resources counts what the provider keeps.
type Resources struct {
	Live     int `json:"live"`
	Recorded int `json:"recorded"`
}

// LogQuery selects log lines.
type LogQuery struct {
	Service string // empty = every service, and the daemon's own lines
	Follow  bool   // go on with new lines until the caller leaves
	Tail    int    // how many old lines per service; 0 = none, negative = all
}

// Fault makes a stand-in misbehave on purpose.
type Fault struct {
	Target string `json:"target"` // callrail, hubspot, sendgrid, ...
	Mode   string `json:"mode"`   // one of Modes
	Count  int    `json:"count"`  // how many requests it hits; 0 = every one until it is cleared
}

// Modes of a Fault.
const (
	ModeFail      = "fail"         // 503
	ModeRateLimit = "rate-limit"   // 429 with Retry-After
	ModeStall     = "stall"        // no answer until the client gives up
	ModeMidway    = "stall-midway" // no more of an answer that streams, after its beginning
	ModeNonsense  = "nonsense"     // 200 with a body that is not what was asked for
)

// Modes lists every mode of a Fault.
var Modes = []string{ModeFail, ModeRateLimit, ModeStall, ModeMidway, ModeNonsense}

// Call is a phone call that the CallRail stand-in is to know: PUT /calls/{id}.
// Its API then answers with these details and its recording carries the
// script.
type Call struct {
	ID                string    `json:"id"`
	AccountID         string    `json:"accountId"`
	CompanyID         string    `json:"companyId"`
	CompanyResourceID string    `json:"companyResourceId"`
	CompanyName       string    `json:"companyName"`
	CustomerName      string    `json:"customerName"`
	CustomerPhone     string    `json:"customerPhone"` // E.164
	CustomerCity      string    `json:"customerCity"`
	CustomerState     string    `json:"customerState"`
	TrackingPhone     string    `json:"trackingPhone"` // E.164
	StartTime         time.Time `json:"startTime"`
	DurationSeconds   int       `json:"durationSeconds"`
	Voicemail         bool      `json:"voicemail"`
	Script            []Turn    `json:"script"`
	Recording         string    `json:"recording,omitempty"`  // how the recording misbehaves, a mode of the stand-in; empty = as it should
	RedirectTo        string    `json:"redirectTo,omitempty"` // where recording mode "elsewhere" sends its reader
}

// Turn is what one speaker says.
type Turn struct {
	Speaker int    `json:"speaker"` // 1 = customer, 2 = agent
	Text    string `json:"text"`
}

// Recording is the answer to PUT /calls/{id}.
type Recording struct {
	URL string `json:"url"` // value of "recording" in the webhook's payload
}

// Record is what a tenant's CRM has: GET /records.
type Record struct {
	Tenant   string         `json:"tenant"`
	Provider string         `json:"provider"`
	Kind     string         `json:"kind"` // contact, note, lead
	ID       string         `json:"id"`
	Of       string         `json:"of,omitempty"` // of a note: the contact's id
	Fields   map[string]any `json:"fields"`
}

// Mail is a mail that a tenant sent: GET /mail.
type Mail struct {
	Tenant     string    `json:"tenant"`
	ID         string    `json:"id"`        // the mail service's
	MessageID  string    `json:"messageId"` // the platform's, as in request_effects
	Template   string    `json:"template"`
	From       string    `json:"from"`
	To         string    `json:"to"`
	Subject    string    `json:"subject"`
	Text       string    `json:"text"`
	HTML       string    `json:"html"`
	ReceivedAt time.Time `json:"receivedAt"`
}

// Endpoints is the JSON of the environment variable INGESTION_ENDPOINTS, the
// run-time overlay of the stack config ingestion:endpoints. It is kept raw:
// the program in infra/stack owns its shape.
type Endpoints = json.RawMessage

// Names of entries in GET /env. The daemon answers with those that it knows;
// the commands add what only they know (PULUMI_*).
const (
	EnvGatewayURL      = "GATEWAY_URL"
	EnvChatURL         = "CHAT_URL" // of the chat's service, which no gateway is before
	EnvSiteURL         = "SITE_URL" // of the sample pages
	EnvSpannerEmulator = "SPANNER_EMULATOR_HOST"
	EnvEndpoints       = "INGESTION_ENDPOINTS"
	EnvSpannerProject  = "SPANNER_PROJECT"
	EnvSpannerInstance = "SPANNER_INSTANCE"
	EnvSpannerDatabase = "SPANNER_DATABASE"
)
