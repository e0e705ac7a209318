package cloudtasks

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	cloudtasks "cloud.google.com/go/cloudtasks/apiv2"
	"cloud.google.com/go/cloudtasks/apiv2/cloudtaskspb"
	"github.com/google/go-cmp/cmp"
	"github.com/googleapis/gax-go/v2/apierror"
	"golang.org/x/oauth2"
	api "google.golang.org/api/cloudtasks/v2"
	"google.golang.org/api/option"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ingestion.internal/local/cloud/gapi"
	"ingestion.internal/local/cloud/iam"
	"ingestion.internal/local/cloud/identity"
)

const (
	queueName = "projects/p/locations/us-central1/queues/q"
	enqueuer  = "enqueuer@p.iam.gserviceaccount.com"
	dispatch  = "dispatch@p.iam.gserviceaccount.com"
)

// answer is a worker: it answers the n-th request (from 0).
type answer func(n int, r *http.Request) *http.Response

// worker is a transport that records when requests come and answers them
// without a network, so that it can live in a synctest bubble.
type worker struct {
	answer answer
	start  time.Time

	mu   sync.Mutex
	at   []time.Duration // since start
	seen []*http.Request
}

func newWorker(a answer) *worker { return &worker{answer: a, start: time.Now()} }

func (w *worker) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	n := len(w.at)
	w.at = append(w.at, time.Since(w.start))
	w.seen = append(w.seen, r)
	w.mu.Unlock()
	if resp := w.answer(n, r); resp != nil {
		return resp, nil
	}
	return nil, errors.New("connection refused")
}

func respond(code int, header ...string) *http.Response {
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{StatusCode: code, Status: fmt.Sprint(code), Header: h, Body: io.NopCloser(strings.NewReader("because"))}
}

// always answers every request with the code.
func always(code int) answer { return func(int, *http.Request) *http.Response { return respond(code) } }

// open returns a service with one queue inside a bubble.
func open(t *testing.T, w *worker, limits *api.RateLimits, retry *api.RetryConfig) *Service {
	t.Helper()
	s := New(Options{Transport: w})
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	if _, err := s.CreateQueue(t.Context(), &api.Queue{Name: queueName, RateLimits: limits, RetryConfig: retry}); err != nil {
		t.Fatal(err)
	}
	return s
}

func newTaskSpec(id string) *api.Task {
	task := &api.Task{HttpRequest: &api.HttpRequest{Url: "http://worker/tasks", Body: base64.StdEncoding.EncodeToString([]byte("body"))}}
	if id != "" {
		task.Name = queueName + "/tasks/" + id
	}
	return task
}

func add(t *testing.T, s *Service, task *api.Task) {
	t.Helper()
	if _, err := s.CreateTask(t.Context(), queueName, task); err != nil {
		t.Fatal(err)
	}
}

func idle(t *testing.T, s *Service) {
	t.Helper()
	if err := s.WaitIdle(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestRetries(t *testing.T) {
	second := func(s ...float64) []time.Duration {
		var out []time.Duration
		for _, x := range s {
			out = append(out, time.Duration(x*float64(time.Second)))
		}
		return out
	}
	tests := []struct {
		name   string
		retry  *api.RetryConfig
		answer answer
		want   []time.Duration
	}{
		{
			"success is once", &api.RetryConfig{MaxAttempts: 5}, always(http.StatusNoContent), second(0),
		},
		{
			// The documentation's example: 10, 20, 40, 80, 160, 240, 300, 300.
			"doubles, then grows evenly, up to the most",
			&api.RetryConfig{MaxAttempts: 9, MinBackoff: "10s", MaxBackoff: "300s", MaxDoublings: 3},
			always(http.StatusInternalServerError), second(0, 10, 30, 70, 150, 310, 550, 850, 1150),
		},
		{
			"both attempts and time must be used up",
			&api.RetryConfig{MaxAttempts: 2, MaxRetryDuration: "35s", MinBackoff: "10s", MaxBackoff: "10s"},
			always(http.StatusBadRequest), second(0, 10, 20, 30, 40),
		},
		{
			"Retry-After delays",
			&api.RetryConfig{MaxAttempts: 3, MinBackoff: "1s", MaxBackoff: "1s"},
			func(n int, _ *http.Request) *http.Response {
				return []*http.Response{
					respond(http.StatusServiceUnavailable, "Retry-After", "30"), respond(http.StatusBadGateway, "Retry-After", "30"), respond(http.StatusOK),
				}[n]
			}, second(0, 30, 31),
		},
		{
			"an unreachable worker is retried",
			&api.RetryConfig{MaxAttempts: 3, MinBackoff: "1s", MaxBackoff: "1s"},
			func(int, *http.Request) *http.Response { return nil }, second(0, 1, 2),
		},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorker(tc.answer)
				s := open(t, w, nil, tc.retry)
				add(t, s, newTaskSpec("t"))
				idle(t, s)
				if diff := cmp.Diff(tc.want, w.at); diff != "" {
					t.Errorf("dispatches (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestHeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorker(func(n int, _ *http.Request) *http.Response {
			return []*http.Response{respond(http.StatusConflict), respond(http.StatusOK)}[n]
		})
		s := open(t, w, nil, &api.RetryConfig{MinBackoff: "1s", MaxBackoff: "1s"})
		task := newTaskSpec("t")
		task.HttpRequest.Headers = map[string]string{"Content-Type": "application/json", "X-CloudTasks-QueueName": "forged"}
		add(t, s, task)
		idle(t, s)
		got := w.seen[1]
		want := map[string]string{
			"User-Agent": "Google-Cloud-Tasks", "Content-Type": "application/json",
			"X-CloudTasks-QueueName": "q", "X-CloudTasks-TaskName": "t",
			"X-CloudTasks-TaskRetryCount": "1", "X-CloudTasks-TaskExecutionCount": "1",
			"X-CloudTasks-TaskETA":              "946684801.000000", // bubbles begin at midnight, 2000-01-01
			"X-CloudTasks-TaskPreviousResponse": "409",
			"X-CloudTasks-TaskRetryReason":      "http://worker/tasks answered 409: because",
		}
		have := map[string]string{}
		for name := range got.Header {
			have[name] = got.Header.Get(name)
		}
		canonical := map[string]string{}
		for name, v := range want {
			canonical[http.CanonicalHeaderKey(name)] = v
		}
		if diff := cmp.Diff(canonical, have); diff != "" {
			t.Errorf("headers (-want +got):\n%s", diff)
		}
		if got.Method != http.MethodPost {
			t.Errorf("method %s", got.Method)
		}
	})
}

func TestNamesAreRefusedForADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, newWorker(always(http.StatusOK)), nil, nil)
		later := newTaskSpec("t")
		later.ScheduleTime = time.Now().Add(time.Hour).Format(time.RFC3339Nano)
		add(t, s, later)
		again := func() codes.Code {
			_, err := s.CreateTask(t.Context(), queueName, newTaskSpec("t"))
			if err == nil {
				return codes.OK
			}
			return gapi.Code(err)
		}
		if got := again(); got != codes.AlreadyExists {
			t.Errorf("while it waits: %v", got)
		}
		idle(t, s) // one hour passes
		time.Sleep(24*time.Hour - time.Nanosecond)
		if got := again(); got != codes.AlreadyExists {
			t.Errorf("just before a day has passed: %v", got)
		}
		time.Sleep(time.Nanosecond)
		if got := again(); got != codes.OK {
			t.Errorf("after a day: %v", got)
		}
	})
}

func TestRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorker(always(http.StatusOK))
		s := open(t, w, &api.RateLimits{MaxDispatchesPerSecond: 2}, nil)
		for range 13 {
			add(t, s, newTaskSpec(""))
		}
		idle(t, s)
		slices.Sort(w.at)
		want := append(make([]time.Duration, 10), 500*time.Millisecond, time.Second, 1500*time.Millisecond)
		if diff := cmp.Diff(want, w.at); diff != "" {
			t.Errorf("dispatches (-want +got):\n%s", diff)
		}
	})
}

func TestConcurrencyLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		w := newWorker(func(int, *http.Request) *http.Response {
			<-release
			return respond(http.StatusOK)
		})
		s := open(t, w, &api.RateLimits{MaxConcurrentDispatches: 2}, nil)
		for range 5 {
			add(t, s, newTaskSpec(""))
		}
		synctest.Wait()
		want := []QueueStatus{{Name: "q", State: "RUNNING", Waiting: 3, Running: 2}}
		if diff := cmp.Diff(want, s.Status()); diff != "" {
			t.Errorf("status (-want +got):\n%s", diff)
		}
		close(release)
		idle(t, s)
		if len(w.at) != 5 {
			t.Errorf("%d dispatches of 5", len(w.at))
		}
	})
}

func TestPauseAndPurge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorker(always(http.StatusOK))
		s := open(t, w, nil, nil)
		if _, err := s.PauseQueue(t.Context(), queueName); err != nil {
			t.Fatal(err)
		}
		add(t, s, newTaskSpec("a"))
		time.Sleep(time.Hour)
		if len(w.at) != 0 {
			t.Error("a paused queue dispatched")
		}
		if _, err := s.PurgeQueue(t.Context(), queueName); err != nil {
			t.Fatal(err)
		}
		if _, err := s.ResumeQueue(t.Context(), queueName); err != nil {
			t.Fatal(err)
		}
		add(t, s, newTaskSpec("b"))
		idle(t, s)
		if len(w.at) != 1 || w.seen[0].Header.Get("X-CloudTasks-TaskName") != "b" {
			t.Errorf("%d dispatches, want only b", len(w.at))
		}
	})
}

func TestDispatchDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorker(func(n int, r *http.Request) *http.Response {
			if n == 0 {
				<-r.Context().Done()
				return nil
			}
			return respond(http.StatusOK)
		})
		s := open(t, w, nil, &api.RetryConfig{MinBackoff: "1s", MaxBackoff: "1s"})
		task := newTaskSpec("t")
		task.DispatchDeadline = "15s"
		add(t, s, task)
		idle(t, s)
		if diff := cmp.Diff([]time.Duration{0, 16 * time.Second}, w.at); diff != "" {
			t.Errorf("dispatches (-want +got):\n%s", diff)
		}
	})
}

func TestInvalidTasks(t *testing.T) {
	s := New(Options{Transport: newWorker(always(http.StatusOK))})
	defer s.Close()
	if _, err := s.CreateQueue(t.Context(), &api.Queue{Name: queueName}); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*api.Task){
		"no target":      func(t *api.Task) { t.HttpRequest = nil },
		"other queue":    func(t *api.Task) { t.Name = "projects/p/locations/l/queues/other/tasks/t" },
		"bad id":         func(t *api.Task) { t.Name += "/x" },
		"too large":      func(t *api.Task) { t.HttpRequest.Body = strings.Repeat("A", maxTask) },
		"no host":        func(t *api.Task) { t.HttpRequest.Url = "/tasks" },
		"not base64":     func(t *api.Task) { t.HttpRequest.Body = "!" },
		"deadline":       func(t *api.Task) { t.DispatchDeadline = "1s" },
		"too far ahead":  func(t *api.Task) { t.ScheduleTime = time.Now().Add(31 * 24 * time.Hour).Format(time.RFC3339) },
		"token of whom?": func(t *api.Task) { t.HttpRequest.OidcToken = &api.OidcToken{} },
	} {
		task := newTaskSpec("t")
		change(task)
		if _, err := s.CreateTask(t.Context(), queueName, task); gapi.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: got %v, want InvalidArgument", name, err)
		}
	}
}

func TestInvalidQueues(t *testing.T) {
	got := ValidateQueue(&api.Queue{
		Name:        queueName + "_",
		RateLimits:  &api.RateLimits{MaxDispatchesPerSecond: 501, MaxConcurrentDispatches: 5001},
		RetryConfig: &api.RetryConfig{MaxAttempts: -2, MinBackoff: "20s", MaxBackoff: "10s", MaxRetryDuration: "1 hour"},
	})
	var fields []string
	for _, v := range got {
		fields = append(fields, v.Field)
	}
	want := []string{
		"name", "rateLimits.maxConcurrentDispatches", "rateLimits.maxDispatchesPerSecond",
		"retryConfig.maxAttempts", "retryConfig.maxRetryDuration", "retryConfig.minBackoff",
	}
	if diff := cmp.Diff(want, fields); diff != "" {
		t.Errorf("violations (-want +got):\n%s", diff)
	}
}

// TestOfficialClient enqueues over REST with Google's client, real tokens and
// real grants, and has the task delivered to a real server.
func TestOfficialClient(t *testing.T) {
	policy := iam.New("p", "123")
	policy.AddAccount(enqueuer)
	policy.AddAccount(dispatch)
	ident, err := identity.New(identity.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s := New(Options{IAM: policy, Identity: ident})
	defer s.Close()
	if _, err := s.CreateQueue(t.Context(), &api.Queue{Name: queueName}); err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(s.Handler())
	defer front.Close()

	type delivery struct{ principal, body string }
	delivered := make(chan delivery, 1)
	target := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		principal, err := ident.VerifyIDToken(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), "https://worker")
		if err != nil {
			principal = err.Error()
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		delivered <- delivery{principal, string(body)}
	}))
	defer target.Close()

	token, _ := ident.AccessToken(enqueuer)
	client, err := cloudtasks.NewRESTClient(t.Context(), option.WithEndpoint(front.URL),
		option.WithTokenSource(oauth2.StaticTokenSource(&oauth2.Token{AccessToken: token})))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	request := &cloudtaskspb.CreateTaskRequest{Parent: queueName, Task: &cloudtaskspb.Task{
		Name: queueName + "/tasks/t",
		MessageType: &cloudtaskspb.Task_HttpRequest{HttpRequest: &cloudtaskspb.HttpRequest{
			Url: target.URL, HttpMethod: cloudtaskspb.HttpMethod_POST, Body: []byte(`{"id":1}`),
			AuthorizationHeader: &cloudtaskspb.HttpRequest_OidcToken{OidcToken: &cloudtaskspb.OidcToken{
				ServiceAccountEmail: dispatch, Audience: "https://worker",
			}},
		}},
	}}
	refused := func(role string) {
		t.Helper()
		_, err := client.CreateTask(t.Context(), request)
		if status.Code(err) != codes.PermissionDenied || !strings.Contains(fmt.Sprint(err), role) {
			t.Errorf("got %v, want PermissionDenied that names %s", err, role)
		}
	}
	refused("roles/cloudtasks.enqueuer")
	grant := func(g iam.Grant) {
		t.Helper()
		if err := policy.Grant(g); err != nil {
			t.Fatal(err)
		}
	}
	grant(iam.Grant{Service: "cloudtasks.googleapis.com", Resource: queueName, Role: "roles/cloudtasks.enqueuer", Member: "serviceAccount:" + enqueuer})
	refused("roles/iam.serviceAccountUser")
	grant(iam.Grant{Service: "iam.googleapis.com", Resource: "projects/p/serviceAccounts/" + dispatch, Role: "roles/iam.serviceAccountUser", Member: "serviceAccount:" + enqueuer})

	task, err := client.CreateTask(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	if task.GetName() != queueName+"/tasks/t" || task.GetHttpRequest().GetUrl() != target.URL || task.GetCreateTime() == nil {
		t.Errorf("got %v", task)
	}
	if got, want := <-delivered, (delivery{"serviceAccount:" + dispatch, `{"id":1}`}); got != want {
		t.Errorf("delivered %+v, want %+v", got, want)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := s.WaitIdle(ctx); err != nil {
		t.Fatal(err)
	}
	// Over REST the client knows the HTTP code only.
	_, err = client.CreateTask(t.Context(), request)
	if refusal, ok := errors.AsType[*apierror.APIError](err); !ok || refusal.HTTPCode() != http.StatusConflict {
		t.Errorf("again: got %v, want 409", err)
	}
}

// Hold has running queues run again, and leaves those alone that were paused.
func TestHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, newWorker(always(http.StatusOK)), nil, nil)
		if _, err := s.CreateQueue(t.Context(), &api.Queue{Name: queueName + "-paused"}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.PauseQueue(t.Context(), queueName+"-paused"); err != nil {
			t.Fatal(err)
		}
		states := func() (all []string) {
			for _, q := range s.Status() {
				all = append(all, q.State)
			}
			return all
		}
		release, err := s.Hold(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([]string{"PAUSED", "PAUSED"}, states()); d != "" {
			t.Errorf("held: %s", d)
		}
		release()
		if d := cmp.Diff([]string{"RUNNING", "PAUSED"}, states()); d != "" {
			t.Errorf("released: %s", d)
		}
	})
}
