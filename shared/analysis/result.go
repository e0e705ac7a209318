package analysis

import "ingestion.internal/shared/gemini"

// Result is the model's description, in the fields of schema/*.v2.json. What
// was not asked for, or by an older version, is the zero value and is left out
// of the JSON.
type Result struct {
	// Steering quotes words that try to steer the description; "" if there
	// are none.
	Steering        string          `json:"steering,omitempty"`
	Communication   Communication   `json:"communication,omitzero"`
	Intent          string          `json:"intent"`
	ProjectType     string          `json:"project_type"`
	Scope           string          `json:"scope,omitempty"`
	Budget          Budget          `json:"budget,omitzero"`
	Timing          Timing          `json:"timing,omitzero"`
	Urgency         string          `json:"urgency"`
	Location        Location        `json:"location,omitzero"`
	LeadScore       int64           `json:"lead_score"` // 0-100
	Sentiment       string          `json:"sentiment,omitempty"`
	SentimentDetail SentimentDetail `json:"sentiment_detail,omitzero"` // of calls and chats
	Customer        Customer        `json:"customer"`
	// CustomerEvidence has the words that each of the customer's details was
	// taken from.
	CustomerEvidence Customer `json:"customer_evidence,omitzero"`
	Summary          string   `json:"summary"`
	NextStep         NextStep `json:"next_step,omitzero"`
	SpamLikelihood   int64    `json:"spam_likelihood"` // 0-100
	SpamSignals      []string `json:"spam_signals,omitempty"`
	Reasons          []string `json:"reasons"` // of the lead score
}

// Communication is what a contact really is, whatever channel it came by.
type Communication struct {
	Type       string `json:"type"`       // enquiry, existing_customer, ..., see schema/fields.v2.json
	Confidence int64  `json:"confidence"` // 0-100
	Evidence   string `json:"evidence,omitempty"`
}

// Budget is a range in US dollars; 0 is a side that is not said.
type Budget struct {
	MinUSD   int64  `json:"min_usd"`
	MaxUSD   int64  `json:"max_usd"`
	Evidence string `json:"evidence,omitempty"`
}

// Timing is when the work should begin: now, weeks, months, later or unknown.
type Timing struct {
	Start    string `json:"start"`
	Evidence string `json:"evidence,omitempty"`
}

// Location is the place of the work, as far as it is said.
type Location struct {
	City     string `json:"city,omitempty"`
	State    string `json:"state,omitempty"`
	Country  string `json:"country,omitempty"`
	Evidence string `json:"evidence,omitempty"`
}

// SentimentDetail is how the customer's sentiment moves over a conversation,
// and the staff's, "none" where nobody of the company speaks.
type SentimentDetail struct {
	Start    string `json:"start"`
	Middle   string `json:"middle"`
	End      string `json:"end"`
	Staff    string `json:"staff"`
	Evidence string `json:"evidence,omitempty"`
}

// Customer is what the enquiry says of the customer, "" where it does not.
type Customer struct {
	Name    string `json:"name,omitempty"`
	Phone   string `json:"phone,omitempty"`
	Email   string `json:"email,omitempty"`
	Address string `json:"address,omitempty"`
	ZIP     string `json:"zip,omitempty"`
}

// NextStep is the one thing that the model suggests to do.
type NextStep struct {
	Action string `json:"action"`
	Detail string `json:"detail,omitempty"`
}

// Analysis is a result and how it came about. It is kept in
// requests.ai_analysis, and every version of it that was ever written there can
// be read into it.
type Analysis struct {
	Result
	Model         string     `json:"model"`                    // that was asked
	ModelVersion  string     `json:"model_version,omitempty"`  // that says it answered
	ModelFallback string     `json:"model_fallback,omitempty"` // the workflow's model, which was not available
	PromptVersion string     `json:"prompt_version"`
	SchemaVersion string     `json:"schema_version"`
	Parameters    Parameters `json:"parameters,omitzero"`
	NotAsked      []string   `json:"not_asked,omitempty"` // fields of the schema that the tenant does not want
	Repaired      bool       `json:"repaired,omitempty"`  // the first answer was invalid
	Requests      int        `json:"requests,omitempty"`  // to the model
	Tokens        Tokens     `json:"tokens"`
	// CostMicros is in millionths of a US dollar; nil where the model's price
	// is unknown.
	CostMicros *int64 `json:"cost_usd_micros,omitempty"`

	Condensed  *Condensed  `json:"condensed,omitempty"`   // it was too long for one request
	ContentCut *ContentCut `json:"content_cut,omitempty"` // the middle was left out
	Invisible  int         `json:"invisible_removed,omitempty"`
	Clipped    []string    `json:"clipped,omitempty"` // paths of the answer that were cut to their bounds
	// Unverified has the paths of what is stated without words of the content
	// that show it, for example customer.name.
	Unverified []string `json:"unverified,omitempty"`
}

// Parameters are what the model was asked with, so that the same content gives
// the same answer, as far as the model promises that.
type Parameters struct {
	Temperature float32 `json:"temperature"`
	Seed        int32   `json:"seed"`
}

// Tokens is what the request used, all attempts together.
type Tokens struct {
	Input  int64 `json:"input"`
	Output int64 `json:"output"` // thoughts included
}

// Verified returns the customer's details less those that are unverified.
func (a *Analysis) Verified() Customer {
	c := a.Customer
	for _, path := range a.Unverified {
		switch path {
		case "customer.name":
			c.Name = ""
		case "customer.phone":
			c.Phone = ""
		case "customer.email":
			c.Email = ""
		case "customer.address":
			c.Address = ""
		case "customer.zip":
			c.ZIP = ""
		}
	}
	return c
}

// usage is what one question cost.
type usage struct {
	requests     int
	tokens       Tokens
	repaired     bool
	clipped      []string
	modelVersion string
}

func (a *Analysis) add(u usage) {
	a.Requests += u.requests
	a.Tokens.Input += u.tokens.Input
	a.Tokens.Output += u.tokens.Output
	if micros, ok := gemini.Micros(a.Model, a.Tokens.Input, a.Tokens.Output); ok {
		a.CostMicros = &micros
	}
}
