package provider

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// NetworkKinds are networks, load balancers, name resolution and perimeters:
// checked and kept. The local cloud's services are processes that call whom
// they like, and its gateway has no load balancer before it.
//
// Ids, links and what forces replacement are those of the provider 7.38.0;
// what is refused is what Compute Engine, Cloud DNS and Access Context Manager
// refuse: https://cloud.google.com/compute/docs/reference/rest/v1
func NetworkKinds() []Kind {
	return []Kind{
		globalAddress(), regionalAddress(), managedCertificate(), sslPolicy(),
		serverlessGroup(), securityPolicy(), backendService(), urlMap(),
		httpProxy(), httpsProxy(), forwardingRule(),
		vpc(), subnetwork(), router(), routerNAT(), firewall(),
		managedZone(), recordSet(),
		accessLevelKind(), servicePerimeter(),
	}
}

// computeName is RFC 1035's, as Compute Engine requires of every name.
var computeName = regexp.MustCompile(`^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$`)

// computeKind describes a resource of Compute Engine, given what it is called
// in links. Those with a region are regional.
func computeKind(typ, collection string, regional bool, kind Kind) Kind {
	kind.Type, kind.Mode = "gcp:compute/"+typ, Recorded
	kind.Required = append([]string{"name"}, kind.Required...)
	kind.Replace = append([]string{"name", "project"}, kind.Replace...)
	place := func(Object) string { return "global" }
	normalize := inProject
	if regional {
		kind.Replace = append(kind.Replace, "region")
		place = func(in Object) string { return "regions/" + base(str(in, "region")) }
		normalize = inRegion("region")
	}
	kind.Normalize = normalize
	if kind.ID == nil {
		kind.ID = func(in Object) string {
			return "projects/" + str(in, "project") + "/" + place(in) + "/" + collection + "/" + str(in, "name")
		}
	}
	validate, outputs := kind.Validate, kind.Outputs
	kind.Validate = func(in Object, unknown map[string]bool) []Failure {
		f := match(in, "name", computeName, "1 to 63 lower-case letters, digits and hyphens, beginning with a letter and not ending with a hyphen")
		if validate != nil {
			f = append(f, validate(in, unknown)...)
		}
		return append(f, validateLabels(in)...)
	}
	link := "https://www.googleapis.com/compute/v1/"
	kind.Outputs = func(in Object) Object {
		out := Object{"selfLink": link + "projects/" + str(in, "project") + "/" + place(in) + "/" + collection + "/" + str(in, "name")}
		if nested(in, "labels") != nil {
			out = withLabels(in, out)
		}
		if outputs != nil {
			for name, value := range outputs(in) {
				out[name] = value
			}
		}
		return out
	}
	kind.Computed = append(kind.Computed, "creationTimestamp")
	return kind
}

// documentation addresses stand for those that Google would assign: they lead
// nowhere (RFC 5737), and differ by name.
func madeUpAddress(network string, name string) string {
	sum := 0
	for _, c := range []byte(name) {
		sum = (sum*31 + int(c)) % 254
	}
	return fmt.Sprintf("%s.%d", network, sum+1)
}

func globalAddress() Kind {
	return computeKind("globalAddress:GlobalAddress", "addresses", false, Kind{
		Replace: []string{"description", "address", "addressType", "ipVersion", "network", "prefixLength", "purpose"},
		Validate: func(in Object, _ map[string]bool) []Failure {
			return slices.Concat(oneOf(in, "addressType", "EXTERNAL", "INTERNAL"), oneOf(in, "ipVersion", "IPV4", "IPV6"))
		},
		Outputs: func(in Object) Object {
			return Object{"address": orElse(str(in, "address"), madeUpAddress("198.51.100", str(in, "name")))}
		},
	})
}

func regionalAddress() Kind {
	return computeKind("address:Address", "addresses", true, Kind{
		Replace: []string{
			"description",
			"address", "addressType", "ipVersion", "ipv6EndpointType", "network", "networkTier", "prefixLength", "purpose", "subnetwork",
		},
		Validate: func(in Object, _ map[string]bool) []Failure {
			return slices.Concat(oneOf(in, "addressType", "EXTERNAL", "INTERNAL"), oneOf(in, "networkTier", "PREMIUM", "STANDARD"))
		},
		Outputs: func(in Object) Object {
			return Object{"address": orElse(str(in, "address"), madeUpAddress("203.0.113", str(in, "name")))}
		},
	})
}

// hostName is a domain that a certificate can be issued for; Google's managed
// ones have no wildcards.
var hostName = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?\.?$`)

func managedCertificate() Kind {
	return computeKind("managedSslCertificate:ManagedSslCertificate", "sslCertificates", false, Kind{
		Required: []string{"managed"},
		Replace:  []string{"description", "managed", "managed.domains", "type"},
		Validate: func(in Object, _ map[string]bool) []Failure {
			f := oneOf(in, "type", "MANAGED")
			domains := stringList(nested(in, "managed"), "domains")
			if len(domains) > 100 {
				f = append(f, Failure{"managed.domains", "a certificate has at most 100 domains"})
			}
			for i, domain := range domains {
				if len(domain) > 253 || !hostName.MatchString(domain) {
					f = append(f, Failure{fmt.Sprintf("managed.domains[%d]", i), fmt.Sprintf("%q is not a domain without a wildcard", domain)})
				}
			}
			return f
		},
		Outputs:  func(in Object) Object { return Object{"subjectAlternativeNames": nested(in, "managed")["domains"]} },
		Computed: []string{"certificateId", "expireTime"},
	})
}

func sslPolicy() Kind {
	return computeKind("sSLPolicy:SSLPolicy", "sslPolicies", false, Kind{
		Replace: []string{"description"},
		Validate: func(in Object, _ map[string]bool) []Failure {
			f := slices.Concat(oneOf(in, "profile", "COMPATIBLE", "MODERN", "RESTRICTED", "CUSTOM"),
				oneOf(in, "minTlsVersion", "TLS_1_0", "TLS_1_1", "TLS_1_2"))
			if custom := str(in, "profile") == "CUSTOM"; custom != (len(stringList(in, "customFeatures")) > 0) {
				f = append(f, Failure{"customFeatures", "go with the profile CUSTOM, and with no other"})
			}
			return f
		},
		Computed: []string{"enabledFeatures", "fingerprint"},
	})
}

// serverlessGroup is a regional network endpoint group; the local cloud knows
// the serverless ones.
func serverlessGroup() Kind {
	return computeKind("regionNetworkEndpointGroup:RegionNetworkEndpointGroup", "networkEndpointGroups", true, Kind{
		Required: []string{"region"},
		Replace: []string{
			"description",
			"appEngine", "cloudFunction", "cloudRun", "network", "networkEndpointType", "pscTargetService", "serverlessDeployment", "subnetwork",
		},
		Validate: func(in Object, unknown map[string]bool) []Failure {
			f := oneOf(in, "networkEndpointType", "SERVERLESS", "PRIVATE_SERVICE_CONNECT", "INTERNET_IP_PORT", "INTERNET_FQDN_PORT", "GCE_VM_IP_PORTMAP")
			if t := str(in, "networkEndpointType"); t != "" && t != "SERVERLESS" {
				return append(f, Failure{"networkEndpointType", "the local cloud knows SERVERLESS only"})
			}
			var set []string
			for _, name := range []string{"appEngine", "cloudFunction", "cloudRun", "serverlessDeployment"} {
				if in[name] != nil || unknown[name] {
					set = append(set, name)
				}
			}
			if len(set) != 1 {
				f = append(f, Failure{"networkEndpointType", "SERVERLESS goes with exactly one of appEngine, cloudFunction, cloudRun and serverlessDeployment"})
			}
			d := nested(in, "serverlessDeployment")
			if d == nil {
				return f
			}
			for _, failure := range oneOf(d, "platform", "apigateway.googleapis.com", "appengine.googleapis.com", "cloudfunctions.googleapis.com", "run.googleapis.com") {
				f = append(f, Failure{"serverlessDeployment." + failure.Property, failure.Reason})
			}
			resource := str(d, "resource")
			if resource == "" && str(d, "urlMask") == "" && !unknown["serverlessDeployment.resource"] {
				f = append(f, Failure{"serverlessDeployment.resource", "is required without urlMask"})
			}
			if strings.Contains(resource, "/") {
				f = append(f, Failure{"serverlessDeployment.resource", fmt.Sprintf("%q is a full name; for a gateway it is the gateway's id", resource)})
			}
			return f
		},
	})
}

func backendService() Kind {
	return computeKind("backendService:BackendService", "backendServices", false, Kind{
		Replace: []string{"loadBalancingScheme"},
		Validate: func(in Object, _ map[string]bool) []Failure {
			f := slices.Concat(
				oneOf(in, "loadBalancingScheme", "EXTERNAL", "EXTERNAL_MANAGED", "INTERNAL_SELF_MANAGED", "INTERNAL_MANAGED"),
				oneOf(in, "protocol", "HTTP", "HTTPS", "HTTP2", "TCP", "SSL", "GRPC", "UNSPECIFIED"))
			if rate := number(nested(in, "logConfig"), "sampleRate"); rate < 0 || rate > 1 {
				f = append(f, Failure{"logConfig.sampleRate", "is from 0 to 1"})
			}
			for i, b := range objects(in, "backends") {
				// Its instances are Google's: there is nothing to time or to name.
				if serverless := strings.Contains(str(b, "group"), "/networkEndpointGroups/"); serverless {
					for _, property := range []string{"timeoutSec", "portName", "healthChecks"} {
						if in[property] != nil {
							f = append(f, Failure{property, fmt.Sprintf("does not go with the serverless backends[%d]", i)})
						}
					}
				}
			}
			for i, header := range stringList(in, "customResponseHeaders") {
				if name, value, ok := strings.Cut(header, ":"); !ok || name == "" || strings.TrimSpace(value) == "" {
					f = append(f, Failure{fmt.Sprintf("customResponseHeaders[%d]", i), fmt.Sprintf("%q is not Name: value", header)})
				}
			}
			return f
		},
		Computed: []string{"fingerprint", "generatedId"},
	})
}

func urlMap() Kind {
	return computeKind("uRLMap:URLMap", "urlMaps", false, Kind{
		Validate: func(in Object, unknown map[string]bool) []Failure {
			var set []string
			for _, name := range []string{"defaultService", "defaultUrlRedirect", "defaultRouteAction"} {
				if in[name] != nil || unknown[name] {
					set = append(set, name)
				}
			}
			var f []Failure
			if len(set) == 0 || slices.Contains(set, "defaultUrlRedirect") && len(set) > 1 {
				f = append(f, Failure{"defaultService", "is required, unless there is a defaultUrlRedirect, which excludes it, or a defaultRouteAction"})
			}
			if redirect := nested(in, "defaultUrlRedirect"); redirect != nil {
				for _, failure := range oneOf(redirect, "redirectResponseCode", "FOUND", "MOVED_PERMANENTLY_DEFAULT", "PERMANENT_REDIRECT", "SEE_OTHER", "TEMPORARY_REDIRECT") {
					f = append(f, Failure{"defaultUrlRedirect." + failure.Property, failure.Reason})
				}
				if redirect["stripQuery"] == nil {
					f = append(f, Failure{"defaultUrlRedirect.stripQuery", "is required"})
				}
			}
			return f
		},
		Computed: []string{"fingerprint", "mapId"},
	})
}

func httpProxy() Kind {
	return computeKind("targetHttpProxy:TargetHttpProxy", "targetHttpProxies", false, Kind{
		Required: []string{"urlMap"}, Replace: []string{"description", "httpKeepAliveTimeoutSec", "proxyBind"},
		Computed: []string{"proxyId"},
	})
}

func httpsProxy() Kind {
	return computeKind("targetHttpsProxy:TargetHttpsProxy", "targetHttpsProxies", false, Kind{
		Required: []string{"urlMap"}, Replace: []string{"description", "httpKeepAliveTimeoutSec", "proxyBind", "tlsEarlyData"},
		Validate: func(in Object, unknown map[string]bool) []Failure {
			f := oneOf(in, "quicOverride", "NONE", "ENABLE", "DISABLE")
			certificates, _ := in["sslCertificates"].([]any)
			if len(certificates) > 15 {
				f = append(f, Failure{"sslCertificates", "are at most 15"})
			}
			if len(certificates) == 0 && in["certificateMap"] == nil && in["certificateManagerCertificates"] == nil &&
				!unknown["sslCertificates"] && !unknown["certificateMap"] {
				f = append(f, Failure{"sslCertificates", "a proxy for https has a certificate or a map of them"})
			}
			return f
		},
		Computed: []string{"proxyId"},
	})
}

var portRange = regexp.MustCompile(`^[1-9][0-9]{0,4}(-[1-9][0-9]{0,4})?$`)

func forwardingRule() Kind {
	return computeKind("globalForwardingRule:GlobalForwardingRule", "forwardingRules", false, Kind{
		Required: []string{"target"},
		Replace: []string{
			"description",
			"allowPscGlobalAccess", "ipAddress", "ipProtocol", "ipVersion", "loadBalancingScheme", "metadataFilters", "network",
			"noAutomateDnsZone", "portRange", "serviceDirectoryRegistrations", "sourceIpRanges", "subnetwork",
		},
		Validate: func(in Object, _ map[string]bool) []Failure {
			return slices.Concat(
				oneOf(in, "loadBalancingScheme", "EXTERNAL", "EXTERNAL_MANAGED", "INTERNAL_MANAGED", "INTERNAL_SELF_MANAGED"),
				oneOf(in, "ipProtocol", "TCP", "UDP", "ESP", "AH", "SCTP", "ICMP"),
				match(in, "portRange", portRange, "a port, or a range such as 80-90"))
		},
		Computed: []string{"baseForwardingRule", "pscConnectionId", "pscConnectionStatus"},
	})
}

func vpc() Kind {
	return computeKind("network:Network", "networks", false, Kind{
		Replace: []string{"description", "autoCreateSubnetworks", "enableUlaInternalIpv6", "internalIpv6Range", "mtu"},
		Validate: func(in Object, _ map[string]bool) []Failure {
			f := oneOf(in, "routingMode", "REGIONAL", "GLOBAL")
			if mtu, ok := in["mtu"].(float64); ok && (mtu < 1300 || mtu > 8896) {
				f = append(f, Failure{"mtu", "is from 1300 to 8896"})
			}
			return f
		},
		Computed: []string{"gatewayIpv4", "numericId"},
	})
}

// cidr refuses a range that is not one, or has bits beyond its length.
func cidr(property, text string) []Failure {
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return []Failure{{property, fmt.Sprintf("%q is not a range such as 10.0.0.0/16", text)}}
	}
	if prefix != prefix.Masked() {
		return []Failure{{property, fmt.Sprintf("%s has bits beyond its length; the range is %s", text, prefix.Masked())}}
	}
	return nil
}

// prohibitedRanges cannot be subnets:
// https://cloud.google.com/vpc/docs/subnets#prohibited-ipv4-ranges
var prohibitedRanges = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("199.36.153.4/30"), netip.MustParsePrefix("199.36.153.8/30"), netip.MustParsePrefix("224.0.0.0/4"),
	netip.MustParsePrefix("255.255.255.255/32"),
}

func subnetwork() Kind {
	return computeKind("subnetwork:Subnetwork", "subnetworks", true, Kind{
		Required: []string{"ipCidrRange", "network"},
		Replace:  []string{"description", "externalIpv6Prefix", "network", "purpose"},
		// A range can grow where it is; any other change moves the subnet.
		ReplaceIf: func(old, in Object) []string {
			was, errWas := netip.ParsePrefix(str(old, "ipCidrRange"))
			is, errIs := netip.ParsePrefix(str(in, "ipCidrRange"))
			if errWas != nil || errIs != nil || is.Bits() <= was.Bits() && is.Contains(was.Addr()) {
				return nil
			}
			return []string{"ipCidrRange"}
		},
		Validate: func(in Object, unknown map[string]bool) []Failure {
			var f []Failure
			if text := str(in, "ipCidrRange"); text != "" {
				f = append(f, cidr("ipCidrRange", text)...)
				if prefix, err := netip.ParsePrefix(text); err == nil {
					if prefix.Bits() > 29 {
						f = append(f, Failure{"ipCidrRange", "is /29 or larger"})
					}
					if i := slices.IndexFunc(prohibitedRanges, prefix.Overlaps); i >= 0 {
						f = append(f, Failure{"ipCidrRange", fmt.Sprintf("%s is among the prohibited %s", text, prohibitedRanges[i])})
					}
				}
			}
			if log := nested(in, "logConfig"); log != nil {
				for _, failure := range slices.Concat(
					oneOf(log, "aggregationInterval", "INTERVAL_5_SEC", "INTERVAL_30_SEC", "INTERVAL_1_MIN", "INTERVAL_5_MIN", "INTERVAL_10_MIN", "INTERVAL_15_MIN"),
					oneOf(log, "metadata", "EXCLUDE_ALL_METADATA", "INCLUDE_ALL_METADATA", "CUSTOM_METADATA")) {
					f = append(f, Failure{"logConfig." + failure.Property, failure.Reason})
				}
				if share := number(log, "flowSampling"); share < 0 || share > 1 {
					f = append(f, Failure{"logConfig.flowSampling", "is from 0 to 1"})
				}
			}
			return f
		},
		Outputs: func(in Object) Object {
			prefix, err := netip.ParsePrefix(str(in, "ipCidrRange"))
			if err != nil {
				return nil
			}
			return Object{"gatewayAddress": prefix.Masked().Addr().Next().String()}
		},
		Computed: []string{"fingerprint", "ipv6CidrRange", "internalIpv6Prefix"},
	})
}

func router() Kind {
	return computeKind("router:Router", "routers", true, Kind{
		Required: []string{"network"}, Replace: []string{"encryptedInterconnectRouter", "network"},
	})
}

func routerNAT() Kind {
	nat := computeKind("routerNat:RouterNat", "", true, Kind{
		Required: []string{"router", "sourceSubnetworkIpRangesToNat"},
		Replace:  []string{"endpointTypes", "router", "type"},
		ID: func(in Object) string {
			return str(in, "project") + "/" + str(in, "region") + "/" + base(str(in, "router")) + "/" + str(in, "name")
		},
		Validate: func(in Object, unknown map[string]bool) []Failure {
			f := slices.Concat(
				oneOf(in, "natIpAllocateOption", "MANUAL_ONLY", "AUTO_ONLY"),
				oneOf(in, "sourceSubnetworkIpRangesToNat", "ALL_SUBNETWORKS_ALL_IP_RANGES", "ALL_SUBNETWORKS_ALL_PRIMARY_IP_RANGES", "LIST_OF_SUBNETWORKS"))
			manual := str(in, "natIpAllocateOption") == "MANUAL_ONLY"
			if addresses, _ := in["natIps"].([]any); !unknown["natIps"] && manual != (len(addresses) > 0) {
				f = append(f, Failure{"natIps", "go with the natIpAllocateOption MANUAL_ONLY, and with no other"})
			}
			listed := str(in, "sourceSubnetworkIpRangesToNat") == "LIST_OF_SUBNETWORKS"
			if subnetworks, _ := in["subnetworks"].([]any); listed != (len(subnetworks) > 0) {
				f = append(f, Failure{"subnetworks", "go with LIST_OF_SUBNETWORKS, and with nothing else"})
			}
			dynamic := boolean(in, "enableDynamicPortAllocation")
			if dynamic && boolean(in, "enableEndpointIndependentMapping") {
				f = append(f, Failure{"enableEndpointIndependentMapping", "does not go with enableDynamicPortAllocation"})
			}
			for _, name := range []string{"minPortsPerVm", "maxPortsPerVm"} {
				n, ok := in[name].(float64)
				if power := int(n) > 0 && int(n)&(int(n)-1) == 0; ok && dynamic && !power {
					f = append(f, Failure{name, "is a power of 2 with enableDynamicPortAllocation"})
				}
			}
			if in["maxPortsPerVm"] != nil && (!dynamic || number(in, "maxPortsPerVm") <= number(in, "minPortsPerVm")) {
				f = append(f, Failure{"maxPortsPerVm", "needs enableDynamicPortAllocation, and is more than minPortsPerVm"})
			}
			if log := nested(in, "logConfig"); log != nil {
				for _, failure := range oneOf(log, "filter", "ERRORS_ONLY", "TRANSLATIONS_ONLY", "ALL") {
					f = append(f, Failure{"logConfig." + failure.Property, failure.Reason})
				}
			}
			return f
		},
	})
	// It is a part of its router, and has no link of its own.
	nat.Outputs, nat.Computed = nil, nil
	return nat
}

var (
	firewallProtocol = regexp.MustCompile(`^(all|tcp|udp|icmp|esp|ah|sctp|ipip|[0-9]{1,3})$`)
	firewallPorts    = regexp.MustCompile(`^[0-9]{1,5}(-[0-9]{1,5})?$`)
)

func firewall() Kind {
	return computeKind("firewall:Firewall", "firewalls", false, Kind{
		Required: []string{"network"},
		Replace:  []string{"direction"},
		Validate: func(in Object, _ map[string]bool) []Failure {
			f := oneOf(in, "direction", "INGRESS", "EGRESS")
			if n, ok := in["priority"].(float64); ok && (n < 0 || n > 65535) {
				f = append(f, Failure{"priority", "is from 0 to 65535"})
			}
			allows, denies := objects(in, "allows"), objects(in, "denies")
			if (len(allows) == 0) == (len(denies) == 0) {
				f = append(f, Failure{"allows", "a rule either allows or denies"})
			}
			for name, list := range map[string][]Object{"allows": allows, "denies": denies} {
				for i, o := range list {
					at := fmt.Sprintf("%s[%d]", name, i)
					protocol := str(o, "protocol")
					if !firewallProtocol.MatchString(protocol) {
						f = append(f, Failure{at + ".protocol", fmt.Sprintf("%q is not a protocol", protocol)})
					}
					ports := stringList(o, "ports")
					if len(ports) > 0 && !slices.Contains([]string{"tcp", "udp", "sctp"}, protocol) {
						f = append(f, Failure{at + ".ports", protocol + " has no ports"})
					}
					for _, port := range ports {
						if !firewallPorts.MatchString(port) {
							f = append(f, Failure{at + ".ports", fmt.Sprintf("%q is not a port or a range", port)})
						}
					}
				}
			}
			for _, name := range []string{"sourceRanges", "destinationRanges"} {
				for i, text := range stringList(in, name) {
					f = append(f, cidr(fmt.Sprintf("%s[%d]", name, i), text)...)
				}
			}
			if str(in, "direction") == "EGRESS" && (in["sourceTags"] != nil || in["sourceServiceAccounts"] != nil) {
				f = append(f, Failure{"sourceTags", "are for INGRESS"})
			}
			return f
		},
	})
}

// orElse is text, or other if there is none.
func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}
