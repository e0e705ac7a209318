package analysis

import (
	"strings"
	"unicode"
)

// evidence is a content's words in the form in which quotes are looked for.
type evidence string

// newEvidence keeps letters and digits, in lower case, and one space for
// everything between them: a quote may differ in punctuation and line breaks.
func newEvidence(text string) evidence {
	return evidence(" " + strings.Join(strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsMark(r) && !unicode.IsNumber(r)
	}), " ") + " ")
}

// has reports whether the quote's words occur in the content, in their order.
func (e evidence) has(quote string) bool {
	want := newEvidence(strings.TrimSuffix(quote, "…"))
	return strings.TrimSpace(string(want)) != "" && strings.Contains(string(e), string(want))
}

// unverified returns the paths of what the result states without words of the
// content that show it: a detail whose evidence is missing or is nowhere in the
// content. Such a detail may be right, but the model may as well have made it
// up. own is the content without its documents: only that shows whom it is from.
func (r *Result) unverified(content, own evidence) []string {
	var paths []string
	claim := func(path string, stated bool, quote string) {
		in := content
		if strings.HasPrefix(path, "customer.") {
			in = own
		}
		if stated && !in.has(quote) {
			paths = append(paths, path)
		}
	}
	claim("communication", r.Communication.Evidence != "", r.Communication.Evidence)
	claim("budget", r.Budget.MinUSD > 0 || r.Budget.MaxUSD > 0, r.Budget.Evidence)
	claim("timing", r.Timing.Start != "" && r.Timing.Start != "unknown", r.Timing.Evidence)
	claim("location", r.Location.City+r.Location.State+r.Location.Country != "", r.Location.Evidence)
	claim("sentiment_detail", r.SentimentDetail.Evidence != "", r.SentimentDetail.Evidence)
	claim("steering", r.Steering != "", r.Steering)
	details, quotes := r.Customer, r.CustomerEvidence
	claim("customer.name", details.Name != "", quotes.Name)
	claim("customer.phone", details.Phone != "", quotes.Phone)
	claim("customer.email", details.Email != "", quotes.Email)
	claim("customer.address", details.Address != "", quotes.Address)
	claim("customer.zip", details.ZIP != "", quotes.ZIP)
	return paths
}
