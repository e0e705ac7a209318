package stack

import (
	"fmt"
	"net"
	"net/url"
	"strconv"

	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/monitoring"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// registerUptime probes the public address from Google's regions, through the
// gateway down to a service and its database.
func (p *program) registerUptime() error {
	c := p.cfg.Monitoring.Uptime
	if !c.Enabled {
		return nil
	}
	address := p.gateway
	host := c.Host
	if domains := p.cfg.Edge.Domains; host == "" && len(domains) > 0 {
		host = domains[0]
	}
	if host != "" {
		address = pulumi.String("https://" + host).ToStringOutput()
	}
	part := func(of func(*url.URL) string) pulumi.StringOutput {
		return address.ApplyT(func(text string) (string, error) {
			u, err := url.Parse(text)
			if err != nil {
				return "", fmt.Errorf("the public address: %w", err)
			}
			return of(u), nil
		}).(pulumi.StringOutput)
	}
	secure := part(func(u *url.URL) string { return u.Scheme }).ApplyT(func(scheme string) bool { return scheme == "https" }).(pulumi.BoolOutput)
	check, err := monitoring.NewUptimeCheckConfig(p.ctx, "gateway", &monitoring.UptimeCheckConfigArgs{
		Project:     pulumi.String(p.cfg.Project),
		DisplayName: pulumi.String("Ingestion " + p.cfg.Stack + ": gateway"),
		Period:      pulumi.String(c.Period.seconds()),
		Timeout:     pulumi.String("10s"),
		HttpCheck: &monitoring.UptimeCheckConfigHttpCheckArgs{
			Path:        pulumi.String("/healthz"),
			Port:        part(portOf).ApplyT(strconv.Atoi).(pulumi.IntOutput),
			UseSsl:      secure,
			ValidateSsl: secure,
		},
		MonitoredResource: &monitoring.UptimeCheckConfigMonitoredResourceArgs{
			Type:   pulumi.String("uptime_url"),
			Labels: pulumi.StringMap{"project_id": pulumi.String(p.cfg.Project), "host": part((*url.URL).Hostname)},
		},
		UserLabels: p.labels("observability"),
	}, p.monitored()...)
	p.uptime = check
	return err
}

// portOf returns a URL's port, written or not.
func portOf(u *url.URL) string {
	if _, port, err := net.SplitHostPort(u.Host); err == nil {
		return port
	}
	if u.Scheme == "http" {
		return "80"
	}
	return "443"
}

// ofUptimeCheck is the filter of a metric of the probe.
func (p *program) ofUptimeCheck(metric string) pulumi.StringOutput {
	return pulumi.Sprintf("%s AND metric.labels.check_id=\"%s\"", where(metric, "uptime_url"), p.uptime.UptimeCheckId)
}
