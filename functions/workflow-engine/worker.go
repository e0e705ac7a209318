package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"

	"ingestion.internal/shared/analysis"
	"ingestion.internal/shared/pipeline"
	"ingestion.internal/shared/speech"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/telemetry"
	"ingestion.internal/shared/topology"
	"ingestion.internal/shared/workflow"
)

// effect is something outside the platform that follows from a decision: a
// record in the tenant's CRM, a mail. Apply decides by the tenant's workflow
// whether it is due, and is idempotent by the request's id: it may run again
// for a decision that it was applied to before.
type effect interface {
	Name() string
	Apply(ctx context.Context, job pipeline.Job, decision workflow.Decision) error
}

// worker works topology.Workflow: the decision, then the effects in order. The
// decision is committed when all of them have succeeded.
type worker struct {
	effects []effect
	places  locator // nil where addresses are not looked up
}

var _ pipeline.Worker = (*worker)(nil)

// Stage returns topology.Workflow.
func (*worker) Stage() topology.Stage { return topology.Workflow }

// Work decides the request and completes it.
func (w *worker) Work(ctx context.Context, job pipeline.Job) (pipeline.Outcome, error) {
	decision, err := w.decide(ctx, job)
	if err != nil {
		return pipeline.Outcome{}, err
	}
	for _, e := range w.effects {
		if err := e.Apply(ctx, job, decision); err != nil {
			return pipeline.Outcome{}, fmt.Errorf("%s: %w", e.Name(), err)
		}
	}
	logDecision(ctx, job.Request, decision)
	outcome := string(decision.Outcome)
	return pipeline.Outcome{
		Update: store.RequestUpdate{Decision: &outcome, DecisionReasons: decision.Reasons},
		Entries: []store.Entry{{Action: "decided", Reason: outcome + ": " + strings.Join(decision.Reasons, "; "),
			Details: map[string]any{"outcome": outcome, "reasons": decision.Reasons}}},
	}, nil
}

// logDecision writes the line by which decisions are counted.
func logDecision(ctx context.Context, request *store.Request, decision workflow.Decision) {
	facts := []slog.Attr{slog.String(telemetry.Event, telemetry.RequestDecided), slog.String(telemetry.Outcome, string(decision.Outcome))}
	if request.SpamLikelihood != nil {
		facts = append(facts, slog.Float64(telemetry.SpamLikelihood, *request.SpamLikelihood))
	}
	slog.LogAttrs(ctx, slog.LevelInfo, "decided", facts...)
}

func (w *worker) decide(ctx context.Context, job pipeline.Job) (workflow.Decision, error) {
	request := job.Request
	in := workflow.Input{SpamLikelihood: request.SpamLikelihood, PostalCode: request.PostalCode}
	if len(request.Transcription) > 0 {
		var transcript speech.Transcript
		if err := json.Unmarshal(request.Transcription, &transcript); err != nil {
			return workflow.Decision{}, pipeline.Permanent(fmt.Errorf("transcription_data: %w", err))
		}
		in.MissingContent = transcript.Missing()
	} else if request.CommunicationMode == store.ModePhoneCall {
		in.MissingContent = "the call was not recorded" // it began at its analysis
	}
	var a analysis.Analysis
	if len(request.Analysis) > 0 {
		if err := json.Unmarshal(request.Analysis, &a); err != nil {
			return workflow.Decision{}, pipeline.Permanent(fmt.Errorf("ai_analysis: %w", err))
		}
		in.Communication, in.Intent = a.Communication.Type, a.Intent
	}
	w.locate(ctx, job.Office.Workflow, request, &a, &in)
	decision := workflow.Decide(job.Office.Workflow, in)
	if a.ModelFallback != "" {
		decision.Reasons = append(decision.Reasons, fmt.Sprintf("analysed with %s: %s is not available", a.Model, a.ModelFallback))
	}
	return decision, nil
}
