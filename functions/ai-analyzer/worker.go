package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/mail"
	"strings"
	"time"

	"ingestion.internal/shared/analysis"
	"ingestion.internal/shared/pipeline"
	"ingestion.internal/shared/speech"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/telemetry"
	"ingestion.internal/shared/topology"
)

// worker works topology.AIAnalysis.
type worker struct {
	analyzer *analysis.Analyzer
}

var _ pipeline.Worker = (*worker)(nil)

// Stage returns topology.AIAnalysis.
func (*worker) Stage() topology.Stage { return topology.AIAnalysis }

// Work analyses the request, and fills in what the enquiry says of the customer
// where the request does not know it yet.
func (w *worker) Work(ctx context.Context, job pipeline.Job) (pipeline.Outcome, error) {
	request, cfg := job.Request, job.Office.Workflow
	kind, transcript, content := analysis.Form, speech.Transcript{}, formContent(request)
	if request.CommunicationMode == store.ModePhoneCall {
		kind = analysis.Call
		if len(request.Transcription) > 0 {
			if err := json.Unmarshal(request.Transcription, &transcript); err != nil {
				return pipeline.Outcome{}, pipeline.Permanent(fmt.Errorf("transcription_data: %w", err))
			}
		}
		var err error
		if content, err = callContent(request, &transcript); err != nil {
			return pipeline.Outcome{}, err
		}
	}

	start := time.Now()
	result, err := w.analyzer.Analyze(ctx, kind, content, cfg.Validation.SpamDetection.MLModel)
	took := slog.Float64(telemetry.Seconds, time.Since(start).Seconds())
	if err != nil {
		slog.WarnContext(ctx, "analysis failed", slog.String(telemetry.Event, telemetry.AnalysisFailed),
			slog.String(telemetry.Model, cmp.Or(cfg.Validation.SpamDetection.MLModel, "default")), took)
		return pipeline.Outcome{}, err
	}
	slog.InfoContext(ctx, "analysed", slog.String(telemetry.Event, telemetry.AnalysisDone),
		slog.String(telemetry.Outcome, outcomeOf(result)), slog.String(telemetry.Model, result.Model), took,
		slog.Int64(telemetry.InputTokens, result.Tokens.Input), slog.Int64(telemetry.OutputTokens, result.Tokens.Output))
	customer := result.Customer
	if kind == analysis.Call {
		phone := cfg.Phone()
		if !phone.SentimentAnalysis {
			result.Sentiment = ""
		}
		if !phone.ExtractDetails {
			result.Customer, customer = analysis.Customer{}, analysis.Customer{}
		}
		// CallRail guesses the place from the number: better than nothing.
		customer.ZIP = cmp.Or(strings.TrimSpace(customer.ZIP), transcript.CallDetails["zip_code"])
	}
	data, err := json.Marshal(result)
	if err != nil {
		return pipeline.Outcome{}, pipeline.Permanent(fmt.Errorf("encode analysis: %w", err))
	}
	spam := float64(result.SpamLikelihood)
	update := store.RequestUpdate{Analysis: data, LeadScore: &result.LeadScore, SpamLikelihood: &spam}
	fill(&update.CustomerName, request.CustomerName, customer.Name)
	fill(&update.CustomerPhone, request.CustomerPhone, customer.Phone)
	if _, err := mail.ParseAddress(customer.Email); err == nil {
		fill(&update.CustomerEmail, request.CustomerEmail, customer.Email)
	}
	fill(&update.PostalCode, request.PostalCode, customer.ZIP)
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
	if result.ModelFallback != "" {
		e.Details["model_not_available"] = result.ModelFallback
	}
	if result.ContentCut != nil {
		e.Details["content_cut"] = result.ContentCut
	}
	return e
}

// outcomeOf names what the analysis met with, the gravest first.
func outcomeOf(a *analysis.Analysis) string {
	switch {
	case a.ModelFallback != "":
		return "fallback"
	case a.Repaired:
		return "repaired"
	}
	return telemetry.OK
}

// fill sets what the request does not have yet.
func fill(field **string, have, found string) {
	if found = strings.TrimSpace(found); have == "" && found != "" {
		*field = &found
	}
}

// webhookDetails picks what helps to judge a call out of the webhook's payload:
// all there is where CallRail's API was not asked.
func webhookDetails(payload json.RawMessage) map[string]string {
	var fields map[string]any
	if json.Unmarshal(payload, &fields) != nil {
		return nil
	}
	details := map[string]string{}
	for _, name := range []string{"call_type", "customer_city", "customer_country", "customer_state", "direction", "duration", "note", "source_name", "start_time"} {
		if value, ok := fields[name].(string); ok && value != "" {
			details[name] = value
		}
	}
	return details
}

// callContent is what the model is shown of a call: a JSON document, so that
// nothing that is said can pass for a detail or for another speaker's turn.
func callContent(request *store.Request, transcript *speech.Transcript) (string, error) {
	details := map[string]string{}
	for name, value := range map[string]string{
		"customer_name":         request.CustomerName,
		"customer_phone_number": request.CustomerPhone,
	} {
		if value != "" {
			details[name] = value
		}
	}
	maps.Copy(details, webhookDetails(request.Payload))
	maps.Copy(details, transcript.CallDetails)

	type turn struct {
		Speaker string `json:"speaker,omitempty"`
		Text    string `json:"text"`
	}
	document := struct {
		Details    map[string]string `json:"details"`
		Transcript []turn            `json:"transcript"`
		Missing    string            `json:"transcript_missing,omitempty"`
	}{Details: details, Transcript: []turn{}, Missing: transcript.Missing()}
	for _, t := range transcript.Turns {
		document.Transcript = append(document.Transcript, turn{Speaker: t.Speaker, Text: t.Text})
	}
	if len(document.Transcript) == 0 && transcript.Text != "" {
		document.Transcript = append(document.Transcript, turn{Text: transcript.Text})
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(document); err != nil {
		return "", pipeline.Permanent(fmt.Errorf("encode call: %w", err))
	}
	return b.String(), nil
}

// formContent is what the model is shown of a form: every field as it was
// sent.
func formContent(request *store.Request) string {
	var fields bytes.Buffer
	if err := json.Indent(&fields, request.Payload, "", " "); err != nil {
		return string(request.Payload)
	}
	return fields.String()
}
