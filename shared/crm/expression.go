package crm

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"ingestion.internal/shared/contact"
)

// source is a field of a lead that a mapping can name.
type source struct {
	typ    Type
	always bool            // there is a value in every lead
	get    func(*Lead) any // nil: no value
}

// sources are a lead's fields by the names of the tables' columns.
var sources = map[string]source{
	"request_id":         {String, true, func(l *Lead) any { return text(l.RequestID) }},
	"tenant_id":          {String, true, func(l *Lead) any { return text(l.TenantID) }},
	"office_id":          {String, false, func(l *Lead) any { return text(l.OfficeID) }},
	"office_name":        {String, false, func(l *Lead) any { return text(l.OfficeName) }},
	"source":             {String, true, func(l *Lead) any { return text(l.Source) }},
	"communication_mode": {String, true, func(l *Lead) any { return text(l.Mode) }},
	"call_id":            {String, false, func(l *Lead) any { return text(l.CallID) }},
	"received_at": {Time, true, func(l *Lead) any {
		if l.ReceivedAt.IsZero() {
			return nil
		}
		return l.ReceivedAt
	}},
	"name":        {String, false, func(l *Lead) any { return text(l.Customer.Name) }},
	"phone":       {String, false, func(l *Lead) any { return text(l.Customer.Phone) }},
	"email":       {String, false, func(l *Lead) any { return text(l.Customer.Email) }},
	"postal_code": {String, false, func(l *Lead) any { return text(l.Customer.PostalCode) }},
	"lead_score": {Int, false, func(l *Lead) any {
		if l.LeadScore == nil {
			return nil
		}
		return *l.LeadScore
	}},
	"spam_likelihood": {Number, false, func(l *Lead) any {
		if l.SpamLikelihood == nil {
			return nil
		}
		return *l.SpamLikelihood
	}},
	"decision": {String, false, func(l *Lead) any { return text(l.Decision) }},
	"reasons": {List, false, func(l *Lead) any {
		if len(l.Reasons) == 0 {
			return nil
		}
		return l.Reasons
	}},
	"summary": {String, false, func(l *Lead) any { return text(l.Summary) }},
}

// Fields are the names of a lead's fields, the left sides of a mapping without
// the paths into the analysis, sorted.
func Fields() []string { return slices.Sorted(maps.Keys(sources)) }

// analysisPrefix begins the paths into Lead.Analysis.
const analysisPrefix = "analysis."

func text(s string) any {
	if strings.TrimSpace(s) == "" {
		return nil
	}
	return s
}

// findSource returns the source that a path names.
func findSource(path string) (source, error) {
	if s, ok := sources[path]; ok {
		return s, nil
	}
	if inner, ok := strings.CutPrefix(path, analysisPrefix); ok {
		keys := strings.Split(inner, ".")
		if slices.Contains(keys, "") {
			return source{}, fmt.Errorf("path %.80q has an empty part", path)
		}
		return source{typ: analysisTypes[inner], get: func(l *Lead) any { return lookup(l.Analysis, keys) }}, nil
	}
	return source{}, fmt.Errorf("unknown field %.80q; known are %s and paths that begin with %s", path,
		strings.Join(Fields(), ", "), analysisPrefix)
}

// lookup walks a decoded JSON document; numbers index lists. What is not there,
// null and empty is nil.
func lookup(v any, keys []string) any {
	for _, key := range keys {
		switch node := v.(type) {
		case map[string]any:
			v = node[key]
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i < 0 || i >= len(node) {
				return nil
			}
			v = node[i]
		default:
			return nil
		}
	}
	switch leaf := v.(type) {
	case string:
		return text(leaf)
	case []any:
		if len(leaf) == 0 {
			return nil
		}
	case map[string]any:
		if len(leaf) == 0 {
			return nil
		}
	}
	return v
}

// step is one transform of an expression.
type step struct {
	name  string
	apply func(any) (any, error) // never called with nil
	// fallback is the value in place of none; nil for all but default.
	fallback any
}

// expression is the parsed left side of a mapping: a source and what is done
// to its value. always means that it yields a value for every lead.
type expression struct {
	source source
	steps  []step
	typ    Type
	always bool
}

// transform is a row of the table of transforms.
type transform struct {
	in    []Type // besides Any
	out   Type
	sure  bool // never fails, never makes a value empty
	apply func(any) (any, error)
}

// transforms are what may stand behind a "|". default, which needs an
// argument, is apart.
var transforms = map[string]transform{
	"upper":      {[]Type{String}, String, true, stringStep(func(s string) (string, error) { return strings.ToUpper(s), nil })},
	"lower":      {[]Type{String}, String, true, stringStep(func(s string) (string, error) { return strings.ToLower(s), nil })},
	"trim":       {[]Type{String}, String, true, stringStep(func(s string) (string, error) { return strings.TrimSpace(s), nil })},
	"first_name": {[]Type{String}, String, false, stringStep(func(s string) (string, error) { first, _ := splitName(s); return first, nil })},
	"last_name":  {[]Type{String}, String, false, stringStep(func(s string) (string, error) { _, last := splitName(s); return last, nil })},
	"e164":       {[]Type{String}, String, false, stringStep(contact.E164)},
	"int":        {[]Type{String, Int, Number}, Int, false, toInt},
	"string":     {[]Type{String, Int, Number, Bool, Time, List}, String, true, func(v any) (any, error) { return render(v), nil }},
}

const defaultTransform = "default"

// parseExpression reads the left side of a mapping:
//
//	expression = ( path | "=" constant ) { "|" transform [ ":" argument ] }
//
// In constants and arguments "\|" is a "|" and "\\" a "\".
func parseExpression(s string) (expression, error) {
	parts, err := split(s)
	if err != nil {
		return expression{}, err
	}
	var e expression
	if constant, ok := strings.CutPrefix(parts[0], "="); ok {
		if strings.TrimSpace(constant) == "" {
			return expression{}, errors.New("the constant after = is empty")
		}
		e = expression{source: source{get: func(*Lead) any { return constant }}, typ: String, always: true}
	} else {
		e.source, err = findSource(strings.TrimSpace(parts[0]))
		if err != nil {
			return expression{}, err
		}
		e.typ, e.always = e.source.typ, e.source.always
	}
	for _, part := range parts[1:] {
		if err := e.add(part); err != nil {
			return expression{}, err
		}
	}
	return e, nil
}

// add appends the transform that part describes.
func (e *expression) add(part string) error {
	name, argument, hasArgument := strings.Cut(part, ":")
	name = strings.TrimSpace(name)
	if name == defaultTransform {
		if strings.TrimSpace(argument) == "" {
			return errors.New("default needs a value, as in default:Unknown")
		}
		fallback, err := e.parseDefault(argument)
		if err != nil {
			return err
		}
		e.steps = append(e.steps, step{name: name, fallback: fallback})
		e.always = true
		return nil
	}
	t, ok := transforms[name]
	switch {
	case !ok:
		known := append(slices.Collect(maps.Keys(transforms)), defaultTransform)
		slices.Sort(known)
		return fmt.Errorf("unknown transform %.40q; known are %s", name, strings.Join(known, ", "))
	case hasArgument:
		return fmt.Errorf("transform %s takes no argument", name)
	case e.typ != Any && !slices.Contains(t.in, e.typ):
		return fmt.Errorf("transform %s cannot be applied to a value of type %s", name, e.typ)
	}
	e.steps = append(e.steps, step{name: name, apply: t.apply})
	e.typ = t.out
	e.always = e.always && t.sure
	return nil
}

// parseDefault reads the argument of default as a value of e's type.
func (e *expression) parseDefault(argument string) (any, error) {
	switch e.typ {
	case Int:
		n, err := strconv.ParseInt(strings.TrimSpace(argument), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("default %.40q is no integer", argument)
		}
		return n, nil
	case Number:
		f, err := strconv.ParseFloat(strings.TrimSpace(argument), 64)
		if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
			return nil, fmt.Errorf("default %.40q is no number", argument)
		}
		return f, nil
	case Bool, Time, List:
		return nil, fmt.Errorf("default cannot be applied to a value of type %s", e.typ)
	default:
		return argument, nil
	}
}

// value is what e yields for lead, nil for nothing. problem says what kept a
// value from being used.
func (e *expression) value(lead *Lead) (v any, problem error) {
	v = e.source.get(lead)
	for _, s := range e.steps {
		switch {
		case v == nil && s.fallback != nil:
			v = s.fallback
		case v != nil && s.apply != nil:
			out, err := s.apply(v)
			if err != nil {
				v, problem = nil, fmt.Errorf("%s: %w", s.name, err)
				continue
			}
			if v = out; v == "" {
				v = nil
			}
		}
	}
	return v, problem
}

// split cuts s at every "|" that is not escaped and takes the escapes out.
func split(s string) ([]string, error) {
	if strings.TrimSpace(s) == "" {
		return nil, errors.New("the source is empty")
	}
	var parts []string
	var part strings.Builder
	escaped := false
	for _, r := range s {
		switch {
		case escaped:
			if r != '|' && r != '\\' {
				return nil, fmt.Errorf(`\%c is no escape; known are \| and \\`, r)
			}
			part.WriteRune(r)
			escaped = false
		case r == '\\':
			escaped = true
		case r == '|':
			parts = append(parts, part.String())
			part.Reset()
		default:
			part.WriteRune(r)
		}
	}
	if escaped {
		return nil, errors.New(`a \ stands at the end`)
	}
	return append(parts, part.String()), nil
}

// stringStep applies f to strings; a value of another type, which only a path
// into the analysis can have, is a problem of that lead.
func stringStep(f func(string) (string, error)) func(any) (any, error) {
	return func(v any) (any, error) {
		s, ok := v.(string)
		if !ok {
			return nil, fmt.Errorf("needs a string, not %s", typeOf(v))
		}
		return f(s)
	}
}

// toInt rounds numbers and reads strings of digits.
func toInt(v any) (any, error) {
	switch n := v.(type) {
	case int64:
		return n, nil
	case float64:
		// 2^53: up to here a float is exact.
		if math.Abs(n) > 1<<53 || math.IsNaN(n) {
			return nil, errors.New("is out of range")
		}
		return int64(math.Round(n)), nil
	case string:
		i, err := strconv.ParseInt(strings.TrimSpace(n), 10, 64)
		if err != nil {
			return nil, errors.New("is no whole number")
		}
		return i, nil
	default:
		return nil, fmt.Errorf("needs a number, not %s", typeOf(v))
	}
}

// splitName cuts a name before its last word: "Mary Ann Lee" is "Mary Ann" and
// "Lee". "Lee, Mary" is understood; a single word is a first name.
func splitName(name string) (first, last string) {
	if before, after, ok := strings.Cut(name, ","); ok && strings.TrimSpace(after) != "" {
		return strings.Join(strings.Fields(after), " "), strings.Join(strings.Fields(before), " ")
	}
	words := strings.Fields(strings.TrimSuffix(strings.TrimSpace(name), ","))
	if len(words) < 2 {
		return strings.Join(words, ""), ""
	}
	return strings.Join(words[:len(words)-1], " "), words[len(words)-1]
}

func formatTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
