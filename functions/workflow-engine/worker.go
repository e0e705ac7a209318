package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"ingestion.internal/shared/effects"
	"ingestion.internal/shared/pipeline"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/telemetry"
	"ingestion.internal/shared/topology"
	"ingestion.internal/shared/workflow"
)

// worker works topology.Workflow: the decision, and which effects follow from
// it. They are committed together; the dispatcher carries the effects out, so a
// CRM that is slow or away never holds a decision up.
type worker struct {
	places     locator       // nil where addresses are not looked up
	batchEvery time.Duration // of leads that are not pushed at once
	now        func() time.Time
}

var _ pipeline.Worker = (*worker)(nil)

// Stage returns topology.Workflow.
func (*worker) Stage() topology.Stage { return topology.Workflow }

// Work decides the request and plans what follows. A request that nothing
// follows from is complete.
func (w *worker) Work(ctx context.Context, job pipeline.Job) (pipeline.Outcome, error) {
	decision, err := w.decide(ctx, job)
	if err != nil {
		return pipeline.Outcome{}, err
	}
	outcome := string(decision.Outcome)
	decided := *job.Request
	decided.Decision, decided.DecisionReasons = outcome, decision.Reasons
	lead, err := effects.Lead(&decided, job.Office)
	if err != nil {
		return pipeline.Outcome{}, pipeline.Permanent(err)
	}
	steps := effects.Plan(job.Office.Workflow, lead, w.now(), w.batchEvery)
	out := pipeline.Outcome{
		Update: store.RequestUpdate{Decision: &outcome, DecisionReasons: decision.Reasons},
		Entries: append([]store.Entry{{Action: "decided", Reason: outcome + ": " + strings.Join(decision.Reasons, "; "),
			Details: map[string]any{"outcome": outcome, "reasons": decision.Reasons}}}, effects.Entries(steps)...),
		Effects: effects.Planned(steps, job.Request),
	}
	if len(out.Effects) > 0 {
		out.Next = topology.Delivery
	}
	logDecision(ctx, job.Request, decision)
	return out, nil
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
	in, a, err := effects.Input(request)
	if err != nil {
		return workflow.Decision{}, pipeline.Permanent(err)
	}
	w.locate(ctx, job.Office.Workflow, request, &a, &in)
	decision := workflow.Decide(job.Office.Workflow, in)
	if a.ModelFallback != "" {
		decision.Reasons = append(decision.Reasons, fmt.Sprintf("analysed with %s: %s is not available", a.Model, a.ModelFallback))
	}
	return decision, nil
}
