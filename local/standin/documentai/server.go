// Package documentai is a small Document AI with form parsers, on its REST
// protocol. It recognises no letters: it reads the text that a PDF has, and
// what a picture carries as a comment. A line "Phone: 310 555 0142" of either
// is a field. How sure it is follows from the line, so what comes out depends
// on what went in and is the same every time.
//
// Served paths:
//
//	POST /v1/projects/P/locations/L/processors/ID:process
//	POST /v1/projects/P/locations/L/processors/ID/processorVersions/V:process
//	GET, PUT, DELETE /faults                       see package fault
//
// Not served: batches, other kinds of processors, documents in Cloud Storage.
package documentai

import (
	"io"
	"net/http"
	"regexp"
	"slices"

	"cloud.google.com/go/documentai/apiv1/documentaipb"
	"google.golang.org/protobuf/encoding/protojson"

	"ingestion.internal/local/cloud"
	"ingestion.internal/local/standin/fault"
	"ingestion.internal/local/standin/internal/gapi"
)

// Limits of the API (https://cloud.google.com/document-ai/limits, read
// 2026-11-25).
const (
	maxBytes = 40 << 20
	maxPages = 15 // of one synchronous request
	maxBody  = maxBytes*4/3 + 1<<20
)

// Config is what a Server needs.
type Config struct {
	Identity cloud.Identity
	IAM      cloud.IAM
}

// Server is the stand-in. Its methods may be called at the same time.
type Server struct {
	Faults *fault.Injector

	guard   gapi.Guard
	handler http.Handler
}

// New returns a server.
func New(cfg Config) *Server {
	s := &Server{guard: gapi.Guard{Identity: cfg.Identity, IAM: cfg.IAM}}
	s.Faults = fault.New(fault.Shape{Error: gapi.WriteStatus, Nonsense: func(w http.ResponseWriter, _ *http.Request) {
		// Anchors that lie outside of the text.
		gapi.WriteJSON(w, http.StatusOK, map[string]any{"document": map[string]any{"text": "x", "pages": []any{map[string]any{
			"formFields": []any{map[string]any{"fieldName": map[string]any{"textAnchor": map[string]any{"textSegments": []any{map[string]any{"startIndex": "5", "endIndex": "2"}}}}}},
		}}}})
	}})
	mux := http.NewServeMux()
	mux.Handle("/", s.Faults.Middleware(http.HandlerFunc(s.route)))
	mux.Handle("/faults", s.Faults)
	s.handler = mux
	return s
}

// ServeHTTP serves the API.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

var processPath = regexp.MustCompile(`^/v1/(projects/[^/]+/locations/[^/]+/processors/[^/:]+)(/processorVersions/[^/:]+)?:process$`)

func (s *Server) route(w http.ResponseWriter, r *http.Request) {
	m := processPath.FindStringSubmatch(r.URL.Path)
	if m == nil || r.Method != http.MethodPost {
		gapi.WriteStatus(w, http.StatusNotFound, "The requested URL "+r.URL.Path+" was not found on this server.")
		return
	}
	permission, kind := "documentai.processors.processOnline", "documentai.googleapis.com/Processor"
	if m[2] != "" {
		permission, kind = "documentai.processorVersions.processOnline", "documentai.googleapis.com/ProcessorVersion"
	}
	_, err := s.guard.Check(r, permission, cloud.Resource{Service: "documentai.googleapis.com", Type: kind, Name: m[1] + m[2]})
	var answer *documentaipb.ProcessResponse
	if err == nil {
		answer, err = process(w, r)
	}
	if err != nil {
		gapi.WriteError(w, err)
		return
	}
	body, err := protojson.Marshal(answer)
	if err != nil {
		gapi.WriteError(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	_, _ = w.Write(body)
}

func invalid(format string, args ...any) *gapi.Error {
	return gapi.Errorf(http.StatusBadRequest, format, args...)
}

func process(w http.ResponseWriter, r *http.Request) (*documentaipb.ProcessResponse, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return nil, invalid("Request payload size exceeds the limit: %d bytes.", maxBytes)
	}
	var req documentaipb.ProcessRequest
	if err := protojson.Unmarshal(body, &req); err != nil {
		return nil, invalid("Invalid JSON payload received. %v", err)
	}
	raw := req.GetRawDocument()
	switch {
	case raw == nil:
		return nil, gapi.Errorf(http.StatusNotImplemented, "the stand-in knows only rawDocument")
	case len(raw.GetContent()) == 0:
		return nil, invalid("Document content is empty.")
	case len(raw.GetContent()) > maxBytes:
		return nil, invalid("Document size (%d) exceeds the limit: %d.", len(raw.GetContent()), maxBytes)
	}
	var pages []string
	switch raw.GetMimeType() {
	case "application/pdf":
		pages, err = textOfPDF(raw.GetContent())
	case "image/png", "image/jpeg":
		pages, err = textOfImage(raw.GetContent(), raw.GetMimeType())
	default:
		return nil, invalid("Unsupported input file format: %q.", raw.GetMimeType())
	}
	if err != nil {
		return nil, err
	}
	options := req.GetProcessOptions()
	switch options.GetPageRange().(type) {
	case nil:
	case *documentaipb.ProcessOptions_FromStart:
		pages = pages[:min(len(pages), int(max(options.GetFromStart(), 0)))]
	default:
		return nil, gapi.Errorf(http.StatusNotImplemented, "the stand-in knows only fromStart")
	}
	if len(pages) > maxPages {
		return nil, invalid("Document pages exceed the limit: %d got %d. Try using imageless mode to increase the limit.", maxPages, len(pages))
	}
	document := documentOf(pages, raw.GetMimeType())
	return &documentaipb.ProcessResponse{Document: masked(document, req.GetFieldMask().GetPaths())}, nil
}

// masked leaves only what the request asks for: fields of the document and, as
// pages.name, of its pages.
func masked(d *documentaipb.Document, paths []string) *documentaipb.Document {
	if len(paths) == 0 {
		return d
	}
	if !slices.Contains(paths, "text") {
		d.Text = ""
	}
	if slices.Contains(paths, "pages") {
		return d
	}
	for _, p := range d.GetPages() {
		if !slices.Contains(paths, "pages.page_number") {
			p.PageNumber = 0
		}
		if !slices.Contains(paths, "pages.form_fields") {
			p.FormFields = nil
		}
	}
	return d
}
