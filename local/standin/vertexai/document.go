package vertexai

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// document is an enquiry as the rules read it: what it states under a name,
// and what somebody said.
type document struct {
	fields  map[string]string // by normal name; the first of a name counts
	turns   []turn
	booking bool            // it has a title and a time, as calendars write them
	chat    bool            // one side is a visitor of a website
	company map[string]bool // the speakers of the company's side, see customerWords
}

type turn struct {
	speaker string // label, "" if there is none
	text    string
}

// line is "label: text" with an optional time before it.
var line = regexp.MustCompile(`^\s*(?:[-*]\s+)?(?:\[[\d:. -]+s?\]\s*)?"?([A-Za-z][A-Za-z0-9 _/-]{0,40}|\d{1,2})"?\s*:\s+(.*)$`)

// heading is a line that says nothing itself: "Transcript:", "(there is none)".
var heading = regexp.MustCompile(`^([A-Za-z ]{1,30}:|\(.*\))$`)

// speakerLabel are labels of who speaks, others are names of fields.
var speakerLabel = regexp.MustCompile(`(?i)^(speaker[ _-]?\w*|customer|caller|agent|staff|operator|company|representative|user|\d{1,2})$`)

// freeText are fields whose value is something that the customer says.
var freeText = map[string]bool{"message": true, "comments": true, "comment": true, "notes": true, "description": true,
	"details": true, "text": true, "transcript": true, "transcription": true, "projectdescription": true, "project": true, "body": true, "content": true, "summary": true, "title": true}

// companyLabel are labels of the company's side.
var companyLabel = regexp.MustCompile(`^(assistant|bot|agent|staff|company|business|operator|representative)$`)

// readDocument reads data as JSON, or as lines that may be labelled.
func readDocument(data string) document {
	d := document{fields: map[string]string{}}
	var value any
	if json.Unmarshal([]byte(data), &value) == nil {
		d.walk("", value)
		return d
	}
	for _, l := range strings.Split(data, "\n") {
		l = strings.TrimSpace(l)
		if l == "" || heading.MatchString(l) {
			continue
		}
		if json.Unmarshal([]byte(l), &value) == nil {
			if _, ok := value.(map[string]any); ok {
				d.walk("", value)
				continue
			}
		}
		m := line.FindStringSubmatch(l)
		switch {
		case m == nil:
			d.turns = append(d.turns, turn{text: l})
		case speakerLabel.MatchString(m[1]):
			d.turns = append(d.turns, turn{speaker: strings.ToLower(m[1]), text: m[2]})
		default:
			d.field(m[1], m[2])
		}
	}
	return d
}

// walk takes in a JSON value: objects with a text and a speaker are turns.
func (d *document) walk(name string, value any) {
	switch v := value.(type) {
	case map[string]any:
		if text, ok := v["text"].(string); ok && v["speaker"] != nil {
			speaker := strings.ToLower(fmt.Sprint(v["speaker"]))
			d.turns = append(d.turns, turn{speaker: speaker, text: text})
			d.chat = d.chat || speaker == "visitor"
			return
		}
		if v["summary"] != nil && v["start"] != nil {
			d.booking = true
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			d.walk(key, v[key])
		}
	case []any:
		for _, item := range v {
			d.walk(name, item)
		}
	case string:
		d.field(name, v)
	case float64:
		d.field(name, strings.TrimSuffix(fmt.Sprintf("%f", v), ".000000"))
	}
}

func (d *document) field(name, value string) {
	key := normal(name)
	if freeText[key] {
		d.turns = append(d.turns, turn{text: value})
		// Some of it may be labelled: "Name: ...", a line each.
		for _, l := range strings.Split(value, "\n") {
			if m := line.FindStringSubmatch(l); m != nil && !freeText[normal(m[1])] && !speakerLabel.MatchString(m[1]) {
				d.field(m[1], m[2])
			}
		}
		return
	}
	if _, ok := d.fields[key]; !ok {
		d.fields[key] = strings.TrimSpace(value)
	}
}

// stated returns the first of the fields that has a value.
func (d *document) stated(names ...string) string {
	for _, name := range names {
		if v := d.fields[name]; v != "" {
			return v
		}
	}
	return ""
}
