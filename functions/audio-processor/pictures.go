package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"ingestion.internal/shared/attachment"
	"ingestion.internal/shared/callrail"
	"ingestion.internal/shared/documents"
	"ingestion.internal/shared/fault"
	"ingestion.internal/shared/form"
	"ingestion.internal/shared/pipeline"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/telemetry"
	"ingestion.internal/shared/topology"
)

// Bounds of what a conversation by text brings.
const (
	maxPictures     = 20
	maxPictureBytes = 10 << 20
)

// keep writes what was fetched so far, see [store.Tenant.KeepDocuments].
type keep func(ctx context.Context, job pipeline.Job, documents json.RawMessage) error

// pictures keeps the pictures of a conversation by text in the bucket of
// documents, as the files of forms are. CallRail has them for a short time only,
// so each is written down as soon as it is there, and is not fetched again.
//
// A text is never lost for its picture: one that cannot be had, or is none, is
// recorded with its cause, and so is one that the last attempt could not fetch.
func (w *worker) pictures(ctx context.Context, job pipeline.Job) (pipeline.Outcome, error) {
	request := job.Request
	sent, err := callrail.PicturesOf(request.Payload)
	if err != nil {
		return pipeline.Outcome{}, pipeline.Permanent(err)
	}
	reading, err := documents.Parse(request.Documents)
	if err != nil {
		return pipeline.Outcome{}, pipeline.Permanent(err)
	}
	key, err := w.apiKey(ctx, job.Office)
	if err != nil {
		return pipeline.Outcome{}, err
	}
	known := map[string]bool{}
	for _, d := range reading.Documents {
		known[d.Source] = true
	}
	var errs []error
	for i, p := range sent {
		if known[p.Source] {
			continue
		}
		d, err := w.picture(ctx, request, p, key, i >= maxPictures)
		if err != nil && !fault.IsPermanent(err) && job.Attempt < w.maxAttempts {
			w.pictureFailed(ctx, telemetry.Retry, err)
			errs = append(errs, err)
			continue
		}
		if err != nil {
			w.pictureFailed(ctx, telemetry.Lost, err)
			d.Status, d.Cause = documents.StatusFailed, err.Error()
		}
		reading.Documents = append(reading.Documents, d)
		data, err := json.Marshal(reading)
		if err != nil {
			return pipeline.Outcome{}, pipeline.Permanent(fmt.Errorf("encode pictures: %w", err))
		}
		if err := w.keep(ctx, job, data); err != nil {
			return pipeline.Outcome{}, err
		}
	}
	if err := errors.Join(errs...); err != nil {
		return pipeline.Outcome{}, err
	}
	out := pipeline.Outcome{Next: topology.AIAnalysis, Entries: []store.Entry{picturesEntry(reading)}}
	if out.Update.Documents, err = json.Marshal(reading); err != nil {
		return pipeline.Outcome{}, pipeline.Permanent(fmt.Errorf("encode pictures: %w", err))
	}
	return out, nil
}

// picturesEntry tells the audit trail what became of all of them.
func picturesEntry(reading *documents.Reading) store.Entry {
	e := store.Entry{Action: "pictures.kept", Reason: "the customer sent them with text messages"}
	kept, failed := []string{}, 0
	for _, d := range reading.Documents {
		if d.Status == documents.StatusKept {
			kept = append(kept, d.Object)
			continue
		}
		failed++
		e.Reason = "not all could be kept: " + d.Cause
	}
	e.Details = map[string]any{"kept": len(kept), "failed": failed, "objects": kept}
	return e
}

// picture fetches one picture and keeps it. The error is permanent if that can
// never be.
func (w *worker) picture(ctx context.Context, request *store.Request, p callrail.Picture, key string, tooMany bool) (documents.Document, error) {
	d := documents.Document{Source: p.Source, Status: documents.StatusKept}
	if tooMany {
		return d, fault.Permanent(fmt.Errorf("at most %d pictures of a conversation are kept", maxPictures))
	}
	data, err := w.callrail.Picture(ctx, p.Address, key, maxPictureBytes)
	if err != nil {
		return d, err
	}
	if d.Type, err = (&form.File{Data: data}).Type(); err != nil {
		return d, fault.Permanent(fmt.Errorf("picture: %w", err))
	}
	object := attachment.Object(request.TenantID, request.RequestID, attachment.Sum(data), d.Type)
	if err := w.documents.Write(ctx, object, d.Type, data); err != nil {
		return d, err
	}
	d.Object = object
	w.log.LogAttrs(ctx, slog.LevelInfo, "picture kept", slog.String(telemetry.Event, telemetry.PictureKept), slog.Int(telemetry.Bytes, len(data)))
	return d, nil
}

// pictureFailed writes the line of a picture that is not there: yet, or for
// good.
func (w *worker) pictureFailed(ctx context.Context, outcome string, err error) {
	w.log.LogAttrs(ctx, slog.LevelWarn, "a text's picture could not be kept", slog.String(telemetry.Event, telemetry.PictureFailed),
		slog.String(telemetry.Outcome, outcome), slog.Any("error", err))
}
