package stack

import (
	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/cloudtasks"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ingestion.internal/shared/topology"
)

// registerQueues makes the queue of each stage and says who may add to it.
// There is no queue per tenant: a project may have 1,000 in a region.
func (p *program) registerQueues() error {
	for _, stage := range topology.Stages {
		c := p.cfg.Queues[stage]
		queue, err := cloudtasks.NewQueue(p.ctx, string(stage), &cloudtasks.QueueArgs{
			Project:  pulumi.String(p.cfg.Project),
			Location: pulumi.String(p.cfg.Region),
			Name:     pulumi.String(string(stage)),
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
		p.queues[stage] = queue
	}
	for i := range catalog {
		w := &catalog[i]
		for _, stage := range w.enqueues {
			queue := p.queues[stage]
			grant, err := cloudtasks.NewQueueIamMember(p.ctx, w.name+"-enqueues-"+string(stage), &cloudtasks.QueueIamMemberArgs{
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
