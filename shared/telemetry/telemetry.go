// Package telemetry is the contract between what the services log and what the
// program in infra/stack counts, draws and alerts on. It is pure data: the
// handlers write these names, the log-based metrics match them, so a renamed
// field breaks a test and not a pager.
//
// A line that means something to an operator carries the field "event" with
// one of the values below. Beside it are the fields that the event's comment
// names. The tenant is no field but the label of package logging, because a
// label is indexed; it is absent where nobody proved whose the request was.
//
// Durations are numbers of seconds, so that a metric can extract them.
// Identifiers of requests are for reading, never for labels of metrics: their
// cardinality has no bound.
package telemetry

// Names of the fields of a line.
const (
	Event   = "event"
	Stage   = "stage"   // a topology.Stage
	Channel = "channel" // how the enquiry came in: a store.Request's CommunicationMode
	Outcome = "outcome" // how it went, from a small closed set that the event names
	Seconds = "seconds" // how long it took, as a number
	Reason  = "reason"  // a slug from a closed set, for grouping
	Model   = "model"   // of the analysis
	Count   = "count"   // how many, where one line stands for several
)

// LabelTenant and LabelService are the keys of the line's labels, written by
// package logging.
const (
	LabelTenant  = "tenant"
	LabelService = "service"
)

// Events of the frame of every service.
const (
	// HTTPServed is the line of each request but the probes: outcome (ok,
	// refused: 4xx, failed: 5xx), seconds, and httpRequest.
	HTTPServed = "http.served"
	// RequestRefused and RequestFailed precede it where the answer is a
	// problem document of the caller's (4xx) or of the platform's own fault
	// (5xx): reason is the problem's slug, such as unauthorized.
	RequestRefused = "request.refused"
	RequestFailed  = "request.failed"
	// ServicePanic is a panic that was caught; ServiceStopped a process that
	// ended with an error, a job that failed included.
	ServicePanic   = "service.panic"
	ServiceStopped = "service.stopped"
)

// Events of a request's way.
const (
	// RequestAccepted: durable; channel, and outcome (new, duplicate).
	RequestAccepted = "request.accepted"
	// RequestUnsent: durable, but its task was not made; the sweeper will.
	RequestUnsent = "request.unsent"
	// RequestDecided: the workflow's decision; channel, outcome (a
	// workflow.Outcome) and spam_likelihood (0-100, absent where unknown).
	RequestDecided = "request.decided"
	// RequestCompleted: the last stage is done; channel, and seconds since
	// the request was accepted.
	RequestCompleted = "request.completed"

	StageDone    = "stage.done"        // stage, channel, attempt, seconds of the attempt
	StageRetried = "stage.retried"     // an attempt failed, another follows: stage, channel, attempt, seconds, cause
	StageDead    = "stage.dead_letter" // no attempt follows: stage, channel, outcome (failed, dead_letter), cause
	StageUnknown = "stage.unknown"     // a task for a stage that is not in the database: stage
	StageSwept   = "stage.swept"       // the sweeper enqueued it again: stage
	SweepEnded   = "sweep.ended"       // outcome (ok, failed), found, enqueued, failed
)

// Events of phone calls and of the analysis.
const (
	RecordingStored = "recording.stored" // seconds of the download, bytes
	// RecordingFailed: outcome is retry if another attempt follows, lost if
	// the request goes on without its recording.
	RecordingFailed = "recording.failed"
	// TranscriptionDone: outcome (a speech.Status), and seconds since the
	// recording was there.
	TranscriptionDone   = "transcription.done"
	TranscriptionFailed = "transcription.failed" // outcome (retry, lost), seconds

	// DocumentRead: outcome (a documents.Status), seconds, bytes, pages.
	DocumentRead   = "document.read"
	DocumentFailed = "document.failed" // outcome (retry, lost), seconds

	// PictureKept: of a text message: bytes.
	PictureKept = "picture.kept"
	// PictureFailed: outcome is retry if another attempt follows, lost if the
	// conversation goes on without it.
	PictureFailed = "picture.failed"

	// AnalysisDone: channel, model, outcome (ok, repaired, fallback), seconds,
	// input_tokens, output_tokens, and cost_usd, which is absent where the
	// model's price is unknown.
	AnalysisDone = "analysis.done"
	// AnalysisFailed: the same, but no outcome. What it used is paid as well.
	AnalysisFailed = "analysis.failed"
	// AnalysisFallback: a tenant's model is not available, the stack's is used:
	// model (the tenant's), fallback (the stack's).
	AnalysisFallback = "analysis.model_fallback"
	// ChatAnswered is an answer of the chat's assistant: model, input_tokens,
	// output_tokens, cost_usd where the model's price is known, seconds.
	ChatAnswered = "chat.answered"
	// ChatFailed: the same, and a fixed sentence was said instead, or after what
	// had been said.
	ChatFailed = "chat.failed"
	// ChatExhausted: the tenant's assistant has given its answers of the day:
	// answers (how many). Once a day from each instance.
	ChatExhausted = "chat.exhausted"
)

// Events of a decision's effects. All have provider, and a cause unless it went
// well. Counts are of leads and mails, one line each.
const (
	CRMPushed = "crm.pushed" // seconds since the request was accepted
	CRMRetry  = "crm.retry"  // an attempt failed, another follows
	CRMFailed = "crm.failed" // no attempt follows
	CRMParked = "crm.parked" // put aside: the tenant has to mend its settings

	EmailSent       = "email.sent"       // seconds since the request was accepted
	EmailRetry      = "email.retry"      // an attempt failed, another follows
	EmailUnknown    = "email.unknown"    // nobody knows whether it was sent: the mail service is asked
	EmailFailed     = "email.failed"     // no attempt follows
	EmailParked     = "email.parked"     // put aside: the tenant has to mend its settings
	EmailSuppressed = "email.suppressed" // the recipient is not to get mail

	DispatchEnded = "dispatch.ended" // outcome (ok, failed), found, sent
)

// Events of periodic and administrative work.
const (
	TenantsSynced    = "tenants.synced"     // count of tenants
	TenantSyncFailed = "tenant.sync_failed" // one tenant; the others go on

	// CalendarSynced is a turn at a tenant's calendar that went well: seconds,
	// count of the events that were read and recorded, those that are bookings.
	// CalendarSyncFailed is any other, of which a part may have gone well:
	// reason (no_access, failed), failures in a row, cause.
	CalendarSynced     = "calendar.synced"
	CalendarSyncFailed = "calendar.sync_failed"
	// CalendarEventSkipped is an event that cannot be read: cause.
	CalendarEventSkipped = "calendar.event_skipped"
	ChannelOpened        = "calendar.channel_opened" // until
	ChannelClosed        = "calendar.channel_closed"
	// CalendarNotified is a notification: outcome (a calendar.State).
	CalendarNotified = "calendar.notified"
	// CalendarUnsent: durable, but its task was not made; the clock will see it.
	CalendarUnsent = "calendar.unsent"
	CalendarsEnded = "calendars.ended" // a run of the clock: outcome (ok, failed), found, failed

	BackupCreated = "backup.created" // a backup was asked for, and granted
	BackupMissing = "backup.missing" // the newest backup is older than it may be
	BackupFailed  = "backup.failed"  // no backup could be asked for or listed
)

// Fields of single events.
const (
	SpamLikelihood = "spam_likelihood"
	InputTokens    = "input_tokens"
	OutputTokens   = "output_tokens"
	CostUSD        = "cost_usd" // a number of US dollars
	Fallback       = "fallback"
	Bytes          = "bytes"
)

// Values of outcome that several events share.
const (
	OK      = "ok"
	Refused = "refused"
	Failed  = "failed"
	Retry   = "retry" // another attempt follows
	Lost    = "lost"  // given up, the request goes on without
)
