package price

import (
	"math"
	"strings"
	"testing"
)

type inputs = map[string]any

func TestOf(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		typ     string
		in      inputs
		monthly float64
		said    string
	}{
		"small database": {"gcp:spanner/instance:Instance", inputs{"processingUnits": 100.0}, 65.7, "$65.70 a month (100 processing units), and by use: storage, backups [price unconfirmed]"},
		"autoscaled": {"gcp:spanner/instance:Instance", inputs{"autoscalingConfig": inputs{"autoscalingLimits": inputs{"minProcessingUnits": 1000.0}}}, 897.9,
			"$897.90 a month (at least 1000 processing units), and by use: storage, backups [price unconfirmed]"},
		"cold service": {"gcp:cloudrunv2/service:Service", inputs{"template": inputs{"scaling": inputs{"minInstanceCount": 0.0}}}, 0, "by use: vCPU, memory and requests while serving"},
		"warm service": {"gcp:cloudrunv2/service:Service", inputs{"template": inputs{
			"scaling":    inputs{"minInstanceCount": 2.0},
			"containers": []any{inputs{"resources": inputs{"limits": inputs{"cpu": "2", "memory": "512Mi"}}}},
		}}, 32.85, "$32.85 a month (2 kept ready, 2 vCPU and 0.5 GiB each), and by use: vCPU, memory and requests while serving [price unconfirmed]"},
		"software key":  {"gcp:kms/cryptoKey:CryptoKey", inputs{}, 0.06, "$0.06 a month (one version; each rotation adds one), and by use: operations"},
		"hardware key":  {"gcp:kms/cryptoKey:CryptoKey", inputs{"versionTemplate": inputs{"protectionLevel": "HSM"}}, 1, "$1.00 a month (one version; each rotation adds one), and by use: operations"},
		"redirect":      {"gcp:compute/globalForwardingRule:GlobalForwardingRule", inputs{"portRange": "80"}, 0, "in the price of the first"},
		"load balancer": {"gcp:compute/globalForwardingRule:GlobalForwardingRule", inputs{"portRange": "443"}, 18.25, "$18.25 a month (up to five rules), and by use: data processed"},
		"armor":         {"gcp:compute/securityPolicy:SecurityPolicy", inputs{"rules": []any{inputs{}, inputs{}}}, 7, "$7.00 a month (a policy and 2 rules), and by use: requests [price unconfirmed]"},
		"alert":         {"gcp:monitoring/alertPolicy:AlertPolicy", inputs{"conditions": []any{inputs{}, inputs{}}}, 3, "$3.00 a month (conditions: 2), and by use: series that they read [price unconfirmed]"},
		"unknown size":  {"gcp:spanner/instance:Instance", inputs{}, 0, "by use: storage, backups"},
	} {
		c, ok := Of(tt.typ, tt.in)
		if !ok || math.Abs(c.Monthly-tt.monthly) > 0.001 {
			t.Errorf("%s: %v, %t; want %v", name, c.Monthly, ok, tt.monthly)
		}
		if got := c.String(); got != tt.said {
			t.Errorf("%s: %q, want %q", name, got, tt.said)
		}
	}
	if c, ok := Of("gcp:projects/iAMMember:IAMMember", nil); ok || c.String() != "" {
		t.Errorf("a grant costs %v", c)
	}
}

// TestEveryPriceHasASource: a figure without one cannot be checked.
func TestEveryPriceHasASource(t *testing.T) {
	t.Parallel()
	for typ, of := range table {
		c := of(inputs{"processingUnits": 100.0})
		if !strings.HasPrefix(c.Source, "https://cloud.google.com/") {
			t.Errorf("%s: source %q", typ, c.Source)
		}
		if c.Monthly > 0 && c.Read == "" && !c.Unconfirmed {
			t.Errorf("%s: neither read nor marked as unconfirmed", typ)
		}
	}
}
