// Package vertexai is a small Gemini on Vertex AI: generateContent and
// streamGenerateContent, on its REST protocol. It has no language model. It reads the data of the request by
// written rules (see analyse) and answers with JSON for the response schema
// that the request brings, so that what comes out depends on what went in and
// is the same every time.
//
// Served paths (v1 and v1beta1):
//
//	POST /V/projects/P/locations/L/publishers/google/models/M:generateContent
//	POST /V/projects/P/locations/L/publishers/google/models/M:streamGenerateContent?alt=sse
//	GET, PUT, DELETE /faults                       see package fault
//
// A conversation of a chat, {"facts": [...], "conversation": [...]}, is answered
// in words, see reply.
//
// A fault of mode nonsense is the model's: a well-formed answer whose text is
// not what the schema asks for.
package vertexai

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"ingestion.internal/local/cloud"
	"ingestion.internal/local/standin/fault"
	"ingestion.internal/local/standin/internal/gapi"
)

// DefaultModels are the models that exist unless Config says otherwise. A
// retired one, such as gemini-2.5-flash since 2026-10-16, is as unknown as one
// that never was.
var DefaultModels = []string{"gemini-3.5-flash", "gemini-3.5-flash-lite", "gemini-3.1-flash-lite"}

// DefaultWindow is the input that Gemini's flash models take, in tokens.
const DefaultWindow = 1_048_576

// maxBody bounds a request, in bytes.
const maxBody = 20 << 20

// Config is what a Server needs.
type Config struct {
	Identity cloud.Identity
	IAM      cloud.IAM
	Models   []string         // nil is DefaultModels
	Window   int              // tokens that a model takes; 0 is DefaultWindow
	Pace     time.Duration    // between two events of a stream; 0 is DefaultPace
	Now      func() time.Time // nil is time.Now
}

// Server is the stand-in. Its methods may be called at the same time.
type Server struct {
	Faults *fault.Injector

	guard   gapi.Guard
	models  []string
	window  int
	pace    time.Duration
	now     func() time.Time
	handler http.Handler
}

// New returns a server.
func New(cfg Config) *Server {
	s := &Server{guard: gapi.Guard{Identity: cfg.Identity, IAM: cfg.IAM}, models: cfg.Models, window: cfg.Window, now: cfg.Now}
	if s.pace = cfg.Pace; s.pace == 0 {
		s.pace = DefaultPace
	}
	if s.window == 0 {
		s.window = DefaultWindow
	}
	if s.models == nil {
		s.models = DefaultModels
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.Faults = fault.New(fault.Shape{Error: gapi.WriteStatus, Nonsense: func(w http.ResponseWriter, _ *http.Request) {
		gapi.WriteJSON(w, http.StatusOK, s.answer("", "Certainly! Roses are red, violets are blue.", 1, finishStop))
	}})
	mux := http.NewServeMux()
	mux.Handle("/", s.Faults.Middleware(http.HandlerFunc(s.route)))
	mux.Handle("/faults", s.Faults)
	s.handler = mux
	return s
}

// ServeHTTP serves the API.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

var modelPath = regexp.MustCompile(`^/v1(?:beta1)?/(projects/[^/]+/locations/[^/]+)/publishers/google/models/([^/:]+):(generateContent|streamGenerateContent)$`)

func (s *Server) route(w http.ResponseWriter, r *http.Request) {
	m := modelPath.FindStringSubmatch(r.URL.Path)
	if m == nil || r.Method != http.MethodPost {
		gapi.WriteStatus(w, http.StatusNotFound, fmt.Sprintf("The requested URL %s was not found on this server.", r.URL.Path))
		return
	}
	req, text, finish, err := s.generateContent(r, m[1], m[2])
	switch {
	case err != nil:
		gapi.WriteError(w, err)
	case m[3] == "streamGenerateContent" && r.URL.Query().Get("alt") == "sse":
		s.stream(w, r, m[2], req, text, finish)
	case m[3] == "streamGenerateContent": // without alt=sse: one JSON array
		gapi.WriteJSON(w, http.StatusOK, []any{s.answer(m[2], text, req.tokens(), finish)})
	default:
		gapi.WriteJSON(w, http.StatusOK, s.answer(m[2], text, req.tokens(), finish))
	}
}

// request is the part of GenerateContentRequest that is understood.
type request struct {
	Contents          []content `json:"contents"`
	SystemInstruction *content  `json:"systemInstruction"`
	GenerationConfig  struct {
		ResponseMIMEType   string          `json:"responseMimeType"`
		ResponseSchema     *schema         `json:"responseSchema"`
		ResponseJSONSchema *schema         `json:"responseJsonSchema"`
		MaxOutputTokens    int             `json:"maxOutputTokens"`
		CandidateCount     int             `json:"candidateCount"`
		Temperature        *float64        `json:"temperature"`
		ThinkingConfig     *thinkingConfig `json:"thinkingConfig"`
	} `json:"generationConfig"`
}

type thinkingConfig struct {
	ThinkingBudget *int   `json:"thinkingBudget"`
	ThinkingLevel  string `json:"thinkingLevel"`
}

type content struct {
	Role  string `json:"role"`
	Parts []part `json:"parts"`
}

type part struct {
	Text string `json:"text"`
}

func invalid(format string, args ...any) *gapi.Error {
	return gapi.Errorf(http.StatusBadRequest, format, args...)
}

// generateContent returns the request, the text that answers it and why the text
// ends.
func (s *Server) generateContent(r *http.Request, parent, model string) (*request, string, string, error) {
	name := parent + "/publishers/google/models/" + model
	if _, err := s.guard.Check(r, "aiplatform.endpoints.predict", cloud.Resource{
		Service: "aiplatform.googleapis.com", Type: "aiplatform.googleapis.com/Endpoint", Name: name,
	}); err != nil {
		return nil, "", "", err
	}
	if !slices.Contains(s.models, model) {
		return nil, "", "", gapi.Errorf(http.StatusNotFound, "Publisher Model `%s` was not found or your project does not have access to it. Please ensure you are using a valid model version.", name)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return nil, "", "", invalid("the request body ended early: %v", err)
	}
	if len(body) > maxBody {
		return nil, "", "", invalid("Request payload size exceeds the limit: %d bytes.", maxBody)
	}
	var req request
	if err := json.Unmarshal(body, &req); err != nil {
		return nil, "", "", invalid("Invalid JSON payload received. %v", err)
	}
	if err := req.validate(); err != nil {
		return nil, "", "", err
	}

	if n := req.tokens(); n > s.window {
		return nil, "", "", invalid("The input token count (%d) exceeds the maximum number of tokens allowed (%d).", n, s.window)
	}

	lead := analyse(readDocument(req.data()))
	config := req.GenerationConfig
	text := lead.Summary
	if c, ok := readChat(req.data()); ok {
		text = c.reply()
	}
	if config.ResponseMIMEType == "application/json" {
		wanted := config.ResponseSchema
		if wanted == nil {
			wanted = config.ResponseJSONSchema
		}
		var value any = map[string]any{"summary": lead.Summary}
		if wanted != nil {
			value = fill(wanted, nil, lead)
		}
		out, err := json.Marshal(value)
		if err != nil {
			return nil, "", "", fmt.Errorf("marshal the answer: %w", err)
		}
		text = string(out)
	}
	finish := finishStop
	if limit := config.MaxOutputTokens; limit > 0 && tokens(text) > limit {
		text, finish = text[:min(len(text), limit*bytesPerToken)], finishMaxTokens
		text = strings.ToValidUTF8(text, "")
	}
	return &req, text, finish, nil
}

func (req *request) validate() error {
	if len(req.Contents) == 0 {
		return invalid("contents is required")
	}
	for i, c := range req.Contents {
		if c.Role != "user" && c.Role != "model" {
			return invalid("Please use a valid role: user, model. contents[%d] has %q.", i, c.Role)
		}
		if len(c.Parts) == 0 {
			return invalid("contents[%d].parts must not be empty.", i)
		}
	}
	g := req.GenerationConfig
	if g.ResponseSchema != nil && g.ResponseJSONSchema != nil {
		return invalid("response_schema and response_json_schema must not both be set.")
	}
	if (g.ResponseSchema != nil || g.ResponseJSONSchema != nil) && g.ResponseMIMEType != "application/json" && g.ResponseMIMEType != "text/x.enum" {
		return invalid("A response schema needs response_mime_type application/json, not %q.", g.ResponseMIMEType)
	}
	if t := g.ThinkingConfig; t != nil && t.ThinkingBudget != nil && t.ThinkingLevel != "" {
		return invalid("thinking_budget and thinking_level must not both be set.")
	}
	if g.Temperature != nil && (*g.Temperature < 0 || *g.Temperature > 2) {
		return invalid("temperature must be between 0 and 2, not %g.", *g.Temperature)
	}
	if g.CandidateCount > 1 {
		return invalid("the stand-in makes one candidate, not %d", g.CandidateCount)
	}
	return nil
}

// tagged matches a part that is one element: data between its own tags.
var tagged = regexp.MustCompile(`(?s)^\s*<([A-Za-z][\w-]*)>\n?(.*)</([A-Za-z][\w-]*)>\s*$`)

// data returns what the request is about, apart from what is said about it:
// the user's parts that are one tagged element or JSON. Without any such part
// it is all that the user wrote. The system instruction and the model's own
// turns are never data.
func (req *request) data() string {
	var data, all []string
	for _, c := range req.Contents {
		if c.Role != "user" {
			continue
		}
		for _, p := range c.Parts {
			all = append(all, p.Text)
			if m := tagged.FindStringSubmatch(p.Text); m != nil && m[1] == m[3] {
				data = append(data, m[2])
			} else if t := strings.TrimSpace(p.Text); t != "" && strings.ContainsAny(t[:1], "{[") && json.Valid([]byte(t)) {
				data = append(data, t)
			}
		}
	}
	if len(data) == 0 {
		data = all
	}
	return strings.Join(data, "\n")
}

// bytesPerToken is the usual rule of thumb for English.
const bytesPerToken = 4

func tokens(text string) int {
	return (utf8.RuneCountInString(text) + bytesPerToken - 1) / bytesPerToken
}

func (req *request) tokens() int {
	n := 0
	count := func(c content) {
		for _, p := range c.Parts {
			n += tokens(p.Text)
		}
	}
	for _, c := range req.Contents {
		count(c)
	}
	if req.SystemInstruction != nil {
		count(*req.SystemInstruction)
	}
	return n
}

// Reasons why an answer ends.
const (
	finishStop      = "STOP"
	finishMaxTokens = "MAX_TOKENS"
)

// answer is a GenerateContentResponse with one candidate.
func (s *Server) answer(model, text string, promptTokens int, finish string) any {
	n := tokens(text)
	candidate := map[string]any{"content": content{Role: "model", Parts: []part{{Text: text}}}}
	if finish != "" { // more follows
		candidate["finishReason"] = finish
	}
	return map[string]any{
		"candidates": []any{candidate},
		"usageMetadata": map[string]any{
			"promptTokenCount":     promptTokens,
			"candidatesTokenCount": n,
			"totalTokenCount":      promptTokens + n,
			"trafficType":          "ON_DEMAND",
		},
		"modelVersion": model,
		"createTime":   s.now().UTC().Format(time.RFC3339Nano),
		"responseId":   rand.Text(),
	}
}
