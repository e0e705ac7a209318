// Package price estimates what a resource costs while nobody uses it.
//
// It knows the types that have a standing cost, or none but one by use, of the
// platform's families. Prices are Google's list prices in US dollars for
// us-central1, per month of 730 hours; free tiers, which belong to a billing
// account, discounts and taxes are left out. Each rate names its page, and when a
// copy of that page was read for it. One that no copy shows is marked as
// unconfirmed. An invoice differs; the order of magnitude should not.
package price

import (
	"fmt"
	"strconv"
	"strings"
)

// hours is a month in Google's own estimates.
const hours = 730

// Cost is what a resource costs.
type Cost struct {
	Monthly     float64 `json:"monthly"`               // US dollars a month, whether it is used or not
	Basis       string  `json:"basis,omitempty"`       // what is counted
	ByUse       string  `json:"byUse,omitempty"`       // what is paid for besides, by use
	Source      string  `json:"source,omitempty"`      // page of the price
	Read        string  `json:"read,omitempty"`        // when, as YYYY-MM or YYYY-MM-DD
	Unconfirmed bool    `json:"unconfirmed,omitempty"` // the price is from memory or second hand
}

// rate is one list price.
type rate struct {
	dollars float64
	source  string
	read    string // "" = not read on the page: unconfirmed
}

func (r rate) times(n float64, basis, byUse string) Cost {
	return Cost{Monthly: r.dollars * n, Basis: basis, ByUse: byUse, Source: r.source, Read: r.read, Unconfirmed: r.read == ""}
}

// The list prices.
var (
	spannerStandard   = rate{0.90 * hours / 1000, "https://cloud.google.com/spanner/pricing", ""} // a processing unit and month, Standard edition, one region
	spannerEnterprise = rate{1.23 * hours / 1000, "https://cloud.google.com/spanner/pricing", ""} // a processing unit and month, Enterprise edition, one region
	// An instance that is kept ready and idle pays the same for a vCPU as for a
	// GiB of memory.
	runIdle            = rate{0.0000025 * 3600 * hours, "https://cloud.google.com/run/pricing", ""}           // a vCPU, or a GiB, kept ready for a month
	keyVersionSoftware = rate{0.06, "https://cloud.google.com/kms/pricing", "2026-11-25"}                     // an active version and month
	keyVersionHSM      = rate{1.00, "https://cloud.google.com/kms/pricing", "2026-11-25"}                     // an active version and month
	secretVersion      = rate{0.06, "https://cloud.google.com/secret-manager/pricing", "2026-11-25"}          // an active version, place and month
	schedulerJob       = rate{0.10, "https://cloud.google.com/scheduler/pricing", "2026-11-25"}               // a job and month
	forwardingRules    = rate{0.025 * hours, "https://cloud.google.com/load-balancing/pricing", "2026-09-20"} // up to five rules and a month
	armorPolicy        = rate{5, "https://cloud.google.com/armor/pricing", ""}                                // a policy and month
	armorRule          = rate{1, "https://cloud.google.com/armor/pricing", ""}                                // a rule and month
	// Announced to start "no sooner than April 2025"; whether it has is not known.
	alertCondition = rate{1.50, "https://cloud.google.com/monitoring/alerts/cost-control", ""} // a condition and month
	dnsZone        = rate{0.20, "https://cloud.google.com/dns/pricing", ""}                    // a zone and month, for the first 25
	natAddress     = rate{0.005 * hours, "https://cloud.google.com/nat/pricing", "2026-11-25"} // an address in use and a month
)

// free is a type that costs by use only.
func free(byUse, source string) func(map[string]any) Cost {
	return func(map[string]any) Cost { return Cost{ByUse: byUse, Source: source} }
}

// table says of each type what one of it costs, given its inputs.
var table = map[string]func(map[string]any) Cost{
	"gcp:spanner/instance:Instance": func(in map[string]any) Cost {
		const byUse = "storage, backups"
		if limits := object(in, "autoscalingConfig", "autoscalingLimits"); limits != nil {
			// Managed autoscaling is a feature of the Enterprise edition.
			n := number(limits, "minProcessingUnits") + 1000*number(limits, "minNodes")
			return spannerEnterprise.times(n, fmt.Sprintf("at least %.0f processing units", n), byUse)
		}
		n := number(in, "processingUnits") + 1000*number(in, "numNodes")
		return spannerStandard.times(n, fmt.Sprintf("%.0f processing units", n), byUse)
	},
	"gcp:cloudrunv2/service:Service": func(in map[string]any) Cost {
		const byUse = "vCPU, memory and requests while serving"
		template := object(in, "template")
		n := number(object(template, "scaling"), "minInstanceCount")
		if n == 0 {
			return Cost{ByUse: byUse, Source: runIdle.source}
		}
		limits := object(first(template, "containers"), "resources", "limits")
		cpu, gib := quantity(text(limits, "cpu")), quantity(text(limits, "memory"))
		return runIdle.times(n*(cpu+gib), fmt.Sprintf("%.0f kept ready, %g vCPU and %g GiB each", n, cpu, gib), byUse)
	},
	"gcp:kms/cryptoKey:CryptoKey": func(in map[string]any) Cost {
		const basis, byUse = "one version; each rotation adds one", "operations"
		if text(object(in, "versionTemplate"), "protectionLevel") == "HSM" {
			return keyVersionHSM.times(1, basis, byUse)
		}
		return keyVersionSoftware.times(1, basis, byUse)
	},
	"gcp:secretmanager/secretVersion:SecretVersion": func(map[string]any) Cost {
		return secretVersion.times(1, "one place", "accesses")
	},
	"gcp:cloudscheduler/job:Job": func(map[string]any) Cost {
		return schedulerJob.times(1, "", "")
	},
	// Five rules or fewer share one price; a load balancer here has two, for
	// HTTPS and for the redirect from HTTP, and only the first is counted.
	"gcp:compute/globalForwardingRule:GlobalForwardingRule": func(in map[string]any) Cost {
		if text(in, "portRange") == "80" {
			return Cost{Basis: "in the price of the first", Source: forwardingRules.source, Read: forwardingRules.read}
		}
		return forwardingRules.times(1, "up to five rules", "data processed")
	},
	"gcp:compute/securityPolicy:SecurityPolicy": func(in map[string]any) Cost {
		list, _ := in["rules"].([]any)
		n := float64(len(list))
		c := armorPolicy.times(1, fmt.Sprintf("a policy and %.0f rules", n), "requests")
		c.Monthly += armorRule.dollars * n
		return c
	},
	"gcp:compute/securityPolicyRule:SecurityPolicyRule": func(map[string]any) Cost {
		return armorRule.times(1, "", "")
	},
	"gcp:compute/address:Address": func(in map[string]any) Cost {
		if text(in, "addressType") == "INTERNAL" {
			return Cost{}
		}
		return natAddress.times(1, "in use by the NAT gateway", "")
	},
	"gcp:dns/managedZone:ManagedZone": func(map[string]any) Cost {
		return dnsZone.times(1, "", "queries")
	},
	"gcp:monitoring/alertPolicy:AlertPolicy": func(in map[string]any) Cost {
		list, _ := in["conditions"].([]any)
		return alertCondition.times(float64(len(list)), fmt.Sprintf("conditions: %d", len(list)), "series that they read")
	},
	"gcp:compute/routerNat:RouterNat": free("instances that use it ($0.0014 an hour each, at most $0.044), data processed", "https://cloud.google.com/nat/pricing"),

	"gcp:apigateway/gateway:Gateway":                                free("calls", "https://cloud.google.com/api-gateway/pricing"),
	"gcp:artifactregistry/repository:Repository":                    free("storage", "https://cloud.google.com/artifact-registry/pricing"),
	"gcp:cloudrunv2/job:Job":                                        free("vCPU and memory while running", "https://cloud.google.com/run/pricing"),
	"gcp:cloudtasks/queue:Queue":                                    free("operations", "https://cloud.google.com/tasks/pricing"),
	"gcp:logging/projectBucketConfig:ProjectBucketConfig":           free("what is logged, and kept beyond 30 days", "https://cloud.google.com/stackdriver/pricing"),
	"gcp:logging/projectSink:ProjectSink":                           free("storage where it leads", "https://cloud.google.com/stackdriver/pricing"),
	"gcp:logging/metric:Metric":                                     free("samples of metrics", "https://cloud.google.com/stackdriver/pricing"),
	"gcp:monitoring/uptimeCheckConfig:UptimeCheckConfig":            free("executions", "https://cloud.google.com/stackdriver/pricing"),
	"gcp:spanner/database:Database":                                 free("storage, backups", "https://cloud.google.com/spanner/pricing"),
	"gcp:storage/bucket:Bucket":                                     free("storage, operations, retrieval", "https://cloud.google.com/storage/pricing"),
	"gcp:essentialcontacts/documentAiProcessor:DocumentAiProcessor": free("pages", "https://cloud.google.com/document-ai/pricing"),
}

// Of returns what a resource costs, from its inputs. What the table does not
// know is free, as far as is known here: grants, accounts, policies.
func Of(typ string, in map[string]any) (cost Cost, known bool) {
	f, ok := table[typ]
	if !ok {
		return Cost{}, false
	}
	return f(in), true
}

// String says what the resource costs, or "" for nothing.
func (c Cost) String() string {
	if c.Monthly == 0 {
		if c.ByUse == "" {
			return c.Basis
		}
		return "by use: " + c.ByUse
	}
	s := Dollars(c.Monthly) + " a month"
	if c.Basis != "" {
		s += " (" + c.Basis + ")"
	}
	if c.ByUse != "" {
		s += ", and by use: " + c.ByUse
	}
	if c.Unconfirmed {
		s += " [price unconfirmed]"
	}
	return s
}

// Dollars formats an amount.
func Dollars(amount float64) string { return fmt.Sprintf("$%.2f", amount) }

// object returns the object at a path, nil if there is none.
func object(in map[string]any, path ...string) map[string]any {
	for _, key := range path {
		in, _ = in[key].(map[string]any)
	}
	return in
}

// first returns the first object of a list.
func first(in map[string]any, key string) map[string]any {
	if list, ok := in[key].([]any); ok && len(list) > 0 {
		m, _ := list[0].(map[string]any)
		return m
	}
	return nil
}

func number(in map[string]any, key string) float64 {
	n, _ := in[key].(float64)
	return n
}

func text(in map[string]any, key string) string {
	s, _ := in[key].(string)
	return s
}

// quantity reads an amount of CPU, or of memory in GiB: 2, 1000m, 512Mi, 1Gi.
func quantity(s string) float64 {
	for unit, factor := range map[string]float64{"m": 0.001, "Mi": 1.0 / 1024, "Gi": 1} {
		if digits, ok := strings.CutSuffix(s, unit); ok {
			n, _ := strconv.ParseFloat(digits, 64)
			return n * factor
		}
	}
	n, _ := strconv.ParseFloat(s, 64)
	return n
}
