// Package filter reads the filter languages of Cloud Logging and Cloud
// Monitoring, as far as the platform uses them, so that a filter is refused in
// a test or a preview and not by the API in the middle of an update, and so
// that a test can say which log lines a filter matches.
//
// Both languages are boolean combinations (AND, OR, NOT, parentheses; terms
// that stand side by side are joined by AND) of comparisons of a field with a
// value. NOT binds tightest, then OR, then AND.
//
//	https://cloud.google.com/logging/docs/view/logging-query-language
//	https://cloud.google.com/monitoring/api/v3/filters
//
// Of Logging's functions log_id is read. Refused are a bare text (global
// search), SEARCH, sample and ip_in_net.
package filter

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Language is one of the two.
type Language int

// The languages.
const (
	Logging    Language = iota
	Monitoring          // of metrics: alerts, SLOs, dashboards
)

// Filter is a filter that parsed.
type Filter struct {
	root node
}

// node is a part of a filter.
type node struct {
	op       string // and, or, not, compare, log_id, select
	children []node // of and, or, not
	field    []string
	compare  string
	values   []value // any of them
	all      bool    // all of them instead
	call     string  // function around the value, or the selector
}

type value struct {
	text   string
	number float64
	isNum  bool // a number that was not quoted
	re     *regexp.Regexp
}

// Parse reads a filter. The error says at which byte.
func Parse(language Language, text string) (*Filter, error) {
	tokens, err := scan(text)
	if err != nil {
		return nil, err
	}
	p := &parser{language: language, tokens: tokens}
	if p.peek().kind == end {
		return nil, fmt.Errorf("the filter is empty")
	}
	root, err := p.and()
	if err != nil {
		return nil, err
	}
	if t := p.peek(); t.kind != end {
		return nil, fmt.Errorf("at %d: unexpected %q", t.at, t.text)
	}
	return &Filter{root: root}, nil
}

// Values returns the values with which the filter compares a field for
// equality, sorted, wherever that stands and whether it is negated or not. The
// field is written with dots: metric.type.
func (f *Filter) Values(field string) []string {
	var found []string
	var walk func(node)
	walk = func(n node) {
		if n.op == "compare" && n.compare == "=" && strings.Join(n.field, ".") == field {
			for _, v := range n.values {
				found = append(found, v.text)
			}
		}
		for _, child := range n.children {
			walk(child)
		}
	}
	walk(f.root)
	slices.Sort(found)
	return slices.Compact(found)
}

// Fields returns every field that the filter reads, with dots, sorted.
func (f *Filter) Fields() []string {
	var found []string
	var walk func(node)
	walk = func(n node) {
		if n.op == "compare" {
			found = append(found, strings.Join(n.field, "."))
		}
		for _, child := range n.children {
			walk(child)
		}
	}
	walk(f.root)
	slices.Sort(found)
	return slices.Compact(found)
}

// Selector returns the arguments of a time-series selector such as
// select_slo_burn_rate, which is the whole filter then; ok is false for any
// other filter.
func (f *Filter) Selector() (name string, arguments []string, ok bool) {
	if f.root.op != "select" {
		return "", nil, false
	}
	for _, v := range f.root.values {
		arguments = append(arguments, v.text)
	}
	return f.root.call, arguments, true
}

type parser struct {
	language Language
	tokens   []token
	next     int
}

func (p *parser) peek() token { return p.tokens[p.next] }

func (p *parser) take() token {
	t := p.tokens[p.next]
	if t.kind != end {
		p.next++
	}
	return t
}

func (p *parser) isWord(word string) bool { return p.peek().kind == name && p.peek().text == word }

func (p *parser) and() (node, error) {
	all := node{op: "and"}
	for {
		term, err := p.or()
		if err != nil {
			return node{}, err
		}
		all.children = append(all.children, term)
		if p.isWord("AND") {
			p.take()
			continue
		}
		if t := p.peek(); t.kind == end || t.kind == closing {
			break
		}
	}
	if len(all.children) == 1 {
		return all.children[0], nil
	}
	return all, nil
}

func (p *parser) or() (node, error) {
	anyOf := node{op: "or"}
	for {
		term, err := p.not()
		if err != nil {
			return node{}, err
		}
		anyOf.children = append(anyOf.children, term)
		if !p.isWord("OR") {
			break
		}
		p.take()
	}
	if len(anyOf.children) == 1 {
		return anyOf.children[0], nil
	}
	return anyOf, nil
}

func (p *parser) not() (node, error) {
	if t := p.peek(); p.isWord("NOT") || t.kind == operator && t.text == "-" {
		p.take()
		term, err := p.not()
		return node{op: "not", children: []node{term}}, err
	}
	if p.peek().kind == opening {
		p.take()
		inner, err := p.and()
		if err != nil {
			return node{}, err
		}
		if t := p.take(); t.kind != closing {
			return node{}, fmt.Errorf("at %d: a parenthesis is not closed", t.at)
		}
		return inner, nil
	}
	return p.comparison()
}

// selectors are Monitoring's time series of SLOs.
var selectors = map[string]int{ // arguments
	"select_slo_burn_rate": 2, "select_slo_health": 1, "select_slo_compliance": 1, "select_slo_budget": 1,
	"select_slo_budget_fraction": 1, "select_slo_budget_total": 1, "select_slo_counts": 1,
}

// functions are what may stand in the place of a value in Monitoring.
var functions = []string{"starts_with", "ends_with", "has_substring", "one_of", "monitoring.regex.full_match"}

func (p *parser) comparison() (node, error) {
	t := p.take()
	if t.kind != name {
		return node{}, fmt.Errorf("at %d: a field was expected, not %q", t.at, t.text)
	}
	if p.peek().kind == opening && t.text == "log_id" && p.language == Logging {
		arguments, err := p.arguments()
		if err == nil && len(arguments) != 1 {
			err = fmt.Errorf("at %d: log_id has one argument", t.at)
		}
		return node{op: "log_id", values: arguments}, err
	}
	if p.peek().kind == opening {
		arity, ok := selectors[t.text]
		if !ok || p.language != Monitoring {
			return node{}, fmt.Errorf("at %d: %s is not known here", t.at, t.text)
		}
		arguments, err := p.arguments()
		if err == nil && len(arguments) != arity {
			err = fmt.Errorf("at %d: %s has %d arguments, not %d", t.at, t.text, len(arguments), arity)
		}
		return node{op: "select", call: t.text, values: arguments}, err
	}
	field, err := p.field(t)
	if err != nil {
		return node{}, err
	}
	op := p.take()
	if op.kind != operator || op.text == "-" {
		return node{}, fmt.Errorf("at %d: an operator was expected after %s, not %q", op.at, strings.Join(field, "."), op.text)
	}
	if p.language == Monitoring && (op.text == "=~" || op.text == "!~") {
		return node{}, fmt.Errorf("at %d: monitoring filters have no %s; use monitoring.regex.full_match", op.at, op.text)
	}
	n := node{op: "compare", field: field, compare: op.text}
	switch t := p.peek(); {
	case t.kind == opening && p.language == Logging:
		p.take()
		err = p.alternatives(&n)
	case t.kind == name && p.next+1 < len(p.tokens) && p.tokens[p.next+1].kind == opening:
		p.take()
		if !slices.Contains(functions, t.text) || p.language != Monitoring {
			return node{}, fmt.Errorf("at %d: the function %s is not known here", t.at, t.text)
		}
		n.call = t.text
		n.values, err = p.arguments()
		if t.text == "one_of" {
			n.call = ""
		}
	default:
		var v value
		v, err = p.value()
		n.values = []value{v}
	}
	if err != nil {
		return node{}, err
	}
	if op.text == "=~" || op.text == "!~" || n.call == "monitoring.regex.full_match" {
		for i := range n.values {
			if n.values[i].re, err = regexp.Compile(n.values[i].text); err != nil {
				return node{}, fmt.Errorf("at %d: %w", op.at, err)
			}
		}
	}
	return n, nil
}

// field reads the rest of a path: names joined by dots, quoted where they hold
// anything else than letters, digits and underscores.
func (p *parser) field(first token) ([]string, error) {
	field := strings.Split(first.text, ".")
	for p.peek().kind == quoted && strings.HasSuffix(first.text, ".") {
		field = append(field[:len(field)-1], p.take().text)
		if next := p.peek(); next.kind == name && strings.HasPrefix(next.text, ".") {
			p.take()
			field = append(field, strings.Split(next.text[1:], ".")...)
			first = next
		}
	}
	for _, part := range field {
		if part == "" {
			return nil, fmt.Errorf("at %d: %q is no field", first.at, first.text)
		}
	}
	return field, nil
}

// alternatives reads (a OR b) or (a AND b) after an operator.
func (p *parser) alternatives(n *node) error {
	for {
		v, err := p.value()
		if err != nil {
			return err
		}
		n.values = append(n.values, v)
		switch t := p.take(); {
		case t.kind == closing:
			return nil
		case t.kind == name && t.text == "OR" && !n.all:
		case t.kind == name && t.text == "AND" && (n.all || len(n.values) == 1):
			n.all = true
		default:
			return fmt.Errorf("at %d: OR, AND or a closing parenthesis was expected, not %q", t.at, t.text)
		}
	}
}

func (p *parser) arguments() ([]value, error) {
	p.take() // the parenthesis
	var list []value
	for {
		v, err := p.value()
		if err != nil {
			return nil, err
		}
		list = append(list, v)
		switch t := p.take(); t.kind {
		case closing:
			return list, nil
		case comma:
		default:
			return nil, fmt.Errorf("at %d: a comma or a closing parenthesis was expected, not %q", t.at, t.text)
		}
	}
}

func (p *parser) value() (value, error) {
	switch t := p.take(); t.kind {
	case quoted:
		return value{text: t.text}, nil
	case name:
		if slices.Contains([]string{"AND", "OR", "NOT"}, t.text) {
			return value{}, fmt.Errorf("at %d: a value was expected, not %s", t.at, t.text)
		}
		n, err := strconv.ParseFloat(t.text, 64)
		return value{text: t.text, number: n, isNum: err == nil}, nil
	default:
		return value{}, fmt.Errorf("at %d: a value was expected, not %q", t.at, t.text)
	}
}
