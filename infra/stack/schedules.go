package stack

import (
	"encoding/base64"
	"time"

	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/cloudscheduler"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// schedule is how Cloud Scheduler calls a service: it posts to the path, with
// an ID token. When is config.
type schedule struct {
	path string
	body func(*program) pulumi.StringInput // JSON; nil = none
	when ScheduleConfig                    // default
}

// ScheduleConfig is when a scheduled service is called.
type ScheduleConfig struct {
	Cron     string `json:"cron"`     // unix cron, five fields
	TimeZone string `json:"timeZone"` // IANA name
	Paused   bool   `json:"paused"`
	Retries  int    `json:"retries"` // of one run, 0-5; 0 where the next run comes soon enough
}

func (c ScheduleConfig) validate(path string, w *workload, errs *problems) {
	if w == nil || w.schedule == nil {
		errs.add(path, "no such schedule; scheduled services are those with one in the catalogue")
		return
	}
	if err := checkCron(c.Cron); err != nil {
		errs.add(path+".cron", "%v", err)
	}
	if c.Retries < 0 || c.Retries > 5 { // Cloud Scheduler's own bounds
		errs.add(path+".retries", "must be 0 to 5, not %d", c.Retries)
	}
	if _, err := time.LoadLocation(c.TimeZone); err != nil || c.TimeZone == "" {
		errs.add(path+".timeZone", "must be an IANA time zone such as Etc/UTC, not %q", c.TimeZone)
	}
}

// registerSchedules makes the schedules of the catalogue, each after the
// service that it calls and the grant that lets it.
func (p *program) registerSchedules() error {
	for i := range catalog {
		w := &catalog[i]
		if w.schedule == nil {
			continue
		}
		c, service := p.cfg.Schedules[w.name], p.services[w.name]
		target := &cloudscheduler.JobHttpTargetArgs{
			HttpMethod: pulumi.String("POST"),
			Uri:        pulumi.Sprintf("%s%s", service.Uri, w.schedule.path),
			OidcToken: &cloudscheduler.JobHttpTargetOidcTokenArgs{
				ServiceAccountEmail: p.accounts[schedulesAccount].Email,
				Audience:            service.Uri,
			},
		}
		if w.schedule.body != nil {
			target.Headers = pulumi.StringMap{"Content-Type": pulumi.String("application/json")}
			target.Body = w.schedule.body(p).ToStringOutput().ApplyT(func(text string) string {
				return base64.StdEncoding.EncodeToString([]byte(text))
			}).(pulumi.StringOutput)
		}
		if _, err := cloudscheduler.NewJob(p.ctx, w.name, &cloudscheduler.JobArgs{
			Project:         pulumi.String(p.cfg.Project),
			Region:          pulumi.String(p.cfg.Region),
			Name:            pulumi.String(w.name),
			Schedule:        pulumi.String(c.Cron),
			TimeZone:        pulumi.String(c.TimeZone),
			Paused:          pulumi.Bool(c.Paused),
			AttemptDeadline: pulumi.String(p.cfg.Services[w.name].Timeout.seconds()),
			HttpTarget:      target,
			RetryConfig:     &cloudscheduler.JobRetryConfigArgs{RetryCount: pulumi.Int(c.Retries)},
		}, p.needs(apiScheduler), pulumi.DependsOn(p.invokers[w.name])); err != nil {
			return err
		}
	}
	return nil
}
