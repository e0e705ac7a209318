package pipeline_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ingestion.internal/shared/pipeline"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/store/storetest"
	"ingestion.internal/shared/topology"
)

const audioQueue = "projects/p/locations/l/queues/audio-processing"

// sweepFixture is a fixture whose clock can be moved and whose enqueuer
// reaches the first two stages.
type sweepFixture struct {
	*fixture
	skew    atomic.Int64
	sweeper *pipeline.Sweeper
}

func newSweepFixture(t *testing.T, batch int) *sweepFixture {
	t.Helper()
	s := &sweepFixture{}
	s.fixture = newFixtureWith(t, func() time.Time { return time.Now().Add(time.Duration(s.skew.Load())) },
		pipeline.Targets{topology.AudioProcessing.Queue(): {Queue: audioQueue, ServiceURL: "https://audio.example"}})
	s.sweeper = pipeline.NewSweeper(s.db, s.enq, batch)
	return s
}

func (s *sweepFixture) pass(d time.Duration) { s.skew.Add(int64(d)) }

// sweep runs the sweeper once and checks what it says it did.
func (s *sweepFixture) sweep(want pipeline.Sweep, wantErr bool) {
	s.t.Helper()
	got, err := s.sweeper.Sweep(s.t.Context())
	if (err != nil) != wantErr {
		s.t.Errorf("sweep: error %v, want error %t", err, wantErr)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		s.t.Errorf("sweep (-want +got)\n%s", diff)
	}
}

// generations lists the suffixes of the request's tasks in the queue; the
// first task has none.
func (s *sweepFixture) generations(queue string, task pipeline.Task) []string {
	found := []string{}
	for id := range s.google.Tasks(queue) {
		if _, generation, ok := strings.Cut(id, task.RequestID); ok {
			found = append(found, generation)
		}
	}
	slices.Sort(found)
	return found
}

func (s *sweepFixture) wantTasks(queue string, task pipeline.Task, want ...string) {
	s.t.Helper()
	if diff := cmp.Diff(want, s.generations(queue, task)); diff != "" {
		s.t.Errorf("tasks in %s (-want +got)\n%s", queue, diff)
	}
}

func TestSweeperMendsWhatWasNotEnqueued(t *testing.T) {
	s := newSweepFixture(t, 100)
	task := s.request("S1") // committed; its task was never made
	s.sweep(pipeline.Sweep{}, false)
	s.pass(61 * time.Second)
	s.sweep(pipeline.Sweep{Found: 1, Enqueued: 1}, false)
	s.wantTasks(audioQueue, task, "")
	s.sweep(pipeline.Sweep{}, false) // and not once more

	// The next stage is committed and the queue refuses its task.
	s.google.Fail(http.StatusForbidden)
	if got := s.post(task, next); got != http.StatusServiceUnavailable {
		t.Errorf("status %d, want 503", got)
	}
	s.pass(61 * time.Second)
	s.sweep(pipeline.Sweep{Found: 1, Failed: 1}, true)
	s.google.Fail(0)
	s.pass(61 * time.Second)
	s.sweep(pipeline.Sweep{Found: 1, Enqueued: 1}, false)
	if got := len(s.google.Tasks(queue)); got != 1 {
		t.Errorf("%d tasks for the analysis, want 1", got)
	}
	audio := store.StageStatus{Stage: topology.AudioProcessing, State: "done", Attempts: 1, Enqueued: true}
	s.want(task, store.StatusProcessing, "", audio, store.StageStatus{Stage: topology.AIAnalysis, State: "pending", Enqueued: true})
}

func TestSweeperMeetsATaskThatWasNotRecorded(t *testing.T) {
	s := newSweepFixture(t, 100)
	task := s.request("S1")
	if err := s.enq.Enqueue(t.Context(), store.Step{Stage: topology.AudioProcessing}, task); err != nil {
		t.Fatal(err)
	}
	s.pass(61 * time.Second)
	s.sweep(pipeline.Sweep{Found: 1, Enqueued: 1}, false)
	s.wantTasks(audioQueue, task, "")
}

func TestSweeperPicksUpWhatAKilledWorkerLeft(t *testing.T) {
	s := newSweepFixture(t, 100)
	task := s.request("S1")
	if err := pipeline.Send(t.Context(), s.db, s.enq, task, []store.Step{{Stage: topology.AudioProcessing}}); err != nil {
		t.Fatal(err)
	}
	// A worker takes the stage and is never heard of again; so is its task.
	if _, err := s.db.Tenant(task.TenantID).Claim(t.Context(), task.RequestID, topology.AudioProcessing, time.Minute, 2); err != nil {
		t.Fatal(err)
	}
	s.pass(2 * time.Minute)
	s.sweep(pipeline.Sweep{}, false) // the queue has its chance first
	s.pass(15 * time.Minute)
	s.sweep(pipeline.Sweep{Found: 1, Enqueued: 1}, false)
	s.wantTasks(audioQueue, task, "", "-1")
	if got := s.post(task, next); got != http.StatusOK {
		t.Errorf("status %d, want 200", got)
	}
	// The stage is over: neither the old task nor the sweeper does it again.
	if got := s.post(task, never(t)); got != http.StatusOK {
		t.Errorf("status %d, want 200", got)
	}
	s.pass(24 * time.Hour)
	s.sweep(pipeline.Sweep{Found: 1, Enqueued: 1}, false) // the analysis, whose worker is not in this test
	s.wantTasks(audioQueue, task, "", "-1")
}

func TestSweeperIsPatientAndEndsInADeadLetter(t *testing.T) {
	s := newSweepFixture(t, 100)
	task := s.request("S1")
	killed := func(want store.ClaimState) {
		t.Helper()
		c, err := s.db.Tenant(task.TenantID).Claim(t.Context(), task.RequestID, topology.AudioProcessing, time.Minute, 2)
		if err != nil {
			t.Fatal(err)
		}
		if c.State != want {
			t.Fatalf("claim state %d, want %d", c.State, want)
		}
	}
	for _, want := range []store.ClaimState{store.Claimed, store.Claimed, store.Exhausted} {
		s.pass(17 * time.Minute)
		s.sweep(pipeline.Sweep{Found: 1, Enqueued: 1}, false)
		killed(want)
	}
	s.pass(48 * time.Hour)
	s.sweep(pipeline.Sweep{}, false)
	s.wantTasks(audioQueue, task, "", "-2", "-3")
}

func TestSweepersTogetherEnqueueOnce(t *testing.T) {
	s := newSweepFixture(t, 100)
	var tasks []pipeline.Task
	for _, id := range []string{"S1", "S2", "S3"} {
		tasks = append(tasks, s.request(id))
	}
	s.pass(2 * time.Minute)
	var total atomic.Int64
	var group sync.WaitGroup
	for range 3 {
		group.Go(func() {
			did, err := s.sweeper.Sweep(t.Context())
			if err != nil {
				t.Error(err)
			}
			total.Add(int64(did.Enqueued))
		})
	}
	group.Wait()
	if got := total.Load(); got != 3 {
		t.Errorf("%d enqueued, want 3", got)
	}
	for _, task := range tasks {
		s.wantTasks(audioQueue, task, "")
	}
}

func TestSweepIsBounded(t *testing.T) {
	const requests = 24
	s := newSweepFixture(t, 8)
	for i := range requests {
		s.request(string(rune('A' + i)))
	}
	s.pass(2 * time.Minute)
	swept := 0
	for swept < requests {
		did, err := s.sweeper.Sweep(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if did.Enqueued == 0 || did.Found > 8 {
			t.Fatalf("after %d of %d: %+v", swept, requests, did)
		}
		swept += did.Enqueued
	}
	if got := len(s.google.Tasks(audioQueue)); got != requests {
		t.Errorf("%d tasks, want %d", got, requests)
	}
}

func TestSweepGivesUpWhileQueuesAreAway(t *testing.T) {
	s := newSweepFixture(t, 100)
	for i := range 10 {
		s.request(string(rune('A' + i)))
	}
	s.pass(2 * time.Minute)
	s.google.Fail(http.StatusForbidden)
	s.sweep(pipeline.Sweep{Found: 10, Failed: 5}, true)
	s.google.Fail(0)
	s.pass(2 * time.Minute)
	s.sweep(pipeline.Sweep{Found: 10, Enqueued: 10}, false)
}

func TestSweepOfOtherTenants(t *testing.T) {
	s := newSweepFixture(t, 100)
	ctx := context.Background()
	id := store.RequestID(storetest.Bolt, store.SourceCallRail, "B1")
	if _, err := storetest.Accept(ctx, s.db.Tenant(storetest.Bolt), store.Request{RequestID: id, Source: store.SourceCallRail, CallID: "B1"}, topology.AudioProcessing); err != nil {
		t.Fatal(err)
	}
	s.request("A1")
	s.pass(2 * time.Minute)
	s.sweep(pipeline.Sweep{Found: 2, Enqueued: 2}, false)
	s.wantTasks(audioQueue, pipeline.Task{TenantID: storetest.Bolt, RequestID: id}, "")
}
