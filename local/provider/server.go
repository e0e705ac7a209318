// Package provider lets the real Pulumi engine deploy to the local cloud: it
// serves the protocol of a resource provider plugin for the gcp package, and
// describes each resource type by a Kind. With
// PULUMI_DEBUG_PROVIDERS=gcp:PORT the engine talks to it instead of starting
// the plugin.
//
// A type that is live is made real on this machine; one that is recorded is
// checked and kept, and what is live obeys it; any other is refused by name.
package provider

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"
)

// version is that of the provider whose behaviour this one follows.
const version = "7.38.0"

// maxMessage is the largest message of the protocol, as in the engine.
const maxMessage = 400 << 20

// Server is the provider. It outlives the engines that talk to it, one after
// another, and is safe for concurrent use.
type Server struct {
	pulumirpc.UnimplementedResourceProviderServer

	kinds map[string]Kind

	mu     sync.Mutex
	env    Env
	live   map[string]Mode // by type and id: what exists
	cancel chan struct{}   // closed and replaced when an engine cancels
}

// New returns a provider for the cloud env of these kinds. It panics if two
// kinds describe one type.
func New(env Env, kinds ...[]Kind) *Server {
	s := &Server{env: env, kinds: map[string]Kind{}, live: map[string]Mode{}, cancel: make(chan struct{})}
	for _, k := range slices.Concat(kinds...) {
		if _, ok := s.kinds[k.Type]; ok {
			panic("provider: two kinds describe " + k.Type)
		}
		s.kinds[k.Type] = k
	}
	return s
}

// Serve answers engines on the listener until ctx ends.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	server := grpc.NewServer(grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(maxMessage))
	pulumirpc.RegisterResourceProviderServer(server, s)
	stop := context.AfterFunc(ctx, server.Stop)
	defer stop()
	if err := server.Serve(listener); err != nil && ctx.Err() == nil {
		return fmt.Errorf("serving the Pulumi provider: %w", err)
	}
	return nil
}

// Counts returns how many resources exist in each mode.
func (s *Server) Counts() map[Mode]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := map[Mode]int{Live: 0, Recorded: 0}
	for _, mode := range s.live {
		counts[mode]++
	}
	return counts
}

// Types returns the types that the provider knows with their modes.
func (s *Server) Types() map[string]Mode {
	types := make(map[string]Mode, len(s.kinds))
	for t, k := range s.kinds {
		types[t] = k.Mode
	}
	return types
}

func (s *Server) currentEnv() Env {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.env
}

// kind returns the description of the type in a URN.
func (s *Server) kind(urn string) (Kind, error) {
	t := typeOf(urn)
	if k, ok := s.kinds[t]; ok {
		return k, nil
	}
	return Kind{}, fmt.Errorf("the local cloud does not know %s: describe it by a Kind in local/provider (kinds_recorded.go if it only has to be checked and kept)", t)
}

// typeOf returns the resource's own type in urn:pulumi:STACK::PROJECT::PARENT$TYPE::NAME.
func typeOf(urn string) string {
	part := strings.SplitN(urn, "::", 4)
	if len(part) < 3 {
		return urn
	}
	return part[2][strings.LastIndexByte(part[2], '$')+1:]
}

// within bounds ctx by the engine's cancellation.
func (s *Server) within(ctx context.Context) (context.Context, func()) {
	s.mu.Lock()
	cancelled := s.cancel
	s.mu.Unlock()
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-cancelled:
			cancel(errors.New("the deployment was cancelled"))
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

// Handshake tells the engine how to speak.
func (s *Server) Handshake(context.Context, *pulumirpc.ProviderHandshakeRequest) (*pulumirpc.ProviderHandshakeResponse, error) {
	return &pulumirpc.ProviderHandshakeResponse{}, nil
}

// GetPluginInfo names the version that is followed.
func (s *Server) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: version}, nil
}

// Attach accepts an engine; the provider needs nothing from it.
func (s *Server) Attach(context.Context, *pulumirpc.PluginAttach) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

// Cancel ends what is in progress.
func (s *Server) Cancel(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.cancel)
	s.cancel = make(chan struct{})
	return &emptypb.Empty{}, nil
}

// CheckConfig accepts the stack's gcp settings as they are.
func (s *Server) CheckConfig(_ context.Context, req *pulumirpc.CheckRequest) (*pulumirpc.CheckResponse, error) {
	return &pulumirpc.CheckResponse{Inputs: req.GetNews()}, nil
}

// DiffConfig says that no change of settings replaces the provider.
func (s *Server) DiffConfig(context.Context, *pulumirpc.DiffRequest) (*pulumirpc.DiffResponse, error) {
	return &pulumirpc.DiffResponse{Changes: pulumirpc.DiffResponse_DIFF_NONE}, nil
}

// Configure takes gcp:project and gcp:region. The local cloud is one project,
// so another is refused.
func (s *Server) Configure(_ context.Context, req *pulumirpc.ConfigureRequest) (*pulumirpc.ConfigureResponse, error) {
	args := req.GetArgs().GetFields()
	setting := func(name string) string {
		if v := args[name].GetStringValue(); v != "" && !unknownValues[v] {
			return v
		}
		return req.GetVariables()["gcp:config:"+name] //nolint:staticcheck // an engine that sends no args sends these
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := setting("project"); p != "" && p != s.env.Project {
		return nil, status.Errorf(codes.InvalidArgument, "the local cloud is the project %q, but gcp:project is %q", s.env.Project, p)
	}
	if r := setting("region"); r != "" {
		s.env.Region = r
	}
	return &pulumirpc.ConfigureResponse{SupportsPreview: true}, nil
}

// Check fills in defaults and finds every invalid input.
func (s *Server) Check(_ context.Context, req *pulumirpc.CheckRequest) (*pulumirpc.CheckResponse, error) {
	kind, err := s.kind(req.GetUrn())
	if err != nil {
		return &pulumirpc.CheckResponse{Inputs: req.GetNews(), Failures: []*pulumirpc.CheckFailure{{Reason: err.Error()}}}, nil
	}
	in, unknown := fromStruct(req.GetNews())
	isUnknown := map[string]bool{}
	for _, p := range unknown {
		isUnknown[p.String()] = true
	}
	if kind.Normalize != nil {
		kind.Normalize(s.currentEnv(), req.GetUrn(), in)
	}
	var failures []Failure
	for _, name := range kind.Required {
		if !isUnknown[name] && !contains(in, strings.Split(name, ".")) {
			failures = append(failures, Failure{Property: name, Reason: "is required"})
		}
	}
	if kind.Validate != nil {
		failures = append(failures, kind.Validate(in, isUnknown)...)
	}
	resp := &pulumirpc.CheckResponse{}
	for _, f := range failures {
		// The path is in the reason: the engine would print a named
		// property's value beside it, secret or not.
		resp.Failures = append(resp.Failures, &pulumirpc.CheckFailure{Reason: f.String()})
	}
	resp.Inputs, err = toStruct(in, unknown)
	return resp, err
}

// Diff compares inputs with inputs: what is deployed is what was asked for.
func (s *Server) Diff(_ context.Context, req *pulumirpc.DiffRequest) (*pulumirpc.DiffResponse, error) {
	kind, err := s.kind(req.GetUrn())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	old, _ := fromStruct(req.GetOldInputs())
	in, unknown := fromStruct(req.GetNews())
	rules := kind.Replace
	if kind.ReplaceIf != nil {
		rules = append(slices.Clip(rules), kind.ReplaceIf(old, in)...)
	}
	resp := &pulumirpc.DiffResponse{
		Changes: pulumirpc.DiffResponse_DIFF_NONE, HasDetailedDiff: true,
		DetailedDiff: map[string]*pulumirpc.PropertyDiff{},
	}
	for _, c := range changes(old, in, unknown) {
		top := c.at[0].(string)
		if ignored(req.GetIgnoreChanges(), c.at) {
			continue
		}
		resp.Changes = pulumirpc.DiffResponse_DIFF_SOME
		if !slices.Contains(resp.Diffs, top) {
			resp.Diffs = append(resp.Diffs, top)
		}
		replace := slices.ContainsFunc(rules, c.touches)
		if replace && !slices.Contains(resp.Replaces, top) {
			resp.Replaces = append(resp.Replaces, top)
		}
		diff := &pulumirpc.PropertyDiff{InputDiff: true, Kind: pulumirpc.PropertyDiff_UPDATE}
		switch {
		case c.added:
			diff.Kind = pulumirpc.PropertyDiff_ADD
		case c.removed:
			diff.Kind = pulumirpc.PropertyDiff_DELETE
		}
		if replace {
			diff.Kind++ // each kind is followed by its replacing form
		}
		resp.DetailedDiff[c.at.String()] = diff
	}
	// Two resources cannot have one id.
	sameID := kind.ID == nil || kind.ID(old) == kind.ID(in)
	resp.DeleteBeforeReplace = len(resp.Replaces) > 0 && sameID && !kind.CreateFirst
	return resp, nil
}

// ignored tells whether a change is in a property that the program told the
// engine to ignore.
func ignored(paths []string, at path) bool {
	full := at.String()
	return slices.ContainsFunc(paths, func(p string) bool {
		rest, ok := strings.CutPrefix(full, p)
		return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
	})
}

// Create makes or records a resource. In a preview it says what is known of
// the outputs.
func (s *Server) Create(ctx context.Context, req *pulumirpc.CreateRequest) (*pulumirpc.CreateResponse, error) {
	kind, err := s.kind(req.GetUrn())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	in, unknown := fromStruct(req.GetProperties())
	if req.GetPreview() {
		out := clone(in)
		if kind.Outputs != nil {
			for name, v := range kind.Outputs(clone(in)) {
				if len(unknown) > 0 {
					unknown = append(unknown, path{name})
				} else {
					out[name] = v
				}
			}
		}
		for _, name := range kind.Computed {
			unknown = append(unknown, path{name})
		}
		properties, err := toStruct(out, unknown)
		return &pulumirpc.CreateResponse{Properties: properties}, err
	}
	ctx, done := s.within(ctx)
	defer done()
	id, out, err := kind.create(ctx, in)
	if err != nil {
		return nil, failure(err)
	}
	properties, err := toStruct(out, nil)
	if err != nil {
		return nil, failure(err)
	}
	s.mu.Lock()
	s.live[kind.Type+" "+id] = kind.Mode
	s.mu.Unlock()
	return &pulumirpc.CreateResponse{Id: id, Properties: properties}, nil
}

func (k Kind) create(ctx context.Context, in Object) (id string, out Object, err error) {
	if k.Create != nil {
		return k.Create(ctx, in)
	}
	return k.ID(in), k.record(in), nil
}

// record returns the state of a recorded resource.
func (k Kind) record(in Object) Object {
	out := clone(in)
	if k.Outputs != nil {
		maps.Copy(out, k.Outputs(in))
	}
	return out
}

// Update changes a resource in place.
func (s *Server) Update(ctx context.Context, req *pulumirpc.UpdateRequest) (*pulumirpc.UpdateResponse, error) {
	kind, err := s.kind(req.GetUrn())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	old, _ := fromStruct(req.GetOlds())
	oldIn, _ := fromStruct(req.GetOldInputs())
	in, unknown := fromStruct(req.GetNews())
	// What the resource is: its outputs, with the inputs of today.
	next := func() Object {
		out := clone(old)
		for name := range oldIn {
			delete(out, name)
		}
		maps.Copy(out, kind.record(in))
		return out
	}
	if req.GetPreview() {
		for _, name := range kind.Volatile {
			unknown = append(unknown, path{name})
		}
		properties, err := toStruct(next(), unknown)
		return &pulumirpc.UpdateResponse{Properties: properties}, err
	}
	out := next()
	if kind.Update != nil {
		ctx, done := s.within(ctx)
		defer done()
		if out, err = kind.Update(ctx, req.GetId(), old, in); err != nil {
			return nil, failure(err)
		}
	}
	properties, err := toStruct(out, nil)
	if err != nil {
		return nil, failure(err)
	}
	s.mu.Lock()
	s.live[kind.Type+" "+req.GetId()] = kind.Mode
	s.mu.Unlock()
	return &pulumirpc.UpdateResponse{Properties: properties}, nil
}

// Read returns a resource's state; an empty answer says that it is gone. Asked
// without a state, it imports.
func (s *Server) Read(ctx context.Context, req *pulumirpc.ReadRequest) (*pulumirpc.ReadResponse, error) {
	kind, err := s.kind(req.GetUrn())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	old, _ := fromStruct(req.GetProperties())
	if len(old) == 0 {
		return s.read(ctx, kind, req)
	}
	if kind.Read == nil {
		return &pulumirpc.ReadResponse{Id: req.GetId(), Properties: req.GetProperties(), Inputs: req.GetInputs()}, nil
	}
	ctx, done := s.within(ctx)
	defer done()
	out, ok, err := kind.Read(ctx, req.GetId(), old)
	if err != nil {
		return nil, failure(err)
	}
	if !ok {
		return &pulumirpc.ReadResponse{}, nil
	}
	properties, err := toStruct(out, nil)
	return &pulumirpc.ReadResponse{Id: req.GetId(), Properties: properties, Inputs: req.GetInputs()}, err
}

// read imports a resource.
func (s *Server) read(ctx context.Context, kind Kind, req *pulumirpc.ReadRequest) (*pulumirpc.ReadResponse, error) {
	if kind.Import == nil {
		return nil, status.Errorf(codes.Unimplemented, "%s cannot be imported into the local cloud: give its Kind an Import", kind.Type)
	}
	ctx, done := s.within(ctx)
	defer done()
	id, in, ok, err := kind.Import(ctx, s.currentEnv(), req.GetId())
	if err != nil {
		return nil, failure(err)
	}
	if !ok {
		return &pulumirpc.ReadResponse{}, nil
	}
	inputs, err := toStruct(clone(in), nil)
	if err != nil {
		return nil, failure(err)
	}
	properties, err := toStruct(kind.record(in), nil)
	if err != nil {
		return nil, failure(err)
	}
	s.mu.Lock()
	s.live[kind.Type+" "+id] = kind.Mode
	s.mu.Unlock()
	return &pulumirpc.ReadResponse{Id: id, Properties: properties, Inputs: inputs}, nil
}

// Delete removes a resource.
func (s *Server) Delete(ctx context.Context, req *pulumirpc.DeleteRequest) (*emptypb.Empty, error) {
	kind, err := s.kind(req.GetUrn())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	old, _ := fromStruct(req.GetProperties())
	if kind.Delete != nil {
		ctx, done := s.within(ctx)
		defer done()
		if err := kind.Delete(ctx, req.GetId(), old); err != nil {
			return nil, failure(err)
		}
	}
	s.mu.Lock()
	delete(s.live, kind.Type+" "+req.GetId())
	s.mu.Unlock()
	return &emptypb.Empty{}, nil
}

// Invoke answers the data sources that programs ask about the project.
func (s *Server) Invoke(_ context.Context, req *pulumirpc.InvokeRequest) (*pulumirpc.InvokeResponse, error) {
	env := s.currentEnv()
	var out Object
	switch req.GetTok() {
	case "gcp:organizations/getProject:getProject":
		if id := req.GetArgs().GetFields()["projectId"].GetStringValue(); id != "" && id != env.Project {
			return nil, status.Errorf(codes.NotFound, "the local cloud is the project %q; it has no project %q", env.Project, id)
		}
		out = Object{"id": "projects/" + env.Project, "projectId": env.Project, "name": env.Project, "number": env.ProjectNumber}
	case "gcp:organizations/getClientConfig:getClientConfig":
		out = Object{
			"id": "projects/" + env.Project + "/regions/" + env.Region + "/zones/", "project": env.Project,
			"region": env.Region, "zone": "", "accessToken": "",
		}
	default:
		return nil, status.Errorf(codes.Unimplemented, "the local cloud does not know the function %s: add it to Invoke in local/provider/server.go", req.GetTok())
	}
	ret, err := structpb.NewStruct(out)
	return &pulumirpc.InvokeResponse{Return: ret}, err
}

// failure passes an error to the engine, which shows its message.
func failure(err error) error {
	if errors.Is(err, context.Canceled) {
		return status.Error(codes.Canceled, err.Error())
	}
	return status.Error(codes.Unknown, err.Error())
}
