package stack

import (
	"strconv"

	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/cloudrunv2"
	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/compute"
	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/dns"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// How a workload's traffic takes the network, as Cloud Run calls it.
const (
	egressAll     = "ALL_TRAFFIC"
	egressPrivate = "PRIVATE_RANGES_ONLY"
)

// network is what the rest of the program needs of it.
type network struct {
	name      pulumi.StringOutput
	subnet    pulumi.StringOutput // name
	addresses pulumi.StringArray  // from which calls to partners come
	ready     []pulumi.Resource   // what a workload's first call needs
}

// registerNetwork makes the network through which workloads call partners, so
// that those calls come from addresses that stay. Nothing listens in it and
// nothing reaches into it.
//
// A workload joins by Direct VPC egress: an interface of each instance, without
// connector machines in between. What takes that way is [program.egress].
func (p *program) registerNetwork() error {
	c := p.cfg.Network
	if c.Range == "" {
		return nil
	}
	parent, err := p.component("network", "network")
	if err != nil {
		return err
	}
	needs := p.needs(apiCompute)
	vpc, err := compute.NewNetwork(p.ctx, "network", &compute.NetworkArgs{
		Project:               pulumi.String(p.cfg.Project),
		Name:                  pulumi.String(app),
		AutoCreateSubnetworks: pulumi.Bool(false),
		RoutingMode:           pulumi.String("REGIONAL"),
	}, parent, needs)
	if err != nil {
		return err
	}
	subnetArgs := &compute.SubnetworkArgs{
		Project:     pulumi.String(p.cfg.Project),
		Region:      pulumi.String(p.cfg.Region),
		Name:        pulumi.String(app),
		Network:     vpc.ID(),
		IpCidrRange: pulumi.String(c.Range),
		// Calls to Google stay on Google's network and pass no NAT.
		PrivateIpGoogleAccess: pulumi.Bool(true),
	}
	if c.FlowLogs > 0 {
		subnetArgs.LogConfig = &compute.SubnetworkLogConfigArgs{
			AggregationInterval: pulumi.String("INTERVAL_10_MIN"),
			FlowSampling:        pulumi.Float64(c.FlowLogs),
			Metadata:            pulumi.String("INCLUDE_ALL_METADATA"),
		}
	}
	subnet, err := compute.NewSubnetwork(p.ctx, "network", subnetArgs, parent, needs)
	if err != nil {
		return err
	}
	p.network = &network{name: vpc.Name, subnet: subnet.Name}
	if err := p.registerFirewall(vpc, parent); err != nil {
		return err
	}
	if err := p.registerNAT(vpc, subnet, parent); err != nil {
		return err
	}
	return p.registerGoogleZone(vpc, parent)
}

// registerFirewall closes the network. A network without rules refuses what
// comes in and lets out everything; both are said here, so that a rule that
// somebody adds is the exception.
//
// Partners have no fixed addresses (CallRail's recordings and HubSpot's API are
// behind content networks), so https goes anywhere, and nothing else does. Name
// resolution and the metadata server are never filtered:
// https://cloud.google.com/firewall/docs/firewalls#alwaysallowed
func (p *program) registerFirewall(vpc *compute.Network, parent pulumi.ResourceOption) error {
	anywhere := pulumi.ToStringArray([]string{"0.0.0.0/0"})
	for name, rule := range map[string]*compute.FirewallArgs{
		"deny-ingress": {
			Direction:    pulumi.String("INGRESS"),
			Priority:     pulumi.Int(65534),
			SourceRanges: anywhere,
			Denies:       compute.FirewallDenyArray{&compute.FirewallDenyArgs{Protocol: pulumi.String("all")}},
		},
		"allow-https-egress": {
			Direction:         pulumi.String("EGRESS"),
			Priority:          pulumi.Int(1000),
			DestinationRanges: anywhere,
			Allows: compute.FirewallAllowArray{&compute.FirewallAllowArgs{
				Protocol: pulumi.String("tcp"), Ports: pulumi.ToStringArray([]string{"443"}),
			}},
		},
		"deny-egress": {
			Direction:         pulumi.String("EGRESS"),
			Priority:          pulumi.Int(65534),
			DestinationRanges: anywhere,
			Denies:            compute.FirewallDenyArray{&compute.FirewallDenyArgs{Protocol: pulumi.String("all")}},
		},
	} {
		rule.Project = pulumi.String(p.cfg.Project)
		rule.Name = pulumi.String(app + "-" + name)
		rule.Network = vpc.ID()
		made, err := compute.NewFirewall(p.ctx, name, rule, parent, p.needs(apiCompute))
		if err != nil {
			return err
		}
		p.network.ready = append(p.network.ready, made)
	}
	return nil
}

// registerNAT gives calls to partners their addresses.
func (p *program) registerNAT(vpc *compute.Network, subnet *compute.Subnetwork, parent pulumi.ResourceOption) error {
	needs := p.needs(apiCompute)
	var links pulumi.StringArray
	for i := range p.cfg.Network.NATAddresses {
		name := "nat-" + strconv.Itoa(i)
		// Partners let this address in; another would be refused.
		address, err := compute.NewAddress(p.ctx, name, &compute.AddressArgs{
			Project:     pulumi.String(p.cfg.Project),
			Region:      pulumi.String(p.cfg.Region),
			Name:        pulumi.String(app + "-" + name),
			AddressType: pulumi.String("EXTERNAL"),
			Labels:      p.labels("network"),
		}, parent, needs, pulumi.Protect(p.cfg.Protect))
		if err != nil {
			return err
		}
		links = append(links, address.SelfLink)
		p.network.addresses = append(p.network.addresses, address.Address)
	}
	router, err := compute.NewRouter(p.ctx, "network", &compute.RouterArgs{
		Project: pulumi.String(p.cfg.Project),
		Region:  pulumi.String(p.cfg.Region),
		Name:    pulumi.String(app),
		Network: vpc.ID(),
	}, parent, needs)
	if err != nil {
		return err
	}
	nat, err := compute.NewRouterNat(p.ctx, "network", &compute.RouterNatArgs{
		Project:                       pulumi.String(p.cfg.Project),
		Region:                        pulumi.String(p.cfg.Region),
		Name:                          pulumi.String(app),
		Router:                        router.Name,
		NatIpAllocateOption:           pulumi.String("MANUAL_ONLY"),
		NatIps:                        links,
		SourceSubnetworkIpRangesToNat: pulumi.String("LIST_OF_SUBNETWORKS"),
		Subnetworks: compute.RouterNatSubnetworkArray{&compute.RouterNatSubnetworkArgs{
			Name: subnet.ID(), SourceIpRangesToNats: pulumi.ToStringArray([]string{"ALL_IP_RANGES"}),
		}},
		// An instance holds few connections mostly, and many to one partner
		// now and then: ports follow the need. That excludes a mapping that
		// is independent of the endpoint, which only peers need.
		EnableDynamicPortAllocation:      pulumi.Bool(true),
		EnableEndpointIndependentMapping: pulumi.Bool(false),
		MinPortsPerVm:                    pulumi.Int(64),
		MaxPortsPerVm:                    pulumi.Int(2048),
		LogConfig:                        &compute.RouterNatLogConfigArgs{Enable: pulumi.Bool(true), Filter: pulumi.String("ERRORS_ONLY")},
	}, parent, needs)
	p.network.ready = append(p.network.ready, nat)
	return err
}

// googleAddresses are those of Google's APIs within networks:
// https://docs.cloud.google.com/vpc/docs/configure-private-google-access
var googleAddresses = map[string][]string{
	googlePrivate:    {"199.36.153.8", "199.36.153.9", "199.36.153.10", "199.36.153.11"},
	googleRestricted: {"199.36.153.4", "199.36.153.5", "199.36.153.6", "199.36.153.7"},
}

// registerGoogleZone makes the names of Google's APIs resolve to addresses that
// exist in networks only. By default they resolve as everywhere, and Private
// Google Access carries the traffic all the same; a perimeter wants restricted.
func (p *program) registerGoogleZone(vpc *compute.Network, parent pulumi.ResourceOption) error {
	which := p.cfg.Network.GoogleAPIs
	addresses := googleAddresses[which]
	if addresses == nil {
		return nil
	}
	needs := p.needs(apiDNS)
	zone, err := dns.NewManagedZone(p.ctx, "googleapis", &dns.ManagedZoneArgs{
		Project:    pulumi.String(p.cfg.Project),
		Name:       pulumi.String(app + "-googleapis"),
		DnsName:    pulumi.String("googleapis.com."),
		Visibility: pulumi.String("private"),
		PrivateVisibilityConfig: &dns.ManagedZonePrivateVisibilityConfigArgs{
			Networks: dns.ManagedZonePrivateVisibilityConfigNetworkArray{
				&dns.ManagedZonePrivateVisibilityConfigNetworkArgs{NetworkUrl: vpc.ID()},
			},
		},
		Labels: p.labels("network"),
	}, parent, needs)
	if err != nil {
		return err
	}
	host := which + ".googleapis.com."
	for name, record := range map[string]*dns.RecordSetArgs{
		"googleapis-host":  {Name: pulumi.String(host), Type: pulumi.String("A"), Rrdatas: pulumi.ToStringArray(addresses)},
		"googleapis-names": {Name: pulumi.String("*.googleapis.com."), Type: pulumi.String("CNAME"), Rrdatas: pulumi.ToStringArray([]string{host})},
	} {
		record.Project = pulumi.String(p.cfg.Project)
		record.ManagedZone = zone.Name
		record.Ttl = pulumi.Int(300)
		made, err := dns.NewRecordSet(p.ctx, name, record, parent, needs)
		if err != nil {
			return err
		}
		p.network.ready = append(p.network.ready, made)
	}
	return nil
}

// egress says which traffic of a workload takes the network.
//
// A workload that calls partners sends everything through it, for the address
// that they know. One that calls Google only keeps to the short way: the first
// connection through a network takes up to a minute on a new instance, and
// through NAT half a minute more, which a caller of the gateway would wait for
// (https://docs.cloud.google.com/run/docs/configuring/vpc-direct-vpc,
// Limitations). A perimeter wants everything inside, whatever that takes.
func (p *program) egress(w *workload) string {
	if w.googleOnly && p.cfg.Network.Egress == egressPartners {
		return egressPrivate
	}
	return egressAll
}

// serviceNetwork is a service's way into the network, nil without one.
func (p *program) serviceNetwork(w *workload) cloudrunv2.ServiceTemplateVpcAccessPtrInput {
	if p.network == nil {
		return nil
	}
	return &cloudrunv2.ServiceTemplateVpcAccessArgs{
		Egress: pulumi.String(p.egress(w)),
		NetworkInterfaces: cloudrunv2.ServiceTemplateVpcAccessNetworkInterfaceArray{
			&cloudrunv2.ServiceTemplateVpcAccessNetworkInterfaceArgs{Network: p.network.name, Subnetwork: p.network.subnet},
		},
	}
}

// jobNetwork is a job's way into the network, nil without one.
func (p *program) jobNetwork(w *workload) cloudrunv2.JobTemplateTemplateVpcAccessPtrInput {
	if p.network == nil {
		return nil
	}
	return &cloudrunv2.JobTemplateTemplateVpcAccessArgs{
		Egress: pulumi.String(p.egress(w)),
		NetworkInterfaces: cloudrunv2.JobTemplateTemplateVpcAccessNetworkInterfaceArray{
			&cloudrunv2.JobTemplateTemplateVpcAccessNetworkInterfaceArgs{Network: p.network.name, Subnetwork: p.network.subnet},
		},
	}
}

// startupFailures is how often a new instance may be asked in vain, every
// [startupPeriod] seconds, before Cloud Run gives it up: a minute, and on the
// network, which may take more than that to connect, the most that Cloud Run
// allows, which is four.
func (p *program) startupFailures(w *workload) int {
	if p.network != nil && p.egress(w) == egressAll {
		return 240 / startupPeriod
	}
	return 60 / startupPeriod
}

// networkReady makes a workload wait for what its first call needs.
func (p *program) networkReady() pulumi.ResourceOption {
	if p.network == nil {
		return pulumi.DependsOn(nil)
	}
	return pulumi.DependsOn(p.network.ready)
}
