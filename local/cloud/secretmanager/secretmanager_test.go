package secretmanager

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	client "cloud.google.com/go/secretmanager/apiv1"
	pb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"github.com/googleapis/gax-go/v2/apierror"
	"golang.org/x/oauth2"
	"google.golang.org/api/iterator"
	"google.golang.org/api/option"
	api "google.golang.org/api/secretmanager/v1"
	"google.golang.org/grpc/codes"

	"ingestion.internal/local/cloud/gapi"
	"ingestion.internal/local/cloud/iam"
	"ingestion.internal/local/cloud/identity"
)

const (
	admin  = "admin@p.iam.gserviceaccount.com"
	reader = "reader@p.iam.gserviceaccount.com"
)

// newService returns a Secret Manager in which admin may do everything and
// reader may read secrets that begin with "key-", and the official client as
// each of the accounts.
func newService(t *testing.T) (*Service, func(email string) *client.Client) {
	t.Helper()
	policy := iam.New("p", "123")
	policy.AddAccount(admin)
	policy.AddAccount(reader)
	for _, g := range []iam.Grant{
		{Service: iam.Project, Resource: "projects/p", Role: "roles/secretmanager.admin", Member: "serviceAccount:" + admin},
		{
			Service: iam.Project, Resource: "projects/p", Role: "roles/secretmanager.secretAccessor", Member: "serviceAccount:" + reader,
			Condition: &iam.Condition{Title: "keys", Expression: `resource.name.extract("/secrets/{id}").startsWith("key-")`},
		},
	} {
		if err := policy.Grant(g); err != nil {
			t.Fatal(err)
		}
	}
	id, err := identity.New(identity.Config{Project: "p", ProjectNumber: "123"})
	if err != nil {
		t.Fatal(err)
	}
	s := New("p", "123", policy, id)
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, func(email string) *client.Client {
		token, _ := id.AccessToken(email)
		c, err := client.NewRESTClient(t.Context(), option.WithEndpoint(server.URL),
			option.WithTokenSource(oauth2.StaticTokenSource(&oauth2.Token{AccessToken: token})))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
}

func TestOfficialClient(t *testing.T) {
	_, as := newService(t)
	c := as(admin)
	ctx := t.Context()
	created, err := c.CreateSecret(ctx, &pb.CreateSecretRequest{
		Parent: "projects/p", SecretId: "key-a",
		Secret: &pb.Secret{Replication: &pb.Replication{Replication: &pb.Replication_Automatic_{Automatic: &pb.Replication_Automatic{}}}},
	})
	if err != nil || created.Name != "projects/123/secrets/key-a" {
		t.Fatalf("CreateSecret = %v, %v", created, err)
	}
	for _, value := range []string{"one", "two"} {
		if _, err := c.AddSecretVersion(ctx, &pb.AddSecretVersionRequest{Parent: "projects/p/secrets/key-a", Payload: &pb.SecretPayload{Data: []byte(value)}}); err != nil {
			t.Fatal(err)
		}
	}
	access := func(v string) (string, error) {
		got, err := as(reader).AccessSecretVersion(ctx, &pb.AccessSecretVersionRequest{Name: "projects/p/secrets/key-a/versions/" + v})
		if err != nil {
			return "", err
		}
		if want := checksum(got.Payload.Data); got.Payload.GetDataCrc32C() != want {
			t.Errorf("checksum = %d, want %d", got.Payload.GetDataCrc32C(), want)
		}
		return string(got.Payload.Data), nil
	}
	for v, want := range map[string]string{"1": "one", "2": "two", "latest": "two"} {
		if got, err := access(v); got != want || err != nil {
			t.Errorf("version %s = %q, %v, want %q", v, got, err, want)
		}
	}
	if _, err := c.DisableSecretVersion(ctx, &pb.DisableSecretVersionRequest{Name: "projects/p/secrets/key-a/versions/2"}); err != nil {
		t.Fatal(err)
	}
	if got, err := access("latest"); got != "one" || err != nil {
		t.Errorf("latest after disabling 2 = %q, %v, want one", got, err)
	}
	if _, err := access("2"); err == nil || !strings.Contains(err.Error(), "is in DISABLED state") {
		t.Errorf("reading a disabled version: %v", err)
	}
	if _, err := c.EnableSecretVersion(ctx, &pb.EnableSecretVersionRequest{Name: "projects/p/secrets/key-a/versions/2"}); err != nil {
		t.Fatal(err)
	}
	if got, err := access("latest"); got != "two" || err != nil {
		t.Errorf("latest after enabling 2 = %q, %v, want two", got, err)
	}
	destroyed, err := c.DestroySecretVersion(ctx, &pb.DestroySecretVersionRequest{Name: "projects/p/secrets/key-a/versions/2"})
	if err != nil || destroyed.State != pb.SecretVersion_DESTROYED {
		t.Errorf("DestroySecretVersion = %v, %v", destroyed, err)
	}
	if _, err := c.EnableSecretVersion(ctx, &pb.EnableSecretVersionRequest{Name: "projects/p/secrets/key-a/versions/2"}); err == nil || !strings.Contains(err.Error(), "is in DESTROYED state") {
		t.Errorf("enabling a destroyed version: %v", err)
	}
	var names []string
	for it := c.ListSecrets(ctx, &pb.ListSecretsRequest{Parent: "projects/p"}); ; {
		s, err := it.Next()
		if errors.Is(err, iterator.Done) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, s.Name)
	}
	if len(names) != 1 || names[0] != "projects/123/secrets/key-a" {
		t.Errorf("ListSecrets = %q", names)
	}
	if err := c.DeleteSecret(ctx, &pb.DeleteSecretRequest{Name: "projects/p/secrets/key-a"}); err != nil {
		t.Fatal(err)
	}
	if _, err := access("1"); status(err) != codes.NotFound {
		t.Errorf("reading a deleted secret: %v", err)
	}
}

func status(err error) codes.Code {
	if e, ok := apierror.FromError(err); ok {
		return e.GRPCStatus().Code()
	}
	return gapi.Code(err)
}

func TestIAMIsObeyed(t *testing.T) {
	s, as := newService(t)
	for _, id := range []string{"key-a", "other"} {
		if _, err := s.Create(id, api.Secret{Replication: &api.Replication{Automatic: &api.Automatic{}}}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.AddVersion(id, []byte("value")); err != nil {
			t.Fatal(err)
		}
	}
	_, err := as(reader).AccessSecretVersion(t.Context(), &pb.AccessSecretVersionRequest{Name: "projects/p/secrets/other/versions/latest"})
	if err == nil || !strings.Contains(err.Error(), "roles/secretmanager.secretAccessor") || !strings.Contains(err.Error(), "serviceAccount:"+reader) {
		t.Errorf("reading without a grant: %v, want the missing role and whose it is", err)
	}
	if _, err := s.AccessSecret(t.Context(), "serviceAccount:"+reader, "projects/p/secrets/key-a/versions/latest"); err != nil {
		t.Errorf("AccessSecret with a grant: %v", err)
	}
	if _, err := s.AccessSecret(t.Context(), "serviceAccount:"+reader, "projects/p/secrets/other/versions/latest"); gapi.Code(err) != codes.PermissionDenied {
		t.Errorf("AccessSecret without a grant: %v", err)
	}
	r := httptest.NewRequest("GET", "/v1/projects/p/secrets/key-a/versions/1:access", nil)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if w.Code != 401 {
		t.Errorf("status without credentials = %d, want 401", w.Code)
	}
}

func TestRefused(t *testing.T) {
	s, _ := newService(t)
	auto := api.Secret{Replication: &api.Replication{Automatic: &api.Automatic{}}}
	if _, err := s.Create("a", auto); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		do   func() error
		want codes.Code
	}{
		{"exists", func() error { _, err := s.Create("a", auto); return err }, codes.AlreadyExists},
		{"bad id", func() error { _, err := s.Create("a.b", auto); return err }, codes.InvalidArgument},
		{"no replication", func() error { _, err := s.Create("b", api.Secret{}); return err }, codes.InvalidArgument},
		{"empty value", func() error { _, err := s.AddVersion("a", nil); return err }, codes.InvalidArgument},
		{"value too large", func() error { _, err := s.AddVersion("a", make([]byte, maxPayload+1)); return err }, codes.InvalidArgument},
		{"no such secret", func() error { _, err := s.AddVersion("b", []byte("x")); return err }, codes.NotFound},
		{"no version yet", func() error { _, _, err := s.Access("a", "latest"); return err }, codes.NotFound},
		{"another project", func() error {
			_, err := s.AccessSecret(t.Context(), "x", "projects/q/secrets/a/versions/1")
			return err
		}, codes.NotFound},
		{"no version's name", func() error {
			_, err := s.AccessSecret(t.Context(), "x", "projects/p/secrets/a")
			return err
		}, codes.InvalidArgument},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := test.do(); gapi.Code(err) != test.want {
				t.Errorf("%v, want %v", err, test.want)
			}
		})
	}
}
