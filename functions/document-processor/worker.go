package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"time"

	"cloud.google.com/go/storage"

	"ingestion.internal/shared/documents"
	"ingestion.internal/shared/fault"
	"ingestion.internal/shared/form"
	"ingestion.internal/shared/intake"
	"ingestion.internal/shared/pipeline"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/telemetry"
	"ingestion.internal/shared/topology"
)

// worker works topology.DocumentProcessing.
//
// A lead is never lost for its files. What cannot be read for good (damaged,
// protected, gone) is recorded with its cause, and the request goes on with
// what its sender wrote. What may pass (outages, quotas, a missing permission)
// is an error, so that the stage is tried again; the last attempt records it
// and goes on too, because the form itself is worth an answer.
//
// What was read is kept at once, so the next attempt has only the rest read:
// each file is billed once, but for an attempt that dies between the parser's
// answer and the write that follows it.
type worker struct {
	reader        reader // nil where the stack has no Document AI
	bucket        *storage.BucketHandle
	bucketName    string
	names         names
	keep          keep
	minConfidence float64
	maxAttempts   int // of the stage
}

// reader reads one file, see [documents.Client].
type reader interface {
	Processor() string
	Read(ctx context.Context, content []byte, mediaType string) (*documents.Page, error)
}

// names has the tenants' names of forms' fields.
type names interface {
	Intake(ctx context.Context, tenantID string) (intake.Config, error)
}

// keep writes what was read so far, see [store.Tenant.KeepDocuments].
type keep func(ctx context.Context, job pipeline.Job, documents json.RawMessage) error

var _ pipeline.Worker = (*worker)(nil)

// Stage returns topology.DocumentProcessing.
func (*worker) Stage() topology.Stage { return topology.DocumentProcessing }

// Work reads the request's files, and fills in what they say of the customer
// where the enquiry itself says nothing.
func (w *worker) Work(ctx context.Context, job pipeline.Job) (pipeline.Outcome, error) {
	request := job.Request
	reading := &documents.Reading{Documents: []documents.Document{}}
	if w.reader != nil {
		reading.Processor = w.reader.Processor()
	}
	if err := w.readAll(ctx, job, reading); err != nil {
		return pipeline.Outcome{}, err
	}
	cfg, err := w.names.Intake(ctx, request.TenantID)
	if err != nil && !errors.Is(err, store.ErrNotFound) { // of a tenant that left, what was accepted is finished
		return pipeline.Outcome{}, err
	}
	reading.Find(cfg.WithDefaults())
	update := store.RequestUpdate{
		CustomerName:  w.take(reading, intake.Name, request.CustomerName),
		CustomerPhone: w.take(reading, intake.Phone, request.CustomerPhone),
		CustomerEmail: w.take(reading, intake.Email, request.CustomerEmail),
		PostalCode:    w.take(reading, intake.Zip, request.PostalCode),
	}
	if update.Documents, err = json.Marshal(reading); err != nil {
		return pipeline.Outcome{}, pipeline.Permanent(fmt.Errorf("encode documents: %w", err))
	}
	return pipeline.Outcome{Update: update, Next: topology.AIAnalysis, Entries: entries(reading)}, nil
}

// readAll reads the files that no attempt has read yet. One that has to wait
// does not keep the others from being read. A file is named by its content, so
// two of one name are the same.
func (w *worker) readAll(ctx context.Context, job pipeline.Job, reading *documents.Reading) error {
	before, err := documents.Parse(job.Request.Documents)
	if err != nil {
		return pipeline.Permanent(err)
	}
	known := map[string]documents.Document{}
	// What another processor read is read again: the operator changed it. Where
	// none is there any more, what was read stays.
	if w.reader == nil {
		reading.Processor = before.Processor
	}
	for _, d := range before.Documents {
		if d.Paid() && before.Processor == reading.Processor {
			known[d.Object] = d
		}
	}
	var errs []error
	for _, a := range form.AttachmentsOf(job.Request.Payload) {
		d, ok := known[a.Object]
		if !ok {
			if d, err = w.read(ctx, a, job.Attempt >= w.maxAttempts); err != nil {
				errs = append(errs, err)
				continue
			}
		}
		d.Name = a.Name // of this file
		reading.Documents = append(reading.Documents, d)
		if ok || !d.Paid() {
			continue
		}
		known[a.Object] = d
		paid := documents.Reading{Processor: reading.Processor}
		for _, object := range slices.Sorted(maps.Keys(known)) {
			paid.Documents = append(paid.Documents, known[object])
		}
		data, err := json.Marshal(paid)
		if err != nil {
			return pipeline.Permanent(fmt.Errorf("encode documents: %w", err))
		}
		if err := w.keep(ctx, job, data); err != nil {
			return err
		}
	}
	return errors.Join(errs...)
}

// take is what the documents say where the request says nothing; nil if that is
// nothing, or not sure enough.
func (w *worker) take(reading *documents.Reading, name, have string) *string {
	if value := reading.Use(name, have, w.minConfidence); value != "" {
		return &value
	}
	return nil
}

// read reads one file. An error is worth a retry; on the last attempt there is
// none.
func (w *worker) read(ctx context.Context, a form.Attachment, last bool) (documents.Document, error) {
	d := documents.Document{Object: a.Object, Name: a.Name, Type: a.Type}
	if w.reader == nil {
		d.Status, d.Cause = documents.StatusOff, "Document AI is off in this stack: ingestion:documentAi.enabled"
		return d, nil
	}
	start := time.Now()
	page, err := w.parse(ctx, a)
	took := slog.Float64(telemetry.Seconds, time.Since(start).Seconds())
	switch {
	case err != nil && (last || fault.IsPermanent(err)):
		slog.WarnContext(ctx, "going on without the document", slog.String(telemetry.Event, telemetry.DocumentFailed),
			slog.String(telemetry.Outcome, telemetry.Lost), took, slog.Any("error", err))
		d.Status, d.Cause = documents.StatusFailed, err.Error()
		return d, nil
	case err != nil:
		slog.WarnContext(ctx, "the document has to wait for another attempt", slog.String(telemetry.Event, telemetry.DocumentFailed),
			slog.String(telemetry.Outcome, telemetry.Retry), took, slog.Any("error", err))
		return d, err
	}
	d.Status = documents.StatusRead
	if page.Text == "" && len(page.Fields) == 0 {
		d.Status = documents.StatusEmpty
	}
	slog.InfoContext(ctx, "document read", slog.String(telemetry.Event, telemetry.DocumentRead), slog.String(telemetry.Outcome, string(d.Status)),
		took, slog.Int64(telemetry.Bytes, int64(a.Size)), slog.Int("pages", page.Pages))
	d.Text, d.Fields, d.Pages = page.Text, page.Fields, page.Pages
	return d, nil
}

func (w *worker) parse(ctx context.Context, a form.Attachment) (*documents.Page, error) {
	object, err := w.bucket.Object(a.Object).NewReader(ctx)
	if errors.Is(err, storage.ErrObjectNotExist) {
		// It was there before the form was answered: deleted by its age, or by
		// somebody.
		return nil, fault.Permanent(fmt.Errorf("gs://%s/%s is gone", w.bucketName, a.Object))
	}
	if err != nil {
		return nil, fmt.Errorf("reading gs://%s/%s: %w", w.bucketName, a.Object, err)
	}
	defer object.Close()
	// A byte more than is read tells the reader that there is more.
	content, err := io.ReadAll(io.LimitReader(object, documents.MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("reading gs://%s/%s: %w", w.bucketName, a.Object, err)
	}
	return w.reader.Read(ctx, content, a.Type)
}

// entries tells the audit trail what became of the files, and what was taken
// from them.
func entries(reading *documents.Reading) []store.Entry {
	var all []store.Entry
	why := map[documents.Status]string{
		documents.StatusRead:  "the form came with it",
		documents.StatusEmpty: "there is nothing to read in it",
	}
	for _, d := range reading.Documents {
		reason := why[d.Status]
		if d.Cause != "" {
			reason = d.Cause
		}
		all = append(all, store.Entry{Action: "document." + string(d.Status), Reason: reason, Model: reading.Processor, Details: map[string]any{
			"object": d.Object, "pages": d.Pages, "fields": len(d.Fields), "characters": len([]rune(d.Text)),
		}})
	}
	used := map[string]any{}
	for name, f := range reading.Contact {
		if f.Used {
			used[name] = map[string]any{"object": f.Object, "field": f.Field, "confidence": f.Confidence}
		}
	}
	if len(used) > 0 {
		all = append(all, store.Entry{Action: "document.used", Reason: "the form itself does not say it", Details: used})
	}
	return all
}
