// Command tenant-sync is the Cloud Run job that brings the tenants and offices
// in Spanner to the manifest that the Pulumi program wrote. It deletes
// nothing: a tenant or an office that left the manifest becomes inactive. A
// tenant that left it while it was active is refused, if the manifest says so.
package main

import (
	"context"

	"ingestion.internal/shared/gcp"
	"ingestion.internal/shared/service"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/topology"
)

type config struct {
	service.Config
	Store           store.Config
	StorageEndpoint string `env:"STORAGE_ENDPOINT"`
	Manifest        string `env:"TENANTS_MANIFEST,required,notEmpty"` // gs://bucket/object
}

// Validate checks what env tags cannot say.
func (c config) Validate() error {
	_, _, err := splitURL(c.Manifest)
	return err
}

func main() { service.MainJob(topology.TenantSync, run) }

func run(ctx context.Context, cfg config) error {
	objects, err := gcp.Storage(ctx, cfg.StorageEndpoint)
	if err != nil {
		return err
	}
	defer objects.Close()
	db, err := store.Open(ctx, cfg.Store)
	if err != nil {
		return err
	}
	defer db.Close()
	manifest, err := readManifest(ctx, objects, cfg.Manifest)
	if err != nil {
		return err
	}
	return sync(ctx, db, manifest)
}
