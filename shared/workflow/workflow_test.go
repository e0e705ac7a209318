package workflow

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ingestion.internal/shared/geo"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// The document in the owner's description of the system.
const ownersConfig = `{
	"communication_detection": {"enabled": true, "phone_processing": {"transcribe_audio": true, "extract_details": true, "sentiment_analysis": true, "speaker_diarization": true}},
	"validation": {"spam_detection": {"enabled": true, "confidence_threshold": 75, "ml_model": "gemini-2.5-flash"}},
	"service_area": {"enabled": true, "validation_method": "zip_code", "allowed_areas": ["90210", "90211"], "buffer_miles": 25},
	"crm_integration": {"enabled": true, "provider": "hubspot", "field_mapping": {"name": "firstname", "phone": "phone", "lead_score": "hs_lead_score"}, "push_immediately": true},
	"email_notifications": {"enabled": true, "recipients": ["sales@company.com"], "conditions": {"min_lead_score": 30}}
}`

func TestParseOwnersConfig(t *testing.T) {
	t.Parallel()
	got, err := Parse([]byte(ownersConfig), "workflow_config")
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Validation.SpamDetection.MLModel = "gemini-2.5-flash"
	want.ServiceArea = ServiceArea{Enabled: true, ValidationMethod: "zip_code", AllowedAreas: []string{"90210", "90211"}, BufferMiles: 25}
	want.CRMIntegration = CRMIntegration{Enabled: true, Provider: "hubspot", PushImmediately: true,
		FieldMapping: map[string]string{"name": "firstname", "phone": "phone", "lead_score": "hs_lead_score"}}
	want.EmailNotifications.Enabled = true
	want.EmailNotifications.Recipients = []string{"sales@company.com"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
}

// TestConfigHasTheOwnersShape stores the owner's document and gets it back,
// field for field: there are no others.
func TestConfigHasTheOwnersShape(t *testing.T) {
	t.Parallel()
	stored, err := json.Marshal(mustParse(t, ownersConfig))
	if err != nil {
		t.Fatal(err)
	}
	var want, got any
	if err := errors.Join(json.Unmarshal([]byte(ownersConfig), &want), json.Unmarshal(stored, &got)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("document (-want +got):\n%s", diff)
	}
}

func TestDefaultIsValid(t *testing.T) {
	t.Parallel()
	got, err := Merge(Default(), nil, "workflow")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Default(), got); diff != "" {
		t.Errorf("Merge of nothing changed the defaults (-want +got):\n%s", diff)
	}
	// A stored config is read back by Parse: what is marshalled is accepted.
	data, err := json.Marshal(mustParse(t, ownersConfig))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(mustParse(t, ownersConfig), mustParse(t, string(data))); diff != "" {
		t.Errorf("config changed when stored and read (-want +got):\n%s", diff)
	}
}

func TestMergeLeavesBaseAlone(t *testing.T) {
	t.Parallel()
	base := mustParse(t, ownersConfig)
	merged, err := Merge(base, map[string]any{
		"service_area":    map[string]any{"allowed_areas": []any{"10001"}},
		"crm_integration": map[string]any{"field_mapping": map[string]any{"email": "email"}},
	}, "w")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(mustParse(t, ownersConfig), base); diff != "" {
		t.Errorf("base changed (-want +got):\n%s", diff)
	}
	want := mustParse(t, ownersConfig)
	want.ServiceArea.AllowedAreas = []string{"10001"}
	want.CRMIntegration.FieldMapping = map[string]string{"email": "email"}
	if diff := cmp.Diff(want, merged); diff != "" {
		t.Errorf("merged (-want +got):\n%s", diff)
	}
}

func TestMergeErrors(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		override string
		want     []string
	}{
		"unknown_fields": {
			`{"spam": {}, "validation": {"spam_detection": {"treshold": 3}}}`,
			[]string{
				"w.spam: unknown field; known are communication_detection, crm_integration, email_notifications, service_area, validation",
				"w.validation.spam_detection.treshold: unknown field; known are confidence_threshold, enabled, ml_model",
			},
		},
		"wrong_types": {
			`{"communication_detection": {"enabled": "yes", "phone_processing": []},
			  "validation": {"spam_detection": {"confidence_threshold": 7.5, "ml_model": 3}},
			  "service_area": {"allowed_areas": [90210], "buffer_miles": "25"},
			  "crm_integration": {"field_mapping": {"name": 1}, "enabled": null}}`,
			[]string{
				`w.communication_detection.enabled: must be true or false, not the string "yes"`,
				"w.communication_detection.phone_processing: must be an object, not a list",
				"w.crm_integration.enabled: must be true or false, not null (leave the field out for its default)",
				"w.crm_integration.field_mapping.name: must be a string, not the number 1 (quote it if it is text)",
				"w.service_area.allowed_areas[0]: must be a string, not the number 90210 (quote it if it is text)",
				`w.service_area.buffer_miles: must be a number, not the string "25"`,
				"w.validation.spam_detection.confidence_threshold: must be a whole number, not the number 7.5 (quote it if it is text)",
				"w.validation.spam_detection.ml_model: must be a string, not the number 3 (quote it if it is text)",
			},
		},
		"ranges": {
			`{"validation": {"spam_detection": {"confidence_threshold": 101, "ml_model": "../x"}},
			  "service_area": {"validation_method": "radius", "allowed_areas": ["9021", "90210", "90210", "m5v", "M5V"], "buffer_miles": -1},
			  "crm_integration": {"provider": "excel", "field_mapping": {"": "a", "name": " "}},
			  "email_notifications": {"recipients": ["Sales <sales@company.com>", "a@b.example", "a@b.example"], "conditions": {"min_lead_score": -1}}}`,
			[]string{
				"w.crm_integration.field_mapping: has an entry without a name",
				`w.crm_integration.field_mapping.name: must name a property of the provider, not " "`,
				`w.crm_integration.provider: must be one of hubspot, mcp, salesforce, webhook, not "excel"`,
				"w.email_notifications.conditions.min_lead_score: must be 0 to 100, not -1",
				`w.email_notifications.recipients[0]: must be a plain email address such as sales@company.com, not "Sales <sales@company.com>"`,
				`w.email_notifications.recipients[2]: "a@b.example" is already in the list, at [1]`,
				`w.service_area.allowed_areas[0]: must be a ZIP code of five digits or a Canadian prefix such as M5V, not "9021"`,
				`w.service_area.allowed_areas[2]: "90210" is already in the list, at [1]`,
				`w.service_area.allowed_areas[3]: must be a ZIP code of five digits or a Canadian prefix such as M5V, not "m5v"`,
				"w.service_area.buffer_miles: must be 0 to 500, not -1",
				`w.service_area.validation_method: must be one of zip_code, geocode, not "radius"`,
				"w.validation.spam_detection.confidence_threshold: must be 0 to 100, not 101",
				`w.validation.spam_detection.ml_model: must be a model id such as gemini-3.5-flash-lite, or empty for the stack's model, not "../x"`,
			},
		},
		"enabled_but_incomplete": {
			`{"service_area": {"enabled": true}, "crm_integration": {"enabled": true}, "email_notifications": {"enabled": true}}`,
			[]string{
				"w.service_area.allowed_areas: must list at least one area while service_area is enabled",
				"w.crm_integration.provider: must be set while crm_integration is enabled: one of hubspot, mcp, salesforce, webhook",
				"w.email_notifications.recipients: must list at least one address while email_notifications is enabled",
			},
		},
		"buffer_without_a_place": {
			`{"service_area": {"enabled": true, "allowed_areas": ["M5V"], "buffer_miles": 5}}`,
			[]string{"w.service_area.allowed_areas: must have a ZIP code to measure buffer_miles from: distances from Canadian prefixes are not known"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var override map[string]any
			if err := json.Unmarshal([]byte(tc.override), &override); err != nil {
				t.Fatal(err)
			}
			_, err := Merge(Default(), override, "w")
			if err == nil {
				t.Fatal("Merge accepted it")
			}
			if diff := cmp.Diff(tc.want, strings.Split(err.Error(), "\n")); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseRefusesOtherDocuments(t *testing.T) {
	t.Parallel()
	for _, doc := range []string{`[]`, `null`, `{} x`, `{`, `{} {}`, `"x"`, `{"validation": {"spam_detection": {"confidence_threshold": 1e400}}}`} {
		if got, err := Parse([]byte(doc), "w"); err == nil {
			t.Errorf("Parse(%s) = %+v, want an error", doc, got)
		}
	}
}

// TestDecide keeps every decision, reasons included, in one golden file: the
// reasons are what an operator reads.
func TestDecide(t *testing.T) {
	t.Parallel()
	all := mustParse(t, ownersConfig)
	with := func(change func(*Config)) Config {
		c := mustParse(t, ownersConfig)
		change(&c)
		return c
	}
	exact := with(func(c *Config) { c.ServiceArea.BufferMiles = 0 })
	canada := with(func(c *Config) {
		c.ServiceArea.BufferMiles = 0
		c.ServiceArea.AllowedAreas = []string{"M5V", "90210"}
	})
	boxes := with(func(c *Config) { c.ServiceArea.AllowedAreas = []string{"90213"} }) // post-office boxes: no location
	mixed := with(func(c *Config) { c.ServiceArea.AllowedAreas = []string{"90213", "M5V", "90211"} })
	geocode := with(func(c *Config) { c.ServiceArea.ValidationMethod = MethodGeocode })
	geocodeExact := with(func(c *Config) {
		c.ServiceArea.ValidationMethod = MethodGeocode
		c.ServiceArea.BufferMiles = 0
	})
	spam := func(f float64) *float64 { return &f }
	rodeoDrive := geo.Point{Lat: 34.0674, Lng: -118.4012}
	denver := geo.Point{Lat: 39.7392, Lng: -104.9903}
	type result struct {
		Name string
		Decision
	}
	var got []result
	for _, tc := range []struct {
		name string
		cfg  Config
		in   Input
		want Outcome
	}{
		{"in_area", exact, Input{SpamLikelihood: spam(5), PostalCode: "90210"}, Qualified},
		{"zip_plus_four", exact, Input{SpamLikelihood: spam(5), PostalCode: " 90211-1234 "}, Qualified},
		{"nine_digits", exact, Input{SpamLikelihood: spam(5), PostalCode: "902111234"}, Qualified},
		{"just_below_threshold", exact, Input{SpamLikelihood: spam(74.9), PostalCode: "90210"}, Qualified},
		{"at_threshold", exact, Input{SpamLikelihood: spam(75), PostalCode: "90210"}, Spam},
		{"spam_before_area", exact, Input{SpamLikelihood: spam(99), PostalCode: "10001"}, Spam},
		{"out_of_area", exact, Input{SpamLikelihood: spam(5), PostalCode: "10001"}, OutOfArea},
		{"next_door_without_buffer", exact, Input{SpamLikelihood: spam(5), PostalCode: "90212"}, OutOfArea},
		{"next_door_with_buffer", all, Input{SpamLikelihood: spam(5), PostalCode: "90212"}, Qualified},
		{"beyond_buffer", all, Input{SpamLikelihood: spam(5), PostalCode: "92101"}, OutOfArea},
		{"unknown_zip", exact, Input{SpamLikelihood: spam(5), PostalCode: "90213"}, NeedsReview},
		{"unknown_zip_in_list", boxes, Input{SpamLikelihood: spam(5), PostalCode: "90213"}, Qualified},
		{"no_area_with_a_place", boxes, Input{SpamLikelihood: spam(5), PostalCode: "90210"}, NeedsReview},
		{"no_area_with_a_place_without_buffer", with(func(c *Config) {
			c.ServiceArea = ServiceArea{Enabled: true, ValidationMethod: MethodZIP, AllowedAreas: []string{"90213"}}
		}), Input{SpamLikelihood: spam(5), PostalCode: "90210"}, OutOfArea},
		{"some_areas_without_a_place", mixed, Input{SpamLikelihood: spam(5), PostalCode: "80202"}, OutOfArea},
		{"no_zip", exact, Input{SpamLikelihood: spam(5), PostalCode: " "}, NeedsReview},
		{"no_postal_code", exact, Input{SpamLikelihood: spam(5), PostalCode: "Beverly Hills"}, NeedsReview},
		{"canadian_in_list", canada, Input{SpamLikelihood: spam(5), PostalCode: "m5v2t6"}, Qualified},
		{"canadian_out_of_list", canada, Input{SpamLikelihood: spam(5), PostalCode: "K1A 0B1"}, OutOfArea},
		{"canadian_with_buffer", all, Input{SpamLikelihood: spam(5), PostalCode: "K1A 0B1"}, NeedsReview},
		{"geocode_needs_no_place", geocode, Input{SpamLikelihood: spam(5), PostalCode: "90212", Place: &geo.Place{Point: denver}}, Qualified},
		{"geocode_in_buffer", geocode, Input{SpamLikelihood: spam(5), Place: &geo.Place{Point: rodeoDrive}}, Qualified},
		{"geocode_in_list", geocodeExact, Input{SpamLikelihood: spam(5), Place: &geo.Place{Point: rodeoDrive, PostalCode: "90210-4512"}}, Qualified},
		{"geocode_out_of_list", geocodeExact, Input{SpamLikelihood: spam(5), Place: &geo.Place{Point: rodeoDrive, PostalCode: "90212"}}, OutOfArea},
		{"geocode_beyond_buffer", geocode, Input{SpamLikelihood: spam(5), PostalCode: "90213", Place: &geo.Place{Point: denver, PostalCode: "80203"}}, OutOfArea},
		{"geocode_rough", geocode, Input{SpamLikelihood: spam(5), Place: &geo.Place{Point: rodeoDrive, Rough: true}}, NeedsReview},
		{"geocode_failed", geocode, Input{SpamLikelihood: spam(5), PlaceProblem: "the geocoder did not answer"}, NeedsReview},
		{"geocode_without_address", geocode, Input{SpamLikelihood: spam(5)}, NeedsReview},
		{"not_analysed", exact, Input{PostalCode: "90210"}, NeedsReview},
		{"not_analysed_out_of_area", exact, Input{PostalCode: "10001"}, OutOfArea},
		{"withdrawn", exact, Input{SpamLikelihood: spam(5), PostalCode: "10001", Withdrawn: "the booking was cancelled"}, Recorded},
		{"withdrawn_spam", exact, Input{SpamLikelihood: spam(99), Withdrawn: "the booking was cancelled"}, Spam},
		{"no_recording", exact, Input{SpamLikelihood: spam(5), PostalCode: "90210", MissingContent: "the recording is not there (404)"}, NeedsReview},
		{"no_recording_spam", exact, Input{SpamLikelihood: spam(80), MissingContent: "the recording is not there (404)"}, Spam},
		{"gates_off", Config{}, Input{SpamLikelihood: spam(100), PostalCode: "10001"}, Qualified},
		{"threshold_zero", with(func(c *Config) { c.Validation.SpamDetection.ConfidenceThreshold = 0 }), Input{SpamLikelihood: spam(0)}, Spam},
	} {
		d := Decide(tc.cfg, tc.in)
		if d.Outcome != tc.want {
			t.Errorf("%s: outcome %s, want %s (%q)", tc.name, d.Outcome, tc.want, d.Reasons)
		}
		got = append(got, result{tc.name, d})
	}
	golden(t, "decisions.json", got)
}

func golden(t *testing.T, name string, value any) {
	t.Helper()
	got, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got; -update accepts):\n%s", path, diff)
	}
}

func TestPhoneIsOffWithDetectionOff(t *testing.T) {
	t.Parallel()
	c := Default()
	if got := c.Phone(); got != c.CommunicationDetection.PhoneProcessing {
		t.Errorf("Phone() = %+v", got)
	}
	c.CommunicationDetection.Enabled = false
	if got := c.Phone(); got != (PhoneProcessing{}) {
		t.Errorf("Phone() with detection off = %+v, want all off", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(ownersConfig))
	f.Add([]byte(`{"service_area": {"buffer_miles": 1e309}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse(data, "w")
		if err != nil {
			return
		}
		stored, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(stored, "w")
		if err != nil {
			t.Fatalf("%s is accepted, and what is stored of it is not: %v", data, err)
		}
		if diff := cmp.Diff(c, again); diff != "" {
			t.Fatalf("%s changed when stored and read (-want +got):\n%s", data, diff)
		}
	})
}

func mustParse(t *testing.T, doc string) Config {
	t.Helper()
	c, err := Parse([]byte(doc), "w")
	if err != nil {
		t.Fatal(err)
	}
	return c
}
