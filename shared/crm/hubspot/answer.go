package hubspot

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"ingestion.internal/shared/crm/vendorapi"
)

// How long to wait after a 429 that has no Retry-After, by the policy it names.
// The day ends at midnight in the account's time zone, which is not known here;
// to ask once an hour costs little of a limit of 650,000 calls.
const (
	secondsWait = 10 * time.Second
	dailyWait   = time.Hour
)

// batchAnswer is the answer to a batch, also to one of which parts were refused
// (207).
type batchAnswer struct {
	Results []object       `json:"results"`
	Errors  []batchProblem `json:"errors"`
}

// object is a written contact or note.
type object struct {
	ID         string             `json:"id"`
	New        bool               `json:"new"`
	Properties map[string]*string `json:"properties"`
	TraceID    string             `json:"objectWriteTraceId"`
}

// batchProblem is why an input was refused.
type batchProblem struct {
	Status   string                     `json:"status"`
	Category string                     `json:"category"`
	Message  string                     `json:"message"`
	Context  map[string]json.RawMessage `json:"context"`
}

// refusal is the body of a request that was refused whole.
type refusal struct {
	Message    string `json:"message"`
	Category   string `json:"category"`
	ErrorType  string `json:"errorType"`
	PolicyName string `json:"policyName"`
	Errors     []struct {
		Message string `json:"message"`
	} `json:"errors"`
}

// find returns what became of an input: the object, or an error, or neither
// where the answer does not say.
func (a *batchAnswer) find(op string, in input) (*object, error) {
	for i := range a.Results {
		if a.Results[i].is(in) {
			return &a.Results[i], nil
		}
	}
	for _, p := range a.Errors {
		if p.concerns(in) {
			return nil, p.err(op)
		}
	}
	return nil, nil
}

// is reports whether o is what in was made into. HubSpot lowers the case of
// e-mail addresses.
func (o *object) is(in input) bool {
	if o.TraceID != "" {
		return o.TraceID == in.TraceID
	}
	value := o.Properties[in.IDProperty]
	return value != nil && strings.EqualFold(*value, in.ID)
}

// concerns reports whether the problem's context names in.
func (p *batchProblem) concerns(in input) bool {
	for key, want := range map[string]string{"objectWriteTraceId": in.TraceID, "ids": in.ID, "id": in.ID} {
		var values []string
		if json.Unmarshal(p.Context[key], &values) == nil && slices.Contains(values, want) {
			return true
		}
	}
	return false
}

// err is the problem as an error.
func (p *batchProblem) err(op string) error {
	kind := vendorapi.Permanent
	switch p.Category {
	case "CONFLICT":
		kind = vendorapi.Conflict
	case "MISSING_SCOPES", "INVALID_AUTHENTICATION":
		kind = vendorapi.Credentials
	case "RATE_LIMITS", "INTERNAL_ERROR":
		kind = vendorapi.Retryable
	}
	return &vendorapi.Error{Vendor: "hubspot", Op: op, Kind: kind, Status: http.StatusMultiStatus,
		Reason: vendorapi.Clean(strings.TrimPrefix(p.Category+": "+p.Message, ": "))}
}

// unmatched is the error for an input that the answer does not mention: the
// answer's first problem, or that it has none.
func (a *batchAnswer) unmatched(op string) error {
	if len(a.Errors) > 0 {
		return a.Errors[0].err(op)
	}
	return &vendorapi.Error{Vendor: "hubspot", Op: op, Err: errors.New("the answer does not mention the input")}
}

// refused is the error for an answer that refuses the whole request.
func (c *Connector) refused(op string, resp vendorapi.Response) error {
	var body refusal
	// A body of another form leaves the status to speak.
	_ = json.Unmarshal(resp.Body, &body)
	reason := body.Message
	if category := cmp.Or(body.Category, body.ErrorType); category != "" {
		reason = category + ": " + reason
	}
	for _, e := range body.Errors {
		if e.Message != "" && !strings.Contains(reason, e.Message) {
			reason += "; " + e.Message
		}
	}
	err := c.api.Refused(op, resp, reason)
	if resp.Status == http.StatusTooManyRequests {
		wait := secondsWait
		if body.PolicyName == "DAILY" {
			wait = dailyWait
		}
		err.RetryAfter = cmp.Or(err.RetryAfter, wait)
		err.Reason = vendorapi.Clean(reason + " (policy " + cmp.Or(body.PolicyName, "not named") + ")")
	}
	return err
}
