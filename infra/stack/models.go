package stack

import (
	"fmt"
	"time"

	"ingestion.internal/shared/gemini"
)

// modelWarnings says which of the models that the stack and its active tenants
// name are retired or will be soon, each with its path. It is no mistake of the
// config: dates of retirement may be extended, and a tenant's model that is
// gone is replaced by the stack's while requests run.
func (c *Config) modelWarnings(now time.Time) ([]string, error) {
	var warnings []string
	warn := func(path, model string) {
		if text := gemini.Warning(model, now); text != "" {
			warnings = append(warnings, fmt.Sprintf("%s: %s", path, text))
		}
	}
	warn("ingestion:gemini.model", c.Gemini.Model)
	m, err := c.manifest()
	if err != nil {
		return nil, err
	}
	for _, t := range m.Tenants {
		if t.State != stateActive {
			continue
		}
		for _, o := range t.Offices {
			warn(fmt.Sprintf("ingestion:tenants.%s.offices.%s: workflow.validation.spam_detection.ml_model", t.ID, o.ID),
				o.Workflow.Validation.SpamDetection.MLModel)
		}
	}
	return warnings, nil
}

// warnOfModels shows the warnings in a preview and an update.
func (p *program) warnOfModels() error {
	warnings, err := p.cfg.modelWarnings(time.Now())
	if err != nil {
		return err
	}
	for _, text := range warnings {
		if err := p.ctx.Log.Warn(text, nil); err != nil {
			return fmt.Errorf("warn of a model: %w", err)
		}
	}
	return nil
}
