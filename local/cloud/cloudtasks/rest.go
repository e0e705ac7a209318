package cloudtasks

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"cloud.google.com/go/cloudtasks/apiv2/cloudtaskspb"
	api "google.golang.org/api/cloudtasks/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"

	"ingestion.internal/local/cloud"
	"ingestion.internal/local/cloud/gapi"
)

// Handler is the REST surface of the API for handlers: tasks, and the queue
// operations that they may use. Every call needs an access token whose
// principal holds the operation's permission.
func (s *Service) Handler() http.Handler {
	mux := http.NewServeMux()
	const queue = "/v2/projects/{p}/locations/{l}/queues/{q}"
	handle := func(pattern, permission string, op func(r *http.Request, principal string) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			principal, err := s.o.Identity.Caller(r)
			if err != nil {
				gapi.WriteError(w, gapi.Errorf(codes.Unauthenticated, "Request had invalid authentication credentials: %v", err))
				return
			}
			if err := s.o.IAM.Check(r.Context(), principal, permission, resource(queueOf(r))); err != nil {
				gapi.WriteError(w, err)
				return
			}
			out, err := op(r, principal)
			if err != nil {
				gapi.WriteError(w, err)
				return
			}
			gapi.Write(w, out)
		})
	}
	handle("POST "+queue+"/tasks", "cloudtasks.tasks.create", s.createTask)
	handle("GET "+queue+"/tasks", "cloudtasks.tasks.list", func(r *http.Request, _ string) (any, error) {
		tasks, err := s.ListTasks(r.Context(), queueOf(r))
		return &api.ListTasksResponse{Tasks: tasks}, err
	})
	handle("GET "+queue+"/tasks/{t}", "cloudtasks.tasks.get", func(r *http.Request, _ string) (any, error) {
		return s.GetTask(r.Context(), queueOf(r)+"/tasks/"+r.PathValue("t"))
	})
	handle("DELETE "+queue+"/tasks/{t}", "cloudtasks.tasks.delete", func(r *http.Request, _ string) (any, error) {
		return struct{}{}, s.DeleteTask(r.Context(), queueOf(r)+"/tasks/"+r.PathValue("t"))
	})
	handle("GET "+queue, "cloudtasks.queues.get", func(r *http.Request, _ string) (any, error) {
		return s.GetQueue(r.Context(), queueOf(r))
	})
	// ServeMux has no wildcard before a colon: {q} is Q:pause and so on.
	verbs := map[string]func(context.Context, string) (*api.Queue, error){
		"pause": s.PauseQueue, "resume": s.ResumeQueue, "purge": s.PurgeQueue,
	}
	mux.HandleFunc("POST "+queue, func(w http.ResponseWriter, r *http.Request) {
		name, verb, _ := strings.Cut(queueOf(r), ":")
		op := verbs[verb]
		if op == nil {
			gapi.WriteError(w, gapi.Errorf(codes.NotFound, "Method not found."))
			return
		}
		principal, err := s.o.Identity.Caller(r)
		if err != nil {
			gapi.WriteError(w, gapi.Errorf(codes.Unauthenticated, "Request had invalid authentication credentials: %v", err))
			return
		}
		err = s.o.IAM.Check(r.Context(), principal, "cloudtasks.queues."+verb, resource(name))
		var out *api.Queue
		if err == nil {
			out, err = op(r.Context(), name)
		}
		if err != nil {
			gapi.WriteError(w, err)
			return
		}
		gapi.Write(w, out)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		gapi.WriteError(w, gapi.Errorf(codes.NotFound, "%s %s is not served by the local Cloud Tasks", r.Method, r.URL.Path))
	})
	return mux
}

func queueOf(r *http.Request) string {
	return "projects/" + r.PathValue("p") + "/locations/" + r.PathValue("l") + "/queues/" + r.PathValue("q")
}

func resource(queue string) cloud.Resource {
	return cloud.Resource{Service: "cloudtasks.googleapis.com", Type: "cloudtasks.googleapis.com/Queue", Name: queue}
}

// createTask reads the request, and checks that the caller may act as the
// account whose token the task will bear.
func (s *Service) createTask(r *http.Request, principal string) (any, error) {
	raw, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, 2*maxTask))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, gapi.Errorf(codes.InvalidArgument, "Task size too large: at most %d bytes", maxTask)
	}
	if err != nil {
		return nil, gapi.Errorf(codes.InvalidArgument, "read the request: %v", err)
	}
	in, err := decode(raw)
	if err != nil {
		return nil, gapi.Errorf(codes.InvalidArgument, "Invalid JSON payload received: %v", err)
	}
	if in.Task != nil && in.Task.HttpRequest != nil && in.Task.HttpRequest.OidcToken != nil {
		account := in.Task.HttpRequest.OidcToken.ServiceAccountEmail
		if err := s.o.IAM.Check(r.Context(), principal, "iam.serviceAccounts.actAs", cloud.Resource{
			Service: "iam.googleapis.com", Type: "iam.googleapis.com/ServiceAccount",
			Name: "projects/" + r.PathValue("p") + "/serviceAccounts/" + account,
		}); err != nil {
			return nil, err
		}
	}
	return s.CreateTask(r.Context(), queueOf(r), in.Task)
}

// decode reads a request as every Google API does: by the JSON mapping of its
// protobuf message. The official clients send enums as numbers.
func decode(raw []byte) (*api.CreateTaskRequest, error) {
	var message cloudtaskspb.CreateTaskRequest
	if err := protojson.Unmarshal(raw, &message); err != nil {
		return nil, err
	}
	canonical, err := protojson.Marshal(&message)
	if err != nil {
		return nil, err
	}
	var in api.CreateTaskRequest
	return &in, json.Unmarshal(canonical, &in)
}
