package workflow

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestCommunicationRoutes: what a contact really is decides, not its channel,
// unless detection is off; spam and the area come before and after as they are.
func TestCommunicationRoutes(t *testing.T) {
	t.Parallel()
	low, high := 5., 90.
	const spam, area = "spam likelihood 5 is below the threshold 75", "ZIP code 90210 is in the service area"
	for name, tc := range map[string]struct {
		communication, intent string
		spam                  float64
		off                   bool
		outcome               Outcome
		reasons               []string
	}{
		"enquiry":                {"enquiry", "quote_request", low, false, Qualified, []string{spam, area}},
		"unknown":                {"", "quote_request", low, false, Qualified, []string{spam, area}},
		"other":                  {"other", "other", low, false, Qualified, []string{spam, area}},
		"job":                    {"job_application", "job_application", low, false, NeedsReview, []string{spam, "detected as job application: somebody applies for work", area}},
		"job_without_detection":  {"job_application", "job_application", low, true, Qualified, []string{spam, area}},
		"customer":               {"existing_customer", "complaint", low, false, NeedsReview, []string{spam, "detected as existing customer: it is about work that was ordered before", area}},
		"customer_wants_more":    {"existing_customer", "quote_request", low, false, Qualified, []string{spam, "detected as existing customer, who wants more", area}},
		"chat":                   {"chat_handoff", "question", low, false, Qualified, []string{spam, "detected as chat handoff: it continues a chat", area}},
		"wrong_number":           {"wrong_number", "wrong_number", low, false, NeedsReview, []string{spam, "detected as wrong number: it is meant for somebody else", area}},
		"spam_comes_first":       {"sales_pitch", "solicitation", high, false, Spam, []string{"spam likelihood 90 reaches the threshold 75"}},
		"pitch_below_threshold":  {"sales_pitch", "solicitation", low, false, NeedsReview, []string{spam, "detected as sales pitch: somebody sells to the company", area}},
		"nothing_to_understand":  {"no_content", "other", low, false, NeedsReview, []string{spam, "detected as no content: there is nothing in it that can be understood", area}},
		"a_type_of_later_models": {"fax", "other", low, false, Qualified, []string{spam, area}},
	} {
		cfg := mustParse(t, ownersConfig)
		cfg.CommunicationDetection.Enabled = !tc.off
		got := Decide(cfg, Input{SpamLikelihood: &tc.spam, PostalCode: "90210", Communication: tc.communication, Intent: tc.intent})
		if diff := cmp.Diff(Decision{tc.outcome, tc.reasons}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
