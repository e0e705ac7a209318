package provider

import (
	"fmt"
	"slices"
)

// iamKinds are the organisation's side of identities: what is audited. Kept;
// nothing is audited on this machine.
func iamKinds() []Kind {
	return []Kind{{
		Type: "gcp:projects/iAMAuditConfig:IAMAuditConfig", Mode: Recorded,
		Required: []string{"auditLogConfigs", "project", "service"},
		Replace:  []string{"project"},
		Validate: func(in Object, _ map[string]bool) []Failure {
			var failures []Failure
			if service := str(in, "service"); service != "" && service != "allServices" {
				failures = match(in, "service", apiName, "the name of an API, or allServices")
			}
			seen := map[string]bool{}
			for i, c := range objects(in, "auditLogConfigs") {
				at := fmt.Sprintf("auditLogConfigs[%d].logType", i)
				t := str(c, "logType")
				if t != "" && !slices.Contains([]string{"ADMIN_READ", "DATA_READ", "DATA_WRITE"}, t) {
					failures = append(failures, Failure{at, fmt.Sprintf("%q is none of ADMIN_READ, DATA_READ, DATA_WRITE", t)})
				}
				if seen[t] {
					failures = append(failures, Failure{at, t + " is there twice"})
				}
				seen[t] = true
			}
			return failures
		},
		ID: func(in Object) string { return str(in, "project") + "/audit_config/" + str(in, "service") },
		Outputs: func(Object) Object {
			return Object{"etag": "BwYAAAAAAAA="}
		},
	}}
}
