// Package ddl is the schema of the Spanner database as an append-only list of
// statements.
//
// The database resource compares the list string by string: statements that
// are appended are applied, and one that is changed or removed replaces the
// database. So a statement is never edited: what changes is added in a new
// file NNNN_name.sql, with the next number. Every statement is idempotent, so
// an existing database is adopted by applying them all; only for roles and
// change streams has Spanner no such form.
package ddl

import (
	"embed"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
)

//go:embed *.sql
var files embed.FS

// Statements returns every statement in order, without comments and without a
// final semicolon. It panics if an embedded file does not split, which the
// tests exclude.
func Statements() []string {
	names, err := fs.Glob(files, "*.sql") // sorted by name, so by number
	if err != nil {
		panic(fmt.Sprintf("ddl: %v", err))
	}
	var all []string
	for _, name := range names {
		text, err := files.ReadFile(name)
		if err != nil {
			panic(fmt.Sprintf("ddl: %v", err))
		}
		statements, err := split(string(text))
		if err != nil {
			panic(fmt.Sprintf("ddl: %s: %v", name, err))
		}
		all = append(all, statements...)
	}
	return all
}

// AccessControl tells whether a statement is about database roles and their
// privileges, or makes a view that reads with its definer's rights. Spanner's
// emulator (1.5) knows none of these.
func AccessControl(statement string) bool { return accessControl.MatchString(statement) }

var accessControl = regexp.MustCompile(`(?is)^\s*(?:(?:--[^\n]*\n|/\*.*?\*/)\s*)*(?:(?:CREATE|DROP)\s+ROLE\b|GRANT\b|REVOKE\b|CREATE\s+(?:OR\s+REPLACE\s+)?VIEW\b.*\bSQL\s+SECURITY\s+DEFINER\b)`)

// split cuts GoogleSQL text at its semicolons and drops its comments. Quotes
// of every GoogleSQL form are kept as they are.
func split(text string) ([]string, error) {
	var statements []string
	var b strings.Builder
	flush := func() {
		if s := strings.TrimSpace(b.String()); s != "" {
			statements = append(statements, s)
		}
		b.Reset()
	}
	for i := 0; i < len(text); {
		rest := text[i:]
		switch {
		case strings.HasPrefix(rest, "--"), rest[0] == '#':
			// The line break stays: it still separates two words.
			if n := strings.IndexByte(rest, '\n'); n >= 0 {
				i += n
			} else {
				i = len(text)
			}
			trimLine(&b)
		case strings.HasPrefix(rest, "/*"):
			n := strings.Index(rest[2:], "*/")
			if n < 0 {
				return nil, fmt.Errorf("comment at byte %d does not end", i)
			}
			b.WriteByte(' ')
			i += n + 4
		case rest[0] == '\'', rest[0] == '"', rest[0] == '`':
			n := quoted(rest)
			if n < 0 {
				return nil, fmt.Errorf("quote at byte %d does not end", i)
			}
			b.WriteString(rest[:n])
			i += n
		case rest[0] == ';':
			flush()
			i++
		default:
			b.WriteByte(rest[0])
			i++
		}
	}
	flush()
	return statements, nil
}

// trimLine removes what a comment leaves behind: blanks at the end of its
// line, and the line if nothing else is on it.
func trimLine(b *strings.Builder) {
	s := strings.TrimRight(b.String(), " \t")
	s = strings.TrimSuffix(s, "\n")
	b.Reset()
	b.WriteString(s)
}

// quoted returns the length of the quoted text that s begins with, or -1 if
// it does not end. In raw strings a backslash also keeps the quote after it
// from ending the string, so they need no case of their own.
func quoted(s string) int {
	end := s[:1]
	if triple := strings.Repeat(end, 3); end != "`" && strings.HasPrefix(s, triple) {
		end = triple
	}
	for i := len(end); i < len(s); i++ {
		if s[i] == '\\' {
			i++
			continue
		}
		if strings.HasPrefix(s[i:], end) {
			return i + len(end)
		}
	}
	return -1
}
