package speech

import (
	"encoding/json"
	"math"
	"net/http"
	"testing"
	"time"

	"google.golang.org/api/option"

	"ingestion.internal/shared/wirefake"
)

// Whatever Speech-to-Text answers at once or in an operation that is done, there
// is a transcript that can be kept, or an error.
func FuzzAnswers(f *testing.F) {
	f.Add(200, results, true)
	f.Add(200, `{"results":[{"alternatives":[{"transcript":"x","confidence":"NaN","words":[{"word":"x","endOffset":"-315576000000s","speakerLabel":"1"}]}],"resultEndOffset":"315576000000s"}]}`, true)
	f.Add(200, `{"name":"o","done":true,"response":{"@type":"type.googleapis.com/google.cloud.speech.v2.BatchRecognizeResponse","results":{"gs://b/o":{"inlineResult":{"transcript":`+results+`}}}}}`, false)
	f.Add(200, `{"name":"o","done":true,"error":{"code":3,"message":"no audio"}}`, false)
	f.Add(200, `{"name":"o","done":true,"response":{"@type":"type.googleapis.com/google.protobuf.Empty"}}`, false)
	f.Add(400, `{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT"}}`, true)
	f.Fuzz(func(t *testing.T, status int, body string, short bool) {
		if status < 200 || status > 599 {
			t.Skip("no status of an answer")
		}
		c, err := New(t.Context(), Config{Project: "p", Location: "us", Model: "chirp_3", Language: "en-US"},
			option.WithEndpoint("https://speech.example"), option.WithHTTPClient(&http.Client{Transport: wirefake.Always{Status: status, Body: body}}))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		ctx := t.Context()
		audio := Audio{URI: "gs://b/o", Duration: time.Hour}
		if short {
			audio.Duration, audio.Content = time.Second, []byte("x")
		} else if json.Valid([]byte(body)) {
			var operation struct{ Done bool }
			if json.Unmarshal([]byte(body), &operation) != nil || !operation.Done {
				t.Skip("an operation that is awaited")
			}
		}
		got, err := c.Transcribe(ctx, audio, true)
		if (err == nil) != (got != nil) {
			t.Fatalf("%+v, %v", got, err)
		}
		if err != nil {
			return
		}
		if !(got.Confidence >= 0 && got.Confidence <= 1) || got.DurationSeconds < 0 || math.IsInf(got.DurationSeconds, 0) || (got.Status == StatusCompleted) != (got.Text != "") {
			t.Errorf("%+v", got)
		}
		for _, turn := range got.Turns {
			if turn.Text == "" || turn.StartSeconds < 0 || turn.EndSeconds < turn.StartSeconds {
				t.Errorf("%+v", turn)
			}
		}
		if _, err := json.Marshal(got); err != nil {
			t.Error(err)
		}
	})
}
