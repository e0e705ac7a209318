package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	cloudtasks "cloud.google.com/go/cloudtasks/apiv2"
	"cloud.google.com/go/cloudtasks/apiv2/cloudtaskspb"
	"github.com/google/uuid"
	"github.com/googleapis/gax-go/v2/apierror"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	"ingestion.internal/shared/logging"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/topology"
)

// Enqueuing is retried briefly: whoever enqueues is about to answer its own
// caller, and what stays un-enqueued is found in the outbox.
const (
	enqueueAttempts = 3
	enqueueTimeout  = 3 * time.Second // each attempt
	enqueuePause    = 100 * time.Millisecond
)

// maxDispatchDeadline is the longest that Cloud Tasks waits for an answer.
const maxDispatchDeadline = 30 * time.Minute

// Enqueuer puts tasks into the queues of its targets.
type Enqueuer struct {
	client         *cloudtasks.Client
	serviceAccount string
	targets        Targets
}

// NewEnqueuer returns an enqueuer to the targets.
func NewEnqueuer(client *cloudtasks.Client, cfg TasksConfig, targets Targets) *Enqueuer {
	return &Enqueuer{client: client, serviceAccount: cfg.ServiceAccount, targets: targets}
}

// taskNames is the UUID namespace of task names.
var taskNames = uuid.MustParse("6f1c7f1e-6a52-5f0b-9f0e-0d8f4c1f4b0a")

// taskID names the task of a stage of a request. Cloud Tasks keeps a name for
// a day after the task is gone, so the first task of a stage is made once
// however often it is asked for. The hash leads, because sequential prefixes
// slow a queue down. Rounds above 0 are of a stage that was begun again, and
// generations above 0 the sweeper's: tasks of the same stage under names of
// their own.
func taskID(task Task, step store.Step, generation int) string {
	h := uuid.NewSHA1(taskNames, []byte(task.TenantID+"/"+task.RequestID+"/"+string(step.Stage)))
	id := fmt.Sprintf("%s-%s-%s", strings.ReplaceAll(h.String(), "-", "")[:12], step.Stage, task.RequestID)
	if step.Round > 0 {
		id += fmt.Sprintf("-r%d", step.Round)
	}
	if generation > 0 {
		id += fmt.Sprintf("-%d", generation)
	}
	return id
}

// Enqueue makes the task of the step. That it exists already is success. A
// nil Enqueuer has no queues.
func (e *Enqueuer) Enqueue(ctx context.Context, step store.Step, task Task) error {
	return e.enqueue(ctx, step, task, 0)
}

func (e *Enqueuer) enqueue(ctx context.Context, step store.Step, task Task, generation int) error {
	return e.Add(ctx, step.Stage.Queue(), taskID(task, step, generation), task)
}

// Add makes a task of the queue that posts body as JSON. A name that the queue
// knows, of a task that it has or has had within a day, is success; without a
// name every call makes a task.
func (e *Enqueuer) Add(ctx context.Context, queue topology.Queue, name string, body any) error {
	var target Target
	if e != nil {
		target = e.targets[queue]
	}
	if target.Queue == "" {
		return fmt.Errorf("enqueue: this service has no queue %q", queue)
	}
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("enqueue: %w", err)
	}
	if name != "" {
		name = target.Queue + "/tasks/" + name
	}
	headers := map[string]string{"Content-Type": "application/json"}
	if parent := logging.Traceparent(ctx); parent != "" {
		// One trace from the caller's request to the last stage.
		headers["Traceparent"] = parent
	}
	req := &cloudtaskspb.CreateTaskRequest{
		Parent: target.Queue,
		Task: &cloudtaskspb.Task{
			Name: name,
			MessageType: &cloudtaskspb.Task_HttpRequest{HttpRequest: &cloudtaskspb.HttpRequest{
				Url:        strings.TrimSuffix(target.ServiceURL, "/") + queue.Path(),
				HttpMethod: cloudtaskspb.HttpMethod_POST,
				Headers:    headers,
				Body:       text,
				AuthorizationHeader: &cloudtaskspb.HttpRequest_OidcToken{OidcToken: &cloudtaskspb.OidcToken{
					ServiceAccountEmail: e.serviceAccount,
					Audience:            target.ServiceURL,
				}},
			}},
			DispatchDeadline: durationpb.New(maxDispatchDeadline),
		},
	}
	for attempt := 1; ; attempt++ {
		err = e.create(ctx, req)
		if err == nil {
			return nil
		}
		if attempt == enqueueAttempts || !temporary(err) {
			return fmt.Errorf("enqueue to %s: %w", target.Queue, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("enqueue to %s: %w", target.Queue, err)
		case <-time.After(enqueuePause << (attempt - 1)):
		}
	}
}

func (e *Enqueuer) create(ctx context.Context, req *cloudtaskspb.CreateTaskRequest) error {
	ctx, cancel := context.WithTimeout(ctx, enqueueTimeout)
	defer cancel()
	_, err := e.client.CreateTask(ctx, req)
	if hasCode(err, http.StatusConflict, codes.AlreadyExists) {
		return nil
	}
	return err
}

// temporary tells errors that may be gone in a moment: the service's own, and
// those of the way to it. A refusal is final.
func temporary(err error) bool {
	var api *apierror.APIError
	if !errors.As(err, &api) {
		return true
	}
	return api.HTTPCode() == http.StatusTooManyRequests || api.HTTPCode() >= http.StatusInternalServerError
}
