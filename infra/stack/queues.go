package stack

import (
	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/cloudtasks"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ingestion.internal/shared/topology"
)

// registerQueues makes the queues and says who may add to them.
// There is no queue per tenant: a project may have 1,000 in a region.
func (p *program) registerQueues() error {
	for _, id := range topology.Queues {
		c := p.cfg.Queues[id]
		queue, err := cloudtasks.NewQueue(p.ctx, string(id), &cloudtasks.QueueArgs{
			Project:  pulumi.String(p.cfg.Project),
			Location: pulumi.String(p.cfg.Region),
			Name:     pulumi.String(string(id)),
			RateLimits: &cloudtasks.QueueRateLimitsArgs{
				MaxDispatchesPerSecond:  pulumi.Float64(c.MaxDispatchesPerSecond),
				MaxConcurrentDispatches: pulumi.Int(c.MaxConcurrentDispatches),
			},
			RetryConfig: &cloudtasks.QueueRetryConfigArgs{
				MaxAttempts:  pulumi.Int(c.MaxAttempts),
				MinBackoff:   pulumi.String(c.MinBackoff.seconds()),
				MaxBackoff:   pulumi.String(c.MaxBackoff.seconds()),
				MaxDoublings: pulumi.Int(c.MaxDoublings),
			},
			StackdriverLoggingConfig: &cloudtasks.QueueStackdriverLoggingConfigArgs{SamplingRatio: pulumi.Float64(1)},
		}, p.needs(apiTasks))
		if err != nil {
			return err
		}
		p.queues[id] = queue
	}
	for i := range catalog {
		w := &catalog[i]
		for _, id := range w.enqueues {
			queue := p.queues[id]
			grant, err := cloudtasks.NewQueueIamMember(p.ctx, w.name+"-enqueues-"+string(id), &cloudtasks.QueueIamMemberArgs{
				Project:  pulumi.String(p.cfg.Project),
				Location: pulumi.String(p.cfg.Region),
				Name:     queue.Name,
				Role:     pulumi.String("roles/cloudtasks.enqueuer"),
				Member:   p.member(w.name),
			})
			if err != nil {
				return err
			}
			p.holds(w.name, grant)
		}
	}
	return nil
}
