package workflow

import (
	"fmt"

	"ingestion.internal/shared/geo"
)

// Outcome is what a request's decision says, the value of requests.decision.
type Outcome string

// The outcomes.
const (
	Qualified   Outcome = "qualified"    // a lead to follow up
	Spam        Outcome = "spam"         // held back: likely unsolicited or malicious
	OutOfArea   Outcome = "out_of_area"  // held back: the tenant does not work there
	NeedsReview Outcome = "needs_review" // a person has to look, the reasons say at what
	Recorded    Outcome = "recorded"     // kept for its customer's history, nothing follows from it
)

// Decision is the outcome for one request and why, one sentence for every gate
// that had something to say, in the order of the gates.
type Decision struct {
	Outcome Outcome
	Reasons []string
}

// Input is what a decision is made from.
type Input struct {
	SpamLikelihood *float64   // 0-100, nil where the request was not analysed
	PostalCode     string     // as it came in, "" if unknown
	Place          *geo.Place // where the address is, if NeedsPlace and it was found
	PlaceProblem   string     // why it was not found, for the decision's reasons; "" if there is no address
	Communication  string     // what it really is, by the analysis; "" if that is not known
	Intent         string     // by the analysis
	MissingContent string     // why there was nothing to analyse but the request's details; "" if there was
	Withdrawn      string     // why the customer wants nothing any more, as in "the booking was cancelled"; "" otherwise
}

// gate is one step of the decision. It answers with an outcome and the reason
// for it; "" as the outcome is no objection.
type gate interface {
	check(cfg Config, in Input) (Outcome, string)
}

type gateFunc func(Config, Input) (Outcome, string)

func (f gateFunc) check(cfg Config, in Input) (Outcome, string) { return f(cfg, in) }

// gates are asked in order. The first that says Spam, Recorded or OutOfArea ends
// the way; NeedsReview stays unless a later gate holds the request back.
var gates = []gate{gateFunc(spamGate), gateFunc(withdrawnGate), gateFunc(communicationGate), gateFunc(serviceAreaGate), gateFunc(contentGate)}

// Decide runs in through cfg's gates: spam, withdrawn, communication, service
// area, content.
func Decide(cfg Config, in Input) Decision {
	decision := Decision{Outcome: Qualified}
	for _, g := range gates {
		outcome, reason := g.check(cfg, in)
		if reason != "" {
			decision.Reasons = append(decision.Reasons, reason)
		}
		switch outcome {
		case Spam, Recorded, OutOfArea:
			decision.Outcome = outcome
			return decision
		case NeedsReview:
			decision.Outcome = NeedsReview
		}
	}
	return decision
}

// spamGate holds back what is at or above the tenant's threshold.
func spamGate(cfg Config, in Input) (Outcome, string) {
	spam := cfg.Validation.SpamDetection
	if !spam.Enabled {
		return "", "spam detection is off"
	}
	if in.SpamLikelihood == nil {
		return NeedsReview, "spam likelihood is unknown: the request was not analysed"
	}
	if *in.SpamLikelihood >= float64(spam.ConfidenceThreshold) {
		return Spam, fmt.Sprintf("spam likelihood %g reaches the threshold %d", *in.SpamLikelihood, spam.ConfidenceThreshold)
	}
	return "", fmt.Sprintf("spam likelihood %g is below the threshold %d", *in.SpamLikelihood, spam.ConfidenceThreshold)
}

// withdrawnGate ends what the customer has taken back. The history of the
// customer keeps it.
func withdrawnGate(_ Config, in Input) (Outcome, string) {
	if in.Withdrawn == "" {
		return "", ""
	}
	return Recorded, in.Withdrawn
}

// contentGate sends to a person what could not be heard or read.
func contentGate(_ Config, in Input) (Outcome, string) {
	if in.MissingContent == "" {
		return "", ""
	}
	return NeedsReview, "analysed without the conversation: " + in.MissingContent
}
