package apigateway

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi2"
	"github.com/oasdiff/yaml"
)

// route is one operation of the document with its backend.
type route struct {
	method    string
	path      string // template, basePath included
	operation string // operationId
	backend   *url.URL
	constant  bool   // CONSTANT_ADDRESS: the request's path is not appended
	audience  string // of the ID token; "" = call without one
	deadline  time.Duration
}

// backendExtension is x-google-backend.
type backendExtension struct {
	Address         string  `json:"address"`
	JWTAudience     string  `json:"jwt_audience"`
	DisableAuth     bool    `json:"disable_auth"`
	PathTranslation string  `json:"path_translation"`
	Deadline        float64 `json:"deadline"` // seconds
	Protocol        string  `json:"protocol"`
}

// defaultDeadline applies where x-google-backend names none.
const defaultDeadline = 15 * time.Second

const (
	appendPath      = "APPEND_PATH_TO_ADDRESS"
	constantAddress = "CONSTANT_ADDRESS"
)

// parse reads an OpenAPI 2.0 document, JSON or YAML, and returns its routes,
// or every reason why the gateway would refuse it.
func parse(raw []byte) ([]route, error) {
	var doc openapi2.T
	data, err := yaml.YAMLToJSON(raw)
	if err != nil {
		return nil, fmt.Errorf("not YAML or JSON: %w", err)
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("not an OpenAPI document: %w", err)
	}
	if doc.Swagger != "2.0" {
		return nil, fmt.Errorf("swagger: %q, want \"2.0\"", doc.Swagger)
	}
	var errs []error
	if doc.Info.Title == "" || doc.Info.Version == "" {
		errs = append(errs, errors.New("info: title and version are required"))
	}
	errs = append(errs, unknownExtensions("", doc.Extensions)...)
	errs = append(errs, unknownExtensions("info", doc.Info.Extensions)...)
	var routes []route
	seen := map[string]string{}
	for path, item := range doc.Paths {
		errs = append(errs, unknownExtensions("paths."+path, item.Extensions)...)
		for method, op := range item.Operations() {
			where := fmt.Sprintf("paths.%s.%s", path, strings.ToLower(method))
			if !strings.HasPrefix(path, "/") {
				errs = append(errs, fmt.Errorf("%s: a path begins with /", where))
				continue
			}
			errs = append(errs, unknownExtensions(where, op.Extensions)...)
			switch other := seen[op.OperationID]; {
			case op.OperationID == "":
				errs = append(errs, fmt.Errorf("%s: operationId is required", where))
			case other != "":
				errs = append(errs, fmt.Errorf("%s: operationId %q is also that of %s", where, op.OperationID, other))
			default:
				seen[op.OperationID] = where
			}
			if op.Responses.Len() == 0 {
				errs = append(errs, fmt.Errorf("%s: responses are required", where))
			}
			// The default of path_translation depends on the level.
			extension, translation := op.Extensions["x-google-backend"], constantAddress
			if extension == nil {
				extension, translation = doc.Extensions["x-google-backend"], appendPath
			}
			r, err := backend(extension, translation)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s.x-google-backend: %w", where, err))
				continue
			}
			r.method, r.path, r.operation = method, strings.TrimSuffix(doc.BasePath, "/")+path, op.OperationID
			routes = append(routes, r)
		}
	}
	if len(doc.Paths) == 0 {
		errs = append(errs, errors.New("paths: there are none"))
	}
	if len(errs) > 0 {
		slices.SortFunc(errs, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) })
		return nil, errors.Join(errs...)
	}
	slices.SortFunc(routes, func(a, b route) int {
		return cmp.Or(cmp.Compare(a.path, b.path), cmp.Compare(a.method, b.method))
	})
	return routes, nil
}

// unknownExtensions returns an error for each of Google's extensions but the one
// that this gateway acts by. A mistyped one has no effect anywhere, and of one
// that is not built here nobody would see that it was never tried. Extensions
// of other names are the document's own.
func unknownExtensions(where string, extensions map[string]any) []error {
	var errs []error
	for name := range extensions {
		if strings.HasPrefix(name, "x-google-") && name != "x-google-backend" {
			errs = append(errs, fmt.Errorf("%s: the local gateway knows no such extension", strings.TrimPrefix(where+"."+name, ".")))
		}
	}
	return errs
}

func backend(extension any, translation string) (route, error) {
	if extension == nil {
		return route{}, errors.New("no backend here nor at the top of the document")
	}
	raw, err := json.Marshal(extension)
	if err != nil {
		return route{}, err
	}
	var e backendExtension
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&e); err != nil {
		return route{}, err
	}
	u, err := url.Parse(e.Address)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return route{}, fmt.Errorf("address %q is no absolute http(s) URL", e.Address)
	}
	if u.RawQuery != "" {
		return route{}, fmt.Errorf("address %q must not have a query", e.Address)
	}
	switch cmp.Or(e.PathTranslation, translation) {
	case constantAddress:
		translation = constantAddress
	case appendPath:
		translation = appendPath
	default:
		return route{}, fmt.Errorf("path_translation %q, want %s or %s", e.PathTranslation, appendPath, constantAddress)
	}
	if e.Protocol != "" && e.Protocol != "http/1.1" && e.Protocol != "h2" {
		return route{}, fmt.Errorf("protocol %q, want http/1.1 or h2", e.Protocol)
	}
	if e.Deadline < 0 {
		return route{}, fmt.Errorf("deadline %v is negative", e.Deadline)
	}
	if e.DisableAuth && e.JWTAudience != "" {
		return route{}, errors.New("jwt_audience and disable_auth exclude each other")
	}
	r := route{backend: u, constant: translation == constantAddress, deadline: defaultDeadline}
	if e.Deadline > 0 {
		r.deadline = time.Duration(e.Deadline * float64(time.Second))
	}
	if !e.DisableAuth {
		r.audience = cmp.Or(e.JWTAudience, u.Scheme+"://"+u.Host)
	}
	return r, nil
}
