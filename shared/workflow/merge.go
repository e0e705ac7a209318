package workflow

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
)

// Default is the workflow of a tenant that configures nothing: calls are
// transcribed and analysed, spam is held back, and nothing that needs the
// tenant's own data (service area, CRM, recipients) is on. The [Schema] names
// the same defaults.
func Default() Config {
	return Config{
		CommunicationDetection: CommunicationDetection{
			Enabled: true,
			PhoneProcessing: PhoneProcessing{
				TranscribeAudio:    true,
				ExtractDetails:     true,
				SentimentAnalysis:  true,
				SpeakerDiarization: true,
			},
		},
		Validation:         Validation{SpamDetection: SpamDetection{Enabled: true, ConfidenceThreshold: 75}},
		ServiceArea:        ServiceArea{ValidationMethod: MethodZIP, AllowedAreas: []string{}},
		CRMIntegration:     CRMIntegration{FieldMapping: map[string]string{}, PushImmediately: true},
		EmailNotifications: EmailNotifications{Recipients: []string{}, Conditions: EmailConditions{MinLeadScore: 30}},
	}
}

// Phone is the phone processing that applies: communication detection being
// off switches all of it off.
func (c Config) Phone() PhoneProcessing {
	if !c.CommunicationDetection.Enabled {
		return PhoneProcessing{}
	}
	return c.CommunicationDetection.PhoneProcessing
}

// Parse reads a workflow_config document over the defaults, as strictly as
// [Merge]. path stands before the place of a mistake. Empty input is the
// default.
func Parse(data []byte, path string) (Config, error) {
	if len(data) == 0 {
		return Default(), nil
	}
	dec := json.NewDecoder(strings.NewReader(string(data)))
	dec.UseNumber()
	var document any
	if err := dec.Decode(&document); err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Config{}, errors.New(path + ": more than one JSON value")
	}
	override, ok := document.(map[string]any)
	if !ok {
		return Config{}, fmt.Errorf("%s: must be an object, not %s", path, describe(document))
	}
	return Merge(Default(), override, path)
}

// Merge lays override, decoded from JSON or YAML, over base and checks the
// result by the [Schema]. Objects merge field by field; lists and
// field_mapping replace what base has. The result has to be valid by itself,
// so an override may not switch something on and leave it to a later one to
// complete it. A nil override changes nothing.
//
// Every mistake is reported, joined, each with its place below path: unknown
// fields, wrong types, values out of range. base and override are left alone.
func Merge(base Config, override map[string]any, path string) (Config, error) {
	document := lay(document(reflect.ValueOf(base)), override, root.fields()).(map[string]any)
	var errs []error
	root.check(document, path, func(path, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", path, fmt.Sprintf(format, args...)))
	})
	if len(errs) > 0 {
		return Config{}, errors.Join(errs...)
	}
	var merged Config
	assign(reflect.ValueOf(&merged).Elem(), document)
	return merged, nil
}

// lay returns over laid upon under. Objects with named fields merge; all else
// is replaced whole, also by values that the schema will refuse.
func lay(under, over any, schema *node) any {
	object, ok := over.(map[string]any)
	if !ok || schema == nil || len(schema.Properties) == 0 {
		return over
	}
	merged := maps.Clone(under.(map[string]any))
	for key, value := range object {
		property := schema.Properties[key]
		if property == nil {
			merged[key] = value
			continue
		}
		merged[key] = lay(merged[key], value, property)
	}
	return merged
}

// document is v, a Config or a part of it, as decoded JSON. Lists and maps that
// are nil stay out: there is nothing to merge with.
func document(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Struct:
		object := make(map[string]any, v.NumField())
		for i := range v.NumField() {
			if value := document(v.Field(i)); value != nil {
				object[v.Type().Field(i).Tag.Get("json")] = value
			}
		}
		return object
	case reflect.Slice:
		if v.IsNil() {
			return nil
		}
		list := make([]any, v.Len())
		for i := range list {
			list[i] = document(v.Index(i))
		}
		return list
	case reflect.Map:
		if v.IsNil() {
			return nil
		}
		object := make(map[string]any, v.Len())
		for _, key := range v.MapKeys() {
			object[key.String()] = document(v.MapIndex(key))
		}
		return object
	}
	return v.Interface()
}

// assign sets dst, a Config or a part of it, to value, which the schema has
// found valid. The kinds are those that occur in Config.
func assign(dst reflect.Value, value any) {
	switch dst.Kind() {
	case reflect.Struct:
		object := value.(map[string]any)
		for i := range dst.NumField() {
			if field, ok := object[dst.Type().Field(i).Tag.Get("json")]; ok {
				assign(dst.Field(i), field)
			}
		}
	case reflect.Bool:
		dst.SetBool(value.(bool))
	case reflect.Int:
		f, _ := number(value)
		dst.SetInt(int64(f))
	case reflect.Float64:
		f, _ := number(value)
		dst.SetFloat(f)
	case reflect.String:
		dst.SetString(value.(string))
	case reflect.Slice:
		list := value.([]any)
		dst.Set(reflect.MakeSlice(dst.Type(), len(list), len(list)))
		for i, item := range list {
			assign(dst.Index(i), item)
		}
	case reflect.Map:
		object := value.(map[string]any)
		dst.Set(reflect.MakeMapWithSize(dst.Type(), len(object)))
		for _, key := range slices.Sorted(maps.Keys(object)) {
			item := reflect.New(dst.Type().Elem()).Elem()
			assign(item, object[key])
			dst.SetMapIndex(reflect.ValueOf(key), item)
		}
	default:
		panic("workflow: Config has a field of kind " + dst.Kind().String())
	}
}

// number reads what JSON and YAML decoders make of a number. Infinities and
// NaN, which YAML can write, are none.
func number(value any) (float64, bool) {
	var f float64
	switch n := value.(type) {
	case float64:
		f = n
	case int:
		f = float64(n)
	case int64:
		f = float64(n)
	case json.Number:
		var err error
		if f, err = n.Float64(); err != nil {
			return 0, false
		}
	default:
		return 0, false
	}
	return f, !math.IsNaN(f) && !math.IsInf(f, 0)
}

// describe names value's type for a message, in the words of JSON.
func describe(value any) string {
	switch v := value.(type) {
	case nil:
		return "null (leave the field out for its default)"
	case string:
		return fmt.Sprintf("the string %.40q", v)
	case bool:
		return fmt.Sprintf("%t", v)
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	}
	if f, ok := number(value); ok {
		return fmt.Sprintf("the number %v (quote it if it is text)", f)
	}
	return fmt.Sprintf("%v", value)
}
