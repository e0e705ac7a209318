package stack

import (
	"slices"
	"strings"

	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/projects"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// The Google APIs that the platform uses.
const (
	apiAccessContext   = "accesscontextmanager.googleapis.com"
	apiCalendar        = "calendar-json.googleapis.com"
	apiGateway         = "apigateway.googleapis.com"
	apiBudgets         = "billingbudgets.googleapis.com"
	apiArtifacts       = "artifactregistry.googleapis.com"
	apiCompute         = "compute.googleapis.com"
	apiDocuments       = "documentai.googleapis.com"
	apiDNS             = "dns.googleapis.com"
	apiCredentials     = "iamcredentials.googleapis.com"
	apiGeocoding       = "geocoding-backend.googleapis.com"
	apiIAM             = "iam.googleapis.com"
	apiKMS             = "cloudkms.googleapis.com"
	apiLogging         = "logging.googleapis.com"
	apiOrgPolicy       = "orgpolicy.googleapis.com"
	apiMonitoring      = "monitoring.googleapis.com"
	apiResourceManager = "cloudresourcemanager.googleapis.com"
	apiRun             = "run.googleapis.com"
	apiScheduler       = "cloudscheduler.googleapis.com"
	apiSecrets         = "secretmanager.googleapis.com"
	apiServiceControl  = "servicecontrol.googleapis.com"
	apiServiceManage   = "servicemanagement.googleapis.com"
	apiSpanner         = "spanner.googleapis.com"
	apiSpeech          = "speech.googleapis.com"
	apiStorage         = "storage.googleapis.com"
	apiTokens          = "sts.googleapis.com"
	apiTasks           = "cloudtasks.googleapis.com"
	apiVertex          = "aiplatform.googleapis.com"
)

// registerAPIs enables what the platform and its handlers call.
func (p *program) registerAPIs() error {
	apis := []string{
		apiGateway, apiArtifacts, apiIAM, apiResourceManager, apiRun, apiScheduler, apiSecrets,
		apiServiceControl, apiServiceManage, apiSpanner, apiStorage, apiTasks,
	}
	for _, w := range catalog {
		apis = append(apis, w.calls(p.cfg)...)
	}
	if p.cfg.Deployer.Repository != "" {
		apis = append(apis, apiCredentials, apiTokens)
	}
	if p.cfg.Organization.Policies {
		apis = append(apis, apiOrgPolicy)
	}
	if p.cfg.Keys.Enabled {
		apis = append(apis, apiKMS)
	}
	if p.cfg.Audit.Enabled {
		apis = append(apis, apiLogging)
	}
	if p.cfg.Monitoring.Enabled {
		apis = append(apis, apiLogging, apiMonitoring)
	}
	if p.cfg.Budget.BillingAccount != "" {
		apis = append(apis, apiBudgets)
	}
	edge, network := p.cfg.Edge, p.cfg.Network
	if len(edge.Domains) > 0 || network.Range != "" {
		apis = append(apis, apiCompute)
	}
	if len(edge.Domains) > 0 && edge.DNSZone != "" || network.Range != "" && network.GoogleAPIs != googlePublic {
		apis = append(apis, apiDNS)
	}
	if network.Perimeter.AccessPolicy != "" {
		apis = append(apis, apiAccessContext)
	}
	slices.Sort(apis)
	for _, api := range slices.Compact(apis) {
		s, err := projects.NewService(p.ctx, "api-"+strings.TrimSuffix(api, ".googleapis.com"), &projects.ServiceArgs{
			Project: pulumi.String(p.cfg.Project),
			Service: pulumi.String(api),
			// Others in the project may use it, and a disabled API takes its
			// resources along.
			DisableOnDestroy: pulumi.Bool(false),
		})
		if err != nil {
			return err
		}
		p.apis[api] = s
	}
	return nil
}

// needs makes a resource wait until these APIs are enabled.
func (p *program) needs(apis ...string) pulumi.ResourceOption {
	var enabled []pulumi.Resource
	for _, api := range apis {
		enabled = append(enabled, p.apis[api])
	}
	return pulumi.DependsOn(enabled)
}
