package secrets

import (
	"context"
	"fmt"
	"hash/crc32"
	"sync"
	"time"

	secretmanager "cloud.google.com/go/secretmanager/apiv1"
	"cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"golang.org/x/sync/singleflight"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Bounds of the cache. A failure is remembered only long enough to keep a
// burst of deliveries for one tenant from becoming a burst of API calls.
const (
	failureAge  = 2 * time.Second
	callTimeout = 5 * time.Second
	maxEntries  = 10_000
)

// Config is a service's configuration of its secrets.
type Config struct {
	Endpoint string        `env:"SECRET_MANAGER_ENDPOINT"`
	Project  string        `env:"GOOGLE_CLOUD_PROJECT,required,notEmpty"`
	MaxAge   time.Duration `env:"TENANT_CACHE_TTL,required"`
}

// Manager is the Accessor of one project's Secret Manager. A value is served
// from memory until it is MaxAge old, so a new version of a secret is in use
// after that time at the latest.
type Manager struct {
	client  *secretmanager.Client
	project string
	maxAge  time.Duration
	now     func() time.Time
	flight  singleflight.Group

	mu      sync.Mutex
	entries map[string]entry
}

type entry struct {
	value   []byte
	err     error
	expires time.Time
}

var _ Accessor = (*Manager)(nil)

// NewManager returns the accessor of the project's secrets.
func NewManager(client *secretmanager.Client, cfg Config) *Manager {
	return &Manager{client: client, project: cfg.Project, maxAge: cfg.MaxAge, now: time.Now, entries: map[string]entry{}}
}

// Access returns the latest version of the secret. The caller must not change
// the slice. Errors carry the gRPC status of the API: NotFound,
// PermissionDenied, Unavailable and so on.
func (m *Manager) Access(ctx context.Context, id string) ([]byte, error) {
	if e, ok := m.cached(id); ok {
		return e.value, e.err
	}
	// The call is not the first caller's alone, so it does not end with them.
	ch := m.flight.DoChan(id, func() (any, error) {
		if e, ok := m.cached(id); ok { // another flight has just landed
			return e.value, e.err
		}
		fetchCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
		defer cancel()
		value, err := m.fetch(fetchCtx, id)
		m.keep(id, value, err)
		return value, err
	})
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("secret %s: %w", id, context.Cause(ctx))
	case r := <-ch:
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.([]byte), nil
	}
}

func (m *Manager) fetch(ctx context.Context, id string) ([]byte, error) {
	name := fmt.Sprintf("projects/%s/secrets/%s/versions/latest", m.project, id)
	resp, err := m.client.AccessSecretVersion(ctx, &secretmanagerpb.AccessSecretVersionRequest{Name: name})
	if err != nil {
		return nil, fmt.Errorf("secret %s: %w", id, err)
	}
	payload := resp.GetPayload()
	if payload.DataCrc32C != nil {
		sum := crc32.Checksum(payload.GetData(), crc32.MakeTable(crc32.Castagnoli))
		if int64(sum) != payload.GetDataCrc32C() {
			return nil, fmt.Errorf("secret %s: %w", id, status.Error(codes.DataLoss, "the checksum does not match"))
		}
	}
	return payload.GetData(), nil
}

func (m *Manager) cached(id string) (entry, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.entries[id]
	if !ok || !m.now().Before(e.expires) {
		return entry{}, false
	}
	return e, true
}

func (m *Manager) keep(id string, value []byte, err error) {
	age := m.maxAge
	if err != nil {
		age = min(age, failureAge)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.entries) >= maxEntries {
		clear(m.entries) // ids come from the tenants' rows, so this is not reached in practice
	}
	m.entries[id] = entry{value: value, err: err, expires: m.now().Add(age)}
}
