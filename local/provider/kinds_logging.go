package provider

import (
	"fmt"
	"regexp"

	"ingestion.internal/infra/filter"
)

var (
	sinkName        = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,100}$`)
	sinkDestination = regexp.MustCompile(`^(storage\.googleapis\.com/.+|(bigquery|pubsub|logging)\.googleapis\.com/projects/.+)$`)
	logBucketID     = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,100}$`)
	// https://cloud.google.com/logging/docs/api/reference/rest/v2/projects.metrics
	logMetricName  = regexp.MustCompile(`^[A-Za-z0-9_.,+!*'()%-][A-Za-z0-9_.,+!*'()%/-]{0,99}$`)
	logMetricLabel = regexp.MustCompile(`^[a-z][a-z0-9_]{0,99}$`)
)

// maxLogFilter is the longest filter that Cloud Logging takes.
const maxLogFilter = 20000

// logFilter checks a filter of log entries.
func logFilter(in Object, name string) []Failure {
	text, ok := in[name].(string)
	if !ok {
		return nil
	}
	if len(text) > maxLogFilter {
		return []Failure{{name, fmt.Sprintf("is longer than %d characters", maxLogFilter)}}
	}
	_, err := filter.Parse(filter.Logging, text)
	return failed(name, err)
}

// loggingKinds are Cloud Logging's buckets, sinks, exclusions and log-based
// metrics: kept, because handlers log to their own files on this machine.
func loggingKinds(env Env) []Kind {
	sink := Kind{
		Type: "gcp:logging/projectSink:ProjectSink", Mode: Recorded,
		Required: []string{"destination"},
		Replace:  []string{"name", "project"},
		Normalize: func(env Env, urn string, in Object) {
			inProject(env, urn, in)
			setDefault(in, "name", autoName(urn))
			setDefault(in, "uniqueWriterIdentity", true)
		},
		Validate: func(in Object, _ map[string]bool) []Failure {
			failures := match(in, "name", sinkName, "up to 100 letters, digits, underscores, hyphens and periods")
			failures = append(failures, match(in, "destination", sinkDestination, "storage.googleapis.com/BUCKET or SERVICE.googleapis.com/projects/...")...)
			if str(in, "filter") != "" { // none: every entry
				failures = append(failures, logFilter(in, "filter")...)
			}
			for i, exclusion := range objects(in, "exclusions") {
				failures = append(failures, under(fmt.Sprintf("exclusions[%d]", i), logFilter(exclusion, "filter"))...)
			}
			return failures
		},
		ID: func(in Object) string { return "projects/" + str(in, "project") + "/sinks/" + str(in, "name") },
		Outputs: func(Object) Object {
			return Object{"writerIdentity": "serviceAccount:" + serviceAgent(env.ProjectNumber, "logging.googleapis.com")}
		},
	}
	bucket := Kind{
		Type: "gcp:logging/projectBucketConfig:ProjectBucketConfig", Mode: Recorded,
		Required: []string{"bucketId", "location", "project"},
		Replace:  []string{"bucketId", "location", "project"},
		Normalize: func(_ Env, _ string, in Object) {
			setDefault(in, "retentionDays", 30.0)
		},
		Validate: func(in Object, _ map[string]bool) []Failure {
			failures := match(in, "bucketId", logBucketID, "up to 100 letters, digits, underscores, hyphens and periods")
			return append(failures, between(in, "retentionDays", 1, 3650)...)
		},
		ID: func(in Object) string {
			return "projects/" + base(str(in, "project")) + "/locations/" + str(in, "location") + "/buckets/" + str(in, "bucketId")
		},
	}
	bucket.Outputs = func(in Object) Object { return Object{"name": bucket.ID(in), "lifecycleState": "ACTIVE"} }
	exclusion := Kind{
		Type: "gcp:logging/projectExclusion:ProjectExclusion", Mode: Recorded,
		Required: []string{"filter"},
		Replace:  []string{"name", "project"},
		Normalize: func(env Env, urn string, in Object) {
			inProject(env, urn, in)
			setDefault(in, "name", autoName(urn))
		},
		Validate: func(in Object, _ map[string]bool) []Failure {
			return append(match(in, "name", sinkName, "up to 100 letters, digits, underscores, hyphens and periods"), logFilter(in, "filter")...)
		},
		ID: func(in Object) string { return "projects/" + str(in, "project") + "/exclusions/" + str(in, "name") },
	}
	metric := Kind{
		Type: "gcp:logging/metric:Metric", Mode: Recorded,
		Required: []string{"filter"},
		Replace:  []string{"project", "metricDescriptor.labels.key", "metricDescriptor.labels.valueType"},
		Normalize: func(env Env, urn string, in Object) {
			inProject(env, urn, in)
			setDefault(in, "name", autoName(urn))
		},
		Validate: validateLogMetric,
		ID:       func(in Object) string { return str(in, "name") },
	}
	return []Kind{sink, bucket, exclusion, metric}
}

// validateLogMetric checks a log-based metric: what it matches, and that what
// it extracts fits its descriptor.
func validateLogMetric(in Object, _ map[string]bool) []Failure {
	failures := match(in, "name", logMetricName, `up to 100 letters, digits and _-.,+!*',()%/, not beginning with a slash`)
	failures = append(failures, logFilter(in, "filter")...)
	if text := str(in, "valueExtractor"); text != "" {
		_, err := filter.ParseExtractor(text)
		failures = append(failures, failed("valueExtractor", err)...)
	}
	extractors := stringMap(in, "labelExtractors")
	for key, text := range extractors {
		_, err := filter.ParseExtractor(text)
		failures = append(failures, failed("labelExtractors."+key, err)...)
	}
	d := nested(in, "metricDescriptor")
	if d == nil {
		return failures
	}
	const at = "metricDescriptor"
	failures = append(failures, under(at, oneOf(d, "metricKind", "DELTA", "GAUGE", "CUMULATIVE"))...)
	failures = append(failures, under(at, oneOf(d, "valueType", "BOOL", "INT64", "DOUBLE", "STRING", "DISTRIBUTION", "MONEY"))...)
	labels := objects(d, "labels")
	if len(labels) > 10 {
		failures = append(failures, Failure{at + ".labels", "a log-based metric has at most 10 labels"})
	}
	declared := map[string]bool{}
	for i, label := range labels {
		here := fmt.Sprintf("%s.labels[%d]", at, i)
		failures = append(failures, under(here, match(label, "key", logMetricLabel, "a lower-case letter and up to 99 lower-case letters, digits and underscores"))...)
		failures = append(failures, under(here, oneOf(label, "valueType", "STRING", "INT64", "BOOL"))...)
		declared[str(label, "key")] = true
		if extractors[str(label, "key")] == "" {
			failures = append(failures, Failure{here, fmt.Sprintf("the label %s has no extractor", str(label, "key"))})
		}
	}
	for key := range extractors {
		if !declared[key] {
			failures = append(failures, Failure{"labelExtractors." + key, "the descriptor declares no such label"})
		}
	}
	distribution := str(d, "valueType") == "DISTRIBUTION"
	if distribution != (str(in, "valueExtractor") != "") {
		failures = append(failures, Failure{"valueExtractor", "goes with the value type DISTRIBUTION, and only with that"})
	}
	if options := nested(in, "bucketOptions"); options != nil {
		if !distribution {
			failures = append(failures, Failure{"bucketOptions", "go with the value type DISTRIBUTION only"})
		}
		failures = append(failures, ascending("bucketOptions.explicitBuckets.bounds", nested(options, "explicitBuckets"))...)
	}
	return failures
}

// ascending checks the bounds of explicit buckets.
func ascending(at string, explicit Object) []Failure {
	if explicit == nil {
		return nil
	}
	bounds, _ := explicit["bounds"].([]any)
	if len(bounds) == 0 || len(bounds) > 199 {
		return []Failure{{at, "must be 1 to 199 numbers"}}
	}
	for i := 1; i < len(bounds); i++ {
		before, _ := bounds[i-1].(float64)
		if b, _ := bounds[i].(float64); b <= before {
			return []Failure{{fmt.Sprintf("%s[%d]", at, i), "bounds must ascend"}}
		}
	}
	return nil
}

// under puts failures of a nested object under its path.
func under(at string, failures []Failure) []Failure {
	for i := range failures {
		failures[i].Property = at + "." + failures[i].Property
	}
	return failures
}

// between refuses a known number out of a range.
func between(in Object, name string, least, most float64) []Failure {
	if n, ok := in[name].(float64); ok && (n < least || n > most) {
		return []Failure{{name, fmt.Sprintf("%g is not %g to %g", n, least, most)}}
	}
	return nil
}
