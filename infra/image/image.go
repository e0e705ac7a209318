// Package image compiles the handlers in functions/ and makes one OCI image of
// each, without Docker.
//
// An image is a function of the Go toolchain, the target platform and the
// files of the modules functions and shared alone: no clock, path, user or
// version control stamp enters it. So its digest is known before anything is
// pushed, a preview shows precisely which services a change touches, and an
// unchanged tree changes nothing.
package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/google"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"
)

// user is the unprivileged uid and gid that images run as: the "nonroot" of
// the distroless images, so a configured base knows it too.
const user = "65532:65532"

// layerFormat is part of what a kept layer is known by. Raise it when archive
// changes.
const layerFormat = "1"

// epoch is the only time that images carry.
var epoch = time.Unix(0, 0).UTC()

// Options say what to build.
type Options struct {
	Module   string   // folder of the Go module that holds a main package per service
	Services []string // names of those packages, relative to Module
	Platform string   // os/arch, "" = linux/amd64, "host" = this machine's
	Base     string   // image to build on, by digest; "" = none: the binary is all there is
	Dir      string   // keeps binaries and layers between builds
}

// Set is the images of one build.
type Set struct {
	images  map[string]v1.Image
	digests map[string]v1.Hash
}

// Build compiles every service with one go command and makes their images. It
// pushes nothing.
func Build(ctx context.Context, o Options) (*Set, error) {
	platform, err := parsePlatform(o.Platform)
	if err != nil {
		return nil, err
	}
	base, err := baseImage(ctx, o.Base, platform)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(o.Dir, platform.OS+"-"+platform.Architecture)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("image: %w", err)
	}
	if err := compile(ctx, o.Module, o.Services, platform, dir); err != nil {
		return nil, err
	}

	set := &Set{images: map[string]v1.Image{}, digests: map[string]v1.Hash{}}
	built := make([]v1.Image, len(o.Services))
	digests := make([]v1.Hash, len(o.Services))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, service := range o.Services {
		group.Go(func() (err error) {
			if built[i], err = assemble(base, platform, dir, service); err == nil {
				digests[i], err = built[i].Digest()
			}
			if err != nil {
				return fmt.Errorf("image %s: %w", service, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for i, service := range o.Services {
		set.images[service], set.digests[service] = built[i], digests[i]
	}
	return set, nil
}

// Digest returns a service's image digest, sha256:..., or "" for a service
// that was not built.
func (s *Set) Digest(service string) string {
	if d, ok := s.digests[service]; ok {
		return d.String()
	}
	return ""
}

// Push writes a service's image to repository (host/path, without tag) unless
// the registry has it, and returns its reference, repository@sha256:....
func (s *Set) Push(ctx context.Context, service, repository string) (string, error) {
	img, ok := s.images[service]
	if !ok {
		return "", fmt.Errorf("image: %s was not built", service)
	}
	ref, err := name.NewDigest(repository+"@"+s.Digest(service), nameOptions(repository)...)
	if err != nil {
		return "", fmt.Errorf("image: %w", err)
	}
	opts := remoteOptions(ctx)
	switch _, err = remote.Head(ref, opts...); {
	case err == nil:
		return ref.String(), nil
	case !isNotFound(err):
		return "", fmt.Errorf("image: look for %s: %w", ref, err)
	}
	if err := remote.Write(ref, img, opts...); err != nil {
		return "", fmt.Errorf("image: push %s: %w", ref, err)
	}
	return ref.String(), nil
}

// parsePlatform reads os/arch.
func parsePlatform(s string) (v1.Platform, error) {
	switch s {
	case "":
		s = "linux/amd64"
	case "host":
		s = runtime.GOOS + "/" + runtime.GOARCH
	}
	goos, arch, ok := strings.Cut(s, "/")
	if !ok || goos == "" || arch == "" || strings.Contains(arch, "/") {
		return v1.Platform{}, fmt.Errorf("image: platform %q is not os/arch", s)
	}
	return v1.Platform{OS: goos, Architecture: arch}, nil
}

// compile builds the services' binaries into dir. The go command leaves
// binaries alone that are up to date.
func compile(ctx context.Context, module string, services []string, p v1.Platform, dir string) error {
	args := []string{"build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", dir + string(filepath.Separator)}
	for _, service := range services {
		args = append(args, "./"+service)
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = module
	cmd.Env = append(os.Environ(),
		"GOOS="+p.OS, "GOARCH="+p.Architecture, "GOAMD64=v1", "CGO_ENABLED=0",
		// The workspace would let versions that other modules ask for decide
		// what is linked in here.
		"GOWORK=off",
		// The default, said aloud: an empty value would let `go env -w` have
		// its way.
		"GOFLAGS=-mod=readonly",
	)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("image: compile %s: %w\n%s", strings.Join(services, ", "), err, bytes.TrimSpace(out))
	}
	return nil
}

// baseImage fetches what images are built on, or begins an empty OCI image.
func baseImage(ctx context.Context, base string, p v1.Platform) (v1.Image, error) {
	if base == "" {
		img := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
		return mutate.ConfigMediaType(img, types.OCIConfigJSON), nil
	}
	ref, err := name.NewDigest(base, nameOptions(base)...)
	if err != nil {
		return nil, fmt.Errorf("image: base %q must be given by digest: %w", base, err)
	}
	img, err := remote.Image(ref, append(remoteOptions(ctx), remote.WithPlatform(p))...)
	if err != nil {
		return nil, fmt.Errorf("image: base %s: %w", ref, err)
	}
	return img, nil
}

// assemble makes the image of the binary dir/service.
func assemble(base v1.Image, p v1.Platform, dir, service string) (v1.Image, error) {
	layer, err := layerOf(dir, service)
	if err != nil {
		return nil, err
	}
	img, err := mutate.Append(base, mutate.Addendum{
		Layer:   layer,
		History: v1.History{Created: v1.Time{Time: epoch}, CreatedBy: "infra/image", Comment: service},
	})
	if err != nil {
		return nil, err
	}
	file, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = p.OS, p.Architecture
	file.Created = v1.Time{Time: epoch}
	file.Config.User = user
	file.Config.Entrypoint = []string{"/" + service}
	file.Config.Cmd = nil
	return mutate.ConfigFile(img, file)
}

// keptLayer is a layer in a file, with what is known of it in another, so that
// an unchanged binary is neither compressed nor unpacked again.
type keptLayer struct {
	file string
	layerFacts
}

type layerFacts struct {
	Format           string
	Binary           string // SHA-256, hex, of the binary in the layer
	Compressed       v1.Hash
	Tar              v1.Hash
	CompressedLength int64
}

var _ v1.Layer = (*keptLayer)(nil)

// Digest implements v1.Layer.
func (l *keptLayer) Digest() (v1.Hash, error) { return l.layerFacts.Compressed, nil }

// DiffID implements v1.Layer.
func (l *keptLayer) DiffID() (v1.Hash, error) { return l.Tar, nil }

// Size implements v1.Layer.
func (l *keptLayer) Size() (int64, error) { return l.CompressedLength, nil }

// MediaType implements v1.Layer.
func (l *keptLayer) MediaType() (types.MediaType, error) { return types.OCILayer, nil }

// Compressed implements v1.Layer.
func (l *keptLayer) Compressed() (io.ReadCloser, error) { return os.Open(l.file) }

// Uncompressed implements v1.Layer.
func (l *keptLayer) Uncompressed() (io.ReadCloser, error) {
	layer, err := tarball.LayerFromFile(l.file)
	if err != nil {
		return nil, err
	}
	return layer.Uncompressed()
}

// layerOf returns the layer of the binary dir/service: the one kept beside it
// if that was made of the same bytes, else a new one, which it keeps.
func layerOf(dir, service string) (*keptLayer, error) {
	binary, err := os.ReadFile(filepath.Join(dir, service))
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(binary)
	want := layerFacts{Format: layerFormat, Binary: hex.EncodeToString(sum[:])}
	layer := &keptLayer{file: filepath.Join(dir, service+".tar.gz")}
	factsFile := layer.file + ".json"

	text, err := os.ReadFile(factsFile)
	if err == nil && json.Unmarshal(text, &layer.layerFacts) == nil &&
		layer.Format == want.Format && layer.Binary == want.Binary {
		if info, err := os.Stat(layer.file); err == nil && info.Size() == layer.CompressedLength {
			return layer, nil
		}
	}

	var compressed bytes.Buffer
	tarSum := sha256.New()
	if err := archive(&compressed, tarSum, service, binary); err != nil {
		return nil, err
	}
	layer.layerFacts = want
	layer.Tar = v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(tarSum.Sum(nil))}
	layer.layerFacts.Compressed, layer.CompressedLength, err = v1.SHA256(bytes.NewReader(compressed.Bytes()))
	if err != nil {
		return nil, err
	}
	text, err = json.Marshal(layer.layerFacts)
	if err != nil {
		return nil, err
	}
	// The facts go first and come last, so that they never stand beside
	// another binary's layer.
	if err := os.Remove(factsFile); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if err := replaceFile(layer.file, compressed.Bytes()); err != nil {
		return nil, err
	}
	return layer, replaceFile(factsFile, text)
}

// archive writes the layer of a binary to w, and what is compressed to plain:
// the binary, and the /tmp that Go programs expect and an image without a base
// lacks.
func archive(w, plain io.Writer, service string, binary []byte) error {
	// Speed before size: the registry is near, and compressing is most of what
	// a changed handler costs after its compilation.
	gz, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return err
	}
	tw := tar.NewWriter(io.MultiWriter(gz, plain))
	for _, entry := range []struct {
		header tar.Header
		body   []byte
	}{
		{header: tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777}},
		{header: tar.Header{Typeflag: tar.TypeReg, Name: service, Mode: 0o555, Size: int64(len(binary))}, body: binary},
	} {
		entry.header.ModTime = epoch
		if err := tw.WriteHeader(&entry.header); err != nil {
			return err
		}
		if _, err := tw.Write(entry.body); err != nil {
			return err
		}
	}
	return errors.Join(tw.Close(), gz.Close())
}

// replaceFile writes a file so that readers see the old or the new content.
func replaceFile(path string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return nil
}

// nameOptions allow plain http to a registry on this machine, and to no other.
func nameOptions(reference string) []name.Option {
	host, _, _ := strings.Cut(reference, "/")
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return []name.Option{name.Insecure}
	}
	return nil
}

// remoteOptions authenticate with what the docker config holds for the
// registry, else, for Google's, with application default credentials.
func remoteOptions(ctx context.Context) []remote.Option {
	return []remote.Option{
		remote.WithContext(ctx),
		remote.WithAuthFromKeychain(authn.NewMultiKeychain(authn.DefaultKeychain, google.Keychain)),
	}
}

// isNotFound reports whether a registry said that it does not have something.
func isNotFound(err error) bool {
	var te *transport.Error
	return errors.As(err, &te) && te.StatusCode == http.StatusNotFound
}
