package email

import (
	"bytes"
	"cmp"
	"embed"
	"fmt"
	htmltemplate "html/template"
	"io/fs"
	"maps"
	"slices"
	"strings"
	texttemplate "text/template"

	"ingestion.internal/shared/crm"
	"ingestion.internal/shared/oneline"
)

// A template is a folder templates/<name>/<version> of three files: subject,
// text and html. A published version is never changed: a new one is added
// beside it, and what was sent can be rendered again.
//
//go:embed templates
var files embed.FS

// DefaultTemplate is used where a tenant does not choose.
const DefaultTemplate = "lead/v1"

// maxSubject is the length of a subject, in characters: RFC 5322 limits a line
// to 998 bytes, and people read far fewer.
const maxSubject = 150

// Content is a rendered mail.
type Content struct {
	Template string
	Subject  string // one line
	Text     string
	HTML     string
}

type set struct {
	subject, text *texttemplate.Template
	html          *htmltemplate.Template
}

// sets are the embedded templates by name. That they parse is part of the
// program's correctness, so a mistake in one is a panic at start.
var sets = func() map[string]set {
	out := map[string]set{}
	dirs, err := fs.Glob(files, "templates/*/*")
	if err != nil {
		panic(err)
	}
	for _, dir := range dirs {
		out[strings.TrimPrefix(dir, "templates/")] = set{
			subject: texttemplate.Must(texttemplate.ParseFS(files, dir+"/subject.tmpl")),
			text:    texttemplate.Must(texttemplate.ParseFS(files, dir+"/text.tmpl")),
			html:    htmltemplate.Must(htmltemplate.ParseFS(files, dir+"/html.tmpl")),
		}
	}
	return out
}()

// Templates are the names that [Render] knows, sorted: those of mails about one
// lead.
func Templates() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(sets)), func(name string) bool { return name == DigestTemplate })
}

// DigestTemplate is that of mails about several leads.
const DigestTemplate = "digest/v1"

// Render makes the mail about lead. All of the lead is data: in HTML it is
// escaped, and in plain text and the subject it cannot begin a line.
func Render(template string, lead crm.Lead) (Content, error) {
	template = cmp.Or(template, DefaultTemplate)
	if !slices.Contains(Templates(), template) {
		return Content{}, fmt.Errorf("email: unknown template %.40q; known are %s", template, strings.Join(Templates(), ", "))
	}
	return execute(template, newView(lead))
}

// RenderDigest makes the mail about leads, the best first.
func RenderDigest(leads []crm.Lead) (Content, error) {
	leads = slices.Clone(leads)
	score := func(l crm.Lead) int64 {
		if l.LeadScore == nil {
			return -1
		}
		return *l.LeadScore
	}
	slices.SortStableFunc(leads, func(a, b crm.Lead) int { return cmp.Compare(score(b), score(a)) })
	var d digest
	for _, l := range leads {
		d.Leads = append(d.Leads, newView(l))
	}
	return execute(DigestTemplate, d)
}

func execute(template string, data any) (Content, error) {
	s := sets[template]
	var subject, text, html bytes.Buffer
	if err := s.subject.Execute(&subject, data); err != nil {
		return Content{}, fmt.Errorf("email: template %s: %w", template, err)
	}
	if err := s.text.Execute(&text, data); err != nil {
		return Content{}, fmt.Errorf("email: template %s: %w", template, err)
	}
	if err := s.html.Execute(&html, data); err != nil {
		return Content{}, fmt.Errorf("email: template %s: %w", template, err)
	}
	return Content{Template: template, Subject: cut(oneline.Of(subject.String()), maxSubject), Text: text.String(), HTML: html.String()}, nil
}

// digest is what the template of digests sees.
type digest struct{ Leads []view }

// view is what templates see of a lead: lines of text, empty if not known.
type view struct {
	Headline   string // who, as well as it is known
	Name       string
	Phone      string
	Email      string
	PostalCode string
	Office     string
	Channel    string
	Received   string
	Score      string
	Spam       string
	Decision   string
	Summary    string
	Reasons    []string
	Details    []detail
	RequestID  string
}

type detail struct{ Label, Value string }

// details are the parts of the analysis that a mail shows, in this order.
var details = []struct{ key, label string }{
	{"intent", "Intent"},
	{"project_type", "Project"},
	{"urgency", "Urgency"},
	{"sentiment", "Sentiment"},
}

// channels are the communication modes in words.
var channels = map[string]string{"phone_call": "phone call", "form": "web form"}

func newView(lead crm.Lead) view {
	v := view{
		Name:       oneline.Of(lead.Customer.Name),
		Phone:      oneline.Of(lead.Customer.Phone),
		Email:      oneline.Of(lead.Customer.Email),
		PostalCode: oneline.Of(lead.Customer.PostalCode),
		Office:     oneline.Of(cmp.Or(lead.OfficeName, lead.OfficeID)),
		Channel:    cmp.Or(channels[lead.Mode], oneline.Of(lead.Mode)),
		Decision:   strings.ReplaceAll(oneline.Of(lead.Decision), "_", " "),
		Summary:    oneline.Of(lead.Summary),
		RequestID:  lead.RequestID,
	}
	v.Headline = cmp.Or(v.Name, v.Phone, v.Email, "unknown customer")
	if !lead.ReceivedAt.IsZero() {
		v.Received = lead.ReceivedAt.UTC().Format("Mon, 2 Jan 2006 15:04 UTC")
	}
	if lead.LeadScore != nil {
		v.Score = crm.Text(*lead.LeadScore)
	}
	if lead.SpamLikelihood != nil {
		v.Spam = crm.Text(*lead.SpamLikelihood)
	}
	for _, r := range lead.Reasons {
		v.Reasons = append(v.Reasons, oneline.Of(r))
	}
	for _, d := range details {
		if value := oneline.Of(crm.Text(lead.Analysis[d.key])); value != "" {
			v.Details = append(v.Details, detail{d.label, value})
		}
	}
	return v
}

func cut(s string, n int) string {
	if runes := []rune(s); len(runes) > n {
		return string(runes[:n-1]) + "…"
	}
	return s
}
