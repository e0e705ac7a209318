//go:build e2e

package e2e

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ingestion.internal/shared/documents"
)

// The sample tenant of Pulumi.local.yaml whose key and company id are public.
const (
	sampleCompany = "155920786"
	sampleTenant  = "boost-marketing"
	sampleKey     = "072e77e426f92738a72fe23c4d1953b4"
)

// The secrets of the tenant that the test adds.
const (
	newTenantSigningKey = "0123456789abcdef0123456789abcdef"
	newTenantAPIKey     = "sample-api-key-of-oak-and-stone"
)

// The documents that the commands print with --json, as far as they are read
// here.
type (
	upResult struct {
		OK         bool
		Gateway    string
		Deployment struct {
			Changes map[string]int
			Changed []change
		}
		Proof *story
	}
	change struct{ Op, Type, Name string }
	story  struct {
		RequestID, Status, TranscriptStart, Intent, Decision string
		LeadScore                                            *int
		Stages                                               []struct{ Stage, State string }
		Outcome                                              struct {
			Records []struct{ Provider string }
			Mails   []struct{ To string }
		}
	}
)

// platform is a copy of the repository in which the local cloud runs.
type platform struct {
	dir     string
	gateway string
}

// TestPlatform runs in order: each part needs the one before it.
func TestPlatform(t *testing.T) {
	p := newPlatform(t)
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := p.command("logs", "-n", "40").CombinedOutput()
			t.Logf("logs of the local cloud:\n%s", out)
		}
		if out, err := p.command("down").CombinedOutput(); err != nil {
			t.Errorf("down: %v\n%s", err, out)
		}
	})

	for _, part := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"up deploys everything and proves it", p.firstUp},
		{"up again changes nothing", p.upAgain},
		{"webhooks are accepted once and only if signed", p.webhooks},
		{"forms", p.forms},
		{"a customer's browser on the sample website", p.website},
		{"text messages of one conversation are one request", p.texts},
		{"a booking, its move, its cancellation, and the same person's signed form", p.bookings},
		{"a booking of a calendar, its move and its cancellation", p.calendarBookings},
		{"an edited function changes one service", p.editFunction},
		{"a tenant added to config is served", p.addTenant},
		{"secrets are secret in state and logs", p.secrets},
		{"an active tenant cannot leave, an offboarded one can", p.offboard},
		{"down leaves nothing", p.down},
	} {
		if !t.Run(part.name, part.run) {
			t.FailNow()
		}
	}
}

func (p *platform) firstUp(t *testing.T) {
	var up upResult
	p.json(t, &up, "up", "--json")
	if !up.OK || up.Gateway == "" || up.Deployment.Changes["create"] == 0 {
		t.Fatalf("up: %+v", up)
	}
	p.gateway = up.Gateway
	s := up.Proof
	if s == nil || s.Status != "completed" || s.Decision != "qualified" || s.LeadScore == nil || s.TranscriptStart == "" || s.Intent == "" {
		t.Errorf("proof call: %+v", s)
	}
	if len(s.Stages) != 4 {
		t.Errorf("stages of the proof call: %+v", s.Stages)
	}
	if o := s.Outcome; len(o.Records) != 1 || o.Records[0].Provider != "hubspot" || len(o.Mails) != 1 || o.Mails[0].To == "" {
		t.Errorf("the CRM record and the mail of the proof call: %+v", o)
	}
}

func (p *platform) upAgain(t *testing.T) {
	if changed := p.deploy(t); len(changed) != 0 {
		t.Errorf("changed: %+v", changed)
	}
}

// webhooks posts what CallRail and the platform's own forwarders post.
func (p *platform) webhooks(t *testing.T) {
	url := p.gateway + "/api/v1/callrail/webhook"
	vendor := fmt.Sprintf(`{"id":901234567,"company_id":%s,"answered":true,"direction":"inbound","duration":"64","recording_duration":60,
 "recording":"https://app.callrail.com/calls/901234567/recording/redirect?access_key=k","customer_name":"Erin Sample",
 "customer_phone_number":"+13105550188","start_time":"2026-11-22T10:00:00.000-08:00","timestamp":"2026-11-22T10:01:04.000-08:00"}`, sampleCompany)
	own := fmt.Sprintf(`{"call_id":"CAL5550001","caller_id":"+13105550189","duration":"180","recording_url":"https://api.callrail.com/v3/a/1/calls/CAL5550001/recording.json","tenant_id":%q,"callrail_company_id":%q}`, sampleTenant, sampleCompany)
	const jsonType = "application/json"
	tests := []struct {
		name, body, header, signature, contentType string
		want                                       int
	}{
		{"vendor's payload", vendor, "Signature", sign(vendor), jsonType, 202},
		{"the same again", vendor, "Signature", sign(vendor), jsonType, 200},
		{"one byte changed", strings.Replace(vendor, "Erin", "Erim", 1), "Signature", sign(vendor), jsonType, 401},
		{"own payload and header", own, "x-callrail-signature", sign(own), jsonType, 202},
		{"the same again, other header", own, "Signature", sign(own), jsonType, 200},
		{"no signature", vendor, "X-Nothing", "", jsonType, 401},
		{"garbled signature", vendor, "Signature", "%%%", jsonType, 401},
		{"unknown tenant", strings.Replace(own, sampleTenant, "nobody", 1), "Signature", sign(strings.Replace(own, sampleTenant, "nobody", 1)), jsonType, 401},
		{"company of another tenant", strings.Replace(own, sampleTenant, "summit-remodeling", 1), "Signature", sign(strings.Replace(own, sampleTenant, "summit-remodeling", 1)), jsonType, 401},
		{"truncated", vendor[:80], "Signature", sign(vendor[:80]), jsonType, 400},
		{"form-encoded", vendor, "Signature", sign(vendor), "application/x-www-form-urlencoded", 415},
		{"too large", `{"x":"` + strings.Repeat("x", 5<<20) + `"}`, "Signature", sign("x"), jsonType, 413},
	}
	ids := map[string]string{}
	for _, tt := range tests {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", tt.contentType)
		req.Header.Set(tt.header, tt.signature)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if resp.StatusCode != tt.want {
			t.Errorf("%s: status %d, want %d: %s", tt.name, resp.StatusCode, tt.want, body)
		}
		if tt.want < 300 {
			var accepted struct {
				RequestID string `json:"request_id"`
			}
			if err := json.Unmarshal(body, &accepted); err != nil || accepted.RequestID == "" {
				t.Errorf("%s: answer %s", tt.name, body)
			}
			ids[accepted.RequestID] += tt.name + "; "
		} else if ct := resp.Header.Get("Content-Type"); ct != "application/problem+json" {
			t.Errorf("%s: content type %q", tt.name, ct)
		}
	}
	if len(ids) != 2 {
		t.Errorf("requests: %v, want two", ids)
	}
	resp, err := http.Get(p.gateway + "/api/v2/nothing")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("unknown route: %s", resp.Status)
	}
}

func (p *platform) forms(t *testing.T) {
	var s story
	p.json(t, &s, "form", "--json")
	if s.Status != "completed" || s.Decision == "" || len(s.Stages) != 3 {
		t.Errorf("form: %+v", s)
	}
	var filled struct {
		story
		Documents documents.Reading `json:"documents"`
	}
	p.json(t, &filled, "form", "--document", "--json")
	if filled.Status != "completed" || len(filled.Stages) != 4 || !filled.Documents.Contact["phone"].Used || filled.Documents.Contact["phone"].Value != "+13105550142" {
		t.Errorf("form with a document: %+v", filled)
	}
	var spam story
	p.json(t, &spam, "call", "--scenario", "spam-robocall", "--json")
	if spam.Status != "completed" || spam.Decision != "spam" {
		t.Errorf("spam call: %+v", spam)
	}
}

func (p *platform) texts(t *testing.T) {
	var sent, asked, again story
	p.json(t, &sent, "text", "--conversation", "e2e1", "--sent", "--message", "How can we help?", "--json")
	if sent.Status != "completed" || sent.Decision != "recorded" || len(sent.Stages) != 0 {
		t.Errorf("the company's own message: %+v", sent)
	}
	p.json(t, &asked, "text", "--conversation", "e2e1", "--message", "We want a quote for a kitchen remodel in 90210, our budget is $40,000, as soon as possible", "--json")
	if asked.RequestID != sent.RequestID || asked.Status != "completed" || asked.LeadScore == nil || asked.Decision == "recorded" {
		t.Errorf("the customer's message: %+v", asked)
	}
	p.json(t, &again, "text", "--conversation", "e2e1", "--message", "Please call me today", "--json")
	if again.RequestID != sent.RequestID || again.Status != "completed" {
		t.Errorf("the customer's second message: %+v", again)
	}
	var picture struct {
		story
		Documents documents.Reading `json:"documents"`
	}
	p.json(t, &picture, "text", "--conversation", "e2e2", "--picture", "--json")
	if picture.RequestID == sent.RequestID || picture.Status != "completed" || len(picture.Stages) != 4 ||
		len(picture.Documents.Documents) != 1 || picture.Documents.Documents[0].Status != documents.StatusKept {
		t.Errorf("a message with a picture: %+v", picture)
	}
}

// bookings follows one booking, and sees that a form of the same person is
// linked with it.
func (p *platform) bookings(t *testing.T) {
	const phone, email = "+13105550177", "e2e.booker@example.com"
	var booked, moved, cancelled, form story
	p.json(t, &booked, "booking", "--id", "e2e-B1", "--name", "Robin Example", "--phone", phone, "--email", email, "--json")
	if booked.Status != "completed" || booked.LeadScore == nil || booked.Decision == "recorded" {
		t.Errorf("booked: %+v", booked)
	}
	p.json(t, &moved, "booking", "--id", "e2e-B1", "--move", "--json")
	if moved.RequestID != booked.RequestID || moved.Status != "completed" || moved.Decision == "recorded" {
		t.Errorf("moved: %+v", moved)
	}
	p.json(t, &cancelled, "booking", "--id", "e2e-B1", "--cancel", "--json")
	if cancelled.RequestID != booked.RequestID || cancelled.Status != "completed" || cancelled.Decision != "recorded" {
		t.Errorf("cancelled: %+v", cancelled)
	}
	p.json(t, &form, "form", "--signed", "--phone", "(310) 555-0177", "--email", "another@example.com", "--json")
	if form.RequestID == booked.RequestID || form.Status != "completed" {
		t.Errorf("the form: %+v", form)
	}
	var told struct {
		Links []struct {
			RequestID string
			By        []string
		}
	}
	p.json(t, &told, "request", form.RequestID, "--json")
	if len(told.Links) != 1 || told.Links[0].RequestID != booked.RequestID || len(told.Links[0].By) != 1 || told.Links[0].By[0] != phone {
		t.Errorf("the form's links: %+v, want the booking %s by %s", told.Links, booked.RequestID, phone)
	}
}

// calendarBookings follows an event of the tenant's calendar: Google tells that
// something changed, and the platform reads what.
func (p *platform) calendarBookings(t *testing.T) {
	var booked, moved, cancelled, again story
	// A calendar that is new is taken up by the clock.
	p.json(t, &booked, "booking", "--calendar", "--timeout", "3m", "--id", "e2e-C1", "--name", "Casey Example", "--phone", "+13105550188", "--email", "e2e.guest@example.com", "--json")
	if booked.Status != "completed" || booked.LeadScore == nil || booked.Decision == "recorded" || len(booked.Stages) != 3 {
		t.Errorf("booked: %+v", booked)
	}
	p.json(t, &moved, "booking", "--calendar", "--id", "e2e-C1", "--move", "--json")
	if moved.RequestID != booked.RequestID || moved.Status != "completed" || moved.Decision == "recorded" {
		t.Errorf("moved: %+v", moved)
	}
	p.json(t, &cancelled, "booking", "--calendar", "--id", "e2e-C1", "--cancel", "--json")
	if cancelled.RequestID != booked.RequestID || cancelled.Status != "completed" || cancelled.Decision != "recorded" {
		t.Errorf("cancelled: %+v", cancelled)
	}
	p.json(t, &again, "booking", "--calendar", "--id", "e2e-C1", "--name", "Casey Example", "--phone", "+13105550188", "--email", "e2e.guest@example.com", "--json")
	if again.RequestID != booked.RequestID || again.Status != "completed" || again.Decision == "recorded" {
		t.Errorf("booked again: %+v", again)
	}
}

func (p *platform) editFunction(t *testing.T) {
	const file = "functions/workflow-engine/edited.go"
	p.write(t, file, "package main\n\nimport \"log/slog\"\n\nfunc init() { slog.Debug(\"edited by the end-to-end test\") }\n")
	changed := p.deploy(t)
	if len(changed) != 1 || changed[0].Name != "workflow-engine" || !strings.HasSuffix(changed[0].Type, ":Service") || changed[0].Op != "update" {
		t.Errorf("changed: %+v, want the service workflow-engine alone", changed)
	}
}

func (p *platform) addTenant(t *testing.T) {
	env := p.env(t)
	for _, c := range []struct {
		path, value string
		secret      bool
	}{
		{"name", "Oak & Stone", false},
		{"secrets.callrailSigningKey", newTenantSigningKey, true},
		{"secrets.callrailApiKey", newTenantAPIKey, true},
		{"offices.main.name", "Main", false},
		{"offices.main.callrailAccountId", "ACC0000000000000000000000000000004", false},
		{"offices.main.callrailCompanyId", "700000001", false},
	} {
		args := []string{"config", "set", "--stack", "local", "--path", "ingestion:tenants.oak-stone." + c.path, c.value}
		if c.secret {
			args = append(args, "--secret")
		}
		cmd := exec.CommandContext(t.Context(), filepath.Join(p.dir, ".local/bin/pulumi"), args...)
		cmd.Dir, cmd.Env = p.dir, env
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("pulumi %v: %v\n%s", args, err, out)
		}
	}
	synced := false
	for _, c := range p.deploy(t) {
		switch {
		case c.Name == "tenant-sync" && c.Op == "update":
			synced = true
		case strings.Contains(c.Name, "oak-stone") && c.Op == "create":
		case strings.HasSuffix(c.Type, ":BucketObject"):
		default:
			t.Errorf("%s of %s %s, which is not the tenant's", c.Op, c.Type, c.Name)
		}
	}
	if !synced {
		t.Error("tenant-sync did not run")
	}
	var s story
	p.json(t, &s, "call", "--tenant", "oak-stone", "--json")
	if s.Status != "completed" {
		t.Errorf("call to the new tenant: %+v", s)
	}
}

// secrets looks for the values of secrets, known here, in everything that the
// engine keeps and the platform says.
func (p *platform) secrets(t *testing.T) {
	export := exec.CommandContext(t.Context(), filepath.Join(p.dir, ".local/bin/pulumi"), "stack", "export", "--stack", "local")
	export.Dir, export.Env = p.dir, p.env(t)
	state, err := export.Output()
	if err != nil {
		t.Fatalf("export: %v", err)
	}
	if n := strings.Count(string(state), `"ciphertext"`); n < 5 {
		t.Errorf("only %d encrypted values in the state", n)
	}
	said, err := p.command("logs", "-n", "100000").Output()
	if err != nil {
		t.Fatalf("logs: %v", err)
	}
	if !bytes.Contains(said, []byte("tenant-sync")) {
		t.Error("the logs are not the platform's")
	}
	for _, secret := range []string{sampleKey, newTenantSigningKey, newTenantAPIKey} {
		for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret))} {
			if bytes.Contains(state, []byte(form)) {
				t.Errorf("the state holds %s in plain text", secret)
			}
			if bytes.Contains(said, []byte(form)) {
				t.Errorf("the logs show %s", secret)
			}
		}
	}
}

func (p *platform) down(t *testing.T) {
	var info struct{ PID int }
	raw, err := os.ReadFile(filepath.Join(p.dir, ".local/state/daemon.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &info); err != nil {
		t.Fatal(err)
	}
	if out, err := p.command("down").CombinedOutput(); err != nil {
		t.Fatalf("down: %v\n%s", err, out)
	}
	out, err := exec.Command("ps", "-A", "-o", "sid=,stat=,args=").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if strings.HasPrefix(f[1], "Z") {
			continue // it has ended; only its parent can remove it
		}
		if f[0] == fmt.Sprint(info.PID) || strings.Contains(line, p.dir+"/.local/") {
			t.Errorf("left running: %s", line)
		}
	}
	if _, err := os.Stat(filepath.Join(p.dir, ".local/state")); !os.IsNotExist(err) {
		t.Errorf(".local/state: %v", err)
	}
	if conn, err := http.Get(p.gateway + "/healthz"); err == nil {
		conn.Body.Close()
		t.Error("the gateway still answers")
	}
}

// newPlatform copies what git tracks, and what it would, to a new folder. The
// engine that this repository has built already is taken along.
func newPlatform(t *testing.T) *platform {
	t.Helper()
	root, err := exec.Command("git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		t.Fatal(err)
	}
	from := strings.TrimSpace(string(root))
	list := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = from
	files, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	p := &platform{dir: filepath.Join(t.TempDir(), "platform")}
	for name := range strings.SplitSeq(strings.TrimRight(string(files), "\x00"), "\x00") {
		raw, err := os.ReadFile(filepath.Join(from, name))
		if os.IsNotExist(err) {
			continue // deleted, not yet committed
		}
		if err != nil {
			t.Fatal(err)
		}
		p.write(t, name, string(raw))
	}
	for _, name := range []string{".local/bin/pulumi", ".local/bin/.pulumi.from"} {
		raw, err := os.ReadFile(filepath.Join(from, name))
		if os.IsNotExist(err) {
			break // up builds it
		}
		if err != nil {
			t.Fatal(err)
		}
		p.write(t, name, string(raw))
		if err := os.Chmod(filepath.Join(p.dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func (p *platform) write(t *testing.T, name, content string) {
	t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// command is go run ./local with arguments, from the copy.
func (p *platform) command(args ...string) *exec.Cmd {
	cmd := exec.Command("go", append([]string{"run", "./local"}, args...)...)
	cmd.Dir = p.dir
	return cmd
}

// json runs a command that must succeed and reads the document it prints.
func (p *platform) json(t *testing.T, into any, args ...string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := p.command(args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	started := time.Now()
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %v\n%s%s", args, err, stderr.String(), stdout.String())
	}
	t.Logf("%v took %s", args, time.Since(started).Round(100*time.Millisecond))
	if err := json.Unmarshal(stdout.Bytes(), into); err != nil {
		t.Fatalf("%v: %v in\n%s", args, err, stdout.String())
	}
}

// deploy runs up and returns what it changed, without the stack resource and
// components, which change nothing.
func (p *platform) deploy(t *testing.T) []change {
	t.Helper()
	var up upResult
	p.json(t, &up, "up", "--no-proof", "--json")
	if !up.OK {
		t.Fatalf("up: %+v", up)
	}
	return slices.DeleteFunc(up.Deployment.Changed, func(c change) bool { return c.Op == "same" })
}

// env is what eval "$(go run ./local env)" exports, over this process's.
func (p *platform) env(t *testing.T) []string {
	t.Helper()
	var vars map[string]string
	p.json(t, &vars, "env", "--json")
	env := os.Environ()
	for k, v := range vars {
		env = append(env, k+"="+v)
	}
	return env
}

// sign is CallRail's signature: base64 of HMAC-SHA1 over the raw body.
func sign(body string) string {
	mac := hmac.New(sha1.New, []byte(sampleKey))
	mac.Write([]byte(body))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
