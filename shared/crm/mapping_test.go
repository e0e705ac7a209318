package crm

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func ptr[T any](v T) *T { return &v }

// kitchen is a lead with everything.
func kitchen() Lead {
	return Lead{
		TenantID:       "acme",
		RequestID:      "5f0c1a52-6a0a-5d53-9c1e-6f0f8f7a1d10",
		OfficeID:       "north",
		OfficeName:     "Acme North",
		Source:         "callrail_webhook",
		Mode:           "phone_call",
		CallID:         "CAL1",
		ReceivedAt:     time.Date(2026, 11, 20, 9, 30, 0, 0, time.FixedZone("", -8*3600)),
		Customer:       Customer{Name: "Mary Ann Lee", Phone: "(310) 555-0123", Email: "mary@example.com", PostalCode: "90210"},
		LeadScore:      ptr(int64(82)),
		SpamLikelihood: ptr(3.5),
		Decision:       "qualified",
		Reasons:        []string{"spam likelihood 3.5 is below the threshold 75", "ZIP code 90210 is in the service area"},
		Summary:        "Wants a new kitchen.",
		Analysis: map[string]any{
			"project_type": "kitchen",
			"urgent":       true,
			"budget":       25000.0,
			"share":        0.5,
			"nothing":      nil,
			"empty":        "",
			"signals":      []any{"budget named", "dates named", 3.0},
			"location":     map[string]any{"city": "Beverly Hills"},
		},
	}
}

func TestApply(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		provider string // hubspot if empty
		mapping  map[string]string
		edit     func(*Lead)
		want     map[string]any
		notes    []Note
	}{
		"the_owners_example": {
			mapping: map[string]string{"name": "firstname", "phone": "phone", "lead_score": "hs_lead_score"},
			want:    map[string]any{"firstname": "Mary Ann Lee", "phone": "(310) 555-0123", "hs_lead_score": int64(82)},
		},
		"names_phone_and_case": {
			mapping: map[string]string{
				"name|first_name": "firstname", "name|last_name|upper": "lastname",
				"phone|e164": "phone", "email|lower": "email",
			},
			want: map[string]any{"firstname": "Mary Ann", "lastname": "LEE", "phone": "+13105550123", "email": "mary@example.com"},
		},
		"constants_with_escapes": {
			mapping: map[string]string{`=Web \| phone \\ more`: "company", "=  x  |trim": "city"},
			want:    map[string]any{"company": `Web | phone \ more`, "city": "x"},
		},
		"everything_has_a_text": {
			mapping: map[string]string{
				"received_at": "a_time", "reasons": "a_list", "analysis.signals": "b_list", "analysis.location": "an_object",
				"spam_likelihood|string": "a_number", "analysis.urgent|string": "a_bool", "analysis.budget|string": "a_budget",
			},
			want: map[string]any{
				"a_time":    "2026-11-20T17:30:00.000Z",
				"a_list":    "spam likelihood 3.5 is below the threshold 75; ZIP code 90210 is in the service area",
				"b_list":    "budget named; dates named; 3",
				"an_object": `{"city":"Beverly Hills"}`,
				"a_number":  "3.5", "a_bool": "true", "a_budget": "25000",
			},
		},
		"paths": {
			mapping: map[string]string{
				"analysis.location.city": "city", "analysis.signals.1": "signal", "analysis.signals.9": "none",
				"analysis.signals.x": "none2", "analysis.project_type.deeper": "none3", "analysis.nothing": "none4", "analysis.empty": "none5",
			},
			want: map[string]any{"city": "Beverly Hills", "signal": "dates named"},
		},
		"nothing_known_nothing_sent": {
			mapping: map[string]string{
				"name|first_name": "firstname", "phone|e164": "phone", "email": "email", "postal_code": "zip", "lead_score": "hs_lead_score",
				"spam_likelihood": "spam", "reasons": "reasons", "received_at": "at", "summary": "message", "analysis.x": "x",
				"office_id": "o", "office_name": "on", "call_id": "c", "decision": "d",
			},
			edit: func(l *Lead) { *l = Lead{TenantID: "acme", RequestID: "r"} },
			want: map[string]any{},
		},
		"defaults": {
			mapping: map[string]string{
				"name|last_name|default:Unknown": "lastname", "phone|e164|default:none": "phone",
				"lead_score|default:0": "hs_lead_score", "spam_likelihood|default:0.5": "spam", "analysis.x|default:y": "x",
			},
			edit:  func(l *Lead) { *l = Lead{Customer: Customer{Name: "Cher", Phone: "unknown"}} },
			want:  map[string]any{"lastname": "Unknown", "phone": "none", "hs_lead_score": int64(0), "spam": 0.5, "x": "y"},
			notes: []Note{{Property: "phone", Source: "phone|e164|default:none", Reason: "e164: is no telephone number"}},
		},
		"values_that_do_not_fit_are_noted": {
			mapping: map[string]string{"analysis.project_type|int": "n", "analysis.location|upper": "u", "analysis.signals": "hs_lead_score", "analysis.urgent|int": "i"},
			want:    map[string]any{},
			notes: []Note{
				{Property: "hs_lead_score", Source: "analysis.signals", Reason: "property takes a value of type number, not list"},
				{Property: "i", Source: "analysis.urgent|int", Reason: "int: needs a number, not boolean"},
				{Property: "n", Source: "analysis.project_type|int", Reason: "int: is no whole number"},
				{Property: "u", Source: "analysis.location|upper", Reason: "upper: needs a string, not object"},
			},
		},
		"rounding_and_reading": {
			mapping: map[string]string{"analysis.share|int": "half", "spam_likelihood|int": "spam", "postal_code|int": "zipn", "lead_score|int": "hs_lead_score", "analysis.huge|int": "huge"},
			edit:    func(l *Lead) { l.Analysis["huge"] = 1e300 },
			want:    map[string]any{"half": int64(1), "spam": int64(4), "zipn": int64(90210), "hs_lead_score": int64(82)},
			notes:   []Note{{Property: "huge", Source: "analysis.huge|int", Reason: "int: is out of range"}},
		},
		"salesforce_types_and_lengths": {
			provider: "salesforce",
			mapping: map[string]string{
				"name|last_name|default:Unknown": "LastName", "=Household": "Company", "postal_code": "PostalCode",
				"analysis.urgent": "DoNotCall", "analysis.budget": "AnnualRevenue", "analysis.staff": "NumberOfEmployees",
				"analysis.share": "Score__c", "reasons": "Reasons__c",
			},
			edit: func(l *Lead) {
				l.Customer.Name = "A " + strings.Repeat("é", 81)
				l.Customer.PostalCode = strings.Repeat("é", 20) // 40 bytes, but 20 characters
				l.Analysis["staff"] = 7.0
			},
			want: map[string]any{
				"LastName": strings.Repeat("é", 80), "Company": "Household", "PostalCode": strings.Repeat("é", 20),
				"DoNotCall": true, "AnnualRevenue": 25000.0, "NumberOfEmployees": int64(7), "Score__c": 0.5,
				"Reasons__c": "spam likelihood 3.5 is below the threshold 75; ZIP code 90210 is in the service area",
			},
			notes: []Note{{Property: "LastName", Source: "name|last_name|default:Unknown", Reason: "cut to 80 characters"}},
		},
		"salesforce_wrong_types": {
			provider: "salesforce",
			mapping:  map[string]string{"=A": "LastName", "=B": "Company", "analysis.share": "NumberOfEmployees", "analysis.budget": "DoNotCall", "analysis.urgent": "AnnualRevenue"},
			want:     map[string]any{"LastName": "A", "Company": "B"},
			notes: []Note{
				{Property: "AnnualRevenue", Source: "analysis.urgent", Reason: "property takes a value of type number, not boolean"},
				{Property: "DoNotCall", Source: "analysis.budget", Reason: "property takes a value of type boolean, not number"},
				{Property: "NumberOfEmployees", Source: "analysis.share", Reason: "property takes a value of type integer, not number"},
			},
		},
		"documents_nest_and_keep_lists": {
			provider: "webhook",
			mapping:  map[string]string{"name": "contact.name", "phone|e164": "contact.phone", "reasons": "why", "analysis.location": "where", "received_at": "at", "lead_score": "score"},
			want: map[string]any{
				"contact": map[string]any{"name": "Mary Ann Lee", "phone": "+13105550123"},
				"why":     []string{"spam likelihood 3.5 is below the threshold 75", "ZIP code 90210 is in the service area"},
				"where":   map[string]any{"city": "Beverly Hills"},
				"at":      "2026-11-20T17:30:00.000Z",
				"score":   int64(82),
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tc.provider == "" {
				tc.provider = "hubspot"
			}
			m, err := Compile(tc.mapping, tc.provider)
			if err != nil {
				t.Fatal(err)
			}
			lead := kitchen()
			if tc.edit != nil {
				tc.edit(&lead)
			}
			got, notes := m.Apply(&lead)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("properties (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.notes, notes); diff != "" {
				t.Errorf("notes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		provider string
		mapping  map[string]string
		want     []string
	}{
		"unknown_provider": {"zoho", nil, []string{`provider: unknown CRM provider "zoho"; known are hubspot, mcp, salesforce, webhook`}},
		"empty_is_fine":    {"hubspot", nil, nil},
		"all_at_once": {
			"hubspot",
			map[string]string{
				"nickname": "firstname", "name|frist": "lastname", "phone|e164:US": "phone", "lead_score|upper": "city", "": "state",
				"=": "zip", "analysis..x": "a", "email": "hs_object_id", "summary": "Not A Property", "reasons": "hs_lead_score",
				`name\q`: "b", `name\`: "c", "name|default": "d", "lead_score|default:x": "e", "received_at|default:now": "f", "spam_likelihood|default:NaN": "g",
			},
			[]string{
				`field_mapping[""]: the source is empty`,
				`field_mapping["="]: the constant after = is empty`,
				`field_mapping["analysis..x"]: path "analysis..x" has an empty part`,
				`field_mapping["email"]: property "hs_object_id" cannot be written: the provider sets it`,
				`field_mapping["lead_score|default:x"]: default "x" is no integer`,
				`field_mapping["lead_score|upper"]: transform upper cannot be applied to a value of type integer`,
				`field_mapping["name\\"]: a \ stands at the end`,
				`field_mapping["name\\q"]: \q is no escape; known are \| and \\`,
				`field_mapping["name|default"]: default needs a value, as in default:Unknown`,
				`field_mapping["name|frist"]: unknown transform "frist"; known are default, e164, first_name, int, last_name, lower, string, trim, upper`,
				`field_mapping["nickname"]: unknown field "nickname"; known are call_id, communication_mode, decision, email, lead_score, name, office_id, office_name, phone, postal_code, reasons, received_at, request_id, source, spam_likelihood, summary, tenant_id and paths that begin with analysis.`,
				`field_mapping["phone|e164:US"]: transform e164 takes no argument`,
				`field_mapping["reasons"]: property "hs_lead_score" takes a value of type number, not list`,
				`field_mapping["received_at|default:now"]: default cannot be applied to a value of type time`,
				`field_mapping["spam_likelihood|default:NaN"]: default "NaN" is no number`,
				`field_mapping["summary"]: "Not A Property" is no property of the provider, nor the name of a custom one`,
			},
		},
		"twice": {
			"hubspot", map[string]string{"name": "firstname", "name|first_name": "firstname"},
			[]string{`field_mapping["name|first_name"]: property "firstname" is already filled by field_mapping["name"]`},
		},
		"inside_each_other": {
			"mcp", map[string]string{"name": "contact", "phone": "contact.phone", "email": "contact2"},
			[]string{`field_mapping["phone"]: property "contact.phone" is already filled by field_mapping["name"]`},
		},
		"salesforce_requires": {
			"salesforce", map[string]string{"name|last_name": "LastName"},
			[]string{
				`field_mapping: the provider requires property "Company"`,
				`field_mapping["name|last_name"]: the provider requires property "LastName", and not every lead has a value for it; append a default, as in "name|last_name|default:Unknown"`,
			},
		},
		"salesforce_one_error_for_one_mistake": {
			"salesforce", map[string]string{"nickname": "LastName", "=X": "Company"},
			[]string{`field_mapping["nickname"]: unknown field "nickname"; known are ` + known},
		},
		"salesforce_sure_sources": {"salesforce", map[string]string{"request_id|upper": "LastName", "=X|lower": "Company"}, nil},
		"salesforce_unsure_after_default": {
			"salesforce", map[string]string{"name|default:X|last_name": "LastName", "=X": "Company"},
			[]string{`field_mapping["name|default:X|last_name"]: the provider requires property "LastName", and not every lead has a value for it; append a default, as in "name|default:X|last_name|default:Unknown"`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, err := range Check(tc.mapping, tc.provider) {
				got = append(got, err.Error())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("Check (-want +got):\n%s", diff)
			}
		})
	}
}

const known = "call_id, communication_mode, decision, email, lead_score, name, office_id, office_name, phone, postal_code, reasons, received_at, request_id, source, spam_likelihood, summary, tenant_id and paths that begin with analysis."

func TestCompileReportsAll(t *testing.T) {
	t.Parallel()
	m, err := Compile(map[string]string{"x": "y", "z": "w"}, "webhook")
	if m != nil || err == nil || strings.Count(err.Error(), "unknown field") != 2 {
		t.Errorf("Compile = %v, %v, want two errors", m, err)
	}
}

func TestSplitName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string][2]string{
		"":                 {"", ""},
		"  ":               {"", ""},
		"Cher":             {"Cher", ""},
		"Mary Lee":         {"Mary", "Lee"},
		"  Mary  Ann Lee ": {"Mary Ann", "Lee"},
		"Lee, Mary  Ann":   {"Mary Ann", "Lee"},
		"Lee,":             {"Lee", ""},
		"李 小龙":             {"李", "小龙"},
	} {
		first, last := splitName(name)
		if got := [2]string{first, last}; got != want {
			t.Errorf("splitName(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestUpsertAll(t *testing.T) {
	t.Parallel()
	leads := []Lead{{RequestID: "a"}, {RequestID: "b"}}
	for name, c := range map[string]Connector{"one_by_one": single{}, "batch": batch{}} {
		got := UpsertAll(t.Context(), c, leads)
		if len(got) != 2 || got[0].Result.RecordID != name+" a" || got[1].Err == nil {
			t.Errorf("%s: UpsertAll = %+v", name, got)
		}
	}
}

type single struct{}

func (single) Upsert(_ context.Context, lead Lead) (Result, error) {
	if lead.RequestID == "b" {
		return Result{}, errors.New("refused")
	}
	return Result{RecordID: "one_by_one " + lead.RequestID}, nil
}

type batch struct{ single }

func (batch) UpsertBatch(_ context.Context, leads []Lead) []Outcome {
	return []Outcome{{Result: Result{RecordID: "batch a"}}, {Err: errors.New("refused")}}
}

func TestProvidersHaveSaneSchemas(t *testing.T) {
	t.Parallel()
	for _, name := range Providers() {
		s, err := schemaOf(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, required := range s.required {
			if _, err := s.find(required); err != nil {
				t.Errorf("%s: required property: %v", name, err)
			}
		}
	}
}

func FuzzCheck(f *testing.F) {
	for _, seed := range []string{
		"name", "name|first_name", "=x", `=a\|b`, "analysis.a.0.b|int", "lead_score|default:3|string|upper", "||", "=|", `\`, "analysis.", "name|default::", "phone|e164|default:+1",
	} {
		f.Add(seed, "firstname")
		f.Add(seed, "a.b.c")
	}
	f.Fuzz(func(t *testing.T, expr, target string) {
		for _, provider := range []string{"hubspot", "webhook"} {
			m, err := Compile(map[string]string{expr: target}, provider)
			if err != nil {
				if !strings.HasPrefix(err.Error(), "field_mapping[") {
					t.Errorf("%v has no place", err)
				}
				continue
			}
			full, empty := kitchen(), Lead{}
			for _, lead := range []*Lead{&full, &empty} {
				properties, _ := m.Apply(lead)
				if len(properties) > 1 {
					t.Errorf("one mapping made %v", properties)
				}
				if m.fields[0].expr.always && lead == &full && len(properties) == 0 && m.fields[0].property.typ == String {
					t.Errorf("%q is said to have a value always, and has none", expr)
				}
			}
		}
	})
}

func BenchmarkApply(b *testing.B) {
	lead := kitchen()
	for _, n := range []int{3, 12} {
		mapping := map[string]string{"name": "firstname", "phone|e164": "phone", "lead_score": "hs_lead_score"}
		for i := 3; i < n; i++ {
			mapping[fmt.Sprintf("analysis.location.city|upper|default:%d", i)] = fmt.Sprintf("city_%d", i)
		}
		m, err := Compile(mapping, "hubspot")
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("fields=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m.Apply(&lead)
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	mapping := map[string]string{"name|first_name": "firstname", "name|last_name": "lastname", "phone|e164": "phone", "email|lower": "email", "lead_score": "hs_lead_score"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Compile(mapping, "hubspot"); err != nil {
			b.Fatal(err)
		}
	}
}
