package main

import (
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"ingestion.internal/shared/speech"
	"ingestion.internal/shared/workflow"
)

// TestSwitches turns each switch of the workflow that this stage obeys on and
// off, and sees what Speech-to-Text is asked for.
func TestSwitches(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		detection workflow.CommunicationDetection
		asked     int
		diarized  bool
		want      speech.Status
	}{
		"on": {workflow.Default().CommunicationDetection, 1, true, speech.StatusCompleted},
		"no_diarization": {workflow.CommunicationDetection{Enabled: true, PhoneProcessing: workflow.PhoneProcessing{TranscribeAudio: true}},
			1, false, speech.StatusCompleted},
		"no_transcription": {workflow.CommunicationDetection{Enabled: true, PhoneProcessing: workflow.PhoneProcessing{SpeakerDiarization: true}},
			0, false, speech.StatusSkipped},
		"detection_off": {workflow.CommunicationDetection{PhoneProcessing: workflow.Default().CommunicationDetection.PhoneProcessing},
			0, false, speech.StatusSkipped},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, job := newWorld(t), newJob()
			job.Office.Workflow.CommunicationDetection = tc.detection
			diarized := false
			w.recognize = func(rw http.ResponseWriter, r *http.Request) {
				var request struct {
					Config struct {
						Features struct {
							DiarizationConfig json.RawMessage `json:"diarizationConfig"`
						} `json:"features"`
					} `json:"config"`
				}
				if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
					t.Error(err)
				}
				diarized = request.Config.Features.DiarizationConfig != nil
				_, _ = io.WriteString(rw, `{"results":[{"alternatives":[{"transcript":"A kitchen, please."}],"resultEndOffset":"2s"}]}`)
			}
			got, err := w.Work(t.Context(), job)
			if err != nil {
				t.Fatal(err)
			}
			if n := int(w.recognised.Load()); n != tc.asked || diarized != tc.diarized {
				t.Errorf("Speech-to-Text was asked %d times, with diarization: %t; want %d, %t", n, diarized, tc.asked, tc.diarized)
			}
			if status := transcriptOf(t, got).Status; status != tc.want || got.Recording.TranscriptionStatus != string(tc.want) {
				t.Errorf("transcript %s, recording %s, want %s", status, got.Recording.TranscriptionStatus, tc.want)
			}
			// Either way the recording is kept.
			if _, err := w.objects.GetObject(bucket, object()); err != nil {
				t.Errorf("recording: %v", err)
			}
		})
	}
}
