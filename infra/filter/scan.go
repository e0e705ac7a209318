package filter

import (
	"fmt"
	"strings"
)

type kind int

const (
	end kind = iota
	name
	quoted
	operator
	opening
	closing
	comma
)

type token struct {
	kind kind
	text string
	at   int
}

// operators, the longer ones first.
var operators = []string{"<=", ">=", "!=", "=~", "!~", "=", "<", ">", ":", "-"}

// scan takes a filter apart. The last token is the end.
func scan(text string) ([]token, error) {
	var tokens []token
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
			continue
		case strings.HasPrefix(text[i:], "--"): // a comment
			for i < len(text) && text[i] != '\n' {
				i++
			}
			continue
		case c == '"' || c == '\'':
			unquoted, length, err := unquote(text[i:])
			if err != nil {
				return nil, fmt.Errorf("at %d: %w", i, err)
			}
			tokens = append(tokens, token{quoted, unquoted, i})
			i += length
			continue
		case c == '(':
			tokens = append(tokens, token{opening, "(", i})
		case c == ')':
			tokens = append(tokens, token{closing, ")", i})
		case c == '*': // after a colon: the field is there
			tokens = append(tokens, token{name, "*", i})
		case c == ',':
			tokens = append(tokens, token{comma, ",", i})
		case isName(c) || c == '-' && i+1 < len(text) && text[i+1] >= '0' && text[i+1] <= '9':
			start := i
			for i++; i < len(text) && (isName(text[i]) || text[i] == '-' || text[i] == '/'); i++ {
			}
			tokens = append(tokens, token{name, text[start:i], start})
			continue
		default:
			op := ""
			for _, candidate := range operators {
				if strings.HasPrefix(text[i:], candidate) {
					op = candidate
					break
				}
			}
			if op == "" {
				return nil, fmt.Errorf("at %d: unexpected %q", i, text[i:i+1])
			}
			tokens = append(tokens, token{operator, op, i})
			i += len(op)
			continue
		}
		i++
	}
	return append(tokens, token{end, "the end", len(text)}), nil
}

func isName(c byte) bool {
	return c == '_' || c == '.' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// unquote reads a quoted string at the beginning of text and tells how long it
// was. A backslash keeps the quote or the backslash that follows it; before
// anything else it stays, as regular expressions need it.
func unquote(text string) (unquoted string, length int, err error) {
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == text[0]:
			return b.String(), i + 1, nil
		case c == '\\' && i+1 < len(text) && (text[i+1] == text[0] || text[i+1] == '\\'):
			i++
			b.WriteByte(text[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", 0, fmt.Errorf("a quoted value has no end")
}
