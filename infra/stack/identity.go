package stack

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/iam"
	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/projects"
	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/secretmanager"
	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/serviceaccount"
	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/storage"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// DeployerConfig says which GitHub Actions may plan and deploy this stack,
// without a key: GitHub signs a token for each job, and Google Cloud takes it
// for one of two service accounts (Workload Identity Federation).
type DeployerConfig struct {
	Repository   string `json:"repository"`   // owner/name, "" = no deployer
	RepositoryID string `json:"repositoryId"` // GitHub's number of it: a name can be given to another repository, a number cannot
	Branch       string `json:"branch"`       // only its workflows deploy
	Environment  string `json:"environment"`  // GitHub environment of the jobs that deploy; "" = the stack's name
	// PullRequests lets jobs of pull requests plan. A plan decrypts the
	// stack's secrets, and whoever may push a branch writes the job.
	PullRequests bool `json:"pullRequests"`
}

var (
	repositoryName = regexp.MustCompile(`^[A-Za-z0-9](-?[A-Za-z0-9]){0,38}/[A-Za-z0-9._-]{1,100}$`)
	repositoryID   = regexp.MustCompile(`^[1-9][0-9]{0,15}$`)
	branchName     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]{0,99}$`)
	environment    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)
)

func (c DeployerConfig) validate(errs *problems) {
	if c.Repository == "" {
		return
	}
	const path = "ingestion:deployer"
	// Each becomes text in a condition, where a quote would be more.
	for _, field := range []struct {
		name, value, form string
		rule              *regexp.Regexp
	}{
		{"repository", c.Repository, "owner/name on GitHub", repositoryName},
		{"repositoryId", c.RepositoryID, "the repository's number (gh api repos/OWNER/NAME --jq .id)", repositoryID},
		{"branch", c.Branch, "a branch", branchName},
		{"environment", c.Environment, "a GitHub environment", environment},
	} {
		if !field.rule.MatchString(field.value) {
			errs.add(path+"."+field.name, "must be %s, not %q", field.form, field.value)
		}
	}
}

// The accounts of CI.
const (
	plannerAccount  = "ci-planner"  // reads, for previews and the search for drift
	deployerAccount = "ci-deployer" // runs pulumi up
)

// access is what CI needs for resources of one module of the provider: roles to
// read them, and roles to make and change them.
type access struct{ plan, deploy []string }

// ciAccess lists it by module; CI gets the roles of the modules that a stack
// registers something of. Nothing here deletes data: Spanner and Cloud
// Storage, whose predefined roles do, have custom ones. What would let CI widen
// its own rights (its pool, custom roles, the organisation's policies) and what
// lies outside of the project (budgets) it may only read, or not even that;
// docs/infrastructure.md says who changes those.
var ciAccess = map[string]access{
	"apigateway":       {[]string{"roles/apigateway.viewer"}, []string{"roles/apigateway.admin"}},
	"artifactregistry": {[]string{"roles/artifactregistry.reader"}, []string{"roles/artifactregistry.admin"}},
	"billing":          {},
	"cloudrunv2":       {[]string{"roles/run.viewer"}, []string{"roles/run.admin"}},
	"cloudscheduler":   {[]string{"roles/cloudscheduler.viewer"}, []string{"roles/cloudscheduler.admin"}},
	"cloudtasks":       {[]string{"roles/cloudtasks.viewer"}, []string{"roles/cloudtasks.queueAdmin"}},
	"iam":              {[]string{"roles/iam.workloadIdentityPoolViewer"}, []string{"roles/iam.workloadIdentityPoolViewer"}},
	// Both administer; neither may encrypt or decrypt.
	"kms":     {[]string{"roles/cloudkms.viewer"}, []string{"roles/cloudkms.admin"}},
	"logging": {[]string{"roles/logging.viewer"}, []string{"roles/logging.configWriter"}},
	"projects": {
		[]string{"roles/serviceusage.serviceUsageViewer", "roles/iam.roleViewer", "roles/iam.securityReviewer"},
		[]string{"roles/serviceusage.serviceUsageAdmin", "roles/iam.roleViewer", "roles/iam.securityReviewer"},
	},
	"secretmanager": {[]string{"roles/secretmanager.viewer"}, []string{"roles/secretmanager.viewer"}}, // values by prefix, below
	// To administer every account of the project would be to become any of
	// them; the custom roles below are for the platform's own.
	"serviceaccount": {[]string{"roles/iam.serviceAccountViewer"}, []string{"roles/iam.serviceAccountViewer"}},
	"spanner":        {}, // custom, below
	"storage":        {}, // custom, below

	"accesscontextmanager": {}, // of the organisation
	"compute": {
		[]string{"roles/compute.viewer"},
		[]string{"roles/compute.loadBalancerAdmin", "roles/compute.networkAdmin", "roles/compute.securityAdmin"},
	},
	"dns":               {[]string{"roles/dns.reader"}, []string{"roles/dns.admin"}},
	"essentialcontacts": {[]string{"roles/documentai.viewer"}, []string{"roles/documentai.editor"}}, // where the provider has Document AI
	"monitoring":        {[]string{"roles/monitoring.viewer"}, []string{"roles/monitoring.editor"}},
	"orgpolicy":         {}, // of the organisation
}

// Permissions of the custom roles. Predefined ones would read every row and
// recording, or drop the database.
var (
	plannerPermissions = []string{
		"spanner.databases.get", "spanner.databases.getDdl", "spanner.databases.getIamPolicy", "spanner.databases.list",
		"spanner.instances.get", "spanner.instances.getIamPolicy", "spanner.instances.list",
		"storage.buckets.get", "storage.buckets.getIamPolicy", "storage.buckets.list",
	}
	deployerPermissions = append([]string{
		"iam.serviceAccounts.create", "iam.serviceAccounts.update",
		"resourcemanager.projects.get",
		"secretmanager.secrets.create", "secretmanager.secrets.setIamPolicy", "secretmanager.secrets.update",
		"secretmanager.versions.add", "secretmanager.versions.destroy", "secretmanager.versions.disable", "secretmanager.versions.enable",
		"spanner.databaseOperations.get", "spanner.databases.create", "spanner.databases.setIamPolicy",
		"spanner.databases.update", "spanner.databases.updateDdl",
		"spanner.instanceOperations.get", "spanner.instances.create", "spanner.instances.setIamPolicy", "spanner.instances.update",
		"storage.buckets.create", "storage.buckets.setIamPolicy", "storage.buckets.update",
	}, plannerPermissions...)
	// accountPermissions are held on each of the platform's accounts.
	accountPermissions = []string{"iam.serviceAccounts.actAs", "iam.serviceAccounts.get", "iam.serviceAccounts.getIamPolicy", "iam.serviceAccounts.setIamPolicy"}
)

// noteModules watches which modules of the provider the program registers
// resources of.
func (p *program) noteModules() error {
	return p.ctx.RegisterStackTransformation(func(args *pulumi.ResourceTransformationArgs) *pulumi.ResourceTransformationResult {
		if name, ok := strings.CutPrefix(args.Type, "gcp:"); ok {
			module, _, _ := strings.Cut(name, "/")
			p.modules[module] = true
		}
		return nil
	})
}

// registerDeployer makes the identities of CI: a pool that trusts GitHub's
// tokens of one repository, and two accounts with what this program needs.
//
// The pool has two providers, because what a token is worth is decided there:
// that of the deployer takes only tokens of the branch and the environment,
// and only it maps the attribute that the deployer's account asks for.
func (p *program) registerDeployer() error {
	c := p.cfg.Deployer
	if c.Repository == "" {
		return nil
	}
	child, err := p.component("deployer", "deployer")
	if err != nil {
		return err
	}
	pool, err := iam.NewWorkloadIdentityPool(p.ctx, "github", &iam.WorkloadIdentityPoolArgs{
		Project:                pulumi.String(p.cfg.Project),
		WorkloadIdentityPoolId: pulumi.String(app + "-github"),
		DisplayName:            pulumi.String("Ingestion: GitHub"),
		Description:            pulumi.String("Workflows of " + c.Repository + "."),
	}, child, p.needs(apiIAM, apiTokens))
	if err != nil {
		return err
	}
	planRoles, deployRoles, err := ciRoles(slices.Sorted(maps.Keys(p.modules)))
	if err != nil {
		return err
	}
	for _, ci := range []struct {
		account, provider, condition string
		roles                        []string
		permissions                  []string
	}{
		{plannerAccount, "plan", c.planCondition(), planRoles, plannerPermissions},
		{deployerAccount, "deploy", c.deployCondition(), deployRoles, deployerPermissions},
	} {
		if _, err := iam.NewWorkloadIdentityPoolProvider(p.ctx, ci.provider, &iam.WorkloadIdentityPoolProviderArgs{
			Project:                        pulumi.String(p.cfg.Project),
			WorkloadIdentityPoolId:         pool.WorkloadIdentityPoolId,
			WorkloadIdentityPoolProviderId: pulumi.String(ci.provider),
			DisplayName:                    pulumi.String("GitHub: " + ci.provider),
			AttributeCondition:             pulumi.String(ci.condition),
			AttributeMapping: pulumi.StringMap{
				"google.subject":           pulumi.String("assertion.sub"),
				"attribute." + ci.provider: pulumi.String("assertion.repository"),
			},
			Oidc: &iam.WorkloadIdentityPoolProviderOidcArgs{IssuerUri: pulumi.String(githubIssuer)},
		}, child); err != nil {
			return err
		}
		if err := p.registerCI(ci.account, ci.provider, pool, ci.roles, ci.permissions, child); err != nil {
			return err
		}
	}
	return p.registerDeployerGrants(child)
}

// githubIssuer signs the tokens of GitHub Actions.
// https://docs.github.com/en/actions/concepts/security/openid-connect
const githubIssuer = "https://token.actions.githubusercontent.com"

// planCondition is what a token must say for its job to plan. Tokens of forks'
// pull requests do not exist: GitHub gives those jobs none.
func (c DeployerConfig) planCondition() string {
	on := fmt.Sprintf(`assertion.ref == "refs/heads/%s" && assertion.event_name in ["push", "schedule", "workflow_dispatch"]`, c.Branch)
	if c.PullRequests {
		on = fmt.Sprintf(`(%s || assertion.event_name == "pull_request")`, on)
	}
	return c.ours() + " && " + on
}

// deployCondition is what a token must say for its job to deploy: that it runs
// on the branch, in the environment, and not for a pull request, whose text is
// anybody's (pull_request_target runs on the branch too).
func (c DeployerConfig) deployCondition() string {
	return fmt.Sprintf(`%s && assertion.ref == "refs/heads/%s" && assertion.event_name in ["push", "workflow_dispatch"] && assertion.environment == %q`,
		c.ours(), c.Branch, c.Environment)
}

func (c DeployerConfig) ours() string {
	return fmt.Sprintf(`assertion.repository == %q && assertion.repository_id == %q`, c.Repository, c.RepositoryID)
}

// ciRoles collects the roles for some modules, in order. It fails for a module
// whose access nobody has decided yet.
func ciRoles(modules []string) (plan, deploy []string, err error) {
	for _, module := range modules {
		a, ok := ciAccess[module]
		if !ok {
			return nil, nil, fmt.Errorf("what CI may do with resources of gcp:%s is not said; add it to ciAccess in infra/stack/identity.go", module)
		}
		plan, deploy = append(plan, a.plan...), append(deploy, a.deploy...)
	}
	slices.Sort(plan)
	slices.Sort(deploy)
	return slices.Compact(plan), slices.Compact(deploy), nil
}

// registerCI makes one account of CI with its roles on the project, and lets
// the provider's tokens act as it.
func (p *program) registerCI(name, provider string, pool *iam.WorkloadIdentityPool, roles, permissions []string, child pulumi.ResourceOption) error {
	account, err := serviceaccount.NewAccount(p.ctx, name, &serviceaccount.AccountArgs{
		Project:     pulumi.String(p.cfg.Project),
		AccountId:   pulumi.String(name),
		DisplayName: pulumi.String("Ingestion: " + name),
		Description: pulumi.String("GitHub Actions of " + p.cfg.Deployer.Repository + " act as this account."),
	}, child, p.needs(apiIAM))
	if err != nil {
		return err
	}
	p.accounts[name] = account
	if _, err := serviceaccount.NewIAMMember(p.ctx, "github-acts-as-"+name, &serviceaccount.IAMMemberArgs{
		ServiceAccountId: account.Name,
		Role:             pulumi.String("roles/iam.workloadIdentityUser"),
		Member:           pulumi.Sprintf("principalSet://iam.googleapis.com/%s/attribute.%s/%s", pool.Name, provider, p.cfg.Deployer.Repository),
	}, child, p.needs(apiCredentials)); err != nil {
		return err
	}
	role, err := p.customRole(name, "Secrets, Spanner and Cloud Storage without their data, which the predefined roles include.", permissions, child)
	if err != nil {
		return err
	}
	grants := map[string]pulumi.StringInput{"custom": role.Name}
	for _, r := range roles {
		grants[shortRole(r)] = pulumi.String(r)
	}
	for _, what := range slices.Sorted(maps.Keys(grants)) {
		if _, err := projects.NewIAMMember(p.ctx, name+"-"+what, &projects.IAMMemberArgs{
			Project: pulumi.String(p.cfg.Project),
			Role:    grants[what],
			Member:  p.member(name),
		}, child, p.needs(apiResourceManager)); err != nil {
			return err
		}
	}
	return nil
}

// customRole makes a role of the project.
func (p *program) customRole(name, description string, permissions []string, child pulumi.ResourceOption) (*projects.IAMCustomRole, error) {
	return projects.NewIAMCustomRole(p.ctx, name, &projects.IAMCustomRoleArgs{
		Project:     pulumi.String(p.cfg.Project),
		RoleId:      pulumi.String(strings.ReplaceAll(app+"."+name, "-", "_")),
		Title:       pulumi.String("Ingestion: " + name),
		Description: pulumi.String(description),
		Permissions: pulumi.ToStringArray(slices.Sorted(slices.Values(permissions))),
	}, child, p.needs(apiIAM, apiResourceManager))
}

// registerDeployerGrants grants the deployer what is less than a role on the
// project: to hand the platform's accounts to what runs as them, to write the
// tenant manifest, and to grant the roles that the program grants, no other.
func (p *program) registerDeployerGrants(child pulumi.ResourceOption) error {
	// A smoke test calls a service as the deployer, with a token of its own.
	if _, err := serviceaccount.NewIAMMember(p.ctx, deployerAccount+"-own-tokens", &serviceaccount.IAMMemberArgs{
		ServiceAccountId: p.accounts[deployerAccount].Name,
		Role:             pulumi.String("roles/iam.serviceAccountOpenIdTokenCreator"),
		Member:           p.member(deployerAccount),
	}, child, p.needs(apiCredentials)); err != nil {
		return err
	}
	role, err := p.customRole("ci-accounts", "To run workloads as an account, and to say who else may.", accountPermissions, child)
	if err != nil {
		return err
	}
	for _, name := range append(names(), gatewayAccount, tasksAccount, schedulesAccount) {
		if _, err := serviceaccount.NewIAMMember(p.ctx, deployerAccount+"-acts-as-"+name, &serviceaccount.IAMMemberArgs{
			ServiceAccountId: p.accounts[name].Name,
			Role:             role.Name,
			Member:           p.member(deployerAccount),
		}, child, p.needs(apiIAM)); err != nil {
			return err
		}
	}
	for account, role := range map[string]string{plannerAccount: "roles/storage.objectViewer", deployerAccount: "roles/storage.objectUser"} {
		if _, err := storage.NewBucketIAMMember(p.ctx, account+"-config", &storage.BucketIAMMemberArgs{
			Bucket: p.manifest.Bucket,
			Role:   pulumi.String(role),
			Member: p.member(account),
		}, child); err != nil {
			return err
		}
		if err := p.grantSecrets(account, child); err != nil {
			return err
		}
	}
	_, err = projects.NewIAMMember(p.ctx, deployerAccount+"-grants", &projects.IAMMemberArgs{
		Project: pulumi.String(p.cfg.Project),
		Role:    pulumi.String("roles/resourcemanager.projectIamAdmin"),
		Member:  p.member(deployerAccount),
		Condition: &projects.IAMMemberConditionArgs{
			Title:       pulumi.String("workload-roles"),
			Description: pulumi.String("Only the roles that workloads hold on the project"),
			Expression:  pulumi.String(grantCondition(workloadRoles())),
		},
	}, child, p.needs(apiResourceManager))
	return err
}

// grantSecrets lets an account of CI read the values of the platform's secrets:
// a refresh compares them. It learns nothing that the stack's config, which it
// decrypts, does not hold.
func (p *program) grantSecrets(account string, child pulumi.ResourceOption) error {
	const role = "roles/secretmanager.secretAccessor"
	seen := map[string]bool{}
	for _, w := range catalog {
		for _, prefix := range w.secretPrefixes {
			name, condition := secretsOf(prefix)
			if seen[name] {
				continue
			}
			seen[name] = true
			if _, err := projects.NewIAMMember(p.ctx, account+"-"+name, &projects.IAMMemberArgs{
				Project:   pulumi.String(p.cfg.Project),
				Role:      pulumi.String(role),
				Member:    p.member(account),
				Condition: condition,
			}, child, p.needs(apiResourceManager)); err != nil {
				return err
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(p.secrets)) {
		if _, err := secretmanager.NewSecretIamMember(p.ctx, account+"-reads-"+id, &secretmanager.SecretIamMemberArgs{
			Project:  pulumi.String(p.cfg.Project),
			SecretId: p.secrets[id].SecretId,
			Role:     pulumi.String(role),
			Member:   p.member(account),
		}, child); err != nil {
			return err
		}
	}
	return nil
}

// workloadRoles are those that the catalogue's workloads hold on the project.
func workloadRoles() []string {
	roles := []string{"roles/secretmanager.secretAccessor"}
	for _, w := range catalog {
		roles = append(roles, w.projectRoles...)
	}
	slices.Sort(roles)
	return slices.Compact(roles)
}

// grantCondition holds for changes of the project's policy that grant or revoke
// these roles only. So the deployer cannot make itself, or anybody, more.
// https://cloud.google.com/iam/docs/setting-limits-on-granting-roles
func grantCondition(roles []string) string {
	var quoted []string
	for _, role := range roles {
		quoted = append(quoted, "'"+role+"'")
	}
	return "api.getAttribute('iam.googleapis.com/modifiedGrantsByRole', []).hasOnly([" + strings.Join(quoted, ", ") + "])"
}
