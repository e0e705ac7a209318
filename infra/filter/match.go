package filter

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// severities in their order.
var severities = []string{"DEFAULT", "DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL", "ALERT", "EMERGENCY"}

// Match tells whether a log entry, in the JSON form of the API, is one of the
// filter's. A field that the entry lacks matches no comparison, and therefore
// its negation; a list matches if an element does.
func (f *Filter) Match(entry map[string]any) bool { return f.root.match(entry) }

func (n node) match(entry map[string]any) bool {
	switch n.op {
	case "and":
		return !slices.ContainsFunc(n.children, func(c node) bool { return !c.match(entry) })
	case "or":
		return slices.ContainsFunc(n.children, func(c node) bool { return c.match(entry) })
	case "not":
		return !n.children[0].match(entry)
	case "log_id":
		// The id is what follows /logs/ in the log's name, where slashes are
		// written as %2F.
		name, _ := entry["logName"].(string)
		_, id, _ := strings.Cut(name, "/logs/")
		return strings.EqualFold(strings.ReplaceAll(id, "%2F", "/"), n.values[0].text)
	case "compare":
		holds := func(v value) bool {
			return slices.ContainsFunc(lookUp(entry, n.field), func(have any) bool { return n.holds(have, v) })
		}
		// != and !~ hold where the field is missing, too.
		if n.compare == "!=" || n.compare == "!~" {
			positive := n
			positive.compare = map[string]string{"!=": "=", "!~": "=~"}[n.compare]
			return !positive.match(entry)
		}
		if n.all {
			return !slices.ContainsFunc(n.values, func(v value) bool { return !holds(v) })
		}
		return slices.ContainsFunc(n.values, holds)
	}
	return false
}

// lookUp returns what the entry has at a field.
func lookUp(at any, field []string) []any {
	if list, ok := at.([]any); ok {
		var found []any
		for _, item := range list {
			found = append(found, lookUp(item, field)...)
		}
		return found
	}
	if len(field) == 0 {
		return []any{at}
	}
	object, ok := at.(map[string]any)
	if !ok {
		return nil
	}
	// Keys may hold dots themselves, as labels do.
	for n := len(field); n > 0; n-- {
		if next, ok := object[strings.Join(field[:n], ".")]; ok {
			return lookUp(next, field[n:])
		}
	}
	return nil
}

// holds compares one value that an entry has. As in Cloud Logging, equality of
// texts does not depend on the case of letters; regular expressions do.
func (n node) holds(have any, want value) bool {
	if len(n.field) == 1 && n.field[0] == "severity" && n.compare != "=~" {
		i, j := slices.Index(severities, fmt.Sprint(have)), slices.Index(severities, strings.ToUpper(want.text))
		return i >= 0 && j >= 0 && ordered(n.compare, float64(i), float64(j))
	}
	if number, ok := have.(float64); ok && want.re == nil {
		wanted, err := strconv.ParseFloat(want.text, 64)
		return err == nil && ordered(n.compare, number, wanted)
	}
	text := strings.ToLower(fmt.Sprint(have))
	switch n.compare {
	case "=~":
		return want.re.MatchString(fmt.Sprint(have))
	case "=":
		return text == strings.ToLower(want.text)
	case ":":
		if want.text == "*" {
			return true
		}
		return strings.Contains(text, strings.ToLower(want.text))
	}
	return ordered(n.compare, float64(strings.Compare(text, strings.ToLower(want.text))), 0)
}

func ordered(compare string, a, b float64) bool {
	switch compare {
	case "=", ":":
		return a == b
	case "<":
		return a < b
	case "<=":
		return a <= b
	case ">":
		return a > b
	case ">=":
		return a >= b
	}
	return false
}

// Extract applies an extractor of a log-based metric, EXTRACT(field) or
// REGEXP_EXTRACT(field, "regex"), to an entry; "" if there is nothing.
// https://cloud.google.com/logging/docs/logs-based-metrics/labels
func Extract(extractor string, entry map[string]any) (string, error) {
	e, err := ParseExtractor(extractor)
	if err != nil {
		return "", err
	}
	found := lookUp(entry, e.field)
	if len(found) == 0 {
		return "", nil
	}
	text := fmt.Sprint(found[0])
	if e.re == nil {
		return text, nil
	}
	if m := e.re.FindStringSubmatch(text); m != nil {
		return m[1], nil
	}
	return "", nil
}
