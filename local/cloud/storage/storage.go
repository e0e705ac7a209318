// Package storage is the local Cloud Storage: buckets and objects, kept in
// memory, behind the JSON API, its uploads and downloads. It keeps every
// setting of a bucket and obeys those that decide what a caller may do: IAM,
// retention and locks. The objects themselves are in fake-gcs-server, used as a
// library.
package storage

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fsouza/fake-gcs-server/fakestorage"
	api "google.golang.org/api/storage/v1"
	"google.golang.org/grpc/codes"

	"ingestion.internal/local/cloud"
	"ingestion.internal/local/cloud/gapi"
)

const service = "storage.googleapis.com"

// Limits of bucket settings, in seconds.
// https://cloud.google.com/storage/quotas#buckets
const (
	maxRetention      = 3_155_760_000 // 100 years
	minSoftDelete     = 7 * 24 * 3600
	maxSoftDelete     = 90 * 24 * 3600
	defaultSoftDelete = minSoftDelete
)

// Config says in which project and where the service is.
type Config struct {
	Project       string
	ProjectNumber string
	URL           string // under which callers reach it, for example http://127.0.0.1:4443
	IAM           cloud.IAM
	Identity      cloud.Identity
}

// Service is the Cloud Storage of one project. It is safe for concurrent use.
type Service struct {
	config Config
	number uint64
	now    func() time.Time
	fake   *fakestorage.Server
	inner  http.Handler // of fake: JSON API without authentication

	mu      sync.RWMutex
	buckets map[string]*api.Bucket
}

// New returns a Cloud Storage without buckets.
func New(config Config) (*Service, error) {
	config.URL = strings.TrimSuffix(config.URL, "/")
	number, err := strconv.ParseUint(config.ProjectNumber, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("project number: %w", err)
	}
	fake, err := fakestorage.NewServerWithOptions(fakestorage.Options{
		NoListener: true, ExternalURL: config.URL,
		// Only paths of the JSON API reach it, never a bucket's own host.
		PublicHost: "storage.invalid",
	})
	if err != nil {
		return nil, fmt.Errorf("starting the object store: %w", err)
	}
	return &Service{
		config: config, number: number, now: time.Now, fake: fake, inner: fake.HTTPHandler(), buckets: map[string]*api.Bucket{},
	}, nil
}

var (
	bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]$`)
	ipAddress  = regexp.MustCompile(`^\d+\.\d+\.\d+\.\d+$`)
)

// ValidateName tells whether the API accepts a bucket's name.
// https://cloud.google.com/storage/docs/buckets#naming
func ValidateName(name string) error {
	switch {
	case !bucketName.MatchString(name):
		return fmt.Errorf("bucket name %q is not 3 to 63 lower-case letters, digits, hyphens, underscores and dots, beginning and ending with a letter or digit", name)
	case strings.HasPrefix(name, "goog") || strings.Contains(name, "google"):
		return fmt.Errorf("bucket name %q must not begin with goog or contain google", name)
	case ipAddress.MatchString(name):
		return fmt.Errorf("bucket name %q is an IP address", name)
	}
	return nil
}

// Validate finds every setting of a bucket that the API refuses.
func Validate(b *api.Bucket) error {
	var errs []error
	if b.Name != "" {
		errs = append(errs, ValidateName(b.Name))
	}
	if p := b.RetentionPolicy; p != nil && (p.RetentionPeriod < 1 || p.RetentionPeriod > maxRetention) {
		errs = append(errs, fmt.Errorf("retentionPolicy.retentionPeriod %d is not 1 to %d seconds", p.RetentionPeriod, maxRetention))
	}
	if p := b.SoftDeletePolicy; p != nil && p.RetentionDurationSeconds != 0 &&
		(p.RetentionDurationSeconds < minSoftDelete || p.RetentionDurationSeconds > maxSoftDelete) {
		errs = append(errs, fmt.Errorf("softDeletePolicy.retentionDurationSeconds %d is neither 0 nor %d to %d seconds", p.RetentionDurationSeconds, minSoftDelete, maxSoftDelete))
	}
	if !slices.Contains([]string{"", "STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE", "MULTI_REGIONAL", "REGIONAL", "DURABLE_REDUCED_AVAILABILITY"}, b.StorageClass) {
		errs = append(errs, fmt.Errorf("storageClass %q does not exist", b.StorageClass))
	}
	if c := b.IamConfiguration; c != nil && !slices.Contains([]string{"", "inherited", "enforced", "unspecified"}, c.PublicAccessPrevention) {
		errs = append(errs, fmt.Errorf("publicAccessPrevention %q is neither inherited nor enforced", c.PublicAccessPrevention))
	}
	if b.Lifecycle != nil {
		for i, rule := range b.Lifecycle.Rule {
			if rule.Action == nil || !slices.Contains([]string{"Delete", "SetStorageClass", "AbortIncompleteMultipartUpload"}, rule.Action.Type) {
				errs = append(errs, fmt.Errorf("lifecycleRules[%d].action.type is not Delete, SetStorageClass or AbortIncompleteMultipartUpload", i))
			} else if (rule.Action.Type == "SetStorageClass") != (rule.Action.StorageClass != "") {
				errs = append(errs, fmt.Errorf("lifecycleRules[%d].action.storageClass belongs to SetStorageClass, and only to that", i))
			}
		}
	}
	return errors.Join(errs...)
}

// InsertBucket makes a bucket.
func (s *Service) InsertBucket(want *api.Bucket) (*api.Bucket, error) {
	if err := errors.Join(ValidateName(want.Name), Validate(want)); err != nil {
		return nil, gapi.Errorf(codes.InvalidArgument, "%v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.buckets[want.Name] != nil {
		return nil, gapi.Errorf(codes.AlreadyExists, "Your previous request to create the named bucket succeeded and you already own it.")
	}
	b := *want
	stamp := s.now().UTC().Format(time.RFC3339Nano)
	b.Kind, b.Id, b.ProjectNumber, b.TimeCreated, b.Updated, b.Metageneration = "storage#bucket", b.Name, s.number, stamp, stamp, 1
	b.SelfLink = s.config.URL + "/storage/v1/b/" + b.Name
	b.Location = strings.ToUpper(b.Location)
	if b.Location == "" {
		b.Location = "US"
	}
	if b.StorageClass == "" {
		b.StorageClass = "STANDARD"
	}
	if b.SoftDeletePolicy == nil {
		b.SoftDeletePolicy = &api.BucketSoftDeletePolicy{RetentionDurationSeconds: defaultSoftDelete, EffectiveTime: stamp}
	}
	if p := b.RetentionPolicy; p != nil {
		b.RetentionPolicy = &api.BucketRetentionPolicy{RetentionPeriod: p.RetentionPeriod, IsLocked: p.IsLocked, EffectiveTime: stamp}
	}
	s.fake.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: b.Name, VersioningEnabled: versioned(&b)})
	s.buckets[b.Name] = &b
	return &b, nil
}

func versioned(b *api.Bucket) bool { return b.Versioning != nil && b.Versioning.Enabled }

// UpdateBucket replaces the settings of a bucket, except those that are fixed
// when it is made. A locked retention period can only grow.
func (s *Service) UpdateBucket(want *api.Bucket) (*api.Bucket, error) {
	if err := Validate(want); err != nil {
		return nil, gapi.Errorf(codes.InvalidArgument, "%v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.buckets[want.Name]
	if old == nil {
		return nil, notFound(want.Name)
	}
	if p, q := old.RetentionPolicy, want.RetentionPolicy; p != nil && p.IsLocked &&
		(q == nil || !q.IsLocked || q.RetentionPeriod < p.RetentionPeriod) {
		return nil, gapi.Errorf(codes.PermissionDenied, "Cannot reduce retention duration of a locked Retention Policy for bucket '%s'.", want.Name)
	}
	b := *want
	b.Kind, b.Id, b.ProjectNumber, b.TimeCreated, b.SelfLink, b.Location = old.Kind, old.Id, old.ProjectNumber, old.TimeCreated, old.SelfLink, old.Location
	b.Updated, b.Metageneration = s.now().UTC().Format(time.RFC3339Nano), old.Metageneration+1
	if versioned(&b) != versioned(old) {
		patch := fmt.Sprintf(`{"versioning":{"enabled":%t}}`, versioned(&b))
		if err := s.inside(http.MethodPatch, "/storage/v1/b/"+b.Name, patch); err != nil {
			return nil, err
		}
	}
	s.buckets[b.Name] = &b
	return &b, nil
}

// Bucket returns a bucket.
func (s *Service) Bucket(name string) (*api.Bucket, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if b := s.buckets[name]; b != nil {
		c := *b
		return &c, nil
	}
	return nil, notFound(name)
}

func notFound(bucket string) error {
	return gapi.Errorf(codes.NotFound, "The specified bucket %s does not exist.", bucket)
}

// DeleteBucket removes a bucket. One with objects is refused, unless force
// says to delete them first, which retention may forbid.
func (s *Service) DeleteBucket(name string, force bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.buckets[name]
	if b == nil {
		return notFound(name)
	}
	page, err := s.fake.ListObjectsWithOptionsPaginated(name, fakestorage.ListOptions{Versions: true})
	if err != nil {
		return fmt.Errorf("listing the objects of %s: %w", name, err)
	}
	objects := page.Objects
	if len(objects) > 0 && !force {
		return gapi.Errorf(codes.Aborted, "The bucket %s you tried to delete is not empty: it has %d objects.", name, len(objects))
	}
	for _, o := range objects {
		if err := s.retained(b, o); err != nil {
			return err
		}
	}
	for _, o := range objects {
		target := "/storage/v1/b/" + name + "/o/" + url.PathEscape(o.Name) + "?generation=" + strconv.FormatInt(o.Generation, 10)
		if err := s.inside(http.MethodDelete, target, ""); err != nil {
			return err
		}
	}
	if err := s.inside(http.MethodDelete, "/storage/v1/b/"+name, ""); err != nil {
		return err
	}
	delete(s.buckets, name)
	return nil
}

// retained returns an error if the bucket's retention policy still holds an
// object.
func (s *Service) retained(b *api.Bucket, o fakestorage.ObjectAttrs) error {
	if b.RetentionPolicy == nil {
		return nil
	}
	until := o.Created.Add(time.Duration(b.RetentionPolicy.RetentionPeriod) * time.Second)
	if s.now().Before(until) {
		return gapi.Errorf(codes.PermissionDenied, "Object '%s/%s' is subject to bucket's retention policy and cannot be deleted or overwritten until %s",
			b.Name, o.Name, until.UTC().Format(time.RFC3339))
	}
	return nil
}

// mayReplace returns an error if an object exists that may not be deleted or
// overwritten, and whether there is one.
func (s *Service) mayReplace(bucket, name string) (exists bool, err error) {
	b, err := s.Bucket(bucket)
	if err != nil {
		return false, err
	}
	o, err := s.fake.GetObjectStreaming(bucket, name)
	if err != nil {
		return false, nil // there is none
	}
	defer o.Close()
	return true, s.retained(b, o.ObjectAttrs)
}

// Object describes an object to write.
type Object struct {
	Bucket, Name, ContentType, CacheControl string
	Metadata                                map[string]string
	Content                                 []byte
}

// InsertObject writes an object and returns its resource.
func (s *Service) InsertObject(o Object) (fakestorage.ObjectAttrs, error) {
	if o.Name == "" || len(o.Name) > 1024 || strings.ContainsAny(o.Name, "\r\n") || o.Name == "." || o.Name == ".." {
		return fakestorage.ObjectAttrs{}, gapi.Errorf(codes.InvalidArgument, "object name %q is not 1 to 1024 bytes without line breaks", o.Name)
	}
	if _, err := s.mayReplace(o.Bucket, o.Name); err != nil {
		return fakestorage.ObjectAttrs{}, err
	}
	err := s.fake.CreateObjectStreaming(fakestorage.Object{
		ObjectAttrs: fakestorage.ObjectAttrs{
			BucketName: o.Bucket, Name: o.Name, ContentType: o.ContentType, CacheControl: o.CacheControl, Metadata: o.Metadata,
		},
		Content: o.Content,
	}.StreamingObject())
	if err != nil {
		return fakestorage.ObjectAttrs{}, fmt.Errorf("writing gs://%s/%s: %w", o.Bucket, o.Name, err)
	}
	attrs, _, err := s.Object(o.Bucket, o.Name)
	return attrs, err
}

// Object returns an object and its content.
func (s *Service) Object(bucket, name string) (fakestorage.ObjectAttrs, []byte, error) {
	o, err := s.fake.GetObject(bucket, name)
	if err != nil {
		return fakestorage.ObjectAttrs{}, nil, gapi.Errorf(codes.NotFound, "No such object: %s/%s", bucket, name)
	}
	return o.ObjectAttrs, o.Content, nil
}

// DeleteObject removes an object, unless it is retained.
func (s *Service) DeleteObject(bucket, name string) error {
	exists, err := s.mayReplace(bucket, name)
	if err != nil {
		return err
	}
	if !exists {
		return gapi.Errorf(codes.NotFound, "No such object: %s/%s", bucket, name)
	}
	return s.inside(http.MethodDelete, "/storage/v1/b/"+bucket+"/o/"+url.PathEscape(name), "")
}

// inside calls the object store without a listener.
func (s *Service) inside(method, target, body string) error {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	w := httptest.NewRecorder()
	s.inner.ServeHTTP(w, r)
	if w.Code >= 300 {
		answer, _ := io.ReadAll(w.Body)
		return fmt.Errorf("object store: %s %s: status %d: %s", method, target, w.Code, answer)
	}
	return nil
}
