package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ingestion.internal/local/internal/cli"
	"ingestion.internal/local/internal/daemonapi"
	"ingestion.internal/local/internal/follow"
	"ingestion.internal/shared/crm"
	"ingestion.internal/shared/crm/connectors"
	"ingestion.internal/shared/documents"
	"ingestion.internal/shared/effects"
	"ingestion.internal/shared/email"
	"ingestion.internal/shared/email/sendgrid"
	"ingestion.internal/shared/integrations"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/workflow"
)

// stored is a request of the deployed database.
type stored struct {
	client *daemonapi.Client
	db     *store.DB
	tenant *store.Tenant
	id     string
}

// stored finds the request whose id begins with text. The caller closes db.
func (a *app) stored(ctx context.Context, text string) (*stored, error) {
	client, db, finder, err := a.database(ctx)
	if err != nil {
		return nil, err
	}
	defer finder.Close()
	tenant, id, err := finder.Find(ctx, text)
	if err != nil {
		_ = db.Close()
		return nil, coded(cli.ExitUsage, err)
	}
	return &stored{client: client, db: db, tenant: db.Tenant(tenant), id: id}, nil
}

// database opens the deployed database, as the handlers see it and as it is.
func (a *app) database(ctx context.Context) (*daemonapi.Client, *store.DB, *follow.Spanner, error) {
	_, client, err := a.daemon()
	if err != nil {
		return nil, nil, nil, err
	}
	status, err := deployed(ctx, client)
	if err != nil {
		return nil, nil, nil, err
	}
	finder, err := follow.Open(ctx, status.Emulator.Address, status.Database)
	if err != nil {
		return nil, nil, nil, err
	}
	p := strings.Split(status.Database, "/")
	db, err := store.Open(ctx, store.Config{Project: p[1], Instance: p[3], Database: p[5], CacheTTL: time.Second,
		Emulator: status.Emulator.Address, Actor: "the local command"})
	if err != nil {
		finder.Close()
		return nil, nil, nil, err
	}
	return client, db, finder, nil
}

// request tells the whole story of one request.
func (a *app) request(ctx context.Context) error {
	r, err := a.stored(ctx, a.opts.Args[0])
	if err != nil {
		return err
	}
	defer r.db.Close()
	s, err := r.tenant.Story(ctx, r.id)
	if err != nil {
		return err
	}
	if a.opts.JSON {
		return writeJSON(a.stdout, s)
	}
	a.board.Println(timeline(s))
	return nil
}

// timeline is a request's story in lines.
func timeline(s *store.Story) string {
	var b strings.Builder
	fmt.Fprintf(&b, "request %s of %s, %s, received %s\n", s.Request.RequestID, s.Request.TenantID, s.Request.Status, s.Request.ReceivedAt.UTC().Format(time.RFC3339))
	if s.Request.Decision != "" {
		fmt.Fprintf(&b, "decision %s\n", s.Request.Decision)
	}
	if reading, err := documents.Parse(s.Request.Documents); err == nil {
		for _, line := range documentLines(reading) {
			fmt.Fprintf(&b, "document %s\n", line)
		}
	}
	for _, e := range s.Effects {
		fmt.Fprintln(&b, effectLine(e))
	}
	for _, l := range s.Links {
		fmt.Fprintln(&b, linkLine(l))
	}
	for _, e := range s.Entries {
		fmt.Fprintf(&b, "\n%8s  %s", "+"+e.At.Sub(s.Request.ReceivedAt).Round(time.Millisecond).String(), e.Action)
		if e.Reason != "" {
			fmt.Fprintf(&b, "\n          %s", oneLine(e.Reason))
		}
		var by []string
		for _, fact := range []struct{ name, value string }{
			{"by", e.Actor}, {"stage", string(e.Stage)}, {"workflow", e.ConfigHash}, {"prompt", e.PromptVersion}, {"model", e.Model},
		} {
			if fact.value != "" {
				by = append(by, fact.name+" "+fact.value)
			}
		}
		for _, key := range slices.Sorted(maps.Keys(e.Details)) {
			value := e.Details[key]
			if text, err := json.Marshal(value); err == nil && value != "" && len(text) <= 120 {
				by = append(by, key+"="+strings.Trim(string(text), `"`))
			}
		}
		if len(by) > 0 {
			fmt.Fprintf(&b, "\n          (%s)", strings.Join(by, ", "))
		}
	}
	return b.String()
}

func effectLine(e store.Effect) string {
	text := fmt.Sprintf("%-8s %s: %s", e.Kind, e.Target, e.State)
	if e.ExternalID != "" {
		text += " as " + e.ExternalID
	}
	if e.Open() && !e.NextAttempt.IsZero() {
		text += ", next at " + e.NextAttempt.UTC().Format(time.TimeOnly)
	}
	if e.Cause != "" {
		text += ": " + oneLine(e.Cause)
	}
	return text
}

// documentLines tell what was read in the files that came with a form, and what
// of it the request took over.
func documentLines(reading *documents.Reading) []string {
	if reading == nil {
		return nil
	}
	var lines []string
	for _, d := range reading.Documents {
		text := fmt.Sprintf("%s: %s", cmp.Or(d.Name, d.Object, d.Source), d.Status)
		if d.Cause != "" {
			text += ": " + oneLine(d.Cause)
		} else if d.Pages > 0 {
			text += fmt.Sprintf(", pages: %d, fields: %d", d.Pages, len(d.Fields))
		}
		lines = append(lines, text)
		for _, name := range slices.Sorted(maps.Keys(reading.Contact)) {
			f := reading.Contact[name]
			if f.Object != d.Object {
				continue
			}
			used := "not taken over"
			if f.Used {
				used = "taken over"
			}
			lines = append(lines, fmt.Sprintf("- %s %q from %q, confidence %.2f, %s", name, f.Value, f.Field, f.Confidence, used))
		}
	}
	return lines
}

// linkLine tells of another request of the same person.
func linkLine(l store.Link) string {
	became := l.Decision
	if became == "" {
		became = string(l.Status)
	}
	return fmt.Sprintf("same person: request %s, %s of %s, %s (%s)",
		l.RequestID, l.CommunicationMode, l.ReceivedAt.UTC().Format(time.RFC3339), became, strings.Join(l.By, ", "))
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// told is a followed request and what it wrote to the CRM and mailed.
type told struct {
	*follow.Story
	Outcome *outcome `json:"outcome,omitempty"` // nil where it could not be read
}

// outcome is what a request wrote to the CRM and mailed, and why or why not.
type outcome struct {
	Why     []reason           `json:"why"`
	Effects []effect           `json:"effects"`
	Records []daemonapi.Record `json:"records"` // that the effects wrote
	Mails   []daemonapi.Mail   `json:"mails"`   // that the effects sent
}

type reason struct {
	Action string `json:"action"` // crm.planned, email.skipped, ...
	Reason string `json:"reason"`
}

type effect struct {
	Kind        string    `json:"kind"`
	Target      string    `json:"target"`
	State       string    `json:"state"`
	Mode        string    `json:"mode"`
	ExternalID  string    `json:"externalId,omitempty"`
	MessageID   string    `json:"messageId,omitempty"`
	Cause       string    `json:"cause,omitempty"`
	NextAttempt time.Time `json:"nextAttempt,omitzero"`
	line        string    // for people
}

// told completes what was followed with its outcome. It waits, for at most
// --timeout, until everything that is to leave at once has been tried.
func (a *app) told(ctx context.Context, s *follow.Story) (*told, error) {
	t := &told{Story: s}
	r, err := a.stored(ctx, s.RequestID)
	if err != nil {
		return t, err
	}
	defer r.db.Close()
	// It bounds the waiting alone: what is known is told, also when time ran out.
	bound, cancel := context.WithTimeoutCause(ctx, a.opts.Timeout, fmt.Errorf("--timeout %v is over", a.opts.Timeout))
	defer cancel()
	story, waitErr := r.settled(ctx, bound)
	if story == nil {
		return t, fmt.Errorf("what request %s wrote and mailed: %w", s.RequestID, waitErr)
	}
	records, err := r.client.Records(ctx)
	if err != nil {
		return t, err
	}
	mails, err := r.client.Mail(ctx)
	if err != nil {
		return t, err
	}
	t.Outcome = outcomeOf(story, records, mails)
	if waitErr != nil {
		return t, coded(cli.ExitRequest, fmt.Errorf("request %s has effects on their way: %w", s.RequestID, waitErr))
	}
	return t, nil
}

// settleInterval is how often the database is asked for the effects of a
// request that has ended. Its stand-ins answer in milliseconds.
const settleInterval = 50 * time.Millisecond

// settled reads the request's story when no effect is on its way any more. With
// an error it still returns the last story that it read, which may be nil.
func (r *stored) settled(ctx, bound context.Context) (*store.Story, error) {
	tick := time.NewTicker(settleInterval)
	defer tick.Stop()
	for {
		s, err := r.tenant.Story(ctx, r.id)
		if err != nil || !slices.ContainsFunc(s.Effects, onItsWay) {
			return s, err
		}
		select {
		case <-bound.Done():
			return s, context.Cause(bound)
		case <-tick.C:
		}
	}
}

// onItsWay says that an effect is being tried for the first time, or will be at
// once. One that waits for its batch is not, nor is one that was put off: that
// may take hours.
func onItsWay(e store.Effect) bool {
	return e.Mode == store.ModeImmediate && (e.State == store.EffectSending || e.State == store.EffectPlanned && e.Cause == "")
}

// outcomeOf picks what belongs to the request.
func outcomeOf(s *store.Story, records []daemonapi.Record, mails []daemonapi.Mail) *outcome {
	o := &outcome{Why: []reason{}, Effects: []effect{}, Records: []daemonapi.Record{}, Mails: []daemonapi.Mail{}}
	for _, e := range s.Entries {
		_, what, _ := strings.Cut(e.Action, ".")
		if what == store.EffectPlanned || what == store.EffectSkipped || what == store.ActionKept {
			o.Why = append(o.Why, reason{e.Action, oneLine(e.Reason)})
		}
	}
	for _, e := range s.Effects {
		o.Effects = append(o.Effects, effect{Kind: e.Kind, Target: e.Target, State: e.State, Mode: e.Mode, ExternalID: e.ExternalID,
			MessageID: e.MessageID, Cause: e.Cause, NextAttempt: e.NextAttempt, line: effectLine(e)})
		for _, r := range records {
			if e.Kind == store.EffectCRM && e.ExternalID != "" && r.Tenant == s.Request.TenantID && r.Provider == e.Target && r.ID == e.ExternalID {
				o.Records = append(o.Records, r)
			}
		}
		for _, m := range mails {
			if e.Kind == store.EffectEmail && m.MessageID != "" && m.MessageID == e.MessageID {
				o.Mails = append(o.Mails, m)
			}
		}
	}
	return o
}

// print writes the outcome in rows like those of a story.
func (o *outcome) print(row func(name, format string, args ...any)) {
	for _, w := range o.Why {
		row("why", "%s: %s", w.Action, w.Reason)
	}
	for _, e := range o.Effects {
		row(e.Kind, "%s", strings.TrimSpace(strings.TrimPrefix(e.line, e.Kind)))
	}
	for _, r := range o.Records {
		row("record", "%s", recordLine(r))
	}
	for _, m := range o.Mails {
		row("mail", "to %s: %s", m.To, m.Subject)
	}
}

// undelivered is an error if something that leaves at once was tried and has
// not arrived.
func (t *told) undelivered() error {
	if t == nil || t.Outcome == nil {
		return nil // there is an error that says more
	}
	var left []string
	for _, e := range t.Outcome.Effects {
		if e.Mode == store.ModeImmediate && e.State != store.EffectSent && e.State != store.EffectSkipped {
			left = append(left, oneLine(e.line))
		}
	}
	if len(left) == 0 {
		return nil
	}
	return coded(cli.ExitRequest, fmt.Errorf("request %s did not reach everyone: %s", t.RequestID, strings.Join(left, "; ")))
}

func recordLine(r daemonapi.Record) string {
	var fields []string
	for _, name := range slices.Sorted(maps.Keys(r.Fields)) {
		text, ok := r.Fields[name].(string)
		if !ok {
			encoded, err := json.Marshal(r.Fields[name])
			if err != nil {
				continue
			}
			text = string(encoded)
		}
		if runes := []rune(oneLine(text)); len(runes) > 60 {
			text = string(runes[:59]) + "…"
		}
		fields = append(fields, name+"="+oneLine(text))
	}
	return fmt.Sprintf("%s %s %s: %s", r.Provider, r.Kind, r.ID, strings.Join(fields, ", "))
}

// crm lists the records in the tenants' CRMs.
func (a *app) crm(ctx context.Context) error {
	_, client, err := a.daemon()
	if err != nil {
		return err
	}
	records, err := client.Records(ctx)
	if err != nil {
		return err
	}
	records = slices.DeleteFunc(records, func(r daemonapi.Record) bool { return a.opts.Tenant != "" && r.Tenant != a.opts.Tenant })
	if a.opts.JSON {
		return writeJSON(a.stdout, records)
	}
	if len(records) == 0 {
		a.board.Println("no records")
	}
	tenant := ""
	for _, r := range records {
		if r.Tenant != tenant {
			tenant = r.Tenant
			a.board.Println(tenant)
		}
		a.board.Println("  " + recordLine(r))
	}
	return nil
}

// inbox shows the mail that was sent.
func (a *app) inbox(ctx context.Context) error {
	_, client, err := a.daemon()
	if err != nil {
		return err
	}
	mails, err := client.Mail(ctx)
	if err != nil {
		return err
	}
	mails = slices.DeleteFunc(mails, func(m daemonapi.Mail) bool { return a.opts.Tenant != "" && m.Tenant != a.opts.Tenant })
	if n := a.opts.Tail; n >= 0 && len(mails) > n {
		mails = mails[len(mails)-n:]
	}
	if a.opts.JSON {
		return writeJSON(a.stdout, mails)
	}
	if a.opts.HTML != "" {
		if len(mails) == 0 {
			return errors.New("no mail was sent")
		}
		return a.writeFile(a.opts.HTML, mails[len(mails)-1].HTML)
	}
	if len(mails) == 0 {
		a.board.Println("no mail")
	}
	for _, m := range mails {
		a.board.Println(fmt.Sprintf("From:    %s\nTo:      %s\nSubject: %s\nDate:    %s (%s, %s)\n\n%s\n", m.From, m.To, m.Subject,
			m.ReceivedAt.UTC().Format(time.RFC1123), m.Tenant, m.Template, strings.TrimSpace(m.Text)))
	}
	return nil
}

func (a *app) writeFile(name, text string) error {
	if !filepath.IsAbs(name) {
		name = filepath.Join(a.workDir, name)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		return err
	}
	a.board.Println("written to " + name)
	return nil
}

// sampleLead is what templates are shown with.
func sampleLead() crm.Lead {
	score, spam := int64(82), 3.0
	return crm.Lead{
		TenantID: "sample", RequestID: "00000000-0000-5000-8000-000000000000", OfficeID: "main", OfficeName: "Sample Kitchens, Main Street",
		Mode: store.ModePhoneCall, ReceivedAt: time.Date(2026, 11, 20, 17, 30, 0, 0, time.UTC),
		Customer:  crm.Customer{Name: "Mary Ann Lee", Phone: "+13105550123", Email: "mary@example.com", PostalCode: "90210"},
		LeadScore: &score, SpamLikelihood: &spam, Decision: string(workflow.Qualified),
		Reasons:  []string{"spam likelihood 3 is below the threshold 75", "ZIP code 90210 is in the service area"},
		Summary:  "Wants a new kitchen before the summer, has a budget of $25,000.",
		Analysis: map[string]any{"intent": "quote_request", "project_type": "kitchen", "urgency": "high", "sentiment": "positive"},
	}
}

// template renders a template with a sample lead.
func (a *app) template(context.Context) error {
	name := email.DefaultTemplate
	if len(a.opts.Args) > 1 {
		name = a.opts.Args[1]
	}
	content, err := email.Render(name, sampleLead())
	if name == email.DigestTemplate {
		content, err = email.RenderDigest([]crm.Lead{sampleLead(), sampleLead()})
	}
	if err != nil {
		return coded(cli.ExitUsage, err)
	}
	if a.opts.HTML != "" {
		return a.writeFile(a.opts.HTML, content.HTML)
	}
	a.board.Println(fmt.Sprintf("Template: %s\nSubject:  %s\n\n%s", content.Template, content.Subject, strings.TrimSpace(content.Text)))
	return nil
}

// release makes parked effects due.
func (a *app) release(ctx context.Context) error {
	const why = "released by command"
	if a.opts.Tenant != "" {
		_, db, finder, err := a.database(ctx)
		if err != nil {
			return err
		}
		defer db.Close()
		defer finder.Close()
		return a.released(db.Tenant(a.opts.Tenant).ReleaseEffects(ctx, "", why))
	}
	r, err := a.stored(ctx, a.opts.Args[0])
	if err != nil {
		return err
	}
	defer r.db.Close()
	return a.released(r.tenant.ReleaseEffects(ctx, r.id, why))
}

func (a *app) released(n int, err error) error {
	if err != nil {
		return err
	}
	a.board.Println(fmt.Sprintf("%d released; the dispatcher takes them up within a minute", n))
	return nil
}

// dry is what a workflow would do with a request.
type dry struct {
	Request  string         `json:"request"`
	Tenant   string         `json:"tenant"`
	Config   string         `json:"configHash"`
	Decision string         `json:"decision"`
	Reasons  []string       `json:"reasons"`
	Steps    []dryStep      `json:"steps"`
	Was      map[string]any `json:"was"` // how it was decided
}

type dryStep struct {
	Step     string    `json:"step"`
	Due      bool      `json:"due"`
	Payloads []dryCall `json:"payloads,omitempty"`
	Problem  string    `json:"problem,omitempty"` // why there are no payloads
}

type dryCall struct {
	Op     string          `json:"op"`
	Method string          `json:"method"`
	URL    string          `json:"url"`
	Body   json.RawMessage `json:"body"`
}

// dryRun decides a stored request by a workflow and shows what would be sent.
func (a *app) dryRun(ctx context.Context) error {
	r, err := a.stored(ctx, a.opts.Args[0])
	if err != nil {
		return err
	}
	defer r.db.Close()
	story, err := r.tenant.Story(ctx, r.id)
	if err != nil {
		return err
	}
	if story.Office == nil {
		return fmt.Errorf("tenant %s has no office", r.tenant.ID())
	}
	cfg := story.Office.Workflow
	if a.opts.Workflow != "" {
		name := a.opts.Workflow
		if !filepath.IsAbs(name) {
			name = filepath.Join(a.workDir, name)
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return coded(cli.ExitUsage, err)
		}
		if cfg, err = workflow.Parse(text, a.opts.Workflow); err != nil {
			return coded(cli.ExitUsage, err)
		}
	}
	settings := integrations.Settings{}
	if story.Office.IntegrationSecret != "" {
		document, err := r.client.Secret(ctx, story.Office.IntegrationSecret)
		if err == nil {
			settings, err = integrations.Parse(document)
		}
		if err != nil {
			return err
		}
	}
	d, err := rehearse(story, cfg, settings)
	if err != nil {
		return err
	}
	if a.opts.JSON {
		return writeJSON(a.stdout, d)
	}
	a.board.Println(d.String())
	return nil
}

// rehearse decides a request anew, by cfg, and makes what would be sent.
func rehearse(story *store.Story, cfg workflow.Config, settings integrations.Settings) (dry, error) {
	request := *story.Request
	d := dry{Request: request.RequestID, Tenant: request.TenantID, Config: store.ConfigHash(cfg),
		Was: map[string]any{"decision": request.Decision, "configHash": store.ConfigHash(story.Office.Workflow)}}
	in, _, err := effects.Input(&request)
	if err != nil {
		return d, err
	}
	decision := workflow.Decide(cfg, in)
	d.Decision, d.Reasons = string(decision.Outcome), decision.Reasons
	request.Decision, request.DecisionReasons = d.Decision, d.Reasons
	lead, err := effects.Lead(&request, story.Office)
	if err != nil {
		return d, err
	}
	for _, s := range effects.Plan(cfg, lead, time.Now(), 15*time.Minute) {
		step := dryStep{Step: s.String(), Due: s.Due}
		if s.Due {
			step.Payloads, err = payloads(s, cfg, settings, lead)
			if err != nil {
				step.Problem = err.Error()
			}
		}
		d.Steps = append(d.Steps, step)
	}
	return d, nil
}

// payloads are the exact requests that a step would send.
func payloads(s effects.Step, cfg workflow.Config, settings integrations.Settings, lead crm.Lead) ([]dryCall, error) {
	if s.Kind == store.EffectEmail {
		if settings.SendGrid == nil {
			return nil, errors.New("the tenant has no settings for sendgrid")
		}
		client, err := sendgrid.New(*settings.SendGrid, nil)
		if err != nil {
			return nil, err
		}
		messages, err := client.Compose([]string{s.Target}, lead)
		if err != nil {
			return nil, err
		}
		body, err := sendgrid.Body(messages[0])
		return []dryCall{{Op: "send mail", Method: "POST", URL: cmp.Or(settings.SendGrid.BaseURL, sendgrid.DefaultBaseURL) + "/v3/mail/send", Body: body}}, err
	}
	connector, err := connectors.Open(s.Target, settings, cfg.CRMIntegration.FieldMapping, nil)
	if err != nil {
		return nil, err
	}
	previewer, ok := connector.(crm.Previewer)
	if !ok {
		return nil, fmt.Errorf("%s does not show what it would send", s.Target)
	}
	calls, err := previewer.Preview(lead)
	var all []dryCall
	for _, c := range calls {
		all = append(all, dryCall{Op: c.Op, Method: c.Method, URL: c.URL, Body: c.Body})
	}
	return all, err
}

// String is the rehearsal for people.
func (d dry) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "request %s of %s, by workflow %s: nothing is sent\n", d.Request, d.Tenant, d.Config)
	fmt.Fprintf(&b, "decision %s (it was %v by workflow %v)\n", d.Decision, d.Was["decision"], d.Was["configHash"])
	for _, r := range d.Reasons {
		fmt.Fprintf(&b, "  - %s\n", r)
	}
	for _, s := range d.Steps {
		fmt.Fprintf(&b, "\n%s\n", s.Step)
		if s.Problem != "" {
			fmt.Fprintf(&b, "  %s\n", s.Problem)
		}
		for _, c := range s.Payloads {
			fmt.Fprintf(&b, "  %s %s (%s)\n", c.Method, c.URL, c.Op)
			var indented strings.Builder
			enc := json.NewEncoder(&indented)
			enc.SetIndent("  ", "  ")
			enc.SetEscapeHTML(false)
			if enc.Encode(c.Body) == nil {
				fmt.Fprintf(&b, "  %s", indented.String())
			}
		}
	}
	return strings.TrimRight(b.String(), "\n")
}
