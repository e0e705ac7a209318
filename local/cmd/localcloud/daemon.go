package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"gopkg.in/yaml.v3"

	"ingestion.internal/local/cloud"
	"ingestion.internal/local/cloud/apigateway"
	"ingestion.internal/local/cloud/cloudrun"
	"ingestion.internal/local/cloud/cloudtasks"
	"ingestion.internal/local/cloud/iam"
	"ingestion.internal/local/cloud/identity"
	"ingestion.internal/local/cloud/registry"
	"ingestion.internal/local/cloud/scheduler"
	"ingestion.internal/local/cloud/secretmanager"
	"ingestion.internal/local/cloud/spanner"
	"ingestion.internal/local/cloud/storage"
	"ingestion.internal/local/internal/daemonapi"
	"ingestion.internal/local/provider"
	"ingestion.internal/local/site"
	"ingestion.internal/local/standin/calendar"
	"ingestion.internal/local/standin/callrail"
	"ingestion.internal/local/standin/documentai"
	"ingestion.internal/local/standin/fault"
	"ingestion.internal/local/standin/geocoding"
	"ingestion.internal/local/standin/speech"
	"ingestion.internal/local/standin/vertexai"
	"ingestion.internal/shared/topology"
)

// projectNumber is what the local cloud's one project has for a number.
const projectNumber = "100000000001"

// repositoryID is the Artifact Registry repository that infra/stack makes.
const repositoryID = "ingestion"

// preferredPorts are tried first, so that addresses are the same from one day
// to the next; a port that is taken is replaced by a free one.
var preferredPorts = map[string]int{
	"gateway":        8780,
	"admin":          8781,
	"provider":       8782,
	"registry":       8783,
	"cloudtasks":     8784,
	"secretmanager":  8785,
	"storage":        8786,
	"identity":       8787,
	"speech":         8788,
	"vertexai":       8789,
	"callrail":       8790,
	"hubspot":        8791,
	"salesforce":     8792,
	"mcp":            8793,
	"sendgrid":       8794,
	"documentai":     8798,
	"calendar":       8797,
	"geocoding":      8799,
	"firstCloudRun":  8800, // one each from here on
	"lastOfCloudRun": 8819,
	"website":        8820,
}

// localCloud is everything that one daemon runs.
type localCloud struct {
	opts      daemonOptions
	log       *slog.Logger
	project   string
	shutdown  context.CancelFunc
	started   time.Time
	addresses map[string]string // base URL or host:port, by service

	spanner  *spanner.Service
	secrets  *secretmanager.Service
	storage  *storage.Service
	run      *cloudrun.Service
	tasks    *cloudtasks.Service
	gateway  *apigateway.Service
	provider *provider.Server
	callrail *callrail.Server
	outside  *outside
	faults   map[string]*fault.Injector
	diary    *diary
}

// runDaemon runs the local cloud until ctx is done or it is told to shut down.
// It announces itself when everything answers, and returns when everything it
// started has ended.
func runDaemon(ctx context.Context, o daemonOptions) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := &localCloud{opts: o, shutdown: cancel, started: time.Now(), addresses: map[string]string{}, faults: map[string]*fault.Injector{}, diary: newDiary(os.Stderr)}
	c.log = slog.New(slog.NewTextHandler(c.diary, nil))
	project, region, err := stackProject(o.Root, "local")
	if err != nil {
		return err
	}
	c.project = project

	// Whatever has started is ended in reverse order, also after a failure.
	var closers []func() error
	defer func() {
		c.log.Info("stopping")
		for _, end := range slices.Backward(closers) {
			err = errors.Join(err, end())
		}
	}()
	closing := func(end func() error) { closers = append(closers, end) }
	// A part that fails while it serves ends the daemon with its reason.
	failed := make(chan error, 1)
	serve := func(name string, h http.Handler) error {
		ln, err := listen(preferredPorts[name])
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(c.log.Handler(), slog.LevelWarn)}
		go func() {
			if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
				select {
				case failed <- fmt.Errorf("%s: %w", name, err):
				default:
				}
			}
		}()
		closing(server.Close)
		c.addresses[name] = "http://" + ln.Addr().String()
		return nil
	}

	if c.spanner, err = spanner.Start(ctx, project, spanner.Options{}); err != nil {
		return err
	}
	closing(func() error { c.spanner.Stop(); return nil })
	c.addresses["spanner"] = c.spanner.Addr()

	policy := iam.New(project, projectNumber)
	ids, err := identity.New(identity.Config{Project: project, ProjectNumber: projectNumber, Region: region})
	if err != nil {
		return err
	}
	c.secrets = secretmanager.New(project, projectNumber, policy, ids)
	c.tasks = cloudtasks.New(cloudtasks.Options{IAM: policy, Identity: ids})
	closing(c.tasks.Close)
	c.callrail = callrail.New(callrail.Config{Authorize: c.callrailKey})
	speechServer := speech.New(speech.Config{IAM: policy, Identity: ids, ReadObject: c.readObject(policy)})
	vertex := vertexai.New(vertexai.Config{IAM: policy, Identity: ids})
	c.outside = newOutside(c.secrets)
	c.outside.faults(c.faults)
	geocoder := geocoding.New(geocoding.Config{Identity: ids})
	reader := documentai.New(documentai.Config{Identity: ids, IAM: policy})
	c.faults["documentai"] = reader.Faults
	c.faults["geocoding"] = geocoder.Faults
	sharedWith := fmt.Sprintf("serviceAccount:%s@%s.iam.gserviceaccount.com", topology.CalendarSync, project)
	calendars := calendar.New(calendar.Config{Identity: ids, Shared: func(principal string) bool { return principal == sharedWith }})
	c.faults["calendar"] = calendars.Faults
	c.faults["callrail"], c.faults["speech"], c.faults["vertexai"] = c.callrail.Faults, speechServer.Faults, vertex.Faults

	// The storage service writes its own address into what it answers, so it
	// is known before the service is.
	var storageHandler, website lateHandler
	for _, s := range []struct {
		name    string
		handler http.Handler
	}{
		{"cloudtasks", c.tasks.Handler()},
		{"secretmanager", c.secrets},
		{"storage", &storageHandler},
		{"identity", ids.JWKS()},
		{"speech", speechServer},
		{"vertexai", vertex},
		{"documentai", reader},
		{"geocoding", geocoder},
		{"calendar", calendars},
		{"callrail", c.callrail},
		{"hubspot", c.outside.hubspot},
		{"salesforce", c.outside.salesforce},
		{"mcp", c.outside.mcp},
		{"sendgrid", c.outside.sendgrid},
		{"website", &website},
	} {
		if err := serve(s.name, s.handler); err != nil {
			return err
		}
	}
	c.storage, err = storage.New(storage.Config{Project: project, ProjectNumber: projectNumber, URL: c.addresses["storage"], IAM: policy, Identity: ids})
	if err != nil {
		return err
	}
	storageHandler.set(c.storage)

	registryListener, err := listen(preferredPorts["registry"])
	if err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	images, err := registry.New(registry.Options{Dir: filepath.Join(o.StateDir, "registry"), Listener: registryListener})
	if err != nil {
		return err
	}
	closing(images.Close)
	c.addresses["registry"] = images.Addr()

	fronts := &portRange{next: preferredPorts["firstCloudRun"], last: preferredPorts["lastOfCloudRun"]}
	c.run, err = cloudrun.New(cloudrun.Options{
		Dir: filepath.Join(o.StateDir, "run"), LogDir: o.LogDir,
		Images: images, IAM: policy, Identity: ids, Secrets: c.secrets,
		Metadata: func(account string) http.Handler { return ids.MetadataServer(account, project) },
		Listen:   func(string) (net.Listener, error) { return fronts.listen() },
	})
	if err != nil {
		return err
	}
	closing(c.run.Close)
	c.gateway = apigateway.New(apigateway.Options{
		Identity: ids, Listen: func(string) (net.Listener, error) { return listen(preferredPorts["gateway"]) },
	})
	closing(c.gateway.Close)
	website.set(site.New(func() site.Platform {
		return site.Platform{Gateway: c.gatewayURL(), Chat: c.serviceURL(topology.ChatAPI), Site: c.addresses["website"]}
	}))
	schedules := scheduler.New(scheduler.Options{Identity: ids, Log: c.log})
	closing(schedules.Close)

	env := provider.Env{Project: project, ProjectNumber: projectNumber, Region: region}
	c.provider = provider.New(env, provider.Kinds(env,
		provider.Core{
			IAM: policy, Secrets: c.secrets, Storage: c.storage, Spanner: c.spanner,
			Notice: func(text string) { c.log.Info(text) },
		},
		provider.Runtime{Registry: images, Run: c.run, Tasks: c.tasks, Gateway: c.gateway, Scheduler: schedules},
	))
	providerListener, err := listen(preferredPorts["provider"])
	if err != nil {
		return fmt.Errorf("provider: %w", err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := c.provider.Serve(ctx, providerListener); err != nil {
			failed <- err
		}
	})
	closing(func() error { cancel(); serving.Wait(); return nil })
	if err := serve("admin", daemonapi.NewHandler(c, o.Token)); err != nil {
		return err
	}

	if err := o.Ready(daemonapi.Info{
		Admin: c.addresses["admin"], ProviderPort: providerListener.Addr().(*net.TCPAddr).Port, Addresses: c.addresses,
	}); err != nil {
		return err
	}
	c.log.Info("ready", "took", time.Since(c.started).Round(time.Millisecond))
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return err
	case <-c.spanner.Done():
		if err := c.spanner.Err(); err != nil {
			return fmt.Errorf("the Spanner emulator ended: %w (start again with: go run ./local up)", err)
		}
		return nil
	}
}

// listen opens a loopback listener, on the port if it is free.
func listen(port int) (net.Listener, error) {
	if ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
		return ln, nil
	}
	return net.Listen("tcp", "127.0.0.1:0")
}

// portRange hands out listeners on the ports of a range, in order.
type portRange struct {
	mu         sync.Mutex
	next, last int
}

func (r *portRange) listen() (net.Listener, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for ; r.next <= r.last; r.next++ {
		if ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", r.next)); err == nil {
			r.next++
			return ln, nil
		}
	}
	return net.Listen("tcp", "127.0.0.1:0")
}

// lateHandler answers 503 until it has a handler.
type lateHandler struct {
	mu sync.RWMutex
	h  http.Handler
}

func (l *lateHandler) set(h http.Handler) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.h = h
}

func (l *lateHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.RLock()
	h := l.h
	l.mu.RUnlock()
	if h == nil {
		http.Error(w, "starting", http.StatusServiceUnavailable)
		return
	}
	h.ServeHTTP(w, r)
}

// stackProject reads the project and region of a stack, because the cloud has
// to be there before the program runs.
func stackProject(root, stack string) (project, region string, err error) {
	file := "Pulumi." + stack + ".yaml"
	raw, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		return "", "", err
	}
	var settings struct {
		Config map[string]yaml.Node `yaml:"config"`
	}
	if err := yaml.Unmarshal(raw, &settings); err != nil {
		return "", "", fmt.Errorf("%s: %w", file, err)
	}
	p, r := settings.Config["gcp:project"], settings.Config["gcp:region"]
	if p.Value == "" || r.Value == "" {
		return "", "", fmt.Errorf("%s: gcp:project and gcp:region are required", file)
	}
	return p.Value, r.Value, nil
}

// callrailKey says whether key is the API key of a tenant's secret: the stand-in
// accepts the keys that the stack declares, and no others.
func (c *localCloud) callrailKey(_, key string) bool {
	for _, s := range c.secrets.List() {
		id := s.Name[strings.LastIndexByte(s.Name, '/')+1:]
		if !strings.HasPrefix(id, topology.APIKeyPrefix) {
			continue
		}
		if value, _, err := c.secrets.Access(id, "latest"); err == nil && string(value) == key {
			return true
		}
	}
	return false
}

// readObject opens objects for Speech on behalf of its caller, who needs the
// right to read them.
func (c *localCloud) readObject(policy cloud.IAM) func(ctx context.Context, principal, bucket, object string) (io.ReadCloser, error) {
	return func(ctx context.Context, principal, bucket, object string) (io.ReadCloser, error) {
		err := policy.Check(ctx, principal, "storage.objects.get", cloud.Resource{
			Service: "storage.googleapis.com", Type: "storage.googleapis.com/Object",
			Name: "projects/_/buckets/" + bucket + "/objects/" + object,
		})
		if err != nil {
			return nil, err
		}
		_, content, err := c.storage.Object(bucket, object)
		if err != nil {
			return nil, fmt.Errorf("gs://%s/%s: %w", bucket, object, errors.Join(fs.ErrNotExist, err))
		}
		return io.NopCloser(strings.NewReader(string(content))), nil
	}
}

// endpoints is the run-time overlay of the stack config ingestion:endpoints.
func (c *localCloud) endpoints() ([]byte, error) {
	callrailHost := strings.TrimPrefix(c.addresses["callrail"], "http://")
	return json.Marshal(map[string]any{
		"cloudTasks":             c.addresses["cloudtasks"],
		"secretManager":          c.addresses["secretmanager"],
		"storage":                c.addresses["storage"],
		"speech":                 c.addresses["speech"],
		"vertexAi":               c.addresses["vertexai"],
		"documentAi":             c.addresses["documentai"],
		"geocoding":              c.addresses["geocoding"],
		"calendar":               c.addresses["calendar"],
		"callrailApi":            c.addresses["callrail"],
		"callrailRecordingHosts": []string{callrailHost},
		"hubspot":                c.addresses["hubspot"],
		"salesforce":             c.addresses["salesforce"],
		"mcp":                    c.addresses["mcp"] + "/mcp",
		"sendgrid":               c.addresses["sendgrid"],
		"spannerEmulator":        c.addresses["spanner"],
		"registry":               c.addresses["registry"] + "/" + c.project + "/" + repositoryID,
	})
}
