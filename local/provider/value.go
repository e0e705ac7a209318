package provider

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/types/known/structpb"
)

// unknownValue stands in a property for a value that is not known yet. On the
// wire it is one of the strings below, which the engine defines; the provider
// answers with the string form for every type, as others do.
const unknownValue = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"

var unknownValues = map[string]bool{
	"1c4a061d-8072-4f0a-a4cb-0ff528b18fe7": true, // bool
	"3eeb2bf0-c639-47a8-9e75-3b44932eb421": true, // number
	unknownValue:                           true, // string
	"6a19a0b0-7e62-4c92-b797-7f8e31da9cc2": true, // array
	"030794c1-ac77-496b-92df-f27374a8bd58": true, // asset
	"e48ece36-62e2-4504-bad9-02848725956a": true, // archive
	"dd056dcd-154b-4c76-9bd3-c8f88648b5ff": true, // object
}

// path leads to a value: strings are keys of objects, ints indices of arrays.
type path []any

// String writes a path as the engine does: template.containers[0].image,
// labels["a.b"].
func (p path) String() string {
	var b strings.Builder
	for _, step := range p {
		switch step := step.(type) {
		case int:
			fmt.Fprintf(&b, "[%d]", step)
		case string:
			if strings.ContainsAny(step, `.["]`) {
				fmt.Fprintf(&b, "[%s]", strconv.Quote(step))
				continue
			}
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(step)
		}
	}
	return b.String()
}

// append returns p with one more step, never sharing memory with another.
func (p path) append(step any) path { return append(slices.Clip(p), step) }

// fromStruct returns the properties of a message as plain values, and the
// paths of those that are not known, which are left out (nil in an array).
func fromStruct(s *structpb.Struct) (Object, []path) {
	if s == nil {
		return Object{}, nil
	}
	var unknown []path
	var strip func(v any, at path) (any, bool)
	strip = func(v any, at path) (any, bool) {
		switch v := v.(type) {
		case string:
			if unknownValues[v] {
				unknown = append(unknown, at)
				return nil, false
			}
		case Object:
			for _, k := range slices.Sorted(maps.Keys(v)) {
				if x, ok := strip(v[k], at.append(k)); ok {
					v[k] = x
				} else {
					delete(v, k)
				}
			}
		case []any:
			for i := range v {
				v[i], _ = strip(v[i], at.append(i))
			}
		}
		return v, true
	}
	out, _ := strip(s.AsMap(), nil)
	return out.(Object), unknown
}

// toStruct is the inverse of fromStruct.
func toStruct(o Object, unknown []path) (*structpb.Struct, error) {
	s, err := structpb.NewStruct(o)
	if err != nil {
		return nil, fmt.Errorf("encoding properties: %w", err)
	}
	mark := structpb.NewStringValue(unknownValue)
	for _, at := range unknown {
		v := structpb.NewStructValue(s)
		for i, step := range at {
			last := i == len(at)-1
			switch step := step.(type) {
			case string:
				fields := v.GetStructValue().GetFields()
				if fields == nil {
					break
				}
				if last {
					fields[step] = mark
				}
				v = fields[step]
			case int:
				values := v.GetListValue().GetValues()
				if step >= len(values) {
					v = nil
					break
				}
				if last {
					values[step] = mark
				}
				v = values[step]
			}
			if v == nil {
				break
			}
		}
	}
	return s, nil
}

// clone returns a deep copy of plain values.
func clone[T any](v T) T {
	var deep func(v any) any
	deep = func(v any) any {
		switch v := v.(type) {
		case Object:
			c := make(Object, len(v))
			for k, x := range v {
				c[k] = deep(x)
			}
			return c
		case []any:
			c := make([]any, len(v))
			for i, x := range v {
				c[i] = deep(x)
			}
			return c
		}
		return v
	}
	return deep(v).(T)
}

// change is one difference between old and new inputs.
type change struct {
	at       path
	old, new any
	added    bool // not in old
	removed  bool // not in new
}

// changes lists the differences between two objects, in the order of their
// paths. A value that is not known yet counts as different.
func changes(old, new Object, unknown []path) []change {
	isUnknown := map[string]bool{}
	for _, p := range unknown {
		isUnknown[p.String()] = true
	}
	var list []change
	var walk func(at path, a, b any, inA, inB bool)
	walk = func(at path, a, b any, inA, inB bool) {
		if isUnknown[at.String()] && len(at) > 0 {
			list = append(list, change{at: at, old: a, added: !inA})
			return
		}
		// An absent property and a null one mean the same to the API.
		inA, inB = inA && a != nil, inB && b != nil
		switch {
		case !inA && !inB:
			return
		case !inA || !inB:
			list = append(list, change{at: at, old: a, new: b, added: !inA, removed: !inB})
			return
		}
		switch x := a.(type) {
		case Object:
			if y, ok := b.(Object); ok {
				keys := map[string]bool{}
				for k := range x {
					keys[k] = true
				}
				for k := range y {
					keys[k] = true
				}
				for _, p := range unknown {
					if len(p) == len(at)+1 && p[:len(at)].String() == at.String() {
						if k, ok := p[len(at)].(string); ok {
							keys[k] = true
						}
					}
				}
				for _, k := range slices.Sorted(maps.Keys(keys)) {
					av, aok := x[k]
					bv, bok := y[k]
					walk(at.append(k), av, bv, aok, bok)
				}
				return
			}
		case []any:
			if y, ok := b.([]any); ok {
				for i := range max(len(x), len(y)) {
					var av, bv any
					if i < len(x) {
						av = x[i]
					}
					if i < len(y) {
						bv = y[i]
					}
					walk(at.append(i), av, bv, i < len(x), i < len(y))
				}
				return
			}
		default:
			if a == b {
				return
			}
		}
		list = append(list, change{at: at, old: a, new: b})
	}
	walk(nil, old, new, true, true)
	return list
}

// touches tells whether the change is of, in, or around the property that a
// rule names, such as "replication" or "template.containers.image". Indices in
// paths and [*] in rules do not matter.
func (c change) touches(rule string) bool {
	want := strings.Split(strings.ReplaceAll(rule, "[*]", ""), ".")
	var have []string
	for _, step := range c.at {
		if s, ok := step.(string); ok {
			have = append(have, s)
		}
	}
	n := min(len(want), len(have))
	if !slices.Equal(want[:n], have[:n]) {
		return false
	}
	if len(have) >= len(want) {
		return true
	}
	return contains(c.old, want[n:]) || contains(c.new, want[n:])
}

// contains tells whether a value has the property that steps lead to.
func contains(v any, steps []string) bool {
	if len(steps) == 0 {
		return v != nil
	}
	switch v := v.(type) {
	case Object:
		return contains(v[steps[0]], steps[1:])
	case []any:
		return slices.ContainsFunc(v, func(x any) bool { return contains(x, steps) })
	}
	return false
}
