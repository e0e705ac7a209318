package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"time"

	"ingestion.internal/shared/attachment"
	"ingestion.internal/shared/callrail"
	"ingestion.internal/shared/callrail/api"
	"ingestion.internal/shared/fault"
	"ingestion.internal/shared/pipeline"
	"ingestion.internal/shared/secrets"
	"ingestion.internal/shared/speech"
	"ingestion.internal/shared/speech/wav"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/telemetry"
	"ingestion.internal/shared/topology"
)

// worker works topology.AudioProcessing.
//
// A lead is never lost for its recording. What cannot be fetched or recognised
// for good (gone, forbidden, no audio, too large, from a host that is not
// allowed) is recorded with its cause, the recording as failed, and the request
// goes on with what is known of the call; the workflow then sends it to a
// person. What may pass (timeouts, rate limits, outages) is an error, so that
// the stage is tried again, and ends as a visible dead letter if it does not.
type worker struct {
	callrail    *api.Client
	secrets     secrets.Accessor
	archive     *archive
	transcriber *speech.Client
	documents   attachment.Bucket // of pictures
	keep        keep
	maxAttempts int // of the stage
	log         *slog.Logger
}

var _ pipeline.Worker = (*worker)(nil)

// Stage returns topology.AudioProcessing.
func (*worker) Stage() topology.Stage { return topology.AudioProcessing }

// Work keeps the call's recording and transcribes it, or keeps the pictures of a
// conversation by text.
func (w *worker) Work(ctx context.Context, job pipeline.Job) (pipeline.Outcome, error) {
	if job.Request.CommunicationMode == store.ModeText {
		return w.pictures(ctx, job)
	}
	key, err := w.apiKey(ctx, job.Office)
	if err != nil {
		return pipeline.Outcome{}, err
	}
	call, err := w.details(ctx, job, key)
	if err != nil {
		return pipeline.Outcome{}, err
	}
	recording, transcript, err := w.listen(ctx, job, call, key)
	if err != nil {
		return pipeline.Outcome{}, err
	}
	transcript.CallDetails = detailsOf(call)
	data, err := json.Marshal(transcript)
	if err != nil {
		return pipeline.Outcome{}, pipeline.Permanent(fmt.Errorf("encode transcript: %w", err))
	}
	update := store.RequestUpdate{Transcription: data}
	if call != nil {
		fill(&update.CustomerName, job.Request.CustomerName, call.CustomerName)
		fill(&update.CustomerPhone, job.Request.CustomerPhone, call.CustomerPhone)
	}
	return pipeline.Outcome{Update: update, Recording: recording, Next: topology.AIAnalysis, Entries: entries(recording, transcript)}, nil
}

// entries tells the audit trail what became of the recording and of its
// transcript.
func entries(recording *store.Recording, transcript *speech.Transcript) []store.Entry {
	var all []store.Entry
	if recording != nil && recording.StorageURL != "" {
		all = append(all, store.Entry{Action: "recording.stored", Reason: "the call was recorded", Details: map[string]any{
			"url": recording.StorageURL, "content_type": recording.ContentType, "bytes": recording.SizeBytes,
			"sha256": recording.SHA256, "seconds": recording.DurationSeconds,
		}})
	}
	why := map[speech.Status]string{
		speech.StatusCompleted: "the workflow has calls transcribed",
		speech.StatusSkipped:   "the workflow has calls not transcribed",
		speech.StatusEmpty:     "nobody speaks in the recording",
	}
	return append(all, store.Entry{Action: "transcription." + string(transcript.Status), Reason: cmp.Or(transcript.Cause, why[transcript.Status]), Model: transcript.Model,
		Details: map[string]any{"turns": len(transcript.Turns), "characters": len([]rune(transcript.Text)), "confidence": transcript.Confidence}})
}

// apiKey returns the office's CallRail API key, "" where it has none: calls of
// such an office are known by their webhook alone.
func (w *worker) apiKey(ctx context.Context, office *store.Office) (string, error) {
	if office == nil || office.CallRailAPIKeySecret == "" {
		return "", nil
	}
	key, err := w.secrets.Access(ctx, office.CallRailAPIKeySecret)
	if secrets.IsNotFound(err) {
		w.log.WarnContext(ctx, "the office's CallRail API key has no value", slog.String("secret", office.CallRailAPIKeySecret))
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("CallRail API key: %w", err)
	}
	return strings.TrimSpace(string(key)), nil
}

// details asks CallRail about the call; nil where it cannot be asked or will
// not say.
func (w *worker) details(ctx context.Context, job pipeline.Job, key string) (*api.Call, error) {
	if key == "" || job.Office.CallRailAccountID == "" || job.Request.CallID == "" {
		return nil, nil
	}
	call, err := w.callrail.Call(ctx, job.Office.CallRailAccountID, job.Request.CallID, key)
	if fault.IsPermanent(err) {
		w.log.WarnContext(ctx, "going on without the call's details", slog.Any("error", err))
		return nil, nil
	}
	return call, err
}

// listen keeps and transcribes the recording. Either there is a transcript
// that says how it went, or an error worth a retry. The recording is nil where
// there is none.
func (w *worker) listen(ctx context.Context, job pipeline.Job, call *api.Call, key string) (*store.Recording, *speech.Transcript, error) {
	addresses := addressesOf(job.Request, call)
	recordingID := store.RecordingID(job.Request.TenantID, job.Request.CallID)
	prefix := objectOf(job.Request, recordingID)

	audio, err := w.archive.find(ctx, prefix)
	if err != nil {
		return nil, nil, err
	}
	if audio == nil && len(addresses) == 0 {
		return nil, &speech.Transcript{Status: speech.StatusNone, Cause: "the call has no recording"}, nil
	}
	recording := &store.Recording{RecordingID: recordingID, CallID: job.Request.CallID}
	failed := func(err error) (*store.Recording, *speech.Transcript, error) {
		recording.TranscriptionStatus = string(speech.StatusFailed)
		return recording, &speech.Transcript{Status: speech.StatusFailed, Cause: err.Error(), DurationSeconds: float64(recording.DurationSeconds)}, nil
	}
	if audio == nil {
		if audio, err = w.fetch(ctx, prefix, addresses, key); err != nil {
			w.notDone(ctx, telemetry.RecordingFailed, err)
		}
		if fault.IsPermanent(err) {
			return failed(err)
		} else if err != nil {
			return nil, nil, err
		}
	}
	duration := durationOf(audio, call)
	recording.StorageURL = audio.URL
	recording.ContentType = audio.ContentType
	recording.SizeBytes = audio.Size
	recording.SHA256 = audio.SHA256
	recording.DurationSeconds = int64(math.Round(duration.Seconds()))

	phone := job.Office.Workflow.Phone()
	if !phone.TranscribeAudio {
		recording.TranscriptionStatus = string(speech.StatusSkipped)
		return recording, &speech.Transcript{Status: speech.StatusSkipped, DurationSeconds: duration.Seconds()}, nil
	}
	there := time.Now() // the recording, so what follows is the transcription's own time
	transcript, err := w.transcriber.Transcribe(ctx, speech.Audio{URI: audio.URL, Content: audio.Content, Duration: duration}, phone.SpeakerDiarization)
	took := slog.Float64(telemetry.Seconds, time.Since(there).Seconds())
	if err != nil {
		w.notDone(ctx, telemetry.TranscriptionFailed, err, took)
	}
	if fault.IsPermanent(err) {
		return failed(fmt.Errorf("transcription: %w", err))
	}
	if err != nil {
		return nil, nil, fmt.Errorf("transcription: %w", err)
	}
	w.log.LogAttrs(ctx, slog.LevelInfo, "transcribed", slog.String(telemetry.Event, telemetry.TranscriptionDone),
		slog.String(telemetry.Outcome, string(transcript.Status)), took, slog.Float64("audio_seconds", duration.Seconds()))
	recording.TranscriptionStatus = string(transcript.Status)
	return recording, transcript, nil
}

// objectOf returns the name of the recording's object but for its type. Attempts
// at one recording find what another one kept; another recording of the same
// call, which CallRail names by another address, has an object of its own.
func objectOf(r *store.Request, recordingID string) string {
	name := fmt.Sprintf("%s/%s/%s", r.TenantID, r.CallID, recordingID)
	if r.RecordingURL == "" {
		return name // CallRail's API may know of one all the same
	}
	sum := sha256.Sum256([]byte(callrail.RecordingAddress(r.RecordingURL)))
	return name + "-" + hex.EncodeToString(sum[:6])
}

// notDone writes the line of a recording or a transcript that there is none
// of: yet, or for good.
func (w *worker) notDone(ctx context.Context, event string, err error, more ...slog.Attr) {
	outcome, message := telemetry.Retry, "the recording has to wait for another attempt"
	if fault.IsPermanent(err) {
		outcome, message = telemetry.Lost, "going on without the recording"
	}
	w.log.LogAttrs(ctx, slog.LevelWarn, message, append(more,
		slog.String(telemetry.Event, event), slog.String(telemetry.Outcome, outcome), slog.Any("error", err))...)
}

// fetch brings the recording from the first address that has it into the
// archive. The error is permanent if none of them ever will.
func (w *worker) fetch(ctx context.Context, prefix string, addresses []string, key string) (*stored, error) {
	var refusals []error
	for _, address := range addresses {
		audio, err := w.fetchFrom(ctx, prefix, address, key)
		if !fault.IsPermanent(err) {
			return audio, err
		}
		refusals = append(refusals, err)
	}
	return nil, errors.Join(refusals...)
}

func (w *worker) fetchFrom(ctx context.Context, prefix, address, key string) (*stored, error) {
	start := time.Now()
	rec, err := w.callrail.Recording(ctx, address, key)
	if err != nil {
		return nil, err
	}
	defer rec.Close()
	audio, err := w.archive.save(ctx, prefix, rec)
	if err == nil {
		w.log.LogAttrs(ctx, slog.LevelInfo, "recording stored", slog.String(telemetry.Event, telemetry.RecordingStored),
			slog.Float64(telemetry.Seconds, time.Since(start).Seconds()), slog.Int64(telemetry.Bytes, audio.Size),
			slog.String("from", rec.Host), slog.String("url", audio.URL))
	}
	return audio, err
}

// addressesOf lists where the recording may be, the best first: what CallRail's
// API says now, then what its webhook said then.
func addressesOf(request *store.Request, call *api.Call) []string {
	var addresses []string
	if call != nil {
		addresses = append(addresses, call.RecordingURL)
	}
	addresses = append(addresses, request.RecordingURL)
	addresses = slices.DeleteFunc(addresses, func(a string) bool { return a == "" })
	return slices.Compact(addresses)
}

// durationOf is how long the recording plays, by its own header if it has one,
// else by CallRail; 0 = unknown.
func durationOf(audio *stored, call *api.Call) time.Duration {
	if d, ok := wav.Duration(audio.Content, audio.Size); ok {
		return d
	}
	if call != nil {
		return call.RecordingDuration
	}
	return 0
}

// detailsOf is what the analysis is told about the call besides what was said.
func detailsOf(call *api.Call) map[string]string {
	if call == nil {
		return nil
	}
	details := map[string]string{
		"customer_name":         call.CustomerName,
		"customer_phone_number": call.CustomerPhone,
		"customer_city":         call.CustomerCity,
		"customer_state":        call.CustomerState,
		"customer_country":      call.CustomerCountry,
		"zip_code":              call.PostalCode,
		"direction":             call.Direction,
		"start_time":            call.StartTime,
		"source_name":           call.SourceName,
	}
	if call.Voicemail {
		details["voicemail"] = "true"
	}
	if call.Duration > 0 {
		details["duration"] = call.Duration.String()
	}
	for name, value := range details {
		if value == "" {
			delete(details, name)
		}
	}
	return details
}

// fill sets what the request does not have yet.
func fill(field **string, have, found string) {
	if have == "" && found != "" {
		*field = &found
	}
}
