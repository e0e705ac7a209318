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
// in some scripts.
func Of(text string) string {
	return strings.Join(strings.FieldsFunc(strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Cf, r) && r != '\u200c' && r != '\u200d' {
			return -1
		}
		return r
	}, text), func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
}
