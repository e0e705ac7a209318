package stack

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// How workloads use the network, see [program.egress].
const (
	egressPartners   = "partners"
	egressEverything = "all"
)

// Where the names of Google's APIs lead, see [program.registerGoogleZone].
const (
	googlePublic     = "default"
	googlePrivate    = "private"
	googleRestricted = "restricted"
)

// NetworkConfig is the network that workloads call partners through. It is
// there if it has a range, and costs money from then on
// (docs/infrastructure.md, Network).
type NetworkConfig struct {
	Range        string  `json:"range"`        // of the subnet, such as 10.64.0.0/16; it can grow later, not shrink or move
	Egress       string  `json:"egress"`       // partners: workloads that call Google only go there directly; all: everything through the network
	NATAddresses int     `json:"natAddresses"` // 1 serves about a thousand instances; more are added behind, never before
	GoogleAPIs   string  `json:"googleApis"`   // default, private or restricted
	FlowLogs     float64 `json:"flowLogs"`     // share of connections that are logged, 0 to 1

	Perimeter PerimeterConfig `json:"perimeter"`
}

// PerimeterConfig is the project's perimeter of VPC Service Controls: from
// outside it, even right credentials do not open its data. It is for projects
// of an organisation, and there if it has an access policy. It logs what it
// would refuse, until enforce is set.
type PerimeterConfig struct {
	AccessPolicy  string   `json:"accessPolicy"`  // number of the organisation's access policy
	ProjectNumber string   `json:"projectNumber"` // "" = budget.projectNumber
	Enforce       bool     `json:"enforce"`
	Services      []string `json:"services"`     // APIs that are closed
	AccessLevels  []string `json:"accessLevels"` // full names of access levels that open the perimeter, for operators
	Operators     []string `json:"operators"`    // members who may come from anywhere, such as the account that deploys
}

var (
	policyNumber    = regexp.MustCompile(`^[1-9][0-9]{0,19}$`)
	accessLevel     = regexp.MustCompile(`^accessPolicies/([1-9][0-9]*)/accessLevels/[a-zA-Z][a-zA-Z0-9_]{0,49}$`)
	perimeterMember = regexp.MustCompile(`^(user|serviceAccount):[^@\s]+@[^@\s]+\.[^@\s]+$`)
	perimeterUnsafe = regexp.MustCompile(`[^a-zA-Z0-9_]`)
)

// usableRanges are those that Direct VPC egress supports and that cannot be
// somebody else's on the internet:
// https://docs.cloud.google.com/run/docs/configuring/networking-best-practices
var usableRanges = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.168.0.0/16"),
}

func defaultNetwork() NetworkConfig {
	return NetworkConfig{
		Egress:       egressPartners,
		NATAddresses: 1,
		GoogleAPIs:   googlePublic,
		Perimeter: PerimeterConfig{Services: []string{
			apiVertex, apiArtifacts, apiSecrets, apiSpanner, apiSpeech, apiStorage,
		}},
	}
}

// validate checks the network's config, given how many instances may take an
// address of it, and the location of Gemini.
func (c NetworkConfig) validate(instances int, gemini string, errs *problems) {
	const path = "ingestion:network"
	if c.Range == "" {
		if c.Perimeter.AccessPolicy != "" {
			errs.add(path+".perimeter", "needs a network: set network.range")
		}
		return
	}
	c.validateRange(path+".range", instances, errs)
	if !slices.Contains([]string{egressPartners, egressEverything}, c.Egress) {
		errs.add(path+".egress", "must be %s or %s, not %q", egressPartners, egressEverything, c.Egress)
	}
	if c.NATAddresses < 1 || c.NATAddresses > 16 {
		errs.add(path+".natAddresses", "must be 1 to 16, not %d", c.NATAddresses)
	}
	if !slices.Contains([]string{googlePublic, googlePrivate, googleRestricted}, c.GoogleAPIs) {
		errs.add(path+".googleApis", "must be %s, %s or %s, not %q", googlePublic, googlePrivate, googleRestricted, c.GoogleAPIs)
	}
	// Gemini of a multi-region answers at *.rep.googleapis.com, which those
	// addresses do not serve.
	if c.GoogleAPIs != googlePublic && (gemini == "us" || gemini == "eu") {
		errs.add(path+".googleApis", "%s does not reach Gemini in %s; use a region there, or %s here", c.GoogleAPIs, gemini, googlePublic)
	}
	if c.FlowLogs < 0 || c.FlowLogs > 1 {
		errs.add(path+".flowLogs", "must be 0 to 1, not %v", c.FlowLogs)
	}
	if c.Perimeter.AccessPolicy != "" {
		c.validatePerimeter(path+".perimeter", errs)
	}
}

// validateRange wants room for two addresses for each instance, as Cloud Run
// uses while revisions change, and for the four that every subnet keeps.
// Without room, a service cannot grow just when it has to:
// https://docs.cloud.google.com/run/docs/configuring/vpc-direct-vpc
func (c NetworkConfig) validateRange(path string, instances int, errs *problems) {
	prefix, err := netip.ParsePrefix(c.Range)
	if err != nil || !prefix.Addr().Is4() || prefix != prefix.Masked() {
		errs.add(path, "must be an IPv4 range such as 10.64.0.0/16, not %q", c.Range)
		return
	}
	if !slices.ContainsFunc(usableRanges, func(r netip.Prefix) bool { return r.Bits() <= prefix.Bits() && r.Contains(prefix.Addr()) }) {
		errs.add(path, "must be part of a private range (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 or 100.64.0.0/10), not %s", c.Range)
	}
	if prefix.Bits() > 26 {
		errs.add(path, "must be /26 or larger for Direct VPC egress, not %s", c.Range)
	}
	if room, need := 1<<(32-prefix.Bits()), 2*instances+4; room < need {
		errs.add(path, "%s has %d addresses; %d instances (the sum of maxInstances) need %d", c.Range, room, instances, need)
	}
}

func (c NetworkConfig) validatePerimeter(path string, errs *problems) {
	// Cloud Run is inside only where its traffic comes from the network, and
	// restricted is the only way to Google's APIs that keeps to those that the
	// perimeter governs.
	if c.Egress != egressEverything {
		errs.add(path, "needs network.egress: %s", egressEverything)
	}
	if c.GoogleAPIs != googleRestricted {
		errs.add(path, "needs network.googleApis: %s", googleRestricted)
	}
	p := c.Perimeter
	if !policyNumber.MatchString(p.AccessPolicy) {
		errs.add(path+".accessPolicy", "must be the number of an access policy, not %q", p.AccessPolicy)
	}
	if !projectNumber.MatchString(p.ProjectNumber) {
		errs.add(path+".projectNumber", "must be the number of the project, not %q", p.ProjectNumber)
	}
	if len(p.Services) == 0 {
		errs.add(path+".services", "must have at least one")
	}
	for i, service := range p.Services {
		if !strings.HasSuffix(service, ".googleapis.com") {
			errs.add(at(path+".services", i), "must be the name of an API, such as spanner.googleapis.com, not %q", service)
		}
	}
	for i, level := range p.AccessLevels {
		if m := accessLevel.FindStringSubmatch(level); m == nil || m[1] != p.AccessPolicy {
			errs.add(at(path+".accessLevels", i), "must have the form accessPolicies/%s/accessLevels/NAME, not %q", p.AccessPolicy, level)
		}
	}
	for i, member := range p.Operators {
		if !perimeterMember.MatchString(member) {
			errs.add(at(path+".operators", i), "must be user:EMAIL or serviceAccount:EMAIL, not %q", member)
		}
	}
}
