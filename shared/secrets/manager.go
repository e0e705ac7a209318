package secrets

import (
	"context"
	"fmt"
	"hash/crc32"
	"net/http"
	"path"
	"time"

	secretmanager "cloud.google.com/go/secretmanager/apiv1"
	"cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"errors"
	"github.com/googleapis/gax-go/v2/apierror"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ingestion.internal/shared/agecache"
)

const callTimeout = 5 * time.Second

// Config is a service's configuration of its secrets.
type Config struct {
	Endpoint string        `env:"SECRET_MANAGER_ENDPOINT"`
	Project  string        `env:"GOOGLE_CLOUD_PROJECT,required,notEmpty"`
	MaxAge   time.Duration `env:"TENANT_CACHE_TTL,required,notEmpty"` // how long a new version may go unseen
}

// Manager is the Accessor of one project's Secret Manager. A value is served
// from memory until it is MaxAge old, so a new version of a secret is in use
// after that time at the latest.
type Manager struct {
	client  *secretmanager.Client
	project string
	cache   *agecache.Cache[Value]
}

var (
	_ Accessor          = (*Manager)(nil)
	_ VersionedAccessor = (*Manager)(nil)
)

// NewManager returns the accessor of the project's secrets.
func NewManager(client *secretmanager.Client, cfg Config) *Manager {
	return newManager(client, cfg, time.Now)
}

func newManager(client *secretmanager.Client, cfg Config, now func() time.Time) *Manager {
	return &Manager{client: client, project: cfg.Project, cache: agecache.New[Value](cfg.MaxAge, definite, now)}
}

// Access returns the latest version of the secret. The caller must not change
// the slice. Errors wrap the API's own (*apierror.APIError).
func (m *Manager) Access(ctx context.Context, id string) ([]byte, error) {
	value, err := m.AccessValue(ctx, id)
	return value.Data, err
}

// AccessValue is Access with the version's number.
func (m *Manager) AccessValue(ctx context.Context, id string) (Value, error) {
	value, err := m.cache.Get(ctx, id, func(ctx context.Context) (Value, error) { return m.fetch(ctx, id) })
	if err != nil {
		return Value{}, fmt.Errorf("secret %s: %w", id, err)
	}
	return value, nil
}

func (m *Manager) fetch(ctx context.Context, id string) (Value, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	name := fmt.Sprintf("projects/%s/secrets/%s/versions/latest", m.project, id)
	resp, err := m.client.AccessSecretVersion(ctx, &secretmanagerpb.AccessSecretVersionRequest{Name: name})
	if err != nil {
		return Value{}, err
	}
	payload := resp.GetPayload()
	if payload.DataCrc32C != nil {
		sum := crc32.Checksum(payload.GetData(), crc32.MakeTable(crc32.Castagnoli))
		if int64(sum) != payload.GetDataCrc32C() {
			return Value{}, status.Error(codes.DataLoss, "the checksum of the value does not match")
		}
	}
	return Value{Data: payload.GetData(), Version: path.Base(resp.GetName())}, nil
}

// IsNotFound tells whether the error says that there is no such secret, or no
// version of it.
func IsNotFound(err error) bool { return hasStatus(err, http.StatusNotFound) }

// definite tells answers that asking again at once would not change.
func definite(err error) bool {
	return hasStatus(err, http.StatusNotFound) || hasStatus(err, http.StatusForbidden)
}

func hasStatus(err error, code int) bool {
	var api *apierror.APIError
	return errors.As(err, &api) && api.HTTPCode() == code
}
