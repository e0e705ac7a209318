package stack

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// duration is a time in config, in Go's notation: 900s, 15m.
type duration time.Duration

// String returns Go's notation, for handlers.
func (d duration) String() string { return time.Duration(d).String() }

// seconds returns the notation of Google's APIs: 900s, 0.5s.
func (d duration) seconds() string {
	return strconv.FormatFloat(time.Duration(d).Seconds(), 'f', -1, 64) + "s"
}

// secret is a value that only [secret.output] gives away, marked as secret.
type secret struct{ value string }

// String keeps the value out of messages.
func (secret) String() string { return "[secret]" }

// raw is a part of config that somebody else decodes.
type raw map[string]any

var (
	durationType = reflect.TypeFor[duration]()
	secretType   = reflect.TypeFor[secret]()
	rawType      = reflect.TypeFor[raw]()
)

// decode lays value, as JSON with numbers kept as text, over dst, which holds
// the defaults. It reports every mistake with its path and goes on. Secret
// values never appear in a message.
func decode(dst reflect.Value, value any, path string, errs *problems) {
	switch dst.Type() {
	case durationType:
		s, ok := value.(string)
		d, err := time.ParseDuration(s)
		if !ok || err != nil || d < 0 {
			errs.add(path, "must be a duration such as 30s or 15m, not %s", describe(value))
			return
		}
		dst.SetInt(int64(d))
		return
	case secretType:
		s, ok := value.(string)
		if !ok || strings.TrimSpace(s) == "" {
			errs.add(path, "must be a secret string that is not empty (pulumi config set --secret --path)")
			return
		}
		dst.Set(reflect.ValueOf(secret{value: s}))
		return
	case rawType:
		m, ok := value.(map[string]any)
		if !ok {
			errs.add(path, "must be an object, not %s", describe(value))
			return
		}
		dst.Set(reflect.ValueOf(raw(m)))
		return
	}

	switch dst.Kind() {
	case reflect.Pointer:
		target := reflect.New(dst.Type().Elem())
		decode(target.Elem(), value, path, errs)
		dst.Set(target)
	case reflect.Struct:
		m, ok := value.(map[string]any)
		if !ok {
			errs.add(path, "must be an object, not %s", describe(value))
			return
		}
		fields := map[string]reflect.Value{}
		for i := range dst.NumField() {
			if tag, _, _ := strings.Cut(dst.Type().Field(i).Tag.Get("json"), ","); tag != "" {
				fields[tag] = dst.Field(i)
			}
		}
		for _, key := range slices.Sorted(maps.Keys(m)) {
			field, ok := fields[key]
			if !ok {
				errs.add(path+"."+key, "unknown field; known are %s", strings.Join(slices.Sorted(maps.Keys(fields)), ", "))
				continue
			}
			decode(field, m[key], path+"."+key, errs)
		}
	case reflect.Map: // keyed by strings; an entry is laid over the default of that key
		m, ok := value.(map[string]any)
		if !ok {
			errs.add(path, "must be an object, not %s", describe(value))
			return
		}
		if dst.IsNil() {
			dst.Set(reflect.MakeMap(dst.Type()))
		}
		for _, key := range slices.Sorted(maps.Keys(m)) {
			k := reflect.ValueOf(key).Convert(dst.Type().Key())
			entry := reflect.New(dst.Type().Elem()).Elem()
			if old := dst.MapIndex(k); old.IsValid() {
				entry.Set(old)
			}
			decode(entry, m[key], path+"."+key, errs)
			dst.SetMapIndex(k, entry)
		}
	case reflect.Slice:
		list, ok := value.([]any)
		if !ok {
			errs.add(path, "must be a list, not %s", describe(value))
			return
		}
		out := reflect.MakeSlice(dst.Type(), len(list), len(list))
		for i, item := range list {
			decode(out.Index(i), item, at(path, i), errs)
		}
		dst.Set(out)
	case reflect.String:
		switch v := value.(type) {
		case string:
			dst.SetString(v)
		case json.Number: // `pulumi config set` stores an id of digits as a number
			dst.SetString(v.String())
		default:
			errs.add(path, "must be a string, not %s", describe(value))
		}
	case reflect.Bool:
		b, ok := value.(bool)
		if !ok {
			errs.add(path, "must be true or false, not %s", describe(value))
			return
		}
		dst.SetBool(b)
	case reflect.Int:
		n, ok := value.(json.Number)
		i, err := strconv.Atoi(n.String())
		if !ok || err != nil {
			errs.add(path, "must be a whole number, not %s", describe(value))
			return
		}
		dst.SetInt(int64(i))
	case reflect.Float64:
		n, ok := value.(json.Number)
		if text, isText := value.(string); isText { // as which `pulumi config set` stores a fraction
			n, ok = json.Number(text), true
		}
		f, err := n.Float64()
		if !ok || err != nil {
			errs.add(path, "must be a number, not %s", describe(value))
			return
		}
		dst.SetFloat(f)
	default:
		panic("stack: config has a field of kind " + dst.Kind().String())
	}
}

// at is the path of an item of a list.
func at(list string, i int) string { return fmt.Sprintf("%s[%d]", list, i) }

// describe names a value's JSON type. It does not show the value, which may be
// a secret in the wrong place.
func describe(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case string:
		return "a string"
	case json.Number:
		return "a number"
	case bool:
		return "a boolean"
	case []any:
		return "a list"
	}
	return "an object"
}

// problems collects what is wrong with a config.
type problems struct {
	errs  []error
	paths []string
}

// add notes a mistake, unless one was noted at path or above it: what follows
// from a mistake is none of its own.
func (p *problems) add(path, format string, args ...any) {
	for _, known := range p.paths {
		if rest, ok := strings.CutPrefix(path, known); ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			return
		}
	}
	p.paths = append(p.paths, path)
	p.errs = append(p.errs, fmt.Errorf("%s: %s", path, fmt.Sprintf(format, args...)))
}

// addAll notes mistakes that name their paths themselves: those that
// errors.Join joined, each.
func (p *problems) addAll(err error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok { // only a join at the top has parts
		p.errs = append(p.errs, joined.Unwrap()...)
		return
	}
	p.errs = append(p.errs, err)
}
