package stack

import (
	"fmt"
	"maps"
	"net/mail"
	"net/url"
	"regexp"
	"slices"

	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/monitoring"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// ChannelConfig is one way to reach people.
type ChannelConfig struct {
	Type       string   `json:"type"`       // email, pagerduty, slack or webhook
	Address    string   `json:"address"`    // email: the address; slack: #channel; webhook: an https URL; pagerduty: none
	User       string   `json:"user"`       // webhook: of basic authentication
	Secret     *secret  `json:"secret"`     // pagerduty: the integration's key; slack: the bot's token; webhook: the password
	Severities []string `json:"severities"` // of the alerts that it gets; none = all
}

var (
	channelName  = regexp.MustCompile(`^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$`)
	slackChannel = regexp.MustCompile(`^#[a-z0-9_-]{1,79}$`)
)

func (c ChannelConfig) validate(path, name string, errs *problems) {
	if !channelName.MatchString(name) {
		errs.add(path, "a channel's name must be up to 40 lower-case letters, digits and hyphens")
	}
	switch c.Type {
	case "email":
		if a, err := mail.ParseAddress(c.Address); err != nil || a.Address != c.Address {
			errs.add(path+".address", "must be an e-mail address, not %q", c.Address)
		}
	case "slack":
		if !slackChannel.MatchString(c.Address) {
			errs.add(path+".address", "must be a channel such as #alerts, not %q", c.Address)
		}
	case "webhook":
		if u, err := url.Parse(c.Address); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
			errs.add(path+".address", "must be an https URL without credentials, not %q", c.Address)
		}
		if c.User == "" {
			errs.add(path+".user", "must be set: the receiver has to know who calls")
		}
	case "pagerduty":
		if c.Address != "" {
			errs.add(path+".address", "must be empty: the integration's key says where")
		}
	default:
		errs.add(path+".type", "must be email, pagerduty, slack or webhook, not %q", c.Type)
		return
	}
	if needed := c.Type != "email"; needed != (c.Secret != nil) {
		errs.add(path+".secret", "must be set for pagerduty, slack and webhook only (pulumi config set --secret --path)")
	}
	if c.User != "" && c.Type != "webhook" {
		errs.add(path+".user", "is for webhooks only")
	}
	for i, s := range c.Severities {
		if !slices.Contains(severities, s) {
			errs.add(fmt.Sprintf("%s.severities[%d]", path, i), "must be one of %v, not %q", severities, s)
		}
	}
}

// gets tells whether alerts of the severity go to the channel.
func (c ChannelConfig) gets(severity string) bool {
	return len(c.Severities) == 0 || slices.Contains(c.Severities, severity)
}

// registerChannels makes the ways to reach people. What authenticates the
// platform to them goes into properties that Pulumi keeps encrypted and the
// API never returns.
func (p *program) registerChannels() error {
	for _, name := range slices.Sorted(maps.Keys(p.cfg.Monitoring.Channels)) {
		c := p.cfg.Monitoring.Channels[name]
		args := &monitoring.NotificationChannelArgs{
			Project:     pulumi.String(p.cfg.Project),
			DisplayName: pulumi.String("Ingestion " + p.cfg.Stack + ": " + name),
			Type:        pulumi.String(c.Type),
			UserLabels:  p.labels("observability"),
			// A channel that alerts still name is taken from them first.
			ForceDelete: pulumi.Bool(true),
		}
		switch c.Type {
		case "email":
			args.Labels = pulumi.StringMap{"email_address": pulumi.String(c.Address)}
		case "slack":
			args.Labels = pulumi.StringMap{"channel_name": pulumi.String(c.Address)}
			args.SensitiveLabels = &monitoring.NotificationChannelSensitiveLabelsArgs{AuthToken: c.Secret.output()}
		case "pagerduty":
			args.SensitiveLabels = &monitoring.NotificationChannelSensitiveLabelsArgs{ServiceKey: c.Secret.output()}
		case "webhook":
			args.Type = pulumi.String("webhook_basicauth")
			args.Labels = pulumi.StringMap{"url": pulumi.String(c.Address), "username": pulumi.String(c.User)}
			args.SensitiveLabels = &monitoring.NotificationChannelSensitiveLabelsArgs{Password: c.Secret.output()}
		}
		channel, err := monitoring.NewNotificationChannel(p.ctx, "channel-"+name, args, p.monitored()...)
		if err != nil {
			return err
		}
		p.channels[name] = channel
	}
	return nil
}

// channelsFor returns the channels that get alerts of a severity, in the order
// of their names.
func (p *program) channelsFor(severity string) pulumi.StringArray {
	var ids pulumi.StringArray
	for _, name := range slices.Sorted(maps.Keys(p.channels)) {
		if p.cfg.Monitoring.Channels[name].gets(severity) {
			ids = append(ids, p.channels[name].ID().ToStringOutput())
		}
	}
	return ids
}

// emailChannels returns those that a budget can use: up to five addresses.
// https://cloud.google.com/billing/docs/how-to/budgets-notification-recipients
func (p *program) emailChannels() pulumi.StringArray {
	const most = 5
	var ids pulumi.StringArray
	for _, name := range slices.Sorted(maps.Keys(p.channels)) {
		if p.cfg.Monitoring.Channels[name].Type == "email" && len(ids) < most {
			ids = append(ids, p.channels[name].ID().ToStringOutput())
		}
	}
	return ids
}
