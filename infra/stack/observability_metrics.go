package stack

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/logging"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	t "ingestion.internal/shared/telemetry"
)

// The monitored resources whose log lines are counted. A metric's series have
// the resource of the lines; an alert has to name it.
const (
	ofService   = "cloud_run_revision"
	ofJob       = "cloud_run_job"
	ofScheduler = "cloud_scheduler_job"
)

// logMetric counts log lines, or draws a distribution of a number in them. The
// lines are described by package telemetry.
type logMetric struct {
	name     string // after "ingestion/"
	title    string
	resource string
	events   []string // telemetry's; the lines of other resources have none
	filter   string   // further condition
	labels   []string // fields of the line, beyond the labels that it carries
	value    string   // field that is drawn, "" = the lines are counted
	unit     string   // UCUM
	bounds   []float64
}

// Bounds of buckets. An objective can only ask for a boundary, so each target
// of the mission is one: 0.2 s, 0.5 s, 1 s and 5 s.
var (
	secondsBounds = []float64{0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 1.5, 2, 3, 5, 7.5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 14400, 86400}
	percentBounds = []float64{1, 5, 10, 20, 30, 40, 50, 60, 70, 75, 80, 90, 95, 100}
	costBounds    = []float64{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1}
	tokenBounds   = []float64{100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000}
)

// Names of the metrics.
const (
	mRequests      = "requests"
	mSeconds       = "request_seconds"
	mRefused       = "refused_requests"
	mErrors        = "errors"
	mAccepted      = "accepted_requests"
	mUnsent        = "unsent_requests"
	mStages        = "stages"
	mStageSeconds  = "stage_seconds"
	mCompleted     = "completed_seconds"
	mDecisions     = "decisions"
	mSpam          = "spam_likelihood"
	mRecordings    = "recordings"
	mTranscription = "transcription_seconds"
	mUntranscribed = "transcription_failures"
	mDocuments     = "documents"
	mChats         = "chat_answers"
	mAnalysis      = "analysis_seconds"
	mUnanalysed    = "analysis_failures"
	mInputTokens   = "analysis_input_tokens"
	mOutputTokens  = "analysis_output_tokens"
	mCost          = "analysis_cost"
	mFallbacks     = "model_fallbacks"
	mEffects       = "effects"
	mTenantSync    = "tenant_sync_failures"
	mBackups       = "backups"
	mCalendars     = "calendars"
	mSchedules     = "schedule_failures"
)

// logMetrics lists them all.
var logMetrics = []logMetric{
	{name: mRequests, title: "Requests served", resource: ofService, events: []string{t.HTTPServed}, labels: []string{t.Outcome}},
	{name: mSeconds, title: "Time to serve a request", resource: ofService, events: []string{t.HTTPServed}, value: t.Seconds, unit: "s", bounds: secondsBounds},
	{name: mRefused, title: "Requests refused (4xx)", resource: ofService, events: []string{t.RequestRefused}, labels: []string{t.Reason}},
	{name: mErrors, title: "Errors of the platform's own", resource: ofService, events: []string{t.RequestFailed, t.ServicePanic, t.ServiceStopped}, labels: []string{t.Event}},
	{name: mAccepted, title: "Enquiries accepted", resource: ofService, events: []string{t.RequestAccepted}, labels: []string{t.Channel, t.Outcome}},
	{name: mUnsent, title: "Enquiries accepted, but not enqueued", resource: ofService, events: []string{t.RequestUnsent}},
	{name: mStages, title: "Stages, by how they went", resource: ofService, events: []string{t.StageDone, t.StageRetried, t.StageDead, t.StageUnknown, t.StageSwept}, labels: []string{t.Event, t.Stage, t.Channel}},
	{name: mStageSeconds, title: "Time of a stage", resource: ofService, events: []string{t.StageDone}, labels: []string{t.Stage, t.Channel}, value: t.Seconds, unit: "s", bounds: secondsBounds},
	{name: mCompleted, title: "Time from acceptance to completion", resource: ofService, events: []string{t.RequestCompleted}, labels: []string{t.Channel}, value: t.Seconds, unit: "s", bounds: secondsBounds},
	{name: mDecisions, title: "Decisions", resource: ofService, events: []string{t.RequestDecided}, labels: []string{t.Channel, t.Outcome}},
	{name: mSpam, title: "Spam likelihood", resource: ofService, events: []string{t.RequestDecided}, filter: "jsonPayload." + t.SpamLikelihood + ">=0", value: t.SpamLikelihood, unit: "%", bounds: percentBounds},
	{name: mRecordings, title: "Recordings and pictures fetched", resource: ofService, events: []string{t.RecordingStored, t.RecordingFailed, t.PictureKept, t.PictureFailed}, labels: []string{t.Event, t.Outcome}},
	{name: mTranscription, title: "Time from the recording to its transcript", resource: ofService, events: []string{t.TranscriptionDone}, labels: []string{t.Outcome}, value: t.Seconds, unit: "s", bounds: secondsBounds},
	{name: mDocuments, title: "Documents read", resource: ofService, events: []string{t.DocumentRead, t.DocumentFailed}, labels: []string{t.Event, t.Outcome}},
	{name: mChats, title: "Answers of the chat's assistant", resource: ofService, events: []string{t.ChatAnswered, t.ChatFailed, t.ChatExhausted}, labels: []string{t.Event, t.Model}},
	{name: mUntranscribed, title: "Transcriptions failed", resource: ofService, events: []string{t.TranscriptionFailed}, labels: []string{t.Outcome}},
	{name: mAnalysis, title: "Time of an analysis", resource: ofService, events: []string{t.AnalysisDone}, labels: []string{t.Channel, t.Model, t.Outcome}, value: t.Seconds, unit: "s", bounds: secondsBounds},
	{name: mUnanalysed, title: "Analyses failed", resource: ofService, events: []string{t.AnalysisFailed}, labels: []string{t.Channel, t.Model}},
	{name: mInputTokens, title: "Input tokens of an analysis", resource: ofService, events: []string{t.AnalysisDone}, labels: []string{t.Model}, value: t.InputTokens, unit: "1", bounds: tokenBounds},
	{name: mOutputTokens, title: "Output tokens of an analysis", resource: ofService, events: []string{t.AnalysisDone}, labels: []string{t.Model}, value: t.OutputTokens, unit: "1", bounds: tokenBounds},
	// What was paid for an analysis or an answer that failed in the end counts too.
	{name: mCost, title: "Cost of an analysis or an answer", resource: ofService, events: []string{t.AnalysisDone, t.AnalysisFailed, t.ChatAnswered, t.ChatFailed}, filter: "jsonPayload." + t.CostUSD + ">=0", labels: []string{t.Model}, value: t.CostUSD, unit: "USD", bounds: costBounds},
	{name: mFallbacks, title: "Analyses with another model than asked for", resource: ofService, events: []string{t.AnalysisFallback}, labels: []string{t.Model}},
	{name: mEffects, title: "CRM and mail", resource: ofService, events: []string{t.CRMPushed, t.CRMRetry, t.CRMFailed, t.CRMParked,
		t.EmailSent, t.EmailRetry, t.EmailUnknown, t.EmailFailed, t.EmailParked, t.EmailSuppressed}, labels: []string{t.Event}},
	{name: mTenantSync, title: "Tenants not synced", resource: ofJob, events: []string{t.TenantSyncFailed, t.ServiceStopped}, labels: []string{t.Event}},
	{name: mBackups, title: "Backups", resource: ofService, events: []string{t.BackupCreated, t.BackupMissing, t.BackupFailed}, labels: []string{t.Event}},
	{name: mCalendars, title: "Calendars", resource: ofService, events: []string{t.CalendarSynced, t.CalendarSyncFailed, t.CalendarEventSkipped,
		t.CalendarNotified, t.CalendarUnsent, t.ChannelOpened, t.ChannelClosed}, labels: []string{t.Event}},
	// Cloud Scheduler's own lines: it logs an error for each attempt that was
	// not answered 2xx. https://cloud.google.com/scheduler/docs/monitoring
	{name: mSchedules, title: "Scheduled calls that failed", resource: ofScheduler, filter: "severity>=ERROR"},
}

// metricType returns the type of a log-based metric in Cloud Monitoring.
func metricType(name string) string { return "logging.googleapis.com/user/" + metricID(name) }

// metricID returns its id in Cloud Logging.
func metricID(name string) string { return app + "/" + name }

// promName returns the metric's name in PromQL.
// https://cloud.google.com/monitoring/promql/promql-mapping
func promName(name string) string { return "logging_googleapis_com:user_" + app + "_" + name }

// query is the filter of the metric's lines.
func (m logMetric) query() string {
	parts := []string{fmt.Sprintf("resource.type=%q", m.resource)}
	if len(m.events) > 0 {
		parts = append(parts, "jsonPayload."+t.Event+"="+anyOf(m.events))
	}
	if m.filter != "" {
		parts = append(parts, m.filter)
	}
	return strings.Join(parts, " AND ")
}

// extractors say where each label's value stands in a line.
func (m logMetric) extractors() map[string]string {
	all := map[string]string{}
	for _, field := range m.labels {
		all[field] = "EXTRACT(jsonPayload." + field + ")"
	}
	if len(m.events) > 0 { // lines of our own
		for _, key := range []string{t.LabelService, t.LabelTenant} {
			all[key] = "EXTRACT(labels." + key + ")"
		}
	}
	return all
}

// registerLogMetrics makes them. A metric's name and kind are for good: what
// was counted is lost when it is made anew.
func (p *program) registerLogMetrics() error {
	for _, m := range logMetrics {
		extractors := m.extractors()
		descriptor := &logging.MetricMetricDescriptorArgs{
			DisplayName: pulumi.String(m.title),
			MetricKind:  pulumi.String("DELTA"),
			ValueType:   pulumi.String("INT64"),
			Unit:        pulumi.String("1"),
		}
		var labels logging.MetricMetricDescriptorLabelArray
		for _, key := range slices.Sorted(maps.Keys(extractors)) {
			labels = append(labels, &logging.MetricMetricDescriptorLabelArgs{Key: pulumi.String(key), ValueType: pulumi.String("STRING")})
		}
		descriptor.Labels = labels
		args := &logging.MetricArgs{
			Project:          pulumi.String(p.cfg.Project),
			Name:             pulumi.String(metricID(m.name)),
			Filter:           pulumi.String(m.query()),
			LabelExtractors:  pulumi.ToStringMap(extractors),
			MetricDescriptor: descriptor,
		}
		if m.value != "" {
			descriptor.ValueType = pulumi.String("DISTRIBUTION")
			descriptor.Unit = pulumi.String(m.unit)
			args.ValueExtractor = pulumi.String("EXTRACT(jsonPayload." + m.value + ")")
			args.BucketOptions = &logging.MetricBucketOptionsArgs{
				ExplicitBuckets: &logging.MetricBucketOptionsExplicitBucketsArgs{Bounds: pulumi.ToFloat64Array(m.bounds)},
			}
		}
		metric, err := logging.NewMetric(p.ctx, "metric-"+strings.ReplaceAll(m.name, "_", "-"), args, p.watching, p.needs(apiLogging))
		if err != nil {
			return err
		}
		p.metrics = append(p.metrics, metric)
	}
	return nil
}
