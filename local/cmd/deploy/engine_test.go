//go:build e2e

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log"
	"maps"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optup"

	"ingestion.internal/local/internal/layout"
	"ingestion.internal/local/provider"
)

// TestSecondUpdateChangesNothing updates each stack's config from nothing, twice,
// through the real engine. The provider keeps what it is given and makes
// nothing, so every stack can be tried here, also those of a cloud. Whatever
// the first update leaves in files, state and config, is searched for the
// secret, which must be there encrypted only.
func TestSecondUpdateChangesNothing(t *testing.T) {
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	repo, err := layout.Find(wd)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(repo.Bin("pulumi")); err != nil {
		t.Fatalf("no engine: %v (build it with: go run ./local up)", err)
	}
	t.Chdir(string(repo)) // the program looks for the repository
	images := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(images.Close)
	t.Setenv("INGESTION_ENDPOINTS", `{"registry":"`+strings.TrimPrefix(images.URL, "http://")+`"}`)
	t.Setenv("PULUMI_HOME", repo.Local("pulumi"))
	t.Setenv("PULUMI_CONFIG_PASSPHRASE", "test")
	t.Setenv("PULUMI_SKIP_UPDATE_CHECK", "true")

	stacks, err := repo.Stacks()
	if err != nil {
		t.Fatal(err)
	}
	if len(stacks) < 3 {
		t.Errorf("only the stacks %v", stacks)
	}
	for _, name := range stacks {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			if err := os.Mkdir(filepath.Join(folder, "state"), 0o700); err != nil {
				t.Fatal(err)
			}
			t.Setenv("PULUMI_BACKEND_URL", "file://"+filepath.Join(folder, "state"))
			d := &deployer{repo: repo, progress: io.Discard}
			s, _, err := d.scratch(t.Context(), name, folder)
			if err != nil {
				t.Fatal(err)
			}
			env := provider.Env{ProjectNumber: "123456789012"}
			for key, dst := range map[string]*string{"gcp:project": &env.Project, "gcp:region": &env.Region} {
				v, err := s.GetConfig(t.Context(), key)
				if err != nil {
					t.Fatal(said(err))
				}
				*dst = v.Value
			}
			t.Setenv("PULUMI_DEBUG_PROVIDERS", fmt.Sprintf("gcp:%d", serveRecorder(t, env)))
			first, err := s.Up(t.Context(), optup.SuppressProgress(), optup.Parallel(16))
			if err != nil {
				t.Fatal(said(err))
			}
			changes := first.Summary.ResourceChanges
			if changes == nil || (*changes)["create"] < 50 {
				t.Fatalf("first update: %v", changes)
			}
			if strings.Contains(first.StdOut+first.StdErr, placeholder) {
				t.Error("the engine printed a secret")
			}
			encrypted := 0
			if err := filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
				if err != nil || e.IsDir() {
					return err
				}
				text, err := os.ReadFile(path)
				encrypted += strings.Count(string(text), `"ciphertext"`)
				for line := range strings.Lines(string(text)) {
					if strings.Contains(line, placeholder) {
						t.Errorf("%s holds a secret in plain text: %s", path, line)
					}
				}
				return err
			}); err != nil {
				t.Fatal(err)
			}
			if encrypted == 0 {
				t.Error("nothing in the state is encrypted: the secrets are elsewhere")
			}
			if outputs, err := json.Marshal(plain(first.Outputs)); err != nil || strings.Contains(string(outputs), placeholder) {
				t.Errorf("outputs %s, %v", outputs, err)
			}
			second, err := s.Up(t.Context(), optup.SuppressProgress(), optup.Parallel(16))
			if err != nil {
				t.Fatal(said(err))
			}
			again := *second.Summary.ResourceChanges
			if kinds := slices.Collect(maps.Keys(again)); !slices.Equal(kinds, []string{"same"}) || again["same"] != (*changes)["create"] {
				t.Errorf("second update: %v, want %d the same\n%s", again, (*changes)["create"], second.StdOut)
			}
		})
	}
}

// serveRecorder serves a provider that keeps every type that the local cloud
// knows, under its rules, and returns its port.
func serveRecorder(t *testing.T, env provider.Env) int {
	t.Helper()
	kinds := provider.Kinds(env, provider.Core{}, provider.Runtime{})
	for i := range kinds {
		k := &kinds[i]
		k.Mode = provider.Recorded
		k.Create, k.Read, k.Update, k.Delete = nil, nil, nil, nil
		if k.ID == nil {
			k.ID = func(in provider.Object) string { return digest(in) }
		}
		outputs, computed := k.Outputs, k.Computed
		k.Outputs = func(in provider.Object) provider.Object {
			out := provider.Object{}
			if outputs != nil {
				out = outputs(in)
			}
			// What other resources need, and a cloud would compute.
			for name, value := range map[string]string{"uri": "https://%s.example.com", "defaultHostname": "%s.example.com"} {
				if slices.Contains(computed, name) {
					out[name] = fmt.Sprintf(value, digest(in))
				}
			}
			return out
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	server := provider.New(env, kinds)
	go func() { served <- server.Serve(t.Context(), listener) }()
	t.Cleanup(func() {
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().(*net.TCPAddr).Port
}

// digest names a resource after its inputs' name, or all of them.
func digest(in provider.Object) string {
	if name, ok := in["name"].(string); ok {
		return name
	}
	text, err := json.Marshal(in)
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}
