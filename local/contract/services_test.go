package contract

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fsouza/fake-gcs-server/fakestorage"
	api "google.golang.org/api/apigateway/v1"

	"ingestion.internal/local/cloud/apigateway"
	"ingestion.internal/shared/store"
)

// compile builds the services and returns the folder that has them.
func compile(t *testing.T, services []string) string {
	t.Helper()
	folder := t.TempDir()
	args := []string{"build", "-buildvcs=false", "-o", folder + string(filepath.Separator)}
	for _, s := range services {
		args = append(args, "./functions/"+s)
	}
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = repository
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building the services: %v\n%s", err, out)
	}
	return folder
}

// objectStore starts an object store with one bucket and returns its address.
func objectStore(t *testing.T, bucket string) string {
	t.Helper()
	objects, err := fakestorage.NewServerWithOptions(fakestorage.Options{Scheme: "http", Host: "127.0.0.1", Port: 0})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(objects.Stop)
	objects.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: bucket})
	return objects.URL()
}

// environment is what every service is configured with; a service takes what it
// needs. One that needs more says so when it does not start.
func environment(google, objects string, db store.Config) []string {
	queue := func(name string) string { return "projects/p/locations/l/queues/" + name }
	return append(os.Environ(),
		"GOOGLE_CLOUD_PROJECT="+db.Project, "SPANNER_INSTANCE="+db.Instance, "SPANNER_DATABASE="+db.Database, "SPANNER_EMULATOR_HOST="+db.Emulator,
		"TENANT_CACHE_TTL=1m", "PORT=0", "K_REVISION=contract",
		"MAX_BODY_BYTES=1048576", "MAX_ATTACHMENT_BYTES=524288", "TRUSTED_HOPS=0",
		"SECRET_MANAGER_ENDPOINT="+google, "CLOUD_TASKS_ENDPOINT="+google, "CLOUD_TASKS_SERVICE_ACCOUNT=tasks@p.iam.gserviceaccount.com",
		"AUDIO_PROCESSING_QUEUE="+queue("audio-processing"), "AUDIO_PROCESSING_URL=https://audio.example",
		"AI_ANALYSIS_QUEUE="+queue("ai-analysis"), "AI_ANALYSIS_URL=https://analyzer.example",
		"DOCUMENT_PROCESSING_QUEUE="+queue("document-processing"), "DOCUMENT_PROCESSING_URL=https://documents.example",
		"CALENDAR_SYNC_QUEUE="+queue("calendar-sync"), "CALENDAR_SYNC_URL=https://calendars.example",
		"CALLRAIL_WEBHOOK_SECRET_NAME="+platformSecret, "WEBHOOK_REPLAY_WINDOW=0s",
		"DOCUMENT_STORAGE_BUCKET="+bucket, "STORAGE_ENDPOINT="+objects,
	)
}

// process is a service that runs.
type process struct {
	cmd     *exec.Cmd
	address string // http://127.0.0.1:PORT
	stop    func()
}

// start starts a service and returns when it listens. It is killed when t ends.
func start(t *testing.T, binary string, env []string) *process {
	t.Helper()
	cmd := exec.Command(binary)
	cmd.Env = env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: cmd}
	lines := make(chan string)
	go func() {
		defer close(lines)
		scanner := bufio.NewScanner(out)
		scanner.Buffer(nil, 1<<20)
		told := false
		for scanner.Scan() {
			var line struct{ Message, Address string }
			if json.Unmarshal(scanner.Bytes(), &line) == nil && line.Message == "listening" && !told {
				told = true
				lines <- line.Address
			}
		}
		_, _ = io.Copy(io.Discard, out) // a line too long must not block the service
	}()
	p.stop = sync.OnceFunc(func() {
		_ = cmd.Process.Kill() // it may have ended by itself
		for range lines {
		}
		_ = cmd.Wait() // was killed
	})
	t.Cleanup(p.stop)
	select {
	case address, ok := <-lines:
		if !ok {
			p.stop()
			t.Fatalf("%s did not start; if it needs a variable, add it to environment: %s", filepath.Base(binary), stderr.String())
		}
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			t.Fatal(err)
		}
		p.address = "http://127.0.0.1:" + port
	case <-time.After(time.Minute):
		t.Fatalf("%s does not listen after a minute", filepath.Base(binary))
	}
	return p
}

// world is the document's gateway in front of its services.
type world struct {
	t         *testing.T
	document  *document
	processes map[string]*process
	url       string // of the gateway
	client    *http.Client
}

// identity gives the gateway tokens that nobody looks at: it is Cloud Run that
// looks at them, before a service sees the request.
type identity struct{}

func (identity) AccessToken(string) (string, time.Duration)      { return "", 0 }
func (identity) Caller(*http.Request) (string, error)            { return "", errors.ErrUnsupported }
func (identity) VerifyIDToken(string, ...string) (string, error) { return "", errors.ErrUnsupported }
func (identity) IDToken(string, string) (string, error)          { return "token", nil }

// newWorld starts the services from folder and deploys the document over them.
func newWorld(t *testing.T, d *document, folder string, env []string) *world {
	t.Helper()
	w := &world{t: t, document: d, processes: map[string]*process{}, client: &http.Client{
		Timeout:       time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	addresses := map[string]string{}
	for _, s := range d.services() {
		w.processes[s] = start(t, filepath.Join(folder, s), env)
		addresses[s] = w.processes[s].address
	}
	const parent = "projects/p/locations/global/apis/public"
	gateways := apigateway.New(apigateway.Options{Identity: identity{}})
	t.Cleanup(func() {
		w.client.CloseIdleConnections()
		if err := gateways.Close(); err != nil {
			t.Error(err)
		}
	})
	_, err := gateways.CreateAPI(&api.ApigatewayApi{Name: parent})
	if err != nil {
		t.Fatal(err)
	}
	_, err = gateways.CreateConfig(&api.ApigatewayApiConfig{
		Name: parent + "/configs/c1", GatewayServiceAccount: "gateway@p.iam.gserviceaccount.com",
		OpenapiDocuments: []*api.ApigatewayApiConfigOpenApiDocument{{Document: &api.ApigatewayApiConfigFile{
			Path: documentPath, Contents: base64.StdEncoding.EncodeToString([]byte(d.filled(addresses))),
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	g, err := gateways.CreateGateway(&api.ApigatewayGateway{Name: "projects/p/locations/us-central1/gateways/public", ApiConfig: parent + "/configs/c1"})
	if err != nil {
		t.Fatal(err)
	}
	w.url = "http://" + g.DefaultHostname
	return w
}

// readCloser is a body whose length an http.Request does not know.
func readCloser(body []byte) io.ReadCloser { return io.NopCloser(strings.NewReader(string(body))) }

// request makes the HTTP request of a message, signed if it is to be.
func (w *world) request(m message) (*http.Request, error) {
	var body io.Reader
	switch {
	case m.chunked:
		body = readCloser(m.body)
	case len(m.body) > 0:
		body = strings.NewReader(string(m.body))
	}
	r, err := http.NewRequestWithContext(w.t.Context(), m.op.method, w.url+m.at(), body)
	if err != nil {
		return nil, err
	}
	r.Header = m.header.Clone()
	if sign := signers[m.op.id]; sign != nil && m.signKey != "" {
		sign(r.Header, m.signKey, m.body)
	}
	return r, nil
}

// send sends a message through the gateway.
func (w *world) send(m message) (answer, error) {
	r, err := w.request(m)
	if err != nil {
		return answer{}, err
	}
	resp, err := w.client.Do(r)
	if err != nil {
		return answer{}, fmt.Errorf("%s, %s: %w", m.op, m.name, err)
	}
	defer resp.Body.Close()
	a := answer{request: r, status: resp.StatusCode, header: resp.Header}
	a.body, err = io.ReadAll(resp.Body)
	return a, err
}
