package stack

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/monitoring"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	t "ingestion.internal/shared/telemetry"
	"ingestion.internal/shared/topology"
)

// severities of alerts, the gravest first: what has to be mended now, what has
// to be mended today, and what to look at.
var severities = []string{"CRITICAL", "ERROR", "WARNING"}

// alert is one alert policy. Its name is the key in config and the anchor of
// its section in docs/runbooks.md.
type alert struct {
	name      string
	title     string
	why       string // what it means to the tenants, in the notification
	severity  string
	threshold float64
	unit      string // of the threshold, for people and for its bounds
	// conditions returns what raises the alarm; none, and there is no alert.
	conditions func(p *program, threshold float64) []condition
}

const (
	minutes = 60
	hours   = 60 * minutes
	days    = 24 * hours
)

// Units of thresholds.
const (
	percent      = "percent"
	events       = "events"
	milliseconds = "milliseconds"
	secondsUnit  = "seconds"
	tasks        = "tasks"
	daysUnit     = "days"
	times        = "times"
	gibibytes    = "GiB a month"
	dollars      = "USD a month"
)

// most is the largest threshold that makes sense.
func (a alert) most() float64 {
	if a.unit == percent {
		return 100
	}
	return 1e9
}

var (
	byTenant  = []string{"metric.label." + t.LabelTenant}
	byService = []string{"metric.label." + t.LabelService}
)

// is is a comparison in a filter of metrics.
func is(label, value string) string { return fmt.Sprintf("metric.labels.%s=%q", label, value) }

// isOneOf compares with several values.
func isOneOf(label string, values ...string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = strconv.Quote(v)
	}
	return fmt.Sprintf("metric.labels.%s=one_of(%s)", label, strings.Join(quoted, ","))
}

// eq is a label matcher in PromQL.
func eq(label, value string) string { return fmt.Sprintf("%s=%q", label, value) }

// alerts lists them. Thresholds are the mission's where it names one; the
// others are starting points to be set by what a month of traffic shows.
var alerts = []alert{
	{
		name: "webhook-failures", title: "Webhooks fail", severity: "CRITICAL", threshold: 5, unit: percent,
		why: "CallRail does not send a call again that was not answered 2xx: each failure is a lost lead.",
		conditions: func(_ *program, limit float64) []condition {
			of := func(more ...string) string {
				return "sum(increase(" + prom(mRequests, "", append([]string{eq(t.LabelService, topology.WebhookProcessor)}, more...)...) + "[5m]))"
			}
			return []condition{asked("More than the share of CallRail's webhooks answered 5xx",
				fmt.Sprintf("100 * %s / %s > %g", of(eq(t.Outcome, t.Failed)), of(), limit), 1*minutes, 1*minutes)}
		},
	},
	{
		name: "webhook-refusals", title: "Webhooks are refused", severity: "ERROR", threshold: 10, unit: events,
		why: "Webhooks that cannot be authenticated are refused. If a tenant's signing key is wrong, all of that tenant's calls are lost.",
		conditions: func(_ *program, limit float64) []condition {
			return []condition{counted("Webhooks answered 401 within 15 minutes", mRefused, ofService, 15*minutes, limit, byService,
				is(t.LabelService, topology.WebhookProcessor), is(t.Reason, "unauthorized"))}
		},
	},
	{
		name: "latency", title: "The public services are slow", severity: "ERROR", threshold: 500, unit: milliseconds,
		why: "Callers wait, and CallRail gives up at a time that it does not publish.",
		conditions: func(_ *program, limit float64) []condition {
			public := fmt.Sprintf("%s=~%q", t.LabelService, strings.Join(publicServices(), "|"))
			return []condition{asked("Mean time to answer, by service", fmt.Sprintf(
				"1000 * sum by (%[1]s) (increase(%[2]s[5m])) / sum by (%[1]s) (increase(%[3]s[5m])) > %[4]g",
				t.LabelService, prom(mSeconds, "_sum", public), prom(mSeconds, "_count", public), limit), 1*minutes, 5*minutes)}
		},
	},
	{
		name: "service-errors", title: "A service fails", severity: "ERROR", threshold: 20, unit: events,
		why: "Requests end in 5xx, panics, or a process that stops.",
		conditions: func(_ *program, limit float64) []condition {
			return []condition{counted("Errors of one service within 10 minutes", mErrors, ofService, 10*minutes, limit, byService)}
		},
	},
	{
		name: "gateway-down", title: "The gateway does not answer", severity: "CRITICAL", threshold: 1, unit: "regions",
		why: "Nothing gets in: webhooks and forms are lost until it answers again.",
		conditions: func(p *program, limit float64) []condition {
			if p.uptime == nil {
				return nil
			}
			return []condition{{
				name:   "Probed from more than the number of regions in vain",
				filter: p.ofUptimeCheck("monitoring.googleapis.com/uptime_check/check_passed"),
				align:  "ALIGN_NEXT_OLDER", period: 20 * minutes, reduce: "REDUCE_COUNT_FALSE", groups: []string{"resource.label.host"},
				limit: limit, duration: 1 * minutes,
			}}
		},
	},
	{
		name: "certificate-expiry", title: "The certificate expires", severity: "ERROR", threshold: 15, unit: daysUnit,
		why: "Managed certificates are renewed long before; this one was not. From the day it expires no caller connects.",
		conditions: func(p *program, limit float64) []condition {
			if p.uptime == nil {
				return nil
			}
			return []condition{{
				name:   "Days until the certificate of the public address expires",
				filter: p.ofUptimeCheck("monitoring.googleapis.com/uptime_check/time_until_ssl_cert_expires"),
				align:  "ALIGN_NEXT_OLDER", period: 20 * minutes, reduce: "REDUCE_MIN", groups: []string{"resource.label.host"},
				below: true, limit: limit, duration: 10 * minutes,
			}}
		},
	},
	{
		name: "recording-downloads", title: "Recordings or pictures cannot be fetched", severity: "ERROR", threshold: 3, unit: events,
		why: "Calls are analysed without what was said, or wait for another attempt. CallRail keeps recordings, so they can be fetched later; pictures of texts it does not keep for long.",
		conditions: func(_ *program, limit float64) []condition {
			return []condition{counted("Failed downloads of one tenant within 15 minutes", mRecordings, ofService, 15*minutes, limit, byTenant, isOneOf(t.Event, t.RecordingFailed, t.PictureFailed))}
		},
	},
	{
		name: "transcription-failures", title: "Transcription fails", severity: "ERROR", threshold: 3, unit: events,
		why: "Calls are analysed without what was said, or wait for another attempt.",
		conditions: func(_ *program, limit float64) []condition {
			return []condition{counted("Failed transcriptions within 15 minutes", mUntranscribed, ofService, 15*minutes, limit, []string{"metric.label." + t.Outcome})}
		},
	},
	{
		name: "document-failures", title: "Documents cannot be read", severity: "ERROR", threshold: 3, unit: events,
		why: "Forms are analysed without what is in their files, or wait for another attempt. The files are kept.",
		conditions: func(_ *program, limit float64) []condition {
			return []condition{counted("Documents that could not be read within 15 minutes", mDocuments, ofService, 15*minutes, limit, []string{"metric.label." + t.Outcome}, is(t.Event, t.DocumentFailed))}
		},
	},
	{
		name: "analysis-failures", title: "Analyses fail", severity: "ERROR", threshold: 10, unit: percent,
		why: "Leads wait for their score, and end as dead letters if the model does not come back.",
		conditions: func(_ *program, limit float64) []condition {
			failed, done := "sum(increase("+prom(mUnanalysed, "")+"[15m]))", "sum(increase("+prom(mAnalysis, "_count")+"[15m]))"
			return []condition{asked("Share of analyses that fail", fmt.Sprintf(
				"100 * %[1]s / (%[1]s + (%[2]s or vector(0))) > %[3]g and %[1]s > 3", failed, done, limit), 1*minutes, 5*minutes)}
		},
	},
	{
		name: "chat-failures", title: "The chat's assistant does not answer", severity: "WARNING", threshold: 5, unit: events,
		why: "Visitors read that a colleague will get back to them. What they write is taken in all the same.",
		conditions: func(_ *program, limit float64) []condition {
			return []condition{counted("Answers that failed within 15 minutes", mChats, ofService, 15*minutes, limit, []string{"metric.label." + t.Model}, is(t.Event, t.ChatFailed))}
		},
	},
	{
		name: "chat-exhausted", title: "A tenant's assistant has given its answers of the day", severity: "WARNING", threshold: 0, unit: events,
		why: "Until midnight UTC its visitors read the acknowledgement only; what they write is taken in all the same. Either the chat is in great demand, or somebody has it answer for nothing.",
		conditions: func(_ *program, limit float64) []condition {
			return []condition{counted("Times that a tenant's answers of the day were used up", mChats, ofService, 1*hours, limit, byTenant, is(t.Event, t.ChatExhausted))}
		},
	},
	{
		name: "model-fallback", title: "A model is not available", severity: "WARNING", threshold: 0, unit: events,
		why: "A tenant's workflow names a model that is retired or not served here. The stack's model did the work; the workflow has to be corrected.",
		conditions: func(_ *program, limit float64) []condition {
			return []condition{counted("Analyses of a tenant within an hour made with another model than its workflow names", mFallbacks, ofService, 1*hours, limit, append([]string{"metric.label." + t.Model}, byTenant...))}
		},
	},
	{
		name: "spam-anomaly", title: "Unusually much spam", severity: "WARNING", threshold: 3, unit: times,
		why: "Either somebody floods a tenant, or good leads are being held back as spam.",
		conditions: func(_ *program, limit float64) []condition {
			share := func(window string) string {
				return fmt.Sprintf("(sum by (%[1]s) (increase(%[2]s[%[4]s])) / sum by (%[1]s) (increase(%[3]s[%[4]s])))",
					t.LabelTenant, prom(mDecisions, "", eq(t.Outcome, "spam")), prom(mDecisions, ""), window)
			}
			// A handful of requests says nothing about shares.
			enough := fmt.Sprintf("sum by (%s) (increase(%s[1h])) > 20", t.LabelTenant, prom(mDecisions, ""))
			return []condition{asked("A tenant's share of spam in the last hour is a multiple of the day's",
				fmt.Sprintf("%s > %g * %s and %s", share("1h"), limit, share("1d"), enough), 5*minutes, 10*minutes)}
		},
	},
	{
		name: "crm-errors", title: "A CRM does not take leads", severity: "ERROR", threshold: 3, unit: events,
		why: "Leads are decided but not in the tenant's CRM. They wait and are delivered once it takes them.",
		conditions: func(_ *program, limit float64) []condition {
			return []condition{counted("Failed deliveries of one tenant within 15 minutes", mEffects, ofService, 15*minutes, limit, byTenant, isOneOf(t.Event, t.CRMFailed, t.CRMParked))}
		},
	},
	{
		name: "email-errors", title: "Mail about leads is not sent", severity: "ERROR", threshold: 3, unit: events,
		why: "Nobody at the tenant hears of new leads.",
		conditions: func(_ *program, limit float64) []condition {
			return []condition{counted("Failed mails of one tenant within 15 minutes", mEffects, ofService, 15*minutes, limit, byTenant, isOneOf(t.Event, t.EmailFailed, t.EmailParked))}
		},
	},
	{
		name: "dead-letters", title: "Requests have failed for good", severity: "ERROR", threshold: 0, unit: events,
		why: "A request ran out of attempts. It is kept with its cause, and goes on only if somebody replays it.",
		conditions: func(_ *program, limit float64) []condition {
			return []condition{counted("Dead letters of a stage within 5 minutes", mStages, ofService, 5*minutes, limit, []string{"metric.label." + t.Stage}, isOneOf(t.Event, t.StageDead, t.StageUnknown))}
		},
	},
	{
		name: "queue-depth", title: "Tasks pile up", severity: "ERROR", threshold: 1000, unit: tasks,
		why: "A stage does not keep up: every lead behind is late.",
		conditions: func(_ *program, limit float64) []condition {
			return []condition{{
				name: "Tasks in one queue", filter: pulumi.String(where("cloudtasks.googleapis.com/queue/depth", "cloud_tasks_queue", ofQueues())),
				align: "ALIGN_MEAN", period: 1 * minutes, reduce: "REDUCE_SUM", groups: []string{"resource.label.queue_id"}, limit: limit, duration: 10 * minutes,
			}}
		},
	},
	{
		name: "queue-age", title: "Tasks wait", severity: "ERROR", threshold: 60, unit: secondsUnit,
		why: "Tasks are dispatched long after they were due.",
		conditions: func(_ *program, limit float64) []condition {
			return []condition{{
				// In milliseconds.
				name: "Delay of the slowest twentieth of one queue's dispatches", filter: pulumi.String(where("cloudtasks.googleapis.com/queue/task_attempt_delays", "cloud_tasks_queue", ofQueues())),
				align: "ALIGN_PERCENTILE_95", period: 5 * minutes, reduce: "REDUCE_MAX", groups: []string{"resource.label.queue_id"}, limit: 1000 * limit, duration: 10 * minutes,
			}}
		},
	},
	{
		name: "outbox", title: "Stages lose their tasks", severity: "WARNING", threshold: 20, unit: events,
		why: "The sweeper enqueues again what was not enqueued, or whose worker died. Nothing is lost, but something is wrong with Cloud Tasks or a worker.",
		conditions: func(_ *program, limit float64) []condition {
			return []condition{
				counted("Stages enqueued again within 15 minutes", mStages, ofService, 15*minutes, limit, []string{"metric.label." + t.Stage}, is(t.Event, t.StageSwept)),
				counted("Enquiries accepted without a task within 15 minutes", mUnsent, ofService, 15*minutes, limit, byService),
			}
		},
	},
	{
		name: "spanner-cpu", title: "Spanner is busy", severity: "ERROR", threshold: 65, unit: percent,
		why: "Above 65 % of a regional instance's CPU Google promises no latencies; everything that is accepted goes through it.",
		conditions: func(p *program, limit float64) []condition {
			return []condition{{
				// https://cloud.google.com/spanner/docs/cpu-utilization#recommended-max
				name: "CPU of high priority", filter: pulumi.String(where("spanner.googleapis.com/instance/cpu/utilization_by_priority", "spanner_instance",
					fmt.Sprintf("resource.labels.instance_id=%q", p.cfg.Spanner.Instance), is("priority", "high"))),
				align: "ALIGN_MAX", period: 1 * minutes, reduce: "REDUCE_SUM", groups: []string{"resource.label.instance_id"}, limit: limit / 100, duration: 10 * minutes,
			}, {
				name: "CPU of all priorities, smoothed over a day", filter: pulumi.String(where("spanner.googleapis.com/instance/cpu/smoothed_utilization", "spanner_instance",
					fmt.Sprintf("resource.labels.instance_id=%q", p.cfg.Spanner.Instance))),
				align: "ALIGN_MAX", period: 1 * minutes, reduce: "REDUCE_SUM", groups: []string{"resource.label.instance_id"}, limit: 0.9, duration: 10 * minutes,
			}}
		},
	},
	{
		name: "spanner-storage", title: "Spanner's storage fills", severity: "ERROR", threshold: 75, unit: percent,
		why: "An instance that reaches the limit of its compute capacity takes no more writes.",
		conditions: func(p *program, limit float64) []condition {
			return []condition{{
				name: "Storage used of what the instance may hold", filter: pulumi.String(where("spanner.googleapis.com/instance/storage/utilization", "spanner_instance",
					fmt.Sprintf("resource.labels.instance_id=%q", p.cfg.Spanner.Instance))),
				align: "ALIGN_MAX", period: 5 * minutes, reduce: "REDUCE_MAX", groups: []string{"resource.label.instance_id"}, limit: limit / 100, duration: 10 * minutes,
			}}
		},
	},
	{
		name: "schedule-failures", title: "Scheduled calls fail", severity: "ERROR", threshold: 2, unit: events,
		why: "What runs by the clock did not run, or not to its end.",
		conditions: func(_ *program, limit float64) []condition {
			return []condition{counted("Failed calls of one schedule within 15 minutes", mSchedules, ofScheduler, 15*minutes, limit, []string{"resource.label.job_id"})}
		},
	},
	{
		name: "schedule-missed", title: "Scheduled calls stay away", severity: "ERROR", threshold: 15, unit: "minutes",
		why: "A schedule that runs every few minutes has called nobody: it is paused, gone, or may not call.",
		conditions: func(p *program, limit float64) []condition {
			var missed []condition
			for _, w := range catalog {
				if w.schedule == nil || p.cfg.Schedules[w.name].Paused {
					continue
				}
				every := interval(p.cfg.Schedules[w.name].Cron)
				wait := max(int(limit)*minutes, 3*every)
				if every == 0 || wait > maxAbsence {
					continue // rarer ones are known by what they log
				}
				missed = append(missed, condition{
					name:   "Nobody has called " + w.name,
					filter: pulumi.String(where(metricType(mRequests), ofService, is(t.LabelService, w.name))),
					align:  "ALIGN_DELTA", period: 1 * minutes, reduce: "REDUCE_SUM", groups: byService, missing: true, duration: wait,
				})
			}
			return missed
		},
	},
	{
		name: "backups", title: "A backup is missing", severity: "CRITICAL", threshold: 0, unit: events,
		why: "Point-in-time recovery reaches back days only; beyond it, data that is damaged or deleted cannot be brought back.",
		conditions: func(_ *program, limit float64) []condition {
			return []condition{counted("Backups failed or missing within an hour", mBackups, ofService, 1*hours, limit, []string{"metric.label." + t.Event}, isOneOf(t.Event, t.BackupFailed, t.BackupMissing))}
		},
	},
	{
		name: "tenant-sync", title: "Tenants are not in the database", severity: "ERROR", threshold: 0, unit: events,
		why: "What the config says of a tenant is not what the handlers do.",
		conditions: func(_ *program, limit float64) []condition {
			return []condition{counted("Tenants not synced within 5 minutes", mTenantSync, ofJob, 5*minutes, limit, byTenant)}
		},
	},
	{
		name: "calendars", title: "A tenant's calendar is not followed", severity: "ERROR", threshold: 5, unit: events,
		why: "Bookings in it do not become leads, nor do their moves and cancellations follow, until it can be read again. A channel that cannot be renewed shows here a day before it ends.",
		conditions: func(_ *program, limit float64) []condition {
			return []condition{counted("Turns at calendars that failed within an hour", mCalendars, ofService, 1*hours, limit, byTenant, isOneOf(t.Event, t.CalendarSyncFailed))}
		},
	},
	{
		name: "instances", title: "A service has no instances left", severity: "WARNING", threshold: 90, unit: percent,
		why: "At its largest number of instances a service answers 429, and queues grow.",
		conditions: func(p *program, limit float64) []condition {
			var busy []string
			for _, w := range catalog {
				if size := p.cfg.Services[w.name]; !w.job && size.MaxInstances > 1 {
					busy = append(busy, fmt.Sprintf(`sum by (service_name) (run_googleapis_com:container_instance_count{monitored_resource="cloud_run_revision",service_name=%q}) > %g`,
						w.name, limit/100*float64(size.MaxInstances)))
				}
			}
			return []condition{asked("Instances of a service, of its largest number", strings.Join(busy, " or "), 1*minutes, 10*minutes)}
		},
	},
	{
		name: "model-cost", title: "The model will cost more than planned", severity: "WARNING", threshold: 4000, unit: dollars,
		why: "At the last day's rate, the month's tokens cost more than the plan has for them. The bill says so a day later only.",
		conditions: func(_ *program, limit float64) []condition {
			return []condition{asked("What the analyses of the last day cost, times 30",
				fmt.Sprintf("%s > %g", modelCost("1d", 30), limit), 15*minutes, 0)}
		},
	},
	{
		name: "log-volume", title: "Logs cost money", severity: "WARNING", threshold: 50, unit: gibibytes,
		why: "Beyond 50 GiB a month a project pays for its logs. Something may be logging in a loop.",
		conditions: func(_ *program, limit float64) []condition {
			return []condition{{
				name: "Logs stored since the month began", filter: pulumi.String(where("logging.googleapis.com/billing/monthly_bytes_ingested", "global")),
				align: "ALIGN_MAX", period: 30 * minutes, reduce: "REDUCE_SUM", limit: limit * (1 << 30), duration: 0,
			}}
		},
	},
}

// maxAbsence is how long a series may be watched for its absence.
// https://cloud.google.com/monitoring/alerts/metric-absence
const maxAbsence = 23*hours + 30*minutes

// modelCost is a query of what the model costs in a month, in USD, at the rate
// of a window that is so many times in one.
func modelCost(window string, times int) string {
	return fmt.Sprintf("%d * sum(increase(%s[%s]))", times, prom(mCost, "_sum"), window)
}

// publicServices are those that callers outside reach.
func publicServices() []string {
	var names []string
	for _, w := range catalog {
		if w.public || w.direct {
			names = append(names, w.name)
		}
	}
	return names
}

// ofQueues limits a filter to the platform's queues.
func ofQueues() string {
	var quoted []string
	for _, id := range topology.Queues {
		quoted = append(quoted, strconv.Quote(string(id)))
	}
	return "resource.labels.queue_id=one_of(" + strings.Join(quoted, ",") + ")"
}

// interval returns the seconds between two runs of a cron line that runs at
// least hourly, every hour of every day; 0 for any other.
func interval(cron string) int {
	fields := strings.Fields(cron)
	if len(fields) != 5 || strings.Join(fields[1:], " ") != "* * * *" {
		return 0
	}
	switch minute := fields[0]; {
	case minute == "*":
		return 1 * minutes
	case strings.HasPrefix(minute, "*/"):
		n, err := strconv.Atoi(minute[2:])
		if err != nil || n < 1 || n > 59 {
			return 0
		}
		return n * minutes
	default: // at certain minutes: once an hour, or more often
		return 1 * hours
	}
}

func findAlert(name string) *alert {
	for i := range alerts {
		if alerts[i].name == name {
			return &alerts[i]
		}
	}
	return nil
}

func alertNames() []string {
	var names []string
	for _, a := range alerts {
		names = append(names, a.name)
	}
	return names
}

// registerAlerts makes the policies. They come last: a policy on a metric that
// Cloud Monitoring does not know yet is refused.
func (p *program) registerAlerts() error {
	if !p.cfg.Monitoring.Alerting {
		return nil
	}
	for _, a := range alerts {
		c := p.cfg.Monitoring.Alerts[a.name]
		if c.Disabled {
			continue
		}
		conditions := a.conditions(p, c.Threshold)
		if len(conditions) == 0 {
			continue
		}
		about := fmt.Sprintf("%s\n\nThe threshold is %g %s (ingestion:monitoring.alerts.%s.threshold).", a.why, c.Threshold, a.unit, a.name)
		if err := p.registerAlarm(alarm{
			name: a.name, title: a.title, about: about, severity: a.severity, runbook: a.name, conditions: conditions,
		}); err != nil {
			return err
		}
	}
	return nil
}

// alarm is what alerts of all kinds have.
type alarm struct {
	name, title, about, severity string
	runbook                      string // anchor
	conditions                   []condition
	all                          bool // all conditions together, else any
}

func (p *program) registerAlarm(a alarm) error {
	runbook := p.cfg.Monitoring.runbook(a.runbook)
	documentation := &monitoring.AlertPolicyDocumentationArgs{
		MimeType: pulumi.String("text/markdown"),
		Subject:  pulumi.String(fmt.Sprintf("[%s] %s: %s", a.severity, p.cfg.Stack, a.title)),
		Content:  pulumi.String(a.about + "\n\nWhat to do: " + runbook),
	}
	if strings.HasPrefix(runbook, "https://") {
		documentation.Links = monitoring.AlertPolicyDocumentationLinkArray{
			&monitoring.AlertPolicyDocumentationLinkArgs{DisplayName: pulumi.String("Runbook"), Url: pulumi.String(runbook)},
		}
	}
	combiner := "OR"
	if a.all {
		combiner = "AND"
	}
	labels := p.labels("observability")
	labels["alert"] = pulumi.String(a.name)
	var conditions monitoring.AlertPolicyConditionArray
	for _, c := range a.conditions {
		conditions = append(conditions, c.args())
	}
	after := append([]pulumi.Resource{p.entrance}, p.metrics...)
	_, err := monitoring.NewAlertPolicy(p.ctx, "alert-"+a.name, &monitoring.AlertPolicyArgs{
		Project:              pulumi.String(p.cfg.Project),
		DisplayName:          pulumi.String("Ingestion " + p.cfg.Stack + ": " + a.title),
		Combiner:             pulumi.String(combiner),
		Severity:             pulumi.String(a.severity),
		Conditions:           conditions,
		Documentation:        documentation,
		NotificationChannels: p.channelsFor(a.severity),
		UserLabels:           labels,
		AlertStrategy:        &monitoring.AlertPolicyAlertStrategyArgs{AutoClose: pulumi.String(fmt.Sprintf("%ds", 1*days))},
	}, p.monitored(pulumi.DependsOn(after))...)
	return err
}
