// Package adopt brings what exists already, the database and, where the stack
// makes it, its instance, under the stack's management, without touching it.
//
// It imports, previews, and refuses to go on if the preview would replace or
// delete anything at all. It changes Pulumi's state and nothing in the cloud;
// what it announces is done by the operator's own pulumi up.
package adopt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/events"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optimport"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optpreview"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
)

// providerVersion is that of the provider that the program uses. Without it the
// import would take the newest one that is installed, whose state an older one
// may not read.
const providerVersion = "7.38.0"

// Target is one resource that exists: how the program names it and how the
// provider finds it.
type Target struct {
	Type, Name, ID string
}

// settings is what the adoption needs of the stack's config.
type settings struct {
	Instance       string `json:"instance"`
	CreateInstance bool   `json:"createInstance"`
	Database       string `json:"database"`
}

// targets returns what a stack with this config adopts, an instance before its
// database. The names are the program's, see infra/stack/spanner.go.
func targets(project, config string) ([]Target, error) {
	s := settings{Database: "agent_platform"} // the program's default
	if err := json.Unmarshal([]byte(config), &s); err != nil {
		return nil, fmt.Errorf("ingestion:spanner: %w", err)
	}
	if project == "" || s.Instance == "" {
		return nil, errors.New("gcp:project and ingestion:spanner.instance must be set")
	}
	instance := "projects/" + project + "/instances/" + s.Instance
	found := []Target{{Type: "gcp:spanner/database:Database", Name: "database", ID: instance + "/databases/" + s.Database}}
	if s.CreateInstance {
		found = slices.Insert(found, 0, Target{Type: "gcp:spanner/instance:Instance", Name: "spanner", ID: instance})
	}
	return found, nil
}

// Step is one change that an update would make.
type Step struct {
	Op   apitype.OpType
	Type string
	Name string
}

func (s Step) String() string { return fmt.Sprintf("%s %s %s", s.Op, s.Type, s.Name) }

// destructive tells whether the step ends something that exists.
func (s Step) destructive() bool {
	switch s.Op {
	case apitype.OpDelete, apitype.OpDeleteReplaced, apitype.OpReplace, apitype.OpCreateReplacement,
		apitype.OpReadReplacement, apitype.OpReadDiscard, apitype.OpDiscardReplaced, apitype.OpRemovePendingReplace:
		return true
	}
	return false
}

// Run adopts the stack's database and tells on out what it does. An error
// leaves the state with what was imported, so that Run can be repeated.
func Run(ctx context.Context, s auto.Stack, out io.Writer) error {
	project, err := s.GetConfig(ctx, "gcp:project")
	if err != nil {
		return fmt.Errorf("read gcp:project: %w", err)
	}
	config, err := s.GetConfig(ctx, "ingestion:spanner")
	if err != nil {
		return fmt.Errorf("read ingestion:spanner: %w", err)
	}
	wanted, err := targets(project.Value, config.Value)
	if err != nil {
		return err
	}
	state, err := s.Export(ctx)
	if err != nil {
		return fmt.Errorf("read the stack's state: %w", err)
	}
	known, err := inState(state.Deployment)
	if err != nil {
		return err
	}
	var missing []*optimport.ImportResource
	for _, t := range wanted {
		if known[t.Type+" "+t.Name] {
			fmt.Fprintf(out, "known     %s %s\n", t.Type, t.Name)
			continue
		}
		fmt.Fprintf(out, "import    %s %s\n          the same by hand: pulumi import %[1]s %[2]s %[3]s\n", t.Type, t.Name, t.ID)
		missing = append(missing, &optimport.ImportResource{Type: t.Type, Name: t.Name, ID: t.ID, Version: providerVersion})
	}
	if len(missing) > 0 {
		if _, err := s.ImportResources(ctx, optimport.Resources(missing), optimport.Protect(true), optimport.GenerateCode(false)); err != nil {
			return fmt.Errorf("import: %w", err)
		}
	}

	fmt.Fprintln(out, "preview   what the first update would change")
	steps, err := preview(ctx, s)
	if err != nil {
		return err
	}
	return judge(steps, wanted, out)
}

// inState lists the resources of an exported state as "type name".
func inState(deployment json.RawMessage) (map[string]bool, error) {
	known := map[string]bool{}
	if len(deployment) == 0 {
		return known, nil
	}
	var d apitype.DeploymentV3
	if err := json.Unmarshal(deployment, &d); err != nil {
		return nil, fmt.Errorf("the stack's state: %w", err)
	}
	for _, r := range d.Resources {
		known[string(r.URN.Type())+" "+r.URN.Name()] = true
	}
	return known, nil
}

// preview lists what an update would change.
func preview(ctx context.Context, s auto.Stack) ([]Step, error) {
	ch := make(chan events.EngineEvent)
	done := make(chan struct{})
	var steps []Step
	var said []string
	go func() {
		defer close(done)
		for e := range ch {
			switch {
			case e.ResourcePreEvent != nil:
				m := e.ResourcePreEvent.Metadata
				if m.Op != apitype.OpSame && !strings.HasPrefix(m.Type, "pulumi:") {
					steps = append(steps, Step{m.Op, m.Type, m.URN[strings.LastIndex(m.URN, "::")+2:]})
				}
			case e.DiagnosticEvent != nil && e.DiagnosticEvent.Severity == "error":
				said = append(said, strings.TrimSpace(e.DiagnosticEvent.Message))
			}
		}
	}()
	_, err := s.Preview(ctx, optpreview.EventStreams(ch), optpreview.SuppressProgress())
	if err != nil && len(said) == 0 {
		return nil, fmt.Errorf("preview: %w", err) // the channel may never be closed
	}
	<-done
	if err != nil {
		return nil, fmt.Errorf("preview: %s", strings.Join(said, "\n"))
	}
	return steps, nil
}

// judge tells of the steps and refuses them if one ends something that exists,
// or if what was to be adopted would be made anew.
func judge(steps []Step, adopted []Target, out io.Writer) error {
	counts := map[apitype.OpType]int{}
	var refused []string
	for _, s := range steps {
		counts[s.Op]++
		anew := s.Op == apitype.OpCreate && slices.ContainsFunc(adopted, func(t Target) bool { return t.Type == s.Type && t.Name == s.Name })
		if anew || s.destructive() {
			refused = append(refused, s.String())
		}
		if s.Op == apitype.OpUpdate {
			fmt.Fprintf(out, "update    %s %s\n", s.Type, s.Name)
		}
	}
	if len(refused) > 0 {
		return fmt.Errorf("the first update would end what exists; do not run it:\n  %s\nCompare the stack's config with what exists (docs/adopt.md, \"If the preview is refused\")", strings.Join(refused, "\n  "))
	}
	fmt.Fprintf(out, "good      %d to create, %d to update, nothing to replace or delete\n", counts[apitype.OpCreate], counts[apitype.OpUpdate])
	return nil
}
