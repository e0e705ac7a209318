// Package registry is the local Artifact Registry: repositories as the API
// knows them, and a Docker (OCI) registry in which images can be pushed below
// PROJECT/REPOSITORY/ of the repositories that exist, as on
// LOCATION-docker.pkg.dev. Layers are kept on disk, manifests in memory.
package registry

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	ociregistry "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	artifactregistry "google.golang.org/api/artifactregistry/v1"
	"google.golang.org/grpc/codes"

	"ingestion.internal/local/cloud/gapi"
)

// Options configures a Service.
type Options struct {
	Dir      string       // layers and extracted images live below it
	Listener net.Listener // nil listens on a free loopback port
}

// Service is the local Artifact Registry. It serves until Close.
type Service struct {
	dir      string
	addr     string
	server   *http.Server
	mu       sync.Mutex
	repos    map[string]*artifactregistry.Repository // by full name
	extracts sync.Map                                // digest to *sync.Mutex: one extraction at a time
}

// New opens the registry and serves it on the listener.
func New(o Options) (*Service, error) {
	blobs := filepath.Join(o.Dir, "blobs")
	if err := errors.Join(os.MkdirAll(blobs, 0o755), os.MkdirAll(filepath.Join(o.Dir, "images"), 0o755)); err != nil {
		return nil, fmt.Errorf("make the registry's folders: %w", err)
	}
	l := o.Listener
	if l == nil {
		var err error
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return nil, fmt.Errorf("listen for the registry: %w", err)
		}
	}
	s := &Service{dir: o.Dir, addr: l.Addr().String(), repos: map[string]*artifactregistry.Repository{}}
	images := ociregistry.New(
		ociregistry.WithBlobHandler(ociregistry.NewDiskBlobHandler(blobs)),
		ociregistry.Logger(log.New(io.Discard, "", 0)),
	)
	s.server = &http.Server{Handler: s.onlyInRepositories(images), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = s.server.Serve(l) }() // returns ErrServerClosed after Close
	return s, nil
}

// Addr is the registry's host:port. Images are named Addr/PROJECT/REPOSITORY/IMAGE.
func (s *Service) Addr() string { return s.addr }

// Close stops serving. What is on disk stays.
func (s *Service) Close() error { return s.server.Close() }

// repositoryID is the API's rule for repository ids.
var repositoryID = regexp.MustCompile(`^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)

// ValidateRepositoryID returns why the API would refuse the id, or "".
func ValidateRepositoryID(id string) string {
	if !repositoryID.MatchString(id) {
		return fmt.Sprintf("%q must be 1 to 63 lowercase letters, digits and hyphens, begin with a letter and not end with a hyphen", id)
	}
	return ""
}

// CreateRepository is projects.locations.repositories.create. Only Docker
// repositories can be served.
func (s *Service) CreateRepository(_ context.Context, parent, id string, repo *artifactregistry.Repository) (*artifactregistry.Repository, error) {
	if reason := ValidateRepositoryID(id); reason != "" {
		return nil, gapi.Errorf(codes.InvalidArgument, "repository_id %s", reason)
	}
	if repo.Format != "DOCKER" {
		return nil, gapi.Errorf(codes.InvalidArgument, "format %q is not served by the local registry, only DOCKER", repo.Format)
	}
	full := parent + "/repositories/" + id
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.repos[full] != nil {
		return nil, gapi.Errorf(codes.AlreadyExists, "repository %s already exists", full)
	}
	kept := *repo
	kept.Name, kept.CreateTime = full, time.Now().UTC().Format(time.RFC3339Nano)
	kept.UpdateTime = kept.CreateTime
	s.repos[full] = &kept
	out := kept
	return &out, nil
}

// GetRepository is projects.locations.repositories.get.
func (s *Service) GetRepository(_ context.Context, full string) (*artifactregistry.Repository, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	repo := s.repos[full]
	if repo == nil {
		return nil, gapi.Errorf(codes.NotFound, "repository %s not found", full)
	}
	out := *repo
	return &out, nil
}

// PatchRepository is projects.locations.repositories.patch with every mutable
// field in the mask.
func (s *Service) PatchRepository(_ context.Context, full string, repo *artifactregistry.Repository) (*artifactregistry.Repository, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.repos[full]
	if old == nil {
		return nil, gapi.Errorf(codes.NotFound, "repository %s not found", full)
	}
	kept := *repo
	kept.Name, kept.Format, kept.CreateTime = full, old.Format, old.CreateTime
	kept.UpdateTime = time.Now().UTC().Format(time.RFC3339Nano)
	s.repos[full] = &kept
	out := kept
	return &out, nil
}

// DeleteRepository is projects.locations.repositories.delete. Its images can
// be neither pulled nor pushed afterwards.
func (s *Service) DeleteRepository(_ context.Context, full string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.repos[full] == nil {
		return gapi.Errorf(codes.NotFound, "repository %s not found", full)
	}
	delete(s.repos, full)
	return nil
}

// onlyInRepositories answers requests for images outside every repository as
// Artifact Registry does, and passes the others on.
func (s *Service) onlyInRepositories(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		image, ok := strings.CutPrefix(r.URL.Path, "/v2/")
		if !ok || image == "" { // the version check
			next.ServeHTTP(w, r)
			return
		}
		project, rest, _ := strings.Cut(image, "/")
		repo, _, _ := strings.Cut(rest, "/")
		if s.has(project, repo) {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		_ = json.NewEncoder(w).Encode(map[string]any{"errors": []map[string]string{{
			"code":    "NAME_UNKNOWN",
			"message": fmt.Sprintf("Repository %q not found in project %q: images are named PROJECT/REPOSITORY/IMAGE, and the repository must have been created", repo, project),
		}}})
	})
}

func (s *Service) has(project, repo string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for full := range s.repos {
		if p := strings.Split(full, "/"); len(p) == 6 && p[1] == project && p[5] == repo {
			return true
		}
	}
	return false
}

// Image is a pulled image, unpacked.
type Image struct {
	Digest     string   // sha256:...
	Root       string   // folder that holds the image's files; shared by all users, read only by agreement
	Entrypoint []string // as in the image's config
	Cmd        []string
	Env        []string
	WorkingDir string
}

// Pull fetches the image of a reference by digest, HOST/PROJECT/REPOSITORY/IMAGE@sha256:...,
// and unpacks it once per digest. Whatever HOST says, the image comes from
// this registry: it stands for every LOCATION-docker.pkg.dev.
func (s *Service) Pull(ctx context.Context, ref string) (*Image, error) {
	given, err := name.NewDigest(ref, name.Insecure)
	if err != nil {
		return nil, gapi.Errorf(codes.InvalidArgument, "image %q: want a reference by digest (...@sha256:...): %v", ref, err)
	}
	here, err := name.NewDigest(s.addr+"/"+given.RepositoryStr()+"@"+given.DigestStr(), name.Insecure)
	if err != nil {
		return nil, fmt.Errorf("image %q: %w", ref, err)
	}
	img, err := remote.Image(here, remote.WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("pull %s: %w", ref, err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("read the config of %s: %w", ref, err)
	}
	hash, err := v1.NewHash(given.DigestStr())
	if err != nil {
		return nil, fmt.Errorf("image %q: %w", ref, err)
	}
	root := filepath.Join(s.dir, "images", hash.Hex)
	lock, _ := s.extracts.LoadOrStore(hash.Hex, &sync.Mutex{})
	lock.(*sync.Mutex).Lock()
	defer lock.(*sync.Mutex).Unlock()
	if _, err := os.Stat(root); errors.Is(err, os.ErrNotExist) {
		if err := extract(img, root); err != nil {
			return nil, fmt.Errorf("unpack %s: %w", ref, err)
		}
	} else if err != nil {
		return nil, fmt.Errorf("unpack %s: %w", ref, err)
	}
	return &Image{
		Digest: given.DigestStr(), Root: root,
		Entrypoint: config.Config.Entrypoint, Cmd: config.Config.Cmd,
		Env: config.Config.Env, WorkingDir: config.Config.WorkingDir,
	}, nil
}

// extract unpacks the image's flattened files into root, which appears only
// when it is complete.
func extract(img v1.Image, root string) (err error) {
	tmp, err := os.MkdirTemp(filepath.Dir(root), ".unpack-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(tmp))
		}
	}()
	// os.Root keeps names and links in a hostile layer inside the folder.
	into, err := os.OpenRoot(tmp)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, into.Close()) }()
	layers := mutate.Extract(img)
	defer func() { err = errors.Join(err, layers.Close()) }()
	files := tar.NewReader(layers)
	for {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if err := place(into, h, files); err != nil {
			return fmt.Errorf("%s: %w", h.Name, err)
		}
	}
	// The archive ends in good order even if the image is bad: an unsafe name,
	// or a layer that is not what its digest says, comes after it as an error.
	if _, err := io.Copy(io.Discard, layers); err != nil {
		return err
	}
	return os.Rename(tmp, root)
}

// place writes one entry of a layer.
func place(into *os.Root, h *tar.Header, content io.Reader) error {
	to := strings.TrimPrefix(path.Clean("/"+h.Name), "/")
	if to == "" {
		return nil
	}
	if err := into.MkdirAll(path.Dir(to), 0o755); err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return into.MkdirAll(to, 0o755)
	case tar.TypeSymlink:
		return into.Symlink(h.Linkname, to)
	case tar.TypeLink:
		return into.Link(strings.TrimPrefix(path.Clean("/"+h.Linkname), "/"), to)
	case tar.TypeReg:
		// The owner of the process is not the image's: it must be able to read,
		// and to remove the file later.
		f, err := into.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, h.FileInfo().Mode().Perm()|0o600)
		if err != nil {
			return err
		}
		_, err = io.Copy(f, content)
		return errors.Join(err, f.Close())
	}
	return nil // devices and the like mean nothing to a static binary
}
