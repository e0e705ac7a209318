package callrail

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"ingestion.internal/shared/jsontext"
)

// maxDepth bounds the nesting of a payload; CallRail's own has three levels.
const maxDepth = 32

// Kind is what a webhook tells of. Its value names the webhook in the path at
// which it may be received, and in webhook_events.event_type.
// https://apidocs.callrail.com/#webhooks
type Kind string

// The kinds.
const (
	PreCall          Kind = "pre-call"              // an inbound call rings
	RoutingComplete  Kind = "call-routing-complete" // it has been routed
	PostCall         Kind = "post-call"             // it is over
	CallModified     Kind = "call-modified"         // something about it changed since
	OutboundPostCall Kind = "outbound-post-call"
	OutboundModified Kind = "outbound-call-modified"
	TextReceived     Kind = "text-received" // by one of the company's numbers
	TextSent         Kind = "text-sent"     // from one of them
	FormSubmission   Kind = "form-submission"
)

// Kinds lists every kind.
var Kinds = []Kind{PreCall, RoutingComplete, PostCall, CallModified, OutboundPostCall, OutboundModified, TextReceived, TextSent, FormSubmission}

// IsText tells a text message from a call.
func (k Kind) IsText() bool { return k == TextReceived || k == TextSent }

// alike tells kinds of one subject: calls, text messages or forms.
func (k Kind) alike(other Kind) bool {
	return k.IsText() == other.IsText() && (k == FormSubmission) == (other == FormSubmission)
}

// IsModification tells an event that may come any time after what it is about.
func (k Kind) IsModification() bool { return k == CallModified || k == OutboundModified }

// phase orders the events of one call: what a later phase says is truer.
func (k Kind) phase() int {
	switch k {
	case PreCall:
		return 0
	case RoutingComplete:
		return 1
	case PostCall, OutboundPostCall:
		return 2
	}
	return 3
}

// Event is a webhook's envelope: what it is about, and whose it is.
type Event struct {
	Kind              Kind
	TenantID          string // named by the platform's own payload only
	CallID            string // of the call; "" for anything else
	ConversationID    string // that a text message is part of; "" for anything else
	FormID            string // of a form's submission
	CompanyID         string
	CompanyResourceID string
	Timestamp         time.Time // by its sender, for a call when that began; zero if the payload does not say
	Body              []byte    // the whole payload
}

var identifier = regexp.MustCompile(`^[A-Za-z0-9_-]{1,50}$`)

// Parse reads a webhook's payload. kind is what the webhook is said to be, "" if
// its payload has to tell. Whether it is of a call, a text message or a form the
// payload tells in any case: it is signed, and what else says so is not.
//
// A call may be told of by the platform's own payload (tenant_id, call_id,
// callrail_company_id), which the presence of tenant_id decides, or by
// CallRail's. Numbers may be written as strings and strings as numbers, null
// is absent, and fields that are not known are kept and otherwise ignored.
// Errors say what is wrong with the payload and may be shown to its sender.
func Parse(kind Kind, body []byte) (*Event, error) {
	fields, err := parseObject(body)
	if err != nil {
		return nil, err
	}
	e := &Event{
		Kind:              kind,
		TenantID:          fields.text("tenant_id"),
		CompanyID:         fields.text("company_id"),
		CompanyResourceID: fields.text("company_resource_id"),
		Timestamp:         fields.time("timestamp", "start_time", "submitted_at"),
		Body:              body,
	}
	if told := kindOf(fields); e.Kind == "" || !e.Kind.alike(told) {
		e.Kind = told
	}
	type id struct {
		field    string
		value    string
		required bool
	}
	company := id{"company_id", e.CompanyID, e.CompanyResourceID == ""}
	var subject id
	switch {
	case e.Kind.IsText():
		// A message outside of any conversation is one of its own.
		e.ConversationID = fields.text("conversation_id", "resource_id", "id")
		subject = id{"conversation_id", e.ConversationID, true}
	case e.Kind == FormSubmission:
		e.FormID = fields.text("resource_id", "id")
		subject = id{"id", e.FormID, true}
	case e.TenantID != "":
		e.CallID, e.CompanyID, e.CompanyResourceID = fields.text("call_id"), fields.text("callrail_company_id"), ""
		subject, company = id{"call_id", e.CallID, true}, id{"callrail_company_id", e.CompanyID, true}
	default:
		// resource_id is the id that CallRail's API knows the call by; older
		// payloads have the number alone.
		e.CallID = fields.text("resource_id", "id")
		subject = id{"id", e.CallID, true}
	}
	var errs []error
	for _, id := range []id{{"tenant_id", e.TenantID, false}, subject, company, {"company_resource_id", e.CompanyResourceID, false}} {
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

// kindOf tells a payload's kind by its fields: CallRail's payloads do not name
// it. Call Routing Complete looks like Pre-Call. What a payload is about is told
// by the names of its fields, also of those that are null.
func kindOf(fields object) Kind {
	has := func(names ...string) bool {
		return slices.ContainsFunc(names, func(name string) bool {
			value := strings.TrimSpace(string(fields[name]))
			return value != "" && value != "null"
		})
	}
	_, modified := fields["changes"]
	_, form := fields["form_data"]
	_, from := fields["source_number"]
	_, to := fields["destination_number"]
	outbound := fields.outbound()
	switch {
	case form:
		return FormSubmission
	case from && to:
		if has("agent") {
			return TextSent
		}
		return TextReceived
	case outbound && modified:
		return OutboundModified
	case outbound:
		return OutboundPostCall
	case modified:
		return CallModified
	case has("tenant_id", "duration", "answered", "recording"):
		return PostCall
	}
	return PreCall
}

func (o object) outbound() bool {
	return strings.EqualFold(o.text("call_type"), "outbound") || strings.EqualFold(o.text("direction"), "outbound")
}

func parseObject(body []byte) (object, error) {
	if err := jsontext.CheckDepth(body, maxDepth); err != nil {
		return nil, err
	}
	var fields object
	if err := json.Unmarshal(body, &fields); err != nil || fields == nil {
		return nil, errors.New("the body is not a JSON object")
	}
	return fields, nil
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
