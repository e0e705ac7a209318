// Package secrets reads secret values from Secret Manager, with a cache of
// bounded age.
package secrets

import "context"

// Accessor returns the latest enabled version of the secret with this id.
type Accessor interface {
	Access(ctx context.Context, id string) ([]byte, error)
}
