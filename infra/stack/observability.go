package stack

import (
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// MonitoringConfig says how the platform is watched: what is kept of its logs,
// what raises an alarm and whom it reaches. docs/monitoring.md describes it.
type MonitoringConfig struct {
	Enabled    bool                     `json:"enabled"`    // false registers nothing of this
	Alerting   bool                     `json:"alerting"`   // false: metrics, objectives and dashboards, but no alerts, which cost by the condition
	RunbookURL string                   `json:"runbookUrl"` // of docs/runbooks.md as operators reach it; each alert adds its #anchor
	Channels   map[string]ChannelConfig `json:"channels"`   // by a name of yours; none: alerts are seen in the console only
	Logs       LogsConfig               `json:"logs"`
	Uptime     UptimeConfig             `json:"uptime"`
	Alerts     map[string]AlertConfig   `json:"alerts"` // by alert, see alerts in observability_alerts.go
	SLOs       map[string]SLOConfig     `json:"slos"`   // by objective: availability, forms, analysis, transcription
	SLODays    int                      `json:"sloDays"`
}

// LogsConfig says where logs are kept and how long.
type LogsConfig struct {
	RetentionDays      int  `json:"retentionDays"`      // of what the services log
	AuditRetentionDays int  `json:"auditRetentionDays"` // of audit logs, to be searched; 0 = only where AuditConfig archives them
	LockAudit          bool `json:"lockAudit"`          // cannot be undone: nobody can shorten it or delete the bucket
}

// UptimeConfig describes the probe of the public address from outside.
type UptimeConfig struct {
	Enabled bool     `json:"enabled"`
	Host    string   `json:"host"`   // "" = the edge's first domain, or the gateway's own
	Period  duration `json:"period"` // 60s, 300s, 600s or 900s
}

// AlertConfig adjusts one alert.
type AlertConfig struct {
	Threshold float64 `json:"threshold"` // in the alert's own unit
	Disabled  bool    `json:"disabled"`
}

// SLOConfig adjusts one objective.
type SLOConfig struct {
	Goal     float64 `json:"goal"` // fraction of requests, 0.999
	Disabled bool    `json:"disabled"`
}

func defaultMonitoring() MonitoringConfig {
	c := MonitoringConfig{
		Enabled:    true,
		Alerting:   true,
		RunbookURL: "docs/runbooks.md",
		Channels:   map[string]ChannelConfig{},
		Logs:       LogsConfig{RetentionDays: 30},
		Uptime:     UptimeConfig{Enabled: true, Period: seconds(60)},
		Alerts:     map[string]AlertConfig{},
		SLOs:       map[string]SLOConfig{},
		SLODays:    28,
	}
	for _, a := range alerts {
		c.Alerts[a.name] = AlertConfig{Threshold: a.threshold}
	}
	for _, o := range objectives {
		c.SLOs[o.name] = SLOConfig{Goal: o.goal}
	}
	return c
}

// runbookPath is where the runbooks are if nobody says how operators reach
// them: a path in this repository, which is no link.
var runbookPath = regexp.MustCompile(`^[A-Za-z0-9._/-]+\.md$`)

var hostName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$`)

func (c MonitoringConfig) validate(errs *problems) {
	const path = "ingestion:monitoring"
	if u, err := url.Parse(c.RunbookURL); !runbookPath.MatchString(c.RunbookURL) &&
		(err != nil || u.Scheme != "https" || u.Host == "" || u.Fragment != "") {
		errs.add(path+".runbookUrl", "must be an https URL without a fragment, not %q", c.RunbookURL)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Channels)) {
		c.Channels[name].validate(path+".channels."+name, name, errs)
	}
	const maxRetention = 3650 // https://cloud.google.com/logging/quotas: 1 to 3650 days
	if d := c.Logs.RetentionDays; d < 1 || d > maxRetention {
		errs.add(path+".logs.retentionDays", "must be 1 to %d, not %d", maxRetention, d)
	}
	if d := c.Logs.AuditRetentionDays; d < 0 || d > maxRetention {
		errs.add(path+".logs.auditRetentionDays", "must be 0 to %d, not %d", maxRetention, d)
	}
	if c.Logs.LockAudit && c.Logs.AuditRetentionDays == 0 {
		errs.add(path+".logs.lockAudit", "needs auditRetentionDays")
	}
	if c.Uptime.Host != "" && !hostName.MatchString(c.Uptime.Host) {
		errs.add(path+".uptime.host", "must be a host name without scheme and path, not %q", c.Uptime.Host)
	}
	if !slices.Contains([]duration{seconds(60), seconds(300), seconds(600), seconds(900)}, c.Uptime.Period) {
		errs.add(path+".uptime.period", "must be 60s, 300s, 600s or 900s, not %s", c.Uptime.Period)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Alerts)) {
		at := path + ".alerts." + name
		a := findAlert(name)
		if a == nil {
			errs.add(at, "no such alert; known are %s", strings.Join(alertNames(), ", "))
			continue
		}
		if t := c.Alerts[name].Threshold; t < 0 || t > a.most() {
			errs.add(at+".threshold", "must be 0 to %v %s, not %v", a.most(), a.unit, t)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.SLOs)) {
		at := path + ".slos." + name
		if !slices.ContainsFunc(objectives, func(o objective) bool { return o.name == name }) {
			errs.add(at, "no such objective; known are availability, forms, analysis, transcription")
			continue
		}
		if g := c.SLOs[name].Goal; g <= 0 || g > 0.9999 { // the API takes up to 99.99 %
			errs.add(at+".goal", "must be above 0, up to 0.9999, not %v", g)
		}
	}
	if c.SLODays < 1 || c.SLODays > 30 {
		errs.add(path+".sloDays", "must be 1 to 30, not %d", c.SLODays)
	}
}

// hasSecrets tells whether a channel holds one.
func (c MonitoringConfig) hasSecrets() bool {
	for _, channel := range c.Channels {
		if channel.Secret != nil {
			return true
		}
	}
	return false
}

// runbook returns where the runbook of an alert is.
func (c MonitoringConfig) runbook(alert string) string { return c.RunbookURL + "#" + alert }

// registerMetrics makes the log buckets, the sinks and the log-based metrics.
// They come early: an alert on a metric that was made a moment ago is refused
// until the metric is known everywhere, which may take minutes, and the
// services in between take those.
func (p *program) registerMetrics() error {
	if !p.cfg.Monitoring.Enabled {
		return nil
	}
	family, err := p.component("observability", "observability")
	if err != nil {
		return err
	}
	p.watching = family
	if err := p.registerLogs(); err != nil {
		return err
	}
	return p.registerLogMetrics()
}

// registerMonitoring makes what watches, once all that is watched is there.
func (p *program) registerMonitoring() error {
	if !p.cfg.Monitoring.Enabled {
		return nil
	}
	for _, register := range []func() error{
		p.registerChannels,
		p.registerUptime,
		p.registerSLOs,
		p.registerAlerts,
		p.registerDashboards,
	} {
		if err := register(); err != nil {
			return err
		}
	}
	return nil
}

// monitored is what resources of Cloud Monitoring have in common: the family
// they belong to and the API that has to be there.
func (p *program) monitored(more ...pulumi.ResourceOption) []pulumi.ResourceOption {
	return append([]pulumi.ResourceOption{p.watching, p.needs(apiMonitoring)}, more...)
}
