package stack

import (
	"regexp"
	"slices"

	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/orgpolicy"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// OrganizationConfig sets policies of Google Cloud's organisation policy
// service on the project, where it belongs to an organisation. They forbid, to
// everybody in the project, what this program does not do anyway.
type OrganizationConfig struct {
	Policies bool `json:"policies"`
	// Locations are where resources may be made, as in:us-locations or
	// us-central1; none = anywhere. They must include where the models are.
	Locations []string `json:"locations"`
	// Ingress is what Cloud Run services may be set to; none = anything. API
	// Gateway calls over the public address, so all must be among them.
	Ingress []string `json:"ingress"`
}

var (
	locationValue  = regexp.MustCompile(`^(in:[a-z0-9-]+-locations|[a-z]+(-[a-z]+[0-9])?|global)$`)
	ingressSetting = []string{"all", "internal", "internal-and-cloud-load-balancing"}
)

func (c OrganizationConfig) validate(errs *problems) {
	const path = "ingestion:organization"
	if !c.Policies && len(c.Locations)+len(c.Ingress) > 0 {
		errs.add(path+".policies", "must be true, or locations and ingress have no effect")
	}
	for _, value := range c.Locations {
		if !locationValue.MatchString(value) {
			errs.add(path+".locations", "must be locations such as us-central1 or groups such as in:us-locations, not %q", value)
		}
	}
	for _, value := range c.Ingress {
		if !slices.Contains(ingressSetting, value) {
			errs.add(path+".ingress", "must be of %v, not %q", ingressSetting, value)
		}
	}
	if len(c.Ingress) > 0 && (!slices.Contains(c.Ingress, "all") || !slices.Contains(c.Ingress, "internal")) {
		errs.add(path+".ingress", "must include all (of services behind API Gateway) and internal (of the others), not only %v", c.Ingress)
	}
}

// forbidden are constraints that are on or off.
// https://cloud.google.com/resource-manager/docs/organization-policy/org-policy-constraints
var forbidden = []string{
	"iam.automaticIamGrantsForDefaultServiceAccounts", // the default accounts' Editor
	"iam.disableServiceAccountKeyCreation",
	"iam.disableServiceAccountKeyUpload",
	"storage.publicAccessPrevention",
	"storage.uniformBucketLevelAccess",
}

// registerOrganization sets the policies. It needs a role that exists on the
// organisation only (roles/orgpolicy.policyAdmin), so CI cannot run it for the
// first time.
func (p *program) registerOrganization() error {
	c := p.cfg.Organization
	if !c.Policies {
		return nil
	}
	child, err := p.component("organization", "organization")
	if err != nil {
		return err
	}
	set := func(constraint string, rule *orgpolicy.PolicySpecRuleArgs) error {
		parent := "projects/" + p.cfg.Project
		_, err := orgpolicy.NewPolicy(p.ctx, "policy-"+constraint, &orgpolicy.PolicyArgs{
			Name:   pulumi.String(parent + "/policies/" + constraint),
			Parent: pulumi.String(parent),
			Spec:   &orgpolicy.PolicySpecArgs{Rules: orgpolicy.PolicySpecRuleArray{rule}},
		}, child, p.needs(apiOrgPolicy))
		return err
	}
	for _, constraint := range forbidden {
		if err := set(constraint, &orgpolicy.PolicySpecRuleArgs{Enforce: pulumi.String("TRUE")}); err != nil {
			return err
		}
	}
	for _, list := range []struct {
		constraint string
		values     []string
	}{{"gcp.resourceLocations", c.Locations}, {"run.allowedIngress", c.Ingress}} {
		if len(list.values) == 0 {
			continue
		}
		if err := set(list.constraint, &orgpolicy.PolicySpecRuleArgs{
			Values: &orgpolicy.PolicySpecRuleValuesArgs{AllowedValues: pulumi.ToStringArray(list.values)},
		}); err != nil {
			return err
		}
	}
	return nil
}
