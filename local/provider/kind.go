package provider

import (
	"context"
	"fmt"
)

// Object is a resource's properties as plain values (string, float64, bool,
// nil, []any, Object), Pulumi's camelCase names, without secret wrappers.
type Object = map[string]any

// Mode says what the local cloud does with a kind of resource.
type Mode string

// The modes. A type that no Kind describes is refused.
const (
	Live     Mode = "live"     // made real on this machine
	Recorded Mode = "recorded" // checked and kept; live services obey it
)

// Failure is one invalid property.
type Failure struct {
	Property string // path, for example template.containers[0].image
	Reason   string
}

func (f Failure) String() string { return fmt.Sprintf("%s: %s", f.Property, f.Reason) }

// Kind describes one resource type to the provider. The zero value of every
// func field has a meaning, so a recorded kind needs only its rules.
type Kind struct {
	Type     string   // gcp:cloudtasks/queue:Queue
	Mode     Mode     //
	Required []string // inputs the API requires
	Replace  []string // inputs (paths) whose change replaces the resource, as in the provider's schema
	// ReplaceIf names further inputs whose change replaces the resource, where
	// that depends on the values. Unknown values are absent. Nil names none.
	ReplaceIf func(old, in Object) []string
	// CreateFirst says that a replacement can exist beside what it replaces,
	// so it is created before the old one is deleted. Without it that is done
	// only where ID yields another id for the new inputs.
	CreateFirst bool
	Computed    []string // outputs known only after create: unknown in a preview of a create
	Volatile    []string // outputs that an update may change: unknown in a preview of an update

	// Normalize fills in the API's defaults and normal forms in the inputs
	// (auto-name, project, location, letter case). Nil leaves them.
	Normalize func(env Env, urn string, in Object)
	// Validate checks what the API checks. Values that are not known yet in a
	// preview are absent, and listed in unknown. Nil accepts.
	Validate func(in Object, unknown map[string]bool) []Failure
	// Create makes the resource and returns its id and all outputs (inputs
	// included). Nil records the inputs under ID's id.
	Create func(ctx context.Context, in Object) (id string, out Object, err error)
	// ID and Outputs serve recorded kinds: the resource's id and its computed
	// outputs from its inputs.
	ID      func(in Object) string
	Outputs func(in Object) Object
	// Read returns the live state, or ok=false if it is gone. Nil answers
	// with what is recorded.
	Read func(ctx context.Context, id string, old Object) (out Object, ok bool, err error)
	// Import reads a resource that the engine does not know yet, by any form of
	// id that the real provider takes: its id, and the inputs as that provider
	// would answer them, without what the API does not tell. ok=false: there is
	// none. Nil: the type cannot be imported.
	Import func(ctx context.Context, env Env, id string) (canonical string, in Object, ok bool, err error)
	// Update changes the resource in place. Nil records the new inputs.
	Update func(ctx context.Context, id string, old, in Object) (out Object, err error)
	// Delete removes it. Nil forgets the record.
	Delete func(ctx context.Context, id string, old Object) error
}

// Env is the provider's own configuration, from gcp:project and so on.
type Env struct {
	Project       string
	ProjectNumber string
	Region        string
}
