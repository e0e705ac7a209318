// Package cloudrun is the local Cloud Run (Admin API v2): services and jobs
// whose images run as child processes of this one, each in its own process
// group, with exactly the environment that their template declares and that
// Cloud Run adds. In place of the metadata server of the instance's host,
// GCE_METADATA_HOST leads to one that speaks for its service account.
//
// A service answers on one address for as long as it exists. That front checks
// the caller's ID token and its roles/run.invoker, limits size, time and
// concurrency, and forwards to the serving revision. A new revision serves
// when its startup probe has passed; the old one finishes its requests.
//
// Concessions to one machine: a service has exactly one instance, whatever its
// scaling says, and one revision, so a split of traffic is refused; CPU and memory limits are checked but not enforced; files are
// not isolated; ingress is checked but everything here is loopback; probes are
// tried more often than their period, within the time that the period and
// threshold allow.
package cloudrun

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	run "google.golang.org/api/run/v2"
	"google.golang.org/grpc/codes"

	"ingestion.internal/local/cloud"
	"ingestion.internal/local/cloud/gapi"
	"ingestion.internal/local/cloud/registry"
)

// Images provides unpacked images; *registry.Service does.
type Images interface {
	Pull(ctx context.Context, ref string) (*registry.Image, error)
}

// Options configures a Service. Every field without a default is required.
type Options struct {
	Dir      string // instances' home folders
	LogDir   string // one NAME.log per service and job
	Images   Images
	IAM      cloud.IAM
	Identity cloud.Identity
	Secrets  cloud.Secrets
	// Metadata returns the metadata server of an instance that runs as the
	// service account.
	Metadata func(serviceAccountEmail string) http.Handler
	// DefaultServiceAccount runs what names none, as the Compute Engine
	// default account does.
	DefaultServiceAccount string
	// Listen opens the front of a service, once for its life. Nil listens on a
	// free loopback port.
	Listen func(serviceID string) (net.Listener, error)
}

// Service is the local Cloud Run. It runs instances until Close.
type Service struct {
	o       Options
	spawner *spawner
	logs    *logs

	mu       sync.Mutex
	services map[string]*service     // by full name
	jobs     map[string]*job         // by full name
	metadata map[string]*http.Server // by service account; its Addr is set
	ctx      context.Context         // ends with Close
	cancel   context.CancelFunc
}

// New returns a Cloud Run without services.
func New(o Options) (*Service, error) {
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the instances' folder: %w", err)
	}
	logs, err := newLogs(o.LogDir)
	if err != nil {
		return nil, err
	}
	if o.Listen == nil {
		o.Listen = func(string) (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") }
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Service{
		o: o, spawner: newSpawner(), logs: logs, ctx: ctx, cancel: cancel,
		services: map[string]*service{}, jobs: map[string]*job{}, metadata: map[string]*http.Server{},
	}, nil
}

// Close stops every instance, as Cloud Run does (SIGTERM, then SIGKILL after
// ten seconds), and every listener.
func (s *Service) Close() error {
	s.cancel()
	s.mu.Lock()
	services, metadata := s.services, s.metadata
	s.services, s.metadata = map[string]*service{}, map[string]*http.Server{}
	jobs := s.jobs
	s.jobs = map[string]*job{}
	s.mu.Unlock()

	var wg sync.WaitGroup
	for _, svc := range services {
		wg.Go(svc.close)
	}
	for _, j := range jobs {
		wg.Go(j.running.Wait)
	}
	wg.Wait()
	var errs []error
	for _, m := range metadata {
		errs = append(errs, m.Close())
	}
	s.spawner.close()
	return errors.Join(append(errs, s.logs.close())...)
}

// Tail returns the last n lines of a service or job, by its short name.
func (s *Service) Tail(id string, n int) []Line { return s.logs.last(id, "", n) }

// Subscribe returns every line from now on, until cancel is called or the
// service is closed. A reader that does not keep up misses lines.
func (s *Service) Subscribe() (lines <-chan Line, cancel func()) { return s.logs.subscribe() }

// say logs what Cloud Run itself has to say about a revision or execution.
func (s *Service) say(resource, revision, format string, args ...any) {
	s.logs.add(Line{time.Now(), resource, revision, "system", fmt.Sprintf(format, args...)})
}

// failure ends an operation with the reason and what the instance said last.
func (s *Service) failure(resource, revision, reason string) error {
	var b strings.Builder
	b.WriteString(reason)
	last := s.logs.last(resource, revision, 20)
	if len(last) > 0 {
		b.WriteString("\nlast lines of its log:")
	}
	for _, l := range last {
		fmt.Fprintf(&b, "\n  %s", l.Text)
	}
	return gapi.Errorf(codes.Internal, "%s", b.String())
}

// metadataHost returns the address of the metadata server of an account.
func (s *Service) metadataHost(account string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.metadata[account]; m != nil {
		return m.Addr, nil
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("listen for the metadata server of %s: %w", account, err)
	}
	m := &http.Server{Addr: l.Addr().String(), Handler: s.o.Metadata(account), ReadHeaderTimeout: 10 * time.Second}
	s.metadata[account] = m
	go func() { _ = m.Serve(l) }() // returns ErrServerClosed after Close
	return m.Addr, nil
}

// workload is what services and jobs have in common: one container that runs
// as one account.
type workload struct {
	resource, revision string // short names, for logs
	project            string
	account            string
	container          *run.GoogleCloudRunV2Container
}

// command resolves a workload: pulls its image, reads its secrets as its
// account, and composes what to run. extra is what Cloud Run itself sets.
func (s *Service) command(ctx context.Context, w workload, extra ...string) (command, error) {
	img, err := s.o.Images.Pull(ctx, w.container.Image)
	if err != nil {
		return command{}, fmt.Errorf("image of %s: %w", w.resource, err)
	}
	argv := append(append([]string(nil), img.Entrypoint...), img.Cmd...)
	if len(w.container.Command) > 0 {
		argv = append([]string(nil), w.container.Command...)
		argv = append(argv, w.container.Args...)
	} else if len(w.container.Args) > 0 {
		argv = append(append([]string(nil), img.Entrypoint...), w.container.Args...)
	}
	if len(argv) == 0 {
		return command{}, gapi.Errorf(codes.InvalidArgument, "image %s has no entrypoint, and the container no command", w.container.Image)
	}
	argv[0] = filepath.Join(img.Root, filepath.Clean("/"+argv[0]))
	host, err := s.metadataHost(w.account)
	if err != nil {
		return command{}, err
	}
	// A home of its own keeps the developer's own Google credentials, which
	// client libraries look for there, away from the instance.
	home := filepath.Join(s.o.Dir, w.resource)
	if err := os.MkdirAll(home, 0o700); err != nil {
		return command{}, fmt.Errorf("make the home of %s: %w", w.resource, err)
	}
	env := append([]string(nil), img.Env...)
	env = append(env, "HOME="+home, "GCE_METADATA_HOST="+host)
	env = append(env, extra...)
	var errs []error
	for _, e := range w.container.Env {
		value := e.Value
		if e.ValueSource != nil {
			ref := e.ValueSource.SecretKeyRef
			payload, err := s.o.Secrets.AccessSecret(ctx, "serviceAccount:"+w.account, secretVersion(w.project, ref))
			if err != nil {
				errs = append(errs, fmt.Errorf("variable %s of %s: %w", e.Name, w.resource, err))
				continue
			}
			value = string(payload)
		}
		env = append(env, e.Name+"="+value)
	}
	if err := errors.Join(errs...); err != nil {
		return command{}, err
	}
	return command{
		argv: argv, env: env, dir: filepath.Join(img.Root, filepath.Clean("/"+orString(w.container.WorkingDir, img.WorkingDir))),
		log: func(stream, text string) {
			s.logs.add(Line{time.Now(), w.resource, w.revision, stream, text})
		},
	}, nil
}

// secretVersion is the full name of what a container refers to: the secret may
// be an id in the same project or projects/P/secrets/S.
func secretVersion(project string, ref *run.GoogleCloudRunV2SecretKeySelector) string {
	secret := ref.Secret
	if !strings.Contains(secret, "/") {
		secret = "projects/" + project + "/secrets/" + secret
	}
	return secret + "/versions/" + orString(ref.Version, "latest")
}

// account returns the e-mail of the account that a template names.
func (s *Service) account(named string) string {
	if i := strings.LastIndex(named, "/"); i >= 0 { // projects/P/serviceAccounts/EMAIL
		named = named[i+1:]
	}
	return orString(named, s.o.DefaultServiceAccount)
}

func orString(s, absent string) string {
	if s == "" {
		return absent
	}
	return s
}

// seconds reads one of the API's durations, which validation has checked.
func seconds(s string, absent time.Duration) time.Duration {
	if d, err := time.ParseDuration(s); err == nil && d > 0 {
		return d
	}
	return absent
}

// projectOf returns P of projects/P/....
func projectOf(name string) string {
	parts := strings.SplitN(name, "/", 3)
	if len(parts) < 2 {
		return ""
	}
	return parts[1]
}

// clone copies a resource deeply, so that callers and the service do not share it.
func clone[T any](in *T) *T {
	raw, err := json.Marshal(in)
	if err != nil {
		panic(err) // the API's structs marshal
	}
	out := new(T)
	if err := json.Unmarshal(raw, out); err != nil {
		panic(err)
	}
	return out
}

// same reports whether two resources say the same.
func same[T any](a, b *T) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}

func now() string { return time.Now().UTC().Format(time.RFC3339Nano) }

func ready() *run.GoogleCloudRunV2Condition {
	return &run.GoogleCloudRunV2Condition{Type: "Ready", State: "CONDITION_SUCCEEDED", LastTransitionTime: now()}
}
