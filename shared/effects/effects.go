// Package effects says what follows outside the platform from a decision: which
// record in the tenant's CRM, which mails, and why or why not. It is pure; the
// dispatcher carries the effects out.
//
// # What is pushed and mailed
//
// Qualified leads, and those that a person has to review: the decision and its
// reasons go along, and a lead is never lost for a doubt. Spam and what is out
// of the service area is held back: no record, no mail.
package effects

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"ingestion.internal/shared/analysis"
	"ingestion.internal/shared/callrail"
	"ingestion.internal/shared/chat"
	"ingestion.internal/shared/crm"
	"ingestion.internal/shared/email"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/workflow"
)

// Lead is the request as a CRM, or a mail, is told about it.
func Lead(r *store.Request, office *store.Office) (crm.Lead, error) {
	lead := crm.Lead{
		TenantID:   r.TenantID,
		RequestID:  r.RequestID,
		Source:     r.Source,
		Mode:       r.CommunicationMode,
		CallID:     r.CallID,
		ReceivedAt: r.ReceivedAt,
		Customer: crm.Customer{
			Name: r.CustomerName, Phone: r.CustomerPhone, Email: r.CustomerEmail, PostalCode: r.PostalCode,
		},
		LeadScore:      r.LeadScore,
		SpamLikelihood: r.SpamLikelihood,
		Decision:       r.Decision,
		Reasons:        r.DecisionReasons,
	}
	if office != nil {
		lead.OfficeID, lead.OfficeName = office.OfficeID, office.Name
	}
	if len(r.Analysis) > 0 {
		if err := json.Unmarshal(r.Analysis, &lead.Analysis); err != nil {
			return crm.Lead{}, fmt.Errorf("ai_analysis: %w", err)
		}
		lead.Summary, _ = lead.Analysis["summary"].(string)
		// While the request is worked on anew its columns may lack what the
		// analysis before had found out.
		var a analysis.Analysis
		if err := json.Unmarshal(r.Analysis, &a); err != nil {
			return crm.Lead{}, fmt.Errorf("ai_analysis: %w", err)
		}
		found := a.Verified()
		lead.Customer.Name = cmp.Or(lead.Customer.Name, found.Name)
		lead.Customer.Phone = cmp.Or(lead.Customer.Phone, found.Phone)
		lead.Customer.Email = cmp.Or(lead.Customer.Email, found.Email)
		lead.Customer.PostalCode = cmp.Or(lead.Customer.PostalCode, found.ZIP)
	}
	return lead, nil
}

// Step is one effect that is due, or one that is not.
type Step struct {
	Kind   string // store.EffectCRM or store.EffectEmail
	Target string // the provider, or the recipient; of what is not due perhaps ""
	Due    bool
	Mode   string // of what is due: store.ModeImmediate or store.ModeBatch
	// NotBefore is when a batch leaves; zero: at once.
	NotBefore time.Time
	Reason    string
}

// Plan says what follows from the lead's decision by its tenant's workflow, in
// the order in which it is carried out. Batches leave every batchEvery, counted
// from midnight UTC.
func Plan(cfg workflow.Config, lead crm.Lead, now time.Time, batchEvery time.Duration) []Step {
	steps := []Step{planCRM(cfg.CRMIntegration, lead, now, batchEvery)}
	return append(steps, planEmail(cfg.EmailNotifications, lead)...)
}

// heldBack says whether a decision lets nothing follow.
func heldBack(decision string) bool {
	o := workflow.Outcome(decision)
	return o != workflow.Qualified && o != workflow.NeedsReview
}

func planCRM(c workflow.CRMIntegration, lead crm.Lead, now time.Time, batchEvery time.Duration) Step {
	s := Step{Kind: store.EffectCRM, Target: c.Provider}
	switch {
	case !c.Enabled:
		s.Reason = "the CRM integration is off"
	case heldBack(lead.Decision):
		s.Reason = fmt.Sprintf("the decision is %s: it is held back", lead.Decision)
	case c.PushImmediately:
		s.Due, s.Mode = true, store.ModeImmediate
		s.Reason = fmt.Sprintf("the decision is %s, and leads are pushed to %s at once", lead.Decision, c.Provider)
	default:
		s.Due, s.Mode = true, store.ModeBatch
		s.NotBefore = now.UTC().Truncate(batchEvery).Add(batchEvery)
		s.Reason = fmt.Sprintf("the decision is %s, and leads are pushed to %s in batches", lead.Decision, c.Provider)
	}
	return s
}

func planEmail(n workflow.EmailNotifications, lead crm.Lead) []Step {
	due, reason := email.Due(n, lead)
	if due && heldBack(lead.Decision) {
		due, reason = false, fmt.Sprintf("the decision is %s: it is held back", lead.Decision)
	}
	if !due {
		return []Step{{Kind: store.EffectEmail, Reason: reason}}
	}
	var steps []Step
	for _, to := range email.Recipients(n.Recipients) {
		steps = append(steps, Step{Kind: store.EffectEmail, Target: to, Due: true, Mode: store.ModeImmediate, Reason: reason})
	}
	return steps
}

// Planned are the effects of the steps that are due for the request.
func Planned(steps []Step, r *store.Request) []store.PlannedEffect {
	var planned []store.PlannedEffect
	for _, s := range steps {
		if s.Due {
			p := store.PlannedEffect{Kind: s.Kind, Target: s.Target, Mode: s.Mode, NotBefore: s.NotBefore}
			if s.Kind == store.EffectEmail {
				p.AgainAfter = againAfter(r)
			}
			planned = append(planned, p)
		}
	}
	return planned
}

// silence is how much later than the last mail a message has to come to be mailed
// again. A conversation by text is one request for as long as
// CallRail takes it for one, which may be years.
const silence = 7 * 24 * time.Hour

// againAfter returns until when a mail about the request counts as one about
// something else than what the customer wrote last; zero where it never does.
func againAfter(r *store.Request) time.Time {
	if r.CommunicationMode != store.ModeText && r.CommunicationMode != store.ModeChat {
		return time.Time{}
	}
	var conversation struct {
		Messages []struct {
			From string    `json:"from"`
			At   time.Time `json:"at"`
		} `json:"messages"`
	}
	if err := json.Unmarshal(r.Payload, &conversation); err != nil {
		return time.Time{}
	}
	var last time.Time
	for _, m := range conversation.Messages {
		if (m.From == callrail.FromCustomer || m.From == chat.FromVisitor) && m.At.After(last) {
			last = m.At
		}
	}
	if last.IsZero() {
		return last
	}
	return last.Add(-silence)
}

// Entries tell the audit trail of every step, due or not.
func Entries(steps []Step) []store.Entry {
	var entries []store.Entry
	for _, s := range steps {
		e := store.Entry{Action: s.Kind + "." + store.EffectPlanned, Reason: s.Reason, Details: map[string]any{}}
		if !s.Due {
			e.Action = s.Kind + "." + store.EffectSkipped
		}
		if s.Target != "" {
			e.Details["target"] = s.Target
		}
		if s.Mode != "" {
			e.Details["mode"] = s.Mode
		}
		if !s.NotBefore.IsZero() {
			e.Details["not_before"] = s.NotBefore.Format(time.RFC3339)
		}
		entries = append(entries, e)
	}
	return entries
}

// String is the step in a line, for people.
func (s Step) String() string {
	parts := []string{s.Kind}
	if s.Target != "" {
		parts = append(parts, s.Target)
	}
	if !s.Due {
		parts = append(parts, "skipped")
	} else {
		parts = append(parts, s.Mode)
	}
	return strings.Join(parts, " ") + ": " + s.Reason
}
