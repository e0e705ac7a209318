package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/events"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optpreview"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"gopkg.in/yaml.v3"

	"ingestion.internal/infra/stack"
	"ingestion.internal/local/internal/plan"
)

// placeholder stands for every secret value in a plan. It is as long as the
// longest secret has to be.
const placeholder = "placeholder-of-a-preview-in-place-of-a-secret"

// scratch opens a stack from nothing in the folder: what it consists of does
// not depend on what is deployed, nor on who may decrypt its secrets. Its
// config is read from the tracked file and written nowhere but to the folder.
// The paths of its secrets, for which a placeholder stands in, come along.
func (d *deployer) scratch(ctx context.Context, name, folder string) (auto.Stack, []string, error) {
	secrets, err := copyConfig(string(d.repo), folder, name)
	if err != nil {
		return auto.Stack{}, nil, err
	}
	cli, err := auto.NewPulumiCommand(&auto.PulumiCommandOptions{Root: d.repo.Local(), SkipVersionCheck: true})
	if err != nil {
		return auto.Stack{}, nil, err
	}
	ws, err := auto.NewLocalWorkspace(ctx, auto.Pulumi(cli), auto.WorkDir(folder), auto.Program(stack.Deploy))
	if err != nil {
		return auto.Stack{}, nil, err
	}
	s, err := auto.UpsertStack(ctx, name, ws)
	if err != nil {
		return s, nil, said(err)
	}
	values := auto.ConfigMap{}
	for _, path := range secrets {
		values[path] = auto.ConfigValue{Value: placeholder, Secret: true}
	}
	if len(values) > 0 {
		if err := s.SetAllConfigWithOptions(ctx, values, &auto.ConfigOptions{Path: true}); err != nil {
			return s, nil, said(err)
		}
	}
	return s, secrets, nil
}

// plan previews a stack from nothing.
func (d *deployer) plan(ctx context.Context, name, folder string) (plan.Stack, error) {
	planned := plan.Stack{Name: name}
	s, secrets, err := d.scratch(ctx, name, folder)
	if err != nil {
		return planned, err
	}
	planned.Placeholders = secrets
	for key, dst := range map[string]*string{"gcp:project": &planned.Project, "gcp:region": &planned.Region} {
		v, err := s.GetConfig(ctx, key)
		if err != nil {
			return planned, said(err)
		}
		*dst = v.Value
	}

	// Diagnostics only: the resources are listed at the end.
	t := newTeller(d.progress, time.Now)
	ch := make(chan events.EngineEvent)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for e := range ch {
			switch {
			case e.ResourcePreEvent != nil:
				if r, ok := resourceOf(e.ResourcePreEvent.Metadata); ok {
					planned.Resources = append(planned.Resources, r)
				}
			case e.DiagnosticEvent != nil, e.ErrorEvent != nil:
				t.event(e)
			}
		}
	}()
	_, err = s.Preview(ctx, optpreview.EventStreams(ch), optpreview.SuppressProgress(), optpreview.Parallel(16))
	if t.finished(done) && err != nil && len(t.errors) > 0 {
		return planned, t.failure()
	}
	if err != nil {
		return planned, said(err)
	}
	slices.SortFunc(planned.Resources, func(a, b plan.Resource) int {
		return strings.Compare(a.Type+" "+a.Name, b.Type+" "+b.Name)
	})
	return planned, nil
}

// resourceOf reads a planned resource; the stack itself and its providers are
// none.
func resourceOf(m apitype.StepEventMetadata) (plan.Resource, bool) {
	if m.New == nil || strings.HasPrefix(m.Type, "pulumi:") {
		return plan.Resource{}, false
	}
	r := plan.Resource{Type: m.Type, Name: name(m.URN), Protect: m.New.Protect, Inputs: known(m.New.Inputs)}
	if p := m.New.Parent; p != "" {
		// urn:pulumi:STACK::PROJECT::OUTER$TYPE::NAME
		parts := strings.SplitN(p, "::", 4)
		typ := parts[2][strings.LastIndexByte(parts[2], '$')+1:]
		if typ != "pulumi:pulumi:Stack" {
			r.Parent = typ + " " + name(p)
		}
	}
	return r, true
}

// unknowns are what the engine writes for values that only an update will know,
// by type: bool, number, string, array, asset, archive, object.
var unknowns = []string{
	"1c4a061d-8072-4f0a-a4cb-0ff528b18fe7", "3eeb2bf0-c639-47a8-9e75-3b44932eb421", "04da6b54-80e4-46f7-96ec-b56ff0331ba9",
	"6a19a0b0-7e62-4c92-b797-7f8e31da9cc2", "030794c1-ac77-496b-92df-f27374a8bd58", "e48ece36-62e2-4504-bad9-02848725956a",
	"dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
}

// known returns inputs without the values that are not known yet.
func known(in map[string]any) map[string]any {
	var strip func(v any) any
	strip = func(v any) any {
		switch v := v.(type) {
		case string:
			if slices.Contains(unknowns, v) {
				return nil
			}
		case map[string]any:
			out := map[string]any{}
			for key, item := range v {
				if item = strip(item); item != nil {
					out[key] = item
				}
			}
			return out
		case []any:
			out := []any{}
			for _, item := range v {
				if item = strip(item); item != nil {
					out = append(out, item)
				}
			}
			return out
		}
		return v
	}
	return strip(in).(map[string]any)
}

// copyConfig writes the project file and the stack's file to a folder, without
// secrets and how to decrypt them, and returns the paths of the secrets: those
// of the stack's file, and those that the project requires.
func copyConfig(repo, folder, name string) (secrets []string, err error) {
	project, err := os.ReadFile(filepath.Join(repo, "Pulumi.yaml"))
	if err != nil {
		return nil, err
	}
	var declared struct {
		Name   string
		Main   string
		Config map[string]struct {
			Default any
			Secret  bool
		}
	}
	if err := yaml.Unmarshal(project, &declared); err != nil {
		return nil, fmt.Errorf("Pulumi.yaml: %w", err) //nolint:staticcheck // the file's name
	}
	file := "Pulumi." + name + ".yaml"
	text, err := os.ReadFile(filepath.Join(repo, file))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no stack %q: no file %s", name, file)
	}
	if err != nil {
		return nil, err
	}
	var settings struct {
		Config map[string]any `yaml:"config"`
	}
	if err := yaml.Unmarshal(text, &settings); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if settings.Config == nil {
		settings.Config = map[string]any{}
	}
	for _, key := range slices.Sorted(maps.Keys(settings.Config)) {
		value, found := withoutSecrets(key, settings.Config[key])
		secrets = append(secrets, found...)
		if settings.Config[key] = value; value == nil {
			delete(settings.Config, key)
		}
	}
	for key, d := range declared.Config {
		key = declared.Name + ":" + key
		if _, ok := settings.Config[key]; d.Secret && d.Default == nil && !ok && !slices.Contains(secrets, key) {
			secrets = append(secrets, key)
		}
	}
	slices.Sort(secrets)
	clean, err := yaml.Marshal(settings)
	if err != nil {
		return nil, err
	}
	return secrets, errors.Join(
		// The engine looks for it, and then runs the program of this process.
		os.MkdirAll(filepath.Join(folder, declared.Main), 0o700),
		os.WriteFile(filepath.Join(folder, "Pulumi.yaml"), project, 0o600),
		os.WriteFile(filepath.Join(folder, file), clean, 0o600),
	)
}

// withoutSecrets returns a config value without its encrypted parts, and their
// paths. A value that is encrypted as a whole is nil.
func withoutSecrets(path string, value any) (any, []string) {
	m, ok := value.(map[string]any)
	if !ok {
		return value, nil
	}
	if _, ok := m["secure"].(string); ok && len(m) == 1 {
		return nil, []string{path}
	}
	var secrets []string
	out := map[string]any{}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		item, found := withoutSecrets(path+"."+key, m[key])
		secrets = append(secrets, found...)
		if item != nil {
			out[key] = item
		}
	}
	return out, secrets
}
