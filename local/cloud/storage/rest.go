package storage

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"

	api "google.golang.org/api/storage/v1"
	"google.golang.org/grpc/codes"

	"ingestion.internal/local/cloud"
	"ingestion.internal/local/cloud/gapi"
)

// maxMetadata is the largest description of an object that an upload may begin
// with, in bytes.
const maxMetadata = 1 << 20

// ServeHTTP serves the JSON API under /storage/v1, /upload/storage/v1 and
// /download/storage/v1, and the downloads of the XML API, which the official
// client uses. It decides by the caller's access token.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	principal, err := s.config.Identity.Caller(r)
	if err != nil {
		gapi.WriteError(w, gapi.Errorf(codes.Unauthenticated, "Invalid Credentials: %v", err))
		return
	}
	if err := s.serve(w, r, principal); err != nil {
		gapi.WriteError(w, err)
	}
}

// call is a request taken apart.
type call struct {
	kind           string   // storage, upload, download or xml
	bucket, object string   // unescaped
	more           []string // what follows the object
	objects        bool     // it is about the bucket's objects or one of them
}

// parse reads the path of a request.
func parse(escaped string) (call, bool) {
	var segments []string
	for s := range strings.SplitSeq(strings.Trim(escaped, "/"), "/") {
		u, err := url.PathUnescape(s)
		if err != nil {
			return call{}, false
		}
		segments = append(segments, u)
	}
	c := call{kind: "storage"}
	if segments[0] == "upload" || segments[0] == "download" {
		c.kind, segments = segments[0], segments[1:]
	}
	if len(segments) >= 3 && segments[0] == "storage" && segments[1] == "v1" && segments[2] == "b" {
		segments = segments[3:]
		if len(segments) > 0 {
			c.bucket = segments[0]
		}
		if len(segments) > 1 {
			if segments[1] != "o" {
				return call{}, false
			}
			c.objects = true
		}
		if len(segments) > 2 {
			c.object, c.more = segments[2], segments[3:]
		}
		return c, c.kind == "storage" || c.objects
	}
	if c.kind == "storage" && len(segments) >= 2 && segments[0] != "storage" && segments[0] != "_internal" && segments[0] != "batch" {
		return call{kind: "xml", bucket: segments[0], object: strings.Join(segments[1:], "/"), objects: true}, true
	}
	return call{}, false
}

func (s *Service) serve(w http.ResponseWriter, r *http.Request, principal string) error {
	c, ok := parse(r.URL.EscapedPath())
	if !ok {
		return gapi.Errorf(codes.Unimplemented, "the local Cloud Storage does not serve %s %s", r.Method, r.URL.Path)
	}
	allow := func(permission, bucket, object string) error {
		return s.config.IAM.Check(r.Context(), principal, permission, resource(bucket, object))
	}
	if !c.objects {
		return s.serveBucket(w, r, c, allow)
	}
	// replace checks a write of an object: an existing one is deleted by it.
	replace := func(bucket, object string) error {
		if err := allow("storage.objects.create", bucket, object); err != nil {
			return err
		}
		exists, err := s.mayReplace(bucket, object)
		if err == nil && exists {
			err = allow("storage.objects.delete", bucket, object)
		}
		return err
	}
	var err error
	get := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch {
	case c.kind == "upload" && r.URL.Query().Has("upload_id"):
		// The session was allowed when it began, and its id is its own
		// authority; but what it writes may have come to be retained.
		if name := r.URL.Query().Get("name"); name != "" {
			_, err = s.mayReplace(c.bucket, name)
		}
	case c.kind == "upload" && r.Method == http.MethodPost:
		var name string
		if name, err = uploadName(r, c.bucket); err == nil {
			err = replace(c.bucket, name)
		}
	case (c.kind == "download" || c.kind == "xml") && get && c.object != "" && len(c.more) == 0:
		err = allow("storage.objects.get", c.bucket, c.object)
		if c.kind == "xml" {
			r = at(r, "/download/storage/v1/b/"+url.PathEscape(c.bucket)+"/o/"+url.PathEscape(c.object))
		}
	case c.kind != "storage":
		err = gapi.Errorf(codes.Unimplemented, "the local Cloud Storage does not serve %s %s", r.Method, r.URL.Path)
	case c.object == "" && get:
		err = allow("storage.objects.list", c.bucket, "")
	case c.object != "" && len(c.more) == 0 && get:
		err = allow("storage.objects.get", c.bucket, c.object)
	case c.object != "" && len(c.more) == 0 && r.Method == http.MethodDelete:
		if err = allow("storage.objects.delete", c.bucket, c.object); err == nil {
			_, err = s.mayReplace(c.bucket, c.object)
		}
	case c.object != "" && len(c.more) == 0 && (r.Method == http.MethodPatch || r.Method == http.MethodPut):
		err = allow("storage.objects.update", c.bucket, c.object)
	case len(c.more) == 5 && (c.more[0] == "rewriteTo" || c.more[0] == "copyTo") && c.more[1] == "b" && c.more[3] == "o" && r.Method == http.MethodPost:
		if err = allow("storage.objects.get", c.bucket, c.object); err == nil {
			err = replace(c.more[2], c.more[4])
		}
	default:
		err = gapi.Errorf(codes.Unimplemented, "the local Cloud Storage does not serve %s %s", r.Method, r.URL.Path)
	}
	if err != nil {
		return err
	}
	if _, err := s.Bucket(c.bucket); err != nil {
		return err
	}
	s.inner.ServeHTTP(w, r)
	return nil
}

// serveBucket serves the buckets themselves from their recorded settings.
func (s *Service) serveBucket(w http.ResponseWriter, r *http.Request, c call, allow func(permission, bucket, object string) error) error {
	var out any
	var err error
	read := func() (*api.Bucket, error) {
		var b api.Bucket
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxMetadata)).Decode(&b); err != nil {
			return nil, gapi.Errorf(codes.InvalidArgument, "Invalid JSON payload: %v", err)
		}
		return &b, nil
	}
	switch {
	case c.bucket == "" && r.Method == http.MethodGet:
		if err = allow("storage.buckets.list", "", ""); err == nil {
			out = &api.Buckets{Kind: "storage#buckets", Items: s.Buckets()}
		}
	case c.bucket == "" && r.Method == http.MethodPost:
		if err = allow("storage.buckets.create", "", ""); err == nil {
			var want *api.Bucket
			if want, err = read(); err == nil {
				out, err = s.InsertBucket(want)
			}
		}
	case r.Method == http.MethodGet:
		if err = allow("storage.buckets.get", c.bucket, ""); err == nil {
			out, err = s.Bucket(c.bucket)
		}
	case r.Method == http.MethodPut:
		if err = allow("storage.buckets.update", c.bucket, ""); err == nil {
			var want *api.Bucket
			if want, err = read(); err == nil {
				want.Name = c.bucket
				out, err = s.UpdateBucket(want)
			}
		}
	case r.Method == http.MethodDelete:
		if err = allow("storage.buckets.delete", c.bucket, ""); err == nil {
			if err = s.DeleteBucket(c.bucket, false); err == nil {
				w.WriteHeader(http.StatusNoContent)
				return nil
			}
		}
	default:
		err = gapi.Errorf(codes.Unimplemented, "the local Cloud Storage does not serve %s %s", r.Method, r.URL.Path)
	}
	if err != nil {
		return err
	}
	gapi.Write(w, out)
	return nil
}

// Buckets returns every bucket in the order of their names.
func (s *Service) Buckets() []*api.Bucket {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var list []*api.Bucket
	for _, b := range s.buckets {
		c := *b
		list = append(list, &c)
	}
	slices.SortFunc(list, func(a, b *api.Bucket) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// resource shows a bucket or an object to IAM.
func resource(bucket, object string) cloud.Resource {
	switch {
	case object != "":
		return cloud.Resource{Service: service, Type: service + "/Object", Name: "projects/_/buckets/" + bucket + "/objects/" + object}
	case bucket != "":
		return cloud.Resource{Service: service, Type: service + "/Bucket", Name: "projects/_/buckets/" + bucket}
	}
	return cloud.Resource{Service: service, Type: service + "/Bucket", Name: "projects/_"}
}

// uploadName returns the name of the object that an upload begins to write,
// and leaves the request's body as it was.
func uploadName(r *http.Request, bucket string) (string, error) {
	q := r.URL.Query()
	var meta struct{ Bucket, Name string }
	refuse := func(err error) (string, error) {
		return "", gapi.Errorf(codes.InvalidArgument, "Upload's description cannot be read: %v", err)
	}
	switch kind := q.Get("uploadType"); kind {
	case "media":
	case "resumable":
		body, err := io.ReadAll(io.LimitReader(r.Body, maxMetadata))
		if err != nil {
			return refuse(err)
		}
		if len(bytes.TrimSpace(body)) > 0 {
			if err := json.Unmarshal(body, &meta); err != nil {
				return refuse(err)
			}
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
	case "multipart":
		_, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil {
			return refuse(err)
		}
		var seen bytes.Buffer
		body := r.Body
		part, err := multipart.NewReader(io.TeeReader(body, &seen), params["boundary"]).NextPart()
		if err != nil {
			return refuse(err)
		}
		if err := json.NewDecoder(io.LimitReader(part, maxMetadata)).Decode(&meta); err != nil {
			return refuse(err)
		}
		r.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(&seen, body), body}
	default:
		return "", gapi.Errorf(codes.InvalidArgument, "uploadType %q is not media, multipart or resumable", kind)
	}
	if meta.Bucket != "" && meta.Bucket != bucket {
		return "", gapi.Errorf(codes.InvalidArgument, "The upload's description names the bucket %s, its URL %s", meta.Bucket, bucket)
	}
	name := q.Get("name")
	if name == "" {
		name = meta.Name
	} else if meta.Name != "" && meta.Name != name {
		return "", gapi.Errorf(codes.InvalidArgument, "The upload's description names the object %s, its URL %s", meta.Name, name)
	}
	if name == "" {
		return "", gapi.Errorf(codes.InvalidArgument, "Required object name")
	}
	return name, nil
}

// at returns the request as one for another path.
func at(r *http.Request, escaped string) *http.Request {
	c := r.Clone(r.Context())
	c.URL.RawPath = escaped
	c.URL.Path, _ = url.PathUnescape(escaped)
	c.RequestURI = c.URL.RequestURI()
	return c
}
