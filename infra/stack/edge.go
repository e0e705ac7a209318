package stack

import (
	"fmt"

	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/compute"
	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/dns"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ingestion.internal/shared/topology"
)

// edge is what the rest of the program needs of it.
type edge struct {
	address pulumi.StringOutput
}

// registerEdge makes the public entrance under the stack's own domains: a
// global load balancer with certificates and a firewall for requests, in front
// of the gateway. Without domains there is none, and the gateway's own host is
// the entrance.
//
// The gateway is reached by a serverless network endpoint group, whose resource
// is the gateway's id. That leaves the Host header as the caller sent it, and
// nothing rewrites it, as in Google's own guide:
// https://docs.cloud.google.com/api-gateway/docs/gateway-serverless-neg
//
// API Gateway has no ingress settings, so its own host stays reachable beside
// the load balancer: docs/infrastructure.md says what that means.
func (p *program) registerEdge() error {
	c := p.cfg.Edge
	if len(c.Domains) == 0 {
		return nil
	}
	parent, err := p.component("edge", "edge")
	if err != nil {
		return err
	}
	needs := p.needs(apiCompute)

	// The address is in others' DNS and firewalls, and cannot be had back.
	address, err := compute.NewGlobalAddress(p.ctx, "edge", &compute.GlobalAddressArgs{
		Project: pulumi.String(p.cfg.Project),
		Name:    pulumi.String(app + "-edge"),
		Labels:  p.labels("edge"),
	}, parent, needs, pulumi.Protect(p.cfg.Protect))
	if err != nil {
		return err
	}
	p.edge = &edge{address: address.Address}
	if err := p.registerDomains(parent); err != nil {
		return err
	}

	urls, err := p.registerPaths(parent)
	if err != nil {
		return err
	}
	certificates, err := p.registerCertificates(parent)
	if err != nil {
		return err
	}
	tls, err := compute.NewSSLPolicy(p.ctx, "edge", &compute.SSLPolicyArgs{
		Project:       pulumi.String(p.cfg.Project),
		Name:          pulumi.String(app + "-edge"),
		Profile:       pulumi.String("MODERN"),
		MinTlsVersion: pulumi.String("TLS_1_2"),
	}, parent, needs)
	if err != nil {
		return err
	}
	proxy, err := compute.NewTargetHttpsProxy(p.ctx, "edge", &compute.TargetHttpsProxyArgs{
		Project:         pulumi.String(p.cfg.Project),
		Name:            pulumi.String(app + "-edge"),
		UrlMap:          urls.ID(),
		SslCertificates: certificates,
		SslPolicy:       tls.ID(),
	}, parent, needs)
	if err != nil {
		return err
	}
	if err := p.forward("edge-https", "443", address, proxy.ID(), parent); err != nil {
		return err
	}
	return p.registerRedirect(address, parent)
}

// registerPaths leads to the gateway what is for it, and past it what it cannot
// carry. The load balancer streams answers of Cloud Run as they come.
func (p *program) registerPaths(parent pulumi.ResourceOption) (*compute.URLMap, error) {
	policy, err := p.registerSecurityPolicy(parent)
	if err != nil {
		return nil, err
	}
	gateway, err := p.registerEdgeBackend("edge", &compute.RegionNetworkEndpointGroupArgs{
		ServerlessDeployment: &compute.RegionNetworkEndpointGroupServerlessDeploymentArgs{
			Platform: pulumi.String(apiGateway),
			Resource: p.gatewayID, // not its full name
		},
	}, policy, parent)
	if err != nil {
		return nil, err
	}
	var rules compute.URLMapPathMatcherPathRuleArray
	for i := range catalog {
		w := &catalog[i]
		if !w.direct {
			continue
		}
		backend, err := p.registerEdgeBackend("edge-"+w.name, &compute.RegionNetworkEndpointGroupArgs{
			CloudRun: &compute.RegionNetworkEndpointGroupCloudRunArgs{Service: p.services[w.name].Name},
		}, policy, parent)
		if err != nil {
			return nil, err
		}
		rules = append(rules, &compute.URLMapPathMatcherPathRuleArgs{Paths: pulumi.ToStringArray(w.paths), Service: backend.ID()})
	}
	return compute.NewURLMap(p.ctx, "edge", &compute.URLMapArgs{
		Project:        pulumi.String(p.cfg.Project),
		Name:           pulumi.String(app + "-edge"),
		DefaultService: gateway.ID(),
		HostRules: compute.URLMapHostRuleArray{
			&compute.URLMapHostRuleArgs{Hosts: pulumi.ToStringArray([]string{"*"}), PathMatcher: pulumi.String("services")},
		},
		PathMatchers: compute.URLMapPathMatcherArray{
			&compute.URLMapPathMatcherArgs{Name: pulumi.String("services"), DefaultService: gateway.ID(), PathRules: rules},
		},
	}, parent, p.needs(apiCompute))
}

// registerEdgeBackend puts a serverless group behind the security policy.
func (p *program) registerEdgeBackend(name string, of *compute.RegionNetworkEndpointGroupArgs, policy *compute.SecurityPolicy, parent pulumi.ResourceOption) (*compute.BackendService, error) {
	c := p.cfg.Edge
	needs := p.needs(apiCompute)
	of.Project = pulumi.String(p.cfg.Project)
	of.Region = pulumi.String(p.cfg.Region)
	of.Name = pulumi.String(app + "-" + name)
	of.NetworkEndpointType = pulumi.String("SERVERLESS")
	group, err := compute.NewRegionNetworkEndpointGroup(p.ctx, name, of, parent, needs)
	if err != nil {
		return nil, err
	}
	return compute.NewBackendService(p.ctx, name, &compute.BackendServiceArgs{
		Project:             pulumi.String(p.cfg.Project),
		Name:                pulumi.String(app + "-" + name),
		LoadBalancingScheme: pulumi.String("EXTERNAL_MANAGED"),
		Protocol:            pulumi.String("HTTPS"),
		Backends: compute.BackendServiceBackendArray{
			&compute.BackendServiceBackendArgs{Group: group.ID()},
		},
		SecurityPolicy: policy.ID(),
		// Browsers that came once by https never try http again.
		CustomResponseHeaders: pulumi.ToStringArray([]string{"Strict-Transport-Security: max-age=31536000"}),
		// Requests that the policy refused, or would have, are in these logs.
		LogConfig: &compute.BackendServiceLogConfigArgs{
			Enable:     pulumi.Bool(c.LogSampleRate > 0),
			SampleRate: pulumi.Float64(c.LogSampleRate),
		},
	}, parent, needs)
}

// registerCertificates makes one certificate for each domain. A certificate
// cannot be changed: one for several domains would be issued anew, and serve
// none of them meanwhile, when one is added.
func (p *program) registerCertificates(parent pulumi.ResourceOption) (pulumi.StringArray, error) {
	var all pulumi.StringArray
	for _, domain := range p.cfg.Edge.Domains {
		certificate, err := compute.NewManagedSslCertificate(p.ctx, "edge-"+domain, &compute.ManagedSslCertificateArgs{
			Project: pulumi.String(p.cfg.Project),
			Name:    pulumi.String(app + "-" + contentHash(domain)),
			Managed: &compute.ManagedSslCertificateManagedArgs{Domains: pulumi.ToStringArray([]string{domain})},
		}, parent, p.needs(apiCompute))
		if err != nil {
			return nil, err
		}
		all = append(all, certificate.ID())
	}
	return all, nil
}

// registerDomains points the domains at the load balancer, if their zone is
// Cloud DNS's and in this project. A certificate is issued only once its
// domain points here.
func (p *program) registerDomains(parent pulumi.ResourceOption) error {
	c := p.cfg.Edge
	if c.DNSZone == "" {
		return nil
	}
	for _, domain := range c.Domains {
		if _, err := dns.NewRecordSet(p.ctx, "edge-"+domain, &dns.RecordSetArgs{
			Project:     pulumi.String(p.cfg.Project),
			ManagedZone: pulumi.String(c.DNSZone),
			Name:        pulumi.String(domain + "."),
			Type:        pulumi.String("A"),
			Ttl:         pulumi.Int(300),
			Rrdatas:     pulumi.StringArray{p.edge.address},
		}, parent, p.needs(apiDNS)); err != nil {
			return err
		}
	}
	return nil
}

// registerRedirect sends callers of port 80 to https. It answers 301, at which
// a client repeats a POST as a GET, rather than 308, which keeps it: a form
// that was posted in clear text must fail where its author sees it, not go on
// for ever.
func (p *program) registerRedirect(address *compute.GlobalAddress, parent pulumi.ResourceOption) error {
	needs := p.needs(apiCompute)
	urls, err := compute.NewURLMap(p.ctx, "edge-redirect", &compute.URLMapArgs{
		Project: pulumi.String(p.cfg.Project),
		Name:    pulumi.String(app + "-edge-redirect"),
		DefaultUrlRedirect: &compute.URLMapDefaultUrlRedirectArgs{
			HttpsRedirect:        pulumi.Bool(true),
			RedirectResponseCode: pulumi.String("MOVED_PERMANENTLY_DEFAULT"),
			StripQuery:           pulumi.Bool(false),
		},
	}, parent, needs)
	if err != nil {
		return err
	}
	proxy, err := compute.NewTargetHttpProxy(p.ctx, "edge-redirect", &compute.TargetHttpProxyArgs{
		Project: pulumi.String(p.cfg.Project),
		Name:    pulumi.String(app + "-edge-redirect"),
		UrlMap:  urls.ID(),
	}, parent, needs)
	if err != nil {
		return err
	}
	return p.forward("edge-http", "80", address, proxy.ID(), parent)
}

// forward gives a port of the address to a proxy.
func (p *program) forward(name, port string, address *compute.GlobalAddress, proxy pulumi.IDOutput, parent pulumi.ResourceOption) error {
	_, err := compute.NewGlobalForwardingRule(p.ctx, name, &compute.GlobalForwardingRuleArgs{
		Project:             pulumi.String(p.cfg.Project),
		Name:                pulumi.String(app + "-" + name),
		LoadBalancingScheme: pulumi.String("EXTERNAL_MANAGED"),
		IpProtocol:          pulumi.String("TCP"),
		IpAddress:           address.Address,
		PortRange:           pulumi.String(port),
		Target:              proxy,
		Labels:              p.labels("edge"),
	}, parent, p.needs(apiCompute))
	return err
}

// chatURL is where browsers reach the chat.
func (p *program) chatURL() pulumi.StringInput {
	if p.edge == nil {
		return p.services[topology.ChatAPI].Uri
	}
	return p.publicURL()
}

// publicURL is where callers reach the platform.
func (p *program) publicURL() pulumi.StringInput {
	if p.edge == nil {
		return p.gateway
	}
	return pulumi.String(fmt.Sprintf("https://%s", p.cfg.Edge.Domains[0]))
}
