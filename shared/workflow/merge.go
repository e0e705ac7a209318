package workflow

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/mail"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// Limits of what a configuration may say.
const (
	maxAllowedAreas = 20_000 // every ZIP code of several states; the whole country has about 41,000
	maxRecipients   = 50
	maxBufferMiles  = 500
)

// Providers are the values of crm_integration.provider.
var Providers = []string{"hubspot", "mcp", "salesforce", "webhook"}

// zipCode is the form of an entry of service_area.allowed_areas.
var zipCode = regexp.MustCompile(`^[0-9]{5}$`)

// modelName is the form of a Gemini model id, without a path.
var modelName = regexp.MustCompile(`^[a-z][a-z0-9.-]{1,62}[a-z0-9]$`)

// Default is the workflow of a tenant that configures nothing: calls are
// transcribed and analysed, spam is held back, and nothing that needs the
// tenant's own data (service area, CRM, recipients) is on.
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
		ServiceArea:        ServiceArea{ValidationMethod: "zip_code"},
		CRMIntegration:     CRMIntegration{PushImmediately: true},
		EmailNotifications: EmailNotifications{Conditions: EmailConditions{MinLeadScore: 30}},
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
// [Merge]. Empty input is the default.
func Parse(data []byte) (Config, error) {
	if len(data) == 0 {
		return Default(), nil
	}
	dec := json.NewDecoder(strings.NewReader(string(data)))
	dec.UseNumber()
	var override map[string]any
	if err := dec.Decode(&override); err != nil {
		return Config{}, fmt.Errorf("workflow_config: %w", err)
	}
	if dec.More() {
		return Config{}, errors.New("workflow_config: more than one JSON value")
	}
	return Merge(Default(), override, "workflow_config")
}

// Merge lays override, decoded from JSON or YAML, over base and checks the
// result. Objects merge field by field; lists and field_mapping replace what
// base has. The result has to be valid by itself, so an override may not
// switch something on and leave it to a later one to complete it.
//
// Every mistake is reported, joined, each with its place below path: unknown
// fields, wrong types, values out of range.
func Merge(base Config, override map[string]any, path string) (Config, error) {
	merged := base.clone()
	var errs []error
	overlay(reflect.ValueOf(&merged).Elem(), override, path, &errs)
	errs = append(errs, merged.violations(path)...)
	if len(errs) > 0 {
		return Config{}, errors.Join(errs...)
	}
	return merged, nil
}

// clone copies c so that it shares no list or map with the copy.
func (c Config) clone() Config {
	c.ServiceArea.AllowedAreas = slices.Clone(c.ServiceArea.AllowedAreas)
	c.EmailNotifications.Recipients = slices.Clone(c.EmailNotifications.Recipients)
	c.CRMIntegration.FieldMapping = maps.Clone(c.CRMIntegration.FieldMapping)
	return c
}

// overlay sets dst to value. The kinds are those that occur in Config.
func overlay(dst reflect.Value, value any, path string, errs *[]error) {
	fail := func(want string) {
		*errs = append(*errs, fmt.Errorf("%s: must be %s, not %s", path, want, describe(value)))
	}
	switch dst.Kind() {
	case reflect.Struct:
		object, ok := value.(map[string]any)
		if !ok {
			// A nil top-level map is no override at all.
			if value != nil {
				fail("an object")
			}
			return
		}
		fields := map[string]reflect.Value{}
		for i := range dst.NumField() {
			fields[dst.Type().Field(i).Tag.Get("json")] = dst.Field(i)
		}
		for _, key := range slices.Sorted(maps.Keys(object)) {
			field, ok := fields[key]
			if !ok {
				*errs = append(*errs, fmt.Errorf("%s.%s: unknown field; known are %s", path, key,
					strings.Join(slices.Sorted(maps.Keys(fields)), ", ")))
				continue
			}
			if object[key] == nil {
				*errs = append(*errs, fmt.Errorf("%s.%s: must not be null; leave the field out for its default", path, key))
				continue
			}
			overlay(field, object[key], path+"."+key, errs)
		}
	case reflect.Bool:
		b, ok := value.(bool)
		if !ok {
			fail("true or false")
			return
		}
		dst.SetBool(b)
	case reflect.Int:
		f, ok := number(value)
		if !ok || f != math.Trunc(f) || math.Abs(f) > 1<<31 {
			fail("a whole number")
			return
		}
		dst.SetInt(int64(f))
	case reflect.Float64:
		f, ok := number(value)
		if !ok {
			fail("a number")
			return
		}
		dst.SetFloat(f)
	case reflect.String:
		s, ok := value.(string)
		if !ok {
			fail("a string")
			return
		}
		dst.SetString(s)
	case reflect.Slice: // of strings
		list, ok := value.([]any)
		if !ok {
			fail("a list of strings")
			return
		}
		out := reflect.MakeSlice(dst.Type(), len(list), len(list))
		for i, item := range list {
			overlay(out.Index(i), item, fmt.Sprintf("%s[%d]", path, i), errs)
		}
		dst.Set(out)
	case reflect.Map: // of strings to strings
		object, ok := value.(map[string]any)
		if !ok {
			fail("an object of strings")
			return
		}
		out := reflect.MakeMapWithSize(dst.Type(), len(object))
		for _, key := range slices.Sorted(maps.Keys(object)) {
			item := reflect.New(dst.Type().Elem()).Elem()
			overlay(item, object[key], path+"."+key, errs)
			out.SetMapIndex(reflect.ValueOf(key), item)
		}
		dst.Set(out)
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
		return "null"
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

// violations checks the values of a configuration of the right shape.
func (c Config) violations(path string) []error {
	var errs []error
	fail := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s.%s: %s", path, field, fmt.Sprintf(format, args...)))
	}

	spam := c.Validation.SpamDetection
	if spam.ConfidenceThreshold < 0 || spam.ConfidenceThreshold > 100 {
		fail("validation.spam_detection.confidence_threshold", "must be 0 to 100, not %d", spam.ConfidenceThreshold)
	}
	if spam.MLModel != "" && !modelName.MatchString(spam.MLModel) {
		fail("validation.spam_detection.ml_model", "%.80q is no model id such as gemini-3.5-flash-lite", spam.MLModel)
	}

	area := c.ServiceArea
	if area.ValidationMethod != "zip_code" {
		fail("service_area.validation_method", `must be "zip_code", not %.40q`, area.ValidationMethod)
	}
	if area.Enabled && len(area.AllowedAreas) == 0 {
		fail("service_area.allowed_areas", "must list at least one ZIP code while service_area is enabled")
	}
	if len(area.AllowedAreas) > maxAllowedAreas {
		fail("service_area.allowed_areas", "has %d entries; at most %d", len(area.AllowedAreas), maxAllowedAreas)
	}
	seen := map[string]int{}
	for i, zip := range area.AllowedAreas {
		field := fmt.Sprintf("service_area.allowed_areas[%d]", i)
		if !zipCode.MatchString(zip) {
			fail(field, "%.20q is no 5-digit ZIP code", zip)
		} else if first, ok := seen[zip]; ok {
			fail(field, "%s is already in the list, at [%d]", zip, first)
		} else {
			seen[zip] = i
		}
	}
	if area.BufferMiles < 0 || area.BufferMiles > maxBufferMiles {
		fail("service_area.buffer_miles", "must be 0 to %d, not %v", maxBufferMiles, area.BufferMiles)
	}

	crm := c.CRMIntegration
	if crm.Provider != "" && !slices.Contains(Providers, crm.Provider) {
		fail("crm_integration.provider", "must be one of %s, not %.40q", strings.Join(Providers, ", "), crm.Provider)
	}
	if crm.Enabled && crm.Provider == "" {
		fail("crm_integration.provider", "must be set while crm_integration is enabled: one of %s", strings.Join(Providers, ", "))
	}
	for _, from := range slices.Sorted(maps.Keys(crm.FieldMapping)) {
		if from == "" || strings.TrimSpace(crm.FieldMapping[from]) == "" {
			fail("crm_integration.field_mapping", "maps %.40q to %.40q; neither side may be empty", from, crm.FieldMapping[from])
		}
	}

	email := c.EmailNotifications
	if email.Enabled && len(email.Recipients) == 0 {
		fail("email_notifications.recipients", "must list at least one address while email_notifications is enabled")
	}
	if len(email.Recipients) > maxRecipients {
		fail("email_notifications.recipients", "has %d entries; at most %d", len(email.Recipients), maxRecipients)
	}
	for i, recipient := range email.Recipients {
		if addr, err := mail.ParseAddress(recipient); err != nil || addr.Address != recipient {
			fail(fmt.Sprintf("email_notifications.recipients[%d]", i), "%.80q is no plain email address", recipient)
		}
	}
	if score := email.Conditions.MinLeadScore; score < 0 || score > 100 {
		fail("email_notifications.conditions.min_lead_score", "must be 0 to 100, not %d", score)
	}
	return errs
}
