package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"unicode/utf8"

	"cloud.google.com/go/storage"
	"google.golang.org/api/googleapi"

	"ingestion.internal/shared/form"
	"ingestion.internal/shared/problem"
)

// uploadsAtOnce bounds the forms with files that one instance holds in memory.
// Reading one takes up to about four times its size, since buffers double and
// its parts are copied: with the limits' defaults, 11 MiB a form, half of the
// service's 512 MiB. A stack that raises limits.maxAttachmentBytes gives the
// service more.
const uploadsAtOnce = 6

// maxFileName bounds what is kept of a file's name, in characters.
const maxFileName = 200

// documents keeps the files of forms in a bucket, below their tenant's id and
// their request's. A file is named by its content, so one that is sent again
// is there already; the service can neither read nor change what it stored.
type documents struct {
	bucket *storage.BucketHandle
	id     string
	limit  int64 // bytes of all files of one form
	slots  chan struct{}
}

// admit waits for a place in memory for a form with files.
func (d *documents) admit(ctx context.Context) (release func(), err error) {
	select {
	case d.slots <- struct{}{}:
		return func() { <-d.slots }, nil
	case <-ctx.Done():
		return nil, problem.Wrap(problem.Unavailable, "", fmt.Errorf("too many forms with files at once: %w", ctx.Err()))
	}
}

// check tells the files' types, before anything is stored.
func (d *documents) check(files []form.File) ([]form.Attachment, error) {
	var total int64
	var all []form.Attachment
	for _, f := range files {
		total += int64(len(f.Data))
		typ, err := f.Type()
		if err != nil {
			return nil, problem.New(problem.UnsupportedMedia, err.Error())
		}
		sum := sha256.Sum256(f.Data)
		all = append(all, form.Attachment{Field: f.Field, Name: shown(f.Name), Type: typ, Size: len(f.Data), SHA256: hex.EncodeToString(sum[:])})
	}
	if total > d.limit {
		return nil, problem.New(problem.TooLarge, fmt.Sprintf("the files of a form may have %d bytes together", d.limit))
	}
	return all, nil
}

// shown is a file's name as it may be shown to people.
func shown(name string) string {
	if !utf8.ValidString(name) {
		return ""
	}
	if runes := []rune(name); len(runes) > maxFileName {
		return string(runes[:maxFileName])
	}
	return name
}

// name says where the attachments are kept.
func (*documents) name(attachments []form.Attachment, tenantID, requestID string) {
	for i := range attachments {
		a := &attachments[i]
		a.Object = fmt.Sprintf("%s/%s/%s.%s", tenantID, requestID, a.SHA256, form.Extensions[a.Type])
	}
}

// store writes the files to their attachments' objects.
func (d *documents) store(ctx context.Context, files []form.File, attachments []form.Attachment) error {
	for i := range attachments {
		a := &attachments[i]
		if err := d.write(ctx, a, files[i].Data); err != nil {
			return problem.Wrap(problem.Unavailable, "", err)
		}
	}
	return nil
}

func (d *documents) write(ctx context.Context, a *form.Attachment, data []byte) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // before Close, this drops what was written
	w := d.bucket.Object(a.Object).If(storage.Conditions{DoesNotExist: true}).NewWriter(ctx)
	w.ContentType = a.Type
	// As a download, whatever page it is opened from.
	w.ContentDisposition = "attachment"
	w.ChunkSize = 0 // in one request: it is in memory
	_, err := w.Write(data)
	if err == nil {
		err = w.Close()
	}
	var api *googleapi.Error
	if errors.As(err, &api) && api.Code == http.StatusPreconditionFailed {
		// Named by its content, so it is the same, of an attempt that got no
		// further. That an account that may only create meets this and not a
		// refusal is unconfirmed.
		return nil
	}
	if err != nil {
		return fmt.Errorf("writing gs://%s/%s: %w", d.id, a.Object, err)
	}
	return nil
}
