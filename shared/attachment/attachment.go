// Package attachment keeps the files that come with requests in the bucket of
// documents: below their tenant's id and their request's, named by their
// content, so that a file that is sent again is there already. Whoever writes
// one may neither read nor change what is there.
package attachment

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"

	"cloud.google.com/go/storage"
	"google.golang.org/api/googleapi"

	"ingestion.internal/shared/form"
)

// Sum is the SHA-256 by which a file is named, in hex.
func Sum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// Object is the name of a file of a type that forms may bring, by its sum.
func Object(tenantID, requestID, sum, mediaType string) string {
	return fmt.Sprintf("%s/%s/%s.%s", tenantID, requestID, sum, form.Extensions[mediaType])
}

// Bucket is the bucket of documents.
type Bucket struct {
	Handle *storage.BucketHandle
	Name   string
}

// Write keeps a file as the object of its name. That it is there is success.
func (b Bucket) Write(ctx context.Context, object, mediaType string, data []byte) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // before Close, this drops what was written
	w := b.Handle.Object(object).If(storage.Conditions{DoesNotExist: true}).NewWriter(ctx)
	w.ContentType = mediaType
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
		return fmt.Errorf("writing gs://%s/%s: %w", b.Name, object, err)
	}
	return nil
}
