package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	apigatewayapi "google.golang.org/api/apigateway/v1"
	artifactregistryapi "google.golang.org/api/artifactregistry/v1"
	cloudschedulerapi "google.golang.org/api/cloudscheduler/v1"
	cloudtasksapi "google.golang.org/api/cloudtasks/v2"
	runapi "google.golang.org/api/run/v2"
	"google.golang.org/grpc/codes"

	"ingestion.internal/local/cloud/apigateway"
	"ingestion.internal/local/cloud/cloudrun"
	"ingestion.internal/local/cloud/cloudtasks"
	"ingestion.internal/local/cloud/gapi"
	"ingestion.internal/local/cloud/registry"
	"ingestion.internal/local/cloud/scheduler"
)

// Runtime is the part of the local cloud that runs things.
type Runtime struct {
	Registry  *registry.Service
	Run       *cloudrun.Service
	Tasks     *cloudtasks.Service
	Gateway   *apigateway.Service
	Scheduler *scheduler.Service
}

// RuntimeKinds describes the resources that Runtime makes real: images'
// repositories, services, jobs, queues, gateways and schedules.
//
// Names are required where the real provider would make one up: a made-up name
// would have to be remembered between an engine's checks.
func RuntimeKinds(r Runtime) []Kind {
	return []Kind{
		r.repository(), r.service(), r.job(), r.queue(),
		r.api(), r.apiConfig(), r.gateway(), r.schedule(),
	}
}

// served is a resource of an API of the local cloud that has the usual methods.
// T is the API's resource.
type served[T any] struct {
	id      func(Object) string
	name    string // the property that has the last part of the id
	spec    func(Object) (*T, error)
	outputs func(in Object, made *T) Object

	create func(ctx context.Context, parent, name string, spec *T) (*T, error)
	get    func(ctx context.Context, id string) (*T, error)
	patch  func(ctx context.Context, id string, spec *T) (*T, error)
	remove func(ctx context.Context, id string) error
}

// kind returns k with the methods.
func (s served[T]) kind(k Kind) Kind {
	k.Mode, k.ID = Live, s.id
	k.Create = func(ctx context.Context, in Object) (string, Object, error) {
		spec, err := s.spec(in)
		if err != nil {
			return "", nil, err
		}
		id := s.id(in)
		made, err := s.create(ctx, parentOf(id), text(in, s.name), spec)
		if err != nil {
			return "", nil, err
		}
		return id, s.outputs(in, made), nil
	}
	k.Read = func(ctx context.Context, id string, old Object) (Object, bool, error) {
		made, err := s.get(ctx, id)
		return found(made, err, func() Object { return s.outputs(old, made) })
	}
	k.Update = func(ctx context.Context, id string, _, in Object) (Object, error) {
		spec, err := s.spec(in)
		if err != nil {
			return nil, err
		}
		made, err := s.patch(ctx, id, spec)
		if err != nil {
			return nil, err
		}
		return s.outputs(in, made), nil
	}
	k.Delete = func(ctx context.Context, id string, _ Object) error { return gone(s.remove(ctx, id)) }
	return k
}

// repository is Artifact Registry's Docker repository.
func (r Runtime) repository() Kind {
	id := located("location", "repositories", "repositoryId")
	spec := func(in Object) (*artifactregistryapi.Repository, error) {
		var out artifactregistryapi.Repository
		o := pick(in, "description", "format", "labels", "mode", "kmsKeyName", "dockerConfig", "cleanupPolicyDryRun")
		return &out, decode(o, &out)
	}
	outputs := func(in Object, repo *artifactregistryapi.Repository) Object {
		return with(labelled(in), Object{"name": in["repositoryId"], "createTime": repo.CreateTime, "updateTime": repo.UpdateTime})
	}
	return served[artifactregistryapi.Repository]{
		id, "repositoryId", spec, outputs,
		r.Registry.CreateRepository, r.Registry.GetRepository, r.Registry.PatchRepository, r.Registry.DeleteRepository,
	}.kind(Kind{
		Type:     "gcp:artifactregistry/repository:Repository",
		Required: []string{"format", "repositoryId"},
		Replace:  []string{"format", "kmsKeyName", "location", "mavenConfig.allowSnapshotOverwrites", "mavenConfig.versionPolicy", "mode", "project", "remoteRepositoryConfig", "repositoryId"},
		Computed: []string{"name", "createTime", "updateTime"}, Volatile: []string{"updateTime"},
		Normalize: inRegion("location"),
		Validate: func(in Object, _ map[string]bool) []Failure {
			var f []Failure
			if name, ok := in["repositoryId"].(string); ok {
				if reason := registry.ValidateRepositoryID(name); reason != "" {
					f = append(f, Failure{"repositoryId", reason})
				}
			}
			if format, ok := in["format"].(string); ok && format != "DOCKER" {
				f = append(f, Failure{"format", fmt.Sprintf("%q is not served by the local registry, only DOCKER", format)})
			}
			return f
		},
	})
}

// runNames maps the provider's plural names in a Cloud Run template to the
// API's fields; violations go the other way.
var runNames = map[string]string{"envs": "env", "commands": "command", "dependsOns": "dependsOn", "traffics": "traffic"}

// service is a Cloud Run service.
func (r Runtime) service() Kind {
	id := located("location", "services", "name")
	spec := func(in Object) (*runapi.GoogleCloudRunV2Service, error) {
		var out runapi.GoogleCloudRunV2Service
		err := decode(renamed(without(in, "project", "location", "name", "deletionProtection"), runNames), &out)
		return &out, err
	}
	outputs := func(in Object, s *runapi.GoogleCloudRunV2Service) Object {
		out := labelled(in)
		out["effectiveAnnotations"] = orEmpty(in["annotations"])
		if in["ingress"] == nil {
			out["ingress"] = "INGRESS_TRAFFIC_ALL"
		}
		return with(out, Object{
			"uri": s.Uri, "urls": []any{s.Uri}, "uid": s.Uid, "createTime": s.CreateTime, "updateTime": s.UpdateTime,
			"generation": fmt.Sprint(s.Generation), "observedGeneration": fmt.Sprint(s.ObservedGeneration),
			"latestCreatedRevision": s.LatestCreatedRevision, "latestReadyRevision": s.LatestReadyRevision,
			"reconciling": false, "conditions": []any{}, "terminalConditions": conditions(s.TerminalCondition),
			"trafficStatuses": []any{Object{"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", "percent": 100.0}},
		})
	}
	volatile := []string{
		"updateTime", "generation", "observedGeneration", "latestCreatedRevision", "latestReadyRevision",
		"terminalConditions", "conditions",
	}
	return served[runapi.GoogleCloudRunV2Service]{
		id, "name", spec, outputs,
		r.Run.CreateService, r.Run.GetService, r.Run.PatchService, r.Run.DeleteService,
	}.kind(Kind{
		Type:     "gcp:cloudrunv2/service:Service",
		Required: []string{"name", "location", "template"},
		Replace:  []string{"location", "name", "project"},
		Computed: slices.Concat(volatile, []string{"uri", "urls", "uid", "createTime", "trafficStatuses"}), Volatile: volatile,
		Normalize: inRegion("location"),
		Validate:  validRun(spec, cloudrun.ValidateService),
	})
}

// job is a Cloud Run job.
func (r Runtime) job() Kind {
	id := located("location", "jobs", "name")
	spec := func(in Object) (*runapi.GoogleCloudRunV2Job, error) {
		var out runapi.GoogleCloudRunV2Job
		err := decode(renamed(without(in, "project", "location", "name", "deletionProtection"), runNames), &out)
		if err == nil && out.Template != nil && out.Template.Template != nil && !contains(in, []string{"template", "template", "maxRetries"}) {
			out.Template.Template.MaxRetries = 3 // the API's default; the shape cannot tell 0 from absent
		}
		return &out, err
	}
	outputs := func(in Object, j *runapi.GoogleCloudRunV2Job) Object {
		out := labelled(in)
		out["effectiveAnnotations"] = orEmpty(in["annotations"])
		latest := []any{}
		if e := j.LatestCreatedExecution; e != nil {
			latest = append(latest, Object{"name": e.Name, "createTime": e.CreateTime, "completionTime": e.CompletionTime})
		}
		return with(out, Object{
			"uid": j.Uid, "createTime": j.CreateTime, "updateTime": j.UpdateTime,
			"generation": fmt.Sprint(j.Generation), "observedGeneration": fmt.Sprint(j.ObservedGeneration),
			"executionCount": float64(j.ExecutionCount), "latestCreatedExecutions": latest,
			"reconciling": false, "conditions": []any{}, "terminalConditions": conditions(j.TerminalCondition),
		})
	}
	volatile := []string{
		"updateTime", "generation", "observedGeneration", "executionCount", "latestCreatedExecutions", "terminalConditions", "conditions",
	}
	return served[runapi.GoogleCloudRunV2Job]{
		id, "name", spec, outputs,
		r.Run.CreateJob, r.Run.GetJob, r.Run.PatchJob, r.Run.DeleteJob,
	}.kind(Kind{
		Type:     "gcp:cloudrunv2/job:Job",
		Required: []string{"name", "location", "template"},
		Replace:  []string{"location", "name", "project"},
		Computed: slices.Concat(volatile, []string{"uid", "createTime"}), Volatile: volatile,
		Normalize: inRegion("location"),
		Validate:  validRun(spec, cloudrun.ValidateJob),
	})
}

// validRun checks a service or a job as Cloud Run does.
func validRun[T any](spec func(Object) (*T, error), validate func(*T) []cloudrun.Violation) func(Object, map[string]bool) []Failure {
	return func(in Object, unknown map[string]bool) []Failure {
		var f []Failure
		if name, ok := in["name"].(string); ok {
			if reason := cloudrun.ValidateName(name); reason != "" {
				f = append(f, Failure{"name", reason})
			}
		}
		if in["template"] == nil {
			return f
		}
		s, err := spec(in)
		if err != nil {
			return append(f, Failure{"template", err.Error()})
		}
		return append(f, runFailures(validate(s), unknown)...)
	}
}

// runFailures are Cloud Run's violations in the provider's words. What is not
// known yet cannot be missing.
func runFailures(all []cloudrun.Violation, unknown map[string]bool) []Failure {
	back := strings.NewReplacer(".env[", ".envs[", ".command", ".commands", "traffic[", "traffics[")
	var f []Failure
	for _, v := range all {
		if at := back.Replace(v.Field); !undecided(at, unknown) {
			f = append(f, Failure{at, v.Reason})
		}
	}
	return f
}

// queue is a Cloud Tasks queue.
func (r Runtime) queue() Kind {
	id := located("location", "queues", "name")
	spec := func(in Object) (*cloudtasksapi.Queue, error) {
		var out cloudtasksapi.Queue
		err := decode(without(in, "project", "location", "name"), &out)
		out.Name = id(in)
		return &out, err
	}
	outputs := func(in Object, q *cloudtasksapi.Queue) (Object, error) {
		limits, err := object(q.RateLimits)
		if err != nil {
			return nil, err
		}
		retry, err := object(q.RetryConfig)
		return with(in, Object{"rateLimits": limits, "retryConfig": retry}), err
	}
	return Kind{
		Type: "gcp:cloudtasks/queue:Queue", Mode: Live, ID: id,
		Required: []string{"name", "location"}, Replace: []string{"location", "name", "project"},
		Normalize: inRegion("location"),
		Validate: func(in Object, unknown map[string]bool) []Failure {
			q, err := spec(in)
			if err != nil {
				return []Failure{{"queue", err.Error()}}
			}
			var f []Failure
			for _, v := range cloudtasks.ValidateQueue(q) {
				if !undecided(v.Field, unknown) && (v.Field != "name" || in["name"] != nil) {
					f = append(f, Failure{v.Field, v.Reason})
				}
			}
			return f
		},
		Create: func(ctx context.Context, in Object) (string, Object, error) {
			q, err := spec(in)
			if err != nil {
				return "", nil, err
			}
			if q, err = r.Tasks.CreateQueue(ctx, q); err != nil {
				return "", nil, err
			}
			out, err := outputs(in, q)
			return q.Name, out, err
		},
		Read: func(ctx context.Context, id string, old Object) (Object, bool, error) {
			_, err := r.Tasks.GetQueue(ctx, id)
			return found(&old, err, func() Object { return old })
		},
		Update: func(ctx context.Context, _ string, _, in Object) (Object, error) {
			q, err := spec(in)
			if err != nil {
				return nil, err
			}
			if q, err = r.Tasks.PatchQueue(ctx, q); err != nil {
				return nil, err
			}
			return outputs(in, q)
		},
		Delete: func(ctx context.Context, id string, _ Object) error { return gone(r.Tasks.DeleteQueue(ctx, id)) },
	}
}

// api is an API of API Gateway.
func (r Runtime) api() Kind {
	id := func(in Object) string {
		return "projects/" + text(in, "project") + "/locations/global/apis/" + text(in, "apiId")
	}
	return Kind{
		Type: "gcp:apigateway/api:Api", Mode: Live, ID: id,
		Required: []string{"apiId"}, Replace: []string{"apiId", "managedService", "project"},
		Computed:  []string{"name", "managedService", "createTime"},
		Normalize: inRegion(""),
		Outputs:   labelled,
		Create: func(_ context.Context, in Object) (string, Object, error) {
			made, err := r.Gateway.CreateAPI(&apigatewayapi.ApigatewayApi{Name: id(in), DisplayName: text(in, "displayName")})
			if err != nil {
				return "", nil, err
			}
			return made.Name, with(labelled(in), Object{
				"name": made.Name, "managedService": made.ManagedService, "createTime": made.CreateTime,
			}), nil
		},
		Delete: func(_ context.Context, id string, _ Object) error { return gone(r.Gateway.DeleteAPI(id)) },
	}
}

// apiConfig is an API config: an OpenAPI document and the account that calls
// its backends. It cannot be changed, only replaced.
func (r Runtime) apiConfig() Kind {
	id := func(in Object) string {
		return "projects/" + text(in, "project") + "/locations/global/apis/" + text(in, "api") + "/configs/" + text(in, "apiConfigId")
	}
	return Kind{
		Type: "gcp:apigateway/apiConfig:ApiConfig", Mode: Live, ID: id,
		Required:  []string{"api", "apiConfigId", "openapiDocuments"},
		Replace:   []string{"api", "apiConfigId", "apiConfigIdPrefix", "gatewayConfig", "openapiDocuments", "grpcServices", "managedServiceConfigs", "project"},
		Computed:  []string{"name", "serviceConfigId"},
		Normalize: inRegion(""),
		Outputs:   labelled,
		Create: func(_ context.Context, in Object) (string, Object, error) {
			spec := &apigatewayapi.ApigatewayApiConfig{}
			if err := decode(pick(in, "displayName", "labels", "openapiDocuments"), spec); err != nil {
				return "", nil, err
			}
			spec.Name = id(in)
			if g, ok := in["gatewayConfig"].(Object); ok {
				if b, ok := g["backendConfig"].(Object); ok {
					account := text(b, "googleServiceAccount")
					spec.GatewayServiceAccount = account[strings.LastIndex(account, "/")+1:]
				}
			}
			made, err := r.Gateway.CreateConfig(spec)
			if err != nil {
				return "", nil, err
			}
			return made.Name, with(labelled(in), Object{"name": made.Name, "serviceConfigId": text(in, "apiConfigId")}), nil
		},
		Delete: func(_ context.Context, id string, _ Object) error { return gone(r.Gateway.DeleteConfig(id)) },
	}
}

// gateway is a gateway that serves an API config.
func (r Runtime) gateway() Kind {
	id := located("region", "gateways", "gatewayId")
	spec := func(in Object) *apigatewayapi.ApigatewayGateway {
		return &apigatewayapi.ApigatewayGateway{Name: id(in), ApiConfig: text(in, "apiConfig"), DisplayName: text(in, "displayName")}
	}
	outputs := func(in Object, g *apigatewayapi.ApigatewayGateway) Object {
		return with(labelled(in), Object{"name": g.Name, "defaultHostname": g.DefaultHostname})
	}
	return Kind{
		Type: "gcp:apigateway/gateway:Gateway", Mode: Live, ID: id,
		Required: []string{"apiConfig", "gatewayId"}, Replace: []string{"gatewayId", "project", "region"},
		Computed:  []string{"name", "defaultHostname"},
		Normalize: inRegion("region"),
		Create: func(_ context.Context, in Object) (string, Object, error) {
			g, err := r.Gateway.CreateGateway(spec(in))
			if err != nil {
				return "", nil, err
			}
			return g.Name, outputs(in, g), nil
		},
		Read: func(_ context.Context, id string, old Object) (Object, bool, error) {
			g, err := r.Gateway.Gateway(id)
			return found(g, err, func() Object { return outputs(old, g) })
		},
		Update: func(_ context.Context, _ string, _, in Object) (Object, error) {
			g, err := r.Gateway.PatchGateway(spec(in))
			if err != nil {
				return nil, err
			}
			return outputs(in, g), nil
		},
		Delete: func(_ context.Context, id string, _ Object) error { return gone(r.Gateway.DeleteGateway(id)) },
	}
}

// schedule is a Cloud Scheduler job. A paused one is kept and not run.
func (r Runtime) schedule() Kind {
	id := located("region", "jobs", "name")
	parse := func(in Object) (*cloudschedulerapi.Job, error) {
		spec := &cloudschedulerapi.Job{}
		if err := decode(without(in, "project", "region", "name", "paused"), spec); err != nil {
			return nil, err
		}
		spec.Name = id(in)
		return spec, nil
	}
	put := func(in Object) (Object, error) {
		state := "PAUSED"
		if paused, _ := in["paused"].(bool); paused {
			if err := gone(r.Scheduler.Delete(id(in))); err != nil {
				return nil, err
			}
		} else {
			spec, err := parse(in)
			if err != nil {
				return nil, err
			}
			made, err := r.Scheduler.Put(spec)
			if err != nil {
				return nil, err
			}
			state = made.State
		}
		return with(in, Object{"state": state}), nil
	}
	return Kind{
		Type: "gcp:cloudscheduler/job:Job", Mode: Live, ID: id,
		Required: []string{"name", "schedule", "httpTarget", "httpTarget.uri"}, Replace: []string{"name", "project", "region"},
		Computed: []string{"state"}, Volatile: []string{"state"},
		Normalize: inRegion("region"),
		// The target is known after an update only; what is wrong with the rest
		// need not wait for that.
		Validate: func(in Object, _ map[string]bool) []Failure {
			if str(in, "name") == "" || str(in, "schedule") == "" {
				return nil // said as missing, or not known
			}
			in = clone(in)
			in["httpTarget"] = Object{"uri": "https://unknown.invalid"}
			spec, err := parse(in)
			if err == nil {
				err = scheduler.Validate(spec)
			}
			return failed("schedule", err)
		},
		Create: func(_ context.Context, in Object) (string, Object, error) {
			out, err := put(in)
			return id(in), out, err
		},
		Update: func(_ context.Context, _ string, _, in Object) (Object, error) { return put(in) },
		Delete: func(_ context.Context, id string, _ Object) error { return gone(r.Scheduler.Delete(id)) },
	}
}

// inRegion fills in the provider's project, and its region under the given
// name unless that is empty.
func inRegion(location string) func(Env, string, Object) {
	return func(env Env, _ string, in Object) {
		if in["project"] == nil {
			in["project"] = env.Project
		}
		if location != "" && in[location] == nil && env.Region != "" {
			in[location] = env.Region
		}
	}
}

// located composes projects/P/locations/L/COLLECTION/ID from inputs.
func located(location, collection, id string) func(Object) string {
	return func(in Object) string {
		return "projects/" + text(in, "project") + "/locations/" + text(in, location) + "/" + collection + "/" + text(in, id)
	}
}

// parentOf returns what a full name is in: without COLLECTION/ID.
func parentOf(name string) string {
	parts := strings.Split(name, "/")
	return strings.Join(parts[:len(parts)-2], "/")
}

// text returns a string property, or "" if it is absent or not known yet.
func text(in Object, name string) string {
	s, _ := in[name].(string)
	return s
}

// pick and without copy an object's named properties, or all others.
func pick(in Object, names ...string) Object {
	out := Object{}
	for _, name := range names {
		if v, ok := in[name]; ok {
			out[name] = v
		}
	}
	return out
}

func without(in Object, names ...string) Object {
	out := maps.Clone(in)
	for _, name := range names {
		delete(out, name)
	}
	return out
}

// with returns a copy of in with more properties.
func with(in, more Object) Object {
	out := clone(in)
	maps.Copy(out, more)
	return out
}

// labelled returns a copy of in with the label outputs of the real provider.
func labelled(in Object) Object {
	labels := orEmpty(in["labels"])
	return with(in, Object{"effectiveLabels": labels, "pulumiLabels": labels})
}

func orEmpty(v any) any {
	if v == nil {
		return Object{}
	}
	return v
}

// renamed returns a deep copy with the properties renamed that names lists.
// Values that are not known yet are left out.
func renamed(v Object, names map[string]string) Object {
	var deep func(v any) any
	deep = func(v any) any {
		switch v := v.(type) {
		case Object:
			out := Object{}
			for k, x := range v {
				if to, ok := names[k]; ok && list(x) {
					k = to
				}
				if x != nil {
					out[k] = deep(x)
				}
			}
			return out
		case []any:
			out := []any{}
			for _, x := range v {
				if x != nil {
					out = append(out, deep(x))
				}
			}
			return out
		}
		return v
	}
	return deep(v).(Object)
}

// list reports whether v is a list: a label that happens to be called "envs"
// is not renamed.
func list(v any) bool {
	_, ok := v.([]any)
	return ok
}

// decode reads properties into an API shape. A property that the shape lacks is
// an error: it would silently have no effect.
func decode(in Object, shape any) error {
	raw, err := json.Marshal(in)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(shape); err != nil {
		return fmt.Errorf("as the API's resource: %w", err)
	}
	return nil
}

// object reads an API shape as properties.
func object(shape any) (Object, error) {
	raw, err := json.Marshal(shape)
	if err != nil {
		return nil, err
	}
	var out Object
	return out, json.Unmarshal(raw, &out)
}

// conditions is the provider's list form of a terminal condition.
func conditions(c *runapi.GoogleCloudRunV2Condition) []any {
	if c == nil {
		return []any{}
	}
	return []any{Object{"type": c.Type, "state": c.State, "lastTransitionTime": c.LastTransitionTime, "message": c.Message}}
}

// undecided tells whether a property, something in it or something around it
// is not known yet.
func undecided(at string, unknown map[string]bool) bool {
	within := func(inner, outer string) bool {
		rest, ok := strings.CutPrefix(inner, outer)
		return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
	}
	for u := range unknown {
		if within(at, u) || within(u, at) {
			return true
		}
	}
	return false
}

// missing tells whether err says that a resource does not exist.
func missing(err error) bool {
	return err != nil && (gapi.Code(err) == codes.NotFound ||
		errors.Is(err, apigateway.ErrNotFound) || errors.Is(err, scheduler.ErrNotFound))
}

// gone forgives the deletion of what does not exist.
func gone(err error) error {
	if missing(err) {
		return nil
	}
	return err
}

// found turns a get into the answer of a read.
func found[T any](_ *T, err error, outputs func() Object) (Object, bool, error) {
	if missing(err) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	return outputs(), true, nil
}
