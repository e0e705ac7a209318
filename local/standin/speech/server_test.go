package speech_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	speech "cloud.google.com/go/speech/apiv2"
	"cloud.google.com/go/speech/apiv2/speechpb"
	"github.com/google/go-cmp/cmp"
	"github.com/googleapis/gax-go/v2/apierror"
	"golang.org/x/oauth2"
	"google.golang.org/api/option"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"

	"ingestion.internal/local/cloud"
	"ingestion.internal/local/standin/audio"
	"ingestion.internal/local/standin/fault"
	"ingestion.internal/local/standin/internal/gapitest"
	standin "ingestion.internal/local/standin/speech"
)

const (
	usRecognizer = "projects/p/locations/us/recognizers/_"
	worker       = "serviceAccount:audio-processor@p.iam.gserviceaccount.com"
)

// start serves the stand-in with the objects and returns the official client
// acting as principal.
func start(t *testing.T, principal string, objects map[string][]byte) (*standin.Server, *speech.Client) {
	t.Helper()
	s := standin.New(standin.Config{
		Identity: gapitest.Identity{},
		IAM:      gapitest.IAM{worker: {"speech.recognizers.recognize", "speech.operations.get"}},
		ReadObject: func(_ context.Context, principal, bucket, object string) (io.ReadCloser, error) {
			if bucket == "secret" {
				return nil, &cloud.Denied{Principal: principal, Permission: "storage.objects.get", Resource: bucket, Role: "roles/storage.objectViewer"}
			}
			data, ok := objects[bucket+"/"+object]
			if !ok {
				return nil, fs.ErrNotExist
			}
			return io.NopCloser(bytes.NewReader(data)), nil
		},
	})
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	client, err := speech.NewRESTClient(t.Context(), option.WithEndpoint(srv.URL),
		option.WithTokenSource(oauth2.StaticTokenSource(&oauth2.Token{AccessToken: principal})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return s, client
}

func config(f *speechpb.RecognitionFeatures) *speechpb.RecognitionConfig {
	return &speechpb.RecognitionConfig{
		DecodingConfig: &speechpb.RecognitionConfig_AutoDecodingConfig{AutoDecodingConfig: &speechpb.AutoDetectDecodingConfig{}},
		Model:          "chirp_3",
		LanguageCodes:  []string{"en-US"},
		Features:       f,
	}
}

func wav(t *testing.T, length time.Duration, turns ...audio.Turn) []byte {
	t.Helper()
	data, err := audio.Encode(audio.Transcript{Turns: turns}, length)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

var twoTurns = []audio.Turn{
	{Speaker: 2, Text: "Hello, how are you?", Start: 1, End: 3},
	{Speaker: 1, Text: "A $5,000 deck.", Start: 4, End: 5.5},
}

func result(text string, end time.Duration, words ...*speechpb.WordInfo) *speechpb.SpeechRecognitionResult {
	return &speechpb.SpeechRecognitionResult{
		Alternatives:    []*speechpb.SpeechRecognitionAlternative{{Transcript: text, Confidence: 0.94, Words: words}},
		ResultEndOffset: durationpb.New(end),
		LanguageCode:    "en-US",
	}
}

func TestRecognize(t *testing.T) {
	t.Parallel()
	_, client := start(t, worker, nil)
	label := func(speaker string, words ...string) (out []*speechpb.WordInfo) {
		for _, w := range words {
			out = append(out, &speechpb.WordInfo{Word: w, SpeakerLabel: speaker})
		}
		return out
	}
	ms := func(n int64) *durationpb.Duration { return durationpb.New(time.Duration(n) * time.Millisecond) }
	for _, tc := range []struct {
		name     string
		content  []byte
		features *speechpb.RecognitionFeatures
		want     []*speechpb.SpeechRecognitionResult
	}{
		{"plain", wav(t, 6*time.Second, twoTurns...), nil, []*speechpb.SpeechRecognitionResult{
			result("hello how are you", 3*time.Second), result("a $5,000 deck", 5500*time.Millisecond),
		}},
		{"diarized_and_punctuated", wav(t, 6*time.Second, twoTurns...), &speechpb.RecognitionFeatures{
			EnableAutomaticPunctuation: true, DiarizationConfig: &speechpb.SpeakerDiarizationConfig{},
		}, []*speechpb.SpeechRecognitionResult{
			result("Hello, how are you?", 3*time.Second, label("2", "Hello,", "how", "are", "you?")...),
			result("A $5,000 deck.", 5500*time.Millisecond, label("1", "A", "$5,000", "deck.")...),
		}},
		{"word_times", wav(t, 6*time.Second, twoTurns[1]), &speechpb.RecognitionFeatures{EnableWordTimeOffsets: true}, []*speechpb.SpeechRecognitionResult{
			result("a $5,000 deck", 5500*time.Millisecond,
				&speechpb.WordInfo{Word: "a", StartOffset: ms(4000), EndOffset: ms(4500)},
				&speechpb.WordInfo{Word: "$5,000", StartOffset: ms(4500), EndOffset: ms(5000)},
				&speechpb.WordInfo{Word: "deck", StartOffset: ms(5000), EndOffset: ms(5500)}),
		}},
		{"silence", wav(t, 6*time.Second), nil, nil},
		{"mp3", []byte("ID3\x04\x00"), nil, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			resp, err := client.Recognize(t.Context(), &speechpb.RecognizeRequest{
				Recognizer: usRecognizer, Config: config(tc.features),
				AudioSource: &speechpb.RecognizeRequest_Content{Content: tc.content},
			})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, resp.GetResults(), protocmp.Transform()); diff != "" {
				t.Errorf("results (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	short := wav(t, time.Second)
	with := func(edit func(*speechpb.RecognitionConfig)) *speechpb.RecognitionConfig {
		c := config(&speechpb.RecognitionFeatures{})
		edit(c)
		return c
	}
	plain := with(func(*speechpb.RecognitionConfig) {})
	for _, tc := range []struct {
		name, principal, recognizer string
		config                      *speechpb.RecognitionConfig
		content                     []byte
		code                        int
		message                     string
	}{
		{"no_grant", "serviceAccount:other@p", usRecognizer, plain, short, 403, "speech.recognizers.recognize"},
		{"model_not_in_location", worker, "projects/p/locations/us-central1/recognizers/_", plain, short, 400, `The model "chirp_3" does not exist in the location named "us-central1".`},
		{"model_not_in_global", worker, "projects/p/locations/global/recognizers/_", plain, short, 400, `"global"`},
		{"unknown_model", worker, usRecognizer, with(func(c *speechpb.RecognitionConfig) { c.Model = "chirp_9" }), short, 400, `"chirp_9"`},
		{"no_model", worker, usRecognizer, with(func(c *speechpb.RecognitionConfig) { c.Model = "" }), short, 400, "config.model"},
		{"no_language", worker, usRecognizer, with(func(c *speechpb.RecognitionConfig) { c.LanguageCodes = nil }), short, 400, "languageCodes"},
		{"no_decoding", worker, usRecognizer, with(func(c *speechpb.RecognitionConfig) { c.DecodingConfig = nil }), short, 400, "autoDecodingConfig"},
		{"word_confidence", worker, usRecognizer, with(func(c *speechpb.RecognitionConfig) { c.Features.EnableWordConfidence = true }), short, 400, "word_level_confidence"},
		{"no_config", worker, usRecognizer, nil, short, 400, "config"},
		{"unknown_recognizer", worker, "projects/p/locations/us/recognizers/mine", plain, short, 404, "Unable to find Recognizer"},
		{"no_audio", worker, usRecognizer, plain, nil, 400, "empty"},
		{"not_audio", worker, usRecognizer, plain, []byte("<html>"), 400, "supported encoding"},
		{"too_long", worker, usRecognizer, plain, wav(t, 61*time.Second), 400, "maximum of 60 seconds"},
		{"too_large", worker, usRecognizer, plain, make([]byte, 10<<20+1), 400, "payload size exceeds the limit"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, client := start(t, tc.principal, nil)
			_, err := client.Recognize(t.Context(), &speechpb.RecognizeRequest{
				Recognizer: tc.recognizer, Config: tc.config, AudioSource: &speechpb.RecognizeRequest_Content{Content: tc.content},
			})
			wantAPIError(t, err, tc.code, tc.message)
		})
	}
}

func wantAPIError(t *testing.T, err error, code int, message string) {
	t.Helper()
	var apiErr *apierror.APIError
	if !errors.As(err, &apiErr) {
		t.Fatalf("error = %v, want an API error", err)
	}
	if apiErr.HTTPCode() != code || !strings.Contains(err.Error(), message) {
		t.Errorf("error = %d, %v; want %d with %q", apiErr.HTTPCode(), err, code, message)
	}
}

func batch(uri string, f *speechpb.RecognitionFeatures) *speechpb.BatchRecognizeRequest {
	return &speechpb.BatchRecognizeRequest{
		Recognizer: usRecognizer, Config: config(f),
		Files: []*speechpb.BatchRecognizeFileMetadata{{AudioSource: &speechpb.BatchRecognizeFileMetadata_Uri{Uri: uri}}},
		RecognitionOutputConfig: &speechpb.RecognitionOutputConfig{
			Output: &speechpb.RecognitionOutputConfig_InlineResponseConfig{InlineResponseConfig: &speechpb.InlineOutputConfig{}},
		},
	}
}

func TestBatchRecognize(t *testing.T) {
	t.Parallel()
	_, client := start(t, worker, map[string][]byte{
		"b/t/call.wav":  wav(t, 90*time.Second, twoTurns...),
		"b/t/long.wav":  wav(t, 21*time.Minute),
		"b/t/page.html": []byte("<html>"),
	})
	for _, tc := range []struct {
		name, uri string
		features  *speechpb.RecognitionFeatures
		want      *speechpb.BatchRecognizeResults
		code      int32 // google.rpc.Code of the file's error
	}{
		{"heard", "gs://b/t/call.wav", nil, &speechpb.BatchRecognizeResults{
			Results: []*speechpb.SpeechRecognitionResult{
				result("hello how are you", 3*time.Second), result("a $5,000 deck", 5500*time.Millisecond),
			},
			Metadata: &speechpb.RecognitionResponseMetadata{TotalBilledDuration: durationpb.New(90 * time.Second)},
		}, 0},
		{"missing", "gs://b/t/none.wav", nil, nil, 5},
		{"denied", "gs://secret/t/call.wav", nil, nil, 7},
		{"not_audio", "gs://b/t/page.html", nil, nil, 3},
		{"too_long_with_word_times", "gs://b/t/long.wav", &speechpb.RecognitionFeatures{EnableWordTimeOffsets: true}, nil, 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			op, err := client.BatchRecognize(t.Context(), batch(tc.uri, tc.features))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(op.Name(), "projects/p/locations/us/operations/") {
				t.Errorf("operation name %q", op.Name())
			}
			resp, err := op.Wait(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got := resp.GetResults()[tc.uri]
			if got.GetError().GetCode() != tc.code {
				t.Errorf("error of the file = %v, want code %d", got.GetError(), tc.code)
			}
			if diff := cmp.Diff(tc.want, got.GetInlineResult().GetTranscript(), protocmp.Transform()); diff != "" {
				t.Errorf("transcript (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBatchRefusals(t *testing.T) {
	t.Parallel()
	_, client := start(t, worker, nil)
	two := batch("gs://b/o", nil)
	two.Files = append(two.Files, two.Files[0])
	none := batch("gs://b/o", nil)
	none.Files = nil
	for name, tc := range map[string]struct {
		req     *speechpb.BatchRecognizeRequest
		message string
	}{
		"no_files":         {none, "0 files"},
		"two_inline":       {two, "only for requests with one file"},
		"not_cloudstorage": {batch("https://x/y", nil), "want gs://bucket/object"},
	} {
		_, err := client.BatchRecognize(t.Context(), tc.req)
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		wantAPIError(t, err, 400, tc.message)
	}
	_, err := client.BatchRecognizeOperation("projects/p/locations/us/operations/none").Poll(t.Context())
	wantAPIError(t, err, 404, "Unable to find Operation")
}

func TestFaultLooksLikeTheAPI(t *testing.T) {
	t.Parallel()
	s, client := start(t, worker, nil)
	if err := s.Faults.Set(fault.Fault{Mode: fault.RateLimit, Count: 1}); err != nil {
		t.Fatal(err)
	}
	_, err := client.Recognize(t.Context(), &speechpb.RecognizeRequest{Recognizer: usRecognizer})
	wantAPIError(t, err, 429, "refuse by rate")
}
