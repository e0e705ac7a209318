package stack

import (
	"maps"
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ingestion.internal/shared/topology"
)

// export publishes what users of the stack need to know.
func (p *program) export() error {
	set, err := p.images()
	if err != nil {
		return err
	}
	urls, digests, queues := pulumi.StringMap{}, pulumi.StringMap{}, pulumi.StringMap{}
	for _, w := range catalog {
		digests[w.name] = pulumi.String(set.Digest(w.name))
		if !w.job {
			urls[w.name] = p.services[w.name].Uri
		}
	}
	for _, stage := range topology.Stages {
		queues[string(stage)] = p.queues[stage].ID()
	}
	p.ctx.Export("gatewayUrl", p.gateway)
	p.ctx.Export("serviceUrls", urls)
	p.ctx.Export("imageDigests", digests)
	p.ctx.Export("database", p.database.ID())
	p.ctx.Export("audioBucket", p.audio.Name)
	p.ctx.Export("queues", queues)
	p.ctx.Export("tenants", pulumi.ToStringArray(slices.Sorted(maps.Keys(p.cfg.Tenants))))
	return nil
}
