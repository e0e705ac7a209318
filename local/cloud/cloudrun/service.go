package cloudrun

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	run "google.golang.org/api/run/v2"
	"google.golang.org/grpc/codes"

	"ingestion.internal/local/cloud/gapi"
)

// service is one Cloud Run service with its front.
type service struct {
	cloud  *Service
	id     string
	uri    string
	front  *http.Server
	deploy sync.Mutex // one revision at a time

	mu       sync.RWMutex
	api      *run.GoogleCloudRunV2Service
	current  *revision
	retiring sync.WaitGroup
}

// CreateService is projects.locations.services.create, with the operation's
// end: it returns when the first revision is ready. A service whose first
// revision does not become ready is removed again.
func (s *Service) CreateService(ctx context.Context, parent, id string, spec *run.GoogleCloudRunV2Service) (*run.GoogleCloudRunV2Service, error) {
	if reason := ValidateName(id); reason != "" {
		return nil, gapi.Errorf(codes.InvalidArgument, "service_id %s", reason)
	}
	if err := violations(ValidateService(spec)).err(); err != nil {
		return nil, err
	}
	name := parent + "/services/" + id
	svc := &service{cloud: s, id: id}
	svc.deploy.Lock()
	defer svc.deploy.Unlock()
	s.mu.Lock()
	if s.services[name] != nil {
		s.mu.Unlock()
		return nil, gapi.Errorf(codes.AlreadyExists, "Resource '%s' already exists.", id)
	}
	l, err := s.o.Listen(id)
	if err != nil {
		s.mu.Unlock()
		return nil, fmt.Errorf("listen for service %s: %w", id, err)
	}
	svc.uri = "http://" + l.Addr().String()
	svc.front = &http.Server{Handler: svc, ReadHeaderTimeout: 10 * time.Second}
	svc.api = &run.GoogleCloudRunV2Service{Name: name, Uid: uuid.NewString(), CreateTime: now(), Uri: svc.uri, Urls: []string{svc.uri}}
	s.services[name] = svc
	s.mu.Unlock()
	go func() { _ = svc.front.Serve(l) }() // returns ErrServerClosed after close

	out, err := svc.replace(ctx, spec)
	if err != nil {
		s.mu.Lock()
		delete(s.services, name)
		s.mu.Unlock()
		svc.close()
		return nil, err
	}
	return out, nil
}

// PatchService is projects.locations.services.patch with every mutable field
// in the mask, and the operation's end. A changed template becomes a new
// revision; if that does not become ready, the operation fails, and the
// service stays as it was and goes on serving.
func (s *Service) PatchService(ctx context.Context, name string, spec *run.GoogleCloudRunV2Service) (*run.GoogleCloudRunV2Service, error) {
	if err := violations(ValidateService(spec)).err(); err != nil {
		return nil, err
	}
	svc, err := s.service(name)
	if err != nil {
		return nil, err
	}
	svc.deploy.Lock()
	defer svc.deploy.Unlock()
	return svc.replace(ctx, spec)
}

// GetService is projects.locations.services.get.
func (s *Service) GetService(_ context.Context, name string) (*run.GoogleCloudRunV2Service, error) {
	svc, err := s.service(name)
	if err != nil {
		return nil, err
	}
	svc.mu.RLock()
	defer svc.mu.RUnlock()
	return clone(svc.api), nil
}

// ListServices is projects.locations.services.list over all locations, in the
// order of their names.
func (s *Service) ListServices(context.Context) []*run.GoogleCloudRunV2Service {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*run.GoogleCloudRunV2Service
	for _, svc := range s.services {
		svc.mu.RLock()
		out = append(out, clone(svc.api))
		svc.mu.RUnlock()
	}
	slices.SortFunc(out, func(a, b *run.GoogleCloudRunV2Service) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// DeleteService is projects.locations.services.delete, with the operation's
// end: it returns when the service's instances are gone.
func (s *Service) DeleteService(_ context.Context, name string) error {
	s.mu.Lock()
	svc := s.services[name]
	delete(s.services, name)
	s.mu.Unlock()
	if svc == nil {
		return gapi.Errorf(codes.NotFound, "Resource '%s' was not found", name)
	}
	svc.deploy.Lock()
	defer svc.deploy.Unlock()
	svc.close()
	return nil
}

func (s *Service) service(name string) (*service, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	svc := s.services[name]
	if svc == nil {
		return nil, gapi.Errorf(codes.NotFound, "Resource '%s' was not found", name)
	}
	return svc, nil
}

// replace makes the service what spec says. The caller holds deploy.
func (svc *service) replace(ctx context.Context, spec *run.GoogleCloudRunV2Service) (*run.GoogleCloudRunV2Service, error) {
	svc.mu.RLock()
	old, previous := svc.api, svc.current
	svc.mu.RUnlock()
	next := clone(spec)
	next.Name, next.Uid, next.CreateTime, next.Uri, next.Urls = old.Name, old.Uid, old.CreateTime, old.Uri, old.Urls
	next.Generation = old.Generation + 1
	next.ObservedGeneration, next.UpdateTime, next.TerminalCondition = next.Generation, now(), ready()
	next.LatestCreatedRevision, next.LatestReadyRevision = old.LatestCreatedRevision, old.LatestReadyRevision

	serving := previous
	if previous == nil || !same(old.Template, next.Template) {
		rev, err := svc.newRevision(ctx, next)
		if err != nil {
			return nil, err
		}
		if err := rev.deploy(ctx); err != nil {
			return nil, err
		}
		serving = rev
		full := next.Name + "/revisions/" + rev.name
		next.LatestCreatedRevision, next.LatestReadyRevision = full, full
		next.TrafficStatuses = []*run.GoogleCloudRunV2TrafficTargetStatus{{
			Type: "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", Percent: 100,
		}}
	} else {
		next.TrafficStatuses = old.TrafficStatuses
	}
	svc.mu.Lock()
	svc.api, svc.current = next, serving
	if previous != nil && previous != serving {
		svc.retiring.Go(previous.retire)
	}
	svc.mu.Unlock()
	return clone(next), nil
}

// close ends the front and every revision.
func (svc *service) close() {
	// Its connections end with their clients or with the instance.
	_ = svc.front.Close()
	svc.mu.Lock()
	current := svc.current
	svc.current = nil
	svc.mu.Unlock()
	if current != nil {
		current.stop()
	}
	svc.retiring.Wait()
}

// revision is one immutable deployment of a service, with its one instance.
type revision struct {
	svc      *service
	name     string
	template *run.GoogleCloudRunV2RevisionTemplate
	run      command
	timeout  time.Duration
	slots    chan struct{} // concurrency limit
	inflight sync.WaitGroup
	ctx      context.Context // ends when the revision is to stop
	cancel   context.CancelFunc
	stopped  chan struct{} // closed when its instance is gone

	mu       sync.Mutex
	backend  string // host:port of the ready instance, "" while there is none
	restarts int
	trouble  string // why the last instance ended, or did not become ready
}

func (svc *service) newRevision(ctx context.Context, api *run.GoogleCloudRunV2Service) (*revision, error) {
	t := api.Template
	raw, err := json.Marshal(t)
	if err != nil {
		return nil, fmt.Errorf("template of %s: %w", svc.id, err)
	}
	name := fmt.Sprintf("%s-%05d-%.3x", svc.id, api.Generation, sha256.Sum256(raw))
	if t.Revision != "" {
		name = t.Revision
	}
	cmd, err := svc.cloud.command(ctx, workload{
		resource: svc.id, revision: name, project: projectOf(api.Name),
		account: svc.cloud.account(t.ServiceAccount), container: t.Containers[0],
	}, "K_SERVICE="+svc.id, "K_CONFIGURATION="+svc.id, "K_REVISION="+name)
	if err != nil {
		return nil, err
	}
	r := &revision{
		svc: svc, name: name, template: t, run: cmd,
		timeout: seconds(t.Timeout, 300*time.Second),
		slots:   make(chan struct{}, or(t.MaxInstanceRequestConcurrency, 80)),
		stopped: make(chan struct{}),
	}
	r.ctx, r.cancel = context.WithCancel(svc.cloud.ctx)
	return r, nil
}

// deploy starts the first instance and keeps one running from then on. It
// fails if the instance does not become ready.
func (r *revision) deploy(ctx context.Context) error {
	p, err := r.launch(ctx)
	if err != nil {
		r.cancel()
		return r.svc.cloud.failure(r.svc.id, r.name, fmt.Sprintf(
			"Revision '%s' is not ready and cannot serve traffic: %v", r.name, err))
	}
	go r.supervise(p)
	return nil
}

// Restarts wait this long, doubled each time, after an instance that did not
// live for restartReset.
const (
	restartFirst = 100 * time.Millisecond
	restartMost  = 10 * time.Second
	restartReset = time.Minute
)

// supervise restarts the instance whenever it ends, until the revision stops.
func (r *revision) supervise(p *process) {
	defer close(r.stopped)
	pause := restartFirst
	since := time.Now()
	for {
		why := r.watch(p)
		r.setBackend("")
		if why == "" {
			p.stop()
			return
		}
		if time.Since(since) > restartReset {
			pause = restartFirst
		}
		for p = nil; p == nil; {
			r.svc.cloud.say(r.svc.id, r.name, "%s; restarting in %s", why, pause)
			r.mu.Lock()
			r.restarts, r.trouble = r.restarts+1, why
			r.mu.Unlock()
			select {
			case <-time.After(pause):
			case <-r.ctx.Done():
				return
			}
			pause = min(2*pause, restartMost)
			var err error
			if p, err = r.launch(r.ctx); err != nil {
				if r.ctx.Err() != nil {
					return
				}
				why = err.Error()
			}
		}
		since = time.Now()
	}
}

// watch returns when the instance ended or was killed because its liveness
// probe failed, with the reason; or with "" when the revision is to stop.
func (r *revision) watch(p *process) string {
	probe := r.template.Containers[0].LivenessProbe
	var beat <-chan time.Time
	if probe != nil {
		t := time.NewTicker(time.Duration(or(probe.PeriodSeconds, 10)) * time.Second)
		defer t.Stop()
		beat = t.C
	}
	failures := int64(0)
	for {
		select {
		case <-r.ctx.Done():
			return ""
		case <-p.done:
			if r.ctx.Err() != nil {
				return ""
			}
			return "The instance ended with " + p.exit()
		case <-beat:
			err := check(r.ctx, probe, r.address())
			if err == nil {
				failures = 0
				continue
			}
			if failures++; failures >= or(probe.FailureThreshold, 3) && r.ctx.Err() == nil {
				p.kill()
				return fmt.Sprintf("The liveness probe failed %d times (%v); the instance was killed", failures, err)
			}
		}
	}
}

// launch starts an instance and returns when its startup probe has passed.
func (r *revision) launch(ctx context.Context) (*process, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	cmd := r.run
	// Container ports are one per network namespace; here every instance needs
	// its own, so PORT is not the declared containerPort.
	cmd.env = append(slices.Clip(cmd.env), fmt.Sprintf("PORT=%d", port))
	p, err := r.svc.cloud.spawner.start(cmd)
	if err != nil {
		return nil, err
	}
	backend := fmt.Sprintf("127.0.0.1:%d", port)
	if err := r.started(ctx, p, backend); err != nil {
		p.stop()
		return nil, err
	}
	r.setBackend(backend)
	return p, nil
}

// freePort finds a port that nobody listens on.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}

// defaultStartup is Cloud Run's probe of containers that declare none.
var defaultStartup = &run.GoogleCloudRunV2Probe{
	TcpSocket: &run.GoogleCloudRunV2TCPSocketAction{}, TimeoutSeconds: 240, PeriodSeconds: 240, FailureThreshold: 1,
}

// probeEvery is how often the startup probe is tried.
const probeEvery = 50 * time.Millisecond

// started waits for the startup probe for as long as it allows.
func (r *revision) started(ctx context.Context, p *process, backend string) error {
	probe := r.template.Containers[0].StartupProbe
	if probe == nil {
		probe = defaultStartup
	}
	allowed := time.Duration(probe.InitialDelaySeconds+or(probe.PeriodSeconds, 10)*or(probe.FailureThreshold, 3)) * time.Second
	ctx, cancel := context.WithTimeout(ctx, allowed)
	defer cancel()
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	last := errors.New("it was not tried")
	for {
		select {
		case <-p.done:
			return fmt.Errorf("the container ended with %s before it was ready", p.exit())
		case <-r.svc.cloud.ctx.Done():
			return errors.New("the local Cloud Run is closing")
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return ctx.Err()
			}
			return fmt.Errorf("the container failed to start and listen on the port given by PORT within %s; its startup probe said: %w", allowed, last)
		case <-tick.C:
			if err := check(ctx, probe, backend); err == nil {
				return nil
			} else if ctx.Err() == nil {
				last = err
			}
		}
	}
}

// probes shares no connections with the traffic that it judges.
var probes = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// check tries a probe once. Ports in the probe are the container's own, which
// is backend here.
func check(ctx context.Context, probe *run.GoogleCloudRunV2Probe, backend string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(or(probe.TimeoutSeconds, 1))*time.Second)
	defer cancel()
	if probe.HttpGet == nil {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", backend)
		if err != nil {
			return err
		}
		return conn.Close()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+backend+orString(probe.HttpGet.Path, "/"), nil)
	if err != nil {
		return err
	}
	for _, h := range probe.HttpGet.HttpHeaders {
		req.Header.Add(h.Name, h.Value)
	}
	resp, err := probes.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode >= 400 {
		return fmt.Errorf("GET %s answered %s", req.URL.Path, resp.Status)
	}
	return nil
}

func (r *revision) setBackend(backend string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.backend = backend
}

// address returns the host:port of the ready instance, or "".
func (r *revision) address() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.backend
}

// retire lets the requests in flight end, at most for their timeout, and stops.
func (r *revision) retire() {
	idle := make(chan struct{})
	go func() {
		r.inflight.Wait()
		close(idle)
	}()
	select {
	case <-idle:
	case <-time.After(r.timeout):
	case <-r.ctx.Done():
	}
	r.stop()
}

// stop ends the instance and returns when it is gone.
func (r *revision) stop() {
	r.cancel()
	<-r.stopped
}
