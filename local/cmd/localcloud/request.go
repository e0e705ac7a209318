package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ingestion.internal/local/internal/cli"
	"ingestion.internal/local/internal/daemonapi"
	"ingestion.internal/local/internal/follow"
	"ingestion.internal/local/internal/progress"
	"ingestion.internal/local/internal/sample"
	"ingestion.internal/local/standin/audio"
	"ingestion.internal/local/standin/callrail"
	"ingestion.internal/shared/form"
	"ingestion.internal/shared/keyring"
	"ingestion.internal/shared/signature"
	"ingestion.internal/shared/topology"
)

// callSpec is a call to place.
type callSpec struct {
	tenant, office string
	sample         audio.Sample
	recording      string // a mode of the stand-in; empty = served as it should
}

func (a *app) call(ctx context.Context) error {
	_, client, err := a.daemon()
	if err != nil {
		return err
	}
	name := cmpOr(a.opts.Scenario, cli.ScenarioNames[0])
	if a.opts.Spam {
		name = cli.SpamScenario
	}
	said, err := audio.Script(name)
	if err != nil {
		return err
	}
	if a.opts.Script != "" {
		path := a.opts.Script
		if !filepath.IsAbs(path) {
			path = filepath.Join(a.workDir, path)
		}
		f, err := os.Open(path)
		if err != nil {
			return coded(cli.ExitUsage, err)
		}
		defer f.Close()
		if said.Turns, err = sample.ReadScript(f); err != nil {
			return coded(cli.ExitUsage, fmt.Errorf("%s: %w", a.opts.Script, err))
		}
	}
	said.Caller.Name = cmpOr(a.opts.Name, said.Caller.Name)
	said.Caller.Phone = cmpOr(a.opts.Phone, said.Caller.Phone)
	story, err := a.placeCall(ctx, client, callSpec{a.opts.Tenant, a.opts.Office, said, a.opts.Recording})
	return a.tell(ctx, story, err)
}

func (a *app) form(ctx context.Context) error {
	_, client, err := a.daemon()
	if err != nil {
		return err
	}
	f := sample.Enquiry
	if a.opts.Spam {
		f = sample.Advertisement
	}
	if a.opts.Document {
		f.Name, f.Phone, f.Email, f.Postal = "", "", "", ""
	}
	f.TenantID, f.OfficeID, f.More = a.opts.Tenant, a.opts.Office, a.opts.Fields
	f.Name, f.Phone = cmpOr(a.opts.Name, f.Name), cmpOr(a.opts.Phone, f.Phone)
	f.Email, f.Postal = cmpOr(a.opts.Email, f.Email), cmpOr(a.opts.Zip, f.Postal)
	f.Message = cmpOr(a.opts.Message, f.Message)
	if a.opts.CallRail && (a.opts.Document || len(a.opts.Files) > 0) {
		return coded(cli.ExitUsage, errors.New("CallRail tells of no files: --callrail, or --document and --file"))
	}
	status, db, err := platform(ctx, client)
	if err != nil {
		return err
	}
	defer db.Close()
	if a.opts.CallRail {
		office, err := pickOffice(ctx, db, a.opts.Tenant, a.opts.Office)
		if err != nil {
			return err
		}
		body, err := f.CallRail(office.CompanyID, office.CompanyResourceID, time.Now().UTC())
		if err != nil {
			return err
		}
		proof, err := sign(ctx, client, a.opts.Tenant, office, body)
		if err != nil {
			return err
		}
		story, err := a.send(ctx, db, status, a.opts.Tenant, "/api/v1/callrail/webhook/form-submission", body, proof, false)
		return a.tell(ctx, story, err)
	}
	body, contentType, err := a.formBody(f)
	if err != nil {
		return err
	}
	header := http.Header{"Content-Type": {contentType}}
	if a.opts.Signed {
		key, err := partnerKey(ctx, client, topology.FormKeySecret(f.TenantID), keyring.Form)
		if err != nil {
			return fmt.Errorf("%w (set tenants.%s.secrets.formKey)", err, f.TenantID)
		}
		header.Set(form.SignatureHeader, signature.Sign(key, body, time.Now()))
	}
	story, err := a.send(ctx, db, status, a.opts.Tenant, "/api/v1/forms", body, header, false)
	return a.tell(ctx, story, err)
}

// formBody makes the request of a form, with the files that the options name.
func (a *app) formBody(f sample.Form) (body []byte, contentType string, err error) {
	var files []sample.File
	if a.opts.Document {
		files = append(files, sample.Sheet)
	}
	if len(a.opts.Files)+len(files) == 0 {
		body, err = f.JSON()
		return body, "application/json", err
	}
	for _, path := range a.opts.Files {
		if !filepath.IsAbs(path) {
			path = filepath.Join(a.workDir, path)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, "", coded(cli.ExitUsage, err)
		}
		files = append(files, sample.File{Name: filepath.Base(path), Data: data})
	}
	return f.Multipart(files)
}

// text sends one text message and follows its conversation.
func (a *app) text(ctx context.Context) error {
	client, status, db, err := a.platform(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	office, err := pickOffice(ctx, db, a.opts.Tenant, a.opts.Office)
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	message := sample.Text{
		CompanyID: office.CompanyID, CompanyResourceID: office.CompanyResourceID,
		Conversation: cmpOr(a.opts.Conversation, fmt.Sprintf("conv%d", now.UnixMicro())),
		Customer:     cmpOr(a.opts.Phone, sample.Enquiry.Phone), Company: trackingPhone,
		Sent: a.opts.Sent, Content: cmpOr(a.opts.Message, sample.Question),
	}
	if a.opts.Picture {
		message.Media = []string{callrail.MediaURL(status.Addresses["callrail"], fmt.Sprintf("MSG%d", now.UnixMicro()))}
	}
	body, err := message.JSON(now)
	if err != nil {
		return err
	}
	signature, err := sign(ctx, client, a.opts.Tenant, office, body)
	if err != nil {
		return err
	}
	path := "/api/v1/callrail/webhook/text-received"
	if message.Sent {
		path = "/api/v1/callrail/webhook/text-sent"
	}
	story, err := a.send(ctx, db, status, a.opts.Tenant, path, body, signature, false)
	return a.tell(ctx, story, err)
}

// sign returns the header with which CallRail proves that a body is of the
// office's company.
func sign(ctx context.Context, client *daemonapi.Client, tenantID string, office follow.Office, body []byte) (http.Header, error) {
	key, err := client.Secret(ctx, cmpOr(office.SigningKeySecret, topology.WebhookSecret))
	if err != nil {
		return nil, fmt.Errorf("signing key of %s: %w", tenantID, err)
	}
	keys := keyring.Keys(key, keyring.CallRail)
	if len(keys) == 0 {
		return nil, fmt.Errorf("%s has no key of CallRail's", tenantID)
	}
	return http.Header{callrail.SignatureHeader: {callrail.Sign(string(keys[0]), body)}}, nil
}

// partnerKey returns the key of the purpose to sign with, of those in a secret.
func partnerKey(ctx context.Context, client *daemonapi.Client, secretID string, purpose keyring.Purpose) ([]byte, error) {
	secret, err := client.Secret(ctx, secretID)
	if err != nil {
		return nil, err
	}
	keys := keyring.Keys(secret, purpose)
	if len(keys) == 0 {
		return nil, fmt.Errorf("secret %s has no key for a %s", secretID, purpose)
	}
	return keys[0], nil
}

// tell prints the story and its outcome, also of a request that failed.
func (a *app) tell(ctx context.Context, s *follow.Story, err error) error {
	if s == nil {
		return err
	}
	t, outcomeErr := a.told(ctx, s)
	err = errors.Join(err, outcomeErr)
	if a.opts.JSON {
		return errors.Join(err, writeJSON(a.stdout, t))
	}
	a.printStory(t)
	return err
}

// deployed returns the status of a cloud that has the platform on it.
func deployed(ctx context.Context, client *daemonapi.Client) (daemonapi.Status, error) {
	s, err := client.Status(ctx)
	if err != nil {
		return s, err
	}
	if s.Gateway == "" || s.Database == "" {
		return s, coded(cli.ExitNotRunning, errors.New("the platform is not deployed on the local cloud (deploy it with: go run ./local up)"))
	}
	return s, nil
}

// platform returns the status of a cloud that has the platform on it, and its
// database, which the caller closes.
func platform(ctx context.Context, client *daemonapi.Client) (daemonapi.Status, *follow.Spanner, error) {
	status, err := deployed(ctx, client)
	if err != nil {
		return status, nil, err
	}
	db, err := follow.Open(ctx, status.Emulator.Address, status.Database)
	return status, db, err
}

// platform is the running cloud's client, and what the function of that name
// returns of it.
func (a *app) platform(ctx context.Context) (*daemonapi.Client, daemonapi.Status, *follow.Spanner, error) {
	_, client, err := a.daemon()
	if err != nil {
		return nil, daemonapi.Status{}, nil, err
	}
	status, db, err := platform(ctx, client)
	return client, status, db, err
}

// placeCall makes up a call, sends its webhook and follows the request. With
// an error the story is what is known so far, or nil.
func (a *app) placeCall(ctx context.Context, client *daemonapi.Client, spec callSpec) (*follow.Story, error) {
	status, db, err := platform(ctx, client)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	office, err := pickOffice(ctx, db, spec.tenant, spec.office)
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC()
	said := spec.sample
	transcript, length := audio.Lay(said.Turns, 0)
	call := daemonapi.Call{
		ID: sample.CallID(now), AccountID: office.AccountID,
		CompanyID: office.CompanyID, CompanyResourceID: office.CompanyResourceID, CompanyName: office.Name,
		CustomerName: said.Caller.Name, CustomerPhone: said.Caller.Phone,
		CustomerCity: said.Caller.City, CustomerState: said.Caller.State,
		TrackingPhone: trackingPhone, StartTime: now, DurationSeconds: int(length.Seconds()),
		Voicemail: said.Voicemail, Recording: spec.recording,
	}
	if call.Recording == "elsewhere" {
		call.RedirectTo = elsewhere
	}
	for _, t := range transcript.Turns {
		call.Script = append(call.Script, daemonapi.Turn{Speaker: t.Speaker, Text: t.Text})
	}
	rec, err := client.PutCall(ctx, call)
	if err != nil {
		return nil, fmt.Errorf("tell the CallRail stand-in of the call: %w", err)
	}
	body, err := callrail.SamplePayload(callrail.SampleCall{
		ID: call.ID, CompanyID: call.CompanyID, CompanyResourceID: call.CompanyResourceID, CompanyName: call.CompanyName,
		TrackingPhone: call.TrackingPhone, Recording: rec.URL, Sample: said, At: now,
	})
	if err != nil {
		return nil, err
	}
	signature, err := sign(ctx, client, spec.tenant, office, body)
	if err != nil {
		return nil, err
	}
	return a.send(ctx, db, status, spec.tenant, "/api/v1/callrail/webhook", body, signature, spec.recording == "")
}

const (
	// trackingPhone is the number that was called, E.164.
	trackingPhone = "+14045558514"
	// elsewhere is no host of CallRail's; 192.0.2.0/24 is for documentation
	// and leads nowhere.
	elsewhere = "http://192.0.2.1/recording.wav"
)

// pickOffice returns the tenant's office with this id, or its first that
// CallRail knows.
func pickOffice(ctx context.Context, db *follow.Spanner, tenantID, officeID string) (follow.Office, error) {
	offices, err := db.Offices(ctx, tenantID)
	if err != nil {
		return follow.Office{}, err
	}
	var ids []string
	for _, o := range offices {
		hasCompany := o.CompanyID != "" || o.CompanyResourceID != ""
		if hasCompany && (officeID == "" || officeID == o.OfficeID) {
			return o, nil
		}
		ids = append(ids, o.OfficeID)
	}
	if len(offices) == 0 {
		tenants, err := db.Tenants(ctx)
		return follow.Office{}, coded(cli.ExitUsage, errors.Join(fmt.Errorf("there is no active tenant %q with an office; tenants: %s", tenantID, strings.Join(tenants, ", ")), err))
	}
	if officeID == "" {
		return follow.Office{}, coded(cli.ExitUsage, fmt.Errorf("no office of %q has a CallRail company; offices: %s", tenantID, strings.Join(ids, ", ")))
	}
	return follow.Office{}, coded(cli.ExitUsage, fmt.Errorf("%q has no office %q with a CallRail company; offices: %s", tenantID, officeID, strings.Join(ids, ", ")))
}

// postTimeout bounds the gateway's answer.
const postTimeout = 30 * time.Second

// send posts a body to the gateway and follows the request that it becomes.
// transcript says that the request must end with one.
func (a *app) send(ctx context.Context, db *follow.Spanner, status daemonapi.Status, tenantID, path string, body []byte, header http.Header, transcript bool) (*follow.Story, error) {
	it := a.board.Start("gateway", "POST "+path)
	id, code, err := post(ctx, status.Gateway+path, body, header)
	if err != nil {
		it.Fail("POST %s", path)
		return nil, coded(cli.ExitRequest, err)
	}
	it.Done("POST %s: %d, request %s", path, code, id)
	return a.follow(ctx, db, tenantID, id, transcript)
}

// follow follows a request to its end. With an error it still returns what it
// has seen of it.
func (a *app) follow(ctx context.Context, db *follow.Spanner, tenantID, id string, transcript bool) (*follow.Story, error) {
	timeout, cancel := context.WithTimeoutCause(ctx, a.opts.Timeout, fmt.Errorf("--timeout %v is over", a.opts.Timeout))
	defer cancel()
	it := a.board.Start("pipeline", "waiting")
	story, err := follow.Until(timeout, db, tenantID, id, func(s *follow.Story) { it.Note("%s", s.Now()) })
	if err == nil {
		if missing := story.Missing(transcript); len(missing) > 0 {
			err = fmt.Errorf("request %s lacks %s", id, strings.Join(missing, ", "))
			if story.FailureCause != "" {
				err = fmt.Errorf("%w; %s failed: %s", err, story.FailureStage, story.FailureCause)
			}
		}
	}
	if err != nil {
		state := "not completed"
		if story != nil && story.Ended() {
			state = story.Status
		}
		it.Fail("%s", state)
		return story, coded(cli.ExitRequest, fmt.Errorf("%w (what the services say: go run ./local logs)", err))
	}
	it.Done("completed")
	return story, nil
}

// post returns the request id of an accepted body.
func post(ctx context.Context, url string, body []byte, header http.Header) (id string, code int, err error) {
	ctx, cancel := context.WithTimeout(ctx, postTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return "", 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	for k, v := range header {
		req.Header[k] = v
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", 0, fmt.Errorf("the gateway does not answer: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return "", resp.StatusCode, fmt.Errorf("the gateway's answer: %w", err)
	}
	if resp.StatusCode >= 300 {
		return "", resp.StatusCode, fmt.Errorf("the gateway refused it: %s: %s", resp.Status, bytes.TrimSpace(text))
	}
	var answer struct {
		RequestID string `json:"request_id"`
	}
	if err := json.Unmarshal(text, &answer); err != nil || answer.RequestID == "" {
		return "", resp.StatusCode, fmt.Errorf("the answer names no request_id: %s", bytes.TrimSpace(text))
	}
	return answer.RequestID, resp.StatusCode, nil
}

// printStory tells a request's story and its outcome.
func (a *app) printStory(s *told) {
	row := func(name, format string, args ...any) {
		a.board.Println(fmt.Sprintf("  %-12s %s", name, fmt.Sprintf(format, args...)))
	}
	row("request", "%s of %s, %s", s.RequestID, s.TenantID, s.Status)
	if s.TranscriptStart != "" {
		row("transcript", "%q", s.TranscriptStart)
	}
	for _, line := range documentLines(s.Documents) {
		row("document", "%s", line)
	}
	if s.Communication != "" {
		row("really is", "%s", s.Communication)
	}
	if s.Intent != "" {
		row("intent", "%s, project %s, urgency %s, sentiment %s", s.Intent, cmpOr(s.ProjectType, "-"), cmpOr(s.Urgency, "-"), cmpOr(s.Sentiment, "-"))
	}
	if s.LeadScore != nil {
		spam := ""
		if s.SpamLikelihood != nil {
			spam = fmt.Sprintf(" (spam likelihood %.0f of 100)", *s.SpamLikelihood)
		}
		row("lead score", "%d of 100%s", *s.LeadScore, spam)
	}
	if s.NextStep != "" {
		row("next step", "%s", s.NextStep)
	}
	if s.AnalysedBy != "" {
		row("analysed by", "%s", s.AnalysedBy)
	}
	if s.Decision != "" {
		row("decision", "%s", s.Decision)
		for _, r := range s.DecisionReasons {
			row("", "- %s", strings.ReplaceAll(r, "\n", "; "))
		}
	}
	for _, st := range s.Stages {
		detail := fmt.Sprintf("%s in %s", st.State, progress.Seconds(time.Duration(st.Seconds*float64(time.Second))))
		if st.Finished.IsZero() {
			detail = st.State
		}
		if st.Attempts > 1 {
			detail += fmt.Sprintf(", %d attempts", st.Attempts)
		}
		if st.Cause != "" && st.State != "done" {
			detail += ": " + strings.ReplaceAll(st.Cause, "\n", "; ")
		}
		row("stage", "%-19s %s", st.Name, detail)
	}
	if s.FailureCause != "" {
		row("failure", "%s: %s", s.FailureStage, strings.ReplaceAll(s.FailureCause, "\n", "; "))
	}
	if s.Seconds > 0 {
		row("total", "%s", progress.Seconds(time.Duration(s.Seconds*float64(time.Second))))
	}
	if s.Outcome != nil {
		s.Outcome.print(row)
	}
}
