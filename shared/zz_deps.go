//go:build deps

package shared

import (
	_ "cloud.google.com/go/spanner"
	_ "cloud.google.com/go/spanner/admin/database/apiv1"
	_ "cloud.google.com/go/spanner/admin/instance/apiv1"
	_ "cloud.google.com/go/storage"
	_ "cloud.google.com/go/speech/apiv2"
	_ "cloud.google.com/go/cloudtasks/apiv2"
	_ "cloud.google.com/go/secretmanager/apiv1"
	_ "google.golang.org/genai"
	_ "github.com/go-chi/chi/v5"
	_ "github.com/google/uuid"
	_ "github.com/google/go-cmp/cmp"
	_ "github.com/caarlos0/env/v11"
	_ "golang.org/x/sync/errgroup"
	_ "golang.org/x/sync/singleflight"
	_ "golang.org/x/time/rate"
	_ "google.golang.org/api/option"
	_ "google.golang.org/api/idtoken"
	_ "github.com/santhosh-tekuri/jsonschema/v6"
	_ "golang.org/x/crypto/x509roots/fallback"
	_ "github.com/googleapis/gax-go/v2"
	_ "github.com/hashicorp/golang-lru/v2/expirable"
	_ "github.com/fsouza/fake-gcs-server/fakestorage"
	_ "github.com/go-jose/go-jose/v4/jwt"
	_ "github.com/modelcontextprotocol/go-sdk/mcp"
	_ "github.com/sony/gobreaker/v2"
)
