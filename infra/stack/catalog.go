package stack

import (
	"slices"
	"strconv"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ingestion.internal/shared/topology"
)

// workload is one row of the catalogue: a Cloud Run service or job, and the
// least it needs. Everything the program registers for it follows from here.
type workload struct {
	name string
	job  bool
	// noTables says that it has no business with the database's rows. Every
	// other has a role of its own in ddl.
	noTables bool
	size     Size // default, the seed's figures where it gives any

	// Who calls a service: API Gateway alone, browsers themselves, or a queue, a
	// schedule or both.
	public bool // API Gateway
	// direct says that browsers reach it without the gateway, so that everybody
	// may invoke it: for what the gateway cannot carry, and nothing else. With
	// the edge, these paths of it lead there, and nothing else does.
	direct   bool
	paths    []string
	queue    topology.Queue // that queue
	schedule *schedule      // Cloud Scheduler

	// googleOnly says that it calls no partner, only Google's APIs, so that it
	// needs no address that partners know: see [program.egress].
	googleOnly bool

	enqueues       []topology.Queue // queues it adds tasks to
	secrets        []string         // ids of secrets it reads
	secretPrefixes []string         // prefixes of tenants' secrets it reads
	audioRoles     []string         // on the audio bucket
	documentRoles  []string         // on the bucket of documents
	configRoles    []string         // on the bucket of the tenant manifest
	instanceRoles  []string         // on the Spanner instance
	projectRoles   []string         // on the project, for APIs without resources of their own
	apis           []string         // those it calls, beyond what its grants are on
	optionalAPIs   func(*Config) []string
	env            []func(*program) env
}

// env is a handler's environment. An empty value is left out.
type env map[string]pulumi.StringInput

// catalog lists every workload. Order has no meaning.
var catalog = []workload{
	{
		name:   topology.WebhookProcessor,
		size:   Size{CPU: "2", Memory: "1Gi", Concurrency: 80, MaxInstances: 100, Timeout: seconds(30)},
		public: true,
		// A call without a recording has no audio to process.
		enqueues:       append(topology.StageQueues(topology.AudioProcessing, topology.AIAnalysis), topology.Calendars),
		secrets:        []string{topology.WebhookSecret},
		secretPrefixes: []string{topology.SigningKeyPrefix},
		env:            []func(*program) env{tenantEnv, bodyEnv, secretEnv, webhookEnv},
		googleOnly:     true,
	},
	{
		name:   topology.IntakeAPI,
		size:   Size{CPU: "1", Memory: "512Mi", Concurrency: 80, MaxInstances: maxInstances, Timeout: seconds(30)},
		public: true,
		// A form without files has nothing to read.
		enqueues: topology.StageQueues(topology.DocumentProcessing, topology.AIAnalysis),
		// The keys of tenants whose servers sign forms, and no other's.
		secretPrefixes: []string{topology.FormKeyPrefix},
		env:            []func(*program) env{tenantEnv, formEnv, secretEnv},
		googleOnly:     true,
		// To create, and neither to read nor to overwrite: it faces the world.
		documentRoles: []string{"roles/storage.objectCreator"},
	},
	{
		name: topology.ChatAPI,
		// Most of the time it waits for the model, with a connection open: at the
		// longest until the lease of an instance that died has ended, and then
		// for the answer.
		size: Size{CPU: "1", Memory: "512Mi", Concurrency: 80, MaxInstances: maxInstances, Timeout: seconds(120)},
		// API Gateway holds an answer back until it is whole.
		direct:       true,
		paths:        []string{"/api/v1/chat/*"},
		enqueues:     topology.StageQueues(topology.AIAnalysis),
		projectRoles: []string{"roles/aiplatform.user"},
		apis:         []string{apiVertex},
		env:          []func(*program) env{tenantEnv, chatEnv, geminiEnv},
		googleOnly:   true,
	},
	{
		name: topology.AudioProcessor,
		// One call streams a recording of up to hundreds of megabytes; few at
		// a time leave each the memory and the bandwidth.
		size:           Size{CPU: "4", Memory: "2Gi", Concurrency: 8, MaxInstances: maxInstances, Timeout: seconds(900)},
		queue:          topology.AudioProcessing.Queue(),
		enqueues:       topology.StageQueues(topology.AIAnalysis),
		secretPrefixes: []string{topology.APIKeyPrefix},
		// To create and to read, not to overwrite or delete: a recording that
		// a first attempt stored is found again by the second.
		audioRoles: []string{"roles/storage.objectCreator", "roles/storage.objectViewer"},
		// Pictures of texts: to create alone, because what was kept is in the
		// database.
		documentRoles: []string{"roles/storage.objectCreator"},
		projectRoles:  []string{"roles/speech.client"},
		apis:          []string{apiSpeech},
		env:           []func(*program) env{tenantEnv, secretEnv, audioEnv},
	},
	{
		name: topology.DocumentProcessor,
		// A form's files are read one after the other, up to 15 pages each; few
		// forms at a time leave each file the memory that it has in base64.
		size:          Size{CPU: "1", Memory: "512Mi", Concurrency: 4, MaxInstances: maxInstances, Timeout: seconds(300)},
		queue:         topology.DocumentProcessing.Queue(),
		enqueues:      topology.StageQueues(topology.AIAnalysis),
		env:           []func(*program) env{tenantEnv, readEnv},
		googleOnly:    true,
		documentRoles: []string{"roles/storage.objectViewer"},
		projectRoles:  []string{"roles/documentai.apiUser"},
		optionalAPIs:  documentAPIs,
	},
	{
		name:         topology.AIAnalyzer,
		size:         Size{CPU: "1", Memory: "512Mi", Concurrency: 40, MaxInstances: maxInstances, Timeout: seconds(300)},
		queue:        topology.AIAnalysis.Queue(),
		enqueues:     topology.StageQueues(topology.Workflow),
		projectRoles: []string{"roles/aiplatform.user"},
		apis:         []string{apiVertex},
		env:          []func(*program) env{tenantEnv, geminiEnv, historyEnv},
		googleOnly:   true,
	},
	{
		name:     topology.WorkflowEngine,
		size:     Size{CPU: "1", Memory: "512Mi", Concurrency: 80, MaxInstances: maxInstances, Timeout: seconds(120)},
		queue:    topology.Workflow.Queue(),
		enqueues: topology.StageQueues(topology.Delivery),
		env:      []func(*program) env{tenantEnv, geocodingEnv, batchEnv},

		optionalAPIs: geocodingAPIs,
	},
	{
		name: topology.Dispatcher,
		// It waits for the tenants' providers most of the time.
		size:           Size{CPU: "1", Memory: "512Mi", Concurrency: 40, MaxInstances: maxInstances, Timeout: seconds(120)},
		queue:          topology.Delivery.Queue(),
		schedule:       &schedule{path: topology.DispatchPath, when: ScheduleConfig{Cron: "* * * * *", TimeZone: "Etc/UTC"}},
		secretPrefixes: []string{topology.IntegrationPrefix},
		env:            []func(*program) env{tenantEnv, secretEnv, deliveryEnv},
	},
	{
		name: topology.CalendarSync,
		// It waits for Google most of the time.
		size:  Size{CPU: "1", Memory: "512Mi", Concurrency: 20, MaxInstances: maxInstances, Timeout: seconds(120)},
		queue: topology.Calendars,
		schedule: &schedule{
			path: topology.CalendarsPath, body: calendarsRun,
			when: ScheduleConfig{Cron: "* * * * *", TimeZone: "Etc/UTC"},
		},
		enqueues:   topology.StageQueues(topology.AIAnalysis),
		apis:       []string{apiCalendar},
		env:        []func(*program) env{tenantEnv, calendarEnv},
		googleOnly: true,
	},
	{
		name:       topology.Sweeper,
		size:       Size{CPU: "1", Memory: "512Mi", Concurrency: 1, MaxInstances: 1, Timeout: seconds(120)},
		schedule:   &schedule{path: topology.SweepPath, when: ScheduleConfig{Cron: "* * * * *", TimeZone: "Etc/UTC"}},
		enqueues:   topology.StageQueues(topology.Stages...),
		env:        []func(*program) env{sweepEnv},
		googleOnly: true,
	},
	{
		name:          topology.Backup,
		noTables:      true,
		size:          Size{CPU: "1", Memory: "512Mi", Concurrency: 1, MaxInstances: 1, Timeout: seconds(120)},
		schedule:      &schedule{path: topology.BackupPath, when: ScheduleConfig{Cron: "0 3 * * *", TimeZone: "Etc/UTC", Retries: 3}},
		instanceRoles: []string{"roles/spanner.backupWriter"},
		env:           []func(*program) env{backupEnv},
	},
	{
		name:        topology.TenantSync,
		job:         true,
		size:        Size{CPU: "1", Memory: "512Mi", Timeout: seconds(600)},
		configRoles: []string{"roles/storage.objectViewer"},
		env:         []func(*program) env{manifestEnv},
		googleOnly:  true,
	},
}

// find returns the catalogue's row of that name, or nil.
func find(name string) *workload {
	for i := range catalog {
		if catalog[i].name == name {
			return &catalog[i]
		}
	}
	return nil
}

// calls are the APIs that w calls in a stack of this config.
func (w *workload) calls(c *Config) []string {
	if w.optionalAPIs == nil {
		return w.apis
	}
	return slices.Concat(w.apis, w.optionalAPIs(c))
}

// names lists the workloads in the catalogue's order.
func names() []string {
	var all []string
	for _, w := range catalog {
		all = append(all, w.name)
	}
	return all
}

// commonEnv is every workload's.
func commonEnv(p *program, w *workload) env {
	return env{
		topology.EnvProject:         pulumi.String(p.cfg.Project),
		topology.EnvLocation:        pulumi.String(p.cfg.Region),
		topology.EnvSpannerInstance: pulumi.String(p.cfg.Spanner.Instance),
		topology.EnvSpannerDatabase: pulumi.String(p.cfg.Spanner.Database),
		topology.EnvSpannerEmulator: pulumi.String(p.cfg.Endpoints.SpannerEmulator),
		topology.EnvDatabaseRole:    pulumi.String(p.cfg.databaseRole(w)),
		topology.EnvLogLevel:        pulumi.String(p.cfg.LogLevel),
	}
}

// enqueueEnv says how to add tasks to the queues that w may use.
func enqueueEnv(p *program, w *workload) env {
	if len(w.enqueues) == 0 {
		return nil
	}
	e := env{
		topology.EnvTasksLocation:       pulumi.String(p.cfg.Region),
		topology.EnvTasksServiceAccount: p.accounts[tasksAccount].Email,
		topology.EnvTasksEndpoint:       pulumi.String(p.cfg.Endpoints.CloudTasks),
	}
	for _, queue := range w.enqueues {
		e[queue.EnvQueue()] = p.queues[queue].ID()
		e[queue.EnvServiceURL()] = p.services[queue.Service()].Uri
	}
	return e
}

// lease outlives the longest request of a service, so that no second worker
// claims what a first still works on.
func (p *program) lease(service string) string {
	return (p.cfg.Services[service].Timeout + seconds(15)).String()
}

// stageEnv governs the worker of a stage.
func stageEnv(p *program, w *workload) env {
	if !w.queue.IsStage() {
		return nil
	}
	return env{
		topology.EnvStageMaxAttempts: pulumi.String(strconv.Itoa(p.cfg.Stages.MaxAttempts)),
		topology.EnvStageLease:       pulumi.String(p.lease(w.name)),
	}
}

// sweepEnv bounds one run: what is left over is the next one's.
func sweepEnv(*program) env {
	return env{topology.EnvSweepBatch: pulumi.String("200")}
}

// calendarEnv bounds one run, as sweepEnv does.
func calendarEnv(p *program) env {
	return env{
		topology.EnvCalendarURL:   pulumi.String(p.cfg.Endpoints.Calendar),
		topology.EnvCalendarBatch: pulumi.String("100"),
		topology.EnvCalendarLease: pulumi.String(p.lease(topology.CalendarSync)),
	}
}

// calendarsRun brings the clock's call the public address, which the service
// cannot be configured with: the gateway comes after the services.
func calendarsRun(p *program) pulumi.StringInput {
	return pulumi.Sprintf(`{"address":"%s%s"}`, p.publicURL(), topology.CalendarNotifications)
}

// backupEnv says how long a backup is kept and how old the newest may be.
func backupEnv(p *program) env {
	return env{
		topology.EnvBackupRetention: pulumi.String((seconds(24*3600) * duration(p.cfg.Backup.RetentionDays)).String()),
		topology.EnvBackupMaxAge:    pulumi.String(p.cfg.Backup.MaxAge.String()),
	}
}

func tenantEnv(p *program) env {
	return env{topology.EnvTenantCacheTTL: pulumi.String(p.cfg.TenantCacheTTL.String())}
}

func bodyEnv(p *program) env {
	return env{topology.EnvMaxBodyBytes: pulumi.String(strconv.Itoa(p.cfg.Limits.MaxBodyBytes))}
}

// trustedHops is the number of front ends before a public service. With the
// edge there are more than the gateway, and how many addresses they add is not
// confirmed: unless config says, callers are not told apart there, and Cloud
// Armor limits them by address.
func (p *program) trustedHops() int {
	if hops := p.cfg.Limits.TrustedHops; len(p.cfg.Edge.Domains) == 0 || hops > 1 {
		return hops
	}
	return -1
}

// chatHops is trustedHops for a service that browsers reach directly: Cloud
// Run's front end alone adds the caller's address. With the edge there are two
// ways to it, and callers are not told apart.
func (p *program) chatHops() int {
	if len(p.cfg.Edge.Domains) > 0 {
		return -1
	}
	return 0
}

// maxChatBody is the largest request of a chat, in bytes: 2000 characters of
// any script, as JSON may write them.
const maxChatBody = 16 << 10

func chatEnv(p *program) env {
	return env{
		topology.EnvMaxBodyBytes: pulumi.String(strconv.Itoa(maxChatBody)),
		topology.EnvTrustedHops:  pulumi.String(strconv.Itoa(p.chatHops())),
	}
}

// formEnv lets a form be larger than other requests by its files.
func formEnv(p *program) env {
	return env{
		topology.EnvMaxBodyBytes:       pulumi.String(strconv.Itoa(p.cfg.Limits.largestBody())),
		topology.EnvMaxAttachmentBytes: pulumi.String(strconv.Itoa(p.cfg.Limits.MaxAttachmentBytes)),
		topology.EnvTrustedHops:        pulumi.String(strconv.Itoa(p.trustedHops())),
		topology.EnvDocumentBucket:     p.documents.Name,
		topology.EnvStorageEndpoint:    pulumi.String(p.cfg.Endpoints.Storage),
	}
}

func secretEnv(p *program) env {
	return env{topology.EnvSecretManagerEndpoint: pulumi.String(p.cfg.Endpoints.SecretManager)}
}

// batchEnv is for whoever plans effects.
func batchEnv(p *program) env {
	return env{topology.EnvDeliveryBatchEvery: pulumi.String(p.cfg.Delivery.BatchEvery.String())}
}

// deliveryEnv is for whoever carries effects out. What one run leaves over is
// the next one's.
func deliveryEnv(p *program) env {
	return env{
		topology.EnvDispatchBatch:       pulumi.String("400"),
		topology.EnvDeliveryGiveUpAfter: pulumi.String(p.cfg.Delivery.GiveUpAfter.String()),
		topology.EnvHubSpotURL:          pulumi.String(p.cfg.Endpoints.HubSpot),
		topology.EnvSalesforceURL:       pulumi.String(p.cfg.Endpoints.Salesforce),
		topology.EnvMCPURL:              pulumi.String(p.cfg.Endpoints.MCP),
		topology.EnvSendGridURL:         pulumi.String(p.cfg.Endpoints.SendGrid),
	}
}

func webhookEnv(p *program) env {
	return env{
		topology.EnvWebhookSecretName: pulumi.String(topology.WebhookSecret),
		topology.EnvReplayWindow:      pulumi.String(p.cfg.Webhook.ReplayWindow.String()),
	}
}

func audioEnv(p *program) env {
	return env{
		topology.EnvAudioBucket:           p.audio.Name,
		topology.EnvDocumentBucket:        p.documents.Name,
		topology.EnvMaxRecordingBytes:     pulumi.String(strconv.Itoa(p.cfg.Limits.MaxRecordingBytes)),
		topology.EnvSpeechProject:         pulumi.String(p.cfg.Project),
		topology.EnvSpeechLocation:        pulumi.String(p.cfg.Speech.Location),
		topology.EnvSpeechModel:           pulumi.String(p.cfg.Speech.Model),
		topology.EnvSpeechLanguage:        pulumi.String(p.cfg.Speech.Language),
		topology.EnvStorageEndpoint:       pulumi.String(p.cfg.Endpoints.Storage),
		topology.EnvSpeechEndpoint:        pulumi.String(p.cfg.Endpoints.Speech),
		topology.EnvCallRailAPIURL:        pulumi.String(p.cfg.Endpoints.CallRailAPI),
		topology.EnvCallRailRecordingHost: pulumi.String(strings.Join(p.cfg.Endpoints.CallRailRecordingHosts, ",")),
	}
}

func geminiEnv(p *program) env {
	return env{
		topology.EnvVertexProject:  pulumi.String(p.cfg.Project),
		topology.EnvVertexLocation: pulumi.String(p.cfg.Gemini.Location),
		topology.EnvGeminiModel:    pulumi.String(p.cfg.Gemini.Model),
		topology.EnvVertexEndpoint: pulumi.String(p.cfg.Endpoints.VertexAI),
	}
}

func historyEnv(p *program) env {
	return env{topology.EnvHistoryWindow: pulumi.String(p.cfg.HistoryWindow.String())}
}

func manifestEnv(p *program) env {
	return env{
		topology.EnvTenantsManifest: pulumi.Sprintf("gs://%s/%s", p.manifest.Bucket, p.manifest.Name),
		topology.EnvStorageEndpoint: pulumi.String(p.cfg.Endpoints.Storage),
	}
}
