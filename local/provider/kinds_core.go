package provider

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"ingestion.internal/local/cloud/iam"
	"ingestion.internal/local/cloud/secretmanager"
	"ingestion.internal/local/cloud/spanner"
	"ingestion.internal/local/cloud/storage"
)

// Core is what the kinds of this package's own drive.
type Core struct {
	IAM     *iam.Policy
	Secrets *secretmanager.Service
	Storage *storage.Service
	Spanner *spanner.Service
	Notice  func(string) // told in plain words what is not applied here; nil: nobody
}

// Kinds describes every type that the local cloud knows. With a zero Core and
// Runtime the result is good for previews only: it checks and plans, and has
// nothing to make anything with.
func Kinds(env Env, core Core, runtime Runtime) []Kind {
	return obeyKeys(env, core.IAM, slices.Concat(CoreKinds(env, core), RuntimeKinds(runtime), ObservabilityKinds(), NetworkKinds()))
}

// CoreKinds describes identities and grants, keys, sinks, Secret Manager, Cloud
// Storage and Spanner.
func CoreKinds(env Env, core Core) []Kind {
	if core.Notice == nil {
		core.Notice = func(string) {}
	}
	return slices.Concat(
		recordedKinds(env, core.IAM),
		grantKinds(core.IAM),
		iamKinds(env),
		documentKinds(),
		kmsKinds(),
		loggingKinds(env),
		secretKinds(core.Secrets),
		storageKinds(core.Storage),
		spannerKinds(core.Spanner, core.Notice),
	)
}

// The accessors below return the zero value for what is absent or not known
// yet.

func str(o Object, name string) string {
	s, _ := o[name].(string)
	return s
}

func number(o Object, name string) float64 {
	n, _ := o[name].(float64)
	return n
}

func boolean(o Object, name string) bool {
	b, _ := o[name].(bool)
	return b
}

func nested(o Object, name string) Object {
	x, _ := o[name].(Object)
	return x
}

func objects(o Object, name string) []Object {
	list, _ := o[name].([]any)
	var out []Object
	for _, x := range list {
		if x, ok := x.(Object); ok {
			out = append(out, x)
		}
	}
	return out
}

func stringList(o Object, name string) []string {
	list, _ := o[name].([]any)
	var out []string
	for _, x := range list {
		if s, ok := x.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

func stringMap(o Object, name string) map[string]string {
	out := map[string]string{}
	for k, v := range nested(o, name) {
		if s, ok := v.(string); ok {
			out[k] = s
		}
	}
	return out
}

// base returns the last part of a resource's name: the API takes short and
// full names alike.
func base(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }

// setDefault gives a property its default.
func setDefault(o Object, name string, value any) {
	if o[name] == nil {
		o[name] = value
	}
}

// inProject is the Normalize of most kinds.
func inProject(env Env, _ string, in Object) { setDefault(in, "project", env.Project) }

// inLocation is the Normalize of kinds with a project and a location.
func inLocation(env Env, _ string, in Object) {
	setDefault(in, "project", env.Project)
	setDefault(in, "location", env.Region)
}

// autoName names a resource whose program gives it no name, after its URN:
// stable, and unlike any other's.
func autoName(urn string) string {
	sum := sha256.Sum256([]byte(urn))
	name := strings.ToLower(urn[strings.LastIndexByte(urn, ':')+1:])
	return name[:min(len(name), 22)] + "-" + hex.EncodeToString(sum[:])[:7]
}

// withLabels adds the two outputs that the provider derives from labels.
func withLabels(in, out Object) Object {
	labels := nested(in, "labels")
	if labels == nil {
		labels = Object{}
	}
	out["effectiveLabels"], out["pulumiLabels"] = labels, labels
	return out
}

// Labels as https://cloud.google.com/resource-manager/docs/labels-overview
// requires.
var (
	labelKey   = regexp.MustCompile(`^[\p{Ll}\p{Lo}][\p{Ll}\p{Lo}\p{N}_-]{0,62}$`)
	labelValue = regexp.MustCompile(`^[\p{Ll}\p{Lo}\p{N}_-]{0,63}$`)
)

func validateLabels(in Object) []Failure {
	var failures []Failure
	labels := stringMap(in, "labels")
	for k, v := range labels {
		at := path{"labels", k}.String()
		if !labelKey.MatchString(k) {
			failures = append(failures, Failure{at, "a label's key is a lower-case letter and up to 62 lower-case letters, digits, hyphens and underscores"})
		}
		if !labelValue.MatchString(v) {
			failures = append(failures, Failure{at, fmt.Sprintf("%q is not up to 63 lower-case letters, digits, hyphens and underscores", v)})
		}
	}
	if len(labels) > 64 {
		failures = append(failures, Failure{"labels", "a resource has at most 64 labels"})
	}
	slices.SortFunc(failures, func(a, b Failure) int { return strings.Compare(a.String(), b.String()) })
	return failures
}

// match refuses a known string that does not match.
func match(in Object, name string, re *regexp.Regexp, rule string) []Failure {
	if s, ok := in[name].(string); ok && !re.MatchString(s) {
		return []Failure{{name, fmt.Sprintf("%q is not %s", s, rule)}}
	}
	return nil
}

// oneOf refuses a known string that is none of the values.
func oneOf(in Object, name string, values ...string) []Failure {
	if s, ok := in[name].(string); ok && !slices.Contains(values, s) {
		return []Failure{{name, fmt.Sprintf("%q is none of %s", s, strings.Join(values, ", "))}}
	}
	return nil
}

// failed turns an error about a property into failures.
func failed(property string, err error) []Failure {
	if err == nil {
		return nil
	}
	return []Failure{{property, err.Error()}}
}
