package provider

import (
	"slices"
	"strings"
	"testing"

	"ingestion.internal/infra/typefacts"
)

const (
	nameless = "the provider makes up a name where none is given; names are part of what the platform promises, so the program gives every one"
	mirror   = "no repository here mirrors another"
	httpOnly = "the local cloud serves this kind of target only, and says so before it makes anything"
)

// differences are where a Kind means to differ from the provider's schema, each
// with its reason: "type property" to why.
var differences = map[string]string{
	"gcp:compute/address:Address name":                                                            nameless,
	"gcp:compute/backendService:BackendService name":                                              nameless,
	"gcp:compute/firewall:Firewall name":                                                          nameless,
	"gcp:compute/globalAddress:GlobalAddress name":                                                nameless,
	"gcp:compute/globalForwardingRule:GlobalForwardingRule name":                                  nameless,
	"gcp:compute/managedSslCertificate:ManagedSslCertificate name":                                nameless,
	"gcp:compute/network:Network name":                                                            nameless,
	"gcp:compute/regionNetworkEndpointGroup:RegionNetworkEndpointGroup name":                      nameless,
	"gcp:compute/router:Router name":                                                              nameless,
	"gcp:compute/routerNat:RouterNat name":                                                        nameless,
	"gcp:compute/sSLPolicy:SSLPolicy name":                                                        nameless,
	"gcp:compute/securityPolicy:SecurityPolicy name":                                              nameless,
	"gcp:compute/subnetwork:Subnetwork name":                                                      nameless,
	"gcp:compute/targetHttpProxy:TargetHttpProxy name":                                            nameless,
	"gcp:compute/targetHttpsProxy:TargetHttpsProxy name":                                          nameless,
	"gcp:compute/uRLMap:URLMap name":                                                              nameless,
	"gcp:dns/managedZone:ManagedZone name":                                                        nameless,
	"gcp:accesscontextmanager/accessLevel:AccessLevel name":                                       nameless,
	"gcp:accesscontextmanager/servicePerimeter:ServicePerimeter name":                             nameless,
	"gcp:compute/managedSslCertificate:ManagedSslCertificate managed":                             "the schema has it optional, and a certificate without domains is none",
	"gcp:apigateway/apiConfig:ApiConfig apiConfigId":                                              nameless,
	"gcp:apigateway/apiConfig:ApiConfig openapiDocuments":                                         httpOnly,
	"gcp:artifactregistry/repository:Repository remoteRepositoryConfig.disableUpstreamValidation": mirror,
	"gcp:secretmanager/secret:Secret replication.auto.customerManagedEncryption.kmsKeyName":       "a rule cannot tell that auto comes or goes from a change in it; the program gives no key to a secret that is everywhere",
	"gcp:cloudrunv2/job:Job name":                                                                 nameless,
	"gcp:cloudrunv2/jobIamMember:JobIamMember name":                                               nameless,
	"gcp:cloudrunv2/service:Service name":                                                         nameless,
	"gcp:cloudrunv2/serviceIamMember:ServiceIamMember name":                                       nameless,
	"gcp:cloudscheduler/job:Job httpTarget":                                                       httpOnly,
	"gcp:cloudscheduler/job:Job name":                                                             nameless,
	"gcp:cloudscheduler/job:Job schedule":                                                         "the schema has it optional, and the API refuses a job without one",
	"gcp:cloudtasks/queue:Queue name":                                                             nameless,
	"gcp:cloudtasks/queueIamMember:QueueIamMember name":                                           nameless,
}

// TestKindsAgreeWithTheProvider holds every Kind against what the provider's
// schema says: which inputs it requires and which replace the resource. A
// preview here must not show an update where the real one would replace.
func TestKindsAgreeWithTheProvider(t *testing.T) {
	t.Parallel()
	facts, err := typefacts.Load()
	if err != nil {
		t.Fatal(err)
	}
	excused := map[string]bool{}
	for _, k := range Kinds(testEnv, Core{}, Runtime{}) {
		if _, ok := facts.Resources[k.Type]; !ok {
			t.Errorf("no facts of %s; %s", k.Type, typefacts.HowToAdd)
			continue
		}
		differ := func(property, format string, args ...any) {
			if key := k.Type + " " + property; differences[key] != "" {
				excused[key] = true
				return
			}
			t.Errorf("%s: %s "+format, append([]any{k.Type, property}, args...)...)
		}
		required := facts.Required(k.Type)
		for _, name := range required {
			if !slices.Contains(k.Required, name) {
				differ(name, "is required by the provider, not by the Kind")
			}
		}
		for _, name := range k.Required {
			if p, ok := facts.Find(k.Type, name); !ok {
				differ(name, "is required by the Kind, but no input of the type")
			} else if !p.Required {
				differ(name, "is required by the Kind, not by the provider")
			}
		}
		for _, rule := range k.Replace {
			if _, ok := facts.Find(k.Type, strings.ReplaceAll(rule, "[*]", "")); !ok {
				differ(rule, "is in Replace, but no input of the type")
			}
		}
		for path, replaces := range facts.Replaces(k.Type) {
			got := slices.ContainsFunc(k.Replace, func(rule string) bool {
				rule = strings.ReplaceAll(rule, "[*]", "")
				return path == rule || strings.HasPrefix(path, rule+".")
			})
			switch {
			case replaces && !got:
				differ(path, "replaces the resource, and is not in Replace")
			case got && !replaces:
				differ(path, "can change in place, but is in Replace")
			}
		}
	}
	for key := range differences {
		if !excused[key] {
			t.Errorf("%s is no difference any more", key)
		}
	}
}
