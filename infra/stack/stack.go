// Package stack is the Pulumi program: it registers every resource of the
// platform, the same way for each stack. What distinguishes stacks is
// [Config]; what distinguishes services is the catalogue. Each family of
// resources has its file.
package stack

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/artifactregistry"
	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/cloudrunv2"
	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/cloudtasks"
	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/essentialcontacts"
	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/monitoring"
	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/projects"
	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/secretmanager"
	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/serviceaccount"
	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/spanner"
	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/storage"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ingestion.internal/infra/image"
	"ingestion.internal/shared/topology"
)

// app is the platform's name in labels and in names of resources.
const app = "ingestion"

// program is a run of Deploy: the config and what is registered so far.
type program struct {
	ctx *pulumi.Context
	cfg *Config

	apis     map[string]*projects.Service
	accounts map[string]*serviceaccount.Account
	grants   map[string][]pulumi.Resource // by account: what it must hold before it can work

	secrets   map[string]*secretmanager.Secret // the platform's own, by id
	keys      map[string]encryption            // by use; empty without keys
	registry  *artifactregistry.Repository
	images    func() (imageSet, error)
	instance  *spanner.Instance // nil if the stack uses an existing one
	database  *spanner.Database
	audio     *storage.Bucket
	documents *storage.Bucket
	manifest  *storage.BucketObject
	queues    map[topology.Queue]*cloudtasks.Queue
	sync      *cloudrunv2.Job
	services  map[string]*cloudrunv2.Service
	invokers  map[string][]pulumi.Resource // by service
	gateway   pulumi.StringOutput          // URL
	entrance  pulumi.Resource              // what comes up last: everything else is there

	watching pulumi.ResourceOption // parent of what watches
	metrics  []pulumi.Resource     // log-based ones
	channels map[string]*monitoring.NotificationChannel
	uptime   *monitoring.UptimeCheckConfig // nil if nothing is probed

	gatewayID pulumi.StringOutput
	edge      *edge                                  // nil without
	network   *network                               // nil without
	forms     *essentialcontacts.DocumentAiProcessor // nil without
	modules   map[string]bool                        // of the provider: those that something was registered of
}

// imageSet is what the program needs of built images.
type imageSet interface {
	Digest(service string) string
	Push(ctx context.Context, service, repository string) (reference string, err error)
}

// builder compiles the handlers of a stack.
type builder func(context.Context, *Config) (imageSet, error)

// Deploy registers the platform's resources. It is the whole of a Pulumi
// program: pulumi.Run(stack.Deploy). The working directory must be in the
// repository.
func Deploy(ctx *pulumi.Context) error {
	p, err := deploy(ctx, os.Getenv, buildImages)
	if err != nil {
		return err
	}
	outputs, err := p.outputs()
	if err != nil {
		return err
	}
	for name, value := range outputs {
		ctx.Export(name, value)
	}
	return nil
}

// deploy registers everything. What the stack publishes of it is
// [program.outputs].
func deploy(ctx *pulumi.Context, getenv func(string) string, build builder) (*program, error) {
	cfg, err := loadConfig(ctx, getenv)
	if err != nil {
		return nil, err
	}
	p := &program{
		ctx:      ctx,
		cfg:      cfg,
		apis:     map[string]*projects.Service{},
		accounts: map[string]*serviceaccount.Account{},
		grants:   map[string][]pulumi.Resource{},
		keys:     map[string]encryption{},
		queues:   map[topology.Queue]*cloudtasks.Queue{},
		services: map[string]*cloudrunv2.Service{},
		modules:  map[string]bool{},
		invokers: map[string][]pulumi.Resource{},
		channels: map[string]*monitoring.NotificationChannel{},
	}
	if err := p.noteModules(); err != nil {
		return nil, err
	}
	p.images = begin(func() (imageSet, error) { return build(ctx.Context(), cfg) })
	for _, register := range []func() error{
		p.warnOfModels,
		p.registerAPIs,
		p.registerMetrics,
		p.registerNetwork,
		p.registerAccounts,
		p.registerKeys,
		p.registerRegistry,
		p.registerDatabase,
		p.registerStorage,
		p.registerQueues,
		p.registerSecrets,
		p.registerProjectGrants,
		p.registerDocumentAI,
		p.registerJob,
		p.registerServices,
		p.registerGateway,
		p.registerAudit,
		p.registerEdge,
		p.registerSchedules, // one of them brings the public address
		p.registerMonitoring,
		p.registerBudgets,
		p.registerPerimeter,
		p.registerOrganization,
		p.registerDeployer, // last: its roles follow from what was registered
	} {
		if err := register(); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// begin runs f in the background and returns a function that awaits it.
func begin[T any](f func() (T, error)) func() (T, error) {
	done := make(chan struct{})
	var value T
	var err error
	go func() {
		defer close(done)
		value, err = f()
	}()
	return func() (T, error) {
		<-done
		return value, err
	}
}

// buildImages compiles every workload of the catalogue.
func buildImages(ctx context.Context, cfg *Config) (imageSet, error) {
	root, err := repositoryRoot()
	if err != nil {
		return nil, err
	}
	return image.Build(ctx, image.Options{
		Module:   filepath.Join(root, "functions"),
		Services: names(),
		Platform: cfg.Image.Platform,
		Base:     cfg.Image.Base,
		Dir:      filepath.Join(root, ".local", "images"),
	})
}

// repositoryRoot returns the nearest folder above the working directory that
// holds the project file. It is not taken from Pulumi, which gives none to an
// inline program of the Automation API.
func repositoryRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "Pulumi.yaml")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("no Pulumi.yaml in the working directory or above it")
		}
		dir = parent
	}
}

// labels returns the labels of a resource that belongs to a component.
func (p *program) labels(component string) pulumi.StringMap {
	return pulumi.StringMap{
		"app":       pulumi.String(app),
		"stack":     pulumi.String(p.cfg.Stack),
		"component": pulumi.String(component),
	}
}

// group is a component: it only holds the resources of a family together.
type group struct{ pulumi.ResourceState }

// component registers a component of the type ingestion:<family>:<Family>,
// and returns the option that makes resources its children. Types and names of
// components are part of every child's URN: to change one, alias the old.
func (p *program) component(family, name string, opts ...pulumi.ResourceOption) (pulumi.ResourceOption, error) {
	g := &group{}
	typ := app + ":" + family + ":" + strings.ToUpper(family[:1]) + family[1:]
	if err := p.ctx.RegisterComponentResource(typ, name, g, opts...); err != nil {
		return nil, err
	}
	if err := p.ctx.RegisterResourceOutputs(g, pulumi.Map{}); err != nil {
		return nil, err
	}
	return pulumi.Parent(g), nil
}
