// Package speech turns recordings into text with Speech-to-Text V2.
//
// Audio of under a minute that is at hand is recognised in one synchronous
// request; everything else by BatchRecognize from Cloud Storage, whose
// operation is awaited within the context's deadline. A worker that dies while
// waiting starts a second batch when it is retried: that costs money, not
// correctness.
//
// Limits (Speech-to-Text quotas and the Chirp 3 page): synchronous 1 minute and
// 10 MB; batch 1 hour, but 20 minutes with word time offsets.
package speech

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"time"

	speechapi "cloud.google.com/go/speech/apiv2"
	"cloud.google.com/go/speech/apiv2/speechpb"
	"github.com/googleapis/gax-go/v2"
	"github.com/googleapis/gax-go/v2/apierror"
	"google.golang.org/api/option"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	"ingestion.internal/shared/fault"
)

const (
	// SyncMaxBytes is the largest audio that is sent inline: in base64 it
	// stays below the API's 10 MB.
	SyncMaxBytes = 7_500_000

	// syncMaxDuration is a little under the API's minute, because what is
	// known of the duration may be rounded.
	syncMaxDuration = 58 * time.Second

	// wordTimesMaxDuration is the longest audio with word time offsets.
	wordTimesMaxDuration = 20 * time.Minute
)

// Status is how a transcription ended.
type Status string

// The ways it may end.
const (
	StatusCompleted Status = "completed"
	StatusEmpty     Status = "empty"   // recognised, and nobody said a word
	StatusFailed    Status = "failed"  // there is a recording that cannot be fetched or recognised, see Cause
	StatusNone      Status = "none"    // the call has no recording, see Cause
	StatusSkipped   Status = "skipped" // the tenant's workflow does not want one
)

// Transcript is what was said in a call. It is kept in
// requests.transcription_data.
type Transcript struct {
	Status          Status  `json:"status"`
	Cause           string  `json:"cause,omitempty"` // of failed and none, for an operator
	Text            string  `json:"text,omitempty"`
	Turns           []Turn  `json:"turns,omitempty"`
	Confidence      float64 `json:"confidence,omitempty"` // 0-1, mean by length of text; 0 = the model does not say
	Language        string  `json:"language,omitempty"`   // BCP-47
	Model           string  `json:"model,omitempty"`
	DurationSeconds float64 `json:"duration_seconds,omitempty"`

	// CallDetails is what the telephone service states about the call, by
	// its own names: context for reading the text.
	CallDetails map[string]string `json:"call_details,omitempty"`
}

// Missing says why there is nothing to read or listen to: "" if there is, or if
// the tenant does not want it.
func (t *Transcript) Missing() string {
	switch t.Status {
	case StatusFailed, StatusNone:
		return t.Cause
	case StatusEmpty:
		return "nothing was said that could be recognised"
	}
	return ""
}

// Turn is what one speaker said before another did. Times are from the start
// of the recording, 0 where they are not known.
type Turn struct {
	Speaker      string  `json:"speaker,omitempty"` // the recogniser's label, "1", "2", ...
	Text         string  `json:"text"`
	StartSeconds float64 `json:"start_seconds,omitempty"`
	EndSeconds   float64 `json:"end_seconds,omitempty"`
}

// Audio is a recording in Cloud Storage.
type Audio struct {
	URI      string        // gs://bucket/object
	Content  []byte        // all of it, or nil where it is too large to hold
	Duration time.Duration // 0 = unknown
}

// Config configures a Client.
type Config struct {
	Project  string
	Location string // such as us, where chirp_3 is; us-central1 does not have it
	Model    string // such as chirp_3
	Language string // BCP-47
}

// Client transcribes with one model and language.
type Client struct {
	cfg Config
	api *speechapi.Client
}

// New returns a client for the location's own endpoint, unless opts name
// another one.
func New(ctx context.Context, cfg Config, opts ...option.ClientOption) (*Client, error) {
	endpoint := option.WithEndpoint("https://" + cfg.Location + "-speech.googleapis.com")
	api, err := speechapi.NewRESTClient(ctx, append([]option.ClientOption{endpoint}, opts...)...)
	if err != nil {
		return nil, fmt.Errorf("speech client: %w", err)
	}
	return &Client{cfg: cfg, api: api}, nil
}

// Close releases the client's connections.
func (c *Client) Close() error { return c.api.Close() }

// Transcribe recognises audio, with speakers told apart if diarize is set. An
// error about this audio is permanent (package fault); all others, a missing
// permission among them, are worth a retry once somebody has mended the cause.
func (c *Client) Transcribe(ctx context.Context, audio Audio, diarize bool) (*Transcript, error) {
	var results []*speechpb.SpeechRecognitionResult
	var err error
	sync := audio.Duration > 0 && audio.Duration <= syncMaxDuration && len(audio.Content) > 0 && len(audio.Content) <= SyncMaxBytes
	if sync {
		results, err = c.recognize(ctx, audio, diarize)
	}
	if !sync || fault.IsPermanent(err) {
		// Also what the synchronous method refuses: a recording may play
		// longer than it was said to.
		results, err = c.batch(ctx, audio, diarize)
	}
	if err != nil {
		return nil, err
	}
	t := transcript(results)
	t.Model = c.cfg.Model
	t.DurationSeconds = max(t.DurationSeconds, audio.Duration.Seconds())
	if t.Language == "" {
		t.Language = c.cfg.Language
	}
	return t, nil
}

// noRetry leaves retries to the queue, which spaces them and counts them.
var noRetry = gax.WithRetry(func() gax.Retryer { return nil })

func (c *Client) recognizer() string {
	return fmt.Sprintf("projects/%s/locations/%s/recognizers/_", c.cfg.Project, c.cfg.Location)
}

func (c *Client) config(audio Audio, diarize bool) *speechpb.RecognitionConfig {
	features := &speechpb.RecognitionFeatures{
		EnableAutomaticPunctuation: true,
		EnableWordTimeOffsets:      audio.Duration > 0 && audio.Duration <= wordTimesMaxDuration,
	}
	if diarize {
		// Chirp 3 wants it empty: it counts the speakers itself.
		features.DiarizationConfig = &speechpb.SpeakerDiarizationConfig{}
	}
	return &speechpb.RecognitionConfig{
		DecodingConfig: &speechpb.RecognitionConfig_AutoDecodingConfig{AutoDecodingConfig: &speechpb.AutoDetectDecodingConfig{}},
		Model:          c.cfg.Model,
		LanguageCodes:  []string{c.cfg.Language},
		Features:       features,
	}
}

func (c *Client) recognize(ctx context.Context, audio Audio, diarize bool) ([]*speechpb.SpeechRecognitionResult, error) {
	resp, err := c.api.Recognize(ctx, &speechpb.RecognizeRequest{
		Recognizer:  c.recognizer(),
		Config:      c.config(audio, diarize),
		AudioSource: &speechpb.RecognizeRequest_Content{Content: audio.Content},
	}, noRetry)
	if err != nil {
		return nil, fmt.Errorf("recognize: %w", classify(err))
	}
	return resp.GetResults(), nil
}

func (c *Client) batch(ctx context.Context, audio Audio, diarize bool) ([]*speechpb.SpeechRecognitionResult, error) {
	op, err := c.api.BatchRecognize(ctx, &speechpb.BatchRecognizeRequest{
		Recognizer: c.recognizer(),
		Config:     c.config(audio, diarize),
		Files: []*speechpb.BatchRecognizeFileMetadata{{
			AudioSource: &speechpb.BatchRecognizeFileMetadata_Uri{Uri: audio.URI},
		}},
		RecognitionOutputConfig: &speechpb.RecognitionOutputConfig{
			Output: &speechpb.RecognitionOutputConfig_InlineResponseConfig{InlineResponseConfig: &speechpb.InlineOutputConfig{}},
		},
	}, noRetry)
	if err != nil {
		return nil, fmt.Errorf("batch recognize: %w", classify(err))
	}
	// Not op.Wait: it polls no more often than its first second, and a short
	// recording is done before.
	backoff := gax.Backoff{Initial: 200 * time.Millisecond, Max: 15 * time.Second, Multiplier: 1.5}
	for {
		resp, err := op.Poll(ctx)
		switch {
		case err != nil && ctx.Err() != nil:
			return nil, fmt.Errorf("batch recognize: %s did not finish in time: %w", op.Name(), ctx.Err())
		case err != nil:
			return nil, fmt.Errorf("batch recognize: %w", classify(err))
		case resp != nil:
			return fileResults(resp, audio.URI)
		}
		if err := gax.Sleep(ctx, backoff.Pause()); err != nil {
			return nil, fmt.Errorf("batch recognize: %s did not finish in time: %w", op.Name(), err)
		}
	}
}

// fileResults takes the one file's results out of a batch's response.
func fileResults(resp *speechpb.BatchRecognizeResponse, uri string) ([]*speechpb.SpeechRecognitionResult, error) {
	file, ok := resp.GetResults()[uri]
	if !ok {
		return nil, fmt.Errorf("batch recognize: the response does not mention %s", uri)
	}
	if status := file.GetError(); status.GetCode() != 0 {
		err := fmt.Errorf("batch recognize: %s: %s", codes.Code(status.GetCode()), status.GetMessage())
		if aboutAudio(codes.Code(status.GetCode())) {
			return nil, fault.Permanent(err)
		}
		return nil, err
	}
	return file.GetInlineResult().GetTranscript().GetResults(), nil
}

// classify marks an error that is about the audio itself as permanent. A
// missing permission, model or quota is not: it is the operator's to mend, and
// then the same request succeeds.
func classify(err error) error {
	var apiErr *apierror.APIError
	if !errors.As(err, &apiErr) {
		return err
	}
	if status := apiErr.GRPCStatus(); status != nil && aboutAudio(status.Code()) || apiErr.HTTPCode() == http.StatusBadRequest {
		return fault.Permanent(err)
	}
	return err
}

func aboutAudio(code codes.Code) bool {
	return code == codes.InvalidArgument || code == codes.OutOfRange || code == codes.FailedPrecondition
}

// transcript joins the results, each the recogniser's for a stretch of audio.
func transcript(results []*speechpb.SpeechRecognitionResult) *Transcript {
	t := &Transcript{Status: StatusEmpty}
	var texts []string
	var weight, confidence, end float64
	for _, result := range results {
		if len(result.GetAlternatives()) == 0 {
			continue
		}
		best := result.GetAlternatives()[0]
		text := strings.TrimSpace(best.GetTranscript())
		start := end
		end = max(end, seconds(result.GetResultEndOffset()))
		if text == "" {
			continue
		}
		texts = append(texts, text)
		weight += float64(len(text))
		if c := float64(best.GetConfidence()); c > 0 { // NaN is not
			confidence += float64(len(text)) * min(c, 1)
		}
		if t.Language == "" {
			t.Language = result.GetLanguageCode()
		}
		turns := speakerTurns(best.GetWords())
		if turns == nil {
			turns = []Turn{{Text: text, StartSeconds: start, EndSeconds: end}}
		}
		for _, turn := range turns {
			if n := len(t.Turns); n > 0 && turn.Speaker != "" && t.Turns[n-1].Speaker == turn.Speaker {
				t.Turns[n-1].Text += " " + turn.Text
				t.Turns[n-1].EndSeconds = max(t.Turns[n-1].EndSeconds, turn.EndSeconds)
				continue
			}
			t.Turns = append(t.Turns, turn)
		}
	}
	t.DurationSeconds = end
	if len(texts) == 0 {
		return t
	}
	t.Status = StatusCompleted
	t.Text = strings.Join(texts, " ")
	t.Confidence = math.Round(confidence/weight*1e4) / 1e4 // of a float32
	return t
}

// seconds is an offset from the start of the recording.
func seconds(offset *durationpb.Duration) float64 { return max(0, offset.AsDuration().Seconds()) }

// speakerTurns groups words by speaker; nil if the words name none.
func speakerTurns(words []*speechpb.WordInfo) []Turn {
	var turns []Turn
	for _, word := range words {
		if word.GetSpeakerLabel() == "" {
			return nil
		}
		if word.GetWord() == "" {
			continue
		}
		start := seconds(word.GetStartOffset())
		end := max(start, seconds(word.GetEndOffset()))
		if n := len(turns); n > 0 && turns[n-1].Speaker == word.GetSpeakerLabel() {
			turns[n-1].Text += " " + word.GetWord()
			turns[n-1].EndSeconds = max(turns[n-1].EndSeconds, end)
			continue
		}
		turns = append(turns, Turn{
			Speaker:      word.GetSpeakerLabel(),
			Text:         word.GetWord(),
			StartSeconds: start,
			EndSeconds:   end,
		})
	}
	return turns
}
