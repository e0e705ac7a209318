package stack

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"ingestion.internal/infra/typefacts"
	"ingestion.internal/shared/topology"
)

// The tests of this file are the platform's policies. Each walks everything
// that every variant registers, so that a new family of resources meets them on
// its first day.

// policy holds every variant against a rule, which reports through broken.
func policy(t *testing.T, rule func(o outcome, s *settings, broken func(format string, args ...any))) {
	t.Helper()
	for name, s := range variants(t) {
		t.Run(name, func(t *testing.T) {
			rule(mustRun(t, s), s, func(format string, args ...any) {
				t.Helper()
				t.Errorf(format, args...)
			})
		})
	}
}

// strings calls f with each text in a resource's inputs and its path.
func eachText(r registered, f func(path, text string)) {
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for key, item := range v {
				walk(strings.TrimPrefix(path+"."+key, "."), item)
			}
		case []any:
			for _, item := range v {
				walk(path, item)
			}
		case string:
			f(path, v)
		}
	}
	walk("", plain(resource.NewObjectProperty(r.Inputs)))
}

// open are the grants that are meant to be everybody's. The gateway needs none:
// it calls the services as an account of its own. The chat's answers stream,
// which the gateway does not, so browsers reach that one service themselves.
var open = map[string]string{"gcp:cloudrunv2/serviceIamMember:ServiceIamMember": topology.ChatAPI}

// TestNothingElseIsPublic: no other grant is everybody's.
func TestNothingElseIsPublic(t *testing.T) {
	policy(t, func(o outcome, _ *settings, broken func(string, ...any)) {
		for _, r := range o.resources {
			meant := open[r.Type] != "" && field(r, "name") == open[r.Type] && field(r, "role") == "roles/run.invoker"
			eachText(r, func(path, text string) {
				if text == "allUsers" && !meant || text == "allAuthenticatedUsers" {
					broken("%s: %s is %s", r.key(), path, text)
				}
			})
		}
		buckets := o.only("gcp:storage/bucket:Bucket")
		for _, r := range buckets {
			if field(r, "publicAccessPrevention") != "enforced" || field(r, "uniformBucketLevelAccess") != true {
				broken("%s can be made public by a grant or by an object's own list", r.key())
			}
		}
		if len(buckets) == 0 {
			broken("no bucket")
		}
	})
}

// TestGrantsAreNarrow: no primitive role, which reaches everything in the
// project; nothing that takes others' grants away; no key of an account, which
// would be a password in the state.
func TestGrantsAreNarrow(t *testing.T) {
	primitive := []string{"roles/owner", "roles/editor", "roles/viewer", "roles/browser"}
	authoritative := regexp.MustCompile(`I[aA][mM](Policy|Binding)$`)
	policy(t, func(o outcome, _ *settings, broken func(string, ...any)) {
		grants := 0
		for _, r := range o.resources {
			role, _ := field(r, "role").(string)
			if role != "" {
				grants++
			}
			if slices.Contains(primitive, role) {
				broken("%s grants %s; name the roles that are needed", r.key(), role)
			}
			if authoritative.MatchString(r.Type) {
				broken("%s takes the place of all grants of others; use a member", r.key())
			}
			if r.Type == "gcp:serviceaccount/key:Key" {
				broken("%s: accounts have no keys; what runs elsewhere federates its identity", r.key())
			}
		}
		if grants < 10 {
			broken("only %d grants found", grants)
		}
	})
}

// roles are the predefined roles that the platform grants, each with what for.
// They are Google's: https://cloud.google.com/iam/docs/roles-permissions. One
// that is not here is either misspelt or new, and then to be thought about.
var roles = map[string]string{
	"roles/aiplatform.user":                      "models have no resource to grant on",
	"roles/cloudkms.cryptoKeyEncrypterDecrypter": "service agents use keys",
	"roles/cloudtasks.enqueuer":                  "on one queue",
	"roles/iam.serviceAccountUser":               "who enqueues hands the tasks' account on",
	"roles/run.invoker":                          "on one service",
	"roles/secretmanager.secretAccessor":         "on one secret, or by prefix",
	"roles/spanner.backupWriter":                 "on the instance, to make and list backups, and not to delete them",
	"roles/spanner.databaseRoleUser":             "on one role in the database",
	"roles/spanner.fineGrainedAccessUser":        "on the database, where it gives nothing but what a role in it has",
	"roles/documentai.apiUser":                   "one processor a stack, and provider 7 has no grant on it",
	"roles/speech.client":                        "recognisers have no resource to grant on",
	"roles/storage.objectCreator":                "on one bucket",
	"roles/storage.objectViewer":                 "on one bucket",
}

// deployerRoles are those of the identities of continuous integration, which
// look at everything or change it: what for is said where they are granted.
var deployerRoles = []string{
	"roles/apigateway.admin", "roles/apigateway.viewer", "roles/artifactregistry.admin", "roles/artifactregistry.reader",
	"roles/cloudkms.admin", "roles/cloudkms.viewer", "roles/cloudscheduler.admin", "roles/cloudscheduler.viewer",
	"roles/cloudtasks.queueAdmin", "roles/cloudtasks.viewer", "roles/compute.loadBalancerAdmin", "roles/compute.networkAdmin",
	"roles/compute.securityAdmin", "roles/compute.viewer", "roles/dns.admin", "roles/dns.reader",
	"roles/documentai.editor", "roles/documentai.viewer", "roles/iam.roleViewer", "roles/iam.serviceAccountOpenIdTokenCreator",
	"roles/iam.securityReviewer", "roles/iam.serviceAccountViewer", "roles/iam.workloadIdentityPoolViewer", "roles/iam.workloadIdentityUser",
	"roles/logging.configWriter", "roles/logging.viewer", "roles/monitoring.editor", "roles/monitoring.viewer",
	"roles/resourcemanager.projectIamAdmin", "roles/run.admin", "roles/run.viewer",
	"roles/secretmanager.viewer", "roles/serviceusage.serviceUsageAdmin", "roles/serviceusage.serviceUsageViewer", "roles/storage.objectUser",
}

// ciAccounts are the accounts of those identities.
var ciAccounts = regexp.MustCompile(`^serviceAccount:ci-|^principal`)

func TestRolesExist(t *testing.T) {
	custom := regexp.MustCompile(`^projects/[^/]+/roles/[a-zA-Z0-9_.]{3,64}$`)
	granted := map[string]bool{}
	policy(t, func(o outcome, _ *settings, broken func(string, ...any)) {
		for _, r := range o.resources {
			role, ok := field(r, "role").(string)
			if !ok || custom.MatchString(role) {
				continue
			}
			if member, _ := field(r, "member").(string); ciAccounts.MatchString(member) && slices.Contains(deployerRoles, role) {
				continue
			}
			granted[role] = true
			if roles[role] == "" {
				broken("%s grants %s; if Google has such a role, say in roles what it is for", r.key(), role)
			}
		}
	})
	for role := range roles {
		if !granted[role] {
			t.Errorf("%s is granted nowhere", role)
		}
	}
}

// formats are the names and ids that the APIs accept, by type and property.
// The pages are those of each API's create method.
var formats = map[string]string{
	"gcp:apigateway/api:Api apiId":                                             `[a-z]([a-z0-9-]{0,61}[a-z0-9])?`,
	"gcp:apigateway/apiConfig:ApiConfig apiConfigId":                           `[a-z]([a-z0-9-]{0,61}[a-z0-9])?`,
	"gcp:apigateway/gateway:Gateway gatewayId":                                 `[a-z]([a-z0-9-]{0,47}[a-z0-9])?`,
	"gcp:artifactregistry/repository:Repository repositoryId":                  `[a-z]([a-z0-9-]{0,61}[a-z0-9])?`,
	"gcp:cloudrunv2/job:Job name":                                              `[a-z]([a-z0-9-]{0,47}[a-z0-9])?`,
	"gcp:cloudrunv2/service:Service name":                                      `[a-z]([a-z0-9-]{0,47}[a-z0-9])?`,
	"gcp:cloudscheduler/job:Job name":                                          `[A-Za-z0-9_-]{1,500}`,
	"gcp:cloudtasks/queue:Queue name":                                          `[A-Za-z0-9-]{1,100}`,
	"gcp:iam/workloadIdentityPool:WorkloadIdentityPool workloadIdentityPoolId": `[a-z0-9-]{4,32}`,
	"gcp:kms/cryptoKey:CryptoKey name":                                         `[A-Za-z0-9_-]{1,63}`,
	"gcp:kms/keyRing:KeyRing name":                                             `[A-Za-z0-9_-]{1,63}`,
	"gcp:logging/metric:Metric name":                                           `[A-Za-z0-9_.,+!*',()%/-]{1,100}`,
	"gcp:logging/projectSink:ProjectSink name":                                 `[A-Za-z0-9_.-]{1,100}`,
	"gcp:projects/iAMCustomRole:IAMCustomRole roleId":                          `[A-Za-z0-9_.]{3,64}`,
	"gcp:secretmanager/secret:Secret secretId":                                 `[A-Za-z0-9_-]{1,255}`,
	"gcp:serviceaccount/account:Account accountId":                             `[a-z][a-z0-9-]{4,28}[a-z0-9]`,
	"gcp:spanner/database:Database name":                                       `[a-z][a-z0-9_-]{0,28}[a-z0-9]`,
	"gcp:spanner/instance:Instance name":                                       `[a-z][a-z0-9-]{0,62}[a-z0-9]`,
	"gcp:storage/bucket:Bucket name":                                           `[a-z0-9][a-z0-9_.-]{1,61}[a-z0-9]`,
}

// TestNames: names that no config chooses are right too. Everything in Compute
// Engine follows one rule, https://cloud.google.com/compute/docs/naming-resources.
func TestNames(t *testing.T) {
	policy(t, func(o outcome, _ *settings, broken func(string, ...any)) {
		checked := 0
		for _, r := range o.resources {
			for _, property := range []string{"name", "accountId", "secretId", "apiId", "apiConfigId", "gatewayId", "repositoryId", "roleId", "workloadIdentityPoolId"} {
				format := formats[r.Type+" "+property]
				if strings.HasPrefix(r.Type, "gcp:compute/") && property == "name" {
					format = `[a-z]([a-z0-9-]{0,61}[a-z0-9])?`
				}
				value, ok := field(r, property).(string)
				if format == "" || !ok {
					continue
				}
				checked++
				if !regexp.MustCompile("^" + format + "$").MatchString(value) {
					broken("%s: %s is %q, want %s", r.key(), property, value, format)
				}
			}
		}
		if checked < 30 {
			broken("only %d names found", checked)
		}
	})
}

// TestWorkloadsHaveTheirOwnAccount: what one may, another may not; and a
// service takes requests from nowhere else, and not before it is ready.
func TestWorkloadsHaveTheirOwnAccount(t *testing.T) {
	policy(t, func(o outcome, _ *settings, broken func(string, ...any)) {
		accounts := map[any]bool{}
		for _, r := range o.only("gcp:serviceaccount/account:Account") {
			accounts[fmt.Sprintf("%v@%v.iam.gserviceaccount.com", field(r, "accountId"), field(r, "project"))] = true
		}
		users := map[any]string{}
		uses := func(r registered, path string) {
			account := field(r, path)
			switch {
			case !accounts[account]:
				broken("%s runs as %v, which is no account of the stack", r.key(), account)
			case users[account] != "":
				broken("%s runs as %v, like %s", r.key(), account, users[account])
			}
			users[account] = r.key()
		}
		for _, r := range o.only("gcp:cloudrunv2/job:Job") {
			uses(r, "template.template.serviceAccount")
		}
		services := o.only("gcp:cloudrunv2/service:Service")
		for _, r := range services {
			uses(r, "template.serviceAccount")
			ingress := []any{"INGRESS_TRAFFIC_INTERNAL_ONLY"}
			if w := find(r.Name); w.public || w.direct {
				ingress = []any{"INGRESS_TRAFFIC_ALL", "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"}
			}
			if got := field(r, "ingress"); !slices.Contains(ingress, got) {
				broken("%s has the ingress %v, want one of %v", r.key(), got, ingress)
			}
			for _, probe := range []string{"startupProbe", "livenessProbe"} {
				if path, _ := field(r, "template.containers."+probe+".httpGet.path").(string); path == "" {
					broken("%s has no %s", r.key(), probe)
				}
			}
		}
		if len(services) < 6 {
			broken("only %d services", len(services))
		}
	})
}

// readers are the accounts that may read a secret, by its id, or by the prefix
// of tenants' ones. A new secret is added here with who is meant to read it.
var readers = map[string][]string{
	topology.WebhookSecret:     {topology.WebhookProcessor},
	topology.SigningKeyPrefix:  {topology.WebhookProcessor},
	topology.APIKeyPrefix:      {topology.AudioProcessor},
	topology.IntegrationPrefix: {topology.Dispatcher},
	topology.FormKeyPrefix:     {topology.IntakeAPI},
}

// TestSecretsHaveTheirReadersOnly: every secret has a reader, and no other than
// those meant.
func TestSecretsHaveTheirReadersOnly(t *testing.T) {
	prefix := regexp.MustCompile(`^resource\.name\.extract\("/secrets/\{id\}"\)\.startsWith\("([a-z-]+-)"\)$`)
	wide := []string{"roles/secretmanager.secretAccessor", "roles/secretmanager.admin", "roles/secretmanager.secretVersionManager"}
	policy(t, func(o outcome, s *settings, broken func(string, ...any)) {
		got := map[string][]string{}
		note := func(of string, r registered) {
			account, domain, _ := strings.Cut(strings.TrimPrefix(field(r, "member").(string), "serviceAccount:"), "@")
			if want := s.values["gcp:project"] + ".iam.gserviceaccount.com"; domain != want {
				broken("%s is for an account of %s", r.key(), domain)
			}
			// CI compares values, and has them from the stack's config anyway.
			if account != plannerAccount && account != deployerAccount {
				got[of] = append(got[of], account)
			}
		}
		for _, r := range o.resources {
			role, _ := field(r, "role").(string)
			if !slices.Contains(wide, role) {
				continue
			}
			switch r.Type {
			case "gcp:secretmanager/secretIamMember:SecretIamMember":
				note(field(r, "secretId").(string), r)
			default:
				expression, _ := field(r, "condition.expression").(string)
				m := prefix.FindStringSubmatch(expression)
				if m == nil {
					broken("%s grants secrets of the whole project: %q", r.key(), expression)
					continue
				}
				note(m[1], r)
			}
		}
		if diff := cmp.Diff(readers, got); diff != "" {
			broken("readers (-meant +granted):\n%s", diff)
		}
		for _, r := range o.only("gcp:secretmanager/secret:Secret") {
			id := field(r, "secretId").(string)
			if !slices.ContainsFunc(slices.Collect(maps.Keys(got)), func(of string) bool {
				return of == id || strings.HasSuffix(of, "-") && strings.HasPrefix(id, of)
			}) {
				broken("nobody can read %s", id)
			}
		}
	})
}

const channelType = "gcp:monitoring/notificationChannel:NotificationChannel"

// unlabelled are resources that bear no labels though their type has some, with
// the reason.
var unlabelled = map[string]string{}

// TestLabels: whatever can bear labels says of which app, stack and component
// it is, and of which tenant where it is one's, so that cost can be told apart.
func TestLabels(t *testing.T) {
	facts, err := typefacts.Load()
	if err != nil {
		t.Fatal(err)
	}
	policy(t, func(o outcome, s *settings, broken func(string, ...any)) {
		labelled := 0
		for _, r := range o.resources {
			// labels of most types; monitoring has userLabels.
			for _, property := range []string{"labels", "userLabels"} {
				if facts.Resources[r.Type][property].Type != "{}string" || unlabelled[r.key()] != "" {
					continue
				}
				if r.Type == channelType && property == "labels" {
					continue // its address; userLabels are its labels
				}
				labelled++
				labels, _ := field(r, property).(map[string]any)
				if labels["app"] != app || labels["stack"] != s.stack || labels["component"] == nil {
					broken("%s: %s are %v; want app, stack and component", r.key(), property, labels)
				}
				if id, ok := strings.CutPrefix(r.Parent, "ingestion:tenant:Tenant "); ok && labels["tenant"] != id {
					broken("%s: %s are %v; want the tenant %s", r.key(), property, labels, id)
				}
			}
		}
		if labelled < 10 {
			broken("only %d resources with labels", labelled)
		}
	})
}

// elsewhere are types that are not in the stack's region, with the reason.
var elsewhere = map[string]string{
	"gcp:essentialcontacts/documentAiProcessor:DocumentAiProcessor": "Document AI is in groups of regions; the config says which",
}

// TestEverythingIsInItsRegion: data stays where the config says.
func TestEverythingIsInItsRegion(t *testing.T) {
	policy(t, func(o outcome, s *settings, broken func(string, ...any)) {
		region := s.values["gcp:region"]
		placed := 0
		for _, r := range o.resources {
			if elsewhere[r.Type] != "" {
				continue
			}
			eachText(r, func(path, text string) {
				switch path[strings.LastIndexByte(path, '.')+1:] {
				case "location", "region", "locations", "regions":
					placed++
					if text != "global" && !strings.EqualFold(text, region) {
						broken("%s: %s is %s, want %s", r.key(), path, text, region)
					}
				}
			})
		}
		if placed < 20 {
			broken("only %d places found", placed)
		}
	})
}

// apiOf is the API that makes a resource, by its type's module, or by its type
// where modules do not tell.
var apiOf = map[string]string{
	"accesscontextmanager": apiAccessContext,
	"apigateway":           apiGateway,
	"artifactregistry":     apiArtifacts,
	"billing":              apiBudgets,
	"compute":              apiCompute,
	"dns":                  apiDNS,
	"essentialcontacts":    apiDocuments, // where provider 7 has Document AI
	"cloudrunv2":           apiRun,
	"cloudscheduler":       apiScheduler,
	"cloudtasks":           apiTasks,
	"kms":                  apiKMS,
	"logging":              apiLogging,
	"monitoring":           apiMonitoring,
	"projects":             apiResourceManager,
	"secretmanager":        apiSecrets,
	"serviceaccount":       apiIAM,
	"spanner":              apiSpanner,
	"storage":              apiStorage,
	"iam":                  apiIAM,
	"orgpolicy":            apiOrgPolicy,

	"gcp:projects/iAMCustomRole:IAMCustomRole": apiIAM,
}

// TestAPIsComeFirst follows every resource's dependencies to the API that
// makes it.
func TestAPIsComeFirst(t *testing.T) {
	policy(t, func(o outcome, _ *settings, broken func(string, ...any)) {
		all := map[string]registered{}
		for _, r := range o.resources {
			all[r.key()] = r
		}
		var reaches func(from registered, key string) bool
		reaches = func(from registered, key string) bool {
			return slices.ContainsFunc(from.DependsOn, func(d string) bool { return d == key || reaches(all[d], key) })
		}
		for _, r := range o.resources {
			if r.Type == "gcp:projects/service:Service" || !isCloud(r.Type) {
				continue
			}
			module, _, _ := strings.Cut(strings.TrimPrefix(r.Type, "gcp:"), "/")
			api := apiOf[module]
			if a := apiOf[r.Type]; a != "" {
				api = a
			}
			if r.Type == "gcp:projects/serviceIdentity:ServiceIdentity" {
				api = field(r, "service").(string) // Service Usage makes it, once the service is enabled
			}
			if api == "" {
				broken("%s: no API is known for it; name it in apiOf", r.key())
				continue
			}
			if !reaches(r, "gcp:projects/service:Service api-"+strings.TrimSuffix(api, ".googleapis.com")) {
				broken("%s does not wait for %s", r.key(), api)
			}
		}
	})
}

// TestSecretValuesAreInSecretDataOnly: the value of a secret is the data of its
// version, or what a channel authenticates with, marked as secret, and nowhere
// else.
func TestSecretValuesAreInSecretDataOnly(t *testing.T) {
	policy(t, func(o outcome, _ *settings, broken func(string, ...any)) {
		versions := 0
		for _, r := range o.resources {
			if r.Type == "gcp:secretmanager/secretVersion:SecretVersion" {
				versions++
				data := r.Inputs["secretData"]
				if !data.IsSecret() {
					broken("%s: secretData is not marked as secret", r.key())
				} else if v := data.SecretValue().Element; !v.IsString() || !strings.Contains(v.StringValue(), sample) {
					broken("%s: secretData is not the configured value", r.key())
				}
			}
			inputs := r.Inputs.Copy()
			delete(inputs, "secretData")
			if r.Type == channelType && inputs["sensitiveLabels"].ContainsSecrets() {
				delete(inputs, "sensitiveLabels")
			}
			// Marking a leak as secret would not mend it.
			if text := fmt.Sprint(plain(resource.NewObjectProperty(inputs))); strings.Contains(text, sample) {
				broken("%s holds a secret: %s", r.key(), text)
			}
		}
		if want := len(o.only("gcp:secretmanager/secret:Secret")); versions != want || versions == 0 {
			broken("%d secret versions, want %d", versions, want)
		}
	})
}

// mostPerTenant is what one tenant may cost in resources of the project: three
// secrets with a version each, and one more of a tenant whose server signs forms.
// Quotas, and the time of an update, bound the number of tenants by it. The
// tenant's component is no resource of the cloud.
const (
	mostPerTenant = 6
	ofFormKeys    = 2
)

func TestTenantsAreSmall(t *testing.T) {
	tenants := 0
	policy(t, func(o outcome, _ *settings, broken func(string, ...any)) {
		count := map[string]int{}
		for _, r := range o.resources {
			if strings.HasPrefix(r.key(), "ingestion:tenant:Tenant ") {
				tenants++
			}
			if strings.HasPrefix(r.Parent, "ingestion:tenant:Tenant ") {
				count[r.Parent]++
				if r.Type == "gcp:secretmanager/secret:Secret" && strings.HasPrefix(r.Name, topology.FormKeyPrefix) {
					count[r.Parent] -= ofFormKeys
				}
			}
		}
		for tenant, n := range count {
			if n > mostPerTenant {
				broken("%s has %d resources, more than %d", tenant, n, mostPerTenant)
			}
		}
	})
	if tenants < 3 {
		t.Errorf("only %d tenants in the variants", tenants)
	}
}
