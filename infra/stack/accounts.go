package stack

import (
	"fmt"
	"strings"

	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/projects"
	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/serviceaccount"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Accounts that no workload runs as.
const (
	gatewayAccount   = "api-gateway" // calls the public services
	tasksAccount     = "task-queues" // calls the workers
	schedulesAccount = "schedules"   // calls what runs by the clock
)

// registerAccounts makes one service account for each workload, and those of
// the three callers. Nobody has a key of any.
//
// No account may read images: Cloud Run pulls them as its own service agent,
// which Google grants that in the service's project.
func (p *program) registerAccounts() error {
	descriptions := map[string]string{
		gatewayAccount:   "API Gateway calls the public services as this account.",
		tasksAccount:     "Cloud Tasks calls the workers as this account.",
		schedulesAccount: "Cloud Scheduler calls the scheduled services as this account.",
	}
	for _, name := range append(names(), gatewayAccount, tasksAccount, schedulesAccount) {
		description := descriptions[name]
		if description == "" {
			description = "Identity of " + name + "."
		}
		account, err := serviceaccount.NewAccount(p.ctx, name, &serviceaccount.AccountArgs{
			Project:     pulumi.String(p.cfg.Project),
			AccountId:   pulumi.String(name),
			DisplayName: pulumi.String("Ingestion: " + name),
			Description: pulumi.String(description),
		}, p.needs(apiIAM))
		if err != nil {
			return err
		}
		p.accounts[name] = account
	}
	return p.registerActAs()
}

// registerActAs lets those who enqueue hand the tasks account to Cloud Tasks.
func (p *program) registerActAs() error {
	for i := range catalog {
		w := &catalog[i]
		if len(w.enqueues) == 0 {
			continue
		}
		grant, err := serviceaccount.NewIAMMember(p.ctx, w.name+"-acts-as-"+tasksAccount, &serviceaccount.IAMMemberArgs{
			ServiceAccountId: p.accounts[tasksAccount].Name,
			Role:             pulumi.String("roles/iam.serviceAccountUser"),
			Member:           p.member(w.name),
		}, p.needs(apiIAM))
		if err != nil {
			return err
		}
		p.holds(w.name, grant)
	}
	return nil
}

// registerProjectGrants grants what cannot be granted on a smaller thing than
// the project: APIs without resources of their own, and tenants' secrets,
// which come and go while the grants stay.
func (p *program) registerProjectGrants() error {
	for i := range catalog {
		w := &catalog[i]
		for _, role := range w.projectRoles {
			if err := p.grantOnProject(w, shortRole(role), role, nil); err != nil {
				return err
			}
		}
		for _, prefix := range w.secretPrefixes {
			name, condition := secretsOf(prefix)
			if err := p.grantOnProject(w, name, "roles/secretmanager.secretAccessor", condition); err != nil {
				return err
			}
		}
	}
	return nil
}

// secretsOf returns a name for the secrets of tenants that share a prefix, and
// the condition that restricts a grant to them.
func secretsOf(prefix string) (string, *projects.IAMMemberConditionArgs) {
	name := strings.TrimSuffix(prefix, "-") + "s"
	return name, &projects.IAMMemberConditionArgs{
		Title:       pulumi.String(name),
		Description: pulumi.String("Only secrets whose id begins with " + prefix),
		// extract takes what follows /secrets/ in the resource name, whose
		// first part is the project's number, not its id.
		Expression: pulumi.String(fmt.Sprintf(`resource.name.extract("/secrets/{id}").startsWith(%q)`, prefix)),
	}
}

func (p *program) grantOnProject(w *workload, what, role string, condition *projects.IAMMemberConditionArgs) error {
	args := &projects.IAMMemberArgs{
		Project: pulumi.String(p.cfg.Project),
		Role:    pulumi.String(role),
		Member:  p.member(w.name),
	}
	if condition != nil {
		args.Condition = condition
	}
	grant, err := projects.NewIAMMember(p.ctx, w.name+"-"+what, args, p.needs(apiResourceManager))
	if err != nil {
		return err
	}
	p.holds(w.name, grant)
	return nil
}

// member returns an account as IAM policies name it.
func (p *program) member(account string) pulumi.StringOutput {
	return pulumi.Sprintf("serviceAccount:%s", p.accounts[account].Email)
}

// holds notes a grant that the account's workload must not start without.
func (p *program) holds(account string, grant pulumi.Resource) {
	p.grants[account] = append(p.grants[account], grant)
}

// shortRole makes a role fit for a logical name: roles/speech.client becomes
// speech-client.
func shortRole(role string) string {
	return strings.ReplaceAll(strings.TrimPrefix(role, "roles/"), ".", "-")
}
