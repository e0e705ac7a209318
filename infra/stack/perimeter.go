package stack

import (
	"slices"

	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/accesscontextmanager"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// registerPerimeter closes the project's data to whoever is outside. It comes
// last: a perimeter that is there before what it surrounds would stand in the
// way of the deployment.
//
// A dry run is a spec beside the status that is enforced; what it would refuse
// is in the audit log, as a violation with dryRun: true. Enforcing moves it to
// the status.
func (p *program) registerPerimeter() error {
	c := p.cfg.Network.Perimeter
	if c.AccessPolicy == "" {
		return nil
	}
	parent, err := p.component("perimeter", "perimeter")
	if err != nil {
		return err
	}
	policy := "accessPolicies/" + c.AccessPolicy
	levels := pulumi.ToStringArray(c.AccessLevels)
	if len(c.Operators) > 0 {
		level, err := accesscontextmanager.NewAccessLevel(p.ctx, "operators", &accesscontextmanager.AccessLevelArgs{
			Parent: pulumi.String(policy),
			Name:   pulumi.String(policy + "/accessLevels/" + c.id(p.cfg.Stack) + "_operators"),
			Title:  pulumi.String("Ingestion " + p.cfg.Stack + ", operators"),
			Basic: &accesscontextmanager.AccessLevelBasicArgs{
				Conditions: accesscontextmanager.AccessLevelBasicConditionArray{
					&accesscontextmanager.AccessLevelBasicConditionArgs{Members: pulumi.ToStringArray(c.Operators)},
				},
			},
		}, parent, p.needs(apiAccessContext))
		if err != nil {
			return err
		}
		levels = append(levels, level.Name)
	}

	args := &accesscontextmanager.ServicePerimeterArgs{
		Parent:        pulumi.String(policy),
		Name:          pulumi.String(policy + "/servicePerimeters/" + c.id(p.cfg.Stack)),
		Title:         pulumi.String("Ingestion " + p.cfg.Stack),
		PerimeterType: pulumi.String("PERIMETER_TYPE_REGULAR"),
	}
	resources := pulumi.ToStringArray([]string{"projects/" + c.ProjectNumber})
	services := pulumi.ToStringArray(slices.Sorted(slices.Values(c.Services)))
	if c.Enforce {
		args.Status = &accesscontextmanager.ServicePerimeterStatusArgs{
			Resources: resources, RestrictedServices: services, AccessLevels: levels,
		}
	} else {
		args.UseExplicitDryRunSpec = pulumi.Bool(true)
		args.Spec = &accesscontextmanager.ServicePerimeterSpecArgs{
			Resources: resources, RestrictedServices: services, AccessLevels: levels,
		}
	}
	var inside []pulumi.Resource
	for _, w := range inCallOrder() {
		inside = append(inside, p.services[w.name])
	}
	_, err = accesscontextmanager.NewServicePerimeter(p.ctx, "perimeter", args, parent,
		p.needs(apiAccessContext), pulumi.DependsOn(inside))
	return err
}

// id names the stack's perimeter; letters, digits and underscores only.
func (PerimeterConfig) id(stack string) string {
	return app + "_" + perimeterUnsafe.ReplaceAllString(stack, "_")
}
