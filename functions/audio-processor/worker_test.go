package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cloud.google.com/go/storage"
	"github.com/fsouza/fake-gcs-server/fakestorage"
	"github.com/google/go-cmp/cmp"
	"github.com/googleapis/gax-go/v2/apierror"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"

	"ingestion.internal/shared/attachment"
	"ingestion.internal/shared/callrail/api"
	"ingestion.internal/shared/fault"
	"ingestion.internal/shared/pipeline"
	"ingestion.internal/shared/speech"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/topology"
	"ingestion.internal/shared/workflow"
)

const (
	bucket         = "audio"
	documentBucket = "documents"
	testSecret     = "callrail-api-key-acme"
	testKey        = "the-key"
	largeRecord    = 200_000
)

// wavFile is 8 kHz 16-bit mono of the number of seconds.
func wavFile(seconds int) []byte {
	le := binary.LittleEndian
	b := le.AppendUint32([]byte("RIFF"), uint32(36+16000*seconds))
	b = le.AppendUint32(append(b, "WAVEfmt "...), 16)
	b = le.AppendUint16(le.AppendUint16(b, 1), 1)
	b = le.AppendUint32(le.AppendUint32(b, 8000), 16000)
	b = le.AppendUint16(le.AppendUint16(b, 2), 16)
	b = le.AppendUint32(append(b, "data"...), uint32(16000*seconds))
	return append(b, bytes.Repeat([]byte{1, 2}, 8000*seconds)...)
}

// secret is an accessor of one secret.
type secret map[string]error

func (s secret) Access(_ context.Context, id string) ([]byte, error) {
	err, ok := s[id]
	if !ok {
		return nil, fmt.Errorf("unexpected secret %s", id)
	}
	return []byte(testKey + "\n"), err
}

// world is the worker with everything outside of it served on loopback.
type world struct {
	*worker
	objects    *fakestorage.Server
	details    http.HandlerFunc // GET /v3/a/ACC1/calls/CAL1.json
	recording  http.HandlerFunc // GET /recording
	recognize  http.HandlerFunc // Speech-to-Text's synchronous method
	media      http.HandlerFunc // GET /media/...
	pictured   atomic.Int32     // times a picture was asked for
	fetched    atomic.Int32     // times the recording was asked for
	recognised atomic.Int32
	recordings string // base URL of the recordings
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{}
	var callrail *httptest.Server //nolint:staticcheck // the handler refers to its server
	callrail = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v3/a/ACC1/calls/CAL1.json":
			if got, want := r.Header.Get("Authorization"), `Token token="`+testKey+`"`; got != want {
				t.Errorf("Authorization %s, want %s", got, want)
			}
			w.details(rw, r)
		case "/recording", "/recording/2":
			w.fetched.Add(1)
			w.recording(rw, r)
		default:
			if w.media != nil && strings.HasPrefix(r.URL.Path, "/media/") {
				w.pictured.Add(1)
				w.media(rw, r)
				return
			}
			t.Errorf("CallRail was asked for %s", r.URL)
		}
	}))
	t.Cleanup(callrail.Close)
	w.recordings = callrail.URL
	w.details = func(rw http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(rw, `{"id":"CAL1","customer_name":"John Smith","customer_phone_number":"+15551234567","customer_city":"Beverly Hills",
			"zip_code":"90210","direction":"inbound","answered":true,"duration":3,"recording":"%s/recording","recording_duration":2}`, callrail.URL)
	}
	w.recording = func(rw http.ResponseWriter, r *http.Request) { rw.Write(wavFile(2)) }

	speechAPI := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.recognised.Add(1)
		rw.Header().Set("Content-Type", "application/json")
		w.recognize(rw, r)
	}))
	t.Cleanup(speechAPI.Close)
	w.recognize = func(rw http.ResponseWriter, r *http.Request) {
		var req struct {
			Content string         `json:"content"`
			Config  map[string]any `json:"config"`
		}
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil || req.Content != base64.StdEncoding.EncodeToString(wavFile(2)) {
			t.Errorf("speech got %d characters of audio, %v", len(req.Content), err)
		}
		io.WriteString(rw, `{"results":[{"alternatives":[{"transcript":"A kitchen, please.","confidence":0.5}],"resultEndOffset":"2s"}]}`)
	}

	var err error
	w.objects, err = fakestorage.NewServerWithOptions(fakestorage.Options{Scheme: "http", Host: "127.0.0.1", Port: 0})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.objects.Stop)
	w.objects.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: bucket})
	w.objects.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: documentBucket})
	client, err := storage.NewClient(t.Context(), storage.WithJSONReads(), option.WithoutAuthentication(), option.WithEndpoint(w.objects.URL()+"/storage/v1/"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	client.SetRetry(storage.WithMaxAttempts(1))

	transcriber, err := speech.New(t.Context(), speech.Config{Project: "p", Location: "us", Model: "chirp_3", Language: "en-US"},
		option.WithEndpoint(speechAPI.URL), option.WithoutAuthentication())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { transcriber.Close() })
	client2, err := api.New(api.Config{BaseURL: callrail.URL, MaxRecordingBytes: largeRecord, CallTimeout: 5 * time.Second, RecordingTimeout: 5 * time.Second, StallTimeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	w.worker = &worker{
		callrail:    client2,
		secrets:     secret{testSecret: nil},
		archive:     &archive{bucket: client.Bucket(bucket), name: bucket},
		transcriber: transcriber,
		documents:   attachment.Bucket{Handle: client.Bucket(documentBucket), Name: documentBucket},
		log:         slog.New(slog.DiscardHandler),
	}
	return w
}

func newJob() pipeline.Job {
	return pipeline.Job{
		Request: &store.Request{TenantID: "acme", RequestID: "r", CallID: "CAL1", CommunicationMode: store.ModePhoneCall},
		Office:  &store.Office{TenantID: "acme", CallRailAccountID: "ACC1", CallRailAPIKeySecret: testSecret, Workflow: workflow.Default()},
		Attempt: 1,
	}
}

func transcriptOf(t *testing.T, o pipeline.Outcome) speech.Transcript {
	t.Helper()
	var transcript speech.Transcript
	if err := json.Unmarshal(o.Update.Transcription, &transcript); err != nil {
		t.Fatal(err)
	}
	return transcript
}

func object() string { return "acme/CAL1/" + store.RecordingID("acme", "CAL1") + ".wav" }

func TestWork(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got, err := w.Work(t.Context(), newJob())
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(wavFile(2))
	wantRecording := &store.Recording{
		RecordingID: store.RecordingID("acme", "CAL1"), CallID: "CAL1", StorageURL: "gs://audio/" + object(), ContentType: "audio/wav",
		SizeBytes: 32044, SHA256: hex.EncodeToString(sum[:]), DurationSeconds: 2, TranscriptionStatus: "completed",
	}
	if diff := cmp.Diff(wantRecording, got.Recording); diff != "" {
		t.Errorf("recording (-want +got):\n%s", diff)
	}
	wantTranscript := speech.Transcript{
		Status: speech.StatusCompleted, Text: "A kitchen, please.", Turns: []speech.Turn{{Text: "A kitchen, please.", EndSeconds: 2}},
		Confidence: 0.5, Language: "en-US", Model: "chirp_3", DurationSeconds: 2,
		CallDetails: map[string]string{"customer_name": "John Smith", "customer_phone_number": "+15551234567", "customer_city": "Beverly Hills",
			"zip_code": "90210", "direction": "inbound", "duration": "3s"},
	}
	if diff := cmp.Diff(wantTranscript, transcriptOf(t, got)); diff != "" {
		t.Errorf("transcript (-want +got):\n%s", diff)
	}
	if got.Next != topology.AIAnalysis || *got.Update.CustomerName != "John Smith" || *got.Update.CustomerPhone != "+15551234567" {
		t.Errorf("outcome %+v", got)
	}
	wantEntries := []store.Entry{
		{Action: "recording.stored", Reason: "the call was recorded", Details: map[string]any{"url": wantRecording.StorageURL,
			"content_type": "audio/wav", "bytes": int64(32044), "sha256": wantRecording.SHA256, "seconds": int64(2)}},
		{Action: "transcription.completed", Reason: "the workflow has calls transcribed", Model: "chirp_3",
			Details: map[string]any{"turns": 1, "characters": 18, "confidence": 0.5}},
	}
	if diff := cmp.Diff(wantEntries, got.Entries); diff != "" {
		t.Errorf("audit entries (-want +got):\n%s", diff)
	}
	kept, err := w.objects.GetObject(bucket, object())
	if err != nil || !bytes.Equal(kept.Content, wavFile(2)) || kept.ContentType != "audio/wav" {
		t.Errorf("object %v, %v", kept.ObjectAttrs, err)
	}
}

// TestRetryFetchesOnce: the second attempt finds what the first one stored.
func TestRetryFetchesOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	works := w.recognize
	w.recognize = func(rw http.ResponseWriter, r *http.Request) {
		rw.WriteHeader(http.StatusServiceUnavailable)
		io.WriteString(rw, `{"error":{"code":503,"message":"later","status":"UNAVAILABLE"}}`)
	}
	if _, err := w.Work(t.Context(), newJob()); err == nil || fault.IsPermanent(err) {
		t.Fatalf("first attempt: %v, want an error worth a retry", err)
	}
	w.recognize = works
	got, err := w.Work(t.Context(), newJob())
	if err != nil {
		t.Fatal(err)
	}
	if got.Recording.StorageURL != "gs://audio/"+object() || got.Recording.TranscriptionStatus != "completed" {
		t.Errorf("recording %+v", got.Recording)
	}
	if n := w.fetched.Load(); n != 1 {
		t.Errorf("the recording was fetched %d times, want once", n)
	}
}

// TestConcurrentAttemptKeepsTheFirst: another attempt stored the recording
// between this one's look and its write.
func TestConcurrentAttemptKeepsTheFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.recording = func(rw http.ResponseWriter, r *http.Request) {
		w.objects.CreateObject(fakestorage.Object{ObjectAttrs: fakestorage.ObjectAttrs{BucketName: bucket, Name: object(), ContentType: "audio/wav"}, Content: wavFile(2)})
		rw.Write(append(wavFile(2), "something else"...))
	}
	got, err := w.Work(t.Context(), newJob())
	if err != nil {
		t.Fatal(err)
	}
	if got.Recording.SizeBytes != 32044 {
		t.Errorf("recording %+v, want the first one's", got.Recording)
	}
}

// TestTrouble: a recording that can never be had does not stop the request; one
// that may be had later is an error.
func TestTrouble(t *testing.T) {
	t.Parallel()
	status := func(code int) http.HandlerFunc {
		return func(rw http.ResponseWriter, r *http.Request) { rw.WriteHeader(code) }
	}
	for name, tc := range map[string]struct {
		change func(*world, *pipeline.Job)
		status speech.Status // "" = an error worth a retry
		cause  string
		stored bool
	}{
		"recording_404":       {func(w *world, _ *pipeline.Job) { w.recording = status(404) }, speech.StatusFailed, "404", false},
		"recording_forbidden": {func(w *world, _ *pipeline.Job) { w.recording = status(403) }, speech.StatusFailed, "403", false},
		"recording_elsewhere": {func(w *world, _ *pipeline.Job) {
			w.recording = func(rw http.ResponseWriter, r *http.Request) {
				http.Redirect(rw, r, "http://169.254.169.254/", http.StatusFound)
			}
		}, speech.StatusFailed, "not a place", false},
		"recording_html": {func(w *world, _ *pipeline.Job) {
			w.recording = func(rw http.ResponseWriter, r *http.Request) { io.WriteString(rw, "<html>") }
		}, speech.StatusFailed, "not audio", false},
		"recording_3GB": {func(w *world, _ *pipeline.Job) {
			w.recording = func(rw http.ResponseWriter, r *http.Request) {
				rw.Header().Set("Content-Length", "3221225472")
				rw.Write(wavFile(1))
			}
		}, speech.StatusFailed, "larger than", false},
		"recording_endless": {func(w *world, _ *pipeline.Job) {
			w.recording = func(rw http.ResponseWriter, r *http.Request) {
				rw.Write(wavFile(1))
				rw.(http.Flusher).Flush()
				rw.Write(wavFile(15))
			}
		}, speech.StatusFailed, "larger than", false},
		"recording_503": {func(w *world, _ *pipeline.Job) { w.recording = status(503) }, "", "503", false},
		"recording_breaks_off": {func(w *world, _ *pipeline.Job) {
			w.recording = func(rw http.ResponseWriter, r *http.Request) {
				rw.Header().Set("Content-Length", "100000")
				rw.Write(wavFile(1))
			}
		}, "", "unexpected EOF", false},
		"details_429": {func(w *world, _ *pipeline.Job) { w.details = status(429) }, "", "429", false},
		"details_404": {func(w *world, _ *pipeline.Job) { w.details = status(404) }, speech.StatusNone, "no recording", false},
		"details_404_but_webhook_names_recording": {func(w *world, j *pipeline.Job) {
			w.details = status(404)
			j.Request.RecordingURL = w.recordings + "/recording?access_key=x"
		}, speech.StatusCompleted, "", true},
		"api_address_gone_but_webhook_names_another": {func(w *world, j *pipeline.Job) {
			w.recording = func(rw http.ResponseWriter, r *http.Request) {
				if r.URL.RawQuery == "" {
					rw.WriteHeader(http.StatusNotFound)
					return
				}
				rw.Write(wavFile(2))
			}
			j.Request.RecordingURL = w.recordings + "/recording?access_key=x"
		}, speech.StatusCompleted, "", true},
		"no_api_key":      {func(_ *world, j *pipeline.Job) { j.Office.CallRailAPIKeySecret = "" }, speech.StatusNone, "no recording", false},
		"key_not_set":     {func(w *world, _ *pipeline.Job) { w.secrets = secret{testSecret: apiError(404)} }, speech.StatusNone, "no recording", false},
		"key_unavailable": {func(w *world, _ *pipeline.Job) { w.secrets = secret{testSecret: apiError(503)} }, "", "API key", false},
		"key_forbidden":   {func(w *world, _ *pipeline.Job) { w.secrets = secret{testSecret: apiError(403)} }, "", "API key", false},
		"transcription_off": {func(_ *world, j *pipeline.Job) {
			j.Office.Workflow.CommunicationDetection.PhoneProcessing.TranscribeAudio = false
		}, speech.StatusSkipped, "", true},
		"detection_off": {func(_ *world, j *pipeline.Job) { j.Office.Workflow.CommunicationDetection.Enabled = false }, speech.StatusSkipped, "", true},
		"silence": {func(w *world, _ *pipeline.Job) {
			w.recognize = func(rw http.ResponseWriter, r *http.Request) { io.WriteString(rw, `{}`) }
		}, speech.StatusEmpty, "", true},
		"speech_refuses": {func(w *world, _ *pipeline.Job) {
			w.recognize = func(rw http.ResponseWriter, r *http.Request) {
				rw.WriteHeader(http.StatusBadRequest)
				io.WriteString(rw, `{"error":{"code":400,"message":"bad audio","status":"INVALID_ARGUMENT"}}`)
			}
		}, speech.StatusFailed, "bad audio", true},
		"bucket_missing": {func(w *world, _ *pipeline.Job) { w.archive.bucket = w.objects.Client().Bucket("nowhere") }, "", "gs://audio", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, job := newWorld(t), newJob()
			tc.change(w, &job)
			got, err := w.Work(t.Context(), job)
			if tc.status == "" {
				if err == nil || fault.IsPermanent(err) || !strings.Contains(err.Error(), tc.cause) {
					t.Fatalf("error %v, want one worth a retry that says %q", err, tc.cause)
				}
			} else {
				if err != nil {
					t.Fatal(err)
				}
				transcript := transcriptOf(t, got)
				if transcript.Status != tc.status || !strings.Contains(transcript.Cause, tc.cause) || (tc.cause == "") != (transcript.Cause == "") {
					t.Errorf("transcript %+v, want status %s and cause %q", transcript, tc.status, tc.cause)
				}
				if got.Next != topology.AIAnalysis {
					t.Errorf("next stage %q: the lead is lost", got.Next)
				}
				if (got.Recording == nil) != (tc.status == speech.StatusNone) || got.Recording != nil && got.Recording.TranscriptionStatus != string(tc.status) {
					t.Errorf("recording %+v", got.Recording)
				}
				if e := got.Entries[len(got.Entries)-1]; e.Action != "transcription."+string(tc.status) || e.Reason == "" || !strings.Contains(e.Reason, tc.cause) ||
					(len(got.Entries) == 2) != (got.Recording != nil && got.Recording.StorageURL != "") {
					t.Errorf("audit entries %+v", got.Entries)
				}
				if tc.status == speech.StatusSkipped && w.recognised.Load() > 0 {
					t.Error("transcribed although it is off")
				}
			}
			page, err := w.objects.ListObjectsWithOptionsPaginated(bucket, fakestorage.ListOptions{})
			if err != nil || (len(page.Objects) == 1) != tc.stored {
				t.Errorf("%d objects stored, %v; want stored = %t", len(page.Objects), err, tc.stored)
			}
		})
	}
}

func apiError(code int) error {
	err, ok := apierror.FromError(&googleapi.Error{Code: code})
	if !ok {
		return errors.New("not an API error")
	}
	return err
}

func TestDigestKeepsOnlySmallContent(t *testing.T) {
	t.Parallel()
	var d digest
	block := make([]byte, 1<<20)
	for range 7 {
		_, _ = d.Write(block)
	}
	if len(d.content()) != 7<<20 {
		t.Errorf("%d bytes kept of %d", len(d.content()), d.size)
	}
	_, _ = d.Write(block)
	if d.content() != nil || d.size != 8<<20 || d.buf.Cap() != 0 {
		t.Errorf("%d bytes kept of %d", len(d.content()), d.size)
	}
}

// TestAnotherRecording: another recording of the same call is fetched, and kept
// beside the first one; the same one under another access key is not.
func TestAnotherRecording(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.details = func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusNotFound) }
	w.recognize = func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, `{"results":[]}`) }
	work := func(path string) *store.Recording {
		t.Helper()
		job := newJob()
		job.Request.RecordingURL = w.recordings + path
		got, err := w.Work(t.Context(), job)
		if err != nil {
			t.Fatal(err)
		}
		return got.Recording
	}
	first := work("/recording?access_key=a")
	w.recording = func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write(wavFile(4)) }
	same, other := work("/recording?access_key=b"), work("/recording/2?access_key=a")
	if w.fetched.Load() != 2 || same.SHA256 != first.SHA256 || other.SHA256 == first.SHA256 || other.StorageURL == first.StorageURL {
		t.Errorf("fetched %d times:\n%+v\n%+v\n%+v", w.fetched.Load(), first, same, other)
	}
}
