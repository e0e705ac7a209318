//go:build deps

package infra

import (
	_ "github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	_ "github.com/pulumi/pulumi/sdk/v3/go/pulumi/config"
	_ "github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp"
	_ "github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/apigateway"
	_ "github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/artifactregistry"
	_ "github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/cloudrunv2"
	_ "github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/cloudtasks"
	_ "github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/cloudscheduler"
	_ "github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/projects"
	_ "github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/secretmanager"
	_ "github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/serviceaccount"
	_ "github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/spanner"
	_ "github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/storage"
	_ "github.com/google/go-containerregistry/pkg/v1"
	_ "github.com/google/go-containerregistry/pkg/v1/mutate"
	_ "github.com/google/go-containerregistry/pkg/v1/remote"
	_ "github.com/google/go-containerregistry/pkg/v1/google"
	_ "github.com/google/go-containerregistry/pkg/v1/empty"
	_ "github.com/google/go-containerregistry/pkg/v1/tarball"
	_ "github.com/google/go-cmp/cmp"
	_ "gopkg.in/yaml.v3"
	_ "github.com/getkin/kin-openapi/openapi2"
	_ "github.com/google/go-containerregistry/pkg/registry"
	_ "golang.org/x/sync/errgroup"
)
