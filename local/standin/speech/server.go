// Package speech is a small Cloud Speech-to-Text V2, on its REST protocol:
// recognize and batchRecognize, and the operations of the latter. What it
// "hears" is the transcript that the audio carries in its own metadata (see
// package audio); audio without one, and silence, give an empty result. Limits,
// models and locations are the API's.
//
// Served paths:
//
//	POST /v2/projects/P/locations/L/recognizers/R:recognize
//	POST /v2/projects/P/locations/L/recognizers/R:batchRecognize
//	GET  /v2/projects/P/locations/L/operations/O
//	GET, PUT, DELETE /faults                       see package fault
package speech

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	longrunningpb "cloud.google.com/go/longrunning/autogen/longrunningpb"
	"cloud.google.com/go/speech/apiv2/speechpb"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"ingestion.internal/local/cloud"
	"ingestion.internal/local/standin/fault"
	"ingestion.internal/local/standin/internal/gapi"
)

// Limits of the API (docs.cloud.google.com/speech-to-text/docs/quotas).
const (
	maxSyncBytes  = 10 << 20
	maxSyncLength = time.Minute
	maxBatchFiles = 15
	maxBatchSize  = 1 << 30
	maxBatch      = time.Hour
	maxBatchWords = 20 * time.Minute // chirp_3 with word time offsets
	maxBody       = maxSyncBytes*4/3 + 1<<20
)

// models says where each model is. Chirp 3 is in few places, and not in
// us-central1 (docs.cloud.google.com/speech-to-text/docs/models/chirp-3).
// Nil is everywhere.
var models = map[string][]string{
	"chirp_3": {"us", "eu", "asia-northeast1", "asia-southeast1",
		"asia-south1", "europe-west2", "europe-west3", "northamerica-northeast1"},
	"chirp_2":   {"us-central1", "europe-west4", "asia-southeast1"},
	"long":      nil,
	"short":     nil,
	"telephony": nil,
}

// Config is what a Server needs.
type Config struct {
	Identity cloud.Identity
	IAM      cloud.IAM
	// ReadObject opens a Cloud Storage object on behalf of principal. An
	// error that is fs.ErrNotExist or a *cloud.Denied is reported as such.
	ReadObject func(ctx context.Context, principal, bucket, object string) (io.ReadCloser, error)
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Server is the stand-in. Its methods may be called at the same time.
type Server struct {
	Faults *fault.Injector

	guard   gapi.Guard
	read    func(ctx context.Context, principal, bucket, object string) (io.ReadCloser, error)
	now     func() time.Time
	handler http.Handler

	mu         sync.Mutex
	operations map[string]*operation // by name; kept as long as the server lives
}

// operation is a batch at work. result is set before done is closed.
type operation struct {
	done   chan struct{}
	result *longrunningpb.Operation
	start  *longrunningpb.Operation
}

// New returns a server.
func New(cfg Config) *Server {
	s := &Server{
		Faults:     fault.New(fault.Shape{Error: gapi.WriteStatus}),
		guard:      gapi.Guard{Identity: cfg.Identity, IAM: cfg.IAM},
		read:       cfg.ReadObject,
		now:        cfg.Now,
		operations: map[string]*operation{},
	}
	if s.now == nil {
		s.now = time.Now
	}
	mux := http.NewServeMux()
	mux.Handle("/", s.Faults.Middleware(http.HandlerFunc(s.route)))
	mux.Handle("/faults", s.Faults)
	s.handler = mux
	return s
}

// ServeHTTP serves the API.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

var (
	recognizerPath = regexp.MustCompile(`^/v2/(projects/[^/]+/locations/([^/]+)/recognizers/([^/:]+)):(recognize|batchRecognize)$`)
	operationPath  = regexp.MustCompile(`^/v2/(projects/[^/]+/locations/[^/]+/operations/[^/]+)$`)
)

func (s *Server) route(w http.ResponseWriter, r *http.Request) {
	var answer proto.Message
	var err error
	if m := recognizerPath.FindStringSubmatch(r.URL.Path); m != nil && r.Method == http.MethodPost {
		target := recognizer{name: m[1], location: m[2], id: m[3]}
		if m[4] == "recognize" {
			answer, err = s.recognize(r, target)
		} else {
			answer, err = s.batchRecognize(r, target)
		}
	} else if m := operationPath.FindStringSubmatch(r.URL.Path); m != nil && r.Method == http.MethodGet {
		answer, err = s.operation(r, m[1])
	} else {
		err = gapi.Errorf(http.StatusNotFound, "The requested URL %s was not found on this server.", r.URL.Path)
	}
	if err != nil {
		gapi.WriteError(w, err)
		return
	}
	body, err := protojson.Marshal(answer)
	if err != nil {
		gapi.WriteError(w, fmt.Errorf("marshal the answer: %w", err))
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	_, _ = w.Write(body)
}

type recognizer struct{ name, location, id string }

func (t recognizer) resource() cloud.Resource {
	return cloud.Resource{Service: "speech.googleapis.com", Type: "speech.googleapis.com/Recognizer", Name: t.name}
}

// decode reads a request body after the caller is known to be allowed.
func (s *Server) decode(r *http.Request, t recognizer, into proto.Message) (principal string, err error) {
	principal, err = s.guard.Check(r, "speech.recognizers.recognize", t.resource())
	if err != nil {
		return "", err
	}
	if t.id != "_" {
		return "", gapi.Errorf(http.StatusNotFound, "Unable to find Recognizer %s", t.name)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return "", gapi.Errorf(http.StatusBadRequest, "the request body ended early: %v", err)
	}
	if len(body) > maxBody {
		return "", invalid("Request payload size exceeds the limit: %d bytes.", maxSyncBytes)
	}
	if err := protojson.Unmarshal(body, into); err != nil {
		return "", invalid("Invalid JSON payload received. %v", err)
	}
	return principal, nil
}

func invalid(format string, args ...any) *gapi.Error {
	return gapi.Errorf(http.StatusBadRequest, format, args...)
}

// recognize handles "POST /v2/{recognizer}:recognize".
func (s *Server) recognize(r *http.Request, t recognizer) (*speechpb.RecognizeResponse, error) {
	var req speechpb.RecognizeRequest
	principal, err := s.decode(r, t, &req)
	if err != nil {
		return nil, err
	}
	if err := validateConfig(req.GetConfig(), t); err != nil {
		return nil, err
	}
	var data []byte
	switch source := req.GetAudioSource().(type) {
	case *speechpb.RecognizeRequest_Content:
		data = source.Content
	case *speechpb.RecognizeRequest_Uri:
		data, err = s.object(r.Context(), principal, source.Uri, maxSyncBytes)
		if err != nil {
			return nil, err
		}
	}
	if len(data) == 0 {
		return nil, invalid("Audio content is empty: set either content or uri.")
	}
	if len(data) > maxSyncBytes {
		return nil, invalid("Request payload size exceeds the limit: %d bytes.", maxSyncBytes)
	}
	heard, err := listen(data, req.GetConfig())
	if err != nil {
		return nil, err
	}
	if heard.length > maxSyncLength {
		return nil, invalid("Audio can be of a maximum of %d seconds. Use batchRecognize for longer audio.", int(maxSyncLength.Seconds()))
	}
	return &speechpb.RecognizeResponse{
		Results:  heard.results,
		Metadata: &speechpb.RecognitionResponseMetadata{RequestId: rand.Text(), TotalBilledDuration: billed(heard.length)},
	}, nil
}

// batchRecognize handles "POST /v2/{recognizer}:batchRecognize".
func (s *Server) batchRecognize(r *http.Request, t recognizer) (*longrunningpb.Operation, error) {
	var req speechpb.BatchRecognizeRequest
	principal, err := s.decode(r, t, &req)
	if err != nil {
		return nil, err
	}
	if err := validateConfig(req.GetConfig(), t); err != nil {
		return nil, err
	}
	if n := len(req.GetFiles()); n == 0 || n > maxBatchFiles {
		return nil, invalid("files: %d files, want 1 to %d", n, maxBatchFiles)
	}
	for i, f := range req.GetFiles() {
		if _, _, err := splitURI(f.GetUri()); err != nil {
			return nil, invalid("files[%d]: %v", i, err)
		}
		if f.GetConfig() != nil {
			return nil, gapi.Errorf(http.StatusNotImplemented, "files[%d].config: the stand-in knows only one config for all files", i)
		}
	}
	if req.GetRecognitionOutputConfig().GetInlineResponseConfig() == nil {
		return nil, gapi.Errorf(http.StatusNotImplemented, "recognitionOutputConfig: the stand-in knows only inlineResponseConfig")
	}
	if len(req.GetFiles()) > 1 {
		return nil, invalid("inlineResponseConfig is only for requests with one file")
	}

	now := timestamppb.New(s.now())
	metadata, err := anypb.New(&speechpb.OperationMetadata{
		CreateTime: now, UpdateTime: now, Resource: t.name,
		Method:  "google.cloud.speech.v2.Speech.BatchRecognize",
		Request: &speechpb.OperationMetadata_BatchRecognizeRequest{BatchRecognizeRequest: &req},
	})
	if err != nil {
		return nil, fmt.Errorf("operation metadata: %w", err)
	}
	parent, _, _ := strings.Cut(t.name, "/recognizers/")
	op := &operation{
		done:  make(chan struct{}),
		start: &longrunningpb.Operation{Name: parent + "/operations/" + strings.ToLower(rand.Text()), Metadata: metadata},
	}
	s.mu.Lock()
	s.operations[op.start.GetName()] = op
	s.mu.Unlock()
	// The work outlives the request, as the operation does.
	go s.run(context.WithoutCancel(r.Context()), op, principal, &req)
	return op.start, nil
}

// run does a batch's work.
func (s *Server) run(ctx context.Context, op *operation, principal string, req *speechpb.BatchRecognizeRequest) {
	defer close(op.done)
	response := &speechpb.BatchRecognizeResponse{Results: map[string]*speechpb.BatchRecognizeFileResult{}}
	var total time.Duration
	for _, f := range req.GetFiles() {
		heard, err := s.file(ctx, principal, f.GetUri(), req.GetConfig())
		if err != nil {
			// One file's failure does not fail the operation.
			response.Results[f.GetUri()] = &speechpb.BatchRecognizeFileResult{Error: rpcStatus(err)}
			continue
		}
		total += heard.length
		metadata := &speechpb.RecognitionResponseMetadata{TotalBilledDuration: billed(heard.length)}
		transcript := &speechpb.BatchRecognizeResults{Results: heard.results, Metadata: metadata}
		response.Results[f.GetUri()] = &speechpb.BatchRecognizeFileResult{
			Metadata: metadata,
			Result: &speechpb.BatchRecognizeFileResult_InlineResult{
				InlineResult: &speechpb.InlineResult{Transcript: transcript},
			},
		}
	}
	response.TotalBilledDuration = billed(total)
	op.result = &longrunningpb.Operation{Name: op.start.GetName(), Metadata: op.start.GetMetadata(), Done: true}
	packed, err := anypb.New(response)
	if err != nil {
		op.result.Result = &longrunningpb.Operation_Error{Error: rpcStatus(err)}
		return
	}
	op.result.Result = &longrunningpb.Operation_Response{Response: packed}
}

// file reads and hears one file of a batch.
func (s *Server) file(ctx context.Context, principal, uri string, config *speechpb.RecognitionConfig) (hearing, error) {
	data, err := s.object(ctx, principal, uri, maxBatchSize)
	if err != nil {
		return hearing{}, err
	}
	heard, err := listen(data, config)
	if err != nil {
		return hearing{}, err
	}
	limit := maxBatch
	if config.GetFeatures().GetEnableWordTimeOffsets() {
		limit = maxBatchWords
	}
	if heard.length > limit {
		return hearing{}, invalid("Audio can be of a maximum of %d seconds.", int(limit.Seconds()))
	}
	return heard, nil
}

// rpcStatus turns an error into the status that a file's result bears.
func rpcStatus(err error) *statuspb.Status {
	code := codes.Internal
	var e *gapi.Error
	if errors.As(err, &e) {
		switch e.Code {
		case http.StatusBadRequest:
			code = codes.InvalidArgument
		case http.StatusForbidden:
			code = codes.PermissionDenied
		case http.StatusNotFound:
			code = codes.NotFound
		}
	}
	return &statuspb.Status{Code: int32(code), Message: err.Error()}
}

// operationPatience is how long the answer to a poll waits for a batch that is
// about to end: clients wait a second and more between polls.
const operationPatience = 500 * time.Millisecond

// operation handles "GET /v2/{operation}".
func (s *Server) operation(r *http.Request, name string) (*longrunningpb.Operation, error) {
	if _, err := s.guard.Check(r, "speech.operations.get", cloud.Resource{
		Service: "speech.googleapis.com", Type: "speech.googleapis.com/Operation", Name: name,
	}); err != nil {
		return nil, err
	}
	s.mu.Lock()
	op := s.operations[name]
	s.mu.Unlock()
	if op == nil {
		return nil, gapi.Errorf(http.StatusNotFound, "Unable to find Operation %s", name)
	}
	patience := time.NewTimer(operationPatience)
	defer patience.Stop()
	select {
	case <-op.done:
		return op.result, nil
	case <-patience.C:
	case <-r.Context().Done():
	}
	return op.start, nil
}

// object reads a Cloud Storage object of at most limit bytes.
func (s *Server) object(ctx context.Context, principal, uri string, limit int64) ([]byte, error) {
	bucket, object, err := splitURI(uri)
	if err != nil {
		return nil, err
	}
	body, err := s.read(ctx, principal, bucket, object)
	var denied *cloud.Denied
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, gapi.Errorf(http.StatusNotFound, "Requested entity was not found: %s", uri)
	case errors.As(err, &denied):
		return nil, gapi.Errorf(http.StatusForbidden, "Error reading %s: %v", uri, err)
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", uri, err)
	}
	defer body.Close()
	data, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", uri, err)
	}
	if int64(len(data)) > limit {
		return nil, invalid("%s is larger than %d bytes", uri, limit)
	}
	return data, nil
}

func splitURI(uri string) (bucket, object string, err error) {
	rest, ok := strings.CutPrefix(uri, "gs://")
	bucket, object, found := strings.Cut(rest, "/")
	if !ok || !found || bucket == "" || object == "" {
		return "", "", invalid("Invalid Cloud Storage URI %q: want gs://bucket/object", uri)
	}
	return bucket, object, nil
}

// validateConfig reports everything that the API would refuse.
func validateConfig(c *speechpb.RecognitionConfig, t recognizer) error {
	if c == nil {
		return invalid("Invalid recognition 'config': the recognizer %s has none of its own.", t.name)
	}
	var mistakes []string
	locations, known := models[c.GetModel()]
	switch {
	case c.GetModel() == "":
		mistakes = append(mistakes, "config.model is empty")
	case !known, locations != nil && !slices.Contains(locations, t.location):
		mistakes = append(mistakes, fmt.Sprintf("The model %q does not exist in the location named %q.", c.GetModel(), t.location))
	}
	if len(c.GetLanguageCodes()) == 0 {
		mistakes = append(mistakes, "config.languageCodes is empty")
	}
	if c.GetDecodingConfig() == nil {
		mistakes = append(mistakes, "config has neither autoDecodingConfig nor explicitDecodingConfig")
	}
	if c.GetModel() == "chirp_3" && c.GetFeatures().GetEnableWordConfidence() {
		mistakes = append(mistakes, "Recognizer does not support feature: word_level_confidence")
	}
	if len(mistakes) > 0 {
		return invalid("%s", strings.Join(mistakes, "; "))
	}
	return nil
}

// billed rounds up to the whole second.
func billed(d time.Duration) *durationpb.Duration {
	return durationpb.New((d + time.Second - 1).Truncate(time.Second))
}
