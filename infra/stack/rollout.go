package stack

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/cloudrunv2"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// RolloutConfig holds new revisions back. Without it a service's newest
// revision gets all traffic once it is ready. docs/delivery.md has the steps.
type RolloutConfig struct {
	// Serving names, by service, the revision that keeps the traffic. The
	// newest one is then reached under an address of its own, see the output
	// candidateUrls.
	Serving map[string]string `json:"serving"`
	Percent int               `json:"percent"` // of the traffic that the newest gets all the same, 0-99
}

// candidate is the tag of a new revision that is held back.
const candidate = "candidate"

var revisionName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,61}[a-z0-9]$`)

func (c RolloutConfig) validate(errs *problems) {
	const path = "ingestion:rollout"
	for _, name := range slices.Sorted(maps.Keys(c.Serving)) {
		at := path + ".serving." + name
		if w := find(name); w == nil || w.job {
			errs.add(at, "no such service")
		} else if revision := c.Serving[name]; !revisionName.MatchString(revision) || !strings.HasPrefix(revision, name+"-") {
			errs.add(at, "must be a revision of the service, such as %s-00007-abc, not %q", name, revision)
		}
	}
	if c.Percent < 0 || c.Percent > 99 {
		errs.add(path+".percent", "must be 0 to 99, not %d", c.Percent)
	}
	if c.Percent > 0 && len(c.Serving) == 0 {
		errs.add(path+".percent", "needs rollout.serving")
	}
}

// traffic says which revisions serve. It is always set: left out, it would stay
// as the last rollout left it.
func (p *program) traffic(w *workload) cloudrunv2.ServiceTrafficArray {
	latest := &cloudrunv2.ServiceTrafficArgs{
		Type:    pulumi.String("TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST"),
		Percent: pulumi.Int(100),
	}
	serving := p.cfg.Rollout.Serving[w.name]
	if serving == "" {
		return cloudrunv2.ServiceTrafficArray{latest}
	}
	latest.Percent, latest.Tag = pulumi.Int(p.cfg.Rollout.Percent), pulumi.String(candidate)
	return cloudrunv2.ServiceTrafficArray{
		&cloudrunv2.ServiceTrafficArgs{
			Type:     pulumi.String("TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"),
			Revision: pulumi.String(serving),
			Percent:  pulumi.Int(100 - p.cfg.Rollout.Percent),
		},
		latest,
	}
}

// rolloutOutputs are the revisions that serve, which the next rollout holds
// on to, and the addresses of those that are held back, where they can be
// called from outside.
func (p *program) rolloutOutputs() (serving, candidates pulumi.StringMap) {
	serving, candidates = pulumi.StringMap{}, pulumi.StringMap{}
	for i := range catalog {
		w := &catalog[i]
		if w.job {
			continue
		}
		service := p.services[w.name]
		held := p.cfg.Rollout.Serving[w.name]
		if held == "" {
			serving[w.name] = service.LatestReadyRevision.ApplyT(func(name string) string {
				return name[strings.LastIndexByte(name, '/')+1:]
			}).(pulumi.StringOutput)
			continue
		}
		serving[w.name] = pulumi.String(held)
		if w.public || w.direct {
			candidates[w.name] = service.Uri.ApplyT(func(uri string) string {
				return strings.Replace(uri, "https://", "https://"+candidate+"---", 1)
			}).(pulumi.StringOutput)
		}
	}
	return serving, candidates
}
