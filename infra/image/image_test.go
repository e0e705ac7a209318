package image

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// writeModule makes a module with two services in a new folder. The greeting
// is linked into the first.
func writeModule(t *testing.T, greeting string) string {
	t.Helper()
	dir := t.TempDir()
	for path, text := range map[string]string{
		"go.mod":          "module example.test/functions\n\ngo 1.26\n",
		"greeter/main.go": "package main\n\nfunc main() { println(\"" + greeting + "\") }\n",
		"other/main.go":   "package main\n\nfunc main() {}\n",
	} {
		file := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func build(t *testing.T, module, dir string) *Set {
	t.Helper()
	set, err := Build(t.Context(), Options{
		Module: module, Services: []string{"greeter", "other"}, Platform: "host", Dir: dir,
	})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestDigestDependsOnSourceOnly(t *testing.T) {
	kept := t.TempDir()
	first := build(t, writeModule(t, "hello"), kept)
	again := build(t, writeModule(t, "hello"), kept)
	elsewhere := build(t, writeModule(t, "hello"), t.TempDir())
	changed := build(t, writeModule(t, "hellp"), kept)

	for _, service := range []string{"greeter", "other"} {
		want := first.Digest(service)
		if !strings.HasPrefix(want, "sha256:") {
			t.Fatalf("digest of %s is %q", service, want)
		}
		if got := again.Digest(service); got != want {
			t.Errorf("%s built again: %s, want %s", service, got, want)
		}
		if got := elsewhere.Digest(service); got != want {
			t.Errorf("%s built without kept layers: %s, want %s", service, got, want)
		}
	}
	if changed.Digest("greeter") == first.Digest("greeter") {
		t.Error("a changed byte left the digest as it was")
	}
	if got, want := changed.Digest("other"), first.Digest("other"); got != want {
		t.Errorf("the other service's digest changed to %s from %s", got, want)
	}
}

func TestImageRunsUnprivilegedBinary(t *testing.T) {
	set := build(t, writeModule(t, "hello"), t.TempDir())
	file, err := set.images["greeter"].ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"/greeter"}, file.Config.Entrypoint); diff != "" {
		t.Errorf("entrypoint (-want +got):\n%s", diff)
	}
	if file.Config.User != "65532:65532" || !file.Created.Equal(epoch) {
		t.Errorf("user %q, created %v", file.Config.User, file.Created)
	}
	layers, err := set.images["greeter"].Layers()
	if err != nil || len(layers) != 1 {
		t.Errorf("%d layers, error %v; want 1", len(layers), err)
	}
}

// countingRegistry is an in-process registry that counts what is uploaded.
func countingRegistry(t *testing.T) (host string, uploads *atomic.Int64) {
	t.Helper()
	uploads = new(atomic.Int64)
	reg := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			uploads.Add(1)
		}
		reg.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	return strings.TrimPrefix(srv.URL, "http://"), uploads
}

// TestLayerIsWhatItSays checks the facts kept of a layer against the layer.
func TestLayerIsWhatItSays(t *testing.T) {
	dir := t.TempDir()
	module := writeModule(t, "hello")
	for range 2 { // made, and found again
		if err := validate.Image(build(t, module, dir).images["greeter"]); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPushUploadsOnlyWhatIsMissing(t *testing.T) {
	host, uploads := countingRegistry(t)
	repository := host + "/platform/greeter"
	set := build(t, writeModule(t, "hello"), t.TempDir())

	ref, err := set.Push(t.Context(), "greeter", repository)
	if err != nil {
		t.Fatal(err)
	}
	if want := repository + "@" + set.Digest("greeter"); ref != want {
		t.Errorf("reference %s, want %s", ref, want)
	}
	if uploads.Load() == 0 {
		t.Fatal("the first push uploaded nothing")
	}
	pulled, err := remote.Image(mustDigest(t, ref))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, mutate.Extract(pulled)); err != nil || n == 0 {
		t.Errorf("pulled %d bytes, error %v", n, err)
	}

	uploads.Store(0)
	if _, err := set.Push(t.Context(), "greeter", repository); err != nil {
		t.Fatal(err)
	}
	if n := uploads.Load(); n != 0 {
		t.Errorf("the second push made %d uploads", n)
	}
}

func TestBaseIsKeptBelow(t *testing.T) {
	host, _ := countingRegistry(t)
	module := writeModule(t, "hello")
	base, err := build(t, module, t.TempDir()).Push(t.Context(), "other", host+"/base")
	if err != nil {
		t.Fatal(err)
	}
	set, err := Build(t.Context(), Options{
		Module: module, Services: []string{"greeter"}, Platform: "host", Base: base, Dir: t.TempDir(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if layers, err := set.images["greeter"].Layers(); err != nil || len(layers) != 2 {
		t.Errorf("%d layers, error %v; want 2", len(layers), err)
	}
}

func TestBuildErrors(t *testing.T) {
	tests := []struct {
		name, want string
		change     func(*Options)
	}{
		{"unknown service", "no-such-service", func(o *Options) { o.Services = []string{"no-such-service"} }},
		{"platform", `platform "linux" is not os/arch`, func(o *Options) { o.Platform = "linux" }},
		{"base by tag", "by digest", func(o *Options) { o.Base = "example.test/base:latest" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := Options{Module: writeModule(t, "x"), Services: []string{"greeter"}, Platform: "host", Dir: t.TempDir()}
			tt.change(&o)
			_, err := Build(context.Background(), o)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

func mustDigest(t *testing.T, ref string) name.Digest {
	t.Helper()
	d, err := name.NewDigest(ref, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
