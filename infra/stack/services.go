package stack

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/cloudrunv2"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ingestion.internal/shared/topology"
)

// Paths of the probes. Cloud Run asks instances directly, so its front end's
// rule that paths ending in z are its own does not apply.
const (
	readyPath = "/readyz"
	livePath  = "/healthz"
)

// port is what services listen on, and what PORT tells them.
const port = 8080

// startupPeriod is the time between two startup probes, in seconds.
const startupPeriod = 2

// registerJob makes the job that brings tenants and offices in the database to
// the manifest, and runs it whenever the manifest, the schema or the job's own
// program changed: a new token starts a run. The deployment waits for it to end,
// and fails with it.
//
// A token is the end of an execution's name, which must not come twice
// (https://cloud.google.com/run/docs/reference/rest/v2/projects.locations.jobs,
// runExecutionToken). So it is not made of the state alone, which a deployment
// may bring back, but of the generation of the manifest's object as well, which
// never comes back.
func (p *program) registerJob() error {
	w := find(topology.TenantSync)
	image, err := p.image(w.name)
	if err != nil {
		return err
	}
	size := p.cfg.Services[w.name]
	var envs cloudrunv2.JobTemplateTemplateContainerEnvArray
	for name, value := range p.environment(w) {
		envs = append(envs, &cloudrunv2.JobTemplateTemplateContainerEnvArgs{Name: pulumi.String(name), Value: value})
	}
	p.sync, err = cloudrunv2.NewJob(p.ctx, w.name, &cloudrunv2.JobArgs{
		Project:  pulumi.String(p.cfg.Project),
		Location: pulumi.String(p.cfg.Region),
		Name:     pulumi.String(w.name),
		Labels:   p.labels(w.name),
		// Cloud Run wants the job's name and the token below 63 characters
		// together.
		RunExecutionToken: pulumi.All(p.manifest.OutputName, p.manifest.Generation).ApplyT(func(made []any) string {
			return contentHash(fmt.Sprint(made...))
		}).(pulumi.StringOutput),
		Template: &cloudrunv2.JobTemplateArgs{
			TaskCount: pulumi.Int(1),
			Labels:    p.labels(w.name),
			Template: &cloudrunv2.JobTemplateTemplateArgs{
				ServiceAccount: p.accounts[w.name].Email,
				EncryptionKey:  p.key(runKey),
				Timeout:        pulumi.String(size.Timeout.seconds()),
				MaxRetries:     pulumi.Int(3),
				VpcAccess:      p.jobNetwork(w),
				Containers: cloudrunv2.JobTemplateTemplateContainerArray{
					&cloudrunv2.JobTemplateTemplateContainerArgs{
						Image:     image,
						Envs:      envs,
						Resources: &cloudrunv2.JobTemplateTemplateContainerResourcesArgs{Limits: size.limits()},
					},
				},
			},
		},
	}, p.needs(apiRun), p.afterKey(runKey), p.networkReady(), pulumi.DependsOn(p.grants[w.name]), pulumi.DependsOn([]pulumi.Resource{p.database}))
	return err
}

// registerServices makes the services, each after those whose address it
// needs, and says who may call them.
func (p *program) registerServices() error {
	for _, w := range inCallOrder() {
		if err := p.registerService(w); err != nil {
			return err
		}
		if err := p.registerInvoker(w); err != nil {
			return err
		}
	}
	return nil
}

// inCallOrder returns the catalogue's services, callees before their callers.
// There is no circle: a stage enqueues later stages only, and calendars the
// first that a booking has.
func inCallOrder() []*workload {
	var ordered []*workload
	seen := map[string]bool{}
	var visit func(w *workload)
	visit = func(w *workload) {
		if w.job || seen[w.name] {
			return
		}
		seen[w.name] = true
		for _, queue := range w.enqueues {
			visit(find(queue.Service()))
		}
		ordered = append(ordered, w)
	}
	for i := range catalog {
		visit(&catalog[i])
	}
	return ordered
}

func (p *program) registerService(w *workload) error {
	image, err := p.image(w.name)
	if err != nil {
		return err
	}
	size := p.cfg.Services[w.name]
	var envs cloudrunv2.ServiceTemplateContainerEnvArray
	for name, value := range p.environment(w) {
		envs = append(envs, &cloudrunv2.ServiceTemplateContainerEnvArgs{Name: pulumi.String(name), Value: value})
	}
	container := &cloudrunv2.ServiceTemplateContainerArgs{
		Image: image,
		Envs:  envs,
		Ports: cloudrunv2.ServiceTemplateContainerPortArray{
			&cloudrunv2.ServiceTemplateContainerPortArgs{ContainerPort: pulumi.Int(port)},
		},
		Resources: &cloudrunv2.ServiceTemplateContainerResourcesArgs{
			Limits: size.limits(),
			// Nothing is left to do once a request is answered, so CPU is
			// paid for while requests are served only.
			CpuIdle:         pulumi.Bool(true),
			StartupCpuBoost: pulumi.Bool(true),
		},
		// A revision gets traffic once its dependencies answer, so one that
		// lacks a grant or an endpoint never replaces one that works. After
		// that only a process that hangs is restarted: restarts do not mend
		// a dependency.
		StartupProbe: &cloudrunv2.ServiceTemplateContainerStartupProbeArgs{
			HttpGet:          &cloudrunv2.ServiceTemplateContainerStartupProbeHttpGetArgs{Path: pulumi.String(readyPath)},
			PeriodSeconds:    pulumi.Int(startupPeriod),
			TimeoutSeconds:   pulumi.Int(startupPeriod),
			FailureThreshold: pulumi.Int(p.startupFailures(w)),
		},
		LivenessProbe: &cloudrunv2.ServiceTemplateContainerLivenessProbeArgs{
			HttpGet:          &cloudrunv2.ServiceTemplateContainerLivenessProbeHttpGetArgs{Path: pulumi.String(livePath)},
			PeriodSeconds:    pulumi.Int(15),
			TimeoutSeconds:   pulumi.Int(5),
			FailureThreshold: pulumi.Int(3),
		},
	}
	service, err := cloudrunv2.NewService(p.ctx, w.name, &cloudrunv2.ServiceArgs{
		Project:  pulumi.String(p.cfg.Project),
		Location: pulumi.String(p.cfg.Region),
		Name:     pulumi.String(w.name),
		Ingress:  pulumi.String(p.ingress(w)),
		Labels:   p.labels(w.name),
		Traffics: p.traffic(w),
		Template: &cloudrunv2.ServiceTemplateArgs{
			ServiceAccount:                p.accounts[w.name].Email,
			EncryptionKey:                 p.key(runKey),
			Timeout:                       pulumi.String(size.Timeout.seconds()),
			MaxInstanceRequestConcurrency: pulumi.Int(size.Concurrency),
			ExecutionEnvironment:          pulumi.String(size.executionEnvironment()),
			Labels:                        p.labels(w.name),
			Scaling: &cloudrunv2.ServiceTemplateScalingArgs{
				MinInstanceCount: pulumi.Int(size.MinInstances),
				MaxInstanceCount: pulumi.Int(size.MaxInstances),
			},
			VpcAccess:  p.serviceNetwork(w),
			Containers: cloudrunv2.ServiceTemplateContainerArray{container},
		},
	}, p.needs(apiRun), p.needs(w.calls(p.cfg)...), p.afterKey(runKey), p.networkReady(), pulumi.DependsOn(p.grants[w.name]), pulumi.DependsOn([]pulumi.Resource{p.sync}))
	p.services[w.name] = service
	return err
}

// ingress returns from where a service can be reached at all. IAM decides who
// may call it in either case.
//
// API Gateway calls over the public address and is not among the sources that
// Cloud Run counts as internal. Cloud Tasks and Cloud Scheduler of the same
// project are, at a run.app address: https://cloud.google.com/run/docs/securing/ingress
//
// What browsers reach themselves has to come through the edge where there is
// one: its own address would go past the edge's limits.
func (p *program) ingress(w *workload) string {
	switch {
	case w.direct && len(p.cfg.Edge.Domains) > 0:
		return "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"
	case w.public || w.direct:
		return "INGRESS_TRAFFIC_ALL"
	}
	return "INGRESS_TRAFFIC_INTERNAL_ONLY"
}

// registerInvoker lets the callers of a service call it.
func (p *program) registerInvoker(w *workload) error {
	for _, caller := range w.callers() {
		member := pulumi.StringInput(pulumi.String(everybody))
		if caller != everybody {
			member = p.member(caller)
		}
		grant, err := cloudrunv2.NewServiceIamMember(p.ctx, caller+"-invokes-"+w.name, &cloudrunv2.ServiceIamMemberArgs{
			Project:  pulumi.String(p.cfg.Project),
			Location: pulumi.String(p.cfg.Region),
			Name:     p.services[w.name].Name,
			Role:     pulumi.String("roles/run.invoker"),
			Member:   member,
		})
		if err != nil {
			return err
		}
		p.invokers[w.name] = append(p.invokers[w.name], grant)
	}
	return nil
}

// everybody is the member that stands for callers who are not authenticated.
const everybody = "allUsers"

// callers are the accounts that call a service, or everybody.
func (w *workload) callers() []string {
	var all []string
	if w.public {
		all = append(all, gatewayAccount)
	}
	if w.direct {
		all = append(all, everybody)
	}
	if w.queue != "" {
		all = append(all, tasksAccount)
	}
	if w.schedule != nil {
		all = append(all, schedulesAccount)
	}
	return all
}

// environment yields a workload's variables that are not empty, in the order of
// their names, so that no run of the program differs from another.
func (p *program) environment(w *workload) iter.Seq2[string, pulumi.StringInput] {
	all := env{}
	maps.Copy(all, commonEnv(p, w))
	maps.Copy(all, enqueueEnv(p, w))
	maps.Copy(all, stageEnv(p, w))
	for _, part := range w.env {
		maps.Copy(all, part(p))
	}
	return func(yield func(string, pulumi.StringInput) bool) {
		for _, name := range slices.Sorted(maps.Keys(all)) {
			if all[name] != pulumi.String("") && !yield(name, all[name]) {
				return
			}
		}
	}
}

// limits are the resources of a container.
func (s Size) limits() pulumi.StringMap {
	return pulumi.StringMap{"cpu": pulumi.String(s.CPU), "memory": pulumi.String(s.Memory)}
}

// executionEnvironment is the second generation, which needs a whole CPU.
func (s Size) executionEnvironment() string {
	if strings.HasPrefix(s.CPU, "0") {
		return "EXECUTION_ENVIRONMENT_GEN1"
	}
	return "EXECUTION_ENVIRONMENT_GEN2"
}
