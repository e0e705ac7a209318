package identity

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/auth/credentials"
	"cloud.google.com/go/auth/credentials/idtoken"
	"cloud.google.com/go/compute/metadata"
)

const email = "svc@p.iam.gserviceaccount.com"

func newIdentity(t *testing.T) *Identity {
	t.Helper()
	i, err := New(Config{Project: "p", ProjectNumber: "123", Region: "us-central1"})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func bearer(token string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

func TestAccessToken(t *testing.T) {
	i := newIdentity(t)
	now := time.Now()
	i.now = func() time.Time { return now }
	token, life := i.AccessToken(email)
	if life != time.Hour {
		t.Errorf("life = %s, want 1h", life)
	}
	if who, err := i.Caller(bearer(token)); who != "serviceAccount:"+email || err != nil {
		t.Errorf("Caller = %q, %v", who, err)
	}
	if again, _ := i.AccessToken(email); again != token {
		t.Error("a token with life left was not handed out again")
	}
	now = now.Add(56 * time.Minute)
	fresh, _ := i.AccessToken(email)
	if fresh == token {
		t.Error("a token about to expire was handed out again")
	}
	if _, err := i.Caller(bearer(token)); err != nil {
		t.Errorf("the older token is still good: %v", err)
	}
	now = now.Add(4 * time.Minute)
	if _, err := i.Caller(bearer(token)); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("Caller with an expired token: %v", err)
	}
	if _, err := i.Caller(bearer("made-up")); err == nil {
		t.Error("Caller accepted a made-up token")
	}
	if _, err := i.Caller(httptest.NewRequest(http.MethodGet, "/", nil)); err == nil {
		t.Error("Caller accepted a request without credentials")
	}
}

func TestIDToken(t *testing.T) {
	i := newIdentity(t)
	now := time.Now()
	i.now = func() time.Time { return now }
	token, err := i.IDToken(email, "https://svc")
	if err != nil {
		t.Fatal(err)
	}
	if who, err := i.VerifyIDToken(token, "https://other", "https://svc"); who != "serviceAccount:"+email || err != nil {
		t.Errorf("VerifyIDToken = %q, %v", who, err)
	}
	tests := []struct {
		name, token string
		audiences   []string
		after       time.Duration
		want        string
	}{
		{"another audience", token, []string{"https://other"}, 0, "is for"},
		{"no audience asked", token, nil, 0, "is for"},
		{"expired", token, []string{"https://svc"}, 2 * time.Hour, "not valid"},
		{"changed", token[:len(token)-6] + "AAAAAA", []string{"https://svc"}, 0, "not one of"},
		{"not a token", "x.y", []string{"https://svc"}, 0, "malformed"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			i.now = func() time.Time { return now.Add(test.after) }
			if _, err := i.VerifyIDToken(test.token, test.audiences...); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("VerifyIDToken = %v, want %q", err, test.want)
			}
		})
	}
	other, err := newIdentity(t).IDToken(email, "https://svc")
	if err != nil {
		t.Fatal(err)
	}
	i.now = time.Now
	if _, err := i.VerifyIDToken(other, "https://svc"); err == nil {
		t.Error("VerifyIDToken accepted the token of another cloud")
	}
}

// TestMetadataServer uses the official libraries, as the handlers do.
func TestMetadataServer(t *testing.T) {
	i := newIdentity(t)
	server := httptest.NewServer(i.MetadataServer(email, "p"))
	defer server.Close()
	// The library remembers for the life of the process what it finds.
	t.Setenv("GCE_METADATA_HOST", strings.TrimPrefix(server.URL, "http://"))
	t.Setenv("HOME", t.TempDir())
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "")

	if !metadata.OnGCEWithContext(t.Context()) {
		t.Fatal("the library sees no metadata server")
	}
	for _, test := range []struct {
		name string
		get  func() (string, error)
		want string
	}{
		{"project", func() (string, error) { return metadata.ProjectIDWithContext(t.Context()) }, "p"},
		{"number", func() (string, error) { return metadata.NumericProjectIDWithContext(t.Context()) }, "123"},
		{"email", func() (string, error) { return metadata.EmailWithContext(t.Context(), "default") }, email},
		{"zone", func() (string, error) { return metadata.ZoneWithContext(t.Context()) }, "us-central1-1"},
	} {
		if got, err := test.get(); got != test.want || err != nil {
			t.Errorf("%s = %q, %v, want %q", test.name, got, err, test.want)
		}
	}

	creds, err := credentials.DetectDefault(&credentials.DetectOptions{Scopes: []string{scopes}})
	if err != nil {
		t.Fatal(err)
	}
	token, err := creds.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if who, err := i.Caller(bearer(token.Value)); who != "serviceAccount:"+email || err != nil {
		t.Errorf("Caller of the ADC token = %q, %v", who, err)
	}
	if project, err := creds.ProjectID(t.Context()); project != "p" || err != nil {
		t.Errorf("project of the credentials = %q, %v", project, err)
	}
	if domain, err := creds.UniverseDomain(t.Context()); domain != "googleapis.com" || err != nil {
		t.Errorf("universe domain = %q, %v", domain, err)
	}

	ids, err := idtoken.NewCredentials(&idtoken.Options{Audience: "https://svc"})
	if err != nil {
		t.Fatal(err)
	}
	id, err := ids.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if who, err := i.VerifyIDToken(id.Value, "https://svc"); who != "serviceAccount:"+email || err != nil {
		t.Errorf("VerifyIDToken of the metadata server's token = %q, %v", who, err)
	}
}

func TestMetadataServerRefuses(t *testing.T) {
	h := newIdentity(t).MetadataServer(email, "p")
	for _, test := range []struct {
		name, path string
		header     http.Header
		want       int
	}{
		{"no flavour", "/computeMetadata/v1/project/project-id", nil, http.StatusForbidden},
		{"forwarded", "/computeMetadata/v1/project/project-id", http.Header{"Metadata-Flavor": {"Google"}, "X-Forwarded-For": {"1.2.3.4"}}, http.StatusForbidden},
		{"another account", "/computeMetadata/v1/instance/service-accounts/other@p/token", http.Header{"Metadata-Flavor": {"Google"}}, http.StatusNotFound},
		{"no audience", "/computeMetadata/v1/instance/service-accounts/default/identity", http.Header{"Metadata-Flavor": {"Google"}}, http.StatusBadRequest},
		{"unknown path", "/computeMetadata/v1/instance/attributes/x", http.Header{"Metadata-Flavor": {"Google"}}, http.StatusNotFound},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, test.path, nil)
			for k, v := range test.header {
				r.Header[k] = v
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != test.want || w.Header().Get("Metadata-Flavor") != "Google" {
				t.Errorf("status %d, flavour %q, want %d from Google", w.Code, w.Header().Get("Metadata-Flavor"), test.want)
			}
		})
	}
}
