package stack

import (
	_ "embed"
	"encoding/base64"
	"fmt"
	"net"
	"regexp"
	"strings"

	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/apigateway"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ingestion.internal/shared/topology"
)

// openAPI is the public interface, with placeholders for addresses.
//
//go:embed openapi.yaml
var openAPI string

// registerGateway makes the only public entrance.
//
// A config cannot be changed, so its id names its content: a changed document
// is a new config beside the old one, the gateway is switched to it in place,
// and then the old one is deleted. The gateway keeps its address throughout.
func (p *program) registerGateway() error {
	api, err := apigateway.NewApi(p.ctx, "gateway", &apigateway.ApiArgs{
		Project:     pulumi.String(p.cfg.Project),
		ApiId:       pulumi.String(app),
		DisplayName: pulumi.String("Ingestion"),
		Labels:      p.labels("gateway"),
	}, p.needs(apiGateway, apiServiceManage, apiServiceControl))
	if err != nil {
		return err
	}

	account := p.accounts[gatewayAccount].Email
	document := pulumi.All(p.services[topology.WebhookProcessor].Uri, p.services[topology.IntakeAPI].Uri).
		ApplyT(func(uris []any) (string, error) {
			return fillOpenAPI(openAPI, map[string]string{
				topology.WebhookProcessor: uris[0].(string),
				topology.IntakeAPI:        uris[1].(string),
			})
		}).(pulumi.StringOutput)
	id := pulumi.All(document, account).ApplyT(func(parts []any) string {
		return app + "-" + contentHash(parts[0].(string), parts[1].(string))
	}).(pulumi.StringOutput)

	config, err := apigateway.NewApiConfig(p.ctx, "gateway", &apigateway.ApiConfigArgs{
		Project:     pulumi.String(p.cfg.Project),
		Api:         api.ApiId,
		ApiConfigId: id,
		DisplayName: pulumi.String("Ingestion"),
		Labels:      p.labels("gateway"),
		OpenapiDocuments: apigateway.ApiConfigOpenapiDocumentArray{
			&apigateway.ApiConfigOpenapiDocumentArgs{
				Document: &apigateway.ApiConfigOpenapiDocumentDocumentArgs{
					Path: pulumi.String("openapi.yaml"),
					Contents: document.ApplyT(func(text string) string {
						return base64.StdEncoding.EncodeToString([]byte(text))
					}).(pulumi.StringOutput),
				},
			},
		},
		GatewayConfig: &apigateway.ApiConfigGatewayConfigArgs{
			BackendConfig: &apigateway.ApiConfigGatewayConfigBackendConfigArgs{GoogleServiceAccount: account},
		},
	}, pulumi.DeleteBeforeReplace(false))
	if err != nil {
		return err
	}

	gateway, err := apigateway.NewGateway(p.ctx, "gateway", &apigateway.GatewayArgs{
		Project:     pulumi.String(p.cfg.Project),
		Region:      pulumi.String(p.cfg.Region),
		GatewayId:   pulumi.String(app),
		ApiConfig:   config.ID(),
		DisplayName: pulumi.String("Ingestion"),
		Labels:      p.labels("gateway"),
	})
	if err != nil {
		return err
	}
	p.gatewayID = gateway.GatewayId
	p.entrance = gateway
	p.gateway = gateway.DefaultHostname.ApplyT(hostURL).(pulumi.StringOutput)
	return nil
}

var placeholder = regexp.MustCompile(`\$\{([a-z-]+)\}`)

// fillOpenAPI puts services' addresses in the place of their names, and
// refuses a document that names another service.
func fillOpenAPI(document string, addresses map[string]string) (string, error) {
	var unknown []string
	body := GatewayView(document)
	filled := placeholder.ReplaceAllStringFunc(body, func(match string) string {
		name := placeholder.FindStringSubmatch(match)[1]
		address, ok := addresses[name]
		if !ok {
			unknown = append(unknown, name)
		}
		return strings.TrimSuffix(address, "/")
	})
	if len(unknown) > 0 {
		return "", fmt.Errorf("openapi.yaml: no address of %s", strings.Join(unknown, ", "))
	}
	return filled, nil
}

// GatewayView is the part of the document that is API Gateway's: without
// comments, and without the paths of services that are reached directly.
func GatewayView(document string) string {
	var view, path strings.Builder
	direct := false
	end := func() {
		if !direct {
			view.WriteString(path.String())
		}
		path.Reset()
		direct = false
	}
	for line := range strings.Lines(stripComments(document)) {
		// A path begins with two spaces and a slash; it ends with the next, or
		// with what stands further left.
		if depth := len(line) - len(strings.TrimLeft(line, " ")); strings.TrimSpace(line) != "" && depth <= 2 {
			end()
		}
		direct = direct || strings.HasPrefix(line, "    x-direct:")
		path.WriteString(line)
	}
	end()
	return view.String()
}

// stripComments drops whole comment lines, so that editing one does not
// deploy a new config.
func stripComments(document string) string {
	var b strings.Builder
	for line := range strings.Lines(document) {
		if !strings.HasPrefix(strings.TrimSpace(line), "#") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// hostURL returns the URL of a gateway's host. Google's speak https only; one
// on a loopback address has no certificate to show.
func hostURL(host string) string {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	if ip := net.ParseIP(name); name == "localhost" || ip != nil && ip.IsLoopback() {
		return "http://" + host
	}
	return "https://" + host
}
