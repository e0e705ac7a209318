package stack

import (
	"regexp"

	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/essentialcontacts" // where provider 7 has Document AI
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// DocumentAIConfig prepares Document AI for forms that come as documents. No
// workload reads any yet: the processor is off until one does, and then its
// name is in the output formProcessor.
type DocumentAIConfig struct {
	Enabled  bool   `json:"enabled"`
	Location string `json:"location"` // us or eu
	Version  string `json:"version"`  // of Google's form parser
}

var processorVersion = regexp.MustCompile(`^pretrained-form-parser-v[0-9]+\.[0-9]+-[0-9]{4}-[0-9]{2}-[0-9]{2}$`)

func (c DocumentAIConfig) validate(errs *problems) {
	const path = "ingestion:documentAi"
	if c.Location != "us" && c.Location != "eu" {
		errs.add(path+".location", "must be us or eu, not %q", c.Location)
	}
	if !processorVersion.MatchString(c.Version) {
		errs.add(path+".version", "must be a version of the form parser, such as pretrained-form-parser-v2.0-2022-11-10, not %q", c.Version)
	}
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
