// Package wirefake gives tests servers that speak the REST protocols of Cloud
// Tasks and Secret Manager, so that the handlers run their real clients.
package wirefake

import (
	"encoding/base64"
	"encoding/json"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"cloud.google.com/go/cloudtasks/apiv2/cloudtaskspb"
	"google.golang.org/protobuf/encoding/protojson"
)

// Token is the access token that every client of a test presents: Credentials
// arranges it, and the servers refuse requests without it.
const Token = "test-token"

// Credentials makes the application default credentials of the test process
// those of a metadata server that hands out Token. It is for tests that do not
// run in parallel.
func Credentials(t *testing.T) {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/computeMetadata/v1/instance/service-accounts/default/token", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]any{"access_token": Token, "expires_in": 3600, "token_type": "Bearer"})
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	t.Setenv("GCE_METADATA_HOST", strings.TrimPrefix(srv.URL, "http://"))
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "")
	t.Setenv("HOME", t.TempDir()) // so that no user's own credentials are found
	t.Setenv("CLOUDSDK_CONFIG", filepath.Join(os.TempDir(), "none"))
}

// Server is a fake Google API.
type Server struct {
	*httptest.Server

	mu      sync.Mutex
	tasks   map[string]*cloudtaskspb.Task
	secrets map[string]string
	fail    int // status of every answer; 0 = none fails
	calls   int
}

// New starts a server with the secrets, by id.
func New(tb testing.TB, secrets map[string]string) *Server {
	tb.Helper()
	s := &Server{tasks: map[string]*cloudtaskspb.Task{}, secrets: secrets}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	tb.Cleanup(s.Close)
	return s
}

// Fail makes every call fail with the HTTP status; 0 ends that.
func (s *Server) Fail(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = status
}

// SetSecret changes a secret.
func (s *Server) SetSecret(id, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secrets[id] = value
}

// Calls returns how many requests arrived.
func (s *Server) Calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

// Tasks returns the tasks of the queue, by their id.
func (s *Server) Tasks(queue string) map[string]*cloudtaskspb.Task {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := map[string]*cloudtaskspb.Task{}
	for name, task := range s.tasks {
		if id, ok := strings.CutPrefix(name, queue+"/tasks/"); ok {
			found[id] = task
		}
	}
	return found
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if r.Header.Get("Authorization") != "Bearer "+Token {
		writeError(w, http.StatusUnauthorized, "UNAUTHENTICATED")
		return
	}
	if s.fail != 0 {
		writeError(w, s.fail, map[int]string{403: "PERMISSION_DENIED", 429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE"}[s.fail])
		return
	}
	switch {
	case strings.HasPrefix(r.URL.Path, "/v2/") && r.Method == http.MethodPost:
		s.createTask(w, r)
	case strings.HasPrefix(r.URL.Path, "/v1/") && strings.HasSuffix(r.URL.Path, "/versions/latest:access"):
		s.accessSecret(w, r)
	default:
		writeError(w, http.StatusNotFound, "NOT_FOUND")
	}
}

func (s *Server) createTask(w http.ResponseWriter, r *http.Request) {
	// The client writes proto3 JSON, enums as numbers among it.
	var req cloudtaskspb.CreateTaskRequest
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = protojson.Unmarshal(body, &req)
	}
	if err != nil {
		writeError(w, http.StatusBadRequest, "INVALID_ARGUMENT")
		return
	}
	name := req.GetTask().GetName()
	if name == "" { // then Cloud Tasks makes one up
		name = req.GetParent() + "/tasks/" + strconv.Itoa(s.calls)
	}
	if _, ok := s.tasks[name]; ok {
		writeError(w, http.StatusConflict, "ALREADY_EXISTS")
		return
	}
	s.tasks[name] = req.GetTask()
	writeJSON(w, http.StatusOK, map[string]string{"name": name})
}

func (s *Server) accessSecret(w http.ResponseWriter, r *http.Request) {
	_, path, _ := strings.Cut(r.URL.Path, "/secrets/")
	id, _, _ := strings.Cut(path, "/")
	value, ok := s.secrets[id]
	if !ok {
		writeError(w, http.StatusNotFound, "NOT_FOUND")
		return
	}
	sum := crc32.Checksum([]byte(value), crc32.MakeTable(crc32.Castagnoli))
	writeJSON(w, http.StatusOK, map[string]any{
		"name": strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/v1/"), "latest:access") + "1",
		"payload": map[string]string{
			"data": base64.StdEncoding.EncodeToString([]byte(value)), "dataCrc32c": strconv.FormatUint(uint64(sum), 10),
		},
	})
}

func writeError(w http.ResponseWriter, code int, status string) {
	writeJSON(w, code, map[string]any{"error": map[string]any{"code": code, "status": status, "message": status}})
}

func writeJSON(w http.ResponseWriter, code int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(value) // the client may have gone
}
