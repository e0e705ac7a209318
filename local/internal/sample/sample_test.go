package sample

import (
	"bytes"
	"encoding/json"
	"mime"
	"mime/multipart"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ingestion.internal/local/internal/cli"
	"ingestion.internal/local/standin/audio"
	"ingestion.internal/shared/booking"
	"ingestion.internal/shared/callrail"
)

func TestScenariosAreTheStandInsScripts(t *testing.T) {
	t.Parallel()
	if d := cmp.Diff(audio.Names(), slices.Sorted(slices.Values(cli.ScenarioNames))); d != "" {
		t.Error(d)
	}
	if !slices.Contains(cli.ScenarioNames, cli.SpamScenario) {
		t.Errorf("--spam names no scenario: %s", cli.SpamScenario)
	}
}

func TestReadScript(t *testing.T) {
	t.Parallel()
	got, err := ReadScript(strings.NewReader("# a comment\nAgent: Hello: who is it?\n\n customer : It is me\nand my dog\nCALLER: Bye"))
	if err != nil {
		t.Fatal(err)
	}
	want := []audio.Turn{{Speaker: agent, Text: "Hello: who is it?"}, {Speaker: customer, Text: "It is me and my dog"}, {Speaker: customer, Text: "Bye"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for text, want := range map[string]string{
		"":                      "nobody says anything",
		"# only":                "nobody says anything",
		"hello":                 "line 1: it must begin",
		"Agent: a\n\nCustomer:": "line 3: Customer says nothing",
	} {
		if _, err := ReadScript(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
	}
}

func FuzzReadScript(f *testing.F) {
	f.Add("Agent: a\nCustomer: b\nmore")
	f.Fuzz(func(t *testing.T, s string) {
		turns, err := ReadScript(strings.NewReader(s))
		if err != nil {
			return
		}
		for _, turn := range turns {
			if strings.TrimSpace(turn.Text) == "" || (turn.Speaker != customer && turn.Speaker != agent) {
				t.Errorf("turn %+v from %q", turn, s)
			}
		}
	})
}

func TestFormOfCallRail(t *testing.T) {
	t.Parallel()
	body, err := Form{TenantID: "t1", Name: "N", Postal: "90210"}.CallRail("1", "COM1", time.Date(2026, 3, 4, 10, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	e, err := callrail.Parse("", body)
	if err != nil || e.Kind != callrail.FormSubmission || e.CompanyResourceID != "COM1" || e.Timestamp.IsZero() {
		t.Fatalf("%+v, %v", e, err)
	}
	f, err := callrail.FoldForm([]callrail.Event{*e})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]any{"name": "N", "postal_code": "90210"}, f.Fields); d != "" {
		t.Error(d)
	}
}

func TestFormWithFiles(t *testing.T) {
	t.Parallel()
	body, contentType, err := Form{TenantID: "t1", Message: "hello"}.Multipart([]File{{"plan.pdf", []byte("%PDF")}})
	if err != nil {
		t.Fatal(err)
	}
	_, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		t.Fatal(err)
	}
	form, err := multipart.NewReader(bytes.NewReader(body), params["boundary"]).ReadForm(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string][]string{"tenant_id": {"t1"}, "message": {"hello"}}, form.Value); d != "" {
		t.Error(d)
	}
	if f := form.File["file"]; len(f) != 1 || f[0].Filename != "plan.pdf" || f[0].Size != 4 {
		t.Errorf("files: %v", form.File)
	}
}

func TestForm(t *testing.T) {
	t.Parallel()
	b, err := Form{TenantID: "t1", Name: "N", Postal: "90210", Message: "hello", More: map[string]string{"budget": "4", "tenant_id": "other"}}.JSON()
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]string
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"tenant_id": "t1", "name": "N", "postal_code": "90210", "message": "hello", "budget": "4"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// The platform reads what is made up, and tells the two directions apart.
func TestText(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 4, 10, 20, 30, 0, time.UTC)
	text := Text{CompanyID: "1", CompanyResourceID: "COM1", Conversation: "c1", Customer: "+13105550142", Company: "+14045558514", Content: "hi"}
	var events []callrail.Event
	for sent, kind := range map[bool]callrail.Kind{false: callrail.TextReceived, true: callrail.TextSent} {
		text.Sent = sent
		body, err := text.JSON(now)
		if err != nil {
			t.Fatal(err)
		}
		event, err := callrail.Parse("", body)
		if err != nil || event.Kind != kind || event.ConversationID != "c1" || event.CompanyID != "1" || !event.Timestamp.Equal(now) {
			t.Errorf("sent %v: %+v, %v", sent, event, err)
			continue
		}
		events = append(events, *event)
	}
	c, err := callrail.FoldTexts(events)
	if err != nil || len(c.Messages) != 2 || c.CustomerPhone != "+13105550142" {
		t.Errorf("%+v, %v", c, err)
	}
}

// The samples are of the format, and one booking's life.
func TestBooking(t *testing.T) {
	t.Parallel()
	var events []booking.Event
	at := time.Date(2026, 3, 4, 10, 20, 30, 0, time.UTC)
	for i, b := range []Booking{Visit, {Move: true}, {Cancel: true}} {
		b.TenantID, b.ID, b.At = "t1", "B1", at.Add(time.Duration(i)*time.Minute)
		body, err := b.JSON()
		if err != nil {
			t.Fatal(err)
		}
		e, err := booking.Parse(body)
		if err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		events = append(events, *e)
	}
	folded, err := booking.Fold(events)
	if err != nil {
		t.Fatal(err)
	}
	if folded.Status != booking.Cancelled || folded.Customer.Phone != "+13105550142" || strings.Count(string(folded.Payload), `"starts_at":"2026-03-07T10:00:00Z"`) != 3 {
		t.Errorf("%+v\n%s", folded, folded.Payload)
	}
}
