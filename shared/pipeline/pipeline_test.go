package pipeline_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/cloudtasks/apiv2/cloudtaskspb"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"io"
	"log/slog"

	"ingestion.internal/shared/gcp"
	"ingestion.internal/shared/logging"
	"ingestion.internal/shared/pipeline"
	"ingestion.internal/shared/service"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/store/storetest"
	"ingestion.internal/shared/topology"
	"ingestion.internal/shared/wirefake"
)

const queue = "projects/p/locations/l/queues/ai-analysis"

// worker is a Worker whose work is a function.
type worker func(ctx context.Context, job pipeline.Job) (pipeline.Outcome, error)

func (w worker) Stage() topology.Stage { return topology.AudioProcessing }

func (w worker) Work(ctx context.Context, job pipeline.Job) (pipeline.Outcome, error) {
	return w(ctx, job)
}

type fixture struct {
	t      *testing.T
	db     *store.DB
	google *wirefake.Server
	enq    *pipeline.Enqueuer
	cfg    pipeline.StageConfig
	ctx    context.Context // of deliveries
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	return newFixtureWith(t, time.Now, pipeline.Targets{})
}

// newFixtureWith is newFixture with a clock and more targets.
func newFixtureWith(t *testing.T, now func() time.Time, targets pipeline.Targets) *fixture {
	t.Helper()
	wirefake.Credentials(t)
	google := wirefake.New(t, nil)
	client, err := gcp.CloudTasks(t.Context(), google.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	targets[topology.AIAnalysis.Queue()] = pipeline.Target{Queue: queue, ServiceURL: "https://analyzer.example"}
	enq := pipeline.NewEnqueuer(client, pipeline.TasksConfig{ServiceAccount: "tasks@p.iam.gserviceaccount.com"}, targets)
	return &fixture{t, storetest.Open(t, store.WithClock(now)), google, enq, pipeline.StageConfig{MaxAttempts: 2, Lease: time.Minute}, t.Context()}
}

// request makes a request whose audio stage is pending.
func (f *fixture) request(callID string) pipeline.Task {
	f.t.Helper()
	id := store.RequestID(storetest.Acme, store.SourceCallRail, callID)
	_, err := storetest.Accept(f.t.Context(), f.db.Tenant(storetest.Acme), store.Request{RequestID: id, Source: store.SourceCallRail, CallID: callID}, topology.AudioProcessing)
	if err != nil {
		f.t.Fatal(err)
	}
	return pipeline.Task{TenantID: storetest.Acme, RequestID: id}
}

// post delivers the task to a runner of the worker and returns the status.
func (f *fixture) post(task pipeline.Task, w worker) int {
	f.t.Helper()
	body, err := json.Marshal(task)
	if err != nil {
		f.t.Fatal(err)
	}
	return f.postBody(string(body), w)
}

func (f *fixture) postBody(body string, w worker) int {
	f.t.Helper()
	s := service.New(service.Config{MaxBodyBytes: 1000}, slog.New(slog.NewTextHandler(io.Discard, nil)))
	pipeline.NewRunner(f.db, w, f.enq, f.cfg).Mount(s.Router)
	rec := httptest.NewRecorder()
	s.Router.ServeHTTP(rec, httptest.NewRequestWithContext(f.ctx, http.MethodPost, topology.AudioProcessing.Path(), strings.NewReader(body)))
	return rec.Code
}

func (f *fixture) want(task pipeline.Task, status store.Status, cause string, want ...store.StageStatus) {
	f.t.Helper()
	h := f.db.Tenant(task.TenantID)
	r, err := h.Request(f.t.Context(), task.RequestID)
	if err != nil {
		f.t.Fatal(err)
	}
	if r.Status != status || r.FailureCause != cause {
		f.t.Errorf("status %s, cause %q; want %s, %q", r.Status, r.FailureCause, status, cause)
	}
	got, err := h.Stages(f.t.Context(), task.RequestID)
	if err != nil {
		f.t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreTypes(time.Time{})); diff != "" {
		f.t.Errorf("stages (-want +got)\n%s", diff)
	}
}

func next(context.Context, pipeline.Job) (pipeline.Outcome, error) {
	name := "Kim"
	return pipeline.Outcome{Update: store.RequestUpdate{CustomerName: &name}, Next: topology.AIAnalysis}, nil
}

func never(t *testing.T) worker {
	return func(context.Context, pipeline.Job) (pipeline.Outcome, error) {
		t.Error("the worker ran")
		return pipeline.Outcome{}, nil
	}
}

func TestRunner(t *testing.T) {
	f := newFixture(t)
	audio := func(state string, attempts int, cause string) store.StageStatus {
		return store.StageStatus{Stage: topology.AudioProcessing, State: state, Attempts: attempts, Cause: cause}
	}
	analysis := func(enqueued bool) store.StageStatus {
		return store.StageStatus{Stage: topology.AIAnalysis, State: "pending", Enqueued: enqueued}
	}
	failing := func(err error) worker {
		return func(context.Context, pipeline.Job) (pipeline.Outcome, error) { return pipeline.Outcome{}, err }
	}
	post := func(t *testing.T, task pipeline.Task, w worker, want int) {
		t.Helper()
		if got := f.post(task, w); got != want {
			t.Errorf("status %d, want %d", got, want)
		}
	}

	t.Run("success", func(t *testing.T) {
		task := f.request("S1")
		post(t, task, func(ctx context.Context, job pipeline.Job) (pipeline.Outcome, error) {
			if job.Attempt != 1 || job.Request.CallID != "S1" || job.Office == nil {
				t.Errorf("job %+v", job)
			}
			if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > f.cfg.Lease {
				t.Errorf("the attempt's deadline %v is not within the lease", deadline)
			}
			return next(ctx, job)
		}, 200)
		f.want(task, store.StatusProcessing, "", audio("done", 1, ""), analysis(true))
		post(t, task, never(t), 200) // delivered twice
		tasks := f.google.Tasks(queue)
		if len(tasks) != 1 {
			t.Fatalf("%d tasks, want 1", len(tasks))
		}
		for id, got := range tasks {
			if !strings.HasSuffix(id, task.RequestID) {
				t.Errorf("task id %s", id)
			}
			req := got.GetHttpRequest()
			var body pipeline.Task
			if err := json.Unmarshal(req.GetBody(), &body); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(task, body); diff != "" {
				t.Errorf("body (-want +got)\n%s", diff)
			}
			if req.GetUrl() != "https://analyzer.example/tasks/ai-analysis" || req.GetHttpMethod() != cloudtaskspb.HttpMethod_POST ||
				req.GetOidcToken().GetAudience() != "https://analyzer.example" ||
				req.GetOidcToken().GetServiceAccountEmail() != "tasks@p.iam.gserviceaccount.com" ||
				req.GetHeaders()["Content-Type"] != "application/json" {
				t.Errorf("task %v", got)
			}
		}
	})
	t.Run("committed_but_not_enqueued", func(t *testing.T) {
		task := f.request("S2")
		f.google.Fail(http.StatusForbidden)
		post(t, task, next, 503)
		f.want(task, store.StatusProcessing, "", audio("done", 1, ""), analysis(false))
		f.google.Fail(0)
		post(t, task, never(t), 200)
		f.want(task, store.StatusProcessing, "", audio("done", 1, ""), analysis(true))
	})
	t.Run("enqueued_but_not_recorded", func(t *testing.T) {
		task := f.request("S3")
		if err := f.enq.Enqueue(t.Context(), store.Step{Stage: topology.AIAnalysis}, task); err != nil {
			t.Fatal(err)
		}
		post(t, task, next, 200) // meets ALREADY_EXISTS
		f.want(task, store.StatusProcessing, "", audio("done", 1, ""), analysis(true))
	})
	t.Run("retried_until_dead_letter", func(t *testing.T) {
		task := f.request("F1")
		post(t, task, failing(errors.New(`Get "https://x.example/r?access_key=hunter2": token="abc123" refused`)), 503)
		cause := `Get "https://x.example/r?…": token=…" refused`
		f.want(task, store.StatusProcessing, "", audio("pending", 1, cause))
		post(t, task, failing(errors.New("again")), 200)
		f.want(task, store.StatusDeadLetter, "again", audio("dead_letter", 2, "again"))
		post(t, task, never(t), 200)
	})
	t.Run("permanent", func(t *testing.T) {
		task := f.request("F2")
		post(t, task, failing(pipeline.Permanent(errors.New("not audio"))), 200)
		f.want(task, store.StatusFailed, "not audio", audio("failed", 1, "not audio"))
	})
	t.Run("panic", func(t *testing.T) {
		task := f.request("F3")
		post(t, task, func(context.Context, pipeline.Job) (pipeline.Outcome, error) { panic("oops") }, 503)
		f.want(task, store.StatusProcessing, "", audio("pending", 1, "panic: oops"))
	})
	t.Run("claimed_by_another", func(t *testing.T) {
		task := f.request("F4")
		if _, err := f.db.Tenant(task.TenantID).Claim(t.Context(), task.RequestID, topology.AudioProcessing, time.Minute, 2); err != nil {
			t.Fatal(err)
		}
		post(t, task, never(t), 409)
	})
	t.Run("slow", func(t *testing.T) {
		task := f.request("F5")
		f.cfg.Lease = 400 * time.Millisecond
		defer func() { f.cfg.Lease = time.Minute }()
		post(t, task, func(ctx context.Context, _ pipeline.Job) (pipeline.Outcome, error) {
			<-ctx.Done()
			return pipeline.Outcome{}, ctx.Err()
		}, 503)
		f.want(task, store.StatusProcessing, "", audio("pending", 1, "context deadline exceeded"))
	})
	t.Run("unknown_request", func(t *testing.T) {
		task := f.request("F6")
		task.TenantID = storetest.Bolt
		post(t, task, never(t), 200)
	})
	for name, body := range map[string]string{
		"empty": "", "not_json": "x", "no_ids": "{}", "bad_tenant": `{"tenant_id":"../x","request_id":"6dab51f4-897f-5e6e-812e-f813e8f04927"}`,
	} {
		t.Run("body_"+name, func(t *testing.T) {
			if got := f.postBody(body, never(t)); got != 400 {
				t.Errorf("status %d, want 400", got)
			}
		})
	}
}

func TestEnqueueRetriesWhatIsTemporary(t *testing.T) {
	f := newFixture(t)
	task := pipeline.Task{TenantID: "acme", RequestID: "r"}
	for status, want := range map[int]int{http.StatusServiceUnavailable: 3, http.StatusForbidden: 1} {
		f.google.Fail(status)
		before := f.google.Calls()
		if err := f.enq.Enqueue(t.Context(), store.Step{Stage: topology.AIAnalysis}, task); err == nil {
			t.Errorf("%d: no error", status)
		}
		if got := f.google.Calls() - before; got != want {
			t.Errorf("%d: %d calls, want %d", status, got, want)
		}
	}
	if err := f.enq.Enqueue(t.Context(), store.Step{Stage: topology.Workflow}, task); err == nil {
		t.Error("a stage without a queue: no error")
	}
}

// A task that comes while the database is away is kept by its queue, and is no
// attempt of the stage.
func TestDatabaseAway(t *testing.T) {
	f := newFixture(t)
	task := f.request("D1")
	here := f.db

	// Where the service is to look for the database now, nobody listens.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	_, cfg := storetest.OpenConfig(t)
	t.Setenv("SPANNER_EMULATOR_HOST", l.Addr().String())
	away, err := store.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { away.Close() })
	short, cancel := context.WithTimeout(t.Context(), time.Second) // instead of the runner's own, longer one
	defer cancel()
	f.db, f.ctx = away, short
	if got := f.post(task, never(t)); got != http.StatusServiceUnavailable {
		t.Errorf("status %d, want 503", got)
	}

	f.db, f.ctx = here, t.Context()
	if got := f.post(task, next); got != http.StatusOK {
		t.Errorf("status %d when it is back, want 200", got)
	}
	f.want(task, store.StatusProcessing, "",
		store.StageStatus{Stage: topology.AudioProcessing, State: "done", Attempts: 1},
		store.StageStatus{Stage: topology.AIAnalysis, State: "pending", Enqueued: true})
}

func TestTaskCarriesTheTrace(t *testing.T) {
	f := newFixture(t)
	const trace = "105445aa7843bc8bf206b12000100000"
	for id, want := range map[string]string{"a": "00-" + trace + "-00000000000000ff-01", "b": ""} {
		ctx := t.Context()
		if want != "" {
			ctx = logging.WithTrace(ctx, trace, "00000000000000ff")
		}
		task := pipeline.Task{TenantID: "acme", RequestID: id}
		if err := f.enq.Enqueue(ctx, store.Step{Stage: topology.AIAnalysis}, task); err != nil {
			t.Fatal(err)
		}
		found := false
		for name, made := range f.google.Tasks(queue) {
			if !strings.HasSuffix(name, "-"+id) {
				continue
			}
			found = true
			if got := made.GetHttpRequest().GetHeaders()["Traceparent"]; got != want {
				t.Errorf("task %s: traceparent %q, want %q", name, got, want)
			}
		}
		if !found {
			t.Errorf("no task of request %s", id)
		}
	}
}
