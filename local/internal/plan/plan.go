// Package plan describes what a stack consists of: every resource that its
// program registers, by component, with totals, and a diagram of how the parts
// call each other. It knows resource types only where it draws their relations,
// so a new family of resources appears by itself.
package plan

import (
	"maps"
	"slices"
	"strings"

	"ingestion.internal/local/internal/price"
)

// Resource is one resource as the program registers it.
type Resource struct {
	Type    string         `json:"type"`   // gcp:cloudtasks/queue:Queue
	Name    string         `json:"name"`   // logical name
	Parent  string         `json:"parent"` // "type name" of the component that it is part of, "" = none
	Protect bool           `json:"protect"`
	Inputs  map[string]any `json:"inputs"` // secrets hidden; what is known after an update only is absent
}

// Stack is a previewed stack, as cmd/deploy hands it to cmd/localcloud.
type Stack struct {
	Name         string     `json:"name"`
	Project      string     `json:"project"`
	Region       string     `json:"region"`
	Resources    []Resource `json:"resources"`
	Placeholders []string   `json:"placeholders"` // config paths of secrets that a placeholder stood in for
}

// Summary is the document of preview --json.
type Summary struct {
	Stack        string         `json:"stack"`
	Project      string         `json:"project"`
	Region       string         `json:"region"`
	Total        int            `json:"total"`
	Protected    int            `json:"protected"`
	Types        map[string]int `json:"types"`   // number of resources, by short type
	Tenants      map[string]int `json:"tenants"` // number of resources, by tenant id
	Components   []Component    `json:"components"`
	Standing     Standing       `json:"standing"`     // what it costs while nobody uses it
	Budgets      []string       `json:"budgets"`      // amounts a month at which cost is reported
	Placeholders []string       `json:"placeholders"` // config paths of secrets that a placeholder stood in for
}

// Component is a part of the platform with its resources.
type Component struct {
	Name      string  `json:"name"`
	Resources []Entry `json:"resources"`
}

// Entry is one resource of a component.
type Entry struct {
	Type      string `json:"type"` // without the module said twice: cloudtasks.Queue
	Name      string `json:"name"`
	Protected bool   `json:"protected,omitempty"`
	// Cost is absent where the resource costs nothing, as far as is known.
	Cost *price.Cost `json:"cost,omitempty"`
}

// Standing sums the list prices of what costs the same whether it is used or
// not, in US dollars a month.
type Standing struct {
	Monthly     float64 `json:"monthly"`
	Unconfirmed float64 `json:"unconfirmed"` // the part of it whose price is unconfirmed
	// Elsewhere names what the stack needs, does not make, and so does not
	// count.
	Elsewhere []string `json:"elsewhere,omitempty"`
}

const tenantType = "ingestion:tenant:Tenant"

// Summarize groups and counts the resources of a stack. Components come in the
// order of their names, tenants' last.
func Summarize(s Stack) Summary {
	sum := Summary{
		Stack: s.Name, Project: s.Project, Region: s.Region, Total: len(s.Resources),
		Types: map[string]int{}, Tenants: map[string]int{}, Budgets: []string{}, Placeholders: slices.Clone(s.Placeholders),
	}
	if sum.Placeholders == nil {
		sum.Placeholders = []string{}
	}
	components := componentsOf(s.Resources)
	groups := map[string][]Entry{}
	for i, r := range s.Resources {
		typ := ShortType(r.Type)
		sum.Types[typ]++
		if r.Protect {
			sum.Protected++
		}
		name := components[i]
		if id, ok := strings.CutPrefix(name, tenantPrefix); ok {
			sum.Tenants[id]++
		}
		if r.Type == "gcp:billing/budget:Budget" {
			sum.Budgets = append(sum.Budgets, str(r.Inputs, "amount", "specifiedAmount", "units"))
		}
		entry := Entry{Type: typ, Name: r.Name, Protected: r.Protect}
		if cost, ok := price.Of(r.Type, r.Inputs); ok {
			entry.Cost = &cost
			sum.Standing.Monthly += cost.Monthly
			if cost.Unconfirmed {
				sum.Standing.Unconfirmed += cost.Monthly
			}
		}
		groups[name] = append(groups[name], entry)
	}
	if sum.Types["spanner.Database"] > 0 && sum.Types["spanner.Instance"] == 0 {
		sum.Standing.Elsewhere = append(sum.Standing.Elsewhere, "the Spanner instance")
	}
	slices.SortFunc(sum.Budgets, func(a, b string) int { return len(a) - len(b) + strings.Compare(a, b) })
	for _, name := range slices.SortedFunc(maps.Keys(groups), tenantsLast) {
		entries := groups[name]
		slices.SortFunc(entries, func(a, b Entry) int {
			return strings.Compare(a.Type+" "+a.Name, b.Type+" "+b.Name)
		})
		sum.Components = append(sum.Components, Component{Name: name, Resources: entries})
	}
	return sum
}

const tenantPrefix = "tenant "

func tenantsLast(a, b string) int {
	if isA, isB := strings.HasPrefix(a, tenantPrefix), strings.HasPrefix(b, tenantPrefix); isA != isB {
		if isA {
			return 1
		}
		return -1
	}
	return strings.Compare(a, b)
}

// componentsOf says to which component each resource belongs: to the component
// resource that is its outermost parent; or to what its label says; or to the
// workload in its name (the account ai-analyzer, the grant
// task-queues-invokes-ai-analyzer); or to the component of a resource of its
// name (a secret's version). What belongs to none of them is listed by the
// service of its type.
func componentsOf(resources []Resource) []string {
	parents := map[string]string{}
	labelled := map[string]string{} // by name of a resource, or of the component itself
	var workloads []string
	for _, r := range resources {
		parents[r.Type+" "+r.Name] = r.Parent
		if c := str(r.Inputs, "labels", "component"); c != "" {
			labelled[c], labelled[r.Name] = c, c
		}
		if isWorkload(r.Type) {
			workloads = append(workloads, r.Name)
		}
	}
	of := func(r Resource) string {
		top := r.Type + " " + r.Name
		for parents[top] != "" {
			top = parents[top]
		}
		if typ, name, _ := strings.Cut(top, " "); typ == tenantType {
			return tenantPrefix + name
		} else if !strings.HasPrefix(typ, "gcp:") {
			return name
		}
		if c := str(r.Inputs, "labels", "component"); c != "" {
			return c
		}
		best := ""
		for _, w := range workloads {
			named := r.Name == w || strings.HasPrefix(r.Name, w+"-") || strings.HasSuffix(r.Name, "-"+w)
			if named && len(w) > len(best) {
				best = w
			}
		}
		if best != "" {
			return best
		}
		if c := labelled[r.Name]; c != "" {
			return c
		}
		return module(r.Type)
	}
	out := make([]string, len(resources))
	for i, r := range resources {
		out[i] = of(r)
	}
	return out
}

func isWorkload(typ string) bool {
	return typ == "gcp:cloudrunv2/service:Service" || typ == "gcp:cloudrunv2/job:Job"
}

// module is the service that a type is of: gcp:cloudtasks/queue:Queue is
// cloudtasks.
func module(typ string) string {
	parts := strings.Split(typ, ":")
	if len(parts) != 3 {
		return typ
	}
	name, _, _ := strings.Cut(parts[1], "/")
	return name
}

// ShortType leaves out the module of a type, which says it a second time:
// gcp:cloudrunv2/service:Service is cloudrunv2.Service.
func ShortType(typ string) string {
	parts := strings.Split(typ, ":")
	if len(parts) != 3 {
		return typ
	}
	short := module(typ) + "." + parts[2]
	if parts[0] != "gcp" {
		short = parts[0] + ":" + short
	}
	return short
}

// str returns the text at a path of objects, and through lists of one, or "".
func str(in map[string]any, path ...string) string {
	var v any = in
	for _, key := range path {
		if list, ok := v.([]any); ok && len(list) == 1 {
			v = list[0]
		}
		m, ok := v.(map[string]any)
		if !ok {
			return ""
		}
		v = m[key]
	}
	s, _ := v.(string)
	return s
}
