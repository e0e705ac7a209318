package crm

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Mapping is a checked field_mapping of one provider.
type Mapping struct {
	nested bool
	fields []field // sorted by target
}

type field struct {
	source   string // as configured
	target   string
	property property
	expr     expression
}

// Note says why a property is not quite what the mapping asked for.
type Note struct {
	Property string
	Source   string // the left side of the mapping
	Reason   string
}

// Check says everything that is wrong with a tenant's field_mapping for the
// provider, each with its place; nothing if it will do.
//
// The left sides are the lead's fields (name, phone, lead_score, ...), paths
// into the analysis (analysis.project_type, analysis.signals.0) or constants
// ("=Website"), with transforms behind "|": upper, lower, trim, first_name,
// last_name, e164, int, string, and default:VALUE for leads without a value.
// The right sides are the provider's properties; for mcp and webhook they are
// paths into the document that is sent.
func Check(fieldMapping map[string]string, provider string) []error {
	_, errs := compile(fieldMapping, provider)
	return errs
}

// Compile checks fieldMapping like [Check] and makes it ready for use.
func Compile(fieldMapping map[string]string, provider string) (*Mapping, error) {
	m, errs := compile(fieldMapping, provider)
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return m, nil
}

func compile(fieldMapping map[string]string, provider string) (*Mapping, []error) {
	s, err := schemaOf(provider)
	if err != nil {
		return nil, []error{fmt.Errorf("provider: %w", err)}
	}
	m := &Mapping{nested: s.nested}
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(fieldMapping)) {
		target := fieldMapping[key]
		fail := func(err error) { errs = append(errs, fmt.Errorf("field_mapping[%q]: %w", key, err)) }
		p, err := s.find(target)
		if err != nil {
			fail(err)
		}
		expr, exprErr := parseExpression(key)
		if exprErr != nil {
			fail(exprErr)
		}
		if err != nil || exprErr != nil {
			continue
		}
		if !p.typ.accepts(expr.typ) {
			fail(fmt.Errorf("property %q takes a value of type %s, not %s", target, p.typ, expr.typ))
			continue
		}
		if i := slices.IndexFunc(m.fields, func(f field) bool { return overlap(f.target, target, s.nested) }); i >= 0 {
			fail(fmt.Errorf("property %q is already filled by field_mapping[%q]", target, m.fields[i].source))
			continue
		}
		m.fields = append(m.fields, field{source: key, target: target, property: p, expr: expr})
	}
	for _, name := range s.required {
		i := slices.IndexFunc(m.fields, func(f field) bool { return f.target == name })
		switch {
		case i >= 0 && m.fields[i].expr.always:
		case i >= 0:
			errs = append(errs, fmt.Errorf("field_mapping[%q]: the provider requires property %q, and not every lead has a value for it; append a default, as in %q",
				m.fields[i].source, name, m.fields[i].source+"|default:Unknown"))
		// A mapping of it that has another error is that error.
		case !slices.Contains(slices.Collect(maps.Values(fieldMapping)), name):
			errs = append(errs, fmt.Errorf("field_mapping: the provider requires property %q", name))
		}
	}
	slices.SortFunc(m.fields, func(a, b field) int { return strings.Compare(a.target, b.target) })
	return m, errs
}

// overlap reports whether two targets write to the same place.
func overlap(a, b string, nested bool) bool {
	return a == b || nested && (strings.HasPrefix(a, b+".") || strings.HasPrefix(b, a+"."))
}

// Maps reports whether a property is among the mapping's targets.
func (m *Mapping) Maps(property string) bool {
	return slices.ContainsFunc(m.fields, func(f field) bool { return f.target == property })
}

// Len is the number of mapped properties.
func (m *Mapping) Len() int { return len(m.fields) }

// Apply returns the properties of lead's record: strings, int64, float64 and
// bool, and for mcp and webhook also lists and objects, ready for JSON. A field
// without a value is left out, so that it never empties what the CRM knows;
// values that do not fit are left out or cut, and noted.
func (m *Mapping) Apply(lead *Lead) (map[string]any, []Note) {
	properties := make(map[string]any, len(m.fields))
	var notes []Note
	for i := range m.fields {
		f := &m.fields[i]
		note := func(reason string) {
			notes = append(notes, Note{Property: f.target, Source: f.source, Reason: reason})
		}
		v, problem := f.expr.value(lead)
		if problem != nil {
			note(problem.Error())
		}
		if v == nil {
			continue
		}
		v, err := f.property.typ.convert(v, m.nested)
		if err != nil {
			note(err.Error())
			continue
		}
		if s, ok := v.(string); ok && f.property.max > 0 && len(s) > f.property.max {
			if runes := []rune(s); len(runes) > f.property.max {
				v = string(runes[:f.property.max])
				note(fmt.Sprintf("cut to %d characters", f.property.max))
			}
		}
		m.set(properties, f.target, v)
	}
	return properties, notes
}

// set puts v where target says.
func (m *Mapping) set(properties map[string]any, target string, v any) {
	if m.nested {
		for {
			head, rest, ok := strings.Cut(target, ".")
			if !ok {
				break
			}
			inner, ok := properties[head].(map[string]any)
			if !ok {
				inner = map[string]any{}
				properties[head] = inner
			}
			properties, target = inner, rest
		}
	}
	properties[target] = v
}

// convert makes v a value of type t as JSON carries it.
func (t Type) convert(v any, structured bool) (any, error) {
	switch t {
	case String:
		return render(v), nil
	case Any:
		if at, ok := v.(time.Time); ok {
			return formatTime(at), nil
		}
		switch v.(type) {
		case []string, []any, map[string]any:
			if !structured {
				return render(v), nil
			}
		}
		return v, nil
	case Int:
		switch n := v.(type) {
		case int64:
			return n, nil
		case float64:
			if n == math.Trunc(n) && math.Abs(n) <= 1<<53 {
				return int64(n), nil
			}
		}
	case Number:
		switch v.(type) {
		case int64, float64:
			return v, nil
		}
	case Bool:
		if _, ok := v.(bool); ok {
			return v, nil
		}
	}
	return nil, fmt.Errorf("property takes a value of type %s, not %s", t, typeOf(v))
}

// typeOf names the type of a value in messages.
func typeOf(v any) string {
	switch v.(type) {
	case string:
		return String.String()
	case int64:
		return Int.String()
	case float64:
		return Number.String()
	case bool:
		return Bool.String()
	case time.Time:
		return Time.String()
	case []string, []any:
		return List.String()
	default:
		return "object"
	}
}

// render is a value's text: lists are joined by "; ", objects are JSON.
func render(v any) string {
	switch x := v.(type) {
	case string:
		return x
	case int64:
		return strconv.FormatInt(x, 10)
	case float64:
		return strconv.FormatFloat(x, 'f', -1, 64)
	case bool:
		return strconv.FormatBool(x)
	case time.Time:
		return formatTime(x)
	case []string:
		return strings.Join(x, "; ")
	case []any:
		items := make([]string, len(x))
		for i, item := range x {
			items[i] = render(item)
		}
		return strings.Join(items, "; ")
	case nil:
		return ""
	default:
		b, err := json.Marshal(x)
		if err != nil { // decoded JSON always encodes; this is no such thing
			return fmt.Sprint(x)
		}
		return string(b)
	}
}

// Text is the text of a value that [Mapping.Apply] returned, for providers that
// take all values as strings.
func Text(v any) string { return render(v) }
