package cloudrun

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	run "google.golang.org/api/run/v2"
	"google.golang.org/grpc/codes"

	"ingestion.internal/local/cloud/gapi"
)

// Violation is one field that the API would refuse.
type Violation struct{ Field, Reason string }

// resourceName is the API's rule for ids of services and jobs.
var resourceName = regexp.MustCompile(`^[a-z][-a-z0-9]{0,48}$`)

// ValidateName returns why the API would refuse the id of a service or job, or "".
func ValidateName(id string) string {
	if !resourceName.MatchString(id) || strings.HasSuffix(id, "-") {
		return fmt.Sprintf("%q must be 1 to 49 lowercase letters, digits and hyphens, begin with a letter and not end with a hyphen", id)
	}
	return ""
}

type violations []Violation

func (v *violations) add(field, format string, args ...any) {
	*v = append(*v, Violation{field, fmt.Sprintf(format, args...)})
}

// err returns the violations as the API's one answer, or nil.
func (v violations) err() error {
	if len(v) == 0 {
		return nil
	}
	var all []string
	for _, one := range v {
		all = append(all, one.Field+": "+one.Reason)
	}
	return gapi.Errorf(codes.InvalidArgument, "Violation in %s", strings.Join(all, "; "))
}

var ingresses = []string{"", "INGRESS_TRAFFIC_ALL", "INGRESS_TRAFFIC_INTERNAL_ONLY", "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"}

// ValidateService lists everything about a service that Cloud Run refuses.
func ValidateService(s *run.GoogleCloudRunV2Service) []Violation {
	var v violations
	if !slices.Contains(ingresses, s.Ingress) {
		v.add("ingress", "unknown value %q", s.Ingress)
	}
	v.traffic(s.Traffic)
	t := s.Template
	if t == nil {
		v.add("template", "is required")
		return v
	}
	v.duration("template.timeout", t.Timeout, time.Hour)
	if t.MaxInstanceRequestConcurrency < 0 || t.MaxInstanceRequestConcurrency > 1000 {
		v.add("template.maxInstanceRequestConcurrency", "%d is not between 1 and 1000", t.MaxInstanceRequestConcurrency)
	}
	if sc := t.Scaling; sc != nil {
		if sc.MinInstanceCount < 0 || sc.MaxInstanceCount < 0 || sc.MaxInstanceCount > 0 && sc.MinInstanceCount > sc.MaxInstanceCount {
			v.add("template.scaling", "minInstanceCount %d must not exceed maxInstanceCount %d", sc.MinInstanceCount, sc.MaxInstanceCount)
		}
	}
	v.network("template.vpcAccess", t.VpcAccess)
	v.environment("template.executionEnvironment", t.ExecutionEnvironment)
	v.volumes("template.volumes", t.Volumes)
	v.containers("template.containers", t.Containers)
	for i, c := range t.Containers {
		at := fmt.Sprintf("template.containers[%d]", i)
		cpu, _, ok := limits(c)
		if ok && cpu < 1 && t.MaxInstanceRequestConcurrency > 1 {
			v.add(at+".resources.limits.cpu", "less than 1 CPU needs maxInstanceRequestConcurrency 1")
		}
		v.probe(at+".startupProbe", c.StartupProbe)
		v.probe(at+".livenessProbe", c.LivenessProbe)
		if c.LivenessProbe != nil && c.LivenessProbe.TcpSocket != nil {
			v.add(at+".livenessProbe.tcpSocket", "is not supported for liveness")
		}
		if len(c.Ports) > 1 {
			v.add(at+".ports", "at most one port")
		}
		for j, p := range c.Ports {
			if p.ContainerPort < 1 || p.ContainerPort > 65535 {
				v.add(fmt.Sprintf("%s.ports[%d].containerPort", at, j), "%d is not a port", p.ContainerPort)
			}
		}
	}
	return v
}

// ValidateJob lists everything about a job that Cloud Run refuses.
func ValidateJob(j *run.GoogleCloudRunV2Job) []Violation {
	var v violations
	if j.RunExecutionToken != "" && j.StartExecutionToken != "" {
		v.add("runExecutionToken", "excludes startExecutionToken")
	}
	if j.Template == nil || j.Template.Template == nil {
		v.add("template.template", "is required")
		return v
	}
	if j.Template.TaskCount < 0 || j.Template.TaskCount > 10000 {
		v.add("template.taskCount", "%d is not between 1 and 10000", j.Template.TaskCount)
	}
	t := j.Template.Template
	v.duration("template.template.timeout", t.Timeout, 168*time.Hour)
	if t.MaxRetries < 0 || t.MaxRetries > 10 {
		v.add("template.template.maxRetries", "%d is not between 0 and 10", t.MaxRetries)
	}
	v.network("template.template.vpcAccess", t.VpcAccess)
	v.environment("template.template.executionEnvironment", t.ExecutionEnvironment)
	v.volumes("template.template.volumes", t.Volumes)
	v.containers("template.template.containers", t.Containers)
	return v
}

// traffic refuses what the local Cloud Run cannot do: it runs one revision of a
// service, the latest, which gets all traffic.
func (v *violations) traffic(targets []*run.GoogleCloudRunV2TrafficTarget) {
	for i, t := range targets {
		if len(targets) > 1 || t.Type != "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST" || t.Percent != 100 || t.Revision != "" || t.Tag != "" {
			v.add(fmt.Sprintf("traffic[%d]", i), "the local Cloud Run (package cloudrun) gives all traffic to the latest revision, and knows no tags")
			return
		}
	}
}

func (v *violations) duration(field, value string, most time.Duration) {
	if value == "" {
		return
	}
	if d, err := time.ParseDuration(value); err != nil || !strings.HasSuffix(value, "s") || d <= 0 || d > most {
		v.add(field, "%q is not a duration in seconds (\"300s\") up to %ds", value, int(most.Seconds()))
	}
}

func (v *violations) environment(field, value string) {
	if value != "" && value != "EXECUTION_ENVIRONMENT_GEN1" && value != "EXECUTION_ENVIRONMENT_GEN2" {
		v.add(field, "unknown value %q", value)
	}
}

// network checks a workload's way into a network, which has no effect on a
// process of this machine: https://cloud.google.com/run/docs/reference/rest/v2/VpcAccess
func (v *violations) network(field string, access *run.GoogleCloudRunV2VpcAccess) {
	if access == nil {
		return
	}
	if !slices.Contains([]string{"", "ALL_TRAFFIC", "PRIVATE_RANGES_ONLY"}, access.Egress) {
		v.add(field+".egress", "unknown value %q", access.Egress)
	}
	if (access.Connector == "") == (len(access.NetworkInterfaces) == 0) {
		v.add(field, "has either a connector or network interfaces")
	}
	if len(access.NetworkInterfaces) > 1 {
		v.add(field+".networkInterfaces", "at most one")
	}
	for i, n := range access.NetworkInterfaces {
		if n.Network == "" && n.Subnetwork == "" {
			v.add(fmt.Sprintf("%s.networkInterfaces[%d]", field, i), "has a network or a subnetwork")
		}
	}
}

// volumes refuses what a child process on this machine cannot be given.
func (v *violations) volumes(field string, volumes []*run.GoogleCloudRunV2Volume) {
	if len(volumes) > 0 {
		v.add(field, "volumes are not supported by the local Cloud Run (package cloudrun)")
	}
}

// reserved are the variables that Cloud Run sets and refuses in a template.
var reserved = []string{"PORT", "K_SERVICE", "K_REVISION", "K_CONFIGURATION"}

func (v *violations) containers(field string, containers []*run.GoogleCloudRunV2Container) {
	if len(containers) == 0 {
		v.add(field, "at least one container is required")
	}
	if len(containers) > 1 {
		v.add(field, "sidecars are not supported by the local Cloud Run (package cloudrun)")
	}
	for i, c := range containers {
		at := fmt.Sprintf("%s[%d]", field, i)
		if c.Image == "" {
			v.add(at+".image", "is required")
		}
		seen := map[string]bool{}
		for j, e := range c.Env {
			here := fmt.Sprintf("%s.env[%d]", at, j)
			switch {
			case e.Name == "" || strings.ContainsAny(e.Name, "=\x00"):
				v.add(here+".name", "%q is not a variable name", e.Name)
			case slices.Contains(reserved, e.Name):
				v.add(here+".name", "%s is reserved: Cloud Run sets it", e.Name)
			case seen[e.Name]:
				v.add(here+".name", "%s is declared twice", e.Name)
			}
			seen[e.Name] = true
			if e.ValueSource != nil && (e.ValueSource.SecretKeyRef == nil || e.ValueSource.SecretKeyRef.Secret == "") {
				v.add(here+".valueSource.secretKeyRef.secret", "is required")
			}
		}
		v.resources(at+".resources.limits", c)
	}
}

// cpuFor lists how many CPUs an amount of memory needs at least
// (cloud.google.com/run/docs/configuring/services/memory-limits).
var cpuFor = []struct{ aboveGiB, cpu float64 }{{24, 8}, {16, 6}, {8, 4}, {4, 2}}

func (v *violations) resources(field string, c *run.GoogleCloudRunV2Container) {
	if c.Resources == nil {
		return
	}
	for k, value := range c.Resources.Limits {
		if _, err := quantity(value); err != nil || k != "cpu" && k != "memory" && k != "nvidia.com/gpu" {
			v.add(field+"."+k, "%q is not a limit of Cloud Run", value)
			return
		}
	}
	cpu, memory, _ := limits(c)
	const gib = 1 << 30
	switch {
	case cpu < 0.08 || cpu > 8 || cpu > 1 && cpu != 2 && cpu != 4 && cpu != 6 && cpu != 8:
		v.add(field+".cpu", "%v is not 0.08 to 1, 2, 4, 6 or 8", cpu)
	case memory > 32*gib || memory < 128<<20:
		v.add(field+".memory", "%q is not between 128Mi and 32Gi", c.Resources.Limits["memory"])
	default:
		for _, rule := range cpuFor {
			if memory > rule.aboveGiB*gib && cpu < rule.cpu {
				v.add(field+".memory", "more than %vGi needs at least %v CPU, not %v", rule.aboveGiB, rule.cpu, cpu)
				return
			}
		}
	}
}

// limits returns the CPUs and bytes of a container, with Cloud Run's defaults
// of 1 CPU and 512 MiB; ok is false if they cannot be read.
func limits(c *run.GoogleCloudRunV2Container) (cpu, memory float64, ok bool) {
	cpu, memory = 1, 512<<20
	if c.Resources == nil {
		return cpu, memory, true
	}
	for k, to := range map[string]*float64{"cpu": &cpu, "memory": &memory} {
		if value := c.Resources.Limits[k]; value != "" {
			q, err := quantity(value)
			if err != nil {
				return 0, 0, false
			}
			*to = q
		}
	}
	return cpu, memory, true
}

// quantity reads a Kubernetes quantity: 2, 500m, 512Mi, 1G.
func quantity(s string) (float64, error) {
	for _, unit := range []struct {
		suffix string
		factor float64
	}{{"Ki", 1 << 10}, {"Mi", 1 << 20}, {"Gi", 1 << 30}, {"m", 1e-3}, {"k", 1e3}, {"M", 1e6}, {"G", 1e9}, {"", 1}} {
		if digits, ok := strings.CutSuffix(s, unit.suffix); ok {
			n, err := strconv.ParseFloat(digits, 64)
			if err == nil && !(n >= 0) {
				err = strconv.ErrRange
			}
			return n * unit.factor, err
		}
	}
	return 0, strconv.ErrSyntax
}

func (v *violations) probe(field string, p *run.GoogleCloudRunV2Probe) {
	if p == nil {
		return
	}
	if p.Grpc != nil {
		v.add(field+".grpc", "gRPC probes are not supported by the local Cloud Run (package cloudrun)")
	} else if (p.HttpGet == nil) == (p.TcpSocket == nil) {
		v.add(field, "exactly one of httpGet and tcpSocket is required")
	}
	if p.HttpGet != nil && p.HttpGet.Path != "" && !strings.HasPrefix(p.HttpGet.Path, "/") {
		v.add(field+".httpGet.path", "%q must begin with /", p.HttpGet.Path)
	}
	timeout, period := or(p.TimeoutSeconds, 1), or(p.PeriodSeconds, 10)
	switch {
	case p.InitialDelaySeconds < 0 || p.InitialDelaySeconds > 240:
		v.add(field+".initialDelaySeconds", "%d is not between 0 and 240", p.InitialDelaySeconds)
	case timeout < 1 || timeout > 3600:
		v.add(field+".timeoutSeconds", "%d is not between 1 and 3600", timeout)
	case period < 1 || period > 3600:
		v.add(field+".periodSeconds", "%d is not between 1 and 3600", period)
	case timeout > period:
		v.add(field+".timeoutSeconds", "%d must not exceed periodSeconds %d", timeout, period)
	case p.FailureThreshold < 0:
		v.add(field+".failureThreshold", "%d is not 1 or more", p.FailureThreshold)
	case strings.HasSuffix(field, "startupProbe") && or(p.FailureThreshold, 3)*period+p.InitialDelaySeconds > 240+240:
		v.add(field, "allows %ds to start; Cloud Run allows 240s", or(p.FailureThreshold, 3)*period)
	}
}

// or returns n, or what the API means by leaving it out.
func or(n, absent int64) int64 {
	if n == 0 {
		return absent
	}
	return n
}
