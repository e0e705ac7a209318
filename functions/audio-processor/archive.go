package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"time"

	"cloud.google.com/go/storage"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/iterator"

	"ingestion.internal/shared/callrail/api"
	"ingestion.internal/shared/speech"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// archive keeps recordings in a bucket. An object is created once and never
// overwritten: the service may not even do so.
type archive struct {
	bucket *storage.BucketHandle
	name   string
}

// stored is a recording in the archive.
type stored struct {
	URL         string // gs://bucket/object
	ContentType string
	Size        int64
	SHA256      string // hex
	Content     []byte // all of it, nil if it is too large for a synchronous transcription
}

// find returns the recording whose object's name is prefix and a type, as an
// earlier attempt left it, or nil.
func (a *archive) find(ctx context.Context, prefix string) (*stored, error) {
	attrs, err := a.bucket.Objects(ctx, &storage.Query{Prefix: prefix + "."}).Next()
	if errors.Is(err, iterator.Done) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking for gs://%s/%s: %w", a.name, prefix, err)
	}
	r, err := a.bucket.Object(attrs.Name).Generation(attrs.Generation).NewReader(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading gs://%s/%s: %w", a.name, attrs.Name, err)
	}
	defer r.Close()
	var sum digest
	if _, err := io.Copy(&sum, r); err != nil {
		return nil, fmt.Errorf("reading gs://%s/%s: %w", a.name, attrs.Name, err)
	}
	return a.result(attrs, &sum)
}

// save streams the recording to an object whose name is prefix and its type.
// An error of the recording is returned as it is, and nothing is stored.
func (a *archive) save(ctx context.Context, prefix string, rec *api.Recording) (*stored, error) {
	ctx, cancel := context.WithTimeout(ctx, recordingTimeout+time.Minute)
	defer cancel() // before Close, this drops what was written
	name := prefix + "." + rec.Extension
	w := a.bucket.Object(name).If(storage.Conditions{DoesNotExist: true}).NewWriter(ctx)
	w.ContentType = rec.ContentType
	source := &source{r: rec}
	var sum digest
	_, err := io.Copy(io.MultiWriter(w, &sum), source)
	if source.err != nil {
		return nil, source.err
	}
	if err == nil {
		err = w.Close()
	}
	if isExisting(err) {
		// Another attempt was faster. What it stored is what counts.
		return a.find(ctx, prefix)
	}
	if err != nil {
		return nil, fmt.Errorf("writing gs://%s/%s: %w", a.name, name, err)
	}
	return a.result(w.Attrs(), &sum)
}

// result checks what the store says it holds against what went through here.
func (a *archive) result(attrs *storage.ObjectAttrs, sum *digest) (*stored, error) {
	url := fmt.Sprintf("gs://%s/%s", a.name, attrs.Name)
	if attrs.Size != sum.size || attrs.CRC32C != sum.crc {
		return nil, fmt.Errorf("%s is damaged: it has %d bytes and CRC32C %08x, want %d and %08x", url, attrs.Size, attrs.CRC32C, sum.size, sum.crc)
	}
	return &stored{
		URL:         url,
		ContentType: attrs.ContentType,
		Size:        attrs.Size,
		SHA256:      hex.EncodeToString(sum.sha256()),
		Content:     sum.content(),
	}, nil
}

// isExisting reports whether err says that the object is there already.
func isExisting(err error) bool {
	var api *googleapi.Error
	return errors.As(err, &api) && api.Code == http.StatusPreconditionFailed
}

// source remembers the error of its reader, so that it can be told from one of
// the writer.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// digest sums up what is written to it, and keeps it while it is small.
type digest struct {
	size int64
	crc  uint32
	hash interface {
		io.Writer
		Sum([]byte) []byte
	}
	buf bytes.Buffer
}

func (d *digest) Write(p []byte) (int, error) {
	if d.hash == nil {
		d.hash = sha256.New()
	}
	_, _ = d.hash.Write(p) // never fails, see hash.Hash
	d.crc = crc32.Update(d.crc, castagnoli, p)
	d.size += int64(len(p))
	if d.size <= speech.SyncMaxBytes {
		d.buf.Write(p)
	} else {
		d.buf = bytes.Buffer{}
	}
	return len(p), nil
}

func (d *digest) sha256() []byte {
	if d.hash == nil {
		return sha256.New().Sum(nil)
	}
	return d.hash.Sum(nil)
}

func (d *digest) content() []byte {
	if d.size > speech.SyncMaxBytes {
		return nil
	}
	return d.buf.Bytes()
}
