package main

import (
	"context"
	"fmt"
	"unicode/utf8"

	"ingestion.internal/shared/attachment"
	"ingestion.internal/shared/form"
	"ingestion.internal/shared/oneline"
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

// documents keeps the files of forms, see package attachment.
type documents struct {
	bucket attachment.Bucket
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
		all = append(all, form.Attachment{Field: f.Field, Name: shown(f.Name), Type: typ, Size: len(f.Data), SHA256: attachment.Sum(f.Data)})
	}
	if total > d.limit {
		return nil, problem.New(problem.TooLarge, fmt.Sprintf("the files of a form may have %d bytes together", d.limit))
	}
	return all, nil
}

// shown is a file's name as it may be shown to people, on one line.
func shown(name string) string {
	if !utf8.ValidString(name) {
		return ""
	}
	name = oneline.Of(name)
	if runes := []rune(name); len(runes) > maxFileName {
		return string(runes[:maxFileName])
	}
	return name
}

// name says where the attachments are kept.
func (*documents) name(attachments []form.Attachment, tenantID, requestID string) {
	for i := range attachments {
		a := &attachments[i]
		a.Object = attachment.Object(tenantID, requestID, a.SHA256, a.Type)
	}
}

// store writes the files to their attachments' objects.
func (d *documents) store(ctx context.Context, files []form.File, attachments []form.Attachment) error {
	for i := range attachments {
		a := &attachments[i]
		if err := d.bucket.Write(ctx, a.Object, a.Type, files[i].Data); err != nil {
			return problem.Wrap(problem.Unavailable, "", err)
		}
	}
	return nil
}
