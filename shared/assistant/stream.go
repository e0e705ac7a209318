package assistant

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of an answer, in characters.
const (
	maxSentence = 500
	maxAnswer   = 1500
)

// speech lets an answer out sentence by sentence, each as soon as it is whole
// and was found fit to be said.
type speech struct {
	filter *Filter
	asked  string
	say    func(string)

	buffer  string
	before  string          // the sentence before, as it came from the model
	heard   map[string]bool // what was said: nothing is said twice
	said    int             // characters
	held    int             // sentences that were not said
	started bool
}

// write takes what the model says next.
func (s *speech) write(chunk string) {
	s.buffer += chunk
	for {
		end := sentenceEnd(s.buffer)
		if end == 0 {
			return
		}
		sentence := s.buffer[:end]
		s.buffer = s.buffer[end:]
		s.let(sentence)
	}
}

// close takes the rest as a sentence, unless the model was cut short in it.
func (s *speech) close(cut bool) {
	if !cut {
		s.let(s.buffer)
	}
	s.buffer = ""
}

func (s *speech) let(sentence string) {
	text := strings.Join(strings.Fields(strings.ToValidUTF8(sentence, "")), " ")
	if text == "" || s.said > maxAnswer {
		return
	}
	verdict := s.filter.Check(text, s.before, s.asked)
	if utf8.RuneCountInString(text) > maxSentence {
		verdict = Unknown
	}
	s.before = text
	if verdict != Fine {
		s.held++
		text = Instead[verdict]
	}
	if s.heard[text] {
		return
	}
	if s.heard == nil {
		s.heard = map[string]bool{}
	}
	s.heard[text] = true
	if s.started {
		text = " " + text
	}
	s.started = true
	s.said += utf8.RuneCountInString(text)
	s.say(text)
}

// sentenceEnd returns where the first sentence ends, 0 if it may go on. What
// follows a full stop has to be seen: it may be the rest of a number.
func sentenceEnd(text string) int {
	for i, r := range text {
		end := i + utf8.RuneLen(r)
		switch r {
		case '\n', '!', '?':
			if strings.TrimSpace(text[:i]) == "" && r == '\n' {
				continue
			}
			return end
		case '.', '…':
			next, _ := utf8.DecodeRuneInString(text[end:])
			if end < len(text) && unicode.IsSpace(next) {
				return end
			}
		}
	}
	return 0
}
