package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"cloud.google.com/go/storage"

	"ingestion.internal/shared/logging"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/telemetry"
	"ingestion.internal/shared/tenant"
)

const (
	readTimeout      = time.Minute
	tenantTimeout    = time.Minute
	maxManifestBytes = 64 << 20
)

func splitURL(url string) (bucket, object string, err error) {
	path, ok := strings.CutPrefix(url, "gs://")
	bucket, object, found := strings.Cut(path, "/")
	if !ok || !found || bucket == "" || object == "" {
		return "", "", errors.New("TENANTS_MANIFEST is not of the form gs://bucket/object")
	}
	return bucket, object, nil
}

func readManifest(ctx context.Context, objects *storage.Client, url string) (tenant.Manifest, error) {
	bucket, object, err := splitURL(url)
	if err != nil {
		return tenant.Manifest{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	r, err := objects.Bucket(bucket).Object(object).NewReader(ctx)
	if err != nil {
		return tenant.Manifest{}, fmt.Errorf("read %s: %w", url, err)
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, maxManifestBytes))
	if err != nil {
		return tenant.Manifest{}, fmt.Errorf("read %s: %w", url, err)
	}
	return tenant.Parse(data)
}

// departed returns the ids of the tenants that the manifest no longer names.
// If it protects tenants, one that is still active is an error: a tenant is
// offboarded first. Tenants that are older than the platform are not its to
// judge.
func departed(present []store.TenantRow, manifest tenant.Manifest) ([]string, error) {
	declared := map[string]bool{}
	for _, t := range manifest.Tenants {
		declared[t.ID] = true
	}
	var ids []string
	var errs []error
	for _, t := range present {
		switch {
		case declared[t.ID] || !t.Synced || t.Inactive():
		case manifest.Protect && t.Status == tenant.Active:
			errs = append(errs, fmt.Errorf("tenant %s is active and the config no longer names it: put it back with state: offboarded and deploy; after that it can be removed", t.ID))
		default:
			ids = append(ids, t.ID)
		}
	}
	return ids, errors.Join(errs...)
}

// sync brings the database to the manifest, each tenant in a transaction of
// its own: one that fails does not keep the others back. A manifest that a
// tenant must not have left changes nothing.
func sync(ctx context.Context, db *store.DB, manifest tenant.Manifest) error {
	present, err := db.Directory().Tenants(ctx)
	if err != nil {
		return err
	}
	gone, err := departed(present, manifest)
	if err != nil {
		return err
	}
	var errs []error
	changed := 0
	record := func(id string, changes store.Changes, err error) {
		ctx := logging.WithTenant(ctx, id)
		if err != nil {
			slog.ErrorContext(ctx, "tenant not synced", slog.String(telemetry.Event, telemetry.TenantSyncFailed), slog.Any("error", err))
			errs = append(errs, err)
			return
		}
		changed += len(changes)
		for _, change := range changes {
			slog.InfoContext(ctx, change)
		}
	}
	for _, t := range manifest.Tenants {
		tenantCtx, cancel := context.WithTimeout(ctx, tenantTimeout)
		changes, err := db.Tenant(t.ID).Sync(tenantCtx, t)
		cancel()
		record(t.ID, changes, err)
	}
	for _, id := range gone {
		tenantCtx, cancel := context.WithTimeout(ctx, tenantTimeout)
		err := db.Tenant(id).Deactivate(tenantCtx)
		cancel()
		record(id, store.Changes{"tenant deactivated: the manifest no longer names it"}, err)
	}
	slog.InfoContext(ctx, "tenants synced", slog.String(telemetry.Event, telemetry.TenantsSynced), slog.Int(telemetry.Count, len(manifest.Tenants)), slog.Int("changes", changed), slog.Int("errors", len(errs)))
	return errors.Join(errs...)
}
