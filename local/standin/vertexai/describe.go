package vertexai

import (
	"regexp"
	"slices"
	"strings"
)

// moods finds how the customer feels: over all, in each third of what is said,
// and the company's side.
func (d *document) moods(l *lead, said []string) {
	l.Sentiment = mood(strings.Join(said, ". "))
	for i := range l.Moods {
		// Of a single sentence every third is that sentence.
		from, to := i*len(said)/3, (i+1)*len(said)/3
		third := said[from:max(to, min(from+1, len(said)))]
		l.Moods[i] = mood(strings.Join(third, ". "))
	}
	for _, words := range []*regexp.Regexp{negative, positive} {
		if i := slices.IndexFunc(said, func(s string) bool { return words.MatchString(strings.ToLower(s)) }); i >= 0 && l.MoodWords == "" {
			l.MoodWords = cutRunes(said[i], 250)
		}
	}
	var staff []string
	for _, t := range d.turns {
		if d.company[t.speaker] && t.speaker != "assistant" && t.speaker != "bot" {
			staff = append(staff, t.text)
		}
	}
	l.StaffMood = "none"
	if staff != nil {
		l.StaffMood = mood(strings.Join(staff, ". "))
	}
}

func mood(text string) string {
	text = strings.ToLower(text)
	good, bad := positive.MatchString(text), negative.MatchString(text)
	switch {
	case good && bad:
		return "mixed"
	case bad:
		return "negative"
	case good:
		return "positive"
	}
	return "neutral"
}

// communication finds what the contact really is: by its intent, and by words
// that the intent does not know.
func (d *document) communication(l *lead, text string) {
	l.Confidence = 80
	say := func(kind string, words *regexp.Regexp) {
		l.Communication = kind
		if words != nil {
			l.CommunicationWords = words.FindString(text)
		}
	}
	switch {
	case strings.TrimSpace(text) == "" && l.Steering == "":
		say("no_content", nil)
	case l.Intent == "solicitation":
		say("sales_pitch", pitch)
	case l.Intent == "spam":
		say("spam", nil)
		for _, s := range spamSigns {
			if l.CommunicationWords == "" {
				l.CommunicationWords = s.sign.FindString(text)
			}
		}
	case l.Intent == "job_application":
		say("job_application", job)
	case l.Intent == "wrong_number":
		say("wrong_number", wrong)
	case !d.chat && handoff.MatchString(text):
		say("chat_handoff", handoff)
	case existing.MatchString(text):
		say("existing_customer", existing)
	case l.Intent == "complaint":
		say("existing_customer", complaint)
	case l.Intent == "quote_request":
		say("enquiry", quote)
	case l.Intent == "appointment" || l.ProjectType != "none":
		say("enquiry", nil)
	case l.Intent == "question":
		say("enquiry", question)
		l.Confidence = 60
	default:
		say("other", nil)
		l.Confidence = 30
	}
}

// scope is the first sentence that names work.
func (l *lead) scope(said []string) {
	for _, sentence := range said {
		if l.ProjectType != "none" && l.SpamLikelihood < spamFrom && evidenceOf(l.ProjectType, strings.ToLower(sentence)) != "" {
			l.Scope = cutRunes(sentence, 300)
			return
		}
	}
}

var (
	withinWeeks = regexp.MustCompile(`week|soon|ready`)
	someDay     = regexp.MustCompile(`\b(some ?day|one day|in a few years|next year)\b`)
)

// timing is when work should begin, from the words of the urgency.
func (l *lead) timing(text string) {
	l.Start, l.StartWords = "unknown", ""
	if m := someDay.FindString(text); m != "" {
		l.Start, l.StartWords = "later", m
		return
	}
	if l.Timeline == "" {
		return
	}
	l.StartWords = l.Timeline
	switch {
	case l.Urgency == "high":
		l.Start = "now"
	case withinWeeks.MatchString(l.Timeline):
		l.Start = "weeks"
	default:
		l.Start = "months"
	}
}

// nextStep suggests what the intent calls for.
func (l *lead) nextStep() {
	step := func(action, detail string) { l.Action, l.ActionDetail = action, detail }
	switch {
	case l.Intent == "spam" || l.Intent == "solicitation" || l.Intent == "wrong_number" || l.Communication == "no_content":
		step("none", "")
	case l.Intent == "job_application":
		step("pass_on", "Pass it on to whoever hires.")
	case l.Urgency == "emergency" || l.Intent == "complaint":
		step("escalate", "Somebody on call should answer at once.")
	case l.Intent == "appointment":
		step("confirm_appointment", "Confirm the time, and ask what is to be done.")
	case l.Intent == "quote_request" && l.LeadScore >= 50:
		step("book_visit", "Offer a visit to measure.")
	case l.Phone != "":
		step("call_back", "Ask what is to be done, where and when.")
	default:
		step("reply", "Ask what is to be done, where and when.")
	}
}

// telling are the rules whose words are worth an excerpt.
var telling = []*regexp.Regexp{quote, visit, existing, complaint, job, pitch, handoff, wrong, idle, emergency, hurried, planned, positive, negative, steering}

// maxExcerpts and maxExcerpt bound them, in pieces and in characters.
const (
	maxExcerpts = 24
	maxExcerpt  = 290
)

// excerpts are the sentences in which a rule finds something, word for word.
func (d *document) excerpts() []turn {
	out := []turn{} // not nil, so that an empty list is known to be one
	for _, t := range d.turns {
		for _, sentence := range splitSentences(t.text) {
			if len(out) < maxExcerpts && tells(sentence) {
				r := []rune(sentence)
				out = append(out, turn{speaker: t.speaker, text: string(r[:min(len(r), maxExcerpt)])})
			}
		}
	}
	return out
}

func tells(sentence string) bool {
	text := strings.ToLower(sentence)
	for _, words := range telling {
		if words.MatchString(text) {
			return true
		}
	}
	for _, s := range spamSigns {
		if s.sign.MatchString(text) {
			return true
		}
	}
	for _, p := range projects {
		if p.words.MatchString(text) {
			return true
		}
	}
	return money.MatchString(sentence) || email.MatchString(sentence) || phone.MatchString(sentence) ||
		named.MatchString(sentence) || zipped.MatchString(sentence) || street.MatchString(sentence)
}
