package filter

import (
	"fmt"
	"regexp"
	"strings"
)

// Extractor takes a value out of a log entry.
type Extractor struct {
	field []string
	re    *regexp.Regexp // of the one group; nil = all of the field
}

// Field is what the extractor reads, with dots.
func (e Extractor) Field() string { return strings.Join(e.field, ".") }

// ParseExtractor reads EXTRACT(field) or REGEXP_EXTRACT(field, "regex"), whose
// expression must have exactly one group.
func ParseExtractor(text string) (Extractor, error) {
	tokens, err := scan(text)
	if err != nil {
		return Extractor{}, err
	}
	kinds := make([]kind, len(tokens))
	for i, t := range tokens {
		kinds[i] = t.kind
	}
	matches := func(function string, want ...kind) bool {
		if tokens[0].text != function || len(kinds) != len(want) {
			return false
		}
		for i := range want {
			if kinds[i] != want[i] {
				return false
			}
		}
		return true
	}
	switch {
	case matches("EXTRACT", name, opening, name, closing, end):
		return Extractor{field: strings.Split(tokens[2].text, ".")}, nil
	case matches("REGEXP_EXTRACT", name, opening, name, comma, quoted, closing, end):
		re, err := regexp.Compile(tokens[4].text)
		if err != nil {
			return Extractor{}, err
		}
		if re.NumSubexp() != 1 {
			return Extractor{}, fmt.Errorf("the expression of REGEXP_EXTRACT must have one group, not %d", re.NumSubexp())
		}
		return Extractor{field: strings.Split(tokens[2].text, "."), re: re}, nil
	}
	return Extractor{}, fmt.Errorf(`%q is neither EXTRACT(field) nor REGEXP_EXTRACT(field, "regex")`, text)
}
