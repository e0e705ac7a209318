package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	api "google.golang.org/api/secretmanager/v1"

	"ingestion.internal/local/cloud/iam"
	"ingestion.internal/local/cloud/identity"
	"ingestion.internal/local/cloud/secretmanager"
	"ingestion.internal/local/internal/cli"
	"ingestion.internal/local/internal/daemonapi"
	"ingestion.internal/local/internal/follow"
	"ingestion.internal/local/internal/layout"
	"ingestion.internal/local/internal/progress"
	"ingestion.internal/shared/crm"
	"ingestion.internal/shared/crm/connectors"
	"ingestion.internal/shared/effects"
	"ingestion.internal/shared/email/sendgrid"
	"ingestion.internal/shared/integrations"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/store/storetest"
	"ingestion.internal/shared/tenant"
	"ingestion.internal/shared/topology"
	"ingestion.internal/shared/workflow"
)

var update = flag.Bool("update", false, "write the golden files")

const outcomeTenant = "north-kitchens"

// outcomeCloud is a deployed cloud with one tenant: the database is the
// emulator's, its CRM and its mail are the stand-ins, over loopback, and the
// commands reach it through the daemon's API.
type outcomeCloud struct {
	fakeAPI // what these commands do not ask for
	cloud   *localCloud
	db      *store.DB
	name    string // of the database
	repo    layout.Repo
	connect integrations.Settings
}

func (c *outcomeCloud) Status(context.Context) (daemonapi.Status, error) {
	return daemonapi.Status{Gateway: "http://127.0.0.1:1", Database: c.name, Emulator: daemonapi.Emulator{Address: os.Getenv("SPANNER_EMULATOR_HOST")}}, nil
}

func (c *outcomeCloud) Records(ctx context.Context) ([]daemonapi.Record, error) {
	return c.cloud.Records(ctx)
}
func (c *outcomeCloud) Mail(ctx context.Context) ([]daemonapi.Mail, error) { return c.cloud.Mail(ctx) }
func (c *outcomeCloud) Secret(ctx context.Context, id string) ([]byte, error) {
	return c.cloud.Secret(ctx, id)
}

func newOutcomeCloud(t *testing.T) *outcomeCloud {
	t.Helper()
	id, err := identity.New(identity.Config{Project: "p", ProjectNumber: "123"})
	if err != nil {
		t.Fatal(err)
	}
	secrets := secretmanager.New("p", "123", iam.New("p", "123"), id)
	c := &outcomeCloud{
		repo: layout.Repo(t.TempDir()), cloud: &localCloud{outside: newOutside(secrets), secrets: secrets},
		connect: integrations.Settings{
			HubSpot:  &integrations.HubSpot{Token: "pat-test", PhoneProperty: "lead_phone", NoteProperty: "lead_request_id"},
			SendGrid: &integrations.SendGrid{Key: "SG.test", From: "Leads <leads@north.example>"},
		},
	}
	document, err := c.connect.Document()
	if err != nil {
		t.Fatal(err)
	}
	secret := topology.IntegrationSecret(outcomeTenant)
	if _, err := secrets.Create(secret, api.Secret{Replication: &api.Replication{Automatic: &api.Automatic{}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := secrets.AddVersion(secret, document); err != nil {
		t.Fatal(err)
	}
	hubspot, mail := httptest.NewServer(c.cloud.outside.hubspot), httptest.NewServer(c.cloud.outside.sendgrid)
	t.Cleanup(hubspot.Close)
	t.Cleanup(mail.Close)
	c.connect = c.connect.At(integrations.Endpoints{HubSpot: hubspot.URL, SendGrid: mail.URL})

	db, cfg := storetest.OpenConfig(t)
	c.db, c.name = db, "projects/"+cfg.Project+"/instances/"+cfg.Instance+"/databases/"+cfg.Database
	flow := workflow.Default()
	flow.CRMIntegration = workflow.CRMIntegration{Enabled: true, Provider: "hubspot", PushImmediately: true,
		FieldMapping: map[string]string{"name|first_name": "firstname", "email": "email", "lead_score": "hs_lead_score"}}
	flow.EmailNotifications.Enabled, flow.EmailNotifications.Recipients = true, []string{"sales@north.example"}
	if _, err := db.Tenant(outcomeTenant).Sync(t.Context(), tenant.Tenant{ID: outcomeTenant, Name: "North Kitchens", State: tenant.Active,
		Offices: []tenant.Office{{ID: "main", Name: "Main", IntegrationSecret: secret, Workflow: flow}}}); err != nil {
		t.Fatal(err)
	}

	// The daemon's folder says where the API is, and that it runs.
	server := httptest.NewServer(daemonapi.NewHandler(c, "token"))
	t.Cleanup(server.Close)
	release, err := daemonapi.Hold(c.repo.State())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	if err := daemonapi.Announce(c.repo.State(), daemonapi.Info{Admin: server.URL, Token: "token"}); err != nil {
		t.Fatal(err)
	}
	return c
}

// app runs commands on the cloud. Its output is what was printed and the
// document of --json.
func (c *outcomeCloud) app(t *testing.T, o cli.Options) (*app, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	if o.Timeout == 0 {
		o.Timeout = time.Minute
	}
	a := &app{repo: c.repo, opts: o, stdout: &out, stderr: &out, workDir: t.TempDir(), board: progress.NewPlain(&out)}
	t.Cleanup(a.board.Close)
	return a, &out
}

// decide puts a request into the database that is decided, and planned by the
// tenant's workflow.
func (c *outcomeCloud) decide(t *testing.T, externalID string) string {
	t.Helper()
	handle := c.db.Tenant(outcomeTenant)
	score, spam := int64(82), 3.0
	id := store.RequestID(outcomeTenant, store.SourceForm, externalID)
	if _, err := storetest.Accept(t.Context(), handle, store.Request{RequestID: id, Source: store.SourceForm, CommunicationMode: store.ModeForm, OfficeID: "main",
		CustomerName: "Mary Lee", CustomerEmail: "mary@example.com", CustomerPhone: "+13105550123", PostalCode: "90210",
		LeadScore: &score, SpamLikelihood: &spam}, topology.AIAnalysis); err != nil {
		t.Fatal(err)
	}
	finish := func(stage topology.Stage, outcome func(*store.Claim) store.Outcome) {
		t.Helper()
		claim, err := handle.Claim(t.Context(), id, stage, time.Minute, 5)
		if err != nil || claim.State != store.Claimed {
			t.Fatalf("claim of %s: %+v, %v", stage, claim, err)
		}
		if _, err := handle.Finish(t.Context(), claim, outcome(claim)); err != nil {
			t.Fatal(err)
		}
	}
	finish(topology.AIAnalysis, func(*store.Claim) store.Outcome {
		return store.Outcome{Next: topology.Workflow, Update: store.RequestUpdate{LeadScore: &score, SpamLikelihood: &spam, Analysis: json.RawMessage(
			`{"intent":"quote_request","project_type":"kitchen","urgency":"high","summary":"Wants a new kitchen.","communication":{"type":"enquiry"}}`)}}
	})
	finish(topology.Workflow, func(claim *store.Claim) store.Outcome {
		decided := *claim.Request
		in, _, err := effects.Input(&decided)
		if err != nil {
			t.Fatal(err)
		}
		d := workflow.Decide(claim.Office.Workflow, in)
		decision := string(d.Outcome)
		decided.Decision, decided.DecisionReasons = decision, d.Reasons
		steps := effects.Plan(claim.Office.Workflow, lead(t, &decided, claim.Office), time.Now(), 15*time.Minute)
		return store.Outcome{Update: store.RequestUpdate{Decision: &decision, DecisionReasons: d.Reasons}, Entries: effects.Entries(steps), Effects: effects.Planned(steps, claim.Request)}
	})
	return id
}

func lead(t *testing.T, r *store.Request, o *store.Office) crm.Lead {
	t.Helper()
	l, err := effects.Lead(r, o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// deliver carries out what was planned, as the dispatcher does; with a cause it
// fails with that.
func (c *outcomeCloud) deliver(t *testing.T, id, state, cause string) {
	t.Helper()
	handle := c.db.Tenant(outcomeTenant)
	planned, err := handle.Effects(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range planned {
		messageID := ""
		if e.Kind == store.EffectEmail {
			messageID = "mail-of-" + id
		}
		claims, err := handle.ClaimEffects(t.Context(), []store.EffectKey{e.EffectKey}, messageID, time.Minute)
		if err != nil || len(claims) != 1 {
			t.Fatalf("claim of %v: %d, %v", e.EffectKey, len(claims), err)
		}
		result := store.EffectResult{Claim: claims[0], State: state, Cause: cause}
		if cause != "" {
			result.NextAttempt = time.Now().Add(time.Hour)
		} else {
			result.ExternalID = c.send(t, claims[0], messageID)
		}
		if _, err := handle.FinishEffects(t.Context(), []store.EffectResult{result}); err != nil {
			t.Fatal(err)
		}
	}
}

// send talks to the stand-in over its wire.
func (c *outcomeCloud) send(t *testing.T, claim *store.EffectClaim, messageID string) (externalID string) {
	t.Helper()
	l := lead(t, claim.Request, claim.Office)
	if claim.Kind == store.EffectCRM {
		connector, err := connectors.Open(claim.Target, c.connect, claim.Office.Workflow.CRMIntegration.FieldMapping, nil)
		if err != nil {
			t.Fatal(err)
		}
		r, err := connector.Upsert(t.Context(), l)
		if err != nil {
			t.Fatal(err)
		}
		return r.RecordID
	}
	client, err := sendgrid.New(*c.connect.SendGrid, nil)
	if err != nil {
		t.Fatal(err)
	}
	mails, err := client.Compose([]string{claim.Target}, l)
	if err != nil || len(mails) != 1 {
		t.Fatalf("%d mails, %v", len(mails), err)
	}
	mails[0].ID = messageID
	receipt, err := client.Send(t.Context(), mails[0])
	if err != nil {
		t.Fatal(err)
	}
	return receipt.ProviderID
}

// varying is what no two runs have in common.
var varying = []struct {
	what *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`"(ReceivedAt|receivedAt|PlannedAt|SendingAt|FinishedAt|UpdatedAt|nextAttempt)": "[^"]*"`), `"$1": "TIME"`},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT[\d:.]+Z`), "TIME"},
	{regexp.MustCompile(`(?m)^Date:    .* GMT|^Date:    .* UTC`), "Date:    TIME"},
	{regexp.MustCompile(`next at \d\d:\d\d:\d\d`), "next at TIME"},
	{regexp.MustCompile(`(?m)^ *\+[\d.]+(ms|s|m)? `), "   +TIME "},
	{regexp.MustCompile(`(?m)(email .*: sent|email .*: sent) as \S+`), "$1 as MAIL"},
	{regexp.MustCompile(`[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d UTC`), "TIME"}, // a mail's Received
	{regexp.MustCompile(`http://127\.0\.0\.1:\d+`), "http://LOOPBACK"},
}

// golden compares what a command said with its file below testdata.
func golden(t *testing.T, name, got, id string) {
	t.Helper()
	got = strings.ReplaceAll(got, id, "REQUEST")
	for _, v := range varying {
		got = v.what.ReplaceAllString(got, v.with)
	}
	path := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got; -update writes it):\n%s", path, d)
	}
}

// TestOutcomeCommands: what the commands say of a request that reached the CRM
// and the inbox.
func TestOutcomeCommands(t *testing.T) {
	t.Parallel()
	c := newOutcomeCloud(t)
	id := c.decide(t, "f1")
	c.deliver(t, id, store.EffectSent, "")

	for _, tc := range []struct {
		name    string
		command func(*app) func(context.Context) error
		options cli.Options
	}{
		{"request", func(a *app) func(context.Context) error { return a.request }, cli.Options{Args: []string{id[:8]}}},
		{"crm", func(a *app) func(context.Context) error { return a.crm }, cli.Options{}},
		{"crm-of-nobody", func(a *app) func(context.Context) error { return a.crm }, cli.Options{Tenant: "nobody"}},
		{"inbox", func(a *app) func(context.Context) error { return a.inbox }, cli.Options{Tenant: outcomeTenant, Tail: -1}},
		{"inbox-of-nobody", func(a *app) func(context.Context) error { return a.inbox }, cli.Options{Tenant: "nobody", Tail: -1}},
		{"dry-run", func(a *app) func(context.Context) error { return a.dryRun }, cli.Options{Args: []string{id}}},
		{"release", func(a *app) func(context.Context) error { return a.release }, cli.Options{Args: []string{id}}},
		{"template", func(a *app) func(context.Context) error { return a.template }, cli.Options{Args: []string{"show"}}},
		{"template-digest", func(a *app) func(context.Context) error { return a.template }, cli.Options{Args: []string{"show", "digest/v1"}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, out := c.app(t, tc.options)
			if err := tc.command(a)(t.Context()); err != nil {
				t.Fatal(err)
			}
			golden(t, tc.name, out.String(), id)
		})
	}

	t.Run("json", func(t *testing.T) {
		for name, command := range map[string]func(*app) func(context.Context) error{
			"request": func(a *app) func(context.Context) error { return a.request },
			"crm":     func(a *app) func(context.Context) error { return a.crm },
			"inbox":   func(a *app) func(context.Context) error { return a.inbox },
			"dry-run": func(a *app) func(context.Context) error { return a.dryRun },
		} {
			a, out := c.app(t, cli.Options{Args: []string{id}, JSON: true, Tail: -1})
			if err := command(a)(t.Context()); err != nil || !json.Valid(out.Bytes()) || !strings.Contains(out.String(), "mary@example.com") {
				t.Errorf("%s: %v, %s", name, err, out)
			}
		}
	})

	t.Run("another workflow is rehearsed and nothing is sent", func(t *testing.T) {
		before := len(c.cloud.outside.sendgrid.Messages())
		a, out := c.app(t, cli.Options{Args: []string{id}, Workflow: "strict.json"})
		if err := os.WriteFile(filepath.Join(a.workDir, "strict.json"), []byte(
			`{"validation":{"spam_detection":{"enabled":true,"confidence_threshold":2,"ml_model":"gemini-2.5-flash"}}}`), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := a.dryRun(t.Context()); err != nil {
			t.Fatal(err)
		}
		golden(t, "dry-run-strict", out.String(), id)
		if after := len(c.cloud.outside.sendgrid.Messages()); after != before {
			t.Errorf("%d mails were sent", after-before)
		}
	})

	t.Run("the mail as HTML", func(t *testing.T) {
		a, _ := c.app(t, cli.Options{HTML: "mail.html", Tail: 1})
		if err := a.inbox(t.Context()); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(a.workDir, "mail.html"))
		if err != nil || !bytes.Contains(text, []byte("<html")) || !bytes.Contains(text, []byte("Mary Lee")) {
			t.Errorf("%v: %s", err, text)
		}
	})

	t.Run("mistakes", func(t *testing.T) {
		for want, run := range map[string]func() error{
			"no such request": func() error { a, _ := c.app(t, cli.Options{Args: []string{"ffffffff"}}); return a.request(t.Context()) },
			"no such file": func() error {
				a, _ := c.app(t, cli.Options{Args: []string{id}, Workflow: "none"})
				return a.dryRun(t.Context())
			},
			"no mail was sent": func() error { a, _ := c.app(t, cli.Options{Tenant: "nobody", HTML: "x"}); return a.inbox(t.Context()) },
			"lead/v9": func() error {
				a, _ := c.app(t, cli.Options{Args: []string{"show", "lead/v9"}})
				return a.template(t.Context())
			},
		} {
			if err := run(); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want %q", err, want)
			}
		}
	})
}

// TestTold: what call, form and the proof of up say in the end.
func TestTold(t *testing.T) {
	t.Parallel()
	c := newOutcomeCloud(t)
	story := func(id string) *follow.Story {
		return &follow.Story{RequestID: id, TenantID: outcomeTenant, Status: "completed", Decision: "qualified"}
	}

	t.Run("delivered while it is told", func(t *testing.T) {
		id := c.decide(t, "f1")
		a, out := c.app(t, cli.Options{})
		done := make(chan error, 1)
		go func() { done <- a.tell(t.Context(), story(id), nil) }()
		c.deliver(t, id, store.EffectSent, "")
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		golden(t, "told", out.String(), id)

		a, out = c.app(t, cli.Options{JSON: true})
		if err := a.tell(t.Context(), story(id), nil); err != nil {
			t.Fatal(err)
		}
		var got told
		if err := json.Unmarshal(out.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if got.Story == nil || got.RequestID != id || got.Outcome == nil || len(got.Outcome.Records) != 1 || got.Outcome.Records[0].Fields["firstname"] != "Mary" ||
			len(got.Outcome.Mails) != 1 || got.Outcome.Mails[0].To != "sales@north.example" || len(got.Outcome.Why) != 2 {
			t.Errorf("document %s", out)
		}
		if err := got.undelivered(); err != nil {
			t.Errorf("everything arrived: %v", err)
		}
	})

	t.Run("put off", func(t *testing.T) {
		id := c.decide(t, "f2")
		c.deliver(t, id, store.EffectPlanned, "hubspot: HTTP 503")
		a, out := c.app(t, cli.Options{})
		got, err := a.told(t.Context(), story(id))
		if err != nil {
			t.Fatal(err)
		}
		a.printStory(got)
		golden(t, "told-put-off", out.String(), id)
		if err := got.undelivered(); err == nil || exitCode(t.Context(), err) != cli.ExitRequest || !strings.Contains(err.Error(), "hubspot: planned") {
			t.Errorf("undelivered: %v", err)
		}
	})

	t.Run("never taken up", func(t *testing.T) {
		id := c.decide(t, "f3")
		a, _ := c.app(t, cli.Options{Timeout: time.Millisecond})
		got, err := a.told(t.Context(), story(id))
		if err == nil || !strings.Contains(err.Error(), "--timeout 1ms is over") || got.Outcome == nil || len(got.Outcome.Effects) != 2 {
			t.Errorf("told: %+v, %v; want what is known, and that time ran out", got, err)
		}
	})

	t.Run("a request that failed", func(t *testing.T) {
		id := c.decide(t, "f4")
		failed := story(id)
		failed.Status = "failed"
		c.deliver(t, id, store.EffectFailed, "HTTP 400")
		cause := errors.New("it lacks a decision")
		a, _ := c.app(t, cli.Options{})
		if err := a.tell(t.Context(), failed, cause); !errors.Is(err, cause) {
			t.Errorf("tell: %v", err)
		}
		if err := a.tell(t.Context(), nil, cause); !errors.Is(err, cause) {
			t.Errorf("tell without a story: %v", err)
		}
	})
}
