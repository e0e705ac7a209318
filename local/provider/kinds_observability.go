package provider

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/prometheus/promql/parser"

	"ingestion.internal/infra/filter"
)

var (
	billingAccountID = regexp.MustCompile(`^[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6}$`)
	monitoringID     = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_:.-]{0,62}$`)
)

// ObservabilityKinds are what watches the platform: checked as the APIs do and
// kept, because nothing is measured or spent on this machine.
func ObservabilityKinds() []Kind {
	return []Kind{
		budgetKind(),
		alertPolicyKind(),
		notificationChannelKind(),
		uptimeCheckKind(),
		customServiceKind(),
		sloKind(),
		dashboardKind(),
	}
}

func budgetKind() Kind {
	return Kind{
		Type: "gcp:billing/budget:Budget", Mode: Recorded,
		Required: []string{"amount", "billingAccount"},
		Replace:  []string{"billingAccount"},
		Computed: []string{"name"},
		Validate: func(in Object, unknown map[string]bool) []Failure {
			failures := match(in, "billingAccount", billingAccountID, "a billing account id such as 012345-6789AB-CDEF01")
			if amount := nested(in, "amount"); amount != nil && !unknown["amount.specifiedAmount"] &&
				(nested(amount, "specifiedAmount") == nil) == !boolean(amount, "lastPeriodAmount") {
				failures = append(failures, Failure{"amount", "has either specifiedAmount or lastPeriodAmount"})
			}
			for i, rule := range objects(in, "thresholdRules") {
				failures = append(failures, under(fmt.Sprintf("thresholdRules[%d]", i), oneOf(rule, "spendBasis", "CURRENT_SPEND", "FORECASTED_SPEND"))...)
			}
			if channels, _ := nested(in, "allUpdatesRule")["monitoringNotificationChannels"].([]any); len(channels) > 5 {
				failures = append(failures, Failure{"allUpdatesRule.monitoringNotificationChannels", "a budget has at most 5 channels"})
			}
			return failures
		},
		ID: func(in Object) string {
			return "billingAccounts/" + str(in, "billingAccount") + "/budgets/" + str(in, "displayName")
		},
		Outputs: func(in Object) Object { return Object{"name": str(in, "displayName")} },
	}
}

// numbered is an id as Cloud Monitoring gives them: digits that nobody chose,
// the same for the same name.
func numbered(in Object, name string) string {
	sum := sha256.Sum256([]byte(str(in, name)))
	return strconv.FormatUint(binary.BigEndian.Uint64(sum[:])>>1, 10)
}

func alertPolicyKind() Kind {
	k := Kind{
		Type: "gcp:monitoring/alertPolicy:AlertPolicy", Mode: Recorded,
		Required: []string{"combiner", "conditions", "displayName"},
		Replace:  []string{"project"},
		Computed: []string{"name"},
		Normalize: func(env Env, urn string, in Object) {
			inProject(env, urn, in)
			setDefault(in, "enabled", true)
		},
		Validate: validateAlertPolicy,
		ID: func(in Object) string {
			return "projects/" + str(in, "project") + "/alertPolicies/" + numbered(in, "displayName")
		},
	}
	k.Outputs = func(in Object) Object { return Object{"name": k.ID(in)} }
	return k
}

// Enumerations of the API.
// https://cloud.google.com/monitoring/api/ref_v3/rest/v3/projects.alertPolicies
var (
	aligners = []string{
		"ALIGN_NONE", "ALIGN_DELTA", "ALIGN_RATE", "ALIGN_INTERPOLATE", "ALIGN_NEXT_OLDER", "ALIGN_MIN", "ALIGN_MAX", "ALIGN_MEAN", "ALIGN_COUNT",
		"ALIGN_SUM", "ALIGN_STDDEV", "ALIGN_COUNT_TRUE", "ALIGN_COUNT_FALSE", "ALIGN_FRACTION_TRUE", "ALIGN_PERCENTILE_99", "ALIGN_PERCENTILE_95",
		"ALIGN_PERCENTILE_50", "ALIGN_PERCENTILE_05", "ALIGN_PERCENT_CHANGE",
	}
	reducers = []string{
		"REDUCE_NONE", "REDUCE_MEAN", "REDUCE_MIN", "REDUCE_MAX", "REDUCE_SUM", "REDUCE_STDDEV", "REDUCE_COUNT", "REDUCE_COUNT_TRUE", "REDUCE_COUNT_FALSE",
		"REDUCE_FRACTION_TRUE", "REDUCE_PERCENTILE_99", "REDUCE_PERCENTILE_95", "REDUCE_PERCENTILE_50", "REDUCE_PERCENTILE_05",
	}
	conditionForms = []string{"conditionThreshold", "conditionAbsent", "conditionMatchedLog", "conditionMonitoringQueryLanguage", "conditionPrometheusQueryLanguage"}
)

func validateAlertPolicy(in Object, unknown map[string]bool) []Failure {
	failures := oneOf(in, "combiner", "AND", "OR", "AND_WITH_MATCHING_RESOURCE")
	failures = append(failures, oneOf(in, "severity", "CRITICAL", "ERROR", "WARNING")...)
	failures = append(failures, userLabels(in)...)
	if s := nested(in, "alertStrategy"); s != nil {
		failures = append(failures, under("alertStrategy", span(s, "autoClose", 30*time.Minute, 7*24*time.Hour, 0))...)
	}
	if doc := nested(in, "documentation"); doc != nil {
		failures = append(failures, under("documentation", oneOf(doc, "mimeType", "text/markdown"))...)
		if len(str(doc, "content")) > 8<<10 {
			failures = append(failures, Failure{"documentation.content", "is longer than 8 KiB"})
		}
		if len(str(doc, "subject")) > 255 {
			failures = append(failures, Failure{"documentation.subject", "is longer than 255 bytes"})
		}
	}
	conditions := objects(in, "conditions")
	if in["conditions"] != nil && (len(conditions) == 0 || len(conditions) > 6) {
		failures = append(failures, Failure{"conditions", "a policy has 1 to 6 conditions"})
	}
	for i, c := range conditions {
		at := fmt.Sprintf("conditions[%d]", i)
		var forms []string
		for _, form := range conditionForms {
			if nested(c, form) != nil {
				forms = append(forms, form)
			}
		}
		if len(forms) != 1 {
			failures = append(failures, Failure{at, fmt.Sprintf("has %d of the forms of a condition, not one", len(forms))})
			continue
		}
		at += "." + forms[0]
		failures = append(failures, under(at, validateCondition(forms[0], nested(c, forms[0]), unknown[at+".filter"]))...)
	}
	return failures
}

func validateCondition(form string, c Object, unknownFilter bool) []Failure {
	var failures []Failure
	switch form {
	case "conditionPrometheusQueryLanguage":
		failures = append(failures, promQL(c, "query")...)
		failures = append(failures, span(c, "duration", 0, 24*time.Hour, time.Second)...)
		return append(failures, span(c, "evaluationInterval", 30*time.Second, 24*time.Hour, 30*time.Second)...)
	case "conditionThreshold":
		failures = append(failures, oneOf(c, "comparison", "COMPARISON_GT", "COMPARISON_LT")...)
		failures = append(failures, oneOf(c, "evaluationMissingData", "EVALUATION_MISSING_DATA_INACTIVE", "EVALUATION_MISSING_DATA_ACTIVE", "EVALUATION_MISSING_DATA_NO_OP")...)
		if str(c, "evaluationMissingData") != "" && str(c, "duration") == "0s" {
			failures = append(failures, Failure{"evaluationMissingData", "needs a duration above 0s"})
		}
		failures = append(failures, metricFilter(c, "filter", unknownFilter)...)
		failures = append(failures, span(c, "duration", 0, 23*time.Hour+30*time.Minute, time.Minute)...)
		if str(c, "denominatorFilter") != "" {
			failures = append(failures, metricFilter(c, "denominatorFilter", false)...)
		}
		failures = append(failures, aggregations(c, "denominatorAggregations")...)
	case "conditionAbsent":
		failures = append(failures, metricFilter(c, "filter", unknownFilter)...)
		// https://cloud.google.com/monitoring/alerts/metric-absence
		failures = append(failures, span(c, "duration", 3*time.Minute, 23*time.Hour+30*time.Minute, time.Minute)...)
	case "conditionMatchedLog":
		return append(failures, logFilter(c, "filter")...)
	default:
		return []Failure{{"query", "MQL is deprecated: use PromQL"}}
	}
	return append(failures, aggregations(c, "aggregations")...)
}

// metricFilter checks a filter of metrics: a metric and a resource type, or
// the burn rate of an objective.
func metricFilter(in Object, name string, unknown bool) []Failure {
	text, ok := in[name].(string)
	if !ok {
		if unknown {
			return nil
		}
		return []Failure{{name, "is required"}}
	}
	f, err := filter.Parse(filter.Monitoring, text)
	if err != nil {
		return failed(name, err)
	}
	if _, _, ok := f.Selector(); ok {
		return nil
	}
	var failures []Failure
	for _, field := range []string{"metric.type", "resource.type"} {
		if n := len(f.Values(field)); n != 1 {
			failures = append(failures, Failure{name, fmt.Sprintf("names %d values of %s, not one", n, field)})
		}
	}
	for _, field := range f.Fields() {
		switch head, _, _ := strings.Cut(field, "."); head {
		case "metric", "resource", "metadata", "group", "project":
		default:
			failures = append(failures, Failure{name, field + " is no field of a metric's filter"})
		}
	}
	return failures
}

func promQL(in Object, name string) []Failure {
	text, ok := in[name].(string)
	if !ok {
		return nil
	}
	_, err := parser.NewParser(parser.Options{}).ParseExpr(text)
	return failed(name, err)
}

func aggregations(in Object, name string) []Failure {
	var failures []Failure
	for i, a := range objects(in, name) {
		at := fmt.Sprintf("%s[%d]", name, i)
		failures = append(failures, under(at, span(a, "alignmentPeriod", time.Minute, 25*time.Hour, 0))...)
		failures = append(failures, under(at, oneOf(a, "perSeriesAligner", aligners...))...)
		failures = append(failures, under(at, oneOf(a, "crossSeriesReducer", reducers...))...)
		if len(stringList(a, "groupByFields")) > 0 && str(a, "crossSeriesReducer") == "" {
			failures = append(failures, Failure{at + ".groupByFields", "need a crossSeriesReducer"})
		}
	}
	return failures
}

// span refuses a known duration that is not in the API's notation, out of its
// range, or no multiple of step.
func span(in Object, name string, least, most, step time.Duration) []Failure {
	text, ok := in[name].(string)
	if !ok {
		return nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || !strings.HasSuffix(text, "s") || strings.ContainsAny(text, "mh") {
		return []Failure{{name, fmt.Sprintf("%q is no duration in seconds such as 60s", text)}}
	}
	if d < least || d > most {
		return []Failure{{name, fmt.Sprintf("%s is not %s to %s", d, least, most)}}
	}
	if step > 0 && d%step != 0 {
		return []Failure{{name, fmt.Sprintf("%s is no multiple of %s", d, step)}}
	}
	return nil
}

// userLabels are those of Cloud Monitoring.
var userLabel = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)

func userLabels(in Object) []Failure {
	var failures []Failure
	for key, value := range stringMap(in, "userLabels") {
		if !userLabel.MatchString(key) || !labelValue.MatchString(value) {
			failures = append(failures, Failure{path{"userLabels", key}.String(), fmt.Sprintf("%q: %q is no label", key, value)})
		}
	}
	if len(nested(in, "userLabels")) > 64 {
		failures = append(failures, Failure{"userLabels", "a resource has at most 64 labels"})
	}
	slices.SortFunc(failures, func(a, b Failure) int { return strings.Compare(a.String(), b.String()) })
	return failures
}

// channelLabels are the labels, open and secret, that a type of channel needs.
// https://cloud.google.com/monitoring/support/notification-options
var channelLabels = map[string][]string{
	"email":             {"labels.email_address"},
	"slack":             {"labels.channel_name", "sensitiveLabels.authToken"},
	"pagerduty":         {"sensitiveLabels.serviceKey"},
	"webhook_basicauth": {"labels.url", "labels.username", "sensitiveLabels.password"},
	"webhook_tokenauth": {"labels.url"},
	"pubsub":            {"labels.topic"},
	"sms":               {"labels.number"},
}

func notificationChannelKind() Kind {
	k := Kind{
		Type: "gcp:monitoring/notificationChannel:NotificationChannel", Mode: Recorded,
		Required: []string{"type"},
		Replace:  []string{"project"},
		Computed: []string{"name"},
		Normalize: func(env Env, urn string, in Object) {
			inProject(env, urn, in)
			setDefault(in, "enabled", true)
		},
		Validate: func(in Object, unknown map[string]bool) []Failure {
			failures := userLabels(in)
			needed, ok := channelLabels[str(in, "type")]
			if in["type"] != nil && !ok {
				failures = append(failures, Failure{"type", fmt.Sprintf("%q is not a type of channel that is known here", str(in, "type"))})
			}
			for _, label := range needed {
				if !unknown[label] && !contains(in, strings.Split(label, ".")) {
					failures = append(failures, Failure{label, "is required for " + str(in, "type")})
				}
			}
			return failures
		},
		ID: func(in Object) string {
			return "projects/" + str(in, "project") + "/notificationChannels/" + numbered(in, "displayName")
		},
	}
	k.Outputs = func(in Object) Object { return Object{"name": k.ID(in), "verificationStatus": ""} }
	return k
}

func uptimeCheckKind() Kind {
	k := Kind{
		Type: "gcp:monitoring/uptimeCheckConfig:UptimeCheckConfig", Mode: Recorded,
		Required: []string{"displayName", "timeout"},
		Replace:  []string{"checkerType", "monitoredResource", "project", "resourceGroup", "syntheticMonitor", "httpCheck.requestMethod"},
		Computed: []string{"name", "uptimeCheckId"},
		Normalize: func(env Env, urn string, in Object) {
			inProject(env, urn, in)
			setDefault(in, "period", "300s")
		},
		Validate: func(in Object, unknown map[string]bool) []Failure {
			failures := oneOf(in, "period", "60s", "300s", "600s", "900s")
			failures = append(failures, span(in, "timeout", time.Second, time.Minute, 0)...)
			failures = append(failures, userLabels(in)...)
			http, tcp := nested(in, "httpCheck"), nested(in, "tcpCheck")
			if (http == nil) == (tcp == nil) && !unknown["httpCheck"] && nested(in, "syntheticMonitor") == nil {
				failures = append(failures, Failure{"httpCheck", "a check has either httpCheck or tcpCheck"})
			}
			if http != nil {
				failures = append(failures, under("httpCheck", oneOf(http, "requestMethod", "METHOD_UNSPECIFIED", "GET", "POST"))...)
				failures = append(failures, under("httpCheck", between(http, "port", 1, 65535))...)
				if boolean(http, "validateSsl") && !boolean(http, "useSsl") && !unknown["httpCheck.useSsl"] {
					failures = append(failures, Failure{"httpCheck.validateSsl", "needs useSsl"})
				}
			}
			if r := nested(in, "monitoredResource"); r != nil && str(r, "type") == "uptime_url" && !unknown["monitoredResource.labels.host"] {
				if host := stringMap(r, "labels")["host"]; host == "" || strings.ContainsAny(host, ":/") {
					failures = append(failures, Failure{"monitoredResource.labels.host", fmt.Sprintf("%q is no host", host)})
				}
			}
			return failures
		},
		ID: func(in Object) string {
			return "projects/" + str(in, "project") + "/uptimeCheckConfigs/" + checkID(in)
		},
	}
	k.Outputs = func(in Object) Object { return Object{"name": k.ID(in), "uptimeCheckId": checkID(in)} }
	return k
}

// checkID is the id of an uptime check: its title and something unlike any
// other's.
func checkID(in Object) string {
	title := regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(str(in, "displayName")), "-")
	sum := sha256.Sum256([]byte(str(in, "displayName")))
	return strings.Trim(title, "-") + "-" + hex.EncodeToString(sum[:])[:11]
}

func customServiceKind() Kind {
	k := Kind{
		Type: "gcp:monitoring/customService:CustomService", Mode: Recorded,
		Replace: []string{"project", "serviceId"},
		Normalize: func(env Env, urn string, in Object) {
			inProject(env, urn, in)
			setDefault(in, "serviceId", autoName(urn))
		},
		Validate: func(in Object, _ map[string]bool) []Failure {
			return append(match(in, "serviceId", monitoringID, "an id of letters, digits, underscores, hyphens, colons and periods"), userLabels(in)...)
		},
		ID: func(in Object) string { return "projects/" + str(in, "project") + "/services/" + str(in, "serviceId") },
	}
	k.Outputs = func(in Object) Object { return Object{"name": k.ID(in)} }
	return k
}

func sloKind() Kind {
	k := Kind{
		Type: "gcp:monitoring/slo:Slo", Mode: Recorded,
		Required: []string{"goal", "service"},
		Replace:  []string{"project", "service", "sloId"},
		Normalize: func(env Env, urn string, in Object) {
			inProject(env, urn, in)
			setDefault(in, "sloId", autoName(urn))
		},
		Validate: validateSLO,
		ID: func(in Object) string {
			return "projects/" + str(in, "project") + "/services/" + base(str(in, "service")) + "/serviceLevelObjectives/" + str(in, "sloId")
		},
	}
	k.Outputs = func(in Object) Object { return Object{"name": k.ID(in)} }
	return k
}

func validateSLO(in Object, unknown map[string]bool) []Failure {
	failures := match(in, "sloId", monitoringID, "an id of letters, digits, underscores, hyphens, colons and periods")
	failures = append(failures, userLabels(in)...)
	if goal, ok := in["goal"].(float64); ok && (goal <= 0 || goal > 0.9999) {
		failures = append(failures, Failure{"goal", fmt.Sprintf("%g is not above 0 and up to 0.9999", goal)})
	}
	failures = append(failures, between(in, "rollingPeriodDays", 1, 30)...)
	failures = append(failures, oneOf(in, "calendarPeriod", "DAY", "WEEK", "FORTNIGHT", "MONTH")...)
	if (in["rollingPeriodDays"] == nil) == (in["calendarPeriod"] == nil) && !unknown["rollingPeriodDays"] && !unknown["calendarPeriod"] {
		failures = append(failures, Failure{"rollingPeriodDays", "an objective has either rollingPeriodDays or calendarPeriod"})
	}
	indicators := 0
	for _, name := range []string{"basicSli", "requestBasedSli", "windowsBasedSli"} {
		if nested(in, name) != nil {
			indicators++
		}
	}
	if indicators != 1 {
		failures = append(failures, Failure{"requestBasedSli", fmt.Sprintf("an objective has one indicator, not %d", indicators)})
	}
	sli := nested(in, "requestBasedSli")
	if sli == nil {
		return failures
	}
	cut, ratio := nested(sli, "distributionCut"), nested(sli, "goodTotalRatio")
	switch {
	case (cut == nil) == (ratio == nil):
		failures = append(failures, Failure{"requestBasedSli", "has either distributionCut or goodTotalRatio"})
	case cut != nil:
		at := "requestBasedSli.distributionCut"
		failures = append(failures, under(at, metricFilter(cut, "distributionFilter", unknown[at+".distributionFilter"]))...)
		if r := nested(cut, "range"); r["min"] == nil && r["max"] == nil {
			failures = append(failures, Failure{at + ".range", "has a minimum, a maximum or both"})
		}
	default:
		filters := 0
		for _, name := range []string{"badServiceFilter", "goodServiceFilter", "totalServiceFilter"} {
			at := "requestBasedSli.goodTotalRatio"
			if ratio[name] != nil {
				filters++
				failures = append(failures, under(at, metricFilter(ratio, name, unknown[at+"."+name]))...)
			}
		}
		if filters != 2 {
			failures = append(failures, Failure{"requestBasedSli.goodTotalRatio", fmt.Sprintf("has two of the three filters, not %d", filters)})
		}
	}
	return failures
}

func dashboardKind() Kind {
	return Kind{
		Type: "gcp:monitoring/dashboard:Dashboard", Mode: Recorded,
		Required:  []string{"dashboardJson"},
		Replace:   []string{"project"},
		Normalize: inProject,
		Validate: func(in Object, _ map[string]bool) []Failure {
			text, ok := in["dashboardJson"].(string)
			if !ok {
				return nil
			}
			var board any
			if err := json.Unmarshal([]byte(text), &board); err != nil {
				return failed("dashboardJson", err)
			}
			top, _ := board.(Object)
			var failures []Failure
			if str(top, "displayName") == "" {
				failures = append(failures, Failure{"dashboardJson.displayName", "is required"})
			}
			layouts := 0
			for _, layout := range []string{"gridLayout", "mosaicLayout", "rowLayout", "columnLayout"} {
				if nested(top, layout) != nil {
					layouts++
				}
			}
			if layouts != 1 {
				failures = append(failures, Failure{"dashboardJson", fmt.Sprintf("has one layout, not %d", layouts)})
			}
			failures = append(failures, tiles(nested(top, "mosaicLayout"))...)
			return append(failures, queries("dashboardJson", board)...)
		},
		ID: func(in Object) string {
			return "projects/" + str(in, "project") + "/dashboards/" + numbered(Object{"name": title(str(in, "dashboardJson"))}, "name")
		},
	}
}

// title returns a dashboard's display name: another one is another dashboard.
func title(text string) string {
	var board struct{ DisplayName string }
	if json.Unmarshal([]byte(text), &board) != nil {
		return ""
	}
	return board.DisplayName
}

// tiles checks that a mosaic's tiles are inside it and do not overlap.
func tiles(mosaic Object) []Failure {
	var failures []Failure
	all := objects(mosaic, "tiles")
	for i, a := range all {
		at := fmt.Sprintf("dashboardJson.mosaicLayout.tiles[%d]", i)
		if number(a, "width") < 1 || number(a, "height") < 1 || number(a, "xPos")+number(a, "width") > number(mosaic, "columns") {
			failures = append(failures, Failure{at, "is not inside the mosaic's columns"})
		}
		for j, b := range all[:i] {
			if number(a, "xPos") < number(b, "xPos")+number(b, "width") && number(b, "xPos") < number(a, "xPos")+number(a, "width") &&
				number(a, "yPos") < number(b, "yPos")+number(b, "height") && number(b, "yPos") < number(a, "yPos")+number(a, "height") {
				failures = append(failures, Failure{at, fmt.Sprintf("overlaps tile %d", j)})
			}
		}
	}
	return failures
}

// queries checks every query of a dashboard, wherever it stands.
func queries(at string, value any) []Failure {
	var failures []Failure
	switch v := value.(type) {
	case Object:
		failures = append(failures, under(at, promQL(v, "prometheusQuery"))...)
		if f := nested(v, "timeSeriesFilter"); f != nil {
			here := at + ".timeSeriesFilter"
			failures = append(failures, under(here, metricFilter(f, "filter", false))...)
			failures = append(failures, under(here, aggregations(Object{"aggregation": []any{f["aggregation"]}}, "aggregation"))...)
		}
		var keys []string
		for key := range v {
			keys = append(keys, key)
		}
		slices.Sort(keys)
		for _, key := range keys {
			failures = append(failures, queries(at+"."+key, v[key])...)
		}
	case []any:
		for i, item := range v {
			failures = append(failures, queries(fmt.Sprintf("%s[%d]", at, i), item)...)
		}
	}
	return failures
}
