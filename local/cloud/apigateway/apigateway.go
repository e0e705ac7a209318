// Package apigateway is the local API Gateway: APIs, their configs and the
// gateways that serve them. A gateway routes real HTTP by the OpenAPI 2.0
// document of the config it was deployed with, and calls the backends with an
// ID token of the config's service account, as the cloud's does.
//
// Shapes are those of the API Gateway API v1
// (https://cloud.google.com/api-gateway/docs/reference/rest). The semantics of
// x-google-backend follow
// https://cloud.google.com/endpoints/docs/openapi/openapi-extensions, the error
// bodies those of ESPv2.
package apigateway

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	api "google.golang.org/api/apigateway/v1"

	"ingestion.internal/local/cloud"
)

// ErrNotFound and ErrExists are wrapped by operations on a name that is
// unknown, or taken.
var (
	ErrNotFound = errors.New("not found")
	ErrExists   = errors.New("already exists")
)

// maxBody is the gateway's largest request,
// https://cloud.google.com/api-gateway/docs/quotas.
const maxBody = 32 << 20

// Options configures a Service.
type Options struct {
	Identity cloud.Identity
	// Listen opens the listener of a gateway. Nil takes any free loopback port.
	Listen func(gatewayID string) (net.Listener, error)
}

// Service holds APIs, configs and gateways. Its methods are safe for
// concurrent use.
type Service struct {
	opts Options

	mu       sync.Mutex
	apis     map[string]*api.ApigatewayApi
	configs  map[string]*config
	gateways map[string]*gateway
}

type config struct {
	resource *api.ApigatewayApiConfig
	routes   []route
}

// gateway serves one listener. The handler is swapped whole, so a switch to
// another config loses no request.
type gateway struct {
	resource *api.ApigatewayGateway
	handler  atomic.Pointer[http.Handler]
	server   *http.Server
}

// New returns an empty service.
func New(opts Options) *Service {
	if opts.Listen == nil {
		opts.Listen = func(string) (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") }
	}
	return &Service{
		opts:     opts,
		apis:     map[string]*api.ApigatewayApi{},
		configs:  map[string]*config{},
		gateways: map[string]*gateway{},
	}
}

// Name patterns of the API's ids: 1-63 characters, lower case.
var (
	idPattern      = regexp.MustCompile(`^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$`)
	apiPattern     = regexp.MustCompile(`^projects/[^/]+/locations/global/apis/([^/]+)$`)
	configPattern  = regexp.MustCompile(`^(projects/[^/]+/locations/global/apis/[^/]+)/configs/([^/]+)$`)
	gatewayPattern = regexp.MustCompile(`^projects/[^/]+/locations/[^/]+/gateways/([^/]+)$`)
)

func checkName(pattern *regexp.Regexp, name string) (id string, err error) {
	m := pattern.FindStringSubmatch(name)
	if m == nil {
		return "", fmt.Errorf("name %q does not have the form %s", name, pattern)
	}
	id = m[len(m)-1]
	if !idPattern.MatchString(id) {
		return "", fmt.Errorf("id %q: 1-63 lower-case letters, digits and hyphens, beginning with a letter", id)
	}
	return id, nil
}

// CreateAPI is projects.locations.apis.create; in.Name is the full name.
func (s *Service) CreateAPI(in *api.ApigatewayApi) (*api.ApigatewayApi, error) {
	id, err := checkName(apiPattern, in.Name)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.apis[in.Name] != nil {
		return nil, fmt.Errorf("api %s: %w", in.Name, ErrExists)
	}
	out := *in
	out.State, out.CreateTime = "ACTIVE", now()
	out.ManagedService = id + ".apigateway.local"
	s.apis[in.Name] = &out
	return &out, nil
}

// DeleteAPI is projects.locations.apis.delete. An API that has configs stays.
func (s *Service) DeleteAPI(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.apis[name] == nil {
		return fmt.Errorf("api %s: %w", name, ErrNotFound)
	}
	for c := range s.configs {
		if strings.HasPrefix(c, name+"/configs/") {
			return fmt.Errorf("api %s still has config %s", name, c)
		}
	}
	delete(s.apis, name)
	return nil
}

// CreateConfig is projects.locations.apis.configs.create. The document is
// parsed and checked now, so a config that exists can be served.
func (s *Service) CreateConfig(in *api.ApigatewayApiConfig) (*api.ApigatewayApiConfig, error) {
	if _, err := checkName(configPattern, in.Name); err != nil {
		return nil, err
	}
	routes, err := documentRoutes(in.OpenapiDocuments)
	if err != nil {
		return nil, err
	}
	if in.GatewayServiceAccount == "" {
		for _, r := range routes {
			if r.audience != "" {
				return nil, fmt.Errorf("operation %s calls its backend with a token: the config needs gatewayServiceAccount", r.operation)
			}
		}
	}
	parent := configPattern.FindStringSubmatch(in.Name)[1]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.apis[parent] == nil {
		return nil, fmt.Errorf("api %s: %w", parent, ErrNotFound)
	}
	if s.configs[in.Name] != nil {
		return nil, fmt.Errorf("config %s: %w", in.Name, ErrExists)
	}
	out := *in
	out.State, out.CreateTime = "ACTIVE", now()
	s.configs[in.Name] = &config{resource: &out, routes: routes}
	return &out, nil
}

// DeleteConfig is projects.locations.apis.configs.delete. A config that a
// gateway serves stays.
func (s *Service) DeleteConfig(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.configs[name] == nil {
		return fmt.Errorf("config %s: %w", name, ErrNotFound)
	}
	for _, g := range s.gateways {
		if g.resource.ApiConfig == name {
			return fmt.Errorf("config %s is served by %s", name, g.resource.Name)
		}
	}
	delete(s.configs, name)
	return nil
}

// CreateGateway is projects.locations.gateways.create: it listens, and serves
// in.ApiConfig. DefaultHostname is the listener's host:port.
func (s *Service) CreateGateway(in *api.ApigatewayGateway) (*api.ApigatewayGateway, error) {
	id, err := checkName(gatewayPattern, in.Name)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gateways[in.Name] != nil {
		return nil, fmt.Errorf("gateway %s: %w", in.Name, ErrExists)
	}
	c := s.configs[in.ApiConfig]
	if c == nil {
		return nil, fmt.Errorf("config %s: %w", in.ApiConfig, ErrNotFound)
	}
	ln, err := s.opts.Listen(id)
	if err != nil {
		return nil, fmt.Errorf("gateway %s: %w", id, err)
	}
	out := *in
	out.State, out.CreateTime = "ACTIVE", now()
	out.DefaultHostname = ln.Addr().String()
	g := &gateway{resource: &out}
	g.deploy(c, s.opts.Identity)
	g.server = &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*g.handler.Load()).ServeHTTP(w, r) }),
		ReadHeaderTimeout: 10 * time.Second,
		MaxHeaderBytes:    60 << 10, // https://cloud.google.com/api-gateway/docs/quotas
	}
	go func() { _ = g.server.Serve(ln) }() // ends with Close, and then only says so
	s.gateways[in.Name] = g
	return copyGateway(g), nil
}

// PatchGateway is projects.locations.gateways.patch: it switches the gateway
// to another config, in place, and sets display name and labels.
func (s *Service) PatchGateway(in *api.ApigatewayGateway) (*api.ApigatewayGateway, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.gateways[in.Name]
	if g == nil {
		return nil, fmt.Errorf("gateway %s: %w", in.Name, ErrNotFound)
	}
	c := s.configs[in.ApiConfig]
	if c == nil {
		return nil, fmt.Errorf("config %s: %w", in.ApiConfig, ErrNotFound)
	}
	g.resource.ApiConfig, g.resource.DisplayName, g.resource.Labels = in.ApiConfig, in.DisplayName, in.Labels
	g.resource.UpdateTime = now()
	g.deploy(c, s.opts.Identity)
	return copyGateway(g), nil
}

// Gateway is projects.locations.gateways.get.
func (s *Service) Gateway(name string) (*api.ApigatewayGateway, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.gateways[name]
	if g == nil {
		return nil, fmt.Errorf("gateway %s: %w", name, ErrNotFound)
	}
	return copyGateway(g), nil
}

// Gateways returns every gateway.
func (s *Service) Gateways() []*api.ApigatewayGateway {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*api.ApigatewayGateway
	for _, g := range s.gateways {
		all = append(all, copyGateway(g))
	}
	return all
}

// DeleteGateway is projects.locations.gateways.delete.
func (s *Service) DeleteGateway(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.gateways[name]
	if g == nil {
		return fmt.Errorf("gateway %s: %w", name, ErrNotFound)
	}
	delete(s.gateways, name)
	return g.server.Close()
}

// Close ends every gateway.
func (s *Service) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, g := range s.gateways {
		errs = append(errs, g.server.Close())
	}
	clear(s.gateways)
	return errors.Join(errs...)
}

func (g *gateway) deploy(c *config, identity cloud.Identity) {
	h := newRouter(c.routes, c.resource.GatewayServiceAccount, identity)
	g.handler.Store(&h)
}

func copyGateway(g *gateway) *api.ApigatewayGateway {
	out := *g.resource
	return &out
}

func now() string { return time.Now().UTC().Format(time.RFC3339Nano) }

// documentRoutes decodes the one document of a config.
func documentRoutes(docs []*api.ApigatewayApiConfigOpenApiDocument) ([]route, error) {
	if len(docs) != 1 || docs[0].Document == nil {
		return nil, errors.New("openapiDocuments: exactly one document is needed")
	}
	raw, err := base64.StdEncoding.DecodeString(docs[0].Document.Contents)
	if err != nil {
		return nil, fmt.Errorf("openapiDocuments[0].document.contents: not base64: %w", err)
	}
	routes, err := parse(raw)
	if err != nil {
		return nil, fmt.Errorf("openapiDocuments[0] (%s): %w", docs[0].Document.Path, err)
	}
	return routes, nil
}
