package sample

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ingestion.internal/local/internal/cli"
	"ingestion.internal/local/internal/daemonapi"
)

// The pairs are computed with openssl dgst -sha1 -hmac KEY -binary | base64.
func TestSign(t *testing.T) {
	t.Parallel()
	if got, want := Sign([]byte("key"), []byte("The quick brown fox jumps over the lazy dog")), "3nybhbi3iqa8ino29wqQcBydtNk="; got != want {
		t.Errorf("signature %s, want %s", got, want)
	}
}

func TestScenariosAreThoseOfTheCommandLine(t *testing.T) {
	t.Parallel()
	want := slices.Sorted(slices.Values(cli.ScenarioNames))
	if d := cmp.Diff(want, slices.Sorted(maps.Keys(Scenarios))); d != "" {
		t.Error(d)
	}
	for name, s := range Scenarios {
		if s.Person.Phone == "" || len(s.Script) < 2 || s.Script[0].Speaker != agent || s.Script[1].Speaker != customer {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

func TestReadScript(t *testing.T) {
	t.Parallel()
	got, err := ReadScript(strings.NewReader("# a comment\nAgent: Hello: who is it?\n\n customer : It is me\nand my dog\nCALLER: Bye"))
	if err != nil {
		t.Fatal(err)
	}
	want := []daemonapi.Turn{{Speaker: agent, Text: "Hello: who is it?"}, {Speaker: customer, Text: "It is me and my dog"}, {Speaker: customer, Text: "Bye"}}
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

func TestWebhook(t *testing.T) {
	t.Parallel()
	c := daemonapi.Call{
		ID: "1234567890123456789", CompanyID: "155920786", CompanyResourceID: "COM1", CustomerName: "D", CustomerPhone: "+13105550142",
		StartTime: time.Date(2026, 3, 4, 5, 6, 7, 89e6, time.UTC), DurationSeconds: 61,
	}
	b, err := Webhook(c, "http://127.0.0.1/rec")
	if err != nil {
		t.Fatal(err)
	}
	// Large ids must survive as numbers.
	for _, want := range []string{`"id":1234567890123456789`, `"company_id":155920786`, `"company_resource_id":"COM1"`, `"duration":"61"`, `"timestamp":"2026-03-04T05:06:07.089Z"`, `"recording":"http://127.0.0.1/rec"`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("no %s in %s", want, b)
		}
	}
}

func TestForm(t *testing.T) {
	t.Parallel()
	b, err := Form("t1", "", Person{Name: "N", Postal: "90210"}, "hello", map[string]string{"budget": "4", "tenant_id": "other"})
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
