package plan

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"ingestion.internal/shared/topology"
)

// shapes are how mermaid draws what requests and data pass through. Types that
// are not here stay out of the picture unless a grant names them.
var shapes = map[string][2]string{
	"gcp:apigateway/gateway:Gateway": {"{{", "}}"},
	"gcp:cloudrunv2/service:Service": {"[", "]"},
	"gcp:cloudrunv2/job:Job":         {"[[", "]]"},
	"gcp:cloudscheduler/job:Job":     {"([", "])"},
	"gcp:cloudtasks/queue:Queue":     {"[/", "/]"},
	// What stands for the edge and for the network in the picture.
	"gcp:compute/regionNetworkEndpointGroup:RegionNetworkEndpointGroup": {"{{", "}}"},
	"gcp:compute/routerNat:RouterNat":                                   {"{{", "}}"},
	"gcp:spanner/database:Database":                                     {"[(", ")]"},
	"gcp:storage/bucket:Bucket":                                         {"[(", ")]"},
	"gcp:secretmanager/secret:Secret":                                   {">", "]"},
}

// physical are the inputs that hold a resource's own name in the cloud.
var physical = []string{"name", "secretId", "gatewayId"}

// graph is a diagram in the making.
type graph struct {
	nodes map[string]string // id to its line
	edges map[string]bool
}

func (g *graph) node(typ, name, label string) string {
	id := module(typ) + "_" + notID.ReplaceAllString(name, "_")
	shape, ok := shapes[typ]
	if !ok {
		shape = [2]string{"[", "]"}
	}
	if _, seen := g.nodes[id]; !seen {
		g.nodes[id] = fmt.Sprintf("%s%s%q%s", id, shape[0], label, shape[1])
	}
	return id
}

func (g *graph) edge(from, to, text string) {
	if text != "" {
		text = "|" + text + "|"
	}
	g.edges[from+" -->"+text+" "+to] = true
}

var (
	notID  = regexp.MustCompile(`[^A-Za-z0-9]`)
	prefix = regexp.MustCompile(`startsWith\("([^"]+)"\)`)
)

// Diagram draws in mermaid who calls whom and who reaches which data, as the
// stack's grants allow it: what has no grant has no arrow, because it could
// not pass. It also draws what a load balancer leads to, and whose traffic
// takes the network. Components without a part in that are boxes with their
// number of resources.
func Diagram(s Stack) string {
	g := &graph{nodes: map[string]string{}, edges: map[string]bool{}}
	byName := map[string]string{}      // "module name in the cloud" to node
	byAccount := map[string][]string{} // account id to the nodes that act as it
	drawn := map[string]bool{}         // components
	components := componentsOf(s.Resources)
	for i, r := range s.Resources {
		if _, ok := shapes[r.Type]; !ok || strings.HasPrefix(components[i], tenantPrefix) {
			continue
		}
		id := g.node(r.Type, r.Name, r.Name)
		drawn[components[i]] = true
		for _, input := range physical {
			if name := str(r.Inputs, input); name != "" {
				byName[module(r.Type)+" "+name] = id
			}
		}
		if isWorkload(r.Type) {
			byAccount[r.Name] = append(byAccount[r.Name], id)
		}
	}
	// find returns the node that a grant is on: the one of the grant's service
	// that an input of it names.
	find := func(r Resource) string {
		for _, input := range slices.Sorted(maps.Keys(r.Inputs)) {
			name := str(r.Inputs, input)
			if id := byName[module(r.Type)+" "+name[strings.LastIndexByte(name, '/')+1:]]; id != "" && input != "member" && input != "role" {
				return id
			}
		}
		return ""
	}

	for i, r := range s.Resources {
		member, role := account(str(r.Inputs, "member")), str(r.Inputs, "role")
		switch {
		case isWorkload(r.Type):
			for _, nat := range s.Resources {
				if nat.Type == "gcp:compute/routerNat:RouterNat" && egress(r) == "ALL_TRAFFIC" {
					g.edge(g.node(r.Type, r.Name, r.Name), g.node(nat.Type, nat.Name, nat.Name), "all traffic")
				}
			}
		case r.Type == "gcp:compute/regionNetworkEndpointGroup:RegionNetworkEndpointGroup":
			if target := byName["apigateway "+str(r.Inputs, "serverlessDeployment", "resource")]; target != "" {
				g.edge(g.node(r.Type, r.Name, r.Name), target, "")
			}
		case r.Type == "gcp:cloudscheduler/job:Job":
			// Its target's address is known after an update only; a job and the
			// service that it calls have one name.
			job := g.node(r.Type, r.Name, r.Name+": "+str(r.Inputs, "schedule"))
			if target := byName["cloudrunv2 "+r.Name]; target != "" {
				g.edge(job, target, "")
			} else if uri := str(r.Inputs, "httpTarget", "uri"); uri != "" {
				host, _, _ := strings.Cut(strings.TrimPrefix(uri, "https://"), "/")
				g.edge(job, g.node("gcp:api:", host, host), "")
			}
		case r.Type == "gcp:cloudtasks/queue:Queue":
			queue := topology.Queue(str(r.Inputs, "name"))
			if worker := byName["cloudrunv2 "+queue.Service()]; worker != "" {
				g.edge(byName["cloudtasks "+string(queue)], worker, "")
			}
		case role == "roles/run.invoker":
			// The callers act as accounts of their own. A gateway's is named by
			// its config; queues and schedules are drawn above.
			for _, c := range s.Resources {
				if c.Type == "gcp:apigateway/apiConfig:ApiConfig" &&
					account("serviceAccount:"+str(c.Inputs, "gatewayConfig", "backendConfig", "googleServiceAccount")) == member {
					for _, gw := range s.Resources {
						if gw.Type == "gcp:apigateway/gateway:Gateway" {
							g.edge(g.node(gw.Type, gw.Name, gw.Name), find(r), "")
						}
					}
				}
			}
		case member != "" && len(byAccount[member]) > 0:
			target := find(r)
			if r.Type == "gcp:projects/iAMMember:IAMMember" {
				if m := prefix.FindStringSubmatch(str(r.Inputs, "condition", "expression")); m != nil {
					target = g.node("gcp:secretmanager/secret:Secret", m[1], m[1]+"TENANT")
				} else {
					service, _, _ := strings.Cut(strings.TrimPrefix(role, "roles/"), ".")
					target = g.node("gcp:api:", service, service+" API")
				}
			}
			if target == "" {
				continue
			}
			drawn[components[i]] = true
			for _, from := range byAccount[member] {
				g.edge(from, target, verb(role))
			}
		}
	}

	others := map[string]int{}
	for _, c := range components {
		if !drawn[c] && !strings.HasPrefix(c, tenantPrefix) {
			others[c]++
		}
	}
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	for _, id := range slices.Sorted(maps.Keys(g.nodes)) {
		b.WriteString("  " + g.nodes[id] + "\n")
	}
	for _, e := range slices.Sorted(maps.Keys(g.edges)) {
		b.WriteString("  " + e + "\n")
	}
	if len(others) > 0 {
		b.WriteString("  subgraph around[\"around them\"]\n")
		for _, c := range slices.Sorted(maps.Keys(others)) {
			fmt.Fprintf(&b, "    part_%s[\"%s: %d\"]\n", notID.ReplaceAllString(c, "_"), c, others[c])
		}
		b.WriteString("  end\n")
	}
	return b.String()
}

// egress says which traffic of a workload takes the network.
func egress(r Resource) string {
	path := []string{"template", "vpcAccess", "egress"}
	if r.Type == "gcp:cloudrunv2/job:Job" {
		path = append([]string{"template"}, path...)
	}
	return str(r.Inputs, path...)
}

// account returns the id of a project's service account from an IAM member, or
// "" for another member.
func account(member string) string {
	email, ok := strings.CutPrefix(member, "serviceAccount:")
	id, domain, _ := strings.Cut(email, "@")
	if !ok || !strings.HasSuffix(domain, ".iam.gserviceaccount.com") || strings.HasPrefix(domain, "gcp-sa-") {
		return ""
	}
	return id
}

// verb says what a role is for, on an arrow.
func verb(role string) string {
	switch role {
	case "roles/cloudtasks.enqueuer", "roles/run.invoker":
		return ""
	case "roles/spanner.databaseUser":
		return "" // every one of them reads and writes
	case "roles/storage.objectCreator":
		return "writes"
	case "roles/storage.objectViewer", "roles/secretmanager.secretAccessor":
		return "reads"
	}
	_, name, _ := strings.Cut(strings.TrimPrefix(role, "roles/"), ".")
	return name
}
