package analysis

import (
	"bytes"
	"encoding/json"
	"maps"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Content is what somebody said or sent. It is data, all of it.
type Content struct {
	// Details is what the channel knows of the contact, by its own names.
	Details map[string]string
	// Turns is what was said, in order: of a call, a chat, text messages.
	Turns []Turn
	// Missing says why there are no turns where there should be.
	Missing string
	// Fields is a JSON document as it was sent: of a form, a booking. With it
	// there are no turns.
	Fields json.RawMessage
	// History is what the company knows of other requests of the same person,
	// in its own words; "" for nothing. It is shown as historyName, whatever the
	// content has of that name, and is no evidence for anything.
	History string
	// Documents is what was read in the files that came with the fields. They
	// are shown as documentsName, whatever the fields have of that name. They
	// are evidence for what is wanted, and none for whom it is from: how sure a
	// reader must be of that is decided where documents are read.
	Documents []Document

	condensed bool // the turns are excerpts of what was longer
}

// Turn is what one side said before the other did.
type Turn struct {
	Speaker string `json:"speaker,omitempty"` // as the source labels it
	Text    string `json:"text"`
}

// Document is a file of its sender's.
type Document struct {
	Name   string  `json:"name,omitempty"` // as its sender calls it
	Fields []Field `json:"fields,omitempty"`
	Text   string  `json:"text,omitempty"`
}

// Field is what is filled in in a document, as far as it could be read.
type Field struct {
	Name       string  `json:"name"`
	Value      string  `json:"value"`
	Confidence float64 `json:"confidence"` // 0-1, that it was read right
}

// maxDetail bounds one detail, in characters: details are short, and are sent
// with every request about a content.
const maxDetail = 2000

// Names of the details, or the fields, that are not their sender's.
const (
	historyName   = "other_requests_of_this_person"
	documentsName = "attached_documents"
)

// withOwn puts what is not the sender's among the fields. Nobody else has
// fields of these names.
func (c Content) withOwn(fields any) any {
	own := map[string]any{}
	if c.History != "" {
		own[historyName] = c.History
	}
	if len(c.Documents) > 0 {
		own[documentsName] = c.Documents
	}
	object, ok := fields.(map[string]any)
	if !ok {
		if len(own) == 0 {
			return fields
		}
		object = map[string]any{"content": fields}
	}
	delete(object, historyName)
	delete(object, documentsName)
	maps.Copy(object, own)
	return object
}

// render writes the content as the one JSON document that the model reads, so
// that nothing in it can pass for a detail or for another speaker's turn. What
// cannot be seen is left out, see invisible; the second result counts it.
func (c Content) render() (string, int) {
	var document any
	switch {
	case len(c.Fields) > 0 && !c.condensed:
		document = c.withOwn(fieldsOf(c.Fields))
	default:
		details := map[string]string{}
		for name, value := range c.Details {
			details[name] = clipRunes(value, maxDetail)
		}
		delete(details, historyName)
		if c.History != "" {
			details[historyName] = clipRunes(c.History, maxDetail)
		}
		turns := c.Turns
		if turns == nil {
			turns = []Turn{}
		}
		document = struct {
			Details    map[string]string `json:"details"`
			Transcript []Turn            `json:"transcript"`
			Missing    string            `json:"transcript_missing,omitempty"`
			Condensed  bool              `json:"condensed,omitempty"`
		}{details, turns, c.Missing, c.condensed}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(document); err != nil {
		// Strings, and what was decoded from JSON, always encode.
		panic("analysis: " + err.Error())
	}
	return removeInvisible(strings.TrimSuffix(b.String(), "\n"))
}

// fieldsOf decodes a document of any shape; what is no JSON is a text. Keys
// that occur twice become one and escapes become the characters they stand
// for, so that there is one way to write a thing.
func fieldsOf(raw json.RawMessage) any {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var value any
	if err := dec.Decode(&value); err != nil || dec.More() {
		return map[string]any{"text": string(raw)}
	}
	return value
}

// invisible are characters that show nothing and can carry text that only a
// machine reads: format characters (tags, bidirectional overrides, zero-width
// spaces), variation selectors and private use. The two joiners stay, which
// several scripts need.
func invisible(r rune) bool {
	switch {
	case r == '\u200c' || r == '\u200d':
		return false
	case r >= '\ufe00' && r <= '\ufe0e', r >= 0xe0100 && r <= 0xe01ef: // selectors; U+FE0F makes emoji
		return true
	}
	return unicode.In(r, unicode.Cf, unicode.Co)
}

func removeInvisible(s string) (string, int) {
	n := 0
	out := strings.Map(func(r rune) rune {
		if invisible(r) {
			n++
			return -1
		}
		return r
	}, s)
	return out, n
}

// words is all the content's text but its documents', for finding evidence.
func (c Content) words() string {
	var b strings.Builder
	for _, value := range c.Details {
		b.WriteString(value + "\n")
	}
	for _, t := range c.Turns {
		b.WriteString(t.Text + "\n")
	}
	if len(c.Fields) > 0 {
		collect(&b, fieldsOf(c.Fields))
	}
	return b.String()
}

// documentWords is the text of the content's documents, for finding evidence.
func (c Content) documentWords() string {
	var b strings.Builder
	for _, d := range c.Documents {
		b.WriteString(d.Text + "\n")
		for _, f := range d.Fields {
			b.WriteString(f.Value + "\n")
		}
	}
	return b.String()
}

func collect(b *strings.Builder, value any) {
	switch v := value.(type) {
	case map[string]any:
		for name := range maps.Keys(v) {
			collect(b, v[name])
		}
	case []any:
		for _, item := range v {
			collect(b, item)
		}
	case string:
		b.WriteString(v + "\n")
	case json.Number:
		b.WriteString(v.String() + "\n")
	}
}

// size is the length of what render would write, in characters, about.
func (t Turn) size() int {
	return utf8.RuneCountInString(t.Text) + utf8.RuneCountInString(t.Speaker) + 40
}

// texts returns the content as turns, whatever it is.
func (c Content) texts() []Turn {
	if len(c.Fields) == 0 {
		return c.Turns
	}
	text, _ := Content{Fields: c.Fields, Documents: c.Documents}.render()
	return []Turn{{Text: text}}
}

// parts cuts turns into groups of at most limit characters each, between turns
// where that is possible, else between words.
func parts(turns []Turn, limit int) [][]Turn {
	var out [][]Turn
	var group []Turn
	room := limit
	for _, t := range turns {
		for _, t := range t.cut(limit) {
			if n := t.size(); n > room && len(group) > 0 {
				out, group, room = append(out, group), nil, limit
			}
			group = append(group, t)
			room -= t.size()
		}
	}
	if len(group) > 0 {
		out = append(out, group)
	}
	return out
}

// cut divides a turn into turns of at most limit characters.
func (t Turn) cut(limit int) []Turn {
	if t.size() <= limit {
		return []Turn{t}
	}
	t.Speaker = clipRunes(t.Speaker, maxSpeaker)
	room := max(limit-Turn{Speaker: t.Speaker}.size(), 1)
	var out []Turn
	for runes := []rune(t.Text); len(runes) > 0; {
		n := min(room, len(runes))
		if n < len(runes) {
			for i := n; i > n/2; i-- {
				if unicode.IsSpace(runes[i-1]) {
					n = i
					break
				}
			}
		}
		out = append(out, Turn{Speaker: t.Speaker, Text: string(runes[:n])})
		runes = runes[n:]
	}
	return out
}

// maxSpeaker bounds a speaker's label, in characters.
const maxSpeaker = 40

// clipRunes bounds s to n characters, the last of which then is an ellipsis.
func clipRunes(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return strings.TrimRightFunc(string([]rune(s)[:n-1]), unicode.IsSpace) + "…"
}
