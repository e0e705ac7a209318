package stack

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ingestion.internal/shared/topology"
	"ingestion.internal/shared/workflow"
)

// GeocodingConfig allows the workflow to ask the Maps Geocoding API where an
// address is. It is off by default: look-ups cost money, and addresses of
// customers leave for another of Google's products.
//
// The handler calls the API as its service account. The API has no IAM
// permissions of its own (unconfirmed: the documentation names scopes only),
// so enabling it is all there is to grant.
type GeocodingConfig struct {
	Enabled bool     `json:"enabled"`
	Timeout duration `json:"timeout"` // of one look-up with its retries
}

func (g GeocodingConfig) validate(request duration, errs *problems) {
	const path = "ingestion:geocoding.timeout"
	switch {
	case g.Timeout < seconds(1):
		errs.add(path, "must be at least 1s, not %s", g.Timeout)
	case g.Timeout > request/2:
		errs.add(path, "must be at most half of services.%s.timeout, %s, not %s", topology.WorkflowEngine, request, g.Timeout)
	}
}

// geocodingAPIs is what the workflow calls if it may look addresses up.
func geocodingAPIs(c *Config) []string {
	if !c.Geocoding.Enabled {
		return nil
	}
	return []string{apiGeocoding}
}

func geocodingEnv(p *program) env {
	if !p.cfg.Geocoding.Enabled {
		return nil
	}
	return env{
		topology.EnvGeocoding:         pulumi.String("true"),
		topology.EnvGeocodingTimeout:  pulumi.String(p.cfg.Geocoding.Timeout.String()),
		topology.EnvGeocodingEndpoint: pulumi.String(p.cfg.Endpoints.Geocoding),
	}
}

// checkMethod refuses a service area that needs what the stack has switched
// off.
func (c *Config) checkMethod(area workflow.ServiceArea, path string, errs *problems) {
	if area.ValidationMethod == workflow.MethodGeocode && !c.Geocoding.Enabled {
		errs.add(path+".validation_method", "geocode needs ingestion:geocoding.enabled, which is off in this stack")
	}
}
