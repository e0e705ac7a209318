// Package follow watches one request on its way through the stages, in
// Spanner, and tells its story.
package follow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"ingestion.internal/shared/analysis"
	"ingestion.internal/shared/documents"
	"ingestion.internal/shared/workflow"
)

// Stage is one row of request_stages.
type Stage struct {
	Name     string    `json:"stage"`
	State    string    `json:"state"`
	Attempts int64     `json:"attempts"`
	Cause    string    `json:"cause,omitempty"` // why the last attempt failed
	Created  time.Time `json:"createdAt"`
	Started  time.Time `json:"startedAt,omitzero"`
	Finished time.Time `json:"finishedAt,omitzero"`
	// Seconds from the stage's creation to its end: waiting included.
	Seconds float64 `json:"seconds"`
}

// Story is all that is known of a request.
type Story struct {
	RequestID       string `json:"requestId"`
	TenantID        string `json:"tenantId"`
	Status          string `json:"status"`
	TranscriptStart string `json:"transcriptStart,omitempty"` // of a call
	// Documents is what was read in the files of a form; nil for no such stage.
	Documents       *documents.Reading `json:"documents,omitempty"`
	Communication   string             `json:"communication,omitempty"` // what it really is, such as enquiry
	Intent          string             `json:"intent,omitempty"`
	ProjectType     string             `json:"projectType,omitempty"`
	Sentiment       string             `json:"sentiment,omitempty"`
	Urgency         string             `json:"urgency,omitempty"`
	Summary         string             `json:"summary,omitempty"`
	NextStep        string             `json:"nextStep,omitempty"`   // action: detail
	AnalysedBy      string             `json:"analysedBy,omitempty"` // model, prompt, tokens and cost
	LeadScore       *int64             `json:"leadScore"`
	SpamLikelihood  *float64           `json:"spamLikelihood"`
	Decision        string             `json:"decision,omitempty"`
	DecisionReasons []string           `json:"decisionReasons,omitempty"`
	FailureStage    string             `json:"failureStage,omitempty"`
	FailureCause    string             `json:"failureCause,omitempty"`
	Stages          []Stage            `json:"stages"` // in the order of their creation
	Created         time.Time          `json:"createdAt"`
	Seconds         float64            `json:"seconds"` // from the request's creation to the end of its last stage
}

// Ended reports whether nothing more will happen to the request by itself.
func (s *Story) Ended() bool {
	switch s.Status {
	case "completed", "failed", "dead_letter":
		return true
	}
	return false
}

// Missing lists what a completed request must have and this one has not;
// transcript says whether somebody spoke.
func (s *Story) Missing(transcript bool) []string {
	var m []string
	if s.Status != "completed" {
		m = append(m, "status completed (it is "+s.Status+")")
	}
	if s.Decision == string(workflow.Recorded) {
		return m // nothing was to be done about it
	}
	if transcript && s.TranscriptStart == "" {
		m = append(m, "a transcript")
	}
	if s.Intent == "" {
		m = append(m, "an intent")
	}
	if s.LeadScore == nil {
		m = append(m, "a lead score")
	}
	if s.Decision == "" {
		m = append(m, "a decision")
	}
	return m
}

// ErrNoRequest says that the request's row does not exist.
var ErrNoRequest = errors.New("no such request")

// Reader reads a request's present story. A missing row is ErrNoRequest.
type Reader interface {
	Read(ctx context.Context, tenantID, requestID string) (*Story, error)
}

// interval is how often the database is asked. A stage of the local cloud
// takes a fraction of a second.
const interval = 50 * time.Millisecond

// Until reads until the request has ended or ctx is done, and calls changed,
// if it is not nil, whenever a stage or the status moved. With an error it
// still returns the last story that it read, which may be nil.
func Until(ctx context.Context, r Reader, tenantID, requestID string, changed func(*Story)) (*Story, error) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	var last *Story
	for {
		s, err := r.Read(ctx, tenantID, requestID)
		switch {
		case err == nil:
			if changed != nil && (last == nil || last.position() != s.position()) {
				changed(s)
			}
			last = s
			if s.Ended() {
				return s, nil
			}
		case ctx.Err() != nil:
			return last, unfinished(last, requestID, ctx)
		default:
			return last, err
		}
		select {
		case <-ctx.Done():
			return last, unfinished(last, requestID, ctx)
		case <-tick.C:
		}
	}
}

// unfinished says where a request was when time ran out.
func unfinished(s *Story, requestID string, ctx context.Context) error {
	if s == nil {
		return fmt.Errorf("request %s could not be read: %w", requestID, context.Cause(ctx))
	}
	return fmt.Errorf("request %s is not at its end (%s): %w", requestID, s.position(), context.Cause(ctx))
}

// position is the status and every stage's state and attempts, in words.
func (s *Story) position() string {
	parts := []string{s.Status}
	for _, st := range s.Stages {
		p := st.Name + " " + st.State
		if st.Attempts > 1 {
			p += fmt.Sprintf(" in attempt %d", st.Attempts)
		}
		if st.Cause != "" && st.State != "done" {
			p += ": " + st.Cause
		}
		parts = append(parts, p)
	}
	return strings.Join(parts, ", ")
}

// Now names what is going on: the stage that has not ended, or the status.
func (s *Story) Now() string {
	for _, st := range s.Stages {
		if st.State == "pending" || st.State == "running" {
			return st.Name + " " + st.State
		}
	}
	return s.Status
}

// fill completes a story that has its columns and stages.
func (s *Story) fill(transcription, read, stored string) {
	s.TranscriptStart = TranscriptStart(transcription)
	if reading, err := documents.Parse(json.RawMessage(read)); err == nil && read != "" {
		s.Documents = reading
	}
	var a analysis.Analysis
	if stored != "" && json.Unmarshal([]byte(stored), &a) == nil {
		s.Intent, s.ProjectType, s.Sentiment, s.Urgency, s.Summary = a.Intent, a.ProjectType, a.Sentiment, a.Urgency, a.Summary
		s.Communication, s.NextStep, s.AnalysedBy = a.Communication.Type, nextStep(a.NextStep), analysedBy(&a)
	}
	end := s.Created
	for i := range s.Stages {
		st := &s.Stages[i]
		if st.Finished.IsZero() {
			continue
		}
		st.Seconds = seconds(st.Finished.Sub(st.Created))
		if st.Finished.After(end) {
			end = st.Finished
		}
	}
	s.Seconds = seconds(end.Sub(s.Created))
}

func nextStep(n analysis.NextStep) string {
	if n.Detail == "" {
		return n.Action
	}
	return n.Action + ": " + n.Detail
}

// analysedBy says which model described a request, and for how much.
func analysedBy(a *analysis.Analysis) string {
	if a.Model == "" {
		return ""
	}
	text := fmt.Sprintf("%s, prompt %s, %d tokens in, %d out", a.Model, a.PromptVersion, a.Tokens.Input, a.Tokens.Output)
	if a.CostMicros != nil {
		text += fmt.Sprintf(", $%.4f", float64(*a.CostMicros)/1e6)
	}
	if a.ModelFallback != "" {
		text += "; " + a.ModelFallback + " is not available"
	}
	return text
}

// seconds rounds to milliseconds.
func seconds(d time.Duration) float64 {
	return float64(max(d, 0).Milliseconds()) / 1000
}

// startLength is how much of a transcript is shown, in characters.
const startLength = 160

// TranscriptStart returns the beginning of a transcript from the JSON of
// requests.transcription_data, on one line; "" if there is no text.
func TranscriptStart(raw string) string {
	var t struct {
		Text string `json:"text"`
	}
	if json.Unmarshal([]byte(raw), &t) != nil {
		return ""
	}
	text := strings.Join(strings.Fields(t.Text), " ")
	if r := []rune(text); len(r) > startLength {
		return strings.TrimRight(string(r[:startLength]), " ") + "…"
	}
	return text
}
