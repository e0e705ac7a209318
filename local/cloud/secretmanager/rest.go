package secretmanager

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"

	api "google.golang.org/api/secretmanager/v1"
	"google.golang.org/grpc/codes"

	"ingestion.internal/local/cloud/gapi"
)

// ServeHTTP serves the v1 REST API:
// https://cloud.google.com/secret-manager/docs/reference/rest
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	resource, err := s.serve(w, r)
	if err != nil {
		gapi.WriteError(w, err)
		return
	}
	gapi.Write(w, resource)
}

func (s *Service) serve(w http.ResponseWriter, r *http.Request) (any, error) {
	principal, err := s.identity.Caller(r)
	if err != nil {
		return nil, gapi.Errorf(codes.Unauthenticated, "Request had invalid authentication credentials: %v", err)
	}
	path, ok := strings.CutPrefix(r.URL.Path, "/v1/")
	if !ok {
		return nil, gapi.Errorf(codes.NotFound, "no such path %q", r.URL.Path)
	}
	path, verb, _ := strings.Cut(path, ":")
	// A collection is named by its parent: take the leaf off.
	collection := ""
	for _, leaf := range []string{"/secrets", "/versions"} {
		if parent, ok := strings.CutSuffix(path, leaf); ok {
			path, collection = parent, strings.TrimPrefix(leaf, "/")
		}
	}
	n, err := s.parse(path)
	if err != nil {
		return nil, err
	}
	allow := func(permission string) error { return s.iam.Check(r.Context(), principal, permission, s.resource(n)) }
	body := func(v any) error {
		// A payload is base64 in JSON, so half as large again at most.
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 2*maxPayload)).Decode(v); err != nil {
			return gapi.Errorf(codes.InvalidArgument, "Invalid JSON payload: %v", err)
		}
		return nil
	}

	onVersion := map[string]struct {
		permission string
		do         func(id, v string) (api.SecretVersion, error)
	}{
		"GET ":         {"secretmanager.versions.get", s.Version},
		"POST enable":  {"secretmanager.versions.enable", s.Enable},
		"POST disable": {"secretmanager.versions.disable", s.Disable},
		"POST destroy": {"secretmanager.versions.destroy", s.Destroy},
	}
	switch op := r.Method + " " + verb; {
	case n.version != "" && op == "GET access":
		if err := allow("secretmanager.versions.access"); err != nil {
			return nil, err
		}
		payload, v, err := s.Access(n.secret, n.version)
		return &api.AccessSecretVersionResponse{Name: v.Name, Payload: &api.SecretPayload{
			Data: base64.StdEncoding.EncodeToString(payload), DataCrc32c: checksum(payload),
		}}, err
	case n.version != "" && onVersion[op].do != nil:
		if err := allow(onVersion[op].permission); err != nil {
			return nil, err
		}
		v, err := onVersion[op].do(n.secret, n.version)
		return &v, err
	case n.version != "":
	case n.secret != "" && collection == "versions" && op == "GET ":
		if err := allow("secretmanager.versions.list"); err != nil {
			return nil, err
		}
		list, err := s.Versions(n.secret)
		return &api.ListSecretVersionsResponse{Versions: list, TotalSize: int64(len(list))}, err
	case n.secret != "" && collection == "" && op == "POST addVersion":
		if err := allow("secretmanager.versions.add"); err != nil {
			return nil, err
		}
		var req api.AddSecretVersionRequest
		if err := body(&req); err != nil {
			return nil, err
		}
		if req.Payload == nil {
			return nil, gapi.Errorf(codes.InvalidArgument, "payload is required")
		}
		payload, err := base64.StdEncoding.DecodeString(req.Payload.Data)
		if err != nil {
			return nil, gapi.Errorf(codes.InvalidArgument, "payload.data: %v", err)
		}
		if sum := req.Payload.DataCrc32c; sum != 0 && sum != checksum(payload) {
			return nil, gapi.Errorf(codes.InvalidArgument, "payload.data_crc32c does not match the data")
		}
		v, err := s.AddVersion(n.secret, payload)
		return &v, err
	case n.secret != "" && collection == "" && op == "GET ":
		if err := allow("secretmanager.secrets.get"); err != nil {
			return nil, err
		}
		found, err := s.Get(n.secret)
		return &found, err
	case n.secret != "" && collection == "" && op == "DELETE ":
		if err := allow("secretmanager.secrets.delete"); err != nil {
			return nil, err
		}
		return struct{}{}, s.Delete(n.secret)
	case n.secret == "" && collection == "secrets" && op == "GET ":
		if err := allow("secretmanager.secrets.list"); err != nil {
			return nil, err
		}
		list := s.List()
		return &api.ListSecretsResponse{Secrets: list, TotalSize: int64(len(list))}, nil
	case n.secret == "" && collection == "secrets" && op == "POST ":
		if err := allow("secretmanager.secrets.create"); err != nil {
			return nil, err
		}
		var want api.Secret
		if err := body(&want); err != nil {
			return nil, err
		}
		created, err := s.Create(r.URL.Query().Get("secretId"), want)
		return &created, err
	}
	return nil, gapi.Errorf(codes.Unimplemented, "the local Secret Manager does not serve %s %s", r.Method, r.URL.Path)
}
