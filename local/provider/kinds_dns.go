package provider

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

var (
	zoneName      = regexp.MustCompile(`^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)
	zoneDomain    = regexp.MustCompile(`^([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+$`)
	recordName    = regexp.MustCompile(`^(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+$`)
	perimeterPart = `[a-zA-Z][a-zA-Z0-9_]{0,49}$`
	policyParent  = regexp.MustCompile(`^accessPolicies/[1-9][0-9]*$`)
)

// managedZone is a zone of Cloud DNS:
// https://cloud.google.com/dns/docs/reference/rest/v1/managedZones
func managedZone() Kind {
	return Kind{
		Type: "gcp:dns/managedZone:ManagedZone", Mode: Recorded,
		Required:  []string{"dnsName", "name"},
		Replace:   []string{"dnsName", "name", "project", "reverseLookup", "visibility"},
		Normalize: inProject,
		Validate: func(in Object, unknown map[string]bool) []Failure {
			f := slices.Concat(
				match(in, "name", zoneName, "1 to 63 lower-case letters, digits and hyphens"),
				match(in, "dnsName", zoneDomain, "a domain that ends with a period"),
				oneOf(in, "visibility", "public", "private"))
			networks := in["privateVisibilityConfig"] != nil || unknown["privateVisibilityConfig"]
			if private := str(in, "visibility") == "private"; private != networks {
				f = append(f, Failure{"privateVisibilityConfig", "goes with the visibility private, and with no other"})
			}
			return append(f, validateLabels(in)...)
		},
		ID:       func(in Object) string { return "projects/" + str(in, "project") + "/managedZones/" + str(in, "name") },
		Outputs:  func(in Object) Object { return withLabels(in, Object{}) },
		Computed: []string{"creationTime", "managedZoneId", "nameServers"},
	}
}

// recordSet is the records of one name and type in a zone.
func recordSet() Kind {
	return Kind{
		Type: "gcp:dns/recordSet:RecordSet", Mode: Recorded,
		Required:  []string{"managedZone", "name", "type"},
		Replace:   []string{"managedZone", "name", "project"},
		Normalize: inProject,
		Validate: func(in Object, unknown map[string]bool) []Failure {
			f := slices.Concat(
				match(in, "name", recordName, "a domain that ends with a period"),
				oneOf(in, "type", "A", "AAAA", "CAA", "CNAME", "MX", "NS", "PTR", "SOA", "SPF", "SRV", "TXT"))
			data, _ := in["rrdatas"].([]any)
			if len(data) == 0 && in["routingPolicy"] == nil && !unknown["rrdatas"] && !unknown["rrdatas[0]"] {
				f = append(f, Failure{"rrdatas", "are required without a routingPolicy"})
			}
			for i, text := range stringList(in, "rrdatas") {
				at := fmt.Sprintf("rrdatas[%d]", i)
				switch str(in, "type") {
				case "A":
					if addr, err := netip.ParseAddr(text); err != nil || !addr.Is4() {
						f = append(f, Failure{at, fmt.Sprintf("%q is not an IPv4 address", text)})
					}
				case "CNAME":
					if !strings.HasSuffix(text, ".") {
						f = append(f, Failure{at, fmt.Sprintf("%q does not end with a period", text)})
					}
				}
			}
			if str(in, "type") == "CNAME" && len(data) > 1 {
				f = append(f, Failure{"rrdatas", "a CNAME has one"})
			}
			return f
		},
		ID: func(in Object) string {
			return "projects/" + str(in, "project") + "/managedZones/" + base(str(in, "managedZone")) + "/rrsets/" + str(in, "name") + "/" + str(in, "type")
		},
	}
}

// accessLevelKind is a condition under which a perimeter opens:
// https://cloud.google.com/access-context-manager/docs/reference/rest/v1/accessPolicies.accessLevels
func accessLevelKind() Kind {
	return Kind{
		Type: "gcp:accesscontextmanager/accessLevel:AccessLevel", Mode: Recorded,
		Required: []string{"name", "parent", "title"},
		Replace:  []string{"name", "parent"},
		Validate: func(in Object, _ map[string]bool) []Failure {
			f := slices.Concat(match(in, "parent", policyParent, "accessPolicies/NUMBER"), perimeterNamed(in, "accessLevels"))
			if (in["basic"] == nil) == (in["custom"] == nil) {
				f = append(f, Failure{"basic", "a level has either basic or custom conditions"})
			}
			for i, c := range objects(nested(in, "basic"), "conditions") {
				for j, member := range stringList(c, "members") {
					if kind, _, ok := strings.Cut(member, ":"); !ok || kind != "user" && kind != "serviceAccount" {
						f = append(f, Failure{fmt.Sprintf("basic.conditions[%d].members[%d]", i, j), fmt.Sprintf("%q is neither user:EMAIL nor serviceAccount:EMAIL", member)})
					}
				}
			}
			return f
		},
		ID: func(in Object) string { return str(in, "name") },
	}
}

// servicePerimeter is a perimeter of VPC Service Controls:
// https://cloud.google.com/access-context-manager/docs/reference/rest/v1/accessPolicies.servicePerimeters
func servicePerimeter() Kind {
	return Kind{
		Type: "gcp:accesscontextmanager/servicePerimeter:ServicePerimeter", Mode: Recorded,
		Required: []string{"name", "parent", "title"},
		Replace:  []string{"name", "parent", "perimeterType"},
		Validate: func(in Object, _ map[string]bool) []Failure {
			f := slices.Concat(
				match(in, "parent", policyParent, "accessPolicies/NUMBER"), perimeterNamed(in, "servicePerimeters"),
				oneOf(in, "perimeterType", "PERIMETER_TYPE_REGULAR", "PERIMETER_TYPE_BRIDGE"))
			if in["spec"] != nil && !boolean(in, "useExplicitDryRunSpec") {
				f = append(f, Failure{"spec", "needs useExplicitDryRunSpec"})
			}
			for _, part := range []string{"spec", "status"} {
				for i, resource := range stringList(nested(in, part), "resources") {
					if !perimeterResource.MatchString(resource) {
						f = append(f, Failure{fmt.Sprintf("%s.resources[%d]", part, i), fmt.Sprintf("%q is not projects/NUMBER: the id of a project is not taken", resource)})
					}
				}
				for i, service := range stringList(nested(in, part), "restrictedServices") {
					if !apiName.MatchString(service) {
						f = append(f, Failure{fmt.Sprintf("%s.restrictedServices[%d]", part, i), fmt.Sprintf("%q is not the name of an API", service)})
					}
				}
			}
			return f
		},
		ID:       func(in Object) string { return str(in, "name") },
		Computed: []string{"createTime", "updateTime"},
	}
}

var perimeterResource = regexp.MustCompile(`^projects/[0-9]+$|^//compute\.googleapis\.com/projects/[^/]+/global/networks/[^/]+$`)

// perimeterNamed checks the full name of a part of an access policy.
func perimeterNamed(in Object, collection string) []Failure {
	parent := str(in, "parent")
	if parent == "" || in["name"] == nil {
		return nil
	}
	re := regexp.MustCompile("^" + regexp.QuoteMeta(parent+"/"+collection+"/") + perimeterPart)
	return match(in, "name", re, "the parent's name followed by /"+collection+"/ and up to 50 letters, digits and underscores, a letter first")
}
