package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/mail"
	"strings"

	"ingestion.internal/shared/analysis"
	"ingestion.internal/shared/form"
	"ingestion.internal/shared/pipeline"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/topology"
	"ingestion.internal/shared/workflow"
)

// worker works topology.AIAnalysis.
type worker struct {
	analyzer *analysis.Analyzer
	earlier  earlier // nil where the analysis does not look at them
}

var _ pipeline.Worker = (*worker)(nil)

// Stage returns topology.AIAnalysis.
func (*worker) Stage() topology.Stage { return topology.AIAnalysis }

// Work analyses the request, and fills in what the enquiry says of the customer
// where the request does not know it yet and the content shows it.
func (w *worker) Work(ctx context.Context, job pipeline.Job) (pipeline.Outcome, error) {
	request := job.Request
	kind, content, err := contentOf(request)
	if err != nil {
		return pipeline.Outcome{}, pipeline.Permanent(err)
	}
	if w.earlier != nil {
		links, err := w.earlier(ctx, request)
		if err != nil {
			return pipeline.Outcome{}, err
		}
		content.History = tell(links)
	}
	result, err := w.analyzer.Analyze(ctx, kind, content, options(job.Office.Workflow, kind))
	if err != nil {
		return pipeline.Outcome{}, err
	}
	heed(result, request)
	data, err := json.Marshal(result)
	if err != nil {
		return pipeline.Outcome{}, pipeline.Permanent(fmt.Errorf("encode analysis: %w", err))
	}
	spam := float64(result.SpamLikelihood)
	update := store.RequestUpdate{Analysis: data, LeadScore: &result.LeadScore, SpamLikelihood: &spam}
	customer := result.Verified()
	fill(&update.CustomerName, request.CustomerName, customer.Name)
	fill(&update.CustomerPhone, request.CustomerPhone, customer.Phone)
	if _, err := mail.ParseAddress(customer.Email); err == nil {
		fill(&update.CustomerEmail, request.CustomerEmail, customer.Email)
	}
	// CallRail guesses the place from the number: better than nothing.
	fill(&update.PostalCode, request.PostalCode, cmp.Or(strings.TrimSpace(customer.ZIP), content.Details["zip_code"]))
	return pipeline.Outcome{Update: update, Next: topology.Workflow, Entries: []store.Entry{entry(kind, result)}}, nil
}

// entry tells the audit trail who analysed the enquiry, and how.
func entry(kind analysis.Kind, result *analysis.Analysis) store.Entry {
	e := store.Entry{
		Action: "analysed", Reason: fmt.Sprintf("by the prompt for a %s: intent %s, lead score %d, spam likelihood %d",
			kind, result.Intent, result.LeadScore, result.SpamLikelihood),
		Model: result.Model, PromptVersion: result.PromptVersion,
		Details: map[string]any{
			"schema_version": result.SchemaVersion, "tokens_input": result.Tokens.Input, "tokens_output": result.Tokens.Output,
			"repaired": result.Repaired, "reasons": result.Reasons,
		},
	}
	if result.Communication.Type != "" {
		e.Details["communication"] = result.Communication.Type
	}
	if result.CostMicros != nil {
		e.Details["cost_usd_micros"] = *result.CostMicros
	}
	if result.Steering != "" {
		e.Details["steering"] = result.Steering
	}
	if len(result.Unverified) > 0 {
		e.Details["unverified"] = result.Unverified
	}
	if result.ModelFallback != "" {
		e.Details["model_not_available"] = result.ModelFallback
	}
	if result.ContentCut != nil {
		e.Details["content_cut"] = result.ContentCut
	}
	return e
}

// heed adds what the form's sender was seen to do: it counts beside what the
// model makes of the text.
func heed(result *analysis.Analysis, request *store.Request) {
	if request.CommunicationMode != store.ModeForm {
		return
	}
	signals := form.SignalsOf(request.Payload)
	result.SpamSignals = append(result.SpamSignals, signals...)
	result.SpamLikelihood = max(result.SpamLikelihood, form.SpamFloor(signals))
}

// options are what the tenant's workflow wants of the analysis.
func options(cfg workflow.Config, kind analysis.Kind) analysis.Options {
	o := analysis.Options{
		Model:         cfg.Validation.SpamDetection.MLModel,
		SkipDetection: !cfg.CommunicationDetection.Enabled,
	}
	if kind == analysis.Call {
		phone := cfg.Phone()
		o.SkipDetails, o.SkipSentiment = !phone.ExtractDetails, !phone.SentimentAnalysis
	}
	return o
}

// fill sets what the request does not have yet.
func fill(field **string, have, found string) {
	if found = strings.TrimSpace(found); have == "" && found != "" {
		*field = &found
	}
}
