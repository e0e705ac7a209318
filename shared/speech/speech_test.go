package speech

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"
	"google.golang.org/api/option"

	"ingestion.internal/shared/fault"
)

const (
	syncPath  = "/v2/projects/p/locations/us/recognizers/_:recognize"
	batchPath = "/v2/projects/p/locations/us/recognizers/_:batchRecognize"
	opPath    = "/v2/projects/p/locations/us/operations/7"
	audioURI  = "gs://audio/t/c/r.wav"
)

// api is a wire fake of Speech-to-Text: it answers paths from a table, a list
// of answers one after the other, and keeps what it was asked.
type api struct {
	mu      sync.Mutex
	answers map[string][]string // "status body" by path
	asked   []string
	bodies  map[string]map[string]any
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, r.Method+" "+r.URL.Path)
	if r.Header.Get("Authorization") != "Bearer token" {
		http.Error(w, "no token", http.StatusUnauthorized)
		return
	}
	body, _ := io.ReadAll(r.Body)
	if len(body) > 0 {
		var decoded map[string]any
		if err := json.Unmarshal(body, &decoded); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		a.bodies[r.URL.Path] = decoded
	}
	answers := a.answers[r.URL.Path]
	if len(answers) == 0 {
		http.NotFound(w, r)
		return
	}
	if len(answers) > 1 {
		a.answers[r.URL.Path] = answers[1:]
	}
	var status int
	if _, err := fmt.Sscan(answers[0], &status); err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	io.WriteString(w, answers[0][4:])
}

func newAPI(t *testing.T, answers map[string][]string) (*Client, *api) {
	t.Helper()
	a := &api{answers: answers, bodies: map[string]map[string]any{}}
	srv := httptest.NewServer(a)
	t.Cleanup(srv.Close)
	c, err := New(t.Context(), Config{Project: "p", Location: "us", Model: "chirp_3", Language: "en-US"},
		option.WithEndpoint(srv.URL), option.WithTokenSource(oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "token"})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, a
}

const results = `{"results":[
	{"alternatives":[{"transcript":"Hello there. Hi,","confidence":0.9,"words":[
		{"word":"Hello","startOffset":"0.1s","endOffset":"0.4s","speakerLabel":"1"},
		{"word":"there.","startOffset":"0.4s","endOffset":"0.9s","speakerLabel":"1"},
		{"word":"Hi,","startOffset":"1.2s","endOffset":"1.4s","speakerLabel":"2"}]}],
	 "resultEndOffset":"1.500s","languageCode":"en-us"},
	{"alternatives":[{"transcript":" "}],"resultEndOffset":"2s"},
	{"alternatives":[{"transcript":"a kitchen","confidence":0.5,"words":[
		{"word":"a","startOffset":"2s","endOffset":"2.1s","speakerLabel":"2"},
		{"word":"kitchen","startOffset":"2.1s","endOffset":"2.5s","speakerLabel":"2"}]}],
	 "resultEndOffset":"2.500s","languageCode":"en-us"}]}`

var wantTranscript = &Transcript{
	Status: StatusCompleted, Text: "Hello there. Hi, a kitchen", Confidence: (16*0.9 + 9*0.5) / 25, Language: "en-us", Model: "chirp_3", DurationSeconds: 3,
	Turns: []Turn{
		{Speaker: "1", Text: "Hello there.", StartSeconds: 0.1, EndSeconds: 0.9},
		{Speaker: "2", Text: "Hi, a kitchen", StartSeconds: 1.2, EndSeconds: 2.5},
	},
}

var approximate = cmp.Comparer(func(a, b float64) bool { return a-b < 1e-6 && b-a < 1e-6 })

func TestShortAudioIsSynchronous(t *testing.T) {
	t.Parallel()
	c, a := newAPI(t, map[string][]string{syncPath: {"200 " + results}})
	got, err := c.Transcribe(t.Context(), Audio{URI: audioURI, Content: []byte("RIFF"), Duration: 3 * time.Second}, true)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wantTranscript, got, approximate); diff != "" {
		t.Errorf("transcript (-want +got):\n%s", diff)
	}
	want := map[string]any{
		"recognizer": "projects/p/locations/us/recognizers/_",
		"content":    "UklGRg==",
		"config": map[string]any{
			"autoDecodingConfig": map[string]any{},
			"model":              "chirp_3",
			"languageCodes":      []any{"en-US"},
			"features":           map[string]any{"enableAutomaticPunctuation": true, "enableWordTimeOffsets": true, "diarizationConfig": map[string]any{}},
		},
	}
	if diff := cmp.Diff(want, a.bodies[syncPath]); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
}

func TestLongOrUnknownAudioIsBatch(t *testing.T) {
	t.Parallel()
	for name, audio := range map[string]Audio{
		"long":      {URI: audioURI, Content: []byte("RIFF"), Duration: time.Minute},
		"unknown":   {URI: audioURI, Content: []byte("RIFF")},
		"not_held":  {URI: audioURI, Duration: time.Second},
		"too_large": {URI: audioURI, Content: make([]byte, SyncMaxBytes+1), Duration: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, a := newAPI(t, map[string][]string{
				batchPath: {`200 {"name":"projects/p/locations/us/operations/7"}`},
				opPath: {
					`200 {"name":"projects/p/locations/us/operations/7","done":false}`,
					`200 {"name":"projects/p/locations/us/operations/7","done":true,"response":{"@type":"type.googleapis.com/google.cloud.speech.v2.BatchRecognizeResponse",
						"results":{"` + audioURI + `":{"inlineResult":{"transcript":` + results + `}}}}}`,
				},
			})
			got, err := c.Transcribe(t.Context(), audio, false)
			if err != nil {
				t.Fatal(err)
			}
			if got.Text != wantTranscript.Text || got.Status != StatusCompleted {
				t.Errorf("transcript %+v", got)
			}
			if diff := cmp.Diff([]string{"POST " + batchPath, "GET " + opPath, "GET " + opPath}, a.asked); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
			features := a.bodies[batchPath]["config"].(map[string]any)["features"].(map[string]any)
			if _, ok := features["diarizationConfig"]; ok {
				t.Error("diarization asked for although it is off")
			}
			if times := features["enableWordTimeOffsets"] != nil; times != (audio.Duration > 0) {
				t.Errorf("word times = %t for a duration of %s", times, audio.Duration)
			}
		})
	}
}

func TestSilenceIsEmpty(t *testing.T) {
	t.Parallel()
	c, _ := newAPI(t, map[string][]string{syncPath: {`200 {"metadata":{"totalBilledDuration":"3s"}}`}})
	got, err := c.Transcribe(t.Context(), Audio{URI: audioURI, Content: []byte("x"), Duration: 3 * time.Second}, true)
	if err != nil {
		t.Fatal(err)
	}
	want := &Transcript{Status: StatusEmpty, Language: "en-US", Model: "chirp_3", DurationSeconds: 3}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("transcript (-want +got):\n%s", diff)
	}
}

func TestTurnsWithoutSpeakers(t *testing.T) {
	t.Parallel()
	c, _ := newAPI(t, map[string][]string{syncPath: {`200 {"results":[
		{"alternatives":[{"transcript":"One."}],"resultEndOffset":"1s"},{"alternatives":[]},
		{"alternatives":[{"transcript":"Two."}],"resultEndOffset":"2s"}]}`}})
	got, err := c.Transcribe(t.Context(), Audio{Content: []byte("x"), Duration: time.Second}, false)
	if err != nil {
		t.Fatal(err)
	}
	want := []Turn{{Text: "One.", EndSeconds: 1}, {Text: "Two.", StartSeconds: 1, EndSeconds: 2}}
	if diff := cmp.Diff(want, got.Turns); diff != "" {
		t.Errorf("turns (-want +got):\n%s", diff)
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	status := func(code int, name string) string {
		return fmt.Sprintf(`%d {"error":{"code":%d,"message":"the message","status":"%s"}}`, code, code, name)
	}
	operation := func(body string) map[string][]string {
		return map[string][]string{
			batchPath: {`200 {"name":"projects/p/locations/us/operations/7"}`},
			opPath:    {`200 {"name":"projects/p/locations/us/operations/7","done":true,` + body + `}`},
		}
	}
	file := func(body string) map[string][]string {
		return operation(`"response":{"@type":"type.googleapis.com/google.cloud.speech.v2.BatchRecognizeResponse","results":{` + body + `}}`)
	}
	for name, tc := range map[string]struct {
		answers   map[string][]string
		permanent bool
		want      string
	}{
		"bad_audio":       {map[string][]string{batchPath: {status(400, "INVALID_ARGUMENT")}}, true, "the message"},
		"forbidden":       {map[string][]string{batchPath: {status(403, "PERMISSION_DENIED")}}, false, "the message"},
		"quota":           {map[string][]string{batchPath: {status(429, "RESOURCE_EXHAUSTED")}}, false, "the message"},
		"unavailable":     {map[string][]string{batchPath: {status(503, "UNAVAILABLE")}}, false, "the message"},
		"operation_fails": {operation(`"error":{"code":3,"message":"bad audio"}`), true, "bad audio"},
		"operation_dies":  {operation(`"error":{"code":13,"message":"internal"}`), false, "internal"},
		"file_fails":      {file(`"` + audioURI + `":{"error":{"code":3,"message":"no audio"}}`), true, "no audio"},
		"file_busy":       {file(`"` + audioURI + `":{"error":{"code":8,"message":"busy"}}`), false, "busy"},
		"file_missing":    {file(`"gs://other/x":{}`), false, "does not mention"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, a := newAPI(t, tc.answers)
			_, err := c.Transcribe(t.Context(), Audio{URI: audioURI}, true)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("error %v, want %q", err, tc.want)
			}
			if got := fault.IsPermanent(err); got != tc.permanent {
				t.Errorf("permanent = %t, want %t: %v", got, tc.permanent, err)
			}
			if n := strings.Count(strings.Join(a.asked, " "), batchPath); n != 1 {
				t.Errorf("asked %d times, want once: retries are the queue's", n)
			}
		})
	}
}

// TestSynchronousRefusalFallsBack: the recording plays longer than CallRail
// said, so the synchronous method refuses it.
func TestSynchronousRefusalFallsBack(t *testing.T) {
	t.Parallel()
	c, a := newAPI(t, map[string][]string{
		syncPath:  {`400 {"error":{"code":400,"message":"Sync input too long.","status":"INVALID_ARGUMENT"}}`},
		batchPath: {`200 {"name":"projects/p/locations/us/operations/7"}`},
		opPath: {`200 {"name":"projects/p/locations/us/operations/7","done":true,"response":{"@type":"type.googleapis.com/google.cloud.speech.v2.BatchRecognizeResponse",
			"results":{"` + audioURI + `":{"inlineResult":{"transcript":` + results + `}}}}}`},
	})
	got, err := c.Transcribe(t.Context(), Audio{URI: audioURI, Content: []byte("x"), Duration: time.Second}, true)
	if err != nil {
		t.Fatal(err)
	}
	if got.Text != wantTranscript.Text || len(a.asked) != 3 {
		t.Errorf("transcript %+v after %v", got, a.asked)
	}
}

func TestBatchStopsAtDeadline(t *testing.T) {
	t.Parallel()
	c, _ := newAPI(t, map[string][]string{
		batchPath: {`200 {"name":"projects/p/locations/us/operations/7"}`},
		opPath:    {`200 {"name":"projects/p/locations/us/operations/7","done":false}`},
	})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := c.Transcribe(ctx, Audio{URI: audioURI}, true)
	if !errors.Is(err, context.DeadlineExceeded) || fault.IsPermanent(err) || !strings.Contains(err.Error(), "did not finish in time") {
		t.Errorf("error %v, want a deadline worth a retry", err)
	}
}
