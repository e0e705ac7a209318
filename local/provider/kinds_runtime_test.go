package provider

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"ingestion.internal/local/cloud/apigateway"
	"ingestion.internal/local/cloud/cloudrun"
	"ingestion.internal/local/cloud/cloudtasks"
	"ingestion.internal/local/cloud/iam"
	"ingestion.internal/local/cloud/identity"
	"ingestion.internal/local/cloud/registry"
	"ingestion.internal/local/cloud/scheduler"
)

const gatewayAccount = "gateway@p.iam.gserviceaccount.com"

// noSecrets has none.
type noSecrets struct{}

func (noSecrets) AccessSecret(context.Context, string, string) ([]byte, error) {
	return nil, errors.New("there are no secrets")
}

// runtimeOf returns a runtime whose IAM and identity are the real local ones.
func runtimeOf(t *testing.T) (Runtime, *iam.Policy) {
	t.Helper()
	policy := iam.New("p", "123")
	policy.AddAccount(gatewayAccount)
	ident, err := identity.New(identity.Config{Project: "p", ProjectNumber: "123", Region: "us-central1"})
	if err != nil {
		t.Fatal(err)
	}
	images, err := registry.New(registry.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	run, err := cloudrun.New(cloudrun.Options{
		Dir: t.TempDir(), LogDir: t.TempDir(), Images: images, IAM: policy, Identity: ident, Secrets: noSecrets{},
		Metadata: func(account string) http.Handler { return ident.MetadataServer(account, "p") },
	})
	if err != nil {
		t.Fatal(err)
	}
	r := Runtime{
		Registry: images, Run: run, Tasks: cloudtasks.New(cloudtasks.Options{IAM: policy, Identity: ident}),
		Gateway: apigateway.New(apigateway.Options{Identity: ident}), Scheduler: scheduler.New(scheduler.Options{Identity: ident}),
	}
	t.Cleanup(func() {
		if err := errors.Join(r.Gateway.Close(), r.Scheduler.Close(), r.Tasks.Close(), r.Run.Close(), r.Registry.Close()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return r, policy
}

// pushApp builds testdata/app and pushes it; it returns its reference.
func pushApp(t *testing.T, addr string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "app")
	build := exec.Command("go", "build", "-o", binary, "./testdata/app")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	content, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "app", Mode: 0o555, Size: int64(len(content))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		t.Fatal(err)
	}
	if img, err = mutate.Config(img, v1.Config{Entrypoint: []string{"/app"}}); err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(addr+"/p/images/app", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, img); err != nil {
		t.Fatal(err)
	}
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return addr + "/p/images/app@" + digest.String()
}

func serviceInputs(image, greeting string) Object {
	return Object{
		"name": "app", "location": "us-central1", "labels": Object{"app": "x"}, "ingress": "INGRESS_TRAFFIC_ALL",
		"template": Object{
			"timeout": "60s", "maxInstanceRequestConcurrency": 80.0, "serviceAccount": "app@p.iam.gserviceaccount.com",
			"executionEnvironment": "EXECUTION_ENVIRONMENT_GEN2", "scaling": Object{"minInstanceCount": 0.0, "maxInstanceCount": 10.0},
			"containers": []any{Object{
				"image": image, "envs": []any{Object{"name": "GREETING", "value": greeting}}, "ports": []any{Object{"containerPort": 8080.0}},
				"resources":    Object{"limits": Object{"cpu": "2", "memory": "1Gi"}, "cpuIdle": true, "startupCpuBoost": true},
				"startupProbe": Object{"httpGet": Object{"path": "/readyz"}, "periodSeconds": 10.0},
			}},
		},
	}
}

// deployer drives kinds as the server does.
type deployer struct {
	t     *testing.T
	kinds map[string]Kind
}

func (d deployer) create(kind string, in Object) (string, Object) {
	d.t.Helper()
	k := d.kinds[kind]
	k.Normalize(Env{Project: "p", Region: "us-central1"}, "", in)
	for _, required := range k.Required {
		if !contains(in, strings.Split(required, ".")) {
			d.t.Fatalf("%s: %s is required", kind, required)
		}
	}
	if k.Validate != nil {
		if f := k.Validate(in, nil); len(f) > 0 {
			d.t.Fatalf("%s: %v", kind, f)
		}
	}
	id, out, err := k.Create(d.t.Context(), in)
	if err != nil {
		d.t.Fatalf("%s: %v", kind, err)
	}
	if want := k.ID(in); id != want {
		d.t.Errorf("%s: id %s, but ID says %s", kind, id, want)
	}
	for _, computed := range k.Computed {
		if _, ok := out[computed]; !ok {
			d.t.Errorf("%s: output %s is missing", kind, computed)
		}
	}
	return id, out
}

func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d %s", resp.StatusCode, body)
}

// TestRuntimeKinds deploys an image behind a gateway and changes it, as the
// program does.
func TestRuntimeKinds(t *testing.T) {
	r, policy := runtimeOf(t)
	d := deployer{t, map[string]Kind{}}
	for _, k := range RuntimeKinds(r) {
		d.kinds[k.Type] = k
	}
	const service = "gcp:cloudrunv2/service:Service"
	d.create("gcp:artifactregistry/repository:Repository", Object{"location": "us-central1", "repositoryId": "images", "format": "DOCKER"})
	image := pushApp(t, r.Registry.Addr())
	id, app := d.create(service, serviceInputs(image, "hello"))

	d.create("gcp:apigateway/api:Api", Object{"apiId": "api"})
	document := fmt.Sprintf(`
swagger: "2.0"
info: {title: t, version: "1"}
paths:
  /hello:
    get:
      operationId: hello
      responses: {"200": {description: ok}}
      x-google-backend: {address: %q, path_translation: APPEND_PATH_TO_ADDRESS, jwt_audience: %q}
`, app["uri"], app["uri"])
	config, _ := d.create("gcp:apigateway/apiConfig:ApiConfig", Object{
		"api": "api", "apiConfigId": "c1",
		"openapiDocuments": []any{Object{"document": Object{"path": "openapi.yaml", "contents": base64.StdEncoding.EncodeToString([]byte(document))}}},
		"gatewayConfig":    Object{"backendConfig": Object{"googleServiceAccount": gatewayAccount}},
	})
	_, gateway := d.create("gcp:apigateway/gateway:Gateway", Object{"gatewayId": "gw", "apiConfig": config})
	url := "http://" + gateway["defaultHostname"].(string) + "/hello"

	if got := get(t, url); !strings.HasPrefix(got, "403") || !strings.Contains(got, "roles/run.invoker") {
		t.Errorf("without a grant: %s", got)
	}
	if err := policy.Grant(iam.Grant{Service: "run.googleapis.com", Resource: id, Role: "roles/run.invoker", Member: "serviceAccount:" + gatewayAccount}); err != nil {
		t.Fatal(err)
	}
	if got, want := get(t, url), "200 hello GET /hello"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	next := serviceInputs(image, "goodbye")
	d.kinds[service].Normalize(Env{Project: "p"}, "", next)
	updated, err := d.kinds[service].Update(t.Context(), id, app, next)
	if err != nil {
		t.Fatal(err)
	}
	if updated["uri"] != app["uri"] || updated["latestReadyRevision"] == app["latestReadyRevision"] {
		t.Errorf("updated: %v %v", updated["uri"], updated["latestReadyRevision"])
	}
	if got, want := get(t, url), "200 goodbye GET /hello"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if err := d.kinds[service].Delete(t.Context(), id, updated); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := d.kinds[service].Read(t.Context(), id, updated); ok || err != nil {
		t.Errorf("after delete: %v %v", ok, err)
	}

	d.create("gcp:cloudtasks/queue:Queue", Object{
		"name": "audio-processing", "location": "us-central1",
		"rateLimits":               Object{"maxDispatchesPerSecond": 5.0, "maxConcurrentDispatches": 10.0},
		"retryConfig":              Object{"maxAttempts": 20.0, "minBackoff": "1s", "maxBackoff": "60s", "maxDoublings": 4.0},
		"stackdriverLoggingConfig": Object{"samplingRatio": 1.0},
	})
	d.create("gcp:cloudscheduler/job:Job", Object{
		"name": "sweep", "schedule": "*/5 * * * *", "httpTarget": Object{"uri": "http://127.0.0.1:1/sweep", "httpMethod": "POST"},
	})
}

func TestServiceFailures(t *testing.T) {
	k := Runtime{}.service()
	in := serviceInputs("", "x")
	container := in["template"].(Object)["containers"].([]any)[0].(Object)
	delete(container, "image")
	container["envs"] = []any{Object{"name": "PORT", "value": "1"}}
	container["resources"] = Object{"limits": Object{"cpu": "2", "memory": "16Gi"}}
	paths := func(unknown map[string]bool) (all []string) {
		for _, f := range k.Validate(in, unknown) {
			all = append(all, f.Property)
		}
		return all
	}
	const at = "template.containers[0]."
	want := []string{at + "image", at + "envs[0].name", at + "resources.limits.memory"}
	if diff := cmp.Diff(want, paths(nil)); diff != "" {
		t.Errorf("failures (-want +got):\n%s", diff)
	}
	// An image that is not known yet is not missing.
	if diff := cmp.Diff(want[1:], paths(map[string]bool{at + "image": true})); diff != "" {
		t.Errorf("failures in a preview (-want +got):\n%s", diff)
	}
}

func TestScheduleIsRefusedBeforeItIsMade(t *testing.T) {
	t.Parallel()
	kind := Runtime{}.schedule()
	job := func(change Object) Object {
		in := Object{"name": "sweeper", "project": "p", "region": "us-central1", "schedule": "*/5 * * * *", "timeZone": "Etc/UTC", "attemptDeadline": "120s", "httpTarget": Object{"oauthToken": Object{}}}
		for name, v := range change {
			in[name] = v
		}
		return in
	}
	for name, tt := range map[string]struct {
		in    Object
		wrong string // part of what is said, "" = nothing
	}{
		"right":              {job(nil), ""},
		"not known yet":      {job(Object{"schedule": nil}), ""},
		"cron":               {job(Object{"schedule": "61 * * * *"}), `schedule "61 * * * *"`},
		"zone":               {job(Object{"timeZone": "Mars/Base"}), "timeZone"},
		"deadline":           {job(Object{"attemptDeadline": "1h"}), "attemptDeadline"},
		"retries":            {job(Object{"retryConfig": Object{"retryCount": 9.0}}), "retryCount"},
		"characters in name": {job(Object{"name": "a b"}), "name"},
	} {
		got := kind.Validate(tt.in, nil)
		if tt.wrong == "" && len(got) > 0 || tt.wrong != "" && (len(got) != 1 || !strings.Contains(got[0].String(), tt.wrong)) {
			t.Errorf("%s: %v, want %q", name, got, tt.wrong)
		}
	}
}
