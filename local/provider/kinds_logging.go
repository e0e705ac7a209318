package provider

import (
	"fmt"
	"regexp"
)

var (
	sinkName        = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,100}$`)
	sinkDestination = regexp.MustCompile(`^(storage\.googleapis\.com/.+|(bigquery|pubsub|logging)\.googleapis\.com/projects/.+)$`)
)

// loggingKinds are Cloud Logging's sinks: kept, because handlers log to their
// own files on this machine.
func loggingKinds(env Env) []Kind {
	return []Kind{{
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
			if len(str(in, "filter")) > 20000 {
				failures = append(failures, Failure{"filter", fmt.Sprintf("is longer than %d characters", 20000)})
			}
			return failures
		},
		ID: func(in Object) string { return "projects/" + str(in, "project") + "/sinks/" + str(in, "name") },
		Outputs: func(Object) Object {
			return Object{"writerIdentity": "serviceAccount:" + serviceAgent(env.ProjectNumber, "logging.googleapis.com")}
		},
	}}
}
