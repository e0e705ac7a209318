package store

import (
	"context"
	"fmt"
	"time"

	"cloud.google.com/go/spanner"
)

// Config says where the database is. SPANNER_EMULATOR_HOST is read by the
// Spanner client itself.
type Config struct {
	Project  string        `env:"GOOGLE_CLOUD_PROJECT,required,notEmpty"`
	Instance string        `env:"SPANNER_INSTANCE,required,notEmpty"`
	Database string        `env:"SPANNER_DATABASE,required,notEmpty"`
	CacheTTL time.Duration `env:"TENANT_CACHE_TTL" envDefault:"1m"` // how long a change of tenants may go unseen
}

// Path returns the database's full name.
func (c Config) Path() string {
	return fmt.Sprintf("projects/%s/instances/%s/databases/%s", c.Project, c.Instance, c.Database)
}

// DB is the platform's database. Its own methods reach no tenant's data: they
// give a handle that is bound to one tenant, and the directory that finds it.
type DB struct {
	client    *spanner.Client
	directory *Directory
}

// Open connects to the database. It does not wait for it: see Ping.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	return nil, nil
}

// Close ends the connections.
func (db *DB) Close() error { return nil }

// Ping reports whether the database answers.
func (db *DB) Ping(ctx context.Context) error { return nil }

// Directory finds tenants and offices.
type Directory struct{}
