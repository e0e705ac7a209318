package provider

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"ingestion.internal/local/cloud/iam"
)

// https://cloud.google.com/iam/docs/reference/rest/v1/projects.locations.workloadIdentityPools
var (
	federationID = regexp.MustCompile(`^[a-z0-9-]{4,32}$`)
	constraintID = regexp.MustCompile(`^(projects|folders|organizations)/[^/]+/policies/[a-zA-Z0-9.]+$`)
)

// iamKinds are what surrounds the project's identities: identities from
// elsewhere, what is audited, and what the organisation forbids. Kept: no token
// of GitHub's comes here, and nothing is audited on this machine.
func iamKinds(env Env) []Kind {
	return []Kind{identityPool(env), identityProvider(env), orgPolicy(), {
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

// federated checks an id of a pool or a provider. The prefix gcp- is Google's.
func federated(in Object, property string) []Failure {
	failures := match(in, property, federationID, "4 to 32 lower-case letters, digits and hyphens")
	if strings.HasPrefix(str(in, property), "gcp-") {
		failures = append(failures, Failure{property, "must not begin with gcp-"})
	}
	return failures
}

// identityPool is a pool of identities from elsewhere. A deleted one keeps its
// id for 30 days.
func identityPool(env Env) Kind {
	id := func(project, in string) string {
		return "projects/" + project + "/locations/global/workloadIdentityPools/" + in
	}
	return Kind{
		Type: "gcp:iam/workloadIdentityPool:WorkloadIdentityPool", Mode: Recorded,
		Required:  []string{"workloadIdentityPoolId"},
		Replace:   []string{"project", "workloadIdentityPoolId"},
		Normalize: inProject,
		Validate: func(in Object, _ map[string]bool) []Failure {
			failures := federated(in, "workloadIdentityPoolId")
			if len(str(in, "displayName")) > 32 {
				failures = append(failures, Failure{"displayName", "is longer than 32 characters"})
			}
			return failures
		},
		ID: func(in Object) string { return id(str(in, "project"), str(in, "workloadIdentityPoolId")) },
		Outputs: func(in Object) Object {
			// The API names it by the project's number.
			return Object{"name": id(env.ProjectNumber, str(in, "workloadIdentityPoolId")), "state": "ACTIVE"}
		},
	}
}

// identityProvider says whose tokens a pool takes, and what it makes of them.
func identityProvider(env Env) Kind {
	id := func(project string, in Object) string {
		return "projects/" + project + "/locations/global/workloadIdentityPools/" + str(in, "workloadIdentityPoolId") +
			"/providers/" + str(in, "workloadIdentityPoolProviderId")
	}
	return Kind{
		Type: "gcp:iam/workloadIdentityPoolProvider:WorkloadIdentityPoolProvider", Mode: Recorded,
		Required:  []string{"workloadIdentityPoolId", "workloadIdentityPoolProviderId"},
		Replace:   []string{"project", "workloadIdentityPoolId", "workloadIdentityPoolProviderId"},
		Normalize: inProject,
		Validate: func(in Object, unknown map[string]bool) []Failure {
			failures := federated(in, "workloadIdentityPoolProviderId")
			if len(str(in, "displayName")) > 32 {
				failures = append(failures, Failure{"displayName", "is longer than 32 characters"})
			}
			sources := 0
			for _, source := range []string{"aws", "oidc", "saml"} {
				if in[source] != nil || unknown[source] {
					sources++
				}
			}
			if sources != 1 {
				failures = append(failures, Failure{"oidc", "exactly one of aws, oidc and saml is given"})
			}
			oidc := nested(in, "oidc")
			if oidc == nil {
				return failures
			}
			if issuer := str(oidc, "issuerUri"); !unknown["oidc.issuerUri"] && !strings.HasPrefix(issuer, "https://") {
				failures = append(failures, Failure{"oidc.issuerUri", fmt.Sprintf("%q is not an https address", issuer)})
			}
			if str(nested(in, "attributeMapping"), "google.subject") == "" && !unknown["attributeMapping"] {
				failures = append(failures, Failure{"attributeMapping", "must map google.subject"})
			}
			// Without a condition every repository of GitHub is let in; the API
			// asks for one where the issuer serves many.
			condition := str(in, "attributeCondition")
			if condition == "" && !unknown["attributeCondition"] {
				return append(failures, Failure{"attributeCondition", "is required for an issuer that serves many"})
			}
			return append(failures, failed("attributeCondition", iam.ValidateAttributes(nested(in, "attributeMapping"), condition))...)
		},
		ID: func(in Object) string { return id(str(in, "project"), in) },
		Outputs: func(in Object) Object {
			return Object{"name": id(env.ProjectNumber, in), "state": "ACTIVE"}
		},
	}
}

// orgPolicy is a policy of the organisation policy service on one resource.
func orgPolicy() Kind {
	return Kind{
		Type: "gcp:orgpolicy/policy:Policy", Mode: Recorded,
		Required: []string{"parent"},
		Replace:  []string{"name", "parent"},
		Validate: func(in Object, unknown map[string]bool) []Failure {
			failures := match(in, "name", constraintID, "PARENT/policies/CONSTRAINT")
			if name, parent := str(in, "name"), str(in, "parent"); name != "" && parent != "" && !strings.HasPrefix(name, parent+"/") {
				failures = append(failures, Failure{"name", fmt.Sprintf("%q is not a policy of %s", name, parent)})
			}
			for i, rule := range objects(nested(in, "spec"), "rules") {
				at := fmt.Sprintf("spec.rules[%d]", i)
				kinds := 0
				for _, kind := range []string{"allowAll", "denyAll", "enforce", "values"} {
					if rule[kind] != nil || unknown[at+"."+kind] {
						kinds++
					}
					if s, ok := rule[kind].(string); ok && s != "TRUE" && s != "FALSE" {
						failures = append(failures, Failure{at + "." + kind, fmt.Sprintf("%q is neither TRUE nor FALSE", s)})
					}
				}
				if kinds != 1 {
					failures = append(failures, Failure{at, "exactly one of allowAll, denyAll, enforce and values is given"})
				}
			}
			return failures
		},
		ID:      func(in Object) string { return str(in, "name") },
		Outputs: func(Object) Object { return Object{"etag": "CLe2wLoGEKCJ"} },
	}
}
