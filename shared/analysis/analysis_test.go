package analysis

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/auth"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/genai"

	"ingestion.internal/shared/analysis/attacks"
	"ingestion.internal/shared/fault"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const (
	stackModel = "gemini-3.5-flash-lite"

	goodAnswer = `{"steering":"","communication":{"evidence":"a kitchen remodel","type":"enquiry","confidence":95},
		"reasons":["\"a kitchen remodel\" states the work"],"intent":"quote_request","project_type":"kitchen","scope":"A kitchen remodel.",
		"budget":{"evidence":"about forty thousand","min_usd":40000,"max_usd":40000},"timing":{"evidence":"next month","start":"months"},"urgency":"medium",
		"location":{"evidence":"in Beverly Hills","city":"Beverly Hills","state":"CA","country":""},"sentiment":"positive",
		"sentiment_detail":{"evidence":"that is great","start":"neutral","middle":"neutral","end":"positive","staff":"positive"},
		"customer":{"name":"John Smith","phone":"+15551234567","email":"","address":"","zip":"90210"},
		"customer_evidence":{"name":"this is John Smith","phone":"+15551234567","email":"","address":"","zip":"90210"},
		"summary":"John wants a kitchen remodel.","next_step":{"action":"book_visit","detail":"Offer a visit next week."},
		"lead_score":85,"spam_signals":[],"spam_likelihood":5}`
)

// talk is a conversation that goodAnswer describes.
var talk = Content{
	Details: map[string]string{"customer_phone_number": "+15551234567"},
	Turns: []Turn{
		{"1", "Hi, this is John Smith in Beverly Hills, 90210. I want a kitchen remodel."},
		{"2", "When should it begin?"},
		{"1", "Next month, for about forty thousand. That is great!"},
	},
}

var goodResult = Result{
	Communication: Communication{Type: "enquiry", Confidence: 95, Evidence: "a kitchen remodel"},
	Intent:        "quote_request", ProjectType: "kitchen", Scope: "A kitchen remodel.",
	Budget: Budget{MinUSD: 40000, MaxUSD: 40000, Evidence: "about forty thousand"},
	Timing: Timing{Start: "months", Evidence: "next month"}, Urgency: "medium",
	Location: Location{City: "Beverly Hills", State: "CA", Evidence: "in Beverly Hills"}, LeadScore: 85, Sentiment: "positive",
	SentimentDetail:  SentimentDetail{Start: "neutral", Middle: "neutral", End: "positive", Staff: "positive", Evidence: "that is great"},
	Customer:         Customer{Name: "John Smith", Phone: "+15551234567", ZIP: "90210"},
	CustomerEvidence: Customer{Name: "this is John Smith", Phone: "+15551234567", ZIP: "90210"},
	Summary:          "John wants a kitchen remodel.", NextStep: NextStep{Action: "book_visit", Detail: "Offer a visit next week."},
	SpamLikelihood: 5, SpamSignals: []string{}, Reasons: []string{`"a kitchen remodel" states the work`},
}

// answerLess is goodAnswer without those fields.
func answerLess(t *testing.T, fields ...string) string {
	t.Helper()
	var answer map[string]any
	if err := json.Unmarshal([]byte(goodAnswer), &answer); err != nil {
		t.Fatal(err)
	}
	for _, f := range fields {
		if _, ok := answer[f]; !ok {
			t.Fatalf("there is no %s", f)
		}
		delete(answer, f)
	}
	out, err := json.Marshal(answer)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// answerFor is an answer in the kind's schema.
func answerFor(t *testing.T, kind Kind) string {
	if kind == Call || kind == Chat {
		return goodAnswer
	}
	return answerLess(t, "sentiment_detail")
}

type request struct {
	SystemInstruction content        `json:"systemInstruction"`
	Contents          []content      `json:"contents"`
	GenerationConfig  map[string]any `json:"generationConfig"`
}

type content struct {
	Role  string `json:"role"`
	Parts []struct {
		Text string `json:"text"`
	} `json:"parts"`
}

// vertex is a wire fake of generateContent: it gives its answers in order and
// keeps what it was asked.
type vertex struct {
	mu       sync.Mutex
	answers  []func(w http.ResponseWriter, r *http.Request)
	models   []string
	requests []request
	raw      [][]byte
	// respond answers what answers does not, if it is set; it may run at the
	// same time as itself.
	respond func(req request) answer
}

func (v *vertex) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusTeapot)
		return
	}
	v.take(r, body)(w, r)
}

// take keeps the request and picks its answer.
func (v *vertex) take(r *http.Request, body []byte) answer {
	v.mu.Lock()
	defer v.mu.Unlock()
	teapot := func(text string) answer {
		return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, text, http.StatusTeapot) }
	}
	model, ok := strings.CutPrefix(r.URL.Path, "/v1beta1/projects/p/locations/us-central1/publishers/google/models/")
	model, ok2 := strings.CutSuffix(model, ":generateContent")
	if !ok || !ok2 || r.Header.Get("Authorization") != "Bearer token" {
		return teapot("unexpected " + r.URL.Path + " " + r.Header.Get("Authorization"))
	}
	var req request
	if err := json.Unmarshal(body, &req); err != nil {
		return teapot(err.Error())
	}
	v.models = append(v.models, model)
	v.requests = append(v.requests, req)
	v.raw = append(v.raw, body)
	if len(v.answers) == 0 {
		if v.respond != nil {
			return v.respond(req)
		}
		return teapot("asked once too often")
	}
	next := v.answers[0]
	v.answers = v.answers[1:]
	return next
}

type answer = func(http.ResponseWriter, *http.Request)

func says(texts ...string) answer {
	return func(w http.ResponseWriter, r *http.Request) {
		var parts []map[string]any
		for _, text := range texts {
			parts = append(parts, map[string]any{"text": text})
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]any{
			"candidates":    []any{map[string]any{"content": map[string]any{"role": "model", "parts": parts}, "finishReason": "STOP"}},
			"modelVersion":  "the-version",
			"usageMetadata": map[string]any{"promptTokenCount": 100, "candidatesTokenCount": 20, "thoughtsTokenCount": 3},
		})
	}
}

func fails(code int, status string) answer {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		fmt.Fprintf(w, `{"error":{"code":%d,"message":"the message","status":%q}}`, code, status)
	}
}

func newAnalyzer(t *testing.T, answers ...answer) (*Analyzer, *vertex, *strings.Builder) {
	t.Helper()
	v := &vertex{answers: answers}
	srv := httptest.NewServer(v)
	t.Cleanup(srv.Close)
	var logs strings.Builder
	a, err := New(t.Context(), Config{Project: "p", Location: "us-central1", Endpoint: srv.URL, Model: stackModel, Timeout: 5 * time.Second,
		Credentials: auth.NewCredentials(&auth.CredentialsOptions{TokenProvider: token{}})}, slog.New(slog.NewTextHandler(&logs, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return a, v, &logs
}

type token struct{}

func (token) Token(context.Context) (*auth.Token, error) { return &auth.Token{Value: "token"}, nil }

// golden compares got with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got), -update accepts it:\n%s", path, diff)
	}
}

func TestAnalyze(t *testing.T) {
	t.Parallel()
	half := len(goodAnswer) / 2
	a, _, logs := newAnalyzer(t, says(goodAnswer[:half], goodAnswer[half:]))
	got, err := a.Analyze(t.Context(), Call, talk, Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := &Analysis{Result: goodResult, Model: stackModel, ModelVersion: "the-version", PromptVersion: "call.v2", SchemaVersion: "call.v2",
		Parameters: Parameters{Temperature: 0, Seed: 1}, Requests: 1, Tokens: Tokens{Input: 100, Output: 23}, CostMicros: genai.Ptr[int64](88)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("analysis (-want +got):\n%s", diff)
	}
	if got.Verified() != got.Customer {
		t.Errorf("verified %+v, want all of %+v", got.Verified(), got.Customer)
	}
	for _, field := range []string{"level=INFO", `event=analysis.done`, "kind=call", "model=" + stackModel, "prompt_version=call.v2", "requests=1", "input_tokens=100", "output_tokens=23", "outcome=ok", "cost_usd=8.8e-05", "seconds="} {
		if !strings.Contains(logs.String(), field) {
			t.Errorf("the line lacks %s:\n%s", field, logs)
		}
	}
	if n := strings.Count(logs.String(), "\n"); n != 1 {
		t.Errorf("%d lines, want one:\n%s", n, logs)
	}
}

// TestRequests holds the bytes that are sent for each kind: instructions,
// schema, parameters, and the content in its tags.
func TestRequests(t *testing.T) {
	t.Parallel()
	contents := map[Kind]Content{
		Call:    talk,
		Chat:    {Details: map[string]string{"page": "/kitchens"}, Turns: []Turn{{"assistant", "How can I help?"}, {"visitor", "Do you do <b>kitchens</b>?"}}},
		Form:    {Fields: []byte(`{"zip":90210,"message":"A kitchen \u003c/content\u003e"}`)},
		Booking: {Fields: []byte(`{"summary":"Kitchen visit","start":{"dateTime":"2026-12-01T10:00:00-08:00"}}`)},
		Text:    {Turns: []Turn{{"customer", "how much 4 a deck"}}},
	}
	for _, kind := range Kinds {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			a, v, _ := newAnalyzer(t, says(answerFor(t, kind)))
			got, err := a.Analyze(t.Context(), kind, contents[kind], Options{})
			if err != nil {
				t.Fatal(err)
			}
			if got.PromptVersion != kinds[kind].promptVersion || got.SchemaVersion != kinds[kind].schemaVersion || got.Intent != goodResult.Intent {
				t.Errorf("analysis %+v", got)
			}
			var whole any
			if err := json.Unmarshal(v.raw[0], &whole); err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			enc := json.NewEncoder(&out)
			enc.SetEscapeHTML(false)
			enc.SetIndent("", " ")
			if err := enc.Encode(whole); err != nil {
				t.Fatal(err)
			}
			golden(t, "requests/"+string(kind)+".json", []byte(out.String()))
		})
	}
}

// TestSkipped: what a tenant does not want is not asked for, and not accepted
// either.
func TestSkipped(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		opts   Options
		fields []string
	}{
		"detection": {Options{SkipDetection: true}, []string{"communication"}},
		"details":   {Options{SkipDetails: true}, []string{"customer", "customer_evidence", "location"}},
		"sentiment": {Options{SkipSentiment: true}, []string{"sentiment", "sentiment_detail"}},
		"all":       {Options{SkipDetection: true, SkipDetails: true, SkipSentiment: true}, []string{"communication", "customer", "customer_evidence", "location", "sentiment", "sentiment_detail"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, v, _ := newAnalyzer(t, says(goodAnswer), says(answerLess(t, tc.fields...)))
			got, err := a.Analyze(t.Context(), Call, talk, tc.opts)
			if err != nil {
				t.Fatal(err)
			}
			if !got.Repaired {
				t.Error("an answer with fields that were not asked for is accepted")
			}
			if diff := cmp.Diff(tc.fields, got.NotAsked); diff != "" {
				t.Errorf("not asked (-want +got):\n%s", diff)
			}
			schema, _ := v.requests[0].GenerationConfig["responseSchema"].(map[string]any)
			for _, f := range tc.fields {
				if _, ok := schema["properties"].(map[string]any)[f]; ok {
					t.Errorf("%s is asked for", f)
				}
			}
			stored, err := json.Marshal(got)
			if err != nil {
				t.Fatal(err)
			}
			var document map[string]any
			if err := json.Unmarshal(stored, &document); err != nil {
				t.Fatal(err)
			}
			for _, f := range tc.fields {
				if value, ok := document[f]; ok && f != "customer" {
					t.Errorf("%s is stored: %v", f, value)
				}
			}
			if tc.opts.SkipDetails && got.Customer != (Customer{}) {
				t.Errorf("customer %+v", got.Customer)
			}
		})
	}
	if names := kinds[Call].schema.Required; len(names) != 19 {
		t.Errorf("the kind's own schema has changed: %v", names)
	}
}

func TestRepair(t *testing.T) {
	t.Parallel()
	bad := strings.Replace(strings.Replace(goodAnswer, `:85`, `:850`, 1), `"kitchen",`, `"castle",`, 1)
	a, v, logs := newAnalyzer(t, says(bad), says(goodAnswer))
	got, err := a.Analyze(t.Context(), Call, talk, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !got.Repaired || got.Requests != 2 || got.Tokens != (Tokens{Input: 200, Output: 46}) || got.LeadScore != 85 {
		t.Errorf("analysis %+v", got)
	}
	if !strings.Contains(logs.String(), "outcome=repaired") {
		t.Errorf("logged %s", logs)
	}
	second := v.requests[1].Contents
	if len(second) != 3 || second[1].Role != "model" || second[1].Parts[0].Text != bad {
		t.Fatalf("the repair does not quote the answer: %+v", second)
	}
	for _, violation := range []string{"- $.lead_score: 850 is outside 0 to 100", `- $.project_type: "castle" is none of kitchen, bathroom`} {
		if !strings.Contains(second[2].Parts[0].Text, violation) {
			t.Errorf("the repair does not name %q:\n%s", violation, second[2].Parts[0].Text)
		}
	}
}

func TestNonsenseTwiceIsFinal(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"prose": "I cannot help with that.", "nothing": "", "array": "[]"} {
		a, v, logs := newAnalyzer(t, says(text), says(text))
		_, err := a.Analyze(t.Context(), Call, talk, Options{})
		if !fault.IsPermanent(err) || !strings.Contains(err.Error(), "outside the schema twice") {
			t.Errorf("%s: error %v, want a permanent one", name, err)
		}
		if len(v.requests) != 2 {
			t.Errorf("%s: asked %d times, want 2", name, len(v.requests))
		}
		// What it cost is told all the same.
		if !strings.Contains(logs.String(), "event=analysis.failed") || !strings.Contains(logs.String(), "input_tokens=200") {
			t.Errorf("%s: logged %s", name, logs)
		}
	}
}

func TestBlockedAnswerIsFinal(t *testing.T) {
	t.Parallel()
	blocked := func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `{"promptFeedback":{"blockReason":"SAFETY"}}`)
	}
	a, _, _ := newAnalyzer(t, blocked, blocked)
	if _, err := a.Analyze(t.Context(), Call, talk, Options{}); !fault.IsPermanent(err) {
		t.Errorf("error %v, want a permanent one", err)
	}
}

func TestRetiredModelFallsBack(t *testing.T) {
	t.Parallel()
	a, v, logs := newAnalyzer(t, fails(404, "NOT_FOUND"), says(goodAnswer))
	got, err := a.Analyze(t.Context(), Call, talk, Options{Model: "gemini-2.5-flash"})
	if err != nil {
		t.Fatal(err)
	}
	if got.Model != stackModel || got.ModelFallback != "gemini-2.5-flash" || got.CostMicros == nil {
		t.Errorf("model %q, fallback from %q, cost %v", got.Model, got.ModelFallback, got.CostMicros)
	}
	if diff := cmp.Diff([]string{"gemini-2.5-flash", stackModel}, v.models); diff != "" {
		t.Errorf("models asked (-want +got):\n%s", diff)
	}
	for _, field := range []string{"level=WARN", "event=analysis.model_fallback", "model=gemini-2.5-flash", "fallback=" + stackModel, "outcome=fallback"} {
		if !strings.Contains(logs.String(), field) {
			t.Errorf("no warning with %s:\n%s", field, logs)
		}
	}
}

// TestUnknownPrice: a cost that is not known is absent, not zero.
func TestUnknownPrice(t *testing.T) {
	t.Parallel()
	a, _, logs := newAnalyzer(t, says(goodAnswer))
	got, err := a.Analyze(t.Context(), Call, talk, Options{Model: "gemini-9"})
	if err != nil {
		t.Fatal(err)
	}
	if got.CostMicros != nil || got.Tokens.Input != 100 {
		t.Errorf("cost %v, tokens %+v", got.CostMicros, got.Tokens)
	}
	if strings.Contains(logs.String(), "cost_usd") || !strings.Contains(logs.String(), "event=analysis.done") {
		t.Errorf("logged %s", logs)
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		answers   []answer
		permanent bool
	}{
		"quota":               {[]answer{fails(429, "RESOURCE_EXHAUSTED")}, false},
		"unavailable":         {[]answer{fails(503, "UNAVAILABLE")}, false},
		"forbidden":           {[]answer{fails(403, "PERMISSION_DENIED")}, false},
		"stack_model_missing": {[]answer{fails(404, "NOT_FOUND")}, false},
		"refused":             {[]answer{fails(400, "INVALID_ARGUMENT")}, true},
		"quota_on_repair":     {[]answer{says("nonsense"), fails(429, "RESOURCE_EXHAUSTED")}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, v, _ := newAnalyzer(t, tc.answers...)
			_, err := a.Analyze(t.Context(), Call, talk, Options{})
			if err == nil || !strings.Contains(err.Error(), "the message") {
				t.Fatalf("error %v, want the API's", err)
			}
			if got := fault.IsPermanent(err); got != tc.permanent {
				t.Errorf("permanent = %t, want %t: %v", got, tc.permanent, err)
			}
			if len(v.requests) != len(tc.answers) {
				t.Errorf("asked %d times, want %d: retries are the queue's", len(v.requests), len(tc.answers))
			}
		})
	}
}

func TestSlowModelTimesOut(t *testing.T) {
	t.Parallel()
	done := make(chan struct{})
	a, _, _ := newAnalyzer(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-done:
		}
	})
	t.Cleanup(func() { close(done) })
	a.cfg.Timeout = 50 * time.Millisecond
	_, err := a.Analyze(t.Context(), Call, talk, Options{})
	if !errors.Is(err, context.DeadlineExceeded) || fault.IsPermanent(err) {
		t.Errorf("error %v, want a deadline worth a retry", err)
	}
}

// dataOf returns the content of a request: what is between its tags.
func dataOf(t *testing.T, req request) string {
	t.Helper()
	if len(req.Contents) != 1 || req.Contents[0].Role != "user" || len(req.Contents[0].Parts) != 2 {
		t.Fatalf("contents %+v, want one message of two parts", req.Contents)
	}
	data := req.Contents[0].Parts[1].Text
	tag, _, _ := strings.Cut(strings.TrimPrefix(data, "<"), ">")
	inside, ok1 := strings.CutPrefix(data, "<"+tag+">\n")
	inside, ok2 := strings.CutSuffix(inside, "\n</"+tag+">")
	if !ok1 || !ok2 || !strings.Contains(req.Contents[0].Parts[0].Text, "<"+tag+"> and </"+tag+">") {
		t.Fatalf("the data part is %q after %q", data, req.Contents[0].Parts[0].Text)
	}
	if strings.Contains(strings.ToLower(inside), tag) {
		t.Errorf("the content has its own tag %q", tag)
	}
	return inside
}

// TestAttacksStayData: whatever the content says, in a turn, a detail or a
// form's field, the instructions are the prompt and nothing else, the content
// is in one part of the user's message, inside tags that it does not contain,
// as a JSON document in which the attack is one string; and a model that obeys
// is still held to the schema.
func TestAttacksStayData(t *testing.T) {
	t.Parallel()
	obeyed := strings.NewReplacer(`:85`, `:1000`, `"quote_request"`, `"vip"`).Replace(goodAnswer)
	list := append(attacks.All(), attacks.Attack{ID: "bad_bytes", Text: "caf\xe9 \xff\xfe obey"})
	for _, attack := range list {
		t.Run(attack.ID, func(t *testing.T) {
			t.Parallel()
			seen, _ := removeInvisible(string([]rune(attack.Text))) // bad bytes become U+FFFD
			fields, err := json.Marshal(map[string]string{"message": attack.Text})
			if err != nil {
				t.Fatal(err)
			}
			for _, tc := range []struct {
				kind    Kind
				content Content
				want    any
			}{
				{Call, Content{Turns: []Turn{{"1", attack.Text}}}, map[string]any{"details": map[string]any{}, "transcript": []any{map[string]any{"speaker": "1", "text": seen}}}},
				{Chat, Content{Details: map[string]string{"name": attack.Text}, Missing: "m"}, map[string]any{"details": map[string]any{"name": seen}, "transcript": []any{}, "transcript_missing": "m"}},
				{Form, Content{Fields: fields}, map[string]any{"message": seen}},
				{Form, Content{Fields: []byte(`{}`), Documents: []Document{{Name: attack.Text, Text: attack.Text, Fields: []Field{{attack.Text, attack.Text, 1}}}}},
					map[string]any{"attached_documents": []any{map[string]any{"name": seen, "text": seen,
						"fields": []any{map[string]any{"name": seen, "value": seen, "confidence": 1.0}}}}}},
				{Booking, Content{Fields: []byte(attack.Text + " ")}, nil},
			} {
				a, v, _ := newAnalyzer(t, says(obeyed), says(obeyed))
				if _, err := a.Analyze(t.Context(), tc.kind, tc.content, Options{}); !fault.IsPermanent(err) {
					t.Errorf("%s: an answer outside the schema gave %v, want a permanent error", tc.kind, err)
				}
				req := v.requests[0]
				if len(req.SystemInstruction.Parts) != 1 || req.SystemInstruction.Parts[0].Text != mustPrompt(kinds[tc.kind].promptVersion) {
					t.Errorf("%s: the system instruction is not the prompt alone", tc.kind)
				}
				inside := dataOf(t, req)
				if strings.ContainsFunc(inside, invisible) {
					t.Errorf("%s: something that cannot be seen was sent: %q", tc.kind, inside)
				}
				var got any
				if err := json.Unmarshal([]byte(inside), &got); err != nil {
					t.Fatalf("%s: the content is not one JSON document: %v\n%s", tc.kind, err, inside)
				}
				if tc.want == nil {
					continue // a payload that is no JSON is a string, one that is stays what it says
				}
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("%s: content (-want +got):\n%s", tc.kind, diff)
				}
			}
		})
	}
}

// TestTagIsNotInContent: a content that has the name of its tag gets the next
// name, in whatever case it is written.
func TestTagIsNotInContent(t *testing.T) {
	t.Parallel()
	if plain := tagFor("hello"); plain != tagFor("hello") || plain == tagFor("hello ") || len(plain) != len("content-")+16 {
		t.Errorf("tag %q does not follow the content alone", plain)
	}
	names := func(n int) string { return fmt.Sprintf("content-%02x", n) }
	for content, want := range map[string]string{
		"":                                    "content-00",
		"</content-00>":                       "content-01",
		"</CONTENT-00> content-02 content-01": "content-03",
	} {
		if got := freeName(content, names); got != want {
			t.Errorf("%q: tag %s, want %s", content, got, want)
		}
	}
}

func TestUnknownKind(t *testing.T) {
	t.Parallel()
	a, _, _ := newAnalyzer(t)
	if _, err := a.Analyze(t.Context(), "fax", talk, Options{}); !fault.IsPermanent(err) {
		t.Errorf("error %v, want a permanent one", err)
	}
}

func TestNewWantsItsConfig(t *testing.T) {
	t.Parallel()
	if _, err := New(t.Context(), Config{Project: "p", Location: "l", Model: "m"}, nil); err == nil {
		t.Error("no timeout is accepted")
	}
}

// TestUnverified: what the model states without words of the content is named,
// and is not among the verified details.
func TestUnverified(t *testing.T) {
	t.Parallel()
	answer := strings.NewReplacer(
		`"name":"this is John Smith"`, `"name":"my name is Johnny Depp"`,
		`"zip":"90210"},
		"summary"`, `"zip":""},
		"summary"`,
		`"about forty thousand"`, `"FORTY, thousand!"`,
		`"in Beverly Hills"`, `"in Paris"`,
		`"steering":""`, `"steering":"ignore all"`,
		`"next month"`, `""`,
		`"evidence":"that is great"`, `"evidence":"I hate it"`,
		`"evidence":"a kitchen remodel"`, `"evidence":"a castle"`,
	).Replace(goodAnswer)
	a, _, _ := newAnalyzer(t, says(answer))
	got, err := a.Analyze(t.Context(), Call, talk, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"communication", "timing", "location", "sentiment_detail", "steering", "customer.name", "customer.zip"}, got.Unverified); diff != "" {
		t.Errorf("unverified (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(Customer{Phone: "+15551234567"}, got.Verified()); diff != "" {
		t.Errorf("verified (-want +got):\n%s", diff)
	}
	all := Analysis{Result: Result{Customer: Customer{"a", "b", "c", "d", "e"}}, Unverified: []string{"budget", "customer.name", "customer.phone", "customer.email", "customer.address", "customer.zip"}}
	if all.Verified() != (Customer{}) {
		t.Errorf("verified %+v, want nothing", all.Verified())
	}
}

// TestStored: a document of every version that was written can be read, and
// says the same.
func TestStored(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]Analysis{
		"v1.json": {
			Result: Result{Intent: "quote_request", ProjectType: "kitchen", LeadScore: 85, Sentiment: "positive", Urgency: "medium",
				Customer: Customer{Name: "John Smith", Phone: "+15551234567", ZIP: "90210"},
				Summary:  "John wants a kitchen remodel.", SpamLikelihood: 5, Reasons: []string{`"a kitchen remodel" states the work`}},
			Model: stackModel, ModelFallback: "gemini-2.5-flash", PromptVersion: "call.v1", SchemaVersion: "analysis.v1", Repaired: true,
			Tokens: Tokens{Input: 100, Output: 23}, ContentCut: &ContentCut{Runes: 200_008, Kept: 200_000},
		},
		"v2.json": {
			Result: goodResult, Model: stackModel, ModelVersion: "the-version", PromptVersion: "call.v2", SchemaVersion: "call.v2",
			Parameters: parameters, Requests: 1, Tokens: Tokens{Input: 100, Output: 23}, CostMicros: genai.Ptr[int64](88),
			Condensed: &Condensed{Parts: 2, PromptVersion: "condense.v1", SchemaVersion: "condense.v1", Excerpts: 3}, Unverified: []string{"customer.zip"},
		},
	} {
		data, err := os.ReadFile(filepath.Join("testdata", "stored", name))
		if err != nil {
			t.Fatal(err)
		}
		dec := json.NewDecoder(strings.NewReader(string(data)))
		dec.DisallowUnknownFields()
		var got Analysis
		if err := dec.Decode(&got); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want.SpamSignals = nil // an empty list is left out
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
