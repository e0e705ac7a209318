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

// objective is a service-level objective: a share of requests that is good.
type objective struct {
	name  string
	title string
	goal  float64 // default
	// One of the two: a ratio of counts, or a distribution and the largest
	// value that is good.
	total, bad   string
	distribution string
	within       float64
}

// objectives are the mission's. Availability is its 99.9 %; for the three
// times it names no share, so the shares are ours.
var objectives = []objective{
	{
		name: "availability", title: "Requests at the public services are not answered 5xx", goal: 0.999,
		total: where("run.googleapis.com/request_count", ofService, ofPublicServices()),
		bad:   where("run.googleapis.com/request_count", ofService, ofPublicServices(), is("response_code_class", "5xx")),
	},
	{
		name: "forms", title: "Forms are answered within 200 ms", goal: 0.99,
		distribution: where(metricType(mSeconds), ofService, is(t.LabelService, topology.IntakeAPI)), within: 0.2,
	},
	{
		name: "analysis", title: "Requests are analysed within 1 s", goal: 0.95,
		distribution: where(metricType(mAnalysis), ofService), within: 1,
	},
	{
		name: "transcription", title: "Calls are transcribed within 5 s of having the recording", goal: 0.95,
		distribution: where(metricType(mTranscription), ofService), within: 5,
	},
}

// ofPublicServices limits a filter to what the gateway calls.
func ofPublicServices() string {
	var quoted []string
	for _, name := range publicServices() {
		quoted = append(quoted, strconv.Quote(name))
	}
	return "resource.labels.service_name=one_of(" + strings.Join(quoted, ",") + ")"
}

// burn is how fast an objective's budget of failures is used up: a rate of 1
// uses all of it in the objective's period. Two windows have to agree, so that
// an alarm neither comes of a moment nor stays after the trouble is over.
// https://sre.google/workbook/alerting-on-slos/ (6: multiple windows)
type burn struct {
	name, title, severity string
	rate                  float64
	long, short           int // seconds
}

var burns = []burn{
	{"fast", "fast", "CRITICAL", 14.4, 1 * hours, 5 * minutes},
	{"slow", "steadily", "WARNING", 6, 6 * hours, 30 * minutes},
}

// registerSLOs makes the objectives and, for each, an alert on a fast and one
// on a slow burn of its budget.
func (p *program) registerSLOs() error {
	service, err := monitoring.NewCustomService(p.ctx, app, &monitoring.CustomServiceArgs{
		Project:     pulumi.String(p.cfg.Project),
		ServiceId:   pulumi.String(app),
		DisplayName: pulumi.String("Ingestion " + p.cfg.Stack),
		UserLabels:  p.labels("observability"),
	}, p.monitored()...)
	if err != nil {
		return err
	}
	after := append([]pulumi.Resource{p.entrance}, p.metrics...)
	for _, o := range objectives {
		c := p.cfg.Monitoring.SLOs[o.name]
		if c.Disabled {
			continue
		}
		sli := &monitoring.SloRequestBasedSliArgs{}
		if o.distribution != "" {
			sli.DistributionCut = &monitoring.SloRequestBasedSliDistributionCutArgs{
				DistributionFilter: pulumi.String(o.distribution),
				Range:              &monitoring.SloRequestBasedSliDistributionCutRangeArgs{Min: pulumi.Float64(0), Max: pulumi.Float64(o.within)},
			}
		} else {
			sli.GoodTotalRatio = &monitoring.SloRequestBasedSliGoodTotalRatioArgs{
				TotalServiceFilter: pulumi.String(o.total), BadServiceFilter: pulumi.String(o.bad),
			}
		}
		slo, err := monitoring.NewSlo(p.ctx, "slo-"+o.name, &monitoring.SloArgs{
			Project:           pulumi.String(p.cfg.Project),
			Service:           service.ServiceId,
			SloId:             pulumi.String(o.name),
			DisplayName:       pulumi.String(o.title),
			Goal:              pulumi.Float64(c.Goal),
			RollingPeriodDays: pulumi.Int(p.cfg.Monitoring.SLODays),
			RequestBasedSli:   sli,
			UserLabels:        p.labels("observability"),
		}, p.monitored(pulumi.DependsOn(after))...)
		if err != nil {
			return err
		}
		if !p.cfg.Monitoring.Alerting {
			continue
		}
		for _, b := range burns {
			// The name that the API gives it: projects/P/services/S/serviceLevelObjectives/O.
			rate := func(window int) condition {
				return condition{
					name:   fmt.Sprintf("Budget burnt over %d minutes", window/minutes),
					filter: pulumi.Sprintf(`select_slo_burn_rate("%s", "%ds")`, slo.Name, window),
					limit:  b.rate,
				}
			}
			if err := p.registerAlarm(alarm{
				name: "slo-" + o.name + "-" + b.name, title: fmt.Sprintf("%s: budget burns %s", o.title, b.title), severity: b.severity,
				about: fmt.Sprintf("The objective is %g %% over %d days. Its budget of failures burns %g times as fast as it may.",
					100*c.Goal, p.cfg.Monitoring.SLODays, b.rate),
				runbook: "slo-" + o.name, conditions: []condition{rate(b.long), rate(b.short)}, all: true,
			}); err != nil {
				return err
			}
		}
	}
	return nil
}
