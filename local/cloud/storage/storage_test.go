package storage

import (
	"bytes"
	"errors"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	client "cloud.google.com/go/storage"
	"golang.org/x/oauth2"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/iterator"
	"google.golang.org/api/option"
	api "google.golang.org/api/storage/v1"
	"google.golang.org/grpc/codes"

	"ingestion.internal/local/cloud/gapi"
	"ingestion.internal/local/cloud/iam"
	"ingestion.internal/local/cloud/identity"
)

const (
	creator = "creator@p.iam.gserviceaccount.com"
	viewer  = "viewer@p.iam.gserviceaccount.com"
	user    = "user@p.iam.gserviceaccount.com"
)

// newService returns a Cloud Storage with the bucket "audio", on which the
// accounts have the roles of their names, and the official client as each.
func newService(t *testing.T) (*Service, func(email string) *client.Client) {
	t.Helper()
	policy := iam.New("p", "123")
	for email, role := range map[string]string{
		creator: "roles/storage.objectCreator", viewer: "roles/storage.objectViewer", user: "roles/storage.objectUser",
	} {
		policy.AddAccount(email)
		if err := policy.Grant(iam.Grant{Service: service, Resource: "projects/_/buckets/audio", Role: role, Member: "serviceAccount:" + email}); err != nil {
			t.Fatal(err)
		}
	}
	id, err := identity.New(identity.Config{Project: "p", ProjectNumber: "123"})
	if err != nil {
		t.Fatal(err)
	}
	var s *Service
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	s, err = New(Config{Project: "p", ProjectNumber: "123", URL: server.URL, IAM: policy, Identity: id})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.InsertBucket(&api.Bucket{Name: "audio", Location: "us-central1"}); err != nil {
		t.Fatal(err)
	}
	return s, func(email string) *client.Client {
		token, _ := id.AccessToken(email)
		c, err := client.NewClient(t.Context(), option.WithEndpoint(server.URL+"/storage/v1/"),
			option.WithTokenSource(oauth2.StaticTokenSource(&oauth2.Token{AccessToken: token})))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
}

// write uploads with the official client, in chunks of chunk bytes (0: in one
// request).
func write(t *testing.T, c *client.Client, name string, content []byte, chunk int) error {
	t.Helper()
	w := c.Bucket("audio").Object(name).Retryer(client.WithPolicy(client.RetryNever)).NewWriter(t.Context())
	w.ChunkSize = chunk
	w.ContentType = "audio/mpeg"
	w.Metadata = map[string]string{"call": "1"}
	w.CRC32C, w.SendCRC32C = crc32.Checksum(content, crc32.MakeTable(crc32.Castagnoli)), true
	_, err := io.Copy(w, bytes.NewReader(content))
	return errors.Join(err, w.Close())
}

func read(t *testing.T, c *client.Client, name string) ([]byte, error) {
	t.Helper()
	r, err := c.Bucket("audio").Object(name).NewReader(t.Context())
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func denied(err error) bool {
	e, ok := errors.AsType[*googleapi.Error](err)
	return ok && e.Code == http.StatusForbidden
}

func TestOfficialClient(t *testing.T) {
	_, as := newService(t)
	content := bytes.Repeat([]byte("0123456789abcdef"), 50_000) // 800 kB: several chunks
	for _, test := range []struct {
		name, object string
		content      []byte
		chunk        int
	}{
		{"one request", "acme/call 1.mp3", content, 0},
		{"resumable, many chunks", "acme/call-2.mp3", content, 256 << 10},
		{"resumable, one chunk", "acme/ü%2F?.mp3", content[:10], 256 << 10},
		{"empty", "acme/empty", nil, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := write(t, as(creator), test.object, test.content, test.chunk); err != nil {
				t.Fatal(err)
			}
			got, err := read(t, as(viewer), test.object)
			if err != nil || !bytes.Equal(got, test.content) {
				t.Errorf("read %d bytes, %v, want the %d that were written", len(got), err, len(test.content))
			}
			attrs, err := as(viewer).Bucket("audio").Object(test.object).Attrs(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if attrs.ContentType != "audio/mpeg" || attrs.Metadata["call"] != "1" || attrs.Size != int64(len(test.content)) {
				t.Errorf("attributes = %q %q %d", attrs.ContentType, attrs.Metadata, attrs.Size)
			}
		})
	}
	var names []string
	for it := as(viewer).Bucket("audio").Objects(t.Context(), &client.Query{Prefix: "acme/call"}); ; {
		o, err := it.Next()
		if errors.Is(err, iterator.Done) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, o.Name)
	}
	if len(names) != 2 {
		t.Errorf("objects under acme/call = %q, want 2", names)
	}
	if _, err := read(t, as(viewer), "none"); !errors.Is(err, client.ErrObjectNotExist) {
		t.Errorf("reading what is not there: %v", err)
	}
}

func TestChecksumIsVerified(t *testing.T) {
	_, as := newService(t)
	w := as(creator).Bucket("audio").Object("x").Retryer(client.WithPolicy(client.RetryNever)).NewWriter(t.Context())
	w.ChunkSize = 0
	w.CRC32C, w.SendCRC32C = 1, true
	_, err := w.Write([]byte("content"))
	if err := errors.Join(err, w.Close()); err == nil {
		t.Error("an upload with a wrong checksum succeeded")
	}
	if _, err := read(t, as(viewer), "x"); !errors.Is(err, client.ErrObjectNotExist) {
		t.Errorf("after a refused upload: %v, want no object", err)
	}
}

func TestIAMIsObeyed(t *testing.T) {
	_, as := newService(t)
	for _, chunk := range []int{0, 256 << 10} {
		if err := write(t, as(viewer), "x", []byte("content"), chunk); !denied(err) || !strings.Contains(err.Error(), "storage.objects.create") {
			t.Errorf("a viewer's upload in chunks of %d: %v", chunk, err)
		}
	}
	if err := write(t, as(creator), "x", []byte("content"), 0); err != nil {
		t.Fatal(err)
	}
	if err := write(t, as(creator), "x", []byte("other"), 0); !denied(err) || !strings.Contains(err.Error(), "storage.objects.delete") {
		t.Errorf("a creator's overwrite: %v, want that it lacks delete", err)
	}
	if _, err := read(t, as(creator), "x"); err == nil {
		t.Error("a creator could read")
	}
	if err := as(viewer).Bucket("audio").Object("x").Delete(t.Context()); !denied(err) {
		t.Errorf("a viewer's delete: %v", err)
	}
	if err := write(t, as(user), "x", []byte("other"), 0); err != nil {
		t.Errorf("a user's overwrite: %v", err)
	}
	if err := as(user).Bucket("audio").Object("x").Delete(t.Context()); err != nil {
		t.Errorf("a user's delete: %v", err)
	}
	if _, err := as(viewer).Bucket("audio").Attrs(t.Context()); !denied(err) || !strings.Contains(err.Error(), "storage.buckets.get") {
		t.Errorf("a viewer's reading of the bucket: %v", err)
	}
}

func TestRetention(t *testing.T) {
	s, as := newService(t)
	if _, err := s.UpdateBucket(&api.Bucket{Name: "audio", RetentionPolicy: &api.BucketRetentionPolicy{RetentionPeriod: 3600, IsLocked: true}}); err != nil {
		t.Fatal(err)
	}
	if err := write(t, as(user), "x", []byte("content"), 0); err != nil {
		t.Fatal(err)
	}
	for _, chunk := range []int{0, 256 << 10} {
		if err := write(t, as(user), "x", []byte("other"), chunk); !denied(err) || !strings.Contains(err.Error(), "retention policy") {
			t.Errorf("overwrite in chunks of %d: %v, want that it is retained", chunk, err)
		}
	}
	if err := as(user).Bucket("audio").Object("x").Delete(t.Context()); !denied(err) {
		t.Errorf("delete: %v, want that it is retained", err)
	}
	if err := s.DeleteBucket("audio", true); gapi.Code(err) != codes.PermissionDenied {
		t.Errorf("deleting the bucket: %v, want that an object is retained", err)
	}
	if _, err := s.UpdateBucket(&api.Bucket{Name: "audio", RetentionPolicy: &api.BucketRetentionPolicy{RetentionPeriod: 60, IsLocked: true}}); gapi.Code(err) != codes.PermissionDenied {
		t.Errorf("shortening a locked retention: %v", err)
	}
	s.now = func() time.Time { return time.Now().Add(2 * time.Hour) }
	if err := as(user).Bucket("audio").Object("x").Delete(t.Context()); err != nil {
		t.Errorf("delete after the retention period: %v", err)
	}
}

func TestBuckets(t *testing.T) {
	s, _ := newService(t)
	if _, err := s.InsertObject(Object{Bucket: "audio", Name: "a/b", Content: []byte("x"), ContentType: "text/plain"}); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		do   func() error
		want codes.Code
	}{
		{"exists", func() error { _, err := s.InsertBucket(&api.Bucket{Name: "audio"}); return err }, codes.AlreadyExists},
		{"bad name", func() error { _, err := s.InsertBucket(&api.Bucket{Name: "Audio"}); return err }, codes.InvalidArgument},
		{"google's name", func() error { _, err := s.InsertBucket(&api.Bucket{Name: "my-google-bucket"}); return err }, codes.InvalidArgument},
		{"bad retention", func() error {
			_, err := s.InsertBucket(&api.Bucket{Name: "b-1", RetentionPolicy: &api.BucketRetentionPolicy{RetentionPeriod: maxRetention + 1}})
			return err
		}, codes.InvalidArgument},
		{"bad soft delete", func() error {
			_, err := s.InsertBucket(&api.Bucket{Name: "b-1", SoftDeletePolicy: &api.BucketSoftDeletePolicy{RetentionDurationSeconds: 60}})
			return err
		}, codes.InvalidArgument},
		{"not empty", func() error { return s.DeleteBucket("audio", false) }, codes.Aborted},
		{"no bucket", func() error { return s.DeleteBucket("none", false) }, codes.NotFound},
		{"no object", func() error { return s.DeleteObject("audio", "none") }, codes.NotFound},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := test.do(); gapi.Code(err) != test.want {
				t.Errorf("%v, want %v", err, test.want)
			}
		})
	}
	if err := s.DeleteBucket("audio", true); err != nil {
		t.Errorf("deleting with force: %v", err)
	}
	if _, err := s.Bucket("audio"); gapi.Code(err) != codes.NotFound {
		t.Errorf("after deleting: %v", err)
	}
}

func TestUnknownPaths(t *testing.T) {
	s, _ := newService(t)
	token, _ := s.config.Identity.AccessToken(user)
	for _, test := range []struct {
		method, path, token string
		want                int
	}{
		{"GET", "/storage/v1/b/audio/o", "", 401},
		{"PUT", "/_internal/config", token, 501},
		{"POST", "/batch/storage/v1", token, 501},
		{"POST", "/storage/v1/b/audio/o/x/compose", token, 501},
		{"POST", "/upload/storage/v1/b/audio/o?uploadType=other&name=x", token, 400},
		{"POST", "/upload/storage/v1/b/audio/o?uploadType=media", token, 400},
		{"PUT", "/audio/x", token, 501},
	} {
		r := httptest.NewRequest(test.method, test.path, nil)
		if test.token != "" {
			r.Header.Set("Authorization", "Bearer "+test.token)
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != test.want {
			t.Errorf("%s %s: status %d, want %d: %s", test.method, test.path, w.Code, test.want, w.Body)
		}
	}
}
