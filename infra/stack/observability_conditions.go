package stack

import (
	"fmt"
	"strings"

	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/monitoring"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// condition is one condition of an alert, in one of two forms: series that are
// compared with a limit, or a query in PromQL that is true while it has a
// result.
type condition struct {
	name string

	// The first form.
	filter   pulumi.StringInput // metric and resource type, or an SLO's burn rate
	align    string             // how a series' points become one for each period
	period   int                // seconds
	reduce   string             // how series become one for each group; "" = each for itself
	groups   []string           // metric.label.x, resource.label.y
	below    bool               // the alarm is a value below the limit
	limit    float64
	duration int  // seconds for which it must hold; 0 = one period is enough
	missing  bool // no data at all for duration is the alarm; limit has no meaning

	// The second form.
	promQL   string
	interval int // seconds between evaluations
}

// notEnough says what a condition does where there are no points: what is not
// there cannot be wrong. Absence has conditions of its own.
const notEnough = "EVALUATION_MISSING_DATA_INACTIVE"

// args is the condition as the API takes it.
func (c condition) args() *monitoring.AlertPolicyConditionArgs {
	args := &monitoring.AlertPolicyConditionArgs{DisplayName: pulumi.String(c.name)}
	duration := pulumi.String(fmt.Sprintf("%ds", c.duration))
	switch {
	case c.promQL != "":
		args.ConditionPrometheusQueryLanguage = &monitoring.AlertPolicyConditionConditionPrometheusQueryLanguageArgs{
			Query:              pulumi.String(c.promQL),
			Duration:           duration,
			EvaluationInterval: pulumi.String(fmt.Sprintf("%ds", c.interval)),
		}
	case c.missing:
		args.ConditionAbsent = &monitoring.AlertPolicyConditionConditionAbsentArgs{
			Filter:       c.filter.ToStringOutput(),
			Duration:     duration,
			Aggregations: monitoring.AlertPolicyConditionConditionAbsentAggregationArray{c.absentAggregation()},
		}
	default:
		threshold := &monitoring.AlertPolicyConditionConditionThresholdArgs{
			Filter:         c.filter.ToStringOutput(),
			Comparison:     pulumi.String("COMPARISON_GT"),
			ThresholdValue: pulumi.Float64(c.limit),
			Duration:       duration,
		}
		if c.duration > 0 {
			// Only allowed where there is a duration to bridge.
			threshold.EvaluationMissingData = pulumi.String(notEnough)
		}
		if c.below {
			threshold.Comparison = pulumi.String("COMPARISON_LT")
		}
		if c.align != "" {
			aggregation := &monitoring.AlertPolicyConditionConditionThresholdAggregationArgs{
				AlignmentPeriod:  pulumi.String(fmt.Sprintf("%ds", c.period)),
				PerSeriesAligner: pulumi.String(c.align),
			}
			if c.reduce != "" {
				aggregation.CrossSeriesReducer = pulumi.String(c.reduce)
				aggregation.GroupByFields = pulumi.ToStringArray(c.groups)
			}
			threshold.Aggregations = monitoring.AlertPolicyConditionConditionThresholdAggregationArray{aggregation}
		}
		args.ConditionThreshold = threshold
	}
	return args
}

func (c condition) absentAggregation() *monitoring.AlertPolicyConditionConditionAbsentAggregationArgs {
	return &monitoring.AlertPolicyConditionConditionAbsentAggregationArgs{
		AlignmentPeriod:    pulumi.String(fmt.Sprintf("%ds", c.period)),
		PerSeriesAligner:   pulumi.String(c.align),
		CrossSeriesReducer: pulumi.String(c.reduce),
		GroupByFields:      pulumi.ToStringArray(c.groups),
	}
}

// where is a filter of metrics: of a type, on a resource, with further
// comparisons.
func where(metric, resource string, more ...string) string {
	return strings.Join(append([]string{
		fmt.Sprintf("metric.type=%q", metric), fmt.Sprintf("resource.type=%q", resource),
	}, more...), " AND ")
}

// counted is how often lines were logged within the period, summed by groups,
// and more often than the limit.
func counted(name, metric, resource string, period int, limit float64, groups []string, more ...string) condition {
	return condition{
		name: name, filter: pulumi.String(where(metricType(metric), resource, more...)),
		align: "ALIGN_DELTA", period: period, reduce: "REDUCE_SUM", groups: groups, limit: limit,
	}
}

// asked is a query that is evaluated every interval and must hold for duration.
func asked(name, query string, interval, duration int) condition {
	return condition{name: name, promQL: strings.Join(strings.Fields(query), " "), interval: interval, duration: duration}
}

// prom names a log-based metric in a query, with its resource, without which a
// metric of several is refused, and further label matchers.
func prom(metric, suffix string, matchers ...string) string {
	resource := ofService
	for _, m := range logMetrics {
		if m.name == metric {
			resource = m.resource
		}
	}
	return promName(metric) + suffix + "{" + strings.Join(append([]string{fmt.Sprintf("monitored_resource=%q", resource)}, matchers...), ",") + "}"
}
