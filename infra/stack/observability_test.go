package stack

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ingestion.internal/infra/filter"
	"ingestion.internal/shared/telemetry"
	"ingestion.internal/shared/topology"
)

// entries reads what the services' own tests kept of their log, as Cloud
// Logging would make entries of it: by file and line. A line is of the
// workload that wrote it.
func entries(t *testing.T) map[string]map[string]any {
	t.Helper()
	var files []string
	for _, pattern := range []string{"../../functions/*/testdata/log.jsonl", "../../shared/*/testdata/log.jsonl"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	all := map[string]map[string]any{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(filepath.Dir(filepath.Dir(file)))
		n := 0
		for scanner := bufio.NewScanner(bytes.NewReader(text)); scanner.Scan(); {
			n++
			var line map[string]any
			if err := json.Unmarshal(scanner.Bytes(), &line); err != nil {
				t.Fatalf("%s:%d: %v", file, n, err)
			}
			resource := map[string]any{"type": ofService, "labels": map[string]any{"service_name": name}}
			if w := find(name); w != nil && w.job {
				resource = map[string]any{"type": ofJob, "labels": map[string]any{"job_name": name}}
			}
			all[fmt.Sprintf("%s:%02d", name, n)] = entryOf(line, resource)
		}
	}
	return all
}

// special are the fields of a line that Cloud Run's agent moves out of the
// payload. https://cloud.google.com/logging/docs/structured-logging
var special = map[string]string{
	"severity": "severity", "time": "timestamp", "httpRequest": "httpRequest",
	"logging.googleapis.com/labels": "labels", "logging.googleapis.com/trace": "trace", "logging.googleapis.com/spanId": "spanId",
}

func entryOf(line, resource map[string]any) map[string]any {
	payload := map[string]any{}
	entry := map[string]any{
		"logName": "projects/p/logs/run.googleapis.com%2Fstdout", "resource": resource, "jsonPayload": payload,
	}
	for key, value := range line {
		if moved, ok := special[key]; ok {
			entry[moved] = value
			continue
		}
		payload[key] = value
	}
	return entry
}

// others are lines that Google writes and that no service's test can.
// https://cloud.google.com/scheduler/docs/reference/rest/v1/AttemptFinished
var others = map[string]map[string]any{
	"scheduler:failed": {
		"logName": "projects/p/logs/cloudscheduler.googleapis.com%2Fexecutions", "severity": "ERROR",
		"resource":    map[string]any{"type": ofScheduler, "labels": map[string]any{"job_id": "sweeper", "location": "us-central1"}},
		"jsonPayload": map[string]any{"@type": "type.googleapis.com/google.cloud.scheduler.logging.AttemptFinished", "status": "UNAVAILABLE"},
		"httpRequest": map[string]any{"status": 503.0},
	},
	"scheduler:finished": {
		"logName": "projects/p/logs/cloudscheduler.googleapis.com%2Fexecutions", "severity": "INFO",
		"resource":    map[string]any{"type": ofScheduler, "labels": map[string]any{"job_id": "sweeper", "location": "us-central1"}},
		"jsonPayload": map[string]any{"@type": "type.googleapis.com/google.cloud.scheduler.logging.AttemptFinished"},
		"httpRequest": map[string]any{"status": 200.0},
	},
	"audit:secret_read": {
		"logName": "projects/p/logs/cloudaudit.googleapis.com%2Fdata_access", "severity": "INFO",
		"resource":     map[string]any{"type": "audited_resource", "labels": map[string]any{"service": "secretmanager.googleapis.com"}},
		"protoPayload": map[string]any{"methodName": "google.cloud.secretmanager.v1.SecretManagerService.AccessSecretVersion"},
	},
	"someone_else:line": {
		"logName": "projects/p/logs/run.googleapis.com%2Fstdout", "severity": "ERROR",
		"resource":    map[string]any{"type": ofService, "labels": map[string]any{"service_name": "crm-of-another-team"}},
		"jsonPayload": map[string]any{"message": "stage failed for good"},
	},
}

// TestLogLinesMeetMetrics holds every line that a service writes against every
// metric's and every sink's filter. The golden file says which match, with
// which labels and value: a change of either side shows in review.
func TestLogLinesMeetMetrics(t *testing.T) {
	lines := entries(t)
	maps.Copy(lines, others)
	o := mustRun(t, watched(t))
	var b strings.Builder
	matched := map[string]bool{}
	for _, key := range slices.Sorted(maps.Keys(lines)) {
		entry := lines[key]
		event := "-"
		if payload, ok := entry["jsonPayload"].(map[string]any); ok && payload["event"] != nil {
			event = fmt.Sprint(payload["event"])
		}
		fmt.Fprintf(&b, "%s %s\n", key, event)
		for _, r := range o.only("gcp:logging/metric:Metric") {
			f, err := filter.Parse(filter.Logging, field(r, "filter").(string))
			if err != nil {
				t.Fatalf("%s: %v", r.Name, err)
			}
			if !f.Match(entry) {
				continue
			}
			name := field(r, "name").(string)
			matched[name] = true
			fmt.Fprintf(&b, "\tmetric %s%s\n", name, extracted(t, r, entry))
		}
		for _, r := range o.only("gcp:logging/projectSink:ProjectSink") {
			f, err := filter.Parse(filter.Logging, field(r, "filter").(string))
			if err != nil {
				t.Fatalf("%s: %v", r.Name, err)
			}
			if f.Match(entry) {
				fmt.Fprintf(&b, "\tsink %s\n", field(r, "name"))
			}
		}
	}
	golden(t, "log-lines.txt", b.String())
	for _, m := range logMetrics {
		if !matched[metricID(m.name)] {
			t.Errorf("no line of any service's test is counted by %s", m.name)
		}
	}
}

// extracted renders the labels and the value of one match.
func extracted(t *testing.T, r registered, entry map[string]any) string {
	t.Helper()
	var b strings.Builder
	extractors, _ := field(r, "labelExtractors").(map[string]any)
	for _, key := range slices.Sorted(maps.Keys(extractors)) {
		value, err := filter.Extract(extractors[key].(string), entry)
		if err != nil {
			t.Fatalf("%s: %v", r.Name, err)
		}
		fmt.Fprintf(&b, " %s=%q", key, value)
	}
	if e, ok := field(r, "valueExtractor").(string); ok {
		value, err := filter.Extract(e, entry)
		if err != nil {
			t.Fatalf("%s: %v", r.Name, err)
		}
		if value == "" {
			t.Errorf("%s matches a line without its value: %v", r.Name, entry)
		}
		fmt.Fprintf(&b, " value=%s", value)
	}
	return b.String()
}

// TestEventsAreKnown: what services write is in the contract, and what the
// contract promises somebody counts or a page explains.
func TestEventsAreKnown(t *testing.T) {
	counted := map[string]bool{}
	for _, m := range logMetrics {
		for _, e := range m.events {
			counted[e] = true
		}
	}
	uncounted := []string{telemetry.SweepEnded, telemetry.DispatchEnded, telemetry.TenantsSynced, telemetry.CalendarsEnded} // for people
	for key, entry := range entries(t) {
		event, _ := entry["jsonPayload"].(map[string]any)["event"].(string)
		if !counted[event] && !slices.Contains(uncounted, event) {
			t.Errorf("%s: the event %q is counted by no metric", key, event)
		}
	}
}

// watched is prod with channels, a budget and a runbook of its own.
func watched(t *testing.T) *settings {
	t.Helper()
	s := deployable(t, "prod")
	s.set("ingestion:budget", map[string]any{"billingAccount": "012345-6789AB-CDEF01", "projectNumber": "123456789012"})
	s.set("ingestion:monitoring", map[string]any{
		"runbookUrl": "https://wiki.example/runbooks",
		"channels": map[string]any{
			"mail":  map[string]any{"type": "email", "address": "ops@example.com"},
			"pager": map[string]any{"type": "pagerduty", "secret": map[string]any{"secure": "x"}, "severities": []any{"CRITICAL"}},
			"chat":  map[string]any{"type": "slack", "address": "#alerts", "secret": map[string]any{"secure": "x"}},
			"hook":  map[string]any{"type": "webhook", "address": "https://hook.example/x", "user": "u", "secret": map[string]any{"secure": "x"}},
		},
	})
	return s
}

// TestAlerts: each has a runbook, a severity, labels, and the channels of its
// severity.
func TestAlerts(t *testing.T) {
	runbooks := anchors(t, "../../docs/runbooks.md")
	policies := mustRun(t, watched(t)).only("gcp:monitoring/alertPolicy:AlertPolicy")
	if want := len(alerts) + 2*len(objectives); len(policies) != want {
		t.Errorf("%d policies, want %d", len(policies), want)
	}
	for _, r := range policies {
		url, _ := field(r, "documentation.links.url").(string)
		page, anchor, _ := strings.Cut(url, "#")
		if page != "https://wiki.example/runbooks" || !runbooks[anchor] {
			t.Errorf("%s: runbook %q is no section of docs/runbooks.md", r.Name, url)
		}
		if !strings.Contains(field(r, "documentation.content").(string), url) {
			t.Errorf("%s: the notification does not name the runbook", r.Name)
		}
		severity, _ := field(r, "severity").(string)
		if !slices.Contains(severities, severity) {
			t.Errorf("%s: severity %q", r.Name, severity)
		}
		channels, _ := field(r, "notificationChannels").([]any)
		if want := map[bool]int{true: 4, false: 3}[severity == "CRITICAL"]; len(channels) != want {
			t.Errorf("%s (%s): channels %v, want %d", r.Name, severity, channels, want)
		}
		for label, want := range map[string]string{"app": "ingestion", "stack": "prod", "component": "observability", "alert": strings.TrimPrefix(r.Name, "alert-")} {
			if got := field(r, "userLabels."+label); got != want {
				t.Errorf("%s: label %s is %v, want %s", r.Name, label, got, want)
			}
		}
		if !slices.Contains(r.DependsOn, "gcp:logging/metric:Metric metric-requests") || !slices.Contains(r.DependsOn, "gcp:apigateway/gateway:Gateway gateway") {
			t.Errorf("%s does not wait for metrics and gateway", r.Name)
		}
	}
}

// anchors returns the headings of a page as GitHub links to them.
func anchors(t *testing.T, file string) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	other := regexp.MustCompile(`[^a-z0-9 _-]`)
	found := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if heading, ok := strings.CutPrefix(line, "#"); ok {
			heading = strings.ToLower(strings.TrimSpace(strings.TrimLeft(heading, "#")))
			found[strings.ReplaceAll(other.ReplaceAllString(heading, ""), " ", "-")] = true
		}
	}
	return found
}

// TestTablesAreThePrograms: the tables of docs/monitoring.md say what the
// program does.
func TestTablesAreThePrograms(t *testing.T) {
	var list, metrics, goals strings.Builder
	list.WriteString("| Alert | Severity | Threshold | What it means |\n|---|---|---|---|\n")
	for _, a := range alerts {
		fmt.Fprintf(&list, "| [`%[1]s`](runbooks.md#%[1]s) | %[2]s | %[3]g %[4]s | %[5]s |\n", a.name, a.severity, a.threshold, a.unit, a.why)
	}
	goals.WriteString("| Objective | Good is | Default goal |\n|---|---|---|\n")
	for _, o := range objectives {
		fmt.Fprintf(&goals, "| [`%[1]s`](runbooks.md#slo-%[1]s) | %[2]s | %[3]g %% |\n", o.name, o.title, 100*o.goal)
	}
	metrics.WriteString("| Metric | What | Counted lines | Labels |\n|---|---|---|---|\n")
	for _, m := range logMetrics {
		what, from := m.title+", count", "`"+strings.Join(m.events, "`, `")+"`"
		if m.value != "" {
			what = m.title + ", distribution (" + m.unit + ")"
		}
		if len(m.events) == 0 {
			from = "of `" + m.resource + "`: `" + m.filter + "`"
		}
		fmt.Fprintf(&metrics, "| `%s` | %s | %s | %s |\n", metricID(m.name), what, from, strings.Join(slices.Sorted(maps.Keys(m.extractors())), ", "))
	}
	const file = "../../docs/monitoring.md"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	for name, table := range map[string]string{"alerts": list.String(), "objectives": goals.String(), "metrics": metrics.String()} {
		begin, end := "<!-- "+name+", written by infra/stack's tests with -update -->\n", "<!-- end of "+name+" -->\n"
		head, rest, found := strings.Cut(page, begin)
		have, tail, closed := strings.Cut(rest, end)
		if !found || !closed {
			t.Fatalf("%s has no place for %s", file, name)
		}
		if have != table && !*update {
			t.Errorf("the table of %s in %s is not the program's; run with -update", name, file)
		}
		page = head + begin + table + end + tail
	}
	if *update {
		if err := os.WriteFile(file, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestMetricsExist: every metric that an alert, an objective or a dashboard
// reads is one of ours or one of Google's that are listed, and every one that
// is listed is read.
func TestMetricsExist(t *testing.T) {
	ours := map[string]bool{}
	o := mustRun(t, watched(t))
	for _, r := range o.only("gcp:logging/metric:Metric") {
		ours["logging.googleapis.com/user/"+field(r, "name").(string)] = true
	}
	// In PromQL the first slash is a colon and every other sign an underscore.
	prometheus := map[string]string{}
	for name := range ours {
		prometheus[promOf(name)] = name
	}
	for name := range googleMetrics {
		prometheus[promOf(name)] = name
	}
	inProm := regexp.MustCompile(`[a-z_]+_(?:googleapis_)?com:[a-z0-9_]+`)
	suffix := regexp.MustCompile(`_(sum|count|bucket)$`)
	used := map[string]bool{}
	check := func(where, name string) {
		if _, google := googleMetrics[name]; !google && !ours[name] {
			t.Errorf("%s reads %q, which is neither registered nor listed in googleMetrics", where, name)
		}
		used[name] = true
	}
	var walk func(where string, value any)
	walk = func(where string, value any) {
		switch v := value.(type) {
		case map[string]any:
			for _, item := range v {
				walk(where, item)
			}
		case []any:
			for _, item := range v {
				walk(where, item)
			}
		case string:
			if strings.HasPrefix(v, "{") { // a dashboard
				var board any
				if err := json.Unmarshal([]byte(v), &board); err != nil {
					t.Errorf("%s: %v", where, err)
				}
				walk(where, board)
				return
			}
			for _, name := range inProm.FindAllString(v, -1) {
				full, ok := prometheus[name]
				if !ok {
					full = prometheus[suffix.ReplaceAllString(name, "")]
				}
				check(where, full)
			}
			if !strings.Contains(v, "metric.type=") {
				return
			}
			f, err := filter.Parse(filter.Monitoring, v)
			if err != nil {
				t.Errorf("%s: %v in %s", where, err, v)
				return
			}
			for _, name := range f.Values("metric.type") {
				check(where, name)
			}
		}
	}
	for _, typ := range []string{"gcp:monitoring/alertPolicy:AlertPolicy", "gcp:monitoring/slo:Slo", "gcp:monitoring/dashboard:Dashboard"} {
		for _, r := range o.only(typ) {
			for key := range r.Inputs {
				if key != "documentation" {
					walk(r.key(), plain(r.Inputs[key]))
				}
			}
		}
	}
	for name, page := range googleMetrics {
		if !used[name] {
			t.Errorf("%s is listed and read by nothing", name)
		}
		if !strings.Contains(page, "#gcp-") {
			t.Errorf("%s: %q is no section of a page", name, page)
		}
	}
	for name := range ours {
		if !used[name] {
			t.Errorf("%s is counted and read by nothing", name)
		}
	}
}

func promOf(metric string) string {
	domain, path, _ := strings.Cut(metric, "/")
	other := regexp.MustCompile(`[^a-zA-Z0-9]`)
	return other.ReplaceAllString(domain, "_") + ":" + other.ReplaceAllString(path, "_")
}

// TestLabelsInFilters: a filter or query asks a log-based metric for labels
// that it has.
func TestLabelsInFilters(t *testing.T) {
	labels := map[string]map[string]string{}
	for _, m := range logMetrics {
		labels[metricType(m.name)] = m.extractors()
	}
	for _, r := range mustRun(t, watched(t)).only("gcp:monitoring/alertPolicy:AlertPolicy") {
		conditions, _ := plain(r.Inputs["conditions"]).([]any)
		for _, c := range conditions {
			for _, form := range []string{"conditionThreshold", "conditionAbsent"} {
				body, _ := c.(map[string]any)[form].(map[string]any)
				text, _ := body["filter"].(string)
				f, err := filter.Parse(filter.Monitoring, text)
				if body == nil || err != nil {
					continue // another form; that filters parse is tested above
				}
				types := f.Values("metric.type")
				if len(types) != 1 || labels[types[0]] == nil {
					continue
				}
				asked := f.Fields()
				for _, a := range body["aggregations"].([]any) {
					groups, _ := a.(map[string]any)["groupByFields"].([]any)
					for _, g := range groups {
						asked = append(asked, fmt.Sprint(g))
					}
				}
				for _, name := range asked {
					name, ok := strings.CutPrefix(strings.Replace(name, "metric.labels.", "metric.label.", 1), "metric.label.")
					if ok && labels[types[0]][name] == "" {
						t.Errorf("%s asks %s for the label %s, which it has not", r.Name, types[0], name)
					}
				}
			}
		}
	}
}

// TestObjectivesHitBuckets: a cut between two bounds of a distribution would
// be estimated.
func TestObjectivesHitBuckets(t *testing.T) {
	for _, o := range objectives {
		if o.distribution == "" {
			continue
		}
		f, err := filter.Parse(filter.Monitoring, o.distribution)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, m := range logMetrics {
			if slices.Contains(f.Values("metric.type"), metricType(m.name)) {
				found = slices.Contains(m.bounds, o.within)
			}
		}
		if !found {
			t.Errorf("%s: %g is no bound of its distribution", o.name, o.within)
		}
	}
}

// TestChannelsKeepSecrets: what authenticates to a channel is marked secret.
func TestChannelsKeepSecrets(t *testing.T) {
	for _, r := range mustRun(t, watched(t)).only("gcp:monitoring/notificationChannel:NotificationChannel") {
		_, has := r.Inputs["sensitiveLabels"]
		if email := field(r, "type") == "email"; has == email {
			t.Errorf("%s: sensitive labels %t", r.Name, has)
		}
		if has && !r.Inputs["sensitiveLabels"].ContainsSecrets() {
			t.Errorf("%s: its secret is plain text", r.Name)
		}
	}
}

// TestBudgetsMail: a budget reports to the e-mail channels, which are the only
// ones that it can.
func TestBudgetsMail(t *testing.T) {
	for _, r := range mustRun(t, watched(t)).only("gcp:billing/budget:Budget") {
		got, _ := field(r, "allUpdatesRule.monitoringNotificationChannels").([]any)
		if len(got) == 0 {
			if one := field(r, "allUpdatesRule.monitoringNotificationChannels"); one != nil {
				got = []any{one}
			}
		}
		if len(got) != 1 || got[0] != "projects/account-strategy-464106/notificationChannels/channel-mail" {
			t.Errorf("%s: channels %v", r.Name, got)
		}
	}
}

func TestInterval(t *testing.T) {
	for cron, want := range map[string]int{
		"* * * * *": 60, "*/5 * * * *": 300, "17 * * * *": 3600, "0 3 * * *": 0, "*/5 9-17 * * *": 0, "*/0 * * * *": 0, "bad": 0,
	} {
		if got := interval(cron); got != want {
			t.Errorf("%s: %d s, want %d", cron, got, want)
		}
	}
}

// TestMissedSchedules: only what runs often is watched for its absence, and
// not while it is paused.
func TestMissedSchedules(t *testing.T) {
	watchedFor := func(schedule map[string]any) bool {
		s := watched(t)
		s.edit(t, "ingestion:schedules", func(m map[string]any) { m[topology.Sweeper] = schedule })
		for _, r := range mustRun(t, s).only("gcp:monitoring/alertPolicy:AlertPolicy") {
			text, err := json.Marshal(plain(r.Inputs["conditions"]))
			if err != nil {
				t.Fatal(err)
			}
			if r.Name == "alert-schedule-missed" && strings.Contains(string(text), "called "+topology.Sweeper) {
				return true
			}
		}
		return false
	}
	for name, tc := range map[string]struct {
		schedule map[string]any
		want     bool
	}{
		"each_minute": {map[string]any{"cron": "* * * * *"}, true},
		"daily":       {map[string]any{"cron": "0 3 * * *"}, false},
		"paused":      {map[string]any{"cron": "* * * * *", "paused": true}, false},
	} {
		if got := watchedFor(tc.schedule); got != tc.want {
			t.Errorf("%s: %t, want %t", name, got, tc.want)
		}
	}
}

func TestMonitoringConfig(t *testing.T) {
	for name, tc := range map[string]struct {
		monitoring map[string]any
		want       string
	}{
		"alert":       {map[string]any{"alerts": map[string]any{"nosuch": map[string]any{}}}, "ingestion:monitoring.alerts.nosuch: no such alert"},
		"threshold":   {map[string]any{"alerts": map[string]any{"webhook-failures": map[string]any{"threshold": 101}}}, "alerts.webhook-failures.threshold: must be 0 to 100 percent"},
		"goal":        {map[string]any{"slos": map[string]any{"forms": map[string]any{"goal": 1}}}, "slos.forms.goal"},
		"objective":   {map[string]any{"slos": map[string]any{"x": map[string]any{}}}, "slos.x: no such objective"},
		"runbook":     {map[string]any{"runbookUrl": "http://x"}, "runbookUrl"},
		"retention":   {map[string]any{"logs": map[string]any{"retentionDays": 0}}, "logs.retentionDays"},
		"lock":        {map[string]any{"logs": map[string]any{"lockAudit": true}}, "logs.lockAudit: needs"},
		"period":      {map[string]any{"uptime": map[string]any{"period": "90s"}}, "uptime.period"},
		"host":        {map[string]any{"uptime": map[string]any{"host": "https://x"}}, "uptime.host"},
		"channel":     {map[string]any{"channels": map[string]any{"a": map[string]any{"type": "pigeon"}}}, "channels.a.type"},
		"address":     {map[string]any{"channels": map[string]any{"a": map[string]any{"type": "email", "address": "x"}}}, "channels.a.address"},
		"secret":      {map[string]any{"channels": map[string]any{"a": map[string]any{"type": "slack", "address": "#a"}}}, "channels.a.secret"},
		"severity":    {map[string]any{"channels": map[string]any{"a": map[string]any{"type": "email", "address": "a@b.c", "severities": []any{"LOUD"}}}}, "channels.a.severities[0]"},
		"plain_text":  {map[string]any{"channels": map[string]any{"a": map[string]any{"type": "pagerduty", "secret": "in-the-clear"}}}, "secrets in plain text"},
		"unknown_key": {map[string]any{"alert": 1}, "ingestion:monitoring.alert: unknown field"},
	} {
		s := deployable(t, "prod")
		s.set("ingestion:monitoring", tc.monitoring)
		_, err := run(t, s, "")
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, tc.want)
		}
		if err != nil && strings.Contains(err.Error(), "in-the-clear") {
			t.Errorf("%s: the error shows the secret", name)
		}
	}
}

// TestWithoutAlerting: no alert, and all else.
func TestWithoutAlerting(t *testing.T) {
	s := watched(t)
	s.edit(t, "ingestion:monitoring", func(m map[string]any) { m["alerting"] = false })
	o := mustRun(t, s)
	if n := len(o.only("gcp:monitoring/alertPolicy:AlertPolicy")); n != 0 {
		t.Errorf("%d alerts", n)
	}
	if n := len(o.only("gcp:monitoring/slo:Slo")); n != len(objectives) {
		t.Errorf("%d objectives, want %d", n, len(objectives))
	}
}

// TestNothingIsWatched: one switch turns all of it off.
func TestNothingIsWatched(t *testing.T) {
	s := deployable(t, "prod")
	s.set("ingestion:monitoring", map[string]any{"enabled": false})
	for _, r := range mustRun(t, s).resources {
		if strings.HasPrefix(r.Type, "gcp:monitoring/") || r.Type == "gcp:logging/metric:Metric" {
			t.Errorf("%s is registered", r.key())
		}
	}
}
