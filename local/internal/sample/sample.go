// Package sample makes up what the commands call and form send. The calls'
// words and the webhook's shape are the CallRail stand-in's.
package sample

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"strconv"
	"strings"
	"time"

	"ingestion.internal/local/standin/audio"
)

// Speakers of a turn.
const (
	customer = 1
	agent    = 2
)

// ReadScript reads a conversation, one turn a line: "Customer: ..." or
// "Agent: ...". A line without a speaker goes on with the turn before it;
// empty lines and those that begin with # are skipped.
func ReadScript(r io.Reader) ([]audio.Turn, error) {
	var turns []audio.Turn
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
			turns = append(turns, audio.Turn{Speaker: speaker, Text: text})
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
		return nil, errors.New("nobody says anything in it")
	}
	return turns, nil
}

// CallID returns a call's resource id of CallRail's kind that no other call
// has: it holds the microseconds of a moment.
func CallID(now time.Time) string { return "CAL" + strconv.FormatInt(now.UnixMicro(), 10) }

// Form is a website form.
type Form struct {
	TenantID, OfficeID         string
	Name, Phone, Email, Postal string
	Message                    string
	More                       map[string]string // further fields; those above win
}

// Forms that form sends unless it is told otherwise.
var (
	Enquiry = Form{
		Name: "Dana Whitfield", Phone: "+13105550142", Email: "dana.whitfield@example.com", Postal: "90210",
		Message: "We would like a quote for a kitchen remodel with new cabinets and countertops. Our budget is about $40,000 and we want to start next month.",
	}
	Advertisement = Form{
		Name: "Rank Masters", Phone: "+18885550100", Email: "offers@example.net",
		Message: "Congratulations! Get guaranteed first page Google rankings with our SEO service. Limited time offer, act now: click here for cheap backlinks.",
	}
)

// JSON returns the body of the request; empty fields are left out.
func (f Form) JSON() ([]byte, error) {
	body := maps.Clone(f.More)
	if body == nil {
		body = map[string]string{}
	}
	for k, v := range map[string]string{
		"tenant_id": f.TenantID, "office_id": f.OfficeID, "name": f.Name, "phone": f.Phone, "email": f.Email,
		"postal_code": f.Postal, "message": f.Message,
	} {
		if v != "" {
			body[k] = v
		}
	}
	return json.Marshal(body)
}
