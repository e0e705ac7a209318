package registry

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	artifactregistry "google.golang.org/api/artifactregistry/v1"
	"google.golang.org/grpc/codes"

	"ingestion.internal/local/cloud/gapi"
)

const parent = "projects/p/locations/us-central1"

func start(t *testing.T) *Service {
	t.Helper()
	s, err := New(Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// image has one layer with the headers' entries, each with the content "x".
func image(t *testing.T, headers ...tar.Header) v1.Image {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		if h.Typeflag == tar.TypeReg {
			h.Size = 1
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := w.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		t.Fatal(err)
	}
	img, err = mutate.Config(img, v1.Config{Entrypoint: []string{"/bin/app"}, Env: []string{"A=b"}, WorkingDir: "/work"})
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// push pushes to s and returns the reference of the same image in the cloud.
func push(t *testing.T, s *Service, img v1.Image) (string, error) {
	t.Helper()
	ref, err := name.ParseReference(s.Addr()+"/p/repo/app", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return "us-central1-docker.pkg.dev/p/repo/app@" + digest.String(), remote.Write(ref, img)
}

func TestPushAndPull(t *testing.T) {
	s := start(t)
	img := image(t,
		tar.Header{Typeflag: tar.TypeDir, Name: "bin/", Mode: 0o755},
		tar.Header{Typeflag: tar.TypeReg, Name: "bin/app", Mode: 0o555},
		tar.Header{Typeflag: tar.TypeSymlink, Name: "link", Linkname: "bin/app"},
	)
	if _, err := push(t, s, img); err == nil || !strings.Contains(err.Error(), "NAME_UNKNOWN") {
		t.Errorf("without a repository: got %v, want NAME_UNKNOWN", err)
	}
	if _, err := s.CreateRepository(t.Context(), parent, "repo", &artifactregistry.Repository{Format: "DOCKER"}); err != nil {
		t.Fatal(err)
	}
	ref, err := push(t, s, img)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // unpacked, then found
		got, err := s.Pull(t.Context(), ref)
		if err != nil {
			t.Fatal(err)
		}
		_, digest, _ := strings.Cut(ref, "@")
		want := &Image{Digest: digest, Root: got.Root, Entrypoint: []string{"/bin/app"}, Env: []string{"A=b"}, WorkingDir: "/work"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("image (-want +got):\n%s", diff)
		}
		info, err := os.Stat(filepath.Join(got.Root, "link"))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o111 != 0o111 || info.Size() != 1 {
			t.Errorf("binary has mode %v and %d bytes", info.Mode(), info.Size())
		}
	}
	if err := s.DeleteRepository(t.Context(), parent+"/repositories/repo"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Pull(t.Context(), ref); err == nil {
		t.Error("pulled from a deleted repository")
	}
}

func TestPullRefusesTags(t *testing.T) {
	if _, err := start(t).Pull(t.Context(), "us-central1-docker.pkg.dev/p/repo/app:latest"); gapi.Code(err) != codes.InvalidArgument {
		t.Errorf("got %v, want InvalidArgument", err)
	}
}

// A layer cannot write outside the folder that it is unpacked to.
func TestHostileLayer(t *testing.T) {
	s := start(t)
	if _, err := s.CreateRepository(t.Context(), parent, "repo", &artifactregistry.Repository{Format: "DOCKER"}); err != nil {
		t.Fatal(err)
	}
	outside := filepath.Join(t.TempDir(), "outside")
	for name, entries := range map[string][]tar.Header{
		"upwards": {{Typeflag: tar.TypeReg, Name: strings.Repeat("../", 20) + strings.TrimPrefix(outside, "/"), Mode: 0o644}},
		"through a link": {
			{Typeflag: tar.TypeReg, Name: "out/outside", Mode: 0o644},
			{Typeflag: tar.TypeSymlink, Name: "out", Linkname: filepath.Dir(outside)},
		},
	} {
		ref, err := push(t, s, image(t, entries...))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Pull(t.Context(), ref); err == nil {
			t.Errorf("%s: the image was accepted", name)
		}
		if left, err := os.ReadDir(filepath.Dir(outside)); err != nil || len(left) != 0 {
			t.Errorf("%s: outside: %v %v", name, left, err)
		}
		if left, err := os.ReadDir(filepath.Join(s.dir, "images")); err != nil || len(left) != 0 {
			t.Errorf("%s: left behind: %v %v", name, left, err)
		}
	}
}

func TestRepositories(t *testing.T) {
	s := start(t)
	for id, want := range map[string]codes.Code{"Bad": codes.InvalidArgument, "-a": codes.InvalidArgument, "": codes.InvalidArgument} {
		if _, err := s.CreateRepository(t.Context(), parent, id, &artifactregistry.Repository{Format: "DOCKER"}); gapi.Code(err) != want {
			t.Errorf("%q: got %v, want %v", id, err, want)
		}
	}
	if _, err := s.CreateRepository(t.Context(), parent, "maven", &artifactregistry.Repository{Format: "MAVEN"}); gapi.Code(err) != codes.InvalidArgument {
		t.Errorf("MAVEN: got %v", err)
	}
	made, err := s.CreateRepository(t.Context(), parent, "repo", &artifactregistry.Repository{Format: "DOCKER", Description: "one"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateRepository(t.Context(), parent, "repo", made); gapi.Code(err) != codes.AlreadyExists {
		t.Errorf("again: got %v", err)
	}
	patched, err := s.PatchRepository(t.Context(), made.Name, &artifactregistry.Repository{Description: "two"})
	if err != nil {
		t.Fatal(err)
	}
	if patched.Description != "two" || patched.Format != "DOCKER" || patched.CreateTime != made.CreateTime {
		t.Errorf("patched: %+v", patched)
	}
	if _, err := s.GetRepository(t.Context(), parent+"/repositories/absent"); gapi.Code(err) != codes.NotFound {
		t.Errorf("absent: got %v", err)
	}
}
