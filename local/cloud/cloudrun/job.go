package cloudrun

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	run "google.golang.org/api/run/v2"
	"google.golang.org/grpc/codes"

	"ingestion.internal/local/cloud/gapi"
)

// job is one Cloud Run job.
type job struct {
	id      string
	deploy  sync.Mutex // one change at a time
	running sync.WaitGroup

	mu    sync.Mutex
	api   *run.GoogleCloudRunV2Job
	names map[string]bool // of executions, by a token
}

// CreateJob is projects.locations.jobs.create, with the operation's end: if
// the job has a runExecutionToken it returns when an execution has ended, and
// fails if that failed. A job whose creation fails is removed again.
func (s *Service) CreateJob(ctx context.Context, parent, id string, spec *run.GoogleCloudRunV2Job) (*run.GoogleCloudRunV2Job, error) {
	if reason := ValidateName(id); reason != "" {
		return nil, gapi.Errorf(codes.InvalidArgument, "job_id %s", reason)
	}
	if err := violations(ValidateJob(spec)).err(); err != nil {
		return nil, err
	}
	name := parent + "/jobs/" + id
	j := &job{id: id, api: &run.GoogleCloudRunV2Job{Name: name, Uid: uuid.NewString(), CreateTime: now()}}
	j.deploy.Lock()
	defer j.deploy.Unlock()
	s.mu.Lock()
	if s.jobs[name] != nil {
		s.mu.Unlock()
		return nil, gapi.Errorf(codes.AlreadyExists, "Resource '%s' already exists.", id)
	}
	s.jobs[name] = j
	s.mu.Unlock()
	out, err := s.replaceJob(ctx, j, spec)
	if err != nil {
		s.mu.Lock()
		delete(s.jobs, name)
		s.mu.Unlock()
		return nil, err
	}
	return out, nil
}

// PatchJob is projects.locations.jobs.patch with every mutable field in the
// mask, and the operation's end: a changed runExecutionToken runs the job. It is
// the end of the execution's name, so one that was used before is refused. If
// that execution fails the operation does, and the job stays as it was, so that
// the next patch runs it again; what Cloud Run does then is unconfirmed.
func (s *Service) PatchJob(ctx context.Context, name string, spec *run.GoogleCloudRunV2Job) (*run.GoogleCloudRunV2Job, error) {
	if err := violations(ValidateJob(spec)).err(); err != nil {
		return nil, err
	}
	j, err := s.job(name)
	if err != nil {
		return nil, err
	}
	j.deploy.Lock()
	defer j.deploy.Unlock()
	return s.replaceJob(ctx, j, spec)
}

// GetJob is projects.locations.jobs.get.
func (s *Service) GetJob(_ context.Context, name string) (*run.GoogleCloudRunV2Job, error) {
	j, err := s.job(name)
	if err != nil {
		return nil, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return clone(j.api), nil
}

// RunJob is projects.locations.jobs.run, with the operation's end.
func (s *Service) RunJob(ctx context.Context, name string) error {
	j, err := s.job(name)
	if err != nil {
		return err
	}
	j.deploy.Lock()
	defer j.deploy.Unlock()
	j.mu.Lock()
	api := clone(j.api)
	j.mu.Unlock()
	if err := s.execute(ctx, j, api, fmt.Sprintf("%s-%.5s", j.id, uuid.NewString())); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.api = api
	return nil
}

// DeleteJob is projects.locations.jobs.delete.
func (s *Service) DeleteJob(_ context.Context, name string) error {
	j, err := s.job(name)
	if err != nil {
		return err
	}
	j.deploy.Lock() // not under a running execution
	defer j.deploy.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.jobs, name)
	return nil
}

func (s *Service) job(name string) (*job, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := s.jobs[name]
	if j == nil {
		return nil, gapi.Errorf(codes.NotFound, "Resource '%s' was not found", name)
	}
	return j, nil
}

// replaceJob makes the job what spec says, and runs it if its tokens say so.
// The caller holds deploy.
func (s *Service) replaceJob(ctx context.Context, j *job, spec *run.GoogleCloudRunV2Job) (*run.GoogleCloudRunV2Job, error) {
	j.mu.Lock()
	old := j.api
	j.mu.Unlock()
	next := clone(spec)
	next.Name, next.Uid, next.CreateTime = old.Name, old.Uid, old.CreateTime
	next.Generation = old.Generation + 1
	next.ObservedGeneration, next.UpdateTime, next.TerminalCondition = next.Generation, now(), ready()
	next.ExecutionCount, next.LatestCreatedExecution = old.ExecutionCount, old.LatestCreatedExecution
	if next.RunExecutionToken != "" && next.RunExecutionToken != old.RunExecutionToken ||
		next.StartExecutionToken != "" && next.StartExecutionToken != old.StartExecutionToken {
		execution := j.id + "-" + cmp.Or(next.RunExecutionToken, next.StartExecutionToken)
		j.mu.Lock()
		known := j.names[execution]
		j.mu.Unlock()
		if known {
			return nil, gapi.Errorf(codes.AlreadyExists, "Resource '%s' already exists.", execution)
		}
		if err := s.execute(ctx, j, next, execution); err != nil {
			return nil, err
		}
		j.mu.Lock()
		if j.names == nil {
			j.names = map[string]bool{}
		}
		j.names[execution] = true
		j.mu.Unlock()
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.api = next
	return clone(next), nil
}

// execute runs all tasks of the job to their end and records the execution in
// api. It fails if a task fails for good.
func (s *Service) execute(ctx context.Context, j *job, api *run.GoogleCloudRunV2Job, execution string) error {
	j.running.Add(1)
	defer j.running.Done()
	tasks := int(or(api.Template.TaskCount, 1))
	created := now()
	var group errgroup.Group
	group.SetLimit(int(or(api.Template.Parallelism, int64(tasks))))
	for i := range tasks {
		group.Go(func() error { return s.task(ctx, j, api, execution, i, tasks) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	api.ExecutionCount++
	api.LatestCreatedExecution = &run.GoogleCloudRunV2ExecutionReference{
		Name: execution, CreateTime: created, CompletionTime: now(), CompletionStatus: "EXECUTION_SUCCEEDED",
	}
	return nil
}

// task runs one task with its retries.
func (s *Service) task(ctx context.Context, j *job, api *run.GoogleCloudRunV2Job, execution string, index, count int) error {
	t := api.Template.Template
	timeout := seconds(t.Timeout, 10*time.Minute)
	for attempt := int64(0); ; attempt++ {
		cmd, err := s.command(ctx, workload{
			resource: j.id, revision: execution, project: projectOf(api.Name),
			account: s.account(t.ServiceAccount), container: t.Containers[0],
		},
			"CLOUD_RUN_JOB="+j.id, "CLOUD_RUN_EXECUTION="+execution,
			"CLOUD_RUN_TASK_INDEX="+strconv.Itoa(index), "CLOUD_RUN_TASK_COUNT="+strconv.Itoa(count),
			"CLOUD_RUN_TASK_ATTEMPT="+strconv.FormatInt(attempt, 10))
		if err != nil {
			return err
		}
		err = s.attempt(ctx, cmd, timeout)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil || s.ctx.Err() != nil || attempt >= t.MaxRetries {
			return s.failure(j.id, execution, fmt.Sprintf("Execution '%s' of job '%s' failed: task %d after %d attempts: %v",
				execution, j.id, index, attempt+1, err))
		}
		s.say(j.id, execution, "Task %d attempt %d failed: %v", index, attempt, err)
	}
}

// attempt runs a task once.
func (s *Service) attempt(ctx context.Context, cmd command, timeout time.Duration) error {
	p, err := s.spawner.start(cmd)
	if err != nil {
		return err
	}
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	select {
	case <-p.done:
		if p.err != nil {
			return fmt.Errorf("the container ended with %s", p.exit())
		}
		return nil
	case <-deadline.C:
		p.stop()
		return fmt.Errorf("the task did not end within its timeout of %s", timeout)
	case <-s.ctx.Done():
		p.stop()
		return errors.New("the local Cloud Run is closing")
	case <-ctx.Done():
		p.stop()
		return ctx.Err()
	}
}
