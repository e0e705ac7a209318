// Package secrets reads secret values from Secret Manager, with a cache of
// bounded age.
package secrets

import "context"

// Accessor returns the latest enabled version of the secret with this id.
type Accessor interface {
	Access(ctx context.Context, id string) ([]byte, error)
}

// Value is one version of a secret.
type Value struct {
	Data    []byte
	Version string // its number, as in 3
}

// VersionedAccessor also says which version it returned.
type VersionedAccessor interface {
	AccessValue(ctx context.Context, id string) (Value, error)
}
