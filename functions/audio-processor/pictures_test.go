package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ingestion.internal/shared/attachment"
	"ingestion.internal/shared/callrail"
	"ingestion.internal/shared/documents"
	"ingestion.internal/shared/fault"
	"ingestion.internal/shared/form"
	"ingestion.internal/shared/pipeline"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/topology"
)

// pictureOf is a picture that no other shade has.
func pictureOf(t *testing.T, shade uint8) []byte {
	t.Helper()
	picture := image.NewGray(image.Rect(0, 0, 2, 2))
	picture.SetGray(0, 0, color.Gray{Y: shade})
	var b bytes.Buffer
	if err := png.Encode(&b, picture); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// textJob is a conversation whose messages, M1 and so on, are the customer's,
// one picture each; the last one is the company's.
func textJob(t *testing.T, w *world, paths ...string) pipeline.Job {
	t.Helper()
	c := callrail.Conversation{ID: "c1"}
	for i, path := range paths {
		c.Messages = append(c.Messages, callrail.Message{ID: fmt.Sprintf("M%d", i+1), From: callrail.FromCustomer, Media: []string{w.recordings + path}})
	}
	c.Messages = append(c.Messages, callrail.Message{ID: "B", From: callrail.FromBusiness, Media: []string{w.recordings + "/media/ours"}})
	payload, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	job := newJob()
	job.Request = &store.Request{TenantID: "acme", RequestID: "r", CommunicationMode: store.ModeText, Payload: payload}
	return job
}

// withPictures gives the world pictures by their path, and somewhere to keep
// what was done, which it returns.
func withPictures(w *world, pictures map[string]http.HandlerFunc) *json.RawMessage {
	w.media = func(rw http.ResponseWriter, r *http.Request) { pictures[r.URL.Path](rw, r) }
	var kept json.RawMessage
	w.worker.keep = func(_ context.Context, _ pipeline.Job, data json.RawMessage) error {
		kept = data
		return nil
	}
	w.worker.maxAttempts = 3
	return &kept
}

func serve(data []byte) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write(data) }
}

func refuse(code int) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(code) }
}

// TestPictures: what can be kept is kept, once; what cannot is recorded with its
// cause, and the conversation goes on.
func TestPictures(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := pictureOf(t, 1), pictureOf(t, 2)
	works := false
	kept := withPictures(w, map[string]http.HandlerFunc{
		"/media/a":    serve(a),
		"/media/gone": refuse(http.StatusNotFound),
		"/media/page": func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, "<html>sign in</html>") },
		"/media/huge": func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Length", fmt.Sprint(maxPictureBytes+1))
			_, _ = rw.Write(a)
		},
		"/media/away": func(rw http.ResponseWriter, r *http.Request) {
			http.Redirect(rw, r, "http://169.254.169.254/", http.StatusFound)
		},
		"/media/b": func(rw http.ResponseWriter, r *http.Request) {
			if !works {
				refuse(http.StatusServiceUnavailable)(rw, r)
				return
			}
			serve(b)(rw, r)
		},
	})
	job := textJob(t, w, "/media/a", "/media/gone", "/media/page", "/media/huge", "/media/away", "/media/b")
	if _, err := w.Work(t.Context(), job); err == nil || fault.IsPermanent(err) {
		t.Fatalf("while a picture may still come: %v, want an error that is worth a retry", err)
	}
	// The next attempt finds what the first one kept, and fetches the rest.
	works, job.Attempt, job.Request.Documents = true, 2, *kept
	before := w.pictured.Load()
	got, err := w.Work(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	if n := w.pictured.Load() - before; n != 1 {
		t.Errorf("%d pictures were fetched again, want the one that failed", n)
	}
	reading, err := documents.Parse(got.Update.Documents)
	if err != nil {
		t.Fatal(err)
	}
	object := func(data []byte) string { return attachment.Object("acme", "r", attachment.Sum(data), form.PNG) }
	want := []documents.Document{
		{Source: "M1/1", Object: object(a), Type: form.PNG, Status: documents.StatusKept},
		{Source: "M2/1", Status: documents.StatusFailed, Cause: "404"},
		{Source: "M3/1", Status: documents.StatusFailed, Cause: "send PDF, PNG or JPEG"},
		{Source: "M4/1", Status: documents.StatusFailed, Cause: "larger than"},
		{Source: "M5/1", Status: documents.StatusFailed, Cause: "not a place"},
		{Source: "M6/1", Object: object(b), Type: form.PNG, Status: documents.StatusKept},
	}
	for i := range min(len(want), len(reading.Documents)) {
		if cause := want[i].Cause; cause != "" && strings.Contains(reading.Documents[i].Cause, cause) {
			reading.Documents[i].Cause = cause
		}
	}
	if diff := cmp.Diff(want, reading.Documents); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, data := range [][]byte{a, b} {
		stored, err := w.objects.GetObject(documentBucket, object(data))
		if err != nil || !bytes.Equal(stored.Content, data) || stored.ContentType != form.PNG || stored.ContentDisposition != "attachment" {
			t.Errorf("%+v, %v", stored.ObjectAttrs, err)
		}
	}
	if got.Next != topology.AIAnalysis || len(got.Entries) != 1 || got.Entries[0].Details["kept"] != 2 || got.Entries[0].Details["failed"] != 4 {
		t.Errorf("next %s, entries %+v", got.Next, got.Entries)
	}
}

// TestLastAttemptGoesOnWithoutPictures: the text is worth an answer.
func TestLastAttemptGoesOnWithoutPictures(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	withPictures(w, map[string]http.HandlerFunc{"/media/a": refuse(http.StatusServiceUnavailable)})
	job := textJob(t, w, "/media/a")
	job.Attempt = 3
	got, err := w.Work(t.Context(), job)
	if err != nil || got.Next != topology.AIAnalysis || !strings.Contains(string(got.Update.Documents), "503") {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestManyPictures: what is over the bound is said, and not asked for.
func TestManyPictures(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	picture := pictureOf(t, 1)
	withPictures(w, map[string]http.HandlerFunc{"/media/a": serve(picture)})
	paths := make([]string, maxPictures+2)
	for i := range paths {
		paths[i] = "/media/a"
	}
	got, err := w.Work(t.Context(), textJob(t, w, paths...))
	if err != nil || w.pictured.Load() != maxPictures || got.Entries[0].Details["failed"] != 2 {
		t.Errorf("%d fetched, %+v, %v", w.pictured.Load(), got.Entries, err)
	}
}
