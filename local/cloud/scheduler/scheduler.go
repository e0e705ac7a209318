// Package scheduler is the local Cloud Scheduler: cron jobs that call an HTTP
// target with an ID token of a service account, on the API's resource shape
// (https://cloud.google.com/scheduler/docs/reference/rest). Only HTTP targets
// with OIDC tokens, or none, are known; anything else is refused.
package scheduler

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path"
	"regexp"
	"slices"
	"sync"
	"time"
	_ "time/tzdata" // time zones of jobs, on machines that have none

	"github.com/robfig/cron/v3"
	api "google.golang.org/api/cloudscheduler/v1"

	"ingestion.internal/local/cloud"
)

// ErrNotFound is wrapped where a job's name is unknown.
var ErrNotFound = errors.New("not found")

// Options configures a Service.
type Options struct {
	Identity cloud.Identity
	Log      *slog.Logger
	Clock    Clock        // nil = the machine's
	Client   *http.Client // nil = http.DefaultClient
}

// Clock is the time that jobs run by.
type Clock interface {
	Now() time.Time
	After(d time.Duration) <-chan time.Time
}

// machineClock is the real one.
type machineClock struct{}

func (machineClock) Now() time.Time                         { return time.Now() }
func (machineClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// Service runs jobs until it is closed. Its methods are safe for concurrent
// use.
type Service struct {
	opts   Options
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu   sync.Mutex
	jobs map[string]*job
}

type job struct {
	resource *api.Job
	schedule cron.Schedule
	zone     *time.Location
	deadline time.Duration
	body     []byte
	stop     context.CancelFunc
}

// New returns a running service without jobs.
func New(opts Options) *Service {
	if opts.Clock == nil {
		opts.Clock = machineClock{}
	}
	if opts.Client == nil {
		opts.Client = http.DefaultClient
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Service{opts: opts, ctx: ctx, cancel: cancel, jobs: map[string]*job{}}
}

var (
	namePattern = regexp.MustCompile(`^projects/[^/]+/locations/[^/]+/jobs/[A-Za-z0-9_-]{1,500}$`)
	// Unix cron: five fields, https://cloud.google.com/scheduler/docs/configuring/cron-job-schedules.
	parser = cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)
)

// Put creates the job, or replaces the one of that name
// (projects.locations.jobs.create and .patch).
func (s *Service) Put(in *api.Job) (*api.Job, error) {
	j, err := parse(in)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return nil, errors.New("the scheduler is closed")
	}
	if old := s.jobs[in.Name]; old != nil {
		old.stop()
	}
	ctx, stop := context.WithCancel(s.ctx)
	j.stop = stop
	s.jobs[in.Name] = j
	s.wg.Go(func() { s.loop(ctx, j) })
	return copyOf(j), nil
}

// Validate says what the API would refuse of a job, without making it.
func Validate(in *api.Job) error {
	_, err := parse(in)
	return err
}

// parse checks what the API checks, all of it at once.
func parse(in *api.Job) (*job, error) {
	r := *in
	r.State, r.TimeZone = "ENABLED", cmp.Or(r.TimeZone, "Etc/UTC")
	j := &job{resource: &r, deadline: 3 * time.Minute} // the API's default for HTTP targets
	var errs []error
	if !namePattern.MatchString(r.Name) {
		errs = append(errs, fmt.Errorf("name %q does not have the form projects/P/locations/L/jobs/J", r.Name))
	}
	var err error
	if j.schedule, err = parser.Parse(r.Schedule); err != nil {
		errs = append(errs, fmt.Errorf("schedule %q: %w", r.Schedule, err))
	}
	if j.zone, err = time.LoadLocation(r.TimeZone); err != nil {
		errs = append(errs, fmt.Errorf("timeZone: %w", err))
	}
	if r.AttemptDeadline != "" {
		if j.deadline, err = time.ParseDuration(r.AttemptDeadline); err != nil || j.deadline < 15*time.Second || j.deadline > 30*time.Minute {
			errs = append(errs, fmt.Errorf("attemptDeadline %q: 15s to 30m", r.AttemptDeadline))
		}
	}
	switch t := r.HttpTarget; {
	case t == nil:
		errs = append(errs, errors.New("httpTarget: required, other targets do not exist on the local cloud"))
	case t.OauthToken != nil:
		errs = append(errs, errors.New("httpTarget.oauthToken: not on the local cloud, use oidcToken"))
	default:
		t.HttpMethod = cmp.Or(t.HttpMethod, http.MethodPost)
		if j.body, err = base64.StdEncoding.DecodeString(t.Body); err != nil {
			errs = append(errs, fmt.Errorf("httpTarget.body: not base64: %w", err))
		}
		if _, err := http.NewRequest(t.HttpMethod, t.Uri, nil); err != nil || t.Uri == "" {
			errs = append(errs, fmt.Errorf("httpTarget.uri %q is no URL", t.Uri))
		}
	}
	if rc := r.RetryConfig; rc != nil && (rc.RetryCount < 0 || rc.RetryCount > 5) {
		errs = append(errs, fmt.Errorf("retryConfig.retryCount %d: 0 to 5", rc.RetryCount))
	}
	return j, errors.Join(errs...)
}

// Delete is projects.locations.jobs.delete.
func (s *Service) Delete(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := s.jobs[name]
	if j == nil {
		return fmt.Errorf("job %s: %w", name, ErrNotFound)
	}
	j.stop()
	delete(s.jobs, name)
	return nil
}

// Run is projects.locations.jobs.run: it makes the job's attempts now and
// returns the last one's error.
func (s *Service) Run(ctx context.Context, name string) error {
	s.mu.Lock()
	j := s.jobs[name]
	s.mu.Unlock()
	if j == nil {
		return fmt.Errorf("job %s: %w", name, ErrNotFound)
	}
	return s.attempts(ctx, j)
}

// Jobs returns every job, ordered by name.
func (s *Service) Jobs() []*api.Job {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*api.Job
	for _, j := range s.jobs {
		all = append(all, copyOf(j))
	}
	slices.SortFunc(all, func(a, b *api.Job) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// Close stops every job and waits for running attempts to end.
func (s *Service) Close() error {
	s.mu.Lock()
	s.cancel()
	s.mu.Unlock()
	s.wg.Wait()
	return nil
}

func (s *Service) loop(ctx context.Context, j *job) {
	for {
		now := s.opts.Clock.Now().In(j.zone)
		next := j.schedule.Next(now)
		if next.IsZero() {
			return // a date that never comes, as 30 February
		}
		select {
		case <-ctx.Done():
			return
		case <-s.opts.Clock.After(next.Sub(now)):
		}
		if err := s.attempts(ctx, j); err != nil && ctx.Err() == nil {
			s.opts.Log.Warn("scheduled job failed", "job", j.resource.Name, "error", err)
		}
	}
}

// attempts calls the target until it succeeds or retries run out, with
// exponential backoff.
func (s *Service) attempts(ctx context.Context, j *job) error {
	retries, wait, limit := int64(0), 5*time.Second, time.Hour
	if rc := j.resource.RetryConfig; rc != nil {
		retries = rc.RetryCount
		if d, err := time.ParseDuration(rc.MinBackoffDuration); err == nil {
			wait = d
		}
		if d, err := time.ParseDuration(rc.MaxBackoffDuration); err == nil {
			limit = d
		}
	}
	for n := int64(0); ; n++ {
		err := s.call(ctx, j)
		if err == nil || n == retries || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.opts.Clock.After(min(wait, limit)):
		}
		wait *= 2
	}
}

func (s *Service) call(ctx context.Context, j *job) error {
	ctx, cancel := context.WithTimeout(ctx, j.deadline)
	defer cancel()
	t := j.resource.HttpTarget
	req, err := http.NewRequestWithContext(ctx, t.HttpMethod, t.Uri, bytes.NewReader(j.body))
	if err != nil {
		return err
	}
	for k, v := range t.Headers {
		req.Header.Set(k, v)
	}
	req.Header.Set("User-Agent", "Google-Cloud-Scheduler")
	req.Header.Set("X-CloudScheduler-JobName", path.Base(j.resource.Name))
	if o := t.OidcToken; o != nil {
		token, err := s.opts.Identity.IDToken(o.ServiceAccountEmail, cmp.Or(o.Audience, t.Uri))
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := s.opts.Client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s answered %s", t.Uri, resp.Status)
	}
	return nil
}

func copyOf(j *job) *api.Job {
	out := *j.resource
	return &out
}
