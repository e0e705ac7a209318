package apigateway_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	api "google.golang.org/api/apigateway/v1"

	"ingestion.internal/local/cloud/apigateway"
)

// identity issues readable tokens.
type identity struct{}

func (identity) AccessToken(string) (string, time.Duration)      { return "", 0 }
func (identity) Caller(*http.Request) (string, error)            { return "", errors.ErrUnsupported }
func (identity) VerifyIDToken(string, ...string) (string, error) { return "", errors.ErrUnsupported }
func (identity) IDToken(account, audience string) (string, error) {
	return account + " for " + audience, nil
}

const (
	parent  = "projects/p/locations/global/apis/edge"
	account = "gateway@p.iam.gserviceaccount.com"
)

// document has one route of each kind, with %s for the backend's address.
const document = `
swagger: "2.0"
info: {title: t, version: "1"}
paths:
  /api/v1/things:
    post:
      operationId: post
      x-google-backend: {address: "%[1]s", path_translation: APPEND_PATH_TO_ADDRESS, jwt_audience: aud}
      responses: {"200": {description: ok}}
  /healthz:
    get:
      operationId: health
      x-google-backend: {address: "%[1]s/health", disable_auth: true}
      responses: {"200": {description: ok}}
  /items/{id}:
    get:
      operationId: item
      x-google-backend: {address: "%[1]s/item", deadline: 0.05}
      responses: {"200": {description: ok}}
`

func config(name, doc string) *api.ApigatewayApiConfig {
	return &api.ApigatewayApiConfig{
		Name: parent + "/configs/" + name, GatewayServiceAccount: account,
		OpenapiDocuments: []*api.ApigatewayApiConfigOpenApiDocument{{Document: &api.ApigatewayApiConfigFile{
			Path: "openapi.yaml", Contents: base64.StdEncoding.EncodeToString([]byte(doc)),
		}}},
	}
}

// start deploys document over backend and returns the gateway's base URL.
func start(t *testing.T, backend http.Handler) (*apigateway.Service, *api.ApigatewayGateway, string) {
	t.Helper()
	b := httptest.NewServer(backend)
	t.Cleanup(b.Close)
	s := apigateway.New(apigateway.Options{Identity: identity{}})
	t.Cleanup(func() { _ = s.Close() })
	if _, err := s.CreateAPI(&api.ApigatewayApi{Name: parent}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateConfig(config("c1", fmt.Sprintf(document, b.URL))); err != nil {
		t.Fatal(err)
	}
	g, err := s.CreateGateway(&api.ApigatewayGateway{Name: "projects/p/locations/us-central1/gateways/g", ApiConfig: parent + "/configs/c1"})
	if err != nil {
		t.Fatal(err)
	}
	return s, g, b.URL
}

func do(t *testing.T, method, url string, body io.Reader, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(text))
}

func TestRouting(t *testing.T) {
	t.Parallel()
	_, g, backend := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/item" && r.URL.Query().Get("id") == "slow" {
			<-r.Context().Done()
			return
		}
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s auth=%q forwarded=%q signature=%q body=%q", r.Method, r.URL.RequestURI(),
			r.Header.Get("Authorization"), r.Header.Get("X-Forwarded-Authorization"), r.Header.Get("Signature"), body)
	}))
	tests := []struct {
		name, method, path, body string
		header                   []string
		code                     int
		want                     string
	}{
		{
			name: "appended path, token, headers and body as they came", method: "POST", path: "/api/v1/things?a=b", body: "{\"x\": \n1 }",
			header: []string{"Authorization", "Basic me", "Signature", "abc=="}, code: 200,
			want: `POST /api/v1/things?a=b auth="Bearer ` + account + ` for aud" forwarded="Basic me" signature="abc==" body="{\"x\": \n1 }"`,
		},
		{
			name: "constant address without auth", method: "GET", path: "/healthz", code: 200,
			want: `GET /health auth="" forwarded="" signature="" body=""`,
		},
		{
			name: "path parameter becomes query", method: "GET", path: "/items/7?z=1", code: 200,
			want: `GET /item?z=1&id=7 auth="Bearer ` + account + ` for ` + backend + `" forwarded="" signature="" body=""`,
		},
		{name: "deadline", method: "GET", path: "/items/slow", code: 504, want: `{"code":504,"message":"upstream request timeout"}`},
		{name: "unknown route", method: "GET", path: "/nope", code: 404, want: `{"code":404,"message":"The current request is not defined by this API."}`},
		{
			name: "wrong method", method: "DELETE", path: "/healthz", code: 405,
			want: `{"code":405,"message":"The current request is matched to the defined url template \"/healthz\" but its http method is not allowed"}`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			code, body := do(t, tt.method, "http://"+g.DefaultHostname+tt.path, strings.NewReader(tt.body), tt.header...)
			if code != tt.code {
				t.Errorf("status %d, want %d", code, tt.code)
			}
			if d := cmp.Diff(tt.want, body); d != "" {
				t.Errorf("body (-want +got):\n%s", d)
			}
		})
	}
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	_, g, _ := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	url := "http://" + g.DefaultHostname + "/api/v1/things"
	const size = 33 << 20
	for name, body := range map[string]io.Reader{
		"announced": bytes.NewReader(make([]byte, size)),
		"chunked":   io.LimitReader(zeros{}, size),
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Expect", "100-continue")
		resp, err := (&http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Minute}}).Do(req)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: status %d, want 413", name, resp.StatusCode)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// A gateway keeps its address through a switch, and no request fails.
func TestSwitch(t *testing.T) {
	t.Parallel()
	s, g, backend := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) }))
	url := "http://" + g.DefaultHostname + "/healthz"
	second := strings.Replace(fmt.Sprintf(document, backend), "/health\"", "/health2\"", 1)
	if _, err := s.CreateConfig(config("c2", second)); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if code, body := do(t, http.MethodGet, url, nil); code != 200 || !strings.HasPrefix(body, "/health") {
				t.Errorf("during the switch: %d %s", code, body)
				return
			}
		}
	})
	patched, err := s.PatchGateway(&api.ApigatewayGateway{Name: g.Name, ApiConfig: parent + "/configs/c2"})
	if err != nil {
		t.Fatal(err)
	}
	if patched.DefaultHostname != g.DefaultHostname {
		t.Errorf("the address moved from %s to %s", g.DefaultHostname, patched.DefaultHostname)
	}
	if _, body := do(t, http.MethodGet, url, nil); body != "/health2" {
		t.Errorf("after the switch the backend saw %q", body)
	}
	close(stop)
	wg.Wait()

	if err := s.DeleteConfig(parent + "/configs/c2"); err == nil {
		t.Error("a config that is served was deleted")
	}
	if err := s.DeleteConfig(parent + "/configs/c1"); err != nil {
		t.Errorf("the old config stays: %v", err)
	}
	if err := s.DeleteAPI(parent); err == nil {
		t.Error("an API with a config was deleted")
	}
	if err := s.DeleteGateway(g.Name); err != nil {
		t.Fatal(err)
	}
	if _, err := http.Get(url); err == nil {
		t.Error("a deleted gateway answers")
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	valid := fmt.Sprintf(document, "http://b")
	tests := []struct {
		name, doc string
		want      []string // all of them, at once
	}{
		{"not a document", "[", []string{"not YAML or JSON"}},
		{"version", strings.Replace(valid, `"2.0"`, `"3.0"`, 1), []string{`swagger: "3.0"`}},
		{
			"many mistakes",
			strings.NewReplacer("operationId: post", "operationId: health", "title: t, ", "", "APPEND_PATH_TO_ADDRESS", "SIDEWAYS").Replace(valid),
			[]string{"info:", `operationId "health" is also that of`, `path_translation "SIDEWAYS"`},
		},
		{"no backend", strings.Replace(valid, "x-google-backend", "x-other", 1), []string{"paths./api/v1/things.post.x-google-backend: no backend"}},
		{"relative address", fmt.Sprintf(document, "/b"), []string{"no absolute http(s) URL"}},
		{"unknown field", strings.Replace(valid, "jwt_audience", "jwt_audiance", 1), []string{"jwt_audiance"}},
		{
			"unknown extensions",
			strings.NewReplacer("info: {", "x-google-backnd: {}\ninfo: {x-google-a: 1, ", "    get:\n      operationId: health", "    x-google-b: 1\n    get:\n      x-google-quota: {}\n      x-examples: []\n      operationId: health").Replace(valid),
			[]string{"x-google-backnd: the local", "info.x-google-a: the local", "paths./healthz.x-google-b: the local", "paths./healthz.get.x-google-quota: the local"},
		},
		{"both auth", strings.Replace(valid, "disable_auth: true", "disable_auth: true, jwt_audience: x", 1), []string{"exclude each other"}},
		{"no paths", "swagger: \"2.0\"\ninfo: {title: t, version: v}\npaths: {}", []string{"paths: there are none"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := apigateway.New(apigateway.Options{Identity: identity{}})
			if _, err := s.CreateAPI(&api.ApigatewayApi{Name: parent}); err != nil {
				t.Fatal(err)
			}
			_, err := s.CreateConfig(config("c", tt.doc))
			if err == nil {
				t.Fatal("accepted")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
		})
	}
	s := apigateway.New(apigateway.Options{Identity: identity{}})
	if _, err := s.CreateConfig(config("c", valid)); !errors.Is(err, apigateway.ErrNotFound) {
		t.Errorf("config of no API: %v", err)
	}
	if _, err := s.CreateAPI(&api.ApigatewayApi{Name: "projects/p/locations/global/apis/Edge"}); err == nil {
		t.Error("an upper-case id was accepted")
	}
}
