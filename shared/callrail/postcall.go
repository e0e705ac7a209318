package callrail

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// maxDepth bounds the nesting of a payload; CallRail's own has three levels.
const maxDepth = 32

// CallEvent is what the platform needs of a call, whichever of the two
// payloads announced it.
type CallEvent struct {
	TenantID          string // named by the platform's own payload only
	CallID            string
	CompanyID         string
	CompanyResourceID string
	CustomerName      string
	CustomerPhone     string
	RecordingURL      string
	Duration          time.Duration // 0 if unknown
	Unanswered        bool          // nobody answered and there is no voicemail
	Timestamp         time.Time     // when the call began; zero if the payload does not say
}

// HasRecording tells whether audio can be expected: it is named, or the call
// was one that is recorded.
func (e *CallEvent) HasRecording() bool {
	return e.RecordingURL != "" || e.Duration > 0 && !e.Unanswered
}

var identifier = regexp.MustCompile(`^[A-Za-z0-9_-]{1,50}$`)

// ParsePostCall reads either payload that announces the end of a call: the
// platform's own (tenant_id, call_id, callrail_company_id), which the presence
// of tenant_id decides, or CallRail's Post-Call webhook. Numbers may be
// written as strings and strings as numbers, null is absent, and fields that
// are not known are ignored. Errors say what is wrong with the payload and may
// be shown to its sender.
func ParsePostCall(body []byte) (*CallEvent, error) {
	if err := checkDepth(body); err != nil {
		return nil, err
	}
	var fields object
	if err := json.Unmarshal(body, &fields); err != nil || fields == nil {
		return nil, errors.New("the body is not a JSON object")
	}
	e := &CallEvent{
		CustomerName: fields.text("customer_name", "callername"),
		Duration:     fields.seconds("duration"),
		Timestamp:    fields.time("timestamp", "start_time"),
	}
	if answered, ok := fields.flag("answered"); ok && !answered {
		voicemail, _ := fields.flag("voicemail")
		e.Unanswered = !voicemail
	}
	type id struct {
		field    string
		value    string
		required bool
	}
	var ids []id
	if e.TenantID = fields.text("tenant_id"); e.TenantID != "" {
		e.CallID, e.CompanyID = fields.text("call_id"), fields.text("callrail_company_id")
		e.CustomerPhone, e.RecordingURL = fields.text("caller_id", "customer_phone_number"), fields.text("recording_url")
		ids = []id{{"tenant_id", e.TenantID, true}, {"call_id", e.CallID, true}, {"callrail_company_id", e.CompanyID, true}}
	} else {
		// resource_id is the id that CallRail's API knows the call by; older
		// payloads have the number alone.
		e.CallID = fields.text("resource_id", "id")
		e.CompanyID, e.CompanyResourceID = fields.text("company_id"), fields.text("company_resource_id")
		e.CustomerPhone, e.RecordingURL = fields.text("customer_phone_number", "callernum"), fields.text("recording")
		ids = []id{{"id", e.CallID, true}, {"company_id", e.CompanyID, e.CompanyResourceID == ""}, {"company_resource_id", e.CompanyResourceID, false}}
	}
	var errs []error
	for _, id := range ids {
		switch {
		case id.value == "" && id.required:
			errs = append(errs, fmt.Errorf("%s is missing", id.field))
		case id.value != "" && !identifier.MatchString(id.value):
			errs = append(errs, fmt.Errorf("%s is not an id", id.field))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return e, nil
}

// object is a JSON object whose fields are read leniently. Its keys are
// matched exactly, unlike those of a struct.
type object map[string]json.RawMessage

// text returns the first of the fields that is a string or a number and not
// empty.
func (o object) text(names ...string) string {
	for _, name := range names {
		var value any
		dec := json.NewDecoder(strings.NewReader(string(o[name])))
		dec.UseNumber()
		if err := dec.Decode(&value); err != nil {
			continue // absent
		}
		switch v := value.(type) {
		case string:
			if v = strings.TrimSpace(v); v != "" {
				return v
			}
		case json.Number:
			return v.String()
		}
	}
	return ""
}

func (o object) seconds(name string) time.Duration {
	n, err := strconv.ParseFloat(o.text(name), 64)
	if err != nil || !(n > 0) || n > (24*time.Hour).Seconds() { // also excludes NaN
		return 0
	}
	return time.Duration(math.Round(n)) * time.Second
}

func (o object) time(names ...string) time.Time {
	for _, name := range names {
		if t, err := time.Parse(time.RFC3339, o.text(name)); err == nil {
			return t
		}
	}
	return time.Time{}
}

func (o object) flag(name string) (value, ok bool) {
	if err := json.Unmarshal(o[name], &value); err == nil && string(o[name]) != "null" {
		return value, true
	}
	value, err := strconv.ParseBool(o.text(name))
	return value, err == nil
}

// checkDepth refuses deep nesting before anything recursive sees it.
func checkDepth(body []byte) error {
	depth, quoted := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return errors.New("the body is nested too deeply")
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return nil
}
