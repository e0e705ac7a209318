package provider

import (
	"slices"
	"strings"
	"testing"
)

// TestObservabilityIsValidated: what the APIs would refuse in the middle of an
// update is refused in a preview.
func TestObservabilityIsValidated(t *testing.T) {
	t.Parallel()
	kinds := map[string]Kind{}
	for _, k := range slices.Concat(ObservabilityKinds(), loggingKinds(testEnv)) {
		kinds[k.Type] = k
	}
	threshold := func(change func(Object)) Object {
		c := Object{
			"filter": `metric.type="a/b" AND resource.type="r"`, "comparison": "COMPARISON_GT", "duration": "60s",
			"aggregations": []any{Object{"alignmentPeriod": "60s", "perSeriesAligner": "ALIGN_RATE"}},
		}
		change(c)
		return Object{"combiner": "OR", "displayName": "x", "conditions": []any{Object{"displayName": "c", "conditionThreshold": c}}}
	}
	prom := func(query string) Object {
		return Object{"combiner": "OR", "conditions": []any{Object{"conditionPrometheusQueryLanguage": Object{"query": query, "evaluationInterval": "60s"}}}}
	}
	const alert, metric, slo, dashboard = "gcp:monitoring/alertPolicy:AlertPolicy", "gcp:logging/metric:Metric", "gcp:monitoring/slo:Slo", "gcp:monitoring/dashboard:Dashboard"
	for name, tc := range map[string]struct {
		typ  string
		in   Object
		want string // part of the one failure, "" = none
	}{
		"right":            {alert, threshold(func(Object) {}), ""},
		"filter":           {alert, threshold(func(c Object) { c["filter"] = `metric.type=` }), "a value was expected"},
		"no_resource":      {alert, threshold(func(c Object) { c["filter"] = `metric.type="a/b"` }), "0 values of resource.type"},
		"comparison":       {alert, threshold(func(c Object) { c["comparison"] = "GT" }), "COMPARISON_GT"},
		"duration":         {alert, threshold(func(c Object) { c["duration"] = "1m" }), "no duration in seconds"},
		"alignment":        {alert, threshold(func(c Object) { c["aggregations"] = []any{Object{"alignmentPeriod": "30s"}} }), "is not 1m0s"},
		"promql":           {alert, prom("sum(rate(x[5m])) > 1"), ""},
		"promql_broken":    {alert, prom("sum(rate(x[5m]) > 1"), "unclosed"},
		"no_form":          {alert, Object{"conditions": []any{Object{}}}, "0 of the forms"},
		"metric":           {metric, Object{"filter": `jsonPayload.event="x"`, "name": "a/b"}, ""},
		"metric_filter":    {metric, Object{"filter": `jsonPayload.event=`}, "a value was expected"},
		"metric_extractor": {metric, Object{"filter": `a="b"`, "valueExtractor": "jsonPayload.x"}, "neither EXTRACT"},
		"goal":             {slo, Object{"goal": 1.0, "rollingPeriodDays": 28.0, "basicSli": Object{}}, "is not above 0"},
		"dashboard":        {dashboard, Object{"dashboardJson": `{"displayName":"x","gridLayout":{}}`}, ""},
		"dashboard_json":   {dashboard, Object{"dashboardJson": `{`}, "unexpected end"},
		"dashboard_query":  {dashboard, Object{"dashboardJson": `{"displayName":"x","gridLayout":{"prometheusQuery":"sum("}}`}, "prometheusQuery"},
	} {
		got := kinds[tc.typ].Validate(tc.in, nil)
		switch {
		case tc.want == "" && len(got) > 0, tc.want != "" && len(got) != 1:
			t.Errorf("%s: failures %v, want %q", name, got, tc.want)
		case tc.want != "" && !strings.Contains(got[0].String(), tc.want):
			t.Errorf("%s: %s, want %q", name, got[0], tc.want)
		}
	}
}
