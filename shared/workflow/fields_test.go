package workflow

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ingestion.internal/shared/geo"
)

// TestEveryFieldHasAnEffect sets one field at a time, on, off and at its edges,
// and sees what the decision and the switches of the stages make of it. What
// the stages do by these switches is tested with them: audio-processor
// (transcribe_audio, speaker_diarization), ai-analyzer (extract_details,
// sentiment_analysis, enabled, ml_model) and package effects (CRM and mail).
func TestEveryFieldHasAnEffect(t *testing.T) {
	t.Parallel()
	likelihood := func(f float64) *float64 { return &f }
	lead := Input{SpamLikelihood: likelihood(50), PostalCode: "90212"}
	decide := func(in Input) func(Config) string {
		return func(c Config) string { return string(Decide(c, in).Outcome) }
	}
	phone := func(get func(PhoneProcessing) bool) func(Config) string {
		return func(c Config) string {
			if get(c.Phone()) {
				return "on"
			}
			return "off"
		}
	}
	needsPlace := func(c Config) string {
		if NeedsPlace(c, Input{SpamLikelihood: likelihood(50)}) {
			return "asks the geocoder"
		}
		return "asks nobody"
	}
	// 90212 is 1.14 miles from 90211 and 3.4 from 90210.
	from, _ := geo.Lookup("90212")
	_, exactly, _ := geo.Nearest(from, []string{"90210", "90211"})
	edge, err := json.Marshal(exactly)
	if err != nil {
		t.Fatal(err)
	}
	below, err := json.Marshal(exactly - 1e-9)
	if err != nil {
		t.Fatal(err)
	}
	const inArea = `"enabled": true, "allowed_areas": ["90210", "90211"]`
	for _, tc := range []struct {
		field string
		see   func(Config) string
		cases map[string]string // from the document to what is seen
	}{
		{"communication_detection.enabled", phone(func(p PhoneProcessing) bool {
			return p.TranscribeAudio && p.ExtractDetails && p.SentimentAnalysis && p.SpeakerDiarization
		}), map[string]string{
			`{}`: "on",
			`{"communication_detection": {"enabled": true}}`:                                                  "on",
			`{"communication_detection": {"enabled": false}}`:                                                 "off",
			`{"communication_detection": {"enabled": false, "phone_processing": {"transcribe_audio": true}}}`: "off",
		}},
		{"communication_detection.phone_processing.transcribe_audio", phone(func(p PhoneProcessing) bool { return p.TranscribeAudio }), map[string]string{
			`{}`: "on",
			`{"communication_detection": {"phone_processing": {"transcribe_audio": false}}}`: "off",
			`{"communication_detection": {"phone_processing": {"extract_details": false}}}`:  "on",
		}},
		{"communication_detection.phone_processing.extract_details", phone(func(p PhoneProcessing) bool { return p.ExtractDetails }), map[string]string{
			`{}`: "on",
			`{"communication_detection": {"phone_processing": {"extract_details": false}}}`:    "off",
			`{"communication_detection": {"phone_processing": {"sentiment_analysis": false}}}`: "on",
		}},
		{"communication_detection.phone_processing.sentiment_analysis", phone(func(p PhoneProcessing) bool { return p.SentimentAnalysis }), map[string]string{
			`{}`: "on",
			`{"communication_detection": {"phone_processing": {"sentiment_analysis": false}}}`:  "off",
			`{"communication_detection": {"phone_processing": {"speaker_diarization": false}}}`: "on",
		}},
		{"communication_detection.phone_processing.speaker_diarization", phone(func(p PhoneProcessing) bool { return p.SpeakerDiarization }), map[string]string{
			`{}`: "on",
			`{"communication_detection": {"phone_processing": {"speaker_diarization": false}}}`: "off",
			`{"communication_detection": {"phone_processing": {"transcribe_audio": false}}}`:    "on",
		}},
		{"validation.spam_detection.enabled", decide(Input{SpamLikelihood: likelihood(100)}), map[string]string{
			`{}`: "spam",
			`{"validation": {"spam_detection": {"enabled": true}}}`:  "spam",
			`{"validation": {"spam_detection": {"enabled": false}}}`: "qualified",
		}},
		{"validation.spam_detection.confidence_threshold", decide(lead), map[string]string{
			`{}`: "qualified",
			`{"validation": {"spam_detection": {"confidence_threshold": 51}}}`:  "qualified",
			`{"validation": {"spam_detection": {"confidence_threshold": 50}}}`:  "spam",
			`{"validation": {"spam_detection": {"confidence_threshold": 0}}}`:   "spam",
			`{"validation": {"spam_detection": {"confidence_threshold": 100}}}`: "qualified",
		}},
		{"validation.spam_detection.confidence_threshold at its ends", func(c Config) string {
			return string(Decide(c, Input{SpamLikelihood: likelihood(0)}).Outcome + " " + Decide(c, Input{SpamLikelihood: likelihood(100)}).Outcome)
		}, map[string]string{
			`{"validation": {"spam_detection": {"confidence_threshold": 0}}}`:   "spam spam",
			`{"validation": {"spam_detection": {"confidence_threshold": 100}}}`: "qualified spam",
		}},
		{"validation.spam_detection.ml_model", func(c Config) string { return c.Validation.SpamDetection.MLModel }, map[string]string{
			`{}`: "",
			`{"validation": {"spam_detection": {"ml_model": "gemini-2.5-flash"}}}`: "gemini-2.5-flash",
			`{"validation": {"spam_detection": {"ml_model": ""}}}`:                 "",
		}},
		{"service_area.enabled", decide(Input{SpamLikelihood: likelihood(50), PostalCode: "10001"}), map[string]string{
			`{}`: "qualified",
			`{"service_area": {"enabled": false, "allowed_areas": ["90210"]}}`: "qualified",
			`{"service_area": {"enabled": true, "allowed_areas": ["90210"]}}`:  "out_of_area",
		}},
		{"service_area.validation_method", needsPlace, map[string]string{
			`{"service_area": {` + inArea + `}}`:                                                                                                 "asks nobody",
			`{"service_area": {` + inArea + `, "validation_method": "zip_code"}}`:                                                                "asks nobody",
			`{"service_area": {` + inArea + `, "validation_method": "geocode"}}`:                                                                 "asks the geocoder",
			`{"service_area": {"enabled": false, "validation_method": "geocode"}}`:                                                               "asks nobody",
			`{"validation": {"spam_detection": {"confidence_threshold": 50}}, "service_area": {` + inArea + `, "validation_method": "geocode"}}`: "asks nobody",
		}},
		{"service_area.allowed_areas", decide(lead), map[string]string{
			`{"service_area": {"enabled": true, "allowed_areas": ["90212"]}}`:          "qualified",
			`{"service_area": {"enabled": true, "allowed_areas": ["90210", "90211"]}}`: "out_of_area",
			`{"service_area": {"enabled": true, "allowed_areas": ["M5V"]}}`:            "out_of_area",
		}},
		{"service_area.allowed_areas of Canada", decide(Input{SpamLikelihood: likelihood(50), PostalCode: "M5V 2T6"}), map[string]string{
			`{"service_area": {"enabled": true, "allowed_areas": ["90212"]}}`:                     "out_of_area",
			`{"service_area": {"enabled": true, "allowed_areas": ["M5V"]}}`:                       "qualified",
			`{"service_area": {"enabled": true, "allowed_areas": ["90212"], "buffer_miles": 25}}`: "needs_review",
		}},
		{"service_area.buffer_miles", decide(lead), map[string]string{
			`{"service_area": {` + inArea + `}}`:                                        "out_of_area",
			`{"service_area": {` + inArea + `, "buffer_miles": 0}}`:                     "out_of_area",
			`{"service_area": {` + inArea + `, "buffer_miles": 1}}`:                     "out_of_area",
			`{"service_area": {` + inArea + `, "buffer_miles": ` + string(below) + `}}`: "out_of_area",
			`{"service_area": {` + inArea + `, "buffer_miles": ` + string(edge) + `}}`:  "qualified",
			`{"service_area": {` + inArea + `, "buffer_miles": 500}}`:                   "qualified",
		}},
	} {
		for document, want := range tc.cases {
			if got := tc.see(mustParse(t, document)); got != want {
				t.Errorf("%s: %s gives %q, want %q", tc.field, document, got, want)
			}
		}
	}
}

// TestEveryFieldArrives changes each field of the schema alone, and finds the
// change in the configuration at the field's own place and nowhere else. What
// CRM and mail do by it is tested in package effects.
func TestEveryFieldArrives(t *testing.T) {
	t.Parallel()
	values := map[string]any{
		"validation_method": "geocode", "allowed_areas": []any{"90210"}, "buffer_miles": 7.5, "confidence_threshold": 60.0, "ml_model": "gemini-3.5-flash",
		"provider": "webhook", "field_mapping": map[string]any{"name": "name"}, "recipients": []any{"a@b.example"}, "min_lead_score": 70.0,
	}
	var fields int
	var walk func(path []string, n *node)
	walk = func(path []string, n *node) {
		for name, property := range n.Properties {
			walk(append(slices.Clone(path), name), property)
		}
		if len(n.Properties) > 0 {
			return
		}
		fields++
		name := path[len(path)-1]
		value, ok := values[name]
		if !ok {
			value = n.Default != true // a switch, the other way
		}
		document := map[string]any{name: value}
		for _, outer := range slices.Backward(path[:len(path)-1]) {
			document = map[string]any{outer: document}
		}
		// What makes the three that start switched off complete.
		base := mustParse(t, `{"service_area": {"allowed_areas": ["80202"]}, "crm_integration": {"provider": "hubspot"}, "email_notifications": {"recipients": ["x@y.example"]}}`)
		got, err := Merge(base, document, "w")
		if err != nil {
			t.Errorf("%s: %v", strings.Join(path, "."), err)
			return
		}
		want := asJSON(t, base)
		at := want
		for _, outer := range path[:len(path)-1] {
			at = at[outer].(map[string]any)
		}
		if cmp.Equal(at[name], value) {
			t.Errorf("%s is %v before the change as well", strings.Join(path, "."), value)
		}
		at[name] = value
		if diff := cmp.Diff(want, asJSON(t, got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", strings.Join(path, "."), diff)
		}
	}
	walk(nil, root.fields())
	if fields != 19 {
		t.Errorf("%d fields were changed", fields)
	}
}

func asJSON(t *testing.T, c Config) map[string]any {
	t.Helper()
	data, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var document map[string]any
	if err := json.Unmarshal(data, &document); err != nil {
		t.Fatal(err)
	}
	return document
}
