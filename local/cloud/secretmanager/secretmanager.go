// Package secretmanager is the local Secret Manager: secrets and their
// versions, kept in memory only, behind the v1 REST API's operations. Callers
// over REST are decided by IAM; the methods of Service are the same operations
// for the front doors of the local cloud itself.
package secretmanager

import (
	"context"
	"fmt"
	"hash/crc32"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	api "google.golang.org/api/secretmanager/v1"
	"google.golang.org/grpc/codes"

	"ingestion.internal/local/cloud"
	"ingestion.internal/local/cloud/gapi"
)

// maxPayload is the largest value of a secret version, in bytes.
const maxPayload = 64 << 10

const service = "secretmanager.googleapis.com"

// States of a version.
const (
	enabled   = "ENABLED"
	disabled  = "DISABLED"
	destroyed = "DESTROYED"
)

var secretID = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,255}$`)

// ValidateID tells whether the API accepts a secret's id.
func ValidateID(id string) error {
	if !secretID.MatchString(id) {
		return fmt.Errorf("secret id %q is not 1 to 255 letters, digits, hyphens and underscores", id)
	}
	return nil
}

// Service is the Secret Manager of one project. It is safe for concurrent use.
type Service struct {
	project, number string
	iam             cloud.IAM
	identity        cloud.Identity
	now             func() time.Time

	mu      sync.RWMutex
	secrets map[string]*secret // by id
}

type secret struct {
	api.Secret
	versions []*version // number n is at n-1
}

type version struct {
	api.SecretVersion
	payload []byte
}

// New returns an empty Secret Manager of a project.
func New(project, number string, iam cloud.IAM, identity cloud.Identity) *Service {
	return &Service{
		project: project, number: number, iam: iam, identity: identity, now: time.Now, secrets: map[string]*secret{},
	}
}

// name is a resource name taken apart: projects/P/secrets/S[/versions/V].
type name struct{ project, secret, version string }

func (s *Service) parse(full string) (name, error) {
	part := strings.Split(full, "/")
	var n name
	ok := len(part) >= 2 && part[0] == "projects"
	if ok {
		n.project = part[1]
	}
	if len(part) > 2 {
		ok = ok && len(part) >= 4 && part[2] == "secrets" && part[3] != ""
		if ok {
			n.secret = part[3]
		}
	}
	if len(part) > 4 {
		ok = ok && len(part) == 6 && part[4] == "versions" && part[5] != ""
		if ok {
			n.version = part[5]
		}
	}
	if !ok {
		return name{}, gapi.Errorf(codes.InvalidArgument, "Invalid resource name %q", full)
	}
	if n.project != s.project && n.project != s.number {
		return name{}, gapi.Errorf(codes.NotFound, "Project [%s] not found: the local cloud is the project %s", n.project, s.project)
	}
	return n, nil
}

// Name returns the API's name of a secret, which has the project's number.
func (s *Service) Name(id string) string { return "projects/" + s.number + "/secrets/" + id }

func (s *Service) find(id string) (*secret, error) {
	found, ok := s.secrets[id]
	if !ok {
		return nil, gapi.Errorf(codes.NotFound, "Secret [%s] not found.", s.Name(id))
	}
	return found, nil
}

func (s *Service) findVersion(id, v string) (*version, error) {
	found, err := s.find(id)
	if err != nil {
		return nil, err
	}
	if v == "latest" {
		for _, candidate := range slices.Backward(found.versions) {
			if candidate.State == enabled {
				return candidate, nil
			}
		}
		return nil, gapi.Errorf(codes.NotFound, "Secret [%s] has no enabled version.", s.Name(id))
	}
	if n, err := strconv.Atoi(v); err == nil && n >= 1 && n <= len(found.versions) {
		return found.versions[n-1], nil
	}
	return nil, gapi.Errorf(codes.NotFound, "Secret Version [%s/versions/%s] not found.", s.Name(id), v)
}

// Create makes a secret without a version.
func (s *Service) Create(id string, want api.Secret) (api.Secret, error) {
	if err := ValidateID(id); err != nil {
		return api.Secret{}, gapi.Errorf(codes.InvalidArgument, "%v", err)
	}
	if want.Replication == nil || (want.Replication.Automatic == nil) == (want.Replication.UserManaged == nil) {
		return api.Secret{}, gapi.Errorf(codes.InvalidArgument, "Secret.replication must be automatic or user_managed")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.secrets[id] != nil {
		return api.Secret{}, gapi.Errorf(codes.AlreadyExists, "Secret [%s] already exists.", s.Name(id))
	}
	want.Name, want.CreateTime, want.Etag = s.Name(id), s.stamp(), etag(1)
	s.secrets[id] = &secret{Secret: want}
	return want, nil
}

// Get returns a secret.
func (s *Service) Get(id string) (api.Secret, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	found, err := s.find(id)
	if err != nil {
		return api.Secret{}, err
	}
	return found.Secret, nil
}

// Update sets a secret's labels and annotations.
func (s *Service) Update(id string, labels, annotations map[string]string) (api.Secret, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, err := s.find(id)
	if err != nil {
		return api.Secret{}, err
	}
	found.Labels, found.Annotations = labels, annotations
	return found.Secret, nil
}

// Delete removes a secret with all its versions.
func (s *Service) Delete(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.find(id); err != nil {
		return err
	}
	delete(s.secrets, id)
	return nil
}

// List returns every secret in the order of their ids.
func (s *Service) List() []*api.Secret {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := make([]*api.Secret, 0, len(s.secrets))
	for _, found := range s.secrets {
		c := found.Secret
		list = append(list, &c)
	}
	slices.SortFunc(list, func(a, b *api.Secret) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// AddVersion adds an enabled version with this value.
func (s *Service) AddVersion(id string, payload []byte) (api.SecretVersion, error) {
	if len(payload) == 0 || len(payload) > maxPayload {
		return api.SecretVersion{}, gapi.Errorf(codes.InvalidArgument, "SecretPayload.data must be 1 to %d bytes, not %d", maxPayload, len(payload))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found, err := s.find(id)
	if err != nil {
		return api.SecretVersion{}, err
	}
	n := len(found.versions) + 1
	v := &version{payload: slices.Clone(payload), SecretVersion: api.SecretVersion{
		Name: s.Name(id) + "/versions/" + strconv.Itoa(n), CreateTime: s.stamp(), State: enabled, Etag: etag(n),
	}}
	found.versions = append(found.versions, v)
	return v.SecretVersion, nil
}

// Version returns a version, without its value.
func (s *Service) Version(id, v string) (api.SecretVersion, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	found, err := s.findVersion(id, v)
	if err != nil {
		return api.SecretVersion{}, err
	}
	return found.SecretVersion, nil
}

// Versions returns a secret's versions, the newest first.
func (s *Service) Versions(id string) ([]*api.SecretVersion, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	found, err := s.find(id)
	if err != nil {
		return nil, err
	}
	var list []*api.SecretVersion
	for _, v := range slices.Backward(found.versions) {
		c := v.SecretVersion
		list = append(list, &c)
	}
	return list, nil
}

// Enable makes a version readable again.
func (s *Service) Enable(id, v string) (api.SecretVersion, error) { return s.turn(id, v, enabled) }

// Disable makes a version unreadable until it is enabled.
func (s *Service) Disable(id, v string) (api.SecretVersion, error) { return s.turn(id, v, disabled) }

// Destroy erases a version's value for good.
func (s *Service) Destroy(id, v string) (api.SecretVersion, error) { return s.turn(id, v, destroyed) }

func (s *Service) turn(id, v, state string) (api.SecretVersion, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, err := s.findVersion(id, v)
	if err != nil {
		return api.SecretVersion{}, err
	}
	if found.State == destroyed {
		return api.SecretVersion{}, gapi.Errorf(codes.FailedPrecondition, "Secret Version [%s] is in DESTROYED state.", found.Name)
	}
	found.State = state
	if state == destroyed {
		found.payload, found.DestroyTime = nil, s.stamp()
	}
	return found.SecretVersion, nil
}

// Access returns the value of a version, which may be "latest", and the
// version that it is.
func (s *Service) Access(id, v string) ([]byte, api.SecretVersion, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	found, err := s.findVersion(id, v)
	if err != nil {
		return nil, api.SecretVersion{}, err
	}
	if found.State != enabled {
		return nil, api.SecretVersion{}, gapi.Errorf(codes.FailedPrecondition, "Secret Version [%s] is in %s state.", found.Name, found.State)
	}
	return slices.Clone(found.payload), found.SecretVersion, nil
}

// AccessSecret implements cloud.Secrets.
func (s *Service) AccessSecret(ctx context.Context, principal, full string) ([]byte, error) {
	n, err := s.parse(full)
	if err != nil {
		return nil, err
	}
	if n.version == "" {
		return nil, gapi.Errorf(codes.InvalidArgument, "%q is not the name of a secret version", full)
	}
	if err := s.iam.Check(ctx, principal, "secretmanager.versions.access", s.resource(n)); err != nil {
		return nil, err
	}
	payload, _, err := s.Access(n.secret, n.version)
	return payload, err
}

// resource shows a name to IAM: with the project's number, as the API does.
func (s *Service) resource(n name) cloud.Resource {
	switch {
	case n.version != "":
		return cloud.Resource{Service: service, Type: service + "/SecretVersion", Name: s.Name(n.secret) + "/versions/" + n.version}
	case n.secret != "":
		return cloud.Resource{Service: service, Type: service + "/Secret", Name: s.Name(n.secret)}
	}
	return cloud.Resource{Service: "cloudresourcemanager.googleapis.com", Type: "cloudresourcemanager.googleapis.com/Project", Name: "projects/" + s.number}
}

func (s *Service) stamp() string { return s.now().UTC().Format(time.RFC3339Nano) }

func etag(n int) string { return strconv.Quote(strconv.Itoa(n)) }

// checksum is the CRC32C by which clients verify a payload.
func checksum(payload []byte) int64 {
	return int64(crc32.Checksum(payload, crc32.MakeTable(crc32.Castagnoli)))
}

var _ cloud.Secrets = (*Service)(nil)
