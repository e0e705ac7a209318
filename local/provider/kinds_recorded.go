package provider

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"ingestion.internal/local/cloud/iam"
)

var (
	apiName   = regexp.MustCompile(`^[a-z][a-z0-9-]*(\.[a-z0-9-]+)*\.googleapis\.com$`)
	accountID = regexp.MustCompile(`^[a-z]([-a-z0-9]*[a-z0-9])$`)
	roleID    = regexp.MustCompile(`^[a-zA-Z0-9_.]{3,64}$`)
)

// recordedKinds are the identities of the project and what is only kept.
func recordedKinds(env Env, policy *iam.Policy) []Kind {
	email := func(in Object) string {
		return str(in, "accountId") + "@" + str(in, "project") + ".iam.gserviceaccount.com"
	}
	account := Kind{
		Type: "gcp:serviceaccount/account:Account", Mode: Recorded,
		Required:  []string{"accountId"},
		Replace:   []string{"accountId", "project"},
		Normalize: inProject,
		Validate: func(in Object, _ map[string]bool) []Failure {
			failures := match(in, "accountId", accountID, "a lower-case letter followed by lower-case letters, digits and hyphens, not ending with a hyphen")
			if id := str(in, "accountId"); id != "" && (len(id) < 6 || len(id) > 30) {
				failures = append(failures, Failure{"accountId", fmt.Sprintf("%q is not 6 to 30 characters long", id)})
			}
			for name, most := range map[string]int{"displayName": 100, "description": 256} {
				if len(str(in, name)) > most {
					failures = append(failures, Failure{name, fmt.Sprintf("is longer than %d bytes", most)})
				}
			}
			return failures
		},
		ID: func(in Object) string { return "projects/" + str(in, "project") + "/serviceAccounts/" + email(in) },
		Outputs: func(in Object) Object {
			e := email(in)
			sum := sha256.Sum256([]byte(e))
			return Object{
				"email": e, "name": "projects/" + str(in, "project") + "/serviceAccounts/" + e, "member": "serviceAccount:" + e,
				// 21 digits beginning with 1, as the API's.
				"uniqueId": fmt.Sprintf("1%020d", binary.BigEndian.Uint64(sum[:])),
			}
		},
		Delete: func(_ context.Context, _ string, old Object) error {
			policy.RemoveAccount(str(old, "email"))
			return nil
		},
	}
	account.Create = func(_ context.Context, in Object) (string, Object, error) {
		if policy.HasAccount(email(in)) && !boolean(in, "createIgnoreAlreadyExists") {
			return "", nil, fmt.Errorf("service account %s already exists", email(in))
		}
		policy.AddAccount(email(in))
		return account.ID(in), account.record(in), nil
	}

	role := Kind{
		Type: "gcp:projects/iAMCustomRole:IAMCustomRole", Mode: Recorded,
		Required:  []string{"permissions", "roleId", "title"},
		Replace:   []string{"project", "roleId"},
		Normalize: func(env Env, urn string, in Object) { inProject(env, urn, in); setDefault(in, "stage", "GA") },
		Validate: func(in Object, unknown map[string]bool) []Failure {
			failures := match(in, "roleId", roleID, "3 to 64 letters, digits, underscores and periods")
			failures = append(failures, oneOf(in, "stage", "ALPHA", "BETA", "GA", "DEPRECATED", "DISABLED", "EAP")...)
			if in["permissions"] != nil && len(stringList(in, "permissions")) == 0 && !unknown["permissions[0]"] {
				failures = append(failures, Failure{"permissions", "a role has at least one permission"})
			}
			return failures
		},
		ID: func(in Object) string { return "projects/" + str(in, "project") + "/roles/" + str(in, "roleId") },
		Delete: func(_ context.Context, id string, _ Object) error {
			policy.RemoveRole(id)
			return nil
		},
	}
	role.Outputs = func(in Object) Object { return Object{"name": role.ID(in), "deleted": false} }
	role.Create = func(_ context.Context, in Object) (string, Object, error) {
		policy.DefineRole(role.ID(in), stringList(in, "permissions"))
		return role.ID(in), role.record(in), nil
	}
	role.Update = func(_ context.Context, id string, _, in Object) (Object, error) {
		policy.DefineRole(id, stringList(in, "permissions"))
		return role.record(in), nil
	}

	return []Kind{
		{
			Type: "gcp:projects/service:Service", Mode: Recorded,
			Required:  []string{"service"},
			Replace:   []string{"project", "service"},
			Normalize: inProject,
			Validate: func(in Object, _ map[string]bool) []Failure {
				return match(in, "service", apiName, "the name of an API, such as run.googleapis.com")
			},
			ID: func(in Object) string { return str(in, "project") + "/" + str(in, "service") },
		},
		{
			Type: "gcp:projects/serviceIdentity:ServiceIdentity", Mode: Recorded,
			Required:  []string{"service"},
			Replace:   []string{"project", "service"},
			Normalize: inProject,
			Validate: func(in Object, _ map[string]bool) []Failure {
				return match(in, "service", apiName, "the name of an API, such as cloudtasks.googleapis.com")
			},
			ID: func(in Object) string {
				return "projects/" + str(in, "project") + "/services/" + str(in, "service")
			},
			Outputs: func(in Object) Object {
				agent := serviceAgent(env.ProjectNumber, str(in, "service"))
				return Object{"email": agent, "member": "serviceAccount:" + agent}
			},
		},
		account,
		role,
	}
}

// agents are the domains of the service agents that do not follow the rule
// gcp-sa-NAME. https://cloud.google.com/iam/docs/service-agents
var agents = map[string]string{
	"run.googleapis.com":              "serverless-robot-prod",
	"artifactregistry.googleapis.com": "gcp-sa-artifactregistry",
	"storage.googleapis.com":          "gs-project-accounts",
	"compute.googleapis.com":          "compute-system",
	"documentai.googleapis.com":       "gcp-sa-prod-dai-core",
}

// serviceAgent returns the account as which a Google service acts in a
// project.
func serviceAgent(projectNumber, service string) string {
	domain, ok := agents[service]
	if !ok {
		domain = "gcp-sa-" + strings.TrimSuffix(service, ".googleapis.com")
	}
	return "service-" + projectNumber + "@" + domain + ".iam.gserviceaccount.com"
}

// grantKinds are the members of IAM policies. Each is one grant, made and
// revoked, never changed.
func grantKinds(policy *iam.Policy) []Kind {
	in := func(collection, property string) func(Object) string {
		return func(in Object) string {
			return "projects/" + base(str(in, "project")) + "/" + collection + "/" + base(str(in, property))
		}
	}
	at := func(collection, property string) func(Object) string {
		return func(in Object) string {
			return "projects/" + base(str(in, "project")) + "/locations/" + str(in, "location") + "/" + collection + "/" + base(str(in, property))
		}
	}
	return []Kind{
		grantKind(policy, "gcp:projects/iAMMember:IAMMember", iam.Project, byName,
			func(in Object) string { return "projects/" + base(str(in, "project")) }, "project"),
		grantKind(policy, "gcp:serviceaccount/iAMMember:IAMMember", iam.ServiceAccounts, byName,
			func(in Object) string { return str(in, "serviceAccountId") }, "serviceAccountId"),
		grantKind(policy, "gcp:storage/bucketIAMMember:BucketIAMMember", "storage.googleapis.com", byName,
			func(in Object) string { return "projects/_/buckets/" + base(str(in, "bucket")) }, "bucket"),
		grantKind(policy, "gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember", "cloudkms.googleapis.com", byName,
			func(in Object) string { return str(in, "cryptoKeyId") }, "cryptoKeyId"),
		grantKind(policy, "gcp:secretmanager/secretIamMember:SecretIamMember", "secretmanager.googleapis.com", byProject,
			in("secrets", "secretId"), "secretId"),
		grantKind(policy, "gcp:cloudtasks/queueIamMember:QueueIamMember", "cloudtasks.googleapis.com", byLocation,
			at("queues", "name"), "name"),
		grantKind(policy, "gcp:cloudrunv2/serviceIamMember:ServiceIamMember", "run.googleapis.com", byLocation,
			at("services", "name"), "name"),
		grantKind(policy, "gcp:cloudrunv2/jobIamMember:JobIamMember", "run.googleapis.com", byLocation,
			at("jobs", "name"), "name"),
		grantKind(policy, "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember", "artifactregistry.googleapis.com", byLocation,
			at("repositories", "repository"), "repository"),
		grantKind(policy, "gcp:spanner/instanceIAMMember:InstanceIAMMember", "spanner.googleapis.com", byProject,
			in("instances", "instance"), "instance"),
		grantKind(policy, "gcp:spanner/databaseIAMMember:DatabaseIAMMember", "spanner.googleapis.com", byProject,
			func(o Object) string {
				return in("instances", "instance")(o) + "/databases/" + base(str(o, "database"))
			}, "database", "instance"),
	}
}

// place says which properties, beside those that name it, tell where the
// resource of a grant is.
type place struct {
	properties []string
	normalize  func(Env, string, Object)
}

var (
	byName     = place{nil, func(Env, string, Object) {}}
	byProject  = place{[]string{"project"}, inProject}
	byLocation = place{[]string{"location", "project"}, inLocation}
)

func grantKind(policy *iam.Policy, typ, service string, where place, resource func(Object) string, target ...string) Kind {
	grant := func(in Object) iam.Grant {
		g := iam.Grant{Service: service, Resource: resource(in), Role: str(in, "role"), Member: str(in, "member")}
		if c := nested(in, "condition"); c != nil {
			g.Condition = &iam.Condition{Title: str(c, "title"), Description: str(c, "description"), Expression: str(c, "expression")}
		}
		return g
	}
	k := Kind{
		Type: typ, Mode: Recorded,
		Required:  append([]string{"member", "role"}, target...),
		Replace:   slices.Concat([]string{"condition", "member", "role"}, where.properties, target),
		Normalize: where.normalize,
		Validate: func(in Object, unknown map[string]bool) []Failure {
			g := grant(in)
			var failures []Failure
			if g.Member != "" {
				failures = append(failures, failed("member", iam.ValidateMember(g.Member))...)
			}
			if g.Role != "" {
				failures = append(failures, failed("role", iam.ValidateRole(g.Role))...)
			}
			known := !slices.ContainsFunc([]string{"condition", "condition.title", "condition.expression"}, func(p string) bool { return unknown[p] })
			if known {
				failures = append(failures, failed("condition", iam.ValidateCondition(g))...)
			}
			return failures
		},
		ID: func(in Object) string {
			id := resource(in) + "/" + str(in, "role") + "/" + str(in, "member")
			if title := str(nested(in, "condition"), "title"); title != "" {
				id += "/" + title
			}
			return id
		},
		// A policy's etag changes with every grant in it.
		Computed: []string{"etag"},
		Delete: func(_ context.Context, _ string, old Object) error {
			policy.Revoke(grant(old))
			return nil
		},
	}
	k.Create = func(_ context.Context, in Object) (string, Object, error) {
		if err := policy.Grant(grant(in)); err != nil {
			return "", nil, fmt.Errorf("granting %s on %s: %w", str(in, "role"), resource(in), err)
		}
		out := clone(in)
		sum := sha256.Sum256([]byte(k.ID(in)))
		out["etag"] = fmt.Sprintf("Bw%X", sum[:4])
		return k.ID(in), out, nil
	}
	return k
}
