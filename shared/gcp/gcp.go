// Package gcp makes the clients of Google Cloud that the handlers share. Each
// takes an endpoint: empty means Google's, and any other is a base URL such as
// http://127.0.0.1:8080, spoken to with the same REST protocol and the same
// application default credentials.
package gcp

import (
	"context"
	"fmt"
	"strings"

	cloudtasks "cloud.google.com/go/cloudtasks/apiv2"
	secretmanager "cloud.google.com/go/secretmanager/apiv1"
	"cloud.google.com/go/storage"
	"google.golang.org/api/option"
)

// Options returns the client options for the endpoint, for the REST clients
// that this package does not make.
func Options(endpoint string) []option.ClientOption {
	if endpoint == "" {
		return nil
	}
	return []option.ClientOption{option.WithEndpoint(strings.TrimSuffix(endpoint, "/"))}
}

// CloudTasks returns a client of Cloud Tasks.
func CloudTasks(ctx context.Context, endpoint string) (*cloudtasks.Client, error) {
	client, err := cloudtasks.NewRESTClient(ctx, Options(endpoint)...)
	if err != nil {
		return nil, fmt.Errorf("cloud tasks client: %w", err)
	}
	return client, nil
}

// SecretManager returns a client of Secret Manager.
func SecretManager(ctx context.Context, endpoint string) (*secretmanager.Client, error) {
	client, err := secretmanager.NewRESTClient(ctx, Options(endpoint)...)
	if err != nil {
		return nil, fmt.Errorf("secret manager client: %w", err)
	}
	return client, nil
}

// Storage returns a client of Cloud Storage. Objects are read by the JSON API,
// as everything else is, so that one endpoint serves all of it.
func Storage(ctx context.Context, endpoint string) (*storage.Client, error) {
	opts := []option.ClientOption{storage.WithJSONReads()}
	if endpoint != "" {
		// This client's base URL, unlike the others', includes the API's path.
		opts = append(opts, option.WithEndpoint(strings.TrimSuffix(endpoint, "/")+"/storage/v1/"))
	}
	client, err := storage.NewClient(ctx, opts...)
	if err != nil {
		return nil, fmt.Errorf("storage client: %w", err)
	}
	return client, nil
}
