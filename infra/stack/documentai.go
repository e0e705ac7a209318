package stack

import (
	"regexp"
	"strconv"

	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/essentialcontacts" // where provider 7 has Document AI
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ingestion.internal/shared/topology"
)

// DocumentAIConfig has the files that come with forms read by Document AI. It
// is billed by the page, so a stack says that it wants it; without, files are
// kept and not read. The processor's name is the output formProcessor.
type DocumentAIConfig struct {
	Enabled  bool   `json:"enabled"`
	Location string `json:"location"` // us or eu
	Version  string `json:"version"`  // of Google's form parser
	// MinConfidence is how sure the parser must be, 0 to 1, of what a document
	// says of the customer for a request to take it over where the form itself
	// is silent.
	MinConfidence float64 `json:"minConfidence"`
}

var processorVersion = regexp.MustCompile(`^pretrained-form-parser-v[0-9]+\.[0-9]+-[0-9]{4}-[0-9]{2}-[0-9]{2}$`)

func (c DocumentAIConfig) validate(errs *problems) {
	const path = "ingestion:documentAi"
	if c.Location != "us" && c.Location != "eu" {
		errs.add(path+".location", "must be us or eu, not %q", c.Location)
	}
	if !(c.MinConfidence >= 0 && c.MinConfidence <= 1) {
		errs.add(path+".minConfidence", "must be 0 to 1, not %g", c.MinConfidence)
	}
	if !processorVersion.MatchString(c.Version) {
		errs.add(path+".version", "must be a version of the form parser, such as pretrained-form-parser-v2.0-2022-11-10, not %q", c.Version)
	}
}

// documentAPIs is what is called to read documents.
func documentAPIs(c *Config) []string {
	if !c.DocumentAI.Enabled {
		return nil
	}
	return []string{apiDocuments}
}

// readEnv is for whoever has documents read.
func readEnv(p *program) env {
	e := env{
		topology.EnvDocumentBucket:     p.documents.Name,
		topology.EnvStorageEndpoint:    pulumi.String(p.cfg.Endpoints.Storage),
		topology.EnvDocumentConfidence: pulumi.String(strconv.FormatFloat(p.cfg.DocumentAI.MinConfidence, 'g', -1, 64)),
	}
	if p.forms != nil {
		// The version itself, so that a new default changes nothing before the
		// processor's own is changed.
		e[topology.EnvDocumentAI] = pulumi.Sprintf("%s/processorVersions/%s", p.forms.ID(), p.cfg.DocumentAI.Version)
		e[topology.EnvDocumentAIEndpoint] = pulumi.String(p.cfg.Endpoints.DocumentAI)
	}
	return e
}

// registerDocumentAI makes the form parser and pins its version, so that a new
// default of Google's does not change what forms are read as.
func (p *program) registerDocumentAI() error {
	c := p.cfg.DocumentAI
	if !c.Enabled {
		return nil
	}
	child, err := p.component("documents", "forms")
	if err != nil {
		return err
	}
	// The stack's key is in one region and the processor in a group of them,
	// so Google's key encrypts it. It keeps no documents.
	processor, err := essentialcontacts.NewDocumentAiProcessor(p.ctx, "forms", &essentialcontacts.DocumentAiProcessorArgs{
		Project:     pulumi.String(p.cfg.Project),
		Location:    pulumi.String(c.Location),
		DisplayName: pulumi.String(app + "-forms"),
		Type:        pulumi.String("FORM_PARSER_PROCESSOR"),
	}, child, p.needs(apiDocuments))
	if err != nil {
		return err
	}
	p.forms = processor
	_, err = essentialcontacts.NewDocumentAiProcessorDefaultVersion(p.ctx, "forms", &essentialcontacts.DocumentAiProcessorDefaultVersionArgs{
		Processor: processor.ID(),
		Version:   pulumi.Sprintf("%s/processorVersions/%s", processor.ID(), c.Version),
	}, child)
	return err
}
