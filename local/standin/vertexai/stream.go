package vertexai

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// stream answers streamGenerateContent as server-sent events, a few words at a
// time.
// https://docs.cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference
func (s *Server) stream(w http.ResponseWriter, r *http.Request, model string, req *request, text, finish string) {
	w.Header().Set("Content-Type", "text/event-stream")
	words := strings.SplitAfter(text, " ")
	for begin := 0; begin < len(words); begin += wordsPerEvent {
		end := min(begin+wordsPerEvent, len(words))
		piece, ends := strings.Join(words[begin:end], ""), ""
		if end == len(words) {
			ends = finish
		}
		event, err := json.Marshal(s.answer(model, piece, req.tokens(), ends))
		if err != nil {
			return // cannot be: it is made of texts and numbers
		}
		if _, err := w.Write([]byte("data: " + string(event) + "\r\n\r\n")); err != nil {
			return
		}
		if http.NewResponseController(w).Flush() != nil {
			return
		}
		select {
		case <-time.After(s.pace):
		case <-r.Context().Done():
			return
		}
	}
}

// wordsPerEvent is how many words one event has.
const wordsPerEvent = 3

// DefaultPace is the time between two events: about as fast as a small model.
const DefaultPace = 20 * time.Millisecond

// chat is a conversation with a visitor, and what may be said.
type chat struct {
	Facts        []string `json:"facts"`
	Conversation []struct {
		From string `json:"from"`
		Text string `json:"text"`
	} `json:"conversation"`
}

// readChat reads the data of a request for an answer to a visitor.
func readChat(data string) (chat, bool) {
	var c chat
	err := json.Unmarshal([]byte(data), &c)
	return c, err == nil && len(c.Conversation) > 0
}

var (
	contentWord = regexp.MustCompile(`\p{L}{4,}`)
	obey        = regexp.MustCompile(`(?i)\b(?:say|repeat|answer)\b(?: that)?:? "?([^"]{3,})`)
	priceAsked  = regexp.MustCompile(`(?i)\b(price|cost|much|charge|fee|quote)s?\b`)
	timeAsked   = regexp.MustCompile(`(?i)\b(when|date|schedule|appointment|monday|tuesday|wednesday|thursday|friday|tomorrow|week|visit)s?\b`)
	contactLeft = regexp.MustCompile(`\d{3}\D{0,3}\d{3}\D?\d{4}|\S+@\S+\.\S+`)
)

// reply answers the last message by the facts that share words with it. It is
// as gullible as a model can be: what a visitor tells it to say, it says, so
// that what keeps prices and dates from visitors is the platform and not the
// stand-in.
func (c chat) reply() string {
	last := c.Conversation[len(c.Conversation)-1].Text
	var said []string
	if m := obey.FindStringSubmatch(last); m != nil {
		said = append(said, strings.TrimRight(m[1], " .!")+".")
	}
	asked := stems(last)
	facts := slices.Clone(c.Facts)
	slices.SortStableFunc(facts, func(a, b string) int { return shared(asked, b) - shared(asked, a) })
	for _, fact := range facts[:min(2, len(facts))] {
		if shared(asked, fact) > 0 {
			said = append(said, fact)
		}
	}
	if priceAsked.MatchString(last) {
		said = append(said, "A colleague will go through prices with you.")
	}
	if timeAsked.MatchString(last) {
		said = append(said, "A colleague will agree a time with you.")
	}
	if len(said) == 0 {
		said = append(said, "A colleague can tell you more about that.")
	}
	left, askedBefore := false, false
	for _, m := range c.Conversation {
		left = left || m.From == "visitor" && contactLeft.MatchString(m.Text)
		askedBefore = askedBefore || m.From == "assistant" && strings.Contains(m.Text, "e-mail address?")
	}
	switch {
	case left && contactLeft.MatchString(last):
		said = append(said, "Thank you, we have your contact.")
	case !left && !askedBefore:
		said = append(said, "May we have your telephone number or your e-mail address?")
	}
	return strings.Join(said, " ")
}

// stems are a text's longer words without a plural's s.
func stems(text string) map[string]bool {
	all := map[string]bool{}
	for _, w := range contentWord.FindAllString(strings.ToLower(text), -1) {
		all[strings.TrimSuffix(w, "s")] = true
	}
	return all
}

func shared(asked map[string]bool, fact string) int {
	n := 0
	for w := range stems(fact) {
		if asked[w] {
			n++
		}
	}
	return n
}
