package assistant

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/genai"

	"ingestion.internal/shared/wirefake"
)

// Whatever Gemini's stream brings, the visitor gets sentences that were found
// fit, or there is an error. What the model itself may say is FuzzSpeech's.
func FuzzAnswers(f *testing.F) {
	const word = `data: {"candidates":[{"content":{"role":"model","parts":[{"text":"We do kitchens. "}]}}]}`
	f.Add(200, word+"\r\n\r\n"+word+"\r\n\r\n"+`data: {"candidates":[{"finishReason":"MAX_TOKENS"}],"usageMetadata":{"promptTokenCount":10,"candidatesTokenCount":5}}`+"\r\n\r\n")
	f.Add(200, `data: {"candidates":[null]}`+"\n\n"+`data: {"error":{"code":503}}`+"\n\n")
	f.Add(200, "data: [1]\n\n: comment\n\nevent: x\nid: 1\ndata:\n\n")
	f.Add(200, word)
	f.Add(429, `{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED"}}`)
	facts := []string{"We do kitchens."}
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 599 {
			t.Skip("no status of an answer")
		}
		client, err := genai.NewClient(t.Context(), &genai.ClientConfig{Backend: genai.BackendVertexAI, Project: "p", Location: "us-central1",
			HTTPClient: &http.Client{Transport: wirefake.Always{Status: status, Type: "text/event-stream", Body: body}}})
		if err != nil {
			t.Fatal(err)
		}
		a, err := New(client, Config{Model: "m", Stall: time.Minute}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		var said strings.Builder
		err = a.Answer(t.Context(), facts, []Turn{{From: "visitor", Text: "What do you do?"}}, func(s string) { said.WriteString(s) })
		if err == nil && (said.Len() == 0 || status > 299) {
			t.Errorf("status %d: nothing was said, and there is no error", status)
		}
		if len([]rune(said.String())) > maxAnswer+maxSentence+100 {
			t.Errorf("%d bytes were said", said.Len())
		}
	})
}
