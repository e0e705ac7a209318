//go:build deps

package functions

import (
	_ "github.com/go-chi/chi/v5"
	_ "github.com/google/uuid"
	_ "github.com/google/go-cmp/cmp"
	_ "cloud.google.com/go/storage"
	_ "cloud.google.com/go/spanner"
	_ "github.com/caarlos0/env/v11"
	_ "golang.org/x/sync/errgroup"
	_ "google.golang.org/api/option"
	_ "github.com/fsouza/fake-gcs-server/fakestorage"
	_ "golang.org/x/crypto/x509roots/fallback"
	_ "cloud.google.com/go/speech/apiv2"
	_ "cloud.google.com/go/cloudtasks/apiv2"
	_ "cloud.google.com/go/secretmanager/apiv1"
	_ "google.golang.org/genai"
)
