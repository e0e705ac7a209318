// Package cloudtasks is the local Cloud Tasks (API v2): queues that dispatch
// HTTP tasks at the queue's rate, with its retries and with OIDC tokens, and
// that refuse the name of a task that exists or existed during the last day.
//
// The methods are the API's operations for callers in this process, who are
// trusted; Handler is the REST surface, which asks IAM.
package cloudtasks

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/time/rate"
	api "google.golang.org/api/cloudtasks/v2"
	"google.golang.org/grpc/codes"

	"ingestion.internal/local/cloud"
	"ingestion.internal/local/cloud/gapi"
)

// The API's limits (docs.cloud.google.com/tasks/docs/quotas).
const (
	maxTask        = 1 << 20             // bytes
	nameKept       = 24 * time.Hour      // how long a finished task's name is refused
	maxSchedule    = 30 * 24 * time.Hour // how far ahead a task may be scheduled
	deadlineLeast  = 15 * time.Second
	deadlineMost   = 30 * time.Minute
	deadlineAbsent = 10 * time.Minute
)

// Options configures a Service.
type Options struct {
	IAM      cloud.IAM
	Identity cloud.Identity
	// Transport carries the dispatched requests. Nil is a transport of its own.
	Transport http.RoundTripper
}

// Service is the local Cloud Tasks. Queues dispatch until Close.
type Service struct {
	o       Options
	client  *http.Client
	ctx     context.Context
	cancel  context.CancelFunc
	workers sync.WaitGroup

	mu     sync.Mutex
	queues map[string]*queue // by full name
	idle   *sync.Cond        // broadcast when a task leaves a queue; on mu
}

// New returns a service without queues.
func New(o Options) *Service {
	transport := o.Transport
	if transport == nil {
		transport = &http.Transport{MaxIdleConnsPerHost: 100}
	}
	s := &Service{
		o: o, queues: map[string]*queue{},
		client: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	s.idle = sync.NewCond(&s.mu)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Close abandons the dispatches under way and forgets every task.
func (s *Service) Close() error {
	s.cancel()
	s.workers.Wait()
	s.client.CloseIdleConnections()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle.Broadcast()
	return nil
}

// queue is one queue. Its fields are guarded by Service.mu.
type queue struct {
	api     *api.Queue
	limit   *rate.Limiter
	tasks   map[string]*task     // by full name
	taken   map[string]time.Time // names of finished tasks, until when they are refused
	running int
	wake    chan struct{} // of capacity 1: something changed
	gone    context.CancelFunc
}

// task is one task that is not finished.
type task struct {
	api      *api.Task
	body     []byte
	due      time.Time
	first    time.Time // of the first attempt
	attempts int64
	previous int // status of the last response, 0 before the first and after one that never came
	why      string
	running  bool
}

// Violation is one field that the API would refuse.
type Violation struct{ Field, Reason string }

var (
	queueID  = regexp.MustCompile(`^[A-Za-z0-9-]{1,100}$`)
	taskID   = regexp.MustCompile(`^[A-Za-z0-9_-]{1,500}$`)
	queueRef = regexp.MustCompile(`^projects/[^/]+/locations/[^/]+/queues/[^/]+$`)
)

// ValidateQueue lists everything about a queue that the API refuses.
func ValidateQueue(q *api.Queue) []Violation {
	var v []Violation
	add := func(field, format string, args ...any) { v = append(v, Violation{field, fmt.Sprintf(format, args...)}) }
	if id := q.Name[strings.LastIndex(q.Name, "/")+1:]; !queueID.MatchString(id) {
		add("name", "%q must be 1 to 100 letters, digits and hyphens", id)
	}
	if l := q.RateLimits; l != nil {
		if l.MaxDispatchesPerSecond < 0 || l.MaxDispatchesPerSecond > 500 {
			add("rateLimits.maxDispatchesPerSecond", "%v is not between 0 and 500", l.MaxDispatchesPerSecond)
		}
		if l.MaxConcurrentDispatches < 0 || l.MaxConcurrentDispatches > 5000 {
			add("rateLimits.maxConcurrentDispatches", "%d is not between 1 and 5000", l.MaxConcurrentDispatches)
		}
	}
	if r := q.RetryConfig; r != nil {
		if r.MaxAttempts < -1 {
			add("retryConfig.maxAttempts", "%d is not -1 (unlimited) or more", r.MaxAttempts)
		}
		if r.MaxDoublings < 0 {
			add("retryConfig.maxDoublings", "%d is negative", r.MaxDoublings)
		}
		for field, value := range map[string]string{
			"retryConfig.maxRetryDuration": r.MaxRetryDuration, "retryConfig.minBackoff": r.MinBackoff, "retryConfig.maxBackoff": r.MaxBackoff,
		} {
			if d, err := time.ParseDuration(value); value != "" && (err != nil || !strings.HasSuffix(value, "s") || d < 0) {
				add(field, "%q is not a duration in seconds (\"3.5s\")", value)
			}
		}
		if duration(r.MinBackoff, 100*time.Millisecond) > duration(r.MaxBackoff, time.Hour) {
			add("retryConfig.minBackoff", "%s exceeds maxBackoff %s", r.MinBackoff, r.MaxBackoff)
		}
	}
	slices.SortFunc(v, func(a, b Violation) int { return strings.Compare(a.Field, b.Field) })
	return v
}

func duration(s string, absent time.Duration) time.Duration {
	if d, err := time.ParseDuration(s); err == nil {
		return d
	}
	return absent
}

// withDefaults fills in what the API fills in.
func withDefaults(in *api.Queue) *api.Queue {
	q := *in
	limits, retry := api.RateLimits{}, api.RetryConfig{}
	if q.RateLimits != nil {
		limits = *q.RateLimits
	}
	if q.RetryConfig != nil {
		retry = *q.RetryConfig
	}
	if limits.MaxDispatchesPerSecond == 0 {
		limits.MaxDispatchesPerSecond = 500
	}
	if limits.MaxConcurrentDispatches == 0 {
		limits.MaxConcurrentDispatches = 1000
	}
	// Output only: the API chooses the bucket by the rate; 500/s have 100.
	limits.MaxBurstSize = int64(min(100, max(10, math.Ceil(limits.MaxDispatchesPerSecond/5))))
	if retry.MaxAttempts == 0 {
		retry.MaxAttempts = 100
	}
	if retry.MaxDoublings == 0 {
		retry.MaxDoublings = 16
	}
	if retry.MinBackoff == "" {
		retry.MinBackoff = "0.100s"
	}
	if retry.MaxBackoff == "" {
		retry.MaxBackoff = "3600s"
	}
	q.RateLimits, q.RetryConfig = &limits, &retry
	return &q
}

// CreateQueue is projects.locations.queues.create.
func (s *Service) CreateQueue(_ context.Context, q *api.Queue) (*api.Queue, error) {
	if !queueRef.MatchString(q.Name) {
		return nil, gapi.Errorf(codes.InvalidArgument, "queue.name %q is not projects/P/locations/L/queues/Q", q.Name)
	}
	if err := refused(q); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return nil, gapi.Errorf(codes.Unavailable, "the local Cloud Tasks is closed")
	}
	if s.queues[q.Name] != nil {
		return nil, gapi.Errorf(codes.AlreadyExists, "Queue already exists: %s", q.Name)
	}
	kept := withDefaults(q)
	kept.State = "RUNNING"
	ctx, gone := context.WithCancel(s.ctx)
	created := &queue{
		api: kept, tasks: map[string]*task{}, taken: map[string]time.Time{}, wake: make(chan struct{}, 1), gone: gone,
		limit: rate.NewLimiter(rate.Limit(kept.RateLimits.MaxDispatchesPerSecond), int(kept.RateLimits.MaxBurstSize)),
	}
	s.queues[q.Name] = created
	s.workers.Go(func() { s.dispatch(ctx, created) })
	out := *kept
	return &out, nil
}

func refused(q *api.Queue) error {
	var all []string
	for _, v := range ValidateQueue(q) {
		all = append(all, v.Field+": "+v.Reason)
	}
	if len(all) > 0 {
		return gapi.Errorf(codes.InvalidArgument, "queue.%s", strings.Join(all, "; "))
	}
	return nil
}

// PatchQueue is projects.locations.queues.patch with every mutable field in
// the mask. Its tasks stay.
func (s *Service) PatchQueue(_ context.Context, q *api.Queue) (*api.Queue, error) {
	if err := refused(q); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	have, err := s.queue(q.Name)
	if err != nil {
		return nil, err
	}
	kept := withDefaults(q)
	kept.State, kept.PurgeTime = have.api.State, have.api.PurgeTime
	have.api = kept
	have.limit.SetLimit(rate.Limit(kept.RateLimits.MaxDispatchesPerSecond))
	have.limit.SetBurst(int(kept.RateLimits.MaxBurstSize))
	have.nudge()
	out := *kept
	return &out, nil
}

// GetQueue is projects.locations.queues.get.
func (s *Service) GetQueue(_ context.Context, name string) (*api.Queue, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.queue(name)
	if err != nil {
		return nil, err
	}
	out := *q.api
	return &out, nil
}

// DeleteQueue is projects.locations.queues.delete. Its tasks go with it; those
// under way are abandoned.
func (s *Service) DeleteQueue(_ context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.queue(name)
	if err != nil {
		return err
	}
	q.gone()
	delete(s.queues, name)
	s.idle.Broadcast()
	return nil
}

// PauseQueue is projects.locations.queues.pause.
func (s *Service) PauseQueue(_ context.Context, name string) (*api.Queue, error) {
	return s.change(name, func(q *queue) { q.api.State = "PAUSED" })
}

// ResumeQueue is projects.locations.queues.resume.
func (s *Service) ResumeQueue(_ context.Context, name string) (*api.Queue, error) {
	return s.change(name, func(q *queue) { q.api.State = "RUNNING" })
}

// PurgeQueue is projects.locations.queues.purge. Tasks under way end, and are
// not tried again.
func (s *Service) PurgeQueue(_ context.Context, name string) (*api.Queue, error) {
	return s.change(name, func(q *queue) {
		for name := range q.tasks {
			q.finish(name)
		}
		q.api.PurgeTime = stamp(time.Now())
	})
}

func (s *Service) change(name string, do func(*queue)) (*api.Queue, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.queue(name)
	if err != nil {
		return nil, err
	}
	changed := *q.api
	q.api = &changed
	do(q)
	q.nudge()
	s.idle.Broadcast()
	out := *q.api
	return &out, nil
}

// queue finds a queue. The caller holds mu.
func (s *Service) queue(name string) (*queue, error) {
	q := s.queues[name]
	if q == nil {
		return nil, gapi.Errorf(codes.NotFound, "Queue does not exist: %s", name)
	}
	return q, nil
}

// CreateTask is projects.locations.queues.tasks.create.
func (s *Service) CreateTask(_ context.Context, parent string, in *api.Task) (*api.Task, error) {
	kept, err := newTask(parent, in)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.queue(parent)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	maps.DeleteFunc(q.taken, func(_ string, until time.Time) bool { return !now.Before(until) })
	if q.tasks[kept.api.Name] != nil {
		return nil, gapi.Errorf(codes.AlreadyExists, "Requested entity already exists: %s", kept.api.Name)
	}
	if _, ok := q.taken[kept.api.Name]; ok {
		return nil, gapi.Errorf(codes.AlreadyExists, "The task cannot be created because a task with this name existed too recently: %s", kept.api.Name)
	}
	q.tasks[kept.api.Name] = kept
	q.nudge()
	return kept.view(), nil
}

// newTask checks a task and fills in what the API fills in.
func newTask(parent string, in *api.Task) (*task, error) {
	bad := func(format string, args ...any) (*task, error) {
		return nil, gapi.Errorf(codes.InvalidArgument, format, args...)
	}
	if in == nil || in.HttpRequest == nil {
		return bad("task.httpRequest is required: the local Cloud Tasks has HTTP targets only")
	}
	out := *in
	if out.Name == "" {
		out.Name = parent + "/tasks/" + strings.ReplaceAll(uuid.NewString(), "-", "")
	}
	if id, ok := strings.CutPrefix(out.Name, parent+"/tasks/"); !ok || !taskID.MatchString(id) {
		return bad("task.name %q must be %s/tasks/ and 1 to 500 letters, digits, hyphens and underscores", out.Name, parent)
	}
	if raw, err := json.Marshal(out); err != nil || len(raw) > maxTask {
		return bad("Task size too large: at most %d bytes", maxTask)
	}
	request := *in.HttpRequest
	if u, err := url.Parse(request.Url); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return bad("task.httpRequest.url %q is not an http or https URL", request.Url)
	}
	if request.HttpMethod == "" || request.HttpMethod == "HTTP_METHOD_UNSPECIFIED" {
		request.HttpMethod = http.MethodPost
	}
	methods := []string{http.MethodPost, http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodOptions}
	if !slices.Contains(methods, request.HttpMethod) {
		return bad("task.httpRequest.httpMethod %q is unknown", request.HttpMethod)
	}
	if request.OauthToken != nil {
		return bad("task.httpRequest.oauthToken is for Google APIs; the local Cloud Tasks sends oidcToken only")
	}
	if request.OidcToken != nil && request.OidcToken.ServiceAccountEmail == "" {
		return bad("task.httpRequest.oidcToken.serviceAccountEmail is required")
	}
	body, err := base64.StdEncoding.DecodeString(request.Body)
	if err != nil {
		return bad("task.httpRequest.body is not base64: %v", err)
	}
	out.HttpRequest = &request
	now := time.Now()
	due := now
	if out.ScheduleTime != "" {
		if due, err = time.Parse(time.RFC3339Nano, out.ScheduleTime); err != nil {
			return bad("task.scheduleTime: %v", err)
		}
		if due.Sub(now) > maxSchedule {
			return bad("task.scheduleTime is more than 30 days ahead")
		}
		if due.Before(now) {
			due = now
		}
	}
	if out.DispatchDeadline == "" {
		out.DispatchDeadline = "600s"
	}
	if d := duration(out.DispatchDeadline, 0); d < deadlineLeast || d > deadlineMost {
		return bad("task.dispatchDeadline %q is not between 15s and 1800s", out.DispatchDeadline)
	}
	out.CreateTime, out.ScheduleTime, out.View = stamp(now), stamp(due), "BASIC"
	out.DispatchCount, out.ResponseCount, out.FirstAttempt, out.LastAttempt = 0, 0, nil, nil
	return &task{api: &out, body: body, due: due}, nil
}

// view is the task as the API shows it, without its body.
func (t *task) view() *api.Task {
	out := *t.api
	request := *t.api.HttpRequest
	request.Body = ""
	out.HttpRequest = &request
	return &out
}

// GetTask is projects.locations.queues.tasks.get. Finished tasks are gone.
func (s *Service) GetTask(_ context.Context, name string) (*api.Task, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, t, err := s.task(name)
	if err != nil {
		return nil, err
	}
	return t.view(), nil
}

// DeleteTask is projects.locations.queues.tasks.delete.
func (s *Service) DeleteTask(_ context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, _, err := s.task(name)
	if err != nil {
		return err
	}
	q.finish(name)
	s.idle.Broadcast()
	return nil
}

// ListTasks is projects.locations.queues.tasks.list, in the order in which
// they are due.
func (s *Service) ListTasks(_ context.Context, parent string) ([]*api.Task, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.queue(parent)
	if err != nil {
		return nil, err
	}
	tasks := slices.SortedFunc(maps.Values(q.tasks), func(a, b *task) int {
		return orderOf(a.due.Compare(b.due), strings.Compare(a.api.Name, b.api.Name))
	})
	out := []*api.Task{}
	for _, t := range tasks {
		out = append(out, t.view())
	}
	return out, nil
}

func orderOf(first, second int) int {
	if first != 0 {
		return first
	}
	return second
}

// task finds a task and its queue. The caller holds mu.
func (s *Service) task(name string) (*queue, *task, error) {
	parent, _, _ := strings.Cut(name, "/tasks/")
	q, err := s.queue(parent)
	if err != nil {
		return nil, nil, err
	}
	t := q.tasks[name]
	if t == nil {
		return nil, nil, gapi.Errorf(codes.NotFound, "The task no longer exists: %s", name)
	}
	return q, t, nil
}

// Hold pauses every queue that runs, and returns what has them run again.
func (s *Service) Hold(ctx context.Context) (release func(), err error) {
	s.mu.Lock()
	var names []string
	for name, q := range s.queues {
		if q.api.State == "RUNNING" {
			names = append(names, name)
		}
	}
	s.mu.Unlock()
	release = func() {
		for _, name := range names {
			_, _ = s.ResumeQueue(context.WithoutCancel(ctx), name) // a queue that is gone meanwhile needs nothing
		}
	}
	for _, name := range names {
		if _, err := s.PauseQueue(ctx, name); err != nil {
			release()
			return nil, err
		}
	}
	return release, nil
}

// QueueStatus sums up a queue for people.
type QueueStatus struct {
	Name     string // short id
	State    string // RUNNING or PAUSED
	Waiting  int    // not tried yet
	Running  int    // a request is under way
	Retrying int    // tried, and waiting for another try
}

// Status returns all queues in the order of their names.
func (s *Service) Status() []QueueStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []QueueStatus
	for _, name := range slices.Sorted(maps.Keys(s.queues)) {
		q := s.queues[name]
		st := QueueStatus{Name: name[strings.LastIndex(name, "/")+1:], State: q.api.State}
		for _, t := range q.tasks {
			switch {
			case t.running:
				st.Running++
			case t.attempts > 0:
				st.Retrying++
			default:
				st.Waiting++
			}
		}
		out = append(out, st)
	}
	return out
}

// WaitIdle returns when no queue that runs holds a task, or ctx ends.
func (s *Service) WaitIdle(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.idle.Broadcast()
	})
	defer stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		busy := 0
		for _, q := range s.queues {
			if q.api.State == "RUNNING" {
				busy += len(q.tasks)
			}
		}
		switch {
		case busy == 0:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("%d tasks are not done: %w", busy, ctx.Err())
		case s.ctx.Err() != nil:
			return errors.New("the local Cloud Tasks is closed")
		}
		s.idle.Wait()
	}
}

func (q *queue) nudge() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// finish removes a task and keeps its name from being used again soon.
func (q *queue) finish(name string) {
	delete(q.tasks, name)
	q.taken[name] = time.Now().Add(nameKept)
}

// dispatch sends the queue's tasks when they are due, as fast as it may.
func (s *Service) dispatch(ctx context.Context, q *queue) {
	for {
		s.mu.Lock()
		t, wait := q.next(time.Now())
		if t != nil {
			// The token is taken here and waited for below, with the task
			// already marked, so that one task is not counted twice.
			if wait = q.limit.Reserve().Delay(); wait == 0 {
				s.launch(ctx, q, t)
				s.mu.Unlock()
				continue
			}
			t.running = true
			q.running++
		}
		s.mu.Unlock()
		if t != nil {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return
			}
			s.mu.Lock()
			t.running = false
			q.running--
			if q.tasks[t.api.Name] == t && q.api.State == "RUNNING" {
				s.launch(ctx, q, t)
			}
			s.mu.Unlock()
			continue
		}
		var timer <-chan time.Time
		if wait > 0 {
			timer = time.After(wait)
		}
		select {
		case <-timer:
		case <-q.wake:
		case <-ctx.Done():
			return
		}
	}
}

// next returns the task to send now, or how long nothing is due; 0 means until
// something changes.
func (q *queue) next(now time.Time) (*task, time.Duration) {
	if q.api.State != "RUNNING" || int64(q.running) >= q.api.RateLimits.MaxConcurrentDispatches {
		return nil, 0
	}
	var first *task
	for _, t := range q.tasks {
		if !t.running && (first == nil || orderOf(t.due.Compare(first.due), strings.Compare(t.api.Name, first.api.Name)) < 0) {
			first = t
		}
	}
	if first == nil {
		return nil, 0
	}
	if wait := first.due.Sub(now); wait > 0 {
		return nil, wait
	}
	return first, 0
}

// launch sends a task once, in the background. The caller holds mu.
func (s *Service) launch(ctx context.Context, q *queue, t *task) {
	t.running = true
	q.running++
	now := time.Now()
	if t.attempts == 0 {
		t.first = now
	}
	t.attempts++
	attempt := *t
	changed := *t.api
	changed.DispatchCount++
	changed.LastAttempt = &api.Attempt{ScheduleTime: stamp(t.due), DispatchTime: stamp(now)}
	t.api = &changed
	s.workers.Go(func() {
		code, retryAfter, err := s.send(ctx, &attempt)
		s.mu.Lock()
		defer s.mu.Unlock()
		q.settle(t, code, retryAfter, err)
		q.nudge()
		s.idle.Broadcast()
	})
}

// settle records the outcome of an attempt: the task is finished, or tried
// again later. The caller holds mu.
func (q *queue) settle(t *task, code int, retryAfter time.Duration, err error) {
	t.running = false
	q.running--
	if q.tasks[t.api.Name] != t { // deleted or purged meanwhile
		return
	}
	now := time.Now()
	changed, last := *t.api, *t.api.LastAttempt
	last.ResponseStatus = &api.Status{}
	if code != 0 {
		changed.ResponseCount++
		last.ResponseTime = stamp(now)
	}
	if err != nil {
		last.ResponseStatus = &api.Status{Code: 2, Message: err.Error()} // UNKNOWN
	}
	changed.LastAttempt = &last
	if changed.FirstAttempt == nil {
		changed.FirstAttempt = &api.Attempt{DispatchTime: last.DispatchTime}
	}
	t.api = &changed
	if err == nil {
		q.finish(t.api.Name)
		return
	}
	retry := q.api.RetryConfig
	if t.api.RetryConfig != nil {
		retry = withDefaults(&api.Queue{RetryConfig: t.api.RetryConfig}).RetryConfig
	}
	if spent(retry, t.attempts, now.Sub(t.first)) {
		q.finish(t.api.Name) // Cloud Tasks has no dead-letter queue
		return
	}
	t.previous, t.why = code, err.Error()
	t.due = now.Add(max(backoff(retry, t.attempts-1), retryAfter))
	t.api.ScheduleTime = stamp(t.due)
}

// spent reports whether a task is given up: when both its attempts and its
// time are used up. Without a duration the attempts alone decide.
func spent(r *api.RetryConfig, attempts int64, since time.Duration) bool {
	return r.MaxAttempts != -1 && attempts >= r.MaxAttempts && since >= duration(r.MaxRetryDuration, 0)
}

// backoff is the pause before the retry with the given number (from 0): it
// doubles from minBackoff maxDoublings times, then grows by the last step, up
// to maxBackoff.
func backoff(r *api.RetryConfig, retry int64) time.Duration {
	least, most := duration(r.MinBackoff, 0), duration(r.MaxBackoff, time.Hour)
	factor := math.Pow(2, float64(min(retry, r.MaxDoublings)))
	if retry > r.MaxDoublings {
		factor *= float64(retry - r.MaxDoublings + 1)
	}
	if pause := float64(least) * factor; pause < float64(most) {
		return time.Duration(pause)
	}
	return most
}

// send makes the request of one attempt. err is nil if it was answered with a
// 2xx; code is 0 if it was not answered.
func (s *Service) send(ctx context.Context, t *task) (code int, retryAfter time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, duration(t.api.DispatchDeadline, deadlineAbsent))
	defer cancel()
	r := t.api.HttpRequest
	req, err := http.NewRequestWithContext(ctx, r.HttpMethod, r.Url, bytes.NewReader(t.body))
	if err != nil {
		return 0, 0, err
	}
	for k, v := range r.Headers {
		req.Header.Set(k, v)
	}
	parts := strings.Split(t.api.Name, "/") // projects/P/locations/L/queues/Q/tasks/T
	req.Header.Set("User-Agent", "Google-Cloud-Tasks")
	req.Header.Set("X-CloudTasks-QueueName", parts[5])
	req.Header.Set("X-CloudTasks-TaskName", parts[7])
	req.Header.Set("X-CloudTasks-TaskRetryCount", strconv.FormatInt(t.attempts-1, 10))
	req.Header.Set("X-CloudTasks-TaskExecutionCount", strconv.FormatInt(t.api.ResponseCount, 10))
	req.Header.Set("X-CloudTasks-TaskETA", fmt.Sprintf("%.6f", float64(t.due.UnixMicro())/1e6))
	if t.previous != 0 {
		req.Header.Set("X-CloudTasks-TaskPreviousResponse", strconv.Itoa(t.previous))
	}
	if t.why != "" {
		req.Header.Set("X-CloudTasks-TaskRetryReason", t.why)
	}
	if oidc := r.OidcToken; oidc != nil {
		audience := oidc.Audience
		if audience == "" {
			audience = r.Url
		}
		token, err := s.o.Identity.IDToken(oidc.ServiceAccountEmail, audience)
		if err != nil {
			return 0, 0, fmt.Errorf("OIDC token of %s: %w", oidc.ServiceAccountEmail, err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, 0, err
	}
	defer resp.Body.Close()
	reason, _ := io.ReadAll(io.LimitReader(resp.Body, 512)) // for people; the status decides
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return resp.StatusCode, 0, nil
	}
	if resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable {
		if n, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && n > 0 {
			retryAfter = time.Duration(n) * time.Second
		} else if at, err := http.ParseTime(resp.Header.Get("Retry-After")); err == nil {
			retryAfter = time.Until(at)
		}
	}
	return resp.StatusCode, retryAfter, fmt.Errorf("%s answered %s: %s", r.Url, resp.Status, strings.Join(strings.Fields(string(reason)), " "))
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
