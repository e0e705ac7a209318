package stack

import (
	"encoding/json"
	"fmt"

	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/monitoring"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	t "ingestion.internal/shared/telemetry"
)

// The JSON of a dashboard, as far as it is used here. Fields are in the order
// of the API's documentation, and every run writes the same bytes, so an
// unchanged program changes no dashboard.
// https://cloud.google.com/monitoring/api/ref_v3/rest/v1/projects.dashboards
type (
	dashboard struct {
		DisplayName  string            `json:"displayName"`
		MosaicLayout mosaic            `json:"mosaicLayout"`
		Filters      []dashboardFilter `json:"dashboardFilters,omitempty"`
		Labels       map[string]string `json:"labels,omitempty"`
	}
	dashboardFilter struct {
		LabelKey   string `json:"labelKey"`
		FilterType string `json:"filterType"`
	}
	mosaic struct {
		Columns int    `json:"columns"`
		Tiles   []tile `json:"tiles"`
	}
	tile struct {
		XPos   int    `json:"xPos,omitempty"`
		YPos   int    `json:"yPos,omitempty"`
		Width  int    `json:"width"`
		Height int    `json:"height"`
		Widget widget `json:"widget"`
	}
	widget struct {
		Title     string     `json:"title"`
		XYChart   *xyChart   `json:"xyChart,omitempty"`
		Scorecard *scorecard `json:"scorecard,omitempty"`
		Text      *textBox   `json:"text,omitempty"`
	}
	xyChart struct {
		DataSets []dataSet `json:"dataSets"`
		YAxis    axis      `json:"yAxis"`
	}
	axis struct {
		Label string `json:"label"`
		Scale string `json:"scale"`
	}
	dataSet struct {
		PlotType        string `json:"plotType"`
		TargetAxis      string `json:"targetAxis"`
		LegendTemplate  string `json:"legendTemplate,omitempty"`
		TimeSeriesQuery query  `json:"timeSeriesQuery"`
	}
	scorecard struct {
		TimeSeriesQuery query      `json:"timeSeriesQuery"`
		Thresholds      []limitTag `json:"thresholds,omitempty"`
	}
	limitTag struct {
		Value     float64 `json:"value"`
		Color     string  `json:"color"`
		Direction string  `json:"direction"`
	}
	textBox struct {
		Content string `json:"content"`
		Format  string `json:"format"`
	}
	// query is in PromQL, or a filter, to which the dashboard's own filters
	// apply.
	query struct {
		PromQL       string            `json:"prometheusQuery,omitempty"`
		Filter       *timeSeriesFilter `json:"timeSeriesFilter,omitempty"`
		UnitOverride string            `json:"unitOverride,omitempty"`
	}
	timeSeriesFilter struct {
		Filter      string      `json:"filter"`
		Aggregation aggregation `json:"aggregation"`
	}
	aggregation struct {
		AlignmentPeriod    string   `json:"alignmentPeriod"`
		PerSeriesAligner   string   `json:"perSeriesAligner"`
		CrossSeriesReducer string   `json:"crossSeriesReducer"`
		GroupByFields      []string `json:"groupByFields,omitempty"`
	}
)

const columns = 48

// grid lays widgets out in rows of up to three under headings.
type grid struct {
	tiles []tile
	x, y  int
}

const (
	tileWidth, tileHeight = columns / 3, 16
	headingHeight         = 4
)

func (g *grid) newRow() {
	if g.x > 0 {
		g.x, g.y = 0, g.y+tileHeight
	}
}

func (g *grid) heading(title, about string) {
	g.newRow()
	g.tiles = append(g.tiles, tile{YPos: g.y, Width: columns, Height: headingHeight, Widget: widget{
		Title: title, Text: &textBox{Content: about, Format: "MARKDOWN"},
	}})
	g.y += headingHeight
}

func (g *grid) add(w widget) {
	g.tiles = append(g.tiles, tile{XPos: g.x, YPos: g.y, Width: tileWidth, Height: tileHeight, Widget: w})
	if g.x += tileWidth; g.x >= columns {
		g.newRow()
	}
}

// lines is a chart of queries in PromQL.
func lines(title, unit string, queries ...string) widget {
	c := &xyChart{YAxis: axis{Label: unit, Scale: "LINEAR"}}
	for _, q := range queries {
		c.DataSets = append(c.DataSets, dataSet{PlotType: "LINE", TargetAxis: "Y1", TimeSeriesQuery: query{PromQL: q}})
	}
	return widget{Title: title, XYChart: c}
}

// figure is a single number, red from a value on.
func figure(title, unit, promQL string, red float64) widget {
	return widget{Title: title, Scorecard: &scorecard{
		TimeSeriesQuery: query{PromQL: promQL, UnitOverride: unit},
		Thresholds:      []limitTag{{Value: red, Color: "RED", Direction: "ABOVE"}},
	}}
}

// byGroup is a chart of a log-based metric, summed (counts) or at the 95th
// percentile (distributions) for each value of a label.
func byGroup(title, unit, metric, label string, more ...string) widget {
	a := aggregation{AlignmentPeriod: "300s", PerSeriesAligner: "ALIGN_DELTA", CrossSeriesReducer: "REDUCE_SUM", GroupByFields: []string{"metric.label." + label}}
	for _, m := range logMetrics {
		if m.name == metric && m.value != "" {
			a.CrossSeriesReducer = "REDUCE_PERCENTILE_95"
		}
	}
	return widget{Title: title, XYChart: &xyChart{
		YAxis: axis{Label: unit, Scale: "LINEAR"},
		DataSets: []dataSet{{PlotType: "LINE", TargetAxis: "Y1", TimeSeriesQuery: query{Filter: &timeSeriesFilter{
			Filter: where(metricType(metric), ofService, more...), Aggregation: a,
		}}}},
	}}
}

// quantile is a percentile of a log-based distribution over five minutes.
func quantile(q float64, metric, by string, matchers ...string) string {
	return fmt.Sprintf("histogram_quantile(%g, sum by (le, %s) (increase(%s[5m])))", q, by, prom(metric, "_bucket", matchers...))
}

// rate is how often a log-based metric counts in a minute, by a label.
func rate(metric, suffix, by string, matchers ...string) string {
	return fmt.Sprintf("60 * sum by (%s) (rate(%s[5m]))", by, prom(metric, suffix, matchers...))
}

// operations is the dashboard of the platform as a whole.
func operations(cfg *Config) dashboard {
	g := &grid{}

	g.heading("Requests", "What comes in, how it is answered, and how far it gets.")
	g.add(lines("Enquiries accepted, by channel", "a minute", rate(mAccepted, "", t.Channel, eq(t.Outcome, "new"))))
	g.add(lines("Requests served, by service and outcome", "a minute", rate(mRequests, "", t.LabelService+", "+t.Outcome)))
	g.add(lines("Time to answer, 95th percentile", "s", quantile(0.95, mSeconds, t.LabelService)))
	g.add(lines("Stages done", "a minute", rate(mStages, "", t.Stage, eq(t.Event, t.StageDone))))
	g.add(lines("Time of a stage, 95th percentile", "s", quantile(0.95, mStageSeconds, t.Stage)))
	g.add(lines("Tasks in the queues", "tasks", `sum by (queue_id) (cloudtasks_googleapis_com:queue_depth{monitored_resource="cloud_tasks_queue"})`))
	g.add(lines("Decisions", "a minute", rate(mDecisions, "", t.Outcome)))

	g.heading("Errors and how long things take", "Failures, dead letters, and the time from acceptance to completion.")
	g.add(lines("Share of webhooks that fail", "%", fmt.Sprintf("100 * sum(increase(%s[5m])) / sum(increase(%s[5m]))",
		prom(mRequests, "", eq(t.LabelService, "webhook-processor"), eq(t.Outcome, t.Failed)), prom(mRequests, "", eq(t.LabelService, "webhook-processor")))))
	g.add(lines("Errors, by service", "a minute", rate(mErrors, "", t.LabelService)))
	g.add(lines("Attempts retried and stages dead", "a minute", rate(mStages, "", t.Stage+", "+t.Event, fmt.Sprintf("%s=~%q", t.Event, t.StageRetried+"|"+t.StageDead))))
	g.add(lines("From acceptance to completion, median and 95th percentile", "s", quantile(0.5, mCompleted, t.Channel), quantile(0.95, mCompleted, t.Channel)))
	g.add(lines("Recordings and transcripts that failed", "a minute", rate(mRecordings, "", t.Outcome, eq(t.Event, t.RecordingFailed)), rate(mUntranscribed, "", t.Outcome)))
	g.add(lines("CRM and mail", "a minute", rate(mEffects, "", t.Event)))

	g.heading("Models", "Speech-to-Text and Gemini: time, tokens, failures, and analyses made with another model than asked for.")
	g.add(lines("Time of an analysis, median and 95th percentile", "s", quantile(0.5, mAnalysis, t.Model), quantile(0.95, mAnalysis, t.Model)))
	g.add(lines("Time from the recording to its transcript, 95th percentile", "s", quantile(0.95, mTranscription, t.LabelService)))
	g.add(lines("Analyses, by model and outcome", "a minute", rate(mAnalysis, "_count", t.Model+", "+t.Outcome), rate(mUnanalysed, "", t.Model)))
	g.add(lines("Tokens", "a minute", rate(mInputTokens, "_sum", t.Model), rate(mOutputTokens, "_sum", t.Model)))
	g.add(lines("Spam likelihood, median and 95th percentile", "%", quantile(0.5, mSpam, t.LabelService), quantile(0.95, mSpam, t.LabelService)))
	g.add(lines("Share of spam, an hour and a day", "%", spamShare("1h"), spamShare("1d")))

	g.heading("Cost", "What drives the bill, and where the month is going. The bill itself: Billing, Reports; budgets mail at their thresholds.")
	g.add(figure("Model cost of a month at the last day's rate", "USD", modelCost("1d", 30), cfg.Monitoring.Alerts["model-cost"].Threshold))
	g.add(lines("Model cost of a month at the last hour's rate", "USD", modelCost("1h", 720)))
	g.add(lines("Billable time of instances", "s/s", `sum by (service_name) (rate(run_googleapis_com:container_billable_instance_time{monitored_resource="cloud_run_revision"}[5m]))`))
	g.add(lines("Instances", "instances", `sum by (service_name) (run_googleapis_com:container_instance_count{monitored_resource="cloud_run_revision"})`))
	g.add(lines("Audio stored", "By", fmt.Sprintf(`sum by (bucket_name) (storage_googleapis_com:storage_total_bytes{monitored_resource="gcs_bucket",bucket_name=%q})`, cfg.Audio.Bucket)))
	g.add(lines("Logs stored this month", "By", `sum(logging_googleapis_com:billing_monthly_bytes_ingested{monitored_resource="global"})`))

	g.heading("Database", "Spanner's CPU should stay below 65 %, its storage below 75 %.")
	instance := fmt.Sprintf(`monitored_resource="spanner_instance",instance_id=%q`, cfg.Spanner.Instance)
	g.add(lines("CPU, by priority", "", fmt.Sprintf("sum by (priority) (spanner_googleapis_com:instance_cpu_utilization_by_priority{%s})", instance)))
	g.add(lines("Storage", "", fmt.Sprintf("max(spanner_googleapis_com:instance_storage_utilization{%s})", instance)))
	g.add(lines("Latency of its API, 99th percentile", "s", fmt.Sprintf("histogram_quantile(0.99, sum by (le, method) (rate(spanner_googleapis_com:api_request_latencies_bucket{%s}[5m])))", instance)))

	return dashboard{DisplayName: "Ingestion " + cfg.Stack + ": operations", MosaicLayout: mosaic{columns, g.tiles}, Labels: map[string]string{app: ""}}
}

func spamShare(window string) string {
	return fmt.Sprintf("100 * sum(increase(%[1]s[%[3]s])) / sum(increase(%[2]s[%[3]s]))", prom(mDecisions, "", eq(t.Outcome, "spam")), prom(mDecisions, ""), window)
}

// tenantsBoard is the dashboard of tenants: of all, or of the one that is
// chosen at its top.
func tenantsBoard(cfg *Config) dashboard {
	g := &grid{}
	g.heading("Tenants", "Choose a tenant at the top to see it alone.")
	for _, w := range []widget{
		byGroup("Enquiries accepted", "in 5 min", mAccepted, t.LabelTenant, is(t.Outcome, "new")),
		byGroup("From acceptance to completion, 95th percentile", "s", mCompleted, t.LabelTenant),
		byGroup("Dead letters", "in 5 min", mStages, t.LabelTenant, is(t.Event, t.StageDead)),
		byGroup("Time to answer, 95th percentile", "s", mSeconds, t.LabelTenant),
		byGroup("Attempts retried", "in 5 min", mStages, t.LabelTenant, is(t.Event, t.StageRetried)),
		byGroup("Failed requests", "in 5 min", mRequests, t.LabelTenant, is(t.Outcome, t.Failed)),
		byGroup("Decisions: qualified", "in 5 min", mDecisions, t.LabelTenant, is(t.Outcome, "qualified")),
		byGroup("Decisions: spam", "in 5 min", mDecisions, t.LabelTenant, is(t.Outcome, "spam")),
		byGroup("Decisions: needs a person", "in 5 min", mDecisions, t.LabelTenant, is(t.Outcome, "needs_review")),
		byGroup("Recordings that could not be fetched", "in 5 min", mRecordings, t.LabelTenant, is(t.Event, t.RecordingFailed)),
		byGroup("Time from the recording to its transcript, 95th percentile", "s", mTranscription, t.LabelTenant),
		byGroup("Time of an analysis, 95th percentile", "s", mAnalysis, t.LabelTenant),
		byGroup("CRM deliveries failed or parked", "in 5 min", mEffects, t.LabelTenant, isOneOf(t.Event, t.CRMFailed, t.CRMParked)),
		byGroup("Mails failed", "in 5 min", mEffects, t.LabelTenant, is(t.Event, t.EmailFailed)),
		byGroup("Spam likelihood, 95th percentile", "%", mSpam, t.LabelTenant),
	} {
		g.add(w)
	}
	g.heading("Cost of tenants", "The model is what a tenant's share of the bill mostly follows.")
	g.add(lines("Model cost of a month at the last day's rate, by tenant", "USD", fmt.Sprintf(
		"30 * sum by (%s) (increase(%s[1d]))", t.LabelTenant, prom(mCost, "_sum"))))
	return dashboard{
		DisplayName: "Ingestion " + cfg.Stack + ": tenants", MosaicLayout: mosaic{columns, g.tiles}, Labels: map[string]string{app: ""},
		Filters: []dashboardFilter{{LabelKey: t.LabelTenant, FilterType: "METRIC_LABEL"}},
	}
}

// registerDashboards makes both.
func (p *program) registerDashboards() error {
	for _, d := range []struct {
		name  string
		board dashboard
	}{{"operations", operations(p.cfg)}, {"tenants", tenantsBoard(p.cfg)}} {
		text, err := json.Marshal(d.board)
		if err != nil {
			return err
		}
		if _, err := monitoring.NewDashboard(p.ctx, d.name, &monitoring.DashboardArgs{
			Project:       pulumi.String(p.cfg.Project),
			DashboardJson: pulumi.String(string(text)),
		}, p.monitored()...); err != nil {
			return err
		}
	}
	return nil
}
