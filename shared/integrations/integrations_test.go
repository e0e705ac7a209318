package integrations

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestCheckURL(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"https://api.hubapi.com":         "",
		"https://hooks.example.com/a?b":  "",
		"http://127.0.0.1:8080":          "",
		"http://[::1]:8080/x":            "",
		"http://localhost":               "",
		"http://localhost.evil.example":  "https",
		"http://api.hubapi.com":          "https",
		"ftp://127.0.0.1":                "https",
		"api.hubapi.com":                 "host",
		"":                               "host",
		"https://user:pw@api.hubapi.com": "credentials",
		"https://a/#x":                   "fragment",
		"https://a b":                    "no URL",
	} {
		err := CheckURL(address)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("CheckURL(%q) = %v, want %q", address, err, want)
		}
	}
}

const complete = `{
	"hubspot": {"token": "hunter2-h", "phone_property": "lead_phone"},
	"salesforce": {"login_url": "https://acme.my.salesforce.com", "client_id": "i", "client_secret": "hunter2-s", "external_id_field": "Request__c"},
	"mcp": {"url": "https://mcp.example.com", "token": "hunter2-m", "tool": "upsert"},
	"webhook": {"url": "https://hooks.example.com", "secret": "hunter2-0123456789"},
	"sendgrid": {"key": "hunter2-k", "from": "Leads <leads@example.com>", "digest": {"hours": [8, 17], "time_zone": "America/Los_Angeles"}}
}`

func parsed(t *testing.T) Settings {
	t.Helper()
	s, err := Parse([]byte(complete))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestParseAndDocument(t *testing.T) {
	t.Parallel()
	s := parsed(t)
	document, err := s.Document()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(document)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(*s.SendGrid, *again.SendGrid); diff != "" || !cmp.Equal(s.Providers(), again.Providers()) {
		t.Errorf("the document reads otherwise (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]string{"hubspot", "mcp", "salesforce", "sendgrid", "webhook"}, s.Providers()); diff != "" {
		t.Errorf("providers (-want +got)\n%s", diff)
	}
	if (Settings{}).Has("hubspot") || s.Has("zoho") || len((Settings{}).Providers()) != 0 {
		t.Error("what is not set up is there")
	}
}

func TestMistakesNamePlacesAndNoValues(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		document string
		want     []string
	}{
		"nothing":  {``, []string{"integrations: EOF"}},
		"not_json": {`hunter2`, []string{"integrations: invalid character 'h' looking for beginning of value"}},
		"trailing": {`{} "hunter2"`, []string{"integrations: more than one JSON value"}},
		"unknown":  {`{"zoho": {"token": "hunter2"}}`, []string{`integrations: json: unknown field "zoho"`}},
		"type":     {`{"hubspot": {"token": 12345}}`, []string{"integrations: hubspot.token must be a string"}},
		"empty": {`{"hubspot": {}, "salesforce": {}, "mcp": {}, "webhook": {}, "sendgrid": {}}`, []string{
			"integrations.hubspot.token: is missing",
			"integrations.mcp.url: has no host",
			"integrations.mcp.tool: is missing",
			"integrations.salesforce.login_url: has no host",
			"integrations.salesforce.client_id: is missing",
			"integrations.salesforce.client_secret: is missing (or username and private_key)",
			"integrations.salesforce.external_id_field: is no name of a custom field such as Ingestion_Request__c",
			"integrations.sendgrid.key: is missing",
			"integrations.sendgrid.from: is no address",
			"integrations.webhook.url: has no host",
			"integrations.webhook.secret: has 0 bytes, needs 16",
		}},
		"wrong": {`{"hubspot": {"token": "t", "phone_property": "hunter2!", "note_property": "hunter2 ", "base_url": "http://hunter2"},
			"salesforce": {"login_url": "https://x", "client_id": "i", "username": "u", "private_key": "hunter2", "client_secret": "s", "external_id_field": "hunter2", "api_version": "hunter2"},
			"sendgrid": {"key": "k", "from": "hunter2", "reply_to": "hunter2", "digest": {"hours": [24], "time_zone": "hunter2"}, "base_url": "hunter2"}}`, []string{
			"integrations.hubspot.phone_property: is no name of a property (a-z, 0-9, _)",
			"integrations.hubspot.note_property: is no name of a property (a-z, 0-9, _)",
			"integrations.hubspot.base_url: must be https",
			"integrations.salesforce.client_secret: must not stand beside username and private_key",
			"integrations.salesforce.private_key: is not PEM",
			"integrations.salesforce.external_id_field: is no name of a custom field such as Ingestion_Request__c",
			"integrations.salesforce.api_version: is no version like v66.0",
			"integrations.sendgrid.from: is no address",
			"integrations.sendgrid.reply_to: is no address",
			"integrations.sendgrid.digest.hours[0]: must be 0 to 23",
			"integrations.sendgrid.digest.time_zone: is no IANA time zone such as America/Los_Angeles",
			"integrations.sendgrid.base_url: has no host",
		}},
		"half": {`{"salesforce": {"login_url": "https://x", "client_id": "i", "username": "u", "external_id_field": "R__c"}, "sendgrid": {"key": "k", "from": "a@b.c", "digest": {}}}`, []string{
			"integrations.salesforce.username and private_key: both are needed",
			"integrations.sendgrid.digest.hours: must name at least one hour",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse([]byte(tc.document))
			if err == nil {
				t.Fatal("no error")
			}
			if diff := cmp.Diff(tc.want, strings.Split(err.Error(), "\n")); diff != "" {
				t.Errorf("mistakes (-want +got)\n%s", diff)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%v shows a value", err)
			}
		})
	}
}

func TestNothingShowsCredentials(t *testing.T) {
	t.Parallel()
	s := parsed(t)
	for _, text := range []string{s.String(), fmt.Sprint(s), fmt.Sprintf("%v %+v %#v", s, s, s), s.LogValue().String()} {
		if strings.Contains(text, "hunter2") || !strings.Contains(text, "hubspot") {
			t.Errorf("%s", text)
		}
	}
}

func TestAt(t *testing.T) {
	t.Parallel()
	s := parsed(t)
	moved := s.At(Endpoints{HubSpot: "http://127.0.0.1:1", Salesforce: "http://127.0.0.1:2", MCP: "http://127.0.0.1:3", SendGrid: "http://127.0.0.1:4"})
	got := []string{moved.HubSpot.BaseURL, moved.Salesforce.LoginURL, moved.MCP.URL, moved.SendGrid.BaseURL, moved.Webhook.URL, moved.HubSpot.Token}
	want := []string{"http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3", "http://127.0.0.1:4", "https://hooks.example.com", "hunter2-h"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("moved (-want +got)\n%s", diff)
	}
	if s.HubSpot.BaseURL != "" || s.Salesforce.LoginURL != "https://acme.my.salesforce.com" || s.MCP.URL != "https://mcp.example.com" || s.SendGrid.BaseURL != "" {
		t.Error("At changed the settings it was given")
	}
	same := s.At(Endpoints{})
	if same.HubSpot != s.HubSpot || same.Salesforce != s.Salesforce {
		t.Error("no endpoints change nothing")
	}
	if len((Settings{}).At(Endpoints{HubSpot: "x", SendGrid: "y"}).Providers()) != 0 {
		t.Error("an endpoint sets nothing up")
	}
}

func TestDigestNext(t *testing.T) {
	t.Parallel()
	at := func(text string) time.Time {
		v, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	d := &Digest{Hours: []int{17, 8}, TimeZone: "America/Los_Angeles"}
	for now, want := range map[string]string{
		"2026-11-25T15:59:59Z": "2026-11-25T08:00:00-08:00",
		"2026-11-25T16:00:00Z": "2026-11-25T17:00:00-08:00",
		"2026-11-26T01:00:00Z": "2026-11-26T08:00:00-08:00",
		"2026-10-31T23:30:00Z": "2026-10-31T17:00:00-07:00",
		"2026-11-01T00:30:00Z": "2026-11-01T08:00:00-08:00", // the night the clocks go back
	} {
		if got := d.Next(at(now)); !got.Equal(at(want)) {
			t.Errorf("Next(%s) = %s, want %s", now, got, want)
		}
	}
	if got := (&Digest{Hours: []int{0}}).Next(at("2026-11-25T10:00:00Z")); !got.Equal(at("2026-11-26T00:00:00Z")) {
		t.Errorf("UTC: %s", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(complete))
	f.Add([]byte(`{"sendgrid": {"digest": {"hours": [-1]}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Parse(data)
		if err != nil {
			return
		}
		document, err := s.Document()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(document); err != nil {
			t.Fatalf("%s is read, but not what it is written as: %v", data, err)
		}
	})
}
