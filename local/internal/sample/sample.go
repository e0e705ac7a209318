// Package sample makes up phone calls and forms, and signs webhooks the way
// CallRail does.
package sample

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // CallRail's signature is HMAC-SHA1; see its webhook documentation.
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"ingestion.internal/local/internal/daemonapi"
)

// Person is who calls or writes.
type Person struct {
	Name, Phone, Email  string
	City, State, Postal string
}

// Scenario is a phone call, made up.
type Scenario struct {
	Person Person
	Script []daemonapi.Turn
}

const (
	customer = 1
	agent    = 2
)

// Scenarios are the calls of call --scenario, by name.
var Scenarios = map[string]Scenario{
	"kitchen": {
		Person: Person{"Dana Whitfield", "+13105550142", "dana.whitfield@example.com", "Beverly Hills", "CA", "90210"},
		Script: talk(
			"Thank you for calling, this is Alex, how can I help?",
			"Hi, my name is Dana Whitfield. We want to remodel our kitchen, new cabinets, quartz countertops and an island, and I would like a quote.",
			"Happy to help. What is your time frame and budget?",
			"We would like to start next month. Our budget is about 45000 dollars and we own the house.",
			"And where is the house?",
			"In Beverly Hills, the zip code is 90210. My number is 310 555 0142. Could somebody come by for an estimate this week?",
			"Yes, I am putting you down for Thursday morning.",
			"Wonderful, thank you so much.",
		),
	},
	"bathroom": {
		Person: Person{"Luis Ortega", "+13105550177", "luis.ortega@example.com", "Beverly Hills", "CA", "90211"},
		Script: talk(
			"Good morning, how can I help?",
			"Good morning, this is Luis Ortega. We are thinking about a bathroom remodel, a walk-in shower instead of the old tub.",
			"Of course. When would you like to begin?",
			"There is no hurry, maybe in spring. I just want to know what it costs. The zip code is 90211.",
			"I will send somebody to measure and quote. Thank you for calling.",
			"Thanks, bye.",
		),
	},
	"roof": {
		Person: Person{"Priya Raman", "+13105550123", "priya.raman@example.com", "Beverly Hills", "CA", "90210"},
		Script: talk(
			"Hello, how can I help?",
			"Hello, it is urgent. Our roof is leaking since the storm last night and water is coming into the bedroom.",
			"I am sorry to hear that. Where are you?",
			"Zip code 90210. Priya Raman is my name. Can somebody come today? We will pay for an emergency repair.",
			"A crew can be there this afternoon.",
			"Thank you, please hurry.",
		),
	},
	"spam": {
		Person: Person{"Unknown", "+18885550100", "", "", "", ""},
		Script: talk(
			"Hello?",
			"Congratulations! You have been selected for a limited time offer. Our SEO service guarantees your website the first page of Google rankings.",
			"Who is this?",
			"Press one now to claim your free business listing, act now, this is not a sales call. Special promotion, lowest interest rates, no obligation.",
		),
	},
	"wrong-number": {
		Person: Person{"Sam Keller", "+13105550166", "", "Beverly Hills", "CA", ""},
		Script: talk(
			"Hello, how can I help?",
			"Hi, is this the pizza place on Third Street?",
			"No, you have the wrong number.",
			"Oh, sorry about that. Bye.",
		),
	},
	"far-away": {
		Person: Person{"Grace Lindqvist", "+19075550111", "grace.lindqvist@example.com", "Anchorage", "AK", "99501"},
		Script: talk(
			"Hello, how can I help?",
			"Hello, this is Grace Lindqvist. I would like a quote for a kitchen remodel with new cabinets, the budget is 30000 dollars.",
			"And where is the house?",
			"It is in Anchorage, Alaska, the zip code is 99501.",
			"We will see whether we can do that and call you back.",
			"Thank you.",
		),
	},
}

// talk alternates: the agent begins.
func talk(lines ...string) []daemonapi.Turn {
	turns := make([]daemonapi.Turn, len(lines))
	for i, l := range lines {
		turns[i] = daemonapi.Turn{Speaker: agent - i%2, Text: l}
	}
	return turns
}

// ReadScript reads a conversation, one turn a line: "Customer: ..." or
// "Agent: ...". A line without a speaker goes on with the turn before it;
// empty lines and those that begin with # are skipped.
func ReadScript(r io.Reader) ([]daemonapi.Turn, error) {
	var turns []daemonapi.Turn
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 1<<20)
	for n := 1; sc.Scan(); n++ {
		line := strings.TrimSpace(sc.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		who, text, _ := strings.Cut(line, ":")
		speaker := 0
		switch strings.ToLower(strings.TrimSpace(who)) {
		case "customer", "caller":
			speaker = customer
		case "agent":
			speaker = agent
		}
		switch text = strings.TrimSpace(text); {
		case speaker != 0 && text != "":
			turns = append(turns, daemonapi.Turn{Speaker: speaker, Text: text})
		case speaker != 0:
			return nil, fmt.Errorf("line %d: %s says nothing", n, who)
		case len(turns) == 0:
			return nil, fmt.Errorf(`line %d: it must begin with "Customer:" or "Agent:"`, n)
		default:
			turns[len(turns)-1].Text += " " + line
		}
	}
	if err := sc.Err(); err != nil {
		return nil, err
	}
	if len(turns) == 0 {
		return nil, fmt.Errorf("nobody says anything in it")
	}
	return turns, nil
}

// wordsPerSecond is how fast people talk, for a call's length.
const wordsPerSecond = 2.5

// Duration returns how long a conversation takes, in seconds, at least 5.
func Duration(script []daemonapi.Turn) int {
	words := 0
	for _, t := range script {
		words += len(strings.Fields(t.Text))
	}
	return max(5, int(float64(words)/wordsPerSecond))
}

// Webhook returns CallRail's Post-Call payload for a call with a recording.
func Webhook(c daemonapi.Call, recordingURL string) ([]byte, error) {
	stamp := c.StartTime.Format("2006-01-02T15:04:05.000Z07:00")
	p := map[string]any{
		"answered":                        true,
		"call_type":                       "answered",
		"company_name":                    c.CompanyName,
		"company_time_zone":               "America/Los_Angeles",
		"created_at":                      stamp,
		"start_time":                      stamp,
		"timestamp":                       stamp,
		"customer_city":                   c.CustomerCity,
		"customer_country":                "US",
		"customer_name":                   c.CustomerName,
		"customer_phone_number":           c.CustomerPhone,
		"customer_state":                  c.CustomerState,
		"callernum":                       c.CustomerPhone,
		"callername":                      c.CustomerName,
		"direction":                       "inbound",
		"duration":                        strconv.Itoa(c.DurationSeconds), // a string in CallRail's own payload
		"first_call":                      true,
		"formatted_customer_name":         c.CustomerName,
		"formatted_customer_phone_number": c.CustomerPhone,
		"id":                              c.ID,
		"lead_status":                     "",
		"note":                            "",
		"recording":                       recordingURL,
		"recording_duration":              c.DurationSeconds,
		"source_name":                     "Local cloud",
		"tags":                            []string{},
		"tracking_phone_number":           c.TrackingPhone,
		"voicemail":                       false,
	}
	// CallRail writes numeric ids as numbers.
	if n, err := strconv.ParseInt(c.CompanyID, 10, 64); err == nil {
		p["company_id"] = n
	} else if c.CompanyID != "" {
		p["company_id"] = c.CompanyID
	}
	if c.CompanyResourceID != "" {
		p["company_resource_id"] = c.CompanyResourceID
	}
	if n, err := strconv.ParseInt(c.ID, 10, 64); err == nil {
		p["id"] = n
	}
	return json.Marshal(p)
}

// Sign returns the value of CallRail's Signature header for a body.
func Sign(key, body []byte) string {
	m := hmac.New(sha1.New, key)
	m.Write(body)
	return base64.StdEncoding.EncodeToString(m.Sum(nil))
}

// CallID returns a call id of CallRail's kind that no other call has: the
// microseconds of a moment, which every JSON reader keeps exactly.
func CallID(now time.Time) string { return strconv.FormatInt(now.UnixMicro(), 10) }

// Form returns the JSON of a website form.
func Form(tenantID, officeID string, p Person, message string, more map[string]string) ([]byte, error) {
	f := map[string]any{}
	for k, v := range more {
		f[k] = v
	}
	for k, v := range map[string]string{
		"tenant_id": tenantID, "office_id": officeID, "name": p.Name, "phone": p.Phone, "email": p.Email,
		"postal_code": p.Postal, "message": message,
	} {
		if v != "" {
			f[k] = v
		}
	}
	return json.Marshal(f)
}

// Messages of the sample forms.
const (
	FormMessage = "We would like a quote for a kitchen remodel with new cabinets and countertops. Our budget is about 40000 dollars and we want to start next month."
	FormSpam    = "Congratulations! Get guaranteed first page Google rankings with our SEO service. Limited time offer, act now: click here for cheap backlinks."
)
