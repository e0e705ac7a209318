// Package oneline makes one line of what strangers call themselves and their
// files. Names become subjects of mails, titles, fields of CRMs and lines of a
// terminal, and must neither begin a line there nor turn the direction of what
// follows.
package oneline

import (
	"strings"
	"unicode"
)

// Of returns the text on one line: each stretch of space and control characters
// is one space, and there is none around it. Characters that turn the direction
// of the text are left out, and those that nobody sees, but for the joiners of
// letters (zero-width joiner and non-joiner), without which names are misspelt
// in some scripts. Where nothing else is left, the text is empty.
func Of(text string) string {
	joiner := func(r rune) bool { return r == '\u200c' || r == '\u200d' }
	line := strings.Join(strings.FieldsFunc(strings.Map(func(r rune) rune {
		if (unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) || unicode.Is(unicode.Variation_Selector, r) || r == blank) && !joiner(r) {
			return -1
		}
		return r
	}, text), func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
	if strings.TrimFunc(line, func(r rune) bool { return joiner(r) || r == ' ' }) == "" {
		return ""
	}
	return line
}

// blank is a letter of Braille without a dot.
const blank = '\u2800'
