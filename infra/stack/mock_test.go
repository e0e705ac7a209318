package stack

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gopkg.in/yaml.v3"
)

// sample stands for every secret of a stack file, numbered so that a leak
// shows which one leaked.
const sample = "sample-secret-"

// settings is a stack's config as a program gets it.
type settings struct {
	stack   string
	values  map[string]string // objects as JSON
	secrets []string          // keys that hold a secret

	generation float64 // of the objects that the run makes
}

// settingsOf reads Pulumi.<stack>.yaml over the defaults of Pulumi.yaml, as the
// Pulumi CLI does, with sample values for its secrets.
func settingsOf(t *testing.T, stack string) *settings {
	t.Helper()
	var project struct {
		Config map[string]struct {
			Type    string
			Default any
			Secret  bool
		}
	}
	readYAML(t, "Pulumi.yaml", &project)
	var file struct{ Config map[string]any }
	readYAML(t, "Pulumi."+stack+".yaml", &file)

	s := &settings{stack: stack, values: map[string]string{}}
	for key, declared := range project.Config {
		if declared.Default != nil {
			s.set("ingestion:"+key, declared.Default)
		}
	}
	for key, value := range file.Config {
		if name, ok := strings.CutPrefix(key, "ingestion:"); ok {
			if _, ok := project.Config[name]; !ok {
				t.Errorf("Pulumi.%s.yaml sets %s, which Pulumi.yaml does not declare", stack, key)
			}
		}
		s.set(key, value)
	}
	return s
}

func readYAML(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// set sets a key, with {secure: ...} in value replaced by a sample.
func (s *settings) set(key string, value any) {
	n := 0
	value, n = reveal(key, value)
	if n > 0 && !slices.Contains(s.secrets, key) {
		s.secrets = append(s.secrets, key)
	}
	if text, ok := value.(string); ok {
		s.values[key] = text
		return
	}
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	s.values[key] = string(text)
}

// setSecret sets a key that is secret as a whole.
func (s *settings) setSecret(key, value string) {
	s.set(key, map[string]any{"secure": value})
}

// reveal replaces encrypted values and counts them.
func reveal(path string, value any) (any, int) {
	switch v := value.(type) {
	case map[string]any:
		if _, ok := v["secure"]; ok && len(v) == 1 {
			return sample + path, 1
		}
		count := 0
		out := map[string]any{}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			item, n := reveal(path+"."+key, v[key])
			out[key], count = item, count+n
		}
		return out, count
	case []any:
		return v, 0
	}
	return value, 0
}

// edit changes an object of the config.
func (s *settings) edit(t *testing.T, key string, change func(map[string]any)) {
	t.Helper()
	object := map[string]any{}
	if text, ok := s.values[key]; ok {
		if err := json.Unmarshal([]byte(text), &object); err != nil {
			t.Fatal(err)
		}
	}
	change(object)
	text, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	s.values[key] = string(text)
}

// registered is a resource that a program registered.
type registered struct {
	Type, Name  string
	Parent      string // key of its parent, "" = the stack
	Inputs      resource.PropertyMap
	Protect     bool
	Retained    bool     // in the cloud, when it is deleted here
	DeletedWith string   // key
	DependsOn   []string // keys
}

func (r registered) key() string { return r.Type + " " + r.Name }

func keyOf(urn resource.URN) string { return string(urn.Type()) + " " + urn.Name() }

// monitor is the engine of a test: it notes what is registered and makes up
// what the provider computes.
type monitor struct {
	mu         sync.Mutex
	generation float64 // of objects
	resources  []registered
}

func (m *monitor) NewResource(args pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	in := args.Inputs
	str := func(key resource.PropertyKey) string {
		if v := in[key]; v.IsString() {
			return v.StringValue()
		}
		return ""
	}
	out := in.Copy()
	project := str("project")
	id := project + "/" + args.Name
	set := func(key resource.PropertyKey, value string) { out[key] = resource.NewStringProperty(value) }
	switch args.TypeToken {
	case "gcp:serviceaccount/account:Account":
		email := str("accountId") + "@" + project + ".iam.gserviceaccount.com"
		id = "projects/" + project + "/serviceAccounts/" + email
		set("email", email)
		set("name", id)
	case "gcp:cloudrunv2/service:Service":
		id = "projects/" + project + "/locations/" + str("location") + "/services/" + str("name")
		set("uri", "https://"+str("name")+"-abc123-uc.a.run.app")
	case "gcp:storage/bucketObject:BucketObject":
		out["generation"] = resource.NewNumberProperty(m.generation)
		set("outputName", str("name"))
	case "gcp:cloudtasks/queue:Queue":
		id = "projects/" + project + "/locations/" + str("location") + "/queues/" + str("name")
	case "gcp:secretmanager/secret:Secret":
		id = "projects/" + project + "/secrets/" + str("secretId")
	case "gcp:spanner/database:Database":
		id = str("instance") + "/" + str("name")
	case "gcp:kms/keyRing:KeyRing":
		id = "projects/" + project + "/locations/" + str("location") + "/keyRings/" + str("name")
	case "gcp:kms/cryptoKey:CryptoKey":
		id = str("keyRing") + "/cryptoKeys/" + str("name")
	case "gcp:projects/serviceIdentity:ServiceIdentity":
		service, _, _ := strings.Cut(str("service"), ".")
		set("email", "service-123456789012@gcp-sa-"+service+".iam.gserviceaccount.com")
	case "gcp:iam/workloadIdentityPool:WorkloadIdentityPool":
		set("name", "projects/123456789012/locations/global/workloadIdentityPools/"+str("workloadIdentityPoolId"))
	case "gcp:projects/iAMCustomRole:IAMCustomRole":
		id = "projects/" + project + "/roles/" + str("roleId")
		set("name", id)
	case "gcp:logging/projectSink:ProjectSink":
		set("writerIdentity", "serviceAccount:service-123456789012@gcp-sa-logging.iam.gserviceaccount.com")
	case "gcp:apigateway/apiConfig:ApiConfig":
		id = "projects/" + project + "/locations/global/apis/" + str("api") + "/configs/" + str("apiConfigId")
	case "gcp:compute/address:Address":
		set("address", "203.0.113."+strings.TrimPrefix(args.Name, "nat-"))
		set("selfLink", "https://www.googleapis.com/compute/v1/projects/"+project+"/regions/"+str("region")+"/addresses/"+str("name"))
	case "gcp:compute/globalAddress:GlobalAddress":
		set("address", "198.51.100.1")
	case "gcp:monitoring/slo:Slo":
		set("name", "projects/"+project+"/services/"+str("service")+"/serviceLevelObjectives/"+str("sloId"))
	case "gcp:monitoring/uptimeCheckConfig:UptimeCheckConfig":
		set("uptimeCheckId", "ingestion-gateway-abc123")
	case "gcp:monitoring/notificationChannel:NotificationChannel":
		id = "projects/" + project + "/notificationChannels/" + args.Name
	case "gcp:apigateway/gateway:Gateway":
		set("defaultHostname", str("gatewayId")+"-abc123.uc.gateway.dev")
	}
	r := registered{Type: args.TypeToken, Name: args.Name, Inputs: in}
	if rpc := args.RegisterRPC; rpc != nil {
		r.Protect = rpc.GetProtect()
		r.Retained = rpc.GetRetainOnDelete()
		if urn := resource.URN(rpc.GetDeletedWith()); urn != "" {
			r.DeletedWith = keyOf(urn)
		}
		if parent := resource.URN(rpc.GetParent()); parent != "" && parent.Type() != resource.RootStackType {
			r.Parent = keyOf(parent)
		}
		for _, urn := range rpc.GetDependencies() {
			r.DependsOn = append(r.DependsOn, keyOf(resource.URN(urn)))
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.resources = append(m.resources, r)
	return id, out, nil
}

func (m *monitor) Call(args pulumi.MockCallArgs) (resource.PropertyMap, error) {
	return nil, fmt.Errorf("the program invoked %s; it should need nothing but its config", args.Token)
}

// fakeImages are images that were never built.
type fakeImages struct {
	mu     sync.Mutex
	pushed []string
}

func (*fakeImages) Digest(service string) string {
	return "sha256:" + contentHash(service) + strings.Repeat("0", 48)
}

func (f *fakeImages) Push(_ context.Context, service, repository string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pushed = append(f.pushed, service)
	return repository + "@" + f.Digest(service), nil
}

// outcome is what a run of the program did.
type outcome struct {
	resources []registered // in the order of type and name
	pushed    []string
	outputs   map[string]any // of the stack, by name
}

// run runs the program with a config. The environment has endpoints only if
// some are given.
func run(t *testing.T, s *settings, endpoints string, options ...pulumi.RunOption) (outcome, error) {
	t.Helper()
	m, images := &monitor{generation: s.generation}, &fakeImages{}
	options = append([]pulumi.RunOption{
		pulumi.WithMocks("ingestion", s.stack, m),
		func(info *pulumi.RunInfo) { info.Config, info.ConfigSecretKeys = s.values, s.secrets },
	}, options...)
	outputs := map[string]any{}
	err := pulumi.RunErr(func(ctx *pulumi.Context) error {
		p, err := deploy(ctx, func(name string) string {
			if name == EndpointsEnv {
				return endpoints
			}
			return ""
		}, func(context.Context, *Config) (imageSet, error) { return images, nil })
		if err != nil {
			return err
		}
		all, err := p.outputs()
		if err != nil {
			return err
		}
		// The run ends once the outputs are known, this one with them.
		ctx.Export("all", all.ToMapOutput().ApplyT(func(known map[string]any) bool {
			maps.Copy(outputs, known)
			return true
		}))
		return nil
	}, options...)
	slices.SortFunc(m.resources, func(a, b registered) int { return strings.Compare(a.key(), b.key()) })
	slices.Sort(images.pushed)
	return outcome{resources: m.resources, pushed: images.pushed, outputs: outputs}, err
}

// mustRun is run of a config that must be right.
func mustRun(t *testing.T, s *settings, options ...pulumi.RunOption) outcome {
	t.Helper()
	o, err := run(t, s, "", options...)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// only returns the resources of a type.
func (o outcome) only(typ string) []registered {
	var found []registered
	for _, r := range o.resources {
		if r.Type == typ {
			found = append(found, r)
		}
	}
	return found
}
