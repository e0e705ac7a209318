package analysis

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"google.golang.org/genai"

	"ingestion.internal/shared/wirefake"
)

// Whatever Gemini's API answers, there is an analysis that can be kept or an
// error. What the model itself may say is FuzzParse's.
func FuzzAnswers(f *testing.F) {
	said, err := json.Marshal(goodAnswer)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(200, `{"candidates":[{"content":{"role":"model","parts":[{"text":"think","thought":true},{"text":`+string(said)+`}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":10,"candidatesTokenCount":5},"modelVersion":"m"}`)
	f.Add(200, `{"candidates":[null,{"content":null}],"usageMetadata":{"promptTokenCount":-1},"promptFeedback":{"blockReason":"SAFETY"}}`)
	f.Add(200, `{"candidates":{"content":[]}}`)
	f.Add(200, `{"candidates":[{"content":{"parts":[7]}}]}`)
	f.Add(400, `{"error":{"code":400,"message":"The input token count (9) exceeds the maximum number of tokens allowed (8).","status":"INVALID_ARGUMENT"}}`)
	f.Add(404, `[{"error":{"code":"404","details":{}}}]`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 599 {
			t.Skip("no status of an answer")
		}
		client, err := genai.NewClient(t.Context(), &genai.ClientConfig{Backend: genai.BackendVertexAI, Project: "p", Location: "us-central1",
			HTTPClient: &http.Client{Transport: wirefake.Always{Status: status, Body: body}}})
		if err != nil {
			t.Fatal(err)
		}
		a := &Analyzer{client: client, cfg: Config{Model: stackModel, Timeout: time.Minute}, log: slog.New(slog.DiscardHandler)}
		got, err := a.Analyze(t.Context(), Call, talk, Options{})
		if (err == nil) != (got != nil) || err == nil && (status > 299 || got.Summary == "" || got.Tokens.Input < 0 || got.Tokens.Output < 0 || got.CostMicros != nil && *got.CostMicros < 0) {
			t.Errorf("status %d: %+v, %v", status, got, err)
		}
		if _, err := json.Marshal(got); err != nil {
			t.Error(err)
		}
	})
}
