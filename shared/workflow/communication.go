package workflow

import "strings"

// Notices of what a contact is, by its communication type (package analysis):
// those that are no new enquiry, in words. A person looks at them; the spam gate
// has already held back what nobody needs to see.
var noEnquiry = map[string]string{
	"existing_customer": "it is about work that was ordered before",
	"job_application":   "somebody applies for work",
	"sales_pitch":       "somebody sells to the company",
	"wrong_number":      "it is meant for somebody else",
	"spam":              "it looks like spam, though below the threshold",
	"no_content":        "there is nothing in it that can be understood",
}

// communicationGate routes by what a contact really is instead of by the channel
// that it came through: what is no new enquiry goes to a person. Without
// communication detection, and for analyses that do not know it, every contact
// is what its channel says.
func communicationGate(cfg Config, in Input) (Outcome, string) {
	what := noEnquiry[in.Communication]
	detected := "detected as " + strings.ReplaceAll(in.Communication, "_", " ")
	switch {
	case !cfg.CommunicationDetection.Enabled:
		return "", ""
	case in.Communication == "chat_handoff":
		return "", detected + ": it continues a chat"
	case in.Communication == "existing_customer" && (in.Intent == "quote_request" || in.Intent == "appointment"):
		return "", detected + ", who wants more"
	case what == "":
		return "", ""
	}
	return NeedsReview, detected + ": " + what
}
