package vertexai

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// lead is what the rules find in an enquiry. Scores are 0 to 100.
type lead struct {
	Intent, ProjectType, Sentiment, Urgency string
	LeadScore, SpamLikelihood               int
	Summary                                 string
	Reasons                                 []string
	Name, Phone, Email, Address, ZIP        string
	City, State                             string
	Budget, Timeline                        string

	Communication, CommunicationWords string // what it is, and what shows it
	Confidence                        int
	Steering                          string // the first words to the reader
	Scope                             string
	Dollars                           int
	Start, StartWords                 string // when work should begin
	CityWords                         string
	Moods                             [3]string // of the customer, by thirds
	MoodWords                         string
	StaffMood                         string
	SpamSignals                       []string
	Action, ActionDetail              string
	// Words are those that a detail of the customer was taken from, by name.
	Words map[string]string
	// Excerpts are turns worth reading.
	Excerpts []turn
	item     map[string]any // of a list, whose properties come before all others
}

// lookup returns what is known under a property's path, and whether it means
// anything here: the property within that parent, else its name anywhere.
func (l lead) lookup(path []string) (any, bool) {
	if len(path) == 0 {
		return nil, false
	}
	name := normal(path[len(path)-1])
	if v, ok := l.item[name]; ok {
		return v, true
	}
	if len(path) > 1 {
		if v, ok := l.within(normal(path[len(path)-2]), name); ok {
			return v, true
		}
	}
	return l.named(strings.TrimPrefix(name, "customer"))
}

// within looks up the property of an object.
func (l lead) within(parent, name string) (any, bool) {
	if parent == "customerevidence" {
		return l.Words[name], true
	}
	switch parent + "." + name {
	case "communication.type":
		return l.Communication, true
	case "communication.confidence":
		return l.Confidence, true
	case "communication.evidence":
		return l.CommunicationWords, true
	case "budget.minusd", "budget.maxusd":
		return l.Dollars, true
	case "budget.evidence":
		return l.Budget, true
	case "timing.start":
		return l.Start, true
	case "timing.evidence":
		return l.StartWords, true
	case "location.evidence":
		return l.CityWords, true
	case "sentimentdetail.start":
		return l.Moods[0], true
	case "sentimentdetail.middle":
		return l.Moods[1], true
	case "sentimentdetail.end":
		return l.Moods[2], true
	case "sentimentdetail.staff":
		return l.StaffMood, true
	case "sentimentdetail.evidence":
		return l.MoodWords, true
	case "nextstep.action":
		return l.Action, true
	case "nextstep.detail":
		return l.ActionDetail, true
	}
	return nil, false
}

func (l lead) named(name string) (any, bool) {
	switch name {
	case "intent", "category":
		return l.Intent, true
	case "projecttype", "project", "servicetype":
		return l.ProjectType, true
	case "leadscore", "score":
		return l.LeadScore, true
	case "spamlikelihood", "spamscore", "spamprobability":
		return l.SpamLikelihood, true
	case "isspam", "spam":
		return l.SpamLikelihood >= 50, true
	case "spamsignals":
		return l.SpamSignals, true
	case "steering":
		return l.Steering, true
	case "scope":
		return l.Scope, true
	case "excerpts":
		return l.Excerpts, true
	case "sentiment":
		return l.Sentiment, true
	case "urgency", "priority":
		return l.Urgency, true
	case "summary":
		return l.Summary, true
	case "reasons", "reasoning", "keypoints", "scorereasons", "spamreasons", "evidence":
		return l.Reasons, true
	case "name", "fullname":
		return l.Name, true
	case "phone", "phonenumber":
		return l.Phone, true
	case "email", "emailaddress":
		return l.Email, true
	case "address", "streetaddress":
		return l.Address, true
	case "zip", "zipcode", "postalcode":
		return l.ZIP, true
	case "city":
		return l.City, true
	case "state":
		return l.State, true
	case "budget", "budgetrange":
		return l.Budget, true
	case "timeline", "timeframe":
		return l.Timeline, true
	case "language":
		return "en", true
	}
	return nil, false
}

// The words of the rules. All match lower-case text.
var (
	// greeting is what the company's side says first: its speaker's other
	// turns say nothing about the customer.
	greeting = regexp.MustCompile(`thank(s| you) for calling|how (can|may) (i|we) help|what can (i|we) do for you`)

	// steering is speech to the model instead of the company. Such sentences
	// are reported, and tell nothing else.
	steering = regexp.MustCompile(`ignore (all |any |the |your )*(previous|prior|above|earlier)|disregard (all|any|the|your|previous)|` +
		`system prompt|you are now|(set|give|rate|mark|make|score|return|output|answer|respond)\b.{0,40}\b(lead.?score|spam|score|intent|sentiment|customer name|api keys?|json)|` +
		`maintenance mode|end of (transcript|data|content)|lead.?score\W+\d|spam.?likelihood\W+\d|(as|dear) (an )?(ai|language model)|` +
		`(forget|disregard) (your|the|all) (rules|instructions|guid\w+)|\bnew (instruction|rule|task)s?\b|(if you are|to the|dear) (an )?ai\b|` +
		`<\|?im_(start|end)|</?\s?(system|content)|<(start|end)_of_turn|\b(system|model|developer) ?(prompt|note)?: |lead_score`)

	quote     = regexp.MustCompile(`\b(quote|estimate|bid|proposal|consultation|(like|want|need|looking|interested)\b.{0,40}\b(remodel\w*|renovat\w*|redo|replace|replac\w*|install\w*|build|new))\b`)
	asks      = regexp.MustCompile(`\b(need|want|help|please|call me)\b`)
	visit     = regexp.MustCompile(`\b(appointment|reschedul\w*|schedule|come (out|by|over)|stop by)\b`)
	existing  = regexp.MustCompile(`\b(my (current|existing) project|your (crew|guys?|team|painters?|estimator)|you (already )?started|the job you|work you did|you (did|installed|put in|built) (our|my|the)|invoice|warranty|contract|punch list|walkthrough|(order|job) #?\d+)\b`)
	complaint = regexp.MustCompile(`\b(complain\w*|unacceptable|refund|lawyer|never showed|still waiting)\b`)
	job       = regexp.MustCompile(`\b(job openings?|openings|hiring|apply for|resume|employment|looking for work|join your team|position|candidate)\b`)
	pitch     = regexp.MustCompile(`\b(we (manufacture|supply|distribute|offer|provide|specialize|charge|generate)|our (catalog|portfolio|samples|agency)|promotion|wholesale|contractor pricing|your (purchasing|marketing manager)|sub list|guest (post|article)|sponsor|demo)\b`)
	handoff   = regexp.MustCompile(`\b(on|in|from) (the|your|our) (live |online )?(chat|bot)\b|\b(chatbot|online assistant|the bot|our chat)\b`)
	wrong     = regexp.MustCompile(`\bwrong number\b`)
	question  = regexp.MustCompile(`\?|\b(curious|wondering|question|do you)\b`)
	idle      = regexp.MustCompile(`just (looking|curious|browsing|wondering)|was just curious|no (hurry|rush|budget|plan)|not really|in a few years|someday|we rent`)

	emergency = regexp.MustCompile(`\b(emergency|flood(ed|ing)?|burst|gas leak|no (heat|water)|ceiling (fell|collapsed))\b`)
	hurried   = regexp.MustCompile(`\b(as soon as possible|asap|right away|urgent(ly)?|this week|within (a|one|two|1|2) weeks?|tomorrow|today|immediately)\b`)
	planned   = regexp.MustCompile(`\b(next (week|month|spring|summer|fall|winter)|this (month|spring|summer|fall|winter)|in (a|one|two|three|\d+) (weeks?|months?)|within \w+ months?|soon|ready to start)\b`)

	positive = regexp.MustCompile(`\b(wonderful|great|perfect|thank(s| you)|excited|love|awesome|excellent|happy|appreciate|please)\b`)
	negative = regexp.MustCompile(`\b(terrible|angry|awful|unacceptable|disappointed|frustrat\w*|upset|worst|horrible|complain\w*)\b`)

	money = regexp.MustCompile(`(?i)\$\s?(\d(?:[\d,]*\d)?)(\.\d\d)?(?:\s?(k\b|thousand))?|\b(\d(?:[\d,]*\d)?)\s?(k\b|thousand|dollars)`)
	email = regexp.MustCompile(`[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+`)
	phone = regexp.MustCompile(`(?:\+?1[ .-]?)?\(?\b\d{3}\)?[ .-]\d{3}[ .-]\d{4}\b|\+\d{10,15}\b`)
	named = regexp.MustCompile(`(?:[Mm]y name is|[Tt]his is|[Ii] am|[Ii]'m|^(?:Hi|Hello),?) ([A-Z][a-z'-]+(?: [A-Z][a-z'-]+)+)`)
	// cityState is "Boulder, CO" and "Beverly Hills CA 90210".
	cityState = regexp.MustCompile(`\b([A-Z][a-z]+(?: [A-Z][a-z]+)?)(?:, ([A-Z]{2})\b| ([A-Z]{2}) \d{5}\b)`)
	street    = regexp.MustCompile(`\b\d{1,6} (?:[A-Z][a-z]+ ){1,3}(?:Street|St|Road|Rd|Avenue|Ave|Drive|Dr|Lane|Ln|Boulevard|Blvd|Way|Court|Ct)\b`)
	zipped    = regexp.MustCompile(`(?i)\bzip(?: ?code)?(?: is)?[ :]*(\d{5})(?:-\d{4})?\b|\b[A-Z]{2} (\d{5})(?:-\d{4})?\b`)
	bare      = regexp.MustCompile(`(?:^|[^$\d,.-])(\d{5})(?:-\d{4})?(?:[^\d,]|,\D|,?$)`)
)

// projects are the words of each type of work, in the order in which ties go.
var projects = []struct {
	name  string
	words *regexp.Regexp
}{
	{"kitchen", regexp.MustCompile(`\b(kitchens?|cabinets?|countertops?|backsplash|island)\b`)},
	{"bathroom", regexp.MustCompile(`\b(bath(room)?s?|showers?|tub|bathtub|vanity|toilet)\b`)},
	{"basement", regexp.MustCompile(`\bbasements?\b`)},
	{"addition", regexp.MustCompile(`\b(additions?|extra room|adu|second stor(y|ey))\b`)},
	{"whole_home", regexp.MustCompile(`\b(whole|entire|full) (home|house)\b`)},
	{"roofing", regexp.MustCompile(`\b(roof(ing)?|shingles?)\b`)},
	{"windows", regexp.MustCompile(`\bwindows?\b`)},
	{"doors", regexp.MustCompile(`\bdoors?\b`)},
	{"siding", regexp.MustCompile(`\bsiding\b`)},
	{"flooring", regexp.MustCompile(`\b(floor(s|ing)?|hardwood|carpet)\b`)},
	{"painting", regexp.MustCompile(`\bpaint(ing|ed)?\b`)},
	{"deck", regexp.MustCompile(`\b(decks?|patio|porch)\b`)},
	{"plumbing", regexp.MustCompile(`\b(plumb(er|ing)|pipes?|faucet)\b`)},
	{"electrical", regexp.MustCompile(`\b(electric(al|ian)|wiring)\b`)},
	{"hvac", regexp.MustCompile(`\b(hvac|furnace|air condition(er|ing))\b`)},
	{"other", regexp.MustCompile(`\b(garage|remodel\w*|renovat\w*)\b`)},
}

// spamSigns are marks of what nobody wants, with their weights.
var spamSigns = []struct {
	weight int
	sign   *regexp.Regexp
}{
	{40, regexp.MustCompile(`press (1|one|9|nine)\b`)},
	{35, regexp.MustCompile(`google (business )?listing|first page|search engine|\bseo\b|backlinks?`)},
	{25, regexp.MustCompile(`limited time|act now|free trial|you have been selected|has been selected|do not hang up|final notice|removed from our list`)},
	{40, regexp.MustCompile(`extended warranty|merchant (account|services)|business loan|pre-?approved|crypto|bitcoin|casino|viagra`)},
	{25, regexp.MustCompile(`we (offer|provide|specialize in) .{0,40}(leads|marketing|web ?(site|design)|outsourcing)|lead generation|increase your (sales|traffic|revenue)`)},
	{40, regexp.MustCompile(`gift cards?|warrant\b|wire transfer|pre-?qualified|you may be eligible|lower rate|courtesy call`)},
	{40, regexp.MustCompile(`you('ve| have)? won|claim (now|your|here)|click (now|here|below)|reply yes|earn \$|work from home|your package|verify your account`)},
	{15, regexp.MustCompile(`https?://`)},
}

const (
	steeringSpam = 45 // weight of speech to the model
	bookedPoints = 30 // for a time that was chosen
	pitchSpam    = 80 // of somebody who sells: unsolicited, and no secret
	noSpam       = 3  // of what has no sign: nothing is certain
	mostSpam     = 98
	spamFrom     = 60 // from here on the enquiry is no lead
)

var sentenceEnd = regexp.MustCompile(`[.!?]+(\s+|$)|\n+`)

// analyse reads an enquiry by the rules above, in this order: whose words
// count, speech to the model, spam, project, intent, urgency, sentiment,
// customer, score.
func analyse(d document) lead {
	var l lead
	var evidence []string
	note := func(format string, args ...any) { evidence = append(evidence, fmt.Sprintf(format, args...)) }

	said, steered := d.customerWords()
	original := strings.Join(said, ". ")
	text := strings.ToLower(original)

	// Spam.
	spam := 0
	signal := func(format string, args ...any) {
		note(format, args...)
		l.SpamSignals = append(l.SpamSignals, evidence[len(evidence)-1])
	}
	for _, s := range spamSigns {
		if m := s.sign.FindString(text); m != "" {
			spam += s.weight
			signal("Sounds unsolicited: %q.", m)
		}
	}
	if m := pitch.FindString(text); m != "" {
		spam = max(spam, pitchSpam)
		signal("Sells something: %q.", m)
	}
	if steered != "" {
		spam += steeringSpam
		l.Steering = cutRunes(steered, 250)
		signal("Speaks to the reader of this enquiry instead of the company, which changes nothing else: %q.", cutRunes(steered, 80))
	}
	l.SpamLikelihood = min(max(spam, noSpam), mostSpam)

	// Project.
	l.ProjectType = "none"
	most := 0
	for _, p := range projects {
		if n := len(p.words.FindAllString(text, -1)); n > most {
			most = n
			l.ProjectType = p.name
		}
	}
	if most > 0 && l.SpamLikelihood < spamFrom {
		note("Is about %s work: %q.", workName(l.ProjectType), evidenceOf(l.ProjectType, text))
	}

	// Intent.
	switch {
	case l.SpamLikelihood >= spamFrom && pitch.MatchString(text) && spam == pitchSpam:
		l.Intent = "solicitation"
	case l.SpamLikelihood >= spamFrom:
		l.Intent = "spam"
	case job.MatchString(text):
		l.Intent = "job_application"
	case wrong.MatchString(text):
		l.Intent = "wrong_number"
	case complaint.MatchString(text):
		l.Intent = "complaint"
	case existing.MatchString(text):
		l.Intent = "existing_project"
	case quote.MatchString(text):
		l.Intent = "quote_request"
	case visit.MatchString(text), d.booking:
		l.Intent = "appointment"
	case most > 0 && (money.MatchString(text) || hurried.MatchString(text) || planned.MatchString(text)) && !idle.MatchString(text):
		l.Intent = "quote_request"
	case question.MatchString(text):
		l.Intent = "question"
	case most > 0 && asks.MatchString(text):
		l.Intent = "quote_request"
	default:
		l.Intent = "other"
	}
	if m := quote.FindString(text); m != "" && l.Intent == "quote_request" {
		note("Asks for work: %q.", cutRunes(m, 60))
	}

	// Urgency and timeline.
	l.Urgency = "low"
	for _, u := range []struct {
		urgency string
		words   *regexp.Regexp
	}{{"emergency", emergency}, {"high", hurried}, {"medium", planned}} {
		if m := u.words.FindString(text); m != "" && l.SpamLikelihood < spamFrom {
			l.Urgency = u.urgency
			if u.words != emergency { // which says what happened, not when
				l.Timeline = m
			}
			note("Says when: %q.", m)
			break
		}
	}

	d.moods(&l, said)
	d.customer(&l, said, original)
	d.communication(&l, text)
	l.scope(said)
	l.timing(text)
	l.Excerpts = d.excerpts()
	score(&l, text, most > 0, note)
	if d.booking && l.Intent == "appointment" {
		l.LeadScore = min(l.LeadScore+bookedPoints, 100)
		note("Has booked a time.")
	}
	l.nextStep()

	if len(evidence) == 0 {
		note("Nothing in the enquiry says what it is about.")
	}
	l.Reasons = evidence
	l.Summary = summarise(l, original)
	return l
}

// customerWords returns the sentences of everybody but the company's side,
// without those that speak to the model; the first of the latter apart.
func (d *document) customerWords() (said []string, steered string) {
	company := map[string]bool{}
	for _, t := range d.turns {
		if t.speaker != "" && (greeting.MatchString(strings.ToLower(t.text)) || companyLabel.MatchString(t.speaker)) {
			company[t.speaker] = true
		}
	}
	d.company = company
	take := func(text string) {
		for _, sentence := range splitSentences(text) {
			if steering.MatchString(strings.ToLower(sentence)) {
				if steered == "" {
					steered = sentence
				}
				continue
			}
			said = append(said, sentence)
		}
	}
	for _, t := range d.turns {
		if !company[t.speaker] {
			take(t.text)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.fields)) {
		for _, told := range []string{"budget", "timeline", "timeframe", "service", "project", "interest", "subject", "room", "scope", "startdate"} {
			if strings.Contains(name, told) {
				take(d.fields[name])
				break
			}
		}
	}
	return said, steered
}

// splitSentences keeps question marks, which tell something.
func splitSentences(text string) []string {
	var out []string
	start := 0
	for _, m := range sentenceEnd.FindAllStringIndex(text, -1) {
		end := m[0]
		if end < len(text) && text[end] == '?' {
			end++
		}
		if s := strings.TrimSpace(text[start:end]); s != "" {
			out = append(out, s)
		}
		start = m[1]
	}
	if s := strings.TrimSpace(text[start:]); s != "" {
		out = append(out, s)
	}
	return out
}

// customer fills in what the enquiry states of the customer: fields first,
// then words.
func (d *document) customer(l *lead, said []string, original string) {
	l.Words = map[string]string{}
	l.Name = d.stated("customername", "name", "fullname", "callername")
	if l.Name == "" {
		l.Name = strings.TrimSpace(d.stated("firstname") + " " + d.stated("lastname"))
	}
	l.Words["name"] = firstOf(d.stated("customername", "name", "fullname", "callername"), d.stated("firstname"))
	for _, sentence := range said {
		if m := named.FindStringSubmatch(sentence); m != nil {
			l.Name = m[1] // what a caller says of himself beats the phone network
			l.Words["name"] = m[0]
			break
		}
	}
	l.Words["phone"] = firstOf(phone.FindString(original), d.stated("customerphone", "customerphonenumber", "phone", "phonenumber", "callerphone", "mobile", "cell", "tel", "callernum"))
	l.Phone = strings.Map(func(r rune) rune {
		if unicode.IsDigit(r) || r == '+' {
			return r
		}
		return -1
	}, l.Words["phone"])
	l.Email = firstOf(email.FindString(original), email.FindString(d.stated("customeremail", "email", "emailaddress")))
	l.Address = firstOf(d.stated("address", "customeraddress", "streetaddress"), street.FindString(original), d.stated("location"))
	l.Words["email"], l.Words["address"] = l.Email, l.Address
	l.City = d.stated("city", "customercity")
	l.State = d.stated("state", "customerstate")
	l.CityWords = firstOf(l.City, l.State)
	if m := cityState.FindStringSubmatch(l.Address + "\n" + original); m != nil {
		l.City, l.State, l.CityWords = m[1], m[2]+m[3], m[0]
	}
	l.Budget = strings.TrimSpace(money.FindString(original))
	l.Dollars = dollars(l.Budget)

	stated := d.stated("zip", "zipcode", "postalcode", "postcode", "customerzip", "customerpostalcode", "postal")
	if m := zipped.FindStringSubmatch(original); m != nil {
		l.ZIP = m[1] + m[2]
	} else if m := bare.FindStringSubmatch(" " + stated + " "); m != nil {
		l.ZIP = m[1]
	} else if m := bare.FindStringSubmatch(money.ReplaceAllString(original, " ")); m != nil {
		l.ZIP = m[1]
	} else if m := bare.FindStringSubmatch(" " + l.Address + " "); m != nil {
		l.ZIP = m[1]
	}
	l.Words["zip"] = l.ZIP
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// score rates the lead: points for what makes paid work likely.
func score(l *lead, text string, project bool, note func(string, ...any)) {
	points := 10
	if l.Intent == "quote_request" {
		points += 20
	}
	if l.Intent == "appointment" {
		points += 15
	}
	if project {
		points += 20
	}
	if l.Budget != "" {
		points += 15
		if dollars(l.Budget) >= 10_000 {
			points += 5
		}
		note("States a budget: %q.", l.Budget)
	}
	switch l.Urgency {
	case "emergency", "high":
		points += 12
	case "medium":
		points += 10
	}
	if l.Phone != "" || l.Email != "" {
		points += 8
	}
	if l.ZIP != "" {
		points += 5
		note("Names the ZIP code %s.", l.ZIP)
	}
	if l.Name != "" {
		points += 3
	}
	if m := idle.FindString(text); m != "" {
		points -= 35
		note("Has no plan yet: %q.", m)
	}
	switch l.Intent {
	case "spam", "solicitation", "job_application", "wrong_number":
		points = min(points, 4)
	case "complaint", "existing_project":
		points = min(points, 30)
	}
	// Doubt about the enquiry is doubt about the lead.
	points -= (l.SpamLikelihood - noSpam) / 3
	l.LeadScore = min(max(points, 0), 100)
}

// dollars reads what the money rule matched.
func dollars(s string) int {
	m := money.FindStringSubmatch(s)
	if m == nil {
		return 0
	}
	n, err := strconv.Atoi(strings.ReplaceAll(m[1]+m[4], ",", ""))
	if err != nil {
		return 0 // too long for a number of dollars
	}
	if unit := strings.ToLower(m[3] + m[5]); unit == "k" || unit == "thousand" {
		n *= 1000
	}
	return n
}

func summarise(l lead, original string) string {
	if strings.TrimSpace(original) == "" {
		return "There is nothing to read in this enquiry."
	}
	if l.Intent == "spam" || l.Intent == "solicitation" {
		return "This is most likely no customer. It begins: " + cutRunes(original, 120)
	}
	who := firstOf(l.Name, "A customer")
	about := ""
	if l.ProjectType != "none" {
		about = " about " + workName(l.ProjectType) + " work"
	}
	s := fmt.Sprintf("%s got in touch%s (%s).", who, about, strings.ReplaceAll(l.Intent, "_", " "))
	if l.Budget != "" {
		s += " Budget: " + l.Budget + "."
	}
	if l.Timeline != "" {
		s += " Timing: " + l.Timeline + "."
	}
	return s + " It begins: " + cutRunes(original, 120)
}

// workName is a project type in words.
func workName(project string) string {
	if project == "other" {
		return "remodeling"
	}
	return strings.ReplaceAll(project, "_", " ")
}

func evidenceOf(project, text string) string {
	for _, p := range projects {
		if p.name == project {
			return p.words.FindString(text)
		}
	}
	return ""
}

func cutRunes(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n]) + "..."
	}
	return s
}
