package stack

import (
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gopkg.in/yaml.v3"

	"ingestion.internal/ddl"
	"ingestion.internal/shared/integrations"
	"ingestion.internal/shared/tenant"
	"ingestion.internal/shared/topology"
	"ingestion.internal/shared/workflow"
)

var update = flag.Bool("update", false, "write the golden files anew")

var stacks = []string{"dev", "local", "prod"}

// deployable is a stack's config with what its users add by hand.
func deployable(t *testing.T, stack string) *settings {
	t.Helper()
	s := settingsOf(t, stack)
	if _, ok := s.values["ingestion:callrailWebhookSecret"]; !ok {
		s.setSecret("ingestion:callrailWebhookSecret", "")
	}
	return s
}

// TestInventory compares what each variant registers with its golden file.
// Types, logical names and parents make a resource's URN: they are a contract
// with every state that exists.
func TestInventory(t *testing.T) {
	for name, s := range variants(t) {
		t.Run(name, func(t *testing.T) {
			got := inventory(mustRun(t, s))
			file := filepath.Join("testdata", name+".txt")
			if before, err := os.ReadFile(file); err == nil {
				for _, key := range gone(string(before), got) {
					t.Errorf("%s has %q, and the program does not register it any more: the next update deletes it. "+
						"If it only has another name, type or parent now, keep it with pulumi.Aliases "+
						"(https://www.pulumi.com/docs/iac/concepts/resources/options/aliases/); if it shall go, run with -update and say so in the commit", file, key)
				}
			}
			golden(t, name+".txt", got)
		})
	}
}

// gone lists the resources, with their parents, of one inventory that another
// lacks.
func gone(before, after string) []string {
	keys := func(inventory string) map[string]bool {
		found := map[string]bool{}
		for line := range strings.Lines(inventory) {
			if !strings.HasPrefix(line, "\t") {
				found[strings.TrimSuffix(strings.TrimSpace(line), " (protected)")] = true
			}
		}
		return found
	}
	left := keys(before)
	maps.DeleteFunc(left, func(key string, _ bool) bool { return keys(after)[key] })
	return slices.Sorted(maps.Keys(left))
}

func TestGone(t *testing.T) {
	const before = "gcp:a/b:B one\n\tname: \"x\"\ngcp:a/b:B two in ingestion:c:C c (protected)\ngcp:a/b:B three\n"
	const after = "gcp:a/b:B one (protected)\n\tname: \"y\"\ngcp:a/b:B two\ngcp:a/b:B four\n"
	if diff := cmp.Diff([]string{"gcp:a/b:B three", "gcp:a/b:B two in ingestion:c:C c"}, gone(before, after)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// golden compares got with a file below testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got); run with -update if that is meant:\n%s", file, diff)
	}
}

// inventory lists resources with their inputs, one a line. What follows from
// other files is named instead of repeated: the schema and hashes.
func inventory(o outcome) string {
	var b strings.Builder
	for _, r := range o.resources {
		b.WriteString(r.key())
		if r.Parent != "" {
			b.WriteString(" in " + r.Parent)
		}
		if r.Protect {
			b.WriteString(" (protected)")
		}
		b.WriteString("\n")
		in := maps.Clone(plain(resource.NewObjectProperty(r.Inputs)).(map[string]any))
		if statements, ok := in["ddls"].([]any); ok { // each file's hash is in ddl/testdata
			in["ddls"] = fmt.Sprintf("<the %d statements of ddl>", len(statements))
		}
		if _, ok := in["runExecutionToken"]; ok {
			in["runExecutionToken"] = "<hash>"
		}
		for key := range in {
			if r.Inputs[resource.PropertyKey(key)].ContainsSecrets() {
				in[key] = "<secret>"
			}
		}
		if _, ok := in["openapiDocuments"]; ok {
			in["openapiDocuments"] = "<openapi.yaml>"
		}
		if r.Type == "gcp:storage/bucketObject:BucketObject" {
			in["content"] = "<manifest>" // which the SDK marks as secret, though it names secrets only
		}
		writeInputs(&b, "", in)
	}
	return hashes.ReplaceAllString(b.String(), "<hash>")
}

// hashes are the content hashes in names.
var hashes = regexp.MustCompile(`\b[0-9a-f]{16}\b`)

// writeInputs writes one line for each value that is no object or list.
func writeInputs(b *strings.Builder, path string, value any) {
	switch v := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			writeInputs(b, strings.TrimPrefix(path+"."+key, "."), v[key])
		}
	case []any:
		for i, item := range v {
			if m, ok := item.(map[string]any); ok && strings.HasSuffix(path, "envs") {
				fmt.Fprintf(b, "\t%s: %v=%v\n", path, m["name"], m["value"])
				continue
			}
			writeInputs(b, fmt.Sprintf("%s[%d]", path, i), item)
		}
	case string:
		fmt.Fprintf(b, "\t%s: %q\n", path, v)
	case float64:
		fmt.Fprintf(b, "\t%s: %s\n", path, strconv.FormatFloat(v, 'f', -1, 64))
	default:
		fmt.Fprintf(b, "\t%s: %v\n", path, v)
	}
}

// plain converts a property to maps, lists and scalars, secrets included.
func plain(v resource.PropertyValue) any {
	switch {
	case v.IsSecret():
		return plain(v.SecretValue().Element)
	case v.IsOutput():
		return plain(v.OutputValue().Element)
	case v.IsObject():
		m := map[string]any{}
		for key, item := range v.ObjectValue() {
			m[string(key)] = plain(item)
		}
		return m
	case v.IsArray():
		list := []any{}
		for _, item := range v.ArrayValue() {
			list = append(list, plain(item))
		}
		return list
	}
	return v.V
}

// byKey renders each resource, for comparison.
func byKey(o outcome) map[string]string {
	all := map[string]string{}
	for _, r := range o.resources {
		text, err := json.Marshal(plain(resource.NewObjectProperty(r.Inputs)))
		if err != nil {
			panic(err)
		}
		all[r.key()] = fmt.Sprintf("%s in %s, protect %t", text, r.Parent, r.Protect)
	}
	return all
}

// TestTenantSyncRunsAgain: what changes has the job run, and what comes back has
// it run by a token that was not there before.
func TestTenantSyncRunsAgain(t *testing.T) {
	token := func(generation float64, change func(*settings)) (token, object string) {
		s := deployable(t, "local")
		s.generation = generation
		if change != nil {
			change(s)
		}
		o := mustRun(t, s)
		token, _ = field(o.only("gcp:cloudrunv2/job:Job")[0], "runExecutionToken").(string)
		object, _ = field(o.only("gcp:storage/bucketObject:BucketObject")[0], "name").(string)
		return token, object
	}
	first, object := token(1, nil)
	if same, _ := token(1, nil); first == "" || same != first {
		t.Errorf("without a change the token is %q, and was %q", same, first)
	}
	again := func(s *settings) { s.set("ingestion:tenantSync", `{"run": "once more"}`) }
	if _, other := token(1, again); other == object {
		t.Error("another word does not have the job run")
	}
	if back, same := token(2, nil); back == first || same != object {
		t.Errorf("what comes back has the token %q again, of object %s", back, same)
	}
}

func TestManifest(t *testing.T) {
	objects := mustRun(t, deployable(t, "local")).only("gcp:storage/bucketObject:BucketObject")
	if len(objects) != 1 {
		t.Fatalf("%d objects, want 1", len(objects))
	}
	content := field(objects[0], "content").(string)
	// A deletion that an update left behind would take what a way back has made
	// under the same name.
	if !objects[0].Retained {
		t.Error("the manifest may be deleted by its name")
	}
	if name, _ := field(objects[0], "name").(string); !regexp.MustCompile(`^tenants/[0-9a-f]{16}\.json$`).MatchString(name) {
		t.Errorf("name %s", name)
	}
	var got tenant.Manifest
	if err := json.Unmarshal([]byte(content), &got); err != nil {
		t.Fatal(err)
	}
	summit := workflow.Default()
	summit.Validation.SpamDetection.ConfidenceThreshold = 60
	summit.ServiceArea.Enabled = true
	summit.CRMIntegration = workflow.CRMIntegration{Enabled: true, Provider: "salesforce", PushImmediately: true, FieldMapping: map[string]string{
		"name|first_name": "FirstName", "name|last_name|default:Unknown": "LastName", "=Household": "Company", "phone": "Phone", "email": "Email",
		"postal_code": "PostalCode", "summary": "Description", "lead_score": "Lead_Score__c",
	}}
	summit.EmailNotifications = workflow.EmailNotifications{Enabled: true,
		Recipients: []string{"crew@summit-remodeling.example", "boss@summit-remodeling.example"}, Conditions: workflow.EmailConditions{MinLeadScore: 50}}
	denver, boulder := summit, summit
	boulder.CRMIntegration = workflow.CRMIntegration{Enabled: true, Provider: "mcp", FieldMapping: map[string]string{
		"request_id": "request_id", "name": "contact.name", "phone|e164": "contact.phone", "lead_score": "score", "reasons": "why",
	}}
	denver.ServiceArea.AllowedAreas = []string{"80202", "80203", "80206"}
	boulder.ServiceArea.AllowedAreas = []string{"80301", "80302", "80304"}
	want := tenant.Tenant{
		ID: "summit-remodeling", Name: "Summit Remodeling", State: "active",
		Offices: []tenant.Office{{
			ID: "boulder", Name: "Summit Remodeling, Boulder",
			CallRailAccountID:         "ACC4f2d0c9b8a7e46d5b3c1a09f8e7d6c5b",
			CallRailCompanyID:         "204518834",
			CallRailCompanyResourceID: "COM0a1b2c3d4e5f46a7b8c9d0e1f2a3b4c5",
			CallRailAPIKeySecret:      "callrail-api-key-summit-remodeling",
			CallRailSigningKeySecret:  "callrail-signing-key-summit-remodeling",
			IntegrationSecret:         "tenant-integration-summit-remodeling",
			Workflow:                  boulder,
		}, {
			ID: "denver", Name: "Summit Remodeling, Denver",
			CallRailAccountID:         "ACC4f2d0c9b8a7e46d5b3c1a09f8e7d6c5b",
			CallRailCompanyID:         "204518833",
			CallRailCompanyResourceID: "COM4f2d0c9b8a7e46d5b3c1a09f8e7d6c5b",
			CallRailAPIKeySecret:      "callrail-api-key-summit-remodeling",
			CallRailSigningKeySecret:  "callrail-signing-key-summit-remodeling",
			IntegrationSecret:         "tenant-integration-summit-remodeling",
			Workflow:                  denver,
		}},
	}
	var ids []string
	for _, one := range got.Tenants {
		ids = append(ids, one.ID)
	}
	if diff := cmp.Diff([]string{"boost-marketing", "load", "summit-remodeling"}, ids); diff != "" {
		t.Fatalf("tenants (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, got.Tenants[2]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestIntegrationsAreOneSecret: the document that the dispatcher reads is what
// the config says.
func TestIntegrationsAreOneSecret(t *testing.T) {
	o := mustRun(t, deployable(t, "local"))
	for _, r := range o.only("gcp:secretmanager/secretVersion:SecretVersion") {
		if r.Name != "tenant-integration-summit-remodeling" {
			continue
		}
		got, err := integrations.Parse([]byte(field(r, "secretData").(string)))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"mcp", "salesforce", "sendgrid"}, got.Providers()); diff != "" {
			t.Errorf("providers (-want +got):\n%s", diff)
		}
		if got.Salesforce.ClientID != "local-summit-client" || !strings.HasPrefix(got.Salesforce.ClientSecret, sample) {
			t.Error("the document is not what the config says")
		}
		return
	}
	t.Error("there is no such secret")
}

func TestOrderOfTenantsHasNoMeaning(t *testing.T) {
	s := deployable(t, "local")
	before := byKey(mustRun(t, s))

	var tenants map[string]json.RawMessage
	if err := json.Unmarshal([]byte(s.values["ingestion:tenants"]), &tenants); err != nil {
		t.Fatal(err)
	}
	var members []string
	for _, id := range slices.Backward(slices.Sorted(maps.Keys(tenants))) {
		members = append(members, fmt.Sprintf("%q:%s", id, tenants[id]))
	}
	s.values["ingestion:tenants"] = "{" + strings.Join(members, ",") + "}"
	if diff := cmp.Diff(before, byKey(mustRun(t, s))); diff != "" {
		t.Errorf("another order registers something else (-before +after):\n%s", diff)
	}
}

func TestNewTenantTouchesItsOwnResourcesOnly(t *testing.T) {
	s := deployable(t, "local")
	before := byKey(mustRun(t, s))
	s.edit(t, "ingestion:tenants", func(tenants map[string]any) {
		tenants["acme"] = map[string]any{
			"name":    "Acme",
			"secrets": map[string]any{"callrailSigningKey": "k1", "callrailApiKey": "k2"},
			"offices": map[string]any{"main": map[string]any{
				"name": "Main", "callrailAccountId": "ACC1", "callrailCompanyId": "77",
			}},
		}
	})
	after := byKey(mustRun(t, s))

	var added, changed []string
	for key, text := range after {
		if old, ok := before[key]; !ok {
			added = append(added, key)
		} else if old != text {
			changed = append(changed, key)
		}
	}
	slices.Sort(added)
	slices.Sort(changed)
	if diff := cmp.Diff([]string{
		"gcp:secretmanager/secret:Secret callrail-api-key-acme",
		"gcp:secretmanager/secret:Secret callrail-signing-key-acme",
		"gcp:secretmanager/secretVersion:SecretVersion callrail-api-key-acme",
		"gcp:secretmanager/secretVersion:SecretVersion callrail-signing-key-acme",
		"ingestion:tenant:Tenant acme",
	}, added); diff != "" {
		t.Errorf("added (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{
		"gcp:cloudrunv2/job:Job tenant-sync",
		"gcp:storage/bucketObject:BucketObject tenants",
	}, changed); diff != "" {
		t.Errorf("changed (-want +got):\n%s", diff)
	}
	for key := range before {
		if _, ok := after[key]; !ok {
			t.Errorf("%s is gone", key)
		}
	}
}

// Keys for forms have a secret of their own, and only of tenants that have some.
func TestFormKeysHaveTheirOwnSecret(t *testing.T) {
	s := deployable(t, "local")
	const key = "0123456789abcdef0123456789abcdef"
	s.edit(t, "ingestion:tenants", func(tenants map[string]any) {
		tenants["acme"] = map[string]any{"name": "Acme", "intake": map[string]any{"signed": true}, "secrets": map[string]any{"formKey": key + " " + key},
			"offices": map[string]any{"main": map[string]any{"name": "Main"}}}
		tenants["bolt"] = map[string]any{"name": "Bolt", "offices": map[string]any{"main": map[string]any{"name": "Main"}}}
	})
	got := map[string]string{}
	for _, r := range mustRun(t, s).only("gcp:secretmanager/secretVersion:SecretVersion") {
		if strings.HasSuffix(r.Name, "-acme") || strings.HasSuffix(r.Name, "-bolt") {
			got[r.Name] = field(r, "secretData").(string)
		}
	}
	if diff := cmp.Diff(map[string]string{"form-signing-key-acme": "form:" + key + "\nform:" + key}, got); diff != "" {
		t.Errorf("secrets (-want +got)\n%s", diff)
	}
}

// A tenant's key for bookings shares the secret of CallRail's, and alone it is
// no key of CallRail's.
func TestBookingKeySharesTheSigningSecret(t *testing.T) {
	const key = "0123456789abcdef0123456789abcdef"
	for name, tc := range map[string]struct {
		secrets map[string]any
		want    string // the secret's value
		named   bool   // by the office, for its calls
	}{
		"both":          {map[string]any{"callrailSigningKey": "k1\nk0", "callrailApiKey": "a", "bookingKey": key}, "k1\nk0\nbooking:" + key, true},
		"bookings_only": {map[string]any{"callrailApiKey": "a", "bookingKey": key + " " + key}, "booking:" + key + "\nbooking:" + key, false},
		"calls_only":    {map[string]any{"callrailSigningKey": "k1", "callrailApiKey": "a"}, "k1", true},
	} {
		t.Run(name, func(t *testing.T) {
			s := deployable(t, "local")
			s.edit(t, "ingestion:tenants", func(tenants map[string]any) {
				tenants["acme"] = map[string]any{"name": "Acme", "secrets": tc.secrets, "offices": map[string]any{"main": map[string]any{
					"name": "Main", "callrailAccountId": "ACC1", "callrailCompanyId": "77",
				}}}
			})
			o := mustRun(t, s)
			var values []string
			for _, r := range o.only("gcp:secretmanager/secretVersion:SecretVersion") {
				if r.Name == "callrail-signing-key-acme" {
					values = append(values, field(r, "secretData").(string))
				}
			}
			if diff := cmp.Diff([]string{tc.want}, values); diff != "" {
				t.Errorf("the secret (-want +got)\n%s", diff)
			}
			for _, r := range o.only("gcp:storage/bucketObject:BucketObject") {
				if r.Name == "tenants" && strings.Contains(field(r, "content").(string), "callrail-signing-key-acme") != tc.named {
					t.Errorf("the manifest names the secret: %v, want %v", !tc.named, tc.named)
				}
			}
		})
	}
}

// field returns the value at a dotted path of a resource's inputs, or nil.
func field(r registered, path string) any {
	value := plain(resource.NewObjectProperty(r.Inputs))
	for _, key := range strings.Split(path, ".") {
		switch v := value.(type) {
		case map[string]any:
			value = v[key]
		case []any:
			if len(v) != 1 {
				return nil
			}
			m, ok := v[0].(map[string]any)
			if !ok {
				return nil
			}
			value = m[key]
		default:
			return nil
		}
	}
	return value
}

func TestServicesAreSetUpAlike(t *testing.T) {
	o := mustRun(t, deployable(t, "prod"))
	callers := map[string][]any{}
	for _, r := range o.only("gcp:cloudrunv2/serviceIamMember:ServiceIamMember") {
		name := field(r, "name").(string)
		callers[name] = append(callers[name], field(r, "member"))
	}
	services := o.only("gcp:cloudrunv2/service:Service")
	if len(services) != 11 {
		t.Fatalf("%d services, want 11", len(services))
	}
	const domain = "@account-strategy-464106.iam.gserviceaccount.com"
	for _, r := range services {
		w := find(r.Name)
		want := map[string]any{
			"template.serviceAccount":                        r.Name + domain,
			"template.containers.startupProbe.httpGet.path":  "/readyz",
			"template.containers.livenessProbe.httpGet.path": "/healthz",
			"ingress":          "INGRESS_TRAFFIC_INTERNAL_ONLY",
			"template.timeout": w.size.Timeout.seconds(),
			"template.containers.resources.limits.cpu":    w.size.CPU,
			"template.containers.resources.limits.memory": w.size.Memory,
			"labels.app":       "ingestion",
			"labels.stack":     "prod",
			"labels.component": r.Name,
		}
		var wantCallers []any
		if w.public {
			want["ingress"] = "INGRESS_TRAFFIC_ALL"
			wantCallers = append(wantCallers, "serviceAccount:api-gateway"+domain)
		}
		if w.direct {
			want["ingress"] = "INGRESS_TRAFFIC_ALL"
			wantCallers = append(wantCallers, "allUsers")
		}
		if w.queue != "" {
			wantCallers = append(wantCallers, "serviceAccount:task-queues"+domain)
		}
		if w.schedule != nil {
			wantCallers = append(wantCallers, "serviceAccount:schedules"+domain)
		}
		for path, value := range want {
			if got := field(r, path); got != value {
				t.Errorf("%s: %s is %v, want %v", r.Name, path, got, value)
			}
		}
		if diff := cmp.Diff(wantCallers, callers[r.Name], cmpopts.SortSlices(func(a, b any) bool { return a.(string) < b.(string) })); diff != "" {
			t.Errorf("%s: callers (-want +got):\n%s", r.Name, diff)
		}
		if image, _ := field(r, "template.containers.image").(string); !strings.HasPrefix(image,
			"us-central1-docker.pkg.dev/account-strategy-464106/ingestion/"+r.Name+"@sha256:") {
			t.Errorf("%s: image %q", r.Name, image)
		}
		if !slices.Contains(r.DependsOn, "gcp:cloudrunv2/job:Job tenant-sync") {
			t.Errorf("%s does not wait for tenant-sync", r.Name)
		}
	}
}

func TestOnlyAnUpdatePushes(t *testing.T) {
	s := deployable(t, "local")
	preview := mustRun(t, s, func(info *pulumi.RunInfo) { info.DryRun = true })
	if len(preview.pushed) != 0 {
		t.Errorf("the preview pushed %v", preview.pushed)
	}
	updated := mustRun(t, s)
	if diff := cmp.Diff(slices.Sorted(slices.Values(names())), updated.pushed); diff != "" {
		t.Errorf("pushed (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(byKey(preview), byKey(updated)); diff != "" {
		t.Errorf("the preview shows something else than the update does (-preview +update):\n%s", diff)
	}
}

func TestEndpointsFromTheEnvironment(t *testing.T) {
	s := deployable(t, "local")
	s.set("ingestion:endpoints", map[string]any{"storage": "http://config:1", "registry": "config:2"})
	o, err := run(t, s, `{"registry":"127.0.0.1:5000/platform","spannerEmulator":"127.0.0.1:9010",
		"callrailRecordingHosts":["127.0.0.1:9999","app.callrail.com"]}`)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range o.only("gcp:cloudrunv2/service:Service") {
		if r.Name != topology.AudioProcessor {
			continue
		}
		if image := field(r, "template.containers.image").(string); !strings.HasPrefix(image, "127.0.0.1:5000/platform/audio-processor@sha256:") {
			t.Errorf("image %s", image)
		}
		got := map[string]any{}
		for _, e := range field(r, "template.containers.envs").([]any) {
			got[e.(map[string]any)["name"].(string)] = e.(map[string]any)["value"]
		}
		for name, want := range map[string]any{
			topology.EnvStorageEndpoint:       "http://config:1",
			topology.EnvSpannerEmulator:       "127.0.0.1:9010",
			topology.EnvCallRailRecordingHost: "127.0.0.1:9999,app.callrail.com",
			topology.EnvSpeechEndpoint:        nil,
		} {
			if got[name] != want {
				t.Errorf("%s is %v, want %v", name, got[name], want)
			}
		}
		return
	}
	t.Error("no audio-processor")
}

func TestGatewayDocument(t *testing.T) {
	o := mustRun(t, deployable(t, "prod"))
	configs := o.only("gcp:apigateway/apiConfig:ApiConfig")
	if len(configs) != 1 {
		t.Fatalf("%d API configs, want 1", len(configs))
	}
	text, err := base64.StdEncoding.DecodeString(field(configs[0], "openapiDocuments.document.contents").(string))
	if err != nil {
		t.Fatal(err)
	}
	var raw any
	if err := yaml.Unmarshal(text, &raw); err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(raw)
	if err != nil {
		t.Fatal(err)
	}
	var doc openapi2.T
	if err := json.Unmarshal(asJSON, &doc); err != nil {
		t.Fatal(err)
	}
	type backend struct {
		Address, Audience, Translation any
	}
	got := map[string]backend{}
	for path, item := range doc.Paths {
		for method, operation := range item.Operations() {
			b, ok := operation.Extensions["x-google-backend"].(map[string]any)
			if !ok {
				t.Errorf("%s %s has no backend", method, path)
				continue
			}
			got[method+" "+path] = backend{b["address"], b["jwt_audience"], b["path_translation"]}
		}
	}
	const webhook, intake = "https://webhook-processor-abc123-uc.a.run.app", "https://intake-api-abc123-uc.a.run.app"
	if diff := cmp.Diff(map[string]backend{
		"POST /api/v1/callrail/webhook":         {webhook, webhook, "APPEND_PATH_TO_ADDRESS"},
		"POST /api/v1/callrail/webhook/{event}": {webhook, webhook, "APPEND_PATH_TO_ADDRESS"},
		"POST /api/v1/calendar/notifications":   {webhook, webhook, "APPEND_PATH_TO_ADDRESS"},
		"POST /api/v1/bookings":                 {webhook, webhook, "APPEND_PATH_TO_ADDRESS"},
		"POST /api/v1/forms":                    {intake, intake, "APPEND_PATH_TO_ADDRESS"},
		"OPTIONS /api/v1/forms":                 {intake, intake, "APPEND_PATH_TO_ADDRESS"},
		"GET /embed/chat.js":                    {intake, intake, "APPEND_PATH_TO_ADDRESS"},
		"GET /embed/form.js":                    {intake, intake, "APPEND_PATH_TO_ADDRESS"},
		"GET /healthz":                          {intake + "/health", intake, "CONSTANT_ADDRESS"},
	}, got); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}

	id := field(configs[0], "apiConfigId").(string)
	if want := "ingestion-" + contentHash(string(text), "api-gateway@account-strategy-464106.iam.gserviceaccount.com"); id != want {
		t.Errorf("config id %s, want %s", id, want)
	}
	gateway := o.only("gcp:apigateway/gateway:Gateway")[0]
	if got := field(gateway, "apiConfig").(string); !strings.HasSuffix(got, "/configs/"+id) {
		t.Errorf("the gateway serves %s", got)
	}
}

func TestFillOpenAPI(t *testing.T) {
	got, err := fillOpenAPI("# about ${a}\na: ${a}/x\n  # b\nb: ${b}\n", map[string]string{"a": "https://a/", "b": "https://b"})
	if err != nil {
		t.Fatal(err)
	}
	if want := "a: https://a/x\nb: https://b\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if _, err := fillOpenAPI("a: ${elsewhere}\n", nil); err == nil || !strings.Contains(err.Error(), "elsewhere") {
		t.Errorf("error %v, want one that names the service", err)
	}
}

func TestHostURL(t *testing.T) {
	for host, want := range map[string]string{
		"ingestion-abc.uc.gateway.dev": "https://ingestion-abc.uc.gateway.dev",
		"127.0.0.1:8080":               "http://127.0.0.1:8080",
		"localhost:8080":               "http://localhost:8080",
		"[::1]:8080":                   "http://[::1]:8080",
		"10.0.0.1:8080":                "https://10.0.0.1:8080",
	} {
		if got := hostURL(host); got != want {
			t.Errorf("%s: %s, want %s", host, got, want)
		}
	}
}

func TestDatabaseIsLocked(t *testing.T) {
	database := mustRun(t, deployable(t, "prod")).only("gcp:spanner/database:Database")[0]
	if !database.Protect || field(database, "enableDropProtection") != true || field(database, "deletionProtection") != true {
		t.Errorf("protect %t, drop protection %v, deletion protection %v; want all", database.Protect,
			field(database, "enableDropProtection"), field(database, "deletionProtection"))
	}
	var want []any
	for _, statement := range ddl.Statements() {
		want = append(want, statement)
	}
	if diff := cmp.Diff(want, field(database, "ddls")); diff != "" {
		t.Errorf("statements (-want +got):\n%s", diff)
	}
}

// TestSchedules checks that a schedule calls its own service, as an account
// that may, and not before both are there.
func TestSchedules(t *testing.T) {
	s := deployable(t, "prod")
	s.edit(t, "ingestion:schedules", func(m map[string]any) { m["sweeper"] = map[string]any{"cron": "*/5 * * * *"} })
	jobs := mustRun(t, s).only("gcp:cloudscheduler/job:Job")
	var scheduled []string
	for _, r := range jobs {
		scheduled = append(scheduled, r.Name+" "+field(r, "httpTarget.uri").(string))
	}
	if diff := cmp.Diff([]string{
		"backup https://backup-abc123-uc.a.run.app/tasks/backup",
		"calendar-sync https://calendar-sync-abc123-uc.a.run.app/tasks/calendars",
		"dispatcher https://dispatcher-abc123-uc.a.run.app/tasks/dispatch",
		"sweeper https://sweeper-abc123-uc.a.run.app/tasks/sweep",
	}, scheduled, cmpopts.SortSlices(func(a, b string) bool { return a < b })); diff != "" {
		t.Fatalf("schedules (-want +got):\n%s", diff)
	}
	if got := field(jobs[0], "retryConfig.retryCount"); jobs[0].Name != "backup" || got != 3.0 {
		t.Errorf("a run of %s is repeated %v times, want backup's 3", jobs[0].Name, got)
	}
	// The calendar service learns from it where Google's notifications go.
	body, err := base64.StdEncoding.DecodeString(field(jobs[1], "httpTarget.body").(string))
	if err != nil {
		t.Fatal(err)
	}
	var run topology.CalendarsRun
	if err := json.Unmarshal(body, &run); err != nil || !strings.HasPrefix(run.Address, "https://") || !strings.HasSuffix(run.Address, "/api/v1/calendar/notifications") {
		t.Errorf("%s is called with %s: %v", jobs[1].Name, body, err)
	}
	jobs = slices.DeleteFunc(jobs, func(r registered) bool { return r.Name != "sweeper" })
	const address = "https://sweeper-abc123-uc.a.run.app"
	for path, want := range map[string]any{
		"schedule":                      "*/5 * * * *",
		"timeZone":                      "Etc/UTC",
		"attemptDeadline":               "120s",
		"httpTarget.uri":                address + "/tasks/sweep",
		"httpTarget.httpMethod":         "POST",
		"httpTarget.oidcToken.audience": address,
		"httpTarget.oidcToken.serviceAccountEmail": "schedules@account-strategy-464106.iam.gserviceaccount.com",
	} {
		if got := field(jobs[0], path); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	for _, needed := range []string{
		"gcp:cloudrunv2/service:Service sweeper", "gcp:cloudrunv2/serviceIamMember:ServiceIamMember schedules-invokes-sweeper",
	} {
		if !slices.Contains(jobs[0].DependsOn, needed) {
			t.Errorf("the schedule does not wait for %s", needed)
		}
	}
}

// TestBudgets: none without a billing account, else one for each amount, which
// reports the forecast too.
func TestBudgets(t *testing.T) {
	s := deployable(t, "prod")
	if got := mustRun(t, s).only("gcp:billing/budget:Budget"); len(got) != 0 {
		t.Errorf("%d budgets without a billing account", len(got))
	}
	s.set("ingestion:budget", map[string]any{"billingAccount": "012345-6789AB-CDEF01", "projectNumber": "123456789012"})
	var names []string
	for _, r := range mustRun(t, s).only("gcp:billing/budget:Budget") {
		names = append(names, r.Name)
		rules, _ := plain(r.Inputs["thresholdRules"]).([]any)
		want := []any{
			map[string]any{"thresholdPercent": 1.0, "spendBasis": "FORECASTED_SPEND"},
			map[string]any{"thresholdPercent": 1.0, "spendBasis": "CURRENT_SPEND"},
		}
		if diff := cmp.Diff(want, rules); diff != "" {
			t.Errorf("%s (-want +got):\n%s", r.Name, diff)
		}
		if got, want := "budget-"+field(r, "amount.specifiedAmount.units").(string), r.Name; got != want {
			t.Errorf("amount of %s: %s", want, got)
		}
		if !slices.Contains(r.DependsOn, "gcp:projects/service:Service api-billingbudgets") {
			t.Errorf("%s does not wait for its API", r.Name)
		}
	}
	if diff := cmp.Diff([]string{"budget-4300", "budget-8700"}, names); diff != "" {
		t.Errorf("budgets (-want +got):\n%s", diff)
	}
}

// TestCatalog checks what the rows promise each other.
func TestCatalog(t *testing.T) {
	seen := map[string]bool{}
	for _, w := range catalog {
		if seen[w.name] {
			t.Errorf("%s is there twice", w.name)
		}
		seen[w.name] = true
		inside := w.queue != "" || w.schedule != nil
		if called := w.public || w.direct || inside; called == w.job {
			t.Errorf("%s is called: %t; want a service to be, and a job not to be", w.name, called)
		}
		if (w.public || w.direct) && inside || w.public && w.direct {
			t.Errorf("%s is public, and called from elsewhere too", w.name)
		}
		if w.queue != "" && w.queue.Service() != w.name {
			t.Errorf("%s works %s, which is %s's", w.name, w.queue, w.queue.Service())
		}
	}
	for _, queue := range topology.Queues {
		if !seen[queue.Service()] {
			t.Errorf("nobody works %s", queue)
		}
	}
	position := map[string]int{}
	for i, w := range inCallOrder() {
		position[w.name] = i
		for _, queue := range w.enqueues {
			if at, ok := position[queue.Service()]; !ok || at >= i {
				t.Errorf("%s comes before %s, whose address it needs", w.name, queue.Service())
			}
		}
	}
}

// Who cannot be told apart is not limited as one: behind the edge, the hops of
// the gateway alone would make all callers the load balancer.
func TestTrustedHops(t *testing.T) {
	for name, tt := range map[string]struct {
		hops any
		edge bool
		want string
	}{
		"gateway":               {nil, false, "1"},
		"set":                   {2, false, "2"},
		"edge":                  {nil, true, "-1"},
		"edge_and_set":          {3, true, "3"},
		"edge_and_gateway_only": {1, true, "-1"},
	} {
		s := deployable(t, "prod")
		if tt.hops != nil {
			s.edit(t, "ingestion:limits", func(m map[string]any) { m["trustedHops"] = tt.hops })
		}
		if tt.edge {
			s.edit(t, "ingestion:edge", func(m map[string]any) { m["domains"] = []string{"api.example.com"} })
		}
		got := ""
		for _, r := range mustRun(t, s).only("gcp:cloudrunv2/service:Service") {
			if r.Name != "intake-api" {
				continue
			}
			containers := field(r, "template.containers").([]any)
			for _, e := range containers[0].(map[string]any)["envs"].([]any) {
				if e := e.(map[string]any); e["name"] == "TRUSTED_HOPS" {
					got = e["value"].(string)
				}
			}
		}
		if got != tt.want {
			t.Errorf("%s: TRUSTED_HOPS %q, want %q", name, got, tt.want)
		}
	}
}

// What browsers reach without the gateway is no business of the gateway's.
func TestGatewayView(t *testing.T) {
	const document = "a: 1\n# x\npaths:\n  /one:\n    post: {}\n  /two:\n    x-direct: chat-api\n    post:\n      x: y\n  /three:\n    get: {}\ndefinitions:\n  A: {}\n"
	const want = "a: 1\npaths:\n  /one:\n    post: {}\n  /three:\n    get: {}\ndefinitions:\n  A: {}\n"
	if got := GatewayView(document); got != want {
		t.Errorf("%s", cmp.Diff(want, got))
	}
	if strings.Contains(GatewayView(openAPI), "/api/v1/chat") || !strings.Contains(openAPI, "/api/v1/chat") {
		t.Error("the chat is the gateway's, or not in the document")
	}
}
