package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/mail"
	"slices"
	"strings"

	"ingestion.internal/shared/analysis"
	"ingestion.internal/shared/pipeline"
	"ingestion.internal/shared/speech"
	"ingestion.internal/shared/store"
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
	kind, transcript, content := analysis.Form, speech.Transcript{}, ""
	if request.CommunicationMode == store.ModePhoneCall {
		kind = analysis.Call
		if len(request.Transcription) > 0 {
			if err := json.Unmarshal(request.Transcription, &transcript); err != nil {
				return pipeline.Outcome{}, pipeline.Permanent(fmt.Errorf("transcription_data: %w", err))
			}
		}
		content = callContent(request, &transcript)
	} else {
		content = formContent(request)
	}

	result, err := w.analyzer.Analyze(ctx, kind, content, cfg.Validation.SpamDetection.MLModel)
	if err != nil {
		return pipeline.Outcome{}, err
	}
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
	return pipeline.Outcome{Update: update, Next: topology.Workflow}, nil
}

// fill sets what the request does not have yet.
func fill(field **string, have, found string) {
	if found = strings.TrimSpace(found); have == "" && found != "" {
		*field = &found
	}
}

// callContent is what the model is shown of a call.
func callContent(request *store.Request, transcript *speech.Transcript) string {
	details := map[string]string{}
	for name, value := range map[string]string{
		"customer_name":         request.CustomerName,
		"customer_phone_number": request.CustomerPhone,
	} {
		if value != "" {
			details[name] = value
		}
	}
	maps.Copy(details, transcript.CallDetails)

	var b strings.Builder
	b.WriteString("Details:\n")
	for _, name := range slices.Sorted(maps.Keys(details)) {
		fmt.Fprintf(&b, "%s: %s\n", name, details[name])
	}
	b.WriteString("\nTranscript:\n")
	switch {
	case transcript.Text == "":
		b.WriteString("(there is none")
		if why := transcript.Missing(); why != "" {
			b.WriteString(": " + why)
		}
		b.WriteString(")\n")
	case len(transcript.Turns) == 0:
		b.WriteString(transcript.Text + "\n")
	default:
		for _, turn := range transcript.Turns {
			if turn.Speaker != "" {
				fmt.Fprintf(&b, "Speaker %s: ", turn.Speaker)
			}
			b.WriteString(turn.Text + "\n")
		}
	}
	return b.String()
}

// formContent is what the model is shown of a form: every field as it was
// sent.
func formContent(request *store.Request) string {
	var fields bytes.Buffer
	if err := json.Indent(&fields, request.Payload, "", "  "); err != nil {
		return string(request.Payload)
	}
	return "Form fields:\n" + fields.String() + "\n"
}
