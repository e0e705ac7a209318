// Package store keeps tenants, requests, their stages and their recordings in
// Spanner. Everything that belongs to a tenant is reached through a handle
// bound to that tenant, see [DB.Tenant]; only [Directory] and [DB.Overdue] look
// across them, and they find tenants, offices and ids, never their customers'
// data.
package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"cloud.google.com/go/spanner"
	vkit "cloud.google.com/go/spanner/apiv1"
	"github.com/google/uuid"
	"github.com/googleapis/gax-go/v2"
	"google.golang.org/api/option"

	"ingestion.internal/shared/oneline"
	"ingestion.internal/shared/topology"
)

// Errors of this package. All others are Spanner's, wrapped.
var (
	ErrNotFound  = errors.New("not found")
	ErrLostClaim = errors.New("the claim was lost: another worker has the stage")
)

// Config says where the database is.
type Config struct {
	Project  string        `env:"GOOGLE_CLOUD_PROJECT,required,notEmpty"`
	Instance string        `env:"SPANNER_INSTANCE,required,notEmpty"`
	Database string        `env:"SPANNER_DATABASE,required,notEmpty"`
	Role     string        `env:"SPANNER_DATABASE_ROLE"`            // whose privileges the service has; empty = those of its account
	CacheTTL time.Duration `env:"TENANT_CACHE_TTL" envDefault:"1m"` // how long a change of tenants may go unseen
	Emulator string        `env:"SPANNER_EMULATOR_HOST"`            // the client reads it too; empty = Spanner itself
	Actor    string        `env:"K_REVISION"`                       // who writes, for the audit trail; set by Cloud Run
}

// Path returns the database's full name.
func (c Config) Path() string {
	return fmt.Sprintf("projects/%s/instances/%s/databases/%s", c.Project, c.Instance, c.Database)
}

// DB is the platform's database.
type DB struct {
	client    *spanner.Client
	directory *Directory
	actor     string
	now       func() time.Time
	writing   chan struct{} // holds one token while a write runs; nil = writes run side by side
}

// An Option changes how a database is opened.
type Option func(*DB)

// WithClock replaces time.Now, by which leases and cached entries age.
func WithClock(now func() time.Time) Option { return func(db *DB) { db.now = now } }

// Open connects to the database. It does not wait for it to answer: see Ping.
func Open(ctx context.Context, cfg Config, opts ...Option) (*DB, error) {
	return OpenWith(ctx, cfg, nil, opts...)
}

// OpenWith is Open with options of the client.
func OpenWith(ctx context.Context, cfg Config, clientOptions []option.ClientOption, opts ...Option) (*DB, error) {
	client, err := spanner.NewClientWithConfig(ctx, cfg.Path(), spanner.ClientConfig{
		// The handlers' accounts may not write metrics.
		DisableNativeMetrics: true,
		DatabaseRole:         cfg.Role,
		CallOptions:          &vkit.CallOptions{Rollback: []gax.CallOption{gax.WithTimeout(rollbackTimeout)}},
	}, clientOptions...)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", cfg.Path(), err)
	}
	db := &DB{client: client, now: time.Now, actor: cfg.Actor}
	if cfg.Emulator != "" {
		// The client runs everything in one multiplexed session. The emulator
		// forgets a session's open read-write transaction when the next one
		// begins in it, so there writes must take turns.
		db.writing = make(chan struct{}, 1)
	}
	for _, opt := range opts {
		opt(db)
	}
	db.directory = newDirectory(client, cfg.CacheTTL, db.now)
	return db, nil
}

// Close ends the connections.
func (db *DB) Close() error {
	db.client.Close()
	return nil
}

// Ping returns nil if the database answers.
func (db *DB) Ping(ctx context.Context) error {
	iter := db.client.Single().Query(ctx, spanner.NewStatement("SELECT 1"))
	defer iter.Stop()
	if _, err := iter.Next(); err != nil {
		return fmt.Errorf("spanner: %w", err)
	}
	return nil
}

// rollbackTimeout bounds how long a transaction that failed holds up its caller.
// The client rolls back whatever the caller's context says, and would try for 30
// seconds: longer than anybody who waits for an answer. Spanner may itself abort
// what was left alone for ten seconds.
// https://cloud.google.com/spanner/docs/reference/rest/v1/TransactionOptions#idle-transactions
const rollbackTimeout = 2 * time.Second

// transact runs f in a read-write transaction, again if Spanner aborts it.
func (db *DB) transact(ctx context.Context, f func(context.Context, *spanner.ReadWriteTransaction) error) error {
	if db.writing != nil {
		select {
		case db.writing <- struct{}{}:
			defer func() { <-db.writing }()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	_, err := db.client.ReadWriteTransaction(ctx, f)
	return err
}

// Directory returns the directory of tenants and offices.
func (db *DB) Directory() *Directory { return db.directory }

// Tenant returns the handle bound to the tenant. It does not check that there
// is such a tenant: a handle of one that is not there finds nothing and cannot
// write.
func (db *DB) Tenant(id string) *Tenant { return &Tenant{db: db, id: id} }

// Tenant reaches the rows of one tenant, and no others: its id is the first
// part of every key that its methods build.
type Tenant struct {
	db *DB
	id string
}

// ID returns the tenant's id.
func (t *Tenant) ID() string { return t.id }

var idNamespace = uuid.MustParse("b9d3e1c6-35c2-5b8a-9d7c-52f3f0a4c111")

// RequestID derives the id of the request that an outside event makes, so that
// deliveries of the same event meet on one primary key.
func RequestID(tenantID, source, externalID string) string {
	return derivedID("request", tenantID, source, externalID)
}

// RecordingID derives the id of a call's recording.
func RecordingID(tenantID, callID string) string {
	return derivedID("recording", tenantID, callID)
}

// derivedID quotes each part, so that no two lists of parts read the same.
func derivedID(parts ...string) string {
	return uuid.NewSHA1(idNamespace, fmt.Appendf(nil, "%q", parts)).String()
}

// clip makes text fit a column of n characters.
func clip(s string, n int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	count := 0
	for i := range s {
		if count == n {
			return s[:i]
		}
		count++
	}
	return s
}

// line makes text one line that fits a column of n characters, see package
// oneline. The payload has all as it came.
func line(s string, n int) string { return clip(oneline.Of(s), n) }

func clipAll(all []string, n int) []string {
	clipped := make([]string, len(all))
	for i, s := range all {
		clipped[i] = clip(s, n)
	}
	return clipped
}

// stageState is the state of one stage of one request.
type stageState = string

// States of a stage.
const (
	StatePending    = "pending"
	StateRunning    = "running"
	StateDone       = "done"
	StateFailed     = "failed"
	StateDeadLetter = "dead_letter"
	// StateSuperseded is a stage whose work counts no more, because an earlier
	// one was begun again. It is worked anew when that is done.
	StateSuperseded = "superseded"
)

// stageRow is a row of request_stages.
type stageRow struct {
	Stage      topology.Stage
	State      stageState
	Attempts   int64
	LeaseUntil spanner.NullTime
	Cause      spanner.NullString
	EnqueuedAt spanner.NullTime
	SweepAfter spanner.NullTime
	Sweeps     int64
	Round      int64
}

// stageRows are the stages that a request has reached.
type stageRows map[topology.Stage]*stageRow

// next is the stage's next round, the first one if it was never reached.
func (rows stageRows) next(stage topology.Stage) Step {
	if row := rows[stage]; row != nil {
		return Step{Stage: stage, Round: int(row.Round) + 1}
	}
	return Step{Stage: stage}
}

// Step is a stage of a request that has to be enqueued, in one of its rounds.
type Step struct {
	Stage topology.Stage
	Round int // 0 the first time; one more each time the stage is begun again
}

// MarshalText writes the step for logs: the stage, and its round after the
// first.
func (s Step) MarshalText() ([]byte, error) {
	if s.Round == 0 {
		return []byte(s.Stage), nil
	}
	return fmt.Appendf(nil, "%s/%d", s.Stage, s.Round), nil
}
