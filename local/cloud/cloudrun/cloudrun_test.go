package cloudrun

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	run "google.golang.org/api/run/v2"

	"ingestion.internal/local/cloud"
	"ingestion.internal/local/cloud/registry"
)

const (
	parent  = "projects/p/locations/us-central1"
	invoker = "serviceAccount:caller@p.iam.gserviceaccount.com"
)

// images has one image: the folder with the test's program.
type images struct{ root string }

func (i images) Pull(_ context.Context, ref string) (*registry.Image, error) {
	if !strings.Contains(ref, "@sha256:") {
		return nil, fmt.Errorf("no digest in %q", ref)
	}
	return &registry.Image{Root: i.root, Entrypoint: []string{"/app"}, Env: []string{"FROM_IMAGE=yes"}}, nil
}

// grants are the principals that may invoke.
type grants struct {
	mu      sync.Mutex
	allowed []string
}

func (g *grants) Check(_ context.Context, principal, permission string, res cloud.Resource) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if permission == "run.routes.invoke" && slices.Contains(g.allowed, principal) {
		return nil
	}
	return &cloud.Denied{Principal: principal, Permission: permission, Resource: res.Name, Role: "roles/run.invoker"}
}

// identity reads tokens of the form PRINCIPAL.AUDIENCE-less: "p|audience.sig".
type identity struct{}

func (identity) AccessToken(string) (string, time.Duration) { return "", 0 }
func (identity) Caller(*http.Request) (string, error)       { return "", errors.ErrUnsupported }
func (identity) IDToken(account, audience string) (string, error) {
	return "serviceAccount:" + account + "|" + audience + ".sig", nil
}

func (identity) VerifyIDToken(token string, audiences ...string) (string, error) {
	principal, rest, ok := strings.Cut(token, "|")
	if !ok || !slices.Contains(audiences, strings.TrimSuffix(rest, ".sig")) {
		return "", errors.New("wrong audience")
	}
	return principal, nil
}

// secrets has one secret, of the account run@p.
type secrets struct{}

func (secrets) AccessSecret(_ context.Context, principal, version string) ([]byte, error) {
	if principal != "serviceAccount:run@p.iam.gserviceaccount.com" {
		return nil, &cloud.Denied{Principal: principal, Permission: "secretmanager.versions.access", Resource: version, Role: "roles/secretmanager.secretAccessor"}
	}
	return []byte("payload of " + version), nil
}

var buildApp = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "cloudrun-app-")
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-o", filepath.Join(dir, "app"), "./testdata/app")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the test's program: %w\n%s", err, out)
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := buildApp(); err == nil {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// start returns a Cloud Run that may be invoked by invoker.
func start(t *testing.T) (*Service, *grants) {
	t.Helper()
	root, err := buildApp()
	if err != nil {
		t.Fatal(err)
	}
	iam := &grants{allowed: []string{invoker}}
	s, err := New(Options{
		Dir: t.TempDir(), LogDir: t.TempDir(), Images: images{root}, IAM: iam, Identity: identity{}, Secrets: secrets{},
		Metadata: func(account string) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, account) })
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s, iam
}

// spec is a service with variables NAME=VALUE.
func spec(env ...string) *run.GoogleCloudRunV2Service {
	return &run.GoogleCloudRunV2Service{Template: &run.GoogleCloudRunV2RevisionTemplate{
		ServiceAccount: "run@p.iam.gserviceaccount.com",
		Containers:     []*run.GoogleCloudRunV2Container{container(env...)},
	}}
}

func container(env ...string) *run.GoogleCloudRunV2Container {
	c := &run.GoogleCloudRunV2Container{
		Image: "us-central1-docker.pkg.dev/p/r/app@sha256:" + strings.Repeat("a", 64),
		StartupProbe: &run.GoogleCloudRunV2Probe{
			HttpGet: &run.GoogleCloudRunV2HTTPGetAction{Path: "/readyz"}, PeriodSeconds: 10, FailureThreshold: 3,
		},
	}
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		c.Env = append(c.Env, &run.GoogleCloudRunV2EnvVar{Name: name, Value: value})
	}
	return c
}

func create(t *testing.T, s *Service, spec *run.GoogleCloudRunV2Service) *run.GoogleCloudRunV2Service {
	t.Helper()
	out, err := s.CreateService(t.Context(), parent, "svc", spec)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// call sends a request with invoker's token; body nil is a GET.
func call(t *testing.T, url, path string, body io.Reader) (int, string, http.Header) {
	t.Helper()
	token, _ := identity{}.IDToken(strings.TrimPrefix(invoker, "serviceAccount:"), url)
	return callWith(t, url+path, body, "Bearer "+token)
}

func callWith(t *testing.T, url string, body io.Reader, authorization string) (int, string, http.Header) {
	t.Helper()
	method := http.MethodGet
	if body != nil {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(got), resp.Header
}

// await returns when a line with the text has been logged.
func await(t *testing.T, lines <-chan Line, text string) {
	t.Helper()
	for {
		select {
		case l, ok := <-lines:
			if !ok {
				t.Fatalf("the log ended before %q", text)
			}
			if strings.Contains(l.Text, text) {
				return
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("%q was not logged", text)
		}
	}
}

func TestInvokerIsChecked(t *testing.T) {
	t.Parallel()
	s, iam := start(t)
	svc := create(t, s, spec("VERSION=1"))
	token := func(account, audience string) string {
		tok, _ := identity{}.IDToken(account, audience)
		return "Bearer " + tok
	}
	tests := []struct {
		name, authorization string
		code                int
		body                string
	}{
		{"no token", "", http.StatusForbidden, "roles/run.invoker"},
		{"garbled", "Bearer nonsense", http.StatusUnauthorized, "not an ID token"},
		{"other audience", token("caller@p.iam.gserviceaccount.com", "https://elsewhere"), http.StatusUnauthorized, "not an ID token"},
		{"no grant", token("other@p.iam.gserviceaccount.com", svc.Uri), http.StatusForbidden, "serviceAccount:other@p.iam.gserviceaccount.com lacks run.routes.invoke on " + svc.Name},
		{"granted", token("caller@p.iam.gserviceaccount.com", svc.Uri), http.StatusOK, "1"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			code, body, _ := callWith(t, svc.Uri+"/version", nil, tc.authorization)
			if code != tc.code || !strings.Contains(body, tc.body) {
				t.Errorf("got %d %q, want %d with %q", code, body, tc.code, tc.body)
			}
		})
	}
	iam.mu.Lock()
	iam.allowed = []string{"allUsers"}
	iam.mu.Unlock()
	if code, body, _ := callWith(t, svc.Uri+"/version", nil, ""); code != http.StatusOK || body != "1" {
		t.Errorf("public service: got %d %q", code, body)
	}
}

func TestEnvironmentIsExact(t *testing.T) {
	t.Parallel()
	s, _ := start(t)
	sp := spec("VERSION=1")
	sp.Template.Containers[0].Env = append(sp.Template.Containers[0].Env, &run.GoogleCloudRunV2EnvVar{
		Name:        "KEY",
		ValueSource: &run.GoogleCloudRunV2EnvVarSource{SecretKeyRef: &run.GoogleCloudRunV2SecretKeySelector{Secret: "s"}},
	})
	svc := create(t, s, sp)
	_, body, _ := call(t, svc.Uri, "/env", nil)
	got := map[string]string{}
	for _, l := range strings.Split(body, "\n") {
		k, v, _ := strings.Cut(l, "=")
		got[k] = v
	}
	code, account, _ := callWith(t, "http://"+got["GCE_METADATA_HOST"], nil, "")
	if code != http.StatusOK || account != "run@p.iam.gserviceaccount.com" {
		t.Errorf("metadata server answers for %q (%d)", account, code)
	}
	for _, volatile := range []string{"GCE_METADATA_HOST", "HOME", "PORT"} {
		if got[volatile] == "" {
			t.Errorf("%s is not set", volatile)
		}
		delete(got, volatile)
	}
	want := map[string]string{
		"VERSION": "1", "FROM_IMAGE": "yes", "KEY": "payload of projects/p/secrets/s/versions/latest",
		"K_SERVICE": "svc", "K_CONFIGURATION": "svc", "K_REVISION": filepath.Base(svc.LatestReadyRevision),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
}

func TestSecretWithoutGrantFailsTheDeployment(t *testing.T) {
	t.Parallel()
	s, _ := start(t)
	sp := spec()
	sp.Template.ServiceAccount = "other@p.iam.gserviceaccount.com"
	sp.Template.Containers[0].Env = []*run.GoogleCloudRunV2EnvVar{{
		Name:        "KEY",
		ValueSource: &run.GoogleCloudRunV2EnvVarSource{SecretKeyRef: &run.GoogleCloudRunV2SecretKeySelector{Secret: "s", Version: "3"}},
	}}
	_, err := s.CreateService(t.Context(), parent, "svc", sp)
	if err == nil || !strings.Contains(err.Error(), "roles/secretmanager.secretAccessor") {
		t.Errorf("got %v, want the missing grant", err)
	}
}

func TestBodiesAndTokens(t *testing.T) {
	t.Parallel()
	s, _ := start(t)
	svc := create(t, s, spec())
	code, body, header := call(t, svc.Uri, "/echo", strings.NewReader("a\x00b"))
	if code != http.StatusOK || body != "a\x00b" {
		t.Errorf("got %d %q", code, body)
	}
	if got := header.Get("X-Authorization"); !strings.HasSuffix(got, ".SIGNATURE_REMOVED_BY_GOOGLE") {
		t.Errorf("the instance saw %q", got)
	}
	large := bytes.NewReader(make([]byte, maxRequest+1))
	if code, _, _ := call(t, svc.Uri, "/echo", large); code != http.StatusRequestEntityTooLarge {
		t.Errorf("declared length: got %d", code)
	}
	// Without a length the limit is met while copying.
	if code, _, _ := call(t, svc.Uri, "/echo", io.MultiReader(bytes.NewReader(make([]byte, maxRequest+1)))); code != http.StatusRequestEntityTooLarge {
		t.Errorf("chunked: got %d", code)
	}
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	s, _ := start(t)
	sp := spec()
	sp.Template.Timeout = "1s"
	svc := create(t, s, sp)
	if code, _, _ := call(t, svc.Uri, "/hang", nil); code != http.StatusGatewayTimeout {
		t.Errorf("got %d, want 504", code)
	}
}

func TestRevisionSwitchLosesNoRequest(t *testing.T) {
	t.Parallel()
	s, _ := start(t)
	svc := create(t, s, spec("VERSION=1"))
	lines, cancel := s.Subscribe()
	defer cancel()

	// One request is held by the old revision over the whole switch ...
	held := make(chan string, 1)
	go func() {
		code, body, _ := call(t, svc.Uri, "/wait", nil)
		held <- fmt.Sprint(code, body)
	}()
	await(t, lines, "waiting")
	// ... and others come all the time.
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	seen := map[string]int{}
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				code, body, _ := call(t, svc.Uri, "/version", nil)
				mu.Lock()
				seen[fmt.Sprint(code, " ", body)]++
				mu.Unlock()
			}
		})
	}
	s.mu.Lock()
	old := s.services[svc.Name].current.address()
	s.mu.Unlock()
	next, err := s.PatchService(t.Context(), svc.Name, spec("VERSION=2"))
	if err != nil {
		t.Fatal(err)
	}
	if next.Uri != svc.Uri || next.LatestReadyRevision == svc.LatestReadyRevision {
		t.Errorf("got %s %s after %s %s", next.Uri, next.LatestReadyRevision, svc.Uri, svc.LatestReadyRevision)
	}
	if _, body, _ := call(t, svc.Uri, "/version", nil); body != "2" {
		t.Errorf("after the switch version %q serves", body)
	}
	close(stop)
	wg.Wait()
	mu.Lock()
	defer mu.Unlock()
	for got := range seen {
		if got != "200 1" && got != "200 2" {
			t.Errorf("during the switch: %d times %q", seen[got], got)
		}
	}
	// The old instance lives until its request has ended.
	if code, _, _ := callWith(t, "http://"+old+"/go", nil, ""); code != http.StatusOK {
		t.Errorf("old instance: %d", code)
	}
	if got := <-held; got != "2001" {
		t.Errorf("the held request got %q, want 200 from version 1", got)
	}
}

func TestUnchangedTemplateIsNoRevision(t *testing.T) {
	t.Parallel()
	s, _ := start(t)
	svc := create(t, s, spec("VERSION=1"))
	sp := spec("VERSION=1")
	sp.Labels = map[string]string{"a": "b"}
	next, err := s.PatchService(t.Context(), svc.Name, sp)
	if err != nil {
		t.Fatal(err)
	}
	if next.LatestReadyRevision != svc.LatestReadyRevision {
		t.Errorf("new revision %s", next.LatestReadyRevision)
	}
}

func TestFailingRevisionKeepsTheOldOne(t *testing.T) {
	t.Parallel()
	s, _ := start(t)
	svc := create(t, s, spec("VERSION=1"))
	_, err := s.PatchService(t.Context(), svc.Name, spec("VERSION=2", "FAIL=1"))
	if err == nil || !strings.Contains(err.Error(), "app fails because FAIL is set") {
		t.Errorf("got %v, want the log's last lines", err)
	}
	if code, body, _ := call(t, svc.Uri, "/version", nil); code != http.StatusOK || body != "1" {
		t.Errorf("got %d %q from the old revision", code, body)
	}
	got, err := s.GetService(t.Context(), svc.Name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(svc, got); diff != "" {
		t.Errorf("service (-before +after):\n%s", diff)
	}
}

func TestNeverReadyServiceIsRemoved(t *testing.T) {
	t.Parallel()
	s, _ := start(t)
	sp := spec()
	sp.Template.Containers[0].StartupProbe = &run.GoogleCloudRunV2Probe{
		HttpGet: &run.GoogleCloudRunV2HTTPGetAction{Path: "/absent"}, PeriodSeconds: 1, FailureThreshold: 1,
	}
	_, err := s.CreateService(t.Context(), parent, "svc", sp)
	if err == nil || !strings.Contains(err.Error(), "GET /absent answered 404") {
		t.Errorf("got %v", err)
	}
	if all := s.ListServices(t.Context()); len(all) != 0 {
		t.Errorf("%d services are left", len(all))
	}
}

func TestCrashedInstanceIsRestarted(t *testing.T) {
	t.Parallel()
	s, _ := start(t)
	svc := create(t, s, spec("VERSION=1"))
	lines, cancel := s.Subscribe()
	defer cancel()
	if code, _, _ := call(t, svc.Uri, "/crash", nil); code != http.StatusServiceUnavailable {
		t.Errorf("the crashing request got %d, want 503", code)
	}
	await(t, lines, "exit status 3; restarting")
	await(t, lines, "app starts")
	// It is ready when it answers; until then the front says 503.
	for deadline := time.Now().Add(30 * time.Second); ; {
		code, body, _ := call(t, svc.Uri, "/version", nil)
		if code == http.StatusOK && body == "1" {
			break
		}
		if code != http.StatusServiceUnavailable || time.Now().After(deadline) {
			t.Fatalf("got %d %q", code, body)
		}
	}
}

func TestCloseLeavesNoProcess(t *testing.T) {
	t.Parallel()
	s, _ := start(t)
	svc := create(t, s, spec())
	_, body, _ := call(t, svc.Uri, "/env", nil)
	if !strings.Contains(body, "PORT=") {
		t.Fatalf("got %q", body)
	}
	var backend string
	s.mu.Lock()
	backend = s.services[svc.Name].current.address()
	s.mu.Unlock()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{svc.Uri, "http://" + backend} {
		if resp, err := http.Get(address); err == nil {
			resp.Body.Close()
			t.Errorf("%s still answers", address)
		} else if !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func jobSpec(token string, env ...string) *run.GoogleCloudRunV2Job {
	c := container(env...)
	c.StartupProbe = nil
	return &run.GoogleCloudRunV2Job{RunExecutionToken: token, Template: &run.GoogleCloudRunV2ExecutionTemplate{
		TaskCount: 2, Template: &run.GoogleCloudRunV2TaskTemplate{
			ServiceAccount: "run@p.iam.gserviceaccount.com", Containers: []*run.GoogleCloudRunV2Container{c},
		},
	}}
}

func texts(lines []Line) []string {
	var out []string
	for _, l := range lines {
		out = append(out, l.Text)
	}
	slices.Sort(out)
	return out
}

func TestJobRunsWhenItsTokenChanges(t *testing.T) {
	t.Parallel()
	s, _ := start(t)
	j, err := s.CreateJob(t.Context(), parent, "job", jobSpec("1"))
	if err != nil {
		t.Fatal(err)
	}
	if j.ExecutionCount != 1 {
		t.Errorf("%d executions after create", j.ExecutionCount)
	}
	want := []string{"app starts", "app starts", "task 0 of 2", "task 1 of 2"}
	if diff := cmp.Diff(want, texts(s.Tail("job", 10))); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
	for _, step := range []struct {
		token string
		count int64
	}{{"1", 1}, {"2", 2}} {
		if j, err = s.PatchJob(t.Context(), j.Name, jobSpec(step.token, "CHANGED=1")); err != nil {
			t.Fatal(err)
		}
		if j.ExecutionCount != step.count {
			t.Errorf("token %s: %d executions, want %d", step.token, j.ExecutionCount, step.count)
		}
	}
	if want := "job-2"; j.LatestCreatedExecution.Name != want {
		t.Errorf("the execution is %s, want %s", j.LatestCreatedExecution.Name, want)
	}
	if _, err := s.PatchJob(t.Context(), j.Name, jobSpec("1")); !strings.Contains(fmt.Sprint(err), "'job-1' already exists") {
		t.Errorf("a token that was there before: %v", err)
	}
}

func TestJobFailure(t *testing.T) {
	t.Parallel()
	s, _ := start(t)
	_, err := s.CreateJob(t.Context(), parent, "job", jobSpec("1", "FAIL=1"))
	if err == nil || !strings.Contains(err.Error(), "app fails because FAIL is set") || !strings.Contains(err.Error(), "after 1 attempts") {
		t.Errorf("got %v, want the job's log", err)
	}
	retried := jobSpec("1", "FAIL_FIRST=1")
	retried.Template.Template.MaxRetries = 1
	if _, err := s.CreateJob(t.Context(), parent, "job", retried); err != nil {
		t.Errorf("with one retry: %v", err)
	}
	slow := jobSpec("1", "HANG=1")
	slow.Template.Template.Timeout = "1s"
	if _, err := s.CreateJob(t.Context(), parent, "slow", slow); err == nil || !strings.Contains(err.Error(), "within its timeout of 1s") {
		t.Errorf("got %v, want a timeout", err)
	}
}

func TestValidation(t *testing.T) {
	t.Parallel()
	change := func(f func(*run.GoogleCloudRunV2Service)) *run.GoogleCloudRunV2Service {
		s := spec()
		f(s)
		return s
	}
	limits := func(cpu, memory string) *run.GoogleCloudRunV2Service {
		return change(func(s *run.GoogleCloudRunV2Service) {
			s.Template.Containers[0].Resources = &run.GoogleCloudRunV2ResourceRequirements{Limits: map[string]string{"cpu": cpu, "memory": memory}}
		})
	}
	tests := []struct {
		name string
		spec *run.GoogleCloudRunV2Service
		want []string
	}{
		{"good", limits("4", "16Gi"), nil},
		{"one cpu is enough for 4Gi", limits("1", "4Gi"), nil},
		{"16Gi needs 4", limits("2", "16Gi"), []string{"template.containers[0].resources.limits.memory"}},
		{"32Gi needs 8", limits("6", "32Gi"), []string{"template.containers[0].resources.limits.memory"}},
		{"3 CPU", limits("3", "1Gi"), []string{"template.containers[0].resources.limits.cpu"}},
		{"garbled", limits("lots", "1Gi"), []string{"template.containers[0].resources.limits.cpu"}},
		{"all traffic to the latest", change(func(s *run.GoogleCloudRunV2Service) {
			s.Traffic = []*run.GoogleCloudRunV2TrafficTarget{{Type: "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", Percent: 100}}
		}), nil},
		{"a split of traffic", change(func(s *run.GoogleCloudRunV2Service) {
			s.Traffic = []*run.GoogleCloudRunV2TrafficTarget{
				{Type: "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION", Revision: "app-00001-abc", Percent: 100},
				{Type: "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", Tag: "candidate"},
			}
		}), []string{"traffic[0]"}},
		{"network", change(func(s *run.GoogleCloudRunV2Service) {
			s.Template.VpcAccess = &run.GoogleCloudRunV2VpcAccess{
				Egress: "ALL_TRAFFIC", NetworkInterfaces: []*run.GoogleCloudRunV2NetworkInterface{{Network: "vpc", Subnetwork: "subnet"}},
			}
		}), nil},
		{"wrong network", change(func(s *run.GoogleCloudRunV2Service) {
			s.Template.VpcAccess = &run.GoogleCloudRunV2VpcAccess{
				Egress: "EVERYTHING", Connector: "c", NetworkInterfaces: []*run.GoogleCloudRunV2NetworkInterface{{Network: "vpc"}, {}},
			}
		}), []string{
			"template.vpcAccess.egress", "template.vpcAccess", "template.vpcAccess.networkInterfaces", "template.vpcAccess.networkInterfaces[1]",
		}},
		{"all at once", change(func(s *run.GoogleCloudRunV2Service) {
			s.Ingress = "OPEN"
			s.Template.Timeout = "3601s"
			s.Template.Containers[0].Image = ""
			s.Template.Containers[0].Env = []*run.GoogleCloudRunV2EnvVar{{Name: "PORT"}, {Name: "A"}, {Name: "A"}}
			s.Template.Containers[0].StartupProbe.TimeoutSeconds = 11
		}), []string{
			"ingress", "template.timeout", "template.containers[0].image", "template.containers[0].env[0].name",
			"template.containers[0].env[2].name", "template.containers[0].startupProbe.timeoutSeconds",
		}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			for _, v := range ValidateService(tc.spec) {
				got = append(got, v.Field)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("violations (-want +got):\n%s", diff)
			}
		})
	}
	for id, ok := range map[string]bool{"a": true, "audio-processor": true, "A": false, "1a": false, "a-": false, "": false, strings.Repeat("a", 50): false} {
		if got := ValidateName(id) == ""; got != ok {
			t.Errorf("ValidateName(%q) accepts: %v, want %v", id, got, ok)
		}
	}
}
