package stack

import (
	"maps"
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ingestion.internal/shared/topology"
)

// outputs are what users of the stack need to know, by the names under which
// it publishes them.
func (p *program) outputs() (pulumi.Map, error) {
	set, err := p.images()
	if err != nil {
		return nil, err
	}
	urls, digests, queues := pulumi.StringMap{}, pulumi.StringMap{}, pulumi.StringMap{}
	for _, w := range catalog {
		digests[w.name] = pulumi.String(set.Digest(w.name))
		if !w.job {
			urls[w.name] = p.services[w.name].Uri
		}
	}
	for _, id := range topology.Queues {
		queues[string(id)] = p.queues[id].ID()
	}
	all := pulumi.Map{
		"gatewayUrl":   p.gateway,
		"publicUrl":    p.publicURL(),
		"chatUrl":      p.chatURL(),
		"serviceUrls":  urls,
		"imageDigests": digests,
		"database":     p.database.ID(),
		"audioBucket":  p.audio.Name,
		"queues":       queues,
		"tenants":      pulumi.ToStringArray(slices.Sorted(maps.Keys(p.cfg.Tenants))),
	}
	serving, candidates := p.rolloutOutputs()
	all["servingRevisions"] = serving // for the next rollout
	if len(candidates) > 0 {
		all["candidateUrls"] = candidates
	}
	if p.forms != nil {
		all["formProcessor"] = p.forms.ID()
	}
	if p.edge != nil {
		all["edgeAddress"] = p.edge.address // for the domains' A records
	}
	if p.network != nil {
		all["egressAddresses"] = p.network.addresses // for partners' allow-lists
	}
	return all, nil
}
